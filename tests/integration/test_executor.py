"""The executor's zipapp against an agent played over real sockets, as in ../shared/mesos-traces.

The JVMs are small Python programs; everything else is real: the zipapp, pymesos, processes, signals, folders.
"""

from __future__ import annotations

import base64
import http
import http.server
import itertools
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from executor import build
from ports import held_port

DEADLINE_SECONDS = 60.0
SHUTDOWN_GRACE_SECONDS = 6  # of which a process that is told to end has 0.8 to say so

# Listens on the port, tells about SIGTERM in a file, and ends then.
SERVER = """
import http.server, os, signal, sys, time
port, story = int(sys.argv[1]), sys.argv[2]
def tell(word):
    with open(story, "a") as stream:
        stream.write("%s %s\\n" % (os.path.basename(sys.argv[3]), word))
def end(*_):
    tell("stopped")
    os._exit(0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments):
        pass
tell("started")
print("serving", flush=True)
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: tell("ignored"))
else:
    signal.signal(signal.SIGTERM, end)
server.serve_forever()
"""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value; the test fails when there is none in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE_SECONDS:g} s for {what}")


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has reaped yet does not."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def pythons() -> dict[str, str]:
    """The Pythons of this machine from 3.8 on, by version: this one, those on PATH and those of pyenv."""
    names = [f"python3.{minor}" for minor in range(8, 16)]
    candidates = [sys.executable, *filter(None, map(shutil.which, names))]
    candidates += map(str, pathlib.Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    found = {}
    for candidate in candidates:
        program = "import sys; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([candidate, "-c", program], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            found[answer.stdout.strip()] = candidate
    return {version: python for version, python in found.items() if int(version.split(".")[1]) >= 8}


PYTHONS = pythons()


class Agent:
    """A Mesos agent's executor API for one executor: what it was told, and what it says.

    `recovering` counts SUBSCRIBEs to answer with 503, as a restarted agent does, and `broken_updates` UPDATEs to answer
    with 500; `silent` takes updates without a word. `acknowledged` has the updates whose acknowledgement is on its way.
    """

    def __init__(self) -> None:
        self.subscribes: list[dict[str, Any]] = []
        self.subscribed_at: list[float] = []
        self.updates: list[dict[str, Any]] = []
        self.acknowledged: list[str] = []
        self.authorizations: set[str | None] = set()
        self.recovering = 0
        self.refusal: int | None = None
        self.silent = False
        self.broken_updates = 0
        self._streams: list[queue.Queue[dict[str, Any] | None]] = []
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = held_port()
        self.start()

    def start(self) -> None:
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                agent._answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Gone, as after kill -9: the port refuses, the streams break."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        for stream in self._streams:
            stream.put(None)

    def say(self, event: dict[str, Any]) -> None:
        self._streams[-1].put(event)

    def states(self) -> list[tuple[str, bool | None]]:
        return [(update["state"], update.get("healthy")) for update in self.updates]

    def wait_for_state(self, state: str, healthy: bool | None = None, since: int = 0) -> dict[str, Any]:
        """The first update in that state from number `since` on."""

        def found() -> dict[str, Any] | None:
            wanted = (state, healthy)
            return next((u for u in self.updates[since:] if (u["state"], u.get("healthy")) == wanted), None)

        update: dict[str, Any] = wait_for(found, f"{state}, healthy {healthy}, after {self.states()}")
        return update

    def _answer(self, handler: http.server.BaseHTTPRequestHandler, call: dict[str, Any]) -> None:
        self.authorizations.add(handler.headers["Authorization"])
        if call["type"] == "SUBSCRIBE":
            self.subscribed_at.append(time.monotonic())
            self._subscribe(handler, call)
        elif call["type"] == "UPDATE" and self.broken_updates > 0:
            self.broken_updates -= 1
            self._respond(handler, 500, b"out of order")
        elif call["type"] == "UPDATE":
            self._take(call["update"]["status"])
            self._respond(handler, 202)
        else:
            self._respond(handler, 400, f"unexpected {call['type']}".encode())

    def _respond(self, handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes = b"") -> None:
        """In one packet, as Mesos does."""
        head = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Length: {len(body)}\r\n\r\n"
        handler.wfile.write(head.encode() + body)

    def _take(self, status: dict[str, Any]) -> None:
        """A duplicate is acknowledged again and otherwise ignored, as Mesos's status update manager does."""
        if all(status["uuid"] != known["uuid"] for known in self.updates):
            self.updates.append(status)
        if not self.silent:
            acknowledged = {"task_id": status["task_id"], "uuid": status["uuid"]}
            self.say({"type": "ACKNOWLEDGED", "acknowledged": acknowledged})
            self.acknowledged.append(status["uuid"])

    def _subscribe(self, handler: http.server.BaseHTTPRequestHandler, call: dict[str, Any]) -> None:
        if self.refusal is not None:
            self.subscribes.append(call)
            self._respond(handler, self.refusal, b"no")
            return
        if self.recovering > 0:
            self.recovering -= 1
            self.subscribes.append(call)
            self._respond(handler, 503, b"Agent has not finished recovery")
            return
        stream: queue.Queue[dict[str, Any] | None] = queue.Queue()
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        subscribed = {
            "executor_info": {"executor_id": call["executor_id"]},
            "framework_info": {"id": call["framework_id"]},
            "agent_info": {"hostname": "127.0.0.1"},
        }
        stream.put({"type": "SUBSCRIBED", "subscribed": subscribed})
        self._streams.append(stream)
        self.subscribes.append(call)  # once something can be said on its stream
        for update in call["subscribe"]["unacknowledged_updates"]:
            self._take(update["status"])
        while (event := stream.get()) is not None:
            record = json.dumps(event).encode()
            record = b"%d\n%s" % (len(record), record)
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(record), record))
            handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)


class World:
    """One agent, one sandbox, one executor, and the launch document to give it."""

    def __init__(self, folder: pathlib.Path, zipapp: pathlib.Path, python: str) -> None:
        self.agent = Agent()
        self.folder = folder
        self.sandbox = folder / "sandbox"
        self.sandbox.mkdir()
        self.story = folder / "story"
        self.story.touch()
        self.server = folder / "server.py"
        self.server.write_text(SERVER)
        self._command = [python, str(zipapp)]
        self.executor: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        base = {
            "PATH": os.environ["PATH"],
            "MESOS_AGENT_ENDPOINT": f"127.0.0.1:{self.agent.port}",
            "MESOS_FRAMEWORK_ID": "framework-1",
            "MESOS_EXECUTOR_ID": "worker-0.1",
            "MESOS_SANDBOX": str(self.sandbox),
            "MESOS_DIRECTORY": str(self.sandbox),
            "MESOS_CHECKPOINT": "1",
            "MESOS_RECOVERY_TIMEOUT": "15mins",
            "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": f"{SHUTDOWN_GRACE_SECONDS}secs",
        }
        with (self.folder / "stderr").open("ab") as stderr:
            self.executor = subprocess.Popen(
                self._command, env={**base, **environment}, cwd=self.sandbox, stderr=stderr, start_new_session=True
            )
        wait_for(lambda: self.agent.subscribes, "SUBSCRIBE")

    def launch(self, document: dict[str, Any] | str, task_id: str = "worker-0.1") -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        task = {"task_id": {"value": task_id}, "data": base64.b64encode(text.encode()).decode()}
        wait_for(lambda: self.agent._streams, "the stream")
        self.agent.say({"type": "LAUNCH", "launch": {"task": task}})

    def kill(self, task_id: str = "worker-0.1", **more: Any) -> None:
        self.agent.say({"type": "KILL", "kill": {"task_id": {"value": task_id}, **more}})

    def exit_code(self) -> int:
        assert self.executor is not None
        return self.executor.wait(DEADLINE_SECONDS)

    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def told(self) -> list[str]:
        return self.story.read_text().splitlines()

    def process(self, name: str, port: int | None = None, after: tuple[str, ...] = (), *more: str) -> dict[str, Any]:
        port = port or held_port()
        return {
            "name": name,
            "command": [sys.executable, str(self.server), str(port), str(self.story), name, *more],
            "environment": {},
            "ready": {"kind": "http", "url": f"http://127.0.0.1:{port}/info", "seconds": 60},
            "after": list(after),
        }

    def document(self, *processes: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {
            "version": 2,
            "slot": "worker-0",
            "role": "worker",
            "checks": [],
            "directories": [],
            "files": [],
            "prepare": [],
            "processes": list(processes),
            "restart": {
                "initial_seconds": 0.2,
                "factor": 2.0,
                "maximum_seconds": 1.0,
                "attempts": 2,
                "healthy_seconds": 60.0,
            },
            "stop_seconds": 5.0,
            **changes,
        }

    def end(self) -> None:
        if self.executor is not None and self.executor.poll() is None:
            os.killpg(self.executor.pid, signal.SIGKILL)
            self.executor.wait()
        self.agent.stop()


def processes_of(update: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(base64.b64decode(update["data"]))
    processes: dict[str, Any] = data["processes"]
    return processes


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("zipapp") / "alluxio-mesos-executor.pyz"
    assert build.main([str(path)]) == 0
    return path


@pytest.fixture
def world(tmp_path: pathlib.Path, zipapp: pathlib.Path) -> Iterator[World]:
    world = World(tmp_path, zipapp, sys.executable)
    yield world
    world.end()


def test_a_second_copy_starts_nothing_until_the_first_has_ended(
    world: World, zipapp: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Mesos may take a task for lost that runs: whoever is launched in its place must leave its folders alone."""
    lock = str(tmp_path / "tiers" / "worker-0.lock")
    world.start()
    world.launch(world.document(world.process("worker"), lock=lock))
    world.agent.wait_for_state("TASK_RUNNING", True)
    assert world.executor is not None
    for attempt, first_lives in (("second", True), ("third", False)):
        (tmp_path / attempt).mkdir()
        other = World(tmp_path / attempt, zipapp, sys.executable)
        try:
            other.start()
            other.launch(other.document(other.process("worker"), lock=lock))
            if first_lives:
                failed = other.agent.wait_for_state("TASK_FAILED")
                holder = f"process {world.executor.pid}, which holds {lock}"
                assert (
                    failed["message"] == f"Another copy of worker-0 runs on this agent ({holder}); it must end first."
                )
                assert other.told() == []
                world.executor.kill()  # its processes go with it, and the lock
                world.executor.wait()
            else:
                other.agent.wait_for_state("TASK_RUNNING", True)
        finally:
            other.end()


def test_a_task_starts_runs_and_is_killed(world: World) -> None:
    world.start()
    first, second = world.process("worker"), world.process("job-worker", None, ("worker",))
    world.launch(world.document(first, second))
    running = world.agent.wait_for_state("TASK_RUNNING", True)
    pids = {name: process["pid"] for name, process in processes_of(running).items()}
    assert processes_of(running) == {
        "worker": {"pid": pids["worker"], "restarts": 0, "state": "ready"},
        "job-worker": {"pid": pids["job-worker"], "restarts": 0, "state": "ready"},
    }
    world.kill()
    assert world.exit_code() == 0
    assert [(update["state"], update.get("healthy"), update["message"]) for update in world.agent.updates] == [
        ("TASK_STARTING", None, "preparing folders and files"),
        ("TASK_STARTING", None, "starting worker, then job-worker"),
        ("TASK_STARTING", None, "starting job-worker"),
        ("TASK_RUNNING", True, "ready: worker, job-worker"),
        ("TASK_KILLING", None, "stopping: the scheduler asked for it"),
        ("TASK_KILLED", None, "the scheduler asked for it"),
    ]
    assert world.told() == ["worker started", "job-worker started", "job-worker stopped", "worker stopped"]
    assert not any(map(is_alive, pids.values()))
    assert all(isinstance(update["timestamp"], float) for update in world.agent.updates)
    assert world.agent.authorizations == {None}


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_it_runs_with_every_python_of_this_machine(version: str, tmp_path: pathlib.Path, zipapp: pathlib.Path) -> None:
    """An agent's Python is what its system brings."""
    world = World(tmp_path, zipapp, PYTHONS[version])
    try:
        world.start()
        world.launch(world.document(world.process("worker")))
        world.agent.wait_for_state("TASK_RUNNING", True)
        world.agent.say({"type": "SHUTDOWN"})
        assert world.exit_code() == 0
        assert world.told() == ["worker started", "worker stopped"]
    finally:
        world.end()


def test_a_document_of_version_1_still_runs(world: World) -> None:
    """A scheduler that was not upgraded yet shares the executor's file with one that was."""
    document = world.document(world.process("worker"), version=1)
    del document["checks"]
    world.start()
    world.launch(document)
    world.agent.wait_for_state("TASK_RUNNING", True)


def test_a_crashed_process_starts_again_and_the_folder_keeps_its_blocks(world: World) -> None:
    tier = world.folder / "tier"
    world.start()
    directory = {"path": str(tier), "bytes": 1024, "purpose": "MEM tier"}
    world.launch(world.document(world.process("worker"), directories=[directory]))
    first = processes_of(world.agent.wait_for_state("TASK_RUNNING", True))["worker"]["pid"]
    (tier / "block").write_bytes(b"cached")
    told = len(world.agent.updates)
    os.kill(first, signal.SIGKILL)
    world.agent.wait_for_state("TASK_RUNNING", False)
    again = processes_of(world.agent.wait_for_state("TASK_RUNNING", True, since=told))["worker"]
    assert [(update["state"], update.get("healthy"), update["message"]) for update in world.agent.updates[told:]] == [
        ("TASK_RUNNING", False, "worker exited with signal 9; starting it again in 0.2 s (1 of 2)"),
        ("TASK_RUNNING", True, "ready: worker"),
    ]
    assert again == {"pid": again["pid"], "restarts": 1, "state": "ready"}
    assert again["pid"] != first
    assert (tier / "block").read_bytes() == b"cached"


def test_it_gives_up_with_the_reason_after_the_others_have_stopped(world: World) -> None:
    failing = {
        **world.process("worker", after=("master",)),
        "command": [sys.executable, "-c", "print('no license'); raise SystemExit(3)"],
    }
    world.start()
    world.launch(world.document(world.process("master"), failing))
    failed = world.agent.wait_for_state("TASK_FAILED")
    assert failed["message"] == "worker exited with code 3; 2 restarts did not help. Its last lines: no license"
    assert [update["message"] for update in world.agent.updates if update.get("healthy") is False] == [
        "worker exited with code 3; starting it again in 0.2 s (1 of 2)",
        "worker exited with code 3; starting it again in 0.4 s (2 of 2)",
        "giving up: worker exited with code 3; 2 restarts did not help. Its last lines: no license",
    ]
    assert world.told() == ["master started", "master stopped"]
    assert world.exit_code() == 0
    assert (world.sandbox / "logs" / "worker.out").read_text() == "no license\n" * 3


def test_a_process_that_is_not_ready_in_time_is_killed_and_started_again(world: World) -> None:
    deaf = world.process("worker")
    deaf["ready"] = {"kind": "tcp", "host": "127.0.0.1", "port": held_port(), "seconds": 0.5}
    world.start()
    world.launch(world.document(deaf))
    late = world.agent.wait_for_state("TASK_RUNNING", False)
    assert late["message"] == "worker was not ready within 0.5 s and was killed; starting it again in 0.2 s (1 of 2)"


def alive(process: dict[str, Any], timeout_seconds: float = 0.5) -> dict[str, Any]:
    """The process, and the order to ask it where it is asked for readiness."""
    address = {name: value for name, value in process["ready"].items() if name != "seconds"}
    return {**process, "alive": {**address, "every_seconds": 0.2, "failures": 3, "timeout_seconds": timeout_seconds}}


def test_a_process_that_hangs_is_killed_and_the_others_are_left_alone(world: World) -> None:
    """SIGSTOP: the kernel still accepts connections, nobody answers them."""
    worker = alive(world.process("worker"))
    world.start()
    world.launch(world.document(worker, alive(world.process("job-worker"), timeout_seconds=20.0)))
    first = processes_of(world.agent.wait_for_state("TASK_RUNNING", True))
    told = len(world.agent.updates)
    os.kill(first["worker"]["pid"], signal.SIGSTOP)
    again = processes_of(world.agent.wait_for_state("TASK_RUNNING", True, since=told))
    assert again == {
        "worker": {"pid": again["worker"]["pid"], "restarts": 1, "state": "ready"},
        "job-worker": first["job-worker"],
    }
    assert not is_alive(first["worker"]["pid"])
    address = worker["alive"]["url"].split("/")[2]
    messages = [update["message"] for update in world.agent.updates[told:]]
    silence = re.escape(f"worker did not answer on {address} for ") + r"[1-9][0-9.]* s and "
    assert re.fullmatch(silence + "is being killed", messages[0])
    assert re.fullmatch(silence + r"was killed; starting it again in 0\.2 s \(1 of 2\)", messages[1])
    assert messages[2:] == ["ready: worker, job-worker"]


def test_a_process_that_closes_its_port_and_stays_is_killed_too(world: World) -> None:
    """Alluxio 2.9.6 may wait for ever for its standby server while it becomes the primary: its port refuses."""
    port = held_port()
    program = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); s.accept(); s.close(); time.sleep(99)"
    )
    master = alive({**world.process("master", port), "command": [sys.executable, "-c", program]})
    for probe in ("ready", "alive"):
        master[probe] = {**master[probe], "kind": "tcp", "host": "127.0.0.1", "port": port}
        del master[probe]["url"]
    world.start()
    world.launch(world.document(master))
    world.agent.wait_for_state("TASK_RUNNING", True)
    hanging = world.agent.wait_for_state("TASK_RUNNING", False)
    assert hanging["message"].startswith(f"master did not answer on 127.0.0.1:{port} for ")


def test_a_process_that_hangs_stops_in_time_when_asked_to(world: World) -> None:
    world.start()
    patient = alive(world.process("master"))
    patient["alive"]["failures"] = 1000
    world.launch(world.document(patient, stop_seconds=1.0))
    pid = processes_of(world.agent.wait_for_state("TASK_RUNNING", True))["master"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    world.kill()
    assert world.exit_code() == 0
    assert 1.0 <= time.monotonic() - begin < 20.0
    assert not is_alive(pid)
    assert world.agent.states()[-1] == ("TASK_KILLED", None)


def test_a_process_that_becomes_ready_is_told_while_another_is_in_trouble(world: World) -> None:
    gate = world.folder / "gate"
    os.mkfifo(gate)
    waiting = world.process("job-master")
    waiting["command"] = ["sh", "-c", f'read line < {gate}; exec "$@"', "sh", *waiting["command"]]
    failing = {**world.process("master"), "command": ["false"]}
    world.start()
    restart = {**world.document()["restart"], "initial_seconds": 60.0, "maximum_seconds": 60.0}
    world.launch(world.document(failing, waiting, restart=restart))
    trouble = world.agent.wait_for_state("TASK_RUNNING", False)
    assert processes_of(trouble)["job-master"]["state"] == "starting"
    told = len(world.agent.updates)
    gate.write_text("\n")
    ready = world.agent.wait_for_state("TASK_RUNNING", False, since=told)
    assert ready["message"] == trouble["message"]
    assert {name: process["state"] for name, process in processes_of(ready).items()} == {
        "master": "backing-off",
        "job-master": "ready",
    }


def test_a_command_that_does_not_exist_is_named(world: World) -> None:
    missing = {**world.process("worker"), "command": ["/no/such/java"]}
    world.start()
    world.launch(world.document(missing))
    failed = world.agent.wait_for_state("TASK_FAILED")
    why = "/no/such/java: No such file or directory"
    assert failed["message"] == f"worker cannot be started ({why}); 2 restarts did not help. It wrote nothing."


def test_a_stubborn_process_is_killed_when_the_kill_policy_says(world: World) -> None:
    world.start()
    world.launch(world.document(world.process("worker", None, (), "stubborn"), stop_seconds=1000.0))
    world.agent.wait_for_state("TASK_RUNNING", True)
    world.kill(kill_policy={"grace_period": {"nanoseconds": 3_000_000_000}})
    assert world.exit_code() == 0
    assert world.told() == ["worker started", "worker ignored"]
    assert world.agent.states()[-2:] == [("TASK_KILLING", None), ("TASK_KILLED", None)]


@pytest.mark.parametrize("how", ["SHUTDOWN", "SIGTERM"])
def test_leaving_stops_the_processes_first_and_within_the_agents_grace(world: World, how: str) -> None:
    # E6
    world.start()
    world.launch(
        world.document(world.process("worker"), world.process("proxy", None, (), "stubborn"), stop_seconds=1000.0)
    )
    world.agent.wait_for_state("TASK_RUNNING", True)
    assert world.executor is not None
    if how == "SHUTDOWN":
        world.agent.say({"type": "SHUTDOWN"})
    else:
        world.executor.terminate()
    assert world.exit_code() == 0
    assert sorted(world.told()) == ["proxy ignored", "proxy started", "worker started", "worker stopped"]
    assert world.agent.states()[-1] == ("TASK_KILLED", None)


def test_shutdown_without_a_task_is_the_end(world: World) -> None:
    world.start()
    wait_for(lambda: world.agent._streams, "the stream")
    world.agent.say({"type": "SHUTDOWN"})
    assert world.exit_code() == 0
    assert world.agent.updates == []


def discard(world: World, *folders: pathlib.Path) -> None:
    data = base64.b64encode(json.dumps({"discard": [str(folder) for folder in folders]}).encode()).decode()
    world.agent.say({"type": "MESSAGE", "message": {"data": data}})


def test_the_folders_go_with_the_task_when_the_service_is_removed(world: World) -> None:
    tier, journal, other = world.folder / "ram" / "worker-0", world.folder / "data" / "worker-0", world.folder / "other"
    other.mkdir()
    folders = [
        {"path": str(path), "bytes": 0, "purpose": "tier"}
        for path in (tier, journal / "journal", journal / "metastore")
    ]
    world.start()
    world.agent.say({"type": "MESSAGE", "message": {"data": base64.b64encode(b"of a later release").decode()}})
    world.launch(world.document(world.process("worker"), directories=folders))
    world.agent.wait_for_state("TASK_RUNNING", True)
    (tier / "block").write_bytes(b"cached")
    discard(world, tier, journal, other)
    wait_for(lambda: "With the task these folders go" in world.log(), "the word")
    assert (tier / "block").exists()  # not before the process has ended
    world.kill()
    world.agent.wait_for_state("TASK_KILLED")
    assert (tier.exists(), journal.exists(), other.exists()) == (False, False, True)
    assert world.exit_code() == 0
    assert f"{other} stays: it is no folder of this task" in world.log()


def test_a_task_that_is_only_killed_leaves_its_folders(world: World) -> None:
    tier = world.folder / "ram" / "worker-0"
    world.start()
    world.launch(
        world.document(world.process("worker"), directories=[{"path": str(tier), "bytes": 0, "purpose": "tier"}])
    )
    world.agent.wait_for_state("TASK_RUNNING", True)
    (tier / "block").write_bytes(b"cached")
    world.kill()
    world.agent.wait_for_state("TASK_KILLED")
    assert world.exit_code() == 0
    assert (tier / "block").exists()


def test_no_orphan_is_left_when_the_executor_is_killed(world: World) -> None:
    world.start()
    world.launch(world.document(world.process("worker"), world.process("job-worker")))
    running = processes_of(world.agent.wait_for_state("TASK_RUNNING", True))
    assert world.executor is not None
    assert {os.getpgid(process["pid"]) for process in running.values()} == {world.executor.pid}
    world.executor.kill()
    wait_for(lambda: not any(is_alive(process["pid"]) for process in running.values()), "the end of all processes")
    assert sorted(world.told()) == ["job-worker started", "worker started"]


def test_an_agents_restart_loses_no_update_and_touches_no_process(world: World) -> None:
    # E2, E5: updates that were sent and those of the time without an agent.
    world.agent.silent = True
    world.start()
    world.launch(world.document(world.process("worker")))
    running = world.agent.wait_for_state("TASK_RUNNING", True)
    told = [update["uuid"] for update in world.agent.updates]
    world.agent.stop()
    pid = processes_of(running)["worker"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: world.told() == ["worker started"] * 2, "the restart of the process")
    world.agent.updates.clear()
    world.agent.silent, world.agent.recovering = False, 2
    subscribes = len(world.agent.subscribes)
    world.agent.start()
    world.agent.wait_for_state("TASK_RUNNING", True, since=3)
    again = wait_for(lambda: world.agent.subscribes[subscribes + 2 :], "SUBSCRIBE after two answers of 503")[0]
    carried = again["subscribe"]
    assert [task["task_id"]["value"] for task in carried["unacknowledged_tasks"]] == ["worker-0.1"]
    assert [update["status"]["uuid"] for update in carried["unacknowledged_updates"]][:3] == told
    assert [(update["state"], update.get("healthy")) for update in world.agent.updates] == [
        ("TASK_STARTING", None),
        ("TASK_STARTING", None),
        ("TASK_RUNNING", True),
        ("TASK_RUNNING", False),
        ("TASK_RUNNING", True),
    ]
    world.kill()
    assert world.exit_code() == 0
    assert world.told() == ["worker started", "worker started", "worker stopped"]


def test_an_acknowledged_update_is_not_sent_again(world: World) -> None:
    world.start()
    world.launch(world.document(world.process("worker")))
    last = world.agent.wait_for_state("TASK_RUNNING", True)
    wait_for(lambda: last["uuid"] in world.agent.acknowledged, "its acknowledgement")
    world.agent.stop()
    subscribes = len(world.agent.subscribes)
    world.agent.start()
    again = wait_for(lambda: world.agent.subscribes[subscribes:], "SUBSCRIBE")[0]
    assert again["subscribe"] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}


@pytest.mark.parametrize("environment", [{"MESOS_CHECKPOINT": "0"}, {"MESOS_RECOVERY_TIMEOUT": "1secs"}])
def test_it_leaves_when_the_agent_stays_away(world: World, environment: dict[str, str]) -> None:
    # E1, E4
    world.start(**environment)
    world.launch(world.document(world.process("worker")))
    world.agent.wait_for_state("TASK_RUNNING", True)
    world.agent.stop()
    assert world.exit_code() == 3
    assert world.told() == ["worker started", "worker stopped"]
    world.agent.start()


@pytest.mark.parametrize("status", [401, 403])
def test_an_agent_that_refuses_the_executor_ends_it(world: World, status: int) -> None:
    world.agent.refusal = status
    world.start()
    assert world.exit_code() == 5
    assert f"Leaving: the agent refuses this executor: Failed with HTTP {status}: b'no'" in world.log()
    assert len(world.agent.subscribes) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_an_agent_in_trouble_is_asked_again_without_haste(world: World, status: int) -> None:
    # E4
    world.agent.refusal = status
    world.start()
    wait_for(lambda: len(world.agent.subscribes) >= 5, "five SUBSCRIBEs")
    # The pauses grow from 0.1 s to 0.5 s.
    pauses = [later - earlier for earlier, later in itertools.pairwise(world.agent.subscribed_at)]
    assert [pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.5), strict=False)] == [True] * 4
    world.agent.refusal = None
    world.launch(world.document(world.process("worker")))
    world.agent.wait_for_state("TASK_RUNNING", True)
    world.agent.say({"type": "SHUTDOWN"})
    assert world.exit_code() == 0


def test_an_error_of_the_agent_stops_the_processes_and_ends_the_executor(world: World) -> None:
    world.start()
    world.launch(world.document(world.process("worker")))
    world.agent.wait_for_state("TASK_RUNNING", True)
    world.agent.say({"type": "ERROR", "error": {"message": "unknown executor"}})
    assert world.exit_code() == 5
    assert world.told() == ["worker started", "worker stopped"]
    assert world.agent.updates[-1]["message"] == "unknown executor"


def test_an_event_that_cannot_be_understood_ends_the_executor_with_its_own_code(world: World) -> None:
    world.start()
    world.launch(world.document(world.process("worker")))
    world.agent.wait_for_state("TASK_RUNNING", True)
    world.agent.say({"type": "KILL", "kill": {}})
    assert world.exit_code() == 70
    assert world.told() == ["worker started", "worker stopped"]
    assert "Leaving: KeyError while dealing with KILL: 'task_id'." in world.log()


def test_an_event_of_a_newer_mesos_is_passed_over(world: World) -> None:
    world.start()
    wait_for(lambda: world.agent._streams, "the stream")
    for event in ({"type": "HEARTBEAT"}, {"type": "UNKNOWN"}, {"type": "NOVELTY", "novelty": {}}, {}):
        world.agent.say(event)
    world.launch(world.document(world.process("worker")))
    world.agent.wait_for_state("TASK_RUNNING", True)


def test_the_agents_token_is_sent_with_every_call_and_kept_from_the_processes(world: World) -> None:
    # E3
    world.start(MESOS_EXECUTOR_AUTHENTICATION_TOKEN="secret.token")
    program = "import os, sys; print(sorted(n for n in os.environ if 'TOKEN' in n)); sys.exit(1)"
    shows = {"name": "show", "command": [sys.executable, "-c", program], "environment": {"A_TOKEN": "visible"}}
    world.launch(world.document(world.process("worker"), prepare=[shows]))
    failed = world.agent.wait_for_state("TASK_FAILED")
    assert failed["message"] == "show exited with code 1. Its last lines: ['A_TOKEN']"
    assert world.agent.authorizations == {"Bearer secret.token"}


def test_an_update_that_the_agent_does_not_take_is_sent_again_in_its_order(world: World) -> None:
    # E2
    world.agent.broken_updates = 2
    world.start()
    world.launch(world.document(world.process("worker")))
    world.agent.wait_for_state("TASK_RUNNING", True)
    assert world.agent.states() == [("TASK_STARTING", None), ("TASK_STARTING", None), ("TASK_RUNNING", True)]


def test_an_acknowledgement_of_something_else_or_twice_changes_nothing(world: World) -> None:
    # E2
    world.agent.silent = True
    world.start()
    world.launch(world.document(world.process("worker")))
    running = world.agent.wait_for_state("TASK_RUNNING", True)
    foreign = base64.b64encode(bytes(16)).decode()
    first = world.agent.updates[0]["uuid"]
    for identity in (foreign, first, first):
        acknowledged = {"task_id": running["task_id"], "uuid": identity}
        world.agent.say({"type": "ACKNOWLEDGED", "acknowledged": acknowledged})
    world.agent.stop()
    subscribes = len(world.agent.subscribes)
    world.agent.start()
    again = wait_for(lambda: world.agent.subscribes[subscribes:], "SUBSCRIBE")[0]["subscribe"]
    carried = [update["status"]["uuid"] for update in again["unacknowledged_updates"]]
    assert carried == [update["uuid"] for update in world.agent.updates[1:3]]


def test_the_agent_says_how_long_the_pause_between_attempts_may_be(world: World) -> None:
    # E4
    world.agent.refusal = 503
    world.start(MESOS_SUBSCRIPTION_BACKOFF_MAX="100ms")

    def pauses() -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(world.agent.subscribed_at)]

    # The usual pauses are 0.5 s long from the fourth on.
    wait_for(lambda: len(pauses()) >= 7 and min(pauses()[3:]) < 0.4, "short pauses")
    assert min(pauses()) >= 0.1


def test_a_launch_that_comes_again_starts_nothing_and_a_second_task_is_refused(world: World) -> None:
    world.start()
    document = world.document(world.process("worker"))
    world.launch(document)
    world.agent.wait_for_state("TASK_RUNNING", True)
    world.launch(document)
    world.launch(document, task_id="worker-1.1")
    refused = world.agent.wait_for_state("TASK_FAILED")
    assert (refused["task_id"], refused["message"]) == (
        {"value": "worker-1.1"},
        "this executor runs one task, worker-0.1; launch another executor",
    )
    world.kill("worker-9.1")
    world.kill()
    assert world.exit_code() == 0
    assert world.told() == ["worker started", "worker stopped"]


def test_a_document_with_mistakes_fails_with_all_of_them(world: World) -> None:
    world.start()
    world.launch(world.document(stop_seconds=-1, slot="Worker 0"))
    failed = world.agent.wait_for_state("TASK_FAILED")
    assert failed["message"] == (
        'slot is "Worker 0"; it must be a name of at most 63 lower-case letters, digits and hyphens. '
        "stop_seconds is -1; it must be a number of at least 0. "
        "processes is empty; a task needs at least one."
    )
    assert world.exit_code() == 0


def test_a_folder_that_has_no_room_is_refused_before_anything_starts(world: World) -> None:
    tier = world.folder / "tier"
    world.start()
    world.launch(
        world.document(
            world.process("worker"), directories=[{"path": str(tier), "bytes": 1 << 60, "purpose": "MEM tier"}]
        )
    )
    failed = world.agent.wait_for_state("TASK_FAILED")
    assert failed["message"].startswith(f"The file system of {tier} (MEM tier) has ")
    assert failed["message"].endswith(
        " in all, but 1099511627776 MiB are asked for; make that file system larger or ask for less."
    )
    assert world.told() == []


def test_failed_checks_end_the_task_before_anything_is_made(world: World) -> None:
    # C30: a journal that is gone is not made anew by making its folder.
    journal, marker = world.folder / "journal", world.folder / "journal" / "formatted"
    other = world.folder / "other"
    other.mkdir()
    (other / "edits").touch()
    checks = [
        {"kind": "exists", "path": str(marker), "sentence": f"The journal at {journal} is gone."},
        {"kind": "absent", "path": "${SANDBOX}/old", "sentence": "${SANDBOX}/old is not wanted."},
        {"kind": "empty-unless", "path": str(other), "marker": str(marker), "sentence": f"{other} is somebody's."},
    ]
    step = {"name": "format", "command": ["touch", f"{journal}/formatted"], "environment": {}}
    directory = {"path": str(journal), "bytes": 1, "purpose": "journal"}
    world.start()
    world.launch(world.document(world.process("master"), checks=checks, directories=[directory], prepare=[step]))
    failed = world.agent.wait_for_state("TASK_FAILED")
    assert failed["message"] == f"The journal at {journal} is gone. {other} is somebody's."
    assert world.exit_code() == 0
    assert not journal.exists()
    assert world.told() == []


def test_an_executor_that_dies_while_it_formats_may_begin_again(tmp_path: pathlib.Path, zipapp: pathlib.Path) -> None:
    # C30
    journal, marker, gate = tmp_path / "journal", tmp_path / "journal-formatted", tmp_path / "gate"
    os.mkfifo(gate)
    directory = {"path": str(journal), "bytes": 1, "purpose": "journal"}
    check = {"kind": "empty-unless", "path": str(journal), "marker": str(marker), "sentence": "Whose journal is it?"}
    step = {
        "name": "format",
        "command": ["sh", "-c", f"touch {journal}/half; read line < {gate}; echo done"],
        "environment": {},
        "unless_exists": str(marker),
        "creates": str(marker),
    }

    def launched(name: str, slot: str) -> World:
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, zipapp, sys.executable)
        world.start()
        world.launch(
            world.document(world.process("master"), slot=slot, directories=[directory], checks=[check], prepare=[step])
        )
        return world

    worlds = [launched("first", "master-0")]
    try:
        wait_for((journal / "half").exists, "half a format")
        assert worlds[0].executor is not None
        worlds[0].executor.kill()
        worlds[0].executor.wait()
        worlds.append(launched("other", "master-1"))
        assert worlds[1].agent.wait_for_state("TASK_FAILED")["message"] == "Whose journal is it?"
        (journal / "half").unlink()
        worlds.append(launched("another", "master-1"))
        assert worlds[2].agent.wait_for_state("TASK_FAILED")["message"] == (
            f"format cannot be started (master-0 began it and has not ended, as {marker}.begun says; "
            "remove that file if nothing runs there). It wrote nothing."
        )
        (journal / "half").touch()
        worlds.append(launched("second", "master-0"))
        gate.write_text("\n")
        worlds[3].agent.wait_for_state("TASK_RUNNING", True)
        assert sorted(entry.name for entry in tmp_path.glob("journal*")) == ["journal", "journal-formatted"]
    finally:
        for world in worlds:
            world.end()


def test_files_and_steps_come_first_and_a_step_runs_once(tmp_path: pathlib.Path, zipapp: pathlib.Path) -> None:
    marker, journal = tmp_path / "kept" / ".formatted", tmp_path / "kept" / "journal"
    for attempt in ("1", "2"):
        (tmp_path / attempt).mkdir()
        world = World(tmp_path / attempt, zipapp, sys.executable)
        home = world.sandbox / "alluxio-2.9.6"
        (home / "lib").mkdir(parents=True)
        program = f"import sys; open({str(journal)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))"
        step = {
            "name": "format",
            "command": [sys.executable, "-c", program, "${CLASS_PATH}", "${alluxio.home}"],
            "environment": {},
            "unless_exists": str(marker),
            "creates": str(marker),
        }
        site = {"path": "${SANDBOX}/conf/alluxio-site.properties", "content": "home=${ALLUXIO_HOME}", "mode": "0600"}
        try:
            journal.parent.mkdir(exist_ok=True)
            world.start()
            world.launch(world.document(world.process("master"), files=[site], prepare=[step]))
            world.agent.wait_for_state("TASK_RUNNING", True)
            written = world.sandbox / "conf" / "alluxio-site.properties"
            assert written.read_text() == f"home={home}"
            assert stat.S_IMODE(written.stat().st_mode) == 0o600
        finally:
            world.end()
        first = tmp_path / "1" / "sandbox"
        assert journal.read_text() == f"{first}/conf:{first}/alluxio-2.9.6/lib/* ${{alluxio.home}}\n"
        assert marker.exists()


def test_a_step_that_fails_fails_the_task_and_leaves_no_marker(world: World) -> None:
    marker = world.folder / ".formatted"
    step = {
        "name": "format",
        "command": ["sh", "-c", "echo the journal is not writable; exit 255"],
        "environment": {},
        "unless_exists": str(marker),
        "creates": str(marker),
    }
    world.start()
    world.launch(world.document(world.process("master"), prepare=[step]))
    failed = world.agent.wait_for_state("TASK_FAILED")
    assert failed["message"] == "format exited with code 255. Its last lines: the journal is not writable"
    assert world.told() == []
    assert not marker.exists()


def test_a_task_can_be_killed_while_it_is_prepared(world: World) -> None:
    step = {"name": "format", "command": ["sleep", "60"], "environment": {}}
    world.start()
    world.launch(world.document(world.process("master"), prepare=[step]))
    wait_for(lambda: "Started format" in world.log(), "the start of the step")
    world.kill()
    assert world.exit_code() == 0
    assert world.agent.states() == [
        ("TASK_STARTING", None),
        ("TASK_STARTING", None),
        ("TASK_KILLING", None),
        ("TASK_KILLED", None),
    ]
    assert world.told() == []
