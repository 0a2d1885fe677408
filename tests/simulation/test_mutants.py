"""Defects put into the core on purpose, each of which the simulation has to notice: a check of the judge itself.

A mutant is one change of text in a copy of ``framework/``. When the code moves on, the test says which change no longer
fits; the defect is then written anew against the new code.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from judge import Promise

ROOT = Path(__file__).parents[2]
HISTORIES = 2_500  # at most, until one is broken
PATIENCE = 600.0  # seconds, on a machine that is busy with something else


@dataclasses.dataclass(frozen=True)
class Mutant:
    """``promises``: any of which the first broken history may name."""

    name: str
    module: str
    old: str
    new: str
    promises: tuple[Promise, ...]


MUTANTS = [
    Mutant(
        "a launch leaves before it is recorded",
        "loop",
        """        with self._tally.saving(effects):
            self._store.save(effects)
        self._tally.decided(effects, state)
        self._state = evolve(state, Decided(effects, now))
        with self._turned:
            self._turned.notify_all()
        self._log.effects(effects)
        self._act(effects, self._state)
""",
        """        self._tally.decided(effects, state)
        self._state = evolve(state, Decided(effects, now))
        self._log.effects(effects)
        self._act(effects, self._state)
        with self._tally.saving(effects):
            self._store.save(effects)
""",
        (Promise.RECORDED_FIRST, Promise.ID_FIRST, Promise.IDS_UNIQUE, Promise.SAVED_FIRST),
    ),
    Mutant(
        "an id is used again once its slot was forgotten",
        "matching",
        "else self._state.retired.get(opening.slot, 0)",
        "else 0",
        (Promise.IDS_UNIQUE,),
    ),
    Mutant(
        "the last attempt of a forgotten slot is not kept",
        "memory",
        "                retired[effect.slot] = effect.attempt\n",
        "",
        (Promise.IDS_UNIQUE, Promise.VOLUME_IDS_UNIQUE, Promise.SPARES_WANTED),
    ),
    Mutant(
        "records are removed before their attempts are on record",
        "zookeeper/store",
        """    for name, value in new.items():
        held = old.get(name)
        if held is not value and held != value:
            yield name, _encode(name, value)
    for name in old:
        if name not in new:
            yield name, None
""",
        """    for name in old:
        if name not in new:
            yield name, None
    for name, value in new.items():
        held = old.get(name)
        if held is not value and held != value:
            yield name, _encode(name, value)
""",
        (Promise.IDS_UNIQUE, Promise.VOLUME_IDS_UNIQUE, Promise.SPARES_WANTED),
    ),
    Mutant(
        "records are written whatever their version is",
        "zookeeper/store",
        "transaction.set_data(path, data, version)",
        "transaction.set_data(path, data)",
        (Promise.ONE_LEADER, Promise.IDS_UNIQUE),
    ),
    Mutant(
        "a task is killed once",
        "planner",
        "(asked is not None and now - asked.at < state.policy.kill_again)",
        "asked is not None",
        (Promise.KILL_REPEATED,),
    ),
    Mutant(
        "a copy whose place is taken is left running",
        "planner",
        """    if record.task_id != task_id:
        return f"{record.task_id} took its place\"""",
        """    if record.task_id != task_id:
        return \"\"""",
        (Promise.KILL_REPEATED,),
    ),
    Mutant(
        "a worker goes wherever there is room",
        "state",
        "    if now - down < state.policy.stickiness:\n        return True\n",
        "",
        (Promise.STICKS,),
    ),
    Mutant(
        "a master takes other ports than those that its clients know",
        "matching",
        "same_ports=opening.kind is Kind.MASTER",
        "same_ports=False",
        (Promise.MASTER_STAYS,),
    ),
    Mutant(
        "an offer that is answered stays",
        "planner",
        "        offers=_without(state.offers, answered),\n",
        "",
        (Promise.ANSWERS_ONCE, Promise.SETTLES),
    ),
    Mutant(
        "an offer that is taken back is used",
        "planner",
        "return dataclasses.replace(state, offers=_without(state.offers, (event.offer_id,)))",
        "return state",
        (Promise.ANSWERS_ONCE,),
    ),
    Mutant(
        "workers do not wait for a master",
        "state",
        'return "no Alluxio master is ready yet"',
        'return ""',
        (Promise.GATE,),
    ),
    Mutant(
        "workers trust what an earlier subscription told of the master",
        "state",
        "is_ready(state, record) and is_fresh(state, record)",
        "is_ready(state, record)",
        (Promise.GATE, Promise.JOINS),
    ),
    Mutant(
        "another framework id is taken silently",
        "planner",
        "if state.kept_framework_id and state.kept_framework_id != event.framework_id:",
        "if False:",
        (Promise.STOPS,),
    ),
    Mutant(
        "a removed framework goes on",
        "planner",
        "    if state.stop is not None:\n        return (state.stop,)\n",
        "",
        (Promise.STOPS,),
    ),
    Mutant(
        "something is launched before the framework's id is kept",
        "planner",
        "        return (KeepFrameworkId(state.framework_id),)",
        "        pass",
        (Promise.ID_FIRST,),
    ),
    Mutant(
        "what fails is launched again at once, always",
        "state",
        "    if failure.count <= 1:",
        "    if failure.count:",
        (Promise.BACKS_OFF,),
    ),
    Mutant(
        "a journal is formatted at each launch",
        "matching",
        "formatted=opening.kind is Kind.MASTER and self._is_formatted(offer, old)",
        "formatted=False",
        (Promise.FORMATTED_ONCE, Promise.JOINS),
    ),
    Mutant(
        "that a journal is in use is not kept",
        "planner",
        "return Keep(dataclasses.replace(record, formatted=True, deployed=True), why)",
        "return Keep(dataclasses.replace(record, deployed=True), why)",
        (Promise.SAVED_FIRST,),
    ),
    Mutant(
        "a task without news is asked for once",
        "planner",
        "if asked is None or asked.at < state.shown.get(agent_id, 0.0) or now - asked.at >= pause:",
        "if asked is None:",
        (Promise.ASKED,),
    ),
    Mutant(
        "one more is launched than is wanted",
        "state",
        "for index in state.wanted.indices(group)), *surplus]",
        "for index in (*state.wanted.indices(group), 99)), *surplus]",
        (Promise.NOT_MORE,),
    ),
    Mutant(
        "a worker that leaves is killed with what only it holds",
        "planner",
        "if is_leaving(state, record) and (rests or leaves_in(state, record, now) != 0.0):",
        "if False:",
        (Promise.DRAINED_FIRST,),
    ),
    Mutant(
        "a worker is killed while it is being emptied",
        "state",
        "if drain is None or drain.step is not DrainStep.DECOMMISSIONED:",
        "if drain is None:",
        (Promise.DRAINED_FIRST,),
    ),
    Mutant(
        "another configuration reaches all workers at once",
        "planner",
        "free = max(0, most - len(gone_soon)) if state.cache.primary is not None else 0",
        "free = 99",
        (Promise.ONE_BY_ONE,),
    ),
    Mutant(
        "a plan that rests goes on",
        "state",
        " and plan_of(state, slot) not in state.wanted.paused",
        "",
        (Promise.RESTS,),
    ),
    Mutant(
        "a decommissioned worker that is wanted again stays so",
        "planner",
        "        if is_wanted(state, record) and settled:\n",
        "        if False:\n",
        (Promise.CONVERGES,),
    ),
    Mutant(
        "an agent gets two workers in one round",
        "matching",
        "        self._belongs[kind, offer.hostname] = opening.slot\n",
        "",
        (Promise.ONE_COPY,),
    ),
    Mutant(
        "a copy that is being killed does not keep its agent",
        "matching",
        "if self._ending and (ending := self._ending.get((opening.kind, offer.agent_id))):",
        'if ending := "":',
        (Promise.ONE_COPY,),
    ),
    Mutant(
        "an unreachable task is replaced at once",
        "state",
        "return report.since if now - report.since >= state.policy.unreachable_grace else None",
        "return report.since",
        (Promise.ONE_COPY, Promise.STICKS),
    ),
    Mutant(
        "an unreachable task of an earlier subscription is replaced without asking",
        "state",
        "if not is_fresh(state, record) and now - state.subscribed_at < patience:",
        "if False:",
        (Promise.ONE_COPY,),
    ),
    Mutant(
        "silence is taken for the end at once",
        "state",
        "return silent_since if now - silent_since >= patience else None",
        "return silent_since",
        (Promise.ONE_COPY, Promise.SETTLES, Promise.CONVERGES),
    ),
    Mutant(
        "a task that is back from the unknown is not seen",
        "planner",
        "before.state is not TaskState.UNKNOWN):\n        if before.state is TaskState.UNKNOWN:",
        "True):\n        if False:",
        (Promise.ASKED, Promise.KILL_REPEATED, Promise.CONVERGES, Promise.ONE_COPY, Promise.SAVED_FIRST),
    ),
    Mutant(
        "an agent in maintenance is used",
        "matching",
        "if offer.unavailable_from is not None:",
        "if False:",
        (Promise.MAINTENANCE,),
    ),
    Mutant(
        "what turns up with an agent that nobody spoke of is not asked for",
        "matching",
        "if self._untold and (silent := self._silent(opening, offer)):",
        'if silent := "":',
        (Promise.ONE_COPY,),
    ),
    Mutant(
        "several masters format the shared journal",
        "state",
        'return f"{FIRST_MASTER} formats the shared journal first"',
        'return ""',
        (Promise.FORMATTED_ONCE,),
    ),
    Mutant(
        "a member joins a quorum that cannot agree to it",
        "state",
        "ready = [record for record in formatted if answers_now(state, record)]",
        "ready = formatted",
        (Promise.JOINS,),
    ),
    Mutant(
        "two members join at once",
        "state",
        "if joining is not None:",
        "if False:",
        (Promise.JOINS,),
    ),
    Mutant(
        "a member of the quorum is forgotten as it is wanted no more",
        "planner",
        "            if is_member(state, record):\n                continue",
        "            if False:\n                continue",
        (Promise.CONVERGES,),
    ),
    Mutant(
        "workers do not learn that a master has moved",
        "planner",
        '    return next(iter(outdated), "")',
        '    return ""',
        (Promise.CONVERGES,),
    ),
    Mutant(
        "a slot goes on without its volume",
        "offers",
        "if awaited and before is not None and before.used:",
        "if False:",
        (Promise.BLOCKS_KEPT,),
    ),
    Mutant(
        "the volumes of a slot that is down are given back",
        "volumes",
        """        and (state.policy.give_back or not holding.persistence_id)
        and not _has_it(state, state.records.get(holding.slot), holding)
""",
        """        and (state.policy.give_back or not holding.persistence_id)
""",
        (Promise.BLOCKS_KEPT,),
    ),
    Mutant(
        "a worker goes to an agent that its placement leaves out",
        "matching",
        "        if rules and (refused := ",
        "        if False and (refused := ",
        (Promise.PLACED,),
    ),
    Mutant(
        "what is launched in a round counts from the next one on",
        "matching",
        "                    census.put(record)",
        "                    pass",
        (Promise.PLACED,),
    ),
    Mutant(
        "those that run are not counted",
        "matching",
        "        if waits or down_since(state, record, now) is None:",
        "        if False:",
        (Promise.PLACED,),
    ),
    Mutant(
        "a copy that may run counts before one that runs",
        "state",
        "return report is None or LIFE[report.state] is not Life.ACTIVE, record.index, record.group",
        "return False, record.index, record.group",
        (Promise.SPARES_WANTED, Promise.LEAVES_ALONE),
    ),
    Mutant(
        "the workers of a group that goes are not emptied",
        "state",
        "        and not is_wanted(state, record)\n        and report is not None",
        "        and record.group in state.wanted.all_groups\n"
        "        and not is_wanted(state, record)\n        and report is not None",
        (Promise.DRAINED_FIRST,),
    ),
    Mutant(
        "a persistence id is used again",
        "volumes",
        '.{last + 1}"',
        '"',
        (Promise.VOLUME_IDS_UNIQUE,),
    ),
    Mutant(
        "an uninstallation is not on record before it begins",
        "planner",
        "        return (KeepUninstalling(),)  # before anything else; the rest follows at once\n",
        "        pass\n",
        (Promise.UNINSTALLED,),
    ),
    Mutant(
        "a framework is torn down while its tasks run",
        "removal",
        "ended = not alive and all(is_over(state, record, now) for record in state.records.values())",
        "ended = True",
        (Promise.UNINSTALLED,),
    ),
    Mutant(
        "a framework is torn down before its volumes are given back",
        "removal",
        "if any(not is_left(state, record, now) for record in holders) or _looks_around(state, now):",
        "if False:",
        (Promise.UNINSTALLED,),
    ),
    Mutant(
        "the state is erased before Mesos has forgotten the framework",
        "removal",
        "return state.removed or not (state.kept_framework_id or state.framework_id)",
        "return state.teardown is not None or not (state.kept_framework_id or state.framework_id)",
        (Promise.UNINSTALLED,),
    ),
    Mutant(
        "the mark of an uninstallation goes with the first records",
        "memory",
        "return Kept(uninstalling=True)",
        "return Kept()",
        (Promise.UNINSTALLED,),
    ),
]


Run = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Run]]]:
    """The histories of each mutant that was asked for, on all cores."""
    chosen = [item.callspec.params["mutant"] for item in request.session.items if "runs" in item.fixturenames]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {mutant.name: pool.submit(play, mutant, tmp_path_factory.mktemp("mutant")) for mutant in chosen}


def play(mutant: Mutant, folder: Path) -> Run:
    shutil.copytree(ROOT / "framework", folder / "framework", ignore=shutil.ignore_patterns("__pycache__", "jars"))
    module = folder / "framework" / f"{mutant.module}.py"
    text = module.read_text()
    found = text.count(mutant.old)
    assert found == 1, f"its text stands {found} times in {module.name}, where it must stand once: write it anew"
    module.write_text(text.replace(mutant.old, mutant.new))
    simulation = str(ROOT / "tests" / "simulation")
    command = [sys.executable, simulation, "--histories", str(HISTORIES), "--jobs", "1", "--failures", "1"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_caught(mutant: Mutant, runs: Mapping[str, Future[Run]]) -> None:
    run = runs[mutant.name].result()
    assert run.returncode == 1, f"no history notices: {run.stdout}{run.stderr}"
    assert any(f": {promise.name} (" in run.stdout for promise in mutant.promises), run.stdout
