"""A store's own trouble, as Alluxio 2.9.6 repeats it: the same sentence for a mount, a path and a load."""

from __future__ import annotations

import json

import pytest

from framework.alluxio.answers import Kind, Unavailable
from framework.alluxio.files import AlluxioError
from framework.alluxio.mounts import explained
from framework.alluxio.paths import loading, refused
from framework.alluxio.troubles import of_the_store
from framework.model import Mount

S3 = "alluxio.underfs.s3a.AlluxioS3Exception: ClientException:Unable to execute HTTP request: "
MOUNT = Mount("/s3", "s3://data/x")
KEYS = "the store refuses these keys for {place}: correct the secrets, or let them read it"
SILENCE = "the store of {place} does not answer {late}: is it up, and do Alluxio's processes reach it?"
HOST = "nobody knows the host no-such-host.invalid, where the store of {place} should be: correct the address"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("403 Forbidden:Forbidden", KEYS),
        ("SignatureDoesNotMatch:Forbidden", KEYS),
        ("Forbidden (Service: Amazon S3; Status Code: 403; Error Code: 403 Forbidden; Request ID: null)", KEYS),
        ("ClientException:Error, ResponseCode: 403, ResponseStatus: Refused", KEYS),
        (f"{S3}Request did not complete before the request timeout configuration.", SILENCE),
        (f"{S3}Read timed out", SILENCE),
        (f"{S3}Connect to 127.0.0.1:9 [/127.0.0.1] failed: connect timed out", SILENCE),
        (
            "java.net.SocketTimeoutException: Call From vm/127.0.0.1 to localhost:9 failed on socket timeout "
            "exception: 5000 millis timeout while waiting",
            SILENCE,
        ),
        (
            f"{S3}Connect to 127.0.0.1:9 [/127.0.0.1] failed: Connection refused",
            "nothing listens at 127.0.0.1:9, where the store of {place} should: correct the endpoint, or start it",
        ),
        (
            "java.net.ConnectException: Call From vm/127.0.0.1 to localhost:9 failed on connection exception: "
            "java.net.ConnectException: Connection refused; For more details see: …",
            "nothing listens at localhost:9, where the store of {place} should: correct the address, or start it",
        ),
        (f"{S3}no-such-host.invalid", HOST),
        (f"{S3}no-such-host.invalid: Name or service not known", HOST),
        ("com.google.UncheckedExecutionException: java.net.UnknownHostException: no-such-host.invalid", HOST),
        (
            "org.apache.hadoop.security.AccessControlException: Permission denied: user=lake, access=EXECUTE, "
            'inode="/closed":somebody:supergroup:drwx------\n'
            "\tat org.apache.hadoop.hdfs.server.namenode.FSPermissionChecker.check(FSPermissionChecker.java:506)\n",
            "HDFS lets the user lake not into /closed (EXECUTE): give that user the right, or have the tasks be "
            "another one there (HADOOP_USER_NAME in --environment)",
        ),
    ],
)
def test_a_stores_trouble_is_said_alike_of_a_mount_a_path_and_a_load(said: str, sentence: str) -> None:
    of_mount = sentence.format(place=MOUNT.uri, late="within 5 s")
    of_path = sentence.format(place="/data", late="in time")
    assert explained(f"m:1 answered UNKNOWN: {said}", MOUNT, []) == of_mount
    path = refused("/data", Unavailable("m:1", f"m:1 answered UNKNOWN: {said}", Kind.ERROR, "UNKNOWN", said))
    assert (type(path), str(path)) == (AlluxioError, of_path)
    failed = {"/data/a": f"Status code: 2, message: {said}"}
    report = {"mJobState": "SUCCEEDED", "mFailedFileCount": 1, "mFailedFilesWithReasons": failed}
    assert loading("/data", json.dumps(report)).failures == (("/data/a", of_path),)


@pytest.mark.parametrize(
    "said",
    [
        "Ufs path s3://data/403/AccessDenied does not exist",
        "/data/403 Forbidden is there already",
        "file /data/SocketTimeoutExceptions-of-May/timed-out",
        "time out after waiting for 15000 MILLISECONDS",
        "Permission denied: user=spark, access=-w-, path=/data/x: failed at /, inode owner=root, inode group=root",
        "The bucket is away.",
    ],
)
def test_names_and_alluxios_own_words_are_no_trouble_of_a_store(said: str) -> None:
    assert of_the_store(said, "/data") == ""
