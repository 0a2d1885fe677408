"""Good and bad answers over time, and how long it took until they were good again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """From this moment (monotonic seconds) on the answers were good, or bad for the reason given."""

    at: float
    good: bool
    why: str


class Timeline:
    """Written by one thread, read by others. Only changes are kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._changes: list[Change] = []

    def note(self, good: bool, why: str = "") -> None:
        with self._lock:
            if not self._changes or self._changes[-1].good != good:
                self._changes.append(Change(self._clock(), good, why))

    @property
    def last(self) -> Change | None:
        with self._lock:
            return self._changes[-1] if self._changes else None

    def good_for(self) -> float:
        """Seconds for which every answer was good; 0 when the last was bad."""
        last = self.last
        return self._clock() - last.at if last is not None and last.good else 0.0

    def recovered(self, since: float, counted_from: float) -> float:
        """Seconds from ``counted_from`` to the first good answer after the last bad one that came after ``since``; 0
        when none was bad, or all was good again before ``counted_from``.
        """
        with self._lock:
            bad = [index for index, change in enumerate(self._changes) if change.at >= since and not change.good]
            if not bad:
                return 0.0
            again = self._changes[bad[-1] + 1 :]
        return max(0.0, again[0].at - counted_from) if again else float("inf")

    def told(self, since: float) -> list[str]:
        """Why it was bad, each reason once."""
        with self._lock:
            return list(dict.fromkeys(change.why for change in self._changes if change.at >= since and not change.good))
