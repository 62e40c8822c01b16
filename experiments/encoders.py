"""Encoders and tokenizers: pretrained by name, or random weights, as the experiment says."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from experiments import Experiment, ExperimentError
from heads import HeadedModelForSequenceClassification
from tasks import TASKS
from tasks.wordpiece import train_wordpiece

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parent.parent


def build_tokenizer(encoder: str | dict[str, Any], texts: Sequence[str]) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of a pretrained encoder, or trains one on the training texts.

    Args:
        encoder: `Experiment.encoder`.
        texts: The training texts.

    Returns:
        The tokenizer.

    Raises:
        ExperimentError: If a pretrained encoder's tokenizer can't be found.
    """
    if isinstance(encoder, dict):
        logger.info("training a WordPiece tokenizer on %d training texts", len(texts))
        return train_wordpiece(texts, encoder["tokenizer"]["vocab_size"])
    try:
        return AutoTokenizer.from_pretrained(located(encoder))
    except (OSError, ValueError) as error:
        raise ExperimentError(missing_encoder(encoder)) from error


def encoder_config(experiment: Experiment) -> PreTrainedConfig:
    """Loads or makes the configuration of an experiment's encoder.

    Args:
        experiment: The experiment.

    Returns:
        The configuration; for random weights without the sizes that follow from the tokenizer.

    Raises:
        ExperimentError: If a pretrained encoder can't be found, or a value is of a wrong type.
    """
    encoder = experiment.encoder
    if isinstance(encoder, str):
        try:
            return AutoConfig.from_pretrained(located(encoder))
        except (OSError, ValueError) as error:
            raise ExperimentError(missing_encoder(encoder)) from error
    try:
        return AutoConfig.for_model(**encoder["config"])
    # transformers and its validator raise errors of many classes here, all about the values
    except Exception as error:
        message = " ".join(str(error).split())
        raise ExperimentError(f"{experiment.name}: 'encoder.config': {message}") from error


def build_model(
    experiment: Experiment, tokenizer: PreTrainedTokenizerBase
) -> HeadedModelForSequenceClassification:
    """Puts a fresh head on the experiment's encoder.

    Args:
        experiment: The experiment.
        tokenizer: Its tokenizer, which sizes the embedding of a random encoder.

    Returns:
        The model.

    Raises:
        ExperimentError: If the encoder can't be found, lacks weights, or the head refuses it.
    """
    task = TASKS[experiment.task]
    encoder: Any = experiment.encoder
    if isinstance(encoder, str):
        encoder = located(encoder)
    else:
        encoder = encoder_config(experiment)
        encoder.vocab_size = len(tokenizer)
        encoder.pad_token_id = tokenizer.pad_token_id
    try:
        model = HeadedModelForSequenceClassification.from_encoder(
            encoder, experiment.head, task.label_names, task.problem_type
        )
    except OSError as error:
        raise ExperimentError(missing_encoder(str(experiment.encoder))) from error
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"{experiment.name}: {error}") from error
    known = model.config.encoder_config.vocab_size
    if len(tokenizer) > known:
        raise ExperimentError(
            f"encoder {experiment.encoder!r} embeds {known} word pieces, its tokenizer has "
            f"{len(tokenizer)}: they do not belong together"
        )
    return model


def located(encoder: str) -> str:
    """Finds an encoder that ships with the project wherever a script is started from.

    Args:
        encoder: A hub id, a directory, or a path in the project such as
            `encoders/ko_electra_mini`.

    Returns:
        The path of the shipped encoder; anything else as it is.
    """
    shipped = REPOSITORY / encoder
    here = Path(encoder).is_dir()
    return str(shipped) if encoder.startswith("encoders/") and not here else encoder


def missing_encoder(encoder: str) -> str:
    """Says how to get a pretrained encoder that can't be fetched.

    Args:
        encoder: Its name or path.

    Returns:
        One line.
    """
    return (
        f"encoder {encoder!r} can't be loaded: it is neither a model directory here nor reachable "
        f"on the Hugging Face hub. Download it where there is a network (`hf download {encoder} "
        "--local-dir DIR`) and pass --encoder DIR, or run the experiments on the bundled encoder: "
        "--exp '*_nsmc_mini'"
    )


def encoder_entry(
    experiment: Experiment,
    model: HeadedModelForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
) -> dict[str, Any]:
    """Says for the record which encoder it was.

    Args:
        experiment: The experiment.
        model: The model before training.
        tokenizer: The tokenizer.

    Returns:
        `name`, `weights`, `config`, `revision` on the hub, checksums of the weights at the
        start (pretrained) and of the vocabulary.
    """
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    entry: dict[str, Any] = {
        "tokenizer_sha256": hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()
    }
    if isinstance(experiment.encoder, dict):
        config = experiment.encoder["config"]
        sizes = model.config.encoder_config
        name = f"{sizes.model_type}, {sizes.num_hidden_layers} layers, hidden {sizes.hidden_size}"
        return {
            **entry,
            "name": name,
            "weights": "random",
            "config": config,
            "revision": None,
            "weights_sha256": None,  # they follow from the seed
        }
    config = model.config.encoder_config
    return {
        **entry,
        "name": experiment.encoder,
        "weights": "pretrained",
        "config": config.to_diff_dict(),
        # only what came from the hub has one
        "revision": getattr(config, "_commit_hash", None),
        "weights_sha256": _checksum(model.encoder),
    }


def _checksum(module: torch.nn.Module) -> str:
    """Digests every tensor of a module, by name."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
