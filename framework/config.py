"""The options: one table that feeds the command line, the environment and the documentation, and the frozen
``Configuration`` that they become.

Reading is total: every mistake is found and named, none hides another. Nothing here reads the environment, a file or
the command line; the values are handed in.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from framework import placement
from framework.model import MEMBER_PORTS, Constraint, Journal, Kind, Need, VolumeNeed, Wanted
from framework.sizing import Jvm, task_memory

MIB: Final = 1024 * 1024
ENVIRONMENT_PREFIX: Final = "ALLUXIO_MESOS_"


class Authentication(enum.StrEnum):
    """alluxio.security.authentication.type; the two that need nothing outside."""

    SIMPLE = "SIMPLE"
    NOSASL = "NOSASL"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the options: what, and what to do about it."""

    option: str
    sentence: str

    def __str__(self) -> str:
        return f"--{self.option}: {self.sentence}"


class Invalid(ValueError):
    """A value that an option does not take; the message ends the sentence "--option: ..."."""


# What a value may be --------------------------------------------------------------------------------------------------

_UNITS: Final = {"": MIB, "K": 1024, "M": MIB, "G": 1024 * MIB, "T": 1024 * 1024 * MIB}


def size(text: str) -> int:
    """``512MB``, ``512MiB``, ``2g`` or a plain number of MiB, as MiB. The units are powers of 1024, as Alluxio reads
    them.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise Invalid(f"{text!r} is no size; write a number and a unit, such as 512MB or 2GB")
    amount = float(match[1]) * _UNITS[match[2].upper()] / MIB
    if amount < 1 or amount != int(amount):
        raise Invalid(f"{text!r} is {amount:g} MiB; it must be a whole number of MiB, at least 1")
    return int(amount)


def size_or_none(text: str) -> int:
    """A size, or 0 for none."""
    return 0 if re.fullmatch(r"0\s*([KMGT]i?B?)?", text.strip(), re.IGNORECASE) else size(text)


def has_tier(text: str) -> bool:
    """Whether this is the size of a tier that is there; a text that is no size says nothing."""
    try:
        return bool(text) and size_or_none(text) > 0
    except Invalid:
        return False


def whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text.strip()) or not least <= int(text) <= most:
            raise Invalid(f"{text!r} is not allowed; write a whole number from {least} to {most}")
        return int(text)

    return read


def workers(text: str) -> int | None:
    """A count, or ``all`` for one on each agent that fits."""
    if text.strip().lower() == "all":
        return None
    if not re.fullmatch(r"\d+", text.strip()) or int(text) > 100_000:
        raise Invalid(
            f"{text!r} is not allowed; write a number of workers from 0 to 100000, or 'all' for one on each agent"
        )
    return int(text)


def cpus(text: str) -> int:
    """CPUs as thousandths, the precision that Mesos keeps."""
    if not re.fullmatch(r"\d+(\.\d{1,3})?", text.strip()) or not 0 < float(text) <= 1024:
        raise Invalid(
            f"{text!r} is not allowed; write a number of CPUs above 0 with at most three decimals, such as 0.5"
        )
    return round(float(text) * 1000)


_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(least: float) -> Callable[[str], float]:
    """``90s``, ``10m``, ``1h``, ``7d`` or a plain number of seconds, as seconds."""

    def read(text: str) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
        if match is None:
            raise Invalid(f"{text!r} is no duration; write a number and a unit, such as 90s, 10m, 1h or 7d")
        amount = float(match[1]) * _SECONDS[match[2]]
        if amount < least:
            raise Invalid(f"{text!r} is too short; it must be at least {_duration(least)}")
        return amount

    return read


def portion(text: str) -> float:
    """``10%`` as 0.1."""
    match = re.fullmatch(r"(\d{1,3})\s*%", text.strip())
    if match is None or not 1 <= int(match[1]) <= 100:
        raise Invalid(f"{text!r} is no portion; write 1% to 100%")
    return int(match[1]) / 100


def _duration(amount: float) -> str:
    """In the largest unit of which it is a whole number."""
    unit = next(unit for unit in ("d", "h", "m", "s") if amount % _SECONDS[unit] == 0 or unit == "s")
    return f"{amount / _SECONDS[unit]:g}{unit}"


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(
        colon and re.fullmatch(r"[^/:\s,@]+", host) and re.fullmatch(r"\d{1,5}", port) and 0 < int(port) < 65536
    )


def words(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise Invalid(f"{text!r} is not allowed; choose one of {', '.join(allowed)}")
        return text

    return read


def name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise Invalid(
            f"{text!r} is not allowed; use 1 to 63 lower-case letters, digits and dashes, "
            "with a letter or digit at both ends"
        )
    return text


def role(text: str) -> str:
    """Mesos's rules for role names (roles.md): no blanks, no slash at the ends, not a dot, no leading dash."""
    if not text or re.search(r"\s|//", text) or text[0] in "-/" or text[-1] == "/" or text in {".", ".."}:
        raise Invalid(
            f"{text!r} is no Mesos role; use '*' or a name without blanks that starts neither with '-' nor with '/'"
        )
    return text


def mesos_master(text: str) -> str:
    if text.lower().startswith("https://"):
        raise Invalid(
            f"{text!r} cannot be used, as the connection to Mesos is not encrypted: write host:port or zk://… of a "
            "master that takes plain HTTP, or the address of a proxy that encrypts for this scheduler"
        )
    if not (_is_address(text) or re.fullmatch(r"zk://[^/\s]+(/\S*)?", text)):
        raise Invalid(f"{text!r} is no Mesos master; write host:port, or zk://host:port,host:port/path")
    return text


def zookeeper(text: str) -> str:
    hosts, _, path = text.partition("/")
    if not all(map(_is_address, hosts.split(","))) or re.search(r"\s", path):
        raise Invalid(f"{text!r} is no ZooKeeper address; write host:port,host:port/path")
    return text


def uri(text: str) -> str:
    if not re.fullmatch(r"/\S*|[a-z][a-z0-9+.-]*://\S+", text):
        raise Invalid(
            f"{text!r} is no address; write a URI such as s3://bucket/folder, hdfs://host:port/folder, "
            "or an absolute path"
        )
    return text


def web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", text):
        raise Invalid(f"{text!r} is no web address; write http://host:port")
    return text.rstrip("/")


def prefix(text: str) -> str:
    """The beginning of a path, as it stands in addresses."""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", text):
        raise Invalid(f"{text!r} is no path prefix; write it with a slash in front, such as /service/alluxio")
    return text.rstrip("/")


def addresses(text: str) -> tuple[str, ...]:
    """IP addresses or networks between commas."""
    found = tuple(part.strip() for part in text.split(","))
    for part in found:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise Invalid(
                f"{part!r} is no address; write IP addresses or networks with ',' between them, "
                "such as 10.0.0.1,10.1.0.0/16"
            ) from None
    return found


def folder(text: str) -> str:
    if not text.startswith("/") or text == "/" or "\n" in text:
        raise Invalid(f"{text!r} is not allowed; write an absolute path of a folder other than /")
    return text.rstrip("/")


def properties(text: str) -> tuple[tuple[str, str], ...]:
    """``key=value`` pairs between semicolons."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9.\-_]*", key.strip(), re.IGNORECASE):
            raise Invalid(f"{part!r} is no property; write key=value pairs with ';' between them")
        pairs.append((key.strip(), value.strip()))
    return tuple(pairs)


def constraints(text: str) -> tuple[Constraint, ...]:
    try:
        return placement.read(text)
    except ValueError as error:
        raise Invalid(str(error)) from None


def text_line(text: str) -> str:
    if "\n" in text or "\0" in text:
        raise Invalid("it must be one line")
    return text


# The table ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option. ``default`` is the text of its default; None makes it required."""

    name: str
    group: str
    read: Callable[[str], Any]
    default: str | None
    help: str
    value: str = "TEXT"

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")

    @property
    def environment(self) -> str:
        return ENVIRONMENT_PREFIX + self.attribute.upper()


_PLACEMENT: Final = (
    "attribute:OPERATOR:value with ';' between several, such as rack:IS:r1 or hostname:UNLIKE:db.*; IS, LIKE or UNLIKE"
)
OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "name", "service", name, "alluxio", "the service's name: two services in one cluster have two names", "NAME"
    ),
    Option(
        "mesos",
        "mesos",
        mesos_master,
        None,
        "the Mesos master: host:port, or zk://host:port,…/path to follow the leading one",
        "ADDRESS",
    ),
    Option("role", "mesos", role, "alluxio", "the Mesos role whose resources are used", "ROLE"),
    Option("principal", "mesos", text_line, "", "the principal that authenticates to Mesos; none by default", "NAME"),
    Option("secret-file", "mesos", text_line, "", "the file that holds the principal's secret", "FILE"),
    Option("user", "mesos", text_line, "", "the user that the tasks run as; by default the scheduler's own", "NAME"),
    Option(
        "failover-timeout",
        "mesos",
        seconds(604800),  # C2
        "7d",
        "how long Mesos keeps the tasks while no scheduler is connected; at least 7d",
        "DURATION",
    ),
    Option(
        "zookeeper",
        "state",
        zookeeper,
        None,
        "where the scheduler keeps its state: host:port,…[/path]; the path defaults to /alluxio-mesos/NAME",
        "ADDRESS",
    ),
    Option(
        "zookeeper-auth-file",
        "state",
        text_line,
        "",
        "the file that holds user:password for ZooKeeper; the state is then readable with it alone",
        "FILE",
    ),
    Option(
        "zookeeper-session",
        "state",
        seconds(2),
        "6s",
        "how long ZooKeeper waits for a silent scheduler or master before another one takes its place",
        "DURATION",
    ),
    Option("api-host", "api", text_line, "127.0.0.1", "the address that the HTTP API listens on", "ADDRESS"),
    Option(
        "api-port",
        "api",
        whole(0, 65535),
        "8080",
        "the port that the HTTP API listens on; 0 chooses a free one",
        "PORT",
    ),
    Option(
        "api-url",
        "api",
        web_address,
        "",
        "the API's address as agents and people reach it; by default made of host and port",
        "URL",
    ),
    Option(
        "api-prefix",
        "api",
        prefix,
        "",
        "the beginning of the API's paths, where a proxy in front keeps it: /service/NAME",
        "PATH",
    ),
    Option(
        "api-token-file",
        "api",
        text_line,
        "",
        "the file that holds the token to read and change everything; or give ALLUXIO_MESOS_API_TOKEN",
        "FILE",
    ),
    Option(
        "api-read-token-file",
        "api",
        text_line,
        "",
        "the file that holds the token to read; or give ALLUXIO_MESOS_API_READ_TOKEN",
        "FILE",
    ),
    Option(
        "api-open",
        "api",
        words("no", "yes"),
        "no",
        "yes: without a token, listen on addresses that other machines reach, where everybody may change everything",
        "yes|no",
    ),
    Option("api-certificate", "api", text_line, "", "the file that holds the API's TLS certificate (PEM)", "FILE"),
    Option("api-key", "api", text_line, "", "the file that holds the certificate's key (PEM, no passphrase)", "FILE"),
    Option(
        "api-rate",
        "api",
        whole(0, 100_000),
        "100",
        "requests a second that one client may make on average, ten times as many at once; 0 for any",
        "COUNT",
    ),
    Option(
        "api-proxies",
        "api",
        addresses,
        "",
        "the proxies whose X-Forwarded-For is believed: addresses or networks with ',' between them",
        "ADDRESSES",
    ),
    Option(
        "artefacts",
        "artefacts",
        text_line,
        "",
        "the folder with the Alluxio bundle and the executor, which the API serves to the agents",
        "FOLDER",
    ),
    Option("alluxio-uri", "artefacts", uri, "", "an Alluxio tarball to fetch instead of the bundle", "URI"),
    Option(
        "executor-uri",
        "artefacts",
        uri,
        "",
        "the executor's zipapp to fetch instead of the one that the API serves",
        "URI",
    ),
    Option("java-uri", "artefacts", uri, "", "a Java 17 runtime's tarball for agents that have none", "URI"),
    Option(
        "python",
        "artefacts",
        text_line,
        "python3",
        "the Python (3.8 or newer) that starts the executor on an agent",
        "COMMAND",
    ),
    Option("under-storage", "alluxio", uri, None, "the storage at the root of the namespace", "URI"),
    Option(
        "security",
        "alluxio",
        words(*Authentication),
        "SIMPLE",
        "how Alluxio's clients and servers authenticate: SIMPLE or NOSASL",
        "TYPE",
    ),
    Option(
        "properties",
        "alluxio",
        properties,
        "",
        "further Alluxio properties: key=value pairs with ';' between them",
        "PROPERTIES",
    ),
    Option("java-options", "alluxio", text_line, "", "further options for every JVM", "OPTIONS"),
    Option(
        "bind",
        "alluxio",
        words("agent", "any"),
        "any",
        "what Alluxio's processes listen on: the agent's own address, or any",
        "WHERE",
    ),
    Option(
        "data-dir",
        "alluxio",
        folder,
        "/var/lib/alluxio-mesos",
        "the folder on each agent for journals and metadata; {agent} in it stands for the agent's hostname",
        "FOLDER",
    ),
    Option(
        "ram-dir",
        "alluxio",
        folder,
        "/dev/shm/alluxio-mesos",
        "the folder on each agent, on a tmpfs, for the memory tier; {agent} as above",
        "FOLDER",
    ),
    Option(
        "masters",
        "masters",
        whole(1, 9),
        "1",
        "how many Alluxio masters run, each on an agent of its own; three survive the loss of one",
        "COUNT",
    ),
    Option(
        "journal",
        "masters",
        words("UFS", "EMBEDDED"),
        "UFS",
        "how the masters keep their journal: UFS (in a folder), or EMBEDDED (on their own agents, by Raft)",
        "TYPE",
    ),
    Option(
        "journal-folder",
        "masters",
        uri,
        "",
        "a folder that every agent reaches, for the UFS journal of several masters; "
        "by default it lies in the data folder of the one master's agent",
        "URI",
    ),
    Option(
        "format",
        "masters",
        words("no", "yes"),
        "no",
        "yes: where the journal is gone, or files of unknown origin lie in its place, begin an empty namespace",
        "yes|no",
    ),
    Option("master-cpus", "masters", cpus, "1", "CPUs of a master with its job master", "CPUS"),
    Option("master-heap", "masters", size, "1GB", "heap of a master", "SIZE"),
    Option("master-direct", "masters", size, "256MB", "direct memory of a master", "SIZE"),
    Option("master-disk", "masters", size, "1GB", "disk of a master, for its journal and metadata", "SIZE"),
    Option("job-master-heap", "masters", size, "512MB", "heap of a job master", "SIZE"),
    Option("master-placement", "masters", constraints, "", f"where masters may run: {_PLACEMENT}", "CONSTRAINTS"),
    Option(
        "workers",
        "workers",
        workers,
        "all",
        "how many workers run: a number, or 'all' for one on each agent that fits",
        "COUNT",
    ),
    Option("worker-cpus", "workers", cpus, "1", "CPUs of a worker with its job worker", "CPUS"),
    Option("worker-heap", "workers", size, "512MB", "heap of a worker", "SIZE"),
    Option(
        "worker-direct",
        "workers",
        size,
        "512MB",
        "direct memory of a worker, through which its reads and writes go",
        "SIZE",
    ),
    Option("worker-ram", "workers", size, "1GB", "memory tier of a worker", "SIZE"),
    Option(
        "worker-ssd", "workers", size_or_none, "0", "SSD tier of a worker, below its memory tier; 0 for none", "SIZE"
    ),
    Option("worker-hdd", "workers", size_or_none, "0", "HDD tier of a worker, below the others; 0 for none", "SIZE"),
    Option(
        "persistent-volumes",
        "workers",
        words("no", "yes"),
        "no",
        "yes: the SSD and HDD tiers lie on Mesos persistent volumes, disk that stays reserved for a worker that is "
        "down; no: in the data folder, on disk that Mesos then offers to others",
        "yes|no",
    ),
    Option(
        "leftover-volumes",
        "workers",
        words("destroy", "keep"),
        "destroy",
        "what becomes of persistent volumes that no worker has any more, as it was scaled away or has moved: destroy "
        "them and free their disk, or keep them",
        "destroy|keep",
    ),
    Option("worker-disk", "workers", size, "256MB", "disk of a worker, for its logs", "SIZE"),
    Option("job-worker-heap", "workers", size, "256MB", "heap of a job worker", "SIZE"),
    Option("worker-placement", "workers", constraints, "", f"where workers may run: {_PLACEMENT}", "CONSTRAINTS"),
    Option(
        "proxies",
        "proxies",
        whole(0, 100_000),
        "0",
        "how many S3 and REST proxies run, at most one on an agent",
        "COUNT",
    ),
    Option("proxy-cpus", "proxies", cpus, "0.5", "CPUs of a proxy", "CPUS"),
    Option("proxy-heap", "proxies", size, "512MB", "heap of a proxy", "SIZE"),
    Option("proxy-placement", "proxies", constraints, "", f"where proxies may run: {_PLACEMENT}", "CONSTRAINTS"),
    Option(
        "stickiness",
        "recovery",
        seconds(0),
        "10m",
        "how long a worker waits for its own agent, where its cached blocks lie, before it moves",
        "DURATION",
    ),
    Option(
        "decommission-drain",
        "recovery",
        seconds(0),
        "150s",
        "how long a worker that goes runs on once nothing is lost with it: at least the time after which clients look "
        "up the workers anew (alluxio.user.worker.list.refresh.interval)",
        "DURATION",
    ),
    Option(
        "unavailable-workers",
        "recovery",
        portion,
        "10%",
        "how many of the workers may be away at once while they take another configuration; one always may",
        "PORTION",
    ),
    Option(
        "unreachable-grace",
        "recovery",
        seconds(0),
        "10m",
        "how long an unreachable agent may take to come back with its tasks before they are launched elsewhere",
        "DURATION",
    ),
    Option(
        "launch-timeout",
        "recovery",
        seconds(30),
        "5m",
        "how long a launch may stay without a word before it is repeated",
        "DURATION",
    ),
    Option(
        "stop-timeout",
        "recovery",
        seconds(1),
        "15s",
        "how long Alluxio's processes may take to stop before they are killed",
        "DURATION",
    ),
    Option(
        "log-level",
        "log",
        words("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "how much is logged: DEBUG, INFO, WARNING or ERROR",
        "LEVEL",
    ),
)

GROUPS: Final[Mapping[str, str]] = {
    "service": "the service",
    "mesos": "Mesos",
    "state": "the scheduler's state",
    "api": "the HTTP API",
    "artefacts": "what the agents fetch",
    "alluxio": "Alluxio",
    "masters": "masters",
    "workers": "workers",
    "proxies": "proxies",
    "recovery": "recovery",
    "log": "the log",
}

PORTS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.MASTER: ("rpc", "web", "job_rpc", "job_web"),
    Kind.WORKER: ("rpc", "web", "job_rpc", "job_data", "job_web"),
    Kind.PROXY: ("web",),
}
JOB_DIRECT: Final = 64  # MiB of direct memory of a job master, a job worker or a proxy: they move few bytes themselves


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
    python: str
    under_storage: str
    security: str
    properties: tuple[tuple[str, str], ...]
    java_options: str
    bind: str
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
    master_placement: tuple[Constraint, ...]
    workers: int | None
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
    worker_placement: tuple[Constraint, ...]
    proxies: int
    proxy_cpus: int
    proxy_heap: int
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
    def lower_tiers(self) -> Mapping[str, int]:
        """The tiers of a worker below memory, with their sizes in MiB."""
        return {tier: quota for tier, quota in (("ssd", self.worker_ssd), ("hdd", self.worker_hdd)) if quota}

    def _worker_need(self, memory: int) -> Need:
        tiers = self.lower_tiers
        if self.persistent_volumes == "yes":
            volumes = tuple(VolumeNeed(tier, quota) for tier, quota in tiers.items())
            return Need(self.worker_cpus, memory, self.worker_disk, PORTS[Kind.WORKER], volumes)
        return Need(self.worker_cpus, memory, self.worker_disk + sum(tiers.values()), PORTS[Kind.WORKER])

    @property
    def needs(self) -> Mapping[Kind, Need]:
        memory = {
            kind: task_memory(tuple(jvms.values()), self.worker_ram if kind is Kind.WORKER else 0)
            for kind, jvms in self.jvms.items()
        }
        master_ports = PORTS[Kind.MASTER] + (MEMBER_PORTS if self.journal_kind is Journal.EMBEDDED else ())
        return {
            Kind.MASTER: Need(self.master_cpus, memory[Kind.MASTER], self.master_disk, master_ports),
            Kind.WORKER: self._worker_need(memory[Kind.WORKER]),
            Kind.PROXY: Need(self.proxy_cpus, memory[Kind.PROXY], 0, PORTS[Kind.PROXY]),
        }

    @property
    def id(self) -> str:
        """Equal for configurations that launch the same tasks: how many there are, and how patient the scheduler is, is
        not part of it.
        """
        return _digest(self, _NEUTRAL)

    @property
    def ids(self) -> Mapping[Kind, str]:
        """Equal for configurations that launch the same tasks of a kind."""
        own = {kind: _fields(prefixes) for kind, prefixes in _OWN.items()}
        return {
            kind: _digest(self, _NEUTRAL.union(*(fields for other, fields in own.items() if other is not kind)))
            for kind in Kind
        }

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
        )


# What no task is launched with.
_NEUTRAL: Final = frozenset(
    {
        "mesos",
        "zookeeper_auth_file",
        "zookeeper_session",
        "artefacts",
        "secret_file",
        "api_host",
        "api_port",
        "api_url",
        "api_prefix",
        "api_token_file",
        "api_read_token_file",
        "api_open",
        "api_certificate",
        "api_key",
        "api_rate",
        "api_proxies",
        "masters",
        "workers",
        "proxies",
        "format",
        "leftover_volumes",
        "master_placement",
        "worker_placement",
        "proxy_placement",
        "log_level",
        "failover_timeout",
        "stickiness",
        "decommission_drain",
        "unavailable_workers",
        "unreachable_grace",
        "launch_timeout",
        "zookeeper",
    }
)
# What only the tasks of one kind are launched with: the options whose names begin so.
_OWN: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.MASTER: ("master_", "job_master_"),
    Kind.WORKER: ("worker_", "job_worker_", "persistent_volumes"),
    Kind.PROXY: ("proxy_",),
}


def _fields(prefixes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(Configuration) if field.name.startswith(prefixes))


def _digest(configuration: Configuration, left_out: frozenset[str]) -> str:
    facts = {field: value for field, value in dataclasses.asdict(configuration).items() if field not in left_out}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def by_ids(configuration: Configuration) -> dict[str, Configuration]:
    """By its own id, and by those that its tasks' records bear: equal ids launch the same tasks."""
    return dict.fromkeys((configuration.id, *configuration.ids.values()), configuration)


def service_path(zookeeper: str, service: str) -> str:
    """The node below which a service's state lies (C35)."""
    path = zookeeper.partition("/")[2].strip("/")
    return f"/{path}" if path else f"/alluxio-mesos/{service}"


# What one scheduler process needs to do its work. Several schedulers of a service differ in it, and no task does.
PROCESS_OPTIONS: Final = frozenset(
    {
        "mesos",
        "secret-file",
        "zookeeper",
        "zookeeper-auth-file",
        "zookeeper-session",
        "api-host",
        "api-port",
        "api-url",
        "api-prefix",
        "api-token-file",
        "api-read-token-file",
        "api-open",
        "api-certificate",
        "api-key",
        "api-rate",
        "api-proxies",
        "artefacts",
        "log-level",
    }
)

_SECRETS: Final = (
    # key=value, where the key speaks of a secret; a property ends at a semicolon, a Java option at a blank
    (re.compile(r"([\w.\-]*(?:secret|passw|token|credential|key)[\w.\-]*\s*=)[^;]*", re.IGNORECASE), r"\1***"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]*@"), r"\1***@"),
)
_JAVA_SECRET: Final = re.compile(r"(-D[\w.\-]*(?:secret|passw|token|credential|key)[\w.\-]*=)\S*", re.IGNORECASE)


def recorded(values: Mapping[str, str]) -> dict[str, str]:
    """The texts of the options that say what is wanted, defaults included, as they may lie about: no secret's content
    is in them. Two of a service's schedulers that want the same have equal texts.
    """
    texts = {
        option.name: values.get(option.name) or option.default or ""
        for option in OPTIONS
        if option.name not in PROCESS_OPTIONS
    }
    return {name: _without_secrets(name, text) for name, text in texts.items() if text}


def _without_secrets(name: str, text: str) -> str:
    if name == "java-options":
        return _JAVA_SECRET.sub(r"\1***", text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def read(values: Mapping[str, str]) -> Configuration | tuple[Problem, ...]:
    """Texts by option name into a configuration, or every problem that they have. An empty text counts as not given."""
    problems: list[Problem] = []
    known = {option.name for option in OPTIONS}
    problems.extend(Problem(given, "there is no such option; see --help") for given in values if given not in known)
    read_values: dict[str, Any] = {}
    for option in OPTIONS:
        text = values.get(option.name) or option.default
        if text is None:
            problems.append(
                Problem(option.name, f"it is required ({option.help}); give it, or set {option.environment}")
            )
            continue
        try:
            read_values[option.attribute] = option.read(text) if text or option.default else ""
        except Invalid as invalid:
            problems.append(Problem(option.name, str(invalid)))
    problems.extend(_contradictions(read_values))
    if problems:
        return tuple(problems)
    for listed in ("properties", "api_proxies", "master_placement", "worker_placement", "proxy_placement"):
        read_values[listed] = tuple(read_values[listed])
    return Configuration(**read_values)


def _contradictions(values: Mapping[str, Any]) -> list[Problem]:
    """What each option allows but together cannot work."""
    problems = []
    if (
        bool(values.get("principal")) != bool(values.get("secret_file"))
        and "principal" in values
        and "secret_file" in values
    ):
        problems.append(
            Problem(
                "secret-file" if values["principal"] else "principal",
                "principal and secret-file go together; give both, or none",
            )
        )
    if bool(values.get("api_certificate")) != bool(values.get("api_key")) and {"api_certificate", "api_key"} <= set(
        values
    ):
        problems.append(
            Problem(
                "api-key" if values["api_certificate"] else "api-certificate",
                "certificate and key go together; give both, or none",
            )
        )
    if (
        not values.get("artefacts")
        and "artefacts" in values
        and not (values.get("alluxio_uri") and values.get("executor_uri"))
    ):
        problems.append(
            Problem(
                "artefacts",
                "the agents need something to fetch; give this folder, or both --alluxio-uri and --executor-uri",
            )
        )
    if values.get("journal") == "EMBEDDED" and values.get("journal_folder"):
        problems.append(
            Problem(
                "journal-folder", "an EMBEDDED journal lies on the masters' own agents; leave this out, or choose UFS"
            )
        )
    if values.get("masters", 1) > 1 and values.get("journal") == "UFS" and values.get("journal_folder") == "":
        problems.append(
            Problem(
                "masters",
                f"{values['masters']} masters need one journal; give --journal-folder, a folder that every agent "
                "reaches (NFS for example), or choose --journal EMBEDDED",
            )
        )
    problems.extend(_volume_problems(values))
    for option, least in (
        ("master-heap", 64),
        ("job-master-heap", 64),
        ("worker-heap", 64),
        ("job-worker-heap", 64),
        ("proxy-heap", 64),
        ("worker-direct", 32),
        ("master-direct", 16),
        ("worker-ram", 16),
        ("worker-ssd", 16),
        ("worker-hdd", 16),
    ):
        amount = values.get(option.replace("-", "_"))
        none = amount == 0 and option in {"worker-ssd", "worker-hdd"}
        if isinstance(amount, int) and amount < least and not none:
            problems.append(Problem(option, f"{amount} MiB is too little; Alluxio needs at least {least} MiB"))
    return problems


def _volume_problems(values: Mapping[str, Any]) -> list[Problem]:
    if values.get("persistent_volumes") != "yes":
        return []
    problems = []
    if values.get("worker_ssd") == 0 and values.get("worker_hdd") == 0:
        problems.append(
            Problem(
                "persistent-volumes",
                "there is no tier that could lie on one; give --worker-ssd or --worker-hdd a size, or leave this out",
            )
        )
    if values.get("role") == "*":
        problems.append(
            Problem("role", "'*' cannot hold reservations; give a role of this service's own, or no persistent volumes")
        )
    return problems
