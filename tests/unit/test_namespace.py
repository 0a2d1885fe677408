"""What may be mounted where: paths, storages, options, and several of them."""

from __future__ import annotations

import pytest

from framework import namespace
from framework.model import Mount, MountPoint, Secret

BUNDLED = namespace.BUNDLED


@pytest.mark.parametrize("path", ["/s3", "/data/s3", "/a b/ä", "/a.b", "/...", "/-"])
def test_paths_that_will_do(path: str) -> None:
    assert namespace.path_mistake(path) == ""


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "the root is what --under-storage says"),
        ("s3", "write an absolute path"),
        ("", "write an absolute path"),
        ("/a\nb", "write an absolute path"),
        ("/a*", 'write an absolute path, such as /data/table, without \\ : * ? " < > |'),
        ("/" + "a" * 1000, "the path has 1001 characters; at most 1000 are allowed"),
        ("/a/", 'a part of it is empty, "." or ".."'),
        ("//a", 'a part of it is empty, "." or ".."'),
        ("/a//b", 'a part of it is empty, "." or ".."'),
        ("/a/./b", 'a part of it is empty, "." or ".."'),
        ("/a/../b", 'a part of it is empty, "." or ".."'),
        ("/..", 'a part of it is empty, "." or ".."'),
    ],
)
def test_paths_that_will_not(path: str, words: str) -> None:
    assert words in namespace.path_mistake(path)


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket", "s3://bucket/", "s3a://bucket/a/b", "hdfs://namenode:8020/a", "/nfs", "file:///nfs", "hdfs://ha/"],
)
def test_storages_that_will_do(uri: str) -> None:
    assert namespace.uri_mistake(uri, BUNDLED) == ""


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "is no address"),
        ("bucket", "is no address"),
        ("s3:/bucket", "is no address"),
        ("s3://a b", "is no address"),
        ("S3://bucket", "is no address"),
        ("s3://bucket/a?b=c", "is no address"),
        ("s3:///a", "names no bucket; write s3://NAME/folder"),
        ("hdfs:///a", "names no namenode; write hdfs://NAME/folder"),
        ("/a/../b", "is not normal"),
        ("s3://bucket/../other", "is not normal"),
        ("s3://id:key@bucket", "credentials must not stand in it"),
        ("gs://bucket", "there is no under-storage for gs:// here (there is for file, s3, s3a, hdfs)"),
    ],
)
def test_storages_that_will_not(uri: str, words: str) -> None:
    assert words in namespace.uri_mistake(uri, BUNDLED)


def test_whoever_brings_another_alluxio_knows_its_schemes() -> None:
    assert namespace.uri_mistake("gs://bucket", None) == ""
    assert namespace.uri_mistake("abfs://container@account.dfs.core.windows.net/folder", None) == ""
    for uri in ("abfs://name:key@account.dfs.core.windows.net", "gs://key@bucket"):
        assert "credentials must not stand in it" in namespace.uri_mistake(uri, None)


@pytest.mark.parametrize(
    "name",
    [
        *("s3a.accessKeyId", "s3a.secretKey", "aws.accessKeyId", "aws.secretKey", "fs.gcs.secretAccessKey"),
        *(
            "fs.swift.password",
            "fs.azure.account.key.x.blob.core.windows.net",
            "fs.azure.sas.token",
            "fs.cos.access.key",
        ),
        *("fs.oss.accessKeySecret", "fs.gcs.credential.path", "FS.SWIFT.PASSWORD", "fs.kodo.secretkey"),
    ],
)
def test_a_credential_is_never_taken_in_clear_text(name: str) -> None:
    [mistake] = namespace.option_mistakes({name: "abc123"})
    assert mistake.startswith(
        f'options: {name} is a credential, which is kept nowhere in clear text; give {{"secret": '
    )
    assert f"(--secret {name}=NAME on the command line)" in mistake
    assert "abc123" not in mistake
    assert not list(namespace.option_mistakes({name: Secret("abc")}))


def test_options() -> None:
    fine: dict[str, str | Secret] = {"alluxio.underfs.s3.endpoint": "http://s3:9000", "alluxio.underfs.s3.region": "eu"}
    assert not list(namespace.option_mistakes(fine))
    for name, value, words in (
        ("", "1", "is no option"),
        ("a b", "1", "is no option"),
        ("alluxio-mesos.mark", "1", "is no option"),
        ("a", "", "a has no value; give one, or leave the option out"),
        ("a", " ", "a has no value"),
        ("a", "1\n2", "must be one line"),
        ("a", "x" * 1001, "must be one line"),
        ("a", "http://id:key@proxy", "credentials must not stand in it"),
    ):
        [mistake] = namespace.option_mistakes({name: value})
        assert words in mistake
    [mistake] = namespace.option_mistakes({"s3a.secretKey": Secret("../key")})
    assert "'../key' is no name of a secret" in mistake
    [mistake] = namespace.option_mistakes({f"a{index}": "1" for index in range(51)})
    assert "there are 51; at most 50" in mistake


def test_storages_overlap() -> None:
    for one, other, is_so in (
        ("s3://b", "s3://b/", True),
        ("s3://b/a", "s3a://b/a/c", True),
        ("s3://b/a", "s3://b/ab", False),
        ("s3://b/a", "s3://c/a", False),
        ("/nfs", "file:///nfs/a", True),
        ("hdfs://n:1/a", "hdfs://n:2/a", False),
    ):
        assert namespace.overlap(one, other) is namespace.overlap(other, one) is is_so
    assert namespace.same_storage("s3://b/a/", "s3a://b/a")
    assert not namespace.same_storage("s3://b/a", "s3://b")


def test_mounts_do_not_nest_and_no_storage_is_mounted_twice() -> None:
    others = [MountPoint("/", "/root"), MountPoint("/a/b", "s3://b")]
    for path, uri, words in (
        ("/a/b/c", "s3://c", "path: /a/b/c would lie in the mount /a/b"),
        ("/a", "s3://c", "path: /a/b would lie in the mount /a"),
        ("/a/b/c", "/root/x", "path: /a/b/c would lie in the mount /a/b"),  # a path is easier to choose anew
        ("/d", "s3://b/x", "uri: s3://b/x overlaps with s3://b, which has its place at /a/b"),
        ("/d", "/root/x", "uri: /root/x overlaps with /root, which has its place at /"),
        ("/a/bc", "s3://c", ""),
    ):
        found = namespace.in_the_way(Mount(path, uri), others)
        assert found.startswith(words)
        assert bool(found) == bool(words)


def test_all_mistakes_are_told_at_once() -> None:
    found = list(namespace.mistakes(Mount("/a/../b", "gs://x", {"s3a.secretKey": "k"}), [], BUNDLED))
    assert [mistake.partition(":")[0] for mistake in found] == ["path", "uri", "options"]


def test_what_alluxio_shows_agrees_with_what_is_wanted() -> None:
    mount = Mount("/a", "s3://b/x", {"aws.secretKey": Secret("key"), "o": "1"}, readonly=True)
    point = MountPoint(
        "/a", "s3://b/x/", {"s3a.secretKey": "******", "o": "1", namespace.MARK: "m"}, readonly=True, shared=False
    )
    assert namespace.agrees(mount, point)
    assert not namespace.agrees(Mount("/a", "s3://b/x", mount.options), point)
    assert not namespace.agrees(Mount("/a", "s3://b/x", {**mount.options, "o": "2"}, readonly=True), point)
    assert not namespace.agrees(Mount("/a", "s3://b/x", {"o": "1"}, readonly=True), point)


def test_the_option_of_the_first_start() -> None:
    assert namespace.read(" /s3 = s3://b/x ; /nfs=/mnt/nfs;") == (Mount("/nfs", "/mnt/nfs"), Mount("/s3", "s3://b/x"))
    assert namespace.read("") == ()
    for text, words in (
        ("/s3", "'/s3' is no mount; write /path=URI"),
        ("/a=/x;/a=/y", "'/a' is given twice"),
        ("/a=/x;/a/b=/y", "/a/b would lie in the mount /a"),
        ("/=/x", "the root is what --under-storage says"),
        (";".join(f"/a{index}=/x{index}" for index in range(101)), "there would be 101 mounts; at most 100"),
    ):
        with pytest.raises(ValueError, match=words):
            namespace.read(text)
