"""The package does what it says: the app that Cosmos renders of it is run as Marathon runs it, in an empty folder with
nothing but what it names. A real Alluxio cluster comes up, is scaled, outlives its scheduler, and is uninstalled as
Cosmos does it, until nothing is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import requests
from kazoo.client import KazooClient

import cosmos
from framework.artefacts import default_directory
from framework.config import BY_NAME, Configuration
from framework.local import preflight, processes, proof
from framework.local.plan import Plan, Ports, parts, zookeeper_configuration, zookeeper_folder
from framework.packaging.rendering import ASSETS
from integration.local_cluster import AGENT_PORTS, free_ports, wait_until
from mirror import ROOT, Distribution, bare_path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

Json = dict[str, Any]
PATH: Final = bare_path()
TOKEN: Final = "0123456789abcdef0123456789abcdef"
SECRETS: Final = {"alluxio/api-token": TOKEN}
# What the package's form does not ask for, as the app says it itself; and what a bare agent brings along.
NOT_GIVEN: Final = {*(name for name, option in BY_NAME.items() if option.app), "python"}


class Mesos:
    """ZooKeeper, a Mesos master and three agents, which find no Java but the one that they fetch."""

    def __init__(self, folder: Path) -> None:
        first = free_ports()
        ports = Ports(first, first + 1, first + 2, first + 3, (first + 4, first + 3 + AGENT_PORTS))
        self.plan = Plan(folder, default_directory(), agents=3, workers="2", ram="64MB", ports=ports)
        self.folder = folder
        self._ends = contextlib.ExitStack()

    @property
    def ports(self) -> Iterator[int]:
        """For what Marathon starts: the last of the agents' own, which nobody takes as there are so few tasks."""
        yield from range(self.plan.ports.agents[1], self.plan.ports.agents[1] - 5, -1)

    @property
    def options(self) -> Json:
        """What an operator says in the package's form, by section: small sizes, and where everything is."""
        options: Json = {"api": {"api-token-secret": "alluxio/api-token"}}
        for name, text in self.plan.options().items():
            if name not in NOT_GIVEN:
                kind = BY_NAME[name].type.schema["type"]
                options.setdefault(BY_NAME[name].group, {})[name] = text if kind == "string" else json.loads(text)
        return options

    def start(self) -> None:
        for folder in (zookeeper_folder(self.plan, 0) / "data", self.folder / "under-storage"):
            folder.mkdir(parents=True)
        (zookeeper_folder(self.plan, 0) / "zoo.cfg").write_text(zookeeper_configuration(self.plan, 0))
        configuration = self.plan.configuration()
        assert isinstance(configuration, Configuration)
        for part in parts(self.plan, configuration, preflight.find_java()):
            if not part.name.startswith("scheduler"):
                with (self.folder / f"{part.name}.log").open("wb") as log:
                    process = subprocess.Popen(
                        part.command,
                        cwd=self.folder,
                        env={"PATH": PATH, "PYTHONPATH": str(ROOT)},
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                self._ends.callback(_end, process, signal.Signals[part.stop_signal])

    def stop(self) -> None:
        """The agents first, as they end what runs on them."""
        self._ends.close()
        processes.stop_strays(self.folder / "mesos", patience=15)
        shutil.rmtree(self.plan.ram_directory, ignore_errors=True)

    def state(self) -> Json:
        state: Json = requests.get(f"http://{self.plan.mesos}/state", timeout=5).json()
        return state

    def nodes(self) -> list[str]:
        """The services that ZooKeeper knows."""
        client = KazooClient(self.plan.zookeeper)
        client.start(timeout=15)
        try:
            return client.get_children("/alluxio-mesos") if client.exists("/alluxio-mesos") else []
        finally:
            client.stop()
            client.close()

    def executors(self) -> dict[str, tuple[int, ...]]:
        """The process ids of all that runs in the sandbox of each executor, but for what is gone again at once: a JVM
        starts a shell to ask for a user's groups.
        """
        found: dict[str, tuple[int, ...]] = {}
        for name, process in sorted(set(self._processes()) & set(self._processes()), key=lambda pair: pair[1].pid):
            found[name] = (*found.get(name, ()), process.pid)
        return found

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                if Path(environment.get("MESOS_SANDBOX", "/")).is_relative_to(self.folder / "mesos"):
                    yield environment["MESOS_EXECUTOR_ID"], process


def _end(process: subprocess.Popen[bytes], asked: signal.Signals) -> None:
    """It is asked, and killed when it does not end."""
    process.send_signal(asked)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=60)


@pytest.fixture
def mesos(tmp_path: Path) -> Iterator[Mesos]:
    mesos = Mesos(tmp_path / "cluster")
    mesos.folder.mkdir()
    try:
        mesos.start()
        yield mesos
    finally:
        mesos.stop()


class Task:
    """The app's one task, as Marathon starts it: a new folder, what the app fetches, and its environment alone."""

    def __init__(self, app: Json, folder: Path, port: int, **environment: str) -> None:
        folder.mkdir()
        for fetch in app["fetch"]:
            assert not fetch["extract"]
            with urllib.request.urlopen(fetch["uri"], timeout=30) as answer:
                (folder / fetch["destPath"]).write_bytes(answer.read())
        self.log = folder / "stderr"
        self.check = app["healthChecks"][0]["path"]
        self.address = f"http://127.0.0.1:{port}"
        given = {
            "PATH": PATH,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "PORT0": str(port),
            "PORT_API": str(port),
            "MESOS_SANDBOX": str(folder),
            "MARATHON_APP_ID": app["id"],
        }
        held = {name: _value(app, value) for name, value in app["env"].items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", app["cmd"]],
                env={**given, **held, **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, path: str) -> Json:
        answer = requests.get(f"{self.address}{path}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
        if answer.status_code != 200:
            raise requests.HTTPError(f"{answer.status_code} {answer.text}")
        document: Json = answer.json()
        return document

    def wait(self, path: str, accept: Any, what: str, seconds: float = 150) -> Json:
        """What the API answers with 200 and is accepted; the end of the log where it is not in time."""

        def look() -> Json:
            assert self.process.poll() is None, f"the scheduler ended with {self.process.returncode}"
            return self.ask(path)

        try:
            return wait_until(look, accept, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text(errors='replace')[-4000:]}") from error

    def deployed(self, workers: int) -> Json:
        """The status once Marathon's health check and the plan are content and all workers are registered."""
        self.wait(self.check, lambda health: health["healthy"], "a healthy scheduler")
        self.wait("/v1/plans/deploy", lambda plan: plan["status"] == "ready", "a deployment that is complete")
        phases = sorted(["ready", *["registered"] * workers])
        return self.wait(
            "/v1/status",
            lambda status: sorted(task["phase"] for task in status["tasks"]) == phases,
            f"{workers} workers",
        )

    def uninstalled(self) -> None:
        """Cosmos asks without a token, until the answer is 200 and nothing else."""
        wait_until(
            lambda: requests.get(f"{self.address}/v1/plans/deploy", timeout=10).status_code,
            lambda status: status == 200,
            "the end of the uninstallation",
            60,
        )

    def end(self) -> None:
        """As Marathon ends it."""
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, self.log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """kill -9, also of what it may have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)


def _value(app: Json, value: str | Json) -> str:
    return value if isinstance(value, str) else SECRETS[app["secrets"][value["secret"]]["source"]]


def by_cosmos(distribution: Distribution, options: Json) -> Json:
    """The app that DC/OS makes of the package in the folder."""
    package = distribution.folder / "repo/packages/A/alluxio-mesos/0"
    form, resource = (json.loads((package / name).read_text()) for name in ("config.json", "resource.json"))
    template = (package / "marathon.json.mustache").read_text()
    return cosmos.rendered(template, cosmos.merged(cosmos.defaults(form), options), resource)


def test_the_package_brings_up_a_cluster_that_outlives_its_scheduler_and_leaves_nothing(
    distribution: Distribution, mesos: Mesos, tmp_path: Path
) -> None:
    app = by_cosmos(distribution, mesos.options)
    assert app["env"]["ALLUXIO_MESOS_JAVA_URI"] == f"{distribution.address}/{ASSETS['java']}"
    ports = iter(mesos.ports)
    with contextlib.ExitStack() as ends:
        first = Task(app, tmp_path / "first", next(ports))
        ends.callback(first.kill)
        first.deployed(workers=2)
        proof.prove(first.ask("/v1/endpoints")["alluxio"], "SIMPLE")

        answer = requests.put(
            f"{first.address}/v1/workers",
            json={"count": 3},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        before = first.deployed(workers=3)
        _uses_what_it_fetched(mesos)
        executors, identity = mesos.executors(), first.ask("/v1/health")["framework_id"]
        assert len(executors) == 4

        first.kill()
        second = Task(app, tmp_path / "second", next(ports))
        ends.callback(second.kill)
        after = second.deployed(workers=3)
        assert second.ask("/v1/health")["framework_id"] == identity
        assert [task["task_id"] for task in after["tasks"]] == [task["task_id"] for task in before["tasks"]]
        assert mesos.executors() == executors
        proof.prove(second.ask("/v1/endpoints")["alluxio"], "SIMPLE")

        assert app["labels"]["DCOS_COMMONS_UNINSTALL"] == "true"
        assert requests.get(f"{second.address}/v1/state/frameworkId", timeout=10).json() == [identity]
        second.end()
        last = Task(app, tmp_path / "last", next(ports), SDK_UNINSTALL="true")
        ends.callback(last.kill)
        last.uninstalled()
        # The scheduler has heard of a task's end a moment before the executor is gone that told of it.
        wait_until(mesos.executors, lambda left: left == {}, "the end of the executors", 60)
        assert [framework["id"] for framework in mesos.state()["frameworks"]] == []
        assert mesos.nodes() == []
        assert last.process.poll() is None, "it serves the 200 until Marathon ends it"
        last.end()


def _uses_what_it_fetched(mesos: Mesos) -> None:
    """Each JVM is the one of the runtime in its sandbox."""
    found = []
    for pids in mesos.executors().values():
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.name() == "java":
                    found.append(Path(process.exe()).is_relative_to(process.environ()["MESOS_SANDBOX"]))
    assert found
    assert all(found)
