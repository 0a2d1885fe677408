"""Agents of localmesos's master that start nothing: a task is said to run a moment after its launch, and to have ended
a moment after its kill.

    python -m load.agents --master HOST:PORT --agents 80

They speak as localmesos's agents do. Only the masters' tasks say that they are ready: what was never ready caches
nothing, and so a worker that is wanted no more may end at once. At SIGTERM one line of JSON tells what was seen: how
many tasks were launched, and each slot that had two of them alive at one moment.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import random
import signal
import time
import uuid
from typing import Any

from localmesos.master_link import MasterLink
from localmesos.resources import Resources

Json = dict[str, Any]
RESOURCES = "cpus:16;mem:65536;disk:65536;ports:[31000-31100]"
LONGEST = 0.3  # seconds that a start or an end takes at most


class Alive:
    """The tasks of all agents that have not ended, by slot."""

    def __init__(self) -> None:
        self.tasks: dict[str, set[str]] = {}
        self.launched = 0
        self.doubled: list[str] = []

    def begin(self, slot: str, task_id: str) -> None:
        tasks = self.tasks.setdefault(slot, set())
        tasks.add(task_id)
        self.launched += 1
        if len(tasks) > 1:
            self.doubled.append(f"{slot}: {', '.join(sorted(tasks))}")

    def end(self, slot: str, task_id: str) -> None:
        self.tasks[slot].discard(task_id)


class Agent:
    def __init__(self, number: int, master: str, alive: Alive) -> None:
        self._address = f"127.2.{number // 250}.{1 + number % 250}"
        self._agent_id = ""
        self._alive = alive
        self._slots: dict[str, str] = {}  # of the tasks that have not ended, by task id
        self._pending: set[asyncio.Task[None]] = set()
        self.link = MasterLink(master, self._registration, self._received, lambda: None, self._heard)

    def _registration(self) -> Json:
        resources = Resources.from_text(RESOURCES).to_json()
        return {
            "agent_id": self._agent_id,
            "info": {"ip": self._address, "port": 5051, "hostname": self._address, "resources": resources},
            "total_resources": resources,
            "frameworks": [],
            "executors": [],
            "tasks": [],
            "operations": [],
        }

    def _received(self, message: Json) -> None:
        match message["type"]:
            case "REGISTERED":
                self._agent_id = message["agent_id"]
            case "PING":
                self.link.send({"type": "PONG"})
            case "RUN_TASK":
                framework, task = message["framework_info"]["id"]["value"], message["task"]
                slot, task_id = task["name"], task["task_id"]["value"]
                self._alive.begin(slot, task_id)
                self._slots[task_id] = slot
                self._soon(self._runs(framework, slot, task_id))
            case "KILL_TASK":
                framework, task_id = message["framework_info"]["id"]["value"], message["task_id"]
                if task_id in self._slots:
                    self._soon(self._ends(framework, task_id))

    def _soon(self, step: Any) -> None:
        pending = asyncio.create_task(step)
        self._pending.add(pending)
        pending.add_done_callback(self._pending.discard)

    async def _runs(self, framework: str, slot: str, task_id: str) -> None:
        await asyncio.sleep(random.uniform(0, LONGEST))
        if task_id in self._slots:
            self._say(framework, task_id, "TASK_RUNNING", healthy=slot.startswith("master-"))

    async def _ends(self, framework: str, task_id: str) -> None:
        await asyncio.sleep(random.uniform(0, LONGEST))
        slot = self._slots.pop(task_id, None)  # a kill that is repeated ends it once
        if slot is not None:
            self._alive.end(slot, task_id)
            self._say(framework, task_id, "TASK_KILLED", healthy=False)
            exited = {"framework_id": framework, "executor_id": task_id, "status": 0}
            self.link.send({"type": "EXECUTOR_EXITED", **exited})

    def _say(self, framework: str, task_id: str, state: str, *, healthy: bool) -> None:
        status = {
            "task_id": {"value": task_id},
            "agent_id": {"value": self._agent_id},
            "executor_id": {"value": task_id},
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "healthy": healthy,
            "timestamp": time.time(),
            "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        }
        self.link.send({"type": "UPDATE", "framework_id": framework, "status": status, "latest_state": state})

    async def _heard(self) -> None: ...


async def run(master: str, count: int) -> Alive:
    ended, alive = asyncio.Event(), Alive()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    agents = [Agent(number, master, alive) for number in range(count)]
    for agent in agents:
        await agent.link.start()
    await ended.wait()
    await asyncio.gather(*(agent.link.stop() for agent in agents))
    return alive


def main() -> None:
    parser = argparse.ArgumentParser(description="Agents that start nothing.")
    parser.add_argument("--master", required=True, metavar="HOST:PORT")
    parser.add_argument("--agents", type=int, required=True, metavar="N")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    alive = asyncio.run(run(options.master, options.agents))
    print(json.dumps({"launched": alive.launched, "doubled": alive.doubled}), flush=True)


if __name__ == "__main__":
    main()
