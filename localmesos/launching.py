"""What an executor is started with: its environment, its volumes, and the executor made for a command task."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from localmesos.containerizer import Containerizer, LaunchError
from localmesos.executors import Executor, duration_text
from localmesos.resources import Resources

Json = dict[str, Any]

_COMMAND_EXECUTOR = str(Path(__file__).with_name("command_executor.py"))


def command_executor(framework_id: str, task: Json) -> Json:
    """The executor that the agent makes for a command task."""
    command = task["command"]
    return {
        "executor_id": task["task_id"],
        "framework_id": {"value": framework_id},
        "name": f"Command Executor (Task: {task['task_id']['value']})",
        "source": task["task_id"]["value"],
        "command": {
            **{name: command[name] for name in ("uris", "environment") if name in command},
            "shell": False,
            "value": sys.executable,
            "arguments": [sys.executable, "-I", _COMMAND_EXECUTOR],
        },
    }


def refuse_containers(info: Json) -> None:
    """There are none here, and no secrets. Raises LaunchError as an agent does that is set up for none."""
    container = info.get("container", {})
    image = container.get("mesos", {}).get("image")
    if image is not None:
        raise LaunchError(f"Failed to launch container: Unsupported container image type: {image['type']}")
    for network in container.get("network_infos", []):
        if "name" in network:
            raise LaunchError(f"Failed to launch container: Unknown CNI network '{network['name']}'")
    variables = info.get("command", {}).get("environment", {}).get("variables", [])
    volumes = container.get("volumes", [])
    if any(one.get("type") == "SECRET" for one in [*variables, *(volume.get("source", {}) for volume in volumes)]):
        raise LaunchError("Failed to launch container: there is a secret, and no secret resolver")


def mount_volumes(containerizer: Containerizer, executor: Executor) -> None:
    """Raises LaunchError."""
    for info in (executor.info, *(task.info for task in executor.tasks.values())):
        volumes = Resources.parse(info.get("resources", [])).volumes()
        containerizer.mount(executor.sandbox, volumes)


def delete_volumes(containerizer: Containerizer, destroyed: Resources) -> None:
    for volume in destroyed.volumes():
        if "persistence" in volume:
            path = containerizer.volume(volume["role"], volume["persistence"]["id"])
            shutil.rmtree(path, ignore_errors=True)


def environment(
    executor: Executor, framework: Json, agent_id: str, address: str, grace: float, recovery: float
) -> dict[str, str]:
    """The executor's environment: the agent's own, Mesos's variables, the command's. `address`: the agent's host:port.

    Where: Mesos, "Executor HTTP API"."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MESOS_", "LIBPROCESS_"))}
    sandbox = str(executor.sandbox)
    given = {
        "LIBPROCESS_IP": address.partition(":")[0],
        "LIBPROCESS_PORT": "0",
        "MESOS_AGENT_ENDPOINT": address,
        "MESOS_CHECKPOINT": "1" if framework.get("checkpoint") else "0",
        "MESOS_DIRECTORY": sandbox,
        "MESOS_EXECUTOR_ID": executor.executor_id,
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": duration_text(grace),
        "MESOS_FRAMEWORK_ID": executor.framework_id,
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_SANDBOX": sandbox,
        "MESOS_SLAVE_ID": agent_id,
        "MESOS_SLAVE_PID": f"slave(1)@{address}",
        "PWD": sandbox,
    }
    if framework.get("checkpoint"):
        given["MESOS_RECOVERY_TIMEOUT"] = duration_text(recovery)
        given["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = "2secs"
    variables = executor.info.get("command", {}).get("environment", {}).get("variables", [])
    own = {variable["name"]: variable.get("value", "") for variable in variables}
    return {**inherited, **given, **own}
