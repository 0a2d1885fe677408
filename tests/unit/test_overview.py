"""The service at one look."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from framework import mounts, plans
from framework.config import Configuration, read
from framework.model import (
    CacheReport,
    CachingWorker,
    Failure,
    GroupEntry,
    HistoryEntry,
    Kind,
    Mount,
    MountPoint,
    MountRecord,
    Record,
    Refusal,
    Report,
    TaskState,
)
from framework.namespace import MARK
from framework.overview import (
    MANY,
    MOST,
    MOST_PATHS,
    GroupShown,
    Overview,
    PathShown,
    Tone,
    Usage,
    Verdict,
    overview,
    size,
)
from framework.paths import ABSENT, NO_LIMIT, NO_TTL, NOT_YET, Attributes, WantedPath
from framework.planner import State
from framework.plans import Phase, Plan, Status, Step
from framework.series import Sample
from framework.state import MountCall
from stage import wanted, with_groups

NOW = 1000.0
GIB = 2**30


def configuration() -> Configuration:
    found = read({"mesos": "m:1", "zookeeper": "z:1", "under-storage": "/d", "artefacts": "/a"})
    assert isinstance(found, Configuration)
    return found


def record(kind: Kind, index: int, agent: str) -> Record:
    return Record(kind, index, 1, f"S-{agent}", agent, {"rpc": 1, "web": 2}, "configuration-1", 900.0, deployed=True)


def report(of: Record, word: TaskState = TaskState.RUNNING, message: str = "") -> Report:
    return Report(of.task_id, word, of.agent_id, NOW - 5, NOW - 5, word is TaskState.RUNNING, message)


def cluster(workers: int = 2) -> State:
    records = [record(Kind.MASTER, 0, "agent-0")]
    records += [record(Kind.WORKER, index, f"agent-{index + 1}") for index in range(workers)]
    tiers = (("MEM", GIB, GIB // 2), ("SSD", 3 * GIB, 0))
    return State(
        wanted=wanted(workers=workers),
        records={record.slot: record for record in records},
        reports={record.task_id: report(record) for record in records},
        connected=True,
        master="m:5050",
        framework_id="framework-1",
        trouble="",
        cache=CacheReport(
            "agent-0:1",
            "",
            tuple(CachingWorker(record.hostname, 1, 4 * GIB, GIB // 2, True, tiers) for record in records[1:]),
            NOW,
        ),
    )


def killed(state: State, slot: str) -> State:
    ended = state.records[slot]
    cache = dataclasses.replace(
        state.cache, workers=tuple(worker for worker in state.cache.workers if worker.host != ended.hostname)
    )
    reports = {**state.reports, ended.task_id: report(ended, TaskState.FAILED, "it was killed")}
    return dataclasses.replace(state, reports=reports, cache=cache, failures={slot: Failure(1, NOW, "it was killed")})


def looked_at(
    state: State,
    trouble: str = "",
    samples: tuple[Sample, ...] = (),
    *more: Plan,
    kept_paths: Mapping[str, str] = MappingProxyType({}),
    pages: bool = True,
) -> Overview:
    found = (plans.deployment(state, NOW), plans.recovery(state, NOW), *more)
    return overview(state, configuration(), trouble, samples, found, kept_paths, NOW, pages=pages)


def test_all_is_well() -> None:
    found = looked_at(cluster())
    assert found.verdict == Verdict(Tone.GOOD, "All is well", "Alluxio serves with 2 workers.")
    assert (found.cache, found.live_workers, found.wanted_workers) == (Usage("", 8 * GIB, GIB), 2, 2)
    assert found.tiers == (Usage("MEM", 2 * GIB, GIB), Usage("SSD", 6 * GIB, 0))
    assert [tier.percent for tier in found.tiers] == [50.0, 0.0]
    assert found.idle == "Nothing is left to do."
    assert found.reasons == ("Everything that is wanted runs: offers are declined, or none is asked for.",)
    assert found.links == (("Alluxio master-0 (primary)", "http://agent-0:2"), ("Mesos", "http://m:5050"))


@pytest.mark.parametrize(
    ("changed", "trouble", "expected"),
    [
        ({}, "ZooKeeper is away", Verdict(Tone.BAD, "The scheduler cannot do its work", "ZooKeeper is away")),
        (
            {"connected": False, "trouble": "the stream ended"},
            "",
            Verdict(Tone.BAD, "The scheduler cannot do its work", "the stream ended"),
        ),
        (
            {"cache": CacheReport(None, "no master answers")},
            "",
            Verdict(Tone.BAD, "Alluxio does not answer", "no master answers"),
        ),
        (
            {"cache": CacheReport(), "records": {}, "reports": {}},
            "",
            Verdict(Tone.BUSY, "Alluxio is being started", "master-0: it waits for an agent that fits"),
        ),
        (
            {"wanted": wanted(workers=3)},
            "",
            Verdict(Tone.BUSY, "Being deployed: 4 of 5 steps are done", "worker-2: it waits for an agent that fits"),
        ),
    ],
)
def test_what_is_wrong_is_said_first(changed: dict[str, object], trouble: str, expected: Verdict) -> None:
    state = dataclasses.replace(cluster(), **changed)  # type: ignore[arg-type]
    assert looked_at(state, trouble).verdict == expected


def test_only_pages_that_are_there_are_linked() -> None:
    def pages_of(found: Overview) -> list[str]:
        return [task.page for agent in found.agents for task in agent.tasks]

    proxy = record(Kind.PROXY, 0, "agent-0")
    state = cluster(1)
    state = dataclasses.replace(
        state,
        records={**state.records, proxy.slot: proxy},
        reports={**state.reports, proxy.task_id: report(proxy)},
    )
    assert pages_of(looked_at(state)) == ["http://agent-0:2", "", "http://agent-1:2"], "a proxy speaks S3 there"
    bundled = looked_at(state, pages=False)
    assert (pages_of(bundled), bundled.links) == (["", "", ""], (("Mesos", "http://m:5050"),))


def test_a_killed_worker_is_being_brought_back() -> None:
    found = looked_at(killed(cluster(), "worker-1"))
    assert (found.verdict.tone, found.verdict.headline) == (Tone.BUSY, "1 task is being brought back")
    assert found.verdict.detail.startswith("worker-1: it waits ")
    [agent] = [agent for agent in found.agents if agent.hostname == "agent-2"]
    [task] = agent.tasks
    assert (agent.tone, task.phase, task.message, task.tiers, task.page) == (
        Tone.BAD,
        "waiting",
        "it was killed",
        (),
        "",
    )
    both = looked_at(killed(killed(cluster(), "worker-1"), "worker-0"))
    assert both.verdict.headline == "2 tasks are being brought back"


def test_workers_that_leave_are_no_trouble() -> None:
    leaving = Plan("decommission", (Phase("worker-1", (Step("persist", Status.STARTING, "3 files are left"),)),))
    found = looked_at(cluster(), "", (), leaving)
    assert found.verdict == Verdict(Tone.BUSY, "1 worker is leaving", "worker-1: persist: 3 files are left")
    assert [(plan.title, plan.done, plan.steps) for plan in found.plans] == [
        ("Deployment", 4, 4),
        ("Decommission", 0, 1),
    ]


def test_a_slot_that_fails_again_and_again_says_when_and_why() -> None:
    state = killed(cluster(), "worker-1")
    state = dataclasses.replace(state, failures={"worker-1": Failure(4, NOW, "no disk is left")})
    [reason] = looked_at(state).reasons
    assert reason == "worker-1 failed 4 times and is launched again in 4 s: no disk is left."


def test_refusals_are_grouped_the_most_frequent_first() -> None:
    refusals = (
        Refusal("S1", "agent-9", "it already has worker-0", 5.0),
        Refusal("S2", "small-1", "offers 512 MiB of 1280 MiB memory", 6.0),
        Refusal("S3", "small-2", "worker-2: offers 256 MiB of 1280 MiB memory", 7.0),
    )
    found = looked_at(dataclasses.replace(cluster(), refusals=refusals))
    assert [(group.title, group.count, group.agents, group.sentence, group.at) for group in found.refused] == [
        ("Too little memory", 2, 2, "small-2: worker-2: offers 256 MiB of 1280 MiB memory", 7.0),
        ("The agent has one already", 1, 1, "agent-9: it already has worker-0", 5.0),
    ]
    idle = [(agent.hostname, agent.reason) for agent in found.agents if agent.tone is Tone.IDLE]
    assert idle[0] == ("agent-9", "it already has worker-0")


def test_agents_stand_in_the_order_of_their_numbers() -> None:
    names = [agent.hostname for agent in looked_at(cluster(12)).agents]
    assert names == [f"agent-{number}" for number in range(13)]


def test_of_many_agents_those_in_trouble_come_first_and_there_is_an_end() -> None:
    found = looked_at(killed(cluster(MANY + 5), "worker-40"))
    assert (found.is_large, found.agents[0].hostname, found.agents[1].hostname) == (True, "agent-41", "agent-0")
    huge = looked_at(cluster(MOST + 10))
    assert (len(huge.agents), huge.more_agents) == (MOST, 11)


def test_slots_without_an_agent_are_named_up_to_a_number() -> None:
    found = looked_at(dataclasses.replace(cluster(2), wanted=wanted(workers=20)))
    assert (found.waiting[0], len(found.waiting), found.more_waiting) == ("worker-2", 8, 10)
    [deploy] = found.plans
    assert (deploy.done, deploy.steps, len(deploy.open), deploy.more) == (4, 22, 6, 12)


def grouped(*entries: GroupEntry) -> State:
    """With two workers of the default group, and one of ssd."""
    state = cluster(2)
    want = with_groups(state.wanted, entries)
    groups = {
        name: dataclasses.replace(group, count=entry.count)
        for (name, group), entry in zip(want.groups.items(), entries, strict=True)
    }
    of_ssd = dataclasses.replace(record(Kind.WORKER, 0, "agent-9"), group="worker-ssd")
    return dataclasses.replace(
        state,
        wanted=dataclasses.replace(want, groups=groups),
        records={**state.records, of_ssd.slot: of_ssd},
        reports={**state.reports, of_ssd.task_id: report(of_ssd)},
        history=(HistoryEntry(1, NOW, "configuration-1", 1, 2, 0, {}, groups=entries),),
    )


def test_groups_are_shown_where_there_are_several() -> None:
    assert looked_at(cluster()).groups == ()
    found = looked_at(grouped(GroupEntry("hdd", None), GroupEntry("ssd", 2, {"size": "large"})))
    assert found.groups == (
        GroupShown("default", 2, 2, {}),
        GroupShown("hdd", None, 0, {}),
        GroupShown("ssd", 2, 1, {"size": "large"}),
    )
    assert found.wanted_workers is None
    assert looked_at(grouped(GroupEntry("ssd", 2))).wanted_workers == 4


def test_a_group_that_goes_is_shown_until_its_last_worker_has_left() -> None:
    assert looked_at(grouped()).groups == (GroupShown("default", 2, 2, {}), GroupShown("ssd", 0, 0, {}))


def test_wanted_paths_the_most_urgent_first() -> None:
    asked = (
        WantedPath("/a", Attributes(pinned=True)),
        WantedPath("/b", Attributes(ttl=3600.0)),
        WantedPath("/c", Attributes(replication_min=2, replication_max=NO_LIMIT)),
        WantedPath("/d", Attributes(ttl=NO_TTL)),
    )
    state = dataclasses.replace(cluster(), paths=asked)
    found = looked_at(state, kept_paths={"/a": "", "/b": ABSENT, "/c": "it is full"})
    assert found.paths == (
        PathShown("/c", "at least 2 copies, no limit of copies", Tone.BAD, "failing", "it is full"),
        PathShown("/b", "ttl 1h, free", Tone.BUSY, "waiting", ABSENT),
        PathShown("/d", "no ttl", Tone.BUSY, "waiting", NOT_YET),
        PathShown("/a", "pinned", Tone.GOOD, "made", ""),
    )
    assert found.verdict == Verdict(Tone.BAD, "1 path is not as wanted", "/c: it is full")
    two = looked_at(state, kept_paths={"/a": "it is away", "/c": "it is full"})
    assert two.verdict == Verdict(Tone.BAD, "2 paths are not as wanted", "/a: it is away")
    # What has not come yet is nobody's trouble.
    assert looked_at(state).verdict.headline == "All is well"
    many = tuple(WantedPath(f"/{number}", Attributes(pinned=True)) for number in range(MOST_PATHS + 2))
    assert looked_at(dataclasses.replace(state, paths=many)).more_paths == 2
    assert (found.made_paths, looked_at(cluster()).made_paths) == ("1 of 4 as wanted", "")


def test_storages_the_most_urgent_first() -> None:
    lake, failing = Mount("/lake", "s3://lake"), Mount("/zoo", "s3://zoo")
    state = cluster()
    points = (MountPoint("/", "/d"), MountPoint("/a", "/mnt/a"), MountPoint("/lake", lake.uri, {MARK: "f/1"}))
    state = dataclasses.replace(
        state,
        wanted=dataclasses.replace(state.wanted, mounts=(lake, failing)),
        cache=dataclasses.replace(state.cache, mounts=points),
        mounts={"/lake": MountRecord(lake, "f/1", 900.0, proved=True)},
        mount_calls={"/zoo": MountCall(failing, 1, NOW - 9, answered_at=NOW - 8, reason="there is no bucket")},
    )
    found = looked_at(state, "", (), mounts.plan(state, NOW))
    assert found.verdict.detail == "/zoo: there is no bucket; it is tried again in 0 s"
    assert "mounts" not in [shown.name for shown in found.plans], "below it is told of each"
    assert [(shown.path, shown.standing) for shown in found.mounts] == [
        ("/zoo", "failing"),
        ("/", "mounted"),
        ("/lake", "mounted"),
        ("/a", "foreign"),
    ]
    assert (found.mounted, looked_at(cluster()).mounted) == ("1 of 2 as wanted", "")


def test_the_last_hour() -> None:
    assert looked_at(cluster()).charts is None
    charts = looked_at(cluster(), "", (Sample(10.0, 100, 10), Sample(25.0, 80, 20, 30, 10))).charts
    assert charts is not None
    assert (charts.since, charts.until, charts.top, charts.hit_percent, charts.read) == (10.0, 25.0, 100, 75.0, 40)
    assert (len(charts.used.lines), len(charts.hits.lines)) == (1, 1)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (1536, "1.5 KiB"), (4 * GIB, "4 GiB"), (2**62, "4,194,304 TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
