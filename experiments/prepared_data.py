"""Tokenizer and encoded splits of an experiment, prepared once per process for all its cells."""

import functools
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from experiments import Experiment
from experiments.encoders import build_tokenizer
from tasks import TASKS
from tasks.base import DataFile

logger = logging.getLogger(__name__)

SHUFFLE_SEED = 0  # of the subset that a quick look takes; the same for every seed and head
MOST_UNKNOWN = 0.05  # of the training tokens, before it is said aloud


@dataclass(frozen=True)
class PreparedData:
    """What the cells of a comparison share.

    Attributes:
        tokenizer: The encoder's tokenizer.
        splits: `train`, `validation` and `test`, encoded, with `labels`.
        ids: Example ids of the test split, in data set order.
        files: The files read, with checksums.
        partial: Whether the splits were cut short by `max_train_samples` or
            `max_eval_samples`.
    """

    tokenizer: PreTrainedTokenizerBase
    splits: dict[str, Dataset]
    ids: list[str]
    files: list[DataFile]
    partial: bool


def prepare_data(experiment: Experiment, data_dir: Path | None = None) -> PreparedData:
    """Loads, cuts and encodes the data of an experiment; the second call for the same is free.

    Args:
        experiment: The experiment.
        data_dir: Where the task's files are; downloaded unless given.

    Returns:
        The prepared data.

    Raises:
        ExperimentError: If the encoder's tokenizer can't be found.
        tasks.sources.DataError: If the files can't be found or read.
    """
    encoder = json.dumps(experiment.encoder, sort_keys=True)
    return _prepare(
        experiment.task,
        encoder,
        experiment.max_length,
        data_dir,
        experiment.max_train_samples,
        experiment.max_eval_samples,
    )


@functools.lru_cache(maxsize=2)
def _prepare(
    task_name: str,
    encoder: str,
    max_length: int,
    data_dir: Path | None,
    max_train_samples: int | None,
    max_eval_samples: int | None,
) -> PreparedData:
    task = TASKS[task_name]
    whole = task.load(data_dir)
    tokenizer = build_tokenizer(json.loads(encoder), whole["train"]["text"])
    limits = {"train": max_train_samples, "validation": max_eval_samples, "test": max_eval_samples}
    splits, partial = {}, False
    for name, limit in limits.items():
        examples = whole[name]
        if limit is not None and limit < len(examples):
            examples = examples.shuffle(seed=SHUFFLE_SEED).select(range(limit))
            partial = True
        encoded = task.encode(examples[:], tokenizer, max_length)
        splits[name] = Dataset.from_dict({**encoded, "labels": examples["label"][:]})
        if name == "test":
            ids = list(examples["id"])
        logger.info("%s %s: %d examples", task_name, name, len(examples))
    _look_for_unknown_pieces(splits["train"], tokenizer)
    return PreparedData(tokenizer, splits, ids, task.files(data_dir), partial)


def _look_for_unknown_pieces(train: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
    """Warns when the tokenizer does not know the texts: one that lower-cases splits Hangul."""
    tokens = train.with_format("arrow")[:]["input_ids"].combine_chunks().flatten().to_numpy()
    unknown = float((tokens == tokenizer.unk_token_id).mean())
    if unknown > MOST_UNKNOWN:
        logger.warning(
            "%.0f%% of the training tokens are %s: is this the tokenizer for these texts?",
            100 * unknown,
            tokenizer.unk_token,
        )
