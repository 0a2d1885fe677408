"""Mounts over histories that Hypothesis chooses: whatever is asked for, whatever others do to Alluxio's mount table and
whatever gets lost, nothing that others mounted is ever touched, and what is wanted comes to stand once all goes well.
"""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given, settings

from framework import mounting, mounts
from framework.memory import Kept, after, resumed
from framework.messages import CacheSeen, Decided, KeepWanted, MakeMount, MountAnswered, Unmount, UpdateMount, Wished
from framework.model import CacheReport, HistoryEntry, Mount, MountPoint, Secret
from framework.mounting import Standing
from framework.namespace import MARK, agrees, in_the_way
from framework.planner import decide, evolve
from framework.state import State, remembering
from stage import wanted

PATHS = ("/a", "/b", "/c")
URIS = ("s3://one", "s3://two/x", "s3://two/y", "/nfs/z")
ROOT = MountPoint("/", "/root")


class World:
    """A scheduler's core with its memory, and an Alluxio that does what it is asked, in its time. ``broken`` are the
    storages that do not answer; ``others`` is what others mounted.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.kept = Kept("framework-1")
        self.points: dict[str, MountPoint] = {}
        self.others: dict[str, MountPoint] = {}
        self.broken: set[str] = set()
        self.calls: list[tuple[MakeMount | UpdateMount | Unmount, float]] = []
        self.state = self._begun()

    def _begun(self) -> State:
        state = State(resumed(self.kept, wanted(workers=0), {}), framework_id="framework-1", connected=True)
        return remembering(state, self.kept)

    # What happens -----------------------------------------------------------------------------------------------------

    def want(self, path: str, uri: str, readonly: bool) -> None:
        mount = Mount(path, uri, {"s3a.secretKey": Secret("key"), "x": "1"}, readonly)
        change = mounts.changed(self.state, mount, mounts.Surroundings("/root"), self.now)
        if not isinstance(change, list):
            self._wish(change.entry)

    def leave(self, path: str, uri: str, readonly: bool) -> None:
        if mounting.wanted_at(self.state, path) is not None:
            self._wish(mounts.removed(self.state, path, self.now).entry)

    def _wish(self, entry: HistoryEntry | None) -> None:
        if entry is not None:
            self.state = evolve(self.state, Wished(entry))
            self.decide()

    def other(self, path: str, uri: str, readonly: bool) -> None:
        """Somebody mounts something, where nothing is in the way."""
        mount = Mount(path, uri, {"y": "2"} if readonly else {}, readonly)
        if path not in self.points and not in_the_way(mount, [ROOT, *self.points.values()]):
            point = MountPoint(path, uri, {"y": "2"} if readonly else {}, readonly)
            self.points[path] = self.others[path] = point

    def other_ends(self, path: str, uri: str, readonly: bool) -> None:
        """Somebody unmounts what is there, whosever it is; or something else stands there at once."""
        if self.points.pop(path, None) is not None:
            self.others.pop(path, None)
            if readonly:
                self.other(path, uri, readonly=False)

    def breaks(self, path: str, uri: str, readonly: bool) -> None:
        self.broken ^= {uri}

    def look(self, path: str = "", uri: str = "", readonly: bool = False) -> None:
        self.now += 0.5
        told = tuple(sorted((ROOT, *self.points.values()), key=lambda point: point.path))
        self.state = evolve(self.state, CacheSeen(CacheReport("m:1", "", at=self.now, mounts=told)))
        self.decide()

    def passes(self, path: str, uri: str, readonly: bool) -> None:
        """A long time only where nothing is asked for: each call is answered before it is taken for lost."""
        self.now += 400.0 if readonly and not self.calls else 3.0
        self.decide()

    def done(self, path: str = "", uri: str = "", readonly: bool = False) -> None:
        """Alluxio does the oldest thing that it was asked for; with ``readonly`` nobody hears of it."""
        if self.calls:
            effect, asked_at = self.calls.pop(0)
            reason = self._do(effect)
            self.now += 0.5
            if not readonly:
                self.state = evolve(self.state, MountAnswered(effect.record.mount.path, asked_at, self.now, reason))
                self.decide()

    def restarts(self, path: str, uri: str, readonly: bool) -> None:
        """What was asked for and not begun is lost."""
        self.calls.clear()
        self.now += 1.0
        self.state = self._begun()

    def _do(self, effect: MakeMount | UpdateMount | Unmount) -> str:
        mount, mark = effect.record.mount, effect.record.mark
        there = self.points.get(mount.path)
        if isinstance(effect, MakeMount):
            if there is not None or in_the_way(mount, [ROOT, *self.points.values()]):
                return "something is there"
        elif there is None or there.options.get(MARK) != mark:
            return "it is somebody else's, or none"
        if isinstance(effect, Unmount):
            del self.points[mount.path]
            return ""
        if mount.uri in self.broken:
            return "the storage does not answer"
        options = {name: "******" if isinstance(value, Secret) else value for name, value in mount.options.items()}
        uri = there.uri if there is not None else mount.uri
        self.points[mount.path] = MountPoint(mount.path, uri, {**options, MARK: mark}, mount.readonly)
        return ""

    def decide(self) -> None:
        for _ in range(20):
            effects = decide(self.state, self.now)
            if not effects:
                break
            self.kept = after(self.kept, effects)
            self.state = evolve(self.state, Decided(effects, self.now))
            for effect in effects:
                if isinstance(effect, MakeMount | UpdateMount | Unmount):
                    path = effect.record.mount.path
                    assert path not in self.others or self.others[path] != self._seen(path), "it is somebody else's"
                    assert effect.record == self.kept.mounts[path], "it is written before it is asked for"
                    self.calls.append((effect, self.state.mount_calls[path].asked_at))
            if not any(isinstance(effect, KeepWanted) for effect in effects):
                break
        assert {path: self.points[path] for path in self.others} == self.others, "what others mounted was touched"

    def _seen(self, path: str) -> MountPoint | None:
        return mounting.table(self.state).get(path)

    # How it ends ------------------------------------------------------------------------------------------------------

    def all_goes_well(self) -> None:
        self.broken.clear()
        for _ in range(12):
            self.look()
            while self.calls:
                self.done()
            self.now += 400.0

    def judge(self) -> None:
        ours = {path: point for path, point in self.points.items() if path not in self.others}
        for mount in self.state.wanted.mounts:
            standing, why = mounting.stands(self.state, mount.path, self.now)
            around = [ROOT, *(point for point in self.others.values() if point.path != mount.path)]
            if mount.path in self.others:
                is_so = agrees(mount, self.others[mount.path])
                assert standing is (Standing.MOUNTED if is_so else Standing.FAILING), why
            elif in_the_way(mount, around):
                assert standing is Standing.WAITING, why
            else:
                assert standing is Standing.MOUNTED, why
                assert agrees(mount, ours.pop(mount.path))
                assert self.kept.mounts[mount.path].proved
        assert not ours, "what is wanted no more is gone"


STEPS = st.tuples(
    st.sampled_from(
        [
            *(World.want, World.want, World.leave, World.other, World.other_ends, World.breaks),
            *(World.look, World.look, World.done, World.done, World.passes, World.restarts),
        ]
    ),
    st.sampled_from(PATHS),
    st.sampled_from(URIS),
    st.booleans(),
)


@given(steps=st.lists(STEPS, min_size=5, max_size=60))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_what_is_wanted_comes_to_stand_and_others_are_left_alone(steps: Sequence[object]) -> None:
    world = World()
    for step, path, uri, flag in steps:  # type: ignore[misc]
        step(world, path, uri, flag)
    world.all_goes_well()
    world.judge()
