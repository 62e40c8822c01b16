"""A picture of how an encoder was pretrained: its losses, and what its probes said."""

import itertools
import json
from pathlib import Path
from typing import Any

HISTORY = "pretraining.json"
FIGURE = "pretraining.png"
# Okabe and Ito's palette, told apart by the colour-blind
LOSSES = {"eval_mlm_loss": ("masked tokens", "#0072B2"), "eval_rtd_loss": ("replaced", "#D55E00")}
PROBES = ("#009E73", "#CC79A7", "#E69F00")


def write_curves(encoder: Path) -> Path:
    """Draws held-out losses and probe accuracies over the hours of all phases.

    Args:
        encoder: A directory with `pretraining.json`.

    Returns:
        The picture, beside it.
    """
    from matplotlib.figure import Figure  # takes a second; no display is needed this way

    phases = json.loads((encoder / HISTORY).read_text(encoding="utf-8"))["phases"]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, probes = figure.subplots(1, 2)
    second = losses.twinx()
    counts = sorted({probe["rows"] for phase in phases for probe in phase.get("probes", [])})
    colours = dict(zip(counts, itertools.cycle(PROBES), strict=False))
    start = 0.0
    for phase in phases:
        clock = _Clock(phase["log"], start)
        for axes, name in ((losses, "eval_mlm_loss"), (second, "eval_rtd_loss")):
            entries = [entry for entry in phase["log"] if name in entry]
            label, colour = LOSSES[name]
            axes.plot(
                [clock.hours(entry["step"]) for entry in entries],
                [entry[name] for entry in entries],
                color=colour,
                marker="o",
                markersize=2.5,
                linewidth=1.2,
            )
            axes.set_ylabel(f"held-out loss, {label} (nats)", color=colour)
        for count in counts:
            shown = [probe for probe in phase.get("probes", []) if probe["rows"] == count]
            probes.plot(
                [clock.hours(probe["step"]) for probe in shown],
                [probe["accuracy"] for probe in shown],
                color=colours[count],
                marker="o",
                markersize=3.5,
                linewidth=1.2,
                label=f"{count:,} training rows",
            )
        start = clock.end
        for axes in (losses, probes):
            if phase is not phases[-1]:
                axes.axvline(start, color="0.8", linewidth=0.8, zorder=0)
    second.set_visible(any("eval_rtd_loss" in e for phase in phases for e in phase["log"]))
    probes.set_ylabel("validation accuracy of the probe")
    handles = dict(zip(*probes.get_legend_handles_labels()[::-1], strict=True))
    if handles:
        probes.legend(handles.values(), handles.keys(), frameon=False, loc="lower right")
    for axes in (losses, probes):
        axes.set_xlabel("hours of training")
        axes.set_xlim(left=0)
        axes.grid(axis="y", color="0.92", linewidth=0.8)
        axes.spines[["top"]].set_visible(False)
    probes.spines[["right"]].set_visible(False)
    path = encoder / FIGURE
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path


class _Clock:
    """Turns the steps of a phase into hours since the first phase began."""

    def __init__(self, log: list[dict[str, Any]], start: float) -> None:
        self.start = start
        timed = [entry for entry in log if "seconds" in entry]
        self.rate = timed[-1]["seconds"] / timed[-1]["step"] / 3600 if timed else 0.0
        self.end = start + (timed[-1]["seconds"] / 3600 if timed else 0.0)

    def hours(self, step: int) -> float:
        """Gives the hours at a step; steps take equal time."""
        return self.start + step * self.rate
