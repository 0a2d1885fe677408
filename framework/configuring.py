"""Another configuration while the service runs: what may change, what a change would do, and the way back. Pure.

Law: what is asked for is read as a whole, as it is at a start, or refused with every mistake. What a change does not
touch is launched anew by nobody.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from framework import config, namespace, scaling
from framework.config import Configuration
from framework.memory import following, overridden
from framework.model import Group, GroupEntry, HistoryEntry, Kept, Kind, Mount, Policy, Record, Wanted, group_named
from framework.state import State, in_order, is_current, is_primary, is_wanted, kept_of

MASKED: Final = "***"
NOT_KEPT: Final = "a secret is kept nowhere; give it to the scheduler when it is started"


@dataclasses.dataclass(frozen=True, slots=True)
class Configured:
    """A configuration, its options' texts as they may lie about, and of those that were changed over the API the texts
    that the scheduler was started with.
    """

    configuration: Configuration
    options: Mapping[str, str]
    given: Mapping[str, str]
    groups: Mapping[str, Configuration] = dataclasses.field(default_factory=dict)  # by ``worker-NAME``

    @property
    def launching(self) -> tuple[Configuration, ...]:
        """All that tasks are launched with."""
        return (self.configuration, *self.groups.values())

    @property
    def own_wanted(self) -> Wanted:
        """Its tasks, as many as it says itself; of each group none yet."""
        groups = {
            group: Group(0, found.needs[Kind.WORKER], found.ids[Kind.WORKER], found.wanted.placements[Kind.WORKER])
            for group, found in self.groups.items()
        }
        return dataclasses.replace(self.configuration.wanted, groups=groups)

    def wanted(self, state: State) -> Wanted:
        """Its tasks, with all that was asked for beside the options and holds now, such as how many."""
        return following(self.own_wanted, self.entry(state, 0.0))

    def entry(self, state: State, now: float) -> HistoryEntry:
        return dataclasses.replace(
            scaling.next_entry(state, now),
            configuration=self.configuration.id,
            proxies=self.configuration.proxies,
            options=self.options,
            given=self.given,
        )


def text_mistakes(options: Any, *, or_nothing: bool = False) -> list[str]:
    """What is wrong with options as they stand in JSON: each must be a text, or null where that takes one back."""
    if not isinstance(options, dict):
        return ['options: give an object, such as {"worker-ram": "4GB"}']
    otherwise = "null for what was given at the start" if or_nothing else "leave it out"
    return [
        f"options: {name!a:.100} {'is null' if text is None else f'has the value {text!a:.100}'}; "
        f"give a text, or {otherwise}"
        for name, text in options.items()
        if not isinstance(text, str) and not (or_nothing and text is None)
    ]


def policy(configuration: Configuration) -> Policy:
    return Policy(
        stickiness=configuration.stickiness,
        unreachable_grace=configuration.unreachable_grace,
        launch_timeout=configuration.launch_timeout,
        give_back=configuration.leftover_volumes == "destroy",
        drain=configuration.decommission_drain,
        unavailable=configuration.unavailable_workers,
    )


def configured(
    values: Mapping[str, str], overrides: Mapping[str, str], groups: Iterable[GroupEntry] = ()
) -> Configured | list[str]:
    """``values`` are the texts that the scheduler was started with, by option name, ``overrides`` those that came over
    the API, and ``groups`` those of workers with options of their own. The mistakes, if there are any.
    """
    texts = {**values, **overrides}
    read = config.read(texts)
    if isinstance(read, tuple):
        return [str(problem).removeprefix("--") for problem in read]
    found: dict[str, Configuration] = {}
    mistakes: list[str] = []
    for group in groups:
        of_group = _of_group(texts, group)
        if isinstance(of_group, list):
            mistakes += [f"group {group.name}: {mistake}" for mistake in of_group]
        else:
            found[group_named(group.name)] = of_group
    if mistakes:
        return mistakes
    own = config.recorded(values)
    given = {name: own.get(name, "") for name in sorted(overrides)}
    return Configured(read, config.recorded(texts), given, found)


def _of_group(texts: Mapping[str, str], group: GroupEntry) -> Configuration | list[str]:
    """The configuration whose workers are those of the group."""
    own = {**texts, **group.options}
    if not any(config.has_tier(own.get(option, "")) for option in ("worker-ssd", "worker-hdd")):
        own["persistent-volumes"] = "no"  # it has nothing that could lie on one
    read = config.read(own)
    if isinstance(read, tuple):
        return [str(problem).removeprefix("--") for problem in read]
    return read


def group_entries(history: Sequence[HistoryEntry]) -> tuple[GroupEntry, ...]:
    """The groups that are wanted now."""
    return history[-1].groups if history else ()


def resumed(values: Mapping[str, str], kept: Kept, first: tuple[GroupEntry, ...] = ()) -> Configured | list[str]:
    """What holds after a restart; ``first`` are the groups that a service begins with."""
    groups = group_entries(kept.history) if kept.history else first
    return configured(values, overridden(kept, config.recorded(values)), groups)


def with_groups(values: Mapping[str, str], state: State, groups: Iterable[GroupEntry]) -> Configured | list[str]:
    """The options as they hold now, with these groups. The mistakes, if there are any."""
    return configured(values, overridden(kept_of(state), config.recorded(values)), groups)


def changed(values: Mapping[str, str], state: State, asked: Mapping[str, str | None]) -> Configured | list[str]:
    """With these options changed; None takes back what was changed before. The mistakes, if there are any."""
    mistakes = list(_mistakes(asked))
    if mistakes:
        return mistakes
    own = config.recorded(values)
    overrides = overridden(kept_of(state), own)
    for name, text in asked.items():
        if text is None or text == own.get(name, ""):
            overrides.pop(name, None)
        else:
            overrides[name] = text
    return configured(values, overrides, group_entries(state.history))


def _mistakes(asked: Mapping[str, str | None]) -> Iterator[str]:
    for name, text in asked.items():
        if name not in config.BY_NAME:
            yield f"{name}: there is no such option; GET /v1/config shows those that there are"
        elif name in config.FIXED:
            yield f"{name}: it cannot be changed here: {config.FIXED[name]}"
        elif text and holds_secret(name, text):
            yield f"{name}: {NOT_KEPT}"


def holds_secret(name: str, text: str) -> bool:
    return MASKED in config.BY_NAME[name].type.masked(text)


def back_to(values: Mapping[str, str], state: State, number: int) -> Configured | list[str]:
    """With the options of an earlier entry of the history. The mistakes, if there are any."""
    entry = next((entry for entry in state.history if entry.number == number), None)
    if entry is None:
        kept = f"{state.history[0].number} to {state.history[-1].number}" if state.history else "none"
        return [f"number: there is no entry {number}; those that are kept: {kept}"]
    now = state.history[-1].options
    names = [option.name for option in config.OPTIONS if option.name not in config.FIXED]
    asked = {name: entry.options.get(name, "") for name in names if entry.options.get(name, "") != now.get(name, "")}
    own = config.recorded(values)
    lost = [name for name, text in asked.items() if MASKED in text and text != own.get(name, "")]
    if lost:
        return [f"{name}: entry {number} had a secret there, which is kept nowhere; set it anew" for name in lost]
    return changed(values, state, {name: None if text == own.get(name, "") else text for name, text in asked.items()})


def changes(before: HistoryEntry | None, entry: HistoryEntry) -> Iterator[str]:
    """What an entry of the history changed beside the numbers of tasks, each a sentence; ``before`` is the one before
    it, and nothing is said of the first.
    """
    if before is None:
        return
    yield from _changed(before.options, entry.options)
    was, now = ({group.name: group.options for group in one.groups} for one in (before, entry))
    for name in sorted({*was, *now}):
        if name not in now:
            yield f"group {name} is let go"
        elif name not in was:
            own = ", ".join(f"{option}: {text}" for option, text in sorted(now[name].items()))
            yield f"group {name} is new" + (f" ({own})" if own else "")
        else:
            yield from (f"group {name}: {change}" for change in _changed(was[name], now[name]))
    had, has = ({mount.path: mount for mount in one.mounts} for one in (before, entry))
    for path in sorted({*had, *has}):
        if path not in has:
            yield f"{path} is mounted no more"
        elif had.get(path) != has[path]:
            yield f"{path} is {has[path].uri}, {_way(had.get(path), has[path])}"
    yield from (f"plan {name} rests" for name in entry.paused if name not in before.paused)
    yield from (f"plan {name} goes on" for name in before.paused if name not in entry.paused)


def _way(before: Mount | None, mount: Mount) -> str:
    if before is None:
        return "a new mount"
    same = namespace.same_storage(before.uri, mount.uri)
    return "mounted with other options" if same else f"in the place of {before.uri}"


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        was, now = old.get(name, "none"), new.get(name, "none")
        if was != now:
            yield f"{name}: {was} -> {now}"


# As documents ---------------------------------------------------------------------------------------------------------


def as_document(state: State, own: Mapping[str, str]) -> dict[str, Any]:
    """What is wanted, and what was before."""
    last = state.history[-1] if state.history else None
    return {
        "number": scaling.number(state),
        "configuration": state.wanted.configuration,
        "options": dict(last.options if last is not None else own),
        "changed": sorted(last.given) if last is not None else [],
        "history": [
            {
                "number": entry.number,
                "at": entry.at,
                "configuration": entry.configuration,
                "masters": entry.masters,
                "workers": scaling.count_shown(entry.workers),
                "proxies": entry.proxies,
                "groups": {group.name: scaling.count_shown(group.count) for group in entry.groups},
                "options": dict(entry.options),
                "changes": list(changes(before, entry)),
            }
            for before, entry in zip((None, *state.history), state.history, strict=False)
        ],
    }


def change_document(before: State, after: Configured, state: State, *, dry_run: bool) -> dict[str, Any]:
    """What a change does or would do: ``before`` is what it was made from, ``state`` that or a later one."""
    old = before.history[-1].options if before.history else {}
    return {
        "dry_run": dry_run,
        "number": scaling.number(state),
        "changed": differences(old, after.options),
        "restarts": restarts(before, after.wanted(before)),
    }


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "before": before.get(name, ""), "after": after.get(name, "")}
        for name in sorted({*before, *after})
        if before.get(name, "") != after.get(name, "")
    ]


def restarts(state: State, wanted: Wanted) -> list[str]:
    """The slots that run with something else than is wanted then, in the order in which they are launched again."""
    then = dataclasses.replace(state, wanted=wanted)
    outdated = [record for record in state.records.values() if is_wanted(then, record) and not is_current(then, record)]

    def order(record: Record) -> tuple[int, bool, str, int]:
        kind, group, index = in_order(record)
        return kind, is_primary(state, record), group, index

    return [record.slot for record in sorted(outdated, key=order)]
