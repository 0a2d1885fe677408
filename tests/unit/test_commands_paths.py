"""The commands for paths in Alluxio's namespace, against the real application over a namespace in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_stage import Api, serving
from command_line import ROOT, Run, runner
from eventually import eventually
from fake_namespace import file
from framework.alluxio.files import AlluxioError
from framework.alluxio.paths import Impossible, LoadProgress, LoadState
from framework.commands import waiting
from framework.model import ExitCode
from framework.paths import NO_LIMIT, NO_TTL, Attributes, TtlAction, WantedPath


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def run(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(waiting, "PAUSE", 0.01)
    return runner(api.url, capsys, monkeypatch)


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_a_folder_is_listed(run: Run, api: Api) -> None:
    api.namespace.paths["/data/a"] = file(
        "/data/a", pinned=True, ttl=7 * 86_400.0, ttl_action=TtlAction.DELETE, replication_min=2, replication_max=3
    )
    code, out, _ = run("ls", "/data/")
    assert code == 0
    assert rows(out) == [
        ["SIZE", "MEMORY", "CACHED", "PINNED", "TTL", "COPIES", "PERSISTED", "NAME"],
        ["3.0", "MiB", "50", "%", "100", "%", "pinned", "7d,", "delete", "2", "to", "3", "persisted", "a"],
        ["3.0", "MiB", "50", "%", "100", "%", "-", "-", "any", "not", "persisted", "b"],
        ["-", "-", "-", "-", "-", "-", "persisted", "c", "d/"],
    ]
    assert rows(run("ls", "/data/a")[1])[1][-1] == "/data/a"
    assert rows(run("ls", "alluxio://127.0.0.1:19998/")[1])[1][-1] == "data/"
    assert run("ls", "/data/c d")[1] == "/data/c d is empty\n"
    assert run("ls", "/data", "--after", "z")[1] == "/data has nothing behind 'z'\n"


def test_a_long_folder_says_how_to_go_on(run: Run, api: Api) -> None:
    code, out, _ = run("ls", "/data", "--limit", "2")
    assert (code, out.splitlines()[-1]) == (0, "there are more; --after 'b' shows them")
    assert rows(run("ls", "/data", "--after", "b", "--refresh")[1])[1][-2:] == ["c", "d/"]
    assert api.namespace.calls[-1] == ("entries", "/data", 1000, "b", True)
    assert json.loads(run("ls", "/data", "--json")[1])["path"] == "/data"


@pytest.mark.parametrize(
    ("command", "asked", "said"),
    [
        (("pin", "/data/a"), Attributes(pinned=True), "/data/a: pinned, no ttl, copies: any\n"),
        (("unpin", "/data/a"), Attributes(pinned=False), "/data/a: not pinned, no ttl, copies: any\n"),
        (("ttl", "/data", "7d"), Attributes(ttl=604_800.0), "/data: not pinned, ttl 7d, free\n"),
        (
            ("ttl", "/data/a", "90s", "--action", "delete"),
            Attributes(ttl=90.0, ttl_action=TtlAction.DELETE),
            "/data/a: not pinned, ttl 90s, delete, copies: any\n",
        ),
        (("ttl", "/data", "none"), Attributes(ttl=NO_TTL), "/data: not pinned, no ttl\n"),
        (
            ("replication", "/data/a", "--min", "2", "--max", "none"),
            Attributes(replication_min=2, replication_max=NO_LIMIT),
            "/data/a: pinned, no ttl, copies: 2 or more\n",
        ),
        (
            ("replication", "/data/a", "--max", "3"),
            Attributes(replication_max=3),
            "/data/a: not pinned, no ttl, copies: 0 to 3\n",
        ),
    ],
)
def test_something_is_said_of_a_path(
    run: Run, api: Api, command: tuple[str, ...], asked: Attributes, said: str
) -> None:
    assert run(*command) == (0, said, "")
    assert api.namespace.calls == [("set", command[1], asked)]


def test_free_and_persist(run: Run, api: Api) -> None:
    assert run("free", "/data") == (0, "what is cached of /data is being freed\n", "")
    assert run("free", "/data", "--force")[0] == 0
    assert run("persist", "/data/b") == (0, "1 file of /data/b will be written to the under-storage\n", "")
    assert api.namespace.calls == [("free", "/data", False), ("free", "/data", True), ("persist", "/data/b")]


def test_a_load_is_followed_to_its_end(run: Run, api: Api) -> None:
    api.namespace.loads["/data"] = [
        LoadProgress("/data", LoadState.RUNNING),
        LoadProgress("/data", LoadState.RUNNING),
        LoadProgress("/data", LoadState.RUNNING, 2, 1 << 20, 4 << 20),
        LoadProgress("/data", LoadState.DONE, 2, 4 << 20, 4 << 20),
    ]
    code, out, err = run("load", "/data", "--verify", "--no-refresh")
    assert (code, out) == (0, "/data: 2 files with 4.0 MiB loaded\n")
    assert err.splitlines() == [
        "/data: looking for what is to be loaded",
        "/data: 1.0 MiB of 4.0 MiB, 2 files",
        "/data: 4.0 MiB of 4.0 MiB, 2 files",
    ]
    assert api.namespace.calls == [("load", "/data", True, False)]


def test_a_load_of_what_is_cached_says_so(run: Run, api: Api) -> None:
    api.namespace.loads["/data"] = [LoadProgress("/data", LoadState.DONE)]
    assert run("load", "/data")[1] == "/data: nothing was left to load\n"


def test_a_load_that_fails_has_an_exit_code_of_its_own(run: Run, api: Api) -> None:
    failures = (("/data/a", "the store is away"),)
    api.namespace.loads["/data"] = [
        LoadProgress("/data", LoadState.FAILED, 2, 5, 10, 1, failures, "/data/a: the store is away")
    ]
    sentence = "alluxio-mesos load: 1 file of /data could not be loaded, such as /data/a: the store is away\n"
    assert run("load", "/data")[::2] == (ExitCode.FAILED, sentence)
    api.namespace.loads["/data"] = [LoadProgress("/data", LoadState.FAILED, reason="Path /data does not exist")]
    sentence = "alluxio-mesos load: the load of /data failed: Path /data does not exist\n"
    assert run("load", "/data", "--progress")[::2] == (ExitCode.FAILED, sentence)


def test_a_load_is_left_alone_looked_at_and_stopped(run: Run, api: Api) -> None:
    api.namespace.loads["/data"] = [LoadProgress("/data", LoadState.RUNNING, 2, 1 << 20, 4 << 20)]
    assert run("load", "/data", "--no-wait")[:2] == (0, "/data: 1.0 MiB of 4.0 MiB, 2 files (25 %)\n")
    code, _, err = run("load", "/data", "--progress", "--timeout", "0.2")
    assert (code, err.splitlines()[-1]) == (
        ExitCode.NOT_IN_TIME,
        "alluxio-mesos load: it is not so after 0.2 s: /data: 1.0 MiB of 4.0 MiB, 2 files; it goes on",
    )
    api.namespace.loads["/data"] = [LoadProgress("/data", LoadState.STOPPED)]
    assert run("load", "/data", "--progress")[::2] == (
        ExitCode.CONFLICT,
        "alluxio-mesos load: the load of /data was stopped; what it had loaded stays\n",
    )
    assert run("load", "/data", "--stop") == (0, "the load of /data is stopped; what it has loaded stays\n", "")
    assert [call[0] for call in api.namespace.calls] == ["load", "stop_load"]


def test_control_c_leaves_the_load_going_and_says_how_to_look_at_it(api: Api) -> None:
    api.namespace.loads["/data"] = [LoadProgress("/data", LoadState.RUNNING, 2, 1 << 20, 4 << 20)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ALLUXIO_MESOS_API": api.url}
    with subprocess.Popen(
        [sys.executable, "-m", "framework", "load", "/data"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "/data: 1.0 MiB of 4.0 MiB, 2 files\n"
        looks = api.namespace.looks
        eventually(lambda: api.namespace.looks > looks, "it looks again: it has written all that there was to write")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "the load of /data goes on; `alluxio-mesos load --progress /data` shows how far it is, and "
        "`alluxio-mesos load --stop /data` stops it\n"
    )
    assert "stop_load" not in [call[0] for call in api.namespace.calls]


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        (("ls", "/nothing"), 64, "ls: /nothing does not exist, neither in Alluxio nor in what is mounted there"),
        (("load", "/nothing"), 64, "load: /nothing does not exist"),
        (("load", "--progress", "/data"), 64, "load: nobody has asked for a load of /data, or it is long over"),
        (("load", "--stop", "/data"), 64, "load: no load of /data is running"),
        (("ttl", "/data", "--", "-1"), 64, "ttl: ttl: '-1' is not allowed; give a time such as 90s, 10m, 1h or 7d"),
        (("ttl", "/data", "none", "--action", "free"), 64, "ttl: --action goes with a time"),
        (("replication", "/data", "--min", "3", "--max", "2"), 64, "replication: replication_min: 3 is more than"),
    ],
)
def test_each_mistake_has_its_sentence(run: Run, command: tuple[str, ...], code: int, sentence: str) -> None:
    got, out, err = run(*command)
    assert (got, out) == (code, "")
    assert err.startswith(f"alluxio-mesos {sentence}"), err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("ls", "data"), "argument PATH: 'data' is no path; write an absolute path, such as /data/table"),
        (("ls", "/data/../x"), "argument PATH: '/data/../x' is no path"),
        (("ls", "/data", "--limit", "0"), "argument --limit: '0' is not allowed; write a whole number from 1 to 10000"),
        (("replication", "/data"), "nothing is said; give --min, --max or both"),
        (("replication", "/data", "--min", "-1"), "argument --min: '-1' is not allowed"),
        (("replication", "/data", "--min", "x"), "argument --min: 'x' is not allowed; write a whole number from 0"),
        (("replication", "/data", "--max", "0"), "argument --max: '0' is not allowed; write a whole number from 1"),
        (("load", "/data", "--stop", "--progress"), "not allowed with argument"),
    ],
)
def test_what_cannot_be_read_is_told_before_anything_is_asked(
    run: Run, api: Api, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*command)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert api.namespace.calls == []


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (AlluxioError("/data/a is pinned; unpin it first"), ExitCode.CONFLICT),
        (Impossible("/data/a is on the mount /data, which is read-only"), ExitCode.CONFIGURATION),
    ],
)
def test_what_can_never_be_so_ends_otherwise_than_what_may_be_tried_again(
    run: Run, api: Api, refusal: AlluxioError, code: ExitCode
) -> None:
    api.namespace.refusal = refusal
    for command in (("ttl", "/data/a", "1h", "--action", "delete"), ("free", "/data/a"), ("load", "/data/a")):
        found, out, error = run(*command)
        assert (found, out) == (code, "")
        assert str(refusal) in error


def test_while_alluxio_is_away_a_command_says_so(run: Run, api: Api) -> None:
    api.namespace.away = "no Alluxio master is there yet"
    code, _, err = run("pin", "/data")
    assert code == ExitCode.UNAVAILABLE
    assert err == (
        f"alluxio-mesos pin: {api.url} cannot answer now (503): Alluxio cannot be asked at this moment: no Alluxio "
        "master is there yet; ask again soon\n"
    )


def test_something_is_wanted_for_good(run: Run, api: Api) -> None:
    assert run("wanted")[1] == "nothing is wanted of any path for good\n"
    assert run("ttl", "/later", "7d", "--action", "delete", "--keep")[:2] == (
        0,
        "/later: wanted for good: ttl 7d, delete\n",
    )
    assert run("pin", "/later", "--keep")[1] == "/later: wanted for good: pinned, ttl 7d, delete\n"
    assert run("replication", "/later", "--min", "2", "--max", "none", "--keep")[1] == (
        "/later: wanted for good: ttl 7d, delete, at least 2 copies, no limit of copies\n"
    )
    assert run("ttl", "/later", "none", "--keep")[0] == 0
    assert api.state.paths == (
        WantedPath("/later", Attributes(ttl=NO_TTL, replication_min=2, replication_max=NO_LIMIT)),
    )
    assert run("unpin", "/a", "--keep")[0] == 0
    api.standing_of_paths = {"/a": "", "/later": "it is not there yet"}
    assert [line.split() for line in run("wanted")[1].splitlines()] == [
        ["PATH", "WANTED", "SO"],
        ["/a", "not", "pinned", "yes"],
        [
            *["/later", "no", "ttl,", "at", "least", "2", "copies,", "no", "limit", "of", "copies"],
            *["it", "is", "not", "there", "yet"],
        ],
    ]
    assert run("forget", "/a") == (0, "nothing is wanted of /a any more; it stays as it is\n", "")
    assert run("forget", "/a")[0] == ExitCode.CONFIGURATION
    assert api.namespace.calls == []
