"""The master's answer to "what became of this task?", as an ordered table: the first row that fits answers.

Where: Mesos, "Reconciliation" document; the messages are a real master's.
"""

from __future__ import annotations

from localmesos import states
from localmesos.cluster import Cluster, Framework, Json

REASON = "REASON_RECONCILIATION"


def answer(cluster: Cluster, framework: Framework, task_id: str, agent_id: str | None) -> Json | None:
    """A status, or None where a real master keeps silent: the agent is still expected back after a master's restart."""
    now = cluster.now()
    task = framework.tasks.get(task_id)
    if task is not None:
        return task.latest_status(now, "Reconciliation: Latest task state", REASON)
    lost = framework.unreachable_tasks.get(task_id)
    if lost is not None:
        agent_id = lost.agent_id
    registry = cluster.registry
    if agent_id in registry.unreachable:
        return _status(framework, task_id, agent_id, now, "TASK_UNREACHABLE", "Task is unreachable") | {
            "unreachable_time": states.nanoseconds(registry.unreachable[agent_id])
        }
    if agent_id in cluster.recovered:
        return None
    if agent_id in cluster.agents:
        return _status(framework, task_id, agent_id, now, "TASK_GONE", "Task is unknown to the agent")
    if agent_id in registry.gone:
        return _status(framework, task_id, agent_id, now, "TASK_GONE_BY_OPERATOR", "Task is gone")
    return _status(framework, task_id, agent_id, now, "TASK_UNKNOWN", "Task is unknown")


def _status(framework: Framework, task_id: str, agent_id: str | None, now: float, state: str, message: str) -> Json:
    return states.status(
        task_id,
        states.state_for(framework.info, state),
        "SOURCE_MASTER",
        now,
        message=f"Reconciliation: {message}",
        reason=REASON,
        agent_id=agent_id,
    )
