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


def train(output, processes, settings):
    output.mkdir()
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc_per_node", str(processes)]
    done = subprocess.run(
        [*launcher, str(PROGRAM), str(output), json.dumps(settings)],
        env={
            **os.environ,
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    ranks = [json.loads((output / f"rank-{n}.json").read_text()) for n in range(processes)]
    assert [rank["processes"] for rank in ranks] == [processes] * processes
    return ranks


@pytest.mark.parametrize(
    "settings",
    [
        {"problem_type": "regression", "class_weights": None, "evaluate_first": True},
        {
            "problem_type": "single_label_classification",
            "class_weights": [0.1, 1.0, 5.0],
            "evaluate_first": False,
        },
        {
            "problem_type": "single_label_classification",
            "class_weights": None,
            "evaluate_first": True,
        },
    ],
    ids=["regression-evaluated-first", "class-weights", "unlabelled-evaluated-first"],
)
def test_two_processes_do_what_one_does(tmp_path, settings):
    settings = {"total_batch": 8, **settings}
    (one,) = train(tmp_path / "one", 1, settings)
    first, second = train(tmp_path / "two", 2, settings)
    assert len(one["losses"]) == 10
    assert max(one["losses"]) - min(one["losses"]) > 1e-3
    for rank in (first, second):
        assert rank["norms"] == pytest.approx(one["norms"], rel=1e-4)
        np.testing.assert_allclose(rank["logits"], one["logits"], atol=1e-4)
        assert rank["labels"] == one["labels"]
        assert rank["after"] == pytest.approx(one["after"], abs=1e-5)
        assert rank["before"] == pytest.approx(one["before"], abs=1e-5)
    assert first["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert first["weights"] == second["weights"]  # bit for bit
    assert one["after"]["test_seen"] == 37
