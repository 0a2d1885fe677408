"""The bar chart, as PNG and SVG. matplotlib's home."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure

from framework.demo.plan import JOBS
from framework.demo.results import COLUMNS

COLOURS: Final = ("#8a8f98", "#f0a04b", "#1f77b4", "#9bd1a5")


def draw(document: Mapping[str, Any], folder: Path, conditions: str) -> None:
    """Write duration.png and duration.svg."""
    lines = {(line["job"], line["column"]): line for line in document["summary"]}
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(COLUMNS)
    for place, (column, colour) in enumerate(zip(COLUMNS, COLOURS, strict=True)):
        found = [lines[job.name, column] for job in JOBS]
        medians = [line["median_seconds"] for line in found]
        spread = [
            [line["median_seconds"] - line["least_seconds"] for line in found],
            [line["most_seconds"] - line["median_seconds"] for line in found],
        ]
        middles = [index + (place - (len(COLUMNS) - 1) / 2) * width for index in range(len(JOBS))]
        bars = axes.bar(middles, medians, width * 0.92, yerr=spread, label=column, color=colour, capsize=2)
        axes.bar_label(bars, labels=[f"{median:.1f}" for median in medians], fontsize=8, padding=2)
    axes.set_xticks(range(len(JOBS)), [job.title for job in JOBS])
    axes.set_title("Duration (in seconds)", loc="left", fontweight="bold")
    axes.set_xlabel(conditions, fontsize=8, color="#555555")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with matplotlib.rc_context({"svg.hashsalt": "alluxio-mesos", "svg.fonttype": "none"}):
        figure.savefig(folder / "duration.svg", metadata={"Date": None})
    figure.savefig(folder / "duration.png", dpi=110)
