"""When the watch on Alluxio's masters asks, and what it reports."""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventually import eventually
from framework.alluxio.watch import Addresses, Watch
from framework.model import CacheReport, CachingWorker
from ports import held_port
from unit.alluxio.test_masters import reported

Serve = Callable[..., Any]
NEVER = 600.0
TIERS = (("MEM", 100, 10), ("SSD", 200, 30))  # as ``reported`` has them


class Heard:
    """A started watch with its pause and its addresses, both of which may change, and what it has reported."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.pause = NEVER
        self.reports: queue.SimpleQueue[CacheReport] = queue.SimpleQueue()
        self.now = 0.0
        self.watch = Watch(
            lambda: Addresses(tuple(self.addresses)), lambda: self.pause, self.reports.put, "SIMPLE", lambda: self.now
        )
        self.watch.start()

    def next(self) -> CacheReport:
        return self.reports.get(timeout=60)


@pytest.fixture
def heard() -> Iterator[Heard]:
    made = Heard()
    yield made
    made.watch.stop()


def test_it_reports_the_primary_its_workers_and_every_masters_role(serve: Serve, heard: Heard) -> None:
    primary = serve(workers=(reported(29001, "LOST"), reported(29000, "ACTIVE")))
    standby = serve(primary=False)
    heard.addresses = [standby.address, primary.address]
    heard.watch.wake()
    report = heard.next()
    assert dataclasses.replace(report, at=0.0) == CacheReport(
        primary.address,
        "",
        (
            CachingWorker("127.0.0.11", 29000, 300, 40, live=True, tiers=TIERS),
            CachingWorker("127.0.0.11", 29001, 300, 40, live=False, tiers=TIERS),
        ),
        masters=((standby.address, "standby"), (primary.address, "primary")),
    )


def test_what_was_said_before_is_no_news(serve: Serve, heard: Heard) -> None:
    server = serve()
    heard.addresses, heard.pause = [server.address], 0.01
    heard.watch.wake()
    assert heard.next().primary == server.address
    asked = len(server.calls)
    eventually(lambda: len(server.calls) > asked + 4, "it asks again and again")
    assert heard.reports.empty()


def test_somebody_who_waits_for_a_look_is_told_of_it_though_nothing_changed(serve: Serve, heard: Heard) -> None:
    """A master that turns up is held until Alluxio was asked after it did."""
    server = serve()
    heard.addresses, heard.pause = [server.address], 0.01
    heard.watch.wake()
    first = heard.next()
    heard.now = 1000.0
    assert heard.next() == dataclasses.replace(first, at=1000.0)


def test_it_asks_when_it_is_woken_however_long_the_pause(serve: Serve, heard: Heard) -> None:
    first, second = serve(), serve()
    heard.addresses = [first.address]
    heard.watch.wake()
    assert heard.next().primary == first.address
    heard.addresses = [second.address]
    heard.watch.wake()
    assert heard.next().primary == second.address


def test_without_a_primary_it_does_not_wait_for_the_pause(serve: Serve, heard: Heard) -> None:
    """The pause may be long because all was well; a failover is not noticed any later for that."""
    port = held_port()
    heard.addresses = [f"127.0.0.1:{port}"]
    heard.watch.wake()
    assert heard.next().primary is None
    serve(port=port)
    assert heard.next().primary == f"127.0.0.1:{port}"
