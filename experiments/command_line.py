"""The arguments that `run.py` and `compare.py` share, and how a wrong request ends."""

import argparse
import functools
import gc
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import HfArgumentParser, TrainingArguments

from experiments import Experiment, ExperimentError, override
from experiments.record import RecordError
from tasks.sources import DataError

# what a run sets itself; refused rather than silently ignored
SET_BY_THE_RUN = {
    "output_dir": "use --runs_dir",
    "run_name": "runs are named <experiment>/seed-<n>",
    "data_seed": "use --seed, which seeds weights, data order and dropout",
    "resume_from_checkpoint": "a run goes on by itself from its newest whole checkpoint",
}
EXIT_DONE, EXIT_FAILED, EXIT_WRONG_REQUEST, EXIT_INTERRUPTED = 0, 1, 2, 130


def build_parser(description: str) -> HfArgumentParser:
    """Builds a parser with the shared arguments and every field of TrainingArguments.

    Only arguments that were given appear in the parsed namespace, so that a default never
    overrides an experiment.

    Args:
        description: What the script does.

    Returns:
        The parser, open for the script's own arguments.
    """
    parser = HfArgumentParser(
        TrainingArguments,
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        conflict_handler="resolve",
        usage="%(prog)s --exp NAME [options] [any TrainingArguments field]",
        formatter_class=argparse.HelpFormatter,
    )
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    shared = parser.add_argument_group("the experiment")
    shared.add_argument("--data_dir", type=Path, default=None, help="where the task's files are")
    shared.add_argument("--encoder", default=None, help="another pretrained encoder: name or path")
    shared.add_argument(
        "--variant", type=_variant, default=None, help="name for a run with overrides"
    )
    shared.add_argument("--max_train_samples", type=_count, default=None, help="quick look")
    shared.add_argument("--max_eval_samples", type=_count, default=None, help="quick look")
    shared.add_argument("--runs_dir", type=Path, default=Path("runs"))
    shared.add_argument("--results_dir", type=Path, default=Path("results"))
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, not {text!r}")
    return int(text)


def seed_number(text: str) -> int:
    """Reads a seed from the command line: what `transformers.set_seed` takes."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 2**32 - 1, not {text!r}")
    return int(text)


def _variant(text: str) -> str:
    # it becomes part of a directory's name
    if not re.fullmatch(r"[\w.+-]+", text):
        raise argparse.ArgumentTypeError(f"letters, digits and . _ + - only, not {text!r}")
    return text


def training_overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """Picks the TrainingArguments fields that were given on the command line.

    Args:
        arguments: What a parser of `build_parser` returned.

    Returns:
        Field -> value.

    Raises:
        ExperimentError: If a field was given that the run sets itself, or is no number.
    """
    given = vars(arguments)
    for name, cure in SET_BY_THE_RUN.items():
        if name in given:
            raise ExperimentError(f"--{name} is set by the run: {cure}")
    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ExperimentError(f"--{name} {value}: give a finite number")
    fields = TrainingArguments.__dataclass_fields__
    return {name: given[name] for name in given if name in fields and name != "seed"}


def overridden(experiment: Experiment, arguments: argparse.Namespace) -> Experiment:
    """Applies the command line to an experiment.

    Args:
        experiment: As its directory gives it.
        arguments: What a parser of `build_parser` returned.

    Returns:
        The experiment, under a variant's name if what is computed changed.
    """
    return override(
        experiment,
        training_args=training_overrides(arguments),
        encoder=arguments.encoder,
        max_train_samples=arguments.max_train_samples,
        max_eval_samples=arguments.max_eval_samples,
        variant=arguments.variant,
    )


def command(main: Callable[[], int]) -> Callable[[], int]:
    """Gives a script's `main` the project's exit codes and log format.

    Args:
        main: Returns 0 (done) or 1 (a run failed).

    Returns:
        The same, with a wrong request answered by one line and 2, Ctrl-C by 130.
    """

    @functools.wraps(main)
    def run() -> int:
        main_process = os.environ.get("RANK", "0") == "0"
        logging.basicConfig(
            level=logging.INFO if main_process else logging.ERROR,
            format="%(asctime)s %(name)s: %(message)s",
            datefmt="%H:%M:%S",
        )
        for library in ("httpx", "huggingface_hub", "datasets", "evaluate", "gensim"):
            logging.getLogger(library).setLevel(logging.WARNING)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()  # of loading and saving; training keeps its own
        try:
            return main()
        except (ExperimentError, DataError, RecordError) as error:
            if main_process:
                sys.stderr.write(f"error: {error}\n")
            return EXIT_WRONG_REQUEST
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; start again to go on where it stopped\n")
            return EXIT_INTERRUPTED
        finally:
            end_processes()

    return run


def end_processes() -> None:
    """Leaves the process group, if there is one, so that no process waits for another at exit."""
    if torch.distributed.is_initialized():
        # a wrapped model that outlives its group can hang when it is freed
        gc.collect()
        torch.distributed.destroy_process_group()
