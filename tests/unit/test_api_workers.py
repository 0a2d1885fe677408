"""Workers are scaled over HTTP: what is asked, what is answered, and every kind of bad input."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, is_problem, serving
from framework.model import Kind, Record, Report, TaskState


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


def put(api: Api, body: Any, query: str = "", **headers: str) -> Any:
    given = {"headers": headers} if headers else {}
    return api.ask("PUT", f"/v1/workers{query}", json=body, **given)


def test_a_number_is_asked_for_and_holds(api: Api) -> None:
    before = api.get("/v1/workers")
    assert (before.headers["etag"], before.json()["count"]) == ('"0"', 2)
    answer = put(api, {"count": 4})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert (answer.json()["before"], answer.json()["count"], answer.json()["number"]) == (2, 4, 1)
    assert answer.json()["start"] == ["worker-2", "worker-3"]
    assert answer.json()["missing"] == 4
    assert answer.json()["why"] == "worker-0: no Alluxio master is ready yet"
    again = put(api, {"count": 4})
    assert (again.status_code, again.headers["etag"], again.json()["start"]) == (200, '"1"', [])
    assert put(api, {"count": "all"}).json()["count"] == "all"
    assert api.get("/v1/workers").json()["count"] == "all"


def test_a_dry_run_changes_nothing(api: Api) -> None:
    answer = put(api, {"count": 5}, "?dry_run=true")
    assert (answer.json()["dry_run"], answer.json()["start"], answer.headers["etag"]) == (
        True,
        ["worker-2", "worker-3", "worker-4"],
        '"0"',
    )
    assert api.get("/v1/workers").json()["count"] == 2


def test_of_two_operators_the_second_is_told(api: Api) -> None:
    tag = api.get("/v1/workers").headers["etag"]
    assert put(api, {"count": 3}, **{"If-Match": tag}).status_code == 200
    assert is_problem(put(api, {"count": 1}, **{"If-Match": tag}), 412, "somebody changed it")
    assert api.get("/v1/workers").json()["count"] == 3
    assert put(api, {"count": 1}, **{"If-Match": "*"}).status_code == 200


def test_of_many_at_once_each_is_one_version(api: Api) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda count: put(api, {"count": count}), range(3, 35)))
    assert [answer.status_code for answer in answers] == [200] * 32
    assert sorted(answer.json()["number"] for answer in answers) == list(range(1, 33))
    last = max(answers, key=lambda answer: answer.json()["number"])
    assert api.get("/v1/workers").json()["count"] == last.json()["count"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, "the field 'count' is missing"),
        ({"count": -1}, 422, "count: -1 is not allowed"),
        ({"count": 10_001}, 422, "from 0 to 10000"),
        ({"count": True}, 422, "count: True is not allowed"),
        ({"count": 2.5}, 422, "count: 2.5 is not allowed"),
        ({"count": "three"}, 422, "count: 'three' is not allowed"),
        ({"count": None}, 422, "count: None is not allowed"),
        ({"count": 1, "size": 2}, 422, "there is no field 'size'"),
        ({"count": 1, "remove": "worker-0"}, 422, "give a list of workers"),
        ({"count": 1, "remove": ["master-0"]}, 422, "give a list of workers"),
        ({"count": 1, "remove": ["worker-9"]}, 422, "is no worker that is wanted"),
        ([1], 400, "must be a JSON object"),
    ],
)
def test_bad_bodies(api: Api, body: Any, status: int, detail: str) -> None:
    assert is_problem(put(api, body), status, detail)
    assert api.get("/v1/workers").json()["count"] == 2


def test_all_mistakes_at_once(api: Api) -> None:
    assert len(put(api, {"count": -1, "remove": 3}).json()["errors"]) == 2


def test_bad_queries_and_types(api: Api) -> None:
    assert is_problem(put(api, {"count": 1}, "?dry_run=maybe"), 400, "dry_run: 'maybe' is not allowed")
    assert is_problem(put(api, {"count": 1}, "?force=1"), 400, "there is no query parameter 'force'")
    plain = api.ask("PUT", "/v1/workers", data=json.dumps({"count": 1}), headers={"Content-Type": "text/plain"})
    assert is_problem(plain, 415, "application/json")


def test_a_task_is_restarted(api: Api) -> None:
    record = Record(Kind.WORKER, 0, 3, "S1", "127.0.0.11", {"rpc": 1}, "c", 1.0, deployed=True)
    api.state = dataclasses.replace(api.state, records={"worker-0": record})
    restart = "/v1/tasks/worker-0/restart"
    assert is_problem(api.ask("POST", "/v1/tasks/worker-9/restart"), 404, "there is no task 'worker-9'")
    assert is_problem(api.ask("POST", "/v1/tasks/worker-0.2/restart"), 404, "there is no task 'worker-0.2'")
    assert is_problem(api.ask("POST", restart), 409, "Mesos has said no word of it yet")
    report = Report("worker-0.3", TaskState.RUNNING, "S1", 2.0, 2.0, healthy=True)
    api.state = dataclasses.replace(api.state, reports={"worker-0.3": report})
    answer = api.ask("POST", restart)
    assert (answer.status_code, answer.json()["task_id"]) == (202, "worker-0.3")
    assert api.state.restarts == {"worker-0.3"}
    put(api, {"count": 0})
    assert is_problem(api.ask("POST", restart), 409, "worker-0.3 leaves already")
    api.state = dataclasses.replace(api.state, connected=False, trouble="no master answers")
    put(api, {"count": 1})
    assert is_problem(api.ask("POST", restart), 503, "no master answers")
