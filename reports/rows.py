"""From records to rows: one row per head, one section per encoder."""

import json
import statistics
from dataclasses import dataclass

from experiments.record import RunRecord


@dataclass(frozen=True)
class Row:
    """One head on one encoder, over its seeds.

    Attributes:
        experiment: The experiment's name.
        head: The head's name.
        figures: Test metric by seed, of the completed cells.
        errors: Error by seed, of the failed cells.
        head_parameters: Number of the head's parameters.
        train_seconds: Median over the cells that were trained in one go; None without any.
        samples_per_second: Median training examples per second of the same cells.
        devices: What the cells were trained on, and in which precision.
        budgets: Training examples, test examples and how long the completed cells trained.
        partial: Whether a cell saw only part of the data.
        frozen: Whether the encoder was frozen.
        configurations: How many configurations, precisions and batch sizes the completed cells
            had; more than one is no fair mean.
    """

    experiment: str
    head: str
    figures: dict[int, float]
    errors: dict[int, str]
    head_parameters: int
    train_seconds: float | None
    samples_per_second: float | None
    devices: tuple[str, ...]
    budgets: tuple[tuple[int, int, str], ...]
    partial: bool
    frozen: bool
    configurations: int

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None without a completed cell."""
        return statistics.mean(self.figures.values()) if self.figures else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        return statistics.stdev(self.figures.values()) if len(self.figures) > 1 else None


@dataclass(frozen=True)
class Section:
    """The rows on one encoder.

    Attributes:
        encoder: The encoder's name.
        weights: `pretrained` or `random`.
        weights_sha256: Checksum of pretrained weights.
        encoder_parameters: Number of the encoder's parameters.
        rows: In the order of the experiments.
    """

    encoder: str
    weights: str
    weights_sha256: str | None
    encoder_parameters: int
    rows: tuple[Row, ...]

    @property
    def budgets(self) -> set[tuple[int, int, str]]:
        """Training examples, test examples and lengths of training that occur in the rows."""
        return {budget for row in self.rows for budget in row.budgets}


def build_sections(
    records: list[RunRecord], experiments: list[str], metric: str
) -> tuple[Section, ...]:
    """Groups records by encoder and experiment.

    Args:
        records: Any records of one task, in any order.
        experiments: The experiments to show, in this order.
        metric: Name of the test metric.

    Returns:
        The sections in the order in which their first row is asked for.
    """
    groups: dict[str, dict[str, list[RunRecord]]] = {}
    rank = {name: position for position, name in enumerate(dict.fromkeys(experiments))}
    shown = [record for record in records if record.experiment in rank]
    shown.sort(key=lambda r: (rank[r.experiment], _identity(r), r.seed))
    for record in shown:
        group = groups.setdefault(_identity(record), {})
        group.setdefault(record.experiment, []).append(record)
    return tuple(_section(group, metric) for group in groups.values())


def _identity(record: RunRecord) -> str:
    """Says which encoder it was: where its files lay and library versions don't count."""
    keys = ["name", "weights", "weights_sha256", "tokenizer_sha256"]
    if record.encoder["weights"] == "random":
        keys.append("config")
    return json.dumps({key: record.encoder[key] for key in keys}, sort_keys=True)


def _section(group: dict[str, list[RunRecord]], metric: str) -> Section:
    first = next(iter(group.values()))[0]
    return Section(
        encoder=first.encoder["name"],
        weights=first.encoder["weights"],
        weights_sha256=first.encoder["weights_sha256"],
        encoder_parameters=first.parameters["encoder"],
        rows=tuple(_row(cells, metric) for cells in group.values()),
    )


def _row(cells: list[RunRecord], metric: str) -> Row:
    """Summarises the cells of one experiment, in the order of their seeds."""
    done = [record for record in cells if record.status == "completed"]
    # after a resume the clock has seen only the rest of the training
    whole = [record for record in done if record.runtime.get("resumed_at_step") is None]
    seconds = [record.runtime["train_seconds"] for record in whole]
    rates = [record.runtime["train_samples_per_second"] for record in whole]
    devices = {f"{record.runtime['device']}, {record.runtime['precision']}" for record in done}
    return Row(
        experiment=cells[0].experiment,
        head=cells[0].head["name"],
        figures={record.seed: record.metrics["test"][metric] for record in done},
        errors={r.seed: " ".join((r.error or "").split()) for r in cells if r not in done},
        head_parameters=cells[0].parameters["head"],
        train_seconds=statistics.median(seconds) if seconds else None,
        samples_per_second=statistics.median(rates) if rates else None,
        devices=tuple(sorted(devices)),
        budgets=tuple(sorted({_budget(record) for record in done})),
        partial=any(record.partial for record in cells),
        frozen=any(_frozen(record) for record in done),
        configurations=len({_configuration(record) for record in done}),
    )


def _configuration(record: RunRecord) -> tuple[str, str, int | None]:
    """Says what a mean may be taken over; how it was launched can change what is computed."""
    runtime = record.runtime
    return record.config_hash, runtime["precision"], runtime.get("batch_per_update")


def _budget(record: RunRecord) -> tuple[int, int, str]:
    arguments = record.training_arguments
    epochs, steps = arguments["num_train_epochs"], arguments.get("max_steps", -1)
    length = f"{epochs:g} epoch{'' if epochs == 1 else 's'}"
    if steps > 0:
        length = f"{steps:,} step{'' if steps == 1 else 's'}"
    return record.data["train_rows"], record.data["test_rows"], length


def _frozen(record: RunRecord) -> bool:
    counts = record.parameters
    return counts["trainable"] < counts["encoder"] + counts["head"]
