"""Resource arithmetic: exact, never negative, and in Mesos's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localmesos.operations import carry_over
from localmesos.resources import Kind, ResourceError, Resources, merge_ranges, subtract_ranges

RESERVED = '[{"role": "r", "type": "DYNAMIC"}]'
pairs = st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))
ranges = st.lists(pairs, max_size=5).map(merge_ranges)
scalars = st.sampled_from(["cpus", "mem", "disk"]).flatmap(
    lambda name: st.tuples(
        st.builds(Kind, st.just(name), st.just("SCALAR"), st.sampled_from(["", RESERVED])), st.integers(0, 5000)
    )
)
ports = st.tuples(st.just(Kind("ports", "RANGES")), ranges)
resources = st.lists(st.one_of(scalars, ports), max_size=6).map(lambda entries: Resources(dict(entries)))


@given(ranges, ranges)
def test_ranges_are_sets_of_numbers(one: Any, other: Any) -> None:
    def numbers(given: Any) -> set[int]:
        return {number for begin, end in given for number in range(begin, end + 1)}

    assert numbers(merge_ranges(one + other)) == numbers(one) | numbers(other)
    assert numbers(subtract_ranges(one, other)) == numbers(one) - numbers(other)


@given(resources, resources)
def test_a_sum_contains_its_parts_and_their_order_does_not_matter(one: Resources, other: Resources) -> None:
    assert one + other == other + one
    assert (one + other).contains(one)
    assert (one + other).contains(other)


def _scalars_of(given: Resources) -> Resources:
    return Resources({kind: amount for kind, amount in given if kind.type == "SCALAR"})


@given(resources, resources)
def test_subtracting_undoes_adding(one: Resources, other: Resources) -> None:
    """Of scalars; ports in both would be one port."""
    one, other = _scalars_of(one), _scalars_of(other)
    assert (one + other) - other == one


@given(resources, resources)
def test_adding_undoes_subtracting(whole: Resources, part: Resources) -> None:
    if whole.contains(part):
        assert (whole - part) + part == whole
    else:
        with pytest.raises(ResourceError):
            _ = whole - part


@given(resources)
def test_json_and_back(given: Resources) -> None:
    assert Resources.parse(given.to_json("role")) == given
    assert Resources.parse(given.to_json(refined=False)) == given


@given(resources)
def test_a_role_sees_the_unreserved_and_its_own(given: Resources) -> None:
    assert given.for_role("r") == given
    assert given.for_role("r/below") == given
    assert given.for_role("other") == Resources({kind: amount for kind, amount in given if not kind.reservations})


def test_thousandths_are_exact() -> None:
    total = Resources()
    for _ in range(1000):
        total = total + Resources.from_text("cpus:0.1")
    assert total == Resources.from_text("cpus:100")
    assert Resources.from_text("cpus:0.3") - Resources.from_text("cpus:0.1") == Resources.from_text("cpus:0.2")


@given(st.integers(0, 10**9))
@example(1001)
def test_a_number_in_json_is_rounded_to_its_thousandth(thousandths: int) -> None:
    item = {"name": "cpus", "type": "SCALAR", "scalar": {"value": thousandths / 1000}}
    assert Resources.parse([item]).scalar("cpus") == thousandths
    assert Resources.from_text(f"cpus:{thousandths / 1000}").scalar("cpus") == thousandths


def test_as_a_command_line_writes_them() -> None:
    given = Resources.from_text("cpus:4;mem:4096;disk:10000;ports:[31000-31100,31101-31200,32000-32000];zones:{b,a}")
    assert given.describe() == "cpus:4; mem:4096; disk:10000; ports:[31000-31200, 32000-32000]; zones:{a, b}"
    assert given.in_offer_order().describe("r").startswith("ports(allocated: r):[31000-31200, 32000-32000]; cpus(")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cpus", "resource 'cpus': expected name:value, for example cpus:4 or ports:[31000-31100]"),
        ("cpus:-1", "resource 'cpus:-1': expected a number >= 0, [begin-end,...] or {a,b}"),
        ("cpus:nan", "resource 'cpus:nan': expected a number >= 0, [begin-end,...] or {a,b}"),
        ("cpus:inf", "resource 'cpus:inf': expected a number >= 0, [begin-end,...] or {a,b}"),
        ("ports:[9-1]", "resource 'ports:[9-1]': expected a number >= 0, [begin-end,...] or {a,b}"),
    ],
)
def test_a_wrong_text_is_said_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ResourceError) as caught:
        Resources.from_text(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "item",
    [
        {"name": "cpus", "type": "SCALAR"},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": -1}},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": float("inf")}},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": "many"}},
        {"name": "cpus", "type": "TEXT"},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 2, "end": 1}]}},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "revocable": {}},
    ],
)
def test_wrong_json_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(ResourceError, match="resource '"):
        Resources.parse([item])


def test_the_older_format_of_a_reservation() -> None:
    older = {"name": "disk", "type": "SCALAR", "scalar": {"value": 1}, "role": "r", "reservation": {"principal": "p"}}
    newer = {
        "name": "disk",
        "type": "SCALAR",
        "scalar": {"value": 1},
        "reservations": [{"type": "DYNAMIC", "role": "r", "principal": "p"}],
    }
    assert Resources.parse([older]) == Resources.parse([newer])
    assert Resources.parse([newer]).to_json(refined=False) == [{**older, "scalar": {"value": 1.0}}]


VOLUME = {
    "name": "disk",
    "type": "SCALAR",
    "scalar": {"value": 60.0},
    "reservations": [{"type": "DYNAMIC", "role": "r"}],
    "disk": {"persistence": {"id": "kept"}, "volume": {"container_path": "data", "mode": "RW"}},
}


def test_reservations_and_volumes_are_carried_over_to_other_resources() -> None:
    reserved = Resources.parse([VOLUME, {**VOLUME, "disk": None, "scalar": {"value": 10}}])
    before = Resources.from_text("cpus:1;disk:30") + reserved
    after = carry_over(before, Resources.from_text("cpus:4;disk:200"))
    assert after == Resources.from_text("cpus:4;disk:130") + reserved
    assert after.reserved() == reserved
    assert reserved.unreserved() == Resources.from_text("disk:70")
    assert carry_over(Resources.from_text("cpus:1"), Resources.from_text("cpus:2")) == Resources.from_text("cpus:2")


def test_less_than_the_volumes_need_cannot_be_given() -> None:
    with pytest.raises(ResourceError, match="disk:60 is more than cpus:4; disk:50"):
        carry_over(Resources.parse([VOLUME]), Resources.from_text("cpus:4;disk:50"))


def test_resources_are_left_out_by_name() -> None:
    whole = Resources.from_text("cpus:1;ports:[1-2]")
    assert whole.without_named(("ports",)) == Resources.from_text("cpus:1")
    assert whole.without_named(()) == whole
