"""Fewer workers and more again, with the real parts, under a client that never stops writing: nothing is lost.

Half of what it writes is in the workers' memory alone: a file whose worker went too soon can come back from nowhere.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import random
import threading
from collections.abc import Iterator

import pytest
import requests

from framework.alluxio.files import AlluxioError, Files, WriteType
from integration.local_cluster import Json, LocalCluster, Outcome, alluxio_mesos, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600, method="signal")]

KIB, MIB = 1 << 10, 1 << 20
# All that is kept fits one worker, also beside what it caches anew of what it reads: Alluxio evicts what has no room,
# whatever its write type promises.
RAM, KEPT = 128 * MIB, 48 * MIB
DRAIN_SECONDS = 6  # six looks at what a client still wrote
CARRIED_SECONDS = 120
SLOW = 120  # seconds that a change may take on a machine with much else to do
SLOTS = {"worker-0", "worker-1", "worker-2"}
FOLDER = "/traffic"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three agents with a worker each, as each test leaves them."""
    cluster = LocalCluster(
        tmp_path_factory.mktemp("scaling") / "local",
        *("--agents", "3", "--workers", "3", "--ram", f"{RAM // MIB}MB"),
        *("--set", f"decommission-drain={DRAIN_SECONDS}s"),
    )
    with cluster.while_up():
        yield cluster


def content(number: int) -> bytes:
    """Of a file, by its number: 64 KiB to 512 KiB that are like no other's."""
    source = random.Random(number)
    return source.randbytes(source.randint(64 * KIB, 512 * KIB))


class Traffic:
    """A client that writes and reads all the time. Every file whose write was answered is read back: one after each
    write, each before it is removed to make room, and all that are there at the end. It ends when one is lost.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self.written: collections.Counter[WriteType] = collections.Counter()
        self.lost: list[str] = []
        self.refused: list[str] = []
        self._cluster = cluster
        self._there: collections.deque[int] = collections.deque()  # numbers of files, the oldest first
        self._bytes = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join(timeout=2 * CARRIED_SECONDS)
        assert not self._thread.is_alive()

    @contextlib.contextmanager
    def files(self) -> Iterator[Files]:
        with self._cluster.masters() as masters, Files(masters, retry_seconds=30) as files:
            yield files

    def _run(self) -> None:
        chance, number = random.Random(5), 0
        with self.files() as files:
            while not self._ends.is_set() and not self.lost:
                self._write(files, number)
                if self._there:
                    self._check(files, chance.choice(self._there))
                number += 1
                self._ends.wait(0.05)  # else it has the machine to itself
            while self._there and not self.lost:
                self._remove(files)

    def _write(self, files: Files, number: int) -> None:
        write_type = (WriteType.MUST_CACHE, WriteType.ASYNC_THROUGH)[number % 2]
        written = content(number)
        while self._bytes + len(written) > KEPT:
            self._remove(files)
        try:
            files.write(f"{FOLDER}/{number}", written, write_type=write_type)
        except AlluxioError as error:
            self.refused.append(f"{number} ({write_type}): {error}")
            return
        self.written[write_type] += 1
        self._there.append(number)
        self._bytes += len(written)

    def _remove(self, files: Files) -> None:
        """The oldest, after a last look at it."""
        number = self._there.popleft()
        self._check(files, number)
        files.delete(f"{FOLDER}/{number}")
        self._bytes -= len(content(number))

    def _check(self, files: Files, number: int) -> None:
        self.lost += lost(files, f"{FOLDER}/{number}", content(number))


def lost(files: Files, path: str, expected: bytes) -> list[str]:
    """Nothing, or why the file is lost. One that is just being carried from a worker to another is looked for again."""

    def look() -> bytes:
        return files.read(path)

    try:
        found = wait_until(look, lambda _found: True, f"{path}, which is {files.status(path)},", CARRIED_SECONDS)
    except AssertionError as error:
        return [str(error)]
    return [] if found == expected else [f"{path}: {len(found)} bytes that are not the {len(expected)} written"]


def api(cluster: LocalCluster) -> Json:
    """The environment in which the commands find it."""
    return {"ALLUXIO_MESOS_API": cluster.endpoints["api"]}


# What the API says ----------------------------------------------------------------------------------------------------


def scale(cluster: LocalCluster, count: int) -> Json:
    answer = requests.put(f"{cluster.endpoints['api']}/v1/workers", json={"count": count}, timeout=60)
    assert answer.status_code == 200, answer.text
    document: Json = answer.json()
    return document


def three_answer(cluster: LocalCluster) -> dict[str, Json]:
    """The tasks, once three workers are registered, and known to Alluxio as alive."""

    def accept(status: Json) -> bool:
        phases = {task["slot"]: task["phase"] for task in status["tasks"]}
        return phases == {"master-0": "ready", **dict.fromkeys(SLOTS, "registered")} and (
            status["alluxio"]["live_workers"] == 3
        )

    status = wait_until(lambda: cluster.ask("/v1/status"), accept, "three registered workers", SLOW)
    found = cluster.ask("/v1/workers")
    assert (found["count"], found["ready"], found["missing"], found["leaving"]) == (3, 3, 0, [])
    return {task["slot"]: task for task in status["tasks"]}


def next_of(task_id: str) -> str:
    slot, _, attempt = task_id.rpartition(".")
    return f"{slot}.{int(attempt) + 1}"


def came_back(cluster: LocalCluster, before: dict[str, Json], slot: str) -> None:
    """Wait until a worker runs as its next attempt on the same agent and ports; nothing else was touched."""
    expected = {name: task["task_id"] for name, task in before.items()}
    expected[slot] = next_of(expected[slot])
    wait_until(cluster.task_ids, lambda ids: ids == expected, f"{slot} to come back", SLOW)
    after = three_answer(cluster)
    assert {name: (task["hostname"], task["ports"]) for name, task in after.items()} == {
        name: (task["hostname"], task["ports"]) for name, task in before.items()
    }


def address(task: Json) -> str:
    return f"{task['hostname']}:{task['ports']['rpc']}"


class Steps:
    """What /v1/plans/decommission showed, by slot: each step that was under way, once, in order."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.seen: dict[str, list[str]] = {}
        self._cluster = cluster

    def look(self) -> None:
        plan = self._cluster.ask("/v1/plans/decommission")
        for phase in plan["phases"]:
            steps = {step["name"]: step["status"] for step in phase["steps"]}
            assert list(steps) == ["persist", "decommission", "drain", "stop"]
            under_way = [name for name, status in steps.items() if status == "starting"]
            trail = self.seen.setdefault(phase["name"], [])
            trail += [name for name in under_way if trail[-1:] != [name]]

    def of(self, scaling: concurrent.futures.Future[Outcome]) -> Outcome | None:
        """Another look, while the command runs."""
        if scaling.done():
            return scaling.result()
        self.look()
        return None

    def draining(self) -> list[str]:
        self.look()
        return [slot for slot, trail in self.seen.items() if trail[-1:] == ["drain"]]


# Tests ----------------------------------------------------------------------------------------------------------------


def test_three_workers_one_and_three_again_lose_nothing_that_a_client_writes_meanwhile(cluster: LocalCluster) -> None:
    before = three_answer(cluster)
    late: dict[str, bytes] = {}

    def write_late(files: Files, slot: str, task: Json) -> None:
        """To a worker that no client is sent to any more, by one that still knows its address."""
        path, written = f"/late/{task['task_id']}", content(1_000_000 + len(late))
        files.write(path, written, write_type=WriteType.MUST_CACHE, worker=address(task))
        late[path] = written

    with Traffic(cluster) as traffic, traffic.files() as files:
        wait_until(
            lambda: cluster.ask("/v1/workers")["workers"],
            lambda workers: all(worker["used_bytes"] > 4 * MIB for worker in workers),
            "each worker to cache something",
        )

        # 3 -> 1, by the command line, which waits until it is so.
        steps = Steps(cluster)
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            scaling = executor.submit(
                alluxio_mesos, "scale", "1", "--wait", "--timeout", str(SLOW), "--json", environment=api(cluster)
            )
            [slot, *_] = wait_until(steps.draining, lambda draining: draining != [], "a worker that drains", SLOW)
            write_late(files, slot, before[slot])
            outcome = wait_until(
                lambda: steps.of(scaling), lambda ended: ended is not None, "the end of the command", SLOW
            )
        assert outcome is not None
        assert outcome.code == 0, f"{outcome.out}\n{outcome.error}"
        change = outcome.document
        gone = {left["slot"] for left in change["stop"]}
        assert (change["before"], change["count"], len(gone)) == (3, 1, 2)
        assert min(left["used_bytes"] for left in change["stop"]) > 0
        assert (change["workers"]["ready"], change["workers"]["leaving"]) == (1, [])
        trails = {slot: [name for name in trail if name != "stop"] for slot, trail in steps.seen.items()}
        assert set(trails) == gone
        # What is soon persisted may be so between two looks.
        assert all(trail in (["persist", "drain"], ["drain"]) for trail in trails.values()), trails
        [stays] = SLOTS - gone
        assert cluster.task_ids() == {slot: before[slot]["task_id"] for slot in ("master-0", stays)}
        wait_until(
            lambda: cluster.ask("/v1/status")["alluxio"]["live_workers"], lambda live: live == 1, "one worker", SLOW
        )

        # 1 -> 3
        assert set(scale(cluster, 3)["start"]) == gone
        again = three_answer(cluster)
        assert again[stays]["task_id"] == before[stays]["task_id"]

        # 3 -> 2, and taken back while the one that leaves drains: it stays where it is, with what it caches.
        [left] = scale(cluster, 2)["stop"]
        steps = Steps(cluster)
        wait_until(steps.draining, lambda draining: draining == [left["slot"]], "a worker that drains", SLOW)
        write_late(files, left["slot"], again[left["slot"]])
        taken_back = scale(cluster, 3)
        assert (taken_back["start"], taken_back["stop"]) == ([left["slot"]], [])
        came_back(cluster, again, left["slot"])

    assert traffic.lost == []
    assert traffic.refused == []
    assert min(traffic.written[kind] for kind in (WriteType.MUST_CACHE, WriteType.ASYNC_THROUGH)) > 50
    with cluster.files() as files:
        assert [reason for path, written in late.items() for reason in lost(files, path, written)] == []
    assert len(late) == 2


def test_a_worker_that_is_restarted_comes_back_where_it_was_with_all_that_it_cached(cluster: LocalCluster) -> None:
    before, launched = three_answer(cluster), cluster.launched()
    path, written = "/kept/restart", content(-1)
    with cluster.files() as files:
        files.write(path, written, write_type=WriteType.MUST_CACHE, worker=address(before["worker-0"]))
    cached = cluster.cached_at(path)
    assert list(cached.values()) == [(address(before["worker-0"]),)]

    outcome = alluxio_mesos("restart", "worker-0", "--json", environment=api(cluster))
    assert (outcome.code, outcome.error) == (0, "")
    assert outcome.document["task_id"] == before["worker-0"]["task_id"]

    came_back(cluster, before, "worker-0")
    others = SLOTS - {"worker-0"} | {"master-0"}
    assert {slot: cluster.launched()[slot] for slot in others} == {slot: launched[slot] for slot in others}
    wait_until(lambda: cluster.cached_at(path), lambda seen: seen == cached, f"{path} to be cached as before")
    with cluster.files() as files:
        status = files.status(path)
        assert (status.in_memory_percent, status.persistence) == (100, "NOT_PERSISTED")
        assert files.read(path) == written


def test_a_group_has_workers_of_its_own_size_where_it_may_and_loses_nothing_when_it_goes(cluster: LocalCluster) -> None:
    before, groups = three_answer(cluster), f"{cluster.endpoints['api']}/v1/worker-groups"
    requests.put(f"{groups}/default", json={"count": 2, "remove": ["worker-2"]}, timeout=60).raise_for_status()
    wait_until(cluster.task_ids, lambda ids: "worker-2" not in ids, "worker-2 to have left", SLOW)
    options = {"worker-ram": "64MB", "worker-placement": f"hostname:IS:{before['worker-2']['hostname']}"}
    made = requests.put(f"{groups}/small", json={"count": 1, "options": options}, timeout=60)
    assert (made.status_code, made.json()["start"]) == (200, ["worker-small-0"]), made.text

    def registered(group: Json) -> bool:
        return [task.get("capacity_bytes") for task in group["workers"]] == [64 * MIB] and group["ready"] == 1

    small = wait_until(lambda: cluster.ask("/v1/worker-groups/small"), registered, "a small worker", SLOW)
    [task] = small["workers"]
    assert (task["slot"], task["hostname"]) == ("worker-small-0", before["worker-2"]["hostname"])
    path, written = "/kept/group", content(-2)
    with cluster.files() as files:
        files.write(path, written, write_type=WriteType.MUST_CACHE, worker=address(task))
    assert list(cluster.cached_at(path).values()) == [(address(task),)]

    requests.delete(f"{groups}/small", timeout=60).raise_for_status()
    wait_until(
        lambda: [group["name"] for group in cluster.ask("/v1/worker-groups")["groups"]],
        lambda names: names == ["default"],
        "the group to have left",
        SLOW,
    )
    assert {"worker-0", "worker-1"} <= set(cluster.task_ids())
    with cluster.files() as files:
        assert files.read(path) == written
    scale(cluster, 3)
    again = three_answer(cluster)
    assert {slot: again[slot]["task_id"] for slot in ("worker-0", "worker-1")} == {
        slot: before[slot]["task_id"] for slot in ("worker-0", "worker-1")
    }
