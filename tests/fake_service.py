"""A small service behind the API's contract, for the tests of the commands: it scales and takes another configuration
at once or step by step, and answers what a test tells it to.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MIB = 1 << 20
TOKEN = "0123456789abcdef-admin"


def task(index: int, **more: Any) -> dict[str, Any]:
    return {
        "slot": f"worker-{index}",
        "kind": "worker",
        "phase": "registered",
        "task_id": f"worker-{index}.1",
        "hostname": f"10.0.0.{index + 1}",
        "ports": {"rpc": 31000, "web": 31001},
        "capacity_bytes": 256 * MIB,
        "used_bytes": index * 32 * MIB,
        **more,
    }


class Service:
    """``steps`` are the looks at /v1/workers or /v1/plans that a change takes until it is so. ``said`` by path is
    answered instead: a status, headers and a body.
    """

    def __init__(self) -> None:
        self.count: int | str = 3
        self.number = 6
        self.steps = 0
        self.left = 0
        self.leaving: list[dict[str, Any]] = []
        self.groups: dict[str, dict[str, Any]] = {}  # beside the default one: count, options, and steps left
        self.options = {"worker-ram": "256MB"}
        self.history = [_entry(6, self.options)]
        self.outdated: list[str] = []  # slots that have still to take the configuration
        self.returning: list[str] = []  # and those that took it and do not answer yet
        self.paused: set[str] = set()
        self.level = "INFO"
        self.token = ""
        self.said: dict[str, tuple[int, dict[str, str], str]] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.events = [
            {
                "number": number,
                "at": 1_700_000_000.0 + number,
                "kind": "launch",
                "text": f"worker-{number}.1 is launched",
            }
            for number in (1, 2, 3)
        ]
        self.streamed = threading.Event()
        self.log = [("worker-1.1", "one\ntwo\n")]
        self.tasks = [task(index) for index in range(3)]
        self.refused = [
            {"agent_id": f"a{index}", "hostname": f"10.0.0.{index}", "at": 1_700_000_000.0 + index, "reason": reason}
            for index, reason in enumerate(
                [
                    "worker-3: offers 512 MiB of 1280 MiB memory",
                    "worker-3: offers 256 MiB of 1280 MiB memory",
                    "it already has worker-1",
                ]
            )
        ]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer._answer(self, json.loads(body) if body else None)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - the names are http.server's

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix("/service/alluxio")
        self.asked.append((f"{handler.command} {parts.path}", parts.query, dict(handler.headers), body))
        if path in self.said:
            status, headers, text = self.said[path]
            return _send(handler, status, text, headers)
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}" and path != "/v1/health":
            return _problem(handler, 401, "the token is missing or wrong")
        if path == "/v1/events" and "text/event-stream" in handler.headers.get("Accept", ""):
            return self._stream(handler)
        status, document, headers = self._document(handler.command, path, query, handler.headers.get("If-Match"), body)
        if status >= 400:
            return _problem(handler, status, document)
        return _send(handler, status, json.dumps(document), headers)

    def _document(
        self, method: str, path: str, query: dict[str, str], expected: str | None, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        none: dict[str, str] = {}
        match method, path:
            case "GET", "/v1/health":
                return 200, {"healthy": True, "role": "leader", "reason": "", "seconds_since_heard": 1.0}, none
            case "GET", "/v1/status":
                return 200, self._status(), none
            case "GET", "/v1/workers":
                return 200, self._workers(), {"ETag": f'"{self.number}"'}
            case "PUT", "/v1/workers":
                return self._scale(body, query.get("dry_run") == "true", expected)
            case "GET", "/v1/worker-groups":
                default = {"name": "default", "options": {}, "count": self.count, "ready": 3, "missing": 0, "why": ""}
                return 200, {"groups": [default, *map(self._group_summary, self.groups)]}, none
            case _ if path.startswith("/v1/worker-groups/"):
                return self._group(method, path.rpartition("/")[2], body, query.get("dry_run") == "true", expected)
            case "GET", "/v1/tasks":
                return 200, self.tasks, none
            case "GET", "/v1/tasks/worker-1":
                return 200, self.tasks[1], none
            case "GET", "/v1/tasks/worker-1/log":
                name, text = self.log[0] if len(self.log) == 1 else self.log.pop(0)
                shown = "".join(text.splitlines(keepends=True)[-int(query.get("lines", "100")) :])
                return (
                    200,
                    {
                        "task_id": name,
                        "file": "logs/worker.log",
                        "size_bytes": len(text.encode()),
                        "cut": False,
                        "text": shown,
                    },
                    none,
                )
            case "POST", "/v1/tasks/worker-1/restart":
                return 202, {"task_id": "worker-1.1", "message": "worker-1.1 is ended and launched again"}, none
            case "GET", "/v1/plans":
                return 200, [plan("deploy"), *self._plans()], none
            case "GET", "/v1/plans/deploy":
                return 200, plan("deploy"), none
            case "GET", "/v1/offers":
                return 200, {"waiting": 0, "suppressed": False, "refused": self.refused}, none
            case "GET", "/v1/events":
                after = int(query.get("after", "0"))
                return 200, [event for event in self.events if event["number"] > after], none
            case "POST", "/v1/plans/deploy/pause" | "/v1/plans/deploy/resume":
                return 200, {"name": "deploy", "paused": path.endswith("pause")}, none
            case "GET", "/v1/config":
                last = self.history[-1]
                found = {name: last[name] for name in ("number", "configuration", "options")}
                return 200, {**found, "changed": [], "history": self.history}, {"ETag": f'"{self.number}"'}
            case "PUT", "/v1/config":
                options = {name: text or "1GB" for name, text in {**self.options, **body["options"]}.items()}
                return self._configure(options, query.get("dry_run") == "true", expected)
            case "POST", "/v1/config/rollback":
                options = next(entry["options"] for entry in self.history if entry["number"] == body["number"])
                return self._configure(options, query.get("dry_run") == "true", expected)
            case "GET", "/v1/log-level":
                return 200, {"level": self.level}, none
            case "PUT", "/v1/log-level":
                self.level = body["level"]
                return 200, {"level": self.level}, none
        return 404, f"there is nothing at {path}", none

    def _status(self) -> dict[str, Any]:
        return {
            "service": "alluxio",
            "configuration": "c1",
            "wanted": {
                "masters": 1,
                "workers": self.count,
                "proxies": 0,
                "groups": {name: group["count"] for name, group in self.groups.items()},
            },
            "waiting_for": {},
            "tasks": [
                {"slot": "master-0", "phase": "ready", "task_id": "master-0.1", "hostname": "10.0.0.9"},
                *self.tasks,
            ],
            "alluxio": {
                "leader": "10.0.0.9:31000",
                "reason": "",
                "capacity_bytes": sum(task.get("capacity_bytes", 0) for task in self.tasks),
                "used_bytes": sum(task.get("used_bytes", 0) for task in self.tasks),
                "live_workers": len(self.tasks),
            },
        }

    def _workers(self) -> dict[str, Any]:
        missing = 0
        if self.left:
            self.left -= 1
            missing = 0 if self.leaving else 1
        else:
            self.leaving = []
        return {
            "count": self.count,
            "ready": len(self.tasks) - missing,
            "missing": missing,
            "why": "worker-3: it waits for an agent that fits" if missing else "",
            "workers": self.tasks,
            "leaving": self.leaving,
        }

    def _scale(self, body: Any, dry_run: bool, expected: str | None) -> tuple[int, Any, dict[str, str]]:
        if expected is not None and expected != f'"{self.number}"':
            return 412, "somebody changed it", {}
        before, count = self.count, body["count"]
        there = 3 if before == "all" else int(before)
        wanted = there if count == "all" else int(count)
        stop = [
            {"slot": f"worker-{index}", "hostname": f"10.0.0.{index + 1}", "used_bytes": 32 * MIB}
            for index in range(wanted, there)
        ]
        if not dry_run:
            self.count, self.number, self.left = count, self.number + 1, self.steps
            self.leaving = [{**one, "step": "persisting", "message": "2 files are left"} for one in stop]
        return (
            200,
            {
                "dry_run": dry_run,
                "before": before,
                "count": count,
                "start": [f"worker-{index}" for index in range(there, wanted)],
                "stop": stop,
                "missing": 0,
                "why": "",
                "number": self.number,
            },
            {"ETag": f'"{self.number}"'},
        )

    def _group(
        self, method: str, name: str, body: Any, dry_run: bool, expected: str | None
    ) -> tuple[int, Any, dict[str, str]]:
        """All its workers answer but the last one, for so many looks as there are steps; or so long they leave."""
        if expected is not None and expected != f'"{self.number}"':
            return 412, "somebody changed it", {}
        there = self.groups.get(name)
        if method != "PUT" and there is None:
            return 404, f"there is no group {name!r}; GET /v1/worker-groups lists those that there are", {}
        if method != "GET":
            return 200, self._group_changed(name, body or {"count": 0}, dry_run), {"ETag": f'"{self.number}"'}
        assert there is not None
        found = {
            **self._group_summary(name),
            "workers": [task(index, slot=f"worker-{name}-{index}") for index in range(there["count"])],
            "leaving": there["leaving"],
        }
        if there["left"]:
            there["left"] -= 1
        else:
            there["leaving"] = []
            if there["gone"]:
                del self.groups[name]
        return 200, found, {"ETag": f'"{self.number}"'}

    def _group_summary(self, name: str) -> dict[str, Any]:
        there = self.groups[name]
        starting = bool(there["left"] and not there["leaving"])
        missing = starting + sum(slot.startswith(f"worker-{name}-") for slot in self.returning)
        return {
            "name": name,
            "options": there["options"],
            "count": there["count"],
            "ready": there["count"] - missing,
            "missing": missing,
            "why": f"worker-{name}-{there['count'] - 1}: it waits for an agent that fits" if missing else "",
        }

    def _group_changed(self, name: str, body: dict[str, Any], dry_run: bool) -> dict[str, Any]:
        there = self.groups.get(name, {"count": 0, "options": {}})
        before, count = there["count"], body["count"]
        options = body.get("options", there["options"])
        changed = [
            {"name": option, "before": there["options"].get(option, ""), "after": options.get(option, "")}
            for option in sorted({*there["options"], *options})
            if there["options"].get(option) != options.get(option)
        ]
        stop = [
            {"slot": f"worker-{name}-{index}", "hostname": f"10.0.1.{index + 1}", "used_bytes": 32 * MIB}
            for index in range(count, before)
        ]
        restarts = [f"worker-{name}-{index}" for index in range(min(count, before))] if changed else []
        if not dry_run:
            self.number += 1
            leaving = [{**one, "step": "persisting", "message": "2 files are left"} for one in stop]
            left = 0 if restarts else self.steps
            self.groups[name] = {
                "count": count,
                "options": options,
                "left": left,
                "leaving": leaving,
                "gone": not count,
            }
            self.outdated, self.left = list(restarts), self.steps if restarts else 0
        return {
            "name": name,
            "options": options,
            "dry_run": dry_run,
            "before": before,
            "count": count,
            "start": [f"worker-{name}-{index}" for index in range(before, count)],
            "stop": stop,
            "missing": 0,
            "why": "",
            "number": self.number,
            "changed": changed,
            "restarts": restarts,
        }

    def _configure(
        self, options: dict[str, str], dry_run: bool, expected: str | None
    ) -> tuple[int, Any, dict[str, str]]:
        """Two workers take another configuration."""
        if expected is not None and expected != f'"{self.number}"':
            return 412, "somebody changed it", {}
        changed = [
            {"name": name, "before": self.options.get(name, ""), "after": text}
            for name, text in options.items()
            if self.options.get(name, "") != text
        ]
        restarts = ["worker-0", "worker-1"] if changed else []
        if changed and not dry_run:
            self.number += 1
            self.options, self.left = options, self.steps
            made = (f"{one['name']}: {one['before'] or 'none'} -> {one['after'] or 'none'}" for one in changed)
            self.history.append({**_entry(self.number, options), "changes": list(made)})
            self.outdated = list(restarts)
        found = {"dry_run": dry_run, "number": self.number, "changed": changed, "restarts": restarts}
        return 200, found, {"ETag": f'"{self.number}"'}

    def _plans(self) -> list[dict[str, Any]]:
        """A worker that took its turn has to come back first."""
        if self.left and "update" not in self.paused:
            self.left -= 1
            self.returning, self.outdated = self.outdated[:1], self.outdated[1:]
        elif not self.left:
            self.returning, self.outdated = [], []
        update, recovery = plan("update"), plan("recovery")
        update |= {"paused": "update" in self.paused}
        for made, slots, message in (
            (update, self.outdated, "it runs with an earlier configuration until it is its turn"),
            (recovery, self.returning, "it is not ready yet"),
        ):
            steps = [{"name": slot, "status": "pending", "message": message} for slot in slots]
            made["phases"] = [{"name": "workers", "status": "pending", "steps": steps}]
        return [recovery, update]

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        """All after Last-Event-ID, a comment, then the end: a client comes back."""
        after = int(handler.headers.get("Last-Event-ID", "0"))
        pieces = ["retry: 2000\n\n", ": nothing new\n\n"] + [
            f"id: {event['number']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
            for event in self.events
            if event["number"] > after
        ]
        self.streamed.set()
        _send(handler, 200, "".join(pieces), {"Content-Type": "text/event-stream"})


def _entry(number: int, options: dict[str, str]) -> dict[str, Any]:
    return {
        "number": number,
        "at": 1_700_000_000.0 + number,
        "configuration": "-".join(options.values()),
        "masters": 1,
        "workers": "all",
        "proxies": 0,
        "options": options,
        "changes": [],
    }


def plan(name: str) -> dict[str, Any]:
    step = {"name": "worker-2", "status": "pending", "message": "it waits for an agent that fits"}
    if name in ("recovery", "update"):
        return {"name": name, "status": "ready", "phases": [{"name": "tasks", "status": "ready", "steps": []}]}
    return {
        "name": name,
        "status": "pending",
        "phases": [
            {"name": "masters", "status": "ready", "steps": [{"name": "master-0", "status": "ready"}]},
            {"name": "workers", "status": "pending", "steps": [{"name": "worker-1", "status": "ready"}, step]},
        ],
    }


def problem(status: int, detail: str) -> tuple[int, dict[str, str], str]:
    """To be put into ``said``."""
    return status, {"Content-Type": "application/problem+json"}, json.dumps({"status": status, "detail": detail})


def _problem(handler: BaseHTTPRequestHandler, status: int, detail: str) -> None:
    _, headers, text = problem(status, detail)
    _send(handler, status, text, headers)


def _send(handler: BaseHTTPRequestHandler, status: int, text: str, headers: dict[str, str]) -> None:
    content = text.encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(content))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


@contextlib.contextmanager
def service() -> Iterator[Service]:
    made = Service()
    try:
        yield made
    finally:
        made.stop()
