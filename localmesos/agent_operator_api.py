"""The needed part of the agent's operator API: state, tasks, and the files of the sandboxes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from localmesos import states
from localmesos.operator_api import version_info

if TYPE_CHECKING:
    from localmesos.agent import Agent

Json = dict[str, Any]
LONGEST_READ = 1024 * 1024


class AgentOperatorApi:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def routes(self) -> list[web.RouteDef]:
        routes = [web.get("/health", self._health), web.get("/slave(1)/health", self._health)]
        for prefix in ("", "/slave(1)"):
            routes.append(web.post(f"{prefix}/api/v1", self._call))
            routes.append(web.get(f"{prefix}/state", self._state))
        routes += [web.get("/files/read", self._read), web.get("/files/browse", self._browse)]
        return routes

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="")

    async def _call(self, request: web.Request) -> web.StreamResponse:
        calls = {
            "GET_HEALTH": lambda _: {"healthy": True},
            "GET_VERSION": lambda _: {"version_info": version_info()},
            "GET_TASKS": lambda _: self._tasks(),
            "GET_EXECUTORS": lambda _: self._executors(),
            "GET_STATE": lambda _: {"get_tasks": self._tasks(), "get_executors": self._executors()},
            "LIST_FILES": lambda content: {"file_infos": self._list(content["path"])},
            "READ_FILE": self._read_file,
        }
        try:
            call = await request.json()
            kind = call["type"]
            if kind not in calls:
                raise ValueError(f"call type '{kind}' is none of {', '.join(sorted(calls))}")
            content = calls[kind](call.get(kind.lower(), {}))
        except OSError as error:
            return web.Response(status=404, text=f"{error.strerror}: {error.filename}")
        except (ValueError, TypeError, KeyError) as error:
            return web.Response(status=400, text=f"Failed to validate agent::Call: {error}")
        return web.json_response({"type": kind, kind.lower(): content})

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """The old `/state`, as far as tools need it to find a task's sandbox."""
        frameworks: dict[str, Json] = {}
        for executor in self._agent.executors.all():
            info = self._agent.frameworks.get(executor.framework_id, {})
            entry = frameworks.setdefault(
                executor.framework_id,
                {"id": executor.framework_id, "name": info.get("name", ""), "executors": []},
            )
            entry["executors"].append(
                {
                    "id": executor.executor_id,
                    "container": executor.container_id,
                    "directory": str(executor.sandbox),
                    "tasks": [{"id": task.task_id, "state": task.state} for task in executor.tasks.values()],
                }
            )
        info = self._agent.info
        return web.json_response(
            {
                **version_info(),
                "id": self._agent.agent_id,
                "hostname": info["hostname"],
                "pid": f"slave(1)@{info['ip']}:{info['port']}",
                "start_time": self._agent.started_at,
                "frameworks": list(frameworks.values()),
            }
        )

    def _tasks(self) -> Json:
        tasks: Json = {"queued_tasks": [], "launched_tasks": [], "terminated_tasks": []}
        for executor in self._agent.executors.all():
            for task in executor.tasks.values():
                group = "terminated_tasks" if task.terminal else "launched_tasks" if task.delivered else "queued_tasks"
                tasks[group].append(
                    {
                        "name": task.info["name"],
                        "task_id": task.info["task_id"],
                        "framework_id": {"value": executor.framework_id},
                        "executor_id": {"value": executor.executor_id},
                        "agent_id": {"value": self._agent.agent_id},
                        "state": task.state,
                        "resources": task.info.get("resources", []),
                        "statuses": [task.status] if task.status else [],
                    }
                )
        return {name: entries for name, entries in tasks.items() if entries}

    def _executors(self) -> Json:
        executors = [
            {"executor_info": executor.info, "container_id": {"value": executor.container_id}}
            for executor in self._agent.executors.all()
            if not executor.ended
        ]
        return {"executors": executors} if executors else {}

    # files

    def _path(self, path: str) -> Path:
        """Only what lies in a sandbox of this agent; raises FileNotFoundError."""
        root = (self._agent.settings.work_dir / "slaves").resolve()
        found = Path(path).resolve()
        if not found.is_relative_to(root) or not found.exists():
            raise FileNotFoundError(2, "No such file in a sandbox", path)
        return found

    def _list(self, path: str) -> list[Json]:
        entries = []
        for entry in sorted(self._path(path).iterdir()):
            status = entry.lstat()
            entries.append(
                {
                    "path_info": {"path": str(entry)},
                    "path": str(entry),
                    "size": status.st_size,
                    "nlink": status.st_nlink,
                    "mode": status.st_mode,
                    "mtime": states.nanoseconds(status.st_mtime),
                }
            )
        return entries

    def _read_file(self, content: Json) -> Json:
        size, data = self._part(content["path"], int(content.get("offset", 0)), content.get("length"))
        return {"size": size, "data": base64.b64encode(data).decode()}

    def _part(self, path: str, offset: int, length: Any) -> tuple[int, bytes]:
        """A negative offset counts from the end."""
        with self._path(path).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(offset if offset >= 0 else max(0, size + offset))
            return size, file.read(min(int(length), LONGEST_READ) if length is not None else LONGEST_READ)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        """The old `/files/read?path=&offset=&length=`; offset -1 asks for the size alone."""
        try:
            offset = int(request.query.get("offset", "0"))
            size, data = self._part(request.query["path"], max(0, offset), request.query.get("length"))
        except OSError as error:
            return web.Response(status=404, text=f"{error.strerror}: {error.filename}")
        except (KeyError, ValueError):
            return web.Response(status=400, text="Expecting 'path=value' in query, and numbers for offset and length.")
        if offset < 0:
            return web.json_response({"data": "", "offset": size})
        return web.json_response({"data": data.decode(errors="replace"), "offset": offset})

    async def _browse(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(self._list(request.query.get("path", "")))
        except OSError as error:
            return web.Response(status=404, text=f"{error.strerror}: {error.filename}")
