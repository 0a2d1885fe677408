"""What happens to a service: a seed makes a list of steps, each with a seed of its own, so that a history from which
steps are left out is still a history, and a failure can be shown with few of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from framework.memory import Kept
from framework.model import ExitCode, Journal, Kind, Record, TaskState
from framework.state import PLANS
from judge import Broken, Promise, lets, require
from simulated_alluxio import address
from simulated_mesos import Agent, Standing, Task
from simulated_zookeeper import Break
from simulation.chance import Chance
from simulation.world import World

SHORTEST: Final = 50  # steps of a history before the faults end
LONGEST: Final = 150
USUAL: Final = 0.5  # the share of the steps in which nothing but the usual happens
WITH_FAULT: Final = 0.6  # how likely a history has a certain kind of fault at all

Do = Callable[[World, Chance], None]


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    seed: int


@dataclasses.dataclass(frozen=True)
class History:
    seed: int
    steps: tuple[Step, ...]

    def run(self, say: Callable[[str], None] | None = None) -> World:
        """
        Raises:
            Broken: a promise does not hold.
        """
        world = World(Chance(self.seed), say)
        for step in self.steps:
            world.say(lambda step=step: f"# {step.name}")
            world.chance = Chance(step.seed)
            STEPS[step.name](world, world.chance)
        world.chance = Chance(self.seed)
        _calm(world)
        return world


def history(seed: int) -> History:
    """Each history has some kinds of faults, and none of the others: those that hide each other are seen alone too."""
    chance = Chance(seed)
    faults = [name for name in FAULTS if chance.happens(WITH_FAULT)]
    steps = []
    for place in range(chance.between(SHORTEST, LONGEST)):
        usual = not faults or chance.happens(USUAL)
        steps.append(Step(chance.pick(tuple(USUALLY) if usual else faults), seed * 1000 + place))
    if chance.happens(0.08):
        steps.append(Step(chance.pick(tuple(LAST)), seed * 1000 + 999))
    return History(seed, tuple(steps))


# What usually happens -------------------------------------------------------------------------------------------------


def all_goes_well(world: World, chance: Chance) -> None:
    seconds, parts = chance.pick((1.0, 10.0, 60.0, 200.0)), chance.pick((1, 1, 2, 3))
    for _ in range(chance.between(1, 8)):
        if world.scheduler is None:
            world.start()
        if not world.mesos.connected:
            world.subscribe()
        world.prosper()
        world.mesos.offer(parts)
        world.advance(seconds)
        world.hear(10_000)
        if chance.happens(0.7):
            world.see_cache()


def a_few_events_come(world: World, chance: Chance) -> None:
    world.hear(chance.between(1, 5))


def time_passes(world: World, chance: Chance) -> None:
    world.advance(chance.pick((0.1, 1.0, 5.0, 20.0, 50.0)))


def offers_come(world: World, chance: Chance) -> None:
    world.mesos.offer(chance.between(1, 3))
    world.hear(chance.pick((0, 1, 10_000)))


def alluxio_is_asked(world: World, chance: Chance) -> None:
    world.see_cache(chance.pick((0.0, 0.5, 1.0)))


# Faults of tasks and their updates ------------------------------------------------------------------------------------


def _alive(world: World) -> list[Task]:
    return [task for task in world.mesos.tasks.values() if task.alive and task.agent.reachable]


def a_task_ends(world: World, chance: Chance) -> None:
    if tasks := _alive(world):
        ends = (
            TaskState.FAILED,
            TaskState.FAILED,
            TaskState.FINISHED,
            TaskState.LOST,
            TaskState.ERROR,
            TaskState.KILLED,
        )
        world.mesos.change(chance.pick(tasks), chance.pick(ends))


def a_slot_fails_again_and_again(world: World, chance: Chance) -> None:
    if tasks := _alive(world):
        task = chance.pick(tasks)
        world.crash_loops[task.id.rpartition(".")[0]] = chance.between(1, 6)
        world.mesos.change(task, TaskState.FAILED)


def an_update_comes_again(world: World, chance: Chance) -> None:
    if tasks := [task for task in world.mesos.tasks.values() if task.waiting]:
        world.mesos.retry(chance.pick(tasks))


def an_old_update_turns_up(world: World, chance: Chance) -> None:
    if tasks := [task for task in world.mesos.tasks.values() if task.told]:
        world.mesos.repeat_old(chance.pick(tasks), chance.between(0, 5))


def readiness_comes_and_goes(world: World, chance: Chance) -> None:
    if tasks := [task for task in _alive(world) if task.state is TaskState.RUNNING]:
        task = chance.pick(tasks)
        world.mesos.change(task, TaskState.RUNNING, healthy=not task.healthy)


def executors_are_deaf(world: World, chance: Chance) -> None:
    world.deaf = not world.deaf
    for task in _alive(world):
        task.deaf = chance.pick((0, 1, 3, 10))


def another_master_leads(world: World, chance: Chance) -> None:
    if masters := [task for task in _alive(world) if task.kind is Kind.MASTER]:
        world.alluxio.move(chance.pick(masters))
        world.see_cache()


def messages_to_agents_get_lost(world: World, chance: Chance) -> None:
    """A launch without a word, a kill that does nothing, an acknowledgement that does not arrive."""
    world.mesos.losing_messages = chance.between(1, 4)


# Faults of agents -----------------------------------------------------------------------------------------------------


def _agents(world: World, *standings: Standing, reachable: bool | None = None) -> list[Agent]:
    return [
        agent
        for agent in world.mesos.agents
        if agent.standing in standings and reachable in (None, agent.reachable) and not agent.over
    ]


def an_agent_falls_silent(world: World, chance: Chance) -> None:
    if agents := _agents(world, Standing.REGISTERED, Standing.AWAITED, reachable=True):
        world.mesos.cut(chance.pick(agents))


def an_agent_is_unreachable(world: World, chance: Chance) -> None:
    if agents := _agents(world, Standing.REGISTERED, Standing.AWAITED):
        world.mesos.part(chance.pick(agents))


def an_agent_comes_back(world: World, chance: Chance) -> None:
    away = _agents(world, *Standing, reachable=False) + _agents(world, Standing.AWAITED, Standing.GONE, reachable=True)
    if away:
        world.mesos.join(chance.pick(away))


def a_link_breaks_for_a_moment(world: World, chance: Chance) -> None:
    if agents := _agents(world, Standing.REGISTERED, reachable=True):
        world.mesos.join(chance.pick(agents))


def an_agent_reboots_with_a_new_id(world: World, chance: Chance) -> None:
    if agents := _agents(world, Standing.REGISTERED, Standing.AWAITED, Standing.UNREACHABLE):
        agent = chance.pick(agents)
        world.mesos.reboot(agent, with_volumes=chance.happens(0.5))
        if chance.happens(0.5) and agent.standing is Standing.REGISTERED:
            world.mesos.remove(agent)


def an_operator_gives_an_agent_up(world: World, chance: Chance) -> None:
    if agents := _agents(world, Standing.REGISTERED, Standing.UNREACHABLE):
        world.mesos.give_up(chance.pick(agents))


def the_registry_forgets_an_agent(world: World, chance: Chance) -> None:
    if agents := _agents(world, Standing.UNREACHABLE):
        world.mesos.forget(chance.pick(agents))


def maintenance(world: World, chance: Chance) -> None:
    agent = chance.pick(world.mesos.agents)
    world.mesos.maintain(agent, on=not agent.maintenance)


# Faults of offers -----------------------------------------------------------------------------------------------------


def offers_are_taken_back(world: World, chance: Chance) -> None:
    for offer_id in list(world.mesos.offers):
        if chance.happens(0.5):
            world.mesos.rescind(offer_id)


def offers_have_no_ports(world: World, chance: Chance) -> None:
    world.mesos.offer(1, ports=False)
    world.hear(10_000)


def a_thousand_offers_come(world: World, chance: Chance) -> None:
    world.mesos.offer(1, crowd=1000 if chance.happens(0.02) else 20)
    world.hear(10_000)


# Faults of the connection and the master ------------------------------------------------------------------------------


def the_stream_ends(world: World, chance: Chance) -> None:
    world.disconnect("the stream ended")
    if chance.happens(0.5):
        world.subscribe()


def it_subscribes_again(world: World, chance: Chance) -> None:
    """Also without an end of the stream having been noticed."""
    world.subscribe()


def calls_get_lost(world: World, chance: Chance) -> None:
    world.mesos.losing_calls = True


def the_master_fails_over(world: World, chance: Chance) -> None:
    world.mesos.fail_over()
    if chance.happens(0.8):
        world.disconnect("the Mesos master is gone")
    if chance.happens(0.7):
        world.subscribe()


def time_passes_without_the_master(world: World, chance: Chance) -> None:
    """Agents may be back when it is there again."""
    world.disconnect("no master answers")
    world.advance(chance.pick((10.0, 100.0, 400.0, 1000.0)))
    for agent in _agents(world, Standing.UNREACHABLE, reachable=False):
        if chance.happens(0.5):
            world.mesos.join(agent)
    world.subscribe()
    world.mesos.offer(1)


# Faults of the scheduler and its store --------------------------------------------------------------------------------


def the_scheduler_restarts(world: World, chance: Chance) -> None:
    world.die("SIGTERM")
    world.advance(chance.pick((0.0, 1.0, 30.0, 1000.0)))
    world.start()


def all_restarts_but_an_agent(world: World, chance: Chance) -> None:
    """A rack loses its power: the Mesos master and the scheduler are back at once, an agent only when it was given up,
    and the first word of it may be an offer.
    """
    if not (agents := _agents(world, Standing.REGISTERED, reachable=True)):
        return
    agent = chance.pick(agents)
    world.mesos.cut(agent)
    world.die("kill -9")
    world.mesos.fail_over()
    world.start()
    for _ in range(chance.between(1, 8)):
        world.prosper()
        world.advance(50.0)
        world.hear(10_000)
        world.see_cache()
    world.mesos.join(agent)
    world.mesos.offer(1)
    world.hear(chance.pick((1, 2, 10_000)))


def it_restarts_with_other_counts(world: World, chance: Chance) -> None:
    world.die("SIGTERM")
    world.want(chance)
    world.start()


def another_number_of_workers_is_asked_for(world: World, chance: Chance) -> None:
    world.ask(chance.pick((None, 0, 1, 2, 3)), chance)


def another_configuration_is_asked_for(world: World, chance: Chance) -> None:
    world.reconfigure(chance)


def a_group_of_workers_is_asked_for(world: World, chance: Chance) -> None:
    world.regroup(chance)


def a_plan_rests_and_others_go_on(world: World, chance: Chance) -> None:
    world.rest(*([chance.pick(PLANS)] if chance.happens(0.6) else []))


def it_dies_between_two_effects(world: World, chance: Chance) -> None:
    """None at all (after saving, before acting), or some of them."""
    if world.scheduler is not None:
        world.scheduler.acts_left = chance.pick((0, 0, 1, 2, 3, 5))


def a_save_breaks(world: World, chance: Chance) -> None:
    if world.scheduler is not None:
        what = chance.pick(("crash", "answer", "write", "session"))
        world.scheduler.session.breaks = Break(chance.pick((0, 0, 1)), what)


def zookeeper_goes_or_comes(world: World, chance: Chance) -> None:
    if world.zookeeper.away:
        world.return_zookeeper()
    else:
        world.leave_zookeeper()


def the_session_expires(world: World, chance: Chance) -> None:
    """The scheduler learns of it at once, or when it writes."""
    if world.scheduler is not None:
        world.scheduler.session.over = True
        if chance.happens(0.7):
            world.die("the ZooKeeper session is lost")


def another_takes_over(world: World, chance: Chance) -> None:
    """The old one has still to hear what makes it launch something, while the new one does so, or before that."""
    if chance.happens(0.7):
        if tasks := _alive(world):
            world.mesos.change(chance.pick(tasks), TaskState.FAILED)
        world.mesos.offer(1)
    world.take_over()
    if chance.happens(0.5):
        all_goes_well(world, chance)
    world.step_overtaken(chance.pick((0, 1, 2, 3, 100)))


def the_overtaken_goes_on(world: World, chance: Chance) -> None:
    world.step_overtaken(chance.between(0, 5))


def a_scheduler_starts(world: World, chance: Chance) -> None:
    world.start()


# The end of a service -------------------------------------------------------------------------------------------------


def the_framework_is_removed(world: World, chance: Chance) -> None:
    """C10: each scheduler ends, and none takes a new id."""
    world.return_zookeeper()
    world.ends_with = ExitCode.REMOVED
    world.mesos.tear_down()
    for _ in range(3):
        world.start()
        if not world.mesos.connected:
            world.subscribe()
        world.hear(10_000)
        require(world.scheduler is None, Promise.STOPS, "it runs on although its framework was removed")


def mesos_answers_with_another_id(world: World, chance: Chance) -> None:
    """C1"""
    world.return_zookeeper()
    if not world.kept().framework_id:
        return
    world.ends_with = ExitCode.REMOVED
    world.mesos.removed = False
    for _ in range(3):
        world.start()
        world.mesos.subscribe("framework-of-others")
        world.hear(10_000)
        require(world.scheduler is None, Promise.STOPS, "it runs on under another framework id")


def the_service_is_uninstalled(world: World, chance: Chance) -> None:
    """Its schedulers die at any point, and the next one goes on; in the end nothing is left or done any more."""
    _faults_end(world)
    world.die("it is started again, to remove the service")
    world.uninstalls = world.judge.uninstalls = True
    for place in range(200):
        if place < FAULTY_LOOKS and chance.happens(0.4):
            chance.pick((_uninstaller_dies, it_dies_between_two_effects, a_save_breaks, calls_get_lost))(world, chance)
        if world.scheduler is None:
            world.start()
        scheduler = world.scheduler
        if scheduler is not None and scheduler.state.erased:
            break
        if not world.mesos.connected:
            world.subscribe()
        world.prosper()
        world.mesos.offer(chance.between(1, 2))
        disturbed = place < FAULTY_LOOKS
        world.advance(chance.pick((1.0, 2.0, 5.0)) if disturbed else PAUSES[place % SHORT])
        world.hear(chance.pick((1, 3, 10_000)) if disturbed else 10_000)
    left = [task.id for task in world.mesos.tasks.values() if task.alive]
    left += [name for agent in world.mesos.agents if not agent.over for name in agent.volumes]
    require(not left, Promise.UNINSTALLED, f"{left} are left")
    require(world.kept() == Kept(uninstalling=True), Promise.UNINSTALLED, f"{world.kept()} is left")
    world.die("it is started once more")
    world.start()
    world.advance(60.0)
    require(not world.mesos.connected, Promise.UNINSTALLED, "it subscribes although nothing is left")


def _uninstaller_dies(world: World, chance: Chance) -> None:
    world.die("kill -9")


def _names(*steps: Do) -> Mapping[str, Do]:
    return MappingProxyType({step.__name__.replace("_", " "): step for step in steps})


USUALLY: Final = _names(all_goes_well, all_goes_well, a_few_events_come, time_passes, offers_come, alluxio_is_asked)
FAULTS: Final = _names(
    a_task_ends,
    a_slot_fails_again_and_again,
    an_update_comes_again,
    an_old_update_turns_up,
    readiness_comes_and_goes,
    executors_are_deaf,
    another_master_leads,
    messages_to_agents_get_lost,
    an_agent_falls_silent,
    an_agent_is_unreachable,
    an_agent_comes_back,
    a_link_breaks_for_a_moment,
    an_agent_reboots_with_a_new_id,
    an_operator_gives_an_agent_up,
    the_registry_forgets_an_agent,
    maintenance,
    offers_are_taken_back,
    offers_have_no_ports,
    a_thousand_offers_come,
    the_stream_ends,
    it_subscribes_again,
    calls_get_lost,
    the_master_fails_over,
    time_passes_without_the_master,
    the_scheduler_restarts,
    all_restarts_but_an_agent,
    it_restarts_with_other_counts,
    another_number_of_workers_is_asked_for,
    another_configuration_is_asked_for,
    a_group_of_workers_is_asked_for,
    a_plan_rests_and_others_go_on,
    it_dies_between_two_effects,
    a_save_breaks,
    zookeeper_goes_or_comes,
    the_session_expires,
    another_takes_over,
    the_overtaken_goes_on,
    a_scheduler_starts,
)
LAST: Final = _names(the_framework_is_removed, mesos_answers_with_another_id, the_service_is_uninstalled)
STEPS: Final[Mapping[str, Do]] = MappingProxyType({**USUALLY, **FAULTS, **LAST})

# The end: no more faults ----------------------------------------------------------------------------------------------

FAULTY_LOOKS: Final = 30  # in which an uninstallation is disturbed
SHORT: Final = 7  # of the pauses: an agent that is there is offered within a minute
PAUSES: Final = (1.0, 1.0, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0)  # between two looks while the service recovers
LASTING: Final = 4  # looks in a row at which all is as wanted
PATIENCE: Final = 6000.0  # seconds: more than an hour and a half of virtual time


def _calm(world: World) -> None:
    """What is wanted comes to run, stays, and a restart changes nothing (C29)."""
    if world.ends_with is not None or world.uninstalls:
        return
    world.say(lambda: "# the faults end")
    _faults_end(world)
    began, lasting = world.now, 0
    for place in range(1000):
        lacking = _look(world, PAUSES[place % len(PAUSES)])
        lasting = 0 if lacking else lasting + 1
        if lasting == LASTING:
            break
        require(world.now - began < PATIENCE, Promise.CONVERGES, lacking)
    _restart_changes_nothing(world)


def _faults_end(world: World) -> None:
    mesos = world.mesos
    world.return_zookeeper()
    world.overtaken, world.deaf = None, False
    world.crash_loops.clear()
    mesos.losing_messages = 0
    for agent in list(mesos.agents):
        if agent.over:
            mesos.mark(agent)
        else:
            mesos.join(agent)
        if agent.maintenance:
            mesos.maintain(agent, on=False)
    records = world.kept().records.values()
    there = {f"{record.hostname}:{record.ports['journal']}" for record in records if "journal" in record.ports}
    world.alluxio.mend(world.judge.given_up - {record.task_id for record in records}, there)
    if not world.guarded_by_lead:
        world.die("an overtaken scheduler may have written what the leader has not seen")
    if world.scheduler is not None:
        world.scheduler.acts_left = world.scheduler.session.breaks = None
        world.disconnect("the last fault")
        world.subscribe()


def _look(world: World, seconds: float) -> str:
    world.start()
    if world.scheduler is not None and world.scheduler.state.wanted.paused:
        world.rest()
    world.prosper()
    world.mesos.offer(1)
    world.advance(seconds)
    world.hear(10_000)
    world.see_cache()
    return _lacking(world)


def _lacking(world: World) -> str:
    """What is not as it is wanted; "" when all is."""
    want, mesos = world.wanted, world.mesos
    records = {record.task_id: record for record in world.kept().records.values()}
    alive = [task for task in mesos.tasks.values() if task.alive]
    counts = {kind: sum(task.kind is kind for task in alive) for kind in (Kind.MASTER, Kind.PROXY)}
    wanted = {Kind.MASTER: want.masters, Kind.PROXY: want.proxies}
    if counts != wanted:
        return f"{counts} run, and {wanted} are wanted"
    if lacking := _lacking_workers(world, alive):
        return lacking
    for task in alive:
        if task.id not in records:
            return f"{task.id} has no record and is still to be killed"
        if not want.includes(task.record.group, task.record.index):
            return f"{task.id} is still to be killed"
        is_old = task.record.configuration != want.configuration_of(task.record.group)
        if is_old and not (task.kind is not Kind.MASTER and _is_held_up(world, alive)):
            return f"{task.id} runs with {task.record.configuration}"
        if task.id in world.decommissioned:
            return f"{task.id} is still to be taken in again"
        if (task.state, task.healthy) != (TaskState.RUNNING, True):
            return f"{task.id} is {task.state}"
    return _lacking_in_quorum(world, list(records.values())) if want.journal is Journal.EMBEDDED else ""


def _lacking_workers(world: World, alive: Sequence[Task]) -> str:
    """A group has fewer workers than are wanted only where each agent that it may have has one already."""
    want, usable = world.wanted, [agent for agent in world.mesos.agents if not agent.over]
    taken = {task.agent.hostname for task in alive if task.kind is Kind.WORKER}
    for group in want.groups_of(Kind.WORKER):
        there, count = sum(task.record.group == group for task in alive), want.count(group)
        racks = [task.agent.rack for task in alive if task.record.group == group]
        rules = want.placement(group)
        free = [
            one.hostname
            for one in usable
            if one.hostname not in taken and all(lets(rule, one.rack, racks) for rule in rules)
        ]
        if free and (count is None or there < count):
            return f"{there} of {count} run in {group}, and {free} are free"
        if count is not None and there > count:
            return f"{there} of {count} run in {group}"
    return ""


def _is_held_up(world: World, alive: Sequence[Task]) -> bool:
    """More workers are wanted than there are agents for, and one of those that have none was ended: nobody can tell
    whether for a change, and nothing more is ended then.
    """
    running = {task.id for task in alive}
    told = world.scheduler.state.reports if world.scheduler is not None else {}
    return any(
        record.kind is Kind.WORKER
        and record.task_id not in running
        and record.task_id in told
        and told[record.task_id].state in (TaskState.KILLED, TaskState.GONE)
        for record in world.kept().records.values()
    )


def _lacking_in_quorum(world: World, records: Sequence[Record]) -> str:
    """Every task knows the masters where they are now, and the quorum counts them and nobody else (C28)."""
    masters = sorted((record for record in records if record.kind is Kind.MASTER), key=lambda record: record.index)
    known = tuple(f"{record.hostname}:{record.ports['rpc']}" for record in masters)
    members = sorted(address(task) for task in world.alluxio.quorum)
    there = sorted(f"{record.hostname}:{record.ports['journal']}" for record in masters)
    if members != there:
        return f"the quorum has the members {members}, and the masters are at {there}"
    for record in records:
        runs = world.mesos.tasks[record.task_id].alive
        is_old = record.kind is not Kind.MASTER and record.masters != known
        if is_old and runs and not _is_held_up(world, [task for task in world.mesos.tasks.values() if task.alive]):
            return f"{record.task_id} knows the masters {record.masters}, which are {known}"
    return ""


def _restart_changes_nothing(world: World) -> None:
    before = sorted(task.id for task in world.mesos.tasks.values() if task.alive)
    world.die("SIGTERM")
    for seconds in (1.0, 1.0, 30.0):
        _look(world, seconds)
    after = sorted(task.id for task in world.mesos.tasks.values() if task.alive)
    require(before == after, Promise.LEAVES_ALONE, lambda: f"{before} became {after}")


# Fewer steps ----------------------------------------------------------------------------------------------------------


def broken_by(history: History) -> Broken | None:
    try:
        history.run()
    except Broken as broken:
        return broken
    return None


def shortest(history: History, promise: Promise, attempts: int = 400) -> History:
    """The steps without which this promise would still hold: larger and smaller parts are left out in turn."""
    steps: Sequence[Step] = history.steps
    size = len(steps) // 2
    while size and attempts:
        place = 0
        while place < len(steps) and attempts:
            fewer = (*steps[:place], *steps[place + size :])
            attempts -= 1
            broken = broken_by(dataclasses.replace(history, steps=fewer))
            if broken is not None and broken.promise is promise:
                steps = fewer
            else:
                place += size
        size //= 2
    return dataclasses.replace(history, steps=tuple(steps))
