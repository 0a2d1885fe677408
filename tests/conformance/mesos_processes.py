"""localmesos as the tests run it: as processes that can be killed, and a scheduler's view of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from localmesos.recordio import Decoder
from ports import held_port

Json = dict[str, Any]
DEADLINE_SECONDS = 60.0
# After 2.5 s of silence an agent is given up: soon, and not because the machine stood still for a moment.
FAST_PINGS = ("--agent-ping-timeout-seconds", "0.5", "--max-agent-ping-timeouts", "5")


async def until(condition: Callable[[], Any], what: str, each: Callable[[], None] = lambda: None) -> Any:
    """The first true value of the condition; fails when it does not come in time. `each` is done at every try."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        each()
        await asyncio.sleep(0.02)
    return value


async def answers(url: str) -> None:
    """Returns when a server is there."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            assert time.monotonic() < deadline, f"waited in vain for {url}"
            await asyncio.sleep(0.02)


class Localmesos:
    """One `python -m localmesos …` process; its log is `<log>`."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.url = ""
        self.arguments = arguments
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = Path(__file__).parents[2]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "localmesos", *self.arguments],
                cwd=folder,
                env={**os.environ, "PATH": path},
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def end(self, number: int = signal.SIGKILL) -> int:
        """The exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Stream:
    """One scheduler's subscription: its events as they came."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        self.headers = dict(answer.headers)
        self.stream_id = answer.headers.get("Mesos-Stream-Id", "")
        self.events: list[Json] = []
        self.closed = False
        self._answer = answer
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        decoder = Decoder()
        try:
            async for chunk in self._answer.content.iter_any():
                self.events += decoder.feed(chunk)
        except aiohttp.ClientError:
            pass
        self.closed = True

    async def close(self) -> None:
        self._answer.close()
        await asyncio.gather(self._reading, return_exceptions=True)

    def of(self, kind: str) -> list[Json]:
        return [event.get(kind.lower(), {}) for event in self.events if event["type"] == kind]

    def statuses(self, task_id: str) -> list[Json]:
        updates = [update["status"] for update in self.of("UPDATE")]
        return [status for status in updates if status["task_id"]["value"] == task_id]

    def states(self, task_id: str) -> list[str]:
        """The states of a task as they came, one repeated update counted once."""
        seen: list[str] = []
        result = []
        for status in self.statuses(task_id):
            if status.get("uuid") not in seen or "uuid" not in status:
                seen.append(status.get("uuid", ""))
                result.append(str(status["state"]))
        return result


CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE", "RESERVATION_REFINEMENT")


class Scheduler:
    """A scheduler over the v1 API: subscribes, calls, acknowledges every update unless told not to."""

    def __init__(self, session: aiohttp.ClientSession, address: str, **framework_info: Any) -> None:
        self.info: Json = {
            "user": "nobody",
            "name": "test",
            "roles": ["test-role"],
            "checkpoint": True,
            "failover_timeout": 3600.0,
            "capabilities": [{"type": name} for name in CAPABILITIES],
            **framework_info,
        }
        self.acknowledges = True
        self.stream: Any = None
        """The Stream of the last subscription."""
        self._session = session
        self._url = f"http://{address}/api/v1/scheduler"
        self._acknowledging: asyncio.Task[None] | None = None

    async def subscribe(self) -> None:
        """Also again, with the id it got."""
        call: Json = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info}}
        if "id" in self.info:
            call["framework_id"] = self.info["id"]
        if self.stream is not None:
            await self.stream.close()
        self.stream = Stream(await self._session.post(self._url, json=call))
        assert self.stream.status == 200
        subscribed = await until(lambda: self.stream.of("SUBSCRIBED") or self.stream.of("ERROR"), "SUBSCRIBED")
        if self.stream.of("SUBSCRIBED"):
            self.info["id"] = subscribed[0]["framework_id"]
        if self._acknowledging is not None:
            self._acknowledging.cancel()
        self._acknowledging = asyncio.create_task(self._acknowledge())

    @property
    def framework_id(self) -> str:
        return str(self.info["id"]["value"])

    async def call(self, kind: str, content: Json | None = None) -> None:
        call: Json = {"type": kind, "framework_id": self.info["id"]}
        if content is not None:
            call[kind.lower()] = content
        headers = {"Mesos-Stream-Id": self.stream.stream_id}
        async with self._session.post(self._url, json=call, headers=headers) as answer:
            assert answer.status == 202, await answer.text()

    async def _acknowledge(self) -> None:
        done = 0
        while True:
            await asyncio.sleep(0.01)
            for update in self.stream.of("UPDATE")[done:]:
                done += 1
                status = update["status"]
                if "uuid" in status and self.acknowledges:
                    await self.call("ACKNOWLEDGE", {name: status[name] for name in ("agent_id", "task_id", "uuid")})

    async def close(self) -> None:
        if self._acknowledging is not None:
            self._acknowledging.cancel()
        await self.stream.close()

    async def offer(self, *, cpus: float = 0.0) -> Json:
        """The newest offer with at least so many CPUs."""

        def large_enough() -> list[Json]:
            offers = [offer for event in self.stream.of("OFFERS") for offer in event["offers"]]
            return [offer for offer in offers if _scalar(offer["resources"], "cpus") >= cpus]

        found: list[Json] = await until(large_enough, f"an offer of {cpus} CPUs")
        return found[-1]

    async def launch(self, task_id: str, **more: Any) -> Json:
        """One task with 0.1 CPU and 32 MB, on the newest offer; `more`: `command` or `executor`. Gives the offer."""
        offer = await self.offer()
        await self.call(
            "ACCEPT",
            {
                "offer_ids": [offer["id"]],
                "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task(task_id, offer, **more)]}}],
                "filters": {"refuse_seconds": 0},
            },
        )
        return offer

    async def state(self, task_id: str, state: str) -> Json:
        """The first status of the task with this state."""

        def found() -> list[Json]:
            return [status for status in self.stream.statuses(task_id) if status["state"] == state]

        statuses: list[Json] = await until(found, f"{task_id} to be {state}, got {self.stream.states(task_id)}")
        return statuses[0]

    async def reconcile(self, task_id: str, agent_id: str | None = None) -> Json:
        """The answer to an explicit reconciliation of one task."""
        before = len(self.stream.statuses(task_id))
        asked: Json = {"task_id": {"value": task_id}}
        if agent_id is not None:
            asked["agent_id"] = {"value": agent_id}
        await self.call("RECONCILE", {"tasks": [asked]})
        await until(lambda: len(self.stream.statuses(task_id)) > before, "the answer to a reconciliation")
        return self.stream.statuses(task_id)[before]


def _scalar(resources: list[Json], name: str) -> float:
    return sum(float(part["scalar"]["value"]) for part in resources if part["name"] == name)


def scalar(name: str, value: float, **more: Any) -> Json:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


def task(task_id: str, offer: Json, **more: Any) -> Json:
    return {
        "name": task_id,
        "task_id": {"value": task_id},
        "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", 0.1), scalar("mem", 32)],
        **more,
    }


def shell(value: str) -> Json:
    return {"shell": True, "value": value}


def _sleeps(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"sleep\0")
    return False


class Machine:
    """A master and agents as processes in one folder. As a context manager it leaves no process behind."""

    def __init__(self, folder: Path, *master_options: str) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{held_port()}"
        self.master = Localmesos(
            folder / "master.log",
            *("master", "--port", self.address.partition(":")[2], "--work-dir", str(folder / "master")),
            *("--offer-interval", "0.1", *master_options),
        )
        self.agents: list[Localmesos] = []

    async def __aenter__(self) -> Machine:
        self.master.start()
        await answers(f"http://{self.address}/health")
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in [*self.agents, self.master]:
            if process.runs:
                process.end(signal.SIGKILL)
        await until(lambda: not self.processes(), "the end of all executors", each=lambda: self.signal(signal.SIGKILL))

    def signal(self, number: int) -> None:
        """To all that live in a sandbox; with one of them others may be gone already."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def processes(self) -> list[int]:
        """What lives in any sandbox of this machine."""
        marker = f"MESOS_DIRECTORY={self.folder}/".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if marker in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found

    async def settled(self) -> list[int]:
        """The same once a task's `sleep` is among it: its state is told before its shell has become that."""

        def with_sleep() -> list[int]:
            found = self.processes()
            return found if any(map(_sleeps, found)) else []

        found: list[int] = await until(with_sleep, "the task's process")
        return found

    async def add_agent(self, *options: str, master: str = "") -> Localmesos:
        """127.0.0.11, .12, …; returns when it answers."""
        ip = f"127.0.0.{11 + len(self.agents)}"
        port = str(held_port(ip))
        agent = Localmesos(
            self.folder / f"{ip}.log",
            *("agent", "--master", master or self.address, "--ip", ip, "--port", port),
            *("--work-dir", str(self.folder / ip), "--update-retry-seconds", "0.5"),
            # As long as it takes: who has come back is not waited for.
            *("--executor-reregistration-timeout", "30"),
            *("--resources", "cpus:2;mem:1024;disk:1000;ports:[31000-31100]", *options),
        )
        agent.url = f"http://{ip}:{port}"
        self.agents.append(agent)
        agent.start()
        await answers(f"{agent.url}/health")
        return agent


def play(
    folder: Path,
    story: Callable[[Machine, Scheduler], Awaitable[None]],
    *master_options: str,
    agent_options: Sequence[str] = (),
) -> None:
    """Runs the story with a machine of a master and one agent, and a subscribed scheduler."""

    async def run() -> None:
        async with Machine(folder, *master_options) as machine, aiohttp.ClientSession() as session:
            await machine.add_agent(*agent_options)
            scheduler = Scheduler(session, machine.address)
            await scheduler.subscribe()
            try:
                await story(machine, scheduler)
            finally:
                await scheduler.close()

    asyncio.run(run())
