"""Where a run was made: versions, commit, device."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainingArguments

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "evaluate", "tokenizers", "wandb")
REPOSITORY = Path(__file__).resolve().parent.parent


@functools.cache
def environment() -> dict[str, Any]:
    """Collects the versions that a result depends on, and the commit it was made at.

    Asked once per process: what is committed while it runs is not what it runs.

    Returns:
        `python`, `platform`, a version per package, `git_commit` and `git_dirty` (both None
        outside a checkout; results and the table in the README do not make it dirty).
    """
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!results", ":!README.md")
    return {
        "python": platform.python_version(),
        "platform": platform.system() + " " + platform.machine(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "git_commit": commit,
        "git_dirty": None if commit is None else bool(changed),
    }


def _git(*arguments: str) -> str | None:
    """Asks git about this project; None where there is no git or no checkout."""
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def device_name(args: TrainingArguments) -> str:
    """Names what a run computes on: the GPU and how many, or the CPU's threads."""
    if args.device.type == "cuda":
        return f"{torch.cuda.get_device_name(args.device)} x {args.world_size}"
    if args.device.type == "cpu":
        processes = "" if args.world_size == 1 else f" x {args.world_size}"
        return f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads{processes}"
    return args.device.type


def precision(accelerator: Accelerator) -> str:
    """Names the precision that matrices are multiplied in, whoever asked for it."""
    asked = accelerator.mixed_precision
    return "fp32" if asked == "no" else asked
