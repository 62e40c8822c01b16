"""Pretrains a small encoder: vocabulary, skip-gram embeddings, then masked or replaced tokens."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    ElectraConfig,
    ElectraModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from experiments.encoder_export import (
    HISTORY,
    PROBES,
    export,
    history,
    save_encoder,
    write_history,
)
from experiments.pretraining_arguments import (
    PretrainingArguments,
    check,
    same_arguments,
    settings,
)
from experiments.probe import Probe, probe_accuracy
from experiments.runner import newest_checkpoint
from tasks.sources import sha256
from tasks.unlabeled_text import (
    encode_lines,
    is_held_out,
    read_lines,
    token_rows,
)
from tasks.wordpiece import train_wordpiece
from trainers.electra_pretraining import (
    ElectraForMaskedTokens,
    ElectraForReplacedTokens,
    generator_config,
    stacked,
)
from trainers.pretraining_trainer import PretrainingTrainer
from trainers.skipgram import skipgram_vectors

logger = logging.getLogger(__name__)


def pretrain(arguments: PretrainingArguments, args: TrainingArguments) -> Path:
    """Pretrains, or goes on where a killed run stopped.

    In `args.output_dir`: `start/` (the encoder before training), `checkpoint-*` (to resume),
    `encoders/step-*` (the encoder at every save), `encoder/` (the last one), and with masked
    language modelling `masked_lm/` (as last saved; to start a generator from).

    Args:
        arguments: What is pretrained on what.
        args: How, as for any Trainer.

    Returns:
        The directory of the final encoder.

    Raises:
        ExperimentError: If the arguments contradict each other or those the directory was
            begun with.
        tasks.sources.DataError: If the text can't be read.
    """
    directory = Path(args.output_dir)
    check(arguments)
    set_seed(args.seed)
    with args.main_process_first(local=False, desc="vocabulary and first embeddings"):
        lines = read_lines(Path(arguments.text))
        if (directory / "start" / HISTORY).exists():
            same_arguments(arguments, args, directory)
        else:
            begin(arguments, args, lines, directory)
    tokenizer = AutoTokenizer.from_pretrained(directory / "start")
    splits = {
        name: encode_lines(
            [line for line in lines if is_held_out(line) == held_out],
            tokenizer,
            arguments.max_length,
        )
        for name, held_out in (("train", False), ("held_out", True))
    }
    set_seed(args.seed)
    model = build(arguments, directory / "start")
    trainer = PretrainingTrainer(
        model=model,
        args=args,
        train_dataset=splits["train"],
        eval_dataset=splits["held_out"] if len(splits["held_out"]) else None,
        # labels tell the Trainer that there is a loss; what is masked, it decides itself
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        processing_class=tokenizer,
        mlm_probability=arguments.mlm_probability,
    )
    trainer.add_callback(_KeepEncoders(trainer, arguments))
    checkpoint = newest_checkpoint(directory)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if trainer.is_world_process_zero():
        export(trainer, directory / "encoder")
    return directory / "encoder"


def begin(
    arguments: PretrainingArguments, args: TrainingArguments, lines: list[str], directory: Path
) -> None:
    """Writes `start/`: tokenizer, encoder before training, and the history so far."""
    phases: list[dict[str, Any]] = []
    started = time.perf_counter()
    training_lines = [line for line in lines if not is_held_out(line)]
    if arguments.start_from:
        source = Path(arguments.start_from)
        tokenizer = AutoTokenizer.from_pretrained(source)
        encoder = ElectraModel.from_pretrained(source, dtype=torch.float32)
        layers = arguments.num_hidden_layers or encoder.config.num_hidden_layers
        if layers != encoder.config.num_hidden_layers:
            encoder = stacked(encoder, layers)
        if (source / HISTORY).exists():
            phases = json.loads((source / HISTORY).read_text(encoding="utf-8"))["phases"]
    else:
        logger.info("training %d word pieces", arguments.vocab_size)
        tokenizer = train_wordpiece(training_lines, arguments.vocab_size, arguments.max_letters)
        encoder = fresh_encoder(arguments, tokenizer)
        if arguments.skipgram_epochs:
            logger.info("training skip-gram vectors")
            rows = token_rows(encode_lines(training_lines, tokenizer, arguments.max_length))
            vectors = skipgram_vectors(
                [row[1:-1] for row in rows],
                arguments.embedding_size,
                epochs=arguments.skipgram_epochs,
                window=arguments.skipgram_window,
                seed=args.seed,
                workers=arguments.skipgram_workers,
            )
            with torch.no_grad():
                table = encoder.embeddings.word_embeddings.weight
                for token, vector in vectors.items():
                    table[token] = torch.from_numpy(vector)
    phases.append(
        {
            "settings": settings(arguments, args),
            "text_sha256": sha256(Path(arguments.text)),
            "lines": len(training_lines),
            "seconds_before_training": round(time.perf_counter() - started, 1),
        }
    )
    save_encoder(encoder, tokenizer, directory / "start", {"phases": phases}, torch.float32)


def fresh_encoder(
    arguments: PretrainingArguments, tokenizer: PreTrainedTokenizerBase
) -> ElectraModel:
    """Builds an encoder with random weights.

    Args:
        arguments: Its sizes.
        tokenizer: Its tokenizer.

    Returns:
        The encoder.
    """
    return ElectraModel(
        ElectraConfig(
            vocab_size=len(tokenizer),
            embedding_size=arguments.embedding_size,
            hidden_size=arguments.hidden_size,
            num_hidden_layers=arguments.num_hidden_layers or 4,
            num_attention_heads=arguments.num_attention_heads,
            intermediate_size=arguments.intermediate_size,
            max_position_embeddings=512,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build(
    arguments: PretrainingArguments, start: Path
) -> ElectraForMaskedTokens | ElectraForReplacedTokens:
    """Puts what the objective needs on the encoder that training starts from.

    Args:
        arguments: What is pretrained.
        start: The encoder's directory.

    Returns:
        The model to train.
    """
    encoder = ElectraModel.from_pretrained(start, dtype=torch.float32)
    config = encoder.config
    if arguments.objective == "mlm":
        model = ElectraForMaskedTokens(config)
        model.electra.load_state_dict(encoder.state_dict())
        return model
    generator = None
    config.generator_settings = generator_config(
        config, arguments.generator_size, arguments.generator_layers
    )
    if arguments.generator_from:
        generator = ElectraForMaskedTokens.from_pretrained(
            arguments.generator_from, dtype=torch.float32
        )
        config.generator_settings = generator.config.to_diff_dict()
    both = ElectraForReplacedTokens(config, arguments.discriminator_weight)
    if generator is not None:
        both.generator.load_state_dict(generator.state_dict())
    both.discriminator.electra.load_state_dict(encoder.state_dict())  # last: the tables are shared
    return both


class _KeepEncoders(TrainerCallback):
    """Exports the encoder at every save, and probes it."""

    def __init__(self, trainer: PretrainingTrainer, arguments: PretrainingArguments) -> None:
        self.trainer, self.arguments = trainer, arguments

    def on_train_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        if state.global_step == 0:
            self._score(Path(args.output_dir) / "start", args, state)

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        directory = Path(args.output_dir) / "encoders" / f"step-{state.global_step}"
        if state.is_world_process_zero:
            export(self.trainer, directory)
            model = self.trainer.accelerator.unwrap_model(self.trainer.model)
            if isinstance(model, ElectraForMaskedTokens):
                model.save_pretrained(Path(args.output_dir) / "masked_lm")
        self._score(directory, args, state)

    def _score(self, encoder: Path, args: TrainingArguments, state: Any) -> None:
        started = time.perf_counter()
        if state.is_world_process_zero and self.arguments.probe:
            score(self.arguments, encoder, Path(args.output_dir), state.global_step)
            write_history(history(self.trainer), encoder)
        self.trainer.accelerator.wait_for_everyone()
        self.trainer.leave_out(time.perf_counter() - started)


def score(arguments: PretrainingArguments, encoder: Path, output: Path, step: int) -> None:
    """Probes an encoder and adds the figures to the run's `probes.json`.

    Args:
        arguments: Which probes.
        encoder: The encoder's directory.
        output: The run's.
        step: The step the encoder was saved at.
    """
    data_dir = None if arguments.data_dir is None else Path(arguments.data_dir)
    file = output / PROBES
    probes = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for rows in arguments.probe_rows:
        if any((entry["step"], entry["rows"]) == (step, rows) for entry in probes):
            continue  # before the run was killed
        probe = Probe(arguments.probe, rows, data_dir=data_dir)
        accuracy = probe_accuracy(encoder, probe)
        logger.info("step %d: probe on %d rows: %.4f", step, rows, accuracy)
        probes.append({"step": step, "rows": rows, "accuracy": round(accuracy, 5)})
        file.write_text(json.dumps(probes, indent=1) + "\n", encoding="utf-8")
