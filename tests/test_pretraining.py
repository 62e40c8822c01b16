"""Pretraining as a user runs it: an encoder that others load, stopped and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from experiments.encoder_export import thinned
from heads import HeadedModelForSequenceClassification

pytest.importorskip("gensim", reason="needs gensim (the extra `pretrain`)")

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = str(REPOSITORY / "scripts" / "pretrain.py")
SMALL = [
    *("--vocab_size", "90", "--embedding_size", "8", "--hidden_size", "16"),
    *("--num_attention_heads", "2", "--intermediate_size", "32", "--generator_layers", "1"),
    *("--per_device_train_batch_size", "8", "--num_train_epochs", "2", "--use_cpu", "true"),
    *("--logging_steps", "5", "--eval_steps", "10", "--save_steps", "10"),
    *("--skipgram_epochs", "1"),
]


@pytest.fixture
def text(tmp_path):
    """210 made-up lines; some are held out."""
    path = tmp_path / "text.txt"
    lines = [
        f"영화 {number} {'정말 ' * (number % 7)}{'좋다' if number % 3 else '싫다'}"
        for number in range(210)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def command(text, output, *more):
    return [sys.executable, SCRIPT, "--text", str(text), "--output_dir", str(output), *SMALL, *more]


def environment(**more):
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(REPOSITORY),
        "TOKENIZERS_PARALLELISM": "false",
        **more,
    }


def run(text, output, *more, **variables):
    return subprocess.run(
        command(text, output, *more),
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


def history(output):
    return json.loads((output / "encoder" / "pretraining.json").read_text(encoding="utf-8"))


def test_masked_then_replaced_tokens_on_more_layers(tmp_path, text):
    first, second = tmp_path / "mlm", tmp_path / "rtd"
    done = run(text, first, "--objective", "mlm", "--num_hidden_layers", "1")
    assert done.returncode == 0, done.stderr
    assert "mlm_accuracy" in done.stdout
    assert "tokens are real" in done.stderr
    done = run(
        text, second, "--objective", "rtd", "--num_hidden_layers", "2",
        "--start_from", str(first / "encoder"), "--generator_from", str(first / "masked_lm"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rtd_recall" in done.stdout
    phases = history(second)["phases"]
    assert [phase["settings"]["objective"] for phase in phases] == ["mlm", "rtd"]
    assert all(phase["steps"] == 54 and phase["log"][0]["seconds"] > 0 for phase in phases)
    assert [entry["step"] for entry in phases[1]["log"] if "eval_rtd_loss" in entry]

    # it is what AutoModel and AutoTokenizer take; stored in fp16, loaded in fp32 by a headed model
    encoder = second / "encoder"
    stored = load_file(encoder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert not any("generator" in name for name in stored)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    loaded, info = AutoModel.from_pretrained(encoder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert loaded.config.num_hidden_layers == 2
    assert len(tokenizer) == loaded.config.vocab_size == 90
    headed = HeadedModelForSequenceClassification.from_encoder(
        str(encoder), {"name": "fc"}, ["a", "b"]
    )
    assert {parameter.dtype for parameter in headed.parameters()} == {torch.float32}
    table = headed.encoder.embeddings.word_embeddings.weight
    assert torch.equal(table.half(), stored["embeddings.word_embeddings.weight"])
    assert headed(**tokenizer("영화 좋다", return_tensors="pt")).logits.isfinite().all()

    # the second phase began where the first ended
    start = load_file(second / "start" / "model.safetensors")
    before = load_file(first / "encoder" / "model.safetensors")
    assert torch.equal(
        start["encoder.layer.1.output.dense.weight"],
        before["encoder.layer.0.output.dense.weight"].float(),
    )


def test_first_embeddings_are_skipgram_vectors(tmp_path, text):
    for name, epochs in (("random", "0"), ("skipgram", "1")):
        done = run(text, tmp_path / name, "--max_steps", "1", "--skipgram_epochs", epochs)
        assert done.returncode == 0, done.stderr
    word = AutoTokenizer.from_pretrained(tmp_path / "random" / "start").convert_tokens_to_ids(
        "영화"
    )
    scales = {}
    for name in ("random", "skipgram"):
        stored = load_file(tmp_path / name / "start" / "model.safetensors")
        table = stored["embeddings.word_embeddings.weight"]
        scales[name] = table[word].norm() / len(table[word]) ** 0.5
        assert table[4].norm() / len(table[4]) ** 0.5 < 0.06  # [MASK]: in no text
    assert scales["skipgram"] > 2 * scales["random"]


def test_killed_and_started_again_ends_with_the_same_bits(tmp_path, text):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(text, whole).returncode == 0
    process = subprocess.Popen(
        command(text, killed), env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "encoder").exists(), "killed too late to show anything"
    done = run(text, killed)
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        (output / "encoder" / "model.safetensors").read_bytes() for output in (killed, whole)
    )
    assert ours == theirs

    # what was begun otherwise is not gone on with
    other = run(text, killed, "--learning_rate", "1e-3")
    assert other.returncode == 2
    (line,) = [line for line in other.stderr.splitlines() if line.startswith("error:")]
    assert "--learning_rate 0.0005, not 0.001" in line
    text.write_text(text.read_text(encoding="utf-8") + "한 줄 더\n", encoding="utf-8")
    other = run(text, killed)
    assert other.returncode == 2
    assert "another text" in other.stderr.strip().splitlines()[-1]


def test_probes_are_kept_and_change_nothing(tmp_path, text, tiny_nsmc):
    probe = ("--probe", "fc_nsmc_mini", "--probe_rows", "64", "--data_dir", str(tiny_nsmc))
    steps = ("--max_steps", "10", "--num_hidden_layers", "1")
    done = run(text, tmp_path / "probed", *steps, *probe)
    assert done.returncode == 0, done.stderr
    assert run(text, tmp_path / "plain", *steps).returncode == 0
    ours, theirs = (
        (tmp_path / name / "encoder" / "model.safetensors").read_bytes()
        for name in ("probed", "plain")
    )
    assert ours == theirs
    (phase,) = history(tmp_path / "probed")["phases"]
    assert [(entry["step"], entry["rows"]) for entry in phase["probes"]] == [(0, 64), (10, 64)]
    assert all(0 < entry["accuracy"] <= 1 for entry in phase["probes"])
    # an encoder that is gone on from knows its own probe
    kept = tmp_path / "probed" / "encoders" / "step-10" / "pretraining.json"
    assert json.loads(kept.read_text(encoding="utf-8"))["phases"][0]["probes"] == phase["probes"]
    assert (tmp_path / "probed" / "encoder" / "pretraining.png").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--text", "nowhere.txt"], "nowhere.txt"),
        (["--hidden_size", "15"], "--hidden_size"),
        (["--start_from", "nowhere"], "--start_from nowhere"),
        (["--mlm_probability", "1.5"], "--mlm_probability"),
        (["--objective", "mlm", "--generator_from", "x"], "--generator_from"),
        (["--num_hidden_layers", "0"], "--num_hidden_layers must be at least 1"),
        (["--num_attention_heads", "0"], "--num_attention_heads must be at least 1"),
    ],
)
def test_a_wrong_request_is_answered_by_one_line_and_two(tmp_path, text, more, says):
    done = run(text, tmp_path / "out", *more)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_two_processes_train_one_encoder(tmp_path, text):
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--main_process_port", "0",
    ]  # fmt: skip
    done = subprocess.run(
        [*launch, *command(text, tmp_path / "two", "--max_steps", "10")[1:]],
        env=environment(ACCELERATE_USE_CPU="true"), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (phase,) = history(tmp_path / "two")["phases"]
    assert phase["steps"] == 10
    assert phase["epochs"] == pytest.approx(10 / 14, abs=1e-3)  # 14 updates of 2 x 8 rows a pass
    assert phase["lines"] == 209


def test_a_log_is_thinned_but_keeps_every_evaluation():
    log = [{"loss": 1.0, "step": step} for step in range(1, 1001)]
    log += [{"eval_loss": 1.0, "step": step} for step in (500, 1000)]
    kept = thinned(log)
    assert sum("loss" in entry for entry in kept) == 100
    assert kept[99]["step"] == 1000
    assert len(kept) == 102
