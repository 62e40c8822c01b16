"""Where a run was made."""

import subprocess

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from experiments import environment as module


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    git("init", "-q")
    for name in ("code.py", "README.md"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    return tmp_path


def fresh():
    module.environment.cache_clear()
    return module.environment()


def test_a_clean_checkout(checkout):
    found = fresh()
    assert len(found["git_commit"]) == 40
    assert found["git_dirty"] is False
    assert found["torch"] == torch.__version__


@pytest.mark.parametrize("name", ["code.py", "new.py", "experiments/mine/experiment.json"])
def test_what_is_changed_or_new_makes_it_dirty(checkout, name):
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("2")
    assert fresh()["git_dirty"] is True


@pytest.mark.parametrize("name", ["README.md", "results/nsmc/table.md"])
def test_what_a_run_writes_does_not(checkout, name):
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("2")
    assert fresh()["git_dirty"] is False


def test_a_commit_made_meanwhile_is_not_what_runs(checkout):
    before = fresh()
    (checkout / "code.py").write_text("2")
    assert module.environment() == before


def test_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    found = fresh()
    assert found["git_commit"] is None
    assert found["git_dirty"] is None


@pytest.mark.parametrize(("asked", "says"), [("no", "fp32"), ("bf16", "bf16")])
def test_precision_is_that_of_the_launcher_too(monkeypatch, asked, says):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        assert module.precision(Accelerator(cpu=True)) == says
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
