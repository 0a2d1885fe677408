"""The faults: what is done to the cluster, what must follow from it, and how fast it could be at best."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import psutil

from chaos.world import (
    MASTER_MAIN,
    PING_SECONDS,
    PINGS,
    SESSION_SECONDS,
    STICKINESS_SECONDS,
    WORKER_MAIN,
    WORKERS,
    World,
)
from framework.local.plan import Part
from integration.local_cluster import wait_until

MESOS_SESSION_SECONDS = 10.0  # of the Mesos masters in ZooKeeper; Mesos's own default
# What a task's two JVMs take together, beside the single ones by their main classes.
WORKER_TASK, MASTER_TASK = "worker", "master"
UNREACHABLE_SECONDS = PING_SECONDS * PINGS


@dataclass(frozen=True)
class Floor:
    """What no framework can undercut: seconds, and of what."""

    seconds: float
    of: str


@dataclass
class Happened:
    """What came of doing it. Recovery is counted from ``over`` (monotonic): the moment of a kill, or of the end of
    what lasted. ``floors`` are by column: api, files, whole.
    """

    over: float
    relaunched: tuple[int, int] = (0, 0)  # at least, at most
    destroyed: frozenset[str] = frozenset()  # workers whose memory went with the fault itself
    emptied: frozenset[str] = frozenset()  # workers that were emptied first: their cache goes, and no file with it
    restarted: frozenset[str] = frozenset()  # workers whose process was started again in its place
    floors: Mapping[str, Floor] = field(default_factory=dict)
    then: Callable[[], None] = lambda: None  # when all is well again


@dataclass(frozen=True)
class Fault:
    """``quiet`` is how long all must be well before the next one: as long as the effect may take to show."""

    name: str
    words: str
    do: Callable[[World, Scale], Happened]
    quiet: float = 3.0
    short: bool = False


@dataclass(frozen=True)
class Scale:
    """How long things last, and what was measured of this machine."""

    away: float  # seconds for which ZooKeeper is gone
    starts: Mapping[str, float]  # seconds that a JVM takes to start by hand, by main class


def kill(*victims: psutil.Process) -> float:
    """kill -9, and the moment."""
    moment = time.monotonic()
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    # A parent that stands still does not take note of its child's end: a zombie has ended too.
    wait_until(lambda: [process.pid for process in victims if lives(process)], lambda living: not living, "the end", 60)
    return moment


def lives(process: psutil.Process) -> bool:
    """A zombie whose other threads have not ended still holds its sockets."""
    try:
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def frozen(*victims: psutil.Process) -> Iterator[None]:
    """They neither answer nor end, as behind a cable that was pulled."""
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def last(seconds: float) -> None:
    """What lasts, lasts: nothing is waited for here but the time itself."""
    time.sleep(seconds)


# The scheduler --------------------------------------------------------------------------------------------------------


def scheduler_killed(world: World, scale: Scale) -> Happened:
    moment = kill(world.part(world.leading_scheduler()))
    return Happened(moment, floors={"api": Floor(SESSION_SECONDS, "ZooKeeper session")})


def scheduler_terminated(world: World, scale: Scale) -> Happened:
    process = world.part(world.leading_scheduler())
    moment = time.monotonic()
    process.terminate()
    psutil.wait_procs([process], timeout=20)
    return Happened(moment)


def scheduler_session_expired(world: World, scale: Scale) -> Happened:
    """The leader stands still until another one leads, and then goes on as if nothing had been."""
    process = world.part(world.leading_scheduler())
    before = time.monotonic()
    with frozen(process):
        last(SESSION_SECONDS + 4)
    return Happened(before, floors={"api": Floor(SESSION_SECONDS, "ZooKeeper session")})


def two_schedulers(world: World, scale: Scale) -> Happened:
    """A third scheduler is started for the same service, as by a deployment gone wrong, and runs for a while."""
    name = "scheduler-2"
    one = world.configured("scheduler-1")
    moment = time.monotonic()
    command = tuple("127.0.0.3" if word == "127.0.0.2" else word for word in one.command)
    world.add(dataclasses.replace(one, name=name, command=command, listens=("127.0.0.3", one.listens[1])))
    last(10)
    return Happened(moment, then=lambda: world.remove(name))


# Mesos ----------------------------------------------------------------------------------------------------------------


def mesos_master_killed(world: World, scale: Scale) -> Happened:
    moment = kill(world.part(world.leading_mesos_master()))
    return Happened(moment, floors={"api": Floor(MESOS_SESSION_SECONDS, "Mesos masters' ZooKeeper session")})


def agent_briefly_away(world: World, scale: Scale) -> Happened:
    name = f"agent-{worker_machine(world)}"
    with world.held(name):
        moment = kill(world.part(name))
        last(UNREACHABLE_SECONDS / 3)
    return Happened(moment)


def agent_away(world: World, scale: Scale) -> Happened:
    """The machine is cut off for longer than Mesos waits for it, and comes back before its tasks are given up."""
    with frozen(*world.machine(worker_machine(world))):
        last(UNREACHABLE_SECONDS + STICKINESS_SECONDS / 2)
    return Happened(time.monotonic())


def agent_away_for_long(world: World, scale: Scale) -> Happened:
    """The machine is cut off until its tasks have been launched elsewhere, and comes back with the old ones."""
    return _away_for_long(world, scale, worker_machine(world))


def primary_machine_away_for_long(world: World, scale: Scale) -> Happened:
    """The same with the machine of the Alluxio master that leads, which comes back believing that it still does."""
    return _away_for_long(world, scale, world.tasks()[world.primary_slot()]["hostname"])


def _away_for_long(world: World, scale: Scale, address: str) -> Happened:
    there = {slot: task for slot, task in world.tasks().items() if task["hostname"] == address}
    workers = frozenset(address_of(task) for slot, task in there.items() if slot.startswith("worker"))
    world.copies.away = frozenset({str(world.plan.directory / "mesos" / f"agent-{address}")})
    moment = time.monotonic()
    with frozen(*world.machine(address)):
        wait_until(
            lambda: {slot: task["hostname"] for slot, task in world.tasks().items()},
            lambda seen: address not in seen.values() and not world.is_whole(world.tasks()),
            f"the tasks of {address} to run elsewhere",
            240,
        )
    # With the embedded journal every worker is told of the master's new place, one after the other; the ones that were
    # launched together with it may know already.
    told = world.plan.options()["journal"] == "EMBEDDED" and any(slot.startswith("master") for slot in there)
    least = len(there) + (WORKERS - len(workers) if told else 0)
    most = len(there) + (WORKERS if told else 0)
    what = WORKER_TASK if workers else MASTER_TASK
    starts = scale.starts.get(what, 0.0)
    floor = Floor(
        UNREACHABLE_SECONDS + STICKINESS_SECONDS + starts, f"Mesos's pings, --stickiness, a {what} task's start"
    )
    return Happened(moment, (least, most), workers, floors={"whole": floor})


def agent_rebooted(world: World, scale: Scale) -> Happened:
    """Its memory is empty, and Mesos knows it under a new id."""
    address = worker_machine(world)
    there = {slot: task for slot, task in world.tasks().items() if task["hostname"] == address}
    workers = frozenset(address_of(task) for slot, task in there.items() if slot.startswith("worker"))
    moment = time.monotonic()
    world.agent_fault(address, {"fault": "reboot", "seconds": 3})
    wait_until(lambda: world.living(address), lambda living: not living, f"the end of all that ran on {address}", 20)
    shutil.rmtree(world.plan.ram_directory / address)
    floor = _plus(scale, 3.0, "3 s without power")
    return Happened(moment, (len(there), len(there)), workers, floors={"whole": floor})


def agent_in_maintenance(world: World, scale: Scale) -> Happened:
    """A worker ends on a machine that is about to be taken away: it moves, and nothing is launched there."""
    slot = worker_slot(world)
    address = world.tasks()[slot]["hostname"]
    world.mesos_fault({"fault": "maintenance", "agent": address, "starts_in": 0, "lasting": 3600})
    worker = address_of(world.tasks()[slot])
    moment = kill(world.executor(slot))
    wait_until(
        lambda: world.tasks()[slot].get("hostname"),
        lambda host: host not in (None, address),
        f"{slot} on another machine than {address}",
        120,
    )
    floor = _plus(scale, STICKINESS_SECONDS, "--stickiness")
    return Happened(moment, (1, 1), frozenset({worker}), floors={"whole": floor}, then=world.clear_faults)


def offers_without_ports(world: World, scale: Scale) -> Happened:
    """While a worker looks for a place, nobody offers ports."""
    lasting = 8.0
    world.mesos_fault({"fault": "no-ports", "seconds": lasting})
    end = time.monotonic() + lasting
    kill(world.executor(worker_slot(world)))
    wait_until(
        lambda: [entry["reason"] for entry in world.ask("/v1/offers")["refused"]],
        lambda reasons: any("port" in reason for reason in reasons),
        "an offer refused for want of ports",
        lasting,
    )
    last(max(0.0, end - time.monotonic()))
    return Happened(end, (1, 1), floors=_worker_task(scale))


def offers_of_a_crowd(world: World, scale: Scale) -> Happened:
    """A thousand small agents join; then a worker looks for a place, and all are offered at once. They leave when it
    was launched: what a thousand agents take of this machine is no part of a recovery.
    """
    count = 1000
    command = (sys.executable, "-m", "chaos.crowd", "--master", world.plan.mesos, "--agents", str(count))
    world.add(Part("crowd", command, ("127.0.0.1", 0), 0))
    try:
        wait_until(
            lambda: world.mesos_state()["activated_slaves"], lambda seen: seen >= count, f"{count} agents in Mesos", 120
        )
        slot = worker_slot(world)
        before = world.task_ids()[slot]
        moment = kill(world.executor(slot))
        wait_until(lambda: world.task_ids()[slot], lambda now: now != before, f"{slot} launched among {count} offers")
    finally:
        world.remove("crowd")
    return Happened(moment, (1, 1), floors=_worker_task(scale))


def duplicate_updates(world: World, scale: Scale) -> Happened:
    """Every update comes twice while a worker is relaunched."""
    world.mesos_fault({"fault": "duplicate-updates", "after": 1})
    moment = kill(world.executor(worker_slot(world)))
    return Happened(moment, (1, 1), floors=_worker_task(scale), then=world.clear_faults)


def packets_dropped(world: World, scale: Scale) -> Happened:
    """Between the Mesos master and the schedulers; the connections stay open and nobody is told."""
    lasting = 15.0
    world.mesos_fault({"fault": "drop-packets", "peer": "schedulers", "seconds": lasting})
    last(lasting)
    return Happened(time.monotonic())


def torn_down(world: World, scale: Scale) -> Happened:
    """Mesos kills everything and never takes the framework's id again. The schedulers stop and wait for the operator,
    who forgets the id: the service comes back as a new framework, on its own agents, journal and cache.
    """
    tasks = world.task_ids()
    moment = time.monotonic()
    world.tear_down()
    wait_until(lambda: world.told_of("removed"), bool, "a scheduler that says that its framework was removed", 60)
    names = world.parts_of("scheduler")
    with world.held(*names):
        world.end(*names)
        world.forget_framework_id()
    return Happened(
        moment,
        (len(tasks), len(tasks)),
        floors={
            "whole": Floor(
                sum(scale.starts.get(what, 0.0) for what in (MASTER_TASK, WORKER_TASK)),
                "a master task's start, then a worker task's",
            )
        },
    )


# ZooKeeper ------------------------------------------------------------------------------------------------------------


def zookeeper_away(world: World, scale: Scale) -> Happened:
    names = world.parts_of("zookeeper")
    with world.held(*names):
        kill(*map(world.part, names))
        last(scale.away)
    back = time.monotonic()
    wait_until(lambda: all(map(_listens, world.plan.zookeeper.split(","))), bool, "ZooKeeper")
    return Happened(back, floors={})


def zookeeper_server_killed(world: World, scale: Scale) -> Happened:
    return Happened(kill(world.part(world.parts_of("zookeeper")[0])))


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


# Alluxio --------------------------------------------------------------------------------------------------------------


def alluxio_primary_killed(world: World, scale: Scale) -> Happened:
    """Workers register with the next primary, and the dead one comes back as a standby: the later of both ends it."""
    moment = kill(world.java(world.primary_slot(), MASTER_MAIN))
    led, started = _next_primary(world), Floor(scale.starts.get(MASTER_MAIN, 0.0), "a master's start")
    return Happened(moment, floors={"files": led, "whole": max(led, started, key=lambda floor: floor.seconds)})


def _next_primary(world: World) -> Floor:
    """How long the other masters wait before one of them leads."""
    if world.plan.options()["journal"] == "EMBEDDED":
        return Floor(SESSION_SECONDS, "Raft's election timeout")
    return Floor(SESSION_SECONDS, "Alluxio masters' ZooKeeper session")


def alluxio_worker_killed(world: World, scale: Scale) -> Happened:
    slot = worker_slot(world)
    address = address_of(world.tasks()[slot])
    moment = kill(world.java(slot, WORKER_MAIN))
    return Happened(moment, restarted=frozenset({address}), floors=_start(scale, WORKER_MAIN, "a worker's start"))


def worker_executor_killed(world: World, scale: Scale) -> Happened:
    moment = kill(world.executor(worker_slot(world)))
    return Happened(moment, (1, 1), floors=_worker_task(scale))


def scaled_down_and_up(world: World, scale: Scale) -> Happened:
    """One worker fewer, which is emptied before it goes; then as many as before."""
    before = {address_of(task) for slot, task in world.tasks().items() if slot.startswith("worker")}
    world.scale(WORKERS - 1)
    wait_until(
        lambda: [slot for slot in world.tasks() if slot.startswith("worker")],
        lambda slots: len(slots) < WORKERS,
        "a worker emptied and gone",
        120,
    )
    after = {address_of(task) for slot, task in world.tasks().items() if slot.startswith("worker")}
    moment = time.monotonic()
    world.scale(WORKERS)
    return Happened(moment, (1, 1), emptied=frozenset(before - after), floors=_worker_task(scale))


def _start(scale: Scale, what: str, words: str) -> Mapping[str, Floor]:
    return {"whole": Floor(scale.starts[what], words)} if what in scale.starts else {}


def _worker_task(scale: Scale) -> Mapping[str, Floor]:
    return _start(scale, WORKER_TASK, "a worker task's start")


def _plus(scale: Scale, seconds: float, of: str) -> Floor:
    return Floor(seconds + scale.starts.get(WORKER_TASK, 0.0), f"{of}, a worker task's start")


# Places ---------------------------------------------------------------------------------------------------------------


def worker_slot(world: World) -> str:
    """A worker on a machine that the primary master does not run on: in turns, so that no back-off that one fault
    earned makes the next one's recovery longer.
    """
    tasks = wait_until(world.tasks, bool, "the tasks")
    primary = tasks[world.primary_slot()]["hostname"]
    workers = [slot for slot, task in tasks.items() if slot.startswith("worker") and task["hostname"] != primary]
    chosen = min(workers, key=lambda slot: world.hurt[slot])
    world.hurt[chosen] += 1
    return chosen


def worker_machine(world: World) -> str:
    return str(world.tasks()[worker_slot(world)]["hostname"])


def address_of(task: Mapping[str, object]) -> str:
    ports = task["ports"]
    assert isinstance(ports, dict)
    return f"{task['hostname']}:{ports['rpc']}"


FAULTS: tuple[Fault, ...] = (
    Fault("scheduler killed", "kill -9 of the leading scheduler", scheduler_killed, short=True),
    Fault("scheduler terminated", "SIGTERM to the leading scheduler", scheduler_terminated),
    Fault(
        "scheduler's session expired",
        "the leading scheduler stands still until another leads, then goes on",
        scheduler_session_expired,
        quiet=5,
    ),
    Fault("two schedulers at once", "a third scheduler is started for the same service", two_schedulers),
    Fault(
        "Mesos master killed",
        "kill -9 of the leading Mesos master",
        mesos_master_killed,
        quiet=MESOS_SESSION_SECONDS + 2,
    ),
    Fault("ZooKeeper server killed", "kill -9 of one of three servers", zookeeper_server_killed),
    Fault("ZooKeeper away", "kill -9 of all three servers, which stay away", zookeeper_away, quiet=8),
    Fault(
        "Alluxio primary killed",
        "kill -9 of the primary master's JVM",
        alluxio_primary_killed,
        quiet=SESSION_SECONDS + 2,
        short=True,
    ),
    Fault("Alluxio worker killed", "kill -9 of a worker's JVM", alluxio_worker_killed, short=True),
    Fault("worker's executor killed", "kill -9 of what supervises a worker", worker_executor_killed),
    Fault(
        "agent briefly away",
        f"kill -9 of an agent, which is back after {UNREACHABLE_SECONDS / 3:g} s; its tasks run on",
        agent_briefly_away,
        quiet=UNREACHABLE_SECONDS + 2,
    ),
    Fault(
        "agent away",
        "a machine is cut off until Mesos calls it unreachable, and is back before its tasks are given up",
        agent_away,
        quiet=8,
    ),
    Fault(
        "agent away for long",
        "a machine is cut off until its tasks run elsewhere, and comes back with the old ones",
        agent_away_for_long,
        quiet=15,
    ),
    Fault(
        "primary's machine away for long",
        "the machine of Alluxio's primary is cut off until its tasks run elsewhere, and comes back with the old ones",
        primary_machine_away_for_long,
        quiet=15,
    ),
    Fault("agent rebooted", "a machine loses its processes and memory, and has a new id", agent_rebooted, quiet=15),
    Fault(
        "agent in maintenance",
        "a machine is announced to be taken away; its worker's executor is killed",
        agent_in_maintenance,
        quiet=5,
    ),
    Fault(
        "packets dropped",
        "for 15 s nothing passes between the Mesos master and the schedulers, whose connections stay open",
        packets_dropped,
        quiet=8,
    ),
    Fault("offers without ports", "no agent offers ports for 8 s; a worker's executor is killed", offers_without_ports),
    Fault(
        "a thousand offers at once",
        "a thousand small agents join; a worker's executor is killed, and all are offered at once",
        offers_of_a_crowd,
    ),
    Fault(
        "duplicate updates",
        "every update comes again a second later; a worker's executor is killed",
        duplicate_updates,
        quiet=5,
    ),
    Fault(
        "scaled down and up",
        "one worker fewer over the API, and then as many as before",
        scaled_down_and_up,
        quiet=5,
    ),
    Fault(
        "framework torn down",
        "TEARDOWN by an operator, who then lets the service begin as a new framework",
        torn_down,
        quiet=8,
    ),
)
