"""The life of an agent as the master sees it: registered, disconnected, unreachable, back, removed; its messages."""

from __future__ import annotations

from collections.abc import Callable

from localmesos import frameworks, states
from localmesos.cluster import Agent, Cluster, Framework, Json, Task, log
from localmesos.resources import Resources
from localmesos.streams import EventStream


def register(cluster: Cluster, registration: Json, link: EventStream, pings: Json) -> Agent | None:
    """An agent's first message on a new link. None: the agent was marked gone, it must end.

    `pings` is told to the agent: how often it is pinged, and after what silence the link is dead."""
    agent_id = registration.get("agent_id") or ""
    if agent_id in cluster.registry.gone:
        return None
    _remove_predecessor(cluster, agent_id, registration["info"])
    now = cluster.now()
    was_unreachable = agent_id in cluster.registry.unreachable
    agent = cluster.agents.get(agent_id)
    if agent is None:
        agent = Agent(agent_id or cluster.new_agent_id(), {}, link, registered_at=now, last_pong=now)
        agent.reregistered_at = now if agent_id else None
        cluster.agents[agent.agent_id] = agent
    else:
        agent.reregistered_at = now
        if agent.link is not None:
            agent.link.close()
        cluster.withdraw(cluster.offers_of(agent_id=agent.agent_id), rescind=True)
    agent.info, agent.link, agent.last_pong = registration["info"], link, now
    cluster.recovered.discard(agent.agent_id)
    cluster.registry.admit(agent.agent_id, agent.info)
    cluster.allocator.add_agent(agent.agent_id, Resources.parse(registration["total_resources"]))
    agent.send({"type": "REGISTERED", "agent_id": agent.agent_id, **pings})
    _take_stock(cluster, agent, registration, was_unreachable)
    log.info("Registered %s%s.", agent.title, " again" if agent_id else "")
    return agent


def _remove_predecessor(cluster: Cluster, agent_id: str, info: Json) -> None:
    for other in list(cluster.agents.values()):
        same_address = (other.info["ip"], other.info["port"]) == (info["ip"], info["port"])
        if same_address and other.agent_id != agent_id:
            remove(cluster, other, "TASK_GONE", "a new agent registered at the same address")


def _take_stock(cluster: Cluster, agent: Agent, registration: Json, was_unreachable: bool) -> None:
    """Agrees with the agent on frameworks, executors and tasks; the agent is right about what runs."""
    for info in registration["frameworks"]:
        framework_id = info["id"]["value"]
        if framework_id in cluster.completed:
            agent.send({"type": "SHUTDOWN_FRAMEWORK", "framework_id": framework_id})
        elif framework_id not in cluster.frameworks:
            frameworks.recover(cluster, info)
    _take_executors(cluster, agent, registration["executors"])
    reported = {(task["framework_id"], task["task"]["task_id"]["value"]): task for task in registration["tasks"]}
    unknown: dict[str, list[str]] = {}
    for known in cluster.tasks_on(agent.agent_id):
        if (known.framework_id, known.task_id) not in reported:
            cluster.remove_task(known)
            if not known.terminal:
                unknown.setdefault(known.framework_id, []).append(known.task_id)
    for framework_id, task_ids in unknown.items():
        info = cluster.frameworks[framework_id].info
        agent.send({"type": "RECONCILE", "framework_info": info, "task_ids": task_ids})
    for (framework_id, _), report in reported.items():
        framework = cluster.frameworks.get(framework_id)
        if framework is not None:
            _take_task(cluster, framework, agent, report, was_unreachable)


def _take_executors(cluster: Cluster, agent: Agent, reported: list[Json]) -> None:
    running = {}
    for report in reported:
        if report["framework_id"] in cluster.frameworks:
            running[report["framework_id"], report["executor"]["executor_id"]["value"]] = report
    for framework_id, executor_id in list(agent.executors):
        if (framework_id, executor_id) not in running:
            cluster.remove_executor(agent, framework_id, executor_id)
    for (framework_id, _), report in running.items():
        cluster.add_executor(agent, framework_id, report["executor"], report["role"])


def _take_task(cluster: Cluster, framework: Framework, agent: Agent, report: Json, was_unreachable: bool) -> None:
    task = framework.tasks.get(report["task"]["task_id"]["value"])
    if task is None or task.agent_id != agent.agent_id:
        task = Task.of(framework.framework_id, report["role"], report["task"])
        task.agent_id = agent.agent_id
    task.status = report["status"]
    task.state = report["state"]
    cluster.add_task(task)
    if was_unreachable and not task.terminal:
        now, message = cluster.now(), "Unreachable agent re-reregistered"
        framework.send_update(task.latest_status(now, message, "REASON_AGENT_REREGISTERED"))


def disconnected(cluster: Cluster, agent: Agent, link: EventStream) -> None:
    """The link ended: no offers of it until it is back. Its tasks are believed to run until the pings time out."""
    if agent.link is not link:
        return
    agent.link = None
    cluster.withdraw(cluster.offers_of(agent_id=agent.agent_id), rescind=True)
    cluster.allocator.set_agent_active(agent.agent_id, False)
    log.info("Disconnected %s.", agent.title)


def mark_unreachable(cluster: Cluster, agent: Agent) -> None:
    """Pings have timed out: its tasks are unreachable, they may come back with the agent."""
    now = cluster.now()
    cluster.registry.mark_unreachable(agent.agent_id, now)
    since = states.nanoseconds(cluster.registry.unreachable[agent.agent_id])
    log.info("Marked %s unreachable: it answered no ping in time.", agent.title)
    for task in _remove_from_books(cluster, agent):
        framework = cluster.frameworks[task.framework_id]
        state = states.state_for(framework.info, "TASK_UNREACHABLE")
        status = task.status_from_master(now, state, "health check timed out", "REASON_AGENT_REMOVED")
        framework.unreachable_tasks[task.task_id] = task
        framework.send_update({**status, "unreachable_time": since})
    _tell_failure(cluster, agent)


def remove(cluster: Cluster, agent: Agent, state: str, why: str) -> None:
    """For good: its tasks are TASK_GONE or TASK_GONE_BY_OPERATOR."""
    now = cluster.now()
    if state == "TASK_GONE_BY_OPERATOR":
        cluster.registry.mark_gone(agent.agent_id, now)
    else:
        cluster.registry.remove(agent.agent_id)
    log.info("Removed %s: %s.", agent.title, why)
    reason = "REASON_AGENT_REMOVED_BY_OPERATOR" if state == "TASK_GONE_BY_OPERATOR" else "REASON_AGENT_REMOVED"
    for task in _remove_from_books(cluster, agent):
        framework = cluster.frameworks[task.framework_id]
        message = f"Agent {agent.info['hostname']} removed: {why}"
        framework.send_update(task.status_from_master(now, states.state_for(framework.info, state), message, reason))
    _tell_failure(cluster, agent)


def _remove_from_books(cluster: Cluster, agent: Agent) -> list[Task]:
    """The agent leaves the books; gives the tasks that were not yet terminal."""
    if agent.link is not None:
        agent.link.close()
        agent.link = None
    cluster.withdraw(cluster.offers_of(agent_id=agent.agent_id), rescind=True)
    tasks = list(cluster.tasks_on(agent.agent_id))
    for task in tasks:
        cluster.remove_task(task)
    del cluster.agents[agent.agent_id]
    cluster.allocator.remove_agent(agent.agent_id)
    return [task for task in tasks if not task.terminal]


def _tell_failure(cluster: Cluster, agent: Agent) -> None:
    for framework in cluster.frameworks.values():
        framework.send("FAILURE", {"agent_id": {"value": agent.agent_id}})


def forget_unreturned(cluster: Cluster) -> None:
    """Agents of the registry that did not come back in time after this master's start are unreachable."""
    for agent_id in sorted(cluster.recovered):
        cluster.registry.mark_unreachable(agent_id, cluster.now())
        log.info("Marked agent %s unreachable: it did not return after the master's restart.", agent_id)
    cluster.recovered.clear()


# messages


def received(cluster: Cluster, agent: Agent, message: Json) -> None:
    agent.last_pong = cluster.now()
    _MESSAGES[message["type"]](cluster, agent, message)


def _pong(cluster: Cluster, agent: Agent, message: Json) -> None:
    """Having come is all."""


def _update(cluster: Cluster, agent: Agent, message: Json) -> None:
    framework = cluster.frameworks.get(message["framework_id"])
    if framework is None:
        return
    status = message["status"]
    task = framework.tasks.get(status["task_id"]["value"])
    log.info("Task %s of %s is %s.", status["task_id"]["value"], framework.title, status["state"])
    if task is not None:
        task.status = status
        if not task.terminal:
            cluster.set_task_state(task, message["latest_state"])
    framework.send_update(status)


def _executor_exited(cluster: Cluster, agent: Agent, message: Json) -> None:
    framework_id, executor_id = message["framework_id"], message["executor_id"]
    framework = cluster.frameworks.get(framework_id)
    if not cluster.remove_executor(agent, framework_id, executor_id) or framework is None:
        return
    log.info("Executor %s of %s exited on %s.", executor_id, framework.title, agent.title)
    failure: Json = {"agent_id": {"value": agent.agent_id}, "executor_id": {"value": executor_id}}
    if message.get("status") is not None:
        failure["status"] = message["status"]
    framework.send("FAILURE", failure)


def _message(cluster: Cluster, agent: Agent, message: Json) -> None:
    framework = cluster.frameworks.get(message["framework_id"])
    if framework is not None:
        executor_id = {"value": message["executor_id"]}
        framework.send(
            "MESSAGE", {"agent_id": {"value": agent.agent_id}, "executor_id": executor_id, "data": message["data"]}
        )


def _operation_status(cluster: Cluster, agent: Agent, message: Json) -> None:
    framework = cluster.frameworks.get(message["framework_id"])
    if framework is not None:
        framework.send("UPDATE_OPERATION_STATUS", {"status": message["status"]})


def _unregister(cluster: Cluster, agent: Agent, message: Json) -> None:
    remove(cluster, agent, "TASK_GONE", "the agent unregistered")


_MESSAGES: dict[str, Callable[[Cluster, Agent, Json], None]] = {
    "PONG": _pong,
    "UPDATE": _update,
    "EXECUTOR_EXITED": _executor_exited,
    "MESSAGE": _message,
    "OPERATION_STATUS": _operation_status,
    "UNREGISTER": _unregister,
}
