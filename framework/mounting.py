"""What is to be done about mounts: the table that is wanted, those that were made, and Alluxio's own, looked at
together. Pure.

Law: what this service did not mount is never unmounted nor changed. A mount is its own while it bears the mark that
its record names. One that stands already, and was not made by this service, is used as it is where it agrees with what
is wanted, and is never taken over.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from framework.messages import ForgetMount, KeepMount, MakeMount, MountAnswered, Unmount, UpdateMount
from framework.model import Mount, MountPoint, MountRecord
from framework.namespace import MARK, ROOT, agrees, in_the_way, same_storage
from framework.state import MOUNTS, MountCall, State, growing

Step = MakeMount | UpdateMount | Unmount | KeepMount | ForgetMount
Call = MakeMount | UpdateMount | Unmount

SILENT: Final = 180.0  # seconds until a call is taken for lost whose answer never came


class Standing(enum.StrEnum):
    """Where a path stands; in the order of its life."""

    UNKNOWN = "unknown"  # Alluxio's mount table was not told
    WAITING = "waiting"  # something must come first
    MAKING = "making"  # Alluxio is asked for it, or will be at once
    FAILING = "failing"  # it was tried, and is tried again
    MOUNTED = "mounted"
    LEAVING = "leaving"  # wanted no more, and still there
    FOREIGN = "foreign"  # there, by somebody else, and not wanted


MADE: Final = (Standing.MOUNTED, Standing.FOREIGN)  # there is nothing to be done


def table(state: State) -> dict[str, MountPoint]:
    return {point.path: point for point in state.cache.mounts or ()}


def is_ours(record: MountRecord | None, point: MountPoint | None) -> bool:
    return record is not None and point is not None and point.options.get(MARK) == record.mark


def wanted_at(state: State, path: str) -> Mount | None:
    return next((mount for mount in state.wanted.mounts if mount.path == path), None)


# What to do -----------------------------------------------------------------------------------------------------------


def steps(state: State, now: float) -> Iterator[Step]:
    """At most one for each path. Nothing while Alluxio's table is not known, or the plan rests."""
    if state.cache.mounts is None or not (state.wanted.mounts or state.mounts):
        return  # as nearly always
    points = table(state)
    for path in paths(state):
        step = _step(state, path, points, now)
        if step is not None and (isinstance(step, KeepMount | ForgetMount) or _is_due(state, path, step, now)):
            yield step


def paths(state: State) -> list[str]:
    """Of what is wanted, and what was made."""
    return sorted({*state.mounts, *(mount.path for mount in state.wanted.mounts)})


def _step(state: State, path: str, points: Mapping[str, MountPoint], now: float) -> Step | None:
    wanted, record, point = wanted_at(state, path), state.mounts.get(path), points.get(path)
    call = state.mount_calls.get(path)
    if call is not None and call.answered_at is None and now - call.asked_at < SILENT:
        return None  # what comes of it is not known yet
    if not _is_seen(state, call):
        return None
    if record is not None and point is not None and not is_ours(record, point):
        return ForgetMount(path, f"as somebody else mounted {point.uri} there")
    just_done = call is not None and record is not None and call.done and call.asked_at == record.at
    if just_done and record is not None and point is not None and not record.proved:
        return KeepMount(dataclasses.replace(record, proved=True))
    if wanted is None:
        if record is None:
            return None
        return Unmount(record, "it is wanted no more") if point is not None else ForgetMount(path, "as it is gone")
    return _towards(state, wanted, record, points, now)


def _towards(
    state: State, wanted: Mount, record: MountRecord | None, points: Mapping[str, MountPoint], now: float
) -> Step | None:
    point = points.get(wanted.path)
    if point is None:
        # A call that was given up may yet be done: what comes of it then must be known.
        mark = record.mark if record is not None else f"{state.framework_id}/{now:.6f}"
        return None if _hindrance(wanted, points) else MakeMount(MountRecord(wanted, mark, now))
    if record is None:
        return None  # it is somebody else's
    if not same_storage(point.uri, wanted.uri):
        return Unmount(record, f"{wanted.uri} is wanted there")
    why = _why_again(wanted, record, point)
    return UpdateMount(dataclasses.replace(record, mount=wanted, at=now, proved=False), why) if why else None


def _why_again(wanted: Mount, record: MountRecord, point: MountPoint) -> str:
    """Why a mount of ours is not as it is wanted; "" when it is."""
    if record.mount != wanted:
        return "others are wanted"
    if not agrees(wanted, point):
        return "Alluxio has others"
    return "" if record.proved else "nobody knows whether the storage answers"


def _hindrance(wanted: Mount, points: Mapping[str, MountPoint]) -> str:
    return in_the_way(wanted, [point for point in points.values() if point.path != wanted.path])


def _is_seen(state: State, call: MountCall | None) -> bool:
    """Whether Alluxio's table was looked at since the last call for a path was answered."""
    return call is None or call.answered_at is None or state.cache.at > call.answered_at


def _is_due(state: State, path: str, step: Call, now: float) -> bool:
    call = state.mount_calls.get(path)
    if MOUNTS in state.wanted.paused:
        return False
    if call is None or call.answered_at is None:
        return True
    return call.mount != step.record.mount or call.unmounts != isinstance(step, Unmount) or now >= again_at(state, call)


def again_at(state: State, call: MountCall) -> float:
    """When what failed is tried again, or what was done and is still not so."""
    pause = growing(state.policy.first_backoff, call.times - 1, state.policy.longest_backoff)
    return (call.answered_at or call.asked_at) + pause


# What became of it ----------------------------------------------------------------------------------------------------


def asked(calls: Mapping[str, MountCall], effects: Iterable[object], at: float) -> Mapping[str, MountCall]:
    """The calls, with those that were just decided."""
    found = dict(calls)
    for effect in effects:
        if isinstance(effect, MakeMount | UpdateMount | Unmount):
            mount, unmounts = effect.record.mount, isinstance(effect, Unmount)
            before = calls.get(mount.path)
            same = before is not None and (before.mount, before.unmounts) == (mount, unmounts)
            times = before.times + 1 if before is not None and same else 1
            asked_at = at if unmounts else effect.record.at
            found[mount.path] = MountCall(mount, times, asked_at, unmounts)
    return found


def answered(calls: Mapping[str, MountCall], event: MountAnswered) -> Mapping[str, MountCall]:
    call = calls.get(event.path)
    if call is None or call.asked_at != event.asked_at:
        return calls  # another call was made since
    told = dataclasses.replace(call, answered_at=event.at, reason=event.reason)
    return {**calls, event.path: told}


def settled(state: State) -> State:
    """Without the calls that came to their end: what happens there next is counted anew."""
    if not state.mount_calls or state.cache.mounts is None:
        return state
    points = table(state)
    left = {
        path: call
        for path, call in state.mount_calls.items()
        if not (call.done and _is_seen(state, call) and _is_as_wanted(state, path, points))
    }
    return state if len(left) == len(state.mount_calls) else dataclasses.replace(state, mount_calls=left)


def _is_as_wanted(state: State, path: str, points: Mapping[str, MountPoint]) -> bool:
    wanted, record, point = wanted_at(state, path), state.mounts.get(path), points.get(path)
    if wanted is None:
        return record is None
    return record is not None and point is not None and is_ours(record, point) and not _why_again(wanted, record, point)


# For people -----------------------------------------------------------------------------------------------------------


def counts(state: State, now: float) -> dict[str, int]:
    """How many are wanted, stand as they are wanted, and fail."""
    found = [stands(state, mount.path, now)[0] for mount in state.wanted.mounts]
    return {
        "wanted": len(found),
        "made": found.count(Standing.MOUNTED),
        "failing": found.count(Standing.FAILING),
    }


def not_as_wanted(state: State, now: float) -> Iterator[tuple[Mount, Standing, str]]:
    """Each mount that is wanted and is not so, or is on its way out, with its reason."""
    for path in paths(state):
        standing, reason = stands(state, path, now)
        if standing not in MADE:
            yield wanted_at(state, path) or state.mounts[path].mount, standing, reason


def all_paths(state: State) -> list[str]:
    """Of what is wanted, what was made, and what there is, the root too."""
    return sorted({*paths(state), *table(state)})


def stands(state: State, path: str, now: float) -> tuple[Standing, str]:
    """Where a path stands, and why in one sentence ("" where there is nothing to say)."""
    points = table(state)
    wanted, record, point = wanted_at(state, path), state.mounts.get(path), points.get(path)
    if state.cache.mounts is None:
        return Standing.UNKNOWN, state.cache.reason or "Alluxio did not tell its mount table"
    if path == ROOT:
        return Standing.MOUNTED, ""
    call = state.mount_calls.get(path)
    trouble = _trouble(state, call, now)
    if wanted is None:
        if point is None:
            return Standing.LEAVING, "nothing is mounted there any more; it is looked at once again, and forgotten"
        if not is_ours(record, point):
            return Standing.FOREIGN, "somebody else mounted it; it is left alone"
        return Standing.LEAVING, trouble or _resting(state) or "it is being unmounted"
    if point is not None and record is None:
        if agrees(wanted, point):
            return Standing.MOUNTED, "somebody else mounted it; it is used as it is, and never changed"
        return (
            Standing.FAILING,
            f"somebody else mounted {point.uri} there in another way than is wanted; unmount it with Alluxio's own "
            "command, or ask for what is there",
        )
    if point is not None and record is not None and not _why_again(wanted, record, point):
        return Standing.MOUNTED, ""
    if point is None and (hindrance := _hindrance(wanted, points)):
        return Standing.WAITING, hindrance.partition(": ")[2]
    if trouble:
        return Standing.FAILING, trouble
    return (Standing.WAITING, resting) if (resting := _resting(state)) else (Standing.MAKING, "Alluxio is asked for it")


def _trouble(state: State, call: MountCall | None, now: float) -> str:
    if call is None or not call.failed:
        return ""
    again = max(0.0, again_at(state, call) - now)
    return f"{call.reason}; it is tried again in {again:.0f} s"


def _resting(state: State) -> str:
    if MOUNTS not in state.wanted.paused:
        return ""
    return f"the plan {MOUNTS} was paused; POST /v1/plans/{MOUNTS}/resume lets it go on"
