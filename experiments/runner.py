"""Runs one cell: an experiment with a seed, from files to a record."""

import contextlib
import gc
import logging
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from transformers import TrainingArguments, set_seed

from experiments import Experiment, config_hash
from experiments.encoders import build_model, encoder_entry
from experiments.environment import device_name, environment, precision
from experiments.preflight import make_directories, training_arguments
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
    was killed goes on from its newest whole checkpoint. A run that fails leaves a record that
    says so; on several processes it also ends them, for none can go on without the others.

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
            contradict each other, a folder that can't be written to.
        Exception: On several processes, whatever made this one fail; see above.
        tasks.sources.DataError: If the data can't be had.
    """
    directory = runs_dir / experiment.name / f"seed-{seed}"
    args = training_arguments(experiment, seed, directory)
    data = prepare_data(experiment, data_dir)
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
    make_directories(directory, results_dir)
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
            if args.world_size > 1 and not isinstance(error, FloatingPointError):
                # Every process meets a loss that is no number. Anything else may be this one's
                # alone: the others wait in a collective, and only its end frees them.
                _leave_failed(record, results_dir)
                raise
    record.finished = _now()
    if main_process and record.status == "completed":
        _leave(record, results_dir, logits, data)
        shutil.rmtree(args.output_dir, ignore_errors=True)
    elif main_process:
        _leave_failed(record, results_dir)
    trainer = model = None
    gc.collect()
    return record


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
        "precision": precision(trainer.accelerator),
        "batch_per_update": update,
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
        The checkpoint's directory: the newest with a `trainer_state.json`, written last, and an
        optimizer, without which training would start over in silence.
    """
    states = directory.glob("checkpoint-*/trainer_state.json")
    whole = [path.parent for path in states if any(path.parent.glob("optimizer*"))]
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


def _leave_failed(record: RunRecord, results_dir: Path) -> None:
    """Writes a failed record, but never in the place of a completed one of its configuration.

    Nor in the place of another process's of the same run: that one had the first cause.
    """
    record.finished = _now()
    path = record_path(results_dir, record.task, record.experiment, record.seed)
    if path.exists():
        there = read_record(path)
        first_cause = there.status == "failed" and there.finished >= record.started
        if there.config_hash == record.config_hash and (there.status == "completed" or first_cause):
            return
    write_record(record, results_dir)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
