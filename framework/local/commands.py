"""`alluxio-mesos local up|down|status|logs|clean`: parsed options in, an exit code out."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import requests
from rich.console import Console

from framework.artefacts import default_directory
from framework.config import OPTIONS
from framework.local import cluster, faults, processes, show
from framework.local.plan import OWN_FLAGS, Plan, Ports, api_urls, copies
from framework.local.preflight import NotReady
from framework.model import ExitCode

# Flags of localmesos's master that change how it behaves; the others follow from the plan.
MESOS_FLAGS: Final = (
    "agent-ping-timeout-seconds",
    "agent-reregister-timeout",
    "heartbeat-seconds",
    "max-agent-ping-timeouts",
    "offer-interval",
)

# Errors go to standard error, so that --json leaves standard output to the document.
# What they quote is shown as it is, brackets too.
_errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def up(options: argparse.Namespace) -> int:
    console = Console(stderr=options.json, markup=False, highlight=False)
    try:
        plan = _plan(options)
        with show.Steps(console) as steps:
            ready = cluster.up(plan, steps)
    except NotReady as error:
        for sentence in error.args:
            _errors.print(sentence)
        return ExitCode.UNAVAILABLE
    except cluster.Failed as error:
        _errors.print(f"{error}. `alluxio-mesos local down` ends what runs.")
        return ExitCode.BUG
    except KeyboardInterrupt:
        _errors.print(
            "Stopped half-way. `alluxio-mesos local up` goes on from here, `alluxio-mesos local down` ends what runs."
        )
        return 130
    if options.json:
        print(
            json.dumps(
                {
                    "endpoints": ready.endpoints,
                    "status": ready.status,
                    "proof": ready.proof,
                    "seconds": round(ready.seconds, 2),
                },
                indent=2,
            )
        )
    else:
        console.print(show.final_table(ready))
    return ExitCode.DONE


def _plan(options: argparse.Namespace) -> Plan:
    span = re.fullmatch(r"(\d{1,5})-(\d{1,5})", options.agent_ports)
    mistakes = []
    if span is None or not 1024 <= int(span[1]) <= int(span[2]) <= 65535:
        mistakes.append(f"--agent-ports {options.agent_ports} is no range; write FIRST-LAST within 1024-65535.")
    for flag in ("api_port", "mesos_port", "zookeeper_port", "agent_port"):
        if not 1 <= getattr(options, flag) <= 65535:
            mistakes.append(f"--{flag.replace('_', '-')} {getattr(options, flag)} is not allowed; choose 1 to 65535.")
    mistakes.extend(filter(None, map(_wrong_setting, options.set)))
    mistakes.extend(filter(None, map(_wrong_mesos_setting, options.set_mesos)))
    if options.workers != "all" and not options.workers.isdecimal():
        mistakes.append(f"--workers {options.workers} is not allowed; write a number, or 'all'.")
    if options.racks and not 1 <= options.racks <= options.agents:
        mistakes.append(
            f"--racks {options.racks} is not allowed; choose 1 to {options.agents}, the number of --agents."
        )
    if mistakes or span is None:
        raise NotReady(*mistakes)
    return Plan(
        directory=options.dir.resolve(),
        artefacts=(options.artefacts or default_directory()).resolve(),
        agents=options.agents,
        racks=options.racks,
        schedulers=options.schedulers,
        zookeepers=options.zookeepers,
        mesos_masters=options.mesos_masters,
        masters=options.masters,
        workers=options.workers,
        ram=options.ram,
        under_storage=options.under_storage,
        ports=Ports(
            options.api_port,
            options.mesos_port,
            options.agent_port,
            options.zookeeper_port,
            (int(span[1]), int(span[2])),
        ),
        settings=tuple(tuple(setting.split("=", 1)) for setting in options.set),
        mesos_settings=tuple(tuple(setting.split("=", 1)) for setting in options.set_mesos),
    )


def _wrong_setting(setting: str) -> str:
    """What is wrong with a --set; "" when nothing is."""
    name, equals, value = setting.partition("=")
    if not equals or name not in {option.name for option in OPTIONS}:
        return (
            f"--set {setting} names no option; write OPTION=VALUE with an option of `alluxio-mesos scheduler --help`."
        )
    if name in OWN_FLAGS:
        return f"--set {setting} is not allowed; write {OWN_FLAGS[name]} {value}."
    if name in ("mesos", "zookeeper", "api-host"):
        return f"--set {setting} is not allowed; a local cluster has its own."
    if name in ("api-token-file", "api-read-token-file", "api-certificate", "api-key"):
        return (
            f"--set {setting} is not allowed; a local cluster listens to this machine only, and asks without a token."
        )
    return ""


def _wrong_mesos_setting(setting: str) -> str:
    flag, equals, value = setting.partition("=")
    if equals and value and flag in MESOS_FLAGS:
        return ""
    return f"--set-mesos {setting} names no flag; write FLAG=VALUE with one of {', '.join(MESOS_FLAGS)}."


def down(options: argparse.Namespace) -> int:
    ran = cluster.down(options.dir.resolve(), _note(options))
    if options.json:
        print(json.dumps({"stopped": ran}))
    else:
        print("The cluster has ended; its data is kept." if ran else f"No cluster ran in {options.dir}.")
    return ExitCode.DONE


def clean(options: argparse.Namespace) -> int:
    cluster.clean(Plan(options.dir.resolve(), Path()), _note(options))
    if options.json:
        print(json.dumps({"removed": True}))
    return ExitCode.DONE


def _note(options: argparse.Namespace) -> Callable[[str], None]:
    return (lambda sentence: None) if options.json else (lambda sentence: print(sentence, flush=True))


def status(options: argparse.Namespace) -> int:
    """0 when everything wanted runs, 69 when something is missing."""
    folder = options.dir.resolve()
    document, started = processes.Ledger(folder / "cluster.json").read()
    running = {entry.name: entry.process() is not None for entry in started}
    status: dict[str, Any] = {"tasks": []}
    schedulers = copies("scheduler", document.get("schedulers", 1))
    if any(running.get(name) for name in schedulers):
        try:
            status = cluster.ask(api_urls(document["ports"]["api"], len(schedulers)), "/v1/status")
        except requests.RequestException:
            running |= dict.fromkeys(schedulers, False)
    complete = bool(running) and all(running.values()) and all(task["phase"] in show.DONE for task in status["tasks"])
    if options.json:
        print(json.dumps({"complete": complete, "parts": running, "status": status}, indent=2))
        return ExitCode.DONE if complete else ExitCode.UNAVAILABLE
    if not running:
        print(f"No cluster runs in {options.dir}; `alluxio-mesos local up` starts one.")
        return ExitCode.UNAVAILABLE
    print(", ".join(f"{name} {'runs' if lives else 'has ended'}" for name, lives in running.items()))
    Console(markup=False, highlight=False).print(show.status_table(status))
    return ExitCode.DONE if complete else ExitCode.UNAVAILABLE


def fault(options: argparse.Namespace) -> int:
    """69 when it could not be done."""
    try:
        print(faults.do(options))
    except faults.NotDone as error:
        _errors.print(str(error))
        return ExitCode.UNAVAILABLE
    return ExitCode.DONE


def logs(options: argparse.Namespace) -> int:
    files = _log_files(options.dir.resolve(), options.name)
    if not files:
        _errors.print(
            f"There is no log of {options.name} in {options.dir}; see `alluxio-mesos local status` for the names."
        )
        return ExitCode.UNAVAILABLE
    opened = [(path, path.open(errors="replace")) for path in files]
    for path, file in opened:
        _show_tail(path, file, options.lines, len(files) > 1)
    try:
        while options.follow:
            for _, file in opened:
                sys.stdout.write(file.read())
            sys.stdout.flush()
            time.sleep(0.3)
    except KeyboardInterrupt:
        pass
    return ExitCode.DONE


def _log_files(folder: Path, name: str) -> Sequence[Path]:
    own = cluster.log_path(folder, name)
    if own.exists():
        return [own]
    runs = sorted(
        folder.glob(f"mesos/agent-*/slaves/*/frameworks/*/executors/{name}.*/runs/latest"),
        key=lambda run: run.stat().st_mtime,
    )
    return (
        [runs[-1] / "stderr", *sorted((runs[-1] / "logs").glob("*.log")), *sorted((runs[-1] / "logs").glob("*.out"))]
        if runs
        else []
    )


def _show_tail(path: Path, file: TextIO, lines: int, title: bool) -> None:
    tail = file.readlines()[-lines:]
    if title and tail:
        print(f"==> {path.name} <==")
    sys.stdout.write("".join(tail))
