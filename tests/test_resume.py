"""Stopped anywhere and started again, training ends with the same bits as never stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from experiments.runner import newest_checkpoint

REPOSITORY = Path(__file__).resolve().parent.parent

# dropout, accumulation, a ragged last update, a learning rate for the head, the best model kept
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from transformers import DataCollatorWithPadding, TrainerCallback, TrainingArguments, set_seed
from experiments.runner import newest_checkpoint
from tasks.wordpiece import train_wordpiece
from tests.process_training import make_rows
from tests.tiny_models import headed
from trainers import HeadTrainer

output, kill_at, frozen = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "frozen"

class Kill(TrainerCallback):
    # in the middle of an update, some steps behind the newest checkpoint
    def on_substep_end(self, args, state, control, **kwargs):
        if state.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

set_seed(1)
model = headed("bilstm", 3, hidden_dropout_prob=0.3)
args = TrainingArguments(
    output_dir=str(output / "checkpoints"), use_cpu=True, report_to="none", disable_tqdm=True,
    seed=1, data_seed=1, num_train_epochs=3, per_device_train_batch_size=4,
    gradient_accumulation_steps=2, learning_rate=1e-3, lr_scheduler_type="linear",
    warmup_steps=3, weight_decay=0.1, eval_strategy="steps", eval_steps=4,
    save_strategy="steps", save_steps=4, load_best_model_at_end=True, logging_steps=1,
    train_sampling_strategy="group_by_length",
)
trainer = HeadTrainer(
    model, args,
    train_dataset=make_rows("classes", 44, 0), eval_dataset=make_rows("classes", 20, 1),
    data_collator=DataCollatorWithPadding(train_wordpiece(["x"], 20)),
    head_learning_rate=1e-2, frozen_encoder=frozen, callbacks=[Kill()] if kill_at >= 0 else [],
)
newest = newest_checkpoint(Path(args.output_dir))
trainer.train(resume_from_checkpoint=newest and str(newest))
trainer.save_model(str(output / "model"))
history = [
    {k: v for k, v in entry.items() if k in ("loss", "grad_norm", "learning_rate", "eval_loss")}
    for entry in trainer.state.log_history
]
lines = [json.dumps(entry, sort_keys=True) for entry in history[:-1]]
(output / "history.txt").write_text("\\n".join(lines))
"""


def train(output, kill_at=-1, frozen=""):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(output), str(kill_at), frozen],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if kill_at >= 0:
        assert done.returncode == -signal.SIGKILL
    else:
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("frozen", ["", "frozen"])
def test_killed_and_resumed_ends_with_the_same_bits(tmp_path, frozen):
    train(tmp_path / "whole", frozen=frozen)
    train(tmp_path / "killed", kill_at=10, frozen=frozen)
    assert newest_checkpoint(tmp_path / "killed/checkpoints").name == "checkpoint-8"
    assert not (tmp_path / "killed/model").exists()
    train(tmp_path / "killed", frozen=frozen)
    whole, resumed = (
        load_file(tmp_path / name / "model/model.safetensors") for name in ("whole", "killed")
    )
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name
    histories = [(tmp_path / name / "history.txt").read_text() for name in ("whole", "killed")]
    assert histories[0].count("eval_loss") == 5  # 18 updates: every fourth, and the last
    assert histories[0] == histories[1]


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    train(tmp_path, kill_at=10)
    checkpoints = tmp_path / "checkpoints"
    assert newest_checkpoint(checkpoints).name == "checkpoint-8"
    (checkpoints / "checkpoint-8" / "trainer_state.json").unlink()  # written last
    assert newest_checkpoint(checkpoints).name == "checkpoint-4"
    (checkpoints / "checkpoint-4" / "optimizer.pt").unlink()
    assert newest_checkpoint(checkpoints) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None
