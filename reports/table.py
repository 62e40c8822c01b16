"""The comparison table, as Markdown and CSV, byte for byte from records."""

import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from experiments.record import RunRecord, write_atomically
from reports.markdown import failures_markdown, number, references_markdown, section_markdown
from reports.references import REFERENCES, Reference
from reports.rows import Row, Section, build_sections

logger = logging.getLogger(__name__)

GENERATED = "<!-- Made from the records by scripts/compare.py: `make table`. -->\n"
CSV_COLUMNS = [
    "encoder",
    "weights",
    "experiment",
    "head",
    "metric",
    "n",
    "mean",
    "standard_deviation",
    "seeds",
    "failed_seeds",
    "partial",
    "head_parameters",
    "train_seconds",
    "samples_per_second",
    "device",
]


@dataclass(frozen=True)
class Table:
    """A comparison of heads on one task.

    Attributes:
        metric: Name of the test metric.
        sections: One per encoder.
        missing: Experiments without any record.
        references: Published figures.
    """

    metric: str
    sections: tuple[Section, ...]
    missing: tuple[str, ...]
    references: tuple[Reference, ...]

    def markdown(self) -> str:
        """Renders the table for people."""
        parts = [section_markdown(section, self.metric) for section in self.sections]
        if self.sections:
            parts.append(
                f"Test {self.metric}: mean ± sample standard deviation over n seeds. Training "
                "seconds and samples/s are medians over the seeds."
            )
        parts.append(failures_markdown(self.sections))
        if self.missing:
            parts.append("No record yet: " + ", ".join(f"`{name}`" for name in self.missing) + ".")
        if self.references:
            parts.append(references_markdown(self.references, self.metric))
        return "\n\n".join(part for part in parts if part)

    def csv(self) -> str:
        """Renders our own rows for programs; an empty field is a figure that does not exist."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for section in self.sections:
            writer.writerows(_csv_row(section, row, self.metric) for row in section.rows)
        return text.getvalue()


def build_table(
    records: list[RunRecord], experiments: list[str], *, metric: str = "accuracy"
) -> Table:
    """Computes the table of some experiments.

    Args:
        records: Records of one task, in any order; those of other experiments are left out.
        experiments: The rows, in this order.
        metric: Name of the test metric.

    Returns:
        The table; without any record its task is unknown, and no published figure stands below.

    Raises:
        ValueError: If the records are of several tasks.
    """
    tasks = sorted({record.task for record in records})
    if len(tasks) > 1:
        raise ValueError(f"a table holds one task, these records are of {', '.join(tasks)}")
    recorded = {record.experiment for record in records}
    return Table(
        metric=metric,
        sections=build_sections(records, experiments, metric),
        missing=tuple(name for name in dict.fromkeys(experiments) if name not in recorded),
        references=REFERENCES.get(tasks[0], ()) if tasks else (),
    )


def write_table(table: Table, directory: Path) -> list[Path]:
    """Writes `table.md` and `table.csv`.

    Args:
        table: The table.
        directory: `results/<task>`; made if it is not there.

    Returns:
        The files written.
    """
    contents = _files(table, directory)
    for path, text in contents.items():
        _write_text(path, text)
    return list(contents)


def update_readme(readme: Path, markdown: str, task: str = "nsmc") -> None:
    """Puts a table between the marks `<!-- table:TASK -->` and `<!-- /table:TASK -->`.

    A page without the marks is left as it is, with a warning.

    Args:
        readme: The page.
        markdown: The table.
        task: The task that the marks name.
    """
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    updated = _with_table(text, markdown, task)
    if updated is None:
        logger.warning("%s has no <!-- table:%s --> to put the table in", readme, task)
    elif updated != text:
        _write_text(readme, updated)


def changed_tables(table: Table, directory: Path, readme: Path) -> list[Path]:
    """Finds the files that differ from what the table gives, or are not there.

    Args:
        table: The table, computed from the records.
        directory: `results/<task>`.
        readme: The page with the task's marks.

    Returns:
        The files that `write_table` and `update_readme` would change.
    """
    contents: dict[Path, str | None] = dict(_files(table, directory))
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    contents[readme] = _with_table(text, table.markdown(), directory.name)
    return [
        path
        for path, expected in contents.items()
        if not path.exists() or expected is None or path.read_bytes() != expected.encode()
    ]


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8", newline="\n"))


def _files(table: Table, directory: Path) -> dict[Path, str]:
    return {
        directory / "table.md": GENERATED + "\n" + table.markdown() + "\n",
        directory / "table.csv": table.csv(),
    }


def _with_table(text: str, markdown: str, task: str) -> str | None:
    """Replaces what stands between the marks; None without both marks, in order."""
    start, end = f"<!-- table:{task} -->", f"<!-- /table:{task} -->"
    before, opened, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        return None
    return f"{before}{start}\n\n{markdown}\n\n{end}{after}"


def _csv_row(section: Section, row: Row, metric: str) -> list[str | int]:
    return [
        section.encoder,
        section.weights,
        row.experiment,
        row.head,
        metric,
        len(row.figures),
        "" if row.mean is None else f"{row.mean:.5f}",
        "" if row.deviation is None else f"{row.deviation:.5f}",
        ";".join(f"{seed}={value:.5f}" for seed, value in row.figures.items()),
        ";".join(map(str, row.errors)),
        str(row.partial).lower(),
        row.head_parameters,
        number(row.train_seconds),
        number(row.samples_per_second),
        "; ".join(row.devices),
    ]
