"""What the chaos harness concludes from what it saw: times, copies, cells of the table."""

from __future__ import annotations

import dataclasses
import math

import pytest

from chaos import client
from chaos.client import Cached, Session, Written, may_be_lost, taken_too_early, unreadable
from chaos.copies import Copy, doubles
from chaos.faults import Floor
from chaos.run import Row, failed
from chaos.table import cells, markdown, placed
from chaos.timeline import Timeline
from framework.alluxio.files import AlluxioAway, WriteType


class Clock:
    """Stands where the monotonic clock stands."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def told(*answers: tuple[float, bool]) -> Timeline:
    clock = Clock()
    timeline = Timeline(clock)
    for clock.now, good in answers:
        timeline.note(good, "" if good else f"bad at {clock.now:g}")
    return timeline


def test_what_never_broke_has_no_time() -> None:
    assert told((0, True), (5, True)).recovered(1, 1) == 0


def test_the_time_ends_with_the_last_break() -> None:
    timeline = told((0, True), (10, False), (11, False), (14, True), (20, False), (22, True), (30, True))
    assert timeline.recovered(since=9, counted_from=9) == 13
    assert timeline.recovered(since=9, counted_from=21) == 1
    assert timeline.recovered(since=9, counted_from=25) == 0  # all was well before the fault was over
    assert timeline.recovered(since=23, counted_from=23) == 0  # an earlier fault's breaks
    assert timeline.told(9) == ["bad at 10", "bad at 20"]


def test_what_stays_bad_never_recovers() -> None:
    assert math.isinf(told((0, True), (10, False)).recovered(9, 9))


@pytest.mark.parametrize(("last", "seconds"), [(True, 6.0), (False, 0.0)])
def test_good_for_counts_from_the_last_change(last: bool, seconds: float) -> None:
    clock = Clock()
    timeline = Timeline(clock)
    for clock.now, good in ((0.0, True), (3.0, not last), (4.0, last), (9.0, last)):
        timeline.note(good)
    clock.now = 10.0
    assert timeline.good_for() == seconds


WORKER, JOB_WORKER = "alluxio.worker.AlluxioWorker", "alluxio.worker.AlluxioJobWorker"


def test_two_processes_of_one_slot_are_a_double_whatever_their_task() -> None:
    one, other = Copy(1, "worker-0.1", WORKER, "/a"), Copy(2, "worker-0.2", WORKER, "/b")
    assert list(doubles([one, other])) == ["worker-0"]
    assert list(doubles([one, Copy(3, "worker-0.1", WORKER, "/a")])) == ["worker-0"]


def test_the_processes_of_one_task_and_those_of_other_slots_are_none() -> None:
    running = [
        Copy(1, "worker-0.1", WORKER, "/a"),
        Copy(2, "worker-0.1", JOB_WORKER, "/a"),
        Copy(3, "worker-1.1", WORKER, "/b"),
    ]
    assert doubles(running) == {}


KEPT = Written("/kept", 2, WriteType.MUST_CACHE, "first:1")
THROUGH = Written("/through", 2, WriteType.CACHE_THROUGH, "first:1")


def test_what_a_fault_may_destroy_lies_where_it_was_cached_and_not_where_it_was_written() -> None:
    moved = Cached(((1, frozenset({"second:1"})), (1, frozenset({"second:1", "third:1"}))))
    assert may_be_lost(KEPT, moved, frozenset({"second:1"}))
    assert not may_be_lost(KEPT, moved, frozenset({"first:1"}))
    assert not may_be_lost(KEPT, moved, frozenset())
    assert (moved.size, moved.only_at(frozenset({"second:1"}))) == (2, 1)


def test_a_file_of_the_fault_itself_tells_its_worker() -> None:
    assert may_be_lost(KEPT, None, frozenset({"first:1"}))
    assert not may_be_lost(KEPT, None, frozenset({"second:1"}))


def test_what_was_written_through_is_never_lost() -> None:
    assert not may_be_lost(THROUGH, None, frozenset({"first:1"}))


@pytest.mark.parametrize(
    ("kind", "worker", "at", "excused"),
    [
        (WriteType.MUST_CACHE, "first:1", 12.0, True),
        (WriteType.MUST_CACHE, "first:1", 9.0, False),  # before the worker was killed
        (WriteType.MUST_CACHE, "first:1", 16.0, False),  # after all was well again
        (WriteType.MUST_CACHE, "second:1", 12.0, False),
        (WriteType.CACHE_THROUGH, "first:1", 12.0, False),
    ],
)
def test_only_what_a_worker_took_while_it_started_again_may_be_freed(
    kind: WriteType, worker: str, at: float, excused: bool
) -> None:
    file = Written("/passing", 2, kind, worker, at)
    assert taken_too_early(file, frozenset({"first:1"}), 10.0, 15.0) is excused


class Reader(Session):
    """A session that has no connection: so many reads of each path fail before one succeeds."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures

    def read(self, file: Written) -> bytes:
        if self.failures.get(file.path, 0):
            self.failures[file.path] -= 1
            raise AlluxioAway("it is late")
        return file.content


def test_an_answer_that_is_late_is_no_loss_however_much_was_waited_for_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_PAUSE", 0.001)
    gone, late, there = (Written(name, 2, WriteType.MUST_CACHE, "first:1") for name in ("gone", "late", "there"))
    assert unreadable(Reader(gone=1000, late=1), [gone, late, there], 0.01) == {gone: "it is late"}


def test_a_client_whose_files_were_all_forgotten_a_moment_ago_goes_on() -> None:
    client.Client(lambda: ())._read(Reader())


ROW = Row(
    "a fault",
    "what was done",
    api=5.2,
    files=0.0,
    whole=math.inf,
    floors={"api": Floor(4.0, "ZooKeeper session")},
    expected=(1, 1),
    relaunched=1,
    lost=(),
    early=(),
    cached_lost=0,
    cached_may_go=0,
    doubles=(),
    settled=True,
    problems=(),
)


def test_a_row_as_cells() -> None:
    assert cells(ROW) == (
        *("a fault", "5.2 s", "no break", "never", "API: 4.0 s (ZooKeeper session)", "1.30"),
        *("1 of 1", "0", "0", "0"),
    )
    assert markdown([ROW]).count("\n") == 3
    assert cells(dataclasses.replace(ROW, early=("one",)))[7] == "0 and 1 taken too early"


def test_the_table_takes_the_place_of_the_one_in_the_page() -> None:
    page = f"# A page\n\n| a | b |\n|---|---|\n\n{markdown([ROW, ROW])}\nThe end.\n"
    assert placed(page, [ROW]) == f"# A page\n\n| a | b |\n|---|---|\n\n{markdown([ROW])}\nThe end.\n"
    assert placed("", [ROW]) == markdown([ROW])


def test_only_problems_make_a_run_fail() -> None:
    assert failed([ROW]) == []  # times are told and never judged
