"""Whose volume is it: what a launch takes of an offer, what it waits for, what is given back."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from framework import volumes
from framework.messages import GiveBack
from framework.model import Holding, Kind, NewVolume, Offer, Record, Resource, Volume, VolumeNeed
from framework.offers import Placed
from framework.planner import Policy
from framework.state import Asked, Opening, State
from stage import wanted

DISK = Resource("disk", "alluxio", 3_000_000)
STATIC = Resource("disk", "alluxio", 9_000_000, reservations='[{"type":"STATIC","role":"alluxio"}]')
OLD = Volume("ssd", "framework-1.worker-2.6.ssd", 1024, used=True)
RECORD = Record(Kind.WORKER, 2, 7, "S1", "127.0.0.11", {"rpc": 21000}, "c", 900.0, volumes=(OLD,))
STATE = State(
    wanted=wanted(ssd=1024), records={"worker-2": RECORD}, retired={"worker-5": 3}, framework_id="framework-1"
)
AT_HOME = Opening(Kind.WORKER, "worker-2", home="127.0.0.11")
SSD = (VolumeNeed("ssd", 1024),)
BOTH = (VolumeNeed("ssd", 1024), VolumeNeed("hdd", 1500))


def holding(persistence_id: str, slot: str = "worker-2", tier: str = "ssd", size: int = 1024) -> Holding:
    disk = persistence_id and f"volume {persistence_id}"
    return Holding(slot, tier, persistence_id, Resource("disk", "alluxio", size * 1000, (), f"of {slot}", disk))


def offer(*holdings: Holding, agent_id: str = "S1", disk: Resource = DISK) -> Offer:
    return Offer("O1", agent_id, "127.0.0.11", (STATIC, disk), holdings=holdings)


def place(opening: Opening, offered: Offer, needs: tuple[VolumeNeed, ...] = SSD, state: State = STATE) -> Placed | str:
    return volumes.place(state, opening, offered, offered.resources, needs)


def new(slot: str, attempt: int, tier: str = "ssd", size: int = 1024) -> NewVolume:
    volume = Volume(tier, f"framework-1.{slot}.{attempt}.{tier}", size)
    return NewVolume(slot, volume, dataclasses.replace(DISK, thousandths=size * 1000))


def test_a_slot_without_a_history_gets_new_volumes_of_unreserved_disk() -> None:
    made = (new("worker-9", 1), new("worker-9", 1, "hdd", 1500))
    assert place(Opening(Kind.WORKER, "worker-9"), offer(), BOTH) == Placed(tuple(one.volume for one in made), (), made)


def test_ids_go_on_where_a_forgotten_slot_ended() -> None:
    placed = place(Opening(Kind.WORKER, "worker-5"), offer())
    assert placed == Placed((new("worker-5", 4).volume,), (), (new("worker-5", 4),))


def test_a_slot_takes_its_own_volume_again_and_no_other() -> None:
    own = holding(OLD.persistence_id)
    others = (holding("x", "worker-1"), holding("y", tier="hdd"), holding("z"), holding(""), own)
    assert place(AT_HOME, offer(*others)) == Placed((OLD,), (own.resource,), ())


def test_no_slot_takes_what_was_made_for_another() -> None:
    made = new("worker-9", 1)
    assert place(Opening(Kind.WORKER, "worker-9"), offer(holding("x", "worker-1"))) == Placed(
        (made.volume,), (), (made,)
    )


def test_a_volume_keeps_its_size() -> None:
    own = holding(OLD.persistence_id, size=512)
    assert place(AT_HOME, offer(own)) == Placed((dataclasses.replace(OLD, size=512),), (own.resource,), ())


def test_one_volume_may_be_there_and_the_other_new() -> None:
    own, made = holding(OLD.persistence_id), new("worker-2", 8, "hdd", 1500)
    assert place(AT_HOME, offer(own), BOTH) == Placed((OLD, made.volume), (own.resource,), (made,))


@pytest.mark.parametrize(
    ("opening", "offered", "needs", "sentence"),
    [
        (AT_HOME, offer(), SSD, "does not hold the 1024 MiB of its ssd volume framework-1.worker-2.6.ssd"),
        (
            AT_HOME,
            offer(holding("z")),
            (VolumeNeed("hdd", 3001),),
            "offers 3000 MiB of 3001 MiB unreserved disk for the hdd tier",
        ),
        (
            Opening(Kind.WORKER, "worker-9"),
            offer(),
            (VolumeNeed("ssd", 1600), VolumeNeed("hdd", 1600)),
            "offers 1400 MiB of 1600 MiB unreserved disk for the hdd tier",
        ),
    ],
)
def test_the_sentence_of_a_refusal(
    opening: Opening, offered: Offer, needs: tuple[VolumeNeed, ...], sentence: str
) -> None:  # C18
    assert place(opening, offered, needs) == sentence


def test_what_was_never_used_is_not_waited_for() -> None:
    unused = dataclasses.replace(RECORD, volumes=(dataclasses.replace(OLD, used=False),))
    state = dataclasses.replace(STATE, records={"worker-2": unused})
    made = new("worker-2", 8)
    assert place(AT_HOME, offer(), state=state) == Placed((made.volume,), (), (made,))
    own = holding(OLD.persistence_id)
    assert place(AT_HOME, offer(own), state=state) == Placed(unused.volumes, (own.resource,), ())


def test_an_agent_with_a_new_id_may_still_hold_the_volume() -> None:
    own = holding(OLD.persistence_id)
    assert place(AT_HOME, offer(own, agent_id="S2")) == Placed((OLD,), (own.resource,), ())
    made = new("worker-2", 8)
    assert place(AT_HOME, offer(agent_id="S2")) == Placed((made.volume,), (), (made,))


def test_a_slot_that_waits_for_no_agent_waits_for_no_volume() -> None:
    made = new("worker-2", 8)
    assert place(Opening(Kind.WORKER, "worker-2"), offer()) == Placed((made.volume,), (), (made,))


def test_what_another_framework_id_made_is_taken_again_if_the_record_names_it_and_else_left_alone() -> None:
    earlier = dataclasses.replace(holding(OLD.persistence_id), own=False)
    assert place(AT_HOME, offer(earlier)) == Placed((OLD,), (earlier.resource,), ())
    stranger = dataclasses.replace(holding("x"), own=False)
    assert isinstance(place(AT_HOME, offer(stranger)), str)
    made = new("worker-2", 8)
    assert place(Opening(Kind.WORKER, "worker-2"), offer(stranger)) == Placed((made.volume,), (), (made,))
    assert volumes.leftovers(STATE, offer(stranger, dataclasses.replace(holding(""), own=False))) == ()


def test_what_no_record_names_is_given_back() -> None:
    own = holding(OLD.persistence_id)
    left = (holding("older"), holding(""), holding("x", "worker-5"), holding("y", tier="hdd"))
    assert volumes.leftovers(STATE, offer(own, *left)) == left
    keeping = dataclasses.replace(STATE, policy=Policy(give_back=False))
    assert volumes.leftovers(keeping, offer(own, *left)) == (holding(""),)  # nothing is lost with it


def test_a_tier_that_is_not_wanted_any_more_is_given_back_before_the_launch_without_it() -> None:
    own, other = holding(OLD.persistence_id), holding("x", "worker-2", "hdd")
    assert volumes.leftovers(dataclasses.replace(STATE, wanted=wanted()), offer(own, other)) == (own, other)


def test_offers_are_asked_for_because_of_what_was_given_up_for_a_while() -> None:
    moved = {"worker-2": dataclasses.replace(RECORD, volumes=())}
    given_up = dataclasses.replace(STATE, orphans=volumes.orphans(STATE, moved, 1000.0), records=moved)
    assert given_up.orphans == {OLD.persistence_id: 1000.0}
    assert [volumes.to_give_back(given_up, now) for now in (1000.0, 1899.0, 1900.0)] == [True, True, False]
    assert volumes.orphans(given_up, moved, 1900.0) == {}
    assert not volumes.to_give_back(dataclasses.replace(given_up, policy=Policy(give_back=False)), 1000.0)


# Given back, and offered again ----------------------------------------------------------------------------------------

OLDER, BARE, FORGOTTEN = holding("older"), holding(""), holding("x", "worker-5")


def given_back(state: State, now: float, *holdings: Holding) -> State:
    asked = volumes.given_back(state, [GiveBack(offer(*holdings), holdings)], now)
    return dataclasses.replace(state, given_back=asked)


def test_what_is_offered_again_is_given_back_again_less_and_less_often() -> None:
    """Mesos does not say that an ACL of its masters forbids it; the agent must be of use meanwhile."""
    state, moments = STATE, []
    for now in map(float, range(1000)):
        if volumes.due(state, offer(OLDER), (OLDER,), now):
            moments.append(now)
            state = given_back(state, now, OLDER)
    pauses = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


def test_the_pace_of_one_is_not_the_pace_of_another() -> None:
    state = given_back(STATE, 0.0, OLDER, BARE)
    assert volumes.due(state, offer(OLDER, BARE, FORGOTTEN), (OLDER, BARE, FORGOTTEN), 1.0) == (FORGOTTEN,)
    assert volumes.due(state, offer(BARE, agent_id="S2"), (BARE,), 1.0) == (BARE,)


def test_what_is_not_offered_again_is_gone() -> None:
    state = given_back(STATE, 0.0, OLDER)
    assert state.given_back == {"older": Asked(1, 0.0)}
    assert volumes.given_back(state, [], 14.0) == state.given_back
    assert volumes.given_back(state, [], 15.0) == {}
    state = dataclasses.replace(state, subscribed_at=-1000.0)
    assert [volumes.to_give_back(state, now) for now in (0.0, 14.0, 15.0)] == [True, True, False]


FIRST = dataclasses.replace(STATE, records={"worker-2": dataclasses.replace(RECORD, attempt=1)}, retired={})


@pytest.mark.parametrize(
    ("state", "looks"),
    [
        (FIRST, False),
        (dataclasses.replace(FIRST, records=STATE.records), True),
        (dataclasses.replace(FIRST, retired={"worker-5": 1}), True),
        (dataclasses.replace(STATE, wanted=wanted(ssd=None)), True),
        (dataclasses.replace(STATE, wanted=wanted(ssd=None), records={}), False),
        (dataclasses.replace(STATE, policy=Policy(give_back=False)), False),
    ],
    ids=["first launches only", "launched again", "a slot forgotten", "on record", "no volumes at all", "to be kept"],
)
def test_a_new_subscription_looks_for_what_an_earlier_scheduler_gave_up(state: State, looks: bool) -> None:
    """It may have died between the two: what it forgot is on no record."""
    subscribed = dataclasses.replace(state, subscribed_at=1000.0)
    assert volumes.to_give_back(subscribed, 1059.0) is looks
    assert not volumes.to_give_back(subscribed, 1060.0)
