"""`/faults` of a master and of an agent: POST switches a fault on, GET lists those that are on, DELETE clears them.

What a fault does at its beginning comes from the master or the agent; the answers are this package's own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn

from aiohttp import web

from localmesos.faults import Ending, Fault, Faults, Lasting, WrongFault, read

Json = dict[str, Any]
PATH = "/faults"
log = logging.getLogger("faults")


class FaultsApi:
    """`server`: "master" or "agent". `check` raises WrongFault for what does not fit this server's state. `change` is
    done when a lasting fault of the kind begins and again when it is over. `act` is done for one that does not last,
    `end` after the answer, because it ends the process."""

    def __init__(
        self,
        server: str,
        faults: Faults,
        *,
        end: Callable[[Ending], Coroutine[Any, Any, None]],
        check: Callable[[Fault], None] = lambda fault: None,
        act: Mapping[type[Fault], Callable[[], None]] | None = None,
        change: Mapping[type[Fault], Callable[[], None]] | None = None,
    ) -> None:
        self._server, self._faults, self._check, self._end = server, faults, check, end
        self._act, self._change = act or {}, change or {}
        self._ending: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self._post), web.get(PATH, self._get), web.delete(PATH, self._delete)]

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            fault = read(await _document(request), self._server)
            self._check(fault)
        except WrongFault as error:
            return web.Response(status=400, text=f"{error}.")
        log.info("Fault: %s.", fault)
        answer = web.json_response(fault.to_json())
        if isinstance(fault, Lasting):
            change = self._change.get(type(fault), lambda: None)
            self._faults.begin(fault, afterwards=change)
            change()
        elif isinstance(fault, Ending):
            await answer.prepare(request)
            await answer.write_eof()
            # Whoever asked may leave now, which cancels this handler.
            self._ending = asyncio.create_task(self._end(fault))
        else:
            self._act[type(fault)]()
        return answer

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"faults": self._faults.to_json()})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        log.info("All faults are over.")
        self._faults.clear()
        return web.json_response({"faults": []})


async def _document(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise WrongFault(f"the body is no JSON: {error}") from None


def crash(returns_in: float | None) -> NoReturn:
    """As SIGKILL: nothing is said or tidied up. One that is to come back becomes, under the same process id, the
    process that waits and starts again."""
    if returns_in is None:
        os.kill(os.getpid(), signal.SIGKILL)
    os.execv(sys.executable, [*sys.orig_argv, "--start-in", str(returns_in)])
