"""What happened, as it happens: server-sent events (the HTML standard's ``text/event-stream``), or a list.

A stream ends when its client goes, and when the scheduler ends. Each holds one connection and no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from framework.api.changes import parameters
from framework.chronicle import Chronicle, Entry

HEARTBEAT: Final = 15.0  # seconds of silence after which a comment shows that the stream lives
MOST_STREAMS: Final = 64
RETRY: Final = 2000  # milliseconds after which a client that lost its stream comes back
MEDIA_TYPE: Final = "text/event-stream"


class Events:
    """The route. Lives on the server's event loop alone, so the count of streams needs no lock."""

    def __init__(self, chronicle: Chronicle, heartbeat: float = HEARTBEAT, most: int = MOST_STREAMS) -> None:
        self._chronicle = chronicle
        self._heartbeat = heartbeat
        self._most = most
        self._open = 0

    async def all(self, request: Request) -> Response:
        after = _after(request)
        accept = request.headers.get("accept", "")
        if "application/json" in accept and MEDIA_TYPE not in accept:
            return JSONResponse([_document(entry) for entry in self._chronicle.after(after)])
        # A proxy that gathers an answer before it sends it on would show nothing at all (nginx's header).
        headers = {"X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE, headers=headers)
        if self._open >= self._most:
            raise HTTPException(
                503,
                f"{self._most} streams of events are open, and that is all there may be; ask again later, or ask for "
                "the list with Accept: application/json",
                {"Retry-After": str(int(self._heartbeat) or 1)},
            )
        self._open += 1
        return _Stream(self._stream(after), self._ended, headers)

    def _ended(self) -> None:
        self._open -= 1

    async def _stream(self, after: int) -> AsyncGenerator[str, None]:
        """Each piece is whole lines: an event, or a comment."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended, and its event loop is closed
                loop.call_soon_threadsafe(woken.set)

        forget = self._chronicle.listen(wake)
        try:
            yield f"retry: {RETRY}\n\n"
            while True:
                woken.clear()
                for entry in self._chronicle.after(after):
                    after = entry.number
                    yield f"id: {entry.number}\nevent: {entry.kind}\ndata: {json.dumps(_document(entry))}\n\n"
                if self._chronicle.closed:
                    return
                try:
                    async with asyncio.timeout(self._heartbeat):
                        await woken.wait()
                except TimeoutError:
                    yield ": nothing new\n\n"
        finally:
            forget()


class _Stream(StreamingResponse):
    """Closes what it streams however it ends: Starlette leaves that to the collector of garbage, some time."""

    def __init__(
        self, pieces: AsyncGenerator[str, None], ended: Callable[[], None], headers: Mapping[str, str]
    ) -> None:
        super().__init__(pieces, media_type=MEDIA_TYPE, headers=headers)
        self._pieces = pieces
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
            await self._pieces.aclose()


def _document(entry: Entry) -> dict[str, Any]:
    return dataclasses.asdict(entry)


def _after(request: Request) -> int:
    """Where to go on: a browser says it in Last-Event-ID, and that is newer than what the address says.

    Raises:
        HTTPException: 400, it is no number.
    """
    given = parameters(request, "after")
    for name, text in (("Last-Event-ID", request.headers.get("last-event-id")), ("after", given.get("after"))):
        if text:
            if not (text.isascii() and text.isdecimal() and len(text) < 17):
                raise HTTPException(
                    400, f"{name}: {text!a} is not allowed; write an event's number, below 10000000000000000"
                )
            return int(text)
    return -1
