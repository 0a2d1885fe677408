"""The judge: what must hold at each call of the scheduler and after each of its decisions, whatever happens around it.

It is shown the truth (SimulatedMesos), what the scheduler was told, and what the scheduler does. Its rules are written
from the documents, not from the core: what the scheduler may believe is what it was told.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Mapping, Sequence

from framework.memory import Kept
from framework.messages import (
    Acknowledge,
    CacheSeen,
    Decline,
    Disconnected,
    DrainsSeen,
    Effect,
    Erase,
    Event,
    Failed,
    Forget,
    GiveBack,
    Kill,
    Launch,
    Offered,
    Reconcile,
    RemoveMember,
    Rescinded,
    Shutdown,
    Stop,
    Subscribed,
    Teardown,
    Updated,
)
from framework.model import (
    LIFE,
    MEMBER_PORTS,
    Constraint,
    DrainStep,
    Journal,
    Kind,
    Life,
    Offer,
    Operator,
    Record,
    TaskState,
    parse_task_id,
)
from framework.planner import Policy, State
from framework.state import DECOMMISSION, DEPLOY, RECOVERY, UPDATE, is_current, master_addresses
from simulated_mesos import SimulatedMesos, Task, amounts


class Promise(enum.StrEnum):
    """What a scheduler never breaks; the names that failures and mutants are known by."""

    ANSWERS_ONCE = "each offer is answered once, and at once"
    WITHIN_OFFER = "what is used was offered and is what is needed"
    RECORDED_FIRST = "what is launched was recorded before"
    ID_FIRST = "the framework's id is kept before anything is launched under it"
    IDS_UNIQUE = "a task id is used once"
    NOT_MORE = "no more is launched than is wanted"
    ONE_COPY = "no second copy is started while the first may run, and no agent gets two of a kind"
    FORMATTED_ONCE = "a journal is formatted once"
    MASTER_STAYS = "a master stays where its journal is"
    JOINS = "a member without a journal joins when most of those with one answer, one at a time"
    IN_QUORUM = "a master that is wanted stays in the quorum"
    STICKS = "a slot waits for the agent of its blocks or of its journal"
    BLOCKS_KEPT = "a volume that holds blocks is waited for, and is nobody else's"
    VOLUME_IDS_UNIQUE = "a persistence id is used once"
    PLACED = "what is launched is where its placement lets it be"
    GATE = "workers wait for a ready master"
    BACKS_OFF = "what fails again and again is launched less and less often"
    MAINTENANCE = "an agent in maintenance is left alone"
    SAVED_FIRST = "an update is acknowledged when what follows from it is saved"
    DRAINED_FIRST = "a worker that goes is emptied before it is killed"
    SPARES_WANTED = "what is wanted is not killed"
    KILL_REPEATED = "a kill is repeated until it holds"
    ASKED = "each task without news is asked for until there is an answer"
    STOPS = "a scheduler that must end does nothing more"
    ONE_LEADER = "a scheduler that was overtaken changes nothing"
    NO_ERROR = "no event makes the scheduler fail"
    SETTLES = "the scheduler comes to rest"
    CONVERGES = "what is wanted comes to run when the faults end"
    ONE_BY_ONE = "another configuration takes away no more tasks at once than may be away"
    RESTS = "a plan that rests begins nothing"
    UNINSTALLED = "an uninstalled service begins nothing, gives back all it has, and is forgotten last"
    LEAVES_ALONE = "a restart changes nothing"


class Broken(AssertionError):
    def __init__(self, promise: Promise, detail: str) -> None:
        super().__init__(f"{promise.name} ({promise}): {detail}")
        self.promise = promise


def require(holds: bool, promise: Promise, detail: Callable[[], str] | str) -> None:
    if not holds:
        raise Broken(promise, detail if isinstance(detail, str) else detail())


def lets(rule: Constraint, rack: str, others: Sequence[str]) -> bool:
    """Whether a task may be in this rack beside others of its group."""
    there = collections.Counter(others)
    match rule.operator:
        case Operator.IS:
            return rack == rule.value
        case Operator.UNIQUE:
            return rack not in there
        case Operator.MAX_PER:
            return there[rack] < int(rule.value)
        case Operator.CLUSTER:
            return not there or rack == max(sorted(there), key=there.__getitem__)
        case Operator.GROUP_BY:
            return rack not in there or (len(there) >= int(rule.value) and there[rack] == min(there.values()))
    raise ValueError(f"the simulation has no {rule}")


class Judge:
    """``kept`` reads what the store holds now; ``policy`` says how patient the scheduler was told to be."""

    def __init__(self, mesos: SimulatedMesos, kept: Callable[[], Kept], policy: Policy) -> None:
        self._mesos = mesos
        self._policy = policy
        self._kept = kept
        self._launched: set[str] = set()
        self.given_up: set[str] = set()  # tasks that Mesos knew nothing of, and that may live nevertheless
        self._volume_ids: set[str] = set()  # every one that was ever asked for
        self._formatted: set[str] = set()  # slots whose journal has served, as far as it was ever written down
        self._homes: dict[str, tuple[str, dict[str, int]]] = {}  # of masters with a journal of their own
        self.uninstalls = False  # the service is being removed for good
        self.new_life({})

    # What the scheduler knows -----------------------------------------------------------------------------------------

    def new_life(self, records: Mapping[str, Record]) -> None:
        """A scheduler's process starts; it knows these records and nothing else."""
        self.before = records  # what was kept before the decision that is acted on
        self._stopped: Stop | None = None
        self._launched_at: dict[str, float] = {}
        self._heard: dict[str, TaskState] = {}  # the last word on each task; a certain end is final
        self._heard_in: dict[str, int] = {}  # the subscription that told it
        self._marked: dict[str, float] = {}  # since when a task's agent is unreachable, as last heard
        self._ended_at: dict[str, float] = {}  # when the end of a slot's current task was heard
        self._ready_since: dict[str, float] = {}
        self._healthy: set[str] = set()
        self._primary = False  # Alluxio was last seen with one
        self._members: set[str] = set()
        self._drained: dict[str, float] = {}
        self._put_out: set[tuple[str, int]] = set()
        self._failures: dict[str, int] = collections.Counter()  # in a row, by slot
        self._subscription = 0
        self._subscribed_at = 0.0
        self._answerable: set[str] = set()
        self._killed_at: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self._shown: dict[str, float] = {}  # since when an agent is offered, by id

    def heard(self, event: Event) -> None:
        match event:
            case Subscribed():
                self._subscription += 1
                self._subscribed_at = event.at
                self._forget_calls()
            case Disconnected() | Failed():
                self._forget_calls()
            case Offered():
                for offer in event.offers:
                    self._shown.setdefault(offer.agent_id, event.at)
                self._answerable.update(offer.id for offer in event.offers)
            case Rescinded():
                self._answerable.discard(event.offer_id)
            case Updated():
                self._updated(event)
            case CacheSeen():
                self._primary = event.report.primary is not None
                self._members = {member.address for member in event.report.members}
                self._put_out = {
                    (worker.host, worker.rpc_port) for worker in event.report.workers if worker.decommissioned
                }
            case DrainsSeen():
                emptied = (drain for drain in event.drains if drain.step is DrainStep.DECOMMISSIONED)
                self._drained = {drain.task_id: drain.since for drain in emptied}
            case _:
                pass

    def _forget_calls(self) -> None:
        self._answerable.clear()
        self._killed_at.clear()
        self._asked_at.clear()
        self._shown.clear()

    def _updated(self, event: Updated) -> None:
        report, task_id, now = event.report, event.report.task_id, self._mesos.now
        self._heard_in[task_id] = self._subscription
        before = self._heard.get(task_id)
        if before is not None and LIFE[before] is Life.TERMINAL and before is not TaskState.UNKNOWN:
            return
        self._heard[task_id] = report.state
        if report.state is TaskState.UNKNOWN:
            self.given_up.add(task_id)
        slot = task_id.rpartition(".")[0]
        if report.state is TaskState.UNREACHABLE:
            if before is not TaskState.UNREACHABLE:
                self._marked[task_id] = now
        else:
            self._marked.pop(task_id, None)
        if report.state is TaskState.RUNNING and report.healthy:
            self._ready_since.setdefault(task_id, now)
            self._healthy.add(task_id)
        else:
            self._healthy.discard(task_id)
        if LIFE[report.state] is Life.TERMINAL and not (before is not None and LIFE[before] is Life.TERMINAL):
            if now - self._ready_since.get(task_id, now) >= self._policy.stable_after:
                self._failures[slot] = 0
            current = self.before.get(slot)
            if current is not None and current.task_id == task_id:
                self._ended_at[slot] = now
                self._failures[slot] += report.state is not TaskState.KILLED

    # Each call --------------------------------------------------------------------------------------------------------

    def call(self, effect: Effect, state: State) -> None:
        """What must hold whether the call arrives or not."""
        if isinstance(effect, Stop):
            self._stopped = effect
            return
        require(self._stopped is None and state.stop is None, Promise.STOPS, lambda: f"after {self._stopped}: {effect}")
        if self.uninstalls:
            self._uninstalled(effect)
            return
        match effect:
            case Launch():
                self._answers(effect.offer)
                self._launch(effect, state)
            case Decline():
                self._answers(effect.offer)
            case GiveBack():
                self._answers(effect.offer)
                self._given_back(effect, state)
            case Kill() | Shutdown():
                self._kill(effect.task_id, state)
                self._killed_at[effect.task_id] = self._mesos.now
            case Reconcile():
                self._asked_at.update((task_id, self._mesos.now) for task_id, _ in effect.tasks)
            case Acknowledge():
                self._acknowledge(effect)
            case Forget():
                self._forget(effect, state)
            case RemoveMember():
                self._remove(effect, state)
            case _:
                pass

    def _uninstalled(self, effect: Effect) -> None:
        kept = self._kept()
        recorded = {record.task_id for record in kept.records.values()}
        # Mesos ends what no record names, and what is out of its reach for now.
        running = [
            task.id
            for task in self._mesos.tasks.values()
            if task.alive and task.id in recorded and not (self._may_be_over(task) or task.id in self._marked)
        ]
        require(kept.uninstalling, Promise.UNINSTALLED, lambda: f"{effect} before it is on record")
        match effect:
            case Launch():
                raise Broken(Promise.UNINSTALLED, str(effect))
            case Decline():
                self._answers(effect.offer)
            case GiveBack():
                self._answers(effect.offer)
            case Teardown():
                held = [name for agent in self._mesos.agents if not agent.over for name in agent.volumes]
                require(not running + held, Promise.UNINSTALLED, lambda: f"{effect} while {running + held} are there")
            case Erase():
                # A scheduler may have died before it kept the id that Mesos gave it: it has launched nothing then.
                gone = self._mesos.removed or not self._launched
                require(gone, Promise.UNINSTALLED, lambda: f"{effect} while Mesos knows {self._mesos.framework_id}")
                require(kept == Kept(uninstalling=True), Promise.UNINSTALLED, lambda: f"{kept} is still there")
            case _:
                pass

    def overtaken(self, effect: Effect) -> None:
        """A scheduler that no longer leads has recorded this, although Mesos refuses its calls."""
        if isinstance(effect, Launch):
            for record in effect.records:
                self._use(record)

    def _use(self, record: Record) -> None:
        require(record.task_id not in self._launched, Promise.IDS_UNIQUE, f"{record.task_id} is used again")
        self._launched.add(record.task_id)

    def _answers(self, offer: Offer) -> None:
        require(
            offer.id in self._answerable,
            Promise.ANSWERS_ONCE,
            lambda: f"{offer.id} is answered again, or is no longer valid",
        )
        self._answerable.discard(offer.id)

    def _launch(self, effect: Launch, state: State) -> None:
        kept = self._kept()
        require(
            kept.framework_id == self._mesos.framework_id != "", Promise.ID_FIRST, lambda: f"{kept.framework_id!r} is"
        )
        self._formatted.update(record.slot for record in kept.records.values() if record.formatted)
        require(effect.offer.unavailable_from is None, Promise.MAINTENANCE, str(effect))
        _check_arithmetic(effect, state)
        self._volumes(effect)
        for record in effect.records:
            self._use(record)
            require(kept.records.get(record.slot) == record, Promise.RECORDED_FIRST, str(effect))
            where = (effect.offer.agent_id, effect.offer.hostname)
            require((record.agent_id, record.hostname) == where, Promise.RECORDED_FIRST, str(effect))
            # A quorum without a leader cannot let a member go: it comes back for that.
            returns = record.kind is Kind.MASTER and state.wanted.journal is Journal.EMBEDDED and not self._primary
            wanted = state.wanted.includes(record.group, record.index) or returns
            require(wanted, Promise.NOT_MORE, lambda record=record: f"{record.slot} is launched")
            last = self.before.get(record.slot)
            plan = RECOVERY if last is not None and last.deployed else DEPLOY
            require(plan not in state.wanted.paused, Promise.RESTS, lambda record=record: f"{record.slot} is launched")
            self._copies(record)
            there, rules = self._racks_of_others(record), state.wanted.placement(record.group)
            fits = all(
                lets(rule, effect.offer.attributes["rack"], there)
                for rule in rules
                # Of the others, those that wait for their agents count too: what looks at all of them is not judged.
                if rule.operator in (Operator.IS, Operator.UNIQUE, Operator.MAX_PER)
            )
            require(
                fits,
                Promise.PLACED,
                lambda record=record, there=there: (
                    f"{record.slot} is launched on {effect.offer.hostname}, beside {there}"
                ),
            )
            require(record.group == record.slot.rpartition("-")[0], Promise.RECORDED_FIRST, f"{record}")
            self._place(record, state)
            self._pace(record)
            self._launched_at[record.task_id] = self._mesos.now
            self._ended_at.pop(record.slot, None)

    def _racks_of_others(self, record: Record) -> list[str]:
        """Of the group's tasks of which nobody can think that they do not run: this subscription was told that they do,
        or they were launched at this moment.
        """
        return [
            other.attributes["rack"]
            for other in self._kept().records.values()
            if other.group == record.group and other.slot != record.slot and self._runs_for_sure(other.task_id)
        ]

    def _runs_for_sure(self, task_id: str) -> bool:
        heard = self._heard.get(task_id)
        if heard is None:
            return self._launched_at.get(task_id) == self._mesos.now
        return self._heard_in.get(task_id) == self._subscription and LIFE[heard] is Life.ACTIVE

    def _place(self, record: Record, state: State) -> None:
        if record.kind is Kind.MASTER:
            self._journal(record, state)
            if state.wanted.journal is not Journal.LOCAL:
                self._sticks(record)
            return
        self._gate(record, state)
        self._sticks(record)

    def _journal(self, record: Record, state: State) -> None:
        home = (record.hostname, dict(record.ports))
        known = self._homes.get(record.slot)
        match state.wanted.journal:
            case Journal.LOCAL:
                fresh = record.formatted or record.slot not in self._formatted
                require(known in (None, home), Promise.MASTER_STAYS, f"{record.slot} moves from {known} to {home}")
            case Journal.SHARED:
                fresh = record.formatted or not self._formatted
                first = record.formatted or record.index == 0
                require(first, Promise.FORMATTED_ONCE, f"{record.task_id} formats beside master-0")
            case Journal.EMBEDDED:
                fresh = True  # a copy of the journal is the quorum's to give
                if record.formatted:
                    require(known == home, Promise.MASTER_STAYS, f"{record.slot} moves from {known} to {home}")
                else:
                    self._joins(record)
        require(fresh, Promise.FORMATTED_ONCE, f"{record.task_id} would format the journal again")
        self._homes[record.slot] = home

    def _joins(self, record: Record) -> None:
        others = [other for other in self.before.values() if other.kind is Kind.MASTER and other.slot != record.slot]
        formatted = [other for other in others if other.formatted]
        if not self._formatted:
            require(record.index == 0, Promise.JOINS, f"{record.task_id} begins the journal instead of master-0")
            return
        mine = self.before.get(record.slot)
        if mine is not None and mine.hostname == record.hostname and not mine.formatted:
            return  # it goes on with what it began when most answered
        joining = [other.slot for other in others if not other.formatted]
        answering = [other for other in formatted if self._is_ready(other.task_id)]
        members = len(formatted) + (mine is not None and mine.formatted)
        fine = not joining and len(answering) > members // 2 and self._primary
        require(fine, Promise.JOINS, lambda: f"{record.task_id} beside {joining}, {len(answering)} of {len(formatted)}")

    def _is_ready(self, task_id: str) -> bool:
        """This subscription was told so."""
        told = self._heard_in.get(task_id) == self._subscription
        return told and self._heard.get(task_id) is TaskState.RUNNING and task_id in self._healthy

    def _gate(self, record: Record, state: State) -> None:
        masters = [other for other in self.before.values() if other.kind is Kind.MASTER]
        ready = any(self._is_ready(master.task_id) for master in masters)
        led = state.wanted.masters == 1 or self._primary
        require(ready and led, Promise.GATE, f"{record.task_id} is launched")

    def _sticks(self, record: Record) -> None:
        before, ended = self.before.get(record.slot), self._ended_at.get(record.slot)
        if before is None or ended is None or before.hostname == record.hostname:
            return
        rivals = [
            other.slot
            for other in self.before.values()
            if other.kind is record.kind and other.hostname == before.hostname and other.slot != before.slot
        ]
        waited = self._mesos.now - ended >= self._policy.stickiness
        require(
            bool(rivals) or waited,
            Promise.STICKS,
            lambda: f"{record.task_id} moves from {before.hostname} after {self._mesos.now - ended:g} s",
        )

    def _volumes(self, effect: Launch) -> None:
        """Each task gets exactly the volumes of its record: those of the offer that are its own, and new ones that were
        never asked for before. What holds its blocks on this agent is taken again.
        """
        new = [(new.slot, new.volume.persistence_id) for new in effect.new_volumes]
        require(len(set(new)) == len(new), Promise.VOLUME_IDS_UNIQUE, lambda: f"{new}")
        for record, resources in zip(effect.records, effect.resources, strict=True):
            there = {holding.resource: holding for holding in effect.offer.holdings if holding.slot == record.slot}
            taken = [there[resource].persistence_id for resource in resources if resource.disk]
            made = [persistence_id for slot, persistence_id in new if slot == record.slot]
            exact = sorted(taken + made) == sorted(volume.persistence_id for volume in record.volumes)
            require(exact, Promise.WITHIN_OFFER, f"{effect} has other volumes than its record")
            require(self._volume_ids.isdisjoint(made), Promise.VOLUME_IDS_UNIQUE, f"{made}")
            self._volume_ids.update(made)
            self._blocks(record)

    def _blocks(self, record: Record) -> None:
        before = self.before.get(record.slot)
        if before is None or before.agent_id != record.agent_id:
            return
        task = self._mesos.tasks.get(before.task_id)
        down_since = before.launched_at if task is None else task.ended_at
        if down_since is None or self._mesos.now - down_since >= self._policy.stickiness:
            return  # nobody can tell, or its patience may be over
        wanted = {volume.tier for volume in record.volumes}
        lost = [volume for volume in before.volumes if volume.used and volume.tier in wanted]
        names = {volume.persistence_id for volume in record.volumes}
        kept = all(volume.persistence_id in names for volume in lost)
        require(kept, Promise.BLOCKS_KEPT, f"{record.task_id} leaves its blocks behind")

    def _given_back(self, effect: GiveBack, state: State) -> None:
        named = {
            volume.persistence_id
            for record in self._kept().records.values()
            for volume in record.volumes
            if (need := state.wanted.need(record.group)) is None
            or volume.tier in {wanted.tier for wanted in need.volumes}
        }
        for holding in effect.holdings:
            require(holding in effect.offer.holdings, Promise.WITHIN_OFFER, str(effect))
            require(holding.persistence_id not in named, Promise.BLOCKS_KEPT, f"{effect} while a record has it")

    def _pace(self, record: Record) -> None:
        failures, ended = self._failures.get(record.slot, 0), self._ended_at.get(record.slot)
        if failures >= 2 and ended is not None:
            pause = min(2.0 ** (failures - 2), self._policy.longest_backoff)
            require(
                self._mesos.now - ended >= pause,
                Promise.BACKS_OFF,
                lambda: f"{record.task_id} starts {self._mesos.now - ended:g} s after failure {failures}",
            )

    def _copies(self, record: Record) -> None:
        """The copy that this one replaces has ended, and no other of its kind lives on its agent, as far as the
        scheduler can know.
        """
        replaced = self.before.get(record.slot)
        for task in self._mesos.tasks.values():
            if not task.alive or task.kind is not record.kind:
                continue
            is_replaced = replaced is not None and replaced.task_id == task.id
            if is_replaced or task.agent.hostname == record.hostname:
                require(
                    self._may_be_over(task),
                    Promise.ONE_COPY,
                    lambda task=task: (
                        f"{record.task_id} is launched on {record.hostname} while {task.id} "
                        f"({task.state}) runs on {task.agent.hostname}"
                    ),
                )

    def _may_be_over(self, task: Task) -> bool:
        """All that this scheduler was told lets it believe that the task has ended."""
        now, heard = self._mesos.now, self._heard.get(task.id)
        current = self.before.get(task.id.rpartition(".")[0])
        is_recorded = (current is not None and current.task_id == task.id) or task.id in self._launched_at
        is_silent = now - max(self._subscribed_at, task.launched_at) >= self._policy.launch_timeout
        if heard is None:
            return not is_recorded or (is_silent and not self._has_just_turned_up(task.agent.id))
        if LIFE[heard] is Life.TERMINAL:
            return True
        if heard is TaskState.UNREACHABLE and now - self._marked[task.id] >= self._policy.unreachable_grace:
            told = self._heard_in[task.id] == self._subscription
            return told or (is_silent and not self._has_just_turned_up(task.agent.id))
        return False

    def _has_just_turned_up(self, agent_id: str) -> bool:
        """An offer shows that the agent is there, so that Mesos will tell what runs on it if it is asked."""
        shown = self._shown.get(agent_id)
        return shown is not None and self._mesos.now - shown < self._policy.decline_short

    def _kill(self, task_id: str, state: State) -> None:
        identity, record = parse_task_id(task_id), state.records.get(task_id.rpartition(".")[0])
        if identity is None or record is None or record.task_id != task_id:
            return
        rivals = [
            other
            for other in state.records.values()
            if other.kind is record.kind
            and other.hostname == record.hostname
            and (other.index, other.group) < (record.index, record.group)
            and LIFE[self._heard.get(other.task_id, TaskState.UNKNOWN)] is Life.ACTIVE
        ]
        surplus = not state.wanted.includes(record.group, record.index)
        if surplus and not rivals and record.kind is Kind.WORKER and record.deployed:
            require(self._is_drained(task_id), Promise.DRAINED_FIRST, f"{task_id} is killed")
            begins = task_id not in self._killed_at
            require(not begins or DECOMMISSION not in state.wanted.paused, Promise.RESTS, f"{task_id} is killed")
        # One that was told of other masters than those of now is relaunched in its place (C28).
        embedded = state.wanted.journal is Journal.EMBEDDED
        outdated = embedded and record.kind is not Kind.MASTER and record.masters != master_addresses(state)
        left_out = bool(self._members) and self._members.isdisjoint(_member_addresses(record))
        # Alluxio takes one that it was told to do without in again only when it starts anew (C30).
        put_out = (record.hostname, record.ports.get("rpc", -1)) in self._put_out
        allowed = bool(rivals) or surplus or outdated or put_out or (left_out and record.kind is Kind.MASTER)
        if not allowed and not is_current(state, record):
            self._roll(record, state)
            return
        require(allowed, Promise.SPARES_WANTED, f"{task_id} is killed")

    def _roll(self, record: Record, state: State) -> None:
        """A task is ended to come back with another configuration."""
        if not record.deployed or record.task_id in self._killed_at:
            return
        require(UPDATE not in state.wanted.paused, Promise.RESTS, f"{record.task_id} is killed")
        others = [
            other
            for other in state.records.values()
            if other.kind is record.kind
            and other.deployed
            and other is not record
            # What is launched in this very decision was away before it.
            and other.task_id in self._heard
            and state.wanted.includes(other.group, other.index)
            and not self._has_lost_its_agent(other)
        ]
        away = [other for other in others if other.task_id not in self._healthy or other.task_id in self._killed_at]
        portion = int(self._policy.unavailable * (len(others) + 1)) if record.kind is Kind.WORKER else 1
        told = f"{record.task_id} is killed while {[other.task_id for other in away]} are away"
        require(len(away) < max(1, portion), Promise.ONE_BY_ONE, told)

    def _has_lost_its_agent(self, record: Record) -> bool:
        """And was waited for as long as that is done."""
        ended, marked = self._ended_at.get(record.slot), self._marked.get(record.task_id)
        is_lost = self._heard.get(record.task_id) not in (TaskState.KILLED, TaskState.GONE) or self._is_taken(record)
        if record.kind is Kind.MASTER or not is_lost:
            return False
        if ended is not None:
            return self._mesos.now - ended >= self._policy.stickiness
        patience = max(self._policy.unreachable_grace, self._policy.stickiness)
        return marked is not None and self._mesos.now - marked >= patience

    def _is_taken(self, record: Record) -> bool:
        """Another of its kind is on its agent."""
        return any(
            other.kind is record.kind and other.hostname == record.hostname and other.slot != record.slot
            for other in self.before.values()
        )

    def _remove(self, effect: RemoveMember, state: State) -> None:
        wanted = [
            record.slot
            for record in state.records.values()
            if record.kind is Kind.MASTER
            and record.index < state.wanted.masters
            and effect.address in _member_addresses(record)
        ]
        require(not wanted, Promise.IN_QUORUM, lambda: f"{effect}, and {wanted} has it")

    def _forget(self, effect: Forget, state: State) -> None:
        group, _, index = effect.slot.rpartition("-")
        if not state.wanted.includes(group, int(index)):
            self._failures.pop(effect.slot, None)  # whoever wants it again gets it at once

    def _acknowledge(self, effect: Acknowledge) -> None:
        told = [update for update in self._mesos.tasks[effect.task_id].told if update.uuid == effect.uuid]
        require(bool(told), Promise.SAVED_FIRST, f"{effect} before it was told")
        slot = effect.task_id.rpartition(".")[0]
        report = told[0].report
        if slot.startswith("master-") and report.healthy and self._heard.get(effect.task_id) is TaskState.RUNNING:
            record = self._kept().records.get(slot)
            fine = record is None or record.task_id != effect.task_id or record.formatted
            require(fine, Promise.SAVED_FIRST, f"{effect}, and that its journal is in use is not kept")

    # After each decision ----------------------------------------------------------------------------------------------

    def settled(self, state: State) -> None:
        require(not self._answerable, Promise.ANSWERS_ONCE, lambda: f"{sorted(self._answerable)} wait for an answer")
        self.before = state.records
        if not state.connected or state.stop is not None or not state.kept_framework_id:
            return
        now = self._mesos.now
        for record in state.records.values():
            heard = self._heard.get(record.task_id)
            is_old = record.launched_at < self._subscribed_at or now - record.launched_at >= self._policy.first_answer
            is_over = heard is not None and LIFE[heard] is Life.TERMINAL
            if is_old and not is_over and self._heard_in.get(record.task_id) != self._subscription:
                asked = self._asked_at.get(record.task_id)
                require(
                    asked is not None and now - asked < self._policy.ask_again,
                    Promise.ASKED,
                    f"{record.task_id} is not asked for",
                )
        for task_id, heard in self._heard.items():
            if LIFE[heard] is Life.ACTIVE and not self._is_wanted(task_id, state):
                killed = self._killed_at.get(task_id)
                holds = killed is not None and now - killed < self._policy.kill_again
                require(holds, Promise.KILL_REPEATED, f"{task_id} is {heard} and is not killed, last at {killed}")

    def _is_wanted(self, task_id: str, state: State) -> bool:
        """Or is not to be killed yet: what may be a member of the quorum leaves it first, which takes as long as the
        quorum takes.
        """
        if state.wanted.journal is Journal.EMBEDDED and task_id.startswith("master-"):
            return True
        record = state.records.get(task_id.rpartition(".")[0])
        if record is None or record.task_id != task_id:
            return False
        is_drained = self._is_drained(task_id) and DECOMMISSION not in state.wanted.paused
        is_emptied_first = record.kind is Kind.WORKER and record.deployed and not is_drained
        return is_emptied_first or state.wanted.includes(record.group, record.index)

    def _is_drained(self, task_id: str) -> bool:
        """Alluxio was seen to do without this worker for long enough."""
        since = self._drained.get(task_id)
        return since is not None and self._mesos.now - since >= self._policy.drain


def _member_addresses(record: Record) -> list[str]:
    return [f"{record.hostname}:{record.ports[port]}" for port in MEMBER_PORTS if port in record.ports]


def _check_arithmetic(effect: Launch, state: State) -> None:
    """Never more used than offered, and exactly what is needed (rule: per offer, ports too)."""
    scalars, ports = amounts(effect.offer.resources)
    for record, resources in zip(effect.records, effect.resources, strict=True):
        need = state.wanted.need(record.group)
        assert need is not None
        used, used_ports = amounts(resources)
        exact = collections.Counter(cpus=need.cpus, mem=need.memory * 1000, disk=need.disk * 1000)
        require(+used == +exact, Promise.WITHIN_OFFER, f"{record.slot} takes {used}, and needs {exact}")
        require(tuple(record.ports) == need.ports, Promise.WITHIN_OFFER, f"{record.slot} has other ports")
        told = set(record.ports.values()) == used_ports and len(used_ports) == len(need.ports)
        require(told, Promise.WITHIN_OFFER, "the ports that are told are not those that are taken")
        require(used_ports <= ports, Promise.WITHIN_OFFER, f"ports {sorted(used_ports - ports)} were not offered")
        ports -= used_ports
        scalars.subtract(used)
    scalars.subtract(disk=sum(new.disk.thousandths for new in effect.new_volumes))
    require(min(scalars.values()) >= 0, Promise.WITHIN_OFFER, f"{effect} uses more than was offered")
