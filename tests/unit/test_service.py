"""What a scheduler tells Mesos about itself, out of its options and of what it has kept; and how a defect ends it."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from framework import cli, service
from framework.config import Configuration, read
from framework.model import ExitCode, HistoryEntry, Kept, Kind, Record, Volume
from stage import NEEDS, wanted

GIVEN = {"mesos": "m:5050", "zookeeper": "z:2181", "under-storage": "/data", "artefacts": "/srv"}
MASTER, WORKER = ((NEEDS[kind].cpus / 2000, NEEDS[kind].memory // 2) for kind in (Kind.MASTER, Kind.WORKER))


def configuration(**options: str) -> Configuration:
    found = read({**GIVEN, **{name.replace("_", "-"): value for name, value in options.items()}})
    assert isinstance(found, Configuration), found
    return found


# The least that an offer must hold ------------------------------------------------------------------------------------


def test_half_of_a_task_of_each_kind_that_is_wanted_is_worth_an_offer() -> None:  # C19
    assert service.least(wanted(), Kept()) == (MASTER, WORKER)
    assert service.least(wanted(workers=0), Kept()) == (MASTER, WORKER)  # they may be asked for at any time
    assert len(service.least(wanted(workers=None, proxies=1), Kept())) == 3


def test_every_offer_is_wanted_where_volumes_are_or_were() -> None:  # C19
    """One that is left over may come with nothing beside it, and is to be given back."""
    assert service.least(wanted(ssd=1024), Kept()) == ()
    entry = HistoryEntry(1, 0.0, "c", 1, 2, 0, {"persistent-volumes": "yes"})
    assert service.least(wanted(), Kept(history=(entry,))) == ()
    record = Record(Kind.WORKER, 0, 1, "S1", "h", {}, "c", 0.0, volumes=(Volume("ssd", "id", 64),))
    assert service.least(wanted(), Kept(records={"worker-0": record})) == ()
    without = dataclasses.replace(entry, options={"persistent-volumes": "no"})
    assert service.least(wanted(), Kept(history=(without,))) == (MASTER, WORKER)


# The identity ---------------------------------------------------------------------------------------------------------


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:  # C4 C12
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    identity = service._identity(
        configuration(principal="cache", secret_file=str(secret)), {"ALLUXIO_MESOS_SECRET": "other"}
    )
    assert (identity.principal, identity.secret) == ("cache", "s3cret")
    assert "s3cret" not in repr(identity)
    held = service._identity(configuration(principal="cache"), {"ALLUXIO_MESOS_SECRET": "s3cret"})
    assert held == identity
    secret.unlink()
    with pytest.raises(service.Unavailable, match=f"--secret-file: {secret} cannot be read"):
        service._identity(configuration(principal="cache", secret_file=str(secret)), {})


def test_two_services_differ_in_all_that_mesos_knows_them_by(tmp_path: Path) -> None:  # C35
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    one, other = (
        service._identity(configuration(name=name, role=f"{name}-role", principal=name, secret_file=str(secret)), {})
        for name in ("first", "second")
    )
    assert (one.name, one.role, one.principal) == ("first", "first-role", "first")
    assert (other.name, other.role, other.principal) == ("second", "second-role", "second")


# The end --------------------------------------------------------------------------------------------------------------


def test_a_defect_ends_the_process_with_its_own_exit_code(  # C31
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(*arguments: object) -> ExitCode:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(service, "run", defect)
    flags = [text for name, value in GIVEN.items() for text in (f"--{name}", value)]
    with caplog.at_level(logging.ERROR):
        assert cli.main(["scheduler", *flags]) == ExitCode.BUG
    assert "the scheduler ends because of a defect in it" in caplog.text
    assert "ZeroDivisionError: a defect" in caplog.text
