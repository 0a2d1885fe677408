"""One jar out of an under-storage's and all that it needs, as an operator makes it (docs/mounts.md)."""

from __future__ import annotations

import zipfile
from pathlib import Path

from framework.artefacts import Artefacts, default_directory


def whole_jar(set_name: str, folder: Path) -> Path:
    """Of two files with one name, Alluxio's own wins."""
    artefacts = Artefacts(default_directory())
    artefacts.jars((set_name,))
    jars = sorted(artefacts.jar_folder(set_name).glob("*.jar"), key=lambda jar: not jar.name.startswith("alluxio-"))
    made = folder / f"{jars[0].stem}-whole.jar"
    with zipfile.ZipFile(made, "w") as whole:
        for jar in jars:
            with zipfile.ZipFile(jar) as part:
                for name in sorted(set(part.namelist()) - set(whole.namelist())):
                    if not name.endswith("/"):
                        whole.writestr(name, part.read(name))
    return made
