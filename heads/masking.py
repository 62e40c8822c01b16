"""Masked reductions and moves over the token axis. True in a mask is a real token."""

import torch
from torch import Tensor


def zero_padding(states: Tensor, mask: Tensor) -> Tensor:
    """Puts zeros at padded places, whatever stood there (NaN too); no gradient flows to them.

    Args:
        states: float [B, T, H].
        mask: bool [B, T].

    Returns:
        float [B, T, H].
    """
    return states.masked_fill(~mask.unsqueeze(-1), 0.0)


def first_token(states: Tensor, mask: Tensor) -> Tensor:
    """Takes each row's first real token ([CLS], whichever side is padded).

    Args:
        states: float [B, T, H].
        mask: bool [B, T], at least one True per row.

    Returns:
        float [B, H].
    """
    first = mask.int().argmax(dim=1)  # [B]
    rows = torch.arange(states.shape[0], device=states.device)  # [B]
    return states[rows, first]  # [B, H]


def max_over_time(states: Tensor, mask: Tensor) -> Tensor:
    """Takes each feature's largest value over the real tokens.

    Args:
        states: float [B, T, H].
        mask: bool [B, T], at least one True per row.

    Returns:
        float [B, H].
    """
    lowest = torch.finfo(states.dtype).min
    return states.masked_fill(~mask.unsqueeze(-1), lowest).max(dim=1).values  # [B, H]


def left_justify(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Moves each row's real tokens to its front, in order.

    Args:
        states: float [B, T, H].
        mask: bool [B, T].

    Returns:
        The moved states, float [B, T, H], and the order, long [B, T]: place j of a moved row
        came from place order[:, j].
    """
    order = torch.argsort((~mask).to(torch.uint8), dim=1, stable=True)  # [B, T]
    return states.gather(1, order.unsqueeze(-1).expand_as(states)), order  # [B, T, H]


def undo_justify(states: Tensor, order: Tensor) -> Tensor:
    """Moves tokens back to where `left_justify` took them from.

    Args:
        states: float [B, T, H], left-justified.
        order: long [B, T] of `left_justify`.

    Returns:
        float [B, T, H].
    """
    place = order.argsort(dim=1)  # [B, T]
    return states.gather(1, place.unsqueeze(-1).expand_as(states))
