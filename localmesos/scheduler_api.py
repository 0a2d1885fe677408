"""The v1 scheduler API over HTTP: who may call, what a call must hold, the event stream. The answers are Mesos's words.

Once a request's body is read nothing waits before the call is done, as a client that leaves cancels its request.
Where: Mesos, "Scheduler HTTP API"; the order of the checks is a real master's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from http import HTTPStatus
from typing import Any

from aiohttp import web

from localmesos import frameworks
from localmesos.cluster import Cluster, Framework, log
from localmesos.protobuf import SCHEDULER_CALL, missing_fields, with_defaults
from localmesos.scheduler_calls import CALLS, NEEDS_CONTENT
from localmesos.streams import EventStream

Json = dict[str, Any]
PATHS = ("/api/v1/scheduler", "/master/api/v1/scheduler")


class Refused(Exception):
    """An HTTP answer other than success."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers or {}

    def response(self) -> web.Response:
        return web.Response(status=self.status, text=self.text, headers=self.headers)


def _unauthorized() -> Refused:
    return Refused(401, "401 Unauthorized.", {"WWW-Authenticate": 'Basic realm="mesos-master-scheduler"'})


def _refused_by_fault(status: int) -> Refused:
    match status:
        case 401:
            return _unauthorized()
        case 503:
            return Refused(503, "Master has not finished recovery")
        case _:
            return Refused(status, HTTPStatus(status).phrase if status in list(HTTPStatus) else "")


class SchedulerApi:
    """`credentials`: secret by principal, None for no authentication."""

    def __init__(self, cluster: Cluster, credentials: dict[str, str] | None, heartbeat_seconds: float) -> None:
        self._cluster = cluster
        self._credentials = credentials
        self._heartbeat_seconds = heartbeat_seconds

    def authenticate(self, request: web.Request) -> str | None:
        """The principal, None without authentication; raises Refused (401)."""
        if self._credentials is None:
            return None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            principal, _, secret = base64.b64decode(token).decode().partition(":")
        except ValueError:
            principal, secret = "", ""
        if scheme.lower() != "basic" or not principal or self._credentials.get(principal) != secret:
            raise _unauthorized()
        return principal

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """For the leading master; authentication is done by the caller before it may redirect."""
        body = await request.read()
        try:
            principal = self.authenticate(request)
            call = _parse(request, body)
            _validate(call, principal)
            refusal = self._cluster.faults.refusal(call["type"])
            if refusal is not None:
                raise _refused_by_fault(refusal)
            if call["type"] == "SUBSCRIBE":
                if "Mesos-Stream-Id" in request.headers:
                    raise Refused(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
                return await self._subscribe(request, call, principal)
            framework = self._find(request, call, principal)
            content = with_defaults(SCHEDULER_CALL, call).get(call["type"].lower(), {})
            CALLS[call["type"]](self._cluster, framework, content)
        except Refused as refused:
            return refused.response()
        return web.Response(status=202)

    def _find(self, request: web.Request, call: Json, principal: str | None) -> Framework:
        framework = self._cluster.frameworks.get(call["framework_id"]["value"])
        if framework is None:
            raise Refused(400, "Framework cannot be found")
        if principal != framework.principal:
            raise Refused(403, "Framework is subscribed with another principal")
        if not framework.connected:
            raise Refused(403, "Framework is not subscribed")
        stream_id = request.headers.get("Mesos-Stream-Id")
        if stream_id is None:
            raise Refused(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
        if stream_id != framework.stream_id:
            raise Refused(
                400,
                f"The stream ID '{stream_id}' included in this request didn't match the stream ID currently associated"
                f" with framework ID {framework.framework_id}",
            )
        return framework

    async def _subscribe(self, request: web.Request, call: Json, principal: str | None) -> web.StreamResponse:
        subscription = with_defaults(SCHEDULER_CALL, call)["subscribe"]
        framework = frameworks.subscribe(self._cluster, subscription, self._heartbeat_seconds, principal)
        if framework is None or framework.stream is None:
            return await _refuse_removed(request)
        stream = framework.stream
        beating = asyncio.create_task(_beat(stream, self._heartbeat_seconds))
        try:
            return await stream.serve(request, {"Mesos-Stream-Id": framework.stream_id})
        finally:
            beating.cancel()
            self._cluster.faults.once_heard(
                "schedulers", lambda: frameworks.disconnected(self._cluster, framework, stream)
            )


async def _refuse_removed(request: web.Request) -> web.StreamResponse:
    log.info("A scheduler subscribes with the id of a removed framework: refused.")
    stream = EventStream()
    stream.send({"type": "ERROR", "error": {"message": "Framework has been removed"}})
    stream.close()
    return await stream.serve(request, {"Mesos-Stream-Id": str(uuid.uuid4())})


async def _beat(stream: EventStream, seconds: float) -> None:
    while not stream.closed:
        await asyncio.sleep(seconds)
        stream.send({"type": "HEARTBEAT"})


def _parse(request: web.Request, body: bytes) -> Json:
    if "Content-Type" not in request.headers:
        raise Refused(400, "Expecting 'Content-Type' to be present")
    if request.content_type != "application/json":
        raise Refused(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
    try:
        call = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"Failed to parse body into JSON: {error}") from None
    if not isinstance(call, dict):
        raise Refused(400, "Failed to convert JSON into Call protobuf: Expecting a JSON object")
    missing = missing_fields(SCHEDULER_CALL, call)
    if missing:
        raise Refused(400, f"Failed to convert JSON into Call protobuf: Missing required fields: {', '.join(missing)}")
    return call


def _validate(call: Json, principal: str | None) -> None:
    problem = _problem(call, principal)
    if problem:
        raise Refused(400, f"Failed to validate scheduler::Call: {problem}")


def _problem(call: Json, principal: str | None) -> str:
    kind = call.get("type")
    if kind == "SUBSCRIBE":
        return _subscription_problem(call, principal)
    if kind not in CALLS:
        return "Expecting 'type' to be present"
    if "framework_id" not in call:
        return "Expecting 'framework_id' to be present"
    if kind in NEEDS_CONTENT and kind.lower() not in call:
        return f"Expecting '{kind.lower()}' to be present"
    return ""


def _subscription_problem(call: Json, principal: str | None) -> str:
    if "subscribe" not in call:
        return "Expecting 'subscribe' to be present"
    info = call["subscribe"]["framework_info"]
    if info.get("id") != call.get("framework_id"):
        return "'framework_id' differs from 'subscribe.framework_info.id'"
    stated = info.get("principal")
    if principal is not None and stated is not None and stated != principal:
        return f"Authenticated principal '{principal}' does not match principal '{stated}' set in `FrameworkInfo`"
    return ""
