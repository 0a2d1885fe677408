"""Asks Alluxio's masters. An unreachable or standby master is an answer, not an exception."""

import functools
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import grpc

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
from framework.alluxio.connection import Authentication, Connection, Login
from framework.alluxio.methods import (
    DECOMMISSION_WORKER,
    GET_MASTER_INFO,
    GET_QUORUM_INFO,
    GET_SERVICE_VERSION,
    GET_TRANSFER_MESSAGE,
    GET_WORKER_REPORT,
    REMOVE_QUORUM_SERVER,
    TRANSFER_LEADERSHIP,
    Method,
    Request,
    Response,
)
from framework.alluxio.stubs import block_master_pb2 as block
from framework.alluxio.stubs import common_pb2 as common
from framework.alluxio.stubs import journal_master_pb2 as journal
from framework.alluxio.stubs import meta_master_pb2 as meta
from framework.alluxio.stubs import version_pb2 as version

__all__ = [
    "Alive",
    "CurrentMasters",
    "Kind",
    "MasterInfo",
    "MasterRole",
    "Masters",
    "QuorumMember",
    "Role",
    "Unavailable",
    "WorkerReport",
    "WorkerState",
]

Answer = TypeVar("Answer")

# What Alluxio 2.9 calls the states of its workers (alluxio.master.WorkerState).
_STATES = {
    "ACTIVE": WorkerState.LIVE,
    "LOST": WorkerState.LOST,
    "Decommissioned": WorkerState.DECOMMISSIONED,
    "Disabled": WorkerState.DECOMMISSIONED,
}
_FIELDS = tuple(block.WorkerInfoField.keys())  # protobuf takes the names of enum values as well as their numbers.
_ROLES = {Kind.STANDBY: Role.STANDBY, Kind.STARTING: Role.STARTING}
# With these another master may be the primary; the rest is the primary's own word.
_ELSEWHERE = frozenset({Kind.UNREACHABLE, Kind.STANDBY, Kind.UNAUTHENTICATED})
# How long the last primary is asked alone. A living one answers in a few milliseconds; one whose host is gone says
# nothing at all, and must not keep its successor waiting for a whole timeout.
HEAD_START = 0.25
LATE = 1.0  # what a role is waited for
LEFT_BEHIND = 16  # so many questions may wait for each silent master when another one has answered already


class Masters:
    """The masters of one cluster at `addresses` ("host:port"), asked as `user`.

    The one that was the primary last is asked first, and when it has no answer, or is late with it, all others at once.
    `timeout` seconds bound each master's answer. `authentication` is alluxio.security.authentication.type. The job
    masters' addresses may be given instead, for what is asked about a quorum. Close it when done.
    """

    def __init__(
        self, addresses: Sequence[str], *, authentication: str = "SIMPLE", user: str = "alluxio", timeout: float = 3.0
    ) -> None:
        if not addresses:
            raise ValueError("addresses: give at least one master as host:port.")
        self.login = Login(Authentication(authentication), user)
        self.timeout = timeout
        self._connections = tuple(Connection(address, self.login) for address in addresses)
        self._first = self._connections[0]
        self._pool = ThreadPoolExecutor(LEFT_BEHIND * len(addresses), "alluxio-masters")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def info(self) -> MasterInfo | Unavailable:
        """The cluster as its primary sees it (GetMasterInfo)."""
        return self._ask(
            lambda primary: _info(primary, primary.unary(GET_MASTER_INFO, meta.GetMasterInfoPOptions(), self.timeout))
        )

    def workers(self) -> tuple[WorkerReport, ...] | Unavailable:
        """Every worker that the primary knows, lost and decommissioned ones too, by host and port (GetWorkerReport)."""
        request = block.GetWorkerReportPOptions(workerRange=block.ALL, fieldRanges=_FIELDS)
        answer = self.ask(GET_WORKER_REPORT, request)
        if isinstance(answer, Unavailable):
            return answer
        return tuple(sorted(map(_worker, answer.workerInfos), key=lambda worker: (worker.host, worker.rpc_port)))

    def decommission(self, host: str, web_port: int) -> Unavailable | None:
        """Take the worker out of the cluster: no client is sent to it any more, and what it caches counts no longer.
        None when that is done (DecommissionWorker); it is known by its web port there. It goes on serving whoever knows
        its address, and is taken in again only when it starts anew.
        """
        request = block.DecommissionWorkerPOptions(workerHostname=host, workerWebPort=web_port, canRegisterAgain=True)
        answer = self.ask(DECOMMISSION_WORKER, request)
        return answer if isinstance(answer, Unavailable) else None

    def alive(self, address: str) -> Alive | Unavailable:
        """Whether the master at `address` answers at all, a standby too (getServiceVersion)."""
        known = next((connection for connection in self._connections if connection.address == address), None)
        connection = known or Connection(address, self.login)
        request = version.GetServiceVersionPRequest(serviceType=version.META_MASTER_CLIENT_SERVICE)
        try:
            connection.unary(GET_SERVICE_VERSION, request, self.timeout)
        except CallFailed as failure:
            answer = unavailable(failure)
            return Alive(address, Role.STANDBY) if answer.kind is Kind.STANDBY else answer
        finally:
            if known is None:
                connection.close()
        return Alive(address, Role.PRIMARY)

    def roles(self) -> tuple[MasterRole, ...]:
        """What each master is, in the order of the addresses. All are asked at once; what takes longer than LATE counts
        as unreachable.
        """
        asked = [self._start(_role, connection) for connection in self._connections]
        wait(asked, LATE)
        return tuple(
            _role_told(connection.address, future.result() if future.done() else _silent(connection))
            for connection, future in zip(self._connections, asked, strict=True)
        )

    # The quorum of the embedded journal --------------------------------------------------------------------------

    def quorum(self) -> tuple[QuorumMember, ...] | Unavailable:
        """The members of the embedded journal's quorum, by address, as its leader sees them (GetQuorumInfo)."""
        answer = self.ask(GET_QUORUM_INFO, journal.GetQuorumInfoPRequest())
        if isinstance(answer, Unavailable):
            return answer
        return tuple(
            QuorumMember(
                f"{member.serverAddress.host}:{member.serverAddress.rpcPort}",
                member.serverState == journal.AVAILABLE,
                member.isLeader,
            )
            for member in sorted(
                answer.serverInfo, key=lambda member: (member.serverAddress.host, member.serverAddress.rpcPort)
            )
        )

    def remove_member(self, address: str) -> Unavailable | None:
        """Take the member whose journal's own address is `address` out of the quorum; None when that is done, also if
        it was no member. A removed one that still runs is to be ended before: it asks to come back at its next start.
        """
        request = journal.RemoveQuorumServerPRequest(serverAddress=_net_address(address))
        answer = self.ask(REMOVE_QUORUM_SERVER, request)
        return answer if isinstance(answer, Unavailable) else None

    def transfer_leadership(self, address: str) -> Unavailable | None:
        """Ask the quorum's leader to hand over to the member at `address` (its journal's own). None when it was told:
        the change itself comes some seconds later, as quorum() shows.
        """
        request = journal.TransferLeadershipPRequest(serverAddress=_net_address(address))
        answer = self.ask(TRANSFER_LEADERSHIP, request)
        if isinstance(answer, Unavailable):
            return answer
        told = self.ask(GET_TRANSFER_MESSAGE, journal.GetTransferLeaderMessagePRequest(transferId=answer.transferId))
        if isinstance(told, Unavailable):
            return told
        refusal = told.transMsg.msg
        return Unavailable(address, f"{address} cannot become the leader: {refusal}", Kind.ERROR) if refusal else None

    def ask(self, method: Method[Request, Response], request: Request) -> Response | Unavailable:
        """Any call that the primary answers."""
        return self._ask(lambda primary: primary.unary(method, request, self.timeout))

    def ask_stream(self, method: Method[Request, Response], request: Request) -> tuple[Response, ...] | Unavailable:
        """Any call that the primary answers with a stream, taken whole."""
        return self._ask(lambda primary: tuple(primary.stream(method, (request,), self.timeout)))

    def _ask(self, question: Callable[[Connection], Answer]) -> Answer | Unavailable:
        refusals: list[Unavailable] = []
        for connection, answer in self._answers(question):
            if not isinstance(answer, CallFailed):
                self._first = connection
                return answer
            refusal = unavailable(answer)
            if refusal.kind not in _ELSEWHERE:
                return refusal
            refusals.append(refusal)
        order = [connection.address for connection in self._connections]
        return _together(sorted(refusals, key=lambda refusal: order.index(refusal.address)))

    def _answers(self, question: Callable[[Connection], Answer]) -> Iterable[tuple[Connection, Answer | CallFailed]]:
        """Each master's answer as it comes: the last primary's alone if it is quick, all others' at once if not."""
        others = [connection for connection in self._connections if connection is not self._first]
        if not others:
            yield self._first, _outcome(question, self._first)
            return
        asked = {self._start(question, self._first): self._first}
        done, pending = wait(asked, HEAD_START)
        for first in done:
            yield self._first, first.result()
        asked |= {self._start(question, connection): connection for connection in others}
        pending = set(asked) - done
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for answered in done:
                yield asked[answered], answered.result()

    def _start(self, question: Callable[[Connection], Answer], connection: Connection) -> Future[Answer | CallFailed]:
        return self._pool.submit(_outcome, question, connection)


class CurrentMasters:
    """The masters at the ``addresses`` ("host:port") that hold at the moment, made anew when others do; the rest is as
    for Masters. Any thread may ask. Close it when done.
    """

    def __init__(
        self, addresses: Callable[[], Sequence[str]], *, authentication: str, user: str, timeout: float
    ) -> None:
        self._addresses = addresses
        self._made = functools.partial(Masters, authentication=authentication, user=user, timeout=timeout)
        self._lock = threading.Lock()
        self._known: tuple[tuple[str, ...], Masters] | None = None

    def now(self) -> Masters | None:
        """None while there are no addresses."""
        addresses = tuple(self._addresses())
        with self._lock:
            if self._known is None or self._known[0] != addresses:
                self._end()
                self._known = (addresses, self._made(addresses)) if addresses else None
            return self._known[1] if self._known is not None else None

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._known is not None:
            self._known[1].close()
        self._known = None


def _silent(connection: Connection) -> CallFailed:
    return CallFailed(connection.address, grpc.StatusCode.DEADLINE_EXCEEDED, "no answer yet")


def _outcome(question: Callable[[Connection], Answer], connection: Connection) -> Answer | CallFailed:
    try:
        return question(connection)
    except CallFailed as failure:
        return failure


def _role(connection: Connection) -> bool:
    """Asked of each master: whether it is in safe mode; only the primary has an answer to that."""
    answer = connection.unary(GET_MASTER_INFO, meta.GetMasterInfoPOptions(), LATE)
    return answer.masterInfo.safeMode


def _role_told(address: str, answer: bool | CallFailed) -> MasterRole:
    if isinstance(answer, CallFailed):
        refusal = unavailable(answer)
        return MasterRole(address, _ROLES.get(refusal.kind, Role.UNREACHABLE), refusal.reason)
    if answer:
        return MasterRole(address, Role.STARTING, f"{address} is the primary, in safe mode.")
    return MasterRole(address, Role.PRIMARY)


def _net_address(address: str) -> common.NetAddress:
    host, _, port = address.rpartition(":")
    return common.NetAddress(host=host, rpcPort=int(port))


def _together(refusals: Sequence[Unavailable]) -> Unavailable:
    """Several masters' refusals as one; the kind is the most telling one, in the order of the tuple."""
    if len(refusals) == 1:
        return refusals[0]
    kinds = {refusal.kind for refusal in refusals}
    kind = next(kind for kind in (Kind.UNAUTHENTICATED, Kind.STANDBY, Kind.UNREACHABLE) if kind in kinds)
    reasons = " ".join(refusal.reason for refusal in refusals)
    return Unavailable(
        ",".join(refusal.address for refusal in refusals), f"None of the masters is the primary: {reasons}", kind
    )


def _info(primary: Connection, answer: meta.GetMasterInfoPResponse) -> MasterInfo:
    info = answer.masterInfo
    return MasterInfo(
        cluster_id=info.clusterId,
        # Java prints an address that it has not resolved as "name/<unresolved>:port".
        primary=re.sub(r"/[^:]*(?=:\d+$)", "", info.leaderMasterAddress) or primary.address,
        version=info.version,
        start_time_ms=info.startTimeMs,
        uptime_seconds=info.upTimeMs / 1000,
        safe_mode=info.safeMode,
        rpc_port=info.rpcPort,
        web_port=info.webPort,
        raft_journal=info.raftJournal,
        masters=tuple(
            MasterReport(f"{known.addresses.host}:{known.addresses.rpcPort}", known.version, known.state)
            for known in info.masterVersions
        ),
        zookeeper=tuple(info.zookeeperAddresses),
    )


def _worker(info: block.WorkerInfo) -> WorkerReport:
    return WorkerReport(
        id=info.id,
        host=info.address.host,
        rpc_port=info.address.rpcPort,
        data_port=info.address.dataPort,
        web_port=info.address.webPort,
        state=_STATES.get(info.state, WorkerState.LOST),
        seconds_since_contact=info.lastContactSec,
        start_time_ms=info.startTimeMs,
        capacity_bytes=info.capacityBytes,
        used_bytes=info.usedBytes,
        capacity_on_tiers=tuple(sorted(info.capacityBytesOnTiers.items())),
        used_on_tiers=tuple(sorted(info.usedBytesOnTiers.items())),
        version=info.buildVersion.version,
    )
