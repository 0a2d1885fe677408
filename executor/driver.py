"""pymesos's home: the executor's side of Mesos's v1 executor API.

It translates events into values and puts them on the loop's queue, and keeps status updates until the agent has
acknowledged them. It decides nothing about the task, and no exception of a callback leaves it: pymesos would end its
thread without a word.

What pymesos 0.3.15 lacks and this adds: MESOS_CHECKPOINT=0 means no; unacknowledged updates go along with every
SUBSCRIBE; the agent's bearer token; a back-off that an agent's restart (2 s by default) leaves time for; updates made
while disconnected are kept; SHUTDOWN is an event and kills nothing; a LAUNCH that comes again is told apart.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Union

import pymesos.process
from pymesos import Executor, MesosExecutorDriver

from executor.environment import Settings

# pymesos prints through a handler of its own, a traceback for each failed attempt; the executor's log has one sentence.
logging.getLogger("pymesos").setLevel(logging.CRITICAL)
_log = logging.getLogger("executor.driver")

# An agent that restarts waits for its executors for 2 s by default (executor_reregistration_timeout).
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 0.5
_SEND_PAUSE_SECONDS = 0.5
_HTTP_SECONDS = 5
# pymesos's words for an answer of 4xx to SUBSCRIBE: asking again changes nothing.
_REFUSAL = "Failed with HTTP 4"
# How long to try again is the loop's decision (Settings.recovery_seconds), not pymesos's.
_FOR_EVER_SECONDS = 10 * 365 * 86400


@dataclass(frozen=True)
class Subscribed:
    pass


@dataclass(frozen=True)
class Disconnected:
    """The agent is not there; said for every failed attempt to connect."""


@dataclass(frozen=True)
class Launch:
    task_id: str
    data: str


@dataclass(frozen=True)
class KillTask:
    task_id: str
    grace_seconds: float | None


@dataclass(frozen=True)
class Discard:
    """The service is removed: these folders go when the task ends."""

    folders: tuple[str, ...]


@dataclass(frozen=True)
class Shutdown:
    pass


@dataclass(frozen=True)
class Acknowledged:
    """Some update has arrived; `Driver.unacknowledged` tells how many have not."""


@dataclass(frozen=True)
class AgentRefused:
    """The agent said ERROR, or answered a SUBSCRIBE with a status that trying again cannot change."""

    message: str


@dataclass(frozen=True)
class Defect:
    """An exception of ours on the driver's thread."""

    message: str


DriverEvent = Union[Subscribed, Disconnected, Launch, KillTask, Discard, Shutdown, Acknowledged, AgentRefused, Defect]


class _Callbacks(Executor):  # type: ignore[misc]
    """pymesos's callbacks as events."""

    def __init__(self, post: Callable[[DriverEvent], None]) -> None:
        self._post = post

    def registered(self, driver: Any, executor_info: Any, framework_info: Any, agent_info: Any) -> None:
        self._post(Subscribed())

    def reregistered(self, driver: Any, agent_info: Any) -> None:
        self._post(Subscribed())

    def error(self, driver: Any, message: str) -> None:
        self._post(AgentRefused(message))


class Driver(MesosExecutorDriver):  # type: ignore[misc]
    """Calls of the loop: start, update, unacknowledged, stop. The rest runs on pymesos's thread or the sender's."""

    # What pymesos does not declare.
    _conn: Any
    _wakeup_fds: Any

    def __init__(self, settings: Settings, post: Callable[[DriverEvent], None]) -> None:
        super().__init__(_Callbacks(post), timeout=_FOR_EVER_SECONDS, http_timeout=_HTTP_SECONDS)
        # The loop decides what a lost agent means; pymesos's own answer is to kill its process group.
        self.checkpoint = True
        self._post = post
        self._headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        self._longest_pause = min(_LONGEST_PAUSE_SECONDS, settings.backoff_seconds or _LONGEST_PAUSE_SECONDS)
        self._failures = 0
        self._launched: set[str] = set()
        self._stopping = threading.Event()
        self._updates_lock = threading.Lock()
        # The updates that the agent has been told on this connection, by SUBSCRIBE or UPDATE.
        self._told: set[uuid.UUID] = set()
        self._something_to_send = threading.Event()
        threading.Thread(target=self._send_updates, name="updates", daemon=True).start()

    # For the loop

    def update(self, task_id: str, state: str, healthy: bool | None, message: str, data: bytes) -> None:
        """Report a task's state: sent now or with the next SUBSCRIBE, and again until the agent acknowledges it."""
        identity = uuid.uuid4()
        status: dict[str, Any] = {
            "task_id": {"value": task_id},
            "source": "SOURCE_EXECUTOR",
            "state": state,
            "message": message,
            "data": base64.b64encode(data).decode("ascii"),
            "uuid": base64.b64encode(identity.bytes).decode("ascii"),
            "timestamp": time.time(),
        }
        if healthy is not None:
            status["healthy"] = healthy
        with self._updates_lock:
            self.updates[identity] = {"status": status}
        self._something_to_send.set()

    @property
    def unacknowledged(self) -> int:
        return len(self.updates)

    def stop(self) -> None:
        self._stopping.set()
        self._something_to_send.set()
        super().stop()

    # pymesos's thread: the connection

    def gen_request(self) -> bytes:
        with self._updates_lock:
            self._told = set(self.updates)
            request: bytes = super().gen_request()
        for name, value in self._headers.items():
            request = request.replace(b"\r\n", f"\r\n{name}: {value}\r\n".encode("ascii"), 1)
        return request

    def on_close(self) -> None:
        """The stream has ended or could not be opened; each new attempt passes here, so here is the pause."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        if self._stopping.is_set():
            return
        self._post(Disconnected())
        self._stopping.wait(min(self._longest_pause, _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 8)))
        self._failures += 1

    def _backoff(self, num_conn_retry: int) -> float:
        return 0.0

    def _run(self) -> None:
        """pymesos's loop ends when it is told to, and with any trouble that it has no answer to: this one goes on.

        Among that trouble is an answer of 4xx whose body comes in a later packet (a TypeError); asking again helps.
        """
        while self._may_run_again():
            super()._run()
            if self._stopping.is_set():
                return
            error = pymesos.process._exc_info[1]
            if isinstance(error, RuntimeError) and str(error).startswith(_REFUSAL):
                self._post(AgentRefused(f"the agent refuses this executor: {error}"))
                return
            if self._failures <= 1:
                _log.warning("The subscription failed and is made again: %s: %s.", type(error).__name__, error)

    def _may_run_again(self) -> bool:
        """Put back what pymesos's loop takes away at its end."""
        with self._lock:
            if self._stopping.is_set():
                return False
            if self._wakeup_fds is None:
                self._wakeup_fds = os.pipe()
                self._started = True
            return True

    # pymesos's thread: the events

    def process_event(self, event: Mapping[str, Any]) -> None:
        try:
            super().process_event(event)
        except Exception as error:
            _log.exception("The event %s cannot be dealt with.", event.get("type"))
            self._post(Defect(f"{type(error).__name__} while dealing with {event.get('type')}: {error}"))

    def on_subscribed(self, info: Mapping[str, Any]) -> None:
        self._failures = 0
        super().on_subscribed(info)
        self._something_to_send.set()

    def on_launch(self, event: Mapping[str, Any]) -> None:
        task = event["task"]
        task_id = task["task_id"]["value"]
        if task_id in self._launched:
            _log.info("LAUNCH of %s came again: nothing to do.", task_id)
            return
        self._launched.add(task_id)
        self.tasks[task_id] = task
        self._post(Launch(task_id, task.get("data", "")))

    def on_launch_group(self, event: Mapping[str, Any]) -> None:
        for task in event["task_group"]["tasks"]:
            self.on_launch({"task": task})

    def on_acknowledged(self, event: Mapping[str, Any]) -> None:
        with self._updates_lock:
            super().on_acknowledged(event)
        self._post(Acknowledged())

    def on_kill(self, event: Mapping[str, Any]) -> None:
        nanoseconds = event.get("kill_policy", {}).get("grace_period", {}).get("nanoseconds")
        self._post(KillTask(event["task_id"]["value"], None if nanoseconds is None else float(nanoseconds) / 1e9))

    def on_message(self, event: Mapping[str, Any]) -> None:
        """A scheduler of a later release may say what this executor does not know."""
        try:
            folders = json.loads(base64.b64decode(event["data"], validate=True))["discard"]
            if not all(isinstance(folder, str) for folder in folders):
                raise ValueError("no list of texts")
        except (KeyError, TypeError, ValueError) as error:
            _log.info("A framework message came that this executor does not know (%s).", error)
            return
        self._post(Discard(tuple(folders)))

    def on_shutdown(self) -> None:
        self._post(Shutdown())

    # The sender's thread: a slow agent must hold up neither the loop nor the event stream.

    def _send_updates(self) -> None:
        while not self._stopping.is_set():
            self._something_to_send.wait()
            self._something_to_send.clear()
            self._send_what_is_new()

    def _send_what_is_new(self) -> None:
        while self.connected and not self._stopping.is_set():
            with self._updates_lock:
                identity = next((identity for identity in self.updates if identity not in self._told), None)
                update = None if identity is None else self.updates[identity]
            if identity is None:
                return
            try:
                body = {
                    "type": "UPDATE",
                    "executor_id": self.executor_id,
                    "framework_id": self.framework_id,
                    "update": update,
                }
                self._send(body, headers=dict(self._headers))
                self._told.add(identity)
            except Exception as error:
                # A broken connection ends this loop (the next SUBSCRIBE carries the update); a refusal is tried again.
                _log.warning("A status update could not be sent and will be sent again: %s.", error)
                self._stopping.wait(_SEND_PAUSE_SECONDS)
