"""The routes of groups of workers with a number, sizes, tiers and a placement of their own."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from framework import grouping
from framework.api.changes import Changes, is_dry, json_object, parameters, tag, texts
from framework.api.workers import asked
from framework.grouping import GroupChange
from framework.messages import Wished
from framework.model import group_named
from framework.planner import State

Read = Callable[[State, float], GroupChange | list[str]]


class Groups:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def all(self, request: Request) -> Response:
        parameters(request)
        state = self._changes.snapshot()
        return JSONResponse(grouping.list_document(state, time.time()), headers=tag(state))

    def one(self, request: Request) -> Response:
        parameters(request)
        name, state = request.path_params["name"], self._changes.snapshot()
        if name not in grouping.names(state):
            raise HTTPException(404, f"there is no group {name!a}; GET /v1/worker-groups lists those that there are")
        return JSONResponse(grouping.as_document(state, name, time.time()), headers=tag(state))

    async def change(self, request: Request) -> Response:
        name, dry_run = request.path_params["name"], is_dry(request)
        body = await json_object(request, ("count", "remove", "options"), required=("count",))
        count, remove = asked(body, group_named(name))
        options = texts(body["options"]) if "options" in body else None

        def read(state: State, now: float) -> GroupChange | list[str]:
            return grouping.changed(self._changes.values, state, name, count, options, remove, now)

        return await self._changes.turns.take(self._changed, request, name, read, dry_run)

    async def remove(self, request: Request) -> Response:
        name, dry_run = request.path_params["name"], is_dry(request)
        if grouping.entry_of(self._changes.snapshot(), name) is None:
            raise HTTPException(404, f"there is no group {name!a} that could be removed; GET /v1/worker-groups")

        def read(state: State, now: float) -> GroupChange | list[str]:
            return grouping.removed(self._changes.values, state, name, now)

        return await self._changes.turns.take(self._changed, request, name, read, dry_run)

    def _changed(self, request: Request, name: str, read: Read, dry_run: bool) -> Response:
        state, change = self._changes.decided(read, request)
        if change.entry is not None and not dry_run:
            state = self._changes.write(Wished(change.entry, change.wanted), change.launching)
        document = grouping.change_document(state, name, change, time.time(), dry_run=dry_run)
        return JSONResponse(document, headers=tag(state))
