"""The agent's link to its master ends when it is told to, whatever arrives at that very moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from localmesos.agent_api import LINK_HEADER, PATH
from localmesos.master_link import MasterLink
from localmesos.recordio import encode

REGISTERED = {"type": "REGISTERED", "agent_id": "S1", "silence_seconds": 60.0}


@pytest.mark.parametrize("turns", range(6))
def test_a_message_that_arrives_as_the_link_is_stopped_does_not_keep_it(turns: int) -> None:
    """A rebooted agent stops its link just after its last task's update was acknowledged."""

    async def play() -> None:
        async def serve(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse(headers={LINK_HEADER: "1"})
            await answer.prepare(request)
            await answer.write(encode(REGISTERED))
            await asyncio.sleep(60)
            return answer

        application = web.Application()
        application.add_routes([web.post(PATH, serve)])
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        received: list[Any] = []
        held: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        calls = 0

        async def heard() -> None:
            """The first read of a message is held until the test lets it go."""
            nonlocal calls
            calls += 1
            if calls == 2:
                gate = asyncio.get_running_loop().create_future()
                held.put_nowait(gate)
                await gate

        link = MasterLink(f"127.0.0.1:{port}", dict, received.append, lambda: None, heard)
        await link.start()
        gate = await asyncio.wait_for(held.get(), 60)
        gate.set_result(None)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(link.stop(), 60)
        await runner.cleanup()

    asyncio.run(play())
