"""One process with batch 8 against two with batch 4: the same losses, gradients, predictions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PROGRAM = REPOSITORY / "tests" / "process_training.py"


def launch(program, processes, *arguments):
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc_per_node", str(processes)]
    return subprocess.run(
        [*launcher, str(program), *arguments],
        env={
            **os.environ,
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


def train(output, processes, settings):
    output.mkdir()
    done = launch(PROGRAM, processes, str(output), json.dumps(settings))
    assert done.returncode == 0, done.stderr[-6000:]
    ranks = [json.loads((output / f"rank-{n}.json").read_text()) for n in range(processes)]
    assert [rank["processes"] for rank in ranks] == [processes] * processes
    return ranks


FAILING = """
import sys
from pathlib import Path
from experiments import load_experiment, override
from experiments.runner import run_experiment
from trainers import HeadTrainer

whole = HeadTrainer.compute_loss

def compute_loss(self, *args, **kwargs):
    if self.args.process_index == 1:
        raise RuntimeError("out of memory")
    return whole(self, *args, **kwargs)

HeadTrainer.compute_loss = compute_loss
experiment = override(
    load_experiment("fc_nsmc_scratch"), training_args={"report_to": "none"},
    max_train_samples=32, max_eval_samples=8, variant="t",
)
place = Path(sys.argv[1])
run_experiment(
    experiment, 1, data_dir=place / "data", runs_dir=place / "runs", results_dir=place / "results"
)
"""


def test_what_fails_on_one_process_ends_both_and_leaves_a_record(tmp_path, tiny_nsmc):
    program = tmp_path / "program.py"
    program.write_text(FAILING)
    done = launch(program, 2, str(tmp_path))
    assert done.returncode == 1
    (path,) = tmp_path.glob("results/nsmc/records/fc_nsmc_scratch@t/seed-1.json")
    record = json.loads(path.read_text())
    assert (record["status"], record["error"]) == ("failed", "RuntimeError: out of memory")


PLAIN = {
    "rows": 40,
    "steps": 1,
    "problem_type": "single_label_classification",
    "class_weights": None,
    "smoothing": 0.0,
    "evaluate_first": False,
}


@pytest.mark.parametrize(
    "changed",
    [
        {"evaluate_first": True},
        # of the last 2 rows the second process has none; accelerate fills up with others
        {"rows": 42, "class_weights": [0.1, 1.0, 5.0], "smoothing": 0.2},
        {"rows": 46, "steps": 2, "problem_type": "regression", "evaluate_first": True},
    ],
    ids=["evaluated-first", "ragged-weighted-smoothed", "ragged-accumulated-regression"],
)
def test_two_processes_do_what_one_does(tmp_path, changed):
    settings = PLAIN | changed
    (one,) = train(tmp_path / "one", 1, settings)
    first, second = train(tmp_path / "two", 2, settings)
    assert len(one["losses"]) == 2 * -(-settings["rows"] // 8)
    assert max(one["losses"]) - min(one["losses"]) > 1e-3
    for rank in (first, second):
        assert rank["norms"] == pytest.approx(one["norms"], rel=1e-5)
        np.testing.assert_allclose(rank["logits"], one["logits"], rtol=1e-5, atol=1e-5)
        assert rank["labels"] == one["labels"]
        assert rank["after"] == pytest.approx(one["after"], rel=1e-5)
        if settings["evaluate_first"]:
            assert rank["before"] == pytest.approx(one["before"], rel=1e-5)
    assert first["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert first["weights"] == second["weights"]  # bit for bit
    assert one["after"]["test_seen"] == 37
