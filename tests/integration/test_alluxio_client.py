"""The client against a real master and worker: what it tells, a file's way through the cache, how it sees them die."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.alluxio.answers import Alive, Kind, MasterInfo, Role, Unavailable
from framework.alluxio.files import AlluxioError, Files, Mount, WriteType
from framework.alluxio.masters import Masters
from framework.alluxio.methods import GET_STATUS
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from integration.alluxio_processes import CAPACITY, Cluster, registered, started, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]


@pytest.fixture(params=["SIMPLE", "NOSASL"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with started(tmp_path, request.param) as cluster:
        yield cluster


@pytest.fixture
def masters(cluster: Cluster) -> Iterator[Masters]:
    with Masters([cluster.address], authentication=cluster.authentication, user=getpass.getuser()) as masters:
        yield masters


def told_of(masters: Masters) -> MasterInfo:
    """What the primary says; a JVM that is slow once is asked again."""
    answer = wait_for("the primary's word", masters.info, lambda answer: isinstance(answer, MasterInfo))
    assert isinstance(answer, MasterInfo)
    return answer


def test_a_file_goes_through_a_real_cluster_and_its_blocks_outlive_the_worker_process(
    cluster: Cluster, masters: Masters
) -> None:
    worker = registered(masters)
    assert (worker.address, worker.capacity_bytes, worker.used_bytes) == (cluster.worker_address, CAPACITY, 0)
    assert worker.capacity_on_tiers == (("MEM", CAPACITY),)
    assert worker.version == "2.9.6"

    info = told_of(masters)
    assert (info.primary, info.version, info.safe_mode) == (cluster.address, "2.9.6", False)
    assert [(master.address, master.state) for master in info.masters] == [(cluster.address, "PRIMARY")]
    assert masters.alive(cluster.address) == Alive(cluster.address, Role.PRIMARY)

    with Files(masters, retry_seconds=60) as files:
        assert files.mount_table() == (Mount("/", f"{cluster.folder}/under-storage", "", False, 1),)
        content = os.urandom(9 << 20)
        for write_type in (WriteType.MUST_CACHE, WriteType.CACHE_THROUGH):
            files.write(f"/proof/{write_type}", content, write_type=write_type, block_size=4 << 20)
            assert files.read(f"/proof/{write_type}") == content
        through = cluster.folder / "under-storage/proof/CACHE_THROUGH"
        assert (through.read_bytes(), through.stat().st_mode & 0o777) == (content, 0o644)
        assert [status.path for status in files.list("/proof")] == ["/proof/CACHE_THROUGH", "/proof/MUST_CACHE"]

        cached = files.status("/proof/MUST_CACHE")
        assert [block.length for block in cached.blocks] == [4 << 20, 4 << 20, 1 << 20]
        assert {block.locations for block in cached.blocks} == {(cluster.worker_address,)}
        assert (cached.in_memory_percent, cached.persistence) == (100, "NOT_PERSISTED")

        with pytest.raises(AlluxioError, match='Path "/nothing" does not exist'):
            files.read("/nothing")
        assert_copies_are_kept(masters, "/proof/MUST_CACHE")

        cluster.kill("worker")
        cluster.worker()

        def readable() -> bool:
            """The file was never persisted, so only the worker's new process can have its bytes."""
            try:
                return files.read("/proof/MUST_CACHE") == content
            except AlluxioError:
                return False

        wait_for("reading the blocks from the restarted worker", readable, bool)
        again = registered(masters)
        assert (again.address, again.used_bytes) == (cluster.worker_address, 18 << 20)
        assert files.status("/proof/MUST_CACHE") == cached

        files.delete("/proof", recursive=True)
        assert not files.exists("/proof/MUST_CACHE")


def assert_copies_are_kept(masters: Masters, path: str) -> None:
    """Alluxio evicts what there are more copies of than this allows: 0 would be none at all."""
    answer = masters.ask(GET_STATUS, protocol.GetStatusPRequest(path=path))
    assert not isinstance(answer, Unavailable)
    assert answer.fileInfo.replicationMax == -1
    assert answer.fileInfo.ttl == -1, "it would be deleted at the next look at lives"


def test_a_block_that_is_gone_is_an_error_and_no_silence(cluster: Cluster, masters: Masters) -> None:
    registered(masters)
    with Files(masters, retry_seconds=60) as files:
        files.write("/gone", b"soon gone", write_type=WriteType.MUST_CACHE)
    with Files(masters, timeout=30) as files:
        (block,) = [file for file in (cluster.folder / "tier").rglob("*") if file.is_file()]
        block.unlink()
        with pytest.raises(AlluxioError) as refused:
            files.read("/gone")
    assert "did not answer in time" not in str(refused.value)


def test_a_killed_master_is_unavailable_and_answers_again_after_its_restart(cluster: Cluster, masters: Masters) -> None:
    registered(masters)
    before = told_of(masters)

    cluster.kill("master")
    first, second = masters.info(), masters.info()
    assert isinstance(first, Unavailable)
    assert first.kind is Kind.UNREACHABLE
    assert second == Unavailable(
        cluster.address, f"{cluster.address} refuses connections: nothing listens there.", Kind.UNREACHABLE
    )

    cluster.master()
    after = told_of(masters)
    assert after.cluster_id == before.cluster_id
    assert registered(masters).address == cluster.worker_address
