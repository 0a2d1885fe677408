"""What the loop has done since the process began, counted: what no snapshot tells. The loop's thread counts, any thread
reads. Nothing is decided by it.

Every key is there from the start: a reader never sees a dictionary grow, and a chart shows the first event as one.
"""

from __future__ import annotations

import bisect
import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Final, get_args

from framework.memory import REMEMBERED
from framework.messages import Decline, Effect, Event, GiveBack, Launch, Offered, Updated
from framework.model import LIFE, Kind, Life, Record, TaskState, parse_task_id
from framework.refusals import Reason, classified
from framework.state import State

CAUSES: Final = ("first", "relaunch", "replacement")  # never ran before; again on its agent; on another agent
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


def words(kind: type) -> str:
    """``KeepFrameworkId`` as ``keep_framework_id``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


class Durations:
    """How many lasted up to each bound (the last count is of those above all), and the seconds of all together."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """A failure counts too: it took its time."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(time.perf_counter() - began)


class Tally:
    def __init__(self) -> None:
        self.events = dict.fromkeys(map(words, get_args(Event)), 0)
        self.decisions = dict.fromkeys(map(words, get_args(Effect)), 0)
        self.offers_received = 0
        self.offers_used = 0
        self.offers_declined = dict.fromkeys(Reason, 0)
        self.launches = {(kind, cause): 0 for kind in Kind for cause in CAUSES}
        self.ends = {(kind, state): 0 for kind in Kind for state in TaskState if LIFE[state] is Life.TERMINAL}
        self.rounds = Durations()  # evolve and decide
        self.saves = Durations()  # of rounds that had something to write

    def came(self, events: Sequence[Event], before: State) -> None:
        ended: set[str] = set()
        for event in events:
            self.events[words(type(event))] += 1
            if isinstance(event, Offered):
                self.offers_received += len(event.offers)
            elif isinstance(event, Updated) and _is_end(event, before) and event.report.task_id not in ended:
                ended.add(event.report.task_id)
                identity = parse_task_id(event.report.task_id)
                assert identity is not None, "it is on record"
                self.ends[identity[0], event.report.state] += 1

    def decided(self, effects: Sequence[Effect], before: State) -> None:
        for effect in effects:
            self.decisions[words(type(effect))] += 1
            match effect:
                case Decline():
                    self.offers_declined[classified(effect.reason)] += 1
                case Launch():
                    self.offers_used += 1
                    for record in effect.records:
                        self.launches[record.kind, _cause(record, before)] += 1
                case GiveBack():
                    self.offers_used += 1
                case _:
                    pass

    def saving(self, effects: Sequence[Effect]) -> contextlib.AbstractContextManager[None]:
        """Most rounds have nothing to write, and would hide those that do."""
        is_written = any(isinstance(effect, REMEMBERED) for effect in effects)
        return self.saves.timed() if is_written else contextlib.nullcontext()


def _is_end(event: Updated, before: State) -> bool:
    """A task of ours was not over, and is now. Updates come more than once (C23), and of tasks that nobody knows."""
    report = event.report
    identity = parse_task_id(report.task_id)
    if identity is None or LIFE[report.state] is not Life.TERMINAL:
        return False
    record = before.records.get(identity[1])
    if record is None or record.task_id != report.task_id:
        return False
    known = before.reports.get(report.task_id)
    return known is None or LIFE[known.state] is not Life.TERMINAL


def _cause(record: Record, before: State) -> str:
    old = before.records.get(record.slot)
    if old is None:
        return "first"
    return "relaunch" if old.agent_id == record.agent_id or old.hostname == record.hostname else "replacement"
