"""Reads the figures that Alluxio's own processes count, on a thread of its own and slowly: nobody who asks this
scheduler ever waits for them.

They come from ``/metrics/json/`` on a process's web port (Dropwizard's JSON: ``gauges``, ``counters`` and ``timers`` by
name), names as Alluxio 2.9.6 gives them.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import requests

log = logging.getLogger(__name__)

PAUSE: Final = 15.0  # seconds between two sweeps
SOON: Final = 1.0  # … and while no primary master has answered
WORKERS_A_SWEEP: Final = 100  # the rest have their turn later: a thousand workers are asked within 150 s
TIMEOUT: Final = (1.0, 3.0)  # seconds to connect, and between two bytes


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerFigures:
    """Bytes that clients were given since the worker's process began: out of its cache, and through it from the
    under-storage.
    """

    cache_bytes: int
    under_storage_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """The last answers. ``primary`` has numbers by Alluxio's own names, a timer's count as ``NAME.count`` and its 99th
    percentile in milliseconds as ``NAME.p99``; it is empty while the primary master does not answer. ``workers`` by
    slot. ``pages``: Alluxio has pages for people on its web ports, which only its own tarball brings.
    """

    primary: Mapping[str, float] = dataclasses.field(default_factory=dict)
    workers: Mapping[str, WorkerFigures] = dataclasses.field(default_factory=dict)
    pages: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Targets:
    """Whom to ask, by the "host:port" of the web port: the primary master ("" for none), and workers by slot."""

    primary: str = ""
    workers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Poller:
    def __init__(self, targets: Callable[[], Targets], pause: float = PAUSE) -> None:
        self._targets = targets
        self._pause = pause
        self._figures = Figures()
        self._next = 0  # whose turn it is among the workers
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alluxio-figures", daemon=True)

    @property
    def figures(self) -> Figures:
        """For any thread."""
        return self._figures

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """A question that is under way is not waited for."""
        self._stopped.set()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # no proxy lies between the scheduler and the agents
            while True:
                self._sweep(session)
                if self._stopped.wait(self._pause if self._figures.primary else min(SOON, self._pause)):
                    return

    def _sweep(self, session: requests.Session) -> None:
        targets = self._targets()
        primary = _asked(session, targets.primary) if targets.primary else None
        known = {slot: figures for slot, figures in self._figures.workers.items() if slot in targets.workers}
        self._figures = Figures(_numbers(primary), known, primary is not None and _has_pages(session, targets.primary))
        for slot in self._turn(list(targets.workers)):
            if self._stopped.is_set():
                return
            answer = _asked(session, targets.workers[slot])
            known = {**known, slot: _worker(answer)} if answer is not None else _without(known, slot)
        self._figures = dataclasses.replace(self._figures, workers=known)

    def _turn(self, slots: Sequence[str]) -> Sequence[str]:
        if len(slots) <= WORKERS_A_SWEEP:
            return slots
        first = self._next % len(slots)
        self._next = first + WORKERS_A_SWEEP
        return [*slots, *slots][first : first + WORKERS_A_SWEEP]


def _without(figures: Mapping[str, WorkerFigures], slot: str) -> dict[str, WorkerFigures]:
    return {other: known for other, known in figures.items() if other != slot}


def _asked(session: requests.Session, address: str) -> Mapping[str, Any] | None:
    try:
        answer = session.get(f"http://{address}/metrics/json/", timeout=TIMEOUT)
        answer.raise_for_status()
        document = answer.json()
    except (requests.RequestException, ValueError) as error:
        log.debug("no figures of %s: %s", address, error)
        return None
    return document if isinstance(document, dict) else None


def _has_pages(session: requests.Session, address: str) -> bool:
    try:
        return session.get(f"http://{address}/", timeout=TIMEOUT).ok
    except requests.RequestException:
        return False


def _numbers(document: Mapping[str, Any] | None) -> dict[str, float]:
    if document is None:
        return {}
    found: dict[str, float] = {}
    for section, fields in (("gauges", ("value",)), ("counters", ("count",)), ("timers", ("count", "p99"))):
        for name, entry in document.get(section, {}).items():
            for field in fields:
                value = entry.get(field)
                if isinstance(value, int | float) and not isinstance(value, bool):
                    found[f"{name}.{field}" if section == "timers" else name] = float(value)
    return found


def _worker(document: Mapping[str, Any]) -> WorkerFigures:
    """A worker counts what it read from the under-storage by storage and user."""
    counters = document.get("counters", {})
    under_storage = (
        entry.get("count", 0) for name, entry in counters.items() if name.startswith("Worker.BytesReadPerUfs.")
    )
    return WorkerFigures(int(counters.get("Worker.BytesReadCache", {}).get("count", 0)), int(sum(under_storage)))
