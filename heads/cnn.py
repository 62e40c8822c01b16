"""Convolutions of several widths over the tokens."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from heads.base import Head
from heads.masking import max_over_time, zero_padding


class CNNHead(Head):
    """Dropout, convolutions, ReLU, masked max over time, dropout, projection.

    After Kim 2014, "Convolutional Neural Networks for Sentence Classification", over contextual
    token states instead of word vectors. Every real token is the anchor of one window per
    kernel size; windows see zeros beyond the text, so texts shorter than a kernel are served
    and padding is never seen. At level `token` the features are projected without pooling.

    Args:
        hidden_size: Width of the encoder's hidden states.
        num_labels: Number of logits.
        level: `sequence` or `token`.
        dropout: Dropout probability, on the hidden states and before the projection.
        num_filters: Filters per kernel size.
        kernel_sizes: Window widths in tokens.
    """

    levels: ClassVar[tuple[str, ...]] = ("sequence", "token")

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        *,
        level: str,
        dropout: float = 0.1,
        num_filters: int = 128,
        kernel_sizes: Sequence[int] = (2, 3, 4),
    ) -> None:
        super().__init__(hidden_size, num_labels, level=level, dropout=dropout)
        if not kernel_sizes or min(kernel_sizes) < 1 or num_filters < 1:
            raise ValueError(
                f"kernel_sizes and num_filters must be positive: {kernel_sizes}, {num_filters}"
            )
        # Measured on CPU (scripts/bench.py) against unfold + matmul and one matmul + shifted
        # sums at equal output: conv1d, the hidden width as channels, is the fastest of the three.
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden_size, num_filters, size) for size in kernel_sizes
        )
        self.out_proj = nn.Linear(num_filters * len(kernel_sizes), num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Computes the logits. See `Head.forward`."""
        x = zero_padding(self.dropout(hidden_states), attention_mask)  # [B, T, H]
        x = x.transpose(1, 2)  # [B, H, T]
        features = []
        for convolution in self.convolutions:
            beyond = convolution.kernel_size[0] - 1
            # beyond // 2 zeros before and the rest behind give one window per token
            padded = functional.pad(x, (beyond // 2, beyond - beyond // 2))  # [B, H, T + k - 1]
            features.append(convolution(padded).relu())  # [B, F, T]
        x = torch.cat(features, dim=1).transpose(1, 2)  # [B, T, F * kernels]
        if self.level == "sequence":
            x = max_over_time(x, attention_mask)  # [B, F * kernels]
        return self.out_proj(self.dropout(x))  # [B, C] or [B, T, C]
