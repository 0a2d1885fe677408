"""One round over the offers at hand: each is used for what waits, or declined with the reason. Pure.

Whatever an offer is used for is marked at once, so that no slot is launched twice and no agent gets two of a kind,
however many offers a round has (C16).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from framework import offers as fitting
from framework import placement, volumes
from framework.messages import Decline, GiveBack, Launch
from framework.model import LIFE, Journal, Kind, Life, NewVolume, Offer, Record, Resource, parse_task_id
from framework.state import (
    Opening,
    State,
    down_since,
    free_indices,
    gate,
    homes,
    is_member,
    is_wanted,
    join_gate,
    launch_after,
    master_addresses,
    masters,
    off_record,
    untold,
    wanted_slots,
)


def answers(state: State, openings: Sequence[Opening], now: float) -> Iterator[Launch | Decline | GiveBack]:
    """One answer for every offer (C13)."""
    if state.offers:
        matching = _Matching(state, openings, now)
        for offer in matching.in_order():
            yield matching.answer(offer)


class _Matching:
    """It lives for one call of ``answers``."""

    def __init__(self, state: State, openings: Sequence[Opening], now: float) -> None:
        self._state = state
        self._now = now
        self._waiting = len(openings)
        self._held = _held_back(state, now)
        self._belongs = homes(state, now)
        self._ending = _ending(state)
        self._untold = untold(state, now)
        # Two may name one agent: one of them is of a slot that has still to find another.
        self._untold_there = {where: task_id for task_id, where in self._untold.items()}
        self._masters = master_addresses(state)
        self._of_agent: dict[str, list[Record]] = {}  # by hostname
        for record in state.records.values():
            self._of_agent.setdefault(record.hostname, []).append(record)
        self._bound = {(opening.kind, opening.home): opening for opening in openings if opening.home}
        self._free: dict[str, list[Opening]] = {}  # by group, the next one last
        for opening in reversed(openings):
            if not opening.home:
                self._free.setdefault(opening.group, []).append(opening)
        needs = [need for group in state.wanted.all_groups if (need := state.wanted.need(group)) is not None]
        self._fixed_ports = sorted({port for need in needs for _, port in need.fixed_ports})
        # An agent goes to a group with a name first: what the default group takes, no other can have.
        self._groups = {kind: state.wanted.groups_of(kind)[::-1] for kind in Kind}
        # Asked for once, not with each offer.
        groups = {opening.group for opening in openings}
        self._placements = {group: state.wanted.placement(group) for group in groups}
        self._needs = {group: state.wanted.need(group) for group in groups}
        self._censuses = {
            group: placement.Census(group, rules, _whereabouts(state, group, self._belongs, now))
            for group, rules in sorted(self._placements.items())
            if any(map(placement.counts, rules))
        }
        self._later = ""  # why nothing more is launched on further agents
        self._further = {
            opening.group: free_indices(
                [opening.index, *(record.index for record in state.records.values() if record.group == opening.group)]
            )
            for opening in openings
            if opening.further
        }

    def in_order(self) -> Sequence[Offer]:
        offers: Sequence[Offer] = tuple(self._state.offers.values())
        for census in self._censuses.values():
            offers = census.in_order(offers)
        return offers

    def answer(self, offer: Offer) -> Launch | Decline | GiveBack:
        if not (offer.holdings and (left_over := volumes.leftovers(self._state, offer))):
            return self._use(offer)
        if due := volumes.due(self._state, offer, left_over, self._now):
            return GiveBack(offer, due)
        answer = self._use(offer)
        if isinstance(answer, Decline):  # it must come back soon, to be given back again
            return dataclasses.replace(answer, seconds=min(answer.seconds, self._state.policy.decline_short))
        return answer

    def _use(self, offer: Offer) -> Launch | Decline:
        policy = self._state.policy
        if not self._waiting:
            if self._held:
                return Decline(offer, policy.decline_short, self._held)
            return Decline(offer, policy.decline_long, "there is nothing to launch")
        if offer.unavailable_from is not None:
            return Decline(offer, policy.decline_short, "the agent is in maintenance or about to be")
        records: list[Record] = []
        taken: list[tuple[Resource, ...]] = []
        new: list[NewVolume] = []
        refusal: Decline | None = None
        for kind in Kind:
            for opening in self._candidates(kind, offer):
                fit = self._fit(opening, offer, [*taken, tuple(volume.disk for volume in new)])
                if isinstance(fit, Decline):
                    refusal = refusal or fit
                    continue
                taken.append((*fit.taken, *fit.placed.there))
                new.extend(fit.placed.new)
                record = self._record(opening, offer, fit)
                records.append(record)
                self._take(opening, offer)
                if (census := self._censuses.get(opening.group)) is not None:
                    census.put(record)  # counts for the rest of the round
                break  # no agent gets two of a kind
        if records:
            return Launch(offer, tuple(records), tuple(taken), tuple(new))
        if refusal is None and self._later:
            return Decline(offer, policy.decline_short, self._later)
        return refusal or Decline(offer, policy.decline_long, "what is left to launch waits for other agents")

    def _candidates(self, kind: Kind, offer: Offer) -> list[Opening]:
        """The slot that waits for this very agent, else the next one of each group that may go anywhere."""
        bound = self._bound.get((kind, offer.hostname))
        if bound is not None:
            return [bound]
        return [free[-1] for group in self._groups[kind] if (free := self._free.get(group))]

    def _fit(self, opening: Opening, offer: Offer, taken: Sequence[fitting.Resources]) -> fitting.Fit | Decline:
        policy, slot = self._state.policy, opening.slot
        there = self._belongs.get((opening.kind, offer.hostname), slot)
        if there != slot:
            return Decline(offer, policy.decline_long, f"it already has {there}", slot)
        if self._ending and (ending := self._ending.get((opening.kind, offer.agent_id))):
            return Decline(offer, policy.decline_short, f"{ending} has still to end there", slot)
        if self._untold and (silent := self._silent(opening, offer)):
            return Decline(offer, policy.decline_short, f"Mesos is asked first whether {silent} still runs", slot)
        rules = self._placements[opening.group]
        if rules and (refused := placement.refusal(rules, offer, self._censuses.get(opening.group), slot)):
            return Decline(offer, policy.decline_long, refused, slot)
        if self._state.region and (refused := placement.abroad(rules, offer, self._state.region)):
            return Decline(offer, policy.decline_long, refused, slot)
        old = self._state.records.get(slot)
        left = offer.resources
        for resources in taken:
            left = fitting.rest(left, resources) if resources else left
        need = self._needs[opening.group]
        assert need is not None, "what is not wanted has no opening"
        placed = volumes.place(self._state, opening, offer, left, need.volumes)
        if isinstance(placed, str):
            return Decline(offer, policy.decline_long, placed, slot)
        fit = fitting.fit(
            fitting.rest(left, placed.disk) if placed.new else left,
            need,
            old.ports if old is not None and old.hostname == offer.hostname else None,
            # Whoever knows a master by its address finds it there again; a shared journal's leader is looked up.
            same_ports=opening.kind is Kind.MASTER
            and (bool(opening.home) or _comes_home(offer, old))
            and self._state.wanted.journal is not Journal.SHARED,
            others=[
                *self._fixed_ports,
                *(
                    port
                    for record in self._of_agent.get(offer.hostname, ())
                    if record.slot != slot
                    for port in record.ports.values()
                ),
            ],
        )
        if isinstance(fit, str):
            return Decline(offer, policy.decline_long, fit, slot)
        return dataclasses.replace(fit, placed=placed) if placed.volumes else fit

    def _silent(self, opening: Opening, offer: Offer) -> str:
        """The task of this slot, or on this agent, of which an answer is on its way."""
        old = self._state.records.get(opening.slot)
        if old is not None and old.task_id in self._untold:
            return old.task_id
        return self._untold_there.get((opening.kind, offer.agent_id), "")

    def _record(self, opening: Opening, offer: Offer, fit: fitting.Fit) -> Record:
        old = self._state.records.get(opening.slot)
        last = old.attempt if old is not None else self._state.retired.get(opening.slot, 0)
        return Record(
            kind=opening.kind,
            index=opening.index,
            attempt=last + 1,
            agent_id=offer.agent_id,
            hostname=offer.hostname,
            ports=fit.ports,
            configuration=self._state.wanted.configuration_of(opening.group),
            launched_at=self._now,
            formatted=opening.kind is Kind.MASTER and self._is_formatted(offer, old),
            deployed=old is not None and old.deployed,
            masters=() if opening.kind is Kind.MASTER else self._masters,
            volumes=fit.placed.volumes,
            group=opening.group,
            attributes=offer.attributes,
        )

    def _is_formatted(self, offer: Offer, old: Record | None) -> bool:
        """Whether this master finds a journal where it goes."""
        match self._state.wanted.journal:
            case Journal.LOCAL:
                return old is not None and old.formatted
            case Journal.SHARED:
                return any(record.formatted for record in masters(self._state))
            case Journal.EMBEDDED:
                return _comes_home(offer, old)

    def _take(self, opening: Opening, offer: Offer) -> None:
        kind, group = opening.kind, opening.group
        self._belongs[kind, offer.hostname] = opening.slot
        if opening.home:
            del self._bound[kind, opening.home]
            self._waiting -= 1
            return
        self._free[group].pop()
        if opening.further:  # one on each agent: there is always a next one
            slot = f"{group}-{next(self._further[group])}"
            if self._now >= launch_after(self._state, slot):
                self._free[group].append(Opening(kind, slot, further=True))
            else:
                self._later = f"{slot} failed, and is launched again in a moment"
        else:
            self._waiting -= 1


def _comes_home(offer: Offer, old: Record | None) -> bool:
    """The agent has this master's journal, however long it was away: the master is the member that it was."""
    return old is not None and old.formatted and old.hostname == offer.hostname


def _whereabouts(state: State, group: str, belongs: Mapping[tuple[Kind, str], str], now: float) -> Iterator[Record]:
    """The group's tasks that a rule counts: those that run, or may, and those that wait for their own agent. What was
    given up there, and what nobody wants back, is nowhere.
    """
    for record in state.records.values():
        if record.group != group:
            continue
        waits = belongs.get((record.kind, record.hostname)) == record.slot and (
            is_wanted(state, record) or is_member(state, record)
        )
        if waits or down_since(state, record, now) is None:
            yield record


def _ending(state: State) -> dict[tuple[Kind, str], str]:
    """The copies that run, or may run, although another took their place, by kind and agent id. They are being killed,
    or will be as soon as their agent is back.
    """
    found: dict[tuple[Kind, str], str] = {}
    for task_id, report in off_record(state):
        if LIFE[report.state] is not Life.TERMINAL and (identity := parse_task_id(task_id)):
            found[identity[0], report.agent_id] = task_id
    return found


def _is_missing(state: State, slot: str, now: float) -> bool:
    record = state.records.get(slot)
    return record is None or down_since(state, record, now) is not None


def _held_back(state: State, now: float) -> str:
    """Why something that is wanted is not launched now; "" when nothing is missing."""
    for kind in Kind:
        slots = [slot for group in state.wanted.groups_of(kind) for slot in wanted_slots(state, group)]
        if kind not in state.wanted.needs or not slots:
            continue
        if reason := gate(state, kind):
            return f"{kind.value}s wait: {reason}"
        for slot in slots:
            if now < (moment := launch_after(state, slot)) and _is_missing(state, slot, now):
                return f"{slot} waits {moment - now:.0f} s more after failing {state.failures[slot].count} times"
            if kind is Kind.MASTER and _is_missing(state, slot, now) and (reason := join_gate(state, slot)):
                return f"{slot} waits: {reason}"
    return ""
