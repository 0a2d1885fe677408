"""What an operator says of a single process arrives there, with the real parts: ports, properties, Java options, the
environment, and a group of workers that the service begins with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from integration.local_cluster import AGENT_PORTS, SERVICE_PORTS, Json, LocalCluster, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

SETTINGS = {
    "job-master-properties": "alluxio.job.master.worker.timeout=77sec",
    "job-worker-java-options": "'-Dmarker=two words'",
    "environment": "MARKER=all;OTHER=all",
    "worker-environment": "MARKER=worker",
    "worker-groups": json.dumps({"small": {"count": 1, "options": {"worker-ram": "16MB"}}}),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two agents: one worker of the default group, and one of another."""
    sizes = ("--agents", "2", "--ram", "32MB", "--workers", "1")
    cluster = LocalCluster(tmp_path_factory.mktemp("own") / "local", *sizes)
    settings = SETTINGS | {
        "master-rpc-port": str(last_port(cluster)),
        "job-worker-web-port": str(last_port(cluster, 1)),
    }
    cluster.options = (*sizes, *(text for name, value in settings.items() for text in ("--set", f"{name}={value}")))
    with cluster.while_up():
        yield cluster


def last_port(cluster: LocalCluster, before: int = 0) -> int:
    """Of those that the agents offer; none would take it by itself."""
    return cluster.first_port + SERVICE_PORTS + AGENT_PORTS - 1 - before


def settled(cluster: LocalCluster) -> dict[str, Json]:
    phases = {"master-0": "ready", "worker-0": "registered", "worker-small-0": "registered"}
    return wait_until(
        cluster.tasks,
        lambda tasks: {slot: task["phase"] for slot, task in tasks.items()} == phases,
        "a master that is ready and a registered worker of each group",
    )


def conf_of(process: psutil.Process) -> Path:
    [folder] = [part for part in process.cmdline() if part.startswith("-Dalluxio.conf.dir=")]
    return Path(folder.partition("=")[2])


def test_each_process_has_what_was_said_of_it(cluster: LocalCluster) -> None:
    tasks = settled(cluster)
    master, worker = tasks["master-0"], tasks["worker-0"]
    assert master["ports"]["rpc"] == last_port(cluster)
    assert worker["ports"]["job_web"] == last_port(cluster, 1)
    assert len(set(worker["ports"].values())) == 5
    job_master = cluster.java("master-0", "alluxio.master.AlluxioJobMaster")
    of_master = cluster.java("master-0", "alluxio.master.AlluxioMaster")
    assert "timeout=77sec" in (conf_of(job_master) / "alluxio-site.properties").read_text()
    assert "timeout=77sec" not in (conf_of(of_master) / "alluxio-site.properties").read_text()
    assert "-Dmarker=two words" in cluster.java("worker-0", "alluxio.worker.AlluxioJobWorker").cmdline()
    assert "-Dmarker=two words" not in cluster.java("worker-0", "alluxio.worker.AlluxioWorker").cmdline()
    of_worker = cluster.java("worker-0", "alluxio.worker.AlluxioWorker")
    found = [{name: process.environ()[name] for name in ("MARKER", "OTHER")} for process in (of_master, of_worker)]
    assert found == [{"MARKER": "all", "OTHER": "all"}, {"MARKER": "worker", "OTHER": "all"}]


def test_the_service_began_with_its_group(cluster: LocalCluster) -> None:
    groups = {group["name"]: group for group in cluster.ask("/v1/worker-groups")["groups"]}
    assert {name: group["count"] for name, group in groups.items()} == {"default": 1, "small": 1}
    tasks = settled(cluster)
    assert tasks["worker-small-0"]["hostname"] != tasks["worker-0"]["hostname"]
    assert (tasks["worker-small-0"]["capacity_bytes"], tasks["worker-0"]["capacity_bytes"]) == (16 << 20, 32 << 20)
    assert len({task["ports"]["rpc"] for task in tasks.values()}) == len(tasks)
