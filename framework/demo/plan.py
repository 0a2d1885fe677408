"""What a demonstration measures: the tables, the jobs, in which order, and what each is expected to take. Pure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any, Final

MIB: Final = 1 << 20
BUCKET: Final = "demo"
MOUNTED: Final = "/demo"  # where the bucket is in the namespace
CORES: Final = 2  # of Spark
# No more than this in a file: an Alluxio block of the default size.
FILE_BYTES: Final = 60 * MIB
ITERATIONS: Final = 10  # of the machine learning job
KILLED_AFTER: Final = 5  # of them
LEAST_SIZE: Final = 16  # MiB
# Of the warm-up: how often the job that goes over its data again and again runs through Alluxio before anything counts.
WARM_UPS: Final = 3
# Seconds that the other parts take, for the estimate alone: what starts first, and each round of what follows the runs.
STARTS: Final = 45.0
ROUND_OF_OTHERS: Final = 85.0


class Way(enum.StrEnum):
    """Where a job reads from."""

    MEMORY = "memory"  # a folder on the machine's own tmpfs: the limit of what is possible
    STORE = "store"  # the limited S3 store, without Alluxio
    ALLUXIO = "alluxio"


class Warmth(enum.StrEnum):
    COLD = "cold"  # the first run: Alluxio holds nothing of it
    WARM = "warm"  # the run right after it


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """``part`` of the data set, in sixteenths."""

    name: str
    format: str
    part: int

    def bytes(self, size: int) -> int:
        return size * self.part // 16


TABLES: Final = (
    Table("events", "parquet", 10),
    Table("sales", "parquet", 3),
    Table("features", "parquet", 1),
    Table("orders", "csv", 2),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """``reads`` names its tables, ``words`` says what it does. ``passes``: how often it goes over them;
    ``computing``: seconds of computation for each GiB of the data set on two cores, for the estimate alone.
    """

    name: str
    title: str
    words: str
    reads: tuple[str, ...]
    passes: int = 1
    computing: float = 1.0


JOBS: Final = (
    Job("scan", "Scan and count", "reads every column of a wide table and counts", ("events",)),
    Job("aggregation", "Aggregation", "sums up sales by product", ("sales",)),
    Job("join", "Join", "joins sales in Parquet with orders in CSV", ("sales", "orders"), 1, 5.0),
    Job(
        "learning",
        "Machine learning",
        f"{ITERATIONS} steps of logistic regression, each over all the data",
        ("features",),
        ITERATIONS,
        4.0,
    ),
    Job("computing", "Computation", "hashes each row many times: bound by the processor", ("features",), 1, 6.0),
)
JOB_BY_NAME: Final[Mapping[str, Job]] = {job.name: job for job in JOBS}
# The two that share one data set.
SHARED_TABLE: Final = "sales"
SHARING: Final = ("aggregation", "hours")


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """``size`` in bytes, ``bandwidth`` of the store in bytes a second, ``latency`` of each of its answers in seconds,
    ``runs`` how often each job is run in each way.
    """

    size: int = 1024 * MIB
    runs: int = 3
    bandwidth: int = 64 * MIB
    latency: float = 0.03
    s3: str = "s3proxy"

    @property
    def worker_ram(self) -> int:
        """MiB of the one worker's memory tier: all the data and some room."""
        return self.size // MIB * 5 // 4 + 64

    def as_document(self) -> dict[str, Any]:
        return {
            "size_bytes": self.size,
            "runs": self.runs,
            "store_bytes_per_second": self.bandwidth,
            "store_latency_seconds": self.latency,
            "s3_server": self.s3,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One measured run of a job. ``round`` counts from 1."""

    job: str
    way: Way
    warmth: Warmth
    round: int

    @property
    def key(self) -> tuple[str, Way, Warmth]:
        return self.job, self.way, self.warmth


def rounds(plan: Plan) -> Iterator[Run]:
    """Every run, interleaved: job by job in all ways, the ways in another order in each round, so that what changes on
    the machine meanwhile hits all of them.
    """
    ways = list(Way)
    for number in range(1, plan.runs + 1):
        for job in JOBS:
            for way in ways[number % 3 :] + ways[: number % 3]:
                for warmth in Warmth if way is not Way.MEMORY else (Warmth.WARM,):
                    yield Run(job.name, way, warmth, number)


def expected_seconds(plan: Plan, run: Run) -> float:
    """What a run will take about: what it reads from the store at its limit, and its computation."""
    job = JOB_BY_NAME[run.job]
    read = sum(table.bytes(plan.size) for table in TABLES if table.name in job.reads)
    computing = 0.4 + job.computing * plan.size / (1024 * MIB)
    passes = {
        (Way.STORE, Warmth.COLD): job.passes,
        (Way.STORE, Warmth.WARM): job.passes,
        (Way.ALLUXIO, Warmth.COLD): 1,
    }.get((run.way, run.warmth), 0)
    return 0.5 + max(read * passes / plan.bandwidth, computing)


def expected_total(plan: Plan) -> float:
    """Seconds of the whole demonstration: the runs, before them the starts, and after them what is done in rounds."""
    runs = sum(expected_seconds(plan, run) for run in rounds(plan))
    return expected_start(plan) + runs + plan.runs * ROUND_OF_OTHERS


def expected_start(plan: Plan) -> float:
    """Seconds until the first run: the data is made, all is started and gets warm."""
    return STARTS + plan.size / (25 * MIB)
