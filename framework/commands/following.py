"""What goes on until Ctrl-C: events as they happen, and a log as it grows. A connection that breaks is made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from framework.commands import show
from framework.commands.client import Client, Trouble
from framework.commands.waiting import console

PAUSE: Final = 1.0  # seconds: between two looks at a log, and before a stream is asked for again

Write = Callable[[Mapping[str, Any]], None]


def events(client: Client, after: int | None, write: Write) -> None:
    """Each event once. Ends with Trouble that does not pass."""
    told = _Told()
    while True:
        try:
            for event in client.events(after):
                told.fine()
                after = event["number"]
                write(event)
        except Trouble as trouble:
            told.trouble(trouble)
        time.sleep(PAUSE)


def log(client: Client, name: str, query: Mapping[str, str | int], write: Write) -> None:
    """The end of a task's log, then what is added to it; a document with ``text`` each time. When more is added between
    two looks than the API gives at once, what was lost is said. A new task begins a new log.
    """
    told = _Told()
    before: Mapping[str, Any] | None = None
    while True:
        try:
            found = client.get("v1", "tasks", name, "log", **(query if before is None else {**query, "lines": 1000}))
            told.fine()
            text = found.document["text"] if before is None else added(before, found.document)
            if text:
                write({**found.document, "text": text})
            before = found.document
        except Trouble as trouble:
            told.trouble(trouble)
        time.sleep(PAUSE)


def added(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What ``now`` has that ``before`` did not; both are the ends of a file."""
    if now["task_id"] != before["task_id"]:
        return f"--- {now['task_id']} ---\n{now['text']}"
    if now["size_bytes"] < before["size_bytes"]:
        return f"--- {now['file']} begins anew ---\n{now['text']}"
    grown = now["size_bytes"] - before["size_bytes"]
    data = now["text"].encode()
    if grown > len(data):
        return f"--- {grown - len(data)} bytes more ---\n{now['text']}"
    return data[len(data) - grown :].decode("utf-8", "replace") if grown else ""


class _Told:
    """Each trouble is said once on standard error, until it is over."""

    def __init__(self) -> None:
        self._last = ""

    def fine(self) -> None:
        self._last = ""

    def trouble(self, trouble: Trouble) -> None:
        if not trouble.passes:
            raise trouble
        if str(trouble) != self._last:
            self._last = str(trouble)
            console().print(show.plain(f"{trouble}; it is asked again"), soft_wrap=True)
