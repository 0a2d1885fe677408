"""The v1 executor API over HTTP. Answers word for word as Mesos's. Where: Mesos, "Executor HTTP API"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from localmesos.executors import Executor
from localmesos.protobuf import EXECUTOR_CALL, missing_fields
from localmesos.streams import EventStream

if TYPE_CHECKING:
    from localmesos.agent import Agent

Json = dict[str, Any]
PATHS = ("/api/v1/executor", "/slave(1)/api/v1/executor")
_KINDS = ("SUBSCRIBE", "UPDATE", "MESSAGE")


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class ExecutorApi:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await self._agent.faults.heard("executors")
        body = await request.read()
        try:
            if self._agent.recovering:
                raise _Refused(503, "Agent has not finished recovery")
            call = _parse(request, body)
            executor = self._agent.find_executor(call["framework_id"]["value"], call["executor_id"]["value"])
            if isinstance(executor, str):
                raise _Refused(400, executor)
            if call["type"] == "SUBSCRIBE":
                return await self._subscribe(request, executor, call["subscribe"])
            if executor.stream is None:
                raise _Refused(403, "Executor is not subscribed")
            if call["type"] == "UPDATE":
                self._agent.update_from_executor(executor, call["update"]["status"])
            else:
                self._agent.message_from_executor(executor, call["message"]["data"])
        except _Refused as refused:
            return web.Response(status=refused.status, text=refused.text)
        return web.Response(status=202)

    async def _subscribe(self, request: web.Request, executor: Executor, content: Json) -> web.StreamResponse:
        stream = EventStream(lambda: self._agent.faults.heard("executors"))
        self._agent.executor_subscribed(executor, stream, content)
        try:
            return await stream.serve(request, {})
        finally:
            self._agent.faults.once_heard("executors", lambda: self._agent.executor_disconnected(executor, stream))


def _parse(request: web.Request, body: bytes) -> Json:
    if "Content-Type" not in request.headers:
        raise _Refused(400, "Expecting 'Content-Type' to be present")
    if request.content_type != "application/json":
        raise _Refused(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
    try:
        call = json.loads(body)
    except ValueError as error:
        raise _Refused(400, f"Failed to parse body into JSON: {error}") from None
    if not isinstance(call, dict):
        raise _Refused(400, "Failed to convert JSON into Call protobuf: Expecting a JSON object")
    missing = missing_fields(EXECUTOR_CALL, call)
    if missing:
        raise _Refused(400, f"Failed to convert JSON into Call protobuf: Missing required fields: {', '.join(missing)}")
    problem = _problem(call)
    if problem:
        raise _Refused(400, f"Failed to validate executor::Call: {problem}")
    return call


def _problem(call: Json) -> str:
    kind = call.get("type")
    if kind not in _KINDS:
        return "Expecting 'type' to be present"
    if kind.lower() not in call:
        return f"Expecting '{kind.lower()}' to be present"
    if kind == "UPDATE":
        for name in ("uuid", "source"):
            if name not in call["update"]["status"]:
                return f"Expecting '{name}' to be present"
        if call["update"]["status"]["source"] != "SOURCE_EXECUTOR":
            return "Received Call from executor with invalid source, expecting 'SOURCE_EXECUTOR'"
    return ""
