"""Records and predictions: strict, atomic, the same bytes for the same content."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from experiments.record import (
    RunRecord,
    predictions_path,
    read_record,
    read_records,
    record_path,
    write_predictions,
    write_record,
)


def make_record(**changed):
    fields = {
        "experiment": "fc_nsmc",
        "task": "nsmc",
        "task_version": 1,
        "encoder": {"name": "some/encoder"},
        "head": {"name": "fc"},
        "head_level": "sequence",
        "seed": 3,
        "max_length": 128,
        "partial": False,
        "config_hash": "0" * 64,
        "parameters": {"encoder": 10, "head": 2},
        "data": {"files": []},
        "training_arguments": {},
        "environment": {"python": "3.11"},
        "started": "2026-01-01T00:00:00+00:00",
        "status": "completed",
        "metrics": {"test": {"accuracy": 0.1 + 0.2}},
    }
    return RunRecord(**(fields | changed))


def files(directory):
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = make_record(error="한국어 오류")
    path = write_record(record, tmp_path)
    assert path == tmp_path / "nsmc" / "records" / "fc_nsmc" / "seed-3.json"
    assert read_record(path) == record
    assert read_record(path).metrics["test"]["accuracy"] == 0.1 + 0.2  # every bit
    assert files(tmp_path) == ["seed-3.json"]


def test_a_figure_that_is_no_number_is_refused_and_nothing_is_lost(tmp_path):
    path = write_record(make_record(), tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_record(make_record(metrics={"test": {"accuracy": float("nan")}}), tmp_path)
    assert path.read_bytes() == before
    assert files(tmp_path) == ["seed-3.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_record(make_record(), tmp_path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_record(make_record(seed=3, status="failed"), tmp_path)
    assert path.read_bytes() == before
    assert files(tmp_path) == ["seed-3.json"]


@pytest.mark.parametrize(
    "content", ["", "{}", '{"schema_version": 99}', '{"schema_version": 1, "surprise": 1}', "[]"]
)
def test_what_is_no_record_is_told_with_its_path(tmp_path, content):
    path = tmp_path / "seed-1.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"seed-1\.json is no record"):
        read_record(path)


def test_records_come_by_experiment_and_seed(tmp_path):
    for experiment, seed in (("fc_nsmc", 10), ("cnn_nsmc", 1), ("fc_nsmc", 2)):
        write_record(make_record(experiment=experiment, seed=seed), tmp_path)
    read = read_records(tmp_path, "nsmc")
    assert [(record.experiment, record.seed) for record in read] == [
        ("cnn_nsmc", 1),
        ("fc_nsmc", 2),
        ("fc_nsmc", 10),
    ]
    assert read_records(tmp_path, "other") == []


def test_record_and_predictions_stand_side_by_side(tmp_path):
    assert record_path(tmp_path, "t", "e@v", 1) == tmp_path / "t/records/e@v/seed-1.json"
    assert (
        predictions_path(tmp_path, "t", "e@v", 1) == tmp_path / "t/predictions/e@v/seed-1.parquet"
    )


def test_predictions_keep_order_and_bits_and_give_the_same_bytes(tmp_path):
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    content = {
        "ids": ["z", "a", "10", "2", "b"],
        "labels": np.array([0, 1, 2, 0, 1]),
        "predictions": logits.argmax(axis=1),
        "logits": logits,
    }
    for name in ("one", "two"):
        write_predictions(tmp_path / name / "seed-1.parquet", **content)
    one, two = (tmp_path / name / "seed-1.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    table = pyarrow.parquet.read_table(one)
    assert table.column_names == ["id", "label", "prediction", "logits"]
    assert table["id"].to_pylist() == content["ids"]
    assert table["prediction"].to_pylist() == content["predictions"].tolist()
    assert np.array_equal(np.array(table["logits"].to_pylist(), dtype=np.float32), logits)
    assert files(tmp_path) == ["seed-1.parquet"] * 2


def test_a_record_is_plain_json(tmp_path):
    path = write_record(make_record(), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))
