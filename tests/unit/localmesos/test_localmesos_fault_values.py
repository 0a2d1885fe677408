"""The faults as values: what may be asked for, what is on, and what the modules are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from localmesos.faults import (
    Answer,
    Away,
    DelayUpdates,
    DropPackets,
    DuplicateUpdates,
    Faults,
    LoseLaunches,
    Maintenance,
    NoPorts,
    Reboot,
    Rescind,
    TaskLost,
    WrongFault,
    read,
)

Json = dict[str, Any]


def with_faults(story: Callable[[Faults], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(story(Faults()), 60)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("document", "server", "fault"),
    [
        (
            {"fault": "drop-packets", "peer": "agents", "seconds": 2},
            "master",
            DropPackets(peer="agents", seconds=2),
        ),
        ({"fault": "drop-packets", "peer": "master"}, "agent", DropPackets(peer="master")),
        (
            {"fault": "answer", "status": 503, "to": "subscribe", "calls": 3},
            "master",
            Answer(status=503, to="subscribe", calls=3),
        ),
        ({"fault": "delay-updates", "by": 0.5}, "master", DelayUpdates(by=0.5)),
        ({"fault": "rescind"}, "master", Rescind()),
        ({"fault": "away", "seconds": 30}, "agent", Away(seconds=30)),
        ({"fault": "reboot"}, "agent", Reboot(seconds=0.0)),
    ],
)
def test_a_request_is_read(document: Json, server: str, fault: object) -> None:
    assert read(document, server) == fault


def answer(**parameters: Any) -> Json:
    return {"fault": "answer", "status": 503, **parameters}


def no_ports(seconds: Any) -> Json:
    return {"fault": "no-ports", "seconds": seconds}


def drop(peer: str) -> Json:
    return {"fault": "drop-packets", "peer": peer}


@pytest.mark.parametrize(
    ("document", "server", "sentence"),
    [
        ([], "master", "expected a JSON object with 'fault'"),
        ({}, "agent", "fault 'None' is none of this agent's: away, drop-packets, kill, reboot"),
        ({"fault": "rescind"}, "agent", "fault 'rescind' is none of this agent's: away, drop-packets, kill, reboot"),
        ({"fault": "rescind", "x": 1}, "master", "fault 'rescind' has no parameter 'x'; it has none"),
        ({"fault": "no-ports", "calls": 1}, "master", "fault 'no-ports' has no parameter 'calls'; it has seconds"),
        ({"fault": "answer"}, "master", "fault 'answer': parameter 'status' is missing"),
        (answer(status=200), "master", "fault 'answer': status 200 is not allowed; give 400 to 599"),
        (answer(status="503"), "master", "fault 'answer': status '503' is not allowed; give a whole number"),
        (answer(calls=0), "master", "fault 'answer': calls 0 is not allowed; give more than 0"),
        (answer(to="me"), "master", "fault 'answer': to me is not allowed; give all, subscribe or calls"),
        (no_ports(True), "master", "fault 'no-ports': seconds True is not allowed; give a number"),
        (no_ports(0), "master", "fault 'no-ports': seconds 0 is not allowed; give more than 0"),
        (no_ports(float("nan")), "master", "fault 'no-ports': seconds nan is not allowed; give a number"),
        (drop("master"), "master", "fault 'drop-packets': peer master is not allowed; give schedulers or agents"),
        (drop("agents"), "agent", "fault 'drop-packets': peer agents is not allowed; give master or executors"),
        ({"fault": "maintenance", "agent": 7}, "master", "fault 'maintenance': agent 7 is not allowed; give text"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(document: Json, server: str, sentence: str) -> None:
    with pytest.raises(WrongFault) as raised:
        read(document, server)
    assert str(raised.value) == sentence


def test_with_no_fault_on_everything_is_as_ever() -> None:
    async def story(faults: Faults) -> None:
        told: list[Json] = []
        await faults.heard("schedulers")
        faults.once_heard("schedulers", lambda: told.append({}))
        faults.pass_on({"state": "TASK_UNREACHABLE"}, told.append)
        assert told == [{}, {"state": "TASK_UNREACHABLE"}]
        assert (faults.refusal("KILL"), faults.loses_launch(), faults.unavailability("a")) == (None, False, None)
        assert (list(faults.withheld), faults.to_json()) == ([], [])

    with_faults(story)


def test_a_fault_is_over_after_its_seconds() -> None:
    async def story(faults: Faults) -> None:
        over = asyncio.Event()
        faults.begin(NoPorts(seconds=0.05), afterwards=over.set)
        assert list(faults.withheld) == ["ports"]
        (document,) = faults.to_json()
        assert 0 <= document.pop("seconds_left") <= 0.1
        assert document == {"fault": "no-ports", "seconds": 0.05}
        await over.wait()
        assert (list(faults.withheld), faults.to_json()) == ([], [])

    with_faults(story)


def test_clearing_ends_all() -> None:
    async def story(faults: Faults) -> None:
        over: list[str] = []
        faults.begin(NoPorts(), afterwards=lambda: over.append("no-ports"))
        faults.begin(TaskLost(), afterwards=lambda: over.append("task-lost"))
        faults.clear()
        assert (over, faults.to_json()) == (["no-ports", "task-lost"], [])

    with_faults(story)


def test_a_fault_takes_the_place_of_one_of_its_kind_but_not_of_one_with_another_peer() -> None:
    async def story(faults: Faults) -> None:
        faults.begin(DropPackets(peer="agents", seconds=0.05))
        faults.begin(DropPackets(peer="agents"))
        faults.begin(DropPackets(peer="schedulers"))
        assert [document["peer"] for document in faults.to_json()] == ["agents", "schedulers"]
        await asyncio.wait([asyncio.create_task(faults.heard("agents"))], timeout=0.1)
        # The first one's time is no longer valid.
        assert [document["peer"] for document in faults.to_json()] == ["agents", "schedulers"]

    with_faults(story)


def test_packets_are_held_until_the_fault_is_over() -> None:
    async def story(faults: Faults) -> None:
        told: list[str] = []
        faults.begin(DropPackets(peer="schedulers"))
        waiting = asyncio.create_task(faults.heard("schedulers"))
        faults.once_heard("schedulers", lambda: told.append("left"))
        await faults.heard("agents")
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert (done, told) == (set(), [])
        faults.clear()
        await waiting
        assert told == ["left"]

    with_faults(story)


def test_answers_are_counted_by_what_they_are_for() -> None:
    async def story(faults: Faults) -> None:
        faults.begin(Answer(status=503, to="subscribe", calls=1))
        faults.begin(Answer(status=403, to="calls"))
        calls = ("SUBSCRIBE", "KILL", "SUBSCRIBE", "KILL")
        assert [faults.refusal(call) for call in calls] == [503, 403, None, 403]
        faults.begin(Answer(status=500, calls=2))
        assert [document.get("calls_left") for document in faults.to_json()] == [None, 2]
        assert [faults.refusal(call) for call in calls] == [500, 403, 500, 403]
        assert [document["status"] for document in faults.to_json()] == [403]

    with_faults(story)


def test_as_many_launches_are_lost_as_asked_for() -> None:
    async def story(faults: Faults) -> None:
        faults.begin(LoseLaunches(calls=2))
        assert [faults.loses_launch() for _ in range(3)] == [True, True, False]

    with_faults(story)


def test_maintenance_is_told_of_one_agent_by_any_of_its_names() -> None:
    async def story(faults: Faults) -> None:
        faults.begin(Maintenance(agent="127.0.0.12", starts_in=60, lasting=5))
        assert faults.unavailability("id-1", "127.0.0.11", "one") is None
        told = faults.unavailability("id-2", "127.0.0.12", "two")
        assert told is not None
        assert told["duration"] == {"nanoseconds": 5_000_000_000}
        assert faults.unavailability("127.0.0.12") == told

    with_faults(story)


def test_updates_come_late_twice_and_in_order() -> None:
    async def story(faults: Faults) -> None:
        told: list[str] = []
        faults.begin(DelayUpdates(by=0.05))
        faults.begin(DuplicateUpdates())
        for state in ("TASK_STARTING", "TASK_RUNNING"):
            faults.pass_on({"state": state}, lambda status: told.append(status["state"]))
        assert told == []
        while len(told) < 4:
            await asyncio.sleep(0.005)
        assert told == ["TASK_STARTING", "TASK_STARTING", "TASK_RUNNING", "TASK_RUNNING"]
        faults.clear()
        assert len(told) == 4

    with_faults(story)


def test_late_updates_come_when_the_fault_is_over_and_no_second_time() -> None:
    async def story(faults: Faults) -> None:
        told: list[str] = []
        faults.begin(DelayUpdates(by=0.05))
        faults.pass_on({"state": "TASK_RUNNING"}, lambda status: told.append(status["state"]))
        faults.clear()
        faults.pass_on({"state": "TASK_FINISHED"}, lambda status: told.append(status["state"]))
        assert told == ["TASK_RUNNING", "TASK_FINISHED"]
        await asyncio.sleep(0.1)  # Longer than the delay: its time must find nothing to do.
        assert told == ["TASK_RUNNING", "TASK_FINISHED"]

    with_faults(story)


def test_a_copy_may_come_after_a_later_update() -> None:
    async def story(faults: Faults) -> None:
        told: list[str] = []
        faults.begin(DuplicateUpdates(after=0.05))
        for state in ("TASK_RUNNING", "TASK_FINISHED"):
            faults.pass_on({"state": state}, lambda status: told.append(status["state"]))
        while len(told) < 4:
            await asyncio.sleep(0.005)
        assert told == ["TASK_RUNNING", "TASK_FINISHED", "TASK_RUNNING", "TASK_FINISHED"]

    with_faults(story)


def test_only_the_finer_states_become_lost() -> None:
    async def story(faults: Faults) -> None:
        told: list[str] = []
        faults.begin(TaskLost())
        for state in ("TASK_RUNNING", "TASK_UNREACHABLE", "TASK_GONE", "TASK_FAILED"):
            faults.pass_on({"state": state}, lambda status: told.append(status["state"]))
        assert told == ["TASK_RUNNING", "TASK_LOST", "TASK_LOST", "TASK_FAILED"]

    with_faults(story)
