"""A client that writes and reads files the whole time. It knows every file that was acknowledged, and what is in it."""

from __future__ import annotations

import contextlib
import getpass
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from chaos.timeline import Timeline
from framework.alluxio.answers import Unavailable, WorkerState
from framework.alluxio.files import AlluxioAway, AlluxioError, Files, WriteType
from framework.alluxio.masters import Masters
from integration.local_cluster import wait_until

FOLDER = "/chaos"
SMALL = 32 << 10  # bytes of a file that comes and goes
LARGE = 512 << 10  # bytes of a file that stays
BLOCK = 256 << 10
PAUSE = 0.15  # seconds between two writes
CALL_SECONDS = 2.0  # a client that is told nothing tries again after that
BLOCK_SECONDS = 4.0
READ_PAUSE = 0.5  # seconds between two tries to read what ought to be there
READ_TRIES = 2


@dataclass(frozen=True)
class Written:
    """A file that Alluxio acknowledged. With MUST_CACHE the worker's memory alone holds its bytes."""

    path: str
    size: int
    kind: WriteType
    worker: str
    at: float = field(default=0.0, compare=False)  # monotonic seconds, before the worker took it

    @property
    def content(self) -> bytes:
        """Follows from the path, so that what comes back is compared with what was never stored elsewhere."""
        return random.Random(self.path).randbytes(self.size)


class Session:
    """One client's connections, to the masters as they are known now."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        # The masters run as this user, who therefore owns the root of the namespace.
        self.masters = Masters(self.addresses, user=getpass.getuser(), timeout=CALL_SECONDS)
        self.files = Files(self.masters, timeout=BLOCK_SECONDS)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def workers(self) -> tuple[str, ...]:
        """Those that the primary believes to live."""
        answer = self.masters.workers()
        if isinstance(answer, Unavailable):
            raise AlluxioError(answer.reason)
        return tuple(worker.address for worker in answer if worker.state is WorkerState.LIVE)

    def read(self, file: Written) -> bytes:
        """From a worker that caches it, or from whichever worker has it or can fetch it."""
        try:
            return self.files.read(file.path)
        except AlluxioError as failure:
            for worker in self.workers():
                try:
                    return self.files.read(file.path, worker=worker)
                except AlluxioError:
                    continue
            raise failure

    def close(self) -> None:
        self.files.close()
        self.masters.close()


class Client(threading.Thread):
    """``addresses`` tells where the masters are, as the published endpoints do; it is asked again after each failure.

    A worker that does not take the bytes is passed over for another one, as Alluxio's own client does it: a write has
    failed when no worker takes it.
    """

    def __init__(self, addresses: Callable[[], Sequence[str]]) -> None:
        super().__init__(name="client", daemon=True)
        self.writes = Timeline()
        self.wrong: list[str] = []  # files that came back with other bytes
        self.count = 0  # operations that succeeded
        self._addresses = addresses
        self._lock = threading.Lock()
        self._passing: dict[str, Written] = {}
        self._staying: dict[str, Written] = {}
        self._ended = threading.Event()
        self._random = random.Random(4)
        self._number = 0

    def stop(self) -> None:
        self._ended.set()
        self.join(30)

    def acknowledged(self) -> list[Written]:
        with self._lock:
            return [*self._staying.values(), *self._passing.values()]

    def staying(self) -> list[Written]:
        with self._lock:
            return list(self._staying.values())

    def forget_passing(self) -> None:
        """Those that were verified make room for the next fault's."""
        with self._lock:
            gone, self._passing = list(self._passing), {}
        with self.session() as session:
            for path in gone:
                with contextlib.suppress(AlluxioError):  # it stays and is in nobody's way
                    session.files.delete(path)

    def forget(self, lost: Iterable[Written]) -> None:
        """What is known to be lost is told once."""
        with self._lock:
            for file in lost:
                self._staying.pop(file.path, None)
                self._passing.pop(file.path, None)

    def leave(self, name: str) -> None:
        """Files that stay to the end of the run: in each worker's memory, and in the under-storage too."""
        with self.session() as session:
            for worker in wait_until(session.workers, bool, "a live worker", 60):
                for kind in (WriteType.MUST_CACHE, WriteType.CACHE_THROUGH):
                    file = Written(f"{FOLDER}/{name}/{kind.value}-{worker.replace(':', '-')}", LARGE, kind, worker)
                    try:
                        session.files.write(file.path, file.content, write_type=kind, worker=worker, block_size=BLOCK)
                    except AlluxioAway:
                        break  # one that has moved is listed at its old place until it was silent for long enough
                    with self._lock:
                        self._staying[file.path] = file

    def session(self) -> Session:
        return Session(self._addresses())

    # The thread's own work --------------------------------------------------------------------------------------------

    def run(self) -> None:
        session: Session | None = None
        while not self._ended.wait(PAUSE):
            try:
                session = session or Session(self._addresses())
                self._write(session)
                self.writes.note(True)
                self._read(session)
                self.count += 1
            except AlluxioError as error:
                self.writes.note(False, str(error))
                if session is not None:
                    session.close()
                session = None
        if session is not None:
            session.close()

    def _write(self, session: Session) -> None:
        workers = list(session.workers())
        if not workers:
            raise AlluxioError("the cluster has no live worker")
        self._random.shuffle(workers)
        failure: AlluxioError | None = None
        for worker in workers:
            self._number += 1  # a name that may be half written is not used again
            kind = (WriteType.MUST_CACHE, WriteType.CACHE_THROUGH)[self._number % 2]
            file = Written(f"{FOLDER}/passing/{self._number}", SMALL, kind, worker, time.monotonic())
            try:
                session.files.write(file.path, file.content, write_type=kind, worker=worker)
            except AlluxioError as error:
                failure = error
                continue
            with self._lock:
                self._passing[file.path] = file
            return
        assert failure is not None
        raise failure

    def _read(self, session: Session) -> None:
        """One of the files at random. One that cannot be read now is judged when the fault is over."""
        there = self.acknowledged()
        if not there:
            return  # those that were verified were forgotten at this very moment
        file = self._random.choice(there)
        try:
            if session.files.read(file.path) != file.content:
                self.wrong.append(file.path)
        except AlluxioError:
            pass


def unreadable(session: Session, written: Iterable[Written], patience: float) -> dict[Written, str]:
    """The files that do not come back as they were written, each with the reason; one that does not come back at once
    is asked for again. ``patience`` seconds are waited in all; what is asked for after that still has a second try: an
    answer that is late is no loss.
    """
    lost: dict[Written, str] = {}
    waited = 0.0
    for file in written:
        tries = 0
        while reason := _fault_of(session, file):
            tries += 1
            if waited >= patience and tries >= READ_TRIES:
                lost[file] = reason
                break
            time.sleep(READ_PAUSE)
            waited += READ_PAUSE
    return lost


def _fault_of(session: Session, file: Written) -> str:
    try:
        return "" if session.read(file) == file.content else "other bytes came back"
    except AlluxioError as error:
        return str(error)


@dataclass(frozen=True)
class Cached:
    """The blocks of a file that are cached: how long each is, and which workers hold it."""

    blocks: tuple[tuple[int, frozenset[str]], ...] = ()

    @property
    def size(self) -> int:
        return sum(length for length, _ in self.blocks)

    def only_at(self, workers: frozenset[str]) -> int:
        """Bytes that are gone when these workers' memory is."""
        return sum(length for length, holders in self.blocks if holders <= workers)


def cached(files: Files, written: Iterable[Written]) -> dict[Written, Cached]:
    """Of each file that Alluxio can tell of."""
    found = {}
    for file in written:
        with contextlib.suppress(AlluxioError):
            found[file] = _held(files, file)
    return found


def _held(files: Files, file: Written) -> Cached:
    blocks = files.status(file.path).blocks
    return Cached(tuple((block.length, frozenset(block.locations)) for block in blocks if block.locations))


def may_be_lost(file: Written, before: Cached | None, destroyed: frozenset[str]) -> bool:
    """Whether only memory held it which the fault itself destroyed. A worker may have moved since it took the file, so
    that counts where the blocks lay before the fault; a file that was written during it tells its worker itself.
    """
    if file.kind is not WriteType.MUST_CACHE:
        return False
    return before.only_at(destroyed) > 0 if before is not None else file.worker in destroyed


def taken_too_early(file: Written, restarted: frozenset[str], begin: float, end: float) -> bool:
    """Whether only memory held it, of a worker that was started again from ``begin`` to ``end`` (monotonic) and took it
    meanwhile. Alluxio has a worker free what it took before it had registered (docs/reliability.md).
    """
    return file.kind is WriteType.MUST_CACHE and file.worker in restarted and begin <= file.at <= end
