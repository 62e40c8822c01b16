"""The contract that every head keeps."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

LEVELS = ("sequence", "token")


class Head(nn.Module, ABC):
    """What sits on the encoder: hidden states and a mask in, logits out.

    A head knows tensors and masks, nothing of data, files or trainers. What stands at padded
    places, however much of it there is, never changes a logit.

    Attributes:
        levels: The levels the head serves: one logit vector per text (`sequence`), per token
            (`token`), or both.
        family_defaults: Arguments that follow the encoder's family unless they are given:
            model type -> argument -> value.

    Args:
        hidden_size: Width of the encoder's hidden states.
        num_labels: Number of logits.
        level: `sequence` or `token`.
        dropout: Dropout probability.

    Raises:
        ValueError: If the head does not serve `level`, or a size is not positive.
    """

    levels: ClassVar[tuple[str, ...]] = ("sequence",)
    family_defaults: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(
        self, hidden_size: int, num_labels: int, *, level: str, dropout: float = 0.1
    ) -> None:
        super().__init__()
        if level not in self.levels:
            raise ValueError(
                f"{type(self).__name__} serves level {' and '.join(self.levels)}, not {level!r}"
            )
        if hidden_size < 1 or num_labels < 1:
            raise ValueError(
                f"hidden_size and num_labels must be positive: {hidden_size}, {num_labels}"
            )
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.level = level
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Computes the logits.

        Args:
            hidden_states: The encoder's last layer, float [B, T, H].
            attention_mask: bool [B, T], True at real tokens (special tokens included); at
                least one per row, padding left or right.

        Returns:
            Logits, float [B, C] at level `sequence`, [B, T, C] at level `token`.
        """
