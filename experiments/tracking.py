"""Mirrors a run to Weights & Biases: offline unless asked otherwise, never in the way."""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from experiments import Experiment

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def wandb_run(experiment: Experiment, seed: int, directory: Path) -> Iterator[None]:
    """Opens a W&B run for one cell and finishes it, so that the next cell gets its own.

    The Trainer's own callback logs to the run that is open. Runs are grouped by task, their job
    type is the head. `WANDB_MODE` and `WANDB_PROJECT` are honoured; without `WANDB_MODE` nothing
    leaves the machine, and where the server can't be had the run is offline.

    Args:
        experiment: The experiment.
        seed: The cell's seed.
        directory: Where the run's files go, under `wandb/`.

    Yields:
        Nothing.
    """
    import wandb  # takes a second; only runs that report to it pay

    directory.mkdir(parents=True, exist_ok=True)
    mode = os.environ.get("WANDB_MODE", "offline")
    start = functools.partial(
        wandb.init,
        project=os.environ.get("WANDB_PROJECT", "head2head"),
        group=experiment.task,
        job_type=experiment.head["name"],
        name=f"{experiment.name}/seed-{seed}",
        dir=str(directory),
        # under one key: the Trainer writes its own `head` and `seed` beside it
        config={"head2head": {**dataclasses.asdict(experiment), "run_seed": seed}},
        settings=wandb.Settings(silent=True, init_timeout=30),
    )
    try:
        run = start(mode=mode)
    except wandb.Error as error:
        logger.warning("W&B (%s): %s; this run is logged offline", mode, error)
        mode = "offline"
        run = start(mode=mode)
    try:
        yield
    finally:
        files = os.path.relpath(Path(run.dir).parent)
        run.finish()
        if mode == "offline":
            logger.info("W&B (offline): files in %s; `wandb sync %s` uploads them", files, files)
