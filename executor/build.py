"""Builds the zipapp: `python -m executor.build OUT.pyz` packs this package and what it imports into one executable
file.

The packages are taken from the environment that runs the builder. Only .py files travel, so any Python >= 3.8 can run
the result; the same files give the same bytes (sorted names, fixed times). This module itself stays behind.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import pathlib
import sys
import zipfile
from typing import Iterator

# Package or module, and the distribution whose license travels with it.
CARRIED = (("pymesos", "pymesos"), ("http_parser", "http-parser"), ("h11", "h11"), ("addict", "addict"), ("six", "six"))
LEFT_BEHIND = ("executor/build.py", "pymesos/zkpython.py", "pymesos/detector.py", "pymesos/subprocess/")
SHEBANG = b"#!/usr/bin/env python3\n"
# The first time that a zip file can hold.
_TIME = (1980, 1, 1, 0, 0, 0)

MAIN = """\
import sys

if sys.version_info < (3, 8):
    sys.exit("The Alluxio executor needs Python 3.8 or later as python3; this is %s." % sys.version.split()[0])

# http.client asks for ssl, which costs 4 MiB, and does without when there is none; an agent's executor API is plain
# HTTP.
sys.modules["ssl"] = None

from executor.__main__ import main

sys.exit(main())
"""


class BuildError(Exception):
    """Why no zipapp can be built, in one sentence."""


def build() -> bytes:
    """The zipapp's bytes. Raises BuildError."""
    entries = dict(sources("executor"))
    for package, distribution in CARRIED:
        entries.update(sources(package))
        entries.update(_licenses(distribution))
    entries = {name: content for name, content in entries.items() if not name.startswith(LEFT_BEHIND)}
    entries["__main__.py"] = MAIN.encode("ascii")
    buffer = io.BytesIO(SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, entries[name])
    return buffer.getvalue()


def sources(package: str) -> Iterator[tuple[str, bytes]]:
    """The package's .py files under their names in the archive."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise BuildError(f"The package {package} is not installed in {sys.prefix}; run `make setup`.")
    origin = pathlib.Path(spec.origin)
    if origin.name != "__init__.py":  # a module; six, once imported, calls itself a package
        yield origin.name, origin.read_bytes()
        return
    for path in sorted(origin.parent.rglob("*")):
        if path.suffix in (".so", ".pyd"):
            raise BuildError(f"{path} is compiled code; the executor carries pure Python only.")
        if path.suffix == ".py":
            yield path.relative_to(origin.parent.parent).as_posix(), path.read_bytes()


def _licenses(distribution: str) -> Iterator[tuple[str, bytes]]:
    for path in importlib.metadata.files(distribution) or []:
        if path.name.upper().startswith(("LICENSE", "COPYING")):
            yield f"licenses/{distribution}/{path.name}", pathlib.Path(str(path.locate())).read_bytes()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("Usage: python -m executor.build OUT.pyz", file=sys.stderr)
        return 2
    target = pathlib.Path(arguments[0])
    try:
        content = build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    temporary.replace(target)
    print(f"{target}: {len(content) // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
