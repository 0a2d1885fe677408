"""What the masters' client answers, against a real gRPC server on loopback that behaves as Alluxio 2.9 was seen to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from eventually import eventually
from framework.alluxio import masters as masters_edge
from framework.alluxio.answers import (
    Alive,
    CallFailed,
    Kind,
    MasterInfo,
    MasterReport,
    MasterRole,
    QuorumMember,
    Role,
    Unavailable,
    WorkerReport,
    WorkerState,
    unavailable,
)
from framework.alluxio.masters import CurrentMasters, Masters
from framework.alluxio.stubs import block_master_pb2 as block
from framework.alluxio.stubs import journal_master_pb2 as journal
from ports import held_port

Serve = Callable[..., Any]


def expected_info(port: int) -> MasterInfo:
    address = f"127.0.0.1:{port}"
    return MasterInfo(
        cluster_id="4c73729e",
        primary=address,
        version="2.9.6",
        start_time_ms=1_700_000_000_000,
        uptime_seconds=1.5,
        safe_mode=False,
        rpc_port=port,
        web_port=19999,
        raft_journal=False,
        masters=(MasterReport(address, "2.9.6", "PRIMARY"),),
        zookeeper=("127.0.0.1:2181",),
    )


def new_threads(before: set[threading.Thread]) -> set[threading.Thread]:
    """The threads since then but the stand-ins' own pools."""
    return {new for new in set(threading.enumerate()) - before if not new.name.startswith("ThreadPoolExecutor")}


def wait_until_gone(before: set[threading.Thread]) -> None:
    eventually(lambda: not new_threads(before), "the client's threads are gone")


@pytest.mark.parametrize("authentication", ["SIMPLE", "NOSASL"])
def test_the_primary_tells_about_the_cluster(serve: Serve, authentication: str) -> None:
    server = serve(authentication=authentication)
    with Masters([server.address], authentication=authentication) as masters:
        assert masters.info() == expected_info(server.port)
        assert masters.info() == expected_info(server.port)
    assert len(server.logins) == (authentication == "SIMPLE"), "one login serves every call"


def test_the_login_is_sasl_plain_with_the_user_and_some_password(serve: Serve) -> None:
    server = serve()
    with Masters([server.address], user="ann") as masters:
        masters.info()
    assert server.logins == [b"\0ann\0any"]


def test_a_refused_login_is_an_answer(serve: Serve) -> None:
    server = serve(accepts_login=False)
    with Masters([server.address]) as masters:
        assert masters.info() == Unavailable(
            server.address,
            f"{server.address} refuses our authentication: Plain authentication failed",
            Kind.UNAUTHENTICATED,
        )


def test_sasl_where_none_is_spoken_is_named(serve: Serve) -> None:
    server = serve(authentication="NOSASL")
    with Masters([server.address], authentication="SIMPLE") as masters:
        answer = masters.info()
    assert isinstance(answer, Unavailable)
    assert answer.kind is Kind.UNAUTHENTICATED
    assert answer.reason.endswith("its alluxio.security.authentication.type is NOSASL, ours SIMPLE.")


def test_no_sasl_where_it_is_wanted_is_named(serve: Serve) -> None:
    server = serve(authentication="SIMPLE")
    with Masters([server.address], authentication="NOSASL") as masters:
        answer = masters.info()
    assert isinstance(answer, Unavailable)
    assert answer.kind is Kind.UNAUTHENTICATED
    assert answer.reason.endswith("its alluxio.security.authentication.type is SIMPLE, ours NOSASL.")


def test_a_standby_is_an_answer(serve: Serve) -> None:
    server = serve(primary=False)
    with Masters([server.address]) as masters:
        assert masters.info() == Unavailable(
            server.address, f"{server.address} is up but not the primary master.", Kind.STANDBY
        )


def test_nothing_listening_is_an_answer() -> None:
    address = f"127.0.0.1:{held_port()}"
    with Masters([address]) as masters:
        assert masters.info() == Unavailable(
            address, f"{address} refuses connections: nothing listens there.", Kind.UNREACHABLE
        )


@pytest.mark.parametrize("held", ["silent", "silent_login"])
def test_a_master_that_keeps_silent_is_unreachable(serve: Serve, held: str) -> None:
    server = serve(**{held: threading.Event()})
    with Masters([server.address], timeout=0.2) as masters:
        assert masters.info() == Unavailable(
            server.address, f"{server.address} did not answer in time.", Kind.UNREACHABLE
        )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last primary is waited for however slow the machine is."""
    monkeypatch.setattr(masters_edge, "HEAD_START", 60.0)


@pytest.mark.usefixtures("patient")
def test_the_primary_is_found_among_the_others_and_asked_first_from_then_on(serve: Serve) -> None:
    standby, primary = serve(refusal=(grpc.StatusCode.UNAVAILABLE, "not supported on standby master")), serve()
    with Masters([f"127.0.0.1:{held_port()}", standby.address, primary.address]) as masters:
        assert masters.info() == expected_info(primary.port)
        assert masters.info() == expected_info(primary.port)
    assert primary.calls == ["GetMasterInfo", "GetMasterInfo"]
    assert len(standby.calls) <= 1, "the second question went to the primary alone"


class Rejecting:
    """A standby as alluxio.standby.master.grpc.enabled=false leaves it: it closes every connection at once."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._socket.accept()[0].close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.mark.parametrize("authentication", ["SIMPLE", "NOSASL"])
def test_a_master_that_closes_every_connection_is_a_standby(authentication: str) -> None:
    with (
        contextlib.closing(Rejecting()) as standby,
        Masters([standby.address], authentication=authentication) as masters,
    ):
        for _ in range(3):
            assert masters.info() == Unavailable(
                standby.address, f"{standby.address} is up but not the primary master.", Kind.STANDBY
            )
        assert masters.alive(standby.address) == Alive(standby.address, Role.STANDBY)


def test_each_master_has_its_role(serve: Serve) -> None:
    primary, starting, silent = serve(), serve(safe_mode=True), serve(silent=threading.Event())
    gone = f"127.0.0.1:{held_port()}"
    with contextlib.closing(Rejecting()) as standby:
        addresses = [gone, standby.address, silent.address, starting.address, primary.address]
        expected = (
            MasterRole(gone, Role.UNREACHABLE, f"{gone} refuses connections: nothing listens there."),
            MasterRole(standby.address, Role.STANDBY, f"{standby.address} is up but not the primary master."),
            MasterRole(silent.address, Role.UNREACHABLE, f"{silent.address} did not answer in time."),
            MasterRole(starting.address, Role.STARTING, f"{starting.address} is the primary, in safe mode."),
            MasterRole(primary.address, Role.PRIMARY),
        )
        with Masters(addresses) as masters:
            # Who is late by a second is asked again.
            eventually(lambda: masters.roles() == expected, "each has its role")


def test_a_primary_that_falls_silent_does_not_keep_its_successor_waiting(serve: Serve) -> None:
    """As when its host is cut off: nothing refuses, nothing answers."""
    first, second = serve(), serve()
    with Masters([first.address, second.address], timeout=20) as masters:
        assert masters.info() == expected_info(first.port)
        first.silent = threading.Event()
        began = time.monotonic()
        assert masters.info() == expected_info(second.port)
        assert time.monotonic() - began < 15, "below the timeout of 20 s"
        assert masters.info() == expected_info(second.port)


def test_the_quorum_and_its_changes(serve: Serve) -> None:
    quorum = [("b", 19200, journal.AVAILABLE), ("a", 19200, journal.UNAVAILABLE), ("c", 19200, journal.AVAILABLE)]
    server = serve(quorum=quorum)
    leader, dead, third = (
        QuorumMember("b:19200", available=True, leader=True),
        QuorumMember("a:19200", available=False, leader=False),
        QuorumMember("c:19200", available=True, leader=False),
    )
    with Masters([server.address]) as masters:
        assert masters.quorum() == (dead, leader, third)
        assert masters.remove_member("a:19200") is None
        assert masters.quorum() == (leader, third)
        assert masters.remove_member("a:19200") is None
        assert masters.transfer_leadership("c:19200") is None
        assert masters.transfer_leadership("a:19200") == Unavailable(
            "a:19200", "a:19200 cannot become the leader: <a:19200> is not part of the quorum", Kind.ERROR
        )
        server.stop()
        for answer in (masters.quorum(), masters.remove_member("a:19200"), masters.transfer_leadership("c:19200")):
            assert isinstance(answer, Unavailable)
            assert answer.kind is Kind.UNREACHABLE


def test_a_new_primary_is_found_when_the_old_one_is_gone(serve: Serve) -> None:
    first, second = serve(), serve()
    with Masters([first.address, second.address]) as masters:
        assert masters.info() == expected_info(first.port)
        first.stop()
        assert masters.info() == expected_info(second.port)


def test_no_primary_among_several_names_each_with_its_reason(serve: Serve) -> None:
    gone, standby = f"127.0.0.1:{held_port()}", serve(primary=False).address
    with Masters([gone, standby]) as masters:
        assert masters.info() == Unavailable(
            f"{gone},{standby}",
            f"None of the masters is the primary: {gone} refuses connections: nothing listens there. "
            f"{standby} is up but not the primary master.",
            Kind.STANDBY,
        )


@pytest.mark.parametrize("authentication", ["SIMPLE", "NOSASL"])
def test_a_restarted_master_answers_the_next_question(serve: Serve, authentication: str) -> None:
    first = serve(authentication=authentication, port=held_port())
    with Masters([first.address], authentication=authentication) as masters:
        assert masters.info() == expected_info(first.port)
        first.stop()
        assert isinstance(masters.info(), Unavailable)
        serve(port=first.port, authentication=authentication)
        assert masters.info() == expected_info(first.port)


def test_a_login_that_ended_with_the_master_is_made_anew(serve: Serve) -> None:
    first = serve(port=held_port())
    before = set(threading.enumerate())
    with Masters([first.address]) as masters:
        assert masters.info() == expected_info(first.port)
        first.stop()
        wait_until_gone(before)  # The client has seen the end of its SASL stream.
        serve(port=first.port)
        assert masters.info() == expected_info(first.port)


def test_the_primary_in_safe_mode_is_starting(serve: Serve) -> None:
    refusal = (grpc.StatusCode.UNAVAILABLE, "Alluxio master is in safe mode. Please try again later.")
    server = serve(refusal=refusal)
    with Masters([server.address]) as masters:
        assert masters.workers() == Unavailable(
            server.address,
            f"{server.address} is the primary but still in safe mode, waiting for its workers.",
            Kind.STARTING,
        )


@pytest.mark.usefixtures("patient")
def test_anything_else_is_the_primarys_own_word(serve: Serve) -> None:
    broken, other = serve(refusal=(grpc.StatusCode.INTERNAL, "disk on fire")), serve()
    with Masters([broken.address, other.address]) as masters:
        assert masters.info() == Unavailable(
            broken.address, f"{broken.address} answered INTERNAL: disk on fire", Kind.ERROR
        )
    assert other.calls == []


def reported(port: int, state: str) -> block.WorkerInfo:
    info = block.WorkerInfo(id=port, state=state, lastContactSec=3, startTimeMs=5, capacityBytes=300, usedBytes=40)
    info.address.host, info.address.rpcPort, info.address.dataPort, info.address.webPort = "127.0.0.11", port, 1, 2
    info.capacityBytesOnTiers["SSD"], info.capacityBytesOnTiers["MEM"] = 200, 100
    info.usedBytesOnTiers["SSD"], info.usedBytesOnTiers["MEM"] = 30, 10
    info.buildVersion.version = "2.9.6"
    return info


def test_the_workers_come_in_order_with_their_state_and_tiers(serve: Serve) -> None:
    states = {29001: "Decommissioned", 29000: "ACTIVE", 29002: "LOST"}
    server = serve(workers=tuple(reported(port, state) for port, state in states.items()))
    with Masters([server.address]) as masters:
        assert masters.workers() == tuple(
            WorkerReport(
                id=port,
                host="127.0.0.11",
                rpc_port=port,
                data_port=1,
                web_port=2,
                state=state,
                seconds_since_contact=3,
                start_time_ms=5,
                capacity_bytes=300,
                used_bytes=40,
                capacity_on_tiers=(("MEM", 100), ("SSD", 200)),
                used_on_tiers=(("MEM", 10), ("SSD", 30)),
                version="2.9.6",
            )
            for port, state in (
                (29000, WorkerState.LIVE),
                (29001, WorkerState.DECOMMISSIONED),
                (29002, WorkerState.LOST),
            )
        )


def test_liveness_of_primary_standby_and_nobody(serve: Serve) -> None:
    primary, standby, gone = serve(), serve(primary=False), f"127.0.0.1:{held_port()}"
    with Masters([primary.address]) as masters:
        assert masters.alive(primary.address) == Alive(primary.address, Role.PRIMARY)
        assert masters.alive(standby.address) == Alive(standby.address, Role.STANDBY)
        answer = masters.alive(gone)
    assert isinstance(answer, Unavailable)
    assert answer.kind is Kind.UNREACHABLE


def test_closing_leaves_no_thread(serve: Serve) -> None:
    server = serve()
    before = set(threading.enumerate())
    with Masters([server.address]) as masters:
        assert masters.info() == expected_info(server.port)
        assert new_threads(before), "the SASL stream holds a thread while the connection is open"
    wait_until_gone(before)


def test_the_current_masters_stay_until_there_are_others(serve: Serve) -> None:
    first, second = serve(), serve()
    before = set(threading.enumerate())
    known: list[str] = []
    current = CurrentMasters(lambda: known, authentication="SIMPLE", user="alluxio", timeout=3.0)
    assert current.now() is None
    for server in (first, second):
        known[:] = [server.address]
        masters = current.now()
        assert masters is not None
        assert masters.info() == expected_info(server.port)
        assert current.now() is masters
    known.clear()
    assert current.now() is None
    wait_until_gone(before)
    known[:] = [first.address]
    assert current.now() is not None
    current.close()
    wait_until_gone(before)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="KERBEROS"):
        Masters(["127.0.0.1:1"], authentication="KERBEROS")
    with pytest.raises(ValueError, match="at least one master"):
        Masters([])


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "GetServiceVersion is not supported on standby master", Kind.STANDBY),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", Kind.UNREACHABLE),
        (grpc.StatusCode.CANCELLED, "Stream removed", Kind.UNREACHABLE),
        (grpc.StatusCode.NOT_FOUND, 'Path "/nope" does not exist.', Kind.ERROR),
        (grpc.StatusCode.NOT_FOUND, "Service BLOCK_MASTER_CLIENT_SERVICE is not found.", Kind.STANDBY),
        (grpc.StatusCode.PERMISSION_DENIED, "Authentication is not enabled", Kind.ERROR),
    ],
)
def test_the_meaning_of_failed_calls(code: grpc.StatusCode, details: str, kind: Kind) -> None:
    assert unavailable(CallFailed("h:1", code, details)).kind is kind
