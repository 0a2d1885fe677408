"""pymesos's only home: the subscription to a Mesos master, its events as messages, and effects as calls.

pymesos gives the thread, the life cycle and the call connection. What it leaves open (its last release is from 2020) is
answered here: back-off and a heartbeat watchdog on the event stream, whole records in linear time, a refusal that is no
exception, and never a TEARDOWN that nobody asked for.
"""

from __future__ import annotations

import base64
import dataclasses
import http.client
import logging
import os
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import pymesos
from http_parser.http import HttpParser

from framework import wire
from framework.messages import (
    Acknowledge,
    AcknowledgeOperation,
    Decline,
    Discard,
    Disconnected,
    Effect,
    Event,
    Failed,
    GiveBack,
    Kill,
    Launch,
    Offered,
    OperationUpdated,
    Reconcile,
    Rescinded,
    Revive,
    Shutdown,
    Subscribed,
    Suppress,
    Teardown,
    Updated,
)
from framework.model import ExitCode, Holding, Report, Resource, TaskState
from framework.recordio import RecordIOError, Records

log = logging.getLogger(__name__)

READ: Final = 256 * 1024  # bytes at a time
CONNECT_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0
FIRST_BACKOFF: Final = 0.25
LONGEST_BACKOFF: Final = 15.0  # C8
HELD_PAUSE: Final = 0.1  # seconds between two looks at whether calls may leave again
FIRST_SILENCE: Final = 10.0  # seconds until the first event, which tells how often a heartbeat comes
MISSED_HEARTBEATS: Final = 5  # C9
CAPABILITIES: Final = (  # C4
    "MULTI_ROLE",
    "PARTITION_AWARE",
    "TASK_KILLING_STATE",
    "RESERVATION_REFINEMENT",
    "REGION_AWARE",
)
# In Mesos's answer to an operation with an id for an agent older than 1.8, which is therefore not done at all.
NO_FEEDBACK: Final = "AGENT_OPERATION_FEEDBACK"
NOTHING_NEW: Final = "Reconciliation: Latest task state"  # what a task said itself is worth more than that
REFUSED_FOR_GOOD: Final[Mapping[str, ExitCode]] = {
    "Framework has been removed": ExitCode.REMOVED,
    "Framework failed over": ExitCode.FAILED_OVER,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """How the framework presents itself (FrameworkInfo). ``secret`` goes into a header and nowhere else. ``least``: an
    offer must have one of these (CPUs, MiB of memory) to be sent at all.
    """

    name: str
    user: str
    role: str
    hostname: str
    webui_url: str
    failover_timeout: float
    principal: str = ""
    secret: str = dataclasses.field(default="", repr=False)
    framework_id: str = ""
    least: tuple[tuple[float, int], ...] = ()

    def framework_info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "user": self.user,
            "name": self.name,
            "roles": [self.role],
            "checkpoint": True,  # C3
            "failover_timeout": self.failover_timeout,  # C2
            "hostname": self.hostname,
            "webui_url": self.webui_url,
            "capabilities": [{"type": capability} for capability in CAPABILITIES],
        }
        if self.least:  # C19
            info["offer_filters"] = self.offer_filters()
        if self.principal:
            info["principal"] = self.principal
        if self.framework_id:
            info["id"] = {"value": self.framework_id}
        return info

    def offer_filters(self) -> dict[str, Any]:
        quantities = [{"quantities": {"cpus": {"value": cpus}, "mem": {"value": mem}}} for cpus, mem in self.least]
        return {self.role: {"min_allocatable_resources": {"quantities": quantities}}} if quantities else {}


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How one attempt to follow a master ended. ``redirect``: who leads instead; ``final``: no further attempt can
    work.
    """

    reason: str
    redirect: str = ""
    final: ExitCode | None = None


class MasterWatch(Protocol):
    """Something that tells which Mesos master leads, such as ``zookeeper.MesosMasters``."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Driver(pymesos.MesosSchedulerDriver):  # type: ignore[misc]  # pymesos has no types
    """pymesos's driver with a loop of our own. Its callbacks are not used: whole records go to ``take``, the ends of
    streams to ``ended``.
    """

    # pymesos's own attributes, of which it says no type.
    stream_id: str | None
    _lock: threading.RLock
    _master: str | None  # the one that is followed now
    _new_master: str | None  # the one that was told: the configured one, or who won the election
    _framework: dict[str, Any]
    _conn: http.client.HTTPConnection | None
    _wakeup_fds: tuple[int, int] | None
    _started: bool

    def __init__(
        self,
        identity: Identity,
        take: Callable[[wire.MesosEvent, str], None],
        ended: Callable[[Ended], None],
        may_call: Callable[[], bool],
    ) -> None:
        super().__init__(
            pymesos.Scheduler(),
            identity.framework_info(),
            "",
            implicit_acknowledgements=False,  # P4
            failover=True,  # P2
            principal=identity.principal or None,
            secret=identity.secret or None,
        )
        self._take = take
        self._ended = ended
        self._may_call = may_call
        self._silence = FIRST_SILENCE
        self._conn_stream: str | None = None  # the stream that the call connection belongs to
        self._broken_stream: str | None = None  # the stream of a call that was not answered

    # What pymesos would do otherwise.

    @property
    def framework(self) -> dict[str, Any]:
        return dict(self._framework)  # P12

    def start(self) -> None:
        super(pymesos.MesosSchedulerDriver, self).start()  # without pymesos's detector (P17)

    def change_master(self, master: str | None) -> None:
        """Follow this master from now on; None: nobody leads."""
        super(pymesos.MesosSchedulerDriver, self).change_master(master)  # without asking for its version (P14)

    def stop(self, failover: bool = True) -> None:
        super().stop(failover=True)  # P3: tearing down is a call of its own

    # Calls: on the loop's thread.

    def present(self, filters: Mapping[str, Any]) -> None:
        """Subscribe anew with these offer filters."""
        self._framework = {**self._framework, "offer_filters": dict(filters)}
        self._broken_stream = self.stream_id
        self._notify()

    def call(self, body: Mapping[str, Any]) -> str:
        """Send one call; "" or the reason why it did not arrive. No exception of the network leaves this method (P5,
        P10).

        A call that is not answered ends the subscription: what it was about is settled by the next one, for which Mesos
        takes back all offers and is asked for the state of every task.
        """
        stream_id = self.stream_id
        if stream_id is None or stream_id == self._broken_stream:
            return "not connected"
        if not self._may_call():  # C6
            self._broken_stream = stream_id
            self._notify()
            return "another scheduler may lead by now"
        request = {**body, "framework_id": {"value": self.framework_id}}
        try:
            self._send(request, headers={})  # P20
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            self._broken_stream = stream_id
            self._notify()
            return str(error).partition("\n")[0] or type(error).__name__
        return ""

    def _get_conn(self) -> http.client.HTTPConnection | None:
        """The call connection. One of an earlier stream is replaced, and one that the master has closed while it was
        idle, as a call on it would be lost.
        """
        held = self._conn
        stale = self._conn_stream != self.stream_id or (held and held.sock is not None and _is_readable(held.sock))
        if stale:
            self._close()
        if self.stream_id is None or self._master is None:
            return None
        if self._conn is None:
            self._conn = http.client.HTTPConnection(*_host_and_port(self._master), timeout=CALL_SECONDS)
            self._conn_stream = self.stream_id
        return self._conn

    # The event stream: on pymesos's IO thread.

    def _run(self) -> None:
        try:
            self._attempts()
        except Exception as error:
            # No zombie: whatever ends this thread ends the process (C31).
            log.exception("the connection to Mesos ends because of a defect in it")
            self._ended(Ended(f"{type(error).__name__}: {error}", final=ExitCode.BUG))
        finally:
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._started = False
            self.stream_id = None
            self._close()
            for descriptor in self._wakeup_fds or ():
                os.close(descriptor)
            self._wakeup_fds = None

    def _attempts(self) -> None:
        """One subscription after the other until ``stop`` or until none can work. Those that end soon are spaced out,
        however they end (P6, C8).
        """
        failures, redirect, before = 0, "", None
        while not self.aborted:
            told = self._new_master
            if told != before:
                # Another one leads: it may not know that yet, but will soon.
                failures, before = 0, told
            if told is None:
                self._wait(LONGEST_BACKOFF, told)
                continue
            if not self._may_call():  # C6
                self._wait(HELD_PAUSE, told)
                continue
            redirected = redirect != ""
            self._master = redirect or told
            began = time.monotonic()
            end = self._follow(self._master, told)
            self.stream_id = None
            if self.aborted:
                return
            self._ended(end)
            if end.final is not None:
                return
            failures = 0 if time.monotonic() - began >= LONGEST_BACKOFF else failures + 1
            redirect = end.redirect
            if redirected or not redirect:
                self._wait(_backoff(failures), told)
            if self._new_master != told:
                redirect = ""

    def _wait(self, seconds: float, told: str | None) -> None:
        """Until ``seconds`` are over, or another master is told, or the driver stops."""
        deadline = time.monotonic() + seconds
        while not self.aborted and self._new_master == told and (left := deadline - time.monotonic()) > 0:
            self._ready(None, left)

    def _ready(self, stream: socket.socket | None, seconds: float) -> bool | None:
        """Whether ``stream`` has something to read; None when nothing happened for ``seconds``. Wake-ups are taken."""
        assert self._wakeup_fds is not None
        wakeup = self._wakeup_fds[0]
        poll = select.poll()  # P19
        poll.register(wakeup, select.POLLIN)
        if stream is not None:
            poll.register(stream, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
        if wakeup in ready:
            os.read(wakeup, 4096)
        return (stream is not None and stream.fileno() in ready) if ready else None

    def _follow(self, master: str, told: str) -> Ended:
        self._silence = FIRST_SILENCE
        try:
            stream = socket.create_connection(_host_and_port(master), CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            return Ended(f"no Mesos master answers at {master} ({error})")
        with stream:
            try:
                stream.sendall(self.gen_request())
                return self._read(stream, master, told)
            except (OSError, RecordIOError, wire.WireError) as error:
                return Ended(f"the stream of {master} broke ({error})")

    def _read(self, stream: socket.socket, master: str, told: str) -> Ended:
        parser, records = HttpParser(), Records()
        while True:
            data = self._receive(stream, master, told)
            if isinstance(data, Ended):
                return data
            if parser.execute(data, len(data)) != len(data):
                return Ended(f"{master} does not speak HTTP ({parser.errstr})")
            if not data and not parser.is_message_complete():
                return Ended(f"{master} closed the stream")
            if parser.is_headers_complete() and parser.get_status_code() != http.client.OK:
                if parser.is_message_complete():
                    return _refusal(parser, master)
                continue
            for record in records.feed(parser.recv_body()):
                end = self._event(wire.mesos_event(record), master, _headers(parser).get("mesos-stream-id", ""))
                if end is not None:
                    return end
            if parser.is_message_complete():
                return Ended(f"{master} ended the stream")

    def _receive(self, stream: socket.socket, master: str, told: str) -> bytes | Ended:
        """The next bytes, b"" at the end; or why there is no use in waiting for more."""
        while True:
            ready = self._ready(stream, self._silence)
            if ready is None:
                return Ended(f"{master} was silent for {self._silence:g} s")  # P9, C9
            if self.aborted:
                return Ended("the scheduler leaves")
            if self._new_master != told:
                return Ended("another Mesos master leads")
            if self.stream_id is not None and self._broken_stream == self.stream_id:
                return Ended(f"{master} did not answer a call")
            if ready:
                return stream.recv(READ)

    def _event(self, event: wire.MesosEvent, master: str, stream_id: str) -> Ended | None:
        if event.subscribed is not None:
            self.framework_id = event.subscribed.framework_id.value
            self.stream_id = stream_id  # no call goes out before (C7)
            self._silence = event.subscribed.heartbeat_interval_seconds * MISSED_HEARTBEATS
        if event.error is not None:
            message = event.error.message
            final = next((code for text, code in REFUSED_FOR_GOOD.items() if text in message), None)
            return Ended(message, final=final)  # P7, C10
        self._take(event, master)
        return None


def _headers(parser: HttpParser) -> dict[str, str]:
    return {name.lower(): value for name, value in parser.get_headers().items()}


def _refusal(parser: HttpParser, master: str) -> Ended:
    """Why there is no stream (P8, C12)."""
    status = parser.get_status_code()
    text = parser.recv_body().decode(errors="replace").strip()
    match status:
        case http.client.TEMPORARY_REDIRECT:
            return Ended(f"{master} does not lead", redirect=_location(_headers(parser).get("location", "")))
        case http.client.UNAUTHORIZED | http.client.FORBIDDEN:
            advice = "check --principal and --secret-file"
            return Ended(f"{master} refuses the credentials ({status} {text}); {advice}")
        case http.client.SERVICE_UNAVAILABLE:
            return Ended(f"{master} is not ready ({status} {text})")
        case http.client.BAD_REQUEST:
            return Ended(f"{master} refuses the subscription ({status} {text})", final=ExitCode.REFUSED)
        case _:
            return Ended(f"{master} refuses the subscription ({status} {text})")


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_readable(stream: socket.socket) -> bool:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(0))


def _location(location: str) -> str:
    """``//host:port/master/api/v1/scheduler`` as host:port."""
    return location.partition("//")[2].partition("/")[0]


def _backoff(failures: int) -> float:
    """Exponential, with jitter, so that many schedulers do not come back in step (C8)."""
    return min(FIRST_BACKOFF * 2.0 ** min(failures, 16), LONGEST_BACKOFF) * random.uniform(0.5, 1.0)


class Mesos:
    """The edge to Mesos. ``post`` takes events from any thread; ``perform`` is called by the loop. No call leaves, not
    even to subscribe, while ``may_call`` says no.
    """

    def __init__(
        self, identity: Identity, post: Callable[[Event], None], may_call: Callable[[], bool] = lambda: True
    ) -> None:
        self._post = post
        self._identity = identity
        self._driver = _Driver(identity, self._take, self._ended, may_call)
        self._watch: MasterWatch | None = None
        self._heard_at = 0.0
        self._feedback = True  # until an agent turns out to be too old to tell what became of an operation

    @property
    def owner(self) -> wire.Owner:
        """Whose reservations are made, as they name it."""
        return wire.Owner(self._identity.name, self._driver.framework_id, self._identity.principal)

    @property
    def heard_at(self) -> float:
        """When the master last said anything, heartbeats included; seconds since the epoch."""
        return self._heard_at

    def follow(self, address: str) -> None:
        """Subscribe to this one master (``host:port``); a redirect is followed."""
        self._driver.start()
        self._driver.change_master(address)

    def follow_elected(self, watch: Callable[[Callable[[str | None], None]], MasterWatch]) -> None:
        """Subscribe to whoever leads, as ``watch`` tells."""
        self._driver.start()
        self._watch = watch(self._driver.change_master)
        self._watch.start()

    def ask_for(self, least: tuple[tuple[float, int], ...]) -> None:
        """Offers must hold at least this from now on (C19). Mesos hears of it with a new subscription; where nothing
        changed, nothing happens.
        """
        if least != self._identity.least:
            self._identity = dataclasses.replace(self._identity, least=least)
            self._driver.present(self._identity.offer_filters())

    def leave(self) -> None:
        """Disconnect and let every task run on: the next scheduler finds them (C5)."""
        if self._watch is not None:
            self._watch.stop()
        self._driver.stop()
        self._driver.join()

    def perform(
        self,
        effects: Iterable[Effect],
        task_infos: Callable[[Launch], Sequence[Mapping[str, Any]]],
        message: Callable[[Discard], str] = lambda effect: "",
    ) -> None:
        """Send the calls of these effects. Those that do not arrive are logged; the core asks again. ``message`` gives
        what an executor is told.
        """
        lost: list[str] = []
        reason = ""
        for sentence, body in _calls(effects, task_infos, message, self.owner, feedback=self._feedback):
            trouble = self._driver.call(body)
            if trouble:
                lost.append(sentence)
                reason = reason or trouble
        if lost:
            log.warning("%d calls did not reach Mesos (%s), the first: %s", len(lost), reason, lost[0])

    def _ended(self, end: Ended) -> None:
        now = time.time()
        self._post(Disconnected(end.reason, now) if end.final is None else Failed(end.reason, end.final, now))

    def _take(self, event: wire.MesosEvent, master: str) -> None:
        self._heard_at = now = time.time()
        message = _message(event, master, now, self.owner)
        if isinstance(message, OperationUpdated) and NO_FEEDBACK in message.message:
            self._feedback = False
        if message is not None:
            self._post(message)


def _message(event: wire.MesosEvent, master: str, now: float, owner: wire.Owner) -> Event | None:
    """What the core needs to know of an event; None for what it does not (heartbeats, executors' ends, which come as
    updates too).
    """
    if event.subscribed is not None:
        return Subscribed(event.subscribed.framework_id.value, master, now, wire.region(event))
    if event.offers is not None:
        return Offered(wire.model_offers(event.offers, owner), now)
    if event.rescind is not None:
        return Rescinded(event.rescind.offer_id.value, now)
    if event.update_operation_status is not None:
        operation = event.update_operation_status.status
        return OperationUpdated(
            operation.operation_id.value if operation.operation_id is not None else "",
            operation.state,
            operation.agent_id.value if operation.agent_id is not None else "",
            operation.uuid.value if operation.uuid is not None else "",
            operation.message,
        )
    if event.update is None:
        return None
    status = event.update.status
    if status.state not in TaskState.__members__.values():
        log.warning(
            "Mesos reports state %s for %s, which this scheduler does not know", status.state, status.task_id.value
        )
        return None
    agent_id = status.agent_id.value if status.agent_id is not None else ""
    report = Report(
        status.task_id.value,
        TaskState(status.state),
        agent_id,
        now,
        now,
        bool(status.healthy),
        "" if status.message == NOTHING_NEW else status.message,
        status.reason.removeprefix("REASON_"),
        wire.process_states(status.data),
    )
    return Updated(report, status.uuid)


def _calls(
    effects: Iterable[Effect],
    task_infos: Callable[[Launch], Sequence[Mapping[str, Any]]],
    message: Callable[[Discard], str],
    owner: wire.Owner,
    *,
    feedback: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls of these effects, each with its sentence; offers that are declined for the same time share one."""
    declines: dict[float, list[Decline]] = {}
    for effect in effects:
        if isinstance(effect, Decline):
            declines.setdefault(effect.seconds, []).append(effect)
        elif isinstance(effect, Launch):
            launch = {"type": "LAUNCH", "launch": {"task_infos": task_infos(effect)}}
            yield str(effect), _accept(effect, [*_made(effect, owner, feedback=feedback), launch])
        elif isinstance(effect, Discard):
            yield str(effect), _to_executor(effect, message(effect))
        elif (body := _call(effect)) is not None:
            yield str(effect), body
    for seconds, group in declines.items():
        ids = [{"value": effect.offer.id} for effect in group]
        decline = {"offer_ids": ids, "filters": {"refuse_seconds": seconds}}
        yield f"declining {len(group)} offers", {"type": "DECLINE", "decline": decline}


def _accept(effect: Launch | GiveBack, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    accept = {
        "offer_ids": [{"value": effect.offer.id}],
        "operations": operations,
        "filters": {"refuse_seconds": 0.0},
    }
    return {"type": "ACCEPT", "accept": accept}


def _made(effect: Launch, owner: wire.Owner, *, feedback: bool) -> Iterator[dict[str, Any]]:
    """RESERVE and CREATE for each new volume. Their ids are as unique as the task's."""
    tasks = {record.slot: record.task_id for record in effect.records}
    for new in effect.new_volumes:
        named = wire.claimed(new.disk, new.slot, new.volume, owner)
        task_id, tier = tasks[new.slot], new.volume.tier
        yield {
            "type": "RESERVE",
            **({"id": {"value": f"{task_id}.{tier}.reserve"}} if feedback else {}),
            "reserve": {"resources": wire.mesos_resources([_without_volume(named)])},
        }
        yield {
            "type": "CREATE",
            **({"id": {"value": f"{task_id}.{tier}.create"}} if feedback else {}),
            "create": {"volumes": wire.mesos_resources([named])},
        }


def _given_back(holdings: Sequence[Holding]) -> list[dict[str, Any]]:
    volumes = [holding.resource for holding in holdings if holding.persistence_id]
    reserved = [_without_volume(holding.resource) for holding in holdings]
    destroy = [{"type": "DESTROY", "destroy": {"volumes": wire.mesos_resources(volumes)}}] if volumes else []
    return [*destroy, {"type": "UNRESERVE", "unreserve": {"resources": wire.mesos_resources(reserved)}}]


def _without_volume(resource: Resource) -> Resource:
    return dataclasses.replace(resource, disk="")


def _to_executor(effect: Discard, message: str) -> dict[str, Any]:
    """The executor's id is the task's."""
    record = effect.record
    ids = {"executor_id": {"value": record.task_id}, "agent_id": {"value": record.agent_id}}
    return {"type": "MESSAGE", "message": {**ids, "data": base64.b64encode(message.encode()).decode()}}


def _call(effect: Effect) -> dict[str, Any] | None:
    """The call of an effect (scheduler.proto, v1); None for an effect that is not Mesos's business."""
    match effect:
        case GiveBack():
            return _accept(effect, _given_back(effect.holdings))
        case AcknowledgeOperation():
            acknowledge: dict[str, Any] = {"operation_id": {"value": effect.operation_id}, "uuid": effect.uuid}
            if effect.agent_id:
                acknowledge["agent_id"] = {"value": effect.agent_id}
            return {"type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status": acknowledge}
        case Acknowledge():
            ids = {"agent_id": {"value": effect.agent_id}, "task_id": {"value": effect.task_id}}
            return {"type": "ACKNOWLEDGE", "acknowledge": {**ids, "uuid": effect.uuid}}
        case Reconcile():
            tasks = [{"task_id": {"value": task}, "agent_id": {"value": agent}} for task, agent in effect.tasks]  # P11
            return {"type": "RECONCILE", "reconcile": {"tasks": tasks}}
        case Kill():
            kill = {"task_id": {"value": effect.task_id}} | (
                {"agent_id": {"value": effect.agent_id}} if effect.agent_id else {}
            )
            return {"type": "KILL", "kill": kill}
        case Shutdown():  # P23
            ids = {"executor_id": {"value": effect.task_id}, "agent_id": {"value": effect.agent_id}}
            return {"type": "SHUTDOWN", "shutdown": ids}
        case Teardown():
            return {"type": "TEARDOWN"}
        case Suppress():
            return {"type": "SUPPRESS"}
        case Revive():
            return {"type": "REVIVE"}
        case _:
            return None
