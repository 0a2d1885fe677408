"""Whose volume is it? The rules about persistent volumes over the state. Pure.

A volume belongs to the slot that its labels name, as long as the slot's record names it too. A slot that is down keeps
its volumes. What no record names any more is left over, and given back; but never what another framework id made: it
may be a stranger's, and only a record says that it is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from framework import offers as fitting
from framework.messages import GiveBack
from framework.model import Holding, Offer, Record, VolumeNeed
from framework.state import Asked, Opening, State, growing, once_more


def leftovers(state: State, offer: Offer) -> tuple[Holding, ...]:
    """What the offer holds of this service that no slot has any more: of a slot that was forgotten, that has moved, or
    whose tier is not wanted any more; and reservations on which no volume lies. Where volumes are to be kept it is
    those alone, as nothing is lost with them.
    """
    return tuple(
        holding
        for holding in offer.holdings
        if holding.own
        and (state.policy.give_back or not holding.persistence_id)
        and not _has_it(state, state.records.get(holding.slot), holding)
    )


def due(state: State, offer: Offer, left_over: Iterable[Holding], now: float) -> tuple[Holding, ...]:
    """Those of them that are to be given back now. What was, and is offered again, waits longer each time: meanwhile
    its agent is of use.
    """
    return tuple(
        holding
        for holding in left_over
        if (asked := state.given_back.get(name_of(offer, holding))) is None or now - asked.at >= _pause(state, asked)
    )


def name_of(offer: Offer, holding: Holding) -> str:
    """What tells a volume, or a reservation without one, from every other."""
    return holding.persistence_id or f"{offer.agent_id}/{holding.slot}/{holding.tier}"


def _pause(state: State, asked: Asked) -> float:
    policy = state.policy
    return growing(policy.give_back_again, asked.times - 1, policy.longest_give_back)


def given_back(state: State, effects: Iterable[GiveBack], now: float) -> Mapping[str, Asked]:
    """What was given back so lately that an offer may still show that it was not, by ``name_of``."""
    kept = {name: asked for name, asked in state.given_back.items() if _may_return(state, asked, now)}
    for effect in effects:
        for holding in effect.holdings:
            name = name_of(effect.offer, holding)
            kept[name] = once_more(kept.get(name), now)
    return kept


def is_settling(state: State, now: float) -> bool:
    """An offer may still show that something was not given back."""
    return are_settling(state, state.given_back, now)


def are_settling(state: State, names: Iterable[str], now: float) -> bool:
    """Of those of these names (``name_of``)."""
    return any((asked := state.given_back.get(name)) is not None and _may_return(state, asked, now) for name in names)


def _may_return(state: State, asked: Asked, now: float) -> bool:
    return now - asked.at < _pause(state, asked) + 2 * state.policy.decline_short


def _has_it(state: State, record: Record | None, holding: Holding) -> bool:
    """A tier that is not wanted is given up here, where the volume is at hand: the launch that goes without it may fill
    the agent, which then offers nothing.
    """
    if record is None or (wanted := state.wanted.need(record.group)) is None:
        return record is not None
    tiers = {need.tier for need in wanted.volumes}
    return any(volume.persistence_id == holding.persistence_id and volume.tier in tiers for volume in record.volumes)


def place(
    state: State, opening: Opening, offer: Offer, left: fitting.Resources, needs: tuple[VolumeNeed, ...]
) -> fitting.Placed | str:
    """The slot's volumes on this offer, of which ``left`` is still free; or in a sentence's tail why it has none there.

    A slot that waits for its agent waits for its volumes too. An agent with a new id has lost what it does not offer.
    """
    if not needs:
        return fitting.Placed()
    old = state.records.get(opening.slot)
    last = old.attempt if old is not None else state.retired.get(opening.slot, 0)
    return fitting.place(
        left,
        offer.holdings,
        needs,
        opening.slot,
        {volume.tier: volume for volume in old.volumes} if old is not None and old.agent_id == offer.agent_id else {},
        awaited=bool(opening.home),
        prefix=f"{state.framework_id}.{opening.slot}.{last + 1}",
    )


def in_use(record: Record) -> Record:
    """The record once its task was ready: each volume holds cached blocks from now on."""
    if all(volume.used for volume in record.volumes):
        return record
    return dataclasses.replace(
        record, volumes=tuple(dataclasses.replace(volume, used=True) for volume in record.volumes)
    )


def orphans(state: State, records: Mapping[str, Record], now: float) -> Mapping[str, float]:
    """When each volume was given up that may still turn up in an offer, by its persistence id; those too that are on
    record in ``state`` and not in ``records``, which take its place now.
    """
    kept = {volume.persistence_id for record in records.values() for volume in record.volumes}
    gone = [
        volume.persistence_id
        for record in state.records.values()
        for volume in record.volumes
        if volume.persistence_id not in kept
    ]
    if not gone and not state.orphans:
        return state.orphans
    patience = state.policy.give_back_patience
    return {key: at for key, at in state.orphans.items() if now - at < patience} | dict.fromkeys(gone, now)


def to_give_back(state: State, now: float) -> bool:
    """Whether volumes that were given up may still turn up in an offer. What an earlier scheduler gave up, and had no
    time to give back, is on no record: its agent offers it soon after the subscription.
    """
    policy = state.policy
    if is_settling(state, now):
        return True
    if not policy.give_back:
        return False
    if any(now - at < policy.give_back_patience for at in state.orphans.values()):
        return True
    return now - state.subscribed_at < policy.look_around and _may_have_given_up(state)


def _may_have_given_up(state: State) -> bool:
    """Only a slot that was forgotten, or was launched before, can have left a volume somewhere."""
    records = state.records.values()
    needs = (need for group in state.wanted.all_groups if (need := state.wanted.need(group)) is not None)
    if not (any(need.volumes for need in needs) or any(record.volumes for record in records)):
        return False
    return bool(state.retired) or any(record.attempt > 1 for record in records)
