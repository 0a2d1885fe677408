"""What is asked of Alluxio about paths, word for word, and what its answers and refusals mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from api_stage import seconds_of
from framework.alluxio.answers import Kind, Unavailable
from framework.alluxio.files import AlluxioAway, AlluxioError
from framework.alluxio.load_request import load_request
from framework.alluxio.methods import (
    FREE,
    GET_JOB_PROGRESS,
    GET_MOUNT_TABLE,
    GET_STATUS,
    LIST_STATUS,
    LIST_STATUS_PARTIAL,
    PERSIST,
    SET_ATTRIBUTE,
    STOP_JOB,
    SUBMIT_JOB,
)
from framework.alluxio.paths import (
    SETTLED,
    Impossible,
    LoadProgress,
    LoadState,
    PathAbsent,
    Paths,
    failed,
    loading,
    refused,
)
from framework.alluxio.stubs import block_master_pb2 as block
from framework.alluxio.stubs import common_pb2 as common
from framework.alluxio.stubs import file_system_master_pb2 as protocol
from framework.paths import NO_LIMIT, NO_TTL, Attributes, TtlAction

Serve = Callable[..., Any]
# The under-storage is not looked at again, and no life is said.
NOT_AGAIN = protocol.FileSystemMasterCommonPOptions(syncIntervalMs=-1)


def info(path: str, **more: Any) -> protocol.FileInfo:
    given = {"folder": False, "completed": True, "persistenceState": "PERSISTED", "ttl": -1, "replicationMax": -1}
    return protocol.FileInfo(path=path, **{**given, **more})


def status(path: str = "/data", **more: Any) -> protocol.GetStatusPResponse:
    return protocol.GetStatusPResponse(fileInfo=info(path, **more))


def served(serve: Serve, answers: dict[Any, Any], **more: Any) -> tuple[Any, Paths]:
    server = serve(answers={GET_STATUS: status(folder=True), **answers}, **more)
    return server, Paths(lambda: (server.address,))


def asked(server: Any, name: str) -> list[Any]:
    return [request for called, request in server.asked if called == name]


def test_every_question_says_that_what_it_finds_lives_for_ever(serve: Serve) -> None:
    """Left out it is 0 to Alluxio: found and deleted, from the under-storage too."""
    page = protocol.ListStatusPartialPResponse(fileInfos=[info("/data/a")], isTruncated=True)
    done = {
        LIST_STATUS_PARTIAL: page,
        LIST_STATUS: (protocol.ListStatusPResponse(),),
        SET_ATTRIBUTE: protocol.SetAttributePResponse(),
        FREE: protocol.FreePResponse(),
        PERSIST: protocol.ScheduleAsyncPersistencePResponse(),
    }
    server, paths = served(serve, done)
    entries, more = paths.entries("/data", 1, "0", refresh=True)
    assert ([entry.path for entry in entries], more) == (["/data/a"], True)
    paths.set("/data", Attributes(pinned=True))
    paths.free("/data")
    paths.persist("/data")
    paths.close()
    found = [request.options for called, request in server.asked if called != "SetAttribute"]
    options = [getattr(one, "options", one) for one in found]
    lives = [one.commonOptions for one in options]
    expected = protocol.FileSystemMasterCommonPOptions(ttl=-1, ttlAction=common.FREE, syncIntervalMs=-1)
    assert lives == [expected] * len(lives)
    assert len(lives) >= 7
    (partial,) = asked(server, "ListStatusPartial")
    assert (partial.options.batchSize, partial.options.startAfter) == (1, "0")
    assert partial.options.options.loadMetadataType == protocol.ALWAYS
    # What is said of a path must not say how long it lives when it was not asked to.
    (change,) = asked(server, "SetAttribute")
    assert change.options == protocol.SetAttributePOptions(pinned=True, recursive=True, commonOptions=NOT_AGAIN)


def test_the_status_is_read(serve: Serve) -> None:
    found = status(
        "/data/a",
        length=5,
        inMemoryPercentage=40,
        inAlluxioPercentage=60,
        pinned=True,
        ttl=90_000,
        ttlAction=common.DELETE,
        replicationMin=1,
        replicationMax=3,
        ufsPath="s3://b/a",
        lastModificationTimeMs=1500,
    )
    server, paths = served(serve, {GET_STATUS: found})
    one = paths.status("/data/a")
    paths.close()
    assert (one.size, one.in_memory_percent, one.in_alluxio_percent, one.pinned) == (5, 40, 60, True)
    assert (one.ttl, one.ttl_action, one.replication_min, one.replication_max) == (90.0, TtlAction.DELETE, 1, 3)
    assert (one.under_storage, one.modified_at, one.name, one.folder) == ("s3://b/a", 1.5, "a", False)
    (request,) = asked(server, "GetStatus")
    assert request.options.loadMetadataType == protocol.ONCE


def test_a_folder_has_no_size_and_no_limit_of_copies(serve: Serve) -> None:
    """Alluxio gives its number of entries as its length, and 0 as the most copies."""
    _, paths = served(serve, {GET_STATUS: status(folder=True, length=7, replicationMax=0)})
    one = paths.status("/data")
    paths.close()
    assert (one.size, one.ttl, one.replication_max) == (0, None, None)


@pytest.mark.parametrize(
    ("attributes", "options"),
    [
        (Attributes(pinned=False), {"pinned": False}),
        (Attributes(replication_min=2, replication_max=3), {"replicationMin": 2, "replicationMax": 3}),
        (Attributes(replication_max=NO_LIMIT), {"replicationMax": -1}),
    ],
)
def test_what_is_said_of_a_file(serve: Serve, attributes: Attributes, options: dict[str, Any]) -> None:
    server, paths = served(serve, {GET_STATUS: status(), SET_ATTRIBUTE: protocol.SetAttributePResponse()})
    paths.set("/data", attributes)
    paths.close()
    (request,) = asked(server, "SetAttribute")
    assert request.options == protocol.SetAttributePOptions(recursive=False, commonOptions=NOT_AGAIN, **options)


@pytest.mark.parametrize(
    ("attributes", "ttl", "action"),
    [
        (Attributes(ttl=90.5), 90_500, common.FREE),
        (Attributes(ttl=60.0, ttl_action=TtlAction.DELETE), 60_000, common.DELETE),
        (Attributes(ttl=NO_TTL), -1, common.FREE),
    ],
)
def test_how_long_it_lives(serve: Serve, attributes: Attributes, ttl: int, action: int) -> None:
    answers = {
        GET_STATUS: status(),
        SET_ATTRIBUTE: protocol.SetAttributePResponse(),
        GET_MOUNT_TABLE: protocol.GetMountTablePResponse(),
    }
    server, paths = served(serve, answers)
    paths.set("/data", attributes)
    paths.close()
    (request,) = asked(server, "SetAttribute")
    options = request.options.commonOptions
    assert (options.ttl, options.ttlAction, options.syncIntervalMs) == (ttl, action, -1)


def test_nothing_is_deleted_on_a_read_only_mount(serve: Serve) -> None:
    table = protocol.GetMountTablePResponse()
    table.mountPoints["/data"].readOnly = True
    table.mountPoints["/"].readOnly = False
    answers = {GET_STATUS: status("/data/a"), GET_MOUNT_TABLE: table, SET_ATTRIBUTE: protocol.SetAttributePResponse()}
    server, paths = served(serve, answers)
    with pytest.raises(Impossible, match="/data/a is on the mount /data, which is read-only: nothing can be deleted"):
        paths.set("/data/a", Attributes(ttl=60.0, ttl_action=TtlAction.DELETE))
    assert asked(server, "SetAttribute") == []
    paths.set("/data/a", Attributes(ttl=60.0))
    paths.set("/data/a", Attributes(pinned=True))
    paths.close()
    assert len(asked(server, "SetAttribute")) == 2


def test_the_least_copies_are_not_more_than_the_most_that_hold_already(serve: Serve) -> None:
    server, paths = served(
        serve, {GET_STATUS: status(replicationMax=2), SET_ATTRIBUTE: protocol.SetAttributePResponse()}
    )
    with pytest.raises(Impossible, match="/data would have replication_min 3 and replication_max 2: the least must"):
        paths.set("/data", Attributes(replication_min=3))
    paths.set("/data", Attributes(replication_min=3, replication_max=NO_LIMIT))
    paths.close()
    assert len(asked(server, "SetAttribute")) == 1


@pytest.mark.parametrize(
    ("refused", "forced", "sentence"),
    [
        (info("/data/b", pinned=True), False, "/data/b is pinned; unpin it first, or free it by force"),
        (info("/data/b", persistenceState="TO_BE_PERSISTED"), True, "/data/b is held by the cache alone, and freeing"),
    ],
)
def test_nothing_is_freed_when_a_part_of_it_cannot_be(
    serve: Serve, refused: protocol.FileInfo, forced: bool, sentence: str
) -> None:
    """Alluxio frees what comes before it."""
    folder = info("/data/folder", folder=True, pinned=True, persistenceState="NOT_PERSISTED")
    files = protocol.ListStatusPResponse(fileInfos=[info("/data/a"), folder, refused])
    server, paths = served(serve, {LIST_STATUS: (files,), FREE: protocol.FreePResponse()})
    with pytest.raises(AlluxioError, match=sentence):
        paths.free("/data", forced=forced)
    assert asked(server, "Free") == []
    server.answers[LIST_STATUS] = (protocol.ListStatusPResponse(fileInfos=[info("/data/a"), folder]),)
    paths.free("/data", forced=forced)
    paths.close()
    assert [request.options.forced for request in asked(server, "Free")] == [forced]


def test_only_what_the_cache_alone_holds_is_persisted(serve: Serve) -> None:
    """A file that is persisted would be written once more."""
    files = protocol.ListStatusPResponse(
        fileInfos=[
            info("/data/there"),
            info("/data/here", persistenceState="NOT_PERSISTED"),
            info("/data/open", persistenceState="NOT_PERSISTED", completed=False),
            info("/data/asked", persistenceState="TO_BE_PERSISTED"),
            info("/data/folder", persistenceState="NOT_PERSISTED", folder=True),
        ]
    )
    server, paths = served(serve, {LIST_STATUS: (files,), PERSIST: protocol.ScheduleAsyncPersistencePResponse()})
    assert paths.persist("/data") == (1, 0)
    paths.close()
    assert [request.path for request in asked(server, "ScheduleAsyncPersistence")] == ["/data/here"]


def test_what_was_absent_once_is_looked_for_again(serve: Serve) -> None:
    """Alluxio remembers what was absent, and says so of what has come since."""

    def look(request: protocol.GetStatusPRequest) -> Any:
        if request.options.loadMetadataType != protocol.ALWAYS:
            return grpc.StatusCode.NOT_FOUND, 'Path "/data" does not exist.'
        return status(length=5)

    _, paths = served(serve, {GET_STATUS: look})
    assert paths.status("/data").size == 5
    paths.close()


# Loads ----------------------------------------------------------------------------------------------------------------


def test_a_load_is_asked_for_in_javas_own_form() -> None:
    """As Alluxio's own classes read it (tests/integration does the same with the real ones)."""
    content = load_request("/data/ä", protocol.LoadJobPOptions(verify=True))
    assert content.startswith(b"\xac\xed\x00\x05sr\x00\x1aalluxio.job.LoadJobRequest\xc7\x16\xbc\xd5[b~7\x02\x00\x02L")
    assert content.endswith(b"\x00\x00\x00\x02\x10\x01pt\x00\x1calluxio.grpc.LoadJobPOptionst\x00\x08/data/\xc3\xa4")


def test_java_writes_what_is_beyond_16_bits_as_surrogates() -> None:
    assert load_request("/\N{WATER WAVE}", protocol.LoadJobPOptions()).endswith(b"t\x00\x07/\xed\xa0\xbc\xed\xbc\x8a")
    with pytest.raises(ValueError, match="at most 65535"):
        load_request("/" + "ä" * 40_000, protocol.LoadJobPOptions())


def test_a_load_needs_a_worker(serve: Serve) -> None:
    submitted = protocol.SubmitJobPResponse(jobId="1")
    server, paths = served(
        serve,
        {
            SUBMIT_JOB: submitted,
            LIST_STATUS: (protocol.ListStatusPResponse(),),
            GET_JOB_PROGRESS: (grpc.StatusCode.NOT_FOUND, "JobDescription{Path=/data, Type=load} cannot be found."),
        },
    )
    with pytest.raises(AlluxioAway, match="no worker is live that could load /data"):
        paths.load("/data")
    assert asked(server, "submitJob") == []
    server.workers = (block.WorkerInfo(id=1, state="ACTIVE"),)
    assert paths.load("/data", verify=True) is True
    paths.close()
    # A load takes what is in the namespace, and no more.
    (listing,) = asked(server, "ListStatus")
    assert (listing.options.recursive, listing.options.loadMetadataType) == (True, protocol.ALWAYS)
    (request,) = asked(server, "submitJob")
    assert request.request_body == load_request("/data", protocol.LoadJobPOptions(verify=True, partialListing=False))


def test_a_load_that_ended_just_now_is_put_away_before_the_next_one(serve: Serve) -> None:
    """Else Alluxio puts the next one away with it, which then never ends."""
    answers = {
        GET_STATUS: status(),
        SUBMIT_JOB: protocol.SubmitJobPResponse(),
        GET_JOB_PROGRESS: protocol.GetJobProgressPResponse(progressReport=RUNNING % "SUCCEEDED"),
    }
    _, paths = served(serve, answers, workers=(block.WorkerInfo(id=1, state="ACTIVE"),))
    assert seconds_of(lambda: paths.load("/data")) >= SETTLED
    paths.close()


def test_a_load_of_what_is_not_there_is_not_begun(serve: Serve) -> None:
    """Alluxio would begin it, and have it fail."""
    missing = (grpc.StatusCode.NOT_FOUND, 'Path "/data" does not exist.')
    server, paths = served(serve, {GET_STATUS: missing, SUBMIT_JOB: protocol.SubmitJobPResponse(jobId="1")})
    with pytest.raises(PathAbsent, match="/data does not exist, neither in Alluxio nor in what is mounted there"):
        paths.load("/data")
    paths.close()
    assert asked(server, "submitJob") == []


RUNNING = (
    '{"mVerbose":true,"mJobState":"%s","mVerificationEnabled":false,"mProcessedFileCount":9,"mLoadedByteCount":7,'
    '"mTotalByteCount":5244900,"mThroughput":0,"mFailurePercentage":0.0,"mFailedFileCount":0}'
)
BROKEN = (
    '{"mVerbose":true,"mJobState":"SUCCEEDED","mProcessedFileCount":1,"mLoadedByteCount":0,"mTotalByteCount":1000,'
    '"mFailurePercentage":100.0,"mFailedFileCount":1,"mFailedFilesWithReasons":{"/s/gone":"Status code: 5"}}'
)
FAILED = (
    "\tSettings:\tbandwidth: unlimited\tverify: true\n"
    '\tJob State: FAILED (alluxio.exception.runtime.NotFoundRuntimeException: Path "/nope" does not exist.)\n'
    "\t\talluxio.master.job.FileIterable.iterator(FileIterable.java:75)\n\tFiles Processed: 3\n"
)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("RUNNING", LoadState.RUNNING),
        ("VERIFYING", LoadState.RUNNING),
        ("SUCCEEDED", LoadState.DONE),
        ("STOPPED", LoadState.STOPPED),
    ],
)
def test_how_far_a_load_is(word: str, state: LoadState) -> None:
    assert loading("/data", RUNNING % word) == LoadProgress("/data", state, 9, 7, 5_244_900)


def test_before_the_first_file_is_found_no_total_is_known() -> None:
    assert loading("/data", '{"mJobState":"RUNNING"}') == LoadProgress("/data", LoadState.RUNNING)


def test_a_load_with_files_that_failed_has_failed_whatever_alluxio_calls_it() -> None:
    assert loading("/data", BROKEN) == LoadProgress(
        "/data",
        LoadState.FAILED,
        *(1, 0, 1000, 1),
        failures=(("/s/gone", "Status code: 5"),),
        reason="/s/gone: Status code: 5",
    )
    # As Alluxio 2.9.6 says it where the S3 server has ended.
    away = "message: Unable to execute HTTP request: Connect to 127.0.0.1:9 [/127.0.0.1] failed: Connection refused"
    assert loading("/data", BROKEN.replace("Status code: 5", f"Status code: 2, {away}")).reason == (
        "/s/gone: nothing listens at 127.0.0.1:9, where the store of /data should: correct the endpoint, or start it"
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            "Status code: 8, message: Not enough direct memory allocated to buffer",
            "a worker has no direct memory left for a block of it: raise worker-direct, and load again",
        ),
        (
            "Status code: 4, message: time out after waiting for 15000 MILLISECONDS",
            "the under-storage did not give a whole block in 15 s: load again, which goes on where it was",
        ),
        (
            "Status code: 8, message: Failed to free 38797312 bytes space at location . Min contiguous requested: "
            "38797312, Min available requested: 38797312, Blocks iterated: 0, Blocks removed: 0, Space freed: 0",
            "a worker has no room for a block of it, as what it holds is pinned or in use at this moment: load again, "
            "which goes on where it was; where that does not help, unpin something or raise worker-ram",
        ),
        (
            "Status code: 6, message: Temp blockId 167772160 is not available, because it is already committed",
            "a worker was reading a block of it already, for somebody else or as it is pinned: load again, which goes "
            "on where it was",
        ),
        ("Status code: 5, message: it is gone", "it is gone"),
        ("Status code: 5", "Status code: 5"),
    ],
)
def test_why_a_file_was_not_loaded(said: str, meant: str) -> None:
    assert loading("/data", BROKEN.replace("Status code: 5", said)).failures == (("/s/gone", meant),)


def test_a_load_that_failed_as_a_whole_is_asked_for_in_words(serve: Serve) -> None:
    """Alluxio 2.9.6 cannot write its reason as JSON."""

    def report(request: protocol.GetJobProgressPRequest) -> Any:
        if request.options.format == protocol.JSON:
            return grpc.StatusCode.INTERNAL, "Failed to convert LoadProgressReport to JSON"
        return protocol.GetJobProgressPResponse(progressReport=FAILED)

    _, paths = served(serve, {GET_JOB_PROGRESS: report})
    assert paths.load_progress("/nope") == LoadProgress(
        "/nope", LoadState.FAILED, files=3, reason='Path "/nope" does not exist'
    )
    paths.close()
    assert failed("/nope", "nothing").reason == "Alluxio does not say why"


def test_a_load_is_stopped(serve: Serve) -> None:
    server, paths = served(serve, {STOP_JOB: protocol.StopJobPResponse(jobStopped=True)})
    assert paths.stop_load("/data") is True
    paths.close()
    (request,) = asked(server, "StopJob")
    assert (request.jobDescription.type, request.jobDescription.path) == ("load", "/data")


# What Alluxio refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        ('Path "/x" does not exist.', PathAbsent, "/x does not exist, neither in Alluxio nor in what is mounted there"),
        (
            "JobDescription{Path=/x, Type=load} cannot be found.",
            PathAbsent,
            "nobody has asked for a load of /data, or it is long over",
        ),
        (
            "Traversal failed for path /data/file/x. Component 2(file) is a file, not a directory",
            PathAbsent,
            "/data does not exist: file, on the way to it, is a file",
        ),
        (
            "Cannot free file /x which is not persisted",
            AlluxioError,
            "/x is held by the cache alone, and freeing would lose it; persist it first",
        ),
        (
            "Cannot free file /x which is pinned. Please unpin it first",
            AlluxioError,
            "/x is pinned; unpin it first, or free it by force",
        ),
        (
            "Cannot set min and max replication to be 3 and 1: min replication must be smaller or equal than max",
            Impossible,
            "a file of /data would have replication_min 3 and replication_max 1: the least must not be more than the "
            "most; give both",
        ),
        (
            "Too many jobs running, please submit later.",
            AlluxioAway,
            "as many loads are running as Alluxio takes; ask again when one is done",
        ),
        ("/data/403 Forbidden", AlluxioError, "Alluxio refuses this for /data: /data/403 Forbidden"),
        ("The bucket is away.", AlluxioError, "Alluxio refuses this for /data: The bucket is away"),
    ],
)
def test_each_refusal_has_its_sentence(words: str, kind: type[AlluxioError], sentence: str) -> None:
    found = refused("/data", Unavailable("m:1", f"m:1 answered X: {words}", Kind.ERROR, "X", words))
    assert (type(found), str(found)) == (kind, sentence)


def test_where_nobody_is_the_primary_it_may_pass(serve: Serve) -> None:
    server = serve(primary=False)
    paths = Paths(lambda: (server.address,))
    with pytest.raises(AlluxioAway, match=r"is up but not the primary master$"):
        paths.status("/data")
    paths.close()


def test_other_masters_are_asked_once_they_are_known(serve: Serve) -> None:
    first, second = (serve(answers={GET_STATUS: status(length=size)}) for size in (1, 2))
    known = [first.address]
    paths = Paths(lambda: known)
    assert paths.status("/data").size == 1
    known[:] = [second.address]
    assert paths.status("/data").size == 2
    paths.close()
