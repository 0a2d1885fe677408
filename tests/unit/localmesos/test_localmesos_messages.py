"""What protobuf does to JSON, an operation to resources; what the registry keeps; how durations are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localmesos.executors import duration_text
from localmesos.operations import OperationError, plan
from localmesos.protobuf import SCHEDULER_CALL, missing_fields, with_defaults
from localmesos.registry import Registry
from localmesos.resources import Resources
from localmesos.states import state_for

PLAIN = {"name": "disk", "type": "SCALAR", "scalar": {"value": 64.0}}
RESERVED = {**PLAIN, "reservations": [{"type": "DYNAMIC", "role": "r"}]}
VOLUME = {**RESERVED, "disk": {"persistence": {"id": "v"}, "volume": {"container_path": "data", "mode": "RW"}}}


def test_missing_fields_are_named_with_their_path() -> None:
    task = {"name": "t", "task_id": {}, "executor": {}}
    launch = {"type": "LAUNCH", "launch": {"task_infos": [{"name": "t", "task_id": {"value": "t"}}, task]}}
    call = {"type": "ACCEPT", "accept": {"operations": [{"type": "RESERVE"}, launch]}}
    path = "accept.operations[1].launch.task_infos"
    assert missing_fields(SCHEDULER_CALL, call) == [
        f"{path}[0].agent_id",
        f"{path}[1].agent_id",
        f"{path}[1].task_id.value",
        f"{path}[1].executor.executor_id",
    ]


def test_defaults_appear_in_messages_that_are_there() -> None:
    call = {"subscribe": {"framework_info": {"user": "u", "name": "n", "checkpoint": True}}}
    info = with_defaults(SCHEDULER_CALL, call)["subscribe"]["framework_info"]
    assert info == {"user": "u", "name": "n", "checkpoint": True, "failover_timeout": 0.0}
    assert "failover_timeout" not in call["subscribe"]["framework_info"]


@pytest.mark.parametrize(
    ("kind", "content", "consumed", "converted"),
    [
        ("RESERVE", {"reserve": {"resources": [RESERVED]}}, PLAIN, RESERVED),
        ("UNRESERVE", {"unreserve": {"resources": [RESERVED]}}, RESERVED, PLAIN),
        ("CREATE", {"create": {"volumes": [VOLUME]}}, RESERVED, VOLUME),
        ("DESTROY", {"destroy": {"volumes": [VOLUME]}}, VOLUME, RESERVED),
    ],
)
def test_what_an_operation_makes_of_resources(kind: str, content: Any, consumed: Any, converted: Any) -> None:
    assert plan({"type": kind, **content}) == (Resources.parse([consumed]), Resources.parse([converted]))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("RESERVE", {}),
        ("RESERVE", {"reserve": {"resources": [PLAIN]}}),
        ("UNRESERVE", {"unreserve": {"resources": [VOLUME]}}),
        ("CREATE", {"create": {"volumes": [RESERVED]}}),
        ("CREATE", {"create": {"volumes": [{**PLAIN, "disk": VOLUME["disk"]}]}}),
    ],
)
def test_an_operation_without_sense_is_refused(kind: str, content: Any) -> None:
    with pytest.raises(OperationError):
        plan({"type": kind, **content})


def test_the_registry_survives_its_master(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    registry = Registry(path)
    for agent_id in ("stays", "lost", "gone", "returns"):
        registry.admit(agent_id, {"hostname": agent_id})
    registry.mark_unreachable("lost", 1.0)
    registry.mark_gone("gone", 2.0)
    registry.mark_unreachable("returns", 3.0)
    registry.admit("returns", {"hostname": "returns"})
    again = Registry(path)
    assert sorted(again.admitted) == ["returns", "stays"]
    assert (again.unreachable, again.gone) == ({"lost": 1.0}, {"gone": 2.0})


def test_only_partition_aware_frameworks_see_the_finer_states() -> None:
    aware = {"capabilities": [{"type": "PARTITION_AWARE"}]}
    assert state_for(aware, "TASK_UNREACHABLE") == "TASK_UNREACHABLE"
    assert state_for({}, "TASK_UNREACHABLE") == "TASK_LOST"
    assert state_for({}, "TASK_FAILED") == "TASK_FAILED"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "500ms"), (1, "1secs"), (2.0, "2secs"), (2.5, "2.5secs"), (60, "1mins"), (90, "90secs"), (900, "15mins")],
)
def test_durations_are_written_as_mesos_does(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
