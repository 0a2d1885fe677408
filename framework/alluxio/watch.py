"""Asks Alluxio's masters again and again, on a thread of its own, and hands what they say to the loop as a frozen
report.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from framework.alluxio import mounts
from framework.alluxio.answers import WorkerReport, WorkerState
from framework.alluxio.masters import Masters, Unavailable
from framework.model import CacheReport, CachingWorker, Member

log = logging.getLogger(__name__)

# While there is no primary, and just after somebody said that there is another one, the next question waits no longer
# than this: the node of a new primary is there some 0.6 s before it serves.
IMPATIENCE = 0.2
EXCITEMENT = 5.0
# What did not change is said again after so long: some decisions wait until somebody has looked.
KEEP_FRESH = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """Whom to ask, "host:port" each: the masters, and the job masters where they keep their journal by Raft and so have
    a quorum to be asked for.
    """

    masters: tuple[str, ...] = ()
    quorum_of_job_masters: tuple[str, ...] = ()


class Watch:
    """``addresses`` are asked for before each question, as masters come and go; ``pause`` tells how many seconds
    lie between two questions. ``wake`` has the next one asked at once. A report bears the moment of the ``clock``, in
    seconds since 1970.
    """

    def __init__(
        self,
        addresses: Callable[[], Addresses],
        pause: Callable[[], float],
        report: Callable[[CacheReport], None],
        authentication: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._addresses = addresses
        self._pause = pause
        self._report = report
        self._authentication = authentication
        self._due = threading.Event()
        self._removals: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._stopped = False
        self._excited_until = 0.0
        self._thread = threading.Thread(target=self._run, name="alluxio-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something is known to have changed; any thread may say so."""
        self._excited_until = time.monotonic() + EXCITEMENT
        self._due.set()

    def remove(self, address: str, *, job: bool) -> None:
        """Take this member out of the masters' quorum, or of the job masters'; any thread may ask for it, and the next
        report shows what came of it.
        """
        self._removals.put((address, job))
        self.wake()

    def stop(self) -> None:
        self._stopped = True
        self._due.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        asking: _Asking | None = None
        last, said_at = CacheReport(), 0.0
        while self._wait(leaderless=asking is not None and last.primary is None):
            addresses = self._addresses()
            if not addresses.masters:
                continue
            if asking is None or addresses != asking.addresses:
                if asking is not None:
                    asking.close()
                asking = _Asking(addresses, self._authentication)
            while not self._removals.empty():
                asking.remove(*self._removals.get())
            asked_at = self._clock()
            report = asking.ask()
            if report != last or asked_at - said_at >= KEEP_FRESH:
                last, said_at = report, asked_at
                self._report(dataclasses.replace(report, at=asked_at))
        if asking is not None:
            asking.close()

    def _wait(self, leaderless: bool) -> bool:
        """Until the next question is due; false when there will be none."""
        impatient = leaderless or time.monotonic() < self._excited_until
        self._due.wait(min(self._pause(), IMPATIENCE) if impatient else self._pause())
        self._due.clear()
        return not self._stopped


class _Asking:
    """The connections to one set of masters."""

    def __init__(self, addresses: Addresses, authentication: str) -> None:
        self.addresses = addresses
        self._masters = Masters(addresses.masters, authentication=authentication)
        jobs = addresses.quorum_of_job_masters
        self._jobs = Masters(jobs, authentication=authentication) if jobs else None

    def close(self) -> None:
        for masters in filter(None, (self._masters, self._jobs)):
            masters.close()

    def remove(self, address: str, job: bool) -> None:
        masters = self._jobs if job else self._masters
        refusal = masters.remove_member(address) if masters is not None else None
        if refusal is not None:
            log.warning("%s could not be removed from the quorum: %s", address, refusal.reason)

    def ask(self) -> CacheReport:
        """The moment of the answer is no part of what is compared: a report is news only when it says something new."""
        info = self._masters.info()
        roles = tuple((master.address, master.role.value) for master in self._masters.roles())
        if isinstance(info, Unavailable):
            return CacheReport(None, info.reason, masters=roles)
        workers = self._masters.workers()
        if isinstance(workers, Unavailable):
            return CacheReport(None, workers.reason, masters=roles)
        listed = (
            CachingWorker(
                worker.host,
                worker.rpc_port,
                worker.capacity_bytes,
                worker.used_bytes,
                worker.state == "live",
                _tiers(worker),
                worker.state is WorkerState.DECOMMISSIONED,
            )
            for worker in workers
        )
        return CacheReport(
            info.primary,
            "",
            tuple(sorted(listed, key=lambda worker: (worker.host, worker.rpc_port))),
            members=tuple(self._members()),
            masters=roles,
            mounts=mounts.table(self._masters),
        )

    def _members(self) -> Iterator[Member]:
        """Both quorums; one that does not answer now is left out, as nothing can be changed in it."""
        if self._jobs is None:
            return
        for masters, job in ((self._masters, False), (self._jobs, True)):
            quorum = masters.quorum()
            if not isinstance(quorum, Unavailable):
                yield from (Member(member.address, member.available, job) for member in quorum)


_FASTEST_FIRST: Final = ("MEM", "SSD", "HDD")


def _tiers(worker: WorkerReport) -> tuple[tuple[str, int, int], ...]:
    used = dict(worker.used_on_tiers)
    found = [(name, capacity, used.get(name, 0)) for name, capacity in worker.capacity_on_tiers]
    return tuple(sorted(found, key=lambda tier: _FASTEST_FIRST.index(tier[0]) if tier[0] in _FASTEST_FIRST else 9))
