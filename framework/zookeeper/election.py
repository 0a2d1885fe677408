"""Who leads among the schedulers of one service (C6): kazoo's election recipe, and who won it.

A contender's node holds the address of its API, so that the others know where the leader is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import kazoo.exceptions

from framework.messages import Stop
from framework.model import ExitCode
from framework.store import StoreError
from framework.zookeeper.session import TROUBLE, Session, failure
from framework.zookeeper.store import ELECTION, prepare

log = logging.getLogger(__name__)

SEQUENCE: Final = 10  # the digits at the end of a contender's node


class Candidate:
    """One contender. ``elected`` is called with the path of the node that shows the lead, ``ended`` when the lead is
    lost or cannot be contended for, ``changed`` when somebody else leads; each on a thread of its own.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        url: str,
        elected: Callable[[str], None],
        ended: Callable[[Stop], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._service = path
        self._path = f"{path}/{ELECTION}"
        self._election = session.client.Election(self._path, url)
        self._elected = elected
        self._ended = ended
        self._changed = changed
        self._leaves = threading.Event()
        self._leader = ""
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    @property
    def leader(self) -> str:
        """The address of the leader's API as far as is known; "" while nobody leads."""
        return self._leader

    def start(self) -> None:
        """Once the session has begun."""
        self._thread.start()

    def give_back(self, patience: float = 2.0) -> None:
        """Contend no more; a lead is free at once, unless ZooKeeper is away: then it ends with the session."""
        self._leaves.set()
        if self._thread.is_alive():
            self._election.cancel()
            self._thread.join(patience)

    def _run(self) -> None:
        try:
            self._contend()
        except (*TROUBLE, StoreError) as error:
            trouble = failure(self._service, "led", error)
            self._end(trouble.exit_code, str(trouble))
        except Exception as error:
            # No zombie: whatever ends this thread ends the process (C31).
            log.exception("the election ends because of a defect in it")
            self._end(ExitCode.BUG, f"{type(error).__name__}: {error}")

    def _contend(self) -> None:
        prepare(self._session, self._service)
        self._session.client.ChildrenWatch(self._path)(self._look)
        self._election.run(self._lead)
        self._end(ExitCode.LEAD_LOST, "the election ended without being asked to")

    def _end(self, code: ExitCode, reason: str) -> None:
        if not self._leaves.is_set():
            self._ended(Stop(code, reason))

    def _lead(self) -> None:
        """Called by the recipe, which calls it as well when it gave up."""
        lock = self._election.lock
        if not lock.is_acquired or self._leaves.is_set():
            return
        node = f"{self._path}/{lock.node}"
        self._session.client.DataWatch(node)(self._watch)
        self._elected(node)
        self._leaves.wait()

    def _watch(self, data: bytes | None, status: Any, event: Any) -> None:
        if status is None:
            self._end(ExitCode.LEAD_LOST, "the lead was taken away: its node in ZooKeeper is gone")

    def _look(self, children: list[str]) -> None:
        try:
            leader = leader_of(self._session, self._service) or ""
        except StoreError:
            return  # the session is over, or the next connection looks again
        if leader != self._leader:
            self._leader = leader
            self._changed()


def leader_of(session: Session, path: str) -> str | None:
    """The address that the leader of the service at ``path`` gave; None when nobody leads.

    Raises:
        StoreError: ZooKeeper does not tell.
    """
    client, election = session.client, f"{path}/{ELECTION}"
    try:
        for contender in _in_order(session.answer(client.get_children_async(election))):
            data, _ = session.answer(client.get_async(f"{election}/{contender}"))
            return str(data.decode(errors="replace"))
        return None
    except kazoo.exceptions.NoNodeError:
        return None
    except TROUBLE as error:
        raise failure(path, "read", error) from error


@contextlib.contextmanager
def lead_for_a_moment(session: Session, path: str) -> Iterator[str | None]:
    """Take the lead if it is free, so that no scheduler begins meanwhile: the node that shows it, else None.

    Raises:
        StoreError: ZooKeeper refuses.
    """
    lock = session.client.Lock(f"{path}/{ELECTION}", "")
    try:
        is_mine = lock.acquire(blocking=False)
    except TROUBLE as error:
        raise failure(path, "led", error) from error
    try:
        yield f"{path}/{ELECTION}/{lock.node}" if is_mine else None
    finally:
        if is_mine:
            lock.release()


def _in_order(children: Iterable[str]) -> list[str]:
    return sorted((child for child in children if child[-SEQUENCE:].isdecimal()), key=lambda child: child[-SEQUENCE:])
