"""What is being done, as plans of phases and steps: the deployment, and the recovery of what was deployed. Pure; it
reads the state and decides nothing.

A step is pending (something must come first), starting, ready, or delayed (it failed and waits before the next launch).
Its message is the reason, in one sentence. A phase and a plan are what their steps are.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence

from framework import removal
from framework.model import LIFE, Failure, Kind, Life, Record, Refusal, Report, group_of, kind_of, plural
from framework.state import (
    DEPLOY,
    RECOVERY,
    UPDATE,
    State,
    answers_now,
    current_report,
    down_since,
    gate,
    homes,
    in_order,
    is_current,
    is_leaving,
    is_sticky,
    is_wanted,
    join_gate,
    launch_after,
    plan_of,
    wanted_slots,
)


class Status(enum.StrEnum):
    """In the order in which the first that holds for a step speaks for the whole."""

    DELAYED = "delayed"
    STARTING = "starting"
    PENDING = "pending"
    READY = "ready"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    name: str
    status: Status
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    name: str
    steps: tuple[Step, ...]

    @property
    def status(self) -> Status:
        return whole(step.status for step in self.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    name: str
    phases: tuple[Phase, ...]
    rests: bool = False  # somebody paused it: nothing more is begun

    @property
    def status(self) -> Status:
        return whole(phase.status for phase in self.phases)


def whole(statuses: Iterable[Status]) -> Status:
    """What speaks for all; nothing to do is ready."""
    found = set(statuses)
    return next((status for status in Status if status in found), Status.READY)


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What is the same for all steps, and looks at every record: found once."""

    homes: Mapping[tuple[Kind, str], str]
    gates: Mapping[Kind, str]
    refused: Mapping[str, Refusal]  # the last refusal of an offer for each slot

    @classmethod
    def of(cls, state: State, now: float) -> _Known:
        refused = {refusal.reason.partition(": ")[0]: refusal for refusal in state.refusals}
        return cls(homes(state, now), {kind: gate(state, kind) for kind in Kind}, refused)

    def why(self, slot: str, since: float) -> str:
        """What was wrong with the last offer that was weighed for it since then; "" when none was."""
        refusal = self.refused.get(slot)
        if refusal is None or refusal.at < since:
            return ""
        return f" (agent {refusal.hostname} {refusal.reason.partition(': ')[2]})"


def deployment(state: State, now: float) -> Plan:
    """What is wanted, up to its first readiness: masters, then job masters, workers and proxies. What happens to a slot
    later is recovery, and does not undo its step.
    """
    known = _Known.of(state, now)
    masters = tuple(_deployed(state, slot, known, now) for slot in wanted_slots(state, Kind.MASTER))
    return Plan(
        DEPLOY,
        (
            Phase("masters", masters),
            Phase("job masters", tuple(_job_master(state, step) for step in masters)),
            *(Phase(plural(group), _steps(state, group, known, now)) for group in state.wanted.all_groups[1:]),
        ),
        DEPLOY in state.wanted.paused,
    )


def _steps(state: State, group: str, known: _Known, now: float) -> tuple[Step, ...]:
    slots = wanted_slots(state, group)
    if state.wanted.count(group) is None:
        # One on each agent: the one more, on the next agent, is a step only while there is none at all.
        slots = slots[:-1] or slots
    return tuple(_deployed(state, slot, known, now) for slot in slots)


def _deployed(state: State, slot: str, known: _Known, now: float) -> Step:
    record = state.records.get(slot)
    if record is not None and record.deployed:
        return Step(slot, Status.READY)
    return _step(state, slot, record, known, now)


def _job_master(state: State, master: Step) -> Step:
    """A job master lives in its master's task; the executor says how far it is."""
    name = f"job-{master.name}"
    record = state.records.get(master.name)
    report = current_report(state, record) if record is not None else None
    if master.status is Status.STARTING and report is not None:
        ready = report.processes.get("job-master") == "ready"
        return Step(name, Status.READY if ready else Status.STARTING)
    return Step(name, master.status, master.message)


def recovery(state: State, now: float) -> Plan:
    """What was deployed and is not as it was: each slot with what happens to it, and the copies that have to end."""
    known = _Known.of(state, now)
    slots = tuple(
        _step(state, record.slot, record, known, now)
        for record in sorted(state.records.values(), key=in_order)
        if record.deployed and not answers_now(state, record) and is_wanted(state, record)
    )
    phases = (Phase("tasks", slots), Phase("copies", tuple(_copies(state))))
    return Plan(RECOVERY, phases, RECOVERY in state.wanted.paused)


def update(state: State, now: float) -> Plan:
    """The change to another configuration: what was deployed and has still to take it, and what took it and is on its
    way back.
    """
    known = _Known.of(state, now)
    phases = []
    for kind, name in ((Kind.MASTER, "masters"), (Kind.WORKER, "workers"), (Kind.PROXY, "proxies")):
        records = sorted(
            (record for record in state.records.values() if record.kind is kind and is_wanted(state, record)),
            key=in_order,
        )
        if any(_takes_it_still(state, record, now) for record in records):
            phases.append(Phase(name, tuple(_updated(state, record, known, now) for record in records)))
    return Plan(UPDATE, tuple(phases), UPDATE in state.wanted.paused)


def _takes_it_still(state: State, record: Record, now: float) -> bool:
    """What does not run takes it whenever it is launched: that is recovery."""
    return not is_current(state, record) and down_since(state, record, now) is None


def _updated(state: State, record: Record, known: _Known, now: float) -> Step:
    if _takes_it_still(state, record, now):
        if record.task_id in state.kills:
            return Step(record.slot, Status.STARTING, "it is being ended")
        return Step(record.slot, Status.PENDING, "it runs with an earlier configuration until it is its turn")
    if answers_now(state, record):
        return Step(record.slot, Status.READY)
    return _step(state, record.slot, record, known, now)


def _copies(state: State) -> Iterator[Step]:
    """Tasks that run or may run although nobody wants them: they are killed, or will be when their agent is back."""
    current = {
        record.task_id for record in state.records.values() if is_wanted(state, record) or is_leaving(state, record)
    }
    for task_id, report in state.reports.items():
        if task_id in current or LIFE[report.state] is Life.TERMINAL:
            continue
        if LIFE[report.state] is Life.LIMBO:
            yield Step(task_id, Status.PENDING, f"{_where(report)}; it is killed when its agent is back")
        else:
            asked = state.kills.get(task_id)
            times = f", asked {asked.times} times" if asked is not None and asked.times > 1 else ""
            yield Step(task_id, Status.STARTING, f"it is being killed{times}")


def _where(report: Report) -> str:
    return report.message or f"its state is {report.state.value}"


def _step(state: State, slot: str, record: Record | None, known: _Known, now: float) -> Step:
    """Where a slot stands that is not ready (any more)."""
    failure = state.failures.get(slot)
    down = down_since(state, record, now) if record is not None else 0.0
    if record is not None and down is None:
        report = current_report(state, record)
        if report is not None and LIFE[report.state] is Life.LIMBO:
            left = max(0.0, report.since + state.policy.unreachable_grace - now)
            return Step(slot, Status.DELAYED, f"its agent is unreachable; it is replaced after {left:.0f} s more")
        return Step(slot, Status.STARTING, report.message if report is not None else "launched, no word of it yet")
    if (plan := plan_of(state, slot)) in state.wanted.paused:
        return Step(slot, Status.PENDING, f"the plan {plan} was paused; POST /v1/plans/{plan}/resume lets it go on")
    left = launch_after(state, slot) - now
    if failure is not None and left > 0:
        return Step(slot, Status.DELAYED, f"{_failed(failure)}; it is launched again in {left:.0f} s")
    return Step(slot, Status.PENDING, _waits_for(state, slot, record, failure, known, now))


def reason(state: State, slot: str, now: float) -> str:
    """Why a slot is not ready, in one sentence."""
    return _step(state, slot, state.records.get(slot), _Known.of(state, now), now).message


def _failed(failure: Failure) -> str:
    times = "once" if failure.count == 1 else f"{failure.count} times in a row"
    return f"it failed {times}, last: {failure.reason}"


def _waits_for(
    state: State, slot: str, record: Record | None, failure: Failure | None, known: _Known, now: float
) -> str:
    kind = kind_of(group_of(slot))
    down = down_since(state, record, now) if record is not None else None
    if record is not None and down is not None and known.homes.get((kind, record.hostname)) == slot:
        moves_at = down + state.policy.stickiness
        left = "" if is_sticky(state, record, down, moves_at) else f"for {max(0.0, moves_at - now):.0f} s more "
        after = f"; {_failed(failure)}" if failure is not None else ""
        waits = f"it waits {left}for an offer of its own agent {record.hostname}{after}{known.why(slot, down)}"
        return known.gates[kind] or waits
    reason = known.gates[kind] or (join_gate(state, slot) if kind is Kind.MASTER else "")
    return reason or f"it waits for an agent that fits{known.why(slot, down or 0.0)}"


def uninstallation(state: State, now: float) -> Plan:
    """It takes the deployment's place: DC/OS asks for that one until all of it is done."""
    records = sorted(state.records.values(), key=in_order)
    copies = [report for report, record in removal.running(state) if record is None]
    return Plan(
        DEPLOY,
        (
            Phase(
                "tasks",
                (
                    *(_ended(state, record, now) for record in records),
                    *(Step(report.task_id, Status.STARTING, "it is being killed") for report in copies),
                ),
            ),
            Phase("volumes", tuple(_given_back(state, records, now))),
            Phase("framework", (_framework(state),)),
            Phase("state", (_erased(state),)),
        ),
    )


def _ended(state: State, record: Record, now: float) -> Step:
    report = current_report(state, record)
    if removal.is_settled(state) or state.erased:
        return Step(record.slot, Status.READY)
    if report is not None and LIFE[report.state] is Life.LIMBO:
        where = f"agent {record.hostname} is unreachable; Mesos ends its task when it is back"
        return Step(record.slot, Status.READY, where)
    if removal.is_over(state, record, now):
        return Step(record.slot, Status.READY, "it has ended")
    return Step(record.slot, Status.STARTING, "it is being killed" if report is not None else "Mesos is asked for it")


def _given_back(state: State, records: Iterable[Record], now: float) -> Iterator[Step]:
    for record in records:
        if not record.volumes:
            need = state.wanted.need(record.group)
            if need is not None and need.volumes:  # what is given back is on record no more
                yield Step(record.slot, Status.READY, f"agent {record.hostname} holds none any more")
        elif removal.is_left(state, record, now) or removal.is_settled(state):
            left = f"agent {record.hostname} did not offer them; destroy them and end their reservations by hand"
            yield Step(record.slot, Status.READY, f"left: {left}")
        else:
            yield Step(record.slot, Status.PENDING, f"waits for an offer of agent {record.hostname}, which holds them")


def _framework(state: State) -> Step:
    if removal.is_settled(state) or state.erased:
        return Step("teardown", Status.READY)
    if state.teardown is not None:
        return Step("teardown", Status.STARTING, "Mesos was told; it has not said yet that it is done")
    waits = "it comes last, when nothing is left that an agent could still give back"
    return Step("teardown", Status.PENDING, waits if state.connected else f"not connected to Mesos: {state.trouble}")


def _erased(state: State) -> Step:
    return Step("erase", Status.READY if state.uninstalled else Status.PENDING)


def as_document(plan: Plan) -> dict[str, object]:
    """The plan as JSON values."""
    return {
        "name": plan.name,
        "status": plan.status,
        "paused": plan.rests,
        "phases": [
            {"name": phase.name, "status": phase.status, "steps": _documents(phase.steps)} for phase in plan.phases
        ],
    }


def _documents(steps: Sequence[Step]) -> list[dict[str, str]]:
    return [
        {"name": step.name, "status": step.status} | ({"message": step.message} if step.message else {})
        for step in steps
    ]
