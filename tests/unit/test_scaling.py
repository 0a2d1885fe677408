"""Another number of workers: who comes, who goes, and what is told of it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import scaling
from framework.memory import after, newly_wanted, resumed
from framework.messages import Decided, KeepWanted, Wished
from framework.model import (
    CacheReport,
    CachingWorker,
    Drain,
    DrainStep,
    HistoryEntry,
    Kept,
    Kind,
    Record,
    Refusal,
    Report,
    TaskState,
)
from framework.planner import State, evolve
from framework.plans import Status
from stage import wanted

NOW = 2000.0


def record(index: int, **changes: object) -> Record:
    made = Record(
        Kind.WORKER, index, 1, f"S{index}", f"127.0.0.{11 + index}", {"rpc": 29000}, "c", 1000.0, deployed=True
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def state(used: list[int], workers: int | None = 3, released: tuple[int, ...] = ()) -> State:
    """Workers that run; each caches so many bytes."""
    records = [record(index) for index in range(len(used))]
    return State(
        wanted=dataclasses.replace(wanted(workers=workers), released=frozenset(released)),
        connected=True,
        subscribed_at=1000.0,
        records={one.slot: one for one in records},
        reports={
            one.task_id: Report(one.task_id, TaskState.RUNNING, one.agent_id, 1100.0, 1100.0, healthy=True)
            for one in records
        },
        cache=CacheReport(
            "127.0.0.11:19998",
            "",
            tuple(
                CachingWorker(one.hostname, 29000, 1000, amount, live=True)
                for one, amount in zip(records, used, strict=True)
            ),
        ),
        history=(HistoryEntry(4, 1.0, "c", 1, workers, 0, {"workers": "3"}, released),),
    )


def changed(before: State, count: int | None, *remove: str) -> scaling.Change:
    found = scaling.change(before, count, remove, NOW)
    assert isinstance(found, scaling.Change), found
    return found


def then(before: State, change: scaling.Change) -> State:
    assert change.entry is not None
    asked = evolve(before, Wished(change.entry))
    return evolve(asked, Decided((KeepWanted(change.entry),), NOW))


def test_those_that_cache_least_go() -> None:
    change = changed(state([10, 500, 20]), 1)
    assert [record.slot for record in change.stop] == ["worker-0", "worker-2"]
    assert change.entry == HistoryEntry(5, NOW, "c", 1, 1, 0, {"workers": "3"}, (0,))


def test_what_does_not_run_goes_first() -> None:
    before = state([10, 500, 20])
    down = dataclasses.replace(before.reports["worker-1.1"], state=TaskState.FAILED)
    change = changed(dataclasses.replace(before, reports={**before.reports, "worker-1.1": down}), 2)
    assert [record.slot for record in change.stop] == ["worker-1"]


def test_those_that_are_named_go() -> None:
    assert [record.slot for record in changed(state([10, 500, 20]), 2, "worker-1").stop] == ["worker-1"]
    assert [record.slot for record in changed(state([10, 500, 20]), 1, "worker-1").stop] == ["worker-0", "worker-1"]


def test_what_is_wanted_already_writes_nothing() -> None:
    assert changed(state([1, 2, 3]), 3).entry is None
    assert changed(state([1, 2, 3], workers=None), None).entry is None
    fewer = then(state([1, 2, 3]), changed(state([1, 2, 3]), 1))
    assert changed(fewer, 1).entry is None


def test_who_leaves_is_taken_back_before_anybody_new_comes() -> None:
    before = state([10, 500, 20])
    fewer = then(before, changed(before, 1))
    assert scaling.number(fewer) == 5
    more = changed(dataclasses.replace(fewer, kills={"worker-0.1": None}), 2)  # type: ignore[dict-item]
    assert more.start == ("worker-2",)  # worker-0 is being killed
    assert changed(fewer, 4).start == ("worker-0", "worker-2", "worker-3")


def test_one_on_each_agent_takes_all_back() -> None:
    before = state([10, 500, 20])
    every = then(then(before, changed(before, 1)), changed(then(before, changed(before, 1)), None))
    assert (every.wanted.workers, every.wanted.released) == (None, frozenset())
    assert [record.slot for record in changed(every, 2).stop] == ["worker-0"]


@pytest.mark.parametrize(
    ("count", "remove", "mistake"),
    [
        (2, ["worker-7"], "remove: 'worker-7' is no worker that is wanted"),
        (1, ["worker-1", "worker-1"], "a worker is named twice"),
        (None, ["worker-1"], 'while count is "all"'),
        (2, ["worker-1", "worker-2"], "2 workers are named, and the count of 2 lets 1 of 3 go"),
        (3, ["worker-1"], "lets 0 of 3 go"),
    ],
)
def test_mistakes_are_told_with_what_to_do(count: int | None, remove: list[str], mistake: str) -> None:
    found = scaling.change(state([1, 2, 3]), count, remove, NOW)
    assert isinstance(found, list)
    assert any(mistake in sentence for sentence in found), found


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 8)), st.integers(0, 9)), max_size=8), st.integers(1, 6))
def test_any_number_of_changes_ends_with_the_number_that_was_asked_for_last(
    calls: list[tuple[int | None, int]], there: int
) -> None:
    now = state([index * 10 for index in range(there)], there)
    for count, name in calls:
        slots = set(now.wanted.indices(Kind.WORKER)) if now.wanted.workers is not None else set(range(there))
        may_go = count is not None and name in slots and count < len(slots)
        change = changed(now, count, *([f"worker-{name}"] if may_go else []))
        if change.entry is not None:
            assert change.entry.number == scaling.number(now) + 1
            now = then(now, change)
        assert now.wanted.workers == count
        if count is not None:
            found = list(now.wanted.indices(Kind.WORKER))
            assert len(found) == count == len(set(found))
            assert all(index < max(found, default=0) for index in now.wanted.released)
            assert not (may_go and name in found)
            stays = slots - {name} if may_go else slots
            assert len(stays & set(found)) == min(count, len(stays)) or now.wanted.workers is None


def test_a_restart_keeps_the_number_until_the_option_changes() -> None:
    options = {"workers": "3"}
    kept = after(Kept(), newly_wanted(Kept(), wanted(workers=3), options, 1.0))
    asked = HistoryEntry(2, 2.0, "configuration-1", 1, 1, 0, options, (0,))
    kept = after(kept, [KeepWanted(asked)])
    again = resumed(kept, wanted(workers=3), options)
    assert (again.workers, again.released) == (1, frozenset({0}))
    assert newly_wanted(kept, again, options, 3.0) == ()
    other = resumed(kept, wanted(workers=2), {"workers": "2"})
    assert (other.workers, other.released) == (2, frozenset())


# What is told ---------------------------------------------------------------------------------------------------------


def leaving(*drains: Drain) -> State:
    before = state([10, 500, 20])
    return dataclasses.replace(
        then(before, changed(before, 2, "worker-2")), drains={drain.task_id: drain for drain in drains}
    )


def test_who_leaves_is_shown_with_how_far_it_is() -> None:
    told = scaling.as_document(leaving(Drain("worker-2.1", DrainStep.PERSISTING, NOW, "2 files")), NOW)
    assert (told["count"], told["ready"], told["missing"], told["why"]) == (2, 2, 0, "")
    assert [task["slot"] for task in told["workers"]] == ["worker-0", "worker-1"]
    assert told["leaving"] == [
        {"slot": "worker-2", "hostname": "127.0.0.13", "used_bytes": 20, "step": "persisting", "message": "2 files"}
    ]


def test_the_plan_of_who_leaves() -> None:
    def steps(now: State, at: float = NOW) -> list[Status]:
        (phase,) = scaling.decommission(now, at).phases
        assert [step.name for step in phase.steps] == ["persist", "decommission", "drain", "stop"]
        return [step.status for step in phase.steps]

    ready, starting, pending = Status.READY, Status.STARTING, Status.PENDING
    assert steps(leaving()) == [starting, pending, pending, pending]
    drained = leaving(Drain("worker-2.1", DrainStep.DECOMMISSIONED, NOW - 100))
    assert steps(drained) == [ready, ready, starting, pending]
    assert scaling.as_document(drained, NOW)["leaving"][0]["message"].endswith("it is killed in 50 s")
    killed = dataclasses.replace(drained, kills={"worker-2.1": None})  # type: ignore[dict-item]
    assert steps(killed) == [ready, ready, ready, starting]
    assert scaling.decommission(state([1, 2, 3]), NOW).phases == ()


def test_more_than_there_is_room_for_is_told_with_the_reason() -> None:
    before = state([10, 500, 20])
    more = then(before, changed(before, 5))
    refused = dataclasses.replace(
        more, refusals=(Refusal("S9", "h9", "worker-3: offers 512 MiB of 1280 MiB memory", 1.0),)
    )
    told = scaling.as_document(refused, NOW)
    assert (told["missing"], told["why"]) == (2, "worker-3: no Alluxio master is ready yet")
    master = record(0, kind=Kind.MASTER, deployed=True)
    ready = Report(master.task_id, TaskState.RUNNING, master.agent_id, 1100.0, 1100.0, healthy=True)
    led = dataclasses.replace(
        refused,
        records={**refused.records, master.slot: master},
        reports={**refused.reports, master.task_id: ready},
    )
    why = "worker-3: it waits for an agent that fits (agent h9 offers 512 MiB of 1280 MiB memory)"
    assert scaling.as_document(led, NOW)["why"] == why
