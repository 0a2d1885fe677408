"""The client against a real master and worker: what it tells, a file's way through the cache, how it sees them die."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from framework.alluxio.answers import Alive, Kind, MasterInfo, Role, Unavailable, WorkerReport, WorkerState
from framework.alluxio.files import AlluxioError, Files, Mount, WriteType
from framework.alluxio.masters import Masters
from framework.alluxio.methods import GET_STATUS
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.artefacts import Artefacts, default_directory
from framework.artefacts.maven import java

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CAPACITY = 32 << 20
Answer = TypeVar("Answer")

LOGGING = """\
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${sys:alluxio.logs.dir}/${sys:alluxio.logger.type}.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{2} %m%n
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


def wait_for(what: str, ask: Callable[[], Answer], until: Callable[[Answer], bool], seconds: float = 60) -> Answer:
    deadline = time.monotonic() + seconds
    while not until(answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not come true in {seconds} s: {answer}"
        time.sleep(0.05)
    return answer


class Cluster:
    """One master and one worker on loopback, with the jars of the build and everything they write in one folder."""

    def __init__(self, folder: Path, jars: Path, authentication: str) -> None:
        self.folder, self.jars, self.authentication = folder, jars, authentication
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        with socket.socket() as a, socket.socket() as b, socket.socket() as c, socket.socket() as d:
            for listener in (a, b, c, d):
                listener.bind(("127.0.0.1", 0))
            rpc, web, worker_rpc, worker_web = (listener.getsockname()[1] for listener in (a, b, c, d))
        self.address, self.worker_address = f"127.0.0.1:{rpc}", f"127.0.0.1:{worker_rpc}"
        properties = {
            "security.authentication.type": authentication,
            "security.authorization.permission.enabled": str(authentication == "SIMPLE").lower(),
            "exit.collect.info": "false",
            "master.hostname": "127.0.0.1",
            "master.bind.host": "127.0.0.1",
            "master.rpc.port": rpc,
            "master.web.bind.host": "127.0.0.1",
            "master.web.port": web,
            "master.journal.type": "UFS",
            "master.journal.folder": folder / "journal",
            "master.metastore.dir": folder / "metastore",
            "master.mount.table.root.ufs": folder / "under-storage",
            "master.journal.tailer.shutdown.quiet.wait.time": "50ms",
            "master.journal.tailer.sleep.time": "50ms",
            "master.worker.connect.wait.time": "0ms",
            "worker.hostname": "127.0.0.1",
            "worker.bind.host": "127.0.0.1",
            "worker.rpc.port": worker_rpc,
            "worker.web.bind.host": "127.0.0.1",
            "worker.web.port": worker_web,
            "worker.ramdisk.size": CAPACITY,
            "worker.tieredstore.levels": 1,
            "worker.tieredstore.level0.alias": "MEM",
            "worker.tieredstore.level0.dirs.path": folder / "tier",
            "worker.tieredstore.level0.dirs.quota": CAPACITY,
        }
        for name in ("under-storage", "logs", "conf"):
            (folder / name).mkdir()
        lines = (f"alluxio.{name}={value}\n" for name, value in properties.items())
        (folder / "conf/alluxio-site.properties").write_text("".join(lines))
        (folder / "conf/log4j2.properties").write_text(LOGGING)

    def run(self, name: str, main: str, *arguments: str, heap: str = "160m") -> subprocess.Popen[bytes]:
        command = [str(java()), f"-Xmx{heap}", "-XX:MaxDirectMemorySize=128m", "-XX:+UseSerialGC"]
        command += ["-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*", f"-Dalluxio.home={self.folder}"]
        command += [f"-Dalluxio.conf.dir={self.folder}/conf", f"-Dalluxio.logs.dir={self.folder}/logs"]
        command += [f"-Dlog4j2.configurationFile={self.folder}/conf/log4j2.properties"]
        command += [f"-Dalluxio.logger.type={name}", main, *arguments]
        with (self.folder / f"logs/{name}.out").open("ab") as output:
            self.processes[name] = subprocess.Popen(command, stdout=output, stderr=output)
        return self.processes[name]

    def master(self) -> None:
        self.run("master", "alluxio.master.AlluxioMaster", heap="192m")

    def worker(self) -> None:
        self.run("worker", "alluxio.worker.AlluxioWorker", heap="128m")

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()


@pytest.fixture(scope="module")
def jars() -> Path:
    artefacts = Artefacts(default_directory())
    artefacts.jars()
    return artefacts.jar_folder("alluxio")


@pytest.fixture(params=["SIMPLE", "NOSASL"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path, jars: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, jars, request.param)
    try:
        assert cluster.run("format", "alluxio.cli.Format", "master").wait(60) == 0
        cluster.master()
        cluster.worker()
        yield cluster
    finally:
        for process in cluster.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(tmp_path / "metastore", ignore_errors=True)


@pytest.fixture
def masters(cluster: Cluster) -> Iterator[Masters]:
    with Masters([cluster.address], authentication=cluster.authentication, user=getpass.getuser()) as masters:
        yield masters


def registered(masters: Masters) -> WorkerReport:
    """The one worker, once it is live."""

    def is_live(answer: tuple[WorkerReport, ...] | Unavailable) -> bool:
        return not isinstance(answer, Unavailable) and [worker.state for worker in answer] == [WorkerState.LIVE]

    answer = wait_for("a registered worker", masters.workers, is_live)
    assert not isinstance(answer, Unavailable)
    return answer[0]


def test_a_file_goes_through_a_real_cluster_and_its_blocks_outlive_the_worker_process(
    cluster: Cluster, masters: Masters
) -> None:
    worker = registered(masters)
    assert (worker.address, worker.capacity_bytes, worker.used_bytes) == (cluster.worker_address, CAPACITY, 0)
    assert worker.capacity_on_tiers == (("MEM", CAPACITY),)
    assert worker.version == "2.9.6"

    info = masters.info()
    assert isinstance(info, MasterInfo)
    assert (info.primary, info.version, info.safe_mode) == (cluster.address, "2.9.6", False)
    assert [(master.address, master.state) for master in info.masters] == [(cluster.address, "PRIMARY")]
    assert masters.alive(cluster.address) == Alive(cluster.address, Role.PRIMARY)

    with Files(masters) as files:
        assert files.mount_table() == (Mount("/", f"{cluster.folder}/under-storage", "", False, 1),)
        content = os.urandom(9 << 20)
        for write_type in (WriteType.MUST_CACHE, WriteType.CACHE_THROUGH):
            files.write(f"/proof/{write_type}", content, write_type=write_type, block_size=4 << 20)
            assert files.read(f"/proof/{write_type}") == content
        assert (cluster.folder / "under-storage/proof/CACHE_THROUGH").read_bytes() == content
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


def test_a_block_that_is_gone_is_an_error_and_no_silence(cluster: Cluster, masters: Masters) -> None:
    registered(masters)
    with Files(masters, timeout=30) as files:
        files.write("/gone", b"soon gone", write_type=WriteType.MUST_CACHE)
        (block,) = [file for file in (cluster.folder / "tier").rglob("*") if file.is_file()]
        block.unlink()
        with pytest.raises(AlluxioError) as refused:
            files.read("/gone")
    assert "did not answer in time" not in str(refused.value)


def test_a_killed_master_is_unavailable_and_answers_again_after_its_restart(cluster: Cluster, masters: Masters) -> None:
    registered(masters)
    before = masters.info()
    assert isinstance(before, MasterInfo)

    cluster.kill("master")
    first, second = masters.info(), masters.info()
    assert isinstance(first, Unavailable)
    assert first.kind is Kind.UNREACHABLE
    assert second == Unavailable(
        cluster.address, f"{cluster.address} refuses connections: nothing listens there.", Kind.UNREACHABLE
    )

    cluster.master()
    after = wait_for("the master's return", masters.info, lambda answer: isinstance(answer, MasterInfo))
    assert isinstance(after, MasterInfo)
    assert after.cluster_id == before.cluster_id
    assert registered(masters).address == cluster.worker_address
