"""What the scheduler counts and knows, in Prometheus's text format. prometheus-client's home.

No state is kept here: each answer is made of the last snapshot, and of what others have counted.

``alluxio_mesos_…`` is this framework's own word; ``alluxio_primary_…`` is the word of Alluxio's primary master.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from framework import mounting, paths, plans, views
from framework.alluxio.figures import Figures
from framework.api.changes import parameters
from framework.api.kept import Kept, KeptPart
from framework.model import CachingWorker, Kind, Record, group_of, kind_of
from framework.planner import State, down_since, registered_workers
from framework.state import in_order
from framework.tally import BOUNDS, Durations, Tally

# Of 10,000 workers, each with six to ten series, an answer would be 4 MB or more: these many have series of their own
# unless the one who asks wants more or fewer (?workers=N). The sums over all are always there.
WORKER_SERIES: Final = 1000
MOST_SERIES: Final = 100_000


Values = Iterable[tuple[tuple[str, ...], float]]  # with the labels of each


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """``state`` is None for a scheduler that does not lead; ``heard_at`` is when Mesos last said anything, 0 for never;
    ``worker_series`` is how many workers have series of their own; ``kept_paths`` says by path why a wanted one is not
    so, "" when it is.
    """

    service: str
    leads: bool
    healthy: bool
    state: State | None
    heard_at: float
    tally: Tally
    figures: Figures
    now: float
    worker_series: int = WORKER_SERIES
    kept_paths: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Metrics:
    """The route. ``facts`` is told how many workers have series of their own."""

    def __init__(self, facts: Callable[[int], Facts]) -> None:
        self._facts = facts
        self._cluster: Kept[bytes] = Kept()
        self._workers: KeptPart[bytes] = KeptPart()

    def all(self, request: Request) -> Response:
        text = parameters(request, "workers").get("workers", str(WORKER_SERIES))
        if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text) <= MOST_SERIES):
            raise HTTPException(
                400,
                f"workers: {text!a} is not allowed; write how many have series of their own, from 0 to {MOST_SERIES}",
            )
        content, media_type = self.exposition(self._facts(int(text)), request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": media_type})

    def exposition(self, facts: Facts, accept: str = "") -> tuple[bytes, str]:
        """The text and its media type, as the header ``Accept`` asks for."""
        encode, media_type = choose_encoder(accept)
        content = _encoded(encode, _scheduler(facts), _counted(facts.tally))
        state = facts.state
        if state is not None:
            figures, most = facts.figures, facts.worker_series
            content += self._cluster.of(
                state,
                facts.now,
                lambda: _encoded(encode, _cluster(state, facts)),
                figures,
                facts.kept_paths,
                media_type,
            )
            # Nearly all of the text, which nothing but Alluxio's next word changes.
            content += self._workers.of(
                lambda: _encoded(encode, _workers(state, figures, most)),
                *(state.records, state.cache.workers, figures.workers, most, media_type),
            )
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        return content + encode(registry), media_type


def _encoded(encode: Callable[[CollectorRegistry], bytes], *found: Iterable[Metric]) -> bytes:
    """Some families, which others may follow."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(itertools.chain(*found)))
    return encode(registry).removesuffix(b"# EOF\n")


class _Once(Collector):
    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def _cluster(state: State, facts: Facts) -> Iterator[Metric]:
    yield from _offers(state)
    yield from _tasks(state, facts.now)
    yield from _plans(state, facts.now)
    yield _gauges(
        "alluxio_mesos_mounts",
        "Storages in the namespace: wanted, made as they are wanted, failing.",
        ("state",),
        _one(mounting.counts(state, facts.now).items()),
    )
    yield _gauges(
        "alluxio_mesos_wanted_paths",
        "Paths of which something is wanted for good: wanted, made so, failing.",
        ("state",),
        _one(paths.counts(state.paths, facts.kept_paths).items()),
    )
    yield from _cache(state)
    yield from _primary(facts.figures)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)


def _gauges(name: str, said: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(name, said, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _counters(name: str, said: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = CounterMetricFamily(name, said, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _one(values: Iterable[tuple[str, float]]) -> Values:
    return (((key,), value) for key, value in values)


# The scheduler --------------------------------------------------------------------------------------------------------


def _scheduler(facts: Facts) -> Iterator[Metric]:
    state = facts.state
    info = {"service": facts.service}
    if state is not None:
        info |= {"configuration": state.wanted.configuration, "framework_id": state.framework_id}
    yield InfoMetricFamily("alluxio_mesos_scheduler", "What this scheduler is.", value=info)
    yield _gauge("alluxio_mesos_leader", "1: this scheduler leads; 0: it stands by.", facts.leads)
    yield _gauge("alluxio_mesos_healthy", "What /v1/health says: 1 for 200.", facts.healthy)
    if state is not None:
        yield _gauge("alluxio_mesos_connected", "1: subscribed to a Mesos master.", state.connected)
        if facts.heard_at:
            yield _gauge(
                "alluxio_mesos_mesos_silence_seconds",
                "Since Mesos last said anything, heartbeats included.",
                max(0.0, facts.now - facts.heard_at),
            )


def _counted(tally: Tally) -> Iterator[Metric]:
    yield _counters("alluxio_mesos_events", "What the scheduler was told.", ("kind",), _one(tally.events.items()))
    yield _counters("alluxio_mesos_decisions", "What it decided to do.", ("kind",), _one(tally.decisions.items()))
    yield CounterMetricFamily(
        "alluxio_mesos_subscriptions", "Subscriptions that Mesos accepted.", value=tally.events["subscribed"]
    )
    yield CounterMetricFamily("alluxio_mesos_offers_received", "Offers that came.", value=tally.offers_received)
    yield CounterMetricFamily("alluxio_mesos_offers_used", "Offers that were used.", value=tally.offers_used)
    yield _counters(
        "alluxio_mesos_offers_declined", "Offers that were refused.", ("reason",), _one(tally.offers_declined.items())
    )
    yield _counters(
        "alluxio_mesos_launches",
        "Tasks launched: for the first time, again on their agent, or on another one.",
        ("kind", "cause"),
        tally.launches.items(),
    )
    yield _counters(
        "alluxio_mesos_task_ends", "Tasks that ended, by Mesos's last word.", ("kind", "state"), tally.ends.items()
    )
    yield _histogram("alluxio_mesos_decision_seconds", "How long a round of decisions takes.", tally.rounds)
    yield _histogram("alluxio_mesos_store_write_seconds", "How long a write to ZooKeeper takes.", tally.saves)


def _histogram(name: str, said: str, durations: Durations) -> Metric:
    sums = itertools.accumulate(list(durations.counts))
    bounds = [*map(str, BOUNDS), "+Inf"]
    return HistogramMetricFamily(name, said, buckets=list(zip(bounds, sums, strict=True)), sum_value=durations.seconds)


def _offers(state: State) -> Iterator[Metric]:
    yield _gauge("alluxio_mesos_offers_waiting", "Offers that are still to be answered.", len(state.offers))
    yield _gauge("alluxio_mesos_offers_suppressed", "1: Mesos was asked for no more offers.", state.suppressed)


def _tasks(state: State, now: float) -> Iterator[Metric]:
    registered = registered_workers(state.cache)
    found = Counter(
        (kind_of(group_of(slot)).value, views.phase(state, slot, registered, now).value) for slot in views.slots(state)
    )
    tasks = {(kind.value, phase.value): found[kind.value, phase.value] for kind in Kind for phase in views.Phase}
    yield _gauges("alluxio_mesos_tasks", "Slots by where they stand.", ("kind", "phase"), tasks.items())
    by_kind = {kind: [state.wanted.count(group) for group in state.wanted.groups_of(kind)] for kind in Kind}
    counts = [
        ((kind.value,), sum(count or 0 for count in found)) for kind, found in by_kind.items() if None not in found
    ]
    yield _gauges("alluxio_mesos_tasks_wanted", "How many are wanted; none for one on each agent.", ("kind",), counts)
    yield _gauges(
        "alluxio_mesos_failures_in_a_row",
        "The most failures in a row of a slot that is down, or failed lately.",
        ("kind",),
        [((kind.value,), _failures(state, kind, now)) for kind in Kind],
    )


def _failures(state: State, kind: Kind, now: float) -> int:
    lately = now - state.policy.stable_after
    counts = [0]
    for slot, failure in state.failures.items():
        record = state.records.get(slot)
        down = record is None or down_since(state, record, now) is not None
        if slot.startswith(f"{kind.value}-") and (down or failure.at >= lately):
            counts.append(failure.count)
    return max(counts)


def _plans(state: State, now: float) -> Iterator[Metric]:
    steps: Counter[tuple[str, ...]] = Counter()
    for plan in (plans.deployment(state, now), plans.recovery(state, now)):
        for phase in plan.phases:
            steps.update({(plan.name, phase.name, status.value): 0 for status in plans.Status})
            steps.update((plan.name, phase.name, step.status.value) for step in phase.steps)
    yield _gauges("alluxio_mesos_plan_steps", "Steps of a plan's phase.", ("plan", "phase", "status"), steps.items())


# The cache ------------------------------------------------------------------------------------------------------------


def _tiers(worker: CachingWorker) -> tuple[tuple[str, int, int], ...]:
    return worker.tiers or (("unknown", worker.capacity, worker.used),)


def _cache(state: State) -> Iterator[Metric]:
    live = [worker for worker in state.cache.workers if worker.live]
    capacity: Counter[tuple[str, ...]] = Counter()
    used: Counter[tuple[str, ...]] = Counter()
    for worker in live:
        for tier, size, taken in _tiers(worker):
            capacity[tier,] += size
            used[tier,] += taken
    yield _gauges("alluxio_mesos_cache_capacity_bytes", "Of all live workers.", ("tier",), capacity.items())
    yield _gauges("alluxio_mesos_cache_used_bytes", "Of all live workers.", ("tier",), used.items())
    counts = [(("live",), len(live)), (("lost",), len(state.cache.workers) - len(live))]
    yield _gauges("alluxio_mesos_cache_workers", "Workers as Alluxio's primary master lists them.", ("state",), counts)
    yield _gauge("alluxio_mesos_cache_leader", "1: an Alluxio master is the primary.", state.cache.primary is not None)


def _workers(state: State, figures: Figures, most: int) -> Iterator[Metric]:
    records = sorted((record for record in state.records.values() if record.kind is Kind.WORKER), key=in_order)
    shown = records[:most]
    yield _gauge(
        "alluxio_mesos_workers_without_series", "Workers that are in the sums alone.", len(records) - len(shown)
    )
    listed = {(worker.host, worker.rpc_port): worker for worker in state.cache.workers}
    live = GaugeMetricFamily("alluxio_mesos_worker_live", "1: Alluxio lists it as live.", labels=("slot", "host"))
    tiers = ("slot", "host", "tier")
    capacity = GaugeMetricFamily("alluxio_mesos_worker_capacity_bytes", "Of a live worker's tier.", labels=tiers)
    used = GaugeMetricFamily("alluxio_mesos_worker_used_bytes", "Of a live worker's tier.", labels=tiers)
    for record in shown:
        worker = listed.get((record.hostname, record.ports.get("rpc", -1)))
        name = (record.slot, record.hostname)
        live.add_metric(name, worker is not None and worker.live)
        if worker is not None and worker.live:
            for tier, size, taken in _tiers(worker):
                capacity.add_metric((*name, tier), size)
                used.add_metric((*name, tier), taken)
    yield from (live, capacity, used)
    yield from _reads(shown, figures)


def _reads(shown: Iterable[Record], figures: Figures) -> Iterator[Metric]:
    read = CounterMetricFamily(
        "alluxio_mesos_worker_read_bytes",
        "Given to clients out of the cache, and through it from the under-storage.",
        labels=("slot", "host", "source"),
    )
    ratio = GaugeMetricFamily(
        "alluxio_mesos_worker_hit_ratio",
        "Out of the cache, of all that clients read since the worker began.",
        labels=("slot", "host"),
    )
    for record in shown:
        counted = figures.workers.get(record.slot)
        if counted is None:
            continue
        name = (record.slot, record.hostname)
        read.add_metric((*name, "cache"), counted.cache_bytes)
        read.add_metric((*name, "under_storage"), counted.under_storage_bytes)
        if whole := counted.cache_bytes + counted.under_storage_bytes:
            ratio.add_metric(name, counted.cache_bytes / whole)
    yield from (read, ratio)


# Alluxio's own --------------------------------------------------------------------------------------------------------

_OPERATIONS: Final = (
    "CompleteFile",
    "CreateDirectory",
    "CreateFile",
    "DeletePath",
    "FreeFile",
    "GetFileBlockInfo",
    "GetFileInfo",
    "GetNewBlock",
    "Mount",
    "RenamePath",
    "SetAttribute",
    "Unmount",
)

# Our name, what it is, the label's name, and the label's values with the names that the primary master counts under.
_COUNTED: Final = (
    (
        "alluxio_primary_read_bytes",
        "Given to clients by all workers, by where the bytes lay.",
        "source",
        {"cache": "Cluster.BytesReadCache", "under_storage": "Cluster.BytesReadUfsAll"},
    ),
    (
        "alluxio_primary_client_read_bytes",
        "Given to clients by all workers, by the way that the bytes took.",
        "way",
        {
            "local": "Cluster.BytesReadLocal",
            "domain_socket": "Cluster.BytesReadDomain",
            "remote": "Cluster.BytesReadRemote",
        },
    ),
    (
        "alluxio_primary_written_bytes",
        "Written to all workers by the way that the bytes took, and to the under-storage.",
        "way",
        {
            "local": "Cluster.BytesWrittenLocal",
            "domain_socket": "Cluster.BytesWrittenDomain",
            "remote": "Cluster.BytesWrittenRemote",
            "under_storage": "Cluster.BytesWrittenUfsAll",
        },
    ),
    (
        "alluxio_primary_operations",
        "Calls of clients for files.",
        "operation",
        {re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(): f"Master.{operation}Ops" for operation in _OPERATIONS},
    ),
    ("alluxio_primary_rpcs", "Calls of all kinds.", "", {"": "Master.TotalRpcs.count"}),
    ("alluxio_primary_journal_flushes", "Writes of the journal.", "", {"": "Master.JournalFlushTimer.count"}),
)
# … by storage, whose URI stands in the counter's name. What is written, Alluxio 2.9.6 counts for a storage "null".
_READ_FROM: Final = "Cluster.BytesReadPerUfs.UFS:"
_JOURNALS: Final = ("BlockMaster", "FileSystemMaster", "JournalMaster", "MetaMaster", "MetricsMaster", "ThrottleMaster")
_MEASURED: Final = (
    (
        "alluxio_primary_hit_ratio",
        "Out of the cache, of all bytes read, as Alluxio reckons it.",
        "",
        {"": "Cluster.CacheHitRate"},
        1.0,
    ),
    ("alluxio_primary_rpc_p99_seconds", "99 of 100 calls are faster.", "", {"": "Master.TotalRpcs.p99"}, 1e-3),
    ("alluxio_primary_rpc_queue", "Calls that wait for a thread.", "", {"": "Master.RpcQueueLength"}, 1.0),
    (
        "alluxio_primary_journal_flush_p99_seconds",
        "99 of 100 writes of the journal are faster.",
        "",
        {"": "Master.JournalFlushTimer.p99"},
        1e-3,
    ),
    (
        "alluxio_primary_journal_entries_since_checkpoint",
        "What a master has to replay at its start.",
        "journal",
        {name: f"Master.JournalEntriesSinceCheckPoint.{name}" for name in _JOURNALS},
        1.0,
    ),
    ("alluxio_primary_paths", "Files and folders in the namespace.", "", {"": "Master.TotalPaths"}, 1.0),
    ("alluxio_primary_blocks", "Blocks that lie in the cache.", "", {"": "Master.UniqueBlocks"}, 1.0),
    ("alluxio_primary_files_pinned", "Files that may not leave the cache.", "", {"": "Master.FilesPinned"}, 1.0),
    (
        "alluxio_primary_files_to_persist",
        "Files that have still to be written to the under-storage.",
        "",
        {"": "Master.FilesToBePersisted"},
        1.0,
    ),
    (
        "alluxio_primary_files_lost",
        "Files with blocks that lie nowhere any more.",
        "",
        {"": "Master.LostFileCount"},
        1.0,
    ),
    (
        "alluxio_primary_under_storage_bytes",
        "The storage at the root of the namespace, where it tells.",
        "part",
        {"total": "Cluster.RootUfsCapacityTotal", "used": "Cluster.RootUfsCapacityUsed"},
        1.0,
    ),
    (
        "alluxio_primary_heap_bytes",
        "The Java heap of the primary master.",
        "part",
        {"used": "heap.used", "most": "heap.max"},
        1.0,
    ),
)


def _primary(figures: Figures) -> Iterator[Metric]:
    numbers = figures.primary
    yield _gauge("alluxio_primary_answers", "1: the primary master told its figures when last asked.", bool(numbers))
    for name, said, label, sources in _COUNTED:
        yield _counters(name, said, *_labelled(numbers, label, sources, 1.0))
    read_from = {
        (urllib.parse.unquote(source.removeprefix(_READ_FROM)),): number
        for source, number in numbers.items()
        if source.startswith(_READ_FROM)
    }
    said = "Read from a storage by all workers."
    yield _counters("alluxio_primary_storage_read_bytes", said, ("storage",), read_from.items())
    for name, said, label, sources, scale in _MEASURED:
        yield _gauges(name, said, *_labelled(numbers, label, sources, scale))


def _labelled(
    numbers: Mapping[str, float], label: str, sources: Mapping[str, str], scale: float
) -> tuple[tuple[str, ...], Values]:
    """Negative numbers are Alluxio's word for "not known"."""
    found = {value: numbers[source] * scale for value, source in sources.items() if numbers.get(source, -1) >= 0}
    return ((label,) if label else ()), [((value,) if label else (), number) for value, number in found.items()]
