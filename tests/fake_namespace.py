"""Alluxio's namespace in memory, for the tests of what asks for it over the API."""

from __future__ import annotations

import dataclasses

from framework.alluxio.files import AlluxioAway, AlluxioError
from framework.alluxio.paths import LoadProgress, LoadState, PathAbsent, PathStatus
from framework.paths import NO_LIMIT, NO_TTL, Attributes, TtlAction


def file(path: str, **more: object) -> PathStatus:
    status = PathStatus(
        path=path,
        folder=False,
        size=3 << 20,
        completed=True,
        persistence="PERSISTED",
        in_memory_percent=50,
        in_alluxio_percent=100,
        pinned=False,
        ttl=None,
        ttl_action=TtlAction.FREE,
        replication_min=0,
        replication_max=None,
        mount_point=False,
        under_storage=f"s3://bucket{path}",
        owner="alice",
        group="staff",
        modified_at=1_700_000_000.0,
    )
    return dataclasses.replace(status, **more)


def folder(path: str, **more: object) -> PathStatus:
    return file(path, folder=True, size=0, in_memory_percent=0, in_alluxio_percent=0, **more)


class Namespace:
    """``away`` and ``refusal`` are what every call is answered with; ``loads`` has by path what is said of its load,
    one after the other, the last one again and again.
    """

    def __init__(self) -> None:
        self.paths = {
            status.path: status
            for status in (
                folder("/"),
                folder("/data"),
                file("/data/a"),
                file("/data/b", persistence="NOT_PERSISTED"),
                folder("/data/c d"),
            )
        }
        self.away = ""
        self.refusal: AlluxioError | None = None
        self.loads: dict[str, list[LoadProgress]] = {}
        self.calls: list[tuple[object, ...]] = []
        self.looks = 0  # at loads

    def status(self, path: str) -> PathStatus:
        if self.away:
            raise AlluxioAway(self.away)
        if path not in self.paths:
            raise PathAbsent(f"{path} does not exist, neither in Alluxio nor in what is mounted there")
        if self.refusal:
            raise self.refusal
        return self.paths[path]

    def entries(
        self, path: str, limit: int, after: str = "", *, refresh: bool = False
    ) -> tuple[tuple[PathStatus, ...], bool]:
        self.calls.append(("entries", path, limit, after, refresh))
        found = [
            status
            for _, status in sorted(self.paths.items())
            if status.path != "/" and status.path.rpartition("/")[0] == path.rstrip("/") and status.name > after
        ]
        return tuple(found[:limit]), len(found) > limit

    def set(self, path: str, asked: Attributes) -> PathStatus:
        self.calls.append(("set", path, asked))
        status = self.status(path)
        changed: dict[str, object] = {}
        if asked.pinned is not None:
            changed["pinned"] = asked.pinned
        if asked.ttl is not None:
            changed |= {"ttl": None if asked.ttl == NO_TTL else asked.ttl, "ttl_action": asked.ttl_action}
        if asked.replication_min is not None:
            changed |= {"replication_min": asked.replication_min, "pinned": asked.replication_min > 0}
        if asked.replication_max is not None:
            changed["replication_max"] = None if asked.replication_max == NO_LIMIT else asked.replication_max
        self.paths[path] = dataclasses.replace(status, **changed)  # type: ignore[arg-type]
        return self.paths[path]

    def free(self, path: str, *, forced: bool = False) -> None:
        self.calls.append(("free", path, forced))
        self.status(path)

    def persist(self, path: str) -> tuple[int, int]:
        self.calls.append(("persist", path))
        self.status(path)
        return 1, 0

    def load(self, path: str, *, verify: bool = False, refresh: bool = True) -> bool:
        self.calls.append(("load", path, verify, refresh))
        self.status(path)
        self.loads.setdefault(path, [LoadProgress(path, LoadState.DONE, 1, 5, 5)])
        return True

    def load_progress(self, path: str) -> LoadProgress:
        self.looks += 1
        if self.away:
            raise AlluxioAway(self.away)
        if path not in self.loads:
            raise PathAbsent(f"nobody has asked for a load of {path}, or it is long over")
        said = self.loads[path]
        return said.pop(0) if len(said) > 1 else said[0]

    def stop_load(self, path: str) -> bool:
        self.calls.append(("stop_load", path))
        return self.loads.pop(path, None) is not None
