"""The storages below the root of the namespace: what a call for one would do, and what there is. Pure.

Law: what can be known to be wrong is refused before anything is written; what only Alluxio and the storage can tell is
shown with what it tells.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Final

from framework import mounting, namespace, plans, scaling
from framework.model import HistoryEntry, Mount, MountPoint, Secret
from framework.mounting import Standing
from framework.state import MOUNTS, State

_STATUS: Final[Mapping[Standing, plans.Status]] = {
    Standing.UNKNOWN: plans.Status.PENDING,
    Standing.WAITING: plans.Status.PENDING,
    Standing.MAKING: plans.Status.STARTING,
    Standing.LEAVING: plans.Status.STARTING,
    Standing.FAILING: plans.Status.DELAYED,
    Standing.MOUNTED: plans.Status.READY,
    Standing.FOREIGN: plans.Status.READY,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """``root``: the storage at the root. ``schemes``: those that Alluxio has under-storages for; None: nobody knows."""

    root: str
    schemes: Collection[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class MountChange:
    """What a call does: ``entry`` is what is to be written (None where that is wanted already). ``foreign``: what is
    there now is somebody else's, and stays as it is.
    """

    path: str
    before: Mount | None
    after: Mount | None
    entry: HistoryEntry | None
    foreign: bool = False

    @property
    def does(self) -> str:
        if self.entry is None:
            return "nothing"
        if self.foreign:
            return "leave"
        if self.before is None or self.after is None:
            return "unmount" if self.after is None else "mount"
        return "update" if namespace.same_storage(self.before.uri, self.after.uri) else "replace"


def changed(state: State, mount: Mount, around: Surroundings, now: float) -> MountChange | list[str]:
    """What happens when this is wanted. The mistakes, if there are any."""
    wanted = [other for other in state.wanted.mounts if other.path != mount.path]
    mistakes = list(namespace.mistakes(mount, [*wanted, *_beside(state, mount.path, around)], around.schemes))
    point = mounting.table(state).get(mount.path)
    foreign = _is_foreign(state, mount.path)
    if point is not None and foreign and mount.path != namespace.ROOT and not namespace.agrees(mount, point):
        mistakes.append(
            f"path: somebody else mounted {point.uri} at {mount.path} already, in another way; unmount it with "
            "Alluxio's own command first, or choose another path"
        )
    after = tuple(sorted((*wanted, mount), key=lambda one: one.path))
    mistakes += namespace.all_mistakes(after)
    if mistakes:
        return list(dict.fromkeys(mistakes))
    return _change(state, mount.path, mount, after, now)


def removed(state: State, path: str, now: float) -> MountChange:
    """What happens when nothing is wanted at this path any more."""
    return _change(state, path, None, tuple(one for one in state.wanted.mounts if one.path != path), now)


def _change(state: State, path: str, mount: Mount | None, after: tuple[Mount, ...], now: float) -> MountChange:
    before = mounting.wanted_at(state, path)
    entry = None if before == mount else dataclasses.replace(scaling.next_entry(state, now), mounts=after)
    return MountChange(path, before, mount, entry, _is_foreign(state, path))


def _is_foreign(state: State, path: str) -> bool:
    point = mounting.table(state).get(path)
    return point is not None and not mounting.is_ours(state.mounts.get(path), point)


def _beside(state: State, path: str, around: Surroundings) -> list[MountPoint]:
    """What is mounted at other paths, and is to stay there."""
    points = mounting.table(state)
    root = points.get(namespace.ROOT, MountPoint(namespace.ROOT, around.root))
    return [root] + [
        point
        for point in points.values()
        if point.path not in (namespace.ROOT, path) and not mounting.is_ours(state.mounts.get(point.path), point)
    ]


# As documents ---------------------------------------------------------------------------------------------------------


def described(mount: Mount) -> dict[str, Any]:
    return {
        "uri": mount.uri,
        "options": {
            name: {"secret": value.name} if isinstance(value, Secret) else value
            for name, value in sorted(mount.options.items())
        },
        "readonly": mount.readonly,
        "shared": mount.shared,
    }


def _as_told(point: MountPoint) -> dict[str, Any]:
    """As Alluxio says it; values of options that may be secrets do not leave, whatever Alluxio shows of them."""
    options = {
        name: namespace.HIDDEN if namespace.is_credential(name) else value
        for name, value in sorted(point.options.items())
        if name != namespace.MARK
    }
    return {"uri": point.uri, "options": options, "readonly": point.readonly, "shared": point.shared}


def as_document(state: State, path: str, now: float) -> dict[str, Any] | None:
    """One path; None where nothing is wanted and nothing is mounted."""
    wanted, record, point = mounting.wanted_at(state, path), state.mounts.get(path), mounting.table(state).get(path)
    if wanted is not None:
        shown = described(wanted)
    elif point is not None:
        shown = _as_told(point)
    elif record is not None:
        shown = described(record.mount)
    else:
        return None
    standing, reason = mounting.stands(state, path, now)
    return {
        "path": path,
        **shown,
        "wanted": wanted is not None or path == namespace.ROOT,
        "own": mounting.is_ours(record, point),
        "mounted": point.uri if point is not None else None,
        "state": standing,
        "reason": reason,
    }


def list_document(state: State, now: float) -> dict[str, Any]:
    return {"mounts": [as_document(state, path, now) for path in mounting.all_paths(state)]}


def change_document(state: State, change: MountChange, now: float, *, dry_run: bool) -> dict[str, Any]:
    """What a call does or would do. ``state`` is the one that it was made from, or a later one."""
    return {
        "dry_run": dry_run,
        "path": change.path,
        "does": change.does,
        "before": described(change.before) if change.before is not None else None,
        "after": described(change.after) if change.after is not None else None,
        "number": scaling.number(state),
    }


def plan(state: State, now: float) -> plans.Plan:
    """Each path that is wanted, or is on its way out."""
    steps = []
    for path in mounting.paths(state):
        standing, reason = mounting.stands(state, path, now)
        steps.append(plans.Step(path, _STATUS[standing], reason))
    return plans.Plan(MOUNTS, (plans.Phase(MOUNTS, tuple(steps)),) if steps else (), MOUNTS in state.wanted.paused)
