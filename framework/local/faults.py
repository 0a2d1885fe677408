"""Faults in the cluster of a folder: asks its Mesos master or an agent for them, or sends a process a signal.

Each returns one sentence about what now holds, or raises NotDone with one. Prints nothing itself.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
import requests

from framework.local.plan import LOOPBACK
from framework.local.processes import Ledger, Started

MASTER: Final = "mesos-master"  # How the names of the Mesos masters begin.
AGENT: Final = "agent-"
ANSWER_SECONDS: Final = 10.0


class NotDone(Exception):
    """The sentence for the person."""


class Cluster:
    """The processes that run in a folder. Where each listens, its own command line tells."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _, self._parts = Ledger(folder / "cluster.json").read()
        if not any(part.process() is not None for part in self._parts):
            raise NotDone(f"No cluster runs in {folder}; `alluxio-mesos local up` starts one.")

    def process(self, name: str) -> psutil.Process:
        """A part by its name; an agent also by its address."""
        named = {part.name: part for part in self._parts}
        part = named.get(name) or named.get(f"{AGENT}{name}")
        if part is None:
            raise NotDone(f"There is no {name} in {self._folder}; there are {', '.join(sorted(named))}.")
        process = part.process()
        if process is None:
            raise NotDone(f"{part.name} does not run; `alluxio-mesos local up` starts it.")
        return process

    def agent(self, address: str) -> str:
        """The URL of an agent."""
        agents = [part.name.removeprefix(AGENT) for part in self._parts if part.name.startswith(AGENT)]
        if address.removeprefix(AGENT) not in agents:
            raise NotDone(f"There is no agent {address} in {self._folder}; its agents are {', '.join(agents)}.")
        return _url(self.process(address))

    def servers(self) -> list[str]:
        """The URLs of all masters and agents that run."""
        return [_url(process) for part in self._parts if (process := _server(part)) is not None]

    def master(self) -> str:
        """The URL of the leading Mesos master, as any of them tells it."""
        for part in self._parts:
            process = part.process()
            if process is None or not part.name.startswith(MASTER):
                continue
            try:
                answer = requests.get(f"{_url(process)}/redirect", allow_redirects=False, timeout=ANSWER_SECONDS)
                return f"http:{answer.headers['Location']}"
            except (requests.RequestException, KeyError):
                continue
        raise NotDone(f"No Mesos master answers in {self._folder}; see `alluxio-mesos local status`.")


def _server(part: Started) -> psutil.Process | None:
    return part.process() if part.name.startswith((MASTER, AGENT)) else None


def _url(process: psutil.Process) -> str:
    options = dict(itertools.pairwise(process.cmdline()))
    return f"http://{options.get('--ip', LOOPBACK)}:{options['--port']}"


def ask(url: str, method: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer to a request; raises NotDone with what the server says."""
    try:
        answer = requests.request(method, url, json=document, timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        raise NotDone(f"{url} does not answer: {type(error).__name__}.") from error
    if not answer.ok:
        raise NotDone(f"{url} refuses: {answer.text.strip() or answer.reason}")
    found: dict[str, Any] = answer.json() if answer.text else {}
    return found


def _fault(server: str, name: str, **parameters: Any) -> None:
    """``parameters`` that are None are left to the server."""
    given = {key: value for key, value in parameters.items() if value is not None}
    ask(f"{server}/faults", "POST", {"fault": name, **given})


def _while(seconds: float | None) -> str:
    return "until `alluxio-mesos local fault clear`" if seconds is None else f"for {seconds:g} s"


# the faults


def _kill_agent(cluster: Cluster, options: argparse.Namespace) -> str:
    cluster.agent(options.target)
    return _kill(cluster, options)


def _kill(cluster: Cluster, options: argparse.Namespace) -> str:
    process = cluster.process(options.target)
    process.kill()
    psutil.wait_procs([process], timeout=ANSWER_SECONDS)
    return f"Killed {options.target}, process {process.pid}; `alluxio-mesos local up` starts it again."


def _agent_away(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.agent(options.target), "away", seconds=options.seconds)
    return f"Agent {options.target} is away for {options.seconds:g} s, then it starts again."


def _reboot_agent(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.agent(options.target), "reboot", seconds=options.seconds)
    return f"Agent {options.target} has lost its power; it starts in {options.seconds:g} s, with a new id."


def _mark_gone(cluster: Cluster, options: argparse.Namespace) -> str:
    address = options.target.removeprefix(AGENT)
    cluster.process(address)
    master = cluster.master()
    ids = [agent["id"] for agent in ask(f"{master}/state", "GET")["slaves"] if agent["hostname"] == address]
    if not ids:
        raise NotDone(f"Agent {address} is not registered with the Mesos master.")
    call = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": ids[0]}}}
    ask(f"{master}/api/v1", "POST", call)
    return f"Agent {address} is marked gone; `alluxio-mesos local up` starts it as a new one."


def _drop_packets(cluster: Cluster, options: argparse.Namespace) -> str:
    where = {"master": (cluster.master, "schedulers"), "agents": (cluster.master, "agents")}
    server, peer = where.get(options.target, (lambda: cluster.agent(options.target), "master"))
    _fault(server(), "drop-packets", peer=peer, seconds=options.seconds)
    between = {"schedulers": "master and schedulers", "agents": "master and agents"}
    ends = between.get(peer, f"agent {options.target} and the master")
    return f"Packets between {ends} are dropped {_while(options.seconds)}."


def _fail_over_master(cluster: Cluster, options: argparse.Namespace) -> str:
    master = cluster.master()
    _fault(master, "away", seconds=options.seconds)
    address = master.removeprefix("http://")
    return f"The Mesos master at {address} is killed; it starts again after {options.seconds:g} s."


def _rescind(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.master(), "rescind")
    return "All offers are rescinded."


def _no_ports(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.master(), "no-ports", seconds=options.seconds)
    return f"Offers hold no ports {_while(options.seconds)}."


def _duplicate_updates(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.master(), "duplicate-updates", after=options.by, seconds=options.seconds)
    return f"Status updates come twice {_while(options.seconds)}."


def _delay_updates(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.master(), "delay-updates", by=options.by, seconds=options.seconds)
    return f"Status updates come {options.by:g} s late {_while(options.seconds)}."


def _lose_launches(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.master(), "lose-launches", calls=options.calls, seconds=options.seconds)
    return f"{_count(options.calls, 'launch', 'launches')} will not reach the agent, {_while(options.seconds)}."


def _task_lost(cluster: Cluster, options: argparse.Namespace) -> str:
    _fault(cluster.master(), "task-lost", seconds=options.seconds)
    return f"The master says TASK_LOST instead of the finer states {_while(options.seconds)}."


def _answer(cluster: Cluster, options: argparse.Namespace) -> str:
    parameters = {"status": options.target, "to": options.to, "calls": options.calls, "seconds": options.seconds}
    _fault(cluster.master(), "answer", **parameters)
    which = {"all": "call", "subscribe": "SUBSCRIBE", "calls": "call but SUBSCRIBE"}[options.to]
    number = "Each" if options.calls is None else f"Each of the next {options.calls} times, a"
    return f"{number} {which} is answered with {options.target}, {_while(options.seconds)}."


def _count(number: int | None, one: str, many: str) -> str:
    return f"All {many}" if number is None else f"The next {number} {one if number == 1 else many}"


def _maintenance(cluster: Cluster, options: argparse.Namespace) -> str:
    address = options.target.removeprefix(AGENT)
    parameters = {"agent": address, "starts_in": options.starts_in, "seconds": options.seconds}
    _fault(cluster.master(), "maintenance", **parameters)
    return f"Offers of agent {address} tell of a maintenance {_while(options.seconds)}."


def _teardown(cluster: Cluster, options: argparse.Namespace) -> str:
    master = cluster.master()
    frameworks = ask(f"{master}/state", "GET")["frameworks"]
    for framework in frameworks:
        call = {"type": "TEARDOWN", "teardown": {"framework_id": {"value": framework["id"]}}}
        ask(f"{master}/api/v1", "POST", call)
    if not frameworks:
        raise NotDone("No framework is registered with the Mesos master.")
    return f"Torn down: {', '.join(framework['name'] for framework in frameworks)}."


def _pause(cluster: Cluster, options: argparse.Namespace) -> str:
    process = cluster.process(options.target)
    process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(options.seconds)
    finally:
        process.send_signal(signal.SIGCONT)
    return f"{options.target} stood still for {options.seconds:g} s and goes on."


def _list(cluster: Cluster, options: argparse.Namespace) -> str:
    active = [(server, fault) for server in cluster.servers() for fault in ask(f"{server}/faults", "GET")["faults"]]
    lines = [
        f"{server.removeprefix('http://')}: " + ", ".join(f"{name} {value}" for name, value in fault.items())
        for server, fault in active
    ]
    return "\n".join(lines) or "No fault is on."


def _clear(cluster: Cluster, options: argparse.Namespace) -> str:
    for server in cluster.servers():
        ask(f"{server}/faults", "DELETE")
    return "All faults are over."


FAULTS: Final[dict[str, Callable[[Cluster, argparse.Namespace], str]]] = {
    "kill-agent": _kill_agent,
    "agent-away": _agent_away,
    "reboot-agent": _reboot_agent,
    "mark-gone": _mark_gone,
    "drop-packets": _drop_packets,
    "fail-over-master": _fail_over_master,
    "rescind": _rescind,
    "no-ports": _no_ports,
    "duplicate-updates": _duplicate_updates,
    "delay-updates": _delay_updates,
    "lose-launches": _lose_launches,
    "task-lost": _task_lost,
    "answer": _answer,
    "maintenance": _maintenance,
    "teardown": _teardown,
    "pause": _pause,
    "kill": _kill,
    "list": _list,
    "clear": _clear,
}


def do(options: argparse.Namespace) -> str:
    """The fault that ``options.fault`` names, in the cluster of ``options.dir``; raises NotDone."""
    try:
        return FAULTS[options.fault](Cluster(options.dir.resolve()), options)
    except psutil.NoSuchProcess as error:
        raise NotDone(f"Process {error.pid} has ended meanwhile.") from error
