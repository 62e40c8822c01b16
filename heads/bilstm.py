"""A recurrent network over the tokens, in both directions."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from heads.base import Head
from heads.masking import left_justify, undo_justify


class BiLSTMHead(Head):
    """Dropout, packed bidirectional LSTM, dropout, projection.

    At level `sequence` the last real state of the forward direction and the first of the
    backward one are projected, each of which has read the whole text; at level `token` every
    token's pair of states. Packed, so that padding is neither read nor paid for.

    Source: Graves and Schmidhuber 2005, "Framewise phoneme classification with bidirectional
    LSTM and other neural network architectures".

    Args:
        hidden_size: Width of the encoder's hidden states.
        num_labels: Number of logits.
        level: `sequence` or `token`.
        dropout: Dropout probability, on the hidden states and before the projection.
        lstm_size: Units per direction; half the encoder's width unless given.
        num_layers: Stacked LSTM layers.
    """

    levels: ClassVar[tuple[str, ...]] = ("sequence", "token")

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        *,
        level: str,
        dropout: float = 0.1,
        lstm_size: int | None = None,
        num_layers: int = 1,
    ) -> None:
        super().__init__(hidden_size, num_labels, level=level, dropout=dropout)
        size = max(1, hidden_size // 2) if lstm_size is None else lstm_size
        if size < 1 or num_layers < 1:
            raise ValueError(f"lstm_size and num_layers must be positive: {size}, {num_layers}")
        self.lstm = nn.LSTM(
            hidden_size,
            size,
            num_layers=num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.out_proj = nn.Linear(2 * size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Computes the logits. See `Head.forward`."""
        states, order = left_justify(self.dropout(hidden_states), attention_mask)  # [B, T, H]
        lengths = attention_mask.sum(dim=1).cpu()  # [B]; packing needs them on the CPU
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        output, (last, _) = self.lstm(packed)  # last: [layers * 2, B, L]
        if self.level == "sequence":
            x = torch.cat((last[-2], last[-1]), dim=-1)  # [B, 2L]
        else:
            x, _ = pad_packed_sequence(output, batch_first=True, total_length=states.shape[1])
            x = undo_justify(x, order)  # [B, T, 2L]
        return self.out_proj(self.dropout(x))  # [B, C] or [B, T, C]
