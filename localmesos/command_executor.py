"""The built-in executor of tasks that bring a command and no executor: runs one command, tells how it ended.

A program of its own (standard library only); it speaks the v1 executor API to the agent named in its environment.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

Json = dict[str, Any]
DEFAULT_KILL_GRACE_SECONDS = 3.0


class CommandExecutor:
    def __init__(self) -> None:
        self.endpoint = os.environ["MESOS_AGENT_ENDPOINT"]
        self.executor_id = os.environ["MESOS_EXECUTOR_ID"]
        self.framework_id = os.environ["MESOS_FRAMEWORK_ID"]
        self.recovery_seconds = _seconds(os.environ.get("MESOS_RECOVERY_TIMEOUT", "15mins"))
        self.events: queue.Queue[Json] = queue.Queue()
        self.task: Json | None = None
        self.framework: Json = {}
        self.unacknowledged: dict[str, Json] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = False

    def run(self) -> int:
        threading.Thread(target=self._listen, daemon=True).start()
        finished = False
        while True:
            event = self.events.get()
            match event["type"]:
                case "SUBSCRIBED":
                    self.framework = event["subscribed"]["framework_info"]
                    for status in list(self.unacknowledged.values()):
                        self._post_update(status)
                case "LAUNCH":
                    self._launch(event["launch"]["task"])
                case "KILL":
                    self._kill(event["kill"])
                case "ACKNOWLEDGED":
                    self.unacknowledged.pop(event["acknowledged"]["uuid"], None)
                case "SHUTDOWN":
                    self._kill({})
                    if self.process is None:
                        return 0
                case "ENDED":
                    self._ended(event["code"])
                    finished = True
                case "LOST":
                    return 1
            if finished and not self.unacknowledged:
                return 0

    def _listen(self) -> None:
        """Keeps one event stream; gives up when the agent was away for longer than its recovery timeout."""
        last = time.monotonic()
        while time.monotonic() - last < self.recovery_seconds:
            try:
                tasks = [self.task] if self.task else []
                updates = [{"status": status} for status in tuple(self.unacknowledged.values())]
                subscribe = {"unacknowledged_tasks": tasks, "unacknowledged_updates": updates}
                connection, answer = self._post("SUBSCRIBE", {"subscribe": subscribe})
                if answer.status == 200:
                    while length := answer.readline():
                        last = time.monotonic()
                        self.events.put(json.loads(answer.read(int(length))))
                connection.close()
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.2)
        self.events.put({"type": "LOST"})

    def _post(self, kind: str, content: Json) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.endpoint)
        call = {
            "type": kind,
            "executor_id": {"value": self.executor_id},
            "framework_id": {"value": self.framework_id},
            **content,
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request("POST", "/api/v1/executor", json.dumps(call), headers)
        return connection, connection.getresponse()

    def _update(self, state: str, message: str | None = None) -> None:
        assert self.task is not None
        status: Json = {
            "task_id": self.task["task_id"],
            "executor_id": {"value": self.executor_id},
            "source": "SOURCE_EXECUTOR",
            "state": state,
            "timestamp": time.time(),
            "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        }
        if message is not None:
            status["message"] = message
        self.unacknowledged[status["uuid"]] = status
        self._post_update(status)

    def _post_update(self, status: Json) -> None:
        try:
            connection, answer = self._post("UPDATE", {"update": {"status": status}})
            answer.read()
            connection.close()
        except (OSError, http.client.HTTPException):
            pass  # The agent is away; SUBSCRIBE brings it again.

    def _launch(self, task: Json) -> None:
        if self.task is not None:
            return
        self.task = task
        self._update("TASK_STARTING")
        command = task["command"]
        if command.get("shell", True):
            program = ["/bin/sh", "-c", command.get("value", "")]
        else:
            program = [command["value"], *command.get("arguments", [])[1:]]
        try:
            self.process = subprocess.Popen(program, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            self._update("TASK_FAILED", f"Failed to launch command: {error}")
            self.events.put({"type": "ENDED", "code": None})
            return
        self._update("TASK_RUNNING")
        threading.Thread(target=self._wait, args=(self.process,), daemon=True).start()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        self.events.put({"type": "ENDED", "code": process.wait()})

    def _kill(self, kill: Json) -> None:
        if self.process is None or self.killed or self.task is None:
            return
        self.killed = True
        if any(part.get("type") == "TASK_KILLING_STATE" for part in self.framework.get("capabilities", [])):
            self._update("TASK_KILLING")
        policy = kill.get("kill_policy") or self.task.get("kill_policy") or {}
        nanoseconds = policy.get("grace_period", {}).get("nanoseconds", DEFAULT_KILL_GRACE_SECONDS * 1e9)
        self._signal(signal.SIGTERM)
        timer = threading.Timer(nanoseconds / 1e9, self._signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def _signal(self, number: int) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def _ended(self, code: int | None) -> None:
        if code is None:
            return
        how = f"exited with status {code}" if code >= 0 else f"terminated with signal {signal.strsignal(-code)}"
        state = "TASK_KILLED" if self.killed else "TASK_FINISHED" if code == 0 else "TASK_FAILED"
        self._update(state, f"Command {how}")


def _seconds(text: str) -> float:
    for suffix, factor in (("mins", 60), ("secs", 1), ("hrs", 3600), ("days", 86400), ("weeks", 604800), ("ms", 0.001)):
        if text.endswith(suffix):
            return float(text[: -len(suffix)]) * factor
    return float(text)


if __name__ == "__main__":
    sys.exit(CommandExecutor().run())
