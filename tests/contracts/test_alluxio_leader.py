"""The watch on Alluxio's election against a real ZooKeeper server, with nodes as Alluxio 2.9.6 makes them."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from framework.zookeeper import AlluxioLeader, connect
from zookeeper_server import ZooKeeperServer

pytestmark = pytest.mark.zookeeper


class Election:
    """Plays Alluxio's masters; `heard` is what the watch said."""

    def __init__(self, server: ZooKeeperServer) -> None:
        service = f"/service-{uuid.uuid4()}/alluxio"
        self.path, self.election_path = f"{service}/leader", f"{service}/election"
        self.session = connect(server.address)
        self.client: KazooClient = self.session.client
        self.heard: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.impostors: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
        self.watch = AlluxioLeader(server.address, self.path, self.heard.put, self.election_path, self.impostors.put)

    def take_a_seat(self, address: str, client: KazooClient | None = None) -> str:
        node: str = (client or self.client).create(
            f"{self.election_path}/_c_{uuid.uuid4()}-lock-",
            address.encode(),
            ephemeral=True,
            sequence=True,
            makepath=True,
        )
        return node

    def win(self, address: str) -> None:
        self.client.create(f"{self.path}/{address}", b"127.0.0.1", ephemeral=True, makepath=True)

    def lose(self, address: str) -> None:
        self.client.delete(f"{self.path}/{address}")

    def next(self) -> str | None:
        return self.heard.get(timeout=60)

    def close(self) -> None:
        self.watch.stop()
        self.session.close()


@pytest.fixture
def election(zookeeper: ZooKeeperServer) -> Iterator[Election]:
    made = Election(zookeeper)
    yield made
    made.close()


def test_the_name_of_the_node_is_the_primary(election: Election) -> None:
    election.watch.start()
    election.win("host-a:19998")
    assert election.next() == "host-a:19998"
    election.lose("host-a:19998")
    assert election.next() is None
    election.win("host-b:19998")
    assert election.next() == "host-b:19998"


def test_a_primary_from_before_is_told_at_once(election: Election) -> None:
    election.win("host-a:19998")
    election.watch.start()
    assert election.next() == "host-a:19998"


def test_the_newest_counts_while_a_dead_primary_still_has_its_session(election: Election) -> None:
    election.win("host-b:19998")
    election.win("host-a:19998")
    election.watch.start()
    assert election.next() == "host-a:19998"
    election.lose("host-b:19998")
    election.win("host-c:19998")
    assert election.next() == "host-c:19998", "that the dead one's node went is no news"


def test_who_leads_without_a_seat_is_an_impostor(election: Election, zookeeper: ZooKeeperServer) -> None:
    """The seat is one of an old session, as after ZooKeeper was away: the address alone proves nothing."""
    election.watch.start()
    old_session = connect(zookeeper.address).client
    old_seat = election.take_a_seat("host-a:19998", old_session)
    election.win("host-a:19998")
    assert election.next() == "host-a:19998"
    assert election.impostors.get(timeout=60) == {"host-a:19998"}
    election.client.delete(old_seat)
    election.lose("host-a:19998")
    assert election.impostors.get(timeout=60) == frozenset()
    old_session.stop()
    old_session.close()


def test_who_leads_with_a_seat_is_none(election: Election) -> None:
    election.take_a_seat("host-a:19998")
    election.win("host-a:19998")
    election.watch.start()
    assert election.next() == "host-a:19998"
    election.lose("host-a:19998")
    assert election.next() is None
    assert election.impostors.empty()


def test_it_waits_for_a_zookeeper_that_is_not_up_yet_and_comes_back(tmp_path: Path) -> None:
    server = ZooKeeperServer(tmp_path)
    heard: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    watch = AlluxioLeader(server.address, "/alluxio/leader", heard.put)
    watch.start()
    try:
        for address in ("host-a:19998", "host-b:19998"):
            server.start()
            client = connect(server.address).client
            client.create(f"/alluxio/leader/{address}", b"127.0.0.1", makepath=True)
            assert heard.get(timeout=60) == address
            client.stop()
            client.close()
            server.stop()
    finally:
        watch.stop()
        server.stop()
