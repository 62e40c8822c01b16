"""What an encoder is pretrained with: masked language modelling, replaced-token detection."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ElectraModel
from transformers.models.electra.modeling_electra import ElectraPreTrainedModel
from transformers.utils import ModelOutput

SHOWN_AS_MASK = 0.85


@dataclass
class PretrainingOutput(ModelOutput):
    """Loss of a batch, and what to add up for the means that are logged.

    Attributes:
        loss: What is minimised, a scalar.
        sums: name -> (sum, count), detached scalars; the mean is their quotient.
    """

    loss: Tensor | None = None
    sums: dict[str, tuple[Tensor, Tensor]] | None = None


class ElectraForMaskedTokens(ElectraForMaskedLM):
    """ElectraForMaskedLM that scores the masked places alone: a tenth of the softmax's work."""

    accepts_loss_kwargs = False  # the loss is a mean: the Trainer divides it when accumulating

    @property
    def encoder(self) -> ElectraModel:
        """What is kept after pretraining."""
        return self.electra

    def masked_scores(self, input_ids: Tensor, attention_mask: Tensor, masked: Tensor) -> Tensor:
        """Scores the vocabulary at the masked places.

        Args:
            input_ids: int [B, T], some tokens masked.
            attention_mask: int [B, T].
            masked: bool [B, T].

        Returns:
            float [M, V], M places in reading order.
        """
        hidden = self.electra(input_ids, attention_mask=attention_mask)[0]  # [B, T, H]
        return self.generator_lm_head(self.generator_predictions(hidden[masked]))  # [M, V]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> ModelOutput:
        """Computes the loss of a batch.

        Args:
            input_ids: int [B, T], some tokens masked.
            attention_mask: int [B, T].
            labels: int [B, T], the original tokens at masked places, -100 elsewhere.

        Returns:
            A `PretrainingOutput`.
        """
        masked = labels != -100
        scores = self.masked_scores(input_ids, attention_mask, masked)
        loss, sums = masked_token_loss(scores, labels[masked])
        return PretrainingOutput(loss=loss, sums=sums)


class ElectraForReplacedTokens(ElectraPreTrainedModel):
    """Generator and discriminator of ELECTRA (Clark et al. 2020), trained together.

    The generator fills in masked tokens; the discriminator says of every token whether it is the
    original. They share their embeddings. No gradient flows through the sampled tokens.

    Args:
        config: The discriminator's, with what `generator_config` adds under `generator_settings`.
        discriminator_weight: Weight of the discriminator's loss beside the generator's.
    """

    accepts_loss_kwargs = False
    _tied_weights_keys = {  # noqa: RUF012 - transformers reads it off the class
        f"generator.{name}.weight": f"discriminator.electra.embeddings.{kind}_embeddings.weight"
        for name, kind in (
            ("electra.embeddings.word_embeddings", "word"),
            ("electra.embeddings.position_embeddings", "position"),
            ("electra.embeddings.token_type_embeddings", "token_type"),
            ("generator_lm_head", "word"),
        )
    }

    def __init__(self, config: ElectraConfig, discriminator_weight: float = 50.0) -> None:
        super().__init__(config)
        self.discriminator_weight = discriminator_weight
        self.generator = ElectraForMaskedTokens(ElectraConfig(**config.generator_settings))
        self.discriminator = ElectraForPreTraining(config)
        self.post_init()

    @property
    def encoder(self) -> ElectraModel:
        """What is kept after pretraining: the discriminator's."""
        return self.discriminator.electra

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> ModelOutput:
        """Computes the joint loss of a batch.

        Args:
            input_ids: int [B, T], some tokens masked.
            attention_mask: int [B, T].
            labels: int [B, T], the original tokens at masked places, -100 elsewhere.

        Returns:
            A `PretrainingOutput`.
        """
        masked = labels != -100  # [B, T]
        scores = self.generator.masked_scores(input_ids, attention_mask, masked)  # [M, V]
        generator_loss, sums = masked_token_loss(scores, labels[masked])
        with torch.no_grad():
            chances = scores.float().softmax(-1)  # [M, V]
            # the largest chance per exponential noise is a sample (the Gumbel trick), also of none
            sampled = (chances / torch.empty_like(chances).exponential_()).argmax(-1)  # [M]
            original = torch.where(masked, labels, input_ids)
            corrupted = original.masked_scatter(masked, sampled)
        real = attention_mask.bool()
        replaced = (corrupted != original)[real]  # [R], R real tokens
        logits = self.discriminator(corrupted, attention_mask=attention_mask).logits[real]  # [R]
        loss, more_sums = replaced_token_loss(logits, replaced)
        return PretrainingOutput(
            loss=generator_loss + self.discriminator_weight * loss, sums={**sums, **more_sums}
        )


def mask_tokens(
    input_ids: Tensor, maskable: Tensor, mask_token_id: int, probability: float
) -> tuple[Tensor, Tensor]:
    """Masks some tokens: 85 in 100 of them become [MASK], as in the code of Clark et al. 2020.

    Args:
        input_ids: int [B, T].
        maskable: bool [B, T], False at special tokens and padding.
        mask_token_id: The id of [MASK].
        probability: Part of the maskable tokens that is to be predicted.

    Returns:
        The tokens with masks, and labels: the original tokens where they are to be predicted,
        -100 elsewhere; both int [B, T].
    """
    chance = torch.rand(input_ids.shape, device=input_ids.device)  # [B, T]
    chosen = (chance < probability) & maskable
    shown = chance > SHOWN_AS_MASK * probability  # the rest of the chosen keep their token
    labels = input_ids.masked_fill(~chosen, -100)
    return input_ids.masked_fill(chosen & ~shown, mask_token_id), labels


Sums = dict[str, tuple[Tensor, Tensor]]


def masked_token_loss(scores: Tensor, targets: Tensor) -> tuple[Tensor, Sums]:
    """Computes the mean cross entropy over the masked tokens; 0 where there is none.

    Args:
        scores: float [M, V].
        targets: int [M].

    Returns:
        The loss, and the sums of `mlm_loss` and `mlm_accuracy`.
    """
    count = torch.tensor(len(targets), device=scores.device)
    total = functional.cross_entropy(scores.float(), targets, reduction="sum")
    right = (scores.argmax(-1) == targets).sum()
    sums = {"mlm_loss": (total.detach(), count), "mlm_accuracy": (right, count)}
    return total / count.clamp(min=1), sums


def replaced_token_loss(logits: Tensor, replaced: Tensor) -> tuple[Tensor, Sums]:
    """Computes the mean binary cross entropy over the real tokens.

    Args:
        logits: float [R], positive where a token is taken for a replaced one.
        replaced: bool [R].

    Returns:
        The loss, and the sums of `rtd_loss`, `rtd_accuracy` (over all tokens) and
        `rtd_recall` (over the replaced ones).
    """
    count = torch.tensor(len(logits), device=logits.device)
    target = replaced.to(torch.float32)
    total = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="sum")
    right = (logits > 0) == replaced
    sums = {
        "rtd_loss": (total.detach(), count),
        "rtd_accuracy": (right.sum(), count),
        "rtd_recall": ((right & replaced).sum(), replaced.sum()),
    }
    return total / count, sums


def generator_config(discriminator: ElectraConfig, size: float, num_layers: int) -> dict:
    """Sizes a generator as a fraction of the discriminator's width.

    Args:
        discriminator: The discriminator's configuration.
        size: Fraction of its width, feed-forward width and heads.
        num_layers: Layers of the generator.

    Returns:
        The generator's configuration, for `ElectraConfig(**...)`.
    """
    heads = max(1, round(discriminator.num_attention_heads * size))
    width = max(heads, round(discriminator.hidden_size * size / heads) * heads)
    return {
        **discriminator.to_diff_dict(),
        "hidden_size": width,
        "intermediate_size": round(discriminator.intermediate_size * size),
        "num_attention_heads": heads,
        "num_hidden_layers": num_layers,
    }


def stacked(encoder: ElectraModel, num_layers: int) -> ElectraModel:
    """Copies an encoder into one with more layers, its layers repeated (Gong et al. 2019).

    Args:
        encoder: The shallow encoder.
        num_layers: Layers of the new one; layer i is a copy of layer i modulo the old number.

    Returns:
        A new encoder.
    """
    config = copy.deepcopy(encoder.config)
    config.num_hidden_layers = num_layers
    deeper = ElectraModel(config)
    old = len(encoder.encoder.layer)
    weights = encoder.state_dict()
    for name in deeper.state_dict():
        if name.startswith("encoder.layer."):
            _, _, layer, rest = name.split(".", 3)
            weights[name] = encoder.state_dict()[f"encoder.layer.{int(layer) % old}.{rest}"]
    deeper.load_state_dict(weights)
    return deeper
