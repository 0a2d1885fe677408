"""JSON to model and back: Mesos's events as a real master sent them, and records that are read again later."""

from __future__ import annotations

import collections
import dataclasses
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from framework import wire
from framework.model import (
    GroupEntry,
    HistoryEntry,
    Kept,
    Kind,
    Mount,
    MountRecord,
    Offer,
    Range,
    Record,
    Resource,
    Secret,
    TaskState,
    Volume,
)
from framework.paths import NO_LIMIT, Attributes, TtlAction, WantedPath

OWNER = wire.Owner("alluxio", "framework-1", "ops")

RECORD = Record(
    Kind.WORKER, 2, 7, "S1", "127.0.0.11", {"rpc": 21000, "web": 21001}, "c0ffee", 1795443183.25, formatted=True
)


def trace(traces: Path, *kinds: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (traces / "scheduler.jsonl").read_text().splitlines()]
    return [line["body"] for line in lines if line["kind"] == "event" and line["body"]["type"] in kinds]


def event(document: dict[str, Any]) -> wire.MesosEvent:
    return wire.mesos_event(json.dumps(document).encode())


# Mesos's events -------------------------------------------------------------------------------------------------------


def test_the_recorded_offers(traces: Path) -> None:
    [first, *_] = trace(traces, "OFFERS")
    offers = event(first).offers
    assert offers is not None
    assert wire.model_offers(offers, OWNER)[0] == Offer(
        id="bc007d0a-b129-4043-b701-7258ebd732a7-O19",
        agent_id="bc007d0a-b129-4043-b701-7258ebd732a7-S0",
        hostname="127.0.0.12",
        resources=(
            Resource("ports", "trace-role", ranges=(Range(21000, 22999),)),
            Resource("cpus", "trace-role", 2000),
            Resource("mem", "trace-role", 6_000_000),
            Resource("disk", "trace-role", 20_000_000),
        ),
        attributes={"agent": "a2", "rack": "r1"},
        unavailable_from=None,
    )


def test_every_recorded_event_is_read(traces: Path) -> None:
    seen: collections.Counter[str] = collections.Counter()
    for document in trace(
        traces, "SUBSCRIBED", "OFFERS", "RESCIND", "UPDATE", "FAILURE", "ERROR", "HEARTBEAT", "MESSAGE"
    ):
        read = event(document)
        seen[read.type] += 1
        if read.offers is not None:
            assert [offer.id for offer in wire.model_offers(read.offers, OWNER)] == [
                offer["id"]["value"] for offer in document["offers"]["offers"]
            ]
        if read.update is not None:
            status = document["update"]["status"]
            assert TaskState(read.update.status.state) == status["state"]
            assert read.update.status.uuid == status.get("uuid", "")
    assert min(seen[kind] for kind in ("SUBSCRIBED", "OFFERS", "RESCIND", "UPDATE", "ERROR", "HEARTBEAT")) > 0


def offer_of(*resources: dict[str, Any], **more: Any) -> Offer:
    document = {
        "type": "OFFERS",
        "offers": {
            "offers": [
                {"id": {"value": "O"}, "agent_id": {"value": "S"}, "hostname": "h", "resources": resources, **more}
            ]
        },
    }
    offers = event(document).offers
    assert offers is not None
    [offer] = wire.model_offers(offers, OWNER)
    return offer


CPUS = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}, "allocation_info": {"role": "alluxio"}}


def test_a_fraction_of_a_cpu_is_exact() -> None:  # C17
    assert offer_of(CPUS | {"scalar": {"value": 0.30000000000000004}}).resources[0].thousandths == 300


@pytest.mark.parametrize(
    "extra",
    [
        {"revocable": {}},
        {"shared": {}},
        {"provider_id": {"value": "p"}},
        {"name": "disk", "disk": {"persistence": {"id": "v"}}},
        {"name": "gpus"},
    ],
)
def test_resources_that_carry_no_task_are_left_out(extra: dict[str, Any]) -> None:  # C17
    assert offer_of(CPUS, CPUS | extra).resources == (Resource("cpus", "alluxio", 100),)


def test_a_reservation_is_kept_letter_for_letter() -> None:
    reservations = [{"type": "DYNAMIC", "role": "alluxio", "labels": {"labels": [{"key": "ä", "value": "1"}]}}]
    [resource] = offer_of(CPUS | {"reservations": reservations}).resources
    assert wire.mesos_resources([resource]) == [CPUS | {"reservations": reservations}]


OURS = {
    "alluxio-mesos.service": "alluxio",
    "alluxio-mesos.framework": "framework-1",
    "alluxio-mesos.slot": "worker-0",
    "alluxio-mesos.tier": "ssd",
}
DISK = {"name": "disk", "type": "SCALAR", "scalar": {"value": 64.0}, "allocation_info": {"role": "alluxio"}}
VOLUME = {"persistence": {"id": "vol-1"}, "volume": {"mode": "RW", "container_path": "ssd"}}


def reserved(labels: dict[str, str]) -> dict[str, Any]:
    entries = [{"key": key, "value": value} for key, value in labels.items()]
    return DISK | {"reservations": [{"type": "DYNAMIC", "role": "alluxio", "labels": {"labels": entries}}]}


def test_a_volume_of_ours_is_held_for_its_slot_and_named_letter_for_letter() -> None:
    document = reserved(OURS) | {"disk": VOLUME}
    offer = offer_of(CPUS, document, reserved(OURS))
    assert offer.resources == (Resource("cpus", "alluxio", 100),)
    volume, bare = offer.holdings
    assert (volume.slot, volume.tier, volume.persistence_id, volume.size) == ("worker-0", "ssd", "vol-1", 64)
    assert (bare.slot, bare.tier, bare.persistence_id, bare.size) == ("worker-0", "ssd", "", 64)
    assert (volume.own, bare.own) == (True, True)
    assert wire.mesos_resources([volume.resource, bare.resource]) == [document, reserved(OURS)]


def test_a_volume_of_the_same_service_under_another_framework_id_is_told_apart() -> None:
    [holding] = offer_of(CPUS, reserved(OURS | {"alluxio-mesos.framework": "framework-0"}) | {"disk": VOLUME}).holdings
    assert (holding.slot, holding.persistence_id, holding.own) == ("worker-0", "vol-1", False)


@pytest.mark.parametrize(
    "document",
    [
        reserved(OURS | {"alluxio-mesos.service": "other"}) | {"disk": VOLUME},
        reserved(OURS | {"alluxio-mesos.service": "other"}),
        reserved(OURS | {"alluxio-mesos.slot": ""}),
        reserved({"slot": "worker-1"}) | {"disk": VOLUME},  # another framework's
        reserved(OURS) | {"name": "mem"},
        reserved(OURS) | {"disk": VOLUME | {"source": {"type": "MOUNT", "mount": {"root": "/d"}}}},
        reserved(OURS) | {"disk": {"source": {"type": "PATH", "path": {"root": "/d"}}}},
        reserved(OURS) | {"disk": VOLUME, "shared": {}},
        DISK | {"disk": {"source": {"type": "MOUNT", "mount": {"root": "/d"}}}},
    ],
)
def test_what_belongs_to_others_is_never_touched(document: dict[str, Any]) -> None:  # C17 C35
    offer = offer_of(CPUS, document)
    assert (offer.resources, offer.holdings) == ((Resource("cpus", "alluxio", 100),), ())


def test_a_new_volume_is_named_with_principal_and_labels() -> None:
    volume = Volume("ssd", "framework-1.worker-0.1.ssd", 64)
    named = wire.claimed(Resource("disk", "alluxio", 64_000), "worker-0", volume, OWNER)
    reservation = reserved(OURS)["reservations"][0] | {"principal": "ops"}
    disk = {
        "persistence": {"id": "framework-1.worker-0.1.ssd", "principal": "ops"},
        "volume": {"container_path": "ssd", "mode": "RW"},
    }
    assert wire.mesos_resources([named]) == [DISK | {"reservations": [reservation], "disk": disk}]
    [held] = offer_of(*wire.mesos_resources([named])).holdings
    assert (held.slot, held.tier, held.persistence_id, held.size) == ("worker-0", "ssd", volume.persistence_id, 64)
    assert wire.mesos_resources([held.resource]) == wire.mesos_resources([named])


def test_the_recorded_volume_of_a_stranger_is_no_part_of_an_offer(traces: Path) -> None:
    offered = [
        (document["offers"]["offers"], wire.model_offers(offers, OWNER))
        for document in trace(traces, "OFFERS")
        if (offers := event(document).offers) is not None
    ]
    with_volume = [
        read
        for documents, offers in offered
        for document, read in zip(documents, offers, strict=True)
        if any("disk" in resource for resource in document["resources"])
    ]
    assert with_volume
    for offer in with_volume:
        assert offer.holdings == ()
        assert [entry.thousandths for entry in offer.resources if entry.name == "disk"] == [19_936_000]


def test_the_recorded_ends_of_operations(traces: Path) -> None:
    seen = [event(document).update_operation_status for document in trace(traces, "UPDATE_OPERATION_STATUS")]
    statuses = [update.status for update in seen if update is not None]
    assert {status.operation_id.value for status in statuses if status.operation_id is not None} == {"op-1", "op-2"}
    assert {status.state for status in statuses} == {"OPERATION_FINISHED"}
    assert all(status.uuid is not None and status.uuid.value and status.agent_id is not None for status in statuses)


def test_maintenance_is_seen() -> None:  # C17
    assert offer_of(CPUS, unavailability={"start": {"nanoseconds": 5_000_000_000}}).unavailable_from == 5.0


def test_attributes_of_every_type() -> None:
    attributes = [
        {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
        {"name": "level", "type": "SCALAR", "scalar": {"value": 2.5}},
        {"name": "slots", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}, {"begin": 4, "end": 4}]}},
    ]
    attributes += [
        {"name": "size", "type": "SCALAR", "scalar": {"value": 1234567.0}},
        {"name": "disks", "type": "SET", "set": {"item": ["b", "a"]}},
        {"name": "none", "type": "SET", "set": {}},
        {"name": "unordered", "type": "RANGES", "ranges": {"range": [{"begin": 9, "end": 9}, {"begin": 1, "end": 2}]}},
        {"name": "rack", "type": "TEXT", "text": {"value": "the first counts"}},
    ]
    assert offer_of(CPUS, attributes=attributes).attributes == {
        "rack": "r1",
        "level": "2.5",
        "slots": "[1-2,4-4]",
        "size": "1234567",
        "disks": "{a,b}",
        "none": "{}",
        "unordered": "[1-2,9-9]",
    }


def test_the_region_of_a_master() -> None:
    info = {"domain": {"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "eu-1"}}}}
    for said, region in ((info, "eu"), ({}, ""), ({"domain": {}}, ""), (None, "")):
        subscribed = {"framework_id": {"value": "f"}, **({"master_info": said} if said is not None else {})}
        event = wire.mesos_event(json.dumps({"type": "SUBSCRIBED", "subscribed": subscribed}).encode())
        assert wire.region(event) == region
    assert wire.region(wire.mesos_event(b'{"type":"HEARTBEAT"}')) == ""


def test_the_fault_domain_is_two_more_attributes() -> None:
    domain = {"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "eu-1"}}}
    assert offer_of(CPUS, domain=domain).attributes == {"@region": "eu", "@zone": "eu-1"}
    assert offer_of(CPUS, domain={}).attributes == {}


def test_resources_survive_the_way_there_and_back() -> None:
    resources = (Resource("ports", "alluxio", ranges=(Range(1, 2), Range(4, 4))), Resource("cpus", "alluxio", 1))
    assert offer_of(*wire.mesos_resources(resources)).resources == resources


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"type":1}', b'{"type":"OFFERS","offers":3}', b"\xff\xfe{}"])
def test_damage_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.mesos_event(data)


@pytest.mark.parametrize(("begin", "end"), [(0, 65536), (5, 4), (-1, 4)])
def test_ports_that_cannot_be(begin: int, end: int) -> None:
    with pytest.raises(wire.WireError, match="port range"):
        offer_of({"name": "ports", "ranges": {"range": [{"begin": begin, "end": end}]}})


def test_the_leading_master_of_the_recorded_zookeeper(traces: Path) -> None:
    nodes = json.loads((traces / "ha-and-auth.json").read_text())["zookeeper"]
    infos = [node for path, node in sorted(nodes.items()) if "json.info" in path]
    assert [wire.master_address(json.dumps(info).encode()) for info in infos] == [
        "127.0.0.1:5550",
        "127.0.0.1:5450",
        "127.0.0.1:5350",
    ]


@pytest.mark.parametrize(
    ("info", "address"),
    [
        ({"hostname": "m", "port": 5051}, "m:5051"),
        ({"address": {"hostname": "m", "port": 5050}}, "m:5050"),
        ({"address": {"hostname": "m", "ip": "10.0.0.1", "port": 5050}, "hostname": "n"}, "10.0.0.1:5050"),
    ],
)
def test_addresses_of_masters(info: dict[str, Any], address: str) -> None:
    assert wire.master_address(json.dumps(info).encode()) == address


def test_a_damaged_master_info() -> None:
    with pytest.raises(wire.WireError):
        wire.master_address(b"\x00\x01")


# Records --------------------------------------------------------------------------------------------------------------


VERSION_1: dict[str, Any] = {
    "version": 1,
    "kind": "worker",
    "index": 2,
    "attempt": 7,
    "agent_id": "S1",
    "hostname": "127.0.0.11",
    "ports": {"rpc": 21000, "web": 21001},
    "configuration": "c0ffee",
    "launched_at": 1795443183.25,
    "formatted": True,
}
MARKS: dict[str, Any] = {
    "deployed": True,
    "masters": ["127.0.0.11:31000"],
    "volumes": [{"tier": "ssd", "persistence_id": "alluxio-worker-2-ssd", "size": 1024}],
}


def test_a_record_as_it_lies_in_the_store() -> None:
    """A change of this text needs a new version and a reader for the old one."""
    assert json.loads(wire.encode_record(RECORD)) == VERSION_1 | {"version": 2}
    volume = Volume("ssd", "alluxio-worker-2-ssd", 1024)
    marked = dataclasses.replace(RECORD, deployed=True, masters=("127.0.0.11:31000",), volumes=(volume,))
    assert json.loads(wire.encode_record(marked)) == VERSION_1 | {"version": 2} | MARKS
    used = dataclasses.replace(marked, volumes=(dataclasses.replace(volume, used=True),))
    assert json.loads(wire.encode_record(used))["volumes"] == [MARKS["volumes"][0] | {"used": True}]
    placed = dataclasses.replace(RECORD, attributes={"rack": "r1", "@zone": "eu-1"})
    assert json.loads(wire.encode_record(placed)) == VERSION_1 | {
        "version": 4,
        "attributes": {"rack": "r1", "@zone": "eu-1"},
    }


def test_a_record_of_the_first_version_is_read_and_counts_as_deployed() -> None:
    assert wire.decode_record(json.dumps(VERSION_1).encode()) == dataclasses.replace(RECORD, deployed=True)


records = st.builds(
    Record,
    st.sampled_from(Kind),
    st.integers(0, 100_000),
    st.integers(1, 2**53),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.integers(0, 65535)),
    st.text(),
    st.floats(0, 1e11),
    st.booleans(),
    st.booleans(),
    st.lists(st.text()).map(tuple),
    st.lists(st.builds(Volume, st.text(), st.text(), st.integers(1, 2**31), st.booleans())).map(tuple),
    attributes=st.dictionaries(st.text(), st.text()),
)


@given(records)
def test_records_survive_the_way_there_and_back(record: Record) -> None:
    assert wire.decode_record(wire.encode_record(record)) == record


def test_a_version_of_the_future_is_refused_by_name() -> None:
    document = json.loads(wire.encode_record(RECORD)) | {"version": 5}
    with pytest.raises(wire.WireError, match="has version 5; this release reads versions 1 to 4"):
        wire.decode_record(json.dumps(document).encode())


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        wire.encode_record(RECORD)[:-3],
        wire.encode_record(RECORD).replace(b'"worker"', b'"walker"'),
        wire.encode_record(RECORD).replace(b'"version"', b'"verse"'),
        wire.encode_record(dataclasses.replace(RECORD, hostname="h")).replace(b'"h"', b"\xff"),
    ],
)
def test_a_damaged_record(damage: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_record(damage)


def test_the_forgotten_slots() -> None:
    retired = {"worker-2": 7, "worker-10": 1}
    assert wire.decode_retired(wire.encode_retired(retired)) == retired
    with pytest.raises(wire.WireError):
        wire.decode_retired(b'{"worker-2":"x"}')


# The history, the layout and the whole state --------------------------------------------------------------------------

ENTRY = HistoryEntry(7, 1795443183.25, "c0ffee", 3, None, 0, {"workers": "all", "worker-heap": "512MB"})


def test_an_entry_of_the_history_as_it_lies_in_the_store() -> None:
    """A change of this text needs a new version and a reader for the old one."""
    assert json.loads(wire.encode_history_entry(ENTRY)) == {
        "version": 1,
        "number": 7,
        "at": 1795443183.25,
        "configuration": "c0ffee",
        "masters": 3,
        "workers": None,
        "proxies": 0,
        "options": {"workers": "all", "worker-heap": "512MB"},
    }
    assert wire.decode_history_entry(wire.encode_history_entry(ENTRY)) == ENTRY
    newer = wire.encode_history_entry(ENTRY).replace(b'"version":1', b'"version":6')
    with pytest.raises(
        wire.WireError, match="has version 6; this release reads versions 1 to 5: run the release that wrote"
    ):
        wire.decode_history_entry(newer)


def test_an_entry_with_workers_left_out_is_a_newer_one() -> None:
    entry = dataclasses.replace(ENTRY, workers=1, released=(0, 2))
    written = json.loads(wire.encode_history_entry(entry))
    assert (written["version"], written["released"]) == (2, [0, 2])
    assert wire.decode_history_entry(wire.encode_history_entry(entry)) == entry


def test_an_entry_with_groups_is_a_newer_one() -> None:
    groups = (GroupEntry("hdd", None), GroupEntry("ssd", 2, {"worker-ssd": "1GB"}, (0,)))
    entry = dataclasses.replace(ENTRY, groups=groups)
    written = json.loads(wire.encode_history_entry(entry))
    assert (written["version"], written["groups"]) == (
        4,
        [
            {"name": "hdd", "count": None},
            {"name": "ssd", "count": 2, "options": {"worker-ssd": "1GB"}, "released": [0]},
        ],
    )
    assert wire.decode_history_entry(wire.encode_history_entry(entry)) == entry


MOUNT = Mount("/s3", "s3://bucket/a", {"s3a.secretKey": Secret("key"), "x": "1"}, readonly=True)


def test_an_entry_with_mounts_is_a_newer_one() -> None:
    entry = dataclasses.replace(ENTRY, mounts=(MOUNT, Mount("/t", "/nfs")))
    written = json.loads(wire.encode_history_entry(entry))
    assert (written["version"], written["mounts"]) == (
        5,
        [
            {
                "path": "/s3",
                "uri": "s3://bucket/a",
                "options": {"s3a.secretKey": {"secret": "key"}, "x": "1"},
                "readonly": True,
            },
            {"path": "/t", "uri": "/nfs"},
        ],
    )
    assert wire.decode_history_entry(wire.encode_history_entry(entry)) == entry


def test_the_mounts_that_were_made() -> None:
    mounts = {"/s3": MountRecord(MOUNT, "f/1", 7.5, proved=True), "/t": MountRecord(Mount("/t", "/nfs"), "f/2", 8.0)}
    assert wire.decode_mounts(wire.encode_mounts(mounts)) == mounts
    kept = dataclasses.replace(KEPT, mounts=mounts)
    assert wire.decode_state(wire.encode_state(kept)) == kept
    assert json.loads(wire.encode_state(kept))["version"] == 2
    with pytest.raises(wire.WireError, match="the list of mounts cannot be read"):
        wire.decode_mounts(b'[{"mount": {}}]')


def test_a_record_of_a_group_is_a_newer_one() -> None:
    record = dataclasses.replace(RECORD, group="worker-ssd")
    written = json.loads(wire.encode_record(record))
    assert (written["version"], written["group"]) == (3, "worker-ssd")
    assert "group" not in json.loads(wire.encode_record(RECORD))
    assert wire.decode_record(wire.encode_record(record)) == record


@pytest.mark.parametrize("group", ["worker-", "worker-9", "master", "proxy-a", "worker-default", "walker-a"])
def test_a_record_of_a_group_that_cannot_be_is_refused(group: str) -> None:
    document = json.loads(wire.encode_record(RECORD)) | {"version": 3, "group": group}
    with pytest.raises(wire.WireError, match="which cannot be"):
        wire.decode_record(json.dumps(document).encode())


def test_the_layout() -> None:
    assert (wire.decode_layout(None), wire.decode_layout(wire.encode_layout())) == (1, wire.LAYOUT_VERSION)


KEPT = Kept("framework-1", {RECORD.slot: RECORD}, {"worker-9": 3}, (ENTRY,))


def test_a_state_survives_the_way_there_and_back() -> None:
    assert wire.decode_state(wire.encode_state(KEPT)) == KEPT
    assert wire.decode_state(wire.encode_state(Kept())) == Kept()
    head = json.loads(wire.encode_state(KEPT))
    assert (head["format"], head["version"]) == ("alluxio-mesos state", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, 'it is no exported state: "format" must be "alluxio-mesos state"'),
        (
            {"version": 3},
            "it has version 3; this release reads versions 1 to 2: run the release that wrote it, or a newer one",
        ),
        ({"records": [{}]}, "it cannot be read: "),
        ({"colour": "red"}, "it cannot be read: "),
        ({"records": [json.loads(wire.encode_record(RECORD))] * 2}, "it holds two records of one slot"),
        ({"history": [json.loads(wire.encode_history_entry(ENTRY))] * 2}, "the numbers of its history do not rise"),
    ],
)
def test_a_document_that_cannot_be_imported(change: dict[str, Any], message: str) -> None:
    with pytest.raises(wire.WireError, match=message):
        wire.decode_state(json.dumps(json.loads(wire.encode_state(KEPT)) | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{}"])
def test_what_is_no_state_at_all(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_state(data)


# What is wanted of paths ----------------------------------------------------------------------------------------------

PATHS = (
    WantedPath("/a", Attributes(pinned=True)),
    WantedPath("/ä", Attributes(ttl=60.5, ttl_action=TtlAction.DELETE, replication_min=0, replication_max=NO_LIMIT)),
)


def test_what_is_wanted_of_paths_as_it_lies_in_the_store() -> None:
    assert wire.decode_paths(wire.encode_paths(PATHS)) == PATHS
    assert json.loads(wire.encode_paths(PATHS[:1])) == {"version": 1, "paths": [{"path": "/a", "pinned": True}]}
    with pytest.raises(wire.WireError, match="what is wanted of paths has version 2; this scheduler reads version 1"):
        wire.decode_paths(b'{"version": 2, "paths": []}')
    with pytest.raises(wire.WireError, match="what is wanted of paths cannot be read"):
        wire.decode_paths(b'{"version": 1, "paths": [{"path": "/a", "colour": "red"}]}')


def test_it_is_exported_with_the_state_where_there_is_any() -> None:
    kept = dataclasses.replace(KEPT, paths=PATHS)
    assert wire.decode_state(wire.encode_state(kept)) == kept
    assert "paths" not in json.loads(wire.encode_state(KEPT))
