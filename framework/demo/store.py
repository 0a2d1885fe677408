"""A real S3 server with the demonstration's bucket: s3proxy, or MinIO where Go is installed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from framework.artefacts import Artefacts
from framework.artefacts.maven import java
from framework.demo.plan import BUCKET
from framework.demo.trouble import Failed
from framework.local.processes import undisturbed, wait_until

HOST: Final = "127.0.0.1"
ACCESS_KEY: Final = "demo-user"
SECRET_KEY: Final = "demo-secret"  # of a server that this machine alone reaches, and only while the demo runs
KEYS: Final = {"s3a.accessKeyId": ACCESS_KEY, "s3a.secretKey": SECRET_KEY}  # as Alluxio's options for it
MINIO: Final = "github.com/minio/minio"
MINIO_VERSION: Final = "v0.0.0-20260212201848-7aac2a2c5b7c"  # its tags are none that Go takes
START_SECONDS: Final = 60.0
# Of the S3 proxy: to check the signature of a request over HTTP it keeps the whole of it, up to an Alluxio block.
HEAP: Final = "512m"
# By itself it logs each step of each request, which takes a processor's time that is Spark's.
QUIET: Final = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %level %logger: %message%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"""
KINDS: Final = ("s3proxy", "minio")


@dataclasses.dataclass
class Store:
    """The server runs while this is entered; its data lies in ``folder``."""

    kind: str
    folder: Path
    artefacts: Artefacts
    say: Callable[[str], None]
    port: int = 0
    version: str = ""
    _process: subprocess.Popen[bytes] | None = None
    _holder: socket.socket = dataclasses.field(default_factory=socket.socket)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        try:
            # Bound until the end: else the kernel may give the port to somebody's connection before the server takes
            # it, to our own question whether the server answers too. The server asks for SO_REUSEADDR, as this does.
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.bind((HOST, 0))
            self.port = self._holder.getsockname()[1]
            self.folder.mkdir(parents=True, exist_ok=True)
            command, environment = self._minio() if self.kind == "minio" else self._s3proxy()
            with undisturbed(), self._log.open("ab") as output:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment}
                )
            if not wait_until(self._answers, START_SECONDS):
                raise Failed(f"The S3 server does not answer at {self.endpoint}; its log is {self._log}.")
        except BaseException:  # Ctrl-C too: what is not entered is not left
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def fill(self, folder: Path) -> None:
        """Lay every file below the folder into the bucket, past the limit.

        Raises:
            Failed: the server did not take them.
        """
        import boto3  # there for the demo only
        from boto3.exceptions import Boto3Error
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )
        whole = TransferConfig(multipart_threshold=1 << 30, use_threads=False)
        try:
            client.create_bucket(Bucket=BUCKET)
            for path in sorted(folder.rglob("*.*")):
                client.upload_file(str(path), BUCKET, str(path.relative_to(folder)), Config=whole)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise Failed(f"The S3 server did not take the data: {error} (its log is {self._log})") from error

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _end(self) -> None:
        self._holder.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"The S3 server ended at its start; its log is {self._log}.")
        try:
            with socket.create_connection((HOST, self.port), 1):
                return True
        except OSError:
            return False

    def _s3proxy(self) -> tuple[list[str], dict[str, str]]:
        self.artefacts.jars(("s3proxy",))
        jars = self.artefacts.jar_folder("s3proxy")
        self.version = next(jars.glob("s3proxy-*.jar")).stem
        buckets = self.folder / "buckets"
        buckets.mkdir(exist_ok=True)
        settings = {
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": ACCESS_KEY,
            "s3proxy.credential": SECRET_KEY,
            "s3proxy.endpoint": self.endpoint,
            "jclouds.provider": "filesystem",
            "jclouds.filesystem.basedir": buckets,
        }
        configuration = self.folder / "s3proxy.properties"
        configuration.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        log = self.folder / "logback.xml"
        log.write_text(QUIET)
        flags = (f"-Xmx{HEAP}", "-XX:+UseSerialGC", f"-Dlogback.configurationFile={log}")
        main = ("org.gaul.s3proxy.Main", "--properties", str(configuration))
        return [str(java()), *flags, "-cp", f"{jars}/*", *main], {}

    def _minio(self) -> tuple[list[str], dict[str, str]]:
        binary = self.artefacts.directory / f"minio-{MINIO_VERSION}" / "minio"
        if not binary.exists():
            self.say("building MinIO, which takes some minutes, this once")
            _build_minio(binary)
        self.version = f"minio {MINIO_VERSION}"
        data = self.folder / "minio"
        address = f"{HOST}:{self.port}"
        environment = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off"}
        return [str(binary), "server", str(data), "--address", address, "--quiet"], environment


def _build_minio(binary: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise Failed("--s3 minio needs Go, but PATH has no go: install it, or leave --s3 out to take s3proxy.")
    binary.parent.mkdir(parents=True, exist_ok=True)
    outcome = subprocess.run(
        [go, "install", f"{MINIO}@{MINIO_VERSION}"],
        capture_output=True,
        text=True,
        env={**os.environ, "GOBIN": str(binary.parent)},
        check=False,
    )
    if outcome.returncode != 0 or not binary.exists():
        raise Failed(f"Go could not build MinIO: {(outcome.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
