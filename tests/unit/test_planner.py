"""Decisions over each state that Mesos may tell of a task, as tables; the stories are in tests/scenarios."""

from __future__ import annotations

import itertools

import pytest

from framework.messages import (
    CacheSeen,
    Decline,
    Disconnected,
    Kill,
    Launch,
    Offered,
    Reconcile,
    Revive,
    Stop,
    Subscribed,
    Suppress,
    Updated,
)
from framework.model import (
    LIFE,
    CacheReport,
    ExitCode,
    Journal,
    Life,
    Member,
    Offer,
    Range,
    Report,
    Resource,
    TaskState,
)
from framework.planner import Policy
from framework.state import is_member
from stage import Stage, wanted

TERMINAL = [state for state in TaskState if LIFE[state] is Life.TERMINAL]
PORTS = Resource("ports", "alluxio", ranges=(Range(21000, 21099),))
SCALARS = tuple(
    Resource(name, "alluxio", amount * 1000) for name, amount in (("cpus", 8), ("mem", 9999), ("disk", 9999))
)


def offer(stage: Stage, number: int) -> Offered:
    found = Offer(f"O{number}-{stage.now}", f"S{number}", f"127.0.0.{10 + number}", (*SCALARS, PORTS))
    return Offered((found,), stage.now)


def update(stage: Stage, task_id: str, state: TaskState) -> Updated:
    agent = stage.state.records[task_id.rpartition(".")[0]].agent_id
    healthy = state is TaskState.RUNNING
    return Updated(Report(task_id, state, agent, stage.now, stage.now, healthy, "as it is"), f"uuid-{state}")


def deployed() -> Stage:
    stage = Stage(wanted(workers=1))
    stage.play(Subscribed("framework-1", "m:5050", stage.now), offer(stage, 1))
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    stage.play(offer(stage, 2))
    stage.play(update(stage, "worker-0.1", TaskState.RUNNING))
    return stage


def test_another_framework_id_ends_the_scheduler_before_it_does_anything() -> None:  # C1
    stage = deployed()
    stage.start()
    effects = stage.play(Subscribed("framework-2", "m:5050", stage.now), offer(stage, 2))
    sentence = "Mesos answered with framework id framework-2, but the records belong to framework-1"
    assert effects == [Stop(ExitCode.REMOVED, sentence)]
    assert stage.store.load().framework_id == "framework-1"


def test_a_batch_of_offers_gets_each_instance_once() -> None:  # C13 C16, kafka#271
    stage = Stage(wanted(workers=3))
    stage.play(Subscribed("framework-1", "m:5050", stage.now), offer(stage, 1))
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    many = [found for number in range(1, 101) for found in offer(stage, number).offers]
    answers = [effect for effect in stage.play(Offered(tuple(many), stage.now)) if isinstance(effect, Launch | Decline)]
    assert sorted(answer.offer.id for answer in answers) == sorted(found.id for found in many)
    launched = [record for answer in answers if isinstance(answer, Launch) for record in answer.records]
    assert [record.task_id for record in launched] == ["worker-0.1", "worker-1.1", "worker-2.1"]
    assert len({record.agent_id for record in launched}) == 3


def test_an_instance_without_a_place_gets_the_agent_that_joins_later() -> None:  # C16, elasticsearch#520
    stage = Stage(wanted(workers=2))
    stage.play(Subscribed("framework-1", "m:5050", stage.now), offer(stage, 1))
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    stage.play(offer(stage, 1))
    stage.play(update(stage, "worker-0.1", TaskState.RUNNING))
    stage.now += 86400
    launches = [effect for effect in stage.play(offer(stage, 2)) if isinstance(effect, Launch)]
    assert [record.task_id for launch in launches for record in launch.records] == ["worker-1.1"]


def test_the_reasons_of_the_last_offers_are_kept() -> None:  # C18
    stage = Stage(wanted())
    stage.play(Subscribed("framework-1", "m:5050", stage.now))
    for number in range(Policy().kept_refusals + 50):
        stage.play(Offered((Offer(f"O{number}", "S", f"h{number}", (PORTS,)),), stage.now))
    assert [refusal.hostname for refusal in stage.state.refusals] == [f"h{number}" for number in range(50, 250)]
    assert {refusal.reason for refusal in stage.state.refusals} == {"master-0: offers 0 of 1 CPUs"}


@pytest.mark.parametrize("state", TERMINAL)
def test_every_end_of_a_task_is_followed_by_a_launch_in_its_place(state: TaskState) -> None:  # C26
    stage = deployed()
    stage.now += 1
    stage.play(update(stage, "worker-0.1", state))
    launches = [effect for effect in stage.play(offer(stage, 2)) if isinstance(effect, Launch)]
    assert [record.task_id for launch in launches for record in launch.records] == ["worker-0.2"]
    assert launches[0].records[0].hostname == "127.0.0.12"


@pytest.mark.parametrize("state", TERMINAL)
def test_the_end_of_an_old_copy_changes_nothing(state: TaskState) -> None:  # C23
    stage = deployed()
    stage.play(update(stage, "worker-0.1", TaskState.FAILED))
    stage.play(offer(stage, 2))
    stage.play(update(stage, "worker-0.2", TaskState.RUNNING))
    old = Report("worker-0.1", state, "S2", stage.now, stage.now)
    stage.play(Updated(old, "uuid-late"))
    assert stage.state.records["worker-0"].task_id == "worker-0.2"
    assert not [effect for effect in stage.play() if isinstance(effect, Kill | Launch | Revive)]


def test_offers_are_asked_for_again_when_none_follows() -> None:  # C15
    stage = deployed()
    asked = stage.play(update(stage, "worker-0.1", TaskState.FAILED))
    assert sum(isinstance(effect, Revive) for effect in asked) == 1
    again = []
    for _ in range(180):
        stage.now += 1
        again += [stage.now for effect in stage.play() if isinstance(effect, Revive)]
    pause = Policy().revive_again
    assert len(again) == 3
    assert all(later - sooner == pause for sooner, later in itertools.pairwise(again))


def test_offers_are_asked_for_once_a_second_however_often_something_fails() -> None:  # C15
    stage = Stage(wanted(workers=30))
    stage.play(Subscribed("framework-1", "m:5050", stage.now), offer(stage, 99))
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    stage.now += 60
    for number in range(30):
        stage.play(offer(stage, number))
    asked = []
    for number in range(30):
        stage.now += 0.1
        effects = stage.play(update(stage, f"worker-{number}.1", TaskState.FAILED))
        asked += [stage.now for effect in effects if isinstance(effect, Revive)]
        assert any(isinstance(effect, Launch) for effect in stage.play(offer(stage, number)))
    assert all(later - sooner >= Policy().revive_pause for sooner, later in itertools.pairwise(asked))
    assert 2 <= len(asked) <= 3
    lost = stage.play(update(stage, "worker-7.2", TaskState.FAILED))
    waited = 0
    while not any(isinstance(effect, Revive) for effect in lost):
        stage.now += 0.5
        waited += 1
        lost = stage.play()
    assert waited <= 4  # put off, and not forgotten


def test_nothing_to_launch_means_no_offers_also_right_after_a_subscription() -> None:  # C15
    stage = deployed()
    stage.play(Disconnected("the stream ended", stage.now))
    effects = stage.play(Subscribed("framework-1", "m:5050", stage.now))
    assert sum(isinstance(effect, Suppress) for effect in effects) == 1


def test_each_task_is_asked_for_until_it_is_answered_with_growing_pauses() -> None:  # C24
    stage = deployed()
    stage.now += 1
    stage.play(Disconnected("the stream ended", stage.now))
    asked = [stage.now for effect in stage.play(Subscribed("framework-1", "m:5050", stage.now)) if _asks(effect)]
    for _ in range(200):
        stage.now += 1
        asked += [stage.now for effect in stage.play() if _asks(effect)]
    pauses = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    stage.play(update(stage, "worker-0.1", TaskState.RUNNING))
    stage.now += 100
    assert not [effect for effect in stage.play() if _asks(effect)]


def test_everything_is_asked_for_every_quarter_of_an_hour() -> None:  # C24
    stage = deployed()
    stage.now += 1
    stage.play(Disconnected("the stream ended", stage.now))
    subscribed = stage.play(Subscribed("framework-1", "m:5050", stage.now))
    [first] = [effect for effect in subscribed if isinstance(effect, Reconcile)]
    # The agent is named: Mesos answers at once for one that it does not know.
    assert first.tasks == (("master-0.1", "S1"), ("worker-0.1", "S2"))
    asked: list[float] = []
    for _ in range(2000):
        effects = stage.play(*(update(stage, task, TaskState.RUNNING) for task in ("master-0.1", "worker-0.1")))
        questions = [effect.tasks for effect in effects if isinstance(effect, Reconcile)]
        assert questions in ([], [()])  # one run at a time
        asked += [stage.now for _ in questions]
        stage.now += 1
    assert [later - sooner for sooner, later in itertools.pairwise(asked)] == [900.0, 900.0]


def _asks(effect: object) -> bool:
    return isinstance(effect, Reconcile) and any(task == "worker-0.1" for task, _ in effect.tasks)


def test_a_member_that_just_started_is_given_time_to_join_its_quorum() -> None:
    """On a busy machine that takes a quarter of a minute; one that is not counted for long joins when it starts."""
    stage = Stage(wanted(masters=3, workers=0, journal=Journal.EMBEDDED))
    stage.play(Subscribed("framework-1", "m:5050", stage.now))

    def counted(masters: int) -> CacheSeen:
        known = [stage.state.records[f"master-{index}"] for index in range(masters)]
        members = tuple(Member(f"{one.hostname}:{one.ports['journal']}", available=True) for one in known)
        return CacheSeen(CacheReport(f"{known[0].hostname}:{known[0].ports['rpc']}", "", members=members, at=stage.now))

    for index in range(3):
        stage.play(offer(stage, index))
        stage.play(update(stage, f"master-{index}.1", TaskState.RUNNING), counted(min(2, index + 1)))
    stage.now += 30
    assert not [effect for effect in stage.play(counted(2)) if isinstance(effect, Kill)]
    stage.now += 60
    assert [effect.task_id for effect in stage.play(counted(2)) if isinstance(effect, Kill)] == ["master-2.1"]


def test_while_the_masters_quorum_does_not_answer_the_job_masters_tells_nothing() -> None:
    stage = Stage(wanted(masters=2, workers=0, journal=Journal.EMBEDDED))
    stage.play(Subscribed("framework-1", "m:5050", stage.now))

    def counted(*, job: bool, masters: int) -> CacheSeen:
        known = [stage.state.records[f"master-{index}"] for index in range(masters)]
        port = "job_journal" if job else "journal"
        members = tuple(Member(f"{one.hostname}:{one.ports[port]}", available=True, job=job) for one in known)
        return CacheSeen(CacheReport(f"{known[0].hostname}:{known[0].ports['rpc']}", "", members=members, at=stage.now))

    for index in range(2):
        stage.play(offer(stage, index))
        stage.play(update(stage, f"master-{index}.1", TaskState.RUNNING), counted(job=False, masters=index + 1))
    stage.now += 300
    assert not [effect for effect in stage.play(counted(job=True, masters=1)) if isinstance(effect, Kill)]
    assert is_member(stage.state, stage.state.records["master-1"])
    assert [effect for effect in stage.play(counted(job=False, masters=1)) if isinstance(effect, Kill)]
