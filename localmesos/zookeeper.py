"""Master election and detection in ZooKeeper, as Mesos does it: the lowest ephemeral `json.info_<sequence>` leads.

kazoo's only home here. kazoo runs its own threads; what it finds is handed to the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kazoo.client import KazooClient

Json = dict[str, Any]
PREFIX = "json.info_"
SESSION_SECONDS = 10.0


def split(address: str) -> tuple[str, str]:
    """(hosts, path) of `host:port,…/path`, with or without `zk://`; raises ValueError."""
    hosts, slash, path = address.removeprefix("zk://").partition("/")
    if not hosts or not slash or not path:
        raise ValueError(f"ZooKeeper address '{address}': expected host:port/path, for example 127.0.0.1:2181/mesos")
    return hosts, f"/{path.rstrip('/')}"


class Detector:
    """Calls `changed` on the event loop with the leading master's MasterInfo, or None while there is none."""

    def __init__(self, address: str, changed: Callable[[Json | None], None]) -> None:
        self._hosts, self._path = split(address)
        self._changed = changed
        self._client: KazooClient | None = None
        self._last: Json | None = None

    async def start(self) -> None:
        """Raises OSError when ZooKeeper does not answer within its session timeout."""
        from kazoo.client import KazooClient
        from kazoo.handlers.threading import KazooTimeoutError

        self._loop = asyncio.get_running_loop()
        self._client = KazooClient(
            hosts=self._hosts,
            timeout=SESSION_SECONDS,
            connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 1.0},
            command_retry={"max_tries": -1, "delay": 0.1, "max_delay": 1.0},
        )
        try:
            await asyncio.to_thread(self._client.start, 15.0)
        except KazooTimeoutError:
            raise OSError(f"ZooKeeper at {self._hosts} does not answer") from None
        await asyncio.to_thread(self._connected, self._client)

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.stop)
            await asyncio.to_thread(client.close)

    def _connected(self, client: KazooClient) -> None:
        """Runs in a thread of its own."""
        client.ensure_path(self._path)
        client.ChildrenWatch(self._path, self._children_changed)

    def _children_changed(self, children: list[str]) -> None:
        """Runs in kazoo's thread."""
        from kazoo.exceptions import NoNodeError

        leader = None
        for name in sorted(child for child in children if child.startswith(PREFIX)):
            try:
                data, _ = self._client.get(f"{self._path}/{name}")  # type: ignore[union-attr]
            except NoNodeError:
                continue
            leader = json.loads(data)
            break
        self._loop.call_soon_threadsafe(self._tell, leader)

    def _tell(self, leader: Json | None) -> None:
        if self._client is not None and leader != self._last:
            self._last = leader
            self._changed(leader)


class Contender(Detector):
    """A detector that is a candidate, too. A lost session loses the candidacy: `changed` is told None, and the process
    is a new candidate in the next session."""

    def __init__(self, address: str, info: Json, changed: Callable[[Json | None], None]) -> None:
        super().__init__(address, changed)
        self._info = info
        self._session_lost = False

    def _connected(self, client: KazooClient) -> None:
        super()._connected(client)
        self._stand(client)
        client.add_listener(self._session_changed)

    def _stand(self, client: KazooClient) -> None:
        client.create(f"{self._path}/{PREFIX}", json.dumps(self._info).encode(), ephemeral=True, sequence=True)

    def _session_changed(self, state: str) -> None:
        """Runs in kazoo's thread, which must not wait."""
        client = self._client
        if state == "LOST":
            self._session_lost = True
            self._loop.call_soon_threadsafe(self._tell, None)
        elif state == "CONNECTED" and self._session_lost and client is not None:
            self._session_lost = False
            client.handler.spawn(self._stand, client)
