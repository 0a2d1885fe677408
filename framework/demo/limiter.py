"""A TCP proxy that makes a near S3 server a far one: so many bytes a second for all connections together, so long until
each request arrives. It counts what passes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 64 << 10
# Shorter pauses are not worth the switch: the debt is kept and waited for together.
SHORTEST_PAUSE: Final = 0.002
START_SECONDS: Final = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Counted:
    """What passed so far: requests (a client that speaks after an answer, or first, makes one), bytes from the store
    and bytes to it.
    """

    requests: int = 0
    read: int = 0
    written: int = 0

    def __sub__(self, earlier: Counted) -> Counted:
        return Counted(self.requests - earlier.requests, self.read - earlier.read, self.written - earlier.written)


class Limiter:
    """Listens on a free port of ``host`` while it is entered; a thread of its own serves. ``target`` is the server's
    host and port, ``bandwidth`` in bytes a second for what comes from it, ``latency`` in seconds for each request.
    """

    def __init__(self, host: str, target: tuple[str, int], bandwidth: float, latency: float) -> None:
        self._host = host
        self._target = target
        self._bandwidth = bandwidth
        self._latency = latency
        self._requests = self._read = self._written = 0
        self._free_at = 0.0
        self._connections: set[asyncio.Task[None] | None] = set()  # asyncio itself holds its tasks weakly
        self._listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="limiter", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(START_SECONDS):
            raise OSError(f"the limiter does not listen on {self._host} after {START_SECONDS:g} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def counted(self) -> Counted:
        return Counted(self._requests, self._read, self._written)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accepted, self._host, 0, limit=CHUNK))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _accepted(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection; whoever ends it ends both sides of it."""
        self._connections.add(here := asyncio.current_task())
        halves: list[asyncio.Task[None]] = []
        to_store: asyncio.StreamWriter | None = None
        try:
            from_store, to_store = await asyncio.open_connection(*self._target, limit=CHUNK)
            turn = _Turn()
            halves.append(self._loop.create_task(self._ask(from_client, to_store, turn)))
            halves.append(self._loop.create_task(self._answer(from_store, to_client, turn)))
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass  # the client sees that its connection ends; at the end of the demonstration nobody is left to see
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            for writer in (to_client, to_store):
                if writer is not None:
                    writer.close()
            self._connections.discard(here)

    async def _ask(self, from_client: asyncio.StreamReader, to_store: asyncio.StreamWriter, turn: _Turn) -> None:
        while chunk := await from_client.read(CHUNK):
            if turn.answered:
                turn.answered = False
                self._requests += 1
                await asyncio.sleep(self._latency)
            self._written += len(chunk)
            to_store.write(chunk)
            await to_store.drain()

    async def _answer(self, from_store: asyncio.StreamReader, to_client: asyncio.StreamWriter, turn: _Turn) -> None:
        while chunk := await from_store.read(CHUNK):
            turn.answered = True
            self._read += len(chunk)
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + len(chunk) / self._bandwidth
            if self._free_at - now > SHORTEST_PAUSE:
                await asyncio.sleep(self._free_at - now)
            to_client.write(chunk)
            await to_client.drain()


class _Turn:
    """Whose turn it is on a connection: HTTP/1.1 without pipelining, as every S3 client speaks it."""

    def __init__(self) -> None:
        self.answered = True
