"""Mounts over HTTP: what is asked, what is answered, and every kind of bad input."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, is_problem, serving
from framework.model import CacheReport, MountPoint, MountRecord
from framework.namespace import MARK

KEYS = {"s3a.accessKeyId": {"secret": "id"}, "s3a.secretKey": {"secret": "key"}}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        alluxio(made, MountPoint("/", "/d"))
        yield made


def alluxio(api: Api, *points: MountPoint) -> None:
    api.state = dataclasses.replace(api.state, cache=CacheReport("m:1", "", at=1.0, mounts=points))


def put(api: Api, path: str, body: Any, query: str = "", **headers: str) -> Any:
    return api.ask("PUT", f"/v1/mounts{path}{query}", json=body, headers=headers)


def test_the_root_is_shown_and_stays(api: Api) -> None:
    root = {
        "path": "/",
        "uri": "/d",
        "options": {},
        "readonly": False,
        "shared": False,
        "wanted": True,
        "own": False,
        "mounted": "/d",
        "state": "mounted",
        "reason": "",
    }
    assert api.get("/v1/mounts").json() == {"mounts": [root]}
    assert api.get("/v1/mounts/").json() == root
    assert is_problem(put(api, "/", {"uri": "s3://b"}), 422, "the root is what --under-storage says")
    assert is_problem(api.ask("DELETE", "/v1/mounts/"), 422, "the root stays for the life of the service")


def test_a_mount_is_asked_for_changed_and_let_go(api: Api) -> None:
    made = put(api, "/data/s3", {"uri": "s3://b/x", "options": KEYS})
    assert (made.status_code, made.headers["etag"]) == (200, '"1"')
    assert (made.json()["does"], made.json()["before"], made.json()["number"]) == ("mount", None, 1)
    shown = api.get("/v1/mounts/data/s3").json()
    assert (shown["options"], shown["wanted"], shown["own"], shown["mounted"]) == (KEYS, True, False, None)
    assert (shown["state"], shown["reason"]) == ("making", "Alluxio is asked for it")
    assert put(api, "/data/s3", {"uri": "s3://b/x", "options": KEYS}).json()["does"] == "nothing"
    changed = put(api, "/data/s3", {"uri": "s3a://b/x/", "options": KEYS, "readonly": True})
    assert (changed.json()["does"], changed.headers["etag"]) == ("update", '"2"')
    assert put(api, "/data/s3", {"uri": "s3://c"}).json()["does"] == "replace"
    gone = api.ask("DELETE", "/v1/mounts/data/s3")
    assert (gone.json()["does"], gone.json()["after"], gone.headers["etag"]) == ("unmount", None, '"4"')
    assert [entry["changes"] for entry in api.get("/v1/config").json()["history"]][1:] == [
        ["/data/s3 is s3a://b/x/, mounted with other options"],
        ["/data/s3 is s3://c, in the place of s3a://b/x/"],
        ["/data/s3 is mounted no more"],
    ]
    assert is_problem(api.get("/v1/mounts/data/s3"), 404, "nothing is mounted at '/data/s3', nor wanted there")
    assert is_problem(api.ask("DELETE", "/v1/mounts/data/s3"), 404, "nothing is wanted at '/data/s3'")


def test_a_dry_run_and_another_version_change_nothing(api: Api) -> None:
    would = put(api, "/s3", {"uri": "s3://b"}, "?dry_run=true")
    assert (would.json()["dry_run"], would.json()["does"]) == (True, "mount")
    assert is_problem(put(api, "/s3", {"uri": "s3://b"}, **{"If-Match": '"7"'}), 412, "is not the version that holds")
    assert [mount["path"] for mount in api.get("/v1/mounts").json()["mounts"]] == ["/"]
    put(api, "/s3", {"uri": "s3://b"})
    assert api.ask("DELETE", "/v1/mounts/s3?dry_run=true").json()["dry_run"] is True
    assert is_problem(api.ask("DELETE", "/v1/mounts/s3", headers={"If-Match": '"7"'}), 412, "is not the version")
    assert api.get("/v1/mounts/s3").json()["wanted"] is True


def test_what_others_mounted_is_shown_and_left(api: Api) -> None:
    alluxio(api, MountPoint("/", "/d"), MountPoint("/o", "s3://o", {"a.token": "visible", "b": "1"}))
    shown = api.get("/v1/mounts/o").json()
    assert (shown["state"], shown["own"], shown["wanted"]) == ("foreign", False, False)
    assert shown["options"] == {"a.token": "******", "b": "1"}
    assert is_problem(put(api, "/o", {"uri": "s3://b"}), 422, "somebody else mounted s3://o at /o already")
    assert is_problem(put(api, "/o/p", {"uri": "s3://b"}), 422, "/o/p would lie in the mount /o")
    assert is_problem(put(api, "/p", {"uri": "s3://o/deep"}), 422, "overlaps with s3://o")
    assert is_problem(api.ask("DELETE", "/v1/mounts/o"), 422, "somebody else mounted what is at '/o'")
    same = {"uri": "s3://o", "options": {"a.token": {"secret": "t"}, "b": "1"}}
    alluxio(api, MountPoint("/", "/d"), MountPoint("/o", "s3://o", {"a.token": "******", "b": "1"}))
    assert put(api, "/o", same).status_code == 200
    assert api.get("/v1/mounts/o").json()["state"] == "mounted"
    assert api.ask("DELETE", "/v1/mounts/o").json()["does"] == "leave"


def test_the_mark_is_nobody_elses_business(api: Api) -> None:
    put(api, "/s3", {"uri": "s3://b"})
    record = MountRecord(api.state.wanted.mounts[0], "f/1", 1.0, proved=True)
    api.state = dataclasses.replace(api.state, mounts={"/s3": record})
    alluxio(api, MountPoint("/", "/d"), MountPoint("/s3", "s3://b", {MARK: "f/1"}))
    shown = api.get("/v1/mounts/s3").json()
    assert (shown["state"], shown["own"], shown["options"]) == ("mounted", True, {})
    text = api.get("/metrics").text
    assert 'alluxio_mesos_mounts{state="made"} 1.0' in text
    assert "<b>/s3</b> s3://b<br>" in api.get("/v1/dashboard").text


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/a", {}, "the field 'uri' is missing"),
        ("/a", {"uri": 5}, "uri: give a text"),
        ("/a", {"uri": "s3://b", "colour": "red"}, "there is no field 'colour'"),
        ("/a", {"uri": "s3://b", "readonly": "yes"}, "readonly: 'yes' is not allowed; give true or false"),
        ("/a", {"uri": "s3://b", "shared": 1}, "shared: 1 is not allowed; give true or false"),
        ("/a", {"uri": "s3://b", "options": []}, "options: give an object"),
        ("/a", {"uri": "s3://b", "options": {"a": 5}}, 'options: \'a\': give a text, or {"secret": "NAME"}'),
        ("/a", {"uri": "s3://b", "options": {"a": {"secret": 5}}}, "give a text, or"),
        ("/a", {"uri": "s3://b", "options": {"a": {"secret": "b", "c": "d"}}}, "give a text, or"),
        ("/a", {"uri": "s3://b", "options": {"s3a.secretKey": "clear-text"}}, "s3a.secretKey is a credential"),
        ("/a", {"uri": "s3://b", "options": {"s3a.secretKey": {"secret": "a/b"}}}, "'a/b' is no name of a secret"),
        ("/a", {"uri": "gs://b"}, "there is no under-storage for gs://"),
        ("/a", {"uri": "bucket"}, "'bucket' is no address"),
        ("/a", {"uri": "/d/deeper"}, "uri: /d/deeper overlaps with /d, which has its place at /"),
        ("/a/", {"uri": "s3://b"}, "a part of it is empty"),
        ("/a%2F..%2Fb", {"uri": "s3://b"}, "a part of it is empty"),
    ],
)
def test_bad_input(api: Api, path: str, body: Any, words: str) -> None:
    refused = put(api, path, body)
    assert is_problem(refused, 422, words)
    assert "clear-text" not in refused.text
    assert api.get("/v1/mounts").headers["etag"] == '"0"'
