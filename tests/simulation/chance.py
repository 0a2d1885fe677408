"""Chance that a seed decides, in the same way on every machine and every Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")


class Chance:
    """Only ``random()`` is drawn from: it alone is promised to stay the same from one Python to the next."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def happens(self, probability: float) -> bool:
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        """Both ends belong to it."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, values: Sequence[Value]) -> Value:
        return values[int(self._random() * len(values))]
