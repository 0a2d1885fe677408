"""How much memory a task asks of Mesos, written down once.

Mesos ends a task that uses more than its ``mem`` (with cgroup isolation), so everything that its processes can touch is
counted:

    task = executor + sum over its JVMs (heap + direct memory + overhead) + memory tier

The memory tier lies on a tmpfs, whose pages count for the task that wrote them. A JVM's overhead is what stands outside
heap and direct memory: metaspace, code cache, thread stacks, the collector's own tables. Its upper bounds are handed to
the JVM as flags, so that the sum is a bound and no hope. All amounts are MiB.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Final

EXECUTOR_MEMORY: Final = 48  # MiB; the executor stays below 30 when idle
EXECUTOR_CPUS: Final = 50  # thousandths
METASPACE: Final = 96  # MiB, -XX:MaxMetaspaceSize; Alluxio's masters load about 60
CODE_CACHE: Final = 48  # MiB, -XX:ReservedCodeCacheSize
THREADS: Final = 32  # MiB touched by some hundred thread stacks
COLLECTOR: Final = 0.04  # of the heap: card tables and marking bitmaps


@dataclasses.dataclass(frozen=True, slots=True)
class Jvm:
    """The memory of one JVM in MiB."""

    heap: int
    direct: int

    def __post_init__(self) -> None:
        if self.heap < 32 or self.direct < 16:
            raise ValueError(
                f"a JVM needs a heap of at least 32 MiB and 16 MiB of direct memory, not {self.heap} and {self.direct}"
            )

    @property
    def memory(self) -> int:
        return self.heap + self.direct + METASPACE + CODE_CACHE + THREADS + math.ceil(self.heap * COLLECTOR)

    @property
    def flags(self) -> tuple[str, ...]:
        return (
            f"-Xmx{self.heap}m",
            f"-XX:MaxDirectMemorySize={self.direct}m",
            f"-XX:MaxMetaspaceSize={METASPACE}m",
            f"-XX:ReservedCodeCacheSize={CODE_CACHE}m",
        )


def task_memory(jvms: tuple[Jvm, ...], tier: int = 0) -> int:
    """MiB of a whole task, its executor included; ``tier`` is the memory tier in MiB."""
    return EXECUTOR_MEMORY + sum(jvm.memory for jvm in jvms) + tier
