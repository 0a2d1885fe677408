"""`make dist`: one folder with all that an installation fetches, ready to be put behind an address.

Law: the same sources, environment and address give the same bytes. The folder is whole when it has its name: it is made
beside that and moved there at the end. Only a checkout can make it, with the development's requirements installed.
"""

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from framework.artefacts import ALLUXIO_VERSION, ArtefactError, Artefacts, default_directory
from framework.artefacts.maven import sha256
from framework.distribution import bill, image, java, scheduler
from framework.packaging import deployment, rendering, universe
from framework.packaging.rendering import ASSETS

VERSION: Final = importlib.metadata.version("alluxio-mesos")
PACKAGE_VERSION: Final = f"{VERSION}-{ALLUXIO_VERSION}"
SUMS: Final = "SHA256SUMS"
BILL: Final = f"alluxio-mesos-{VERSION}.cdx.json"
# Nobody's address (RFC 2606): what is rendered with it shows what a package looks like, and can fetch nothing.
NOWHERE: Final = f"https://assets.example/alluxio-mesos/{VERSION}"
# The options of the example of an app for plain Marathon.
EXAMPLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "mesos": {"mesos": "zk://zk1:2181,zk2:2181,zk3:2181/mesos"},
    "state": {"zookeeper": "zk1:2181,zk2:2181,zk3:2181"},
    "alluxio": {"under-storage": "hdfs://namenode:8020/"},
    "api": {"api-token-secret": "alluxio/api-token"},
}

Tell = Callable[[str], None]
"""Called with one line for each thing that was made, or that is left out and why."""


@dataclass(frozen=True)
class Order:
    """The folder to fill, the address at which it will lie, and the package's place in its repository."""

    out: Path
    address: str = NOWHERE
    release: int = 0


def build(order: Order, tell: Tell) -> None:
    """Fill the folder; what an earlier call left there is replaced as a whole.

    Raises:
        ArtefactError: something is missing or went wrong, or the folder holds what is not of this making. The folder is
        as it was.
    """
    if order.out.exists() and any(order.out.iterdir()) and not (order.out / SUMS).is_file():
        raise ArtefactError(
            f"{order.out} holds files that `make dist` did not make; remove them, or choose another folder with --out."
        )
    order.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=order.out.parent, prefix=".making-") as scratch:
        made = Path(scratch) / "dist"
        made.mkdir()
        _fill(made, order, tell)
        made.chmod(0o755)
        if order.out.exists():
            order.out.rename(Path(scratch) / "outdated")
        made.rename(order.out)


def _fill(made: Path, order: Order, tell: Tell) -> None:
    artefacts = Artefacts(default_directory())

    def put(name: str, source: Path) -> None:
        shutil.copyfile(source, made / name)
        tell(f"{name}: {source.stat().st_size / 1e6:.1f} MB")

    wheels = scheduler.Wheels.of(artefacts)
    wheels.pack(made / ASSETS["scheduler"])
    tell(f"{ASSETS['scheduler']}: {(made / ASSETS['scheduler']).stat().st_size / 1e6:.1f} MB")
    put(ASSETS["executor"], artefacts.executor())
    put(ASSETS["alluxio"], artefacts.bundle().path)
    runtime = java.runtime(made / ASSETS["java"])
    tell(runtime if isinstance(runtime, str) else f"{ASSETS['java']}: {runtime.bytes / 1e6:.1f} MB")
    found = None if isinstance(runtime, str) else runtime
    assets = {name: file for name, file in ASSETS.items() if name != "java" or found}
    texts = {
        **_packages(order, assets),
        BILL: bill.document(VERSION, wheels.pins, found).encode(),
        **{name: text.encode() for name, text in image.files(ASSETS["scheduler"]).items()},
    }
    for name, content in texts.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
        tell(name)
    for path in made.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".pyz" else 0o644)
    (made / SUMS).write_text("".join(_sums(made)), encoding="ascii")
    (made / SUMS).chmod(0o644)
    tell(SUMS)


def _packages(order: Order, assets: Mapping[str, str]) -> dict[str, bytes]:
    """The DC/OS package with its icons beside the assets, and the example for plain Marathon."""
    files = universe.files(PACKAGE_VERSION, order.release, order.address, assets)
    read = deployment.read(EXAMPLE, assets)
    if isinstance(read, list):
        raise ArtefactError(f"The example for Marathon is refused: {read[0]}")
    return {
        **{path.removeprefix("assets/"): content for path, content in files.items()},
        "marathon-options.json": (json.dumps(EXAMPLE, indent=2) + "\n").encode(),
        "marathon.json": rendering.plain_app(read, order.address, assets=assets).encode(),
    }


def _sums(folder: Path) -> Iterator[str]:
    """One line for each file, in the order of the names, in sha256sum's format."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n"
