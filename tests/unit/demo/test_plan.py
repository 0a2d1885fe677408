"""What is measured and in which order, and what options of the command say."""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from pathlib import Path

from framework.demo.commands import read
from framework.demo.plan import JOBS, MIB, TABLES, Plan, Run, Warmth, Way, expected_seconds, expected_total, rounds


def test_the_tables_make_the_whole_data_set() -> None:
    assert sum(table.part for table in TABLES) == 16
    assert {name for job in JOBS for name in job.reads} == {table.name for table in TABLES}


def test_each_job_runs_as_often_in_each_way() -> None:
    runs = list(rounds(Plan(runs=3)))
    counts = Counter(run.key for run in runs)
    ways = {(way, warmth) for way in (Way.STORE, Way.ALLUXIO) for warmth in Warmth} | {(Way.MEMORY, Warmth.WARM)}
    assert counts == {(job.name, way, warmth): 3 for job in JOBS for way, warmth in ways}


def test_a_warm_run_follows_its_cold_one() -> None:
    runs = list(rounds(Plan(runs=2)))
    for before, run in itertools.pairwise(runs):
        if run.warmth is Warmth.WARM and run.way is not Way.MEMORY:
            assert before == Run(run.job, run.way, Warmth.COLD, run.round)


def test_no_way_is_always_the_first() -> None:
    firsts = {run.round: run.way for run in reversed(list(rounds(Plan(runs=3)))) if run.job == "scan"}
    assert len(set(firsts.values())) == 3


def test_what_is_expected_follows_the_limit() -> None:
    scan = Run("scan", Way.STORE, Warmth.COLD, 1)
    assert expected_seconds(Plan(size=1024 * MIB, bandwidth=64 * MIB), scan) == 10.5
    learning = Run("learning", Way.STORE, Warmth.COLD, 1)
    assert expected_seconds(Plan(size=1024 * MIB, bandwidth=64 * MIB), learning) == 10.5
    assert expected_seconds(Plan(), Run("scan", Way.ALLUXIO, Warmth.WARM, 1)) < 2


def test_the_default_fits_into_fifteen_minutes() -> None:
    assert expected_total(Plan()) < 15 * 60


def options(**given: str) -> argparse.Namespace:
    defaults = {"size": "1GB", "runs": "3", "bandwidth": "64MB", "latency": "30", "s3": "s3proxy"}
    return argparse.Namespace(**{**defaults, **given}, dir=Path(), artefacts=None, json=False)


def test_options_make_the_plan() -> None:
    assert read(options()) == Plan()
    given = options(size="32MB", runs="1", bandwidth="100MB", latency="5", s3="minio")
    assert read(given) == Plan(32 * MIB, 1, 100 * MIB, 0.005, "minio")


def test_each_mistake_has_its_sentence() -> None:
    found = read(options(size="1MB", runs="0", bandwidth="fast", latency="-1", s3="ceph"))
    assert isinstance(found, list)
    assert [sentence.split(" is not allowed")[0] for sentence in found] == [
        "--size 1MB",
        "--runs 0",
        "--bandwidth fast",
        "--latency -1",
        "--s3 ceph",
    ]
    assert found[-1] == "--s3 ceph is not allowed; write s3proxy or minio."
