"""The picture of a pretraining: every phase, every probe, on one clock."""

import json

import pytest

from reports.pretraining_curves import _Clock, write_curves

pytest.importorskip("matplotlib", reason="needs matplotlib (the extra `pretrain`)")

MLM = {
    "log": [
        {"loss": 7.0, "step": 50, "seconds": 1800.0},
        {"eval_mlm_loss": 6.5, "eval_loss": 6.5, "step": 50},
        {"loss": 6.0, "step": 100, "seconds": 3600.0},
        {"eval_mlm_loss": 5.5, "eval_loss": 5.5, "step": 100},
    ],
    "probes": [
        {"step": 0, "rows": 1200, "accuracy": 0.70},
        {"step": 100, "rows": 1200, "accuracy": 0.80},
    ],
}
RTD = {
    "log": [
        {"loss": 20.0, "step": 10, "seconds": 360.0},
        {"eval_mlm_loss": 5.4, "eval_rtd_loss": 0.3, "eval_loss": 20.4, "step": 10},
    ],
    "probes": [{"step": 10, "rows": 10000, "accuracy": 0.84}],
}


def test_steps_become_hours_that_run_on():
    first = _Clock(MLM["log"], 0.0)
    assert [first.hours(step) for step in (0, 50, 100)] == [0.0, 0.5, 1.0]
    second = _Clock(RTD["log"], first.end)
    assert [second.hours(step) for step in (0, 10)] == [1.0, pytest.approx(1.1)]


@pytest.mark.parametrize("phases", [[MLM], [MLM, RTD], [{"log": [], "probes": []}]])
def test_a_picture_is_written(tmp_path, phases):
    (tmp_path / "pretraining.json").write_text(json.dumps({"phases": phases}), encoding="utf-8")
    path = write_curves(tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")
    first = path.read_bytes()
    assert write_curves(tmp_path).read_bytes() == first
