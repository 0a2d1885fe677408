"""Spark from outside: its configuration, and the sessions, each a process that is asked, and killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from framework.clients import java_property
from framework.demo.plan import CORES
from framework.demo.store import ACCESS_KEY, SECRET_KEY
from framework.demo.trouble import Failed
from framework.local.processes import undisturbed

DRIVER_MEMORY: Final = "1g"
END_SECONDS: Final = 30.0
LOGGING: Final = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
"""


def configuration(guide: str, jars: Path, endpoint: str, host: str, folder: Path) -> str:
    """spark-defaults.conf: the service's own guide word for word, and after it what this machine adds. Of a key that
    stands twice the later one counts. ``host`` is where Spark runs: agents have names, while here all are one machine.
    """
    classes = ":".join(str(jar) for jar in sorted(jars.glob("*.jar")))
    own = {
        "spark.driver.extraClassPath": classes,
        "spark.executor.extraClassPath": classes,
        "spark.master": f"local[{CORES}]",
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "scratch"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": str(2 * CORES),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.access.key": ACCESS_KEY,
        "spark.hadoop.fs.s3a.secret.key": SECRET_KEY,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.alluxio.user.hostname": host,
    }
    return f"{guide}\n" + "".join(f"{java_property(key, value, ' ')}\n" for key, value in own.items())


class Session:
    """A Spark driver in a process of its own, with the configuration in ``conf``; its log is ``log``. Entered it
    answers; left it has ended.
    """

    def __init__(self, conf: Path, log: Path) -> None:
        self._conf = conf
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.version = ""

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Returns once it answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
        try:
            with undisturbed(), self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "framework.demo.session"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    cwd=Path(__file__).resolve().parent.parent.parent,
                    env={**environment, "SPARK_CONF_DIR": str(self._conf), "PYSPARK_PYTHON": sys.executable},
                    start_new_session=True,  # so that it is killed as a whole: Python and its JVM
                )
            self.version = self._answer()["ready"]
        except BaseException:  # Ctrl-C too: what is not entered is not left
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It ends by itself, and in no more than END_SECONDS."""
        if self._process is not None and self._process.stdin is not None and kind is None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._process.stdin.close()
                self._process.wait(END_SECONDS)
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9, in the middle of whatever it does."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def ask(self, **question: Any) -> Mapping[str, Any]:
        """The answer, once the job is done.

        Raises:
            Failed: Spark could not do it, or ended.
        """
        self.say(**question)
        while "step" in (answer := self._answer()):
            pass
        return answer

    def until(self, step: int, **question: Any) -> None:
        """Let it begin, and return in the middle: after this step."""
        self.say(**question)
        while self._answer().get("step") != step:
            pass

    def say(self, **question: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then the answer says that it ended
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()

    def _answer(self) -> Mapping[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"Spark ended with {self._process.wait()}; its log is {self._log}.")
        answer: Mapping[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(f"Spark says: {answer['error']} (its log is {self._log})")
        return answer
