"""The only mutable state: a queue of events and the last frozen snapshot. One thread decides; the others translate,
enqueue and read the snapshot.

events -> evolve -> decide -> save -> act

While the store is away nothing is decided: the events wait.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

from framework.chronicle import Chronicle
from framework.messages import (
    Acknowledge,
    AcknowledgeOperation,
    CacheSeen,
    Decided,
    Decline,
    Effect,
    Event,
    KeepWanted,
    MakeMount,
    MountAnswered,
    Offered,
    Stop,
    UpdateMount,
)
from framework.model import ExitCode
from framework.planner import State, decide, evolve
from framework.store import Store, StoreError
from framework.tally import Tally, words

log = logging.getLogger(__name__)

TICK: Final = 0.5  # seconds between two looks at the clock when nothing happens
ROUNDS: Final = 20  # decisions in a row without an event; more would mean that the core does not settle

Act = Callable[[Sequence[Effect], State], None]


class Loop:
    """``may_act`` says whether this scheduler surely leads at this moment (C6). ``tally`` counts what happens,
    ``chronicle`` keeps it as sentences.
    """

    def __init__(
        self,
        state: State,
        store: Store,
        act: Act,
        clock: Callable[[], float],
        may_act: Callable[[], bool] = lambda: True,
        tally: Tally | None = None,
        chronicle: Chronicle | None = None,
    ) -> None:
        self._tally = tally or Tally()
        self._state = state
        self._store = store
        self._act = act
        self._clock = clock
        self._may_act = may_act
        self._events: queue.SimpleQueue[Event | Stop] = queue.SimpleQueue()
        self._log = DecisionLog(chronicle or Chronicle(), clock)
        self._turned = threading.Condition()

    @property
    def snapshot(self) -> State:
        """The state after the last decision; frozen, for any thread."""
        return self._state

    def post(self, event: Event | Stop) -> None:
        """From any thread, at any time; a ``Stop`` ends the loop."""
        self._events.put(event)

    def change(self, event: Event, is_done: Callable[[State], bool], seconds: float) -> bool:
        """From any other thread: post the event and wait until the state, with all that was decided written down, is
        so; false when it is not so after these seconds.
        """
        self.post(event)
        with self._turned:
            return self._turned.wait_for(lambda: is_done(self._state), seconds)

    def run(self) -> ExitCode:
        """Until a ``Stop``, from outside or decided. A record that cannot be written ends the process: nothing is done
        that could be forgotten.
        """
        waiting: list[Event] = []
        while True:
            for event in self._next():
                if isinstance(event, Stop):
                    log.info("%s", event)
                    return ExitCode(event.exit_code)
                waiting.append(event)
            if not self._may_act():
                continue
            events, waiting = waiting, []
            try:
                stop = self._settle(events)
            except StoreError as error:
                log.error("%s", error)
                return error.exit_code
            if stop is not None:
                return ExitCode(stop.exit_code)

    def _next(self) -> list[Event | Stop]:
        """What waits in the queue, all at once; nothing when a tick passes without any."""
        events: list[Event | Stop] = []
        try:
            events.append(self._events.get(timeout=TICK))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events

    def _settle(self, events: Sequence[Event]) -> Stop | None:
        """Decide again until there is nothing more to do, so that what follows from a decision does not wait for the
        next tick.
        """
        for number in range(ROUNDS):
            if number and not self._may_act():
                return None
            effects = self.step(events)
            for effect in effects:
                if isinstance(effect, Stop):
                    return effect
            if not effects:
                return None
            events = ()
        return None

    def step(self, events: Sequence[Event]) -> tuple[Effect, ...]:
        """One turn: evolve, decide, save, act, in that order."""
        self._log.events(events)
        self._tally.came(events, self._state)
        with self._tally.rounds.timed():
            state = functools.reduce(evolve, events, self._state)
            now = self._clock()
            effects = decide(state, now)
        with self._tally.saving(effects):
            self._store.save(effects)
        self._tally.decided(effects, state)
        self._state = evolve(state, Decided(effects, now))
        with self._turned:
            self._turned.notify_all()
        self._log.effects(effects)
        self._act(effects, self._state)
        return effects


class DecisionLog:
    """The operator's log, and the chronicle beside it: each event and decision a sentence, but none twice in a row for
    the same subject, and a large round in one line.
    """

    SINGLE: Final = 5

    def __init__(self, chronicle: Chronicle, clock: Callable[[], float]) -> None:
        self._chronicle = chronicle
        self._clock = clock
        self._last: dict[str, str] = {}
        self._asked: dict[str, str] = {}  # by a mount's path: what Alluxio was asked for, until it is done

    def events(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Offered():
                    log.debug("%d offers came in", len(event.offers))
                case CacheSeen():
                    log.debug("Alluxio lists %d workers", len(event.report.workers))
                case MountAnswered():
                    level = logging.WARNING if event.reason else logging.INFO
                    if not event.reason:
                        self._asked.pop(event.path, None)
                    self._once(event.path, words(type(event)), str(event), level)
                case _:
                    self._once(type(event).__name__, words(type(event)), str(event))

    def effects(self, effects: Sequence[Effect]) -> None:
        declines: dict[str, list[Decline]] = {}
        for effect in effects:
            if isinstance(effect, Decline):
                declines.setdefault(effect.reason, []).append(effect)
            elif isinstance(effect, Acknowledge | AcknowledgeOperation):
                log.debug("%s", effect)
            elif isinstance(effect, MakeMount | UpdateMount):
                self._ask(effect)
            else:
                if isinstance(effect, KeepWanted):
                    self._try_anew()
                self._say(words(type(effect)), str(effect))
        for reason, group in declines.items():
            if len(group) > self.SINGLE:
                self._once(reason, "decline", f"{len(group)} offers: declined, {reason}")
                continue
            for decline in group:
                self._once(decline.offer.hostname, "decline", str(decline))

    def _ask(self, effect: MakeMount | UpdateMount) -> None:
        """What fails is tried again and again: a further try is news only where its outcome is another one."""
        path, sentence = effect.record.mount.path, str(effect)
        if self._asked.get(path) != sentence:
            self._asked[path] = sentence
            self._say(words(type(effect)), sentence)

    def _try_anew(self) -> None:
        """Something else is wanted: whoever asked for it looks for what comes of it."""
        for path in self._asked:
            self._last.pop(path, None)
        self._asked.clear()

    def _once(self, subject: str, kind: str, sentence: str, level: int = logging.INFO) -> None:
        if self._last.get(subject) != sentence:
            self._last[subject] = sentence
            self._say(kind, sentence, level)

    def _say(self, kind: str, sentence: str, level: int = logging.INFO) -> None:
        log.log(level, "%s", sentence)
        self._chronicle.add(self._clock(), kind, sentence)
