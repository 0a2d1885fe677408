"""Each option does what its row says in what an agent is told: a TaskInfo, with the launch document in it."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from framework import launch
from framework.config import Configuration, read
from framework.model import Kind, Record, Resource

LEAST: Final = {"mesos": "m:1", "zookeeper": "z:1", "under-storage": "/data", "artefacts": "/srv"}
PORTS: Final = ("rpc", "web", "job_rpc", "job_data", "job_web")
RECORDS: Final = {
    kind: Record(kind, 0, 1, "S0", "agent-1", {name: 31000 + place for place, name in enumerate(PORTS)}, "c", 0.0)
    for kind in Kind
}
TAKEN: Final = (Resource("cpus", "alluxio", 4000), Resource("mem", "alluxio", 8_000_000))
Json = dict[str, Any]


def configuration(options: dict[str, str]) -> Configuration:
    found = read(LEAST | options)
    assert isinstance(found, Configuration), [str(problem) for problem in found]
    return found


def told(kind: Kind, **options: str) -> Json:
    """The TaskInfo of a task of this kind, its data read."""
    configured = configuration({name.replace("_", "-"): text for name, text in options.items()})
    sources = launch.Sources("http://e/e.pyz", "http://a/a.tar.gz", configured.java_uri)
    info = launch.task_info(configured, sources, "f", RECORDS[kind], TAKEN, [RECORDS[Kind.MASTER]])
    return info | {"data": json.loads(base64.b64decode(info["data"]))}


def properties(info: Json, folder: str = "") -> dict[str, str]:
    """Of alluxio-site.properties in this folder of the configuration's."""
    path = "/".join(filter(None, ["${SANDBOX}/conf", folder, "alluxio-site.properties"]))
    [content] = [file["content"] for file in info["data"]["files"] if file["path"] == path]
    lines = [line for line in content.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def command(info: Json, process: str) -> list[str]:
    [found] = [one["command"] for one in info["data"]["processes"] if one["name"] == process]
    return list(found)


def variables(info: Json) -> dict[str, str]:
    return {
        variable["name"]: variable["value"]
        for variable in info["executor"]["command"].get("environment", {}).get("variables", [])
    }


PROCESSES: Final = [(kind, process.name) for kind, processes in launch.PROCESSES.items() for process in processes]


@pytest.mark.parametrize(("kind", "process"), PROCESSES)
def test_properties_of_a_process_are_its_own_and_win(kind: Kind, process: str) -> None:
    info = told(kind, properties="a.b=all;c.d=all", **{f"{process}_properties": "a.b=own"})
    for other in launch.PROCESSES[kind]:
        folder = "" if other.name == kind.value else other.name
        found = properties(info, folder)
        assert (found["a.b"], found["c.d"]) == ("own" if other.name == process else "all", "all")
        assert f"-Dalluxio.conf.dir={'/'.join(filter(None, ['${SANDBOX}/conf', folder]))}" in command(info, other.name)


@pytest.mark.parametrize(("kind", "process"), PROCESSES)
def test_java_options_of_a_process_come_after_those_of_all(kind: Kind, process: str) -> None:
    info = told(kind, java_options="-Da=all '-Db=two words'", **{f"{process}_java_options": "-Da=own"})
    for other in launch.PROCESSES[kind]:
        found = [part for part in command(info, other.name) if part.startswith(("-Da=", "-Db="))]
        assert found == ["-Da=all", "-Db=two words", *(["-Da=own"] if other.name == process else [])]


@pytest.mark.parametrize("kind", Kind)
def test_the_environment_is_the_executors_which_its_processes_inherit(kind: Kind) -> None:
    assert "environment" not in told(kind)["executor"]["command"]
    info = told(kind, environment="JAVA_HOME=/opt/java;A=all", **{f"{kind.value}_environment": "A=own=1"})
    assert variables(info) == {"JAVA_HOME": "/opt/java", "A": "own=1"}
    other = Kind.PROXY if kind is Kind.MASTER else Kind.MASTER
    assert variables(told(other, **{f"{kind.value}_environment": "A=own"})) == {}
