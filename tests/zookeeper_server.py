"""A real ZooKeeper server for tests: one process, a free port, its data in a folder of the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from eventually import eventually
from framework.artefacts import Artefacts, default_directory
from ports import held_port

CONFIGURATION = """\
tickTime=1000
minSessionTimeout=2000
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=*
"""


class ZooKeeperServer:
    """``address`` is "host:port"; it stays the same over ``stop`` and ``start``."""

    def __init__(self, folder: Path) -> None:
        artefacts = Artefacts(default_directory())
        artefacts.jars()
        self._port = held_port()
        self.address = f"127.0.0.1:{self._port}"
        self._configuration = folder / "zoo.cfg"
        self._configuration.write_text(CONFIGURATION.format(folder=folder, port=self._port))
        self._jars = artefacts.jar_folder("zookeeper")
        self._log = folder / "zookeeper.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        java = shutil.which("java")
        assert java, "these tests need a Java runtime on the PATH"
        # No test takes the power away: a busy disk need not hold up answers for longer than a session lasts.
        flags = ["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [java, *flags, "-cp", f"{self._jars}/*", main, str(self._configuration)], stdout=log, stderr=log
            )
        eventually(self._answers, "ZooKeeper answers", 60)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1) as connection:
                connection.sendall(b"ruok")
                return connection.recv(4) == b"imok"
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
