"""Starts the parts in the background and ends them again, each known by its pid and its moment of birth, so that no
other process is ever taken for one of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from framework.config import ENVIRONMENT_PREFIX
from framework.local.plan import Part

KILL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Started:
    """A part that runs, or ran."""

    name: str
    pid: int
    born: float
    group: int
    stop_signal: str
    patience: float

    def process(self) -> psutil.Process | None:
        """The living process, or None when it has ended (its pid may be somebody else's by now)."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.born) < 0.5 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            pass
        return None


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that would end this process meanwhile does so afterwards: what is started stands written down by then.
    A process that nobody knows of is ended by nobody.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread alone
        yield
        return
    came: dict[int, None] = {}  # each once, in the order in which they came

    def hold(number: int, frame: FrameType | None) -> None:
        came[number] = None

    # Not blocked: what is started would inherit that, and could not be told to end.
    held = [
        (number, handler)
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    ]
    for number, _ in held:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in held:
            signal.signal(number, handler)
        for told in came:
            signal.raise_signal(told)


def start(part: Part, log: Path, environment: Mapping[str, str], folder: Path) -> Started:
    """In a session of its own: it outlives this command and its terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            part.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            # The command line says everything: a variable meant for another scheduler must not change this one.
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)},
                **environment,
            },
            start_new_session=True,
        )
    return Started(
        part.name, child.pid, psutil.Process(child.pid).create_time(), part.group, part.stop_signal, part.patience
    )


def stop(started: Iterable[Started], note: Callable[[str], None]) -> None:
    """Group after group, each asked first and killed only when its patience is over."""
    parts = list(started)
    for group in sorted({part.group for part in parts}):
        members = [(part, process) for part in parts if part.group == group and (process := part.process()) is not None]
        for part, process in members:
            note(f"stopping {part.name}")
            _signal(process, signal.Signals[part.stop_signal])
        _, stubborn = psutil.wait_procs(
            [process for _, process in members], timeout=max((part.patience for part, _ in members), default=0)
        )
        for process in stubborn:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=KILL_SECONDS)


def stop_strays(sandboxes: Path, patience: float) -> None:
    """What an agent that died could not end: executors and their processes, known by the sandbox that their
    environment names.
    """
    strays = list(_strays(sandboxes))
    for process in strays:
        _signal(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(strays, timeout=patience)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=KILL_SECONDS)


def _strays(sandboxes: Path) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if Path(process.environ().get("MESOS_SANDBOX", "/")).is_relative_to(sandboxes):
                yield process
        except psutil.Error:
            continue


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


class Ledger:
    """What was started, in a file of the cluster's folder: written after each start, read by every later command."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[dict[str, Any], list[Started]]:
        """The plan's document and the parts; empty when nothing was started here."""
        try:
            document = json.loads(self._path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}, []
        return document["plan"], [Started(**part) for part in document["started"]]

    def write(self, plan: Mapping[str, Any], started: Iterable[Started]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        scratch.write_text(
            json.dumps({"plan": plan, "started": [dataclasses.asdict(part) for part in started]}, indent=1)
        )
        scratch.replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
