"""Texts with one label each."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict, Features, Value, load_dataset
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from tasks.base import DataFile, Task
from tasks.sources import BundledFile, DataError, SourceFile, find, sha256

VALIDATION_PERCENT = 10
TEST_PERCENT = 20  # of a file that is all there is


@dataclass(frozen=True)
class TextClassification(Task):
    """A declaration of where texts and labels stand in one or two tab-separated files.

    The files are read without quoting, and nothing in them means "missing": empty texts and
    texts such as "NA" are kept. A tenth of the training file, chosen by a hash of the id, is
    the validation split; without a test file another fifth of it is the test split.

    Attributes:
        name: The task's name.
        version: Raised whenever what is computed changes.
        train: The training file.
        test: The test file, if there is one.
        id_column: Column of the stable id.
        text_column: Column of the text.
        label_column: Column of the class index.
        label_names: One name per class.
    """

    name: str
    version: int
    train: SourceFile | BundledFile
    test: SourceFile | BundledFile | None
    id_column: str
    text_column: str
    label_column: str
    label_names: Sequence[str]
    problem_type: str = "single_label_classification"
    metric_names: Sequence[str] = ("accuracy", "macro_f1")
    main_metric: str = "accuracy"
    higher_is_better: bool = True

    def load(self, data_dir: Path | None) -> DatasetDict:
        """Loads the splits. See `Task.load`.

        Raises:
            DataError: If a file can't be had, lacks a column or has a label out of range.
        """
        whole = self._read(self.train, data_dir)
        percentile = np.array([id_percentile(identifier) for identifier in whole["id"]])
        validation = percentile < VALIDATION_PERCENT
        if self.test is None:
            in_test = ~validation & (percentile < VALIDATION_PERCENT + TEST_PERCENT)
            test = whole.select(np.flatnonzero(in_test))
        else:
            in_test = np.zeros(len(whole), dtype=bool)
            test = self._read(self.test, data_dir)
        return DatasetDict(
            train=whole.select(np.flatnonzero(~validation & ~in_test)),
            validation=whole.select(np.flatnonzero(validation)),
            test=test,
        )

    def _read(self, source: SourceFile | BundledFile, data_dir: Path | None) -> Any:
        path = find(source, data_dir)
        columns = (self.id_column, self.text_column, self.label_column)
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                header = file.readline().rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
        lacking = [column for column in columns if column not in header]
        if lacking:
            raise DataError(f"{path}: no column {lacking[0]!r}; its columns are {header}")
        try:
            table = load_dataset(
                "csv",
                data_files=str(path),
                split="train",
                delimiter="\t",
                quoting=3,
                keep_default_na=False,
                features=Features({column: Value("string") for column in header}),
            )
        except Exception as error:  # datasets wraps whatever its parser says in its own error
            cause = " ".join(str(error.__cause__ or error).split())
            raise DataError(f"{path}: {cause}") from error
        names = dict(zip(columns, ("id", "text", "label"), strict=True))
        table = table.select_columns(list(columns)).rename_columns(names)
        known = [str(index) for index in range(len(self.label_names))]
        for row, label in enumerate(table["label"], start=2):
            if label not in known:
                raise DataError(f"{path}, row {row}: label {label!r} is not one of {known}")
        return table.cast_column("label", Value("int64"))

    def files(self, data_dir: Path | None) -> list[DataFile]:
        """Lists the files. See `Task.files`."""
        return [
            DataFile(source.path, sha256(find(source, data_dir)), len(self._read(source, data_dir)))
            for source in (self.train, self.test)
            if source is not None
        ]

    def encode(
        self,
        batch: Mapping[str, Sequence[Any]],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> dict[str, list]:
        """Encodes texts. See `Task.encode`."""
        encoded = tokenizer(list(batch["text"]), truncation=True, max_length=max_length)
        # the collator makes the mask; one sentence has one token type
        return {"input_ids": encoded["input_ids"]}

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict]], dict]:
        """Pads to the longest of the batch. See `Task.collator`."""
        return DataCollatorWithPadding(tokenizer)

    def compute_metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Computes accuracy and macro F1. See `Task.compute_metrics`."""
        from tasks.metrics import Classification  # importing evaluate takes seconds

        return Classification().compute(predictions=self.decode(logits), references=labels)

    def decode(self, logits: np.ndarray) -> np.ndarray:
        """Takes the class with the largest logit. See `Task.decode`."""
        return logits.argmax(axis=-1)


def id_percentile(identifier: str) -> int:
    """Places an example by a hash of its id alone.

    Args:
        identifier: The example's stable id.

    Returns:
        0 to 99, each for about a hundredth of all ids, the same ones everywhere.
    """
    digest = hashlib.sha256(identifier.encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100
