"""The end of a service for good, with the real parts: as DC/OS asks for it, and with the command; and a new beginning
under the same name.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from framework.alluxio.files import WriteType
from framework.zookeeper.session import connect
from integration.local_cluster import Json, LocalCluster, alluxio_mesos, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

SERVICE = "/alluxio-mesos"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """One agent with a master and a worker, whose SSD tier lies on a volume."""
    settings = ("--set", "worker-ssd=64MB", "--set", "persistent-volumes=yes")
    cluster = LocalCluster(tmp_path / "local", "--agents", "1", "--ram", "16MB", *settings)
    with cluster.while_up():
        yield cluster


class Last:
    """The scheduler as DC/OS starts it once more: with the same command, and one variable."""

    def __init__(self, scheduler: psutil.Process) -> None:
        self.command, self.environment, self.folder = scheduler.cmdline(), scheduler.environ(), scheduler.cwd()
        scheduler.terminate()
        psutil.wait_procs([scheduler], timeout=60)

    @contextlib.contextmanager
    def runs(self, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**self.environment, "SDK_UNINSTALL": "true"}
        with log.open("ab") as file:
            process = subprocess.Popen(self.command, cwd=self.folder, env=environment, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def deployment(cluster: LocalCluster) -> tuple[int, Json]:
    answer = requests.get(f"http://127.0.0.1:{cluster.first_port}/v1/plans/deploy", timeout=60)
    return answer.status_code, answer.json()


def reserved(cluster: LocalCluster) -> list[Json]:
    """What Mesos holds reserved, as its operator API tells it."""
    url = f"http://127.0.0.1:{cluster.first_port + 1}/api/v1"
    [agent] = requests.post(url, json={"type": "GET_AGENTS"}, timeout=60).json()["get_agents"]["agents"]
    return [entry for entry in agent["total_resources"] if entry.get("reservations")]


def frameworks(cluster: LocalCluster) -> tuple[list[str], list[str]]:
    """The ids of those that Mesos knows, and of those that it has forgotten."""
    url = f"http://127.0.0.1:{cluster.first_port + 1}/api/v1"
    found = requests.post(url, json={"type": "GET_FRAMEWORKS"}, timeout=60).json()["get_frameworks"]
    ids = [
        [entry["framework_info"]["id"]["value"] for entry in found.get(key, [])]
        for key in ("frameworks", "completed_frameworks")
    ]
    return ids[0], ids[1]


def in_zookeeper(cluster: LocalCluster) -> list[str]:
    session = connect(f"127.0.0.1:{cluster.first_port + 2}")
    try:
        return list(session.client.get_children("/"))
    finally:
        session.close()


def cached(cluster: LocalCluster) -> list[Path]:
    return [path for path in cluster.ram_directory.rglob("*") if path.is_file() and path.suffix != ".lock"]


def write(cluster: LocalCluster, path: str, content: bytes, how: WriteType) -> None:
    with cluster.files() as files:
        files.write(path, content, write_type=how)


def test_all_goes_as_dcos_asks_for_it_and_with_the_command_and_begins_anew(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    write(cluster, "/kept", b"in the under-storage", WriteType.CACHE_THROUGH)
    [first] = frameworks(cluster)[0]
    assert reserved(cluster)
    assert cached(cluster)
    last, log = Last(cluster.parts()["scheduler"]), tmp_path / "last.log"

    # Killed in the middle, and started again: it goes on.
    with last.runs(log):
        code, plan = wait_until(lambda: deployment(cluster), lambda found: found[0] in (200, 202), "an answer")
        assert (code, plan["phases"][0]["name"]) == (202, "tasks")
        refused = requests.put(f"http://127.0.0.1:{cluster.first_port}/v1/workers", json={"count": 1}, timeout=60)
        assert (refused.status_code, "is being uninstalled" in refused.json()["detail"]) == (409, True)
    with last.runs(log) as process:
        code, plan = wait_until(lambda: deployment(cluster), lambda found: found[0] == 200, "the end of it all", 300)
        assert {step["status"] for phase in plan["phases"] for step in phase["steps"]} == {"ready"}
        assert frameworks(cluster) == ([], [first])
        assert reserved(cluster) == []
        assert cached(cluster) == []
        assert wait_until(lambda: in_zookeeper(cluster), lambda found: SERVICE[1:] not in found, "an empty ZooKeeper")
        health = requests.get(f"http://127.0.0.1:{cluster.first_port}/v1/health", timeout=60)
        assert (health.status_code, process.poll()) == (200, None)
    with last.runs(log):  # Marathon may start it once more
        wait_until(lambda: deployment(cluster)[0], lambda code: code == 200, "nothing to do")
        assert frameworks(cluster) == ([], [first])

    # Another one of the same name begins with an empty journal, and finds the file in the under-storage.
    again = cluster.up()
    assert again.code == 0, f"{again.out}\n{again.error}\n{cluster.told()}"
    [second] = frameworks(cluster)[0]
    assert second != first
    with cluster.files() as files:
        assert files.read("/kept") == b"in the under-storage"

    # A scheduler that leads is in the way; without one the command does it.
    place = (
        "--mesos",
        f"127.0.0.1:{cluster.first_port + 1}",
        "--zookeeper",
        f"127.0.0.1:{cluster.first_port + 2}",
    )
    refused_command = alluxio_mesos("uninstall", *place, "--yes")
    assert refused_command.code == 73, refused_command.error
    scheduler = cluster.parts()["scheduler"]
    scheduler.terminate()
    psutil.wait_procs([scheduler], timeout=60)
    asked = alluxio_mesos("uninstall", *place)
    assert (asked.code, "no terminal" in asked.error) == (64, True)
    removed = alluxio_mesos("uninstall", *place, "--yes")
    assert removed.code == 0, removed.error
    assert f"framework  {second}" in removed.error
    assert frameworks(cluster) == ([], [first, second])
    assert (reserved(cluster), cached(cluster)) == ([], [])
    assert SERVICE[1:] not in in_zookeeper(cluster)
    nothing = alluxio_mesos("uninstall", *place, "--yes")
    assert (nothing.code, "no state lies" in nothing.error) == (69, True)
