"""A real cluster's figures: its start-up against a plain script that starts the very same JVMs in the same order, and
what its executors cost while nothing happens.

    python tests/bench/bench_cluster.py [--rounds 3]

Everything is installed and the journal is formatted before the first measured round. Both sides end when the last
worker is registered with Alluxio's master. The script takes the command lines, folders and environments from the
running cluster, so that nothing but the deployment differs. Rounds alternate; medians and their ratio are printed.
"""

from __future__ import annotations

import argparse
import getpass
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from framework.alluxio.masters import Masters, Unavailable, WorkerState
from framework.artefacts import default_directory
from framework.local import cluster
from framework.local.plan import Plan, Ports

PORTS = Ports(api=18480, mesos=18450, agent=18451, zookeeper=18481, agents=(18500, 18560))
QUIET = cluster.Observer()


@dataclass(frozen=True)
class Jvm:
    """One JVM of the cluster, as it was found running."""

    main: str
    command: tuple[str, ...]
    folder: str
    environment: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description="Start-up of the local cluster against a plain script.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        plan = Plan(directory=Path(scratch), artefacts=default_directory(), ports=PORTS)
        try:
            measure(plan, rounds)
        finally:
            cluster.clean(plan, lambda sentence: None)


def measure(plan: Plan, rounds: int) -> None:
    first = up(plan)
    ups: list[float] = []
    plains: list[float] = []
    for _ in range(rounds):
        # The JVMs of this very round, as their folders are new in each.
        ready, jvms = first, running_jvms(plan)
        cluster.down(plan.directory, lambda sentence: None)
        plains.append(plain(jvms, ready.endpoints["alluxio"], plan.expected_workers))
        first = up(plan)
        ups.append(first.seconds)
    print(f"start-up of {len(jvms)} JVMs, {rounds} rounds each, medians (least to most):")
    print(f"  plain script          {summary(plains)}")
    print(f"  alluxio-mesos up      {summary(ups)}  (with the proof that a file goes through the cache)")
    print(f"  ratio                 {statistics.median(ups) / statistics.median(plains):.2f}  (goal: at most 1.3)")
    executors(plan)


def executors(plan: Plan, seconds: float = 10.0) -> None:
    """Resident memory and CPU of each executor, while Alluxio is idle."""
    found = [process for process in psutil.process_iter() if is_executor(process, plan)]
    before = [process.cpu_times() for process in found]
    time.sleep(seconds)
    print(f"executors, {seconds:g} idle seconds:")
    for process, old in zip(found, before, strict=True):
        new = process.cpu_times()
        used = new.user + new.system - old.user - old.system
        slot = process.environ()["MESOS_EXECUTOR_ID"]
        resident = process.memory_info().rss / (1 << 20)
        print(f"  {slot:<12} {resident:5.1f} MiB resident (goal: at most 30), {used / seconds:.2%} of a CPU")


def is_executor(process: psutil.Process, plan: Plan) -> bool:
    try:
        command = process.cmdline()
        return (
            command[-1:] == ["alluxio-mesos-executor.pyz"]
            and process.cwd().startswith(str(plan.directory))
            and "python" in command[0]
        )
    except psutil.Error:
        return False


def summary(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def up(plan: Plan) -> cluster.Ready:
    return cluster.up(plan, QUIET)


def running_jvms(plan: Plan) -> list[Jvm]:
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            mine = str(plan.directory) in " ".join(command) and Path(command[0]).name == "java"
            if mine:
                main = next(word for word in command if word.startswith(("alluxio.", "org.apache.zookeeper.")))
                found.append(Jvm(main, tuple(command), process.cwd(), process.environ()))
        except (psutil.Error, IndexError):
            continue
    return found


def plain(jvms: list[Jvm], endpoints: dict[str, object], workers: int) -> float:
    """Seconds until the last worker is registered; the JVMs are ended afterwards."""
    zookeeper, masters, rest = (
        [jvm for jvm in jvms if jvm.main.startswith("org.apache.zookeeper.")],
        [jvm for jvm in jvms if jvm.main.startswith("alluxio.master.")],
        [jvm for jvm in jvms if jvm.main.startswith("alluxio.worker.")],
    )
    started: list[subprocess.Popen[bytes]] = []
    began = time.monotonic()
    try:
        started += [start(jvm) for jvm in zookeeper + masters]
        wait(lambda: all(answers(url) for url in master_pages(masters)))
        started += [start(jvm) for jvm in rest]
        with Masters([str(endpoints["leader"])], user=getpass.getuser()) as alluxio:
            wait(lambda: live(alluxio) == workers)
        return time.monotonic() - began
    finally:
        for process in started:
            process.kill()  # what they leave in the journal is whole: each entry is flushed before it counts
        for process in started:
            process.wait(timeout=30)


def start(jvm: Jvm) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        jvm.command,
        cwd=jvm.folder,
        env=jvm.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def master_pages(masters: list[Jvm]) -> list[str]:
    """The pages that tell that master and job master are primary, from the properties that they were started with."""
    site = Path(masters[0].folder) / "conf" / "alluxio-site.properties"
    properties = dict(line.split("=", 1) for line in site.read_text().splitlines() if "=" in line)
    host = properties["alluxio.master.hostname"]
    return [
        f"http://{host}:{properties['alluxio.master.web.port']}/api/v1/master/info",
        f"http://{host}:{properties['alluxio.job.master.web.port']}/api/v1/job_master/info",
    ]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            response.read()
            return bool(response.status == 200)
    except OSError:
        return False


def live(masters: Masters) -> int:
    listed = masters.workers()
    if isinstance(listed, Unavailable):
        return 0
    return sum(worker.state is WorkerState.LIVE for worker in listed)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the plain script's JVMs were not ready after 120 s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
