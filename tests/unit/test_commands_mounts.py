"""The commands for storages in the namespace, against the real application."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from api_stage import Api, serving
from command_line import Run, in_terminal, runner
from framework.commands import waiting
from framework.commands.show_amiss import MOST
from framework.commands.waiting import Standing
from framework.model import CacheReport, ExitCode, MountPoint, MountRecord
from framework.namespace import MARK
from framework.paths import ABSENT, Attributes, WantedPath
from framework.state import MountCall

MOUNT = ("mount", "/data/s3", "s3://b/x", "a.b=1", "--secret", "s3a.secretKey=key", "--readonly")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        there(made)
        yield made


@pytest.fixture
def run(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(api.url, capsys, monkeypatch)


def there(api: Api, *points: MountPoint) -> None:
    cache = CacheReport("m:1", "", at=1.0, mounts=(MountPoint("/", "/d"), *points))
    api.state = dataclasses.replace(api.state, cache=cache)


def test_a_mount_is_previewed_made_shown_and_ended(run: Run, api: Api) -> None:
    preview = "/data/s3 would be s3://b/x\nread-only\n  a.b: 1\n  s3a.secretKey: secret key\n"
    assert run(*MOUNT, "--dry-run") == (0, preview, "")
    assert not api.state.wanted.mounts
    code, out, error = run(*MOUNT, "--yes")
    assert (code, error) == (0, preview)
    assert out == "version 1 holds: /data/s3 is to be s3://b/x; `alluxio-mesos mounts` shows how far it is\n"
    code, out, _ = run("mounts")
    assert [line.split() for line in out.splitlines()] == [
        ["PATH", "STORAGE", "STATE", "HOW", "BY", "WHY"],
        ["/", "/d", "mounted", "read", "and", "write", "service", "-"],
        ["/data/s3", "s3://b/x", "making", "read-only", "-", "Alluxio", "is", "asked", "for", "it"],
    ]
    code, out, _ = run("mounts", "/data/s3")
    assert "s3a.secretKey  secret key" in out
    assert json.loads(run("mounts", "/data/s3", "--json")[1])["options"]["s3a.secretKey"] == {"secret": "key"}
    code, _, error = run("mount", "/data/s3", "s3://b/x", "a.b=2", "--yes")
    assert error == (
        "/data/s3 would be s3://b/x with other options\nread and write\n  a.b: 1 -> 2\n"
        "  s3a.secretKey: secret key -> -\n"
    )
    code, out, error = run("unmount", "/data/s3", "--yes", "--wait")
    assert (code, out) == (0, "version 3 holds: /data/s3 is not mounted by this service any more\n")
    assert error.startswith("/data/s3 would be unmounted; s3://b/x keeps its data\n")
    assert not api.state.wanted.mounts


def test_it_is_waited_for_until_the_storage_has_answered(run: Run, api: Api) -> None:
    there(api, MountPoint("/s3", "s3://b"))
    code, out, _ = run("mount", "/s3", "s3://b", "--yes", "--wait")
    assert code == 0
    assert out == "/s3 is mounted: s3://b (somebody else mounted it; it is used as it is, and never changed)\n"
    assert run("unmount", "/s3", "--yes")[1] == "version 2 holds: /s3 is left as somebody else mounted it\n"


def test_what_fails_is_said_while_it_is_waited_for(run: Run, api: Api) -> None:
    run("mount", "/s3", "s3://b", "--yes")
    call = MountCall(api.state.wanted.mounts[0], 1, 0.5, answered_at=0.7, reason="there is no bucket b")
    api.state = dataclasses.replace(api.state, mount_calls={"/s3": call})
    code, _, error = run("mount", "/s3", "s3://b", "--yes", "--wait", "--timeout", "0.1")
    assert code == ExitCode.NOT_IN_TIME
    assert "there is no bucket b; it is tried again in 0 s" in error
    code, out, _ = run("mounts")
    assert "failing" in out


def test_a_countdown_is_no_news_where_no_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PAUSE", 0.001)
    said = io.StringIO()
    sentences = [f"there is no bucket b; it is tried again in {left} s" for left in (11, 10, 9)]
    steps = iter([*((1, sentence) for sentence in sentences), (1, "wrong keys"), (0, "done")])
    waiting.until(lambda: Standing(*next(steps), None), 10, Console(file=said, width=200))
    assert said.getvalue().splitlines() == [sentences[0], "wrong keys", "done"]


def stands(run: Run) -> list[str]:
    """What the status says of storages and paths."""
    code, out, _ = run("status")
    assert code == ExitCode.DONE
    facts = [" ".join(line.split()) for line in out.partition("\n\n")[0].splitlines()]
    first = next((place for place, line in enumerate(facts) if line.startswith(("Mounts", "Paths"))), len(facts))
    return facts[first:]


def test_the_status_says_how_many_storages_and_paths_are_as_wanted_and_why_the_others_are_not(
    run: Run, api: Api
) -> None:
    assert stands(run) == []
    assert json.loads(run("status", "--json")[1])["not_as_wanted"] == []
    run("mount", "/s3", "s3://b", "--yes")
    assert stands(run) == ["Mounts 0 of 1 as wanted", "is being made /s3 (s3://b): Alluxio is asked for it"]
    call = MountCall(api.state.wanted.mounts[0], 1, 0.5, answered_at=0.7, reason="there is no bucket b: make it")
    names = [f"/later/{number}" for number in range(MOST)]
    wanted = [WantedPath(path, Attributes(pinned=True)) for path in ("/done", *names, "/full")]
    api.state = dataclasses.replace(api.state, mount_calls={"/s3": call}, paths=tuple(wanted))
    api.standing_of_paths = {"/done": "", "/full": "2 copies are too many", **dict.fromkeys(names, ABSENT)}
    assert stands(run) == [
        "Mounts 0 of 1 as wanted",
        "fails /s3 (s3://b): there is no bucket b: make it; it is tried again in 0 s",
        "Paths 1 of 7 as wanted",
        "fails /full (pinned): 2 copies are too many; want something else of it, or let it go with "
        "`alluxio-mesos forget /full`",
        *(f"waits {path} (pinned): it is not there yet; it is made so when it comes" for path in names[:-1]),
        "and 1 more; `alluxio-mesos wanted` lists all",
    ]
    first, second, *_ = json.loads(run("status", "--json")[1])["not_as_wanted"]
    assert (first["kind"], first["path"], first["state"]) == ("mount", "/s3", "failing")
    assert second == {
        "kind": "path",
        "path": "/full",
        "wanted": "pinned",
        "state": "failing",
        "reason": "2 copies are too many",
    }
    there(api, MountPoint("/s3", "s3://b"))
    assert stands(run)[0] == "Mounts 1 of 1 as wanted"
    api.standing_of_paths = dict.fromkeys(api.standing_of_paths, "")
    assert stands(run) == ["Mounts 1 of 1 as wanted", "Paths 7 of 7 as wanted"], "an answer that is kept is a true one"


def test_one_that_leaves_is_told_where_none_is_wanted(run: Run, api: Api) -> None:
    run("mount", "/s3", "s3://b", "--yes")
    record = MountRecord(api.state.wanted.mounts[0], "f/1", 1.0, proved=True)
    api.state = dataclasses.replace(api.state, mounts={"/s3": record})
    there(api, MountPoint("/s3", "s3://b", {MARK: "f/1"}))
    run("unmount", "/s3", "--yes")
    assert stands(run) == ["Mounts none is wanted any more", "leaves /s3 (s3://b): it is being unmounted"]


def test_while_alluxio_is_away_that_is_told_once(run: Run, api: Api) -> None:
    run("mount", "/s3", "s3://b", "--yes")
    run("mount", "/t", "s3://c", "--yes")
    away = "no master answers"
    api.state = dataclasses.replace(
        api.state, cache=CacheReport(None, away), paths=(WantedPath("/a", Attributes(pinned=True)),)
    )
    api.standing_of_paths = {"/a": away}
    assert stands(run) == [
        "Mounts 2 wanted; Alluxio has not said which are so",
        "Paths 1 wanted; Alluxio has not said which are so",
    ]
    assert run("status")[1].count(away) == 1


def test_one_that_is_asked_for_otherwise_meanwhile(run: Run, api: Api) -> None:
    run("mount", "/s3", "s3://b", "--yes")
    record = MountRecord(api.state.wanted.mounts[0], "f/1", 1.0, proved=True)
    api.state = dataclasses.replace(api.state, mounts={"/s3": record})
    there(api, MountPoint("/s3", "s3://b", {MARK: "f/1"}))
    code, _, error = run("unmount", "/s3", "--yes", "--wait", "--timeout", "0.1")
    assert code == ExitCode.NOT_IN_TIME
    assert "it is being unmounted" in error


def test_a_no_changes_nothing(api: Api) -> None:
    code, _, shown = in_terminal(api.url, "n\n", *MOUNT)
    assert code == 130
    assert "nothing was changed" in shown
    assert not api.state.wanted.mounts


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("mount", "/a", "gs://b", "--yes"), 64, "there is no under-storage for gs://"),
        (("mount", "/a", "s3://b", "s3a.secretKey=clear", "--yes"), 64, "s3a.secretKey is a credential"),
        (("mount", "/a", "s3://b", "a=1", "a=2", "--yes"), 64, "a: given more than once"),
        (("mount", "/a", "s3://b", "a=1", "--secret", "a=b", "--yes"), 64, "a: given more than once"),
        (("mount", "/a", "/d/x", "--yes"), 64, "/d/x overlaps with /d"),
        (("mount", "/", "s3://b", "--yes"), 64, "the root is what --under-storage says"),
        (("unmount", "/", "--yes"), 64, "path: the root stays for the life of the service"),
        (("unmount", "/o", "--yes"), 64, "path: somebody else mounted what is at '/o'"),
        (("unmount", "/nothing", "--yes"), 64, "nothing is wanted at '/nothing'"),
        (("mounts", "/nothing"), 64, "nothing is mounted at '/nothing', nor wanted there"),
        (("mount", "/a", "s3://b"), 64, "nobody can be asked whether to go on"),
    ],
)
def test_bad_input(run: Run, api: Api, words: tuple[str, ...], code: int, said: str) -> None:
    there(api, MountPoint("/o", "s3://o"))
    found, out, error = run(*words)
    assert (found, out) == (code, "")
    assert said in error
    assert "clear" not in error.replace("clear text", "")
    assert not api.state.wanted.mounts


@pytest.mark.parametrize("path", ["s3", "/a//b", ""])
def test_what_is_no_path(run: Run, capsys: pytest.CaptureFixture[str], path: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("mount", path, "s3://b", "--yes")
    assert f"{path!a} is no path" in capsys.readouterr().err
