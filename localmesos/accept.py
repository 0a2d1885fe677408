"""The ACCEPT call: offers taken, tasks launched, resources reserved and made into volumes.

What is wrong with one task or operation is answered to that one; the others go on with what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localmesos import states
from localmesos.allocator import Offer
from localmesos.cluster import Agent, Cluster, Framework, Json, Task, log
from localmesos.operations import OperationError, plan
from localmesos.resources import ResourceError, Resources

DEFAULT_REFUSE_SECONDS = 5.0


class InvalidOffers(ValueError):
    pass


@dataclass
class Acceptance:
    """One ACCEPT on its way: what of the offers is left."""

    cluster: Cluster
    framework: Framework
    agent: Agent
    role: str
    remaining: Resources


def accept(cluster: Cluster, framework: Framework, content: Json) -> None:
    offer_ids = [offer_id["value"] for offer_id in content.get("offer_ids", [])]
    operations = content.get("operations", [])
    try:
        offers = _valid_offers(cluster, framework, offer_ids)
    except InvalidOffers as error:
        _drop_all(cluster, framework, operations, str(error))
        return
    offered = sum((offer.resources for offer in offers), Resources())
    for offer in offers:
        cluster.allocator.take(offer.offer_id)
    acceptance = Acceptance(cluster, framework, cluster.agents[offers[0].agent_id], offers[0].role, offered)
    for operation in operations:
        _APPLY.get(operation.get("type", ""), _unsupported)(acceptance, operation)
    seconds = float(content.get("filters", {}).get("refuse_seconds", DEFAULT_REFUSE_SECONDS))
    cluster.allocator.refuse(offers[0], acceptance.remaining, seconds, cluster.now())


def _valid_offers(cluster: Cluster, framework: Framework, offer_ids: list[str]) -> list[Offer]:
    offers: list[Offer] = []
    problem = "" if offer_ids else "No offers specified"
    for offer_id in offer_ids:
        offer = cluster.allocator.offers.get(offer_id)
        if offer is None:
            problem = problem or f"Offer {offer_id} is no longer valid"
        elif offer.framework_id != framework.framework_id:
            problem = problem or (
                f"Offer {offer_id} has invalid framework {offer.framework_id} while framework"
                f" {framework.framework_id} is expected"
            )
        elif offer in offers:
            problem = problem or f"Duplicate offer {offer_id} in offer list"
        else:
            offers.append(offer)
    if len({(offer.agent_id, offer.role) for offer in offers}) > 1:
        problem = problem or "Aggregated offers must belong to one single agent and role"
    if problem:
        cluster.withdraw(offers, rescind=False)
        raise InvalidOffers(problem)
    return offers


def _drop_all(cluster: Cluster, framework: Framework, operations: list[Json], problem: str) -> None:
    log.info("Dropped the operations of %s: %s.", framework.title, problem)
    for operation in operations:
        for info in operation.get("launch", {}).get("task_infos", []):
            status = states.status(
                info["task_id"]["value"],
                states.state_for(framework.info, "TASK_DROPPED"),
                "SOURCE_MASTER",
                cluster.now(),
                message=f"Task launched with invalid offers: {problem}",
                reason="REASON_INVALID_OFFERS",
                agent_id=info["agent_id"]["value"],
            )
            framework.send_update(status)
        if operation.get("type") != "LAUNCH":
            _operation_failed(framework, operation, f"Operation attempted with invalid offers: {problem}", None)


def _operation_failed(framework: Framework, operation: Json, problem: str, agent_id: str | None) -> None:
    log.info("Operation %s of %s is not done: %s.", operation.get("type"), framework.title, problem)
    if "id" not in operation:
        return
    status: Json = {"operation_id": operation["id"], "state": "OPERATION_ERROR", "message": problem}
    if agent_id is not None:
        status["agent_id"] = {"value": agent_id}
    framework.send("UPDATE_OPERATION_STATUS", {"status": status})


def _unsupported(acceptance: Acceptance, operation: Json) -> None:
    problem = f"Operation '{operation.get('type')}' is not supported"
    _operation_failed(acceptance.framework, operation, problem, acceptance.agent.agent_id)


def _launch(acceptance: Acceptance, operation: Json) -> None:
    for info in operation.get("launch", {}).get("task_infos", []):
        _launch_task(acceptance, info)


def _launch_task(acceptance: Acceptance, info: Json) -> None:
    cluster, framework, agent = acceptance.cluster, acceptance.framework, acceptance.agent
    _complete(framework, acceptance.role, info)
    problem, needed = _check(acceptance, info)
    if problem:
        log.info("Task %s of %s is refused: %s.", info["task_id"]["value"], framework.title, problem)
        status = states.status(
            info["task_id"]["value"],
            "TASK_ERROR",
            "SOURCE_MASTER",
            cluster.now(),
            message=problem,
            reason="REASON_TASK_INVALID",
            agent_id=info["agent_id"]["value"],
        )
        framework.send_update(status)
        return
    acceptance.remaining = acceptance.remaining - needed
    task = Task.of(framework.framework_id, acceptance.role, info)
    if task.executor_id is not None and (framework.framework_id, task.executor_id) not in agent.executors:
        cluster.add_executor(agent, framework.framework_id, info["executor"], acceptance.role)
    cluster.add_task(task)
    if not cluster.faults.loses_launch():
        agent.send({"type": "RUN_TASK", "framework_info": framework.info, "task": info})
    log.info("Launched task %s of %s on %s.", task.task_id, framework.title, agent.title)


def _complete(framework: Framework, role: str, info: Json) -> None:
    """What a master fills in: the allocation role, the executor's type and framework."""
    executor = info.get("executor")
    if executor is not None:
        executor.setdefault("type", "CUSTOM")
        executor.setdefault("framework_id", {"value": framework.framework_id})
    for resource in info.get("resources", []) + (executor or {}).get("resources", []):
        resource.setdefault("allocation_info", {"role": role})
        if "scalar" in resource:
            resource["scalar"]["value"] = round(float(resource["scalar"]["value"]), 3)


def _check(acceptance: Acceptance, info: Json) -> tuple[str, Resources]:
    """What is wrong with the task ("" for nothing), and what it takes of the offers."""
    framework, agent = acceptance.framework, acceptance.agent
    task_id, executor = info["task_id"]["value"], info.get("executor")
    if not task_id or "/" in task_id or any(not character.isprintable() for character in task_id):
        return f"Task ID '{task_id}' contains invalid characters", Resources()
    if task_id in framework.tasks or task_id in framework.unreachable_tasks:
        return f"Task has duplicate ID: {task_id}", Resources()
    if info["agent_id"]["value"] != agent.agent_id:
        return (
            f"Task uses invalid agent {info['agent_id']['value']} while agent {agent.agent_id} is expected",
            Resources(),
        )
    if (executor is None) == (info.get("command") is None):
        return "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present", Resources()
    if executor is not None and executor["framework_id"]["value"] != framework.framework_id:
        return (
            f"ExecutorInfo has an invalid FrameworkID (Actual: {executor['framework_id']['value']}"
            f" vs Expected: {framework.framework_id})"
        ), Resources()
    try:
        needed = Resources.parse(info.get("resources", []))
        if not needed:
            return "Task uses no resources", needed
        if executor is not None:
            running = agent.executors.get((framework.framework_id, executor["executor_id"]["value"]))
            if running is None:
                needed = needed + Resources.parse(executor.get("resources", []))
            elif running != executor:
                return "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID", Resources()
    except ResourceError as error:
        return f"Task uses invalid resources: {error}", Resources()
    if not acceptance.remaining.contains(needed):
        return (
            f"Total resources {needed.describe(acceptance.role)} required by task and its executor is more than"
            f" available {acceptance.remaining.describe(acceptance.role)}"
        ), needed
    return "", needed


def _change(acceptance: Acceptance, operation: Json) -> None:
    """RESERVE, UNRESERVE, CREATE, DESTROY: the master's books change at once, the agent keeps and confirms them."""
    cluster, agent = acceptance.cluster, acceptance.agent
    try:
        consumed, converted = plan(operation)
        remaining = (acceptance.remaining - consumed) + converted
    except (OperationError, ResourceError) as error:
        _operation_failed(
            acceptance.framework, operation, f"Invalid {operation['type']} operation: {error}", agent.agent_id
        )
        return
    acceptance.remaining = remaining
    cluster.allocator.convert(agent.agent_id, consumed, converted)
    agent.send(
        {
            "type": "APPLY_OPERATION",
            "framework_id": acceptance.framework.framework_id,
            "operation": operation,
        }
    )
    log.info("%s by %s on %s: %s.", operation["type"], acceptance.framework.title, agent.title, converted.describe())


_APPLY: dict[str, Callable[[Acceptance, Json], None]] = {
    "LAUNCH": _launch,
    "RESERVE": _change,
    "UNRESERVE": _change,
    "CREATE": _change,
    "DESTROY": _change,
}
