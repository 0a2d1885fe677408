"""The screen of `top`: what the API said last, laid out for a terminal's size. Pure.

Every row is one line. What is not well comes first, so that a small screen with a thousand workers still shows it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from framework.commands import show, show_amiss, show_groups
from framework.words import counted

Document = Mapping[str, Any]

NARROWEST, LOWEST = 40, 12


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What was answered; None for what was not. ``trouble``: why not, in one sentence."""

    address: str
    at: float = 0.0  # seconds since 1970; 0: nothing was answered yet
    health: Document | None = None
    status: Document | None = None
    workers: Document | None = None
    plans: Sequence[Document] | None = None
    offers: Document | None = None
    events: Sequence[Document] | None = None
    groups: Sequence[Document] | None = None
    trouble: str = ""

    def documents(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in ("health", "status", "workers", "plans", "offers", "events", "groups")
        } | ({"trouble": self.trouble} if self.trouble else {})


@dataclasses.dataclass(frozen=True, slots=True)
class _Section:
    title: str
    rows: Sequence[Sequence[RenderableType]]  # one line each, the most important first
    least: int  # rows that it gets before any other section gets more
    rest: str  # what is said of the rows that have no room: "{} more"

    def lines(self, room: int) -> list[RenderableType]:
        title = Text(self.title, style="bold reverse", no_wrap=True, overflow="ellipsis")
        if room == 0:
            return [title]
        shown = self.rows if len(self.rows) <= room else self.rows[: room - 1]
        table = Table.grid(padding=(0, 1), expand=True)
        for column in range(max(map(len, self.rows), default=1)):
            last = column == len(self.rows[0]) - 1
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1 if last else None)
        for row in shown:
            table.add_row(*row)
        lines: list[RenderableType] = [title]
        if shown:
            lines.append(table)
        if len(shown) < len(self.rows):
            rest = self.rest.format(len(self.rows) - len(shown))
            lines.append(Text(f"  {rest}", style="dim", no_wrap=True, overflow="ellipsis"))
        return lines


def picture(look: Look, width: int, height: int, now: float) -> RenderableType:
    """Exactly as high as the terminal, or less."""
    if width < NARROWEST or height < LOWEST:
        return Text(f"{width}x{height} is too small; {NARROWEST}x{LOWEST} is the least")
    sections = [section for section in (_tasks(look), _plans(look), _refusals(look, now), _events(look)) if section]
    others = show_groups.others(look.groups or ())
    fixed: list[RenderableType] = [_head(look, width, now), _cache(look), _wanted(look)]
    fixed += [_one_line(others)] if others is not None else []
    stand = show_amiss.line(look.status or {})
    fixed += [_one_line(stand)] if stand is not None else []
    free = height - len(fixed) - 1  # the keys at the bottom
    rooms = shares([(len(section.rows), section.least) for section in sections], free - len(sections))
    lines = fixed
    for section, room in zip(sections, rooms, strict=True):
        lines += section.lines(room)
    lines.append(_foot(look, now))
    return Group(*lines)


def shares(wanted: Sequence[tuple[int, int]], free: int) -> list[int]:
    """Rows for each section: first the least of each, then what it wants, in their order. (rows wanted, least)."""
    given = [0] * len(wanted)
    for goals in ([min(rows, least) for rows, least in wanted], [rows for rows, _ in wanted]):
        for place, goal in enumerate(goals):
            more = max(0, min(goal - given[place], free))
            given[place] += more
            free -= more
    return given


def _one_line(*parts: Text | str | tuple[str, str]) -> Text:
    text = Text.assemble(*parts)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _head(look: Look, width: int, now: float) -> Text:
    name = (look.status or look.health or {}).get("service") or "alluxio-mesos"
    clock = show.moment(now)[11:]
    if look.health is None:
        state = Text.assemble(("no answer: ", "bold red"), show.plain(look.trouble or f"{look.address} is asked"))
    else:
        state = show.health_line(look.health)
    text = _one_line(show.plain(name, "bold"), "  ", state)
    text.truncate(width - len(clock) - 2, overflow="ellipsis", pad=True)
    return text.append(f"  {clock}", style="dim")


def _cache(look: Look) -> RenderableType:
    return show.cache_line(look.status["alluxio"]) if look.status is not None else Text("cache: not known")


def _wanted(look: Look) -> Text:
    if look.workers is not None:
        text = show.worker_summary(look.workers)
        if look.workers.get("why"):
            text.append_text(show.plain(f"; {look.workers['why']}", "yellow"))
        return _one_line(text)
    if look.status is None:
        return Text("workers: not known")
    wanted = look.status["wanted"]["workers"]
    waits = "; ".join(f"{kind} waits: {reason}" for kind, reason in look.status.get("waiting_for", {}).items())
    return _one_line(
        "wanted: ",
        ("one worker on each agent" if wanted == "all" else counted(wanted, "worker"), "bold"),
        show.plain(f"; {waits}" if waits else "", "yellow"),
    )


def _tasks(look: Look) -> _Section | None:
    if look.status is None:
        return None
    leaving = _leaving(look)
    ordered = sorted(look.status["tasks"], key=lambda task: _well(task) and task["slot"] not in leaving)
    bad = sum(not _well(task) for task in ordered)
    return _Section(
        f"TASKS  {len(ordered)}, {bad} not ready" if bad else f"TASKS  {len(ordered)}, all ready",
        [_task(task, leaving.get(task["slot"])) for task in ordered],
        5,
        "and {} more",
    )


def _leaving(look: Look) -> dict[str, Document]:
    """By slot. Of the default group it is known how far each is; of the others the plan tells."""
    planned = [phase for plan in look.plans or () if plan["name"] == "decommission" for phase in plan["phases"]]
    found: dict[str, Document] = {}
    for phase in planned:
        said = next((step.get("message", "") for step in phase["steps"] if step["status"] != "ready"), "")
        found[phase["name"]] = {"step": "leaving", "message": said}
    return found | {one["slot"]: one for one in (look.workers or {}).get("leaving", ())}


def _well(task: Document) -> bool:
    return task["phase"] in show.GOOD


def _task(task: Document, leaving: Document | None) -> Sequence[RenderableType]:
    phase = leaving["step"] if leaving is not None else task["phase"]
    capacity, used = task.get("capacity_bytes", 0), task.get("used_bytes", 0)
    rest = Text()
    if capacity:
        rest = show.share(used, capacity, 10).append_text(show.plain(f" {show.size(used)}/{show.size(capacity)} "))
    # One column: what is not well caches nothing, and its reason has that room too.
    rest.append_text(show.plain((leaving.get("message") if leaving is not None else show.why(task)) or ""))
    return (
        show.plain(task["slot"]),
        show.plain(phase, "yellow" if leaving is not None else show.style_of(phase)),
        show.plain(task.get("hostname", "-")),
        rest,
    )


def _plans(look: Look) -> _Section | None:
    if look.plans is None:
        return None
    rows = []
    # Where the status tells of mounts, that line has said it.
    told = {"mounts"} if look.status is not None and "mounts" in look.status else set()
    for plan in sorted(look.plans, key=lambda plan: bool(plan["status"] == "ready")):
        if plan["name"] in told:
            continue
        done, total = show.done_of(plan)
        rows.append(
            (
                show.plain(plan["name"]),
                show.plain(plan["status"], show.style_of(plan["status"])),
                show.bar(done if total else 1, max(total, 1), 10, "green"),
                Text(f"{done} of {total}" if total else "nothing to do"),
                show.plain(show.waits_for(plan)),
            )
        )
    return _Section("PLANS", rows, 3, "and {} more")


def _refusals(look: Look, now: float) -> _Section | None:
    if look.offers is None:
        return None
    quiet = ", Mesos is asked for none" if look.offers["suppressed"] else ""
    return _Section(
        f"OFFERS  {look.offers['waiting']} not answered{quiet}; refused because",
        [
            (
                show.plain(name, "yellow"),
                Text(f"{times}x on {counted(agents, 'agent')}"),
                Text(show.ago(last["at"], now), style="dim"),
                show.plain(f"{last['hostname']}: {last['reason']}"),
            )
            for name, times, agents, last in show.grouped(look.offers["refused"])
        ],
        3,
        "and {} more reasons",
    )


def _events(look: Look) -> _Section | None:
    if look.events is None:
        return None
    rows = [
        (
            Text(show.moment(event["at"])[11:], style="dim"),
            show.plain(event["kind"], "cyan"),
            show.plain(event["text"]),
        )
        for event in sorted(look.events, key=lambda event: -event["number"])
    ]
    return _Section("EVENTS  the newest first", rows, 4, "and {} before")


def _foot(look: Look, now: float) -> Text:
    heard = f"answered {show.ago(look.at, now)}" if look.at else "not answered yet"
    trouble = f"  {look.trouble}" if look.trouble and look.health is not None else ""
    return _one_line(
        ("q", "bold"), " ends   ", show.plain(f"{look.address}, {heard}", "dim"), show.plain(trouble, "red")
    )
