"""Local metrics, worked out by hand."""

import pytest

from tasks.metrics import Classification


def compute(predictions, references):
    return Classification().compute(predictions=predictions, references=references)


def test_accuracy_and_macro_f1():
    # class 0: 1 hit of 2 predicted and 1 true; class 1: 1 of 1 and 2; class 2: 1 of 1 and 1
    got = compute([0, 0, 1, 2], [0, 1, 1, 2])
    assert got == {"accuracy": 0.75, "macro_f1": pytest.approx((2 / 3 + 2 / 3 + 1) / 3)}


def test_a_class_never_predicted_counts_zero():
    assert compute([0, 0], [0, 1])["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_all_right_and_all_wrong():
    assert compute([0, 1], [0, 1]) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert compute([1, 0], [0, 1]) == {"accuracy": 0.0, "macro_f1": 0.0}
