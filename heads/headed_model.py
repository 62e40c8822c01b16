"""An encoder with a head on it, as a model that transformers loads, saves and trains."""

import inspect
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from heads import HEADS, build_head

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


class HeadedConfig(PreTrainedConfig):
    """Configuration of an encoder with a head.

    Args:
        encoder_config: The encoder's own configuration, or its dictionary with `model_type`.
        head: The head's name under `name`, and its arguments. What is not given is filled in
            here once and saved: the head's defaults, the dropout from the encoder's
            configuration (`classifier_dropout`, else `hidden_dropout_prob`), and what follows
            the encoder's family (`Head.family_defaults`).
        **kwargs: Fields of every configuration: `id2label`, `num_labels`, `problem_type`, ...
    """

    model_type = "headed"
    sub_configs: ClassVar = {"encoder_config": AutoConfig}

    def __init__(
        self,
        encoder_config: PreTrainedConfig | dict[str, Any] | None = None,
        head: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(encoder_config, dict):
            encoder_config = AutoConfig.for_model(**encoder_config)
        # transformers builds a bare default of every configuration (to save only differences)
        self.encoder_config = encoder_config
        self.head = None if encoder_config is None else _complete_head(head, encoder_config)
        if encoder_config is not None:
            self.initializer_range = getattr(encoder_config, "initializer_range", 0.02)
        super().__init__(**kwargs)


def _complete_head(head: dict[str, Any] | None, encoder_config: PreTrainedConfig) -> dict[str, Any]:
    """Fills in what the head takes from the encoder's configuration."""
    if not head or head.get("name") not in HEADS:
        raise ValueError(f"head needs a name, one of {', '.join(HEADS)}: {head!r}")
    dropout = getattr(encoder_config, "classifier_dropout", None)
    if dropout is None:
        dropout = getattr(encoder_config, "hidden_dropout_prob", 0.1)
    head_class = HEADS[head["name"]]
    defaults = {
        name: list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        for name, parameter in inspect.signature(head_class).parameters.items()
        if parameter.default is not parameter.empty
    }
    family = head_class.family_defaults.get(encoder_config.model_type, {})
    return {"name": head["name"], **defaults, "dropout": dropout, **family, **head}


def _pooling_arguments(encoder_config: PreTrainedConfig) -> dict[str, bool]:
    """Leaves out the pooler where the class can: unused parameters break strict DDP."""
    signature = inspect.signature(MODEL_MAPPING[type(encoder_config)].__init__)
    return {"add_pooling_layer": False} if "add_pooling_layer" in signature.parameters else {}


def problem_type_of(config: PreTrainedConfig, labels: Tensor) -> str:
    """Chooses the problem type as transformers does: as configured, else by number and dtype.

    Args:
        config: Configuration with `problem_type` and `num_labels`.
        labels: Labels of a batch.

    Returns:
        One of `PROBLEM_TYPES`.
    """
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    if labels.dtype in (torch.long, torch.int):
        return "single_label_classification"
    return "multi_label_classification"


def sequence_loss(
    logits: Tensor,
    labels: Tensor,
    problem_type: str,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor:
    """Computes the loss of a batch in fp32, as transformers' sequence classifiers do.

    Args:
        logits: float [B, C].
        labels: [B] for one label or one number per text, [B, C] for many.
        problem_type: One of `PROBLEM_TYPES`.
        num_items_in_batch: Labels in the whole update, over micro-batches and processes. The
            sum of the losses is divided by it; without it, the mean over this batch is taken.

    Returns:
        The loss, a scalar.
    """
    logits = logits.float()
    reduction = "mean" if num_items_in_batch is None else "sum"
    if problem_type == "single_label_classification":
        loss = functional.cross_entropy(logits, labels.view(-1), reduction=reduction)
    elif problem_type == "regression":
        # both flat: (B, 1) against (B,) would broadcast to (B, B)
        target = labels.to(logits.dtype).reshape(logits.shape)
        loss = functional.mse_loss(logits, target, reduction=reduction)
    else:
        loss = functional.binary_cross_entropy_with_logits(
            logits, labels.to(logits.dtype), reduction=reduction
        )
    return loss if num_items_in_batch is None else loss / num_items_in_batch


class HeadedPreTrainedModel(PreTrainedModel):
    """What the models of every task share: an `encoder`, a `head`, and how they are built."""

    config_class = HeadedConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    # forward divides by num_items_in_batch when it is given, so the stock Trainer is right too
    accepts_loss_kwargs = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    level: str

    def __init__(self, config: HeadedConfig) -> None:
        super().__init__(config)
        encoder_config = config.encoder_config
        self.encoder = AutoModel.from_config(encoder_config, **_pooling_arguments(encoder_config))
        arguments = {key: value for key, value in config.head.items() if key != "name"}
        self.head = build_head(
            config.head["name"],
            encoder_config.hidden_size,
            config.num_labels,
            level=self.level,
            **arguments,
        )
        self._encoder_frozen = False
        self.post_init()

    @classmethod
    def from_encoder(
        cls,
        encoder: str | os.PathLike | PreTrainedConfig,
        head: dict[str, Any],
        label_names: Sequence[str],
        problem_type: str | None = None,
        **encoder_kwargs: Any,
    ) -> "HeadedPreTrainedModel":
        """Builds a model with a fresh head on a pretrained encoder, or on random weights.

        Args:
            encoder: A hub id or a directory for pretrained weights, loaded in fp32 whatever
                they are stored in; a configuration for random weights.
            head: The head's name under `name`, and its arguments.
            label_names: One name per logit.
            problem_type: One of `PROBLEM_TYPES`; chosen from the labels unless given.
            **encoder_kwargs: Passed on to `AutoModel.from_pretrained` (`revision`, ...).

        Returns:
            The model, in fp32.

        Raises:
            OSError: If the pretrained encoder can't be found.
            ValueError: If its file lacks weights that the encoder has.
        """
        pretrained = not isinstance(encoder, PreTrainedConfig)
        encoder_config = encoder
        if pretrained:
            encoder_config = AutoConfig.from_pretrained(encoder, **encoder_kwargs)
            encoder_config.dtype = torch.float32  # it carries that of the file
        config = HeadedConfig(
            encoder_config,
            head,
            id2label=dict(enumerate(label_names)),
            label2id={name: index for index, name in enumerate(label_names)},
            problem_type=problem_type,
        )
        model = cls(config)
        if pretrained:
            weights, info = AutoModel.from_pretrained(
                encoder,
                config=encoder_config,
                dtype=torch.float32,
                output_loading_info=True,
                **_pooling_arguments(encoder_config),
                **encoder_kwargs,
            )
            if info["missing_keys"] or info["mismatched_keys"]:
                lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
                raise ValueError(
                    f"{encoder}: {len(lacking)} encoder weights are missing or of another shape "
                    f"({', '.join(lacking[:3])}, ...): is it a {encoder_config.model_type} encoder?"
                )
            model.encoder.load_state_dict(weights.state_dict())
        return model

    def freeze_encoder(self) -> None:
        """Keeps the encoder as it is: no gradients, and no dropout in it while training."""
        self._encoder_frozen = True
        self.encoder.requires_grad_(False)
        self.encoder.eval()

    def train(self, mode: bool = True) -> "HeadedPreTrainedModel":
        """Switches to training mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self._encoder_frozen:
            self.encoder.eval()
        return self


class HeadedModelForSequenceClassification(HeadedPreTrainedModel):
    """An encoder with a head that gives one vector of logits per text (or pair of texts)."""

    level = "sequence"

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Encodes the texts and scores the labels.

        Args:
            input_ids: long [B, T].
            attention_mask: [B, T], 1 at real tokens; all tokens are real without it.
            token_type_ids: long [B, T], 0 and 1 for the two texts of a pair.
            position_ids: long [B, T].
            inputs_embeds: float [B, T, E], instead of `input_ids`.
            labels: long [B] (one label), float [B, C] (many), float [B] or [B, 1] (regression).
            num_items_in_batch: Labels in the whole update; see `sequence_loss`.
            **kwargs: Passed on to the encoder (`output_hidden_states`, `output_attentions`).

        Returns:
            `loss` (when labels are given), `logits` [B, C], and on request `hidden_states` and
            `attentions`.
        """
        given = {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
        }
        tokens = input_ids if input_ids is not None else inputs_embeds
        if attention_mask is None:
            attention_mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        outputs = self.encoder(
            attention_mask=attention_mask,
            return_dict=True,
            **{name: value for name, value in given.items() if value is not None},
            **kwargs,
        )
        logits = self.head(outputs.last_hidden_state, attention_mask.bool())  # [B, C]
        loss = None
        if labels is not None:
            problem_type = problem_type_of(self.config, labels)
            loss = sequence_loss(logits, labels, problem_type, num_items_in_batch)
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


AutoConfig.register(HeadedConfig.model_type, HeadedConfig)
AutoModelForSequenceClassification.register(HeadedConfig, HeadedModelForSequenceClassification)
