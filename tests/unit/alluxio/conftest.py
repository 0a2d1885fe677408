"""A stand-in for an Alluxio master: a real gRPC server on loopback, from the same stubs, with the SASL of 2.9."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from framework.alluxio.methods import (
    AUTHENTICATE,
    EXISTS,
    GET_MASTER_INFO,
    GET_QUORUM_INFO,
    GET_SERVICE_VERSION,
    GET_TRANSFER_MESSAGE,
    GET_WORKER_REPORT,
    LIST_STATUS,
    REMOVE,
    REMOVE_QUORUM_SERVER,
    TRANSFER_LEADERSHIP,
    Method,
)
from framework.alluxio.stubs import block_master_pb2 as block
from framework.alluxio.stubs import file_system_master_pb2 as file
from framework.alluxio.stubs import journal_master_pb2 as journal
from framework.alluxio.stubs import meta_master_pb2 as meta
from framework.alluxio.stubs import sasl_server_pb2 as sasl
from framework.alluxio.stubs import version_pb2 as version

Handler = Callable[[Any, grpc.ServicerContext], Any]


@dataclass
class StandIn:
    """`refusal` is what every call but SASL is answered with; `silent` keeps calls waiting until it is set; with
    `loses_answers` a removal is done, but not answered. `answers` is what other calls are answered with: a message or
    messages, or an exception's code and text; what they were asked for is in `asked`, by method.
    """

    authentication: str = "SIMPLE"
    primary: bool = True
    accepts_login: bool = True
    refusal: tuple[grpc.StatusCode, str] | None = None
    silent: threading.Event | None = None
    silent_login: threading.Event | None = None
    port: int = 0
    safe_mode: bool = False
    quorum: list[tuple[str, int, int]] = field(default_factory=list)
    transfers: dict[str, str] = field(default_factory=dict)
    loses_answers: bool = False
    paths: set[str] = field(default_factory=set)
    workers: tuple[block.WorkerInfo, ...] = ()
    logins: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    answers: dict[Method[Any, Any], Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._authenticated: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
        if self.authentication == "SIMPLE":
            self._serve(AUTHENTICATE, grpc.stream_stream_rpc_method_handler, self._authenticate)
        self._serve_unary(GET_SERVICE_VERSION, self._version)
        if self.primary:
            self._serve_unary(GET_MASTER_INFO, self._info)
            self._serve_unary(
                GET_WORKER_REPORT, lambda _request, _context: block.GetWorkerInfoListPResponse(workerInfos=self.workers)
            )
            self._serve_unary(GET_QUORUM_INFO, self._quorum_info)
            self._serve_unary(REMOVE_QUORUM_SERVER, self._remove_quorum_server)
            self._serve_unary(TRANSFER_LEADERSHIP, self._transfer_leadership)
            self._serve_unary(GET_TRANSFER_MESSAGE, self._transfer_message)
            self._serve_unary(EXISTS, lambda request, _context: file.ExistsPResponse(exists=request.path in self.paths))
            self._serve_unary(REMOVE, self._remove)
            for method in self.answers:
                if method is LIST_STATUS:
                    self._serve(method, grpc.unary_stream_rpc_method_handler, self._listed)
                else:
                    self._serve_unary(method, self._said(method))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        for event in (self.silent, self.silent_login):
            if event is not None:
                event.set()
        self._server.stop(None).wait()

    def _serve(self, method: Method[Any, Any], make: Callable[..., Any], handle: Callable[..., Any]) -> None:
        service, _, name = method.path.partition("/")
        handler = make(handle, method.request.FromString, method.response.SerializeToString)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

    def _said(self, method: Method[Any, Any]) -> Handler:
        def say(request: Any, context: grpc.ServicerContext) -> Any:
            self.asked.append((method.path.partition("/")[2], request))
            answer = self.answers[method]
            answer = answer(request) if callable(answer) else answer
            if isinstance(answer, tuple):
                context.abort(*answer)
            return answer

        return say

    def _listed(self, request: Any, _context: grpc.ServicerContext) -> Iterator[Any]:
        self.asked.append(("ListStatus", request))
        yield from self.answers[LIST_STATUS]

    def _serve_unary(self, method: Method[Any, Any], handle: Handler) -> None:
        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(method.path.partition("/")[2])
            if self.silent is not None:
                self.silent.wait()
            channel = dict(context.invocation_metadata()).get("channel-id")
            if self.authentication == "SIMPLE" and channel is None:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"Channel Id is missing for call: {method.path}.")
            if self.authentication == "SIMPLE" and channel not in self._authenticated:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"Channel: {channel} is not authenticated")
            if self.refusal is not None:
                context.abort(*self.refusal)
            return handle(request, context)

        self._serve(method, grpc.unary_unary_rpc_method_handler, guarded)

    def _authenticate(
        self, requests: Iterator[sasl.SaslMessage], context: grpc.ServicerContext
    ) -> Iterator[sasl.SaslMessage]:
        first = next(requests)
        if self.silent_login is not None:
            self.silent_login.wait()
        self.logins.append(first.message)
        if not self.accepts_login:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Plain authentication failed")
        self._authenticated.add(first.clientId)
        try:
            yield sasl.SaslMessage(messageType=sasl.SUCCESS, clientId=first.clientId)
            for _message in requests:
                pass
        finally:
            self._authenticated.discard(first.clientId)

    def _version(
        self, _request: version.GetServiceVersionPRequest, context: grpc.ServicerContext
    ) -> version.GetServiceVersionPResponse:
        if not self.primary:
            context.abort(grpc.StatusCode.NOT_FOUND, "Service META_MASTER_CLIENT_SERVICE is not found.")
        return version.GetServiceVersionPResponse(version=2)

    def _info(
        self, _request: meta.GetMasterInfoPOptions, _context: grpc.ServicerContext
    ) -> meta.GetMasterInfoPResponse:
        known = meta.MasterVersion(version="2.9.6", state="PRIMARY")
        known.addresses.host, known.addresses.rpcPort = "127.0.0.1", self.port
        info = meta.MasterInfo(
            leaderMasterAddress=f"127.0.0.1/<unresolved>:{self.port}",
            rpcPort=self.port,
            webPort=19999,
            safeMode=self.safe_mode,
            startTimeMs=1_700_000_000_000,
            upTimeMs=1500,
            version="2.9.6",
            clusterId="4c73729e",
            raftJournal=False,
            masterVersions=[known],
            zookeeperAddresses=["127.0.0.1:2181"],
        )
        return meta.GetMasterInfoPResponse(masterInfo=info)

    def _quorum_info(self, _request: Any, _context: grpc.ServicerContext) -> journal.GetQuorumInfoPResponse:
        """The first of the members leads."""
        answer = journal.GetQuorumInfoPResponse()
        for number, (host, port, state) in enumerate(self.quorum):
            member = answer.serverInfo.add(serverState=journal.QuorumServerState.Name(state), isLeader=number == 0)
            member.serverAddress.host, member.serverAddress.rpcPort = host, port
        return answer

    def _remove_quorum_server(
        self, request: journal.RemoveQuorumServerPRequest, _context: grpc.ServicerContext
    ) -> journal.RemoveQuorumServerPResponse:
        address = (request.serverAddress.host, request.serverAddress.rpcPort)
        self.quorum = [member for member in self.quorum if member[:2] != address]
        return journal.RemoveQuorumServerPResponse()

    def _transfer_leadership(
        self, request: journal.TransferLeadershipPRequest, _context: grpc.ServicerContext
    ) -> journal.TransferLeadershipPResponse:
        address = (request.serverAddress.host, request.serverAddress.rpcPort)
        known = any(member[:2] == address for member in self.quorum)
        self.transfers["transfer-1"] = "" if known else f"<{address[0]}:{address[1]}> is not part of the quorum"
        return journal.TransferLeadershipPResponse(transferId="transfer-1")

    def _transfer_message(
        self, request: journal.GetTransferLeaderMessagePRequest, _context: grpc.ServicerContext
    ) -> journal.GetTransferLeaderMessagePResponse:
        return journal.GetTransferLeaderMessagePResponse(
            transMsg=journal.TransferLeaderMessage(msg=self.transfers[request.transferId])
        )

    def _remove(self, request: file.DeletePRequest, context: grpc.ServicerContext) -> file.DeletePResponse:
        self.paths.remove(request.path)
        if self.loses_answers:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not supported on standby master")
        return file.DeletePResponse()


@pytest.fixture
def serve() -> Iterator[Callable[..., StandIn]]:
    """Starts stand-ins, with StandIn's fields as arguments; stopped at the end."""
    started: list[StandIn] = []

    def start(**fields: Any) -> StandIn:
        started.append(StandIn(**fields))
        return started[-1]

    yield start
    for server in started:
        server.stop()
