"""The needed part of the operator API: `/api/v1`, `/state`, `/version` of the master."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from localmesos import VERSION, agents, frameworks, states
from localmesos.cluster import Agent, Cluster, Framework, Task

if TYPE_CHECKING:
    from localmesos.master import Master

Json = dict[str, Any]

AGENT_CAPABILITIES = (
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
)
BUILD_TIME = float(int(Path(__file__).stat().st_mtime))


def version_info() -> Json:
    date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(BUILD_TIME))
    return {"version": VERSION, "build_date": date, "build_time": BUILD_TIME, "build_user": ""}


class UnknownCall(ValueError):
    pass


class MasterOperatorApi:
    def __init__(self, cluster: Cluster, master: Master) -> None:
        self._cluster = cluster
        self._master = master
        self._calls: dict[str, Callable[[Json], Json | None]] = {
            "GET_HEALTH": lambda _: {"healthy": True},
            "GET_VERSION": lambda _: {"version_info": version_info()},
            "GET_MASTER": self._get_master,
            "GET_AGENTS": self._get_agents,
            "GET_TASKS": self._get_tasks,
            "GET_FRAMEWORKS": self._get_frameworks,
            "GET_EXECUTORS": self._get_executors,
            "GET_ROLES": lambda _: {},
            "GET_STATE": self._get_state,
            "MARK_AGENT_GONE": self._mark_agent_gone,
            "TEARDOWN": self._tear_down,
        }

    async def call(self, request: web.Request) -> web.StreamResponse:
        try:
            call = await request.json()
            kind = call["type"]
            if kind not in self._calls:
                raise UnknownCall(f"call type '{kind}' is none of {', '.join(sorted(self._calls))}")
            content = self._calls[kind](call.get(kind.lower(), {}))
        except (ValueError, TypeError, KeyError) as error:
            return web.Response(status=400, text=f"Failed to validate master::Call: {error}")
        if content is None:
            return web.Response(text="")
        return web.json_response({"type": kind, kind.lower(): content})

    async def version(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(version_info())

    async def state(self, request: web.Request) -> web.StreamResponse:
        """The old `/state`, as far as tools that list agents, frameworks and tasks need it."""
        info = self._cluster.master_info
        return web.json_response(
            {
                "version": VERSION,
                "id": info["id"],
                "pid": info["pid"],
                "leader": info["pid"],
                "hostname": info["hostname"],
                "start_time": self._master.started_at,
                "elected_time": self._master.elected_at,
                "activated_slaves": len(self._cluster.agents),
                "unreachable_slaves": len(self._cluster.registry.unreachable),
                "slaves": [_old_agent(agent) for agent in self._cluster.agents.values()],
                "frameworks": [_old_framework(framework) for framework in self._cluster.frameworks.values()],
                "completed_frameworks": [_old_framework(framework) for framework in self._cluster.completed.values()],
            }
        )

    def _get_master(self, _: Json) -> Json:
        return {
            "master_info": self._cluster.master_info,
            "start_time": self._master.started_at,
            "elected_time": self._master.elected_at,
        }

    def _get_agents(self, _: Json) -> Json:
        recovered = [
            {**self._cluster.registry.admitted[agent_id], "id": {"value": agent_id}}
            for agent_id in sorted(self._cluster.recovered)
        ]
        return {
            "agents": [self._agent(agent) for agent in self._cluster.agents.values()],
            "recovered_agents": recovered,
        }

    def _agent(self, agent: Agent) -> Json:
        info = agent.info
        total = self._cluster.allocator.total(agent.agent_id)
        result: Json = {
            "agent_info": {
                **{
                    name: info[name]
                    for name in ("hostname", "port", "resources", "attributes", "domain")
                    if info.get(name)
                },
                "id": {"value": agent.agent_id},
                "checkpoint": True,
            },
            "active": agent.link is not None,
            "deactivated": False,
            "version": VERSION,
            "pid": f"slave(1)@{info['ip']}:{info['port']}",
            "registered_time": states.nanoseconds(agent.registered_at),
            "total_resources": [{"role": "*", **item} for item in total.to_json()],
            "capabilities": [{"type": name} for name in AGENT_CAPABILITIES],
        }
        if agent.reregistered_at is not None:
            result["reregistered_time"] = states.nanoseconds(agent.reregistered_at)
        used = self._cluster.allocator.used(agent.agent_id)
        if used:
            result["allocated_resources"] = [{"role": "*", **item} for item in used.to_json()]
        return result

    def _get_frameworks(self, _: Json) -> Json:
        return {
            "frameworks": [self._framework(framework) for framework in self._cluster.frameworks.values()],
            "completed_frameworks": [self._framework(framework) for framework in self._cluster.completed.values()],
        }

    def _framework(self, framework: Framework) -> Json:
        result: Json = {
            "framework_info": framework.info,
            "active": framework.connected,
            "connected": framework.connected,
            "recovered": not framework.stream_id,
            "registered_time": states.nanoseconds(framework.registered_at),
        }
        for name, value in (
            ("reregistered_time", framework.reregistered_at),
            ("unregistered_time", framework.unregistered_at),
        ):
            if value is not None:
                result[name] = states.nanoseconds(value)
        return {**result, "offer_constraints": {}}

    def _get_tasks(self, _: Json) -> Json:
        tasks: Json = {"tasks": [], "completed_tasks": [], "unreachable_tasks": []}
        for framework in self._cluster.frameworks.values():
            for task in framework.tasks.values():
                tasks["completed_tasks" if task.terminal else "tasks"].append(_task(task))
            tasks["unreachable_tasks"] += [_task(task) for task in framework.unreachable_tasks.values()]
        return {name: entries for name, entries in tasks.items() if entries}

    def _get_executors(self, _: Json) -> Json:
        executors = [
            {"executor_info": info, "agent_id": {"value": agent.agent_id}}
            for agent in self._cluster.agents.values()
            for info in agent.executors.values()
        ]
        return {"executors": executors} if executors else {}

    def _get_state(self, _: Json) -> Json:
        return {
            "get_tasks": self._get_tasks({}),
            "get_executors": self._get_executors({}),
            "get_frameworks": self._get_frameworks({}),
            "get_agents": self._get_agents({}),
        }

    def _mark_agent_gone(self, content: Json) -> None:
        agent_id = content["agent_id"]["value"]
        agent = self._cluster.agents.get(agent_id)
        if agent is not None:
            agent.send({"type": "SHUTDOWN", "message": "an operator marked the agent gone"})
            agents.remove(self._cluster, agent, "TASK_GONE_BY_OPERATOR", "an operator marked it gone")
        elif agent_id in self._cluster.registry.unreachable or agent_id in self._cluster.recovered:
            self._cluster.recovered.discard(agent_id)
            self._cluster.registry.mark_gone(agent_id, self._cluster.now())
        else:
            raise UnknownCall(f"agent '{agent_id}' is not known")

    def _tear_down(self, content: Json) -> None:
        framework = self._cluster.frameworks.get(content["framework_id"]["value"])
        if framework is None:
            raise UnknownCall("No framework found with specified ID")
        frameworks.remove(self._cluster, framework, "an operator tore it down")


def _task(task: Task) -> Json:
    result: Json = {
        "name": task.name,
        "task_id": {"value": task.task_id},
        "framework_id": {"value": task.framework_id},
        "agent_id": {"value": task.agent_id},
        "state": task.state,
        "resources": task.resources.to_json(task.role),
    }
    if task.executor_id is not None:
        result["executor_id"] = {"value": task.executor_id}
    if task.status is not None:
        result["statuses"] = [task.status]
    return result


def _old_agent(agent: Agent) -> Json:
    return {
        "id": agent.agent_id,
        "hostname": agent.info["hostname"],
        "port": agent.info["port"],
        "pid": f"slave(1)@{agent.info['ip']}:{agent.info['port']}",
        "active": agent.link is not None,
        "registered_time": agent.registered_at,
    }


def _old_framework(framework: Framework) -> Json:
    return {
        "id": framework.framework_id,
        "name": framework.info["name"],
        "active": framework.connected,
        "connected": framework.connected,
        "webui_url": framework.info.get("webui_url", ""),
        "hostname": framework.info.get("hostname", ""),
        "tasks": [
            {
                "id": task.task_id,
                "name": task.name,
                "state": task.state,
                "slave_id": task.agent_id,
                "executor_id": task.executor_id or "",
            }
            for task in framework.tasks.values()
        ],
    }
