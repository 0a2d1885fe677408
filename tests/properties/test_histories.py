"""Safety over whole histories that Hypothesis chooses: whatever Mesos, its agents and the network do, in whatever
order, every promise of the judge holds, and what is wanted comes to run when the faults stop.

The steps, the world and the judge are the simulation's; Hypothesis finds other orders, and makes a failure small.
"""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from simulation.history import FAULTS, USUALLY, History, Step

SEEDS = st.integers(0, 2**32)
STEPS = st.builds(Step, st.sampled_from([*USUALLY, *FAULTS]) | st.just("all goes well"), SEEDS)


@pytest.mark.timeout(600)  # a failure is made small before it is shown
@given(seed=SEEDS, steps=st.lists(STEPS, min_size=10, max_size=80))
# The same ones everywhere: new histories are for the simulation, whose seeds say which they were.
@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_promise_holds(seed: int, steps: Sequence[Step]) -> None:
    History(seed, tuple(steps)).run()
