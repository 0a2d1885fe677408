"""The commands that change the configuration, let plans rest and set the log's level: against a service that speaks
the contract, in a terminal, and against the real application.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, serving
from command_line import Run, in_terminal, runner
from fake_service import Service, service
from framework import cli
from framework.api.configuring import LEVELS
from framework.commands import arguments, waiting
from framework.commands.client import Client, Place
from framework.model import ExitCode, Kind, Record, Report, TaskState
from framework.state import PLANS

PREVIEW = "would change:\n  worker-ram: 256MB -> 8GB\nwould be launched again, in this order: worker-0, worker-1\n"
SET = ("config", "set", "worker-ram=8GB")


@pytest.fixture
def api() -> Iterator[Service]:
    with service() as made:
        yield made


@pytest.fixture
def run(api: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(api.url, capsys, monkeypatch)


def calls(api: Service) -> list[tuple[str, str, str | None, Any]]:
    return [(call, query, headers.get("If-Match"), body) for call, query, headers, body in api.asked]


# The configuration ----------------------------------------------------------------------------------------------------


def test_a_change_is_shown_then_made_of_the_version_that_was_seen(run: Run, api: Service) -> None:
    code, out, err = run(*SET, "--yes")
    assert (code, err) == (0, PREVIEW)
    assert out == "version 7 holds; 2 tasks are launched again: `alluxio-mesos plan update` shows how far it is\n"
    body = {"options": {"worker-ram": "8GB"}}
    assert calls(api) == [
        ("PUT /v1/config", "dry_run=true", None, body),
        ("PUT /v1/config", "dry_run=false", '"6"', body),
    ]


def test_a_dry_run_changes_nothing_and_needs_no_yes(run: Run, api: Service) -> None:
    assert run(*SET, "--dry-run", "--wait") == (0, PREVIEW, "")
    assert (api.number, len(api.asked)) == (6, 1)


def test_a_value_may_have_any_sign_and_several_options_change_at_once(run: Run, api: Service) -> None:
    code, _, _ = run("config", "set", "properties=a=1,b=ä", "worker-ram=", "--yes")
    assert code == 0
    assert api.asked[-1][3] == {"options": {"properties": "a=1,b=ä", "worker-ram": ""}}


def test_unset_takes_back(run: Run, api: Service) -> None:
    code, _, err = run("config", "unset", "worker-ram", "--yes")
    assert (code, api.options) == (0, {"worker-ram": "1GB"})
    assert "worker-ram: 256MB -> 1GB" in err
    assert api.asked[-1][3] == {"options": {"worker-ram": None}}


def test_rollback_goes_back_to_an_earlier_version(run: Run, api: Service) -> None:
    run(*SET, "--yes")
    code, out, err = run("config", "rollback", "6", "--yes")
    assert (code, api.options) == (0, {"worker-ram": "256MB"})
    assert "version 8 holds" in out
    assert "worker-ram: 8GB -> 256MB" in err
    assert calls(api)[2:] == [
        ("POST /v1/config/rollback", "dry_run=true", None, {"number": 6}),
        ("POST /v1/config/rollback", "dry_run=false", '"7"', {"number": 6}),
    ]


def test_where_nothing_changes_it_says_so(run: Run, api: Service) -> None:
    code, out, err = run("config", "set", "worker-ram=256MB", "--yes")
    assert (code, out) == (0, "version 6 holds as before\n")
    assert err == "no option would change: version 6 says the same\n"


def test_the_history_has_the_newest_first(run: Run, api: Service) -> None:
    run(*SET, "--yes")
    code, out, _ = run("config", "history")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["VERSION", "SINCE", "CONFIGURATION", "MASTERS", "WORKERS", "PROXIES", "CHANGED"],
        ["7", "2023-11-14", "22:13:27Z", "8GB", "1", "all", "0", "worker-ram:", "256MB", "->", "8GB"],
        ["6", "2023-11-14", "22:13:26Z", "256MB", "1", "all", "0", "-"],
    ]
    assert json.loads(run("config", "history", "--json")[1]) == api.history


def test_what_is_given_before_the_action_holds_too(run: Run, api: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLUXIO_MESOS_API", "http://127.0.0.1:1")
    assert json.loads(run("config", "--json", "--api", api.url, "history")[1]) == api.history


def test_json_is_one_document_and_nothing_else(run: Run, api: Service) -> None:
    code, out, err = run(*SET, "--yes", "--json")
    assert (code, err, json.loads(out)["dry_run"], json.loads(out)["number"]) == (0, "", False, 7)
    assert json.loads(run(*SET, "--dry-run", "--json")[1])["dry_run"] is True


def test_it_waits_until_those_that_took_it_are_back(run: Run, api: Service) -> None:
    api.steps = 2
    code, out, err = run(*SET, "--yes", "--wait")
    assert (code, out) == (0, "version 7 holds, and no task is left that has still to take it\n")
    assert err == PREVIEW + (
        "worker-1: it runs with an earlier configuration until it is its turn\n"
        "worker-1: it is not ready yet\n"
        "no task has still to take it\n"
    )


def test_a_wait_as_json_ends_with_the_plan(run: Run) -> None:
    code, out, _ = run(*SET, "--yes", "--wait", "--json")
    assert code == 0
    assert (json.loads(out)["number"], json.loads(out)["plan"]["name"]) == (7, "update")


def test_a_wait_says_that_the_plan_is_paused(run: Run, api: Service) -> None:
    api.steps, api.paused = 2, {"update"}
    code, _, err = run(*SET, "--yes", "--wait", "--timeout", "0.2")
    assert code == ExitCode.NOT_IN_TIME
    assert "it is not so after 0.2 s: the plan update is paused; `alluxio-mesos plan resume update` lets it go" in err


def overtaken(api: Service, after: int, **more: Any) -> None:
    """Somebody else makes a change after so many answers."""
    configure, answered = api._configure, []

    def answer(*given: Any) -> Any:
        found = configure(*given)
        answered.append(found)
        if len(answered) == after:
            api.number += 1
            api.history.append({**api.history[-1], "number": api.number, **more})
        return found

    api._configure = answer  # type: ignore[method-assign]


def test_nobody_is_overwritten(run: Run, api: Service) -> None:
    overtaken(api, 1)
    code, out, err = run(*SET, "--yes")
    assert (code, out, api.options) == (ExitCode.CONFLICT, "", {"worker-ram": "256MB"})
    assert "alluxio-mesos config set: nothing was done (412): somebody else made a change at the same moment" in err


def test_a_wait_ends_when_another_configuration_holds(run: Run, api: Service) -> None:
    api.steps = 1000
    overtaken(api, 2, configuration="another")
    code, _, err = run(*SET, "--yes", "--wait")
    assert code == ExitCode.CONFLICT
    assert "version 8 holds by now, not 7: somebody else made a change; the wait ends" in err


def test_a_wait_goes_on_when_only_the_number_of_workers_changes(run: Run, api: Service) -> None:
    overtaken(api, 2, workers=9)
    assert run(*SET, "--yes", "--wait")[0] == 0


def test_a_first_question_that_nobody_answers_changed_nothing(run: Run) -> None:
    code, _, err = run(*SET, "--yes", "--api", "http://127.0.0.1:1")
    assert code == ExitCode.UNAVAILABLE
    assert err.endswith("name the API with --api or ALLUXIO_MESOS_API, or see whether a scheduler runs there\n")


def test_each_mistake_is_a_line(run: Run, api: Service) -> None:
    mistakes = ["worker-ram: '12q' is not allowed", "lunch: there is no such option"]
    document = {"status": 422, "detail": "; ".join(mistakes), "errors": mistakes}
    api.said["/v1/config"] = (422, {"Content-Type": "application/problem+json"}, json.dumps(document))
    code, out, err = run("config", "set", "worker-ram=12q", "lunch=1", "--yes")
    assert (code, out) == (ExitCode.CONFIGURATION, "")
    assert err.splitlines() == [f"alluxio-mesos config set: {mistake}" for mistake in mistakes]


def test_an_option_that_is_named_twice_is_refused(run: Run, api: Service) -> None:
    for given in (("set", "a=1", "a=2", "b=3"), ("unset", "a", "b", "a")):
        code, _, err = run("config", *given, "--yes")
        assert code == ExitCode.CONFIGURATION
        assert err == f"alluxio-mesos config {given[0]}: a: given more than once; give each option once\n"
    assert api.asked == []


# The question ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [SET, ("config", "unset", "a"), ("config", "rollback", "1")])
def test_where_nobody_can_be_asked_nothing_is_done(run: Run, api: Service, given: tuple[str, ...]) -> None:
    code, out, err = run(*given)
    assert (code, out, api.asked) == (ExitCode.CONFIGURATION, "", [])
    assert err.endswith(
        "nobody can be asked whether to go on, as this is no terminal; give --yes to change it without a question, "
        "or --dry-run to see what it would do\n"
    )


@pytest.mark.parametrize("reply", ["y\n", "YES\n"])
def test_a_yes_goes_on(api: Service, reply: str) -> None:
    code, out, shown = in_terminal(api.url, reply, *SET)
    assert (code, api.options) == (0, {"worker-ram": "8GB"})
    assert shown == f"{PREVIEW}go on? [y/N] {reply}"
    assert out.startswith("version 7 holds; 2 tasks are launched again")


@pytest.mark.parametrize("reply", ["\n", "n\n", "yeah\n", "\x04", signal.SIGINT])
def test_anything_else_does_not(api: Service, reply: str | signal.Signals) -> None:
    code, out, shown = in_terminal(api.url, reply, *SET)
    assert (code, out, api.options) == (130, "", {"worker-ram": "256MB"})
    assert "Traceback" not in shown
    assert isinstance(reply, signal.Signals) or shown.endswith("\nnothing was changed\n")


def test_json_in_a_terminal_is_asked_too_and_stays_alone_on_standard_output(api: Service) -> None:
    code, out, shown = in_terminal(api.url, "y\n", *SET, "--json")
    assert (code, json.loads(out)["number"]) == (0, 7)
    assert shown.startswith(PREVIEW)


# Plans and the log's level --------------------------------------------------------------------------------------------


def test_a_plan_rests_and_goes_on(run: Run, api: Service) -> None:
    assert run("plan", "pause", "deploy") == (
        0,
        "deploy begins nothing more; `alluxio-mesos plan resume deploy` lets it go on\n",
        "",
    )
    assert run("plan", "resume", "deploy")[:2] == (0, "deploy goes on\n")
    assert json.loads(run("plan", "pause", "deploy", "--json")[1]) == {"name": "deploy", "paused": True}
    assert api.asked[0][0] == "POST /v1/plans/deploy/pause"
    api.paused = {"update"}
    assert "update  ready, paused  nothing to do" in run("plan")[1]


def test_the_log_has_more_or_less(run: Run, api: Service) -> None:
    assert run("log-level")[:2] == (0, "INFO\n")
    assert run("log-level", "debug")[:2] == (0, "the leader's log has DEBUG and worse, until its process ends\n")
    assert api.level == "DEBUG"
    assert json.loads(run("log-level", "--json")[1]) == {"level": "DEBUG"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("config set worker-ram", "'worker-ram' is not allowed; write NAME=VALUE, such as worker-ram=8GB"),
        ("config set =8GB", "is not allowed; write NAME=VALUE"),
        ("config set", "the following arguments are required: NAME=VALUE"),
        ("config rollback 0", "'0' is not allowed; write a number of `config history`"),
        ("config rollback six", "is not allowed; write a number"),
        ("config lunch", "invalid choice: 'lunch'"),
        ("plan pause", "which plan shall pause? write pause NAME; there are deploy, recovery, update, decommission"),
        ("plan deploy update", "'deploy update' is not allowed; write NAME, pause NAME or resume NAME"),
        ("plan pause resume deploy", "'pause resume deploy' is not allowed"),
        ("plan pause deploy --wait", "--wait does not go with pause"),
        ("log-level loud", "invalid choice: 'LOUD' (choose from"),
    ],
)
def test_wrong_arguments_end_before_anything_is_asked(
    api: Service, capsys: pytest.CaptureFixture[str], given: str, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(given.split())
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert api.asked == []


# Help -----------------------------------------------------------------------------------------------------------------


def test_what_completion_offers_is_what_there_is() -> None:
    assert set(arguments.PLANS) == set(PLANS)
    assert arguments.LEVELS == LEVELS


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("config ro", ["rollback"]),
        ("config rollback 3 --dr", ["--dry-run"]),
        ("config set worker-ra", ["worker-ram="]),
        ("config unset worker-ram worker-s", ["worker-ssd"]),
        ("config set worker", None),
        ("plan pa", ["pause"]),
        ("plan resume de", ["deploy", "decommission"]),
        ("log-l", ["log-level"]),
        ("log-level W", ["WARNING"]),
    ],
)
def test_bash_completes(capsys: pytest.CaptureFixture[str], typed: str, offered: list[str] | None) -> None:
    cli.main(["completion", "bash"])
    words = ["alluxio-mesos", *typed.split()]
    asked = (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE='{' '.join(words)}'; "
        "$(complete -p alluxio-mesos | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo \"${COMPREPLY[@]}\""
    )
    script = capsys.readouterr().out + asked
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    found = done.stdout.split()
    if offered is not None:
        assert found == offered
    else:
        assert "workers=" not in found  # it is changed elsewhere
        assert "worker-cpus=" in found


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_know_them(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    cli.main(["completion", shell])
    out = capsys.readouterr().out
    for words in ("history", "rollback", "worker-ram=", "pause resume deploy", "DEBUG INFO WARNING ERROR"):
        assert words in out


# The real application -------------------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        worker = Record(Kind.WORKER, 0, 3, "S1", "h1", {"rpc": 21000, "web": 21001}, "c1", 1000.0, deployed=True)
        master = Record(Kind.MASTER, 0, 1, "S2", "h2", {"rpc": 21000, "web": 21001}, "c1", 900.0, deployed=True)
        reports = {
            record.task_id: Report(record.task_id, TaskState.RUNNING, record.agent_id, 2.0, 2.0, healthy=True)
            for record in (worker, master)
        }
        made.state = dataclasses.replace(made.state, records={"worker-0": worker, "master-0": master}, reports=reports)
        yield made


@pytest.fixture
def ask(real: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(real.url, capsys, monkeypatch)


def test_the_real_configuration_is_changed_and_taken_back(real: Api, ask: Run) -> None:
    code, out, err = ask("config", "set", "worker-ram=2GB", "stickiness=1m", "--yes")
    assert code == 0, err
    assert "would be launched again, in this order: master-0, worker-0" in err
    assert out.startswith("version 1 holds; 2 tasks are launched again")
    assert real.state.policy.stickiness == 60.0
    code, out, err = ask("config", "unset", "stickiness", "--yes")
    assert (code, real.state.policy.stickiness) == (0, 600.0)
    assert "  stickiness: 1m -> 10m\n" in err
    code, out, err = ask("config", "rollback", "1", "--yes")
    assert (code, real.state.policy.stickiness) == (0, 60.0)
    assert out.startswith("version 3 holds")
    assert [line.split()[0] for line in ask("config", "history")[1].splitlines()] == ["VERSION", "3", "2", "1"]
    shown = ask("config")[1]
    assert "version 3" in shown
    assert "worker-ram" in shown


def test_the_real_update_is_over_once_who_took_it_answers(real: Api, ask: Run) -> None:
    ask("config", "set", "worker-ram=2GB", "--yes")
    records, ids = dict(real.state.records), real.state.wanted.configurations

    def left() -> tuple[int, str]:
        with Client(Place(real.url)) as client:
            standing = waiting.update(client, 1, ["master-0", "worker-0"])
        return standing.left, standing.sentence

    def take_it(slot: str, *, answers: bool) -> None:
        current = {"configuration": ids[records[slot].kind], "attempt": 9, "launched_at": time.time()}
        records[slot] = dataclasses.replace(records[slot], **current)
        told = Report(records[slot].task_id, TaskState.RUNNING, "S1", 2.0, 2.0, healthy=True)
        reports = {**real.state.reports, told.task_id: told} if answers else real.state.reports
        real.state = dataclasses.replace(real.state, records=dict(records), reports=reports)

    assert left() == (2, "master-0: it runs with an earlier configuration until it is its turn")
    take_it("master-0", answers=True)
    assert left() == (1, "worker-0: it runs with an earlier configuration until it is its turn")
    take_it("worker-0", answers=False)
    assert ask("plan", "update")[1] == "update  ready  nothing to do\n"
    assert left()[0] == 1  # it is launched, and that is not enough
    take_it("worker-0", answers=True)
    assert left() == (0, "no task has still to take it")
    code, out, _ = ask("config", "set", "worker-ram=2GB", "--yes", "--wait")
    assert (code, out) == (0, "version 1 holds as before, and no task is left that has still to take it\n")


def test_real_mistakes_are_told_one_a_line(real: Api, ask: Run) -> None:
    code, out, err = ask("config", "set", "worker-ram=12q", "stickiness=soon", "--yes")
    assert (code, out) == (ExitCode.CONFIGURATION, "")
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "alluxio-mesos config set: worker-ram: '12q' is no size",
        "alluxio-mesos config set: stickiness: 'soon' is no duration",
    ]
    assert "there is no such option" in ask("config", "unset", "lunch", "--yes")[2]
    assert "the service keeps its name" in ask("config", "set", "name=other", "--dry-run")[2]
    assert "there is no entry 9" in ask("config", "rollback", "9", "--yes")[2]
    assert real.state.history == ()


def test_a_real_plan_rests(real: Api, ask: Run) -> None:
    assert ask("plan", "pause", "update")[0] == 0
    assert real.state.wanted.paused == {"update"}
    assert ask("plan", "update")[1].startswith("update  pending, paused  0 of")
    assert ask("plan", "resume", "update")[0] == 0
    assert real.state.wanted.paused == frozenset()
    code, _, err = ask("plan", "pause", "lunch")
    assert code == ExitCode.CONFIGURATION
    assert err.startswith("alluxio-mesos plan pause: there is no plan 'lunch'; there are ")


def test_the_real_log_has_more(ask: Run) -> None:
    assert ask("log-level", "DEBUG")[0] == 0
    assert logging.getLogger().level == logging.DEBUG
    assert ask("log-level")[1] == "DEBUG\n"
