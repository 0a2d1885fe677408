"""The service at one look, for the dashboard: is it healthy, how much is cached where, what is it doing now, why is it
not doing more. Pure; made of the last snapshot, the plans and the samples.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from framework import grouping, mounting, mounts, namespace, paths, views
from framework.charts import Chart, chart
from framework.config import Configuration
from framework.model import CachingWorker, Kind, Record, group_named
from framework.planner import State, current_report, down_since, gate, launch_after, registered_workers
from framework.plans import Plan, Status, Step
from framework.refusals import Reason, classified
from framework.series import SPAN, Sample
from framework.state import MOUNTS, answers_now, in_order, is_asked_for, is_wanted
from framework.words import as_wanted, counted

OPEN_STEPS: Final = 6  # of a plan that are shown in words
WAITING: Final = 8  # slots without an agent that are shown by name
MANY: Final = 60  # agents from which on each is a small tile, those in trouble first
MOST: Final = 2000  # agents that are shown
MOST_PATHS: Final = 40  # wanted paths that are shown, those that are not so first

_SENTENCES: Final = {
    Reason.NOTHING_TO_LAUNCH: "Nothing is left to launch",
    Reason.HAS_ONE: "The agent has one already",
    Reason.OTHER_AGENTS: "What is left waits for other agents",
    Reason.CPUS: "Too few CPUs",
    Reason.MEMORY: "Too little memory",
    Reason.DISK: "Too little disk",
    Reason.PORTS: "A port is missing",
    Reason.VOLUME: "The volume does not fit",
    Reason.PLACEMENT: "The placement asks for another agent",
    Reason.MAINTENANCE: "The agent is in maintenance",
    Reason.NOT_YET: "Something must come first",
    Reason.BACKOFF: "A pause after failures",
    Reason.OTHER: "Another reason",
}


class Tone(enum.StrEnum):
    """How much attention something wants; in the order of their urgency."""

    BAD = "bad"
    BUSY = "busy"
    GOOD = "good"
    IDLE = "idle"


_TONES: Final = {
    views.Phase.READY: Tone.GOOD,
    views.Phase.REGISTERED: Tone.GOOD,
    views.Phase.UNREACHABLE: Tone.BAD,
    views.Phase.DELAYED: Tone.BAD,
    views.Phase.WAITING: Tone.BAD,  # it was launched once, and nothing of it runs
}


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    tone: Tone
    headline: str
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Bytes; ``name`` is a tier's, such as SSD."""

    name: str
    capacity: int
    used: int

    @property
    def percent(self) -> float:
        return 100 * self.used / self.capacity if self.capacity else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class TaskShown:
    """``page`` is the address of its own web page, "" for none."""

    slot: str
    kind: Kind
    phase: views.Phase
    tone: Tone
    leads: bool = False
    message: str = ""
    tiers: tuple[Usage, ...] = ()
    page: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class AgentShown:
    """``reason`` is the last one why its offer was refused, of an agent without a task."""

    hostname: str
    tone: Tone
    tasks: tuple[TaskShown, ...] = ()
    reason: str = ""

    @property
    def usage(self) -> Usage:
        tiers = [tier for task in self.tasks for tier in task.tiers]
        return Usage("", sum(tier.capacity for tier in tiers), sum(tier.used for tier in tiers))


@dataclasses.dataclass(frozen=True, slots=True)
class GroupShown:
    """A group of workers: how many are wanted (None: one on each agent) and how many of those answer; ``options`` are
    the texts in which it differs from the default one.
    """

    name: str
    count: int | None
    ready: int
    options: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class MountShown:
    """A storage in the namespace; ``by`` says who mounted it, "" where nobody has."""

    path: str
    uri: str
    tone: Tone
    standing: str
    how: str
    by: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class PathShown:
    """A path of which something is wanted for good."""

    path: str
    wanted: str
    tone: Tone
    standing: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class PlanShown:
    name: str
    title: str
    status: Status
    done: int
    steps: int
    open: tuple[Step, ...]
    more: int


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """Refusals of one class: how many, of how many agents, and the last sentence."""

    title: str
    count: int
    agents: int
    sentence: str
    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Charts:
    """``since`` is the first sample's time. ``hit_percent`` is that of the whole time, None when nothing was read."""

    since: float
    until: float
    capacity: Chart
    used: Chart
    hits: Chart
    top: int
    hit_percent: float | None
    read: int


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    service: str
    verdict: Verdict
    cache: Usage
    tiers: tuple[Usage, ...]
    live_workers: int
    wanted_workers: int | None
    groups: tuple[GroupShown, ...]  # none where the default one is the only one
    plans: tuple[PlanShown, ...]
    idle: str  # what it does when no plan has anything to do
    reasons: tuple[str, ...]
    refused: tuple[Refused, ...]
    agents: tuple[AgentShown, ...]
    more_agents: int
    waiting: tuple[str, ...]
    more_waiting: int
    mounts: tuple[MountShown, ...]
    mounted: str  # how many storages are as wanted, "" where none is wanted
    paths: tuple[PathShown, ...]
    made_paths: str  # the same of paths
    more_paths: int
    charts: Charts | None
    links: tuple[tuple[str, str], ...]

    @property
    def is_large(self) -> bool:
        return len(self.agents) > MANY


def overview(
    state: State,
    configuration: Configuration,
    trouble: str,
    samples: Sequence[Sample],
    found: Sequence[Plan],
    kept_paths: Mapping[str, str],
    now: float,
    *,
    pages: bool,
) -> Overview:
    """``trouble`` is why the scheduler cannot do its work, "" when it can; ``found`` are the plans; ``kept_paths`` says
    by path why a wanted one is not so, "" when it is; ``pages`` whether Alluxio has pages for people.
    """
    live = [worker for worker in state.cache.workers if worker.live]
    agents = _agents(state, now, pages=pages)
    waiting = _waiting(state)
    wanted_paths = _paths(state, kept_paths)
    return Overview(
        service=configuration.name,
        verdict=verdict(state, trouble, found, wanted_paths),
        cache=Usage("", sum(worker.capacity for worker in live), sum(worker.used for worker in live)),
        tiers=_together(live),
        live_workers=len(live),
        wanted_workers=_wanted_workers(state),
        groups=_groups(state),
        # The storages have a part of their own.
        plans=tuple(_plan(plan) for plan in found if plan.name != MOUNTS and any(phase.steps for phase in plan.phases)),
        idle="" if any(plan.status is not Status.READY for plan in found) else "Nothing is left to do.",
        reasons=tuple(_reasons(state, found, now)),
        refused=_refused(state),
        agents=tuple(agents[:MOST]),
        more_agents=max(0, len(agents) - MOST),
        waiting=tuple(waiting[:WAITING]),
        more_waiting=max(0, len(waiting) - WAITING),
        mounts=tuple(_mounts(state, now)),
        mounted=_as_wanted(mounting.counts(state, now)),
        paths=tuple(wanted_paths[:MOST_PATHS]),
        made_paths=_as_wanted(paths.counts(state.paths, kept_paths)),
        more_paths=max(0, len(wanted_paths) - MOST_PATHS),
        charts=_charts(samples),
        links=tuple(_links(state, pages=pages)),
    )


# Is it healthy? -------------------------------------------------------------------------------------------------------


def verdict(state: State, trouble: str, found: Sequence[Plan], wanted_paths: Sequence[PathShown]) -> Verdict:
    """The first that holds."""
    if trouble or not state.connected:
        return Verdict(Tone.BAD, "The scheduler cannot do its work", trouble or state.trouble or "no Mesos master")
    steps = {plan.name: [step for phase in plan.phases for step in phase.steps] for plan in found}
    deploying = [step for step in steps.get("deploy", []) if step.status is not Status.READY]
    if state.cache.primary is None:
        was_there = any(record.deployed for record in state.records.values() if record.kind is Kind.MASTER)
        said = "Alluxio does not answer" if was_there else "Alluxio is being started"
        return Verdict(Tone.BAD if was_there else Tone.BUSY, said, _told(deploying) or state.cache.reason)
    if recovering := [step for step in steps.get("recovery", []) if step.status is not Status.READY]:
        return Verdict(Tone.BUSY, _counted(len(recovering), "task", "is being brought back"), _told(recovering))
    # Each worker that leaves is a phase of its own.
    leaving = [phase for plan in found if plan.name == "decommission" for phase in plan.phases]
    if leaving:
        steps_left = [step for step in leaving[0].steps if step.status is not Status.READY]
        said = f"{leaving[0].name}: {_told(steps_left)}" if steps_left else leaving[0].name
        return Verdict(Tone.BUSY, _counted(len(leaving), "worker", "is leaving"), said)
    if updating := [step for step in steps.get("update", []) if step.status is not Status.READY]:
        said = _counted(len(updating), "task", "has still to take the new configuration")
        return Verdict(Tone.BUSY, said.replace("tasks has", "tasks have", 1), _told(updating))
    if deploying:
        is_stuck = all(step.status is Status.DELAYED for step in deploying)
        done = len(steps["deploy"]) - len(deploying)
        said = f"Being deployed: {done} of {len(steps['deploy'])} steps are done"
        return Verdict(Tone.BAD if is_stuck else Tone.BUSY, said, _told(deploying))
    if mounting_still := [step for step in steps.get("mounts", []) if step.status is not Status.READY]:
        is_stuck = any(step.status is Status.DELAYED for step in mounting_still)
        said = _counted(len(mounting_still), "storage", "is not mounted as wanted")
        return Verdict(Tone.BAD if is_stuck else Tone.BUSY, said, _told(mounting_still))
    if refused := [path for path in wanted_paths if path.tone is Tone.BAD]:
        said = _counted(len(refused), "path", "is not as wanted")
        return Verdict(Tone.BAD, said, f"{refused[0].path}: {refused[0].reason}")
    count = len(registered_workers(state.cache))
    return Verdict(Tone.GOOD, "All is well", f"Alluxio serves with {counted(count, 'worker')}.")


def _counted(count: int, noun: str, rest: str) -> str:
    return f"{counted(count, noun)} {rest if count == 1 else rest.replace('is ', 'are ', 1)}"


def _told(steps: Sequence[Step]) -> str:
    """The first in trouble, else the first with a message."""
    ordered = sorted(steps, key=lambda step: (not step.message, step.status is not Status.DELAYED))
    return next((f"{step.name}: {step.message}" if step.message else step.name for step in ordered), "")


# How much is cached where? --------------------------------------------------------------------------------------------


def _tiers(worker: CachingWorker) -> tuple[Usage, ...]:
    return tuple(Usage(*tier) for tier in worker.tiers) or (Usage("MEM", worker.capacity, worker.used),)


def _together(workers: Iterable[CachingWorker]) -> tuple[Usage, ...]:
    """Each tier of all workers."""
    found: dict[str, Usage] = {}
    for worker in workers:
        for tier in _tiers(worker):
            known = found.get(tier.name, Usage(tier.name, 0, 0))
            found[tier.name] = Usage(tier.name, known.capacity + tier.capacity, known.used + tier.used)
    return tuple(found.values())


def _agents(state: State, now: float, *, pages: bool) -> list[AgentShown]:
    """Those with tasks, and those whose offers were refused. When there are many, the most urgent come first."""
    registered = registered_workers(state.cache)
    caching = {(worker.host, worker.rpc_port): worker for worker in state.cache.workers if worker.live}
    by_host: dict[str, list[TaskShown]] = {}
    for record in sorted(state.records.values(), key=in_order):
        report = current_report(state, record)
        if report is not None and down_since(state, record, now) is not None and not record.deployed:
            continue  # it ended before it was of use, and its slot may go anywhere
        by_host.setdefault(record.hostname, []).append(_task(state, record, registered, caching, now, pages=pages))
    found = [
        AgentShown(hostname, min((task.tone for task in tasks), key=list(Tone).index), tuple(tasks))
        for hostname, tasks in by_host.items()
    ]
    idle = {refusal.hostname: refusal.reason for refusal in state.refusals if refusal.hostname not in by_host}
    found += [AgentShown(hostname, Tone.IDLE, reason=reason) for hostname, reason in idle.items()]
    found.sort(key=lambda agent: _natural(agent.hostname))
    if len(found) > MANY:
        found.sort(key=lambda agent: list(Tone).index(agent.tone))
    return found


def _task(
    state: State,
    record: Record,
    registered: frozenset[tuple[str, int]],
    caching: dict[tuple[str, int], CachingWorker],
    now: float,
    *,
    pages: bool,
) -> TaskShown:
    shown = views.phase(state, record.slot, registered, now)
    worker = caching.get((record.hostname, record.ports.get("rpc", -1))) if record.kind is Kind.WORKER else None
    report, failure = current_report(state, record), state.failures.get(record.slot)
    tone = _TONES.get(shown, Tone.BUSY)
    message = "" if tone is Tone.GOOD or report is None else report.message
    if failure is not None and tone is not Tone.GOOD and not message:
        message = failure.reason
    return TaskShown(
        record.slot,
        record.kind,
        shown,
        tone,
        record.kind is Kind.MASTER and state.cache.primary == f"{record.hostname}:{record.ports.get('rpc')}",
        message,
        _tiers(worker) if worker is not None else (),
        _page(record) if pages and tone is Tone.GOOD else "",
    )


def _page(record: Record) -> str:
    """The address of a task's own pages; "" where it has none. A proxy's web port is S3's."""
    is_for_people = record.kind is not Kind.PROXY and "web" in record.ports
    return f"http://{record.hostname}:{record.ports['web']}" if is_for_people else ""


def _natural(text: str) -> list[tuple[int, int, str]]:
    """agent-2 comes before agent-10."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]


# What is it doing now? ------------------------------------------------------------------------------------------------

_TITLES: Final = {
    "deploy": "Deployment",
    "recovery": "Recovery",
    "update": "Change of the configuration",
    "decommission": "Decommission",
}


def _title(plan: Plan) -> str:
    return _TITLES.get(plan.name, plan.name.capitalize()) + (" (paused)" if plan.rests else "")


def _plan(plan: Plan) -> PlanShown:
    steps = [step for phase in plan.phases for step in phase.steps]
    left = [step for step in steps if step.status is not Status.READY]
    left.sort(key=lambda step: list(Status).index(step.status))
    return PlanShown(
        plan.name,
        _title(plan),
        plan.status,
        len(steps) - len(left),
        len(steps),
        tuple(left[:OPEN_STEPS]),
        max(0, len(left) - OPEN_STEPS),
    )


def _wanted_workers(state: State) -> int | None:
    """Of all groups; None where any has one on each agent."""
    counts = [state.wanted.count(group) for group in state.wanted.groups_of(Kind.WORKER)]
    return None if None in counts else sum(count or 0 for count in counts)


def _groups(state: State) -> tuple[GroupShown, ...]:
    names = grouping.names(state)
    if len(names) == 1:
        return ()
    ready = collections.Counter(
        record.group
        for record in state.records.values()
        if record.kind is Kind.WORKER and is_wanted(state, record) and answers_now(state, record)
    )
    return tuple(
        GroupShown(
            name,
            state.wanted.count(group_named(name)),
            ready[group_named(name)],
            entry.options if (entry := grouping.entry_of(state, name)) is not None else {},
        )
        for name in names
    )


_MOUNT_TONES: Final = {
    mounting.Standing.MOUNTED: Tone.GOOD,
    mounting.Standing.FOREIGN: Tone.IDLE,
    mounting.Standing.FAILING: Tone.BAD,
}


def _as_wanted(counts: Mapping[str, int]) -> str:
    return as_wanted(counts["made"], counts["wanted"])


def _mounts(state: State, now: float) -> list[MountShown]:
    """The most urgent first."""
    return sorted(_all_mounts(state, now), key=lambda shown: list(Tone).index(shown.tone))


def _all_mounts(state: State, now: float) -> Iterable[MountShown]:
    for path in mounting.all_paths(state):
        found = mounts.as_document(state, path, now)
        if found is None:
            continue
        ours = found["own"] or path == namespace.ROOT
        yield MountShown(
            path,
            found["uri"],
            _MOUNT_TONES.get(found["state"], Tone.BUSY),
            found["state"],
            namespace.how(readonly=found["readonly"], shared=found["shared"]),
            "this service" if ours else "somebody else" if found["mounted"] else "",
            found["reason"],
        )


_PATH_TONES: Final = {
    paths.PathStanding.MADE: Tone.GOOD,
    paths.PathStanding.WAITING: Tone.BUSY,
    paths.PathStanding.FAILING: Tone.BAD,
}


def _paths(state: State, reasons: Mapping[str, str]) -> list[PathShown]:
    """The most urgent first."""
    found = []
    for one, standing, reason in paths.where(state.paths, reasons):
        wanted = paths.told(paths.as_document(one.attributes))
        found.append(PathShown(one.path, wanted, _PATH_TONES[standing], standing.value, reason))
    return sorted(found, key=lambda shown: list(Tone).index(shown.tone))


# Why is it not doing more? --------------------------------------------------------------------------------------------


def _reasons(state: State, found: Sequence[Plan], now: float) -> Iterable[str]:
    for plan in found:
        if plan.rests:
            yield f"The plan {plan.name} is paused; POST /v1/plans/{plan.name}/resume lets it go on."
    for kind in Kind:
        if is_asked_for(state, kind) and (reason := gate(state, kind)):
            yield f"{kind.value.capitalize()}s wait: {reason}."
    for slot, failure in sorted(state.failures.items(), key=lambda item: -item[1].count)[:3]:
        if (left := launch_after(state, slot) - now) > 0:
            at = "soon" if left < 1 else f"in {left:.0f} s"
            yield f"{slot} failed {counted(failure.count, 'time')} and is launched again {at}: {failure.reason}."
    if all(plan.status is Status.READY for plan in found):
        yield "Everything that is wanted runs: offers are declined, or none is asked for."
    elif state.offers:
        yield f"{counted(len(state.offers), 'offer')} from Mesos wait for an answer."


def _refused(state: State) -> tuple[Refused, ...]:
    groups: dict[Reason, list[int]] = {}
    for index, refusal in enumerate(state.refusals):
        groups.setdefault(classified(refusal.reason), []).append(index)
    found = []
    for reason, indices in groups.items():
        refusals = [state.refusals[index] for index in indices]
        agents = {refusal.agent_id for refusal in refusals}
        last = refusals[-1]
        sentence = f"{last.hostname}: {last.reason}"
        found.append(Refused(_SENTENCES[reason], len(refusals), len(agents), sentence, last.at))
    return tuple(sorted(found, key=lambda refused: -refused.count))


def _waiting(state: State) -> list[str]:
    return [slot for slot in views.slots(state) if slot not in state.records]


# The last hour --------------------------------------------------------------------------------------------------------


def _charts(samples: Sequence[Sample]) -> Charts | None:
    if not samples:
        return None
    until = samples[-1].at
    top = max(sample.capacity for sample in samples)
    hit, missed = sum(sample.hit for sample in samples), sum(sample.missed for sample in samples)
    return Charts(
        samples[0].at,
        until,
        chart([(sample.at, sample.capacity) for sample in samples], until, SPAN, top * 1.1),
        chart([(sample.at, sample.used) for sample in samples], until, SPAN, top * 1.1),
        chart([(sample.at, _ratio(sample.hit, sample.missed)) for sample in samples], until, SPAN, 105.0),
        top,
        _ratio(hit, missed),
        hit + missed,
    )


def _ratio(hit: int, missed: int) -> float | None:
    return 100 * hit / (hit + missed) if hit + missed else None


def _links(state: State, *, pages: bool) -> Iterable[tuple[str, str]]:
    """Pages of others: their name and address."""
    for record in sorted(state.records.values(), key=in_order):
        if record.kind is not Kind.MASTER or down_since(state, record, 0.0) is not None:
            continue
        if pages and (page := _page(record)):
            leads = state.cache.primary == f"{record.hostname}:{record.ports.get('rpc')}"
            yield f"Alluxio {record.slot}{' (primary)' if leads else ''}", page
    if state.master:
        yield "Mesos", f"http://{state.master}"


def size(count: float) -> str:
    """Bytes for people, three digits."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1000 or unit == "TiB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"
