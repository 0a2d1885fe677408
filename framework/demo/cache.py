"""What Alluxio holds of the demonstration's tables: asked of its masters and its worker, and dropped on demand."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import requests

from framework.alluxio.files import Files, FileStatus
from framework.alluxio.masters import Masters
from framework.demo.trouble import Failed
from framework.local.processes import wait_until

SETTLE_SECONDS: Final = 120.0
POLL: Final = 0.1


class Cache:
    """``endpoints`` is the "alluxio" part of the service's endpoints, ``root`` where the bucket is in the namespace."""

    def __init__(self, endpoints: Mapping[str, Any], root: str, worker_page: str) -> None:
        self._masters = Masters(endpoints["masters"], user=getpass.getuser())
        self._files = Files(self._masters, retry_seconds=10)
        self._root = root.rstrip("/")
        self._worker_page = worker_page

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()
        self._masters.close()

    def drop(self, tables: Iterable[str]) -> None:
        """Alluxio forgets these tables, their blocks and all it knew of them, and finds them in the store again."""
        for table in tables:
            path = f"{self._root}/{table}"
            if self._files.exists(path):
                self._files.delete(path, recursive=True, alluxio_only=True)

    def settle(self, tables: Iterable[str]) -> None:
        """Until all of these tables is held: what a job read a part of is fetched as a whole, some of it afterwards."""
        for table in tables:
            if not wait_until(partial(self._is_whole, table), SETTLE_SECONDS, POLL):
                raise Failed(f"{table} was not whole in Alluxio after {SETTLE_SECONDS:g} s.")

    def _is_whole(self, table: str) -> bool:
        return all(file.in_alluxio_percent == 100 for file in self._of(table))

    def held(self, table: str) -> int:
        """Bytes of the table in Alluxio's memory."""
        return sum(block.length for file in self._of(table) for block in file.blocks if block.locations)

    def worker_metrics(self, names: Iterable[str]) -> dict[str, int]:
        """Counters of the worker; those that it does not have are 0."""
        answer = requests.get(f"{self._worker_page}/metrics/json/", timeout=10)
        answer.raise_for_status()
        counters = answer.json()["counters"]
        return {
            name: sum(entry["count"] for key, entry in counters.items() if key.split(".")[:2] == name.split("."))
            for name in names
        }

    def _of(self, table: str) -> tuple[FileStatus, ...]:
        return tuple(file for file in self._files.list(f"{self._root}/{table}") if not file.folder)
