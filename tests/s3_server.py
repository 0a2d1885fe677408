"""A real S3 server for tests: s3proxy, one process, a free port, its buckets as folders of the test."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from eventually import eventually
from framework.artefacts import Artefacts, default_directory
from framework.artefacts.maven import java
from ports import held_port

IDENTITY = "tester"
CREDENTIAL = "a-secret-of-the-test"

CONFIGURATION = """\
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={identity}
s3proxy.credential={credential}
s3proxy.endpoint=http://127.0.0.1:{port}
jclouds.provider=filesystem
jclouds.filesystem.basedir={folder}/buckets
"""


class S3Server:
    """``endpoint`` is its URL; it stays the same over ``stop`` and ``start``."""

    def __init__(self, folder: Path) -> None:
        artefacts = Artefacts(default_directory())
        artefacts.jars(("s3proxy",))
        self._port = held_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._buckets = folder / "buckets"
        self._buckets.mkdir(parents=True)
        self._configuration = folder / "s3proxy.properties"
        self._configuration.write_text(
            CONFIGURATION.format(folder=folder, port=self._port, identity=IDENTITY, credential=CREDENTIAL)
        )
        self._jars = artefacts.jar_folder("s3proxy")
        self._log = folder / "s3proxy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Lay an object into a bucket, which is made where it is not there."""
        path = self._buckets / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def get(self, bucket: str, key: str) -> bytes | None:
        """What the object holds; None where there is none."""
        path = self._buckets / bucket / key
        return path.read_bytes() if path.exists() else None

    def start(self) -> None:
        flags = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        main = ["org.gaul.s3proxy.Main", "--properties", str(self._configuration)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(java()), *flags, "-cp", f"{self._jars}/*", *main], stdout=log, stderr=log
            )
        eventually(self._answers, "the S3 server answers", 120)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
