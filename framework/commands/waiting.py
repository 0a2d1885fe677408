"""Waiting until a change is so, with a bar that shows how far it is: for `scale --wait`, `config set --wait`,
`groups set --wait`, `plan --wait` and `load`.

What passes by itself (another scheduler takes the lead, the network is away) is shown and waited out.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from framework.commands import show
from framework.commands.client import Client, Trouble
from framework.model import ExitCode, group_named, group_of
from framework.words import counted

PAUSE: Final = 0.5  # seconds between two looks
WIDE: Final = 2000  # columns, where no terminal is: a script wants whole lines
COUNTDOWN: Final = re.compile(r" in \d+ s$")  # what merely comes nearer is no news
PAUSED: Final = "the plan update is paused; `alluxio-mesos plan resume update` lets it go on"


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """How far it is: ``left`` of what there is to do, with the reason in one sentence; ``document`` says it whole.
    ``whole`` is all that there was to do, where that is known.
    """

    left: int
    sentence: str
    document: Any
    whole: int = 0


def workers(client: Client, count: int | str) -> Standing:
    """
    Raises:
        Trouble: CONFLICT, when another number is wanted by now.
    """
    found = client.get("v1", "workers").document
    if found["count"] != count:
        raise Trouble(
            f"{counted(found['count'], 'worker')} are wanted by now, not {count}: somebody else made a change; "
            "the wait ends",
            ExitCode.CONFLICT,
        )
    return _workers(found)


def _workers(found: Any) -> Standing:
    leaving = found["leaving"]
    if found["missing"]:
        sentence = f"{found['missing']} missing" + (f", {found['why']}" if found["why"] else "")
    elif leaving:
        sentence = f"{leaving[0]['slot']} is {leaving[0]['step']}" + (
            f", and {len(leaving) - 1} more leave" if len(leaving) > 1 else ""
        )
        if leaving[0]["step"] == "persisting" and leaving[0].get("message"):
            sentence += f": {leaving[0]['message']}"
    else:
        sentence = f"{counted(found['ready'], 'worker')} ready"
    return Standing(found["missing"] + len(leaving), sentence, found)


def group(client: Client, name: str, count: int | str, options: Mapping[str, str]) -> Standing:
    """Of a group's workers: those that do not answer, that leave, or that run with other options.

    Raises:
        Trouble: CONFLICT, when another number or other options are wanted by now.
    """
    # The plan first: what is launched again between the two questions does not answer then, and is missing.
    update = {plan["name"]: plan for plan in client.get("v1", "plans").document}["update"]
    found = _group(client, name)
    if found is None or (found["count"], found["options"]) != (count, options):
        raise Trouble(
            f"group {name} is wanted otherwise by now: somebody else made a change; the wait ends", ExitCode.CONFLICT
        )
    standing, outdated = _workers(found), _outdated(update, name)
    if not outdated:
        return standing
    left = len(found["leaving"]) + max(found["missing"], len(outdated))  # one that is ended for it is both
    return Standing(left, PAUSED if update.get("paused") else outdated[0], found)


def _outdated(update: Any, name: str) -> list[str]:
    """A sentence on each of the group's tasks that has still to take its options."""
    return [
        f"{step['name']}: {step.get('message') or 'it has still to take its options'}"
        for phase in update.get("phases", ())
        for step in phase["steps"]
        if step["status"] != "ready" and group_of(step["name"]) == group_named(name)
    ]


def group_gone(client: Client, name: str) -> Standing:
    """
    Raises:
        Trouble: CONFLICT, when the group is wanted again.
    """
    found = _group(client, name)
    if found is None:
        return Standing(0, f"no worker of group {name} is left", None)
    if found["count"] != 0:
        raise Trouble(f"group {name} is wanted again: somebody else made a change; the wait ends", ExitCode.CONFLICT)
    return _workers(found)


def _group(client: Client, name: str) -> Any:
    """None where it is neither wanted nor has a worker left."""
    try:
        return client.get("v1", "worker-groups", name).document
    except Trouble as trouble:
        if not trouble.absent:
            raise
        return None


def mount_path(path: str) -> tuple[str, ...]:
    """The API's, in its parts."""
    return ("v1", "mounts", *path.removeprefix("/").split("/"))


def mount(client: Client, path: str, wanted: Mapping[str, Any]) -> Standing:
    """
    Raises:
        Trouble: CONFLICT, when something else is wanted there by now.
    """
    found = _mount(client, path)
    if found is None or not found["wanted"] or any(found[name] != value for name, value in wanted.items()):
        raise Trouble(
            f"something else is wanted at {path} by now: somebody else made a change; the wait ends", ExitCode.CONFLICT
        )
    is_there = found["state"] == "mounted"
    return Standing(int(not is_there), found["reason"] or f"{found['uri']} is {found['state']} at {path}", found)


def mount_gone(client: Client, path: str) -> Standing:
    """Until nothing of this service's own is mounted there.

    Raises:
        Trouble: CONFLICT, when something is wanted there again.
    """
    found = _mount(client, path)
    if found is None or (not found["wanted"] and not found["own"]):
        return Standing(0, f"{path} is not mounted by this service any more", found)
    if found["wanted"]:
        raise Trouble(
            f"something is wanted at {path} again: somebody else made a change; the wait ends", ExitCode.CONFLICT
        )
    return Standing(1, found["reason"] or "it is being unmounted", found)


def _mount(client: Client, path: str) -> Any:
    """None where nothing is wanted, nor mounted."""
    try:
        return client.get(*mount_path(path)).document
    except Trouble as trouble:
        if not trouble.absent:
            raise
        return None


def plans(client: Client, name: str) -> Standing:
    found = [client.get("v1", "plans", name).document] if name else client.get("v1", "plans").document
    left = sum(total - done for done, total in map(show.done_of, found))
    open_plans = [plan for plan in found if plan["status"] != "ready"]
    sentence = next(filter(None, map(show.waits_for, open_plans)), "") or (
        f"{open_plans[0]['name']} is {open_plans[0]['status']}" if open_plans else "nothing is left to do"
    )
    return Standing(max(left, len(open_plans)), sentence, found[0] if name else found)


def update(client: Client, number: int, slots: Collection[str]) -> Standing:
    """Of the tasks that have still to take the configuration of version ``number``. ``slots`` are those that the change
    ended: one that was launched again with it, and does not answer yet, is no step of the update any more.

    Raises:
        Trouble: CONFLICT, when tasks are launched with another configuration by now.
    """
    holds = client.get("v1", "config").document
    asked = next((entry for entry in holds["history"] if entry["number"] == number), None)
    if asked is not None and asked["configuration"] != holds["configuration"]:
        raise Trouble(
            f"version {holds['number']} holds by now, not {number}: somebody else made a change; the wait ends",
            ExitCode.CONFLICT,
        )
    found = {plan["name"]: plan for plan in client.get("v1", "plans").document}
    left: dict[str, str] = {}  # by slot, with the reason
    for name in ("update", "recovery", "deploy"):
        for step in (step for phase in found[name].get("phases", ()) for step in phase["steps"]):
            if step["status"] != "ready" and (name == "update" or step["name"] in slots):
                left.setdefault(step["name"], step.get("message") or f"it is {step['status']}")
    if left and found["update"].get("paused"):
        sentence = PAUSED
    else:
        sentence = next((f"{slot}: {reason}" for slot, reason in left.items()), "no task has still to take it")
    return Standing(len(left), sentence, found["update"])


def until(look: Callable[[], Standing], seconds: float, console: Console) -> Standing:
    """The first standing with nothing left.

    Raises:
        Trouble: NOT_IN_TIME, or what ``look`` raises that does not pass.
    """
    deadline = time.monotonic() + seconds
    last = "nothing is known yet"
    with _Bar(console) as bar:
        while True:
            try:
                standing = look()
            except Trouble as trouble:
                if not trouble.passes:
                    raise
                last = str(trouble)
                bar.say(last)
            else:
                last = standing.sentence
                bar.show(standing)
                if standing.left == 0:
                    return standing
            if time.monotonic() + PAUSE >= deadline:
                raise Trouble(f"it is not so after {seconds:g} s: {last}; it goes on", ExitCode.NOT_IN_TIME)
            time.sleep(PAUSE)


class _Bar:
    """A bar on a terminal; elsewhere a line for each change. The most that was left at any time is the whole."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._whole = 0
        self._said = ""
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, standing: Standing) -> None:
        self._whole = max(self._whole, standing.left, standing.whole)
        self._progress.update(self._task, total=max(self._whole, 1), completed=max(self._whole, 1) - standing.left)
        self.say(standing.sentence)

    def say(self, sentence: str) -> None:
        text = show.plain(sentence)
        self._progress.update(self._task, description=text.plain)
        told = COUNTDOWN.sub("", text.plain)
        if not self._console.is_terminal and told != self._said:
            self._console.print(text, soft_wrap=True)
        self._said = told


def console() -> Console:
    """Standard error: standard output is the answer's. Where no terminal is, no line is broken."""
    made = Console(stderr=True, highlight=False)
    return made if made.is_terminal else Console(stderr=True, highlight=False, width=WIDE)
