"""The bill of materials (SBOM), as CycloneDX 1.5 has it: what the artefacts are made of, as it is installed and listed.

It bears neither time nor chance, so that the same materials give the same bytes.
"""

import importlib.metadata
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from framework.artefacts import maven
from framework.distribution.java import Runtime
from framework.distribution.scheduler import OWN

_SPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122, names that are URLs
_URL: Final = "https://cyclonedx.org/bom/alluxio-mesos"


def document(version: str, pins: Mapping[str, str], runtime: Runtime | None) -> str:
    """JSON; ``pins`` are the Python distributions in the scheduler's file, by normalized name."""
    own = {"type": "application", "name": "alluxio-mesos", "version": version}
    own["bom-ref"] = own["purl"] = _purl("alluxio-mesos", version)
    components = [
        *(_distribution(name, pinned) for name, pinned in pins.items() if name != "alluxio-mesos"),
        _distribution("pex", importlib.metadata.version("pex")),  # its boot code is in the scheduler's file
        *(_jar(jar) for jar in sorted(maven.listed("alluxio"), key=lambda jar: jar.path)),
        *([_runtime(runtime)] if runtime else []),
    ]
    bom: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
    }
    content = json.dumps(bom, sort_keys=True)
    return json.dumps({**bom, "serialNumber": uuid.uuid5(_SPACE, f"{_URL}#{content}").urn}, indent=2) + "\n"


def _purl(name: str, version: str) -> str:
    """What is made of these sources is not the package that the index has under that name."""
    return f"pkg:{'generic' if name in OWN else 'pypi'}/{name}@{version}"


def _distribution(name: str, version: str) -> dict[str, Any]:
    purl = _purl(name, version)
    licenses = [{"license": {"name": license_name}} for license_name in _licenses(name)]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        **({"licenses": licenses} if licenses else {}),
    }


def _licenses(name: str) -> Iterator[str]:
    """As its metadata says it: one expression, else the classifiers, else one short line."""
    metadata = importlib.metadata.metadata(name)
    if expression := metadata.get_all("License-Expression"):
        yield from expression
        return
    classifiers = [
        text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier") or () if text.startswith("License :: ")
    ]
    yield from classifiers or (text for text in metadata.get_all("License") or () if text and "\n" not in text)


def _jar(jar: maven.Jar) -> dict[str, Any]:
    """Its place in a Maven repository is group, artifact and version; a file with a classifier says so at its end."""
    *group, artifact, version, file = jar.path.split("/")
    classifier = file.removeprefix(f"{artifact}-{version}").removesuffix(".jar").removeprefix("-")
    qualifiers = f"type=jar&classifier={classifier}" if classifier else "type=jar"
    name = f"pkg:maven/{'.'.join(group)}/{artifact}@{version}?{qualifiers}"
    return {
        "type": "library",
        "bom-ref": name,
        "group": ".".join(group),
        "name": artifact,
        "version": version,
        "purl": name,
        "hashes": [{"alg": "SHA-256", "content": jar.sha256}],
    }


def _runtime(runtime: Runtime) -> dict[str, Any]:
    return {
        "type": "platform",
        "bom-ref": f"java@{runtime.version}",
        "name": "OpenJDK",
        "version": runtime.version,
        "supplier": {"name": runtime.vendor},
        "licenses": [{"license": {"name": "GPL-2.0-only WITH Classpath-exception-2.0"}}],
    }
