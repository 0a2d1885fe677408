"""Mounts as wanted state, with the real parts: a local cluster, Alluxio, an S3 server that is s3proxy, and HDFS."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from framework.alluxio import mounts
from framework.alluxio.files import AlluxioError, WriteType
from framework.model import Mount
from hdfs_server import HdfsServer
from integration.local_cluster import Json, LocalCluster, Outcome, alluxio_mesos, wait_until
from s3_server import CREDENTIAL, IDENTITY, S3Server
from whole_jar import whole_jar

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600, method="signal")]

HELLO = b"hello from S3\n"
HELLO_HDFS = b"hello from HDFS\n"
WRITTEN = b"written through\n"
HDFS_USER = "lake"  # whom Alluxio's processes are for HDFS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    for bucket in ("data", "other", "third", "keys", "foreign", "written", "more"):
        server.put(bucket, "folder/hello.txt", HELLO)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsServer]:
    server = HdfsServer(tmp_path_factory.mktemp("hdfs"))
    try:
        server.start()
        server.make("/open", HDFS_USER)
        server.put("/open/hello.txt", HELLO_HDFS)
        server.make("/closed", "somebody", "700")
        server.make("/unlisted", "somebody", "711")
        server.put("/unlisted/hello.txt", HELLO_HDFS)
        server.make("/shut", "somebody", "700")
        server.make("/shut/deeper", "somebody")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is a storage too, as one on NFS is."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "note.txt").write_bytes(b"a note\n")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store: S3Server, shared: Path) -> Iterator[LocalCluster]:
    secrets = tmp_path_factory.mktemp("secrets")
    for name, text in (("s3-id", IDENTITY), ("s3-key", f"{CREDENTIAL}\n"), ("s3-wrong", "a-wrong-secret")):
        (secrets / name).write_text(text)
    jar = whole_jar("obs", tmp_path_factory.mktemp("jars"))
    cluster = LocalCluster(
        tmp_path_factory.mktemp("mounts") / "local",
        *("--agents", "1", "--workers", "1", "--ram", "64MB"),
        *("--set", f"secrets-dir={secrets}", "--set", f"mounts=/shared={shared}"),
        *("--set", f"under-storage-jars={jar}", "--set", f"environment=HADOOP_USER_NAME={HDFS_USER}"),
    )
    with cluster.while_up():
        yield cluster


def options(store: S3Server, key: str = "s3-key", endpoint: str = "") -> Json:
    return {
        "s3a.accessKeyId": {"secret": "s3-id"},
        "s3a.secretKey": {"secret": key},
        "alluxio.underfs.s3.endpoint": endpoint or store.endpoint,
        "alluxio.underfs.s3.disable.dns.buckets": "true",
        "alluxio.underfs.s3.inherit.acl": "false",
    }


def put(cluster: LocalCluster, path: str, **body: Any) -> requests.Response:
    return requests.put(f"http://127.0.0.1:{cluster.first_port}/v1/mounts{path}", json=body, timeout=60)


def delete(cluster: LocalCluster, path: str) -> requests.Response:
    return requests.delete(f"http://127.0.0.1:{cluster.first_port}/v1/mounts{path}", timeout=60)


def asked(answer: requests.Response) -> Json:
    assert answer.status_code == 200, answer.text
    document: Json = answer.json()
    return document


def stands(cluster: LocalCluster, path: str, state: str = "mounted", **more: Any) -> Json:
    """What is said of the mount once it stands so."""

    def accept(found: Json) -> bool:
        return found["state"] == state and all(found[name] == value for name, value in more.items())

    return wait_until(lambda: cluster.ask(f"/v1/mounts{path}"), accept, f"{path} is {state} {more}")


def fails(cluster: LocalCluster, path: str, sentence: str) -> Json:
    """What is said of the mount once it is known why it fails: a store that is slow just then is another reason."""

    def accept(found: Json) -> bool:
        return found["state"] == "failing" and sentence in found["reason"]

    return wait_until(lambda: cluster.ask(f"/v1/mounts{path}"), accept, f"{path} fails: {sentence}")


def reads(cluster: LocalCluster, path: str) -> bytes:
    with cluster.files() as files:
        return files.read(path)


def writes(cluster: LocalCluster, path: str) -> None:
    with cluster.files() as files:
        files.write(path, WRITTEN, write_type=WriteType.CACHE_THROUGH)


def asks_to_persist(cluster: LocalCluster, path: str) -> None:
    url = f"http://127.0.0.1:{cluster.first_port}/v1/paths{path}"
    answer = requests.post(url, json={"operation": "persist"}, timeout=60)
    assert (answer.status_code, answer.json()["files"]) == (202, 1), answer.text


def is_persisted(cluster: LocalCluster, path: str) -> None:
    def word() -> str:
        with cluster.files() as files:
            return files.status(path).persistence

    wait_until(word, lambda found: found == "PERSISTED", f"{path} is persisted")


def gone(cluster: LocalCluster, path: str) -> None:
    def look() -> int:
        return requests.get(f"http://127.0.0.1:{cluster.first_port}/v1/mounts{path}", timeout=60).status_code

    wait_until(look, lambda status: status == 404, f"nothing is known of {path} any more")


def command(cluster: LocalCluster, *words: str) -> Outcome:
    return alluxio_mesos(*words, "--api", f"http://127.0.0.1:{cluster.first_port}")


def test_what_is_wanted_at_the_first_start_is_mounted(cluster: LocalCluster, shared: Path) -> None:
    found = stands(cluster, "/shared")
    assert (found["uri"], found["own"], found["mounted"]) == (str(shared), True, str(shared))
    assert reads(cluster, "/shared/note.txt") == b"a note\n"
    assert cluster.ask("/v1/mounts/")["path"] == "/"  # the root is shown, and can be changed by nobody
    assert put(cluster, "/", uri="/elsewhere").status_code == 422
    assert delete(cluster, "/").status_code == 422


def test_a_bucket_is_mounted_read_changed_and_unmounted(cluster: LocalCluster, store: S3Server) -> None:
    would = put(cluster, "/s3?dry_run=true", uri="s3://data/folder", options=options(store))
    assert (asked(would)["does"], cluster.ask("/v1/mounts")["mounts"][-1]["path"]) == ("mount", "/shared")
    done = put(cluster, "/s3", uri="s3://data/folder", options=options(store))
    assert asked(done)["does"] == "mount"
    stands(cluster, "/s3")
    assert reads(cluster, "/s3/hello.txt") == HELLO

    late = requests.put(
        f"http://127.0.0.1:{cluster.first_port}/v1/mounts/s3",
        json={"uri": "s3://data/folder"},
        headers={"If-Match": '"1"'},
        timeout=30,
    )
    assert late.status_code == 412

    changed = put(cluster, "/s3", uri="s3://data/folder", options=options(store), readonly=True, shared=True)
    assert asked(changed)["does"] == "update"
    stands(cluster, "/s3", readonly=True)
    table = {point.path: point for point in mount_table(cluster)}
    assert (table["/s3"].readonly, table["/s3"].shared) == (True, True)
    # The patience of the first try is not what stays.
    assert "alluxio.underfs.s3.socket.timeout" not in table["/s3"].options

    moved = put(cluster, "/s3", uri="s3://other/folder", options=options(store))
    assert asked(moved)["does"] == "replace"
    stands(cluster, "/s3", mounted="s3://other/folder")

    assert asked(delete(cluster, "/s3"))["does"] == "unmount"
    gone(cluster, "/s3")
    assert [point.path for point in mount_table(cluster)] == ["/", "/shared"]


def test_what_is_written_reaches_the_bucket(cluster: LocalCluster, store: S3Server) -> None:
    asked(put(cluster, "/kept", uri="s3://written", options=options(store)))
    stands(cluster, "/kept")
    writes(cluster, "/kept/through.txt")
    assert store.get("written", "through.txt") == WRITTEN
    with cluster.files() as files:
        files.write("/kept/later.txt", b"by the job service")
    persisted = command(cluster, "persist", "/kept")
    assert persisted.lines == ["1 file of /kept will be written to the under-storage"], persisted.error
    wait_until(lambda: store.get("written", "later.txt"), lambda found: found == b"by the job service", "it is there")
    asked(delete(cluster, "/kept"))
    gone(cluster, "/kept")


def test_hdfs_is_mounted_read_written_and_unmounted(cluster: LocalCluster, hdfs: HdfsServer) -> None:
    asked(put(cluster, "/hdfs", uri=f"{hdfs.uri}/open"))
    stands(cluster, "/hdfs")
    assert reads(cluster, "/hdfs/hello.txt") == HELLO_HDFS
    with cluster.files() as files:
        files.write("/hdfs/through.txt", WRITTEN, write_type=WriteType.CACHE_THROUGH)
        files.write("/hdfs/folder/later.txt", b"persisted\n", write_type=WriteType.MUST_CACHE)
        assert hdfs.read("/open/through.txt") == WRITTEN
        status = hdfs.status("/open/through.txt")
        assert (status["owner"], status["permission"]) == (HDFS_USER, "644")
        assert not hdfs.has("/open/folder/later.txt")
        asks_to_persist(cluster, "/hdfs/folder/later.txt")
        is_persisted(cluster, "/hdfs/folder/later.txt")
        assert hdfs.read("/open/folder/later.txt") == b"persisted\n"
        files.delete("/hdfs/through.txt")
        assert not hdfs.has("/open/through.txt")
    asked(delete(cluster, "/hdfs"))
    gone(cluster, "/hdfs")
    assert hdfs.read("/open/hello.txt") == HELLO_HDFS
    assert [point.path for point in mount_table(cluster)] == ["/", "/shared"]


def test_hdfs_of_several_namenodes_goes_by_the_name_of_all(cluster: LocalCluster, hdfs: HdfsServer) -> None:
    """The first of them is not there."""
    several = {
        "dfs.nameservices": "lakes",
        "dfs.ha.namenodes.lakes": "one,two",
        "dfs.namenode.rpc-address.lakes.one": "127.0.0.1:9",
        "dfs.namenode.rpc-address.lakes.two": hdfs.uri.removeprefix("hdfs://"),
        "dfs.client.failover.proxy.provider.lakes": (
            "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        ),
    }
    asked(put(cluster, "/several", uri="hdfs://lakes/open", options=several))
    stands(cluster, "/several")
    assert reads(cluster, "/several/hello.txt") == HELLO_HDFS
    asked(delete(cluster, "/several"))
    gone(cluster, "/several")


def test_a_namenode_in_safe_mode_is_read_and_what_is_persisted_waits(cluster: LocalCluster, hdfs: HdfsServer) -> None:
    hdfs.safe_mode("enter")
    try:
        asked(put(cluster, "/safe", uri=f"{hdfs.uri}/open"))
        stands(cluster, "/safe")
        assert reads(cluster, "/safe/hello.txt") == HELLO_HDFS
        with cluster.files() as files:
            with pytest.raises(AlluxioError, match="Name node is in safe mode"):
                files.write("/safe/through.txt", b"through\n", write_type=WriteType.THROUGH)
            files.write("/safe/waits.txt", b"waits\n", write_type=WriteType.MUST_CACHE)
        asks_to_persist(cluster, "/safe/waits.txt")
        assert not hdfs.has("/open/waits.txt")
    finally:
        hdfs.safe_mode("leave")
    is_persisted(cluster, "/safe/waits.txt")
    assert hdfs.read("/open/waits.txt") == b"waits\n"
    asked(delete(cluster, "/safe"))
    gone(cluster, "/safe")


def test_an_hdfs_folder_that_may_be_entered_but_not_listed_looks_empty_and_is_read_by_name(
    cluster: LocalCluster, hdfs: HdfsServer
) -> None:
    """As docs/mounts.md says: Alluxio tells nobody that HDFS refused the list."""
    asked(put(cluster, "/unlisted", uri=f"{hdfs.uri}/unlisted"))
    stands(cluster, "/unlisted")
    shown = cluster.ask("/v1/paths/unlisted?refresh=true")
    assert (shown["entries"], shown["owner"]) == ([], "somebody")
    assert reads(cluster, "/unlisted/hello.txt") == HELLO_HDFS
    asked(delete(cluster, "/unlisted"))
    gone(cluster, "/unlisted")


def test_what_hdfs_refuses_and_what_no_jar_brings_is_one_sentence(cluster: LocalCluster, hdfs: HdfsServer) -> None:
    shut = f"HDFS lets the user {HDFS_USER} not into /closed (EXECUTE): give that user the right"
    cases = (
        ("/h1", f"{hdfs.uri}/nothing", f"there is no folder {hdfs.uri}/nothing: make it in the store"),
        ("/h2", f"{hdfs.uri}/open/hello.txt", f"there is no folder {hdfs.uri}/open/hello.txt: make it in the store"),
        ("/h3", f"{hdfs.uri}/closed", shut),
        ("/h4", f"{hdfs.uri}/shut/deeper", shut.replace("/closed", "/shut")),
        ("/gs", "gs://bucket/x", "there is no under-storage for gs://bucket/x: name its jar"),
    )
    for path, uri, _ in cases:
        asked(put(cluster, path, uri=uri))
    for path, _, sentence in cases:
        fails(cluster, path, sentence)
    for path, _, _ in cases:
        asked(delete(cluster, path))
    for path, _, _ in cases:
        gone(cluster, path)


def test_an_under_storage_that_a_jar_brings_is_mounted_and_read(cluster: LocalCluster, store: S3Server) -> None:
    """OBS's client speaks S3 to whom does not answer as OBS does."""
    keys = {"fs.obs.accessKey": {"secret": "s3-id"}, "fs.obs.secretKey": {"secret": "s3-key"}}
    asked(put(cluster, "/obs", uri="obs://more/folder", options={**keys, "fs.obs.endpoint": store.endpoint}))
    stands(cluster, "/obs")
    assert reads(cluster, "/obs/hello.txt") == HELLO
    writes(cluster, "/obs/written.txt")
    assert store.get("more", "folder/written.txt") == WRITTEN
    asked(delete(cluster, "/obs"))
    gone(cluster, "/obs")


def test_the_commands_do_the_same(cluster: LocalCluster, store: S3Server) -> None:
    words = [f"{name}={value}" for name, value in options(store).items() if isinstance(value, str)]
    secrets = ("--secret", "s3a.accessKeyId=s3-id", "--secret", "s3a.secretKey=s3-key")
    made = command(cluster, "mount", "/told", "s3://other/folder", *words, *secrets, "--yes", "--wait")
    assert (made.code, made.lines) == (0, ["/told is mounted: s3://other/folder"]), made.error
    assert reads(cluster, "/told/hello.txt") == HELLO
    listed = command(cluster, "mounts")
    assert [line.split()[0] for line in listed.lines] == ["PATH", "/", "/shared", "/told"]
    ended = command(cluster, "unmount", "/told", "--yes", "--wait")
    assert ended.code == 0, ended.error
    assert [point.path for point in mount_table(cluster)] == ["/", "/shared"]


def mount_table(cluster: LocalCluster) -> tuple[Any, ...]:
    with cluster.masters() as masters:
        return mounts.table(masters) or ()


def test_a_scheduler_that_is_killed_in_between_goes_on(cluster: LocalCluster, store: S3Server) -> None:
    asked(put(cluster, "/killed", uri="s3://third/folder", options=options(store)))
    scheduler = cluster.parts()["scheduler"]
    scheduler.kill()
    scheduler.wait(60)
    outcome = cluster.up()
    assert outcome.code == 0, outcome.error
    found = stands(cluster, "/killed")
    assert found["own"] is True
    assert reads(cluster, "/killed/hello.txt") == HELLO
    asked(delete(cluster, "/killed"))
    gone(cluster, "/killed")


def test_a_store_that_is_away_does_not_keep_the_master_from_starting(cluster: LocalCluster, store: S3Server) -> None:
    asked(put(cluster, "/away", uri="s3://third/folder", options=options(store)))
    stands(cluster, "/away")
    store.stop()
    try:
        cluster.java("master-0", "alluxio.master.AlluxioMaster").kill()
        told = "started again, the master is ready"
        wait_until(
            lambda: cluster.tasks()["master-0"]["message"], lambda words: words.startswith("master exited"), told
        )
        wait_until(lambda: cluster.tasks()["master-0"]["message"], lambda words: words.startswith("ready"), told)
        # The worker has still to register with it.
        wait_until(lambda: reads(cluster, "/shared/note.txt"), lambda found: found == b"a note\n", "it is read")
    finally:
        store.start()
    assert reads(cluster, "/away/hello.txt") == HELLO
    asked(delete(cluster, "/away"))
    gone(cluster, "/away")


def test_what_somebody_else_mounted_is_left_alone(cluster: LocalCluster, tmp_path: Path, store: S3Server) -> None:
    (tmp_path / "mine").mkdir()
    mine = Mount("/mine", str(tmp_path / "mine"))
    with cluster.masters() as masters:
        assert mounts.make(masters, mine, {}) == ""
        assert stands(cluster, "/mine", "foreign")["own"] is False
        refused = put(cluster, "/mine", uri="s3://foreign/folder", options=options(store))
        assert refused.status_code == 422
        assert "somebody else mounted" in refused.text
        assert delete(cluster, "/mine").status_code == 422
        # One that is just as wanted is used as it is; nothing of it is undone with the wish.
        asked(put(cluster, "/mine", uri=mine.uri))
        assert stands(cluster, "/mine")["own"] is False
        assert asked(delete(cluster, "/mine"))["does"] == "leave"
        stands(cluster, "/mine", "foreign")
        assert "/mine" in {point.path for point in mounts.table(masters) or ()}
        assert mounts.unmount(masters, mine) == ""
    gone(cluster, "/mine")


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """It takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_what_only_alluxio_can_tell_is_one_sentence_and_leaves_the_others_alone(
    cluster: LocalCluster, store: S3Server
) -> None:
    with silent_server() as silent:
        for path, uri, given, sentence in (
            ("/b1", "s3://no-such-bucket", options(store), "there is no bucket no-such-bucket: make it"),
            ("/b2", "s3://no-such-bucket2/a", options(store), "there is no bucket no-such-bucket2: make it"),
            (
                "/b3",
                "s3://keys/folder",
                options(store, "s3-wrong"),
                "the store refuses these keys for s3://keys/folder",
            ),
            ("/b4", "s3://keys", options(store, "s3-wrong"), "the store refuses these keys for s3://keys"),
            ("/b5", "s3://keys/nothing", options(store), "there is no folder s3://keys/nothing: make it in the store"),
            ("/b6", "s3://keys", options(store, endpoint="http://127.0.0.1:9"), "nothing listens at 127.0.0.1:9"),
            (
                "/b7",
                "s3://keys",
                options(store, endpoint="http://nowhere.invalid"),
                "nobody knows the host nowhere.invalid",
            ),
            ("/b8", "s3://keys", options(store, endpoint=silent), "does not answer within 5 s"),
            ("/b9", "hdfs://127.0.0.1:9/x", {}, "nothing listens at localhost:9"),
            ("/no/folder", "s3://keys", options(store), "the folder around /no/folder is missing"),
        ):
            asked(put(cluster, path, uri=uri, options=given))
            assert "; it is tried again in " in fails(cluster, path, sentence)["reason"]
            assert stands(cluster, "/shared")["reason"] == ""
            steps = wait_until(
                lambda: {step["name"]: step for step in cluster.ask("/v1/plans/mounts")["phases"][0]["steps"]},
                lambda steps, path=path, sentence=sentence: (  # and not just tried again
                    steps[path]["status"] == "delayed" and sentence in steps[path]["message"]
                ),
                f"{path} waits for its next turn, as {sentence}",
            )
            assert steps["/shared"]["status"] == "ready"
            asked(delete(cluster, path))
            gone(cluster, path)
    assert reads(cluster, "/shared/note.txt") == b"a note\n"
    assert [point.path for point in mount_table(cluster)] == ["/", "/shared"]


def test_what_is_known_to_be_wrong_is_refused_at_once(cluster: LocalCluster, store: S3Server, shared: Path) -> None:
    for path, uri, given, sentence in (
        (
            "/shared/in",
            "s3://data",
            options(store),
            "path: /shared/in would lie in the mount /shared; mounts do not nest",
        ),
        ("/again", f"{shared}/deeper", {}, "overlaps with"),
        ("//double", "s3://data", options(store), "a part of it is empty"),
        ("/a/../b", "s3://data", options(store), "a part of it is empty"),
        ("/clear", "s3://data", {"s3a.secretKey": CREDENTIAL}, "s3a.secretKey is a credential"),
        ("/gone", "s3://data", options(store, "no-such"), "the secret no-such cannot be read from"),
    ):
        # As bytes that requests does not make normal.
        url = f"http://127.0.0.1:{cluster.first_port}/v1/mounts"
        session = requests.Session()
        prepared = session.prepare_request(requests.Request("PUT", url, json={"uri": uri, "options": given}))
        prepared.url = url + path
        refused = session.send(prepared, timeout=60)
        assert refused.status_code == 422, refused.text
        assert sentence in refused.json()["detail"]
        assert CREDENTIAL not in refused.text
    assert [mount["path"] for mount in cluster.ask("/v1/mounts")["mounts"]] == ["/", "/shared"]


def test_no_secret_is_said_anywhere(cluster: LocalCluster, store: S3Server) -> None:
    asked(put(cluster, "/hush", uri="s3://foreign", options=options(store)))
    stands(cluster, "/hush")
    wrong = {**options(store), "alluxio.underfs.s3.threads.max": "many"}
    asked(put(cluster, "/loud", uri="s3://third", options=wrong))  # Alluxio says all options in its error
    fails(cluster, "/loud", "Alluxio cannot open s3://third with these options")
    log = "/v1/tasks/master-0/log?lines=1000"
    trouble = "Unable to create an UnderFileSystem instance for path: s3://third"
    wait_until(lambda: cluster.text(log), lambda text: trouble in text, "the master's log tells of it")
    told = [
        cluster.text("/v1/mounts"),
        cluster.text("/v1/config"),
        cluster.text("/v1/plans"),
        cluster.text("/v1/dashboard"),
        cluster.text(log),
        requests.get(
            f"http://127.0.0.1:{cluster.first_port}/v1/events", headers={"Accept": "application/json"}, timeout=60
        ).text,
        *(log.read_text(errors="replace") for log in (cluster.directory / "logs").glob("scheduler*.log")),
    ]
    assert "s3-key" in told[0]
    assert trouble in told[4]
    assert 'value: "***"' in told[4]
    for text in told:
        assert CREDENTIAL not in text
    for path in ("/hush", "/loud"):
        asked(delete(cluster, path))
        gone(cluster, path)
