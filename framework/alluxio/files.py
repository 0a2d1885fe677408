"""A small Alluxio file-system client: what a cluster's self-proof and the tests need, without a JVM.

Files go through workers as any client's do. What must not live here: anything that the scheduler's loop needs.
"""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeVar

from framework.alluxio.answers import PASSING, CallFailed, Unavailable, WorkerState, unavailable
from framework.alluxio.connection import Connection
from framework.alluxio.masters import Masters
from framework.alluxio.methods import (
    COMPLETE_FILE,
    CREATE_FILE,
    EXISTS,
    GET_MOUNT_TABLE,
    GET_STATUS,
    LIST_STATUS,
    NEW_BLOCK_ID,
    PERSIST,
    READ_BLOCK,
    REMOVE,
    WRITE_BLOCK,
    Method,
    Request,
    Response,
)
from framework.alluxio.stubs import block_worker_pb2 as worker_protocol
from framework.alluxio.stubs import common_pb2 as common_protocol
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.alluxio.stubs import proto_dataserver_protocol_pb2 as data_protocol

CHUNK = 1 << 20
BLOCK_SIZE = 64 << 20
RETRY_PAUSE = 0.1

_MODE = common_protocol.PMode(
    ownerBits=common_protocol.READ_WRITE, groupBits=common_protocol.READ, otherBits=common_protocol.READ
)

Answer = TypeVar("Answer")


class AlluxioError(Exception):
    """One sentence: what Alluxio refused, or why it could not be asked."""


class AlluxioAway(AlluxioError):
    """Nobody could be asked just now: there is no primary master, no worker, or one of them left in the middle."""


class WriteType(StrEnum):
    """alluxio.user.file.writetype.default, by the names of Alluxio."""

    MUST_CACHE = "MUST_CACHE"
    CACHE_THROUGH = "CACHE_THROUGH"
    THROUGH = "THROUGH"
    ASYNC_THROUGH = "ASYNC_THROUGH"


_CACHES = frozenset({WriteType.MUST_CACHE, WriteType.CACHE_THROUGH, WriteType.ASYNC_THROUGH})
_WRITES_THROUGH = frozenset({WriteType.CACHE_THROUGH, WriteType.THROUGH})


@dataclass(frozen=True)
class BlockReport:
    """One block of a file, and the workers ("host:port") that cache it."""

    id: int
    length: int
    locations: tuple[str, ...]


@dataclass(frozen=True)
class FileStatus:
    """GetStatus. `persistence` is Alluxio's word: NOT_PERSISTED, TO_BE_PERSISTED, PERSISTED or LOST."""

    path: str
    folder: bool
    length: int
    completed: bool
    persistence: str
    in_alluxio_percent: int
    in_memory_percent: int
    under_storage_path: str
    mount_id: int
    block_size: int
    blocks: tuple[BlockReport, ...]


@dataclass(frozen=True)
class Mount:
    """One line of the mount table."""

    path: str
    under_storage: str
    kind: str
    read_only: bool
    mount_id: int


class Files:
    """Reads and writes through the cluster of `masters`, as their user.

    Every trouble is an AlluxioError. `timeout` seconds bound the transfer of one block. What fails because somebody is
    away (AlluxioAway) is tried again for `retry_seconds`, which carries reads and writes over a failover of the masters
    or the restart of a worker. Close it when done; the masters stay the caller's.
    """

    def __init__(self, masters: Masters, *, timeout: float = 60.0, retry_seconds: float = 0.0) -> None:
        self._masters = masters
        self._timeout = timeout
        self._retry_seconds = retry_seconds
        self._workers: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections to the workers."""
        for connection in self._workers.values():
            connection.close()
        self._workers.clear()

    def write(
        self,
        path: str,
        content: bytes,
        *,
        write_type: WriteType = WriteType.MUST_CACHE,
        worker: str | None = None,
        block_size: int = BLOCK_SIZE,
    ) -> None:
        """Create the file (and its folders) and fill it through `worker` ("host:port"), or else through a live one.

        An attempt that broke off may have left the file behind: the next one takes it as done when it is whole, and
        writes it anew when it is not.
        """
        tried = False

        def attempt() -> None:
            nonlocal tried
            if tried and self._left_behind(path, len(content)):
                return
            tried = True
            self._write(path, content, write_type, worker, block_size)

        self._patiently(attempt)

    def _left_behind(self, path: str, length: int) -> bool:
        """Whether a broken attempt has written the whole file after all; a part of it is removed."""
        if not self._exists(path):
            return False
        status = _status(self._ask(GET_STATUS, _of(path)).fileInfo)
        if status.completed and status.length == length:
            return True
        self._ask(REMOVE, protocol.DeletePRequest(path=path))
        return False

    def _write(self, path: str, content: bytes, write_type: WriteType, worker: str | None, block_size: int) -> None:
        chosen = self._worker(worker or self._any_worker())
        options = protocol.CreateFilePOptions(
            recursive=True,
            writeType=write_type.value,
            blockSizeBytes=block_size,
            # As many copies as there may be: left out it is read as 0, and a minute later every copy is evicted, even
            # that of a file which nothing but the cache holds.
            replicationMax=-1,
            # Left out it is read as 0: nobody but the superuser could read the file.
            mode=_MODE,
        )
        created = self._ask(CREATE_FILE, protocol.CreateFilePRequest(path=path, options=options)).fileInfo
        if write_type in _CACHES:
            for start in range(0, len(content), block_size):
                block_id = self._ask(NEW_BLOCK_ID, protocol.GetNewBlockIdForFilePRequest(path=path)).id
                block = content[start : start + block_size]
                self._write_block(chosen, block_id, block)
        if write_type in _WRITES_THROUGH:
            target = data_protocol.CreateUfsFileOptions(
                ufs_path=created.ufsPath,
                owner=created.owner,
                group=created.group,
                mode=created.mode,
                mount_id=created.mountId,
            )
            command = worker_protocol.WriteRequestCommand(
                type=worker_protocol.UFS_FILE, id=created.fileId, offset=0, create_ufs_file_options=target
            )
            self._send(chosen, command, content)
        completed = protocol.CompleteFilePOptions(ufsLength=len(content))
        if write_type is WriteType.ASYNC_THROUGH:
            completed.asyncPersistOptions.persistenceWaitTime = 0
        self._ask(COMPLETE_FILE, protocol.CompleteFilePRequest(path=path, options=completed))

    def read(self, path: str, *, worker: str | None = None) -> bytes:
        """The file's content: each block from a worker that caches it, or all through `worker` ("host:port")."""
        return self._patiently(lambda: self._read(path, worker))

    def _read(self, path: str, worker: str | None) -> bytes:
        status = _status(self._ask(GET_STATUS, _of(path)).fileInfo)
        if status.folder:
            raise AlluxioError(f"{path} is a folder: only a file can be read.")
        parts = []
        for number, block in enumerate(status.blocks):
            source = self._worker(worker or (block.locations[0] if block.locations else self._any_worker()))
            part = self._receive(source, status, block, number * status.block_size)
            if len(part) != block.length:
                raise AlluxioError(
                    f"{path}: {source.address} sent {len(part)} of the {block.length} bytes of block {block.id}."
                )
            parts.append(part)
        return b"".join(parts)

    def status(self, path: str) -> FileStatus:
        """What the primary knows of a file or folder, with the blocks' locations."""
        return _status(self._patiently(lambda: self._ask(GET_STATUS, _of(path))).fileInfo)

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder of that path."""
        return self._patiently(lambda: self._exists(path))

    def _exists(self, path: str) -> bool:
        return self._ask(EXISTS, protocol.ExistsPRequest(path=path)).exists

    def list(self, path: str, *, recursive: bool = False) -> tuple[FileStatus, ...]:
        """What lies in a folder, by path; with all below it where it is recursive. Only what Alluxio knows: the
        under-storage is not looked at then.
        """
        looks = protocol.NEVER if recursive else protocol.ONCE
        options = protocol.ListStatusPOptions(recursive=recursive, loadMetadataType=looks)
        request = protocol.ListStatusPRequest(path=path, options=options)
        answer = self._patiently(lambda: _answered(self._masters.ask_stream(LIST_STATUS, request)))
        found = (_status(info) for part in answer for info in part.fileInfos)
        return tuple(sorted(found, key=lambda status: status.path))

    def delete(self, path: str, *, recursive: bool = False, alluxio_only: bool = False) -> None:
        """Remove a file, or a folder with all in it; from the under-storage too, unless Alluxio alone shall forget it:
        it then finds what lies there anew when it is asked for.
        """
        options = protocol.DeletePOptions(recursive=recursive, alluxioOnly=alluxio_only)
        request = protocol.DeletePRequest(path=path, options=options)
        tried = False

        def attempt() -> None:
            nonlocal tried
            if tried and not self._exists(path):
                return
            tried = True
            self._ask(REMOVE, request)

        self._patiently(attempt)

    def persist(self, path: str) -> None:
        """Ask for the file to be written to the under-storage; the job service does it some time later."""
        self._patiently(lambda: self._ask(PERSIST, protocol.ScheduleAsyncPersistencePRequest(path=path)))

    def read_block(self, file: FileStatus, place: int, worker: str) -> bytes:
        """A block of a file, by its place there, from a worker ("host:port") whether the masters know that it has it or
        not.
        """
        block = file.blocks[place]
        content = self._receive(self._worker(worker), file, block, place * file.block_size)
        if len(content) != block.length:
            raise AlluxioError(f"{worker} sent {len(content)} of the {block.length} bytes of block {block.id}.")
        return content

    def write_block(self, block_id: int, content: bytes, worker: str) -> None:
        """Give a block that there is a home at this worker ("host:port"), which tells the masters."""
        self._write_block(self._worker(worker), block_id, content)

    def mount_table(self) -> tuple[Mount, ...]:
        """What is mounted where, by path."""
        answer = self._patiently(lambda: self._ask(GET_MOUNT_TABLE, protocol.GetMountTablePRequest(checkUfs=False)))
        mounts = (
            Mount(path, point.ufsUri, point.ufsType, point.readOnly, point.mountId)
            for path, point in answer.mountPoints.items()
        )
        return tuple(sorted(mounts, key=lambda mount: mount.path))

    def _ask(self, method: Method[Request, Response], request: Request) -> Response:
        return _answered(self._masters.ask(method, request))

    def _patiently(self, attempt: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + self._retry_seconds
        while True:
            try:
                return attempt()
            except AlluxioAway:
                if time.monotonic() + RETRY_PAUSE >= deadline:
                    raise
                time.sleep(RETRY_PAUSE)

    def _worker(self, address: str) -> Connection:
        return self._workers.setdefault(address, Connection(address, self._masters.login))

    def _any_worker(self) -> str:
        """The live worker with the most room."""
        workers = _answered(self._masters.workers())
        live = [worker for worker in workers if worker.state is WorkerState.LIVE]
        if not live:
            raise AlluxioAway("The cluster has no live worker.")
        return max(live, key=lambda worker: worker.capacity_bytes - worker.used_bytes).address

    def _send(self, worker: Connection, command: worker_protocol.WriteRequestCommand, content: bytes) -> None:
        """WriteBlock: the command, chunks, then the half-close that commits; the stream's end says all is there."""

        def requests() -> Iterator[worker_protocol.WriteRequest]:
            yield worker_protocol.WriteRequest(command=command)
            for start in range(0, len(content), CHUNK):
                yield worker_protocol.WriteRequest(chunk=worker_protocol.Chunk(data=content[start : start + CHUNK]))

        try:
            for _acknowledged in worker.stream(WRITE_BLOCK, requests(), self._timeout):
                pass
        except CallFailed as failure:
            raise _refused(unavailable(failure)) from failure

    def _write_block(self, worker: Connection, block_id: int, content: bytes) -> None:
        command = worker_protocol.WriteRequestCommand(
            type=worker_protocol.ALLUXIO_BLOCK, id=block_id, offset=0, tier=0, space_to_reserve=len(content)
        )
        self._send(worker, command, content)

    def _receive(self, worker: Connection, file: FileStatus, block: BlockReport, offset: int) -> bytes:
        """ReadBlock: one request, then a receipt for each chunk, as the worker sends only so much ahead of them."""
        request = worker_protocol.ReadRequest(
            block_id=block.id, offset=0, length=block.length, promote=False, chunk_size=CHUNK
        )
        if file.persistence == "PERSISTED":
            request.open_ufs_block_options.CopyFrom(
                data_protocol.OpenUfsBlockOptions(
                    ufs_path=file.under_storage_path,
                    offset_in_file=offset,
                    block_size=block.length,
                    maxUfsReadConcurrency=1,
                    mountId=file.mount_id,
                )
            )
        to_send: queue.SimpleQueue[worker_protocol.ReadRequest | None] = queue.SimpleQueue()
        to_send.put(request)
        parts = []
        received = 0
        try:
            for response in worker.stream(READ_BLOCK, iter(to_send.get, None), self._timeout):
                parts.append(response.chunk.data)
                received += len(response.chunk.data)
                to_send.put(worker_protocol.ReadRequest(offset_received=received))
                if received >= block.length:
                    to_send.put(None)
        except CallFailed as failure:
            raise _refused(unavailable(failure)) from failure
        finally:
            to_send.put(None)  # Ends the thread that waits for the next receipt to send.
        return b"".join(parts)


def _answered(answer: Answer | Unavailable) -> Answer:
    if isinstance(answer, Unavailable):
        raise _refused(answer)
    return answer


def _refused(refusal: Unavailable) -> AlluxioError:
    return (AlluxioAway if refusal.kind in PASSING else AlluxioError)(refusal.reason)


def _of(path: str) -> protocol.GetStatusPRequest:
    """What lies in the under-storage alone counts too; by itself Alluxio would answer that there is no such file."""
    options = protocol.GetStatusPOptions(loadMetadataType=protocol.ONCE)
    return protocol.GetStatusPRequest(path=path, options=options)


def _status(info: protocol.FileInfo) -> FileStatus:
    return FileStatus(
        path=info.path,
        folder=info.folder,
        length=info.length,
        completed=info.completed,
        persistence=info.persistenceState,
        in_alluxio_percent=info.inAlluxioPercentage,
        in_memory_percent=info.inMemoryPercentage,
        under_storage_path=info.ufsPath,
        mount_id=info.mountId,
        block_size=info.blockSizeBytes,
        blocks=tuple(map(_block, info.fileBlockInfos)),
    )


def _block(info: protocol.FileBlockInfo) -> BlockReport:
    block = info.blockInfo
    locations = (f"{place.workerAddress.host}:{place.workerAddress.rpcPort}" for place in block.locations)
    return BlockReport(block.blockId, block.length, tuple(sorted(locations)))
