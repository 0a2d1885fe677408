"""What is wanted of paths in the core: written down before it holds, and in nobody's way."""

from __future__ import annotations

import dataclasses

import pytest

from framework.memory import Kept, after
from framework.messages import Decided, KeepPaths, PathsWished
from framework.paths import Attributes, WantedPath
from framework.planner import State, decide, evolve
from stage import wanted

PATHS = (WantedPath("/a", Attributes(pinned=True)),)
NOW = 1000.0


@pytest.mark.parametrize("connected", [True, False])
def test_it_holds_once_it_is_written_whether_mesos_is_there_or_not(connected: bool) -> None:
    before = State(wanted=wanted(), connected=connected)
    asked = evolve(before, PathsWished(PATHS))
    assert asked.paths == ()
    assert decide(asked, NOW) == (KeepPaths(PATHS),)
    holds = evolve(asked, Decided((KeepPaths(PATHS),), NOW))
    assert holds == dataclasses.replace(before, paths=PATHS)
    assert not any(isinstance(effect, KeepPaths) for effect in decide(holds, NOW))


def test_it_is_remembered_and_can_be_taken_back() -> None:
    kept = after(Kept("f"), [KeepPaths(PATHS)])
    assert kept == Kept("f", paths=PATHS)
    assert after(kept, [KeepPaths(())]) == Kept("f")


def test_the_log_says_it_in_one_sentence() -> None:
    assert str(PathsWished(PATHS)) == "asked for something of /a"
    assert str(KeepPaths(PATHS)) == "wanted from now on: something of /a"
