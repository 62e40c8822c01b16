"""Figures that others published, to stand below ours and never among them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A figure as its source gives it.

    Attributes:
        encoder: The encoder, as the source names it.
        head: The head on it.
        figure: Test metric, a fraction of 1, with the digits of the source.
        source: Where it is published.
    """

    encoder: str
    head: str
    figure: str
    source: str


_SEED = "GitHub `ilhoonkim/ElectraClassifierModeling`, README; one run each"
_KOELECTRA = "GitHub `monologg/KoELECTRA`, finetune/README"

# accuracy on the 50,000 test reviews
REFERENCES: dict[str, tuple[Reference, ...]] = {
    "nsmc": (
        Reference("KoELECTRA-base", "FC", "0.90644", _SEED),
        Reference("KoELECTRA-base", "CNN", "0.90642", _SEED),
        Reference("KoELECTRA-base", "BiLSTM", "0.90758", _SEED),
        Reference("KoELECTRA-base-v3", "FC", "0.9063", _KOELECTRA),
        Reference("KoELECTRA-small-v3", "FC", "0.8936", _KOELECTRA),
        Reference("KoBERT", "FC", "0.8959", _KOELECTRA),
        Reference("XLM-RoBERTa-base", "FC", "0.8903", _KOELECTRA),
        Reference("DistilKoBERT", "FC", "0.8860", _KOELECTRA),
    ),
}
