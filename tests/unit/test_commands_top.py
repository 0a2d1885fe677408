"""The screen of `top`: what has room where, and the real thing in a real terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eventually import eventually
from fake_service import TOKEN, Service, plan, problem, service, task
from framework.commands import screen, show
from framework.commands.screen import Look

ROOT = Path(__file__).parents[2]
NOW = 1_700_000_100.0
REASON = "the image was not found, on 2 agents"


def look(**more: Any) -> Look:
    with service() as made:
        found = Look(
            "http://api:8080",
            NOW - 1,
            {"healthy": True, "role": "leader", "reason": "", "seconds_since_heard": 1.0},
            made._status(),
            made._workers(),
            [plan("deploy"), plan("recovery")],
            {"waiting": 2, "suppressed": False, "refused": made.refused},
            made.events,
        )
    return Look(**{name: more.get(name, getattr(found, name)) for name in Look.__dataclass_fields__})


def lines(found: Look, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(screen.picture(found, width, height, NOW))
    return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


def test_a_small_terminal_shows_each_part() -> None:
    shown = lines(look())
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert "alluxio  well (leader, heard of Mesos 1 s ago)" in shown[0]
    assert "96.0 MiB of 768.0 MiB (12 %)" in shown[1]
    assert shown[2] == "wanted: 3 workers; 3 answer"
    for words in ("TASKS  4, all ready", "PLANS", "deploy", "2 of 3", "OFFERS  2 not answered", "2x on 2 agents"):
        assert words in text
    assert text.index("worker-3.1 is launched") < text.index("worker-2.1 is launched")
    assert shown[-1].startswith("q ends   http://api:8080, answered 1 s ago")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12), (200, 60), (79, 13), (41, 100)])
def test_it_fits_every_terminal(width: int, height: int) -> None:
    many = [task(index, message="a sentence that is longer than any line " * 5) for index in range(1000)]
    status = {**look().status, "tasks": many}  # type: ignore[dict-item]
    events = [{"number": n, "at": NOW, "kind": "updated", "text": "very long " * 50} for n in range(300)]
    plans = [plan(f"plan-{number}") for number in range(9)]
    shown = lines(look(status=status, events=events, plans=plans), width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width
    assert shown[-1].startswith("q ends")


def test_of_a_thousand_tasks_those_that_are_not_well_come_first() -> None:
    many = [task(index) for index in range(1000)]
    many[777] |= {"phase": "unreachable", "message": "its agent is gone"}
    status = {**look().status, "tasks": many}  # type: ignore[dict-item]
    shown = lines(look(status=status))
    row = next(place for place, line in enumerate(shown) if line.startswith("TASKS"))
    assert shown[row] == "TASKS  1000, 1 not ready"
    assert shown[row + 1].startswith("worker-777 unreachable")
    assert any(line.startswith("  and 99") and line.endswith("more") for line in shown)


@pytest.mark.parametrize(("width", "said"), [(80, REASON), (40, "the image")])
def test_why_a_task_is_not_well_has_room(width: int, said: str) -> None:
    many = [task(0), {"slot": "worker-1", "phase": "delayed", "hostname": "10.0.0.2", "message": REASON}]
    status = {**look().status, "tasks": many}  # type: ignore[dict-item]
    shown = lines(look(status=status), width)
    row = next(place for place, line in enumerate(shown) if line.startswith("TASKS"))
    assert shown[row + 1].split()[:3] == ["worker-1", "delayed", "10.0.0.2"]
    assert said in shown[row + 1]
    assert "registered" in shown[row + 2]


def test_who_leaves_says_how_far_it_is() -> None:
    leaving = {
        "slot": "worker-2",
        "hostname": "h",
        "used_bytes": 1,
        "step": "persisting",
        "message": "2 files are left",
    }
    workers = {"count": 2, "ready": 2, "missing": 0, "why": "", "workers": [], "leaving": [leaving]}
    shown = lines(look(workers=workers))
    assert shown[2] == "wanted: 2 workers; 2 answer, 1 leaving"
    row = next(place for place, line in enumerate(shown) if line.startswith("TASKS"))
    assert shown[row + 1].split()[:2] == ["worker-2", "persisting"]
    assert shown[row + 1].endswith("2 files are left")


GROUPS = [
    {"name": "default", "options": {}, "count": 3, "ready": 3, "missing": 0, "why": ""},
    {"name": "hdd", "options": {}, "count": "all", "ready": 4, "missing": 0, "why": ""},
    {"name": "ssd", "options": {}, "count": 2, "ready": 1, "missing": 1, "why": "worker-ssd-1: it waits"},
]


def test_other_groups_have_a_line() -> None:
    shown = lines(look(groups=GROUPS))
    assert shown[2:4] == ["wanted: 3 workers; 3 answer", "other groups: hdd 4 of all, ssd 1 of 2"]
    for height in range(screen.LOWEST, 30):
        assert len(lines(look(groups=GROUPS), 60, height)) <= height


def standing(*amiss: dict[str, str], leader: str | None = "m:1", **counts: tuple[int, int]) -> Look:
    """``counts``: of mounts and paths, how many are as wanted and how many are wanted."""
    found = look()
    assert found.status is not None
    told = {name: {"wanted": wanted, "made": made, "failing": 0} for name, (made, wanted) in counts.items()}
    alluxio = {**found.status["alluxio"], "leader": leader}
    return look(status={**found.status, **told, "not_as_wanted": list(amiss), "alluxio": alluxio})


def amiss(kind: str, path: str, state: str, reason: str) -> dict[str, str]:
    return {"kind": kind, "path": path, "wanted": "s3://b", "state": state, "reason": reason}


LATE = amiss("mount", "/t", "making", "Alluxio is asked for it")
FULL = amiss("path", "/lake", "failing", "it is full")


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (standing(mounts=(2, 2), paths=(3, 3)), "mounts 2 of 2, paths 3 of 3 as wanted"),
        (standing(mounts=(0, 0), paths=(3, 3)), "paths 3 of 3 as wanted"),
        (
            standing(LATE, FULL, mounts=(1, 2), paths=(0, 1)),
            "mounts 1 of 2, paths 0 of 1; /lake fails: it is full",
        ),
        (standing(LATE, mounts=(1, 2), paths=(0, 0)), "mounts 1 of 2; /t is being made: Alluxio is asked for it"),
        (standing(amiss("mount", "/t", "leaving", "it is busy"), mounts=(0, 0)), "/t leaves: it is busy"),
        (standing(FULL, leader=None, paths=(0, 1)), "paths ? of 1; Alluxio has not said which are so"),
        (standing(amiss("mount", "/t", "lost", "why"), mounts=(0, 1)), "mounts 0 of 1; /t is lost: why"),
    ],
)
def test_storages_and_wanted_paths_have_a_line(found: Look, line: str) -> None:
    assert lines(found)[3] == line
    assert lines(found, 40, 12)[3][:39] == line[:39]


def test_where_no_storage_and_no_path_is_wanted_there_is_no_line() -> None:
    assert lines(standing(mounts=(0, 0), paths=(0, 0)))[3].startswith("TASKS")


def test_a_storage_that_fails_is_told_once() -> None:
    fails = {"name": "/s3", "status": "delayed", "message": "there is no bucket"}
    phase = {"name": "mounts", "status": "delayed", "steps": [fails]}
    plans = [plan("deploy"), {"name": "mounts", "status": "delayed", "phases": [phase]}]
    found = standing(amiss("mount", "/s3", "failing", "there is no bucket"), mounts=(0, 1))
    assert "\n".join(lines(look(status=found.status, plans=plans))).count("there is no bucket") == 1
    older = look(plans=plans)
    assert "\n".join(lines(older)).count("there is no bucket") == 1


def test_who_leaves_another_group_comes_first_too() -> None:
    steps = [
        {"name": "persist", "status": "ready", "message": ""},
        {"name": "drain", "status": "starting", "message": "killed in 9 s"},
    ]
    leaving = {"name": "worker-ssd-0", "status": "starting", "steps": steps}
    plans = [{"name": "decommission", "status": "starting", "phases": [leaving]}]
    status = {**look().status, "tasks": [task(0), task(1, slot="worker-ssd-0")]}  # type: ignore[dict-item]
    shown = lines(look(status=status, plans=plans))
    row = next(place for place, line in enumerate(shown) if line.startswith("TASKS"))
    assert shown[row + 1].split()[:2] == ["worker-ssd-0", "leaving"]
    assert shown[row + 1].endswith("killed in 9 s")


def test_what_an_older_scheduler_does_not_have_is_left_out() -> None:
    shown = "\n".join(lines(look(workers=None, events=None)))
    assert "EVENTS" not in shown
    assert "wanted: 3 workers" in shown


def test_no_answer_says_so_and_keeps_the_last_one() -> None:
    shown = lines(look(health=None, trouble="http://api:8080 does not answer"))
    assert "no answer: http://api:8080 does not answer" in shown[0]
    assert any(line.startswith("worker-2") for line in shown)
    nothing = lines(Look("http://api:8080"))
    assert "no answer: http://api:8080 is asked" in nothing[0]


def test_too_small_a_terminal_is_told() -> None:
    assert lines(look(), 39, 24)[0].startswith("39x24 is too small")


@pytest.mark.parametrize(
    ("wanted", "free", "expected"),
    [
        ([(100, 5), (2, 3), (50, 4)], 14, [8, 2, 4]),
        ([(3, 5), (2, 3), (50, 4)], 14, [3, 2, 9]),
        ([(100, 5), (9, 3), (9, 4)], 6, [5, 1, 0]),
        ([(1, 5)], 14, [1]),
    ],
)
def test_rows_are_shared(wanted: list[tuple[int, int]], free: int, expected: list[int]) -> None:
    assert screen.shares(wanted, free) == expected


# In a real terminal ---------------------------------------------------------------------------------------------------


class Terminal:
    """tmux, with a server of its own."""

    def __init__(self, width: int, height: int) -> None:
        self._name = f"top-{uuid.uuid4().hex}"
        self.tmux("-f", os.devnull, "new-session", "-d", "-s", "t", "-x", str(width), "-y", str(height), "sh")

    def tmux(self, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TMUX", "ALLUXIO_"))}
        environment |= {"LC_ALL": "C.UTF-8", "PS1": "$ "}
        done = subprocess.run(
            ["tmux", "-L", self._name, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            timeout=60,
        )
        return done.stdout

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-t", "t", "-l", text)

    def key(self, name: str) -> None:
        self.tmux("send-keys", "-t", "t", name)

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "t")

    def shows(self, words: str) -> bool:
        return words in self.screen


@contextlib.contextmanager
def terminal(width: int = 80, height: int = 24) -> Iterator[Terminal]:
    made = Terminal(width, height)
    try:
        yield made
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            made.tmux("kill-server")


@contextlib.contextmanager
def running_top(api: Service, width: int = 80, height: int = 24, options: str = "") -> Iterator[Terminal]:
    with terminal(width, height) as made:
        made.type(
            f"echo before; PYTHONPATH={ROOT} {sys.executable} -m framework top --api {api.url} --every 0.2 {options}; "
            "echo ended $?"
        )
        made.key("Enter")
        yield made


needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@needs_tmux
def test_in_a_terminal_it_lives_and_q_ends_it() -> None:
    with service() as api, running_top(api) as made:
        eventually(lambda: made.shows("alluxio  well"), "the screen comes")
        shown = made.screen.splitlines()
        assert len(shown) <= 24
        for words in ("wanted: 3 workers; 3 answer", "TASKS  4, all ready", "PLANS", "EVENTS", "q ends"):
            eventually(lambda words=words: made.shows(words), f"the screen has {words}")
        api.tasks[1] |= {"phase": "unreachable"}
        api.events.append({"number": 4, "at": NOW, "kind": "updated", "text": "worker-1.1 cannot be reached"})
        eventually(lambda: made.shows("TASKS  4, 1 not ready"), "the change shows")
        eventually(lambda: made.shows("worker-1.1 cannot be reached"), "the event shows")
        made.key("q")
        eventually(lambda: made.shows("ended 0"), "q ends it")
        assert "before" in made.screen  # the screen of before is back
        assert "TASKS" not in made.screen
        made.type("echo typed")
        eventually(lambda: made.shows("echo typed"), "what is typed shows again")


@needs_tmux
@pytest.mark.parametrize("key", ["C-c", "Q"])
def test_other_keys_that_end_it(key: str) -> None:
    with service() as api, running_top(api) as made:
        eventually(lambda: made.shows("alluxio  well"), "the screen comes")
        made.key("x")  # means nothing
        made.key(key)
        eventually(lambda: made.shows("ended 0"), f"{key} ends it")


@needs_tmux
def test_of_keys_that_come_together_none_is_lost() -> None:
    with service() as api, running_top(api) as made:
        eventually(lambda: made.shows("alluxio  well"), "the screen comes")
        made.type("xyq")
        eventually(lambda: made.shows("ended 0"), "q ends it")


@needs_tmux
def test_it_follows_the_size_of_the_terminal() -> None:
    with service() as api, running_top(api) as made:
        eventually(lambda: made.shows("alluxio  well"), "the screen comes")
        made.tmux("resize-window", "-t", "t", "-x", "50", "-y", "14")
        eventually(lambda: made.screen.splitlines()[13].startswith("q ends"), "it fills the smaller terminal")


@needs_tmux
def test_it_outlasts_a_scheduler_that_is_away() -> None:
    with service() as api, running_top(api) as made:
        eventually(lambda: made.shows("alluxio  well"), "the screen comes")
        api.said["/v1/health"] = problem(503, "no scheduler leads")
        eventually(lambda: made.shows("no answer: "), "it says so")
        eventually(lambda: made.shows("worker-2"), "what was known is still there")
        api.said.clear()
        eventually(lambda: made.shows("alluxio  well"), "it is back")
        made.key("q")
        eventually(lambda: made.shows("ended 0"), "q ends it")


@needs_tmux
def test_a_wrong_token_ends_it_with_a_sentence() -> None:
    with service() as api:
        api.token = TOKEN
        with running_top(api) as made:
            eventually(lambda: made.shows("ended 77"), "it ends")
            assert made.shows("wants a token (401)")


@pytest.mark.parametrize(
    ("done", "whole", "text"),
    [
        (0, 100, "──────────"),
        (0.1, 100, "╸─────────"),
        (50, 100, "━━━━━─────"),
        (99, 100, "━━━━━━━━━╸"),
        (100, 100, "━━━━━━━━━━"),
        (120, 100, "━━━━━━━━━━"),
        (0, 0, "──────────"),
    ],
)
def test_a_bar_can_be_read_without_colours(done: float, whole: float, text: str) -> None:
    assert show.bar(done, whole, 10, "cyan").plain == text
