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

from rich.console import Console, RenderableType
from rich.text import Text

from framework.commands import following, show, top, waiting
from framework.commands.client import Client, Place, Trouble
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
        print(f"alluxio-mesos {name}: {show.plain(trouble)}", file=sys.stderr)
        return trouble.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Who reads has gone, such as `head`. Python would say so again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _write(picture: RenderableType, width: int | None = waiting.WIDE) -> None:
    """``width`` holds where no terminal is. Written here and not by rich, which hides that a reader has gone."""
    console = Console(highlight=False)
    if not console.is_terminal and width is not None:
        console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(picture, soft_wrap=isinstance(picture, Text))
    # By lines, so that a reader that has gone is noticed soon; rich fills them up to the table's width.
    sys.stdout.writelines(f"{line.rstrip(' ')}\n" for line in captured.get().removesuffix("\n").split("\n"))
    sys.stdout.flush()


def _print(options: argparse.Namespace, document: Any, picture: Callable[[], RenderableType]) -> None:
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        _write(picture())


def _status(client: Client, options: argparse.Namespace) -> ExitCode:
    health = client.health()
    found = client.get("v1", "status").document
    _print(options, {"health": health, **found}, lambda: show.status(health, found))
    return ExitCode.DONE if health["healthy"] else ExitCode.UNAVAILABLE


def _workers(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "workers").document
    _print(options, found, lambda: show.workers(found))
    return ExitCode.DONE


def _plan(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.wait:
        found = waiting.until(lambda: waiting.plans(client, options.name), options.timeout, waiting.console()).document
    else:
        found = waiting.plans(client, options.name).document
    _print(options, found, lambda: show.plans([found] if options.name else found))
    return ExitCode.DONE


def _tasks(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.name:
        one = client.get("v1", "tasks", options.name).document
        _print(options, one, lambda: show.task(one))
    else:
        found = client.get("v1", "tasks").document
        _print(options, found, lambda: show.tasks(found))
    return ExitCode.DONE


def _offers(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "offers").document
    _print(options, found, lambda: show.offers(found, time.time(), each=options.all))
    return ExitCode.DONE


def _endpoints(client: Client, options: argparse.Namespace) -> ExitCode:
    if not options.name:
        found = client.get("v1", "endpoints").document
        _print(options, found, lambda: show.endpoints(found))
    elif options.json or options.name == "prometheus":
        print(json.dumps(client.get("v1", "endpoints", options.name).document, indent=2))
    else:
        print(client.text("v1", "endpoints", options.name).rstrip("\n"))
    return ExitCode.DONE


def _config(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "config").document
    _print(options, found, lambda: show.config(found))
    return ExitCode.DONE


def _logs(client: Client, options: argparse.Namespace) -> ExitCode:
    def write(text: str) -> None:
        sys.stdout.write(show.task_log(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    query: dict[str, str | int] = {"lines": options.lines} | ({"file": options.file} if options.file else {})
    if options.follow:
        following.log(client, options.name, query, _line if options.json else lambda found: write(found["text"]))
        return ExitCode.DONE
    found = client.get("v1", "tasks", options.name, "log", **query).document
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        write(found["text"])
    return ExitCode.DONE


def _events(client: Client, options: argparse.Namespace) -> ExitCode:
    def write(event: Mapping[str, Any]) -> None:
        if options.json:
            _line(event)
        else:
            _write(show.event(event))

    if options.follow:
        following.events(client, options.after, write)
    else:
        query: dict[str, str | int] = {} if options.after is None else {"after": options.after}
        for event in client.get("v1", "events", **query).document:
            write(event)
    return ExitCode.DONE


def _line(document: Mapping[str, Any]) -> None:
    """One document a line, for scripts that read as it goes."""
    print(json.dumps(document), flush=True)


def _scale(client: Client, options: argparse.Namespace) -> ExitCode:
    # The version is asked for first, so that two who change it at the same moment do not overwrite each other.
    tag = client.get("v1", "workers").tag
    body: dict[str, Any] = {"count": options.count} | ({"remove": options.remove} if options.remove else {})
    dry_run = "true" if options.dry_run else "false"
    changed = client.put("v1", "workers", body=body, tag=tag, dry_run=dry_run).document
    if not (options.wait and not options.dry_run):
        _print(options, changed, lambda: show.change(changed))
        return ExitCode.DONE
    console = waiting.console()
    if not options.json:
        console.print(show.change(changed))
    done = waiting.until(lambda: waiting.workers(client, changed["count"]), options.timeout, console)
    _print(options, {**changed, "workers": done.document}, lambda: show.worker_summary(done.document))
    return ExitCode.DONE


def _steer(client: Client, options: argparse.Namespace, verb: str) -> ExitCode:
    found = client.post("v1", "tasks", options.name, verb).document
    _print(options, found, lambda: show.plain(found["message"]))
    return ExitCode.DONE


def _top(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.json:
        print(json.dumps(top.look(client).documents(), indent=2))
    elif options.once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        _write(top.picture(top.look(client), Console(), time.time()), width=None)
    else:
        top.live(client.place, options.every)
    return ExitCode.DONE


COMMANDS: Final[Mapping[str, Callable[[Client, argparse.Namespace], ExitCode]]] = {
    "status": _status,
    "workers": _workers,
    "plan": _plan,
    "tasks": _tasks,
    "offers": _offers,
    "endpoints": _endpoints,
    "logs": _logs,
    "config": _config,
    "events": _events,
    "top": _top,
    "scale": _scale,
    "restart": lambda client, options: _steer(client, options, "restart"),
    "replace": lambda client, options: _steer(client, options, "replace"),
}
