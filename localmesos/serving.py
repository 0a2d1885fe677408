"""An HTTP server on one loopback address, the way master and agent both need it."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from aiohttp import web

LARGEST_BODY = 256 * 1024 * 1024


class Server:
    """`listen` takes the port at once, so that a taken port is known before anything else is done; `serve` answers."""

    def __init__(self, ip: str, port: int) -> None:
        self._ip, self._port = ip, port
        self._socket: socket.socket | None = None
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1]) if self._socket else self._port

    def listen(self) -> None:
        """Raises OSError when the port is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self._ip, self._port))
        except OSError:
            self._socket.close()
            self._socket = None
            raise

    async def serve(self, routes: Iterable[web.RouteDef]) -> None:
        assert self._socket is not None
        app = web.Application(client_max_size=LARGEST_BODY)
        app.add_routes(list(routes))
        # A client that leaves cancels its request: this is how a broken event stream is noticed at once.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._socket is not None:
            self._socket.close()
