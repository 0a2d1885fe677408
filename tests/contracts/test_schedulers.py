"""Several schedulers of one service as real processes, over a real ZooKeeper, against a fake Mesos master: exactly one
is subscribed, whatever ends.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from eventually import eventually
from fake_mesos import FRAMEWORK_ID, FakeMaster, chunk, record
from framework.model import ExitCode, Kept
from framework.zookeeper import ZooKeeperStore, connect
from ports import held_port
from zookeeper_server import ZooKeeperServer

pytestmark = [pytest.mark.zookeeper, pytest.mark.timeout(180)]

SESSION = 10.0  # so long that a machine that stands still for a moment ends none
SHORT = 4.0  # of those whose end is waited for
TICK = 1.0  # a server counts sessions in ticks (zookeeper_server.py)
OFFER = {"id": {"value": "O1"}, "agent_id": {"value": "S1"}, "hostname": "127.0.0.11", "resources": []}
OFFERS = {"type": "OFFERS", "offers": {"offers": [OFFER]}}


@dataclasses.dataclass
class Scheduler:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def health(self) -> dict[str, Any]:
        """Empty while nobody listens."""
        try:
            document: dict[str, Any] = requests.get(f"{self.url}/v1/health", timeout=60).json()
        except requests.ConnectionError:
            return {}
        return document

    def is_(self, role: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.health().get("role") == role

    def ends(self, seconds: float = 60.0) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Service:
    """Starts schedulers of one service."""

    def __init__(self, folder: Path, zookeeper: str, mesos: str) -> None:
        self.folder = folder
        self.zookeeper = zookeeper
        self.path = f"/services/{uuid.uuid4()}"
        self.mesos = mesos
        self.schedulers: list[Scheduler] = []

    def start(self, *options: str, session: float = SESSION, port: int = 0) -> Scheduler:
        port = port or held_port()
        given = {
            "mesos": self.mesos,
            "zookeeper": f"{self.zookeeper}{self.path}",
            "zookeeper-session": f"{session:g}s",
            "under-storage": "/data",
            "alluxio-uri": "http://127.0.0.1:1/alluxio.tar.gz",
            "executor-uri": "http://127.0.0.1:1/executor.pyz",
            "api-port": str(port),
        }
        flags = [text for name, value in given.items() for text in (f"--{name}", value)]
        log = self.folder / f"scheduler-{len(self.schedulers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "framework", "scheduler", *flags, *options],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        self.schedulers.append(Scheduler(process, f"http://127.0.0.1:{port}", log))
        return self.schedulers[-1]

    def kept(self) -> Kept:
        session = connect(self.zookeeper)
        try:
            return ZooKeeperStore(session, self.path).load()
        finally:
            session.close()


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with FakeMaster() as made:
        yield made


@pytest.fixture
def service(tmp_path: Path, zookeeper: ZooKeeperServer, master: FakeMaster) -> Iterator[Service]:
    made = Service(tmp_path, zookeeper.address, master.address)
    yield made
    for scheduler in made.schedulers:
        scheduler.kill()


@pytest.fixture
def own_zookeeper(tmp_path: Path) -> Iterator[ZooKeeperServer]:
    """A server that a test may stop."""
    (tmp_path / "zookeeper").mkdir()
    server = ZooKeeperServer(tmp_path / "zookeeper")
    yield server
    server.stop()


def leader_and_standby(service: Service, master: FakeMaster, session: float = SESSION) -> tuple[Scheduler, Scheduler]:
    leader = service.start(session=session)
    eventually(lambda: leader.is_("leader") and master.subscribes, "the first leads")
    standby = service.start(session=session)
    eventually(lambda: standby.health().get("leader") == leader.url, "the second knows the leader")
    return leader, standby


def subscribed_ids(master: FakeMaster) -> list[str | None]:
    """The framework id that each SUBSCRIBE brought."""
    return [request.body.get("framework_id", {}).get("value") for request in master.subscribes]


def test_a_standby_takes_over_from_a_leader_that_was_killed(service: Service, master: FakeMaster) -> None:  # C1 C6
    leader, standby = leader_and_standby(service, master, SHORT)
    assert standby.health()["role"] == "standby"
    answer = requests.get(f"{standby.url}/v1/status?x=1", timeout=60)
    assert (answer.status_code, answer.url) == (200, f"{leader.url}/v1/status?x=1")
    eventually(lambda: service.kept().framework_id, "the framework id is kept")
    assert len(master.subscribes) == 1  # two are there, one is subscribed
    killed = time.monotonic()
    leader.kill()
    eventually(lambda: len(master.subscribes) == 2, "the standby subscribes")
    seconds = master.subscribes[1].at - killed
    print(f"killed: the standby subscribed after {seconds:.2f} s; a session lasts {SHORT:g} s")
    assert subscribed_ids(master) == [None, FRAMEWORK_ID]
    eventually(lambda: standby.is_("leader") and standby.health()["healthy"], "the standby leads and is well")


def test_sigterm_hands_the_lead_over_at_once(service: Service, master: FakeMaster) -> None:  # C5 C6, elasticsearch#530
    session = 20.0  # the longest that the server grants
    leader, standby = leader_and_standby(service, master, session)
    told = time.monotonic()
    leader.process.send_signal(signal.SIGTERM)
    eventually(lambda: len(master.subscribes) == 2, "the standby subscribes")
    seconds = master.subscribes[1].at - told
    print(f"SIGTERM: the standby subscribed after {seconds:.2f} s")
    assert seconds < session  # not because the session ended
    assert leader.ends() == ExitCode.DONE
    assert master.beside == [0, 0]  # never were two subscribed
    assert all(call.body["type"] != "TEARDOWN" for call in master.calls)
    standby.process.send_signal(signal.SIGTERM)
    assert standby.ends() == ExitCode.DONE


def test_a_standby_ends_when_told(service: Service, master: FakeMaster) -> None:  # P15
    """The import of pymesos installs a handler of SIGINT, which is not the one that counts."""
    _, standby = leader_and_standby(service, master)
    standby.process.send_signal(signal.SIGINT)
    assert standby.ends() == ExitCode.DONE
    assert len(master.subscribes) == 1


def test_an_earlier_process_at_the_same_address_is_not_taken_for_the_leader(
    service: Service, master: FakeMaster
) -> None:
    first = service.start(session=16.0)
    eventually(lambda: first.is_("leader"), "it leads")
    first.kill()
    again = service.start(port=int(first.url.rpartition(":")[2]))
    eventually(lambda: again.is_("standby"), "the next process stands by")
    answer = requests.get(f"{again.url}/v1/status", timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.json()["detail"]) == (503, "no scheduler leads at this moment; ask again soon")
    assert again.health()["leader"] is None
    eventually(lambda: again.is_("leader"), "it leads once the first one's session is over")


def test_a_lead_that_is_taken_away_ends_the_leader(service: Service, master: FakeMaster) -> None:  # C6
    leader, standby = leader_and_standby(service, master)
    session = connect(service.zookeeper)
    election = f"{service.path}/election"
    first = min(session.client.get_children(election), key=lambda node: node[-10:])
    session.client.delete(f"{election}/{first}")
    session.close()
    assert leader.ends() == ExitCode.LEAD_LOST
    eventually(lambda: standby.is_("leader"), "the standby leads")


def test_nothing_is_called_while_zookeeper_is_away(
    tmp_path: Path, own_zookeeper: ZooKeeperServer, master: FakeMaster
) -> None:  # C6
    own_zookeeper.start()
    service = Service(tmp_path, own_zookeeper.address, master.address)
    leader = service.start(session=40.0)
    try:
        eventually(lambda: leader.health().get("connected"), "it leads and is subscribed")
        master.tell(OFFERS)
        eventually(lambda: called(master, "DECLINE") == 1, "the offer is answered")
        eventually(lambda: called(master, "SUPPRESS") or called(master, "DECLINE"), "it has settled")
        own_zookeeper.stop()
        eventually(lambda: leader.health()["healthy"] is False, "ZooKeeper is missed")
        assert leader.health()["role"] == "leader"
        before = len(master.calls)
        second = {**OFFER, "id": {"value": "O2"}}
        master.tell({"type": "OFFERS", "offers": {"offers": [second]}})
        # A new stream would be a call, too.
        stream = master.streams[-1]
        stream.close()
        eventually(lambda: stream.ended_at is not None, "the stream has ended")
        started = time.monotonic()
        own_zookeeper.start()
        eventually(lambda: len(master.subscribes) == 2, "it subscribes again")
        assert all(call.at > started for call in master.calls[before:])
        assert master.subscribes[1].at > started
        assert subscribed_ids(master)[1] == FRAMEWORK_ID
        eventually(lambda: leader.health()["healthy"], "it is well again")
        assert leader.process.poll() is None
    finally:
        leader.kill()


def called(master: FakeMaster, kind: str) -> int:
    return sum(call.body["type"] == kind for call in master.calls)


def test_a_lost_session_ends_leader_and_standby(
    tmp_path: Path, own_zookeeper: ZooKeeperServer, master: FakeMaster
) -> None:  # C6
    own_zookeeper.start()
    service = Service(tmp_path, own_zookeeper.address, master.address)
    try:
        leader, standby = leader_and_standby(service, master, SHORT)
        own_zookeeper.stop()
        assert [leader.ends(), standby.ends()] == [ExitCode.STORE_LOST, ExitCode.STORE_LOST]
        assert len(master.subscribes) == 1
        assert "the ZooKeeper session is lost" in leader.log.read_text()
    finally:
        for scheduler in service.schedulers:
            scheduler.kill()


def test_a_leader_that_was_stopped_for_too_long_says_nothing_more(service: Service, master: FakeMaster) -> None:  # C6
    leader, standby = leader_and_standby(service, master, SHORT)
    eventually(lambda: leader.health().get("connected"), "it is subscribed")
    leader.process.send_signal(signal.SIGSTOP)
    eventually(lambda: len(master.subscribes) == 2, "the standby subscribes")
    master.streams[0].send(chunk(record(OFFERS)))  # the first thing that it reads when it goes on
    leader.process.send_signal(signal.SIGCONT)
    assert leader.ends() == ExitCode.STORE_LOST
    late = [call for call in master.calls if call.at > master.subscribes[1].at]
    assert {call.headers["mesos-stream-id"] for call in late} <= {"stream-2"}
    assert standby.process.poll() is None


def test_zookeeper_may_come_later(tmp_path: Path, own_zookeeper: ZooKeeperServer, master: FakeMaster) -> None:  # C31
    service = Service(tmp_path, own_zookeeper.address, master.address)
    told, patient = service.start(), service.start()
    sentence = f"waiting for ZooKeeper: no server answers at {own_zookeeper.address}"
    try:
        for scheduler in (told, patient):
            eventually(lambda scheduler=scheduler: scheduler.is_("waiting"), "it waits")
            health = requests.get(f"{scheduler.url}/v1/health", timeout=60)
            assert (health.status_code, health.json()["healthy"]) == (503, False)
            assert health.json()["reason"] == f"ZooKeeper does not answer at {own_zookeeper.address}"
            eventually(lambda scheduler=scheduler: sentence in scheduler.log.read_text(), "the log says so")
        told.process.send_signal(signal.SIGTERM)
        assert told.ends() == ExitCode.DONE
        own_zookeeper.start()
        eventually(lambda: patient.is_("leader"), "the other one leads")
    finally:
        for scheduler in service.schedulers:
            scheduler.kill()


def test_other_credentials_end_a_scheduler(service: Service, master: FakeMaster, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("alluxio:a secret\n")
    wrong.write_text("alluxio:another\n")
    leader = service.start("--zookeeper-auth-file", str(right))
    eventually(lambda: leader.is_("leader"), "the owner leads")
    other = service.start("--zookeeper-auth-file", str(wrong))
    assert other.ends() == ExitCode.STORE_REFUSED
    said = other.log.read_text()
    assert said.count("does not let this identity use") == 1
    assert "Traceback" not in said
    assert "another" not in said.replace("belong to another one", "")
    assert "a secret" not in leader.log.read_text()


def test_what_is_wanted_is_kept_when_it_changes(service: Service, master: FakeMaster) -> None:  # C29
    def lives(*options: str) -> None:
        scheduler = service.start("--properties", "aws.secretKey=hidden;a.b=c", *options)
        eventually(lambda: scheduler.is_("leader"), "it leads")
        scheduler.process.send_signal(signal.SIGTERM)
        assert scheduler.ends() == ExitCode.DONE

    for options in ((), (), ("--workers", "3"), ("--worker-heap", "1GB", "--workers", "3")):
        lives(*options)
    history = service.kept().history
    assert [(entry.number, entry.workers, entry.options["worker-heap"]) for entry in history] == [
        (1, None, "512MB"),
        (2, 3, "512MB"),
        (3, 3, "1GB"),
    ]
    assert history[0].configuration == history[1].configuration != history[2].configuration
    assert {entry.options["properties"] for entry in history} == {"aws.secretKey=***;a.b=c"}
    assert not {"api-port", "zookeeper", "secret-file"} & set(history[0].options)


def test_two_services_do_not_meet(service: Service, master: FakeMaster, tmp_path: Path) -> None:  # C35
    other = Service(tmp_path, service.zookeeper, master.address)
    (tmp_path / "other").mkdir()
    other.folder = tmp_path / "other"
    try:
        for scheduler in (service.start(), other.start("--name", "second")):
            eventually(lambda scheduler=scheduler: scheduler.is_("leader"), "each leads its own")
    finally:
        for scheduler in other.schedulers:
            scheduler.kill()


def run_state(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "framework", "state", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_state_is_not_imported_under_a_leader(service: Service, master: FakeMaster, tmp_path: Path) -> None:
    leader = service.start()
    eventually(lambda: leader.health().get("framework_id"), "it leads")
    place: Sequence[str] = ("--zookeeper", f"{service.zookeeper}{service.path}")
    file = tmp_path / "state.json"
    assert run_state("export", str(file), *place)[0] == ExitCode.DONE
    assert json.loads(file.read_text())["framework_id"] == FRAMEWORK_ID
    code, _, said = run_state("import", str(file), "--replace", *place)
    assert code == ExitCode.IN_USE
    assert said == (
        f"alluxio-mesos state import: a scheduler leads at {leader.url}; stop every scheduler of the service first\n"
    )
    code, shown, _ = run_state("show", *place)
    assert code == ExitCode.DONE
    assert f"leader        {leader.url}" in shown
