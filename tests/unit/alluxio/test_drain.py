"""Emptying workers that leave, against a small Alluxio that forgets where a decommissioned worker's blocks are, as the
real one does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from framework.alluxio.answers import Kind, Unavailable, WorkerReport, WorkerState
from framework.alluxio.drain import Emptying, held_back
from framework.alluxio.files import AlluxioAway, AlluxioError, BlockReport, FileStatus
from framework.model import Drain, DrainStep

ONE, TWO, THREE = "127.0.0.11:1", "127.0.0.12:1", "127.0.0.13:1"
CONTENT = b"content"


@dataclasses.dataclass
class File:
    block: int
    completed: bool = True
    persistence: str = "NOT_PERSISTED"


class SmallAlluxio:
    """Files of one block each. ``while_decommissioning`` is called before the masters forget a worker's blocks."""

    def __init__(self, *workers: str) -> None:
        self.states = dict.fromkeys(workers, WorkerState.LIVE)
        self.held: dict[str, set[int]] = {worker: set() for worker in workers}
        self.located: dict[int, set[str]] = {}
        self.files: dict[str, File] = {}
        self.away: set[str] = set()
        self.persisted: list[str] = []
        self.while_decommissioning: Callable[[], None] = lambda: None

    def write(self, path: str, worker: str, *, completed: bool = True) -> None:
        block = len(self.files)
        self.files[path] = File(block, completed)
        self.located[block] = set()
        self.write_block(block, CONTENT, worker)

    def complete(self, path: str) -> None:
        self.files[path].completed = True

    def persist_all(self) -> None:
        for path in self.persisted:
            self.files[path].persistence = "PERSISTED"

    def homes(self, path: str) -> set[str]:
        return self.located[self.files[path].block]

    # As Masters.

    def workers(self) -> tuple[WorkerReport, ...] | Unavailable:
        return tuple(
            WorkerReport(1, worker.split(":")[0], 1, 2, 3, state, 0, 0, 1000, len(self.held[worker]))
            for worker, state in self.states.items()
        )

    def decommission(self, host: str, web_port: int) -> Unavailable | None:
        self.while_decommissioning()
        worker = f"{host}:1"
        if worker in self.away:
            return Unavailable(worker, "it is away", Kind.UNREACHABLE)
        self.states[worker] = WorkerState.DECOMMISSIONED
        for homes in self.located.values():
            homes.discard(worker)
        return None

    def close(self) -> None: ...

    # As Files.

    def list(self, path: str, *, recursive: bool = False) -> tuple[FileStatus, ...]:
        assert (path, recursive) == ("/", True)
        return tuple(
            FileStatus(
                *(name, False, len(CONTENT), file.completed, file.persistence, 100, 100, "", 1, 1000),
                (BlockReport(file.block, len(CONTENT), tuple(sorted(self.located[file.block]))),),
            )
            for name, file in self.files.items()
        )

    def persist(self, path: str) -> None:
        self.persisted.append(path)

    def read_block(self, file: FileStatus, place: int, worker: str) -> bytes:
        if worker in self.away:
            raise AlluxioAway(f"{worker} refuses connections: nothing listens there.")
        if file.blocks[place].id not in self.held[worker]:
            raise AlluxioError(f"{worker} answered NOT_FOUND")
        return CONTENT

    def write_block(self, block_id: int, content: bytes, worker: str) -> None:
        assert content == CONTENT
        if worker in self.away:
            raise AlluxioAway(f"{worker} refuses connections: nothing listens there.")
        self.held[worker].add(block_id)
        if self.states[worker] is WorkerState.LIVE:
            self.located[block_id].add(worker)


def test_what_only_it_holds_is_persisted_before_it_is_decommissioned() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    alluxio.write("/only", ONE)
    alluxio.write("/elsewhere", TWO)
    emptying = Emptying(alluxio, alluxio)
    message = "/only is written to the under-storage first"
    assert emptying.look({"worker-0.1": ONE}, 10.0) == (Drain("worker-0.1", DrainStep.PERSISTING, 10.0, message),)
    assert alluxio.persisted == ["/only"]
    assert emptying.look({"worker-0.1": ONE}, 11.0)[0].since == 10.0
    assert alluxio.states[ONE] is WorkerState.LIVE
    alluxio.persist_all()
    assert emptying.look({"worker-0.1": ONE}, 12.0) == (Drain("worker-0.1", DrainStep.DECOMMISSIONED, 12.0),)
    assert emptying.look({"worker-0.1": ONE}, 13.0)[0].since == 12.0
    assert alluxio.states[ONE] is WorkerState.DECOMMISSIONED


def test_a_client_that_never_stops_writing_does_not_keep_it_and_loses_nothing() -> None:
    alluxio = SmallAlluxio(ONE, TWO, THREE)
    alluxio.write("/first", ONE)
    emptying = Emptying(alluxio, alluxio)
    leaving = {"worker-0.1": ONE, "worker-1.1": TWO}
    for number in range(3):
        for worker in (ONE, TWO):
            alluxio.write(f"/newer/{number}/{worker}", worker)
        steps = [drain.step for drain in emptying.look(leaving, number)]
        assert steps == [DrainStep.PERSISTING, DrainStep.DECOMMISSIONED if number else DrainStep.PERSISTING]
        alluxio.files["/newer/0/" + TWO].persistence = "PERSISTED"
    alluxio.persist_all()
    alluxio.write("/last", ONE)
    alluxio.while_decommissioning = lambda: alluxio.write("/meanwhile", ONE)
    assert {drain.step for drain in emptying.look(leaving, 4.0)} == {DrainStep.DECOMMISSIONED}
    lost = [path for path, file in alluxio.files.items() if file.persistence != "PERSISTED" and not alluxio.homes(path)]
    assert lost == []
    assert alluxio.homes("/last") == alluxio.homes("/meanwhile") == {THREE}


def test_where_nobody_stays_all_of_it_is_persisted() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    leaving = {"worker-0.1": ONE, "worker-1.1": TWO}
    emptying = Emptying(alluxio, alluxio)
    alluxio.write("/first", ONE)
    emptying.look(leaving, 1.0)
    alluxio.persist_all()
    alluxio.write("/newer", ONE)
    assert emptying.look(leaving, 2.0)[0].step is DrainStep.PERSISTING
    alluxio.persist_all()
    assert emptying.look(leaving, 3.0)[0].step is DrainStep.DECOMMISSIONED


def test_what_is_written_to_a_decommissioned_worker_is_carried_on_and_it_drains_anew() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    emptying = Emptying(alluxio, alluxio)
    emptying.look({"worker-0.1": ONE}, 1.0)
    alluxio.write("/late", ONE)
    assert not alluxio.homes("/late")
    assert emptying.look({"worker-0.1": ONE}, 5.0) == (Drain("worker-0.1", DrainStep.DECOMMISSIONED, 5.0),)
    assert (alluxio.homes("/late"), alluxio.persisted) == ({TWO}, ["/late"])


def test_a_block_that_was_still_on_its_way_is_looked_for_again() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    emptying = Emptying(alluxio, alluxio)
    emptying.look({"worker-0.1": ONE}, 1.0)
    alluxio.write("/open", ONE, completed=False)
    alluxio.held[ONE].clear()  # what is not committed is not found
    emptying.look({"worker-0.1": ONE}, 2.0)
    alluxio.held[ONE].add(alluxio.files["/open"].block)
    alluxio.complete("/open")
    emptying.look({"worker-0.1": ONE}, 3.0)
    assert alluxio.homes("/open") == {TWO}


def test_a_file_that_alluxio_gave_up_is_carried_too() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    emptying = Emptying(alluxio, alluxio)
    emptying.look({"worker-0.1": ONE}, 1.0)
    alluxio.write("/late", ONE)
    alluxio.files["/late"].persistence = "LOST"
    emptying.look({"worker-0.1": ONE}, 2.0)
    assert alluxio.homes("/late") == {TWO}


def test_a_target_that_takes_nothing_is_no_reason_to_give_a_block_up() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    emptying = Emptying(alluxio, alluxio)
    emptying.look({"worker-0.1": ONE}, 1.0)
    alluxio.write("/late", ONE)
    alluxio.away.add(TWO)
    message = f"{TWO} refuses connections: nothing listens there."
    # It drains anew: it must not be killed while only it has what nobody else took.
    assert emptying.look({"worker-0.1": ONE}, 9.0) == (Drain("worker-0.1", DrainStep.DECOMMISSIONED, 9.0, message),)
    alluxio.away.clear()
    emptying.look({"worker-0.1": ONE}, 10.0)
    assert alluxio.homes("/late") == {TWO}


def test_one_that_does_not_answer_holds_up_no_other() -> None:
    alluxio = SmallAlluxio(ONE, TWO, THREE)
    emptying = Emptying(alluxio, alluxio)
    emptying.look({"worker-0.1": ONE}, 1.0)
    alluxio.write("/late", ONE)
    alluxio.away.add(ONE)
    found = emptying.look({"worker-0.1": ONE, "worker-1.1": TWO}, 2.0)
    assert [(drain.step, drain.message != "") for drain in found] == [
        (DrainStep.DECOMMISSIONED, True),
        (DrainStep.DECOMMISSIONED, False),
    ]


def test_a_file_that_is_being_written_when_it_begins_to_leave_is_waited_for_but_not_for_ever() -> None:
    alluxio = SmallAlluxio(ONE, TWO)
    alluxio.write("/open", ONE, completed=False)
    emptying = Emptying(alluxio, alluxio)
    [drain] = emptying.look({"worker-0.1": ONE}, 1.0)
    assert (drain.step, drain.message) == (DrainStep.PERSISTING, "/open is still being written")
    assert emptying.look({"worker-0.1": ONE}, 60.0)[0].step is DrainStep.PERSISTING
    assert emptying.look({"worker-0.1": ONE}, 62.0)[0].step is DrainStep.DECOMMISSIONED


def test_who_was_taken_back_and_leaves_again_is_emptied_anew() -> None:
    alluxio = SmallAlluxio(ONE, TWO, THREE)
    alluxio.write("/first", ONE)
    emptying = Emptying(alluxio, alluxio)
    emptying.look({"worker-0.1": ONE, "worker-1.1": TWO}, 1.0)
    emptying.look({"worker-1.1": TWO}, 2.0)
    alluxio.write("/second", ONE)
    [drain] = emptying.look({"worker-0.1": ONE}, 3.0)
    assert (drain.step, drain.message) == (
        DrainStep.PERSISTING,
        "2 files, such as /first, are written to the under-storage first",
    )


def test_the_second_home_is_at_one_that_stays_though_another_has_more_room() -> None:
    alluxio = SmallAlluxio(ONE, TWO, THREE)
    alluxio.write("/waits", TWO)
    for number in range(3):
        alluxio.write(f"/{number}", THREE)
    leaving = {"worker-0.1": ONE, "worker-1.1": TWO}
    emptying = Emptying(alluxio, alluxio)
    alluxio.write("/open", ONE, completed=False)
    emptying.look(leaving, 1.0)
    alluxio.write("/newer", ONE)
    alluxio.files["/open"].persistence = "PERSISTED"
    assert [drain.step for drain in emptying.look(leaving, 2.0)] == [DrainStep.DECOMMISSIONED, DrainStep.PERSISTING]
    assert alluxio.homes("/newer") == {THREE}


def test_a_worker_is_not_killed_before_a_look_that_began_after_its_drain_found_nothing() -> None:
    drain = Drain("worker-0.1", DrainStep.DECOMMISSIONED, 100.0)
    assert held_back(drain, 101.0, 150.0, 7.0) == drain  # it ends at 250
    assert held_back(drain, 249.0, 150.0, 7.0).since + 150.0 == 256.0
    assert held_back(drain, 249.0, 150.0, 60.0).since + 150.0 == 309.0
    assert held_back(drain, 250.0, 150.0, 60.0) == drain
    persisting = Drain("worker-0.1", DrainStep.PERSISTING, 100.0)
    assert held_back(persisting, 249.0, 150.0, 7.0) == persisting
