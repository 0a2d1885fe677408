"""The arithmetic of one offer."""

from __future__ import annotations

import collections
import dataclasses

import hypothesis.strategies as st
import pytest
from hypothesis import given

from framework.model import Need, Range, Resource
from framework.offers import Fit, fit, rest, take_scalar

NEED = Need(1000, 1280, 256, ("rpc", "web"))
RESERVED = '[{"type":"DYNAMIC","role":"alluxio","principal":"ops"}]'


def offer(cpus: float = 4, mem: float = 8192, disk: float = 9000, ports: str = "21000-21009") -> tuple[Resource, ...]:
    spans = tuple(Range(*map(int, span.split("-"))) for span in ports.split(",") if span)
    scalars = {"cpus": cpus, "mem": mem, "disk": disk}
    return (
        *(Resource(name, "alluxio", round(amount * 1000)) for name, amount in scalars.items()),
        Resource("ports", "alluxio", ranges=spans),
    )


def test_what_is_taken() -> None:
    assert fit(offer(), NEED) == Fit(
        taken=(
            Resource("ports", "alluxio", ranges=(Range(21000, 21001),)),
            Resource("cpus", "alluxio", 1000),
            Resource("mem", "alluxio", 1_280_000),
            Resource("disk", "alluxio", 256_000),
        ),
        ports={"rpc": 21000, "web": 21001},
    )


def test_what_is_left() -> None:
    fitted = fit(offer(), NEED)
    assert isinstance(fitted, Fit)
    assert rest(offer(), fitted.taken) == (
        Resource("cpus", "alluxio", 3000),
        Resource("mem", "alluxio", 6_912_000),
        Resource("disk", "alluxio", 8_744_000),
        Resource("ports", "alluxio", ranges=(Range(21002, 21009),)),
    )


def test_what_is_taken_whole_leaves_nothing_behind() -> None:
    exact = offer(1, 1280, 256, "21000-21001")
    fitted = fit(exact, NEED)
    assert isinstance(fitted, Fit)
    assert rest(exact, fitted.taken) == ()


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        (offer(cpus=0.999), "offers 0.999 of 1 CPUs"),
        (offer(mem=512), "offers 512 MiB of 1280 MiB memory"),
        (offer(mem=1279.999), "offers 1279 MiB of 1280 MiB memory"),
        (offer(disk=100), "offers 100 MiB of 256 MiB disk"),
        (offer(ports="21000-21000"), "offers 1 of 2 ports"),
        (offer(ports=""), "offers 0 of 2 ports"),
        ((), "offers 0 of 1 CPUs"),
    ],
)
def test_the_sentence_of_a_refusal(resources: tuple[Resource, ...], sentence: str) -> None:  # C18
    assert fit(resources, NEED) == sentence


def test_ports_that_the_slot_had_are_taken_again() -> None:
    fitted = fit(offer(), NEED, {"rpc": 21007, "web": 19999})
    assert isinstance(fitted, Fit)
    assert fitted.ports == {"rpc": 21007, "web": 21000}


def test_same_ports_or_none() -> None:
    before = {"rpc": 21007, "web": 21100}
    assert fit(offer(), NEED, before, same_ports=True) == (
        "does not offer port 21100, where others expect its web port"
    )
    fitted = fit(offer(ports="21000-21009,21100-21100"), NEED, before, same_ports=True)
    assert isinstance(fitted, Fit)
    assert fitted.ports == before


def test_ports_of_other_slots_stay_free() -> None:
    fitted = fit(offer(), NEED, others=[21000, 21002])
    assert isinstance(fitted, Fit)
    assert fitted.ports == {"rpc": 21001, "web": 21003}


FIXED = dataclasses.replace(NEED, fixed_ports=(("web", 21005),))


def test_a_fixed_port_is_taken_and_no_other() -> None:
    for preferred in (None, {"rpc": 21007, "web": 21003}):
        fitted = fit(offer(), FIXED, preferred, others=[21000, 21005])
        assert isinstance(fitted, Fit)
        assert fitted.ports == {"rpc": 21007 if preferred else 21001, "web": 21005}
        assert sorted(fitted.ports.values()) == sorted(
            port for span in fitted.taken[0].ranges for port in range(span.begin, span.end + 1)
        )


def test_a_fixed_port_must_be_offered() -> None:
    assert fit(offer(ports="21000-21004,21006-21009"), FIXED) == (
        "does not offer port 21005, at which its web port is fixed: it offers 21000-21004, 21006-21009"
    )
    assert fit(offer(ports=""), FIXED) == "does not offer port 21005, at which its web port is fixed: it offers none"
    many = ",".join(f"{number}-{number}" for number in range(22000, 22012, 2))
    told = fit(offer(ports=many), FIXED)
    assert isinstance(told, str)
    assert told.endswith(": it offers 22000-22000, 22002-22002, 22004-22004, 22006-22006, …")


def test_where_others_know_the_address_it_stays_although_another_is_fixed_now() -> None:
    fitted = fit(offer(), FIXED, {"rpc": 21007, "web": 21003}, same_ports=True, others=[21003, 21005])
    assert isinstance(fitted, Fit)
    assert fitted.ports == {"rpc": 21007, "web": 21003}


def test_a_port_that_is_fixed_for_another_is_not_kept() -> None:
    fitted = fit(offer(), NEED, {"rpc": 21007, "web": 21003}, others=[21003])
    assert isinstance(fitted, Fit)
    assert fitted.ports == {"rpc": 21007, "web": 21000}


def test_ports_in_several_ranges() -> None:  # C17
    fitted = fit(offer(ports="21000-21000,21005-21006"), Need(1000, 1280, 256, ("a", "b", "c")))
    assert isinstance(fitted, Fit)
    assert fitted.taken[0].ranges == (Range(21000, 21000), Range(21005, 21006))


def test_reserved_resources_go_first() -> None:  # C17
    resources = (
        Resource("mem", "alluxio", 1000),
        Resource("mem", "alluxio", 500, reservations=RESERVED),
        Resource("cpus", "alluxio", 100),
    )
    taken, left = take_scalar(resources, "mem", 700)
    assert taken == (Resource("mem", "alluxio", 500, reservations=RESERVED), Resource("mem", "alluxio", 200))
    assert left == (Resource("mem", "alluxio", 800), Resource("cpus", "alluxio", 100))


def test_several_entries_are_summed_up() -> None:  # C17
    halves = (*offer(0.5, 640, 128, "21000-21000"), *offer(0.5, 640, 128, "21001-21001"))
    assert isinstance(fit(halves, NEED), Fit)


amounts = st.integers(0, 5000)
entries = st.builds(
    lambda name, amount, reserved: Resource(name, "alluxio", amount, reservations=RESERVED if reserved else ""),
    st.sampled_from(["cpus", "mem", "disk"]),
    amounts,
    st.booleans(),
)
port_sets = st.sets(st.integers(21000, 21040))


def ranges_of(ports: set[int]) -> tuple[Range, ...]:
    return tuple(Range(port, port) for port in sorted(ports))


def counted(resources: tuple[Resource, ...]) -> tuple[collections.Counter[tuple[str, str]], set[int]]:
    scalars: collections.Counter[tuple[str, str]] = collections.Counter()
    ports: list[int] = []
    for resource in resources:
        scalars[resource.name, resource.reservations] += resource.thousandths
        ports += [port for span in resource.ranges for port in range(span.begin, span.end + 1)]
    assert len(ports) == len(set(ports))
    return +scalars, set(ports)


@given(st.lists(entries, max_size=8), port_sets, st.integers(1, 3000), st.integers(0, 4))
def test_taken_and_left_make_up_the_offer(scalars: list[Resource], ports: set[int], cpus: int, count: int) -> None:
    need = Need(cpus, 1, 0, tuple(f"port-{number}" for number in range(count)))
    resources = (*scalars, Resource("ports", "alluxio", ranges=ranges_of(ports)))
    fitted = fit(resources, need)
    if isinstance(fitted, str):
        return
    offered, taken, left = counted(resources), counted(fitted.taken), counted(rest(resources, fitted.taken))
    assert taken[0] + left[0] == offered[0]
    assert taken[1] | left[1] == offered[1]
    assert not taken[1] & left[1]
    assert set(fitted.ports.values()) == taken[1]
    assert sum(amount for (name, _), amount in taken[0].items() if name == "cpus") == cpus
    assert all(resource.thousandths or resource.ranges for resource in fitted.taken)
