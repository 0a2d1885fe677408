"""What an agent is told: a TaskInfo for a record, with the launch document that the executor follows. Jinja's only
home.

The tables below say which processes a kind runs, on which ports, with which Alluxio properties. What only the agent
knows stays a placeholder that the executor fills: ``${SANDBOX}``, ``${ALLUXIO_HOME}``, ``${CLASS_PATH}`` and
``${JAVA}``.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import jinja2

from framework import offers, site, vips, wire
from framework.config import Configuration
from framework.messages import Launch
from framework.model import Journal, Kind, Record, Resource
from framework.sizing import EXECUTOR_CPUS, EXECUTOR_MEMORY

DOCUMENT_VERSION: Final = 2
CONF: Final = "${SANDBOX}/conf"
EXECUTOR_FILE: Final = "alluxio-mesos-executor.pyz"
EXTENSIONS: Final = "under-storages"  # a folder in the sandbox
LOG_FILE_SIZE: Final = "10MB"
LOG_FILES: Final = 3
ALIVE_SECONDS: Final = 5.0  # between two looks at a process that is ready, and the time that it has to answer
# Looks in a row without an answer, after which a process is taken to hang. A master that becomes the primary, or no
# longer is, closes its ports for a while.
ALIVE_FAILURES: Final[Mapping[Kind, int]] = {Kind.MASTER: 24, Kind.WORKER: 6, Kind.PROXY: 6}


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """One JVM of a task: its main class, the URL of its readiness below its host, and the port's name for that."""

    name: str
    main: str
    ready_port: str
    ready_path: str | None  # None: the port being open is the sign
    patience: float = 120.0
    rpc_port: str = "rpc"


PROCESSES: Final[Mapping[Kind, tuple[Process, ...]]] = {
    Kind.MASTER: (
        Process("master", "alluxio.master.AlluxioMaster", "web", "/api/v1/master/info"),
        Process(
            "job-master", "alluxio.master.AlluxioJobMaster", "job_web", "/api/v1/job_master/info", rpc_port="job_rpc"
        ),
    ),
    Kind.WORKER: (
        Process("worker", "alluxio.worker.AlluxioWorker", "web", "/api/v1/worker/info"),
        Process("job-worker", "alluxio.worker.AlluxioJobWorker", "job_rpc", None),
    ),
    Kind.PROXY: (Process("proxy", "alluxio.proxy.AlluxioProxy", "web", None),),
}


def _escaped(value: str) -> str:
    """A value in a Java properties file (java.util.Properties, load)."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("framework"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
_templates.filters["escaped"] = _escaped


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """Where an agent fetches from."""

    executor: str
    alluxio: str
    java: str = ""
    extensions: tuple[str, ...] = ()  # jars of under-storages


def task_info(
    configuration: Configuration,
    sources: Sources,
    framework_id: str,
    record: Record,
    resources: Sequence[Resource],
    masters: Sequence[Record],
) -> dict[str, Any]:
    """The TaskInfo (mesos.proto, v1) that launches ``record`` with these resources of the offer, its volumes included;
    ``masters`` are the Alluxio masters' records.
    """
    # The volumes are the executor's: they are in its sandbox before it starts, and as long as it runs.
    for_executor = tuple(resource for resource in resources if resource.disk)
    for_task = tuple(resource for resource in resources if not resource.disk)
    for name, amount in (("cpus", EXECUTOR_CPUS), ("mem", EXECUTOR_MEMORY * 1000)):
        portion, for_task = offers.take_scalar(for_task, name, amount)
        for_executor += portion
    document = launch_document(configuration, record, masters)
    grace = {"nanoseconds": int((configuration.stop_timeout + 5) * 1e9)}
    return {
        "name": record.slot,
        "task_id": {"value": record.task_id},
        "agent_id": {"value": record.agent_id},
        "resources": wire.mesos_resources(for_task),
        "executor": {
            "type": "CUSTOM",
            "executor_id": {"value": record.task_id},
            "framework_id": {"value": framework_id},
            "name": f"Alluxio {record.kind.value}",
            "source": configuration.name,
            "command": {
                "shell": True,
                "value": f"exec {configuration.python} -I {EXECUTOR_FILE}",
                "uris": _uris(sources),
                **_environment(configuration.environments[record.kind], configuration.secret_environment),
            },
            **_container(configuration, record),
            "resources": wire.mesos_resources(for_executor),
            "shutdown_grace_period": grace,
        },
        "kill_policy": {"grace_period": grace},
        "data": base64.b64encode(json.dumps(document).encode()).decode(),
        **_labels([("alluxio-mesos.slot", record.slot), ("alluxio-mesos.configuration", record.configuration)]),
        "discovery": _discovery(configuration, record),
    }


def new_volumes(launch: Launch, record: Record, owner: wire.Owner) -> tuple[Resource, ...]:
    """The volumes that this launch makes for the record, as its TaskInfo names them."""
    return tuple(
        wire.claimed(new.disk, new.slot, new.volume, owner) for new in launch.new_volumes if new.slot == record.slot
    )


def _uris(sources: Sources) -> list[dict[str, Any]]:
    """C20: fetched once per agent; the addresses hold a digest, so a cached file is never a stale one."""
    archives = [{"value": uri, "extract": True, "cache": True} for uri in (sources.alluxio, sources.java) if uri]
    extensions = [
        {"value": uri, "extract": False, "cache": True, "output_file": f"{EXTENSIONS}/{uri.rpartition('/')[2]}"}
        for uri in sources.extensions
    ]
    executor = {"value": sources.executor, "extract": False, "cache": True, "output_file": EXECUTOR_FILE}
    return [executor, *archives, *extensions]


def _environment(variables: Mapping[str, str], secrets: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The executor's, which its processes inherit (mesos.proto, Environment). The agent puts a secret's value in."""
    plain = {name: {"type": "VALUE", "value": value} for name, value in variables.items()}
    secret = {name: {"type": "SECRET", "secret": _secret(path)} for name, path in secrets}
    found = [{"name": name, **variable} for name, variable in (plain | secret).items()]
    return {"environment": {"variables": found}} if found else {}


def _secret(name: str) -> dict[str, Any]:
    return {"type": "REFERENCE", "reference": {"name": name}}


def _container(configuration: Configuration, record: Record) -> dict[str, Any]:
    """What the executor runs in (mesos.proto, ContainerInfo); nothing where that is the bare agent."""
    found: dict[str, Any] = {}
    if configuration.image:
        found["mesos"] = {"image": {"type": "DOCKER", "docker": {"name": configuration.image}}}
    mounts = site.mounts(site.on_agent(configuration, record.hostname), record.kind)
    volumes = [
        *(
            {"mode": "RW", "container_path": inside, "source": {"type": "HOST_PATH", "host_path": {"path": on_agent}}}
            for inside, on_agent in mounts.items()
        ),
        *(
            {
                "mode": "RO",
                "container_path": f"{site.SECRETS}/{file}",
                "source": {"type": "SECRET", "secret": _secret(name)},
            }
            for file, name in configuration.secrets(record.kind).items()
        ),
    ]
    if volumes:
        found["volumes"] = volumes
    if configuration.network:
        found["network_infos"] = [
            {
                "name": configuration.network,
                **_labels(configuration.network_labels),
                # A process keeps the agent's address and port, so that it is found as without a network.
                "port_mappings": [
                    {"host_port": port, "container_port": port, "protocol": "tcp"} for port in record.ports.values()
                ],
            }
        ]
    return {"container": {"type": "MESOS", **found}} if found else {}


def _labels(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found = [{"key": key, "value": value} for key, value in pairs]
    return {"labels": {"labels": found}} if found else {}


def _discovery(configuration: Configuration, record: Record) -> dict[str, Any]:
    """Mesos-DNS and DC/OS make names of this (mesos.proto, DiscoveryInfo)."""
    known = vips.of(configuration, record.kind)
    ports = [
        {
            "number": port,
            "name": name.replace("_", "-"),
            "protocol": "tcp",
            **_labels([known[name].label] if name in known else []),
        }
        for name, port in record.ports.items()
    ]
    return {"visibility": "FRAMEWORK", "name": f"{record.slot}.{configuration.name}", "ports": {"ports": ports}}


def launch_document(configuration: Configuration, record: Record, masters: Sequence[Record]) -> dict[str, Any]:
    """What the executor does, in its own terms (docs/executor.md)."""
    configuration = site.in_task(site.on_agent(configuration, record.hostname))
    return {
        "version": DOCUMENT_VERSION,
        "slot": record.slot,
        "role": record.kind.value,
        "directories": _directories(configuration, record),
        "files": _files(configuration, record, masters),
        "checks": _checks(configuration, record),
        **_lock(configuration, record),
        "prepare": _prepare(configuration, record),
        "processes": [_process(configuration, record, process) for process in PROCESSES[record.kind]],
        "restart": {
            "initial_seconds": 1.0,
            "factor": 2.0,
            "maximum_seconds": 30.0,
            "attempts": 5,
            "healthy_seconds": 60.0,
        },
        "stop_seconds": configuration.stop_timeout,
    }


def _files(configuration: Configuration, record: Record, masters: Sequence[Record]) -> list[dict[str, str]]:
    values: dict[str, Any] = {"slot": record.slot, "level": "INFO", "file_size": LOG_FILE_SIZE, "files": LOG_FILES}

    def file(folder: str, name: str, **more: Any) -> dict[str, str]:
        content = _templates.get_template(f"{name}.j2").render(values | more)
        return {"path": f"{folder}/{name}", "content": content, "mode": "0600"}

    def of(process: str) -> dict[str, str]:
        properties = site.properties(configuration, record, masters, process)
        return file(_conf(record.kind, process), "alluxio-site.properties", properties=properties)

    own = [of(process.name) for process in PROCESSES[record.kind]]
    return [*own, *(file(CONF, name) for name in ("log4j2.properties", "log4j.properties"))]


def _conf(kind: Kind, process: str) -> str:
    """Where a process finds its properties: a job master or job worker has its own beside those of its master or
    worker.
    """
    return CONF if process == kind.value else f"{CONF}/{process}"


def _directories(configuration: Configuration, record: Record) -> list[dict[str, Any]]:
    temporary = {"path": site.TEMPORARY, "bytes": 0, "purpose": "temporary files"}
    return [*_kept_directories(configuration, record), temporary]


def _kept_directories(configuration: Configuration, record: Record) -> list[dict[str, Any]]:
    match record.kind:
        case Kind.MASTER:
            base = site.journal_base(configuration, record.slot)
            journal = {"path": f"{base}/journal", "bytes": 64 << 20, "purpose": "journal"}
            metastore = f"{site.data_folder(configuration, record.slot)}/metastore"
            return [
                *([journal] if site.is_path(base) else []),
                {"path": metastore, "bytes": 64 << 20, "purpose": "metadata"},
            ]
        case Kind.WORKER:
            return [
                {"path": tier.folder, "bytes": tier.quota << 20, "purpose": f"{tier.alias} tier"}
                for tier in site.tiers(configuration, record)
            ]
        case Kind.PROXY:
            return []


def last_word(configuration: Configuration, record: Record) -> str:
    """What the executor is told when the service is removed: the folders on its agent to remove with the task. A shared
    journal and what lies on volumes are not among them.
    """
    configuration = site.in_task(site.on_agent(configuration, record.hostname))
    match record.kind:
        case Kind.MASTER:
            folders = [site.data_folder(configuration, record.slot)]
        case Kind.WORKER:
            folders = [tier.folder for tier in site.tiers(configuration, record) if site.is_path(tier.folder)]
        case Kind.PROXY:
            folders = []
    return json.dumps({"discard": folders})


def _lock(configuration: Configuration, record: Record) -> dict[str, str]:
    """Whatever Mesos believes, no two copies of a master or a worker work on the same folders of an agent. Its name is
    in the lock's, as the agents of one machine share its file system.
    """
    folder = {Kind.MASTER: configuration.data_dir, Kind.WORKER: configuration.ram_dir}.get(record.kind)
    return {"lock": f"{folder}/{configuration.name}/{record.slot}@{record.hostname}.lock"} if folder else {}


def _checks(configuration: Configuration, record: Record) -> list[dict[str, Any]]:
    """What the agent must find before a master starts: a journal that served is there, and where none was begun nothing
    lies that it would erase (C30). The operator's --format lets both pass.
    """
    base = site.journal_base(configuration, record.slot)
    if record.kind is not Kind.MASTER or configuration.format == "yes" or not site.is_path(base):
        return []
    marker = f"{base}/journal-formatted"
    if record.formatted:
        sentence = (
            f"the journal at {base} is gone, although it was in use: mount its storage again or restore it; "
            "to begin an empty namespace instead, start the scheduler with --format yes"
        )
        return [{"kind": "exists", "path": marker, "sentence": sentence}]
    sentence = (
        f"{base}/journal holds files of unknown origin, which formatting would erase: move them away; "
        "to erase them, start the scheduler with --format yes"
    )
    return [{"kind": "empty-unless", "path": f"{base}/journal", "marker": marker, "sentence": sentence}]


def _prepare(configuration: Configuration, record: Record) -> list[dict[str, Any]]:
    """A journal is formatted before its first use and never after: not once the record says that it served, not where
    the marker lies beside it, and not where the marker cannot be looked for, unless the operator says so (C30).
    """
    if record.kind is not Kind.MASTER or (record.formatted and configuration.format == "no"):
        return []
    base = site.journal_base(configuration, record.slot)
    command = [
        "${JAVA}",
        "-Xmx64m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *_common_flags("format", CONF),
        "-cp",
        "${CLASS_PATH}",
        "alluxio.cli.Format",
        "master",
    ]
    step = {"name": "format", "command": command, "environment": {}}
    if site.is_path(base):
        marker = f"{base}/journal-formatted"
        return [step | {"unless_exists": marker, "creates": marker}]
    return [step] if configuration.format == "yes" and not record.formatted else []


def _process(configuration: Configuration, record: Record, process: Process) -> dict[str, Any]:
    flags = configuration.jvms[record.kind][process.name].flags
    command = [
        "${JAVA}",
        *flags,
        *configuration.extras[process.name].java_options,
        *_common_flags(process.name, _conf(record.kind, process.name)),
        *([f"-Dalluxio.extensions.dir=${{SANDBOX}}/{EXTENSIONS}"] if configuration.under_storage_jars else []),
        "-cp",
        "${CLASS_PATH}",
        process.main,
    ]
    return {
        "name": process.name,
        "command": command,
        "environment": {},
        "ready": _probe(configuration, record, process) | {"seconds": process.patience},
        "alive": _probe(configuration, record, process)
        | {"every_seconds": ALIVE_SECONDS, "failures": ALIVE_FAILURES[record.kind], "timeout_seconds": ALIVE_SECONDS},
        "after": [],
    }


def _probe(configuration: Configuration, record: Record, process: Process) -> dict[str, Any]:
    """What tells that a process does its work. A standby master serves no page: its RPC port, which it opens when it
    takes part in the election, is the sign of all where there are several.
    """
    # The executor is in the same network as the process; the way out and back in is none of its concerns.
    host = "127.0.0.1" if configuration.network else record.hostname
    if process.ready_path is None or (record.kind is Kind.MASTER and configuration.journal_kind is not Journal.LOCAL):
        name = process.ready_port if process.ready_path is None else process.rpc_port
        return {"kind": "tcp", "host": host, "port": record.ports[name]}
    port = record.ports[process.ready_port]
    return {"kind": "http", "url": f"http://{host}:{port}{process.ready_path}"}


def _common_flags(process: str, conf: str) -> list[str]:
    return [
        "-Dalluxio.home=${ALLUXIO_HOME}",
        f"-Dalluxio.conf.dir={conf}",
        "-Dalluxio.logs.dir=${SANDBOX}/logs",
        f"-Dlog4j2.configurationFile={CONF}/log4j2.properties",
        f"-Dlog4j.configuration=file:{CONF}/log4j.properties",
        f"-Dalluxio.mesos.log=${{SANDBOX}}/logs/{process}.log",
        "-Djava.io.tmpdir=${SANDBOX}",
    ]
