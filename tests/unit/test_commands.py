"""The commands, from their arguments to what is printed and how it ends, against a service that speaks the contract."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Run, runner
from eventually import eventually
from fake_service import TOKEN, Service, problem, service, task
from framework import cli
from framework.commands import running
from framework.commands.following import added
from framework.model import ExitCode

ROOT = Path(__file__).parents[2]


@pytest.fixture
def api() -> Iterator[Service]:
    with service() as made:
        yield made


@pytest.fixture
def run(api: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(api.url, capsys, monkeypatch)


# What is shown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "status",
            ["Service", "alluxio", "well", "1 master, 3 workers, 0 proxies", "96.0 MiB of 768.0 MiB", "worker-2.1"],
        ),
        ("workers", ["wanted: 3 workers; 3 answer", "worker-1", "32.0 MiB of 256.0 MiB"]),
        ("plan", ["deploy  pending  2 of 3 steps ready", "worker-2  pending  it waits for an agent", "recovery"]),
        ("plan deploy", ["deploy  pending"]),
        ("tasks", ["worker-1.1", "registered", "rpc 31000"]),
        ("tasks worker-1", ["Cache", "32.0 MiB of 256.0 MiB"]),
        ("offers", ["memory", "agent has one"]),
        ("offers --all", ["2023-11-14 22:13:22Z", "it already has worker-1"]),
        ("config", ["version 6", "worker-ram", "256MB", "all"]),
        ("events", ["2023-11-14 22:13:21Z  launch             worker-1.1 is launched"]),
        ("logs worker-1", ["one\ntwo\n"]),
        ("top --once", ["alluxio  well", "TASKS", "PLANS", "EVENTS", "q ends"]),
        ("restart worker-1", ["worker-1.1 is ended and launched again"]),
    ],
)
def test_each_command_shows_its_document(run: Run, arguments: str, words: list[str]) -> None:
    code, out, err = run(*arguments.split())
    assert (code, err) == (0, "")
    assert [word for word in words if word not in out] == [], out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("status", "service"),
        ("workers", "count"),
        ("plan deploy", "phases"),
        ("tasks worker-1", "slot"),
        ("offers", "refused"),
        ("config", "options"),
        ("logs worker-1", "text"),
        ("top", "status"),
        ("scale 4 --dry-run", "start"),
        ("scale 4 --wait", "workers"),
        ("restart worker-1", "task_id"),
    ],
)
def test_json_is_one_document_and_nothing_else(run: Run, arguments: str, what: str) -> None:
    code, out, _ = run(*arguments.split(), "--json")
    assert code == 0
    assert what in json.loads(out)


def test_events_as_json_are_one_a_line(run: Run, api: Service) -> None:
    _, out, _ = run("events", "--json", "--after", "1")
    assert [json.loads(line) for line in out.splitlines()] == api.events[1:]


def test_offers_are_grouped_by_reason(run: Run) -> None:
    lines = run("offers")[1].splitlines()
    assert lines[3].split()[:3] == ["memory", "2", "2"]
    assert lines[4].split()[:5] == ["agent", "has", "one", "1", "1"]


def test_where_no_terminal_is_each_row_is_one_line(run: Run, api: Service) -> None:
    api.tasks = [task(0, phase="starting", message="a long word " * 40)]
    out = run("tasks")[1]
    assert [line.split()[0] for line in out.splitlines()] == ["TASK", "worker-0.1"]
    assert "a long word " * 39 in out


def test_an_answer_moves_no_cursor(run: Run, api: Service) -> None:
    api.tasks = [task(0, phase="starting", message="red \x1b[31m and [bold]markup[/bold]")]
    out = run("tasks")[1]
    assert "\x1b" not in out
    assert "[bold]markup[/bold]" in out


def test_the_status_asks_two_questions(run: Run, api: Service) -> None:
    run("status")
    assert [call for call, *_ in api.asked] == ["GET /v1/health", "GET /v1/status"]


def test_a_scheduler_that_is_not_well_has_its_exit_code(run: Run, api: Service) -> None:
    api.said["/v1/health"] = (503, {}, json.dumps({"healthy": False, "role": "leader", "reason": "the stream ended"}))
    code, out, _ = run("status")
    assert code == ExitCode.UNAVAILABLE
    assert "not well: the stream ended" in out


# Scaling --------------------------------------------------------------------------------------------------------------


def test_scale_names_the_version_that_it_saw(run: Run, api: Service) -> None:
    code, out, _ = run("scale", "5")
    assert (code, api.count) == (0, 5)
    assert "3 -> 5 workers" in out
    assert "start: worker-3, worker-4" in out
    call, query, headers, body = api.asked[-1]
    assert (call, query, headers["If-Match"], body) == ("PUT /v1/workers", "dry_run=false", '"6"', {"count": 5})


def test_a_dry_run_changes_nothing_and_says_so(run: Run, api: Service) -> None:
    code, out, _ = run("scale", "1", "--remove", "worker-1", "--remove", "worker-2", "--dry-run", "--wait")
    assert (code, api.count) == (0, 3)
    assert "it would be 3 -> 1 worker\n" in out
    assert "worker-2 on 10.0.0.3, 32.0 MiB cached" in out
    assert api.asked[-1][3] == {"count": 1, "remove": ["worker-1", "worker-2"]}


def test_scale_waits_until_it_is_so(run: Run, api: Service) -> None:
    api.steps = 2
    code, out, err = run("scale", "4", "--wait")
    assert (code, api.left) == (0, 0)
    assert err.splitlines()[-2:] == ["1 missing, worker-3: it waits for an agent that fits", "3 workers ready"]
    assert out == "wanted: 4 workers; 3 answer\n"


def test_scale_all_waits_until_those_who_leave_have_left(run: Run, api: Service) -> None:
    api.steps = 1
    code, _, err = run("scale", "1", "--wait")
    assert code == 0
    assert "worker-1 is persisting, and 1 more leave: 2 files are left" in err
    assert run("scale", "all", "--wait")[0] == 0


def test_a_wait_ends_in_time(run: Run, api: Service) -> None:
    api.steps = 1000
    began = time.monotonic()
    code, _, err = run("scale", "4", "--wait", "--timeout", "0.7")
    assert code == ExitCode.NOT_IN_TIME
    assert time.monotonic() - began < 30
    assert "it is not so after 0.7 s: 1 missing" in err


def test_a_wait_outlasts_a_scheduler_that_is_away(run: Run, api: Service) -> None:
    away = iter([problem(503, "no scheduler leads at this moment; ask again soon")] * 2)
    first = []

    class Said(dict[str, Any]):
        def __contains__(self, path: object) -> bool:
            if path != "/v1/workers" or len(first) < 2:  # the version, and the change
                first.append(path)
                return False
            found = next(away, None)
            self["/v1/workers"] = found
            return found is not None

    api.said = Said()
    code, _, err = run("scale", "4", "--wait", "--timeout", "20")
    assert code == 0
    assert "cannot answer now (503): no scheduler leads at this moment" in err


def test_a_wait_ends_when_somebody_wants_another_number(run: Run, api: Service) -> None:
    put = api._scale

    def scale_and_be_overtaken(*given: Any) -> Any:
        found = put(*given)
        api.count = 9
        return found

    api._scale = scale_and_be_overtaken  # type: ignore[method-assign]
    code, _, err = run("scale", "4", "--wait")
    assert code == ExitCode.CONFLICT
    assert "9 workers are wanted by now, not 4: somebody else made a change" in err


def test_plan_waits_until_nothing_is_left(run: Run, api: Service) -> None:
    code, _, err = run("plan", "deploy", "--wait", "--timeout", "0.2")
    assert code == ExitCode.NOT_IN_TIME
    assert "workers worker-2: it waits for an agent that fits" in err
    api.said["/v1/plans/recovery"] = (200, {}, '{"name": "recovery", "status": "ready", "phases": []}')
    assert run("plan", "recovery", "--wait")[0] == 0


# Troubles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        (
            problem(412, "x"),
            ExitCode.CONFLICT,
            "nothing was done (412): somebody else made a change at the same moment",
        ),
        (problem(409, "it was just launched"), ExitCode.CONFLICT, "nothing was done (409): it was just launched\n"),
        (problem(401, "x"), ExitCode.REFUSED, "wants a token (401): give a file that holds it with --api-token-file"),
        (problem(403, "the token is for reading"), ExitCode.REFUSED, "does not allow this (403): the token is for"),
        (
            problem(503, "nobody leads; ask again soon"),
            ExitCode.UNAVAILABLE,
            "cannot answer now (503): nobody leads; ask",
        ),
        (problem(422, "count: 9 is not allowed"), ExitCode.CONFIGURATION, "count: 9 is not allowed"),
        (problem(404, "there is no task"), ExitCode.CONFIGURATION, "there is no task"),
        (
            problem(404, "there is nothing at /v1/workers; /v1/openapi.json lists what there is"),
            ExitCode.CONFIGURATION,
            "/v1/workers is not known there (404): the scheduler is older than this command, or the path of a proxy",
        ),
        (problem(500, "a defect"), ExitCode.UNAVAILABLE, "failed (500): a defect"),
        ((429, {"Retry-After": "3"}, "{}"), ExitCode.UNAVAILABLE, "asked too often (429); ask again in 3 s"),
        ((502, {}, "<html>"), ExitCode.UNAVAILABLE, "failed (502): Bad Gateway"),
        ((404, {}, "<html>"), ExitCode.UNAVAILABLE, "is not the API of alluxio-mesos (404, no document); check --api"),
        ((200, {}, "<html>"), ExitCode.UNAVAILABLE, "is not the API of alluxio-mesos (200, no document)"),
        ((307, {"Location": "/v1/workers"}, ""), ExitCode.UNAVAILABLE, "from one scheduler to the next and back"),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(
    run: Run, api: Service, said: tuple[int, dict[str, str], str], code: ExitCode, sentence: str
) -> None:
    api.said["/v1/workers"] = said
    ended, out, err = run("scale", "4")
    assert (ended, out, err.count("\n")) == (code, "", 1), err
    assert err.startswith("alluxio-mesos scale: ")
    assert sentence in err


@pytest.mark.parametrize("words", [("status",), ("load", "/data")])
def test_nobody_there(run: Run, words: tuple[str, ...]) -> None:
    """Nothing may hold that was never sent."""
    code, _, err = run(*words, "--api", "http://127.0.0.1:1")
    assert code == ExitCode.UNAVAILABLE
    assert err == (
        f"alluxio-mesos {words[0]}: http://127.0.0.1:1 does not answer (connection refused); name the API with --api "
        "or ALLUXIO_MESOS_API, or see whether a scheduler runs there\n"
    )


def test_an_address_may_have_a_path(run: Run, api: Service) -> None:
    assert run("workers", "--api", f"{api.url}/service/alluxio/")[0] == 0
    assert api.asked[-1][0] == "GET /service/alluxio/v1/workers"


def test_the_token_comes_from_a_file_or_the_environment(
    run: Run, api: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.token = TOKEN
    file = tmp_path / "token"
    file.write_text(f"\n{TOKEN}\nold-token-of-before\n")
    assert run("workers")[0] == ExitCode.REFUSED
    assert run("workers", "--api-token-file", str(file))[0] == 0
    monkeypatch.setenv("ALLUXIO_MESOS_API_TOKEN", TOKEN)
    assert run("workers")[0] == 0
    file.write_text("another-token-0123456789")  # a file wins
    code, _, err = run("workers", "--api-token-file", str(file))
    assert code == ExitCode.REFUSED
    assert f"does not know this token (401): put the API's token into what --api-token-file {file} names" in err
    assert "another-token" not in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--api ftp://x", "--api: 'ftp://x' is not allowed; write http://HOST:PORT"),
        ("--api http://x:99999", "is not allowed"),
        ("--api http://x/?a=1", "is not allowed"),
        ("--api http://user:secret@x", "--api: a user or a password in the address is not allowed"),
        ("--api-ca-file /nowhere", "--api-ca-file: /nowhere is no file"),
        ("--api-token-file /nowhere", "--api-token-file /nowhere cannot be read (No such file or directory)"),
    ],
)
def test_wrong_places_are_named(run: Run, arguments: str, sentence: str) -> None:
    code, _, err = run("workers", *arguments.split())
    assert code == ExitCode.CONFIGURATION
    assert sentence in err
    assert "secret" not in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("scale many", "'many' is not allowed; write a whole number from 0 to 10000, or all"),
        ("scale 10001", "is not allowed"),
        ("scale 1 --remove master-0", "'master-0' is not allowed; write a worker's slot"),
        ("logs worker-0 --lines 0", "from 1 to 1000"),
        ("top --every 0", "at least 0.1"),
        ("events --after x", "write an event's number"),
        ("endpoints hive", "invalid choice: 'hive' (choose from 'alluxio', 'spark', 'hadoop', 's3', 'prometheus')"),
    ],
)
def test_wrong_arguments_end_before_anything_is_asked(
    api: Service, capsys: pytest.CaptureFixture[str], arguments: str, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments.split())
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert api.asked == []


# What goes on ---------------------------------------------------------------------------------------------------------


def _started(api: Service, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ALLUXIO_MESOS_API": api.url}
    return subprocess.Popen(
        [sys.executable, "-m", "framework", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


def test_events_are_followed_without_a_gap_and_none_twice(api: Service) -> None:
    process = _started(api, "events", "--follow", "--json")
    assert process.stdout is not None
    try:
        seen = [json.loads(process.stdout.readline())["number"] for _ in range(3)]
        api.events.append({**api.events[-1], "number": 4})  # the stream has ended by now: it is asked for again
        seen.append(json.loads(process.stdout.readline())["number"])
    finally:
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert (seen, rest, process.returncode, err) == ([1, 2, 3, 4], "", 130, "")


def test_a_log_is_followed(api: Service) -> None:
    api.log = [
        ("worker-1.1", "one\ntwo\n"),
        ("worker-1.1", "one\ntwo\n"),
        ("worker-1.1", "one\ntwo\nthrée\n"),
        ("worker-1.2", "anew\n"),
    ]
    process = _started(api, "logs", "worker-1", "-f", "--lines", "1")
    assert process.stdout is not None
    try:
        seen = [process.stdout.readline() for _ in range(4)]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert seen == ["two\n", "thrée\n", "--- worker-1.2 ---\n", "anew\n"]


@pytest.mark.parametrize(
    ("size", "text", "expected"),
    [
        (10, "0123456789", ""),
        (12, "0123456789ab", "ab"),
        (25, "0123456789", "--- 5 bytes more ---\n0123456789"),
        (3, "abc", "--- stdout begins anew ---\nabc"),
    ],
)
def test_what_a_log_got_since(size: int, text: str, expected: str) -> None:
    before = {"task_id": "a.1", "file": "stdout", "size_bytes": 10, "text": "0123456789"}
    assert added(before, {**before, "size_bytes": size, "text": text}) == expected


def test_a_reader_that_goes_ends_it_quietly(api: Service) -> None:
    api.tasks = [
        task(index, phase="starting", message="word " * 1000) for index in range(500)
    ]  # more than a pipe holds
    with _started(api, "tasks") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 141


# Help -----------------------------------------------------------------------------------------------------------------


def test_help_is_grouped_and_names_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert [line.strip() for line in out.splitlines() if line.startswith("  ") and line.endswith(":")] == [
        "see a service:",
        "change a service:",
        "see and say what is cached:",
        "run a service:",
        "help at the prompt:",
    ]
    assert [name for name in running.COMMANDS if f"\n    {name.partition(' ')[0]} " not in out] == []


def test_help_loads_nothing_heavy() -> None:
    heavy = "rich requests shtab pymesos kazoo grpc starlette uvicorn jinja2 prometheus_client"
    script = (
        "import sys\nfrom framework import cli\n"
        "try: cli.main(['scale', '--help'])\nexcept SystemExit: pass\n"
        f"print('loaded', [name for name in {heavy!r}.split() if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", []), ("fish", [])])
def test_completion(capsys: pytest.CaptureFixture[str], shell: str, check: list[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "dry-run" in out
    assert "workers" in out
    if check:
        subprocess.run(check, input=out, text=True, check=True)


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["completion", "bash"])
    asked = (
        "\nCOMP_WORDS=(alluxio-mesos scale --dr); COMP_CWORD=2; COMP_LINE='alluxio-mesos scale --dr'; "
        "$(complete -p alluxio-mesos | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo \"${COMPREPLY[@]}\""
    )
    script = capsys.readouterr().out + asked
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--dry-run"]


def test_events_come_back_after_the_stream_ended(api: Service) -> None:
    """The header says where to go on."""
    process = _started(api, "events", "-f")
    try:
        eventually(lambda: sum(call[0] == "GET /v1/events" for call in api.asked) >= 2, "the stream is asked for again")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert api.asked[-1][2]["Last-Event-ID"] == "3"
