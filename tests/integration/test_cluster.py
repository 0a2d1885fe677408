"""A local cluster with the real parts: started with one command, hurt in every part, ended without a trace.

What must survive is told by files that exist in a worker's memory tier only: their bytes can come from nowhere else.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest
import requests

from framework.alluxio.files import WriteType
from integration.local_cluster import NOTHING_REMAINS, PARTS, FirstUp, Json, LocalCluster, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

BLOCK = 1 << 20
CONTENT = bytes(index * index % 251 for index in range(5 * BLOCK // 2))  # two and a half blocks
WORKER_MAIN = "alluxio.worker.AlluxioWorker"


def address(task: Json) -> str:
    return f"{task['hostname']}:{task['ports']['rpc']}"


def place(task: Json) -> tuple[str, dict[str, int]]:
    """The agent and the ports."""
    return task["hostname"], task["ports"]


def write_cached(cluster: LocalCluster, path: str, worker: str) -> dict[int, tuple[str, ...]]:
    """A file of three blocks that this worker's memory tier alone holds; where they are cached."""
    with cluster.files() as files:
        if files.exists(path):
            files.delete(path)
        files.write(path, CONTENT, write_type=WriteType.MUST_CACHE, worker=worker, block_size=BLOCK)
    cached = cluster.cached_at(path)
    assert list(cached.values()) == [(worker,)] * 3
    return cached


def assert_kept(cluster: LocalCluster, path: str, cached: dict[int, tuple[str, ...]]) -> None:
    wait_until(lambda: cluster.cached_at(path), lambda seen: seen == cached, f"{path} to be cached as before")
    with cluster.files() as files:
        assert files.status(path).in_memory_percent == 100
        assert files.read(path) == CONTENT


def kill(*processes: psutil.Process) -> None:
    """kill -9, and the end of each."""
    for process in processes:
        process.kill()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert alive == []


# Up, status, logs -----------------------------------------------------------------------------------------------------


def test_up_tells_each_step_as_a_line_where_there_is_no_terminal(first_up: FirstUp) -> None:
    steps = [line.split(": ", 1) for line in first_up.outcome.lines if line.count(": ") == 1]
    trails: dict[str, list[str]] = {}
    for name, standing in steps:
        trails.setdefault(name, []).append(standing)
    for part in PARTS:
        assert trails[part] == ["starting", "ready"]
    # "waiting" and "running" last so short that they may pass between two looks.
    assert [standing for standing in trails["master-0"] if standing != "waiting"] == ["staging", "starting", "ready"]
    for worker in ("worker-0", "worker-1"):
        seen = [standing for standing in trails[worker] if standing not in ("waiting", "running")]
        assert seen == ["staging", "starting", "registered"]
    assert trails["proof"] == ["writing a file", "ready"]
    assert first_up.outcome.error == ""
    assert "\x1b" not in first_up.outcome.out


def test_up_ends_with_a_table_of_the_workers_and_what_it_proved(first_up: FirstUp) -> None:
    alluxio = first_up.cluster.endpoints["alluxio"]
    told = " ".join(first_up.outcome.out.split())
    assert f"alluxio://{alluxio['leader']}" in told
    assert told.count("192.0 MiB") == 2
    assert any(f"read back, and cached by {worker}." in told for worker in alluxio["workers"])


def test_endpoints_json_says_where_everything_is(cluster: LocalCluster) -> None:
    tasks = cluster.settled()
    api, mesos, zookeeper = range(cluster.first_port, cluster.first_port + 3)
    master = tasks["master-0"]
    assert cluster.endpoints == {
        "api": f"http://127.0.0.1:{api}",
        "mesos": f"http://127.0.0.1:{mesos}",
        "zookeeper": f"127.0.0.1:{zookeeper}",
        "alluxio": {
            "uri": f"alluxio://{address(master)}/",
            "leader": address(master),
            "leader_path": None,
            "web": f"http://{master['hostname']}:{master['ports']['web']}",
            "masters": [address(master)],
            "workers": [address(tasks["worker-0"]), address(tasks["worker-1"])],
            "proxies": [],
        },
    }
    assert cluster.ask("/v1/endpoints") == cluster.endpoints
    with cluster.files() as files:
        assert [mount.under_storage for mount in files.mount_table()] == [str(cluster.directory / "under-storage")]


def test_up_again_finds_the_cluster_running(first_up: FirstUp, cluster: LocalCluster) -> None:
    before = cluster.pids(), cluster.launched(), cluster.ledger.read_bytes()
    outcome = cluster.up("--json")
    assert outcome.code == 0, outcome.error
    document = outcome.document  # standard output is one JSON document and nothing else
    assert set(document) == {"endpoints", "status", "proof", "seconds"}
    assert document["endpoints"] == cluster.endpoints
    assert {task["slot"]: task["task_id"] for task in document["status"]["tasks"]} == cluster.task_ids()
    assert (cluster.pids(), cluster.launched(), cluster.ledger.read_bytes()) == before
    assert document["seconds"] < first_up.seconds  # far less, but on a busy machine any command may take long


def test_up_with_other_options_refuses_to_touch_a_running_cluster(cluster: LocalCluster) -> None:
    before = cluster.pids(), cluster.launched(), cluster.ledger.read_bytes()
    outcome = cluster.up(options=tuple("96MB" if option == "192MB" else option for option in cluster.options))
    assert (outcome.code, outcome.out) == (69, "")
    assert outcome.error == (
        f"A cluster with other options (ram) runs in {cluster.directory}; "
        "end it with `alluxio-mesos local down` first.\n"
    )
    assert (cluster.pids(), cluster.launched(), cluster.ledger.read_bytes()) == before


def test_status_and_logs_tell_of_the_running_cluster(cluster: LocalCluster) -> None:
    outcome = cluster.run("status", "--json")
    assert outcome.code == 0, outcome.error
    assert outcome.document["complete"] is True
    assert outcome.document["parts"] == dict.fromkeys(PARTS, True)
    assert [task["phase"] for task in outcome.document["status"]["tasks"]] == ["ready", "registered", "registered"]
    table = cluster.run("status")
    assert (table.code, table.error) == (0, "")
    assert table.out.count("registered") == 2
    scheduler = cluster.run("logs", "--lines", "2")
    assert (scheduler.code, len(scheduler.lines)) == (0, 2)
    worker = cluster.run("logs", "worker-0", "--lines", "1000")
    assert worker.code == 0
    assert "==> worker.log <==" in worker.lines
    unknown = cluster.run("logs", "worker-7")
    assert unknown.code == 69
    assert unknown.error.startswith("There is no log of worker-7")


# What operators and clients read --------------------------------------------------------------------------------------


def test_metrics_tell_of_the_cluster_and_of_alluxio(cluster: LocalCluster) -> None:
    tasks = cluster.settled()
    path = "/metrics/read"
    write_cached(cluster, path, address(tasks["worker-0"]))
    with cluster.files() as files:
        assert files.read(path) == CONTENT

    def look() -> dict[str, float]:
        text = cluster.text("/metrics")
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in text.splitlines())
            if not name.startswith("#")
        }

    slot = f'host="{tasks["worker-0"]["hostname"]}",slot="worker-0"'
    # The slow ones: the watch on Alluxio's workers and the poller of all figures, each of which a process that is busy
    # may leave unanswered in one sweep.
    seen = wait_until(
        look,
        lambda found: (
            found[f"alluxio_mesos_worker_hit_ratio{{{slot}}}"] == 1.0
            and found[f'alluxio_mesos_worker_used_bytes{{{slot},tier="MEM"}}'] >= len(CONTENT)
            and found["alluxio_primary_answers"] == 1
            and found['alluxio_primary_operations_total{operation="create_file"}'] > 0
        ),
        "the figures of worker-0 and of the primary in /metrics",
    )
    assert seen["alluxio_mesos_leader"] == seen["alluxio_mesos_healthy"] == seen["alluxio_mesos_connected"] == 1
    assert seen['alluxio_mesos_cache_capacity_bytes{tier="MEM"}'] == 2 * 192 << 20
    assert seen['alluxio_mesos_tasks{kind="worker",phase="registered"}'] == 2
    assert seen["alluxio_primary_rpcs_total"] > 0
    # Every figure that this project takes from Alluxio is one that Alluxio 2.9.6 has, but for what a local folder and
    # a local journal do not tell.
    served = {name.partition("{")[0] for name in seen}
    for name in (
        "read_bytes_total",
        "written_bytes_total",
        "journal_flushes_total",
        "hit_ratio",
        "paths",
        "heap_bytes",
    ):
        assert f"alluxio_primary_{name}" in served
    with cluster.files() as files:
        files.write("/metrics/through", CONTENT, write_type=WriteType.THROUGH, block_size=BLOCK)
        assert files.read("/metrics/through") == CONTENT
        [root] = files.mount_table()
    read = f'alluxio_primary_storage_read_bytes_total{{storage="{root.under_storage}"}}'
    wait_until(look, lambda found: found[read] >= len(CONTENT), "what was read from the storage at the root")


def test_clients_find_their_configuration(cluster: LocalCluster) -> None:
    master = cluster.settled()["master-0"]
    text = cluster.text("/v1/endpoints/alluxio")
    assert f"alluxio.master.hostname={master['hostname']}\nalluxio.master.rpc.port={master['ports']['rpc']}\n" in text
    assert f"alluxio://{address(master)}/" in cluster.text("/v1/endpoints/spark")
    targets = [target["targets"] for target in cluster.ask("/v1/endpoints/prometheus")]
    assert len(targets) == 3
    for (target,) in targets:
        answer = requests.get(f"http://{target}/metrics/prometheus/", timeout=60)
        assert (answer.status_code, "# TYPE" in answer.text) == (200, True)


def test_a_tasks_log_comes_through_its_agent(cluster: LocalCluster) -> None:
    task = cluster.settled()["worker-1"]
    found = cluster.ask("/v1/tasks/worker-1")
    assert found["processes"] == {"worker": "ready", "job-worker": "ready"}
    assert "Alluxio worker started" in cluster.text("/v1/tasks/worker-1/log?lines=1000")
    assert task["task_id"] in cluster.text("/v1/tasks/worker-1/log?file=stderr&lines=1000")
    for file, status in (("conf/alluxio-site.properties", 400), ("logs/nothing.log", 404)):
        answer = requests.get(f"{cluster.endpoints['api']}/v1/tasks/worker-1/log", params={"file": file}, timeout=60)
        assert answer.status_code == status


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_cached_file_comes_back_from_a_worker_of_ours(cluster: LocalCluster) -> None:
    tasks = cluster.settled()
    for slot in ("worker-0", "worker-1"):
        path = f"/round-trip/{slot}"
        cached = write_cached(cluster, path, address(tasks[slot]))
        assert_kept(cluster, path, cached)
    with cluster.files() as files:
        assert [status.persistence for status in files.list("/round-trip")] == ["NOT_PERSISTED", "NOT_PERSISTED"]
    assert not (cluster.directory / "under-storage" / "round-trip").exists()
    # The bytes lie in the tier folders, on the machine's tmpfs.
    held = sum(file.stat().st_size for file in cluster.ram_directory.rglob("*") if file.is_file())
    assert held >= 2 * len(CONTENT)


def test_a_file_written_through_lies_in_the_under_storage_too(cluster: LocalCluster) -> None:
    with cluster.files() as files:
        files.write("/through/file", CONTENT, write_type=WriteType.CACHE_THROUGH, block_size=BLOCK)
        status = files.status("/through/file")
        assert (status.persistence, status.length) == ("PERSISTED", len(CONTENT))
        assert {worker for block in status.blocks for worker in block.locations} <= set(
            cluster.endpoints["alluxio"]["workers"]
        )
        assert files.read("/through/file") == CONTENT
    assert (cluster.directory / "under-storage" / "through" / "file").read_bytes() == CONTENT


# Failures -------------------------------------------------------------------------------------------------------------


def test_a_killed_worker_jvm_is_restarted_in_place_with_its_blocks(cluster: LocalCluster) -> None:
    before, launched = cluster.settled()["worker-0"], cluster.launched()
    cached = write_cached(cluster, "/kept/worker-jvm", address(before))
    jvm = cluster.java("worker-0", WORKER_MAIN)
    kill(jvm)
    after = wait_until(
        lambda: cluster.settled()["worker-0"],
        lambda task: task["since"] > before["since"],  # it was reported as not ready in between
        "worker-0 to be registered anew",
    )
    assert cluster.java("worker-0", WORKER_MAIN).pid != jvm.pid
    assert cluster.launched() == launched
    assert place(after) == place(before)
    assert_kept(cluster, "/kept/worker-jvm", cached)


def relaunched(cluster: LocalCluster, slot: str, before: dict[str, Json]) -> None:
    """Wait until the slot runs as its next attempt on the same agent and ports, and nothing else was touched."""
    attempt = int(before[slot]["task_id"].rpartition(".")[2])
    expected = {other: task["task_id"] for other, task in before.items()} | {slot: f"{slot}.{attempt + 1}"}
    wait_until(cluster.task_ids, lambda ids: ids == expected, f"{slot} to be launched once more")
    after = cluster.settled()
    assert {other: task["task_id"] for other, task in after.items()} == expected
    assert place(after[slot]) == place(before[slot])


def kill_executor(cluster: LocalCluster, slot: str) -> None:
    """kill -9; its JVMs go with it, and no orphan is left."""
    executor = cluster.executor(slot)
    assert len(executor.children()) == 2
    below = executor.children(recursive=True)  # Alluxio may be asking a shell for a user's groups at this moment
    kill(executor)
    _, orphans = psutil.wait_procs(below, timeout=60)
    assert orphans == []


def test_a_killed_worker_executor_is_relaunched_where_its_blocks_lie(cluster: LocalCluster) -> None:
    before, executors = cluster.settled(), cluster.launched()
    cached = write_cached(cluster, "/kept/worker-executor", address(before["worker-1"]))
    kill_executor(cluster, "worker-1")
    relaunched(cluster, "worker-1", before)
    others = ("master-0", "worker-0")
    assert {slot: cluster.launched()[slot] for slot in others} == {slot: executors[slot] for slot in others}
    assert_kept(cluster, "/kept/worker-executor", cached)


def test_a_killed_master_executor_is_relaunched_with_its_namespace(cluster: LocalCluster) -> None:
    before, executors = cluster.settled(), cluster.launched()
    cached = write_cached(cluster, "/kept/master-executor", address(before["worker-0"]))
    kill_executor(cluster, "master-0")
    relaunched(cluster, "master-0", before)
    workers = ("worker-0", "worker-1")
    assert {slot: cluster.launched()[slot] for slot in workers} == {slot: executors[slot] for slot in workers}
    assert_kept(cluster, "/kept/master-executor", cached)


def test_an_agent_that_is_gone_and_back_takes_its_tasks_again(cluster: LocalCluster) -> None:
    before, launched = cluster.settled(), cluster.launched()
    name = f"agent-{before['master-0']['hostname']}"
    slot = next(slot for slot in ("worker-0", "worker-1") if before[slot]["hostname"] == before["master-0"]["hostname"])
    cached = write_cached(cluster, "/kept/agent", address(before[slot]))
    agent = cluster.parts()[name]
    command = agent.cmdline()
    kill(agent)
    outcome = cluster.up()  # starts what is missing, which is the agent
    assert outcome.code == 0, outcome.error
    assert cluster.parts()[name].cmdline() == command
    assert cluster.parts()[name].pid != agent.pid
    assert cluster.launched() == launched
    # Whoever reads the agent's word hears of what happens there from now on.
    kill_executor(cluster, slot)
    relaunched(cluster, slot, before)
    assert cluster.launched()["master-0"] == launched["master-0"]
    assert_kept(cluster, "/kept/agent", cached)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_scheduler_that_comes_back_finds_everything_as_it_was(cluster: LocalCluster, number: signal.Signals) -> None:
    launched, framework_id = cluster.launched(), cluster.ask("/v1/health")["framework_id"]
    scheduler = cluster.parts()["scheduler"]
    scheduler.send_signal(number)
    assert psutil.wait_procs([scheduler], timeout=60)[1] == []
    assert cluster.run("status").code == 69
    outcome = cluster.up()
    assert outcome.code == 0, outcome.error
    assert cluster.parts()["scheduler"].pid != scheduler.pid
    health = wait_until(lambda: cluster.ask("/v1/health"), lambda health: health["healthy"], "a healthy scheduler")
    assert (health["framework_id"], health["connected"]) == (framework_id, True)
    cluster.settled()
    assert cluster.launched() == launched


# The end --------------------------------------------------------------------------------------------------------------


def test_down_leaves_nothing_running_and_up_finds_the_same_namespace(cluster: LocalCluster) -> None:
    before = cluster.settled()
    cached = {}
    for slot in ("worker-0", "worker-1"):
        cached[f"/kept/down/{slot}"] = write_cached(cluster, f"/kept/down/{slot}", address(before[slot]))
    down = cluster.run("down")
    assert (down.code, down.error) == (0, "")
    assert down.lines[-1] == "The cluster has ended; its data is kept."
    wait_until(cluster.remains, lambda remains: remains == NOTHING_REMAINS, "an end without remains")
    assert not (cluster.directory / "endpoints.json").exists()
    assert cluster.run("status").code == 69
    again = cluster.run("down", "--json")
    assert (again.code, json.loads(again.out)) == (0, {"stopped": False})
    up = cluster.up()
    assert up.code == 0, f"{up.out}\n{up.error}\n{cluster.told()}"
    with cluster.files() as files:
        assert [status.path for status in files.list("/kept/down")] == list(cached)
    for path, blocks in cached.items():
        assert_kept(cluster, path, blocks)


def test_clean_removes_what_down_keeps(cluster: LocalCluster) -> None:
    assert cluster.ram_directory.is_dir()
    outcome = cluster.run("clean")
    assert (outcome.code, outcome.error) == (0, "")
    wait_until(cluster.remains, lambda remains: remains == NOTHING_REMAINS, "an end without remains")
    assert not cluster.directory.exists()
    assert not cluster.ram_directory.exists()
    assert not any(Path("/dev/shm").glob(f"{cluster.ram_directory.name}*"))
