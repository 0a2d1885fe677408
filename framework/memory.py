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
    records, retired, mounts = dict(kept.records), dict(kept.retired), dict(kept.mounts)
    for effect in remembered:
        match effect:
            case KeepFrameworkId():
                kept = dataclasses.replace(kept, framework_id=effect.framework_id)
            case KeepWanted():
                kept = dataclasses.replace(kept, history=(*kept.history, effect.entry)[-KEPT_ENTRIES:])
            case KeepPaths():
                kept = dataclasses.replace(kept, paths=effect.paths)
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
                kept = dataclasses.replace(kept, uninstalling=True)
            case Erase():
                return Kept(uninstalling=True)  # the mark goes last: until then no scheduler may begin anew
    return dataclasses.replace(kept, records=records, retired=retired, mounts=mounts)


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
    last = dataclasses.replace(kept.history[-1], proxies=wanted.proxies)
    if last.options.get("workers") != options.get("workers"):
        last = dataclasses.replace(last, workers=wanted.workers, released=())
    return following(wanted, last)


def following(wanted: Wanted, entry: HistoryEntry) -> Wanted:
    """What is wanted once this entry is written: all that it says holds. ``wanted`` says the rest, what is needed and
    the ids, whatever numbers it has.
    """
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
