"""The agent process: settings, HTTP server, the master's messages, checkpoint and recovery.

What becomes of one executor and its tasks lies in `lifecycle`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from localmesos import executor_api, launching, states
from localmesos.agent_operator_api import AgentOperatorApi
from localmesos.containerizer import Containerizer
from localmesos.domains import parse_domain
from localmesos.executors import ExecutorTable
from localmesos.faults import Ending, Faults, Reboot
from localmesos.faults_api import FaultsApi
from localmesos.lifecycle import Lifecycle
from localmesos.master_link import MasterLink
from localmesos.operations import carry_over, plan
from localmesos.registry import write_atomically
from localmesos.resources import ResourceError, Resources
from localmesos.serving import Server
from localmesos.updates import FIRST_RETRY_SECONDS, UpdateManager

Json = dict[str, Any]
log = logging.getLogger("agent")


class IncompatibleAgent(ValueError):
    """The work folder belongs to an agent with other resources or attributes."""


@dataclass(frozen=True)
class AgentSettings:
    """Times in seconds; the defaults are Mesos's own."""

    master: str
    ip: str
    port: int
    work_dir: Path
    resources: str
    attributes: str = ""
    hostname: str = ""
    domain: str = ""
    executor_shutdown_grace_seconds: float = 5.0
    executor_registration_timeout_seconds: float = 60.0
    executor_reregistration_timeout_seconds: float = 2.0
    recovery_timeout_seconds: float = 900.0
    update_retry_seconds: float = FIRST_RETRY_SECONDS


def parse_attributes(text: str) -> list[Json]:
    """From `rack:r1;zone:a`; a number becomes a scalar. Raises ValueError."""
    attributes: list[Json] = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, value = part.partition(":")
        if not colon or not name or not value:
            raise ValueError(f"attribute '{part}': expected name:value, for example rack:r1")
        try:
            attributes.append({"name": name, "type": "SCALAR", "scalar": {"value": float(value)}})
        except ValueError:
            attributes.append({"name": name, "type": "TEXT", "text": {"value": value}})
    return attributes


class Agent:
    """`await start()`, then `await stop()` (executors run on, the next agent with the same work folder finds them) or
    `await shut_down()` (everything ends). `ended` is set when the master told it to end; `crashing` when a fault wants
    its end, `returns_in` tells if it comes back."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.recovering = True
        self.ended = asyncio.Event()
        self.crashing = asyncio.Event()
        self.returns_in: float | None = None
        self.faults = Faults()
        self.agent_id: str | None = None
        self.frameworks: dict[str, Json] = {}
        self.started_at = time.time()
        self.total = Resources.from_text(settings.resources)
        self._own_resources = self.total
        self._attributes = parse_attributes(settings.attributes)
        self._domain = parse_domain(settings.domain)
        self._checkpoint = settings.work_dir.absolute() / "meta" / "agent.json"
        self._server = Server(settings.ip, settings.port)
        self._updates = UpdateManager(settings.update_retry_seconds)
        self._operation_updates = UpdateManager(settings.update_retry_seconds)
        self._retry: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self.containerizer = Containerizer(settings.work_dir.absolute())
        self.link = MasterLink(
            settings.master,
            self._registration,
            self._received,
            self._lost_master,
            heard=lambda: self.faults.heard("master"),
        )
        self.executors = ExecutorTable()
        self.lifecycle = Lifecycle(self)
        self.find_executor = self.executors.find_living
        self.executor_subscribed = self.lifecycle.subscribed
        self.executor_disconnected = self.lifecycle.disconnected
        self.update_from_executor = self.lifecycle.update_from_executor
        self.message_from_executor = self.lifecycle.message_from_executor

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def info(self) -> Json:
        """AgentInfo without the id."""
        return {
            "hostname": self.settings.hostname or self.settings.ip,
            "ip": self.settings.ip,
            "port": self.port,
            "resources": self._own_resources.to_json(),
            "attributes": self._attributes,
            "domain": self._domain,
        }

    async def start(self) -> None:
        """Raises OSError (port taken, ZooKeeper silent), IncompatibleAgent."""
        await self.listen()
        await self.recover()

    async def listen(self) -> None:
        """Answers from now on, executors with 503 until recovered."""
        self._server.listen()
        api = executor_api.ExecutorApi(self)
        operator = AgentOperatorApi(self)
        routes = [web.post(path, api.handle) for path in executor_api.PATHS]
        faults = FaultsApi("agent", self.faults, end=self._crash)
        await self._server.serve(routes + operator.routes() + faults.routes())
        log.info("The agent listens on %s:%d, work folder %s.", self.settings.ip, self.port, self.settings.work_dir)

    async def recover(self) -> None:
        """Reads the checkpoint, waits for the executors that still live, then registers with the master."""
        kept = json.loads(self._checkpoint.read_text()) if self._checkpoint.exists() else None
        if kept is not None:
            self._restore(kept)
        self.recovering = False
        await self.lifecycle.await_returning()
        await self.link.start()

    def _restore(self, kept: Json) -> None:
        if kept["agent_id"] is None:
            self._take_over(Resources.parse(kept["total_resources"]))
            return
        if kept["own_resources"] != self._own_resources.to_json() or kept["attributes"] != self._attributes:
            raise IncompatibleAgent(
                f"work folder {self.settings.work_dir}: agent {kept['agent_id']} lived here with other resources or"
                " attributes; give the same ones, or remove the folder to begin with a new agent"
            )
        self.agent_id = kept["agent_id"]
        self.total = Resources.parse(kept["total_resources"])
        self.frameworks = kept["frameworks"]
        self._updates.restore(kept["updates"])
        self._operation_updates.restore(kept["operation_updates"])
        log.info("Recovering agent %s with %d executors.", self.agent_id, len(kept["executors"]))
        self.executors.restore(kept["executors"])

    def _take_over(self, total: Resources) -> None:
        """The reservations and volumes of the agent that lived here before."""
        try:
            self.total = carry_over(total, self._own_resources)
        except ResourceError as error:
            raise IncompatibleAgent(
                f"work folder {self.settings.work_dir}: the reservations and volumes here do not fit ({error});"
                " give at least as many resources, or remove the folder to begin without them"
            ) from None

    def _forget_identity(self) -> None:
        """The next start is a new agent, but reservations and volumes stay, as in Mesos."""
        if self.total.reserved():
            write_atomically(self._checkpoint, {"agent_id": None, "total_resources": self.total.to_json()})
        else:
            self._checkpoint.unlink(missing_ok=True)

    async def _crash(self, fault: Ending) -> None:
        if isinstance(fault, Reboot):
            await self.link.stop()
            await self.lifecycle.kill_all()
            self._forget_identity()
        self.returns_in = fault.returns_in
        self.crashing.set()

    def save(self) -> None:
        """The checkpoint, written before anything that follows from a change is told to anyone."""
        write_atomically(
            self._checkpoint,
            {
                "agent_id": self.agent_id,
                "own_resources": self._own_resources.to_json(),
                "attributes": self._attributes,
                "total_resources": self.total.to_json(),
                "frameworks": self.frameworks,
                "executors": self.executors.to_json(),
                "updates": self._updates.to_json(),
                "operation_updates": self._operation_updates.to_json(),
            },
        )

    async def stop(self) -> None:
        """As SIGTERM: executors run on."""
        await self.link.stop()
        self.lifecycle.stop()
        if self._retry is not None:
            self._retry.cancel()
        await self._server.stop()

    async def shut_down(self) -> None:
        """As SIGUSR1: the master is told, executors are shut down with their grace, the next start is a new agent."""
        self.link.send({"type": "UNREGISTER"})
        await self.link.flush()
        await self.link.stop()
        await self.lifecycle.shut_down_all()
        self._forget_identity()
        await self.stop()

    # the master

    def _registration(self) -> Json:
        return {
            "agent_id": self.agent_id,
            "info": self.info,
            "total_resources": self.total.to_json(),
            "frameworks": list(self.frameworks.values()),
            **self.executors.registration(),
        }

    def _lost_master(self) -> None:
        self._updates.pause()
        self._operation_updates.pause()

    def _received(self, message: Json) -> None:
        self._MESSAGES[message["type"]](self, message)

    def _registered(self, message: Json) -> None:
        again = self.agent_id is not None
        self.agent_id = message["agent_id"]
        self.save()
        log.info("Registered %swith the master as agent %s.", "again " if again else "", self.agent_id)
        self._updates.resume()
        self._operation_updates.resume()
        self.send_due_updates()

    def _ping(self, _: Json) -> None:
        self.link.send({"type": "PONG"})

    def _run_task(self, message: Json) -> None:
        self.frameworks[message["framework_info"]["id"]["value"]] = message["framework_info"]
        self.lifecycle.run_task(message["framework_info"]["id"]["value"], message["task"])

    def _acknowledge(self, message: Json) -> None:
        key = (message["framework_id"], message["task_id"])
        status = self._updates.acknowledge(key, message["uuid"])
        if status is None:
            return
        if states.is_terminal(status["state"]):
            self._updates.forget(key)
            self.lifecycle.forget_task(*key)
        self.save()
        self.send_due_updates()

    def _apply_operation(self, message: Json) -> None:
        operation = message["operation"]
        consumed, converted = plan(operation)
        self.total = (self.total - consumed) + converted
        if operation["type"] == "DESTROY":
            launching.delete_volumes(self.containerizer, consumed)
        if "id" in operation:
            uuid = states.new_uuid()
            status = {
                "operation_id": operation["id"],
                "state": "OPERATION_FINISHED",
                "uuid": {"value": uuid},
                "agent_id": {"value": self.agent_id},
            }
            self._operation_updates.add((message["framework_id"], operation["id"]["value"]), uuid, status)
        self.save()
        self.send_due_updates()

    def _acknowledge_operation(self, message: Json) -> None:
        key = (message["framework_id"], message["operation_id"])
        if self._operation_updates.acknowledge(key, message["uuid"]) is not None:
            self._operation_updates.forget(key)
            self.save()

    def _shutdown_framework(self, message: Json) -> None:
        framework_id = message["framework_id"]
        self.frameworks.pop(framework_id, None)
        self._updates.forget_framework(framework_id)
        self._operation_updates.forget_framework(framework_id)
        self.lifecycle.shutdown_framework(framework_id)
        self.save()

    def _shutdown(self, message: Json) -> None:
        if self._ending is not None:
            return
        log.info("The master ends this agent: %s.", message["message"])

        async def end() -> None:
            await self.link.stop()
            await self.lifecycle.shut_down_all()
            self._forget_identity()
            self.ended.set()

        self._ending = asyncio.create_task(end())

    _MESSAGES: ClassVar[dict[str, Callable[[Agent, Json], None]]] = {
        "REGISTERED": _registered,
        "PING": _ping,
        "RUN_TASK": _run_task,
        "KILL_TASK": lambda self, message: self.lifecycle.kill_task(
            message["framework_info"], message["task_id"], message.get("kill_policy")
        ),
        "SHUTDOWN_EXECUTOR": lambda self, message: self.lifecycle.shutdown_executor(
            message["framework_id"], message["executor_id"]
        ),
        "SHUTDOWN_FRAMEWORK": _shutdown_framework,
        "MESSAGE": lambda self, message: self.lifecycle.message_to_executor(
            message["framework_id"], message["executor_id"], message["data"]
        ),
        "ACKNOWLEDGE": _acknowledge,
        "APPLY_OPERATION": _apply_operation,
        "ACKNOWLEDGE_OPERATION": _acknowledge_operation,
        "RECONCILE": lambda self, message: self.lifecycle.drop_unknown(message["framework_info"], message["task_ids"]),
        "SHUTDOWN": _shutdown,
    }

    # updates

    def add_update(self, framework_id: str, status: Json) -> bool:
        """False for one that is known already. On disk before it is answered or sent."""
        added = self._updates.add((framework_id, status["task_id"]["value"]), status["uuid"], status)
        if added:
            self.save()
            self.send_due_updates()
        return added

    def send_due_updates(self) -> None:
        now = time.monotonic()
        for (framework_id, task_id), status in self._updates.due(now):
            latest = self.executors.latest_state(framework_id, task_id) or status["state"]
            self.link.send({"type": "UPDATE", "framework_id": framework_id, "status": status, "latest_state": latest})
        for (framework_id, _), status in self._operation_updates.due(now):
            self.link.send({"type": "OPERATION_STATUS", "framework_id": framework_id, "status": status})
        times = [due for due in (self._updates.next_due(), self._operation_updates.next_due()) if due is not None]
        if self._retry is not None:
            self._retry.cancel()
        if times:
            self._retry = asyncio.get_running_loop().call_later(max(0.0, min(times) - now), self.send_due_updates)
