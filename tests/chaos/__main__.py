"""Everything may die: a real cluster on this machine, every fault in turn, and a table of what came of it.

    PYTHONPATH=tests python -m chaos [--only NAME,NAME] [--journal EMBEDDED] [--markdown FILE] [--json FILE]

Exit code 0 when nothing was lost, nothing ran twice and all recovered; 1 otherwise. Times are told and never judged.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from chaos import table
from chaos.faults import FAULTS
from chaos.run import Row, Run, failed
from chaos.world import World, plan
from framework.local import cluster
from integration.local_cluster import free_ports

PORTS = 66


def main() -> int:
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(prog="chaos", description="Every fault in turn, on a real cluster.")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"these, with commas between: {', '.join(names)}")
    parser.add_argument("--short", action="store_true", help="the few that CI plays")
    parser.add_argument("--away", type=float, default=60.0, metavar="SECONDS", help="how long ZooKeeper is gone (60)")
    parser.add_argument("--no-floors", action="store_true", help="do not measure how long processes take to start")
    parser.add_argument("--schedulers", type=int, default=2, metavar="N", help="how many schedulers there are (2)")
    parser.add_argument(
        "--journal",
        choices=("UFS", "EMBEDDED"),
        default="UFS",
        help="how the masters keep it: in one folder that all share, or on their own agents by Raft (UFS)",
    )
    parser.add_argument("--first-port", type=int, default=0, metavar="PORT", help=f"the first of {PORTS} free ports")
    parser.add_argument(
        "--dir", type=Path, default=None, metavar="FOLDER", help="where the cluster lies; it is removed"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        default=None,
        metavar="FILE",
        help="write the table as Markdown, over the one in the file",
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--logs", type=Path, default=None, metavar="FOLDER", help="keep the parts' logs here")
    options = parser.parse_args()
    short = [fault.name for fault in FAULTS if fault.short]
    wanted = options.only.split(",") if options.only else short if options.short else names
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"--only: there is no fault {', '.join(map(repr, unknown))}; there are {', '.join(names)}")
    console = Console(highlight=False, markup=False, soft_wrap=True)

    def say(sentence: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')} {sentence}")

    def write(rows: Sequence[Row]) -> None:
        """After each row: who ends the run early has what was seen until then."""
        if options.markdown is not None:
            page = options.markdown.read_text() if options.markdown.exists() else ""
            options.markdown.write_text(table.placed(page, rows))
        if options.json is not None:
            options.json.write_text(table.document(rows))

    class Observer(cluster.Observer):
        told: ClassVar[dict[str, str]] = {}

        def step(self, name: str, standing: str) -> None:
            if self.told.get(name) != standing:
                self.told[name] = standing
                say(f"{name}: {standing}")

    def ended(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ended)  # whoever ends this program finds no cluster afterwards
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        directory = (options.dir or Path(scratch) / "local").resolve()
        first_port = options.first_port or free_ports(PORTS)
        world = World(plan(directory, first_port, options.schedulers, options.journal), Observer())
        try:
            ready = world.start()
            say(f"the cluster is ready after {ready.seconds:.1f} s: {ready.proof}")
            with Run(world, say, options.away) as run:
                why = run.settled(0, 3)
                if why:
                    raise RuntimeError(why)
                if not options.no_floors:
                    run.calibrate()
                for fault in FAULTS:
                    if fault.name in wanted:
                        rows.append(run.fault(fault))
                        write(rows)
        except (Exception, KeyboardInterrupt):
            say(f"✗ {traceback.format_exc()}")
            console.print(table.rich_table(rows))
            return 1
        finally:
            if options.logs is not None and directory.exists():
                world.keep_logs(options.logs)
            world.stop()
    Console(width=200).print(table.rich_table(rows))
    return 1 if failed(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
