"""``alluxio-mesos uninstall``: removes a service for good where no DC/OS does it. It looks at the state in ZooKeeper,
shows what would go, asks, and then runs as the service's last scheduler until nothing is left.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from framework import config
from framework.model import ExitCode, Kept
from framework.state_commands import Place, Refusal, read_place
from framework.store import StoreError
from framework.words import counted

DECLINED: Final = 130  # a no is what Ctrl-C at the question is
# What the last scheduler serves is for nobody.
OWN: Final = {"api-host": "127.0.0.1", "api-port": "0", "artefacts": "."}
TEXT: Final = """\
Removes a service for good: ends its tasks, removes their folders on the agents, gives its volumes and
reservations back, lets Mesos forget the framework, and erases its state in ZooKeeper. Files in the under-storage and a
shared journal stay.
End its schedulers first (delete the Marathon app)."""


Run = Callable[[Mapping[str, str]], int]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], run: Run) -> None:
    """``run`` runs the last scheduler with these options' texts until the service is removed."""
    parser = commands.add_parser(
        "uninstall", help="remove a service for good", description=TEXT, formatter_class=argparse.RawTextHelpFormatter
    )
    for option in config.OPTIONS:
        if option.name in USED:
            parser.add_argument(
                f"--{option.name}", dest=option.name, metavar=option.value, help=f"{option.help} [{option.environment}]"
            )
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.set_defaults(run=lambda options: _run(options, run))


# The options that the last scheduler is given; the others are as the service had them.
USED: Final = (
    "name",
    "zookeeper",
    "zookeeper-auth-file",
    "zookeeper-session",
    "mesos",
    "principal",
    "secret-file",
    "log-level",
)


def _run(options: argparse.Namespace, run: Run) -> int:
    given = {name: text for name in USED if (text := getattr(options, name) or os.environ.get(_variable(name), ""))}
    values, problems = read_place(given, os.environ)
    if not given.get("mesos"):
        problems.append(config.Problem("mesos", f"it is required; give it, or set {_variable('mesos')}"))
    for problem in problems:
        print(f"alluxio-mesos uninstall: {problem}", file=sys.stderr)
    if problems:
        return ExitCode.CONFIGURATION
    try:
        with Place(values) as there:
            kept, leader = there.kept(), there.leader()
    except (Refusal, StoreError) as error:
        print(f"alluxio-mesos uninstall: {error}", file=sys.stderr)
        return error.exit_code
    if leader is not None:
        print(
            f"alluxio-mesos uninstall: a scheduler leads at {leader}; end every scheduler of the service first (delete "
            "its Marathon app), as it would launch again what is ended",
            file=sys.stderr,
        )
        return ExitCode.IN_USE
    print("\n".join(preview(kept, values["name"], there.path)), file=sys.stderr)
    if not options.yes:
        if not sys.stdin.isatty():
            print(
                "alluxio-mesos uninstall: nobody can be asked whether to go on, as this is no terminal; give --yes",
                file=sys.stderr,
            )
            return ExitCode.CONFIGURATION
        print(f"type the service's name ({values['name']}) to go on: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != values["name"]:
            print("nothing was changed", file=sys.stderr)
            return DECLINED
    recorded = {name: text for name, text in last_options(kept).items() if name in config.BY_NAME}
    return run({**recorded, **given, **OWN})


def _variable(name: str) -> str:
    return config.BY_NAME[name].environment


def last_options(kept: Kept) -> Mapping[str, str]:
    """What the service was last configured with; where nobody knows, what cannot be told apart from it any more."""
    return {"under-storage": "/"} | (dict(kept.history[-1].options) if kept.history else {})


def preview(kept: Kept, name: str, path: str) -> list[str]:
    """What would go, a line each."""
    kinds = collections.Counter(record.group for record in kept.records.values())
    tasks = ", ".join(f"{count} {group}" for group, count in sorted(kinds.items())) or "none on record"
    agents = {record.hostname for record in kept.records.values()}
    volumes = [volume for record in kept.records.values() for volume in record.volumes]
    lines = [
        f"service {name} would be removed for good:",
        f"  framework  {kept.framework_id or 'Mesos never heard of it'}",
        f"  tasks      {tasks}" + (f", on {counted(len(agents), 'agent')}" if agents else ""),
        f"  volumes    {len(volumes)} of {sum(volume.size for volume in volumes)} MiB in all",
        f"  state      {path} in ZooKeeper",
        "what is cached and was never persisted is lost; files in the under-storage stay",
    ]
    return ["its removal has begun already and goes on", *lines] if kept.uninstalling else lines
