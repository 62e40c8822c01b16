"""Losses as sums and weights, against torch's means and formulas by hand."""

import pytest
import torch
from torch.nn import functional

from trainers.losses import LOSSES, loss_weight

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -2.0], [0.3, 0.2, 0.1]])
LABELS = torch.tensor([0, 2, 1])
MANY = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
WEIGHTS = torch.tensor([0.2, 1.0, 3.0])


def mean(problem_type, logits, labels, weights=None, smoothing=0.0):
    total = LOSSES[problem_type](logits, labels, weights, smoothing)
    return total / loss_weight(labels, problem_type, weights)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_one_label_is_torch_cross_entropy(weights, smoothing):
    expected = functional.cross_entropy(LOGITS, LABELS, weight=weights, label_smoothing=smoothing)
    got = mean("single_label_classification", LOGITS, LABELS, weights, smoothing)
    torch.testing.assert_close(got, expected)


def test_one_label_by_hand():
    log_p = LOGITS.log_softmax(dim=-1)
    expected = -(0.2 * log_p[0, 0] + 3.0 * log_p[1, 2] + 1.0 * log_p[2, 1]) / 4.2
    torch.testing.assert_close(
        mean("single_label_classification", LOGITS, LABELS, WEIGHTS), expected
    )


def test_equal_weights_and_no_smoothing_change_nothing():
    plain = functional.cross_entropy(LOGITS, LABELS)
    got = mean("single_label_classification", LOGITS, LABELS, torch.full((3,), 7.0), 0.0)
    torch.testing.assert_close(got, plain)


def test_unlabelled_rows_add_nothing():
    labels = torch.tensor([0, -100, 1])
    got = mean("single_label_classification", LOGITS, labels, WEIGHTS)
    kept = torch.tensor([0, 2])
    expected = functional.cross_entropy(LOGITS[kept], labels[kept], weight=WEIGHTS)
    torch.testing.assert_close(got, expected)
    none = torch.full((3,), -100)
    assert LOSSES["single_label_classification"](LOGITS, none, None, 0.0) == 0
    assert loss_weight(none, "single_label_classification", None) == 0


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_many_labels_are_torch_binary_cross_entropy(weights):
    expected = functional.binary_cross_entropy_with_logits(LOGITS, MANY, weight=weights)
    torch.testing.assert_close(mean("multi_label_classification", LOGITS, MANY, weights), expected)


def test_many_labels_smoothed():
    expected = functional.binary_cross_entropy_with_logits(LOGITS, MANY * 0.8 + 0.1)
    got = mean("multi_label_classification", LOGITS, MANY, None, 0.2)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_regression_of_any_label_shape_and_type(dtype, shape):
    logits = torch.tensor([[0.5], [2.0], [-1.0]])
    labels = torch.tensor([1, 2, -3])
    got = mean("regression", logits, labels.to(dtype).view(shape))
    torch.testing.assert_close(got, torch.tensor((0.25 + 0.0 + 4.0) / 3))


@pytest.mark.parametrize(("weights", "smoothing"), [(WEIGHTS, 0.0), (None, 0.1)])
def test_regression_has_no_classes_to_weight(weights, smoothing):
    with pytest.raises(ValueError, match="regression"):
        LOSSES["regression"](torch.zeros(3, 1), torch.zeros(3), weights, smoothing)
