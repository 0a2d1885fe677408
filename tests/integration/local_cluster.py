"""A real local cluster under test: its commands, its processes and ports, and questions that are asked until the answer
is right.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

from framework.alluxio.files import AlluxioError, Files
from framework.alluxio.masters import Masters
from framework.local.plan import Plan
from framework.local.processes import Ledger, Started
from ports import row_of_ports

Json = dict[str, Any]
Seen = TypeVar("Seen")

DEADLINE_SECONDS = 120.0
UP_SECONDS = 420.0  # more than `local up` itself gives a cluster: its own words say more of a failure
SERVICE_PORTS = 4  # API, Mesos master, ZooKeeper, agents
AGENT_PORTS = 40  # for each agent's tasks; all agents have the same
ADDRESSES = ("127.0.0.1", "127.0.0.11", "127.0.0.12", "127.0.0.13")
PARTS = {"zookeeper", "mesos-master", "agent-127.0.0.11", "agent-127.0.0.12", "scheduler"}
NOTHING_REMAINS: Json = {"parts": [], "processes": [], "ports": []}


def wait_until(
    look: Callable[[], Seen], accept: Callable[[Seen], bool], what: str, seconds: float = DEADLINE_SECONDS
) -> Seen:
    """What was seen when it was acceptable for the first time. What cannot be seen yet (no connection, no such process)
    is no answer; the failure tells the last one.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen: Any = look()
            if accept(seen):
                return seen
        except (requests.RequestException, AlluxioError, LookupError, psutil.Error) as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}; last seen: {seen!r}")
        time.sleep(0.1)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    error: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def alluxio_mesos(*arguments: str, environment: Json | None = None, seconds: float = UP_SECONDS) -> Outcome:
    """Run the command line to its end, without a terminal."""
    ended = subprocess.run(
        [sys.executable, "-m", "framework", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **(environment or {})},
        timeout=seconds,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def free_ports(count: int = SERVICE_PORTS + AGENT_PORTS) -> int:
    """The first of a row of ports that are free on every address in use: the services', then the agents'."""
    return row_of_ports(count, ADDRESSES)


class LocalCluster:
    """One `alluxio-mesos local` cluster in its own folder, on ports of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.first_port = free_ports()
        self.options = options
        self.recorded: set[Started] = set()  # every part that was ever started

    # Commands ---------------------------------------------------------------------------------------------------------

    def run(self, verb: str, *arguments: str) -> Outcome:
        return alluxio_mesos("local", verb, "--dir", str(self.directory), *arguments)

    def up(self, *arguments: str, options: tuple[str, ...] | None = None) -> Outcome:
        """`local up`, with the options of this cluster unless others are given."""
        api, mesos, zookeeper, agent = range(self.first_port, self.first_port + SERVICE_PORTS)
        ports = (
            *("--api-port", str(api), "--mesos-port", str(mesos), "--zookeeper-port", str(zookeeper)),
            *("--agent-port", str(agent), "--agent-ports", f"{agent + 1}-{agent + AGENT_PORTS}"),
        )
        try:
            return self.run("up", *ports, *(self.options if options is None else options), *arguments)
        finally:
            self.recorded |= set(Ledger(self.ledger).read()[1])

    @contextlib.contextmanager
    def while_up(self) -> Iterator[LocalCluster]:
        """Brought up, and removed at the end, whatever happened meanwhile."""
        try:
            outcome = self.up()
            assert outcome.code == 0, f"{outcome.out}\n{outcome.error}\n{self.told()}"
            yield self
        finally:
            cleaned = self.run("clean")
        assert cleaned.code == 0, cleaned.error

    # What stands in its folder ----------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Path:
        return self.directory / "cluster.json"

    def parts(self) -> dict[str, psutil.Process]:
        """The living parts by name, as recorded."""
        return {part.name: process for part in Ledger(self.ledger).read()[1] if (process := part.process()) is not None}

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.parts().items()}

    @property
    def endpoints(self) -> Json:
        document: Json = json.loads((self.directory / "endpoints.json").read_text())
        return document

    @property
    def ram_directory(self) -> Path:
        return Plan(self.directory, Path()).ram_directory

    # What the scheduler says ------------------------------------------------------------------------------------------

    def ask(self, path: str) -> Json:
        answer = requests.get(f"http://127.0.0.1:{self.first_port}{path}", timeout=60)
        answer.raise_for_status()
        document: Json = answer.json()
        return document

    def ask_json(self, path: str) -> Json:
        """Of an address that answers with text to paste unless it is asked for JSON."""
        answer = requests.get(
            f"http://127.0.0.1:{self.first_port}{path}", headers={"Accept": "application/json"}, timeout=60
        )
        answer.raise_for_status()
        document: Json = answer.json()
        return document

    def text(self, path: str) -> str:
        answer = requests.get(f"http://127.0.0.1:{self.first_port}{path}", timeout=60)
        answer.raise_for_status()
        return answer.text

    def tasks(self) -> dict[str, Json]:
        """By slot."""
        return {task["slot"]: task for task in self.ask("/v1/status")["tasks"]}

    def task_ids(self) -> dict[str, str]:
        return {slot: task["task_id"] for slot, task in self.tasks().items()}

    def settled(self) -> dict[str, Json]:
        """The tasks once everything is ready: the state in which each test finds the cluster."""

        def accept(tasks: dict[str, Json]) -> bool:
            return {slot: task["phase"] for slot, task in tasks.items()} == {
                "master-0": "ready",
                "worker-0": "registered",
                "worker-1": "registered",
            }

        return wait_until(self.tasks, accept, "a master that is ready and two registered workers")

    # Processes --------------------------------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to this cluster, by its sandbox or by its command line."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                environment = process.environ()
                sandbox = environment.get("MESOS_SANDBOX", environment.get("MESOS_DIRECTORY", "/"))
                if Path(sandbox).is_relative_to(self.directory) or str(self.directory) in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def executor(self, slot: str) -> psutil.Process:
        """The executor's own process of a slot's current task. Raises LookupError when it does not run."""
        return self._of_task(self.task_ids()[slot], "alluxio-mesos-executor.pyz")

    def java(self, slot: str, main: str) -> psutil.Process:
        """The JVM with this main class of a slot's current task. Raises LookupError when it does not run."""
        return self._of_task(self.task_ids()[slot], main)

    def _of_task(self, task_id: str, argument: str) -> psutil.Process:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MESOS_EXECUTOR_ID") == task_id and argument in process.cmdline():
                    return process
        raise LookupError(f"no process of {task_id} has {argument} on its command line")

    def launched(self) -> dict[str, tuple[str, int]]:
        """The task id and the executor's process id of each slot: equal values mean that nothing was launched anew."""
        return {slot: (task_id, self.executor(slot).pid) for slot, task_id in self.task_ids().items()}

    def open_ports(self) -> list[str]:
        """Who listens on this cluster's ports."""
        ours = range(self.first_port, self.first_port + SERVICE_PORTS + AGENT_PORTS)
        return [
            f"{connection.laddr.ip}:{connection.laddr.port}"
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ours
        ]

    def remains(self) -> Json:
        """What a cluster that has ended leaves alive: nothing."""
        return {
            "parts": sorted(part.name for part in self.recorded if part.process() is not None),
            "processes": [" ".join(process.cmdline()) for process in self.processes()],
            "ports": self.open_ports(),
        }

    # Files ------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def files(self) -> Iterator[Files]:
        """A client of the namespace, as the user that the masters run as. A JVM that is slow once is asked again: a
        master's answer is waited for three seconds only.
        """
        with self.masters(timeout=3) as masters, Files(masters, retry_seconds=60) as files:
            yield files

    def cached_at(self, path: str) -> dict[int, tuple[str, ...]]:
        """The workers that cache each block of a file, by block id."""
        with self.files() as files:
            return {block.id: block.locations for block in files.status(path).blocks}

    def masters(self, timeout: float = 60) -> Masters:
        """A client of the master, as the user that it runs as. The first question about a storage may take seconds."""
        return Masters([self.endpoints["alluxio"]["leader"]], user=getpass.getuser(), timeout=timeout)

    def told(self) -> str:
        """The logs' ends, for a failure's report."""
        logs = sorted((self.directory / "logs").glob("*.log"))
        return "\n".join(f"==> {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)


@dataclass(frozen=True)
class FirstUp:
    """The first `local up` in a fresh folder, and how long it took."""

    cluster: LocalCluster
    outcome: Outcome
    seconds: float
