"""A short run of a few clients with the real parts; `make bench` has the whole one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.zookeeper
@pytest.mark.localmesos
@pytest.mark.timeout(420, method="signal")
def test_the_last_durable_word_wins_and_no_slot_is_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "load", "--clients", "40", "--seconds", "15", "--agents", "12"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    with capsys.disabled():
        print(f"\n{ended.stdout}")
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
