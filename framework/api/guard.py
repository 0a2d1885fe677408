"""What each request passes before a route sees it: the prefix, who asks, how often, from where, how much it sends, and
the way to the leader. It is closed: what the table of operations does not open needs a token, also what does not exist.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framework.api.openapi import Operation
from framework.api.problems import problem
from framework.api.rates import Rates
from framework.api.safety import Safety
from framework.api.tokens import Access

MOST_BODY: Final = 64 * 1024  # bytes
MOST_HEAD: Final = 16 * 1024  # bytes; the server itself counts only a head that comes in several pieces
HEAD_SENTENCE: Final = f"the request's head is larger than {MOST_HEAD} bytes; send fewer or shorter headers"
BODY_SENTENCE: Final = f"the body is larger than {MOST_BODY} bytes; nothing that this API takes is"
BODY_SECONDS: Final = 10.0  # in which a body must have come
LEAD_SECONDS: Final = 2  # after so long a client asks again who leads
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(enum.StrEnum):
    """What this scheduler is among those of its service."""

    WAITING = "waiting"  # for ZooKeeper
    STANDBY = "standby"
    LEADER = "leader"


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """The role, the address of the leader's API ("" when none is known), and why the role cannot be filled now ("" when
    it can).
    """

    role: Role
    leader: str
    reason: str = ""
    closed: str = ""  # why nothing can be changed any more


def access_of(request: Request) -> Access:
    """What the caller may do, as the guard found out."""
    found: Access = request.scope["access"]
    return found


class Guard:
    """The outermost layer."""

    def __init__(
        self,
        application: ASGIApp,
        safety: Safety,
        operations: Sequence[Operation],
        standing: Callable[[], Standing],
    ) -> None:
        self._application = application
        self._safety = safety
        self._standing = standing
        self._rates = Rates(safety.rate)
        self._open = [
            (compile_path(operation.path)[0], operation) for operation in operations if operation.access is Access.NONE
        ]
        self._everywhere = [compile_path(operation.path)[0] for operation in operations if operation.everywhere]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if self._safety.prefix and scope["path"] == self._safety.prefix:
            # A page's relative addresses begin below the prefix.
            below = self._safety.prefix.rpartition("/")[2] + "/"
            await Response(status_code=307, headers={"Location": below})(scope, receive, send)
            return
        scope = _without_prefix(scope, self._safety.prefix)
        headers = Headers(scope=scope)
        scope["access"] = self._safety.tokens.access(headers.get("authorization"))
        operation = self._opened(scope)
        standing = self._standing()
        everywhere = operation is not None and operation.everywhere
        application: ASGIApp | None = None
        if not everywhere:
            application = self._turned_away(scope, headers, operation is not None and standing.role is Role.LEADER)
        application = application or _too_large(scope, headers)
        here = any(path.match(scope["path"]) for path in self._everywhere)
        if application is None and not here and standing.role is not Role.LEADER:
            application = _sent_on(scope, standing)
        if application is None and standing.closed and scope["method"] not in READING:
            application = problem(409, standing.closed)
        application = application or self._application
        if scope["path"].startswith("/artefacts/"):
            await application(scope, _bounded(receive), send)  # content-addressed: proxies may keep it
        else:
            await application(scope, _bounded(receive), _hardened(send))

    def _opened(self, scope: Scope) -> Operation | None:
        """The operation that everybody may call, if this is one."""
        if scope["method"] not in READING:
            return None
        return next((operation for path, operation in self._open if path.match(scope["path"])), None)

    def _turned_away(self, scope: Scope, headers: Headers, is_open: bool) -> Response | None:
        """The first rule that speaks against the request."""
        access: Access = scope["access"]
        client = scope["client"][0] if scope["client"] else ""
        if wait := self._rates.wait((client, access), time.monotonic()):
            seconds = math.ceil(wait)
            return problem(
                429,
                f"more than {self._safety.rate:g} requests a second came from {client}; ask again in {seconds} s, or "
                "give the scheduler another --api-rate",
                {"Retry-After": str(seconds)},
            )
        if not _is_for_us(headers.get("host", ""), self._safety.hosts):
            return problem(
                421, "this scheduler goes by another name; ask for it by its address, or name it in --api-url"
            )
        if access is Access.NONE and not is_open:
            return problem(
                401,
                "the token is missing or wrong; send Authorization: Bearer TOKEN",
                {"WWW-Authenticate": 'Bearer realm="alluxio-mesos"'},
            )
        if scope["method"] in READING:
            return None
        if access is not Access.ADMIN:
            return problem(403, "this token is for reading; changes need the token of --api-token-file")
        if _is_of_a_foreign_page(headers):
            return problem(403, "a web page of another site may change nothing here; use this scheduler's own address")
        return None


def _without_prefix(scope: Scope, prefix: str) -> Scope:
    """A proxy may keep the prefix or take it away, and agents ask without it: both are the same path."""
    scope = dict(scope)
    if prefix and scope["path"].startswith(f"{prefix}/"):
        scope["path"] = scope["path"][len(prefix) :]
        raw: bytes = scope["raw_path"]
        # Somebody may have encoded letters of the prefix, which then stay in the raw path; the path is right then, too.
        scope["raw_path"] = raw.removeprefix(prefix.encode())
    return scope


def _is_for_us(host: str, names: frozenset[str] | None) -> bool:
    if names is None or not host:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost") or name in names:
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_of_a_foreign_page(headers: Headers) -> bool:
    """Browsers say where a request is from: in Sec-Fetch-Site, or at least the Origin of what changes something."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def _sent_on(scope: Scope, standing: Standing) -> Response:
    """307 keeps the method and the body (RFC 9110)."""
    if not standing.leader:
        why = standing.reason or "no scheduler leads at this moment"
        return problem(503, f"{why}; ask again soon", {"Retry-After": str(LEAD_SECONDS)})
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    return Response(status_code=307, headers={"Location": standing.leader + path})


def _too_large(scope: Scope, headers: Headers) -> Response | None:
    target = len(scope["raw_path"]) + len(scope["query_string"])
    if target + sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEAD:
        return problem(431, HEAD_SENTENCE)
    if int(headers.get("content-length", "0")) > MOST_BODY:  # the server let it through: it is a number
        return problem(413, BODY_SENTENCE)
    return None


def _bounded(receive: Receive) -> Receive:
    """Ends a body that is too large or too slow. What raises is caught where the body is read: by the route."""
    received, complete = 0, False
    deadline: float | None = None

    async def bounded() -> Message:
        nonlocal received, deadline, complete
        if complete:
            return await receive()
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(
                408, f"the body did not come within {BODY_SECONDS:g} s", {"Connection": "close"}
            ) from None
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > MOST_BODY:
                raise HTTPException(413, BODY_SENTENCE)
        else:
            complete = True
        return message

    return bounded


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        await send(message)

    return hardened
