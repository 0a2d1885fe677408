"""What clients of the cache are configured with, as answers: text to paste, or JSON for who asks for it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from framework import clients
from framework.api.tasks import prefers_json
from framework.config import Configuration
from framework.planner import State

PROMETHEUS = "prometheus"


class Clients:
    """The route."""

    def __init__(self, snapshot: Callable[[], State], configuration: Callable[[State], Configuration]) -> None:
        self._snapshot = snapshot
        self._configuration = configuration

    def one(self, request: Request) -> Response:
        name, state = request.path_params["name"], self._snapshot()
        if name == PROMETHEUS:
            return JSONResponse(clients.targets(state, self._configuration(state)))
        guide = clients.GUIDES.get(name)
        if guide is None:
            known = ", ".join((*clients.GUIDES, PROMETHEUS))
            raise HTTPException(404, f"there are no endpoints for {name!a}; there are some for {known}")
        found = guide(state, self._configuration(state))
        if isinstance(found, clients.Missing):
            raise HTTPException(found.status, found.sentence)
        return JSONResponse(found.document) if prefers_json(request) else PlainTextResponse(found.text)
