"""Who leads among Alluxio's masters, where they elect their primary in ZooKeeper (a UFS journal that several share)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import kazoo.exceptions

from framework.zookeeper.follower import Follower, absolute
from framework.zookeeper.session import describe

log = logging.getLogger(__name__)


class AlluxioLeader(Follower):
    """Follows the primary Alluxio master: the node below ``leader`` (alluxio.zookeeper.leader.path) whose name is the
    primary's "host:port". While a dead primary's session still lasts there may be two; the newest counts, as for
    Alluxio's own clients. Job masters have paths of their own, and may be followed the same way.

    ``changed`` is called on kazoo's thread with "host:port", or None while there is no primary; the new primary serves
    only some time after it has its node.

    ``impostors`` is called, also on kazoo's thread, with those that lead without a seat in ``election``
    (alluxio.zookeeper.election.path). Alluxio 2.9.6 makes them when ZooKeeper comes back after more than a session's
    length: a standby wins with the seat of its old session, which ZooKeeper takes away seconds later; then the next one
    wins too, and both write. An impostor's process must be killed, and comes back as a standby.
    """

    def __init__(
        self,
        hosts: str,
        leader: str,
        changed: Callable[[str | None], None],
        election: str = "",
        impostors: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        self._leader_path = absolute(leader)
        self._election_path = absolute(election) if election else ""
        super().__init__(hosts, "Alluxio's leader", [path for path in (self._leader_path, self._election_path) if path])
        self._changed = changed
        self._impostors = impostors
        self._leader: str | None = None
        self._without_seat: frozenset[str] = frozenset()
        self._looking = threading.Lock()  # the first look is another thread's than those that follow

    def look(self, children: list[str]) -> None:
        """The seats are read between two looks at the leaders: who leads in both, and has none, leads without."""
        with self._looking:
            try:
                before = self._nodes(self._leader_path)
                seats = {session for _, session in self._nodes(self._election_path).values()}
                leaders = self._nodes(self._leader_path)
            except kazoo.exceptions.KazooException as error:
                log.warning("Alluxio's leader at %s cannot be read: %s", self._leader_path, describe(error))
                return  # the connection is lost; kazoo calls again with the next one
            leader = max(leaders, key=lambda address: leaders[address], default=None)
            if leader != self._leader:
                self._leader = leader
                self._changed(leader)
            without_seat = frozenset(
                address
                for address, node in leaders.items()
                if self._election_path and before.get(address) == node and node[1] not in seats
            )
            if without_seat != self._without_seat:
                self._without_seat = without_seat
                self._impostors(without_seat)

    def _nodes(self, path: str) -> dict[str, tuple[int, int]]:
        """The children of ``path``, each with its creation's number and its session's."""
        nodes = {}
        for child in self._client.get_children(path) if path else ():
            status = self._client.exists(f"{path}/{child}")
            if status is not None:
                nodes[child] = (status.czxid, status.ephemeralOwner)
        return nodes
