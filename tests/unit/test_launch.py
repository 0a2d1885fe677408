"""What an agent is told: the launch document and Alluxio's properties, for each way to keep a journal."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from executor import document as executor_document
from framework import launch, site, wire
from framework.config import Configuration, read
from framework.messages import Launch
from framework.model import Kind, NewVolume, Offer, Record, Resource, Volume

MASTER_PORTS = {"rpc": 31000, "web": 31001, "job_rpc": 31002, "job_web": 31003, "journal": 31004, "job_journal": 31005}
MASTERS = [
    Record(Kind.MASTER, index, 1, f"S{index}", f"127.0.0.{11 + index}", MASTER_PORTS, "c", 0.0) for index in range(3)
]
WORKER_PORTS = {"rpc": 31010, "web": 31011, "job_rpc": 31012, "job_data": 31013, "job_web": 31014}
WORKER = Record(Kind.WORKER, 0, 1, "S0", "127.0.0.11", WORKER_PORTS, "c", 0.0)
PROXY = Record(Kind.PROXY, 0, 1, "S0", "127.0.0.11", {"web": 31020}, "c", 0.0)
SHARED = {"masters": "3", "journal-folder": "/nfs/journals"}
EMBEDDED = {"masters": "3", "journal": "EMBEDDED"}


def configuration(**options: str) -> Configuration:
    given = {"mesos": "m:1", "zookeeper": "z1:2181,z2:2181/a", "under-storage": "/data", "artefacts": "/srv"}
    found = read({**given, **{name.replace("_", "-"): value for name, value in options.items()}})
    assert isinstance(found, Configuration), found
    return found


def document(configured: Configuration, record: Record) -> dict[str, Any]:
    return launch.launch_document(configured, record, MASTERS)


def of_process(found: dict[str, Any], name: str) -> dict[str, Any]:
    process: dict[str, Any] = next(process for process in found["processes"] if process["name"] == name)
    return process


# The masters' addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [MASTERS[1], WORKER], ids=["master", "worker"])
def test_with_a_shared_journal_the_primary_is_looked_up_in_zookeeper(record: Record) -> None:  # C28, alluxio#12125
    properties = site.properties(configuration(**SHARED, zookeeper_session="4s"), record, MASTERS)
    assert {name: value for name, value in properties.items() if "zookeeper" in name} == {
        "alluxio.zookeeper.enabled": "true",
        "alluxio.zookeeper.address": "z1:2181,z2:2181",
        "alluxio.zookeeper.session.timeout": "4000ms",
        "alluxio.zookeeper.election.path": "/a/alluxio/election",
        "alluxio.zookeeper.leader.path": "/a/alluxio/leader",
        "alluxio.zookeeper.job.election.path": "/a/alluxio/job-election",
        "alluxio.zookeeper.job.leader.path": "/a/alluxio/job-leader",
        "alluxio.zookeeper.leader.connection.error.policy": "STANDARD",
    }
    own = "127.0.0.12" if record.kind is Kind.MASTER else None
    assert properties.get("alluxio.master.hostname") == own


def test_masters_share_the_folder_of_their_service_and_keep_their_metadata_apart() -> None:
    found = [site.properties(configuration(**SHARED), master, MASTERS) for master in MASTERS]
    assert {properties["alluxio.master.journal.folder"] for properties in found} == {"/nfs/journals/alluxio/journal"}
    assert len({properties["alluxio.master.metastore.dir"] for properties in found}) == 3
    # One that lost the lead must not live on to take it a second time, beside another.
    assert {properties["alluxio.master.journal.exit.on.demotion"] for properties in found} == {"true"}


@pytest.mark.parametrize("record", [MASTERS[1], WORKER], ids=["master", "worker"])
def test_with_the_embedded_journal_every_process_knows_every_master(record: Record) -> None:  # C28, alluxio#12125
    properties = site.properties(configuration(**EMBEDDED), record, MASTERS)
    assert {name: value for name, value in properties.items() if name.endswith(".addresses")} == {
        f"alluxio.{name}.addresses": ",".join(f"127.0.0.{host}:{port}" for host in (11, 12, 13))
        for name, port in (
            ("master.rpc", 31000),
            ("job.master.rpc", 31002),
            ("master.embedded.journal", 31004),
            ("job.master.embedded.journal", 31005),
        )
    }
    assert not any("zookeeper" in name for name in properties)


def test_the_only_master_is_known_by_its_address() -> None:
    properties = site.properties(configuration(), WORKER, MASTERS[:1])
    assert (properties["alluxio.master.hostname"], properties["alluxio.master.rpc.port"]) == ("127.0.0.11", "31000")
    assert properties["alluxio.worker.hostname"] == "127.0.0.11"


def test_the_operators_properties_win() -> None:
    configured = configuration(properties="alluxio.master.worker.connect.wait.time=9sec;a.b=c")
    properties = site.properties(configured, MASTERS[0], MASTERS[:1])
    assert (properties["alluxio.master.worker.connect.wait.time"], properties["a.b"]) == ("9sec", "c")


# Readiness ------------------------------------------------------------------------------------------------------------


def test_a_standby_master_is_ready_when_its_port_is_open() -> None:  # C28
    """It serves no page before it is the primary."""
    for options in (SHARED, EMBEDDED):
        found = document(configuration(**options), MASTERS[0])
        ready = [of_process(found, name)["ready"] for name in ("master", "job-master")]
        assert [(probe["kind"], probe["host"], probe["port"]) for probe in ready] == [
            ("tcp", "127.0.0.11", 31000),
            ("tcp", "127.0.0.11", 31002),
        ]


def test_the_only_master_is_ready_when_it_answers() -> None:
    ready = of_process(document(configuration(), MASTERS[0]), "master")["ready"]
    assert ready == {"kind": "http", "url": "http://127.0.0.11:31001/api/v1/master/info", "seconds": 120.0}


def test_a_process_that_is_ready_is_looked_at_again_and_again() -> None:
    alive = of_process(document(configuration(), WORKER), "worker")["alive"]
    assert alive == {
        "kind": "http",
        "url": "http://127.0.0.11:31011/api/v1/worker/info",
        "every_seconds": 5.0,
        "failures": 6,
        "timeout_seconds": 5.0,
    }


# The guards of the journal ------------------------------------------------------------------------------------------


def formatting(configured: Configuration, *, formatted: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = document(configured, dataclasses.replace(MASTERS[0], formatted=formatted))
    checks: list[dict[str, Any]] = found["checks"]
    steps = [
        {key: step.get(key) for key in ("name", "unless_exists", "creates")}
        for step in found["prepare"]
        if step["name"] == "format"
    ]
    return checks, steps


def folders(options: dict[str, str]) -> str:
    return "/nfs/journals/alluxio" if options is SHARED else "/var/lib/alluxio-mesos/alluxio/master-0"


@pytest.mark.parametrize("options", [{}, SHARED, EMBEDDED], ids=["local", "shared", "embedded"])
def test_a_first_master_formats_only_what_is_empty(options: dict[str, str]) -> None:  # C30
    base = folders(options)
    [check], [step] = formatting(configuration(**options), formatted=False)
    assert (check["kind"], check["path"], check["marker"]) == (
        "empty-unless",
        f"{base}/journal",
        f"{base}/journal-formatted",
    )
    assert f"{base}/journal holds files of unknown origin" in check["sentence"]
    assert "--format yes" in check["sentence"]
    assert step == {
        "name": "format",
        "unless_exists": f"{base}/journal-formatted",
        "creates": f"{base}/journal-formatted",
    }


@pytest.mark.parametrize("options", [{}, SHARED, EMBEDDED], ids=["local", "shared", "embedded"])
def test_a_journal_that_served_is_never_formatted_and_must_be_there(options: dict[str, str]) -> None:  # C30
    base = folders(options)
    [check], steps = formatting(configuration(**options), formatted=True)
    assert steps == []
    assert (check["kind"], check["path"]) == ("exists", f"{base}/journal-formatted")
    assert check["sentence"].startswith(f"the journal at {base} is gone, although it was in use: mount its storage")


@pytest.mark.parametrize("formatted", [False, True])
def test_the_operators_word_lets_a_lost_journal_begin_anew_but_never_one_that_is_there(formatted: bool) -> None:  # C30
    checks, [step] = formatting(configuration(**SHARED, format="yes"), formatted=formatted)
    assert checks == []
    assert step["unless_exists"] == "/nfs/journals/alluxio/journal-formatted"


def test_a_journal_that_the_agent_cannot_look_into_is_formatted_on_the_operators_word_alone() -> None:  # C30
    options = {"masters": "3", "journal_folder": "hdfs://n:8020/journals"}
    assert formatting(configuration(**options), formatted=False) == ([], [])
    assert formatting(configuration(**options, format="yes"), formatted=True) == ([], [])
    _, [step] = formatting(configuration(**options, format="yes"), formatted=False)
    assert step["unless_exists"] is None


@pytest.mark.parametrize("options", [{}, SHARED, EMBEDDED], ids=["local", "shared", "embedded"])
@pytest.mark.parametrize("record", [MASTERS[0], WORKER, PROXY], ids=["master", "worker", "proxy"])
def test_the_executor_reads_what_the_scheduler_writes(options: dict[str, str], record: Record) -> None:
    read_document = executor_document.read(document(configuration(**options), record))
    assert isinstance(read_document, executor_document.LaunchDocument), read_document
    assert (read_document.slot, read_document.role) == (record.slot, record.kind.value)


def test_no_two_copies_work_on_the_same_folders() -> None:
    locks = [document(configuration(ram_dir="/shm"), record).get("lock") for record in (MASTERS[1], WORKER, PROXY)]
    assert locks == [
        "/var/lib/alluxio-mesos/alluxio/master-1@127.0.0.12.lock",
        "/shm/alluxio/worker-0@127.0.0.11.lock",
        None,
    ]


def test_workers_format_nothing() -> None:
    found = document(configuration(format="yes"), WORKER)
    assert (found["checks"], found["prepare"]) == ([], [])


# A worker's tiers -----------------------------------------------------------------------------------------------------


def levels(configured: Configuration, record: Record) -> dict[str, str]:
    start = "alluxio.worker.tieredstore."
    properties = site.properties(configured, record, MASTERS[:1])
    return {name.removeprefix(start): value for name, value in properties.items() if name.startswith(start)}


@pytest.mark.parametrize(
    ("sizes", "reserved"),
    [
        ({"worker_ram": "64MB"}, None),
        ({"worker_ram": "64MB", "worker_ssd": "2GB"}, "8MB"),
        ({"worker_ram": "64GB", "worker_ssd": "512MB", "worker_hdd": "2TB"}, "64MB"),
        ({"worker_ram": "64GB", "worker_hdd": "2TB"}, "1024MB"),
    ],
)
def test_what_is_kept_free_to_swap_blocks_is_a_part_of_the_smallest_tier(
    sizes: dict[str, str], reserved: str | None
) -> None:
    properties = site.properties(configuration(**sizes), WORKER, MASTERS[:1])
    assert properties.get("alluxio.worker.management.tier.align.reserved.bytes") == reserved


@pytest.mark.parametrize(
    ("sizes", "limits"),
    [
        ({"worker_ram": "64MB"}, (None, None)),
        ({"worker_ram": "16MB", "worker_ssd": "2GB"}, ("4MB", "1MB")),
        ({"worker_ram": "256MB", "worker_hdd": "2GB"}, ("64MB", "16MB")),
        ({"worker_ram": "64GB", "worker_ssd": "2TB"}, ("256MB", "64MB")),
    ],
)
def test_a_small_memory_tier_is_filled_before_the_next_one(
    sizes: dict[str, str], limits: tuple[str | None, str | None]
) -> None:
    properties = site.properties(configuration(**sizes), WORKER, MASTERS[:1])
    names = [f"alluxio.worker.reviewer.probabilistic.{limit}limit.bytes" for limit in ("soft", "hard")]
    assert tuple(properties.get(name) for name in names) == limits


def test_tiers_without_volumes_lie_in_folders_that_outlive_the_task() -> None:
    configured = configuration(worker_ram="64MB", worker_hdd="2GB")
    assert levels(configured, WORKER) == {
        "levels": "2",
        "level0.alias": "MEM",
        "level0.dirs.path": "/dev/shm/alluxio-mesos/alluxio/worker-0",
        "level0.dirs.quota": "64MB",
        "level0.dirs.mediumtype": "MEM",
        "level1.alias": "HDD",
        "level1.dirs.path": "/var/lib/alluxio-mesos/alluxio/worker-0/hdd",
        "level1.dirs.quota": "2048MB",
        "level1.dirs.mediumtype": "HDD",
    }
    assert document(configured, WORKER)["directories"] == [
        {"path": "/dev/shm/alluxio-mesos/alluxio/worker-0", "bytes": 64 << 20, "purpose": "MEM tier"},
        {"path": "/var/lib/alluxio-mesos/alluxio/worker-0/hdd", "bytes": 2 << 30, "purpose": "HDD tier"},
    ]


def test_tiers_on_volumes_lie_in_the_sandbox_and_leave_a_margin() -> None:
    configured = configuration(worker_ssd="1GB", worker_hdd="1GB", persistent_volumes="yes")
    volumes = (Volume("ssd", "a", 1000), Volume("hdd", "b", 1024))  # the first was made with another size
    found = levels(configured, dataclasses.replace(WORKER, volumes=volumes))
    assert [found[f"level{number}.alias"] for number in range(3)] == ["MEM", "SSD", "HDD"]
    assert [found[f"level{number}.dirs.path"] for number in (1, 2)] == ["${SANDBOX}/ssd", "${SANDBOX}/hdd"]
    assert [found[f"level{number}.dirs.quota"] for number in (1, 2)] == ["980MB", "1003MB"]


# What Mesos is told of a task ----------------------------------------------------------------------------------------


def info(configured: Configuration, record: Record = WORKER) -> dict[str, Any]:
    sources = launch.Sources("http://api/artefacts/0123/e.pyz", "http://api/artefacts/4567/a.tar.gz", "http://j/j.tgz")
    taken = [Resource("cpus", "alluxio", 1000), Resource("mem", "alluxio", 1_000_000)]
    return launch.task_info(configured, sources, "framework-1", record, taken, MASTERS[:1])


def test_the_executors_share_is_part_of_what_was_taken() -> None:  # C17
    found = info(configuration())
    amounts = [
        {resource["name"]: resource["scalar"]["value"] for resource in part["resources"]}
        for part in (found, found["executor"])
    ]
    assert amounts == [{"cpus": 0.95, "mem": 952.0}, {"cpus": 0.05, "mem": 48.0}]


def test_what_is_fetched_is_cached_under_an_address_of_its_content() -> None:  # C20
    assert info(configuration())["executor"]["command"]["uris"] == [
        {
            "value": "http://api/artefacts/0123/e.pyz",
            "extract": False,
            "cache": True,
            "output_file": "alluxio-mesos-executor.pyz",
        },
        {"value": "http://api/artefacts/4567/a.tar.gz", "extract": True, "cache": True},
        {"value": "http://j/j.tgz", "extract": True, "cache": True},
    ]


def test_jars_of_under_storages_are_fetched_and_named_to_alluxio() -> None:
    configured = configuration(under_storage_jars="https://x/a-1.jar, /srv/b.jar")
    sources = launch.Sources("http://e", "http://a", extensions=configured.under_storage_jars)
    taken = [Resource("cpus", "alluxio", 1000), Resource("mem", "alluxio", 1_000_000)]
    found = launch.task_info(configured, sources, "framework-1", WORKER, taken, MASTERS[:1])
    assert found["executor"]["command"]["uris"][2:] == [
        {"value": uri, "extract": False, "cache": True, "output_file": f"under-storages/{name}"}
        for uri, name in (("https://x/a-1.jar", "a-1.jar"), ("/srv/b.jar", "b.jar"))
    ]
    flag = "-Dalluxio.extensions.dir=${SANDBOX}/under-storages"
    assert all(flag in process["command"] for process in document(configured, WORKER)["processes"])
    assert flag not in of_process(document(configuration(), WORKER), "worker")["command"]


def test_a_task_has_time_to_end() -> None:  # C25
    found = info(configuration(stop_timeout="20s"))
    grace = {"nanoseconds": 25_000_000_000}
    assert (found["kill_policy"], found["executor"]["shutdown_grace_period"]) == ({"grace_period": grace}, grace)
    assert launch.launch_document(configuration(stop_timeout="20s"), WORKER, MASTERS[:1])["stop_seconds"] == 20.0


def test_a_task_carries_the_id_of_its_configuration() -> None:  # C29
    labels = {label["key"]: label["value"] for label in info(configuration())["labels"]["labels"]}
    assert labels == {"alluxio-mesos.slot": "worker-0", "alluxio-mesos.configuration": "c"}


def test_volumes_are_the_executors() -> None:
    volume = Volume("ssd", "framework-1.worker-0.1.ssd", 64)
    plain = Resource("disk", "alluxio", 64_000)
    effect = Launch(Offer("O1", "S0", "127.0.0.11", ()), (WORKER,), ((),), (NewVolume("worker-0", volume, plain),))
    owner = wire.Owner("alluxio", "framework-1", "ops")
    made = launch.new_volumes(effect, WORKER, owner)
    assert made == (wire.claimed(plain, "worker-0", volume, owner),)
    assert launch.new_volumes(effect, PROXY, owner) == ()
    offered = (Resource("cpus", "alluxio", 1000), Resource("mem", "alluxio", 1_000_000), Resource("disk", "alluxio", 1))
    sources = launch.Sources("http://e", "http://a")
    info = launch.task_info(configuration(), sources, "framework-1", WORKER, (*offered, *made), MASTERS[:1])
    names = [[resource["name"] for resource in part["resources"]] for part in (info, info["executor"])]
    assert names == [["cpus", "mem", "disk"], ["disk", "cpus", "mem"]]
    assert info["executor"]["resources"][0] == wire.mesos_resources(made)[0]


@pytest.mark.parametrize("record", [MASTERS[1], WORKER], ids=["master", "worker"])
def test_agents_that_share_a_file_system_have_folders_of_their_own(record: Record) -> None:
    configured = configuration(**EMBEDDED, data_dir="/mnt/{agent}/data", ram_dir="/dev/shm/{agent}")
    found = json.dumps(document(configured, record))
    own = f"/mnt/{record.hostname}/data/" if record.kind is Kind.MASTER else f"/dev/shm/{record.hostname}/"
    assert "{agent}" not in found
    assert own in found


@pytest.mark.parametrize("options", [SHARED, EMBEDDED], ids=["shared", "embedded"])
def test_a_worker_notices_that_the_primarys_host_is_cut_off(options: dict[str, str]) -> None:
    found = site.properties(configuration(**options), WORKER, MASTERS)
    assert found["alluxio.user.network.rpc.keepalive.time"] == "10sec"
    assert found["alluxio.user.network.rpc.keepalive.timeout"] == "15sec"  # as long as a block may take that it loads
    masters = site.properties(configuration(**options), MASTERS[0], MASTERS)
    assert masters["alluxio.master.network.permit.keepalive.time"] == "5sec"  # the more frequent question is allowed
    assert masters["alluxio.user.network.rpc.keepalive.timeout"] == "5sec"


@pytest.mark.parametrize(("direct", "blocks"), [("32MB", "1"), ("512MB", "1"), ("1GB", "2"), ("4GB", "8")])
def test_a_worker_loads_no_more_blocks_at_once_than_its_direct_memory_holds(direct: str, blocks: str) -> None:
    found = site.properties(configuration(worker_direct=direct), MASTERS[0], MASTERS[:1])
    assert found["alluxio.job.batch.size"] == blocks


# The last word --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "record", "folders"),
    [
        ({}, MASTERS[0], ["/d/alluxio/master-0"]),
        (SHARED, MASTERS[1], ["/d/alluxio/master-1"]),  # the journal lies elsewhere, for all of them, and stays
        ({"worker-ssd": "1GB"}, WORKER, ["/r/alluxio/worker-0", "/d/alluxio/worker-0/ssd"]),
        ({"worker-ssd": "1GB", "persistent-volumes": "yes"}, WORKER, ["/r/alluxio/worker-0"]),
        ({}, PROXY, []),
    ],
)
def test_with_the_service_go_the_folders_of_its_tasks(
    options: dict[str, str], record: Record, folders: list[str]
) -> None:
    configured = configuration(**{"data-dir": "/d", "ram-dir": "/r", **options})
    if options.get("persistent-volumes"):
        record = dataclasses.replace(record, volumes=(Volume("ssd", "framework-1.worker-0.1.ssd", 1024),))
    assert json.loads(launch.last_word(configured, record)) == {"discard": folders}
    read_by_the_executor = executor_document.read(document(configured, record))
    assert isinstance(read_by_the_executor, executor_document.LaunchDocument)
    own = {folder.path for folder in read_by_the_executor.folders}
    assert set(folders) <= own | {path.rpartition("/")[0] for path in own}
