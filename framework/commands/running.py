"""Each command: it asks, it shows or prints, and its exit code says how it ended."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console

from framework.commands import (
    changing,
    following,
    paths,
    show,
    show_amiss,
    show_changes,
    show_groups,
    show_mounts,
    top,
    waiting,
)
from framework.commands.client import Client, Place, Trouble
from framework.commands.printing import answer, line, write
from framework.model import ExitCode


def run(name: str, options: argparse.Namespace) -> int:
    """The exit code; a shell's own for a signal (130, 141)."""
    try:
        place = Place.of(options.api, options.api_token_file, options.api_ca_file, os.environ)
        with Client(place) as client:
            code = COMMANDS[name](client, options)
        sys.stdout.flush()
        return code
    except Trouble as trouble:
        for sentence in trouble.sentences:
            print(f"alluxio-mesos {name}: {show.plain(sentence)}", file=sys.stderr)
        return trouble.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Who reads has gone, such as `head`. Python would say so again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _status(client: Client, options: argparse.Namespace) -> ExitCode:
    health = client.health()
    found = client.get("v1", "status").document
    answer(options, {"health": health, **found}, lambda: show.status(health, found, show_amiss.rows(found)))
    return ExitCode.DONE if health["healthy"] else ExitCode.UNAVAILABLE


def _workers(client: Client, options: argparse.Namespace) -> ExitCode:
    others = None if options.json else show_groups.others(_groups_known(client))
    found = client.get("v1", "workers").document
    answer(options, found, lambda: show_groups.default(found, others))
    return ExitCode.DONE


def _groups_known(client: Client) -> list[Any]:
    """None of an older scheduler, which does not have them."""
    try:
        return list(client.get("v1", "worker-groups").document["groups"])
    except Trouble as trouble:
        if trouble.passes:
            raise
        return []


def _groups(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "worker-groups").document
    answer(options, found, lambda: show_groups.groups(found["groups"]))
    return ExitCode.DONE


def _group(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "worker-groups", options.name).document
    answer(options, found, lambda: show_groups.group(found))
    return ExitCode.DONE


def _mounts(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.path:
        one = client.get(*waiting.mount_path(options.path)).document
        answer(options, one, lambda: show_mounts.mount(one))
    else:
        found = client.get("v1", "mounts").document
        answer(options, found, lambda: show_mounts.mounts(found["mounts"]))
    return ExitCode.DONE


def _plan(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.wait:
        found = waiting.until(lambda: waiting.plans(client, options.name), options.timeout, waiting.console()).document
    else:
        found = waiting.plans(client, options.name).document
    answer(options, found, lambda: show.plans([found] if options.name else found))
    return ExitCode.DONE


def _tasks(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.name:
        one = client.get("v1", "tasks", options.name).document
        answer(options, one, lambda: show.task(one))
    else:
        found = client.get("v1", "tasks").document
        answer(options, found, lambda: show.tasks(found))
    return ExitCode.DONE


def _offers(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "offers").document
    answer(options, found, lambda: show.offers(found, time.time(), each=options.all))
    return ExitCode.DONE


def _endpoints(client: Client, options: argparse.Namespace) -> ExitCode:
    if not options.name:
        found = client.get("v1", "endpoints").document
        answer(options, found, lambda: show.endpoints(found))
    elif options.json or options.name == "prometheus":
        print(json.dumps(client.get("v1", "endpoints", options.name).document, indent=2))
    else:
        print(client.text("v1", "endpoints", options.name).rstrip("\n"))
    return ExitCode.DONE


def _config(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "config").document
    answer(options, found, lambda: show_changes.config(found))
    return ExitCode.DONE


def _history(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "config").document["history"]
    answer(options, found, lambda: show_changes.history(found))
    return ExitCode.DONE


def _logs(client: Client, options: argparse.Namespace) -> ExitCode:
    def tell(text: str) -> None:
        sys.stdout.write(show.task_log(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    query: dict[str, str | int] = {"lines": options.lines} | ({"file": options.file} if options.file else {})
    if options.follow:
        following.log(client, options.name, query, line if options.json else lambda found: tell(found["text"]))
        return ExitCode.DONE
    found = client.get("v1", "tasks", options.name, "log", **query).document
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found["text"])
    return ExitCode.DONE


def _events(client: Client, options: argparse.Namespace) -> ExitCode:
    def tell(event: Mapping[str, Any]) -> None:
        if options.json:
            line(event)
        else:
            write(show.event(event))

    if options.follow:
        following.events(client, options.after, tell)
    else:
        query: dict[str, str | int] = {} if options.after is None else {"after": options.after}
        for event in client.get("v1", "events", **query).document:
            tell(event)
    return ExitCode.DONE


def _top(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.json:
        print(json.dumps(top.look(client).documents(), indent=2))
    elif options.once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        write(top.picture(top.look(client), Console(), time.time()), width=None)
    else:
        top.live(client.place, options.every)
    return ExitCode.DONE


COMMANDS: Final[Mapping[str, Callable[[Client, argparse.Namespace], int]]] = {
    "status": _status,
    "workers": _workers,
    "groups": _groups,
    "groups show": _group,
    "mounts": _mounts,
    "plan": _plan,
    "tasks": _tasks,
    "offers": _offers,
    "endpoints": _endpoints,
    "logs": _logs,
    "config": _config,
    "events": _events,
    "top": _top,
    "scale": changing.scale,
    "restart": lambda client, options: changing.steer(client, options, "restart"),
    "replace": lambda client, options: changing.steer(client, options, "replace"),
    "config history": _history,
    "config set": changing.set_options,
    "config unset": changing.unset_options,
    "config rollback": changing.roll_back,
    "groups set": changing.set_group,
    "groups remove": changing.remove_group,
    "mount": changing.mount,
    "unmount": changing.unmount,
    "plan pause": lambda client, options: changing.rest(client, options, "pause"),
    "plan resume": lambda client, options: changing.rest(client, options, "resume"),
    "log-level": changing.log_level,
    **paths.COMMANDS,
}
