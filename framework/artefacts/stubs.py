"""The gRPC stubs: generated from the .proto files that Alluxio's own jar carries, so nothing of them is copied here.

Made are one descriptor set and, for each .proto file, a module that loads its part with a .pyi that types it. One
descriptor set serves every protobuf release, whereas protoc's own Python code refuses any runtime older than itself.
Also run by setup.py: it may import only the standard library and `framework.artefacts`, and start grpcio-tools.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from framework.artefacts import maven
from framework.artefacts.bundle import ALLUXIO_VERSION
from framework.artefacts.maven import ArtefactError

TARGET = Path(__file__).resolve().parent.parent / "alluxio" / "stubs"
JAR = f"alluxio-core-transport-{ALLUXIO_VERSION}.jar"
# What the client speaks; imports are followed.
WANTED = (
    "grpc/block_master.proto",
    "grpc/block_worker.proto",
    "grpc/file_system_master.proto",
    "grpc/journal_master.proto",
    "grpc/meta_master.proto",
    "grpc/sasl_server.proto",
    "grpc/version.proto",
)
PACKAGE = "framework/alluxio/stubs"
# An enum of Alluxio has a value called None, which no Python source can declare.
KEYWORD = re.compile(r"^ *(?:None|True|False): .*\n", re.MULTILINE)
IMPORT = re.compile(r'^import "((?:grpc|proto)/[^"]+)";', re.MULTILINE)


def generate(jars: Path) -> Path:
    """Generate into framework/alluxio/stubs unless they are there; the jar comes from `jars`, or else from Maven."""
    wanted = _stamp()
    stamp = TARGET / "stamp.txt"
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return TARGET
    try:
        with tempfile.TemporaryDirectory() as scratch:
            jar = jars / JAR if (jars / JAR).is_file() else maven.fetch_jar(JAR, Path(scratch))
            made = _generate(_sources(jar), Path(scratch))
            TARGET.mkdir(parents=True, exist_ok=True)
            stamp.unlink(missing_ok=True)
            for path in made:
                (TARGET / path.name).write_bytes(path.read_bytes())
            stamp.write_text(wanted, encoding="ascii")  # Last: its presence says that the rest is whole.
    except OSError as error:
        raise ArtefactError(
            f"The gRPC stubs cannot be written: {error.filename or TARGET}: {error.strerror}."
        ) from error
    return TARGET


def _stamp() -> str:
    """Changes with the jar and with this file."""
    jar = next(jar for jar in maven.listed("alluxio") if jar.name == JAR)
    return hashlib.sha256(jar.sha256.encode() + Path(__file__).read_bytes()).hexdigest()


def _sources(jar: Path) -> dict[str, str]:
    """The wanted .proto files and what they import, by their path in the jar."""
    found: dict[str, str] = {}
    pending = list(WANTED)
    with zipfile.ZipFile(jar) as archive:
        while pending:
            path = pending.pop()
            if path not in found:
                found[path] = archive.read(path).decode("utf-8")
                pending += IMPORT.findall(found[path])
    return found


def _renamed(path: str) -> str:
    """Where a .proto file lies in our package: a module `grpc.common_pb2` would clash with grpcio's own package."""
    return f"{PACKAGE}/{path.removeprefix('grpc/').replace('/', '_')}"


def _generate(sources: dict[str, str], scratch: Path) -> list[Path]:
    """Run protoc over the renamed sources; the files that belong into the package."""
    folder = scratch / PACKAGE
    folder.mkdir(parents=True)
    names = {path: _renamed(path) for path in sources}
    for path, text in sources.items():
        renamed = IMPORT.sub(lambda found: f'import "{names[found[1]]}";', text)
        (scratch / names[path]).write_text(renamed, encoding="utf-8")
    _protoc(scratch, sorted(names.values()))
    for typed in folder.glob("*.pyi"):
        typed.write_text(KEYWORD.sub("", typed.read_text(encoding="utf-8")), encoding="utf-8")
    for path, name in names.items():
        module = scratch / name.replace(".proto", "_pb2.py")
        module.write_text(
            f'"""Generated from {path} of {JAR}; not to be edited."""\n\n'
            "from framework.alluxio.descriptors import load\n\n"
            f'load("{name}", globals())\n'
        )
    return sorted(folder.glob("*_pb2.py")) + sorted(folder.glob("*.pyi")) + [folder / "descriptors.binpb"]


def _protoc(scratch: Path, names: list[str]) -> None:
    """Types and descriptors of the named .proto files; protoc's warnings are kept back."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{scratch}", f"--pyi_out={scratch}", "--include_imports"]
    descriptors = f"--descriptor_set_out={scratch / PACKAGE / 'descriptors.binpb'}"
    outcome = subprocess.run([*command, descriptors, *names], capture_output=True, text=True, check=False)
    if "No module named" in outcome.stderr:
        raise ArtefactError("Generating the gRPC stubs needs grpcio-tools: pip install grpcio-tools.")
    if outcome.returncode != 0:
        raise ArtefactError(f"protoc refused the .proto files of {JAR}: {outcome.stderr.strip()}")
