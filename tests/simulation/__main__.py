"""Histories from the command line: ``python tests/simulation --histories 10000``; ``--seed N`` plays one of them, and
prints all that happens in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # tests, not tests/simulation

from judge import Broken  # noqa: E402
from simulation.history import broken_by, history, shortest  # noqa: E402
from simulation.runs import many  # noqa: E402


def show(seed: int, *, whole: bool) -> int:
    """One history with all that happens in it, of a broken one only the steps that it takes."""
    story = history(seed)
    broken = broken_by(story)
    if broken is not None and not whole:
        story = shortest(story, broken.promise)
    try:
        story.run(print)
    except Broken as broken:
        print(f"seed {seed}: {broken}")
        return 1
    print(f"seed {seed}: every promise holds over {len(story.steps)} steps")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--failures", type=int, default=5, help="stop after so many in each process")
    parser.add_argument("--seed", type=int, help="play this one alone, and print what happens")
    parser.add_argument("--whole", action="store_true", help="with --seed: leave nothing out of a broken history")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return show(arguments.seed, whole=arguments.whole)
    began = time.monotonic()
    outcome = many(arguments.first, arguments.histories, arguments.jobs, arguments.failures)
    seconds = time.monotonic() - began
    for seed, text in outcome.failures:
        print(f"seed {seed}: {text}\n    replay it alone: python tests/simulation --seed {seed}")
    print(
        f"{outcome.histories} histories, {len(outcome.failures)} broken, "
        f"{seconds:.1f} s, {outcome.histories / seconds:.0f} a second"
    )
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
