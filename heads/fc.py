"""The head that ELECTRA and RoBERTa ship with: a dense layer on [CLS]."""

from typing import Any, ClassVar

from torch import Tensor, nn
from transformers.activations import get_activation

from heads.base import Head
from heads.masking import first_token


class FCHead(Head):
    """[CLS], dropout, dense, activation, dropout, projection.

    With `activation="gelu"` this is `ElectraClassificationHead` of transformers, with `"tanh"`
    `RobertaClassificationHead`, dropout places included.

    Args:
        hidden_size: Width of the encoder's hidden states.
        num_labels: Number of logits.
        level: `sequence`.
        dropout: Dropout probability, before the dense layer and before the projection.
        activation: A name known to `transformers.activations.get_activation`. Follows the
            encoder's family unless given.
    """

    family_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "electra": {"activation": "gelu"},
        "roberta": {"activation": "tanh"},
        "xlm-roberta": {"activation": "tanh"},
        "camembert": {"activation": "tanh"},
    }

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        *,
        level: str,
        dropout: float = 0.1,
        activation: str = "tanh",
    ) -> None:
        super().__init__(hidden_size, num_labels, level=level, dropout=dropout)
        try:
            self.activation = get_activation(activation)
        except KeyError as error:
            raise ValueError(f"unknown activation {activation!r}: gelu, tanh, relu, ...") from error
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Computes the logits. See `Head.forward`."""
        x = first_token(hidden_states, attention_mask)  # [B, H]
        x = self.dense(self.dropout(x))  # [B, H]
        x = self.dropout(self.activation(x))  # [B, H]
        return self.out_proj(x)  # [B, C]
