"""Many clients scale a real scheduler up and down at random: the last durable word wins, no slot is doubled, and the
tasks become what was asked for last.

    PYTHONPATH=tests python -m load [--clients 200] [--seconds 60] [--agents 40] [--logs FOLDER]

Scheduler, ZooKeeper and Mesos master (localmesos) are real processes; the agents start nothing (load.agents). Exit code
0 when all of it held; 1 otherwise, with what did not. Times are told and never judged.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from eventually import eventually
from framework.model import HistoryEntry
from framework.zookeeper import ZooKeeperStore, connect
from load.clients import Answer, ask
from ports import held_port
from zookeeper_server import ZooKeeperServer

ROOT = Path(__file__).parents[2]
RATE = 20  # requests a second that one client may make
PATH = "/services/load"


@dataclasses.dataclass
class World:
    url: str
    mesos: str
    zookeeper: str
    agents: subprocess.Popen[str]
    most: int  # workers that there can be, one on each agent

    def workers(self) -> dict[str, Any]:
        answer = requests.get(f"{self.url}/v1/workers", timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found | {"number": int(answer.headers["ETag"].strip('"'))}

    def running(self) -> Counter[str]:
        """How many tasks of each worker's slot the Mesos master holds for alive."""
        state = requests.get(f"http://{self.mesos}/state", timeout=60).json()
        return Counter(
            task["name"]
            for framework in state["frameworks"]
            for task in framework["tasks"]
            if task["state"] in ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING")
            and task["name"].startswith("worker-")
        )

    def history(self) -> tuple[HistoryEntry, ...]:
        session = connect(self.zookeeper)
        try:
            return ZooKeeperStore(session, PATH).load().history
        finally:
            session.close()


@contextmanager
def kept_logs(folder: Path, into: Path | None) -> Iterator[None]:
    try:
        yield
    finally:
        if into is not None:
            into.mkdir(parents=True, exist_ok=True)
            for log in folder.glob("*.log"):
                shutil.copy(log, into)


@contextmanager
def process(log: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with log.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=output, text=True, env=environment
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        if started.stdout is not None:
            started.stdout.close()


@contextmanager
def world(folder: Path, agents: int) -> Iterator[World]:
    """Everything up, with the Alluxio master running."""
    with ExitStack() as stack:
        zookeeper = ZooKeeperServer(folder)
        zookeeper.start()
        stack.callback(zookeeper.stop)
        mesos, api = f"127.0.0.1:{held_port()}", held_port()
        address = ("--ip", "127.0.0.1", "--port", mesos.rpartition(":")[2], "--work-dir", str(folder / "mesos"))
        stack.enter_context(process(folder / "mesos.log", "localmesos", "master", *address, "--offer-interval", "0.5"))
        crowd = stack.enter_context(
            process(folder / "agents.log", "load.agents", "--master", mesos, "--agents", str(agents))
        )
        options = {
            "mesos": mesos,
            "zookeeper": f"{zookeeper.address}{PATH}",
            "under-storage": "/data",
            "alluxio-uri": "http://127.0.0.1:1/alluxio.tar.gz",
            "executor-uri": "http://127.0.0.1:1/executor.pyz",
            "workers": "3",
            "api-port": str(api),
            "api-rate": str(RATE),
        }
        flags = [text for name, value in options.items() for text in (f"--{name}", value)]
        scheduler = folder / "scheduler.log"
        stack.enter_context(process(scheduler, "framework", "scheduler", *flags))
        made = World(f"http://127.0.0.1:{api}", mesos, zookeeper.address, crowd, agents)
        try:
            eventually(lambda: settled(made), "three workers run", 90)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{scheduler.read_text()[-3000:]}") from None
        yield made


def settled(made: World) -> bool:
    """Those workers run that are wanted, or one on each agent where that is fewer, and none besides."""
    try:
        wanted, running = made.workers(), made.running()
    except requests.RequestException:
        return False
    slots = {task["slot"] for task in wanted["workers"] if task.get("state") == "TASK_RUNNING"}
    expected = made.most if wanted["count"] == "all" else min(wanted["count"], made.most)
    return not wanted["leaving"] and len(slots) == expected and running == Counter(slots)


async def play(made: World, clients: int, most: int, seconds: float) -> tuple[list[Answer], int, list[str]]:
    """The answers, how often the Mesos master was looked at meanwhile, and the slots that were seen with two tasks."""
    asking = asyncio.create_task(ask(made.url, clients, most, seconds))
    looks, doubled = 0, []
    while not asking.done():
        running = await asyncio.to_thread(made.running)
        looks += 1
        doubled += [slot for slot, count in running.items() if count > 1]
        await asyncio.wait([asking], timeout=0.5)
    return asking.result(), looks, doubled


def judged(answers: list[Answer], last: dict[str, Any], history: tuple[HistoryEntry, ...]) -> Iterator[str]:
    """Each law that was broken, in a sentence."""
    for answer in answers:
        allowed = {200, 429} | ({412} if answer.kind == "PUT If-Match" else set())
        is_told = answer.status == 503 and bool(answer.document.get("detail"))
        if answer.status not in allowed and not is_told:
            yield f"{answer.kind} was answered with {answer.status}: {answer.document}"
    acknowledged = [answer for answer in answers if answer.status == 200 and answer.kind in ("PUT", "PUT If-Match")]
    counts: dict[int, set[int | str]] = {}
    for entry in history:
        counts.setdefault(entry.number, set()).add("all" if entry.workers is None else entry.workers)
    for answer in acknowledged:
        counts.setdefault(answer.document["number"], set()).add(answer.count)
        if answer.kind == "PUT If-Match" and answer.document["number"] > answer.expected + 1:
            yield f"version {answer.document['number']} was made from version {answer.expected}, which held no more"
    yield from (f"version {number} has the counts {many}" for number, many in counts.items() if len(many) > 1)
    kept = [entry.number for entry in history]
    newest = max(answer.document["number"] for answer in acknowledged)
    if kept != list(range(kept[0], kept[-1] + 1)):
        yield f"the kept versions do not rise one by one: {kept}"
    if (last["number"], {last["count"]}) != (kept[-1], counts[kept[-1]]):
        yield f"version {last['number']} with {last['count']} workers holds, and {kept[-1]} was written last"
    if any(answer.status == 503 for answer in answers):
        return  # such a change may have been written nevertheless, and nobody was told its number
    if newest != kept[-1]:
        yield f"version {kept[-1]} holds, and {newest} was the last that was acknowledged"
    if missing := set(range(2, newest)) - set(counts):
        yield f"nobody was told of the versions {sorted(missing)}"


def told(answers: list[Answer], seconds: float) -> Iterator[str]:
    """What came of the requests, by kind."""
    yield f"{len(answers)} requests in {seconds:.0f} s, {len(answers) / seconds:.0f} a second"
    for kind in ("GET", "PUT", "PUT If-Match", "PUT dry_run"):
        mine = [answer for answer in answers if answer.kind == kind]
        statuses = Counter(answer.status for answer in mine)
        took = sorted(answer.seconds * 1e3 for answer in mine if answer.status == 200)
        at = [took[min(len(took) - 1, int(part * len(took)))] for part in (0.5, 0.9, 0.99, 1.0)] if took else []
        figures = "  ".join(
            f"{name} {value:.0f} ms" for name, value in zip(("p50", "p90", "p99", "most"), at, strict=False)
        )
        counts = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
        yield f"  {kind:13} {counts:40} 200: {figures}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="load", description="Many clients scale one service at random.")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument("--logs", type=Path, default=None, metavar="FOLDER", help="keep the parts' logs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        with kept_logs(Path(scratch), options.logs), world(Path(scratch), options.agents) as made:
            # Up to a quarter more are asked for than there are agents.
            most = options.agents * 5 // 4
            began = time.monotonic()
            answers, looks, doubled = asyncio.run(play(made, options.clients, most, options.seconds))
            seconds = time.monotonic() - began
            ended = time.monotonic()
            last = made.workers()
            broken = [f"{slot} had two tasks at one moment, by the Mesos master" for slot in doubled]
            try:
                eventually(lambda: settled(made), "the tasks are those that are wanted", 90)
            except AssertionError as error:
                broken.append(f"{error}: {made.workers()} {made.running()}")
            settling = time.monotonic() - ended
            made.agents.terminate()
            seen = json.loads(made.agents.communicate(timeout=60)[0])
            history = made.history()
        broken += [f"two tasks at one moment, by the agents: {slot}" for slot in seen["doubled"]]
        broken += judged(answers, last, history)
    print(f"{options.clients} clients scale at random from 0 to {most} workers, {options.agents} agents:")
    print("\n".join(told(answers, seconds)))
    print(f"{history[-1].number} versions, the last with {last['count']} workers; {seen['launched']} tasks launched;")
    print(f"the tasks were those that were wanted {settling:.1f} s after the last answer; {looks} looks at Mesos.")
    print("\n".join(broken) or "The last durable word won, and no slot was doubled.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
