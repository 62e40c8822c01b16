"""The scripts as a user runs them: in processes of their own, on made-up reviews."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from transformers import ElectraConfig, ElectraModel

from experiments.encoders import build_tokenizer

REPOSITORY = Path(__file__).resolve().parent.parent
# small enough for seconds; the experiments themselves are complete
QUICK = ["--per_device_train_batch_size", "8", "--report_to", "none"]
SCRATCH = "fc_nsmc_scratch"
ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch")


def environment(**more):
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(REPOSITORY),
        **more,
    }


def run(script, *arguments, cwd, launcher=(sys.executable,), **more):
    command = [*launcher, str(REPOSITORY / "scripts" / script), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=300
    )


def read(tmp_path, experiment, seed=1):
    path = tmp_path / f"results/nsmc/records/{experiment}/seed-{seed}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def predictions(tmp_path, experiment, seed=1):
    return tmp_path / f"results/nsmc/predictions/{experiment}/seed-{seed}.parquet"


def test_run_leaves_a_record_whose_figures_follow_from_its_predictions(tmp_path, tiny_nsmc):
    done = run(
        "run.py", "--exp", SCRATCH, "--data_dir", tiny_nsmc, *QUICK, "--variant", "t", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    record = read(tmp_path, f"{SCRATCH}@t")
    assert record["status"] == "completed"
    assert not record["partial"]
    assert record["seed"] == 1
    assert record["data"]["test_rows"] == 61
    assert record["parameters"]["head"] == 256 * 256 + 256 + 2 * 256 + 2
    assert record["training_arguments"]["per_device_train_batch_size"] == 8
    rows = pyarrow.parquet.read_table(predictions(tmp_path, f"{SCRATCH}@t")).to_pydict()
    assert rows["id"] == [str(900000 + number) for number in range(61)]  # data set order
    assert rows["label"] == [number % 2 for number in range(61)]
    assert rows["prediction"] == [int(b > a) for a, b in rows["logits"]]
    right = sum(a == b for a, b in zip(rows["label"], rows["prediction"], strict=True))
    assert record["metrics"]["test"]["accuracy"] == pytest.approx(right / 61)
    assert "tokens are real at batch 8" in done.stderr
    assert (tmp_path / f"runs/{SCRATCH}@t/seed-1/model.safetensors").exists()
    assert not list(tmp_path.glob("runs/*/*/checkpoints-*"))


def test_two_processes_give_the_predictions_of_one(tmp_path, tiny_nsmc):
    arguments = (
        "--exp", "cnn_nsmc_scratch", "--data_dir", tiny_nsmc, "--report_to", "none",
        "--variant", "t", "--max_train_samples", 64, "--max_eval_samples", 37,
        "--learning_rate", 0,  # dropout differs between one process and two; weights must not
    )  # fmt: skip
    one = run("run.py", *arguments, "--per_device_train_batch_size", 16, cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    two = run(
        "run.py", *arguments, "--per_device_train_batch_size", 8, "--results_dir", "two",
        cwd=tmp_path, ACCELERATE_USE_CPU="true",
        launcher=(*ACCELERATE, "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"),
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    name = "nsmc/{}/cnn_nsmc_scratch@t/seed-1.{}"
    record = json.loads((tmp_path / "two" / name.format("records", "json")).read_text())
    assert record["runtime"]["device"].endswith("x 2")
    paths = [tmp_path / top / name.format("predictions", "parquet") for top in ("results", "two")]
    ours, theirs = (pyarrow.parquet.read_table(path).to_pydict() for path in paths)
    assert theirs["id"] == ours["id"]
    assert theirs["label"] == ours["label"]
    for mine, other in zip(ours["logits"], theirs["logits"], strict=True):
        assert other == pytest.approx(mine, abs=1e-5)
    assert theirs["prediction"] == ours["prediction"]


def test_accelerate_launches_it_on_one_processor(tmp_path, tiny_nsmc):
    done = run(
        "run.py", "--exp", SCRATCH, "--data_dir", tiny_nsmc, "--report_to", "none",
        "--max_train_samples", 16, "--max_eval_samples", 8, "--variant", "t",
        cwd=tmp_path, launcher=(*ACCELERATE, "--cpu"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read(tmp_path, f"{SCRATCH}@t")["status"] == "completed"


def test_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path, tiny_nsmc):
    files = []
    for hash_seed in ("1", "2"):
        results = f"results-{hash_seed}"
        done = run(
            "run.py", "--exp", "bilstm_nsmc_scratch", "--data_dir", tiny_nsmc,
            "--report_to", "none", "--results_dir", results,
            cwd=tmp_path, PYTHONHASHSEED=hash_seed,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        path = tmp_path / results / "nsmc/predictions/bilstm_nsmc_scratch/seed-1.parquet"
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_killed_and_started_again_ends_where_it_would_have(tmp_path, tiny_nsmc):
    arguments = [
        "--exp", SCRATCH, "--data_dir", str(tiny_nsmc), "--variant", "k", "--report_to", "none",
        "--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "2",
        "--num_train_epochs", "3", "--save_strategy", "steps",
        "--eval_strategy", "steps", "--save_steps", "10", "--eval_steps", "10",
    ]  # fmt: skip
    whole = run("run.py", *arguments, "--results_dir", "whole", "--runs_dir", "w", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "scripts/run.py"), *arguments],
        cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pattern = f"runs/{SCRATCH}@k/seed-1/checkpoints-*/checkpoint-*/trainer_state.json"
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob(pattern)), "no checkpoint before the kill"
    assert not [path for path in tmp_path.glob("results/**/*") if path.is_file()]
    resumed = run("run.py", *arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert read(tmp_path, f"{SCRATCH}@k")["runtime"]["resumed_at_step"]
    name = f"nsmc/predictions/{SCRATCH}@k/seed-1.parquet"
    assert (tmp_path / "results" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    weights = f"{SCRATCH}@k/seed-1/model.safetensors"
    assert (tmp_path / "runs" / weights).read_bytes() == (tmp_path / "w" / weights).read_bytes()


def test_compare_makes_the_table_skips_what_is_done_and_survives_a_failed_cell(tmp_path, tiny_nsmc):
    arguments = (
        "--exp", SCRATCH, "seed_cnn_nsmc_scratch", "--seeds", 1, 2, "--data_dir", tiny_nsmc,
        "--max_train_samples", 40, "--max_eval_samples", 20, "--variant", "t",
    )  # fmt: skip
    first = run("compare.py", *arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    table = (tmp_path / "results/nsmc/variants/t/table.md").read_text(encoding="utf-8")
    assert table.count("partial") >= 2
    assert f"| `fc` | `{SCRATCH}@t` |" in table
    assert "| `seed_cnn` | `seed_cnn_nsmc_scratch@t` |" in table
    assert table.count("(n=2)") == 2
    for name in (SCRATCH, "seed_cnn_nsmc_scratch"):
        for seed in (1, 2):
            assert read(tmp_path, f"{name}@t", seed)["partial"]
    # one W&B run a cell, finished, and a line that says how to sync
    assert len(list(tmp_path.glob("runs/wandb/offline-run-*/run-*.wandb"))) == 4
    assert first.stderr.count("wandb sync") == 4
    # a record that is gone is made again, the others are skipped
    (tmp_path / f"results/nsmc/records/{SCRATCH}@t/seed-2.json").unlink()
    again = run("compare.py", *arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (again.stdout + again.stderr).count("skipped") == 3
    assert (tmp_path / "results/nsmc/variants/t/table.md").read_text(encoding="utf-8")


def test_a_failed_cell_is_recorded_and_the_others_run(tmp_path, tiny_nsmc):
    # a learning rate that sends every loss out of bounds
    arguments = (
        "--data_dir", tiny_nsmc, "--max_train_samples", 64, "--max_eval_samples", 20,
        "--learning_rate", "1e30", "--variant", "t", "--max_grad_norm", "1e30",
        "--report_to", "none", "--logging_steps", 1, "--warmup_steps", 0,
    )  # fmt: skip
    exp = ("--exp", SCRATCH, "cnn_nsmc_scratch", "--seeds", 1)
    done = run("compare.py", *exp, *arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    for name in (SCRATCH, "cnn_nsmc_scratch"):
        record = read(tmp_path, f"{name}@t")
        assert record["status"] == "failed"
        assert "FloatingPointError" in record["error"]
    assert "failed" in done.stdout


def test_an_encoder_directory_is_loaded_as_pretrained(tmp_path, tiny_nsmc):
    encoder = tmp_path / "encoder"
    tokenizer = build_tokenizer(
        {"tokenizer": {"vocab_size": 60}}, ["영화1 좋아요", "영화2 별로다", "영화3"]
    )
    tokenizer.save_pretrained(encoder)
    ElectraModel(
        ElectraConfig(
            vocab_size=len(tokenizer),
            embedding_size=16,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
        )
    ).save_pretrained(encoder)
    done = run(
        "run.py", "--exp", "bilstm_nsmc", "--encoder", encoder, "--data_dir", tiny_nsmc,
        "--num_train_epochs", 1, *QUICK, "--variant", "t", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    entry = read(tmp_path, "bilstm_nsmc@t")["encoder"]
    assert entry["weights"] == "pretrained"
    assert len(entry["weights_sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--exp", "cnn_nsmcc"], "did you mean 'cnn_nsmc"),
        (["--exp", "cnn_nsmc"], "--encoder DIR"),
        (["--exp", SCRATCH, "--data_dir", "nowhere"], "nowhere"),
        (["--exp", SCRATCH, "--learning_rate", "fast"], "learning_rate"),
        (["--exp", SCRATCH, "--seed_all", "1"], "seed_all"),
        (["--exp", SCRATCH, "--output_dir", "x"], "--runs_dir"),
        (["--exp", SCRATCH, "--lr_scheduler_type", "linaer"], "linaer"),
        (["--exp", SCRATCH, "--max_train_samples", "0"], "at least 1"),
        (["--exp", SCRATCH, "--max_eval_samples", "x"], "at least 1"),
        (["--exp", SCRATCH, "--seed", "-1"], "from 0 to"),
        (["--exp", SCRATCH, "--learning_rate", "nan"], "finite"),
        (["--exp", SCRATCH, "--metric_for_best_model", "acuracy"], "did you mean 'accuracy'"),
        (["--exp", SCRATCH, "--runs_dir", "/dev/null/runs"], "can't be written to"),
        (["--exp", SCRATCH, "--variant", "../x"], "letters, digits"),
        (["--exp", SCRATCH, "--resume_from_checkpoint", "x"], "by itself"),
        (["--exp", SCRATCH, "--eval_strategy", "steps", "--eval_steps", "7"], "strategy to match"),
    ],
)
def test_a_wrong_request_is_answered_by_one_line_and_two(tmp_path, tiny_nsmc, arguments, says):
    if "--data_dir" not in arguments:
        arguments = [*arguments, "--data_dir", str(tiny_nsmc)]
    done = run("run.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_damaged_record_is_told_with_its_cure(tmp_path):
    path = tmp_path / f"results/nsmc/records/{SCRATCH}/seed-1.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema_version": 1')
    done = run("compare.py", "--exp", SCRATCH, "--report_only", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "seed-1.json is no record" in line
    assert "move it away" in line
    assert path.read_text() == '{"schema_version": 1'


def test_missing_data_is_told_with_its_cure(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    # nothing is reachable at this proxy, so the download fails at once
    done = run(
        "run.py", "--exp", SCRATCH, "--data_dir", empty, cwd=tmp_path,
        HTTPS_PROXY="http://127.0.0.1:9", HEAD2HEAD_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert done.returncode == 2
    assert "nsmc/ratings_train.txt" in done.stderr.strip().splitlines()[-1]
    assert "--data_dir" in done.stderr.strip().splitlines()[-1]
