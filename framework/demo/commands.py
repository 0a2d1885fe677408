"""`alluxio-mesos demo`: parsed options in, an exit code out."""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console

from framework.artefacts import default_directory
from framework.demo import show
from framework.demo.page import page
from framework.demo.plan import LEAST_SIZE, MIB, Plan, expected_total
from framework.demo.results import summarised
from framework.demo.run import run
from framework.demo.store import KINDS
from framework.demo.tables import conditions_line, size
from framework.demo.trouble import Failed
from framework.model import ExitCode
from framework.option_types import Invalid, Type, whole
from framework.option_types import size as size_type

NEEDED: Final = ("boto3", "matplotlib", "numpy", "pyarrow", "pyspark")

_errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def demo(options: argparse.Namespace) -> int:
    plan = read(options)
    if not isinstance(plan, Plan):
        for sentence in plan:
            _errors.print(f"alluxio-mesos demo: {sentence}")
        return ExitCode.CONFIGURATION
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        _errors.print(f"{', '.join(missing)} must be installed for this: pip install 'alluxio-mesos[demo]'.")
        return ExitCode.UNAVAILABLE
    console = Console(stderr=options.json, markup=False, highlight=False)
    console.print(
        f"{size(plan.size)} of data in {plan.s3}, limited to {size(plan.bandwidth)} a second and "
        f"{plan.latency * 1000:.0f} ms for each request; {plan.runs} runs of each job; "
        f"about {expected_total(plan) / 60:.0f} minutes."
    )
    folder = options.dir.resolve()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended)
    try:
        with show.Bar(console, expected_total(plan)) as bar:
            measured = run(plan, folder / "work", (options.artefacts or default_directory()).resolve(), bar)
    except Failed as error:
        _errors.print(str(error))
        return ExitCode.UNAVAILABLE
    except KeyboardInterrupt:
        _errors.print("Stopped half-way; what ran has ended, and nothing was written.")
        return 130
    document = summarised(measured)
    write(document, folder)
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        console.print(show.report(document))
        console.print(f"{folder}: report.html, results.json, duration.png, duration.svg")
    return ExitCode.DONE


def _ended(number: int, frame: FrameType | None) -> None:
    """Once: a second signal would cut off the ending of what runs."""
    for further in (signal.SIGINT, signal.SIGTERM):
        signal.signal(further, signal.SIG_IGN)
    raise KeyboardInterrupt


def read(options: argparse.Namespace) -> Plan | list[str]:
    """The plan, or a sentence for each mistake."""
    mistakes: list[str] = []

    def value(flag: str, type_: Type) -> int:
        text = getattr(options, flag)
        try:
            found: int = type_.read(text)
            return found
        except Invalid as error:
            mistakes.append(f"--{flag} {text} is not allowed: {error}.")
            return 0

    amount = value("size", size_type(LEAST_SIZE))
    runs = value("runs", whole(1, 100))
    bandwidth = value("bandwidth", size_type())
    latency = value("latency", whole(0, 10_000))
    if options.s3 not in KINDS:
        mistakes.append(f"--s3 {options.s3} is not allowed; write {' or '.join(KINDS)}.")
    return mistakes or Plan(amount * MIB, runs, bandwidth * MIB, latency / 1000, options.s3)


def write(document: Mapping[str, Any], folder: Path) -> None:
    from framework.demo import charts  # matplotlib is there for the demo only

    folder.mkdir(parents=True, exist_ok=True)
    charts.draw(document, folder, conditions_line(document))
    (folder / "report.html").write_text(page(document, (folder / "duration.svg").read_text()))
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n")
