"""The commands against the real application: tokens, TLS, the way to the leader, the documents as they are."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse

from api_stage import Api, serving
from command_line import Run, runner
from fake_service import Service, service
from framework.api.app import Role, Standing, assemble
from framework.api.app import Service as Shown
from framework.api.openapi import Answer, Operation
from framework.api.safety import Safety
from framework.api.server import Tls
from framework.api.tokens import Access, Tokens
from framework.commands.client import Client, Place, Trouble
from framework.model import ExitCode, Failure, Kind, Record, Refusal, Report, TaskState
from framework.planner import State

ADMIN, READ = "admin-0123456789abcdef", "read-0123456789abcdef"
TOKENS = {"ALLUXIO_MESOS_API_TOKEN": ADMIN, "ALLUXIO_MESOS_API_READ_TOKEN": READ}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        made.state = _populated(made.state)
        yield made


def _populated(state: State) -> State:
    master = Record(Kind.MASTER, 0, 1, "S2", "h2", {"rpc": 21000, "web": 21001}, "c1", 900.0, deployed=True)
    worker = Record(Kind.WORKER, 0, 3, "S1", "h1", {"rpc": 21000, "web": 21001}, "c1", 1000.0, deployed=True)
    return dataclasses.replace(
        state,
        records={"master-0": master, "worker-0": worker},
        reports={
            "worker-0.3": Report(
                "worker-0.3", TaskState.RUNNING, "S1", 1001.0, 1001.0, healthy=True, processes={"worker": "ready"}
            )
        },
        failures={"worker-1": Failure(2, 1000.0, "the agent is full")},
        refusals=(Refusal("S3", "h3", "worker-1: offers 512 MiB of 1280 MiB memory", 1000.0),),
    )


@pytest.fixture
def run(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(api.url, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("status", ["alluxio", "worker-0.3", "h1", "no primary master"]),
        ("tasks", ["worker-0.3", "rpc 21000", "master-0.1"]),
        ("tasks worker-0", ["TASK_RUNNING", "worker ready", "slaves/S1/frameworks/framework-1"]),
        ("plan", ["deploy", "recovery"]),
        ("plan deploy", ["deploy", "masters"]),
        ("offers", ["memory", "h3: worker-1: offers 512 MiB of 1280 MiB memory"]),
        ("endpoints", ["http://m:5050", "h1:21000"]),
        ("endpoints alluxio", ["alluxio.master.hostname=h2"]),
        ("endpoints spark", ["spark."]),
        ("endpoints prometheus", ["targets"]),
        ("top --once", ["TASKS", "worker-0", "PLANS", "OFFERS"]),
    ],
)
def test_real_documents_are_shown(run: Run, arguments: str, words: list[str]) -> None:
    code, out, err = run(*arguments.split())
    assert (code, err) == (0, "")
    assert [word for word in words if word not in out] == [], out


@pytest.mark.parametrize("name", ["status", "tasks", "plan", "offers", "endpoints", "endpoints alluxio"])
def test_real_documents_come_as_json(run: Run, name: str) -> None:
    code, out, _ = run(*name.split(), "--json")
    assert code == 0
    assert json.loads(out)


def test_a_mistake_is_told_in_the_words_of_the_api(run: Run) -> None:
    code, _, err = run("tasks", "worker-7")
    assert code == ExitCode.CONFIGURATION
    assert err.startswith("alluxio-mesos tasks: there is no task 'worker-7'; there are ")
    assert "there is no plan" in run("plan", "nothing")[2]


def test_a_scheduler_that_is_not_well(run: Run, api: Api) -> None:
    api.state = dataclasses.replace(api.state, connected=False, trouble="the stream ended")
    code, out, _ = run("status")
    assert code == ExitCode.UNAVAILABLE
    assert "not well: the stream ended" in out


def test_nobody_leads(run: Run, api: Api) -> None:
    api.standing = Standing(Role.STANDBY, "")
    code, _, err = run("tasks")
    assert (code, err) == (
        ExitCode.UNAVAILABLE,
        f"alluxio-mesos tasks: {api.url} cannot answer now (503): no scheduler leads at this moment; ask again soon\n",
    )


# Tokens ---------------------------------------------------------------------------------------------------------------


def test_a_standby_sends_on_and_the_token_goes_along(tmp_path: Path) -> None:
    """requests leaves it behind on the way to another host or port."""
    folders = [tmp_path / name for name in ("leader", "standby")]
    for folder in folders:
        folder.mkdir()
    safety = Safety(Tokens.of("", "", TOKENS))
    with serving(folders[0], safety=safety) as leader, serving(folders[1], safety=safety) as standby:
        standby.standing = Standing(Role.STANDBY, leader.url)
        with Client(Place(standby.url, ADMIN)) as client:
            assert client.get("v1", "status").document["service"] == "alluxio"
        with Client(Place(standby.url, "wrong-0123456789abcdef", "--api-token-file t")) as client:
            with pytest.raises(Trouble, match=r"does not know this token \(401\)") as trouble:
                client.get("v1", "status")
            assert trouble.value.exit_code is ExitCode.REFUSED


def steerable(service_shown: Shown) -> Starlette:
    """An API with something to change."""
    operation = Operation("POST", "/v1/tasks/{name}/restart", "restart", "", {202: Answer("", {})}, Access.ADMIN)
    handlers = {"restart": lambda request: JSONResponse({"message": "it is ended"}, 202)}
    return assemble((operation,), handlers, service_shown.safety, service_shown.standing)


def test_a_token_for_reading_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, safety=Safety(Tokens.of("", "", TOKENS)), made=steerable) as api:
        with (
            Client(Place(api.url, READ)) as client,
            pytest.raises(Trouble, match=r"does not allow this \(403\)") as found,
        ):
            client.post("v1", "tasks", "worker-0", "restart")
        assert found.value.exit_code is ExitCode.REFUSED
        with Client(Place(api.url, ADMIN)) as client:
            assert client.post("v1", "tasks", "worker-0", "restart").document == {"message": "it is ended"}


def test_netrc_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in place of a token nor without one."""
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login somebody password hidden\n")
    monkeypatch.setenv("NETRC", str(file))
    with service() as api:
        for token, sent in (("", None), ("token-0123456789", "Bearer token-0123456789")):
            with Client(Place(api.url, token)) as client:
                client.get("v1", "workers")
            assert api.asked[-1][2].get("Authorization") == sent


def test_no_picture_of_a_place_shows_its_token() -> None:
    assert ADMIN not in repr(Place("http://x", ADMIN))


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = f"{folder}/api.crt", f"{folder}/api.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_tls_needs_the_authority(tmp_path: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, tls=Tls.of(*pair)) as api:
        with Client(Place(api.url, ca_file=pair[0])) as client:
            assert client.health()["healthy"]
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")  # what is named wins
            assert client.get("v1", "status").status == 200
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with Client(Place(api.url)) as client, pytest.raises(Trouble) as trouble:
            client.health()
    assert str(trouble.value) == (
        f"{api.url} cannot be trusted (self-signed certificate); name the authority that signed its certificate with "
        "--api-ca-file"
    )
    assert not trouble.value.passes


def test_a_token_does_not_leave_tls(tmp_path: Path, pair: tuple[str, str]) -> None:
    other: Service
    with service() as other, serving(tmp_path, tls=Tls.of(*pair)) as api:
        api.standing = Standing(Role.STANDBY, other.url)
        with Client(Place(api.url, ADMIN, ca_file=pair[0])) as client, pytest.raises(Trouble, match="not encrypted"):
            client.get("v1", "status")
        assert other.asked == []


def test_the_first_of_several_tokens_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{ADMIN}\n{READ}\n")
    given: dict[str, Any] = {"ALLUXIO_MESOS_API_TOKEN": READ}
    assert Place.of("http://x/", str(file), "", given) == Place("http://x", ADMIN, f"--api-token-file {file}")
    assert Place.of("", "", "", given) == Place("http://127.0.0.1:8080", READ, "ALLUXIO_MESOS_API_TOKEN")
    for text in ("\n", "two words\n"):
        file.write_text(text)
        with pytest.raises(Trouble, match="token"):
            Place.of("", str(file), "", {})
