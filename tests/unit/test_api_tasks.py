"""The routes of tasks, their logs and clients' configuration; the logs through agents as Mesos has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, is_problem, serving
from framework.api import sandboxes
from framework.model import Failure, Kind, Record, Report, TaskState
from framework.planner import State
from stage import wanted
from web_server import WebServer, web_server

DIRECTORY = "/var/lib/mesos/slaves/S1/frameworks/framework-1/executors/worker-0.3/runs/r"
OLD = "/var/lib/mesos/slaves/S1/frameworks/framework-1/executors/worker-0.2/runs/r"
WORKER = Record(
    Kind.WORKER,
    0,
    3,
    "S1",
    "h1",
    {"rpc": 21000, "web": 21001},
    "c1",
    1000.0,
    deployed=True,
    attributes={"rack": "r1", "@zone": "eu-1"},
)
MASTER = Record(Kind.MASTER, 0, 1, "S2", "h2", {"rpc": 21000, "web": 21001}, "c1", 900.0)


class Mesos:
    """A master and the one agent that it knows, in one server. ``files`` by their path; ``longest`` is what an agent
    gives at most in one answer, 16 pages of memory.
    """

    def __init__(self) -> None:
        self.files = {
            f"{DIRECTORY}/stdout": b"out\n",
            f"{DIRECTORY}/stderr": b"",
            f"{DIRECTORY}/logs/worker.log": b"".join(b"line %d\n" % number for number in range(1, 1001)),
            f"{DIRECTORY}/conf/alluxio-site.properties": b"aws.secretKey=hidden\n",
            "/etc/passwd": b"root\n",
        }
        self.section = "executors"
        self.agents: list[dict[str, Any]] = []
        self.refuses = 0
        self.longest = 16 * 4096

    def answer(self, path: str, query: dict[str, str]) -> Any:
        if self.refuses and path != "/api/v1":
            return self.refuses
        if path == "/api/v1":
            return {"type": "GET_AGENTS", "get_agents": {"agents": self.agents}}
        if path == "/state":
            ours = [{"id": "worker-0.2", "directory": OLD}, {"id": "worker-0.3", "directory": DIRECTORY}]
            return {"frameworks": [{"id": "other", self.section: ours[:1]}, {"id": "framework-1", self.section: ours}]}
        if path == "/files/browse":
            below = f"{query['path']}/"
            names = {name.removeprefix(below).partition("/") for name in self.files if name.startswith(below)}
            return [
                {"path": below + name, "mode": "drwxr-xr-x" if slash else "-rw-r--r--"}
                for name, slash, _ in sorted(names)
            ] or 404
        content = self.files.get(query["path"])
        if content is None:
            return 404
        offset = int(query["offset"])
        if offset == -1:
            return {"data": "", "offset": len(content)}
        length = min(int(query["length"]), self.longest)
        return {"data": content[offset : offset + length].decode(errors="replace"), "offset": offset}


class Stage:
    def __init__(self, api: Api, mesos: Mesos, server: WebServer) -> None:
        self.api, self.mesos, self.server = api, mesos, server
        mesos.agents = [agent("S0", "127.0.0.1:1"), agent("S1", server.address)]
        report = Report("worker-0.3", TaskState.RUNNING, "S1", 1010.0, 1005.0, True, "fine", "", {"worker": "ready"})
        api.state = State(
            wanted=wanted(workers=2),
            records={"worker-0": WORKER, "master-0": MASTER},
            reports={"worker-0.3": report},
            connected=True,
            master=server.address,
            framework_id="framework-1",
        )

    def log(self, query: str = "", task: str = "worker-0", **more: Any) -> Any:
        return self.api.get(f"/v1/tasks/{task}/log{query}", **more)


def agent(name: str, address: str) -> dict[str, Any]:
    info = {"id": {"value": name}, "hostname": "a name that does not resolve", "port": 5051}
    return {"agent_info": info, "active": True, "pid": f"slave(1)@{address}"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    mesos = Mesos()
    with web_server(mesos.answer) as server, serving(tmp_path) as api:
        yield Stage(api, mesos, server)


# Tasks ----------------------------------------------------------------------------------------------------------------


def test_a_task_is_told_with_all_that_is_known(stage: Stage) -> None:
    assert stage.api.get("/v1/tasks/worker-0").json() == {
        "slot": "worker-0",
        "kind": "worker",
        "phase": "running",
        "task_id": "worker-0.3",
        "attempt": 3,
        "agent_id": "S1",
        "hostname": "h1",
        "ports": {"rpc": 21000, "web": 21001},
        "configuration": "c1",
        "launched_at": 1000.0,
        "deployed": True,
        "state": "TASK_RUNNING",
        "ready": True,
        "message": "fine",
        "since": 1005.0,
        "attributes": {"rack": "r1", "@zone": "eu-1"},
        "processes": {"worker": "ready"},
        "sandbox": "slaves/S1/frameworks/framework-1/executors/worker-0.3/runs/latest",
    }
    assert stage.api.get("/v1/tasks/worker-0.3").json() == stage.api.get("/v1/tasks/worker-0").json()


def test_all_tasks_come_in_the_order_of_deployment(stage: Stage) -> None:
    stage.api.state = dataclasses.replace(stage.api.state, failures={"worker-1": Failure(2, 1.0, "it broke")})
    found = stage.api.get("/v1/tasks").json()
    assert [task["slot"] for task in found] == ["master-0", "worker-0", "worker-1"]
    assert found[1] == stage.api.get("/v1/tasks/worker-0").json()
    failure = {"count": 2, "reason": "it broke", "next_launch_in_seconds": 0.0}
    assert found[2] == {"slot": "worker-1", "kind": "worker", "phase": "waiting", "failure": failure}


@pytest.mark.parametrize("name", ["worker-7", "worker-0.2", "worker-0.33", "nothing", "worker-0."])
def test_what_is_not_there_is_named_with_what_is(stage: Stage, name: str) -> None:
    for path in (f"/v1/tasks/{name}", f"/v1/tasks/{name}/log"):
        detail = f"there is no task {name!r}; there are master-0, worker-0, worker-1"
        assert is_problem(stage.api.get(path), 404, detail)


# Logs -----------------------------------------------------------------------------------------------------------------


def test_the_end_of_the_first_process_log_is_the_default(stage: Stage) -> None:
    answer = stage.log()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.text.splitlines() == [f"line {number}" for number in range(901, 1001)]
    assert stage.log("?lines=2").text == "line 999\nline 1000\n"
    assert stage.log("?file=stdout").text == "out\n"
    assert stage.log("?file=stderr").text == ""


def test_a_log_comes_as_json_for_who_asks_for_it(stage: Stage) -> None:
    told = {"task_id": "worker-0.3", "file": "logs/worker.log", "size_bytes": 8893, "cut": True, "text": "line 1000\n"}
    assert stage.log("?lines=1", headers={"Accept": "application/json"}).json() == told
    whole = stage.log("?lines=1000", headers={"Accept": "application/json"}).json()
    assert (whole["cut"], whole["text"].startswith("line 1\n")) == (False, True)


def test_the_size_of_an_answer_is_bounded_and_its_lines_are_whole(stage: Stage) -> None:
    stage.mesos.files[f"{DIRECTORY}/logs/worker.log"] = b"".join(b"%s %d\n" % (b"x" * 95, n) for n in range(100_000))
    answer = stage.log("?lines=1000")
    lines = answer.text.splitlines()
    assert len(answer.content) <= sandboxes.LONGEST
    assert lines[-1] == f"{'x' * 95} 99999"
    assert lines[0].startswith("x" * 95 + " ")
    assert [int(line[96:]) for line in lines] == list(range(100_000 - len(lines), 100_000))
    # One line that is longer than all that is read is not lost, though it cannot be whole.
    stage.mesos.files[f"{DIRECTORY}/stdout"] = b"y" * 1_000_000
    assert stage.log("?file=stdout").text == "y" * sandboxes.LONGEST


def test_bytes_that_are_no_text_harm_nothing(stage: Stage) -> None:
    stage.mesos.files[f"{DIRECTORY}/stdout"] = b"\xff\xfe a\x00b \xe2\x80\xa8 <script>\nlast\n"
    answer = stage.log("?file=stdout&lines=2")
    assert (answer.status_code, answer.text.endswith("<script>\nlast\n")) == (200, True)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "file",
    [
        "../worker-0.2/stdout",
        "logs/../conf/alluxio-site.properties",
        "logs/../../../../../../../../etc/passwd",
        "/etc/passwd",
        f"{DIRECTORY}/stdout",
        "conf/alluxio-site.properties",
        "logs",
        "logs/",
        "logs//worker.log",
        "logs/./worker.log",
        "./stdout",
        "stdout/",
        "stdout\0",
        "logs/a\nb",
        "logs/%2e%2e/x",
        "logs\\..\\conf",
        "logs/wörker.log",
        "",
    ],
)
def test_only_outputs_and_logs_can_be_read(stage: Stage, file: str) -> None:
    """The configuration may hold the under-storage's secrets."""
    assert is_problem(stage.log(params={"file": file}), 400, "name stdout, stderr or a file below logs/")
    assert stage.server.asked == []


@pytest.mark.parametrize("lines", ["0", "-1", "1001", "many", "1.5", "", "9" * 5000, "٣"])
def test_lines_are_a_small_whole_number(stage: Stage, lines: str) -> None:
    assert is_problem(stage.log(params={"lines": lines}), 400, "write a whole number from 1 to 1000")


def test_a_misspelled_parameter_is_told(stage: Stage) -> None:
    assert is_problem(stage.log("?line=5"), 400, "there is no query parameter 'line'; allowed: file, lines")


def test_a_file_that_is_not_there_is_named_with_those_that_are(stage: Stage) -> None:
    assert is_problem(
        stage.log("?file=logs/other.log"),
        404,
        "worker-0.3 has no file logs/other.log; it has: stderr, stdout, logs/worker.log",
    )


def test_the_sandbox_of_a_task_that_has_ended_can_still_be_read(stage: Stage) -> None:
    stage.mesos.section = "completed_executors"
    assert stage.log("?file=stdout").text == "out\n"


def test_a_sandbox_that_is_gone_is_told(stage: Stage) -> None:
    stage.mesos.section = "none"
    assert is_problem(stage.log(), 404, "has no sandbox of worker-0.3 any more; Mesos removes those of ended tasks")


def test_a_task_that_was_never_launched_has_no_log(stage: Stage) -> None:
    assert is_problem(stage.log(task="worker-1"), 404, "worker-1 was not launched yet: it has no log")


def test_an_agent_that_is_away_is_told(stage: Stage) -> None:
    stage.mesos.agents = [agent("S0", stage.server.address)]
    expected = f"agent h1 (S1) of worker-0.3 is not connected to the Mesos master {stage.server.address}"
    assert is_problem(stage.log(), 503, expected)
    stage.mesos.agents = [agent("S1", "127.0.0.1:1")]
    assert is_problem(stage.log(), 503, "agent h1 at 127.0.0.1:1 does not answer (ConnectionError); ask again when it")


def test_an_agent_that_refuses_is_told(stage: Stage) -> None:
    stage.mesos.refuses = 401
    assert is_problem(stage.log(), 503, "refuses to show its files (401 Unauthorized)")


def test_a_mesos_master_that_is_away_is_told(stage: Stage) -> None:
    stage.api.state = dataclasses.replace(stage.api.state, master="127.0.0.1:1")
    assert is_problem(stage.log(), 503, "the Mesos master at 127.0.0.1:1 does not answer")
    stage.api.state = dataclasses.replace(stage.api.state, master="")
    assert is_problem(stage.log(), 503, "no Mesos master is known at this moment")


def test_where_an_agent_listens_is_remembered_until_it_moves(stage: Stage) -> None:
    assert stage.log().status_code == stage.log().status_code == 200
    assert stage.server.asked.count("/api/v1") == 1
    with web_server(stage.mesos.answer) as elsewhere:
        stage.mesos.agents = [agent("S1", elsewhere.address)]
        stage.mesos.section = "none"  # at the old address there is another agent now, which has no such sandbox
        assert stage.log().status_code == 404
        stage.mesos.section = "executors"
        assert stage.log().status_code == 200
        assert "/files/read" in elsewhere.asked


# Clients --------------------------------------------------------------------------------------------------------------


def test_a_client_gets_text_or_json(stage: Stage) -> None:
    text = stage.api.get("/v1/endpoints/alluxio")
    assert (text.status_code, text.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "alluxio.master.hostname=h2\n" in text.text
    document = stage.api.get("/v1/endpoints/alluxio", headers={"Accept": "application/json"}).json()
    assert (document["uri"], document["text"]) == ("alluxio://h2:21000/", text.text)
    assert document["properties"]["alluxio.master.rpc.port"] == "21000"
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert stage.api.get("/v1/endpoints/alluxio", headers=browser).text == text.text


def test_prometheus_gets_its_targets_as_a_list(stage: Stage) -> None:
    found = stage.api.get("/v1/endpoints/prometheus")
    assert found.headers["content-type"] == "application/json"
    assert [target["labels"]["slot"] for target in found.json()] == ["worker-0"]


def test_a_client_that_is_not_known_is_told_of_those_that_are(stage: Stage) -> None:
    assert is_problem(
        stage.api.get("/v1/endpoints/flink"), 404, "there are some for alluxio, spark, hadoop, s3, prometheus"
    )
    assert is_problem(stage.api.get("/v1/endpoints/s3"), 404, "start the scheduler with --proxies 1 to get one")
    stage.api.state = dataclasses.replace(stage.api.state, records={})
    assert is_problem(stage.api.get("/v1/endpoints/spark"), 503, "0 of 1 Alluxio masters have an agent yet")
