"""Many clients that ask for another number of workers, all at once and at random, each from an address of its own.

Some name the version that they saw last (If-Match), some only ask what would happen, and a few ask without any pause,
which the limit of requests is for.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from typing import Any

import aiohttp

PAUSE = 0.5  # seconds between two requests of a client, in the middle
GREEDY = 20  # each of so many clients makes no pause


@dataclasses.dataclass(frozen=True)
class Answer:
    """``kind`` is "GET", "PUT", "PUT If-Match" or "PUT dry_run"; ``count`` is what was asked for, and ``expected`` the
    last version that the client had seen.
    """

    kind: str
    status: int
    seconds: float
    document: dict[str, Any]
    count: int | str
    expected: int


class Client:
    def __init__(self, index: int, url: str, most: int) -> None:
        self._address = f"127.3.{index // 250}.{1 + index % 250}"
        self._workers = f"{url}/v1/workers"
        self._most = most
        self._pause = 0.0 if index % GREEDY == 0 else PAUSE
        self._seen = 0
        self.answers: list[Answer] = []

    async def run(self, until: float) -> None:
        connector = aiohttp.TCPConnector(local_addr=(self._address, 0), limit=1)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.sleep(random.uniform(0, PAUSE))
            while time.monotonic() < until:
                await self._ask(session)
                await asyncio.sleep(random.uniform(0, 2 * self._pause))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        count = random.choice([*range(self._most + 1), "all"])
        match random.choices(("GET", "PUT", "PUT If-Match", "PUT dry_run"), (4, 3, 3, 1))[0]:
            case "GET" as kind:
                await self._send(session, kind, "GET", 0)
            case "PUT If-Match" as kind:
                await self._send(session, kind, "PUT", count, headers={"If-Match": f'"{self._seen}"'})
            case "PUT dry_run" as kind:
                await self._send(session, kind, "PUT", count, params={"dry_run": "true"})
            case kind:
                await self._send(session, kind, "PUT", count)

    async def _send(
        self, session: aiohttp.ClientSession, kind: str, method: str, count: int | str, **more: Any
    ) -> None:
        began, expected = time.monotonic(), self._seen
        body = {"json": {"count": count}} if method == "PUT" else {}
        async with session.request(method, self._workers, **body, **more) as answer:
            document = await answer.json(content_type=None)
            if tag := answer.headers.get("ETag"):
                self._seen = int(tag.strip('"'))
            seconds = time.monotonic() - began
            self.answers.append(Answer(kind, answer.status, seconds, document, count, expected))


async def ask(url: str, clients: int, most: int, seconds: float) -> list[Answer]:
    """All answers that ``clients`` got in this time, with counts from 0 to ``most``, or "all"."""
    until = time.monotonic() + seconds
    crowd = [Client(index, url, most) for index in range(clients)]
    await asyncio.gather(*(client.run(until) for client in crowd))
    return [answer for client in crowd for answer in client.answers]
