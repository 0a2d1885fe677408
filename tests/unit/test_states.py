"""States as earlier releases wrote them, in tests/states: each is read as the document beside it says. A file is made
once, when a form is new, and never changed again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from framework import wire
from framework.memory import Kept
from framework.model import ExitCode
from framework.store import StoreError, StoreNewer
from framework.zookeeper.store import RELEASE, THIS_RELEASE, Node, decode, encode

STATES = sorted((Path(__file__).parents[1] / "states").glob("*.json"))
STORED: list[dict[str, Any]] = [json.loads(path.read_text()) for path in STATES]


def nodes(texts: dict[str, str]) -> dict[str, Node]:
    return {name: Node(text.encode(), 0) for name, text in texts.items()}


def kept(stored: dict[str, Any]) -> Kept:
    return wire.decode_state(json.dumps(stored["read as"]).encode())


@pytest.mark.parametrize("stored", STORED, ids=[path.stem for path in STATES])
def test_what_an_earlier_release_wrote_is_read(stored: dict[str, Any]) -> None:
    found = decode(nodes(stored["nodes"]), "/x")
    assert found == kept(stored)
    again = {name: Node(data, 0) for name, data in encode(found).items()}
    assert decode(again, "/x") == found


def test_each_version_of_each_form_is_there() -> None:
    found: dict[str, set[int]] = {"version": set(), "records": set(), "history": set()}
    for stored in STORED:
        found["version"].add(wire.decode_layout(stored["nodes"].get("version", "1").encode()))
        for name, text in stored["nodes"].items():
            if (folder := name.partition("/")[0]) in ("records", "history"):
                found[folder].add(json.loads(text)["version"])
    assert found == {
        "version": set(range(1, wire.LAYOUT_VERSION + 1)),
        "records": set(range(1, wire.RECORD_VERSION + 1)),
        "history": set(range(1, wire.HISTORY_VERSION + 1)),
    }


NEWER = [
    ("version", "3", "the layout has version 3; this release reads versions 1 to 2"),
    (
        "records/worker-0",
        f'{{"version":{wire.RECORD_VERSION + 1},"colour":"red"}}',
        f"a launch record has version {wire.RECORD_VERSION + 1}; this release reads versions 1",
    ),
    (
        "history/0000000001",
        f'{{"version":{wire.HISTORY_VERSION + 1},"number":"x"}}',
        f"an entry of the history has version {wire.HISTORY_VERSION + 1}; this release reads",
    ),
]


@pytest.mark.parametrize(("node", "text", "sentence"), NEWER, ids=[node for node, _, _ in NEWER])
@pytest.mark.parametrize("release", ["9.1.0", None])
def test_what_a_newer_release_wrote_is_refused_by_both_names(
    node: str, text: str, sentence: str, release: str | None
) -> None:
    """Also where it has what this release knows nothing of."""
    texts = STORED[-1]["nodes"] | {node: text} | ({RELEASE: release} if release else {})
    by = "release 9.1.0" if release else "another release"
    with pytest.raises(
        StoreNewer,
        match=re.escape(f"/x in ZooKeeper was written by {by}, and this is release {THIS_RELEASE}: {sentence}"),
    ) as raised:
        decode(nodes(texts), "/x")
    assert raised.value.exit_code is ExitCode.NEWER
    assert str(raised.value).endswith("run the release that wrote it, or a newer one; nothing was changed")


def test_a_newer_release_that_writes_the_same_forms_is_no_trouble() -> None:
    assert decode(nodes(STORED[-1]["nodes"] | {RELEASE: "9.1.0"}), "/x") == kept(STORED[-1])


def test_damage_is_not_taken_for_something_newer() -> None:
    with pytest.raises(StoreError, match="is damaged: a launch record cannot be read") as raised:
        decode(nodes(STORED[-1]["nodes"] | {"records/worker-0": '{"version":2,"colour":"red"}'}), "/x")
    assert not isinstance(raised.value, StoreNewer)
