"""What a terminal shows of groups of workers, and of changes of one. Pure, as ``show`` is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from framework.commands import show
from framework.commands.show import Document, listing, plain, worker_summary
from framework.commands.show_changes import moves, numbers, options, restarts
from framework.model import DEFAULT_GROUP, group_named, group_of
from framework.words import counted


def groups(found: Sequence[Document]) -> RenderableType:
    waits = [
        plain(f"{one['name']}: {one['missing']} missing because {one.get('why') or 'nobody knows'}", "yellow")
        for one in found
        if one["missing"]
    ]
    return Group(
        listing(
            ("GROUP", "WANTED", "READY", "MISSING", "OPTIONS"),
            (
                (
                    one["name"],
                    one["count"],
                    plain(one["ready"], "green" if one["ready"] else ""),
                    plain(one["missing"] or "-", "yellow" if one["missing"] else ""),
                    _own_options(one) or "-",
                )
                for one in found
            ),
            "there are no groups",
        ),
        *((Text(""), *waits) if waits else ()),
    )


def default(found: Document, others: Text | None) -> RenderableType:
    """The default group's workers, and that there are others."""
    if others is None:
        return show.workers(found)
    return show.workers(found, [worker_summary(found), others.append("; `alluxio-mesos groups` tells more")])


def group(found: Document) -> RenderableType:
    own = _own_options(found)
    return show.workers(found, [summary(found), plain(f"its own options: {own}" if own else "no options of its own")])


def summary(found: Document) -> Text:
    return plain(f"group {found['name']}, ", "bold").append_text(worker_summary(found))


def _own_options(found: Document) -> str:
    return " ".join(f"{name}={text}" for name, text in sorted(found["options"].items()))


def others(found: Sequence[Document]) -> Text | None:
    """Those beside the default one, in one line; None where there are none."""
    beside = [one for one in found if one["name"] != DEFAULT_GROUP]
    if not beside:
        return None
    told = (
        plain(f"{one['name']} {one['ready']} of {one['count']}", "yellow" if one["missing"] else "green")
        for one in beside
    )
    return Text("other groups: ").append_text(Text(", ").join(told))


# Changes --------------------------------------------------------------------------------------------------------------


def is_other(found: Document) -> bool:
    """Whether anything of the group is, or would be, other than before."""
    return any((found["before"] != found["count"], found["start"], found["stop"], found["changed"]))


def preview(found: Document) -> RenderableType:
    """What a call for a group would do. Tasks of others that have an update before them are none of its business."""
    name, changed = found["name"], found["changed"]
    if not is_other(found):
        return plain(f"nothing of group {name} would change: version {found['number']} says the same")
    again = [slot for slot in found["restarts"] if group_of(slot) == group_named(name)]
    head = f"group {name} would be" if found["before"] != found["count"] else f"group {name}:"
    lines = [plain(f"{head} {numbers(found)}", "bold"), *moves(found)]
    if changed:
        lines += [Text("options would change:"), *options(changed, "(as in default)")]
    if changed or again:
        lines.append(restarts(again))
    return Group(*lines)


def made(found: Document) -> Text:
    """What a call for a group did, in one line."""
    wants = "one worker on each agent" if found["count"] == "all" else counted(found["count"], "worker")
    holds = plain(f"version {found['number']} holds: group {found['name']} wants {wants}")
    return holds.append(_look(found["name"])) if is_other(found) else holds


def removal_preview(found: Document) -> RenderableType:
    return Group(plain(f"group {found['name']} would be wanted no more", "bold"), *moves(found))


def removed(found: Document, *, waited: bool) -> Text:
    """What letting a group go did, in one line; ``waited``: until its last worker had left."""
    holds = plain(f"version {found['number']} holds: group {found['name']} is wanted no more")
    if waited:
        return holds.append(", and none of its workers is left")
    leave = len(found["stop"])
    if not leave:
        return holds
    return holds.append(f"; {counted(leave, 'worker')} {'leaves' if leave == 1 else 'leave'}{_look(found['name'])}")


def _look(name: str) -> str:
    return f"; `alluxio-mesos groups show {name}` shows how far it is"
