"""Alluxio's own processes on loopback, without Mesos, for the tests of what is said to them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from framework.alluxio.answers import Unavailable, WorkerReport, WorkerState
from framework.alluxio.masters import Masters
from framework.artefacts import Artefacts, default_directory
from framework.artefacts.maven import java
from ports import held_port

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
    """One master and one worker on loopback, with the jars of the build and everything they write in one folder;
    ``more`` are properties, without "alluxio." before them.
    """

    def __init__(self, folder: Path, jars: Path, authentication: str, more: Mapping[str, object] | None = None) -> None:
        self.folder, self.jars, self.authentication = folder, jars, authentication
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        rpc, web, worker_rpc, worker_web, *jobs = (held_port() for _ in range(9))
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
            # As in site.py: else a client that connects while the master becomes the primary has it wait for ever.
            "standby.master.grpc.enabled": "false",
            "worker.hostname": "127.0.0.1",
            "worker.bind.host": "127.0.0.1",
            "worker.rpc.port": worker_rpc,
            "worker.web.bind.host": "127.0.0.1",
            "worker.web.port": worker_web,
            "job.master.hostname": "127.0.0.1",
            "job.master.bind.host": "127.0.0.1",
            "job.master.rpc.port": jobs[0],
            "job.master.web.bind.host": "127.0.0.1",
            "job.master.web.port": jobs[1],
            "job.worker.hostname": "127.0.0.1",
            "job.worker.bind.host": "127.0.0.1",
            "job.worker.rpc.port": jobs[2],
            "job.worker.data.port": jobs[3],
            "job.worker.web.bind.host": "127.0.0.1",
            "job.worker.web.port": jobs[4],
            "worker.ramdisk.size": CAPACITY,
            "worker.tieredstore.levels": 1,
            "worker.tieredstore.level0.alias": "MEM",
            "worker.tieredstore.level0.dirs.path": folder / "tier",
            "worker.tieredstore.level0.dirs.quota": CAPACITY,
        }
        properties |= more or {}
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

    def job_service(self) -> None:
        """Which persists files and copies blocks."""
        self.run("job-master", "alluxio.master.AlluxioJobMaster", heap="96m")
        self.run("job-worker", "alluxio.worker.AlluxioJobWorker", heap="96m")

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()


@contextmanager
def started(
    folder: Path, authentication: str = "SIMPLE", more: Mapping[str, object] | None = None
) -> Iterator[Cluster]:
    """With a formatted journal, both processes just begun."""
    artefacts = Artefacts(default_directory())
    artefacts.jars()
    cluster = Cluster(folder, artefacts.jar_folder("alluxio"), authentication, more)
    try:
        assert cluster.run("format", "alluxio.cli.Format", "master").wait(60) == 0
        cluster.master()
        cluster.worker()
        yield cluster
    finally:
        for process in cluster.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(folder / "metastore", ignore_errors=True)


def registered(masters: Masters) -> WorkerReport:
    """The one worker, once it is live."""

    def is_live(answer: tuple[WorkerReport, ...] | Unavailable) -> bool:
        return not isinstance(answer, Unavailable) and [worker.state for worker in answer] == [WorkerState.LIVE]

    answer = wait_for("a registered worker", masters.workers, is_live)
    assert not isinstance(answer, Unavailable)
    return answer[0]
