"""The calls that the client makes, each with its path on the wire and the types that go in and come out.

The paths are those of the .proto files; a test compares every line with the descriptors.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from framework.alluxio.stubs import block_master_pb2 as block
from framework.alluxio.stubs import block_worker_pb2 as worker
from framework.alluxio.stubs import common_pb2 as common
from framework.alluxio.stubs import file_system_master_pb2 as file
from framework.alluxio.stubs import journal_master_pb2 as journal
from framework.alluxio.stubs import meta_master_pb2 as meta
from framework.alluxio.stubs import sasl_server_pb2 as sasl
from framework.alluxio.stubs import version_pb2 as version

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """One remote procedure: "service/name" without the leading slash, its request's and its response's class."""

    path: str
    request: type[Request]
    response: type[Response]


_META = "alluxio.grpc.meta.MetaMasterClientService"
_BLOCK = "alluxio.grpc.block.BlockMasterClientService"
_WORKER = "alluxio.grpc.block.BlockWorker"
_FILE = "alluxio.grpc.file.FileSystemMasterClientService"
_JOURNAL = "alluxio.grpc.journal.JournalMasterClientService"

AUTHENTICATE = Method("alluxio.grpc.sasl.SaslAuthenticationService/authenticate", sasl.SaslMessage, sasl.SaslMessage)
GET_SERVICE_VERSION = Method(
    "alluxio.grpc.version.ServiceVersionClientService/getServiceVersion",
    version.GetServiceVersionPRequest,
    version.GetServiceVersionPResponse,
)
GET_MASTER_INFO = Method(f"{_META}/GetMasterInfo", meta.GetMasterInfoPOptions, meta.GetMasterInfoPResponse)
GET_WORKER_REPORT = Method(f"{_BLOCK}/GetWorkerReport", block.GetWorkerReportPOptions, block.GetWorkerInfoListPResponse)
DECOMMISSION_WORKER = Method(
    f"{_BLOCK}/DecommissionWorker", block.DecommissionWorkerPOptions, block.DecommissionWorkerPResponse
)
GET_QUORUM_INFO = Method(f"{_JOURNAL}/GetQuorumInfo", journal.GetQuorumInfoPRequest, journal.GetQuorumInfoPResponse)
REMOVE_QUORUM_SERVER = Method(
    f"{_JOURNAL}/RemoveQuorumServer", journal.RemoveQuorumServerPRequest, journal.RemoveQuorumServerPResponse
)
TRANSFER_LEADERSHIP = Method(
    f"{_JOURNAL}/TransferLeadership", journal.TransferLeadershipPRequest, journal.TransferLeadershipPResponse
)
GET_TRANSFER_MESSAGE = Method(
    f"{_JOURNAL}/GetTransferLeaderMessage",
    journal.GetTransferLeaderMessagePRequest,
    journal.GetTransferLeaderMessagePResponse,
)

CREATE_FILE = Method(f"{_FILE}/CreateFile", file.CreateFilePRequest, file.CreateFilePResponse)
COMPLETE_FILE = Method(f"{_FILE}/CompleteFile", file.CompleteFilePRequest, file.CompleteFilePResponse)
NEW_BLOCK_ID = Method(
    f"{_FILE}/GetNewBlockIdForFile", file.GetNewBlockIdForFilePRequest, file.GetNewBlockIdForFilePResponse
)
GET_STATUS = Method(f"{_FILE}/GetStatus", file.GetStatusPRequest, file.GetStatusPResponse)
EXISTS = Method(f"{_FILE}/Exists", file.ExistsPRequest, file.ExistsPResponse)
LIST_STATUS = Method(f"{_FILE}/ListStatus", file.ListStatusPRequest, file.ListStatusPResponse)
REMOVE = Method(f"{_FILE}/Remove", file.DeletePRequest, file.DeletePResponse)
PERSIST = Method(
    f"{_FILE}/ScheduleAsyncPersistence",
    file.ScheduleAsyncPersistencePRequest,
    file.ScheduleAsyncPersistencePResponse,
)
SET_ATTRIBUTE = Method(f"{_FILE}/SetAttribute", file.SetAttributePRequest, file.SetAttributePResponse)
FREE = Method(f"{_FILE}/Free", file.FreePRequest, file.FreePResponse)
LIST_STATUS_PARTIAL = Method(
    f"{_FILE}/ListStatusPartial", file.ListStatusPartialPRequest, file.ListStatusPartialPResponse
)
SUBMIT_JOB = Method(f"{_FILE}/submitJob", file.SubmitJobPRequest, file.SubmitJobPResponse)
STOP_JOB = Method(f"{_FILE}/StopJob", file.StopJobPRequest, file.StopJobPResponse)
GET_JOB_PROGRESS = Method(f"{_FILE}/GetJobProgress", file.GetJobProgressPRequest, file.GetJobProgressPResponse)
GET_MOUNT_TABLE = Method(f"{_FILE}/GetMountTable", file.GetMountTablePRequest, file.GetMountTablePResponse)
MOUNT = Method(f"{_FILE}/Mount", file.MountPRequest, file.MountPResponse)
UPDATE_MOUNT = Method(f"{_FILE}/UpdateMount", file.UpdateMountPRequest, file.UpdateMountPResponse)
UNMOUNT = Method(f"{_FILE}/Unmount", file.UnmountPRequest, file.UnmountPResponse)

WRITE_BLOCK = Method(f"{_WORKER}/WriteBlock", worker.WriteRequest, worker.WriteResponse)
READ_BLOCK = Method(f"{_WORKER}/ReadBlock", worker.ReadRequest, worker.ReadResponse)


def common_options(sync_interval: int = -1) -> file.FileSystemMasterCommonPOptions:
    """What goes along with each question about a path: what comes into the namespace through it lives for ever. Left
    out, Alluxio takes the life for 0 and, an hour later or less, deletes the file from the under-storage too.
    ``sync_interval``: the milliseconds after which the under-storage is looked at again; -1: only for what was not
    looked at before.
    """
    return file.FileSystemMasterCommonPOptions(ttl=-1, ttlAction=common.FREE, syncIntervalMs=sync_interval)
