"""Paths are made as they are wanted: what is said, to which, and why one is not so."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator

import pytest

from eventually import eventually
from fake_namespace import file, folder
from framework.alluxio.files import AlluxioAway, AlluxioError
from framework.alluxio.keeper import Keeper, difference, look, news
from framework.alluxio.paths import PathAbsent, PathStatus
from framework.paths import ABSENT, NO_LIMIT, NO_TTL, Attributes, TtlAction, WantedPath, is_below


class Namespace:
    """In memory; ``refusal`` by path is what a word on it is answered with."""

    def __init__(self, *statuses: PathStatus) -> None:
        self.paths = {status.path: status for status in statuses}
        self.refusal: dict[str, AlluxioError] = {}
        self.away = ""
        self.said: list[tuple[str, Attributes]] = []

    def all(self, path: str) -> Iterator[PathStatus]:
        if self.away:
            raise AlluxioAway(self.away)
        if path not in self.paths:
            raise PathAbsent(f"{path} does not exist")
        yield from [status for status in self.paths.values() if is_below(status.path, path)]

    def set_one(self, status: PathStatus, asked: Attributes) -> None:
        if status.path in self.refusal:
            raise self.refusal[status.path]
        self.said.append((status.path, asked))


PINNED = Attributes(pinned=True)


def test_only_what_differs_is_said() -> None:
    """Alluxio counts a life anew from each word."""
    namespace = Namespace(
        folder("/a", pinned=True, ttl=60.0),
        file("/a/old", pinned=True, replication_min=1, ttl=60.0),
        file("/a/new"),
        file("/b/other"),
    )
    asked = Attributes(pinned=True, ttl=60.0)
    assert look([WantedPath("/a", asked)], namespace) == {"/a": ""}
    assert namespace.said == [("/a/new", asked)]


def test_a_path_in_another_one_has_its_own_word() -> None:
    namespace = Namespace(folder("/a"), folder("/a/b"), file("/a/b/c"))
    wanted = [WantedPath("/a", Attributes(ttl=60.0)), WantedPath("/a/b", Attributes(ttl=NO_TTL, pinned=True))]
    assert look(wanted, namespace) == {"/a": "", "/a/b": ""}
    assert namespace.said == [("/a", Attributes(ttl=60.0)), ("/a/b", PINNED), ("/a/b/c", PINNED)]


def test_what_is_not_there_yet_waits_for_it_to_come() -> None:
    namespace = Namespace(folder("/a"))
    wanted = [WantedPath(path, PINNED) for path in ("/a", "/a/b", "/c")]
    assert look(wanted, namespace) == {"/a": "", "/a/b": ABSENT, "/c": ABSENT}
    namespace.paths["/c"] = file("/c")
    assert look(wanted, namespace)["/c"] == ""
    assert ("/c", PINNED) in namespace.said


def test_a_refusal_is_told_and_holds_up_nobody_else() -> None:
    namespace = Namespace(folder("/a"), file("/a/b"), file("/a/c"), file("/d"))
    namespace.refusal = {"/a/b": AlluxioError("/a/b is no good"), "/a/c": PathAbsent("gone meanwhile")}
    assert look([WantedPath("/a", PINNED), WantedPath("/d", PINNED)], namespace) == {"/a": "/a/b is no good", "/d": ""}
    assert [path for path, _ in namespace.said] == ["/a", "/d"]


def test_while_alluxio_is_away_nothing_is_as_it_is_wanted() -> None:
    namespace = Namespace(folder("/a"))
    namespace.away = "no primary"
    assert look([WantedPath("/a", PINNED), WantedPath("/a/b", PINNED)], namespace) == dict.fromkeys(
        ("/a", "/a/b"), "no primary"
    )


@pytest.mark.parametrize(
    ("status", "asked", "missing"),
    [
        (file("/a"), Attributes(ttl=NO_TTL, replication_max=NO_LIMIT, pinned=False), Attributes()),
        (file("/a", ttl=60.0), Attributes(ttl=NO_TTL), Attributes(ttl=NO_TTL)),
        (
            file("/a", ttl=60.0),
            Attributes(ttl=60.0, ttl_action=TtlAction.DELETE),
            Attributes(ttl=60.0, ttl_action=TtlAction.DELETE),
        ),
        (file("/a", ttl_action=TtlAction.DELETE), Attributes(ttl=NO_TTL), Attributes()),
        (
            file("/a"),
            Attributes(replication_min=2, replication_max=3),
            Attributes(replication_min=2, replication_max=3),
        ),
        (file("/a", replication_max=3), Attributes(replication_max=NO_LIMIT), Attributes(replication_max=NO_LIMIT)),
        (folder("/a"), Attributes(replication_min=2, replication_max=3), Attributes()),
    ],
)
def test_what_is_still_to_be_said(status: PathStatus, asked: Attributes, missing: Attributes) -> None:
    assert difference(status, asked) == missing


AWAY = "no Alluxio master is the primary"


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {"/a": ""}, []),
        ({"/a": AWAY}, {"/a": AWAY}, []),
        ({}, {"/a": ABSENT}, [(logging.INFO, "wanted of paths: /a is waited for, not there yet")]),
        ({"/a": ABSENT}, {"/a": ""}, [(logging.INFO, "wanted of paths: /a is as wanted now")]),
        ({"/a": AWAY}, {}, []),
        (
            {"/a": "", "/b": ABSENT},
            {"/a": AWAY, "/b": AWAY, "/c": "it is refused"},
            [
                (logging.WARNING, f"wanted of paths: /a, /b are not as wanted: {AWAY}"),
                (logging.WARNING, "wanted of paths: /c is not as wanted: it is refused"),
            ],
        ),
        (
            {},
            {f"/{number}": AWAY for number in range(1000)},
            [(logging.WARNING, f"wanted of paths: /0, /1, /2, /3, /4 and 995 more are not as wanted: {AWAY}")],
        ),
    ],
)
def test_what_the_log_says_of_a_look(before: dict[str, str], now: dict[str, str], said: list[tuple[int, str]]) -> None:
    assert list(news(before, now)) == said


def test_the_log_has_one_line_for_all_paths_of_one_reason(caplog: pytest.LogCaptureFixture) -> None:
    namespace = Namespace()
    namespace.away = AWAY
    keeper = Keeper(lambda: [WantedPath("/a", PINNED), WantedPath("/b", PINNED)], namespace)
    keeper.start()
    try:
        keeper.wake()
        eventually(lambda: len(keeper.standing) == 2, "it has looked")
        assert [record.getMessage() for record in caplog.records] == [
            f"wanted of paths: /a, /b are not as wanted: {AWAY}"
        ]
    finally:
        keeper.stop()


def test_it_looks_at_once_when_something_else_is_wanted() -> None:
    namespace = Namespace(file("/a"))
    wanted: list[WantedPath] = []
    keeper = Keeper(lambda: wanted, namespace)
    keeper.start()
    try:
        wanted.append(WantedPath("/a", PINNED))
        keeper.wake()
        eventually(lambda: keeper.standing == {"/a": ""}, "it has looked")
        assert namespace.said == [("/a", PINNED)]
        namespace.paths["/a"] = dataclasses.replace(namespace.paths["/a"], pinned=True)
        keeper.wake()
        eventually(lambda: keeper.standing == {"/a": ""}, "it has looked again")
        assert namespace.said == [("/a", PINNED)]
    finally:
        keeper.stop()
