"""`make dist`: that it gives the same bytes again, that its one file runs where nothing is, that what its packages name
is there, and that its bill of materials and its Dockerfile say what they must.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import dockerfile_parse
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import cosmos
from framework.artefacts import ArtefactError, maven
from framework.artefacts.bundle import Member, write_archive
from framework.distribution import NOWHERE, PACKAGE_VERSION, SUMS, VERSION, Order, bill, build, image, java, scheduler
from framework.distribution import __main__ as command
from framework.packaging import deployment, rendering, universe
from framework.packaging.rendering import ASSETS
from mirror import ROOT, Distribution, bare_path, make_dist

RUNTIME: Final = java.Runtime(40_000_000, "17.0.16", "Debian")
BILL: Final = bill.document(VERSION, scheduler.pins(), RUNTIME)
slowly: Final = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]


# The bill of materials ------------------------------------------------------------------------------------------------


def test_the_bill_is_as_cyclonedx_has_it() -> None:
    errors = JsonStrictValidator(SchemaVersion.V1_5).validate_str(BILL)
    assert errors is None, errors
    assert bill.document(VERSION, scheduler.pins(), RUNTIME) == BILL
    assert bill.document("0.2.0", scheduler.pins(), RUNTIME) != BILL


def test_the_bill_names_all_that_the_artefacts_are_made_of() -> None:
    components = {component["bom-ref"]: component for component in json.loads(BILL)["components"]}
    assert {name for name in components if name.startswith("pkg:pypi/")} == {
        f"pkg:pypi/{name}@{version}" for name, version in scheduler.pins().items() if name not in scheduler.OWN
    } | {f"pkg:pypi/pex@{importlib.metadata.version('pex')}"}
    assert "pkg:generic/http-parser@1.0.0" in components, "the index has another of this name"
    hashes = [component["hashes"][0]["content"] for component in components.values() if "hashes" in component]
    assert sorted(hashes) == sorted(jar.sha256 for jar in maven.listed("alluxio"))
    jar = components["pkg:maven/org.alluxio/alluxio-core-transport@2.9.6?type=jar"]
    assert (jar["group"], jar["name"], jar["version"]) == ("org.alluxio", "alluxio-core-transport", "2.9.6")
    assert components["java@17.0.16"]["supplier"] == {"name": "Debian"}
    assert "java@17.0.16" not in bill.document(VERSION, scheduler.pins(), None)


def test_the_scheduler_takes_along_what_it_needs_and_no_tool_of_its_making() -> None:
    pins = scheduler.pins()
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    named = re.findall(r"^([a-z0-9-]+)", settings["options"]["install_requires"].strip(), re.MULTILINE)
    assert len(named) > 10
    assert set(named) < set(pins)
    assert {"h11", "six", "aiosignal", "typing-extensions"} < set(pins)  # what those need in turn
    assert not {"pytest", "mypy", "pex", "grpcio-tools"} & set(pins)


# The image ------------------------------------------------------------------------------------------------------------


def _dockerfile() -> dockerfile_parse.DockerfileParser:
    content = image.files(ASSETS["scheduler"])["Dockerfile"].encode()
    return dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(content))


def test_the_dockerfile_names_its_base_by_a_whole_tag() -> None:
    name, _, tag = _dockerfile().baseimage.partition(":")
    assert name == "python"
    assert re.fullmatch(r"3\.1[1-3]-slim-[a-z]+", tag)


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret() -> None:
    steps = [
        (step["instruction"], step["value"]) for step in _dockerfile().structure if step["instruction"] != "COMMENT"
    ]
    users = [value for instruction, value in steps if instruction == "USER"]
    assert users == ["10001:10001"]
    after = [instruction for instruction, _ in steps[steps.index(("USER", users[0])) :]]
    assert "COPY" not in after
    assert not {"ADD", "ARG"} & {instruction for instruction, _ in steps}
    assert set(_dockerfile().envs) == {"PEX_ROOT", "PYTHONUNBUFFERED"}
    for instruction, value in steps:
        if instruction in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(value), list), "signals reach the scheduler only without a shell between"


def test_the_image_is_built_of_the_schedulers_file_alone() -> None:
    files = image.files(ASSETS["scheduler"])
    assert files[".dockerignore"].splitlines() == ["*", f"!{ASSETS['scheduler']}"]
    [copied] = [step["value"] for step in _dockerfile().structure if step["instruction"] == "COPY"]
    assert copied.split()[1:] == [ASSETS["scheduler"], "/opt/alluxio-mesos/alluxio-mesos.pyz"]
    started = json.loads(next(step["value"] for step in _dockerfile().structure if step["instruction"] == "ENTRYPOINT"))
    assert started == ["python3", copied.split()[2]]


# What is refused, what is left out ------------------------------------------------------------------------------------


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtefactError, match=r"holds files that `make dist` did not make; remove them, or choose"):
        build(Order(tmp_path), print)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_address_is_an_address(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["distribution", "--assets", "mirror"])
    with pytest.raises(SystemExit):
        command.main()
    assert "'mirror' is no web address; write http://host/folder" in capsys.readouterr().err


def test_without_jlink_there_is_no_java_runtime_and_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    found = tmp_path / "bin" / "java"
    found.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    found.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.runtime(tmp_path / "java.tar.gz") == (
        f"java.tar.gz is left out: {tmp_path} has no jlink or no jmods; install a whole JDK (Debian: apt install "
        "openjdk-17-jdk-headless) and let JAVA_HOME name its folder."
    )
    assert not (tmp_path / "java.tar.gz").exists()


def test_what_is_not_there_is_not_fetched() -> None:
    assets = {name: file for name, file in ASSETS.items() if name != "java"}
    files = universe.files("1", 0, NOWHERE, assets)
    [form, template, resource] = [
        files[f"repo/packages/A/alluxio-mesos/0/{name}"].decode()
        for name in ("config.json", "marathon.json.mustache", "resource.json")
    ]
    assert set(json.loads(resource)["assets"]["uris"]) == {"scheduler", "executor", "alluxio"}
    options = cosmos.merged(cosmos.defaults(json.loads(form)), {"alluxio": {"under-storage": "/data"}})
    assert cosmos.rendered(template, options, json.loads(resource))["env"]["ALLUXIO_MESOS_JAVA_URI"] == ""
    read = deployment.read({"mesos": {"mesos": "m:1"}, "state": {"zookeeper": "z:1"}, **LEAST}, assets)
    assert not isinstance(read, list), read
    assert "JAVA_URI" not in rendering.plain_app(read, NOWHERE, assets=assets)
    assert f'"ALLUXIO_MESOS_JAVA_URI": "{NOWHERE}/{ASSETS["java"]}"' in rendering.plain_app(read, NOWHERE)


LEAST: Final = {"alluxio": {"under-storage": "/data"}, "api": {"api-open": "yes"}}


def test_an_archive_keeps_links_and_what_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    target = tmp_path / "archive.tar.gz"
    members = [Member("r"), Member("r/tool", tmp_path / "tool", executable=True), Member("r/other", link="tool")]
    write_archive(target, members, 6)
    with tarfile.open(target) as archive:
        found = [(member.name, member.mode, member.linkname, member.mtime, member.uname) for member in archive]
    epoch = 315532800
    assert found == [
        ("r", 0o755, "", epoch, ""),
        ("r/tool", 0o755, "", epoch, ""),
        ("r/other", 0o777, "tool", epoch, ""),
    ]


# The whole folder -----------------------------------------------------------------------------------------------------


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes by path."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestTheFolder:
    pytestmark = slowly

    def test_made_again_it_has_the_same_bytes(self, distribution: Distribution, tmp_path: Path) -> None:
        make_dist(tmp_path / "again", distribution.address, umask=0o077, TZ="Asia/Tokyo", LC_ALL="C")
        first, again = _contents(distribution.folder), _contents(tmp_path / "again")
        assert [name for name in {**first, **again} if first.get(name) != again.get(name)] == []

    def test_the_sums_are_of_all_files(self, distribution: Distribution) -> None:
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", SUMS],
            cwd=distribution.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        listed = {line.removesuffix(": OK") for line in checked.stdout.splitlines()}
        assert listed == {*_contents(distribution.folder)} - {SUMS}

    @pytest.mark.parametrize("python", ["python3", *(f"python{version}" for version in scheduler.PYTHONS)])
    def test_the_one_file_runs_where_nothing_is(self, distribution: Distribution, tmp_path: Path, python: str) -> None:
        """With no package, no variable and no file at home; each Python that is on this machine."""
        found = _working(python)
        (tmp_path / "home").mkdir()
        file = str(distribution.folder / ASSETS["scheduler"])

        def run(*arguments: str) -> str:
            ended = subprocess.run(
                [found, "-I", file, *arguments],
                env={"PATH": bare_path(), "HOME": str(tmp_path / "home")},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (ended.returncode, ended.stderr) == (0, "")
            return ended.stdout

        assert run("--version") == f"alluxio-mesos {VERSION}\n"
        assert "[ALLUXIO_MESOS_MESOS]" in run("scheduler", "--help")
        rendered = ["--version", PACKAGE_VERSION, "--release", "0", "--assets", distribution.address]
        run("render", "universe", *rendered, "--out", "universe")
        repository = tmp_path / "universe" / "repo.json"
        assert repository.read_bytes() == (distribution.folder / "repo.json").read_bytes()

    def test_the_one_file_has_the_stubs_the_pages_and_the_compiled_parts(
        self, distribution: Distribution, tmp_path: Path
    ) -> None:
        """All that is loaded late: they are imported by the Python that the file starts."""
        program = (
            "import framework.service, localmesos, grpc, msgspec, aiohttp, http_parser.http, psutil; print('there')"
        )
        ended = subprocess.run(
            ["python3", str(distribution.folder / ASSETS["scheduler"]), "-c", program],
            env={"PATH": bare_path(), "HOME": str(tmp_path), "PEX_INTERPRETER": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, "there\n"), ended.stderr

    def test_what_the_packages_name_is_there(self, distribution: Distribution) -> None:
        names: set[str] = set()
        for file in ("repo.json", "repo/packages/A/alluxio-mesos/0/resource.json", "marathon.json"):
            text = (distribution.folder / file).read_text()
            names |= set(re.findall(rf'"{re.escape(distribution.address)}/([^"]+)"', text))
        assert names == {*ASSETS.values(), "icon-small.png", "icon-medium.png", "icon-large.png"}
        assert all((distribution.folder / name).is_file() for name in names)

    def test_the_java_runtime_runs(self, distribution: Distribution, tmp_path: Path) -> None:
        with tarfile.open(distribution.folder / ASSETS["java"]) as archive:
            archive.extractall(tmp_path)
        [found] = tmp_path.glob("*/bin/java")  # where the executor looks
        assert not [*tmp_path.glob("alluxio-*")], "where it looks for Alluxio"
        told = subprocess.run([found, "--list-modules"], env={}, capture_output=True, text=True, timeout=60, check=True)
        assert {line.partition("@")[0] for line in told.stdout.splitlines()} >= set(java.MODULES)


def _working(python: str) -> str:
    """Its path, where a version of it runs (pyenv's stand-ins do not for each); else that of the machine's python3."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(python, path=bare_path()), *sorted(pyenv.glob(f"versions/*/bin/{python}"))]
    return next((str(path) for path in found if path), str(shutil.which("python3", path=bare_path())))
