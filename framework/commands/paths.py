"""The commands for paths in Alluxio's namespace: what they are, what is said of them, what of them is cached."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final

from framework.commands import show, show_paths, waiting
from framework.commands.client import Client, Trouble
from framework.commands.printing import answer
from framework.commands.waiting import Standing
from framework.model import ExitCode
from framework.paths import told


def _at(collection: str, path: str) -> tuple[str, ...]:
    """The parts of its address; the root's last one is empty."""
    return ("v1", collection, *path.removeprefix("/").split("/"))


def _ls(client: Client, options: argparse.Namespace) -> ExitCode:
    query: dict[str, str | int] = {"limit": options.limit}
    query |= {"after": options.after} if options.after else {}
    query |= {"refresh": "true"} if options.refresh else {}
    found = client.get(*_at("paths", options.path), **query).document
    answer(options, found, lambda: show_paths.path(found))
    return ExitCode.DONE


def _say(client: Client, options: argparse.Namespace, body: Mapping[str, Any]) -> ExitCode:
    if options.keep:
        return _keep(client, options, body)
    found = client.patch(*_at("paths", options.path), body=body).document
    answer(options, found, lambda: show_paths.said(found))
    return ExitCode.DONE


def _keep(client: Client, options: argparse.Namespace, body: Mapping[str, Any]) -> ExitCode:
    """Beside what is wanted of the path already; a word on pins takes the place of an earlier one."""
    wanted = client.get("v1", "paths").document["paths"]
    before: Mapping[str, Any] = next((one["wanted"] for one in wanted if one["path"] == options.path), {})
    kept = {name: value for name, value in before.items() if name not in ("ttl_seconds", "ttl_action")}
    if "ttl_seconds" in before:
        seconds = before["ttl_seconds"]
        kept |= {"ttl": None} if seconds is None else {"ttl": f"{seconds:g}s", "ttl_action": before["ttl_action"]}
    if {"pinned", "replication_min"} & set(body):
        kept = {name: value for name, value in kept.items() if name not in ("pinned", "replication_min")}
    if "ttl" in body:
        kept.pop("ttl_action", None)
    found = client.put(*_at("paths", options.path), body={**kept, **body}).document
    answer(options, found, lambda: show.plain(f"{found['path']}: wanted for good: {told(found['wanted'])}"))
    return ExitCode.DONE


def _wanted(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.get("v1", "paths").document
    answer(options, found, lambda: show_paths.wanted(found["paths"]))
    return ExitCode.DONE


def _forget(client: Client, options: argparse.Namespace) -> ExitCode:
    found = client.delete(*_at("paths", options.path)).document
    answer(options, found, lambda: show.plain(found["message"]))
    return ExitCode.DONE


def _ttl(client: Client, options: argparse.Namespace) -> ExitCode:
    if options.ttl == "none" and options.action:
        raise Trouble(
            "--action goes with a time, as nothing happens where there is none; leave it out", ExitCode.CONFIGURATION
        )
    if options.ttl == "none":
        return _say(client, options, {"ttl": None})
    return _say(client, options, {"ttl": options.ttl, "ttl_action": options.action or "free"})


def _replication(client: Client, options: argparse.Namespace) -> ExitCode:
    body = {} if options.min is None else {"replication_min": options.min}
    if options.max is not None:
        body["replication_max"] = None if options.max == "none" else options.max
    return _say(client, options, body)


def _do(client: Client, options: argparse.Namespace, body: Mapping[str, Any]) -> ExitCode:
    found = client.post(*_at("paths", options.path), body=body).document
    answer(options, found, lambda: show.plain(found["message"]))
    return ExitCode.DONE


def _load(client: Client, options: argparse.Namespace) -> ExitCode:
    address = _at("loads", options.path)
    if options.stop:
        stopped = client.delete(*address).document
        answer(options, stopped, lambda: show.plain(stopped["message"]))
        return ExitCode.DONE
    if not options.progress:
        body = {"verify": options.verify, "refresh": not options.no_refresh}
        begun = client.post(*address, body=body).document
        if options.no_wait:
            answer(options, begun, lambda: show_paths.load(begun))
            return ExitCode.DONE
    console = waiting.console()
    try:
        found = waiting.until(lambda: _standing(client.get(*address).document), options.timeout, console).document
    except KeyboardInterrupt:
        console.print(show.plain(GOES_ON.format(path=options.path)), soft_wrap=True)
        raise
    answer(options, found, lambda: show_paths.load(found))
    return ExitCode.DONE


GOES_ON: Final = (
    "the load of {path} goes on; `alluxio-mesos load --progress {path}` shows how far it is, and "
    "`alluxio-mesos load --stop {path}` stops it"
)


def _standing(found: Any) -> Standing:
    """
    Raises:
        Trouble: FAILED, not all could be loaded; CONFLICT, somebody stopped it.
    """
    if found["state"] == "failed":
        raise Trouble(show_paths.ended_badly(found), ExitCode.FAILED)
    if found["state"] == "stopped":
        raise Trouble(show_paths.ended_badly(found), ExitCode.CONFLICT)
    return Standing(100 - found["percent"], show_paths.progress(found), found, 100)


COMMANDS: Final[Mapping[str, Callable[[Client, argparse.Namespace], int]]] = {
    "ls": _ls,
    "load": _load,
    "free": lambda client, options: _do(client, options, {"operation": "free", "force": options.force}),
    "persist": lambda client, options: _do(client, options, {"operation": "persist"}),
    "pin": lambda client, options: _say(client, options, {"pinned": True}),
    "unpin": lambda client, options: _say(client, options, {"pinned": False}),
    "wanted": _wanted,
    "forget": _forget,
    "ttl": _ttl,
    "replication": _replication,
}
