"""How many workers, and which: what a call for another number would do, and what there is now. Pure.

Law: whoever goes is chosen here, once, and written down with the number; nothing later chooses anew. What is left out
are indices, so that no worker that stays is touched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from framework import plans, views
from framework.memory import newly_wanted
from framework.model import CachingWorker, DrainStep, HistoryEntry, Kind, Record, group_named, group_of
from framework.state import (
    DECOMMISSION,
    State,
    answers_now,
    down_since,
    free_indices,
    in_order,
    is_leaving,
    is_wanted,
    kept_of,
    leaves_in,
    wanted_slots,
)

DEFAULT: Final = Kind.WORKER.value
MOST: Final = 10_000  # workers; the records of more do not fit ZooKeeper's limits


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What a call for another number of workers does. ``entry`` is None where nothing is to be written: that much is
    wanted already. ``start`` are slots that were not wanted, ``stop`` the records of those that leave.
    """

    before: int | None
    count: int | None
    entry: HistoryEntry | None
    start: tuple[str, ...]
    stop: tuple[Record, ...]


def number(state: State) -> int:
    """Of the last entry of what is wanted: it is the version that two operators compare."""
    return state.history[-1].number if state.history else 0


def workers(state: State, group: str = DEFAULT) -> list[Record]:
    return sorted(
        (record for record in state.records.values() if record.group == group), key=lambda record: record.index
    )


def _used(record: Record, known: Mapping[tuple[str, int], CachingWorker]) -> int:
    worker = known.get((record.hostname, record.ports.get("rpc", -1)))
    return worker.used if worker is not None else 0


def count_mistakes(count: Any) -> list[str]:
    """What is wrong with a number of workers as it stands in JSON."""
    is_number = isinstance(count, int) and not isinstance(count, bool)
    if count == "all" or (is_number and 0 <= count <= MOST):
        return []
    return [f'count: {count!a:.100} is not allowed; give a whole number from 0 to {MOST}, or "all"']


def change(
    state: State, count: int | None, remove: Sequence[str], now: float, group: str = DEFAULT
) -> Change | list[str]:
    """What happens when ``count`` workers of a group are wanted from ``now`` on (None: one on each agent); ``remove``
    names slots that shall go. The mistakes, if there are any.
    """
    there = _wanted_now(state, group)
    mistakes = _mistakes(count, remove, there, group)
    if mistakes:
        return mistakes
    before = state.wanted.count(group)
    if count is None:
        start = [record.slot for record in workers(state, group) if not is_wanted(state, record)]
        entry = None if before is None else _entry(state, group, None, (), now)
        return Change(before, None, entry, tuple(start), ())
    stay = _chosen(state, group, count, {int(slot.rpartition("-")[2]) for slot in remove}, there, now)
    return _change_to(state, group, count, stay, there, now)


def _change_to(state: State, group: str, count: int, stay: set[int], there: Sequence[int], now: float) -> Change:
    """``stay`` are the indices that are wanted from now on, ``there`` those that were."""
    before, released = state.wanted.count(group), tuple(sorted(set(range(max(stay, default=-1) + 1)) - stay))
    same = before == count and released == tuple(sorted(state.wanted.released_of(group)))
    return Change(
        before,
        count,
        None if same else _entry(state, group, count, released, now),
        tuple(f"{group}-{index}" for index in sorted(stay - set(there))),
        tuple(record for record in workers(state, group) if record.index in there and record.index not in stay),
    )


def replaced(state: State, slot: str, now: float) -> Change | list[str]:
    """What happens when a worker leaves and another takes its place, under a name that was free."""
    group, index = group_of(slot), int(slot.rpartition("-")[2])
    there, count = _wanted_now(state, group), state.wanted.count(group)
    if index not in there or count is None:
        return [f"{slot} is no worker that is wanted by its number; name one of GET /v1/workers"]
    leaving = [record.index for record in workers(state, group) if record.index not in there]
    stay = (set(there) - {index}) | {next(free_indices([*there, *leaving]))}
    return _change_to(state, group, count, stay, there, now)


def _wanted_now(state: State, group: str) -> list[int]:
    if state.wanted.count(group) is None:
        return [record.index for record in workers(state, group)]
    return list(state.wanted.indices(group))


def _mistakes(count: int | None, remove: Sequence[str], there: Sequence[int], group: str) -> list[str]:
    mistakes = []
    known = {f"{group}-{index}" for index in there}
    mistakes += [
        f"remove: {slot!a} is no worker that is wanted; name one of GET {_path(group)}"
        for slot in remove
        if slot not in known
    ]
    if len(set(remove)) < len(remove):
        mistakes.append("remove: a worker is named twice; name each once")
    if remove and count is None:
        mistakes.append('remove: nothing can be removed while count is "all"; give the number that stays')
    elif count is not None and not mistakes and len(remove) > max(0, len(there) - count):
        mistakes.append(
            f"remove: {len(remove)} workers are named, and the count of {count} lets {max(0, len(there) - count)} of "
            f"{len(there)} go; name fewer, or give a smaller count"
        )
    return mistakes


def _path(group: str) -> str:
    """Where the API shows it."""
    name = group.partition("-")[2]
    return f"/v1/worker-groups/{name}" if name else "/v1/workers"


def _chosen(state: State, group: str, count: int, named: set[int], there: Sequence[int], now: float) -> set[int]:
    """The indices that stay, and those that come: who caches most stays; who is leaving is taken back before anybody
    new is asked for.
    """
    by_index = {record.index: record for record in workers(state, group)}
    known = views.listed(state)

    def worth(index: int) -> tuple[bool, int, int]:
        record = by_index.get(index)
        runs = record is not None and down_since(state, record, now) is None
        return runs, _used(record, known) if record is not None else 0, -index

    stay = sorted((index for index in there if index not in named), key=worth, reverse=True)[:count]
    chosen = set(stay)
    leaving = [
        record.index
        for record in sorted(workers(state, group), key=lambda record: record.task_id in state.kills)
        if record.index not in chosen and record.index not in named
    ]
    for index in (*leaving, *_more(chosen, leaving, named, count)):
        if len(chosen) >= count:
            break
        chosen.add(index)
    return chosen


def _more(chosen: set[int], leaving: Iterable[int], named: set[int], count: int) -> list[int]:
    free = free_indices([*chosen, *leaving, *named])
    return [next(free) for _ in range(count)]


def _entry(state: State, group: str, count: int | None, released: tuple[int, ...], now: float) -> HistoryEntry:
    entry = next_entry(state, now)
    if group == DEFAULT:
        return dataclasses.replace(entry, workers=count, released=released)
    groups = tuple(
        dataclasses.replace(one, count=count, released=released) if group_named(one.name) == group else one
        for one in entry.groups
    )
    return dataclasses.replace(entry, groups=groups)


def next_entry(state: State, now: float) -> HistoryEntry:
    """An entry that changes nothing yet."""
    if state.history:
        return dataclasses.replace(state.history[-1], number=number(state) + 1, at=now)
    [first] = newly_wanted(kept_of(state), state.wanted, {}, now)
    return first.entry


def resting(entry: HistoryEntry, paused: frozenset[str]) -> HistoryEntry:
    return dataclasses.replace(entry, paused=tuple(sorted(paused)))


# As documents ---------------------------------------------------------------------------------------------------------


def count_shown(workers: int | None) -> int | str:
    return "all" if workers is None else workers


def as_document(state: State, now: float, group: str = DEFAULT) -> dict[str, Any]:
    """What is wanted of a group and what there is."""
    known = views.listed(state)
    shown = {task["slot"]: task for task in views.tasks(state, now) if group_of(task["slot"]) == group}
    return summary(state, now, group) | {
        "workers": [task for slot, task in shown.items() if state.wanted.includes(group, int(slot.rpartition("-")[2]))],
        "leaving": [
            _leaving(state, record, known, now) for record in workers(state, group) if not is_wanted(state, record)
        ],
    }


def summary(state: State, now: float, group: str) -> dict[str, Any]:
    """How many are wanted of a group, and how many there are."""
    missing, why = _missing(state, group, now)
    wanted = [record for record in workers(state, group) if is_wanted(state, record)]
    return {
        "count": count_shown(state.wanted.count(group)),
        "ready": sum(answers_now(state, record) for record in wanted),
        "missing": missing,
        "why": why,
    }


def _leaving(
    state: State, record: Record, known: Mapping[tuple[str, int], CachingWorker], now: float
) -> dict[str, Any]:
    step, message = leaving_step(state, record, now)
    return {
        "slot": record.slot,
        "hostname": record.hostname,
        "used_bytes": _used(record, known),
        "step": step,
        "message": message,
    }


def leaving_step(state: State, record: Record, now: float) -> tuple[str, str]:
    """How far a worker is that leaves: persisting, draining or stopping, with a sentence."""
    if record.task_id in state.kills or not is_leaving(state, record):
        return "stopping", "it is being killed"
    drain = state.drains.get(record.task_id)
    left = leaves_in(state, record, now)
    if drain is None or left is None:
        return "persisting", drain.message if drain is not None else "what only it caches is looked for"
    return "draining", f"no client is sent to it any more; it is killed in {left:.0f} s"


def _missing(state: State, group: str, now: float) -> tuple[int, str]:
    """How many of the wanted workers are not there, and why the first is not."""
    slots = wanted_slots(state, group)
    if state.wanted.count(group) is None:
        slots = slots[:-1]
    lacking = [slot for slot in slots if (record := state.records.get(slot)) is None or not answers_now(state, record)]
    if not lacking:
        return 0, ""
    return len(lacking), _why(state, lacking[0], now)


def _why(state: State, slot: str, now: float) -> str:
    return f"{slot}: {plans.reason(state, slot, now)}"


def _would_wait(state: State, change: Change, group: str, now: float) -> tuple[int, str]:
    """Nobody knows agents that make no offer; but where a worker waits for one that fits, the next would wait too."""
    if change.before is None or change.count is None:
        return 0, ""
    waiting = [slot for slot in wanted_slots(state, group) if slot not in state.records]
    missing = len(waiting) + change.count - change.before if waiting else 0
    return (missing, _why(state, waiting[0], now)) if missing > 0 else (0, "")


def change_document(state: State, change: Change, now: float, *, dry_run: bool, group: str = DEFAULT) -> dict[str, Any]:
    """What a call does or would do. ``state`` is the one that it was made from, or a later one."""
    known = views.listed(state)
    missing, why = _would_wait(state, change, group, now) if dry_run else _missing(state, group, now)
    return {
        "dry_run": dry_run,
        "before": count_shown(change.before),
        "count": count_shown(change.count),
        "start": list(change.start),
        "stop": [
            {"slot": record.slot, "hostname": record.hostname, "used_bytes": _used(record, known)}
            for record in change.stop
        ],
        "missing": missing,
        "why": why,
        "number": number(state),
    }


# As a plan ------------------------------------------------------------------------------------------------------------

_STEPS: Final = ("persist", "decommission", "drain", "stop")


def decommission(state: State, now: float) -> plans.Plan:
    """The workers that leave, each with its steps."""
    return plans.Plan(
        DECOMMISSION,
        tuple(
            plans.Phase(record.slot, tuple(_steps(state, record, now)))
            for record in sorted(state.records.values(), key=in_order)
            if record.kind is Kind.WORKER and not is_wanted(state, record)
        ),
        DECOMMISSION in state.wanted.paused,
    )


def _steps(state: State, record: Record, now: float) -> Iterable[plans.Step]:
    step, message = leaving_step(state, record, now)
    at = {"persisting": 0, "draining": 2, "stopping": 3}[step]
    drain = state.drains.get(record.task_id)
    if at == 0 and drain is not None and drain.step is DrainStep.PERSISTING and not drain.message:
        at = 1
    for place, name in enumerate(_STEPS):
        if place < at:
            yield plans.Step(name, plans.Status.READY)
        elif place == at:
            yield plans.Step(name, plans.Status.STARTING, message)
        else:
            yield plans.Step(name, plans.Status.PENDING)
