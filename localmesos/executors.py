"""The agent's records of executors and their tasks, as they are checkpointed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from localmesos import states
from localmesos.streams import EventStream

Json = dict[str, Any]


class Phase(Enum):
    LAUNCHING = "launching"
    REGISTERING = "registering"
    RUNNING = "running"
    TERMINATING = "terminating"


@dataclass(frozen=True)
class Ending:
    """What the tasks of an executor become when it has ended."""

    state: str = "TASK_FAILED"
    reason: str = "REASON_EXECUTOR_TERMINATED"
    message: str = "Executor terminated"


@dataclass
class TaskRecord:
    info: Json
    state: str = "TASK_STAGING"
    status: Json | None = None
    delivered: bool = False
    """The executor was told to launch it."""

    @property
    def task_id(self) -> str:
        return str(self.info["task_id"]["value"])

    @property
    def terminal(self) -> bool:
        return states.is_terminal(self.state)


@dataclass
class Executor:
    framework_id: str
    info: Json
    is_command: bool
    container_id: str
    sandbox: Path
    phase: Phase = Phase.LAUNCHING
    pid: int | None = None
    pid_start: int | None = None
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    stream: EventStream | None = None
    timer: asyncio.TimerHandle | None = None
    ending: Ending = Ending()
    ended: bool = False

    @property
    def executor_id(self) -> str:
        return str(self.info["executor_id"]["value"])

    @property
    def title(self) -> str:
        return f"executor {self.executor_id} of framework {self.framework_id}"

    def send(self, kind: str, content: Json | None = None) -> None:
        if self.stream is not None:
            self.stream.send({"type": kind} if content is None else {"type": kind, kind.lower(): content})

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def to_json(self) -> Json:
        return {
            "framework_id": self.framework_id,
            "info": self.info,
            "is_command": self.is_command,
            "container_id": self.container_id,
            "sandbox": str(self.sandbox),
            "pid": self.pid,
            "pid_start": self.pid_start,
            "ended": self.ended,
            "tasks": [
                {"info": task.info, "state": task.state, "status": task.status, "delivered": task.delivered}
                for task in self.tasks.values()
            ],
        }

    @classmethod
    def from_json(cls, kept: Json) -> Executor:
        executor = cls(
            kept["framework_id"],
            kept["info"],
            kept["is_command"],
            kept["container_id"],
            Path(kept["sandbox"]),
            Phase.REGISTERING,
            kept["pid"],
            kept["pid_start"],
            ended=kept["ended"],
        )
        for task in kept["tasks"]:
            record = TaskRecord(task["info"], task["state"], task["status"], task["delivered"])
            executor.tasks[record.task_id] = record
        return executor


class ExecutorTable:
    """The agent's executors, the ended ones too as long as an update of theirs is not acknowledged."""

    def __init__(self) -> None:
        self._executors: dict[tuple[str, str], Executor] = {}

    def add(self, executor: Executor) -> None:
        self._executors[executor.framework_id, executor.executor_id] = executor

    def remove(self, executor: Executor) -> None:
        self._executors.pop((executor.framework_id, executor.executor_id), None)

    def get(self, framework_id: str, executor_id: str) -> Executor | None:
        return self._executors.get((framework_id, executor_id))

    def all(self) -> list[Executor]:
        return list(self._executors.values())

    def find_living(self, framework_id: str, executor_id: str) -> Executor | str:
        """The executor, or the sentence why there is none."""
        executor = self._executors.get((framework_id, executor_id))
        if executor is not None and not executor.ended:
            return executor
        known = any(key[0] == framework_id for key in self._executors)
        return "Executor cannot be found" if known else "Framework cannot be found"

    def find_task(self, framework_id: str, task_id: str) -> tuple[Executor, TaskRecord] | None:
        for executor in self._executors.values():
            if executor.framework_id == framework_id and task_id in executor.tasks:
                return executor, executor.tasks[task_id]
        return None

    def latest_state(self, framework_id: str, task_id: str) -> str | None:
        found = self.find_task(framework_id, task_id)
        return found[1].state if found else None

    def to_json(self) -> list[Json]:
        return [executor.to_json() for executor in self._executors.values()]

    def restore(self, kept: list[Json]) -> None:
        for entry in kept:
            self.add(Executor.from_json(entry))

    def registration(self) -> Json:
        """What a master must know of executors and tasks."""
        living = [executor for executor in self._executors.values() if not executor.ended and not executor.is_command]
        return {
            "executors": [
                {"framework_id": one.framework_id, "executor": one.info, "role": allocation_role(one.info)}
                for one in living
            ],
            "tasks": [
                {
                    "framework_id": executor.framework_id,
                    "task": task.info,
                    "role": allocation_role(task.info),
                    "state": task.state,
                    "status": task.status,
                }
                for executor in self._executors.values()
                for task in executor.tasks.values()
            ],
        }


def allocation_role(info: Json) -> str:
    """The role that a task's or executor's resources are allocated to."""
    for resource in info.get("resources", []):
        if "allocation_info" in resource:
            return str(resource["allocation_info"]["role"])
    return "*"


def duration_text(seconds: float) -> str:
    """As Mesos writes durations: 5secs, 15mins, 500ms."""
    for unit, length in (("weeks", 604800), ("days", 86400), ("hrs", 3600), ("mins", 60), ("secs", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}secs" if seconds >= 1 else f"{seconds * 1000:g}ms"
