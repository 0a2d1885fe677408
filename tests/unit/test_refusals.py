"""The classes of the reasons why offers are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from framework.refusals import Reason, classified

SCENARIOS = Path(__file__).parents[1] / "scenarios"


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("there is nothing to launch", Reason.NOTHING_TO_LAUNCH),
        ("it already has worker-1", Reason.HAS_ONE),
        ("what is left to launch waits for other agents", Reason.OTHER_AGENTS),
        ("offers 0.5 of 1 CPUs", Reason.CPUS),
        ("offers 512 MiB of 1280 MiB memory", Reason.MEMORY),
        ("offers 100 MiB of 512 MiB disk", Reason.DISK),
        ("offers 1000 MiB of 1024 MiB unreserved disk for the ssd tier", Reason.DISK),
        ("offers 3 of 4 ports", Reason.PORTS),
        ("does not offer port 80, at which its web port is fixed: it offers 1-9", Reason.PORTS),
        ("does not offer port 21000, where others expect its rpc port", Reason.PORTS),
        ("does not hold the 1024 MiB of its ssd volume framework-1.worker-0.2.ssd", Reason.VOLUME),
        ("the agent is in maintenance or about to be", Reason.MAINTENANCE),
        ("workers wait: no Alluxio master is ready yet", Reason.NOT_YET),
        ("master-1 waits: master-0 formats the shared journal first", Reason.NOT_YET),
        ("worker-0.1 has still to end there", Reason.NOT_YET),
        ("Mesos is asked first whether worker-1.1 runs there", Reason.NOT_YET),
        ("worker-0 waits 1 s more after failing 2 times", Reason.BACKOFF),
        ("worker-2: offers 0.5 of 1 CPUs", Reason.CPUS),  # as a refusal keeps it
        ("its colour is wrong", Reason.OTHER),
    ],
)
def test_each_sentence_has_its_class(sentence: str, reason: Reason) -> None:
    assert classified(sentence) is reason


def test_no_sentence_of_the_scenarios_is_left_over() -> None:
    """A new reason that nobody classifies would be counted as "other"."""
    texts = "\n".join(path.read_text() for path in sorted(SCENARIOS.glob("*.txt")))
    sentences = set(re.findall(r": declined, (.+) \(for \d+ s\)$", texts, re.MULTILINE))
    assert len(sentences) > 15
    assert [sentence for sentence in sentences if classified(sentence) is Reason.OTHER] == []
