"""What localmesos refuses to start."""

from __future__ import annotations

from typing import Any

import pytest

from localmesos.containerizer import LaunchError
from localmesos.launching import refuse_containers


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        ({"mesos": {"image": {"type": "DOCKER"}}}, "Unsupported container image type: DOCKER"),
        ({"network_infos": [{"groups": []}, {"name": "dcos"}]}, "Unknown CNI network 'dcos'"),
    ],
)
def test_what_needs_a_container_is_not_started_without_one(container: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LaunchError, match=f"^Failed to launch container: {sentence}$"):
        refuse_containers({"container": {"type": "MESOS", **container}})


@pytest.mark.parametrize(
    "info",
    [
        {"command": {"environment": {"variables": [{"name": "A", "value": "b"}, {"name": "C", "type": "SECRET"}]}}},
        {"container": {"volumes": [{"container_path": "a", "source": {"type": "SECRET"}}]}},
    ],
)
def test_what_needs_a_secret_is_not_started_without_it(info: dict[str, Any]) -> None:
    with pytest.raises(LaunchError, match=r"^Failed to launch container: there is a secret, and no secret resolver$"):
        refuse_containers(info)


@pytest.mark.parametrize("info", [{}, {"container": {"type": "MESOS", "mesos": {}, "network_infos": [{}]}}])
def test_a_container_that_asks_for_neither_is(info: dict[str, Any]) -> None:
    refuse_containers(info)
