"""One connection to one Alluxio server, authenticated as alluxio.security.authentication.type asks.

It knows channels and SASL, nothing of what is called. Broken connections are thrown away and the next call opens a new
one at once: gRPC's own back-off (1 s up to 2 min) would hide a server that has just started.
"""

import queue
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import grpc

from framework.alluxio.answers import CallFailed
from framework.alluxio.methods import AUTHENTICATE, Method, Request, Response
from framework.alluxio.stubs import sasl_server_pb2 as sasl

# Without a pool of its own a new channel would share the old one's socket and its back-off.
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 100 << 20),  # alluxio.user.network.rpc.max.inbound.message.size
)
# After these the connection is not worth keeping.
_BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


class Authentication(StrEnum):
    """The values of alluxio.security.authentication.type that are spoken here."""

    SIMPLE = "SIMPLE"
    NOSASL = "NOSASL"


@dataclass(frozen=True)
class Login:
    """Who we are to Alluxio. With NOSASL the user is not told; with SIMPLE it is believed."""

    authentication: Authentication = Authentication.SIMPLE
    user: str = "alluxio"


class Connection:
    """Calls methods at one "host:port"; every failure is a CallFailed. Any thread may call."""

    def __init__(self, address: str, login: Login) -> None:
        self.address = address
        self._login = login
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def unary(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        """One request, one response, each within `timeout` seconds (as is opening the connection before)."""
        session = self._open(timeout)
        call = session.channel.unary_unary(f"/{method.path}", method.serialized, method.response.FromString)
        try:
            answer: Response = call(request, timeout=timeout, metadata=session.metadata)
        except grpc.RpcError as error:
            raise self._failed(session, error) from error
        return answer

    def stream(
        self, method: Method[Request, Response], requests: Iterable[Request], timeout: float
    ) -> Iterator[Response]:
        """Requests and responses as they come, `timeout` seconds for all; leaving the loop early cancels the call."""
        session = self._open(timeout)
        start = session.channel.stream_stream(f"/{method.path}", method.serialized, method.response.FromString)
        call: Any = start(iter(requests), timeout=timeout, metadata=session.metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._failed(session, error) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """End the connection; a later call would open a new one."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _open(self, timeout: float) -> "_Session":
        # Another thread that is just opening the connection to a silent server must not cost more than the time given.
        if not self._lock.acquire(timeout=timeout):
            raise CallFailed(self.address, grpc.StatusCode.DEADLINE_EXCEEDED, "no connection yet")
        try:
            if self._session is not None and not self._session.alive():
                self._session.close()
                self._session = None
            if self._session is None:
                self._session = _Session(self.address, self._login, timeout)
            return self._session
        finally:
            self._lock.release()

    def _failed(self, session: "_Session", error: grpc.RpcError) -> CallFailed:
        failure = _translated(self.address, error)
        if failure.code in _BROKEN:
            with self._lock:
                if self._session is session:
                    self._session = None
            session.close()
        return failure


class _Session:
    """An open channel. With SIMPLE the SASL stream stays open beside the calls: the authentication ends with it."""

    def __init__(self, address: str, login: Login, timeout: float) -> None:
        self.channel = grpc.insecure_channel(address, _OPTIONS)
        self.metadata: tuple[tuple[str, str], ...] = ()
        self._to_send: queue.SimpleQueue[sasl.SaslMessage | None] = queue.SimpleQueue()
        self._stream: Any = None  # grpc's call object: an iterator of responses that can be cancelled.
        if login.authentication is Authentication.SIMPLE:
            try:
                self._authenticate(address, login, timeout)
            except CallFailed:
                self.close()
                raise

    def _authenticate(self, address: str, login: Login, timeout: float) -> None:
        channel_id = str(uuid.uuid4())
        plain = b"\0".join((b"", login.user.encode("utf-8"), b"any"))  # RFC 4616; SIMPLE takes any password but none.
        self._to_send.put(
            sasl.SaslMessage(
                messageType=sasl.CHALLENGE,
                message=plain,
                clientId=channel_id,
                authenticationScheme=sasl.SIMPLE,
                channelRef=f"alluxio-mesos to {address}",
            )
        )
        start = self.channel.stream_stream(
            f"/{AUTHENTICATE.path}", AUTHENTICATE.serialized, AUTHENTICATE.response.FromString
        )
        self._stream = start(iter(self._to_send.get, None))
        # However the stream ends: lets the thread go on which grpc waits for the next message to send.
        self._stream.add_callback(lambda: self._to_send.put(None))
        # A deadline of the call would end the stream later too, so a timer ends it only while the answer is awaited.
        too_late = threading.Event()

        def give_up() -> None:
            too_late.set()
            self._stream.cancel()

        timer = threading.Timer(timeout, give_up)
        timer.daemon = True
        timer.start()
        try:
            answer = next(self._stream)
        except StopIteration:
            raise CallFailed(address, grpc.StatusCode.UNAUTHENTICATED, "the SASL stream ended without a word") from None
        except grpc.RpcError as error:
            if too_late.is_set():
                raise CallFailed(address, grpc.StatusCode.DEADLINE_EXCEEDED, "no answer to SASL") from error
            failure = _translated(address, error)
            if failure.code is grpc.StatusCode.UNIMPLEMENTED:
                failure = CallFailed(address, failure.code, "authenticate is not served")
            raise failure from error
        finally:
            timer.cancel()
        if answer.messageType != sasl.SUCCESS:
            raise CallFailed(address, grpc.StatusCode.UNAUTHENTICATED, "SASL PLAIN was answered with another challenge")
        self.metadata = (("channel-id", channel_id),)

    def alive(self) -> bool:
        return self._stream is None or bool(self._stream.is_active())

    def close(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self.channel.close()


def _translated(address: str, error: grpc.RpcError) -> CallFailed:
    """The errors that grpc raises are calls too, which carry the status."""
    call: Any = error
    return CallFailed(address, call.code(), call.details() or "no details given")
