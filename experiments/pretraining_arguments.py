"""The arguments of pretraining, and which of them can't be."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transformers import TrainingArguments

from experiments import ExperimentError
from experiments.encoder_export import HISTORY
from tasks.sources import sha256

PLACES = ("probe", "probe_rows", "data_dir")  # arguments that leave the encoder as it is


@dataclass
class PretrainingArguments:
    """What is pretrained on what. Fields are the arguments of `scripts/pretrain.py`."""

    text: str = field(metadata={"help": "text, plain or .gz, one example a line"})
    objective: Literal["mlm", "rtd"] = field(
        default="rtd",
        metadata={"help": "masked language modelling, or ELECTRA's replaced-token detection"},
    )
    start_from: str | None = field(
        default=None,
        metadata={"help": "an encoder to go on from; its tokenizer and sizes are kept"},
    )
    generator_from: str | None = field(
        default=None,
        metadata={"help": "a `masked_lm` folder of an earlier run, to start the generator from"},
    )
    vocab_size: int = field(default=12_000, metadata={"help": "word pieces"})
    max_letters: int = field(default=2_000, metadata={"help": "different letters among them"})
    max_length: int = field(default=128, metadata={"help": "most tokens of an example"})
    embedding_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int | None = field(
        default=None,
        metadata={"help": "4, or those of --start_from; more than it has repeat its layers"},
    )
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    generator_size: float = field(default=0.5, metadata={"help": "fraction of these widths"})
    generator_layers: int = field(default=2, metadata={"help": "layers of the generator"})
    discriminator_weight: float = field(
        default=50.0, metadata={"help": "weight of the discriminator's loss"}
    )
    mlm_probability: float = field(default=0.15, metadata={"help": "part of the tokens masked"})
    skipgram_epochs: int = field(
        default=3, metadata={"help": "passes for the first embeddings; 0 for random ones"}
    )
    skipgram_window: int = 4
    skipgram_workers: int = field(default=1, metadata={"help": "more are faster, not repeatable"})
    probe: str | None = field(
        default=None,
        metadata={"help": "an experiment to fine-tune at every save, such as fc_nsmc_mini"},
    )
    probe_rows: list[int] = field(
        default_factory=lambda: [1200], metadata={"help": "training rows of each probe"}
    )
    data_dir: str | None = field(default=None, metadata={"help": "where the probe's files are"})


def check(arguments: PretrainingArguments) -> None:
    """Refuses sizes that make no encoder.

    Raises:
        ExperimentError: With the argument's name and what would be right.
    """
    positive = (
        "vocab_size max_letters max_length embedding_size hidden_size intermediate_size "
        "num_hidden_layers num_attention_heads generator_layers"
    )
    for name in positive.split():
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ExperimentError(f"--{name} must be at least 1")
    if arguments.hidden_size % arguments.num_attention_heads:
        raise ExperimentError("--hidden_size must be a multiple of --num_attention_heads")
    if not 0 < arguments.mlm_probability < 1 or not 0 < arguments.generator_size <= 1:
        raise ExperimentError("--mlm_probability and --generator_size are fractions of 1")
    if arguments.generator_from and arguments.objective != "rtd":
        raise ExperimentError("--generator_from needs --objective rtd, which has a generator")
    for name in ("start_from", "generator_from"):
        path = getattr(arguments, name)
        if path and not (Path(path) / "config.json").is_file():
            raise ExperimentError(f"--{name} {path}: no config.json there")
    if arguments.generator_from:
        _check_generator(arguments)


def _check_generator(arguments: PretrainingArguments) -> None:
    """Refuses a generator whose embeddings can't be shared with the encoder's."""
    if not arguments.start_from:
        raise ExperimentError("--generator_from needs --start_from: they share a vocabulary")
    encoder, generator = (
        json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        for path in (arguments.start_from, arguments.generator_from)
    )
    for name in ("vocab_size", "embedding_size"):
        if encoder.get(name) != generator.get(name):
            raise ExperimentError(
                f"--generator_from {arguments.generator_from}: its {name} is "
                f"{generator.get(name)}, that of --start_from is {encoder.get(name)}"
            )


def settings(arguments: PretrainingArguments, args: TrainingArguments) -> dict[str, Any]:
    """What determines the encoder; the rest is about logs and places."""
    training = (
        "num_train_epochs max_steps per_device_train_batch_size gradient_accumulation_steps "
        "learning_rate lr_scheduler_type warmup_steps weight_decay adam_beta2 max_grad_norm seed"
    )
    values = args.to_sanitized_dict()
    return {
        **{k: v for k, v in dataclasses.asdict(arguments).items() if k not in PLACES},
        "text": Path(arguments.text).name,
        **{name: values[name] for name in training.split()},
    }


def same_arguments(
    arguments: PretrainingArguments, args: TrainingArguments, directory: Path
) -> None:
    """Refuses to go on in a directory that was begun otherwise.

    Raises:
        ExperimentError: With the first argument that differs.
    """
    phases = json.loads((directory / "start" / HISTORY).read_text(encoding="utf-8"))["phases"]
    begun = phases[-1]["settings"]
    if phases[-1]["text_sha256"] != sha256(Path(arguments.text)):
        raise ExperimentError(
            f"{directory} was begun with another text than {arguments.text} holds now: "
            "name another --output_dir"
        )
    for name, value in json.loads(json.dumps(settings(arguments, args))).items():
        if begun.get(name) != value:
            raise ExperimentError(
                f"{directory} was begun with --{name} {begun.get(name)}, not {value}: "
                "name another --output_dir"
            )
