"""The probe that judges a pretrained encoder: a short fine-tuning, scored on validation."""

import concurrent.futures
import multiprocessing
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from experiments import ExperimentError, load_experiment, override
from experiments.runner import run_experiment
from tasks import TASKS

SAMPLES_SEEN = 10_000  # by one probe, whatever the number of its rows: equal budgets
MOST_EPOCHS = 8
EVALUATED = 5_000
# what a launcher sets; a probe is one process, whoever started it
LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Probe:
    """A fine-tuning that is the same for every encoder.

    Attributes:
        experiment: An experiment's name; its encoder is replaced.
        rows: Training rows.
        seed: Seed of the fine-tuning.
        data_dir: Where the task's files are.
    """

    experiment: str
    rows: int
    seed: int = 1
    data_dir: Path | None = None

    @property
    def epochs(self) -> int:
        """Passes over the rows."""
        return min(MOST_EPOCHS, max(1, round(SAMPLES_SEEN / self.rows)))


def probe_accuracy(encoder: Path, probe: Probe) -> float:
    """Fine-tunes and scores an encoder in a process of its own, which leaves nothing behind.

    Another process, because a run seeds the global generators and sets up accelerate anew, and
    the pretraining that asks for the probe is to go on as if nothing had happened.

    Args:
        encoder: The encoder's directory.
        probe: The fine-tuning.

    Returns:
        The main metric on (at most 5,000 examples of) the validation split.

    Raises:
        ExperimentError: If the fine-tuning failed.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_fine_tune, encoder, probe).result()


def _fine_tune(encoder: Path, probe: Probe) -> float:
    for name in LAUNCHER:
        os.environ.pop(name, None)
    experiment = override(
        load_experiment(probe.experiment),
        training_args={
            "num_train_epochs": probe.epochs,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "logging_strategy": "no",
            "disable_tqdm": True,
            "report_to": "none",
        },
        encoder=str(encoder.resolve()),
        max_train_samples=probe.rows,
        max_eval_samples=EVALUATED,
        variant="probe",
    )
    with tempfile.TemporaryDirectory() as scratch:
        record = run_experiment(
            experiment,
            probe.seed,
            data_dir=probe.data_dir,
            runs_dir=Path(scratch) / "runs",
            results_dir=Path(scratch) / "results",
        )
    if record.status == "failed":
        raise ExperimentError(f"probe of {encoder}: {record.error}")
    return record.metrics["validation"][TASKS[record.task].main_metric]
