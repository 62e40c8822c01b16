"""Trains a tiny model under however many processes it is launched with; run by test_processes.

Writes what this process saw, as JSON, to `<output>/rank-<n>.json`.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from transformers import DataCollatorWithPadding, TrainingArguments

from experiments.command_line import end_processes
from tasks.wordpiece import train_wordpiece
from tests.tiny_models import headed
from trainers import HeadTrainer


def make_rows(problem_type, count, seed):
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        ids = generator.integers(5, 50, size=generator.integers(1, 12)).tolist()
        regression = problem_type == "regression"
        label = float(generator.normal()) if regression else int(generator.integers(3))
        # now and then no label, so that the processes hold unequal parts of the loss
        if not regression and number % 7 == 3:
            label = -100
        rows.append({"input_ids": ids, "labels": label})
    return rows


def main(output, rows, steps, problem_type, class_weights, smoothing, evaluate_first):
    args = TrainingArguments(
        output_dir=str(output / "out"),
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        optim="sgd",
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        logging_steps=1,
        num_train_epochs=2,
        gradient_accumulation_steps=steps,
        label_smoothing_factor=smoothing,
        per_device_eval_batch_size=4,
        train_sampling_strategy="group_by_length",
    )
    args.per_device_train_batch_size = 8 // steps // args.world_size
    model = headed(
        "cnn",
        1 if problem_type == "regression" else 3,
        problem_type=problem_type,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    trainer = HeadTrainer(
        model,
        args,
        train_dataset=make_rows(problem_type, rows, seed=0),
        data_collator=DataCollatorWithPadding(train_wordpiece(["영화"], 20)),
        class_weights=class_weights,
        compute_metrics=lambda p: {
            "right": float((p.predictions.argmax(-1) == p.label_ids).mean()),
            "seen": len(p.predictions),
        },
    )
    held_out = make_rows(problem_type, 37, seed=1)
    before = trainer.evaluate(held_out) if evaluate_first else None
    trainer.train()
    after = trainer.predict(held_out)
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    logged = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    quality = ("_loss", "_right", "_seen")
    seen = {
        "processes": args.world_size,
        "losses": [entry["loss"] for entry in logged],
        "norms": [entry["grad_norm"] for entry in logged],
        "weights": digest.hexdigest(),
        "before": before and {k: v for k, v in before.items() if k.endswith(quality)},
        "after": {k: v for k, v in after.metrics.items() if k.endswith(quality)},
        "logits": after.predictions.tolist(),
        "labels": after.label_ids.tolist(),
    }
    (output / f"rank-{args.process_index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), **json.loads(sys.argv[2]))
    end_processes()
