"""Faults switched on over `POST /faults`, on real masters and agents, as a scheduler sees them."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conformance.mesos_processes import FAST_PINGS, Localmesos, Machine, Scheduler, answers, play, scalar, shell, until
from localmesos import master_link
from localmesos.agent import Agent, AgentSettings
from localmesos.master import Master, MasterSettings

pytestmark = pytest.mark.localmesos
Json = dict[str, Any]
FOREVER = shell("sleep 1000")


async def ask(url: str, method: str, document: Json | None = None) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, f"{url}/faults", json=document) as answer:
        return answer.status, await answer.text()


async def fault(url: str, name: str, **parameters: Any) -> Json:
    status, text = await ask(url, "POST", {"fault": name, **parameters})
    assert status == 200, text
    document: Json = json.loads(text)
    return document


async def clear(url: str) -> None:
    assert await ask(url, "DELETE") == (200, '{"faults": []}')


def master_url(machine: Machine) -> str:
    return f"http://{machine.address}"


async def post(machine: Machine, scheduler: Scheduler, kind: str) -> tuple[int, str]:
    call = {"type": kind, "framework_id": scheduler.info["id"]}
    headers = {"Mesos-Stream-Id": scheduler.stream.stream_id}
    url = f"{master_url(machine)}/api/v1/scheduler"
    async with aiohttp.ClientSession() as session, session.post(url, json=call, headers=headers) as answer:
        return answer.status, await answer.text()


def offers(scheduler: Scheduler) -> list[Json]:
    return [offer for event in scheduler.stream.of("OFFERS") for offer in event["offers"]]


def names(offer: Json) -> set[str]:
    return {part["name"] for part in offer["resources"]}


async def running(scheduler: Scheduler, task_id: str = "one") -> Json:
    """A task that runs; the agent's id."""
    offer = await scheduler.launch(task_id, command=FOREVER)
    await scheduler.state(task_id, "TASK_RUNNING")
    agent_id: Json = offer["agent_id"]
    return agent_id


async def all_heard(scheduler: Scheduler) -> int:
    """How many events came before it got quiet: what was sent just before may still be on its way."""
    while True:
        heard = len(scheduler.stream.events)
        await asyncio.sleep(0.5)  # five heartbeats
        if len(scheduler.stream.events) == heard:
            return heard


def returned(agent: Localmesos, times: int = 1) -> bool:
    return agent.log.read_text().count("The agent listens on") > times


# what is asked for


def test_active_faults_are_listed_and_cleared(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        master, agent = master_url(machine), machine.agents[0].url
        assert await ask(master, "GET") == (200, '{"faults": []}')
        assert await fault(master, "no-ports") == {"fault": "no-ports"}
        assert await fault(agent, "drop-packets", peer="executors") == {"fault": "drop-packets", "peer": "executors"}
        listed = [json.loads((await ask(url, "GET"))[1]) for url in (master, agent)]
        assert listed == [
            {"faults": [{"fault": "no-ports"}]},
            {"faults": [{"fault": "drop-packets", "peer": "executors"}]},
        ]
        for url in (master, agent):
            await clear(url)
            assert await ask(url, "GET") == (200, '{"faults": []}')

    play(tmp_path, story)


def test_a_wrong_fault_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.offer()
        master = master_url(machine)
        assert await ask(master, "POST", {"fault": "answer", "status": 200}) == (
            400,
            "fault 'answer': status 200 is not allowed; give 400 to 599.",
        )
        assert await ask(master, "POST", {"fault": "maintenance", "agent": "127.0.0.99"}) == (
            400,
            "fault 'maintenance': agent 127.0.0.99 is not registered; registered are 127.0.0.11.",
        )
        status, text = await ask(machine.agents[0].url, "POST", {"fault": "rescind"})
        assert (status, text) == (400, "fault 'rescind' is none of this agent's: away, drop-packets, kill, reboot.")
        async with aiohttp.ClientSession() as session, session.post(f"{master}/faults", data="{") as answer:
            assert answer.status == 400
            assert (await answer.text()).startswith("the body is no JSON: ")

    play(tmp_path, story)


# agents


def test_a_killed_agent_leaves_its_tasks_and_does_not_return_by_itself(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        processes, agent = await machine.settled(), machine.agents[0]
        await fault(agent.url, "kill")
        assert agent.process is not None
        assert agent.process.wait(60) == -signal.SIGKILL
        assert machine.processes() == processes
        agent.start()
        assert (await scheduler.reconcile("one"))["state"] == "TASK_RUNNING"

    play(tmp_path, story)


def test_an_agent_away_for_less_than_the_pings_last(tmp_path: Path) -> None:
    """Nothing is heard of it, and it is the same agent with the same processes."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        agent_id = await running(scheduler)
        processes, agent = await machine.settled(), machine.agents[0]
        assert agent.process is not None
        pid = agent.process.pid
        count = len(scheduler.stream.of("UPDATE"))
        await fault(agent.url, "away", seconds=0.2)
        await until(lambda: returned(agent), "the agent's return")
        await until(lambda: "Registered again" in agent.log.read_text(), "the agent's registration")
        assert (agent.process.pid, agent.runs) == (pid, True)
        assert (await scheduler.offer())["agent_id"] == agent_id
        assert machine.processes() == processes
        assert scheduler.stream.states("one")[count:] == []

    play(tmp_path, story)


def test_an_agent_away_for_longer_than_the_pings_last(tmp_path: Path) -> None:
    """C26: TASK_UNREACHABLE, then the same task again."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        agent_id = await running(scheduler)
        processes, agent = await machine.settled(), machine.agents[0]
        begun = time.monotonic()
        await fault(agent.url, "away", seconds=6)
        lost = await scheduler.state("one", "TASK_UNREACHABLE")
        assert (lost["reason"], lost["agent_id"]) == ("REASON_AGENT_REMOVED", agent_id)
        await until(lambda: _of_reason(scheduler, "REASON_AGENT_REREGISTERED"), "the task back")
        assert time.monotonic() - begun >= 6
        assert [status["state"] for status in _of_reason(scheduler, "REASON_AGENT_REREGISTERED")] == ["TASK_RUNNING"]
        assert machine.processes() == processes

    play(tmp_path, story, *FAST_PINGS)


def _of_reason(scheduler: Scheduler, reason: str) -> list[Json]:
    return [status for status in scheduler.stream.statuses("one") if status.get("reason") == reason]


def test_a_rebooted_agent_is_a_new_one_and_its_tasks_are_gone(tmp_path: Path) -> None:
    """C26: TASK_GONE, though nobody said goodbye."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        agent_id = await running(scheduler)
        agent = machine.agents[0]
        await fault(agent.url, "reboot")
        gone = await scheduler.state("one", "TASK_GONE")
        assert (gone["reason"], gone["agent_id"]) == ("REASON_AGENT_REMOVED", agent_id)
        assert machine.processes() == []
        assert scheduler.stream.states("one") == ["TASK_STARTING", "TASK_RUNNING", "TASK_GONE"]
        offer = await scheduler.offer(cpus=2.0)
        await until(lambda: offers(scheduler)[-1]["agent_id"] != agent_id, "an offer of the new agent")
        assert scheduler.stream.of("FAILURE") == [{"agent_id": agent_id}]
        assert offer["hostname"] == "127.0.0.11"

    play(tmp_path, story)


# packets


def test_a_masters_packets_to_schedulers_are_dropped(tmp_path: Path) -> None:
    """Half-open: the stream stays, is silent, calls get no answer; later all comes."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        master = master_url(machine)
        await fault(master, "drop-packets", peer="schedulers")
        heard = await all_heard(scheduler)
        asked = asyncio.create_task(post(machine, scheduler, "REVIVE"))
        machine.agents[0].end()
        await until(lambda: "unreachable" in machine.master.log.read_text(), "the master to give up the agent")
        assert (len(scheduler.stream.events), scheduler.stream.closed, asked.done()) == (heard, False, False)
        async with aiohttp.ClientSession() as session, session.get(f"{master}/health") as answer:
            assert answer.status == 200
        await clear(master)
        assert (await asked)[0] == 202
        await scheduler.state("one", "TASK_UNREACHABLE")

    play(tmp_path, story, *FAST_PINGS, "--heartbeat-seconds", "0.1")


def test_a_master_does_not_hear_that_a_scheduler_leaves(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.offer()
        master = master_url(machine)
        await fault(master, "drop-packets", peer="schedulers")
        await scheduler.close()
        async with aiohttp.ClientSession() as session:
            for _ in range(5):
                async with session.get(f"{master}/state") as answer:
                    assert [one["connected"] for one in (await answer.json())["frameworks"]] == [True]
        again = asyncio.create_task(scheduler.subscribe())
        await clear(master)
        await until(lambda: "Disconnected framework" in machine.master.log.read_text(), "the master to hear it")
        await again
        assert await scheduler.offer()

    play(tmp_path, story)


@pytest.mark.parametrize("where", ["master", "agent"])
def test_packets_between_master_and_agent_are_dropped(tmp_path: Path, where: str) -> None:
    """The master sees no end of the connection, only pings without answer; the scheduler is not touched."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        processes, agent = await machine.settled(), machine.agents[0]
        url, peer = (master_url(machine), "agents") if where == "master" else (agent.url, "master")
        await fault(url, "drop-packets", peer=peer)
        await scheduler.state("one", "TASK_UNREACHABLE")
        assert "Disconnected agent" not in machine.master.log.read_text()
        await until(lambda: "it is silent" in agent.log.read_text(), "the agent to notice")
        assert "it ended the link" not in agent.log.read_text()
        await clear(url)
        await until(lambda: _of_reason(scheduler, "REASON_AGENT_REREGISTERED"), "the task back")
        assert machine.processes() == processes

    play(tmp_path, story, *FAST_PINGS)


def test_packets_between_agent_and_executors_are_dropped(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        agent = machine.agents[0].url
        await fault(agent, "drop-packets", peer="executors")
        await scheduler.call("KILL", {"task_id": {"value": "one"}})
        for number in range(3):
            await scheduler.reconcile(f"ghost{number}")
        assert scheduler.stream.states("one")[-1] == "TASK_RUNNING"
        await clear(agent)
        await scheduler.state("one", "TASK_KILLED")

    play(tmp_path, story)


def test_a_link_lives_through_a_quiet_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master's pings may be further apart than what an answer may take."""
    monkeypatch.setattr(master_link, "SEND_SECONDS", 0.2)

    async def run() -> None:
        master = Master(MasterSettings("127.0.0.1", 0, tmp_path / "master", agent_ping_timeout_seconds=0.7))
        await master.start()
        agent = Agent(AgentSettings(f"127.0.0.1:{master.port}", "127.0.0.1", 0, tmp_path / "agent", "cpus:1"))
        await agent.start()
        try:
            await until(lambda: master.cluster.agents, "the registration")
            (known,) = master.cluster.agents.values()
            first = known.last_pong
            await until(lambda: known.last_pong > first + 1, "two pings")
            assert known.reregistered_at is None
        finally:
            await agent.stop()
            await master.stop()

    asyncio.run(run())


# the master


def test_a_master_away_comes_back_by_itself(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        processes = await machine.settled()
        await fault(master_url(machine), "away", seconds=0.3)
        await until(lambda: scheduler.stream.closed, "the end of the stream")
        await answers(f"{master_url(machine)}/health")
        await scheduler.subscribe()
        await until(lambda: offers(scheduler), "an offer")
        assert (await scheduler.reconcile("one"))["state"] == "TASK_RUNNING"
        assert machine.processes() == processes

    play(tmp_path, story)


def test_all_offers_are_rescinded(tmp_path: Path) -> None:
    """C13. And TASK_DROPPED for whoever accepts one of them."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.offer()
        await fault(master_url(machine), "rescind")
        await until(lambda: scheduler.stream.of("RESCIND") == [{"offer_id": offer["id"]}], "the rescission")
        again = await until(lambda: offers(scheduler)[1:], "the next offer")
        assert again[0]["resources"] == offer["resources"]
        launch = {
            "name": "late",
            "task_id": {"value": "late"},
            "agent_id": offer["agent_id"],
            "resources": [scalar("cpus", 0.1)],
            "command": FOREVER,
        }
        operations = [{"type": "LAUNCH", "launch": {"task_infos": [launch]}}]
        await scheduler.call("ACCEPT", {"offer_ids": [offer["id"]], "operations": operations})
        dropped = await scheduler.state("late", "TASK_DROPPED")
        assert dropped["reason"] == "REASON_INVALID_OFFERS"

    play(tmp_path, story)


def test_offers_without_ports(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        first = await scheduler.offer()
        assert "ports" in names(first)
        await fault(master_url(machine), "no-ports", seconds=1.5)
        await until(lambda: len(offers(scheduler)) >= 2, "the next offer")
        assert names(offers(scheduler)[1]) == names(first) - {"ports"}
        await until(lambda: len(offers(scheduler)) >= 3, "the offer after the fault")
        assert offers(scheduler)[2]["resources"] == first["resources"]
        rescinded = [entry["offer_id"] for entry in scheduler.stream.of("RESCIND")]
        assert rescinded == [offer["id"] for offer in offers(scheduler)[:2]]

    play(tmp_path, story)


def test_an_agent_in_maintenance(tmp_path: Path) -> None:
    """C17."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        first = await scheduler.offer()
        assert "unavailability" not in first
        now = time.time()
        await fault(master_url(machine), "maintenance", agent="127.0.0.11", starts_in=60, lasting=600)
        await until(lambda: len(offers(scheduler)) >= 2, "the next offer")
        told = offers(scheduler)[1]["unavailability"]
        assert told["duration"] == {"nanoseconds": 600_000_000_000}
        assert 50 < told["start"]["nanoseconds"] / 1e9 - now < 70
        await clear(master_url(machine))
        await until(lambda: len(offers(scheduler)) >= 3, "the offer after the maintenance")
        assert "unavailability" not in offers(scheduler)[2]

    play(tmp_path, story)


def test_updates_come_twice(tmp_path: Path) -> None:
    """C23."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await fault(master_url(machine), "duplicate-updates")
        await running(scheduler)
        await until(lambda: len(scheduler.stream.statuses("one")) >= 4, "all updates")
        statuses = scheduler.stream.statuses("one")
        assert [status["state"] for status in statuses] == ["TASK_STARTING"] * 2 + ["TASK_RUNNING"] * 2
        assert statuses[0] == statuses[1]
        assert statuses[2] == statuses[3]

    # The agent itself says nothing twice, however late it hears that it was understood.
    play(tmp_path, story, agent_options=("--update-retry-seconds", "60"))


def test_updates_come_late(tmp_path: Path) -> None:
    """C22."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await fault(master_url(machine), "delay-updates", by=0.4)
        begun = time.monotonic()
        await scheduler.launch("one", command=FOREVER)
        await until(lambda: "one of framework" in machine.master.log.read_text(), "the launch")
        await scheduler.state("one", "TASK_STARTING")
        assert time.monotonic() - begun >= 0.4
        await scheduler.state("one", "TASK_RUNNING")
        assert time.monotonic() - begun >= 0.8

    play(tmp_path, story)


def test_a_launch_is_lost_on_its_way_to_the_agent(tmp_path: Path) -> None:
    """C22: no update ever; C26: TASK_DROPPED when the agent registers again."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await fault(master_url(machine), "lose-launches", calls=1)
        taken = await scheduler.launch("lost", command=FOREVER)
        await until(lambda: offers(scheduler)[-1]["id"] != taken["id"], "the next offer")
        await scheduler.launch("arrives", command=FOREVER)
        await scheduler.state("arrives", "TASK_RUNNING")
        assert scheduler.stream.statuses("lost") == []
        assert (await scheduler.reconcile("lost"))["state"] == "TASK_STAGING"
        await fault(machine.agents[0].url, "away", seconds=0)
        dropped = await scheduler.state("lost", "TASK_DROPPED")
        assert (dropped["source"], dropped["reason"]) == ("SOURCE_AGENT", "REASON_RECONCILIATION")

    play(tmp_path, story)


def test_lost_instead_of_unreachable(tmp_path: Path) -> None:
    """C26: TASK_LOST, to a scheduler that is PARTITION_AWARE."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        await fault(master_url(machine), "task-lost")
        await fault(machine.agents[0].url, "kill")
        lost = await scheduler.state("one", "TASK_LOST")
        assert lost["reason"] == "REASON_AGENT_REMOVED"
        assert (await scheduler.reconcile("ghost"))["state"] == "TASK_LOST"

    play(tmp_path, story, *FAST_PINGS)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, "Master has not finished recovery"),
        (401, "401 Unauthorized."),
        (403, "Forbidden"),
        (500, "Internal Server Error"),
    ],
)
def test_calls_are_answered_with_an_error(tmp_path: Path, status: int, text: str) -> None:
    """C8, C12. Neither the stream nor SUBSCRIBE is touched, and the call is not done."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await fault(master_url(machine), "answer", status=status, to="calls", calls=2)
        assert [await post(machine, scheduler, "TEARDOWN") for _ in range(2)] == [(status, text)] * 2
        assert (await post(machine, scheduler, "REVIVE"))[0] == 202
        assert (await scheduler.reconcile("ghost"))["state"] == "TASK_UNKNOWN"

    play(tmp_path, story)


def test_subscribe_is_answered_with_an_error(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await fault(master_url(machine), "answer", status=503, to="subscribe")
        assert (await post(machine, scheduler, "REVIVE"))[0] == 202
        call = {
            "type": "SUBSCRIBE",
            "framework_id": scheduler.info["id"],
            "subscribe": {"framework_info": scheduler.info},
        }
        url = f"{master_url(machine)}/api/v1/scheduler"
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json=call) as answer:
                assert (answer.status, await answer.text()) == (503, "Master has not finished recovery")
            assert not scheduler.stream.closed
            await clear(master_url(machine))
            await scheduler.subscribe()

    play(tmp_path, story)


def test_an_operator_tears_a_framework_down(tmp_path: Path) -> None:
    """C10."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await running(scheduler)
        url = f"{master_url(machine)}/api/v1"
        call = {"type": "TEARDOWN", "teardown": {"framework_id": scheduler.info["id"]}}
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json=call) as answer:
                assert answer.status == 200
            await until(lambda: scheduler.stream.closed, "the end of the stream")
            await until(lambda: not machine.processes(), "the end of the framework's executors")
            async with session.post(url, json=call) as answer:
                assert answer.status == 400
                assert "No framework found with specified ID" in await answer.text()
        await scheduler.subscribe()
        assert scheduler.stream.of("ERROR") == [{"message": "Framework has been removed"}]

    play(tmp_path, story)


# volumes

LABELS = {"labels": [{"key": "slot", "value": "worker-0"}]}
RESERVED = scalar("disk", 64, reservations=[{"type": "DYNAMIC", "role": "test-role", "labels": LABELS}])
VOLUME = {
    **RESERVED,
    "disk": {
        "persistence": {"id": "kept", "principal": "user"},
        "volume": {"container_path": "tier/ssd", "mode": "RW"},
    },
}
MAKE = [
    {"type": "RESERVE", "id": {"value": "reserve"}, "reserve": {"resources": [RESERVED]}},
    {"type": "CREATE", "id": {"value": "create"}, "create": {"volumes": [VOLUME]}},
]


async def finish_operations(scheduler: Scheduler, count: int) -> None:
    """Waits for the feedback and acknowledges it."""
    events = await until(
        lambda: scheduler.stream.of("UPDATE_OPERATION_STATUS")[count - 1 :], f"the feedback to {count} operations"
    )
    assert events
    for event in scheduler.stream.of("UPDATE_OPERATION_STATUS")[:count]:
        status = event["status"]
        assert status["state"] == "OPERATION_FINISHED"
        call = {name: status[name] for name in ("agent_id", "operation_id")} | {"uuid": status["uuid"]["value"]}
        await scheduler.call("ACKNOWLEDGE_OPERATION_STATUS", call)


def with_volume(task_id: str, offer: Json, **more: Any) -> Json:
    return {
        "name": task_id,
        "task_id": {"value": task_id},
        "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", 0.1), VOLUME],
        **more,
    }


async def accept(scheduler: Scheduler, offer: Json, *operations: Json) -> None:
    content = {"offer_ids": [offer["id"]], "operations": list(operations), "filters": {"refuse_seconds": 0}}
    await scheduler.call("ACCEPT", content)


def launch_of(*tasks: Json) -> Json:
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}


def disks(offer: Json) -> list[Json]:
    return [part for part in offer["resources"] if "disk" in part]


async def offer_with_volume(scheduler: Scheduler, since: int = 0) -> Json:
    found: list[Json] = await until(
        lambda: [offer for offer in offers(scheduler)[since:] if disks(offer)], "an offer with the volume"
    )
    return found[-1]


def test_reserve_create_and_launch_in_one_call(tmp_path: Path) -> None:
    """The volume outlives the task's end, and the offer shows it with its labels."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.offer()
        write = with_volume("writes", offer, command=shell("echo text > tier/ssd/file; test -L tier/ssd"))
        await accept(scheduler, offer, *MAKE, launch_of(write))
        await scheduler.state("writes", "TASK_FINISHED")
        await finish_operations(scheduler, 2)
        offer = await offer_with_volume(scheduler)
        assert disks(offer) == [{**VOLUME, "allocation_info": {"role": "test-role"}}]
        read = with_volume("reads", offer, command=shell("grep text tier/ssd/file"))
        await accept(scheduler, offer, launch_of(read))
        await scheduler.state("reads", "TASK_FINISHED")

    play(tmp_path, story)


def test_a_volume_outlives_executor_agent_and_reboot_until_it_is_destroyed(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        agent = machine.agents[0]
        offer = await scheduler.offer()
        # An executor of its own, which is killed.
        await accept(scheduler, offer, *MAKE, launch_of(with_volume("dies", offer, executor=executor(tmp_path))))
        await scheduler.state("dies", "TASK_RUNNING")
        await finish_operations(scheduler, 2)
        file = tmp_path / "127.0.0.11" / "volumes" / "roles" / "test-role" / "kept" / "file"
        file.write_text("text")
        machine.signal(signal.SIGKILL)
        await scheduler.state("dies", "TASK_FAILED")
        before = await offer_with_volume(scheduler)
        # The agent restarts with its id, then as another after a reboot.
        seen = len(offers(scheduler))
        await fault(agent.url, "away", seconds=0)
        same = await offer_with_volume(scheduler, seen)
        assert (same["agent_id"], disks(same)) == (before["agent_id"], disks(before))
        seen = len(offers(scheduler))
        await fault(agent.url, "reboot")
        other = await offer_with_volume(scheduler, seen)
        assert other["agent_id"] != before["agent_id"]
        assert disks(other) == disks(before)
        assert file.read_text() == "text"
        # Given back: nothing is left of it.
        plain = {name: value for name, value in VOLUME.items() if name != "disk"}
        await accept(
            scheduler,
            other,
            {"type": "DESTROY", "id": {"value": "destroy"}, "destroy": {"volumes": [VOLUME]}},
            {"type": "UNRESERVE", "id": {"value": "unreserve"}, "unreserve": {"resources": [plain]}},
        )
        await finish_operations(scheduler, 4)
        await until(lambda: offers(scheduler)[-1]["id"] != other["id"], "the next offer")
        assert not disks(offers(scheduler)[-1])
        assert [part["scalar"]["value"] for part in offers(scheduler)[-1]["resources"] if part["name"] == "disk"] == [
            1000
        ]
        assert not file.exists()

    play(tmp_path, story)


def test_a_volume_outlives_the_end_of_its_agent_if_it_still_fits(tmp_path: Path) -> None:
    """SIGUSR1, as `local down` ends agents: the next one on the work folder is new and has the volume."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        agent = machine.agents[0]
        offer = await scheduler.offer()
        await accept(scheduler, offer, *MAKE)
        await finish_operations(scheduler, 2)
        await offer_with_volume(scheduler)
        assert agent.end(signal.SIGUSR1) == 0
        own, place = agent.arguments, agent.arguments.index("--resources") + 1
        agent.arguments = (*own[:place], "cpus:2;mem:1024;disk:50", *own[place + 1 :])
        agent.start()
        assert agent.process is not None
        assert agent.process.wait(60) == 5
        sentence = "the reservations and volumes here do not fit (disk:64 is more than cpus:2; mem:1024; disk:50)"
        assert sentence in agent.log.read_text()
        agent.arguments = (*own[:place], "cpus:2;mem:1024;disk:100", *own[place + 1 :])
        seen = len(offers(scheduler))
        agent.start()
        other = await offer_with_volume(scheduler, seen)
        assert other["agent_id"] != offer["agent_id"]
        assert [part["scalar"]["value"] for part in other["resources"] if part["name"] == "disk"] == [64, 36]

    play(tmp_path, story)


def executor(folder: Path) -> Json:
    shutil.copy(Path(__file__).with_name("trace_executor.py"), folder)
    return {
        "executor_id": {"value": "executor"},
        "command": {
            "value": "python3 trace_executor.py",
            "uris": [{"value": str(folder / "trace_executor.py")}],
            "environment": {"variables": [{"name": "TRACE_OUT", "value": str(folder)}]},
        },
        "resources": [scalar("cpus", 0.1)],
    }
