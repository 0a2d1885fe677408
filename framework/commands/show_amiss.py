"""What a terminal shows, beside the tasks, of what is not as it is wanted: storages and paths. Pure, as ``show`` is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from framework.commands.show import Document, plain
from framework.paths import PathStanding, stands, told

MOST: Final = 5  # of a kind that are told in words

# A mount's reason says what to do already.
_MOUNT_STATES: Final = ("failing", "waiting", "leaving")
_STYLES: Final = {"failing": "red"}
_ADVICE: Final = {
    PathStanding.FAILING: "want something else of it, or let it go with `alluxio-mesos forget {path}`",
    PathStanding.WAITING: "it is made so when it comes",
}
_MORE: Final[Mapping[str, str]] = {"mount": "mounts", "path": "wanted"}


def of(mounts: Iterable[Document], paths: Iterable[Document]) -> list[Document]:
    """``kind`` is mount or path; the failing ones come first."""
    found: list[Document] = [
        {"kind": "mount", "path": one["path"], "wanted": one["uri"], "state": one["state"], "reason": one["reason"]}
        for one in mounts
        if one["state"] in _MOUNT_STATES
    ]
    for one in paths:
        state = stands(one["reason"])
        if state is not PathStanding.MADE:
            wanted = told(one["wanted"])
            found.append(
                {"kind": "path", "path": one["path"], "wanted": wanted, "state": state, "reason": one["reason"]}
            )
    return sorted(found, key=lambda one: (one["kind"], one["state"] != "failing"))


def rows(amiss: Sequence[Document]) -> Iterator[tuple[str, Text]]:
    """A label and a line for each, up to some of each kind."""
    for kind, command in _MORE.items():
        them = [one for one in amiss if one["kind"] == kind]
        for one in them[:MOST]:
            verb = {"failing": "fails", "waiting": "waits", "leaving": "leaves"}[one["state"]]
            yield f"{kind} {verb}", plain(_line(one), _STYLES.get(one["state"], "yellow"))
        if len(them) > MOST:
            yield f"{kind}s", Text(f"and {len(them) - MOST} more; `alluxio-mesos {command}` lists all")


def _line(one: Document) -> str:
    line = f"{one['path']} ({one['wanted']}): {one['reason']}"
    return line if one["kind"] == "mount" else f"{line}; {_ADVICE[one['state']].format(path=one['path'])}"
