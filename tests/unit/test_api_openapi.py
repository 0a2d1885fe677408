"""The description: complete, valid, and what the API does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.responses import JSONResponse

from api_stage import Api, serving
from framework.api import openapi
from framework.api.app import Role, Standing, assemble
from framework.api.openapi import OPERATIONS, Answer, Operation
from framework.api.safety import Safety
from framework.api.tokens import Access, Tokens
from framework.model import (
    CacheReport,
    CachingWorker,
    Failure,
    Kind,
    Mount,
    MountPoint,
    MountRecord,
    Record,
    Refusal,
    Report,
    Secret,
    TaskState,
    Volume,
)
from framework.planner import State
from stage import wanted

ADMIN = "admin-token-of-this-test"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    safety = Safety(Tokens.of("", "", {"ALLUXIO_MESOS_API_TOKEN": ADMIN}))
    with serving(tmp_path_factory.mktemp("api"), safety=safety) as made:
        yield made


def test_every_operation_is_described_and_nothing_else() -> None:
    document = openapi.document()
    described = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["summary"] and operation["responses"]
    }
    assert described == {(operation.method, operation.shown_path) for operation in OPERATIONS}
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def test_a_route_cannot_be_there_without_a_description() -> None:
    operation = Operation("GET", "/v1/a", "a", "A", {200: Answer("", {})})

    def leader() -> Standing:
        return Standing(Role.LEADER, "")

    def handler(request: object) -> JSONResponse:
        return JSONResponse(None)

    with pytest.raises(ValueError, match="differ: b"):
        assemble((operation,), {"a": handler, "b": handler}, Safety(), leader)
    with pytest.raises(ValueError, match="differ: a"):
        assemble((operation,), {}, Safety(), leader)


def test_it_is_openapi(api: Api) -> None:
    document = api.get("/v1/openapi.json").json()
    assert document == openapi.document()
    # A description that is none does not load; so does a schema that is none.
    schemathesis.openapi.from_dict(document).config.base_url = api.url
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.validator_for({**schema, "components": document["components"]})


def test_who_may_what_is_described() -> None:
    paths = openapi.document()["paths"]
    assert paths["/v1/status"]["get"]["security"] == [{"token": []}]
    assert paths["/v1/health"]["get"]["security"] == [{}, {"token": []}]
    change = Operation("PUT", "/v1/a", "a", "A", {200: Answer("", None)}, Access.ADMIN, body={"type": "object"})
    described = openapi.document((change,))["paths"]["/v1/a"]["put"]
    assert {"401", "403", "413", "429", "default"} <= set(described["responses"])
    assert described["requestBody"]["content"] == {"application/json": {"schema": {"type": "object"}}}


# What it says and what it does ----------------------------------------------------------------------------------------


def closed(schema: Any) -> Any:
    """The same description, in which an object has no property that is not described."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


MOUNTS = (Mount("/s3", "s3://bucket/a", {"s3a.secretKey": Secret("key")}, readonly=True), Mount("/t", "/nfs"))
POINTS = (
    MountPoint("/", "/root"),
    MountPoint("/o", "/other", {"a.token": "hidden", "b": "1"}),
    MountPoint("/s3", "s3://bucket/a", {"s3a.secretKey": "******", "alluxio-mesos.mark": "f/1"}, readonly=True),
)


def full_state() -> State:
    """Something of everything that is shown."""
    records = [
        Record(Kind.MASTER, 0, 1, "S1", "127.0.0.11", {"rpc": 1, "web": 2}, "c", 10.0, formatted=True, deployed=True),
        Record(
            *(Kind.WORKER, 0, 3, "S2", "127.0.0.12", {"rpc": 3, "web": 4}, "c", 10.0),
            deployed=True,
            volumes=(Volume("ssd", "p1", 512),),
        ),
        Record(Kind.WORKER, 1, 3, "S3", "127.0.0.13", {"rpc": 5, "web": 6}, "c", 10.0, deployed=True),
        Record(Kind.PROXY, 0, 1, "S3", "127.0.0.13", {"web": 7}, "c", 10.0),
    ]
    words = [TaskState.RUNNING, TaskState.RUNNING, TaskState.FAILED, TaskState.UNREACHABLE]
    reports = [
        Report(record.task_id, word, record.agent_id, 20.0, 15.0, word is TaskState.RUNNING, "a message")
        for record, word in zip(records, words, strict=True)
    ]
    return State(
        wanted=dataclasses.replace(wanted(workers=3, proxies=1), mounts=MOUNTS),
        records={record.slot: record for record in records},
        reports={report.task_id: report for report in reports},
        failures={"worker-1": Failure(3, 2**40, "a reason"), "worker-2": Failure(1, 20.0, "a reason")},
        connected=True,
        master="m:5050",
        framework_id="framework-1",
        trouble="",
        cache=CacheReport(
            "127.0.0.11:1", "", (CachingWorker("127.0.0.12", 3, 1000, 10, live=True),), 20.0, mounts=POINTS
        ),
        mounts={"/s3": MountRecord(MOUNTS[0], "f/1", 10.0, proved=True)},
        refusals=(Refusal("S4", "127.0.0.14", "offers too little", 20.0),),
    )


STATES = {
    "empty": (State(wanted=wanted(workers=None)), True),
    "full": (full_state(), True),
    "standby": (State(wanted=wanted()), False),
}


@pytest.mark.schemathesis
@pytest.mark.parametrize("known", STATES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_api_does_what_it_says(api: Api, operation: Operation, known: str) -> None:
    """Generated calls, good and bad: no 5xx that is not described, no answer that does not fit its schema, no operation
    that forgets the token.
    """
    api.state, leads = STATES[known]
    api.standing = Standing(Role.LEADER, api.url) if leads else Standing(Role.STANDBY, "http://127.0.0.1:1")
    schema = schemathesis.openapi.from_dict(closed(openapi.document()))
    described = schema[operation.shown_path][operation.method]

    @hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(described.as_strategy())
    def calls(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(
            api.url,
            headers={"Authorization": f"Bearer {ADMIN}"}
            | ({"Accept": "application/json"} if operation.name == "events" else {}),  # a stream would not end
            excluded_checks=[
                *([not_a_server_error] if 503 in operation.answers else []),
                # What is well written can still name a version that holds no more, a worker that is not there, or
                # what is no path.
                *([positive_data_acceptance] if {409, 412} & set(operation.answers) else []),
            ],
            allow_redirects=False,
            timeout=20,
        )
        assert answer.status_code != 500

    calls()
