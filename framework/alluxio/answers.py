"""What the client answers: frozen values without a trace of gRPC, and the table from failed calls to them."""

import re
from dataclasses import dataclass, field
from enum import Enum, StrEnum

import grpc


class Kind(Enum):
    """Why a master gave no answer."""

    UNREACHABLE = "unreachable"
    STANDBY = "standby"
    UNAUTHENTICATED = "unauthenticated"
    STARTING = "starting"
    ERROR = "error"


PASSING = frozenset({Kind.UNREACHABLE, Kind.STANDBY, Kind.STARTING})  # asking again later may bring an answer


@dataclass(frozen=True)
class Unavailable:
    """No answer, with the reason as one sentence; `address` is "host:port", or several with commas between them. Where
    a master refused what it was asked for (ERROR), `code` is gRPC's name of the status and `details` its own words.
    """

    address: str
    reason: str
    kind: Kind
    code: str = field(default="", compare=False)
    details: str = field(default="", compare=False)


class Role(StrEnum):
    """What a master is. A living one that has yet to win its election, or to read its journal, counts as a standby;
    the primary is starting as long as it waits for its workers (Alluxio's safe mode).
    """

    PRIMARY = "primary"
    STANDBY = "standby"
    STARTING = "starting"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class MasterRole:
    """What the master at `address` is, and for all but the primary one sentence why that is said."""

    address: str
    role: Role
    reason: str = ""


@dataclass(frozen=True)
class Alive:
    """A master that answers its RPC port."""

    address: str
    role: Role


class MasterState(StrEnum):
    """The states of `MasterVersion.state`: a master that stopped its heartbeats is LOST."""

    PRIMARY = "PRIMARY"
    STANDBY = "STANDBY"
    LOST = "LOST"


@dataclass(frozen=True)
class MasterReport:
    """One master as the primary knows it; `state` is Alluxio's own word, see MasterState."""

    address: str
    version: str
    state: str


@dataclass(frozen=True)
class MasterInfo:
    """GetMasterInfo: the cluster as its primary sees it. `primary` is the primary's own "host:port"."""

    cluster_id: str
    primary: str
    version: str
    start_time_ms: int
    uptime_seconds: float
    safe_mode: bool
    rpc_port: int
    web_port: int
    raft_journal: bool
    masters: tuple[MasterReport, ...] = ()
    zookeeper: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuorumMember:
    """One member of the embedded journal's quorum, at its journal's own "host:port". An unavailable one has been silent
    for alluxio.master.embedded.journal.election.timeout.max.
    """

    address: str
    available: bool
    leader: bool


class WorkerState(StrEnum):
    """A worker in the primary's books."""

    LIVE = "live"
    LOST = "lost"
    DECOMMISSIONED = "decommissioned"


@dataclass(frozen=True)
class WorkerReport:
    """One line of GetWorkerReport. Sizes in bytes; tiers as ("MEM", bytes), in the order of their aliases."""

    id: int
    host: str
    rpc_port: int
    data_port: int
    web_port: int
    state: WorkerState
    seconds_since_contact: int
    start_time_ms: int
    capacity_bytes: int
    used_bytes: int
    capacity_on_tiers: tuple[tuple[str, int], ...] = field(default=())
    used_on_tiers: tuple[tuple[str, int], ...] = field(default=())
    version: str = ""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.rpc_port}"


class CallFailed(Exception):
    """A call that brought no answer; lives inside this folder only."""

    def __init__(self, address: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{address}: {code.name}: {details}")
        self.address = address
        self.code = code
        self.details = details


# First match wins: the status code, a pattern in its text, what it means, and the sentence. As seen of Alluxio 2.9.6:
# a master that is not primary serves no service but the version and the SASL one; it answers UNAVAILABLE instead where
# alluxio.standby.master.grpc.enabled is set.
_NOT_PRIMARY = "{address} is up but not the primary master."
_MEANINGS: tuple[tuple[grpc.StatusCode, str, Kind, str], ...] = (
    (
        grpc.StatusCode.UNAVAILABLE,
        r"safe ?mode",
        Kind.STARTING,
        "{address} is the primary but still in safe mode, waiting for its workers.",
    ),
    (grpc.StatusCode.UNAVAILABLE, r"standby|not (the )?primary", Kind.STANDBY, _NOT_PRIMARY),
    # With alluxio.standby.master.grpc.enabled=false a standby accepts connections and closes them at once.
    (
        grpc.StatusCode.UNAVAILABLE,
        r"failed to connect.*(Socket closed|[Cc]onnection reset)",
        Kind.STANDBY,
        _NOT_PRIMARY,
    ),
    (
        grpc.StatusCode.UNAVAILABLE,
        r"[Cc]onnection refused",
        Kind.UNREACHABLE,
        "{address} refuses connections: nothing listens there.",
    ),
    (grpc.StatusCode.UNAVAILABLE, r"", Kind.UNREACHABLE, "{address} cannot be reached: {details}"),
    (grpc.StatusCode.CANCELLED, r"", Kind.UNREACHABLE, "{address} closed the connection: {details}"),
    (grpc.StatusCode.DEADLINE_EXCEEDED, r"", Kind.UNREACHABLE, "{address} did not answer in time."),
    (grpc.StatusCode.NOT_FOUND, r"^Service \w+ is not found", Kind.STANDBY, _NOT_PRIMARY),
    (
        grpc.StatusCode.UNIMPLEMENTED,
        r"^authenticate is not served",
        Kind.UNAUTHENTICATED,
        "{address} does not speak SASL: its alluxio.security.authentication.type is NOSASL, ours SIMPLE.",
    ),
    (grpc.StatusCode.UNIMPLEMENTED, r"", Kind.STANDBY, _NOT_PRIMARY),
    (
        grpc.StatusCode.UNAUTHENTICATED,
        r"Channel Id is missing",
        Kind.UNAUTHENTICATED,
        "{address} wants SASL: its alluxio.security.authentication.type is SIMPLE, ours NOSASL.",
    ),
    (grpc.StatusCode.UNAUTHENTICATED, r"", Kind.UNAUTHENTICATED, "{address} refuses our authentication: {details}"),
)


def unavailable(failure: CallFailed) -> Unavailable:
    """What a failed call means."""
    for code, pattern, kind, sentence in _MEANINGS:
        if failure.code is code and re.search(pattern, failure.details):
            return Unavailable(failure.address, sentence.format(address=failure.address, details=failure.details), kind)
    return Unavailable(
        failure.address,
        f"{failure.address} answered {failure.code.name}: {failure.details}",
        Kind.ERROR,
        failure.code.name,
        failure.details,
    )
