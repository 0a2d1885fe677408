"""`python -m framework.artefacts all|jars|bundle|fuse|stubs|executor|lock [--dir FOLDER]`: what the Makefile calls."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from framework.artefacts import ArtefactError, Artefacts, default_directory, maven


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m framework.artefacts", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=[*TARGETS])
    parser.add_argument(
        "--dir", type=Path, default=default_directory(), help="where the results lie (default: %(default)s)"
    )
    chosen = parser.parse_args()
    try:
        print(TARGETS[chosen.what](Artefacts(chosen.dir.absolute(), _progress)))
    except ArtefactError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _progress(what: str, done: int, total: int) -> None:
    """A counter that rewrites its line on a terminal; silent elsewhere, as logs keep every line."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _jars(artefacts: Artefacts) -> str:
    artefacts.jars()
    return "\n".join(f"{artefacts.jar_folder(name)}: {len(maven.listed(name))} jars" for name in maven.SETS)


def _bundle(artefacts: Artefacts) -> str:
    made = artefacts.bundle()
    return f"{made.path}: {made.jars} jars, {made.bytes / 1e6:.1f} MB, SHA-256 {made.sha256}"


def _fuse(artefacts: Artefacts) -> str:
    artefacts.jars(("fuse",))
    return f"{artefacts.jar_folder('fuse')}: {len(maven.listed('fuse'))} jars"


def _stubs(artefacts: Artefacts) -> str:
    return f"{artefacts.stubs()}: gRPC stubs"


def _executor(artefacts: Artefacts) -> str:
    made = artefacts.executor()
    return f"{made}: {made.stat().st_size / 1e3:.0f} kB"


def _lock(_artefacts: Artefacts) -> str:
    names = (*maven.SETS, *maven.EXTRA_SETS)
    return "\n".join(f"{maven.POMS / name}.sha256: {maven.lock(name)} jars" for name in names)


def _all(artefacts: Artefacts) -> str:
    return "\n".join(make(artefacts) for make in (_jars, _bundle, _stubs, _executor))


TARGETS: dict[str, Callable[[Artefacts], str]] = {
    "all": _all,
    "jars": _jars,
    "bundle": _bundle,
    "fuse": _fuse,
    "stubs": _stubs,
    "executor": _executor,
    "lock": _lock,
}

if __name__ == "__main__":
    sys.exit(main())
