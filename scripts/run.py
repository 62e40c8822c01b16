"""Trains and evaluates one experiment with one seed.

accelerate launch scripts/run.py --exp cnn_nsmc --seed 1
python scripts/run.py --exp cnn_nsmc_scratch --max_train_samples 2000 --max_eval_samples 1000
"""

import json
import sys

from experiments import load_experiment
from experiments.command_line import build_parser, command, overridden, seed_number
from experiments.record import record_path
from experiments.runner import run_experiment


@command
def main() -> int:
    """Runs the cell; 0 when it completed, 1 when it failed."""
    parser = build_parser("Train and evaluate one experiment with one seed.")
    parser.add_argument("--exp", required=True, help="an experiment's name")
    parser.add_argument(
        "--seed", type=seed_number, default=None, help="the experiment's first by default"
    )
    arguments = parser.parse_args()
    experiment = overridden(load_experiment(arguments.exp), arguments)
    record = run_experiment(
        experiment,
        experiment.seeds[0] if arguments.seed is None else arguments.seed,
        data_dir=arguments.data_dir,
        runs_dir=arguments.runs_dir,
        results_dir=arguments.results_dir,
    )
    if record.status == "failed":
        print(f"{record.experiment} seed {record.seed} failed: {record.error}", file=sys.stderr)
        return 1
    path = record_path(arguments.results_dir, record.task, record.experiment, record.seed)
    partial = " (partial)" if record.partial else ""
    print(f"{record.experiment} seed {record.seed}{partial}: {json.dumps(record.metrics)}")
    print(f"record: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
