"""The agent's status-update manager: each task's (or operation's) updates go out one at a time, again and again until
acknowledged. Pure: time comes in, what is due comes out.

Where: Mesos repeats after 10 s, then after twice as long each time, up to 10 min.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str]
"""(framework id, task id or operation id)"""

FIRST_RETRY_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 600.0
LONGEST_MEMORY = 999


@dataclass
class _Stream:
    pending: list[tuple[str, Json]] = field(default_factory=list)
    """(uuid, status), the first is on its way."""
    seen: list[str] = field(default_factory=list)
    """The uuids added, the last thousand: an executor sends unacknowledged updates again after an agent's restart."""
    due: float | None = 0.0
    """When the first goes out (again)."""
    interval: float = 0.0


class UpdateManager:
    def __init__(self, first_retry_seconds: float = FIRST_RETRY_SECONDS) -> None:
        self._first_retry = first_retry_seconds
        self._streams: dict[Key, _Stream] = {}

    def add(self, key: Key, uuid: str, status: Json) -> bool:
        """False if it is there already or was acknowledged before."""
        stream = self._streams.setdefault(key, _Stream())
        if uuid in stream.seen:
            return False
        stream.seen = [*stream.seen[-LONGEST_MEMORY:], uuid]
        stream.pending.append((uuid, status))
        return True

    def acknowledge(self, key: Key, uuid: str) -> Json | None:
        """The acknowledged status; None if it is not the one that is on its way."""
        stream = self._streams.get(key)
        if stream is None or not stream.pending or stream.pending[0][0] != uuid:
            return None
        _, status = stream.pending.pop(0)
        stream.due, stream.interval = 0.0, 0.0
        return status

    def due(self, now: float) -> list[tuple[Key, Json]]:
        """What is to be sent now; each is due again after its growing interval."""
        result = []
        for key, stream in self._streams.items():
            if stream.pending and stream.due is not None and stream.due <= now:
                result.append((key, stream.pending[0][1]))
                grown = stream.interval * 2 if stream.interval else self._first_retry
                stream.interval = min(grown, max(LONGEST_RETRY_SECONDS, self._first_retry))
                stream.due = now + stream.interval
        return result

    def next_due(self) -> float | None:
        """When `due` will have something; None if nothing is pending."""
        times = [stream.due for stream in self._streams.values() if stream.pending and stream.due is not None]
        return min(times, default=None)

    def pause(self) -> None:
        """No master: nothing is due."""
        for stream in self._streams.values():
            stream.due = None

    def resume(self) -> None:
        """A master is there: everything pending is due at once, with the intervals beginning anew."""
        for stream in self._streams.values():
            stream.due, stream.interval = 0.0, 0.0

    def forget(self, key: Key) -> None:
        self._streams.pop(key, None)

    def forget_framework(self, framework_id: str) -> None:
        self._streams = {key: stream for key, stream in self._streams.items() if key[0] != framework_id}

    def to_json(self) -> list[Json]:
        return [{"key": list(key), **asdict(stream)} for key, stream in self._streams.items()]

    def restore(self, kept: list[Json]) -> None:
        for entry in kept:
            pending = [(uuid, status) for uuid, status in entry["pending"]]
            self._streams[entry["key"][0], entry["key"][1]] = _Stream(pending, entry["seen"], due=None)
