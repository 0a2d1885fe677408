"""Serves the API on a thread of its own, and closes on clients that dawdle. uvicorn's home, and TLS's."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from framework.api.guard import HEAD_SENTENCE, MOST_HEAD
from framework.api.problems import MEDIA_TYPE, document

REQUEST_SECONDS: Final = 10.0  # in which a request's head must have come, and the rest of a body that nobody reads


class PortTaken(Exception):
    """The address cannot be listened on; the message says which and what to do."""


class TlsProblem(Exception):
    """Certificate and key cannot be used; the message says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, before anything else is started: a taken port must be known first. Port 0 takes a free one.

    Raises:
        PortTaken: somebody else listens there, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, as asyncio looks for it: else each answer's body waits 40 ms, by Nagle's rule, until the
    # client has acknowledged its head.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortTaken(
            f"the API cannot listen on {host}:{port} ({error.strerror}); "
            "free it, or choose another --api-host or --api-port"
        ) from error
    return bound


class _Encrypted(Exception):
    """The key wants a passphrase."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """A certificate and its key, in files, which were found to work."""

    certificate: str
    key: str

    @classmethod
    def of(cls, certificate: str, key: str) -> Tls | None:
        """None for no files.

        Raises:
            TlsProblem: they cannot be read, are no PEM files, or do not belong together.
        """
        if not certificate:
            return None
        for option, path, begins in (
            ("api-certificate", certificate, "-----BEGIN CERTIFICATE-----"),
            ("api-key", key, "PRIVATE KEY-----"),
        ):
            try:
                text = Path(path).read_text(encoding="latin-1")
            except OSError as error:
                raise TlsProblem(
                    f"--{option}: {path} cannot be read ({error.strerror}); make it readable for the scheduler's user"
                ) from None
            if begins not in text:
                raise TlsProblem(
                    f"--{option}: {path} is no PEM file with {begins.strip('-')} in it; name the right one"
                )
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_passphrase)
        except _Encrypted:
            raise TlsProblem(
                f"--api-key: {key} is encrypted, and nobody is there to type its passphrase; store it without one"
            ) from None
        except ssl.SSLError as error:
            if "MISMATCH" in (error.reason or ""):
                raise TlsProblem(
                    f"--api-key: {key} is not the key of the certificate {certificate}; give the two that were made "
                    "together"
                ) from None
            raise TlsProblem(
                f"--api-certificate: {certificate} or its key {key} is damaged ({error.reason or 'no valid PEM'}); "
                "make them again"
            ) from None
        return cls(certificate, key)


def _no_passphrase() -> str:
    raise _Encrypted


class _Protocol(H11Protocol):
    """uvicorn waits without end for the rest of a request. Here a connection that is not answering one, and has not
    brought the next in time, is closed; and a request that is none gets a document.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _watch(self) -> None:
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        answers = cycle is not None and not cycle.response_complete
        if answers or self.transport.is_closing():
            self._calm()
        elif self._patience is None:
            self._patience = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls it while it handles h11's error, which says what is wrong."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # in the middle of an answer
            self.transport.close()
            return
        if getattr(sys.exc_info()[1], "error_status_hint", 400) == 431:
            status, detail = 431, HEAD_SENTENCE
        else:
            status, detail = 400, "this is no HTTP request; send HTTP/1.1"
        body = json.dumps(document(status, detail)).encode()
        headers = [
            ("Content-Type", MEDIA_TYPE),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        events: list[Any] = [
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server:
    """``proxies`` are the addresses and networks whose X-Forwarded-For is believed."""

    def __init__(
        self, application: Starlette, bound: socket.socket, tls: Tls | None = None, proxies: Sequence[str] = ()
    ) -> None:
        config = uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            h11_max_incomplete_event_size=MOST_HEAD,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        # What a stranger's broken request can make it say is no warning.
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        self._bound = bound
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="api", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._bound])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
