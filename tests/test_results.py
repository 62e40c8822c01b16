"""The committed results: of experiments as they stand, and in step with their predictions."""

import functools
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from experiments import config_hash, load_experiment
from experiments.record import predictions_path, read_record
from tasks import TASKS

RESULTS = Path(__file__).resolve().parent.parent / "results"
PATHS = sorted(RESULTS.glob("*/records/*/seed-*.json"))
every_record = pytest.mark.parametrize("path", PATHS, ids=lambda p: f"{p.parent.name}/{p.stem}")


@functools.cache
def whole_test_split(task, data_dir):
    test = TASKS[task].load(data_dir)["test"]
    return test["id"][:], np.array(test["label"][:])


def test_there_are_records():
    assert PATHS


@every_record
def test_a_record_is_of_its_experiment_as_it_stands(path):
    record = read_record(path)
    assert record.status == "completed"
    assert record.config_hash == config_hash(load_experiment(record.experiment))
    assert record.environment["git_dirty"] is False
    assert not record.partial


@every_record
def test_figures_follow_from_the_predictions(path):
    record = read_record(path)
    saved = pyarrow.parquet.read_table(
        predictions_path(RESULTS, record.task, record.experiment, record.seed)
    )
    assert saved.num_rows == record.data["test_rows"]
    logits = np.array(saved["logits"].to_pylist(), dtype=np.float32)
    task = TASKS[record.task]
    assert saved["prediction"].to_pylist() == task.decode(logits).tolist()
    metrics = task.compute_metrics(logits, saved["label"].to_numpy())
    for name, value in metrics.items():
        assert record.metrics["test"][name] == pytest.approx(value, abs=1e-12)


@pytest.mark.real_data
@every_record
def test_predictions_stand_in_data_set_order(path, data_dir):
    record = read_record(path)
    saved = pyarrow.parquet.read_table(
        predictions_path(RESULTS, record.task, record.experiment, record.seed)
    )
    ids, labels = whole_test_split(record.task, data_dir)
    assert saved["id"].to_pylist() == ids
    assert saved["label"].to_pylist() == labels.tolist()
