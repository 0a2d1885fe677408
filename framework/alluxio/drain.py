"""Empties the workers that leave, on a thread of its own: what only they hold is written to the under-storage, what is
written to them meanwhile gets a second home, then Alluxio is told to do without them, then whatever a client wrote to
them nevertheless is carried to another worker.

Nothing but the last step keeps clients away from a worker, so whoever writes all the time would be waited for without
end if all that only it holds had to be in the under-storage first: only what was there when it began to leave is.

Measured with Alluxio 2.9.6: a decommissioned worker goes on serving whoever knows its address. A file that is written
to it then completes, and no master knows where its block is: it would be lost with the worker. Its block can be read
from the worker all the same, and written to another one under the same id.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from framework.alluxio.answers import Unavailable, WorkerReport, WorkerState
from framework.alluxio.files import AlluxioAway, AlluxioError, BlockReport, Files, FileStatus
from framework.alluxio.masters import Masters
from framework.model import Drain, DrainStep

log = logging.getLogger(__name__)

PAUSE: Final = 1.0  # seconds between two looks; a look that takes long is followed by a longer pause
PATIENCE: Final = 30.0  # a file that was asked to be persisted is asked again after so long
OPEN_FOR: Final = 60.0  # a file that is being written is waited for so long: it may have been given up
TIMEOUT: Final = 60.0  # for the list of all files
REACH: Final = 5.0  # the next look is done in so many seconds, and twice what the last one and its pause took


@dataclasses.dataclass(frozen=True, slots=True)
class Leaving:
    """The masters to ask ("host:port"), and by task id the workers that leave ("host:port" of their RPC)."""

    masters: tuple[str, ...] = ()
    workers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Drainer:
    """``leaving`` is asked before each look, ``report`` gets what was seen whenever it is something new. ``drain``: so
    many seconds after it was decommissioned a worker is killed.
    """

    def __init__(
        self,
        leaving: Callable[[], Leaving],
        report: Callable[[tuple[Drain, ...]], None],
        authentication: str,
        user: str,
        drain: float,
    ) -> None:
        self._leaving = leaving
        self._report = report
        self._drain = drain
        self._authentication = authentication
        self._user = user
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alluxio-drain", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        emptying: Emptying | None = None
        masters: tuple[str, ...] = ()
        last: tuple[Drain, ...] = ()
        pause = PAUSE
        while not self._ends.wait(pause):
            began, pause = time.monotonic(), PAUSE
            leaving = self._leaving()
            wanted = leaving.masters if leaving.workers else ()
            if emptying is not None and masters != wanted:
                emptying.close()
                emptying = None
            found: tuple[Drain, ...] = ()
            if wanted:
                if emptying is None:
                    emptying, masters = self._emptying(wanted), wanted
                now = time.time()
                seen = emptying.look(leaving.workers, now)
                pause = max(PAUSE, 5 * (time.monotonic() - began))
                found = tuple(held_back(drain, now, self._drain, REACH + 2 * pause) for drain in seen)
            if found != last:
                last = found
                self._report(found)
        if emptying is not None:
            emptying.close()

    def _emptying(self, addresses: Sequence[str]) -> Emptying:
        masters = Masters(addresses, authentication=self._authentication, user=self._user, timeout=TIMEOUT)
        return Emptying(masters, Files(masters))


def held_back(drain: Drain, now: float, seconds: float, reach: float) -> Drain:
    """As it is reported: its end is put off to where the next look has been, ``reach`` seconds from ``now``, until a
    look that began after the end has found nothing. Else a slow look would miss what was written at the last.
    """
    if drain.step is not DrainStep.DECOMMISSIONED or now - drain.since >= seconds:
        return drain
    return dataclasses.replace(drain, since=max(drain.since, now + reach - seconds))


class Books(Protocol):
    """What is asked of the masters' client."""

    def workers(self) -> tuple[WorkerReport, ...] | Unavailable: ...

    def decommission(self, host: str, web_port: int) -> Unavailable | None: ...

    def close(self) -> None: ...


class Namespace(Protocol):
    """What is asked of the file client; each may raise AlluxioError."""

    def list(self, path: str, *, recursive: bool = False) -> tuple[FileStatus, ...]: ...

    def persist(self, path: str) -> None: ...

    def read_block(self, file: FileStatus, place: int, worker: str) -> bytes: ...

    def write_block(self, block_id: int, content: bytes, worker: str) -> None: ...

    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Scene:
    """What one look goes by: the workers by their addresses, every file that the under-storage does not have, and the
    addresses of those that leave.
    """

    listed: Mapping[str, WorkerReport]
    unsafe: Sequence[FileStatus]
    leaving: frozenset[str]
    now: float


class Emptying:
    """The connections to one set of masters, which it closes, and what was done so far."""

    def __init__(self, masters: Books, files: Namespace) -> None:
        self._masters = masters
        self._files = files
        self._asked: dict[str, float] = {}  # when a file was asked to be persisted, by path
        self._open_since: dict[str, float] = {}  # when a file was first seen to be written, by path
        self._not_there: set[tuple[str, int]] = set()  # blocks that a worker was asked for and does not have
        self._first: dict[str, frozenset[str]] = {}  # by task id, paths of what only it held when it began to leave
        self._seen: dict[str, Drain] = {}

    def close(self) -> None:
        self._files.close()
        self._masters.close()

    def look(self, workers: Mapping[str, str], now: float) -> tuple[Drain, ...]:
        """One step further with each of them."""
        try:
            found = self._look(workers, now)
        except AlluxioError as error:
            found = [self._again(task, now, error) for task in sorted(workers)]
        self._seen = {drain.task_id: drain for drain in found}
        return tuple(found)

    def _look(self, workers: Mapping[str, str], now: float) -> list[Drain]:
        listed = self._masters.workers()
        if isinstance(listed, Unavailable):
            raise AlluxioError(listed.reason)
        by_address = {worker.address: worker for worker in listed}
        scene = _Scene(by_address, self._unsafe(), frozenset(workers.values()), now)
        self._first = {task: paths for task, paths in self._first.items() if task in workers}
        found = []
        for task, address in sorted(workers.items()):
            try:
                found.append(self._step(task, address, scene))
            except AlluxioError as error:  # one that does not answer holds up no other
                found.append(self._again(task, now, error))
        return found

    def _again(self, task: str, now: float, error: AlluxioError) -> Drain:
        """The step stays as it was: a decommissioned worker is one, whoever answers now. But it drains anew: as long as
        nobody can say what was written to it, it must not be killed.
        """
        before = self._seen.get(task, Drain(task, DrainStep.PERSISTING, now))
        return dataclasses.replace(before, since=now, message=str(error))

    def _unsafe(self) -> list[FileStatus]:
        """Every file that the under-storage does not have. One that Alluxio gave up (LOST) is among them: a worker that
        it does without may have it.
        """
        return [
            file
            for file in self._files.list("/", recursive=True)
            if not file.folder and file.persistence != "PERSISTED"
        ]

    def _step(self, task: str, address: str, scene: _Scene) -> Drain:
        worker = scene.listed.get(address)
        if worker is None:
            return self._drain(task, DrainStep.DECOMMISSIONED, scene.now)  # Alluxio knows nothing that it holds
        if worker.state is WorkerState.LOST:
            return self._drain(task, DrainStep.PERSISTING, scene.now, "Alluxio does not hear of it, and waits for it")
        if worker.state is WorkerState.DECOMMISSIONED:
            return self._decommissioned(task, address, scene)
        only_there = [
            file for file in scene.unsafe if any(_is_only_at(block, address, scene.leaving) for block in file.blocks)
        ]
        closed = [file for file in only_there if file.completed]
        self._persist(closed)
        first = self._first.setdefault(task, frozenset(file.path for file in only_there))
        target = _target(address, scene.listed, scene.leaving)
        # Where nobody stays, there is no second home: then all of it is waited for.
        waited_for = [
            file for file in only_there if (file.path in first or target is None) and file.persistence != "LOST"
        ]
        if unwritten := [file for file in waited_for if file.completed]:
            return self._drain(
                task, DrainStep.PERSISTING, scene.now, f"{_files(unwritten)} written to the under-storage first"
            )
        if written := [file for file in waited_for if self._is_open(file, scene.now)]:
            return self._drain(task, DrainStep.PERSISTING, scene.now, f"{_files(written)} still being written")
        if target is not None:
            # Before it is decommissioned, as nobody finds them between then and their being carried.
            for file in closed:
                for place, block in enumerate(file.blocks):
                    if _is_only_at(block, address, scene.leaving):
                        self._files.write_block(block.id, self._files.read_block(file, place, address), target)
        refusal = self._masters.decommission(worker.host, worker.web_port)
        if refusal is not None:
            return self._drain(task, DrainStep.PERSISTING, scene.now, refusal.reason)
        log.info("%s: decommissioned; %d files that came meanwhile have a second home", task, len(closed))
        return self._decommissioned(task, address, dataclasses.replace(scene, unsafe=self._unsafe()))

    def _decommissioned(self, task: str, address: str, scene: _Scene) -> Drain:
        carried = self._carry(address, scene)
        self._persist(file for file in carried if file.completed)
        if carried:
            log.info("%s: %d files were written to it although it is decommissioned: carried on", task, len(carried))
            self._seen.pop(task, None)  # whoever wrote them may write more: it drains anew
        return self._drain(task, DrainStep.DECOMMISSIONED, scene.now)

    def _drain(self, task: str, step: DrainStep, now: float, message: str = "") -> Drain:
        before = self._seen.get(task)
        since = before.since if before is not None and before.step is step else now
        return Drain(task, step, since, message)

    def _persist(self, files: Iterable[FileStatus]) -> None:
        now = time.monotonic()
        for file in files:
            if file.persistence == "NOT_PERSISTED" and now - self._asked.get(file.path, -PATIENCE) >= PATIENCE:
                self._asked[file.path] = now
                self._files.persist(file.path)

    def _is_open(self, file: FileStatus, now: float) -> bool:
        return now - self._open_since.setdefault(file.path, now) < OPEN_FOR

    def _carry(self, address: str, scene: _Scene) -> list[FileStatus]:
        """Blocks that nobody is known to hold and that this worker has get a second home; the files."""
        target = _target(address, scene.listed, scene.leaving) or _target(address, scene.listed, frozenset())
        if target is None:
            return []
        return [file for file in scene.unsafe if any([*self._carried(file, address, target)])]

    def _carried(self, file: FileStatus, address: str, target: str) -> Iterator[bool]:
        for place, block in enumerate(file.blocks):
            if block.locations or (address, block.id) in self._not_there or not block.length:
                continue
            try:
                content = self._files.read_block(file, place, address)
            except AlluxioAway:
                raise
            except AlluxioError as error:
                log.debug("block %d of %s is not at %s: %s", block.id, file.path, address, error)
                if file.completed:  # else it may be on its way
                    self._not_there.add((address, block.id))
                continue
            self._files.write_block(block.id, content, target)
            yield True


def _is_only_at(block: BlockReport, address: str, leaving: frozenset[str]) -> bool:
    """Whether this worker has it, and nobody who stays."""
    return address in block.locations and leaving.issuperset(block.locations)


def _target(address: str, listed: Mapping[str, WorkerReport], leaving: frozenset[str]) -> str | None:
    """Who takes what this worker holds: of those that stay the one with the most room."""
    staying = [
        worker
        for worker in listed.values()
        if worker.state is WorkerState.LIVE and worker.address != address and worker.address not in leaving
    ]
    return max(staying, key=lambda worker: worker.capacity_bytes - worker.used_bytes).address if staying else None


def _files(files: Sequence[FileStatus]) -> str:
    return f"{files[0].path} is" if len(files) == 1 else f"{len(files)} files, such as {files[0].path}, are"
