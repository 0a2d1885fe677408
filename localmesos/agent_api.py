"""The master's side of the link to its agents. The protocol is this package's own:

POST /internal/agents            an agent's registration; the answer is a RecordIO stream of the master's messages,
                                 first REGISTERED {agent_id, ping_seconds, silence_seconds} or SHUTDOWN {message}
POST /internal/agents/<agent id> a JSON list of the agent's messages, with the header Localmesos-Link naming the stream
"""

from __future__ import annotations

import uuid

from aiohttp import web

from localmesos import agents
from localmesos.cluster import Agent, Cluster
from localmesos.streams import EventStream

PATH = "/internal/agents"
LINK_HEADER = "Localmesos-Link"


class AgentApi:
    def __init__(self, cluster: Cluster, ping_seconds: float, ping_count: int) -> None:
        self._cluster = cluster
        self._ping_seconds = ping_seconds
        self._silence_seconds = ping_seconds * ping_count
        self._links: dict[str, EventStream] = {}

    def ping(self) -> None:
        """To be called every `ping_seconds`: pings every agent, gives up those that have been silent for too long."""
        now = self._cluster.now()
        for agent in list(self._cluster.agents.values()):
            if now - agent.last_pong >= self._silence_seconds:
                agents.mark_unreachable(self._cluster, agent)
            else:
                agent.send({"type": "PING"})

    async def register(self, request: web.Request) -> web.StreamResponse:
        registration = await request.json()
        faults = self._cluster.faults
        link, link_id = EventStream(lambda: faults.heard("agents")), str(uuid.uuid4())
        pings = {"ping_seconds": self._ping_seconds, "silence_seconds": self._silence_seconds}
        agent = agents.register(self._cluster, registration, link, pings)
        if agent is None:
            link.send({"type": "SHUTDOWN", "message": "the agent was marked gone"})
            link.close()
            return await link.serve(request, {})
        self._links[link_id] = link
        self._cluster.allocate()
        try:
            return await link.serve(request, {LINK_HEADER: link_id})
        finally:
            faults.once_heard("agents", lambda: self._disconnected(agent, link, link_id))

    def _disconnected(self, agent: Agent, link: EventStream, link_id: str) -> None:
        del self._links[link_id]
        agents.disconnected(self._cluster, agent, link)

    async def receive(self, request: web.Request) -> web.Response:
        messages = await request.json()
        agent = self._cluster.agents.get(request.match_info["agent_id"])
        link = self._links.get(request.headers.get(LINK_HEADER, ""))
        if agent is None or link is None or agent.link is not link:
            return web.Response(status=409, text="This link is over: register again.")
        for message in messages:
            if agent.agent_id not in self._cluster.agents:
                break
            agents.received(self._cluster, agent, message)
        return web.Response(status=202)
