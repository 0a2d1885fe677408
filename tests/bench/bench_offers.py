"""One OFFERS event of 10,000 agents: from the last byte on the socket to every decision made.

    python tests/bench/bench_offers.py [AGENTS] [ROUNDS]

A thread plays the Mesos master and writes the event, in HTTP chunks, into a real socket. The clock starts once its last
byte is there to be read (the socket has taken it), and stops when every offer has its decision. Printed is the median
over the rounds as a ratio to ``json.loads`` of the same bytes, measured in turn with it in the same run; beside it the
time from the first byte, and the same bytes through plain pymesos, whose callback only counts. The memory is the growth
of what Python holds per agent, with the offers as the scheduler keeps them.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import socket
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

import pymesos  # noqa: E402
from http_parser.http import HttpParser  # noqa: E402
from pymesos.process import Connection  # noqa: E402

from framework import placement, wire  # noqa: E402
from framework.messages import Decided, Decline, Launch, Offered, Subscribed, Updated  # noqa: E402
from framework.model import Kind, Record, Report, TaskState  # noqa: E402
from framework.planner import State, decide, evolve  # noqa: E402
from framework.recordio import Records  # noqa: E402
from stage import wanted  # noqa: E402

CHUNK = 64 * 1024
OWNER = wire.Owner("alluxio", "f")
HEAD = b"HTTP/1.1 200 OK\r\nMesos-Stream-Id: s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
CASES = {
    "3 workers wanted": (3, ""),
    "nothing wanted": (0, ""),
    "a worker on each agent": (None, ""),
    "… that are of a name": (None, "agent:LIKE:a[0-9]+"),
    "… at most 250 in a rack": (None, "rack:MAX_PER:250"),
    "… spread over the racks": (None, "rack:GROUP_BY:40"),
}


def offers_event(agents: int) -> bytes:
    """In the shape that a Mesos 1.12 master sends."""
    offers = [offer(number) for number in range(agents)]
    return json.dumps({"type": "OFFERS", "offers": {"offers": offers}}).encode()


def offer(number: int) -> dict[str, Any]:
    host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    role = {"role": "alluxio"}
    scalars = {"cpus": 8.0, "mem": 30000.0, "disk": 200000.0}
    ports = {"range": [{"begin": 31000, "end": 32000}]}
    return {
        "id": {"value": f"bc007d0a-b129-4043-b701-7258ebd732a7-O{number}"},
        "framework_id": {"value": "bc007d0a-b129-4043-b701-7258ebd732a7-0002"},
        "agent_id": {"value": f"bc007d0a-b129-4043-b701-7258ebd732a7-S{number}"},
        "hostname": host,
        "url": {
            "scheme": "http",
            "address": {"hostname": host, "ip": host, "port": 5051},
            "path": "/slave(1)",
        },
        "resources": [
            {"name": "ports", "type": "RANGES", "ranges": ports, "allocation_info": role},
            *(
                {"name": name, "type": "SCALAR", "scalar": {"value": amount}, "allocation_info": role}
                for name, amount in scalars.items()
            ),
        ],
        "attributes": [
            {"name": "agent", "type": "TEXT", "text": {"value": f"a{number}"}},
            {"name": "rack", "type": "TEXT", "text": {"value": f"r{number % 40}"}},
        ],
        "allocation_info": role,
    }


def ready_state(workers: int | None, rules: str = "") -> State:
    """Subscribed, with a master that is ready, so that workers may be launched."""
    want = dataclasses.replace(wanted(workers=workers), placements={Kind.WORKER: placement.read(rules)})
    ports = {name: 31000 + number for number, name in enumerate(want.needs[Kind.MASTER].ports)}
    master = Record(Kind.MASTER, 0, 1, "S", "10.255.0.1", ports, "configuration-1", 900.0, formatted=True)
    state = State(wanted=want, records={"master-0": master}, kept_framework_id="f")
    state = evolve(state, Subscribed("f", "10.0.0.1:5050", 1000.0))
    return evolve(state, Updated(Report("master-0.1", TaskState.RUNNING, "S", 1000.0, 1000.0, healthy=True)))


class Seconds(NamedTuple):
    """Until every decision is made: from the last byte on the socket, and from the first."""

    last_byte: float
    first_byte: float


class Feed:
    """The master's side: the stream's bytes, written by a thread; ``written`` is when the last of them was taken."""

    def __init__(self, record: bytes) -> None:
        framed = b"%d\n%s" % (len(record), record)
        pieces = [framed[at : at + CHUNK] for at in range(0, len(framed), CHUNK)]
        self._data = HEAD + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        self.began = self.written = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def serve_once(self) -> threading.Thread:
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        return thread

    def _serve(self) -> None:
        peer, _ = self.listener.accept()
        with peer:
            self.began = time.perf_counter()
            peer.sendall(self._data)
            self.written = time.perf_counter()
            peer.recv(1)  # until the reader is done


def through_framework(feed: Feed, state: State) -> Seconds:
    serving = feed.serve_once()
    parser, records = HttpParser(), Records()
    decisions = 0
    with socket.create_connection(("127.0.0.1", feed.port)) as stream:
        while not decisions:
            data = stream.recv(256 * 1024)
            parser.execute(data, len(data))
            for record in records.feed(parser.recv_body()):
                offers = wire.mesos_event(record).offers
                assert offers is not None
                state = evolve(state, Offered(wire.model_offers(offers, OWNER), 1001.0))
                effects = decide(state, 1001.0)
                state = evolve(state, Decided(effects, 1001.0))
                decisions = sum(isinstance(effect, Launch | Decline) for effect in effects)
        ended = time.perf_counter()
    serving.join()
    assert decisions == len(offers.offers)
    return Seconds(ended - feed.written, ended - feed.began)


class Counting(pymesos.Scheduler):  # type: ignore[misc]  # pymesos has no types
    def __init__(self) -> None:
        self.seen = 0

    def resourceOffers(self, driver: object, offers: list[object]) -> None:  # noqa: N802  # pymesos's name
        self.seen += len(offers)


def through_pymesos(feed: Feed) -> Seconds:
    serving = feed.serve_once()
    scheduler = Counting()
    driver = pymesos.MesosSchedulerDriver(scheduler, {"user": "u", "name": "n"}, "", use_addict=True, failover=True)
    driver._started = True
    driver._master = f"127.0.0.1:{feed.port}"
    connection = Connection(driver._master, driver)
    connection._sock.setblocking(True)
    while not scheduler.seen:
        assert connection.read()
    ended = time.perf_counter()
    connection.close()
    serving.join()
    return Seconds(ended - feed.written, ended - feed.began)


def timed(work: Callable[[], object]) -> Seconds:
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    return Seconds(took, took)


def measured(record: bytes, rounds: int) -> dict[str, list[Seconds]]:
    feed = Feed(record)
    seconds: dict[str, list[Seconds]] = {"json.loads": [], **{name: [] for name in CASES}}
    for _ in range(rounds):
        for name, (workers, rules) in CASES.items():
            state = ready_state(workers, rules)
            gc.collect()
            seconds["json.loads"].append(timed(lambda: json.loads(record)))
            gc.collect()
            seconds[name].append(through_framework(feed, state))
    seconds["plain pymesos"] = [through_pymesos(feed) for _ in range(2)]
    feed.listener.close()
    return seconds


def memory_per_agent(record: bytes, agents: int) -> float:
    offers = wire.mesos_event(record).offers
    assert offers is not None
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    state = evolve(ready_state(None), Offered(wire.model_offers(offers, OWNER), 1001.0))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(state.offers) == agents
    return (after - before) / agents


def main(agents: int = 10_000, rounds: int = 7) -> None:
    record = offers_event(agents)
    seconds = measured(record, rounds)
    base = statistics.median(took.last_byte for took in seconds["json.loads"])
    print(f"one OFFERS event of {agents} agents, {len(record) / 1e6:.1f} MB; json.loads takes {base * 1000:.0f} ms")
    for name, series in seconds.items():
        last, first = (statistics.median(column) for column in zip(*series, strict=True))
        ratios = f"{last / base:5.2f} × json.loads, from the first byte {first / base:5.2f} ×"
        print(f"  {name:24} {last * 1000:6.0f} ms  {ratios}")
    print(f"  memory: {memory_per_agent(record, agents):.0f} bytes for each agent's offer")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
