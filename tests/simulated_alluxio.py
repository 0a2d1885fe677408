"""Alluxio's masters as far as their journal goes: who formats one, who may lead, who is a member of the quorum.

It knows what lies in the folders of each agent, which outlive tasks and reboots.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from framework.model import MEMBER_PORTS, CacheReport, CachingWorker, Journal, Kind, Member, TaskState
from simulated_mesos import Task

SESSION: Final = 10.0  # seconds until the claim of a dead primary is over


class SecondJournal(AssertionError):
    """A journal was formatted although there is one already."""


class SimulatedAlluxio:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._folders: set[str] = set()  # formatted, and marked so
        self._served = False  # some master has been ready
        self._begun_at = 0.0
        self.beginning: set[str] = set()  # tasks that were told to begin a quorum, as none is known
        self.quorum: list[Task] = []  # the last task of each member
        self.primary: Task | None = None
        self.claim: Task | None = None  # who leads as ZooKeeper tells it, which it does for a while after its end

    def start(self, task: Task) -> TaskState:
        """What becomes of a master's task whose processes start: STARTING, or FAILED as the executor refuses."""
        if task.kind is not Kind.MASTER:
            return TaskState.STARTING
        folder = self._folder(task)
        if folder not in self._folders:
            if task.record.formatted:
                return TaskState.FAILED  # the record says that a journal is in use, and none is there
            if self._served and self._journal is not Journal.EMBEDDED:
                raise SecondJournal(f"{task.id} formats {folder}, and the journal that is in use is lost")
            self._folders.add(folder)
        return TaskState.STARTING

    def _folder(self, task: Task) -> str:
        return "shared" if self._journal is Journal.SHARED else f"{task.record.slot} on {task.agent.hostname}"

    def serve(self, task: Task) -> bool:
        """Whether a master that has started becomes ready: a new member of a quorum only once the others take it in."""
        if task.kind is not Kind.MASTER:
            return True
        if self._journal is Journal.EMBEDDED and not self._take_in(task):
            return False
        self._served = True
        return True

    def _take_in(self, task: Task) -> bool:
        for place, member in enumerate(self.quorum):
            if address(member) == address(task):
                self.quorum[place] = task
                return True
        if task.id in self.beginning:
            if task.launched_at >= self._begun_at:  # one that was given up is a quorum of its own, until it is killed
                self.quorum, self._begun_at = [task], task.launched_at
            return True
        if self._leader() is None:
            return False
        self.quorum.append(task)
        return True

    def remove(self, member: str, *, job: bool) -> None:
        """The quorum agrees to lose a member, if it can agree at all. Job masters are taken to be the same."""
        if not job and self._leader() is not None:
            self.quorum = [task for task in self.quorum if address(task) != member]

    def mend(self, lost: Collection[str], there: Collection[str]) -> None:
        """An operator takes members out that died after they had been given up and forgotten, and had joined again
        before anybody saw them: where only one other is left, nobody else can. Those at the addresses ``there`` come
        back.
        """
        self.quorum = [task for task in self.quorum if task.alive or task.id not in lost or address(task) in there]

    def _leader(self) -> Task | None:
        """The primary: it stays as long as it lives and most of the quorum agree."""
        members = self.quorum if self._journal is Journal.EMBEDDED else []
        up = [task for task in members if _serves(task)]
        if (members and len(up) <= len(members) // 2) or (
            self.primary is not None and (not _serves(self.primary) or (members and self.primary not in members))
        ):
            self.primary = None
        if self.primary is None and members and len(up) > len(members) // 2:
            self.primary = up[0]
        return self.primary

    def elect(self, candidates: list[Task], now: float) -> None:
        """Without a primary, the first of the masters that are there becomes it, when nobody claims to be it."""
        if self._leader() is not None or self._journal is Journal.EMBEDDED:
            return
        if self.claim is not None and (_serves(self.claim) or now - (self.claim.ended_at or now) >= SESSION):
            self.claim = None
        if self.claim is None:
            self.primary = next((task for task in candidates if _serves(task)), None)
            self.claim = self.primary if self._journal is Journal.SHARED else None

    def move(self, task: Task) -> None:
        """The primary changes although it lives."""
        if _serves(task) and (self._journal is not Journal.EMBEDDED or task in self.quorum):
            self.primary = task
            self.claim = task if self._journal is Journal.SHARED else None

    def report(self, workers: tuple[CachingWorker, ...], now: float) -> CacheReport:
        leader = self._leader()
        if leader is None:
            return CacheReport(None, "no master answers", (), now)
        members = tuple(
            Member(f"{task.record.hostname}:{task.record.ports[port]}", _serves(task), job)
            for job, port in ((False, MEMBER_PORTS[0]), (True, MEMBER_PORTS[1]))
            for task in self.quorum
        )
        return CacheReport(rpc_address(leader), "", workers, now, members)


def rpc_address(task: Task) -> str:
    return f"{task.record.hostname}:{task.record.ports['rpc']}"


def address(task: Task) -> str:
    """Where the other members of the quorum find it."""
    return f"{task.record.hostname}:{task.record.ports[MEMBER_PORTS[0]]}"


def _serves(task: Task) -> bool:
    return task.alive and task.healthy and task.state is TaskState.RUNNING
