"""The W&B mirror: offline by default, grouped, one finished run per cell."""

import logging

import pytest
import wandb

from experiments import load_experiment
from experiments.tracking import wandb_run


@pytest.fixture(autouse=True)
def without_settings(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def test_a_run_is_offline_grouped_and_finished(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    experiment = load_experiment("cnn_nsmc")
    for seed in (1, 2):
        with wandb_run(experiment, seed, tmp_path):
            run = wandb.run
            assert run.offline
            assert (run.group, run.job_type) == ("nsmc", "cnn")
            assert run.name == f"cnn_nsmc/seed-{seed}"
            # under one key: the Trainer has a `head` and a `seed` of its own
            assert run.config["head2head"]["head"]["name"] == "cnn"
            assert run.config["head2head"]["run_seed"] == seed
            run.log({"loss": 0.5})
        assert wandb.run is None
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) == 2
    lines = [record.message for record in caplog.records if "wandb sync" in record.message]
    assert len(lines) == 2
    assert all("offline-run-" in line for line in lines)


def test_a_run_that_fails_is_finished_too(tmp_path):
    with (
        pytest.raises(RuntimeError, match="halt"),
        wandb_run(load_experiment("fc_nsmc"), 1, tmp_path),
    ):
        raise RuntimeError("halt")
    assert wandb.run is None


def test_without_a_server_it_is_offline(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "online")
    start = wandb.init

    def init(mode, **settings):
        if mode == "online":
            raise wandb.errors.CommError("no route to host")
        return start(mode=mode, **settings)

    monkeypatch.setattr(wandb, "init", init)
    with wandb_run(load_experiment("fc_nsmc"), 1, tmp_path):
        assert wandb.run.offline
    assert "no route to host; this run is logged offline" in caplog.text


def test_it_can_be_switched_off(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with wandb_run(load_experiment("fc_nsmc"), 1, tmp_path):
        pass
    assert not list(tmp_path.rglob("*.wandb"))
