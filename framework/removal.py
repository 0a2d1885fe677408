"""The end of the service for good: its tasks are ended, what it reserved is given back, Mesos forgets the framework,
and its state is erased. Pure, and by levels: each step is looked for in the facts, so that a scheduler that is killed
at any moment is followed by one that goes on.

Nothing is launched any more. The records stay until the very end: they say where something may be left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator, Set
from typing import Final

from framework import volumes
from framework.messages import Decline, Discard, Effect, Erase, GiveBack, Keep, Kill, Revive, Shutdown, Teardown
from framework.model import LIFE, Life, Offer, Record, Report
from framework.state import State, current_report, down_since, off_record

UNDER_WAY = "the service is being uninstalled; nothing can be changed any more"


def effects(state: State, now: float) -> Iterator[Effect]:
    """What to do while Mesos hears us."""
    alive = list(running(state))
    for report, record in alive:
        yield from _end(state, report, record, now)
    ended = not alive and all(is_over(state, record, now) for record in state.records.values())
    holders = [record for record in state.records.values() if record.volumes]
    on_record = {volume.persistence_id for record in holders for volume in record.volumes}
    awaited = {record.agent_id for record in holders}
    shown: dict[str, set[str]] = {}  # what the offers of each agent hold, by its name: it may have a new id
    for offer in state.offers.values():
        yield _answer(state, offer, on_record, now, soon=not ended or offer.agent_id in awaited)
        shown.setdefault(offer.hostname, set()).update(holding.persistence_id for holding in offer.holdings)
    if not ended:
        return
    for record in holders:
        if record.hostname in shown and _is_given_back(state, record, shown[record.hostname], now):
            yield Keep(dataclasses.replace(record, volumes=()), "its volumes are given back")
    if any(not is_left(state, record, now) for record in holders) or _looks_around(state, now):
        unheard = now - max(state.revived_at, state.offered_at) >= state.policy.revive_again
        if state.suppressed or unheard:
            yield Revive(())
    elif (asked := state.teardown) is None or now - asked.at >= state.policy.kill_again:
        yield Teardown(state.framework_id)


def is_settled(state: State) -> bool:
    """Mesos holds nothing of this service: it never did, or it says so."""
    return state.removed or not (state.kept_framework_id or state.framework_id)


def erased(state: State) -> Erase:
    return Erase("Mesos has forgotten the framework" if state.removed else "Mesos never heard of this service")


def running(state: State) -> Iterator[tuple[Report, Record | None]]:
    for record in state.records.values():
        report = current_report(state, record)
        if report is not None and LIFE[report.state] is Life.ACTIVE:
            yield report, record
    for _, report in off_record(state):
        if LIFE[report.state] is Life.ACTIVE:
            yield report, None


def _end(state: State, report: Report, record: Record | None, now: float) -> Iterator[Effect]:
    """Its executor is told first to leave no folder behind: the memory tier of a whole agent may lie there."""
    asked = state.kills.get(report.task_id)
    if asked is not None and now - asked.at < state.policy.kill_again:
        return
    if asked is not None and asked.times >= state.policy.kills_before_shutdown:
        yield Shutdown(report.task_id, report.agent_id, asked.times)
        return
    if record is not None:
        yield Discard(record)
    yield Kill(report.task_id, report.agent_id, "the service is uninstalled")


def is_over(state: State, record: Record, now: float) -> bool:
    """It has ended, or nobody can tell when it does: an agent that comes back after the framework's end ends it."""
    report = current_report(state, record)
    if report is not None and LIFE[report.state] is Life.LIMBO:
        return True
    return down_since(state, record, now) is not None


def _answer(state: State, offer: Offer, on_record: Container[str], now: float, *, soon: bool) -> Decline | GiveBack:
    # What an earlier framework id made is this service's only if a record says so.
    held = [holding for holding in offer.holdings if holding.own or holding.persistence_id in on_record]
    if due := volumes.due(state, offer, held, now):
        return GiveBack(offer, due)  # what is offered is in no task's use, whatever still runs elsewhere
    seconds = state.policy.decline_short if held or soon else state.policy.decline_long
    return Decline(offer, seconds, "the service is being uninstalled")


LOOK_AROUND: Final = 20.0  # seconds in which each agent that is there has been offered to a new subscription
# Seconds from which on an offer of an agent shows all that the agent holds: what was declined before is offered again.
SETTLED: Final = 7.0


def _is_given_back(state: State, record: Record, shown: Set[str], now: float) -> bool:
    """The offers of its agent, made long enough after the end of the task and after the last try to give them back, do
    not show them.
    """
    report = current_report(state, record)
    names = [volume.persistence_id for volume in record.volumes]
    if report is None or state.offered_at - report.at < SETTLED or volumes.are_settling(state, names, now):
        return False
    return shown.isdisjoint(names)


def is_left(state: State, record: Record, now: float) -> bool:
    """Its agent was silent for so long that nobody waits for it any more."""
    down = down_since(state, record, now)
    since = max(state.subscribed_at, down if down is not None else 0.0)
    return now - since >= state.policy.give_back_patience


def _looks_around(state: State, now: float) -> bool:
    """Volumes that no record names any more may still be offered, and what was given back a moment ago may return."""
    had = any(entry.options.get("persistent-volumes") == "yes" for entry in state.history)
    began = max(state.subscribed_at, state.ended_at)
    since = now - began
    unseen = since < LOOK_AROUND or (state.offered_at < began and since < state.policy.look_around)
    return (had and unseen) or volumes.is_settling(state, now)
