"""The store in ZooKeeper.

Layout 2 below the service's path: ``version`` (of this layout), ``release`` (which wrote what is there),
``framework-id``, ``retired``, ``mounts`` (those that were made, where there are any), ``paths`` (of which something is
wanted), ``uninstalling`` (once the service is to go for good), one node a slot under ``records/``, one node an entry
under ``history/``, and ``election/``, where the schedulers contend. Layout 1 had neither ``version`` nor ``history/``
nor ``election/``; it is lifted when a scheduler leads.

Each node and each reply is far below ZooKeeper's limit of 1 MB (jute.maxbuffer), however many workers there are. Writes
go out as transactions that name the expected versions and the lead: a scheduler that was overtaken by another fails
instead of overwriting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import kazoo.exceptions
from kazoo.security import OPEN_ACL_UNSAFE

from framework import wire
from framework.config import SERVICES
from framework.memory import Kept, after
from framework.messages import Effect
from framework.model import HistoryEntry, Record
from framework.store import StoreError, StoreNewer
from framework.zookeeper.session import TROUBLE, Session, describe, failure

log = logging.getLogger(__name__)

THIS_RELEASE: Final = importlib.metadata.version("alluxio-mesos")
VERSION: Final = "version"
RELEASE: Final = "release"  # which wrote what is there
FRAMEWORK_ID: Final = "framework-id"
RETIRED: Final = "retired"
MADE_MOUNTS: Final = "mounts"
PATHS: Final = "paths"  # of Alluxio's namespace; there where something is wanted of any
RECORDS: Final = "records"
HISTORY: Final = "history"
ELECTION: Final = "election"
ALLUXIO: Final = "alluxio"  # where Alluxio's masters elect theirs: they bring no credentials
UNINSTALLING: Final = "uninstalling"  # there while the service is being removed for good
UNFINISHED: Final = "import"  # there while an import is under way
NEW: Final = -1  # the version of a node that is not there yet
ANY: Final = -1  # in a check: the node must be there
BATCH: Final = 200  # nodes in one transaction: some 60 kB


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    data: bytes
    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """What one node holds: a field of Kept, which has no node while nothing is in it."""

    field: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


# By the names of their nodes, in the order in which they are written.
PARTS: Final[Mapping[str, Part]] = {
    UNINSTALLING: Part("uninstalling", lambda _: b"yes", lambda _: True),
    FRAMEWORK_ID: Part("framework_id", str.encode, bytes.decode),
    RETIRED: Part("retired", wire.encode_retired, wire.decode_retired),
    MADE_MOUNTS: Part("mounts", wire.encode_mounts, wire.decode_mounts),
    PATHS: Part("paths", wire.encode_paths, wire.decode_paths),
}


def prepare(session: Session, path: str) -> None:
    """Make the service's path, closed to others when there are credentials; what lies above it is shared with other
    services and stays open.

    Raises:
        StoreError: ZooKeeper refuses.
    """
    client = session.client
    parent = path.rpartition("/")[0]
    try:
        if parent:
            session.answer(client.ensure_path_async(parent, acl=OPEN_ACL_UNSAFE))
        for node in (path, *(f"{path}/{name}" for name in (RECORDS, HISTORY, ELECTION))):
            session.answer(client.ensure_path_async(node, acl=session.acl))
        if session.credentials:
            session.answer(client.ensure_path_async(f"{path}/{ALLUXIO}", acl=OPEN_ACL_UNSAFE))
            _close_to_others(session, path)
    except TROUBLE as error:
        raise failure(path, "made", error) from error


def _close_to_others(session: Session, path: str) -> None:
    """Take what was written without credentials. The path's own node comes last: while it is open, all are looked
    at.
    """
    client = session.client
    access, _ = session.answer(client.get_acls_async(path))
    if list(access) == session.acl:
        return
    nodes = [f"{path}/{name}" for name in session.answer(client.get_children_async(path)) if name != ALLUXIO]
    for folder in (RECORDS, HISTORY, ELECTION):
        nodes += [f"{path}/{folder}/{name}" for name in session.answer(client.get_children_async(f"{path}/{folder}"))]
    for _ in session.answers(client.set_acls_async(node, session.acl) for node in [*nodes, path]):
        pass
    log.info("%d nodes at %s are closed to other identities from now on", len(nodes) + 1, path)


def read(session: Session, path: str) -> dict[str, Node]:
    """What lies at the path, by the name of the node below it.

    Raises:
        StoreError: it cannot be read.
    """
    client = session.client
    try:
        names = [VERSION, RELEASE, *PARTS, UNFINISHED]
        for folder in (RECORDS, HISTORY):
            children = next(iter(session.answers([client.get_children_async(f"{path}/{folder}")])))
            names += [f"{folder}/{child}" for child in children or ()]
        found = session.answers(client.get_async(f"{path}/{name}") for name in names)
        return {
            name: Node(bytes(node[0]), node[1].version)
            for name, node in zip(names, found, strict=True)
            if node is not None
        }
    except TROUBLE as error:
        raise failure(path, "read", error) from error


def decode(nodes: Mapping[str, Node], path: str) -> Kept:
    """What the nodes hold.

    Raises:
        StoreError: they are damaged, a newer release wrote them, or an import was not finished.
    """
    if UNFINISHED in nodes:
        raise StoreError(
            f"an import of the state at {path} in ZooKeeper was not finished; "
            "run `alluxio-mesos state import --replace` again"
        )
    try:
        wire.decode_layout(nodes[VERSION].data if VERSION in nodes else None)
        return _kept({name: node.data for name, node in nodes.items()})
    except wire.NewerError as error:
        by = f"release {nodes[RELEASE].data.decode(errors='replace')}" if RELEASE in nodes else "another release"
        raise StoreNewer(
            f"the state at {path} in ZooKeeper was written by {by}, and this is release {THIS_RELEASE}: {error}; "
            "nothing was changed"
        ) from error
    except (wire.WireError, UnicodeDecodeError) as error:
        raise StoreError(f"the state at {path} in ZooKeeper is damaged: {error}") from error


def remove(session: Session, path: str) -> None:
    """Remove the path of a service whose state was erased, with what Alluxio's masters left there, and the node that
    services share when no other is left in it. While other schedulers contend for the lead, their nodes stay, and so
    does the mark that the service is uninstalled: none of them begins it anew, and the last one removes the rest.

    Raises:
        StoreError: ZooKeeper refuses.
    """
    client = session.client
    try:
        for folder in (ALLUXIO, RECORDS, HISTORY):
            _remove_below(session, f"{path}/{folder}")
        for node in (VERSION, RELEASE):
            _remove_below(session, f"{path}/{node}")
        session.answer(client.delete_async(f"{path}/{ELECTION}"))
        _remove_below(session, f"{path}/{UNINSTALLING}")
        session.answer(client.delete_async(path))
        if path.rpartition("/")[0] == SERVICES:
            with contextlib.suppress(kazoo.exceptions.NotEmptyError):  # other services are there
                session.answer(client.delete_async(SERVICES))
    except kazoo.exceptions.NotEmptyError:
        log.warning("%s stays in ZooKeeper: another scheduler of the service still runs, or Alluxio does", path)
    except kazoo.exceptions.NoNodeError:
        return
    except TROUBLE as error:
        raise failure(path, "removed", error) from error


def _remove_below(session: Session, node: str) -> None:
    client = session.client
    try:
        for child in session.answer(client.get_children_async(node)):
            _remove_below(session, f"{node}/{child}")
        session.answer(client.delete_async(node))
    except kazoo.exceptions.NoNodeError:
        return


class ZooKeeperStore:
    """The state of one service below ``path``. ``lead`` is the node whose presence shows that this scheduler leads
    ("" for none, where only versions guard): without it nothing is written any more (C6).
    """

    def __init__(self, session: Session, path: str, lead: str = "") -> None:
        self._session = session
        self._path = path.rstrip("/")
        self._lead = lead
        self._versions: dict[str, int] = {}
        self._kept = Kept()

    def load(self) -> Kept:
        """What is there, lifted to this release's forms. What a newer one wrote is left alone."""
        nodes = read(self._session, self._path)
        kept = decode(nodes, self._path)
        prepare(self._session, self._path)
        self._versions = {name: node.version for name, node in nodes.items()}
        marks = encode(Kept())
        if any(name not in nodes or nodes[name].data != data for name, data in marks.items()):
            self._write(list(_differences(nodes, encode(kept))))
            if nodes:
                log.info("the state at %s is from now on as release %s writes it", self._path, THIS_RELEASE)
        self._kept = kept
        return kept

    def save(self, effects: Iterable[Effect]) -> None:
        kept = after(self._kept, effects)
        if kept is self._kept:
            return
        self._write(list(_changes(_values(self._kept), _values(kept))))
        self._kept = kept

    def replace(self, kept: Kept) -> int:
        """Write this instead of whatever is there, damaged or not; the number of nodes that changed. More than one
        transaction holds is marked as unfinished until all of it is there.
        """
        prepare(self._session, self._path)
        nodes = read(self._session, self._path)
        self._versions = {name: node.version for name, node in nodes.items()}
        changes = list(_differences({name: node for name, node in nodes.items() if name != UNFINISHED}, encode(kept)))
        mark = [] if UNFINISHED in nodes else [(UNFINISHED, b"")]
        if mark and len(changes) <= BATCH:
            self._write(changes)
        else:
            self._write(mark)
            self._write(changes)
            self._write([(UNFINISHED, None)])
        self._kept = kept
        return len(changes)

    def _write(self, changes: Sequence[tuple[str, bytes | None]]) -> None:
        for start in range(0, len(changes), BATCH):
            self._commit(changes[start : start + BATCH])

    def _commit(self, changes: Sequence[tuple[str, bytes | None]]) -> None:
        """One transaction. A connection that broke before the answer came leaves a doubt, which is settled by
        looking.
        """
        if not changes:
            return
        try:
            while True:
                try:
                    results: list[Any] = self._session.answer(self._transaction(changes).commit_async())
                    break
                except kazoo.exceptions.ConnectionLoss:
                    if self._is_written(*changes[0]):
                        results = []
                        break
        except TROUBLE as error:
            raise failure(self._path, "written", error) from error
        self._check(changes, results)
        for node, data in changes:
            if data is None:
                self._versions.pop(node)
            else:
                self._versions[node] = self._versions.get(node, NEW) + 1

    def _transaction(self, changes: Sequence[tuple[str, bytes | None]]) -> Any:
        transaction = self._session.client.transaction()
        for node, data in changes:
            path, version = f"{self._path}/{node}", self._versions.get(node, NEW)
            if data is None:
                transaction.delete(path, version)
            elif version == NEW:
                transaction.create(path, data, acl=self._session.acl)
            else:
                transaction.set_data(path, data, version)
        if self._lead:
            transaction.check(self._lead, ANY)
        return transaction

    def _is_written(self, node: str, data: bytes | None) -> bool:
        """Whether the transaction that begins with this change is there: all of it is, or nothing."""
        while True:
            try:
                held, status = self._session.answer(self._session.client.get_async(f"{self._path}/{node}"))
            except kazoo.exceptions.NoNodeError:
                return data is None
            except kazoo.exceptions.ConnectionLoss:
                continue
            return data is not None and held == data and status.version == self._versions.get(node, NEW) + 1

    def _check(self, changes: Sequence[tuple[str, bytes | None]], results: Sequence[Any]) -> None:
        rolled_back = kazoo.exceptions.RolledBackError | kazoo.exceptions.RuntimeInconsistency
        names = itertools.chain((node for node, _ in changes), [self._lead.removeprefix(f"{self._path}/")])
        for node, result in zip(names, results, strict=False):
            if isinstance(result, kazoo.exceptions.NoAuthError):
                raise failure(self._path, "written", result)
            if isinstance(result, Exception) and not isinstance(result, rolled_back):
                raise StoreError(
                    f"the state at {self._path} in ZooKeeper was changed by another scheduler, or is gone "
                    f"({node}: {describe(result)})"
                )


def _kept(data: Mapping[str, bytes]) -> Kept:
    records: dict[str, Record] = {}
    history: list[HistoryEntry] = []
    for name, content in sorted(data.items()):
        folder, _, child = name.rpartition("/")
        if folder == RECORDS:
            record = wire.decode_record(content)
            if record.slot != child:
                raise wire.WireError(f"node {child} holds the record of {record.slot}")
            records[child] = record
        elif folder == HISTORY:
            history.append(wire.decode_history_entry(content))
    parts = {part.field: part.decode(data[name]) for name, part in PARTS.items() if name in data}
    return Kept(records=records, history=tuple(history), **parts)


def _values(kept: Kept) -> dict[str, Any]:
    """The values by the node that holds them. The history comes first: what is launched with it comes later."""
    values: dict[str, Any] = {f"{HISTORY}/{entry.number:010d}": entry for entry in kept.history}
    values |= {name: value for name, part in PARTS.items() if (value := getattr(kept, part.field))}
    values |= {f"{RECORDS}/{slot}": record for slot, record in kept.records.items()}
    return values


def encode(kept: Kept) -> dict[str, bytes]:
    """The nodes that hold it, first what tells in which form: the layout's version and the release."""
    marks = {VERSION: wire.encode_layout(), RELEASE: THIS_RELEASE.encode()}
    return {**marks, **{name: _encode(name, value) for name, value in _values(kept).items()}}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, bytes | None]]:
    """Removed records go after the list of retired attempts: an id is never free before its use is on record."""
    for name, value in new.items():
        held = old.get(name)
        if held is not value and held != value:
            yield name, _encode(name, value)
    for name in old:
        if name not in new:
            yield name, None


def _differences(old: Mapping[str, Node], new: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
    for name, data in new.items():
        if name not in old or old[name].data != data:
            yield name, data
    for name in old:
        if name not in new:
            yield name, None


def _encode(name: str, value: Any) -> bytes:
    match value:
        case Record():
            return wire.encode_record(value)
        case HistoryEntry():
            return wire.encode_history_entry(value)
        case _:
            return PARTS[name].encode(value)
