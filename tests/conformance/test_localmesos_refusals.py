"""What the HTTP APIs refuse, and in which words; heartbeats. Master and agent run in the test's own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conformance.mesos_processes import Scheduler, until
from localmesos.agent import Agent, AgentSettings
from localmesos.master import Master, MasterSettings

pytestmark = pytest.mark.localmesos
Json = dict[str, Any]
JSON = {"Content-Type": "application/json"}
INFO = {"user": "u", "name": "n"}


def with_master(folder: Path, story: Callable[[Master, aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def run() -> None:
        master = Master(MasterSettings("127.0.0.1", 0, folder, heartbeat_seconds=0.1))
        await master.start()
        try:
            async with aiohttp.ClientSession() as session:
                await story(master, session)
        finally:
            await master.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        ("{}", {"Content-Type": "text/plain"}, 415, "Expecting 'Content-Type' of application/json or "),
        ("{", JSON, 400, "Failed to parse body into JSON: "),
        ("[]", JSON, 400, "Failed to convert JSON into Call protobuf: Expecting a JSON object"),
        ("{}", JSON, 400, "Failed to validate scheduler::Call: Expecting 'type' to be present"),
        (
            '{"type": "SUBSCRIBE"}',
            JSON,
            400,
            "Failed to validate scheduler::Call: Expecting 'subscribe' to be present",
        ),
        ('{"type": "REVIVE"}', JSON, 400, "Failed to validate scheduler::Call: Expecting 'framework_id' to be present"),
        (
            json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}, "framework_id": {"value": "x"}}),
            JSON,
            400,
            "Failed to validate scheduler::Call: 'framework_id' differs from 'subscribe.framework_info.id'",
        ),
        (
            json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}}),
            {**JSON, "Mesos-Stream-Id": "x"},
            400,
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ),
        ('{"type": "REVIVE", "framework_id": {"value": "x"}}', JSON, 400, "Framework cannot be found"),
    ],
)
def test_what_the_scheduler_api_refuses(
    tmp_path: Path, body: str, headers: dict[str, str], status: int, text: str
) -> None:
    async def story(master: Master, session: aiohttp.ClientSession) -> None:
        url = f"http://127.0.0.1:{master.port}/master/api/v1/scheduler"
        async with session.post(url, data=body, headers=headers) as answer:
            assert answer.status == status
            assert (await answer.text()).startswith(text)

    with_master(tmp_path, story)


def test_a_disconnected_framework_may_not_call(tmp_path: Path) -> None:
    async def story(master: Master, session: aiohttp.ClientSession) -> None:
        url = f"http://127.0.0.1:{master.port}/api/v1/scheduler"
        scheduler = Scheduler(session, f"127.0.0.1:{master.port}")
        await scheduler.subscribe()
        await scheduler.close()
        framework = master.cluster.frameworks[scheduler.framework_id]
        await until(lambda: not framework.connected, "the master to notice")
        call = {"type": "REVIVE", "framework_id": scheduler.info["id"]}
        headers = {"Mesos-Stream-Id": scheduler.stream.stream_id}
        async with session.post(url, json=call, headers=headers) as answer:
            assert (answer.status, await answer.text()) == (403, "Framework is not subscribed")
        async with session.get(url) as answer:
            assert answer.status == 405

    with_master(tmp_path, story)


def test_heartbeats_come_as_often_as_announced(tmp_path: Path) -> None:
    async def story(master: Master, session: aiohttp.ClientSession) -> None:
        scheduler = Scheduler(session, f"127.0.0.1:{master.port}")
        await scheduler.subscribe()
        assert scheduler.stream.of("SUBSCRIBED")[0]["heartbeat_interval_seconds"] == 0.1
        await until(lambda: len(scheduler.stream.of("HEARTBEAT")) > 3, "heartbeats")
        await scheduler.close()

    with_master(tmp_path, story)


def test_an_agent_refuses_executors_until_it_has_recovered(tmp_path: Path) -> None:
    async def run() -> None:
        agent = Agent(AgentSettings("127.0.0.1:1", "127.0.0.1", 0, tmp_path, "cpus:1"))
        await agent.listen()
        ids = {"executor_id": {"value": "e"}, "framework_id": {"value": "f"}}
        subscribe = {"type": "SUBSCRIBE", **ids, "subscribe": {}}
        status = {"task_id": {"value": "t"}, "state": "TASK_RUNNING", "uuid": "x"}
        try:
            async with aiohttp.ClientSession() as session:
                for path in ("/api/v1/executor", "/slave(1)/api/v1/executor"):
                    url = f"http://127.0.0.1:{agent.port}{path}"
                    assert await _post(session, url, subscribe) == (503, "Agent has not finished recovery")
                await agent.recover()
                assert await _post(session, url, subscribe) == (400, "Framework cannot be found")
                assert await _post(session, url, {"type": "UPDATE", **ids}) == (
                    400,
                    "Failed to validate executor::Call: Expecting 'update' to be present",
                )
                assert await _post(session, url, {"type": "UPDATE", **ids, "update": {"status": status}}) == (
                    400,
                    "Failed to validate executor::Call: Expecting 'source' to be present",
                )
                assert await _post(session, url, {"type": "SUBSCRIBE", "subscribe": {}}) == (
                    400,
                    "Failed to convert JSON into Call protobuf: Missing required fields: executor_id, framework_id",
                )
        finally:
            await agent.stop()

    asyncio.run(run())


async def _post(session: aiohttp.ClientSession, url: str, call: Json) -> tuple[int, str]:
    async with session.post(url, json=call) as answer:
        return answer.status, await answer.text()
