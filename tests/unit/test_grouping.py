"""Groups of workers: what a call changes, what their tasks are launched with, and that they outlive a scheduler."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from framework import config, configuring, grouping
from framework.configuring import Configured
from framework.grouping import GroupChange
from framework.matching import answers
from framework.memory import after, newly_wanted, resumed
from framework.messages import Decided, Decline, KeepWanted, Launch, Wished
from framework.model import (
    CacheReport,
    GroupEntry,
    HistoryEntry,
    Kept,
    Kind,
    Offer,
    Range,
    Record,
    Report,
    Resource,
    TaskState,
    parse_task_id,
)
from framework.planner import State, decide, evolve
from framework.state import is_leaving, openings, wanted_slots

NOW = 1000.0
OWN = {"mesos": "m:1", "zookeeper": "z:1", "under-storage": "/d", "artefacts": "/a", "workers": "1"}
PORTS = {"rpc": 1, "web": 2, "job_rpc": 3, "job_web": 4, "job_data": 5}
MASTER = Record(Kind.MASTER, 0, 1, "S0", "127.0.0.11", PORTS, "c", 0.0, formatted=True, deployed=True)


def service(**values: str) -> State:
    """A master that serves, and nothing else yet."""
    found = configuring.configured({**OWN, **values}, {})
    assert isinstance(found, Configured), found
    state = State(
        wanted=found.configuration.wanted,
        connected=True,
        framework_id="f",
        kept_framework_id="f",
        records={MASTER.slot: dataclasses.replace(MASTER, configuration=found.configuration.ids[Kind.MASTER])},
        reports={MASTER.task_id: Report(MASTER.task_id, TaskState.RUNNING, "S0", 1.0, 1.0, healthy=True)},
        cache=CacheReport("127.0.0.11:1", ""),
    )
    return evolve(state, Decided((KeepWanted(found.entry(state, NOW)),), NOW))


def offer(number: int, memory: int = 8192, **attributes: str) -> Offer:
    resources = (
        Resource("cpus", "*", 4000),
        Resource("mem", "*", memory * 1000),
        Resource("disk", "*", 20_000_000),
        Resource("ports", "*", 0, (Range(21000, 21099),)),
    )
    return Offer(f"O{number}", f"S{number}", f"127.0.0.{10 + number}", resources, attributes)


def changed(
    state: State, name: str, count: int | None, options: dict[str, str] | None = None, *remove: str
) -> GroupChange:
    found = grouping.changed(OWN, state, name, count, options, remove, NOW)
    assert isinstance(found, GroupChange), found
    return found


def then(state: State, change: GroupChange) -> State:
    assert change.entry is not None
    asked = evolve(state, Wished(change.entry, change.wanted))
    return evolve(asked, Decided((KeepWanted(change.entry),), NOW))


def offered(state: State, *offers: Offer) -> dict[str, list[str] | str]:
    """What becomes of each offer, by hostname: the slots that are launched there, or why none is."""
    state = dataclasses.replace(state, offers={one.id: one for one in offers})
    found: dict[str, list[str] | str] = {}
    for answer in answers(state, openings(state, NOW), NOW):
        match answer:
            case Launch():
                found[answer.offer.hostname] = [record.slot for record in answer.records]
            case Decline():
                found[answer.offer.hostname] = answer.reason
            case _:
                raise AssertionError(answer)
    return found


def running(state: State, slot: str, number: int) -> State:
    kind, name, _ = parse_task_id(f"{slot}.1") or (None, "", 0)
    assert kind is not None
    assert name == slot
    group, _, index = slot.rpartition("-")
    record = Record(kind, int(index), 1, f"S{number}", f"127.0.0.{10 + number}", PORTS,
                    state.wanted.configuration_of(group), 0.0, deployed=True, group=group)  # fmt: skip
    report = Report(record.task_id, TaskState.RUNNING, record.agent_id, 1.0, 1.0, healthy=True)
    return dataclasses.replace(
        state,
        records={**state.records, slot: record},
        reports={**state.reports, record.task_id: report},
    )


def test_a_group_gets_workers_of_its_own_beside_the_default_ones() -> None:
    state = then(service(), changed(service(), "ssd", 2, {"worker-ssd": "10GB", "worker-ram": "2GB"}))
    assert [slot for group in state.wanted.all_groups for slot in wanted_slots(state, group)] == [
        "master-0",
        "worker-0",
        "worker-ssd-0",
        "worker-ssd-1",
    ]
    need, plain = state.wanted.need("worker-ssd"), state.wanted.need("worker")
    assert need is not None
    assert plain is not None
    assert (need.memory - plain.memory, need.disk - plain.disk) == (1024, 10240)
    assert state.wanted.configuration_of("worker-ssd") != state.wanted.configuration_of("worker")
    found = offered(state, *(offer(number) for number in range(2, 6)))
    assert found == {
        "127.0.0.12": ["worker-ssd-0"],
        "127.0.0.13": ["worker-ssd-1"],
        "127.0.0.14": ["worker-0"],
        "127.0.0.15": "there is nothing to launch",
    }


def test_its_tasks_are_launched_with_its_options() -> None:
    change = changed(service(), "ssd", 2, {"worker-ssd": "10GB"})
    then_wanted = change.wanted.configuration_of("worker-ssd")
    launching = {key: one for found in change.launching for key, one in config.by_ids(found).items()}
    assert launching[then_wanted].worker_ssd == 10240
    assert launching[change.wanted.configuration_of("worker")].worker_ssd == 0


def test_a_group_goes_where_its_placement_lets_it() -> None:
    options = {"worker-placement": "disk:IS:ssd"}
    state = then(service(workers="all"), changed(service(workers="all"), "ssd", None, options))
    found = offered(state, offer(2, disk="hdd"), offer(3, disk="ssd"), offer(4), offer(5, disk="ssd"))
    assert found == {
        "127.0.0.12": ["worker-0"],
        "127.0.0.13": ["worker-ssd-0"],
        "127.0.0.14": ["worker-1"],
        "127.0.0.15": ["worker-ssd-1"],
    }


def test_no_agent_gets_two_workers() -> None:
    state = running(then(service(), changed(service(), "a", 1)), "worker-0", 2)
    assert offered(state, offer(2)) == {"127.0.0.12": "it already has worker-0"}


def test_the_smaller_group_takes_what_the_larger_cannot() -> None:
    state = then(service(), changed(service(), "big", 1, {"worker-ram": "6GB"}))
    assert offered(state, offer(2, memory=4096)) == {"127.0.0.12": ["worker-0"]}


def test_another_number_keeps_the_options() -> None:
    state = then(service(), changed(service(), "ssd", 2, {"worker-ssd": "10GB"}))
    change = changed(state, "ssd", 3)
    assert (change.scale.start, change.restarts, dict(change.options)) == (
        ("worker-ssd-2",),
        [],
        {"worker-ssd": "10GB"},
    )
    after_it = then(state, change)
    assert after_it.history[-1].groups == (GroupEntry("ssd", 3, {"worker-ssd": "10GB"}),)
    assert grouping.changed(OWN, after_it, "ssd", 3, None, (), NOW).entry is None  # type: ignore[union-attr]


def test_other_options_restart_those_that_run_and_nobody_else() -> None:
    state = then(service(), changed(service(), "ssd", 2, {"worker-ssd": "10GB"}))
    state = running(running(running(state, "worker-0", 2), "worker-ssd-0", 3), "worker-ssd-1", 4)
    assert changed(state, "ssd", 1, {"worker-ssd": "20GB"}, "worker-ssd-0").restarts == ["worker-ssd-1"]
    assert changed(state, "ssd", 2, {"worker-ssd": "10GB", "worker-placement": "rack:IS:r1"}).restarts == []


def test_a_group_that_goes_is_drained_first() -> None:
    state = then(service(), changed(service(), "ssd", 1))
    state = running(running(state, "worker-0", 2), "worker-ssd-0", 3)
    found = grouping.removed(OWN, state, "ssd", NOW)
    assert isinstance(found, GroupChange)
    assert ([record.slot for record in found.scale.stop], found.scale.before) == (["worker-ssd-0"], 1)
    gone = then(state, found)
    assert (gone.wanted.groups, gone.history[-1].groups) == ({}, ())
    assert is_leaving(gone, gone.records["worker-ssd-0"])
    assert not any("Kill" in type(effect).__name__ for effect in decide(gone, NOW))
    assert grouping.names(gone) == ["default", "ssd"]
    assert grouping.as_document(gone, "ssd", NOW)["leaving"][0]["slot"] == "worker-ssd-0"
    back = then(gone, changed(gone, "ssd", 1))
    assert not is_leaving(back, back.records["worker-ssd-0"])


def test_it_outlives_the_scheduler() -> None:
    state = then(service(), changed(service(), "ssd", None, {"worker-ssd": "10GB"}))
    kept = Kept(history=state.history)
    held = configuring.resumed(OWN, kept)
    assert isinstance(held, Configured)
    again = resumed(kept, held.own_wanted, held.options)
    assert again.groups == state.wanted.groups
    assert newly_wanted(kept, again, held.options, NOW, held.given) == ()
    fewer = after(kept, newly_wanted(kept, again, {**held.options, "masters": "3"}, NOW, held.given))
    assert fewer.history[-1].groups == state.history[-1].groups


def test_another_configuration_of_all_concerns_the_groups_too() -> None:
    state = then(service(), changed(service(), "ssd", 1, {"worker-ram": "2GB"}))
    state = running(running(state, "worker-0", 2), "worker-ssd-0", 3)
    for asked, restarts in (
        ({"worker-ram": "3GB"}, ["worker-0"]),
        ({"worker-heap": "1GB"}, ["worker-0", "worker-ssd-0"]),
    ):
        found = configuring.changed(OWN, state, asked)
        assert isinstance(found, Configured)
        assert configuring.change_document(state, found, state, dry_run=True)["restarts"] == restarts
        assert found.wanted(state).groups["worker-ssd"].count == 1


def test_what_a_group_cannot_be_with_is_told_with_its_name() -> None:
    state = then(service(), changed(service(), "ssd", 1, {"worker-ram": "2GB"}))
    assert grouping.changed(OWN, state, "ssd", 1, {"worker-ram": "1MB"}, (), NOW) == [
        "group ssd: worker-ram: 1 MiB is too little; Alluxio needs at least 16 MiB"
    ]


def test_a_group_without_a_tier_needs_no_volumes() -> None:
    own = {**OWN, "persistent-volumes": "yes", "worker-ssd": "1GB"}
    entry = GroupEntry("plain", 1, {"worker-ssd": "0"})
    found = configuring.configured(own, {}, (entry,))
    assert isinstance(found, Configured)
    assert found.own_wanted.groups["worker-plain"].need.volumes == ()
    assert found.own_wanted.needs[Kind.WORKER].volumes != ()


@pytest.mark.parametrize(
    ("name", "count", "options", "told"),
    [
        ("SSD", 1, None, "name: 'SSD' is no name of a group"),
        ("9", 1, None, "name: '9' is no name of a group"),
        ("ssd-1", 1, None, "name: 'ssd-1' is no name of a group"),
        ("s" * 33, 1, None, "is no name of a group"),
        ("default", 1, {}, "options: those of the default group are changed with PUT /v1/config"),
        (
            "ssd",
            1,
            {"worker-properties": "a.secret=x"},
            "options: worker-properties: a secret is kept nowhere; give it",
        ),
        ("ssd", 1, {"master-heap": "1GB"}, "options: 'master-heap' is none of a group's own; allowed: worker-cpus"),
        ("ssd", 10_000, None, "count: 10000 and the 1 workers of the other groups are more than the 10000"),
        ("ssd", 1, {"worker-placement": "rack"}, "group ssd: worker-placement: 'rack' is no constraint"),
    ],
)
def test_mistakes(name: str, count: int, options: Any, told: str) -> None:
    found = grouping.changed(OWN, service(), name, count, options, (), NOW)
    assert isinstance(found, list)
    assert len(found) == 1
    assert told in found[0]


def test_there_are_at_most_so_many_groups() -> None:
    names = [chr(ord("a") + number % 26) * (1 + number // 26) for number in range(grouping.MOST)]
    last = dataclasses.replace(service().history[-1], groups=tuple(GroupEntry(name, 0) for name in sorted(names)))
    state = dataclasses.replace(service(), history=(last,))
    found = grouping.changed(OWN, state, "one-more", 1, None, (), NOW)
    assert isinstance(found, list)
    assert "at most 50 are allowed" in found[0]
    assert isinstance(grouping.changed(OWN, state, names[0], 1, None, (), NOW), GroupChange)


def test_what_waits_is_asked_for_anew_when_it_needs_something_else() -> None:
    """Agents that were of no use to the group may be now."""
    state = then(service(), changed(service(), "big", 1, {"worker-ram": "30GB"}))
    asked = dataclasses.replace(state, revived_for=frozenset(opening.wish for opening in openings(state, NOW)))
    assert then(asked, changed(asked, "big", 1, {"worker-ram": "3GB"})).revived_for == frozenset()


def test_one_more_of_a_group_is_another_wish_than_one_more_of_another() -> None:
    """Else nobody would ask for the second group's offers while the first waits for its next agent."""
    state = then(service(workers="all"), changed(service(workers="all"), "a", None))
    wishes = {opening.wish for opening in openings(state, NOW)}
    assert {(wish.group, wish.slot) for wish in wishes} == {("worker", ""), ("worker-a", "")}


def test_an_entry_that_another_scheduler_wrote_says_how_many() -> None:
    state = then(service(), changed(service(), "ssd", 2))
    entry = HistoryEntry(9, NOW, "c", 1, 1, 0, {}, groups=(GroupEntry("ssd", 5, {}, (1,)),))
    group = evolve(state, Decided((KeepWanted(entry),), NOW)).wanted.groups["worker-ssd"]
    assert (group.count, group.released) == (5, frozenset({1}))


# The groups that a service begins with -------------------------------------------------------------------------------


def first(**groups: Any) -> tuple[GroupEntry, ...] | list[str]:
    values = {**OWN, "worker-groups": json.dumps(groups)}
    read = config.read(values)
    assert isinstance(read, config.Configuration), read
    return grouping.first(values, read)


def test_a_service_begins_with_the_groups_of_its_options() -> None:
    entries = first(ssd={"count": "all", "options": {"worker-ssd": "2GB"}}, big={"count": 2})
    assert entries == (GroupEntry("big", 2), GroupEntry("ssd", None, {"worker-ssd": "2GB"}))
    held = configuring.resumed(OWN, Kept(), entries)
    assert isinstance(held, Configured)
    wanted = resumed(Kept(), held.own_wanted, held.options, entries)
    assert {name: group.count for name, group in wanted.groups.items()} == {"worker-big": 2, "worker-ssd": None}
    assert wanted.groups["worker-ssd"].need.disk == wanted.groups["worker-big"].need.disk + 2048
    [effect] = newly_wanted(Kept(), wanted, held.options, NOW, held.given, entries)
    assert effect.entry.groups == entries


def test_after_the_first_start_the_api_alone_says_which_groups_there_are() -> None:
    entries = first(ssd={"count": 3})
    assert isinstance(entries, tuple)
    state = then(service(), changed(service(), "big", 1))
    kept = Kept(history=state.history)
    held = configuring.resumed(OWN, kept, entries)
    assert isinstance(held, Configured)
    wanted = resumed(kept, held.own_wanted, held.options, entries)
    assert set(wanted.groups) == {"worker-big"}
    written = newly_wanted(kept, wanted, {**held.options, "masters": "3"}, NOW, held.given, entries)
    assert [group.name for group in written[0].entry.groups] == ["big"]


def test_groups_that_were_all_removed_do_not_come_back() -> None:
    entries = first(ssd={"count": 3})
    assert isinstance(entries, tuple)
    held = configuring.resumed(OWN, Kept(history=service().history), entries)
    assert isinstance(held, Configured)
    assert held.groups == {}


def test_mistakes_in_the_first_groups_have_the_words_of_the_api() -> None:
    found = first(
        SSD={"count": 1},
        a={"count": -1},
        b={"count": True, "options": {"worker-ram": 2}},
        c={"count": 1, "options": {"worker-ram": "1MB", "master-heap": "1GB", "worker-properties": "a.secret=x"}},
        d={"count": 1, "options": {"worker-ram": "1MB"}},
        e={"count": 10_000},
    )
    assert isinstance(found, list)
    assert [mistake.partition("; ")[0] for mistake in found] == [
        "'SSD': name: 'SSD' is no name of a group",
        "'a': count: -1 is not allowed",
        "'b': count: True is not allowed",
        "'b': options: 'worker-ram' has the value 2",
        "'c': options: 'master-heap' is none of a group's own",
        "'c': options: worker-properties: a secret is kept nowhere",
        "'d': group d: worker-ram: 1 MiB is too little",
        "'e': count: 10000 and the 1 workers of the other groups are more than the 10000 that one service may have",
    ]
