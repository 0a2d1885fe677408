"""The demonstration at its smallest: its document has its shape, and what must hold at any size holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from framework.demo.plan import JOBS, Warmth, Way
from framework.demo.results import COLUMNS
from integration.local_cluster import Json, alluxio_mesos, wait_until

# A machine that is busy with other tests starts seven Sparks in several minutes.
SECONDS = 900
pytestmark = [pytest.mark.integration, pytest.mark.timeout(SECONDS + 60, method="signal")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "results"


@pytest.fixture(scope="module")
def document(folder: Path) -> Json:
    options = ("--size", "16MB", "--runs", "1", "--dir", str(folder), "--json")
    outcome = alluxio_mesos("demo", *options, seconds=SECONDS)
    assert outcome.code == 0, f"{outcome.out}\n{outcome.error}"
    found: Json = outcome.document
    return found


def of(document: Json, way: Way, warmth: Warmth) -> list[Json]:
    return [run for run in document["runs"] if (run["way"], run["warmth"]) == (way, warmth)]


def test_the_results_are_written_and_nothing_else_stays(document: Json, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "duration.png",
        "duration.svg",
        "report.html",
        "results.json",
    ]
    assert json.loads((folder / "results.json").read_text()) == document
    assert (folder / "duration.png").read_bytes().startswith(b"\x89PNG")
    assert "Duration (in seconds)" in (folder / "report.html").read_text()
    assert processes_of(folder) == []


def test_every_job_ran_in_every_way(document: Json) -> None:
    assert [(line["job"], line["column"]) for line in document["summary"]] == [
        (job.name, column) for job in JOBS for column in COLUMNS
    ]
    assert all(line["median_seconds"] > 0 for line in document["summary"])
    assert {name: known for name, known in document["conditions"].items() if name in ("size_bytes", "runs")} == {
        "size_bytes": 16 << 20,
        "runs": 1,
    }


def test_every_result_is_the_same_in_every_way(document: Json) -> None:
    assert document["same_results"] == {job.name: True for job in JOBS}
    scan = document["runs"][0]["result"]
    assert scan[0] > 9_000  # rows
    assert scan[-1] == scan[0] * 1000  # bytes of their payload
    after_crash = [crash["result"] for crash in document["crash"]]
    assert after_crash[0] == pytest.approx(after_crash[1])


def test_without_alluxio_each_run_reads_from_the_store(document: Json) -> None:
    for warmth in Warmth:
        assert all(run["store_bytes"] > 0 for run in of(document, Way.STORE, warmth))
    assert all(run["store_bytes_in_all"] == 0 for run in of(document, Way.MEMORY, Warmth.WARM))


def test_with_alluxio_the_second_run_reads_nothing_from_the_store(document: Json) -> None:
    assert all(run["store_bytes_in_all"] > 0 for run in of(document, Way.ALLUXIO, Warmth.COLD))
    warm = of(document, Way.ALLUXIO, Warmth.WARM)
    assert [run["job"] for run in warm if run["store_bytes_in_all"]] == []
    assert len(warm) == len(JOBS)


def test_after_a_crash_nothing_is_read_again(document: Json) -> None:
    after = {crash["way"]: crash["store_bytes_after"] for crash in document["crash"]}
    assert after["alluxio"] == 0
    assert after["store"] > 0


def test_two_jobs_share_one_copy(document: Json) -> None:
    memory = {entry["way"]: entry["memory_bytes"] for entry in document["sharing"]}
    assert 0 < memory["alluxio"] < memory["store"]


def test_a_worker_on_sparks_host_is_read_without_the_network(document: Json) -> None:
    here, elsewhere = document["locality"]
    table = document["conditions"]["tables_bytes"]["events"]
    assert here["local_bytes"] > 0.9 * table
    assert here["remote_bytes"] + here["domain_bytes"] < 0.1 * table
    assert elsewhere["local_bytes"] == 0
    # Of each of the two files the worker may miss its last chunk, a MiB, when the client closes sooner than it counts.
    assert elsewhere["remote_bytes"] > 0.75 * table


def processes_of(folder: Path) -> list[str]:
    """What is alive and names the folder on its command line or in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(process.cmdline()))
    return found


def test_stopped_half_way_it_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    command = [sys.executable, "-m", "framework", "demo", "--size", "16MB", "--runs", "1", "--dir", str(folder)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(
            lambda: processes_of(folder / "work"),
            lambda found: "-m framework scheduler" in " ".join(found),
            "a scheduler",
        )
        demo.send_signal(signal.SIGINT)
        _, error = demo.communicate(timeout=180)
    finally:
        demo.kill()
        demo.wait()
    assert (demo.returncode, error) == (130, "Stopped half-way; what ran has ended, and nothing was written.\n")
    assert processes_of(folder) == []
    assert not list(folder.glob("*"))
