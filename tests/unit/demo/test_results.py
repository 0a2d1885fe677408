"""What figures say, from made-up ones: medians, goals, tables, the page."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from framework.demo.page import page
from framework.demo.plan import MIB, Plan, Way, rounds
from framework.demo.results import AGAIN, FIRST, LIMIT, WITHOUT, memory, middle, summarised
from framework.demo.show import report
from framework.demo.tables import tables

SECONDS = {(Way.STORE, "cold"): 12.0, (Way.STORE, "warm"): 12.0, (Way.ALLUXIO, "cold"): 13.0}


def measured(**changes: Any) -> dict[str, Any]:
    """Three rounds in which each is a second slower than the one before."""
    plan = Plan()
    runs = [
        {
            "job": run.job,
            "way": run.way.value,
            "warmth": run.warmth.value,
            "round": run.round,
            "seconds": SECONDS.get((run.way, run.warmth.value), 1.0) + run.round / 10,
            "store_bytes": 0 if (run.way, run.warmth) not in SECONDS else 640 * MIB,
            "store_bytes_in_all": 0 if (run.way, run.warmth) not in SECONDS else 640 * MIB,
            "store_requests": 10,
            "result": [1, 0.5, ["x"]],
        }
        for run in rounds(plan)
    ]
    return {
        "version": 1,
        "began": "2026-11-27T08:00:00Z",
        "seconds": 600.0,
        "conditions": {
            **plan.as_document(),
            "tables_bytes": {"events": 640 * MIB},
            "cores": 2,
            "spark_cores": 2,
            "spark_driver_memory": "1g",
            "memory_bytes": 24 << 30,
            "worker_memory_tier_bytes": 1344 * MIB,
            "versions": {"alluxio": "2.9.6", "spark": "3.5.9", "s3_server": "s3proxy-2.6.0"},
        },
        "runs": runs,
        "sharing": [
            {"way": way, "seconds": 3.0, "memory_bytes": 400 if way == "store" else 200, "store_bytes": 1}
            for way in ("store", "alluxio")
        ],
        "crash": [
            {
                "way": way,
                "store_bytes_before": 100,
                "store_bytes_after": 100 if way == "store" else 0,
                "start_seconds": 5.0,
                "read_seconds": 1.0,
                "seconds": 4.0,
                "result": [],
            }
            for way in ("store", "alluxio")
        ],
        "locality": [
            {"where": "here", "seconds": 1.0, "local_bytes": 5, "domain_bytes": 0, "remote_bytes": 0, "store_bytes": 0},
        ],
        **changes,
    }


def test_medians_and_spread() -> None:
    lines = {(line["job"], line["column"]): line for line in summarised(measured())["summary"]}
    assert lines["scan", WITHOUT]["median_seconds"] == pytest.approx(12.2)
    assert lines["scan", WITHOUT]["runs"] == 6
    scan = [lines["scan", column]["median_seconds"] for column in (FIRST, AGAIN, LIMIT)]
    assert scan == pytest.approx([13.2, 1.2, 1.2])
    assert (lines["scan", FIRST]["least_seconds"], lines["scan", FIRST]["most_seconds"]) == pytest.approx((13.1, 13.3))


def test_goals_that_are_met() -> None:
    goals = summarised(measured())["goals"]
    assert [goal["met"] for goal in goals] == [True] * 5
    assert [goal["value"] for goal in goals] == pytest.approx([12.2 / 1.2, 1, 0, 0, 0.5])


def test_one_byte_too_many_is_not_met() -> None:
    document = measured()
    for run in document["runs"]:
        if (run["job"], run["way"], run["warmth"], run["round"]) == ("scan", "alluxio", "warm", 2):
            run["store_bytes_in_all"] = 1
    document["crash"][-1]["store_bytes_after"] = 1
    assert [goal["met"] for goal in summarised(document)["goals"]] == [True, True, False, False, True]


def test_of_several_rounds_the_middle_one_counts() -> None:
    document = measured()
    document["sharing"] = [
        {"way": way, "memory_bytes": amount}
        for amount in (100, 300, 200)
        for way, amount in (("store", 10 * amount), ("alluxio", amount))
    ]
    assert memory(document) == {Way.STORE: 2000, Way.ALLUXIO: 200}
    assert middle(document["sharing"], "way")[1] == {"way": "alluxio", "memory_bytes": 200}


def test_results_are_the_same_but_for_the_last_digits() -> None:
    document = measured()
    document["runs"][3]["result"] = [1, 0.5 + 1e-9, ["x"]]
    assert all(summarised(document)["same_results"].values())
    document["runs"][3]["result"] = [1, 0.5, ["y"]]
    assert summarised(document)["same_results"][document["runs"][3]["job"]] is False


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.fetched: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data.strip())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attributes if name in ("src", "href")]


def test_the_page_shows_every_table_and_needs_no_other_file() -> None:
    document = summarised(measured())
    texts = Texts()
    texts.feed(page(document, '<?xml version="1.0"?>\n<svg><text>Duration</text></svg>'))
    for table in tables(document):
        assert {table.title, *table.heads, *(cell for row in table.rows for cell in row)} <= set(texts.found)
    assert document["no_help"][0] in texts.found
    assert "Duration" in texts.found
    assert texts.fetched == []


def test_the_terminal_shows_the_same() -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(report(summarised(measured())))
    text = shown.get()
    assert "Duration (in seconds)" in text
    assert "12.20 (12.1–12.3)" in text
    assert "s3proxy-2.6.0" in text


def test_a_plan_is_told_as_it_is() -> None:
    assert set(Plan().as_document()) >= {"size_bytes", "runs"}
    assert len(dataclasses.fields(Plan)) == len(Plan().as_document())
