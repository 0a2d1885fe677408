"""A cluster to look at, and a browser to look with. The application, its server and the page are the real ones; the
snapshot is made up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from eventually import eventually
from framework import paths
from framework.model import (
    CacheReport,
    CachingWorker,
    Failure,
    GroupEntry,
    HistoryEntry,
    Kind,
    Mount,
    MountPoint,
    MountRecord,
    Record,
    Refusal,
    Report,
    TaskState,
)
from framework.namespace import MARK
from framework.paths import Attributes, WantedPath
from framework.planner import State
from framework.series import Sample, Series
from framework.state import MountCall
from stage import wanted, with_groups

GIB = 2**30
CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
IN_CI = os.environ.get("CI") == "true"  # where nothing of this may be missing
AXE = Path(__file__).parents[2] / "build" / "axe" / "axe.min.js"


# The cluster ----------------------------------------------------------------------------------------------------------


def cluster(workers: int = 3, agents: int | None = None, down: tuple[int, ...] = ()) -> State:
    """One master and so many workers, each on an agent of its own; ``agents`` are those that there are, and ``down``
    the workers that were killed a moment ago.
    """
    now = time.time()
    there = workers if agents is None else min(workers, agents)
    records = [
        Record(Kind.MASTER, 0, 1, "S0", "agent-0", {"rpc": 1, "web": 2}, "configuration-1", now - 900, True, True)
    ]
    records += [
        Record(
            Kind.WORKER,
            index,
            1,
            f"S{index + 1}",
            f"agent-{index + 1}",
            {"rpc": 3, "web": 4},
            "configuration-1",
            now - 800,
        )
        for index in range(there)
    ]
    records = [dataclasses.replace(record, deployed=True) for record in records]
    reports = [
        Report(
            record.task_id, TaskState.FAILED, record.agent_id, now, now - 2, False, "the worker's process was killed"
        )
        if record.kind is Kind.WORKER and record.index in down
        else Report(record.task_id, TaskState.RUNNING, record.agent_id, now, now - 700, True, "")
        for record in records
    ]
    caching = [
        CachingWorker(
            record.hostname,
            3,
            4 * GIB,
            (tiers := ((index * 37) % 100 / 100 * GIB, (index * 53) % 100 / 100 * 3 * GIB)) and int(sum(tiers)),
            True,
            (("MEM", GIB, int(tiers[0])), ("SSD", 3 * GIB, int(tiers[1]))),
        )
        for index, record in enumerate(records[1:], 1)
        if record.index not in down
    ]
    refusals = [Refusal(f"S{n}", f"small-{n}", "offers 512 MiB of 1280 MiB memory", now - n) for n in range(3, 0, -1)]
    refusals.append(Refusal("S1", "agent-1", "it already has worker-0", now - 20))
    return State(
        wanted=wanted(workers=workers),
        records={record.slot: record for record in records},
        reports={report.task_id: report for report in reports},
        failures={f"worker-{index}": Failure(1, now, "the worker's process was killed") for index in down},
        connected=True,
        master="127.0.0.1:5050",
        framework_id="framework-1",
        trouble="",
        cache=CacheReport("agent-0:1", "", tuple(caching), now),
        refusals=tuple(refusals),
    )


MOUNTED, FAILING = Mount("/lake", "s3://lake/tables"), Mount("/archive", "hdfs://namenode:8020/archive", readonly=True)
NOTHING_LISTENS = (
    "nothing listens at namenode:8020, where the store of hdfs://namenode:8020/archive should: correct the endpoint, "
    "or start it"
)
FULL = "Alluxio refuses it: the file has 1 copy at most, and 2 are asked for; give it a higher maximum"
REASONS = {"/lake/orders": "", "/lake/later": paths.ABSENT, "/lake/visits": FULL}


def furnished(state: State) -> State:
    """The same with a second group of one worker, three mounts of which one fails and one is somebody else's, and with
    paths of which something is wanted; ``REASONS`` says how those stand.
    """
    now, entry = time.time(), GroupEntry("ssd", 1, {"worker-ssd": "200GB"})
    want = with_groups(dataclasses.replace(state.wanted, mounts=(FAILING, MOUNTED)), (entry,))
    group = dataclasses.replace(want.groups["worker-ssd"], count=1)
    agent = "agent-ssd"
    record = Record(
        *(Kind.WORKER, 0, 1, "S-ssd", agent, {"rpc": 3, "web": 4}, group.configuration, now - 700),
        deployed=True,
        group="worker-ssd",
    )
    report = Report(record.task_id, TaskState.RUNNING, record.agent_id, now, now - 600, True, "")
    worker = CachingWorker(agent, 3, 200 * GIB, 90 * GIB, True, (("MEM", GIB, GIB // 2), ("SSD", 199 * GIB, 89 * GIB)))
    points = (
        MountPoint("/", "s3://main"),
        MountPoint("/lake", MOUNTED.uri, {MARK: "framework-1/1"}),
        MountPoint("/scratch", "/mnt/scratch"),
    )
    return dataclasses.replace(
        state,
        wanted=dataclasses.replace(want, groups={"worker-ssd": group}),
        records={**state.records, record.slot: record},
        reports={**state.reports, record.task_id: report},
        cache=dataclasses.replace(state.cache, workers=(*state.cache.workers, worker), mounts=points),
        history=(HistoryEntry(1, now, "configuration-1", 1, 3, 0, {}, groups=(entry,), mounts=(FAILING, MOUNTED)),),
        mounts={"/lake": MountRecord(MOUNTED, "framework-1/1", now - 600, proved=True)},
        mount_calls={"/archive": MountCall(FAILING, 9, now - 2, answered_at=now - 1, reason=NOTHING_LISTENS)},
        paths=(
            WantedPath("/lake/later", Attributes(ttl=7 * 86_400)),
            WantedPath("/lake/orders", Attributes(pinned=True)),
            WantedPath("/lake/visits", Attributes(replication_min=2)),
        ),
    )


def fill(series: Series, capacity: int = 12 * GIB) -> None:
    """50 minutes in which a cache fills, is read from, and loses a third for a while."""
    now = time.time()
    for step in range(200):
        there = capacity * 2 // 3 if 90 < step < 120 else capacity
        used = min(there, int(capacity * step / 260))
        hit = 0 if 40 < step < 60 else step * 10**6
        series._samples.append(Sample(now - 15 * (199 - step), there, used, hit, hit and (220 - step) * 10**6))


class Scene:
    """Give ``made`` to the API under test; it becomes ``api``."""

    def __init__(self) -> None:
        self.api: Any = None

    @property
    def workers(self) -> int | None:
        """How many are wanted."""
        count: int | None = self.api.state.wanted.workers
        return count

    def settles(self) -> None:
        """What is wanted comes to run."""
        state = self.api.state
        self.happens(dataclasses.replace(cluster(state.wanted.workers), history=state.history), "scale", "scaled")

    def happens(self, state: State, kind: str, text: str) -> None:
        self.api.state = state
        self.api.chronicle.add(time.time(), kind, text)


# The browser ----------------------------------------------------------------------------------------------------------


class Browser:
    """Chromium without a window."""

    def __init__(self, width: int = 1000, height: int = 1400, dark: bool = False) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for argument in (
            "--headless=new",
            "--no-sandbox",  # a container's root has none
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
        self.driver.set_script_timeout(120)  # axe-core looks at each of thousands of elements
        self.looks(width, height, dark)

    def looks(self, width: int, height: int, dark: bool = False) -> None:
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._command("Emulation.setEmulatedMedia", features=[scheme])

    def _command(self, name: str, **given: Any) -> None:
        self.driver.execute_cdp_cmd(name, given)

    def get(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What is shown there; "" while it is not there, or was just replaced."""
        found = self.driver.execute_script(
            "const found = document.querySelector(arguments[0]);"
            "return found?.checkVisibility() ? found.innerText : '';",
            selector,
        )
        assert isinstance(found, str)
        return found

    def shows(self, selector: str, text: str, seconds: float = 60.0) -> None:
        eventually(lambda: text in self.text(selector), f"{selector} shows {text!r}", seconds)

    def complaints(self) -> list[str]:
        """What the console was told since the last question."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]

    def violations(self) -> list[str]:
        """What axe-core finds: each rule with the places that break it."""
        self.driver.execute_script(AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document).then((result) => done(result.violations), (error) => done(String(error)))"
        )
        assert isinstance(found, list), found
        return [f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']][:3]}" for rule in found]

    def is_wider_than_it_looks(self) -> bool:
        return bool(self.driver.execute_script("return document.documentElement.scrollWidth > innerWidth"))

    def picture(self, path: Path) -> None:
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return innerWidth")
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        path.write_bytes(self.driver.get_screenshot_as_png())


@contextlib.contextmanager
def browser(**given: Any) -> Iterator[Browser]:
    made = Browser(**given)
    try:
        yield made
    finally:
        made.driver.quit()
