"""What is asked of and done with paths in Alluxio's namespace: what they are, pins, lives, numbers of copies, and what
is cached or written through of them. Every trouble is an AlluxioError of one sentence.

Law: each call says all of its options, as Alluxio's masters read what is left out as 0 and not as nothing; what is
common to all calls is filled in when they are sent (framework.alluxio.methods).
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from framework.alluxio.answers import PASSING, Unavailable, WorkerState
from framework.alluxio.files import AlluxioAway, AlluxioError
from framework.alluxio.load_request import load_request
from framework.alluxio.masters import CurrentMasters, Masters
from framework.alluxio.methods import (
    FREE,
    GET_JOB_PROGRESS,
    GET_MOUNT_TABLE,
    GET_STATUS,
    LIST_STATUS,
    LIST_STATUS_PARTIAL,
    PERSIST,
    SET_ATTRIBUTE,
    STOP_JOB,
    SUBMIT_JOB,
    Method,
    Request,
    Response,
)
from framework.alluxio.stubs import common_pb2 as common
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.alluxio.troubles import Row, meaning, of_the_store
from framework.paths import NO_LIMIT, NO_TTL, Attributes, TtlAction, is_below

Answer = TypeVar("Answer")

TIMEOUT: Final = 20.0  # seconds for one call; a client of the API waits 30 for its answer
PERSIST_SECONDS: Final = 15.0  # files are asked for one by one, for so long in one call
LOAD: Final = "load"
# Seconds between a load and the next one of the same path. Alluxio 2.9.6 puts an ended load away some 0.1 s after it
# says that it has ended; one that was asked for meanwhile is put away with it, and stays "running" for ever.
SETTLED: Final = 0.5


class PathAbsent(AlluxioError):
    """There is no such path, or no such load."""


class Impossible(AlluxioError):
    """However often it is asked for, it cannot be so: something else must be asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class PathStatus:
    """A file or folder. Sizes in bytes, ``ttl`` in seconds or None for ever, ``modified_at`` in seconds since 1970;
    ``replication_max`` None is no limit. ``persistence`` is Alluxio's word, as in FileStatus. A folder's size, copies
    and percentages are none of Alluxio's business: they are 0.
    """

    path: str
    folder: bool
    size: int
    completed: bool
    persistence: str
    in_memory_percent: int
    in_alluxio_percent: int
    pinned: bool
    ttl: float | None
    ttl_action: TtlAction
    replication_min: int
    replication_max: int | None
    mount_point: bool
    under_storage: str
    owner: str
    group: str
    modified_at: float

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class LoadState(enum.StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # it ended, and not all is loaded
    STOPPED = "stopped"


@dataclasses.dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far a load is. ``total`` bytes are what was found so far, None as long as nothing was; ``failures`` are some
    of the files that could not be loaded, each with its reason.
    """

    path: str
    state: LoadState
    files: int = 0
    loaded: int = 0
    total: int | None = None
    failed_files: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class Paths:
    """The namespace of the cluster whose masters are at ``addresses`` ("host:port" each, asked for before each call) as
    ``user`` sees it. Any thread may call; a call takes up to TIMEOUT for each master. Close it when done.
    """

    def __init__(
        self, addresses: Callable[[], Sequence[str]], *, authentication: str = "SIMPLE", user: str = "alluxio"
    ) -> None:
        self._current = CurrentMasters(addresses, authentication=authentication, user=user, timeout=TIMEOUT)

    def close(self) -> None:
        self._current.close()

    # What there is ----------------------------------------------------------------------------------------------------

    def status(self, path: str) -> PathStatus:
        """What is in the under-storage and not in the namespace yet comes into it.

        Raises:
            PathAbsent, AlluxioAway, AlluxioError: as every call.
        """
        try:
            return self._status(path, protocol.ONCE)
        except PathAbsent:
            # What was not there once counts as absent for Alluxio, also when it has come since.
            return self._status(path, protocol.ALWAYS)

    def _status(self, path: str, looks: protocol.LoadMetadataPType) -> PathStatus:
        options = protocol.GetStatusPOptions(loadMetadataType=looks, updateTimestamps=False)
        return _status(self._ask(path, GET_STATUS, protocol.GetStatusPRequest(path=path, options=options)).fileInfo)

    def entries(
        self, path: str, limit: int, after: str = "", *, refresh: bool = False
    ) -> tuple[tuple[PathStatus, ...], bool]:
        """Up to ``limit`` entries of a folder by their names, from the first that comes behind ``after``, and whether
        there are more. ``refresh``: the under-storage is looked at again, also where that was done before.
        """
        options = protocol.ListStatusPOptions(loadMetadataType=protocol.ALWAYS if refresh else protocol.ONCE)
        partial = protocol.ListStatusPartialPOptions(options=options, batchSize=limit, startAfter=after)
        answer = self._ask(path, LIST_STATUS_PARTIAL, protocol.ListStatusPartialPRequest(path=path, options=partial))
        return tuple(map(_status, answer.fileInfos)), answer.isTruncated

    # What is said of it -----------------------------------------------------------------------------------------------

    def set(self, path: str, asked: Attributes) -> PathStatus:
        """Of a folder it is said of all that is in it at this moment; the status thereafter."""
        status = self.status(path)
        self._refuse_what_cannot_be(status, asked)
        if status.folder:
            self._bring_in(path)
        self._say(path, asked, recursive=status.folder)
        return self.status(path)

    def set_one(self, status: PathStatus, asked: Attributes) -> None:
        """As ``set``, of this file or folder and nothing in it."""
        self._refuse_what_cannot_be(status, asked)
        self._say(status.path, asked, recursive=False)

    def _say(self, path: str, asked: Attributes, *, recursive: bool) -> None:
        options = protocol.SetAttributePOptions(recursive=recursive)
        if asked.ttl is not None:
            options.commonOptions.ttl = -1 if asked.ttl == NO_TTL else round(asked.ttl * 1000)
            options.commonOptions.ttlAction = common.DELETE if asked.ttl_action is TtlAction.DELETE else common.FREE
        for name, value in (
            ("pinned", asked.pinned),
            ("replicationMin", asked.replication_min),
            ("replicationMax", asked.replication_max),
        ):
            if value is not None:
                setattr(options, name, value)
        self._ask(path, SET_ATTRIBUTE, protocol.SetAttributePRequest(path=path, options=options))

    def _refuse_what_cannot_be(self, status: PathStatus, asked: Attributes) -> None:
        """Alluxio takes all of this, and something else comes of it than was asked for."""
        if asked.ttl not in (None, NO_TTL) and asked.ttl_action is TtlAction.DELETE:
            for mount, point in self._ask(status.path, GET_MOUNT_TABLE, _MOUNT_TABLE).mountPoints.items():
                if point.readOnly and is_below(status.path, mount):
                    raise Impossible(
                        f"{status.path} is on the mount {mount}, which is read-only: nothing can be deleted there; "
                        "choose the action free"
                    )
        if status.folder:
            return
        least = status.replication_min if asked.replication_min is None else asked.replication_min
        most = status.replication_max if asked.replication_max is None else asked.replication_max
        if most is not None and most != NO_LIMIT and least > most:
            raise Impossible(_TOO_MANY.format(path=status.path, least=least, most=most))

    def _bring_in(self, path: str, *, refresh: bool = False) -> None:
        """What is below a folder in the under-storage comes into the namespace: what is said or done holds of that
        alone. ``refresh``: also what is new where somebody looked before.
        """
        options = protocol.ListStatusPOptions(
            recursive=True,
            loadMetadataType=protocol.ALWAYS if refresh else protocol.ONCE,
            loadMetadataOnly=True,
        )
        request = protocol.ListStatusPRequest(path=path, options=options)
        self._answered(path, self._masters().ask_stream(LIST_STATUS, request))

    # What is done with it ---------------------------------------------------------------------------------------------

    def free(self, path: str, *, forced: bool = False) -> None:
        """What is cached of it goes; what only the cache holds is not freed. ``forced``: also where it is pinned, and
        it is no more then. All of it is looked at first: Alluxio goes through a folder until it comes upon a file that
        it refuses, and has freed half of it by then.
        """
        for status in self.all(path):
            if not status.folder and status.persistence != "PERSISTED":
                raise AlluxioError(_ONLY_CACHED.format(it=status.path))
            if not status.folder and status.pinned and not forced:
                raise AlluxioError(_PINNED.format(it=status.path))
        options = protocol.FreePOptions(recursive=True, forced=forced)
        self._ask(path, FREE, protocol.FreePRequest(path=path, options=options))

    def persist(self, path: str) -> tuple[int, int]:
        """What only the cache holds of it is to be written to the under-storage, which the job service does some time
        later: how many files it was asked for, and for how many there was no time.
        """
        files = [
            file
            for file in self.all(path)
            if not file.folder and file.completed and file.persistence == "NOT_PERSISTED"
        ]
        options = protocol.ScheduleAsyncPersistencePOptions(persistenceWaitTime=0)
        end = time.monotonic() + PERSIST_SECONDS
        for number, file in enumerate(files):
            if time.monotonic() > end:
                return number, len(files) - number
            request = protocol.ScheduleAsyncPersistencePRequest(path=file.path, options=options)
            self._ask(file.path, PERSIST, request)
        return len(files), 0

    def all(self, path: str) -> Iterator[PathStatus]:
        """Itself, and all below it that is in the namespace."""
        status = self.status(path)
        yield status
        if not status.folder:
            return
        options = protocol.ListStatusPOptions(recursive=True, loadMetadataType=protocol.NEVER)
        request = protocol.ListStatusPRequest(path=path, options=options)
        for part in self._answered(path, self._masters().ask_stream(LIST_STATUS, request)):
            yield from map(_status, part.fileInfos)

    # Loads ------------------------------------------------------------------------------------------------------------

    def load(self, path: str, *, verify: bool = False, refresh: bool = True) -> bool:
        """The workers read into the cache what is not there yet. False when a load of it was running already, which
        goes on. A load itself takes only what the namespace knows, so the under-storage is looked at first; ``refresh``
        as for entries.

        Alluxio's limit of the bandwidth is not offered: its workers compare what they read in a minute with what they
        may in a second, after the first gigabyte.
        """
        status = self.status(path)
        masters = self._masters()
        workers = self._answered(path, masters.workers())
        if not any(worker.state is WorkerState.LIVE for worker in workers):
            raise AlluxioAway(f"no worker is live that could load {path}")
        if status.folder:
            self._bring_in(path, refresh=refresh)
        if self._was_loaded(path):
            time.sleep(SETTLED)
        options = protocol.LoadJobPOptions(verify=verify, partialListing=False)
        request = protocol.SubmitJobPRequest(request_body=load_request(path, options))
        return bool(self._ask(path, SUBMIT_JOB, request).jobId)

    def _was_loaded(self, path: str) -> bool:
        """Whether a load of it has ended that the masters may still be putting away."""
        try:
            return self.load_progress(path).state is not LoadState.RUNNING
        except PathAbsent:
            return False

    def load_progress(self, path: str) -> LoadProgress:
        """
        Raises:
            PathAbsent: nobody asked for a load of exactly this path, or long ago.
        """
        try:
            return loading(path, self._report(path, protocol.JSON))
        except _NoJson:
            # Alluxio 2.9.6 fails to write the reason of a load that failed as JSON.
            return failed(path, self._report(path, protocol.TEXT))

    def _report(self, path: str, report_format: protocol.JobProgressReportFormat) -> str:
        request = protocol.GetJobProgressPRequest(
            jobDescription=protocol.JobDescription(type=LOAD, path=path),
            options=protocol.JobProgressPOptions(format=report_format, verbose=True),
        )
        return self._ask(path, GET_JOB_PROGRESS, request).progressReport

    def stop_load(self, path: str) -> bool:
        """What is loaded stays; false when no load of it is running."""
        request = protocol.StopJobPRequest(jobDescription=protocol.JobDescription(type=LOAD, path=path))
        return self._ask(path, STOP_JOB, request).jobStopped

    # How it is asked --------------------------------------------------------------------------------------------------

    def _ask(self, path: str, method: Method[Request, Response], request: Request) -> Response:
        return self._answered(path, self._masters().ask(method, request))

    def _masters(self) -> Masters:
        masters = self._current.now()
        if masters is None:
            raise AlluxioAway("no Alluxio master is there yet")
        return masters

    def _answered(self, path: str, answer: Answer | Unavailable) -> Answer:
        if isinstance(answer, Unavailable):
            raise refused(path, answer)
        return answer


_MOUNT_TABLE: Final = protocol.GetMountTablePRequest(checkUfs=False)
_TOO_MANY: Final = (
    "{path} would have replication_min {least} and replication_max {most}: the least must not be more than the most; "
    "give both"
)
_ONLY_CACHED: Final = "{it} is held by the cache alone, and freeing would lose it; persist it first"
_PINNED: Final = "{it} is pinned; unpin it first, or free it by force"


class _NoJson(AlluxioError):
    """The load failed, and Alluxio cannot say why in JSON."""


# What Alluxio's words mean of a {path}, by what kind of trouble it is. What stands behind none of these is looked for
# among the stores' own words.
_WORDS: Final[tuple[tuple[type[AlluxioError], tuple[Row, ...]], ...]] = (
    (
        PathAbsent,
        (
            (r"JobDescription\{.*\} cannot be found", "nobody has asked for a load of {path}, or it is long over"),
            (
                r'Path "(?P<it>.*)" does not exist',
                "{it} does not exist, neither in Alluxio nor in what is mounted there",
            ),
            (
                r"Component \d+\((?P<it>.*)\) is a file, not a directory",
                "{path} does not exist: {it}, on the way to it, is a file",
            ),
        ),
    ),
    (_NoJson, ((r"Failed to convert LoadProgressReport to JSON", "the load failed"),)),
    (
        AlluxioError,
        (
            (r"Cannot free file (?P<it>.*) which is not persisted", _ONLY_CACHED),
            (r"Cannot free file (?P<it>.*) which is pinned", _PINNED),
        ),
    ),
    (
        Impossible,
        (
            (
                r"min and max replication to be (?P<least>\d+) and (?P<most>\d+)",
                _TOO_MANY.replace("{path}", "a file of {path}"),
            ),
        ),
    ),
    (
        AlluxioAway,
        ((r"Too many jobs running", "as many loads are running as Alluxio takes; ask again when one is done"),),
    ),
)


def refused(path: str, refusal: Unavailable) -> AlluxioError:
    """What Alluxio's refusal means for what was asked of the path."""
    if refusal.kind in PASSING:
        return AlluxioAway(refusal.reason.rstrip("."))
    for kind, rows in _WORDS:
        if meant := meaning(rows, refusal.details, path=path):
            return kind(meant)
    if trouble := of_the_store(refusal.details, path):
        return AlluxioError(trouble)
    return AlluxioError(f"Alluxio refuses this for {path}: {(refusal.details or refusal.reason).rstrip('.')}")


def _status(info: protocol.FileInfo) -> PathStatus:
    return PathStatus(
        path=info.path,
        folder=info.folder,
        size=0 if info.folder else info.length,  # of a folder it is the number of its entries
        completed=info.completed,
        persistence=info.persistenceState,
        in_memory_percent=info.inMemoryPercentage,
        in_alluxio_percent=info.inAlluxioPercentage,
        pinned=info.pinned,
        ttl=info.ttl / 1000 if info.ttl >= 0 else None,
        ttl_action=TtlAction.DELETE if info.ttlAction == common.DELETE else TtlAction.FREE,
        replication_min=info.replicationMin,
        replication_max=info.replicationMax if info.replicationMax > 0 else None,
        mount_point=info.mountPoint,
        under_storage=info.ufsPath,
        owner=info.owner,
        group=info.group,
        modified_at=info.lastModificationTimeMs / 1000,
    )


# Reports of loads: what Alluxio's LoadJob says of itself. ------------------------------------------------------------

_STATES: Final = {"SUCCEEDED": LoadState.DONE, "FAILED": LoadState.FAILED, "STOPPED": LoadState.STOPPED}
MOST_FAILURES: Final = 20


def loading(path: str, report: str) -> LoadProgress:
    """What a report in JSON says. A load with files that failed has not done what it was asked for, whatever Alluxio
    calls it; what did not end yet (it verifies, too) runs.
    """
    said = json.loads(report)
    reasons = said.get("mFailedFilesWithReasons", {})
    failures = sorted((file, of_the_store(reason, path) or _why(reason)) for file, reason in reasons.items())
    state = _STATES.get(said["mJobState"], LoadState.RUNNING)
    failed_files = int(said.get("mFailedFileCount", 0))
    if state is LoadState.DONE and failed_files:
        state = LoadState.FAILED
    return LoadProgress(
        path,
        state,
        files=int(said.get("mProcessedFileCount", 0)),
        loaded=int(said.get("mLoadedByteCount", 0)),
        total=said.get("mTotalByteCount"),
        failed_files=failed_files,
        failures=tuple(failures[:MOST_FAILURES]),
        reason=f"{failures[0][0]}: {failures[0][1]}" if failures else "",
    )


# Why a worker did not load a block, as Alluxio 2.9.6 says it.
_NOT_LOADED: Final[tuple[Row, ...]] = (
    (
        r"Not enough direct memory",
        "a worker has no direct memory left for a block of it: raise worker-direct, and load again",
    ),
    (
        r"Failed to free \d+ bytes space",
        "a worker has no room for a block of it, as what it holds is pinned or in use at this moment: load again, "
        "which goes on where it was; where that does not help, unpin something or raise worker-ram",
    ),
    (
        r"Temp blockId \d+ is not available, because it (?:already exists|is already committed)",
        "a worker was reading a block of it already, for somebody else or as it is pinned: load again, which goes on "
        "where it was",
    ),
    (
        r"time out after waiting for (?P<seconds>\d+)\d{3} MILLISECONDS",
        "the under-storage did not give a whole block in {seconds} s: load again, which goes on where it was",
    ),
)


def _why(reason: str) -> str:
    return meaning(_NOT_LOADED, reason) or re.sub(r"^Status code: \d+, message: ", "", reason)


def failed(path: str, report: str) -> LoadProgress:
    """What a report in words says of a load that failed as a whole."""
    files = re.search(r"Files Processed: (\d+)", report)
    found = re.search(r"Job State: FAILED \([\w.$]+: (.*)\)$", report, re.MULTILINE)
    reason = found[1].rstrip(".") if found else "Alluxio does not say why"
    return LoadProgress(path, LoadState.FAILED, files=int(files[1]) if files else 0, reason=reason)
