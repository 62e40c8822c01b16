"""Runs several experiments with several seeds and makes the table.

accelerate launch scripts/compare.py --exp fc_nsmc cnn_nsmc bilstm_nsmc --seeds 1 2 3
python scripts/compare.py --exp '*_nsmc_scratch' --report_only
"""

import argparse
import sys
from pathlib import Path

from accelerate import PartialState
from tqdm.auto import tqdm

from experiments import Experiment, ExperimentError, config_hash, list_experiments, load_experiment
from experiments.command_line import (
    EXIT_DONE,
    EXIT_FAILED,
    build_parser,
    command,
    overridden,
    seed_number,
)
from experiments.preflight import check_request
from experiments.record import read_record, read_records, record_path
from experiments.runner import run_experiment
from heads import HEADS
from reports.table import build_table, changed_tables, update_readme, write_table
from tasks import TASKS

README = Path("README.md")


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = build_parser("Run experiments with several seeds; print and write the table.")
    parser.add_argument("--exp", nargs="+", required=True, help="names or globs")
    parser.add_argument("--seeds", nargs="+", type=seed_number, default=None, help="each one's own")
    parser.add_argument("--report_only", action="store_true", help="table from records, no runs")
    parser.add_argument("--check", action="store_true", help="fail if committed tables differ")
    parser.set_defaults(report_only=False, check=False)
    return parser.parse_args()


def status(experiment: Experiment, seed: int, results_dir: Path) -> str | None:
    """Says how a cell of the same configuration ended: `completed`, `failed`, or not at all."""
    path = record_path(results_dir, experiment.task, experiment.name, seed)
    if not path.exists():
        return None
    record = read_record(path)
    return record.status if record.config_hash == config_hash(experiment) else None


def run_cells(experiments: list[Experiment], arguments: argparse.Namespace) -> int:
    """Runs the cells that have no completed record, seed by seed.

    Returns:
        How many failed.
    """
    cells = [
        (experiment, seed)
        # all heads with the first seed, then the second: stopped early, it is a fair table
        for seed in dict.fromkeys(
            seed for experiment in experiments for seed in arguments.seeds or experiment.seeds
        )
        for experiment in experiments
        if seed in (arguments.seeds or experiment.seeds)
    ]
    ended = {
        (experiment.name, seed): status(experiment, seed, arguments.results_dir)
        for experiment, seed in cells
    }
    # a cell that failed before comes last: should it fail again, the others are done
    cells.sort(key=lambda cell: ended[cell[0].name, cell[1]] == "failed")
    for experiment, seed in cells:
        if ended[experiment.name, seed] != "completed":
            check_request(experiment, seed, arguments.runs_dir)
    failed = 0
    state = PartialState()
    for experiment, seed in tqdm(cells, unit="cell", disable=not state.is_main_process):
        if ended[experiment.name, seed] == "completed":
            if state.is_main_process:
                tqdm.write(f"{experiment.name} seed {seed}: completed before, skipped")
            continue
        record = run_experiment(
            experiment,
            seed,
            data_dir=arguments.data_dir,
            runs_dir=arguments.runs_dir,
            results_dir=arguments.results_dir,
        )
        failed += record.status == "failed"
        if state.is_main_process:
            metric = TASKS[experiment.task].main_metric
            outcome = record.error or f"test {metric} {record.metrics['test'][metric]:.5f}"
            tqdm.write(f"{experiment.name} seed {seed}: {record.status}, {outcome}")
        state.wait_for_everyone()
    return failed


@command
def main() -> int:
    """Runs the cells and the report; 1 when a cell failed or a committed table differs."""
    arguments = parse_arguments()
    names = list(dict.fromkeys(name for glob in arguments.exp for name in list_experiments(glob)))
    experiments = [overridden(load_experiment(name), arguments) for name in names]
    tasks = {experiment.task for experiment in experiments}
    if len(tasks) > 1:
        raise ExperimentError(f"a table holds one task, these are of {', '.join(sorted(tasks))}")
    failed = 0
    if not (arguments.report_only or arguments.check):
        failed = run_cells(experiments, arguments)
    if PartialState().is_main_process:
        failed += report(experiments, arguments)
    return EXIT_FAILED if failed else EXIT_DONE


def report(experiments: list[Experiment], arguments: argparse.Namespace) -> int:
    """Prints the table of what was asked for, and writes or checks the task's whole table.

    The written table holds every experiment of the task that has records, so that comparing
    two heads never drops a third. Runs with overrides get a table of their own.

    Returns:
        How many committed files differ from what the records give; 0 unless checking.
    """
    task = experiments[0].task
    directory = arguments.results_dir / task
    records = read_records(arguments.results_dir, task)
    asked = [experiment.name for experiment in experiments]
    variants = {name.partition("@")[2] for name in asked} - {""}
    if variants:
        whole, directory = asked, directory / "variants" / "-".join(sorted(variants))
    else:
        recorded = {r.experiment: r.head["name"] for r in records if "@" not in r.experiment}
        whole = in_table_order(recorded)
    metric = TASKS[task].main_metric
    table = build_table(records, whole, metric=metric)
    if arguments.check:
        stale = changed_tables(table, directory, README)
        for path in stale:
            print(f"{path} differs from what the records give: run `make table`", file=sys.stderr)
        return len(stale)
    print(build_table(records, asked, metric=metric).markdown())
    for path in write_table(table, directory):
        print(f"written: {path}")
    if directory == Path("results", task):
        update_readme(README, table.markdown(), task)
    return 0


def in_table_order(heads: dict[str, str]) -> list[str]:
    """Sorts experiments by what they share (task, encoder, variant), then as HEADS lists them.

    Args:
        heads: Experiment -> name of its head.

    Returns:
        The experiments.
    """
    order = list(HEADS)

    def key(name: str) -> tuple[str, int, str]:
        head = heads[name]
        return name.removeprefix(head), order.index(head) if head in order else len(order), name

    return sorted(heads, key=key)


if __name__ == "__main__":
    sys.exit(main())
