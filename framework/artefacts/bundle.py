"""The Alluxio bundle: one reproducible tar.gz of the jars, with its checksum beside it.

The same jars give the same bytes on every machine: sorted names, one time stamp, one owner. What must not live here:
configuration; the executor writes that where the processes run.
"""

import gzip
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from framework.artefacts.maven import Progress, sha256

ALLUXIO_VERSION = "2.9.6"
NAME = f"alluxio-{ALLUXIO_VERSION}.tar.gz"
# Jars are compressed already: level 1 makes the bundle 9 % smaller than storing them, level 6 another 0.5 %.
COMPRESSION = 1
# The one time stamp of every member: 1980-01-01, the earliest that zip tools accept too.
EPOCH = 315532800


@dataclass(frozen=True)
class Bundle:
    """A finished bundle: where it lies, its SHA-256, how many jars it holds and how long it is."""

    path: Path
    sha256: str
    jars: int
    bytes: int


def checksum_file(path: Path) -> Path:
    """Where the checksum of a file stands, in sha256sum's format."""
    return path.with_name(path.name + ".sha256")


def pack(jars: Path, target: Path, progress: Progress) -> Bundle:
    """Write `target` and its checksum from the *.jar of the folder `jars`; root folder alluxio-2.9.6/lib."""
    names = sorted(path.name for path in jars.glob("*.jar"))
    root = f"alluxio-{ALLUXIO_VERSION}"
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for folder in (root, f"{root}/lib"):
            archive.addfile(_member(folder, tarfile.DIRTYPE, 0o755, 0))
        for done, name in enumerate(names):
            progress("bundle", done, len(names))
            content = (jars / name).read_bytes()
            archive.addfile(_member(f"{root}/lib/{name}", tarfile.REGTYPE, 0o644, len(content)), io.BytesIO(content))
    progress("bundle", len(names), len(names))
    digest = sha256(target)
    checksum_file(target).write_text(f"{digest}  {NAME}\n", encoding="ascii")
    return Bundle(target, digest, len(names), target.stat().st_size)


def _member(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.mtime = kind, mode, size, EPOCH
    return member
