"""The frozen ``Configuration`` that the options become (option_table.py), and what follows from it.

Reading is total: every mistake is found and named, none hides another. Nothing here reads the environment, a file or
the command line; the values are handed in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from framework.model import MEMBER_PORTS, Constraint, Journal, Kind, Mount, Need, VolumeNeed, Wanted
from framework.option_table import (
    BY_NAME,
    ENVIRONMENT_PREFIX,
    FIXED,
    GROUPS,
    OPTIONS,
    PORT_OPTIONS,
    PROCESS_OPTIONS,
    Option,
    launched_with,
)
from framework.option_types import MIB, Invalid, has_tier, size
from framework.sizing import Jvm, task_memory

__all__ = [
    "BY_NAME",
    "ENVIRONMENT_PREFIX",
    "FIXED",
    "GROUPS",
    "OPTIONS",
    "PROCESS_OPTIONS",
    "Configuration",
    "Invalid",
    "Option",
    "Problem",
    "by_ids",
    "has_tier",
    "read",
    "recorded",
    "service_path",
    "without_secrets",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the options: what, and what to do about it."""

    option: str
    sentence: str

    def __str__(self) -> str:
        return f"--{self.option}: {self.sentence}"


KEYTAB_FILE: Final = "hdfs.keytab"
JOB_DIRECT: Final = 64  # MiB of direct memory of a job master, a job worker or a proxy: they move few bytes themselves


@dataclasses.dataclass(frozen=True, slots=True)
class Extra:
    """What the operator adds to a process: Alluxio properties, of which the later ones win, and options of its JVM."""

    properties: tuple[tuple[str, str], ...]
    java_options: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Configuration:
    """All options, read. One attribute for each row of ``OPTIONS``; sizes are MiB, CPUs thousandths, durations
    seconds.
    """

    name: str
    mesos: str
    role: str
    principal: str
    secret_file: str
    user: str
    failover_timeout: float
    zookeeper: str
    zookeeper_auth_file: str
    zookeeper_session: float
    api_host: str
    api_port: int
    api_url: str
    api_prefix: str
    api_token_file: str
    api_read_token_file: str
    api_open: str
    api_certificate: str
    api_key: str
    api_rate: int
    api_proxies: tuple[str, ...]
    artefacts: str
    alluxio_uri: str
    executor_uri: str
    java_uri: str
    under_storage_jars: tuple[str, ...]
    python: str
    under_storage: str
    mounts: tuple[Mount, ...]
    secrets_dir: str
    security: str
    properties: tuple[tuple[str, str], ...]
    java_options: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    secret_environment: tuple[tuple[str, str], ...]
    secret_files: tuple[tuple[str, str], ...]
    hdfs_principal: str
    hdfs_keytab: str
    hdfs_keytab_secret: str
    bind: str
    image: str
    network: str
    network_labels: tuple[tuple[str, str], ...]
    vips: str
    data_dir: str
    ram_dir: str
    masters: int
    journal: str
    journal_folder: str
    format: str
    master_cpus: int
    master_heap: int
    master_direct: int
    master_disk: int
    job_master_heap: int
    master_properties: tuple[tuple[str, str], ...]
    master_java_options: tuple[str, ...]
    job_master_properties: tuple[tuple[str, str], ...]
    job_master_java_options: tuple[str, ...]
    master_environment: tuple[tuple[str, str], ...]
    master_rpc_port: int
    master_web_port: int
    job_master_rpc_port: int
    job_master_web_port: int
    master_journal_port: int
    job_master_journal_port: int
    master_placement: tuple[Constraint, ...]
    workers: int | None
    worker_groups: Mapping[str, Mapping[str, Any]]
    worker_cpus: int
    worker_heap: int
    worker_direct: int
    worker_ram: int
    worker_ssd: int
    worker_hdd: int
    persistent_volumes: str
    leftover_volumes: str
    worker_disk: int
    job_worker_heap: int
    worker_properties: tuple[tuple[str, str], ...]
    worker_java_options: tuple[str, ...]
    job_worker_properties: tuple[tuple[str, str], ...]
    job_worker_java_options: tuple[str, ...]
    worker_environment: tuple[tuple[str, str], ...]
    worker_rpc_port: int
    worker_web_port: int
    job_worker_rpc_port: int
    job_worker_data_port: int
    job_worker_web_port: int
    worker_placement: tuple[Constraint, ...]
    proxies: int
    proxy_cpus: int
    proxy_heap: int
    proxy_properties: tuple[tuple[str, str], ...]
    proxy_java_options: tuple[str, ...]
    proxy_environment: tuple[tuple[str, str], ...]
    proxy_port: int
    proxy_placement: tuple[Constraint, ...]
    stickiness: float
    decommission_drain: float
    unavailable_workers: float
    unreachable_grace: float
    launch_timeout: float
    stop_timeout: float
    log_level: str

    @property
    def zookeeper_hosts(self) -> str:
        return self.zookeeper.partition("/")[0]

    @property
    def zookeeper_path(self) -> str:
        return service_path(self.zookeeper, self.name)

    @property
    def alluxio_path(self) -> str:
        """Where Alluxio's masters elect their primary in ZooKeeper."""
        return f"{self.zookeeper_path}/alluxio"

    @property
    def journal_kind(self) -> Journal:
        if self.journal == "EMBEDDED":
            return Journal.EMBEDDED
        return Journal.SHARED if self.journal_folder else Journal.LOCAL

    @property
    def jvms(self) -> Mapping[Kind, Mapping[str, Jvm]]:
        """The JVMs of a task of each kind, in the order of their start."""
        return {
            Kind.MASTER: {
                "master": Jvm(self.master_heap, self.master_direct),
                "job-master": Jvm(self.job_master_heap, JOB_DIRECT),
            },
            Kind.WORKER: {
                "worker": Jvm(self.worker_heap, self.worker_direct),
                "job-worker": Jvm(self.job_worker_heap, JOB_DIRECT),
            },
            Kind.PROXY: {"proxy": Jvm(self.proxy_heap, JOB_DIRECT)},
        }

    @property
    def extras(self) -> Mapping[str, Extra]:
        """What the operator adds to each process, by its name."""
        own = {
            "master": Extra(self.master_properties, self.master_java_options),
            "job-master": Extra(self.job_master_properties, self.job_master_java_options),
            "worker": Extra(self.worker_properties, self.worker_java_options),
            "job-worker": Extra(self.job_worker_properties, self.job_worker_java_options),
            "proxy": Extra(self.proxy_properties, self.proxy_java_options),
        }
        return {
            process: Extra(self.properties + extra.properties, self.java_options + extra.java_options)
            for process, extra in own.items()
        }

    def secrets(self, kind: Kind) -> Mapping[str, str]:
        """The names of the secrets that a task of this kind has in files, by the files' names."""
        keytab = {KEYTAB_FILE: self.hdfs_keytab_secret} if self.hdfs_keytab_secret and kind is not Kind.PROXY else {}
        return dict(self.secret_files) | keytab

    @property
    def environments(self) -> Mapping[Kind, Mapping[str, str]]:
        """What the operator adds to the environment of a task of each kind."""
        own = {
            Kind.MASTER: self.master_environment,
            Kind.WORKER: self.worker_environment,
            Kind.PROXY: self.proxy_environment,
        }
        return {kind: dict(self.environment + pairs) for kind, pairs in own.items()}

    @property
    def lower_tiers(self) -> Mapping[str, int]:
        """The tiers of a worker below memory, with their sizes in MiB."""
        return {tier: quota for tier, quota in (("ssd", self.worker_ssd), ("hdd", self.worker_hdd)) if quota}

    def _ports(self, kind: Kind) -> tuple[str, ...]:
        left_out = () if self.journal_kind is Journal.EMBEDDED else MEMBER_PORTS
        return tuple(option.port for option in PORT_OPTIONS[kind] if option.port not in left_out)

    def _fixed_ports(self, kind: Kind) -> tuple[tuple[str, int], ...]:
        found = ((option.port, getattr(self, option.attribute)) for option in PORT_OPTIONS[kind])
        return tuple((name, number) for name, number in found if number)

    @property
    def needs(self) -> Mapping[Kind, Need]:
        memory = {
            kind: task_memory(tuple(jvms.values()), self.worker_ram if kind is Kind.WORKER else 0)
            for kind, jvms in self.jvms.items()
        }
        cpus = {Kind.MASTER: self.master_cpus, Kind.WORKER: self.worker_cpus, Kind.PROXY: self.proxy_cpus}
        tiers = self.lower_tiers
        on_volumes = self.persistent_volumes == "yes"
        disk = {
            Kind.MASTER: self.master_disk,
            Kind.WORKER: self.worker_disk + (0 if on_volumes else sum(tiers.values())),
            Kind.PROXY: 0,
        }
        volumes = tuple(VolumeNeed(tier, quota) for tier, quota in tiers.items()) if on_volumes else ()
        return {
            kind: Need(
                cpus[kind],
                memory[kind],
                disk[kind],
                self._ports(kind),
                volumes if kind is Kind.WORKER else (),
                self._fixed_ports(kind),
            )
            for kind in Kind
        }

    @property
    def id(self) -> str:
        """Equal for configurations that launch the same tasks: how many there are, and how patient the scheduler is, is
        not part of it.
        """
        return _digest(self, frozenset[str]().union(*map(launched_with, Kind)))

    @property
    def ids(self) -> Mapping[Kind, str]:
        """Equal for configurations that launch the same tasks of a kind."""
        return {kind: _digest(self, launched_with(kind)) for kind in Kind}

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            self.masters,
            self.workers,
            self.proxies,
            self.needs,
            self.id,
            self.journal_kind,
            configurations=self.ids,
            placements={
                Kind.MASTER: self.master_placement,
                Kind.WORKER: self.worker_placement,
                Kind.PROXY: self.proxy_placement,
            },
            mounts=self.mounts,
        )


def _digest(configuration: Configuration, attributes: frozenset[str]) -> str:
    facts = {field: value for field, value in dataclasses.asdict(configuration).items() if field in attributes}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def by_ids(configuration: Configuration) -> dict[str, Configuration]:
    """By its own id, and by those that its tasks' records bear: equal ids launch the same tasks."""
    return dict.fromkeys((configuration.id, *configuration.ids.values()), configuration)


SERVICES: Final = "/alluxio-mesos"  # the node that all services share whose path is not chosen


def service_path(zookeeper: str, service: str) -> str:
    """The node below which a service's state lies (C35)."""
    path = zookeeper.partition("/")[2].strip("/")
    return f"/{path}" if path else f"{SERVICES}/{service}"


def recorded(values: Mapping[str, str]) -> dict[str, str]:
    """The texts of the options that say what is wanted, defaults included, as they may lie about: no secret's content
    is in them. Two of a service's schedulers that want the same have equal texts.
    """
    texts = {
        option.name: values.get(option.name) or option.default or ""
        for option in OPTIONS
        if option.name not in PROCESS_OPTIONS
    }
    return {name: BY_NAME[name].type.masked(text) for name, text in texts.items() if text}


def read(values: Mapping[str, str]) -> Configuration | tuple[Problem, ...]:
    """Texts by option name into a configuration, or every problem that they have. An empty text counts as not given."""
    problems: list[Problem] = []
    problems.extend(Problem(given, "there is no such option; see --help") for given in values if given not in BY_NAME)
    read_values: dict[str, Any] = {}
    for option in OPTIONS:
        text = values.get(option.name) or option.default
        if text is None:
            problems.append(
                Problem(option.name, f"it is required ({option.help}); give it, or set {option.environment}")
            )
            continue
        try:
            read_values[option.attribute] = option.read(text)
        except Invalid as invalid:
            problems.append(Problem(option.name, str(invalid)))
    problems.extend(_contradictions(read_values))
    if problems:
        return tuple(problems)
    return Configuration(**read_values)


# What to do about options that each are allowed and together cannot work.
PRINCIPAL: Final = "principal and secret-file go together; give both, or none"
CERTIFICATE: Final = "certificate and key go together; give both, or none"
SEVERAL_MASTERS: Final = (
    "give --journal-folder, a folder that every agent reaches (NFS for example), or choose --journal EMBEDDED"
)
EMBEDDED_FOLDER: Final = "an EMBEDDED journal lies on the masters' own agents; leave this out, or choose UFS"
KEYTAB: Final = "hdfs-principal and its keytab go together; give both, or none"
ONE_KEYTAB: Final = "hdfs-keytab-secret takes the place of hdfs-keytab; give one of them"
NO_MEMBERS: Final = "only members of an EMBEDDED journal listen there; choose EMBEDDED, or leave this out"
OWN_PORT: Final = "give each a port of its own, or 0 for any"
BOUND: Final = (
    "in a container network there is no address of the agent to listen on; choose any, or leave out the network"
)
NO_NETWORK: Final = "there is no network whose labels these could be; give --network, or leave this out"
NO_RESERVATIONS: Final = "'*' cannot hold reservations; give a role of this service's own, or no persistent volumes"
NO_TIER: Final = "there is no tier that could lie on one; give --worker-ssd or --worker-hdd a size, or leave this out"


def without_secrets(configuration: Configuration, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """What a scheduler cannot start with, as neither a file nor the environment holds a secret."""
    held = environment.get(BY_NAME["secret-file"].secret_environment, "")
    if configuration.principal and not (configuration.secret_file or held):
        return (Problem("secret-file", PRINCIPAL),)
    return ()


def _contradictions(values: Mapping[str, Any]) -> list[Problem]:
    """What each option allows but together cannot work."""
    problems = []
    if values.get("secret_file") and values.get("principal") == "":
        problems.append(Problem("principal", PRINCIPAL))
    if bool(values.get("api_certificate")) != bool(values.get("api_key")) and {"api_certificate", "api_key"} <= set(
        values
    ):
        problems.append(
            Problem(
                "api-key" if values["api_certificate"] else "api-certificate",
                CERTIFICATE,
            )
        )
    uris = {"alluxio_uri", "executor_uri"}
    if values.get("artefacts") == "" and uris <= set(values) and not all(values[uri] for uri in uris):
        problems.append(
            Problem(
                "artefacts",
                "the agents need something to fetch; give this folder, or both --alluxio-uri and --executor-uri",
            )
        )
    if values.get("journal") == "EMBEDDED" and values.get("journal_folder"):
        problems.append(Problem("journal-folder", EMBEDDED_FOLDER))
    if values.get("masters", 1) > 1 and values.get("journal") == "UFS" and values.get("journal_folder") == "":
        problems.append(Problem("masters", f"{values['masters']} masters need one journal; {SEVERAL_MASTERS}"))
    problems.extend(_volume_problems(values))
    problems.extend(_port_problems(values))
    problems.extend(_kerberos_problems(values))
    if values.get("network") and values.get("bind") == "agent":
        problems.append(Problem("bind", BOUND))
    if values.get("network_labels") and values.get("network") == "":
        problems.append(Problem("network-labels", NO_NETWORK))
    problems.extend(_tier_problems(values))
    return problems


def _kerberos_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    if not {"hdfs_principal", "hdfs_keytab", "hdfs_keytab_secret"} <= set(values):
        return
    principal, file, secret = values["hdfs_principal"], values["hdfs_keytab"], values["hdfs_keytab_secret"]
    if file and secret:
        yield Problem("hdfs-keytab-secret", ONE_KEYTAB)
    elif bool(principal) != bool(file or secret):
        yield Problem("hdfs-keytab" if principal else "hdfs-principal", KEYTAB)


def _port_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """A task of each kind may run on the same agent, with each of its ports."""
    owners: dict[int, str] = {}
    for option in itertools.chain.from_iterable(PORT_OPTIONS.values()):
        number = values.get(option.attribute)
        if not number:
            continue
        if option.port in MEMBER_PORTS and values.get("journal") == "UFS":
            yield Problem(option.name, NO_MEMBERS)
        elif number in owners:
            yield Problem(option.name, f"{number} is --{owners[number]} too, and both may run on one agent; {OWN_PORT}")
        else:
            owners[number] = option.name


_QUOTA: Final = re.compile(r"alluxio\.worker\.tieredstore\.level(\d+)\.dirs\.quota")
_LEVELS: Final = "alluxio.worker.tieredstore.levels"


def _tier_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """A task's memory and disk are counted from the tiers' options: what a property makes larger, Mesos knows nothing
    of, and it ends the task that fills it.
    """
    options = ("worker_ram", "worker_ssd", "worker_hdd")
    if not {*options, "properties"} <= set(values):
        return
    tiers = [option for option in options if values[option]]
    sizes = ", ".join(f"--{option.replace('_', '-')}" for option in options)
    for name, text in values["properties"]:
        found = _QUOTA.fullmatch(name)
        if name == _LEVELS and text != str(len(tiers)):
            yield Problem("properties", f"{name}={text}: there are {len(tiers)} by {sizes}; give those sizes instead")
        elif found is not None and int(found[1]) >= len(tiers):
            yield Problem("properties", f"{name}={text}: there is no such tier; give it a size with one of {sizes}")
        elif found is not None and (quota := _quota(text)) > values[tiers[int(found[1])]]:
            tier = tiers[int(found[1])]
            option, of = f"--{tier.replace('_', '-')}", "memory" if tier == "worker_ram" else "disk"
            yield Problem(
                "properties",
                f"{name}={text} is {quota} MiB, more than the {values[tier]} MiB of {option}, from which the task's "
                f"{of} is counted; give {option} that size instead",
            )


def _quota(text: str) -> int:
    """MiB of all of a tier's folders together. A plain number is bytes here; what is no size is Alluxio's to refuse."""
    try:
        return sum(math.ceil(int(part) / MIB) if part.isdecimal() else size().read(part) for part in text.split(","))
    except Invalid:
        return 0


def _volume_problems(values: Mapping[str, Any]) -> list[Problem]:
    if values.get("persistent_volumes") != "yes":
        return []
    problems = []
    if values.get("worker_ssd") == 0 and values.get("worker_hdd") == 0:
        problems.append(Problem("persistent-volumes", NO_TIER))
    if values.get("role") == "*":
        problems.append(Problem("role", NO_RESERVATIONS))
    return problems
