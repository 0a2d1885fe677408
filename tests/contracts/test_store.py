"""What every store keeps: one body of tests for the twin in memory and for the real ZooKeeper."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.exceptions import NoAuthError
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

from framework import wire
from framework.memory import Kept, after, newly_wanted
from framework.messages import (
    Erase,
    Forget,
    ForgetMount,
    Keep,
    KeepFrameworkId,
    KeepMount,
    KeepPaths,
    KeepUninstalling,
    Launch,
    MakeMount,
    Suppress,
    Unmount,
)
from framework.model import HistoryEntry, Kind, Mount, MountRecord, Offer, Record, Secret, Volume
from framework.paths import Attributes, TtlAction, WantedPath
from framework.store import MemoryStore, Store, StoreError, StoreRefused, StoreUnavailable
from framework.zookeeper import Session, ZooKeeperStore, connect, read_credentials
from framework.zookeeper.store import BATCH, ELECTION, encode, remove
from stage import wanted
from tcp_proxy import Proxy
from zookeeper_server import ZooKeeperServer

STATES = sorted((Path(__file__).parents[1] / "states").glob("*.json"))
OFFER = Offer("O1", "S1", "127.0.0.11", ())


def record(index: int, attempt: int = 1) -> Record:
    return Record(Kind.WORKER, index, attempt, "S1", "127.0.0.11", {"rpc": 21000}, "c", 1000.5)


def launch(*records: Record) -> Launch:
    return Launch(OFFER, records, ((),) * len(records))


class InMemory:
    def __init__(self) -> None:
        self._store = MemoryStore()

    def open(self) -> Store:
        """What a scheduler that starts now finds."""
        return self._store


class InZooKeeper:
    def __init__(self, server: ZooKeeperServer) -> None:
        self.server = server
        self.path = f"/tests/{uuid.uuid4()}"
        self.sessions: list[Session] = []

    def session(self, credentials: str = "") -> Session:
        self.sessions.append(connect(self.server.address, credentials=credentials))
        return self.sessions[-1]

    def open(self, credentials: str = "", lead: str = "") -> ZooKeeperStore:
        return ZooKeeperStore(self.session(credentials), self.path, lead)

    def close(self) -> None:
        for session in self.sessions:
            session.close()


@pytest.fixture
def in_zookeeper(zookeeper: ZooKeeperServer) -> Iterator[InZooKeeper]:
    place = InZooKeeper(zookeeper)
    yield place
    place.close()


@pytest.fixture(params=["memory", pytest.param("zookeeper", marks=pytest.mark.zookeeper)])
def place(request: pytest.FixtureRequest) -> InMemory | InZooKeeper:
    if request.param == "memory":
        return InMemory()
    found: InZooKeeper = request.getfixturevalue("in_zookeeper")
    return found


# Every store ----------------------------------------------------------------------------------------------------------


def test_a_new_store_holds_nothing(place: InMemory | InZooKeeper) -> None:
    assert place.open().load() == Kept()


def test_what_is_saved_is_there_at_the_next_start(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    store.save([KeepFrameworkId("framework-1")])
    store.save([launch(record(0), record(1)), launch(record(2))])
    store.save([Keep(dataclasses.replace(record(0), formatted=True), "why"), launch(record(1, attempt=2))])
    store.save([Forget("worker-2", 1, "why")])
    assert place.open().load() == Kept(
        "framework-1",
        {"worker-0": dataclasses.replace(record(0), formatted=True), "worker-1": record(1, attempt=2)},
        {"worker-2": 1},
    )


def test_a_slot_that_comes_again_and_goes_again(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    for attempt in (1, 2, 3):
        store.save([launch(record(0, attempt))])
        store.save([Forget("worker-0", attempt, "why")])
    assert place.open().load() == Kept("", {}, {"worker-0": 3})


def test_several_effects_on_one_slot_in_one_call(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    store.save([launch(record(0)), Forget("worker-0", 1, "why"), launch(record(0, attempt=2))])
    assert place.open().load() == Kept("", {"worker-0": record(0, attempt=2)}, {"worker-0": 1})


def test_mounts_are_remembered_from_before_they_are_made(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    made = MountRecord(Mount("/s3", "s3://b", {"s3a.secretKey": Secret("key")}), "f/1", 1.0)
    other = MountRecord(Mount("/t", "/nfs"), "f/2", 2.0)
    store.save([MakeMount(made), MakeMount(other)])
    assert place.open().load() == Kept(mounts={"/s3": made, "/t": other})
    store.save([KeepMount(dataclasses.replace(made, proved=True)), ForgetMount("/t", "why"), Unmount(made, "why")])
    assert place.open().load() == Kept(mounts={"/s3": dataclasses.replace(made, proved=True)})
    store.save([ForgetMount("/s3", "why")])
    assert place.open().load() == Kept()


def test_what_need_not_be_remembered_changes_nothing(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    store.save([Suppress()])
    assert place.open().load() == Kept()


def test_what_was_wanted_is_kept_twenty_times(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    kept = store.load()
    for workers in range(23):
        [effect] = newly_wanted(kept, wanted(workers=workers), {"workers": str(workers)}, 1000.0 + workers)
        store.save([effect])
        kept = place.open().load() if workers > 20 else after(kept, [effect])
        assert newly_wanted(kept, wanted(workers=workers), {"workers": str(workers)}, 5000.0) == ()
    assert [entry.number for entry in kept.history] == list(range(4, 24))
    assert kept.history[-1] == HistoryEntry(23, 1022.0, "configuration-1", 1, 22, 0, {"workers": "22"})


def test_what_is_wanted_of_paths_is_kept(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    pinned = WantedPath("/a", Attributes(pinned=True))
    timed = WantedPath("/a/b", Attributes(ttl=60.5, ttl_action=TtlAction.DELETE, replication_max=-1))
    store.save([KeepPaths((pinned,))])
    store.save([KeepPaths((pinned, timed)), KeepFrameworkId("framework-1")])
    assert place.open().load() == Kept("framework-1", paths=(pinned, timed))
    store = place.open()
    store.load()
    store.save([KeepPaths(())])
    assert place.open().load() == Kept("framework-1")


def test_a_thousand_records(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    store.load()
    records = [record(index) for index in range(1000)]
    store.save([launch(*records)])
    assert place.open().load().records == {entry.slot: entry for entry in records}
    store.save([Forget(entry.slot, entry.attempt, "why") for entry in records])
    assert place.open().load() == Kept("", {}, {entry.slot: 1 for entry in records})


def test_what_is_erased_is_gone_but_for_the_mark_that_it_was_uninstalled(place: InMemory | InZooKeeper) -> None:
    store = place.open()
    kept = store.load()
    store.save(
        [KeepFrameworkId("framework-1"), *newly_wanted(kept, wanted(), {}, 1000.0), launch(record(0), record(1))]
    )
    store.save([Forget("worker-1", 1, "why"), KeepUninstalling()])
    assert place.open().load() == dataclasses.replace(store.load(), uninstalling=True)
    assert place.open().load().framework_id == "framework-1"
    store.save([Erase("why")])
    assert place.open().load() == Kept(uninstalling=True)


# ZooKeeper's own ------------------------------------------------------------------------------------------------------


@pytest.mark.zookeeper
def test_a_stale_writer_fails_instead_of_overwriting(in_zookeeper: InZooKeeper) -> None:  # C6 C35, kafka#82
    old, new = in_zookeeper.open(), in_zookeeper.open()
    old.load()
    old.save([KeepFrameworkId("framework-1"), launch(record(0))])
    new.load()
    new.save([launch(record(0, attempt=2))])
    with pytest.raises(StoreError, match="was changed by another scheduler"):
        old.save([launch(record(0, attempt=2), record(1))])
    with pytest.raises(StoreError, match="was changed by another scheduler"):
        old.save([Forget("worker-0", 1, "why")])
    assert in_zookeeper.open().load() == Kept("framework-1", {"worker-0": record(0, attempt=2)}, {})


@pytest.mark.zookeeper
def test_two_first_writers(in_zookeeper: InZooKeeper) -> None:
    one, other = in_zookeeper.open(), in_zookeeper.open()
    one.load()
    other.load()
    one.save([KeepFrameworkId("framework-1")])
    with pytest.raises(StoreError, match="was changed by another scheduler"):
        other.save([KeepFrameworkId("framework-2")])
    assert in_zookeeper.open().load().framework_id == "framework-1"


@pytest.mark.zookeeper
@pytest.mark.parametrize(
    ("node", "data"),
    [
        ("records/worker-0", b"{"),
        ("records/worker-0", b""),
        ("records/worker-0", b'{"version":0}'),
        ("retired", b"[1]"),
        ("framework-id", b"\xff\xfe"),
        ("history/0000000001", b"{}"),
    ],
)
def test_damage_is_found_at_the_start(in_zookeeper: InZooKeeper, node: str, data: bytes) -> None:
    in_zookeeper.session().client.create(f"{in_zookeeper.path}/{node}", data, makepath=True)
    with pytest.raises(StoreError, match=rf"the state at {in_zookeeper.path} in ZooKeeper is damaged"):
        in_zookeeper.open().load()


@pytest.mark.zookeeper
def test_a_record_under_a_foreign_name_is_damage(in_zookeeper: InZooKeeper) -> None:
    store = in_zookeeper.open()
    store.load()
    store.save([launch(record(0))])
    client = in_zookeeper.session().client
    data, _ = client.get(f"{in_zookeeper.path}/records/worker-0")
    client.create(f"{in_zookeeper.path}/records/worker-5", data)
    with pytest.raises(StoreError, match="node worker-5 holds the record of worker-0"):
        in_zookeeper.open().load()


def test_no_server_is_one_sentence() -> None:
    with pytest.raises(StoreError, match=r"no ZooKeeper server answers at 127\.0\.0\.1:1; start it, or correct"):
        connect("127.0.0.1:1", patience=0.5)


@pytest.mark.zookeeper
def test_who_leads_no_more_writes_no_more(in_zookeeper: InZooKeeper) -> None:  # C6
    """Before the next leader has written anything, too."""
    session = in_zookeeper.session()
    lead = f"{in_zookeeper.path}/election/mine"
    store = in_zookeeper.open(lead=lead)
    session.client.create(lead, b"", makepath=True)
    store.load()
    store.save([KeepFrameworkId("framework-1")])
    session.client.delete(lead)
    with pytest.raises(StoreError, match="was changed by another scheduler, or is gone \\(election/mine: "):
        store.save([launch(record(0))])
    assert in_zookeeper.open().load() == Kept("framework-1")


@pytest.mark.zookeeper
@pytest.mark.parametrize("lost", ["answer", "request"])
def test_a_broken_connection_leaves_no_doubt_about_a_write(in_zookeeper: InZooKeeper, lost: str) -> None:
    proxy = Proxy(in_zookeeper.server.address)
    session = connect(proxy.address)
    try:
        store = ZooKeeperStore(session, in_zookeeper.path)
        store.load()
        store.save([launch(record(0)), launch(record(1))])
        setattr(proxy, f"lose_next_{lost}", True)
        store.save([launch(record(0, attempt=2)), Forget("worker-1", 1, "why")])
        assert proxy.losses == 1
        store.save([launch(record(0, attempt=3))])
        assert in_zookeeper.open().load() == Kept("", {"worker-0": record(0, attempt=3)}, {"worker-1": 1})
    finally:
        session.close()
        proxy.close()


# Removal --------------------------------------------------------------------------------------------------------------


def erase(place: InZooKeeper) -> None:
    """What a scheduler leaves that has uninstalled the service, and Alluxio's masters beside it."""
    store = place.open()
    store.load()
    store.save([KeepFrameworkId("framework-1"), launch(record(0)), KeepUninstalling()])
    store.save([Erase("why")])
    place.session().client.create(f"{place.path}/alluxio/election/a", b"", makepath=True)


@pytest.mark.zookeeper
def test_nothing_of_a_removed_service_is_left(in_zookeeper: InZooKeeper) -> None:
    client = in_zookeeper.session().client
    for path, parent_stays in ((f"/alluxio-mesos/{uuid.uuid4()}", False), (in_zookeeper.path, True)):
        in_zookeeper.path = path
        erase(in_zookeeper)
        remove(in_zookeeper.session(), path)
        assert not client.exists(path)
        # Where the path was chosen, what lies above it is the operator's.
        assert bool(client.exists(path.rpartition("/")[0])) is parent_stays
        remove(in_zookeeper.session(), path)  # once more is fine
        assert in_zookeeper.open().load() == Kept()


@pytest.mark.zookeeper
def test_while_another_scheduler_contends_the_mark_stays(in_zookeeper: InZooKeeper) -> None:
    """Else one that was not told that the service is uninstalled would install it anew."""
    erase(in_zookeeper)
    client = in_zookeeper.session().client
    client.create(f"{in_zookeeper.path}/{ELECTION}/other", b"")
    remove(in_zookeeper.session(), in_zookeeper.path)
    assert in_zookeeper.open().load() == Kept(uninstalling=True)
    client.delete(f"{in_zookeeper.path}/{ELECTION}/other")
    remove(in_zookeeper.session(), in_zookeeper.path)
    assert not client.exists(in_zookeeper.path)


# Layouts --------------------------------------------------------------------------------------------------------------


@pytest.mark.zookeeper
@pytest.mark.parametrize("stored", STATES, ids=lambda stored: stored.stem)
def test_what_earlier_releases_wrote_is_lifted(in_zookeeper: InZooKeeper, stored: Path) -> None:
    found = json.loads(stored.read_text())
    client = in_zookeeper.session().client
    for node, content in found["nodes"].items():
        client.create(f"{in_zookeeper.path}/{node}", content.encode(), makepath=True)
    store = in_zookeeper.open()
    kept = store.load()
    assert kept == wire.decode_state(json.dumps(found["read as"]).encode())
    lifted = {node: client.get(f"{in_zookeeper.path}/{node}")[0] for node in encode(kept)}
    assert lifted == encode(kept)
    assert in_zookeeper.open().load() == kept
    assert lifted == {node: client.get(f"{in_zookeeper.path}/{node}")[0] for node in lifted}
    store.save([launch(record(0, attempt=99))])
    assert in_zookeeper.open().load().records["worker-0"] == record(0, attempt=99)


@pytest.mark.zookeeper
@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            b"3",
            "was written by another release, and this is release .*: the layout has version 3; this release reads "
            "versions 1 to 2: run the release that wrote it, or a newer one; nothing was changed",
        ),
        (b"two", "the version of the layout is 'two'; it must be a whole number"),
        (b"0", "the layout has version 0"),
    ],
)
def test_another_layout_is_refused(in_zookeeper: InZooKeeper, version: bytes, message: str) -> None:
    in_zookeeper.session().client.create(f"{in_zookeeper.path}/version", version, makepath=True)
    with pytest.raises(StoreError, match=message):
        in_zookeeper.open().load()


# Ten thousand workers -------------------------------------------------------------------------------------------------


LIMIT = 1_048_576  # jute.maxbuffer: what a ZooKeeper server takes in one request, and a node holds


@pytest.mark.zookeeper
def test_ten_thousand_workers(in_zookeeper: InZooKeeper) -> None:
    """Sizes are asserted with room to the limit; times are printed."""
    volume = Volume("ssd", "alluxio-worker-9999-ssd-0123456789", 1_000_000)
    masters = ("master-0.example.internal:31000", "master-1.example.internal:31000", "master-2.example.internal:31000")
    ports = dict.fromkeys(("rpc", "web", "job_rpc", "job_data", "job_web"), 31000)
    agent = "b1f3e2d4-1111-2222-3333-444455556666-S9999"
    records = [
        dataclasses.replace(record(index), agent_id=agent, ports=ports, masters=masters, volumes=(volume, volume))
        for index in range(10_000)
    ]
    store = in_zookeeper.open()
    store.load()
    began = time.monotonic()
    store.save([launch(*records)])
    saved = time.monotonic()
    fresh = in_zookeeper.open()
    connected = time.monotonic()
    assert len(fresh.load().records) == 10_000
    loaded = time.monotonic()
    print(f"10,000 records: saved in {saved - began:.2f} s, loaded in {loaded - connected:.2f} s")

    client = in_zookeeper.session().client
    one = max(len(wire.encode_record(entry)) for entry in records)
    assert one < 1024
    assert BATCH * (one + 200) < LIMIT / 4  # a transaction: each record with its path
    _, status = client.get(f"{in_zookeeper.path}/records")
    assert status.children_count == 10_000
    listing = sum(4 + len(slot) for slot in client.get_children(f"{in_zookeeper.path}/records"))
    assert listing < LIMIT / 6
    fresh.save([Forget(entry.slot, entry.attempt, "why") for entry in records])
    data, _ = client.get(f"{in_zookeeper.path}/retired")
    assert len(data) < LIMIT / 6
    print(f"a record {one} bytes, a transaction {BATCH * (one + 200)}, the listing {listing}, `retired` {len(data)}")


# Credentials ----------------------------------------------------------------------------------------------------------


@pytest.mark.zookeeper
def test_only_the_owner_reads_and_writes(in_zookeeper: InZooKeeper) -> None:
    store = in_zookeeper.open(credentials="alluxio:secret")
    store.load()
    store.save([KeepFrameworkId("framework-1"), launch(record(0))])
    owner = in_zookeeper.session(credentials="alluxio:secret")
    for node in ("", "/version", "/framework-id", "/records", "/records/worker-0", "/history", "/election"):
        assert list(owner.client.get_acls(in_zookeeper.path + node)[0]) == [
            make_digest_acl("alluxio", "secret", all=True)
        ]
    # Alluxio's masters bring no credentials to their election.
    in_zookeeper.session().client.create(f"{in_zookeeper.path}/alluxio/election", b"", makepath=True)
    # What lies above is shared with other services.
    assert list(owner.client.get_acls("/tests")[0]) == list(OPEN_ACL_UNSAFE)
    for credentials in ("", "alluxio:wrong"):
        with pytest.raises(StoreRefused, match=f"does not let this identity use {in_zookeeper.path}: its nodes belong"):
            in_zookeeper.open(credentials=credentials).load()
    assert in_zookeeper.open(credentials="alluxio:secret").load().framework_id == "framework-1"


@pytest.mark.zookeeper
def test_an_open_state_is_closed_once_there_are_credentials(in_zookeeper: InZooKeeper) -> None:
    store = in_zookeeper.open()
    store.load()
    store.save([KeepFrameworkId("framework-1"), launch(record(0))])
    assert in_zookeeper.open(credentials="alluxio:secret").load().framework_id == "framework-1"
    stranger = in_zookeeper.session().client
    for node in ("", "/framework-id", "/records/worker-0"):
        with pytest.raises(NoAuthError):
            stranger.get(in_zookeeper.path + node)


def test_what_is_no_credentials(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    for text in ("", "user", ":password", "user:", "user:a\nb:c"):
        file.write_text(text)
        with pytest.raises(StoreUnavailable, match="must hold one line, user:password"):
            read_credentials(str(file), {})
    file.write_text("user:pass:word\n")
    assert read_credentials(str(file), {"ALLUXIO_MESOS_ZOOKEEPER_AUTH": "a:b"}) == "user:pass:word"
    assert read_credentials("", {"ALLUXIO_MESOS_ZOOKEEPER_AUTH": "a:b\n"}) == "a:b"
    assert read_credentials("", {}) == ""
    with pytest.raises(StoreUnavailable, match="cannot be read \\(No such file"):
        read_credentials(str(tmp_path / "none"), {})
