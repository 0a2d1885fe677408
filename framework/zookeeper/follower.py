"""What the watches on other people's elections share: a session of their own, and children that are watched over lost
connections and sessions.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Sequence

import kazoo.exceptions
from kazoo.client import KazooState

from framework.zookeeper.session import SESSION_SECONDS, close, describe, new_client

log = logging.getLogger(__name__)


class Follower(abc.ABC):
    """``hosts`` may begin with "user:password@", as in Mesos's own zk:// addresses. ``look`` is called on kazoo's
    thread when the children of one of ``paths`` have changed, and once for each at the beginning. Servers that are away
    are waited for.
    """

    def __init__(self, hosts: str, what: str, paths: Sequence[str]) -> None:
        credentials, _, servers = hosts.rpartition("@")
        self._client = new_client(servers, SESSION_SECONDS, credentials)
        self._what = what
        self._paths = paths
        self._watching = False

    def start(self) -> None:
        self._client.add_listener(self._listen)
        self._client.start_async()

    def stop(self) -> None:
        close(self._client)

    @abc.abstractmethod
    def look(self, children: list[str]) -> None: ...

    def _listen(self, state: str) -> None:
        if state == KazooState.CONNECTED and not self._watching:
            self._watching = True  # kazoo sets the watch again by itself after a lost connection or session
            self._client.handler.spawn(self._watch)

    def _watch(self) -> None:
        try:
            for path in self._paths:
                self._client.ensure_path(path)
                self._client.ChildrenWatch(path)(self.look)
        except kazoo.exceptions.KazooException as error:
            self._watching = False  # the next connection is another chance
            log.warning("%s at %s cannot be watched: %s", self._what, self._paths[0], describe(error))


def absolute(path: str) -> str:
    return "/" + path.strip("/")
