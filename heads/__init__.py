"""What sits on the encoder: the catalogue of heads, and the model that carries one.

| name | what it computes | levels |
| --- | --- | --- |
| `fc` | [CLS], dense, activation, projection: ELECTRA's and RoBERTa's own head | sequence |
| `cnn` | convolutions of several widths, masked max over time, projection | sequence, token |
| `bilstm` | packed BiLSTM, last real state of each direction, projection | sequence, token |
| `seed_cnn` | the original repository's CNN: unmasked max-pool | sequence |
| `seed_bilstm` | the original repository's BiLSTM: reads the last padded place | sequence |

To add a head, write one file with a subclass of `Head` and give it a line in `HEADS`; the tests
run over `HEADS` and hold the new head to the contract from then on.
"""

from typing import Any

from heads.base import LEVELS, Head
from heads.bilstm import BiLSTMHead
from heads.cnn import CNNHead
from heads.fc import FCHead
from heads.seed import SeedBiLSTMHead, SeedCNNHead

HEADS: dict[str, type[Head]] = {
    "fc": FCHead,
    "cnn": CNNHead,
    "bilstm": BiLSTMHead,
    "seed_cnn": SeedCNNHead,
    "seed_bilstm": SeedBiLSTMHead,
}


def build_head(name: str, hidden_size: int, num_labels: int, *, level: str, **kwargs: Any) -> Head:
    """Builds a head by its name.

    Args:
        name: A key of `HEADS`.
        hidden_size: Width of the encoder's hidden states.
        num_labels: Number of logits.
        level: `sequence` or `token`.
        **kwargs: The head's own arguments.

    Returns:
        The head, freshly initialised.

    Raises:
        ValueError: If there is no such head, or an argument is out of range.
    """
    if name not in HEADS:
        raise ValueError(f"unknown head {name!r}; known: {', '.join(HEADS)}")
    return HEADS[name](hidden_size, num_labels, level=level, **kwargs)


# Behind the catalogue, which the models read; importing it registers them with transformers.
from heads.headed_model import HeadedConfig, HeadedModelForSequenceClassification  # noqa: E402

__all__ = [
    "HEADS",
    "LEVELS",
    "Head",
    "HeadedConfig",
    "HeadedModelForSequenceClassification",
    "build_head",
]
