"""What the figures say: medians, spread, and how they compare with the goals. Pure: documents in, documents out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from framework.demo.plan import JOBS, Warmth, Way

Json = Mapping[str, Any]

# The columns of table and chart: their words, and which runs they are made of. Without Alluxio a second run is like the
# first.
COLUMNS: Final[Mapping[str, tuple[tuple[Way, Warmth], ...]]] = {
    "without Alluxio": ((Way.STORE, Warmth.COLD), (Way.STORE, Warmth.WARM)),
    "with Alluxio, first run": ((Way.ALLUXIO, Warmth.COLD),),
    "with Alluxio, again": ((Way.ALLUXIO, Warmth.WARM),),
    "local tmpfs": ((Way.MEMORY, Warmth.WARM),),
}
WITHOUT, FIRST, AGAIN, LIMIT = COLUMNS
# Sums of floating-point numbers depend on the order in which Spark's tasks end.
TOLERANCE: Final = 1e-6


def summarised(measured: Json) -> dict[str, Any]:
    """The document of results.json: what was measured, and "summary", "same_results", "goals" and "no_help" of it."""
    summary = [
        _line(job.name, column, _runs(measured, job.name, ways)) for job in JOBS for column, ways in COLUMNS.items()
    ]
    medians = {(line["job"], line["column"]): line["median_seconds"] for line in summary}
    return {
        **measured,
        "summary": summary,
        "same_results": {job.name: _same([run["result"] for run in _of(measured, job.name)]) for job in JOBS},
        "goals": list(_goals(measured, medians)),
        "no_help": list(_no_help(medians)),
    }


def _of(measured: Json, job: str) -> list[Json]:
    return [run for run in measured["runs"] if run["job"] == job]


def _runs(measured: Json, job: str, ways: Iterable[tuple[Way, Warmth]]) -> list[Json]:
    wanted = {(way.value, warmth.value) for way, warmth in ways}
    return [run for run in _of(measured, job) if (run["way"], run["warmth"]) in wanted]


def _line(job: str, column: str, runs: Sequence[Json]) -> dict[str, Any]:
    seconds = [run["seconds"] for run in runs]
    return {
        "job": job,
        "column": column,
        "runs": len(runs),
        "median_seconds": statistics.median(seconds),
        "least_seconds": min(seconds),
        "most_seconds": max(seconds),
        "store_bytes": statistics.median(run["store_bytes"] for run in runs),
        "store_bytes_in_all": statistics.median(run["store_bytes_in_all"] for run in runs),
    }


def _same(results: Sequence[Any]) -> bool:
    return all(_alike(results[0], other) for other in results)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def middle(entries: Iterable[Json], name: str) -> list[dict[str, Any]]:
    """One entry for each value of ``name``, in the order of their first ones: the median of each of its numbers."""
    rounds: dict[Any, list[Json]] = {}
    for entry in entries:
        rounds.setdefault(entry[name], []).append(entry)
    return [
        {
            key: statistics.median(entry[key] for entry in several) if isinstance(value, int | float) else value
            for key, value in several[0].items()
        }
        for several in rounds.values()
    ]


def memory(measured: Json) -> dict[Way, int]:
    """Bytes of memory that two jobs over one table need, each way."""
    return {Way(entry["way"]): entry["memory_bytes"] for entry in middle(measured["sharing"], "way")}


def reread(measured: Json, way: Way) -> int:
    """The most that was read from the store again after a crash."""
    found: int = max(entry["store_bytes_after"] for entry in measured["crash"] if entry["way"] == way.value)
    return found


def _goals(measured: Json, medians: Mapping[tuple[str, str], float]) -> Iterable[dict[str, Any]]:
    warm = medians["scan", AGAIN]
    second = max(run["store_bytes_in_all"] for run in _runs(measured, "scan", COLUMNS[AGAIN]))
    in_memory = memory(measured)
    shared = in_memory[Way.ALLUXIO] / in_memory[Way.STORE]
    yield _at_least("a warm scan, times as fast as from the store", medians["scan", WITHOUT] / warm, 10)
    yield _at_most("a warm scan, times as long as from the local tmpfs", warm / medians["scan", LIMIT], 1.5)
    yield _at_most("bytes from the store in the second run", second, 0)
    yield _at_most("bytes read again after a crash of Spark", reread(measured, Way.ALLUXIO), 0)
    yield _at_most("memory of two jobs over one table, in parts of that of two Spark caches", shared, 0.6)


def _at_least(name: str, value: float, bound: float) -> dict[str, Any]:
    return {"name": name, "value": value, "goal": f"at least {bound:g}", "met": value >= bound}


def _at_most(name: str, value: float, bound: float) -> dict[str, Any]:
    return {"name": name, "value": value, "goal": f"at most {bound:g}", "met": value <= bound}


def _no_help(medians: Mapping[tuple[str, str], float]) -> Iterable[str]:
    """Where Alluxio brings nothing, in a sentence each."""
    first = medians["scan", FIRST] / medians["scan", WITHOUT]
    scan = medians["scan", WITHOUT] / medians["scan", AGAIN]
    bound = medians["computing", WITHOUT] / medians["computing", AGAIN]
    yield (
        f"Data that is read once: a scan through Alluxio that has nothing of it yet takes {first:.2f} times as long as "
        "one without it."
    )
    yield (
        "A job that is bound by the processor: with its data in Alluxio already, the computation is "
        f"{bound:.1f} times as fast as without, where the scan is {scan:.1f} times as fast."
    )
