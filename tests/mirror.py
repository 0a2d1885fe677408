"""The folder that `make dist` fills, served as a mirror serves it."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Distribution:
    """The folder, and where it is served."""

    folder: Path
    address: str


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def make_dist(out: Path, address: str, umask: int = 0o022, **surroundings: str) -> str:
    """What `make dist` runs; what it printed."""
    command = [sys.executable, "-m", "framework.distribution", "--out", str(out), "--assets", address]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **surroundings},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def bare_path() -> str:
    """The PATH of a machine with nothing of ours: its python3 is the system's where that is new enough, else the one
    that the tests' environment was made of.
    """
    system = "/usr/bin/python3"
    question = [system, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    is_new = Path(system).exists() and subprocess.run(question, check=False).returncode == 0
    return "/usr/bin:/bin" if is_new else f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"


@contextlib.contextmanager
def mirror(folder: Path) -> Iterator[Distribution]:
    """Makes and serves it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    address = f"http://127.0.0.1:{server.server_port}"
    make_dist(folder, address)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Distribution(folder, address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
