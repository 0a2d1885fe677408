"""What must hold before anything is started: one sentence for each thing that does not."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from framework.config import Configuration
from framework.local import preflight
from framework.local.plan import Part, Plan, Ports, memory_needed, parts
from framework.local.preflight import NotReady
from ports import held_port, row_of_ports

JAVA = "java"  # nothing here runs it


@contextmanager
def listening(host: str) -> Iterator[int]:
    """Somebody's server; its port."""
    with socket.socket() as server:
        server.bind((host, 0))
        server.listen()
        yield int(server.getsockname()[1])


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    api, mesos, agent, zookeeper = (held_port() for _ in range(4))
    first = row_of_ports(51, ("127.0.0.1", "127.0.0.11", "127.0.0.12"))
    ports = Ports(api, mesos, agent, zookeeper, (first, first + 49))
    return Plan(tmp_path / "local", tmp_path / "build", agents=2, ram="16MB", ports=ports)


def configured(plan: Plan) -> Configuration:
    configuration = plan.configuration()
    assert isinstance(configuration, Configuration), configuration
    return configuration


def sentences(plan: Plan, to_start: tuple[Part, ...] | None = None) -> tuple[str, ...]:
    """What is to be put right; all parts are to be started unless others are named."""
    try:
        preflight.check_numbers(plan)
        configuration = configured(plan)
        wanted = parts(plan, configuration, JAVA) if to_start is None else to_start
        preflight.check(plan, configuration, wanted)
    except NotReady as error:
        return error.args
    return ()


def with_ports(plan: Plan, **changes: int | tuple[int, int]) -> Plan:
    return dataclasses.replace(plan, ports=dataclasses.replace(plan.ports, **changes))  # type: ignore[arg-type]


# Numbers --------------------------------------------------------------------------------------------------------------


def test_all_is_well_on_a_machine_with_room(plan: Plan) -> None:
    assert sentences(plan) == ()


@pytest.mark.parametrize("agents", [0, -1, 201, 500])
def test_too_many_or_too_few_agents(plan: Plan, agents: int) -> None:
    assert sentences(dataclasses.replace(plan, agents=agents)) == (
        f"--agents {agents} is not allowed; choose 1 to 200.",
    )


def test_more_workers_than_agents(plan: Plan) -> None:
    assert sentences(dataclasses.replace(plan, workers="3")) == (
        "--workers 3 asks for more than the 2 agents can run, one on each; raise --agents.",
    )
    assert sentences(dataclasses.replace(plan, workers="2")) == ()


def test_more_masters_than_agents(plan: Plan) -> None:
    assert sentences(dataclasses.replace(plan, masters=3)) == (
        "--masters 3 asks for more than the 2 agents can run, one on each; raise --agents.",
    )


@pytest.mark.parametrize("count", [0, 10])
def test_too_many_or_too_few_copies_of_a_service(plan: Plan, count: int) -> None:
    for flag, attribute in (("--schedulers", "schedulers"), ("--mesos-masters", "mesos_masters")):
        changed = dataclasses.replace(plan, **{attribute: count})  # type: ignore[arg-type]
        assert sentences(changed, ()) == (f"{flag} {count} is not allowed; choose 1 to 9.",)


@pytest.mark.parametrize("count", [0, 2, 4, 11])
def test_an_ensemble_of_an_even_number(plan: Plan, count: int) -> None:
    assert sentences(dataclasses.replace(plan, zookeepers=count), ()) == (
        f"--zookeepers {count} is not allowed; choose 1, 3, 5, 7 or 9: one more than an odd number survives no more.",
    )


def test_a_port_that_the_ensemble_needs_for_itself(plan: Plan) -> None:
    taken = with_ports(dataclasses.replace(plan, zookeepers=3), api=plan.ports.zookeeper + 2)
    assert sentences(taken) == (
        f"--api-port {plan.ports.zookeeper + 2} is one of the two ports after --zookeeper-port "
        f"{plan.ports.zookeeper}, at which the 3 ZooKeeper servers talk among themselves; choose another.",
    )
    assert sentences(dataclasses.replace(taken, zookeepers=1)) == ()


def test_one_port_for_two_parts(plan: Plan) -> None:
    port = plan.ports.api
    assert sentences(with_ports(plan, mesos=port)) == (
        f"--api-port and --mesos-port are both {port}; choose two ports.",
    )
    assert sentences(with_ports(plan, agent=port)) == ()  # each agent has an address of its own


def test_the_tasks_ports_are_too_few_or_hold_the_agents_own(plan: Plan) -> None:
    first, last = plan.ports.agents
    assert sentences(with_ports(plan, agents=(first, first + 18))) == (
        f"--agent-ports {first}-{first + 18} are too few; an agent needs at least 20.",
    )
    assert sentences(with_ports(plan, agents=(first, first + 19))) == ()
    assert sentences(with_ports(plan, agent=last)) == (
        f"--agent-port {last} is one of --agent-ports {first}-{last}, which the tasks use; choose another.",
    )


# Ports that are taken -------------------------------------------------------------------------------------------------


def by_this_process() -> str:
    return f"by process {os.getpid()} ({psutil.Process().name()})"


@pytest.mark.parametrize(
    ("attribute", "host", "part"),
    [
        ("api", "127.0.0.1", "scheduler"),
        ("mesos", "127.0.0.1", "mesos-master"),
        ("zookeeper", "127.0.0.1", "zookeeper"),
        ("agent", "127.0.0.12", "agent-127.0.0.12"),
    ],
)
def test_a_taken_port_is_named_with_who_has_it(plan: Plan, attribute: str, host: str, part: str) -> None:
    with listening(host) as port:
        taken = with_ports(plan, **{attribute: port})
        assert sentences(taken) == (
            f"Port {port} on {host}, for {part}, is taken {by_this_process()}; "
            f"end that process, or choose another with --{attribute}-port.",
        )
        running = tuple(wanted for wanted in parts(taken, configured(taken), JAVA) if wanted.name != part)
        assert sentences(taken, running) == ()  # it is the part itself that listens there
    assert sentences(taken) == ()


def test_copies_of_a_service_and_the_ensembles_own_ports_are_looked_at_too(plan: Plan) -> None:
    with listening("127.0.0.2") as port:
        two = sentences(with_ports(dataclasses.replace(plan, schedulers=2), api=port))
        three = sentences(with_ports(dataclasses.replace(plan, zookeepers=3), zookeeper=port - 1))
    taken = f"is taken {by_this_process()}; end that process, or choose another with"
    assert f"Port {port} on 127.0.0.2, for scheduler-1, {taken} --api-port." in two
    assert f"Port {port} on 127.0.0.2, for zookeeper-1, {taken} --zookeeper-port." in three


def test_all_taken_ports_are_told_at_once(plan: Plan) -> None:
    with listening("127.0.0.1") as api, listening("127.0.0.1") as mesos:
        told = sentences(with_ports(plan, api=api, mesos=mesos))
    assert [sentence.split(",")[0] for sentence in told] == [f"Port {mesos} on 127.0.0.1", f"Port {api} on 127.0.0.1"]


def test_the_same_port_on_another_address_is_free(plan: Plan) -> None:
    with listening("127.0.0.13") as port:
        assert sentences(with_ports(plan, agent=port, mesos=port)) == ()


SERVES = """
import socket, sys
servers = [socket.create_server(("127.0.0.12", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def server_below(sandbox: Path, *ports: int) -> Iterator[int]:
    """A process that listens on an agent's ports, with a task's environment; its id."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVES, *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "MESOS_SANDBOX": str(sandbox)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


def test_a_stranger_on_the_tasks_ports_is_named(plan: Plan, tmp_path: Path) -> None:
    first, last = plan.ports.agents
    with server_below(tmp_path / "another" / "mesos", first + 5, first + 4, last + 1) as pid:
        name = psutil.Process(pid).name()
        assert sentences(plan) == (
            f"2 of the ports {first}-{last} that the agents' tasks use are taken, "
            f"{first + 4} on 127.0.0.12 by process {pid} ({name}) first; "
            "end what holds them, or choose others with --agent-ports.",
        )
        only_one_agent = dataclasses.replace(plan, agents=1)
        assert sentences(only_one_agent) == ()


def test_a_task_that_outlived_its_agent_is_no_stranger(plan: Plan) -> None:
    with server_below(plan.directory / "mesos" / "agent-127.0.0.12" / "slaves", plan.ports.agents[0] + 4):
        assert sentences(plan) == ()


# Memory and disk ------------------------------------------------------------------------------------------------------


def test_too_little_memory(plan: Plan) -> None:
    # Heaps beyond any machine: the tiers still fit.
    large = dataclasses.replace(plan, settings=(("worker-heap", "4096TB"),))
    needed = memory_needed(large, configured(large))
    (sentence,) = sentences(large)
    assert sentence.startswith(f"The cluster may use {needed} MiB of memory, but ")
    assert sentence.endswith(" MiB are free; end something, or ask for fewer --agents or less --ram.")


def test_a_cluster_that_runs_holds_its_memory_already(plan: Plan) -> None:
    large = dataclasses.replace(plan, settings=(("worker-heap", "4096TB"),))
    scheduler = parts(large, configured(large), JAVA)[-1:]
    assert sentences(large, scheduler) == ()
    assert sentences(large, ()) == ()


def test_too_little_room_for_the_memory_tiers(plan: Plan) -> None:
    huge = dataclasses.replace(plan, ram="4096TB")
    *_, tiers = sorted(sentences(huge))
    assert tiers.startswith(f"The memory tiers need {2 * 4096 << 20} MiB on /dev/shm, which has room for ")
    assert tiers.endswith(" MiB; enlarge it (mount -o remount,size=…), or ask for less --ram.")


def test_too_little_disk(plan: Plan) -> None:
    (sentence,) = sentences(dataclasses.replace(plan, directory=Path("/proc/self/cluster")))
    assert sentence == (
        "The cluster needs 1706 MiB of disk at /proc/self, where 0 MiB are free; free some, or choose another --dir."
    ) or sentence.startswith("--dir /proc/self/cluster cannot be used: /proc/self is no folder that you may write to")


def test_a_file_where_the_folder_should_be(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert sentences(dataclasses.replace(plan, directory=tmp_path / "file" / "local")) == (
        f"--dir {tmp_path}/file/local cannot be used: {tmp_path}/file is no folder that you may write to; "
        "choose another.",
    )


# Java -----------------------------------------------------------------------------------------------------------------


def fake_java(home: Path, said: str) -> str:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    return str(java)


@pytest.mark.parametrize("said", ['openjdk version "17.0.13" 2024-10-15', 'java version "17" 2021-09-14 LTS'])
def test_java_of_java_home_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    wanted = fake_java(tmp_path / "seventeen", said)
    fake_java(tmp_path / "path", 'openjdk version "11.0.2" 2019-01-15')
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "seventeen"))
    assert preflight.find_java() == wanted


def test_java_of_the_path_is_taken_without_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = fake_java(tmp_path / "path", 'openjdk version "17.0.13" 2024-10-15')
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert preflight.find_java() == wanted


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "11"),
        ('java version "1.8.0_392"', "8"),
        ('openjdk version "21.0.1" 2023-10-17', "21"),
        ("Segmentation fault", "something else"),
    ],
)
def test_another_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, found: str) -> None:
    java = fake_java(tmp_path, said)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(NotReady) as refused:
        preflight.find_java()
    assert refused.value.args == (f"{java} is Java {found}, but Alluxio 2.9 needs Java 17; point JAVA_HOME to one.",)


ADVICE = "install it (Debian: apt install openjdk-17-jre-headless), or point JAVA_HOME to it."


def test_no_java_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(NotReady) as refused:
        preflight.find_java()
    assert refused.value.args == (f"Java 17 is missing: no java is on the PATH; {ADVICE}",)


def test_java_home_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(NotReady) as refused:
        preflight.find_java()
    assert refused.value.args == (
        f"Java 17 is missing: JAVA_HOME is {tmp_path}, but {tmp_path}/bin/java cannot be run; {ADVICE}",
    )
