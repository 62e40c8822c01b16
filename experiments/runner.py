"""Runs one cell: an experiment with a seed, from files to a record."""

import contextlib
import gc
import logging
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from transformers import TrainingArguments, set_seed

from experiments import Experiment, ExperimentError, config_hash
from experiments.encoders import build_model, encoder_entry
from experiments.environment import device_name, environment, precision
from experiments.prepared_data import PreparedData, prepare_data
from experiments.record import (
    RunRecord,
    predictions_path,
    read_record,
    record_path,
    write_predictions,
    write_record,
)
from experiments.tracking import wandb_run
from heads import HeadedModelForSequenceClassification
from tasks import TASKS
from trainers import HeadTrainer

logger = logging.getLogger(__name__)


def run_experiment(
    experiment: Experiment,
    seed: int,
    *,
    data_dir: Path | None = None,
    runs_dir: Path = Path("runs"),
    results_dir: Path = Path("results"),
) -> RunRecord:
    """Trains and evaluates one cell, and leaves a record, predictions and the model behind.

    The checkpoint is chosen on validation; the test split is read once, at the end. A run that
    was killed goes on from its newest whole checkpoint.

    Args:
        experiment: What to run.
        seed: Seed of weights, data order and dropout.
        data_dir: Where the task's files are; downloaded unless given.
        runs_dir: Where checkpoints, the model and W&B files go.
        results_dir: Where the record and the predictions go.

    Returns:
        The record, `completed`, or `failed` with the error.

    Raises:
        ExperimentError: If the request is wrong: an encoder that can't be had, arguments that
            contradict each other.
        tasks.sources.DataError: If the data can't be had.
    """
    data = prepare_data(experiment, data_dir)
    directory = runs_dir / experiment.name / f"seed-{seed}"
    args = _training_arguments(experiment, seed, directory)
    # seeded before the model is built: its head is random
    set_seed(seed)
    model = build_model(experiment, data.tokenizer)
    record = RunRecord(
        experiment=experiment.name,
        task=experiment.task,
        task_version=TASKS[experiment.task].version,
        encoder=encoder_entry(experiment, model, data.tokenizer),
        head=model.config.head,
        head_level=model.level,
        seed=seed,
        max_length=experiment.max_length,
        partial=data.partial,
        config_hash=config_hash(experiment),
        parameters={
            "encoder": model.encoder.num_parameters(),
            "head": sum(parameter.numel() for parameter in model.head.parameters()),
        },
        data={
            "files": [vars(file) for file in data.files],
            **{f"{name}_rows": len(split) for name, split in data.splits.items()},
        },
        training_arguments=args.to_sanitized_dict(),
        environment=environment(),
        started=_now(),
    )
    main_process = args.process_index == 0
    reports = wandb_run(experiment, seed, runs_dir) if "wandb" in args.report_to else None
    with reports if reports and main_process else contextlib.nullcontext():
        try:
            trainer = _trainer(experiment, model, args, data)
            record.training_arguments = args.to_sanitized_dict()  # as the trainer has them
            logits = _train_and_test(trainer, record, data, directory)
            record.status = "completed"
        except Exception as error:
            logger.exception("%s seed %d failed", experiment.name, seed)
            record.status, record.error = "failed", f"{type(error).__name__}: {error}"
    record.finished = _now()
    if main_process:
        if record.status == "completed":
            _leave(record, results_dir, logits, data)
            shutil.rmtree(_checkpoints(experiment, directory), ignore_errors=True)
        elif not _is_completed(record, results_dir):
            # a failed repetition never takes the place of a completed record
            write_record(record, results_dir)
    del model
    gc.collect()
    return record


def _training_arguments(experiment: Experiment, seed: int, directory: Path) -> TrainingArguments:
    """Completes the experiment's arguments with what belongs to the run and the machine."""
    machine = {
        # bars where someone looks, lines in a log
        "disable_tqdm": not sys.stderr.isatty(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    try:
        return TrainingArguments(
            **{**machine, **experiment.training_args},
            output_dir=str(_checkpoints(experiment, directory)),
            run_name=f"{experiment.name}/seed-{seed}",
            seed=seed,
            data_seed=seed,
        )
    except (TypeError, ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split())
        raise ExperimentError(f"training arguments of {experiment.name}: {message}") from error


def _checkpoints(experiment: Experiment, directory: Path) -> Path:
    """Names the checkpoints after the configuration, so that no other is ever resumed."""
    return directory / f"checkpoints-{config_hash(experiment)[:12]}"


def _trainer(
    experiment: Experiment,
    model: HeadedModelForSequenceClassification,
    args: TrainingArguments,
    data: PreparedData,
) -> HeadTrainer:
    task = TASKS[experiment.task]
    return HeadTrainer(
        model=model,
        args=args,
        train_dataset=data.splits["train"],
        eval_dataset=data.splits["validation"],
        data_collator=task.collator(data.tokenizer),
        processing_class=data.tokenizer,
        compute_metrics=lambda p: task.compute_metrics(p.predictions, p.label_ids),
        head_learning_rate=experiment.head_learning_rate,
        frozen_encoder=experiment.frozen_encoder,
        class_weights=experiment.class_weights,
    )


def _train_and_test(
    trainer: HeadTrainer, record: RunRecord, data: PreparedData, directory: Path
) -> np.ndarray:
    """Trains, chooses on validation, reads the test split once; fills in the record.

    Returns:
        Test logits in data set order, float [N, C].
    """
    args = trainer.args
    checkpoint = newest_checkpoint(Path(args.output_dir))
    start = time.perf_counter()
    outcome = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    train_seconds = time.perf_counter() - start
    resumed_at = 0 if checkpoint is None else int(checkpoint.name.split("-")[-1])
    update = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    samples = min(
        (outcome.global_step - resumed_at) * update,
        args.num_train_epochs * len(data.splits["train"]),
    )
    validation = trainer.evaluate(data.splits["validation"])
    start = time.perf_counter()
    test = trainer.predict(data.splits["test"])
    test_seconds = time.perf_counter() - start
    trainer.log({name: value for name, value in test.metrics.items() if "_per_" not in name})
    if not np.isfinite(test.predictions).all():
        raise FloatingPointError("the test logits are not all finite")
    record.metrics = {
        "validation": _quality(validation, "eval_"),
        "test": _quality(test.metrics, "test_"),
    }
    record.parameters["trainable"] = sum(
        parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad
    )
    record.runtime = {
        # validation at the end of an epoch included; of this process only, after a resume
        "train_seconds": round(train_seconds, 3),
        "train_samples_per_second": round(samples / train_seconds, 3),
        "test_seconds": round(test_seconds, 3),
        "test_samples_per_second": round(len(data.splits["test"]) / test_seconds, 3),
        "steps": outcome.global_step,
        "resumed_at_step": resumed_at or None,
        "best_checkpoint_step": trainer.state.best_global_step,
        "device": device_name(args),
        "precision": precision(args),
    }
    trainer.save_model(str(directory))
    return test.predictions


def _quality(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    """Keeps what was measured of the predictions, without times and the epoch."""
    timing = ("runtime", "per_second", "model_preparation_time")
    return {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix) and not name.endswith(timing)
    }


def newest_checkpoint(directory: Path) -> Path | None:
    """Finds the newest whole checkpoint; a kill may have left a half-written one behind it.

    Args:
        directory: Where the checkpoints are, if there are any.

    Returns:
        The checkpoint's directory: the newest with a `trainer_state.json`, written last.
    """
    whole = [path.parent for path in directory.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.split("-")[-1]), default=None)


def _leave(record: RunRecord, results_dir: Path, logits: np.ndarray, data: PreparedData) -> None:
    """Writes predictions and record; the record last, so that it never lacks predictions."""
    task = TASKS[record.task]
    write_predictions(
        predictions_path(results_dir, record.task, record.experiment, record.seed),
        ids=data.ids,
        labels=np.asarray(data.splits["test"]["labels"]),
        predictions=task.decode(logits),
        logits=logits,
    )
    write_record(record, results_dir)


def _is_completed(record: RunRecord, results_dir: Path) -> bool:
    path = record_path(results_dir, record.task, record.experiment, record.seed)
    return path.exists() and read_record(path).status == "completed"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
