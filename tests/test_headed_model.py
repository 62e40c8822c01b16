"""The model that carries a head: exact, whole after a round trip, and built from what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    RobertaForSequenceClassification,
    pipeline,
)

from heads import HEADS, HeadedConfig, HeadedModelForSequenceClassification
from heads.headed_model import problem_type_of, sequence_loss
from tasks.wordpiece import train_wordpiece
from tests.tiny_models import PAD, encoder_config, headed, spread, token_batch

REPOSITORY = Path(__file__).resolve().parent.parent
STOCK = {
    "electra": (ElectraForSequenceClassification, "electra"),
    "roberta": (RobertaForSequenceClassification, "roberta"),
}
LABELS = {
    "regression": (1, torch.tensor([0.5, -1.0, 2.0, 0.0])),
    "single_label_classification": (3, torch.tensor([0, 2, 1, 1])),
    "multi_label_classification": (
        3,
        torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
    ),
}


def both(family, problem_type, **changed):
    """Ours with head fc and transformers' own model, with the same weights."""
    labels, _ = LABELS[problem_type]
    ours = headed("fc", labels, family, **changed)
    stock_class, prefix = STOCK[family]
    config = encoder_config(family, num_labels=labels, **changed)
    stock = stock_class(config).eval()
    weights = {f"{prefix}.{k}": v for k, v in ours.encoder.state_dict().items()}
    weights |= {f"classifier.{k}": v for k, v in ours.head.state_dict().items()}
    stock.load_state_dict(weights)
    return ours, stock


@pytest.mark.parametrize("problem_type", LABELS)
@pytest.mark.parametrize("family", STOCK)
class TestAgainstTransformers:
    def test_logits_loss_and_gradients(self, family, problem_type):
        ours, stock = both(family, problem_type)
        batch = {**token_batch(pad=PAD[family]), "labels": LABELS[problem_type][1]}
        mine, theirs = ours(**batch), stock(**batch)
        torch.testing.assert_close(mine.logits, theirs.logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(mine.loss, theirs.loss, atol=1e-5, rtol=0)
        assert mine.logits.std() > 0.1  # the weights do spread
        mine.loss.backward()
        theirs.loss.backward()
        expected = dict(stock.classifier.named_parameters())
        for name, parameter in ours.head.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name].grad, atol=2e-5, rtol=0)

    def test_in_training_under_one_seed(self, family, problem_type):
        changed = {"attn_implementation": "eager", "classifier_dropout": 0.4}
        ours, stock = both(family, problem_type, **changed)
        batch = {**token_batch(pad=PAD[family]), "labels": LABELS[problem_type][1]}
        losses = []
        for model in (ours, stock):
            torch.manual_seed(3)
            losses.append(model.train()(**batch).loss)
        torch.testing.assert_close(*losses, atol=1e-5, rtol=0)
        assert abs(losses[0] - ours.eval()(**batch).loss) > 1e-3  # dropout did something

    def test_without_labels(self, family, problem_type):
        ours, stock = both(family, problem_type)
        batch = token_batch(pad=PAD[family])
        assert ours(**batch).loss is None
        assert torch.equal(ours(**batch).logits, ours(**batch, labels=None).logits)
        assert list(ours(**batch)) == list(stock(**batch))


def test_a_tuple_in_the_documented_order():
    ours, stock = both("electra", "single_label_classification")
    batch = {**token_batch(), "labels": torch.tensor([0, 1, 2, 0])}
    asked = {"return_dict": False, "output_hidden_states": True, "output_attentions": True}
    for model in (ours, stock):
        model.set_attn_implementation("eager")
    mine, theirs = ours(**batch, **asked), stock(**batch, **asked)
    assert len(mine) == len(theirs) == 4
    for place in (0, 1):
        torch.testing.assert_close(mine[place], theirs[place], atol=1e-5, rtol=0)
    for place in (2, 3):
        assert len(mine[place]) == len(theirs[place])
        for a, b in zip(mine[place], theirs[place], strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_regression_labels_of_any_shape_and_type_give_one_loss(dtype, shape):
    model = headed("fc", 1)
    batch = token_batch()
    numbers = torch.tensor([1, -2, 3, 0])
    expected = (model(**batch).logits[:, 0] - numbers).square().mean()
    loss = model(**batch, labels=numbers.to(dtype).view(shape)).loss
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)


def test_problem_type_is_chosen_as_transformers_does():
    config = headed("fc", 3).config
    assert problem_type_of(config, torch.tensor([0, 1])) == "single_label_classification"
    assert problem_type_of(config, torch.tensor([[0.0, 1.0, 1.0]])) == "multi_label_classification"
    assert problem_type_of(headed("fc", 1).config, torch.tensor([0, 1])) == "regression"
    config.problem_type = "multi_label_classification"
    assert problem_type_of(config, torch.tensor([[0, 1, 1]])) == "multi_label_classification"


@pytest.mark.parametrize("problem_type", LABELS)
def test_a_loss_over_micro_batches_adds_up(problem_type):
    classes, labels = LABELS[problem_type]
    logits = torch.randn(4, classes)
    count = labels.numel()
    parts = [
        sequence_loss(logits[rows], labels[rows], problem_type, count)
        for rows in (slice(0, 3), slice(3, 4))
    ]
    torch.testing.assert_close(sum(parts), sequence_loss(logits, labels, problem_type))


@pytest.mark.parametrize("name", HEADS)
class TestEveryHead:
    def test_fresh_weights_follow_from_the_seed(self, name):
        def build(seed):
            torch.manual_seed(seed)
            return HeadedModelForSequenceClassification.from_encoder(
                encoder_config(), {"name": name}, ["a", "b"]
            )

        first, again, other = build(1), build(1), build(2)
        for key, tensor in first.head.state_dict().items():
            assert tensor.isfinite().all(), key
            assert tensor.abs().max() < 2, key
            assert torch.equal(tensor, again.head.state_dict()[key]), key
            if key.endswith("weight") or "weight_" in key:
                assert tensor.std() > 1e-3, key
                assert not torch.equal(tensor, other.head.state_dict()[key]), key

    def test_save_and_load_are_bit_equal(self, name, tmp_path):
        model = headed(name, labels=3)
        model.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert type(loaded) is HeadedModelForSequenceClassification
        assert loaded.config.head == model.config.head
        assert loaded.config.id2label == model.config.id2label
        weights = loaded.state_dict()
        assert list(weights) == list(model.state_dict())
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, weights[key]), key
        batch = token_batch()
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)

    def test_without_a_mask_every_token_is_real(self, name):
        model = headed(name)
        ids = token_batch(lengths=(5, 5), width=5)["input_ids"]
        full = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        assert torch.equal(model(input_ids=ids).logits, full.logits)

    def test_embeddings_may_stand_for_ids(self, name):
        model = headed(name)
        batch = token_batch()
        embeddings = model.get_input_embeddings()(batch["input_ids"])
        got = model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"])
        assert torch.equal(got.logits, model(**batch).logits)

    def test_the_configuration_names_every_argument(self, name):
        config = HeadedConfig(encoder_config(hidden_dropout_prob=0.3), {"name": name})
        assert config.head["dropout"] == 0.3
        again = HeadedConfig.from_dict(json.loads(config.to_json_string()))
        assert again.head == config.head
        assert again.encoder_config.to_dict() == config.encoder_config.to_dict()


@pytest.mark.parametrize("name", sorted(set(HEADS) - {"seed_cnn", "seed_bilstm"}))
def test_the_model_does_not_see_padding(name):
    model = headed(name)
    short, wide = token_batch(width=12), token_batch(width=40)
    wide["input_ids"][wide["attention_mask"] == 0] = 33
    torch.testing.assert_close(model(**wide).logits, model(**short).logits, atol=1e-5, rtol=0)


RELOAD = """
import sys, torch
from heads import HeadedModelForSequenceClassification
model = HeadedModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
saved = torch.load(sys.argv[2], weights_only=True)
assert torch.equal(model(**saved["batch"]).logits, saved["logits"])
"""


def test_a_new_process_needs_nothing_but_the_saved_directory(tmp_path):
    encoder = tmp_path / "encoder"
    spread(AutoModel.from_config(encoder_config())).save_pretrained(encoder)
    model = HeadedModelForSequenceClassification.from_encoder(
        str(encoder), {"name": "bilstm"}, ["a", "b"]
    ).eval()
    batch = token_batch()
    torch.save({"batch": batch, "logits": model(**batch).logits.detach()}, tmp_path / "saved.pt")
    model.save_pretrained(tmp_path / "model")
    for file in encoder.iterdir():
        file.unlink()
    encoder.rmdir()
    subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path / "model"), str(tmp_path / "saved.pt")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
    )


@pytest.mark.parametrize("family", ["electra", "roberta", "bert"])
def test_a_pretrained_encoder_keeps_every_bit(tmp_path, family):
    encoder = spread(AutoModel.from_config(encoder_config(family)))
    encoder.save_pretrained(tmp_path)
    model = HeadedModelForSequenceClassification.from_encoder(
        str(tmp_path), {"name": "cnn"}, ["a", "b"]
    )
    saved = encoder.state_dict()
    for key, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, saved[key]), key
    assert not any("pooler" in key for key in model.state_dict())


def test_a_half_precision_file_gives_an_fp32_model(tmp_path):
    encoder = spread(AutoModel.from_config(encoder_config())).half()
    encoder.save_pretrained(tmp_path)
    model = HeadedModelForSequenceClassification.from_encoder(
        str(tmp_path), {"name": "fc"}, ["a", "b"]
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    for key, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor.half(), encoder.state_dict()[key]), key


def test_a_pretraining_checkpoint_gives_its_encoder(tmp_path):
    whole = spread(ElectraForPreTraining(encoder_config()))
    whole.save_pretrained(tmp_path)
    model = HeadedModelForSequenceClassification.from_encoder(
        str(tmp_path), {"name": "fc"}, ["a", "b"]
    )
    for key, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, whole.electra.state_dict()[key]), key


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path):
    AutoModel.from_config(encoder_config()).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="1 encoder weights are missing"):
        HeadedModelForSequenceClassification.from_encoder(str(tmp_path), {"name": "fc"}, ["a", "b"])


def test_building_does_not_depend_on_where_the_encoder_comes_from(tmp_path):
    """The head is the same on random and on pretrained weights of one seed and size."""
    torch.manual_seed(5)
    fresh = HeadedModelForSequenceClassification.from_encoder(
        encoder_config(), {"name": "cnn"}, ["a", "b"]
    )
    fresh.encoder.save_pretrained(tmp_path)
    torch.manual_seed(5)
    loaded = HeadedModelForSequenceClassification.from_encoder(
        str(tmp_path), {"name": "cnn"}, ["a", "b"]
    )
    for key, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key


def test_the_activation_follows_the_encoder_unless_given():
    def activation(family, **given):
        return HeadedConfig(encoder_config(family), {"name": "fc", **given}).head["activation"]

    assert activation("electra") == "gelu"
    assert activation("roberta") == "tanh"
    assert activation("electra", activation="tanh") == "tanh"


def test_a_frozen_encoder_stays_in_evaluation_mode():
    model = headed("cnn", hidden_dropout_prob=0.5)
    model.freeze_encoder()
    model.train()
    assert model.head.training
    assert not model.encoder.training
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    assert all(parameter.requires_grad for parameter in model.head.parameters())


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="fc, cnn"):
        HeadedConfig(encoder_config(), {"name": "fcc"})


def test_pipeline_by_path(tmp_path):
    texts = ["정말 좋은 영화", "지루한 영화", "다시 보고 싶다"]
    tokenizer = train_wordpiece(texts, 50)
    assert len(tokenizer) <= 50
    model = HeadedModelForSequenceClassification.from_encoder(
        encoder_config(), {"name": "cnn"}, ["negative", "positive"]
    )
    spread(model).eval().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path), device="cpu")
    got = classify(texts, batch_size=3)
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    probabilities = model(**encoded).logits.softmax(dim=-1)
    for answer, row in zip(got, probabilities, strict=True):
        assert answer["label"] == ["negative", "positive"][row.argmax()]
        assert answer["score"] == pytest.approx(row.max().item(), abs=1e-5)
