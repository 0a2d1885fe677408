"""What Alluxio finds on an agent: a slot's folders, and all of alluxio-site.properties. Pure: values in, values out.

What only the agent knows stays a placeholder that the executor fills (docs/executor.md).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from framework.config import KEYTAB_FILE, Configuration
from framework.model import Journal, Kind, Record

# Folders --------------------------------------------------------------------------------------------------------------


AGENT: Final = "{agent}"  # in a folder's name: the agent's hostname, where agents share a file system
# Where an image has the agent's folders. Not where they are on the agent: a container has a /dev/shm of its own, and
# what is mounted below that may be hidden by it.
INSIDE: Final = "/mnt/alluxio-mesos"


def on_agent(configuration: Configuration, hostname: str) -> Configuration:
    """With the folders that this agent has."""
    return dataclasses.replace(
        configuration,
        data_dir=configuration.data_dir.replace(AGENT, hostname),
        ram_dir=configuration.ram_dir.replace(AGENT, hostname),
    )


def in_task(configuration: Configuration) -> Configuration:
    """With the folders as a task sees them."""
    if not configuration.image:
        return configuration
    return dataclasses.replace(configuration, data_dir=f"{INSIDE}/data", ram_dir=f"{INSIDE}/ram")


def mounts(configuration: Configuration, kind: Kind) -> Mapping[str, str]:
    """What a task in an image has of its agent: where it finds each folder, and what that is on the agent."""
    inside = in_task(configuration)
    if not configuration.image or kind is Kind.PROXY:
        return {}
    found = {inside.data_dir: configuration.data_dir}
    if kind is Kind.WORKER:
        found[inside.ram_dir] = configuration.ram_dir
    # What is known by its path, to Alluxio's journal too, is where it always is.
    journal = configuration.journal_folder if kind is Kind.MASTER else ""
    known = (configuration.under_storage, journal, configuration.hdfs_keytab)
    return found | {path: path for path in known if is_path(path)}


def is_path(uri: str) -> bool:
    return uri.startswith("/")


def data_folder(configuration: Configuration, slot: str) -> str:
    return f"{configuration.data_dir}/{configuration.name}/{slot}"


def tier_folder(configuration: Configuration, slot: str) -> str:
    return f"{configuration.ram_dir}/{configuration.name}/{slot}"


def journal_base(configuration: Configuration, slot: str) -> str:
    """Where a master's journal lies: ``journal`` below it, and ``journal-formatted``, which says that it was begun."""
    if configuration.journal_kind is Journal.SHARED:
        return f"{configuration.journal_folder.rstrip('/')}/{configuration.name}"
    return data_folder(configuration, slot)


@dataclasses.dataclass(frozen=True, slots=True)
class Tier:
    """One level of a worker's store: Alluxio's name of it, its folder, and its quota in MiB."""

    alias: str
    folder: str
    quota: int


RESERVED_PART: Final = 8  # an eighth of the smallest tier is kept free in each
MOST_RESERVED: Final = 1024  # MiB
VOLUME_MARGIN: Final = 0.02  # of a volume that stays free: folders, and blocks of the file system that are part full


def tiers(configuration: Configuration, record: Record) -> tuple[Tier, ...]:
    """A worker's tiers, the fastest first (docs/tiers.md). Volumes keep the size that they were made with."""
    memory = Tier("MEM", tier_folder(configuration, record.slot), configuration.worker_ram)
    if configuration.persistent_volumes == "yes":
        lower = tuple(
            Tier(
                volume.tier.upper(),
                f"${{SANDBOX}}/{volume.tier}",
                volume.size - math.ceil(volume.size * VOLUME_MARGIN),
            )
            for volume in record.volumes
        )
    else:
        lower = tuple(
            Tier(tier.upper(), f"{data_folder(configuration, record.slot)}/{tier}", quota)
            for tier, quota in configuration.lower_tiers.items()
        )
    return (memory, *lower)


# Properties -----------------------------------------------------------------------------------------------------------


def properties(
    configuration: Configuration, record: Record, masters: Sequence[Record], process: str = ""
) -> dict[str, str]:
    """All of alluxio-site.properties for a process of a task, by default for the one that its kind is named after;
    ``masters`` are the masters' records, this one's too where it is a master's. The operator's own properties win over
    these.
    """
    found = {
        "alluxio.security.authentication.type": configuration.security,
        "alluxio.security.authorization.permission.enabled": str(configuration.security == "SIMPLE").lower(),
        "alluxio.master.mount.table.root.ufs": configuration.under_storage,
        "alluxio.tmp.dirs": "${SANDBOX}/tmp",
        "alluxio.work.dir": "${SANDBOX}",
        # An agent has no business to report to a foreign server.
        "alluxio.master.update.check.enabled": "false",
        # Metrics and stack dumps of every exit would pile up in the sandbox.
        "alluxio.exit.collect.info": "false",
        # How long a client waits at most between two tries; the default of 3 s is most of what a change of the primary
        # costs workers and clients.
        "alluxio.user.rpc.retry.max.sleep": "500ms",
        # A standby closes its connection to a primary that fell silent before it serves; the defaults make that 10 s.
        "alluxio.network.connection.shutdown.graceful.timeout": "500ms",
        "alluxio.network.connection.shutdown.timeout": "500ms",
    }
    found |= _masters_properties(configuration, masters)
    if record.kind is not Kind.PROXY:
        found |= _kerberos_properties(configuration)
    match record.kind:
        case Kind.MASTER:
            found |= _own_address(record) | _master_properties(configuration, record)
        case Kind.WORKER:
            found |= _worker_properties(configuration, record)
            if configuration.journal_kind is not Journal.LOCAL:
                found |= _WORKER_CUT_OFF
        case Kind.PROXY:
            found |= {
                "alluxio.proxy.web.hostname": record.hostname,
                "alluxio.proxy.web.port": str(record.ports["web"]),
            }
    found |= _bind_properties(configuration, record)
    return found | dict(configuration.extras[process or record.kind.value].properties)


SECRETS: Final = "secrets"  # the folder in the sandbox that holds those that are files


def _kerberos_properties(configuration: Configuration) -> dict[str, str]:
    """Masters and workers log in to HDFS as one principal, and so do the job service's processes, which go by a
    worker's.
    """
    if not configuration.hdfs_principal:
        return {}
    keytab = configuration.hdfs_keytab or f"${{SANDBOX}}/{SECRETS}/{KEYTAB_FILE}"
    return {
        f"alluxio.{kind}.{name}": value
        for kind in ("master", "worker")
        for name, value in (("principal", configuration.hdfs_principal), ("keytab.file", keytab))
    }


# While a worker loads it holds each block that it reads as a whole in direct memory, and keeps the buffers for the next
# ones: of files that differ in length some eight of them for each block that is read at once. By default Alluxio has a
# worker read 20 at once.
_BUFFERS: Final = 8
_BLOCK: Final = 64  # MiB, Alluxio's default


def load_batch(configuration: Configuration) -> int:
    """How many blocks a worker reads at once while it loads."""
    return max(1, configuration.worker_direct // (_BUFFERS * _BLOCK))


# A connection to a host that is cut off tells nothing. With Alluxio's own values the workers notice that after a
# minute, and the next primary, which was there after seconds, has none until then. gRPC asks every 10 s at most.
_CUT_OFF: Final = {
    "alluxio.user.network.rpc.keepalive.time": "10sec",
    "alluxio.user.network.rpc.keepalive.timeout": "5sec",
    "alluxio.master.network.permit.keepalive.time": "5sec",
    "alluxio.job.master.network.permit.keepalive.time": "5sec",
    "alluxio.worker.network.permit.keepalive.time": "5sec",
}
# To a worker the timeout is also how long a block may take that it loads (alluxio.worker.block.MonoBlockStore).
_WORKER_CUT_OFF: Final = {"alluxio.user.network.rpc.keepalive.timeout": "15sec"}


def _masters_properties(configuration: Configuration, masters: Sequence[Record]) -> dict[str, str]:
    """How every process finds the primary master."""
    if configuration.journal_kind is Journal.EMBEDDED:
        # A master whose host is cut off must not keep whoever looks for the primary for 30 s.
        return (
            _CUT_OFF
            | {"alluxio.user.master.polling.timeout": "1sec"}
            | {
                f"alluxio.{prefix}.{kind}": ",".join(f"{master.hostname}:{master.ports[port]}" for master in masters)
                for prefix, kind, port in (
                    ("master", "rpc.addresses", "rpc"),
                    ("job.master", "rpc.addresses", "job_rpc"),
                    ("master", "embedded.journal.addresses", "journal"),
                    ("job.master", "embedded.journal.addresses", "job_journal"),
                )
            }
        )
    if configuration.journal_kind is Journal.SHARED:
        # The primary is elected in ZooKeeper, where its address is the name of the node below the leader's path.
        path = configuration.alluxio_path
        return _CUT_OFF | {
            "alluxio.zookeeper.enabled": "true",
            "alluxio.zookeeper.address": configuration.zookeeper_hosts,
            "alluxio.zookeeper.session.timeout": f"{int(configuration.zookeeper_session * 1000)}ms",
            "alluxio.zookeeper.election.path": f"{path}/election",
            "alluxio.zookeeper.leader.path": f"{path}/leader",
            "alluxio.zookeeper.job.election.path": f"{path}/job-election",
            "alluxio.zookeeper.job.leader.path": f"{path}/job-leader",
            # A primary that does not hear ZooKeeper steps down before its session is over, and so before another one
            # writes; with the default it acknowledges files that are gone a moment later.
            "alluxio.zookeeper.leader.connection.error.policy": "STANDARD",
        }
    return _own_address(masters[0])


def _own_address(master: Record) -> dict[str, str]:
    return {
        "alluxio.master.hostname": master.hostname,
        "alluxio.master.rpc.port": str(master.ports["rpc"]),
        "alluxio.master.web.port": str(master.ports["web"]),
        "alluxio.job.master.hostname": master.hostname,
        "alluxio.job.master.rpc.port": str(master.ports["job_rpc"]),
        "alluxio.job.master.web.port": str(master.ports["job_web"]),
    }


def _master_properties(configuration: Configuration, record: Record) -> dict[str, str]:
    embedded = configuration.journal_kind is Journal.EMBEDDED
    properties = {
        "alluxio.master.journal.type": configuration.journal,
        "alluxio.master.journal.folder": f"{journal_base(configuration, record.slot)}/journal",
        "alluxio.master.metastore.dir": f"{data_folder(configuration, record.slot)}/metastore",
        # These wait for another master that may still write, which the election rules out; the defaults would add 6 s
        # to each start.
        "alluxio.master.journal.tailer.shutdown.quiet.wait.time": "50ms",
        "alluxio.master.journal.tailer.sleep.time": "50ms",
        "alluxio.master.worker.connect.wait.time": "500ms",
        # Alluxio 2.9.6 ends a standby's gRPC server before the primary's starts, and waits for that without a bound: a
        # client that connects just then (a job master does) makes it wait for ever.
        "alluxio.standby.master.grpc.enabled": "false",
        "alluxio.job.batch.size": str(load_batch(configuration)),
    }
    if configuration.journal_kind is Journal.SHARED:
        # A primary that lost the lead ends, and its executor starts it again as a standby. One that lived on could take
        # the lead a second time with the place of its old session, beside the next primary.
        properties["alluxio.master.journal.exit.on.demotion"] = "true"
    if embedded:
        properties |= {
            "alluxio.master.embedded.journal.port": str(record.ports["journal"]),
            "alluxio.job.master.embedded.journal.port": str(record.ports["job_journal"]),
            "alluxio.master.embedded.journal.election.timeout.min": "1s",
            "alluxio.master.embedded.journal.election.timeout.max": "2s",
            "alluxio.master.embedded.journal.catchup.retry.wait": "100ms",
        }
        if configuration.bind == "agent":
            # Raft's own server, of masters and job masters, which no property of Alluxio's binds.
            raft = "alluxio.master.embedded.journal.ratis.config.raft.grpc.server.host"
            properties[raft] = record.hostname
    return properties


def _worker_properties(configuration: Configuration, record: Record) -> dict[str, str]:
    return tier_properties(tiers(configuration, record)) | {
        "alluxio.worker.ramdisk.size": f"{configuration.worker_ram}MB",
        # Waited for twice at each stop; the default of 2 s is most of the time that a worker takes to end.
        "alluxio.worker.network.netty.shutdown.quiet.period": "100ms",
        "alluxio.worker.hostname": record.hostname,
        "alluxio.worker.rpc.port": str(record.ports["rpc"]),
        "alluxio.worker.web.port": str(record.ports["web"]),
        "alluxio.job.worker.hostname": record.hostname,
        "alluxio.job.worker.rpc.port": str(record.ports["job_rpc"]),
        "alluxio.job.worker.data.port": str(record.ports["job_data"]),
        "alluxio.job.worker.web.port": str(record.ports["job_web"]),
    }


def tier_properties(levels: Sequence[Tier]) -> dict[str, str]:
    """Of a worker with these tiers, the fastest first."""
    properties = {"alluxio.worker.tieredstore.levels": str(len(levels))}
    for number, tier in enumerate(levels):
        level = f"alluxio.worker.tieredstore.level{number}"
        properties |= {
            f"{level}.alias": tier.alias,
            f"{level}.dirs.path": tier.folder,
            f"{level}.dirs.quota": f"{tier.quota}MB",
            # Else it goes by the level's number: an HDD tier right below MEM would count as SSD.
            f"{level}.dirs.mediumtype": tier.alias,
        }
    if len(levels) > 1:
        # What Alluxio keeps free in each folder to swap blocks between tiers: by default 1 GB, more than a whole tier.
        reserved = max(1, min(MOST_RESERVED, min(tier.quota for tier in levels) // RESERVED_PART))
        properties["alluxio.worker.management.tier.align.reserved.bytes"] = f"{reserved}MB"
        # A new block goes below the memory tier with a chance that grows from none, with the first of these left there,
        # to certainty. By default these are 256 and 64 MB, which a small tier never has to spare.
        fastest, reviewer = levels[0].quota, "alluxio.worker.reviewer.probabilistic"
        properties[f"{reviewer}.softlimit.bytes"] = f"{max(2, min(256, fastest // 4))}MB"
        properties[f"{reviewer}.hardlimit.bytes"] = f"{max(1, min(64, fastest // 16))}MB"
    return properties


_BOUND: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.MASTER: ("alluxio.master", "alluxio.master.web", "alluxio.job.master", "alluxio.job.master.web"),
    Kind.WORKER: ("alluxio.worker", "alluxio.worker.web", "alluxio.job.worker", "alluxio.job.worker.web"),
    Kind.PROXY: ("alluxio.proxy.web",),
}


def _bind_properties(configuration: Configuration, record: Record) -> dict[str, str]:
    """Alluxio listens on every address of the agent unless told otherwise."""
    host = record.hostname if configuration.bind == "agent" else "0.0.0.0"
    return {f"{prefix}.bind.host": host for prefix in _BOUND[record.kind]}
