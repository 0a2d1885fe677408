"""Placement on localmesos, whose agents stand in racks, zones and regions: the scheduler's loop and its edge to Mesos
with a store in memory, and an executor that runs nothing, and says that its task is ready.
"""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import json
import sys
import tarfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.mesos_processes import Machine
from eventually import eventually
from framework import config, launch
from framework.loop import Loop
from framework.mesos import Identity, Mesos
from framework.messages import Effect, Launch, Stop
from framework.planner import State
from framework.state import is_ready, masters
from framework.store import MemoryStore

pytestmark = [pytest.mark.localmesos, pytest.mark.timeout(300)]

EXECUTOR = Path(__file__).parents[1] / "conformance" / "trace_executor.py"
AGENTS = {  # rack, region and zone
    "127.0.0.11": ("r1", "eu", "eu-1"),
    "127.0.0.12": ("r1", "eu", "eu-1"),
    "127.0.0.13": ("r2", "eu", "eu-2"),
    "127.0.0.14": ("r3", "us", "us-1"),
}


def domain(region: str, zone: str) -> str:
    return json.dumps({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}})


class Scheduler:
    """One life of a scheduler; the store outlives it."""

    def __init__(self, store: MemoryStore, folder: Path, mesos: str, **options: str) -> None:
        given = {
            "mesos": mesos,
            "zookeeper": "z:1",
            "under-storage": "/d",
            "alluxio-uri": str(folder / "alluxio.tar.gz"),
            "executor-uri": str(EXECUTOR),
            "python": f"env TRACE_OUT={folder} {sys.executable}",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        configuration = config.read(given)
        assert isinstance(configuration, config.Configuration), configuration
        self._configuration = configuration
        kept = store.load()
        state = State(
            wanted=configuration.wanted,
            records=kept.records,
            retired=kept.retired,
            kept_framework_id=kept.framework_id,
            history=kept.history,
        )
        self.loop = Loop(state, store, self._act, time.time)
        identity = Identity("alluxio", getpass.getuser(), "alluxio", "127.0.0.1", "http://127.0.0.1:1", 604800.0)
        identity = dataclasses.replace(identity, framework_id=kept.framework_id)
        self._mesos = Mesos(identity, self.loop.post)
        self._thread = threading.Thread(target=self.loop.run)
        self._thread.start()
        self._mesos.follow(mesos)

    def _act(self, effects: Sequence[Effect], state: State) -> None:
        self._mesos.perform(effects, lambda effect: self._task_infos(effect, state))

    def _task_infos(self, effect: Launch, state: State) -> list[Mapping[str, Any]]:
        sources = launch.Sources(self._configuration.executor_uri, self._configuration.alluxio_uri)
        return [
            launch.task_info(self._configuration, sources, state.framework_id, record, resources, masters(state))
            for record, resources in zip(effect.records, effect.resources, strict=True)
        ]

    def end(self) -> None:
        self.loop.post(Stop(0, "the test wants it"))
        self._thread.join(60)
        self._mesos.leave()

    @property
    def ready(self) -> dict[str, str]:
        """The host of each task that is ready, by its id."""
        state = self.loop.snapshot
        return {record.task_id: record.hostname for record in state.records.values() if is_ready(state, record)}

    def refused(self, told: str) -> bool:
        return any(told in refusal.reason for refusal in self.loop.snapshot.refusals)


def racks(tasks: Mapping[str, str]) -> list[str]:
    return sorted(AGENTS[host][0] for task_id, host in tasks.items() if task_id.startswith("worker"))


UNIQUE = "has rack 'r1', where 1 worker is already, and rack:UNIQUE is asked for"
ABROAD = "is in the region 'us', the Mesos master in 'eu', and no rule on @region is given"


def story(folder: Path, mesos: str) -> None:
    store = MemoryStore()
    first = Scheduler(
        *(store, folder, mesos),
        workers="3",
        master_placement="@zone:IS:eu-1;level:IS:4",
        worker_placement="rack:UNIQUE",
    )
    try:
        eventually(lambda: racks(first.ready) == ["r1", "r2"], "two workers run")
        assert AGENTS[first.ready["master-0.1"]][2] == "eu-1"
        eventually(lambda: first.refused(UNIQUE) and first.refused(ABROAD), "both rules refuse an agent")
        before = first.ready
    finally:
        first.end()
    second = Scheduler(*(store, folder, mesos), workers="4", worker_placement="rack:UNIQUE;@region:LIKE:eu|us")
    try:
        eventually(lambda: racks(second.ready) == ["r1", "r2", "r3"], "the third runs abroad")
        eventually(lambda: second.refused(UNIQUE), "what another scheduler launched counts")
        assert second.ready.items() >= before.items(), "nothing that runs was moved"
    finally:
        second.end()


def test_workers_stand_in_racks_of_their_own(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "alluxio.tar.gz", "w:gz"):
        pass

    async def run() -> None:
        async with Machine(tmp_path, "--domain", domain("eu", "eu-1")) as machine:
            for rack, region, zone in AGENTS.values():
                await machine.add_agent(
                    *("--resources", "cpus:8;mem:16384;disk:20000;ports:[31000-31100]"),
                    *("--attributes", f"rack:{rack};level:4", "--domain", domain(region, zone)),
                )
            await asyncio.to_thread(story, tmp_path, machine.address)

    asyncio.run(run())
