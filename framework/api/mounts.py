"""The routes of the storages below the root of the namespace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from framework import mounting, mounts, namespace
from framework.api.changes import Changes, flag_mistakes, is_dry, json_object, parameters, tag
from framework.api.problems import Refused
from framework.messages import Wished
from framework.model import Mount, Secret
from framework.mounts import MountChange, Surroundings
from framework.planner import State

Read = Callable[[State, float], MountChange | list[str]]


class Mounts:
    """``secret_mistake`` says why a secret of this name cannot be had; "" when it can."""

    def __init__(
        self, changes: Changes, around: Callable[[State], Surroundings], secret_mistake: Callable[[str], str]
    ) -> None:
        self._changes = changes
        self._around = around
        self._secret_mistake = secret_mistake

    def all(self, request: Request) -> Response:
        parameters(request)
        state = self._changes.snapshot()
        return JSONResponse(mounts.list_document(state, time.time()), headers=tag(state))

    def one(self, request: Request) -> Response:
        parameters(request)
        path, state = _path(request), self._changes.snapshot()
        document = mounts.as_document(state, path, time.time())
        if document is None:
            raise HTTPException(404, f"nothing is mounted at {path!a}, nor wanted there; GET /v1/mounts lists what is")
        return JSONResponse(document, headers=tag(state))

    async def change(self, request: Request) -> Response:
        path, dry_run = _path(request), is_dry(request)
        body = await json_object(request, ("uri", "options", "readonly", "shared"), required=("uri",))
        mount = _mount(path, body)

        def read(state: State, now: float) -> MountChange | list[str]:
            change = mounts.changed(state, mount, self._around(state), now)
            missing = list(self._missing(mount))
            if isinstance(change, list):
                return change + missing
            return missing or change

        return await self._changes.turns.take(self._changed, request, read, dry_run)

    def _missing(self, mount: Mount) -> Iterator[str]:
        for name, value in mount.options.items():
            known = isinstance(value, Secret) and not namespace.secret_mistake(value.name)
            if isinstance(value, Secret) and known and (mistake := self._secret_mistake(value.name)):
                yield f"options: {name}: {mistake}"

    async def remove(self, request: Request) -> Response:
        path, dry_run = _path(request), is_dry(request)
        return await self._changes.turns.take(self._removed, request, path, dry_run)

    def _removed(self, request: Request, path: str, dry_run: bool) -> Response:
        state = self._changes.snapshot()
        if path == namespace.ROOT:
            raise Refused(422, ["path: the root stays for the life of the service; only what is below it is unmounted"])
        if mounting.wanted_at(state, path) is None:
            if path in mounting.table(state) and path not in state.mounts:
                raise Refused(
                    422, [f"path: somebody else mounted what is at {path!a}; unmount it with Alluxio's own command"]
                )
            raise HTTPException(404, f"nothing is wanted at {path!a}; GET /v1/mounts lists what is")
        return self._changed(request, lambda state, now: mounts.removed(state, path, now), dry_run)

    def _changed(self, request: Request, read: Read, dry_run: bool) -> Response:
        state, change = self._changes.decided(read, request)
        if change.entry is not None and not dry_run:
            state = self._changes.write(Wished(change.entry))
        return JSONResponse(mounts.change_document(state, change, time.time(), dry_run=dry_run), headers=tag(state))


def _path(request: Request) -> str:
    return f"/{request.path_params['path']}"


def _mount(path: str, body: dict[str, Any]) -> Mount:
    """
    Raises:
        Refused: 422, with every field that is not what it must be. No value of an option is part of it.
    """
    mistakes: list[str] = []
    uri = body["uri"]
    if not isinstance(uri, str):
        mistakes.append("uri: give a text, such as s3://bucket/folder")
    mistakes += flag_mistakes(body, "readonly", "shared")
    options: dict[str, str | Secret] = {}
    given = body.get("options", {})
    if not isinstance(given, dict):
        mistakes.append('options: give an object, such as {"alluxio.underfs.s3.endpoint": "http://s3:9000"}')
        given = {}
    for name, value in given.items():
        if isinstance(value, str):
            options[name] = value
        elif isinstance(value, dict) and list(value) == ["secret"] and isinstance(value["secret"], str):
            options[name] = Secret(value["secret"])
        else:
            mistakes.append(f'options: {name!a:.100}: give a text, or {{"secret": "NAME"}} for the name of a secret')
    if mistakes:
        raise Refused(422, mistakes)
    return Mount(path, uri, options, body.get("readonly", False), body.get("shared", False))
