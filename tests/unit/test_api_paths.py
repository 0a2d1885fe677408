"""Paths in Alluxio's namespace over HTTP: what is asked, what is answered, and every kind of bad input."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, is_problem, serving
from fake_namespace import file
from framework.alluxio.files import AlluxioError
from framework.alluxio.paths import Impossible, LoadProgress, LoadState, Paths
from framework.api.paths import AT_ONCE, MOST_WANTED, percent
from framework.paths import NO_LIMIT, NO_TTL, Attributes, TtlAction, WantedPath


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


def said(api: Api, path: str, **body: Any) -> Any:
    return api.ask("PATCH", f"/v1/paths{path}", json=body)


def test_a_file_is_shown(api: Api) -> None:
    answer = api.get("/v1/paths/data/a")
    assert answer.status_code == 200
    assert answer.json() == {
        "path": "/data/a",
        "folder": False,
        "size_bytes": 3 << 20,
        "in_memory_percent": 50,
        "cached_percent": 100,
        "pinned": False,
        "ttl_seconds": None,
        "ttl_action": "free",
        "replication_min": 0,
        "replication_max": None,
        "persistence": "PERSISTED",
        "mount_point": False,
        "under_storage": "s3://bucket/data/a",
        "owner": "alice",
        "group": "staff",
        "modified_at": 1_700_000_000.0,
    }


@pytest.mark.parametrize("path", ["/v1/paths/data", "/v1/paths/data/", "/v1/paths/%2Fdata".replace("%2F", "")])
def test_a_folder_is_shown_page_by_page(api: Api, path: str) -> None:
    first = api.get(f"{path}?limit=2").json()
    assert ([entry["path"] for entry in first["entries"]], first["next"]) == (["/data/a", "/data/b"], "b")
    second = api.get(f"{path}?limit=2&after=b&refresh=true").json()
    assert ([entry["path"] for entry in second["entries"]], second["next"]) == (["/data/c d"], None)
    assert api.namespace.calls == [("entries", "/data", 2, "", False), ("entries", "/data", 2, "b", True)]


def test_the_root_and_encoded_names_are_paths_too(api: Api) -> None:
    assert [entry["path"] for entry in api.get("/v1/paths/").json()["entries"]] == ["/data"]
    assert api.get("/v1/paths/data/c%20d").json()["path"] == "/data/c d"
    assert api.get("/v1/paths/data%2Fa").json()["path"] == "/data/a"
    api.namespace.paths["/data/100%"] = file("/data/100%")
    assert api.get("/v1/paths/data/100%25").json()["path"] == "/data/100%"


def test_what_is_said_of_a_path_holds(api: Api) -> None:
    assert said(api, "/data/a", pinned=True).json()["pinned"] is True
    timed = said(api, "/data/a", ttl="7d", ttl_action="delete").json()
    assert (timed["ttl_seconds"], timed["ttl_action"], timed["pinned"]) == (7 * 86_400, "delete", True)
    assert said(api, "/data/a", ttl=None).json()["ttl_seconds"] is None
    copied = said(api, "/data/a", replication_min=2, replication_max=None).json()
    assert (copied["replication_min"], copied["replication_max"]) == (2, None)
    assert [call[2] for call in api.namespace.calls] == [
        Attributes(pinned=True),
        Attributes(ttl=7 * 86_400.0, ttl_action=TtlAction.DELETE),
        Attributes(ttl=NO_TTL),
        Attributes(replication_min=2, replication_max=NO_LIMIT),
    ]


def test_free_and_persist(api: Api) -> None:
    freed = api.ask("POST", "/v1/paths/data", json={"operation": "free", "force": True})
    assert (freed.status_code, freed.json()["message"]) == (200, "what is cached of /data is being freed")
    kept = api.ask("POST", "/v1/paths/data/b", json={"operation": "persist"})
    assert kept.status_code == 202
    assert kept.json() == {
        "path": "/data/b",
        "files": 1,
        "left": 0,
        "message": "1 file of /data/b will be written to the under-storage",
    }
    assert api.namespace.calls == [("free", "/data", True), ("persist", "/data/b")]


def test_a_load_is_begun_looked_at_and_stopped(api: Api) -> None:
    failures = (("/data/a", "the store is away"),)
    api.namespace.loads["/data"] = [
        LoadProgress("/data", LoadState.RUNNING),
        LoadProgress("/data", LoadState.RUNNING, 2, 50, 200),
        LoadProgress("/data", LoadState.FAILED, 2, 100, 200, 1, failures, "/data/a: the store is away"),
    ]
    begun = api.ask("POST", "/v1/loads/data", json={"verify": True})
    assert (begun.status_code, begun.json()["state"], begun.json()["percent"]) == (202, "running", 0)
    assert api.namespace.calls == [("load", "/data", True, True)]
    assert api.get("/v1/loads/data").json()["percent"] == 25
    ended = api.get("/v1/loads/data").json()
    assert (ended["state"], ended["percent"], ended["failed_files"]) == ("failed", 50, 1)
    assert ended["failures"] == [{"path": "/data/a", "reason": "the store is away"}]
    assert api.ask("DELETE", "/v1/loads/data").json()["path"] == "/data"
    assert is_problem(api.ask("DELETE", "/v1/loads/data"), 404, "no load of /data is running")
    assert is_problem(api.get("/v1/loads/data"), 404, "nobody has asked for a load of /data")


def test_a_hundred_per_cent_is_done_and_nothing_else_is() -> None:
    assert percent(LoadProgress("/", LoadState.DONE)) == 100
    assert percent(LoadProgress("/", LoadState.RUNNING, 1, 200, 200)) == 99
    assert percent(LoadProgress("/", LoadState.RUNNING, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/v1/paths/nothing", None, 404, "/nothing does not exist"),
        ("GET", "/v1/paths/data//a", None, 400, "is no path"),
        ("GET", "/v1/paths/data/%2E%2E/a", None, 400, "is no path"),
        ("GET", "/v1/paths/a%00b", None, 400, "is no path"),
        ("GET", "/v1/paths/data?limit=0", None, 400, "limit: '0' is not allowed; give a whole number from 1 to 10000"),
        ("GET", "/v1/paths/data?limit=many", None, 400, "limit: 'many' is not allowed"),
        ("GET", "/v1/paths/data?after=a%00", None, 400, "after: 'a\\x00' is not allowed; give the name of an entry"),
        ("GET", "/v1/paths/data?refresh=1", None, 400, "refresh: '1' is not allowed; give true or false"),
        ("GET", "/v1/paths/data?depth=1", None, 400, "there is no query parameter 'depth'"),
        ("PATCH", "/v1/paths/nothing", {"pinned": True}, 404, "/nothing does not exist"),
        ("PATCH", "/v1/paths/data", {"ttl": -1}, 422, "ttl: -1 is not allowed; give a time"),
        ("PATCH", "/v1/paths/data", {"replication_min": 3, "replication_max": 2}, 422, "is more than"),
        ("PATCH", "/v1/paths/data", {"color": 1}, 422, "there is no field 'color'"),
        ("PATCH", "/v1/paths/data", {}, 422, "nothing is said of the path"),
        ("POST", "/v1/paths/data", {"operation": "burn"}, 422, "operation: 'burn' is not allowed; choose one of free"),
        ("POST", "/v1/paths/data", {}, 422, "the field 'operation' is missing"),
        ("POST", "/v1/paths/data", {"operation": "free", "force": 1}, 422, "force: 1 is not allowed"),
        ("POST", "/v1/paths/data", {"operation": "persist", "force": True}, 422, "force: it goes with free alone"),
        ("POST", "/v1/loads/nothing", {}, 404, "/nothing does not exist"),
        ("POST", "/v1/loads/data", {"bandwidth": "5MB"}, 422, "there is no field 'bandwidth'"),
        ("POST", "/v1/loads/data", {"refresh": 0}, 422, "refresh: 0 is not allowed; give true or false"),
        ("POST", "/v1/loads/data", {"verify": "yes"}, 422, "verify: 'yes' is not allowed"),
    ],
)
def test_each_mistake_has_its_sentence(api: Api, method: str, path: str, body: Any, status: int, detail: str) -> None:
    given = {} if body is None else {"json": body}
    assert is_problem(api.ask(method, path, **given), status, detail)
    assert [call for call in api.namespace.calls if call[0] not in ("set", "load")] == []


def test_where_nobody_can_be_asked_a_client_is_told_to_come_again(api: Api) -> None:
    api.namespace.away = "127.0.0.11:31000 is up but not the primary master"
    for method, path, body in (
        ("GET", "/v1/paths/data", None),
        ("PATCH", "/v1/paths/data", {"pinned": True}),
        ("POST", "/v1/paths/data", {"operation": "free"}),
        ("POST", "/v1/loads/data", {}),
    ):
        answer = api.ask(method, path, **({} if body is None else {"json": body}))
        assert is_problem(
            answer,
            503,
            "Alluxio cannot be asked at this moment: 127.0.0.11:31000 is up but not the primary master; ask again soon",
        )
        assert answer.headers["retry-after"] == "2"


def test_what_alluxio_refuses_is_a_conflict_with_its_reason(api: Api) -> None:
    api.namespace.refusal = AlluxioError("/data/b is held by the cache alone, and freeing would lose it; persist it")
    answer = api.ask("POST", "/v1/paths/data/b", json={"operation": "free"})
    assert is_problem(answer, 409, "freeing would lose it; persist it")


def test_what_can_never_be_so_is_the_callers_mistake(api: Api) -> None:
    api.namespace.refusal = Impossible("/data/b is on the mount /data, which is read-only")
    answer = api.ask("PATCH", "/v1/paths/data/b", json={"ttl": "1h", "ttl_action": "delete"})
    assert is_problem(answer, 422, "/data/b is on the mount /data, which is read-only")


def test_before_there_is_a_master_that_is_said() -> None:
    paths = Paths(tuple)
    with pytest.raises(Exception, match="no Alluxio master is there yet"):
        paths.status("/")
    paths.close()


def test_slow_answers_hold_up_nobody_who_asks_for_something_else(api: Api) -> None:
    """More questions than there are threads, and none is answered."""
    silent = threading.Event()
    ask = api.namespace.status

    def waits(path: str) -> Any:
        assert silent.wait(60)
        return ask(path)

    api.namespace.status = waits  # type: ignore[method-assign]
    answers: list[int] = []
    asking = [
        threading.Thread(target=lambda: answers.append(api.get("/v1/paths/data").status_code))
        for _ in range(AT_ONCE * 6)
    ]
    for thread in asking:
        thread.start()
    try:
        assert api.get("/v1/status").status_code == 200
    finally:
        silent.set()
        for thread in asking:
            thread.join()
    assert answers == [200] * len(asking)


# What is wanted for good ----------------------------------------------------------------------------------------------


def test_something_is_wanted_of_a_path_whether_it_is_there_or_not(api: Api) -> None:
    assert api.get("/v1/paths").json() == {"paths": []}
    made = api.ask("PUT", "/v1/paths/later/data", json={"pinned": True, "ttl": "7d"})
    later = {
        "path": "/later/data",
        "wanted": {"pinned": True, "ttl_seconds": 604_800, "ttl_action": "free"},
        "reason": "nobody has looked yet",
    }
    assert (made.status_code, made.json()) == (200, later)
    assert api.ask("PUT", "/v1/paths/a", json={"replication_min": 2, "replication_max": None}).status_code == 200
    assert api.state.paths == (
        WantedPath("/a", Attributes(replication_min=2, replication_max=NO_LIMIT)),
        WantedPath("/later/data", Attributes(pinned=True, ttl=604_800.0)),
    )
    api.standing_of_paths = {"/a": "", "/later/data": "it is not there yet"}
    assert [one["reason"] for one in api.get("/v1/paths").json()["paths"]] == ["", "it is not there yet"]
    # In the place of what was wanted before.
    assert api.ask("PUT", "/v1/paths/a", json={"pinned": False}).json()["wanted"] == {"pinned": False}
    gone = api.ask("DELETE", "/v1/paths/later/data")
    assert gone.json()["message"] == "nothing is wanted of /later/data any more; it stays as it is"
    assert [one.path for one in api.state.paths] == ["/a"]
    assert is_problem(api.ask("DELETE", "/v1/paths/later/data"), 404, "nothing is wanted of /later/data; GET /v1/paths")
    assert api.namespace.calls == []


def test_bad_wishes_are_refused(api: Api) -> None:
    for body, sentence in (
        ({"ttl": -1}, "ttl: -1 is not allowed"),
        ({"replication_min": 3, "replication_max": 1}, "is more than replication_max: 1"),
        ({}, "nothing is said of the path"),
    ):
        assert is_problem(api.ask("PUT", "/v1/paths/data", json=body), 422, sentence)
    api.state = dataclasses.replace(
        api.state, paths=tuple(WantedPath(f"/{number:04}", Attributes(pinned=True)) for number in range(MOST_WANTED))
    )
    answer = api.ask("PUT", "/v1/paths/one/more", json={"pinned": True})
    assert is_problem(answer, 422, "of 1000 paths with 200000 characters in all something may be wanted at most")
    assert api.ask("PUT", "/v1/paths/0001", json={"pinned": False}).status_code == 200
