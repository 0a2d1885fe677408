"""The child processes: start, signal, reap, and the files that hold their output. Decides nothing.

Only the main thread may use this module. A child asks the kernel to be killed when its parent dies, and the kernel
means the *thread* that forked; the main thread lives as long as the executor, so kill -9 of the executor leaves no
orphan. Children stay in the executor's session and process group, where Mesos's launcher looks for them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, Sequence

from executor.supervisor import Exited

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
# One output file is cut when it has grown past this; the part before is kept beside it as NAME.out.1.
LOG_BYTES = 8 * 1024 * 1024
TAIL_LINES = 10
TAIL_BYTES = 2048

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class _Child:
    name: str
    popen: subprocess.Popen[bytes]
    log: str
    log_start: int


class Processes:
    """The living children by process id."""

    def __init__(self, sandbox: str) -> None:
        self._sandbox = sandbox
        self._children: dict[int, _Child] = {}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start a command in the sandbox with its output appended to logs/NAME.out; its process id. Raises OSError."""
        log = os.path.join(self._sandbox, "logs", f"{name}.out")
        os.makedirs(os.path.dirname(log), exist_ok=True)
        # Append: after the file is cut, the child goes on at its new end.
        with open(log, "ab") as output:
            start = output.tell()
            popen = subprocess.Popen(
                command,
                env=environment,
                cwd=self._sandbox,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # prctl must run in the child. Other threads are no danger to it: it takes no lock (_die_with).
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509
            )
        self._children[popen.pid] = _Child(name, popen, log, start)
        return popen.pid

    def send(self, pid: int, number: signal.Signals) -> None:
        child = self._children.get(pid)
        if child is not None:
            child.popen.send_signal(number)

    def reap(self) -> Iterator[Exited]:
        """The children that have ended since the last call."""
        for pid, child in list(self._children.items()):
            code = child.popen.poll()
            if code is not None:
                del self._children[pid]
                how = f"exited with signal {-code}" if code < 0 else f"exited with code {code}"
                yield Exited(child.name, pid, code == 0, how, _tail(child.log, child.log_start))

    def cut_logs(self) -> None:
        """Keep each output file bounded. Lines written between the copy and the cut are lost: bounded matters more."""
        for child in self._children.values():
            if os.path.getsize(child.log) > LOG_BYTES:
                _cut(child.log)

    def stop_all(self, seconds: float) -> None:
        """Stop every child, last started first, without help from the supervisor: the way out after a defect."""
        for child in reversed(list(self._children.values())):
            child.popen.terminate()
        deadline = time.monotonic() + seconds
        for child in self._children.values():
            try:
                child.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.popen.kill()
                child.popen.wait()
        self._children.clear()


def _die_with(parent: int) -> Callable[[], None]:
    """For the child between fork and exec: no import, no lock, nothing that another thread could hold at the fork."""

    def ask_the_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the kernel was asked; then nobody would kill this child.
        if os.getppid() != parent:
            os._exit(127)

    return ask_the_kernel


def _tail(path: str, start: int) -> str:
    """The last lines that were written since `start`."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            begin = start if start <= size else 0
            stream.seek(max(begin, size - TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-TAIL_LINES:]).strip()


def _cut(path: str) -> None:
    with open(path, "rb") as source, open(path + ".1", "wb") as target:
        size = os.fstat(source.fileno()).st_size
        source.seek(max(0, size - LOG_BYTES))
        while True:
            block = source.read(1024 * 1024)
            if not block:
                break
            target.write(block)
    os.truncate(path, 0)
