"""The cluster proves itself: a file is written through it, read back, and found in a worker's cache."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import Any, Final

from framework.alluxio.files import AlluxioError, Files, WriteType
from framework.alluxio.masters import Masters

PATH: Final = "/.alluxio-mesos-proof"
SIZE: Final = 1 << 20  # bytes
PATIENCE: Final = 30.0  # seconds for each step while somebody is away: a JVM that has just started may be slow


class NotProved(Exception):
    """The cluster runs but does not do its work; the message says which step failed."""


def prove(endpoints: Mapping[str, Any], authentication: str) -> str:
    """What was seen, as one sentence; ``endpoints`` is the "alluxio" part of the published endpoints.

    The file is cached only (MUST_CACHE) and removed again, so that nothing of it is left in the under-storage.

    Raises:
        NotProved: writing, reading or caching failed.
    """
    content = os.urandom(SIZE)
    # The masters run as this user, who therefore owns the root of the namespace.
    with (
        Masters(endpoints["masters"], authentication=authentication, user=getpass.getuser()) as masters,
        Files(masters, retry_seconds=PATIENCE) as files,
    ):
        try:
            if files.exists(PATH):
                files.delete(PATH)
            files.write(PATH, content, write_type=WriteType.MUST_CACHE)
            if files.read(PATH) != content:
                raise NotProved(f"{PATH} was written through the cluster, but other bytes came back")
            holders = sorted({worker for block in files.status(PATH).blocks for worker in block.locations})
            if not set(holders) & set(endpoints["workers"]):
                raise NotProved(f"{PATH} was written and read, but no worker of this cluster caches it")
            files.delete(PATH)
        except AlluxioError as error:
            raise NotProved(f"the cluster runs, but a file cannot go through it: {error}") from error
    return f"{SIZE >> 20} MiB was written through the cluster, read back, and cached by {' and '.join(holders)}."
