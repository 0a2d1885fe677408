"""The commands for paths, through a real scheduler to a real Alluxio."""

from __future__ import annotations

import os

import pytest

from framework.model import ExitCode
from integration.local_cluster import LocalCluster, Outcome, alluxio_mesos, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300, method="signal")]

MIB = 1 << 20


def test_a_path_is_wanted_loaded_looked_at_and_freed(cluster: LocalCluster) -> None:
    environment = {"ALLUXIO_MESOS_API": cluster.endpoints["api"]}

    def ask(*arguments: str) -> Outcome:
        return alluxio_mesos(*arguments, environment=environment)

    # Wanted before it is there.
    assert ask("pin", "/table", "--keep").code == 0
    folder = cluster.directory / "under-storage/table"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(os.urandom(MIB))
    wait_until(
        lambda: ask("wanted", "--json").document["paths"],
        lambda wanted: [(one["path"], one["reason"]) for one in wanted] == [("/table", "")],
        "the folder to be as it is wanted",
        30,
    )
    assert ask("ttl", "/table/a", "1h").out == "/table/a: pinned, ttl 1h, free, copies: 1 or more\n"

    loaded = ask("load", "/table")
    assert (loaded.code, loaded.out) == (0, "/table: 2 files with 2.0 MiB loaded\n"), loaded.error
    entries = ask("ls", "/table", "--json").document["entries"]
    assert [(entry["path"], entry["cached_percent"], entry["pinned"]) for entry in entries] == [
        ("/table/a", 100, True),
        ("/table/b", 100, True),
    ]
    assert [row.split()[-1] for row in ask("ls", "/table").lines] == ["NAME", "a", "b"]

    pinned = ask("free", "/table")
    assert pinned.code == ExitCode.CONFLICT
    assert pinned.error.endswith("is pinned; unpin it first, or free it by force\n")
    assert ask("forget", "/table").code == 0
    assert ask("unpin", "/table").code == 0
    assert ask("free", "/table").code == 0
    wait_until(
        lambda: [entry["cached_percent"] for entry in ask("ls", "/table", "--json").document["entries"]],
        lambda shares: shares == [0, 0],
        "what is freed to be gone",
        30,
    )
    assert ask("load", "/nothing").code == ExitCode.CONFIGURATION
    assert sorted(file.name for file in folder.iterdir()) == ["a", "b"]


def test_more_is_loaded_than_the_direct_memory_of_the_worker_holds(cluster: LocalCluster) -> None:
    """As Alluxio comes, a worker takes 20 blocks at once, each whole in direct memory; this one has 128 MiB of it.

    All of them fit into one worker's tier: each 10 s Alluxio's scheduler takes a worker for another one, and gives it a
    block beside the one that it reads, for which a smaller tier has no room.
    """
    environment = {"ALLUXIO_MESOS_API": cluster.endpoints["api"]}
    folder = cluster.directory / "under-storage/large"
    folder.mkdir()
    for number, size in enumerate((40, 38, 39, 36)):
        with (folder / str(number)).open("wb") as file:
            file.truncate(size * MIB)
    loaded = alluxio_mesos("load", "/large", environment=environment)
    assert (loaded.code, loaded.out) == (0, "/large: 4 files with 153.0 MiB loaded\n"), loaded.error
