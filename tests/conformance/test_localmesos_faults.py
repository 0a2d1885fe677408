"""What the recordings do not show: killed, stopped and returning masters and agents, executors that misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conformance.mesos_processes import FAST_PINGS, Localmesos, Machine, Scheduler, answers, play, scalar, shell, until

pytestmark = pytest.mark.localmesos
Json = dict[str, Any]
FOREVER = shell("sleep 1000")


def trace_executor(folder: Path, executor_id: str = "executor", command: str = "") -> Json:
    """An executor that does as the recorded one, or runs the command instead."""
    shutil.copy(Path(__file__).with_name("trace_executor.py"), folder)
    return {
        "executor_id": {"value": executor_id},
        "command": {
            "value": command or "python3 trace_executor.py",
            "uris": [{"value": str(folder / "trace_executor.py")}],
            "environment": {"variables": [{"name": "TRACE_OUT", "value": str(folder)}]},
        },
        "resources": [scalar("cpus", 0.1)],
    }


def test_an_update_outlives_the_agent(tmp_path: Path) -> None:
    """SIGKILL of the agent: the executor runs on, the same agent is back, and its unacknowledged update comes again."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        scheduler.acknowledges = False
        await scheduler.launch("one", command=FOREVER)
        before = await scheduler.state("one", "TASK_STARTING")
        agent = machine.agents[0]
        processes = await machine.settled()
        agent.end(signal.SIGKILL)
        count = len(scheduler.stream.statuses("one"))
        agent.start()
        await until(lambda: len(scheduler.stream.statuses("one")) > count, "the update again")
        assert scheduler.stream.statuses("one")[-1] == before
        assert machine.processes() == processes
        scheduler.acknowledges = True
        await scheduler.state("one", "TASK_RUNNING")
        assert (await scheduler.reconcile("one"))["state"] == "TASK_RUNNING"

    play(tmp_path, story)


def test_an_executor_that_ended_while_the_agent_was_away(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.launch("one", executor=trace_executor(tmp_path))
        await scheduler.state("one", "TASK_RUNNING")
        machine.agents[0].end(signal.SIGKILL)
        machine.signal(signal.SIGKILL)
        machine.agents[0].start()
        failed = await scheduler.state("one", "TASK_FAILED")
        assert (failed["reason"], failed["message"]) == ("REASON_EXECUTOR_TERMINATED", "Executor terminated")
        assert failed["agent_id"] == offer["agent_id"]
        assert (await scheduler.offer(cpus=2.0))["agent_id"] == offer["agent_id"]

    play(tmp_path, story)


def test_an_executor_that_does_not_return_to_its_agent(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.launch("one", executor=trace_executor(tmp_path))
        await scheduler.state("one", "TASK_RUNNING")
        machine.agents[0].end(signal.SIGTERM)
        machine.signal(signal.SIGSTOP)
        machine.agents[0].start()
        failed = await scheduler.state("one", "TASK_FAILED")
        assert failed["reason"] == "REASON_EXECUTOR_REREGISTRATION_TIMEOUT"
        assert failed["message"] == "Executor did not reregister within 2secs"
        await until(lambda: not machine.processes(), "the end of the executor")

    play(tmp_path, story, agent_options=("--executor-reregistration-timeout", "2"))


def test_a_killed_tasks_whole_tree_ends(tmp_path: Path) -> None:
    """Also what has left the session and the parent."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        orphan = f"setsid sh -c 'sleep 1000 & echo $! > {tmp_path}/orphan; wait' & exec sleep 1000"
        await scheduler.launch("one", command=shell(orphan))
        await until((tmp_path / "orphan").exists, "the orphan")
        await scheduler.state("one", "TASK_RUNNING")
        await scheduler.call("KILL", {"task_id": {"value": "one"}})
        killed = await scheduler.state("one", "TASK_KILLED")
        assert killed["message"] == "Command terminated with signal Terminated"
        assert scheduler.stream.states("one") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]
        await until(lambda: not machine.processes(), "the end of the whole tree")

    play(tmp_path, story)


def test_an_executor_that_ignores_shutdown_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        executor = trace_executor(tmp_path)
        executor["shutdown_grace_period"] = {"nanoseconds": 200_000_000}
        offer = await scheduler.launch("one", executor=executor)
        await scheduler.state("one", "TASK_RUNNING")
        machine.signal(signal.SIGSTOP)
        target = {"executor_id": executor["executor_id"], "agent_id": offer["agent_id"]}
        await scheduler.call("SHUTDOWN", target)
        assert (await scheduler.state("one", "TASK_FAILED"))["reason"] == "REASON_EXECUTOR_TERMINATED"
        await until(lambda: scheduler.stream.of("FAILURE"), "the word of its executor's end")
        assert scheduler.stream.of("FAILURE") == [{**target, "status": signal.SIGKILL}]
        await until(lambda: not machine.processes(), "the end of the executor")

    play(tmp_path, story)


def test_an_executor_that_never_registers(tmp_path: Path) -> None:
    async def run() -> None:
        async with Machine(tmp_path) as machine, aiohttp.ClientSession() as session:
            await machine.add_agent("--executor-registration-timeout", "0.5")
            scheduler = Scheduler(session, machine.address)
            await scheduler.subscribe()
            await scheduler.launch("one", executor=trace_executor(tmp_path, command="sleep 1000"))
            failed = await scheduler.state("one", "TASK_FAILED")
            assert failed["message"] == "Executor did not register within 500ms"
            assert failed["reason"] == "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
            await until(lambda: not machine.processes(), "the end of the executor")
            await scheduler.close()

    asyncio.run(run())


def test_a_task_killed_before_its_executor_is_there(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.launch("one", executor=trace_executor(tmp_path, command="sleep 1000"))
        await until(machine.processes, "the executor's process")
        await scheduler.call("KILL", {"task_id": {"value": "one"}})
        killed = await scheduler.state("one", "TASK_KILLED")
        assert killed["reason"] == "REASON_TASK_KILLED_DURING_LAUNCH"
        await until(lambda: not machine.processes(), "the end of the executor")

    play(tmp_path, story)


def test_a_master_restarts(tmp_path: Path) -> None:
    """Agents return with their tasks, the framework with its id; nothing is launched again."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        processes = await machine.settled()
        machine.master.end(signal.SIGKILL)
        machine.master.start()
        await answers(f"http://{machine.address}/health")
        framework_id = scheduler.framework_id
        await scheduler.subscribe()
        assert scheduler.framework_id == framework_id
        again = await scheduler.offer()
        assert again["agent_id"] == offer["agent_id"]
        assert [part["scalar"]["value"] for part in again["resources"] if part["name"] == "cpus"] == [1.9]
        assert (await scheduler.reconcile("one"))["state"] == "TASK_RUNNING"
        assert machine.processes() == processes

    play(tmp_path, story)


def test_an_agent_that_does_not_return_after_a_masters_restart(tmp_path: Path) -> None:
    """Silence while it may still return, then TASK_UNREACHABLE; and it may come back later."""

    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.launch("one", command=FOREVER)
        agent_id = offer["agent_id"]["value"]
        await scheduler.state("one", "TASK_RUNNING")
        machine.agents[0].end(signal.SIGKILL)
        machine.master.end(signal.SIGKILL)
        machine.master.start()
        await answers(f"http://{machine.address}/health")
        await scheduler.subscribe()
        ghost = {"task_id": {"value": "ghost"}}
        await scheduler.call(
            "RECONCILE", {"tasks": [{"task_id": {"value": "one"}, "agent_id": {"value": agent_id}}, ghost]}
        )
        assert (await scheduler.state("ghost", "TASK_UNKNOWN"))["reason"] == "REASON_RECONCILIATION"
        assert scheduler.stream.statuses("one") == []
        deadline = asyncio.get_running_loop().time() + 60
        while scheduler.stream.statuses("one") == []:
            assert asyncio.get_running_loop().time() < deadline
            await scheduler.call(
                "RECONCILE", {"tasks": [{"task_id": {"value": "one"}, "agent_id": {"value": agent_id}}]}
            )
            await asyncio.sleep(0.1)
        assert scheduler.stream.statuses("one")[0]["state"] == "TASK_UNREACHABLE"
        machine.agents[0].start()
        await until(lambda: _with_reason(scheduler, "REASON_AGENT_REREGISTERED"), "the task back")

    play(tmp_path, story, "--agent-reregister-timeout", "5")


def test_sigterm_leaves_executors_and_sigusr1_does_not(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        agent = machine.agents[0]
        assert agent.end(signal.SIGTERM) == 0
        assert machine.processes()
        agent.start()
        await answers(f"{agent.url}/health")
        await until(lambda: "again" in agent.log.read_text(), "the agent's return")
        assert agent.end(signal.SIGUSR1) == 0
        gone = await scheduler.state("one", "TASK_GONE")
        assert gone["reason"] == "REASON_AGENT_REMOVED"
        assert gone["message"].endswith("removed: the agent unregistered")
        await until(lambda: scheduler.stream.of("FAILURE"), "the word of the agent's end")
        assert scheduler.stream.of("FAILURE") == [{"agent_id": offer["agent_id"]}]
        assert machine.processes() == []

    play(tmp_path, story)


def test_a_silent_agent_is_noticed_without_a_broken_connection(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        agent = machine.agents[0].process
        assert agent is not None
        agent.send_signal(signal.SIGSTOP)
        lost = await scheduler.state("one", "TASK_UNREACHABLE")
        assert (lost["reason"], lost["message"]) == ("REASON_AGENT_REMOVED", "health check timed out")
        agent.send_signal(signal.SIGCONT)
        await until(lambda: _with_reason(scheduler, "REASON_AGENT_REREGISTERED"), "the task back")
        assert [status["state"] for status in _with_reason(scheduler, "REASON_AGENT_REREGISTERED")] == ["TASK_RUNNING"]

    play(tmp_path, story, *FAST_PINGS)


def _with_reason(scheduler: Scheduler, reason: str) -> list[Json]:
    return [status for status in scheduler.stream.statuses("one") if status.get("reason") == reason]


def test_a_silent_master_is_noticed_without_a_broken_connection(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.offer()
        master, agent = machine.master.process, machine.agents[0]
        assert master is not None
        master.send_signal(signal.SIGSTOP)
        await until(lambda: "it is silent" in agent.log.read_text(), "the agent to notice")
        master.send_signal(signal.SIGCONT)
        await until(lambda: "Registered again" in agent.log.read_text(), "the agent's return")

    play(tmp_path, story, *FAST_PINGS)


def test_an_agent_marked_gone_ends_and_may_not_return(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        async with aiohttp.ClientSession() as session:
            call = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": offer["agent_id"]}}
            async with session.post(f"http://{machine.address}/api/v1", json=call) as answer:
                assert answer.status == 200
        gone = await scheduler.state("one", "TASK_GONE_BY_OPERATOR")
        assert gone["reason"] == "REASON_AGENT_REMOVED_BY_OPERATOR"
        agent = machine.agents[0].process
        assert agent is not None
        await until(lambda: agent.poll() is not None, "the agent's end")
        assert agent.returncode == 6
        assert machine.processes() == []
        answer = await scheduler.reconcile("one", offer["agent_id"]["value"])
        assert answer["state"] == "TASK_GONE_BY_OPERATOR"

    play(tmp_path, story)


def test_an_agent_marked_gone_while_away_ends_when_it_returns(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        offer = await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        machine.agents[0].end(signal.SIGKILL)
        async with aiohttp.ClientSession() as session:
            call = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": offer["agent_id"]}}
            async with session.post(f"http://{machine.address}/api/v1", json=call) as answer:
                assert answer.status == 200
        await scheduler.state("one", "TASK_GONE_BY_OPERATOR")
        machine.agents[0].start()
        agent = machine.agents[0].process
        assert agent is not None
        await until(lambda: agent.poll() is not None, "the agent's end")
        assert agent.returncode == 6
        assert machine.processes() == []

    play(tmp_path, story)


def test_a_launch_that_never_reached_the_agent(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.offer()
        agent = machine.agents[0]
        assert agent.process is not None
        agent.process.send_signal(signal.SIGSTOP)
        await scheduler.launch("one", command=FOREVER)
        await scheduler.reconcile("one")
        agent.end(signal.SIGKILL)
        agent.start()
        dropped = await scheduler.state("one", "TASK_DROPPED")
        assert dropped["message"] == "Reconciliation: task unknown to the agent"
        assert (dropped["source"], dropped["reason"]) == ("SOURCE_AGENT", "REASON_RECONCILIATION")
        await scheduler.offer(cpus=2.0)

    play(tmp_path, story)


def test_a_framework_that_stays_away_is_removed(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        scheduler.info["failover_timeout"] = 0.5
        await scheduler.call("UPDATE_FRAMEWORK", {"framework_info": scheduler.info})
        await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        await scheduler.close()
        await until(lambda: not machine.processes(), "the end of the framework's executors")
        await scheduler.subscribe()
        assert scheduler.stream.of("ERROR") == [{"message": "Framework has been removed"}]

    play(tmp_path, story)


def test_a_framework_that_returns_in_time_keeps_its_tasks(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.launch("one", command=FOREVER)
        await scheduler.state("one", "TASK_RUNNING")
        processes = await machine.settled()
        await scheduler.close()
        await until(lambda: "Disconnected framework" in machine.master.log.read_text(), "the master to notice")
        await scheduler.subscribe()
        assert (await scheduler.reconcile("one"))["state"] == "TASK_RUNNING"
        assert machine.processes() == processes

    play(tmp_path, story)


def test_a_volume_keeps_its_files_from_task_to_task(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        reserved = scalar("disk", 64, reservations=[{"type": "DYNAMIC", "role": "test-role"}])
        volume = {
            **reserved,
            "disk": {"persistence": {"id": "kept"}, "volume": {"container_path": "data", "mode": "RW"}},
        }
        make = [
            {"type": "RESERVE", "id": {"value": "reserve"}, "reserve": {"resources": [reserved]}},
            {"type": "CREATE", "id": {"value": "create"}, "create": {"volumes": [volume]}},
        ]
        offer = await scheduler.offer()
        content = {"offer_ids": [offer["id"]], "operations": make, "filters": {"refuse_seconds": 0}}
        await scheduler.call("ACCEPT", content)
        done = await until(lambda: len(scheduler.stream.of("UPDATE_OPERATION_STATUS")) >= 2, "the feedback")
        assert done
        for entry in scheduler.stream.of("UPDATE_OPERATION_STATUS")[:2]:
            status = entry["status"]
            assert status["state"] == "OPERATION_FINISHED"
            acknowledged = {name: status[name] for name in ("agent_id", "operation_id")}
            await scheduler.call("ACKNOWLEDGE_OPERATION_STATUS", {**acknowledged, "uuid": status["uuid"]["value"]})
        for task_id, command in (("writes", "echo text > data/file"), ("reads", "grep text data/file")):
            offer = await until(lambda: _offer_with_volume(scheduler), "an offer with the volume")
            info = {
                "name": task_id,
                "task_id": {"value": task_id},
                "agent_id": offer["agent_id"],
                "resources": [scalar("cpus", 0.1), volume],
                "command": shell(command),
            }
            launch = {"type": "LAUNCH", "launch": {"task_infos": [info]}}
            scheduler.stream.events.clear()
            content = {"offer_ids": [offer["id"]], "operations": [launch], "filters": {"refuse_seconds": 0}}
            await scheduler.call("ACCEPT", content)
            await scheduler.state(task_id, "TASK_FINISHED")

    play(tmp_path, story)


def _offer_with_volume(scheduler: Scheduler) -> Json | None:
    offers = [offer for event in scheduler.stream.of("OFFERS") for offer in event["offers"]]
    found = [offer for offer in offers if any("disk" in part for part in offer["resources"])]
    return found[-1] if found else None


def test_the_log_of_a_sandbox_can_be_read(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.launch("one", command=shell("echo out; sleep 1000"))
        await scheduler.state("one", "TASK_RUNNING")
        url = machine.agents[0].url
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/state") as answer:
                sandbox = (await answer.json())["frameworks"][0]["executors"][0]["directory"]
            path = f"{sandbox}/stdout"
            await until(lambda: Path(path).read_text() == "out\n", "the output")
            async with session.get(f"{url}/files/read", params={"path": path, "offset": "0"}) as answer:
                assert await answer.json() == {"data": "out\n", "offset": 0}
            call = {"type": "READ_FILE", "read_file": {"path": path, "offset": 0}}
            async with session.post(f"{url}/api/v1", json=call) as answer:
                content = (await answer.json())["read_file"]
            assert content == {"size": 4, "data": base64.b64encode(b"out\n").decode()}
            async with session.get(f"{url}/files/read", params={"path": "/etc/passwd"}) as answer:
                assert answer.status == 404
            async with session.get(f"{url}/files/browse", params={"path": sandbox}) as answer:
                assert sorted(Path(entry["path"]).name for entry in await answer.json()) == ["stderr", "stdout"]

    play(tmp_path, story)


def test_offers_without_reservation_refinement_have_roles(tmp_path: Path) -> None:
    async def run() -> None:
        async with Machine(tmp_path) as machine, aiohttp.ClientSession() as session:
            await machine.add_agent()
            scheduler = Scheduler(session, machine.address, capabilities=[], role="plain")
            await scheduler.subscribe()
            offer = await scheduler.offer()
            assert {(part["role"], part["allocation_info"]["role"]) for part in offer["resources"]} == {("*", "plain")}
            await scheduler.close()

    asyncio.run(run())


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    async def run() -> None:
        async with Machine(tmp_path) as machine:
            port = machine.address.partition(":")[2]
            for arguments in (
                ("master", "--port", port, "--work-dir", str(tmp_path / "other")),
                (
                    *("agent", "--port", port, "--work-dir", str(tmp_path / "another")),
                    *("--master", machine.address, "--resources", "cpus:1"),
                ),
            ):
                code, sentence = _run(tmp_path, *arguments)
                assert code == 3
                assert f"Address 127.0.0.1:{port} is in use by another process: free it, or give" in sentence

    asyncio.run(run())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--resources", "cpus:many"), 2, "resource 'cpus:many': expected a number >= 0"),
        (("--resources", "cpus:1", "--ip", "10.0.0.1"), 2, "'10.0.0.1' is no loopback address"),
        (("--resources", "cpus:1", "--attributes", "rack"), 2, "attribute 'rack': expected name:value"),
        (("--resources", "cpus:1", "--domain", "eu"), 2, "domain 'eu': expected JSON with a region and a zone"),
        (("--resources", "cpus:1", "--master", "zk://127.0.0.1"), 2, "ZooKeeper address 'zk://127.0.0.1': expected"),
    ],
)
def test_wrong_arguments_are_said_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    got, text = _run(
        tmp_path,
        *("agent", "--master", "127.0.0.1:1", "--ip", "127.0.0.11", "--port", "0"),
        *("--work-dir", str(tmp_path / "agent"), *arguments),
    )
    assert got == code
    assert sentence in text


def test_a_work_folder_with_other_resources_is_refused(tmp_path: Path) -> None:
    async def story(machine: Machine, scheduler: Scheduler) -> None:
        await scheduler.offer()
        machine.agents[0].end(signal.SIGTERM)
        arguments = list(machine.agents[0].arguments)
        arguments[arguments.index("--resources") + 1] = "cpus:9"
        code, sentence = _run(tmp_path, *arguments)
        assert code == 5
        assert "lived here with other resources or attributes" in sentence

    play(tmp_path, story)


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = Localmesos(folder / "run.log", *arguments)
    process.start()
    assert process.process is not None
    try:
        return process.process.wait(60), process.log.read_text()
    except subprocess.TimeoutExpired:
        process.end(signal.SIGKILL)
        raise


def test_starting_imports_no_more_than_it_needs() -> None:
    """kazoo only with ZooKeeper: it doubles the time to start."""
    program = (
        "import sys, localmesos.master, localmesos.agent; print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    folder = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    modules = json.loads(found.stdout.replace("'", '"'))
    assert "aiohttp" in modules
    assert {"kazoo", "grpc", "jinja2", "starlette"}.isdisjoint(modules)
