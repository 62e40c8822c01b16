"""What a run leaves behind: one JSON record, and its test predictions as Parquet."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

SCHEMA_VERSION = 1


class RecordError(ValueError):
    """A file that is no record; the message names it."""


@dataclass
class RunRecord:
    """Everything a table, or a doubt about it, needs to know about one run.

    Attributes:
        experiment: Name, with `@variant` where overrides changed what is computed.
        task: The task's name.
        task_version: The task's version.
        encoder: Name, weights (`pretrained` or `random`), revision or checksum.
        head: The head's name and all its arguments.
        head_level: `sequence` or `token`.
        seed: Seed of weights, data order and dropout.
        max_length: Longest text in tokens.
        partial: Whether the data was cut short for a quick look.
        config_hash: Digest of everything that determines what is computed.
        parameters: Counts: `encoder`, `head`, `trainable`.
        data: `files` (path, sha256, rows) and rows per split.
        training_arguments: TrainingArguments in full.
        environment: Versions, git commit, whether the checkout was dirty.
        started: UTC time, ISO 8601.
        finished: UTC time, ISO 8601.
        status: `completed` or `failed`.
        error: What failed.
        metrics: Split -> metric -> value, fractions of 1.
        runtime: Seconds, samples per second, device, precision.
        schema_version: Version of this layout.
    """

    experiment: str
    task: str
    task_version: int
    encoder: dict[str, Any]
    head: dict[str, Any]
    head_level: str
    seed: int
    max_length: int
    partial: bool
    config_hash: str
    parameters: dict[str, int]
    data: dict[str, Any]
    training_arguments: dict[str, Any]
    environment: dict[str, Any]
    started: str
    finished: str | None = None
    status: str = "failed"
    error: str | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


def record_path(results_dir: Path, task: str, experiment: str, seed: int) -> Path:
    """Says where a record stands."""
    return results_dir / task / "records" / experiment / f"seed-{seed}.json"


def predictions_path(results_dir: Path, task: str, experiment: str, seed: int) -> Path:
    """Says where the predictions of a run stand."""
    return results_dir / task / "predictions" / experiment / f"seed-{seed}.parquet"


def write_record(record: RunRecord, results_dir: Path) -> Path:
    """Writes a record atomically, as strict JSON.

    Args:
        record: The record.
        results_dir: Where results go.

    Returns:
        Where it stands.

    Raises:
        ValueError: If a figure is NaN or infinite; nothing is written then.
    """
    text = json.dumps(
        dataclasses.asdict(record), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False
    )
    path = record_path(results_dir, record.task, record.experiment, record.seed)
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))
    return path


def read_record(path: Path) -> RunRecord:
    """Reads a record.

    Args:
        path: The JSON file.

    Returns:
        The record.

    Raises:
        RecordError: If it is no record of this schema.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {fields['schema_version']}, not {SCHEMA_VERSION}")
        return RunRecord(**fields)
    except (TypeError, KeyError, ValueError) as error:
        raise RecordError(
            f"{path} is no record ({error}); move it away, and its cell runs again"
        ) from error


def read_records(results_dir: Path, task: str) -> list[RunRecord]:
    """Reads all records of a task, by experiment and seed."""
    paths = (results_dir / task / "records").glob("*/seed-*.json")
    records = [read_record(path) for path in paths]
    return sorted(records, key=lambda record: (record.experiment, record.seed))


def write_predictions(
    path: Path,
    *,
    ids: Sequence[str],
    labels: np.ndarray,
    predictions: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Writes test predictions in data set order, atomically; the same rows give the same bytes.

    Args:
        path: The Parquet file.
        ids: Stable ids, [N].
        labels: Labels, [N].
        predictions: Predictions, [N].
        logits: float [N, C].
    """
    table = pyarrow.table(
        {
            "id": pyarrow.array(ids, pyarrow.string()),
            "label": pyarrow.array(labels),
            "prediction": pyarrow.array(predictions),
            "logits": pyarrow.array(
                list(logits.astype(np.float32)), pyarrow.list_(pyarrow.float32())
            ),
        }
    )
    write_atomically(
        path,
        lambda temporary: pyarrow.parquet.write_table(table, temporary, compression="zstd"),
    )


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes beside the place and moves there, so that no reader meets half a file.

    Args:
        path: Where the file goes; its directory is made.
        write: Writes the content to the path it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
