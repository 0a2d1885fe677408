"""The executor's loop: the only mutable state. It takes one event at a time from the driver, the probes and the
signals, lets the supervisor decide, and carries out the effects. It runs in the main thread, which alone forks.
"""

from __future__ import annotations

import enum
import json
import logging
import os
import queue
import signal
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Union

from executor import document, sandbox, supervisor
from executor.document import LaunchDocument, Mistakes
from executor.driver import (
    Acknowledged,
    AgentRefused,
    Defect,
    Discard,
    Disconnected,
    Driver,
    DriverEvent,
    KillTask,
    Launch,
    Shutdown,
    Subscribed,
)
from executor.environment import Settings
from executor.probes import Probe
from executor.processes import Processes

_log = logging.getLogger("executor")

# After SHUTDOWN the agent kills the executor when its grace period ends; this part of it is left for the last update.
_GRACE_SHARE = 0.8
_LOG_CHECK_SECONDS = 15.0
# Mesos's default of the agent's executor_registration_timeout.
_REGISTRATION_SECONDS = 60.0
# The agent's secret is for the executor alone.
_NOT_FOR_CHILDREN = ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN",)


class ExitCode(enum.IntEnum):
    """What the process's exit tells; docs/executor.md explains each."""

    DONE = 0
    NOT_AN_AGENT = 2
    AGENT_GONE = 3
    UPDATE_LOST = 4
    AGENT_REFUSED = 5
    DEFECT = 70


# How long the last update may take to be acknowledged: an agent that restarts needs a few seconds, one that is gone
# none.
_LAST_UPDATE_SECONDS = {
    ExitCode.DONE: 30.0,
    ExitCode.AGENT_GONE: 0.0,
    ExitCode.AGENT_REFUSED: 2.0,
    ExitCode.DEFECT: 2.0,
}


@dataclass(frozen=True)
class ChildEnded:
    """SIGCHLD."""


@dataclass(frozen=True)
class Terminated:
    """SIGTERM."""


LoopEvent = Union[DriverEvent, ChildEnded, Terminated, supervisor.Answered, supervisor.Asked]


class Loop:
    def __init__(
        self, settings: Settings, environment: Mapping[str, str], events: queue.SimpleQueue[LoopEvent], driver: Driver
    ) -> None:
        self._settings = settings
        self._environment = {name: value for name, value in environment.items() if name not in _NOT_FOR_CHILDREN}
        self._events = events
        self._driver = driver
        self._processes = Processes(settings.sandbox)
        self._probes: dict[str, Probe] = {}
        self._document: LaunchDocument | None = None
        self._state: supervisor.State | None = None
        self._task_id: str | None = None
        self._discarded: tuple[str, ...] = ()  # folders that go with the task
        self._lock: int | None = None  # held until this process ends
        self._exit_code = ExitCode.DONE
        # Nobody to leave behind yet: the first subscription may take as long as an agent waits for it.
        self._patience = max(settings.recovery_seconds, _REGISTRATION_SECONDS)
        self._alone_since: float | None = time.monotonic()
        self._leave_at: float | None = None
        self._logs_checked_at = time.monotonic()
        # What is not listed is for the supervisor.
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            Subscribed: self._found_agent,
            Disconnected: self._lost_agent,
            Acknowledged: lambda event: None,
            Launch: self._launch,
            KillTask: self._kill,
            Discard: self._discard,
            ChildEnded: self._reap,
            Shutdown: lambda event: self._stop("the agent asked the executor to shut down"),
            Terminated: lambda event: self._stop("the executor was told to end (SIGTERM)"),
            AgentRefused: lambda event: self._stop(event.message, ExitCode.AGENT_REFUSED),
            Defect: lambda event: self._stop(event.message, ExitCode.DEFECT),
        }

    def run(self) -> ExitCode:
        """Until the task has ended and Mesos knows, or there is nobody left to work for. No child lives on after it."""
        try:
            while not self._may_leave():
                self._take(self._next_event())
            return self._exit_code
        finally:
            self._processes.stop_all(self._settings.grace_seconds * _GRACE_SHARE)

    # One event

    def _next_event(self) -> LoopEvent | supervisor.Tick:
        moments = [self._leave_at, self._agent_gone_at()]
        if self._state is not None:
            moments += [supervisor.wake_at(self._state), self._logs_checked_at + _LOG_CHECK_SECONDS]
        due = min((moment for moment in moments if moment is not None), default=None)
        try:
            return self._events.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        except queue.Empty:
            return supervisor.Tick()

    def _take(self, event: LoopEvent | supervisor.Tick) -> None:
        handler = self._handlers.get(type(event), self._step)
        handler(event)
        self._look_at_the_clock()

    def _found_agent(self, event: Subscribed) -> None:
        self._alone_since = None
        self._patience = self._settings.recovery_seconds
        _log.info("Subscribed to the agent, %d updates unacknowledged.", self._driver.unacknowledged)

    def _lost_agent(self, event: Disconnected) -> None:
        if self._alone_since is None:
            self._alone_since = time.monotonic()
            _log.warning("The agent is gone; waiting %g s for its return.", self._patience)

    def _reap(self, event: ChildEnded) -> None:
        for exited in self._processes.reap():
            self._forget_probe(exited.name)
            self._step(self._marked(exited))

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        gone_at = self._agent_gone_at()
        if gone_at is not None and now >= gone_at:
            self._stop("no agent answered in time", ExitCode.AGENT_GONE)
        if now >= self._logs_checked_at + _LOG_CHECK_SECONDS:
            self._logs_checked_at = now
            self._processes.cut_logs()
            self._step(supervisor.Tick())

    def _agent_gone_at(self) -> float | None:
        leaving = self._leave_at is not None or self._exit_code is not ExitCode.DONE
        return None if self._alone_since is None or leaving else self._alone_since + self._patience

    def _may_leave(self) -> bool:
        if self._leave_at is None:
            return False
        if self._driver.unacknowledged == 0:
            return True
        if time.monotonic() < self._leave_at:
            return False
        _log.error("The agent did not acknowledge the last update in time.")
        self._exit_code = ExitCode.UPDATE_LOST if self._exit_code is ExitCode.DONE else self._exit_code
        return True

    def _leave_within(self, seconds: float) -> None:
        leave_at = time.monotonic() + seconds
        self._leave_at = leave_at if self._leave_at is None else min(self._leave_at, leave_at)

    # The task

    def _launch(self, event: Launch) -> None:
        if self._task_id is not None:
            why = f"this executor runs one task, {self._task_id}; launch another executor"
            self._report(event.task_id, supervisor.TaskState.FAILED, why)
            return
        self._task_id = event.task_id
        self._report(event.task_id, supervisor.TaskState.STARTING, "preparing folders and files")
        prepared = self._prepare(event.data)
        if isinstance(prepared, Mistakes):
            self._end(supervisor.TaskState.FAILED, " ".join(prepared.sentences))
            return
        self._document = prepared
        self._state = supervisor.begin(prepared)
        self._step(supervisor.Tick())

    def _prepare(self, data: str) -> LaunchDocument | Mistakes:
        """All that can be wrong before a process starts: the document, the paths, the checks, the folders, the files.

        The checks come before the folders, or they would look at what this task has just made.
        """
        raw = document.decode(data)
        if isinstance(raw, Mistakes):
            return raw
        first = document.read(raw)
        if isinstance(first, Mistakes):
            return first
        variables = sandbox.find_variables(document.variables_used(raw), self._settings.sandbox, self._environment)
        if isinstance(variables, Mistakes):
            return variables
        final = document.read(document.substitute(raw, variables))
        if isinstance(final, Mistakes):
            return final
        if final.lock is not None and self._lock is None:
            lock = sandbox.take_lock(final.lock, final.slot)
            if isinstance(lock, str):
                return Mistakes((lock,))
            self._lock = lock
        failed = sandbox.run_checks(final.checks, final.slot)
        if failed.sentences:
            return failed
        sentences = sandbox.make_folders(final.folders).sentences + sandbox.write_files(final.files).sentences
        return Mistakes(sentences) if sentences else final

    def _kill(self, event: KillTask) -> None:
        if event.task_id != self._task_id or self._state is None:
            _log.info("KILL of %s: no such task here, nothing to do.", event.task_id)
            return
        seconds = self._state.stop_seconds
        seconds = seconds if event.grace_seconds is None else min(seconds, event.grace_seconds)
        self._step(supervisor.StopRequested(seconds, "the scheduler asked for it"))

    def _discard(self, event: Discard) -> None:
        _log.info("With the task these folders go: %s.", ", ".join(event.folders) or "none")
        self._discarded = event.folders

    def _stop(self, because: str, code: ExitCode = ExitCode.DONE) -> None:
        """Leave: through the task's end if there is a task, at once if there is none."""
        _log.info("Leaving: %s.", because)
        self._exit_code = code if self._exit_code is ExitCode.DONE else self._exit_code
        if self._state is None or self._state.stage is supervisor.Stage.ENDED:
            self._leave_within(_LAST_UPDATE_SECONDS[code])
        else:
            seconds = min(self._state.stop_seconds, self._settings.grace_seconds * _GRACE_SHARE)
            self._step(supervisor.StopRequested(seconds, because))

    def _step(self, event: supervisor.Event) -> None:
        """Decide and act; what acting brings about (a start, a refusal of the operating system) is an event in turn."""
        pending: list[supervisor.Event] = [event]
        while pending and self._state is not None:
            self._state, effects = supervisor.step(self._state, pending.pop(0), time.monotonic())
            for effect in effects:
                pending += self._carry_out(effect)
        if self._state is not None and self._state.stage is supervisor.Stage.ENDED:
            self._leave_within(_LAST_UPDATE_SECONDS[self._exit_code])

    def _carry_out(self, effect: supervisor.Effect) -> list[supervisor.Event]:
        if isinstance(effect, supervisor.Start):
            return [self._start(effect.name)]
        if isinstance(effect, supervisor.Terminate):
            _log.info("Stopping %s (process %d).", effect.name, effect.pid)
            self._forget_probe(effect.name)
            self._processes.send(effect.pid, signal.SIGTERM)
        elif isinstance(effect, supervisor.Kill):
            _log.info("Killing %s (process %d): %s.", effect.name, effect.pid, effect.because)
            self._forget_probe(effect.name)
            self._processes.send(effect.pid, signal.SIGKILL)
        else:
            assert self._task_id is not None
            if self._state is not None and self._state.stage is supervisor.Stage.ENDED:
                self._remove_folders()
            self._report(self._task_id, effect.state, effect.message, effect.healthy, effect.processes)
        return []

    def _remove_folders(self) -> None:
        """Nothing writes to them any more. Only folders of the task itself go, whoever asks."""
        folders = self._document.folders if self._document is not None else ()
        own = {path for folder in folders for path in (folder.path, os.path.dirname(folder.path))}
        for path in self._discarded:
            if path not in own:
                _log.warning("%s stays: it is no folder of this task.", path)
                continue
            for sentence in sandbox.remove(path).sentences:
                _log.warning("%s", sentence)
        self._discarded = ()

    def _start(self, name: str) -> supervisor.Event:
        assert self._document is not None
        self._forget_probe(name)
        step = next((step for step in self._document.steps if step.name == name), None)
        if step is not None:
            return self._start_step(step)
        process = next(process for process in self._document.processes if process.name == name)
        started = self._spawn(process)
        if isinstance(started, supervisor.Started):
            self._probes[name] = self._probe(process, started.pid)
        return started

    def _probe(self, process: document.Process, pid: int) -> Probe:
        return Probe(
            process,
            lambda: self._events.put(supervisor.Answered(process.name, pid)),
            lambda answered: self._events.put(supervisor.Asked(process.name, pid, answered)),
        )

    def _start_step(self, step: document.Step) -> supervisor.Event:
        if step.unless_exists is not None and os.path.lexists(step.unless_exists):
            _log.info("Not running %s: %s exists.", step.name, step.unless_exists)
            return supervisor.Skipped(step.name)
        if step.creates is not None:
            refusal = self._begin(step.creates)
            if refusal is not None:
                return supervisor.NotStarted(step.name, refusal)
        return self._spawn(step)

    def _begin(self, marker: str) -> str | None:
        assert self._document is not None
        begun = marker + sandbox.BEGUN
        try:
            other = sandbox.begin_marker(marker, self._document.slot)
        except OSError as error:
            return f"{begun}: {error.strerror}"
        if other is None:
            return None
        return (
            f"{other or 'somebody'} began it and has not ended, as {begun} says; remove that file if nothing runs there"
        )

    def _marked(self, exited: supervisor.Exited) -> supervisor.Exited:
        """A step that succeeded leaves its marker, and has not succeeded without."""
        steps = self._document.steps if self._document is not None else ()
        marker = next((step.creates for step in steps if step.name == exited.name), None)
        if marker is None or not exited.success:
            return exited
        try:
            sandbox.write_marker(marker)
        except OSError as error:
            return replace(
                exited, success=False, how=f"succeeded, but its marker {marker} cannot be written ({error.strerror})"
            )
        return exited

    def _spawn(self, part: document.Step | document.Process) -> supervisor.Event:
        try:
            pid = self._processes.start(part.name, part.command, {**self._environment, **part.environment})
        except OSError as error:
            return supervisor.NotStarted(part.name, f"{part.command[0]}: {error.strerror or error}")
        _log.info("Started %s as process %d.", part.name, pid)
        return supervisor.Started(part.name, pid)

    def _forget_probe(self, name: str) -> None:
        probe = self._probes.pop(name, None)
        if probe is not None:
            probe.stop()

    def _end(self, state: supervisor.TaskState, message: str) -> None:
        """The task ends before it had processes."""
        assert self._task_id is not None
        self._report(self._task_id, state, message)
        self._leave_within(_LAST_UPDATE_SECONDS[self._exit_code])

    def _report(
        self,
        task_id: str,
        state: supervisor.TaskState,
        message: str,
        healthy: bool | None = None,
        processes: Mapping[str, Any] | None = None,
    ) -> None:
        _log.info("%s is %s%s: %s", task_id, state.value, _health(healthy), message)
        data = json.dumps({"processes": processes or {}}, sort_keys=True)
        self._driver.update(task_id, state.value, healthy, message, data.encode("utf-8"))


def _health(healthy: bool | None) -> str:
    return {None: "", True: ", healthy", False: ", not healthy"}[healthy]
