"""The loop: evolve, decide, save, act, in that order, and how it ends."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterable, Sequence

import pytest

from eventually import eventually
from framework.chronicle import Chronicle
from framework.loop import DecisionLog, Loop
from framework.memory import Kept
from framework.messages import (
    Decline,
    Effect,
    KeepFrameworkId,
    KeepWanted,
    Launch,
    MakeMount,
    MountAnswered,
    Offered,
    Rescinded,
    Stop,
    Subscribed,
    Suppress,
)
from framework.model import ExitCode, HistoryEntry, Mount, MountRecord, Offer, Range, Resource
from framework.planner import State
from framework.store import StoreError, StoreLost, StoreRefused
from stage import wanted

OFFER = Offer(
    "O1",
    "S1",
    "127.0.0.11",
    (
        Resource("cpus", "alluxio", 4000),
        Resource("mem", "alluxio", 8_192_000),
        Resource("disk", "alluxio", 9_000_000),
        Resource("ports", "alluxio", ranges=(Range(21000, 21099),)),
    ),
)


class Diary:
    """A store and an actor that write down what happens to them, in one list."""

    def __init__(self, breaks_at: type | None = None) -> None:
        self.entries: list[tuple[str, list[str]]] = []
        self._breaks_at = breaks_at

    def load(self) -> Kept:
        return Kept()

    def save(self, effects: Iterable[Effect]) -> None:
        effects = list(effects)
        if self._breaks_at is not None and any(isinstance(effect, self._breaks_at) for effect in effects):
            raise StoreError("ZooKeeper is away")
        self._write("save", effects)

    def act(self, effects: Sequence[Effect], state: State) -> None:
        self._write("act", list(effects))

    def close(self) -> None:
        """Nothing is held open."""

    def _write(self, what: str, effects: list[Effect]) -> None:
        if effects:
            self.entries.append((what, [type(effect).__name__ for effect in effects]))


def loop_with(diary: Diary) -> Loop:
    return Loop(State(wanted=wanted()), diary, diary.act, lambda: 1000.0)


def run(loop: Loop) -> ExitCode:
    ended: list[ExitCode] = []
    thread = threading.Thread(target=lambda: ended.append(loop.run()), daemon=True)
    thread.start()
    thread.join(60)
    [code] = ended
    return code


def test_everything_is_saved_before_it_is_acted_on() -> None:  # C1 C21 C23
    diary = Diary()
    loop = loop_with(diary)
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    loop.post(Offered((OFFER,), 1000.0))
    loop.post(Stop(ExitCode.DONE, "enough"))
    assert run(loop) == ExitCode.DONE
    assert diary.entries == []  # a stop that waits is not outrun by what came before it
    loop.step([Subscribed("framework-1", "m:5050", 1000.0), Offered((OFFER,), 1000.0)])
    loop.step([])
    assert diary.entries == [
        ("save", ["KeepFrameworkId"]),
        ("act", ["KeepFrameworkId"]),
        ("save", ["Reconcile", "Launch", "Suppress"]),
        ("act", ["Reconcile", "Launch", "Suppress"]),
    ]
    assert loop.snapshot.records["master-0"].task_id == "master-0.1"


@pytest.mark.parametrize(("breaks_at", "acted"), [(KeepFrameworkId, []), (Launch, ["KeepFrameworkId"])])
def test_what_cannot_be_saved_is_not_done(breaks_at: type, acted: list[str]) -> None:  # C21
    diary = Diary(breaks_at)
    loop = loop_with(diary)
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    loop.post(Offered((OFFER,), 1000.0))
    assert run(loop) == ExitCode.STORE
    assert [name for what, names in diary.entries if what == "act" for name in names] == acted


def test_what_follows_from_a_decision_does_not_wait_for_a_tick() -> None:
    diary = Diary()
    loop = loop_with(diary)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    loop.post(Offered((OFFER,), 1000.0))
    eventually(lambda: ("act", ["Reconcile", "Launch", "Suppress"]) in diary.entries, "the master is launched")
    loop.post(Stop(ExitCode.STORE_LOST, "the session is lost"))
    thread.join(60)
    assert not thread.is_alive()


def test_events_wait_while_nothing_may_be_done() -> None:  # C6
    diary = Diary()
    may_act = threading.Event()
    looked: list[bool] = []

    def look() -> bool:
        looked.append(may_act.is_set())
        return looked[-1]

    loop = Loop(State(wanted=wanted()), diary, diary.act, lambda: 1000.0, look)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    eventually(lambda: looked, "it has looked")
    loop.post(Offered((OFFER,), 1000.0))
    eventually(lambda: len(looked) > 2, "it has looked again")
    assert (diary.entries, loop.snapshot.connected) == ([], False)
    may_act.set()
    eventually(lambda: ("act", ["Reconcile", "Launch", "Suppress"]) in diary.entries, "nothing was forgotten")
    loop.post(Stop(ExitCode.DONE, "enough"))
    thread.join(60)
    assert not thread.is_alive()


def test_whoever_posts_does_not_wait_for_a_decision() -> None:  # C13 P21
    """Mesos's thread goes on reading, also while calls take their time."""
    acting, go_on = threading.Event(), threading.Event()
    acted: list[Sequence[Effect]] = []

    def act(effects: Sequence[Effect], state: State) -> None:
        if effects:
            acting.set()
            assert go_on.wait(60)
            acted.append(effects)

    loop = Loop(State(wanted=wanted()), Diary(), act, lambda: 1000.0)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    assert acting.wait(60)
    for number in range(10_000):  # each of them would wait for a lock that the decision holds
        loop.post(Offered((dataclasses.replace(OFFER, id=f"O{number}"),), 1000.0))
    loop.post(Rescinded("O0", 1000.0))
    assert acted == []
    go_on.set()
    eventually(lambda: any(isinstance(effect, Launch) for effects in acted for effect in effects), "a launch")
    answered = [effect.offer.id for effects in acted for effect in effects if isinstance(effect, Launch | Decline)]
    assert len(answered) == 9_999  # all at once, but for the one that was taken back
    assert "O0" not in answered
    loop.post(Stop(ExitCode.DONE, "enough"))
    thread.join(60)
    assert not thread.is_alive()


def test_a_stop_does_not_wait() -> None:  # C6
    loop = Loop(State(wanted=wanted()), Diary(), Diary().act, lambda: 1000.0, lambda: False)
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    loop.post(Stop(ExitCode.STORE_LOST, "the session is lost"))
    assert run(loop) == ExitCode.STORE_LOST


def test_between_two_decisions_it_is_asked_again() -> None:  # C6
    diary = Diary()
    answers = iter([True, False])
    loop = Loop(State(wanted=wanted()), diary, diary.act, lambda: 1000.0, lambda: next(answers, False))
    thread = threading.Thread(target=loop.run, daemon=True)
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    loop.post(Offered((OFFER,), 1000.0))
    thread.start()
    eventually(lambda: diary.entries, "it decides once")
    loop.post(Stop(ExitCode.DONE, "enough"))
    thread.join(60)
    assert diary.entries == [("save", ["KeepFrameworkId"]), ("act", ["KeepFrameworkId"])]


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreError, ExitCode.STORE), (StoreLost, ExitCode.STORE_LOST), (StoreRefused, ExitCode.STORE_REFUSED)],
)
def test_each_failure_of_the_store_has_its_exit_code(error: type[StoreError], code: ExitCode) -> None:
    class Broken(Diary):
        def save(self, effects: Iterable[Effect]) -> None:
            raise error("it cannot be written")

    loop = loop_with(Broken())
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    assert run(loop) == code


def test_a_defect_leaves_the_loop() -> None:  # C31
    def act(effects: Sequence[Effect], state: State) -> None:
        raise ZeroDivisionError

    loop = Loop(State(wanted=wanted()), Diary(), act, lambda: 1000.0)
    loop.post(Subscribed("framework-1", "m:5050", 1000.0))
    with pytest.raises(ZeroDivisionError):
        loop.run()


def test_a_mount_that_fails_is_a_warning_and_said_once_for_its_path(caplog: pytest.LogCaptureFixture) -> None:
    log = DecisionLog(Chronicle(), lambda: 1000.0)
    with caplog.at_level(logging.INFO):
        for at in (1.0, 2.0):
            log.events([MountAnswered("/a", at, at, "there is no bucket a"), MountAnswered("/b", at, at, "wrong keys")])
        log.events([MountAnswered("/a", 3.0, 3.0)])
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "/a: there is no bucket a"),
        ("WARNING", "/b: wrong keys"),
        ("INFO", "/a: Alluxio has done what it was asked for"),
    ]


def test_a_mount_that_is_tried_again_says_nothing_new_until_something_else_is_wanted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, ask = DecisionLog(Chronicle(), lambda: 1000.0), MakeMount(MountRecord(Mount("/a", "s3://a"), "f/1", 1.0))
    fails = MountAnswered("/a", 1.0, 1.0, "there is no bucket a")
    wanted_anew = KeepWanted(HistoryEntry(2, 1.0, "c", 1, None, 0, {}))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            log.effects([ask])
            log.events([fails])
        log.effects([wanted_anew, ask])
        log.events([fails])
        log.effects([ask])
        log.events([MountAnswered("/a", 2.0, 2.0)])
        log.effects([ask])
    asked, failed, done = (
        "mounting s3://a at /a",
        "/a: there is no bucket a",
        "/a: Alluxio has done what it was asked for",
    )
    assert caplog.messages == [asked, failed, str(wanted_anew), asked, failed, done, asked]


def test_the_log_names_the_mounts_that_are_wanted() -> None:
    entry = HistoryEntry(2, 1.0, "c", 1, None, 0, {}, mounts=tuple(Mount(f"/m{index}", "/nfs") for index in range(6)))
    assert str(KeepWanted(entry)) == (
        "wanted from now on: configuration c, 1 master, a worker on each agent, 0 proxies, mounts at /m0, /m1, /m2, "
        "/m3, /m4 and 1 more (entry 2)"
    )


def test_the_log_says_each_thing_once(caplog: pytest.LogCaptureFixture) -> None:
    log = DecisionLog(Chronicle(), lambda: 1000.0)
    few = [Decline(OFFER, 5.0, "offers 512 MiB of 1280 MiB memory", "worker-2")]
    many = [Decline(OFFER, 5.0, "there is nothing to launch")] * 6
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            log.effects([*few, *many])
        log.effects([Suppress()])
    assert caplog.messages == [
        "worker-2 on agent 127.0.0.11: declined, offers 512 MiB of 1280 MiB memory",
        "6 offers: declined, there is nothing to launch",
        "nothing to launch: asking Mesos for no more offers",
    ]
