"""Jars, bundle and checks, with a Maven and a Java that are small scripts: what they are asked, what comes of it."""

from __future__ import annotations

import hashlib
import os
import shlex
import tarfile
from pathlib import Path

import pytest

from framework.artefacts import ALLUXIO_VERSION, ArtefactError, Artefacts, default_directory, maven
from framework.artefacts.bundle import Bundle, pack

CONTENT = b"the jar's bytes"
GOOD = hashlib.sha256(CONTENT).hexdigest()


class Machine:
    """A machine's PATH, JAVA_HOME and poms in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "bin"
        self.poms = folder / "poms"
        self.runs = folder / "runs"
        self.path.mkdir()
        self.poms.mkdir()
        for name in maven.SETS:
            (self.poms / f"{name}.xml").write_text("<project/>")
            (self.poms / f"{name}.sha256").write_text(f"{GOOD}  org/one/1/one-1.jar\n")
        self.java("17.0.15")
        self.mvn(f'printf "%s" {shlex.quote(CONTENT.decode())} > "$folder/one-1.jar"')

    def script(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def java(self, version: str, home: Path | None = None) -> None:
        self.script((home or self.folder) / "bin/java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")

    def mvn(self, work: str) -> None:
        """A Maven that counts its runs, finds its output folder in `$folder` and then does `work`."""
        find = "for word; do case $word in -DoutputDirectory=*) folder=${word#*=};; esac; done"
        self.script(self.path / "mvn", f'echo "$*" >> {self.runs}\n{find}\n{work}')

    def times_run(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{machine.path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(maven, "POMS", machine.poms)
    return machine


def test_jars_come_once_and_again_when_the_pom_changes(machine: Machine, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    artefacts = Artefacts(tmp_path / "build", lambda *news: seen.append(news))
    artefacts.jars()
    assert (artefacts.jar_folder("alluxio") / "one-1.jar").read_bytes() == CONTENT
    assert seen[-1] == ("zookeeper jars", 1, 1)
    assert ("alluxio jars", 1, 1) in seen
    artefacts.jars()
    assert machine.times_run() == 2
    (machine.poms / "alluxio.xml").write_text("<project><!-- changed --></project>")
    artefacts.jars()
    assert machine.times_run() == 3
    assert sorted(path.name for path in artefacts.directory.iterdir()) == [".lock", "jars"]


def test_a_jar_that_vanished_is_fetched_again(machine: Machine, tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path / "build")
    artefacts.jars()
    (artefacts.jar_folder("zookeeper") / "one-1.jar").unlink()
    artefacts.jars()
    assert machine.times_run() == 3


def test_maven_is_asked_quietly_and_with_strict_checksums(machine: Machine, tmp_path: Path) -> None:
    Artefacts(tmp_path / "build").jars()
    first = machine.runs.read_text().splitlines()[0].split()
    assert first[:4] == ["-q", "-B", "-ntp", "-C"]
    assert "dependency:copy-dependencies" in first


def failed(artefacts: Artefacts) -> str:
    """The sentence of a failure that left nothing behind that looks done."""
    with pytest.raises(ArtefactError) as caught:
        artefacts.jars()
    assert not artefacts.jar_folder("alluxio").exists()
    assert not list(artefacts.directory.glob(".making-*"))
    return str(caught.value)


def test_no_maven(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert failed(Artefacts(tmp_path / "build")) == (
        "Maven is needed to fetch Alluxio's jars, but PATH has no mvn: install it (Debian: apt-get install maven)."
    )


def test_a_failing_maven_is_quoted(machine: Machine, tmp_path: Path) -> None:
    machine.mvn('echo "[INFO] noise"; echo "[ERROR] Could not resolve one:1"; exit 1')
    assert failed(Artefacts(tmp_path / "build")) == (
        f"Maven failed ({machine.path}/mvn ended with 1): [ERROR] Could not resolve one:1"
    )


def test_a_missing_jar_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.mvn("true")
    assert failed(Artefacts(tmp_path / "build")) == (
        "Maven ended well but did not bring one-1.jar: the pom and its list disagree."
    )


def test_a_changed_jar_is_refused(machine: Machine, tmp_path: Path) -> None:
    machine.mvn('echo tampered > "$folder/one-1.jar"')
    sentence = failed(Artefacts(tmp_path / "build"))
    assert sentence.startswith("one-1.jar has SHA-256 ")
    assert f"where {GOOD} is expected: remove org/one/1 from Maven's local repository" in sentence


def test_a_jar_too_many_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.mvn(f'printf "%s" {shlex.quote(CONTENT.decode())} | tee "$folder/two-2.jar" > "$folder/one-1.jar"')
    assert failed(Artefacts(tmp_path / "build")) == (
        "Maven brought jars that the list does not name (two-2.jar): the pom and its list disagree."
    )


def test_a_folder_that_cannot_be_made_is_named(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match=r"file/build: Not a directory; mend that or choose another folder\."):
        Artefacts(tmp_path / "file" / "build").jars()


def test_java_17_is_taken_from_java_home_before_the_path(machine: Machine) -> None:
    machine.java("25.0.1", machine.folder / "new")
    assert maven.java({"PATH": str(machine.path)}) == machine.path / "java"
    assert (
        maven.java({"PATH": str(machine.folder / "new/bin"), "JAVA_HOME": str(machine.folder)}) == machine.path / "java"
    )


@pytest.mark.parametrize(("version", "major"), [("25.0.1", "25"), ("11.0.2", "11"), ("1.8.0_392", "8")])
def test_another_java_is_named_with_where_it_was_found(machine: Machine, version: str, major: str) -> None:
    home = machine.folder / "other"
    machine.java(version, home)
    with pytest.raises(ArtefactError) as caught:
        maven.java({"PATH": str(machine.path), "JAVA_HOME": str(home)})
    assert str(caught.value).startswith(f"Java 17 is needed, but {home}/bin/java (JAVA_HOME={home}) is Java {major}: ")


def test_no_java_is_named(machine: Machine) -> None:
    with pytest.raises(ArtefactError, match=r"^Java 17 is needed, but PATH has no java: "):
        maven.java({"PATH": str(machine.folder / "nowhere")})


def test_the_bundle_is_the_same_bytes_whenever_and_wherever_it_is_packed(tmp_path: Path) -> None:
    made = []
    for number, order in enumerate((("a.jar", "b.jar"), ("b.jar", "a.jar"))):
        jars = tmp_path / str(number)
        jars.mkdir()
        for name in order:
            (jars / name).write_bytes(name.encode() * 1000)
            os.utime(jars / name, (number * 1000, number * 1000))
        (jars / ".stamp").write_text("no jar")
        made.append(pack(jars, tmp_path / f"{number}.tar.gz", lambda *_news: None))
    assert made[0].sha256 == made[1].sha256
    assert made[0].jars == 2
    assert made[0].path.read_bytes()[4:8] == bytes(4), "gzip's own time stamp"
    with tarfile.open(made[0].path) as archive:
        members = [(member.name, member.uid, member.uname, member.mtime, member.mode) for member in archive]
    root = f"alluxio-{ALLUXIO_VERSION}"
    assert members == [
        (root, 0, "", 315532800, 0o755),
        (f"{root}/lib", 0, "", 315532800, 0o755),
        (f"{root}/lib/a.jar", 0, "", 315532800, 0o644),
        (f"{root}/lib/b.jar", 0, "", 315532800, 0o644),
    ]


def test_the_bundle_is_packed_once_with_its_checksum_beside_it(machine: Machine, tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path / "build")
    first = artefacts.bundle()
    name = f"alluxio-{ALLUXIO_VERSION}.tar.gz"
    digest = hashlib.sha256((tmp_path / "build" / name).read_bytes()).hexdigest()
    assert first == Bundle(tmp_path / "build" / name, digest, 1, first.path.stat().st_size)
    assert (tmp_path / "build" / f"{name}.sha256").read_text() == f"{digest}  {name}\n"
    packed = first.path.stat().st_mtime_ns
    assert artefacts.bundle() == first
    assert first.path.stat().st_mtime_ns == packed
    (machine.poms / "alluxio.xml").write_text("<project><!-- changed --></project>")
    assert artefacts.bundle() == first
    assert first.path.stat().st_mtime_ns != packed


def test_the_poms_and_their_lists_name_the_version_that_the_bundle_claims() -> None:
    assert f"<alluxio.version>{ALLUXIO_VERSION}</alluxio.version>" in maven.pom("alluxio").read_text()
    for name in (*maven.SETS, *maven.EXTRA_SETS):
        names = [jar.name for jar in maven.listed(name)]
        assert names == sorted(names)
        assert len(names) == len(set(names))
    ours = [jar for jar in maven.listed("alluxio") if jar.path.startswith("org/alluxio/")]
    assert {jar.path.split("/")[3] for jar in ours} == {ALLUXIO_VERSION}


def test_a_checkout_keeps_its_results_in_build() -> None:
    assert default_directory() == Path(__file__).resolve().parents[2] / "build"
