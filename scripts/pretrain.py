"""Pretrains a small ELECTRA encoder on a text file, one example a line.

python scripts/pretrain.py --text reviews.txt.gz --objective mlm --output_dir runs/pretrain-mlm
accelerate launch scripts/pretrain.py --text reviews.txt.gz --start_from encoders/ko_electra_mini
"""

import sys

import torch
from transformers import HfArgumentParser, TrainingArguments

from experiments import ExperimentError
from experiments.command_line import command
from experiments.pretraining import pretrain
from experiments.pretraining_arguments import PretrainingArguments
from reports.pretraining_curves import write_curves

# of the fields of TrainingArguments; each can be given on the command line
DEFAULTS = {
    "output_dir": "runs/pretrain",
    "num_train_epochs": 3,
    "per_device_train_batch_size": 128,
    "per_device_eval_batch_size": 128,
    "learning_rate": 5e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.05,
    "weight_decay": 0.01,
    "logging_steps": 100,
    "eval_strategy": "steps",
    "eval_steps": 1000,
    "save_steps": 1000,
    "save_total_limit": 2,
    "prediction_loss_only": True,
    "report_to": "none",
}


@command
def main() -> int:
    """Pretrains; 0 when done."""
    parser = HfArgumentParser(
        [PretrainingArguments, TrainingArguments],
        description="Pretrain a small ELECTRA encoder on a text file, one example a line.",
        usage="%(prog)s --text FILE [options] [any TrainingArguments field]",
        allow_abbrev=False,
    )
    machine = {
        "disable_tqdm": not sys.stderr.isatty(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    parser.set_defaults(**DEFAULTS, **machine)
    try:
        arguments, args = parser.parse_args_into_dataclasses()
    except (TypeError, ValueError, OSError, ImportError) as error:
        raise ExperimentError(f"arguments: {' '.join(str(error).split())}") from error
    directory = pretrain(arguments, args)
    if args.process_index == 0:
        print(f"encoder: {directory}")
        print(f"curves: {write_curves(directory)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
