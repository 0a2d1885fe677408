"""Following the leading Mesos master in a real ZooKeeper, where the masters leave ``json.info_…`` nodes."""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from eventually import eventually
from framework.zookeeper import MesosMasters, connect
from zookeeper_server import ZooKeeperServer

pytestmark = pytest.mark.zookeeper


class Election:
    """Plays the Mesos masters."""

    def __init__(self, server: ZooKeeperServer) -> None:
        self.server = server
        self.path = f"/mesos-{uuid.uuid4()}"
        self.client: KazooClient = connect(server.address).client
        self.heard: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def campaign(self, port: int) -> str:
        info = {"id": "m", "hostname": "m", "address": {"hostname": "m", "ip": "127.0.0.1", "port": port}}
        node: str = self.client.create(
            f"{self.path}/json.info_", json.dumps(info).encode(), ephemeral=True, sequence=True, makepath=True
        )
        return node

    def watch(self, hosts: str | None = None) -> MesosMasters:
        return MesosMasters(hosts or self.server.address, self.path, self.heard.put)

    def next(self) -> str | None:
        return self.heard.get(timeout=60)


@pytest.fixture
def election(zookeeper: ZooKeeperServer) -> Iterator[Election]:
    made = Election(zookeeper)
    yield made
    made.client.stop()
    made.client.close()


def test_the_lowest_number_leads(election: Election) -> None:  # C7
    first = election.campaign(5051)
    second = election.campaign(5052)
    election.client.create(f"{election.path}/log_replicas", b"")
    masters = election.watch()
    masters.start()
    assert election.next() == "127.0.0.1:5051"
    election.client.delete(first)
    assert election.next() == "127.0.0.1:5052"
    election.client.delete(second)
    assert election.next() is None
    election.campaign(5053)
    assert election.next() == "127.0.0.1:5053"
    masters.stop()
    assert election.heard.empty()


def test_masters_that_come_later(election: Election) -> None:
    masters = election.watch()
    masters.start()
    election.campaign(5051)
    assert election.next() == "127.0.0.1:5051"
    masters.stop()


def test_an_unreadable_leader_is_no_leader(election: Election, caplog: pytest.LogCaptureFixture) -> None:
    election.client.create(f"{election.path}/json.info_0000000000", b"\x00", makepath=True)
    election.campaign(5051)
    masters = election.watch()
    masters.start()
    eventually(lambda: "json.info_0000000000 cannot be read" in caplog.text, "the damage is logged")
    election.client.delete(f"{election.path}/json.info_0000000000")
    assert election.next() == "127.0.0.1:5051"
    masters.stop()


def test_credentials_in_the_address_are_used(election: Election) -> None:  # P17
    owner = make_digest_acl("mesos", "pa:ss", all=True)
    election.client.add_auth("digest", "mesos:pa:ss")
    election.client.ensure_path(election.path)
    election.client.set_acls(election.path, [owner])
    election.campaign(5051)
    masters = election.watch(f"mesos:pa:ss@{election.server.address}")
    masters.start()
    assert election.next() == "127.0.0.1:5051"
    masters.stop()


def test_a_zookeeper_that_starts_later(tmp_path_factory: pytest.TempPathFactory) -> None:  # P17
    server = ZooKeeperServer(tmp_path_factory.mktemp("later"))
    heard: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    masters = MesosMasters(server.address, "/mesos", heard.put)
    masters.start()
    try:
        server.start()
        election = Election(server)
        election.path = "/mesos"
        election.campaign(5051)
        assert heard.get(timeout=60) == "127.0.0.1:5051"
        election.client.stop()
        election.client.close()
    finally:
        masters.stop()
        server.stop()
