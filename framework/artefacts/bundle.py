"""The Alluxio bundle: one reproducible tar.gz of the jars, with its checksum beside it.

The same jars give the same bytes on every machine: sorted names, one time stamp, one owner. What must not live here:
configuration; the executor writes that where the processes run.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator
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

    def members() -> Iterator[Member]:
        yield Member(root)
        yield Member(f"{root}/lib")
        for done, name in enumerate(names):
            progress("bundle", done, len(names))
            yield Member(f"{root}/lib/{name}", jars / name)

    write_archive(target, members(), COMPRESSION)
    progress("bundle", len(names), len(names))
    digest = sha256(target)
    checksum_file(target).write_text(f"{digest}  {NAME}\n", encoding="ascii")
    return Bundle(target, digest, len(names), target.stat().st_size)


@dataclass(frozen=True)
class Member:
    """What an archive holds under `name`: a file's bytes, a folder where there is no `source`, or a link."""

    name: str
    source: Path | None = None
    executable: bool = False
    link: str = ""


def write_archive(target: Path, members: Iterable[Member], compression: int) -> None:
    """A tar.gz of the members in their order: the same members give the same bytes."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compression, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.mtime, info.mode = EPOCH, 0o644
            if member.link:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, member.link, 0o777
                archive.addfile(info)
            elif member.source is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            else:
                content = member.source.read_bytes()
                info.size, info.mode = len(content), 0o755 if member.executable else 0o644
                archive.addfile(info, io.BytesIO(content))
