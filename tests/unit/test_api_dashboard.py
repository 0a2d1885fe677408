"""The dashboard's page and what it fetches, on a real socket."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_stage import Api, is_problem, serving
from framework.api.app import Role, Standing
from framework.api.safety import Safety
from framework.api.tokens import Tokens
from framework.model import Refusal

READ = "read-token-of-this-test-"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Api]:
    tokens = Tokens.of("", "", {"ALLUXIO_MESOS_API_READ_TOKEN": READ})
    with serving(tmp_path, safety=Safety(tokens)) as made:
        yield made


def test_everybody_may_have_the_page_and_it_tells_nothing(closed: Api) -> None:
    page = closed.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "framework-1" not in page.text
    assert "m:5050" not in page.text
    assert is_problem(closed.get("/v1/dashboard"), 401, "the token is missing")
    assert "m:5050" in closed.get("/v1/dashboard", READ).text


def test_nothing_on_it_is_from_elsewhere_or_written_into_it(api: Api) -> None:
    policy = api.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    for path in ("/", "/v1/dashboard"):
        text = api.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", text)
    for address in re.findall(r'(?:src|href)="([^"]*)"', api.get("/").text):
        assert re.match(r"[\w#]", address), address  # relative: it holds behind every prefix
        assert ":" not in address
        if address.startswith("dashboard/"):
            file = api.get(f"/{address}")
            assert file.status_code == 200
            assert file.headers["x-content-type-options"] == "nosniff"


def test_its_files_and_no_others(api: Api) -> None:
    types = {"dashboard.css": "text/css", "dashboard.js": "text/javascript", "dashboard.svg": "image/svg+xml"}
    for name, media_type in types.items():
        assert api.get(f"/dashboard/{name}").headers["content-type"].partition(";")[0] == media_type
    for name in ("dashboard.html.j2", "alluxio-site.properties.j2", "..%2fcli.py"):
        assert is_problem(api.get(f"/dashboard/{name}"), 404, "")


def test_a_standby_sends_people_to_the_leaders_page(api: Api) -> None:
    api.standing = Standing(Role.STANDBY, "http://leader:8080/service/alluxio")
    answer = api.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "http://leader:8080/service/alluxio/")
    api.standing = Standing(Role.WAITING, "", "ZooKeeper does not answer at z:1")
    assert api.get("/").status_code == 200  # and what it fetches says why
    assert is_problem(api.get("/v1/dashboard"), 503, "ZooKeeper does not answer at z:1")


def test_what_is_known_already_is_not_sent_again(api: Api) -> None:
    first = api.get("/v1/dashboard")
    tag = first.headers["etag"]
    assert (first.status_code, first.headers["content-security-policy"][:20]) == (200, "default-src 'none'; ")
    same = api.get("/v1/dashboard", headers={"If-None-Match": tag})
    assert (same.status_code, same.headers["etag"], same.content) == (304, tag, b"")
    api.state = dataclasses.replace(api.state, connected=False, trouble="the stream ended")
    other = api.get("/v1/dashboard", headers={"If-None-Match": tag})
    assert (other.status_code, "the stream ended" in other.text) == (200, True)


def test_with_several_groups_it_lists_them_and_says_what_is_scaled(api: Api) -> None:
    text = api.get("/v1/dashboard").text
    assert "Groups of workers" not in text
    assert "data-grouped" not in text
    for name, count in (("hdd", "all"), ("none", 0), ("ssd", 3)):
        body = {"count": count, "options": {"worker-ram": "2GB"} if name == "ssd" else {}}
        assert api.ask("PUT", f"/v1/worker-groups/{name}", json=body).status_code == 200
    text = api.get("/v1/dashboard").text
    shown = re.sub(r"<[^>]+>", "", text[text.index("Groups of workers") : text.index("The last hour")]).split("\n")
    assert [line.strip() for line in shown if line.strip()][1:] == [
        "default 0 of 2 ready",
        "hdd 0 ready, one wanted on each agent",
        "none none wanted",
        "ssd 0 of 3 readyworker-ram 2GB",
    ]
    assert "data-grouped" in text
    assert "0 workers serve." in text
    assert "of the default group" in api.get("/dashboard/dashboard.js").text


def test_nobody_writes_into_the_page(api: Api) -> None:
    """An agent's name and words are others' words."""
    refusal = Refusal("S1", '<script>alert("1")</script>', '<img src=x onerror="a">', 20.0)
    api.state = dataclasses.replace(api.state, refusals=(refusal,))
    text = api.get("/v1/dashboard").text
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "<img" not in text
