"""Another configuration: what may change, what that would restart, and that it holds over the scheduler's end."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

import pytest

from framework import config, configuring, launch, scaling
from framework.config import Configuration
from framework.configuring import Configured
from framework.memory import after
from framework.messages import Decided, KeepWanted, Wished
from framework.model import GroupEntry, Kept, Kind, Mount, Record
from framework.planner import State, evolve

NOW = 1000.0
OWN = {"mesos": "m:1", "zookeeper": "z:1", "under-storage": "/d", "artefacts": "/a", "properties": "a.b=1;a.secret=x"}
PORTS = {"rpc": 1, "web": 2, "job_rpc": 3, "job_web": 4, "job_data": 5}
RECORDS = {kind: Record(kind, 0, 1, "S0", "127.0.0.11", PORTS, "c", 0.0) for kind in Kind}
# For each option that tasks could depend on: another text.
OTHER: Final = {
    "under-storage-jars": "http://mirror/under-storage.jar",
    "worker-ram": "2GB",
    "worker-heap": "640MB",
    "worker-direct": "640MB",
    "worker-cpus": "2",
    "worker-disk": "9GB",
    "worker-ssd": "1GB",
    "worker-hdd": "1GB",
    "job-worker-heap": "320MB",
    "master-heap": "640MB",
    "master-direct": "200MB",
    "master-cpus": "2",
    "master-disk": "9GB",
    "job-master-heap": "320MB",
    "proxy-cpus": "2",
    "proxy-heap": "640MB",
    "properties": "a.b=2",
    "java-options": "-Da=b",
    "environment": "A=b",
    **dict.fromkeys(("master-properties", "job-master-properties", "proxy-properties"), "c.d=2"),
    **dict.fromkeys(("worker-properties", "job-worker-properties"), "c.d=2"),
    **dict.fromkeys(("master-java-options", "job-master-java-options", "proxy-java-options"), "-Dc=d"),
    **dict.fromkeys(("worker-java-options", "job-worker-java-options"), "-Dc=d"),
    **dict.fromkeys(("master-environment", "worker-environment", "proxy-environment"), "C=d"),
    "worker-rpc-port": "31001",
    "worker-web-port": "31002",
    "job-worker-rpc-port": "31003",
    "job-worker-data-port": "31004",
    "job-worker-web-port": "31005",
    "proxy-port": "31006",
    "secret-environment": "E=f/g",
    "secret-files": "e.pem=f/g",
    "image": "registry/jre:17",
    "network": "dcos",
    "vips": "yes",
    "bind": "any",
    "python": "/opt/python3",
    "stop-timeout": "50s",
    "java-uri": "http://mirror/jre.tar.gz",
    "alluxio-uri": "http://mirror/alluxio.tar.gz",
    "executor-uri": "http://mirror/executor.pyz",
    "stickiness": "1m",
    "unreachable-grace": "1m",
    "launch-timeout": "1m",
    "decommission-drain": "1s",
    "unavailable-workers": "50%",
    "leftover-volumes": "keep",
    "master-placement": "rack:IS:r1",
    "worker-placement": "rack:LIKE:r[12]",
    "proxy-placement": "hostname:UNLIKE:db.*",
    "proxies": "1",
}


def configured(values: dict[str, str], **overrides: str) -> Configured:
    found = configuring.configured(values, {name.replace("_", "-"): text for name, text in overrides.items()})
    assert isinstance(found, Configured), found
    return found


def state_of(found: Configured) -> State:
    """The service as it is when the scheduler has just been started with this."""
    state = State(wanted=found.configuration.wanted)
    return evolve(state, Decided((KeepWanted(found.entry(state, NOW)),), NOW))


def changed(state: State, **asked: str | None) -> Configured:
    found = configuring.changed(OWN, state, {name.replace("_", "-"): text for name, text in asked.items()})
    assert isinstance(found, Configured), found
    return found


def then(state: State, found: Configured) -> State:
    wish = Wished(found.entry(state, NOW), found.wanted(state), configuring.policy(found.configuration))
    return evolve(evolve(state, wish), Decided((KeepWanted(wish.entry),), NOW))


def launched(configuration: Configuration, kind: Kind) -> str:
    """All that a task of this kind is launched with."""
    jars = configuration.under_storage_jars
    sources = launch.Sources(configuration.executor_uri, configuration.alluxio_uri, configuration.java_uri, jars)
    info: dict[str, Any] = launch.task_info(configuration, sources, "f", RECORDS[kind], (), [RECORDS[Kind.MASTER]])
    return json.dumps([info, dataclasses.asdict(configuration.needs[kind])], sort_keys=True)


def test_each_option_that_may_change_is_looked_at() -> None:
    missing = {option.name for option in config.OPTIONS} - set(OTHER) - set(config.FIXED)
    hdfs = {"hdfs-principal", "hdfs-keytab", "hdfs-keytab-secret"}  # which are nothing without each other
    assert missing - hdfs == {"persistent-volumes", "network-labels"}  # … without a tier, or a network


@pytest.mark.parametrize("name", OTHER)
def test_what_launches_other_tasks_has_another_id_and_nothing_else_has(name: str) -> None:  # C29
    base, other = configured(OWN).configuration, configured({**OWN, name: OTHER[name]}).configuration
    differ = {kind for kind in Kind if base.ids[kind] != other.ids[kind]}
    assert differ == {kind for kind in Kind if launched(base, kind) != launched(other, kind)}
    assert (base.id != other.id) == bool(differ)


def test_a_change_holds_and_says_what_it_restarts() -> None:
    state = state_of(configured(OWN))
    records = {f"{kind.value}-0": dataclasses.replace(record, configuration=state.wanted.configuration_of(kind))
               for kind, record in RECORDS.items()}  # fmt: skip
    state = dataclasses.replace(state, records={slot: records[slot] for slot in ("worker-0", "master-0")})
    found = changed(state, worker_ram="2GB")
    document = configuring.change_document(state, found, state, dry_run=True)
    assert document["changed"] == [{"name": "worker-ram", "before": "1GB", "after": "2GB"}]
    assert document["restarts"] == ["worker-0"]
    assert configuring.change_document(state, changed(state, stickiness="1m"), state, dry_run=True)["restarts"] == []
    after_it = then(state, changed(state, stickiness="1m"))
    assert (after_it.policy.stickiness, after_it.history[-1].number) == (60.0, 2)
    assert then(state, found).wanted.needs[Kind.WORKER] == found.configuration.needs[Kind.WORKER]
    both = configuring.change_document(state, changed(state, properties="a.b=2"), state, dry_run=True)
    assert both["restarts"] == ["master-0", "worker-0"]


def test_a_change_holds_after_a_restart_until_the_scheduler_is_started_with_another_text() -> None:
    state = state_of(configured(OWN))
    kept = Kept(history=then(state, changed(state, worker_ram="2GB", stickiness="1m")).history)
    again = configuring.resumed(OWN, kept)
    assert isinstance(again, Configured)
    assert (again.configuration.worker_ram, again.configuration.stickiness) == (2048, 60.0)
    assert dict(again.configuration.properties)["a.secret"] == "x"  # the texts that nobody changed are its own
    other = configuring.resumed({**OWN, "worker-ram": "3GB"}, kept)
    assert isinstance(other, Configured)
    assert (other.configuration.worker_ram, other.configuration.stickiness) == (3072, 60.0)
    assert dict(other.given) == {"stickiness": "10m"}


def test_null_takes_a_change_back() -> None:
    state = state_of(configured(OWN))
    state = then(state, changed(state, worker_ram="2GB", stickiness="1m"))
    found = changed(state, worker_ram=None)
    assert (found.configuration.worker_ram, dict(found.given)) == (1024, {"stickiness": "10m"})
    same = changed(state, worker_ram="1GB")
    assert same == found


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"worker-rum": "1GB"}, "worker-rum: there is no such option"),
        ({"workers": "3"}, "workers: it cannot be changed here: ask PUT /v1/workers"),
        ({"mesos": "m:2"}, "mesos: it cannot be changed here: it is one scheduler process's own"),
        ({"journal-folder": "/j"}, "journal-folder: it cannot be changed here: the journal stays"),
        ({"properties": "fs.s3a.secret.key=hidden"}, "properties: a secret is kept nowhere"),
        ({"worker-ram": "12q"}, "worker-ram"),
    ],
)
def test_what_may_not_change_is_told(asked: dict[str, str], told: str) -> None:
    found = configuring.changed(OWN, state_of(configured(OWN)), asked)
    assert isinstance(found, list)
    assert found[0].startswith(told)


def test_all_mistakes_are_told_at_once() -> None:
    bad: dict[str, str | None] = {"worker-ram": "12q", "stickiness": "soon"}
    found = configuring.changed(OWN, state_of(configured(OWN)), bad)
    assert isinstance(found, list)
    assert len(found) == 2


def test_the_way_back() -> None:
    state = state_of(configured(OWN))
    first = state.history[-1].number
    state = then(state, changed(state, worker_ram="2GB", stickiness="1m"))
    state = then(state, changed(state, properties="c.d=3"))
    found = configuring.back_to(OWN, state, first + 1)
    assert isinstance(found, Configured)
    assert found.options == state.history[-2].options
    assert dict(found.configuration.properties) == {"a.b": "1", "a.secret": "x"}
    home = configuring.back_to(OWN, state, first)
    assert isinstance(home, Configured)
    assert (home.configuration, dict(home.given)) == (configured(OWN).configuration, {})
    assert configuring.back_to(OWN, state, 9) == ["number: there is no entry 9; those that are kept: 1 to 3"]
    # It was started with another secret then, which lies nowhere.
    elsewhere = {**OWN, "properties": "a.b=7"}
    assert configuring.back_to(elsewhere, state, first) == [
        f"properties: entry {first} had a secret there, which is kept nowhere; set it anew"
    ]


def test_the_way_back_is_one_of_the_options_alone() -> None:
    """What else was asked for since stays: workers and storages must not go with options that do not work."""
    state = state_of(configured(OWN))
    first = state.history[-1].number
    state = then(state, changed(state, worker_ram="2GB"))
    since = dataclasses.replace(
        scaling.next_entry(state, NOW),
        workers=5,
        released=(1,),
        paused=("update",),
        groups=(GroupEntry("more", 2, {}, (0,)),),
        mounts=(Mount("/lake", "s3://lake"),),
    )
    state = evolve(state, Decided((KeepWanted(since),), NOW))
    found = configuring.back_to(OWN, state, first)
    assert isinstance(found, Configured)
    back = then(state, found)
    said = {"number": first, "at": NOW, "configuration": "", "options": {}, "given": {}}
    assert dataclasses.replace(back.history[-1], **said) == dataclasses.replace(since, **said)
    assert (back.history[-1].options, dict(found.given)) == (state.history[0].options, {})
    assert (back.wanted.workers, back.wanted.released, back.wanted.paused) == (5, {1}, {"update"})
    assert back.wanted.mounts == since.mounts
    group = back.wanted.groups["worker-more"]
    assert (group.count, group.released) == (2, {0})
    assert found.wanted(state) == back.wanted


def test_an_entry_bears_what_a_restart_needs() -> None:
    state = then(state_of(configured(OWN)), changed(state_of(configured(OWN)), worker_ram="2GB"))
    kept = after(Kept(), [KeepWanted(state.history[-1])])
    assert kept.history[-1].given == {"worker-ram": "1GB"}
    assert kept.history[-1].options["properties"] == "a.b=1;a.secret=***"
