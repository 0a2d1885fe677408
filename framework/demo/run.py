"""The demonstration itself: starts the store, the cluster and Spark, measures, ends them. Says what it does to a watch;
prints nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
import requests

from framework.alluxio.files import AlluxioError
from framework.artefacts import ALLUXIO_VERSION, ArtefactError, Artefacts
from framework.demo import spark
from framework.demo.cache import Cache
from framework.demo.limiter import Counted, Limiter
from framework.demo.plan import (
    BUCKET,
    CORES,
    JOB_BY_NAME,
    JOBS,
    KILLED_AFTER,
    MOUNTED,
    ROUND_OF_OTHERS,
    SHARED_TABLE,
    SHARING,
    WARM_UPS,
    Plan,
    Run,
    Warmth,
    Way,
    expected_seconds,
    expected_start,
    rounds,
)
from framework.demo.store import HOST, KEYS, Store
from framework.demo.trouble import Failed
from framework.local import cluster
from framework.local.plan import Plan as ClusterPlan
from framework.local.plan import Ports
from framework.local.preflight import NotReady
from framework.local.processes import wait_until

LOCAL_READ: Final = "Client.BytesReadLocal"
WORKER_READS: Final = ("Worker.BytesReadDomain", "Worker.BytesReadRemote")
COMPARED: Final = (Way.STORE, Way.ALLUXIO)
PART_SECONDS: Final = ROUND_OF_OTHERS / 3 / len(COMPARED)  # of a round: sharing, crash and locality, each in two ways
ELSEWHERE: Final = "127.0.0.99"  # a host on which no worker runs
AGENT_PORTS: Final = 40
MOUNT_SECONDS: Final = 60.0
FIRST_PORT, LAST_PORT = 20_000, 30_000  # below those that Linux gives to clients


class Watch:
    """Is told what goes on: ``say`` what begins, ``advance`` how much of the expected seconds is done, ``measured``
    each figure.
    """

    def say(self, words: str) -> None: ...

    def advance(self, seconds: float) -> None: ...

    def measured(self, run: Mapping[str, Any]) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """What runs while it is measured. ``roots`` is where each way finds the tables."""

    plan: Plan
    limiter: Limiter
    cache: Cache
    roots: Mapping[Way, str]
    session: Callable[..., spark.Session]
    watch: Watch


def run(plan: Plan, folder: Path, artefacts: Path, watch: Watch) -> dict[str, Any]:
    """Everything that was measured, as results.json has it but for the summary. What is made in ``folder`` and on the
    tmpfs is removed again; of a failure the logs stay.

    Raises:
        Failed: it cannot go on.
    """
    began = time.time()
    try:
        with _stage(plan, folder, artefacts, watch) as (stage, conditions):
            measured = _measure(stage)
    except ArtefactError as error:
        raise Failed(str(error)) from error
    except NotReady as error:
        raise Failed("\n".join(map(str, error.args))) from error
    except (cluster.Failed, AlluxioError, requests.RequestException) as error:
        raise Failed(str(error)) from error
    return {
        "version": 1,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": time.time() - began,
        "conditions": conditions,
        **measured,
    }


@contextlib.contextmanager
def _stage(plan: Plan, folder: Path, artefacts: Path, watch: Watch) -> Iterator[tuple[Stage, dict[str, Any]]]:
    from framework.demo import dataset  # pyarrow is there for the demo only

    own = Artefacts(artefacts)
    tmpfs = Path("/dev/shm") / f"alluxio-mesos-demo-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    with contextlib.ExitStack() as stack:
        for scratch in (tmpfs, folder):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            stack.push(partial(_tidied, scratch))
        watch.say("fetching the jars of Spark's clients and of the S3 server")
        own.jars(("spark",))
        store = stack.enter_context(Store(plan.s3, folder / "store", own, watch.say))
        limiter = stack.enter_context(Limiter(HOST, (HOST, store.port), plan.bandwidth, plan.latency))
        watch.say("making the data set")
        tables = dataset.make(tmpfs, plan.size, lambda *news: None)
        watch.say("bringing the data set into the store")
        store.fill(tmpfs)
        watch.say("starting the cluster")
        ready = stack.enter_context(_cluster(plan, folder / "cluster", artefacts, watch))
        api = ready.endpoints["api"]
        watch.say("mounting the store")
        _mount(api, f"http://{HOST}:{limiter.port}")
        guide = requests.get(f"{api}/v1/endpoints/spark", timeout=10)
        guide.raise_for_status()
        worker = next(task for task in ready.status["tasks"] if task["slot"] == "worker-0")
        root = requests.get(f"{api}/v1/endpoints/spark", headers={"Accept": "application/json"}, timeout=10).json()[
            "uri"
        ]
        page = f"http://{worker['hostname']}:{worker['ports']['web']}"
        cache = stack.enter_context(Cache(ready.endpoints["alluxio"], MOUNTED, page))
        limited = f"http://{HOST}:{limiter.port}"
        jars = own.jar_folder("spark")

        def session(host: str = worker["hostname"]) -> spark.Session:
            conf = folder / f"spark-{host}"
            conf.mkdir(exist_ok=True)
            text = spark.configuration(guide.text, jars, limited, host, folder)
            (conf / "spark-defaults.conf").write_text(text)
            (conf / "log4j2.properties").write_text(spark.LOGGING)
            return spark.Session(conf, folder / "spark.log")

        roots = {Way.MEMORY: f"file://{tmpfs}", Way.STORE: f"s3a://{BUCKET}", Way.ALLUXIO: root.rstrip("/") + MOUNTED}
        stage = Stage(plan, limiter, cache, roots, session, watch)
        yield stage, _conditions(plan, tables, store)


def _tidied(folder: Path, kind: type[BaseException] | None, *_: object) -> None:
    """Nothing stays of the folder; of a failure its logs, as the sentence that tells it names them."""
    if kind is None or not issubclass(kind, Exception):
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.endswith(".log"):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _cluster(plan: Plan, folder: Path, artefacts: Path, watch: Watch) -> Iterator[cluster.Ready]:
    """With the store's keys as secrets, and nothing mounted yet."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    for option, text in KEYS.items():
        (secrets / option).write_text(text)
    first = _free_ports(4 + AGENT_PORTS)
    cluster_plan = ClusterPlan(
        folder,
        artefacts,
        agents=1,
        ram=f"{plan.worker_ram}MB",
        ports=Ports(first, first + 1, first + 2, first + 3, (first + 4, first + 3 + AGENT_PORTS)),
        settings=(
            ("secrets-dir", str(secrets)),
            ("worker-direct", "256MB"),
            ("worker-heap", "256MB"),
        ),
    )
    try:
        yield cluster.up(cluster_plan, _Told(watch))
    finally:
        cluster.down(folder, lambda sentence: None)
        shutil.rmtree(cluster_plan.ram_directory, ignore_errors=True)


def _mount(api: str, endpoint: str) -> None:
    """The bucket gets its place in the namespace, as an operator gives it one: by the service's API."""
    options = {
        "alluxio.underfs.s3.endpoint": endpoint,
        "alluxio.underfs.s3.disable.dns.buckets": "true",
        "alluxio.underfs.s3.inherit.acl": "false",
        **{option: {"secret": option} for option in KEYS},
    }
    where = f"{api}/v1/mounts{MOUNTED}"
    requests.put(where, json={"uri": f"s3://{BUCKET}", "options": options}, timeout=30).raise_for_status()
    found: dict[str, Any] = {}

    def mounted() -> bool:
        found.update(requests.get(where, timeout=10).json())
        return bool(found["state"] == "mounted")

    if not wait_until(mounted, MOUNT_SECONDS):
        raise Failed(f"The store was not mounted in {MOUNT_SECONDS:g} s: {found['state']}, {found['reason']}.")


class _Told(cluster.Observer):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._told: set[tuple[str, str]] = set()

    def step(self, name: str, standing: str) -> None:
        if (name, standing) not in self._told:  # it hears of all of them at each look
            self._told.add((name, standing))
            self._watch.say(f"starting the cluster: {name} {standing}")


def _free_ports(count: int) -> int:
    """The first of a row of ports that are free."""
    for first in range(FIRST_PORT, LAST_PORT - count, count):
        if all(_is_free(host, port) for host in ("127.0.0.1", "127.0.0.11") for port in range(first, first + count)):
            return first
    raise Failed(f"No {count} free ports in a row were found in {FIRST_PORT}-{LAST_PORT}: end what listens there.")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _conditions(plan: Plan, tables: Mapping[str, int], store: Store) -> dict[str, Any]:
    return {
        **plan.as_document(),
        "tables_bytes": dict(tables),
        "cores": os.cpu_count(),
        "spark_cores": CORES,
        "spark_driver_memory": spark.DRIVER_MEMORY,
        "memory_bytes": psutil.virtual_memory().total,
        "worker_memory_tier_bytes": plan.worker_ram << 20,
        "versions": {
            "alluxio": ALLUXIO_VERSION,
            "spark": importlib.metadata.version("pyspark"),
            "s3_server": store.version,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
    }


# Measuring ------------------------------------------------------------------------------------------------------------


def _measure(stage: Stage) -> dict[str, Any]:
    again = range(stage.plan.runs)
    stage.watch.say("starting Spark")
    with stage.session() as first:
        stage.watch.say("warming up Spark's compiler")
        for job in JOBS:
            first.ask(do="job", job=job.name, root=stage.roots[Way.MEMORY])
        _warm_up(stage, first)
        stage.watch.advance(expected_start(stage.plan))
        runs = [_one(stage, first, run) for run in rounds(stage.plan)]
        with stage.session() as second:
            sharing = [_shared(stage, first, second, way) for _ in again for way in COMPARED]
        with stage.session(ELSEWHERE) as far:
            hosts = {"a worker on Spark's host": first, "no worker on Spark's host": far}
            stage.watch.say("warming up another Spark's compiler")
            far.ask(do="job", job="scan", root=stage.roots[Way.MEMORY])
            _warm_up(stage, far)
            locality = [_reads(stage, session, where) for _ in again for where, session in hosts.items()]
    crash = [found for _ in again for found in _crashes(stage)]
    return {"runs": runs, "sharing": sharing, "crash": crash, "locality": locality}


def _warm_up(stage: Stage, session: spark.Session) -> None:
    """What reads through Alluxio is as well compiled as what reads from the tmpfs, before anything counts. Reading from
    the store needs none of that: it waits.
    """
    for _ in range(WARM_UPS):
        session.ask(do="job", job="learning", root=stage.roots[Way.ALLUXIO])


def _one(stage: Stage, session: spark.Session, run: Run) -> dict[str, Any]:
    job = JOB_BY_NAME[run.job]
    stage.watch.say(f"{job.title}, {run.way} {run.warmth}, run {run.round} of {stage.plan.runs}")
    if (run.way, run.warmth) == (Way.ALLUXIO, Warmth.COLD):
        stage.cache.drop(job.reads)
    before = stage.limiter.counted()
    answer = session.ask(do="job", job=run.job, root=stage.roots[run.way])
    during = stage.limiter.counted()
    if run.way is Way.ALLUXIO:
        stage.cache.settle(job.reads)
    found = {
        "job": run.job,
        "way": run.way.value,
        "warmth": run.warmth.value,
        "round": run.round,
        "seconds": answer["seconds"],
        "store_bytes": (during - before).read,
        # With Alluxio the rest of what was read in part is fetched after the job.
        "store_bytes_in_all": (stage.limiter.counted() - before).read,
        "store_requests": (during - before).requests,
        "result": answer["result"],
    }
    stage.watch.advance(expected_seconds(stage.plan, run))
    stage.watch.measured(found)
    return found


def _shared(stage: Stage, first: spark.Session, second: spark.Session, way: Way) -> dict[str, Any]:
    """Two jobs over one table: each Spark keeps it in its own cache, or both read it from Alluxio."""
    stage.watch.say(f"two jobs share one data set, {way}")
    if way is Way.ALLUXIO:
        stage.cache.drop((SHARED_TABLE,))
    before, seconds, memory = stage.limiter.counted(), 0.0, 0
    for session, job in zip((first, second), SHARING, strict=True):
        if way is Way.STORE:
            kept = session.ask(do="keep", table=SHARED_TABLE, root=stage.roots[way])
            seconds, memory = seconds + kept["seconds"], memory + kept["bytes"]
        seconds += session.ask(do="job", job=job, root=stage.roots[way])["seconds"]
    if way is Way.ALLUXIO:
        stage.cache.settle((SHARED_TABLE,))
        memory = stage.cache.held(SHARED_TABLE)
    for session in (first, second):
        session.ask(do="forget")
    stage.watch.advance(PART_SECONDS)
    return {
        "way": way.value,
        "seconds": seconds,
        "memory_bytes": memory,
        "store_bytes": (stage.limiter.counted() - before).read,
    }


def _crashes(stage: Stage) -> Iterator[dict[str, Any]]:
    """Spark learns, with the data in its own cache, is killed in the middle, and started again."""
    table = JOB_BY_NAME["learning"].reads[0]
    session = stage.session().start()
    try:
        for way in COMPARED:
            stage.watch.say(f"Spark is killed in the middle, {way}")
            stage.cache.drop((table,))
            root, start = stage.roots[way], stage.limiter.counted()
            session.ask(do="keep", table=table, root=root)
            session.until(KILLED_AFTER, do="job", job="learning", root=root)
            if way is Way.ALLUXIO:
                stage.cache.settle((table,))  # what is still fetched of the first reading is not read again
            session.kill()
            killed, at = time.perf_counter(), stage.limiter.counted()
            session = stage.session().start()
            started = time.perf_counter()
            kept = session.ask(do="keep", table=table, root=root)
            answer = session.ask(do="job", job="learning", root=root)
            yield {
                "way": way.value,
                "store_bytes_before": (at - start).read,
                "store_bytes_after": (stage.limiter.counted() - at).read,
                "start_seconds": started - killed,
                "read_seconds": kept["seconds"],
                "seconds": kept["seconds"] + answer["seconds"],
                "result": answer["result"],
            }
            session.ask(do="forget")
            stage.watch.advance(PART_SECONDS)
    finally:
        session.kill()


def _reads(stage: Stage, session: spark.Session, where: str) -> dict[str, Any]:
    """Where the bytes of a warm scan come from, as Alluxio's client and worker count them."""
    job = JOB_BY_NAME["scan"]
    stage.watch.say(f"reading with {where}")
    stage.cache.settle(job.reads)

    def counted() -> tuple[int, dict[str, int], Counted]:
        client = session.ask(do="metrics", names=[LOCAL_READ])["metrics"][LOCAL_READ]
        return client, stage.cache.worker_metrics(WORKER_READS), stage.limiter.counted()

    client, worker, store = counted()
    answer = session.ask(do="job", job="scan", root=stage.roots[Way.ALLUXIO])
    client_after, worker_after, store_after = counted()
    stage.watch.advance(PART_SECONDS)
    return {
        "where": where,
        "seconds": answer["seconds"],
        "local_bytes": client_after - client,
        **{
            name.rpartition("BytesRead")[2].lower() + "_bytes": worker_after[name] - worker[name]
            for name in WORKER_READS
        },
        "store_bytes": (store_after - store).read,
    }
