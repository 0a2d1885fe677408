"""A worker with a small memory tier over an HDD tier, as the scheduler sets them up: what goes where, what moves, and
that nothing is lost.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.alluxio.answers import Unavailable
from framework.alluxio.files import Files, WriteType
from framework.alluxio.masters import Masters
from framework.alluxio.methods import GET_STATUS
from framework.alluxio.paths import Paths
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.paths import Attributes
from framework.site import Tier, tier_properties
from integration.alluxio_processes import Cluster, registered, started, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

MIB = 1 << 20
MEMORY, DISK = 16, 48  # MiB
SOON = {
    # How soon a worker that has nothing else to do moves blocks; 10 s by default.
    "worker.management.load.detection.cool.down.time": "500ms",
    "worker.management.task.thread.count": 2,
    # How soon it hears what is pinned, which must be before it has to evict; 1 s by default.
    "worker.block.heartbeat.interval": "100ms",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    tiers = (Tier("MEM", str(tmp_path / "memory"), MEMORY), Tier("HDD", str(tmp_path / "disk"), DISK))
    set_up = {name.removeprefix("alluxio."): value for name, value in tier_properties(tiers).items()}
    with started(tmp_path, more={**set_up, "worker.ramdisk.size": MEMORY * MIB, **SOON}) as cluster:
        yield cluster


@pytest.fixture
def masters(cluster: Cluster) -> Iterator[Masters]:
    with Masters([cluster.address], user=getpass.getuser(), timeout=30) as masters:
        yield masters


def used(masters: Masters) -> tuple[int, int]:
    """MiB in memory and on the disk."""
    tiers = dict(registered(masters).used_on_tiers)
    return tiers.get("MEM", 0) // MIB, tiers.get("HDD", 0) // MIB


def tier_of(masters: Masters, path: str) -> str:
    """Where the file's only block lies; empty when it is nowhere."""
    answer = masters.ask(GET_STATUS, protocol.GetStatusPRequest(path=path))
    assert not isinstance(answer, Unavailable)
    (block,) = answer.fileInfo.fileBlockInfos
    return next((place.tierAlias for place in block.blockInfo.locations), "")


def test_what_memory_has_no_room_for_goes_to_the_disk_and_nothing_is_lost(cluster: Cluster, masters: Masters) -> None:
    """Files that the cache alone holds: each byte that comes back was kept."""
    worker = registered(masters)
    assert worker.capacity_on_tiers == (("HDD", DISK * MIB), ("MEM", MEMORY * MIB))
    contents = {f"/only/{number}": os.urandom(MIB) for number in range(32)}
    with Files(masters) as files:
        for path, content in contents.items():
            files.write(path, content, write_type=WriteType.MUST_CACHE, block_size=MIB)
        in_memory, on_disk = wait_for("all blocks", lambda: used(masters), lambda seen: sum(seen) >= len(contents))
        assert 0 < in_memory <= MEMORY
        assert on_disk >= len(contents) - MEMORY

        # What was used last comes up once there is nothing else to do.
        low = [path for path in contents if tier_of(masters, path) == "HDD"][:4]
        for path in low:
            assert files.read(path) == contents[path]
        wait_for(
            "what was read last in memory",
            lambda: {path: tier_of(masters, path) for path in low},
            lambda tiers: set(tiers.values()) == {"MEM"},
        )
        assert sum(used(masters)) >= len(contents)
        for path, content in contents.items():
            assert files.read(path) == content


def test_when_all_tiers_are_full_the_oldest_go_unless_they_are_pinned(cluster: Cluster, masters: Masters) -> None:
    registered(masters)
    contents = {f"/stored/{number}": os.urandom(MIB) for number in range(80)}
    paths = Paths(lambda: (cluster.address,), user=getpass.getuser())
    pinned = list(contents)[:4]
    with Files(masters) as files:
        for path, content in contents.items():
            files.write(path, content, write_type=WriteType.CACHE_THROUGH, block_size=MIB)
            if path in pinned:
                paths.set(path, Attributes(pinned=True))
        paths.close()
        # The masters hear of what went with the worker's next word.
        gone = wait_for(
            "the oldest to go",
            lambda: [path for path in contents if not tier_of(masters, path)],
            lambda gone: len(contents) - len(gone) <= MEMORY + DISK,
        )
        in_memory, on_disk = used(masters)
        assert in_memory <= MEMORY
        assert on_disk <= DISK
        assert len(gone) >= len(contents) - MEMORY - DISK
        assert not set(gone) & set(pinned)
        for path, content in contents.items():
            assert files.read(path) == content, "what was evicted is read from the under-storage"
