"""Alluxio's errors about mounts, as the real one says them, in one sentence each, without a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from framework.alluxio import methods
from framework.alluxio.masters import Masters
from framework.alluxio.mounts import LOOKED_FOR, explained, make
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.model import Mount

CALLED = """127.0.0.1:19998 answered UNKNOWN: mount command: alluxio fs mount /s3 s3://data/x option \
MountContext{ProtoOptions=readOnly: false
properties {
  key: "s3a.secretKey"
  value: "the-key"
}
properties {
  key: "alluxio.underfs.s3.endpoint"
  value: "http://timed-out-403.example/NoSuchBucket \\"}"
}
shared: false
}
"""
ACQUIRED = "Acquired mount ID for the new mount point: 2328757272535722709\n"
S3 = "alluxio.underfs.s3a.AlluxioS3Exception: ClientException:Unable to execute HTTP request: "
MOUNT = Mount("/s3", "s3://data/x")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "Mount point target path /s3 already exists in Alluxio namespace. Try mounting to another path.",
            "/s3 is there already: unmount or remove it, or choose another path",
        ),
        (
            "Mount path /s3 shadows an existing path /r/s3 in the parent underlying filesystem",
            "the storage around it has /r/s3, which the mount would hide: choose another path",
        ),
        (
            "Mount point s3://data/ is a prefix of s3://data/x",
            "s3://data/x overlaps with what is mounted elsewhere (s3://data/ holds s3://data/x), and Alluxio mounts no "
            "storage twice: name another folder",
        ),
        (
            f"{ACQUIRED}No Under File System Factory found for: gs://bucket/x",
            "there is no under-storage for s3://data/x: name its jar in --under-storage-jars",
        ),
        (
            f"{ACQUIRED}NoSuchBucket:The specified bucket does not exist",
            "there is no bucket data: make it, or correct the name",
        ),
        (
            f"{ACQUIRED}ClientException:Unable to load AWS credentials from any provider: [EC2: 403 timeout]",
            "no keys are given for s3://data/x: give s3a.accessKeyId and s3a.secretKey, each as a secret",
        ),
        (
            f"{ACQUIRED}{S3}Request did not complete before the request timeout configuration.",
            "the store of s3://data/x does not answer within 5 s: is it up, and do Alluxio's processes reach it?",
        ),
        (
            f"{ACQUIRED}Ufs path s3://data/403-SocketTimeout/AccessDenied does not exist",
            "there is no folder s3://data/x: make it in the store, or correct the name",
        ),
        (
            f"{ACQUIRED}Ufs path s3://data/x does not exist",
            "there is no folder s3://data/x: make it in the store, or correct the name",
        ),
        (
            f"{ACQUIRED}Failed to mount s3://data/x at /s3: \nFile /s3 creation failed. Component 1(a) does not exist",
            "the folder around /s3 is missing (a): make it first (alluxio fs mkdir), or choose another path",
        ),
        (
            f"{ACQUIRED}java.io.IOException: Unsupported operation for WebUnderFileSystem.",
            "Alluxio's WebUnderFileSystem cannot do what Alluxio does with each storage that it mounts: choose another "
            "under-storage",
        ),
        (
            f"{ACQUIRED}java.io.IOException: what nobody has seen\n"
            "\tat java.base/java.security.AccessController.doPrivileged(AccessController.java:712)\n"
            "\tat org.apache.hadoop.ipc.Server$Handler.run(Server.java:3048)\n\n",
            "Alluxio refuses it: java.io.IOException: what nobody has seen",
        ),
        ("the-key is something that nobody has seen", "Alluxio refuses it: *** is something that nobody has seen"),
    ],
)
def test_what_alluxio_says_is_one_sentence(said: str, sentence: str) -> None:
    assert explained(CALLED + said, MOUNT, ["the-key"]) == sentence


def test_words_that_no_row_knows_say_no_options_either() -> None:
    assert explained(CALLED, MOUNT, ["the-key"]) == "Alluxio refuses it: no reason was given"


# Mounting -------------------------------------------------------------------------------------------------------------


HDFS = Mount("/hdfs", "hdfs://namenode:8020/lake")
LOOK = f"hdfs://namenode:8020/lake/{LOOKED_FOR}"
ABSENT = f'Path "/hdfs/{LOOKED_FOR}" does not exist.'


@pytest.mark.parametrize(
    ("told", "reason", "calls"),
    [
        (f"Ufs path {LOOK} does not exist", "", ["Mount", "Mount", "GetStatus", "UpdateMount"]),
        (None, "", ["Mount", "Unmount", "Mount", "GetStatus", "UpdateMount"]),  # somebody made such a folder
        (
            'Permission denied: user=lake, access=EXECUTE, inode="/lake":somebody:supergroup:drwx------',
            "HDFS lets the user lake not into /lake (EXECUTE): give that user the right",
            ["Mount"],
        ),
        ("/lake (is not a directory)", "there is no folder hdfs://namenode:8020/lake: make it", ["Mount"]),
        (
            f"Mount point hdfs://namenode:8020/ is a prefix of {LOOK}",
            "(hdfs://namenode:8020/ holds hdfs://namenode:8020/lake)",
            ["Mount"],
        ),
    ],
)
def test_hdfs_is_asked_whether_it_lets_us_in_before_it_is_mounted(
    serve: Callable[..., Any], told: str | None, reason: str, calls: list[str]
) -> None:
    def mount(request: Any) -> Any:
        looks = request.ufsPath == LOOK
        return (grpc.StatusCode.UNKNOWN, told) if looks and told else protocol.MountPResponse()

    answers = {
        methods.MOUNT: mount,
        methods.UNMOUNT: protocol.UnmountPResponse(),
        methods.GET_STATUS: (grpc.StatusCode.NOT_FOUND, ABSENT),
        methods.UPDATE_MOUNT: protocol.UpdateMountPResponse(),
    }
    master = serve(answers=answers)
    with Masters([master.address]) as masters:
        found = make(masters, HDFS, {})
    assert (reason in found) if reason else found == ""
    assert [name for name, _ in master.asked] == calls
