"""Starting and ending real, small processes; the ledger that remembers them."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil
import pytest

from eventually import eventually
from framework.local import processes
from framework.local.plan import Part
from framework.local.processes import Ledger, Started

# A part is meant to outlive the command that started it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

# Writes "NAME ready", then "NAME SIGNAL" for the signal that ends it.
TELLS = """
import os, signal, sys, time
name, story, ends = sys.argv[1:4]
def tell(word):
    with open(story, "a") as stream:
        stream.write(f"{name} {word}\\n")
def end(number, _):
    tell(signal.Signals(number).name)
    if ends == "ends":
        os._exit(0)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, end)
tell("ready")
while True:
    time.sleep(60)
"""


class Stage:
    """Starts parts in a folder and sees to it that none outlives the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.story = folder / "story"
        self.started: list[Started] = []

    def part(
        self, name: str, group: int, stop_signal: str = "SIGTERM", patience: float = 10.0, ends: bool = True
    ) -> Part:
        command = (sys.executable, "-c", TELLS, name, str(self.story), "ends" if ends else "stays")
        return Part(name, command, ("127.0.0.1", 1), group, stop_signal, patience)

    def start(self, part: Part) -> Started:
        entry = processes.start(part, self.folder / "logs" / f"{part.name}.log", {"GIVEN": "yes"}, self.folder)
        self.started.append(entry)
        eventually(lambda: f"{part.name} ready" in self.told(), f"{part.name} is ready")
        return entry

    def told(self) -> list[str]:
        return self.story.read_text().splitlines() if self.story.exists() else []

    def notes(self) -> list[str]:
        """What was told apart from each part's being ready."""
        return [line for line in self.told() if not line.endswith(" ready")]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for entry in stage.started:
        process = entry.process()
        if process is not None:
            process.kill()
            process.wait(60)


def process_of(entry: Started) -> psutil.Process:
    process = entry.process()
    assert process is not None
    return process


def test_a_part_outlives_the_command_in_a_session_of_its_own(stage: Stage) -> None:
    entry = stage.start(stage.part("one", 0))
    process = process_of(entry)
    assert os.getsid(entry.pid) == entry.pid
    assert process.cwd() == str(stage.folder)
    assert process.environ()["GIVEN"] == "yes"
    assert entry == Started("one", entry.pid, process.create_time(), 0, "SIGTERM", 10.0)


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "echo.log"
    part = Part("echo", ("/bin/sh", "-c", "echo out; echo error >&2"), ("127.0.0.1", 1), 0)
    for times in (1, 2):
        entry = processes.start(part, log, {}, tmp_path)
        eventually(lambda entry=entry: entry.process() is None, "echo has ended")
        assert log.read_text() == "out\nerror\n" * times


def test_groups_end_one_after_the_other_each_by_its_signal(stage: Stage) -> None:
    parts = [
        stage.part("last", 2),
        stage.part("first", 0),
        stage.part("agent-a", 1, "SIGUSR1"),
        stage.part("agent-b", 1, "SIGUSR1"),
    ]
    started = [stage.start(part) for part in parts]
    notes: list[str] = []
    processes.stop(started, notes.append)
    assert [entry.process() for entry in started] == [None] * 4
    told = stage.notes()
    assert (told[0], sorted(told[1:3]), told[3:]) == (
        "first SIGTERM",
        ["agent-a SIGUSR1", "agent-b SIGUSR1"],
        ["last SIGTERM"],
    )
    assert notes == ["stopping first", "stopping agent-a", "stopping agent-b", "stopping last"]


def test_a_group_waits_for_the_end_of_the_group_before(stage: Stage) -> None:
    """The stubborn one is killed when its patience is over; only then is the next group asked."""
    stubborn = stage.start(stage.part("stubborn", 0, patience=1.0, ends=False))
    other = stage.start(stage.part("other", 1))
    seen: list[bool] = []
    processes.stop([other, stubborn], lambda note: seen.append(stubborn.process() is not None))
    assert seen == [True, False]
    assert stage.notes() == ["stubborn SIGTERM", "other SIGTERM"]
    assert stubborn.process() is None
    assert other.process() is None


def test_what_has_ended_is_not_stopped(stage: Stage) -> None:
    entry = stage.start(stage.part("gone", 0))
    process = process_of(entry)
    process.kill()
    process.wait(60)
    notes: list[str] = []
    processes.stop([entry], notes.append)
    assert notes == []


def test_a_zombie_has_ended(tmp_path: Path) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "exec sleep 60"])
    entry = Started("zombie", child.pid, psutil.Process(child.pid).create_time(), 0, "SIGTERM", 1.0)
    assert entry.process() is not None
    child.kill()
    eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "it is a zombie")
    assert entry.process() is None
    child.wait()


def test_another_process_with_the_same_pid_is_left_alone(stage: Stage) -> None:
    entry = stage.start(stage.part("stranger", 0))
    earlier = dataclasses.replace(entry, born=entry.born - 60)
    assert earlier.process() is None
    processes.stop([earlier], lambda note: None)
    assert entry.process() is not None
    assert stage.notes() == []


def test_strays_are_known_by_their_sandbox(stage: Stage, tmp_path: Path) -> None:
    sandboxes = tmp_path / "mesos"

    def sleeper(sandbox: Path, program: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "MESOS_SANDBOX": str(sandbox)}, stdout=subprocess.PIPE
        )

    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    polite = "import time; print('ready', flush=True); time.sleep(60)"
    children = [
        sleeper(sandboxes / "agent" / "slaves", polite),
        sleeper(sandboxes / "agent" / "slaves", deaf),
        sleeper(tmp_path / "mesos-of-another", polite),
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        processes.stop_strays(sandboxes, patience=0.5)
        assert [child.poll() is None for child in children] == [False, False, True]
    finally:
        for child in children:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()


def test_the_ledger_gives_back_what_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "cluster.json")
    assert ledger.read() == ({}, [])
    first, second = Started("one", 1, 2.5, 0, "SIGTERM", 15.0), Started("two", 2, 3.5, 1, "SIGUSR1", 30.0)
    ledger.write({"agents": 2, "ports": {"agents": [1, 2]}}, [first])
    ledger.write({"agents": 2, "ports": {"agents": [1, 2]}}, [first, second])
    assert Ledger(tmp_path / "new" / "cluster.json").read() == (
        {"agents": 2, "ports": {"agents": [1, 2]}},
        [first, second],
    )
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["cluster.json"]
    ledger.clear()
    ledger.clear()
    assert ledger.read() == ({}, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_what_was_started_is_written_down(number: signal.Signals) -> None:
    class Told(Exception):
        pass

    def tell(number: int, frame: FrameType | None) -> None:
        raise Told

    story: list[str] = []
    before = signal.signal(number, tell)
    try:

        def begin() -> None:
            with processes.undisturbed():
                signal.raise_signal(number)
                story.append("started")
                signal.raise_signal(number)
                story.append("written down")

        with pytest.raises(Told):
            begin()
        assert story == ["started", "written down"]
        assert signal.getsignal(number) is tell
        signal.signal(number, signal.SIG_IGN)
        with processes.undisturbed():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_wait_until_ends_with_the_condition_or_with_the_time() -> None:
    answers = iter([False, False, True])
    assert processes.wait_until(lambda: next(answers), 30, 0.001)
    began = time.monotonic()
    assert not processes.wait_until(lambda: False, 0.05, 0.001)
    assert time.monotonic() - began >= 0.05
