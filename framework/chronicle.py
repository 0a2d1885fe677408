"""What happened, for people: the log's sentences, numbered, the last ones in memory. The loop's thread writes, any
thread reads, and whoever listens is woken. Nothing is decided by it.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Callable
from typing import Final

MOST: Final = 1000  # entries


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """``kind`` is the event's or the decision's, such as ``updated`` or ``launch``; ``at`` in seconds since 1970."""

    number: int
    at: float
    kind: str
    text: str


class Chronicle:
    """``first`` is the number of the first entry. Who gives the time in milliseconds has numbers that go on rising from
    one scheduler to the next, so that a reader who comes from the one before misses nothing of the new one.
    """

    def __init__(self, first: int = 1) -> None:
        self._entries: collections.deque[Entry] = collections.deque(maxlen=MOST)
        self._next = first
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._closed = False

    def add(self, at: float, kind: str, text: str) -> None:
        """None twice in a row."""
        with self._lock:
            last = self._entries[-1] if self._entries else None
            if last is not None and (last.kind, last.text) == (kind, text):
                return
            self._entries.append(Entry(self._next, at, kind, text))
            self._next += 1
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()

    def after(self, number: int) -> tuple[Entry, ...]:
        """What came after this number, the oldest first; what is no longer known is left out. A number that is still to
        come is another chronicle's: then everything.
        """
        with self._lock:
            if number >= self._next:
                number = -1
            newest = (entry for entry in reversed(self._entries))
            found = []
            for entry in newest:
                if entry.number <= number:
                    break
                found.append(entry)
        return tuple(reversed(found))

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """``wake`` is called after each entry and at the end, on the writer's thread: it must neither wait nor raise.
        What comes back ends that.
        """
        with self._lock:
            self._listeners.append(wake)

        def forget() -> None:
            with self._lock:
                self._listeners.remove(wake)

        return forget

    @property
    def closed(self) -> bool:
        """Nothing more comes."""
        return self._closed

    def close(self) -> None:
        with self._lock:
            self._closed = True
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()
