"""The agent's link to the leading master: finds it, registers, reads its messages, sends the agent's, begins anew.

A broken link and a silent one are the same to it. The protocol is described in `agent_api`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urljoin

import aiohttp

from localmesos.agent_api import LINK_HEADER, PATH
from localmesos.recordio import Decoder
from localmesos.zookeeper import Detector

Json = dict[str, Any]
log = logging.getLogger("agent")

CONNECT_SECONDS = 5.0
SEND_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 1.0


class MasterLink:
    """`registration` gives the first message anew for each attempt; `received` takes each of the master's; `lost` is
    called when a registered link has ended; `heard` returns when packets from and to the master arrive."""

    def __init__(
        self,
        master: str,
        registration: Callable[[], Json],
        received: Callable[[Json], None],
        lost: Callable[[], None],
        heard: Callable[[], Awaitable[None]],
    ) -> None:
        self._master = master
        self._registration = registration
        self._received = received
        self._lost = lost
        self._heard = heard
        self._outbox: asyncio.Queue[Json] | None = None
        self._running: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._detector: Detector | None = None
        self._leader: str | None = None
        self._leader_known = asyncio.Event()
        self._said = ""

    async def start(self) -> None:
        """Raises OSError when ZooKeeper does not answer."""
        if self._master.startswith("zk://"):
            self._detector = Detector(self._master, self._leader_changed)
            await self._detector.start()
        else:
            self._leader = self._master.removeprefix("http://").rstrip("/")
            self._leader_known.set()
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._detector is not None:
            await self._detector.stop()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def send(self, message: Json) -> None:
        """Dropped when there is no master: the next registration tells it all."""
        if self._outbox is not None:
            self._outbox.put_nowait(message)

    async def flush(self) -> None:
        """Returns when all that was sent has left, or could not."""
        if self._outbox is not None:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._outbox.join()
            except TimeoutError:
                log.warning("The master did not take the last messages in time.")

    def _leader_changed(self, info: Json | None) -> None:
        self._leader = f"{info['address']['ip']}:{info['address']['port']}" if info else None
        log.info("The leading master is %s.", self._leader or "not known")
        if info:
            self._leader_known.set()
        else:
            self._leader_known.clear()
        if self._attempt is not None:
            self._attempt.cancel()

    async def _run(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            await self._leader_known.wait()
            registered = asyncio.Event()
            self._attempt = asyncio.create_task(self._register(registered))
            try:
                await asyncio.wait([self._attempt])
            except asyncio.CancelledError:
                self._attempt.cancel()
                await asyncio.gather(self._attempt, return_exceptions=True)
                raise
            if not self._attempt.cancelled():
                self._tell(self._attempt.exception())
            backoff = FIRST_BACKOFF_SECONDS if registered.is_set() else min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))

    def _tell(self, error: BaseException | None) -> None:
        if isinstance(error, (OSError, aiohttp.ClientError, TimeoutError, ValueError)) or error is None:
            silent = "it is silent" if isinstance(error, TimeoutError) else "it ended the link"
            self._say(f"No link to the master at {self._leader}: {str(error or '') or silent}.")
        else:
            log.error("A defect in the link to the master; it begins anew.", exc_info=error)

    def _say(self, sentence: str) -> None:
        """Once, not at every attempt."""
        if sentence != self._said:
            log.info("%s", sentence)
            self._said = sentence

    async def _register(self, registered: asyncio.Event) -> None:
        # Each limit is a timeout() and no wait_for(): before Python 3.12 that loses a cancellation that comes in the
        # moment in which what it waits for is there, and a link that is told to stop went on.
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._heard()
        # No limit between two reads: the master may have nothing to say until its next ping.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        url = f"http://{self._leader}{PATH}"
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=2**20) as session:
            async with asyncio.timeout(SEND_SECONDS):
                answering = await session.post(url, json=self._registration())
            async with answering as answer:
                answer.raise_for_status()
                address = urljoin(str(answer.url), PATH)
                try:
                    await self._talk(session, answer, address, registered)
                except TimeoutError as error:
                    self._tell(error)
                    await self._heard()  # The master does not hear that the connection is closed.
                    raise

    async def _talk(
        self, session: aiohttp.ClientSession, answer: aiohttp.ClientResponse, address: str, registered: asyncio.Event
    ) -> None:
        decoder, silence, sender = Decoder(), SEND_SECONDS, None
        try:
            while chunk := await self._read(answer, silence):
                for message in decoder.feed(chunk):
                    if message["type"] == "REGISTERED":
                        silence = message["silence_seconds"]
                        registered.set()
                        self._said = ""
                        sender = self._open_outbox(session, answer, f"{address}/{message['agent_id']}")
                    self._received(message)
                if sender is not None and sender.done():
                    sender.result()
        finally:
            self._outbox = None
            if sender is not None:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
            if registered.is_set():
                self._lost()

    async def _read(self, answer: aiohttp.ClientResponse, seconds: float) -> bytes:
        async with asyncio.timeout(seconds):
            chunk = await answer.content.readany()
            await self._heard()
            return chunk

    def _open_outbox(
        self, session: aiohttp.ClientSession, answer: aiohttp.ClientResponse, address: str
    ) -> asyncio.Task[None]:
        self._outbox = asyncio.Queue()
        sending = self._send_all(self._outbox, session, address, answer.headers[LINK_HEADER])
        sender = asyncio.create_task(sending)
        sender.add_done_callback(lambda ended: None if ended.cancelled() else answer.close())
        return sender

    async def _send_all(
        self, outbox: asyncio.Queue[Json], session: aiohttp.ClientSession, address: str, link_id: str
    ) -> None:
        timeout = aiohttp.ClientTimeout(total=SEND_SECONDS)
        while True:
            messages = [await outbox.get()]
            while not outbox.empty():
                messages.append(outbox.get_nowait())
            await self._heard()
            async with session.post(address, json=messages, headers={LINK_HEADER: link_id}, timeout=timeout) as answer:
                answer.raise_for_status()
            for _ in messages:
                outbox.task_done()
