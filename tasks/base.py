"""What every task gives: splits, encoding, collation, metrics, decoding."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class DataFile:
    """A file that a task read.

    Attributes:
        path: Its place in a data folder.
        sha256: The checksum of what was read.
        rows: Examples in it.
    """

    path: str
    sha256: str
    rows: int


class Task(ABC):
    """What is learned.

    Attributes:
        name: The task's name, a key of `TASKS`.
        version: Raised whenever the splits, the encoding or the metrics change.
        problem_type: `single_label_classification`, `multi_label_classification` or
            `regression`.
        label_names: One name per logit.
        metric_names: What `compute_metrics` gives.
        main_metric: The metric that checkpoints are chosen by and tables show.
        higher_is_better: Whether a larger main metric is better.
    """

    name: str
    version: int
    problem_type: str
    label_names: Sequence[str]
    metric_names: Sequence[str]
    main_metric: str
    higher_is_better: bool

    @abstractmethod
    def load(self, data_dir: Path | None) -> DatasetDict:
        """Loads `train`, `validation` and `test`, each with `id`, `text` and `label`."""

    @abstractmethod
    def files(self, data_dir: Path | None) -> list[DataFile]:
        """Lists the files behind the splits."""

    @abstractmethod
    def encode(
        self,
        batch: Mapping[str, Sequence[Any]],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> dict[str, list]:
        """Turns texts into token ids, truncated and not padded."""

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict]], dict]:
        """Gives what makes a batch of encoded examples, padded to its longest."""

    @abstractmethod
    def compute_metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Computes the metrics, fractions of 1."""

    @abstractmethod
    def decode(self, logits: np.ndarray) -> np.ndarray:
        """Turns logits [N, C] into predictions [N]."""
