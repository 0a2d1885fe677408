"""The end of a service for good, as a table of what is left to do; the story is in tests/scenarios/uninstall.txt."""

from __future__ import annotations

import dataclasses

from framework import plans
from framework.messages import (
    Decline,
    Effect,
    Erase,
    Failed,
    GiveBack,
    KeepUninstalling,
    Kill,
    Launch,
    Offered,
    Revive,
    Shutdown,
    Stop,
    Subscribed,
    Teardown,
    Uninstalled,
    Updated,
    Wished,
)
from framework.model import ExitCode, Holding, Offer, Range, Report, Resource, TaskState
from framework.planner import Policy
from framework.scaling import next_entry
from stage import Stage, wanted

PORTS = Resource("ports", "alluxio", ranges=(Range(21000, 21099),))
SCALARS = tuple(
    Resource(name, "alluxio", amount * 1000) for name, amount in (("cpus", 8), ("mem", 9999), ("disk", 9999))
)
POLICY = Policy()
REMOVED = Failed("Framework has been removed", ExitCode.REMOVED, 0.0)


def offer(stage: Stage, number: int, *holdings: Holding) -> Offered:
    found = Offer(
        f"O{number}-{stage.now}", f"S{number}", f"127.0.0.{10 + number}", (*SCALARS, PORTS), holdings=holdings
    )
    return Offered((found,), stage.now)


def update(stage: Stage, task_id: str, state: TaskState) -> Updated:
    record = stage.store.load().records.get(task_id.rpartition(".")[0])
    agent = record.agent_id if record is not None else "S9"
    return Updated(Report(task_id, state, agent, stage.now, stage.now, state is TaskState.RUNNING))


def deployed(ssd: int | None = None) -> Stage:
    stage = Stage(wanted(workers=1, ssd=ssd), POLICY)
    stage.play(Subscribed("framework-1", "m:5050", stage.now), offer(stage, 1))
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    stage.play(offer(stage, 2))
    stage.play(update(stage, "worker-0.1", TaskState.RUNNING))
    assert set(stage.state.records) == {"master-0", "worker-0"}
    return stage


def leaving(stage: Stage) -> list[Effect]:
    """A scheduler that was told to uninstall, subscribed."""
    stage.start(uninstalls=True)
    return [*stage.play(), *stage.play(Subscribed("framework-1", "m:5050", stage.now))]


def passing(stage: Stage, seconds: float, step: float = 1.0) -> list[Effect]:
    found: list[Effect] = []
    for _ in range(int(seconds / step)):
        stage.now += step
        found += stage.play()
    return found


def end_all(stage: Stage) -> list[Effect]:
    return stage.play(*(update(stage, record.task_id, TaskState.KILLED) for record in stage.state.records.values()))


def of(kind: type[Effect], effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def steps(stage: Stage) -> dict[str, tuple[str, str]]:
    plan = plans.uninstallation(stage.state, stage.now)
    return {step.name: (step.status.value, step.message) for phase in plan.phases for step in phase.steps}


def test_it_is_on_record_before_anything_else_is_done() -> None:
    stage = deployed()
    stage.start(uninstalls=True)
    assert stage.play() == [KeepUninstalling()]
    assert stage.store.load().uninstalling
    stage.start()
    assert stage.state.uninstalling


def test_what_was_never_installed_is_done_at_once() -> None:
    stage = Stage(wanted())
    stage.start(uninstalls=True)
    assert [type(effect) for effect in stage.play()] == [Erase]
    assert plans.uninstallation(stage.state, stage.now).status is plans.Status.PENDING  # its path is still there
    stage.play(Uninstalled())
    assert plans.uninstallation(stage.state, stage.now).status is plans.Status.READY


def test_nothing_is_launched_and_no_wish_is_heard() -> None:
    stage = deployed()
    leaving(stage)
    end_all(stage)
    effects = stage.play(
        offer(stage, 1), offer(stage, 2), offer(stage, 3), Wished(next_entry(stage.state, stage.now), wanted(workers=9))
    )
    assert of(Launch, effects) == []
    assert {effect.reason for effect in effects if isinstance(effect, Decline)} == {"the service is being uninstalled"}
    assert stage.state.wanted.workers == 1


def test_strangers_of_ours_are_ended_too() -> None:
    stage = deployed()
    leaving(stage)
    end_all(stage)
    [kill] = of(Kill, stage.play(update(stage, "worker-7.3", TaskState.RUNNING)))
    assert isinstance(kill, Kill)
    assert kill.task_id == "worker-7.3"
    assert steps(stage)["worker-7.3"] == ("starting", "it is being killed")


def test_kills_are_repeated_and_then_the_executor_is_shut_down() -> None:
    stage = deployed()
    leaving(stage)
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    effects = passing(stage, POLICY.kill_again * (POLICY.kills_before_shutdown + 1))
    assert len(of(Kill, effects)) == POLICY.kills_before_shutdown - 1  # and the first
    assert {effect.task_id for effect in effects if isinstance(effect, Shutdown)} == {"master-0.1"}
    assert of(Teardown, effects) == []


def test_no_teardown_before_mesos_has_told_of_each_task() -> None:
    """A scheduler that starts anew knows nothing of what runs: silence is no end."""
    stage = deployed()
    leaving(stage)
    assert of(Teardown, passing(stage, 30)) == []
    assert steps(stage)["worker-0"] == ("starting", "Mesos is asked for it")
    assert of(Teardown, end_all(stage)) == [Teardown("framework-1")]


def test_the_teardown_is_repeated_until_mesos_says_that_it_is_done() -> None:
    stage = deployed()
    leaving(stage)
    end_all(stage)
    assert len(of(Teardown, passing(stage, 25))) == 2  # the first came with the last task's end
    assert steps(stage)["teardown"] == ("starting", "Mesos was told; it has not said yet that it is done")
    effects = stage.play(REMOVED)
    assert [type(effect) for effect in effects] == [Erase]
    assert stage.store.load().framework_id == ""
    assert plans.uninstallation(stage.state, stage.now).status is plans.Status.PENDING  # its path is still there
    stage.play(Uninstalled())
    assert plans.uninstallation(stage.state, stage.now).status is plans.Status.READY
    assert passing(stage, 60) == []


def test_a_framework_that_was_torn_down_before_is_no_trouble() -> None:
    stage = deployed()
    stage.start(uninstalls=True)
    assert [type(effect) for effect in stage.play(REMOVED)] == [Erase]
    stage = deployed()
    assert stage.play(REMOVED) == [Stop(ExitCode.REMOVED, stage.state.stop.reason if stage.state.stop else "")]


def test_another_refusal_ends_the_process_and_nothing_is_erased() -> None:
    stage = deployed()
    leaving(stage)
    [stop] = stage.play(Failed("no", ExitCode.REFUSED, 0.0))
    assert stop == Stop(ExitCode.REFUSED, "no")
    assert stage.store.load().framework_id == "framework-1"


def test_a_task_on_an_agent_out_of_reach_holds_nothing_up() -> None:
    stage = deployed()
    leaving(stage)
    stage.play(update(stage, "master-0.1", TaskState.KILLED))
    effects = stage.play(update(stage, "worker-0.1", TaskState.UNREACHABLE))
    assert of(Teardown, effects) == [Teardown("framework-1")]
    assert "Mesos ends its task when it is back" in steps(stage)["worker-0"][1]


def volume_of(stage: Stage, *, own: bool = True) -> Holding:
    [volume] = stage.store.load().records["worker-0"].volumes
    disk = Resource("disk", "alluxio", volume.size * 1000, (), "reserved", f"volume {volume.persistence_id}")
    return Holding("worker-0", "ssd", volume.persistence_id, disk, own)


def test_a_volume_that_an_earlier_framework_id_made_is_given_back_if_a_record_names_it() -> None:
    stage = deployed(ssd=1024)
    ours = volume_of(stage, own=False)
    stranger = dataclasses.replace(ours, persistence_id="x")
    leaving(stage)
    end_all(stage)
    stage.now += 5
    [answer] = of(GiveBack, stage.play(offer(stage, 2, ours, stranger)))
    assert isinstance(answer, GiveBack)
    assert answer.holdings == (ours,)


def test_what_is_offered_is_given_back_at_once_as_no_task_uses_it() -> None:
    """One that no record names may be shown only once before the last task ends."""
    stage = deployed(ssd=1024)
    leaving(stage)
    stage.play(update(stage, "master-0.1", TaskState.RUNNING))
    orphan = dataclasses.replace(volume_of(stage), persistence_id="of a slot that was forgotten", slot="worker-5")
    [answer] = of(GiveBack, stage.play(offer(stage, 2, orphan)))
    assert isinstance(answer, GiveBack)
    assert answer.holdings == (orphan,)


def test_what_is_given_back_stays_a_step_of_the_plan() -> None:
    stage = deployed(ssd=1024)
    held = volume_of(stage)
    leaving(stage)
    end_all(stage)
    assert volume_steps(stage) == {"worker-0": ("pending", "waits for an offer of agent 127.0.0.12, which holds them")}
    stage.play(offer(stage, 2, held))
    passing(stage, 60)
    stage.play(offer(stage, 2))  # without it, long after it was given back
    assert stage.store.load().records["worker-0"].volumes == ()
    assert volume_steps(stage) == {"worker-0": ("ready", "agent 127.0.0.12 holds none any more")}


def test_who_had_no_volumes_has_no_such_step() -> None:
    stage = deployed()
    leaving(stage)
    end_all(stage)
    assert volume_steps(stage) == {}


def volume_steps(stage: Stage) -> dict[str, tuple[str, str]]:
    plan = plans.uninstallation(stage.state, stage.now)
    [volumes] = [phase for phase in plan.phases if phase.name == "volumes"]
    return {step.name: (step.status.value, step.message) for step in volumes.steps}


def test_an_agent_that_never_offers_its_volume_is_named_in_the_end() -> None:
    stage = deployed(ssd=1024)
    leaving(stage)
    end_all(stage)
    effects = passing(stage, POLICY.give_back_patience - 10, 5.0)
    assert of(Teardown, effects) == []
    assert of(Revive, effects)
    assert steps(stage)["worker-0"][0] in ("pending", "ready")
    assert of(Teardown, passing(stage, 20, 5.0))
    stage.play(REMOVED)
    left = "left: agent 127.0.0.12 did not offer them; destroy them and end their reservations by hand"
    assert ("ready", left) in [
        (step.status.value, step.message)
        for phase in plans.uninstallation(stage.state, stage.now).phases
        for step in phase.steps
    ]


def test_the_same_name_can_be_installed_right_after() -> None:
    stage = deployed()
    leaving(stage)
    end_all(stage)
    stage.play(REMOVED)
    stage.store = type(stage.store)()  # the path is gone
    stage.start()
    effects = stage.play(Subscribed("framework-2", "m:5050", stage.now), offer(stage, 1))
    [launch] = [effect for effect in effects if isinstance(effect, Launch)]
    assert [(record.task_id, record.formatted) for record in launch.records] == [("master-0.1", False)]
