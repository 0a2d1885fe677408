"""A worker whose SSD tier lies on a persistent volume, with the real parts: what outlives a sudden end of its task, and
the end of its agent, and how it is given back.
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
from integration.local_cluster import Json, LocalCluster, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

MIB = 1 << 20
BLOCK = 8 * MIB
CONTENT = bytes(range(256)) * (5 * BLOCK // 256)  # five blocks, of which memory holds two at the most
STILL = (
    "alluxio.worker.management.tier"  # Alluxio moves blocks between tiers as they are used; not while we look at them
)
SETTINGS = {
    "worker-ssd": "100MB",
    "persistent-volumes": "yes",
    "properties": f"{STILL}.align.enabled=false;{STILL}.promote.enabled=false;{STILL}.swap.restore.enabled=false",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """One agent with a master and a worker."""
    settings = (text for name, value in SETTINGS.items() for text in ("--set", f"{name}={value}"))
    cluster = LocalCluster(tmp_path / "local", "--agents", "1", "--ram", "16MB", *settings)
    with cluster.while_up():
        yield cluster


def worker(cluster: LocalCluster, attempt: int) -> Json:
    """The worker's task once this attempt is registered."""
    return wait_until(
        lambda: cluster.tasks()["worker-0"],
        lambda task: (task["task_id"], task["phase"]) == (f"worker-0.{attempt}", "registered"),
        f"worker-0.{attempt} to be registered",
    )


def blocks_in(folder: Path) -> dict[str, int]:
    """The size of each block in a tier's folder, by its name; a worker deletes a moment later than it is told to."""
    found = {}
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                found[file.name] = file.stat().st_size
    return found


def kept_for_anyone(cluster: LocalCluster) -> list[tuple[str, float, str]]:
    """What the agent holds reserved, as the operator API tells it: name, MiB, persistence id."""
    url = f"http://127.0.0.1:{cluster.first_port + 1}/api/v1"
    [agent] = requests.post(url, json={"type": "GET_AGENTS"}, timeout=60).json()["get_agents"]["agents"]
    return [
        (entry["name"], entry["scalar"]["value"], entry.get("disk", {}).get("persistence", {}).get("id", ""))
        for entry in agent["total_resources"]
        if entry.get("reservations")
    ]


@contextlib.contextmanager
def another_scheduler(cluster: LocalCluster, workers: int) -> Iterator[None]:
    """The operator's way to scale: the scheduler ends, and starts again with another count."""
    scheduler = cluster.parts()["scheduler"]
    command, environment, folder = scheduler.cmdline(), scheduler.environ(), scheduler.cwd()
    scheduler.terminate()
    psutil.wait_procs([scheduler], timeout=60)
    command[command.index("--workers") + 1] = str(workers)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.terminate()


def test_blocks_on_a_volume_outlive_the_task_and_the_agent_and_the_volume_is_given_back(cluster: LocalCluster) -> None:
    before = worker(cluster, 1)
    [volume] = before["volumes"]
    assert (volume["tier"], volume["size_mib"]) == ("ssd", 100)
    [folder] = (cluster.directory / "mesos").rglob(f"volumes/roles/*/{volume['persistence_id']}")
    address = f"{before['hostname']}:{before['ports']['rpc']}"
    with cluster.files() as files:
        files.write("/kept", CONTENT, write_type=WriteType.MUST_CACHE, worker=address, block_size=BLOCK)
    cached, on_volume = cluster.cached_at("/kept"), blocks_in(folder)
    assert list(cached.values()) == [(address,)] * 5
    assert sum(on_volume.values()) >= 3 * BLOCK

    executor = cluster.executor("worker-0")
    sandbox = Path(executor.environ()["MESOS_SANDBOX"])
    executor.kill()
    assert psutil.wait_procs([executor], timeout=60)[1] == []

    after = worker(cluster, 2)
    assert after["volumes"] == [volume]
    assert (after["hostname"], after["ports"]) == (before["hostname"], before["ports"])
    assert Path(cluster.executor("worker-0").environ()["MESOS_SANDBOX"]) != sandbox
    wait_until(lambda: cluster.cached_at("/kept"), lambda seen: seen == cached, "all blocks to be cached as before")
    wait_until(lambda: blocks_in(folder), lambda seen: seen == on_volume, "the same blocks to lie on the volume")
    with cluster.files() as files:
        assert files.read("/kept") == CONTENT

    # The agent ends for good, and comes back with another id.
    assert cluster.run("down").code == 0
    outcome = cluster.up()
    assert outcome.code == 0, f"{outcome.out}\n{outcome.error}\n{cluster.told()}"
    again = worker(cluster, 3)
    assert again["agent_id"] != after["agent_id"]
    assert again["volumes"] == [volume]
    wait_until(lambda: cluster.cached_at("/kept"), lambda seen: seen == cached, "all blocks to be cached as before")
    wait_until(lambda: blocks_in(folder), lambda seen: seen == on_volume, "the same blocks to lie on the volume")
    with cluster.files() as files:
        assert files.read("/kept") == CONTENT

    # The worker is not wanted any more.
    assert kept_for_anyone(cluster) == [("disk", 100.0, volume["persistence_id"])]
    with another_scheduler(cluster, workers=0):
        wait_until(lambda: kept_for_anyone(cluster), lambda held: held == [], "nothing to be reserved", 300)
        # The master forgets the volume at once; the agent, which hears of it after that, deletes the files.
        wait_until(folder.exists, lambda exists: not exists, "the volume's folder to be deleted")
