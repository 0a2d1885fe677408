"""The scheduler's loop on a stage: a store in memory, a clock at hand, and the effects in the order of their acting.

Used by the scenarios and the properties. Nothing here is a stand-in for the loop, the core or the store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from framework import grouping, placement, scaling
from framework.configuring import group_entries
from framework.loop import Loop
from framework.memory import resumed
from framework.messages import Effect, Event, Wished
from framework.model import (
    MEMBER_PORTS,
    Group,
    GroupEntry,
    Journal,
    Kind,
    Need,
    VolumeNeed,
    Wanted,
    group_named,
)
from framework.planner import Policy, State
from framework.state import remembering
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


def with_groups(want: Wanted, entries: Iterable[GroupEntry]) -> Wanted:
    """With these groups of workers, none of which has a worker yet. Their options here are ``size`` (small, large or as
    the default group's) and ``rack`` (the attribute that an agent must have, or constraints).
    """
    need, configuration = want.needs[Kind.WORKER], want.configuration_of(Kind.WORKER)
    sizes = {
        "": need,
        "small": dataclasses.replace(need, volumes=()),
        "large": dataclasses.replace(need, cpus=1500, memory=2048),
    }
    groups = {}
    for entry in entries:
        size, rack = entry.options.get("size", ""), entry.options.get("rack", "")
        rules = placement.read(rack if ":" in rack or not rack else f"rack:IS:{rack}")
        groups[group_named(entry.name)] = Group(0, sizes[size], f"{configuration}+{size}", rules)
    return dataclasses.replace(want, groups=groups)


def group_asked_for(
    state: State, name: str, count: int | None, options: Mapping[str, str] | None, now: float
) -> Wished:
    """Somebody wants so many workers of a group, with these options or those that it had."""
    before = grouping.entry_of(state, name) or GroupEntry(name, 0)
    after = before if options is None else dataclasses.replace(before, options=options)
    then = _having(state, [*_others(state, name), after], now)
    change = scaling.change(then, count, (), now, group_named(name))
    assert isinstance(change, scaling.Change), change
    return Wished(change.entry or scaling.next_entry(then, now), then.wanted)


def group_gone(state: State, name: str, now: float) -> Wished:
    then = _having(state, _others(state, name), now)
    return Wished(scaling.next_entry(then, now), then.wanted)


def _others(state: State, name: str) -> list[GroupEntry]:
    return [group for group in group_entries(state.history) if group.name != name]


def _having(state: State, groups: Iterable[GroupEntry], now: float) -> State:
    entries = tuple(sorted(groups, key=lambda group: group.name))
    return grouping.having(state, with_groups(state.wanted, entries), entries, now)


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

    def start(self, *, uninstalls: bool = False) -> None:
        """A new scheduler, which knows what the store holds and nothing else."""
        kept = self.store.load()
        want = resumed(kept, with_groups(self.wanted, group_entries(kept.history)), {})
        state = remembering(State(want, self._policy, uninstalls=uninstalls), kept)
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
