"""The cluster that the tests with the real parts share: starting one costs more than most of what they look at."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from integration.local_cluster import NOTHING_REMAINS, PARTS, FirstUp, LocalCluster, wait_until

# Every minute Alluxio looks for files with fewer copies than they are pinned with, and has its job service read them:
# whoever loads such a file in that second finds less to load, or fails as a worker has just begun the same block.
RESTING = "properties=alluxio.master.replication.check.interval=1h"


@pytest.fixture(scope="session")
def first_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstUp]:
    """Ended and removed at the end of the session, whatever the tests did; nothing may remain."""
    options = ("--agents", "2", "--ram", "192MB", "--set", RESTING)
    cluster = LocalCluster(tmp_path_factory.mktemp("cluster") / "local", *options)
    try:
        began = time.monotonic()
        outcome = cluster.up()
        seconds = time.monotonic() - began
        assert outcome.code == 0, f"{outcome.out}\n{outcome.error}\n{cluster.told()}"
        yield FirstUp(cluster, outcome, seconds)
    finally:
        cleaned = cluster.run("clean")
    assert cleaned.code == 0, cleaned.error
    # A process that was killed is gone a moment after the command that killed it.
    wait_until(cluster.remains, lambda remains: remains == NOTHING_REMAINS, "an end without remains")
    assert not cluster.directory.exists()
    assert not cluster.ram_directory.exists()


@pytest.fixture
def cluster(first_up: FirstUp) -> LocalCluster:
    """The running cluster with a master and two registered workers; a test that ended half-way is made good."""
    cluster = first_up.cluster
    if set(cluster.parts()) != PARTS:
        outcome = cluster.up()
        assert outcome.code == 0, f"{outcome.out}\n{outcome.error}\n{cluster.told()}"
    cluster.settled()
    return cluster
