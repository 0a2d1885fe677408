"""`alluxio-mesos local` told something that cannot be: one clear sentence, nothing started, nothing written.

The command runs as a person runs it, as a process of its own. Java is a script that only tells its version.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from framework.local.plan import Plan
from framework.local.processes import Ledger, Started
from ports import held_port, row_of_ports

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    error: str


class Machine:
    """A home with a Java and a PATH of its own, and the folder of a cluster to be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "local"
        self.path = folder / "bin"
        self.path.mkdir()
        self.java("17.0.13")
        api, mesos, zookeeper, agent = self.ports = [held_port() for _ in range(4)]
        first = row_of_ports(50, ("127.0.0.1", "127.0.0.11", "127.0.0.12"))
        self.task_ports = [first, first + 49]
        self.options = [
            *("--api-port", str(api), "--mesos-port", str(mesos), "--zookeeper-port", str(zookeeper)),
            *("--agent-port", str(agent), "--agent-ports", f"{first}-{first + 49}", "--agents", "2", "--ram", "16MB"),
        ]

    def java(self, version: str) -> None:
        java = self.path / "java"
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-10-15' >&2\n")
        java.chmod(0o755)

    def run(self, verb: str, *arguments: str) -> Outcome:
        environment = {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "PATH")}
        ended = subprocess.run(
            [sys.executable, "-m", "framework", "local", verb, "--dir", str(self.directory), *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**environment, "PATH": str(self.path)},
            check=False,
        )
        return Outcome(ended.returncode, ended.stdout, ended.stderr)

    def up(self, *arguments: str) -> Outcome:
        """Without any artefact: should everything else be well, it would be Maven's turn, which is not on the PATH."""
        return self.run("up", *self.options, "--artefacts", str(self.folder / "build"), *arguments)

    def processes(self) -> list[str]:
        """The command lines of whatever runs for the cluster."""
        lines = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if str(self.directory) in line:
                lines.append(line)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


REFUSALS = {
    "--ram lots": "--ram: 'lots' is no size; write a number and a unit, such as 512MB or 2GB",
    "--ram 8MB": "--ram: 8 MiB is too little; Alluxio needs at least 16 MiB",
    "--workers 3": "--workers 3 asks for more than the 2 agents can run, one on each; raise --agents.",
    "--workers few": "--workers few is not allowed; write a number, or 'all'.",
    "--agents 0": "--agents 0 is not allowed; choose 1 to 200.",
    "--racks 3": "--racks 3 is not allowed; choose 1 to 2, the number of --agents.",
    "--agents 500": "--agents 500 is not allowed; choose 1 to 200.",
    "--set speed=high": "--set speed=high names no option; "
    "write OPTION=VALUE with an option of `alluxio-mesos scheduler --help`.",
    "--set worker-heap": "--set worker-heap names no option; "
    "write OPTION=VALUE with an option of `alluxio-mesos scheduler --help`.",
    "--set worker-heap=[big]": "--set worker-heap: '[big]' is no size; write a number and a unit, such as 512MB or 2GB",
    "--under-storage here": "--under-storage: 'here' is no address; "
    "write a URI such as s3://bucket/folder, hdfs://host:port/folder, or an absolute path",
    "--agent-ports 5-1": "--agent-ports 5-1 is no range; write FIRST-LAST within 1024-65535.",
    "--mesos-port 99999": "--mesos-port 99999 is not allowed; choose 1 to 65535.",
    "--agent-port 0": "--agent-port 0 is not allowed; choose 1 to 65535.",
    "--masters 3": "--masters 3 asks for more than the 2 agents can run, one on each; raise --agents.",
    "--schedulers 0": "--schedulers 0 is not allowed; choose 1 to 9.",
    "--mesos-masters 10": "--mesos-masters 10 is not allowed; choose 1 to 9.",
    "--zookeepers 2": "--zookeepers 2 is not allowed; choose 1, 3, 5, 7 or 9: "
    "one more than an odd number survives no more.",
    "--zookeepers 0": "--zookeepers 0 is not allowed; choose 1, 3, 5, 7 or 9: "
    "one more than an odd number survives no more.",
    "--set-mesos port=1": "--set-mesos port=1 names no flag; write FLAG=VALUE with one of "
    "agent-ping-timeout-seconds, agent-reregister-timeout, heartbeat-seconds, max-agent-ping-timeouts, offer-interval.",
    "--set workers=1": "--set workers=1 is not allowed; write --workers 1.",
    "--set mesos=elsewhere:5050": "--set mesos=elsewhere:5050 is not allowed; a local cluster has its own.",
}


@pytest.mark.parametrize("arguments", REFUSALS)
def test_a_wrong_option_is_named_in_one_sentence(machine: Machine, arguments: str) -> None:
    outcome = machine.up(*arguments.split(" "))
    assert outcome == Outcome(69, "", REFUSALS[arguments] + "\n")
    assert not machine.directory.exists()
    assert machine.processes() == []


def test_several_mistakes_are_all_named(machine: Machine) -> None:
    outcome = machine.up("--ram", "lots", "--under-storage", "here", "--set", "worker-cpus=none")
    assert outcome.code == 69
    assert [line.split(":")[0] for line in outcome.error.splitlines()] == [
        "--under-storage",
        "--set worker-cpus",
        "--ram",
    ]


def test_a_taken_port_is_named_before_anything_starts(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", machine.ports[1])):
        outcome = machine.up()
    holder = f"{os.getpid()} ({psutil.Process().name()})"
    assert outcome == Outcome(
        69,
        "",
        f"Port {machine.ports[1]} on 127.0.0.1, for mesos-master, is taken by process {holder}; "
        "end that process, or choose another with --mesos-port.\n",
    )
    assert not machine.directory.exists()
    assert machine.processes() == []


def test_a_wrong_java_is_named_before_anything_starts(machine: Machine) -> None:
    machine.java("11.0.2")
    outcome = machine.up("--json")
    java = machine.path / "java"
    sentence = f"{java} is Java 11, but Alluxio 2.9 needs Java 17; point JAVA_HOME to one.\n"
    assert outcome == Outcome(69, "", sentence)
    assert not machine.directory.exists()


def test_no_java_is_named_before_anything_starts(machine: Machine) -> None:
    (machine.path / "java").unlink()
    outcome = machine.up()
    assert outcome == Outcome(
        69,
        "",
        "Java 17 is missing: no java is on the PATH; "
        "install it (Debian: apt install openjdk-17-jre-headless), or point JAVA_HOME to it.\n",
    )
    assert not machine.directory.exists()


def test_no_maven_is_named_before_anything_starts(machine: Machine) -> None:
    outcome = machine.up("--json")
    assert (outcome.code, outcome.out) == (69, "")
    *progress, sentence = outcome.error.splitlines()
    assert progress == ["jars: looking"]
    assert sentence.startswith("Maven is needed")
    assert "apt-get install maven" in sentence
    assert not machine.directory.exists()
    assert machine.processes() == []


def test_other_options_leave_the_ledger_of_a_running_cluster_alone(machine: Machine) -> None:
    """This test's own process stands for the cluster."""
    api, mesos, zookeeper, agent = machine.ports
    own = Started("scheduler", os.getpid(), psutil.Process().create_time(), 0, "SIGTERM", 1.0)
    ledger = Ledger(machine.directory / "cluster.json")
    document = Plan(machine.directory, machine.folder / "build", agents=2, ram="16MB").as_document()
    ports = {"api": api, "mesos": mesos, "agent": agent, "zookeeper": zookeeper, "agents": machine.task_ports}
    ledger.write({**document, "ports": ports}, [own])
    before = (machine.directory / "cluster.json").read_bytes()
    outcome = machine.up("--workers", "1", "--set", "security=NOSASL")
    assert outcome == Outcome(
        69,
        "",
        f"A cluster with other options (settings, workers) runs in {machine.directory}; "
        "end it with `alluxio-mesos local down` first.\n",
    )
    assert (machine.directory / "cluster.json").read_bytes() == before
    assert [file.name for file in machine.directory.iterdir()] == ["cluster.json"]


# Without a cluster ----------------------------------------------------------------------------------------------------


def test_without_a_cluster_there_is_nothing_to_end_or_to_show(machine: Machine) -> None:
    assert machine.run("down") == Outcome(0, f"No cluster ran in {machine.directory}.\n", "")
    assert machine.run("down", "--json") == Outcome(0, '{"stopped": false}\n', "")
    assert machine.run("status") == Outcome(
        69, f"No cluster runs in {machine.directory}; `alluxio-mesos local up` starts one.\n", ""
    )
    assert machine.run("logs") == Outcome(
        69,
        "",
        f"There is no log of scheduler in {machine.directory}; see `alluxio-mesos local status` for the names.\n",
    )


def test_clean_leaves_a_folder_alone_that_holds_no_cluster(machine: Machine) -> None:
    machine.directory.mkdir()
    for name in ("logs", "data", "mesos"):
        (machine.directory / name).mkdir()
        (machine.directory / name / "precious").write_text("mine")
    assert machine.run("clean") == Outcome(0, "", "")
    assert len(list(machine.directory.glob("*/precious"))) == 3


def test_clean_removes_what_a_cluster_made_and_nothing_else(machine: Machine) -> None:
    for name in (
        "zookeeper/zoo.cfg",
        "zookeeper-1/zoo.cfg",
        "journal/file",
        "mesos/master/file",
        "data/journal",
        "under-storage/file",
        "logs/scheduler.log",
    ):
        (machine.directory / name).parent.mkdir(parents=True)
        (machine.directory / name).write_text("")
    (machine.directory / "precious").write_text("mine")
    ram = Plan(machine.directory, Path()).ram_directory
    (ram / "alluxio" / "worker-0").mkdir(parents=True)
    assert machine.run("clean") == Outcome(
        0, f"removing the cluster's data in {machine.directory}\nremoving {ram}\n", ""
    )
    assert [file.name for file in machine.directory.iterdir()] == ["precious"]
    assert not ram.exists()
