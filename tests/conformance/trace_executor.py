"""The executor of the conformance tests, run by the agent: does what the recorded one did and records what it sees.

STARTING and RUNNING at LAUNCH; a MESSAGE goes back; KILLING and, 0.3 s later, KILLED at KILL; subscribes again whenever
its stream ends. Standard library only. One file `executor.<executor id>.jsonl` in the folder TRACE_OUT.
"""

import base64
import contextlib
import http.client
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path

OUT = Path(os.environ["TRACE_OUT"]) / f"executor.{os.environ['MESOS_EXECUTOR_ID']}.jsonl"
LOCK = threading.Lock()
SUBSCRIBED = threading.Event()


def record(kind, body):
    with LOCK, OUT.open("a") as out:
        out.write(json.dumps({"kind": kind, "body": body}) + "\n")


def post(kind, content):
    call = {
        "type": kind,
        "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
        "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
        **content,
    }
    connection = http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"])
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    connection.request("POST", "/api/v1/executor", json.dumps(call), headers)
    return call, connection.getresponse()


def call(kind, content):
    request, answer = post(kind, content)
    record("call", {"request": request, "status": answer.status, "response": answer.read().decode()})


def update(task_id, state, **more):
    status = {
        "task_id": {"value": task_id},
        "source": "SOURCE_EXECUTOR",
        "state": state,
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        "timestamp": time.time(),
        **more,
    }
    call("UPDATE", {"update": {"status": status}})


def launch(task_id):
    update(task_id, "TASK_STARTING")
    update(task_id, "TASK_RUNNING", message="up", healthy=True)


def kill(task_id):
    update(task_id, "TASK_KILLING")
    time.sleep(0.3)
    update(task_id, "TASK_KILLED")


def handle(event):
    record("event", event)
    if event["type"] == "LAUNCH":
        threading.Thread(target=launch, args=(event["launch"]["task"]["task_id"]["value"],)).start()
    elif event["type"] == "KILL":
        threading.Thread(target=kill, args=(event["kill"]["task_id"]["value"],)).start()
    elif event["type"] == "MESSAGE":
        call("MESSAGE", {"message": {"data": event["message"]["data"]}})
    elif event["type"] == "SHUTDOWN":
        record("exit", "shutdown")
        os._exit(0)


def subscribe():
    request, answer = post("SUBSCRIBE", {"subscribe": {"unacknowledged_tasks": [], "unacknowledged_updates": []}})
    headers = dict(answer.getheaders())
    record("subscribe", {"request": request, "status": answer.status, "headers": headers})
    if answer.status != 200:
        record("body", answer.read().decode())
        return
    while True:
        length = answer.readline()
        if not length:
            return
        handle(json.loads(answer.read(int(length))))


def main():
    prefixes = ("MESOS_", "LIBPROCESS_", "TRACE_")
    record("environment", {k: v for k, v in os.environ.items() if k.startswith(prefixes) or k == "PWD"})
    record("sandbox", sorted(path.name for path in Path().iterdir()))
    record("pid", os.getpid())
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            subscribe()
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
