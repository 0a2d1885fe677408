"""The state that decisions are made from, and the questions that can be asked of it. Pure: values in, values out.

A question looks at the state at a moment; none changes anything, and none remembers which event came last.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from framework.messages import Acknowledge, AcknowledgeOperation, PathsWished, Stop, Wished
from framework.model import (
    LIFE,
    MEMBER_PORTS,
    CacheReport,
    Drain,
    DrainStep,
    Failure,
    HistoryEntry,
    Journal,
    Kept,
    Kind,
    Life,
    Mount,
    MountRecord,
    Offer,
    Policy,
    Record,
    Refusal,
    Report,
    TaskState,
    Wanted,
    group_of,
)
from framework.paths import WantedPath

FIRST_MASTER: Final = "master-0"
DEPLOY: Final = "deploy"
RECOVERY: Final = "recovery"
DECOMMISSION: Final = "decommission"
UPDATE: Final = "update"
MOUNTS: Final = "mounts"
PLANS: Final = (DEPLOY, RECOVERY, UPDATE, DECOMMISSION, MOUNTS)


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """How often something was asked of Mesos without an answer, and when last."""

    times: int
    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class MountCall:
    """What Alluxio was asked last about the mount at a path, how often in a row, and what it answered: ``reason`` says
    why it failed.
    """

    mount: Mount
    times: int
    asked_at: float
    unmounts: bool = False
    answered_at: float | None = None
    reason: str = ""

    @property
    def done(self) -> bool:
        return self.answered_at is not None and not self.reason

    @property
    def failed(self) -> bool:
        return self.answered_at is not None and bool(self.reason)


def once_more(asked: Asked | None, at: float) -> Asked:
    return Asked(1 if asked is None else asked.times + 1, at)


def growing(first: float, times: int, longest: float) -> float:
    """The pause after so many times (from 0): the first one, doubled each time, up to the longest."""
    return min(first * 2.0 ** min(times, 30), longest)


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What offers are asked for: a slot ("" stands for one more worker on whatever agent is new), and the agent that it
    waits for ("" for any).
    """

    group: str
    slot: str
    home: str


@dataclasses.dataclass(frozen=True, slots=True)
class Opening:
    """A wanted slot that has no copy and that nothing holds back. ``home`` is the hostname that it waits for, "" for
    any; ``further``: it is the one more on whatever agent comes next.
    """

    kind: Kind
    slot: str
    home: str = ""
    further: bool = False

    @property
    def index(self) -> int:
        return int(self.slot.rpartition("-")[2])

    @property
    def group(self) -> str:
        return group_of(self.slot)

    @property
    def joins(self) -> bool:
        """It is a master that goes where it has no journal of its own."""
        return self.kind is Kind.MASTER and not self.home

    @property
    def wish(self) -> Wish:
        """ "One more on the next agent" stays the same wish whatever index is next: a new agent is offered unasked."""
        return Wish(self.group, "" if self.further else self.slot, self.home)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """Everything that a decision may depend on. Mappings are replaced, never changed."""

    wanted: Wanted
    policy: Policy = dataclasses.field(default_factory=Policy)
    # What was launched, as the store keeps it. ``retired`` has the last attempt of each forgotten slot, so that no task
    # id is ever used again.
    records: Mapping[str, Record] = dataclasses.field(default_factory=dict)  # by slot
    retired: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by slot
    kept_framework_id: str = ""
    history: tuple[HistoryEntry, ...] = ()
    mounts: Mapping[str, MountRecord] = dataclasses.field(default_factory=dict)  # that were made, by path
    wish: Wished | None = None  # what is asked for and not yet written
    paths: tuple[WantedPath, ...] = ()  # what is wanted of paths in Alluxio's namespace
    paths_wish: PathsWished | None = None  # … and what is asked for of them and not yet written
    # The subscription.
    framework_id: str = ""
    master: str = ""
    connected: bool = False
    trouble: str = "not subscribed yet"
    subscribed_at: float = 0.0
    region: str = ""  # of the Mesos master
    # What was reported.
    reports: Mapping[str, Report] = dataclasses.field(default_factory=dict)  # by task id
    failures: Mapping[str, Failure] = dataclasses.field(default_factory=dict)  # by slot
    cache: CacheReport = CacheReport()
    drains: Mapping[str, Drain] = dataclasses.field(default_factory=dict)  # by task id
    restarts: frozenset[str] = frozenset()  # task ids that somebody wants to be launched again
    # What waits for an answer of ours.
    offers: Mapping[str, Offer] = dataclasses.field(default_factory=dict)  # by offer id
    offered_at: float = 0.0
    shown: Mapping[str, float] = dataclasses.field(default_factory=dict)  # our tasks' agents, since their first offer
    acknowledgements: tuple[Acknowledge | AcknowledgeOperation, ...] = ()
    # What was asked of Mesos and Alluxio, and when.
    questions: Mapping[str, Asked] = dataclasses.field(default_factory=dict)  # by task id
    asked_all_at: float = 0.0
    kills: Mapping[str, Asked] = dataclasses.field(default_factory=dict)  # by task id
    removals: Mapping[str, Asked] = dataclasses.field(default_factory=dict)  # by a quorum member's address
    mount_calls: Mapping[str, MountCall] = dataclasses.field(default_factory=dict)  # of Alluxio, by path
    suppressed: bool = False
    revived_at: float = 0.0
    revived_for: frozenset[Wish] = frozenset()
    orphans: Mapping[str, float] = dataclasses.field(default_factory=dict)  # when given up, by persistence id
    given_back: Mapping[str, Asked] = dataclasses.field(default_factory=dict)  # by ``volumes.name_of``
    # The end of the service for good (``removal``).
    uninstalls: bool = False  # this process was told to
    uninstalling: bool = False  # it is on record
    ended_at: float = 0.0  # when the last end of a task was told, on record or not
    teardown: Asked | None = None
    removed: bool = False  # Mesos does not know the framework any more
    erased: bool = False  # nothing is on record any more but that it is uninstalled
    uninstalled: bool = False  # nor that: only now may whoever waits for it end this process
    # For people.
    refusals: tuple[Refusal, ...] = ()
    stop: Stop | None = None


def kept_of(state: State) -> Kept:
    """What the store holds of it."""
    return Kept(
        state.kept_framework_id,
        state.records,
        state.retired,
        state.history,
        state.mounts,
        state.paths,
        state.uninstalling,
    )


def remembering(state: State, kept: Kept) -> State:
    """With what the store holds now."""
    return dataclasses.replace(
        state,
        kept_framework_id=kept.framework_id,
        records=kept.records,
        retired=kept.retired,
        history=kept.history,
        mounts=kept.mounts,
        paths=kept.paths,
        uninstalling=kept.uninstalling,
    )


def current_report(state: State, record: Record) -> Report | None:
    return state.reports.get(record.task_id)


def in_order(record: Record) -> tuple[int, str, int]:
    """A key that sorts records by kind, in the order of deployment, then by group and index."""
    return list(Kind).index(record.kind), record.group, record.index


def off_record(state: State) -> Iterator[tuple[str, Report]]:
    """The tasks that were reported and that no record names: another took their place, or none."""
    recorded = {record.task_id for record in state.records.values()}
    return ((task_id, report) for task_id, report in state.reports.items() if task_id not in recorded)


def is_ready(state: State, record: Record) -> bool:
    """The executor saw every process of the task answer."""
    report = current_report(state, record)
    return report is not None and report.state is TaskState.RUNNING and report.healthy


def is_fresh(state: State, record: Record) -> bool:
    """This subscription has told of it; what an earlier one told may be over."""
    report = current_report(state, record)
    return report is not None and report.at >= state.subscribed_at


def has_ended(state: State, record: Record) -> bool:
    report = current_report(state, record)
    return report is not None and LIFE[report.state] is Life.TERMINAL


def registered_workers(cache: CacheReport) -> frozenset[tuple[str, int]]:
    """The (host, RPC port) of each worker that Alluxio's primary master lists as live."""
    return frozenset((worker.host, worker.rpc_port) for worker in cache.workers if worker.live)


def untold(state: State, now: float) -> dict[str, tuple[Kind, str]]:
    """The tasks that are taken for ended as nobody told of them, with kind and agent id, whose agent has turned up
    since they were asked for: an answer is on its way, and may say that they run.
    """
    found: dict[str, tuple[Kind, str]] = {}
    for record in state.records.values():
        shown = state.shown.get(record.agent_id)
        if shown is None or is_fresh(state, record) or has_ended(state, record):
            continue
        asked = state.questions.get(record.task_id)
        if asked is None or asked.at < shown or now - shown < state.policy.decline_short:
            found[record.task_id] = record.kind, record.agent_id
    return found


def down_since(state: State, record: Record, now: float) -> float | None:
    """Since when nothing runs for this record; None while a copy runs, may come back, or has still to be asked for."""
    report = current_report(state, record)
    patience = state.policy.launch_timeout
    if report is None:
        silent_since = max(record.launched_at, state.subscribed_at)
        return silent_since if now - silent_since >= patience else None
    match LIFE[report.state]:
        case Life.TERMINAL:
            return report.at
        case Life.LIMBO:
            if not is_fresh(state, record) and now - state.subscribed_at < patience:
                return None  # the agent may have come back while nobody could tell us
            return report.since if now - report.since >= state.policy.unreachable_grace else None
        case Life.ACTIVE:
            return None


def is_sticky(state: State, record: Record, down: float, now: float) -> bool:
    """Whether the slot still waits for its own agent: for the cached blocks of a worker, for the journal of a master.
    A journal that lies nowhere else is waited for without end.
    """
    if record.kind is Kind.MASTER and state.wanted.journal is Journal.LOCAL:
        return True
    if now - down < state.policy.stickiness:
        return True
    return record.kind is Kind.MASTER and bool(join_gate(state, record.slot))


def launch_after(state: State, slot: str) -> float:
    """The moment before which a failed slot is not launched again: at once the first time, then 1, 2, 4 … seconds
    apart (C27).
    """
    failure = state.failures.get(slot)
    if failure is None:
        return 0.0
    if failure.count <= 1:
        return failure.at
    return failure.at + growing(state.policy.first_backoff, failure.count - 2, state.policy.longest_backoff)


def wanted_slots(state: State, group: str) -> list[str]:
    """The slots of a group that should run. When a worker is wanted on each agent, they are those that have one, and
    one more for the next agent.
    """
    group = str(group)
    if state.wanted.count(group) is not None:
        surplus = _still_needed(state) if group == Kind.MASTER else []
        return [*(f"{group}-{index}" for index in state.wanted.indices(group)), *surplus]
    indices = sorted(record.index for record in state.records.values() if record.group == group)
    return [f"{group}-{index}" for index in (*indices, next(free_indices(indices)))]


def all_wanted_slots(state: State, kind: Kind) -> list[str]:
    """Those of all groups of a kind, but for the one more on the next agent."""
    found: list[str] = []
    for group in state.wanted.groups_of(kind):
        slots = wanted_slots(state, group)
        found.extend(slots if state.wanted.count(group) is not None else slots[:-1])
    return found


def _still_needed(state: State) -> list[str]:
    """Masters that are wanted no more, and without which the quorum may be unable to let them go: while it has no
    leader, they come back to their journals.
    """
    if state.wanted.journal is not Journal.EMBEDDED or state.cache.primary is not None:
        return []
    return [record.slot for record in masters(state) if record.index >= state.wanted.masters]


def is_wanted(state: State, record: Record) -> bool:
    return state.wanted.includes(record.group, record.index)


def is_current(state: State, record: Record) -> bool:
    """Whether it was launched with the configuration that is wanted."""
    return record.configuration == state.wanted.configuration_of(record.group)


def is_asked_for(state: State, kind: Kind) -> bool:
    """Any task of this kind is wanted."""
    return any(state.wanted.count(group) != 0 for group in state.wanted.groups_of(kind))


def plan_of(state: State, slot: str) -> str:
    """The plan that launches it."""
    record = state.records.get(slot)
    return RECOVERY if record is not None and record.deployed else DEPLOY


def is_leaving(state: State, record: Record) -> bool:
    """A worker that is wanted no more and still runs: its cache is emptied before it ends (C30). What was never ready
    holds nothing.
    """
    report = current_report(state, record)
    return (
        record.kind is Kind.WORKER
        and (record.deployed or is_ready(state, record))
        and not is_wanted(state, record)
        and report is not None
        and LIFE[report.state] is Life.ACTIVE
    )


def leaves_in(state: State, record: Record, now: float) -> float | None:
    """Seconds until a leaving worker may be killed; None while nobody can tell."""
    drain = state.drains.get(record.task_id)
    if drain is None or drain.step is not DrainStep.DECOMMISSIONED:
        return None
    return max(0.0, drain.since + state.policy.drain - now)


def member_addresses(record: Record) -> list[str]:
    return [f"{record.hostname}:{record.ports[port]}" for port in MEMBER_PORTS if port in record.ports]


def is_member(state: State, record: Record) -> bool:
    """Whether the quorum counts this master, as far as anyone can tell: it must leave the quorum before it ends."""
    if record.kind is not Kind.MASTER or state.wanted.journal is not Journal.EMBEDDED:
        return False
    members = {member.address for member in state.cache.members}
    only_jobs = bool(members) and all(member.job for member in state.cache.members)  # its own did not answer
    return state.cache.primary is None or only_jobs or any(address in members for address in member_addresses(record))


def free_indices(indices: Iterable[int]) -> Iterator[int]:
    """The indices that are not used, the smallest first, without end."""
    used = frozenset(indices)
    return (index for index in itertools.count() if index not in used)


def masters(state: State) -> list[Record]:
    """The records of Alluxio's masters, by their index."""
    found = [record for record in state.records.values() if record.kind is Kind.MASTER]
    return sorted(found, key=lambda record: record.index)


def master_addresses(state: State) -> tuple[str, ...]:
    """The RPC addresses ("host:port") of Alluxio's masters, by their index."""
    return tuple(master_address(record) for record in masters(state))


def master_address(record: Record) -> str:
    return f"{record.hostname}:{record.ports['rpc']}"


def is_primary(state: State, record: Record) -> bool:
    return record.kind is Kind.MASTER and master_address(record) == state.cache.primary


def answers_now(state: State, record: Record) -> bool:
    return is_ready(state, record) and is_fresh(state, record)


def gate(state: State, kind: Kind) -> str:
    """Why nothing of this kind is launched yet; "" when it may be (C28)."""
    if kind is Kind.MASTER:
        return ""
    known = masters(state)
    if not any(answers_now(state, record) for record in known):
        return "no Alluxio master is ready yet"
    if state.wanted.masters > 1 and state.cache.primary is None:
        return "no Alluxio master is the primary yet"
    if state.wanted.journal is Journal.EMBEDDED and not all(
        slot in state.records and state.records[slot].deployed for slot in wanted_slots(state, Kind.MASTER)
    ):
        return "not every Alluxio master has joined yet, and each must know all of them"
    return ""


def join_gate(state: State, slot: str) -> str:
    """Why this master may not be launched where its journal is not; "" when it may be.

    A shared journal is formatted by one master, and the others follow. A member of the embedded journal joins those
    that are there: one at a time, and only while most of them answer, as they must agree to it. So no quorum is ever
    lost by a replacement, nor a second one begun beside it.
    """
    others = [record for record in masters(state) if record.slot != slot]
    formatted = [record for record in others if record.formatted]
    match state.wanted.journal:
        case Journal.LOCAL:
            return ""
        case Journal.SHARED:
            own = state.records.get(slot)
            if formatted or (own is not None and own.formatted) or slot == FIRST_MASTER:
                return ""
            return f"{FIRST_MASTER} formats the shared journal first"
        case Journal.EMBEDDED:
            if not formatted:
                # Nobody has a journal yet. Whoever had one comes back to it and never joins anew.
                own = state.records.get(slot)
                first = slot == FIRST_MASTER and (own is None or not own.formatted)
                return "" if first else f"{FIRST_MASTER} begins the journal first"
            joining = next((record for record in others if not record.formatted), None)
            if joining is not None:
                return f"{joining.slot} joins first"
            ready = [record for record in formatted if answers_now(state, record)]
            own = state.records.get(slot)
            members = len(formatted) + (own is not None and own.formatted)  # it is still counted where it was
            if state.cache.primary is None or len(ready) <= members // 2:
                return f"{len(ready)} of {members} members answer, and most of them must agree to a new one"
            # The quorum itself may count others: one that was wanted no more for a while has still to join again.
            counted = {member.address for member in state.cache.members if not member.job}
            agreeing = sum(not counted.isdisjoint(member_addresses(record)) for record in ready)
            if counted and agreeing <= len(counted) // 2:
                return f"{agreeing} of the quorum's {len(counted)} members answer, and most of them must agree"
            return ""


def homes(state: State, now: float) -> dict[tuple[Kind, str], str]:
    """The slot that each agent belongs to, by kind and hostname: the one that runs there, else the one that may run,
    else the one that waits for it. The lowest index comes first, and of equal ones the default group's.
    """
    there: dict[tuple[Kind, str], str] = {}
    waiting: list[Record] = []

    def order(record: Record) -> tuple[bool, int, str]:
        report = current_report(state, record)
        return report is None or LIFE[report.state] is not Life.ACTIVE, record.index, record.group

    for record in sorted(state.records.values(), key=order):
        down = down_since(state, record, now)
        if down is None:
            there.setdefault((record.kind, record.hostname), record.slot)
        elif is_sticky(state, record, down, now):
            waiting.append(record)
    for record in waiting:
        there.setdefault((record.kind, record.hostname), record.slot)
    return there


def openings(state: State, now: float) -> list[Opening]:
    """What offers are wanted for, in the order of deployment."""
    belongs = homes(state, now)
    found: list[Opening] = []
    for kind in Kind:
        if kind not in state.wanted.needs or gate(state, kind):
            continue
        for slot in (slot for group in state.wanted.groups_of(kind) for slot in wanted_slots(state, group)):
            if now >= launch_after(state, slot) and plan_of(state, slot) not in state.wanted.paused:
                opening = _opening(state, kind, slot, belongs, now)
                if opening is not None and not (opening.joins and join_gate(state, slot)):
                    found.append(opening)
                    if opening.joins and state.wanted.journal is Journal.EMBEDDED:
                        break  # one new member at a time
    return found


def _opening(
    state: State, kind: Kind, slot: str, belongs: Mapping[tuple[Kind, str], str], now: float
) -> Opening | None:
    counted = state.wanted.count(group_of(slot)) is not None
    record = state.records.get(slot)
    if record is None:
        return Opening(kind, slot, further=not counted)
    if down_since(state, record, now) is None:
        return None
    if belongs.get((kind, record.hostname)) == slot:
        return Opening(kind, slot, record.hostname)
    return Opening(kind, slot) if counted else None  # what nobody counts is forgotten once its agent is given up
