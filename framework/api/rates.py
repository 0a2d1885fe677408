"""How often a client may ask: a token bucket for each, kept as one number. Reads no clock; knows no HTTP.

Of the limiters for Starlette on PyPI, those that are kept up want Redis, a decorator on every route, or a thread that
forgets old clients; what is needed here is this one rule in a bounded memory.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

BURST_SECONDS: Final = 10.0  # what a client that was silent may ask for at once, in seconds of its rate
MOST_CLIENTS: Final = 10_000


class Rates:
    """``per_second`` requests for each client; 0 is no limit."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._full_at: dict[Hashable, float] = {}  # when each client's bucket is full again; the oldest use comes first

    def wait(self, client: Hashable, now: float) -> float:
        """0.0 takes one request; else the seconds until there is one. ``now`` is monotonic."""
        if not self._interval:
            return 0.0
        full_at = max(self._full_at.pop(client, now), now) + self._interval
        excess = full_at - now - max(BURST_SECONDS, self._interval)
        if excess > 1e-9:  # the sums of a burst are not exact
            self._full_at[client] = full_at - self._interval
            return excess
        self._full_at[client] = full_at
        if len(self._full_at) > MOST_CLIENTS:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Those with full buckets, and if that is not half of them, those that were silent for longest."""
        kept = [(client, full_at) for client, full_at in self._full_at.items() if full_at > now]
        self._full_at = dict(kept[-MOST_CLIENTS // 2 :])

    def __len__(self) -> int:
        return len(self._full_at)
