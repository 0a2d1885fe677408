"""What comes into the core and what goes out of it: events and effects, two closed unions of frozen values.

An event is a fact that somebody else established. An effect is something that the loop is asked to do. Each effect
prints as one sentence: that is the operator's log. Nothing here decides or touches the outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from framework.model import (
    CacheReport,
    Drain,
    HistoryEntry,
    Holding,
    MountRecord,
    NewVolume,
    Offer,
    Policy,
    Record,
    Report,
    Resource,
    Wanted,
)
from framework.paths import WantedPath
from framework.words import counted

# Events ---------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Subscribed:
    """Mesos accepted the subscription; ``master`` is "host:port", ``region`` that of its fault domain ("" for none)."""

    framework_id: str
    master: str
    at: float
    region: str = ""

    def __str__(self) -> str:
        return f"subscribed to the Mesos master {self.master} as framework {self.framework_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class Disconnected:
    """The event stream ended or never began; what was offered is void."""

    reason: str
    at: float

    def __str__(self) -> str:
        return f"not connected to a Mesos master: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Offered:
    offers: tuple[Offer, ...]
    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Rescinded:
    offer_id: str
    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Updated:
    """A status update. ``uuid`` is "" where Mesos wants no acknowledgement (updates that its master made)."""

    report: Report
    uuid: str = ""

    def __str__(self) -> str:
        report = self.report
        details = "; ".join(part for part in (report.message, report.reason) if part)
        if report.healthy:  # the executor's own word begins so
            details = details if details.startswith("ready") else f"ready: {details}" if details else "ready"
            return f"{report.task_id} is {report.state.value}, {details}"
        return f"{report.task_id} is {report.state.value}" + (f": {details}" if details else "")


@dataclasses.dataclass(frozen=True, slots=True)
class OperationUpdated:
    """What became of a reservation or a volume that a launch asked for (UPDATE_OPERATION_STATUS). ``operation_id``
    is the task's with what was to be done; ``uuid`` is "" where Mesos wants no acknowledgement.
    """

    operation_id: str
    state: str
    agent_id: str
    uuid: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.operation_id} is {self.state}" + (f": {self.message}" if self.message else "")


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """An ERROR event or an answer after which no subscription can succeed: the scheduler must end (C10, C12)."""

    reason: str
    exit_code: int
    at: float

    def __str__(self) -> str:
        return f"Mesos refuses this framework: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class CacheSeen:
    report: CacheReport


@dataclasses.dataclass(frozen=True, slots=True)
class DrainsSeen:
    """How far the workers are that leave: all of them."""

    drains: tuple[Drain, ...]

    def __str__(self) -> str:
        return (
            "; ".join(
                f"{drain.task_id} leaves: {drain.step}" + (f", {drain.message}" if drain.message else "")
                for drain in self.drains
            )
            or "no worker leaves any more"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Wished:
    """Somebody asks for something else; it holds once it is written. ``wanted`` and ``policy`` come with another
    configuration: without them only numbers change, and which plans rest.
    """

    entry: HistoryEntry
    wanted: Wanted | None = None
    policy: Policy | None = None

    def __str__(self) -> str:
        return f"asked for entry {self.entry.number} of what is wanted"


@dataclasses.dataclass(frozen=True, slots=True)
class PathsWished:
    """Somebody asks for this of paths in Alluxio's namespace, in the place of all that was wanted of them; it holds
    once it is written.
    """

    paths: tuple[WantedPath, ...]

    def __str__(self) -> str:
        return f"asked for something of {_paths(self.paths)}"


@dataclasses.dataclass(frozen=True, slots=True)
class RestartAsked:
    """Somebody asks for a task to be ended, and launched again where it is."""

    task_id: str

    def __str__(self) -> str:
        return f"asked to restart {self.task_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class MountAnswered:
    """What became of a call for a mount that was made at ``asked_at``: ``reason`` says why it failed, "" where it did
    not.
    """

    path: str
    asked_at: float
    at: float
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason or 'Alluxio has done what it was asked for'}"


@dataclasses.dataclass(frozen=True, slots=True)
class Uninstalled:
    """The service's path is gone from the store: nothing of it is left anywhere."""

    def __str__(self) -> str:
        return "nothing of the service is left"


@dataclasses.dataclass(frozen=True, slots=True)
class Decided:
    """The effects of the last decision, now saved and about to be acted on: they are facts from here on."""

    effects: tuple[Effect, ...]
    at: float


Event = (
    Subscribed
    | Disconnected
    | Offered
    | Rescinded
    | Updated
    | OperationUpdated
    | Failed
    | CacheSeen
    | DrainsSeen
    | Wished
    | PathsWished
    | RestartAsked
    | MountAnswered
    | Uninstalled
    | Decided
)

# Effects --------------------------------------------------------------------------------------------------------------


def _few(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are: a sentence stays a sentence."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


@dataclasses.dataclass(frozen=True, slots=True)
class KeepFrameworkId:
    """Write the framework's id before anything is launched under it (C1)."""

    framework_id: str

    def __str__(self) -> str:
        return f"keeping the framework id {self.framework_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class KeepWanted:
    """Write what is wanted from now on, before anything is launched with it."""

    entry: HistoryEntry

    def __str__(self) -> str:
        entry = self.entry
        counts = ", ".join(
            (
                counted(entry.masters, "master"),
                _workers(entry),
                counted(entry.proxies, "proxy", "proxies"),
                *([f"mounts at {_few([mount.path for mount in entry.mounts])}"] if entry.mounts else []),
            )
        )
        return f"wanted from now on: configuration {entry.configuration}, {counts} (entry {entry.number})"


@dataclasses.dataclass(frozen=True, slots=True)
class KeepPaths:
    """Write what is wanted of paths in Alluxio's namespace from now on, before anything is said of them."""

    paths: tuple[WantedPath, ...]

    def __str__(self) -> str:
        return f"wanted from now on: something of {_paths(self.paths)}"


def _paths(paths: Sequence[WantedPath]) -> str:
    return _few([wanted.path for wanted in paths]) or "no path"


def _workers(entry: HistoryEntry) -> str:
    parts = ["a worker on each agent" if entry.workers is None else counted(entry.workers, "worker")]
    parts += [
        f"{'one on each agent' if group.count is None else group.count} in the group {group.name}"
        for group in entry.groups
    ]
    return ", ".join(parts)


@dataclasses.dataclass(frozen=True, slots=True)
class Keep:
    """Write a record that is no launch, such as "the journal is formatted"."""

    record: Record
    why: str

    def __str__(self) -> str:
        return f"{self.record.slot}: {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Forget:
    """Remove a slot's record: nothing of it runs any more and nobody wants it back."""

    slot: str
    attempt: int
    why: str

    def __str__(self) -> str:
        return f"{self.slot}: forgotten, {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Launch:
    """Use one offer for one or more slots. The records are written first (C21). Volumes that are not there yet are
    reserved and made by the same call.
    """

    offer: Offer
    records: tuple[Record, ...]
    resources: tuple[tuple[Resource, ...], ...]  # what each record takes of the offer, in the same order
    new_volumes: tuple[NewVolume, ...] = ()

    def __str__(self) -> str:
        tasks = " and ".join(record.task_id for record in self.records)
        ports = ", ".join(f"{name} {port}" for record in self.records for name, port in record.ports.items())
        return f"launching {tasks} on agent {self.offer.hostname} (ports: {ports}{self._volumes()})"

    def _volumes(self) -> str:
        new = {new.volume for new in self.new_volumes}
        told = [
            f"{volume.tier} of {volume.size} MiB, {'new' if volume in new else 'there'}"
            for record in self.records
            for volume in record.volumes
        ]
        return f"; volumes: {'; '.join(told)}" if told else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Decline:
    """Give an offer back for ``seconds``; ``slot`` is the slot that it was weighed for, "" when there was none."""

    offer: Offer
    seconds: float
    reason: str
    slot: str = ""

    def __str__(self) -> str:
        subject = f"{self.slot} on agent" if self.slot else "agent"
        return f"{subject} {self.offer.hostname}: declined, {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class GiveBack:
    """Use an offer to destroy volumes that belong to no slot any more, and to end their reservations."""

    offer: Offer
    holdings: tuple[Holding, ...]

    def __str__(self) -> str:
        told = _few([f"{holding.slot}'s {holding.tier} ({holding.size} MiB)" for holding in self.holdings])
        return f"agent {self.offer.hostname}: giving back volumes that no slot has any more: {told}"


@dataclasses.dataclass(frozen=True, slots=True)
class AcknowledgeOperation:
    operation_id: str
    agent_id: str
    uuid: str

    def __str__(self) -> str:
        return f"acknowledging what became of {self.operation_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class Acknowledge:
    task_id: str
    agent_id: str
    uuid: str

    def __str__(self) -> str:
        return f"acknowledging an update of {self.task_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class Reconcile:
    """Ask Mesos for the state of these (task id, agent id) pairs; none asks for every task that it knows (C24)."""

    tasks: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        if not self.tasks:
            return "asking Mesos for the state of every task that it knows"
        return f"asking Mesos for the state of {_few([task for task, _ in self.tasks])}"


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    task_id: str
    agent_id: str
    reason: str

    def __str__(self) -> str:
        return f"killing {self.task_id}: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Shutdown:
    """End the executor of a task that many kills did not end (C25). The executor's id is the task's."""

    task_id: str
    agent_id: str
    kills: int

    def __str__(self) -> str:
        return f"shutting down the executor of {self.task_id}, as {self.kills} kills did not end it"


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveMember:
    """Take a member that no master of ours is any more out of the embedded journal's quorum."""

    address: str
    job: bool

    def __str__(self) -> str:
        masters = "job masters" if self.job else "masters"
        return f"removing {self.address} from the {masters}' quorum: no master that is wanted has that address"


@dataclasses.dataclass(frozen=True, slots=True)
class MakeMount:
    """Mount a storage where nothing is mounted. The record is written first."""

    record: MountRecord

    def __str__(self) -> str:
        return f"mounting {self.record.mount.uri} at {self.record.mount.path}"


@dataclasses.dataclass(frozen=True, slots=True)
class UpdateMount:
    """Give a mount of ours other options. The record is written first."""

    record: MountRecord
    why: str

    def __str__(self) -> str:
        return f"laying the options of {self.record.mount.path} on again: {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Unmount:
    """End a mount of ours; its record goes once it is seen that it is no more."""

    record: MountRecord
    why: str

    def __str__(self) -> str:
        return f"unmounting {self.record.mount.path}: {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class KeepMount:
    """Write that a mount of ours is as it was asked for."""

    record: MountRecord

    def __str__(self) -> str:
        return f"{self.record.mount.uri} is mounted at {self.record.mount.path}"


@dataclasses.dataclass(frozen=True, slots=True)
class ForgetMount:
    """Remove the record of a mount that is none of ours any more."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: its mount is forgotten, {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Suppress:
    def __str__(self) -> str:
        return "nothing to launch: asking Mesos for no more offers"


@dataclasses.dataclass(frozen=True, slots=True)
class Revive:
    """``waiting`` are the slots to launch; none: there are volumes to give back."""

    waiting: tuple[str, ...]

    def __str__(self) -> str:
        if not self.waiting:
            return "asking Mesos for offers, to give back volumes that no slot has any more"
        return f"asking Mesos for offers, to launch {_few(self.waiting)}"


@dataclasses.dataclass(frozen=True, slots=True)
class KeepUninstalling:
    """Write that the service is uninstalled, before its first task is ended: no scheduler may begin it anew."""

    def __str__(self) -> str:
        return "the service is uninstalled from now on: its tasks are ended, and what it reserved is given back"


@dataclasses.dataclass(frozen=True, slots=True)
class Discard:
    """Tell the executor of this record's task to remove its folders on the agent when the task ends."""

    record: Record

    def __str__(self) -> str:
        return f"telling {self.record.task_id} to leave none of its folders on agent {self.record.hostname}"


@dataclasses.dataclass(frozen=True, slots=True)
class Teardown:
    """Mesos ends what still runs, and never takes this framework id again."""

    framework_id: str

    def __str__(self) -> str:
        return f"telling Mesos to forget framework {self.framework_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class Erase:
    """Remove all that the store holds but the mark that the service is uninstalled: it is the last thing decided."""

    why: str

    def __str__(self) -> str:
        return f"erasing the service's state in ZooKeeper: {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Stop:
    """End the process; the exit code tells the one who restarts it what happened."""

    exit_code: int
    reason: str

    def __str__(self) -> str:
        return f"stopping: {self.reason}"


Effect = (
    KeepFrameworkId
    | KeepWanted
    | KeepPaths
    | Keep
    | Forget
    | Launch
    | Decline
    | GiveBack
    | Acknowledge
    | AcknowledgeOperation
    | Reconcile
    | Kill
    | Shutdown
    | RemoveMember
    | MakeMount
    | UpdateMount
    | Unmount
    | KeepMount
    | ForgetMount
    | Suppress
    | Revive
    | Stop
    | KeepUninstalling
    | Discard
    | Teardown
    | Erase
)
