"""The HTTP API on a real socket: what is answered, and what an error looks like."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from api_stage import Api, is_problem, serving
from framework.api.app import Role, Standing
from framework.api.server import PortTaken, bind
from framework.model import Kind, Record
from framework.removal import UNDER_WAY
from framework.state import PLANS


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


def test_health_speaks_of_the_scheduler(api: Api) -> None:  # C31
    healthy = api.get("/v1/health")
    assert (healthy.status_code, healthy.json()["healthy"]) == (200, True)
    api.state = dataclasses.replace(api.state, connected=False, trouble="the stream ended")
    ill = api.get("/v1/health")
    assert (ill.status_code, ill.json()["healthy"], ill.json()["reason"]) == (503, False, "the stream ended")


def test_a_standby_is_healthy_and_says_who_leads(api: Api) -> None:  # C31
    api.standing = Standing(Role.STANDBY, "http://leader:8080")
    answer = api.get("/v1/health")
    expected = {"healthy": True, "role": "standby", "leader": "http://leader:8080", "service": "alluxio"}
    assert (answer.status_code, answer.json()) == (200, expected)


def test_who_waits_for_zookeeper_says_so(api: Api) -> None:  # C31
    api.standing = Standing(Role.WAITING, "", "ZooKeeper does not answer at z:1")
    answer = api.get("/v1/health")
    assert (answer.status_code, answer.json()["role"], answer.json()["leader"]) == (503, "waiting", None)
    assert answer.json()["reason"] == "ZooKeeper does not answer at z:1"
    sent = api.get("/v1/status")
    assert (sent.status_code, sent.headers["retry-after"]) == (503, "2")
    assert sent.json()["detail"] == "ZooKeeper does not answer at z:1; ask again soon"


def test_a_leader_without_zookeeper_is_not_healthy(api: Api) -> None:  # C31
    api.standing = Standing(Role.LEADER, api.url, "ZooKeeper does not answer")
    answer = api.get("/v1/health")
    assert (answer.status_code, answer.json()["reason"]) == (503, "ZooKeeper does not answer")
    assert answer.json()["framework_id"] == "framework-1"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_standby_sends_the_client_on(api: Api, method: str) -> None:
    api.standing = Standing(Role.STANDBY, "http://leader:8080")
    answer = requests.request(
        method, f"{api.url}/v1/pl%20ans/x?a=1&b=%2F", data=b"body", timeout=60, allow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (307, "http://leader:8080/v1/pl%20ans/x?a=1&b=%2F")


def test_a_standby_of_nobody_says_when_to_ask_again(api: Api) -> None:
    api.standing = Standing(Role.STANDBY, "")
    answer = api.get("/v1/status")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.headers["retry-after"], answer.json()["detail"]) == (
        "2",
        "no scheduler leads at this moment; ask again soon",
    )


def test_a_standby_serves_the_artefacts(api: Api) -> None:  # C20
    api.standing = Standing(Role.STANDBY, "http://leader:8080")
    assert requests.get(api.artefacts.address(api.url, "executor.pyz"), timeout=60).content == b"an executor"


def test_the_documents(api: Api) -> None:
    assert api.get("/v1/status").json()["service"] == "alluxio"
    assert api.get("/v1/endpoints").json()["api"] == api.url
    assert api.get("/v1/offers").json() == {"waiting": 0, "suppressed": False, "refused": []}


def test_a_plan_with_work_left_is_no_200(api: Api) -> None:
    deploy = api.get("/v1/plans/deploy")
    assert (deploy.status_code, deploy.json()["status"]) == (202, "pending")
    recovery = api.get("/v1/plans/recovery")
    assert (recovery.status_code, recovery.json()["status"]) == (200, "ready")
    others = [api.get(f"/v1/plans/{name}").json() for name in ("update", "decommission", "mounts")]
    assert api.get("/v1/plans").json() == [deploy.json(), recovery.json(), *others]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/plans/nothing", 404),
        ("GET", "/artefacts/nothing", 404),
        ("GET", "/artefacts/../../etc/passwd", 404),
        ("POST", "/v1/status", 405),
    ],
)
def test_an_error_is_a_document(api: Api, method: str, path: str, status: int) -> None:
    answer = requests.request(method, api.url + path, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_a_defect_is_a_document_too(api: Api) -> None:
    api.state = None  # type: ignore[assignment]
    answer = api.get("/v1/status")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "the scheduler failed to answer, a defect of its own; its log says more",
    }


def test_artefacts_are_served_by_their_content(api: Api) -> None:  # C20
    bundle = api.artefacts.address(api.url, "alluxio-2.9.6.tar.gz")
    executor = api.artefacts.address(api.url, "executor.pyz")
    assert bundle == f"{api.url}/artefacts/0123456789abcdef/alluxio-2.9.6.tar.gz"
    assert requests.get(bundle, timeout=60).content == b"a bundle"
    assert requests.get(executor, timeout=60).content == b"an executor"


def test_a_taken_port_is_named(api: Api) -> None:
    with pytest.raises(
        PortTaken, match=rf"cannot listen on 127\.0\.0\.1:{api.port} \(Address already in use\); free it"
    ):
        bind("127.0.0.1", api.port)


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_nothing_is_changed_any_more_once_the_service_is_uninstalled(api: Api, method: str) -> None:
    api.standing = Standing(Role.LEADER, api.url, closed=UNDER_WAY)
    before = api.state
    assert is_problem(api.ask(method, "/v1/workers", json={"count": 9}), 409, UNDER_WAY)
    assert api.state is before
    assert api.get("/v1/workers").status_code == 200
    assert api.get("/v1/state/frameworkId").json() == ["framework-1"]


def test_the_deployment_is_200_only_when_all_of_the_service_is_gone(api: Api) -> None:
    worker = Record(Kind.WORKER, 0, 1, "S1", "127.0.0.11", {}, "c", 0.0)
    api.state = dataclasses.replace(
        api.state, uninstalls=True, records={"worker-0": worker}, kept_framework_id="framework-1"
    )
    assert api.get("/v1/plans/deploy").status_code == 202
    api.state = dataclasses.replace(api.state, connected=False, removed=True)
    assert (api.get("/v1/plans/deploy").status_code, api.get("/v1/health").status_code) == (202, 200)
    api.state = dataclasses.replace(api.state, erased=True)
    assert api.get("/v1/plans/deploy").status_code == 202, "the mark is still there, and whoever waits would end this"
    api.state = dataclasses.replace(api.state, uninstalled=True)
    done = api.get("/v1/plans/deploy")
    assert (done.status_code, api.get("/v1/health").status_code) == (200, 200)
    assert [(phase["name"], [step["name"] for step in phase["steps"]]) for phase in done.json()["phases"]] == [
        ("tasks", ["worker-0"]),
        ("volumes", []),
        ("framework", ["teardown"]),
        ("state", ["erase"]),
    ]
    assert {plan["name"]: plan["status"] for plan in api.get("/v1/plans").json()} == dict.fromkeys(PLANS, "ready")
