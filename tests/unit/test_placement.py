"""Where tasks may run: what is a constraint, and which agents each lets be."""

from __future__ import annotations

import re

import pytest

from framework import placement
from framework.model import Constraint, Kind, Offer, Operator, Record


def offer(**attributes: str) -> Offer:
    return Offer("O1", "S1", "db7.example", (), attributes)


@pytest.mark.parametrize(
    ("text", "attributes", "refusal"),
    [
        ("rack:IS:r1", {"rack": "r1"}, ""),
        ("rack:IS:r1", {"rack": "r2"}, "has rack 'r2', and rack:IS:r1 is asked for"),
        ("rack:IS:r1", {}, "has no attribute rack, and rack:IS:r1 is asked for"),
        ("rack:LIKE:r[12]", {"rack": "r2"}, ""),
        ("rack:LIKE:r[12]", {"rack": "r23"}, "has rack 'r23', and rack:LIKE:r[12] is asked for"),
        ("rack:LIKE:.*", {}, "has no attribute rack, and rack:LIKE:.* is asked for"),
        ("rack:UNLIKE:r[12]", {"rack": "r3"}, ""),
        ("rack:UNLIKE:r[12]", {}, ""),
        ("rack:UNLIKE:r[12]", {"rack": "r1"}, "has rack 'r1', and rack:UNLIKE:r[12] is asked for"),
        ("hostname:UNLIKE:db.*", {}, "has hostname 'db7.example', and hostname:UNLIKE:db.* is asked for"),
        ("hostname:IS:db7.example", {}, ""),
        (" rack:IS:r1 ; disk:IS:a:b ;", {"rack": "r1", "disk": "a:b"}, ""),
        ("rack:IS:r1;disk:IS:ssd", {"rack": "r1", "disk": "hdd"}, "has disk 'hdd', and disk:IS:ssd is asked for"),
        ("", {}, ""),
        ("rack:CLUSTER:r1", {"rack": "r1"}, ""),
        ("rack:CLUSTER:r1", {"rack": "r2"}, "has rack 'r2', and rack:CLUSTER:r1 is asked for"),
        ("@region:IS:eu;@zone:LIKE:eu-[12]", {"@region": "eu", "@zone": "eu-2"}, ""),
        ("@zone:IS:eu-1", {"zone": "eu-1"}, "has no attribute @zone, and @zone:IS:eu-1 is asked for"),
        ("rack:UNIQUE", {}, "has no attribute rack, and rack:UNIQUE is asked for"),
        ("ports:IS:[1-2,4-4]", {"ports": "[1-2,4-4]"}, ""),
    ],
)
def test_an_agent_is_one_or_not(text: str, attributes: dict[str, str], refusal: str) -> None:
    assert placement.refusal(placement.read(text), offer(**attributes)) == refusal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rack", "'rack' is no constraint"),
        ("rack:IS", "'rack:IS' is no constraint"),
        ("rack:IS:", "'rack:IS:' is no constraint"),
        (":IS:r1", "':IS:r1' is no constraint"),
        ("ra ck:IS:r1", "is no constraint"),
        ("rack:is:r1", "the operators are IS, LIKE, UNLIKE"),
        ("@rack:IS:r1", "a field is an attribute, hostname, @region or @zone"),
        ("rack:IS", "as IS takes a value, such as rack:IS:r1"),
        ("rack:UNIQUE:2", "'rack:UNIQUE:2' is no constraint, as UNIQUE takes nothing, such as rack:UNIQUE"),
        ("rack:UNIQUE:", "as UNIQUE takes nothing"),
        ("rack:CLUSTER:", "as CLUSTER takes a value or nothing"),
        ("rack:GROUP_BY:0", "as GROUP_BY takes the number of values or nothing"),
        ("rack:MAX_PER", "as MAX_PER takes a number from 1, such as rack:MAX_PER:2"),
        ("rack:MAX_PER:2.5", "as MAX_PER takes a number from 1"),
        ("rack:LIKE:r[1", "'r[1' is no regular expression (a class does not end"),
        ("rack:LIKE:(?!r1).*", "is no regular expression (a group that looks ahead or back, or has a name, may not"),
        ("rack:IS:" + "r" * 201, "the value of rack:IS is too long"),
    ],
)
def test_what_is_no_constraint_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        placement.read(text)


def test_an_equals_sign_is_no_pattern() -> None:
    """IS compares, whatever stands there."""
    assert placement.read("rack:IS:r.*") == (Constraint("rack", Operator.IS, "r.*"),)
    assert placement.refusal(placement.read("rack:IS:r.*"), offer(rack="r1"))


def census(text: str, *racks: str | None, group: str = "worker") -> placement.Census:
    """A task of the group in each of these racks; of None nobody knows the rack."""
    records = [
        Record(
            Kind.WORKER,
            index,
            1,
            "S",
            f"h{index}",
            {},
            "c",
            0.0,
            group=group,
            attributes={"rack": rack} if rack else {},
        )
        for index, rack in enumerate(racks)
    ]
    return placement.Census(group, placement.read(text), records)


@pytest.mark.parametrize(
    ("text", "racks", "refusal"),
    [
        ("rack:UNIQUE", ["r2", None], ""),
        ("rack:UNIQUE", ["r1", "r2"], "has rack 'r1', where 1 worker is already, and rack:UNIQUE is asked for"),
        ("rack:MAX_PER:3", ["r1", "r2", "r1"], ""),
        (
            "rack:MAX_PER:2",
            ["r1", "r1", "r1"],
            "has rack 'r1', where 3 workers are already, and rack:MAX_PER:2 is asked for",
        ),
        ("rack:CLUSTER", [], ""),
        ("rack:CLUSTER", ["r1", None], ""),
        ("rack:CLUSTER", ["r2"], "has rack 'r1', while 1 worker is at 'r2', and rack:CLUSTER is asked for"),
        ("rack:CLUSTER", ["r1", "r2", "r1"], ""),
        ("rack:CLUSTER", ["r2", "r1"], ""),
        ("rack:GROUP_BY", [], ""),
        ("rack:GROUP_BY", ["r1"], ""),
        ("rack:GROUP_BY", ["r2", "r2"], ""),
        ("rack:GROUP_BY", ["r1", "r2"], ""),
        (
            "rack:GROUP_BY",
            ["r1", "r2", "r1"],
            "has rack 'r1', where 2 workers are already while another has 1, and rack:GROUP_BY is asked for",
        ),
        ("rack:GROUP_BY:3", ["r2", "r2"], ""),
        (
            "rack:GROUP_BY:3",
            ["r1", "r2", None],
            "has rack 'r1', where 1 worker is already while 1 of 3 have none, and rack:GROUP_BY:3 is asked for",
        ),
        ("rack:GROUP_BY:2", ["r1", "r2", "r3"], ""),
        (
            "hostname:UNIQUE;rack:UNIQUE",
            ["r1"],
            "has rack 'r1', where 1 worker is already, and rack:UNIQUE is asked for",
        ),
        ("hostname:UNIQUE", ["r1"], ""),
    ],
)
def test_where_the_others_are_counts(text: str, racks: list[str | None], refusal: str) -> None:
    assert placement.refusal(placement.read(text), offer(rack="r1"), census(text, *racks), "worker-9") == refusal


def test_a_task_is_not_in_its_own_way() -> None:
    rules, there = placement.read("rack:UNIQUE"), census("rack:UNIQUE", "r1", "r2")
    assert placement.refusal(rules, offer(rack="r1"), there, "worker-0") == ""
    assert placement.refusal(rules, offer(rack="r1"), there, "worker-1")
    assert placement.refusal(rules, offer(rack="r1"), there, "worker-9")


def test_the_group_is_named() -> None:
    there = census("rack:UNIQUE", "r1", group="worker-ssd")
    told = placement.refusal(placement.read("rack:UNIQUE"), offer(rack="r1"), there, "worker-ssd-9")
    assert told == "has rack 'r1', where 1 worker of the group ssd is already, and rack:UNIQUE is asked for"


def test_a_round_begins_where_the_fewest_are() -> None:
    offers = [
        Offer(f"O{place}", "S", "h", (), {"rack": rack}) for place, rack in enumerate(["a", "a", "a", "b", "b", "c"])
    ]
    order = census("rack:GROUP_BY", "a", "a", "b").in_order(offers)
    assert [one.attributes["rack"] for one in order] == ["c", "b", "a", "b", "a", "a"]
    assert census("rack:UNIQUE", "a").in_order(offers) == offers


@pytest.mark.parametrize(
    "text",
    [
        "rack:UNIQUE",
        "rack:CLUSTER",
        "rack:CLUSTER:r1",
        "rack:GROUP_BY",
        "@zone:GROUP_BY:3",
        "hostname:MAX_PER:2",
        "a:LIKE:b",
    ],
)
def test_a_constraint_prints_as_it_is_written(text: str) -> None:
    [constraint] = placement.read(f" {text} ;")
    assert str(constraint) == text
    assert re.fullmatch(placement.PATTERN, text)
