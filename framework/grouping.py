"""Groups of workers with a number, sizes, tiers and a placement of their own: what a call for one would do. Pure.

Law: a group differs from the default one in nothing but its options; what is said of the default group's workers holds
for it where it says nothing itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from framework import config, configuring, scaling
from framework.config import Configuration
from framework.configuring import Configured
from framework.memory import following
from framework.model import DEFAULT_GROUP, GroupEntry, HistoryEntry, Kind, Wanted, group_named, is_group_name
from framework.state import State

OPTIONS: Final = tuple(option.name for option in config.OPTIONS if option.grouped)
FIRST: Final = "worker-groups"  # the option that says with which groups a service begins
MOST: Final = 50  # groups: each entry of the history has all of them


@dataclasses.dataclass(frozen=True, slots=True)
class GroupChange:
    """What a call for a group does: ``scale`` is the change of its number, ``entry`` what is to be written (None where
    that much is wanted already), ``wanted`` what holds then, ``launching`` what its tasks are launched with, and
    ``restarts`` the slots that run with something else. ``before`` are the options that it had.
    """

    scale: scaling.Change
    entry: HistoryEntry | None
    wanted: Wanted
    launching: tuple[Configuration, ...]
    before: Mapping[str, str]
    options: Mapping[str, str]
    restarts: Sequence[str]


def names(state: State) -> list[str]:
    """The groups that are wanted, and those of which a worker still leaves; the default one first."""
    groups = {*state.wanted.groups, *(record.group for record in state.records.values() if record.kind is Kind.WORKER)}
    return [DEFAULT_GROUP, *sorted(group.partition("-")[2] for group in groups if group != Kind.WORKER)]


def entry_of(state: State, name: str) -> GroupEntry | None:
    return next((group for group in configuring.group_entries(state.history) if group.name == name), None)


def changed(
    values: Mapping[str, str],
    state: State,
    name: str,
    count: int | None,
    options: Mapping[str, str] | None,
    remove: Sequence[str],
    now: float,
) -> GroupChange | list[str]:
    """What happens when ``count`` workers of this group are wanted (None: one on each agent), with these options in
    place of those that it had (None: with those); ``remove`` names slots that shall go. ``values`` are the texts that
    the scheduler was started with. The mistakes, if there are any.
    """
    before = entry_of(state, name) or GroupEntry(name, 0)
    mistakes = list(_mistakes(state, name, count, options))
    if mistakes:
        return mistakes
    entries = configuring.group_entries(state.history)
    if name != DEFAULT_GROUP:
        after = before if options is None else dataclasses.replace(before, options=dict(options))
        entries = tuple(sorted((*(one for one in entries if one.name != name), after), key=lambda entry: entry.name))
    found = configuring.with_groups(values, state, entries)
    if isinstance(found, list):
        return found
    then = having(state, found.own_wanted, entries, now)
    resized = scaling.change(then, count, remove, now, group_named(name))
    if isinstance(resized, list):
        return resized
    entry = resized.entry
    if entry is None and entries != configuring.group_entries(state.history):
        entry = scaling.next_entry(then, now)
    return _change(state, then, found, resized, entry, before, before.options if options is None else options)


def first(values: Mapping[str, str], configuration: Configuration) -> tuple[GroupEntry, ...] | list[str]:
    """The groups that a service begins with, as ``worker-groups`` says. The mistakes, if there are any."""
    state, mistakes = State(configuration.wanted), list[str]()
    for name, group in configuration.worker_groups.items():
        count, options = group["count"], group.get("options", {})
        wrong = [*scaling.count_mistakes(count), *configuring.text_mistakes(options)]
        found = wrong or changed(values, state, name, None if count == "all" else count, options, (), 0.0)
        if isinstance(found, list):
            mistakes += [f"{name!a}: {mistake}" for mistake in found]
        elif found.entry is not None:
            state = dataclasses.replace(state, wanted=found.wanted, history=(found.entry,))
    return mistakes or configuring.group_entries(state.history)


def removed(values: Mapping[str, str], state: State, name: str, now: float) -> GroupChange | list[str]:
    """What happens when a group is wanted no more: all its workers leave. The mistakes, if there are any."""
    before = entry_of(state, name)
    if before is None:
        return [f"name: there is no group {name!a} that is wanted; GET /v1/worker-groups lists those that are"]
    entries = tuple(one for one in configuring.group_entries(state.history) if one.name != name)
    found = configuring.with_groups(values, state, entries)
    if isinstance(found, list):
        return found
    then = having(state, found.own_wanted, entries, now)
    scale = scaling.Change(before.count, 0, None, (), tuple(scaling.workers(state, group_named(name))))
    return _change(state, then, found, scale, scaling.next_entry(then, now), before, before.options)


def having(state: State, wanted: Wanted, entries: tuple[GroupEntry, ...], now: float) -> State:
    """The state in which these groups are wanted, each as large as its entry says; ``wanted`` has what they need."""
    last = dataclasses.replace(scaling.next_entry(state, now), number=scaling.number(state), groups=entries)
    return dataclasses.replace(state, wanted=following(wanted, last), history=(*state.history[:-1], last))


def _change(
    state: State,
    then: State,
    found: Configured,
    scale: scaling.Change,
    entry: HistoryEntry | None,
    before: GroupEntry,
    options: Mapping[str, str],
) -> GroupChange:
    stop = {record.slot for record in scale.stop}
    restarts = [slot for slot in configuring.restarts(state, then.wanted) if slot not in stop]
    return GroupChange(scale, entry, then.wanted, found.launching, before.options, options, restarts)


def _mistakes(state: State, name: str, count: int | None, options: Mapping[str, str] | None) -> Iterator[str]:
    if name == DEFAULT_GROUP:
        if options is not None:
            yield "options: those of the default group are changed with PUT /v1/config"
    elif not is_group_name(name):
        yield (
            f"name: {name!a} is no name of a group; use at most 32 lower-case letters, digits and dashes, with a "
            "letter first and after each dash"
        )
    others = [one for one in configuring.group_entries(state.history) if one.name != name]
    if len(others) >= MOST:
        yield f"name: there are {len(others)} groups; at most {MOST} are allowed, so remove one first"
    for option, text in (options or {}).items():
        if option not in OPTIONS:
            yield f"options: {option!a} is none of a group's own; allowed: {', '.join(OPTIONS)}"
        elif configuring.holds_secret(option, text):
            yield f"options: {option}: {configuring.NOT_KEPT}, for all workers"
    counts = [group.count or 0 for group in others]
    if name != DEFAULT_GROUP:
        counts.append(state.wanted.workers or 0)
    if (count or 0) + sum(counts) > scaling.MOST:
        yield (
            f"count: {count} and the {sum(counts)} workers of the other groups are more than the {scaling.MOST} that "
            "one service may have; ask for fewer"
        )


# As documents ---------------------------------------------------------------------------------------------------------


def as_document(state: State, name: str, now: float) -> dict[str, Any]:
    """What is wanted of a group, and what there is."""
    return _named(state, name) | scaling.as_document(state, now, group_named(name))


def list_document(state: State, now: float) -> dict[str, Any]:
    return {"groups": [_named(state, name) | scaling.summary(state, now, group_named(name)) for name in names(state)]}


def _named(state: State, name: str) -> dict[str, Any]:
    entry = entry_of(state, name)
    return {"name": name, "options": dict(entry.options) if entry is not None else {}}


def change_document(state: State, name: str, change: GroupChange, now: float, *, dry_run: bool) -> dict[str, Any]:
    """What a call does or would do. ``state`` is the one that it was made from, or a later one."""
    return (
        {"name": name, "options": dict(change.options)}
        | scaling.change_document(state, change.scale, now, dry_run=dry_run, group=group_named(name))
        | {"changed": configuring.differences(change.before, change.options), "restarts": list(change.restarts)}
    )
