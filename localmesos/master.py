"""The master process: settings, HTTP server, timers, leadership.

What it knows lies in `cluster`, what it decides in the modules named there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import struct
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from localmesos import VERSION, agent_api, agents, scheduler_api
from localmesos.cluster import Cluster, log
from localmesos.domains import parse_domain
from localmesos.faults import Ending, Fault, Maintenance, NoPorts, Rescind, WrongFault
from localmesos.faults_api import FaultsApi
from localmesos.operator_api import MasterOperatorApi
from localmesos.registry import Registry
from localmesos.serving import Server
from localmesos.zookeeper import Contender

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class MasterSettings:
    """Times in seconds; the defaults are Mesos's own, but for the offer interval."""

    ip: str
    port: int
    work_dir: Path
    hostname: str = ""
    domain: str = ""
    zookeeper: str | None = None
    heartbeat_seconds: float = 15.0
    agent_ping_timeout_seconds: float = 15.0
    max_agent_ping_timeouts: int = 5
    agent_reregister_timeout_seconds: float = 600.0
    offer_interval_seconds: float = 1.0
    credentials: Path | None = None
    registry: Path | None = None


def read_credentials(path: Path) -> dict[str, str]:
    """Secret by principal, from Mesos's JSON (`{"credentials": [{"principal": …, "secret": …}]}`) or from lines of
    `principal secret`; raises ValueError with one sentence."""
    text = path.read_text()
    try:
        if text.lstrip().startswith("{"):
            return {entry["principal"]: entry["secret"] for entry in json.loads(text)["credentials"]}
        return dict(line.split() for line in text.splitlines() if line.strip())
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"credentials file {path}: expected lines of 'principal secret' or a JSON object with 'credentials'"
        ) from None


def master_info(master_id: str, ip: str, port: int, hostname: str, domain: Json | None = None) -> Json:
    """MasterInfo; `ip` is a number in network byte order read as little-endian, as Mesos gives it."""
    return {
        "id": master_id,
        "ip": struct.unpack("<I", ipaddress.IPv4Address(ip).packed)[0],
        "port": port,
        "pid": f"master@{ip}:{port}",
        "hostname": hostname,
        "version": VERSION,
        "address": {"hostname": hostname, "ip": ip, "port": port},
        "capabilities": [{"type": "AGENT_UPDATE"}, {"type": "AGENT_DRAINING"}, {"type": "QUOTA_V2"}],
        **({"domain": domain} if domain else {}),
    }


class Master:
    """`await start()`, then `await stop()`; `lost_leadership` is set when ZooKeeper gave the lead to another: the
    process must end, as a real master does. `crashing` is set when a fault wants its end, `returns_in` tells if it
    comes back. `settings.port` 0 takes any free port, `port` tells which."""

    def __init__(self, settings: MasterSettings) -> None:
        self.settings = settings
        self.lost_leadership = asyncio.Event()
        self.crashing = asyncio.Event()
        self.returns_in: float | None = None
        self.started_at = time.time()
        self.elected_at: float | None = None
        self._credentials = read_credentials(settings.credentials) if settings.credentials else None
        self._domain = parse_domain(settings.domain)
        self._registry = Registry(settings.registry or settings.work_dir / "registry.json")
        self._server = Server(settings.ip, settings.port)
        self._timers: list[asyncio.Task[None]] = []
        self._contender: Contender | None = None
        self._info: Json = {}
        self._leader: Json | None = None

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        self._server.listen()
        self._info = master_info(
            str(uuid.uuid4()),
            self.settings.ip,
            self.port,
            self.settings.hostname or self.settings.ip,
            self._domain,
        )
        self.cluster = Cluster(self._info, self._registry)
        self._scheduler = scheduler_api.SchedulerApi(self.cluster, self._credentials, self.settings.heartbeat_seconds)
        self._agents = agent_api.AgentApi(
            self.cluster, self.settings.agent_ping_timeout_seconds, self.settings.max_agent_ping_timeouts
        )
        await self._server.serve(self._routes())
        log.info("Master %s listens on %s:%d.", self._info["id"], self.settings.ip, self.port)
        if self.settings.zookeeper is None:
            self._lead(self._info)
        else:
            self._contender = Contender(self.settings.zookeeper, self._info, self._lead)
            await self._contender.start()

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._contender is not None:
            await self._contender.stop()
        await self._server.stop()
        for framework in self.cluster.frameworks.values():
            if framework.failover is not None:
                framework.failover.cancel()

    @property
    def leads(self) -> bool:
        return self._leader is not None and self._leader["id"] == self._info["id"]

    def _lead(self, leader: Json | None) -> None:
        """The leader is known, or is not any more."""
        led = self.leads
        self._leader = leader
        if leader is None:
            log.info("No master leads.")
        elif not self.leads:
            log.info("Master %s leads, at %s:%d.", leader["id"], leader["address"]["ip"], leader["address"]["port"])
        if self.leads and not led:
            log.info("This master leads.")
            self.cluster.recover()
            self.elected_at = time.time()
            self._timers = [
                asyncio.create_task(_every(self.settings.offer_interval_seconds, self.cluster.allocate)),
                asyncio.create_task(_every(self.settings.agent_ping_timeout_seconds, self._agents.ping)),
                asyncio.create_task(self._forget_unreturned()),
            ]
        if led and not self.leads:
            log.error("This master no longer leads: it ends.")
            self.lost_leadership.set()

    async def _forget_unreturned(self) -> None:
        await asyncio.sleep(self.settings.agent_reregister_timeout_seconds)
        agents.forget_unreturned(self.cluster)

    def _routes(self) -> list[web.RouteDef]:
        operator = MasterOperatorApi(self.cluster, self)
        routes = [web.get("/health", _health), web.get("/master/health", _health)]
        schedulers = self._for_leader(self._scheduler.handle, "schedulers")
        routes += [web.route("*", path, schedulers) for path in scheduler_api.PATHS]
        routes.append(web.post(agent_api.PATH, self._for_leader(self._agents.register, "agents")))
        routes.append(web.post(agent_api.PATH + "/{agent_id}", self._for_leader(self._agents.receive, "agents")))
        routes += self._faults_api().routes()
        for prefix in ("", "/master"):
            routes.append(web.post(f"{prefix}/api/v1", self._for_leader(operator.call)))
            routes.append(web.get(f"{prefix}/state", self._for_leader(operator.state)))
            routes.append(web.get(f"{prefix}/redirect", self._redirect))
            routes.append(web.get(f"{prefix}/version", operator.version))
        return routes

    def _faults_api(self) -> FaultsApi:
        def rescind() -> None:
            self.cluster.withdraw(list(self.cluster.allocator.offers.values()), rescind=True)

        # Offers that are out would hide what these change.
        change = {NoPorts: rescind, Maintenance: rescind}
        return FaultsApi(
            "master", self.cluster.faults, end=self._crash, check=self._check, act={Rescind: rescind}, change=change
        )

    def _check(self, fault: Fault) -> None:
        if isinstance(fault, Maintenance):
            known = [
                (agent.agent_id, agent.info["ip"], agent.info["hostname"]) for agent in self.cluster.agents.values()
            ]
            if not any(fault.agent in names for names in known):
                there = ", ".join(ip for _, ip, _ in known) or "none"
                raise WrongFault(f"fault '{fault.name}': agent {fault.agent} is not registered; registered are {there}")

    async def _crash(self, fault: Ending) -> None:
        self.returns_in = fault.returns_in
        self.crashing.set()

    def _for_leader(self, handler: Handler, peer: str = "") -> Handler:
        """`peer`: whose packets these are, if a fault can drop them."""

        async def checked(request: web.Request) -> web.StreamResponse:
            await self.cluster.faults.heard(peer)
            if request.path in scheduler_api.PATHS:
                try:
                    self._scheduler.authenticate(request)
                except scheduler_api.Refused as refused:
                    return refused.response()
            if self._leader is None:
                return web.Response(status=503, text="No leader elected")
            if not self.leads:
                return _redirect_to(self._leader, request.path)
            if request.method != "POST" and request.path in scheduler_api.PATHS:
                return web.Response(status=405, headers={"Allow": "POST"})
            return await handler(request)

        return checked

    async def _redirect(self, request: web.Request) -> web.StreamResponse:
        return _redirect_to(self._leader or self._info, "")


async def _health(request: web.Request) -> web.StreamResponse:
    return web.Response(text="")


def _redirect_to(leader: Json, path: str) -> web.Response:
    """307 without a scheme, as Mesos answers: `//host:port/master/…`."""
    if path and not path.startswith(("/master/", "/internal/")):
        path = f"/master{path}"
    address = leader["address"]
    return web.Response(status=307, headers={"Location": f"//{address['hostname']}:{address['port']}{path}"})


async def _every(seconds: float, action: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            action()
        except Exception:
            log.exception("A defect: the periodic work failed; it goes on.")
