"""Many agents in one process, with resources of no use: the leading master offers all of them in one event.

    python -m chaos.crowd --master zk://HOST:PORT/PATH --agents 1000

They register as localmesos's agents do, answer pings, and run nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from typing import Any

from localmesos.master_link import MasterLink
from localmesos.resources import Resources
from localmesos.zookeeper import Detector

Json = dict[str, Any]
RESOURCES = "cpus:1;mem:4096;disk:4096;ports:[31000-31001]"  # enough of all but ports


class Member:
    """One agent of the crowd."""

    def __init__(self, number: int, master: str) -> None:
        self._address = f"127.1.{number // 250}.{1 + number % 250}"
        self._agent_id = ""
        self.link = MasterLink(master, self._registration, self._received, lambda: None, self._heard)

    def _registration(self) -> Json:
        resources = Resources.from_text(RESOURCES)
        return {
            "agent_id": self._agent_id,
            "info": {"ip": self._address, "port": 5051, "hostname": self._address, "resources": resources.to_json()},
            "total_resources": resources.to_json(),
            "frameworks": [],
            "executors": [],
            "tasks": [],
            "operations": [],
        }

    def _received(self, message: Json) -> None:
        if message["type"] == "REGISTERED":
            self._agent_id = message["agent_id"]
        elif message["type"] == "PING":
            self.link.send({"type": "PONG"})

    async def leave(self) -> None:
        """With a goodbye, so that its master need not wait for it in vain."""
        self.link.send({"type": "UNREGISTER"})
        await self.link.flush()
        await self.link.stop()

    async def _heard(self) -> None: ...


async def run(master: str, count: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    found: asyncio.Queue[Json] = asyncio.Queue()
    detector = Detector(master, lambda leader: found.put_nowait(leader) if leader else None)
    await detector.start()
    leader = (await found.get())["address"]
    crowd = [Member(number, f"{leader['ip']}:{leader['port']}") for number in range(count)]
    for member in crowd:
        await member.link.start()
    await ended.wait()
    await asyncio.gather(*(member.leave() for member in crowd))
    await detector.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Many agents that only offer.")
    parser.add_argument("--master", required=True, metavar="zk://HOST:PORT/PATH")
    parser.add_argument("--agents", type=int, required=True, metavar="N")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(run(options.master, options.agents))


if __name__ == "__main__":
    main()
