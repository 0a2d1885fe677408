"""Where the scheduler's memory lies: the ``Store`` protocol, what is read back at a start, and the twin in memory that
tests and rehearsals use.

A store keeps effects. It is asked before any of them is acted on, and either everything of one call is written or
``StoreError`` is raised and nothing may be acted on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from framework.memory import Kept, after
from framework.messages import Effect
from framework.model import ExitCode


class StoreError(Exception):
    """Something could not be read or written. The scheduler ends rather than act on what it could not keep."""

    exit_code = ExitCode.STORE


class StoreUnavailable(StoreError):
    """There is no way to the store; nothing was begun."""

    exit_code = ExitCode.UNAVAILABLE


class StoreLost(StoreError):
    """The session with the store is over: another scheduler may lead."""

    exit_code = ExitCode.STORE_LOST


class StoreRefused(StoreError):
    """The store wants other credentials."""

    exit_code = ExitCode.STORE_REFUSED


class StoreNewer(StoreError):
    """A newer release wrote what is there, and nothing of it was changed."""

    exit_code = ExitCode.NEWER


class Store(Protocol):
    def load(self) -> Kept: ...

    def save(self, effects: Iterable[Effect]) -> None:
        """Write what these effects are to be remembered by, in their order, all or nothing."""


class MemoryStore:
    """Forgets everything with the process: for tests and for trying things out, never for a service."""

    def __init__(self, kept: Kept | None = None) -> None:
        self._kept = kept or Kept()

    def load(self) -> Kept:
        return self._kept

    def save(self, effects: Iterable[Effect]) -> None:
        self._kept = after(self._kept, effects)
