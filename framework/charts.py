"""Lines for small charts: numbers over time as points in a box. Pure; their looks are the page's business."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 300.0
HEIGHT: Final = 72.0
Value = tuple[float, float | None]  # when, and how much; None for not known


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """``lines`` are for SVG's ``polyline``: a gap in the numbers is a gap between two lines. ``areas`` are the same
    down to the ground.
    """

    lines: tuple[str, ...]
    areas: tuple[str, ...]


def chart(values: Sequence[Value], until: float, span: float, top: float) -> Chart:
    """The ``span`` seconds before ``until``, from 0 at the ground to ``top``."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in values:
        x = WIDTH * (1 - (until - at) / span)
        if value is None:
            runs.append([])
        elif x >= 0:
            runs[-1].append((x, HEIGHT * (1 - (min(value, top) / top if top else 0.0))))
    drawn = [_wide(run) for run in runs if run]
    return Chart(
        tuple(_points(run) for run in drawn),
        tuple(_points([(run[0][0], HEIGHT), *run, (run[-1][0], HEIGHT)]) for run in drawn),
    )


def _wide(run: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """One point alone would not be seen."""
    [(x, y), *others] = run
    return run if others else [(x - 1, y), (x + 1, y)]


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
