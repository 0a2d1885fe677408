"""A real HDFS for tests: a NameNode and a DataNode in one process, free ports, its data in a folder of the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import requests

from eventually import eventually
from framework.artefacts import Artefacts, default_directory
from framework.artefacts.maven import java
from ports import held_port

SUPERUSER = "hdfs"  # whoever runs the NameNode; Alluxio's user is an ordinary one
FLAGS = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class HdfsServer:
    """``uri`` is its address, without a path. Its files are reached past Alluxio, over WebHDFS."""

    def __init__(self, folder: Path) -> None:
        artefacts = Artefacts(default_directory())
        artefacts.jars(("alluxio", "hdfs"))
        self._port, self._web_port = held_port(), held_port()
        self.uri = f"hdfs://127.0.0.1:{self._port}"
        self._folder = folder
        self._class_path = ":".join(f"{artefacts.jar_folder(name)}/*" for name in ("hdfs", "alluxio"))
        self._log = folder / "hdfs.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ready = self._folder / "ready.json"
        ready.unlink(missing_ok=True)
        ports = ("-nnport", str(self._port), "-httpport", str(self._web_port))
        main = ("org.apache.hadoop.test.MiniDFSClusterManager", "-format", "-datanodes", "1", *ports)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java(*main, "-writeDetails", str(ready)), stdout=log, stderr=log, env=self._environment()
            )
        eventually(lambda: self._is_ready(ready), "the NameNode and the DataNode serve", 120)

    def _java(self, *main: str) -> list[str]:
        return [str(java()), *FLAGS, f"-Dtest.build.data={self._folder}/data", "-cp", self._class_path, *main]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HADOOP_USER_NAME": SUPERUSER}

    def _is_ready(self, ready: Path) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return ready.exists()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def safe_mode(self, action: str) -> None:
        """``enter`` or ``leave``: in safe mode a NameNode changes nothing."""
        command = self._java("org.apache.hadoop.hdfs.tools.DFSAdmin", "-fs", self.uri, "-safemode", action)
        ended = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 0, ended.stderr

    # Files ------------------------------------------------------------------------------------------------------------

    def make(self, path: str, owner: str, mode: str = "755") -> None:
        """A folder, with those around it."""
        self._ask("PUT", path, op="MKDIRS", permission=mode)
        self._ask("PUT", path, op="SETPERMISSION", permission=mode)
        self._ask("PUT", path, op="SETOWNER", owner=owner)

    def put(self, path: str, content: bytes) -> None:
        self._ask("PUT", path, content, op="CREATE")

    def read(self, path: str) -> bytes:
        return self._ask("GET", path, op="OPEN").content

    def has(self, path: str) -> bool:
        return self._answer("GET", path, op="GETFILESTATUS").ok

    def status(self, path: str) -> dict[str, Any]:
        """WebHDFS's own words: owner, permission, length …"""
        found: dict[str, Any] = self._ask("GET", path, op="GETFILESTATUS").json()["FileStatus"]
        return found

    def _ask(self, method: str, path: str, content: bytes = b"", **question: str) -> requests.Response:
        answer = self._answer(method, path, content, **question)
        assert answer.ok, answer.text
        return answer

    def _answer(self, method: str, path: str, content: bytes = b"", **question: str) -> requests.Response:
        url = f"http://127.0.0.1:{self._web_port}/webhdfs/v1{path}"
        query = {**question, "user.name": SUPERUSER}
        return requests.request(method, url, params=query, data=content, timeout=60)
