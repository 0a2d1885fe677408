"""Waiting for a condition, with a deadline and without hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(condition: Callable[[], Value], what: str, seconds: float = 60.0) -> Value:
    """The first true answer of ``condition``; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"for {seconds:g} s it did not happen that {what}"
        time.sleep(0.005)
    return value
