"""What is told of tasks, and the ends of their logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from framework import views
from framework.api import sandboxes
from framework.api.changes import parameters
from framework.model import Kind, Record
from framework.planner import State

LINES: Final = 100
FIRST_LOG: Final = {
    Kind.MASTER: "logs/master.log",
    Kind.WORKER: "logs/worker.log",
    Kind.PROXY: "logs/proxy.log",
}


def prefers_json(request: Request) -> bool:
    """Where text is the rule: JSON for who names it and does not name text."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/plain" not in accept


class Tasks:
    """The routes."""

    def __init__(self, snapshot: Callable[[], State]) -> None:
        self._snapshot = snapshot
        self._sandboxes = sandboxes.Sandboxes()

    def one(self, request: Request) -> Response:
        name, state = request.path_params["name"], self._snapshot()
        shown = views.task(state, name, time.time())
        if shown is None:
            raise _no_task(name, state)
        return JSONResponse(shown)

    def log(self, request: Request) -> Response:
        """Text, or JSON for who asks for it."""
        state = self._snapshot()
        record = _record(state, request.path_params["name"])
        given = parameters(request, "file", "lines")
        file = given.get("file", FIRST_LOG[record.kind])
        if not sandboxes.allowed(file):
            raise HTTPException(400, f"file: {file!a} is not allowed; name stdout, stderr or a file below logs/")
        lines = _lines(given.get("lines", str(LINES)))
        if not state.master:
            raise HTTPException(503, "no Mesos master is known at this moment, which says where the agent is")
        try:
            tail = self._sandboxes.tail(state.master, state.framework_id, record, file, lines)
        except sandboxes.NoFile as error:
            raise HTTPException(404, str(error)) from error
        except sandboxes.AgentAway as error:
            raise HTTPException(503, str(error)) from error
        if prefers_json(request):
            told = {"task_id": record.task_id, "file": tail.file, "size_bytes": tail.size, "cut": tail.cut}
            return JSONResponse(told | {"text": tail.text})
        return PlainTextResponse(tail.text)


def _record(state: State, name: str) -> Record:
    """Raises HTTPException when there is no such task, or none of it was launched."""
    record = state.records.get(name.partition(".")[0])
    if record is not None and name in (record.slot, record.task_id):
        return record
    if record is None and name in views.slots(state):
        raise HTTPException(404, f"{name} was not launched yet: it has no log; /v1/plans/deploy says what it waits for")
    raise _no_task(name, state)


def _no_task(name: str, state: State) -> HTTPException:
    known = views.slots(state)
    some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    return HTTPException(404, f"there is no task {name!a}; there are {some or 'none'}")


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= sandboxes.MOST_LINES):
        raise HTTPException(
            400, f"lines: {text!a} is not allowed; write a whole number from 1 to {sandboxes.MOST_LINES}"
        )
    return int(text)
