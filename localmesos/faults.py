"""The faults that can be switched on, as plain values, and which of them are on now. Opens nothing.

Where a fault bites, the module concerned asks here in one line; `faults_api` switches them on and off. With none on,
each question is one look into an empty dict.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, get_type_hints

from localmesos.states import ONLY_PARTITION_AWARE

Json = dict[str, Any]

PEERS = {"master": ("schedulers", "agents"), "agent": ("master", "executors")}
"""Whose packets a master or an agent can drop."""


class WrongFault(ValueError):
    """One sentence for who asked."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`seconds`: how long it lasts; None: until it is cleared. A field without a default must be given."""

    name: ClassVar[str]
    servers: ClassVar[tuple[str, ...]] = ("master",)

    @property
    def which(self) -> str:
        """Tells faults of one name apart that may be on at the same time."""
        return ""

    def to_json(self) -> Json:
        given = dataclasses.asdict(self)
        return {"fault": self.name, **{name: value for name, value in given.items() if value is not None}}


@dataclass(frozen=True, kw_only=True)
class Lasting(Fault):
    seconds: float | None = None

    def __post_init__(self) -> None:
        _check(self, "seconds", self.seconds is None or self.seconds > 0, "more than 0")


@dataclass(frozen=True, kw_only=True)
class DropPackets(Lasting):
    """Connections stay, but nothing goes either way, and who leaves is not noticed."""

    name = "drop-packets"
    servers = ("master", "agent")
    peer: str

    @property
    def which(self) -> str:
        return self.peer


@dataclass(frozen=True, kw_only=True)
class Answer(Lasting):
    """Schedulers' calls are not done but answered with an HTTP status. `calls`: how many of them; None: all.
    `to`: SUBSCRIBE alone ("subscribe"), all others ("calls"), or "all"."""

    name = "answer"
    status: int
    to: str = "all"
    calls: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "status", 400 <= self.status <= 599, "400 to 599")
        _check(self, "to", self.to in ("all", "subscribe", "calls"), "all, subscribe or calls")
        _check(self, "calls", self.calls is None or self.calls > 0, "more than 0")

    @property
    def which(self) -> str:
        return self.to


@dataclass(frozen=True, kw_only=True)
class NoPorts(Lasting):
    """Offers hold no ports."""

    name = "no-ports"


@dataclass(frozen=True, kw_only=True)
class DuplicateUpdates(Lasting):
    """Each status update comes to the scheduler twice, the second time `after` seconds later."""

    name = "duplicate-updates"
    after: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "after", self.after >= 0, "0 or more")


@dataclass(frozen=True, kw_only=True)
class DelayUpdates(Lasting):
    """Each status update comes to the scheduler `by` seconds late; those on their way come when the fault is over."""

    name = "delay-updates"
    by: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "by", self.by > 0, "more than 0")


@dataclass(frozen=True, kw_only=True)
class LoseLaunches(Lasting):
    """Launches are accepted, but do not reach the agent. `calls`: how many tasks; None: all."""

    name = "lose-launches"
    calls: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "calls", self.calls is None or self.calls > 0, "more than 0")


@dataclass(frozen=True, kw_only=True)
class TaskLost(Lasting):
    """Every scheduler is told TASK_LOST instead of the finer states, as if it were not PARTITION_AWARE."""

    name = "task-lost"


@dataclass(frozen=True, kw_only=True)
class Maintenance(Lasting):
    """An agent's offers tell of a maintenance that begins `starts_in` seconds from now and lasts `lasting` seconds.
    `agent`: id, address or host name."""

    name = "maintenance"
    agent: str
    starts_in: float = 0.0
    lasting: float = 3600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "lasting", self.lasting > 0, "more than 0")

    @property
    def which(self) -> str:
        return self.agent


@dataclass(frozen=True, kw_only=True)
class Rescind(Fault):
    """Takes all offers back, at once."""

    name = "rescind"


@dataclass(frozen=True, kw_only=True)
class Ending(Fault):
    """The process ends, without a word to anybody."""

    @property
    def returns_in(self) -> float | None:
        """Seconds until it starts again; None: it does not."""
        return None


@dataclass(frozen=True, kw_only=True)
class Kill(Ending):
    """The process ends as by SIGKILL."""

    name = "kill"
    servers = ("master", "agent")


@dataclass(frozen=True, kw_only=True)
class Away(Ending):
    """The process ends as by SIGKILL and starts again, as the same, after `seconds`."""

    name = "away"
    servers = ("master", "agent")
    seconds: float

    def __post_init__(self) -> None:
        _check(self, "seconds", self.seconds >= 0, "0 or more")

    @property
    def returns_in(self) -> float | None:
        return self.seconds


@dataclass(frozen=True, kw_only=True)
class Reboot(Ending):
    """As if the agent's machine had lost its power: every process is killed, nobody is told; after `seconds` the agent
    starts with a new id. Reservations, persistent volumes and what lies outside the work folder are kept."""

    name = "reboot"
    servers = ("agent",)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "seconds", self.seconds >= 0, "0 or more")

    @property
    def returns_in(self) -> float | None:
        return self.seconds


FAULTS: tuple[type[Fault], ...] = (
    *(DropPackets, Answer, NoPorts, DuplicateUpdates, DelayUpdates, LoseLaunches, TaskLost, Maintenance),
    *(Rescind, Kill, Away, Reboot),
)


def _check(fault: Fault, name: str, holds: bool, allowed: str) -> None:
    if not holds:
        raise WrongFault(f"fault '{fault.name}': {name} {getattr(fault, name)} is not allowed; give {allowed}")


def read(document: Any, server: str) -> Fault:
    """The fault that a request asks a "master" or an "agent" for; raises WrongFault."""
    if not isinstance(document, dict):
        raise WrongFault("expected a JSON object with 'fault'")
    kinds = {kind.name: kind for kind in FAULTS if server in kind.servers}
    kind = kinds.get(str(document.get("fault")))
    if kind is None:
        raise WrongFault(f"fault '{document.get('fault')}' is none of this {server}'s: {', '.join(sorted(kinds))}")
    given = {name: value for name, value in document.items() if name != "fault"}
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in given:
        if name not in fields:
            raise WrongFault(f"fault '{kind.name}' has no parameter '{name}'; it has {', '.join(fields) or 'none'}")
    for name, field in fields.items():
        if name not in given and field.default is dataclasses.MISSING:
            raise WrongFault(f"fault '{kind.name}': parameter '{name}' is missing")
    types = get_type_hints(kind)
    fault = kind(**{name: _value(kind.name, name, types[name], value) for name, value in given.items()})
    if isinstance(fault, DropPackets):
        _check(fault, "peer", fault.peer in PEERS[server], " or ".join(PEERS[server]))
    return fault


def _value(fault: str, name: str, wanted: Any, value: Any) -> Any:
    if wanted is str:
        right, expected = isinstance(value, str), "text"
    elif wanted in (float, float | None):
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        expected = "a number"
    else:
        right, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    if not right:
        raise WrongFault(f"fault '{fault}': {name} {value!r} is not allowed; give {expected}")
    return value


@dataclass
class _Active:
    fault: Lasting
    begun: float
    """Seconds since the epoch."""
    calls_left: int | None
    over: asyncio.Event
    afterwards: list[Callable[[], None]]
    timer: asyncio.TimerHandle | None = None


class _Once:
    """An action that is done at its time or, if that is sooner, at the end of the fault that put it off."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class Faults:
    """The lasting faults that are on in one master or agent. At most one of a kind, but for those with a `which`."""

    def __init__(self) -> None:
        self._active: dict[tuple[type[Fault], str], _Active] = {}

    def begin(self, fault: Lasting, afterwards: Callable[[], None] = lambda: None) -> None:
        """Takes the place of one that is on. `afterwards` is done when it is over."""
        key = (type(fault), fault.which)
        self._end(key)
        entry = _Active(fault, time.time(), getattr(fault, "calls", None), asyncio.Event(), [afterwards])
        self._active[key] = entry
        if fault.seconds is not None:
            entry.timer = asyncio.get_running_loop().call_later(fault.seconds, self._end, key)

    def clear(self) -> None:
        for key in list(self._active):
            self._end(key)

    def _end(self, key: tuple[type[Fault], str]) -> None:
        entry = self._active.pop(key, None)
        if entry is not None:
            if entry.timer is not None:
                entry.timer.cancel()
            entry.over.set()
            for action in entry.afterwards:
                action()

    def to_json(self) -> list[Json]:
        """The active faults, with `seconds_left` and `calls_left` where they are limited."""
        now, result = time.time(), []
        for entry in self._active.values():
            document = entry.fault.to_json()
            if entry.fault.seconds is not None:
                document["seconds_left"] = round(max(0.0, entry.begun + entry.fault.seconds - now), 1)
            if entry.calls_left is not None:
                document["calls_left"] = entry.calls_left
            result.append(document)
        return result

    def _is_on(self, kind: type[Fault]) -> bool:
        return (kind, "") in self._active

    def _takes(self, kind: type[Fault], which: str = "") -> Lasting | None:
        """The active fault; one limited to a number of calls has one less left."""
        entry = self._active.get((kind, which))
        if entry is None:
            return None
        if entry.calls_left is not None:
            entry.calls_left -= 1
            if entry.calls_left == 0:
                self._end((kind, which))
        return entry.fault

    # packets

    async def heard(self, peer: str) -> None:
        """Returns when packets from and to the peer arrive: at once unless they are dropped."""
        while (entry := self._active.get((DropPackets, peer))) is not None:
            await entry.over.wait()

    def once_heard(self, peer: str, action: Callable[[], None]) -> None:
        """Does it now, or when packets of the peer arrive again."""
        entry = self._active.get((DropPackets, peer))
        if entry is None:
            action()
        else:
            entry.afterwards.append(action)

    # schedulers' calls

    def refusal(self, call: str) -> int | None:
        """The HTTP status to answer a call of this type with, or None."""
        if not self._active:
            return None
        fault = self._takes(Answer, "subscribe" if call == "SUBSCRIBE" else "calls") or self._takes(Answer, "all")
        return fault.status if isinstance(fault, Answer) else None

    def loses_launch(self) -> bool:
        return self._takes(LoseLaunches) is not None

    # offers

    @property
    def withheld(self) -> Collection[str]:
        """Names of resources that no offer holds."""
        return ("ports",) if self._is_on(NoPorts) else ()

    def unavailability(self, *names: str) -> Json | None:
        """Mesos's Unavailability of the agent with one of these names (id, address, host name)."""
        for name in names if self._active else ():
            entry = self._active.get((Maintenance, name))
            if entry is not None and isinstance(entry.fault, Maintenance):
                start, lasting = entry.begun + entry.fault.starts_in, entry.fault.lasting
                return {"start": {"nanoseconds": int(start * 1e9)}, "duration": {"nanoseconds": int(lasting * 1e9)}}
        return None

    # updates

    def pass_on(self, status: Json, send: Callable[[Json], None]) -> None:
        """Sends the status, as, when and as often as the faults want it."""
        if not self._active:
            send(status)
            return
        if self._is_on(TaskLost) and status["state"] in ONLY_PARTITION_AWARE:
            status = {**status, "state": "TASK_LOST"}

        def tell() -> None:
            self._later(DelayUpdates, "by", lambda: send(status))

        tell()
        if self._is_on(DuplicateUpdates):
            self._later(DuplicateUpdates, "after", tell)

    def _later(self, kind: type[Fault], parameter: str, action: Callable[[], None]) -> None:
        """At once, or after the time that the active fault's parameter gives."""
        entry = self._active.get((kind, ""))
        seconds = getattr(entry.fault, parameter) if entry is not None else 0.0
        if entry is None or not seconds:
            action()
            return
        once = _Once(action)
        entry.afterwards.append(once)
        asyncio.get_running_loop().call_later(seconds, once)
