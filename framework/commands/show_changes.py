"""What a terminal shows of changes: what was wanted before, and what a call did or would do. Pure, as ``show`` is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from framework.commands.show import Document, facts, listing, moment, plain, size
from framework.words import counted

RESTARTS: Final = 20  # tasks that are named; of more, their number is


def config(found: Document) -> RenderableType:
    return Group(
        Text(f"version {found['number']}", style="bold"),
        facts((name, str(value)) for name, value in sorted(found["options"].items())),
        Text(""),
        history(found.get("history", ())),
    )


def history(found: Sequence[Document]) -> RenderableType:
    """The newest first."""
    grouped = any(entry.get("groups") for entry in found)
    return listing(
        (
            *("VERSION", "SINCE", "CONFIGURATION", "MASTERS", "WORKERS"),
            *(["GROUPS"] if grouped else []),
            *("PROXIES", "CHANGED"),
        ),
        (
            (
                entry["number"],
                moment(entry["at"]),
                entry["configuration"],
                entry["masters"],
                entry["workers"],
                *([_counts(entry.get("groups", {}))] if grouped else []),
                entry["proxies"],
                "; ".join(entry.get("changes", ())) or "-",
            )
            for entry in sorted(found, key=lambda entry: -entry["number"])
        ),
        "nothing was changed yet",
    )


def _counts(groups: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(groups.items())) or "-"


def workers(found: Document) -> RenderableType:
    """What a call for another number of workers does, or would do."""
    return Group(plain(("it would be " if found["dry_run"] else "") + numbers(found), "bold"), *moves(found))


def numbers(found: Document) -> str:
    before, count = found["before"], found["count"]
    return f"{before} -> {counted(count, 'worker')}" if before != count else f"{counted(count, 'worker')}, as before"


def moves(found: Document) -> Iterable[Text]:
    """Who starts and who leaves."""
    would, start, stop = found["dry_run"], found.get("start", ()), found.get("stop", ())
    lines = []
    if start:
        lines.append(plain(f"{'would start' if would else 'start'}: {_some(start)}", "green"))
    if stop:
        lines.append(
            Text(f"{'would leave' if would else 'leave'}, after what only they cache is kept:", style="yellow")
        )
        lines += [plain(f"  {one['slot']} on {one['hostname']}, {size(one['used_bytes'])} cached") for one in stop]
    if not start and not stop:
        lines.append(Text("no worker starts or leaves"))
    if found.get("missing"):
        lines.append(plain(f"{found['missing']} missing: {found.get('why') or 'they were just asked for'}", "yellow"))
    return lines


def preview(found: Document) -> RenderableType:
    """What a change of the configuration would do."""
    changed = found["changed"]
    if not changed:
        return Text(f"no option would change: version {found['number']} says the same")
    return Group(Text("would change:", style="bold"), *options(changed, "(nothing)"), restarts(found["restarts"]))


def options(changed: Sequence[Document], nothing: str) -> Iterable[Text]:
    return (plain(f"  {one['name']}: {one['before'] or nothing} -> {one['after'] or nothing}") for one in changed)


def restarts(slots: Sequence[str]) -> Text:
    if slots:
        return plain(f"would be launched again, in this order: {_some(slots, RESTARTS)}", "yellow")
    return Text("no task would be launched again")


def reconfigured(found: Document, *, waited: bool) -> Text:
    """What a change of the configuration did, in one line; ``waited``: until all tasks had it."""
    holds = Text(
        f"version {found['number']} holds" if found["changed"] else f"version {found['number']} holds as before"
    )
    restarts = len(found["restarts"])
    if waited:
        return holds.append(", and no task is left that has still to take it")
    if restarts:
        are = "is" if restarts == 1 else "are"
        return holds.append(
            f"; {counted(restarts, 'task')} {are} launched again: `alluxio-mesos plan update` shows how far it is"
        )
    return holds


def resting(found: Document) -> Text:
    if found["paused"]:
        return plain(f"{found['name']} begins nothing more; `alluxio-mesos plan resume {found['name']}` lets it go on")
    return plain(f"{found['name']} goes on")


def _some(names: Sequence[str], most: int = 8) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
