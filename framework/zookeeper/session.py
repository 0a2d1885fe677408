"""One session with ZooKeeper: whether anything may be done in it now, and when it is over for good (C6).

A session that is over never comes back: whoever acted in it ends. Calls wait while the servers are away, but no longer
than the session lasts.
"""

from __future__ import annotations

import atexit
import collections
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import kazoo.exceptions
import kazoo.handlers.threading
import kazoo.interfaces
from kazoo.client import KazooClient, KazooState
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.states import KeeperState
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

from framework.config import BY_NAME
from framework.messages import Stop
from framework.model import ExitCode
from framework.store import StoreError, StoreLost, StoreRefused, StoreUnavailable

log = logging.getLogger(__name__)

SESSION_SECONDS: Final = 10.0
PIPELINE: Final = 500  # calls under way at once; a server takes 1000 in all before it slows its clients down
TROUBLE: Final = (kazoo.exceptions.KazooException, kazoo.handlers.threading.KazooTimeoutError)
LOOK: Final = 0.2  # seconds between two looks at whether the session is over while an answer is waited for
# kazoo's own pause between two attempts to connect grows to an hour.
ATTEMPTS: Final = {"max_tries": -1, "delay": 0.1, "max_delay": 1.0}


def new_client(hosts: str, seconds: float, credentials: str = "") -> KazooClient:
    """A client that is not started; ``credentials`` are "user:password"."""
    logging.getLogger("kazoo").setLevel(logging.ERROR)
    handler = _Handler(max(1.0, seconds / 4))
    client = KazooClient(
        hosts=hosts,
        timeout=seconds,
        handler=handler,
        connection_retry=ATTEMPTS,
        auth_data=[("digest", credentials)] if credentials else None,
    )
    handler.is_connected = lambda: client.connected
    return client


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo gives one attempt to connect as long as a session lasts. A server that is asked while it starts takes the
    request and never answers; with such patience the session is over before the next attempt.
    """

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience
        self.is_connected: Callable[[], bool] = lambda: False

    def select(self, reads: Any, writes: Any, others: Any, timeout: float | None = None) -> Any:
        if not self.is_connected():
            timeout = self._patience if timeout is None else min(timeout, self._patience)
        return super().select(reads, writes, others, timeout)

    def create_connection(self, *arguments: Any, timeout: float, **named: Any) -> Any:
        return super().create_connection(*arguments, timeout=min(timeout, self._patience), **named)


def read_credentials(file: str, environment: Mapping[str, str]) -> str:
    """ "user:password" out of --zookeeper-auth-file, else out of the environment; "" when there is none.

    Raises:
        StoreUnavailable: the file cannot be read, or what is there is something else.
    """
    variable = BY_NAME["zookeeper-auth-file"].secret_environment
    where = f"--zookeeper-auth-file: {file}" if file else f"the environment variable {variable}"
    try:
        text = (Path(file).read_text() if file else environment.get(variable, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise StoreUnavailable(f"{where} cannot be read ({reason})") from error
    if not text and not file:
        return ""
    user, _, password = text.partition(":")
    if not user or not password or "\n" in text:
        raise StoreUnavailable(f"{where} must hold one line, user:password")
    return text


def private(credentials: str) -> Any:
    """The entry of an access list that lets this identity do everything."""
    user, _, password = credentials.partition(":")
    return make_digest_acl(user, password, all=True)


def close(client: KazooClient, patience: float = 2.0) -> None:
    """Close the session, so that what it held is free at once; servers that are away are not waited for."""

    def ended() -> None:
        try:
            client.stop()
            client.close()
        except Exception as error:
            log.debug("the ZooKeeper session did not close: %s", describe(error))

    atexit.unregister(client.handler.stop)  # it would keep the process from ending while servers are away
    thread = threading.Thread(target=ended, daemon=True)
    thread.start()
    thread.join(patience)


def describe(error: BaseException) -> str:
    return str(error) or type(error).__name__


class Session:
    """``ended`` is told, on some thread, that the session is over; ``changed`` that ``is_open`` may have changed."""

    def __init__(
        self,
        hosts: str,
        *,
        seconds: float = SESSION_SECONDS,
        credentials: str = "",
        ended: Callable[[Stop], None] = lambda stop: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.hosts = hosts
        self.client = new_client(hosts, seconds, credentials)
        self.client.default_acl = [private(credentials)] if credentials else None
        self.credentials = credentials
        self._seconds = seconds
        self._ended = ended
        self._changed = changed
        self._over = threading.Event()
        self._began = False
        self._sure_at = float("-inf")  # when the session surely lived, on the monotonic clock
        self._silence: threading.Timer | None = None
        self.client.add_listener(self._listen)

    def start(self) -> None:
        """Servers that are away are waited for without end."""
        self.client.start_async()

    @property
    def is_open(self) -> bool:
        """Whether a server answers in this session, as far as kazoo has noticed."""
        return self.client.connected and not self._over.is_set()

    def may_act(self) -> bool:
        """Whether to do now what only the leader may. Asked often, it only looks; after a pause, for this process may
        have been stopped meanwhile while the session ran out, it asks a server first.
        """
        if not self.is_open:
            return False
        now = time.monotonic()
        if now - self._sure_at > self._seconds / 5:  # kazoo notices silence after a third of a session at the earliest
            try:
                self.answer(self.client.exists_async("/"))
            except (*TROUBLE, StoreError):
                return False
        self._sure_at = now
        return self.is_open

    @property
    def began(self) -> bool:
        """Whether there ever was a connection."""
        return self._began

    @property
    def acl(self) -> Any:
        """The access list of what lies in the service's path."""
        return [private(self.credentials)] if self.credentials else OPEN_ACL_UNSAFE

    def _listen(self, state: str) -> None:
        """kazoo learns of an expired session only once it is connected again; for us it has expired when nothing was
        heard for as long as a session lasts.
        """
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if state == KazooState.CONNECTED:
            if self._began and not self._over.is_set():
                log.info("ZooKeeper answers again, in the same session")
            self._began = True
        elif state == KazooState.SUSPENDED:
            log.warning("ZooKeeper does not answer: nothing is decided and nothing goes to Mesos until it does")
            self._silence = threading.Timer(self._seconds, self._end)
            self._silence.daemon = True
            self._silence.start()
        else:
            self._end()
        self._changed()

    def _end(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        if self.client.client_state == KeeperState.AUTH_FAILED:
            self._ended(Stop(ExitCode.STORE_REFUSED, "ZooKeeper refuses the credentials of --zookeeper-auth-file"))
        else:
            reason = "the ZooKeeper session is lost; another scheduler may lead by now"
            self._ended(Stop(ExitCode.STORE_LOST, reason))

    def answer(self, pending: kazoo.interfaces.IAsyncResult) -> Any:
        """The answer to a call that is under way.

        Raises:
            StoreLost: the session ended before it came.
            kazoo.exceptions.KazooException: what the server answered, or ConnectionLoss when nobody knows.
        """
        while not pending.ready():
            if self._over.is_set():
                raise StoreLost("the ZooKeeper session ended while an answer was waited for")
            pending.wait(LOOK)
        return pending.get()

    def answers(self, calls: Iterable[kazoo.interfaces.IAsyncResult]) -> Iterable[Any]:
        """The answers in order, many calls under way at once; None stands for a node that is not there."""
        under_way: collections.deque[kazoo.interfaces.IAsyncResult] = collections.deque()

        def first() -> Any:
            try:
                return self.answer(under_way.popleft())
            except kazoo.exceptions.NoNodeError:
                return None

        for call in calls:
            under_way.append(call)
            if len(under_way) >= PIPELINE:
                yield first()
        while under_way:
            yield first()

    def close(self) -> None:
        self.client.remove_listener(self._listen)
        self._over.set()
        if self._silence is not None:
            self._silence.cancel()
        close(self.client)


def failure(path: str, what: str, error: Exception) -> StoreError:
    """The one exception for whatever kazoo raised about the state at ``path``."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, kazoo.exceptions.NoAuthError | kazoo.exceptions.AuthFailedError):
        return StoreRefused(
            f"ZooKeeper does not let this identity use {path}: its nodes belong to another one; "
            "give the credentials that they were made with, as user:password in --zookeeper-auth-file"
        )
    if isinstance(error, kazoo.exceptions.SessionExpiredError | kazoo.exceptions.ConnectionClosedError):
        return StoreLost(f"the state at {path} in ZooKeeper cannot be {what}: the session is over")
    return StoreError(f"the state at {path} in ZooKeeper cannot be {what}: {describe(error)}")


def connect(hosts: str, *, patience: float = 15.0, credentials: str = "") -> Session:
    """A session that has begun.

    Raises:
        StoreUnavailable: no server answered for ``patience`` seconds.
    """
    session = Session(hosts, credentials=credentials)
    session.client.start_async().wait(patience)
    if not session.is_open:
        session.close()
        raise StoreUnavailable(f"no ZooKeeper server answers at {hosts}; start it, or correct --zookeeper")
    return session
