"""Samples of the cache."""

from __future__ import annotations

from eventually import eventually
from framework.alluxio.figures import Figures, WorkerFigures
from framework.model import CacheReport, CachingWorker
from framework.planner import State
from framework.series import MOST, Sample, Sampler, Series
from stage import wanted

LIVE = CachingWorker("a", 1, 100, 40, live=True)
STATE = State(wanted=wanted(), cache=CacheReport("m:1", "", (LIVE, CachingWorker("b", 1, 1000, 400, live=False)), 1.0))


def figures(**workers: tuple[int, int]) -> Figures:
    return Figures(workers={slot: WorkerFigures(*counted) for slot, counted in workers.items()})


def test_what_clients_were_given_is_counted_from_sample_to_sample() -> None:
    series = Series()
    series.take(STATE, figures(a=(1000, 50)), 10.0)
    series.take(STATE, figures(a=(1300, 150)), 25.0)
    series.take(STATE, figures(), 40.0)  # it did not answer
    series.take(STATE, figures(a=(1310, 150)), 55.0)
    series.take(STATE, figures(a=(7, 3)), 70.0)  # its process began anew
    assert series.samples == (
        Sample(10.0, 100, 40),  # what was counted before anybody looked is nobody's
        Sample(25.0, 100, 40, 300, 100),
        Sample(40.0, 100, 40),
        Sample(55.0, 100, 40, 10, 0),
        Sample(70.0, 100, 40, 7, 3),
    )


def test_an_hour_is_kept() -> None:
    series = Series()
    for number in range(MOST + 2):
        series.take(STATE, figures(), float(number))
    assert (len(series.samples), series.samples[0].at) == (240, 2.0)


def test_the_sampler_goes_on_until_it_is_stopped() -> None:
    taken: list[int] = []
    sampler = Sampler(lambda: taken.append(1), pause=0.001)
    sampler.start()
    eventually(lambda: len(taken) > 2, "samples are taken")
    sampler.stop()
    eventually(lambda: not sampler._thread.is_alive(), "it ends")
