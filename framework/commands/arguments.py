"""The arguments of the commands that ask a running service. Only argparse and names are loaded here; what does the work
is loaded when it is asked for, so that ``--help`` and the scheduler start without it.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from framework.model import DEFAULT_GROUP, is_group_name
from framework.paths import MOST_COPIES, path_mistake

LINES: Final = 100
MOST_LINES: Final = 1000  # the API gives no more
MOST_WORKERS: Final = 10_000
MOST_ENTRIES: Final = 10_000
WAIT_SECONDS: Final = 600.0
EVERY_SECONDS: Final = 2.0

# The first command of each part of the list that `--help` prints, and its heading.
HEADINGS: Final = {
    "status": "see a service",
    "scale": "change a service",
    "ls": "see and say what is cached",
    "scheduler": "run a service",
    "completion": "help at the prompt",
}

PLANS: Final = ("deploy", "recovery", "update", "decommission", "mounts")
VERBS: Final = ("pause", "resume")  # of a plan
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    _command(commands, "status", "show whether it is well, what runs and what is waited for")
    _command(commands, "workers", "show the workers: how many are wanted, what each caches, which leave")
    _add_groups(commands)
    mounts = _command(commands, "mounts", "show the storages in the namespace, or one: where, how, and why not")
    mounts.add_argument("path", nargs="?", default=None, type=_path, metavar="PATH", help="such as /data/s3 (all)")
    _add_plan(commands)
    tasks = _command(commands, "tasks", "show all tasks, or all that is known of one")
    tasks.add_argument("name", nargs="?", default="", metavar="NAME", help="such as worker-3 (all)")
    offers = _command(commands, "offers", "show why offers are refused, grouped by reason")
    offers.add_argument("--all", action="store_true", help="each refusal too, the newest first")
    endpoints = _command(commands, "endpoints", "show where everything listens, or what a client is configured with")
    endpoints.add_argument(
        "name",
        nargs="?",
        metavar="CLIENT",
        choices=("alluxio", "spark", "hadoop", "s3", "prometheus"),
        help="alluxio, spark, hadoop, s3 or prometheus: its configuration, to paste",
    )
    logs = _command(commands, "logs", "show the end of a task's log")
    logs.add_argument("name", metavar="TASK", help="such as worker-3")
    logs.add_argument("--file", default="", metavar="NAME", help="stdout, stderr or a file below logs/ (its first log)")
    logs.add_argument("--lines", type=_lines, default=LINES, metavar="N", help=f"how many lines ({LINES})")
    logs.add_argument("--follow", "-f", action="store_true", help="go on as lines are written; Ctrl-C ends it")
    _add_config(commands)
    events = _command(commands, "events", "show what happened last")
    events.add_argument("--follow", "-f", action="store_true", help="go on with what happens; Ctrl-C ends it")
    events.add_argument("--after", type=_number, default=None, metavar="NUMBER", help="only what came after this event")
    top = _command(commands, "top", "show all of it on one screen, live; q ends it")
    top.add_argument(
        "--every",
        type=_seconds,
        default=EVERY_SECONDS,
        metavar="SECONDS",
        help=f"between two looks ({EVERY_SECONDS:g})",
    )
    top.add_argument("--once", action="store_true", help="print the screen once")
    scale = _command(commands, "scale", "change how many workers there are; nothing that is cached is lost")
    scale.add_argument("count", type=_count, metavar="N|all", help="how many; all: one on each agent")
    scale.add_argument(
        "--remove",
        action="append",
        type=_slot,
        default=[],
        metavar="SLOT",
        help="this worker goes, such as worker-3; may be repeated (those that cache least)",
    )
    scale.add_argument("--dry-run", action="store_true", help="only say what would happen")
    scale.add_argument("--wait", action="store_true", help="until it is so")
    _add_timeout(scale)
    _add_mount(commands)
    for name, said in (
        ("restart", "end a task and launch it again where it is"),
        ("replace", "end a task and launch it on another agent"),
    ):
        _command(commands, name, said).add_argument("name", metavar="TASK", help="such as worker-3")
    log_level = _command(commands, "log-level", "show or set how much the leader logs")
    log_level.add_argument(
        "level", nargs="?", type=str.upper, choices=LEVELS, metavar="LEVEL", help=f"{', '.join(LEVELS)} (shows it)"
    )
    _add_paths(commands)


def _add_paths(commands: Commands[argparse.ArgumentParser]) -> None:
    made = {
        name: _command(commands, name, said)
        for name, said in (
            ("ls", "show a file, or what is in a folder: sizes, what of it is cached, pins, lives, copies"),
            ("load", "have the workers read a path into the cache, and show how far it is"),
            ("free", "let go what is cached of a path; what the cache alone holds is kept"),
            ("persist", "write what the cache alone holds of a path to the under-storage"),
            ("pin", "keep what is cached of a path when the cache is full"),
            ("unpin", "pin a path no more"),
            ("ttl", "say how long a file, or each file in a folder, lives"),
            ("replication", "say how many copies of a file's blocks the cache holds"),
            ("forget", "want nothing of a path for good any more; it stays as it is"),
        )
    }
    for command in made.values():
        command.add_argument("path", type=_path, metavar="PATH", help="in Alluxio's namespace, such as /data/table")
    for name in ("pin", "unpin", "ttl", "replication"):
        made[name].add_argument(
            "--keep",
            action="store_true",
            help="want it for good, also of what comes later; the path need not be there yet",
        )
    _command(commands, "wanted", "show the paths of which something is wanted for good, and which are not so")
    made["ls"].add_argument(
        "--limit", type=_entries, default=MOST_LINES, metavar="N", help=f"at most so many entries ({MOST_LINES})"
    )
    made["ls"].add_argument("--after", default="", metavar="NAME", help="the entries behind this name")
    made["ls"].add_argument("--refresh", action="store_true", help="look for new entries in the under-storage too")
    load = made["load"]
    instead = load.add_mutually_exclusive_group()
    instead.add_argument("--no-wait", action="store_true", help="begin it, and come back at once")
    instead.add_argument("--progress", action="store_true", help="begin nothing; show how far the load is that runs")
    instead.add_argument("--stop", action="store_true", help="stop the load that runs; what it has loaded stays")
    load.add_argument(
        "--verify", action="store_true", help="look at the end whether all is there, and load what is not"
    )
    load.add_argument(
        "--no-refresh", action="store_true", help="do not look for new files in the under-storage where that was done"
    )
    load.add_argument(
        "--timeout",
        type=_seconds,
        default=math.inf,
        metavar="SECONDS",
        help="how long it waits at most (without end); then the exit code is 124, and the load goes on",
    )
    made["free"].add_argument("--force", action="store_true", help="also what is pinned, which it is no more then")
    ttl = made["ttl"]
    ttl.add_argument("ttl", metavar="TIME|none", help="from the last change on, such as 7d; none: for ever")
    ttl.add_argument(
        "--action",
        choices=("free", "delete"),
        help="then what is cached is freed; or the file is deleted, from the under-storage too (free)",
    )
    copies = made["replication"]
    copies.add_argument("--min", type=_copies, metavar="N", help="at least so many; 1 or more pins it, 0 unpins it")
    copies.add_argument("--max", type=_most_copies, metavar="N|none", help="at most so many")
    copies.set_defaults(run=lambda options: _run_replication(copies, options))


def _run_replication(copies: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.min is None and options.max is None:
        copies.error("nothing is said; give --min, --max or both")
    return _run("replication", options)


def _add_plan(commands: Commands[argparse.ArgumentParser]) -> None:
    """`plan`, `plan NAME`, `plan pause NAME`: a parser that has commands of its own takes no other word there."""
    plan = _command(commands, "plan", "show what is being done, step by step; or let it rest, and go on")
    plan.add_argument(
        "words",
        nargs="*",
        metavar="[pause|resume] NAME",
        choices=_Offered(lambda: (*VERBS, *PLANS)),
        help=f"{', '.join(PLANS)} (all); let one rest, go on",
    )
    plan.add_argument("--wait", action="store_true", help="until nothing is left to do")
    _add_timeout(plan)
    plan.set_defaults(run=lambda options: _run_plan(plan, options))


def _run_plan(plan: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    *verbs, options.name = options.words or [""]
    if options.name in VERBS and not verbs:
        plan.error(f"which plan shall {options.name}? write {options.name} NAME; there are {', '.join(PLANS)}")
    if verbs and (len(verbs) > 1 or verbs[0] not in VERBS):
        plan.error(f"{' '.join(options.words)!a} is not allowed; write NAME, pause NAME or resume NAME")
    if verbs and options.wait:
        plan.error(f"--wait does not go with {verbs[0]}; use it with NAME alone")
    return _run(" ".join(["plan", *verbs]), options)


def _add_config(commands: Commands[argparse.ArgumentParser]) -> None:
    config = _command(commands, "config", "show the options that hold, and how they changed; or change them")
    actions = config.add_subparsers(title="actions", metavar="ACTION")
    _command(actions, "history", "show how they changed, the newest first", below="config")
    change = _command(actions, "set", "change options; the tasks that they concern are launched again", below="config")
    change.add_argument(
        "assignments",
        nargs="+",
        type=_assignment,
        choices=_Offered(lambda: (f"{name}=" for name in _changeable())),
        metavar="NAME=VALUE",
        help="such as worker-ram=8GB",
    )
    unset = _command(
        actions, "unset", "take changes back: what the scheduler was started with holds again", below="config"
    )
    unset.add_argument("names", nargs="+", choices=_Offered(_changeable), metavar="NAME", help="such as worker-ram")
    rollback = _command(actions, "rollback", "go back to the options of an earlier version", below="config")
    rollback.add_argument("number", type=_version, metavar="NUMBER", help="a version of `config history`")
    for command in (change, unset, rollback):
        _add_question(command, "until all tasks that it concerns have it")


def _add_groups(commands: Commands[argparse.ArgumentParser]) -> None:
    groups = _command(commands, "groups", "show the groups of workers; or make, change and remove one")
    actions = groups.add_subparsers(title="actions", metavar="ACTION")
    shown = _command(actions, "show", "show one with its workers, and those that leave", below="groups")
    change = _command(actions, "set", "ask for so many workers of a group; it is made if there is none", below="groups")
    remove = _command(actions, "remove", "let a group go; nothing that is cached is lost", below="groups")
    for command in (shown, change, remove):
        command.add_argument("name", type=_group, metavar="NAME", help="such as ssd")
    change.add_argument("count", type=_count, metavar="N|all", help="how many; all: one on each agent that fits")
    change.add_argument(
        "assignments",
        nargs="*",
        type=_assignment,
        choices=_Offered(lambda: (f"{name}=" for name in _of_groups())),
        metavar="OPTION=VALUE",
        help="its own options, such as worker-ssd=200GB, in place of those that it had (they stay)",
    )
    change.add_argument("--no-options", action="store_true", help="it has no options of its own any more")
    change.add_argument(
        "--remove",
        action="append",
        type=_group_slot,
        default=[],
        metavar="SLOT",
        help="this worker goes, such as worker-ssd-3; may be repeated (those that cache least)",
    )
    _add_question(change, "until so many answer with these options, and nobody leaves any more")
    _add_question(remove, "until its last worker has left")


def _add_mount(commands: Commands[argparse.ArgumentParser]) -> None:
    mount = _command(commands, "mount", "mount a storage in the namespace, or give a mount other options")
    unmount = _command(commands, "unmount", "unmount a storage; it keeps its data")
    for command in (mount, unmount):
        command.add_argument("path", type=_path, metavar="PATH", help="in the namespace, such as /data/s3")
    mount.add_argument("uri", metavar="URI", help="such as s3://bucket/folder, hdfs://namenode:8020/folder or /nfs")
    mount.add_argument(
        "assignments",
        nargs="*",
        type=_assignment,
        metavar="OPTION=VALUE",
        help="all its options, such as alluxio.underfs.s3.endpoint=http://minio:9000",
    )
    mount.add_argument(
        "--secret",
        dest="secrets",
        action="append",
        type=_assignment,
        default=[],
        metavar="OPTION=NAME",
        help="an option whose value is the secret of this name, such as s3a.secretKey=minio-key; may be repeated",
    )
    mount.add_argument("--readonly", action="store_true", help="nothing is written to it through Alluxio")
    mount.add_argument("--shared", action="store_true", help="every user may use it")
    _add_question(mount, "until it is mounted and its storage has answered")
    _add_question(unmount, "until it is unmounted")


def _add_question(command: argparse.ArgumentParser, waited: str) -> None:
    """Of a change that may end tasks: it is shown first, and asked about."""
    command.add_argument("--dry-run", action="store_true", help="only say what would happen")
    command.add_argument("--yes", "-y", action="store_true", help="ask no question")
    command.add_argument("--wait", action="store_true", help=waited)
    _add_timeout(command)


def _of_groups() -> tuple[str, ...]:
    from framework import grouping

    return grouping.OPTIONS


def _changeable() -> list[str]:
    from framework import config

    return [option.name for option in config.OPTIONS if option.name not in config.FIXED]


class _Offered:
    """Words that completion offers, looked up when a shell's script is made. Every other is let through to the API: it
    may be another version's, and says what it takes.
    """

    def __init__(self, words: Callable[[], Iterable[str]]) -> None:
        self._words = words

    def __iter__(self) -> Iterator[str]:
        return iter(self._words())

    def __contains__(self, word: object) -> bool:
        return True


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, said: str, *, below: str = ""
) -> argparse.ArgumentParser:
    """``below``: the command whose action this is. What was given before the action's name holds behind it too."""
    command = commands.add_parser(
        name,
        help=said,
        description=f"{said[0].upper()}{said[1:]}.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=100),
    )
    absent: dict[str, Any] = {"default": argparse.SUPPRESS} if below else {}
    command.add_argument("--json", action="store_true", help="print JSON, as the API gives it", **absent)
    reach = command.add_argument_group("where the API is")
    reach.add_argument(
        "--api",
        metavar="URL",
        help="its address, with a proxy's path (http://127.0.0.1:8080) [ALLUXIO_MESOS_API]",
        **{"default": "", **absent},
    )
    for option, variable, text in (
        ("--api-token-file", "ALLUXIO_MESOS_API_TOKEN_FILE", "the file with its token; else ALLUXIO_MESOS_API_TOKEN"),
        ("--api-ca-file", "ALLUXIO_MESOS_API_CA_FILE", "the authority that signed its certificate"),
    ):
        given = {"default": os.environ.get(variable, ""), **absent}
        reach.add_argument(option, metavar="FILE", help=f"{text} [{variable}]", **given)
    command.set_defaults(run=lambda options: _run(f"{below} {name}".lstrip(), options))
    return command


def _add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long --wait waits at most ({WAIT_SECONDS:g}); then the exit code is 124",
    )


def _run(name: str, options: argparse.Namespace) -> int:
    from framework.commands import running

    return running.run(name, options)


# Values: argparse prints the message of an ArgumentTypeError behind the argument's name -------------------------------


def _count(text: str) -> int | str:
    if text == "all":
        return text
    if not (_is_number(text) and int(text) <= MOST_WORKERS):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not allowed; write a whole number from 0 to {MOST_WORKERS}, or all"
        )
    return int(text)


def _slot(text: str) -> str:
    if not re.fullmatch(r"worker-\d{1,9}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write a worker's slot, such as worker-3")
    return text


def _group_slot(text: str) -> str:
    if not re.fullmatch(r"worker-([a-z][a-z0-9-]*-)?\d{1,9}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write a worker's slot, such as worker-ssd-3")
    return text


def _group(text: str) -> str:
    if text != DEFAULT_GROUP and not is_group_name(text):
        raise argparse.ArgumentTypeError(
            f"{text!a} is no name of a group; write lower-case letters, digits and dashes, such as ssd"
        )
    return text


def _lines(text: str) -> int:
    if not (_is_number(text) and 1 <= int(text) <= MOST_LINES):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write a whole number from 1 to {MOST_LINES}")
    return int(text)


def _number(text: str) -> int:
    if not _is_number(text):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write an event's number")
    return int(text)


def _version(text: str) -> int:
    if not (_is_number(text) and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write a number of `config history`")
    return int(text)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write NAME=VALUE, such as worker-ram=8GB")
    return name, value


def _path(text: str) -> str:
    """As Alluxio writes it: with its own scheme, or without."""
    path = re.sub(r"^alluxio://[^/]*", "", text)
    path = path.removesuffix("/") or ("/" if text else "")
    if mistake := path_mistake(path):
        raise argparse.ArgumentTypeError(mistake)
    return path


def _entries(text: str) -> int:
    if not (_is_number(text) and 1 <= int(text) <= MOST_ENTRIES):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write a whole number from 1 to {MOST_ENTRIES}")
    return int(text)


def _copies(text: str) -> int:
    if not (_is_number(text) and int(text) <= MOST_COPIES):
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write a whole number from 0 to {MOST_COPIES}")
    return int(text)


def _most_copies(text: str) -> int | str:
    if text != "none" and not (_is_number(text) and 1 <= int(text) <= MOST_COPIES):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not allowed; write a whole number from 1 to {MOST_COPIES}, or none for no limit"
        )
    return text if text == "none" else int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 17


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!a} is not allowed; write seconds, at least 0.1")
    return seconds
