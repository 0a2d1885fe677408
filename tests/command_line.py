"""The command line in this process, as a shell would call it; and in a terminal, where it is answered."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eventually import eventually
from framework import cli

ROOT = Path(__file__).parents[1]
Run = Callable[..., tuple[int, str, str]]


def runner(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Takes arguments, gives exit code, output and errors; the API is at ``url``, whatever the environment says."""
    for name in [name for name in os.environ if name.startswith("ALLUXIO_MESOS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ALLUXIO_MESOS_API", url)

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


def in_terminal(url: str, reply: str | signal.Signals, *given: str, question: str = "[y/N] ") -> tuple[int, str, str]:
    """Exit code, standard output and what the terminal shows, of a command that asks and is answered so."""
    ours, its = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ALLUXIO_MESOS_API": url, "TERM": "dumb"}
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "framework", *given],
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=its,
        env=environment,
        cwd=ROOT,
    ) as process:
        os.close(its)
        with contextlib.suppress(OSError):  # which Linux has for a terminal that the last process left
            while not shown.replace(b"\r\n", b"\n").endswith(question.encode()):
                shown += os.read(ours, 4096)
            if isinstance(reply, signal.Signals):
                # Python would keep a signal that comes just before it reads until it has read.
                eventually(lambda: _sleeps(process.pid), "it waits for an answer")
                process.send_signal(reply)
            else:
                os.write(ours, reply.encode())
            while more := os.read(ours, 4096):
                shown += more
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, out.decode(), shown.decode().replace("\r\n", "\n")


def _sleeps(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"
