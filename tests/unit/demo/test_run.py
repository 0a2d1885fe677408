"""What the demonstration leaves behind in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.demo.run import _tidied
from framework.demo.trouble import Failed


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "store").mkdir(parents=True)
    for name in ("server.log", "s3proxy.properties"):
        (folder / "store" / name).write_text("text\n")
    return folder


@pytest.mark.parametrize("kind", [None, KeyboardInterrupt])
def test_nothing_stays_when_it_went_well_or_was_stopped(work: Path, kind: type[BaseException] | None) -> None:
    _tidied(work, kind)
    assert not work.exists()


def test_of_a_failure_the_logs_stay(work: Path) -> None:
    _tidied(work, Failed)
    assert [path.name for path in work.rglob("*") if path.is_file()] == ["server.log"]
