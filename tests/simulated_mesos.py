"""A Mesos in memory that knows the truth: which tasks live, which resources are free, which offers are out; and what
its leading master knows of that, which may be less.

Every call is shown to the judge before it is carried out. What Mesos tells the scheduler goes through a queue, as over
a socket: in order, but as late as the test likes, and lost with the connection.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import itertools
from collections.abc import Sequence
from typing import Final, Protocol

from framework.messages import (
    Acknowledge,
    AcknowledgeOperation,
    Decline,
    Discard,
    Disconnected,
    Effect,
    Erase,
    Event,
    Failed,
    Forget,
    GiveBack,
    Keep,
    KeepFrameworkId,
    KeepUninstalling,
    KeepWanted,
    Kill,
    Launch,
    Offered,
    OperationUpdated,
    Reconcile,
    RemoveMember,
    Rescinded,
    Revive,
    Shutdown,
    Stop,
    Subscribed,
    Suppress,
    Teardown,
    Updated,
)
from framework.model import (
    LIFE,
    ExitCode,
    Holding,
    Kind,
    Life,
    NewVolume,
    Offer,
    Range,
    Record,
    Report,
    Resource,
    TaskState,
)
from framework.planner import State

ROLE: Final = "alluxio"
MASTER: Final = "127.0.0.1:5050"
PING_TIMEOUT: Final = 75.0  # seconds until the master holds a silent agent for unreachable
REREGISTER_TIMEOUT: Final = 600.0  # … and one that a new master waits for


class Standing(enum.Enum):
    """What the leading master holds of an agent id, and so what it answers about tasks there (C24)."""

    REGISTERED = "registered"
    AWAITED = "awaited"  # in the registry, not yet back after a fail-over: no answer
    UNREACHABLE = "unreachable"
    GONE = "gone"  # marked by an operator
    FORGOTTEN = "forgotten"  # removed from the registry's list of the unreachable


@dataclasses.dataclass(eq=False)
class Agent:
    """``reachable``: the link to the master works, whatever the master thinks. ``over``: this id never comes back."""

    id: str
    hostname: str
    scalars: collections.Counter[str]
    ports: frozenset[int]
    reachable: bool = True
    standing: Standing = Standing.REGISTERED
    standing_since: float = 0.0
    maintenance: bool = False
    over: bool = False
    volumes: dict[str, Holding] = dataclasses.field(default_factory=dict)  # by persistence id; no part of ``scalars``

    @property
    def rack(self) -> str:
        """The agent's attribute: half of the agents have each."""
        return f"rack-{sum(map(ord, self.hostname)) % 2}"


@dataclasses.dataclass(eq=False)
class Task:
    """``waiting`` are the updates that the agent has still to get acknowledged, the oldest first. ``seen`` is what the
    leading master last knew (state, readiness); None when it does not know the task. ``deaf``: so many kills do
    nothing.
    """

    record: Record = dataclasses.field(repr=False)
    agent: Agent = dataclasses.field(repr=False)
    scalars: collections.Counter[str] = dataclasses.field(repr=False)
    ports: frozenset[int] = dataclasses.field(repr=False)
    launched_at: float = 0.0
    ended_at: float | None = None
    state: TaskState = TaskState.STAGING
    healthy: bool = False
    waiting: list[Updated] = dataclasses.field(default_factory=list, repr=False)
    told: list[Updated] = dataclasses.field(default_factory=list, repr=False)
    seen: tuple[TaskState, bool] | None = (TaskState.STAGING, False)
    deaf: int = 0

    @property
    def id(self) -> str:
        return self.record.task_id

    @property
    def kind(self) -> Kind:
        return self.record.kind

    @property
    def alive(self) -> bool:
        return LIFE[self.state] is Life.ACTIVE

    @property
    def volumes(self) -> frozenset[str]:
        """Persistence ids."""
        return frozenset(volume.persistence_id for volume in self.record.volumes)


@dataclasses.dataclass
class Outstanding:
    agent: Agent
    scalars: collections.Counter[str]
    ports: frozenset[int]
    volumes: frozenset[str] = frozenset()


class Judging(Protocol):
    """Who is shown what goes between Mesos and the scheduler; raises when a promise is broken."""

    def call(self, effect: Effect, state: State) -> None: ...

    def heard(self, event: Event) -> None: ...


class SimulatedMesos:
    def __init__(self, agents: int, cpus: int, memory: int, ports: int) -> None:
        self.judge: Judging | None = None
        self.now = 0.0
        self.connected = False
        self.removed = False  # the framework was torn down
        self.framework_id = ""
        self.queue: collections.deque[Event] = collections.deque()
        self.losing_calls = False  # every call from now on is lost, as on a dead connection
        self.lost_a_call = False
        self.losing_messages = 0  # so many messages from the master to agents get lost
        self.agents = [
            Agent(
                f"agent-{index}",
                f"127.0.0.{11 + index}",
                collections.Counter(cpus=cpus * 1000, mem=memory * 1000, disk=10_000_000),
                frozenset(range(21000, 21000 + ports)),
            )
            for index in range(agents)
        ]
        self.tasks: dict[str, Task] = {}
        self.operations: set[str] = set()  # those whose end was told
        self.offers: dict[str, Outstanding] = {}
        self.filtered: dict[str, float] = {}  # by agent id
        self.suppressed = False
        self._numbers = itertools.count(1)

    # What the scheduler does ------------------------------------------------------------------------------------------

    def act(self, effects: Sequence[Effect], state: State) -> None:
        for effect in effects:
            if self.judge is not None:
                self.judge.call(effect, state)
            if self.losing_calls or not self.connected:
                self.lost_a_call = True
                continue
            match effect:
                case Launch():
                    self._launch(effect)
                case Decline():
                    self._release(effect.offer.id, effect.seconds)
                case GiveBack():
                    self._give_back(effect)
                case AcknowledgeOperation():
                    assert effect.operation_id in self.operations, "acknowledged before it was told"
                case Acknowledge():
                    self._acknowledge(effect)
                case Reconcile():
                    self._reconcile(effect)
                case Kill():
                    self._kill(effect.task_id, effect.agent_id)
                case Shutdown():
                    self._shut_down(effect.task_id)
                case Suppress():
                    self.suppressed = True
                case Revive():
                    self.suppressed = False
                    self.filtered.clear()
                case Teardown():
                    self.tear_down()
                case KeepFrameworkId() | Keep() | KeepWanted() | Forget() | RemoveMember() | Stop():
                    pass
                case KeepUninstalling() | Discard() | Erase():
                    pass

    def _launch(self, effect: Launch) -> None:
        out = self.offers.pop(effect.offer.id, None)
        known = out is not None and out.agent.standing is Standing.REGISTERED
        arrives = out is not None and known and self._reaches(out.agent)
        for new in effect.new_volumes:
            self._create(effect.offer.agent_id, new, out.agent if out is not None and arrives else None)
        for record, resources in zip(effect.records, effect.resources, strict=True):
            scalars, ports = amounts(resources)
            if out is None or not known:
                self._tell(self._update(record.task_id, TaskState.DROPPED, record.agent_id, "the offer is gone"))
                continue
            task = Task(record, out.agent, scalars, ports, self.now)
            self.tasks[record.task_id] = task
            if not arrives:  # the master does not know until the agent registers again
                task.state, task.ended_at = TaskState.DROPPED, self.now
            else:
                assert task.volumes <= set(out.agent.volumes), "a volume that is not there"

    def _create(self, agent_id: str, new: NewVolume, agent: Agent | None) -> None:
        """``agent``: None when nothing arrives there."""
        volume, operation = new.volume, f"{new.volume.persistence_id}.create"
        assert (new.disk.name, new.disk.reservations, new.disk.thousandths) == ("disk", "", volume.size * 1000)
        if agent is not None:
            named = dataclasses.replace(new.disk, reservations=f"of {new.slot}", disk=f"volume {volume.persistence_id}")
            agent.volumes[volume.persistence_id] = Holding(new.slot, volume.tier, volume.persistence_id, named)
            agent.scalars["disk"] -= new.disk.thousandths
        state = "OPERATION_FINISHED" if agent is not None else "OPERATION_DROPPED"
        self.operations.add(operation)
        self._tell(OperationUpdated(operation, state, agent_id, f"uuid-{next(self._numbers)}"))

    def _give_back(self, effect: GiveBack) -> None:
        out = self.offers.pop(effect.offer.id, None)
        if out is None or not self._reaches(out.agent):
            return
        for holding in effect.holdings:
            using = [task.id for task in self.tasks.values() if task.alive and holding.persistence_id in task.volumes]
            assert not using, f"{holding.persistence_id} is destroyed while {using} use it"
            del out.agent.volumes[holding.persistence_id]
            out.agent.scalars["disk"] += holding.resource.thousandths

    def _reaches(self, agent: Agent) -> bool:
        """A message of the master arrives at the agent."""
        if self.losing_messages:
            self.losing_messages -= 1
            return False
        return agent.reachable and agent.standing is Standing.REGISTERED

    def _release(self, offer_id: str, seconds: float) -> None:
        out = self.offers.pop(offer_id, None)
        if out is not None:
            self.filtered[out.agent.id] = self.now + seconds

    def _acknowledge(self, effect: Acknowledge) -> None:
        task = self.tasks[effect.task_id]
        if task.waiting and task.waiting[0].uuid == effect.uuid and self._reaches(task.agent):
            task.waiting.pop(0)
            if not task.alive and not task.waiting:
                task.seen = None  # the master and the agent forget it
            self._forward(task)

    def _reconcile(self, effect: Reconcile) -> None:
        if not effect.tasks:
            for task in self.tasks.values():
                if task.seen is not None and task.agent.standing is Standing.REGISTERED:
                    self._answer(task.id, task.agent.id)
        for task_id, agent_id in effect.tasks:
            self._answer(task_id, agent_id)

    def _answer(self, task_id: str, agent_id: str) -> None:
        """As the master knows it (Mesos's reconciliation documentation, and master.cpp)."""
        agent = next((agent for agent in self.agents if agent.id == agent_id), None)
        task = self.tasks.get(task_id)
        match agent.standing if agent else Standing.FORGOTTEN:
            case Standing.AWAITED:
                return
            case Standing.UNREACHABLE:
                self._tell(self._update(task_id, TaskState.UNREACHABLE, agent_id, ""))
            case Standing.GONE:
                self._tell(self._update(task_id, TaskState.GONE_BY_OPERATOR, agent_id, ""))
            case Standing.FORGOTTEN:
                self._tell(self._update(task_id, TaskState.UNKNOWN, agent_id, "no such agent"))
            case Standing.REGISTERED if task is None or task.seen is None:
                self._tell(self._update(task_id, TaskState.GONE, agent_id, "unknown to the agent"))
            case Standing.REGISTERED:
                state, healthy = task.seen
                self._tell(self._update(task_id, state, agent_id, "", healthy=healthy))

    def _kill(self, task_id: str, agent_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is None or task.seen is None:
            self._answer(task_id, agent_id)
        elif self._reaches(task.agent) and task.alive and task.state is not TaskState.KILLING:
            if task.deaf:
                task.deaf -= 1
            else:
                self.change(task, TaskState.KILLING)

    def _shut_down(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.alive and self._reaches(task.agent):
            self.change(task, TaskState.FAILED)

    # What happens on agents -------------------------------------------------------------------------------------------

    def change(self, task: Task, state: TaskState, *, healthy: bool = False) -> None:
        """The executor sends an update; the agent forwards it once the ones before are acknowledged."""
        task.state, task.healthy = state, healthy
        if not task.alive and task.ended_at is None:
            task.ended_at = self.now
        task.waiting.append(self._update(task.id, state, task.agent.id, "", healthy=healthy, uuid=True))
        if len(task.waiting) == 1:
            self._forward(task)

    def _forward(self, task: Task) -> None:
        agent = task.agent
        if task.waiting and agent.reachable and agent.standing is Standing.REGISTERED:
            update = task.waiting[0]
            task.told.append(update)
            task.seen = (update.report.state, update.report.healthy)
            self._tell(update)

    def retry(self, task: Task) -> None:
        """The agent sends what is not acknowledged again."""
        self._forward(task)

    def repeat_old(self, task: Task, index: int) -> None:
        """An update of the past turns up once more."""
        self._tell(task.told[index % len(task.told)])

    # Agents that come and go ------------------------------------------------------------------------------------------

    def cut(self, agent: Agent) -> None:
        """The agent is silent; the master does not know yet."""
        agent.reachable = False

    def mark(self, agent: Agent) -> None:
        """The master holds the agent for unreachable: its offers are taken back, its tasks may live on."""
        self._stand(agent, Standing.UNREACHABLE)
        self._lose_tasks(agent, TaskState.UNREACHABLE, "health check timed out")

    def part(self, agent: Agent) -> None:
        self.cut(agent)
        self.mark(agent)

    def give_up(self, agent: Agent) -> None:
        """An operator marks the agent as gone: it is shut down, if need be when it shows up."""
        self._stand(agent, Standing.GONE)
        self._lose_tasks(agent, TaskState.GONE_BY_OPERATOR, "marked gone by an operator")
        if agent.reachable:
            self._end(agent)

    def forget(self, agent: Agent) -> None:
        """The registry's list of unreachable agents is cut short."""
        self._stand(agent, Standing.FORGOTTEN)

    def join(self, agent: Agent) -> None:
        """The agent registers again, with its tasks. One that was given up or is over is replaced by a new one."""
        before = agent.standing
        if before is Standing.GONE or agent.over:
            self.reboot(agent)
            return
        agent.reachable = True
        self._stand(agent, Standing.REGISTERED)
        self.filtered.pop(agent.id, None)
        for task in self.tasks.values():
            if task.agent is not agent:
                continue
            if not (task.alive or task.waiting):
                if task.seen is not None and task.state is TaskState.DROPPED and before is Standing.REGISTERED:
                    self._tell(self._update(task.id, TaskState.DROPPED, agent.id, "it never came to the agent"))
                task.seen = None
                continue
            known = task.told[-1].report if task.told else None
            task.seen = (known.state, known.healthy) if known else (TaskState.STAGING, False)
            if before is Standing.UNREACHABLE and task.alive:
                state, healthy = task.seen
                self._tell(self._update(task.id, state, agent.id, "agent re-registered", healthy=healthy))
            self._forward(task)

    def reboot(self, agent: Agent, *, with_volumes: bool = True) -> Agent:
        """The machine comes back as another agent: new id, no tasks; with its volumes when its disks are what they
        were. The old id is never heard again.
        """
        self._end(agent)
        agent.reachable, agent.over = False, True
        fresh = Agent(f"agent-anew-{next(self._numbers)}", agent.hostname, agent.scalars.copy(), agent.ports)
        if with_volumes:
            fresh.volumes = dict(agent.volumes)
        else:
            fresh.scalars["disk"] += sum(holding.resource.thousandths for holding in agent.volumes.values())
        self.agents.append(fresh)
        return fresh

    def remove(self, agent: Agent) -> None:
        """A new agent registered at the same address: the master knows that the old one is no more."""
        self._stand(agent, Standing.GONE)
        self._lose_tasks(agent, TaskState.GONE, "a new agent registered at the same address")

    def maintain(self, agent: Agent, *, on: bool) -> None:
        """A maintenance window is scheduled, or over."""
        agent.maintenance = on
        self._take_back(agent)

    def _stand(self, agent: Agent, standing: Standing) -> None:
        agent.standing, agent.standing_since = standing, self.now
        self._take_back(agent)

    def _take_back(self, agent: Agent) -> None:
        for offer_id in [offer_id for offer_id, out in self.offers.items() if out.agent is agent]:
            self.rescind(offer_id)

    def _lose_tasks(self, agent: Agent, state: TaskState, message: str) -> None:
        for task in self.tasks.values():
            if task.agent is agent and task.seen is not None:
                if LIFE[task.seen[0]] is Life.ACTIVE:
                    self._tell(self._update(task.id, state, agent.id, message))
                task.seen = None

    def _end(self, agent: Agent) -> None:
        """Everything on the agent ends, and nobody is there to tell."""
        for task in self.tasks.values():
            if task.agent is agent and (task.alive or task.waiting):
                task.state, task.healthy = TaskState.LOST, False
                task.ended_at = self.now if task.ended_at is None else task.ended_at
                task.waiting.clear()

    # The master -------------------------------------------------------------------------------------------------------

    def fail_over(self) -> None:
        """Another master leads, which knows the registry and no tasks."""
        self.disconnect()
        for agent in self.agents:
            if agent.standing is Standing.REGISTERED:
                self._stand(agent, Standing.AWAITED)
        for task in self.tasks.values():
            task.seen = None

    def mark_overdue(self) -> None:
        """What the master's timers do."""
        for agent in self.agents:
            silent = agent.standing is Standing.REGISTERED and not agent.reachable
            patience = PING_TIMEOUT if silent else REREGISTER_TIMEOUT
            awaited = agent.standing is Standing.AWAITED
            if (silent or awaited) and self.now - agent.standing_since >= patience:
                self.mark(agent)

    def tear_down(self) -> None:
        """The framework is torn down, by an operator or by itself: its tasks end, its id is refused from then on."""
        self.removed = True
        for task in self.tasks.values():
            task.state, task.seen = TaskState.KILLED, None
            task.waiting.clear()
        self.offers.clear()
        self._tell(Failed("Framework has been removed", ExitCode.REMOVED, self.now))

    def offer(self, parts: int, *, ports: bool = True, crowd: int = 0) -> None:
        """Everything that is free, each agent's in up to ``parts`` offers; and so many offers of no use."""
        if not self.connected or self.suppressed or self.removed:
            return
        offered = []
        for agent in self.agents:
            if agent.standing is Standing.REGISTERED and self.now >= self.filtered.get(agent.id, 0.0):
                offered.extend(self._offers_of(agent, parts, ports=ports))
        for _ in range(crowd):
            number = next(self._numbers)
            host = f"127.1.{number // 250 % 250}.{number % 250}"
            few = collections.Counter(cpus=100, mem=32_000)
            agent = Agent(f"agent-of-others-{number}", host, few, frozenset())
            self.offers[f"offer-{number}"] = Outstanding(agent, few, frozenset())
            offered.append(Offer(f"offer-{number}", agent.id, host, _resources(few, frozenset())))
        if offered:
            self._tell(Offered(tuple(offered), self.now))

    def _offers_of(self, agent: Agent, parts: int, *, ports: bool) -> list[Offer]:
        scalars, free = self._free(agent)
        if not scalars["cpus"] or not scalars["mem"]:
            return []
        shares = [
            (
                collections.Counter({name: amount // parts for name, amount in scalars.items()}),
                frozenset(sorted(free)[part::parts] if parts > 1 else free) if ports else frozenset(),
            )
            for part in range(parts)
        ]
        busy = {volume for out in self.offers.values() for volume in out.volumes}
        busy |= {volume for task in self.tasks.values() if task.alive for volume in task.volumes}
        made = []
        unavailable = self.now + 60.0 if agent.maintenance else None
        for part, (share, span) in enumerate(shares, 1):
            held = [volume for name, volume in agent.volumes.items() if name not in busy] if part == parts else []
            offer_id, resources = f"offer-{next(self._numbers)}", _resources(share, span)
            volumes = frozenset(volume.persistence_id for volume in held)
            self.offers[offer_id] = Outstanding(agent, share, span, volumes)
            made.append(
                Offer(offer_id, agent.id, agent.hostname, resources, {"rack": agent.rack}, unavailable, tuple(held))
            )
        return made

    def _free(self, agent: Agent) -> tuple[collections.Counter[str], frozenset[int]]:
        held = [out for out in self.offers.values() if out.agent is agent]
        running = [task for task in self.tasks.values() if task.agent is agent and task.alive]
        scalars, ports = agent.scalars.copy(), agent.ports
        for user in (*held, *running):
            scalars.subtract(user.scalars)
            ports -= user.ports
        assert min(scalars.values()) >= 0, f"more is used on {agent.hostname} than it has"
        return scalars, ports

    def rescind(self, offer_id: str) -> None:
        del self.offers[offer_id]
        self._tell(Rescinded(offer_id, self.now))

    # The connection ---------------------------------------------------------------------------------------------------

    def subscribe(self, framework_id: str) -> None:
        """A scheduler subscribes with the id that it knows; without one it gets a new one."""
        self.disconnect()
        self.connected = True
        self.losing_calls = self.lost_a_call = False
        self.suppressed = False
        self.filtered.clear()
        if self.removed:
            self._tell(Failed("Framework has been removed", ExitCode.REMOVED, self.now))
            return
        self.framework_id = framework_id or f"framework-{next(self._numbers)}"
        self._tell(Subscribed(self.framework_id, MASTER, self.now))

    def disconnect(self) -> None:
        """Everything on its way is lost, and every offer is void."""
        self.connected = False
        self.queue.clear()
        self.offers.clear()

    def deliver(self, most: int) -> list[Event]:
        """The next events, which the scheduler hears now."""
        events = [self.queue.popleft() for _ in range(min(most, len(self.queue)))]
        return [self.hear(event) for event in events]

    def hear(self, event: Event) -> Event:
        """The event as the scheduler gets it now."""
        event = _heard_at(event, self.now)
        if self.judge is not None:
            self.judge.heard(event)
        return event

    def _tell(self, event: Event) -> None:
        if self.connected:
            self.queue.append(event)

    def _update(
        self, task_id: str, state: TaskState, agent_id: str, message: str, *, healthy: bool = False, uuid: bool = False
    ) -> Updated:
        report = Report(task_id, state, agent_id, self.now, self.now, healthy, message)
        return Updated(report, f"uuid-{next(self._numbers)}" if uuid else "")


def _heard_at(event: Event, now: float) -> Event:
    if isinstance(event, Updated):
        return dataclasses.replace(event, report=dataclasses.replace(event.report, at=now, since=now))
    if isinstance(event, Offered | Rescinded | Subscribed | Disconnected | Failed):
        return dataclasses.replace(event, at=now)
    return event


def amounts(resources: Sequence[Resource]) -> tuple[collections.Counter[str], frozenset[int]]:
    scalars: collections.Counter[str] = collections.Counter()
    ports: set[int] = set()
    for resource in resources:
        if resource.disk:
            continue  # a volume
        if resource.name == "ports":
            here = {port for span in resource.ranges for port in range(span.begin, span.end + 1)}
            assert not ports & here, "a port is named twice"
            ports |= here
        else:
            assert resource.thousandths > 0, "nothing is taken of a resource"
            scalars[resource.name] += resource.thousandths
    return scalars, frozenset(ports)


def _resources(scalars: collections.Counter[str], ports: frozenset[int]) -> tuple[Resource, ...]:
    """One resource for each scalar, and the ports as ranges."""
    spans: list[Range] = []
    for port in sorted(ports):
        if spans and spans[-1].end == port - 1:
            spans[-1] = Range(spans[-1].begin, port)
        else:
            spans.append(Range(port, port))
    entries = [Resource(name, ROLE, thousandths=amount) for name, amount in scalars.items() if amount]
    return (*entries, Resource("ports", ROLE, ranges=tuple(spans))) if spans else tuple(entries)
