"""The cluster under test, with somebody who starts again what ended: on a real one Marathon and systemd do that."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests

from chaos.copies import Copies
from chaos.timeline import Timeline
from framework.alluxio.answers import Unavailable
from framework.alluxio.masters import Masters
from framework.artefacts import default_directory
from framework.config import Configuration
from framework.local import cluster, preflight, processes
from framework.local.plan import SERVICE, Part, Plan, Ports, parts
from framework.local.processes import Ledger, Started
from framework.site import AGENT
from integration.local_cluster import Json, LocalCluster, alluxio_mesos, wait_until

ROOT = Path(__file__).parents[2]
RESTART_SECONDS = 1.0  # between an end and the next start, as Marathon and systemd wait too
PING_SECONDS, PINGS = 2.0, 3  # the Mesos master's: an agent that is silent for the product is unreachable
SESSION_SECONDS = 4.0  # of scheduler and Alluxio masters in ZooKeeper
STICKINESS_SECONDS = 12.0
PROPERTIES = {
    # A worker that is silent for so long is no longer asked; the default of five minutes is for networks.
    "alluxio.master.worker.timeout": "15sec",
    "alluxio.worker.block.heartbeat.interval": "500ms",
    # Thirty JVMs share a few cores: what is quicker takes a busy master for a dead one.
    "alluxio.master.embedded.journal.election.timeout.min": f"{SESSION_SECONDS:g}s",
    "alluxio.master.embedded.journal.election.timeout.max": f"{2 * SESSION_SECONDS:g}s",
}
READY = {"ready", "registered"}
AGENTS, MASTERS, WORKERS = 4, 3, 3

MASTER_MAIN = "alluxio.master.AlluxioMaster"
JOB_MASTER_MAIN = "alluxio.master.AlluxioJobMaster"
WORKER_MAIN = "alluxio.worker.AlluxioWorker"
JOB_WORKER_MAIN = "alluxio.worker.AlluxioJobWorker"
EXECUTOR = "alluxio-mesos-executor.pyz"


def plan(directory: Path, first_port: int, schedulers: int = 2, journal: str = "UFS") -> Plan:
    """The cluster: three ZooKeeper servers, two of everything that leads or stands by, three Alluxio masters and three
    workers on four agents, so that there is a place to move to. Times are short, so that hours fit into minutes.
    """
    made = Plan(
        directory=directory,
        artefacts=default_directory(),
        agents=AGENTS,
        schedulers=schedulers,
        zookeepers=3,
        mesos_masters=2,
        masters=MASTERS,
        workers=str(WORKERS),
        ram="128MB",
        ports=Ports(
            api=first_port,
            mesos=first_port + 1,
            zookeeper=first_port + 2,  # and the two after it
            agent=first_port + 5,
            agents=(first_port + 6, first_port + 65),
        ),
        settings=(
            ("journal", journal),
            ("zookeeper-session", f"{SESSION_SECONDS:g}s"),
            ("stickiness", f"{STICKINESS_SECONDS:g}s"),
            ("unreachable-grace", f"{STICKINESS_SECONDS:g}s"),
            ("properties", ";".join(f"{name}={value}" for name, value in PROPERTIES.items())),
        ),
        mesos_settings=(
            ("agent-ping-timeout-seconds", f"{PING_SECONDS:g}"),
            ("max-agent-ping-timeouts", str(PINGS)),
            ("heartbeat-seconds", "2"),
        ),
    )
    # Each agent has a disk and a memory of its own, as machines do: what moves finds nothing where it comes.
    folders = (("data-dir", f"{directory}/data/{AGENT}"), ("ram-dir", f"{made.ram_directory}/{AGENT}"))
    return dataclasses.replace(made, settings=(*made.settings, *folders))


class World(LocalCluster):
    """The plan's cluster. What it consists of is kept running by a thread, but for what is held down."""

    def __init__(self, plan: Plan, observer: cluster.Observer) -> None:
        super().__init__(plan.directory)
        self.first_port = plan.ports.api
        self.plan = plan
        self.copies = Copies(plan.directory)
        self.api = Timeline()  # the leader answers, and follows a Mesos master
        self.whole = Timeline()  # every task is ready
        self.restarted: list[str] = []  # the parts that were started again
        self.masters: tuple[str, ...] = ()  # as last published
        self.hurt: Counter[str] = Counter()  # by slot: faults that were done to it
        self._observer = observer
        self._held: set[str] = set()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._parts: dict[str, Part] = {}
        self._started: dict[str, Started] = {}

    # Up and down ------------------------------------------------------------------------------------------------------

    def start(self) -> cluster.Ready:
        # Each part has a working folder of its own, and is to run this very code.
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
        ready = cluster.up(self.plan, self._observer)
        configuration = self.plan.configuration()
        assert isinstance(configuration, Configuration)
        self._java = preflight.find_java()
        self._parts = {part.name: part for part in parts(self.plan, configuration, self._java)}
        self._started = {entry.name: entry for entry in Ledger(self.ledger).read()[1]}
        self.masters = tuple(ready.endpoints["alluxio"]["masters"])
        for work in (self._supervise, self._watch):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)
        return ready

    def stop(self) -> None:
        """Everything ends and the data goes, frozen processes too."""
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.resume()
        cluster.clean(self.plan, lambda sentence: None)

    def keep_logs(self, folder: Path) -> None:
        """The parts' logs and the tasks', by sandbox, for whoever looks for the cause."""
        shutil.copytree(self.directory / "logs", folder / "parts", dirs_exist_ok=True)
        for sandbox in self.directory.glob("mesos/agent-*/slaves/*/frameworks/*/executors/*/runs/*"):
            if not sandbox.is_symlink():
                target = folder / "tasks" / f"{sandbox.parents[1].name}-{sandbox.name[:8]}"
                for name in ("stderr", "stdout", "logs"):
                    with contextlib.suppress(OSError, shutil.Error):
                        source = sandbox / name
                        if source.is_dir():
                            shutil.copytree(source, target / name, dirs_exist_ok=True)
                        elif source.exists():
                            target.mkdir(parents=True, exist_ok=True)
                            shutil.copy(source, target / name)

    # Asked ------------------------------------------------------------------------------------------------------------

    def ask(self, path: str) -> Json:
        document: Json = cluster.ask(self.urls("scheduler").values(), path)
        return document

    def urls(self, kind: str) -> dict[str, str]:
        """Where each copy of a service answers, by its name."""
        with self._lock:
            found = [part for part in self._parts.values() if _is_copy(part.name, kind)]
        return {part.name: f"http://{part.listens[0]}:{part.listens[1]}" for part in found}

    def addresses(self) -> tuple[str, ...]:
        """Alluxio's masters, as a client's configuration has them."""
        with contextlib.suppress(requests.RequestException, LookupError, TypeError):
            self.masters = tuple(self.ask("/v1/endpoints")["alluxio"]["masters"]) or self.masters
        return self.masters

    def leading(self, kind: str, path: str) -> str:
        """The copy that answers by itself: another one sends the client on. One that is late is asked again."""
        return wait_until(lambda: self._answering(kind, path), bool, f"a {kind} that leads", 60)

    def _answering(self, kind: str, path: str) -> str:
        for name, url in self.urls(kind).items():
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{url}{path}", timeout=2, allow_redirects=False).status_code == 200:
                    return name
        return ""

    def leading_scheduler(self) -> str:
        return self.leading("scheduler", "/v1/status")

    def leading_mesos_master(self) -> str:
        return self.leading("mesos-master", "/state")

    def mesos_state(self) -> Json:
        url = self.urls("mesos-master")[self.leading_mesos_master()]
        state: Json = requests.get(f"{url}/state", timeout=5).json()
        return state

    def primary_slot(self) -> str:
        """The slot of the Alluxio master that leads; for a moment none does, where it was late to answer once."""
        return wait_until(self._primary_slot, bool, "a primary among Alluxio's masters", 60)

    def _primary_slot(self) -> str:
        leader = self.ask("/v1/endpoints")["alluxio"]["leader"]
        tasks = self.tasks().items()
        return next((slot for slot, task in tasks if f"{task['hostname']}:{task['ports']['rpc']}" == leader), "")

    def is_whole(self, tasks: dict[str, Json]) -> str:
        """What is missing; "" when all that is wanted is ready."""
        wanted = [f"master-{index}" for index in range(MASTERS)]
        missing = [slot for slot in wanted if slot not in tasks]
        workers = [slot for slot in tasks if slot.startswith("worker-")]
        if len(workers) < WORKERS:
            missing.append(f"{WORKERS - len(workers)} workers")
        late = [f"{slot} is {task['phase']}" for slot, task in tasks.items() if task["phase"] not in READY]
        return ", ".join([*(f"{slot} is missing" for slot in missing), *late])

    def uncounted(self, masters: Masters) -> str:
        """Which of the embedded journal's members are missing in its quorum; "" when none is, or there is no quorum."""
        if self.plan.options()["journal"] != "EMBEDDED":
            return ""
        quorum = masters.quorum()
        if isinstance(quorum, Unavailable):
            return quorum.reason
        there = sum(member.available for member in quorum)
        return "" if there == len(quorum) == MASTERS else f"{there} of {len(quorum)} members of the quorum are there"

    # Parts ------------------------------------------------------------------------------------------------------------

    def part(self, name: str) -> psutil.Process:
        """Raises LookupError when it does not run."""
        process = self._started[name].process()
        if process is None:
            raise LookupError(f"{name} does not run")
        return process

    def configured(self, name: str) -> Part:
        return self._parts[name]

    def parts_of(self, kind: str) -> list[str]:
        return list(self.urls(kind))

    @contextlib.contextmanager
    def held(self, *names: str) -> Iterator[None]:
        """Nobody starts these again meanwhile."""
        with self._lock:
            self._held |= set(names)
        try:
            yield
        finally:
            with self._lock:
                self._held -= set(names)

    def add(self, part: Part) -> None:
        """One more part, which is kept running like the others."""
        with self._lock:
            self._parts[part.name] = part
            self._start(part)

    def remove(self, name: str) -> None:
        """Ended for good, as it wants to be asked."""
        with self._lock:
            del self._parts[name]
            entry = self._started.pop(name)
        processes.stop([entry], lambda sentence: None)
        self._record()

    def all_run(self) -> bool:
        with self._lock:
            return all(name in self._started and self._started[name].process() is not None for name in self._parts)

    def _supervise(self) -> None:
        ended: dict[str, float] = {}
        while not self._ended.wait(0.1):
            with self._lock:
                for name, part in self._parts.items():
                    if self._started[name].process() is not None:
                        ended.pop(name, None)
                    elif name not in self._held and time.monotonic() - ended.setdefault(name, time.monotonic()) >= (
                        RESTART_SECONDS
                    ):
                        self._start(part)
                        self.restarted.append(name)

    def _start(self, part: Part) -> None:
        environment = {"JAVA_HOME": str(Path(self._java).resolve().parent.parent)}
        log = cluster.log_path(self.plan.directory, part.name)
        self._started[part.name] = processes.start(part, log, environment, self.plan.directory)
        self._record()

    def _record(self) -> None:
        Ledger(self.ledger).write(self.plan.as_document(), self._started.values())

    # Watched ----------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            why = self._health()
            self.api.note(not why, why)
            if why:
                continue  # what is not known of the tasks is neither good nor bad
            with contextlib.suppress(requests.RequestException, LookupError):
                missing = self.is_whole(self.tasks())
                self.whole.note(not missing, missing)

    def _health(self) -> str:
        """Why no scheduler leads and follows a Mesos master; "" when one does."""
        reasons = []
        for name, url in self.urls("scheduler").items():
            try:
                answer = requests.get(f"{url}/v1/health", timeout=1, allow_redirects=False)
                document = answer.json()
            except (requests.RequestException, ValueError) as error:
                reasons.append(f"{name}: {type(error).__name__}")
                continue
            if document.get("role") == "standby":
                continue
            if answer.status_code == 200 and document["healthy"]:
                return ""
            reasons.append(f"{name}: {document.get('reason') or answer.status_code}")
        return "; ".join(reasons) or "all schedulers stand by"

    # Faults of localmesos ---------------------------------------------------------------------------------------------

    def mesos_fault(self, fault: Json) -> None:
        """At the leading Mesos master."""
        _post(f"{self.urls('mesos-master')[self.leading_mesos_master()]}/faults", fault)

    def agent_fault(self, address: str, fault: Json) -> None:
        _post(f"http://{address}:{self.plan.ports.agent}/faults", fault)

    def clear_faults(self) -> None:
        for url in self.urls("mesos-master").values():
            requests.delete(f"{url}/faults", timeout=5).raise_for_status()

    def tear_down(self) -> None:
        url = self.urls("mesos-master")[self.leading_mesos_master()]
        framework_id = {"value": self.ask("/v1/health")["framework_id"]}
        _post(f"{url}/api/v1", {"type": "TEARDOWN", "teardown": {"framework_id": framework_id}})

    # The operator's hands ---------------------------------------------------------------------------------------------

    def told_of(self, word: str) -> bool:
        """Whether a scheduler's log has it."""
        logs = (cluster.log_path(self.plan.directory, name) for name in self.parts_of("scheduler"))
        return any(word in log.read_text(errors="replace") for log in logs)

    def end(self, *names: str) -> None:
        """SIGTERM, and the end of each."""
        ending = [process for name in names if (process := self._started[name].process()) is not None]
        for process in ending:
            process.terminate()
        assert psutil.wait_procs(ending, timeout=20)[1] == []

    def scale(self, count: int) -> None:
        """Asked of the scheduler that leads."""
        url = self.urls("scheduler")[self.leading_scheduler()]
        answer = requests.put(f"{url}/v1/workers", json={"count": count}, timeout=20)
        assert answer.ok, f"{count} workers: {answer.status_code} {answer.text}"

    def forget_framework_id(self) -> None:
        """As docs/operations.md says it: export, strike out the id, import."""
        place = ("--zookeeper", self.plan.zookeeper, "--name", SERVICE)
        file = self.plan.directory / "state.json"
        exported = alluxio_mesos("state", "export", *place, str(file))
        assert exported.code == 0, exported.error
        document = json.loads(file.read_text())
        file.write_text(json.dumps({**document, "framework_id": ""}))
        imported = alluxio_mesos("state", "import", "--replace", *place, str(file))
        assert imported.code == 0, imported.error

    # The agents' machines ---------------------------------------------------------------------------------------------

    def machine(self, address: str) -> list[psutil.Process]:
        """The agent at an address and everything that it runs."""
        return [self.part(f"agent-{address}"), *self.living(address)]

    def living(self, address: str) -> list[psutil.Process]:
        """Everything that the agent at an address runs."""
        sandboxes = self.plan.directory / "mesos" / f"agent-{address}"
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if Path(process.environ().get("MESOS_SANDBOX", "/")).is_relative_to(sandboxes):
                    found.append(process)
        return found


def _post(url: str, document: Json) -> None:
    answer = requests.post(url, json=document, timeout=10)
    assert answer.ok, f"{url}: {answer.status_code} {answer.text}"


def _is_copy(name: str, kind: str) -> bool:
    return name == kind or (name.startswith(f"{kind}-") and name.removeprefix(f"{kind}-").isdigit())
