"""What is done about mounts, step by step: Alluxio's table, what is wanted and what was made, looked at together."""

from __future__ import annotations

import dataclasses
from typing import Any

from framework import mounting, mounts
from framework.memory import Kept, after, newly_wanted, resumed
from framework.messages import (
    CacheSeen,
    Decided,
    ForgetMount,
    KeepMount,
    MakeMount,
    MountAnswered,
    Unmount,
    UpdateMount,
)
from framework.model import CacheReport, Mount, MountPoint, MountRecord, Secret
from framework.mounting import Standing
from framework.namespace import MARK
from framework.planner import evolve
from framework.plans import Status
from framework.state import MOUNTS, State
from stage import wanted

S3 = Mount("/s3", "s3://b", {"s3a.secretKey": Secret("key")})
ROOT = MountPoint("/", "/root")
MADE = MountPoint("/s3", "s3://b", {"s3a.secretKey": "******", MARK: "f/10.000000"})
RECORD = MountRecord(S3, "f/10.000000", 10.0)


def state(*points: MountPoint, at: float = 9.0, want: tuple[Mount, ...] = (S3,), **more: Any) -> State:
    return State(
        dataclasses.replace(wanted(), mounts=want),
        framework_id="f",
        cache=CacheReport("m:1", "", at=at, mounts=(ROOT, *points)),
        **more,
    )


def seen(before: State, at: float, *points: MountPoint) -> State:
    return evolve(before, CacheSeen(CacheReport("m:1", "", at=at, mounts=(ROOT, *points))))


def decided(before: State, at: float, *effects: Any) -> State:
    return evolve(before, Decided(effects, at))


def step(found: State, now: float) -> Any:
    """The one that is to be made, or None."""
    made = list(mounting.steps(found, now))
    assert len(made) <= 1
    return made[0] if made else None


def test_a_mount_is_written_made_proved_and_then_left_alone() -> None:
    found = state()
    make = step(found, 10.0)
    assert make == MakeMount(RECORD)
    found = decided(found, 10.0, make)
    assert found.mounts == {"/s3": RECORD}
    assert step(found, 11.0) is None, "it is on its way"
    assert step(seen(found, 11.5), 12.0) is None
    found = evolve(found, MountAnswered("/s3", 10.0, 12.0))
    assert step(found, 12.0) is None, "nobody has looked since"
    found = seen(found, 12.5, MADE)
    keep = step(found, 12.5)
    assert keep == KeepMount(dataclasses.replace(RECORD, proved=True))
    found = decided(found, 12.5, keep)
    assert step(found, 500.0) is None
    assert mounting.stands(found, "/s3", 500.0) == (Standing.MOUNTED, "")
    assert not found.mount_calls, "what happens next is counted anew"


def test_a_failure_is_kept_and_tried_again_with_growing_pauses() -> None:
    found, now = state(), 10.0
    for pause in (1.0, 2.0, 4.0):
        make = step(found, now)
        assert isinstance(make, MakeMount)
        assert make.record.mark == "f/10.000000", "what an earlier try may yet bring is known by it"
        found = evolve(decided(found, now, make), MountAnswered("/s3", now, now + 0.5, "there is no bucket b"))
        found = seen(found, now + 0.6)
        assert step(found, now + 0.4 + pause) is None
        assert mounting.stands(found, "/s3", now + 0.5) == (
            Standing.FAILING,
            f"there is no bucket b; it is tried again in {pause:.0f} s",
        )
        now += 0.5 + pause
    [told] = mounts.plan(found, now).phases[0].steps
    assert (told.name, told.status) == ("/s3", Status.DELAYED)
    assert mounting.counts(found, now) == {"wanted": 1, "made": 0, "failing": 1}
    other = dataclasses.replace(S3, uri="s3://c")
    found = dataclasses.replace(found, wanted=dataclasses.replace(found.wanted, mounts=(other,)))
    assert isinstance(step(found, now - 3.9), MakeMount), "something else is tried at once"


def test_what_was_asked_for_otherwise_is_laid_on_and_another_storage_takes_its_place() -> None:
    proved = {"/s3": dataclasses.replace(RECORD, proved=True)}
    readonly = dataclasses.replace(S3, readonly=True)
    assert step(state(MADE, at=20.0, want=(readonly,), mounts=proved), 30.0) == UpdateMount(
        MountRecord(readonly, RECORD.mark, 30.0), "others are wanted"
    )
    stripped = dataclasses.replace(MADE, readonly=True)
    assert step(state(stripped, at=20.0, mounts=proved), 30.0) == UpdateMount(
        MountRecord(S3, RECORD.mark, 30.0), "Alluxio has others"
    )
    assert step(state(MADE, at=20.0, mounts={"/s3": RECORD}), 30.0) == UpdateMount(
        MountRecord(S3, RECORD.mark, 30.0), "nobody knows whether the storage answers"
    )
    other = dataclasses.replace(S3, uri="s3://c")
    assert step(state(MADE, at=20.0, want=(other,), mounts=proved), 30.0) == Unmount(
        proved["/s3"], "s3://c is wanted there"
    )


def test_what_is_wanted_no_more_is_unmounted_and_then_forgotten() -> None:
    record = dataclasses.replace(RECORD, proved=True)
    found = state(MADE, at=20.0, want=(), mounts={"/s3": record})
    assert mounting.stands(found, "/s3", 30.0)[0] is Standing.LEAVING
    unmount = step(found, 30.0)
    assert unmount == Unmount(record, "it is wanted no more")
    found = evolve(decided(found, 30.0, unmount), MountAnswered("/s3", 30.0, 31.0))
    assert step(found, 31.0) is None
    assert mounting.stands(seen(found, 32.0), "/s3", 32.0)[0] is Standing.LEAVING, "it is nobody else's"
    forget = step(seen(found, 32.0), 32.0)
    assert forget == ForgetMount("/s3", "as it is gone")
    assert decided(found, 32.0, forget).mounts == {}


def test_what_bears_no_mark_of_ours_is_somebody_elses() -> None:
    record = {"/s3": dataclasses.replace(RECORD, proved=True)}
    theirs = dataclasses.replace(MADE, options={"s3a.secretKey": "******"})
    for want in ((S3,), ()):
        forget = step(state(theirs, at=20.0, want=want, mounts=record), 30.0)
        assert forget == ForgetMount("/s3", "as somebody else mounted s3://b there")
    assert step(state(theirs, at=20.0), 30.0) is None
    assert mounting.stands(state(theirs, at=20.0), "/s3", 30.0)[0] is Standing.MOUNTED
    changed = dataclasses.replace(theirs, readonly=True)
    assert step(state(changed, at=20.0), 30.0) is None
    assert mounting.stands(state(changed, at=20.0), "/s3", 30.0)[0] is Standing.FAILING
    assert mounting.stands(state(theirs, at=20.0, want=()), "/s3", 30.0)[0] is Standing.FOREIGN


def test_nothing_is_done_while_the_table_is_not_known_something_is_in_the_way_or_the_plan_rests() -> None:
    unknown = dataclasses.replace(state(), cache=CacheReport(None, "no master answers"))
    assert step(unknown, 10.0) is None
    assert mounting.stands(unknown, "/s3", 10.0) == (Standing.UNKNOWN, "no master answers")
    around = state(MountPoint("/s3/in", "s3://c"))
    assert step(around, 10.0) is None
    assert mounting.stands(around, "/s3", 10.0)[0] is Standing.WAITING
    resting = state()
    resting = dataclasses.replace(resting, wanted=dataclasses.replace(resting.wanted, paused=frozenset({MOUNTS})))
    assert step(resting, 10.0) is None
    assert mounting.stands(resting, "/s3", 10.0)[0] is Standing.WAITING


def test_a_call_whose_answer_never_comes_is_made_again() -> None:
    found = decided(state(), 10.0, MakeMount(RECORD))
    found = seen(found, 100.0)
    assert step(found, 10.0 + mounting.SILENT - 1) is None
    again = step(found, 10.0 + mounting.SILENT)
    assert again == MakeMount(dataclasses.replace(RECORD, at=10.0 + mounting.SILENT))


def test_an_answer_to_an_earlier_call_says_nothing_of_this_one() -> None:
    found = decided(state(), 10.0, MakeMount(RECORD))
    assert evolve(found, MountAnswered("/s3", 9.0, 12.0, "late")).mount_calls == found.mount_calls
    assert evolve(found, MountAnswered("/other", 10.0, 12.0)).mount_calls == found.mount_calls


def test_the_option_holds_at_the_first_start_and_never_again() -> None:
    given = dataclasses.replace(wanted(), mounts=(S3,))
    first = resumed(Kept(), given, {})
    assert first.mounts == (S3,)
    kept = after(Kept(), newly_wanted(Kept(), first, {}, 1.0))
    assert kept.history[-1].mounts == (S3,)
    other = dataclasses.replace(wanted(), mounts=(Mount("/t", "/nfs"),))
    assert resumed(kept, other, {}).mounts == (S3,)
    assert newly_wanted(kept, resumed(kept, other, {}), {}, 2.0) == ()
