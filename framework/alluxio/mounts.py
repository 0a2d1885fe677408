"""Mounts and unmounts, and says why when it fails: one sentence in which no secret stands.

Measured with Alluxio 2.9.6: while a storage that does not answer is being mounted, Alluxio's whole mount table waits
for it, minutes with the usual patience. So each mount is tried with little patience first, and gets its own options
once the storage has answered. A bucket's root is mounted whether there is such a bucket or not, and whatever the keys
are; only what is looked for in it tells. HDFS that lets nobody in looks empty then, as Alluxio takes its refusal for
"there is no such file"; only mounting a folder in it tells. HDFS that lets us in, but lists nothing, looks empty too,
and nothing tells: listing alone needs that right, and Alluxio keeps the refusal to itself. And Alluxio's errors repeat
the options that they were called with.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from framework.alluxio.answers import Kind, Unavailable
from framework.alluxio.masters import CurrentMasters, Masters
from framework.alluxio.methods import GET_MOUNT_TABLE, GET_STATUS, MOUNT, UNMOUNT, UPDATE_MOUNT
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.alluxio.troubles import Row, meaning, of_the_store
from framework.messages import MakeMount, MountAnswered, Unmount, UpdateMount
from framework.model import Mount, MountPoint, MountRecord, Secret
from framework.namespace import MARK, scheme_of

log = logging.getLogger(__name__)

PATIENCE: Final = 5  # seconds for a storage to answer while a mount is tried
TIMEOUT: Final = 30.0  # … and for Alluxio to answer one call
AT_ONCE: Final = 4  # calls
LOOKED_FOR: Final = ".alluxio-mesos-looks-whether-this-storage-answers"

_IMPATIENT_S3: Final[Mapping[str, str]] = {
    "alluxio.underfs.s3.socket.timeout": f"{PATIENCE}s",
    "alluxio.underfs.s3.request.timeout": f"{PATIENCE}s",
    "alluxio.underfs.s3.max.error.retry": "0",
}
_IMPATIENT: Final[Mapping[str, Mapping[str, str]]] = {
    "s3": _IMPATIENT_S3,
    "s3a": _IMPATIENT_S3,
    "hdfs": {
        "ipc.client.connect.timeout": f"{PATIENCE}000",
        "ipc.client.rpc-timeout.ms": f"{PATIENCE}000",
        "ipc.client.connect.max.retries": "0",
        "ipc.client.connect.max.retries.on.timeouts": "0",
    },
}


class NoSecret(Exception):
    """A secret that a mount names cannot be had; the message says which and why."""


class Mounter:
    """Does what was decided, a few things at once, on threads of its own; ``report`` hears what became of each.
    ``addresses`` are the masters ("host:port") that may be asked now: none where nothing may be changed. ``secret``
    gives the text of a secret by its name, or raises NoSecret.
    """

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        secret: Callable[[str], str],
        report: Callable[[MountAnswered], None],
        authentication: str,
        user: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._masters = CurrentMasters(addresses, authentication=authentication, user=user, timeout=TIMEOUT)
        self._secret = secret
        self._report = report
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, "alluxio-mounts")

    def do(self, effect: MakeMount | UpdateMount | Unmount, asked_at: float) -> None:
        self._pool.submit(self._do, effect, asked_at)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._masters.close()

    def _do(self, effect: MakeMount | UpdateMount | Unmount, asked_at: float) -> None:
        path = effect.record.mount.path
        try:
            reason = self._tried(effect)
        except Exception as error:  # a defect of ours must not leave the call unanswered; its words may hold a secret
            log.error("%s: the mount could not be looked after (%s)", path, type(error).__name__)
            reason = "it could not be done, a defect of this scheduler"
        self._report(MountAnswered(path, asked_at, self._clock(), reason))

    def _tried(self, effect: MakeMount | UpdateMount | Unmount) -> str:
        """Why it failed; "" when it is done."""
        masters = self._masters.now()
        if masters is None:
            return "no Alluxio master may be asked now"
        mount = effect.record.mount
        if not isinstance(effect, MakeMount) and (foreign := _is_foreign(masters, effect.record)):
            return foreign
        if isinstance(effect, Unmount):
            return unmount(masters, mount)
        try:
            options = {
                name: self._secret(value.name) if isinstance(value, Secret) else value
                for name, value in mount.options.items()
            }
        except NoSecret as error:
            return str(error)
        options[MARK] = effect.record.mark
        if isinstance(effect, MakeMount):
            return make(masters, mount, options)
        return update(masters, mount, options)


def table(masters: Masters) -> tuple[MountPoint, ...] | None:
    """The mount table by path; None when it is not told."""
    answer = masters.ask(GET_MOUNT_TABLE, protocol.GetMountTablePRequest(checkUfs=False))
    if isinstance(answer, Unavailable):
        return None
    return tuple(
        MountPoint(path, point.ufsUri, dict(point.properties), point.readOnly, point.shared)
        for path, point in sorted(answer.mountPoints.items())
    )


def _is_foreign(masters: Masters, record: MountRecord) -> str:
    """Why this mount is not to be touched: it was looked at some seconds ago, and may be another one by now."""
    points = table(masters)
    if points is None:
        return "Alluxio does not tell its mount table"
    point = next((point for point in points if point.path == record.mount.path), None)
    if point is None or point.options.get(MARK) == record.mark:
        return ""
    return f"somebody else mounted {point.uri} there just now"


# Each of these gives the reason why it failed, in one sentence; "" when it is done.


def make(masters: Masters, mount: Mount, options: Mapping[str, str]) -> str:
    """Mount it; what does not answer then is unmounted again."""
    if reason := _shut(masters, mount, options):
        return reason
    answer = _mount(masters, mount, mount.uri, options)
    if isinstance(answer, Unavailable):
        return _refused(answer, mount, options)
    if reason := _looked_at(masters, mount, options):
        _unmount(masters, mount)  # else it is unmounted, or tried, later
        return reason
    return _laid_on(masters, mount, options, options)


def update(masters: Masters, mount: Mount, options: Mapping[str, str]) -> str:
    """Give the mount these options, whatever it has."""
    return (
        _laid_on(masters, mount, options, _impatient(mount, options))
        or _looked_at(masters, mount, options)
        or _laid_on(masters, mount, options, options)
    )


def unmount(masters: Masters, mount: Mount) -> str:
    answer = _unmount(masters, mount)
    return _refused(answer, mount, {}) if isinstance(answer, Unavailable) else ""


def _mount(
    masters: Masters, mount: Mount, uri: str, options: Mapping[str, str]
) -> protocol.MountPResponse | Unavailable:
    request = protocol.MountPRequest(
        alluxioPath=mount.path, ufsPath=uri, options=_options(mount, _impatient(mount, options))
    )
    return masters.ask(MOUNT, request)


def _unmount(masters: Masters, mount: Mount) -> protocol.UnmountPResponse | Unavailable:
    return masters.ask(UNMOUNT, protocol.UnmountPRequest(alluxioPath=mount.path))


def _laid_on(masters: Masters, mount: Mount, options: Mapping[str, str], laid: Mapping[str, str]) -> str:
    request = protocol.UpdateMountPRequest(alluxioPath=mount.path, options=_options(mount, laid))
    answer = masters.ask(UPDATE_MOUNT, request)
    return _refused(answer, mount, options) if isinstance(answer, Unavailable) else ""


def _looked_at(masters: Masters, mount: Mount, options: Mapping[str, str]) -> str:
    """Whether the storage answers: something is looked for in it that is not there."""
    # An interval of 0: Alluxio does not answer out of what it knows.
    at_once = protocol.FileSystemMasterCommonPOptions(syncIntervalMs=0)
    looked = protocol.GetStatusPOptions(loadMetadataType=protocol.ALWAYS, commonOptions=at_once)
    answer = masters.ask(GET_STATUS, protocol.GetStatusPRequest(path=f"{mount.path}/{LOOKED_FOR}", options=looked))
    if isinstance(answer, Unavailable) and f'{LOOKED_FOR}" does not exist' not in answer.reason:
        return _refused(answer, mount, options)
    return ""


def _shut(masters: Masters, mount: Mount, options: Mapping[str, str]) -> str:
    """Whether HDFS lets nobody in: a folder that is not there is asked for in it."""
    if scheme_of(mount.uri) != "hdfs":
        return ""
    answer = _mount(masters, mount, f"{mount.uri.rstrip('/')}/{LOOKED_FOR}", options)
    if not isinstance(answer, Unavailable):
        _unmount(masters, mount)  # somebody made such a folder
        return ""
    if f"{LOOKED_FOR} does not exist" in answer.reason:
        return ""
    reason = answer.reason.replace(f"/{LOOKED_FOR}", "")
    return _refused(dataclasses.replace(answer, reason=reason), mount, options)


def _impatient(mount: Mount, options: Mapping[str, str]) -> dict[str, str]:
    return {**options, **_IMPATIENT.get(scheme_of(mount.uri), {})}


def _options(mount: Mount, options: Mapping[str, str]) -> protocol.MountPOptions:
    return protocol.MountPOptions(readOnly=mount.readonly, shared=mount.shared, properties=options)


# Alluxio's errors in people's words -----------------------------------------------------------------------------------


def _refused(answer: Unavailable, mount: Mount, options: Mapping[str, str]) -> str:
    secrets = [options[name] for name, value in mount.options.items() if isinstance(value, Secret) and name in options]
    if answer.kind is not Kind.ERROR:
        return _without(answer.reason.rstrip("."), secrets)
    return explained(answer.reason, mount, secrets)


# First match wins; {uri}, {path} and {store} are of the mount. As seen of Alluxio 2.9.6.
_BEFORE_THE_STORES: Final[Sequence[Row]] = (
    (
        r"Mount point target path \S+ already exists",
        "{path} is there already: unmount or remove it, or choose another path",
    ),
    (
        r"shadows an existing path (?P<hidden>\S+)",
        "the storage around it has {hidden}, which the mount would hide: choose another path",
    ),
    (
        r"Mount point (?P<outer>\S+) is a prefix of (?P<inner>\S+)",
        "{uri} overlaps with what is mounted elsewhere ({outer} holds {inner}), and Alluxio mounts no storage twice: "
        "name another folder",
    ),
    (
        r"No Under File System Factory found",
        "there is no under-storage for {uri}: name its jar in --under-storage-jars",
    ),
    (
        r"Unable to create an UnderFileSystem instance",
        "Alluxio cannot open {uri} with these options: look at their values, and at the master's log",
    ),
    (
        r"Unsupported operation for (?P<kind>\w+)",
        "Alluxio's {kind} cannot do what Alluxio does with each storage that it mounts: choose another under-storage",
    ),
    (r"NoSuchBucket|bucket does not exist", "there is no bucket {store}: make it, or correct the name"),
    (
        r"Unable to load AWS credentials",
        "no keys are given for {uri}: give s3a.accessKeyId and s3a.secretKey, each as a secret",
    ),
)
_BEHIND_THEM: Final[Sequence[Row]] = (
    (
        r"Ufs path \S+ does not exist|404 Not Found|\(is not a directory\)",
        "there is no folder {uri}: make it in the store, or correct the name",
    ),
    (
        r"creation failed\. Component \d+\((?P<missing>.*)\) does not exist",
        "the folder around {path} is missing ({missing}): make it first (alluxio fs mkdir), or choose another path",
    ),
    (
        r"under a readonly mount point (?P<around>\S+)",
        "{path} lies in the read-only mount {around}: choose another path",
    ),
    (
        r"Failed to unmount|Failed to update mount",
        "Alluxio does not let it go, or change: another mount lies in it, or it is none any more",
    ),
)


_PROPERTY: Final = re.compile(r'properties \{\s+key: "(?:\\.|[^"\\])*"\s+value: "(?:\\.|[^"\\])*"\s+\}\s*')
_FRAME: Final = re.compile(r"\s+at [\w.$/<>]+\(")  # of a stack that Java tells; HDFS's errors carry the NameNode's
_CALLED: Final = re.compile(r"^\S+ answered \w+: |mount command: .*?\bMountContext\{.*?\n\}(\n|$)", re.DOTALL)


def explained(reason: str, mount: Mount, secrets: Iterable[str]) -> str:
    """What Alluxio said, as one sentence without its end, and without a secret."""
    # What it was called with comes first, secrets too; it may say the very words that are looked for.
    said = _CALLED.sub("", _PROPERTY.sub("", reason))
    store = re.sub(r"^\w+://([^/]*).*", r"\1", mount.uri)
    of_mounts = functools.partial(meaning, said=said, uri=mount.uri, path=mount.path, store=store)
    meant = (
        of_mounts(_BEFORE_THE_STORES)
        or of_the_store(said, mount.uri, f"within {PATIENCE} s")
        or of_mounts(_BEHIND_THEM)
    )
    if meant:
        return _without(meant, secrets)
    lines = (line for line in reversed(said.splitlines()) if line.strip() and not _FRAME.match(line))
    last = next((line.strip() for line in lines), "no reason was given")
    return _without(f"Alluxio refuses it: {last:.300}", secrets)


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text
