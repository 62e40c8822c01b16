"""What can be known to be wrong before anything is trained; and the run's TrainingArguments."""

import sys
from pathlib import Path

import torch
from transformers import TrainingArguments

from experiments import Experiment, ExperimentError, config_hash
from experiments.encoders import encoder_config
from experiments.validation import nearest
from tasks import TASKS


def check_request(experiment: Experiment, seed: int, runs_dir: Path) -> None:
    """Refuses a cell that can't be run, in seconds: its arguments and its encoder.

    Args:
        experiment: What to run.
        seed: Seed of the cell.
        runs_dir: Where checkpoints would go.

    Raises:
        ExperimentError: If the arguments contradict each other, or the encoder can't be had.
    """
    training_arguments(experiment, seed, runs_dir / experiment.name / f"seed-{seed}")
    encoder_config(experiment)


def training_arguments(experiment: Experiment, seed: int, directory: Path) -> TrainingArguments:
    """Completes the experiment's arguments with what belongs to the run and the machine.

    Args:
        experiment: What to run.
        seed: Seed of the cell.
        directory: The cell's directory in the runs.

    Returns:
        The arguments.

    Raises:
        ExperimentError: If they contradict each other, or name a metric the task lacks.
    """
    machine = {
        # bars where someone looks, lines in a log
        "disable_tqdm": not sys.stderr.isatty(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    try:
        args = TrainingArguments(
            **{**machine, **experiment.training_args},
            output_dir=str(checkpoints_dir(experiment, directory)),
            run_name=f"{experiment.name}/seed-{seed}",
            seed=seed,
            data_seed=seed,
        )
    except (TypeError, ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split())
        raise ExperimentError(f"training arguments of {experiment.name}: {message}") from error
    metric = (args.metric_for_best_model or "loss").removeprefix("eval_")
    known = ("loss", *TASKS[experiment.task].metric_names)
    if metric not in known:
        raise ExperimentError(
            f"training arguments of {experiment.name}: 'metric_for_best_model' is {metric!r}, "
            f"which {experiment.task} has not; {nearest(metric, known)}"
        )
    return args


def checkpoints_dir(experiment: Experiment, directory: Path) -> Path:
    """Names the checkpoints after the configuration, so that no other is ever resumed.

    Args:
        experiment: What is run.
        directory: The cell's directory in the runs.

    Returns:
        A directory in it.
    """
    return directory / f"checkpoints-{config_hash(experiment)[:12]}"


def make_directories(*directories: Path) -> None:
    """Makes the folders a run writes to, before hours are spent on what can't be written.

    Args:
        *directories: The folders.

    Raises:
        ExperimentError: If one can't be made.
    """
    for directory in directories:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExperimentError(
                f"{directory} can't be written to: {error.strerror}; name another folder with "
                "--runs_dir and --results_dir"
            ) from error
