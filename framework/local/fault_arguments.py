"""What `alluxio-mesos local fault …` takes, as a table. Only argparse is loaded here."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if seconds < 0 or not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds; write for example 30")
    return seconds


@dataclasses.dataclass(frozen=True, slots=True)
class FaultCommand:
    """``target``: what the positional argument stands for, "" for none. ``options``: keys of OPTIONS."""

    name: str
    help: str
    target: str = ""
    options: tuple[str, ...] = ()


_SECONDS: Final = {"type": _seconds, "metavar": "SECONDS"}
OPTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "lasting": ("--for", {**_SECONDS, "dest": "seconds", "help": "how long (until `local fault clear`)"}),
    "time": ("--for", {**_SECONDS, "dest": "seconds", "required": True, "help": "how long"}),
    "away": ("--for", {**_SECONDS, "dest": "seconds", "default": 0.0, "help": "how long it is away (0)"}),
    "master-away": ("--for", {**_SECONDS, "dest": "seconds", "default": 5.0, "help": "how long it is away (5)"}),
    "late": ("--by", {**_SECONDS, "required": True, "help": "how late"}),
    "copy-late": ("--by", {**_SECONDS, "default": 0.0, "help": "how much later the second one comes (0)"}),
    "begin": ("--in", {**_SECONDS, "dest": "starts_in", "default": 0.0, "help": "when it begins (0)"}),
    "calls": ("--calls", {"type": int, "metavar": "N", "help": "for so many calls only"}),
    "to": (
        "--to",
        {
            "choices": ("all", "subscribe", "calls"),
            "default": "all",
            "help": "all calls, SUBSCRIBE alone, or all but SUBSCRIBE (all)",
        },
    ),
}
AGENT: Final = "ADDRESS"
COMMANDS: Final = (
    FaultCommand("kill-agent", "kill an agent's process; its tasks run on, `local up` starts it again", AGENT),
    FaultCommand("agent-away", "kill an agent's process, and start it again after the time", AGENT, ("time",)),
    FaultCommand("reboot-agent", "an agent loses its power, and starts again with a new id", AGENT, ("away",)),
    FaultCommand("mark-gone", "an operator marks an agent gone; it ends with its tasks", AGENT),
    FaultCommand(
        "drop-packets", "connections stay, nothing is answered: master, agents or ADDRESS", "WHERE", ("lasting",)
    ),
    FaultCommand("fail-over-master", "kill the leading Mesos master, and start it again", "", ("master-away",)),
    FaultCommand("rescind", "take all offers back"),
    FaultCommand("no-ports", "offers hold no ports", "", ("lasting",)),
    FaultCommand("duplicate-updates", "status updates come twice", "", ("copy-late", "lasting")),
    FaultCommand("delay-updates", "status updates come late", "", ("late", "lasting")),
    FaultCommand("lose-launches", "launches are accepted, but do not reach the agent", "", ("calls", "lasting")),
    FaultCommand("task-lost", "TASK_LOST instead of UNREACHABLE, GONE and the like", "", ("lasting",)),
    FaultCommand(
        "answer", "answer schedulers' calls with an HTTP status such as 503", "STATUS", ("calls", "to", "lasting")
    ),
    FaultCommand("maintenance", "an agent's offers tell of a maintenance", AGENT, ("begin", "lasting")),
    FaultCommand("teardown", "an operator tears all frameworks down"),
    FaultCommand("pause", "stop a process, and let it go on: ZooKeeper sessions expire", "PART", ("time",)),
    FaultCommand("kill", "kill a process such as scheduler; `local up` starts it again", "PART"),
    FaultCommand("list", "show the faults that are on"),
    FaultCommand("clear", "end the faults that are on"),
)


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Wide enough for one line for each fault."""
    return argparse.HelpFormatter(prog, indent_increment=0, max_help_position=24, width=120)


def add(fault: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """Every fault as a command of its own below ``fault``."""
    fault.formatter_class = _formatter
    names = fault.add_subparsers(title="faults", required=True, metavar="FAULT", dest="fault")
    for command in COMMANDS:
        parser = names.add_parser(
            command.name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}."
        )
        if command.target:
            parser.add_argument("target", metavar=command.target, type=int if command.target == "STATUS" else str)
        for option in command.options:
            flag, settings = OPTIONS[option]
            parser.add_argument(flag, **settings)
        parser.add_argument(
            "--dir", type=Path, default=Path(".local"), metavar="FOLDER", help="where the cluster's state lies (.local)"
        )
        parser.set_defaults(run=run)
