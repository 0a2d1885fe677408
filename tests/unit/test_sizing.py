"""The arithmetic of a task's memory."""

from __future__ import annotations

import pytest

from framework.sizing import CODE_CACHE, EXECUTOR_MEMORY, METASPACE, THREADS, Jvm, task_memory


def test_everything_that_a_jvm_can_touch_is_counted() -> None:  # C17, alluxio#13976 #17363 #18681
    assert Jvm(heap=512, direct=256).memory == 512 + 256 + METASPACE + CODE_CACHE + THREADS + 21


def test_the_flags_bound_what_is_counted() -> None:
    assert Jvm(heap=512, direct=256).flags == (
        "-Xmx512m",
        "-XX:MaxDirectMemorySize=256m",
        f"-XX:MaxMetaspaceSize={METASPACE}m",
        f"-XX:ReservedCodeCacheSize={CODE_CACHE}m",
    )


def test_a_task_is_its_executor_its_jvms_and_its_tier() -> None:
    worker, job_worker = Jvm(512, 512), Jvm(256, 64)
    assert task_memory((worker, job_worker), tier=1024) == EXECUTOR_MEMORY + worker.memory + job_worker.memory + 1024


@pytest.mark.parametrize(("heap", "direct"), [(31, 16), (32, 15), (0, 0)])
def test_a_jvm_has_a_least_size(heap: int, direct: int) -> None:
    with pytest.raises(ValueError, match=f"not {heap} and {direct}"):
        Jvm(heap, direct)
