"""The two heads of the repository this project starts from, flaws included.

They are here so that its published table (FC / CNN / BiLSTM on NSMC) can be reproduced and its
flaws measured against heads that lack them: `cnn` and `bilstm`. Neither looks at the attention
mask, so the same text gets other logits in another batch. Source: GitHub
`ilhoonkim/ElectraClassifierModeling`.
"""

from torch import Tensor, nn
from torch.nn import functional

from heads.base import Head


class SeedCNNHead(Head):
    """Dropout, gelu, one-channel 2-D convolution, ReLU, max-pool, ReLU, dropout, projection.

    Flawed: it sees no mask, so windows over padding compete in the max; a dropout and a gelu
    distort the encoder's output before anything is learned from it; the second ReLU does
    nothing. The original hard-wires a pooling window of 31 (texts of 32 tokens); here it is the
    whole padded length at hand. A text of a single token, for which the convolution has no
    window, gets one row of zeros behind it.

    Args:
        hidden_size: Width of the encoder's hidden states.
        num_labels: Number of logits.
        level: `sequence`.
        dropout: Dropout probability.
        num_filters: Filters; 768 in the original's code, 128 in its README.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        *,
        level: str,
        dropout: float = 0.1,
        num_filters: int = 128,
    ) -> None:
        super().__init__(hidden_size, num_labels, level=level, dropout=dropout)
        if num_filters < 1:
            raise ValueError(f"num_filters must be positive: {num_filters}")
        self.convolution = nn.Conv2d(1, num_filters, (2, hidden_size))
        self.out_proj = nn.Linear(num_filters, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Computes the logits. The mask is not looked at."""
        x = functional.gelu(self.dropout(hidden_states))  # [B, T, H]
        if x.shape[1] == 1:
            x = functional.pad(x, (0, 0, 0, 1))  # [B, 2, H]
        # The 2-D kernel spans the whole width, so it is a 1-D kernel with the width as
        # channels: the same numbers, about twice as fast on a CPU (scripts/bench.py).
        kernel = self.convolution.weight.squeeze(1).transpose(1, 2)  # [F, H, 2]
        x = functional.conv1d(x.transpose(1, 2), kernel, self.convolution.bias)  # [B, F, T - 1]
        x = x.relu().max(dim=-1).values  # [B, F]
        x = self.dropout(x.relu())  # [B, F]
        return self.out_proj(x)  # [B, C]


class SeedBiLSTMHead(Head):
    """Dropout, gelu, bidirectional LSTM, dropout, the output at the last position, projection.

    Flawed: it sees no mask, so in a padded row the last position is padding: the forward
    direction has read on through it. Padded or not, the backward direction's state there has
    read nothing but that one place, and its recurrent weights never learn.

    Args:
        hidden_size: Width of the encoder's hidden states; also the units per direction.
        num_labels: Number of logits.
        level: `sequence`.
        dropout: Dropout probability.
    """

    def __init__(
        self, hidden_size: int, num_labels: int, *, level: str, dropout: float = 0.1
    ) -> None:
        super().__init__(hidden_size, num_labels, level=level, dropout=dropout)
        self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True, bidirectional=True)
        self.out_proj = nn.Linear(2 * hidden_size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Computes the logits. The mask is not looked at."""
        x = functional.gelu(self.dropout(hidden_states))  # [B, T, H]
        x, _ = self.lstm(x)  # [B, T, 2H]; the initial state is zero unless given
        x = self.dropout(x)[:, -1]  # [B, 2H]
        return self.out_proj(x)  # [B, C]
