"""What was run: experiments as directories of two JSON files, checked strictly when read.

`experiments/<head>_<task>[_<variant>]/` holds `experiment.json` (task, encoder, head, longest
text, seeds) and `training_args.json` (fields of TrainingArguments). Each is complete as it
stands. An encoder given as a string is pretrained, a hub id or a directory; given as an object
with `"weights": "random"` it has fresh weights and a tokenizer trained on the task's training
texts. Nothing is guessed.
"""

import dataclasses
import fnmatch
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.validation import (
    ExperimentError,
    check_encoder_config,
    check_head,
    check_keys,
    check_training_arguments,
    check_type,
    nearest,
    read_json_object,
)
from tasks import TASKS

EXPERIMENTS_DIR = Path(__file__).resolve().parent

FIELDS: dict[str, Any] = {
    "task": str,
    "encoder": str | dict[str, Any],
    "head": dict[str, Any],
    "max_length": int,
    "seeds": list[int],
    "frozen_encoder": bool,
    "head_learning_rate": float | None,
    "class_weights": list[float] | None,
}
REQUIRED = ("task", "encoder", "head", "max_length", "seeds")
RANDOM_ENCODER: dict[str, Any] = {"weights": str, "config": dict[str, Any], "tokenizer": dict}

# TrainingArguments that change what is written or how it is watched, not what is computed
WATCHING = frozenset(
    {
        "report_to",
        "logging_steps",
        "logging_strategy",
        "logging_first_step",
        "logging_nan_inf_filter",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "disable_tqdm",
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "save_total_limit",
        "use_cpu",
        "project",
        "trackio_space_id",
        "push_to_hub",
        "hub_model_id",
        "hub_token",
        "hub_strategy",
        "hub_private_repo",
        "include_num_input_tokens_seen",
        "skip_memory_metrics",
        "ddp_timeout",
    }
)


@dataclass(frozen=True)
class Experiment:
    """One row of a comparison.

    Attributes:
        name: The directory's name, with `@variant` where overrides change what is computed.
        task: A key of `tasks.TASKS`.
        encoder: A pretrained encoder's name or path, or an object for random weights.
        head: The head's name and arguments.
        max_length: Longest text in tokens.
        seeds: The seeds a comparison runs.
        training_args: Fields of TrainingArguments.
        frozen_encoder: Train the head alone.
        head_learning_rate: The head's learning rate, if it has its own.
        class_weights: One loss weight per class.
        max_train_samples: Quick look: no more training examples than this.
        max_eval_samples: Quick look: no more validation and test examples than this, each.
    """

    name: str
    task: str
    encoder: str | dict[str, Any]
    head: dict[str, Any]
    max_length: int
    seeds: tuple[int, ...]
    training_args: dict[str, Any]
    frozen_encoder: bool = False
    head_learning_rate: float | None = None
    class_weights: tuple[float, ...] | None = None
    max_train_samples: int | None = None
    max_eval_samples: int | None = None


def list_experiments(pattern: str = "*", root: Path = EXPERIMENTS_DIR) -> list[str]:
    """Lists the experiments whose names match a glob.

    Args:
        pattern: A name or a glob such as `*_nsmc`.
        root: Where the directories are.

    Returns:
        Their names, sorted.

    Raises:
        ExperimentError: If there is none.
    """
    names = sorted(path.parent.name for path in root.glob("*/experiment.json"))
    matches = fnmatch.filter(names, pattern)
    if not matches:
        raise ExperimentError(
            f"no experiment {pattern!r} in {root.name}/; {nearest(pattern, names)}"
        )
    return matches


def load_experiment(name: str, root: Path = EXPERIMENTS_DIR) -> Experiment:
    """Reads and checks an experiment.

    Args:
        name: The directory's name.
        root: Where the directories are.

    Returns:
        The experiment.

    Raises:
        ExperimentError: If there is no such experiment, or a file of it is wrong.
    """
    if name not in (known := list_experiments("*", root)):
        raise ExperimentError(f"no experiment {name!r} in {root.name}/; {nearest(name, known)}")
    path = root / name / "experiment.json"
    given = read_json_object(path)
    check_keys(path, given, FIELDS)
    for key in REQUIRED:
        if key not in given:
            raise ExperimentError(f"{path}: {key!r} is missing; every experiment says it itself")
    for key, value in given.items():
        check_type(path, key, value, FIELDS[key])
    if given["task"] not in TASKS:
        raise ExperimentError(
            f"{path}: unknown task {given['task']!r}; {nearest(given['task'], TASKS)}"
        )
    check_head(path, given["head"])
    _check_encoder(path, given["encoder"])
    if given["max_length"] < 3:
        raise ExperimentError(
            f"{path}: 'max_length' is {given['max_length']}; [CLS], [SEP] and a token are 3"
        )
    if not given["seeds"] or min(given["seeds"]) < 0 or max(given["seeds"]) >= 2**32:
        raise ExperimentError(
            f"{path}: 'seeds' is {given['seeds']}; give at least one, each from 0 to 2**32 - 1"
        )
    if len(set(given["seeds"])) < len(given["seeds"]):
        raise ExperimentError(f"{path}: 'seeds' repeats one; each seed is one run")
    arguments_path = root / name / "training_args.json"
    arguments = read_json_object(arguments_path)
    check_training_arguments(arguments_path, arguments)
    weights = given.get("class_weights")
    labels = TASKS[given["task"]].label_names
    if weights is not None and len(weights) != len(labels):
        raise ExperimentError(
            f"{path}: 'class_weights' has {len(weights)} entries, "
            f"{given['task']} has {len(labels)} classes: {', '.join(labels)}"
        )
    return Experiment(
        **{
            **given,
            "name": name,
            "seeds": tuple(given["seeds"]),
            "class_weights": None if weights is None else tuple(weights),
            "training_args": arguments,
        }
    )


def _check_encoder(path: Path, encoder: str | dict[str, Any]) -> None:
    if isinstance(encoder, str):
        return
    check_keys(path, encoder, RANDOM_ENCODER, " of encoder")
    for key, annotation in RANDOM_ENCODER.items():
        check_type(path, f"encoder.{key}", encoder.get(key), annotation)
    if encoder["weights"] != "random":
        raise ExperimentError(
            f"{path}: 'encoder.weights' must be \"random\"; a pretrained encoder is a string"
        )
    check_encoder_config(path, encoder["config"])
    check_keys(path, encoder["tokenizer"], ("type", "vocab_size"), " of encoder.tokenizer")
    if encoder["tokenizer"].get("type") != "wordpiece":
        raise ExperimentError(f"{path}: 'encoder.tokenizer.type' must be \"wordpiece\"")
    check_type(path, "encoder.tokenizer.vocab_size", encoder["tokenizer"].get("vocab_size"), int)


def override(
    experiment: Experiment,
    *,
    training_args: dict[str, Any] | None = None,
    encoder: str | None = None,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
    variant: str | None = None,
) -> Experiment:
    """Changes an experiment for one run, and its name if what is computed changes.

    Args:
        experiment: As its directory gives it.
        training_args: Fields of TrainingArguments.
        encoder: Another pretrained encoder.
        max_train_samples: Quick look: no more training examples than this.
        max_eval_samples: Quick look: no more validation and test examples than this, each.
        variant: The variant's name; a short digest of the overrides unless given.

    Returns:
        The experiment, filed under `<experiment>@<variant>` if what is computed changed or
        `variant` is given.
    """
    own = experiment.training_args
    # 1.0 from the command line is the 1 of the file
    training_args = {
        key: value
        for key, value in (training_args or {}).items()
        if key not in own or own[key] != value
    }
    changed = dataclasses.replace(
        experiment,
        training_args={**own, **training_args},
        encoder=encoder or experiment.encoder,
        max_train_samples=max_train_samples,
        max_eval_samples=max_eval_samples,
    )
    if variant is None and config_hash(changed) == config_hash(experiment):
        return changed
    overrides = {
        "training_args": {k: v for k, v in training_args.items() if k not in WATCHING},
        "encoder": encoder,
        "max_train_samples": max_train_samples,
        "max_eval_samples": max_eval_samples,
    }
    name = f"{experiment.name}@{variant or _digest(overrides)[:8]}"
    return dataclasses.replace(changed, name=name)


def config_hash(experiment: Experiment) -> str:
    """Digests what determines what is computed: not the name, the seeds or how it is watched.

    Args:
        experiment: The experiment.

    Returns:
        A hexadecimal SHA-256.
    """
    described = dataclasses.asdict(experiment)
    del described["name"], described["seeds"]
    described["training_args"] = {
        key: value for key, value in described["training_args"].items() if key not in WATCHING
    }
    described["task_version"] = TASKS[experiment.task].version
    return _digest(described)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
