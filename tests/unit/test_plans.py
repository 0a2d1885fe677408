"""What is being done, as plans: each step's status and reason, over a deployment and what follows."""

from __future__ import annotations

from framework import plans
from framework.messages import CacheSeen, Offered, Subscribed, Updated
from framework.model import CacheReport, Failure, Journal, Offer, Range, Report, Resource, TaskState
from framework.plans import Plan, Status
from stage import Stage, wanted

PORTS = Resource("ports", "alluxio", ranges=(Range(21000, 21099),))


def offer(stage: Stage, number: int) -> None:
    resources = tuple(Resource(name, "alluxio", amount * 1000) for name, amount in SCALARS)
    found = Offer(f"O{number}-{stage.now}", f"S{number}", f"127.0.0.{10 + number}", (*resources, PORTS))
    stage.play(Offered((found,), stage.now))


SCALARS = (("cpus", 8), ("mem", 16384), ("disk", 20000))


def update(stage: Stage, task_id: str, state: TaskState, message: str = "", **processes: str) -> None:
    slot = task_id.rpartition(".")[0]
    agent = stage.state.records[slot].agent_id
    ready = state is TaskState.RUNNING
    stage.play(
        Updated(Report(task_id, state, agent, stage.now, stage.now, ready, message, "", processes), f"u{stage.now}")
    )


def told(plan: Plan) -> dict[str, tuple[str, str]]:
    return {step.name: (step.status.value, step.message) for phase in plan.phases for step in phase.steps}


def deployment(stage: Stage) -> Plan:
    return plans.deployment(stage.state, stage.now)


def recovery(stage: Stage) -> Plan:
    return plans.recovery(stage.state, stage.now)


def deployed() -> Stage:
    stage = Stage(wanted(workers=2))
    stage.play(Subscribed("framework-1", "m:5050", stage.now))
    offer(stage, 1)
    update(stage, "master-0.1", TaskState.RUNNING)
    stage.now += 1
    offer(stage, 1)
    offer(stage, 2)
    for task_id in ("worker-0.1", "worker-1.1"):
        update(stage, task_id, TaskState.RUNNING)
    return stage


def test_a_deployment_goes_phase_by_phase() -> None:
    stage = Stage(wanted(workers=2, proxies=1))
    assert [phase.name for phase in deployment(stage).phases] == ["masters", "job masters", "workers", "proxies"]
    waiting = "no Alluxio master is ready yet"
    assert told(deployment(stage)) == {
        "master-0": ("pending", "it waits for an agent that fits"),
        "job-master-0": ("pending", "it waits for an agent that fits"),
        "worker-0": ("pending", waiting),
        "worker-1": ("pending", waiting),
        "proxy-0": ("pending", waiting),
    }
    stage.play(Subscribed("framework-1", "m:5050", stage.now))
    offer(stage, 1)
    assert told(deployment(stage))["master-0"] == ("starting", "launched, no word of it yet")
    update(stage, "master-0.1", TaskState.STARTING, "starting master", **{"job-master": "ready", "master": "starting"})
    assert told(deployment(stage))["master-0"] == ("starting", "starting master")
    assert told(deployment(stage))["job-master-0"] == ("ready", "")
    assert deployment(stage).status is Status.STARTING
    update(stage, "master-0.1", TaskState.RUNNING)
    assert told(deployment(stage))["master-0"] == ("ready", "")
    assert told(deployment(stage))["worker-0"] == ("pending", "it waits for an agent that fits")


def test_what_was_deployed_stays_so_and_its_return_is_recovery() -> None:
    stage = deployed()
    assert (deployment(stage).status, recovery(stage).status) == (Status.READY, Status.READY)
    assert told(recovery(stage)) == {}
    stage.now += 10
    update(stage, "worker-1.1", TaskState.FAILED, "Container exited with status 137")
    assert deployment(stage).status is Status.READY
    why = "it failed once, last: Container exited with status 137"
    assert told(recovery(stage)) == {
        "worker-1": ("pending", f"it waits for 600 s more for an offer of its own agent 127.0.0.12; {why}")
    }
    offer(stage, 2)
    assert told(recovery(stage)) == {"worker-1": ("starting", "launched, no word of it yet")}


def test_an_end_that_was_wanted_is_no_failure() -> None:
    """It neither counts, nor is its reason told as one; what failed before stays counted."""
    stage = deployed()
    waits = "it waits for 600 s more for an offer of its own agent 127.0.0.12"
    stage.now += 10
    update(stage, "worker-1.1", TaskState.KILLED, "the scheduler asked for it")
    assert told(recovery(stage)) == {"worker-1": ("pending", waits)}
    assert stage.state.failures == {}
    offer(stage, 2)
    update(stage, "worker-1.2", TaskState.FAILED, "no disk is left")
    offer(stage, 2)
    update(stage, "worker-1.3", TaskState.KILLED, "the scheduler asked for it")
    assert told(recovery(stage)) == {"worker-1": ("pending", f"{waits}; it failed once, last: no disk is left")}
    assert stage.state.failures == {"worker-1": Failure(1, stage.now, "no disk is left")}


def test_what_was_wrong_with_the_last_offer_is_told_until_the_slot_runs() -> None:
    stage = deployed()
    stage.now += 10
    update(stage, "worker-1.1", TaskState.KILLED)
    waits = "it waits for 590 s more for an offer of its own agent 127.0.0.12"
    small = Offer("O9", "S2", "127.0.0.12", (Resource("cpus", "alluxio", 8000), Resource("mem", "alluxio", 512_000)))
    stage.now += 10
    stage.play(Offered((small,), stage.now))
    wrong = " (agent 127.0.0.12 offers 512 MiB of 1280 MiB memory)"
    assert told(recovery(stage)) == {"worker-1": ("pending", waits + wrong)}
    offer(stage, 2)
    update(stage, "worker-1.2", TaskState.RUNNING)
    stage.now += 10
    update(stage, "worker-1.2", TaskState.KILLED)
    assert told(recovery(stage)) == {"worker-1": ("pending", waits.replace("590", "600"))}


def test_a_crash_loop_is_seen_with_its_count_and_its_pause() -> None:  # C27
    stage = deployed()
    for attempt in (1, 2, 3, 4):
        update(stage, f"worker-1.{attempt}", TaskState.FAILED, "no room")
        if attempt < 4:
            stage.now += 20
            stage.play()
            offer(stage, 2)
    assert told(recovery(stage)) == {
        "worker-1": ("delayed", "it failed 4 times in a row, last: no room; it is launched again in 4 s")
    }
    assert recovery(stage).status is Status.DELAYED


def test_an_unreachable_agent_is_waited_for_and_a_copy_that_may_return_is_told() -> None:
    stage = deployed()
    update(stage, "worker-1.1", TaskState.UNREACHABLE)
    stage.now += 100
    assert told(recovery(stage)) == {
        "worker-1": ("delayed", "its agent is unreachable; it is replaced after 500 s more")
    }
    stage.now += 1200
    stage.play()
    offer(stage, 3)
    update(stage, "worker-1.2", TaskState.RUNNING)
    assert told(recovery(stage)) == {
        "worker-1.1": ("pending", "its state is TASK_UNREACHABLE; it is killed when its agent is back")
    }


def test_a_master_that_may_not_join_says_why() -> None:
    stage = Stage(wanted(masters=3, journal=Journal.SHARED))
    stage.play(Subscribed("framework-1", "m:5050", stage.now))
    offer(stage, 1)
    assert told(deployment(stage))["master-1"] == ("pending", "master-0 formats the shared journal first")
    update(stage, "master-0.1", TaskState.RUNNING)
    assert told(deployment(stage))["worker-0"] == ("pending", "no Alluxio master is the primary yet")
    stage.play(CacheSeen(CacheReport("127.0.0.11:21000", "")))
    assert told(deployment(stage))["worker-0"] == ("pending", "it waits for an agent that fits")


def test_one_worker_on_each_agent_is_a_step_for_each_that_has_one() -> None:
    stage = Stage(wanted(workers=None))
    stage.play(Subscribed("framework-1", "m:5050", stage.now))
    offer(stage, 1)
    update(stage, "master-0.1", TaskState.RUNNING)
    assert list(told(deployment(stage))) == ["master-0", "job-master-0", "worker-0"]
    stage.now += 1
    offer(stage, 1)
    update(stage, "worker-0.1", TaskState.RUNNING)
    assert (list(told(deployment(stage))), deployment(stage).status) == (
        ["master-0", "job-master-0", "worker-0"],
        Status.READY,
    )


def test_a_plan_as_a_document() -> None:
    stage = deployed()
    update(stage, "worker-1.1", TaskState.UNREACHABLE)
    assert plans.as_document(recovery(stage)) == {
        "name": "recovery",
        "status": "delayed",
        "paused": False,
        "phases": [
            {
                "name": "tasks",
                "status": "delayed",
                "steps": [
                    {
                        "name": "worker-1",
                        "status": "delayed",
                        "message": "its agent is unreachable; it is replaced after 600 s more",
                    }
                ],
            },
            {"name": "copies", "status": "ready", "steps": []},
        ],
    }
