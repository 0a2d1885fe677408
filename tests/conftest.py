"""What all tests share: the flag that rewrites the scenarios, and, for those that ask for it, a real ZooKeeper and what
a real Mesos said.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from zookeeper_server import ZooKeeperServer

# Else gRPC starts threads of its own in each child between fork and exec, which now and then write to the child's
# output. No program of ours has both: the executor knows no gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# The same examples everywhere, and no deadline: chance and a busy machine make no test fail. New examples are for the
# simulation, whose seeds say which they were.
hypothesis.settings.load_profile("ci")

TRACES: Final = Path(__file__).parents[1] / ".." / "shared" / "mesos-traces"
HISTORIES: Final = 10_000 if os.environ.get("CI") else 2_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-scenarios",
        action="store_true",
        help="write what is decided now into tests/scenarios/*.txt, to be reviewed as a diff",
    )
    parser.addoption(
        "--histories",
        type=int,
        default=HISTORIES,
        help="how many histories the simulation plays (default: 2,000; 10,000 in CI)",
    )


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """The log's level is the process's own, and the API sets it."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    """One server for all tests that only read and write; each uses a path of its own."""
    server = ZooKeeperServer(tmp_path_factory.mktemp("zookeeper"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def traces() -> Path:
    """The folder of the traces. Only a developer's machine may be without it."""
    if not TRACES.is_dir():
        sentence = f"the traces of a real Mesos are not at {TRACES}"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return TRACES.resolve()
