"""Encoders and headed models small enough for tests, their weights spread widely.

With the default initialisation (0.02, zero biases) a wrong head looks right.
"""

import torch
from transformers import AutoConfig

from heads import HeadedModelForSequenceClassification

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
MORE = {"electra": {"embedding_size": 8}}
PAD = {"electra": 0, "bert": 0, "roberta": 1}


def encoder_config(family="electra", **changed):
    return AutoConfig.for_model(family, **SIZES, **MORE.get(family, {}), **changed)


def spread(model, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float(name.endswith("LayerNorm.weight")), std=0.25)
    return model


def headed(head="fc", labels=2, family="electra", problem_type=None, seed=0, **encoder):
    model = HeadedModelForSequenceClassification.from_encoder(
        encoder_config(family, **encoder),
        head if isinstance(head, dict) else {"name": head},
        [f"label {index}" for index in range(labels)],
        problem_type,
    )
    return spread(model, seed).eval()


def token_batch(lengths=(7, 1, 12, 3), width=12, pad=0, seed=0, side="right"):
    """Token ids and their mask, padded with `pad`."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((len(lengths), width), pad)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        place = slice(0, length) if side == "right" else slice(width - length, width)
        ids[row, place] = torch.randint(5, 50, (length,), generator=generator)
        mask[row, place] = 1
    return {"input_ids": ids, "attention_mask": mask}
