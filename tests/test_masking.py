"""Masked reductions on values worked out by hand."""

import torch

from heads.masking import (
    first_token,
    left_justify,
    max_over_time,
    undo_justify,
    zero_padding,
)

NAN = float("nan")
# two rows, padded left and right, two features
STATES = torch.tensor(
    [
        [[NAN, 9.0], [-3.0, 1.0], [-2.0, -1.0], [-5.0, 0.0]],
        [[7.0, -7.0], [8.0, -8.0], [NAN, NAN], [99.0, 99.0]],
    ]
)
MASK = torch.tensor([[False, True, True, True], [True, True, False, False]])


def test_zero_padding():
    expected = [
        [[0.0, 0.0], [-3.0, 1.0], [-2.0, -1.0], [-5.0, 0.0]],
        [[7.0, -7.0], [8.0, -8.0], [0.0, 0.0], [0.0, 0.0]],
    ]
    assert zero_padding(STATES, MASK).tolist() == expected


def test_first_token():
    assert first_token(STATES, MASK).tolist() == [[-3.0, 1.0], [7.0, -7.0]]


def test_max_over_time_of_negative_values():
    assert max_over_time(STATES, MASK).tolist() == [[-2.0, 1.0], [8.0, -7.0]]


def test_left_justify_keeps_the_order_and_is_undone():
    moved, order = left_justify(STATES, MASK)
    assert moved[0, :3].tolist() == [[-3.0, 1.0], [-2.0, -1.0], [-5.0, 0.0]]
    assert moved[1, :2].tolist() == [[7.0, -7.0], [8.0, -8.0]]
    back = undo_justify(moved, order)
    assert torch.equal(back.nan_to_num(), STATES.nan_to_num())
