"""The scheduler's loop on a stage: a store in memory, a clock at hand, and the effects in the order of their acting.

Used by the scenarios and the properties. Nothing here is a stand-in for the loop, the core or the store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from framework.loop import Loop
from framework.memory import resumed
from framework.messages import Effect, Event
from framework.model import MEMBER_PORTS, Journal, Kind, Need, VolumeNeed, Wanted
from framework.planner import Policy, State
from framework.store import MemoryStore
from framework.tally import Tally

NEEDS = {
    Kind.MASTER: Need(1000, 1024, 512, ("rpc", "web", "job_rpc", "job_web")),
    Kind.WORKER: Need(1000, 1280, 256, ("rpc", "web", "job_rpc", "job_data", "job_web")),
    Kind.PROXY: Need(500, 512, 0, ("web",)),
}


MEMBERS = Need(1000, 1024, 512, (*NEEDS[Kind.MASTER].ports, *MEMBER_PORTS))


def wanted(
    masters: int = 1,
    workers: int | None = 2,
    proxies: int = 0,
    journal: Journal = Journal.LOCAL,
    ssd: int | None = None,
) -> Wanted:
    """``ssd``: the MiB of the SSD tier that each worker has on a persistent volume; None for no such tier."""
    tier = (VolumeNeed("ssd", ssd),) if ssd else ()
    needs = {**NEEDS, Kind.WORKER: dataclasses.replace(NEEDS[Kind.WORKER], volumes=tier)}
    if journal is Journal.EMBEDDED:
        needs[Kind.MASTER] = MEMBERS
    return Wanted(masters, workers, proxies, needs, "configuration-1", journal)


class Stage:
    """One service over the lives of its schedulers. ``act`` is called with the effects of each decision."""

    def __init__(
        self,
        want: Wanted,
        policy: Policy | None = None,
        act: Callable[[Sequence[Effect], State], None] = lambda effects, state: None,
    ) -> None:
        self.now = 1000.0
        self.store = MemoryStore()
        self.tally = Tally()
        self.wanted = want
        self._policy = policy or Policy()
        self._act = act
        self.start()

    @property
    def state(self) -> State:
        return self._loop.snapshot

    def start(self) -> None:
        """A new scheduler, which knows what the store holds and nothing else."""
        kept = self.store.load()
        state = State(
            wanted=resumed(kept, self.wanted, {}),
            policy=self._policy,
            records=kept.records,
            retired=kept.retired,
            kept_framework_id=kept.framework_id,
            history=kept.history,
        )
        self._loop = Loop(state, self.store, self._act, lambda: self.now, tally=self.tally)

    def play(self, *events: Event) -> list[Effect]:
        """Everything that is decided because of these events, until there is nothing more to do."""
        decided: list[Effect] = []
        effects = self._loop.step(events)
        while effects:
            decided.extend(effects)
            assert len(decided) < 10_000, "the core does not settle"
            if self.state.stop is not None:
                break
            effects = self._loop.step(())
        return decided
