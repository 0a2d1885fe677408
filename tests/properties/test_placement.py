"""Rules that count, against a twin that counts anew for each offer: of random services, in one round of offers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from framework import placement
from framework.matching import answers
from framework.messages import Decline, Launch
from framework.model import Kind, Offer, Range, Record, Report, Resource, TaskState
from framework.planner import decide
from framework.state import State, openings
from stage import wanted

NOW = 10_000.0
PORTS = {"rpc": 1, "web": 2, "job_rpc": 3, "job_web": 4, "job_data": 5}
MASTER = Record(Kind.MASTER, 0, 1, "S0", "h0", PORTS, "configuration-1", 0.0, formatted=True, deployed=True)
RESOURCES = (
    Resource("cpus", "*", 4000),
    Resource("mem", "*", 8_192_000),
    Resource("disk", "*", 20_000_000),
    Resource("ports", "*", 0, (Range(21000, 21099),)),
)
RACKS = st.sampled_from(["r1", "r2", "r3", None])
RULES = st.lists(
    st.sampled_from(
        [
            *("rack:UNIQUE", "rack:CLUSTER", "rack:GROUP_BY", "rack:GROUP_BY:2", "rack:GROUP_BY:3", "rack:MAX_PER:1"),
            *("rack:MAX_PER:2", "@zone:UNIQUE", "@zone:GROUP_BY:2", "rack:LIKE:r[12]", "hostname:UNIQUE"),
            "rack:CLUSTER:r1",
        ]
    ),
    min_size=1,
    max_size=2,
    unique=True,
).map(";".join)
# Of a task that is on record: it runs, it is down and waits for its agent, or it has given that up.
STANDINGS = st.sampled_from(["runs", "waits", "gave up", "untold"])
TASKS = st.lists(st.tuples(RACKS, RACKS, STANDINGS), max_size=5)
OFFERS = st.lists(st.tuples(RACKS, RACKS), max_size=10)


def attributes(rack: str | None, zone: str | None) -> dict[str, str]:
    return {name: value for name, value in (("rack", rack), ("@zone", zone)) if value is not None}


def service(
    rules: str,
    tasks: Sequence[tuple[str | None, str | None, str]],
    offers: Sequence[tuple[str | None, str | None]],
    *,
    at_home: bool = False,
) -> State:
    records, reports = (
        {MASTER.slot: MASTER},
        [Report("master-0.1", TaskState.RUNNING, "S0", NOW - 50, 1.0, healthy=True)],
    )
    for index, (rack, zone, standing) in enumerate(tasks):
        where = attributes(rack, zone)
        record = Record(
            Kind.WORKER, index, 1, f"S{index}", f"t{index}", PORTS, "configuration-1", 1.0, attributes=where
        )
        records[record.slot] = record
        if standing != "untold":
            ended = {"runs": NOW - 1, "waits": NOW - 10, "gave up": NOW - 5000}[standing]
            state = TaskState.RUNNING if standing == "runs" else TaskState.FAILED
            reports.append(Report(record.task_id, state, record.agent_id, ended, ended, healthy=standing == "runs"))
    want = wanted(workers=len(tasks) + 4)
    new = [
        Offer(f"O{place}", f"N{place}", f"n{place}", RESOURCES, attributes(rack, zone))
        for place, (rack, zone) in enumerate(offers)
    ]
    own = [
        Offer(f"own-{index}", f"S{index}", f"t{index}", RESOURCES, attributes(rack, zone))
        for index, (rack, zone, standing) in enumerate(tasks)
        if standing == "waits" and at_home
    ]
    return State(
        wanted=dataclasses.replace(want, placements={Kind.WORKER: placement.read(rules)}),
        connected=True,
        framework_id="f",
        kept_framework_id="f",
        subscribed_at=NOW - 100.0,
        records=records,
        reports={report.task_id: report for report in reports},
        offers={offer.id: offer for offer in (*new, *own)},
    )


def lets(rule: str, offer: Offer, others: Sequence[Record]) -> bool:
    """What Marathon's documentation says of a rule, word for word."""
    field, operator, *rest = rule.split(":")
    value = offer.hostname if field == "hostname" else offer.attributes.get(field)
    there = [other.hostname if field == "hostname" else other.attributes.get(field) for other in others]
    known = Counter(one for one in there if one is not None)
    if value is None:
        return False
    match operator, rest:
        case "UNIQUE", []:
            return value not in there
        case "MAX_PER", [most]:
            return there.count(value) < int(most)
        case "CLUSTER", []:
            return not known or value == min(known, key=lambda one: (-known[one], one))
        case "CLUSTER", [asked]:
            return value == asked
        case "LIKE", ["r[12]"]:
            return value in ("r1", "r2")
        case "GROUP_BY", number:
            if value not in known:
                return True
            return len(known) >= int((number or ["0"])[0]) and known[value] == min(known.values())
    raise AssertionError(rule)


@given(RULES, TASKS, OFFERS, st.booleans())
def test_a_round_launches_where_the_rules_let_it_and_nowhere_else(
    rules: str,
    tasks: Sequence[tuple[str | None, str | None, str]],
    offered: Sequence[tuple[str | None, str | None]],
    at_home: bool,  # waiting tasks are offered their own agents
) -> None:
    state = service(rules, tasks, offered, at_home=at_home)
    counted = {
        record.slot: record
        for record, (_, _, standing) in zip(list(state.records.values())[1:], tasks, strict=True)
        if standing != "gave up"
    }
    to_launch = 4 + sum(standing == "gave up" for _, _, standing in tasks)
    for answer in answers(state, openings(state, NOW), NOW):
        assert isinstance(answer, Launch | Decline)
        slot = answer.records[0].slot if isinstance(answer, Launch) else answer.slot
        others = [record for other, record in counted.items() if other != slot]
        fits = all(lets(rule, answer.offer, others) for rule in rules.split(";"))
        if isinstance(answer, Decline):
            assert not fits or to_launch == 0, f"{answer} beside {others}"
            continue
        assert fits, f"{answer} beside {others}"
        [record] = answer.records
        counted[record.slot] = record
        to_launch -= record.hostname.startswith("n")
    assert decide(state, NOW) == decide(state, NOW)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 12))
def test_one_round_is_spread_evenly(racks: list[str], count: int) -> None:
    state = service("rack:GROUP_BY", (), [(rack, None) for rack in racks])
    state = dataclasses.replace(state, wanted=dataclasses.replace(state.wanted, workers=count))
    launched = Counter(
        answer.offer.attributes["rack"]
        for answer in answers(state, openings(state, NOW), NOW)
        if isinstance(answer, Launch)
    )
    there = Counter(racks)
    assert max(launched.values()) - min(launched[rack] for rack in there) <= 1 or len(there) > count
    if min(there.values()) * len(there) >= count:
        assert sum(launched.values()) == count
