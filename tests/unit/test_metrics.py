"""What /metrics says, and that the dashboard and the alert rules ask for nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api_stage import Api, is_problem, serving
from framework.alluxio.figures import Figures, WorkerFigures
from framework.api.metrics import Facts, Metrics
from framework.messages import Offered, Subscribed
from framework.model import (
    CacheReport,
    CachingWorker,
    Failure,
    Kind,
    Mount,
    MountPoint,
    Offer,
    Record,
    Report,
    TaskState,
)
from framework.paths import ABSENT, Attributes, WantedPath
from framework.planner import State
from framework.state import MountCall
from framework.tally import Tally
from stage import wanted

MONITORING = Path(__file__).parents[2] / "monitoring"
MIB = 1 << 20
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def worker(index: int, host: str = "") -> Record:
    return Record(
        Kind.WORKER, index, 1, f"S{index}", host or f"h{index}", {"rpc": 21000, "web": 21001}, "c", 900.0, deployed=True
    )


def running(record: Record) -> Report:
    return Report(record.task_id, TaskState.RUNNING, record.agent_id, 1000.0, 950.0, healthy=True)


def caching(index: int, used: int, *, live: bool = True) -> CachingWorker:
    tiers = (("MEM", 64 * MIB, used), ("SSD", 256 * MIB, 0))
    return CachingWorker(f"h{index}", 21000, 320 * MIB, used, live, tiers)


def cluster(workers: int = 2, lost: int = 0) -> State:
    """A master, workers that are registered, and after them some that Alluxio has lost."""
    master = Record(Kind.MASTER, 0, 1, "S", "m", {"rpc": 1, "web": 2}, "c", 900.0, formatted=True, deployed=True)
    records = [master, *(worker(index) for index in range(workers + lost))]
    listed = tuple(caching(index, index * MIB, live=index < workers) for index in range(workers + lost))
    return State(
        wanted=wanted(workers=workers + lost),
        records={record.slot: record for record in records},
        reports={record.task_id: running(record) for record in records},
        cache=CacheReport("m:1", "", listed),
        connected=True,
        subscribed_at=990.0,
        framework_id="framework-1",
    )


PRIMARY = {
    "Cluster.BytesReadCache": 750.0,
    "Cluster.BytesReadUfsAll": 250.0,
    "Cluster.CacheHitRate": 0.75,
    "Cluster.BytesReadPerUfs.UFS:s3:%2F%2Flake%2Ev2%2Ftables": 200.0,
    "Cluster.BytesWrittenPerUfs.UFS:null": 20.0,
    "Master.TotalRpcs.count": 42.0,
    "Master.TotalRpcs.p99": 21.5,
    "Master.CreateFileOps": 3.0,
    "Master.JournalEntriesSinceCheckPoint.BlockMaster": 7.0,
    "Cluster.RootUfsCapacityTotal": -1.0,
}


def facts(state: State | None, **more: Any) -> Facts:
    given: dict[str, Any] = {
        "service": "alluxio",
        "leads": state is not None,
        "healthy": True,
        "state": state,
        "heard_at": 998.0,
        "tally": Tally(),
        "figures": Figures(PRIMARY, {"worker-0": WorkerFigures(30, 10), "worker-1": WorkerFigures(0, 0)}),
        "now": 1000.0,
    }
    return Facts(**(given | more))


def samples(told: Facts) -> Samples:
    content, media_type = Metrics(lambda _: told).exposition(told)
    assert media_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_the_scheduler_speaks_of_itself() -> None:
    found = samples(facts(dataclasses.replace(cluster(), connected=False), healthy=False))
    assert value(found, "alluxio_mesos_leader") == 1
    assert value(found, "alluxio_mesos_healthy") == 0
    assert value(found, "alluxio_mesos_connected") == 0
    assert value(found, "alluxio_mesos_mesos_silence_seconds") == 2
    info = {"service": "alluxio", "configuration": "configuration-1", "framework_id": "framework-1"}
    assert value(found, "alluxio_mesos_scheduler_info", **info) == 1


def test_a_standby_claims_nothing_about_the_cluster() -> None:
    """Its numbers would be added to the leader's."""
    names = {name for name, _ in samples(facts(None))}
    assert {"alluxio_mesos_leader", "alluxio_mesos_healthy", "alluxio_mesos_events_total"} <= names
    assert not any(re.match(r"alluxio_(mesos_(tasks|cache|worker|plan|connected)|primary)", name) for name in names)


def test_a_mesos_that_was_never_heard_is_not_silent_since_1970() -> None:
    assert ("alluxio_mesos_mesos_silence_seconds", frozenset()) not in samples(facts(cluster(), heard_at=0.0))


def test_what_the_loop_counted() -> None:
    tally, state = Tally(), cluster()
    tally.came([Subscribed("framework-1", "m:5050", 1.0), Offered((Offer("O1", "S", "h", ()),) * 3, 1.0)], state)
    tally.rounds.add(0.03)
    tally.rounds.add(99.0)
    tally.launches[Kind.WORKER, "relaunch"] = 4
    tally.ends[Kind.WORKER, TaskState.FAILED] = 5
    found = samples(facts(state, tally=tally))
    assert value(found, "alluxio_mesos_events_total", kind="offered") == 1
    assert value(found, "alluxio_mesos_subscriptions_total") == 1
    assert value(found, "alluxio_mesos_offers_received_total") == 3
    assert value(found, "alluxio_mesos_launches_total", kind="worker", cause="relaunch") == 4
    assert value(found, "alluxio_mesos_task_ends_total", kind="worker", state="TASK_FAILED") == 5
    name = "alluxio_mesos_decision_seconds"
    assert [value(found, f"{name}_bucket", le=bound) for bound in ("0.025", "0.05", "10.0", "+Inf")] == [0, 1, 1, 2]
    assert (value(found, f"{name}_count"), value(found, f"{name}_sum")) == (2, 99.03)


def test_tasks_and_plans() -> None:
    state = cluster(workers=2, lost=1)
    failed = Report("worker-1.1", TaskState.FAILED, "S1", 999.0, 999.0)
    state = dataclasses.replace(
        state,
        reports={**state.reports, "worker-1.1": failed},
        failures={"worker-1": Failure(5, 999.0, "it broke"), "worker-0": Failure(9, 100.0, "long ago")},
    )
    found = samples(facts(state))
    assert value(found, "alluxio_mesos_tasks", kind="master", phase="ready") == 1
    assert value(found, "alluxio_mesos_tasks", kind="worker", phase="registered") == 1
    assert value(found, "alluxio_mesos_tasks", kind="worker", phase="running") == 1
    assert value(found, "alluxio_mesos_tasks", kind="worker", phase="delayed") == 1
    assert value(found, "alluxio_mesos_tasks", kind="proxy", phase="ready") == 0
    assert value(found, "alluxio_mesos_tasks_wanted", kind="worker") == 3
    assert value(found, "alluxio_mesos_failures_in_a_row", kind="worker") == 5
    assert value(found, "alluxio_mesos_plan_steps", plan="deploy", phase="workers", status="ready") == 3
    assert value(found, "alluxio_mesos_plan_steps", plan="recovery", phase="tasks", status="delayed") == 1
    assert value(found, "alluxio_mesos_plan_steps", plan="recovery", phase="tasks", status="starting") == 0


def test_one_on_each_agent_is_no_number() -> None:
    state = dataclasses.replace(cluster(), wanted=wanted(workers=None))
    kinds = {dict(labels)["kind"] for name, labels in samples(facts(state)) if name == "alluxio_mesos_tasks_wanted"}
    assert kinds == {"master", "proxy"}


def test_the_cache_in_sums_and_by_worker() -> None:
    found = samples(facts(cluster(workers=3, lost=1)))
    assert value(found, "alluxio_mesos_cache_capacity_bytes", tier="MEM") == 3 * 64 * MIB
    assert value(found, "alluxio_mesos_cache_used_bytes", tier="MEM") == (0 + 1 + 2) * MIB
    assert value(found, "alluxio_mesos_cache_capacity_bytes", tier="SSD") == 3 * 256 * MIB
    assert value(found, "alluxio_mesos_cache_workers", state="live") == 3
    assert value(found, "alluxio_mesos_cache_workers", state="lost") == 1
    assert value(found, "alluxio_mesos_worker_used_bytes", slot="worker-2", host="h2", tier="MEM") == 2 * MIB
    assert value(found, "alluxio_mesos_worker_live", slot="worker-3", host="h3") == 0
    shown = {dict(labels)["slot"] for name, labels in found if name == "alluxio_mesos_worker_capacity_bytes"}
    assert shown == {"worker-0", "worker-1", "worker-2"}
    assert value(found, "alluxio_mesos_worker_hit_ratio", slot="worker-0", host="h0") == 0.75
    name = "alluxio_mesos_worker_read_bytes_total"
    assert value(found, name, slot="worker-0", host="h0", source="under_storage") == 10
    # Of nothing there is no ratio.
    assert {dict(labels)["slot"] for name, labels in found if name == "alluxio_mesos_worker_hit_ratio"} == {"worker-0"}


def test_alluxios_own_word() -> None:
    found = samples(facts(cluster()))
    assert value(found, "alluxio_primary_answers") == 1
    assert value(found, "alluxio_primary_read_bytes_total", source="under_storage") == 250
    assert value(found, "alluxio_primary_hit_ratio") == 0.75
    assert value(found, "alluxio_primary_rpcs_total") == 42
    assert value(found, "alluxio_primary_rpc_p99_seconds") == pytest.approx(0.0215)
    assert value(found, "alluxio_primary_operations_total", operation="create_file") == 3
    assert value(found, "alluxio_primary_journal_entries_since_checkpoint", journal="BlockMaster") == 7
    assert value(found, "alluxio_primary_storage_read_bytes_total", storage="s3://lake.v2/tables") == 200
    assert not any("null" in dict(labels).values() for _, labels in found)
    # -1 is Alluxio's word for "not known".
    assert not any(name == "alluxio_primary_under_storage_bytes" for name, _ in found)
    silent = samples(facts(cluster(), figures=Figures()))
    assert value(silent, "alluxio_primary_answers") == 0
    assert not any(name == "alluxio_primary_hit_ratio" for name, _ in silent)


def test_storages_and_wanted_paths() -> None:
    failing, made = Mount("/archive", "hdfs://n:8020/a"), Mount("/lake", "s3://lake")
    state = dataclasses.replace(
        cluster(),
        wanted=dataclasses.replace(wanted(workers=2), mounts=(failing, made)),
        cache=CacheReport("m:1", "", at=1000.0, mounts=(MountPoint("/", "/d"), MountPoint("/lake", "s3://lake"))),
        mount_calls={"/archive": MountCall(failing, 1, 998.0, answered_at=999.0, reason="nothing listens")},
        paths=tuple(WantedPath(path, Attributes(pinned=True)) for path in ("/a", "/b", "/c", "/d")),
    )
    found = samples(facts(state, kept_paths={"/a": "", "/b": ABSENT, "/c": "it is full"}))
    by_name = {
        name: {state: value(found, name, state=state) for state in ("wanted", "made", "failing")}
        for name in ("alluxio_mesos_mounts", "alluxio_mesos_wanted_paths")
    }
    assert by_name == {
        "alluxio_mesos_mounts": {"wanted": 2, "made": 1, "failing": 1},
        "alluxio_mesos_wanted_paths": {"wanted": 4, "made": 1, "failing": 1},
    }


def test_series_are_bounded_whatever_the_number_of_workers() -> None:
    large = cluster(workers=1200)
    limited = samples(facts(large))
    assert sum(name == "alluxio_mesos_worker_live" for name, _ in limited) == 1000
    assert value(limited, "alluxio_mesos_workers_without_series") == 200
    none = samples(facts(large, worker_series=0))
    assert value(none, "alluxio_mesos_workers_without_series") == 1200
    assert value(none, "alluxio_mesos_cache_capacity_bytes", tier="MEM") == 1200 * 64 * MIB
    # Without workers' own series, an answer is as large for two workers as for 1,200.
    assert len(none) == len(samples(facts(cluster(), worker_series=0)))


def test_a_thousand_workers_take_a_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """The time is printed and not judged: it is the machine's."""
    for name, state in (
        ("all ready", cluster(workers=1000)),
        ("none was ever there", dataclasses.replace(cluster(), wanted=wanted(workers=1000))),
        ("all failed", _all_failed(cluster(workers=1000))),
    ):
        told = facts(state)
        began = time.perf_counter()
        content, _ = Metrics(lambda _, told=told: told).exposition(told)  # type: ignore[misc]
        seconds = time.perf_counter() - began
        with capsys.disabled():
            print(f"\n/metrics with 1,000 workers, {name}: {seconds * 1000:.0f} ms, {len(content) / 1000:.0f} kB")


def _all_failed(state: State) -> State:
    reports = {
        record.task_id: Report(record.task_id, TaskState.FAILED, record.agent_id, 995.0, 995.0)
        for record in state.records.values()
        if record.kind is Kind.WORKER
    }
    failures = {f"worker-{index}": Failure(1, 995.0, "it broke") for index in range(1000)}
    return dataclasses.replace(state, reports={**state.reports, **reports}, failures=failures)


# The route ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(tmp_path: Path) -> Any:
    with serving(tmp_path) as found:
        yield found


def test_the_formats(api: Api) -> None:
    api.state = cluster()
    text = api.get("/metrics")
    assert (text.status_code, text.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert "# TYPE alluxio_mesos_leader gauge\nalluxio_mesos_leader 1.0\n" in text.text
    assert "process_resident_memory_bytes" in text.text
    open_metrics = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_each_scheduler_answers_for_itself(api: Api) -> None:
    api.standing = dataclasses.replace(api.standing, role=type(api.standing.role).STANDBY, leader="http://leader:1")
    answer = api.get("/metrics")
    assert (answer.status_code, "alluxio_mesos_leader 0.0\n" in answer.text) == (200, True)
    assert "alluxio_mesos_tasks" not in answer.text  # what it last knew of the cluster is not its to tell


def test_who_asks_says_how_many_workers_have_series(api: Api) -> None:
    api.state = cluster(workers=3)
    assert api.get("/metrics?workers=1").text.count("\nalluxio_mesos_worker_live{") == 1
    for wrong in ("-1", "many", "1000000", ""):
        assert is_problem(
            api.get("/metrics", params={"workers": wrong}), 400, "write how many have series of their own"
        )
    assert is_problem(api.get("/metrics?worker=1"), 400, "there is no query parameter 'worker'; allowed: workers")


# What is made of it ---------------------------------------------------------------------------------------------------


def served() -> dict[str, set[str]]:
    """The labels of each name that can be asked for."""
    found: dict[str, set[str]] = {}
    everything = dict.fromkeys(_sources(), 1.0)
    told = facts(cluster(lost=1), figures=Figures(everything, {"worker-0": WorkerFigures(1, 1)}))
    for name, labels in samples(told):
        found.setdefault(name, set()).update(dict(labels))
    return found


def _sources() -> list[str]:
    """The names that Alluxio's figures come by."""
    module = (Path(__file__).parents[2] / "framework" / "api" / "metrics.py").read_text()
    fixed = re.findall(r'"((?:Cluster|Master|heap)\.[\w.]+)"', module)
    by_storage = [f"{prefix}%2Fdata" for prefix in re.findall(r'"(Cluster\.\w+\.UFS:)"', module)]
    return [*fixed, *by_storage, "Master.CreateFileOps", "Master.JournalEntriesSinceCheckPoint.BlockMaster"]


_SELECTOR = re.compile(r"\b((?:alluxio|process)_\w+)(?:\{([^}]*)\})?")
_ADDED = {"job", "instance"}  # by Prometheus


def asked(expression: str) -> list[tuple[str, set[str]]]:
    return [
        (name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))) for name, matchers in _SELECTOR.findall(expression)
    ]


def assert_is_served(expression: str) -> None:
    names = served()
    assert asked(expression), f"{expression} asks for nothing"
    for name, labels in asked(expression):
        assert name in names, f"{expression}: nothing is called {name}"
        assert labels <= names[name] | _ADDED, f"{expression}: {name} has no {labels - names[name]}"
    grouped = {
        label.strip()
        for group in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression)
        for label in group.split(",")
    }
    has = set().union(*(names[name] for name, _ in asked(expression)))
    assert grouped <= has | _ADDED, f"{expression}: groups by {grouped - has}"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    assert set(document) == {"groups"}
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_the_alert_rules_are_what_prometheus_takes() -> None:
    """Its configuration reference, alerting rules; promtool would say the same."""
    document = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    for group in document["groups"]:
        assert set(group) <= {"name", "rules", "interval", "limit", "labels", "query_offset"}
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"[A-Za-z_]\w*", rule["alert"])
        assert re.fullmatch(r"(\d+(ms|s|m|h|d))+", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        for text in rule["annotations"].values():
            labels = set(re.findall(r"\$labels\.(\w+)", text))
            assert labels <= _ADDED | {label for name, _ in asked(rule["expr"]) for label in served()[name]}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    assert_is_served(rule["expr"])


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return document


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_the_dashboard_is_what_grafana_takes() -> None:
    """Its dashboard JSON model: ids are unique, the grid has 24 columns, and no panel lies on another."""
    found = dashboard()
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time", "refresh"} <= set(found)
    assert found["schemaVersion"] >= 36
    assert len(found["uid"]) <= 40
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    variables = {variable["name"] for variable in found["templating"]["list"]}
    text = json.dumps(found["panels"])
    assert set(re.findall(r"\$\{?([a-z]\w*)", text)) <= variables
    for panel in panels():
        assert panel["title"]
        assert panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        names = [target["refId"] for target in panel["targets"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert_is_served(target["expr"])
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert shown <= {label for name, _ in asked(target["expr"]) for label in served()[name]}


def test_these_checks_find_what_is_wrong() -> None:
    for wrong in (
        "alluxio_mesos_lead",
        'alluxio_mesos_tasks{stage="ready"}',
        "sum by (tyer) (alluxio_mesos_cache_used_bytes)",
        "up",
    ):
        with pytest.raises(AssertionError):
            assert_is_served(wrong)
