"""The leading master's memory: frameworks, agents, tasks, and what is told to them. No sockets, no decisions.

`scheduler_calls`, `accept`, `frameworks` and `agents` change it; all run on the one event loop, none of them waits.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from localmesos import states
from localmesos.allocator import Allocator, Offer
from localmesos.domains import region_of
from localmesos.faults import Faults
from localmesos.registry import Registry
from localmesos.resources import Resources
from localmesos.streams import EventStream

Json = dict[str, Any]

log = logging.getLogger("master")

KEPT_IN_STATUS: tuple[str, ...] = ("healthy", "container_status", "data", "labels")
"""What of the agent's last status goes into a status that the master writes."""


@dataclass
class Task:
    task_id: str
    framework_id: str
    agent_id: str
    executor_id: str | None
    """None for a command task: the agent makes its executor."""
    name: str
    role: str
    resources: Resources
    state: str = "TASK_STAGING"
    status: Json | None = None
    """The last status from the agent."""

    @classmethod
    def of(cls, framework_id: str, role: str, info: Json) -> Task:
        executor = info.get("executor")
        return cls(
            task_id=info["task_id"]["value"],
            framework_id=framework_id,
            agent_id=info["agent_id"]["value"],
            executor_id=executor["executor_id"]["value"] if executor else None,
            name=info["name"],
            role=role,
            resources=Resources.parse(info.get("resources", [])),
        )

    @property
    def terminal(self) -> bool:
        return states.is_terminal(self.state)

    def status_from_master(self, now: float, state: str, message: str, reason: str) -> Json:
        """What the master says of it on its own account: no uuid, so nothing to acknowledge."""
        last = self.status or {}
        executor_id = self.executor_id or last.get("executor_id", {}).get("value")
        return states.status(
            self.task_id,
            state,
            "SOURCE_MASTER",
            now,
            message=message,
            reason=reason,
            agent_id=self.agent_id,
            executor_id=executor_id,
        )

    def latest_status(self, now: float, message: str, reason: str) -> Json:
        """The state last told to the framework, which an update still on its way may be ahead of."""
        last = self.status or {}
        kept: Json = {name: last[name] for name in KEPT_IN_STATUS if name in last}
        return {**self.status_from_master(now, str(last.get("state", self.state)), message, reason), **kept}


@dataclass
class Framework:
    framework_id: str
    info: Json
    faults: Faults
    stream: EventStream | None = None
    stream_id: str = ""
    principal: str | None = None
    registered_at: float = 0.0
    reregistered_at: float | None = None
    unregistered_at: float | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    unreachable_tasks: dict[str, Task] = field(default_factory=dict)
    failover: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        return self.stream is not None

    @property
    def roles(self) -> tuple[str, ...]:
        if states.has_capability(self.info, "MULTI_ROLE"):
            return tuple(self.info.get("roles", []))
        return (self.info.get("role", "*"),)

    @property
    def title(self) -> str:
        return f"framework {self.framework_id} ({self.info['name']})"

    def send(self, kind: str, content: Json | None = None) -> None:
        """An event, if the scheduler is connected; lost otherwise (agents repeat updates, schedulers reconcile)."""
        if self.stream is not None:
            event: Json = {"type": kind}
            if content is not None:
                event[kind.lower()] = content
            self.stream.send(event)

    def send_update(self, status: Json) -> None:
        self.faults.pass_on(status, lambda told: self.send("UPDATE", {"status": told}))


@dataclass
class Agent:
    agent_id: str
    info: Json
    """hostname, ip, port, resources, attributes, domain."""
    link: EventStream | None
    registered_at: float
    last_pong: float
    reregistered_at: float | None = None
    executors: dict[tuple[str, str], Json] = field(default_factory=dict)
    """ExecutorInfo by (framework id, executor id); those of command tasks are not known here."""

    @property
    def title(self) -> str:
        return f"agent {self.agent_id} ({self.info['hostname']}:{self.info['port']})"

    def send(self, message: Json) -> None:
        if self.link is not None:
            self.link.send(message)


class Cluster:
    def __init__(self, master_info: Json, registry: Registry) -> None:
        self.master_info = master_info
        self.registry = registry
        self.faults = Faults()
        self.allocator = Allocator()
        self.frameworks: dict[str, Framework] = {}
        self.completed: dict[str, Framework] = {}
        self.agents: dict[str, Agent] = {}
        self.recovered: set[str] = set()
        """Agents of the registry that have not come back since this master leads."""
        self._counters = {letter: itertools.count() for letter in ("", "S", "O")}

    def recover(self) -> None:
        """This master leads from now on, and expects the agents that the one before it knew."""
        self.registry.lead()
        self.recovered = set(self.registry.admitted)

    @property
    def master_id(self) -> str:
        return str(self.master_info["id"])

    def now(self) -> float:
        return time.time()

    def new_framework_id(self) -> str:
        return f"{self.master_id}-{next(self._counters['']):04d}"

    def new_agent_id(self) -> str:
        return f"{self.master_id}-S{next(self._counters['S'])}"

    def new_offer_id(self) -> str:
        return f"{self.master_id}-O{next(self._counters['O'])}"

    def tasks_on(self, agent_id: str) -> Iterator[Task]:
        for framework in self.frameworks.values():
            for task in list(framework.tasks.values()):
                if task.agent_id == agent_id:
                    yield task

    def add_task(self, task: Task) -> None:
        framework = self.frameworks[task.framework_id]
        framework.tasks[task.task_id] = task
        framework.unreachable_tasks.pop(task.task_id, None)
        holder = ("task", task.framework_id, task.task_id)
        if task.terminal:
            self.allocator.release(task.agent_id, holder)
        else:
            self.allocator.use(task.agent_id, holder, task.role, task.resources)

    def set_task_state(self, task: Task, state: str) -> None:
        """A terminal task holds no resources any more, though its last update may not be acknowledged yet."""
        task.state = state
        if task.terminal:
            self.allocator.release(task.agent_id, ("task", task.framework_id, task.task_id))

    def remove_task(self, task: Task) -> None:
        self.allocator.release(task.agent_id, ("task", task.framework_id, task.task_id))
        self.frameworks[task.framework_id].tasks.pop(task.task_id, None)

    def add_executor(self, agent: Agent, framework_id: str, executor: Json, role: str) -> None:
        executor_id = executor["executor_id"]["value"]
        agent.executors[framework_id, executor_id] = executor
        resources = Resources.parse(executor.get("resources", []))
        self.allocator.use(agent.agent_id, ("executor", framework_id, executor_id), role, resources)

    def remove_executor(self, agent: Agent, framework_id: str, executor_id: str) -> bool:
        self.allocator.release(agent.agent_id, ("executor", framework_id, executor_id))
        return agent.executors.pop((framework_id, executor_id), None) is not None

    def allocate(self) -> None:
        """Makes the offers that can be made now and sends them, one OFFERS event per framework."""
        made: dict[str, list[Offer]] = {}
        for offer in self.allocator.allocate(self.now(), self.new_offer_id, self.faults.withheld, self._is_abroad):
            made.setdefault(offer.framework_id, []).append(offer)
        for framework_id, offers in made.items():
            framework = self.frameworks[framework_id]
            framework.send("OFFERS", {"offers": [self._offer_json(framework, offer) for offer in offers]})
            log.info("Offered %s to %s.", ", ".join(offer.offer_id for offer in offers), framework.title)

    def _is_abroad(self, framework_id: str, agent_id: str) -> bool:
        """The agent is in another region than the master, and the framework does not know of regions."""
        here, there = region_of(self.master_info), region_of(self.agents[agent_id].info)
        aware = states.has_capability(self.frameworks[framework_id].info, "REGION_AWARE")
        return bool(here and there) and here != there and not aware

    def withdraw(self, offers: list[Offer], *, rescind: bool) -> None:
        for offer in offers:
            self.allocator.take(offer.offer_id)
            framework = self.frameworks.get(offer.framework_id)
            if rescind and framework is not None:
                framework.send("RESCIND", {"offer_id": {"value": offer.offer_id}})

    def offers_of(self, *, framework_id: str | None = None, agent_id: str | None = None) -> list[Offer]:
        return [
            offer
            for offer in self.allocator.offers.values()
            if (framework_id is None or offer.framework_id == framework_id)
            and (agent_id is None or offer.agent_id == agent_id)
        ]

    def _offer_json(self, framework: Framework, offer: Offer) -> Json:
        agent = self.agents[offer.agent_id]
        refined = states.has_capability(framework.info, "RESERVATION_REFINEMENT")
        info = agent.info
        result: Json = {
            "id": {"value": offer.offer_id},
            "framework_id": {"value": offer.framework_id},
            "agent_id": {"value": offer.agent_id},
            "hostname": info["hostname"],
            "url": {
                "scheme": "http",
                "address": {"hostname": info["hostname"], "ip": info["ip"], "port": info["port"]},
                "path": "/slave(1)",
            },
            "resources": offer.resources.to_json(offer.role, refined=refined),
            "allocation_info": {"role": offer.role},
        }
        if info.get("attributes"):
            result["attributes"] = info["attributes"]
        if info.get("domain"):
            result["domain"] = info["domain"]
        executors = [{"value": executor} for owner, executor in agent.executors if owner == offer.framework_id]
        if executors:
            result["executor_ids"] = executors
        unavailability = self.faults.unavailability(agent.agent_id, info["ip"], info["hostname"])
        if unavailability is not None:
            result["unavailability"] = unavailability
        return result
