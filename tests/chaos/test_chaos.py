"""The short selection of faults, with the real parts; `make chaos` plays all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.integration
@pytest.mark.timeout(900, method="signal")
def test_nothing_is_lost_and_nothing_runs_twice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "chaos", "--short", "--logs", str(tmp_path / "logs")],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    table = "".join(line for line in ended.stdout.splitlines(keepends=True) if not line[:2].isdigit())
    with capsys.disabled():
        print(f"\n{table}")
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
