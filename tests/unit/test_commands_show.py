"""How a listing looks on terminals of several widths."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from framework.commands import show, show_mounts, show_paths

URI = "hdfs://namenode:8020/archive"
REASON = f"nothing listens at namenode:8020, where the store of {URI} should: correct the endpoint, or start it"
PART = "part-00000-5f8a7c2e-91d3-4b6e-a0f1-d2c3b4a59687-c000.snappy.parquet"


def lines(picture: RenderableType, width: int = 80) -> list[str]:
    console = Console(width=width, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(picture)
    shown = captured.get().removesuffix("\n").split("\n")
    assert max(map(len, shown)) <= width
    return [line.rstrip() for line in shown]


def mount(path: str, uri: str, state: str, reason: str = "") -> dict[str, object]:
    told = {"path": path, "uri": uri, "state": state, "reason": reason}
    return {**told, "readonly": False, "shared": False, "own": not reason, "mounted": uri if not reason else None}


def entry(path: str) -> dict[str, object]:
    return {
        "path": path,
        "folder": False,
        "size_bytes": 3 << 20,
        "in_memory_percent": 50,
        "cached_percent": 100,
        "pinned": True,
        "ttl_seconds": 604_800.0,
        "ttl_action": "free",
        "replication_min": 1,
        "replication_max": None,
        "persistence": "TO_BE_PERSISTED",
    }


def test_a_reason_stands_below_its_row_where_its_column_has_no_room() -> None:
    found = [mount("/", "s3://main", "mounted"), mount("/archive", URI, "failing", REASON)]
    assert lines(show_mounts.mounts(found)) == [
        "PATH      STORAGE                       STATE    HOW             BY       WHY",
        "/         s3://main                     mounted  read and write  service  -",
        "/archive  hdfs://namenode:8020/archive  failing  read and write  -",
        "  nothing listens at namenode:8020, where the store of",
        "  hdfs://namenode:8020/archive should: correct the endpoint, or start it",
    ]


def test_the_name_of_a_file_is_shown_whole() -> None:
    folder = {"path": "/data", "folder": True, "entries": [entry("/data/a"), entry(f"/data/{PART}")], "next": None}
    assert lines(show_paths.path(folder)) == [
        "SIZE     MEMORY  CACHED  PINNED  TTL       COPIES     PERSISTED        NAME",
        "3.0 MiB  50 %    100 %   pinned  7d, free  1 or more  to be persisted  a",
        "3.0 MiB  50 %    100 %   pinned  7d, free  1 or more  to be persisted",
        f"  {PART}",
    ]
    assert lines(show_paths.path(folder), 200)[2].endswith(f"to be persisted  {PART}")


def test_a_sentence_that_has_room_stays_in_its_column() -> None:
    found = lines(show.listing(("TASK", "SAYS"), [("worker-0", "the worker's process was killed")], ""), 36)
    assert found == ["TASK      SAYS", "worker-0  the worker's process was", "          killed"]
    narrow = lines(show.listing(("TASK", "SAYS"), [("worker-0", "the worker's process was killed")], ""), 32)
    assert narrow == ["TASK      SAYS", "worker-0", "  the worker's process was", "  killed"]


@pytest.mark.parametrize("width", [20, 30, 40, 50, 60, 79, 80, 81, 120])
def test_it_fits_every_width_and_says_what_each_row_is_of(width: int) -> None:
    rows = [(f"worker-{number}", "a phase", "a-host.of-a.long.name", "-" if number else REASON) for number in range(3)]
    found = lines(show.listing(("TASK", "PHASE", "AGENT", "SAYS"), rows, ""), width)
    if width >= 30:
        assert [line.split()[0] for line in found if line.startswith("worker")] == [row[0] for row in rows]
    assert "".join(REASON.split()) in "".join("".join(found).split()).replace("a-host.of-a.long.name", "")


def test_where_there_is_nothing_it_says_so() -> None:
    assert lines(show.listing(("TASK",), [], "there are no tasks")) == ["there are no tasks"]


def test_why_workers_are_missing_stands_beside_how_many() -> None:
    found = {"count": 2, "ready": 1, "missing": 1, "why": "worker-1: it waits", "workers": [], "leaving": []}
    head = [show.worker_summary(found), show.plain("other groups: ssd 1 of 1")]
    assert lines(show.workers(found, head))[:3] == [
        "wanted: 2 workers; 1 answers, 1 missing",
        "missing because worker-1: it waits",
        "other groups: ssd 1 of 1",
    ]


def test_a_step_of_a_plan_keeps_its_margin() -> None:
    step = {"name": "/archive", "status": "delayed", "message": REASON}
    phase = {"name": "mounts", "status": "delayed", "steps": [step]}
    found = lines(show.plans([{"name": "mounts", "status": "delayed", "phases": [phase]}]))
    assert found[2].startswith("    /archive  delayed  nothing listens")
    assert all(line.startswith("    ") for line in found[3:])


def test_what_is_well_says_so_by_its_phase_alone() -> None:
    well = {"slot": "worker-0", "phase": "registered", "message": "ready: worker, job-worker"}
    starts = {"slot": "worker-1", "phase": "starting", "message": "waits for the worker"}
    assert [line.split()[-1] for line in lines(show.tasks([well, starts]))] == ["SAYS", "-", "worker"]
    assert "ready: worker, job-worker" in lines(show.task(well))[-1]
