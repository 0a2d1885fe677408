"""What `make dist` makes, made once for all tests that look into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirror import Distribution, mirror


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    with mirror(tmp_path_factory.mktemp("distribution") / "dist") as distribution:
        yield distribution
