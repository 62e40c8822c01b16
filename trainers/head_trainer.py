"""A Trainer that knows what a head is."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from heads.headed_model import HeadedPreTrainedModel, problem_type_of
from trainers.losses import LOSSES, loss_weight
from trainers.samplers import (
    GroupedByLengthSampler,
    SortedByLengthSampler,
    has_token_counts,
    real_token_fraction,
    restored,
    token_counts,
)

logger = logging.getLogger(__name__)


class HeadTrainer(Trainer):
    """Trains an encoder with a head; everything else is the stock Trainer.

    For this project's models the loss is computed here: summed over the labels of an update and
    divided by their number (or by the sum of their class weights), over micro-batches and
    processes, so that batch 8 x 1, 4 x 2 and 1 x 8 give the same gradients, the ragged last
    batch included. Evaluation and prediction visit the examples sorted by length and return
    them in data set order. transformers' own models keep their own loss and order.

    A loss that is no number stops the run (`args.logging_nan_inf_filter` is turned off).
    `train_sampling_strategy="group_by_length"` uses `GroupedByLengthSampler`.

    Args:
        *args: As for `transformers.Trainer`.
        head_learning_rate: Learning rate of what sits on the encoder; that of the encoder
            (`args.learning_rate`) unless given.
        frozen_encoder: Train the head alone; the encoder stays as it is, in evaluation mode.
        class_weights: One weight per class for the loss.
        **kwargs: As for `transformers.Trainer`.

    Raises:
        ValueError: If `frozen_encoder` or `class_weights` are asked for on a model that is not
            one of this project's, or there are not as many weights as classes.
    """

    def __init__(
        self,
        *args: Any,
        head_learning_rate: float | None = None,
        frozen_encoder: bool = False,
        class_weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        self.head_learning_rate = head_learning_rate
        self.frozen_encoder = frozen_encoder
        super().__init__(*args, **kwargs)
        # the stock filter would log 0 for a loss that is no number; `log` must see it
        self.args.logging_nan_inf_filter = False
        self._prepare_encoder(self.model)
        self.class_weights = None
        if class_weights is not None:
            self._require_headed("class_weights", self.model)
            if len(class_weights) != self.model.config.num_labels:
                raise ValueError(
                    f"class_weights has {len(class_weights)} entries, "
                    f"the model has {self.model.config.num_labels} classes"
                )
            self.class_weights = torch.tensor(class_weights, dtype=torch.float32)

    def _require_headed(self, argument: str, model: nn.Module) -> None:
        if not isinstance(model, HeadedPreTrainedModel):
            raise ValueError(f"{argument} needs a headed model, not a {type(model).__name__}")

    def _prepare_encoder(self, model: nn.Module) -> None:
        if self.frozen_encoder:
            self._require_headed("frozen_encoder", model)
            model.freeze_encoder()

    def call_model_init(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Builds the model anew (`model_init`), its encoder frozen where asked for."""
        model = super().call_model_init(*args, **kwargs)
        self._prepare_encoder(model)
        return model

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Trains as the stock Trainer does, also when something was evaluated before."""
        if self.model_wrapped is self.model and self.args.world_size > 1:
            # Evaluation marks the bare model as prepared. accelerate would then leave it outside
            # DDP, and every process would train a model of its own, in silence.
            self.model._is_accelerate_prepared = False
        return super().train(*args, **kwargs)

    # ------------------------------------------------------------------ loss

    @property
    def _headed(self) -> bool:
        return isinstance(self.accelerator.unwrap_model(self.model), HeadedPreTrainedModel)

    @property
    def _computes_loss(self) -> bool:
        """Whether the loss is ours: a headed model, and no loss function of the caller's."""
        return self._headed and self.compute_loss_func is None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """Computes the loss of a micro-batch, scaled so that an update's micro-batches add up.

        Args:
            model: The model, possibly wrapped.
            inputs: The batch, with `labels`.
            return_outputs: Return the model's outputs too.
            num_items_in_batch: What the sum of losses is divided by; see `get_batch_samples`.
                Without it, the mean over this batch is taken.

        Returns:
            The loss, and the outputs where asked for.
        """
        if not self._computes_loss or "labels" not in inputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
        total, weight = self._loss_parts(outputs["logits"][: len(labels)], labels)
        if num_items_in_batch is None:
            # a batch without a label adds nothing
            loss = total / weight if weight > 0 else total * 0.0
        else:
            loss = total / num_items_in_batch
            if self.args.average_tokens_across_devices:
                # gradients are averaged over processes, each of which holds a part of the sum
                loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _loss_parts(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sums the loss in fp32, and the weight that a mean divides by."""
        config = self.accelerator.unwrap_model(self.model).config
        problem_type = problem_type_of(config, labels)
        weights = self.class_weights
        weights = None if weights is None else weights.to(logits.device)
        loss = LOSSES[problem_type]
        total = loss(logits.float(), labels, weights, self.args.label_smoothing_factor)
        return total, loss_weight(labels, problem_type, weights)

    def _get_num_items_in_batch(
        self, batch_samples: list, device: torch.device
    ) -> Tensor | int | None:
        """Adds up what the mean over the update divides by: class weights count, if given."""
        if self._computes_loss and batch_samples:
            batch_samples[-1] = self._without_repeated_rows(batch_samples[-1])
        if self.class_weights is None or not batch_samples or "labels" not in batch_samples[0]:
            return super()._get_num_items_in_batch(batch_samples, device)
        config = self.accelerator.unwrap_model(self.model).config
        weights = self.class_weights.to(device)
        parts = [
            loss_weight(labels, problem_type_of(config, labels), weights)
            for labels in (batch["labels"].to(device) for batch in batch_samples)
        ]
        total = torch.stack(parts).sum()
        if self.args.average_tokens_across_devices and self.args.world_size > 1:
            total = self.accelerator.gather(total).sum()
        return total

    def _without_repeated_rows(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Cuts off what accelerate repeats to fill up the last batch of an epoch on processes.

        A process without a row of its own keeps one, for it has to take part in the update, and
        no label, so that it adds nothing.
        """
        state = self.accelerator.gradient_state
        if self.args.world_size == 1 or not state.end_of_dataloader or state.remainder < 1:
            return batch
        rows = len(batch["labels"])
        before = self.args.process_index * self.args.train_batch_size
        own = min(max(state.remainder - before, 0), rows)
        kept = {name: value[: max(own, 1)] for name, value in batch.items()}
        return {**kept, "labels": batch["labels"][:own]}

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Logs, and stops a run whose loss is no number.

        Raises:
            FloatingPointError: If a loss is NaN or infinite.
        """
        for name, value in logs.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} at step {self.state.global_step}: "
                    "look for NaN labels, or lower the learning rate"
                )
        super().log(logs, *args, **kwargs)

    # ------------------------------------------------------------------ optimizer

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Creates the stock optimizer, the head's parameters in groups with their own rate.

        An optimizer handed to the constructor is left as it is.
        """
        if self.optimizer is not None or self.head_learning_rate is None:
            return super().create_optimizer(*args, **kwargs)
        optimizer = super().create_optimizer(*args, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        encoder = {id(parameter) for parameter in model.base_model.parameters()}
        for group in list(optimizer.param_groups):
            head = [parameter for parameter in group["params"] if id(parameter) not in encoder]
            if head:
                group["params"] = [p for p in group["params"] if id(p) in encoder]
                optimizer.add_param_group({**group, "params": head, "lr": self.head_learning_rate})
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        return optimizer

    # ------------------------------------------------------------------ order of examples

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        grouped = self.args.train_sampling_strategy == "group_by_length"
        if not grouped or not has_token_counts(dataset):
            return super()._get_train_sampler(train_dataset)
        args = self.args
        update = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        seed = args.seed if args.data_seed is None else args.data_seed
        sampler = GroupedByLengthSampler(token_counts(dataset), update, seed)
        lengths = sampler.lengths[sampler.order()]
        logger.info(
            "batches grouped by length: %.3f of the tokens are real at batch %d "
            "(unsorted: %.3f, padded to %d: %.3f)",
            real_token_fraction(lengths, args.train_batch_size),
            args.train_batch_size,
            real_token_fraction(sampler.lengths, args.train_batch_size),
            lengths.max(),
            lengths.mean() / lengths.max(),
        )
        return sampler

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        if not self._sorts(eval_dataset):
            return super()._get_eval_sampler(eval_dataset)
        return SortedByLengthSampler(token_counts(eval_dataset))

    def _sorts(self, dataset: Dataset) -> bool:
        """Whether inference is sorted: predictions must come back whole to be put in order."""
        whole = self.args.eval_do_concat_batches and not self.args.batch_eval_metrics
        return self._headed and whole and has_token_counts(dataset)

    def evaluation_loop(
        self,
        dataloader: torch.utils.data.DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Runs the stock loop; returns data set order, and a loss that no batch size changes.

        The stock loss is a mean over batches, which depends on their size and on the number of
        processes; this one is the mean over all labels.
        """
        compute_metrics = self.compute_metrics
        restore = None
        if self._sorts(dataloader.dataset):
            restore = SortedByLengthSampler(token_counts(dataloader.dataset)).restore
            if compute_metrics is not None:
                self.compute_metrics = lambda p: compute_metrics(restored(p, restore))
        try:
            output = super().evaluation_loop(
                dataloader,
                description,
                # the exact loss needs the logits
                False if self._computes_loss else prediction_loss_only,
                ignore_keys,
                metric_key_prefix,
            )
        finally:
            self.compute_metrics = compute_metrics
        if restore is not None:
            output = output._replace(
                predictions=restore(output.predictions),
                label_ids=restore(output.label_ids),
            )
        logits, labels = output.predictions, output.label_ids
        if isinstance(logits, tuple):
            logits = logits[0]
        if self._computes_loss and isinstance(logits, np.ndarray) and labels is not None:
            total, weight = self._loss_parts(torch.from_numpy(logits), torch.from_numpy(labels))
            output.metrics[f"{metric_key_prefix}_loss"] = (total / weight).item()
        return output
