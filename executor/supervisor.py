"""The supervisor's decisions: facts in, effects out. Pure: no clock, no process, no log; `now` is an argument in
monotonic seconds.

A task is a row of units in the order of their start: the preparation's steps, which run once to their end, then the
processes, which run for ever. `step` takes one event and answers with the next state and what to do. An event that does
not fit the unit's phase, or speaks of a process id that the unit no longer has, is late news and changes nothing.

What holds in every history (the property tests say so): a unit is never started while it may have a process; nothing
starts once the task is stopping; the task ends only when no unit has a process; the last report is the only terminal
one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Union

from executor.document import Alive, LaunchDocument, Restart


class Phase(enum.Enum):
    """Where a unit is; the value is what a status update says of it."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    OVERDUE = "overdue"
    HANGING = "hanging"
    BACKING_OFF = "backing-off"
    STOPPING = "stopping"
    KILLING = "killing"
    DONE = "done"
    STOPPED = "stopped"


# A status update knows four words (docs/executor.md): a reader need not know the phases in between.
REPORTED = {
    Phase.WAITING: "starting",
    Phase.STARTING: "starting",
    Phase.READY: "ready",
    Phase.OVERDUE: "starting",
    Phase.HANGING: "backing-off",
    Phase.BACKING_OFF: "backing-off",
    Phase.STOPPING: "stopped",
    Phase.KILLING: "stopped",
    Phase.DONE: "stopped",
    Phase.STOPPED: "stopped",
}
# What lets a unit start that was told to wait for this one.
SETTLED = (Phase.READY, Phase.DONE)


class Stage(enum.Enum):
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class TaskState(enum.Enum):
    """Mesos's task states (mesos.proto, TaskState) that an executor of this project reports."""

    STARTING = "TASK_STARTING"
    RUNNING = "TASK_RUNNING"
    KILLING = "TASK_KILLING"
    KILLED = "TASK_KILLED"
    FAILED = "TASK_FAILED"


@dataclass(frozen=True)
class Unit:
    """A step (`once`) or a process. `since` is when the phase began; `failures` counts crashes since it was last
    healthy; `silences` counts questions without an answer since `heard_at`; `trouble` is why it is not ready again.
    """

    name: str
    once: bool
    after: tuple[str, ...]
    ready_seconds: float
    alive: Alive | None = None
    phase: Phase = Phase.WAITING
    since: float = 0.0
    pid: int | None = None
    starts: int = 0
    failures: int = 0
    resume_at: float = 0.0
    heard_at: float = 0.0
    silences: int = 0
    trouble: str = ""

    @property
    def may_have_process(self) -> bool:
        """A unit told to start has a process until the news of its start says otherwise."""
        return self.pid is not None or self.phase is Phase.STARTING


@dataclass(frozen=True)
class Report:
    """One status update. `processes` is the `data` of docs/executor.md."""

    state: TaskState
    healthy: bool | None
    message: str
    processes: Mapping[str, Mapping[str, str | int | None]]


@dataclass(frozen=True)
class Outcome:
    """How the task ends once everything has stopped: KILLED or FAILED, and why."""

    state: TaskState
    because: str


@dataclass(frozen=True)
class State:
    units: tuple[Unit, ...]
    restart: Restart
    stop_seconds: float
    stage: Stage = Stage.RUNNING
    started: bool = False
    outcome: Outcome | None = None
    kill_at: float = 0.0
    reported: Report | None = None


# Events


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class Started:
    name: str
    pid: int


@dataclass(frozen=True)
class NotStarted:
    """The operating system refused; `why` is its sentence."""

    name: str
    why: str


@dataclass(frozen=True)
class Skipped:
    """A step whose work is done already."""

    name: str


@dataclass(frozen=True)
class Answered:
    """The process `pid` passed its readiness check."""

    name: str
    pid: int


@dataclass(frozen=True)
class Asked:
    """The process `pid` was asked, after it was ready, whether it is alive."""

    name: str
    pid: int
    answered: bool


@dataclass(frozen=True)
class Exited:
    """`how` reads "exited with signal 9" or "exited with code 1"; `tail` is the end of its output."""

    name: str
    pid: int
    success: bool
    how: str
    tail: str


@dataclass(frozen=True)
class StopRequested:
    """Stop everything within `seconds`; `because` ends the sentence "stopped: ..."."""

    seconds: float
    because: str


Event = Union[Tick, Started, NotStarted, Skipped, Answered, Asked, Exited, StopRequested]


# Effects


@dataclass(frozen=True)
class Start:
    """Start the unit; the next event about it is Started, NotStarted or Skipped."""

    name: str


@dataclass(frozen=True)
class Terminate:
    name: str
    pid: int


@dataclass(frozen=True)
class Kill:
    name: str
    pid: int
    because: str


Effect = Union[Start, Terminate, Kill, Report]


def begin(document: LaunchDocument) -> State:
    """The state of a task before its first event: every unit waits for its turn."""
    steps = tuple(step.name for step in document.steps)
    units = [Unit(name, True, steps[:index], 0.0) for index, name in enumerate(steps)]
    units += [
        Unit(process.name, False, steps + process.after, process.ready.seconds, process.alive)
        for process in document.processes
    ]
    return State(tuple(units), document.restart, document.stop_seconds)


def step(state: State, event: Event, now: float) -> tuple[State, list[Effect]]:
    """Take in one event, then do what the state and the time ask for."""
    state = _evolve(state, event, now)
    state, effects = _decide(state, now)
    report = _report(state)
    if state.reported is None or _is_news(state, state.reported, report):
        state = replace(state, reported=report)
        effects.insert(0, report)
    return state, effects


def wake_at(state: State) -> float | None:
    """When a Tick is due if no other event comes first; None: never."""
    times = [unit.resume_at for unit in state.units if unit.phase is Phase.BACKING_OFF and state.stage is Stage.RUNNING]
    times += [unit.since + unit.ready_seconds for unit in state.units if unit.phase is Phase.STARTING and not unit.once]
    times += [
        unit.since + state.restart.healthy_seconds
        for unit in state.units
        if unit.phase is Phase.READY and unit.failures
    ]
    if state.stage is Stage.STOPPING:
        times = (
            [state.kill_at]
            if any(unit.phase is not Phase.KILLING for unit in state.units if unit.pid is not None)
            else []
        )
    return min(times) if times and state.stage is not Stage.ENDED else None


# Evolve: what an event tells


def _evolve(state: State, event: Event, now: float) -> State:
    if isinstance(event, Tick):
        return state
    if isinstance(event, StopRequested):
        return _stop(state, Outcome(TaskState.KILLED, event.because), event.seconds, now)
    unit = next((unit for unit in state.units if unit.name == event.name), None)
    if unit is None:
        return state
    if isinstance(event, (Answered, Asked, Exited)) and event.pid != unit.pid:
        return state
    transition = _TRANSITIONS.get((type(event), unit.phase))
    return state if transition is None else transition(state, unit, event, now)


def _has_started(state: State, unit: Unit, event: Started, now: float) -> State:
    return _put(state, replace(unit, pid=event.pid, since=now))


def _was_skipped(state: State, unit: Unit, event: Skipped, now: float) -> State:
    return _put(state, replace(unit, phase=Phase.DONE, since=now))


def _has_answered(state: State, unit: Unit, event: Answered, now: float) -> State:
    state = _put(state, replace(unit, phase=Phase.READY, since=now, heard_at=now, silences=0, trouble=""))
    return replace(state, started=True) if _all_ready(state) else state


def _was_asked(state: State, unit: Unit, event: Asked, now: float) -> State:
    if event.answered:
        return _put(state, replace(unit, heard_at=now, silences=0))
    return _put(state, replace(unit, silences=unit.silences + 1))


def _was_not_started(state: State, unit: Unit, event: NotStarted, now: float) -> State:
    return _fail(state, unit, f"cannot be started ({event.why})", "", now)


def _has_exited(state: State, unit: Unit, event: Exited, now: float) -> State:
    if unit.once and event.success:
        return _put(state, replace(unit, phase=Phase.DONE, since=now, pid=None))
    return _fail(state, unit, event.how, event.tail, now)


def _was_overdue(state: State, unit: Unit, event: Exited, now: float) -> State:
    return _fail(state, unit, f"was not ready within {unit.ready_seconds:g} s and was killed", event.tail, now)


def _was_hanging(state: State, unit: Unit, event: Exited, now: float) -> State:
    return _fail(state, unit, f"{_silence(unit, unit.since)} and was killed", event.tail, now)


def _has_stopped(state: State, unit: Unit, event: Exited, now: float) -> State:
    return _put(state, replace(unit, phase=Phase.STOPPED, since=now, pid=None))


# The first column is the news, the second what the unit was doing; what is not listed is late news.
_TRANSITIONS: Mapping[tuple[type, Phase], Callable[[State, Unit, Any, float], State]] = {
    (Started, Phase.STARTING): _has_started,
    (Skipped, Phase.STARTING): _was_skipped,
    (NotStarted, Phase.STARTING): _was_not_started,
    (Answered, Phase.STARTING): _has_answered,
    (Asked, Phase.READY): _was_asked,
    (Exited, Phase.STARTING): _has_exited,
    (Exited, Phase.READY): _has_exited,
    (Exited, Phase.OVERDUE): _was_overdue,
    (Exited, Phase.HANGING): _was_hanging,
    (Exited, Phase.STOPPING): _has_stopped,
    (Exited, Phase.KILLING): _has_stopped,
}


def _fail(state: State, unit: Unit, how: str, tail: str, now: float) -> State:
    """A crash: start again after a pause, or give up when that did not help; a task that stops does neither."""
    unit = replace(unit, pid=None, since=now, failures=unit.failures + 1)
    last_lines = f" Its last lines: {tail}" if tail else " It wrote nothing."
    if unit.once or unit.failures > state.restart.attempts:
        state = _put(state, replace(unit, phase=Phase.STOPPED))
        again = "" if unit.once else f"; {state.restart.attempts} restarts did not help"
        return _stop(
            state, Outcome(TaskState.FAILED, f"{unit.name} {how}{again}.{last_lines}"), state.stop_seconds, now
        )
    pause = backoff(state.restart, unit.failures)
    trouble = f"{unit.name} {how}; starting it again in {pause:g} s ({unit.failures} of {state.restart.attempts})"
    return _put(
        replace(state, started=True),
        replace(unit, phase=Phase.BACKING_OFF, resume_at=now + pause, trouble=trouble),
    )


def backoff(restart: Restart, failures: int) -> float:
    """Seconds to wait after the given number of crashes in a row, 1 for the first."""
    # The exponent is bounded so that a factor of 2 and a thousand attempts stay within a float.
    return min(restart.maximum_seconds, restart.initial_seconds * restart.factor ** min(failures - 1, 64))


def _stop(state: State, outcome: Outcome, seconds: float, now: float) -> State:
    """Stopping is final: the first outcome stays, a second request can only bring the end nearer."""
    if state.stage is Stage.RUNNING:
        return replace(state, stage=Stage.STOPPING, outcome=outcome, kill_at=now + seconds)
    return replace(state, kill_at=min(state.kill_at, now + seconds))


def _put(state: State, changed: Unit) -> State:
    return replace(state, units=tuple(changed if unit.name == changed.name else unit for unit in state.units))


# Decide: what state and time ask for


def _decide(state: State, now: float) -> tuple[State, list[Effect]]:
    effects: list[Effect] = []
    rule = _run_unit if state.stage is Stage.RUNNING else _stop_unit
    # The last to start is the first to stop.
    for unit in state.units if state.stage is Stage.RUNNING else reversed(state.units):
        changed, unit_effects = rule(state, unit, now)
        state = _put(state, changed)
        effects += unit_effects
    if state.stage is Stage.STOPPING and all(unit.phase in (Phase.STOPPED, Phase.DONE) for unit in state.units):
        state = replace(state, stage=Stage.ENDED)
    return state, effects


def _run_unit(state: State, unit: Unit, now: float) -> tuple[Unit, list[Effect]]:
    if unit.phase is Phase.WAITING and all(other.phase in SETTLED for other in state.units if other.name in unit.after):
        return replace(unit, phase=Phase.STARTING, since=now, starts=1), [Start(unit.name)]
    if unit.phase is Phase.BACKING_OFF and now >= unit.resume_at:
        return replace(unit, phase=Phase.STARTING, since=now, starts=unit.starts + 1), [Start(unit.name)]
    if (
        unit.phase is Phase.STARTING
        and unit.pid is not None
        and not unit.once
        and now >= unit.since + unit.ready_seconds
    ):
        because = f"it was not ready within {unit.ready_seconds:g} s"
        return replace(unit, phase=Phase.OVERDUE, since=now), [Kill(unit.name, unit.pid, because)]
    if unit.phase is Phase.READY and unit.pid is not None and unit.alive and unit.silences >= unit.alive.failures:
        silence = _silence(unit, now)
        hanging = replace(unit, phase=Phase.HANGING, since=now, trouble=f"{unit.name} {silence} and is being killed")
        return hanging, [Kill(unit.name, unit.pid, f"it {silence}")]
    if unit.phase is Phase.READY and unit.failures and now >= unit.since + state.restart.healthy_seconds:
        return replace(unit, failures=0), []
    return unit, []


def _silence(unit: Unit, now: float) -> str:
    assert unit.alive is not None
    return f"did not answer on {unit.alive.address} for {round(now - unit.heard_at, 1):g} s"


def _stop_unit(state: State, unit: Unit, now: float) -> tuple[Unit, list[Effect]]:
    if unit.pid is None:
        ended = unit.phase in (Phase.STARTING, Phase.DONE, Phase.STOPPED)
        return (unit if ended else replace(unit, phase=Phase.STOPPED, since=now)), []
    if unit.phase is not Phase.KILLING and now >= state.kill_at:
        return replace(unit, phase=Phase.KILLING, since=now), [Kill(unit.name, unit.pid, "its time to stop was over")]
    needed = any(unit.name in other.after and other.may_have_process for other in state.units)
    if unit.phase in (Phase.STARTING, Phase.READY) and not needed:
        return replace(unit, phase=Phase.STOPPING, since=now), [Terminate(unit.name, unit.pid)]
    return unit, []


# Report: what Mesos should know


def _report(state: State) -> Report:
    task_state, healthy, message = _summary(state)
    processes = {
        unit.name: {"pid": unit.pid, "restarts": max(0, unit.starts - 1), "state": REPORTED[unit.phase]}
        for unit in state.units
        if not unit.once
    }
    return Report(task_state, healthy, message, processes)


def _summary(state: State) -> tuple[TaskState, bool | None, str]:
    if state.outcome is not None:
        return _last_words(state.outcome, state.stage is Stage.ENDED)
    troubles = [unit.trouble for unit in state.units if unit.trouble]
    if troubles:
        return TaskState.RUNNING, False, ". ".join(troubles)
    if _all_ready(state):
        return TaskState.RUNNING, True, f"ready: {_names(state, lambda unit: unit.phase is Phase.READY)}"
    starting = _names(state, lambda unit: unit.phase in (Phase.STARTING, Phase.OVERDUE))
    waiting = _names(state, lambda unit: unit.phase is Phase.WAITING)
    words = f"starting {starting}" + (f", then {waiting}" if waiting != "nothing" else "")
    return (TaskState.RUNNING, False, words) if state.started else (TaskState.STARTING, None, words)


def _last_words(outcome: Outcome, ended: bool) -> tuple[TaskState, bool | None, str]:
    if ended:
        return outcome.state, None, outcome.because
    if outcome.state is TaskState.KILLED:
        return TaskState.KILLING, None, f"stopping: {outcome.because}"
    return TaskState.RUNNING, False, f"giving up: {outcome.because}"


def _names(state: State, condition: Callable[[Unit], bool]) -> str:
    return ", ".join(unit.name for unit in state.units if condition(unit)) or "nothing"


def _all_ready(state: State) -> bool:
    return all(unit.phase in SETTLED for unit in state.units)


def _is_news(state: State, old: Report, new: Report) -> bool:
    """What is worth an update: other words, and another set of ready processes, which a plan waits for.

    The rest (process ids, a pause that is over) goes along with the next one, and so does each end while all is
    stopped: a crash and the recovery from it are two updates, whatever happens in between.
    """
    if (old.state, old.healthy, old.message) != (new.state, new.healthy, new.message):
        return True
    return state.outcome is None and _ready_names(old) != _ready_names(new)


def _ready_names(report: Report) -> set[str]:
    return {name for name, process in report.processes.items() if process["state"] == REPORTED[Phase.READY]}
