"""Rows, references and failures as Markdown."""

from collections.abc import Iterable

from reports.references import Reference
from reports.rows import Row, Section


def section_markdown(section: Section, metric: str) -> str:
    """Renders the rows on one encoder; what all of them share is said once, above them."""
    weights = "random weights"
    if section.weights == "pretrained":
        weights = f"pretrained, weights {section.weights_sha256[:8]}"
    title = f"**{section.encoder} ({weights})**: {section.encoder_parameters:,} parameters"
    shared = len(section.budgets) == 1
    if shared:
        title += f"; {_budget_text(*next(iter(section.budgets)))}"
    heading = ["head", "experiment", f"test {metric}", "each seed"]
    heading += ["head parameters", "training s", "samples/s", "device", "notes"]
    rows = [_markdown_row(row, with_budget=not shared) for row in section.rows]
    return f"{title}\n\n{_grid(heading, rows)}"


def _markdown_row(row: Row, *, with_budget: bool) -> list[str]:
    figure = "none completed"
    if row.mean is not None:
        spread = "" if row.deviation is None else f" ± {row.deviation:.5f}"
        figure = f"{row.mean:.5f}{spread} (n={len(row.figures)})"
    notes = ["**partial**"] if row.partial else []
    if with_budget:
        notes += [_budget_text(*budget) for budget in row.budgets]
    if row.frozen:
        notes.append("encoder frozen")
    if row.configurations > 1:
        notes.append(f"**{row.configurations} configurations mixed**")
    if row.errors:
        notes.append(f"**{len(row.errors)} failed**: seed {', '.join(map(str, row.errors))}")
    return [
        f"`{row.head}`",
        f"`{row.experiment}`",
        figure,
        ", ".join(f"{seed}: {value:.5f}" for seed, value in row.figures.items()),
        f"{row.head_parameters:,}",
        number(row.train_seconds),
        number(row.samples_per_second),
        "; ".join(row.devices),
        "; ".join(notes),
    ]


def references_markdown(references: tuple[Reference, ...], metric: str) -> str:
    """Renders published figures, each marked as such."""
    rows = [[r.encoder, r.head, f"{r.figure} (published)", r.source] for r in references]
    heading = ["encoder", "head", f"test {metric}", "source"]
    return f"**Published by others**, not measured here:\n\n{_grid(heading, rows)}"


def _grid(heading: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _budget_text(train_rows: int, test_rows: int, length: str) -> str:
    return f"{train_rows:,} training and {test_rows:,} test examples, {length}"


def failures_markdown(sections: Iterable[Section]) -> str:
    """Lists the failed cells with their errors; empty without any."""
    failures = [
        f"- `{row.experiment}` seed {seed}: {error}"
        for section in sections
        for row in section.rows
        for seed, error in row.errors.items()
    ]
    return f"Failed ({len(failures)}):\n\n" + "\n".join(failures) if failures else ""


def number(value: float | None) -> str:
    """Writes a median with one decimal; nothing for none."""
    return "" if value is None else f"{value:.1f}"
