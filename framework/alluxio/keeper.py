"""Makes paths in Alluxio's namespace as they are wanted, on a thread of its own: also those that come later, and again
when somebody else said something of them. Only what differs is said, as Alluxio counts a life anew from each word.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from framework.alluxio.files import AlluxioAway, AlluxioError
from framework.alluxio.paths import PathAbsent, PathStatus
from framework.paths import ABSENT, NO_LIMIT, NO_TTL, Attributes, WantedPath, is_below, outermost, wanted_of

log = logging.getLogger(__name__)

NAMED: Final = 5  # paths in a line of the log
PAUSE: Final = 10.0  # seconds between two looks; a look that takes long is followed by a longer pause


class Namespace(Protocol):
    """What is asked of Alluxio, see framework.alluxio.paths."""

    def all(self, path: str) -> Iterator[PathStatus]: ...

    def set_one(self, status: PathStatus, asked: Attributes) -> None: ...


class Keeper:
    """``wanted`` is asked for before each look. ``standing`` may be read by any thread."""

    def __init__(self, wanted: Callable[[], Sequence[WantedPath]], namespace: Namespace) -> None:
        self._wanted = wanted
        self._namespace = namespace
        self._due = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="alluxio-paths", daemon=True)
        self.standing: Mapping[str, str] = {}  # by path: why it is not as it is wanted, empty when it is

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something else is wanted."""
        self._due.set()

    def stop(self) -> None:
        self._ends = True
        self._due.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause = PAUSE
        while not self._due.wait(pause) or not self._ends:
            self._due.clear()
            began = time.monotonic()
            wanted = self._wanted()
            seen = look(wanted, self._namespace)
            for level, sentence in news(self.standing, seen):
                log.log(level, "%s", sentence)
            self.standing = seen
            pause = max(PAUSE, 5 * (time.monotonic() - began))


def news(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """What the log says after a look, each with its level: one line for all paths of one reason, such as that no master
    is the primary. A path that has not come yet is no trouble, and what was well from the first look on is not told.
    """
    changed: dict[str, list[str]] = {}
    for path, reason in now.items():
        if reason != before.get(path, ""):
            changed.setdefault(reason, []).append(path)
    for reason, paths in changed.items():
        those = f"{', '.join(paths[:NAMED])} and {len(paths) - NAMED} more" if len(paths) > NAMED else ", ".join(paths)
        are = "is" if len(paths) == 1 else "are"
        match reason:
            case "":
                yield logging.INFO, f"wanted of paths: {those} {are} as wanted now"
            case _ if reason == ABSENT:
                yield logging.INFO, f"wanted of paths: {those} {are} waited for, not there yet"
            case _:
                yield logging.WARNING, f"wanted of paths: {those} {are} not as wanted: {reason}"


def look(wanted: Sequence[WantedPath], namespace: Namespace) -> dict[str, str]:
    """Each wanted path made so, with the reason where it could not be. A path in another one is looked at with that."""
    reasons: dict[str, str] = {}
    for root in outermost(wanted):
        inside = [one.path for one in wanted if is_below(one.path, root)]
        seen, refusal = set(), ""
        try:
            for status in namespace.all(root):
                seen.add(status.path)
                refusal = refusal or _made_so(status, wanted_of(wanted, status.path), namespace)
        except PathAbsent:
            refusal = ABSENT
        except AlluxioError as error:
            refusal = str(error)
            seen.update(inside)
        reasons |= {path: refusal if path in seen or path == root else ABSENT for path in inside}
    return reasons


def _made_so(status: PathStatus, asked: Attributes, namespace: Namespace) -> str:
    """Why it is not so; empty when it is."""
    missing = difference(status, asked)
    if not missing.says_something:
        return ""
    try:
        namespace.set_one(status, missing)
    except PathAbsent:
        return ""  # it has gone meanwhile
    except AlluxioAway:
        raise
    except AlluxioError as error:
        return str(error)
    return ""


def difference(status: PathStatus, asked: Attributes) -> Attributes:
    """What is still to be said of it. A folder has no copies."""
    ttl = None if asked.ttl == NO_TTL else asked.ttl
    found = Attributes()
    if asked.pinned is not None and asked.pinned != status.pinned:
        found = dataclasses.replace(found, pinned=asked.pinned)
    if asked.ttl is not None and (ttl != status.ttl or (ttl is not None and asked.ttl_action != status.ttl_action)):
        found = dataclasses.replace(found, ttl=asked.ttl, ttl_action=asked.ttl_action)
    if status.folder:
        return found
    most = None if asked.replication_max == NO_LIMIT else asked.replication_max
    if asked.replication_min is not None and asked.replication_min != status.replication_min:
        found = dataclasses.replace(found, replication_min=asked.replication_min)
    if asked.replication_max is not None and most != status.replication_max:
        found = dataclasses.replace(found, replication_max=asked.replication_max)
    return found
