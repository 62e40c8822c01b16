"""Pretraining losses against transformers' own classes, and what is shared between the two."""

import pytest
import torch
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ElectraModel

from tests.tiny_models import encoder_config, spread, token_batch
from trainers.electra_pretraining import (
    ElectraForMaskedTokens,
    ElectraForReplacedTokens,
    generator_config,
    mask_tokens,
    masked_token_loss,
    replaced_token_loss,
    stacked,
)

MASK = 4


def masked_batch(seed=0):
    """Some tokens of each text masked, the second text left whole."""
    batch = token_batch()
    original = batch["input_ids"].clone()
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(original.shape, generator=generator) < 0.4
    chosen &= batch["attention_mask"].bool()
    chosen[1] = False
    batch["input_ids"] = original.masked_fill(chosen, MASK)
    batch["labels"] = original.masked_fill(~chosen, -100)
    return batch, original, chosen


def both_models(**changed):
    config = encoder_config(**changed)
    config.generator_settings = generator_config(config, 0.5, 1)
    return ElectraForReplacedTokens(config, discriminator_weight=3.0)


def test_masked_scores_are_those_of_transformers():
    batch, _, chosen = masked_batch()
    ours = spread(ElectraForMaskedTokens(encoder_config())).eval()
    theirs = ElectraForMaskedLM(encoder_config()).eval()
    theirs.load_state_dict(ours.state_dict())
    scores = ours.masked_scores(batch["input_ids"], batch["attention_mask"], chosen)
    expected = theirs(**batch)
    torch.testing.assert_close(scores, expected.logits[chosen])
    output = ours(**batch)
    torch.testing.assert_close(output.loss, expected.loss)
    total, count = output.sums["mlm_loss"]
    assert count == chosen.sum()
    torch.testing.assert_close(total / count, expected.loss.detach())
    right = (expected.logits.argmax(-1) == batch["labels"]).sum()
    assert output.sums["mlm_accuracy"][0] == right


def test_masks_fall_on_maskable_tokens_and_labels_remember_them():
    torch.manual_seed(0)
    original = torch.randint(5, 50, (200, 30))
    maskable = torch.rand(original.shape) < 0.8
    ids, labels = mask_tokens(original, maskable, MASK, 0.3)
    chosen = labels != -100
    assert not (chosen & ~maskable).any()
    assert chosen.sum() / maskable.sum() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(labels[chosen], original[chosen])
    assert torch.equal(ids[~chosen], original[~chosen])
    shown = ids[chosen] == MASK
    assert shown.float().mean() == pytest.approx(0.85, abs=0.02)
    assert torch.equal(ids[chosen][~shown], original[chosen][~shown])


def test_nothing_masked_costs_nothing():
    batch, original, _ = masked_batch()
    batch["input_ids"], batch["labels"] = original, torch.full_like(original, -100)
    output = spread(ElectraForMaskedTokens(encoder_config()))(**batch)
    assert output.loss == 0
    output.loss.backward()


def test_the_discriminator_sees_samples_and_its_loss_is_that_of_transformers():
    batch, original, chosen = masked_batch()
    model = spread(both_models()).eval()
    seen = {}
    model.discriminator.register_forward_hook(
        lambda module, inputs, output: seen.update(ids=inputs[0], logits=output.logits)
    )
    torch.manual_seed(0)
    output = model(**batch)
    # what was not masked is as it was; what was is no [MASK] any more
    assert torch.equal(seen["ids"][~chosen], original[~chosen])
    replaced = seen["ids"] != original
    assert 0 < replaced.sum() <= chosen.sum()
    theirs = ElectraForPreTraining(encoder_config()).eval()
    theirs.load_state_dict(model.discriminator.state_dict())
    expected = theirs(seen["ids"], batch["attention_mask"], labels=replaced.long())
    total, count = output.sums["rtd_loss"]
    assert count == batch["attention_mask"].sum()
    torch.testing.assert_close(total / count, expected.loss.detach())
    generator_loss = output.sums["mlm_loss"][0] / output.sums["mlm_loss"][1]
    torch.testing.assert_close(output.loss.detach(), generator_loss + 3.0 * total / count)


def test_samples_follow_the_generator():
    batch, original, chosen = masked_batch()
    model = spread(both_models()).eval()
    with torch.no_grad():
        scores = model.generator.masked_scores(batch["input_ids"], batch["attention_mask"], chosen)
    # a generator that is sure of the truth leaves nothing replaced
    model.generator.masked_scores = lambda *_: (
        torch.nn.functional.one_hot(original[chosen], scores.shape[-1]).float() * 1e4
    )
    output = model(**batch)
    assert output.sums["rtd_recall"][1] == 0


def test_embeddings_are_shared_and_no_gradient_crosses_the_samples():
    model = both_models()
    table = model.discriminator.electra.embeddings
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        assert getattr(model.generator.electra.embeddings, name).weight is (
            getattr(table, name).weight
        )
    assert model.generator.generator_lm_head.weight is table.word_embeddings.weight
    assert model.encoder is model.discriminator.electra
    batch, _, _ = masked_batch()
    model.discriminator_weight = 0.0
    model(**batch).loss.backward()
    # the generator's loss reaches the shared tables and nothing else of the discriminator
    assert table.word_embeddings.weight.grad.abs().sum() > 0
    for name, parameter in model.discriminator.named_parameters():
        if "embeddings." not in name or "LayerNorm" in name:
            assert parameter.grad is None or parameter.grad.abs().sum() == 0, name
    model.zero_grad()
    model.generator.masked_scores = torch.no_grad()(model.generator.masked_scores)
    model.discriminator_weight = 1.0
    model(**batch).loss.backward()
    # the discriminator's loss reaches nothing of the generator but the shared tables
    for name, parameter in model.generator.named_parameters():
        shared = parameter is table.word_embeddings.weight or "_embeddings.weight" in name
        if not shared:
            assert parameter.grad is None, name


def test_both_round_trip_bit_for_bit(tmp_path):
    model = spread(both_models())
    model.save_pretrained(tmp_path)
    again = ElectraForReplacedTokens.from_pretrained(tmp_path)
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(
            model.state_dict().values(), again.state_dict().values(), strict=True
        )
    )
    table = again.discriminator.electra.embeddings.word_embeddings.weight
    assert again.generator.generator_lm_head.weight is table


def test_losses_by_hand():
    scores = torch.tensor([[0.0, 0.0], [0.0, torch.log(torch.tensor(3.0))]])
    loss, sums = masked_token_loss(scores, torch.tensor([0, 1]))
    expected = (torch.log(torch.tensor(2.0)) + torch.log(torch.tensor(4.0 / 3.0))) / 2
    torch.testing.assert_close(loss, expected)
    assert sums["mlm_accuracy"][0] == 2
    logits = torch.tensor([2.0, -1.0, -3.0, 1.0])
    replaced = torch.tensor([True, True, False, False])
    loss, sums = replaced_token_loss(logits, replaced)
    chances = torch.sigmoid(torch.tensor([2.0, -1.0, 3.0, -1.0]))
    torch.testing.assert_close(loss, -chances.log().mean())
    assert [int(part) for part in sums["rtd_accuracy"]] == [2, 4]
    assert [int(part) for part in sums["rtd_recall"]] == [1, 2]


@pytest.mark.parametrize(("size", "width", "heads"), [(1.0, 16, 2), (0.5, 8, 1), (0.25, 4, 1)])
def test_a_generator_is_a_fraction_of_the_discriminator(size, width, heads):
    sizes = ElectraConfig(**generator_config(encoder_config(), size, 3))
    assert (sizes.hidden_size, sizes.num_attention_heads) == (width, heads)
    assert sizes.num_hidden_layers == 3
    assert sizes.embedding_size == encoder_config().embedding_size
    assert sizes.vocab_size == encoder_config().vocab_size


def test_stacking_repeats_the_layers():
    shallow = spread(ElectraModel(encoder_config()))
    deep = stacked(shallow, 5)
    assert deep.config.num_hidden_layers == 5
    for layer in range(5):
        ours = deep.encoder.layer[layer].state_dict()
        theirs = shallow.encoder.layer[layer % 2].state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(deep.embeddings_project.weight, shallow.embeddings_project.weight)
    assert shallow.config.num_hidden_layers == 2
