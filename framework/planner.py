"""The decisions: ``evolve`` folds events into the state, ``decide`` says what to do about the state at a moment. Both
are pure.

``decide`` looks at levels, never at edges: it does not learn which event came last. An effect that gets lost on its way
is asked for again, paced by ``now``, until the facts change. Nothing here opens, logs, or reads a clock, and nothing is
random.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, assert_never

from framework import mounting, placement, removal, volumes
from framework.matching import answers
from framework.memory import after, following
from framework.messages import (
    Acknowledge,
    AcknowledgeOperation,
    CacheSeen,
    Decided,
    Decline,
    Disconnected,
    DrainsSeen,
    Effect,
    Erase,
    Event,
    Failed,
    Forget,
    GiveBack,
    Keep,
    KeepFrameworkId,
    KeepPaths,
    KeepUninstalling,
    KeepWanted,
    Kill,
    Launch,
    MountAnswered,
    Offered,
    OperationUpdated,
    PathsWished,
    Reconcile,
    RemoveMember,
    Rescinded,
    RestartAsked,
    Revive,
    Shutdown,
    Stop,
    Subscribed,
    Suppress,
    Teardown,
    Uninstalled,
    Updated,
    Wished,
)
from framework.model import (
    LIFE,
    ExitCode,
    Failure,
    Journal,
    Kind,
    Life,
    Policy,
    Record,
    Refusal,
    Report,
    TaskState,
    Wanted,
    group_of,
    parse_task_id,
    plural,
)
from framework.state import (
    DECOMMISSION,
    UPDATE,
    Opening,
    State,
    Wish,
    answers_now,
    current_report,
    down_since,
    gate,
    growing,
    homes,
    is_current,
    is_leaving,
    is_member,
    is_primary,
    is_ready,
    is_sticky,
    is_wanted,
    kept_of,
    launch_after,
    leaves_in,
    master_addresses,
    masters,
    member_addresses,
    off_record,
    once_more,
    openings,
    registered_workers,
    remembering,
    wanted_slots,
)

__all__ = [
    "Policy",
    "State",
    "current_report",
    "decide",
    "down_since",
    "evolve",
    "gate",
    "launch_after",
    "registered_workers",
    "wanted_slots",
]

Value = TypeVar("Value")

# Events into state ----------------------------------------------------------------------------------------------------


def evolve(state: State, event: Event) -> State:
    match event:
        case Subscribed():
            return _subscribed(state, event)
        case Disconnected():
            return dataclasses.replace(state, connected=False, trouble=event.reason, offers={}, questions={}, kills={})
        case Offered():
            return _offered(state, event)
        case Rescinded():
            return dataclasses.replace(state, offers=_without(state.offers, (event.offer_id,)))
        case Updated():
            return _updated(state, event)
        case OperationUpdated():
            return _operation_updated(state, event)
        case Failed():
            if state.uninstalls and event.exit_code == ExitCode.REMOVED:
                return dataclasses.replace(state, connected=False, trouble="", offers={}, removed=True)
            reason = _what_to_do(state, event)
            return dataclasses.replace(state, connected=False, trouble=reason, stop=Stop(event.exit_code, reason))
        case CacheSeen():
            return mounting.settled(dataclasses.replace(state, cache=event.report))
        case DrainsSeen():
            return dataclasses.replace(state, drains={drain.task_id: drain for drain in event.drains})
        case Wished():
            return dataclasses.replace(state, wish=event)
        case PathsWished():
            return dataclasses.replace(state, paths_wish=event)
        case RestartAsked():
            return dataclasses.replace(state, restarts=state.restarts | {event.task_id})
        case MountAnswered():
            return dataclasses.replace(state, mount_calls=mounting.answered(state.mount_calls, event))
        case Uninstalled():
            return dataclasses.replace(state, uninstalled=True)
        case Decided():
            return _decided(state, event)
    assert_never(event)


def _what_to_do(state: State, event: Failed) -> str:
    """A framework that was removed comes back on somebody's word alone, as it might be somebody's wish that it went."""
    if event.exit_code != ExitCode.REMOVED or not state.kept_framework_id:
        return event.reason
    return (
        f"{event.reason}: Mesos has ended every task of framework {state.kept_framework_id}, and never takes this id "
        f"again; to begin a new framework with the same journal and the same data, run "
        f"`alluxio-mesos state forget-framework {state.kept_framework_id}`"
    )


def _without(mapping: Mapping[str, Value], keys: Iterable[str]) -> Mapping[str, Value]:
    gone = set(keys)
    return {key: value for key, value in mapping.items() if key not in gone} if gone else mapping


def _subscribed(state: State, event: Subscribed) -> State:
    if state.kept_framework_id and state.kept_framework_id != event.framework_id:
        reason = (
            f"Mesos answered with framework id {event.framework_id}, "
            f"but the records belong to {state.kept_framework_id}"
        )
        return dataclasses.replace(state, stop=Stop(ExitCode.REMOVED, reason))
    fresh = dataclasses.replace(
        state,
        framework_id=event.framework_id,
        master=event.master,
        connected=True,
        trouble="",
        subscribed_at=event.at,
        region=event.region,
        offers={},
        shown={},
        questions={},
        kills={},
        asked_all_at=0.0,
        suppressed=False,
        revived_at=event.at,
    )
    # A new subscription has no filters: what can be launched now needs no REVIVE.
    return dataclasses.replace(fresh, revived_for=_wishes(fresh, event.at))


def _wishes(state: State, now: float) -> frozenset[Wish]:
    return frozenset(opening.wish for opening in openings(state, now))


def _offered(state: State, event: Offered) -> State:
    offers = {**state.offers, **{offer.id: offer for offer in event.offers}}
    ours = {record.agent_id for record in state.records.values()}
    shown = {offer.agent_id: event.at for offer in event.offers if offer.agent_id in ours}
    # An offer that comes all the same shows that the call to suppress offers did not arrive: it is made again.
    return dataclasses.replace(
        state, offers=offers, offered_at=event.at, shown={**shown, **state.shown}, suppressed=False
    )


def _updated(state: State, event: Updated) -> State:
    report = event.report
    task_id, terminal = report.task_id, LIFE[report.state] is Life.TERMINAL
    state = _to_acknowledge(state, event)
    slot = task_id.rpartition(".")[0]
    if terminal and state.uninstalls:
        state = dataclasses.replace(state, ended_at=report.at)
    if terminal and not _is_current(state, slot, task_id):
        return dataclasses.replace(
            state, reports=_without(state.reports, (task_id,)), kills=_without(state.kills, (task_id,))
        )
    before = state.reports.get(task_id)
    if before and LIFE[before.state] is Life.TERMINAL and (terminal or before.state is not TaskState.UNKNOWN):
        if before.state is TaskState.UNKNOWN:  # now it is certain
            ended = dataclasses.replace(before, state=report.state)
            return dataclasses.replace(state, reports={**state.reports, task_id: ended})
        return state  # the same end told again, or word that the end overtook; only the unknown may yet live
    if before and (before.state, before.healthy) == (report.state, report.healthy):
        report = dataclasses.replace(report, since=before.since, message=report.message or before.message)
    if terminal:
        state = _failed(state, slot, report, before)
    return dataclasses.replace(state, reports={**state.reports, task_id: report})


def _operation_updated(state: State, event: OperationUpdated) -> State:
    """It is acknowledged and said in the log: whether a volume came to be is seen in its task and in offers."""
    acknowledge = AcknowledgeOperation(event.operation_id, event.agent_id, event.uuid)
    if not event.uuid or acknowledge in state.acknowledgements:
        return state
    return dataclasses.replace(state, acknowledgements=(*state.acknowledgements, acknowledge))


def _to_acknowledge(state: State, event: Updated) -> State:
    task_id = event.report.task_id
    state = dataclasses.replace(state, questions=_without(state.questions, (task_id,)))
    acknowledge = Acknowledge(task_id, event.report.agent_id, event.uuid)
    if not event.uuid or acknowledge in state.acknowledgements:
        return state
    return dataclasses.replace(state, acknowledgements=(*state.acknowledgements, acknowledge))


def _is_current(state: State, slot: str, task_id: str) -> bool:
    record = state.records.get(slot)
    return record is not None and record.task_id == task_id


def _failed(state: State, slot: str, report: Report, before: Report | None) -> State:
    """A killed task did what it was told, which is no failure; every other end counts, and a task that was ready for
    long starts a new count.
    """
    state = dataclasses.replace(state, kills=_without(state.kills, (report.task_id,)))
    stable = before is not None and before.healthy and report.at - before.since >= state.policy.stable_after
    known = None if stable else state.failures.get(slot)
    if report.state is TaskState.KILLED:
        failure = dataclasses.replace(known, at=report.at) if known is not None else None
    else:
        reason = "; ".join(part for part in (report.message, report.reason) if part) or report.state.value
        failure = Failure(known.count + 1 if known is not None else 1, report.at, reason)
    others = _without(state.failures, (slot,))
    return dataclasses.replace(state, failures=others if failure is None else {**others, slot: failure})


def _decided(state: State, event: Decided) -> State:
    state = _flowed(state, event)  # looks at what was wanted before the launches
    state = _remembered(state, event)
    state = _answered(state, event)
    return _asked(state, event)


def _flowed(state: State, event: Decided) -> State:
    for effect in event.effects:
        match effect:
            case Suppress():
                state = dataclasses.replace(state, suppressed=True, revived_for=frozenset())
            case Revive():
                wishes = _wishes(state, event.at)
                state = dataclasses.replace(state, suppressed=False, revived_at=event.at, revived_for=wishes)
            case _:
                pass
    return state


def _remembered(state: State, event: Decided) -> State:
    if any(isinstance(effect, Erase) for effect in event.effects):
        return dataclasses.replace(state, erased=True)  # what is in memory tells what was done
    before = kept_of(state)
    kept = after(before, event.effects)
    if kept is before:
        return state
    gone = {record.task_id for record in before.records.values()} - {record.task_id for record in kept.records.values()}
    # A copy that may still live is not forgotten before it has ended: its report stays, so that it is killed when it
    # shows up again.
    ended = {task for task in gone if task in state.reports and LIFE[state.reports[task].state] is Life.TERMINAL}
    launches = [effect for effect in event.effects if isinstance(effect, Launch)]
    launched = {record.slot for effect in launches for record in effect.records}
    shown = {effect.offer.agent_id: event.at for effect in launches}
    state = _wanted_from_now_on(state, event)
    return dataclasses.replace(
        remembering(state, kept),
        paths_wish=None if any(isinstance(effect, KeepPaths) for effect in event.effects) else state.paths_wish,
        restarts=state.restarts - gone,
        reports=_without(state.reports, ended),
        kills=_without(state.kills, ended),
        questions=_without(state.questions, gone),
        failures=_without(state.failures, _no_longer_counted(state, event.effects)),
        shown={**shown, **state.shown} if shown else state.shown,
        orphans=volumes.orphans(state, kept.records, event.at),
        revived_for=_still_asked_for(state, launched, event.effects),
    )


def _still_asked_for(state: State, launched: Collection[str], effects: Iterable[Effect]) -> frozenset[Wish]:
    """When a launched slot fails, it is a new wish; an agent that a slot has given up may take another one; and so may
    one that was refused for the sake of an even spread, now that another value has one more.
    """
    forgotten = any(isinstance(effect, Forget) for effect in effects)
    wanted = state.wanted
    spread = {group for group in map(group_of, launched) if placement.spreads(wanted.placement(group))}
    return frozenset(
        wish
        for wish in state.revived_for
        if wish.slot not in launched and (wish.home or not (forgotten or wish.group in spread))
    )


def _wanted_from_now_on(state: State, event: Decided) -> State:
    for effect in event.effects:
        if isinstance(effect, KeepWanted):
            entry, wish = effect.entry, state.wish
            wanted, policy = state.wanted, state.policy
            if wish is not None and wish.entry is entry:
                wanted, policy = wish.wanted or wanted, wish.policy or policy
            wanted = following(wanted, entry)
            left = None if wish is not None and wish.entry.number <= entry.number else wish
            # Agents that were of no use may be now.
            asked_for = state.revived_for if _asks_the_same(state.wanted, wanted) else frozenset()
            state = dataclasses.replace(state, wanted=wanted, policy=policy, wish=left, revived_for=asked_for)
    return state


def _asks_the_same(before: Wanted, after: Wanted) -> bool:
    """Of the agents."""
    return (before.needs, before.groups, before.placements) == (after.needs, after.groups, after.placements)


def _no_longer_counted(state: State, effects: Sequence[Effect]) -> list[str]:
    """The slots whose failures are forgotten with them: where a worker is wanted on each agent, the next one takes the
    slot at once, and would fail as fast.
    """
    return [
        effect.slot
        for effect in effects
        if isinstance(effect, Forget) and state.wanted.count(group_of(effect.slot)) is not None
    ]


def _answered(state: State, event: Decided) -> State:
    declined = [effect for effect in event.effects if isinstance(effect, Decline)]
    answered = [effect.offer.id for effect in event.effects if isinstance(effect, Decline | Launch | GiveBack)]
    acknowledged = {effect for effect in event.effects if isinstance(effect, Acknowledge | AcknowledgeOperation)}
    given_back = [effect for effect in event.effects if isinstance(effect, GiveBack)]
    gone = [holding.persistence_id for effect in given_back for holding in effect.holdings]
    return dataclasses.replace(
        state,
        offers=_without(state.offers, answered),
        orphans=_without(state.orphans, gone),
        given_back=volumes.given_back(state, given_back, event.at),
        refusals=_kept_refusals(state, declined, event.at),
        acknowledgements=tuple(entry for entry in state.acknowledgements if entry not in acknowledged),
    )


def _kept_refusals(state: State, declined: Sequence[Decline], at: float) -> tuple[Refusal, ...]:
    keep = state.policy.kept_refusals
    fresh = tuple(
        Refusal(
            effect.offer.agent_id,
            effect.offer.hostname,
            f"{effect.slot}: {effect.reason}" if effect.slot else effect.reason,
            at,
        )
        for effect in declined[-keep:]
    )
    return (*state.refusals, *fresh)[-keep:]


def _asked(state: State, event: Decided) -> State:
    at, asked_all_at = event.at, state.asked_all_at
    questions, kills, removals = dict(state.questions), dict(state.kills), dict(state.removals)
    for effect in event.effects:
        match effect:
            case Reconcile():
                asked_all_at = asked_all_at if effect.tasks else at
                questions.update((task_id, once_more(questions.get(task_id), at)) for task_id, _ in effect.tasks)
            case Kill() | Shutdown():
                kills[effect.task_id] = once_more(kills.get(effect.task_id), at)
            case Teardown():
                state = dataclasses.replace(state, teardown=once_more(state.teardown, at))
            case RemoveMember():
                removals[effect.address] = once_more(removals.get(effect.address), at)
            case _:
                pass
    return mounting.settled(
        dataclasses.replace(
            state,
            questions=questions,
            kills=kills,
            removals=removals,
            asked_all_at=asked_all_at,
            mount_calls=mounting.asked(state.mount_calls, event.effects, at),
        )
    )


# State into effects ---------------------------------------------------------------------------------------------------


def decide(state: State, now: float) -> tuple[Effect, ...]:
    if state.stop is not None:
        return (state.stop,)
    if state.uninstalls:
        return _uninstalled(state, now)
    if state.wish is not None:
        return (KeepWanted(state.wish.entry),)  # it holds from the moment when it is written; the rest follows at once
    if state.paths_wish is not None:
        return (KeepPaths(state.paths_wish.paths),)
    if not state.connected:
        return ()
    if state.framework_id != state.kept_framework_id:
        return (KeepFrameworkId(state.framework_id),)  # before anything else (C1); the rest follows at once
    learned = tuple(_learned(state))
    if learned:  # counts in this very round, and is written with its launches
        state = dataclasses.replace(
            state, records={**state.records, **{keep.record.slot: keep.record for keep in learned}}
        )
    waiting = openings(state, now)
    answered = tuple(answers(state, waiting, now))
    launched = {record.slot for answer in answered if isinstance(answer, Launch) for record in answer.records}
    still_waiting = [opening for opening in waiting if opening.further or opening.slot not in launched]
    return (
        *learned,
        *_bookkeeping(state, now),
        *state.acknowledgements,
        *_questions(state, now),
        *_kills(state, now),
        *_removals(state, now),
        *mounting.steps(state, now),
        *answered,
        *_flow(state, still_waiting, now),
    )


def _uninstalled(state: State, now: float) -> tuple[Effect, ...]:
    if state.erased:
        return ()
    if removal.is_settled(state):
        return (removal.erased(state),)
    if not state.uninstalling:
        return (KeepUninstalling(),)  # before anything else; the rest follows at once
    if not state.connected:
        return ()
    return (*state.acknowledgements, *_questions(state, now), *removal.effects(state, now))


def _learned(state: State) -> Iterator[Keep]:
    """What an offer says of the agent of a task, where the record has something else: an earlier release wrote it, or
    the agent's attributes were changed since.
    """
    if not state.offers:
        return
    said = {offer.agent_id: offer.attributes for offer in state.offers.values()}
    for record in state.records.values():
        attributes = said.get(record.agent_id)
        if attributes is not None and attributes != record.attributes:
            told = ", ".join(f"{name} {value}" for name, value in attributes.items()) or "none"
            yield Keep(
                dataclasses.replace(record, attributes=attributes), f"the attributes of its agent are known: {told}"
            )


def _bookkeeping(state: State, now: float) -> Iterator[Effect]:
    for record in state.records.values():
        if record.volumes and is_ready(state, record) and (marked := volumes.in_use(record)) is not record:
            record = marked  # noqa: PLW2901  # what follows is kept with it
            yield Keep(
                record, "its volumes hold cached blocks from now on; it waits for them when it is launched again"
            )
        unmarked = not record.deployed or (record.kind is Kind.MASTER and not record.formatted)
        if unmarked and is_ready(state, record):
            yield _kept_as_deployed(record)
        down = down_since(state, record, now)
        if down is None:
            continue
        count = state.wanted.count(record.group)
        if not is_wanted(state, record):
            if is_member(state, record):
                continue  # it comes back, or is taken out of the quorum, first
            yield Forget(record.slot, record.attempt, "it is no longer wanted and nothing of it runs")
        elif count is None and not is_sticky(state, record, down, now):
            why = f"agent {record.hostname} did not take it back for {state.policy.stickiness:g} s"
            yield Forget(record.slot, record.attempt, why)


def _kept_as_deployed(record: Record) -> Keep:
    if record.kind is Kind.MASTER and not record.formatted:
        why = "its journal is in use from now on and will not be formatted again"
        return Keep(dataclasses.replace(record, formatted=True, deployed=True), why)
    return Keep(dataclasses.replace(record, deployed=True), "deployed")


def _questions(state: State, now: float) -> Iterator[Effect]:
    """Explicit reconciliation of every task without news, with growing pauses; then all at once now and then (C24).

    A task has news when this subscription has told of it, and again after each time that everything was asked for: what
    Mesos then leaves out is asked for by name, and its answer ends a copy that only our memory keeps alive.
    """
    heard_after = state.subscribed_at
    if now - state.asked_all_at >= state.policy.first_answer:
        heard_after = max(heard_after, state.asked_all_at)
    unheard = [task for task in _tasks_that_may_live(state, now) if not _is_heard(state, task[0], heard_after)]
    due = []
    for task_id, agent_id in unheard:
        asked = state.questions.get(task_id)
        pause = growing(1.0, asked.times, state.policy.ask_again) if asked is not None else 0.0
        if asked is None or asked.at < state.shown.get(agent_id, 0.0) or now - asked.at >= pause:
            due.append((task_id, agent_id))
    if due:
        yield Reconcile(tuple(due))
    elif not unheard and now - state.asked_all_at >= state.policy.ask_all:
        yield Reconcile(())


def _tasks_that_may_live(state: State, now: float) -> Iterator[tuple[str, str]]:
    """(task id, agent id) of the recorded tasks, but for launches so young that silence means nothing, and of
    those that an unreachable agent may bring back although another took their place, or that have still to leave the
    quorum.
    """
    for record in state.records.values():
        if record.launched_at < state.subscribed_at or now - record.launched_at >= state.policy.first_answer:
            yield record.task_id, record.agent_id
    for task_id, report in off_record(state):
        if LIFE[report.state] is Life.LIMBO or _is_held(state, task_id):
            yield task_id, report.agent_id


def _is_heard(state: State, task_id: str, heard_after: float) -> bool:
    report = state.reports.get(task_id)
    return report is not None and (report.at >= heard_after or LIFE[report.state] is Life.TERMINAL)


def _kills(state: State, now: float) -> Iterator[Effect]:
    """A kill is repeated until the task has ended; one that never works ends the executor (C25)."""
    belongs, left_out = homes(state, now), _left_out(state)
    outdated, returning = _outdated(state, belongs, now), _returning(state, now)
    rolling = _rolling(state, belongs, returning, now) if not outdated else frozenset[str]()
    for task_id, report in state.reports.items():
        if LIFE[report.state] is not Life.ACTIVE:
            continue
        reason = _unwanted(state, task_id, belongs, now)
        if not reason and task_id in state.restarts and _is_to_come_back(state, task_id):
            reason = "somebody asked for its restart; it comes back at once with what it holds"
        if not reason and task_id in returning:
            reason = "it was decommissioned and is wanted again; it comes back at once with its cached blocks"
        if not reason and task_id == outdated:
            reason = "it knows Alluxio masters that are no longer these; it comes back at once with its cached blocks"
        if not reason and task_id in rolling:
            reason = "it was launched with another configuration than is wanted; it comes back at once with that"
        if not reason and task_id == left_out:
            reason = "the quorum does not count it any more; it joins again when it starts"
        asked = state.kills.get(task_id)
        if not reason or (asked is not None and now - asked.at < state.policy.kill_again):
            continue
        if asked is not None and asked.times >= state.policy.kills_before_shutdown:
            yield Shutdown(task_id, report.agent_id, asked.times)
        else:
            yield Kill(task_id, report.agent_id, reason)


def _is_to_come_back(state: State, task_id: str) -> bool:
    record = state.records.get(task_id.rpartition(".")[0])
    return record is not None and record.task_id == task_id and is_wanted(state, record)


def _returning(state: State, now: float) -> frozenset[str]:
    """The workers that Alluxio was told to do without, and that are wanted: it takes them back when they start anew."""
    told = {(worker.host, worker.rpc_port) for worker in state.cache.workers if worker.decommissioned}
    if not told:
        return frozenset()
    found = set()
    for record in state.records.values():
        report = current_report(state, record)
        if record.kind is not Kind.WORKER or report is None or (record.hostname, record.ports.get("rpc")) not in told:
            continue
        # A worker that has just come back is listed as it was until it has registered.
        settled = report.healthy and min(now, state.cache.at) - report.since >= state.policy.kill_again
        if is_wanted(state, record) and settled:
            found.add(record.task_id)
    return frozenset(found)


def _unwanted(state: State, task_id: str, belongs: Mapping[tuple[Kind, str], str], now: float) -> str:
    """Why this task must not run; "" when it may."""
    identity = parse_task_id(task_id)
    if identity is None:
        return "this framework never launched it"
    kind, slot, _ = identity
    record = state.records.get(slot)
    if (record is None or record.task_id != task_id) and _is_held(state, task_id):
        return ""
    if record is None:
        return "no record of it is left"
    if record.task_id != task_id:
        return f"{record.task_id} took its place"
    if not is_wanted(state, record) and not is_member(state, record):
        rests = DECOMMISSION in state.wanted.paused and task_id not in state.kills
        if is_leaving(state, record) and (rests or leaves_in(state, record, now) != 0.0):
            return ""
        return f"the number of {plural(record.group)} wanted is {state.wanted.count(record.group)}"
    there = belongs.get((kind, record.hostname), record.slot)
    return f"its agent already has {there}" if there != record.slot else ""


def _removals(state: State, now: float) -> Iterator[Effect]:
    """A master that moved, or is wanted no more, stays in the quorum as a member that never answers. It is taken out
    once every master that is wanted answers, so that no majority hangs on it. One at a time, and those that do not
    answer first: what is left of the quorum has a majority after each.
    """
    if state.cache.primary is None or not state.cache.members:
        return
    wanted = [record for record in masters(state) if record.index < state.wanted.masters]
    there = [record for record in wanted if record.formatted]
    if not there or not all(answers_now(state, record) for record in there):
        return
    if len(there) < state.wanted.masters and not _is_in_the_way(state):
        return
    ours = {address for record in wanted for address in member_addresses(record)}
    for job in (False, True):
        surplus = [member for member in state.cache.members if member.job is job and member.address not in ours]
        if not surplus:
            continue
        member = min(surplus, key=lambda member: member.available)
        asked = state.removals.get(member.address)
        if asked is None or now - asked.at >= state.policy.remove_again:
            yield RemoveMember(member.address, member.job)


def _is_in_the_way(state: State) -> bool:
    """Whether a master that has still to leave the quorum runs, maybe where one that is wanted would go."""
    return any(LIFE[report.state] is Life.ACTIVE and _is_held(state, task_id) for task_id, report in off_record(state))


def _is_held(state: State, task_id: str) -> bool:
    """Whether a master that is on no record may be the member of the quorum that nobody knows: that one is taken out
    before it ends, unless another master belongs on its agent.
    """
    cache, report = state.cache, state.reports[task_id]
    is_master = task_id.startswith(f"{Kind.MASTER.value}-")
    if state.wanted.journal is not Journal.EMBEDDED or not is_master or not report.healthy:
        return False  # one that is not ready has not joined yet
    known = masters(state)
    if any(record.agent_id == report.agent_id for record in known):
        return False
    if cache.at <= report.since:
        return True  # nobody has looked since it turned up
    if cache.primary is None:
        return False  # nobody can be taken out
    ours = {address for record in known for address in member_addresses(record)}
    return any(member.address not in ours for member in cache.members)


def _left_out(state: State) -> str:
    """The master to relaunch because the quorum lost it although it is wanted: it was wanted no more for a while. ""
    for none, and while anything else is amiss. One that just started may be counted in a moment, and the job masters'
    quorum alone tells nothing.
    """
    if state.wanted.journal is not Journal.EMBEDDED or all(member.job for member in state.cache.members):
        return ""
    members = {member.address for member in state.cache.members}
    for record in masters(state):
        report = current_report(state, record)
        seen_since = report is not None and state.cache.at > report.since + state.policy.join
        if seen_since and record.formatted and members.isdisjoint(member_addresses(record)):
            amiss = any(not answers_now(state, other) for other in masters(state))
            return record.task_id if not amiss or record.task_id in state.kills else ""
    return ""


def _rolling(
    state: State, belongs: Mapping[tuple[Kind, str], str], returning: frozenset[str], now: float
) -> frozenset[str]:
    """The tasks to launch again because they run with another configuration: the masters one by one and the primary
    last, then the workers, as many at once as may be away, then the proxies one by one. What never served waits for
    nothing; where what is ended for it does not come to serve again, nothing more is begun. A worker or proxy that has
    lost its agent is not waited for: it takes the new one when there is another agent.
    """
    ids = {group: state.wanted.configuration_of(group) for group in state.wanted.all_groups}
    if all(record.configuration == ids.get(record.group) for record in state.records.values()):
        return frozenset()  # as nearly always
    wanted = [
        record
        for record in state.records.values()
        if is_wanted(state, record) and not _has_lost_its_agent(state, record, belongs, now)
    ]
    for kind in Kind:
        records = [record for record in wanted if record.kind is kind]
        outdated = [record for record in records if not is_current(state, record)]
        away = {record.task_id for record in records if not answers_now(state, record)}
        if not outdated:
            if away:
                return frozenset()
            continue
        begun = {record.task_id for record in outdated if record.task_id in state.kills}
        gone_soon = away | {
            record.task_id
            for record in records
            if record.task_id in state.kills or record.task_id in returning or record.task_id in state.restarts
        }
        if UPDATE in state.wanted.paused:
            return frozenset(begun)
        most = max(1, int(state.policy.unavailable * len(records))) if kind is Kind.WORKER else 1
        serving = sorted(
            (record for record in outdated if record.task_id not in gone_soon),
            key=lambda record: (is_primary(state, record), record.group, record.index),
        )
        begun |= {record.task_id for record in outdated if record.task_id in away and not record.deployed}
        free = max(0, most - len(gone_soon)) if state.cache.primary is not None else 0
        return frozenset(begun | {record.task_id for record in serving[:free]})
    return frozenset()


# How Mesos speaks of a task that was killed, at once and when it is asked later.
_ENDED: Final = frozenset({TaskState.KILLED, TaskState.GONE})


def _has_lost_its_agent(state: State, record: Record, belongs: Mapping[tuple[Kind, str], str], now: float) -> bool:
    """And was waited for as long as that is done; masters are always waited for. What was ended on an agent that is
    there, and that no other has taken, has not: it may be the new configuration that keeps it from coming back.
    """
    down, report = down_since(state, record, now), current_report(state, record)
    if record.kind is Kind.MASTER or down is None or is_sticky(state, record, down, now):
        return False
    is_taken = belongs.get((record.kind, record.hostname), record.slot) != record.slot
    return is_taken or report is None or report.state not in _ENDED


def _outdated(state: State, belongs: Mapping[tuple[Kind, str], str], now: float) -> str:
    """The task to relaunch because a master of the embedded journal has moved since it was told of them (C28); "" for
    none. One after the other, and none while anything else is amiss.
    """
    if state.wanted.journal is not Journal.EMBEDDED:
        return ""
    now_known = master_addresses(state)
    if all(record.masters == now_known for record in state.records.values() if record.kind is not Kind.MASTER):
        return ""  # as nearly always
    there = [record for record in state.records.values() if not _has_lost_its_agent(state, record, belongs, now)]
    outdated = [
        record.task_id
        for record in sorted(there, key=lambda record: (record.kind, record.group, record.index))
        if record.kind is not Kind.MASTER and record.masters != now_known and is_wanted(state, record)
    ]
    begun = next((task_id for task_id in outdated if task_id in state.kills), "")
    if begun or not all(answers_now(state, record) for record in there):
        return begun
    return next(iter(outdated), "")


def _flow(state: State, waiting: Sequence[Opening], now: float) -> Iterator[Effect]:
    """Offers are asked for when there is something to launch, and only then (C15)."""
    if not waiting:
        if volumes.to_give_back(state, now):
            unasked = state.suppressed or any(at > state.revived_at for at in state.orphans.values())
            if unasked and now - state.revived_at >= state.policy.revive_pause:
                yield Revive(())
        elif not state.suppressed:
            yield Suppress()
        return
    policy = state.policy
    unasked = not state.revived_for.issuperset(opening.wish for opening in waiting)
    # An agent that is new is offered unasked: for those, silence means nothing once an offer has shown that Mesos
    # heard.
    silence_counts = state.offered_at < state.revived_at or any(not opening.further for opening in waiting)
    silent = silence_counts and now - max(state.revived_at, state.offered_at) >= policy.revive_again
    paced = now - state.revived_at >= policy.revive_pause
    # A subscription counts as asking, but costs Mesos nothing: after it, the first REVIVE needs no pause.
    at_once = state.suppressed and state.revived_at == state.subscribed_at
    if at_once or ((state.suppressed or unasked or silent) and paced):
        yield Revive(tuple(opening.slot for opening in waiting))
