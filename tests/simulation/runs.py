"""Many histories, in several processes."""

from __future__ import annotations

import dataclasses
import multiprocessing

from simulation.history import broken_by, history


@dataclasses.dataclass(frozen=True)
class Outcome:
    histories: int
    failures: tuple[tuple[int, str], ...]  # (seed, what was broken)


def share(first: int, histories: int, jobs: int, job: int, most: int) -> Outcome:
    """Every ``jobs``-th history from the one with number ``job`` on, until ``most`` have failed."""
    failures: list[tuple[int, str]] = []
    done = 0
    for seed in range(first + job, first + histories, jobs):
        broken = broken_by(history(seed))
        done += 1
        if broken is not None:
            failures.append((seed, str(broken)))
            if len(failures) == most:
                break
    return Outcome(done, tuple(failures))


def many(first: int, histories: int, jobs: int, most: int) -> Outcome:
    """The histories of these seeds, in as many processes."""
    if jobs == 1:
        return share(first, histories, 1, 0, most)
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        outcomes = pool.starmap(share, [(first, histories, jobs, job, most) for job in range(jobs)])
    return Outcome(
        sum(outcome.histories for outcome in outcomes),
        tuple(sorted(failure for outcome in outcomes for failure in outcome.failures)),
    )
