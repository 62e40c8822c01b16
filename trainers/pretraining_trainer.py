"""A Trainer for pretraining: batches grouped by length, the parts of the loss in the log."""

import logging
import math
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from trainers.electra_pretraining import mask_tokens
from trainers.samplers import GroupedByLengthSampler, real_token_fraction, token_counts

logger = logging.getLogger(__name__)

EVALUATION_SEED = 0  # masks and samples alike in every evaluation, so that losses compare


class PretrainingTrainer(Trainer):
    """Trains the models of `trainers.electra_pretraining`; else the stock Trainer.

    Batches hold whole texts; tokens are masked here, anew every time, on the model's device.
    (Masked in the collator, a resumed run would see other masks: the data loader fetches ahead
    of the step that a checkpoint is of.) What the model adds up (`PretrainingOutput.sums`) is
    logged as means since the last log, over all processes. A loss that is no number stops the
    run.

    Args:
        *args: As for `transformers.Trainer`; the `processing_class` is needed.
        mlm_probability: Part of the tokens that is masked, special tokens never.
        **kwargs: As for `transformers.Trainer`.
    """

    def __init__(self, *args: Any, mlm_probability: float = 0.15, **kwargs: Any) -> None:
        self._sums: dict[str, list[Tensor]] = {}
        self.mlm_probability = mlm_probability
        super().__init__(*args, **kwargs)
        # the stock filter would log 0 for a loss that is no number
        self.args.logging_nan_inf_filter = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """Masks a micro-batch, computes its loss and adds up what is to be logged."""
        tokenizer = self.processing_class
        original, attention_mask = inputs["input_ids"], inputs["attention_mask"]  # [B, T]
        special = torch.tensor(tokenizer.all_special_ids, device=original.device)
        input_ids, labels = mask_tokens(
            original,
            ~torch.isin(original, special),
            tokenizer.mask_token_id,
            self.mlm_probability,
        )
        output = model(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        for name, pair in output.sums.items():
            summed = self._sums.setdefault(name, [torch.zeros((), device=pair[0].device)] * 2)
            self._sums[name] = [total + part for total, part in zip(summed, pair, strict=True)]
        return (output.loss, {"loss": output.loss}) if return_outputs else output.loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds the means of the parts of the loss to what is logged in training.

        Raises:
            FloatingPointError: If the loss is no number.
        """
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise FloatingPointError(f"the loss is no number at step {self.state.global_step}")
            logs = {**logs, **self._means(), "seconds": self._seconds()}
        super().log(logs, *args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Trains as the stock Trainer does, and keeps the time."""
        self._started = time.perf_counter()
        return super().train(*args, **kwargs)

    def leave_out(self, seconds: float) -> None:
        """Keeps something that took a while out of the time trained."""
        self._started += seconds

    def _seconds(self) -> float:
        """Gives the seconds trained so far, before a resume included."""
        before = [entry["seconds"] for entry in self.state.log_history if "seconds" in entry]
        now = time.perf_counter()
        elapsed, self._started = now - self._started, now
        return round((before[-1] if before else 0.0) + elapsed, 1)

    def _means(self) -> dict[str, float]:
        """Gives the means over all processes and starts anew."""
        sums, self._sums = self._sums, {}
        means = {}
        for name, pair in sums.items():
            total, count = self.accelerator.reduce(torch.stack(pair), "sum").tolist()
            means[name] = round(total / max(count, 1), 5)
        return means

    def evaluation_loop(
        self, dataloader: DataLoader, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        """Runs the stock loop under its own seed and adds the parts of the loss."""
        training, self._sums = self._sums, {}
        devices = [] if self.args.device.type == "cpu" else [self.args.device]
        with torch.random.fork_rng(devices):
            torch.manual_seed(EVALUATION_SEED + self.args.process_index)
            output = super().evaluation_loop(
                dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs
            )
        means = {f"{metric_key_prefix}_{name}": mean for name, mean in self._means().items()}
        output.metrics.update(means)
        self._sums = training
        return output

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        args = self.args
        update = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        sampler = GroupedByLengthSampler(token_counts(dataset), update, args.seed)
        fraction = real_token_fraction(sampler.lengths[sampler.order()], args.train_batch_size)
        logger.info(
            "%d examples, %d tokens; batches grouped by length: %.3f of their tokens are real",
            len(sampler.lengths),
            sampler.lengths.sum(),
            fraction,
        )
        return sampler
