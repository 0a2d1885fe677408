"""Numbers over time as points in a box of 300 by 72."""

from __future__ import annotations

from framework.charts import Chart, chart


def test_time_goes_right_and_numbers_go_up() -> None:
    found = chart([(0.0, 0.0), (50.0, 5.0), (100.0, 10.0)], 100.0, 100.0, 10.0)
    assert found == Chart(("0.0,72.0 150.0,36.0 300.0,0.0",), ("0.0,72.0 0.0,72.0 150.0,36.0 300.0,0.0 300.0,72.0",))


def test_a_gap_stays_a_gap_and_one_point_is_seen() -> None:
    found = chart([(0.0, 5.0), (25.0, None), (50.0, 5.0), (100.0, 5.0)], 100.0, 100.0, 10.0)
    assert found.lines == ("-1.0,36.0 1.0,36.0", "150.0,36.0 300.0,36.0")


def test_what_is_too_old_or_too_high_stays_inside() -> None:
    assert chart([(-1.0, 5.0), (100.0, 20.0)], 100.0, 100.0, 10.0).lines == ("299.0,0.0 301.0,0.0",)
    assert chart([(100.0, 0.0)], 100.0, 100.0, 0.0).lines == ("299.0,72.0 301.0,72.0",)  # no cache at all
    assert chart([], 100.0, 100.0, 10.0) == Chart((), ())
