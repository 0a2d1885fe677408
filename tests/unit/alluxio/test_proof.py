"""The proof of a cluster that has just come up: whoever is slow to answer is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from framework.local.proof import NotProved, prove
from ports import held_port

Serve = Callable[..., Any]


def test_a_master_that_answers_a_moment_later_is_waited_for(serve: Serve) -> None:
    port = held_port()
    refusal = (grpc.StatusCode.PERMISSION_DENIED, "not yours")
    starting = threading.Timer(0.5, lambda: serve(port=port, refusal=refusal))
    starting.start()
    with pytest.raises(NotProved, match="PERMISSION_DENIED: not yours"):
        prove({"masters": [f"127.0.0.1:{port}"], "workers": []}, "SIMPLE")
    starting.join()
