"""How long each GET takes with 1,000 workers, as a ratio to the emptiest answer of the same server.

    python tests/bench/bench_reads.py [--workers 1000] [--rounds 500] [--clients 1] [--changing]

The application, its guard and its server are the real ones, in a process of their own, over a made-up snapshot that is
replaced as the scheduler's loop does it: by an equal one at each tick, and now and then by one with a new report or new
figures of Alluxio. So what is kept of an earlier answer is kept no longer than in a service. With --changing a task
reports a hundred times a second, and most answers are made anew. Each client has one connection and asks for every
address in turn, in a random order; the emptiest answer is one of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import http.client
import itertools
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from api_stage import serving  # noqa: E402
from framework.alluxio.figures import Figures, WorkerFigures  # noqa: E402
from framework.api.safety import Safety  # noqa: E402
from framework.loop import TICK  # noqa: E402
from framework.model import (  # noqa: E402
    CacheReport,
    CachingWorker,
    HistoryEntry,
    Kind,
    Record,
    Refusal,
    Report,
    TaskState,
)
from framework.planner import State  # noqa: E402
from framework.series import Sample  # noqa: E402
from framework.service import WATCH_PAUSE  # noqa: E402
from stage import NEEDS, wanted  # noqa: E402

GIB = 1 << 30
EMPTIEST = "/v1/state/frameworkId"
PATHS = (
    EMPTIEST,
    "/v1/health",
    "/v1/status",
    "/v1/workers",
    "/v1/plans",
    "/v1/plans/deploy",
    "/v1/tasks",
    "/v1/tasks/worker-7",
    "/v1/offers",
    "/v1/endpoints",
    "/metrics",
    "/",
    "/v1/dashboard",
)
REPORT_TICKS, CACHE_TICKS = 6, round(WATCH_PAUSE / TICK)  # then a task reports, and Alluxio's masters answer again


def record(kind: Kind, index: int, now: float) -> Record:
    ports = {name: 31000 + number for number, name in enumerate(NEEDS[kind].ports)}
    host = f"10.{kind is Kind.MASTER:d}.{index >> 8}.{index & 255}"
    agent = f"bc007d0a-b129-4043-b701-7258ebd732a7-S{index}"
    return Record(kind, index, 1, agent, host, ports, "configuration-1", now - 900, kind is Kind.MASTER, deployed=True)


def cluster(workers: int, now: float) -> State:
    """One master and the workers, all of which run; the last refusals are there as well."""
    records = [record(Kind.MASTER, 0, now), *(record(Kind.WORKER, index, now) for index in range(workers))]
    refusals = tuple(
        Refusal(f"S{number}", f"10.0.0.{number}", "nothing is left to launch", now - number) for number in range(200)
    )
    return State(
        wanted=wanted(workers=workers),
        records={record.slot: record for record in records},
        reports={record.task_id: running(record, now) for record in records},
        history=(HistoryEntry(1, now - 900, "configuration-1", 1, workers, 0, {}),),
        framework_id="bc007d0a-b129-4043-b701-7258ebd732a7-0002",
        master="10.0.0.1:5050",
        connected=True,
        trouble="",
        subscribed_at=now - 1000,
        cache=caching(records, now),
        refusals=refusals,
    )


def running(record: Record, now: float) -> Report:
    processes = {"master": "ready", "job-master": "ready"} if record.kind is Kind.MASTER else {"worker": "ready"}
    return Report(record.task_id, TaskState.RUNNING, record.agent_id, now, now - 700, healthy=True, processes=processes)


def caching(records: list[Record], now: float) -> CacheReport:
    workers = tuple(
        CachingWorker(
            record.hostname,
            record.ports["rpc"],
            40 * GIB,
            8 * GIB + record.index,
            live=True,
            tiers=(("MEM", 8 * GIB, 4 * GIB), ("SSD", 32 * GIB, 4 * GIB + record.index)),
        )
        for record in records
        if record.kind is Kind.WORKER
    )
    return CacheReport(f"{records[0].hostname}:{records[0].ports['rpc']}", "", workers, now)


def later(state: State, tick: int, *, reports: bool) -> State:
    """The snapshot after one more tick of the loop; ``reports``: with a task's report in any case."""
    now, records = time.time(), list(state.records.values())
    if tick % CACHE_TICKS == 0:
        return dataclasses.replace(state, cache=caching(records, now))
    if reports or tick % REPORT_TICKS == 0:
        report = running(random.choice(records), now)
        return dataclasses.replace(state, reports={**state.reports, report.task_id: report})
    return dataclasses.replace(state)


def serve(told: Connection, workers: int, changing: bool) -> None:
    """Until the other end is closed."""
    now = time.time()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), safety=Safety(rate=0)) as api:
        api.state = cluster(workers, now)
        figures = {slot: WorkerFigures(n * GIB, GIB) for n, slot in enumerate(api.state.records) if slot != "master-0"}
        api.figures = Figures({"Master.TotalPaths": 1000.0, "Master.UniqueBlocks": 5000.0}, figures)
        api.series._samples.extend(Sample(now - 15 * (240 - n), 40 * GIB, n * GIB // 8, n, n) for n in range(240))
        told.send(api.port)
        for tick in itertools.count(1):
            if told.poll(0.01 if changing else TICK):
                return
            api.state = later(api.state, tick, reports=changing)


@dataclasses.dataclass(frozen=True)
class Answers:
    """Seconds until each answer was read, and the bytes of the last."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    size: list[int] = dataclasses.field(default_factory=lambda: [0])


def ask(port: int, rounds: int, found: dict[str, Answers]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    order = list(PATHS)
    for _ in range(rounds):
        random.shuffle(order)
        for path in order:
            began = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            content = answer.read()
            found[path].seconds.append(time.perf_counter() - began)
            assert answer.status in (200, 202), (path, answer.status, content[:200])
            found[path].size[0] = len(content)
    connection.close()


def measured(port: int, rounds: int, clients: int) -> dict[str, Answers]:
    found = {path: Answers() for path in PATHS}
    ask(port, 5, {path: Answers() for path in PATHS})  # what is made once is made
    gc.collect()
    gc.disable()
    threads = [threading.Thread(target=ask, args=(port, rounds, found)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.enable()
    return found


def percentile(seconds: list[float], part: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description="GETs with many workers.")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--changing", action="store_true", help="the snapshot changes all the time")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, options.workers, options.changing), daemon=True
    )
    server.start()
    found = measured(here.recv(), options.rounds, options.clients)
    here.send("end")
    server.join(10)
    base = {part: percentile(found[EMPTIEST].seconds, part) for part in (0.5, 0.99)}
    clients = f"{options.clients} client{'s' if options.clients > 1 else ''}"
    print(f"GETs with {options.workers:,} workers, {options.rounds} rounds of {clients}; ratios to {EMPTIEST}:")
    print(f"  {'':24}{'bytes':>9}{'p50':>11}{'ratio':>8}{'p99':>12}{'ratio':>8}  (goal: at most 3, and 50 ms)")
    for path, answers in found.items():
        middle, late = (percentile(answers.seconds, part) for part in (0.5, 0.99))
        figures = f"{middle * 1e3:>8.2f} ms{middle / base[0.5]:>8.1f}{late * 1e3:>9.2f} ms{late / base[0.99]:>8.1f}"
        print(f"  {path:24}{answers.size[0]:>9,}{figures}")


if __name__ == "__main__":
    main()
