"""Up, down, clean: what the commands do, told step by step to an observer. Prints nothing itself."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import requests

from framework.artefacts import ArtefactError, Artefacts
from framework.config import Configuration
from framework.local import preflight, processes, proof
from framework.local.plan import FOLDERS, Part, Plan, in_words, parts, zookeeper_configuration, zookeeper_folder
from framework.local.processes import Ledger, Started

PARTS_SECONDS: Final = 60.0
CLUSTER_SECONDS: Final = 300.0
POLL: Final = 0.2


class Failed(Exception):
    """The cluster did not come up; the message says why and where to look."""


class Observer:
    """Is told what goes on. ``step``: a thing and where it stands; ``count``: how far a long step is."""

    def step(self, name: str, standing: str) -> None: ...

    def count(self, name: str, done: int, total: int) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """What `up` hands back: the endpoints as written to endpoints.json, the address of Alluxio's own pages for people
    ("" where it has none), the status, what the proof did, and how long it all took in seconds.
    """

    endpoints: dict[str, Any]
    page: str
    status: dict[str, Any]
    proof: str
    seconds: float


def up(plan: Plan, observer: Observer) -> Ready:
    """Bring the cluster up, or find it up. Whatever is missing of it is started; what runs is left alone.

    Raises:
        preflight.NotReady: something must be put right first; nothing was started.
        Failed: a part did not come up in time or ended.
    """
    began = time.monotonic()
    preflight.check_numbers(plan)
    configuration = plan.configuration()
    if not isinstance(configuration, Configuration):
        raise preflight.NotReady(*map(in_words, configuration))
    ledger = Ledger(plan.directory / "cluster.json")
    running = _running(plan, ledger)
    java = preflight.find_java()
    wanted = parts(plan, configuration, java)
    missing = tuple(part for part in wanted if part.name not in {entry.name for entry in running})
    preflight.check(plan, configuration, missing)
    _make_artefacts(plan, observer)
    _prepare_folders(plan)
    for part in missing:
        observer.step(part.name, "starting")
        with processes.undisturbed():
            running.append(
                processes.start(
                    part,
                    log_path(plan.directory, part.name),
                    {"JAVA_HOME": str(Path(java).resolve().parent.parent)},
                    plan.directory,
                )
            )
            ledger.write(plan.as_document(), running)
    for part in wanted:
        _wait_for_part(plan, part, running, observer)
    status = _wait_for_tasks(plan, running, observer)
    endpoints = ask(plan.api_urls, "/v1/endpoints")
    observer.step("proof", "writing a file")
    try:
        proved = proof.prove(endpoints["alluxio"], configuration.security)
    except proof.NotProved as error:
        raise Failed(str(error)) from error
    observer.step("proof", "ready")
    _write_endpoints(plan, endpoints)
    return Ready(endpoints, page_of(endpoints["alluxio"]["web"]), status, proved, time.monotonic() - began)


def ask(urls: Iterable[str], path: str) -> Any:
    """The JSON that the first of the schedulers that answers has, or that the leader has to which it sends the client.

    Raises:
        requests.RequestException: none of them answers.
    """
    failed: requests.RequestException = requests.ConnectionError("there is no scheduler")
    for url in urls:
        try:
            answer = requests.get(f"{url}{path}", timeout=5)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            failed = error
    raise failed


def page_of(web: str) -> str:
    """The address if Alluxio has pages for people there, else "". Only its own tarball has them; what the published
    jars answer in JSON is for programs, and some of it fails while a mount's store is away.
    """
    try:
        return web if requests.get(web, timeout=5).ok else ""
    except requests.RequestException:
        return ""


def _running(plan: Plan, ledger: Ledger) -> list[Started]:
    document, started = ledger.read()
    running = [entry for entry in started if entry.process() is not None]
    if running and document != plan.as_document():
        changed = ", ".join(sorted(key for key, value in plan.as_document().items() if document.get(key) != value))
        raise preflight.NotReady(
            f"A cluster with other options ({changed}) runs in {plan.directory}; "
            "end it with `alluxio-mesos local down` first."
        )
    return running


def _make_artefacts(plan: Plan, observer: Observer) -> None:
    def progress(what: str, done: int, total: int) -> None:
        observer.count(what, done, total)

    artefacts = Artefacts(plan.artefacts, progress)
    try:
        observer.step("jars", "looking")
        artefacts.jars()
        observer.step("jars", "ready")
        observer.step("bundle", "looking")
        artefacts.bundle()
        artefacts.executor()
        observer.step("bundle", "ready")
    except ArtefactError as error:
        raise preflight.NotReady(str(error)) from error


def _prepare_folders(plan: Plan) -> None:
    for index in range(plan.zookeepers):
        folder = zookeeper_folder(plan, index)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "myid").write_text(f"{1 + index}\n")
        (folder / "zoo.cfg").write_text(zookeeper_configuration(plan, index))
    if not plan.under_storage:
        (plan.directory / "under-storage").mkdir(exist_ok=True)


def log_path(directory: Path, part: str) -> Path:
    return directory / "logs" / f"{part}.log"


def _wait_for_part(plan: Plan, part: Part, running: list[Started], observer: Observer) -> None:
    def answers() -> bool:
        _alive(plan, running)
        return _listens(*part.listens)

    if not processes.wait_until(answers, PARTS_SECONDS, 0.05):
        raise Failed(
            f"{part.name} does not answer at {part.listens[0]}:{part.listens[1]}; "
            f"its log is {log_path(plan.directory, part.name)}"
        )
    observer.step(part.name, "ready")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False


def _alive(plan: Plan, running: list[Started]) -> None:
    for entry in running:
        if entry.process() is None:
            log = log_path(plan.directory, entry.name)
            raise Failed(f"{entry.name} ended: {_last_line(log)} (its log is {log})")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def _wait_for_tasks(plan: Plan, running: list[Started], observer: Observer) -> dict[str, Any]:
    """Until every task is ready, telling each change of phase."""
    status: dict[str, Any] = {}

    def ready() -> bool:
        _alive(plan, running)
        nonlocal status
        try:
            status = ask(plan.api_urls, "/v1/status")
        except requests.RequestException:
            return False
        for task in status["tasks"]:
            observer.step(task["slot"], _standing(task))
        # What runs may have lost its scheduler, or that its Mesos master: the next in line takes some seconds.
        return is_ready(plan, status) and not _unhealthy(plan)

    if not processes.wait_until(ready, CLUSTER_SECONDS, POLL):
        raise Failed(_why_not(plan, status))
    return status


def is_ready(plan: Plan, status: dict[str, Any]) -> bool:
    phases = [task["phase"] for task in status["tasks"]]
    return phases.count("registered") >= plan.expected_workers and all(
        phase in ("ready", "registered") for phase in phases
    )


def _unhealthy(plan: Plan) -> str:
    """Why the leading scheduler does not do its work; "" when it does."""
    try:
        ask(plan.api_urls, "/v1/health")
    except requests.HTTPError as error:
        return f"the scheduler is not healthy: {error.response.json().get('reason', error)}"
    except requests.RequestException as error:
        return f"no scheduler answers: {error}"
    return ""


def _standing(task: dict[str, Any]) -> str:
    if "failure" in task:
        return f"{task['phase']}: {task['failure']['reason']}"
    return str(task["phase"])


def _why_not(plan: Plan, status: dict[str, Any]) -> str:
    late = [
        f"{task['slot']} is {_standing(task)}"
        for task in status.get("tasks", [])
        if task["phase"] not in ("ready", "registered")
    ]
    try:
        refused = ask(plan.api_urls, "/v1/offers")["refused"][:1]
    except requests.RequestException:
        refused = []
    reasons = [f"the last refused offer: {entry['hostname']}, {entry['reason']}" for entry in refused]
    return "; ".join(
        [
            f"the cluster was not ready after {CLUSTER_SECONDS:g} s",
            *filter(None, [_unhealthy(plan)]),
            *late,
            *reasons,
            f"the scheduler's log is {log_path(plan.directory, 'scheduler')}",
        ]
    )


def _write_endpoints(plan: Plan, endpoints: dict[str, Any]) -> None:
    scratch = plan.directory / "endpoints.json.new"
    scratch.write_text(json.dumps(endpoints, indent=2) + "\n")
    scratch.replace(plan.directory / "endpoints.json")


def down(directory: Path, note: Callable[[str], None]) -> bool:
    """End everything that was started here; journal, cache and sandboxes stay. False when nothing ran."""
    ledger = Ledger(directory / "cluster.json")
    _, started = ledger.read()
    ran = any(entry.process() is not None for entry in started)
    processes.stop(started, note)
    processes.stop_strays(directory / "mesos", patience=15)
    ledger.clear()
    (directory / "endpoints.json").unlink(missing_ok=True)
    return ran


def clean(plan: Plan, note: Callable[[str], None]) -> None:
    """`down`, and the data goes too: what a cluster made in its folder, and the folder when nothing else is in it."""
    down(plan.directory, note)
    # Whoever names the wrong folder loses nothing.
    if (plan.directory / "zookeeper" / "zoo.cfg").exists():
        note(f"removing the cluster's data in {plan.directory}")
        for folder in (folder for pattern in FOLDERS for folder in plan.directory.glob(pattern)):
            shutil.rmtree(folder)
        if not any(plan.directory.iterdir()):
            plan.directory.rmdir()
    if plan.ram_directory.exists():
        note(f"removing {plan.ram_directory}")
        shutil.rmtree(plan.ram_directory)
