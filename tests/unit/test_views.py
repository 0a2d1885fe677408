"""The state as people and scripts see it."""

from __future__ import annotations

import dataclasses

import pytest

from framework import views
from framework.config import Configuration, read
from framework.messages import CacheSeen, Disconnected
from framework.model import (
    CacheReport,
    CachingWorker,
    Failure,
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
from framework.paths import Attributes, WantedPath
from framework.planner import State, evolve
from framework.state import MountCall
from framework.views import Phase
from stage import wanted

MASTER = Record(Kind.MASTER, 0, 1, "S1", "127.0.0.11", {"rpc": 21000, "web": 21001}, "c", 1000.0, formatted=True)
WORKER = Record(Kind.WORKER, 0, 3, "S2", "127.0.0.12", {"rpc": 21000, "web": 21001}, "c", 1000.0)
CACHING = CachingWorker("127.0.0.12", 21000, capacity=1000, used=10, live=True)
LOST = CachingWorker("127.0.0.13", 21000, capacity=5000, used=50, live=False)


def configuration() -> Configuration:
    found = read({"mesos": "m:5050", "zookeeper": "z:2181/x", "under-storage": "/data", "artefacts": "/srv"})
    assert isinstance(found, Configuration)
    return found


def report(record: Record, state: TaskState, *, healthy: bool = False) -> Report:
    return Report(record.task_id, state, record.agent_id, 1010.0, 1005.0, healthy, "a message")


def state(*reports: Report, cache: CacheReport = CacheReport()) -> State:  # frozen
    return State(
        wanted=wanted(workers=2),
        records={"worker-0": WORKER, "master-0": MASTER},
        reports={report.task_id: report for report in reports},
        connected=True,
        master="127.0.0.1:5050",
        framework_id="framework-1",
        trouble="",
        cache=cache,
    )


RUNNING = state(
    report(MASTER, TaskState.RUNNING, healthy=True),
    report(WORKER, TaskState.RUNNING, healthy=True),
    cache=CacheReport("127.0.0.11:21000", "", (CACHING, LOST), 1010.0),
)


@pytest.mark.parametrize(
    ("word", "healthy", "phase"),
    [
        (TaskState.STAGING, False, Phase.STAGING),
        (TaskState.STARTING, False, Phase.STARTING),
        (TaskState.RUNNING, False, Phase.STARTING),
        (TaskState.RUNNING, True, Phase.RUNNING),
        (TaskState.KILLING, True, Phase.STOPPING),
        (TaskState.UNREACHABLE, False, Phase.UNREACHABLE),
        (TaskState.FAILED, False, Phase.WAITING),
    ],
)
def test_the_phases_of_a_worker(word: TaskState, healthy: bool, phase: Phase) -> None:
    assert views.phase(state(report(WORKER, word, healthy=healthy)), "worker-0", frozenset(), 1010.0) == phase


def test_the_other_phases() -> None:
    assert views.phase(RUNNING, "worker-1", frozenset(), 1010.0) == Phase.WAITING
    assert views.phase(RUNNING, "master-0", frozenset(), 1010.0) == Phase.READY
    assert views.phase(RUNNING, "worker-0", frozenset({("127.0.0.12", 21000)}), 1010.0) == Phase.REGISTERED
    assert views.phase(state(), "worker-0", frozenset(), 1010.0) == Phase.STAGING
    failed = dataclasses.replace(
        state(report(WORKER, TaskState.FAILED)), failures={"worker-0": Failure(3, 1010.0, "a reason")}
    )
    assert views.phase(failed, "worker-0", frozenset(), 1010.0) == Phase.DELAYED


def test_the_status() -> None:
    document = views.status(RUNNING, configuration(), {}, 1010.0)
    assert document == {
        "service": "alluxio",
        "configuration": "configuration-1",
        "wanted": {"masters": 1, "workers": 2, "proxies": 0, "groups": {}},
        "waiting_for": {},
        "tasks": [
            {
                "slot": "master-0",
                "phase": "ready",
                "task_id": "master-0.1",
                "agent_id": "S1",
                "hostname": "127.0.0.11",
                "ports": {"rpc": 21000, "web": 21001},
                "state": "TASK_RUNNING",
                "ready": True,
                "message": "a message",
                "since": 1005.0,
            },
            {
                "slot": "worker-0",
                "phase": "registered",
                "task_id": "worker-0.3",
                "agent_id": "S2",
                "hostname": "127.0.0.12",
                "ports": {"rpc": 21000, "web": 21001},
                "state": "TASK_RUNNING",
                "ready": True,
                "message": "a message",
                "since": 1005.0,
                "capacity_bytes": 1000,
                "used_bytes": 10,
            },
            {"slot": "worker-1", "phase": "waiting"},
        ],
        "mounts": {"wanted": 0, "made": 0, "failing": 0},
        "paths": {"wanted": 0, "made": 0, "failing": 0},
        "not_as_wanted": [],
        "alluxio": {
            "leader": "127.0.0.11:21000",
            "reason": "",
            "capacity_bytes": 1000,
            "used_bytes": 10,
            "live_workers": 1,
        },
    }


def test_the_status_says_which_storages_and_paths_are_not_as_wanted_and_why() -> None:
    there, failing, gone = Mount("/a", "s3://a"), Mount("/s3", "s3://b"), Mount("/gone", "s3://c", readonly=True)
    points = [MountPoint(mount.path, mount.uri, {MARK: "f/1"}, mount.readonly) for mount in (there, gone)]
    pinned = Attributes(pinned=True)
    found = dataclasses.replace(
        RUNNING,
        wanted=dataclasses.replace(RUNNING.wanted, mounts=(there, failing)),
        cache=dataclasses.replace(RUNNING.cache, mounts=(MountPoint("/", "/data"), *points)),
        mounts={mount.path: MountRecord(mount, "f/1", 1000.0, proved=True) for mount in (there, gone)},
        mount_calls={"/s3": MountCall(failing, 1, 1009.0, answered_at=1009.5, reason="there is no bucket b")},
        paths=(WantedPath("/done", pinned), WantedPath("/late", pinned), WantedPath("/full", pinned)),
    )
    document = views.status(found, configuration(), {"/done": "", "/full": "it is full"}, 1010.0)
    assert document["mounts"] == {"wanted": 2, "made": 1, "failing": 1}
    assert document["paths"] == {"wanted": 3, "made": 1, "failing": 1}
    assert [tuple(one.values()) for one in document["not_as_wanted"]] == [
        ("mount", "/s3", "s3://b", "failing", "there is no bucket b; it is tried again in 0 s"),
        ("mount", "/gone", "s3://c", "leaving", "it is being unmounted"),
        ("path", "/full", "pinned", "failing", "it is full"),
        ("path", "/late", "pinned", "waiting", "nobody has looked yet"),
    ]
    assert list(document["not_as_wanted"][0]) == ["kind", "path", "wanted", "state", "reason"]
    unknown = dataclasses.replace(found, cache=CacheReport(None, "no master answers"))
    told = views.status(unknown, configuration(), {}, 1010.0)["not_as_wanted"]
    assert {(one["state"], one["reason"]) for one in told if one["kind"] == "mount"} == {
        ("unknown", "no master answers")
    }


def test_what_is_waited_for_and_why_it_failed() -> None:  # C27, kafka#225
    failed = dataclasses.replace(
        state(report(MASTER, TaskState.FAILED)), failures={"master-0": Failure(3, 1009.0, "exit code 137")}
    )
    document = views.status(failed, configuration(), {}, 1010.0)
    assert document["waiting_for"] == {"worker": "no Alluxio master is ready yet"}
    assert document["tasks"][0]["phase"] == "delayed"
    assert document["tasks"][0]["failure"] == {"count": 3, "reason": "exit code 137", "next_launch_in_seconds": 1.0}


def test_the_endpoints() -> None:  # alluxio#16675
    assert views.endpoints(RUNNING, configuration(), "http://127.0.0.1:8080") == {
        "api": "http://127.0.0.1:8080",
        "mesos": "http://127.0.0.1:5050",
        "zookeeper": "z:2181",
        "alluxio": {
            "uri": "alluxio://127.0.0.11:21000/",
            "leader": "127.0.0.11:21000",
            "leader_path": None,
            "web": "http://127.0.0.11:21001",
            "masters": ["127.0.0.11:21000"],
            "workers": ["127.0.0.12:21000"],
            "proxies": [],
        },
    }


def test_the_names_that_dcos_gives_are_shown_where_it_gives_some() -> None:
    domain = "alluxio.l4lb.thisdcos.directory"
    with_names = dataclasses.replace(configuration(), vips="yes")
    masters = {"master": f"master.{domain}:19998", "web": f"web.{domain}:19999"}
    assert views.endpoints(RUNNING, with_names, "http://h:1")["alluxio"]["vips"] == masters
    with_proxies = dataclasses.replace(with_names, proxies=2)
    assert views.endpoints(RUNNING, with_proxies, "")["alluxio"]["vips"] == masters | {"s3": f"s3.{domain}:39999"}
    assert "vips" not in views.endpoints(RUNNING, dataclasses.replace(with_names, masters=3), "")["alluxio"]


def test_endpoints_without_a_leader() -> None:
    leaderless = evolve(RUNNING, CacheSeen(CacheReport(None, "nobody answers")))
    alluxio = views.endpoints(leaderless, configuration(), "http://h:1")["alluxio"]
    assert (alluxio["leader"], alluxio["web"]) == (None, None)


def test_the_health_is_the_schedulers_own() -> None:  # C31
    assert views.health(RUNNING, 1000.0, 1010.0) == {
        "healthy": True,
        "connected": True,
        "reason": "",
        "mesos": "127.0.0.1:5050",
        "framework_id": "framework-1",
        "seconds_since_heard": 10.0,
    }
    apart = evolve(RUNNING, Disconnected("the stream ended", 1010.0))
    document = views.health(apart, 0.0, 1010.0)
    assert (document["healthy"], document["reason"], document["seconds_since_heard"]) == (
        False,
        "the stream ended",
        None,
    )


def test_the_last_refusals_come_first() -> None:  # C18
    refused = dataclasses.replace(
        RUNNING, refusals=(Refusal("S1", "h1", "worker-1: offers …", 1.0), Refusal("S2", "h2", "no", 2.0))
    )
    assert views.offers(refused) == {
        "waiting": 0,
        "suppressed": False,
        "refused": [
            {"agent_id": "S2", "hostname": "h2", "reason": "no", "at": 2.0},
            {"agent_id": "S1", "hostname": "h1", "reason": "worker-1: offers …", "at": 1.0},
        ],
    }


def test_the_next_agent_s_worker_is_not_shown() -> None:
    everywhere = dataclasses.replace(RUNNING, wanted=wanted(workers=None))
    assert views.slots(everywhere) == ["master-0", "worker-0"]
    assert views.slots(dataclasses.replace(RUNNING, wanted=wanted(workers=0))) == ["master-0", "worker-0"]
