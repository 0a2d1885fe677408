"""Who is asked for figures, what is kept of the answers, and what a process that does not answer does to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from eventually import eventually
from framework.alluxio.figures import WORKERS_A_SWEEP, Figures, Poller, Targets, WorkerFigures
from ports import held_port
from web_server import WebServer, web_server

# As Alluxio 2.9.6 answers, but for what is left out.
MASTER = {
    "version": "4.0.0",
    "gauges": {
        "Cluster.CacheHitRate": {"value": 0.25},
        "Master.system.status": {"value": "IDLE"},
        "deadlocks": {"value": []},
        "Master.FileSize": {"value": {"1024": 0}},
    },
    "counters": {"Cluster.BytesReadCache": {"count": 1048576}},
    "timers": {"Master.TotalRpcs": {"count": 1784, "p99": 21.5, "duration_units": "milliseconds"}},
}
WORKER = {
    "counters": {
        "Worker.BytesReadCache": {"count": 4048576},
        "Worker.BytesReadRemote": {"count": 7048576},
        "Worker.BytesReadPerUfs.UFS:%2Fdata.User:": {"count": 3000000},
        "Worker.BytesReadPerUfs.UFS:s3:%2F%2Fbucket.User:": {"count": 5},
    }
}


@contextlib.contextmanager
def polling(targets: Targets) -> Iterator[Poller]:
    poller = Poller(lambda: targets, pause=0.01)
    poller.start()
    try:
        yield poller
    finally:
        poller.stop()


@contextlib.contextmanager
def serving(answer: Any) -> Iterator[WebServer]:
    with web_server(lambda path, query: answer[0] if path == "/metrics/json/" else 404) as server:
        yield server


def test_numbers_come_by_alluxios_names() -> None:
    with serving([MASTER]) as master, polling(Targets(master.address)) as poller:
        eventually(lambda: poller.figures.primary, "the primary is heard")
        assert poller.figures == Figures(
            {
                "Cluster.CacheHitRate": 0.25,
                "Cluster.BytesReadCache": 1048576.0,
                "Master.TotalRpcs.count": 1784.0,
                "Master.TotalRpcs.p99": 21.5,
            }
        )


@pytest.mark.parametrize("root", [404, "a page"])
def test_whether_alluxio_has_pages_for_people(root: Any) -> None:
    with (
        web_server(lambda path, query: {"/metrics/json/": MASTER, "/": root}[path]) as master,
        polling(Targets(master.address)) as poller,
    ):
        eventually(lambda: poller.figures.primary, "the primary is heard")
        assert poller.figures.pages is (root != 404)


def test_a_worker_counts_what_it_read_by_storage() -> None:
    with serving([WORKER]) as worker, polling(Targets("", {"worker-0": worker.address})) as poller:
        eventually(lambda: poller.figures.workers, "the worker is heard")
        assert poller.figures.workers == {"worker-0": WorkerFigures(4048576, 3000005)}


def test_who_falls_silent_has_no_figures_any_more() -> None:
    """Old figures would look like a cluster where nothing is read."""
    answers: list[Any] = [MASTER]
    worker_answers: list[Any] = [WORKER]
    with serving(answers) as master, serving(worker_answers) as worker:
        targets = Targets(master.address, {"worker-0": worker.address})
        with polling(targets) as poller:
            eventually(lambda: poller.figures.primary and poller.figures.workers, "both are heard")
            answers[0] = worker_answers[0] = 500
            eventually(lambda: poller.figures == Figures(), "both are forgotten")
            answers[0], worker_answers[0] = "no object", WORKER
            eventually(lambda: poller.figures.workers, "the worker is heard again")
            assert poller.figures.primary == {}


def test_nothing_listens_and_nobody_is_there() -> None:
    address = f"127.0.0.1:{held_port()}"
    with serving([WORKER]) as worker, polling(Targets(address, {"worker-0": address, "worker-1": worker.address})) as p:
        eventually(lambda: p.figures.workers, "the worker that is there is heard")
        assert (p.figures.primary, set(p.figures.workers)) == ({}, {"worker-1"})


def test_of_many_workers_each_has_its_turn() -> None:
    known: set[int] = set()  # of how many there were figures when one was asked

    def answer(path: str, query: dict[str, str]) -> Any:
        known.add(len(poller.figures.workers))
        return WORKER

    with web_server(answer) as worker:
        many = {f"worker-{index}": worker.address for index in range(2 * WORKERS_A_SWEEP + 50)}
        with polling(Targets("", many)) as poller:
            eventually(lambda: len(poller.figures.workers) == len(many), "all are heard")
    assert {0, WORKERS_A_SWEEP, 2 * WORKERS_A_SWEEP} <= known


def test_workers_that_left_are_forgotten() -> None:
    with serving([WORKER]) as worker:
        both = Targets("", {"worker-0": worker.address, "worker-1": worker.address})
        with polling(both) as poller:
            eventually(lambda: len(poller.figures.workers) == 2, "both are heard")
            poller._targets = lambda: Targets("", {"worker-0": worker.address})
            eventually(lambda: set(poller.figures.workers) == {"worker-0"}, "one is forgotten")
