"""Answers that are kept, and how soon they come."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from api_stage import Api, seconds_of, serving
from eventually import eventually
from framework.api.kept import Kept
from framework.model import CacheReport, CachingWorker, Failure, Kind, Record, Report, TaskState
from framework.planner import State
from stage import wanted

LISTS = ("/v1/status", "/v1/tasks", "/v1/workers", "/v1/plans", "/v1/endpoints", "/v1/dashboard", "/metrics")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


def test_a_body_does_not_wait_for_the_acknowledgement_of_its_head(api: Api) -> None:
    """With Nagle's rule each answer of a connection that is used again takes at least 40 ms."""
    with requests.Session() as session:

        def take() -> float:
            return seconds_of(lambda: session.get(f"{api.url}/v1/health", timeout=60))

        take()
        eventually(lambda: take() < 0.03, "an answer comes sooner")


def test_what_is_kept_is_what_would_be_made(api: Api, tmp_path: Path) -> None:
    """An answer given before, by an equal snapshot or another one, is never seen again once it is not true any more."""
    now = time.time()
    for count, is_ready in ((1, False), (1, True), (2, True), (2, False), (2, False)):
        api.state = _some_workers(count, is_ready, now)
        kept = {path: _told(api, path) for path in LISTS}
        kept = {path: _told(api, path) for path in LISTS}  # the second time they are kept ones
        with serving(tmp_path) as other:
            other.state = api.state
            assert kept == {path: _told(other, path).replace(other.url, api.url) for path in LISTS}


def _told(api: Api, path: str) -> str:
    """Without what is the process's own, which goes on counting."""
    return re.sub(r"(?m)^process_.*", "", api.get(path).text)


def _some_workers(count: int, is_ready: bool, now: float) -> State:
    records = [Record(Kind.MASTER, 0, 1, "S", "10.0.1.1", {"rpc": 1, "web": 2}, "c", now, formatted=True)]
    records += [Record(Kind.WORKER, n, 1, f"S{n}", f"10.0.0.{n}", {"rpc": 1, "web": 2}, "c", now) for n in range(count)]
    reports = [Report(r.task_id, TaskState.RUNNING, r.agent_id, now, now, healthy=is_ready) for r in records]
    workers = tuple(CachingWorker(f"10.0.0.{n}", 1, 100, 10, is_ready) for n in range(count))
    return State(
        wanted=wanted(workers=2),
        connected=True,
        records={record.slot: record for record in records},
        reports={report.task_id: report for report in reports},
        cache=CacheReport("10.0.1.1:1", "", workers, now),
    )


def test_what_the_clock_changes_is_kept_for_a_second_at_most(api: Api) -> None:
    """A pause after failures is counted down."""
    now = time.time()
    api.state = dataclasses.replace(
        _some_workers(2, True, now), records={}, reports={}, failures={"worker-0": Failure(9, now, "it broke")}
    )

    def left() -> float:
        failure = api.get("/v1/tasks").json()[1]["failure"]
        return float(failure["next_launch_in_seconds"])

    first = left()
    eventually(lambda: left() < first, "the pause gets shorter")
    assert time.time() < now + 10


def test_an_answer_is_made_once_for_all_who_wait_for_it() -> None:
    kept: Kept[int] = Kept()
    state, made = State(wanted=wanted()), []
    gate = threading.Event()

    def make() -> int:
        made.append(len(made))
        gate.wait(60)
        return made[-1]

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(kept.of, dataclasses.replace(state), 1000.0, make) for _ in range(8)]
        eventually(lambda: made, "the first makes it")
        gate.set()
        assert {one.result() for one in waiting} == {0}
    assert kept.of(state, 1000.0, make, "another") == 1
    assert kept.of(dataclasses.replace(state, connected=True), 1000.0, make, "another") == 2
    assert (
        kept.of(dataclasses.replace(state, connected=True), 1e9, make, "another") == 2
    )  # nothing depends on the clock
