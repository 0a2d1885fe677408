"""What happened, kept for people."""

from __future__ import annotations

from framework.chronicle import MOST, Chronicle, Entry
from framework.loop import DecisionLog
from framework.messages import Disconnected, Suppress


def test_entries_are_numbered_and_none_comes_twice_in_a_row() -> None:
    chronicle = Chronicle()
    for kind, text in (("a", "one"), ("a", "one"), ("a", "two"), ("b", "two"), ("a", "one")):
        chronicle.add(5.0, kind, text)
    known = (Entry(1, 5.0, "a", "one"), Entry(2, 5.0, "a", "two"), Entry(3, 5.0, "b", "two"), Entry(4, 5.0, "a", "one"))
    assert chronicle.after(-1) == known
    assert chronicle.after(2) == known[2:]
    assert chronicle.after(4) == ()


def test_only_the_last_ones_are_kept() -> None:
    chronicle = Chronicle()
    for number in range(MOST + 5):
        chronicle.add(0.0, "a", str(number))
    assert [entry.number for entry in chronicle.after(0)] == list(range(6, MOST + 6))


def test_who_comes_from_another_scheduler_gets_everything() -> None:
    chronicle = Chronicle(first=100)
    chronicle.add(0.0, "a", "one")
    assert [entry.number for entry in chronicle.after(3)] == [100]  # the one before counted from less
    assert [entry.number for entry in chronicle.after(2000)] == [100]  # the clock went back


def test_listeners_are_woken_until_they_leave() -> None:
    chronicle, woken = Chronicle(), []
    forget = chronicle.listen(lambda: woken.append("one"))
    chronicle.add(0.0, "a", "one")
    chronicle.add(0.0, "a", "one")
    chronicle.close()
    forget()
    chronicle.add(0.0, "a", "two")
    assert (woken, chronicle.closed) == (["one", "one"], True)


def test_the_log_is_what_it_says() -> None:
    chronicle = Chronicle()
    log = DecisionLog(chronicle, lambda: 7.0)
    log.events([Disconnected("the stream ended", 5.0)])
    log.events([Disconnected("the stream ended", 6.0)])
    log.effects([Suppress()])
    assert chronicle.after(-1) == (
        Entry(1, 7.0, "disconnected", "not connected to a Mesos master: the stream ended"),
        Entry(2, 7.0, "suppress", "nothing to launch: asking Mesos for no more offers"),
    )
