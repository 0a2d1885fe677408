"""The facts that the scheduler reasons about, as frozen values.

Three kinds of knowledge, three types: what is *wanted* (the operator's word), what was *launched* (our own record,
which Mesos cannot tell back) and what is *reported* (the word of Mesos and of Alluxio, rebuilt by asking again).
Nothing here decides, opens, logs or reads the clock; no vendor library is imported.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from framework.paths import WantedPath


class Kind(enum.StrEnum):
    """What a slot runs. The order is the order of deployment."""

    MASTER = "master"
    WORKER = "worker"
    PROXY = "proxy"


class Journal(enum.StrEnum):
    """Where Alluxio's masters keep their journal."""

    LOCAL = "local"  # on the agent of the one master, which therefore never moves
    SHARED = "shared"  # in a folder that every agent reaches: any agent may run a master
    EMBEDDED = "embedded"  # on each master's own agent, kept equal by Raft


DEFAULT_GROUP: Final = "default"  # what people call the workers whose slots are worker-0, worker-1 …


def group_named(name: str) -> str:
    """What the slots of a group of workers are called before their index: ``worker-ssd`` for the group ssd."""
    return Kind.WORKER.value if name == DEFAULT_GROUP else f"{Kind.WORKER.value}-{name}"


def group_of(slot: str) -> str:
    return slot.rpartition("-")[0]


def kind_of(group: str) -> Kind:
    """The kind that the slots of a group run.

    Raises:
        ValueError: no slot is called so.
    """
    return Kind(group.partition("-")[0])


def plural(group: str) -> str:
    """How people call a group's tasks."""
    kind, dash, name = group.partition("-")
    return f"{kind}s of the group {name}" if dash else "proxies" if kind == Kind.PROXY else f"{kind}s"


class Operator(enum.StrEnum):
    """How a field of an agent is looked at, by the names that Marathon gives (Marathon, constraints). The last three
    count where the group's other tasks are, and so does CLUSTER without a value.
    """

    IS = "IS"  # it has this value
    LIKE = "LIKE"  # the regular expression fits all of it
    UNLIKE = "UNLIKE"  # the regular expression does not; an agent without the field will do
    CLUSTER = "CLUSTER"  # it has this value; without one, the value that the others have
    UNIQUE = "UNIQUE"  # no two tasks at one value
    GROUP_BY = "GROUP_BY"  # as many tasks at each value; of values, there are at least so many
    MAX_PER = "MAX_PER"  # at most so many tasks at one value


# Fields of an agent beside its attributes.
HOSTNAME: Final = "hostname"
REGION: Final = "@region"
ZONE: Final = "@zone"


@dataclasses.dataclass(frozen=True, slots=True)
class Constraint:
    """What an agent must be to run a task of a group: ``attribute`` is one of its attributes, ``hostname``, or a part
    of its fault domain, ``@region`` or ``@zone``. ``value`` is "" where there is none.
    """

    attribute: str
    operator: Operator
    value: str = ""

    def __str__(self) -> str:
        return f"{self.attribute}:{self.operator}" + (f":{self.value}" if self.value else "")


MEMBER_PORTS: Final = ("journal", "job_journal")  # where members of the embedded journal speak to each other


class ExitCode(enum.IntEnum):
    """How the scheduler or a command ended; who restarts it (Marathon, systemd), scripts and the operator read it. 64
    to 78 follow sysexits.h, 124 is what timeout(1) gives.
    """

    DONE = 0
    BUG = 70  # a defect of ours: the traceback stands in the log
    CONFIGURATION = 64  # options missing or wrong: each is named
    FAILED = 65  # what a command began has failed: not all of a path could be loaded
    UNAVAILABLE = 69  # something needed is not there: a port is taken, a file is missing
    STORE = 74  # a record could not be written: nothing was done after it
    REFUSED = 77  # Mesos refuses the framework as it describes itself (400), or the API the token of a command
    UNINSTALLING = 83  # the service is being uninstalled, and this scheduler was not told to go on with that
    REMOVED = 78  # Mesos says that this framework id was removed; an operator must decide
    FAILED_OVER = 79  # another scheduler subscribed with the same framework id and leads
    STORE_LOST = 80  # the ZooKeeper session is lost: another scheduler may lead by now
    LEAD_LOST = 81  # the lead was taken away although the session lives: its node was removed
    STORE_REFUSED = 82  # ZooKeeper refuses the credentials, or wants some
    NEWER = 84  # a newer release wrote the state, in a form that this one does not read
    IN_USE = 73  # a state cannot be imported: a scheduler leads, or there is one already
    CONFLICT = 75  # a command came too late or too early: somebody else made a change, or makes one
    NOT_IN_TIME = 124  # a command waited as long as it was told to, and it is not done


class TaskState(enum.StrEnum):
    """Mesos's task states, by the names that Mesos gives them (mesos.proto, TaskState)."""

    STAGING = "TASK_STAGING"
    STARTING = "TASK_STARTING"
    RUNNING = "TASK_RUNNING"
    KILLING = "TASK_KILLING"
    FINISHED = "TASK_FINISHED"
    FAILED = "TASK_FAILED"
    KILLED = "TASK_KILLED"
    ERROR = "TASK_ERROR"
    LOST = "TASK_LOST"
    DROPPED = "TASK_DROPPED"
    UNREACHABLE = "TASK_UNREACHABLE"
    GONE = "TASK_GONE"
    GONE_BY_OPERATOR = "TASK_GONE_BY_OPERATOR"
    UNKNOWN = "TASK_UNKNOWN"


class Life(enum.Enum):
    """What a task state says about the copy: it lives, nobody can tell, or it is over."""

    ACTIVE = "active"
    LIMBO = "limbo"
    TERMINAL = "terminal"


LIFE: Final[Mapping[TaskState, Life]] = MappingProxyType(
    {
        TaskState.STAGING: Life.ACTIVE,
        TaskState.STARTING: Life.ACTIVE,
        TaskState.RUNNING: Life.ACTIVE,
        TaskState.KILLING: Life.ACTIVE,
        TaskState.UNREACHABLE: Life.LIMBO,
        TaskState.FINISHED: Life.TERMINAL,
        TaskState.FAILED: Life.TERMINAL,
        TaskState.KILLED: Life.TERMINAL,
        TaskState.ERROR: Life.TERMINAL,
        TaskState.LOST: Life.TERMINAL,
        TaskState.DROPPED: Life.TERMINAL,
        TaskState.GONE: Life.TERMINAL,
        TaskState.GONE_BY_OPERATOR: Life.TERMINAL,
        TaskState.UNKNOWN: Life.TERMINAL,
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """A closed range of ports, as Mesos writes it: both ends belong to it."""

    begin: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.end <= 65535:
            raise ValueError(
                f"port range {self.begin}-{self.end}: both ends must lie in 0-65535, the first not above the second"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """One entry of an offer's resources.

    ``thousandths`` counts a scalar in thousandths (Mesos keeps three decimals): 1 CPU is 1000, 1 MiB of memory or disk
    is 1000. ``ranges`` is for ports. ``role`` is the role that it is allocated to; ``reservations`` is the JSON text of
    its reservations ("" for none), kept as it came, since a launch must name them letter for letter; ``disk`` likewise
    is the JSON text of what lies on it: a persistent volume.
    """

    name: str
    role: str
    thousandths: int = 0
    ranges: tuple[Range, ...] = ()
    reservations: str = ""
    disk: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Holding:
    """Disk that an agent holds for one of this service's slots, as its reservation's labels say: a persistent volume
    that nobody uses now, or a reservation without one (``persistence_id`` is ""). One that is not ``own`` was made
    under another framework id: by an earlier life of this service, or by a stranger of the same name.
    """

    slot: str
    tier: str
    persistence_id: str
    resource: Resource
    own: bool = True

    @property
    def size(self) -> int:
        """MiB."""
        return self.resource.thousandths // 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """What an agent offers now. ``resources`` are those that any task of this framework may use (no revocable ones, no
    volumes); ``holdings`` are kept for its slots. ``attributes`` are the agent's by their names, as text, and its fault
    domain as ``@region`` and ``@zone``.
    """

    id: str
    agent_id: str
    hostname: str
    resources: tuple[Resource, ...]
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unavailable_from: float | None = None
    holdings: tuple[Holding, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeNeed:
    """A persistent volume that an instance needs: the tier that lies on it, and its size in MiB."""

    tier: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """What one instance of a kind asks of an offer: thousandths of a CPU, MiB, the names of its ports in order, the
    persistent volumes, which are no part of ``disk``, and of the ports those that must have this number.
    """

    cpus: int
    memory: int
    disk: int
    ports: tuple[str, ...]
    volumes: tuple[VolumeNeed, ...] = ()
    fixed_ports: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("cpus", self.cpus), ("memory", self.memory)):
            if value <= 0:
                raise ValueError(f"{name} must be above 0, not {value}")
        if self.disk < 0:
            raise ValueError(f"disk must be 0 or more, not {self.disk}")

    @property
    def whole_disk(self) -> int:
        """MiB of disk, the volumes included."""
        return self.disk + sum(volume.size for volume in self.volumes)


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """How patient the scheduler is, in seconds. Mesos's patience with the scheduler (failover_timeout) is not here."""

    stickiness: float = 600.0  # how long a slot waits for the agent where its cached blocks lie
    launch_timeout: float = 300.0  # no word about a launch for so long: launch again
    unreachable_grace: float = 600.0  # an unreachable agent may come back with its task until then
    first_backoff: float = 1.0
    longest_backoff: float = 300.0
    stable_after: float = 300.0  # a task that was ready for so long starts a new count of failures
    decline_long: float = 3600.0
    decline_short: float = 5.0
    revive_pause: float = 1.0
    revive_again: float = 60.0
    first_answer: float = 15.0  # the wait for the first word about a launch before asking for it
    ask_again: float = 60.0
    ask_all: float = 900.0
    kill_again: float = 10.0
    kills_before_shutdown: int = 6
    remove_again: float = 10.0
    join: float = 60.0  # a master that is ready may take so long until its quorum counts it
    kept_refusals: int = 200
    give_back: bool = True  # volumes that no slot has any more are destroyed
    give_back_patience: float = 900.0  # how long offers are asked for because of them
    give_back_again: float = 5.0  # one that is offered again was not given back; Mesos says no word about it
    drain: float = 150.0  # a decommissioned worker runs on for so long: clients list the workers every two minutes
    longest_give_back: float = 300.0  # the pause grows up to this: an ACL of the masters may forbid it for good
    look_around: float = 60.0  # how long a new subscription looks for volumes that an earlier scheduler gave up
    unavailable: float = 0.1  # the portion of the workers that may be away for another configuration; one always may


_Value = TypeVar("_Value")


def _by_name(by_kind: Mapping[Kind, _Value], group: str) -> _Value | None:
    """Of the group that is a kind of its own."""
    kind = kind_of(group)
    return by_kind.get(kind) if kind == group else None


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A group of workers beside the default one: how many (``None`` = one on each agent that fits), what each needs,
    the id of what they are launched with, where they may run, and the indices that are left out.
    """

    count: int | None
    need: Need
    configuration: str
    placement: tuple[Constraint, ...] = ()
    released: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """The name of a secret, which stands where the secret itself must not."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """Which storage is wanted where in the namespace, and how it is reached. ``readonly``: nothing is written to it
    through Alluxio; ``shared``: every user may use it.
    """

    path: str
    uri: str
    options: Mapping[str, str | Secret] = dataclasses.field(default_factory=dict)
    readonly: bool = False
    shared: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class MountRecord:
    """A mount that this service makes, written before Alluxio is asked for it: ``mount`` is what was asked for last,
    and ``at`` when. Its ``mark`` is laid on it among its options: what bears it is this one and no other.
    ``proved`` turns true once Alluxio has done so and the storage has answered.
    """

    mount: Mount
    mark: str
    at: float
    proved: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class MountPoint:
    """A line of Alluxio's mount table. The values of options that are secrets are hidden in it."""

    path: str
    uri: str
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    readonly: bool = False
    shared: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """The operator's word: how many of each kind (``None`` = one on each agent that fits), what each needs, and the id
    of the configuration, of all of it and of what each kind is launched with. ``paused`` are plans that rest.

    Questions are asked by group, which is what a slot is called before its index: a kind's own name, or that of a group
    of workers in ``groups``. Of a group that is not wanted there are none.
    """

    masters: int
    workers: int | None
    proxies: int
    needs: Mapping[Kind, Need]
    configuration: str
    journal: Journal = Journal.LOCAL
    released: frozenset[int] = frozenset()  # workers' indices that are left out: the count goes on above them
    configurations: Mapping[Kind, str] = dataclasses.field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    groups: Mapping[str, Group] = dataclasses.field(default_factory=dict)  # by ``worker-NAME``
    placements: Mapping[Kind, tuple[Constraint, ...]] = dataclasses.field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()  # by path

    def groups_of(self, kind: Kind) -> tuple[str, ...]:
        """The groups of a kind, the default one first."""
        return (kind.value, *sorted(self.groups)) if kind is Kind.WORKER and self.groups else (kind.value,)

    @property
    def all_groups(self) -> tuple[str, ...]:
        """In the order of deployment."""
        return tuple(group for kind in Kind for group in self.groups_of(kind))

    def configuration_of(self, group: str) -> str:
        named = self.groups.get(group)
        return named.configuration if named is not None else self.configurations.get(kind_of(group), self.configuration)

    def need(self, group: str) -> Need | None:
        named = self.groups.get(group)
        return named.need if named is not None else _by_name(self.needs, group)

    def placement(self, group: str) -> tuple[Constraint, ...]:
        named = self.groups.get(group)
        return named.placement if named is not None else _by_name(self.placements, group) or ()

    def count(self, group: str) -> int | None:
        match group:
            case Kind.WORKER:
                return self.workers
            case Kind.MASTER:
                return self.masters
            case Kind.PROXY:
                return self.proxies
        return self.groups[group].count if group in self.groups else 0

    def released_of(self, group: str) -> frozenset[int]:
        if group == Kind.WORKER:
            return self.released
        return self.groups[group].released if group in self.groups else frozenset()

    def indices(self, group: str) -> Sequence[int]:
        """The indices of the slots that should run, in order; none where there is no count."""
        count, released = self.count(group) or 0, self.released_of(group)
        if not released:
            return range(count)
        return [index for index in range(count + len(released)) if index not in released]

    def includes(self, group: str, index: int) -> bool:
        """Whether this slot should run; all do where there is no count."""
        count = self.count(group)
        if count is None:
            return True
        released = self.released_of(group)
        return index < count + len(released) and index not in released


@dataclasses.dataclass(frozen=True, slots=True)
class GroupEntry:
    """What was wanted of a group of workers, by its name as people know it; ``options`` are the texts of the options in
    which it differs from the default group.
    """

    name: str
    count: int | None
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    released: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What was wanted from ``at`` (seconds since the epoch) until the next entry: the configuration's id, the counts
    (``workers`` None = one on each agent that fits), and the options' texts by name, secrets left out. Numbers count
    from 1 and never come again.
    """

    number: int
    at: float
    configuration: str
    masters: int
    workers: int | None
    proxies: int
    options: Mapping[str, str]
    released: tuple[int, ...] = ()  # the workers' indices that are left out, each below the highest that is wanted
    # Of each option that was changed over the API, the text that the scheduler had been started with.
    given: Mapping[str, str] = dataclasses.field(default_factory=dict)
    paused: tuple[str, ...] = ()  # plans that rest
    groups: tuple[GroupEntry, ...] = ()  # of workers, beside the default one; by their names
    mounts: tuple[Mount, ...] = ()  # by path


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume of a slot (mesos.proto, DiskInfo.Persistence): the tier that lies on it, its persistence id,
    and its size in MiB. ``used`` turns true once the slot was ready with it: from then on it holds cached blocks, and
    the slot waits for it.
    """

    tier: str
    persistence_id: str
    size: int
    used: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class NewVolume:
    """A volume to be made for a slot out of this unreserved disk."""

    slot: str
    volume: Volume
    disk: Resource


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What was launched for a slot. It is written before the launch leaves, so that no restart forgets it.

    ``formatted`` turns true once the slot's journal has served a master: from then on nothing formats it again.
    ``deployed`` turns true once the slot was ready for the first time: what follows is recovery. ``masters`` are the
    Alluxio masters ("host:port") that the task was told of. ``volumes`` belong to the slot on this very agent.
    ``attributes`` are the agent's, as its offer had them: no later offer may come while the task runs.
    """

    kind: Kind
    index: int
    attempt: int
    agent_id: str
    hostname: str
    ports: Mapping[str, int]
    configuration: str
    launched_at: float
    formatted: bool = False
    deployed: bool = False
    masters: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    group: str = ""  # what the slot is called before its index; by default its kind
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Made once: each decision asks for them many times.
    slot: str = dataclasses.field(init=False, repr=False, compare=False)
    task_id: str = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.kind.value)
        slot = f"{self.group}-{self.index}"
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "task_id", f"{slot}.{self.attempt}")


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """Everything that a store holds: what a scheduler starts from. ``records`` by slot; ``retired`` has the last
    attempt of each forgotten slot, so that no task id is ever used again; ``history`` is what was wanted, the oldest
    first; ``mounts`` are those that this service made, by path. ``uninstalling``: somebody began to remove the service
    for good.
    """

    framework_id: str = ""
    records: Mapping[str, Record] = dataclasses.field(default_factory=dict)
    retired: Mapping[str, int] = dataclasses.field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()
    mounts: Mapping[str, MountRecord] = dataclasses.field(default_factory=dict)
    paths: tuple[WantedPath, ...] = ()  # of Alluxio's namespace, of which something is wanted; in their order
    uninstalling: bool = False


_GROUP: Final = re.compile(r"master|proxy|worker(-[a-z][a-z0-9]*)*")
MOST_GROUP_NAME: Final = 32  # characters


def is_group_name(name: str) -> bool:
    """A letter comes first, and after each dash: no group is called as a slot is."""
    return len(name) <= MOST_GROUP_NAME and name != DEFAULT_GROUP and bool(_GROUP.fullmatch(f"worker-{name}"))


def parse_task_id(task_id: str) -> tuple[Kind, str, int] | None:
    """``worker-2.7`` as (kind, slot, attempt); None for an id that this framework never gives."""
    slot, dot, attempt = task_id.rpartition(".")
    group, dash, index = slot.rpartition("-")
    if not (dot and dash and attempt.isdecimal() and index.isdecimal() and _GROUP.fullmatch(group)):
        return None
    return kind_of(group), slot, int(attempt)


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The last word of Mesos on a task. ``at`` is when it was heard; ``since`` is when this state and health began;
    ``healthy`` is the executor's readiness; ``processes`` is where each of its processes stands, in its words.
    """

    task_id: str
    state: TaskState
    agent_id: str
    at: float
    since: float
    healthy: bool = False
    message: str = ""
    reason: str = ""
    processes: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class CachingWorker:
    """A worker as Alluxio's primary master lists it. Sizes in bytes; ``tiers`` are (name, capacity, used), the fastest
    first.
    """

    host: str
    rpc_port: int
    capacity: int
    used: int
    live: bool
    tiers: tuple[tuple[str, int, int], ...] = ()
    decommissioned: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A member of the embedded journal's quorum, by its address ("host:port") there; ``job`` members are job masters,
    which have a quorum of their own.
    """

    address: str
    available: bool
    job: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class CacheReport:
    """The last word of Alluxio: its primary master ("host:port", None when none answers, with the reason), the workers
    that it lists, the members of its quorum (none with a journal of another kind), each master that was asked with
    what it is: primary, standby, starting or unreachable, and the mount table by path (None when it was not told).
    """

    primary: str | None = None
    reason: str = "no Alluxio master has been asked yet"
    workers: tuple[CachingWorker, ...] = ()
    at: float = 0.0
    members: tuple[Member, ...] = ()
    masters: tuple[tuple[str, str], ...] = ()
    mounts: tuple[MountPoint, ...] | None = None


class DrainStep(enum.StrEnum):
    """How far a worker is that leaves, in this order."""

    PERSISTING = "persisting"  # what only it holds is written to the under-storage
    DECOMMISSIONED = "decommissioned"  # no client is sent to it any more, and nothing is lost with it


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """What was seen of a worker that leaves. ``since`` is when the step began; ``message`` says what is waited for."""

    task_id: str
    step: DrainStep
    since: float
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """How often a slot failed in a row, when it last did, and why. The wait before the next launch grows with the
    count.
    """

    count: int
    at: float
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offer was not used for a slot: the sentence that the log and the API show."""

    agent_id: str
    hostname: str
    reason: str
    at: float
