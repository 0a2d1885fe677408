"""The life of the agent's executors and their tasks, from launch to end. Each change is saved before it is told."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

from localmesos import launching, states
from localmesos.containerizer import LaunchError, process_start
from localmesos.executors import Ending, Executor, Phase, TaskRecord, duration_text
from localmesos.streams import EventStream

if TYPE_CHECKING:
    from localmesos.agent import Agent

Json = dict[str, Any]
log = logging.getLogger("agent")

LAUNCH_FAILED_STATUS = 256
"""Exit status 1 as wait() gives it: that of a fetcher or launcher that failed."""


class Lifecycle:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._table = agent.executors
        self._working: set[asyncio.Task[None]] = set()
        self._stopped = False

    # launch

    def run_task(self, framework_id: str, task: Json) -> None:
        executor_info = task.get("executor") or launching.command_executor(framework_id, task)
        key = (framework_id, executor_info["executor_id"]["value"])
        executor, record = self._table.get(*key), TaskRecord(task)
        if executor is not None and (executor.ended or executor.phase is Phase.TERMINATING):
            if not executor.ended or executor.tasks:
                framework = self._agent.frameworks[framework_id]
                self._drop(framework, record.task_id, "Executor terminating", "REASON_EXECUTOR_TERMINATED")
                return
            executor = None
        is_new = executor is None
        if executor is None:
            executor = self._new_executor(framework_id, executor_info, is_command="executor" not in task)
        executor.tasks[record.task_id] = record
        self._agent.save()
        log.info("Task %s goes to %s.", record.task_id, executor.title)
        if is_new:
            self._work(self._launch(executor))
        elif executor.stream is not None and executor.phase is Phase.RUNNING:
            self._deliver(executor, record)

    def _new_executor(self, framework_id: str, info: Json, *, is_command: bool) -> Executor:
        assert self._agent.agent_id is not None
        container_id = str(uuid.uuid4())
        executor_id = info["executor_id"]["value"]
        sandbox = self._agent.containerizer.sandbox(self._agent.agent_id, framework_id, executor_id, container_id)
        executor = Executor(framework_id, info, is_command, container_id, sandbox)
        self._table.add(executor)
        return executor

    async def _launch(self, executor: Executor) -> None:
        settings, containerizer = self._agent.settings, self._agent.containerizer
        variables = launching.environment(
            executor,
            self._agent.frameworks.get(executor.framework_id, {}),
            str(self._agent.agent_id),
            f"{settings.ip}:{self._agent.port}",
            self._grace(executor),
            settings.recovery_timeout_seconds,
        )
        try:
            launching.refuse_containers(executor.info)
            containerizer.prepare(executor.sandbox)
            launching.mount_volumes(self._agent.containerizer, executor)
            command = executor.info.get("command", {})
            executor.pid = await containerizer.launch(executor.container_id, executor.sandbox, command, variables)
        except (LaunchError, OSError) as error:
            if executor.ending == Ending():
                executor.ending = Ending(reason="REASON_CONTAINER_LAUNCH_FAILED", message=str(error))
            log.info("Could not launch %s: %s.", executor.title, error)
            self._ended(executor, LAUNCH_FAILED_STATUS)
            return
        executor.pid_start = process_start(executor.pid)
        containerizer.watch(executor.pid, lambda: self._process_ended(executor))
        log.info("Launched %s as process %d in %s.", executor.title, executor.pid, executor.sandbox)
        if executor.phase is Phase.TERMINATING:
            self._work(containerizer.destroy(executor.container_id, executor.sandbox, executor.pid))
        elif executor.phase is Phase.LAUNCHING:
            executor.phase = Phase.REGISTERING
            self._await_registration(executor)
        self._agent.save()

    def _await_registration(self, executor: Executor) -> None:
        seconds = self._agent.settings.executor_registration_timeout_seconds
        ending = Ending(
            reason="REASON_EXECUTOR_REGISTRATION_TIMEOUT",
            message=f"Executor did not register within {duration_text(seconds)}",
        )
        executor.timer = asyncio.get_running_loop().call_later(seconds, self._destroy, executor, ending)

    def _deliver(self, executor: Executor, task: TaskRecord) -> None:
        if not task.delivered and not task.terminal:
            launching.mount_volumes(self._agent.containerizer, executor)
            task.delivered = True
            self._agent.save()
            executor.send("LAUNCH", {"task": task.info})

    # the executor speaks

    def subscribed(self, executor: Executor, stream: EventStream, content: Json) -> None:
        if executor.stream is not None:
            executor.stream.close()
        executor.stream = stream
        executor.stop_timer()
        log.info("Subscribed %s.", executor.title)
        if executor.phase is Phase.TERMINATING:
            executor.send("SHUTDOWN")
            return
        executor.phase = Phase.RUNNING
        info = {name: value for name, value in self._agent.info.items() if name != "ip" and value}
        executor.send(
            "SUBSCRIBED",
            {
                "executor_info": executor.info,
                "framework_info": self._agent.frameworks[executor.framework_id],
                "agent_info": {**info, "id": {"value": self._agent.agent_id}},
                "container_id": {"value": executor.container_id},
            },
        )
        for update in content.get("unacknowledged_updates", []):
            self.update_from_executor(executor, update["status"])
        received = {task["task_id"]["value"] for task in content.get("unacknowledged_tasks", [])}
        for task in list(executor.tasks.values()):
            if task.delivered and task.state == "TASK_STAGING" and task.task_id not in received:
                lost = Ending("TASK_DROPPED", "REASON_AGENT_RESTARTED", "Task launched during agent restart")
                self._finish(executor, task, lost)
            self._deliver(executor, task)

    def disconnected(self, executor: Executor, stream: EventStream) -> None:
        """It may come back; its end is another matter."""
        if executor.stream is stream:
            executor.stream = None

    def update_from_executor(self, executor: Executor, status: Json) -> None:
        """Acknowledged to the executor as soon as it is on disk."""
        task_id = status["task_id"]["value"]
        complete = {
            **status,
            "agent_id": {"value": self._agent.agent_id},
            "container_status": {
                "container_id": {"value": executor.container_id},
                "network_infos": [{"ip_addresses": [{"protocol": "IPv4", "ip_address": self._agent.settings.ip}]}],
                "executor_pid": executor.pid,
            },
        }
        task = executor.tasks.get(task_id)
        if task is not None and not task.terminal:
            task.state, task.status = status["state"], complete
            self._agent.add_update(executor.framework_id, complete)
        executor.send("ACKNOWLEDGED", {"task_id": status["task_id"], "uuid": status["uuid"]})

    def message_from_executor(self, executor: Executor, data: str) -> None:
        self._agent.link.send(
            {
                "type": "MESSAGE",
                "framework_id": executor.framework_id,
                "executor_id": executor.executor_id,
                "data": data,
            }
        )

    # the scheduler speaks

    def message_to_executor(self, framework_id: str, executor_id: str, data: str) -> None:
        executor = self._table.get(framework_id, executor_id)
        if executor is not None:
            executor.send("MESSAGE", {"data": data})

    def kill_task(self, framework: Json, task_id: str, kill_policy: Json | None) -> None:
        framework_id = framework["id"]["value"]
        found = self._table.find_task(framework_id, task_id)
        if found is None:
            self.drop_unknown(framework, [task_id])
            return
        executor, task = found
        if task.terminal:
            return
        if task.delivered:
            policy = {"kill_policy": kill_policy} if kill_policy else {}
            executor.send("KILL", {"task_id": {"value": task_id}, **policy})
            return
        ending = Ending(
            "TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH", "Task was killed before delivery to the executor"
        )
        self._finish(executor, task, ending)
        if all(other.terminal for other in executor.tasks.values()) and executor.phase is not Phase.RUNNING:
            self._destroy(executor, ending)

    def shutdown_executor(self, framework_id: str, executor_id: str) -> None:
        executor = self._table.get(framework_id, executor_id)
        if executor is not None and not executor.ended:
            self._shutdown(executor)

    def shutdown_framework(self, framework_id: str) -> None:
        for executor in self._table.all():
            if executor.framework_id == framework_id:
                if executor.ended:
                    self._remove(executor)
                else:
                    self._shutdown(executor)

    def _grace(self, executor: Executor) -> float:
        own = executor.info.get("shutdown_grace_period", {}).get("nanoseconds")
        return own / 1e9 if own else self._agent.settings.executor_shutdown_grace_seconds

    def _shutdown(self, executor: Executor) -> None:
        """Asks; kills what is left when the grace period has passed."""
        if executor.phase is Phase.TERMINATING:
            return
        log.info("Shutting down %s.", executor.title)
        executor.stop_timer()
        executor.phase = Phase.TERMINATING
        executor.send("SHUTDOWN")
        loop = asyncio.get_running_loop()
        executor.timer = loop.call_later(self._grace(executor), self._destroy, executor, executor.ending)

    def drop_unknown(self, framework: Json, task_ids: list[str]) -> None:
        """Tasks the master believes in and that never arrived here. `framework`: its FrameworkInfo."""
        for task_id in task_ids:
            self._drop(framework, task_id, "Reconciliation: task unknown to the agent", "REASON_RECONCILIATION")

    def _drop(self, framework: Json, task_id: str, message: str, reason: str) -> None:
        status = self._own_status(task_id, None, states.state_for(framework, "TASK_DROPPED"), message, reason)
        self._agent.add_update(framework["id"]["value"], status)

    # the end

    def _destroy(self, executor: Executor, ending: Ending) -> None:
        """Kills it; what follows comes when its process has ended."""
        executor.stop_timer()
        executor.phase = Phase.TERMINATING
        executor.ending = ending
        self._work(self._agent.containerizer.destroy(executor.container_id, executor.sandbox, executor.pid))

    def _process_ended(self, executor: Executor) -> None:
        if not self._stopped:
            assert executor.pid is not None
            self._ended(executor, self._agent.containerizer.exit_status(executor.pid, executor.container_id))

    def _ended(self, executor: Executor, status: int | None) -> None:
        log.info("Ended %s with status %s.", executor.title, "unknown" if status is None else status)
        executor.ended = True
        executor.stop_timer()
        if executor.stream is not None:
            executor.stream.close()
            executor.stream = None
        self._work(self._agent.containerizer.destroy(executor.container_id, executor.sandbox, executor.pid))
        self._agent.link.send(
            {
                "type": "EXECUTOR_EXITED",
                "framework_id": executor.framework_id,
                "executor_id": executor.executor_id,
                "status": status,
            }
        )
        for task in list(executor.tasks.values()):
            if not task.terminal and executor.framework_id in self._agent.frameworks:
                self._finish(executor, task, executor.ending)
        if not executor.tasks or executor.framework_id not in self._agent.frameworks:
            self._remove(executor)
        self._agent.save()

    def _finish(self, executor: Executor, task: TaskRecord, ending: Ending) -> None:
        state = states.state_for(self._agent.frameworks.get(executor.framework_id, {}), ending.state)
        status = self._own_status(task.task_id, executor.executor_id, state, ending.message, ending.reason)
        task.state, task.status = state, status
        self._agent.add_update(executor.framework_id, status)

    def _own_status(self, task_id: str, executor_id: str | None, state: str, message: str, reason: str) -> Json:
        return states.status(
            task_id,
            state,
            "SOURCE_AGENT",
            time.time(),
            message=message,
            reason=reason,
            agent_id=self._agent.agent_id,
            executor_id=executor_id,
            uuid=states.new_uuid(),
        )

    def forget_task(self, framework_id: str, task_id: str) -> None:
        """Its terminal update was acknowledged."""
        found = self._table.find_task(framework_id, task_id)
        if found is None:
            return
        executor, _ = found
        del executor.tasks[task_id]
        if executor.ended and not executor.tasks:
            self._remove(executor)

    def _remove(self, executor: Executor) -> None:
        self._table.remove(executor)
        self._agent.containerizer.tidy({other.sandbox for other in self._table.all()})
        if not any(other.framework_id == executor.framework_id for other in self._table.all()):
            self._agent.frameworks.pop(executor.framework_id, None)

    # the agent's own end and return

    async def await_returning(self) -> None:
        """Returns when every executor that lives has subscribed again, or had its time to."""
        seconds = self._agent.settings.executor_reregistration_timeout_seconds
        ending = Ending(
            reason="REASON_EXECUTOR_REREGISTRATION_TIMEOUT",
            message=f"Executor did not reregister within {duration_text(seconds)}",
        )
        living = [executor for executor in self._table.all() if self._lives_on(executor)]
        for executor in living:
            if not self._agent.frameworks.get(executor.framework_id, {}).get("checkpoint"):
                self._destroy(executor, Ending())  # Only checkpointing frameworks' executors outlive an agent.
        expected = [executor for executor in living if executor.phase is Phase.REGISTERING]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(one.stream is None and not one.ended for one in expected):
            await asyncio.sleep(0.02)
        for executor in expected:
            if executor.stream is None and not executor.ended:
                self._destroy(executor, ending)

    def _lives_on(self, executor: Executor) -> bool:
        if executor.ended:
            return False
        started = process_start(executor.pid) if executor.pid is not None else None
        if executor.pid is None or started is None or started != executor.pid_start:
            pid, container_id = executor.pid, executor.container_id
            self._ended(executor, self._agent.containerizer.exit_status(pid, container_id) if pid else None)
            return False
        self._agent.containerizer.watch(executor.pid, lambda: self._process_ended(executor))
        return True

    async def shut_down_all(self) -> None:
        """Asks every executor to end, returns when all have, by themselves or killed after their grace period."""
        for executor in self._table.all():
            if not executor.ended:
                self._shutdown(executor)
        while any(not executor.ended for executor in self._table.all()):
            await asyncio.sleep(0.02)
        await asyncio.gather(*self._working, return_exceptions=True)

    async def kill_all(self) -> None:
        """Every process dies at once, and nobody is told."""
        self.stop()
        for executor in self._table.all():
            await self._agent.containerizer.destroy(executor.container_id, executor.sandbox, executor.pid)

    def stop(self) -> None:
        self._stopped = True
        for executor in self._table.all():
            executor.stop_timer()
        for task in self._working:
            task.cancel()

    def _work(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._working.add(task)
        task.add_done_callback(self._work_done)

    def _work_done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("A defect in the care of an executor.", exc_info=task.exception())
