"""`top`: the screen, live. One thread asks the API, so that a key is heard while it waits for an answer."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, NoReturn

from rich.console import Console, RenderableType
from rich.live import Live

from framework.commands import screen
from framework.commands.client import Client, Place, Trouble
from framework.commands.screen import Look

KEY_SECONDS: Final = 0.1  # how soon a new answer or another size of the terminal shows
EVENTS: Final = 200  # that are kept to be shown


def look(client: Client, before: Look | None = None) -> Look:
    """All that is shown. What an older scheduler does not have is left out; what is away for a moment keeps its last
    answer from ``before``.

    Raises:
        Trouble: the first question was not answered.
    """
    health = client.health()
    found: dict[str, Any] = {}
    trouble = ""
    for name, ask in (
        ("status", lambda: client.get("v1", "status").document),
        ("workers", lambda: client.get("v1", "workers").document),
        ("groups", lambda: client.get("v1", "worker-groups").document["groups"]),
        ("plans", lambda: client.get("v1", "plans").document),
        ("offers", lambda: client.get("v1", "offers").document),
        ("events", lambda: _events(client, before)),
    ):
        try:
            found[name] = ask()
        except Trouble as error:
            if not error.passes and name == "status":
                raise
            found[name] = getattr(before, name) if before is not None and error.passes else None
            trouble = trouble or (str(error) if error.passes else "")
    return Look(client.place.address, time.time(), health, trouble=trouble, **found)


def _events(client: Client, before: Look | None) -> list[Any]:
    known = list((before.events if before is not None else None) or ())
    query = {"after": known[-1]["number"]} if known else {}
    newer = client.get("v1", "events", **query).document
    if known and newer and newer[0]["number"] <= known[-1]["number"]:
        known = []  # another scheduler leads, whose numbers begin anew
    return [*known, *newer][-EVENTS:]


def picture(found: Look, console: Console, now: float) -> RenderableType:
    return screen.picture(found, console.width, console.height, now)


def live(place: Place, every: float) -> None:
    """Until q, or Ctrl-C.

    Raises:
        Trouble: the API will not answer, however often it is asked.
    """
    console = Console(highlight=False)
    asking = _Asking(place, every)
    asking.start()
    shown: object = None
    with (
        _ended_by(signal.SIGTERM),
        _keys() as pressed,
        Live(console=console, screen=True, auto_refresh=False) as terminal,
        contextlib.suppress(KeyboardInterrupt),
    ):
        while pressed(KEY_SECONDS) not in ("q", "Q"):
            if asking.refusal is not None:
                break
            now = int(time.time())
            if shown != (state := (asking.found, console.size, now)):
                shown = state
                terminal.update(picture(asking.found, console, time.time()), refresh=True)
    if asking.refusal is not None:
        raise asking.refusal


class _Asking(threading.Thread):
    """``found`` is the last look; ``refusal`` is what ends it."""

    def __init__(self, place: Place, every: float) -> None:
        super().__init__(name="asking", daemon=True)
        self.found = Look(place.address)
        self.refusal: Trouble | None = None
        self._place = place
        self._every = every

    def run(self) -> None:
        with Client(self._place) as client:
            while True:
                try:
                    self.found = look(client, self.found)
                except Trouble as trouble:
                    if not trouble.passes:
                        self.refusal = trouble
                        return
                    self.found = dataclasses.replace(self.found, health=None, trouble=str(trouble))
                time.sleep(self._every)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Keys come at once and are not shown; the terminal is as before afterwards. What is given waits for one so many
    seconds; without one it gives nothing.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        if not ready:
            return ""
        # Not from sys.stdin, which takes all that has come, of which select would not know any more.
        return os.read(terminal, 1).decode(errors="replace") or "q"  # nothing: the terminal has gone

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _ended_by(number: signal.Signals) -> Iterator[None]:
    """The terminal is put right before the end."""

    def end(signal_number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal_number)

    before = signal.signal(number, end)
    try:
        yield
    finally:
        signal.signal(number, before)
