"""Answers that are kept while what they are made of stays the same: with a thousand workers one costs a hundred times
what it takes to send a small one. msgspec's home in the API.

Law: a kept answer is the one that would be made now. It is made of values, which are compared, and of the clock; where
the clock alone can change it, it is kept for a second.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from starlette.responses import Response

from framework import views
from framework.planner import State

LONGEST: Final = 1.0  # seconds

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True, slots=True)
class _Made(Generic[Value]):
    state: State
    others: tuple[Any, ...]
    at: float
    is_timeless: bool
    value: Value

    def holds(self, state: State, others: tuple[Any, ...], now: float) -> bool:
        if not self.is_timeless and not self.at <= now < self.at + LONGEST:
            return False
        # The loop makes an equal snapshot at each tick. Its mappings are the same objects, which are equal at a glance.
        return (self.state is state or self.state == state) and self.others == others


class Kept(Generic[Value]):
    """The last answer. Whoever asks while it is made waits for it, instead of making it once more."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._made: _Made[Value] | None = None

    def of(self, state: State, now: float, make: Callable[[], Value], *others: Any) -> Value:
        """``others`` is all that ``make`` reads besides the state and the clock; compared with ==."""
        with self._making:
            made = self._made
            if made is None or not made.holds(state, others, now):
                made = _Made(state, others, now, views.is_timeless(state, now), make())
                self._made = made
            return made.value


class KeptPart(Generic[Value]):
    """The last answer of what is made of a part of the state alone, and not of the clock."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._made: tuple[tuple[Any, ...], Value] | None = None

    def of(self, make: Callable[[], Value], *parts: Any) -> Value:
        """``parts`` is all that ``make`` reads; compared with ==."""
        with self._making:
            if self._made is None or self._made[0] != parts:
                self._made = parts, make()
            return self._made[1]


def encoded(document: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(document)


def json_response(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content, status, headers, "application/json")
