"""What a person sees of `local up`: the steps as they go, then the table. rich's home."""

from __future__ import annotations

import dataclasses
import time
from types import TracebackType
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from framework.local.cluster import Observer, Ready

DONE: Final = {"ready", "registered"}
MIB: Final = 1 << 20


@dataclasses.dataclass
class _Step:
    standing: str
    began: float
    ended: float | None = None
    trail: list[str] = dataclasses.field(default_factory=list)
    done: int = 0
    total: int = 0


class Steps(Observer):
    """The steps on a terminal, each with a spinner, its trail (staging → starting → registered) and its seconds;
    a line for each change where there is no terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, _Step] = {}
        self._live = (
            Live(get_renderable=self._picture, console=console, refresh_per_second=8) if console.is_terminal else None
        )

    def __enter__(self) -> Steps:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, name: str, standing: str) -> None:
        now = time.monotonic()
        step = self._steps.setdefault(name, _Step("", now))
        if standing == step.standing:
            return
        step.standing = standing
        step.trail.append(standing)
        step.ended = now if standing in DONE else None
        if self._live is None:
            self._console.print(f"{name}: {standing}", markup=False, highlight=False, soft_wrap=True)

    def count(self, name: str, done: int, total: int) -> None:
        step = self._steps.setdefault(name, _Step("working", time.monotonic()))
        step.done, step.total = done, total
        if total and done >= total:
            step.ended = time.monotonic()

    def _picture(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, step in self._steps.items():
            mark: RenderableType = Text("✓", style="green") if step.ended is not None else Spinner("dots", style="cyan")
            seconds = (step.ended or time.monotonic()) - step.began
            table.add_row(mark, Text(name, style="bold"), _trail(step), Text(f"{seconds:5.1f} s", style="dim"))
        return Group(table)


def _trail(step: _Step) -> RenderableType:
    if step.total and step.ended is None:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=step.total, completed=step.done, width=30), f"{step.done} of {step.total}")
        return bar
    text = Text(" → ").join(Text(part, style="green" if part in DONE else "yellow") for part in step.trail[-4:])
    return text or Text("")


def final_table(ready: Ready) -> RenderableType:
    """Where everything is, and what each worker holds."""
    alluxio = ready.endpoints["alluxio"]
    where = Table.grid(padding=(0, 2))
    where.add_column(style="bold")
    for label, value in (
        ("Dashboard and API", ready.endpoints["api"]),
        *([("Alluxio's web page", ready.page)] if ready.page else []),
        ("Alluxio's address", f"alluxio://{alluxio['leader']}"),
        ("Mesos", ready.endpoints["mesos"]),
        ("ZooKeeper", ready.endpoints["zookeeper"]),
    ):
        where.add_row(label, str(value))
    workers = Table(
        "Worker", "Agent", "RPC port", "Used", "Capacity", title="Workers", title_justify="left", title_style="bold"
    )
    for task in ready.status["tasks"]:
        if task["phase"] == "registered":
            used, capacity = task.get("used_bytes", 0), task.get("capacity_bytes", 0)
            workers.add_row(task["slot"], task["hostname"], str(task["ports"]["rpc"]), _size(used), _size(capacity))
    return Group(
        where,
        Text(""),
        workers,
        Text(f"✓ {ready.proof}", style="green"),
        Text(f"Ready after {ready.seconds:.1f} s.", style="bold"),
    )


def status_table(status: dict[str, Any]) -> RenderableType:
    table = Table("Task", "Phase", "Agent", "Ports", "What it says")
    for task in status["tasks"]:
        ports = ", ".join(f"{name} {port}" for name, port in task.get("ports", {}).items() if name in ("rpc", "web"))
        says = task.get("failure", {}).get("reason") or task.get("message", "")
        table.add_row(
            task["slot"],
            Text(task["phase"], style="green" if task["phase"] in DONE else "yellow"),
            task.get("hostname", ""),
            ports,
            Text(says),
        )
    return table


def _size(amount: int) -> str:
    return f"{amount / MIB:,.1f} MiB"
