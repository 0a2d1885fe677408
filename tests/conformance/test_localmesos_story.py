"""The recorded stories of a real Mesos, told by localmesos: the scheduler's, the executors', the operator's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conformance.mesos_processes import Localmesos, until
from conformance.mesos_story import Story
from conformance.mesos_unify import Difference, Variables, unify
from localmesos.master import Master, MasterSettings
from ports import held_port

pytestmark = pytest.mark.timeout(240)

Json = dict[str, Any]
MASTER_IN_TRACE = "127.0.0.1:5150"
AGENTS_IN_TRACE = {
    "127.0.0.12": ("5152", "cpus:2;mem:6000;disk:20000;ports:[21000-22999]", "agent:a2;rack:r1"),
    "127.0.0.11": ("5151", "cpus:2;mem:6000;disk:20000;ports:[19000-20999]", "agent:a1;rack:r1"),
}
SUPPRESSED_SECONDS = 1.5


class Recording:
    """One telling of the whole story: what the executors recorded, what the operator API said at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = folder / "executor"
        self.records.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("trace_executor.py"), folder)
        self.variables = Variables()
        self.operator: dict[str, Any] = {}

    async def tell(self, traces: Path) -> None:
        settings = MasterSettings(
            ip="127.0.0.1",
            port=0,
            work_dir=self.folder / "master",
            agent_ping_timeout_seconds=2.0,  # an agent that is killed is back before three of them are over
            max_agent_ping_timeouts=3,
            offer_interval_seconds=3600.0,  # The story makes the offer rounds, when the recording shows offers.
        )
        self.master = Master(settings)
        await self.master.start()
        self.agents = {ip: self._agent(ip) for ip in AGENTS_IN_TRACE}
        try:
            for count, agent in enumerate(self.agents.values(), 1):
                agent.start()
                await until(lambda count=count: len(self.master.cluster.agents) == count, "the agent's registration")
            await self._play(traces)
            await self._ask_operator()
        finally:
            for agent in self.agents.values():
                if agent.runs:
                    agent.end(signal.SIGUSR1)
            await self.master.stop()

    def _agent(self, ip: str) -> Localmesos:
        port, resources, attributes = AGENTS_IN_TRACE[ip]
        here = str(held_port(ip))
        for trace, value in ((port, here), (f"{ip}:{port}", f"{ip}:{here}")):
            self.variables.bind(trace, value, "agent")
        return Localmesos(
            self.folder / f"{ip}.log",
            "agent",
            *("--master", f"127.0.0.1:{self.master.port}", "--ip", ip, "--port", here),
            *("--work-dir", str(self.folder / ip), "--resources", resources, "--attributes", attributes),
            *("--update-retry-seconds", "1"),
        )

    async def _play(self, traces: Path) -> None:
        known = {
            "5150": str(self.master.port),
            MASTER_IN_TRACE: f"127.0.0.1:{self.master.port}",
            **self._folders(traces),
        }
        for trace, here in known.items():
            self.variables.bind(trace, here, "known")
        actions = {
            "14 executor killed with kill -9": self._kill_executor,
            "agent killed": self._restart_agent,
            "18 the agent dies for longer than its ping timeout": self._kill_agent,
            "RECONCILE": self._start_agent,
            "SUPPRESS": self._see_no_offers,
        }
        url = f"http://127.0.0.1:{self.master.port}/api/v1/scheduler"
        story = Story(url, self.variables, actions, self.master.cluster.allocate)
        try:
            await story.play(traces / "scheduler.jsonl")
        finally:
            self.variables = story.variables

    def _folders(self, traces: Path) -> dict[str, str]:
        """The trace's paths, as its executors saw them, and what they are here."""
        folders = {}
        for executor_id, ip in (("exec-w1.1", "127.0.0.12"), ("exec-w1.3", "127.0.0.11")):
            entries = _read(traces / f"executor.{executor_id}.jsonl")
            environment, subscribed = _of_kind(entries, "environment")[0], _of_kind(entries, "event")[0]["subscribed"]
            uri = subscribed["executor_info"]["command"]["uris"][0]["value"]
            folders[uri.removeprefix("file://")] = str(self.folder / "trace_executor.py")
            folders[environment["TRACE_OUT"]] = str(self.records)
            folders[environment["MESOS_DIRECTORY"].partition("/slaves/")[0]] = str(self.folder / ip)
        return folders

    async def _kill_executor(self, story: Story) -> None:
        lines = (self.records / "executor.exec-w1.1.jsonl").read_text().splitlines()
        pid = next(entry["body"] for entry in map(json.loads, lines) if entry["kind"] == "pid")
        os.kill(pid, signal.SIGKILL)

    async def _kill_agent(self, story: Story) -> None:
        self.agents["127.0.0.11"].end(signal.SIGKILL)

    async def _restart_agent(self, story: Story) -> None:
        await self._kill_agent(story)
        connected = self.master.cluster.agents.values()
        await until(lambda: not all(agent.link for agent in connected), "the master to see the agent's end")
        self.agents["127.0.0.11"].start()

    async def _start_agent(self, story: Story) -> None:
        if not self.agents["127.0.0.11"].runs:
            self.agents["127.0.0.11"].start()

    async def _see_no_offers(self, story: Story) -> None:
        before = len(story.stream.of("OFFERS"))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SUPPRESSED_SECONDS
        while loop.time() < deadline:
            self.master.cluster.allocate()
            await asyncio.sleep(0.1)
        assert len(story.stream.of("OFFERS")) == before, "offers came while suppressed"

    async def _ask_operator(self) -> None:
        url = f"http://127.0.0.1:{self.master.port}"
        async with aiohttp.ClientSession() as session:
            for call in ("GET_HEALTH", "GET_VERSION", "GET_MASTER", "GET_AGENTS", "GET_ROLES", "GET_FRAMEWORKS"):
                async with session.post(f"{url}/api/v1", json={"type": call}) as answer:
                    self.operator[call] = await answer.json()
            async with session.get(f"{url}/version") as answer:
                self.operator["/version"] = await answer.json()


@pytest.fixture(scope="module")
def recording(traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    told = Recording(tmp_path_factory.mktemp("story"))
    asyncio.run(told.tell(traces))
    return told


@pytest.mark.localmesos
def test_the_schedulers_story_is_the_recorded_one(recording: Recording) -> None:
    """Steps 1 to 21; the fixture compares while it plays."""
    assert recording.operator


@pytest.mark.localmesos
@pytest.mark.parametrize("executor_id", ["exec-w1.1", "exec-w1.2", "exec-w1.3", "exec-pair.1"])
def test_an_executors_story_is_the_recorded_one(recording: Recording, traces: Path, executor_id: str) -> None:
    name = f"executor.{executor_id}.jsonl"
    trace, here = (_read(folder / name) for folder in (traces, recording.records))
    variables = recording.variables.copy()
    for kind in ("environment", "sandbox", "subscribe", "event", "call", "exit"):
        expected, got = (_of_kind(entries, kind) for entries in (trace, here))
        unify(expected, got, variables, kind)


def _read(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _of_kind(entries: list[Json], kind: str) -> list[Any]:
    """Sorted by task where two tasks report at once; without refusals during recovery, whose number is chance, and
    without the server's own headers."""
    bodies = [entry["body"] for entry in entries if entry["kind"] == kind]
    if kind == "subscribe":
        bodies = [body for body in bodies if body["status"] != 503]
        for body in bodies:
            body["headers"] = {name: body["headers"][name] for name in ("Transfer-Encoding", "Content-Type")}
    if kind == "event":
        bodies.sort(key=lambda event: (event["type"] != "SUBSCRIBED", _task_of(event)))
    if kind == "call":
        bodies.sort(key=lambda call: _task_of(call["request"]))
    return bodies


def _task_of(message: Json) -> str:
    content = message.get(message["type"].lower(), {})
    for path in (("task",), ("status",), ()):
        found = content
        for name in path:
            found = found.get(name, {})
        if "task_id" in found:
            return str(found["task_id"]["value"])
    return ""


@pytest.mark.localmesos
@pytest.mark.parametrize(
    "call", ["GET_HEALTH", "GET_VERSION", "GET_MASTER", "GET_AGENTS", "GET_ROLES", "GET_FRAMEWORKS", "/version"]
)
def test_the_operator_is_told_the_recorded_answers(recording: Recording, traces: Path, call: str) -> None:
    trace = json.loads((traces / "operator.json").read_text())[call]
    unify(trace, recording.operator[call], recording.variables.copy(), call)


def test_a_difference_is_seen() -> None:
    """The comparison itself: ids are variables, but the same ones throughout; all else is compared."""
    first, second = "b9368157-a6da-4d40-acff-499505940705", "c90cb6e9-10eb-4b3b-b4c3-b0d125b3aace"
    unify([first, second, first], [second, first, second], Variables())
    with pytest.raises(Difference):
        unify([first, first], [first, second], Variables())
    with pytest.raises(Difference):
        unify([first, second], [first, first], Variables())
    with pytest.raises(Difference):
        unify({"state": "TASK_LOST"}, {"state": "TASK_GONE"}, Variables())
    with pytest.raises(Difference):
        unify({"state": "TASK_LOST"}, {"state": "TASK_LOST", "reason": "x"}, Variables())
