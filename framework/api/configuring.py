"""The routes that show and change the configuration, let plans rest, and set how much is logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from framework import config, configuring, scaling
from framework.api.changes import Changes, is_dry, json_object, parameters, tag, texts_or_nothing
from framework.api.problems import Refused
from framework.configuring import Configured
from framework.messages import Wished
from framework.planner import State
from framework.state import PLANS

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class Configurations:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def shown(self, request: Request) -> Response:
        parameters(request)
        state = self._changes.snapshot()
        return JSONResponse(configuring.as_document(state, config.recorded(self._changes.values)), headers=tag(state))

    async def change(self, request: Request) -> Response:
        dry_run = is_dry(request)
        body = await json_object(request, ("options",), required=("options",))
        asked = texts_or_nothing(body["options"])
        return await self._changes.turns.take(
            self._changed, request, lambda state: configuring.changed(self._changes.values, state, asked), dry_run
        )

    async def roll_back(self, request: Request) -> Response:
        dry_run = is_dry(request)
        body = await json_object(request, ("number",), required=("number",))
        number = body["number"]
        if not isinstance(number, int) or isinstance(number, bool):
            raise Refused(422, [f"number: {number!a:.100} is not allowed; give the number of an entry of the history"])
        return await self._changes.turns.take(
            self._changed, request, lambda state: configuring.back_to(self._changes.values, state, number), dry_run
        )

    def _changed(self, request: Request, read: Callable[[State], Configured | list[str]], dry_run: bool) -> Response:
        before, found = self._changes.decided(lambda state, _: read(state), request)
        state = before
        same = bool(before.history) and before.history[-1].options == found.options
        if not same and not dry_run:
            entry, policy = found.entry(before, time.time()), configuring.policy(found.configuration)
            state = self._changes.write(Wished(entry, found.own_wanted, policy), found.launching)
        return JSONResponse(configuring.change_document(before, found, state, dry_run=dry_run), headers=tag(state))


class Resting:
    """Plans that rest: what they would begin is not begun, until they go on."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def pause(self, request: Request) -> Response:
        return await self._changes.turns.take(self._set, request, rests=True)

    async def resume(self, request: Request) -> Response:
        return await self._changes.turns.take(self._set, request, rests=False)

    def _set(self, request: Request, *, rests: bool) -> Response:
        parameters(request)
        name = request.path_params["name"]
        if name not in PLANS:
            raise HTTPException(404, f"there is no plan {name!a}; there are {', '.join(PLANS)}")
        state = self._changes.snapshot()
        paused = state.wanted.paused | {name} if rests else state.wanted.paused - {name}
        if paused != state.wanted.paused:
            entry = scaling.next_entry(state, time.time())
            state = self._changes.write(Wished(scaling.resting(entry, paused)))
        return JSONResponse({"name": name, "paused": rests}, headers=tag(state))


def level_shown(request: Request) -> Response:
    parameters(request)
    return JSONResponse({"level": logging.getLevelName(logging.getLogger().level)})


async def set_level(request: Request) -> Response:
    """Of this scheduler's log, until it ends."""
    parameters(request)
    body = await json_object(request, ("level",), required=("level",))
    level = body["level"]
    if level not in LEVELS:
        raise Refused(422, [f"level: {level!a:.100} is not allowed; choose one of {', '.join(LEVELS)}"])
    logging.getLogger().setLevel(level)
    logging.getLogger(__name__).warning("from now on the log has %s and worse", level)
    return JSONResponse({"level": level})
