"""Three real masters with either journal: a primary dies; files, roles and the quorum are as they should be."""

from __future__ import annotations

import queue
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventually import eventually
from framework.alluxio.answers import MasterInfo, QuorumMember, Role, Unavailable
from framework.alluxio.files import Files
from framework.alluxio.masters import Masters
from framework.alluxio.watch import Addresses, Watch
from framework.artefacts import Artefacts, default_directory
from framework.artefacts.maven import java
from framework.model import CacheReport
from framework.zookeeper import AlluxioLeader
from ports import held_port
from zookeeper_server import ZooKeeperServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

CAPACITY = 32 << 20
CONTENT = b"0123456789" * 1000
PORTS = ("rpc", "web", "journal")
LOGGING = """\
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${sys:alluxio.logs.dir}/alluxio.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{2} %m%n
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


class Cluster:
    """Up to `members` masters and a worker on loopback; what they write lies below `folder`, one folder for each."""

    def __init__(self, folder: Path, jars: Path, members: int, shared: dict[str, object]) -> None:
        self.folder, self.jars, self.shared = folder, jars, shared
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = [{name: held_port() for name in PORTS} for _ in range(members)]
        self.worker_ports = {name: held_port() for name in ("rpc", "web")}
        self.rpc_addresses = [f"127.0.0.1:{ports['rpc']}" for ports in self.ports]
        self.journal_addresses = [f"127.0.0.1:{ports['journal']}" for ports in self.ports]
        (folder / "under-storage").mkdir()

    def master(self, number: int, **more: object) -> None:
        ports = self.ports[number]
        own: dict[str, object] = {
            "master.hostname": "127.0.0.1",
            "master.bind.host": "127.0.0.1",
            "master.rpc.port": ports["rpc"],
            "master.web.bind.host": "127.0.0.1",
            "master.web.port": ports["web"],
            "master.metastore.dir": self.folder / f"master-{number}/metastore",
            "master.embedded.journal.port": ports["journal"],
            "master.journal.folder": self.folder / f"master-{number}/journal",
        }
        self._start(f"master-{number}", "alluxio.master.AlluxioMaster", own | self.shared | more, "192m")

    def worker(self) -> None:
        own: dict[str, object] = {
            "worker.hostname": "127.0.0.1",
            "worker.bind.host": "127.0.0.1",
            "worker.rpc.port": self.worker_ports["rpc"],
            "worker.web.bind.host": "127.0.0.1",
            "worker.web.port": self.worker_ports["web"],
            "worker.ramdisk.size": CAPACITY,
            "worker.tieredstore.levels": 1,
            "worker.tieredstore.level0.alias": "MEM",
            "worker.tieredstore.level0.dirs.path": self.folder / "tier",
            "worker.tieredstore.level0.dirs.quota": CAPACITY,
        }
        self._start("worker", "alluxio.worker.AlluxioWorker", own | self.shared, "128m")

    def format(self) -> None:
        own = {"master.hostname": "127.0.0.1", "master.metastore.dir": self.folder / "format/metastore"}
        assert self._start("format", "alluxio.cli.Format", own | self.shared, "64m", "master").wait(60) == 0

    def _start(
        self, name: str, main: str, own: dict[str, object], heap: str, *arguments: str
    ) -> subprocess.Popen[bytes]:
        properties = {
            "security.authorization.permission.enabled": "false",
            "exit.collect.info": "false",
            "master.update.check.enabled": "false",
            "master.mount.table.root.ufs": self.folder / "under-storage",
            "standby.master.grpc.enabled": "false",
            "user.rpc.retry.max.sleep": "500ms",
            "master.worker.connect.wait.time": "500ms",
        } | own
        folder = self.folder / name
        for part in ("conf", "logs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        lines = (f"alluxio.{key}={value}\n" for key, value in properties.items())
        (folder / "conf/alluxio-site.properties").write_text("".join(lines))
        (folder / "conf/log4j2.properties").write_text(LOGGING)
        command = [str(java()), f"-Xmx{heap}", "-XX:MaxDirectMemorySize=128m", "-XX:+UseSerialGC"]
        command += ["-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*", f"-Dalluxio.home={folder}"]
        command += [f"-Dalluxio.conf.dir={folder}/conf", f"-Dalluxio.logs.dir={folder}/logs"]
        command += [f"-Dlog4j2.configurationFile={folder}/conf/log4j2.properties", main, *arguments]
        with (folder / "output.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(command, stdout=output, stderr=output)
        return self.processes[name]

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def end(self) -> None:
        for name in self.processes:
            self.kill(name)
        for number in range(len(self.ports)):
            shutil.rmtree(self.folder / f"master-{number}/metastore", ignore_errors=True)


@pytest.fixture(scope="module")
def jars() -> Path:
    artefacts = Artefacts(default_directory())
    artefacts.jars()
    return artefacts.jar_folder("alluxio")


@pytest.fixture
def start(tmp_path: Path, jars: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes a cluster of so many possible masters, with the properties that all processes share."""
    clusters: list[Cluster] = []

    def make(members: int, shared: dict[str, object]) -> Cluster:
        clusters.append(Cluster(tmp_path, jars, members, shared))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.end()


def primary_of(masters: Masters) -> str | None:
    answer = masters.info()
    return answer.primary if isinstance(answer, MasterInfo) else None


def roles_are(masters: Masters, wanted: dict[str, Role]) -> bool:
    return {master.address: master.role for master in masters.roles()} == wanted


def one_worker(masters: Masters) -> bool:
    answer = masters.workers()
    return not isinstance(answer, Unavailable) and [worker.state for worker in answer] == ["live"]


def test_a_shared_journal_and_zookeeper(start: Callable[..., Cluster], zookeeper: ZooKeeperServer) -> None:
    service = f"/alluxio-{uuid.uuid4()}"
    properties: dict[str, object] = {
        "zookeeper.enabled": "true",
        "zookeeper.address": zookeeper.address,
        # Whoever hears nothing of ZooKeeper for two thirds of it leads no more, and ends: a busy machine may keep it
        # silent for some seconds.
        "zookeeper.session.timeout": "12sec",
        "zookeeper.leader.connection.error.policy": "STANDARD",
        "master.journal.exit.on.demotion": "true",
        "zookeeper.election.path": f"{service}/election",
        "zookeeper.leader.path": f"{service}/leader",
        "master.journal.type": "UFS",
        "master.journal.tailer.shutdown.quiet.wait.time": "50ms",
        "master.journal.tailer.sleep.time": "50ms",
    }
    cluster = start(3, properties)
    cluster.shared["master.journal.folder"] = cluster.folder / "journal"
    cluster.format()
    for number in range(3):
        cluster.master(number)
    cluster.worker()

    leaders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reports: queue.SimpleQueue[CacheReport] = queue.SimpleQueue()
    with Masters(cluster.rpc_addresses) as masters, Files(masters, retry_seconds=60) as files:
        # Nobody asks again in this test unless the leader's node does: the pause is longer than the test.
        watch = Watch(lambda: Addresses(tuple(cluster.rpc_addresses)), lambda: 600.0, reports.put, "SIMPLE")

        def changed(leader: str | None) -> None:
            leaders.put(leader)
            watch.wake()

        impostors: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
        paths = f"{service}/leader", f"{service}/election"
        node = AlluxioLeader(zookeeper.address, paths[0], changed, paths[1], impostors.put)
        eventually(lambda: one_worker(masters), "the worker registers with the primary", 90)
        first = eventually(lambda: primary_of(masters), "the primary is told")
        standbys = {address: Role.STANDBY for address in cluster.rpc_addresses if address != first}
        eventually(lambda: roles_are(masters, {first: Role.PRIMARY} | standbys), "the others are standbys")
        try:
            watch.start()
            node.start()
            assert leaders.get(timeout=60) == first
            while (report := reports.get(timeout=60)).primary is None:  # it was slow to answer, and is asked again
                pass
            assert report.primary == first
            files.write("/before", CONTENT)

            cluster.kill(f"master-{cluster.rpc_addresses.index(first)}")
            while (second := leaders.get(timeout=60)) in (None, first):
                pass
            assert second in standbys
            while (report := reports.get(timeout=60)).primary != second:
                pass
            assert dict(report.masters)[first] == Role.UNREACHABLE
            files.write("/after", CONTENT)
            assert files.read("/before") == CONTENT
            assert files.read("/after") == CONTENT
            remaining = {address: Role.STANDBY for address in standbys if address != second}
            wanted = {first: Role.UNREACHABLE, second or "": Role.PRIMARY} | remaining
            eventually(lambda: roles_are(masters, wanted), "each master has its role")

            cluster.master(cluster.rpc_addresses.index(first))
            wanted = {first: Role.STANDBY, second or "": Role.PRIMARY} | remaining
            eventually(lambda: roles_are(masters, wanted), "the dead one is back as a standby")
            assert impostors.empty()
        finally:
            watch.stop()
            node.stop()


def test_an_embedded_journal_grows_and_a_dead_member_is_replaced(start: Callable[..., Cluster]) -> None:
    cluster = start(4, {"master.journal.type": "EMBEDDED"})
    # Those who are not told of a master never find it.
    cluster.shared["master.rpc.addresses"] = ",".join(cluster.rpc_addresses)
    cluster.shared["master.embedded.journal.election.timeout.min"] = "1sec"
    cluster.shared["master.embedded.journal.election.timeout.max"] = "2sec"
    cluster.shared["master.embedded.journal.catchup.retry.wait"] = "100ms"
    cluster.shared["master.embedded.journal.ratis.config.raft.grpc.server.host"] = "127.0.0.1"

    def join(*members: int) -> None:
        """Start the last of the members with an empty journal; it asks the others to let it in."""
        (cluster.folder / f"master-{members[-1]}/journal").mkdir(parents=True)
        addresses = ",".join(cluster.journal_addresses[member] for member in members)
        cluster.master(members[-1], **{"master.embedded.journal.addresses": addresses})

    with Masters(cluster.rpc_addresses) as masters, Files(masters, retry_seconds=60) as files:

        def quorum() -> dict[str, bool]:
            answer = masters.quorum()
            return {} if isinstance(answer, Unavailable) else {member.address: member.available for member in answer}

        def whole(*members: int) -> Callable[[], bool]:
            wanted = {cluster.journal_addresses[member]: True for member in members}
            return lambda: quorum() == wanted

        join(0)
        cluster.worker()
        eventually(lambda: one_worker(masters), "the worker registers with the primary", 90)
        alone = (QuorumMember(cluster.journal_addresses[0], available=True, leader=True),)
        eventually(lambda: masters.quorum() == alone, "it is the only member")
        files.write("/alone", CONTENT)
        join(0, 1)
        eventually(whole(0, 1), "the second member is in")
        join(0, 1, 2)
        eventually(whole(0, 1, 2), "the third member is in")

        cluster.kill("master-0")
        eventually(lambda: primary_of(masters) in cluster.rpc_addresses[1:3], "another one leads")
        files.write("/after", CONTENT)
        # The quorum may be busy, or slow with its answer: then the scheduler asks again too.
        gone = cluster.journal_addresses[0]
        eventually(lambda: masters.remove_member(gone) is None, "the dead member's removal is taken")
        eventually(whole(1, 2), "the dead member is out")
        join(1, 2, 3)
        eventually(whole(1, 2, 3), "the new member is in")
        for path in ("/alone", "/after"):
            assert files.read(path) == CONTENT

        def has_roles() -> bool:
            found = {master.address: master.role for master in masters.roles()}
            gone = found.pop(cluster.rpc_addresses[0])
            return (gone, sorted(found.values())) == (Role.UNREACHABLE, [Role.PRIMARY, Role.STANDBY, Role.STANDBY])

        eventually(has_roles, "each master has its role")
