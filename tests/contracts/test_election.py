"""The session and the election against a real ZooKeeper: who leads, for how long, and who is told when it is over."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from eventually import eventually
from framework.messages import Stop
from framework.model import ExitCode
from framework.zookeeper import Candidate, Session
from framework.zookeeper.election import lead_for_a_moment, leader_of
from tcp_proxy import Proxy
from zookeeper_server import ZooKeeperServer

pytestmark = pytest.mark.zookeeper


class Contender:
    def __init__(self, address: str, path: str, number: int, seconds: float, credentials: str = "") -> None:
        self.url = f"http://scheduler-{number}:8080"
        self.elected: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stops: queue.SimpleQueue[Stop] = queue.SimpleQueue()
        self.session = Session(address, seconds=seconds, credentials=credentials, ended=self.stops.put)
        self.session.start()
        eventually(lambda: self.session.began, "the session begins")
        self.candidate = Candidate(self.session, path, self.url, self.elected.put, self.stops.put)
        self.candidate.start()

    def leads(self) -> str:
        return self.elected.get(timeout=60)

    def stop(self) -> Stop:
        return self.stops.get(timeout=60)

    def close(self) -> None:
        self.candidate.give_back()
        self.session.close()


class Contest:
    def __init__(self, server: ZooKeeperServer) -> None:
        self.server = server
        self.path = f"/contest-{uuid.uuid4()}"
        self.contenders: list[Contender] = []

    def enter(self, seconds: float = 10.0, credentials: str = "") -> Contender:
        number = len(self.contenders) + 1
        self.contenders.append(Contender(self.server.address, self.path, number, seconds, credentials))
        return self.contenders[-1]


@pytest.fixture
def contest(zookeeper: ZooKeeperServer) -> Iterator[Contest]:
    made = Contest(zookeeper)
    yield made
    for contender in made.contenders:
        contender.close()


def expire(session: Session, address: str) -> None:
    """What a server does to a session that was silent for too long: it is closed from elsewhere."""
    thief = KazooClient(hosts=address, client_id=session.client.client_id)
    thief.start()
    thief.stop()
    thief.close()


def test_one_leads_and_the_others_know_where(contest: Contest) -> None:  # C6
    first = contest.enter()
    node = first.leads()
    assert first.session.client.get(node)[0] == first.url.encode()
    second, third = contest.enter(), contest.enter()
    for standby in (second, third):
        eventually(lambda standby=standby: standby.candidate.leader == first.url, "the leader is known")
        assert standby.elected.empty()
    first.candidate.give_back()
    second.leads()
    eventually(lambda: third.candidate.leader == second.url, "the next leader is known")
    assert third.elected.empty()
    assert [contender.stops.empty() for contender in contest.contenders] == [True] * 3


def test_an_expired_session_ends_the_leader_and_frees_the_lead(contest: Contest) -> None:  # C6
    first = contest.enter()
    first.leads()
    second = contest.enter()
    expire(first.session, contest.server.address)
    assert first.stop().exit_code == ExitCode.STORE_LOST
    assert not first.session.is_open
    second.leads()
    assert second.stops.empty()


def test_a_lead_that_is_taken_away_ends_the_leader(contest: Contest) -> None:  # C6
    first = contest.enter()
    node = first.leads()
    contest.enter().session.client.delete(node)
    stop = first.stop()
    assert (stop.exit_code, stop.reason) == (
        ExitCode.LEAD_LOST,
        "the lead was taken away: its node in ZooKeeper is gone",
    )


def test_other_credentials_end_the_contender(contest: Contest) -> None:
    contest.enter(credentials="alluxio:secret").leads()
    stop = contest.enter(credentials="alluxio:wrong").stop()
    assert stop.exit_code == ExitCode.STORE_REFUSED
    assert "give the credentials that they were made with" in stop.reason


def test_the_lead_can_be_taken_for_a_moment_only_when_it_is_free(contest: Contest) -> None:
    first = contest.enter()
    first.leads()
    other = contest.enter().session
    with lead_for_a_moment(other, contest.path) as lead:
        assert lead is None
    assert leader_of(other, contest.path) == first.url
    assert leader_of(other, "/nowhere") is None


def test_after_a_pause_a_server_is_asked_whether_the_session_lives(zookeeper: ZooKeeperServer) -> None:  # C6
    """As in a process that was stopped while its session ran out, and goes on before kazoo has noticed."""
    proxy = Proxy(zookeeper.address)
    session = Session(proxy.address, seconds=10.0)
    session.start()
    try:
        eventually(lambda: session.began, "the session begins")
        assert session.may_act()
        proxy.hold = True
        over = time.monotonic() + 2.1
        expire(session, zookeeper.address)
        eventually(lambda: time.monotonic() > over, "time passes")
        assert session.is_open  # as far as kazoo knows
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(session.may_act()))
        thread.start()
        proxy.hold = False
        thread.join(60)
        assert answers == [False]
    finally:
        session.close()
        proxy.close()


def test_a_server_that_takes_a_connection_and_never_answers_costs_no_session(zookeeper: ZooKeeperServer) -> None:
    """As ZooKeeper does when it is asked while it starts."""
    proxy = Proxy(zookeeper.address)
    session = Session(proxy.address, seconds=8.0)
    session.start()
    try:
        eventually(lambda: session.began, "the session begins")
        proxy.deaf = 1  # the next connection
        proxy.lose_next_request = True
        session.client.exists_async("/")
        eventually(lambda: not session.is_open, "the connection breaks")
        eventually(lambda: session.is_open, "the same session goes on")
        assert proxy.deaf == 0
    finally:
        session.close()
        proxy.close()


def test_a_server_that_stays_away_is_a_lost_session(tmp_path_factory: pytest.TempPathFactory) -> None:  # C6
    server = ZooKeeperServer(tmp_path_factory.mktemp("away"))
    server.start()
    contender = Contender(server.address, "/service", 1, 2.0)
    try:
        contender.leads()
        assert contender.session.is_open
        server.stop()
        eventually(lambda: not contender.session.is_open, "the silence is noticed")
        assert contender.stop().exit_code == ExitCode.STORE_LOST
        server.start()
        eventually(lambda: contender.session.client.connected, "kazoo has a new session")
        assert not contender.session.is_open  # over is over
        assert not contender.session.may_act()
    finally:
        contender.close()
        server.stop()
