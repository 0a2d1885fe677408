"""The commands that change a service. Each names the version that it saw, so that nobody is overwritten; and what ends
tasks is shown before it is done.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console, RenderableType

from framework.commands import show, show_changes, show_groups, show_mounts, waiting
from framework.commands.client import Answer, Client, Trouble
from framework.commands.printing import answer
from framework.commands.waiting import Standing
from framework.model import ExitCode

DECLINED: Final = 128 + signal.SIGINT  # a no is what Ctrl-C at the question is


def scale(client: Client, options: argparse.Namespace) -> ExitCode:
    # The version is asked for first, so that two who change it at the same moment do not overwrite each other.
    tag = client.get("v1", "workers").tag
    body: dict[str, Any] = {"count": options.count} | ({"remove": options.remove} if options.remove else {})
    changed = client.put("v1", "workers", body=body, tag=tag, dry_run=_true_or_false(options.dry_run)).document
    if options.dry_run:
        answer(options, changed, lambda: show_changes.workers(changed))
        return ExitCode.DONE
    console = waiting.console()
    if options.wait and not options.json:
        console.print(show_changes.workers(changed))
    return _followed(
        options,
        console,
        changed,
        lambda: show_changes.workers(changed),
        ("workers", lambda: waiting.workers(client, changed["count"]), show.worker_summary),
    )


def set_options(client: Client, options: argparse.Namespace) -> int:
    asked = dict(options.assignments)
    _refuse_twice([name for name, _ in options.assignments])
    return _configured(client, options, asked)


def unset_options(client: Client, options: argparse.Namespace) -> int:
    _refuse_twice(options.names)
    return _configured(client, options, dict.fromkeys(options.names))


def _refuse_twice(names: list[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise Trouble(f"{', '.join(twice)}: given more than once; give each option once", ExitCode.CONFIGURATION)


def _configured(client: Client, options: argparse.Namespace, asked: Mapping[str, str | None]) -> int:
    body = {"options": asked}
    return _reconfigured(
        client,
        options,
        lambda tag, dry_run: client.put("v1", "config", body=body, tag=tag, dry_run=_true_or_false(dry_run)),
    )


def roll_back(client: Client, options: argparse.Namespace) -> int:
    body = {"number": options.number}
    return _reconfigured(
        client,
        options,
        lambda tag, dry_run: client.post(
            "v1", "config", "rollback", body=body, tag=tag, dry_run=_true_or_false(dry_run)
        ),
    )


# Takes the version that must still hold (empty: any), and whether it only asks what would happen.
Ask = Callable[[str, bool], Answer]


def _reconfigured(client: Client, options: argparse.Namespace, ask: Ask) -> int:
    return _asked_about(
        options,
        ask,
        _Change(
            lambda would: bool(would["changed"]),
            show_changes.preview,
            lambda done: show_changes.reconfigured(done, waited=False),
            lambda done: (
                "plan",
                lambda: waiting.update(client, done["number"], done["restarts"]),
                lambda _: show_changes.reconfigured(done, waited=True),
            ),
        ),
    )


def set_group(client: Client, options: argparse.Namespace) -> int:
    own = dict(options.assignments)
    _refuse_twice([name for name, _ in options.assignments])
    if own and options.no_options:
        raise Trouble(
            "--no-options does not go with OPTION=VALUE; give the options that it shall have, or --no-options",
            ExitCode.CONFIGURATION,
        )
    body: dict[str, Any] = {"count": options.count} | ({"remove": options.remove} if options.remove else {})
    if own or options.no_options:
        body["options"] = own
    return _asked_about(
        options,
        lambda tag, dry_run: client.put(
            "v1", "worker-groups", options.name, body=body, tag=tag, dry_run=_true_or_false(dry_run)
        ),
        _Change(
            show_groups.is_other,
            show_groups.preview,
            show_groups.made,
            lambda done: (
                "group",
                lambda: waiting.group(client, options.name, done["count"], done["options"]),
                show_groups.summary,
            ),
        ),
    )


def remove_group(client: Client, options: argparse.Namespace) -> int:
    return _asked_about(
        options,
        lambda tag, dry_run: client.delete(
            "v1", "worker-groups", options.name, tag=tag, dry_run=_true_or_false(dry_run)
        ),
        _Change(
            lambda would: True,
            show_groups.removal_preview,
            lambda done: show_groups.removed(done, waited=False),
            lambda done: (
                "group",
                lambda: waiting.group_gone(client, options.name),
                lambda _: show_groups.removed(done, waited=True),
            ),
        ),
    )


def mount(client: Client, options: argparse.Namespace) -> int:
    _refuse_twice([name for name, _ in (*options.assignments, *options.secrets)])
    body: dict[str, Any] = {
        "uri": options.uri,
        "options": dict(options.assignments) | {name: {"secret": secret} for name, secret in options.secrets},
        "readonly": options.readonly,
        "shared": options.shared,
    }
    return _asked_about(
        options,
        lambda tag, dry_run: client.put(
            *waiting.mount_path(options.path), body=body, tag=tag, dry_run=_true_or_false(dry_run)
        ),
        _Change(
            lambda would: would["does"] != "nothing",
            show_mounts.preview,
            show_mounts.made,
            lambda done: (
                "mount",
                lambda: waiting.mount(client, options.path, done["after"]),
                show_mounts.summary,
            ),
        ),
    )


def unmount(client: Client, options: argparse.Namespace) -> int:
    return _asked_about(
        options,
        lambda tag, dry_run: client.delete(*waiting.mount_path(options.path), tag=tag, dry_run=_true_or_false(dry_run)),
        _Change(
            lambda would: True,
            show_mounts.preview,
            show_mounts.made,
            lambda done: (
                "mount",
                lambda: waiting.mount_gone(client, options.path),
                lambda _: show_mounts.unmounted(done),
            ),
        ),
    )


# For --wait: under which name the answer has what there is at the end, how far it is, and the end's picture.
Waited = tuple[str, Callable[[], Standing], Callable[[Any], RenderableType]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Change:
    """What is made of the API's word on a change: whether it is one at all, what is shown before and after it, and how
    it is waited for.
    """

    is_one: Callable[[Mapping[str, Any]], bool]
    preview: Callable[[Mapping[str, Any]], RenderableType]
    picture: Callable[[Mapping[str, Any]], RenderableType]
    waited: Callable[[Mapping[str, Any]], Waited]


def _asked_about(options: argparse.Namespace, ask: Ask, change: _Change) -> int:
    """What would happen is shown, and asked about unless it is told not to; then that very thing is done."""
    asks = not (options.yes or options.dry_run)
    if asks and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Trouble(
            "nobody can be asked whether to go on, as this is no terminal; give --yes to change it without a question, "
            "or --dry-run to see what it would do",
            ExitCode.CONFIGURATION,
        )
    would = ask("", True)
    if options.dry_run:
        answer(options, would.document, lambda: change.preview(would.document))
        return ExitCode.DONE
    console = waiting.console()
    if asks or not options.json:
        console.print(change.preview(would.document))
    if asks and change.is_one(would.document) and not _goes_on(console):
        console.print("nothing was changed")
        return DECLINED
    done = ask(would.tag, False).document
    return _followed(options, console, done, lambda: change.picture(done), change.waited(done))


def _goes_on(console: Console) -> bool:
    try:
        return console.input("go on? [y/N] ", markup=False).strip().lower() in ("y", "yes")
    except EOFError:
        console.print()
        return False


def _followed(
    options: argparse.Namespace,
    console: Console,
    changed: Mapping[str, Any],
    picture: Callable[[], RenderableType],
    waited: Waited,
) -> ExitCode:
    """The answer to a change that was made; with --wait once it is so."""
    if not options.wait:
        answer(options, changed, picture)
        return ExitCode.DONE
    name, look, last = waited
    found = waiting.until(look, options.timeout, console).document
    answer(options, {**changed, name: found}, lambda: last(found))
    return ExitCode.DONE


def steer(client: Client, options: argparse.Namespace, verb: str) -> ExitCode:
    found = client.post("v1", "tasks", options.name, verb).document
    answer(options, found, lambda: show.plain(found["message"]))
    return ExitCode.DONE


def rest(client: Client, options: argparse.Namespace, verb: str) -> ExitCode:
    found = client.post("v1", "plans", options.name, verb).document
    answer(options, found, lambda: show_changes.resting(found))
    return ExitCode.DONE


def log_level(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.level:
        found = client.put("v1", "log-level", body={"level": options.level}).document
        said = f"the leader's log has {found['level']} and worse, until its process ends"
    else:
        found = client.get("v1", "log-level").document
        said = found["level"]
    answer(options, found, lambda: show.plain(said))
    return ExitCode.DONE


def _true_or_false(value: bool) -> str:
    return "true" if value else "false"
