"""What a person sees of `local up` and `local status`."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from framework.local.cluster import Ready, page_of
from framework.local.show import Steps, final_table, status_table
from web_server import web_server

ENDPOINTS: dict[str, Any] = {
    "api": "http://127.0.0.1:8080",
    "mesos": "http://127.0.0.1:5050",
    "zookeeper": "127.0.0.1:2181",
    "alluxio": {
        "leader": "127.0.0.11:31000",
        "web": "http://127.0.0.11:31001",
        "masters": ["127.0.0.11:31000"],
        "workers": ["127.0.0.11:31004", "127.0.0.12:31000"],
        "proxies": [],
    },
}
MASTER: dict[str, Any] = {
    "slot": "master-0",
    "phase": "ready",
    "hostname": "127.0.0.11",
    "ports": {"rpc": 31000, "web": 31001},
    "message": "ready: master, job-master",
}
WORKER: dict[str, Any] = {
    "slot": "worker-0",
    "phase": "registered",
    "hostname": "127.0.0.12",
    "ports": {"rpc": 31004},
    "capacity_bytes": 1536 << 20,
    "used_bytes": 3 << 19,
    "message": "ready: worker, job-worker",
}
FAILED: dict[str, Any] = {
    "slot": "worker-1",
    "phase": "delayed",
    "failure": {"count": 2, "reason": "No Java was found", "next_launch_in_seconds": 4.0},
}


def recorded() -> Console:
    return Console(record=True, width=100, file=io.StringIO())


def lines_of(console: Console) -> list[str]:
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_without_a_terminal_each_change_is_one_line() -> None:
    console = recorded()
    with Steps(console) as steps:
        steps.count("jars", 3, 166)
        steps.step("zookeeper", "starting")
        steps.step("zookeeper", "ready")
        for standing in ("staging", "staging", "starting", "registered", "registered"):
            steps.step("worker-0", standing)
    assert lines_of(console) == [
        "zookeeper: starting",
        "zookeeper: ready",
        "worker-0: staging",
        "worker-0: starting",
        "worker-0: registered",
    ]


def test_without_a_terminal_a_long_line_is_not_broken() -> None:
    output = io.StringIO()
    with Steps(Console(width=40, file=output)) as steps:
        steps.step("worker-0", "delayed: [red] " + "a very long reason " * 5)
    assert output.getvalue() == "worker-0: delayed: [red] " + "a very long reason " * 5 + "\n"


def test_on_a_terminal_each_step_has_its_trail_and_its_mark() -> None:
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    with Steps(console) as steps:
        steps.step("zookeeper", "starting")
        steps.step("zookeeper", "ready")
        for standing in ("staging", "starting", "registered"):
            steps.step("worker-0", standing)
        steps.step("worker-1", "staging")
    shown = {line.split()[1]: line for line in lines_of(console) if " s" in line}
    assert "✓" in shown["zookeeper"]
    assert "starting → ready" in shown["zookeeper"]
    assert "✓" in shown["worker-0"]
    assert "staging → starting → registered" in shown["worker-0"]
    assert "✓" not in shown["worker-1"]


def test_on_a_terminal_a_download_has_a_bar() -> None:
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    with Steps(console) as steps:
        steps.count("jars", 60, 166)
    assert "60 of 166" in console.export_text()


def test_the_final_table_says_where_everything_is_and_what_each_worker_holds() -> None:
    console = recorded()
    page = "http://127.0.0.11:31001"
    ready = Ready(ENDPOINTS, page, {"tasks": [MASTER, WORKER]}, "1 MiB was cached.", seconds=21.26)
    console.print(final_table(ready))
    lines = lines_of(console)
    assert [line.split("  ")[0] for line in lines[:5]] == [
        "Dashboard and API",
        "Alluxio's web page",
        "Alluxio's address",
        "Mesos",
        "ZooKeeper",
    ]
    assert lines[1].split()[-1] == page
    assert lines[2].split()[-1] == "alluxio://127.0.0.11:31000"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "worker-0" in line]
    assert rows == [["worker-0", "127.0.0.12", "31004", "1.5 MiB", "1,536.0 MiB"]]
    assert not any("master-0" in line for line in lines)
    assert lines[-2:] == ["✓ 1 MiB was cached.", "Ready after 21.3 s."]


def test_where_alluxio_has_no_page_for_people_none_is_shown() -> None:
    with web_server(lambda path, query: {} if path == "/" else 404) as server:
        web = f"http://{server.address}"
        assert page_of(web) == web
        assert page_of(f"{web}/nothing") == ""
    assert page_of(web) == "", "nothing listens there any more"
    console = recorded()
    console.print(final_table(Ready(ENDPOINTS, "", {"tasks": [MASTER, WORKER]}, "1 MiB was cached.", seconds=21.26)))
    assert lines_of(console)[:2] == [
        "Dashboard and API  http://127.0.0.1:8080",
        "Alluxio's address  alluxio://127.0.0.11:31000",
    ]


def test_the_status_table_shows_why_something_is_missing() -> None:
    console = recorded()
    console.print(status_table({"tasks": [MASTER, WORKER, FAILED]}))
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in lines_of(console)
        if "-0" in line or "-1" in line
    ]
    assert rows == [
        ["master-0", "ready", "127.0.0.11", "rpc 31000, web 31001", "ready: master, job-master"],
        ["worker-0", "registered", "127.0.0.12", "rpc 31004", "ready: worker, job-worker"],
        ["worker-1", "delayed", "", "", "No Java was found"],
    ]
