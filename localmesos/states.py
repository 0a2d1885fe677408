"""Task states and status updates: which states end a task, how a status looks that master or agent write."""

from __future__ import annotations

import base64
import uuid
from typing import Any

Json = dict[str, Any]

TERMINAL = frozenset(
    {
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_LOST",
        "TASK_ERROR",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    }
)
"""TASK_UNREACHABLE and TASK_UNKNOWN are not among them: the task may come back."""

ONLY_PARTITION_AWARE = frozenset(
    {"TASK_DROPPED", "TASK_UNREACHABLE", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN"}
)


def is_terminal(state: str) -> bool:
    return state in TERMINAL


def has_capability(framework_info: Json, name: str) -> bool:
    return any(capability.get("type") == name for capability in framework_info.get("capabilities", []))


def state_for(framework_info: Json, state: str) -> str:
    """The state as this framework may see it: without PARTITION_AWARE all of the finer states are TASK_LOST."""
    if state in ONLY_PARTITION_AWARE and not has_capability(framework_info, "PARTITION_AWARE"):
        return "TASK_LOST"
    return state


def new_uuid() -> str:
    """Sixteen random bytes in base64, as protobuf's JSON writes `bytes`."""
    return base64.b64encode(uuid.uuid4().bytes).decode()


def status(task_id: str, state: str, source: str, now: float, **optional: Any) -> Json:
    """A TaskStatus. `optional` holds message, reason, agent_id, executor_id, uuid, healthy, …; None is left out, ids
    are given as plain text."""
    result: Json = {"task_id": {"value": task_id}, "state": state, "source": source, "timestamp": now}
    for name, value in optional.items():
        if value is not None:
            result[name] = {"value": value} if name in ("agent_id", "executor_id") else value
    return result


def nanoseconds(seconds: float) -> Json:
    return {"nanoseconds": int(seconds * 1e9)}
