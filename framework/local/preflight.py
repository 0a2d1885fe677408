"""What must hold before anything is started. Each check answers with one sentence that says what to install or free,
or with nothing.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from framework.config import Configuration
from framework.local.plan import DISK_NEEDED, MOST_AGENTS, MOST_COPIES, Part, Plan, memory_needed, tier_folders

JAVA: Final = 17
TMPFS: Final = Path("/dev/shm")


class NotReady(Exception):
    """One or more things must be put right first; the arguments are the sentences."""


def find_java() -> str:
    """The java command: of JAVA_HOME, else of the PATH.

    Raises:
        NotReady: there is none, or it is not Java 17.
    """
    home = os.environ.get("JAVA_HOME", "")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java") or ""
    if not java or not os.access(java, os.X_OK):
        where = f"JAVA_HOME is {home}, but {java} cannot be run" if home else "no java is on the PATH"
        raise NotReady(
            f"Java {JAVA} is missing: {where}; "
            f"install it (Debian: apt install openjdk-{JAVA}-jre-headless), or point JAVA_HOME to it."
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) != JAVA:
        found = version[1] if version else "something else"
        raise NotReady(f"{java} is Java {found}, but Alluxio 2.9 needs Java {JAVA}; point JAVA_HOME to one.")
    return java


def check_numbers(plan: Plan) -> None:
    """What is asked for, by itself: the scheduler's options follow from it.

    Raises:
        NotReady: with every sentence.
    """
    sentences = tuple(_numbers(plan))
    if sentences:
        raise NotReady(*sentences)


def check(plan: Plan, configuration: Configuration, to_start: tuple[Part, ...]) -> None:
    """Everything at once, so that a person mends it at once.

    Raises:
        NotReady: with every sentence.
    """
    sentences = [*_ports(to_start), *_task_ports(plan, to_start), *_tmpfs(plan, configuration), *_disk(plan)]
    # What runs already holds its memory: only a whole cluster asks for all of it.
    if len(to_start) == plan.agents + plan.zookeepers + plan.mesos_masters + plan.schedulers:
        sentences += _memory(plan, configuration)
    if sentences:
        raise NotReady(*sentences)


def _numbers(plan: Plan) -> Iterator[str]:
    if not 1 <= plan.agents <= MOST_AGENTS:
        yield f"--agents {plan.agents} is not allowed; choose 1 to {MOST_AGENTS}."
    else:
        if plan.masters > plan.agents:
            yield (
                f"--masters {plan.masters} asks for more than the {plan.agents} agents can run, one on each; "
                "raise --agents."
            )
        if plan.expected_workers > plan.agents:
            yield (
                f"--workers {plan.workers} asks for more than the {plan.agents} agents can run, one on each; "
                "raise --agents."
            )
    for flag, count in (("--schedulers", plan.schedulers), ("--mesos-masters", plan.mesos_masters)):
        if not 1 <= count <= MOST_COPIES:
            yield f"{flag} {count} is not allowed; choose 1 to {MOST_COPIES}."
    if not 1 <= plan.zookeepers <= MOST_COPIES or plan.zookeepers % 2 == 0:
        yield (
            f"--zookeepers {plan.zookeepers} is not allowed; choose 1, 3, 5, 7 or {MOST_COPIES}: "
            "one more than an odd number survives no more."
        )
    yield from _port_numbers(plan)


def _port_numbers(plan: Plan) -> Iterator[str]:
    ports = plan.ports
    flags = (("--api-port", ports.api), ("--mesos-port", ports.mesos), ("--zookeeper-port", ports.zookeeper))
    for (one, port), (other, same) in itertools.combinations(flags, 2):
        if port == same:
            yield f"{one} and {other} are both {port}; choose two ports."
    if plan.zookeepers > 1:
        for flag, port in flags:
            if port in (ports.zookeeper + 1, ports.zookeeper + 2):
                yield (
                    f"{flag} {port} is one of the two ports after --zookeeper-port {ports.zookeeper}, "
                    f"at which the {plan.zookeepers} ZooKeeper servers talk among themselves; choose another."
                )
    begin, end = ports.agents
    if end - begin < 19:
        yield f"--agent-ports {begin}-{end} are too few; an agent needs at least 20."
    if begin <= ports.agent <= end:
        yield f"--agent-port {ports.agent} is one of --agent-ports {begin}-{end}, which the tasks use; choose another."


def _ports(to_start: tuple[Part, ...]) -> Iterator[str]:
    flags = {"scheduler": "--api-port", "mesos-master": "--mesos-port", "zookeeper": "--zookeeper-port"}
    for part in to_start:
        for host, port in part.takes:
            if not _is_free(host, port):
                flag = next((flag for name, flag in flags.items() if part.name.startswith(name)), "--agent-port")
                yield (
                    f"Port {port} on {host}, for {part.name}, is taken{_by_whom(host, port)}; "
                    f"end that process, or choose another with {flag}."
                )


def _task_ports(plan: Plan, to_start: tuple[Part, ...]) -> Iterator[str]:
    """Strangers on the ports that the agents offer. What an agent that died left running is no stranger: the agent
    takes it back.
    """
    begin, end = plan.ports.agents
    agents = {part.listens[0] for part in to_start if part.listens[0] in plan.addresses}
    taken = sorted(
        (port, host, pid)
        for host, port, pid in _listeners()
        if begin <= port <= end and host in agents and not _runs_below(pid, plan.directory / "mesos")
    )
    if taken:
        port, host, pid = taken[0]
        yield (
            f"{len(taken)} of the ports {begin}-{end} that the agents' tasks use are taken, "
            f"{port} on {host}{_named(pid)} first; end what holds them, or choose others with --agent-ports."
        )


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _by_whom(host: str, port: int) -> str:
    pids = (pid for where, number, pid in _listeners() if number == port and where in (host, "0.0.0.0", "::"))
    return _named(next(pids, 0))


def _listeners() -> list[tuple[str, int, int]]:
    """Address, port and process id of every TCP server here; 0 for another user's, whose id is not shown."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return []
    return [
        (connection.laddr.ip, connection.laddr.port, connection.pid or 0)
        for connection in connections
        if connection.laddr and connection.status == psutil.CONN_LISTEN
    ]


def _named(pid: int) -> str:
    try:
        return f" by process {pid} ({psutil.Process(pid).name()})" if pid else ""
    except psutil.Error:
        return ""


def _runs_below(pid: int, sandboxes: Path) -> bool:
    try:
        return bool(pid) and Path(psutil.Process(pid).environ().get("MESOS_SANDBOX", "/")).is_relative_to(sandboxes)
    except psutil.Error:
        return False


def _memory(plan: Plan, configuration: Configuration) -> Iterator[str]:
    needed, free = memory_needed(plan, configuration), psutil.virtual_memory().available >> 20
    if free < needed:
        yield (
            f"The cluster may use {needed} MiB of memory, but {free} MiB are free; "
            "end something, or ask for fewer --agents or less --ram."
        )


def _tmpfs(plan: Plan, configuration: Configuration) -> Iterator[str]:
    if not TMPFS.is_dir():
        yield f"{TMPFS} is missing, where the memory tiers would lie; mount a tmpfs there."
        return
    held = sum(_size(folder) for folder in tier_folders(plan, configuration))
    tiers = plan.expected_workers * configuration.worker_ram
    room = (psutil.disk_usage(str(TMPFS)).free >> 20) + held
    if room < tiers:
        yield (
            f"The memory tiers need {tiers} MiB on {TMPFS}, which has room for {room} MiB; "
            "enlarge it (mount -o remount,size=…), or ask for less --ram."
        )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) >> 20


def _disk(plan: Plan) -> Iterator[str]:
    existing = next(folder for folder in (plan.directory, *plan.directory.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield f"--dir {plan.directory} cannot be used: {existing} is no folder that you may write to; choose another."
        return
    needed = DISK_NEEDED + plan.agents * DISK_NEEDED // 3
    free = psutil.disk_usage(str(existing)).free >> 20
    if free < needed:
        yield (
            f"The cluster needs {needed} MiB of disk at {existing}, where {free} MiB are free; "
            "free some, or choose another --dir."
        )
