"""The update manager: in order, one at a time, again until acknowledged, over a restart."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from localmesos.updates import UpdateManager

KEY = ("framework", "task")
OTHER = ("framework", "other")


def manager(*uuids: str) -> UpdateManager:
    updates = UpdateManager()
    for uuid in uuids:
        assert updates.add(KEY, uuid, {"uuid": uuid})
    return updates


def test_only_the_first_goes_out_until_it_is_acknowledged() -> None:
    updates = manager("one", "two")
    assert updates.due(0.0) == [(KEY, {"uuid": "one"})]
    assert updates.due(9.9) == []
    assert updates.acknowledge(KEY, "one") == {"uuid": "one"}
    assert updates.due(9.9) == [(KEY, {"uuid": "two"})]


def test_it_goes_out_again_after_10_20_40_seconds_and_at_last_every_10_minutes() -> None:
    updates = manager("one")
    times, now = [], 0.0
    for _ in range(9):
        assert updates.due(now)
        due = updates.next_due()
        assert due is not None
        assert updates.due(due - 0.001) == []
        times.append(due - now)
        now = due
    assert times == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0, 600.0]


def test_streams_do_not_wait_for_each_other() -> None:
    updates = manager("one")
    updates.add(OTHER, "two", {"uuid": "two"})
    assert updates.due(0.0) == [(KEY, {"uuid": "one"}), (OTHER, {"uuid": "two"})]


def test_what_was_added_before_is_not_added_again() -> None:
    updates = manager("one")
    assert not updates.add(KEY, "one", {"uuid": "one"})
    updates.due(0.0)
    updates.acknowledge(KEY, "one")
    assert not updates.add(KEY, "one", {"uuid": "one"})
    assert updates.next_due() is None


def test_a_wrong_acknowledgement_changes_nothing() -> None:
    updates = manager("one", "two")
    updates.due(0.0)
    assert updates.acknowledge(KEY, "two") is None
    assert updates.acknowledge(OTHER, "one") is None
    assert updates.due(10.0) == [(KEY, {"uuid": "one"})]


def test_without_a_master_nothing_is_due_and_with_one_everything_is() -> None:
    updates = manager("one")
    updates.due(0.0)
    updates.pause()
    assert (updates.due(1000.0), updates.next_due()) == ([], None)
    updates.resume()
    assert updates.due(1000.0) == [(KEY, {"uuid": "one"})]
    assert updates.next_due() == 1010.0


def test_a_restart_keeps_what_is_pending_and_what_was_seen() -> None:
    updates = manager("one", "two")
    updates.due(0.0)
    updates.acknowledge(KEY, "one")
    again = UpdateManager()
    again.restore(json.loads(json.dumps(updates.to_json())))
    assert not again.add(KEY, "one", {"uuid": "one"})
    assert again.due(0.0) == []
    again.resume()
    assert again.due(0.0) == [(KEY, {"uuid": "two"})]


@given(st.lists(st.sampled_from(["add", "send", "acknowledge", "restart"]), max_size=40))
def test_every_update_arrives_in_order(steps: list[str]) -> None:
    updates, now, added = UpdateManager(), 0.0, 0
    sent: list[int] = []
    for step in [*steps, *["send", "acknowledge"] * len(steps)]:
        now += 1000.0
        match step:
            case "add":
                updates.add(KEY, str(added), {"number": added})
                added += 1
            case "send":
                sent += [status["number"] for _, status in updates.due(now)]
            case "acknowledge" if sent:
                updates.acknowledge(KEY, str(sent[-1]))
            case "restart":
                kept = updates.to_json()
                updates = UpdateManager()
                updates.restore(kept)
                updates.resume()
    assert sorted(set(sent)) == list(range(added))
    assert sent == sorted(sent)
