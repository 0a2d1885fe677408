"""Where tasks may run: what is a constraint, and which agents each lets be."""

from __future__ import annotations

import pytest

from framework import placement
from framework.model import Constraint, Offer, Operator


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
        ("rack:GROUP_BY:3", "the operators are IS, LIKE, UNLIKE"),
        ("rack:LIKE:r[1", "'r[1' is no regular expression"),
        ("rack:IS:" + "r" * 201, "the value of rack:IS is too long"),
    ],
)
def test_what_is_no_constraint_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("[", r"\[")):
        placement.read(text)


def test_an_equals_sign_is_no_pattern() -> None:
    """IS compares, whatever stands there."""
    assert placement.read("rack:IS:r.*") == (Constraint("rack", Operator.IS, "r.*"),)
    assert placement.refusal(placement.read("rack:IS:r.*"), offer(rack="r1"))
