"""Writes a pretrained encoder as AutoModel loads it, with the history of how it came to be."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import torch
from transformers import ElectraModel, PreTrainedTokenizerBase

from trainers.pretraining_trainer import PretrainingTrainer

HISTORY = "pretraining.json"  # beside the encoder
PROBES = "probes.json"  # in a pretraining's directory


def export(trainer: PretrainingTrainer, directory: Path) -> None:
    """Writes the encoder as it is now, in fp16, with its tokenizer and its history.

    Args:
        trainer: The trainer.
        directory: Where to.
    """
    encoder = trainer.accelerator.unwrap_model(trainer.model).encoder
    save_encoder(encoder, trainer.processing_class, directory, history(trainer), torch.float16)


def history(trainer: PretrainingTrainer) -> dict[str, Any]:
    """Gives the phases of a pretraining so far, the running one with its log and its probes."""
    state = trainer.state
    output = Path(trainer.args.output_dir)
    phases = json.loads((output / "start" / HISTORY).read_text(encoding="utf-8"))
    probes = output / PROBES
    phases["phases"][-1].update(
        steps=state.global_step,
        epochs=round(state.epoch or 0.0, 4),
        log=thinned(state.log_history),
        probes=json.loads(probes.read_text(encoding="utf-8")) if probes.exists() else [],
    )
    return phases


def thinned(log: list[dict[str, Any]], most: int = 100) -> list[dict[str, Any]]:
    """Keeps all evaluations and about `most` evenly spaced training entries of a log."""
    training = sum("loss" in entry for entry in log)
    every = max(1, math.ceil(training / most))
    kept, seen = [], 0
    for entry in log:
        seen += "loss" in entry
        if "eval_loss" in entry or ("loss" in entry and seen % every == 0):
            kept.append(entry)
    return kept


def save_encoder(
    encoder: ElectraModel,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    phases: dict[str, Any],
    dtype: torch.dtype,
) -> None:
    """Writes an encoder as AutoModel and AutoTokenizer load it; the history last.

    Args:
        encoder: The encoder.
        tokenizer: Its tokenizer.
        directory: Where to.
        phases: What goes into `pretraining.json`.
        dtype: What the weights are stored in.
    """
    # a copy, not a new model: initialising one would draw from the generator of the training
    copied = copy.deepcopy(encoder)
    if hasattr(copied.config, "generator_settings"):
        del copied.config.generator_settings
    copied.to(dtype).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    write_history(phases, directory)


def write_history(phases: dict[str, Any], directory: Path) -> None:
    """Writes `pretraining.json`."""
    text = json.dumps(phases, indent=1, ensure_ascii=False)
    (directory / HISTORY).write_text(text + "\n", encoding="utf-8")
