"""One fault after the other: before, the fault, until all is well again, and what was lost meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psutil
import requests

from chaos.client import Cached, Client, Written, cached, may_be_lost, taken_too_early, unreadable
from chaos.copies import doubles
from chaos.faults import MASTER_TASK, WORKER_TASK, Fault, Floor, Happened, Scale, kill
from chaos.world import JOB_MASTER_MAIN, JOB_WORKER_MAIN, MASTER_MAIN, WORKER_MAIN, World
from framework.alluxio.files import AlluxioError
from integration.local_cluster import Json, wait_until

SETTLE_SECONDS = 240.0
MOST_TOLD = 10  # problems of one fault
READ_SECONDS = 30.0  # how long files may refuse to be read once all is well, together

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """What one fault did. Times in seconds, counted from its end (a kill is over at once)."""

    name: str
    words: str
    api: float
    files: float
    whole: float
    floors: dict[str, Floor]
    expected: tuple[int, int]
    relaunched: int
    lost: tuple[str, ...]
    early: tuple[str, ...]  # files that a worker took before it had registered, and that Alluxio had it free
    cached_lost: int  # bytes
    cached_may_go: int  # bytes that were in the memory which the fault itself destroyed
    doubles: tuple[str, ...]
    settled: bool
    problems: tuple[str, ...]  # what must not be, as sentences; none when all is well

    def ratio(self, column: str) -> float | None:
        floor = self.floors.get(column)
        return None if floor is None or not floor.seconds else getattr(self, column) / floor.seconds


@dataclass(frozen=True)
class Before:
    """What held when a fault began: each slot's launches, and where the files that stay were cached."""

    attempts: dict[str, int]
    cached: dict[Written, Cached]


class Run:
    """Runs faults on a cluster that is up."""

    def __init__(self, world: World, say: Say, away: float) -> None:
        self.world = world
        self.client = Client(world.addresses)
        self.scale = Scale(away, {})
        self._say = say

    def __enter__(self) -> Run:
        self.client.start()
        self.world.copies.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop()
        self.world.copies.stop()

    def settled(self, since: float, quiet: float) -> str:
        """Waits until all was well for ``quiet`` seconds; why it is not, when it takes too long."""
        world, written = self.world, self.client.count

        def missing() -> str:
            """The client has written since as well: that nothing failed may only mean that it still waits."""
            parts = (
                ("a part does not run", world.all_run()),
                (f"the API: {_why(world.api)}", world.api.good_for() >= quiet),
                (f"tasks: {_why(world.whole)}", world.whole.good_for() >= quiet),
                (f"writing: {_why(self.client.writes)}", self.client.writes.good_for() >= quiet),
                ("the client waits", self.client.count >= written + 3),
                ("it is too early to tell", time.monotonic() - since >= quiet),
            )
            return "; ".join(words for words, well in parts if not well) or self._uncounted()

        told = ""
        told_at = time.monotonic()
        deadline = time.monotonic() + SETTLE_SECONDS
        while why := missing():
            if time.monotonic() > deadline:
                return f"not settled after {SETTLE_SECONDS:g} s: {why}"
            if why != told and time.monotonic() - told_at > 5:
                self._say(f"    … {why}")
                told, told_at = why, time.monotonic()
            time.sleep(0.1)
        return ""

    def _uncounted(self) -> str:
        with self.client.session() as session:
            return self.world.uncounted(session.masters)

    def calibrate(self) -> None:
        """How long Alluxio's processes take when somebody starts the same command lines by hand, one alone and a task's
        two together: the floor of every recovery that needs a JVM.
        """
        tasks = wait_until(self.world.tasks, bool, "the tasks")
        primary = self.world.primary_slot()
        standby = next(slot for slot in tasks if slot.startswith("master") and slot != primary)
        starts = {}
        for what, slot, mains in (
            (WORKER_MAIN, "worker-0", (WORKER_MAIN,)),
            (MASTER_MAIN, standby, (MASTER_MAIN,)),
            (WORKER_TASK, "worker-0", (WORKER_MAIN, JOB_WORKER_MAIN)),
            (MASTER_TASK, standby, (MASTER_MAIN, JOB_MASTER_MAIN)),
        ):
            self.world.hurt[slot] += 1
            starts[what] = self._by_hand(slot, mains, self._serves(tasks[slot], len(mains) > 1))
            why = self.settled(time.monotonic(), 3)
            assert not why, why
            names = " and ".join(main.rpartition(".")[2] for main in mains)
            self._say(f"{names} take {starts[what]:.1f} s to start by hand")
        self.scale = dataclasses.replace(self.scale, starts=starts)
        # What was written meanwhile is not judged: a block that a worker takes in the moment in which it registers with
        # the master again is no part of the list that it registers with, and is freed (Alluxio 2.9.6).
        self.client.forget_passing()

    def _by_hand(self, slot: str, mains: Sequence[str], ready: Callable[[], bool]) -> float:
        """The executor stands still meanwhile, and takes over again afterwards."""
        executor, jvms = self.world.executor(slot), [self.world.java(slot, main) for main in mains]
        found = [(jvm.cmdline(), jvm.cwd(), jvm.environ()) for jvm in jvms]
        executor.suspend()
        started: list[subprocess.Popen[bytes]] = []
        try:
            kill(*jvms)
            assert not ready(), f"{' and '.join(mains)} of {slot} answer although they were killed"
            began = time.monotonic()
            for command, folder, environment in found:
                quiet = subprocess.DEVNULL
                started.append(
                    subprocess.Popen(command, cwd=folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
                )
            wait_until(ready, bool, f"{' and '.join(mains)} started by hand", 120)
            return time.monotonic() - began
        finally:
            for child in started:
                child.kill()
                child.wait()
            executor.resume()

    def _serves(self, task: Json, whole: bool) -> Callable[[], bool]:
        """Whether a task's process, or its ``whole``, does what it is for: a worker takes a block and shows its page, a
        standby master stands for election, which its RPC port tells.
        """
        address = {name: f"{task['hostname']}:{port}" for name, port in task["ports"].items()}
        if task["slot"].startswith("master"):
            return lambda: _answers(address["rpc"]) and (not whole or _answers(address["job_rpc"]))
        return lambda: (
            self._takes_blocks(address["rpc"])
            and _shows(f"http://{address['web']}/api/v1/worker/info")
            and (not whole or _answers(address["job_rpc"]))
        )

    def _takes_blocks(self, address: str) -> bool:
        path = f"/chaos/by-hand/{time.monotonic_ns()}"
        with self.client.session() as session:
            try:
                session.files.write(path, b"by hand", worker=address)
                session.files.delete(path)
            except AlluxioError:
                return False
        return True

    # One fault --------------------------------------------------------------------------------------------------------

    def fault(self, fault: Fault) -> Row:
        world = self.world
        self._say(f"▶ {fault.name}: {fault.words}")
        self.client.leave(fault.name.replace(" ", "-").replace("'", ""))
        with self.client.session() as session:
            launched = wait_until(world.task_ids, bool, "the tasks")
            before = Before(attempts(launched), cached(session.files, self.client.staying()))
        world.copies.doubles.clear()
        began = time.monotonic()
        undone = ""
        try:
            happened = fault.do(world, self.scale)
        except (AssertionError, LookupError, OSError, psutil.Error) as error:  # what requests raises are OSErrors
            undone = f"it could not be done: {type(error).__name__}: {error}"
            happened = Happened(time.monotonic(), then=world.clear_faults)
        why = self.settled(happened.over, fault.quiet)
        happened.then()
        row = self._judged(fault, happened, began, before, "; ".join(filter(None, (undone, why))))
        self._tell(row)
        return row

    def _judged(self, fault: Fault, happened: Happened, began: float, before: Before, why: str) -> Row:
        world = self.world
        times = {
            "api": world.api.recovered(began, happened.over),
            "files": self.client.writes.recovered(began, happened.over),
            "whole": world.whole.recovered(began, happened.over),
        }
        after = attempts(wait_until(world.task_ids, lambda _: True, "the tasks"))
        relaunched = sum(max(0, after[slot] - before.attempts.get(slot, 0)) for slot in after)
        with self.client.session() as session:
            still = cached(session.files, before.cached)
            gone = unreadable(session, self.client.acknowledged(), READ_SECONDS)
        # What only the destroyed memory held cannot come back: it counts as cached bytes, not as files.
        missed = {
            file: f"{file.path}: {reason}"
            for file, reason in gone.items()
            if not may_be_lost(file, before.cached.get(file), happened.destroyed)
        }
        restarting = (happened.restarted, happened.over, happened.over + times["whole"])
        early = {file: words for file, words in missed.items() if taken_too_early(file, *restarting)}
        lost = tuple(words for file, words in missed.items() if file not in early)
        may_go = sum(held.only_at(happened.destroyed | happened.emptied) for held in before.cached.values())
        cached_lost = sum(max(0, held.size - still[file].size) for file, held in before.cached.items() if file in still)
        world.copies.away = frozenset()
        double = {**doubles(world.copies.look()), **world.copies.doubles}
        least, most = happened.relaunched
        problems = (
            *filter(None, [why]),
            *(f"lost: {words}" for words in lost),
            *(f"wrong bytes came back from {path}" for path in self.client.wrong),
            *(f"two at a time: {words}" for words in double.values()),
            *(
                [f"{relaunched} tasks were relaunched, not {expected_words(happened.relaunched)}"]
                if not least <= relaunched <= most
                else []
            ),
            *(
                [f"{cached_lost} cached bytes are gone, of which at most {may_go} were destroyed"]
                if cached_lost > may_go
                else []
            ),
        )
        self.client.forget(gone)
        self.client.forget_passing()
        self.client.wrong.clear()
        return Row(
            fault.name,
            fault.words,
            **times,
            floors=dict(happened.floors),
            expected=happened.relaunched,
            relaunched=relaunched,
            lost=lost,
            early=tuple(early.values()),
            cached_lost=cached_lost,
            cached_may_go=may_go,
            doubles=tuple(double.values()),
            settled=not why,
            problems=problems,
        )

    def _tell(self, row: Row) -> None:
        times = f"API {row.api:.1f} s, files {row.files:.1f} s, all tasks {row.whole:.1f} s"
        self._say(f"  {'✓' if not row.problems else '✗'} {times}, {row.relaunched} relaunched, {len(row.lost)} lost")
        for words in row.early:
            self._say(f"    its worker took it before it had registered, and freed it: {words}")
        for problem in row.problems[:MOST_TOLD]:
            self._say(f"    {problem}")
        if len(row.problems) > MOST_TOLD:
            self._say(f"    … and {len(row.problems) - MOST_TOLD} more")


def attempts(task_ids: dict[str, str]) -> dict[str, int]:
    """How often each slot was launched."""
    return {slot: int(task_id.rpartition(".")[2]) for slot, task_id in task_ids.items()}


def expected_words(expected: tuple[int, int]) -> str:
    least, most = expected
    return str(least) if least == most else f"{least} to {most}"


def _why(timeline: object) -> str:
    last = getattr(timeline, "last", None)
    return last.why or "not yet for long enough" if last is not None else "nothing is known"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def _shows(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=2).ok
    return False


def failed(rows: Iterable[Row]) -> list[str]:
    return [f"{row.name}: {problem}" for row in rows for problem in row.problems]
