"""What a real Mesos does to JSON on its way through protobuf: required fields are missed by name, defaults appear.

Tables only for the messages used here. Where: mesos/v1/mesos.proto, mesos/v1/scheduler/scheduler.proto, executor.proto.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """Required fields in field order, defaults of optional fields, and the messages inside (a list where repeated)."""

    required: tuple[str, ...] = ()
    defaults: tuple[tuple[str, Any], ...] = ()
    inside: tuple[tuple[str, Message], ...] = field(default=())


_ID = Message(("value",))
_RESOURCE = Message(("name", "type"))
_URI = Message(("value",), (("extract", True),))
_VARIABLE = Message(("name",), (("type", "VALUE"),))
_COMMAND = Message(
    (), (("shell", True),), (("uris", _URI), ("environment", Message(inside=(("variables", _VARIABLE),))))
)
_EXECUTOR = Message(
    ("executor_id",), (), (("executor_id", _ID), ("framework_id", _ID), ("command", _COMMAND), ("resources", _RESOURCE))
)
_TASK = Message(
    ("name", "task_id", "agent_id"),
    (),
    (
        ("task_id", _ID),
        ("agent_id", _ID),
        ("resources", _RESOURCE),
        ("executor", _EXECUTOR),
        ("command", _COMMAND),
    ),
)
_FRAMEWORK = Message(("user", "name"), (("failover_timeout", 0.0), ("checkpoint", False)), (("id", _ID),))
_OPERATION = Message(
    (),
    (),
    (
        ("id", _ID),
        ("launch", Message(inside=(("task_infos", _TASK),))),
        ("reserve", Message(inside=(("resources", _RESOURCE),))),
        ("unreserve", Message(inside=(("resources", _RESOURCE),))),
        ("create", Message(inside=(("volumes", _RESOURCE),))),
        ("destroy", Message(inside=(("volumes", _RESOURCE),))),
    ),
)
_ACKNOWLEDGE_OPERATION = Message(("uuid", "operation_id"), (), (("operation_id", _ID), ("agent_id", _ID)))

SCHEDULER_CALL = Message(
    inside=(
        ("framework_id", _ID),
        ("subscribe", Message(("framework_info",), (), (("framework_info", _FRAMEWORK),))),
        ("accept", Message(inside=(("offer_ids", _ID), ("operations", _OPERATION)))),
        ("decline", Message(inside=(("offer_ids", _ID),))),
        ("kill", Message(("task_id",), (), (("task_id", _ID), ("agent_id", _ID)))),
        ("shutdown", Message(("executor_id", "agent_id"), (), (("executor_id", _ID), ("agent_id", _ID)))),
        (
            "acknowledge",
            Message(("agent_id", "task_id", "uuid"), (), (("agent_id", _ID), ("task_id", _ID))),
        ),
        ("acknowledge_operation_status", _ACKNOWLEDGE_OPERATION),
        ("reconcile", Message(inside=(("tasks", Message(("task_id",), (), (("task_id", _ID), ("agent_id", _ID)))),))),
        (
            "message",
            Message(("agent_id", "executor_id", "data"), (), (("agent_id", _ID), ("executor_id", _ID))),
        ),
        ("update_framework", Message(("framework_info",), (), (("framework_info", _FRAMEWORK),))),
    )
)

_STATUS = Message(("task_id", "state"), (), (("task_id", _ID),))
EXECUTOR_CALL = Message(
    ("executor_id", "framework_id"),
    (),
    (
        ("executor_id", _ID),
        ("framework_id", _ID),
        (
            "subscribe",
            Message(
                inside=(("unacknowledged_tasks", _TASK), ("unacknowledged_updates", Message(("status",)))),
            ),
        ),
        ("update", Message(("status",), (), (("status", _STATUS),))),
        ("message", Message(("data",))),
    ),
)


def missing_fields(message: Message, value: Any, path: str = "") -> list[str]:
    """The paths of the required fields that are missing, as protobuf lists them: `accept.operations[0].launch…`."""
    if not isinstance(value, dict):
        return []
    missing = [path + name for name in message.required if value.get(name) is None]
    for name, inner in message.inside:
        part = value.get(name)
        if isinstance(part, list):
            for index, item in enumerate(part):
                missing += missing_fields(inner, item, f"{path}{name}[{index}].")
        else:
            missing += missing_fields(inner, part, f"{path}{name}.")
    return missing


def with_defaults(message: Message, value: Json) -> Json:
    """A deep copy in which the defaults of the messages that are there are written out."""
    return _fill(message, copy.deepcopy(value))


def _fill(message: Message, value: Json) -> Json:
    for name, default in message.defaults:
        value.setdefault(name, default)
    for name, inner in message.inside:
        part = value.get(name)
        for item in part if isinstance(part, list) else [part]:
            if isinstance(item, dict):
                _fill(inner, item)
    return value
