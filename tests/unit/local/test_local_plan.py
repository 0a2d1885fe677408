"""What a local cluster consists of: command lines, sizes and folders that fit together."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from framework import cli, config
from framework.config import Configuration
from framework.local.plan import (
    Part,
    Plan,
    Ports,
    agent_resources,
    memory_needed,
    parts,
    tier_folders,
    zookeeper_configuration,
)
from framework.model import Kind
from localmesos import __main__ as localmesos

PLAN = Plan(
    directory=Path("/home/me/project/.local"),
    artefacts=Path("/home/me/project/build"),
    agents=2,
    ram="64MB",
    ports=Ports(api=7001, mesos=7002, agent=7003, zookeeper=7004, agents=(7100, 7149)),
)
JAVA = "/usr/lib/jvm/java-17/bin/java"


def configured(plan: Plan) -> Configuration:
    configuration = plan.configuration()
    assert isinstance(configuration, Configuration), configuration
    return configuration


def parts_of(plan: Plan) -> dict[str, Part]:
    return {part.name: part for part in parts(plan, configured(plan), JAVA)}


def scalars(resources: str) -> dict[str, float]:
    return {name: float(amount) for name, amount in re.findall(r"(\w+):([\d.]+)", resources)}


def test_every_part_and_where_it_listens() -> None:
    assert {name: part.listens for name, part in parts_of(PLAN).items()} == {
        "zookeeper": ("127.0.0.1", 7004),
        "mesos-master": ("127.0.0.1", 7002),
        "agent-127.0.0.11": ("127.0.0.11", 7003),
        "agent-127.0.0.12": ("127.0.0.12", 7003),
        "scheduler": ("127.0.0.1", 7001),
    }


SEVERAL = dataclasses.replace(PLAN, schedulers=2, zookeepers=3, mesos_masters=2)


def test_copies_of_a_service_have_names_and_addresses_of_their_own() -> None:
    assert {name: part.takes for name, part in parts_of(SEVERAL).items() if not name.startswith("agent")} == {
        "zookeeper": (("127.0.0.1", 7004), ("127.0.0.1", 7005), ("127.0.0.1", 7006)),
        "zookeeper-1": (("127.0.0.2", 7004), ("127.0.0.2", 7005), ("127.0.0.2", 7006)),
        "zookeeper-2": (("127.0.0.3", 7004), ("127.0.0.3", 7005), ("127.0.0.3", 7006)),
        "mesos-master": (("127.0.0.1", 7002),),
        "mesos-master-1": (("127.0.0.2", 7002),),
        "scheduler": (("127.0.0.1", 7001),),
        "scheduler-1": (("127.0.0.2", 7001),),
    }
    assert SEVERAL.api_urls == ("http://127.0.0.1:7001", "http://127.0.0.2:7001")


def test_copies_share_no_folder_on_disk() -> None:
    built = parts_of(SEVERAL)
    folders = [built[name].command[-1] for name in ("zookeeper", "zookeeper-1", "zookeeper-2")]
    masters = [built[name].command for name in ("mesos-master", "mesos-master-1")]
    folders += [command[command.index("--work-dir") + 1] for command in masters]
    assert len(set(folders)) == 5


def test_the_mesos_masters_elect_one_that_agents_and_schedulers_follow() -> None:
    servers = "127.0.0.1:7004,127.0.0.2:7004,127.0.0.3:7004"
    taken = localmesos.parser().parse_args(parts_of(SEVERAL)["mesos-master-1"].command[3:])
    assert (taken.ip, taken.zookeeper) == ("127.0.0.2", f"{servers}/mesos")
    taken = localmesos.parser().parse_args(parts_of(SEVERAL)["agent-127.0.0.11"].command[3:])
    assert taken.master == f"zk://{servers}/mesos"
    configuration = configured(SEVERAL)
    assert (configuration.mesos, configuration.zookeeper_hosts) == (f"zk://{servers}/mesos", servers)


def test_agents_stand_in_racks_in_turn() -> None:
    built = parts_of(dataclasses.replace(PLAN, agents=3, racks=2))
    commands = [built[f"agent-127.0.0.{number}"].command[3:] for number in (11, 12, 13)]
    taken = [localmesos.parser().parse_args(command).attributes for command in commands]
    assert taken == ["rack:r1", "rack:r2", "rack:r1"]
    assert "--attributes" not in parts_of(PLAN)["agent-127.0.0.11"].command


def test_schedulers_differ_in_their_address_only() -> None:
    one, other = (parts_of(SEVERAL)[name].command for name in ("scheduler", "scheduler-1"))
    assert [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]] == [("127.0.0.1", "127.0.0.2")]


def test_flags_of_the_mesos_master_win_over_the_plans_own() -> None:
    plan = dataclasses.replace(
        PLAN, mesos_settings=(("offer-interval", "2.5"), ("max-agent-ping-timeouts", "3"), ("heartbeat-seconds", "1"))
    )
    taken = localmesos.parser().parse_args(parts_of(plan)["mesos-master"].command[3:])
    assert (taken.offer_interval, taken.max_agent_ping_timeouts, taken.heartbeat_seconds) == (2.5, 3, 1.0)


def test_masters_that_share_a_journal_have_a_folder_for_it() -> None:
    three = dataclasses.replace(PLAN, agents=3, masters=3)
    assert three.options()["journal-folder"] == "/home/me/project/.local/journal"
    embedded = dataclasses.replace(three, settings=(("journal", "EMBEDDED"),))
    elsewhere = dataclasses.replace(three, settings=(("journal-folder", "hdfs://namenode:8020/journal"),))
    assert "journal-folder" not in embedded.options()
    assert "journal-folder" not in PLAN.options()
    assert elsewhere.options()["journal-folder"] == "hdfs://namenode:8020/journal"


def test_the_scheduler_ends_before_the_agents_and_those_before_what_they_talk_to() -> None:
    ends = sorted(parts_of(PLAN).values(), key=lambda part: part.group)
    assert [(part.name, part.stop_signal) for part in ends] == [
        ("scheduler", "SIGTERM"),
        ("agent-127.0.0.11", "SIGUSR1"),
        ("agent-127.0.0.12", "SIGUSR1"),
        ("mesos-master", "SIGTERM"),
        ("zookeeper", "SIGTERM"),
    ]


def test_an_agent_is_more_patient_than_its_executors_are_slow() -> None:
    configuration = configured(PLAN)
    agent = parts_of(PLAN)["agent-127.0.0.11"]
    grace = float(agent.command[agent.command.index("--executor-shutdown-grace") + 1])
    assert configuration.stop_timeout < grace < agent.patience


def test_localmesos_takes_its_command_lines() -> None:
    master = parts_of(PLAN)["mesos-master"].command
    agent = parts_of(PLAN)["agent-127.0.0.12"].command
    assert master[1:3] == agent[1:3] == ("-m", "localmesos")
    taken = localmesos.parser().parse_args(master[3:])
    assert (taken.kind, taken.ip, taken.port) == ("master", "127.0.0.1", 7002)
    assert taken.work_dir == PLAN.directory / "mesos" / "master"
    taken = localmesos.parser().parse_args(agent[3:])
    assert (taken.kind, taken.ip, taken.port, taken.master) == ("agent", "127.0.0.12", 7003, "127.0.0.1:7002")
    assert taken.executor_reregistration_timeout == 15.0
    assert taken.work_dir == PLAN.directory / "mesos" / "agent-127.0.0.12"
    assert taken.resources == agent_resources(PLAN, configured(PLAN))


def test_the_scheduler_reads_its_command_line_as_the_plan_means_it() -> None:
    command = parts_of(PLAN)["scheduler"].command
    assert command[1:4] == ("-m", "framework", "scheduler")
    options = cli._parser().parse_args(command[3:])
    assert config.read(cli.option_values(vars(options), {})) == configured(PLAN)


def test_settings_win_over_the_small_sizes() -> None:
    plan = dataclasses.replace(PLAN, settings=(("worker-heap", "1GB"), ("security", "NOSASL")))
    configuration = configured(plan)
    assert (configuration.worker_heap, configuration.security) == (1024, "NOSASL")
    command = parts_of(plan)["scheduler"].command
    assert command[command.index("--worker-heap") + 1] == "1GB"


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ((), [Kind.MASTER, Kind.WORKER]),
        ((("proxies", "2"),), [Kind.MASTER, Kind.WORKER, Kind.PROXY]),
        ((("worker-heap", "1GB"), ("master-cpus", "2"), ("worker-disk", "3GB")), [Kind.MASTER, Kind.WORKER]),
    ],
)
def test_each_agent_has_room_for_one_task_of_every_kind(
    settings: tuple[tuple[str, str], ...], kinds: list[Kind]
) -> None:
    plan = dataclasses.replace(PLAN, settings=settings)
    needs = [configured(plan).needs[kind] for kind in kinds]
    resources = agent_resources(plan, configured(plan))
    assert scalars(resources) == {
        "cpus": sum(need.cpus for need in needs) / 1000,
        "mem": sum(need.memory for need in needs),
        "disk": sum(need.disk for need in needs),
    }
    assert resources.endswith(";ports:[7100-7149]")
    assert sum(len(need.ports) for need in needs) <= 50


def test_no_worker_wanted_needs_no_room() -> None:
    plan = dataclasses.replace(PLAN, workers="0")
    assert scalars(agent_resources(plan, configured(plan)))["mem"] == configured(plan).needs[Kind.MASTER].memory


@pytest.mark.parametrize(("workers", "expected"), [("all", 2), ("1", 1), ("0", 0)])
def test_memory_needed_counts_every_task(workers: str, expected: int) -> None:
    plan = dataclasses.replace(PLAN, workers=workers)
    needs = configured(plan).needs
    nothing = dataclasses.replace(PLAN, workers="0")
    alone = memory_needed(nothing, configured(nothing))
    assert alone > needs[Kind.MASTER].memory
    assert memory_needed(plan, configured(plan)) == alone + expected * needs[Kind.WORKER].memory


def test_memory_needed_grows_with_the_tier_and_the_proxies() -> None:
    before = memory_needed(PLAN, configured(PLAN))
    larger = dataclasses.replace(PLAN, ram="96MB")
    assert memory_needed(larger, configured(larger)) == before + 2 * 32
    proxied = dataclasses.replace(PLAN, settings=(("proxies", "3"),))
    proxy = configured(proxied).needs[Kind.PROXY].memory
    assert memory_needed(proxied, configured(proxied)) == before + 3 * proxy


def test_memory_needed_counts_the_copies_of_every_service() -> None:
    before = memory_needed(PLAN, configured(PLAN))
    for copy in ({"schedulers": 2}, {"mesos_masters": 2}, {"zookeepers": 3}):
        plan = dataclasses.replace(PLAN, **copy)  # type: ignore[arg-type]
        assert memory_needed(plan, configured(plan)) > before
    # Each agent has room for a master, so that it is counted once for each master and not for each agent.
    three = dataclasses.replace(PLAN, masters=3)
    assert memory_needed(three, configured(PLAN)) == before + 2 * configured(PLAN).needs[Kind.MASTER].memory


def test_tier_folders_lie_on_the_tmpfs_apart_from_other_clusters() -> None:
    folders = tier_folders(PLAN, configured(PLAN))
    assert [folder.name for folder in folders] == ["worker-0", "worker-1"]
    assert {folder.parent.parent for folder in folders} == {PLAN.ram_directory}
    assert PLAN.ram_directory.parent == Path("/dev/shm")
    other = dataclasses.replace(PLAN, directory=Path("/home/you/project/.local"))
    assert other.ram_directory != PLAN.ram_directory


def test_zookeeper_listens_on_loopback_only_and_keeps_its_data_in_the_folder() -> None:
    lines = dict(line.split("=", 1) for line in zookeeper_configuration(PLAN, 0).splitlines())
    assert (lines["clientPort"], lines["clientPortAddress"]) == ("7004", "127.0.0.1")
    assert lines["dataDir"] == "/home/me/project/.local/zookeeper/data"
    assert lines["admin.enableServer"] == "false"
    command = parts_of(PLAN)["zookeeper"].command
    assert (command[0], command[-1]) == (JAVA, "/home/me/project/.local/zookeeper/zoo.cfg")


def test_the_servers_of_an_ensemble_know_each_other() -> None:
    second = dict(line.split("=", 1) for line in zookeeper_configuration(SEVERAL, 1).splitlines())
    assert (second["clientPortAddress"], second["dataDir"]) == (
        "127.0.0.2",
        "/home/me/project/.local/zookeeper-1/data",
    )
    assert {key: value for key, value in second.items() if key.startswith("server.")} == {
        "server.1": "127.0.0.1:7005:7006",
        "server.2": "127.0.0.2:7005:7006",
        "server.3": "127.0.0.3:7005:7006",
    }
    assert "server.1" not in zookeeper_configuration(PLAN, 0)


def test_the_under_storage_is_a_folder_of_the_cluster_unless_named() -> None:
    assert configured(PLAN).under_storage == "/home/me/project/.local/under-storage"
    named = dataclasses.replace(PLAN, under_storage="s3://bucket/folder")
    assert configured(named).under_storage == "s3://bucket/folder"


CHANGES = (
    {"agents": 3},
    {"racks": 2},
    {"masters": 2},
    {"schedulers": 2},
    {"zookeepers": 3},
    {"mesos_masters": 2},
    {"mesos_settings": (("heartbeat-seconds", "1"),)},
    {"workers": "1"},
    {"ram": "128MB"},
    {"under_storage": "/elsewhere"},
    {"ports": Ports()},
    {"settings": (("security", "NOSASL"),)},
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_another_cluster_is_another_document(change: dict[str, object]) -> None:
    changed = dataclasses.replace(PLAN, **change)  # type: ignore[arg-type]
    assert changed.as_document() != PLAN.as_document()
    assert dataclasses.replace(changed).as_document() == changed.as_document()


def test_where_the_jars_lie_makes_no_other_cluster() -> None:
    assert dataclasses.replace(PLAN, artefacts=Path("/elsewhere")).as_document() == PLAN.as_document()
