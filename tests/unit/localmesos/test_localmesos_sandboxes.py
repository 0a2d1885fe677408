"""Old sandboxes go, the newest and the living stay."""

from __future__ import annotations

import os
from pathlib import Path

from localmesos.containerizer import KEPT_SANDBOXES, Containerizer


def test_the_newest_ended_sandboxes_and_every_living_one_are_kept(tmp_path: Path) -> None:
    containerizer = Containerizer(tmp_path)
    sandboxes = [containerizer.sandbox("S0", "F0", f"worker-0.{number}", f"run-{number}") for number in range(6)]
    for age, sandbox in enumerate(sandboxes):
        containerizer.prepare(sandbox)
        os.utime(sandbox, (age, age))
    living = sandboxes[1]

    containerizer.tidy({living})

    assert [sandbox for sandbox in sandboxes if sandbox.exists()] == [living, *sandboxes[-KEPT_SANDBOXES:]]
