"""JSON to model and back: Mesos's events as they come off the socket, and our own records as they lie in ZooKeeper.

msgspec's only home. Whatever leaves this module is a frozen value of ``model``; whatever enters it may be anything, and
is refused with one ``WireError``. Records carry a version, so that a newer scheduler reads what an older one wrote.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from framework.model import (
    REGION,
    ZONE,
    GroupEntry,
    HistoryEntry,
    Holding,
    Kept,
    Kind,
    Mount,
    MountRecord,
    Offer,
    Range,
    Record,
    Resource,
    Secret,
    Volume,
    group_named,
    is_group_name,
)
from framework.paths import Attributes, TtlAction, WantedPath

RECORD_VERSION: Final = 4
HISTORY_VERSION: Final = 5
LAYOUT_VERSION: Final = 2
DOCUMENT_VERSION: Final = 2
DOCUMENT_FORMAT: Final = "alluxio-mesos state"
A_RECORD: Final = "a launch record"
AN_ENTRY: Final = "an entry of the history"


class WireError(Exception):
    """Bytes that are not what they should be; the message says what was expected."""


class NewerError(WireError):
    """A newer release wrote them, in a version that this one does not read."""


# Mesos's events (scheduler.proto, v1) ---------------------------------------------------------------------------------


# What is read from JSON holds no cycles: the garbage collector need not look at any of it (gc=False).


class _Id(msgspec.Struct, gc=False):
    value: str


class _Scalar(msgspec.Struct, gc=False):
    value: float


class _Range(msgspec.Struct, gc=False):
    begin: int
    end: int


class _Ranges(msgspec.Struct, gc=False):
    range: list[_Range] = []


class _Allocation(msgspec.Struct, gc=False):
    role: str = "*"


class _Resource(msgspec.Struct, gc=False):
    name: str
    scalar: _Scalar | None = None
    ranges: _Ranges | None = None
    allocation_info: _Allocation | None = None
    role: str = "*"
    reservations: msgspec.Raw = msgspec.Raw()
    disk: msgspec.Raw = msgspec.Raw()
    revocable: msgspec.Raw = msgspec.Raw()
    shared: msgspec.Raw = msgspec.Raw()
    provider_id: msgspec.Raw = msgspec.Raw()


class _Text(msgspec.Struct, gc=False):
    value: str = ""


class _Set(msgspec.Struct, gc=False):
    item: list[str] = []


class _Attribute(msgspec.Struct, gc=False):
    name: str
    text: _Text | None = None
    scalar: _Scalar | None = None
    ranges: _Ranges | None = None
    set: _Set | None = None


class _Place(msgspec.Struct, gc=False):
    name: str


class _FaultDomain(msgspec.Struct, gc=False):
    region: _Place
    zone: _Place


class _Domain(msgspec.Struct, gc=False):
    fault_domain: _FaultDomain | None = None


class _Nanoseconds(msgspec.Struct, gc=False):
    nanoseconds: int = 0


class _Unavailability(msgspec.Struct, gc=False):
    start: _Nanoseconds


class _Offer(msgspec.Struct, gc=False):
    id: _Id
    agent_id: _Id
    hostname: str
    resources: list[_Resource] = []
    attributes: list[_Attribute] = []
    domain: _Domain | None = None
    unavailability: _Unavailability | None = None


class _Offers(msgspec.Struct, gc=False):
    offers: list[_Offer] = []


class _Address(msgspec.Struct, gc=False):
    hostname: str = ""
    ip: str = ""
    port: int = 5050


class _MasterInfo(msgspec.Struct, gc=False):
    version: str = ""
    hostname: str = ""
    port: int = 5050
    address: _Address | None = None
    domain: _Domain | None = None


class _Subscribed(msgspec.Struct, gc=False):
    framework_id: _Id
    heartbeat_interval_seconds: float = 15.0
    master_info: _MasterInfo | None = None


class _Rescind(msgspec.Struct, gc=False):
    offer_id: _Id


class _Status(msgspec.Struct, gc=False):
    task_id: _Id
    state: str
    agent_id: _Id | None = None
    message: str = ""
    reason: str = ""
    source: str = ""
    uuid: str = ""
    healthy: bool | None = None
    data: bytes = b""  # base64 on the wire


class _Update(msgspec.Struct, gc=False):
    status: _Status


class _Error(msgspec.Struct, gc=False):
    message: str


class _Bytes(msgspec.Struct, gc=False):
    value: str = ""


class _OperationStatus(msgspec.Struct, gc=False):
    state: str
    operation_id: _Id | None = None
    uuid: _Bytes | None = None
    agent_id: _Id | None = None
    message: str = ""


class _OperationUpdate(msgspec.Struct, gc=False):
    status: _OperationStatus


class _Failure(msgspec.Struct, gc=False):
    agent_id: _Id | None = None
    executor_id: _Id | None = None
    status: int | None = None


class MesosEvent(msgspec.Struct, gc=False):
    """One record of the event stream, typed. Only the part that belongs to ``type`` is there."""

    type: str
    subscribed: _Subscribed | None = None
    offers: _Offers | None = None
    rescind: _Rescind | None = None
    update: _Update | None = None
    error: _Error | None = None
    failure: _Failure | None = None
    update_operation_status: _OperationUpdate | None = None


_events = msgspec.json.Decoder(MesosEvent)


def mesos_event(record: bytes | bytearray | memoryview) -> MesosEvent:
    try:
        return _events.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"an event of the Mesos master cannot be read: {error}") from error


def region(event: MesosEvent) -> str:
    """That of the master that accepted a subscription; "" when it has none."""
    info = event.subscribed.master_info if event.subscribed is not None else None
    domain = info.domain.fault_domain if info is not None and info.domain is not None else None
    return domain.region.name if domain is not None else ""


class _Process(msgspec.Struct):
    state: str = ""


class _ExecutorData(msgspec.Struct):
    processes: dict[str, _Process] = {}


_executor_data = msgspec.json.Decoder(_ExecutorData)


def process_states(data: bytes) -> dict[str, str]:
    """Where each process of a task stands, of the data that our executor adds to an update (docs/executor.md); nothing
    of data that is not its own.
    """
    try:
        return {name: process.state for name, process in _executor_data.decode(data).processes.items()} if data else {}
    except msgspec.DecodeError:
        return {}


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """Whose a reservation is: its labels name the service and the framework, its principal is the framework's ("" for
    none).
    """

    service: str
    framework_id: str
    principal: str = ""


def model_offers(offers: _Offers, owner: Owner) -> tuple[Offer, ...]:
    """The offers as far as ``owner`` may use them.

    Raises:
        WireError: an offer holds what cannot be, such as a port above 65535.
    """
    try:
        return tuple([_model_offer(offer, owner) for offer in offers.offers])
    except ValueError as error:
        raise WireError(f"an offer of the Mesos master cannot be used: {error}") from error


def _model_offer(offer: _Offer, owner: Owner) -> Offer:
    resources: list[Resource] = []
    holdings: list[Holding] = []
    for resource in offer.resources:
        if resource.revocable or resource.shared or resource.provider_id or resource.name not in _USED:
            continue  # it may be taken away, or is somebody's data
        if not (resource.reservations or resource.disk):
            resources.append(_model_resource(resource))
            continue
        labels = _labels(bytes(resource.reservations)) if resource.reservations else {}
        if SERVICE_LABEL in labels:
            holding = _holding(resource, labels, owner)
            if holding is not None:
                holdings.append(holding)
        elif not resource.disk:
            resources.append(_model_resource(resource))
    return Offer(
        offer.id.value,
        offer.agent_id.value,
        offer.hostname,
        tuple(resources),
        _attributes(offer),
        offer.unavailability.start.nanoseconds / 1e9 if offer.unavailability is not None else None,
        tuple(holdings),
    )


_USED: Final = frozenset({"cpus", "mem", "disk", "ports"})


def _model_resource(resource: _Resource) -> Resource:
    scalar, spans, allocation = resource.scalar, resource.ranges, resource.allocation_info
    return Resource(
        resource.name,
        allocation.role if allocation is not None else resource.role,
        round(scalar.value * 1000) if scalar is not None else 0,
        tuple([Range(span.begin, span.end) for span in spans.range]) if spans is not None else (),
        bytes(resource.reservations).decode() if resource.reservations else "",
    )


# Reservations and volumes of ours -------------------------------------------------------------------------------------

SERVICE_LABEL: Final = "alluxio-mesos.service"
FRAMEWORK_LABEL: Final = "alluxio-mesos.framework"
SLOT_LABEL: Final = "alluxio-mesos.slot"
TIER_LABEL: Final = "alluxio-mesos.tier"


class _Label(msgspec.Struct, gc=False):
    key: str
    value: str = ""


class _Labels(msgspec.Struct, gc=False):
    labels: list[_Label] = []


class _Reservation(msgspec.Struct, gc=False):
    labels: _Labels | None = None


class _Persistence(msgspec.Struct, gc=False):
    id: str


class _Disk(msgspec.Struct, gc=False):
    persistence: _Persistence | None = None
    source: msgspec.Raw = msgspec.Raw()


_reservations = msgspec.json.Decoder(list[_Reservation])
_disks = msgspec.json.Decoder(_Disk)


@functools.lru_cache(maxsize=1024)
def _labels(reservations: bytes) -> Mapping[str, str]:
    """The labels of the innermost reservation. Remembered, as every agent may hold the same one."""
    try:
        stack = _reservations.decode(reservations)
    except msgspec.DecodeError:
        return {}
    labels = stack[-1].labels if stack else None
    return {label.key: label.value for label in labels.labels} if labels is not None else {}


def _holding(resource: _Resource, labels: Mapping[str, str], owner: Owner) -> Holding | None:
    """None for what belongs to another service, and for what this scheduler never makes."""
    slot, tier = labels.get(SLOT_LABEL, ""), labels.get(TIER_LABEL, "")
    if labels[SERVICE_LABEL] != owner.service or resource.name != "disk" or not slot or not tier:
        return None
    own = labels.get(FRAMEWORK_LABEL) == owner.framework_id
    if not resource.disk:
        return Holding(slot, tier, "", _model_resource(resource), own)
    try:
        disk = _disks.decode(resource.disk)
    except msgspec.DecodeError:
        return None
    if disk.persistence is None or disk.source:
        return None
    named = dataclasses.replace(_model_resource(resource), disk=bytes(resource.disk).decode())
    return Holding(slot, tier, disk.persistence.id, named, own)


def claimed(resource: Resource, slot: str, volume: Volume, owner: Owner) -> Resource:
    """Unreserved disk as it is named once it is ``volume`` of ``slot``. The tier's name is its path in the sandbox."""
    labels = {
        SERVICE_LABEL: owner.service,
        FRAMEWORK_LABEL: owner.framework_id,
        SLOT_LABEL: slot,
        TIER_LABEL: volume.tier,
    }
    principal = {"principal": owner.principal} if owner.principal else {}
    reservation = {
        "type": "DYNAMIC",
        "role": resource.role,
        **principal,
        "labels": {"labels": [{"key": key, "value": value} for key, value in labels.items()]},
    }
    disk = {
        "persistence": {"id": volume.persistence_id, **principal},
        "volume": {"container_path": volume.tier, "mode": "RW"},
    }
    return dataclasses.replace(
        resource,
        reservations=msgspec.json.encode([reservation]).decode(),
        disk=msgspec.json.encode(disk).decode(),
    )


def _attributes(offer: _Offer) -> dict[str, str]:
    """The first attribute of a name counts, as with Marathon."""
    found = {attribute.name: _attribute_text(attribute) for attribute in reversed(offer.attributes)}
    if offer.domain is not None and (domain := offer.domain.fault_domain) is not None:
        found[REGION], found[ZONE] = domain.region.name, domain.zone.name
    return found


def _attribute_text(attribute: _Attribute) -> str:
    """As Mesos writes it: ``4.5``, ``[1-2,5-9]``, ``{a,b}``, in order, so that equal values have equal texts."""
    if attribute.text is not None:
        return attribute.text.value
    if attribute.scalar is not None:
        return f"{attribute.scalar.value:.3f}".rstrip("0").rstrip(".")
    if attribute.ranges is not None:
        spans = sorted((span.begin, span.end) for span in attribute.ranges.range)
        return f"[{','.join(f'{begin}-{end}' for begin, end in spans)}]"
    return "{" + ",".join(sorted(attribute.set.item if attribute.set is not None else ())) + "}"


def master_address(data: bytes) -> str:
    """The "host:port" of a MasterInfo as the masters leave it in ZooKeeper (json.info_…)."""
    try:
        info = msgspec.json.decode(data, type=_MasterInfo)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"a Mesos master's info cannot be read: {error}") from error
    address = info.address or _Address(info.hostname, "", info.port)
    return f"{address.ip or address.hostname}:{address.port}"


# Mesos's calls --------------------------------------------------------------------------------------------------------


def mesos_resources(resources: Sequence[Resource]) -> list[dict[str, Any]]:
    """Resources as a TaskInfo or ExecutorInfo names them, reservations letter for letter."""
    return [_mesos_resource(resource) for resource in resources]


def _mesos_resource(resource: Resource) -> dict[str, Any]:
    document: dict[str, Any] = {"name": resource.name, "allocation_info": {"role": resource.role}}
    if resource.ranges:
        document |= {
            "type": "RANGES",
            "ranges": {"range": [{"begin": span.begin, "end": span.end} for span in resource.ranges]},
        }
    else:
        document |= {"type": "SCALAR", "scalar": {"value": resource.thousandths / 1000}}
    if resource.reservations:
        document["reservations"] = msgspec.json.decode(resource.reservations)
    if resource.disk:
        document["disk"] = msgspec.json.decode(resource.disk)
    return document


# Our records ----------------------------------------------------------------------------------------------------------


class _VolumeDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    tier: str
    persistence_id: str
    size: int
    used: bool = False


class _RecordDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Version 2; with ``group``, of workers beside the default one, version 3; with ``attributes`` version 4. A record
    that has none of the fields with defaults looks as it did in version 1.
    """

    version: int
    kind: Kind
    index: int
    attempt: int
    agent_id: str
    hostname: str
    ports: dict[str, int]
    configuration: str
    launched_at: float
    formatted: bool = False
    deployed: bool = False
    masters: tuple[str, ...] = ()
    volumes: tuple[_VolumeDocument, ...] = ()
    group: str = ""
    attributes: dict[str, str] = {}


_records = msgspec.json.Decoder(_RecordDocument)


class _Versioned(msgspec.Struct):
    version: int = 0


def _unread(data: bytes, what: str, highest: int, error: Exception) -> WireError:
    """Why it cannot be read: a newer version may have what this release knows nothing of."""
    try:
        version = msgspec.json.decode(data, type=_Versioned).version
    except (msgspec.DecodeError, UnicodeDecodeError):
        version = 0
    return _newer(what, version, highest) if version > highest else WireError(f"{what} cannot be read: {error}")


def _check_version(what: str, version: int, highest: int) -> None:
    if version > highest:
        raise _newer(what, version, highest)
    if version < 1:
        raise WireError(f"{what} has version {version}; versions begin with 1")


def _newer(what: str, version: int, highest: int) -> NewerError:
    return NewerError(
        f"{what} has version {version}; this release reads versions 1 to {highest}: "
        "run the release that wrote it, or a newer one"
    )


def encode_record(record: Record) -> bytes:
    return msgspec.json.encode(_record_document(record))


def _record_document(record: Record) -> _RecordDocument:
    group = record.group if record.group != record.kind else ""
    return _RecordDocument(
        4 if record.attributes else 3 if group else 2,
        record.kind,
        record.index,
        record.attempt,
        record.agent_id,
        record.hostname,
        dict(record.ports),
        record.configuration,
        record.launched_at,
        record.formatted,
        record.deployed,
        record.masters,
        tuple(
            _VolumeDocument(volume.tier, volume.persistence_id, volume.size, volume.used) for volume in record.volumes
        ),
        group,
        dict(record.attributes),
    )


def decode_record(data: bytes) -> Record:
    """A record of this version or of an earlier one.

    Raises:
        WireError: it is damaged, or a newer release wrote it.
    """
    try:
        document = _records.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unread(data, A_RECORD, RECORD_VERSION, error) from error
    return _model_record(document)


def _model_record(document: _RecordDocument) -> Record:
    _check_version(A_RECORD, document.version, RECORD_VERSION)
    if document.version == 1:
        # Version 1 did not say what was ready once; what it launched is taken for deployed, as nothing waits for it.
        document = msgspec.structs.replace(document, deployed=True)
    if document.group and not (document.kind is Kind.WORKER and _names_a_group(document.group)):
        raise WireError(f"a launch record of a {document.kind} names the group {document.group!r}, which cannot be")
    return Record(
        document.kind,
        document.index,
        document.attempt,
        document.agent_id,
        document.hostname,
        document.ports,
        document.configuration,
        document.launched_at,
        document.formatted,
        document.deployed,
        document.masters,
        tuple(Volume(volume.tier, volume.persistence_id, volume.size, volume.used) for volume in document.volumes),
        document.group,
        document.attributes,
    )


def _names_a_group(group: str) -> bool:
    name = group.partition("-")[2]
    return is_group_name(name) and group == group_named(name)


def encode_retired(retired: Mapping[str, int]) -> bytes:
    """The last attempt of each slot that was forgotten."""
    return msgspec.json.encode(dict(retired), order="sorted")


def decode_retired(data: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(data, type=dict[str, int])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the list of forgotten slots cannot be read: {error}") from error


# What is wanted of paths in Alluxio's namespace -----------------------------------------------------------------------


class _PathDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A ``ttl`` in seconds, -1 for ever; a ``replication_max`` of -1 is no limit."""

    path: str
    pinned: bool | None = None
    ttl: float | None = None
    ttl_action: TtlAction = TtlAction.FREE
    replication_min: int | None = None
    replication_max: int | None = None


class _PathsDocument(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    paths: list[_PathDocument]


def encode_paths(paths: Sequence[WantedPath]) -> bytes:
    return msgspec.json.encode(_PathsDocument(1, _path_documents(paths)), order="sorted")


def _path_documents(paths: Sequence[WantedPath]) -> list[_PathDocument]:
    return [_PathDocument(one.path, **dataclasses.asdict(one.attributes)) for one in paths]


def decode_paths(data: bytes) -> tuple[WantedPath, ...]:
    try:
        document = msgspec.json.decode(data, type=_PathsDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"what is wanted of paths cannot be read: {error}") from error
    if document.version != 1:
        raise WireError(
            f"what is wanted of paths has version {document.version}; this scheduler reads version 1: run the release "
            "that wrote it, or a newer one"
        )
    return _model_paths(document.paths)


def _model_paths(documents: Sequence[_PathDocument]) -> tuple[WantedPath, ...]:
    return tuple(
        WantedPath(one.path, Attributes(one.pinned, one.ttl, one.ttl_action, one.replication_min, one.replication_max))
        for one in documents
    )


# What was wanted, the layout, and the whole state -----------------------------------------------------------------


class _GroupDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    count: int | None
    options: dict[str, str] = {}
    released: list[int] = []


class _SecretDocument(msgspec.Struct, forbid_unknown_fields=True):
    secret: str


class _MountDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    path: str
    uri: str
    options: dict[str, str | _SecretDocument] = {}
    readonly: bool = False
    shared: bool = False


class _MountRecordDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    mount: _MountDocument
    mark: str
    at: float
    proved: bool = False


def _mount_document(mount: Mount) -> _MountDocument:
    options = {
        name: _SecretDocument(value.name) if isinstance(value, Secret) else value
        for name, value in mount.options.items()
    }
    return _MountDocument(mount.path, mount.uri, options, mount.readonly, mount.shared)


def _model_mount(document: _MountDocument) -> Mount:
    options = {
        name: Secret(value.secret) if isinstance(value, _SecretDocument) else value
        for name, value in document.options.items()
    }
    return Mount(document.path, document.uri, options, document.readonly, document.shared)


def _mount_record_documents(mounts: Mapping[str, MountRecord]) -> list[_MountRecordDocument]:
    return [
        _MountRecordDocument(_mount_document(record.mount), record.mark, record.at, record.proved)
        for _, record in sorted(mounts.items())
    ]


def _model_mount_records(documents: Sequence[_MountRecordDocument]) -> dict[str, MountRecord]:
    return {
        document.mount.path: MountRecord(_model_mount(document.mount), document.mark, document.at, document.proved)
        for document in documents
    }


def encode_mounts(mounts: Mapping[str, MountRecord]) -> bytes:
    """The mounts that were made."""
    return msgspec.json.encode(_mount_record_documents(mounts), order="sorted")


def decode_mounts(data: bytes) -> dict[str, MountRecord]:
    try:
        return _model_mount_records(msgspec.json.decode(data, type=list[_MountRecordDocument]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the list of mounts cannot be read: {error}") from error


class _HistoryDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Version 1; with ``released`` it is version 2, with ``given`` or ``paused`` version 3, with ``groups`` version 4,
    with ``mounts`` version 5. ``workers`` is null for one on each agent that fits.
    """

    version: int
    number: int
    at: float
    configuration: str
    masters: int
    workers: int | None
    proxies: int
    options: dict[str, str]
    released: list[int] = []
    given: dict[str, str] = {}
    paused: list[str] = []
    groups: list[_GroupDocument] = []
    mounts: list[_MountDocument] = []


def encode_history_entry(entry: HistoryEntry) -> bytes:
    return msgspec.json.encode(_history_document(entry), order="sorted")


def _history_document(entry: HistoryEntry) -> _HistoryDocument:
    return _HistoryDocument(
        _entry_version(entry),
        entry.number,
        entry.at,
        entry.configuration,
        entry.masters,
        entry.workers,
        entry.proxies,
        dict(entry.options),
        list(entry.released),
        dict(entry.given),
        list(entry.paused),
        [_GroupDocument(group.name, group.count, dict(group.options), list(group.released)) for group in entry.groups],
        [_mount_document(mount) for mount in entry.mounts],
    )


def _entry_version(entry: HistoryEntry) -> int:
    """The oldest release that reads it needs no newer one."""
    if entry.mounts:
        return 5
    return 4 if entry.groups else 3 if entry.given or entry.paused else 2 if entry.released else 1


def decode_history_entry(data: bytes) -> HistoryEntry:
    try:
        return _model_entry(msgspec.json.decode(data, type=_HistoryDocument))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unread(data, AN_ENTRY, HISTORY_VERSION, error) from error


def _model_entry(document: _HistoryDocument) -> HistoryEntry:
    _check_version(AN_ENTRY, document.version, HISTORY_VERSION)
    return HistoryEntry(
        document.number,
        document.at,
        document.configuration,
        document.masters,
        document.workers,
        document.proxies,
        document.options,
        tuple(document.released),
        document.given,
        tuple(document.paused),
        tuple(GroupEntry(group.name, group.count, group.options, tuple(group.released)) for group in document.groups),
        tuple(map(_model_mount, document.mounts)),
    )


def encode_layout() -> bytes:
    return str(LAYOUT_VERSION).encode()


def decode_layout(data: bytes | None) -> int:
    """The version of the layout in the store; the first one had no node for it.

    Raises:
        WireError: it is no number, or a newer release made it.
    """
    if data is None:
        return 1
    text = data.decode(errors="replace")
    if not text.isdecimal():
        raise WireError(f"the version of the layout is {text!r}; it must be a whole number")
    _check_version("the layout", int(text), LAYOUT_VERSION)
    return int(text)


class _StateDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that a store holds, as one document: version 1; with ``mounts`` version 2. ``paths`` is there where
    any are wanted.
    """

    format: str
    version: int
    framework_id: str
    records: list[_RecordDocument]
    retired: dict[str, int]
    history: list[_HistoryDocument]
    mounts: list[_MountRecordDocument] = []
    paths: list[_PathDocument] = []


class _StateHead(msgspec.Struct):
    format: str = ""
    version: int = 0


def encode_state(kept: Kept) -> bytes:
    """The document that ``state export`` writes: one record a line, so that two of them can be compared."""
    document = _StateDocument(
        DOCUMENT_FORMAT,
        2 if kept.mounts else 1,
        kept.framework_id,
        [_record_document(record) for _, record in sorted(kept.records.items())],
        dict(sorted(kept.retired.items())),
        [_history_document(entry) for entry in kept.history],
        _mount_record_documents(kept.mounts),
        _path_documents(kept.paths),
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_state(data: bytes) -> Kept:
    """
    Raises:
        WireError: it is no such document, it is damaged, or a newer release wrote it.
    """
    try:
        head = msgspec.json.decode(data, type=_StateHead)
        if head.format != DOCUMENT_FORMAT:
            raise WireError(f'it is no exported state: "format" must be "{DOCUMENT_FORMAT}"')
        _check_version("it", head.version, DOCUMENT_VERSION)
        document = msgspec.json.decode(data, type=_StateDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"it cannot be read: {error}") from error
    records = [_model_record(record) for record in document.records]
    by_slot = {record.slot: record for record in records}
    if len(by_slot) != len(records):
        raise WireError("it holds two records of one slot")
    history = tuple(_model_entry(entry) for entry in document.history)
    numbers = [entry.number for entry in history]
    if numbers != sorted(set(numbers)):
        raise WireError("the numbers of its history do not rise")
    mounts, paths = _model_mount_records(document.mounts), _model_paths(document.paths)
    return Kept(document.framework_id, by_slot, document.retired, history, mounts, paths)
