"""HeadTrainer: the same update however a batch is split, data set order, and a Trainer still."""

import inspect

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import (
    DataCollatorWithPadding,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tasks.wordpiece import train_wordpiece
from tests.tiny_models import encoder_config, headed, spread
from trainers import HeadTrainer
from trainers.samplers import GroupedByLengthSampler

ROWS = 20
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
PROBLEMS = {
    "regression": 1,
    "single_label_classification": 3,
    "multi_label_classification": 3,
}


def make_rows(problem_type="single_label_classification", count=ROWS, seed=0):
    generator = np.random.default_rng(seed)
    label = {
        "regression": lambda: float(generator.normal()),
        "single_label_classification": lambda: int(generator.integers(3)),
        "multi_label_classification": lambda: generator.integers(2, size=3).astype(float).tolist(),
    }[problem_type]
    return [
        {
            "input_ids": generator.integers(5, 50, size=generator.integers(1, 12)).tolist(),
            "labels": label(),
        }
        for _ in range(count)
    ]


def collator():
    tokenizer: PreTrainedTokenizerFast = train_wordpiece(["영화"], 20)
    return DataCollatorWithPadding(tokenizer)


def arguments(tmp_path, **changed):
    given = {
        "output_dir": str(tmp_path / "out"),
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "per_device_train_batch_size": 8,
        # plain steps along the gradient: the weights tell what it was
        "optim": "sgd",
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "logging_steps": 1,
        "num_train_epochs": 2,
        "train_sampling_strategy": "group_by_length",
    }
    return TrainingArguments(**(given | changed))


def train(tmp_path, model, rows, trainer_class=HeadTrainer, **changed):
    own = {
        name: changed.pop(name)
        for name in ("head_learning_rate", "frozen_encoder", "class_weights", "compute_loss_func")
        if name in changed
    }
    trainer = trainer_class(
        model,
        arguments(tmp_path, **changed),
        train_dataset=rows,
        data_collator=collator(),
        **own,
    )
    trainer.train()
    return trainer


def history(trainer, key="loss"):
    return [entry[key] for entry in trainer.state.log_history if key in entry]


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("problem_type", "extra"),
    [
        ("regression", {}),
        ("single_label_classification", {}),
        ("single_label_classification", {"class_weights": [0.1, 1.0, 5.0]}),
        ("single_label_classification", {"label_smoothing_factor": 0.2}),
        (
            "single_label_classification",
            {"class_weights": [0.1, 1.0, 5.0], "label_smoothing_factor": 0.2},
        ),
        ("multi_label_classification", {}),
        ("multi_label_classification", {"class_weights": [0.1, 1.0, 5.0]}),
    ],
)
def test_an_update_does_not_depend_on_how_it_is_split(tmp_path, problem_type, extra):
    """Updates of 8 + 8 + 4 rows, the last one ragged, in one, two and eight micro-batches."""
    results = []
    for size, steps in ((8, 1), (4, 2), (1, 8)):
        model = headed("cnn", PROBLEMS[problem_type], problem_type=problem_type, **NO_DROPOUT)
        trainer = train(
            tmp_path,
            model,
            make_rows(problem_type),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=steps,
            **extra,
        )
        assert trainer.state.global_step == 6
        results.append((history(trainer), history(trainer, "grad_norm"), weights(model)))
    losses, norms, final = results[0]
    assert max(losses) - min(losses) > 1e-3
    for other_losses, other_norms, other_final in results[1:]:
        assert other_losses == pytest.approx(losses, rel=1e-5)
        assert other_norms == pytest.approx(norms, rel=1e-4)
        for name, tensor in final.items():
            torch.testing.assert_close(other_final[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("class_weights", [None, [0.1, 1.0, 5.0]])
def test_the_first_logged_loss_is_the_one_computed_by_hand(tmp_path, class_weights):
    rows, make_batch = make_rows(), collator()
    lengths = [len(row["input_ids"]) for row in rows]
    first = GroupedByLengthSampler(lengths, 8, seed=42).order()[:8]
    batch = make_batch([rows[index] for index in first])
    model = headed("cnn", 3, **NO_DROPOUT)
    weight = None if class_weights is None else torch.tensor(class_weights)
    labels = batch.pop("labels")
    expected = functional.cross_entropy(model(**batch).logits, labels, weight=weight).item()
    trainer = train(tmp_path, model, rows, max_steps=1, class_weights=class_weights)
    assert history(trainer)[0] == pytest.approx(expected, abs=1e-5)


def test_equal_class_weights_change_nothing(tmp_path):
    final = []
    for class_weights in (None, [3.0, 3.0, 3.0]):
        model = headed("fc", 3, **NO_DROPOUT)
        train(tmp_path, model, make_rows(), class_weights=class_weights)
        final.append(weights(model))
    for name, tensor in final[0].items():
        torch.testing.assert_close(final[1][name], tensor, atol=1e-5, rtol=1e-4)


def test_a_micro_batch_without_a_label_adds_nothing(tmp_path):
    rows = make_rows(count=8)
    for row in rows[:4]:
        row["labels"] = -100
    model = headed("fc", 3, **NO_DROPOUT)
    trainer = train(
        tmp_path, model, rows, per_device_train_batch_size=1, gradient_accumulation_steps=8
    )
    assert np.isfinite(history(trainer)).all()


def test_every_parameter_moves(tmp_path):
    model = headed("bilstm", 3, **NO_DROPOUT)
    before = weights(model)
    train(tmp_path, model, make_rows(), optim="adamw_torch", learning_rate=1e-3)
    seen = {token for row in make_rows() for token in row["input_ids"]}
    assert seen
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def groups_of(trainer):
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    return [
        (group["lr"], group["weight_decay"], {names[id(p)] for p in group["params"]})
        for group in trainer.optimizer.param_groups
    ]


def test_the_head_has_its_own_learning_rate(tmp_path):
    model = headed("fc", 3)
    trainer = HeadTrainer(
        model, arguments(tmp_path, optim="adamw_torch", weight_decay=0.01), head_learning_rate=0.5
    )
    trainer.create_optimizer()
    groups = groups_of(trainer)
    everything = [name for _, _, names in groups for name in names]
    assert sorted(everything) == sorted(name for name, _ in model.named_parameters())
    assert {(rate, decay) for rate, decay, _ in groups} == {
        (1e-3, 0.01), (1e-3, 0.0), (0.5, 0.01), (0.5, 0.0),
    }  # fmt: skip
    for rate, decay, names in groups:
        for name in names:
            assert (rate == 0.5) == name.startswith("head."), name
            assert (decay == 0.0) == (name.endswith("bias") or "LayerNorm" in name), name


def test_the_head_learning_rate_reaches_the_updates(tmp_path):
    model = headed("fc", 3, **NO_DROPOUT)
    before = weights(model)
    train(tmp_path, model, make_rows(), learning_rate=0.0, head_learning_rate=0.1, max_steps=1)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("head."), name


def test_a_frozen_encoder_keeps_every_bit(tmp_path):
    model = headed("cnn", 3, hidden_dropout_prob=0.5)
    before = weights(model)
    trainer = train(tmp_path, model, make_rows(), frozen_encoder=True, weight_decay=0.1)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("encoder."), name
    assert all(name.startswith("head.") for _, _, names in groups_of(trainer) for name in names)
    assert not model.encoder.training


def scores(prediction):
    return {"first": float(prediction.predictions[0, 0]), "labels": prediction.label_ids.tolist()}


@pytest.mark.parametrize("workers", [0, 1])
def test_predictions_stand_in_data_set_order(tmp_path, workers):
    rows, make_batch = make_rows(count=37), collator()
    model = headed("cnn", 3)
    trainer = HeadTrainer(
        model,
        arguments(tmp_path, per_device_eval_batch_size=8, dataloader_num_workers=workers),
        data_collator=make_batch,
        compute_metrics=scores,
    )
    output = trainer.predict(rows)
    assert output.label_ids.tolist() == [row["labels"] for row in rows]
    with torch.no_grad():
        expected = [
            model(input_ids=torch.tensor([row["input_ids"]])).logits[0].tolist() for row in rows
        ]
    np.testing.assert_allclose(output.predictions, expected, atol=1e-5)
    # the metric function sees that order too
    assert output.metrics["test_first"] == pytest.approx(expected[0][0], abs=1e-5)
    assert output.metrics["test_labels"] == [row["labels"] for row in rows]
    assert trainer.compute_metrics is scores


@pytest.mark.parametrize("problem_type", PROBLEMS)
def test_the_evaluation_loss_does_not_depend_on_the_batch_size(tmp_path, problem_type):
    rows = make_rows(problem_type, count=37)
    model = headed("fc", PROBLEMS[problem_type], problem_type=problem_type)
    losses = []
    for size in (1, 8, 36, 64):
        trainer = HeadTrainer(
            model, arguments(tmp_path, per_device_eval_batch_size=size), data_collator=collator()
        )
        losses.append(trainer.evaluate(rows)["eval_loss"])
    assert losses == pytest.approx([losses[0]] * 4, abs=1e-5)
    batch = collator()(rows)
    assert losses[0] == pytest.approx(model(**batch).loss.item(), abs=1e-5)


@pytest.mark.parametrize("logging_steps", [1, 500])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path, logging_steps):
    rows = make_rows("regression")
    rows[3]["labels"] = float("nan")
    model = headed("fc", 1, problem_type="regression", **NO_DROPOUT)
    with pytest.raises(FloatingPointError, match="NaN labels"):
        train(tmp_path, model, rows, logging_steps=logging_steps)


def test_a_weight_that_is_no_number_stops_the_evaluation(tmp_path):
    model = headed("fc", 3)
    with torch.no_grad():
        model.head.dense.weight[0, 0] = float("nan")
    trainer = HeadTrainer(model, arguments(tmp_path), data_collator=collator())
    with pytest.raises(FloatingPointError):
        trainer.evaluate(make_rows())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"frozen_encoder": True}, "needs a headed model"),
        ({"class_weights": [1.0, 2.0]}, "needs a headed model"),
    ],
)
def test_what_only_headed_models_have_is_refused_for_others(tmp_path, argument, message):
    model = ElectraForSequenceClassification(encoder_config())
    with pytest.raises(ValueError, match=message):
        HeadTrainer(model, arguments(tmp_path), **argument)


def test_as_many_class_weights_as_classes(tmp_path):
    with pytest.raises(ValueError, match="2 entries, the model has 3"):
        HeadTrainer(headed("fc", 3), arguments(tmp_path), class_weights=[1.0, 2.0])


# ---------------------------------------------------------------- a Trainer still


def question_rows():
    rows = make_rows()
    for row in rows:
        del row["labels"]
        row["start_positions"] = 0
        row["end_positions"] = len(row["input_ids"]) - 1
    return rows


@pytest.mark.parametrize("return_dict", [True, False])
@pytest.mark.parametrize(
    ("model_class", "make"),
    [(ElectraForSequenceClassification, make_rows), (ElectraForQuestionAnswering, question_rows)],
)
def test_other_models_train_as_under_the_stock_trainer(tmp_path, model_class, make, return_dict):
    results = []
    for trainer_class in (Trainer, HeadTrainer):
        labels = 3 if model_class is ElectraForSequenceClassification else 2
        config = encoder_config(num_labels=labels, return_dict=return_dict)
        trainer = train(
            tmp_path,
            spread(model_class(config)),
            make(),
            trainer_class,
            train_sampling_strategy="random",
            gradient_accumulation_steps=2,
            per_device_train_batch_size=4,
        )
        metrics = trainer.evaluate(make())
        results.append((history(trainer), metrics["eval_loss"], weights(trainer.model)))
    (losses, eval_loss, final), (our_losses, our_eval_loss, our_final) = results
    assert our_losses == losses
    assert our_eval_loss == eval_loss
    for name, tensor in final.items():
        assert torch.equal(our_final[name], tensor), name


def test_headed_models_train_right_under_the_stock_trainer(tmp_path):
    results = []
    for trainer_class in (Trainer, HeadTrainer):
        model = headed("cnn", 3, **NO_DROPOUT)
        trainer = train(
            tmp_path,
            model,
            make_rows(),
            trainer_class,
            train_sampling_strategy="random",
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
        )
        results.append(history(trainer))
    assert results[1] == pytest.approx(results[0], rel=1e-5)


def test_it_takes_what_the_stock_trainer_takes():
    """The signature is the parent's, passed on; ours are keywords behind it."""
    parameters = inspect.signature(HeadTrainer).parameters.values()
    kinds = [parameter.kind for parameter in parameters]
    assert inspect.Parameter.VAR_POSITIONAL in kinds
    assert inspect.Parameter.VAR_KEYWORD in kinds
    ours = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert not ours & set(inspect.signature(Trainer).parameters)


def test_a_callers_loss_function_is_used(tmp_path):
    def nothing(outputs, labels, num_items_in_batch=None):
        return outputs["logits"].sum() * 0.0

    model = headed("fc", 3, **NO_DROPOUT)
    before = weights(model)
    trainer = train(tmp_path, model, make_rows(), compute_loss_func=nothing)
    assert history(trainer) == [0.0] * 6
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_callers_optimizer_model_init_and_callbacks_are_used(tmp_path):
    class Count(TrainerCallback):
        steps = 0

        def on_step_end(self, *args, **kwargs):
            self.steps += 1

    count = Count()
    trainer = HeadTrainer(
        model_init=lambda: headed("fc", 3, **NO_DROPOUT),
        args=arguments(tmp_path),
        train_dataset=make_rows(),
        data_collator=collator(),
        callbacks=[count],
        frozen_encoder=True,
    )
    trainer.train()
    assert count.steps == 6
    assert not any(p.requires_grad for p in trainer.model.encoder.parameters())

    model = headed("fc", 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    trainer = HeadTrainer(
        model,
        arguments(tmp_path),
        train_dataset=make_rows(),
        data_collator=collator(),
        optimizers=(optimizer, None),
        head_learning_rate=0.5,
    )
    trainer.train()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25]
    assert trainer.optimizer.optimizer is optimizer
