"""The cache over the last hour: a sample now and then, the last ones in memory. A thread of its own takes them; any
thread reads. A leader begins anew.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Final

from framework.alluxio.figures import Figures, WorkerFigures
from framework.planner import State

PAUSE: Final = 15.0  # seconds between two samples
SPAN: Final = 3600.0  # seconds that are kept
MOST: Final = int(SPAN / PAUSE)


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Bytes. ``capacity`` and ``used`` are those of the live workers at this time; ``hit`` and ``missed`` are what
    clients were given since the sample before, out of the cache and from the under-storage.
    """

    at: float
    capacity: int
    used: int
    hit: int = 0
    missed: int = 0


def sample(state: State, before: Mapping[str, WorkerFigures], figures: Figures, now: float) -> Sample:
    """``before`` are the workers' figures at the sample before."""
    live = [worker for worker in state.cache.workers if worker.live]
    hit = missed = 0
    for slot, counted in figures.workers.items():
        known = before.get(slot)
        if known is not None:  # else it counted before anybody looked, for who knows how long
            hit += _since(counted.cache_bytes, known.cache_bytes)
            missed += _since(counted.under_storage_bytes, known.under_storage_bytes)
    return Sample(now, sum(worker.capacity for worker in live), sum(worker.used for worker in live), hit, missed)


def _since(counter: int, before: int) -> int:
    """A counter that went back began anew, with its process."""
    return counter - before if counter >= before else counter


class Series:
    def __init__(self) -> None:
        self._samples: collections.deque[Sample] = collections.deque(maxlen=MOST)
        self._counted: Mapping[str, WorkerFigures] = {}

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The oldest first."""
        return tuple(self._samples)

    def take(self, state: State, figures: Figures, now: float) -> None:
        self._samples.append(sample(state, self._counted, figures, now))
        # A worker that does not answer once is compared with its last answer.
        self._counted = {**self._counted, **figures.workers}


class Sampler:
    """The thread."""

    def __init__(self, take: Callable[[], None], pause: float = PAUSE) -> None:
        self._take = take
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            self._take()
