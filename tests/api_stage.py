"""The API on a real socket, with a state to show, for the tests of it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from starlette.applications import Starlette

from eventually import eventually
from fake_namespace import Namespace
from framework.alluxio.figures import Figures
from framework.api.app import Artefacts, Role, Service, Standing, application
from framework.api.safety import Safety
from framework.api.server import Server, Tls, bind
from framework.chronicle import Chronicle
from framework.config import Configuration, read
from framework.messages import Decided, Event, KeepPaths, KeepWanted
from framework.planner import State, evolve
from framework.series import Series
from framework.tally import Tally
from stage import wanted


class Api:
    def __init__(
        self,
        folder: Path,
        safety: Safety | None = None,
        tls: Tls | None = None,
        proxies: tuple[str, ...] = (),
        made: Callable[[Service], Starlette] = application,
    ) -> None:
        self.state = State(wanted=wanted(), connected=True, trouble="", master="m:5050", framework_id="framework-1")
        self.bundle = folder / "alluxio-2.9.6.tar.gz"
        self.bundle.write_bytes(b"a bundle")
        (folder / "alluxio-2.9.6.tar.gz.sha256").write_text("0123456789abcdef0123456789abcdef  alluxio-2.9.6.tar.gz\n")
        self.executor = folder / "executor.pyz"
        self.executor.write_bytes(b"an executor")
        self.artefacts = Artefacts.of(self.bundle, self.executor)
        bound = bind("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        values = {"mesos": "m:1", "zookeeper": "z:1", "under-storage": "/d", "artefacts": "/a"}
        configuration = read(values)
        assert isinstance(configuration, Configuration)
        self.standing = Standing(Role.LEADER, self.url)
        self.tally, self.figures, self.chronicle = Tally(), Figures(), Chronicle()
        self.series = Series()
        self.namespace = Namespace()
        self.standing_of_paths: dict[str, str] = {}
        service = Service(
            configuration,
            self.url,
            self.artefacts,
            lambda: self.standing,
            lambda: self.state,
            lambda: 0.0,
            safety or Safety(),
            self.tally,
            lambda: self.figures,
            self.chronicle,
            self.series,
            self._change,
            values,
            paths=self.namespace,
            kept_paths=lambda: self.standing_of_paths,
        )
        self.server = Server(made(service), bound, tls, proxies)
        self.server.start()

    def _change(self, event: Event, is_done: Callable[[State], bool]) -> bool:
        """As the loop does it, with a store that never fails."""
        self.state = evolve(self.state, event)
        if self.state.paths_wish is not None:
            self.state = evolve(self.state, Decided((KeepPaths(self.state.paths_wish.paths),), time.time()))
        if self.state.wish is not None:
            self.state = evolve(self.state, Decided((KeepWanted(self.state.wish.entry),), time.time()))
        return is_done(self.state)

    def ask(self, method: str, path: str, token: str = "", **more: Any) -> requests.Response:
        headers: Mapping[str, str] = more.pop("headers", {})
        if token:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        return requests.request(
            method, self.url + path, headers=headers, timeout=60, **{"allow_redirects": False, **more}
        )

    def get(self, path: str, token: str = "", **more: Any) -> requests.Response:
        return self.ask("GET", path, token, **more)

    def raw(self, text: bytes, seconds: float = 30.0) -> bytes:
        """What comes back for these bytes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(text)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@contextlib.contextmanager
def serving(folder: Path, **given: Any) -> Iterator[Api]:
    api = Api(folder, **given)
    eventually(lambda: _listens(api.port), "the API listens")
    try:
        yield api
    finally:
        api.chronicle.close()
        api.server.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_problem(answer: requests.Response, status: int, detail: str) -> bool:
    """An RFC 9457 document with this status, and these words in its detail."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["status"] == status
    assert detail in answer.json()["detail"], json.dumps(answer.json())
    return True


def seconds_of(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began
