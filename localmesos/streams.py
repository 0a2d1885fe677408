"""An event stream to one client: events are put in, the request's handler writes them out as RecordIO."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from localmesos import recordio


class EventStream:
    """`send` never waits. The stream ends by `close` (what was sent before still goes out) or as the client leaves.

    `heard` is awaited before anything goes out: a fault may hold it back."""

    def __init__(self, heard: Callable[[], Awaitable[None]] | None = None) -> None:
        self._heard = heard
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False

    def send(self, event: Any) -> None:
        if not self.closed:
            self._queue.put_nowait(recordio.encode(event))

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(None)

    async def serve(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        """Answers the request; returns when the stream was closed, is cancelled when the client left."""
        response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            while (record := await self._next()) is not None:
                await response.write(record)
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            self.closed = True
        return response

    async def _next(self) -> bytes | None:
        record = await self._queue.get()
        if self._heard is not None:
            await self._heard()
        return record
