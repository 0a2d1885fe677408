"""`alluxio-mesos local fault …` in a cluster of localmesos's real processes, and a scheduler that is none."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import psutil
import pytest

from conformance.mesos_processes import Machine, Scheduler, answers, shell, until
from framework.local import arguments
from framework.local.fault_arguments import COMMANDS
from framework.local.faults import FAULTS
from framework.local.processes import Ledger, Started

pytestmark = pytest.mark.localmesos


class Cluster:
    """What `local fault` sees: a folder with a ledger of the machine's processes."""

    def __init__(self, folder: Path, machine: Machine, scheduler: Scheduler) -> None:
        self.folder, self.machine, self.scheduler = folder, machine, scheduler
        self.stand_in = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])

    def write(self) -> None:
        """Names as `local up` gives them."""
        named = {"scheduler": self.stand_in, "mesos-master": self.machine.master.process}
        named |= {f"agent-127.0.0.{11 + index}": agent.process for index, agent in enumerate(self.machine.agents)}
        started = [
            Started(name, child.pid, psutil.Process(child.pid).create_time(), 0, "SIGTERM", 1.0)
            for name, child in named.items()
            if child is not None and child.poll() is None
        ]
        Ledger(self.folder / "cluster.json").write({}, started)

    def process(self, index: int = 0) -> psutil.Process:
        child = self.machine.agents[index].process
        assert child is not None
        return psutil.Process(child.pid)


def run(folder: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    arguments.add(parser.add_subparsers())
    options = parser.parse_args(["local", "fault", *words, "--dir", str(folder)])
    code: int = options.run(options)
    return code


Do = Callable[..., Awaitable[str]]


def play(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    story: Callable[[Cluster, Do], Awaitable[None]],
    *master_options: str,
) -> None:
    """`Do` runs a fault's command and gives what it printed, or its error after "! "."""

    async def run_story() -> None:
        async with Machine(folder, *master_options) as machine, aiohttp.ClientSession() as session:
            await machine.add_agent()
            scheduler = Scheduler(session, machine.address)
            await scheduler.subscribe()
            await scheduler.offer()
            cluster = Cluster(folder, machine, scheduler)
            cluster.write()

            async def do(*words: str) -> str:
                code = await asyncio.to_thread(run, folder, *words)
                captured = capsys.readouterr()
                assert code == (69 if captured.err else 0)
                return (f"! {captured.err}" if captured.err else captured.out).strip()

            try:
                await story(cluster, do)
            finally:
                cluster.stand_in.kill()
                cluster.stand_in.wait()
                await scheduler.close()

    asyncio.run(run_story())


def test_every_fault_of_the_help_is_there() -> None:
    assert {command.name for command in COMMANDS} == set(FAULTS)


def test_help_lists_every_fault_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="alluxio-mesos")
    arguments.add(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["local", "fault", "--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for command in COMMANDS:
        assert [line.split(maxsplit=1) for line in lines if line.split()[:1] == [command.name]] == [
            [command.name, command.help]
        ]


def test_what_cannot_be_done_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none", "rescind") == 69
    assert capsys.readouterr().err == f"No cluster runs in {tmp_path}/none; `alluxio-mesos local up` starts one.\n"

    async def story(cluster: Cluster, do: Do) -> None:
        folder, master = cluster.folder, cluster.machine.address
        assert await do("kill-agent", "127.0.0.99") == (
            f"! There is no agent 127.0.0.99 in {folder}; its agents are 127.0.0.11."
        )
        assert await do("pause", "nobody", "--for", "1") == (
            f"! There is no nobody in {folder}; there are agent-127.0.0.11, mesos-master, scheduler."
        )
        assert await do("answer", "200") == (
            f"! http://{master}/faults refuses: fault 'answer': status 200 is not allowed; give 400 to 599."
        )
        cluster.stand_in.kill()
        cluster.stand_in.wait()
        assert await do("kill", "scheduler") == "! scheduler does not run; `alluxio-mesos local up` starts it."
        cluster.machine.master.end()
        assert await do("rescind") == f"! No Mesos master answers in {folder}; see `alluxio-mesos local status`."

    play(tmp_path, capsys, story)


def test_faults_of_the_master_are_switched_on_listed_and_cleared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(cluster: Cluster, do: Do) -> None:
        until_clear = "until `alluxio-mesos local fault clear`."
        assert await do("list") == "No fault is on."
        assert await do("rescind") == "All offers are rescinded."
        await until(lambda: cluster.scheduler.stream.of("RESCIND"), "the rescission")
        said = {
            ("no-ports",): f"Offers hold no ports {until_clear}",
            ("duplicate-updates", "--by", "1"): f"Status updates come twice {until_clear}",
            ("delay-updates", "--by", "5", "--for", "60"): "Status updates come 5 s late for 60 s.",
            ("lose-launches", "--calls", "2"): f"The next 2 launches will not reach the agent, {until_clear}",
            ("task-lost",): f"The master says TASK_LOST instead of the finer states {until_clear}",
            ("answer", "503", "--calls", "3"): f"Each of the next 3 times, a call is answered with 503, {until_clear}",
            ("maintenance", "127.0.0.11"): f"Offers of agent 127.0.0.11 tell of a maintenance {until_clear}",
            (
                "drop-packets",
                "127.0.0.11",
            ): f"Packets between agent 127.0.0.11 and the master are dropped {until_clear}",
            ("drop-packets", "agents"): f"Packets between master and agents are dropped {until_clear}",
            ("drop-packets", "master", "--for", "60"): "Packets between master and schedulers are dropped for 60 s.",
        }
        assert {words: await do(*words) for words in said} == said
        async with aiohttp.ClientSession() as session:
            faults = []
            for url in (f"http://{cluster.machine.address}", cluster.machine.agents[0].url):
                async with session.get(f"{url}/faults") as answer:
                    faults += (await answer.json())["faults"]
        for entry in faults:
            entry.pop("seconds_left", None)
        assert faults == [
            {"fault": "no-ports"},
            {"fault": "duplicate-updates", "after": 1.0},
            {"fault": "delay-updates", "by": 5.0, "seconds": 60.0},
            {"fault": "lose-launches", "calls": 2, "calls_left": 2},
            {"fault": "task-lost"},
            {"fault": "answer", "status": 503, "to": "all", "calls": 3, "calls_left": 3},
            {"fault": "maintenance", "agent": "127.0.0.11", "starts_in": 0.0, "lasting": 3600.0},
            {"fault": "drop-packets", "peer": "agents"},
            {"fault": "drop-packets", "peer": "schedulers", "seconds": 60.0},
            {"fault": "drop-packets", "peer": "master"},
        ]
        listed = (await do("list")).splitlines()
        assert listed[0] == f"{cluster.machine.address}: fault no-ports"
        assert len(listed) == len(faults)
        assert await do("clear") == "All faults are over."
        assert await do("list") == "No fault is on."

    play(tmp_path, capsys, story)


def test_agents_die_return_and_are_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(cluster: Cluster, do: Do) -> None:
        scheduler, (agent,) = cluster.scheduler, cluster.machine.agents
        offer = await scheduler.launch("one", command=shell("sleep 1000"))
        await scheduler.state("one", "TASK_RUNNING")
        assert await do("agent-away", "127.0.0.11", "--for", "0.2") == (
            "Agent 127.0.0.11 is away for 0.2 s, then it starts again."
        )
        await until(lambda: agent.log.read_text().count("Registered again") == 1, "the agent's return")
        assert cluster.machine.processes()
        assert await do("reboot-agent", "agent-127.0.0.11", "--for", "0.1") == (
            "Agent agent-127.0.0.11 has lost its power; it starts in 0.1 s, with a new id."
        )
        await scheduler.state("one", "TASK_GONE")
        assert cluster.machine.processes() == []
        await until(lambda: scheduler.stream.of("OFFERS")[-1]["offers"][0]["agent_id"] != offer["agent_id"], "an offer")
        assert await do("mark-gone", "127.0.0.11") == (
            "Agent 127.0.0.11 is marked gone; `alluxio-mesos local up` starts it as a new one."
        )
        assert agent.process is not None
        assert agent.process.wait(60) == 6
        assert await do("agent-away", "127.0.0.11", "--for", "1") == (
            "! agent-127.0.0.11 does not run; `alluxio-mesos local up` starts it."
        )
        agent.start()
        await answers(f"{agent.url}/health")
        cluster.write()
        pid = agent.process.pid
        assert await do("kill-agent", "127.0.0.11") == (
            f"Killed 127.0.0.11, process {pid}; `alluxio-mesos local up` starts it again."
        )
        assert not agent.runs

    play(tmp_path, capsys, story)


def test_the_master_fails_over_and_a_framework_is_torn_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(cluster: Cluster, do: Do) -> None:
        scheduler, address = cluster.scheduler, cluster.machine.address
        assert await do("fail-over-master", "--for", "0.2") == (
            f"The Mesos master at {address} is killed; it starts again after 0.2 s."
        )
        await until(lambda: scheduler.stream.closed, "the end of the stream")
        await answers(f"http://{address}/health")
        await scheduler.subscribe()
        await scheduler.offer()
        assert await do("teardown") == "Torn down: test."
        await until(lambda: scheduler.stream.closed, "the end of the stream")
        assert await do("teardown") == "! No framework is registered with the Mesos master."

    play(tmp_path, capsys, story)


def test_a_process_stands_still_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(cluster: Cluster, do: Do) -> None:
        process = psutil.Process(cluster.stand_in.pid)
        begun = time.monotonic()
        pausing = asyncio.ensure_future(do("pause", "scheduler", "--for", "2"))
        await until(lambda: process.status() == psutil.STATUS_STOPPED, "the stop")
        assert await pausing == "scheduler stood still for 2 s and goes on."
        assert time.monotonic() - begun >= 2
        await until(lambda: process.status() != psutil.STATUS_STOPPED, "the process to go on")
        assert (await do("kill", "scheduler")).startswith(f"Killed scheduler, process {process.pid}; ")
        assert cluster.stand_in.poll() is not None

    play(tmp_path, capsys, story)


def test_a_command_line_of_its_own(tmp_path: Path) -> None:
    """As a person runs it: exit code and one sentence."""
    words = ["-m", "framework", "local", "fault", "pause", "scheduler", "--for", "long"]
    ended = subprocess.run(
        [sys.executable, *words], check=False, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("argument --for: long is no number of seconds; write for example 30")
