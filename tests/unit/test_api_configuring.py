"""The configuration, plans that rest, replacing and the log's level, over HTTP."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_stage import Api, is_problem, serving
from framework.model import Kind, Record, Report, TaskState


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


def test_the_configuration_is_changed_and_taken_back(api: Api) -> None:
    before = api.get("/v1/config").json()
    assert (before["number"], before["options"]["worker-ram"], before["history"]) == (0, "1GB", [])
    asked = {"options": {"worker-ram": "2GB"}}
    dry = api.ask("PUT", "/v1/config?dry_run=true", json=asked)
    assert (dry.status_code, dry.headers["etag"]) == (200, '"0"')
    assert {"name": "worker-ram", "before": "", "after": "2GB"} in dry.json()["changed"]
    done = api.ask("PUT", "/v1/config", json=asked)
    assert (done.status_code, done.headers["etag"], done.json()["dry_run"]) == (200, '"1"', False)
    assert api.state.wanted.needs[Kind.WORKER].memory > 2048
    again = api.ask("PUT", "/v1/config", json=asked, headers={"If-Match": '"1"'})
    assert (again.status_code, again.headers["etag"], again.json()["changed"]) == (200, '"1"', [])
    assert is_problem(api.ask("PUT", "/v1/config", json=asked, headers={"If-Match": '"0"'}), 412, "somebody changed it")
    assert api.ask("PUT", "/v1/config", json={"options": {"stickiness": "1m"}}).headers["etag"] == '"2"'
    assert api.state.policy.stickiness == 60.0
    shown = api.get("/v1/config").json()
    assert (shown["changed"], [entry["number"] for entry in shown["history"]]) == (["stickiness", "worker-ram"], [1, 2])
    back = api.ask("POST", "/v1/config/rollback", json={"number": 1})
    assert back.json()["changed"] == [{"name": "stickiness", "before": "1m", "after": "10m"}]
    assert api.state.policy.stickiness == 600.0


def test_every_mistake_is_told(api: Api) -> None:
    asked = {"options": {"worker-ram": "12q", "stickiness": "soon"}}
    refused = api.ask("PUT", "/v1/config", json=asked)
    assert refused.status_code == 422
    assert len(refused.json()["errors"]) == 2
    assert is_problem(api.ask("PUT", "/v1/config", json={"options": {"worker-ram": 3}}), 422, "")
    assert is_problem(api.ask("PUT", "/v1/config", json={"options": 3}), 422, "")
    assert is_problem(api.ask("PUT", "/v1/config", json={}), 422, "")
    assert is_problem(api.ask("POST", "/v1/config/rollback", json={"number": 9}), 422, "")
    assert is_problem(api.ask("POST", "/v1/config/rollback", json={"number": "1"}), 422, "")
    assert api.get("/v1/config").json()["number"] == 0


def test_a_plan_rests_and_goes_on(api: Api) -> None:
    assert api.get("/v1/plans/deploy").json()["paused"] is False
    rests = api.ask("POST", "/v1/plans/deploy/pause")
    assert (rests.status_code, rests.json()) == (200, {"name": "deploy", "paused": True})
    deploy = api.get("/v1/plans/deploy").json()
    assert deploy["paused"] is True
    assert deploy["phases"][0]["steps"][0]["message"] == (
        "the plan deploy was paused; POST /v1/plans/deploy/resume lets it go on"
    )
    assert api.state.history[-1].paused == ("deploy",)
    assert api.ask("POST", "/v1/plans/deploy/resume").json() == {"name": "deploy", "paused": False}
    assert api.get("/v1/plans/deploy").json()["paused"] is False
    assert is_problem(api.ask("POST", "/v1/plans/lunch/pause"), 404, "there is no plan 'lunch'")


def test_a_worker_is_replaced_and_nothing_else_is(api: Api) -> None:
    worker = Record(Kind.WORKER, 0, 3, "S1", "127.0.0.11", {"rpc": 1}, "c", 1.0, deployed=True)
    master = Record(Kind.MASTER, 0, 1, "S1", "127.0.0.11", {"rpc": 2}, "c", 1.0, deployed=True)
    report = Report("worker-0.3", TaskState.RUNNING, "S1", 2.0, 2.0, healthy=True)
    api.state = dataclasses.replace(
        api.state, records={"worker-0": worker, "master-0": master}, reports={"worker-0.3": report}
    )
    answer = api.ask("POST", "/v1/tasks/worker-0/replace")
    assert (answer.status_code, answer.json()) == (
        202,
        {"task_id": "worker-0.3", "message": "worker-2 takes its place; worker-0.3 is emptied, then ended"},
    )
    assert (api.state.wanted.workers, api.state.wanted.released) == (2, frozenset({0}))
    assert [phase["name"] for phase in api.get("/v1/plans/decommission").json()["phases"]] == ["worker-0"]
    assert is_problem(api.ask("POST", "/v1/tasks/worker-0/replace"), 409, "worker-0.3 leaves already")
    assert is_problem(api.ask("POST", "/v1/tasks/master-0/replace"), 409, "stays with its journal")
    assert is_problem(api.ask("POST", "/v1/tasks/worker-9/replace"), 404, "there is no task")


def test_the_log_says_more_or_less(api: Api) -> None:
    assert api.ask("PUT", "/v1/log-level", json={"level": "DEBUG"}).json() == {"level": "DEBUG"}
    assert logging.getLogger().level == logging.DEBUG
    assert api.get("/v1/log-level").json() == {"level": "DEBUG"}
    refused = api.ask("PUT", "/v1/log-level", json={"level": "LOUD"})
    assert refused.status_code == 422
    assert "choose one of DEBUG, INFO, WARNING, ERROR" in str(refused.json()["errors"])
