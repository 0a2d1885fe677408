"""What must be built or fetched before a cluster can start: jars, bundle, executor, gRPC stubs.

`python -m framework.artefacts` and `alluxio-mesos local up` both come here. Each function makes its result once and
returns at once when it is there already: work happens in a scratch folder that is renamed at the end, so what has the
right name is whole. Standard library and Maven only; nothing is printed: callers hand a progress callback in.
"""

import errno
import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from framework.artefacts import bundle as bundles
from framework.artefacts import maven, stubs
from framework.artefacts.bundle import ALLUXIO_VERSION, Bundle
from framework.artefacts.maven import ArtefactError, Progress

__all__ = ["ALLUXIO_VERSION", "ArtefactError", "Artefacts", "Bundle", "Progress", "default_directory"]

# The jars (168 MB), the bundle (146 MB), and Maven's own copy of the jars.
DISK_NEEDED = 500_000_000


def silent(_what: str, _done: int, _total: int) -> None:
    """The progress callback of those who do not watch."""


def default_directory() -> Path:
    """`build/` in a checkout, else `$XDG_CACHE_HOME/alluxio-mesos/<version>`."""
    root = Path(__file__).resolve().parent.parent.parent
    if (root / "setup.cfg").is_file():
        return root / "build"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "alluxio-mesos" / importlib.metadata.version("alluxio-mesos")


@dataclass(frozen=True)
class Artefacts:
    """The results under one folder. Each method returns when its result is there, or raises ArtefactError."""

    directory: Path
    progress: Progress = silent

    @property
    def bundle_path(self) -> Path:
        return self.directory / bundles.NAME

    @property
    def executor_path(self) -> Path:
        return self.directory / "alluxio-mesos-executor.pyz"

    def jar_folder(self, set_name: str) -> Path:
        """The folder of one set's jars: "alluxio", "zookeeper" or "s3proxy"."""
        return self.directory / "jars" / set_name

    def jars(self, set_names: Sequence[str] = maven.SETS) -> None:
        """Fetch these sets by Maven; needs Java 17, mvn and the network only when a set is missing or outdated."""
        for set_name in set_names:
            self._jars(set_name)

    def bundle(self) -> Bundle:
        """Pack the Alluxio jars."""
        self._jars("alluxio")
        checksum = bundles.checksum_file(self.bundle_path)
        made_of = self.directory / "bundle.stamp"
        wanted = maven.stamp("alluxio")
        with self._working():
            if not (_text(made_of) == wanted and self.bundle_path.is_file() and checksum.is_file()):
                made_of.unlink(missing_ok=True)
                with self._scratch() as scratch:
                    made = scratch / bundles.NAME
                    bundles.pack(self.jar_folder("alluxio"), made, self.progress)
                    bundles.checksum_file(made).replace(checksum)
                    made.replace(self.bundle_path)
                made_of.write_text(wanted, encoding="ascii")
        jars = len(maven.listed("alluxio"))
        return Bundle(
            self.bundle_path, checksum.read_text(encoding="ascii").split()[0], jars, self.bundle_path.stat().st_size
        )

    def executor(self) -> Path:
        """Build the executor's zipapp; always, as it takes a moment only and its sources change during development."""
        with self._working(), self._scratch() as scratch:
            made = scratch / self.executor_path.name
            command = [sys.executable, "-m", "executor.build", str(made)]
            sources = Path(__file__).resolve().parent.parent.parent
            outcome = subprocess.run(command, capture_output=True, text=True, cwd=sources, check=False)
            if outcome.returncode != 0:
                reason = (outcome.stderr.strip() or "no reason given").splitlines()[-1]
                raise ArtefactError(f"The executor's zipapp could not be built: {reason}")
            made.replace(self.executor_path)
        return self.executor_path

    def stubs(self) -> Path:
        """Generate the gRPC stubs from the protocol files that Alluxio's own jar carries."""
        return stubs.generate(self.jar_folder("alluxio"))

    def _jars(self, set_name: str) -> None:
        if self._whole(set_name):
            return
        with self._working():
            if self._whole(set_name):
                return  # Another process fetched them while this one waited for the lock.
            self._need_disk()
            with self._scratch() as scratch:
                made = scratch / set_name
                made.mkdir()
                maven.fetch_set(set_name, made, self.progress)
                (made / ".stamp").write_text(maven.stamp(set_name), encoding="ascii")
                target = self.jar_folder(set_name)
                target.parent.mkdir(exist_ok=True)
                if target.exists():
                    target.replace(scratch / "outdated")
                made.replace(target)

    def _whole(self, set_name: str) -> bool:
        folder = self.jar_folder(set_name)
        return _text(folder / ".stamp") == maven.stamp(set_name) and all(
            (folder / jar.name).is_file() for jar in maven.listed(set_name)
        )

    def _need_disk(self) -> None:
        free = shutil.disk_usage(self.directory).free
        if free < DISK_NEEDED:
            raise ArtefactError(
                f"{self.directory} has {free // 1_000_000} MB free where fetching the jars needs "
                f"{DISK_NEEDED // 1_000_000} MB: free some, or choose another folder."
            )

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One process at a time works in the folder; the file system's troubles become one sentence."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            advice = "free some space" if error.errno == errno.ENOSPC else "mend that or choose another folder"
            raise ArtefactError(f"{error.filename or self.directory}: {error.strerror}; {advice}.") from error

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder on the same file system, so that a result moves to its name in one step."""
        with tempfile.TemporaryDirectory(dir=self.directory, prefix=".making-") as scratch:
            yield Path(scratch)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="ascii") if path.is_file() else None
