"""Changes take turns, and who waits for one holds no thread: the few that there are stay free for those who read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

Given = ParamSpec("Given")
Value = TypeVar("Value")


class Turns:
    """For the event loop that serves the API."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def take(self, work: Callable[Given, Value], *given: Given.args, **named: Given.kwargs) -> Value:
        """``work`` is done on another thread once all that came before is done."""
        async with self._turn:
            return await run_in_threadpool(work, *given, **named)
