"""The scheduler's calls but SUBSCRIBE and ACCEPT, each a function of cluster, framework and the call's content."""

from __future__ import annotations

from collections.abc import Callable

from localmesos import frameworks, reconciliation
from localmesos.accept import DEFAULT_REFUSE_SECONDS, accept
from localmesos.cluster import Cluster, Framework, Json, log

Call = Callable[[Cluster, Framework, Json], None]


def _decline(cluster: Cluster, framework: Framework, content: Json) -> None:
    seconds = float(content.get("filters", {}).get("refuse_seconds", DEFAULT_REFUSE_SECONDS))
    for offer_id in content.get("offer_ids", []):
        offer = cluster.allocator.offers.get(offer_id["value"])
        if offer is not None and offer.framework_id == framework.framework_id:
            cluster.allocator.take(offer.offer_id)
            cluster.allocator.refuse(offer, offer.resources, seconds, cluster.now())


def _revive(cluster: Cluster, framework: Framework, content: Json) -> None:
    cluster.allocator.revive(framework.framework_id, content.get("roles", []))
    cluster.allocate()


def _suppress(cluster: Cluster, framework: Framework, content: Json) -> None:
    cluster.allocator.suppress(framework.framework_id, content.get("roles", []))


def _kill(cluster: Cluster, framework: Framework, content: Json) -> None:
    """An unknown task is answered as a reconciliation; a task on a lost agent waits for the agent."""
    task_id = content["task_id"]["value"]
    task = framework.tasks.get(task_id)
    if task is None:
        _reconcile_one(cluster, framework, content)
        return
    message = {"type": "KILL_TASK", "framework_info": framework.info, "task_id": task_id}
    if "kill_policy" in content:
        message["kill_policy"] = content["kill_policy"]
    log.info("Task %s of %s is to be killed.", task_id, framework.title)
    cluster.agents[task.agent_id].send(message)


def _shutdown(cluster: Cluster, framework: Framework, content: Json) -> None:
    agent = cluster.agents.get(content["agent_id"]["value"])
    if agent is not None:
        executor_id = content["executor_id"]["value"]
        log.info("Executor %s of %s is to be shut down.", executor_id, framework.title)
        agent.send({"type": "SHUTDOWN_EXECUTOR", "framework_id": framework.framework_id, "executor_id": executor_id})


def _acknowledge(cluster: Cluster, framework: Framework, content: Json) -> None:
    task_id, uuid = content["task_id"]["value"], content["uuid"]
    agent = cluster.agents.get(content["agent_id"]["value"])
    if agent is None:
        return
    task = framework.tasks.get(task_id)
    if task is not None and task.terminal and task.status is not None and task.status.get("uuid") == uuid:
        cluster.remove_task(task)
    agent.send({"type": "ACKNOWLEDGE", "framework_id": framework.framework_id, "task_id": task_id, "uuid": uuid})


def _acknowledge_operation(cluster: Cluster, framework: Framework, content: Json) -> None:
    agent = cluster.agents.get(content.get("agent_id", {}).get("value", ""))
    if agent is not None:
        agent.send(
            {
                "type": "ACKNOWLEDGE_OPERATION",
                "framework_id": framework.framework_id,
                "operation_id": content["operation_id"]["value"],
                "uuid": content["uuid"],
            }
        )


def _reconcile(cluster: Cluster, framework: Framework, content: Json) -> None:
    asked = content.get("tasks", [])
    for task in asked or [{"task_id": {"value": task_id}} for task_id in framework.tasks]:
        _reconcile_one(cluster, framework, task)


def _reconcile_one(cluster: Cluster, framework: Framework, task: Json) -> None:
    agent_id = task.get("agent_id", {}).get("value")
    status = reconciliation.answer(cluster, framework, task["task_id"]["value"], agent_id)
    if status is not None:
        framework.send_update(status)


def _message(cluster: Cluster, framework: Framework, content: Json) -> None:
    agent = cluster.agents.get(content["agent_id"]["value"])
    if agent is not None:
        agent.send(
            {
                "type": "MESSAGE",
                "framework_id": framework.framework_id,
                "executor_id": content["executor_id"]["value"],
                "data": content["data"],
            }
        )


def _teardown(cluster: Cluster, framework: Framework, _: Json) -> None:
    frameworks.remove(cluster, framework, "it was torn down")


CALLS: dict[str, Call] = {
    "ACCEPT": accept,
    "DECLINE": _decline,
    "REVIVE": _revive,
    "SUPPRESS": _suppress,
    "KILL": _kill,
    "SHUTDOWN": _shutdown,
    "ACKNOWLEDGE": _acknowledge,
    "ACKNOWLEDGE_OPERATION_STATUS": _acknowledge_operation,
    "RECONCILE": _reconcile,
    "MESSAGE": _message,
    "TEARDOWN": _teardown,
    "UPDATE_FRAMEWORK": frameworks.update,
}

NEEDS_CONTENT = frozenset(CALLS) - {"REVIVE", "SUPPRESS", "TEARDOWN"}
"""Calls whose field of the same name must be there."""
