"""What is counted while the loop decides."""

from __future__ import annotations

import pytest

from framework.memory import REMEMBERED
from framework.messages import Effect, Offered, Subscribed, Suppress, Updated
from framework.model import Kind, Offer, Range, Report, Resource, TaskState
from framework.planner import Policy
from framework.refusals import Reason
from framework.tally import BOUNDS, Durations, Tally, words
from stage import Stage, wanted


def offer(name: str, host: str, *, cpus: int = 4000) -> Offer:
    resources = (
        Resource("cpus", "alluxio", cpus),
        Resource("mem", "alluxio", 16_384_000),
        Resource("disk", "alluxio", 90_000_000),
        Resource("ports", "alluxio", ranges=(Range(21000, 21099),)),
    )
    return Offer(name, f"S-{host}", host, resources)


class Played:
    """A master and one worker, from the first offer on."""

    def __init__(self) -> None:
        self.stage = Stage(wanted(workers=1), Policy(stickiness=30))
        self.tally = self.stage.tally
        self.stage.play(Subscribed("framework-1", "m:5050", self.stage.now))

    def offer(self, name: str, host: str, *, cpus: int = 4000) -> None:
        self.stage.play(Offered((offer(name, host, cpus=cpus),), self.stage.now))

    def update(self, task_id: str, host: str, state: TaskState, *, times: int = 1) -> None:
        report = Report(task_id, state, f"S-{host}", self.stage.now, self.stage.now, state is TaskState.RUNNING)
        self.stage.play(*[Updated(report, "uuid")] * times)


@pytest.fixture
def played() -> Played:
    made = Played()
    made.offer("O1", "h1")
    made.update("master-0.1", "h1", TaskState.RUNNING)
    made.offer("O2", "h2", cpus=100)
    made.offer("O3", "h2")
    made.update("worker-0.1", "h2", TaskState.RUNNING)
    return made


def test_offers_are_counted_by_what_became_of_them(played: Played) -> None:
    tally = played.tally
    assert (tally.offers_received, tally.offers_used) == (3, 2)
    assert {reason: count for reason, count in tally.offers_declined.items() if count} == {Reason.CPUS: 1}
    assert tally.events["offered"] == 3
    assert (tally.decisions["launch"], tally.decisions["decline"]) == (2, 1)


def test_launches_are_counted_by_their_cause(played: Played) -> None:
    played.update("worker-0.1", "h2", TaskState.FAILED)
    played.offer("O4", "h2")  # its own agent
    played.update("worker-0.2", "h2", TaskState.RUNNING)
    played.update("worker-0.2", "h2", TaskState.FAILED)
    played.stage.now += 60  # longer than it waits for its agent
    played.offer("O5", "h3")
    assert {key: count for key, count in played.tally.launches.items() if count} == {
        (Kind.MASTER, "first"): 1,
        (Kind.WORKER, "first"): 1,
        (Kind.WORKER, "relaunch"): 1,
        (Kind.WORKER, "replacement"): 1,
    }


def test_an_end_is_counted_once_however_often_it_is_told(played: Played) -> None:  # C23
    played.update("worker-0.1", "h2", TaskState.FAILED, times=2)
    played.update("worker-0.1", "h2", TaskState.FAILED)
    played.update("stranger", "h2", TaskState.FAILED)
    played.update("worker-7.1", "h2", TaskState.LOST)
    assert {key: count for key, count in played.tally.ends.items() if count} == {(Kind.WORKER, TaskState.FAILED): 1}


def test_every_round_is_timed_and_every_write(played: Played) -> None:
    rounds, saves = sum(played.tally.rounds.counts), sum(played.tally.saves.counts)
    assert played.tally.rounds.seconds > 0
    played.stage.play()  # decides that there is nothing to do, so it writes nothing
    assert (sum(played.tally.rounds.counts), sum(played.tally.saves.counts)) == (rounds + 1, saves)
    assert 0 < saves < rounds


def test_what_is_timed_as_a_write_is_what_a_store_writes() -> None:
    tally = Tally()
    with tally.saving([Suppress()]):
        pass
    assert sum(tally.saves.counts) == 0
    assert {words(kind) for kind in REMEMBERED} <= set(tally.decisions)


def test_a_write_that_fails_took_its_time_too(played: Played) -> None:
    effect: Effect = next(iter(played.stage.play(Subscribed("framework-1", "m:5050", played.stage.now))), Suppress())
    durations = Durations()
    with pytest.raises(ZeroDivisionError), durations.timed():
        raise ZeroDivisionError(str(effect))
    assert sum(durations.counts) == 1


def test_a_duration_counts_at_its_bound() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, 1e9):
        durations.add(seconds)
    assert (durations.counts[0], durations.counts[1], durations.counts[-1]) == (2, 1, 1)


def test_every_kind_of_event_and_decision_has_its_key_from_the_start() -> None:
    tally = Tally()
    assert {"subscribed", "offered", "updated", "cache_seen"} <= set(tally.events)
    assert {"launch", "decline", "keep_framework_id"} <= set(tally.decisions)
