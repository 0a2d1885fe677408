"""A ZooKeeper in memory, behind what the store uses of a session and of kazoo's client: nodes with versions, and
transactions that are written whole or not at all. The real store runs on it, in no time and without a server.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import kazoo.exceptions
from kazoo.security import OPEN_ACL_UNSAFE

from framework.store import StoreLost

Pending = Callable[[], Any]  # a call that is under way: its answer
ANY: Final = -1  # in an operation: whatever version the node has


class Crash(Exception):
    """The scheduler's process dies here."""


@dataclasses.dataclass
class Break:
    """What happens to a transaction after ``commits`` more: the process dies before it ("crash"), the connection breaks
    before it is written ("write") or before its answer comes ("answer"), or the session is over then ("session").
    """

    commits: int
    what: str


@dataclasses.dataclass(frozen=True)
class Operation:
    """``data``: None removes the node, or only looks at it. ``version``: None makes the node."""

    path: str
    data: bytes | None
    version: int | None
    only_looks: bool = False


class SimulatedZooKeeper:
    def __init__(self) -> None:
        self.nodes: dict[str, tuple[bytes, int]] = {}
        self.away = False

    def session(self) -> Any:
        """Something that ``ZooKeeperStore`` takes for a ``Session``."""
        return SimulatedSession(self)

    def write(self, operations: Iterable[Operation]) -> list[Any]:
        """All of it, or nothing; the results as kazoo gives them."""
        operations, nodes = list(operations), dict(self.nodes)
        for place, operation in enumerate(operations):
            path, there = operation.path, nodes.get(operation.path)
            trouble: Exception | None = None
            if operation.version is None:
                trouble = kazoo.exceptions.NodeExistsError() if there else None
            elif there is None:
                trouble = kazoo.exceptions.NoNodeError()
            elif operation.version not in (ANY, there[1]):
                trouble = kazoo.exceptions.BadVersionError()
            if trouble is not None:
                results: list[Any] = [kazoo.exceptions.RolledBackError() for _ in operations]
                results[place] = trouble
                return results
            if operation.only_looks:
                continue
            if operation.data is None:
                del nodes[path]
            else:
                nodes[path] = (operation.data, 0 if there is None else there[1] + 1)
        self.nodes = nodes
        return [True] * len(operations)


class SimulatedSession:
    credentials = ""
    acl = OPEN_ACL_UNSAFE

    def __init__(self, zookeeper: SimulatedZooKeeper) -> None:
        self.zookeeper = zookeeper
        self.client = Client(self)
        self.over = False
        self.breaks: Break | None = None

    def answer(self, pending: Pending) -> Any:
        """Servers that are away answer before the session ends, or not at all: here they do not."""
        if self.over or self.zookeeper.away:
            raise StoreLost("the ZooKeeper session ended while an answer was waited for")
        return pending()

    def answers(self, calls: Iterable[Pending]) -> Iterator[Any]:
        for call in calls:
            try:
                yield self.answer(call)
            except kazoo.exceptions.NoNodeError:
                yield None

    def commit(self, operations: Iterable[Operation]) -> list[Any]:
        breaks = self.breaks
        if breaks is None:
            return self.zookeeper.write(operations)
        if breaks.commits:
            breaks.commits -= 1
            return self.zookeeper.write(operations)
        self.breaks = None
        match breaks.what:
            case "crash":
                raise Crash
            case "answer":
                self.zookeeper.write(operations)
            case "session":
                self.zookeeper.write(operations)
                self.over = True
            case _:
                pass
        raise kazoo.exceptions.ConnectionLoss


class Client:
    """kazoo's methods by their names: each gives a call that is under way."""

    def __init__(self, session: SimulatedSession) -> None:
        self._session = session

    def ensure_path_async(self, path: str, acl: Any) -> Pending:
        return lambda: True

    def get_children_async(self, path: str) -> Pending:
        nodes = self._session.zookeeper.nodes
        return lambda: [node.removeprefix(f"{path}/") for node in nodes if node.startswith(f"{path}/")]

    def get_async(self, path: str) -> Pending:
        return lambda: self._get(path)

    def _get(self, path: str) -> tuple[bytes, Any]:
        nodes = self._session.zookeeper.nodes
        if path not in nodes:
            raise kazoo.exceptions.NoNodeError
        data, version = nodes[path]
        return data, types.SimpleNamespace(version=version)

    def transaction(self) -> Transaction:
        return Transaction(self._session)


class Transaction:
    def __init__(self, session: SimulatedSession) -> None:
        self._session = session
        self._operations: list[Operation] = []

    def create(self, path: str, data: bytes, acl: Any) -> None:
        self._operations.append(Operation(path, data, None))

    def set_data(self, path: str, data: bytes, version: int = ANY) -> None:
        self._operations.append(Operation(path, data, version))

    def delete(self, path: str, version: int = ANY) -> None:
        self._operations.append(Operation(path, None, version))

    def check(self, path: str, version: int) -> None:
        self._operations.append(Operation(path, None, version, only_looks=True))

    def commit_async(self) -> Pending:
        return lambda: self._session.commit(self._operations)
