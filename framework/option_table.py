"""The options: one table, from which the command line, the environment, the packages and the documentation are made.

Law: all there is to say of an option stands in its row, and no list of options' names stands anywhere else. Nothing
here reads the environment, a file or the command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from framework.model import Kind
from framework.option_types import (
    ADDRESSES,
    CONSTRAINTS,
    CPUS,
    ENVIRONMENT,
    FILE,
    FIXED_PORT,
    FOLDER,
    IMAGE,
    JARS,
    JAVA_OPTIONS,
    MESOS,
    MOUNTS,
    NAME,
    NETWORK,
    NO_YES,
    PORTION,
    PREFIX,
    PROPERTIES,
    ROLE,
    SECRET,
    SECRET_FILES,
    SECRET_VARIABLES,
    SECURITY,
    URI,
    WEB_ADDRESS,
    WORKER_COUNT,
    WORKER_GROUPS,
    ZOOKEEPER,
    Type,
    duration,
    line,
    size,
    whole,
    words,
)

ENVIRONMENT_PREFIX: Final = "ALLUXIO_MESOS_"


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What another value of an option does: the tasks of these kinds are launched with it, so they are launched again.
    ``fixed`` says why it cannot be changed while the service runs, or what to do instead; "" where it can. With
    ``process`` it is one scheduler process's own: several schedulers of a service differ in it, and no task does.
    """

    restarts: frozenset[Kind]
    fixed: str = ""
    process: bool = False

    def __str__(self) -> str:
        """As the documentation says it."""
        if self.process:
            return "restarts this scheduler, and no task"
        if self.fixed:
            return f"not while the service runs: {self.fixed}"
        if self == ALL:
            return "restarts all tasks, one by one"
        kinds = [_PLURAL[kind] for kind in Kind if kind in self.restarts]
        return f"restarts the {' and the '.join(kinds)}" if kinds else "restarts nothing"


_PLURAL: Final = {Kind.MASTER: "masters", Kind.WORKER: "workers", Kind.PROXY: "proxies"}


ALL: Final = Change(frozenset(Kind))
MASTERS: Final = Change(frozenset({Kind.MASTER}))
WORKERS: Final = Change(frozenset({Kind.WORKER}))
PROXIES: Final = Change(frozenset({Kind.PROXY}))
HDFS: Final = Change(frozenset({Kind.MASTER, Kind.WORKER}))
NONE: Final = Change(frozenset())
PROCESS: Final = Change(
    frozenset(), "it is one scheduler process's own; start that one with another value", process=True
)


def fixed(sentence: str, otherwise: Change = NONE) -> Change:
    return dataclasses.replace(otherwise, fixed=sentence)


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option. ``default`` is the text of its default; None makes it required. With ``secret`` its value is a file
    that holds a secret; with ``grouped`` a group of workers may have its own. ``port`` is the name of the port, among
    those of the kind that it restarts, that it may fix; with ``place`` it says which state in ZooKeeper is meant, to
    whoever works on one without a scheduler. The last four are for packages: ``dcos`` is its default on DC/OS where
    that is another, ``asset`` the name of what is fetched where it is not given, ``instead`` the option whose place it
    takes, and with ``app`` the Marathon app itself says it, and nobody else does.
    """

    name: str
    group: str
    type: Type
    default: str | None
    help: str
    change: Change
    secret: bool = False
    grouped: bool = False
    port: str = ""
    place: bool = False
    dcos: str | None = None
    asset: str = ""
    instead: str = ""
    app: bool = False

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")

    @property
    def environment(self) -> str:
        return ENVIRONMENT_PREFIX + self.attribute.upper()

    @property
    def secret_environment(self) -> str:
        """The environment variable that may hold the secret itself, where there is no file; "" where none may."""
        return self.environment.removesuffix("_FILE") if self.secret and self.name.endswith("-file") else ""

    @property
    def value(self) -> str:
        """How help shows a value of it."""
        return self.type.value

    def read(self, text: str) -> Any:
        """What the configuration holds for this text; an empty one counts as not given.

        Raises:
            Invalid: the message says what is wrong with it.
        """
        text = text or self.default or ""
        return self.type.read(text) if text else self.type.empty


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

# Exhibitor gives every master one of these names, however many masters there are.
_DCOS_ZOOKEEPER: Final = "zk-1.zk:2181,zk-2.zk:2181,zk-3.zk:2181,zk-4.zk:2181,zk-5.zk:2181"
OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "name",
        "service",
        NAME,
        "alluxio",
        "the service's name: two services in one cluster have two names",
        fixed("the service keeps its name", ALL),
        place=True,
    ),
    Option(
        "mesos",
        "mesos",
        MESOS,
        None,
        "the Mesos master: host:port, or zk://host:port,…/path to follow the leading one",
        PROCESS,
        dcos=f"zk://{_DCOS_ZOOKEEPER}/mesos",
    ),
    Option(
        "role",
        "mesos",
        ROLE,
        "alluxio",
        "the Mesos role whose resources are used",
        fixed("Mesos knows the service by it", ALL),
    ),
    Option(
        "principal",
        "mesos",
        line("NAME"),
        "",
        "the principal that authenticates to Mesos; none by default",
        fixed("Mesos knows the service by it", ALL),
    ),
    Option(
        "secret-file",
        "mesos",
        FILE,
        "",
        "the file that holds the principal's secret; or give ALLUXIO_MESOS_SECRET",
        PROCESS,
        secret=True,
    ),
    Option(
        "user",
        "mesos",
        line("NAME"),
        "",
        "the user that the tasks run as; by default the scheduler's own",
        fixed("the files on the agents belong to it", ALL),
    ),
    Option(
        "failover-timeout",
        "mesos",
        duration(604800),
        "7d",
        "how long Mesos keeps the tasks while no scheduler is connected",
        fixed("Mesos is told of it at a start"),
    ),
    Option(
        "zookeeper",
        "state",
        ZOOKEEPER,
        None,
        "where the scheduler keeps its state: host:port,…[/path]; the path defaults to /alluxio-mesos/NAME",
        PROCESS,
        place=True,
        dcos=_DCOS_ZOOKEEPER,
    ),
    Option(
        "zookeeper-auth-file",
        "state",
        FILE,
        "",
        "the file that holds user:password for ZooKeeper, or give ALLUXIO_MESOS_ZOOKEEPER_AUTH; the state is then "
        "readable with it alone",
        PROCESS,
        secret=True,
        place=True,
    ),
    Option(
        "zookeeper-session",
        "state",
        duration(2),
        "6s",
        "how long ZooKeeper waits for a silent scheduler or master before another one takes its place",
        PROCESS,
    ),
    Option(
        "api-host", "api", line("ADDRESS"), "127.0.0.1", "the address that the HTTP API listens on", PROCESS, app=True
    ),
    Option(
        "api-port",
        "api",
        whole(0, 65535, "PORT"),
        "8080",
        "the port that the HTTP API listens on; 0 chooses a free one",
        PROCESS,
        app=True,
    ),
    Option(
        "api-url",
        "api",
        WEB_ADDRESS,
        "",
        "the API's address as agents and people reach it; by default made of host and port",
        PROCESS,
        app=True,
    ),
    Option(
        "api-prefix",
        "api",
        PREFIX,
        "",
        "the beginning of the API's paths, where a proxy in front keeps it: /service/NAME",
        PROCESS,
    ),
    Option(
        "api-token-file",
        "api",
        FILE,
        "",
        "the file that holds the token to read and change everything; or give ALLUXIO_MESOS_API_TOKEN",
        PROCESS,
        secret=True,
    ),
    Option(
        "api-read-token-file",
        "api",
        FILE,
        "",
        "the file that holds the token to read; or give ALLUXIO_MESOS_API_READ_TOKEN",
        PROCESS,
        secret=True,
    ),
    Option(
        "api-open",
        "api",
        NO_YES,
        "no",
        "yes: without a token, listen on addresses that other machines reach, where everybody may change everything",
        PROCESS,
    ),
    Option("api-certificate", "api", FILE, "", "the file that holds the API's TLS certificate (PEM)", PROCESS),
    Option(
        "api-key",
        "api",
        FILE,
        "",
        "the file that holds the certificate's key (PEM, no passphrase)",
        PROCESS,
        secret=True,
    ),
    Option(
        "api-rate",
        "api",
        whole(0, 100_000),
        "100",
        "requests a second that one client may make on average, ten times as many at once; 0 for any",
        PROCESS,
    ),
    Option(
        "api-proxies",
        "api",
        ADDRESSES,
        "",
        "the proxies whose X-Forwarded-For is believed: addresses or networks with ',' between them",
        PROCESS,
    ),
    Option(
        "artefacts",
        "artefacts",
        line("FOLDER"),
        "",
        "the folder with the Alluxio bundle and the executor, which the API serves to the agents",
        PROCESS,
        app=True,
    ),
    Option(
        "alluxio-uri", "artefacts", URI, "", "an Alluxio tarball to fetch instead of the bundle", ALL, asset="alluxio"
    ),
    Option(
        "executor-uri",
        "artefacts",
        URI,
        "",
        "the executor's zipapp to fetch instead of the one that the API serves",
        ALL,
        asset="executor",
    ),
    Option(
        "java-uri", "artefacts", URI, "", "a Java 17 runtime's tarball for agents that have none", ALL, asset="java"
    ),
    Option(
        "under-storage-jars",
        "artefacts",
        JARS,
        "",
        "jars of further under-storages that the agents fetch, with ',' between them: each one whole, as Alluxio takes "
        "extensions",
        ALL,
    ),
    Option(
        "python",
        "artefacts",
        line("COMMAND"),
        "python3",
        "the Python (3.8 or newer) that starts the executor on an agent",
        ALL,
    ),
    Option(
        "under-storage",
        "alluxio",
        URI,
        None,
        "the storage at the root of the namespace",
        fixed("Alluxio's journal holds the root of the namespace", ALL),
    ),
    Option(
        "mounts",
        "alluxio",
        MOUNTS,
        "",
        "the storages below the root at the first start: /path=URI with ';' between several",
        fixed("the first start takes it; ask PUT /v1/mounts/PATH from then on"),
    ),
    Option(
        "secrets-dir",
        "alluxio",
        FOLDER,
        "",
        "the folder that holds the secrets which mounts name, a file each; read when a mount is made",
        PROCESS,
    ),
    Option(
        "security",
        "alluxio",
        SECURITY,
        "SIMPLE",
        "how Alluxio's clients and servers authenticate: SIMPLE or NOSASL",
        fixed("clients, masters and workers must agree on it at any moment", ALL),
    ),
    Option(
        "properties",
        "alluxio",
        PROPERTIES,
        "",
        "further Alluxio properties of every process, such as alluxio.user.file.readtype.default=CACHE",
        ALL,
    ),
    Option("java-options", "alluxio", JAVA_OPTIONS, "", "further options for every JVM", ALL),
    Option(
        "environment",
        "alluxio",
        ENVIRONMENT,
        "",
        "further environment variables of every task, such as JAVA_HOME=/opt/java; no secrets, which Mesos would show",
        ALL,
    ),
    Option(
        "secret-environment",
        "alluxio",
        SECRET_VARIABLES,
        "",
        "environment variables of every task out of Mesos's secret store, such as AWS_SECRET_ACCESS_KEY=cache/s3-key",
        ALL,
    ),
    Option(
        "secret-files",
        "alluxio",
        SECRET_FILES,
        "",
        "files of every task out of Mesos's secret store: ca.pem=cache/ca is secrets/ca.pem in the task's sandbox",
        ALL,
    ),
    Option(
        "hdfs-principal",
        "alluxio",
        line("PRINCIPAL"),
        "",
        "the Kerberos principal of masters and workers, where an under-storage is HDFS with Kerberos; _HOST in it "
        "stands for the agent's hostname",
        HDFS,
    ),
    Option("hdfs-keytab", "alluxio", FILE, "", "the file on each agent that holds the principal's keytab", HDFS),
    Option(
        "hdfs-keytab-secret",
        "alluxio",
        SECRET,
        "",
        "the name of the secret in Mesos's secret store that holds the principal's keytab, instead of hdfs-keytab",
        HDFS,
    ),
    Option(
        "bind",
        "alluxio",
        words("agent", "any", value="WHERE"),
        "any",
        "what Alluxio's processes listen on: the agent's own address, or any",
        ALL,
    ),
    Option(
        "image",
        "alluxio",
        IMAGE,
        "",
        "a container image with Python 3.8 and Java 17 in which all tasks run; by default they run on the agent itself",
        ALL,
    ),
    Option(
        "network",
        "alluxio",
        NETWORK,
        "",
        "a container network that all tasks join and that maps the agent's ports to theirs; by default they use the "
        "agent's own",
        ALL,
    ),
    Option(
        "network-labels",
        "alluxio",
        PROPERTIES,
        "",
        "labels that the network's plugin is told, such as group=cache",
        ALL,
    ),
    Option(
        "vips",
        "alluxio",
        NO_YES,
        "no",
        "yes: DC/OS gives the only master and the proxies addresses that outlive their tasks (VIPs)",
        Change(frozenset({Kind.MASTER, Kind.PROXY})),
        dcos="yes",
    ),
    Option(
        "data-dir",
        "alluxio",
        FOLDER,
        "/var/lib/alluxio-mesos",
        "the folder on each agent for journals and metadata; {agent} in it stands for the agent's hostname",
        fixed("the journal and the cached blocks lie there", ALL),
    ),
    Option(
        "ram-dir",
        "alluxio",
        FOLDER,
        "/dev/shm/alluxio-mesos",
        "the folder on each agent, on a tmpfs, for the memory tier; {agent} as above",
        fixed("the cached blocks lie there", ALL),
    ),
    Option(
        "masters",
        "masters",
        whole(1, 9),
        "1",
        "how many Alluxio masters run, each on an agent of its own; three survive the loss of one",
        fixed("start the scheduler with another number"),
    ),
    Option(
        "journal",
        "masters",
        words("UFS", "EMBEDDED", value="TYPE"),
        "UFS",
        "how the masters keep their journal: UFS (in a folder), or EMBEDDED (on their own agents, by Raft)",
        fixed("the journal stays where it is for the life of the service", ALL),
    ),
    Option(
        "journal-folder",
        "masters",
        URI,
        "",
        "a folder that every agent reaches, for the UFS journal of several masters; by default it lies in the"
        " data folder of the one master's agent",
        fixed("the journal stays where it is for the life of the service", ALL),
    ),
    Option(
        "format",
        "masters",
        NO_YES,
        "no",
        "yes: where the journal is gone, or files of unknown origin lie in its place, begin an empty namespace",
        fixed("it is said at a start, once"),
    ),
    Option("master-cpus", "masters", CPUS, "1", "CPUs of a master with its job master", MASTERS),
    Option("master-heap", "masters", size(64), "1GB", "heap of a master", MASTERS),
    Option("master-direct", "masters", size(16), "256MB", "direct memory of a master", MASTERS),
    Option("master-disk", "masters", size(), "1GB", "disk of a master, for its journal and metadata", MASTERS),
    Option("job-master-heap", "masters", size(64), "512MB", "heap of a job master", MASTERS),
    Option(
        "master-properties",
        "masters",
        PROPERTIES,
        "",
        "further Alluxio properties of a master; they win over those of every process",
        MASTERS,
    ),
    Option(
        "master-java-options",
        "masters",
        JAVA_OPTIONS,
        "",
        "further options for the JVM of a master, after those for every JVM",
        MASTERS,
    ),
    Option(
        "job-master-properties",
        "masters",
        PROPERTIES,
        "",
        "further Alluxio properties of a job master; they win over those of every process",
        MASTERS,
    ),
    Option(
        "job-master-java-options",
        "masters",
        JAVA_OPTIONS,
        "",
        "further options for the JVM of a job master, after those for every JVM",
        MASTERS,
    ),
    Option(
        "master-environment",
        "masters",
        ENVIRONMENT,
        "",
        "further environment variables of a master's task; they win over those of every task",
        MASTERS,
    ),
    Option(
        "master-rpc-port",
        "masters",
        FIXED_PORT,
        "0",
        "the port of a master, the same on each agent; a master that has served keeps the one it had",
        fixed("the others know a master by its ports", MASTERS),
        port="rpc",
    ),
    Option(
        "master-web-port",
        "masters",
        FIXED_PORT,
        "0",
        "the port of a master's page, as above",
        fixed("the others know a master by its ports", MASTERS),
        port="web",
    ),
    Option(
        "job-master-rpc-port",
        "masters",
        FIXED_PORT,
        "0",
        "the port of a job master, as above",
        fixed("the others know a master by its ports", MASTERS),
        port="job_rpc",
    ),
    Option(
        "job-master-web-port",
        "masters",
        FIXED_PORT,
        "0",
        "the port of a job master's page, as above",
        fixed("the others know a master by its ports", MASTERS),
        port="job_web",
    ),
    Option(
        "master-journal-port",
        "masters",
        FIXED_PORT,
        "0",
        "the port at which masters speak of an EMBEDDED journal, as above",
        fixed("the others know a master by its ports", MASTERS),
        port="journal",
    ),
    Option(
        "job-master-journal-port",
        "masters",
        FIXED_PORT,
        "0",
        "the port at which job masters speak of an EMBEDDED journal, as above",
        fixed("the others know a master by its ports", MASTERS),
        port="job_journal",
    ),
    Option(
        "master-placement",
        "masters",
        CONSTRAINTS,
        "",
        "where masters may run, such as rack:IS:r1 or hostname:UNLIKE:db.*; by default anywhere",
        NONE,
    ),
    Option(
        "workers",
        "workers",
        WORKER_COUNT,
        "all",
        "how many workers run: a number, or 'all' for one on each agent that fits",
        fixed("ask PUT /v1/workers for another number"),
    ),
    Option(
        "worker-groups",
        "workers",
        WORKER_GROUPS,
        "",
        'groups of workers that the service begins with: {"ssd": {"count": "all", "options": {"worker-ssd": "200GB"}}}',
        fixed("ask PUT /v1/worker-groups/NAME"),
    ),
    Option("worker-cpus", "workers", CPUS, "1", "CPUs of a worker with its job worker", WORKERS, grouped=True),
    Option("worker-heap", "workers", size(64), "512MB", "heap of a worker", WORKERS, grouped=True),
    Option(
        "worker-direct",
        "workers",
        size(32),
        "512MB",
        "direct memory of a worker, through which its reads and writes go",
        WORKERS,
        grouped=True,
    ),
    Option("worker-ram", "workers", size(16), "1GB", "memory tier of a worker", WORKERS, grouped=True),
    Option(
        "worker-ssd",
        "workers",
        size(16, none=True),
        "0",
        "SSD tier of a worker, below its memory tier; 0 for none",
        WORKERS,
        grouped=True,
    ),
    Option(
        "worker-hdd",
        "workers",
        size(16, none=True),
        "0",
        "HDD tier of a worker, below the others; 0 for none",
        WORKERS,
        grouped=True,
    ),
    Option(
        "persistent-volumes",
        "workers",
        NO_YES,
        "no",
        "yes: the SSD and HDD tiers lie on Mesos persistent volumes, disk that stays reserved for a worker "
        "that is down; no: in the data folder, on disk that Mesos then offers to others",
        WORKERS,
    ),
    Option(
        "leftover-volumes",
        "workers",
        words("destroy", "keep"),
        "destroy",
        "what becomes of persistent volumes that no worker has any more, as it was scaled away or has moved: "
        "destroy them and free their disk, or keep them",
        NONE,
    ),
    Option("worker-disk", "workers", size(), "256MB", "disk of a worker, for its logs", WORKERS, grouped=True),
    Option("job-worker-heap", "workers", size(64), "256MB", "heap of a job worker", WORKERS, grouped=True),
    Option(
        "worker-properties",
        "workers",
        PROPERTIES,
        "",
        "further Alluxio properties of a worker; they win over those of every process",
        WORKERS,
        grouped=True,
    ),
    Option(
        "worker-java-options",
        "workers",
        JAVA_OPTIONS,
        "",
        "further options for the JVM of a worker, after those for every JVM",
        WORKERS,
        grouped=True,
    ),
    Option(
        "job-worker-properties",
        "workers",
        PROPERTIES,
        "",
        "further Alluxio properties of a job worker; they win over those of every process",
        WORKERS,
        grouped=True,
    ),
    Option(
        "job-worker-java-options",
        "workers",
        JAVA_OPTIONS,
        "",
        "further options for the JVM of a job worker, after those for every JVM",
        WORKERS,
        grouped=True,
    ),
    Option(
        "worker-environment",
        "workers",
        ENVIRONMENT,
        "",
        "further environment variables of a worker's task; they win over those of every task",
        WORKERS,
        grouped=True,
    ),
    Option(
        "worker-rpc-port",
        "workers",
        FIXED_PORT,
        "0",
        "the port of a worker, the same on each agent",
        WORKERS,
        port="rpc",
    ),
    Option(
        "worker-web-port",
        "workers",
        FIXED_PORT,
        "0",
        "the port of a worker's page, the same on each agent",
        WORKERS,
        port="web",
    ),
    Option(
        "job-worker-rpc-port",
        "workers",
        FIXED_PORT,
        "0",
        "the port of a job worker, the same on each agent",
        WORKERS,
        port="job_rpc",
    ),
    Option(
        "job-worker-data-port",
        "workers",
        FIXED_PORT,
        "0",
        "the data port of a job worker, the same on each agent",
        WORKERS,
        port="job_data",
    ),
    Option(
        "job-worker-web-port",
        "workers",
        FIXED_PORT,
        "0",
        "the port of a job worker's page, the same on each agent",
        WORKERS,
        port="job_web",
    ),
    Option(
        "worker-placement",
        "workers",
        CONSTRAINTS,
        "",
        "where workers may run, such as rack:IS:r1 or hostname:UNLIKE:db.*; by default anywhere",
        NONE,
        grouped=True,
    ),
    Option(
        "proxies", "proxies", whole(0, 100_000), "0", "how many S3 and REST proxies run, at most one on an agent", NONE
    ),
    Option("proxy-cpus", "proxies", CPUS, "0.5", "CPUs of a proxy", PROXIES),
    Option("proxy-heap", "proxies", size(64), "512MB", "heap of a proxy", PROXIES),
    Option(
        "proxy-properties",
        "proxies",
        PROPERTIES,
        "",
        "further Alluxio properties of a proxy; they win over those of every process",
        PROXIES,
    ),
    Option(
        "proxy-java-options",
        "proxies",
        JAVA_OPTIONS,
        "",
        "further options for the JVM of a proxy, after those for every JVM",
        PROXIES,
    ),
    Option(
        "proxy-environment",
        "proxies",
        ENVIRONMENT,
        "",
        "further environment variables of a proxy's task; they win over those of every task",
        PROXIES,
    ),
    Option(
        "proxy-port",
        "proxies",
        FIXED_PORT,
        "0",
        "the port of a proxy, the same on each agent",
        PROXIES,
        port="web",
    ),
    Option(
        "proxy-placement",
        "proxies",
        CONSTRAINTS,
        "",
        "where proxies may run, such as rack:IS:r1 or hostname:UNLIKE:db.*; by default anywhere",
        NONE,
    ),
    Option(
        "stickiness",
        "recovery",
        duration(0),
        "10m",
        "how long a worker waits for its own agent, where its cached blocks lie, before it moves",
        NONE,
    ),
    Option(
        "decommission-drain",
        "recovery",
        duration(0),
        "150s",
        "how long a worker that goes runs on once nothing is lost with it: at least the time after which "
        "clients look up the workers anew (alluxio.user.worker.list.refresh.interval)",
        NONE,
    ),
    Option(
        "unavailable-workers",
        "recovery",
        PORTION,
        "10%",
        "how many of the workers may be away at once while they take another configuration; one always may",
        NONE,
    ),
    Option(
        "unreachable-grace",
        "recovery",
        duration(0),
        "10m",
        "how long an unreachable agent may take to come back with its tasks before they are launched elsewhere",
        NONE,
    ),
    Option(
        "launch-timeout",
        "recovery",
        duration(30),
        "5m",
        "how long a launch may stay without a word before it is repeated",
        NONE,
    ),
    Option(
        "stop-timeout",
        "recovery",
        duration(1),
        "15s",
        "how long Alluxio's processes may take to stop before they are killed",
        ALL,
    ),
    Option(
        "log-level",
        "log",
        words("DEBUG", "INFO", "WARNING", "ERROR", value="LEVEL"),
        "INFO",
        "how much is logged: DEBUG, INFO, WARNING or ERROR",
        PROCESS,
    ),
)

BY_NAME: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}
# What the service keeps for its life, or what is changed elsewhere, with the reason or what to do instead.
FIXED: Final[Mapping[str, str]] = {option.name: option.change.fixed for option in OPTIONS if option.change.fixed}
PROCESS_OPTIONS: Final = frozenset(option.name for option in OPTIONS if option.change.process)


# The options that may fix a port of a kind, in the order in which its ports are taken.
PORT_OPTIONS: Final[Mapping[Kind, tuple[Option, ...]]] = {
    kind: tuple(option for option in OPTIONS if option.port and kind in option.change.restarts) for kind in Kind
}


def launched_with(kind: Kind) -> frozenset[str]:
    """The attributes of what tasks of this kind are launched with."""
    return frozenset(option.attribute for option in OPTIONS if kind in option.change.restarts)
