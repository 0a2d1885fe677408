"""The supervisor: single steps as a table of what it says and does, and safety over whole histories."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from executor.document import Alive, LaunchDocument, Process, Ready, Restart, Step, TcpAddress
from executor.supervisor import (
    Answered,
    Asked,
    Effect,
    Event,
    Exited,
    Kill,
    NotStarted,
    Phase,
    Report,
    Skipped,
    Stage,
    Start,
    Started,
    State,
    StopRequested,
    TaskState,
    Terminate,
    Tick,
    Unit,
    backoff,
    begin,
    step,
    wake_at,
)

RESTART = Restart(initial_seconds=1.0, factor=2.0, maximum_seconds=30.0, attempts=2, healthy_seconds=60.0)
TERMINAL = (TaskState.KILLED, TaskState.FAILED)


def process(name: str, *after: str) -> Process:
    alive = Alive(TcpAddress("127.0.0.11", 31000), every_seconds=5.0, failures=3, timeout_seconds=5.0)
    return Process(name, ("java", name), {}, Ready(TcpAddress("127.0.0.11", 1), 10.0), after, alive)


def document(*processes: Process, steps: tuple[str, ...] = (), restart: Restart = RESTART) -> LaunchDocument:
    prepared = tuple(Step(name, ("java", name), {}, None, None) for name in steps)
    return LaunchDocument("slot-0", "worker", (), (), (), prepared, processes, restart, stop_seconds=15.0)


def play(state: State, *story: tuple[float, Event]) -> tuple[State, list[str]]:
    """Apply events at their times; every effect as a line."""
    lines: list[str] = []
    for now, event in story:
        state, effects = step(state, event, now)
        lines += [f"{now:g}: {describe(effect)}" for effect in effects]
    return state, lines


def describe(effect: Effect) -> str:
    if isinstance(effect, Report):
        health = {None: "", True: " healthy", False: " unhealthy"}[effect.healthy]
        return f"{effect.state.value}{health}: {effect.message}"
    if isinstance(effect, Kill):
        return f"kill {effect.name} {effect.pid}: {effect.because}"
    return f"terminate {effect.name} {effect.pid}" if isinstance(effect, Terminate) else f"start {effect.name}"


def crash(name: str, pid: int, tail: str = "") -> Exited:
    return Exited(name, pid, False, "exited with signal 9", tail)


def test_processes_start_in_their_order_and_the_task_is_healthy_when_all_answer() -> None:
    state, lines = play(
        begin(document(process("master"), process("job-master", "master"), process("proxy"))),
        (0, Tick()),
        (0, Started("master", 1)),
        (0, Started("proxy", 2)),
        (3, Answered("master", 1)),
        (3, Started("job-master", 3)),
        (4, Answered("proxy", 2)),
        (5, Answered("job-master", 3)),
    )
    assert lines == [
        "0: TASK_STARTING: starting master, proxy, then job-master",
        "0: start master",
        "0: start proxy",
        "3: TASK_STARTING: starting job-master, proxy",
        "3: start job-master",
        "4: TASK_STARTING: starting job-master",
        "5: TASK_RUNNING healthy: ready: master, job-master, proxy",
    ]
    assert state.reported is not None
    assert state.reported.processes == {
        "master": {"pid": 1, "restarts": 0, "state": "ready"},
        "job-master": {"pid": 3, "restarts": 0, "state": "ready"},
        "proxy": {"pid": 2, "restarts": 0, "state": "ready"},
    }


def test_steps_run_one_after_the_other_before_any_process() -> None:
    _, lines = play(
        begin(document(process("master"), steps=("format", "check"))),
        (0, Tick()),
        (0, Started("format", 1)),
        (2, Exited("format", 1, True, "exited with code 0", "")),
        (2, Skipped("check")),
    )
    assert lines == [
        "0: TASK_STARTING: starting format, then check, master",
        "0: start format",
        "2: TASK_STARTING: starting check, then master",
        "2: start check",
        "2: TASK_STARTING: starting master",
        "2: start master",
    ]


def test_a_step_that_fails_fails_the_task() -> None:
    state, lines = play(
        begin(document(process("master"), steps=("format",))),
        (0, Tick()),
        (0, Started("format", 1)),
        (2, Exited("format", 1, False, "exited with code 255", "no journal")),
    )
    assert lines[2:] == ["2: TASK_FAILED: format exited with code 255. Its last lines: no journal"]
    assert state.stage is Stage.ENDED


def running(restart: Restart = RESTART) -> State:
    state, _ = play(
        begin(document(process("worker"), process("job-worker", "worker"), restart=restart)),
        (0, Tick()),
        (0, Started("worker", 1)),
        (1, Answered("worker", 1)),
        (1, Started("job-worker", 2)),
        (2, Answered("job-worker", 2)),
    )
    return state


def test_a_crash_is_answered_with_growing_pauses_and_the_others_stay() -> None:
    _, lines = play(
        running(),
        (10, crash("worker", 1)),
        (10.9, Tick()),
        (11, Tick()),
        (11, Started("worker", 3)),
        (12, crash("worker", 3)),
        (14, Tick()),
        (14, Started("worker", 4)),
        (15, Answered("worker", 4)),
    )
    assert lines == [
        "10: TASK_RUNNING unhealthy: worker exited with signal 9; starting it again in 1 s (1 of 2)",
        "11: start worker",
        "12: TASK_RUNNING unhealthy: worker exited with signal 9; starting it again in 2 s (2 of 2)",
        "14: start worker",
        "15: TASK_RUNNING healthy: ready: worker, job-worker",
    ]


def test_giving_up_stops_the_others_first_and_tells_the_reason() -> None:
    state, lines = play(
        running(dataclasses.replace(RESTART, attempts=0)),
        (10, crash("worker", 1, "OutOfMemoryError")),
        (12, Exited("job-worker", 2, False, "exited with code 143", "")),
    )
    reason = "worker exited with signal 9; 0 restarts did not help. Its last lines: OutOfMemoryError"
    assert lines == [
        f"10: TASK_RUNNING unhealthy: giving up: {reason}",
        "10: terminate job-worker 2",
        f"12: TASK_FAILED: {reason}",
    ]
    assert state.stage is Stage.ENDED
    assert wake_at(state) is None


def test_healthy_seconds_forgive_the_crashes() -> None:
    state, _ = play(
        running(), (10, crash("worker", 1)), (11, Tick()), (11, Started("worker", 3)), (20, Answered("worker", 3))
    )
    assert wake_at(state) == 80
    _, lines = play(state, (80, Tick()), (90, crash("worker", 3)))
    assert lines == ["90: TASK_RUNNING unhealthy: worker exited with signal 9; starting it again in 1 s (1 of 2)"]
    _, lines = play(state, (79, crash("worker", 3)))
    assert lines == ["79: TASK_RUNNING unhealthy: worker exited with signal 9; starting it again in 2 s (2 of 2)"]


def test_a_process_that_is_not_ready_in_time_counts_as_crashed() -> None:
    state, lines = play(begin(document(process("worker"))), (0, Tick()), (1, Started("worker", 1)))
    assert wake_at(state) == 11
    state, lines = play(state, (10.9, Tick()), (11, Tick()), (11.1, Answered("worker", 1)), (11.2, crash("worker", 1)))
    assert lines == [
        "11: kill worker 1: it was not ready within 10 s",
        "11.2: TASK_RUNNING unhealthy: worker was not ready within 10 s and was killed; "
        "starting it again in 1 s (1 of 2)",
    ]


def test_a_process_that_hangs_is_killed_and_started_again() -> None:
    asked = [(second, Asked("worker", 1, False)) for second in (6.0, 11.0, 16.0)]
    state, lines = play(running(), *asked, (16.1, crash("worker", 1)), (17.1, Tick()))
    assert lines == [
        "16: TASK_RUNNING unhealthy: worker did not answer on 127.0.0.11:31000 for 15 s and is being killed",
        "16: kill worker 1: it did not answer on 127.0.0.11:31000 for 15 s",
        "16.1: TASK_RUNNING unhealthy: worker did not answer on 127.0.0.11:31000 for 15 s and was killed; "
        "starting it again in 1 s (1 of 2)",
        "17.1: start worker",
    ]
    assert state.reported is not None
    assert state.reported.processes["worker"] == {"pid": None, "restarts": 0, "state": "backing-off"}
    _, lines = play(
        state, (17.1, Started("worker", 3)), (18, Answered("worker", 3)), (23, Asked("worker", 3, False)), (80, Tick())
    )
    assert lines == ["18: TASK_RUNNING healthy: ready: worker, job-worker"]


def test_one_answer_ends_a_silence() -> None:
    answers = (False, False, True, False, False, True, False, False)
    story = [(5.0 * (index + 1), Asked("worker", 1, answer)) for index, answer in enumerate(answers)]
    state, lines = play(running(), *story)
    assert lines == []
    _, lines = play(state, (45.1, Asked("worker", 1, False)))
    assert lines[1:] == ["45.1: kill worker 1: it did not answer on 127.0.0.11:31000 for 15.1 s"]


def test_a_process_that_hangs_while_the_task_stops_is_killed_when_its_time_is_over() -> None:
    silences = [(second, Asked("worker", 1, False)) for second in (11.0, 12.0, 13.0)]
    _, lines = play(running(), (10, StopRequested(15, "asked")), *silences, (25, Tick()))
    assert lines == [
        "10: TASK_KILLING: stopping: asked",
        "10: terminate job-worker 2",
        "25: kill job-worker 2: its time to stop was over",
        "25: kill worker 1: its time to stop was over",
    ]


def test_each_trouble_lasts_until_its_own_process_is_ready() -> None:
    _, lines = play(
        running(),
        (10, crash("worker", 1)),
        (10.5, crash("job-worker", 2)),
        (11, Tick()),
        (11, Started("worker", 3)),
        (11.5, Tick()),
        (11.5, Started("job-worker", 4)),
        (12, Answered("job-worker", 4)),
        (13, Answered("worker", 3)),
    )
    worker = "worker exited with signal 9; starting it again in 1 s (1 of 2)"
    assert lines == [
        f"10: TASK_RUNNING unhealthy: {worker}",
        f"10.5: TASK_RUNNING unhealthy: {worker}. job-{worker}",
        "11: start worker",
        "11.5: start job-worker",
        f"12: TASK_RUNNING unhealthy: {worker}",
        "13: TASK_RUNNING healthy: ready: worker, job-worker",
    ]


def test_a_process_that_becomes_ready_is_told_though_the_words_stay_the_same() -> None:
    _, lines = play(
        begin(document(process("master"), process("job-master"))),
        (0, Tick()),
        (0, Started("master", 1)),
        (0, Started("job-master", 2)),
        (1, crash("master", 1)),
        (2, Tick()),
        (2, Started("master", 3)),
    )
    state, more = play(
        begin(document(process("master"), process("job-master"))),
        (0, Tick()),
        (0, Started("master", 1)),
        (0, Started("job-master", 2)),
        (1, crash("master", 1)),
        (1.5, Answered("job-master", 2)),
    )
    trouble = "TASK_RUNNING unhealthy: master exited with signal 9; starting it again in 1 s (1 of 2)"
    assert lines[-2:] == [f"1: {trouble}", "2: start master"]
    assert more[-2:] == [f"1: {trouble}", f"1.5: {trouble}"]
    assert state.reported is not None
    assert state.reported.processes == {
        "master": {"pid": None, "restarts": 0, "state": "backing-off"},
        "job-master": {"pid": 2, "restarts": 0, "state": "ready"},
    }


def test_a_task_whose_crash_is_mended_is_not_healthy_before_the_rest_is_ready() -> None:
    _, lines = play(
        begin(document(process("master"), process("job-master"))),
        (0, Tick()),
        (0, Started("master", 1)),
        (0, Started("job-master", 2)),
        (1, crash("master", 1)),
        (2, Tick()),
        (2, Started("master", 3)),
        (3, Answered("master", 3)),
        (4, Answered("job-master", 2)),
    )
    assert lines[-2:] == [
        "3: TASK_RUNNING unhealthy: starting job-master",
        "4: TASK_RUNNING healthy: ready: master, job-master",
    ]


def test_a_start_that_the_system_refuses_counts_as_a_crash() -> None:
    _, lines = play(begin(document(process("worker"))), (0, Tick()), (0, NotStarted("worker", "java: not found")))
    assert lines[2:] == [
        "0: TASK_RUNNING unhealthy: worker cannot be started (java: not found); starting it again in 1 s (1 of 2)"
    ]


def test_stopping_goes_backwards_and_a_process_that_others_need_stays_until_they_are_gone() -> None:
    state, lines = play(
        running(),
        (10, StopRequested(15, "the scheduler asked for it")),
        (11, Exited("job-worker", 2, False, "exited with code 143", "")),
    )
    assert wake_at(state) == 25
    _, more = play(state, (24, Tick()), (25, Tick()), (25.5, Tick()), (26, crash("worker", 1)))
    assert lines + more == [
        "10: TASK_KILLING: stopping: the scheduler asked for it",
        "10: terminate job-worker 2",
        "11: terminate worker 1",
        "25: kill worker 1: its time to stop was over",
        "26: TASK_KILLED: the scheduler asked for it",
    ]


def test_a_second_stop_can_only_bring_the_end_nearer() -> None:
    state, _ = play(running(), (10, StopRequested(15, "first")), (11, StopRequested(100, "second")))
    assert wake_at(state) == 25
    state, lines = play(state, (12, StopRequested(0, "third")))
    assert lines == [
        "12: kill job-worker 2: its time to stop was over",
        "12: kill worker 1: its time to stop was over",
    ]


def test_a_stop_between_a_start_and_its_news_waits_for_the_news() -> None:
    state, lines = play(
        begin(document(process("worker"))), (0, Tick()), (0, StopRequested(5, "early")), (1, Started("worker", 1))
    )
    assert lines[2:] == ["0: TASK_KILLING: stopping: early", "1: terminate worker 1"]
    assert state.stage is Stage.STOPPING


@pytest.mark.parametrize(
    "event",
    [
        Started("worker", 9),
        NotStarted("worker", "late"),
        Skipped("worker"),
        Answered("worker", 9),
        Asked("worker", 9, False),
        Asked("worker", 9, True),
        crash("worker", 9),
        crash("unknown", 1),
        Answered("worker", 1),
    ],
)
def test_late_news_changes_nothing(event: Event) -> None:
    state = running()
    assert step(state, event, 5.0) == (state, [])


@given(st.floats(0, 100), st.floats(1, 10), st.floats(0, 1000), st.integers(1, 10_000))
def test_the_pause_never_shrinks_and_never_passes_its_maximum(
    initial: float, factor: float, maximum: float, failures: int
) -> None:
    restart = Restart(initial, factor, maximum, 5, 60.0)
    pauses = [backoff(restart, number) for number in (1, failures, failures + 1)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= maximum
    assert pauses[0] == min(initial, maximum)


class Histories(RuleBasedStateMachine):
    """Any order of crashes, answers, refusals, late news, waiting and stops, against a model of the processes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.next_pid = 1
        self.alive: dict[int, str] = {}
        self.to_start: list[str] = []
        self.reports: list[Report] = []
        self.stop_asked = False
        self.state = begin(document(process("a")))

    @initialize(
        shape=st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=4),
        steps=st.integers(0, 2),
        attempts=st.integers(0, 3),
    )
    def launch(self, shape: list[set[int]], steps: int, attempts: int) -> None:
        processes = [
            process(f"p{index}", *(f"p{other}" for other in after if other < index))
            for index, after in enumerate(shape)
        ]
        names = tuple(f"s{index}" for index in range(steps))
        restart = dataclasses.replace(RESTART, attempts=attempts)
        self.state = begin(document(*processes, steps=names, restart=restart))
        self.apply(Tick())

    def apply(self, event: Event) -> None:
        before = self.state
        self.state, effects = step(self.state, event, self.now)
        for effect in effects:
            if isinstance(effect, Start):
                assert not self.stop_asked, "started while stopping"
                assert before.outcome is None, "started after giving up"
                assert effect.name not in self.alive.values(), "a second copy"
                assert effect.name not in self.to_start, "told to start twice"
                self.to_start.append(effect.name)
            elif isinstance(effect, (Terminate, Kill)):
                assert self.alive.get(effect.pid) == effect.name, "a signal to a stranger"
                if isinstance(effect, Terminate):
                    self.nobody_needs(effect.name)
            else:
                assert not self.reports or self.reports[-1].state not in TERMINAL, "a report after the last"
                self.reports.append(effect)

    def nobody_needs(self, name: str) -> None:
        needing = {unit.name for unit in self.state.units if name in unit.after}
        assert not needing & {*self.alive.values(), *self.to_start}, "stopped before those that need it"

    def unit(self, name: str) -> Unit:
        return next(unit for unit in self.state.units if unit.name == name)

    @precondition(lambda self: self.to_start)
    @rule(index=st.integers(0, 9), how=st.sampled_from(["start", "start", "start", "refuse", "skip"]))
    def hear_of_a_start(self, index: int, how: str) -> None:
        name = self.to_start.pop(index % len(self.to_start))
        if how == "skip" and self.unit(name).once:
            self.apply(Skipped(name))
        elif how == "refuse":
            self.apply(NotStarted(name, "refused"))
        else:
            self.alive[self.next_pid] = name
            self.next_pid += 1
            self.apply(Started(name, self.next_pid - 1))

    @precondition(lambda self: self.alive)
    @rule(index=st.integers(0, 9), success=st.booleans())
    def a_process_ends(self, index: int, success: bool) -> None:
        pid = sorted(self.alive)[index % len(self.alive)]
        name = self.alive.pop(pid)
        self.apply(Exited(name, pid, success, "exited", ""))

    @precondition(lambda self: self.alive)
    @rule(index=st.integers(0, 9))
    def a_process_answers(self, index: int) -> None:
        pid = sorted(self.alive)[index % len(self.alive)]
        self.apply(Answered(self.alive[pid], pid))

    @precondition(lambda self: self.alive)
    @rule(index=st.integers(0, 9), answered=st.booleans())
    def a_process_is_asked(self, index: int, answered: bool) -> None:
        pid = sorted(self.alive)[index % len(self.alive)]
        self.apply(Asked(self.alive[pid], pid, answered))

    @rule(pid=st.integers(0, 30), name=st.sampled_from(["p0", "p1", "s0"]))
    def late_news(self, pid: int, name: str) -> None:
        if pid not in self.alive:
            self.apply(Answered(name, pid))
            self.apply(Asked(name, pid, False))
            self.apply(Exited(name, pid, False, "late", ""))

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.apply(Tick())

    @invariant()
    def a_tick_is_never_asked_for_in_vain(self) -> None:
        """After a Tick the next one is due later, or the loop would spin."""
        if not self.to_start:
            state, effects = step(self.state, Tick(), self.now)
            due = wake_at(state)
            assert due is None or due > self.now or any(isinstance(effect, Start) for effect in effects)

    @rule()
    def time_passes_until_something_is_due(self) -> None:
        due = wake_at(self.state)
        if due is not None:
            self.now = max(self.now, due)
            self.apply(Tick())

    @rule(seconds=st.floats(0, 20))
    def stop(self, seconds: float) -> None:
        self.stop_asked = True
        self.apply(StopRequested(seconds, "asked"))

    @invariant()
    def the_end_means_that_nothing_runs(self) -> None:
        ended = self.state.stage is Stage.ENDED
        if ended:
            assert (self.alive, self.to_start) == ({}, [])
        if self.reports:
            assert (self.reports[-1].state in TERMINAL) == ended

    @invariant()
    def healthy_means_that_every_process_is_ready(self) -> None:
        if self.reports and self.reports[-1].healthy:
            assert all(unit.phase is Phase.READY for unit in self.state.units if not unit.once)
            assert set(self.alive.values()) >= {unit.name for unit in self.state.units if not unit.once}

    @invariant()
    def what_was_told_last_names_the_ready_ones(self) -> None:
        if self.state.outcome is None and self.reports:
            told = {name for name, process in self.reports[-1].processes.items() if process["state"] == "ready"}
            assert told == {unit.name for unit in self.state.units if unit.phase is Phase.READY and not unit.once}

    @invariant()
    def nobody_who_hangs_is_left_alone(self) -> None:
        for unit in self.state.units:
            if unit.phase is Phase.READY and unit.alive is not None and self.state.stage is Stage.RUNNING:
                assert unit.silences < unit.alive.failures

    @invariant()
    def nobody_is_started_more_often_than_allowed(self) -> None:
        for unit in self.state.units:
            assert unit.failures <= (0 if unit.once else self.state.restart.attempts) + 1

    @invariant()
    def a_task_that_waits_for_time_says_until_when(self) -> None:
        stages = {unit.phase for unit in self.state.units}
        if Phase.BACKING_OFF in stages and self.state.stage is Stage.RUNNING:
            due = wake_at(self.state)
            assert due is not None
            assert due <= self.now + self.state.restart.maximum_seconds

    def teardown(self) -> None:
        """Whatever happened: a stop, the news of all starts and SIGKILL's work bring the end."""
        self.stop(10.0)
        while self.to_start:
            self.hear_of_a_start(0, "start")
        self.now += 1000
        self.apply(Tick())
        while self.alive:
            self.a_process_ends(0, False)
        assert self.state.stage is Stage.ENDED


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
