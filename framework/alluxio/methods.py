"""The calls that the client makes, each with its path on the wire and the types that go in and come out.

The paths are those of the .proto files; a test compares every line with the descriptors.

Law: a request leaves through ``Method.serialized`` and no other way. There it gets what every call about a path has to
say, as Alluxio's masters read what is not said as 0: a file that comes into the namespace with a life of 0 is deleted
an hour later or less, from the under-storage too, and with an interval of 0 each question asks the under-storage again.
Alluxio's own client fills in the same options with the same values.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Generic, TypeVar

from google.protobuf.descriptor import Descriptor
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
    """One remote procedure: "service/name" without the leading slash, its request's and its response's class.
    ``sets_life``: the life that a request says is not that of what is found, but is given to its path; it stays where
    none is said.
    """

    path: str
    request: type[Request]
    response: type[Response]
    sets_life: bool = False

    def serialized(self, request: Request) -> bytes:
        """The request as it is sent. Of the common options it keeps what it says; what it does not say is filled in.
        The request itself stays as it is: several masters may be asked with it at the same time.
        """
        places = _places(self.request.DESCRIPTOR)
        if not places:
            return request.SerializeToString()
        sent = self.request()
        sent.CopyFrom(request)
        for place in places:
            _fill(sent, place, _UNSAID_BESIDE_LIFE if self.sets_life else _UNSAID)
        return sent.SerializeToString()


# What comes into the namespace lives for ever. The interval is in milliseconds; -1: the under-storage is looked at only
# for what was not looked at before.
_UNSAID: Final = file.FileSystemMasterCommonPOptions(ttl=-1, ttlAction=common.FREE, syncIntervalMs=-1)
_UNSAID_BESIDE_LIFE: Final = file.FileSystemMasterCommonPOptions(syncIntervalMs=-1)


@cache
def _places(kind: Descriptor) -> tuple[tuple[str, ...], ...]:
    """Where such a message has common options: the names of the fields that lead there."""
    if kind == file.FileSystemMasterCommonPOptions.DESCRIPTOR:
        return ((),)
    parts = [field for field in kind.fields if field.message_type is not None]
    return tuple((part.name, *rest) for part in parts for rest in _places(part.message_type))


def _fill(message: Message, place: tuple[str, ...], unsaid: file.FileSystemMasterCommonPOptions) -> None:
    *way, last = place
    for name in way:
        # A call's own options may be filled where it gave none. Any other part (asyncPersistOptions) asks for something
        # by being there at all.
        if name != "options" and not message.HasField(name):
            return
        message = getattr(message, name)
    filled = file.FileSystemMasterCommonPOptions()
    filled.MergeFrom(unsaid)
    filled.MergeFrom(getattr(message, last))
    getattr(message, last).CopyFrom(filled)


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
SET_ATTRIBUTE = Method(f"{_FILE}/SetAttribute", file.SetAttributePRequest, file.SetAttributePResponse, sets_life=True)
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
