"""The watch on Mesos's leading master, where Mesos's masters are elected through ZooKeeper."""

from __future__ import annotations

import logging
from collections.abc import Callable

import kazoo.exceptions

from framework import wire
from framework.zookeeper.follower import Follower, absolute
from framework.zookeeper.session import describe

log = logging.getLogger(__name__)


class MesosMasters(Follower):
    """Follows the leading Mesos master: the lowest ``json.info_…`` node below ``path`` (MasterInfo as JSON). Stands in
    for pymesos's own detector, which drops credentials and raises when ZooKeeper is away at the start (P17).

    ``changed`` is called on kazoo's thread with "host:port", or None while there is no leader.
    """

    def __init__(self, hosts: str, path: str, changed: Callable[[str | None], None]) -> None:
        self._path = absolute(path)
        super().__init__(hosts, "the Mesos masters' election", [self._path])
        self._changed = changed
        self._leader: str | None = None

    def look(self, children: list[str]) -> None:
        candidates = sorted(child for child in children if child.startswith("json.info_"))
        leader = self._address(candidates[0]) if candidates else None
        if leader != self._leader:
            self._leader = leader
            self._changed(leader)

    def _address(self, node: str) -> str | None:
        try:
            data, _ = self._client.get(f"{self._path}/{node}")
            return wire.master_address(data)
        except (kazoo.exceptions.KazooException, wire.WireError) as error:
            log.warning("the leading Mesos master's node %s cannot be read: %s", node, describe(error))
            return None
