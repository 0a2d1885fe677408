"""One service in virtual time: schedulers one after the other (and two at once), a ZooKeeper, a Mesos, an Alluxio.

The schedulers are made of the real loop, core and store. What happens to them is up to the history; the judge watches.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence

import framework.zookeeper.store
from framework import grouping, scaling
from framework.loop import ROUNDS, Loop
from framework.memory import Kept, after, newly_wanted, resumed
from framework.messages import (
    CacheSeen,
    Disconnected,
    DrainsSeen,
    Effect,
    Event,
    Failed,
    Forget,
    Keep,
    Launch,
    Offered,
    RemoveMember,
    Stop,
    Subscribed,
    Wished,
)
from framework.model import (
    CachingWorker,
    Drain,
    DrainStep,
    ExitCode,
    Journal,
    Kind,
    TaskState,
    Wanted,
)
from framework.planner import Policy, State
from framework.state import is_leaving, remembering
from framework.store import StoreError
from framework.zookeeper.store import ZooKeeperStore, decode, read
from judge import Broken, Judge, Promise, require
from simulated_alluxio import SecondJournal, SimulatedAlluxio
from simulated_mesos import SimulatedMesos, Standing, Task
from simulated_zookeeper import Crash, SimulatedZooKeeper
from simulation.chance import Chance
from stage import group_asked_for, group_gone, wanted, with_groups

PATH = "/service"
RACKS = ("", "rack-0", "rack-1", "rack:UNIQUE", "rack:MAX_PER:2", "rack:GROUP_BY:2", "rack:CLUSTER")  # half have each
SESSION_SECONDS = 10.0
MISSED_HEARTBEATS = 60.0  # a stream that says nothing for that long is given up

# A save takes more than one transaction when a service is large; here it does already when two records change.
framework.zookeeper.store.BATCH = 2  # type: ignore[misc]


class Scheduler:
    """One process: it knows what the store holds, and nothing else."""

    def __init__(self, world: World) -> None:
        self.session = world.zookeeper.session()
        self.lead = world.elect()
        store = ZooKeeperStore(self.session, PATH, self.lead)
        kept = store.load()
        wanted = world.resumed(kept)
        for effect in () if world.uninstalls else newly_wanted(kept, wanted, world.options, world.now):
            store.save([effect])
            kept = after(kept, [effect])
        state = remembering(State(wanted, world.policy, uninstalls=world.uninstalls), kept)
        self.acts_left: int | None = None  # effects until it dies
        self.overtaken = False
        self._world = world
        self.loop = Loop(state, store, self._act, lambda: world.now)

    @property
    def state(self) -> State:
        return self.loop.snapshot

    def _act(self, effects: Sequence[Effect], state: State) -> None:
        for effect in effects:
            if self.acts_left is not None:
                if not self.acts_left:
                    raise Crash
                self.acts_left -= 1
            self._world.act(self, effect, state)


class World:
    def __init__(self, chance: Chance, say: Callable[[str], None] | None = None) -> None:
        self._say = say
        self.now = 1000.0
        self.zookeeper = SimulatedZooKeeper()
        self.guarded_by_lead = chance.happens(0.5)  # else versions alone keep two leaders apart
        self._elections = 0
        self._away_since = 0.0
        self._held: list[Event] = []  # what came while the store was away
        self.mesos = SimulatedMesos(
            agents=chance.between(3, 6), cpus=chance.between(3, 6), memory=4096, ports=chance.between(24, 40)
        )
        self.mesos.now = self.now
        self.policy = Policy(
            stickiness=chance.pick((0.0, 60.0, 600.0, 1200.0)),
            launch_timeout=chance.pick((100.0, 300.0, 900.0)),
            unreachable_grace=chance.pick((0.0, 60.0, 600.0, 1200.0)),
            drain=chance.pick((0.0, 150.0)),
        )
        self.judge = Judge(self.mesos, self.kept, self.policy)
        self.mesos.judge = self.judge
        self.journal = chance.pick((Journal.LOCAL, Journal.LOCAL, Journal.SHARED, Journal.EMBEDDED))
        self.alluxio = SimulatedAlluxio(self.journal)
        self.want(chance)
        self.scheduler: Scheduler | None = None
        self.overtaken: Scheduler | None = None
        self._unheard: collections.deque[Event] = collections.deque()  # what the overtaken one has still to hear
        self.ends_with: ExitCode | None = None  # how every scheduler has to end from now on
        self.uninstalls = False  # each scheduler is told to remove the service for good
        self.crash_loops: dict[str, int] = {}  # by slot: how many more copies fail
        self.decommissioned: set[str] = set()  # tasks that Alluxio does without until they start anew
        self.deaf = False  # executors that do not hear the first kills are launched now and then
        self.chance = chance
        self.start()

    def say(self, sentence: Callable[[], str]) -> None:
        if self._say is not None:
            self._say(f"{self.now:9.1f}  {sentence()}")

    def kept(self) -> Kept:
        """What a scheduler would read now."""
        away, self.zookeeper.away = self.zookeeper.away, False
        try:
            return decode(read(self.zookeeper.session(), PATH), PATH)
        finally:
            self.zookeeper.away = away

    def want(self, chance: Chance) -> None:
        """What an operator asks for; the kind of journal stays."""
        masters = 1 if self.journal is Journal.LOCAL else chance.pick((1, 2, 3, 3))
        workers = chance.pick((None, 0, 1, 2, 2, 3))
        ssd = chance.pick((None, 512, 512, 600))
        self.configured = wanted(masters, workers, chance.between(0, 1), self.journal, ssd)
        self.options = {"workers": str(workers), "persistent-volumes": "yes"}

    @property
    def wanted(self) -> Wanted:
        """What holds: the operator's options, or what was asked for since they were given."""
        if self.scheduler is not None:
            return self.scheduler.state.wanted
        return self.resumed(self.kept())

    def resumed(self, kept: Kept) -> Wanted:
        """What a scheduler wants that starts now: what was changed since its options were given holds."""
        want, last = self.configured, kept.history[-1] if kept.history else None
        if last is not None:
            if last.options == self.options and "/" in last.configuration:
                ids = dict(zip(Kind, last.configuration.split("/"), strict=True))
                want = dataclasses.replace(want, configuration=last.configuration, configurations=ids)
            want = with_groups(want, last.groups)
        return resumed(kept, want, self.options)

    def ask(self, workers: int | None, chance: Chance) -> None:
        """Somebody asks for another number of workers, and now and then says which go."""
        if self.scheduler is None:
            return
        state = self.scheduler.state
        names = [f"worker-{index}" for index in state.wanted.indices(Kind.WORKER)]
        remove = [chance.pick(names)] if names and chance.happens(0.5) else []
        change = scaling.change(state, workers, remove, self.now)
        if isinstance(change, scaling.Change) and change.entry is not None:
            self.tell(Wished(change.entry))

    def regroup(self, chance: Chance) -> None:
        """Somebody asks for a group of workers, changes it, or lets it go."""
        if self.scheduler is None:
            return
        state, name = self.scheduler.state, chance.pick(("a", "b"))
        if grouping.entry_of(state, name) is not None and chance.happens(0.3):
            self.tell(group_gone(state, name, self.now))
            return
        options = {"size": chance.pick(("small", "large")), "rack": chance.pick(RACKS)}
        new = options if chance.happens(0.5) else None
        self.tell(group_asked_for(state, name, chance.pick((None, 0, 1, 1, 2)), new, self.now))

    def reconfigure(self, chance: Chance) -> None:
        """Somebody asks for another configuration of some kinds."""
        if self.scheduler is None:
            return
        state = self.scheduler.state
        ids = {kind: chance.pick(("configuration-1", "configuration-2")) for kind in Kind}
        wanted = dataclasses.replace(state.wanted, configuration="/".join(ids.values()), configurations=ids)
        entry = dataclasses.replace(scaling.next_entry(state, self.now), configuration=wanted.configuration)
        wanted = with_groups(wanted, entry.groups)
        self.tell(Wished(entry, wanted))

    def rest(self, *plans: str) -> None:
        """Somebody lets these plans rest, and all others go on."""
        if self.scheduler is not None:
            state = self.scheduler.state
            self.tell(Wished(scaling.resting(scaling.next_entry(state, self.now), frozenset(plans))))

    # Schedulers -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A scheduler starts where none runs, and subscribes. While ZooKeeper is away it would wait."""
        if self.scheduler is not None or self.zookeeper.away:
            return
        self.scheduler = Scheduler(self)
        self.say(lambda: "      a scheduler starts")
        self.judge.new_life(self.scheduler.state.records)
        self.subscribe()

    def elect(self) -> str:
        """The node of a new leader, as long as its session lives; "" where there is none."""
        if not self.guarded_by_lead:
            return ""
        self._elections += 1
        lead = f"/elections/{self._elections}"
        self.zookeeper.nodes = {
            path: node for path, node in self.zookeeper.nodes.items() if not path.startswith("/elections/")
        } | {lead: (b"", 0)}
        return lead

    def subscribe(self) -> None:
        if self.scheduler is not None:
            state = self.scheduler.state
            if self.uninstalls and not state.kept_framework_id:
                return  # it is no framework: there is nothing to be removed
            self.now += 0.125  # what is heard before and after is not heard at the same moment
            self.mesos.now = self.now
            self.mesos.subscribe(state.framework_id or state.kept_framework_id)

    def die(self, reason: str) -> None:
        if self.scheduler is None:
            return
        self.say(lambda: f"      the scheduler ends: {reason}")
        self.scheduler.session.over = True
        self.scheduler = None
        self._held.clear()
        self.mesos.disconnect()

    def disconnect(self, reason: str) -> None:
        self.mesos.disconnect()
        self.mesos.lost_a_call = False
        self.tell(Disconnected(reason, self.now))

    def tell(self, event: Event) -> None:
        """The scheduler hears this, at once or when the store is back."""
        if self.scheduler is not None and self.zookeeper.away:
            self._held.append(event)
        elif self.scheduler is not None:
            self.step(self.mesos.hear(event))

    def hear(self, most: int) -> None:
        if self.scheduler is not None and not self.zookeeper.away:
            self.step(*self.mesos.deliver(most))

    def leave_zookeeper(self) -> None:
        """Its servers stop answering: until they are back, or the session is over, nothing is decided."""
        self.zookeeper.away, self._away_since = True, self.now

    def return_zookeeper(self) -> None:
        self.zookeeper.away = False
        held, self._held = self._held, []
        if held:
            self.step(*[self.mesos.hear(event) for event in held])

    def step(self, *events: Event) -> None:
        """The scheduler hears, decides until there is nothing more to do, and what it does is done."""
        scheduler = self.scheduler
        if scheduler is None or self.zookeeper.away:
            return
        self._say_events(events)
        try:
            effects = self._settle(scheduler, events)
        except Crash:
            self.die("kill -9")
            return
        except StoreError as error:
            self.die(str(error))
            return
        except Broken:
            raise
        except Exception as error:
            raise Broken(Promise.NO_ERROR, f"{type(error).__name__}: {error}") from error
        for effect in effects:
            if isinstance(effect, Stop):
                require(effect.exit_code == self.ends_with, Promise.STOPS, f"{effect}, exit code {effect.exit_code}")
                self.die(str(effect))
                return
        if self.uninstalls:
            pass
        elif self.ends_with is None or not any(isinstance(event, Failed | Subscribed) for event in events):
            self.judge.settled(scheduler.state)
        else:
            raise Broken(Promise.STOPS, f"it goes on after {events[-1]}")
        if self.mesos.lost_a_call:  # the driver ends a subscription on which a call is not answered
            self.disconnect("a call was not answered")
            self.subscribe()

    def _settle(self, scheduler: Scheduler, events: Sequence[Event]) -> tuple[Effect, ...]:
        for _ in range(ROUNDS):
            effects = scheduler.loop.step(events)
            if scheduler is self.scheduler:
                self.judge.before = scheduler.state.records
            if not effects or any(isinstance(effect, Stop) for effect in effects):
                return effects
            events = ()
        raise Broken(Promise.SETTLES, f"after {ROUNDS} rounds it still decides {effects[0]}")

    def act(self, scheduler: Scheduler, effect: Effect, state: State) -> None:
        self.say(lambda: f"{'overtaken: ' if scheduler.overtaken else ''}{effect}")
        require(not self.zookeeper.away, Promise.ONE_LEADER, lambda: f"{effect} while the store is away")
        if scheduler.overtaken:
            self.judge.overtaken(effect)  # Mesos refuses the call, as its stream is not the current one
            return
        self.mesos.act((effect,), state)
        if isinstance(effect, Launch) and self.deaf:
            for record in effect.records:
                task = self.mesos.tasks.get(record.task_id)
                if task is not None and self.chance.happens(0.3):
                    task.deaf = self.chance.between(1, 8)
        match effect:
            case Launch():
                known = any(record.formatted for record in state.records.values() if record.kind is Kind.MASTER)
                self.alluxio.beginning.update(record.task_id for record in effect.records if not known)
            case RemoveMember():
                self.alluxio.remove(effect.address, job=effect.job)
            case _:
                pass

    def _say_events(self, events: Sequence[Event]) -> None:
        if self._say is not None:
            for event in events:
                match event:
                    case Offered():
                        offers = ", ".join(f"{offer.id} {offer.hostname}" for offer in event.offers[:6])
                        sentence = f"{len(event.offers)} offers: {offers}"
                    case CacheSeen():
                        sentence = f"Alluxio's primary is {event.report.primary}"
                    case _:
                        sentence = str(event)
                self.say(lambda sentence=sentence: f"   -> {sentence}")

    # Two at once ------------------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """Another scheduler subscribes while this one still runs and has still to hear what was told to it."""
        if self.scheduler is None or self.zookeeper.away:
            return
        self.say(lambda: "      another scheduler takes over")
        self.overtaken, self.scheduler = self.scheduler, None
        self.overtaken.overtaken = True
        self._unheard = collections.deque(self.mesos.queue)
        self._unheard.append(Failed("Framework failed over", ExitCode.FAILED_OVER, self.now))
        self.start()

    def step_overtaken(self, most: int) -> None:
        """What it records must not overwrite what the leader recorded, and nothing that it calls counts."""
        scheduler = self.overtaken
        if scheduler is None or self.zookeeper.away:
            return
        self._pass_by()
        events = [self._unheard.popleft() for _ in range(min(most, len(self._unheard)))]
        known = dict(scheduler.state.records)
        there = self.kept().records
        self._say_events(events)
        try:
            while effects := scheduler.loop.step(events):
                events = []
                for effect in effects:
                    for slot in _written(effect):
                        fine = known.get(slot) == there.get(slot)
                        require(fine, Promise.ONE_LEADER, f"{effect}: {slot} was changed by the leader before")
                    if isinstance(effect, Stop):
                        raise Crash
                known, there = dict(scheduler.state.records), self.kept().records
        except (StoreError, Crash) as end:
            self.say(lambda end=end: f"overtaken: it ends {end}")
            self.overtaken = None
        self._pass_by()

    def _pass_by(self) -> None:
        """No two schedulers act at the very same moment: their records differ."""
        self.now += 0.015625
        self.mesos.now = self.now

    # Tasks ------------------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Time passes; what waits for longer than a stream may be silent was heard before."""
        if seconds > MISSED_HEARTBEATS:
            self.hear(10_000)
        self.now += seconds
        self.mesos.now = self.now
        self.mesos.mark_overdue()
        if self.zookeeper.away and self.now - self._away_since >= SESSION_SECONDS:
            self.die("the ZooKeeper session is lost")
        self.step()

    def prosper(self) -> None:
        """Each task gets one step further, towards readiness, or towards its end when it is killed."""
        mesos = self.mesos
        for agent in mesos.agents:
            if agent.standing is Standing.AWAITED and agent.reachable:
                mesos.join(agent)
        for task in list(mesos.tasks.values()):
            if not task.agent.reachable or not (task.alive or task.waiting):
                continue
            mesos.retry(task)
            match task.state:
                case TaskState.STAGING:
                    self._start(task)
                case TaskState.STARTING:
                    self._run(task)
                case TaskState.RUNNING if not task.healthy:
                    mesos.change(task, TaskState.RUNNING, healthy=True)
                case TaskState.KILLING:
                    mesos.change(task, TaskState.KILLED)
                case _:
                    pass

        if self.chance.happens(0.7):
            self.alluxio.elect([task for task in mesos.tasks.values() if task.kind is Kind.MASTER], self.now)

    def _start(self, task: Task) -> None:
        try:
            self.mesos.change(task, self.alluxio.start(task))
        except SecondJournal as error:
            raise Broken(Promise.FORMATTED_ONCE, str(error)) from error

    def _run(self, task: Task) -> None:
        slot = task.id.rpartition(".")[0]
        if self.crash_loops.get(slot, 0):
            self.crash_loops[slot] -= 1
            self.mesos.change(task, TaskState.FAILED)
            return
        try:
            serves = self.alluxio.serve(task)
        except SecondJournal as error:
            raise Broken(Promise.FORMATTED_ONCE, str(error)) from error
        if serves:
            self.mesos.change(task, TaskState.RUNNING, healthy=True)

    def see_cache(self, registered: float = 1.0) -> None:
        """Alluxio is asked: who leads, if anyone, and which workers have registered by now."""
        if self.scheduler is None:
            return
        workers = tuple(
            CachingWorker(
                task.record.hostname,
                task.record.ports["rpc"],
                1 << 28,
                0,
                live=task.id not in self.decommissioned,
                decommissioned=task.id in self.decommissioned,
            )
            for task in self.mesos.tasks.values()
            if task.kind is Kind.WORKER and task.alive and task.healthy and self.chance.happens(registered)
        )
        self.tell(CacheSeen(self.alluxio.report(workers, self.now)))
        self.see_drains()

    def see_drains(self) -> None:
        """What leaves is emptied step by step, as long as Alluxio has a primary."""
        if self.scheduler is None or self.alluxio.primary is None:
            return
        state = self.scheduler.state
        leaving = sorted(record.task_id for record in state.records.values() if is_leaving(state, record))
        found = []
        for task in leaving:
            before = state.drains.get(task)
            done = (before is not None and before.step is DrainStep.DECOMMISSIONED) or self.chance.happens(0.5)
            step = DrainStep.DECOMMISSIONED if done else DrainStep.PERSISTING
            since = before.since if before is not None and before.step is step else self.now
            found.append(Drain(task, step, since))
            if done:
                self.decommissioned.add(task)
        if {drain.task_id: drain for drain in found} != dict(state.drains):
            self.tell(DrainsSeen(tuple(found)))


def _written(effect: Effect) -> list[str]:
    match effect:
        case Launch():
            return [record.slot for record in effect.records]
        case Keep():
            return [effect.record.slot]
        case Forget():
            return [effect.slot]
        case _:
            return []
