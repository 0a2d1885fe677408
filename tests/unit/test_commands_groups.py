"""The commands for groups of workers: against a service that speaks the contract, and against the real application."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_stage import Api, serving
from command_line import Run, in_terminal, runner
from fake_service import Service, problem, service
from framework import cli
from framework.commands import waiting
from framework.commands.client import Client, Place, Trouble
from framework.model import ExitCode, Kind, Record, Report, TaskState

SSD = {"worker-ssd": "200GB", "worker-placement": "disk:IS:ssd"}
SET = ("groups", "set", "ssd", "2", "worker-ssd=200GB", "worker-placement=disk:IS:ssd")
PREVIEW = (
    "group ssd would be 0 -> 2 workers\n"
    "would start: worker-ssd-0, worker-ssd-1\n"
    "options would change:\n"
    "  worker-placement: (as in default) -> disk:IS:ssd\n"
    "  worker-ssd: (as in default) -> 200GB\n"
    "no task would be launched again\n"
)


@pytest.fixture
def api() -> Iterator[Service]:
    with service() as made:
        yield made


@pytest.fixture
def run(api: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(api.url, capsys, monkeypatch)


@pytest.fixture
def grouped(run: Run, api: Service) -> Service:
    """With a group of two workers."""
    assert run(*SET, "--yes")[0] == 0
    api.asked.clear()
    return api


def calls(api: Service) -> list[tuple[str, str, str | None, Any]]:
    return [(call, query, headers.get("If-Match"), body) for call, query, headers, body in api.asked]


# What there is --------------------------------------------------------------------------------------------------------


def test_the_groups_are_listed_with_what_they_wait_for(run: Run, grouped: Service) -> None:
    grouped.groups["ssd"]["left"] = 1
    code, out, _ = run("groups")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["GROUP", "WANTED", "READY", "MISSING", "OPTIONS"],
        ["default", "3", "3", "-", "-"],
        ["ssd", "2", "1", "1", "worker-placement=disk:IS:ssd", "worker-ssd=200GB"],
        [],
        ["ssd:", "1", "missing", "because", "worker-ssd-1:", "it", "waits", "for", "an", "agent", "that", "fits"],
    ]
    assert [group["name"] for group in json.loads(run("groups", "--json")[1])["groups"]] == ["default", "ssd"]


def test_one_is_shown_with_its_workers_and_who_leaves(run: Run, grouped: Service) -> None:
    grouped.steps = 9
    run("groups", "set", "ssd", "1", "--yes")
    code, out, _ = run("groups", "show", "ssd")
    assert code == 0
    assert out.startswith(
        "group ssd, wanted: 1 worker; 1 answers, 1 leaving\n"
        "its own options: worker-placement=disk:IS:ssd worker-ssd=200GB\n"
    )
    for words in ("worker-ssd-0", "LEAVES", "worker-ssd-1", "persisting", "2 files are left"):
        assert words in out
    assert json.loads(run("groups", "show", "ssd", "--json")[1])["name"] == "ssd"


def test_who_shows_workers_says_that_there_are_other_groups(run: Run, grouped: Service) -> None:
    assert run("workers")[1].startswith(
        "wanted: 3 workers; 3 answer\nother groups: ssd 2 of 2; `alluxio-mesos groups` tells more\n"
    )
    assert "other groups: ssd 2 of 2\n" in run("top", "--once")[1]
    assert "3 workers in default, 2 workers in ssd, 0 proxies" in run("status")[1]


def test_an_older_scheduler_has_no_groups(run: Run, api: Service) -> None:
    api.said["/v1/worker-groups"] = problem(404, "there is nothing at /v1/worker-groups")
    assert run("workers")[1].startswith("wanted: 3 workers; 3 answer\n\nWORKER")
    assert "other groups" not in run("top", "--once")[1]
    code, _, err = run("groups")
    assert code == ExitCode.CONFIGURATION
    assert "/v1/worker-groups is not known there (404): the scheduler is older than this command" in err


# What is changed ------------------------------------------------------------------------------------------------------


def test_a_group_is_shown_then_made_of_the_version_that_was_seen(run: Run, api: Service) -> None:
    code, out, err = run(*SET, "--yes")
    assert (code, err) == (0, PREVIEW)
    assert out == "version 7 holds: group ssd wants 2 workers; `alluxio-mesos groups show ssd` shows how far it is\n"
    body = {"count": 2, "options": SSD}
    assert calls(api) == [
        ("PUT /v1/worker-groups/ssd", "dry_run=true", None, body),
        ("PUT /v1/worker-groups/ssd", "dry_run=false", '"6"', body),
    ]


def test_a_dry_run_changes_nothing_and_needs_no_yes(run: Run, grouped: Service) -> None:
    assert run("groups", "set", "hdd", "1", "--dry-run", "--wait")[0] == 0
    code, out, _ = run("groups", "remove", "ssd", "--dry-run")
    assert code == 0
    assert out == (
        "group ssd would be wanted no more\n"
        "would leave, after what only they cache is kept:\n"
        "  worker-ssd-0 on 10.0.1.1, 32.0 MiB cached\n"
        "  worker-ssd-1 on 10.0.1.2, 32.0 MiB cached\n"
    )
    assert (list(grouped.groups), grouped.number) == (["ssd"], 7)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (("3",), {"count": 3}),
        (("all",), {"count": "all"}),
        (("3", "--no-options"), {"count": 3, "options": {}}),
        (("3", "worker-ram=8GB"), {"count": 3, "options": {"worker-ram": "8GB"}}),
        (("1", "--remove", "worker-ssd-0"), {"count": 1, "remove": ["worker-ssd-0"]}),
    ],
)
def test_options_stay_unless_others_or_none_are_given(
    run: Run, api: Service, given: tuple[str, ...], body: dict[str, Any]
) -> None:
    api.said["/v1/worker-groups/ssd"] = problem(422, "only the question counts here")
    assert run("groups", "set", "ssd", *given, "--dry-run")[0] == ExitCode.CONFIGURATION
    assert calls(api) == [("PUT /v1/worker-groups/ssd", "dry_run=true", None, body)]


def test_where_nothing_changes_it_says_so(run: Run, grouped: Service) -> None:
    _, _, err = run("groups", "set", "ssd", "2", "--yes")
    assert err == "nothing of group ssd would change: version 7 says the same\n"


def test_tasks_of_other_groups_are_none_of_its_business(run: Run, api: Service) -> None:
    changed = api._group_changed

    def with_others(*given: Any) -> Any:
        return {**changed(*given), "restarts": ["worker-0", "worker-ssd-0", "worker-ssd-x-0"]}

    api._group_changed = with_others  # type: ignore[method-assign]
    assert run(*SET, "--dry-run")[1].endswith("\nwould be launched again, in this order: worker-ssd-0\n")


def test_a_group_is_removed(run: Run, grouped: Service) -> None:
    code, out, err = run("groups", "remove", "ssd", "--yes")
    assert (code, err.splitlines()[0]) == (0, "group ssd would be wanted no more")
    assert out == (
        "version 8 holds: group ssd is wanted no more; 2 workers leave; "
        "`alluxio-mesos groups show ssd` shows how far it is\n"
    )
    assert calls(grouped) == [
        ("DELETE /v1/worker-groups/ssd", "dry_run=true", None, None),
        ("DELETE /v1/worker-groups/ssd", "dry_run=false", '"7"', None),
    ]


def test_a_group_that_is_not_there_cannot_be_shown_or_removed(run: Run) -> None:
    for verb in ("show", "remove"):
        code, _, err = run("groups", verb, "ssd", *(["--yes"] if verb == "remove" else []))
        assert code == ExitCode.CONFIGURATION
        assert err.startswith(f"alluxio-mesos groups {verb}: there is no group 'ssd'")


@pytest.mark.parametrize("given", [SET, ("groups", "remove", "ssd")])
def test_where_nobody_can_be_asked_nothing_is_done(run: Run, api: Service, given: tuple[str, ...]) -> None:
    code, out, err = run(*given)
    assert (code, out, api.asked) == (ExitCode.CONFIGURATION, "", [])
    assert "give --yes to change it without a question" in err


def test_a_removal_is_asked_about(grouped: Service) -> None:
    code, out, shown = in_terminal(grouped.url, "n\n", "groups", "remove", "ssd")
    assert (code, out, list(grouped.groups)) == (130, "", ["ssd"])
    assert shown.startswith("group ssd would be wanted no more\nwould leave, after what only they cache is kept:\n")
    assert shown.endswith("go on? [y/N] n\nnothing was changed\n")
    assert in_terminal(grouped.url, "y\n", "groups", "set", "ssd", "1")[0] == 0
    assert grouped.groups["ssd"]["count"] == 1


def test_where_nothing_would_change_nobody_is_asked(grouped: Service) -> None:
    code, _, shown = in_terminal(grouped.url, "", "groups", "set", "ssd", "2", question="the same\n")
    assert (code, shown) == (0, "nothing of group ssd would change: version 7 says the same\n")


def test_json_is_one_document_and_nothing_else(run: Run) -> None:
    code, out, err = run(*SET, "--yes", "--json")
    assert (code, err, json.loads(out)["number"]) == (0, "", 7)
    code, out, _ = run("groups", "set", "ssd", "3", "--yes", "--json", "--wait")
    assert (code, json.loads(out)["count"], json.loads(out)["group"]["ready"]) == (0, 3, 3)
    code, out, _ = run("groups", "remove", "ssd", "--yes", "--json", "--wait")
    assert (code, json.loads(out)["count"], json.loads(out)["group"]) == (0, 0, None)


def test_nobody_is_overwritten(run: Run, grouped: Service) -> None:
    for given in (("set", "ssd", "1"), ("remove", "ssd")):
        overtaken(grouped)
        code, out, err = run("groups", *given, "--yes")
        assert (code, out, grouped.groups["ssd"]["count"]) == (ExitCode.CONFLICT, "", 2)
        assert f"alluxio-mesos groups {given[0]}: nothing was done (412): somebody else made a change" in err


def overtaken(api: Service) -> None:
    """Somebody else makes a change between the question and the call."""
    ask = api._group

    def answer(*given: Any) -> Any:
        found = ask(*given)
        api._group = ask  # type: ignore[method-assign]
        api.number += 1
        return found

    api._group = answer  # type: ignore[method-assign]


def test_an_option_that_is_named_twice_or_with_none_is_refused(run: Run, api: Service) -> None:
    code, _, err = run("groups", "set", "ssd", "1", "worker-ram=1GB", "worker-ram=2GB", "--yes")
    assert (code, err) == (
        ExitCode.CONFIGURATION,
        "alluxio-mesos groups set: worker-ram: given more than once; give each option once\n",
    )
    code, _, err = run("groups", "set", "ssd", "1", "worker-ram=1GB", "--no-options", "--yes")
    assert code == ExitCode.CONFIGURATION
    assert "--no-options does not go with OPTION=VALUE" in err
    assert api.asked == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("groups set 3 ssd", "'3' is no name of a group; write lower-case letters, digits and dashes, such as ssd"),
        ("groups set SSD 3", "'SSD' is no name of a group"),
        ("groups set ssd", "the following arguments are required: N|all"),
        ("groups set ssd many", "'many' is not allowed; write a whole number from 0 to 10000, or all"),
        ("groups set ssd 3 worker-ram", "'worker-ram' is not allowed; write NAME=VALUE"),
        ("groups set ssd 3 --remove ssd-3", "'ssd-3' is not allowed; write a worker's slot, such as worker-ssd-3"),
        ("groups remove", "the following arguments are required: NAME"),
        ("groups lunch", "invalid choice: 'lunch'"),
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


# Waiting --------------------------------------------------------------------------------------------------------------


def test_it_waits_until_so_many_answer(run: Run, api: Service) -> None:
    api.steps = 2
    code, out, err = run(*SET, "--yes", "--wait")
    assert (code, out) == (0, "group ssd, wanted: 2 workers; 2 answer\n")
    assert err == PREVIEW + "1 missing, worker-ssd-1: it waits for an agent that fits\n2 workers ready\n"


def test_it_waits_until_nobody_leaves(run: Run, grouped: Service) -> None:
    grouped.steps = 1
    code, _, err = run("groups", "set", "ssd", "1", "--yes", "--wait")
    assert code == 0
    assert err.splitlines()[-2:] == ["worker-ssd-1 is persisting: 2 files are left", "1 worker ready"]


def test_it_waits_until_all_have_other_options(run: Run, grouped: Service) -> None:
    grouped.steps = 2
    code, _, err = run("groups", "set", "ssd", "2", "worker-ssd=100GB", "--yes", "--wait")
    assert code == 0
    assert err.startswith("group ssd: 2 workers, as before\n")
    assert "would be launched again, in this order: worker-ssd-0, worker-ssd-1\n" in err
    assert err.splitlines()[-3:] == [
        "worker-ssd-1: it runs with an earlier configuration until it is its turn",
        "1 missing, worker-ssd-1: it waits for an agent that fits",
        "2 workers ready",
    ]
    # The other way round, one that is launched again in between would be in neither answer.
    assert [call[0] for call in calls(grouped)[-2:]] == ["GET /v1/plans", "GET /v1/worker-groups/ssd"]


def test_a_wait_says_that_the_update_is_paused(run: Run, grouped: Service) -> None:
    grouped.steps, grouped.paused = 2, {"update"}
    code, _, err = run("groups", "set", "ssd", "2", "--no-options", "--yes", "--wait", "--timeout", "0.2")
    assert code == ExitCode.NOT_IN_TIME
    assert "it is not so after 0.2 s: the plan update is paused; `alluxio-mesos plan resume update` lets it go" in err


def test_other_groups_are_not_waited_for(run: Run, grouped: Service) -> None:
    grouped.steps, grouped.paused = 9, {"update"}
    run("config", "set", "worker-ram=8GB", "--yes")
    grouped.steps = 0
    outdated = list(grouped.outdated)
    changed = grouped._group_changed

    def keeps(*given: Any) -> Any:
        found = changed(*given)
        grouped.outdated, grouped.left = outdated, 9
        return found

    grouped._group_changed = keeps  # type: ignore[method-assign]
    assert run("groups", "set", "ssd", "2", "--yes", "--wait", "--timeout", "5")[0] == 0
    assert grouped.outdated == ["worker-0", "worker-1"]


def test_a_removal_waits_for_the_last_worker(run: Run, grouped: Service) -> None:
    grouped.steps = 1
    code, out, err = run("groups", "remove", "ssd", "--yes", "--wait")
    assert (code, out) == (0, "version 8 holds: group ssd is wanted no more, and none of its workers is left\n")
    assert err.splitlines()[-2:] == [
        "worker-ssd-0 is persisting, and 1 more leave: 2 files are left",
        "no worker of group ssd is left",
    ]


def waited(api: Service, kind: str, *given: Any) -> str:
    with Client(Place(api.url)) as client, pytest.raises(Trouble) as ended:
        getattr(waiting, kind)(client, "ssd", *given)
    assert ended.value.exit_code is ExitCode.CONFLICT
    return str(ended.value)


def test_a_wait_ends_when_somebody_else_changes_the_group(grouped: Service) -> None:
    said = "group ssd is wanted otherwise by now: somebody else made a change; the wait ends"
    assert waited(grouped, "group", 3, SSD) == said
    assert waited(grouped, "group", 2, {}) == said
    assert waited(grouped, "group_gone") == ("group ssd is wanted again: somebody else made a change; the wait ends")
    del grouped.groups["ssd"]
    assert waited(grouped, "group", 2, SSD) == said


# Completion -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gro", ["groups"]),
        ("groups re", ["remove"]),
        ("groups set ssd 3 worker-pl", ["worker-placement="]),
        ("groups set ssd 3 --no", ["--no-options"]),
        ("groups remove ssd --dr", ["--dry-run"]),
    ],
)
def test_bash_completes(capsys: pytest.CaptureFixture[str], typed: str, offered: list[str]) -> None:
    cli.main(["completion", "bash"])
    words = ["alluxio-mesos", *typed.split()]
    asked = (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE='{' '.join(words)}'; "
        "$(complete -p alluxio-mesos | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", capsys.readouterr().out + asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


# The real application -------------------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def ask(real: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(real.url, capsys, monkeypatch)


def test_a_real_group_is_made_rolled_and_removed(real: Api, ask: Run) -> None:
    code, out, err = ask("groups", "set", "ssd", "1", "worker-ssd=2GB", "--yes")
    assert code == 0, err
    assert out.startswith("version 1 holds: group ssd wants 1 worker; ")
    group = real.state.wanted.groups["worker-ssd"]

    def runs(configuration: str, attempt: int, *, answers: bool) -> None:
        record = Record(
            Kind.WORKER, 0, attempt, "S1", "h1", {"rpc": 1}, configuration, 1.0, deployed=True, group="worker-ssd"
        )
        report = Report(record.task_id, TaskState.RUNNING, "S1", 2.0, 2.0, healthy=True)
        reports = {report.task_id: report} if answers else {}
        real.state = dataclasses.replace(real.state, records={record.slot: record}, reports=reports)

    def left(count: int, options: dict[str, str]) -> tuple[int, str]:
        with Client(Place(real.url)) as client:
            standing = waiting.group(client, "ssd", count, options)
        return standing.left, standing.sentence

    assert left(1, {"worker-ssd": "2GB"})[0] == 1
    runs(group.configuration, 1, answers=True)
    assert left(1, {"worker-ssd": "2GB"}) == (0, "1 worker ready")
    assert ask("groups")[1].splitlines()[2].split() == ["ssd", "1", "1", "-", "worker-ssd=2GB"]
    assert "worker-ssd-0" in ask("groups", "show", "ssd")[1]
    assert "other groups: ssd 1 of 1" in ask("workers")[1]

    code, _, err = ask("groups", "set", "ssd", "1", "worker-ssd=3GB", "--yes")
    assert (code, "  worker-ssd: 2GB -> 3GB\nwould be launched again, in this order: worker-ssd-0\n" in err) == (
        0,
        True,
    )
    assert left(1, {"worker-ssd": "3GB"}) == (
        1,
        "worker-ssd-0: it runs with an earlier configuration until it is its turn",
    )
    runs(real.state.wanted.groups["worker-ssd"].configuration, 2, answers=False)
    assert left(1, {"worker-ssd": "3GB"})[0] == 1  # it is launched, and that is not enough
    runs(real.state.wanted.groups["worker-ssd"].configuration, 2, answers=True)
    code, out, _ = ask("groups", "set", "ssd", "1", "--yes", "--wait")
    assert (code, out) == (0, "group ssd, wanted: 1 worker; 1 answers\n")

    assert ask("groups", "remove", "ssd", "--yes")[1].startswith(
        "version 3 holds: group ssd is wanted no more; 1 worker"
    )
    with Client(Place(real.url)) as client:
        assert waiting.group_gone(client, "ssd").left == 1
        real.state = dataclasses.replace(real.state, records={})
        assert waiting.group_gone(client, "ssd").left == 0
    assert [line.split()[5] for line in ask("config", "history")[1].splitlines()[1:]] == ["2", "2", "2"]


def test_real_mistakes_are_told_one_a_line(real: Api, ask: Run) -> None:
    code, out, err = ask("groups", "set", "ssd", "1", "worker-ram=12q", "worker-heap=x", "--yes")
    assert (code, out) == (ExitCode.CONFIGURATION, "")
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "alluxio-mesos groups set: group ssd: worker-heap: 'x' is no size",
        "alluxio-mesos groups set: group ssd: worker-ram: '12q' is no size",
    ]
    assert "none of a group's own" in ask("groups", "set", "ssd", "1", "name=x", "--yes")[2]
    assert (
        "those of the default group are changed with PUT /v1/config"
        in (ask("groups", "set", "default", "1", "worker-ram=1GB", "--yes")[2])
    )
    assert "there is no group 'default' that could be removed" in ask("groups", "remove", "default", "--yes")[2]
    assert real.state.history == ()
