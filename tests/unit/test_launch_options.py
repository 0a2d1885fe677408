"""Each option does what its row says in what an agent is told: a TaskInfo, with the launch document in it."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any, Final

import pytest

from framework import launch, option_table
from framework.config import Configuration, read
from framework.matching import answers
from framework.messages import Decline, GiveBack, Launch
from framework.model import Kind, Offer, Range, Record, Report, Resource, TaskState
from framework.option_table import Option
from framework.planner import State
from framework.state import openings

NOW: Final = 1000.0
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


# Ports ----------------------------------------------------------------------------------------------------------------


def launches(offered: Range, **options: str) -> list[Launch | Decline]:
    """What becomes of one large offer, with a master that serves on another agent unless one is asked for."""
    wanted = configuration({name.replace("_", "-"): text for name, text in options.items()}).wanted
    resources = (
        Resource("cpus", "*", 16_000),
        Resource("mem", "*", 64_000_000),
        Resource("disk", "*", 64_000_000),
        Resource("ports", "*", 0, (offered,)),
    )
    master = dataclasses.replace(RECORDS[Kind.MASTER], hostname="agent-0", deployed=True, formatted=True)
    report = Report(master.task_id, TaskState.RUNNING, "S0", 1.0, 1.0, healthy=True)
    serving = {"records": {master.slot: master}, "reports": {master.task_id: report}}
    state = State(
        wanted=wanted,
        connected=True,
        offers={"O1": Offer("O1", "S1", "agent-1", resources)},
        **({} if options.get("workers") == "0" and "proxies" not in options else serving),
    )
    return [answer for answer in answers(state, openings(state, NOW), NOW) if not isinstance(answer, GiveBack)]


PORT_OPTIONS: Final = [(kind, option) for kind, options in option_table.PORT_OPTIONS.items() for option in options]
ONLY: Final = {
    Kind.MASTER: {"workers": "0", "journal": "EMBEDDED"},
    Kind.WORKER: {"workers": "1"},
    Kind.PROXY: {"workers": "0", "proxies": "1"},
}


@pytest.mark.parametrize(("kind", "option"), PORT_OPTIONS, ids=lambda part: getattr(part, "name", part))
def test_a_fixed_port_is_what_the_process_listens_at(kind: Kind, option: Option) -> None:
    options = ONLY[kind] | {option.attribute: "31055"}
    [launch_of] = launches(Range(31000, 31100), **options)
    assert isinstance(launch_of, Launch)
    [record] = launch_of.records
    assert (record.kind, record.ports[option.port]) == (kind, 31055)
    assert len(set(record.ports.values())) == len(record.ports)
    configured = configuration({name.replace("_", "-"): text for name, text in options.items()})
    sources = launch.Sources("http://e/e.pyz", "http://a/a.tar.gz")
    masters = [record if kind is Kind.MASTER else RECORDS[Kind.MASTER]]
    info = launch.task_info(configured, sources, "f", record, launch_of.resources[0], masters)
    [ports] = [resource for resource in info["resources"] if resource["name"] == "ports"]
    spans = [range(span["begin"], span["end"] + 1) for span in ports["ranges"]["range"]]
    assert any(31055 in span for span in spans)
    named = {port["name"]: port["number"] for port in info["discovery"]["ports"]["ports"]}
    assert named[option.port.replace("_", "-")] == 31055
    found = properties(info | {"data": json.loads(base64.b64decode(info["data"]))})
    assert "31055" in [value.rpartition(":")[2] for name, value in found.items() if "port" in name or "address" in name]


@pytest.mark.parametrize(("kind", "option"), PORT_OPTIONS, ids=lambda part: getattr(part, "name", part))
def test_a_fixed_port_that_is_not_offered_is_the_reason(kind: Kind, option: Option) -> None:
    [answer] = launches(Range(31000, 31100), **ONLY[kind], **{option.attribute: "19998"})
    assert isinstance(answer, Decline)
    assert answer.reason == (
        f"does not offer port 19998, at which its {option.port} port is fixed: it offers 31000-31100"
    )


def test_what_may_have_any_port_leaves_those_that_are_fixed() -> None:
    fixed = {"worker_rpc_port": "31000", "worker_web_port": "31001"}
    [answer] = launches(Range(31000, 31100), workers="0", **fixed)
    assert isinstance(answer, Launch)
    [master] = answer.records
    assert sorted(master.ports.values()) == [31002, 31003, 31004, 31005]


# Containers -----------------------------------------------------------------------------------------------------------


def mounted(info: Json) -> dict[str, str]:
    """The agent's folders by where the container has them."""
    volumes = info["executor"]["container"].get("volumes", [])
    assert {volume["mode"] for volume in volumes} <= {"RW"}
    return {volume["container_path"]: volume["source"]["host_path"]["path"] for volume in volumes}


def test_tasks_run_on_the_bare_agent_by_default() -> None:
    for kind in Kind:
        info = told(kind)
        assert "container" not in info["executor"]
        assert "container" not in info


@pytest.mark.parametrize("kind", Kind)
def test_an_image_is_what_the_executor_runs_in(kind: Kind) -> None:
    info = told(kind, image="registry.example/jre:17", under_storage="s3://bucket/")
    container = info["executor"]["container"]
    assert container["type"] == "MESOS"
    assert container["mesos"] == {"image": {"type": "DOCKER", "docker": {"name": "registry.example/jre:17"}}}
    assert "container" not in info  # with an executor of its own a task has none
    assert info["executor"]["command"] == told(kind)["executor"]["command"]  # Alluxio comes in the bundle as ever


def test_in_an_image_the_folders_are_those_of_the_agent() -> None:
    options = {"image": "jre:17", "data_dir": "/mnt/{agent}/data", "under_storage": "s3://bucket/"}
    worker, master = told(Kind.WORKER, worker_ssd="1GB", **options), told(Kind.MASTER, **options)
    data, ram = "/mnt/alluxio-mesos/data", "/mnt/alluxio-mesos/ram"
    assert mounted(worker) == {data: "/mnt/agent-1/data", ram: "/dev/shm/alluxio-mesos"}
    assert mounted(master) == {data: "/mnt/agent-1/data"}
    assert mounted(told(Kind.PROXY, **options)) == {}
    folders = [folder["path"] for info in (worker, master) for folder in info["data"]["directories"]]
    assert folders == [
        f"{ram}/alluxio/worker-0",
        f"{data}/alluxio/worker-0/ssd",
        "${SANDBOX}/tmp",
        f"{data}/alluxio/master-0/journal",
        f"{data}/alluxio/master-0/metastore",
        "${SANDBOX}/tmp",
    ]
    assert worker["data"]["lock"] == f"{ram}/alluxio/worker-0@agent-1.lock"
    assert properties(master)["alluxio.master.journal.folder"] == f"{data}/alluxio/master-0/journal"
    # Nothing else names a folder that is not there.
    assert not any(own in json.dumps(info["data"]) for info in (worker, master) for own in ("/dev/shm", "/mnt/agent-1"))


def test_what_is_known_by_its_path_has_it_in_an_image_too() -> None:
    options = {"image": "jre:17", "masters": "3", "journal_folder": "/nfs/journals", "under_storage": "/nfs/data"}
    assert {"/nfs/journals": "/nfs/journals", "/nfs/data": "/nfs/data"}.items() <= mounted(
        told(Kind.MASTER, **options)
    ).items()
    assert set(mounted(told(Kind.WORKER, **options))) & {"/nfs/data", "/nfs/journals"} == {"/nfs/data"}


@pytest.mark.parametrize("kind", Kind)
def test_a_network_maps_each_port_of_the_agent_to_the_same_one(kind: Kind) -> None:
    info = told(kind, network="dcos", network_labels="group=cache;zone=a")
    container = info["executor"]["container"]
    assert container.keys() == {"type", "network_infos"}
    [network] = container["network_infos"]
    assert network["name"] == "dcos"
    assert network["labels"] == {"labels": [{"key": "group", "value": "cache"}, {"key": "zone", "value": "a"}]}
    ports = RECORDS[kind].ports.values()
    assert network["port_mappings"] == [
        {"host_port": port, "container_port": port, "protocol": "tcp"} for port in ports
    ]
    assert "labels" not in told(kind, network="dcos")["executor"]["container"]["network_infos"][0]


@pytest.mark.parametrize("kind", Kind)
def test_in_a_network_a_process_listens_everywhere_and_is_known_by_its_agent(kind: Kind) -> None:
    plain, inside = told(kind), told(kind, network="dcos")
    assert properties(inside) == properties(plain)
    assert {value for name, value in properties(inside).items() if name.endswith("bind.host")} == {"0.0.0.0"}
    for process in inside["data"]["processes"]:
        for probe in (process["ready"], process["alive"]):
            assert probe.get("host", probe.get("url", "")).removeprefix("http://").startswith("127.0.0.1")


# Names ----------------------------------------------------------------------------------------------------------------


def labelled(info: Json) -> dict[str, str]:
    """The VIPs by the names of their ports."""
    found = {}
    for port in info["discovery"]["ports"]["ports"]:
        for label in port.get("labels", {}).get("labels", []):
            assert label["key"] == "VIP_0"
            found[port["name"]] = label["value"]
    return found


def test_vips_are_labels_of_the_ports_that_clients_come_to() -> None:
    assert [labelled(told(kind)) for kind in Kind] == [{}, {}, {}]
    assert labelled(told(Kind.MASTER, vips="yes")) == {"rpc": "/master:19998", "web": "/web:19999"}
    assert labelled(told(Kind.WORKER, vips="yes")) == {}
    assert labelled(told(Kind.PROXY, vips="yes")) == {"web": "/s3:39999"}


def test_of_several_masters_none_has_a_vip_as_only_one_of_them_serves() -> None:
    assert labelled(told(Kind.MASTER, vips="yes", masters="3", journal_folder="/nfs")) == {}
    assert labelled(told(Kind.PROXY, vips="yes", masters="3", journal_folder="/nfs")) == {"web": "/s3:39999"}


def test_the_ports_of_a_task_have_names() -> None:
    info = told(Kind.WORKER, name="cache")
    assert (info["discovery"]["name"], info["discovery"]["visibility"]) == ("worker-0.cache", "FRAMEWORK")
    named = {port["name"]: (port["number"], port["protocol"]) for port in info["discovery"]["ports"]["ports"]}
    assert named == {name.replace("_", "-"): (port, "tcp") for name, port in RECORDS[Kind.WORKER].ports.items()}


# Secrets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_a_secret_is_named_and_its_agent_puts_it_in(kind: Kind) -> None:
    info = told(kind, secret_environment="AWS_SECRET_ACCESS_KEY=cache/s3;A=b", environment="A=plain;C=d")
    found = info["executor"]["command"]["environment"]["variables"]
    assert found == [
        {"name": "A", "type": "SECRET", "secret": {"type": "REFERENCE", "reference": {"name": "b"}}},
        {"name": "C", "type": "VALUE", "value": "d"},
        {
            "name": "AWS_SECRET_ACCESS_KEY",
            "type": "SECRET",
            "secret": {"type": "REFERENCE", "reference": {"name": "cache/s3"}},
        },
    ]
    assert "container" not in info["executor"]


@pytest.mark.parametrize("kind", Kind)
def test_a_secret_that_is_a_file_lies_in_the_sandbox(kind: Kind) -> None:
    container = told(kind, secret_files="ca.pem=cache/ca")["executor"]["container"]
    assert container == {
        "type": "MESOS",
        "volumes": [
            {
                "mode": "RO",
                "container_path": "secrets/ca.pem",
                "source": {"type": "SECRET", "secret": {"type": "REFERENCE", "reference": {"name": "cache/ca"}}},
            }
        ],
    }
    volumes = told(kind, secret_files="ca.pem=cache/ca", image="jre:17")["executor"]["container"]["volumes"]
    assert volumes[-1:] == container["volumes"]


@pytest.mark.parametrize("kind", [Kind.MASTER, Kind.WORKER])
def test_a_principal_of_hdfs_logs_in_with_a_file_of_the_agent_or_with_a_secret(kind: Kind) -> None:
    principal = "alluxio/_HOST@REALM"
    for keytab, option in (
        ("/etc/alluxio.keytab", {"hdfs_keytab": "/etc/alluxio.keytab"}),
        ("${SANDBOX}/secrets/hdfs.keytab", {"hdfs_keytab_secret": "cache/keytab"}),
    ):
        info = told(kind, hdfs_principal=principal, **option)
        for process in launch.PROCESSES[kind]:
            found = properties(info, "" if process.name == kind.value else process.name)
            assert {name: value for name, value in found.items() if "principal" in name or "keytab" in name} == {
                "alluxio.master.principal": principal,
                "alluxio.master.keytab.file": keytab,
                "alluxio.worker.principal": principal,
                "alluxio.worker.keytab.file": keytab,
            }
        volumes = info["executor"].get("container", {}).get("volumes", [])
        assert [volume["container_path"] for volume in volumes] == (
            ["secrets/hdfs.keytab"] if "hdfs_keytab_secret" in option else []
        )
    in_image = told(kind, hdfs_principal=principal, hdfs_keytab="/etc/alluxio.keytab", image="jre:17")
    assert mounted(in_image)["/etc/alluxio.keytab"] == "/etc/alluxio.keytab"


def test_a_proxy_has_no_principal() -> None:
    proxy = told(Kind.PROXY, hdfs_principal="p", hdfs_keytab_secret="k")
    assert proxy == told(Kind.PROXY)
