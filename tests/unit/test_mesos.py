"""The edge to Mesos against a fake master on a real socket. ``# P…`` and ``# C…`` name what each test proves: P, what
pymesos leaves open; C, what a highly available scheduler must do.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import itertools
import json
import logging
import os
import queue
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventually import eventually
from fake_mesos import (
    FakeMaster,
    answer,
    chunk,
    raw,
    raw_stream,
    record,
    redirect,
    stream,
    subscribed,
)
from framework import mesos as mesos_edge
from framework import views
from framework.mesos import LONGEST_BACKOFF, Identity, Mesos
from framework.messages import (
    Acknowledge,
    AcknowledgeOperation,
    Decline,
    Discard,
    Disconnected,
    Effect,
    Event,
    Failed,
    GiveBack,
    Kill,
    Launch,
    Offered,
    OperationUpdated,
    Reconcile,
    Rescinded,
    Revive,
    Shutdown,
    Subscribed,
    Suppress,
    Teardown,
    Updated,
)
from framework.model import (
    ExitCode,
    Holding,
    Kind,
    NewVolume,
    Offer,
    Range,
    Record,
    Report,
    Resource,
    TaskState,
    Volume,
)
from framework.planner import State, evolve
from ports import held_port
from stage import wanted

IDENTITY = Identity("alluxio", "nobody", "alluxio", "127.0.0.1", "http://127.0.0.1:8080", 604800.0)
OFFER = {
    "id": {"value": "O1"},
    "agent_id": {"value": "S1"},
    "framework_id": {"value": "framework-1"},
    "hostname": "127.0.0.11",
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.5}, "allocation_info": {"role": "alluxio"}},
        {
            "name": "ports",
            "type": "RANGES",
            "ranges": {"range": [{"begin": 21000, "end": 21009}]},
            "allocation_info": {"role": "alluxio"},
        },
    ],
}
OFFERS = {"type": "OFFERS", "offers": {"offers": [OFFER]}}
MODEL_OFFER = Offer(
    "O1",
    "S1",
    "127.0.0.11",
    (Resource("cpus", "alluxio", 2500), Resource("ports", "alluxio", ranges=(Range(21000, 21009),))),
)


class Edge:
    """The adapter under test with a queue in the loop's place."""

    def __init__(self, identity: Identity = IDENTITY) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.seen: list[Event] = []
        self.mesos = Mesos(identity, self._events.put)

    def next(self, *kinds: type) -> Any:
        """The next event of one of these kinds; the others are passed over, and kept in ``seen``."""
        while True:
            event = self._events.get(timeout=60)
            self.seen.append(event)
            if isinstance(event, kinds):
                return event

    def perform(self, *effects: Effect) -> None:
        self.mesos.perform(effects, lambda launch: [{"name": record.slot} for record in launch.records])


@contextlib.contextmanager
def edge_of(identity: Identity) -> Iterator[Edge]:
    """It leaves at the end: else it would knock for ever where its master was, and one day at another test's."""
    made = Edge(identity)
    try:
        yield made
    finally:
        made.mesos.leave()


@pytest.fixture
def edge() -> Iterator[Edge]:
    with edge_of(IDENTITY) as made:
        yield made


def without_time(event: Any) -> Any:
    return dataclasses.replace(event, at=0.0)


# Several drivers of one process ---------------------------------------------------------------------------------------


def test_what_one_driver_sends_is_not_sent_by_another() -> None:  # P20
    first = Edge(dataclasses.replace(IDENTITY, principal="alluxio", secret="s3cret"))
    second = Edge()
    with FakeMaster() as one, FakeMaster() as other:
        for edge, master in ((first, one), (second, other)):
            edge.mesos.follow(master.address)
            edge.next(Subscribed)
            edge.perform(Suppress())
        assert "authorization" in one.calls[0].headers
        assert "authorization" not in {**other.subscribes[0].headers, **other.calls[0].headers}
        first.mesos.leave()
        second.mesos.leave()


def test_a_process_with_many_open_files(edge: Edge) -> None:  # P19
    """select() takes no descriptor above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with contextlib.ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while held.enter_context(Path(os.devnull).open()).fileno() < 1023:
            pass
        held.callback(edge.mesos.leave)
        master = held.enter_context(FakeMaster())
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.perform(Suppress())
        assert [request.body["type"] for request in master.calls] == ["SUPPRESS"]


# Registration ---------------------------------------------------------------------------------------------------------


def test_how_the_framework_presents_itself(edge: Edge) -> None:  # C2 C3 C4 P12 P13 P14
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        assert without_time(edge.next(Subscribed)) == Subscribed("framework-1", master.address, 0.0)
        [request] = master.subscribes
        assert request.body == {
            "type": "SUBSCRIBE",
            "subscribe": {
                "framework_info": {
                    "user": "nobody",
                    "name": "alluxio",
                    "roles": ["alluxio"],
                    "checkpoint": True,
                    "failover_timeout": 604800.0,
                    "hostname": "127.0.0.1",
                    "webui_url": "http://127.0.0.1:8080",
                    "capabilities": [
                        {"type": "MULTI_ROLE"},
                        {"type": "PARTITION_AWARE"},
                        {"type": "TASK_KILLING_STATE"},
                        {"type": "RESERVATION_REFINEMENT"},
                        {"type": "REGION_AWARE"},
                    ],
                }
            },
        }
        assert "mesos-stream-id" not in request.headers  # C7
        assert "authorization" not in request.headers
        assert master.others == []  # nobody asks for a version, whatever it looks like


def test_offers_of_crumbs_are_not_asked_for() -> None:  # C19
    identity = dataclasses.replace(IDENTITY, least=((0.5, 500), (0.25, 1000)))
    with edge_of(identity) as edge, FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        [request] = master.subscribes
        assert request.body["subscribe"]["framework_info"]["offer_filters"] == {
            "alluxio": {
                "min_allocatable_resources": {
                    "quantities": [
                        {"quantities": {"cpus": {"value": 0.5}, "mem": {"value": 500}}},
                        {"quantities": {"cpus": {"value": 0.25}, "mem": {"value": 1000}}},
                    ]
                }
            }
        }


def test_smaller_offers_are_asked_for_with_a_new_subscription() -> None:  # C19
    with edge_of(dataclasses.replace(IDENTITY, least=((0.5, 500),))) as edge, FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.mesos.ask_for(((0.5, 500),))
        edge.perform(Suppress())
        assert len(master.subscribes) == 1
        edge.mesos.ask_for(())
        edge.next(Disconnected)
        edge.next(Subscribed)
        assert [request.body["subscribe"]["framework_info"]["offer_filters"] for request in master.subscribes] == [
            {"alluxio": {"min_allocatable_resources": {"quantities": [
                {"quantities": {"cpus": {"value": 0.5}, "mem": {"value": 500}}}]}}},
            {},
        ]  # fmt: skip


def test_the_credentials_and_the_principal() -> None:  # C4 C12
    edge = Edge(dataclasses.replace(IDENTITY, principal="alluxio", secret="s3cret", framework_id="framework-1"))
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.perform(Suppress())
        [request] = master.subscribes
        assert request.headers["authorization"] == "Basic " + base64.b64encode(b"alluxio:s3cret").decode()
        assert request.body["subscribe"]["framework_info"]["principal"] == "alluxio"
        assert request.body["framework_id"] == {"value": "framework-1"}  # C1
        assert master.calls[0].headers["authorization"] == request.headers["authorization"]
        edge.mesos.leave()
    assert "s3cret" not in repr(edge.mesos) + repr(IDENTITY)


def test_a_new_subscription_uses_the_id_and_a_new_stream(edge: Edge) -> None:  # C1 C7 C9
    with FakeMaster(stream(interval=0.02), stream()) as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        silent = edge.next(Disconnected)
        assert silent.reason == f"{master.address} was silent for 0.1 s"  # P9
        edge.next(Subscribed)
        edge.perform(Revive(("worker-0",)))
        first, second = master.subscribes
        assert "framework_id" not in first.body
        assert second.body["framework_id"] == {"value": "framework-1"}
        assert master.calls[0].headers["mesos-stream-id"] == "stream-2"


def test_leaving_tears_nothing_down() -> None:  # C5 P2 P3, elasticsearch#530
    edge = Edge()
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.mesos.leave()
        eventually(lambda: edge.mesos._driver.aborted, "the driver ends")
        assert master.calls == []


def test_what_is_told_when_the_service_is_removed(edge: Edge) -> None:
    record = Record(Kind.WORKER, 0, 7, "S1", "127.0.0.11", {}, "c", 0.0)
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.mesos.perform([Discard(record), Teardown("framework-1")], lambda launch: [], lambda discard: "a word")
        told, teardown = (request.body for request in master.calls)
        data = base64.b64encode(b"a word").decode()
        ids = {"executor_id": {"value": "worker-0.7"}, "agent_id": {"value": "S1"}}
        assert (told["type"], told["message"]) == ("MESSAGE", {**ids, "data": data})
        assert teardown == {"type": "TEARDOWN", "framework_id": {"value": "framework-1"}}


# Other masters --------------------------------------------------------------------------------------------------------


def test_a_redirect_is_followed(edge: Edge) -> None:  # C7
    with FakeMaster() as leader, FakeMaster(redirect(leader.address)) as follower:
        edge.mesos.follow(follower.address)
        assert edge.next(Subscribed).master == leader.address
        assert [event.reason for event in edge.seen if isinstance(event, Disconnected)] == [
            f"{follower.address} does not lead"
        ]


def test_a_redirect_to_a_dead_leader_is_given_up(edge: Edge) -> None:  # C7 C8
    with FakeMaster(redirect(f"127.0.0.1:{held_port()}"), stream()) as master:
        edge.mesos.follow(master.address)
        assert edge.next(Subscribed).master == master.address


class Election:
    """Stands where the watch on ZooKeeper stands."""

    def __init__(self, changed: Callable[[str | None], None]) -> None:
        self.changed = changed

    def start(self) -> None:
        self.changed(None)

    def stop(self) -> None:
        """Nothing to stop."""


def test_the_elected_leader_is_followed(edge: Edge) -> None:  # C7, scale#1716, mesos-go#99, kubernetes-mesos#344
    elections: list[Election] = []

    def watch(changed: Callable[[str | None], None]) -> Election:
        elections.append(Election(changed))
        return elections[0]

    with FakeMaster() as first, FakeMaster() as second:
        edge.mesos.follow_elected(watch)
        elections[0].changed(first.address)
        assert edge.next(Subscribed).master == first.address
        elections[0].changed(second.address)
        assert edge.next(Disconnected).reason == "another Mesos master leads"
        assert edge.next(Subscribed).master == second.address
        elections[0].changed(None)
        edge.next(Disconnected)
        elections[0].changed(second.address)
        assert edge.next(Subscribed).master == second.address


def test_a_new_leader_that_does_not_know_it_yet_is_asked_again_soon(edge: Edge) -> None:  # C7 C8
    elections: list[Election] = []

    def watch(changed: Callable[[str | None], None]) -> Election:
        elections.append(Election(changed))
        return elections[0]

    with FakeMaster(answer(503), stream()) as leader:
        edge.mesos.follow_elected(watch)
        elections[0].changed(f"127.0.0.1:{held_port()}")
        # By now the next pause is one of 7.5 s at least.
        eventually(lambda: edge.next(Disconnected) and len(edge.seen) > 4, "it tried again and again")
        elections[0].changed(leader.address)
        assert edge.next(Subscribed).master == leader.address
        refused, taken = leader.subscribes[:2]
        assert taken.at - refused.at < 6.0


def test_no_call_leaves_while_another_may_lead(caplog: pytest.LogCaptureFixture) -> None:  # C6
    """A call that is held back ends the subscription, and the next one waits: nothing that Mesos offered stays with a
    scheduler that may not answer.
    """
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    asked: list[bool] = []
    may_call = [True]

    def look() -> bool:
        asked.append(may_call[0])
        return asked[-1]

    mesos = Mesos(IDENTITY, events.put, look)
    with FakeMaster() as master:
        mesos.follow(master.address)
        assert isinstance(events.get(timeout=60), Subscribed)
        may_call[0] = False
        with caplog.at_level(logging.WARNING):
            mesos.perform([Suppress()], lambda launch: [])
        assert caplog.messages == [
            "1 calls did not reach Mesos (another scheduler may lead by now), "
            "the first: nothing to launch: asking Mesos for no more offers"
        ]
        assert isinstance(events.get(timeout=60), Disconnected)
        count = len(asked)
        eventually(lambda: len(asked) > count + 3, "the next subscription waits")
        assert (len(master.subscribes), master.calls) == (1, [])
        may_call[0] = True
        assert isinstance(events.get(timeout=60), Subscribed)
        mesos.perform([Suppress()], lambda launch: [])
        assert [call.body["type"] for call in master.calls] == ["SUPPRESS"]
    mesos.leave()


# Refusals -------------------------------------------------------------------------------------------------------------


def test_a_master_that_is_not_ready_is_asked_again(edge: Edge) -> None:  # C8
    with FakeMaster(answer("503 Service Unavailable", "recovering"), stream()) as master:
        edge.mesos.follow(master.address)
        assert edge.next(Disconnected).reason == f"{master.address} is not ready (503 recovering)"
        edge.next(Subscribed)


def test_nobody_listens_yet(edge: Edge) -> None:  # C8 P16
    gone = f"127.0.0.1:{held_port()}"
    edge.mesos.follow(gone)
    assert edge.next(Disconnected).reason.startswith(f"no Mesos master answers at {gone} (")


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_wrong_credentials_are_named(edge: Edge, status: str) -> None:  # C12 P8
    with FakeMaster(answer(status, "No.", 'WWW-Authenticate: Basic realm="m"')) as master:
        edge.mesos.follow(master.address)
        event = edge.next(Disconnected)
        advice = "check --principal and --secret-file"
        sentence = f"{master.address} refuses the credentials ({status[:3]} No.); {advice}"
        assert str(event) == f"not connected to a Mesos master: {sentence}"  # in the log
        health = views.health(evolve(State(wanted=wanted()), event), 0.0, 1.0)
        assert (health["healthy"], health["reason"]) == (False, sentence)
        edge.next(Disconnected)  # it goes on trying


def test_a_wrong_framework_info_ends_the_scheduler(edge: Edge) -> None:  # P8
    with FakeMaster(answer("400 Bad Request", "no such role")) as master:
        edge.mesos.follow(master.address)
        assert without_time(edge.next(Failed)) == Failed(
            f"{master.address} refuses the subscription (400 no such role)", ExitCode.REFUSED, 0.0
        )
        eventually(lambda: edge.mesos._driver.aborted, "the driver ends")
        assert len(master.subscribes) == 1


@pytest.mark.parametrize(
    ("message", "exit_code"),
    [("Framework has been removed", ExitCode.REMOVED), ("Framework failed over", ExitCode.FAILED_OVER)],
)
def test_an_error_that_is_final(edge: Edge, message: str, exit_code: ExitCode) -> None:  # C10 P7
    with FakeMaster(stream({"type": "ERROR", "error": {"message": message}})) as master:
        edge.mesos.follow(master.address)
        assert without_time(edge.next(Failed)) == Failed(message, exit_code, 0.0)
        eventually(lambda: edge.mesos._driver.aborted, "the driver ends")
        assert len(master.subscribes) == 1


ENDLESS = {
    "503": answer("503 Service Unavailable"),
    "error": stream({"type": "ERROR", "error": {"message": "try again"}}),
    "ended": stream(then="end"),
    "closed": stream(then="close"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "nothing": raw(b""),
    "no RecordIO": raw_stream([chunk(b"abc\n")]),
    "endless record": raw_stream([chunk(b"99999999999999999999\n")]),
    "no JSON": raw_stream([chunk(b"3\n{x}")]),
    "no offers": stream({"type": "OFFERS", "offers": {"offers": [{"id": 1}]}}),
    "no port": stream(
        {
            "type": "OFFERS",
            "offers": {
                "offers": [
                    {
                        **OFFER,
                        "resources": [{"name": "ports", "ranges": {"range": [{"begin": 1, "end": 70000}]}}],
                    }
                ]
            },
        }
    ),
    "redirect to nowhere": answer("307 Temporary Redirect"),
    "refusal without an end": raw(b"HTTP/1.1 500 Internal\r\nContent-Length: 10\r\n\r\n"),
}


@pytest.mark.parametrize("trouble", ENDLESS)
def test_trouble_is_met_with_a_pause(edge: Edge, trouble: str) -> None:  # C8 P1 P5 P6
    with FakeMaster(ENDLESS[trouble]) as master:
        edge.mesos.follow(master.address)
        eventually(lambda: len(master.subscribes) >= 2, "it subscribes again")
        first, second = (request.at for request in master.subscribes[:2])
        assert second - first >= 0.2
        assert not any(isinstance(event, Failed) for event in edge.seen)


def test_the_pauses_grow(edge: Edge) -> None:  # C8 P6
    with FakeMaster(stream(then="close")) as master:
        edge.mesos.follow(master.address)
        eventually(lambda: len(master.subscribes) >= 3, "it subscribes again")
        times = [request.at for request in master.subscribes[:3]]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert [pause >= least for pause, least in zip(pauses, (0.25, 0.5), strict=True)] == [True, True]


def test_the_pauses_have_a_limit_and_differ() -> None:  # C8
    for failures in range(200):
        most = min(0.25 * 2.0 ** min(failures, 16), LONGEST_BACKOFF)
        pauses = {mesos_edge._backoff(failures) for _ in range(50)}
        assert most / 2 <= min(pauses) < max(pauses) <= most <= 15.0


def test_a_redirect_to_itself_does_not_spin(edge: Edge) -> None:  # P6
    with FakeMaster() as master:
        master._answers = [redirect(master.address)]
        began = time.monotonic()
        edge.mesos.follow(master.address)
        eventually(lambda: len(master.subscribes) >= 3, "it subscribes again")
        assert time.monotonic() - began >= 0.5


def test_a_defect_ends_the_scheduler(caplog: pytest.LogCaptureFixture) -> None:  # C31 P1, toil#2027
    failed: list[Event] = []

    def post(event: Event) -> None:
        if isinstance(event, Subscribed):
            raise ZeroDivisionError("a defect")
        failed.append(event)

    mesos = Mesos(IDENTITY, post)
    with FakeMaster() as master:
        mesos.follow(master.address)
        eventually(lambda: failed, "the defect is told")
        mesos.leave()
        assert [without_time(event) for event in failed] == [Failed("ZeroDivisionError: a defect", ExitCode.BUG, 0.0)]
        assert master.calls == []  # P2


# Events ---------------------------------------------------------------------------------------------------------------

STATUS = {
    "task_id": {"value": "worker-0.1"},
    "state": "TASK_RUNNING",
    "agent_id": {"value": "S1"},
    "message": "up",
    "reason": "REASON_RECONCILIATION",
    "source": "SOURCE_EXECUTOR",
    "uuid": "AerK/I0zQKWsZLjTEaKAPg==",
    "healthy": True,
}
EVENTS = [
    {"type": "HEARTBEAT"},
    OFFERS,
    {"type": "RESCIND", "rescind": {"offer_id": {"value": "O1"}}},
    {"type": "UPDATE", "update": {"status": STATUS}},
    {"type": "UPDATE", "update": {"status": {"task_id": {"value": "ghost"}, "state": "TASK_UNKNOWN"}}},
]
WANTED_EVENTS = [
    Offered((MODEL_OFFER,), 0.0),
    Rescinded("O1", 0.0),
    Updated(
        Report("worker-0.1", TaskState.RUNNING, "S1", 0.0, 0.0, True, "up", "RECONCILIATION"),
        "AerK/I0zQKWsZLjTEaKAPg==",
    ),
    Updated(Report("ghost", TaskState.UNKNOWN, "", 0.0, 0.0)),
]
BYTES = b"".join(map(record, [subscribed(), *EVENTS]))


@pytest.mark.parametrize(
    "pieces",
    [
        [chunk(BYTES)],
        [chunk(BYTES[at : at + 1]) for at in range(len(BYTES))],
        [chunk(BYTES)[at : at + 1] for at in range(len(chunk(BYTES)))],
        [chunk(BYTES[at : at + 100]) for at in range(0, len(BYTES), 100)],
    ],
    ids=["one chunk", "a chunk for each byte", "byte by byte", "chunks of 100"],
)
def test_events_in_any_chunking(edge: Edge, pieces: list[bytes]) -> None:  # C11
    with FakeMaster(raw_stream(pieces)) as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        heard = [edge.next(Offered), edge.next(Rescinded), edge.next(Updated), edge.next(Updated)]
        assert [_timeless(event) for event in heard] == WANTED_EVENTS
        assert edge.mesos.heard_at > 0  # C31


def _timeless(event: Any) -> Any:
    if isinstance(event, Updated):
        return dataclasses.replace(event, report=dataclasses.replace(event.report, at=0.0, since=0.0))
    return without_time(event)


def test_a_heartbeat_keeps_the_stream(edge: Edge) -> None:  # C9
    with FakeMaster(stream(interval=0.5)) as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        before = edge.mesos.heard_at
        began = time.monotonic()
        while time.monotonic() - began < 3.0:  # longer than five intervals
            master.tell({"type": "HEARTBEAT"})
            time.sleep(0.1)
        assert len(master.subscribes) == 1
        assert edge.mesos.heard_at > before


def test_a_state_of_the_future_is_passed_over(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"type": "UPDATE", "update": {"status": {"task_id": {"value": "w"}, "state": "TASK_DREAMING"}}}
    with FakeMaster(stream(odd, OFFERS)) as master:
        edge.mesos.follow(master.address)
        edge.next(Offered)
        assert not any(isinstance(event, Updated) for event in edge.seen)
        assert "TASK_DREAMING" in caplog.text


def test_a_master_that_only_repeats_a_state_does_not_speak_for_the_task(edge: Edge) -> None:
    told = {"type": "UPDATE", "update": {"status": {**STATUS, "message": "Reconciliation: Latest task state"}}}
    with FakeMaster(stream(told)) as master:
        edge.mesos.follow(master.address)
        assert edge.next(Updated).report.message == ""


# Calls ----------------------------------------------------------------------------------------------------------------

RECORD = Record(Kind.WORKER, 0, 1, "S1", "127.0.0.11", {"rpc": 21000}, "c", 1.0)


def test_each_effect_as_a_call(edge: Edge) -> None:  # C7 P11 P23
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        others = [dataclasses.replace(MODEL_OFFER, id=f"O{number}") for number in (2, 3, 4)]
        edge.perform(
            Launch(MODEL_OFFER, (RECORD,), ((),)),
            Decline(others[0], 3600.0, "no"),
            Decline(others[1], 5.0, "not yet"),
            Decline(others[2], 3600.0, "no"),
            Acknowledge("worker-0.1", "S1", "uuid"),
            Reconcile((("worker-0.1", "S1"),)),
            Reconcile(()),
            Kill("worker-0.1", "S1", "because"),
            Kill("ghost", "", "because"),
            Shutdown("worker-0.1", "S1", 6),
            Suppress(),
            Revive(("worker-0",)),
        )
        framework = {"framework_id": {"value": "framework-1"}}
        worker = {"task_id": {"value": "worker-0.1"}, "agent_id": {"value": "S1"}}
        assert [request.body for request in master.calls] == [
            framework | body
            for body in (
                {
                    "type": "ACCEPT",
                    "accept": {
                        "offer_ids": [{"value": "O1"}],
                        "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{"name": "worker-0"}]}}],
                        "filters": {"refuse_seconds": 0.0},
                    },
                },
                {"type": "ACKNOWLEDGE", "acknowledge": {**worker, "uuid": "uuid"}},
                {"type": "RECONCILE", "reconcile": {"tasks": [worker]}},
                {"type": "RECONCILE", "reconcile": {"tasks": []}},
                {"type": "KILL", "kill": worker},
                {"type": "KILL", "kill": {"task_id": {"value": "ghost"}}},
                {
                    "type": "SHUTDOWN",
                    "shutdown": {"executor_id": {"value": "worker-0.1"}, "agent_id": {"value": "S1"}},
                },
                {"type": "SUPPRESS"},
                {"type": "REVIVE"},
                {
                    "type": "DECLINE",
                    "decline": {
                        "offer_ids": [{"value": "O2"}, {"value": "O4"}],
                        "filters": {"refuse_seconds": 3600.0},
                    },
                },
                {
                    "type": "DECLINE",
                    "decline": {"offer_ids": [{"value": "O3"}], "filters": {"refuse_seconds": 5.0}},
                },
            )
        ]
        assert {request.headers["mesos-stream-id"] for request in master.calls} == {"stream-1"}
        assert len(master.call_connections) == 1


PLAIN = Resource("disk", "alluxio", 64_000)
VOLUME = Volume("ssd", "framework-1.worker-0.1.ssd", 64)
RESERVATION = {
    "type": "DYNAMIC",
    "role": "alluxio",
    "labels": {
        "labels": [
            {"key": "alluxio-mesos.service", "value": "alluxio"},
            {"key": "alluxio-mesos.framework", "value": "framework-1"},
            {"key": "alluxio-mesos.slot", "value": "worker-0"},
            {"key": "alluxio-mesos.tier", "value": "ssd"},
        ]
    },
}
RESERVED = {
    "name": "disk",
    "type": "SCALAR",
    "scalar": {"value": 64.0},
    "allocation_info": {"role": "alluxio"},
    "reservations": [RESERVATION],
}
CREATED = RESERVED | {
    "disk": {"persistence": {"id": VOLUME.persistence_id}, "volume": {"container_path": "ssd", "mode": "RW"}}
}


def _operations(master: FakeMaster, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = master.calls[number].body["accept"]["operations"]
    return found


def test_volumes_are_made_and_given_back_by_the_call_that_takes_the_offer(edge: Edge) -> None:
    launch = Launch(MODEL_OFFER, (RECORD,), ((),), (NewVolume("worker-0", VOLUME, PLAIN),))
    named = Resource("disk", "alluxio", 64_000, (), json.dumps([RESERVATION]), json.dumps(CREATED["disk"]))
    volume = Holding("worker-0", "ssd", VOLUME.persistence_id, named)
    bare = Holding("worker-0", "hdd", "", dataclasses.replace(named, disk="", thousandths=1000))
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.perform(launch, GiveBack(MODEL_OFFER, (volume, bare)), GiveBack(MODEL_OFFER, (bare,)))
        tasks = {"type": "LAUNCH", "launch": {"task_infos": [{"name": "worker-0"}]}}
        assert _operations(master, 0) == [
            {"type": "RESERVE", "id": {"value": "worker-0.1.ssd.reserve"}, "reserve": {"resources": [RESERVED]}},
            {"type": "CREATE", "id": {"value": "worker-0.1.ssd.create"}, "create": {"volumes": [CREATED]}},
            tasks,
        ]
        left = RESERVED | {"scalar": {"value": 1.0}}
        assert _operations(master, 1) == [
            {"type": "DESTROY", "destroy": {"volumes": [CREATED]}},
            {"type": "UNRESERVE", "unreserve": {"resources": [RESERVED, left]}},
        ]
        assert _operations(master, 2) == [{"type": "UNRESERVE", "unreserve": {"resources": [left]}}]
        assert master.calls[1].body["accept"]["offer_ids"] == [{"value": "O1"}]


def _with_our_names(line: str) -> str:
    """A recorded line with our labels and our operations' ids in the place of its own, which are free to choose."""
    labels = {"service": "alluxio", "framework": "framework-1", "slot": "worker-0", "tier": "data"}
    ours = [{"key": f"alluxio-mesos.{name}", "value": value} for name, value in labels.items()]
    for theirs, name in (
        ([{"key": "slot", "value": "worker-1"}], ours),
        ({"value": "op-1"}, {"value": "worker-0.1.data.reserve"}),
        ({"value": "op-2"}, {"value": "worker-0.1.data.create"}),
    ):
        line = line.replace(json.dumps(theirs), json.dumps(name))
    return line


def test_the_operations_are_those_that_a_real_mesos_accepted(edge: Edge, traces: Path) -> None:
    """Names aside, letter for letter: what makes the volume, what the offer then says of it, and what ends it."""
    recorded = (traces / "scheduler.jsonl").read_text().splitlines()
    lines = [json.loads(_with_our_names(line)) for line in recorded]
    calls = [line["body"] for line in lines if line["kind"] == "call" and "RESERVE" in json.dumps(line["body"])]
    assert [call["status"] for call in calls] == [202, 202]
    making, ending = (call["request"]["accept"]["operations"] for call in calls)
    [offers] = [line["body"] for line in lines if line["kind"] == "event" and "vol-1" in json.dumps(line["body"])]
    new = NewVolume("worker-0", Volume("data", "vol-1", 64), Resource("disk", "trace-role", 64_000))
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        master.tell(offers)
        [offer] = edge.next(Offered).offers
        edge.perform(Launch(MODEL_OFFER, (RECORD,), ((),), (new,)), GiveBack(offer, offer.holdings))
        *made, launched = _operations(master, 0)
        assert (made, launched["type"]) == (making, "LAUNCH")
        assert _operations(master, 1) == ending


def test_what_became_of_an_operation_is_told_and_acknowledged(edge: Edge) -> None:
    status = {
        "operation_id": {"value": "worker-0.1.ssd.create"},
        "state": "OPERATION_FINISHED",
        "uuid": {"value": "ZBBDORUfQVS/RrDU5FdeZw=="},
        "agent_id": {"value": "S1"},
    }
    with FakeMaster(
        stream({"type": "UPDATE_OPERATION_STATUS", "update_operation_status": {"status": status}})
    ) as master:
        edge.mesos.follow(master.address)
        assert edge.next(OperationUpdated) == OperationUpdated(
            "worker-0.1.ssd.create", "OPERATION_FINISHED", "S1", "ZBBDORUfQVS/RrDU5FdeZw=="
        )
        edge.perform(AcknowledgeOperation("worker-0.1.ssd.create", "S1", "ZBBDORUfQVS/RrDU5FdeZw=="))
        assert master.calls[0].body == {
            "type": "ACKNOWLEDGE_OPERATION_STATUS",
            "framework_id": {"value": "framework-1"},
            "acknowledge_operation_status": {
                "operation_id": {"value": "worker-0.1.ssd.create"},
                "agent_id": {"value": "S1"},
                "uuid": "ZBBDORUfQVS/RrDU5FdeZw==",
            },
        }


def test_agents_that_are_too_old_to_tell_of_operations_are_not_asked_to(edge: Edge) -> None:
    status = {
        "operation_id": {"value": "worker-0.1.ssd.reserve"},
        "state": "OPERATION_ERROR",
        "message": "Operation requested feedback, but agent S1 does not have the required AGENT_OPERATION_FEEDBACK "
        "capability",
    }
    launch = Launch(MODEL_OFFER, (RECORD,), ((),), (NewVolume("worker-0", VOLUME, PLAIN),))
    with FakeMaster(
        stream({"type": "UPDATE_OPERATION_STATUS", "update_operation_status": {"status": status}})
    ) as master:
        edge.mesos.follow(master.address)
        assert edge.next(OperationUpdated).uuid == ""
        edge.perform(launch)
        assert _operations(master, 0)[:2] == [
            {"type": "RESERVE", "reserve": {"resources": [RESERVED]}},
            {"type": "CREATE", "create": {"volumes": [CREATED]}},
        ]


def test_a_call_after_the_master_closed_its_idle_connection(edge: Edge) -> None:  # P10
    with FakeMaster() as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.perform(Suppress())
        master.call_connections[0].close()
        edge.perform(Revive(("worker-0",)))
        assert [request.body["type"] for request in master.calls] == ["SUPPRESS", "REVIVE"]
        assert len(master.subscribes) == 1


@pytest.mark.parametrize("trouble", ["500", "403", "closed", "silent"])
def test_a_call_that_is_not_answered_ends_the_subscription(
    edge: Edge, trouble: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # C6 C9 P4 P10
    """403 is what Mesos says to the late calls of a scheduler that another one has replaced."""
    monkeypatch.setattr(mesos_edge, "CALL_SECONDS", 0.5)
    answers = {
        "silent": lambda connection: None,
        "500": answer("500 Internal Server Error", "oops"),
        "403": answer("403 Forbidden", "Framework is not subscribed"),
        "closed": lambda connection: connection.close(),
    }
    with FakeMaster(call_answer=answers[trouble]) as master:
        edge.mesos.follow(master.address)
        edge.next(Subscribed)
        edge.perform(Suppress(), Revive(("worker-0",)), Kill("w", "S1", "because"))
        assert edge.next(Disconnected).reason == f"{master.address} did not answer a call"
        assert "3 calls did not reach Mesos (" in caplog.text
        master.call_answer = answer("202 Accepted")
        edge.next(Subscribed)
        edge.perform(Suppress())
        assert [request.body["type"] for request in master.calls] == ["SUPPRESS", "SUPPRESS"]


def test_calls_without_a_connection_raise_nothing(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:  # C7 P5 P10
    with caplog.at_level(logging.WARNING):
        edge.perform(Suppress(), Acknowledge("w", "S1", "uuid"))
    assert "2 calls did not reach Mesos (not connected)" in caplog.text
