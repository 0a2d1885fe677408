"""A small Java runtime for agents that have none, cut out of the machine's own JDK by jlink."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framework.artefacts import ArtefactError, maven
from framework.artefacts.bundle import Member, write_archive

# The archive's only folder. The executor looks for */bin/java in its sandbox, and takes alluxio-*/lib for Alluxio's.
FOLDER: Final = f"java-{maven.JAVA_VERSION}"
# What jdeps finds in the bundle's jars, without what only debuggers need; and what is looked for by name alone:
# elliptic curves for TLS, the login by the system's user, Kerberos, names out of DNS.
MODULES: Final = (
    "java.base",
    "java.compiler",
    "java.desktop",
    "java.instrument",
    "java.logging",
    "java.management",
    "java.naming",
    "java.rmi",
    "java.scripting",
    "java.security.jgss",
    "java.security.sasl",
    "java.sql",
    "java.xml",
    "jdk.crypto.ec",
    "jdk.management",
    "jdk.naming.dns",
    "jdk.security.auth",
    "jdk.security.jgss",
    "jdk.unsupported",
)
COMPRESSION: Final = 6
ADVICE: Final = "install a whole JDK (Debian: apt install openjdk-17-jdk-headless) and let JAVA_HOME name its folder"


@dataclass(frozen=True)
class Runtime:
    """The archive's length, and which Java it is: "17.0.16" of "Debian"."""

    bytes: int
    version: str
    vendor: str


def runtime(target: Path) -> Runtime | str:
    """Write the archive, or say why there is none.

    Raises:
        ArtefactError: Java 17 is missing, or jlink failed.
    """
    home = maven.java().resolve().parent.parent
    jlink, modules = home / "bin" / "jlink", home / "jmods"
    if not (jlink.is_file() and modules.is_dir()):
        return f"{target.name} is left out: {home} has no jlink or no jmods; {ADVICE}."
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / FOLDER
        command = [str(jlink), "--module-path", str(modules), "--add-modules", ",".join(MODULES)]
        layout = ["--no-header-files", "--no-man-pages", "--compress=2", "--output", str(made)]
        outcome = subprocess.run([*command, *layout], capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            said = (outcome.stdout + outcome.stderr).strip().splitlines() or ["it said nothing"]
            raise ArtefactError(f"{jlink} failed ({outcome.returncode}): {said[-1]}")
        write_archive(target, _members(made), COMPRESSION)
        release = (made / "release").read_text(encoding="utf-8")
    return Runtime(target.stat().st_size, _field(release, "JAVA_VERSION"), _field(release, "IMPLEMENTOR"))


def _members(folder: Path) -> Iterator[Member]:
    yield Member(FOLDER)
    for path in sorted(folder.rglob("*")):
        name = f"{FOLDER}/{path.relative_to(folder).as_posix()}"
        if path.is_symlink():
            yield Member(name, link=str(path.readlink()))
        elif path.is_dir():
            yield Member(name)
        else:
            yield Member(name, path, executable=bool(path.stat().st_mode & 0o100))


def _field(release: str, name: str) -> str:
    found = re.search(rf'^{name}="([^"]*)"', release, re.MULTILINE)
    return found[1] if found else "unknown"
