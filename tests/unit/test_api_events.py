"""What happens, as a stream on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette

from api_stage import Api, is_problem, serving
from eventually import eventually
from framework.api.app import Role, Service, Standing, assemble
from framework.api.events import Events
from framework.api.openapi import OPERATIONS
from framework.api.safety import Safety
from framework.api.tokens import Tokens

EVENTS = tuple(operation for operation in OPERATIONS if operation.name == "events")
STREAM = {"Accept": "text/event-stream"}
LIST = {"Accept": "application/json"}
READ = "read-token-of-this-test-"


def impatient(service: Service) -> Starlette:
    """Two streams at most, whose heart beats often."""
    events = Events(service.chronicle, heartbeat=0.05, most=2)
    return assemble(EVENTS, {"events": events.all}, service.safety, service.standing)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path, made=impatient) as made:
        yield made


class Stream:
    """The blocks of a stream, as they come."""

    def __init__(self, api: Api, token: str = "", **headers: str) -> None:
        self.answer = api.get("/v1/events", token, headers=STREAM | headers, stream=True)
        assert self.answer.status_code == 200, self.answer.text
        self._lines = self.answer.iter_lines(chunk_size=1, decode_unicode=True)

    def block(self) -> dict[str, str]:
        """The next, by field; a comment's field is empty."""
        found: dict[str, str] = {}
        for line in self._lines:
            if not line:
                return found
            field, _, value = line.partition(":")
            found[field] = value.removeprefix(" ")
        raise EOFError

    def event(self) -> dict[str, Any]:
        while "data" not in (block := self.block()):
            pass
        data: dict[str, Any] = json.loads(block["data"])
        assert (block["id"], block["event"]) == (str(data["number"]), data["kind"])
        return data

    def ends(self) -> bool:
        try:
            while True:
                self.block()
        except EOFError:
            return True


def test_what_happened_comes_first_and_then_what_happens(api: Api) -> None:
    api.chronicle.add(5.0, "launch", "one")
    stream = Stream(api)
    assert stream.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.answer.headers["cache-control"] == "no-store"
    assert stream.event() == {"number": 1, "at": 5.0, "kind": "launch", "text": "one"}
    api.chronicle.add(6.0, "kill", "two\nlines: «☃»")
    assert stream.event() == {"number": 2, "at": 6.0, "kind": "kill", "text": "two\nlines: «☃»"}
    stream.answer.close()


def test_a_stream_goes_on_where_another_was_cut(api: Api) -> None:
    for text in ("one", "two", "three"):
        api.chronicle.add(5.0, "launch", text)
    assert Stream(api, **{"Last-Event-ID": "2"}).event()["text"] == "three"
    assert [entry["text"] for entry in api.get("/v1/events?after=1", headers=LIST).json()] == ["two", "three"]
    # A browser that reconnects sends the address that it was given first.
    assert api.get("/v1/events?after=0", headers=LIST | {"Last-Event-ID": "3"}).json() == []


def test_a_list_for_who_asks_for_json_alone(api: Api) -> None:
    api.chronicle.add(5.0, "launch", "one")
    answer = api.get("/v1/events", headers=LIST)
    assert (answer.headers["content-type"], len(answer.json())) == ("application/json", 1)
    both = api.get("/v1/events", headers={"Accept": "text/event-stream, application/json"}, stream=True)
    assert both.headers["content-type"] == "text/event-stream; charset=utf-8"
    both.close()


def test_only_what_is_allowed(api: Api) -> None:
    assert is_problem(api.get("/v1/events?after=soon", headers=LIST), 400, "after: 'soon' is not allowed")
    assert is_problem(api.get("/v1/events?before=1", headers=LIST), 400, "no query parameter 'before'")
    wrong = api.get("/v1/events", headers={"Last-Event-ID": "x"})
    assert is_problem(wrong, 400, "Last-Event-ID: 'x' is not allowed")
    head = api.ask("HEAD", "/v1/events")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    api.standing = Standing(Role.STANDBY, "http://leader:1")
    assert api.get("/v1/events").headers["location"] == "http://leader:1/v1/events"


def test_a_token_opens_it(tmp_path: Path) -> None:
    tokens = Tokens.of("", "", {"ALLUXIO_MESOS_API_READ_TOKEN": READ})
    with serving(tmp_path, safety=Safety(tokens)) as api:
        assert is_problem(api.get("/v1/events"), 401, "the token is missing")
        api.chronicle.add(5.0, "launch", "one")
        assert Stream(api, READ).event()["text"] == "one"


def test_a_comment_shows_that_the_stream_lives(small: Api) -> None:
    stream = Stream(small)
    assert stream.block() == {"retry": "2000"}
    assert stream.block() == {"": "nothing new"}
    assert stream.block() == {"": "nothing new"}


def test_there_are_so_many_streams_and_no_more(small: Api) -> None:
    streams = [Stream(small), Stream(small)]
    for stream in streams:
        stream.block()
    turned_away = small.get("/v1/events", headers=STREAM)
    assert is_problem(turned_away, 503, "2 streams of events are open")
    assert turned_away.headers["retry-after"] == "1"
    assert small.get("/v1/events", headers=LIST).status_code == 200
    streams[0].answer.close()

    def is_free() -> bool:
        answer = small.get("/v1/events", headers=STREAM, stream=True)
        answer.close()
        return answer.status_code == 200

    eventually(is_free, "the place of the one that went")


def test_streams_end_when_the_scheduler_does(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        stream = Stream(api)
        stream.block()
        ended: list[bool] = []
        reader = threading.Thread(target=lambda: ended.append(stream.ends()), daemon=True)
        reader.start()
        api.chronicle.close()
        api.server.stop()
        reader.join(60)
        assert ended == [True]  # where uvicorn cuts a stream, after two seconds, reading it raises
        with pytest.raises(requests.ConnectionError):
            api.get("/v1/health")
