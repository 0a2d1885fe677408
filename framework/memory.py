"""What the scheduler remembers over its own end, and what each effect adds to that. Pure: stores write it down."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final

from framework.messages import (
    Effect,
    Erase,
    Forget,
    ForgetMount,
    Keep,
    KeepFrameworkId,
    KeepMount,
    KeepPaths,
    KeepUninstalling,
    KeepWanted,
    Launch,
    MakeMount,
    UpdateMount,
)
from framework.model import Group, GroupEntry, HistoryEntry, Kept, Wanted, group_named

__all__ = ["KEPT_ENTRIES", "REMEMBERED", "Kept", "after", "following", "newly_wanted", "overridden", "resumed"]

KEPT_ENTRIES: Final = 20
# The effects that a store writes.
REMEMBERED: Final = (
    *(KeepFrameworkId, KeepWanted, KeepPaths, Launch, Keep, Forget),
    *(MakeMount, UpdateMount, KeepMount, ForgetMount),
    *(KeepUninstalling, Erase),
)


def after(kept: Kept, effects: Iterable[Effect]) -> Kept:
    """What is remembered once these effects are decided: ``kept`` itself when they add nothing."""
    remembered = [effect for effect in effects if isinstance(effect, REMEMBERED)]
    if not remembered:
        return kept
    framework_id, records, retired, history = kept.framework_id, dict(kept.records), dict(kept.retired), kept.history
    uninstalling = kept.uninstalling
    mounts = dict(kept.mounts)
    paths = kept.paths
    for effect in remembered:
        match effect:
            case KeepFrameworkId():
                framework_id = effect.framework_id
            case KeepWanted():
                history = (*history, effect.entry)[-KEPT_ENTRIES:]
            case KeepPaths():
                paths = effect.paths
            case Launch():
                records.update((record.slot, record) for record in effect.records)
            case Keep():
                records[effect.record.slot] = effect.record
            case Forget():
                records.pop(effect.slot, None)
                retired[effect.slot] = effect.attempt
            case MakeMount() | UpdateMount() | KeepMount():
                mounts[effect.record.mount.path] = effect.record
            case ForgetMount():
                mounts.pop(effect.path, None)
            case KeepUninstalling():
                uninstalling = True
            case Erase():
                return Kept(uninstalling=True)  # the mark goes last: until then no scheduler may begin anew
    return Kept(framework_id, records, retired, history, mounts, paths, uninstalling)


def newly_wanted(
    kept: Kept,
    wanted: Wanted,
    options: Mapping[str, str],
    now: float,
    given: Mapping[str, str] | None = None,
    first: tuple[GroupEntry, ...] = (),
) -> tuple[KeepWanted, ...]:
    """The entry to write when this is wanted from ``now`` on; nothing when the last entry says the same. ``options``
    are the texts as ``config.recorded`` gives them, and ``given`` those of options that were changed over the API, as
    the scheduler was started with them; ``first`` are the groups that a service begins with.
    """
    number = kept.history[-1].number + 1 if kept.history else 1
    entry = HistoryEntry(
        number,
        now,
        wanted.configuration,
        wanted.masters,
        wanted.workers,
        wanted.proxies,
        dict(options),
        tuple(sorted(wanted.released)),
        dict(given or {}),
        tuple(sorted(wanted.paused)),
        kept.history[-1].groups if kept.history else first,
        wanted.mounts,
    )
    if kept.history and dataclasses.replace(kept.history[-1], number=number, at=now) == entry:
        return ()
    return (KeepWanted(entry),)


def resumed(kept: Kept, wanted: Wanted, options: Mapping[str, str], first: tuple[GroupEntry, ...] = ()) -> Wanted:
    """What is wanted after a restart: the number of workers that was asked for last holds until the option itself says
    something else than it did then. A plan that rested goes on to rest, and mounts are as they were asked for last.
    ``first`` are the groups that a service begins with.
    """
    if not kept.history:
        return dataclasses.replace(wanted, groups=_counted(wanted.groups, first))
    last = kept.history[-1]
    wanted = dataclasses.replace(
        wanted, paused=frozenset(last.paused), groups=_counted(wanted.groups, last.groups), mounts=last.mounts
    )
    if last.options.get("workers") != options.get("workers"):
        return wanted
    return dataclasses.replace(wanted, workers=last.workers, released=frozenset(last.released))


def following(wanted: Wanted, entry: HistoryEntry) -> Wanted:
    """What is wanted once this entry is written, as far as it says how many: needs and ids come with the wish."""
    return dataclasses.replace(
        wanted,
        workers=entry.workers,
        released=frozenset(entry.released),
        proxies=entry.proxies,
        paused=frozenset(entry.paused),
        groups=_counted(wanted.groups, entry.groups),
        mounts=entry.mounts,
    )


def _counted(groups: Mapping[str, Group], entries: Iterable[GroupEntry]) -> Mapping[str, Group]:
    """The groups that have an entry, as many of each as it says."""
    said = {group_named(entry.name): entry for entry in entries}
    return {
        name: dataclasses.replace(group, count=said[name].count, released=frozenset(said[name].released))
        for name, group in groups.items()
        if name in said
    }


def overridden(kept: Kept, own: Mapping[str, str]) -> dict[str, str]:
    """The options that were changed over the API and still hold, with their texts: all those that the scheduler was not
    started with another text for since. ``own`` are its texts as ``config.recorded`` gives them.
    """
    if not kept.history:
        return {}
    last = kept.history[-1]
    return {name: last.options.get(name, "") for name, given in last.given.items() if own.get(name, "") == given}
