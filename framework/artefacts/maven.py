"""Maven and Java: find them, run one goal, verify what it brought.

Here lives the only place that starts Maven. Jars are pinned twice: by version in `framework/jars/*.xml`, by SHA-256 in
the list beside each pom. What must not live here: what the jars are for.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

POMS = Path(__file__).resolve().parent.parent / "jars"
JAVA_VERSION = 17
SETS = ("alluxio", "zookeeper")
# What no cluster needs: tests, the demo and clients ask for it.
EXTRA_SETS = ("s3proxy", "spark", "fuse", "hdfs", "obs")

Progress = Callable[[str, int, int], None]
"""Called as (what, done, total), for instance ("jars", 120, 166); from the thread that called, a few times a second."""


class ArtefactError(Exception):
    """One sentence that says what is missing or went wrong and what to do about it."""


@dataclass(frozen=True)
class Jar:
    """One line of a list: where the jar lies in a Maven repository, and its SHA-256."""

    sha256: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def pom(set_name: str) -> Path:
    return POMS / f"{set_name}.xml"


def listed(set_name: str) -> tuple[Jar, ...]:
    """The jars that a set consists of, in the order of their names."""
    lines = (POMS / f"{set_name}.sha256").read_text(encoding="ascii").splitlines()
    return tuple(Jar(*line.split()) for line in lines)


def stamp(set_name: str) -> str:
    """A hash that changes whenever the set's pom or its list does."""
    return hashlib.sha256(pom(set_name).read_bytes() + (POMS / f"{set_name}.sha256").read_bytes()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def java(environment: Mapping[str, str] = os.environ) -> Path:
    """The `java` of JAVA_HOME, or else of PATH, as an absolute path; ArtefactError unless it is a Java 17."""
    home = environment.get("JAVA_HOME")
    origin = f"JAVA_HOME={home}" if home else "PATH"
    found = shutil.which("java", path=f"{home}/bin" if home else environment.get("PATH"))
    if found is None:
        raise ArtefactError(f"Java {JAVA_VERSION} is needed, but {origin} has no java: {_java_advice()}.")
    outcome = subprocess.run([found, "-version"], capture_output=True, text=True, errors="replace", check=False)
    version = re.search(r'version "(?:1\.)?(\d+)[^"]*"', outcome.stderr)
    if version is None:
        raise ArtefactError(
            f"Java {JAVA_VERSION} is needed, but {found} ({origin}) does not tell its version: {_java_advice()}."
        )
    if int(version[1]) != JAVA_VERSION:
        raise ArtefactError(
            f"Java {JAVA_VERSION} is needed, but {found} ({origin}) is Java {version[1]}: {_java_advice()}."
        )
    return Path(found).absolute()


def _java_advice() -> str:
    """What to do about a missing Java: name an installed one if there is any."""
    installed = sorted(Path("/usr/lib/jvm").glob(f"*{JAVA_VERSION}*/bin/java"))
    if installed:
        return f"set JAVA_HOME={installed[0].parent.parent}"
    return f"install it (Debian: apt-get install openjdk-{JAVA_VERSION}-jre-headless) and let JAVA_HOME name its folder"


def maven(environment: Mapping[str, str] = os.environ) -> Path:
    """The `mvn` of PATH; ArtefactError when there is none."""
    found = shutil.which("mvn", path=environment.get("PATH"))
    if found is None:
        raise ArtefactError(
            "Maven is needed to fetch Alluxio's jars, but PATH has no mvn: install it (Debian: apt-get install maven)."
        )
    return Path(found)


def fetch_set(set_name: str, folder: Path, progress: Progress) -> None:
    """Copy every jar of the set into `folder` (which must exist) and compare each with the list."""
    jars = listed(set_name)
    repository = (
        Path.home() / ".m2" / "repository"
    )  # Only for the progress: a repository elsewhere just jumps at the end.

    def report() -> None:
        done = sum((folder / jar.name).exists() or (repository / jar.path).exists() for jar in jars)
        progress(f"{set_name} jars", done, len(jars))

    _run(
        pom(set_name), ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"], report
    )
    report()
    verify(jars, folder)


def fetch_jar(name: str, folder: Path) -> Path:
    """Copy one jar of the Alluxio set, for instance "alluxio-core-transport-2.9.6.jar", into `folder`."""
    jar = next(jar for jar in listed("alluxio") if jar.name == name)
    *group, artifact, version, _ = jar.path.split("/")
    coordinates = f"{'.'.join(group)}:{artifact}:{version}"
    _run(pom("alluxio"), ["dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}"], lambda: None)
    verify((jar,), folder)
    return folder / name


def verify(jars: tuple[Jar, ...], folder: Path) -> None:
    """ArtefactError unless `folder` holds exactly these jars' bytes."""
    for jar in jars:
        if not (folder / jar.name).is_file():
            raise ArtefactError(f"Maven ended well but did not bring {jar.name}: the pom and its list disagree.")
        if (actual := sha256(folder / jar.name)) != jar.sha256:
            raise ArtefactError(
                f"{jar.name} has SHA-256 {actual} where {jar.sha256} is expected: "
                f"remove {Path(jar.path).parent} from Maven's local repository and try again, or ask who changed it."
            )
    if strangers := {path.name for path in folder.glob("*.jar")} - {jar.name for jar in jars}:
        names = ", ".join(sorted(strangers))
        raise ArtefactError(f"Maven brought jars that the list does not name ({names}): the pom and its list disagree.")


def lock(set_name: str) -> int:
    """Rewrite the set's list from what Maven brings for its pom, for whoever changes the pom; the number of jars."""
    with tempfile.TemporaryDirectory() as scratch:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={scratch}"]
        _run(pom(set_name), [*goal, "-Dmdep.useRepositoryLayout=true"], lambda: None)
        jars = sorted(Path(scratch).rglob("*.jar"), key=lambda path: path.name)
        lines = [f"{sha256(path)}  {path.relative_to(scratch)}\n" for path in jars]
    (POMS / f"{set_name}.sha256").write_text("".join(lines), encoding="ascii")
    return len(lines)


def _run(pom_file: Path, goal: list[str], report: Callable[[], None]) -> None:
    """One Maven run with strict checksums, `report` called while it lasts; its last lines become the error."""
    command = [str(maven()), "-q", "-B", "-ntp", "-C", "-Dstyle.color=never", "-f", str(pom_file), *goal]
    java_home = java().resolve().parent.parent
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"JAVA_HOME": str(java_home)},
        )
        try:
            while process.poll() is None:
                report()
                time.sleep(0.1)
        finally:
            process.terminate()
            process.wait()
        if process.returncode != 0:
            output.seek(0)
            said = [line.strip() for line in output if line.strip()]
            errors = [line for line in said if line.startswith("[ERROR]")] or said[-5:]
            raise ArtefactError(
                f"Maven failed ({shutil.which('mvn')} ended with {process.returncode}): {' '.join(errors[:3])}"
            )
