"""One Spark driver that runs jobs as it is told: a process of its own, as it gets killed in the middle. pyspark's home.

JSON lines: questions come on standard input, answers go to standard output. Whatever Spark itself prints goes to
standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.storagelevel import StorageLevel

from framework.demo.plan import ITERATIONS

FEATURES: Final = tuple(f"x{index}" for index in range(8))
STEP: Final = 1.0  # of the gradient's descent
HASHES: Final = 16
ORDERS: Final = "`order` LONG, user LONG, region INT, status INT, weight INT"
HOUR: Final = 3_600_000_000  # microseconds

Answer = Callable[[Mapping[str, Any]], None]
Read = Callable[[str], DataFrame]


def scan(read: Read, tell: Answer) -> Any:
    """Every column is looked at, of the payload its length alone."""
    found = read("events").agg(
        F.count("*"),
        F.sum("event"),
        F.max("user"),
        F.sum("product"),
        F.sum("day"),
        F.sum("cents"),
        F.sum(F.length("payload")),
    )
    return list(found.first() or ())


def aggregation(read: Read, tell: Answer) -> Any:
    grouped = read("sales").groupBy("product").agg(F.count("*").alias("sold"), F.sum("cents").alias("cents"))
    best = grouped.orderBy(F.desc("cents"), "product").limit(5)
    return [list(row) for row in best.collect()]


def hours(read: Read, tell: Answer) -> Any:
    """By hour of the day: what the second of two jobs wants of the same data."""
    hour = (F.col("time") / HOUR).cast("long") % 24
    grouped = read("sales").groupBy(hour.alias("hour")).agg(F.count("*").alias("sold"), F.max("user"), F.sum("cents"))
    return [list(row) for row in grouped.orderBy("hour").collect()]


def join(read: Read, tell: Answer) -> Any:
    returned = read("orders").where("status = 3").select("order", "region", "weight")
    joined = read("sales").select("order", "cents").join(F.broadcast(returned), "order")
    grouped = joined.groupBy("region").agg(F.count("*"), F.sum("cents"), F.sum("weight"))
    return [list(row) for row in grouped.orderBy("region").collect()]


def learning(read: Read, tell: Answer) -> Any:
    """Logistic regression by gradient descent; each step goes over all the data."""
    weights = [0.0] * len(FEATURES)
    for step in range(ITERATIONS):
        sums = _gradient(read("features"), weights)
        weights = [weight - STEP * part / sums[0] for weight, part in zip(weights, sums[1:], strict=True)]
        tell({"step": step + 1})
    return weights


def _gradient(features: DataFrame, weights: Sequence[float]) -> list[float]:
    """The number of rows, and the sum of the gradient for each weight."""
    dot = " + ".join(f"({weight!r}) * {name}" for weight, name in zip(weights, FEATURES, strict=True))
    wrong = F.expr(f"1 / (1 + exp(-({dot}))) - label").alias("wrong")
    sums = (F.sum(F.col("wrong") * F.col(name)) for name in FEATURES)
    return [float(value) for value in features.select(wrong, *FEATURES).agg(F.count("*"), *sums).first() or ()]


def computing(read: Read, tell: Answer) -> Any:
    hashed = F.col("x0").cast("string")
    for _ in range(HASHES):
        hashed = F.sha2(hashed, 256)
    return list(read("features").agg(F.count("*"), F.max(hashed)).first() or ())


JOBS: Final[Mapping[str, Callable[[Read, Answer], Any]]] = {
    job.__name__: job for job in (scan, aggregation, hours, join, learning, computing)
}


class Session:
    """Spark, and the tables that it keeps in its own cache."""

    def __init__(self, tell: Answer) -> None:
        self._tell = tell
        self._spark = SparkSession.builder.appName("alluxio-mesos demo").getOrCreate()
        self._kept: dict[tuple[str, str], DataFrame] = {}

    def ready(self) -> None:
        self._tell({"ready": self._spark.version, "master": self._spark.sparkContext.master})

    def end(self) -> None:
        self._spark.stop()

    def do(self, question: Mapping[str, Any]) -> None:
        root = question.get("root", "")
        match question["do"]:
            case "job":
                began = time.perf_counter()
                result = JOBS[question["job"]](lambda table: self._read(root, table), self._tell)
                self._tell({"seconds": time.perf_counter() - began, "result": result})
            case "keep":
                table = question["table"]
                frame = self._load(root, table).persist(StorageLevel.MEMORY_ONLY)
                self._kept[root, table] = frame
                began = time.perf_counter()
                frame.count()
                self._tell({"seconds": time.perf_counter() - began, "bytes": self._kept_bytes()})
            case "forget":
                self._kept.clear()
                self._spark.catalog.clearCache()
                self._tell({})
            case "metrics":
                self._tell({"metrics": self._metrics(question["names"])})

    def _read(self, root: str, table: str) -> DataFrame:
        return self._kept.get((root, table)) or self._load(root, table)

    def _load(self, root: str, table: str) -> DataFrame:
        if table == "orders":
            return self._spark.read.csv(f"{root}/{table}", header=True, schema=ORDERS)
        return self._spark.read.parquet(f"{root}/{table}")

    def _kept_bytes(self) -> int:
        """What Spark's own cache holds in memory."""
        storage = self._spark.sparkContext._jsc.sc().getRDDStorageInfo()
        return sum(int(entry.memSize()) for entry in storage)

    def _metrics(self, names: Sequence[str]) -> dict[str, int]:
        """Counters of Alluxio's client in this very process."""
        system = self._spark.sparkContext._jvm.alluxio.metrics.MetricsSystem
        return {name: int(system.counter(name).getCount()) for name in names}


def main() -> None:
    answers: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(answer: Mapping[str, Any]) -> None:
        print(json.dumps(answer), file=answers)

    session = Session(tell)
    session.ready()
    for line in sys.stdin:
        try:
            session.do(json.loads(line))
        except Exception as error:  # whatever Spark says goes to whom asked
            tell({"error": str(error).strip().splitlines()[0][:500]})
    session.end()


if __name__ == "__main__":
    main()
