"""The routes that change how many workers there are, and that say how many."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from framework import scaling
from framework.api.changes import Changes, is_dry, json_object, parameters, require_version, tag
from framework.api.kept import Kept, encoded, json_response
from framework.api.problems import Refused
from framework.messages import RestartAsked, Wished
from framework.model import Kind, Record
from framework.planner import State
from framework.state import current_report, is_wanted


class Workers:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._shown: Kept[bytes] = Kept()

    def shown(self, request: Request) -> Response:
        parameters(request)
        state, now = self._changes.snapshot(), time.time()
        content = self._shown.of(state, now, lambda: encoded(scaling.as_document(state, now)))
        return json_response(content, headers=tag(state))

    async def scale(self, request: Request) -> Response:
        dry_run = is_dry(request)
        body = await json_object(request, ("count", "remove"), required=("count",))
        count, remove = asked(body, scaling.DEFAULT)
        return await self._changes.turns.take(self._scale, request, count, remove, dry_run)

    def _scale(self, request: Request, count: int | None, remove: list[str], dry_run: bool) -> Response:
        def chosen(state: State, now: float) -> scaling.Change | list[str]:
            require_version(request, state)
            return scaling.change(state, count, remove, now)

        change, state = self._changed(chosen, dry_run=dry_run)
        return JSONResponse(scaling.change_document(state, change, time.time(), dry_run=dry_run), headers=tag(state))

    def _changed(
        self, chosen: Callable[[State, float], scaling.Change | list[str]], *, dry_run: bool = False
    ) -> tuple[scaling.Change, State]:
        """The change, and the state in which it holds."""
        state, change = self._changes.decided(chosen)
        if change.entry is not None and not dry_run:
            state = self._changes.write(Wished(change.entry))
        return change, state

    async def replace(self, request: Request) -> Response:
        """A worker leaves as when there are to be fewer, and another one takes its place."""
        parameters(request)
        return await self._changes.turns.take(self._replace, request)

    def _replace(self, request: Request) -> Response:
        record = self._wanted(request)
        if record.kind is not Kind.WORKER:
            raise HTTPException(
                409,
                f"{record.slot} is no worker: a master stays with its journal, and is replaced by itself when its "
                "agent is gone; POST …/restart launches a task again where it is",
            )
        if self._changes.snapshot().wanted.count(record.group) is None:
            raise HTTPException(
                409, "a worker is wanted on each agent, so none can take another's place; POST …/restart restarts it"
            )
        change, _ = self._changed(lambda state, now: scaling.replaced(state, record.slot, now))
        message = f"{', '.join(change.start)} takes its place; {record.task_id} is emptied, then ended"
        return JSONResponse({"task_id": record.task_id, "message": message}, 202)

    def _wanted(self, request: Request) -> Record:
        """The task that the path names.

        Raises:
            HTTPException: 404, there is none; 409, it is wanted no more.
        """
        name, state = request.path_params["name"], self._changes.snapshot()
        record = state.records.get(name.partition(".")[0])
        if record is None or name not in (record.slot, record.task_id):
            raise HTTPException(404, f"there is no task {name!a}; GET /v1/tasks lists what there is")
        if not is_wanted(state, record):
            raise HTTPException(409, f"{record.task_id} leaves already; /v1/plans/decommission says how far it is")
        return record

    def restart(self, request: Request) -> Response:
        """A task is ended and launched again where it is."""
        parameters(request)
        record, state = self._wanted(request), self._changes.snapshot()
        if not state.connected:
            raise HTTPException(503, f"nothing can be ended at this moment: {state.trouble}")
        if current_report(state, record) is None:
            raise HTTPException(409, f"{record.task_id} was just launched, and Mesos has said no word of it yet; wait")
        task_id = record.task_id
        done = self._changes.post(
            RestartAsked(task_id), lambda state: task_id in state.restarts or task_id in state.kills
        )
        if not done:
            raise HTTPException(503, "the scheduler did not take the change in time; /v1/health says what is amiss")
        return JSONResponse({"task_id": task_id, "message": f"{task_id} is ended and launched again"}, 202)


def asked(body: dict[str, Any], group: str) -> tuple[int | None, list[str]]:
    """The number of workers of a group, and the slots that shall go.

    Raises:
        Refused: 422, with every mistake.
    """
    count, remove = body["count"], body.get("remove", [])
    mistakes = scaling.count_mistakes(count)
    if not isinstance(remove, list) or not all(
        isinstance(name, str) and re.fullmatch(rf"{re.escape(group)}-\d{{1,9}}", name) for name in remove
    ):
        mistakes.append(f'remove: {remove!a:.100} is not allowed; give a list of workers, such as ["{group}-2"]')
    if mistakes:
        raise Refused(422, mistakes)
    return None if count == "all" else count, remove
