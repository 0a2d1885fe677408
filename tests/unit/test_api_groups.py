"""Groups of workers over HTTP: what is asked, what is answered, and every kind of bad input."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, is_problem, serving
from framework.model import Kind, Record, Report, TaskState

SSD = {"worker-ssd": "10GB", "worker-placement": "disk:IS:ssd"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


def put(api: Api, name: str, body: Any, query: str = "", **headers: str) -> Any:
    given = {"headers": headers} if headers else {}
    return api.ask("PUT", f"/v1/worker-groups/{name}{query}", json=body, **given)


def names(api: Api) -> list[str]:
    return [group["name"] for group in api.get("/v1/worker-groups").json()["groups"]]


def test_there_is_the_default_group_to_begin_with(api: Api) -> None:
    answer = api.get("/v1/worker-groups")
    assert answer.headers["etag"] == '"0"'
    assert answer.json()["groups"] == [
        {
            "name": "default",
            "options": {},
            "count": 2,
            "ready": 0,
            "missing": 2,
            "why": "worker-0: no Alluxio master is ready yet",
        }
    ]


def test_a_group_is_made_changed_and_removed(api: Api) -> None:
    made = put(api, "ssd", {"count": 2, "options": SSD})
    assert (made.status_code, made.headers["etag"]) == (200, '"1"')
    assert made.json()["start"] == ["worker-ssd-0", "worker-ssd-1"]
    assert (made.json()["before"], made.json()["count"], made.json()["options"]) == (0, 2, SSD)
    assert made.json()["changed"] == [
        {"name": "worker-placement", "before": "", "after": "disk:IS:ssd"},
        {"name": "worker-ssd", "before": "", "after": "10GB"},
    ]
    shown = api.get("/v1/worker-groups/ssd").json()
    assert (shown["name"], shown["count"], shown["options"], shown["missing"]) == ("ssd", 2, SSD, 2)
    assert [task["slot"] for task in shown["workers"]] == ["worker-ssd-0", "worker-ssd-1"]
    assert api.get("/v1/workers").json()["count"] == 2
    assert [task["slot"] for task in api.get("/v1/workers").json()["workers"]] == ["worker-0", "worker-1"]
    fewer = put(api, "ssd", {"count": 1, "remove": ["worker-ssd-0"]})
    assert (fewer.status_code, fewer.headers["etag"], fewer.json()["options"]) == (200, '"2"', SSD)
    assert fewer.json()["changed"] == []
    bare = put(api, "ssd", {"count": "all", "options": {"worker-ssd": "10GB"}}).json()
    assert (bare["count"], bare["changed"]) == (
        "all",
        [{"name": "worker-placement", "before": "disk:IS:ssd", "after": ""}],
    )
    assert api.get("/v1/config").json()["history"][-1]["groups"] == {"ssd": "all"}
    gone = api.ask("DELETE", "/v1/worker-groups/ssd")
    assert (gone.status_code, gone.json()["before"], gone.json()["count"]) == (200, "all", 0)
    assert names(api) == ["default"]
    assert is_problem(api.get("/v1/worker-groups/ssd"), 404, "there is no group 'ssd'")
    assert is_problem(api.ask("DELETE", "/v1/worker-groups/ssd"), 404, "there is no group 'ssd'")


def test_the_default_group_is_that_of_workers(api: Api) -> None:
    assert put(api, "default", {"count": 5}).json()["start"] == ["worker-2", "worker-3", "worker-4"]
    assert api.get("/v1/workers").json()["count"] == 5
    assert is_problem(put(api, "default", {"count": 5, "options": {}}), 422, "changed with PUT /v1/config")
    assert is_problem(api.ask("DELETE", "/v1/worker-groups/default"), 404, "that could be removed")


def test_a_dry_run_changes_nothing(api: Api) -> None:
    answer = put(api, "ssd", {"count": 2}, "?dry_run=true")
    assert (answer.json()["dry_run"], answer.json()["start"]) == (True, ["worker-ssd-0", "worker-ssd-1"])
    assert names(api) == ["default"]
    put(api, "ssd", {"count": 2})
    assert api.ask("DELETE", "/v1/worker-groups/ssd?dry_run=true").json()["dry_run"] is True
    assert names(api) == ["default", "ssd"]


def test_of_two_operators_the_second_is_told(api: Api) -> None:
    tag = api.get("/v1/worker-groups").headers["etag"]
    assert put(api, "ssd", {"count": 1}, **{"If-Match": tag}).status_code == 200
    assert is_problem(put(api, "ssd", {"count": 2}, **{"If-Match": tag}), 412, "somebody changed it")
    late = api.ask("DELETE", "/v1/worker-groups/ssd", headers={"If-Match": tag})
    assert is_problem(late, 412, "somebody changed it")
    assert names(api) == ["default", "ssd"]


def test_workers_of_a_group_leave_and_are_replaced(api: Api) -> None:
    put(api, "ssd", {"count": 1})
    record = Record(Kind.WORKER, 0, 1, "S1", "127.0.0.11", {"rpc": 1}, "c", 1.0, deployed=True, group="worker-ssd")
    report = Report(record.task_id, TaskState.RUNNING, "S1", 2.0, 2.0, healthy=True)
    api.state = dataclasses.replace(
        api.state, records={record.slot: record}, reports={record.task_id: report}, connected=True
    )
    replaced = api.ask("POST", "/v1/tasks/worker-ssd-0/replace")
    assert (replaced.status_code, replaced.json()["message"]) == (
        202,
        "worker-ssd-1 takes its place; worker-ssd-0.1 is emptied, then ended",
    )
    assert [one["slot"] for one in api.get("/v1/worker-groups/ssd").json()["leaving"]] == ["worker-ssd-0"]
    gone = api.ask("DELETE", "/v1/worker-groups/ssd").json()
    assert [one["slot"] for one in gone["stop"]] == ["worker-ssd-0"]
    phases = api.get("/v1/plans/decommission").json()["phases"]
    assert [phase["name"] for phase in phases] == ["worker-ssd-0"]
    assert names(api) == ["default", "ssd"]  # until its last worker has left


@pytest.mark.parametrize(
    ("name", "body", "status", "detail"),
    [
        ("ssd", {}, 422, "the field 'count' is missing"),
        ("ssd", {"count": -1}, 422, "count: -1 is not allowed"),
        ("ssd", {"count": 1, "size": 2}, 422, "there is no field 'size'"),
        ("ssd", {"count": 1, "remove": ["worker-0"]}, 422, 'such as ["worker-ssd-2"]'),
        ("ssd", {"count": 0, "remove": ["worker-ssd-9"]}, 422, "name one of GET /v1/worker-groups/ssd"),
        ("ssd", {"count": 1, "options": 3}, 422, "options: give an object"),
        ("ssd", {"count": 1, "options": {"worker-ram": 3}}, 422, "options: 'worker-ram' has the value 3"),
        ("ssd", {"count": 1, "options": {"worker-ram": None}}, 422, "options: 'worker-ram' is null"),
        ("ssd", {"count": 1, "options": {"name": "x"}}, 422, "options: 'name' is none of a group's own"),
        ("ssd", {"count": 1, "options": {"worker-ram": "x"}}, 422, "group ssd: worker-ram: 'x' is no size"),
        ("S", {"count": 1}, 422, "name: 'S' is no name of a group"),
        ("ssd", [1], 400, "must be a JSON object"),
    ],
)
def test_bad_bodies(api: Api, name: str, body: Any, status: int, detail: str) -> None:
    assert is_problem(put(api, name, body), status, detail)
    assert names(api) == ["default"]
