"""Looks for what must never be: two living copies of one slot."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

PAUSE = 0.25
MAINS = (
    "alluxio.master.AlluxioMaster",
    "alluxio.master.AlluxioJobMaster",
    "alluxio.worker.AlluxioWorker",
    "alluxio.worker.AlluxioJobWorker",
)


@dataclass(frozen=True)
class Copy:
    """One of Alluxio's processes, and the task that it belongs to."""

    pid: int
    task_id: str
    main: str
    sandbox: str

    @property
    def slot(self) -> str:
        return self.task_id.rpartition(".")[0]


class Copies(threading.Thread):
    """Every process whose MESOS_EXECUTOR_ID tells the task, looked at again and again. ``doubles`` says which slots had
    two copies of one process at a time. Copies below ``away`` do not count: nobody can reach their agent to end them.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(name="copies", daemon=True)
        self.doubles: dict[str, str] = {}  # slot -> what was seen
        self.away: frozenset[str] = frozenset()
        self._directory = directory
        self._known: dict[tuple[int, float], Copy | None] = {}
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()
        self.join(10)

    def run(self) -> None:
        while not self._ended.wait(PAUSE):
            seen = doubles(self.look())
            # A process that was just ended is a zombie's moment away from being gone.
            again = doubles(self.look()) if seen else {}
            for slot, words in again.items():
                if slot in seen:
                    self.doubles.setdefault(slot, words)

    def look(self) -> list[Copy]:
        found = []
        fresh: dict[tuple[int, float], Copy | None] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                key = (process.pid, process.create_time())
                # A fork becomes a JVM only with its exec, so that a young process is looked at again.
                young = time.time() - key[1] < 5
                copy = self._known.get(key) if key in self._known and not young else self._copy(process)
                fresh[key] = copy
                if copy is not None and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(copy)
        self._known = fresh
        return [copy for copy in found if not any(Path(copy.sandbox).is_relative_to(away) for away in self.away)]

    def _copy(self, process: psutil.Process) -> Copy | None:
        environment = process.environ()
        sandbox, task_id = environment.get("MESOS_SANDBOX", "/"), environment.get("MESOS_EXECUTOR_ID", "")
        if not task_id or not Path(sandbox).is_relative_to(self._directory):
            return None
        main = next((word for word in process.cmdline() if word in MAINS), "")
        parent = process.parent()
        # What a JVM forks carries its command line until it execs.
        if not main or (parent is not None and main in parent.cmdline()):
            return None
        return Copy(process.pid, task_id, main, sandbox)


def doubles(copies: Iterable[Copy]) -> dict[str, str]:
    """By slot: the copies of one process that live at the same time."""
    by_process: dict[tuple[str, str], list[Copy]] = {}
    for copy in copies:
        by_process.setdefault((copy.slot, copy.main), []).append(copy)
    return {
        slot: " and ".join(f"{copy.task_id} (process {copy.pid})" for copy in several) + f" both run {main}"
        for (slot, main), several in by_process.items()
        if len(several) > 1
    }
