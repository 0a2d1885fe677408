"""Paths against real Alluxio: what is said of them holds, what is asked for is done, and nothing is lost by looking."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.alluxio.answers import Unavailable
from framework.alluxio.files import AlluxioAway, AlluxioError, Files, WriteType
from framework.alluxio.keeper import look
from framework.alluxio.masters import Masters
from framework.alluxio.methods import Method
from framework.alluxio.paths import Impossible, LoadProgress, LoadState, PathAbsent, Paths
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.paths import ABSENT, NO_LIMIT, NO_TTL, Attributes, TtlAction, WantedPath
from integration.alluxio_processes import Cluster, registered, started, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

MIB = 1 << 20
QUICK = {
    "master.ttl.checker.interval": "200ms",  # an hour by default
    "master.worker.info.cache.refresh.time": "200ms",  # 10 s: how soon a load finds its workers
    "master.persistence.scheduler.interval": "100ms",
    "master.persistence.checker.interval": "100ms",
}
MOUNT = Method("alluxio.grpc.file.FileSystemMasterClientService/Mount", protocol.MountPRequest, protocol.MountPResponse)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(tmp_path_factory.mktemp("paths"), more=QUICK) as cluster:
        cluster.job_service()
        with Masters([cluster.address], user=getpass.getuser()) as masters:
            registered(masters)
        yield cluster


@pytest.fixture
def masters(cluster: Cluster) -> Iterator[Masters]:
    with Masters([cluster.address], user=getpass.getuser(), timeout=60) as masters:
        yield masters


@pytest.fixture
def paths(cluster: Cluster) -> Iterator[Paths]:
    made = Paths(lambda: (cluster.address,), user=getpass.getuser())
    yield made
    made.close()


def stored(cluster: Cluster, folder: str, *names: str, size: int = MIB) -> None:
    """Files that lie in the under-storage alone."""
    for name in names:
        file = cluster.folder / "under-storage" / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))


def ended(paths: Paths, path: str) -> LoadProgress:
    return wait_for(
        f"the end of the load of {path}",
        lambda: paths.load_progress(path),
        lambda seen: seen.state is not LoadState.RUNNING,
    )


def test_looking_brings_in_what_is_stored_and_endangers_none_of_it(cluster: Cluster, paths: Paths) -> None:
    stored(cluster, "look", "a", "b", "c", "sub/d")
    assert paths.status("/look").folder
    entries, more = paths.entries("/look", 2)
    assert ([entry.path for entry in entries], more) == (["/look/a", "/look/b"], True)
    entries, more = paths.entries("/look", 10, "b")
    assert ([entry.path for entry in entries], more) == (["/look/c", "/look/sub"], False)
    assert [(entry.size, entry.ttl, entry.persistence, entry.pinned) for entry in entries[:1]] == [
        (MIB, None, "PERSISTED", False)
    ]
    stored(cluster, "look", "new")
    assert [entry.name for entry in paths.entries("/look", 10, "c")[0]] == ["sub"]
    assert [entry.name for entry in paths.entries("/look", 10, "c", refresh=True)[0]] == ["new", "sub"]
    with pytest.raises(PathAbsent, match=r"^/look/x does not exist, neither in Alluxio nor in what is mounted there$"):
        paths.status("/look/x")

    # What lives for seconds is over: Alluxio has looked at all lives. What was looked at is still there.
    stored(cluster, "over", "file")
    # Longer than it takes to say so: the folder is looked at once more after that.
    paths.set("/over", Attributes(ttl=5.0, ttl_action=TtlAction.DELETE))
    over = cluster.folder / "under-storage/over/file"
    wait_for("the end of a file", over.exists, lambda there: not there)
    for name in ("a", "b", "c", "sub/d", "new"):
        assert paths.status(f"/look/{name}").ttl is None
        assert (cluster.folder / "under-storage/look" / name).exists()


def test_what_is_said_of_a_folder_holds_of_all_in_it(cluster: Cluster, paths: Paths) -> None:
    stored(cluster, "say", "a", "sub/b")
    assert paths.set("/say", Attributes(pinned=True)).pinned
    for path in ("/say/a", "/say/sub/b"):
        assert (paths.status(path).pinned, paths.status(path).replication_min) == (True, 1)
    stored(cluster, "say", "later")
    assert paths.status("/say/later").pinned, "new files of a pinned folder are pinned"
    paths.set("/say", Attributes(ttl=3600.0))
    assert [paths.status(path).ttl for path in ("/say", "/say/a", "/say/sub/b")] == [3600.0] * 3
    assert paths.status("/say/a").pinned, "what is not named stays"
    paths.set("/say", Attributes(ttl=NO_TTL, replication_min=2, replication_max=3))
    seen = paths.status("/say/a")
    assert (seen.ttl, seen.replication_min, seen.replication_max, seen.pinned) == (None, 2, 3, True)
    paths.set("/say", Attributes(replication_max=NO_LIMIT))
    assert paths.status("/say/a").replication_max is None
    paths.set("/say/a", Attributes(pinned=False))
    assert (paths.status("/say/a").pinned, paths.status("/say/a").replication_min) == (False, 0)
    paths.set("/say/a", Attributes(pinned=True, replication_min=2))
    assert (paths.status("/say/a").pinned, paths.status("/say/a").replication_min) == (True, 2)

    with pytest.raises(Impossible, match="/say/a would have replication_min 2 and replication_max 1"):
        paths.set("/say/a", Attributes(replication_max=1))
    with pytest.raises(Impossible, match="a file of /say would have replication_min 2 and replication_max 1"):
        paths.set("/say", Attributes(replication_max=1))
    with pytest.raises(PathAbsent):
        paths.set("/nothing", Attributes(pinned=True))


def test_a_path_is_loaded_freed_and_freed_by_its_end(cluster: Cluster, paths: Paths) -> None:
    stored(cluster, "load", "a", "b", "sub/c")
    assert paths.load("/load") is True
    assert ended(paths, "/load") == LoadProgress("/load", LoadState.DONE, 3, 3 * MIB, 3 * MIB)
    assert [paths.status(f"/load/{name}").in_memory_percent for name in ("a", "b", "sub/c")] == [100] * 3
    paths.load("/load")
    again = ended(paths, "/load")
    assert (again.state, again.files, again.loaded) == (LoadState.DONE, 0, 0), "nothing was left to load"

    paths.set("/load/a", Attributes(pinned=True))
    with pytest.raises(AlluxioError, match=r"^/load/a is pinned; unpin it first, or free it by force$"):
        paths.free("/load")
    paths.free("/load", forced=True)
    wait_for("freed", lambda: paths.status("/load/a").in_alluxio_percent, lambda share: share == 0)
    assert not paths.status("/load/a").pinned

    paths.load("/load/b")
    assert ended(paths, "/load/b").state is LoadState.DONE
    paths.set("/load/b", Attributes(ttl=1.0))
    wait_for("its end", lambda: paths.status("/load/b").in_alluxio_percent, lambda share: share == 0)
    assert (cluster.folder / "under-storage/load/b").exists()


def test_a_load_that_cannot_be_is_told(cluster: Cluster, paths: Paths) -> None:
    with pytest.raises(PathAbsent, match=r"^nobody has asked for a load of /gone, or it is long over$"):
        paths.load_progress("/gone")
    with pytest.raises(PathAbsent, match=r"^/gone does not exist"):
        paths.load("/gone")
    assert paths.stop_load("/gone") is False
    stored(cluster, "gone", "file")
    assert paths.status("/gone/file").size == MIB
    (cluster.folder / "under-storage/gone/file").unlink()
    paths.load("/gone/file")
    seen = ended(paths, "/gone/file")
    assert (seen.state, seen.failed_files, seen.loaded) == (LoadState.FAILED, 1, 0)
    assert "No such file" in seen.reason


def test_only_what_the_cache_holds_is_persisted_and_never_freed(
    cluster: Cluster, masters: Masters, paths: Paths
) -> None:
    with Files(masters) as files:
        files.write("/kept/a", b"a" * MIB, write_type=WriteType.MUST_CACHE)
        files.write("/kept/b", b"b" * MIB, write_type=WriteType.CACHE_THROUGH)
        with pytest.raises(AlluxioError, match=r"^/kept/a is held by the cache alone, and freeing would lose it"):
            paths.free("/kept", forced=True)
        assert files.read("/kept/a") == b"a" * MIB
    assert paths.persist("/kept") == (1, 0)
    wait_for("persisted", lambda: paths.status("/kept/a").persistence, lambda word: word == "PERSISTED")
    assert (cluster.folder / "under-storage/kept/a").read_bytes() == b"a" * MIB
    assert paths.persist("/kept") == (0, 0)


def test_a_read_only_mount_takes_all_but_deletion(
    cluster: Cluster, masters: Masters, paths: Paths, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"read me")
    options = protocol.MountPOptions(readOnly=True)
    request = protocol.MountPRequest(alluxioPath="/read-only", ufsPath=str(tmp_path), options=options)
    assert not isinstance(masters.ask(MOUNT, request), Unavailable)
    assert paths.set("/read-only", Attributes(pinned=True, ttl=3600.0)).pinned
    assert paths.status("/read-only/file").ttl == 3600.0
    with pytest.raises(Impossible, match="/read-only/file is on the mount /read-only, which is read-only: nothing"):
        paths.set("/read-only/file", Attributes(ttl=3600.0, ttl_action=TtlAction.DELETE))


def test_what_is_wanted_is_made_so_when_it_comes_and_again(cluster: Cluster, paths: Paths) -> None:
    wanted = [
        WantedPath("/want", Attributes(ttl=3600.0, replication_min=2, replication_max=3)),
        WantedPath("/want/free", Attributes(pinned=False, ttl=NO_TTL)),
    ]
    assert look(wanted, paths) == dict.fromkeys(("/want", "/want/free"), ABSENT)
    stored(cluster, "want", "a", "free")
    assert look(wanted, paths)["/want"] == ""
    assert [entry.name for entry in paths.entries("/want", 10)[0]] == ["a", "free"]
    assert look(wanted, paths) == {"/want": "", "/want/free": ""}
    seen = paths.status("/want/a")
    assert (seen.ttl, seen.replication_min, seen.replication_max, seen.pinned) == (3600.0, 2, 3, True)
    free = paths.status("/want/free")
    assert (free.ttl, free.replication_min, free.replication_max, free.pinned) == (None, 0, 3, False)
    said_at = seen.modified_at
    assert look(wanted, paths) == {"/want": "", "/want/free": ""}
    assert paths.status("/want/a").modified_at == said_at, "nothing is said of what is so"
    paths.set("/want/a", Attributes(ttl=NO_TTL, pinned=False))
    assert look(wanted, paths) == {"/want": "", "/want/free": ""}
    again = paths.status("/want/a")
    assert (again.ttl, again.replication_min, again.pinned) == (3600.0, 2, True)


def test_without_a_worker_no_load_begins_and_without_a_master_it_may_pass(cluster: Cluster, paths: Paths) -> None:
    """The last one, as it ends the worker."""
    stored(cluster, "last", "file")
    assert paths.status("/last").folder
    cluster.kill("master")
    with pytest.raises(AlluxioAway):
        paths.status("/last")
    with pytest.raises(AlluxioAway, match=r"refuses connections: nothing listens there$"):
        paths.status("/last")
    cluster.kill("worker")
    cluster.master()

    def asked() -> str:
        try:
            paths.load("/last")
        except AlluxioAway as error:
            return str(error)
        return ""

    wait_for("a master without workers", asked, lambda said: said == "no worker is live that could load /last")
