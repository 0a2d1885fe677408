"""The command line in this process, as a shell would call it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from framework import cli

Run = Callable[..., tuple[int, str, str]]


def runner(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Takes arguments, gives exit code, output and errors; the API is at ``url``, whatever the environment says."""
    for name in [name for name in os.environ if name.startswith("ALLUXIO_MESOS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ALLUXIO_MESOS_API", url)

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run_it
