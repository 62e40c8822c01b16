"""Experiments: every directory loads, comparable ones differ in the head alone, errors are told."""

import dataclasses
import json

import pytest

from experiments import (
    EXPERIMENTS_DIR,
    ExperimentError,
    config_hash,
    list_experiments,
    load_experiment,
    override,
)
from heads import HEADS

NAMES = list_experiments()

EXPERIMENT = {
    "task": "nsmc",
    "encoder": "some/encoder",
    "head": {"name": "cnn", "num_filters": 8, "kernel_sizes": [2, 3]},
    "max_length": 32,
    "seeds": [1, 2],
}
RANDOM = {
    "weights": "random",
    "config": {"model_type": "electra"},
    "tokenizer": {"type": "wordpiece", "vocab_size": 100},
}
ARGUMENTS = {"learning_rate": 1e-3, "num_train_epochs": 1}


def write(root, experiment=EXPERIMENT, arguments=ARGUMENTS, name="cnn_nsmc"):
    directory = root / name
    directory.mkdir(parents=True, exist_ok=True)
    for file, content in (("experiment", experiment), ("training_args", arguments)):
        text = content if isinstance(content, str) else json.dumps(content)
        (directory / f"{file}.json").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_every_directory_loads(name):
    experiment = load_experiment(name)
    assert experiment.name == name
    assert name.startswith(experiment.head["name"] + "_")
    files = {path.name for path in (EXPERIMENTS_DIR / name).iterdir()}
    assert files == {"experiment.json", "training_args.json"}


def test_every_head_has_its_experiments():
    for head in HEADS:
        for suffix in ("_nsmc", "_nsmc_mini", "_nsmc_scratch"):
            assert f"{head}{suffix}" in NAMES


@pytest.mark.parametrize("suffix", ["_nsmc", "_nsmc_mini", "_nsmc_scratch", "_reviews"])
def test_what_is_compared_differs_in_nothing_but_the_head(suffix):
    names = [f"{head}{suffix}" for head in HEADS if f"{head}{suffix}" in NAMES]
    assert len(names) >= 3
    experiments = [load_experiment(name) for name in names]
    shared = [dataclasses.replace(e, name="", head={}) for e in experiments]
    assert all(other == shared[0] for other in shared)
    assert len({config_hash(e) for e in experiments}) == len(names)


def test_pretrained_and_random_stand_in_the_experiment():
    assert load_experiment("fc_nsmc").encoder == "monologg/koelectra-base-v3-discriminator"
    encoder = load_experiment("fc_nsmc_scratch").encoder
    assert encoder["weights"] == "random"
    config = encoder["config"]
    assert (config["num_hidden_layers"], config["hidden_size"]) == (4, 256)
    assert (config["num_attention_heads"], config["embedding_size"]) == (4, 128)


def test_a_glob_lists_names():
    assert list_experiments("*cnn_nsmc") == ["cnn_nsmc", "seed_cnn_nsmc"]
    with pytest.raises(ExperimentError, match="did you mean 'cnn_nsmc'"):
        list_experiments("cnn_nsmcc")


def test_an_unknown_name(tmp_path):
    with pytest.raises(ExperimentError, match="did you mean 'cnn_nsmc'"):
        load_experiment("cn_nsmc", write(tmp_path))
    with pytest.raises(ExperimentError, match="no experiment"):
        load_experiment("../cnn_nsmc", write(tmp_path))


def changed(**fields):
    return {key: value for key, value in (EXPERIMENT | fields).items() if value is not ...}


def with_config(**fields):
    config = {k: v for k, v in (RANDOM["config"] | fields).items() if v is not ...}
    return changed(encoder=RANDOM | {"config": config})


@pytest.mark.parametrize(
    ("experiment", "says"),
    [
        ('{"task": "nsmc",}', "line 1, column 17: not JSON"),
        ('{"task": "nsmc", "task": "nsmc"}', "'task' stands there twice"),
        ('{"max_length": NaN}', "NaN is not JSON"),
        ("[]", "must hold one JSON object"),
        ("", "not JSON"),
        (changed(tsak="nsmc"), "unknown key 'tsak'; did you mean 'task'?"),
        (changed(task=...), "'task' is missing"),
        (changed(task="nsmcc"), "unknown task 'nsmcc'; did you mean 'nsmc'?"),
        (changed(max_length="128"), "'max_length' must be int, not \"128\" (str)"),
        (changed(max_length=True), "'max_length' must be int"),
        (changed(max_length=2), "'max_length' is 2"),
        (changed(seeds=[]), "at least one"),
        (changed(seeds=[1, 1]), "repeats one"),
        (changed(seeds=[-1]), "each from 0 to"),
        (changed(seeds=[2**32]), "each from 0 to"),
        (changed(seeds=[1.5]), "'seeds' must be list[int]"),
        (changed(head={"name": "cn"}), "unknown head 'cn'; did you mean 'cnn'?"),
        (changed(head={}), "unknown head None"),
        (changed(head="cnn"), "'head' must be"),
        (
            changed(head={"name": "cnn", "filters": 3}),
            "unknown key 'filters' of head 'cnn'; did you mean 'num_filters'?",
        ),
        (changed(head={"name": "cnn", "num_filters": "3"}), "'head.num_filters' must be int"),
        (changed(head={"name": "cnn", "kernel_sizes": 3}), "'head.kernel_sizes' must be"),
        (changed(head={"name": "cnn", "level": "token"}), "unknown key 'level'"),
        (changed(encoder=5), "'encoder' must be"),
        (changed(encoder={"weights": "random"}), "encoder.config"),
        (changed(encoder=RANDOM | {"weights": "pretrained"}), 'must be "random"'),
        (changed(encoder=RANDOM | {"size": 1}), "unknown key 'size' of encoder"),
        (changed(encoder=RANDOM | {"tokenizer": {"type": "bpe"}}), 'must be "wordpiece"'),
        (changed(class_weights=["1"]), "'class_weights' must be"),
        (changed(class_weights=[1.0]), "1 entries, nsmc has 2 classes: negative, positive"),
        (with_config(model_type="electrra"), "'electrra'; did you mean 'electra'?"),
        (with_config(model_type=...), 'such as "electra"'),
        (with_config(num_hiden_layers=2), "unknown key 'num_hiden_layers' of encoder.config"),
        (with_config(vocab_size=9), "follows from the tokenizer"),
    ],
)
def test_a_wrong_experiment_is_told_in_one_line(tmp_path, experiment, says):
    with pytest.raises(ExperimentError) as caught:
        load_experiment("cnn_nsmc", write(tmp_path, experiment))
    message = str(caught.value)
    assert says in message
    assert str(tmp_path / "cnn_nsmc" / "experiment.json") in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"learning_rte": 1e-3}, "unknown key 'learning_rte' of TrainingArguments; did you mean"),
        ({"learning_rate": "1e-3"}, "'learning_rate' must be float, not \"1e-3\" (str)"),
        ({"num_train_epochs": True}, "'num_train_epochs' must be float"),
        ({"seed": 3}, "'seed' is set by the run"),
        ({"output_dir": "x"}, "'output_dir' is set by the run"),
        ({"eval_strategy": "epochs"}, "'eval_strategy' must be one of no, steps, epoch, not"),
        ({"evaluation_strategy": "epoch"}, "unknown key 'evaluation_strategy'"),
        ({"bf16": 1}, "'bf16' must be bool"),
        ("{", "not JSON"),
    ],
)
def test_wrong_training_arguments_are_told_in_one_line(tmp_path, arguments, says):
    with pytest.raises(ExperimentError) as caught:
        load_experiment("cnn_nsmc", write(tmp_path, arguments=arguments))
    message = str(caught.value)
    assert says in message
    assert str(tmp_path / "cnn_nsmc" / "training_args.json") in message
    assert "\n" not in message


def test_training_arguments_that_are_missing(tmp_path):
    root = write(tmp_path)
    (root / "cnn_nsmc" / "training_args.json").unlink()
    with pytest.raises(ExperimentError, match=r"training_args\.json: no such file"):
        load_experiment("cnn_nsmc", root)


def test_an_integer_may_stand_for_a_float_and_a_name_for_an_enumeration(tmp_path):
    arguments = {"num_train_epochs": 3, "eval_strategy": "epoch", "lr_scheduler_type": "linear"}
    assert load_experiment("cnn_nsmc", write(tmp_path, arguments=arguments)).training_args == (
        arguments
    )


@pytest.fixture
def experiment(tmp_path):
    return load_experiment("cnn_nsmc", write(tmp_path))


def test_watching_changes_neither_name_nor_hash(experiment):
    same = override(experiment, training_args={"logging_steps": 7, "report_to": "none"})
    assert same.name == "cnn_nsmc"
    assert config_hash(same) == config_hash(experiment)
    assert same.training_args["logging_steps"] == 7


def test_the_value_the_experiment_has_is_no_variant(experiment):
    own = {"learning_rate": 1e-3, "num_train_epochs": 1.0}
    assert override(experiment, training_args=own) == experiment


@pytest.mark.parametrize(
    "overrides",
    [
        {"training_args": {"learning_rate": 1e-2}},
        {"training_args": {"weight_decay": 0.3}},
        {"encoder": "other/encoder"},
        {"max_train_samples": 10},
        {"max_eval_samples": 10},
    ],
)
def test_what_changes_the_result_is_a_variant(experiment, overrides):
    variant = override(experiment, **overrides)
    name, digest = variant.name.split("@")
    assert name == "cnn_nsmc"
    assert len(digest) == 8
    assert override(experiment, **overrides) == variant
    assert config_hash(variant) != config_hash(experiment)
    assert override(experiment, **overrides, variant="mine").name == "cnn_nsmc@mine"


def test_a_variant_that_is_named_has_its_own_place(experiment):
    assert override(experiment, variant="again").name == "cnn_nsmc@again"


def test_the_same_overrides_name_the_variant_of_every_head_alike():
    names = {
        override(load_experiment(f"{head}_nsmc"), max_train_samples=10).name.split("@")[1]
        for head in HEADS
    }
    assert len(names) == 1


def test_the_hash_does_not_depend_on_the_order_of_keys(tmp_path):
    first = load_experiment("cnn_nsmc", write(tmp_path))
    turned = dict(reversed(EXPERIMENT.items()))
    second = load_experiment("cnn_nsmc", write(tmp_path, turned))
    assert config_hash(first) == config_hash(second)
