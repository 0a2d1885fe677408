"""The command line of `alluxio-mesos local`. Only argparse is loaded here; what does the work is loaded when it is
asked for, so that the scheduler starts without it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from framework.local import fault_arguments
from framework.local.plan import Ports

TAIL: Final = 40  # lines


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    local = commands.add_parser(
        "local",
        help="run a whole cluster on this machine",
        description="A whole cluster on this machine, deployed through Mesos as in production.",
    )
    verbs = local.add_subparsers(title="commands", required=True, metavar="COMMAND")
    up = _verb(verbs, "up", "start the cluster, or find it running, and prove that it works")
    up.add_argument("--agents", type=int, default=3, metavar="N", help="how many Mesos agents there are (3)")
    up.add_argument(
        "--racks",
        type=int,
        default=0,
        metavar="N",
        help="in how many racks the agents stand: their attribute rack is r1, r2 … in turn (no such attribute)",
    )
    up.add_argument("--schedulers", type=int, default=1, metavar="N", help="how many schedulers stand by (1)")
    up.add_argument("--zookeepers", type=int, default=1, metavar="N", help="how many ZooKeeper servers there are (1)")
    up.add_argument(
        "--mesos-masters", type=int, default=1, metavar="N", help="how many Mesos masters there are, one leading (1)"
    )
    up.add_argument("--masters", type=int, default=1, metavar="M", help="how many Alluxio masters run (1)")
    up.add_argument("--workers", default="all", metavar="W", help="how many Alluxio workers run (one on each agent)")
    up.add_argument("--ram", default="256MB", metavar="SIZE", help="memory tier of each worker (256MB)")
    up.add_argument(
        "--under-storage",
        default="",
        metavar="URI",
        help="the storage at the root of the namespace (a folder of the cluster's own)",
    )
    up.add_argument(
        "--artefacts", type=Path, default=None, metavar="FOLDER", help="where jars, bundle and executor are kept"
    )
    up.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="any other option of `alluxio-mesos scheduler`; may be repeated",
    )
    up.add_argument(
        "--set-mesos",
        action="append",
        default=[],
        metavar="FLAG=VALUE",
        help="any other flag of localmesos's master, such as max-agent-ping-timeouts=2; may be repeated",
    )
    ports = up.add_argument_group("ports")
    ports.add_argument(
        "--api-port", type=int, default=Ports().api, metavar="PORT", help=f"the framework's API ({Ports().api})"
    )
    ports.add_argument(
        "--mesos-port", type=int, default=Ports().mesos, metavar="PORT", help=f"the Mesos masters ({Ports().mesos})"
    )
    ports.add_argument(
        "--agent-port",
        type=int,
        default=Ports().agent,
        metavar="PORT",
        help=f"each Mesos agent, on its own address ({Ports().agent})",
    )
    ports.add_argument(
        "--zookeeper-port", type=int, default=Ports().zookeeper, metavar="PORT", help=f"ZooKeeper ({Ports().zookeeper})"
    )
    ports.add_argument(
        "--agent-ports",
        default="31000-31099",
        metavar="FIRST-LAST",
        help="what each agent offers to tasks (31000-31099)",
    )
    _verb(verbs, "down", "end the cluster; journal and cache are kept")
    _verb(verbs, "status", "show what runs")
    _verb(verbs, "clean", "end the cluster and remove its data")
    fault = verbs.add_parser("fault", help="break something on purpose", description="Break something on purpose.")
    fault_arguments.add(fault, lambda options: _run("fault", options))
    logs = _verb(verbs, "logs", "show the end of a log", json_output=False)
    logs.add_argument(
        "name",
        nargs="?",
        default="scheduler",
        help="scheduler, scheduler-1, mesos-master, agent-ADDRESS, zookeeper, or a task such as worker-0 (scheduler)",
    )
    logs.add_argument("--lines", type=int, default=TAIL, metavar="N", help=f"how many lines ({TAIL})")
    logs.add_argument("--follow", "-f", action="store_true", help="go on as lines are written")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, *, json_output: bool = True
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=help, description=help.capitalize() + ".")
    verb.add_argument(
        "--dir", type=Path, default=Path(".local"), metavar="FOLDER", help="where the cluster's state lies (.local)"
    )
    if json_output:
        verb.add_argument("--json", action="store_true", help="one JSON document on standard output")
    verb.set_defaults(run=lambda options: _run(name, options))
    return verb


def _run(name: str, options: argparse.Namespace) -> int:
    from framework.local import commands

    run = {
        "up": commands.up,
        "down": commands.down,
        "status": commands.status,
        "clean": commands.clean,
        "logs": commands.logs,
        "fault": commands.fault,
    }
    return run[name](options)
