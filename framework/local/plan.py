"""What a local cluster consists of: addresses, folders, sizes, command lines. Pure; starts nothing, opens nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any, Final

from framework.config import Configuration, Problem, read
from framework.model import Kind
from framework.site import tier_folder

SERVICE: Final = "alluxio"
FIRST_AGENT: Final = 11  # 127.0.0.11, 127.0.0.12, …
MOST_AGENTS: Final = 200
MOST_COPIES: Final = 9  # of a service: 127.0.0.1 to 127.0.0.9
LOOPBACK: Final = "127.0.0.1"
MESOS_PATH: Final = "mesos"  # where several Mesos masters elect one in ZooKeeper
AGENT_MEMORY: Final = 45  # MiB of a local Mesos master, an agent or a scheduler
EXECUTOR_MEMORY: Final = 30
ZOOKEEPER_HEAP: Final = 64
DISK_NEEDED: Final = 1024  # MiB for logs, journal and the sandboxes' copies of the bundle, for each agent a third of it
PYTHON: Final = (sys.executable, "-m")
JAVA_OPTIONS: Final = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"  # quick to start, small

# Small JVMs: a laptop runs all of them. Every value can be changed with --set.
SIZES: Final = {
    "master-heap": "192MB",
    "master-direct": "64MB",
    "master-disk": "256MB",
    "master-cpus": "0.5",
    "job-master-heap": "96MB",
    "worker-heap": "128MB",
    "worker-direct": "128MB",
    "worker-disk": "64MB",
    "worker-cpus": "0.5",
    "job-worker-heap": "96MB",
    "proxy-heap": "128MB",
    "proxy-cpus": "0.25",
}

# Everything that a cluster makes in its folder, as patterns; the marker of a cluster's folder comes last.
FOLDERS: Final = ("mesos", "data", "journal", "under-storage", "logs", "zookeeper-*", "zookeeper")

# The scheduler's options that `local up` takes under a name of its own; the others are given with --set.
OWN_FLAGS: Final = {
    "api-port": "--api-port",
    "artefacts": "--artefacts",
    "masters": "--masters",
    "under-storage": "--under-storage",
    "worker-ram": "--ram",
    "workers": "--workers",
}


def in_words(problem: Problem) -> str:
    """The sentence about an option as the person wrote it."""
    return f"{OWN_FLAGS.get(problem.option, f'--set {problem.option}')}: {problem.sentence}"


def host(index: int) -> str:
    """The address of a service's copy: each has one of its own, as if it were a machine, and so the same port."""
    return f"127.0.0.{1 + index}"


def copies(name: str, count: int) -> tuple[str, ...]:
    """The names of a service's copies: the first has the plain one."""
    return (name, *(f"{name}-{index}" for index in range(1, count)))


def api_urls(port: int, schedulers: int) -> tuple[str, ...]:
    """The API of each scheduler; a standby sends the client on to the leader."""
    return tuple(f"http://{host(index)}:{port}" for index in range(schedulers))


@dataclasses.dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts listen; the agents' processes take theirs of ``agents`` (both ends belong to it). The servers of
    a ZooKeeper ensemble also talk among themselves, at the two ports after their clients'.
    """

    api: int = 8080
    mesos: int = 5050
    agent: int = 5051
    zookeeper: int = 2181
    agents: tuple[int, int] = (31000, 31099)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A local cluster as asked for. ``settings`` are scheduler options by name, over the small sizes above;
    ``mesos_settings`` are flags of localmesos's master by name.
    """

    directory: Path
    artefacts: Path
    agents: int = 3
    racks: int = 0  # in which the agents stand in turn, as their attribute says; 0: they have none
    schedulers: int = 1
    zookeepers: int = 1
    mesos_masters: int = 1
    masters: int = 1
    workers: str = "all"
    ram: str = "256MB"
    under_storage: str = ""
    ports: Ports = Ports()
    settings: tuple[tuple[str, str], ...] = ()
    mesos_settings: tuple[tuple[str, str], ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(f"127.0.0.{FIRST_AGENT + index}" for index in range(self.agents))

    @property
    def expected_workers(self) -> int:
        return self.agents if self.workers == "all" else int(self.workers)

    @property
    def api_urls(self) -> tuple[str, ...]:
        return api_urls(self.ports.api, self.schedulers)

    @property
    def zookeeper(self) -> str:
        """Every server, as clients are told."""
        return ",".join(f"{host(index)}:{self.ports.zookeeper}" for index in range(self.zookeepers))

    @property
    def mesos(self) -> str:
        """The Mesos master, as agents and scheduler are told: of several, ZooKeeper knows which leads."""
        if self.mesos_masters == 1:
            return f"{LOOPBACK}:{self.ports.mesos}"
        return f"zk://{self.zookeeper}/{MESOS_PATH}"

    @property
    def ram_directory(self) -> Path:
        """On the machine's tmpfs, apart from other clusters' folders on it."""
        return Path("/dev/shm") / f"alluxio-mesos-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]}"

    def options(self, scheduler: int = 0) -> dict[str, str]:
        """The options of one of the schedulers by name."""
        given = dict(self.settings)
        # Several masters read one journal, unless each keeps a copy of its own.
        shared = self.masters > 1 and given.get("journal", "UFS") == "UFS"
        return {
            **SIZES,
            "name": SERVICE,
            "mesos": self.mesos,
            "zookeeper": self.zookeeper,
            "api-host": host(scheduler),
            "api-port": str(self.ports.api),
            "artefacts": str(self.artefacts),
            "under-storage": self.under_storage or str(self.directory / "under-storage"),
            "bind": "agent",
            "data-dir": str(self.directory / "data"),
            "ram-dir": str(self.ram_directory),
            "python": sys.executable,
            "masters": str(self.masters),
            "workers": self.workers,
            "worker-ram": self.ram,
            "java-options": JAVA_OPTIONS,
            "stop-timeout": "10s",
            "stickiness": "1h",
            "decommission-drain": "10s",
            **({"journal-folder": str(self.directory / "journal")} if shared else {}),
            **given,
        }

    def configuration(self) -> Configuration | tuple[Problem, ...]:
        return read(self.options())

    def as_document(self) -> dict[str, Any]:
        """Equal documents mean the same cluster."""
        return {
            "agents": self.agents,
            **({"racks": self.racks} if self.racks else {}),
            "schedulers": self.schedulers,
            "zookeepers": self.zookeepers,
            "mesos_masters": self.mesos_masters,
            "masters": self.masters,
            "workers": self.workers,
            "ram": self.ram,
            "under_storage": self.under_storage,
            "ports": dataclasses.asdict(self.ports) | {"agents": list(self.ports.agents)},
            "settings": dict(self.settings),
            "mesos_settings": dict(self.mesos_settings),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One long-running process of the cluster. It answers at ``listens`` and takes ``further`` ports of the same
    address. ``stop_signal`` is how it is asked to end for good, ``group`` the order in which the groups end.
    """

    name: str
    command: tuple[str, ...]
    listens: tuple[str, int]
    group: int
    stop_signal: str = "SIGTERM"
    patience: float = 15.0
    further: tuple[int, ...] = ()

    @property
    def takes(self) -> tuple[tuple[str, int], ...]:
        address, port = self.listens
        return tuple((address, taken) for taken in (port, *self.further))


def parts(plan: Plan, configuration: Configuration, java: str) -> tuple[Part, ...]:
    """Every process in the order of its start. All may start at once: each waits for what it needs.

    The schedulers end first, so that they see no task end; the agents before the Mesos masters and ZooKeeper, so that
    they can say goodbye.
    """
    return (
        *(_zookeeper(plan, java, index) for index in range(plan.zookeepers)),
        *(_mesos_master(plan, index) for index in range(plan.mesos_masters)),
        *(_agent(plan, configuration, address) for address in plan.addresses),
        *(_scheduler(plan, index) for index in range(plan.schedulers)),
    )


def zookeeper_folder(plan: Plan, index: int) -> Path:
    return plan.directory / copies("zookeeper", plan.zookeepers)[index]


def _zookeeper(plan: Plan, java: str, index: int) -> Part:
    command = (
        *(java, f"-Xmx{ZOOKEEPER_HEAP}m", *JAVA_OPTIONS.split()),
        *("-cp", f"{plan.artefacts}/jars/zookeeper/*"),
        *("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(zookeeper_folder(plan, index) / "zoo.cfg")),
    )
    further = _among_themselves(plan) if plan.zookeepers > 1 else ()
    name = copies("zookeeper", plan.zookeepers)[index]
    return Part(name, command, (host(index), plan.ports.zookeeper), 3, further=further)


def _among_themselves(plan: Plan) -> tuple[int, int]:
    """The ports of an ensemble's quorum and of its election."""
    return plan.ports.zookeeper + 1, plan.ports.zookeeper + 2


def _mesos_master(plan: Plan, index: int) -> Part:
    settings = {"offer-interval": "0.5", **dict(plan.mesos_settings)}
    name = copies("mesos-master", plan.mesos_masters)[index]
    command = (
        *(*PYTHON, "localmesos", "master", "--ip", host(index), "--port", str(plan.ports.mesos)),
        *("--work-dir", str(plan.directory / "mesos" / name.removeprefix("mesos-"))),
        *(_elected(plan) if plan.mesos_masters > 1 else ()),
        *(text for flag, value in settings.items() for text in (f"--{flag}", value)),
    )
    return Part(name, command, (host(index), plan.ports.mesos), 2)


def _elected(plan: Plan) -> tuple[str, ...]:
    registry = plan.directory / "mesos" / "registry.json"
    return "--zookeeper", f"{plan.zookeeper}/{MESOS_PATH}", "--registry", str(registry)


def _agent(plan: Plan, configuration: Configuration, address: str) -> Part:
    command = (
        *(*PYTHON, "localmesos", "agent", "--ip", address, "--port", str(plan.ports.agent), "--master", plan.mesos),
        *("--work-dir", str(plan.directory / "mesos" / f"agent-{address}")),
        *("--resources", agent_resources(plan, configuration), "--executor-shutdown-grace", "15"),
        # A busy laptop may keep an executor that lives from coming back within Mesos's two seconds.
        *("--executor-reregistration-timeout", "15"),
        *(("--attributes", f"rack:r{plan.addresses.index(address) % plan.racks + 1}") if plan.racks else ()),
    )
    return Part(f"agent-{address}", command, (address, plan.ports.agent), 1, "SIGUSR1", 30.0)


def _scheduler(plan: Plan, index: int) -> Part:
    options = (text for name, value in plan.options(index).items() if value for text in (f"--{name}", value))
    name = copies("scheduler", plan.schedulers)[index]
    return Part(name, (*PYTHON, "framework", "scheduler", *options), (host(index), plan.ports.api), 0)


def agent_resources(plan: Plan, configuration: Configuration) -> str:
    """Each agent has room for one task of every kind: whichever agent is offered first may take the master."""
    needs = [configuration.needs[kind] for kind in Kind if configuration.wanted.count(kind) != 0]
    begin, end = plan.ports.agents
    cpus = sum(need.cpus for need in needs) / 1000
    memory, disk = sum(need.memory for need in needs), sum(need.whole_disk for need in needs)
    return f"cpus:{cpus:g};mem:{memory};disk:{disk};ports:[{begin}-{end}]"


def zookeeper_configuration(plan: Plan, index: int) -> str:
    lines: dict[str, object] = {
        "tickTime": 1000,
        "minSessionTimeout": 2000,
        "dataDir": zookeeper_folder(plan, index) / "data",
        "clientPort": plan.ports.zookeeper,
        "clientPortAddress": host(index),
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "srvr,ruok",
        "autopurge.purgeInterval": 1,
    }
    if plan.zookeepers > 1:
        quorum, election = _among_themselves(plan)
        servers = {f"server.{1 + n}": f"{host(n)}:{quorum}:{election}" for n in range(plan.zookeepers)}
        # In ticks: how long a server may take to follow the leader, and then to answer it.
        lines |= {"initLimit": 20, "syncLimit": 5, **servers}
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def memory_needed(plan: Plan, configuration: Configuration) -> int:
    """MiB that everything together may use, the memory tiers included."""
    counts = {Kind.MASTER: plan.masters, Kind.WORKER: plan.expected_workers, Kind.PROXY: configuration.proxies}
    tasks = sum(count * configuration.needs[kind].memory for kind, count in counts.items())
    services = (plan.agents + plan.mesos_masters + plan.schedulers) * AGENT_MEMORY
    return tasks + services + plan.zookeepers * (ZOOKEEPER_HEAP + 64)


def tier_folders(plan: Plan, configuration: Configuration) -> tuple[Path, ...]:
    return tuple(Path(tier_folder(configuration, f"worker-{index}")) for index in range(plan.expected_workers))
