"""The tables that terminal and page show alike. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from framework.demo.plan import JOBS, MIB, Way
from framework.demo.results import COLUMNS, memory, middle


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; the first column names the row."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    yield _durations(document)
    yield _from_store(document)
    yield _goals(document)
    yield _sharing(document)
    yield _crash(document)
    yield _locality(document)
    yield _conditions(document)


def conditions_line(document: Mapping[str, Any]) -> str:
    """What the figures depend on, in one line."""
    known = document["conditions"]
    return (
        f"{size(known['size_bytes'])} of data, store limited to {size(known['store_bytes_per_second'])}/s and "
        f"{known['store_latency_seconds'] * 1000:.0f} ms for each request, "
        f"Spark {known['versions']['spark']} on {known['spark_cores']} cores, Alluxio {known['versions']['alluxio']}"
    )


def size(amount: float) -> str:
    return f"{amount / MIB:,.0f} MiB" if amount >= 10 * MIB or not amount else f"{amount / MIB:,.2f} MiB"


def _durations(document: Mapping[str, Any]) -> Table:
    lines = {(line["job"], line["column"]): line for line in document["summary"]}

    def cell(line: Mapping[str, Any]) -> str:
        spread = f" ({line['least_seconds']:.1f}–{line['most_seconds']:.1f})" if line["runs"] > 1 else ""
        return f"{line['median_seconds']:.2f}{spread}"

    rows = tuple((job.title, *(cell(lines[job.name, column]) for column in COLUMNS)) for job in JOBS)
    return Table("Duration in seconds: median (least–most)", ("Job", *COLUMNS), rows)


def _from_store(document: Mapping[str, Any]) -> Table:
    lines = {(line["job"], line["column"]): line for line in document["summary"]}
    rows = tuple(
        (job.title, *(size(lines[job.name, column]["store_bytes_in_all"]) for column in COLUMNS)) for job in JOBS
    )
    return Table("Bytes read from the store, counted at the store", ("Job", *COLUMNS), rows)


def _goals(document: Mapping[str, Any]) -> Table:
    rows = tuple(
        (goal["name"], f"{goal['value']:,.2f}".removesuffix(".00"), goal["goal"], "yes" if goal["met"] else "no")
        for goal in document["goals"]
    )
    return Table("Goals", ("What", "Measured", "Goal", "Met"), rows)


def _sharing(document: Mapping[str, Any]) -> Table:
    names = {Way.STORE: "each Spark keeps it in its own cache", Way.ALLUXIO: "both read it from Alluxio"}
    found = memory(document)
    rows = tuple((names[way], size(found[way])) for way in names)
    return Table("Two different jobs over one table: memory that the data takes", ("How", "Memory"), rows)


def _crash(document: Mapping[str, Any]) -> Table:
    names = {Way.STORE.value: "without Alluxio", Way.ALLUXIO.value: "with Alluxio"}
    rows = tuple(
        (
            names[entry["way"]],
            size(entry["store_bytes_before"]),
            size(entry["store_bytes_after"]),
            f"{entry['read_seconds']:.2f}",
            f"{entry['seconds']:.2f}",
        )
        for entry in middle(document["crash"], "way")
    )
    heads = ("How", "Read from the store before", "Read again after", "Seconds to read again", "Seconds to the result")
    return Table("Spark is killed in the middle of the machine learning job, and started again", heads, rows)


def _locality(document: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            entry["where"],
            f"{entry['seconds']:.2f}",
            size(entry["local_bytes"]),
            size(entry["domain_bytes"]),
            size(entry["remote_bytes"]),
        )
        for entry in middle(document["locality"], "where")
    )
    heads = ("Where", "Seconds", "Short-circuit", "Same host, socket", "Network")
    return Table("A warm scan: where its bytes come from, as Alluxio counts them", heads, rows)


def _conditions(document: Mapping[str, Any]) -> Table:
    known = document["conditions"]
    versions = ((name.replace("_", " "), text) for name, text in known["versions"].items())
    rows = (
        *((f"table {name}", size(amount)) for name, amount in known["tables_bytes"].items()),
        ("store's limit", f"{size(known['store_bytes_per_second'])}/s, {known['store_latency_seconds'] * 1000:.0f} ms"),
        ("runs of each job in each way", str(known["runs"])),
        ("cores of the machine", str(known["cores"])),
        ("cores of Spark", str(known["spark_cores"])),
        ("heap of Spark's driver", known["spark_driver_memory"]),
        ("memory of the machine", size(known["memory_bytes"])),
        ("Alluxio's memory tier", size(known["worker_memory_tier_bytes"])),
        *versions,
    )
    return Table("Conditions", ("What", ""), rows)
