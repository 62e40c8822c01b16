"""Losses as a sum and a weight, so that a mean can be taken over any set of batches.

The mean over one update is the sum of the sums divided by the sum of the weights, over its
micro-batches and processes. A mean of means is another number as soon as the last batch is
smaller, or classes are weighted.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]


def cross_entropy_sum(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """Sums the (weighted, smoothed) cross entropy of one label per text.

    Args:
        logits: float [B, C].
        labels: long [B].
        class_weights: float [C], or None.
        label_smoothing: Probability spread over all classes (Szegedy et al. 2016).

    Returns:
        A scalar.
    """
    return functional.cross_entropy(
        logits,
        labels.view(-1),
        weight=class_weights,
        label_smoothing=label_smoothing,
        reduction="sum",
    )


def binary_cross_entropy_sum(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """Sums the (weighted, smoothed) binary cross entropy of many labels per text.

    Args:
        logits: float [B, C].
        labels: 0 or 1, [B, C].
        class_weights: float [C], or None.
        label_smoothing: Smoothed targets are `y * (1 - s) + s / 2`.

    Returns:
        A scalar.
    """
    target = labels.to(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2  # [B, C]
    return functional.binary_cross_entropy_with_logits(
        logits, target, weight=class_weights, reduction="sum"
    )


def squared_error_sum(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """Sums the squared error of one number per text (or C numbers).

    Args:
        logits: float [B, C].
        labels: Numbers, as many as logits, of any shape and numeric dtype.
        class_weights: Must be None: there are no classes.
        label_smoothing: Must be 0.

    Returns:
        A scalar.

    Raises:
        ValueError: If class weights or label smoothing are asked for.
    """
    if class_weights is not None or label_smoothing:
        raise ValueError("class weights and label smoothing need classes; this is a regression")
    # both of one shape: (B, 1) against (B,) would broadcast to (B, B)
    return functional.mse_loss(
        logits, labels.to(logits.dtype).reshape(logits.shape), reduction="sum"
    )


LOSSES: dict[str, Loss] = {
    "single_label_classification": cross_entropy_sum,
    "multi_label_classification": binary_cross_entropy_sum,
    "regression": squared_error_sum,
}


def loss_weight(labels: Tensor, problem_type: str, class_weights: Tensor | None) -> Tensor:
    """Sums what a mean loss divides by: labels, or class weights where one label is weighted.

    Args:
        labels: Labels of a batch.
        problem_type: A key of `LOSSES`.
        class_weights: float [C], or None.

    Returns:
        A scalar.
    """
    if problem_type == "single_label_classification":
        known = labels[labels.ne(-100)]
        if class_weights is not None:
            return class_weights.to(labels.device)[known].sum()
        return torch.tensor(known.numel(), device=labels.device)
    return torch.tensor(labels.numel(), device=labels.device)
