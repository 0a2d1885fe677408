"""What protects the API: who may what, how much, how often, from where."""

from __future__ import annotations

import dataclasses
import http.client
import itertools
import logging
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api_stage import Api, is_problem, seconds_of, serving
from eventually import eventually
from framework.api import guard, server
from framework.api.app import Role, Service, Standing, assemble
from framework.api.changes import json_object, parameters
from framework.api.openapi import Answer, Operation
from framework.api.rates import BURST_SECONDS, MOST_CLIENTS, Rates
from framework.api.safety import Safety, Unsafe, is_in_clear, safety
from framework.api.server import Tls, TlsProblem
from framework.api.tokens import Access, TokenProblem, Tokens
from framework.config import Configuration, read

ADMIN = "admin-token-of-this-test"
READ = "read-token-of-this-test-"
WRONG = "wrong-token-of-this-test"
ENVIRONMENT = {"ALLUXIO_MESOS_API_TOKEN": ADMIN, "ALLUXIO_MESOS_API_READ_TOKEN": READ}


def tokens() -> Tokens:
    return Tokens.of("", "", ENVIRONMENT)


def changing(service: Service) -> Starlette:
    """An API with something to change: it answers with what it understood."""

    async def change(request: Request) -> Response:
        asked = parameters(request, "dry_run")
        return JSONResponse({"body": await json_object(request, {"count", "name"}, {"count"}), "parameters": asked})

    def count(request: Request) -> Response:
        return JSONResponse(3)

    async def steer(request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    return assemble(
        (
            Operation("GET", "/v1/count", "count", "", {200: Answer("", {})}),
            Operation("PUT", "/v1/count", "change", "", {200: Answer("", {})}, Access.ADMIN),
            Operation("POST", "/v1/steer", "steer", "", {200: Answer("", {})}, Access.ADMIN),
        ),
        {"count": count, "change": change, "steer": steer},
        service.safety,
        service.standing,
    )


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path, safety=Safety(tokens())) as made:
        yield made


@pytest.fixture
def changeable(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path, safety=Safety(tokens()), made=changing) as made:
        yield made


# Tokens ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Bearer {WRONG}", f"Basic {ADMIN}", ADMIN, f"Bearer {ADMIN[:-1]}", "Bearer ä"],
)
@pytest.mark.parametrize(
    "path", ["/v1/status", "/v1/plans", "/v1/plans/recovery", "/v1/nothing", "/v1/dashboard", "/metrics"]
)
def test_without_the_token_nothing_is_told(api: Api, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    answer = api.get(path, headers=headers)
    assert is_problem(answer, 401, "send Authorization: Bearer TOKEN")
    assert answer.headers["www-authenticate"] == 'Bearer realm="alluxio-mesos"'


def test_both_tokens_read_and_one_changes(changeable: Api) -> None:
    assert [changeable.get("/v1/count", token).status_code for token in (READ, ADMIN, WRONG)] == [200, 200, 401]
    assert is_problem(changeable.ask("PUT", "/v1/count", READ, json={"count": 1}), 403, "this token is for reading")
    assert is_problem(changeable.ask("DELETE", "/v1/nothing", READ), 403, "this token is for reading")
    assert is_problem(changeable.ask("PUT", "/v1/count", json={"count": 1}), 401, "missing or wrong")
    assert changeable.ask("PUT", "/v1/count", ADMIN, json={"count": 1}).status_code == 200


def test_the_scheme_may_be_written_in_any_case(api: Api) -> None:
    assert api.get("/v1/status", headers={"Authorization": f"bEARER  {READ}"}).status_code == 200


def test_health_is_open_and_says_little(api: Api) -> None:  # C31
    for token in ("", WRONG):
        assert api.get("/v1/health", token).json() == {"healthy": True, "role": "leader"}
    assert api.get("/v1/health", READ).json()["framework_id"] == "framework-1"
    api.state = dataclasses.replace(api.state, connected=False, trouble="the stream ended")
    ill = api.get("/v1/health")
    assert (ill.status_code, ill.json()) == (503, {"healthy": False, "role": "leader"})


def test_what_dcos_and_the_agents_need_is_open(api: Api) -> None:  # C20
    deploy = api.get("/v1/plans/deploy")
    assert (deploy.status_code, deploy.json()) == (202, {"name": "deploy", "status": "pending"})
    assert "phases" in api.get("/v1/plans/deploy", READ).json()
    assert api.get("/v1/state/frameworkId").json() == ["framework-1"]
    assert api.get(api.artefacts.address("", "executor.pyz")).content == b"an executor"
    assert api.get("/v1/openapi.json").status_code == 200
    assert api.ask("POST", "/v1/plans/deploy").status_code == 401
    api.state = dataclasses.replace(api.state, framework_id="")
    assert is_problem(api.get("/v1/state/frameworkId"), 404, "no framework id yet")


def test_a_standby_leads_nobody_on_without_the_token(api: Api) -> None:
    api.standing = Standing(Role.STANDBY, "http://leader:8080")
    for path in ("/v1/status", "/v1/plans/deploy", "/v1/state/frameworkId"):
        for answer in (api.get(path), api.get(path, WRONG)):
            assert is_problem(answer, 401, "missing or wrong")
            assert "leader:8080" not in answer.text + str(answer.headers)
    sent = api.get("/v1/status?a=b", READ)
    assert (sent.status_code, sent.headers["location"]) == (307, "http://leader:8080/v1/status?a=b")
    assert READ not in str(sent.headers)
    assert api.ask("PUT", "/v1/workers", READ).status_code == 403
    assert api.ask("PUT", "/v1/workers", ADMIN).status_code == 307
    assert api.get("/v1/health").json() == {"healthy": True, "role": "standby"}


def test_tokens_change_with_their_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "token"
    file.write_text(f"{ADMIN}\n")
    file.chmod(0o600)
    found = Tokens.of(str(file), "", {})
    assert found.access(f"Bearer {ADMIN}") is Access.ADMIN
    assert not caplog.text
    file.write_text(f"{ADMIN}\nanother-token-of-this\n")
    assert [found.access(f"Bearer {token}") for token in (ADMIN, "another-token-of-this")] == [Access.ADMIN] * 2
    file.write_text("another-token-of-this")
    assert found.access(f"Bearer {ADMIN}") is Access.NONE
    for spoil in (lambda: file.write_text(""), file.unlink, lambda: file.write_text("short")):
        spoil()
        caplog.clear()
        assert [found.access("Bearer another-token-of-this") for _ in range(3)] == [Access.ADMIN] * 3
        assert caplog.text.count("until then the tokens that it held before are valid") == 1
    assert ADMIN not in caplog.text


def test_a_token_file_that_others_may_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "token"
    file.write_text(ADMIN)
    file.chmod(0o644)
    Tokens.of("", str(file), {})
    assert f"--api-read-token-file: {file} can be read by others (mode 644); chmod 600 it" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "\n \n", "too-short", "with a blank in it", "with-an-ümlaut-in-it", f"{ADMIN}\nx"]
)
def test_what_is_no_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(TokenProblem, match=r"--api-token-file: .*token.*; write") as found:
        Tokens.of(str(file), "", {})
    assert not text.strip() or text not in str(found.value)


def test_tokens_that_cannot_be() -> None:
    with pytest.raises(TokenProblem, match="/no/such/file cannot be read"):
        Tokens.of("/no/such/file", "", {})
    with pytest.raises(TokenProblem, match="the same token is for reading and for changing"):
        Tokens.of("", "", dict.fromkeys(ENVIRONMENT, ADMIN))
    with pytest.raises(TokenProblem, match="the environment variable ALLUXIO_MESOS_API_TOKEN holds what is no token"):
        Tokens.of("", "", {"ALLUXIO_MESOS_API_TOKEN": "short"})


def test_no_representation_shows_a_token() -> None:
    found = tokens()
    assert found.access(f"Bearer {ADMIN}") is Access.ADMIN
    shown = repr([found, vars(found), vars(found._admin), Safety(found)])
    assert ADMIN not in shown


# Where it listens -----------------------------------------------------------------------------------------------------


def configuration(**given: str) -> Configuration:
    texts = {"mesos": "m:1", "zookeeper": "z:1", "under-storage": "/d", "artefacts": "/a"}
    found = read(texts | {name.replace("_", "-"): text for name, text in given.items()})
    assert isinstance(found, Configuration)
    return found


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "::", "192.168.0.1", "fd00::1"])
def test_it_listens_to_no_stranger_without_a_token(host: str) -> None:
    with pytest.raises(Unsafe, match=r"can be reached from other machines.*give --api-token-file"):
        safety(configuration(), host, {})
    assert safety(configuration(api_open="yes"), host, {}).hosts is None
    guarded = safety(configuration(), host, ENVIRONMENT)
    assert is_in_clear(configuration(), host, guarded)
    assert not is_in_clear(configuration(api_certificate="/c", api_key="/k"), host, guarded)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_it_listens_to_this_machine(host: str) -> None:
    assert safety(configuration(api_rate="7"), host, {}).rate == 7.0
    assert not is_in_clear(configuration(), host, safety(configuration(), host, ENVIRONMENT))


def test_a_name_that_points_here_is_not_enough(tmp_path: Path) -> None:
    """A web page can have its own name point to 127.0.0.1."""
    open_ = safety(configuration(api_url="https://cache.example:1"), "127.0.0.1", {})
    with serving(tmp_path, safety=open_) as api:
        for good in ("127.0.0.1", "localhost:8080", "a.localhost", "[::1]:1", "cache.example", "10.0.0.1:1"):
            assert api.get("/v1/status", headers={"Host": good}).status_code == 200, good
        for bad in (
            "evil.example",
            "127.0.0.1.evil.example:80",
            "localhost.evil.example",
            "[::1",
            "cache.example.evil",
        ):
            assert is_problem(api.get("/v1/status", headers={"Host": bad}), 421, "--api-url"), bad
        assert api.get("/v1/health", headers={"Host": "evil.example"}).status_code == 200


def test_a_foreign_page_changes_nothing(changeable: Api) -> None:
    own = f"127.0.0.1:{changeable.port}"
    for good in ({}, {"Origin": f"http://{own}"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert changeable.ask("POST", "/v1/steer", ADMIN, headers=good).status_code == 200, good
    for bad in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"http://{own}"},
    ):
        assert is_problem(changeable.ask("POST", "/v1/steer", ADMIN, headers=bad), 403, "web page"), bad


# Limits ---------------------------------------------------------------------------------------------------------------


def test_a_large_body_is_refused(changeable: Api) -> None:
    most = guard.MOST_BODY
    assert changeable.ask("POST", "/v1/steer", ADMIN, data=b"x" * most).json() == most
    assert is_problem(
        changeable.ask("POST", "/v1/steer", ADMIN, data=b"x" * (most + 1)), 413, "larger than 65536 bytes"
    )
    pieces = iter([b"x" * most, b"x"])
    assert is_problem(changeable.ask("POST", "/v1/steer", ADMIN, data=pieces), 413, "larger than 65536 bytes")
    assert changeable.ask("POST", "/v1/steer", ADMIN, data=iter([b"x" * most])).json() == most


def test_a_huge_body_gets_its_answer(changeable: Api) -> None:
    """The answer comes although the client is still sending."""
    assert is_problem(changeable.ask("POST", "/v1/steer", ADMIN, data=b"x" * 10_000_000), 413, "larger than")
    assert is_problem(changeable.ask("POST", "/v1/steer", data=b"x" * 60_000), 401, "missing or wrong")


def test_a_large_head_is_refused(api: Api) -> None:
    assert is_problem(api.get("/v1/health", headers={"X": "y" * 20_000}), 431, "larger than 16384 bytes")
    assert is_problem(api.get(f"/v1/health?{'y' * 20_000}"), 431, "larger than 16384 bytes")
    assert b"HTTP/1.1 431 " in api.raw(b"GET /v1/health HTTP/1.1\r\nX: " + b"y" * 20_000)
    assert api.get("/v1/health", headers={"X": "y" * 15_000}).status_code == 200


@pytest.mark.parametrize(
    "text", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"]
)
def test_what_is_no_request_gets_a_document(api: Api, text: bytes) -> None:
    head, _, body = api.raw(text).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert b"application/problem+json" in head
    assert b'"detail": "this is no HTTP request' in body


def test_slow_clients_are_left(api: Api, changeable: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    for begun in (b"", b"GET /v1/hea", b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX: "):
        assert api.raw(begun) == b""
    begun = b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/h"
    answered: list[bytes] = []

    def is_left() -> bool:
        """After the first answer, and sooner than the pause between two requests ends it."""
        return seconds_of(lambda: answered.append(api.raw(begun))) < 4 and answered[-1].startswith(b"HTTP/1.1 200")

    # Who is too slow to bring even the first part in time tries again.
    eventually(is_left, f"it is left after {answered}")
    head = b"POST /v1/steer HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nAuthorization: Bearer " + ADMIN.encode()
    late = eventually(lambda: changeable.raw(head + b"\r\n\r\nabc"), "its head comes in time")
    assert late.startswith(b"HTTP/1.1 408"), late
    assert b"did not come within" in late


def test_drops_of_bytes_do_not_keep_a_connection(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as connection:
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nX: ")
        connection.settimeout(0.02)
        deadline = time.monotonic() + 60

        def is_over() -> bool:
            try:
                connection.sendall(b"x")
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        while not is_over():
            assert time.monotonic() < deadline


def until_turned_away(ask: Callable[[], requests.Response]) -> tuple[list[int], requests.Response]:
    """The statuses before the first 429, and that answer. What may be asked comes back meanwhile: on a slow machine it
    takes more questions.
    """
    before: list[int] = []
    while (answer := ask()).status_code != 429:
        before.append(answer.status_code)
        assert len(before) < 1000
    return before, answer


def test_a_client_that_asks_too_often_waits(tmp_path: Path) -> None:
    with serving(tmp_path, safety=Safety(tokens(), rate=1.0)) as api:
        before, last = until_turned_away(lambda: api.get("/v1/status", READ))
        assert (before[:10], set(before)) == ([200] * 10, {200})
        assert is_problem(last, 429, "more than 1 requests a second came from 127.0.0.1")
        assert 1 <= int(last.headers["retry-after"]) <= 2
        # Neither health, nor agents, nor who has another token suffers.
        assert api.get("/v1/status", ADMIN).status_code == 200
        for path in ("/v1/health", api.artefacts.address("", "executor.pyz")):
            assert {api.get(path).status_code for _ in range(20)} == {200}
        before, _ = until_turned_away(lambda: api.get("/v1/status", WRONG))
        assert (before[:10], set(before)) == ([401] * 10, {401})


def test_the_bucket_fills_again() -> None:
    rates = Rates(2.0)
    burst = int(2 * BURST_SECONDS)
    assert [rates.wait("a", 0.0) for _ in range(burst)] == [0.0] * burst
    assert rates.wait("a", 0.0) == pytest.approx(0.5)
    assert rates.wait("b", 0.0) == 0.0
    assert rates.wait("a", 0.5) == 0.0
    assert rates.wait("a", 0.5) == pytest.approx(0.5)
    assert [rates.wait("a", 1000.0) for _ in range(burst)] == [0.0] * burst
    assert rates.wait("a", 1000.0) > 0
    assert {Rates(0).wait("a", 0.0) for _ in range(10_000)} == {0.0}


def test_many_clients_fit_into_little_memory() -> None:
    rates = Rates(1.0)
    for number in range(3 * MOST_CLIENTS):
        assert rates.wait(number, 0.0) == 0.0
    assert len(rates) <= MOST_CLIENTS


def test_the_latest_client_is_not_forgotten() -> None:
    rates = Rates(1.0)
    for number in range(MOST_CLIENTS + 1):  # one too many: half of them are forgotten
        rates.wait(number, 0.0)
    assert [rates.wait(MOST_CLIENTS, 0.0) for _ in range(10)][-1] > 0
    assert [rates.wait(0, 0.0) for _ in range(10)][-1] == 0.0


@pytest.mark.parametrize(("proxies", "limited"), [((), True), (("127.0.0.0/8",), False), (("10.0.0.1",), True)])
def test_forwarded_addresses_are_believed_of_known_proxies(
    tmp_path: Path, proxies: tuple[str, ...], limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable must change nothing
    with serving(tmp_path, safety=Safety(tokens(), rate=1.0), proxies=proxies) as api:
        numbers = itertools.count()

        def ask() -> requests.Response:
            return api.get("/v1/status", READ, headers={"X-Forwarded-For": f"10.9.9.{next(numbers)}"})

        if limited:
            assert set(until_turned_away(ask)[0]) == {200}
        else:
            assert {ask().status_code for _ in range(15)} == {200}


# Methods, parameters and bodies ---------------------------------------------------------------------------------------


def test_head_and_options(changeable: Api) -> None:
    head = changeable.ask("HEAD", "/v1/count", READ)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1")
    options = changeable.ask("OPTIONS", "/v1/count", READ)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, PUT")
    assert not [name for name in options.headers if name.lower().startswith("access-control")]
    refused = changeable.ask("DELETE", "/v1/count", ADMIN)
    assert is_problem(refused, 405, "/v1/count does not take DELETE")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PUT"}
    assert changeable.ask("HEAD", "/v1/count").status_code == 401


def test_answers_are_kept_by_nobody(api: Api) -> None:
    for answer in (api.get("/v1/status", READ), api.get("/v1/status"), api.get("/v1/nothing", READ)):
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "server" not in answer.headers
    assert "cache-control" not in api.get(api.artefacts.address("", "executor.pyz")).headers


@pytest.mark.parametrize(
    ("query", "body", "status", "detail"),
    [
        ("?force=1", b'{"count": 1}', 400, "there is no query parameter 'force'; allowed: dry_run"),
        ("?dry_run=1&dry_run=0", b'{"count": 1}', 400, "dry_run is given 2 times"),
        ("", b"", 400, "no JSON document"),
        ("", b"{", 400, "no JSON document"),
        ("", b"\xff", 400, "it is not UTF-8"),
        ("", b'{"count": NaN}', 400, "NaN is no JSON number"),
        ("", b'{"count": 1, "count": 2}', 400, "a field comes twice"),
        ("", b'{"name": "\\ud800", "count": 1}', 400, "it is not UTF-8"),
        ("", b'{"count": ' + b"9" * 6000 + b"}", 400, "no JSON document"),
        ("", b"[" * 60_000, 400, "no JSON document"),
        ("", b"[1]", 400, "must be a JSON object"),
        ("", b"null", 400, "must be a JSON object"),
        ("", b'{"counts": 1}', 422, "there is no field 'counts'; allowed: count, name; the field 'count' is missing"),
    ],
)
def test_what_a_change_may_not_bring(changeable: Api, query: str, body: bytes, status: int, detail: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = changeable.ask("PUT", f"/v1/count{query}", ADMIN, data=body, headers=headers)
    assert is_problem(answer, status, detail)


def test_what_a_change_brings(changeable: Api) -> None:
    answer = changeable.ask("PUT", "/v1/count?dry_run=yes", ADMIN, json={"count": 3})
    assert answer.json() == {"body": {"count": 3}, "parameters": {"dry_run": "yes"}}
    assert changeable.ask("PUT", "/v1/count", ADMIN, json={"a": 1, "b": 2}).json()["errors"] == [
        "there is no field 'a'; allowed: count, name",
        "there is no field 'b'; allowed: count, name",
        "the field 'count' is missing",
    ]
    for content_type in ("", "text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": content_type} if content_type else {}
        refused = changeable.ask("PUT", "/v1/count", ADMIN, data=b'{"count": 3}', headers=headers)
        assert is_problem(refused, 415, "Content-Type: application/json")


# The prefix -----------------------------------------------------------------------------------------------------------


def test_it_works_under_a_prefix(tmp_path: Path) -> None:
    with serving(tmp_path, safety=Safety(tokens(), "/service/alluxio")) as api:
        for path in ("/service/alluxio/v1/status", "/v1/status"):  # kept, or taken away by the proxy
            assert (api.get(path).status_code, api.get(path, READ).status_code) == (401, 200)
        assert api.get("/service/alluxio/v1/health").json() == {"healthy": True, "role": "leader"}
        for path in ("/service/other/v1/health", "/service/alluxiov1/health"):
            assert api.get(path).status_code == 401
            assert api.get(path, READ).status_code == 404
        page = api.get("/service/alluxio")  # its relative addresses begin below the prefix
        assert (page.status_code, page.headers["location"]) == (307, "alluxio/")
        assert "Alluxio on Mesos" in api.get("/service/alluxio/").text
        document = api.get("/service/alluxio/v1/openapi.json").json()
        assert document["servers"] == [{"url": ".."}]
        api.standing = Standing(Role.STANDBY, "https://dcos.example/service/alluxio")
        sent = api.get("/service/alluxio/v1/pl%20ans?a=1", READ)
        assert sent.headers["location"] == "https://dcos.example/service/alluxio/v1/pl%20ans?a=1"


def test_no_link_is_made_of_what_a_client_sends(api: Api) -> None:
    answer = api.get("/v1/status/", READ, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert is_problem(answer, 404, "there is nothing at /v1/status/")
    assert "evil.example" not in answer.text + str(answer.headers)


# TLS ------------------------------------------------------------------------------------------------------------------


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("one", "two"):
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        )
    openssl("ec", "-in", f"{folder}/one.key", "-aes256", "-passout", "pass:word", "-out", f"{folder}/locked.key")
    (folder / "damaged.pem").write_text((folder / "one.pem").read_text().replace("MII", "XXX"))
    return f"{folder}/one.pem", f"{folder}/one.key"


def test_it_speaks_tls(tmp_path: Path, pair: tuple[str, str]) -> None:
    tls = Tls.of(*pair)
    with serving(tmp_path, safety=Safety(tokens()), tls=tls) as api:
        assert api.url.startswith("https://")
        assert api.get("/v1/status", READ, verify=pair[0]).json()["service"] == "alluxio"
        with pytest.raises(requests.exceptions.SSLError):
            api.get("/v1/health")
        with pytest.raises((requests.ConnectionError, http.client.HTTPException)):
            requests.get(f"http://127.0.0.1:{api.port}/v1/health", timeout=60)
        # Agents fetch over it, too.
        assert api.get(api.artefacts.address("", "executor.pyz"), verify=pair[0]).content == b"an executor"


@pytest.mark.parametrize(
    ("certificate", "key", "sentence"),
    [
        ("none.pem", "one.key", "--api-certificate: {folder}/none.pem cannot be read (No such file or directory)"),
        ("one.pem", "none.key", "--api-key: {folder}/none.key cannot be read (No such file or directory)"),
        ("one.key", "one.key", "--api-certificate: {folder}/one.key is no PEM file with BEGIN CERTIFICATE in it"),
        ("one.pem", "one.pem", "--api-key: {folder}/one.pem is no PEM file with PRIVATE KEY in it"),
        ("one.pem", "two.key", "--api-key: {folder}/two.key is not the key of the certificate {folder}/one.pem"),
        ("one.pem", "locked.key", "--api-key: {folder}/locked.key is encrypted"),
        ("damaged.pem", "one.key", "--api-certificate: {folder}/damaged.pem or its key {folder}/one.key is damaged"),
    ],
)
def test_certificates_that_do_not_work(pair: tuple[str, str], certificate: str, key: str, sentence: str) -> None:
    folder = Path(pair[0]).parent
    with pytest.raises(TlsProblem) as found:
        Tls.of(f"{folder}/{certificate}", f"{folder}/{key}")
    assert str(found.value).startswith(sentence.format(folder=folder))
    assert "; " in str(found.value)


def test_no_certificate_is_no_tls() -> None:
    assert Tls.of("", "") is None


def test_nothing_of_a_token_stands_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def broken(service: Service) -> Starlette:
        def fail(request: Request) -> Response:
            raise ValueError("a defect")

        operation = Operation("GET", "/v1/fail", "fail", "", {200: Answer("", {})})
        return assemble((operation,), {"fail": fail}, service.safety, service.standing)

    with serving(tmp_path, safety=Safety(tokens()), made=broken) as api:
        answers: list[Any] = [api.get("/v1/fail", token) for token in (READ, ADMIN, WRONG)]
        answers.append(api.get("/v1/health", headers={"Authorization": f"Bearer {ADMIN}", "X": "y" * 20_000}))
    assert [answer.status_code for answer in answers] == [500, 500, 401, 431]
    said = "".join(answer.text + str(answer.headers) for answer in answers)
    eventually(lambda: "a defect" in caplog.text, "the traceback stands in the log")
    for token in (READ, ADMIN, WRONG):
        assert token not in caplog.text + said
