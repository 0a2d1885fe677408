"""What a person sees on the terminal: a bar while it goes on, the tables and the chart at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as Shown
from rich.text import Text

from framework.demo.plan import JOBS
from framework.demo.results import COLUMNS
from framework.demo.run import Watch
from framework.demo.tables import Table, conditions_line, tables

BAR: Final = 44  # characters of the longest bar
STYLES: Final = ("bright_black", "yellow", "blue", "green")


class Bar(Watch):
    """A live bar on a terminal; elsewhere a line for each thing that begins."""

    def __init__(self, console: Console, expected: float) -> None:
        self._console = console
        self._said = ""
        columns = (
            TimeElapsedColumn(),
            BarColumn(30),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=expected)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, words: str) -> None:
        if words == self._said:
            return
        self._said = words
        self._progress.update(self._task, description=words)
        if self._progress.disable:
            self._console.print(f"{time.strftime('%H:%M:%S')} {words}")

    def advance(self, seconds: float) -> None:
        self._progress.advance(self._task, seconds)

    def measured(self, run: Mapping[str, Any]) -> None:
        words = f"{run['job']}, {run['way']}, {run['warmth']}: {run['seconds']:.2f} s"
        self._console.print(f"{words}, {run['store_bytes_in_all'] / 1e6:,.1f} MB from the store")


def report(document: Mapping[str, Any]) -> RenderableType:
    return Group(
        Text("Duration (in seconds)", style="bold"),
        *_bars(document),
        Text(conditions_line(document), style="dim"),
        Text(""),
        *map(_shown, tables(document)),
        Text("Where it does not help", style="bold"),
        *(Text(f"• {sentence}") for sentence in document["no_help"]),
    )


def _bars(document: Mapping[str, Any]) -> Iterator[Text]:
    lines = {(line["job"], line["column"]): line["median_seconds"] for line in document["summary"]}
    longest, widest = max(lines.values()), max(map(len, COLUMNS))
    for job in JOBS:
        yield Text(f"{job.title}: {job.words}")
        for column, style in zip(COLUMNS, STYLES, strict=True):
            seconds = lines[job.name, column]
            bar = "█" * max(1, round(seconds / longest * BAR))
            yield Text.assemble(f"  {column:<{widest}} ", (bar, style), f" {seconds:.2f}")


def _shown(table: Table) -> Shown:
    shown = Shown(title=table.title, title_justify="left", title_style="bold")
    for number, head in enumerate(table.heads):
        shown.add_column(head, justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown
