"""What may be wanted of a path: how it is read, and each mistake with its sentence."""

from __future__ import annotations

from typing import Any

import pytest

from framework.option_types import duration
from framework.paths import (
    NO_LIMIT,
    NO_TTL,
    Attributes,
    TtlAction,
    WantedPath,
    as_document,
    is_below,
    outermost,
    path_mistake,
    read,
    wanted_of,
)


def asked(**given: Any) -> Attributes | list[str]:
    return read(given, duration(0).read)


def test_what_is_said_is_read_and_the_rest_stays() -> None:
    assert asked(pinned=True) == Attributes(pinned=True)
    assert asked(ttl="7d", ttl_action="delete") == Attributes(ttl=7 * 86_400.0, ttl_action=TtlAction.DELETE)
    assert asked(ttl="90s") == Attributes(ttl=90.0, ttl_action=TtlAction.FREE)
    assert asked(ttl=None) == Attributes(ttl=NO_TTL)
    assert asked(replication_min=2, replication_max=3) == Attributes(replication_min=2, replication_max=3)
    assert asked(replication_max=None) == Attributes(replication_max=NO_LIMIT)
    assert asked(pinned=True, replication_min=2) == Attributes(pinned=True, replication_min=2)


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        (
            {},
            "nothing is said of the path; give at least one of pinned, replication_max, replication_min, ttl",
        ),
        ({"pinned": 1}, "pinned: 1 is not allowed; give true or false"),
        (
            {"ttl": -1},
            "ttl: -1 is not allowed; give a time such as 90s, 10m, 1h or 7d, at least 1s, or null (none on the command "
            "line) for ever",
        ),
        ({"ttl": "-1"}, "ttl: '-1' is not allowed; give a time such as 90s"),
        ({"ttl": "0s"}, "ttl: '0s' is not allowed; give a time such as 90s"),
        ({"ttl": "0.5s"}, "ttl: '0.5s' is not allowed; give a time such as 90s"),
        ({"ttl": "99999999d"}, "the longest is 100 years"),
        ({"ttl": True}, "ttl: True is not allowed"),
        ({"ttl": "1h", "ttl_action": "burn"}, "ttl_action: 'burn' is not allowed; choose one of free, delete"),
        ({"ttl_action": "free"}, 'ttl_action goes with ttl; give both, such as "ttl": "7d"'),
        ({"replication_min": -1}, "replication_min: -1 is not allowed; give a whole number from 0 to 1000"),
        ({"replication_min": 1.5}, "replication_min: 1.5 is not allowed"),
        ({"replication_min": True}, "replication_min: True is not allowed"),
        (
            {"replication_max": 0},
            "replication_max: 0 is not allowed; give a whole number from 1 to 1000, or null for no limit",
        ),
        ({"replication_max": 1001}, "replication_max: 1001 is not allowed"),
        (
            {"replication_min": 3, "replication_max": 2},
            "replication_min: 3 is more than replication_max: 2; give at most 2, or a higher maximum",
        ),
        ({"pinned": True, "replication_min": 0}, "pinned: true does not go with replication_min: 0, which unpins"),
        ({"pinned": False, "replication_min": 2}, "pinned: false does not go with replication_min: 2, which pins"),
        ({"colour": "red"}, "there is no field 'colour'; allowed: pinned,"),
    ],
)
def test_each_mistake_has_its_sentence(given: dict[str, Any], mistake: str) -> None:
    found = read(given, duration(0).read)
    assert isinstance(found, list)
    assert len(found) == 1
    assert mistake in found[0]


def test_all_mistakes_are_told_at_once() -> None:
    found = asked(pinned="yes", ttl=-1, replication_min="two")
    assert isinstance(found, list)
    assert [mistake.partition(":")[0] for mistake in found] == ["pinned", "ttl", "replication_min"]


@pytest.mark.parametrize("path", ["/", "/a", "/a b/c", "/ä/%2F", "/a/...", "/a/.b"])
def test_a_path_is_one(path: str) -> None:
    assert path_mistake(path) == ""


@pytest.mark.parametrize(
    ("path", "mistake"),
    [
        ("", "is no path; write an absolute path"),
        ("a/b", "'a/b' is no path; write an absolute path, such as /data/table"),
        ("//a", 'a part of it is empty, "." or ".."'),
        ("/a/", "a part of it is empty"),
        ("/a/../b", "a part of it is empty"),
        ("/a/./b", "a part of it is empty"),
        ("/a\nb", "is no path"),
        ("/a\0b", "is no path"),
        ("/" + "a" * 4096, "the path has 4097 characters; at most 4096 are allowed"),
    ],
)
def test_what_is_none_is_told(path: str, mistake: str) -> None:
    assert mistake in path_mistake(path)


# What is wanted of a tree ---------------------------------------------------------------------------------------------


def test_what_lies_below_what() -> None:
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")


def test_the_nearest_word_counts() -> None:
    wanted = [
        WantedPath("/a", Attributes(ttl=60.0, ttl_action=TtlAction.DELETE, replication_min=2)),
        WantedPath("/a/b", Attributes(pinned=False)),
        WantedPath("/a/b/c", Attributes(ttl=NO_TTL, replication_max=3)),
    ]
    assert wanted_of(wanted, "/a/x") == wanted[0].attributes
    # A word on pins takes back the copies that pin.
    assert wanted_of(wanted, "/a/b/x") == Attributes(pinned=False, ttl=60.0, ttl_action=TtlAction.DELETE)
    assert wanted_of(wanted, "/a/b/c") == Attributes(pinned=False, ttl=NO_TTL, replication_max=3)
    assert not wanted_of(wanted, "/b").says_something
    assert outermost([*wanted, WantedPath("/ab", Attributes(pinned=True))]) == ["/a", "/ab"]


def test_what_is_wanted_is_shown_as_it_is_given() -> None:
    asked = Attributes(pinned=True, ttl=60.0, replication_max=NO_LIMIT)
    assert as_document(asked) == {"pinned": True, "ttl_seconds": 60.0, "ttl_action": "free", "replication_max": None}
    assert as_document(Attributes(ttl=NO_TTL, replication_min=0)) == {
        "ttl_seconds": None,
        "ttl_action": "free",
        "replication_min": 0,
    }
