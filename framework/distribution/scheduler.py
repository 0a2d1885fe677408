"""The scheduler as one file: its own wheel and those of all that it needs, for each Python that it runs on, packed by
PEX. Here pip and PEX are started, and nowhere else.

What goes in is what is installed where this runs, in these versions: what was tested is what is shipped.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from framework.artefacts import ArtefactError, Artefacts
from framework.artefacts.bundle import EPOCH

DISTRIBUTION: Final = "alluxio-mesos"
PYTHONS: Final = ("3.11", "3.12", "3.13")
# glibc 2.17 and newer: every Linux on which such a Python runs. Alluxio's own native code is for x86-64 only too.
PLATFORM: Final = "manylinux2014_x86_64"
ROOT: Final = Path(__file__).resolve().parent.parent.parent
# What our own wheels are made of, by the folder that pip is given.
SOURCES: Final = {
    ".": ("framework", "executor", "localmesos", "setup.cfg", "setup.py", "pyproject.toml", "README.md"),
    "http-parser": ("http_parser", "setup.cfg", "pyproject.toml", "README.md"),
}
OWN: Final = frozenset({DISTRIBUTION, "http-parser"})
# Published as sources only; the wheel made of them fits every Python.
SOURCE_ONLY: Final = frozenset({"pymesos"})


@dataclass(frozen=True)
class Wheels:
    """The wheels of others, in ``folder``; ``pins`` are the versions by name, our own included."""

    folder: Path
    pins: Mapping[str, str]

    @classmethod
    def of(cls, artefacts: Artefacts) -> "Wheels":
        """Fetch what is installed here as wheels, once for the same versions.

        Raises:
            ArtefactError: this is no checkout, or pip failed.
        """
        if not (ROOT / "setup.cfg").is_file():
            raise ArtefactError("The artefacts are made in a checkout of the sources only: run `make dist` there.")
        artefacts.stubs()
        wheels = cls(artefacts.directory / "wheels", pins())
        wheels._fetch()
        return wheels

    def _fetch(self) -> None:
        wanted = [f"{name}=={version}" for name, version in self.pins.items() if name not in OWN]
        stamp = self.folder / "stamp.txt"
        text = "\n".join([PLATFORM, *PYTHONS, *wanted])
        if stamp.is_file() and stamp.read_text(encoding="ascii") == text:
            return
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".making-") as scratch:
            made = Path(scratch) / "wheels"
            to_build = [pin for pin in wanted if pin.partition("==")[0] in SOURCE_ONLY]
            _pip("wheel", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(made), *to_build)
            for python in PYTHONS:
                where = ["--python-version", python, "--platform", PLATFORM, "--only-binary", ":all:"]
                _pip("download", *where, "--find-links", str(made), "--dest", str(made), *wanted)
            (made / "stamp.txt").write_text(text, encoding="ascii")
            shutil.rmtree(self.folder, ignore_errors=True)
            made.rename(self.folder)

    def pack(self, target: Path) -> None:
        """Write the one file."""
        with tempfile.TemporaryDirectory() as scratch:
            wheels = Path(scratch) / "wheels"
            shutil.copytree(self.folder, wheels, ignore=shutil.ignore_patterns("stamp.txt"))
            for folder, names in SOURCES.items():
                sources = Path(scratch) / "sources" / folder
                _copy(ROOT / folder, sources, names)
                _pip("wheel", "--no-build-isolation", "--wheel-dir", str(wheels), str(sources))
            platforms = (f"{PLATFORM}-cp-{python}.0-cp{python.replace('.', '')}" for python in PYTHONS)
            _run(
                "pex",
                DISTRIBUTION,
                *("--pre-resolved-dists", str(wheels), "--pex-root", f"{scratch}/pex", "--output-file", str(target)),
                # A virtual environment of its own when it runs: what it starts with its own Python finds the same.
                *("--console-script", DISTRIBUTION, "--venv", "--no-compile"),
                *("--python-shebang", "/usr/bin/env python3"),
                *(argument for platform in platforms for argument in ("--platform", platform)),
            )


def pins() -> dict[str, str]:
    """The installed versions of the scheduler and of all that it needs on any of the Pythons, by normalized name."""
    found: dict[str, str] = {}
    to_see = [DISTRIBUTION]
    while to_see:
        name = to_see.pop()
        if (normalized := re.sub(r"[-_.]+", "-", name).lower()) in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise ArtefactError(
                f"{name} is not installed in {sys.prefix}, but the scheduler needs it on one of Python "
                f"{', '.join(PYTHONS)}: run `make dist` with Python {PYTHONS[0]}."
            ) from None
        found[normalized] = distribution.version
        to_see += [need.name for need in map(Requirement, distribution.requires or ()) if _applies(need)]
    return dict(sorted(found.items()))


def _applies(need: Requirement) -> bool:
    return need.marker is None or any(
        need.marker.evaluate({"python_version": python, "python_full_version": f"{python}.0", "extra": ""})
        for python in PYTHONS
    )


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    """Without what others left in the folders, and with the same modes everywhere: a wheel keeps them."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source / name, target / name)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _pip(command: str, *arguments: str) -> None:
    _run("pip", command, "--quiet", "--disable-pip-version-check", "--no-deps", *arguments)


def _run(module: str, *arguments: str) -> None:
    """One of Python's tools, with nothing in its surroundings that another machine or day would have differently."""
    command: Sequence[str] = (sys.executable, "-m", module, *arguments)
    surroundings = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "PYTHONDONTWRITEBYTECODE": "1", "TZ": "UTC"}
    outcome = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=surroundings, umask=0o022, check=False
    )
    if outcome.returncode != 0:
        if f"No module named {module}" in outcome.stderr:
            raise ArtefactError(f"The scheduler's file is made with {module}: pip install {module}.")
        said = [line for line in outcome.stderr.splitlines() if line.strip()] or ["it said nothing"]
        errors = [line for line in said if line.startswith("ERROR")] or said[-3:]
        raise ArtefactError(f"{module} failed ({outcome.returncode}): {' '.join(errors[:3])}")
