"""Strict checks of experiment files: every error names the file, the key and the cure."""

import difflib
import inspect
import json
import math
import types
import typing
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, TrainingArguments

from heads import HEADS, Head

# what the run sets itself
RUN_FIELDS = ("output_dir", "run_name", "seed", "data_seed", "resume_from_checkpoint")


class ExperimentError(ValueError):
    """A request that can't be carried out; the message is one line that says what to change."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggests the known name closest to a wrong one, or lists the known ones.

    Args:
        name: The wrong name.
        known: The right ones.

    Returns:
        The end of an error message.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def read_json_object(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds one object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        ExperimentError: If the file is missing, malformed, repeats a key or holds NaN.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ExperimentError(f"{path}: key {key!r} stands there twice; keep one")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ExperimentError(f"{path}: {constant} is not JSON; give a number or null")

    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except FileNotFoundError as error:
        raise ExperimentError(f"{path}: no such file; every experiment has one") from error
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ExperimentError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
        ) from error
    if not isinstance(value, dict):
        raise ExperimentError(f"{path}: must hold one JSON object, not a {type(value).__name__}")
    return value


def check_keys(path: Path, given: dict[str, Any], known: Iterable[str], where: str = "") -> None:
    """Refuses unknown keys.

    Args:
        path: The file, for the message.
        given: The object.
        known: The keys it may have.
        where: What the object is, for the message.

    Raises:
        ExperimentError: If there is an unknown key.
    """
    for key in given:
        if key not in known:
            raise ExperimentError(f"{path}: unknown key {key!r}{where}; {nearest(key, known)}")


def fits(value: Any, annotation: Any) -> bool:
    """Says whether a JSON value has the type that an annotation asks for.

    An integer may stand for a float, a string for an enumeration's value; a truth value is no
    number.

    Args:
        value: The value.
        annotation: A type, a union, a list or a dictionary.

    Returns:
        Whether it fits.
    """
    if annotation is Any:
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in _alternatives(arguments))
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple or (origin is not None and issubclass(origin, typing.Sequence)):
        item = arguments[0] if arguments else Any
        return isinstance(value, list) and all(fits(part, item) for part in value)
    if origin is dict:
        return isinstance(value, dict)
    if annotation is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is None or annotation is type(None):
        return value is None
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return value in [member.value for member in annotation]
    return isinstance(annotation, type) and isinstance(value, annotation)


def _alternatives(union: tuple[Any, ...]) -> list[Any]:
    """Drops `str` beside an enumeration: there it stands for the enumeration's values."""
    enumerated = any(isinstance(part, type) and issubclass(part, Enum) for part in union)
    return [part for part in union if not (enumerated and part is str)]


def type_name(annotation: Any) -> str:
    """Writes an annotation as a reader would: `float`, `int | None`, `one of no, steps`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(map(type_name, _alternatives(typing.get_args(annotation))))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f"one of {', '.join(str(member.value) for member in annotation)}"
    if annotation is type(None):
        return "null"
    return (
        annotation.__name__
        if isinstance(annotation, type) and not typing.get_args(annotation)
        else str(annotation).replace("typing.", "")
    )


def check_type(path: Path, key: str, value: Any, annotation: Any) -> None:
    """Refuses a value of the wrong type.

    Args:
        path: The file, for the message.
        key: The key, for the message.
        value: Its value.
        annotation: The type it should have.

    Raises:
        ExperimentError: If it does not fit.
    """
    if not fits(value, annotation):
        raise ExperimentError(
            f"{path}: {key!r} must be {type_name(annotation)}, not {json.dumps(value)} "
            f"({type(value).__name__})"
        )


def check_training_arguments(path: Path, given: dict[str, Any]) -> None:
    """Refuses what is no field of TrainingArguments, has the wrong type or belongs to the run.

    Args:
        path: `training_args.json`.
        given: Its object.

    Raises:
        ExperimentError: If a key or a value is wrong.
    """
    hints = typing.get_type_hints(TrainingArguments)
    fields = {
        name: hints[name] for name, f in TrainingArguments.__dataclass_fields__.items() if f.init
    }
    for key in RUN_FIELDS:
        if key in given:
            raise ExperimentError(f"{path}: {key!r} is set by the run; remove it")
    check_keys(path, given, fields, " of TrainingArguments")
    for key, value in given.items():
        check_type(path, key, value, fields[key])


def check_head(path: Path, head: dict[str, Any]) -> None:
    """Refuses an unknown head, and arguments that the head does not take.

    Args:
        path: `experiment.json`.
        head: Its `head` object.

    Raises:
        ExperimentError: If the name, an argument or a value is wrong.
    """
    name = head.get("name")
    if not isinstance(name, str) or name not in HEADS:
        raise ExperimentError(f"{path}: unknown head {name!r}; {nearest(str(name), HEADS)}")
    parameters = head_parameters(HEADS[name])
    arguments = {key: value for key, value in head.items() if key != "name"}
    check_keys(path, arguments, parameters, f" of head {name!r}")
    for key, value in arguments.items():
        check_type(path, f"head.{key}", value, parameters[key])


def check_encoder_config(path: Path, config: dict[str, Any]) -> None:
    """Refuses an unknown kind of encoder, and sizes that it does not have.

    Args:
        path: `experiment.json`.
        config: Its `encoder.config` object.

    Raises:
        ExperimentError: If a key is wrong, or follows from the tokenizer.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        hint = nearest(kind, CONFIG_MAPPING) if isinstance(kind, str) else 'such as "electra"'
        raise ExperimentError(f"{path}: 'encoder.config.model_type' is {kind!r}; {hint}")
    for key in ("vocab_size", "pad_token_id"):
        if key in config:
            raise ExperimentError(
                f"{path}: 'encoder.config.{key}' follows from the tokenizer; remove it"
            )
    known = ["model_type", *inspect.signature(CONFIG_MAPPING[kind]).parameters]
    check_keys(path, config, known, " of encoder.config")


def head_parameters(head: type[Head]) -> dict[str, Any]:
    """Lists the arguments an experiment may give a head, with their types.

    Args:
        head: The head's class.

    Returns:
        Argument -> annotation; what the model gives (sizes, level) is left out.
    """
    return {
        name: parameter.annotation
        for name, parameter in inspect.signature(head).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "level"
    }
