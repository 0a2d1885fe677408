"""Several masters behind a real ZooKeeper, and authentication, as recorded in `ha-and-auth.json`."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import struct
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kazoo.client import KazooClient

from conformance.mesos_processes import (
    Localmesos,
    Machine,
    Scheduler,
    answers,
    shell,
    until,
)
from conformance.mesos_unify import Variables, unify
from ports import held_port
from zookeeper_server import ZooKeeperServer

pytestmark = [pytest.mark.localmesos, pytest.mark.zookeeper, pytest.mark.timeout(180)]
Json = dict[str, Any]
MASTERS = 3
FRAMEWORK = {"user": "root", "name": "trace", "roles": ["trace-role"], "principal": "user"}


class Masters:
    """Three masters, the first one started leads."""

    def __init__(self, folder: Path, zookeeper: str, path: str) -> None:
        self.zookeeper, self.path = zookeeper, path
        credentials = folder / "credentials"
        credentials.write_text(json.dumps({"credentials": [{"principal": "user", "secret": "right"}]}))
        self.ports = [held_port() for _ in range(MASTERS)]
        self.processes = [
            Localmesos(
                folder / f"master{port}.log",
                *("master", "--port", str(port), "--work-dir", str(folder / f"master{port}")),
                *("--zookeeper", f"{zookeeper}{path}", "--registry", str(folder / "registry.json")),
                *("--credentials", str(credentials), "--offer-interval", "0.1"),
            )
            for port in self.ports
        ]

    async def start(self) -> None:
        for port, process in zip(self.ports, self.processes, strict=True):
            process.start()
            await answers(f"http://127.0.0.1:{port}/health")
            await until(lambda process=process: "leads" in process.log.read_text(), "the election")

    def end(self) -> None:
        for process in self.processes:
            if process.runs:
                process.end(signal.SIGKILL)

    def url(self, index: int) -> str:
        return f"http://127.0.0.1:{self.ports[index]}/api/v1/scheduler"


def credential(secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'user:{secret}'.encode()).decode()}"}


async def subscribe(session: aiohttp.ClientSession, url: str, headers: dict[str, str], info: Json) -> Json:
    """As the trace has it: status, headers, body."""
    call: Json = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
    if "id" in info:
        call["framework_id"] = info["id"]
    answer = await session.post(url, json=call, headers=headers, allow_redirects=False)
    body = "<stream>" if answer.status == 200 else await answer.text()
    answer.close()
    return {"status": answer.status, "headers": dict(answer.headers), "body": body}


def test_znodes_redirects_and_refusals_are_the_recorded_ones(
    zookeeper: ZooKeeperServer, traces: Path, tmp_path: Path
) -> None:
    trace = json.loads((traces / "ha-and-auth.json").read_text())
    masters = Masters(tmp_path, zookeeper.address, "/recorded")

    async def run() -> None:
        await masters.start()
        variables = Variables()
        # In the trace the third master leads.
        order = [1, 2, 0]
        for recorded, index in zip((5350, 5450, 5550), order, strict=True):
            variables.bind(str(recorded), str(masters.ports[index]), "port")
        async with aiohttp.ClientSession() as session:
            for case in trace["subscribe"]:
                index = order[int(case["case"][7]) - 1] if case["case"].startswith("master ") else 0
                secret = "wrong" if "bad" in case["case"] else "right"
                headers = credential(secret) if case["headers_sent"] else {}
                got = await subscribe(session, masters.url(index), headers, _framework_info(case["case"]))
                expected = {name: case[name] for name in ("status", "headers", "body")}
                got["headers"].pop("Server", None)
                unify(expected, got, variables, case["case"])
        client = KazooClient(zookeeper.address)
        client.start()
        try:
            names = sorted(name for name in client.get_children("/recorded") if name.startswith("json.info_"))
            infos = [json.loads(client.get(f"/recorded/{name}")[0]) for name in names]
        finally:
            client.stop()
            client.close()
        assert len(names[0].removeprefix("json.info_")) == 10
        recorded_infos = [info for path, info in sorted(trace["zookeeper"].items()) if "json.info_" in path]
        recorded_infos = [recorded_infos[0], *reversed(recorded_infos[1:])]
        unify(recorded_infos, infos, variables, "znodes")

    try:
        asyncio.run(run())
    finally:
        masters.end()


def _framework_info(case: str) -> Json:
    match case:
        case "another principal in FrameworkInfo":
            return {**FRAMEWORK, "principal": "other"}
        case "FrameworkInfo without a name":
            return {name: value for name, value in FRAMEWORK.items() if name != "name"}
        case "no roles, no user":
            return {name: value for name, value in FRAMEWORK.items() if name not in ("roles", "user")}
        case "an id never issued":
            return {**FRAMEWORK, "id": {"value": "never-issued"}}
    return FRAMEWORK


def test_the_leader_dies_and_everything_moves_on(zookeeper: ZooKeeperServer, tmp_path: Path) -> None:
    """The others redirect to the dead leader until its session has expired; then agents and framework find the next
    one, and the task runs on."""
    masters = Masters(tmp_path, zookeeper.address, "/failover")

    async def run() -> None:
        await masters.start()
        machine = Machine(tmp_path)
        try:
            await machine.add_agent(master=f"zk://{zookeeper.address}/failover")
            async with aiohttp.ClientSession(headers=credential("right")) as session:
                scheduler = Scheduler(session, f"127.0.0.1:{masters.ports[0]}", principal="user")
                await scheduler.subscribe()
                agent_id = (await scheduler.launch("one", command=shell("sleep 1000")))["agent_id"]
                await scheduler.state("one", "TASK_RUNNING")
                processes = await machine.settled()
                agent = machine.agents[0].process
                assert agent is not None
                agent.send_signal(signal.SIGSTOP)  # it comes back when the test wants it to
                masters.processes[0].end(signal.SIGKILL)
                await until(lambda: scheduler.stream.closed, "the end of the stream")
                redirect = await subscribe(session, masters.url(1), {}, scheduler.info)
                assert redirect["status"] == 307
                dead = f"//127.0.0.1:{masters.ports[0]}/master/api/v1/scheduler"
                assert redirect["headers"]["Location"] == dead
                log = masters.processes[1].log
                await until(lambda: "This master leads" in log.read_text(), "the next leader")
                await scheduler.close()
                successor = Scheduler(session, f"127.0.0.1:{masters.ports[1]}", **scheduler.info)
                await successor.subscribe()
                assert successor.framework_id == scheduler.framework_id
                # The agent is still expected: nothing is said of its task, though of one that nobody knows.
                await successor.call("RECONCILE", {"tasks": [{"task_id": {"value": "one"}, "agent_id": agent_id}]})
                assert (await successor.reconcile("nobody's"))["state"] == "TASK_UNKNOWN"
                assert successor.stream.statuses("one") == []
                agent.send_signal(signal.SIGCONT)
                await successor.offer()
                assert (await successor.reconcile("one"))["state"] == "TASK_RUNNING"
                assert machine.processes() == processes
                await successor.close()
        finally:
            machine.master = masters.processes[0]
            await machine.__aexit__()

    try:
        asyncio.run(run())
    finally:
        masters.end()


def test_a_leader_that_lost_its_session_ends(zookeeper: ZooKeeperServer, tmp_path: Path) -> None:
    """As a real master does: whoever supervises it starts it again."""
    masters = Masters(tmp_path, zookeeper.address, "/expired")

    async def run() -> None:
        await masters.start()
        leader = masters.processes[0].process
        assert leader is not None
        leader.send_signal(signal.SIGSTOP)
        await until(lambda: "This master leads" in masters.processes[1].log.read_text(), "the next leader")
        leader.send_signal(signal.SIGCONT)
        await until(lambda: leader.poll() is not None, "the end of the old leader")
        assert leader.returncode == 1

    try:
        asyncio.run(run())
    finally:
        masters.end()


def test_a_leader_away_comes_back_as_another_candidate(zookeeper: ZooKeeperServer, tmp_path: Path) -> None:
    """The fault `away`: another leads when the dead one's session has expired, and the lead does not come back."""
    masters = Masters(tmp_path, zookeeper.address, "/away")

    async def run() -> None:
        await masters.start()
        url = f"http://127.0.0.1:{masters.ports[0]}"
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/faults", json={"fault": "away", "seconds": 0}) as answer:
                assert answer.status == 200
            await until(lambda: "This master leads" in masters.processes[1].log.read_text(), "the next leader")
            await answers(f"{url}/health")
            await until(
                lambda: f"leads, at 127.0.0.1:{masters.ports[1]}" in masters.processes[0].log.read_text(),
                "the old leader to know",
            )
        assert masters.processes[0].runs

    try:
        asyncio.run(run())
    finally:
        masters.end()


def test_master_info_writes_addresses_as_mesos_does() -> None:
    from localmesos.master import master_info

    info = master_info("id", "10.1.2.3", 5050, "host")
    assert info["ip"] == struct.unpack("<I", bytes((10, 1, 2, 3)))[0]
    assert info["pid"] == "master@10.1.2.3:5050"
    assert info["address"] == {"hostname": "host", "ip": "10.1.2.3", "port": 5050}
