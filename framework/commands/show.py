"""What a terminal shows of each document of the API. Pure: documents in, rich's renderables out; no server, no clock.

Every text that came from elsewhere goes through ``plain``: no markup, and no control character that would move a
terminal's cursor.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from framework.refusals import classified
from framework.words import counted

Document = Mapping[str, Any]

GOOD: Final = {"ready", "registered"}
BAD: Final = {"unreachable", "delayed"}
LISTED: Final = 20  # tasks that are well: with more, only their number is shown in a summary
BAR: Final = 24  # columns
GAP: Final = 2  # columns between two of a listing, and before what stands below a row
READABLE: Final = 24  # columns that a sentence needs
NARROW: Final = 6  # columns: with fewer a word says nothing
KIND: Final = 17  # columns; no kind of event is longer


# Texts ----------------------------------------------------------------------------------------------------------------


def plain(value: object, style: str = "") -> Text:
    return Text(re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", str(value)), style=style)


def size(amount: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} PiB"


def moment(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def ago(at: float, now: float) -> str:
    seconds = max(0.0, now - at)
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def style_of(word: str) -> str:
    """Of a phase or a plan's status."""
    return "green" if word in GOOD else "red" if word in BAD else "yellow"


def bar(done: float, whole: float, width: int, style: str) -> Text:
    """As full as ``done`` of ``whole``; where there are no colours too. What is not nothing shows."""
    halves = int(2 * width * min(done, whole) / whole) if whole > 0 else 0
    if done > 0 and halves == 0:
        halves = 1
    full, half = divmod(halves, 2)
    return Text.assemble(("━" * full + "╸" * half, style), ("─" * (width - full - half), "dim"))


def share(used: float, capacity: float, width: int = BAR) -> Text:
    return bar(used, capacity, width, "yellow" if used > 0.9 * capacity else "cyan")


def says(task: Document) -> str:
    """Why a task is not well, or what it says."""
    failure = task.get("failure")
    if failure:
        left = failure.get("next_launch_in_seconds", 0)
        due = f"; launched again in {left:.0f} s" if left else ""
        return f"{failure['reason']} ({counted(failure['count'], 'failure')} in a row{due})"
    return str(task.get("message", ""))


def why(task: Document) -> str:
    """In a list of many: nothing of a task that is well, whose phase says it."""
    return "" if task["phase"] in GOOD and not task.get("failure") else says(task)


def listing(head: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> RenderableType:
    """Columns without lines: they read well, and a script can cut them. The last one is for what may be long."""
    found = [[cell if isinstance(cell, Text) else plain(cell) for cell in row] for row in rows]
    return _Listing(head, found) if found else Text(nothing)


@dataclasses.dataclass(frozen=True, slots=True)
class _Listing:
    """Where the last column is too narrow, what is long of it stands below its row, at the terminal's whole width."""

    head: Sequence[str]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        others = [
            max(cell_len(name), *(row[column].cell_len for row in self.rows))
            for column, name in enumerate(self.head[:-1])
        ]
        usable = options.max_width - GAP * len(others)
        room = max(usable - sum(others), cell_len(self.head[-1]))
        below = [_is_too_long(row[-1], room) for row in self.rows]
        shown = [row[-1].cell_len for row, is_below in zip(self.rows, below, strict=True) if not is_below]
        last = min(max(cell_len(self.head[-1]), *shown, 0), room)
        widths = [*_narrowed(others, usable - last), last]
        table = self._table(widths, header=True)
        for row, is_below in zip(self.rows, below, strict=True):
            if not is_below:
                table.add_row(*row)
                continue
            table.add_row(*row[:-1])
            yield table
            yield Padding(row[-1], (0, 0, 0, GAP), expand=False)
            table = self._table(widths)
        if table.row_count:
            yield table

    def _table(self, widths: Sequence[int], *, header: bool = False) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_header=header)
        for name, width in zip(self.head, widths, strict=True):
            table.add_column(name, width=width, no_wrap=True, overflow="ellipsis")
        table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
        return table


def _is_too_long(cell: Text, room: int) -> bool:
    """Whether it reads badly in a column of that width."""
    return cell.cell_len > room and (room < READABLE or max(map(cell_len, cell.plain.split()), default=0) > room)


def _narrowed(widths: Sequence[int], usable: int) -> list[int]:
    """The widest columns give way first, and the first one, which says what the row is of, last."""
    found = list(widths)
    while sum(found) > usable and max(found) > 1:
        first = 1 if any(width > NARROW for width in found[1:]) else 0
        found[found.index(max(found[first:]), first)] -= 1
    return found


def facts(rows: Iterable[tuple[str, RenderableType | str]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, plain(value) if isinstance(value, str) else value)
    return table


# Pages ----------------------------------------------------------------------------------------------------------------


def health_line(health: Document) -> Text:
    if not health.get("healthy"):
        return Text.assemble(("not well: ", "bold red"), plain(health.get("reason") or "it does not say why"))
    role = health.get("role", "leader")
    silent = health.get("seconds_since_heard")
    heard = f", heard of Mesos {silent:.0f} s ago" if silent is not None else ""
    return Text.assemble(("well", "bold green"), plain(f" ({role}{heard})"))


def cache_line(alluxio: Document) -> RenderableType:
    used, capacity = alluxio.get("used_bytes", 0), alluxio.get("capacity_bytes", 0)
    if not alluxio.get("leader"):
        return Text.assemble(("no primary master: ", "yellow"), plain(alluxio.get("reason") or "none yet"))
    percent = f" ({100 * used / capacity:.0f} %)" if capacity else ""
    row = Table.grid(padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, overflow="ellipsis")
    row.add_row(
        share(used, capacity),
        f"{size(used)} of {size(capacity)}{percent} on {counted(alluxio.get('live_workers', 0), 'worker')}",
    )
    return row


def status(health: Document, found: Document, stand: Iterable[tuple[str, RenderableType]] = ()) -> RenderableType:
    """``stand``: where storages and paths stand, each line with a label."""
    wanted, waits, tasks = found["wanted"], found.get("waiting_for", {}), found["tasks"]
    numbers = ", ".join(_numbers(wanted))
    quiet = [task for task in tasks if task["phase"] in GOOD] if len(tasks) > LISTED else []
    parts = [
        facts(
            [
                ("Service", str(found["service"])),
                ("Scheduler", health_line(health)),
                ("Wanted", f"{numbers}; configuration {found['configuration']}"),
                ("Cache", cache_line(found["alluxio"])),
                *((f"{kind} waits", str(reason)) for kind, reason in waits.items()),
                *stand,
            ]
        ),
        Text(""),
        _tasks([task for task in tasks if task not in quiet] if quiet else tasks),
    ]
    if quiet:
        parts.append(Text(f"{len(quiet)} of {len(tasks)} tasks are well and not listed; `tasks` lists all"))
    return Group(*parts)


def _numbers(wanted: Document) -> Iterable[str]:
    """With groups, each group's workers; the number of all workers is nobody's wish."""
    groups = wanted.get("groups")
    yield counted(wanted["masters"], "master")
    yield counted(wanted["workers"], "worker") + (" in default" if groups else "")
    yield from (f"{counted(count, 'worker')} in {name}" for name, count in sorted((groups or {}).items()))
    yield counted(wanted["proxies"], "proxy", "proxies")


def tasks(found: Sequence[Document]) -> RenderableType:
    return _tasks(found)


def _tasks(found: Sequence[Document]) -> RenderableType:
    return listing(
        ("TASK", "PHASE", "AGENT", "PORTS", "SAYS"),
        (
            (
                task.get("task_id") or task["slot"],
                plain(task["phase"], style_of(task["phase"])),
                task.get("hostname", "-"),
                ", ".join(f"{name} {port}" for name, port in task.get("ports", {}).items() if name in ("rpc", "web"))
                or "-",
                why(task) or "-",
            )
            for task in found
        ),
        "there are no tasks",
    )


def task(found: Document) -> RenderableType:
    rows: list[tuple[str, RenderableType | str]] = [
        ("Task", f"{found.get('task_id', found['slot'])}"),
        ("Phase", plain(found["phase"], style_of(found["phase"]))),
    ]
    for name, label in (
        ("hostname", "Agent"),
        ("agent_id", "Agent's id"),
        ("state", "Mesos says"),
        ("configuration", "Configuration"),
        ("attempt", "Launches"),
        ("sandbox", "Sandbox"),
    ):
        if name in found:
            rows.append((label, str(found[name])))
    for name, label in (("attributes", "Agent"), ("ports", "Ports"), ("processes", "Processes")):
        if found.get(name):
            rows.append((label, ", ".join(f"{key} {value}" for key, value in found[name].items())))
    if found.get("volumes"):
        volumes = (f"{volume['tier']} {volume['size_mib']} MiB" for volume in found["volumes"])
        rows.append(("Volumes", ", ".join(volumes)))
    if "capacity_bytes" in found:
        rows.append(("Cache", f"{size(found.get('used_bytes', 0))} of {size(found['capacity_bytes'])}"))
    if "launched_at" in found:
        rows.append(("Launched", moment(found["launched_at"])))
    if says(found):
        rows.append(("Says", says(found)))
    return facts(rows)


def workers(found: Document, head: Sequence[RenderableType] = ()) -> RenderableType:
    """``head`` is what is said first; else how many are wanted, and how many there are."""
    first, *others = head or [worker_summary(found)]
    parts: list[RenderableType] = [first]
    if found.get("missing"):
        parts.append(Text.assemble(("missing because ", "yellow"), plain(found.get("why") or "nobody knows")))
    parts += others
    parts += [
        Text(""),
        listing(
            ("WORKER", "PHASE", "AGENT", "CACHE", "USED", "SAYS"),
            (
                (
                    task["slot"],
                    plain(task["phase"], style_of(task["phase"])),
                    task.get("hostname", "-"),
                    *(
                        (share(task.get("used_bytes", 0), task["capacity_bytes"], BAR // 2), _used(task))
                        if "capacity_bytes" in task
                        else ("-", "-")
                    ),
                    why(task) or "-",
                )
                for task in found["workers"]
            ),
            "there are no workers",
        ),
    ]
    if found.get("leaving"):
        parts += [
            Text(""),
            listing(
                ("LEAVES", "STEP", "AGENT", "USED", "SAYS"),
                (
                    (
                        leaving["slot"],
                        plain(leaving["step"], "yellow"),
                        leaving["hostname"],
                        size(leaving["used_bytes"]),
                        leaving.get("message") or "-",
                    )
                    for leaving in found["leaving"]
                ),
                "",
            ),
        ]
    return Group(*parts)


def _used(task: Document) -> str:
    return f"{size(task.get('used_bytes', 0))} of {size(task['capacity_bytes'])}"


def worker_summary(found: Document) -> Text:
    """Of /v1/workers, in one line."""
    missing, leaving = found.get("missing", 0), len(found.get("leaving", ()))
    wanted = "one worker on each agent" if found["count"] == "all" else counted(found["count"], "worker")
    text = Text("wanted: ").append(wanted, style="bold")
    text.append(f"; {found['ready']} {'answers' if found['ready'] == 1 else 'answer'}", style="green")
    if missing:
        text.append(f", {missing} missing", style="yellow")
    if leaving:
        text.append(f", {leaving} leaving", style="yellow")
    return text


def done_of(plan: Document) -> tuple[int, int]:
    """How many steps of a plan are ready, and how many there are."""
    steps = [step for phase in plan.get("phases", ()) for step in phase["steps"]]
    return sum(step["status"] == "ready" for step in steps), len(steps)


def waits_for(plan: Document) -> str:
    """The first step that is not ready and says why."""
    for phase in plan.get("phases", ()):
        for step in phase["steps"]:
            if step["status"] != "ready" and step.get("message"):
                return f"{phase['name']} {step['name']}: {step['message']}"
    return ""


def plans(found: Sequence[Document]) -> RenderableType:
    parts: list[RenderableType] = []
    for plan in found:
        done, total = done_of(plan)
        head = plain(plan["name"], "bold").append("  ").append_text(plain(plan["status"], style_of(plan["status"])))
        if plan.get("paused"):
            head.append(", paused", style="yellow")
        parts.append(head.append(f"  {done} of {counted(total, 'step')} ready" if total else "  nothing to do"))
        for phase in plan.get("phases", ()):
            steps = phase["steps"]
            quiet = [step for step in steps if step["status"] == "ready"]
            if not steps:
                continue
            parts.append(
                Text("  ")
                .append_text(plain(phase["name"]))
                .append("  ")
                .append_text(plain(phase["status"], style_of(phase["status"])))
                .append(f"  {len(quiet)} of {len(steps)}")
            )
            parts += [
                Padding(
                    plain(step["name"])
                    .append("  ")
                    .append_text(plain(step["status"], style_of(step["status"])))
                    .append_text(plain(f"  {step.get('message', '')}".rstrip())),
                    (0, 0, 0, 4),
                    expand=False,
                )
                for step in steps
                if step["status"] != "ready"
            ]
    return Group(*parts) if parts else Text("there is no plan")


def grouped(refused: Sequence[Document]) -> list[tuple[str, int, int, Document]]:
    """Refusals by their class, the most frequent first: class, how many, of how many agents, the newest of them."""
    classes: dict[str, list[Document]] = collections.defaultdict(list)
    for refusal in refused:
        classes[classified(str(refusal["reason"])).value].append(refusal)
    rows = [
        (name, len(all), len({one["hostname"] for one in all}), max(all, key=lambda one: one["at"]))
        for name, all in classes.items()
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def offers(found: Document, now: float, *, each: bool = False) -> RenderableType:
    waiting, refused = found["waiting"], found["refused"]
    quiet = "; Mesos was asked for no more, as nothing is to be launched" if found["suppressed"] else ""
    parts: list[RenderableType] = [
        Text(f"{counted(waiting, 'offer')} not answered yet{quiet}"),
        Text(""),
        listing(
            ("REFUSED BECAUSE", "TIMES", "AGENTS", "LAST", "FOR EXAMPLE"),
            (
                (name, times, agents, ago(last["at"], now), f"{last['hostname']}: {last['reason']}")
                for name, times, agents, last in grouped(refused)
            ),
            "no offer was refused",
        ),
    ]
    if each and refused:
        parts += [
            Text(""),
            listing(
                ("AT", "AGENT", "REASON"), ((moment(one["at"]), one["hostname"], one["reason"]) for one in refused), ""
            ),
        ]
    return Group(*parts)


def endpoints(found: Document) -> RenderableType:
    alluxio = found["alluxio"]
    rows: list[tuple[str, RenderableType | str]] = []
    for label, value in (
        ("API", found["api"]),
        ("Mesos", found["mesos"]),
        ("ZooKeeper", found["zookeeper"]),
        ("Alluxio", alluxio.get("uri")),
        ("Primary master", alluxio.get("leader")),
        ("Its web port", alluxio.get("web")),
        ("Masters", _lines(alluxio.get("masters", ()))),
        ("Workers", _lines(alluxio.get("workers", ()))),
        ("Proxies", _lines(alluxio.get("proxies", ()))),
        *([("DC/OS's names", _lines(alluxio["vips"].values()))] if alluxio.get("vips") else []),
    ):
        rows.append((label, value if isinstance(value, Text) else str(value or "none yet")))
    return facts(rows)


def _lines(values: Collection[str]) -> Text:
    return Text("\n").join(plain(value) for value in values) if values else Text("none yet")


def event(found: Document) -> Text:
    return Text.assemble(
        (moment(found["at"]), "dim"), "  ", plain(f"{found['kind']:<{KIND}}", "cyan"), "  ", plain(found["text"])
    )


def task_log(text: str) -> str:
    """A log as a terminal may have it: lines and tabs, and nothing else that controls."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
