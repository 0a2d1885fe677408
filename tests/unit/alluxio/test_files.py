"""How long the file client waits for masters that are away; the rest is tested with the real parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from framework.alluxio.files import AlluxioAway, AlluxioError, Files
from framework.alluxio.masters import Masters
from framework.alluxio.methods import COMPLETE_FILE, CREATE_FILE
from framework.alluxio.stubs import common_pb2 as common
from framework.alluxio.stubs import file_system_master_pb2 as file
from ports import held_port

Serve = Callable[..., Any]
SAFE_MODE = (grpc.StatusCode.UNAVAILABLE, "Alluxio master is in safe mode. Please try again later.")


def test_without_patience_the_first_trouble_is_told(serve: Serve) -> None:
    server = serve(primary=False)
    with (
        Masters([server.address]) as masters,
        Files(masters) as files,
        pytest.raises(AlluxioAway, match="is up but not the primary master"),
    ):
        files.exists("/a")


def test_a_master_that_comes_in_time_is_waited_for(serve: Serve) -> None:
    port = held_port()
    with Masters([f"127.0.0.1:{port}"]) as masters, Files(masters, retry_seconds=20) as files:
        starting = threading.Timer(0.5, lambda: serve(port=port, paths={"/a"}))
        starting.start()
        assert files.exists("/a")
        starting.join()


def test_patience_has_an_end(serve: Serve) -> None:
    server = serve(refusal=SAFE_MODE)
    with Masters([server.address]) as masters, Files(masters, retry_seconds=0.5) as files:
        began = time.monotonic()
        with pytest.raises(AlluxioAway, match="still in safe mode"):
            files.exists("/a")
        assert time.monotonic() - began > 0.2


def test_a_refusal_is_not_tried_again(serve: Serve) -> None:
    server = serve(refusal=(grpc.StatusCode.PERMISSION_DENIED, "not yours"))
    with (
        Masters([server.address]) as masters,
        Files(masters, retry_seconds=20) as files,
        pytest.raises(AlluxioError, match="PERMISSION_DENIED: not yours"),
    ):
        files.exists("/a")
    assert server.calls == ["Exists"]


def test_a_removal_that_was_done_though_its_answer_was_lost_is_done(serve: Serve) -> None:
    server = serve(paths={"/a"}, loses_answers=True)
    with Masters([server.address]) as masters, Files(masters, retry_seconds=20) as files:
        files.delete("/a")
    assert server.calls == ["Remove", "Exists"]


def test_what_it_writes_may_be_read_by_everybody_and_written_by_its_owner(serve: Serve) -> None:
    server = serve(answers={CREATE_FILE: file.CreateFilePResponse(), COMPLETE_FILE: file.CompleteFilePResponse()})
    with Masters([server.address]) as masters, Files(masters) as files:
        files.write("/a", b"", worker="127.0.0.1:1")  # which is not asked, as there is nothing to write
    options = server.asked[0][1].options
    bits = (options.mode.ownerBits, options.mode.groupBits, options.mode.otherBits)
    assert bits == (common.READ_WRITE, common.READ, common.READ)
    assert (options.replicationMax, options.commonOptions.ttl) == (-1, -1)
