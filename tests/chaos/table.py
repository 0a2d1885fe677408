"""The rows as a table for people, as Markdown for the documentation, as JSON for scripts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from chaos.run import Row, expected_words

GOAL = 1.3  # times the floor
COLUMNS = (
    "Fault",
    "API answers",
    "Files written",
    "All tasks ready",
    "Floor",
    "Ratio",
    "Relaunched",
    "Files lost",
    "Cached bytes lost",
    "Duplicates",
)
_LABELS = {"api": "API", "files": "files", "whole": "tasks"}


def cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        *(_seconds(value) for value in (row.api, row.files, row.whole)),
        ", ".join(f"{_LABELS[column]}: {floor.seconds:.1f} s ({floor.of})" for column, floor in row.floors.items()),
        ", ".join(_ratio(row, column) for column in row.floors),
        f"{row.relaunched} of {expected_words(row.expected)}",
        f"{len(row.lost)}{f' and {len(row.early)} taken too early' if row.early else ''}",
        f"{row.cached_lost / (1 << 20):.1f} MiB of {row.cached_may_go / (1 << 20):.1f}"
        if row.cached_may_go or row.cached_lost
        else "0",
        str(len(row.doubles)),
    )


def _seconds(value: float) -> str:
    return "never" if value == float("inf") else f"{value:.1f} s" if value else "no break"


def _ratio(row: Row, column: str) -> str:
    ratio = row.ratio(column)
    return "–" if ratio is None else f"{ratio:.2f}"


def rich_table(rows: Sequence[Row]) -> RenderableType:
    table = Table(*COLUMNS, title="What each fault did", title_justify="left", title_style="bold")
    for row in rows:
        name, *others = cells(row)
        ratios = [ratio for column in row.floors if (ratio := row.ratio(column)) is not None]
        shown: list[RenderableType] = [Text(name, style="red" if row.problems else "green")]
        for column, cell in zip(COLUMNS[1:], others, strict=True):
            style = "yellow" if column == "Ratio" and any(ratio > GOAL for ratio in ratios) else ""
            style = "red" if column in ("Files lost", "Duplicates") and cell != "0" else style
            shown.append(Text(cell, style=style))
        table.add_row(*shown)
    return table


def markdown(rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def placed(page: str, rows: Sequence[Row]) -> str:
    """The page with the rows in place of its table of these columns; the table alone when it has none."""
    lines = page.splitlines(keepends=True)
    heading = markdown([]).splitlines(keepends=True)[0]
    if heading not in lines:
        return markdown(rows)
    begin = lines.index(heading)
    end = next((index for index in range(begin, len(lines)) if not lines[index].startswith("|")), len(lines))
    return "".join([*lines[:begin], markdown(rows), *lines[end:]])


def document(rows: Sequence[Row]) -> str:
    def finite(value: float) -> float | None:
        return None if value == float("inf") else round(value, 2)

    shown = [
        {
            **dataclasses.asdict(row),
            **{column: finite(getattr(row, column)) for column in _LABELS},
            "ratios": {column: finite(ratio) for column in row.floors if (ratio := row.ratio(column)) is not None},
        }
        for row in rows
    ]
    return json.dumps(shown, indent=2) + "\n"
