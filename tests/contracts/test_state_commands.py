"""``alluxio-mesos state`` against a real ZooKeeper: what it shows, writes, reads and refuses."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework import wire
from framework.cli import main
from framework.memory import Kept
from framework.model import ExitCode, GroupEntry, HistoryEntry, Kind, Mount, MountRecord, Record, Volume
from framework.paths import NO_LIMIT, Attributes, WantedPath
from framework.state_commands import lines
from framework.store import StoreError, StoreNewer
from framework.zookeeper import Session, ZooKeeperStore, connect
from framework.zookeeper.election import lead_for_a_moment
from framework.zookeeper.store import BATCH, THIS_RELEASE, UNFINISHED
from zookeeper_server import ZooKeeperServer

VOLUME = Volume("ssd", "alluxio-worker-2-ssd", 1024)
PORTS = {"rpc": 31000}
MASTER = Record(Kind.MASTER, 0, 3, "S1", "127.0.0.11", PORTS, "c0ffee", 0.0, formatted=True, deployed=True)
WORKER = Record(Kind.WORKER, 2, 1, "S2", "127.0.0.12", {}, "c0ffee", 60.0, volumes=(VOLUME,))
FIRST = HistoryEntry(1, 0.0, "c0ffee", 1, None, 0, {"workers": "all", "worker-heap": "512MB"})
SECOND = HistoryEntry(2, 86400.0, "decade", 1, 3, 2, {"workers": "3", "worker-heap": "512MB", "proxies": "2"})
KEPT = Kept("framework-1", {"master-0": MASTER, "worker-2": WORKER}, {"worker-1": 4}, (FIRST, SECOND))


class Place:
    def __init__(self, server: ZooKeeperServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.path = f"/state/{uuid.uuid4()}"
        self.session: Session = connect(server.address)

    def hold(self, kept: Kept) -> None:
        ZooKeeperStore(self.session, self.path).replace(kept)

    def held(self) -> Kept:
        return ZooKeeperStore(self.session, self.path).load()

    def run(self, *arguments: str) -> int:
        return main(["state", *arguments, "--zookeeper", f"{self.server.address}{self.path}"])

    def file(self, kept: Kept) -> str:
        path = self.folder / "state.json"
        path.write_bytes(wire.encode_state(kept))
        return str(path)


@pytest.fixture
def place(zookeeper: ZooKeeperServer, tmp_path: Path) -> Iterator[Place]:
    made = Place(zookeeper, tmp_path)
    yield made
    made.session.close()


def test_the_page() -> None:
    assert lines(KEPT, "/alluxio-mesos/alluxio in ZooKeeper at z:1", "http://a:8080") == [
        "/alluxio-mesos/alluxio in ZooKeeper at z:1",
        "leader        http://a:8080",
        "framework id  framework-1",
        "forgotten     1 slots",
        "",
        "SLOT      TASK        AGENT       CONFIGURATION  LAUNCHED              MARKS                PORTS",
        "master-0  master-0.3  127.0.0.11  c0ffee         1970-01-01 00:00:00Z  formatted, deployed  rpc 31000",
        "worker-2  worker-2.1  127.0.0.12  c0ffee         1970-01-01 00:01:00Z  ssd 1024 MiB         -",
        "",
        "WANTED  SINCE                 CONFIGURATION  MASTERS  WORKERS  PROXIES  CHANGED",
        "2       1970-01-02 00:00:00Z  decade         1        3        2        proxies: none -> 2; workers: all -> 3",
        "1       1970-01-01 00:00:00Z  c0ffee         1        all      0        -",
    ]


def test_groups_are_told_in_words() -> None:
    groups = (
        (GroupEntry("ssd", 2, {"worker-ssd": "10GB"}),),
        (GroupEntry("hdd", None), GroupEntry("ssd", 3, {"worker-ram": "2GB"})),
        (GroupEntry("hdd", None),),
    )
    entries = [
        dataclasses.replace(FIRST, number=2 + place, configuration="c1", groups=of) for place, of in enumerate(groups)
    ]
    page = lines(Kept(history=(dataclasses.replace(FIRST, configuration="c0"), *entries)), "x", None)
    assert " ".join(page[-5].split()) == "WANTED SINCE CONFIGURATION MASTERS WORKERS GROUPS PROXIES CHANGED"
    assert [" ".join(line.split()[:1] + line.split()[4:]) for line in page[-4:]] == [
        "4 1 all hdd all 0 group ssd is let go",
        "3 1 all hdd all, ssd 3 0 group hdd is new; group ssd: worker-ram: none -> 2GB; "
        "group ssd: worker-ssd: 10GB -> none",
        "2 1 all ssd 2 0 group ssd is new (worker-ssd: 10GB)",
        "1 1 all - 0 -",
    ]


def test_a_page_says_which_plans_rest_and_go_on() -> None:
    entries = [
        dataclasses.replace(FIRST, number=number, paused=paused)
        for number, paused in enumerate(((), ("mounts", "update"), ("update",)), 1)
    ]
    page = lines(Kept(history=tuple(entries)), "x", None)
    assert [line.split("  ")[-1] for line in page[-3:]] == [
        "plan mounts goes on",
        "plan mounts rests; plan update rests",
        "-",
    ]


def test_a_page_says_which_mounts_came_and_went() -> None:
    mount = Mount("/s3", "s3://b")
    entries = [
        dataclasses.replace(FIRST, number=number, mounts=mounts)
        for number, mounts in enumerate(((), (mount,), (dataclasses.replace(mount, readonly=True),), ()), 1)
    ]
    page = lines(Kept(history=tuple(entries)), "x", None)
    assert [line.split("  ")[-1] for line in page[-4:]] == [
        "/s3 is mounted no more",
        "/s3 is s3://b, mounted with other options",
        "/s3 is s3://b, a new mount",
        "-",
    ]


def test_a_page_lists_mounts_and_what_is_wanted_of_paths() -> None:
    lake, old = Mount("/lake", "s3://lake", readonly=True, shared=True), Mount("/old", "s3://old")
    kept = Kept(
        history=(dataclasses.replace(FIRST, mounts=(lake, Mount("/new", "s3://new"))),),
        mounts={
            "/lake": MountRecord(lake, "f/1", 60.0, proved=True),
            "/old": MountRecord(old, "f/2", 0.0),
        },
        paths=(
            WantedPath("/lake/orders", Attributes(pinned=True)),
            WantedPath("/lake/visits", Attributes(ttl=7 * 86_400.0, replication_max=NO_LIMIT)),
        ),
    )
    assert lines(kept, "x", None)[-8:] == [
        "MOUNT  STORAGE    HOW                STANDS",
        "/lake  s3://lake  read-only, shared  wanted, made 1970-01-01 00:01:00Z",
        "/new   s3://new   read and write     wanted",
        "/old   s3://old   read and write     wanted no more, asked for 1970-01-01 00:00:00Z",
        "",
        "PATH          WANTED FOR GOOD",
        "/lake/orders  pinned",
        "/lake/visits  ttl 7d, free, no limit of copies",
    ]


def test_the_page_of_nothing() -> None:
    page = lines(Kept(), "/x in ZooKeeper at z:1", None)
    assert page[1:3] == ["leader        no scheduler leads", "framework id  none yet"]
    assert page[5:] == ["nothing was launched", "", "nothing was wanted yet"]


@pytest.mark.zookeeper
def test_it_is_shown(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.hold(KEPT)
    assert place.run("show") == ExitCode.DONE
    assert f"{place.path} in ZooKeeper at {place.server.address}" in capsys.readouterr().out
    assert place.run("show", "--json") == ExitCode.DONE
    shown = json.loads(capsys.readouterr().out)
    assert (shown["path"], shown["leader"]) == (place.path, None)
    assert shown | {} == {"path": place.path, "leader": None} | json.loads(wire.encode_state(KEPT))


@pytest.mark.zookeeper
def test_from_one_place_to_another(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.hold(KEPT)
    file = str(place.folder / "exported.json")
    assert place.run("export", file) == ExitCode.DONE
    counts = "framework framework-1, 2 records, 1 forgotten slots, 2 entries of the history"
    assert capsys.readouterr().out == f"{place.path}: {counts} written to {file}\n"
    place.path += "-copy"
    assert place.run("import", file) == ExitCode.DONE
    assert capsys.readouterr().out == f"{place.path}: {counts} imported, 8 nodes written or removed\n"
    assert place.held() == KEPT
    assert place.run("export", "-") == ExitCode.DONE
    assert capsys.readouterr().out == Path(file).read_text()


@pytest.mark.zookeeper
def test_a_state_that_is_there_is_replaced_only_when_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.hold(KEPT)
    other = Kept("framework-2", {"worker-2": dataclasses.replace(WORKER, attempt=9)})
    file = place.file(other)
    assert place.run("import", file) == ExitCode.IN_USE
    assert "holds a state already; give --replace to replace it" in capsys.readouterr().err
    assert place.held() == KEPT
    assert place.run("import", file, "--replace") == ExitCode.DONE
    assert place.held() == other


@pytest.mark.zookeeper
def test_a_damaged_state_can_be_replaced(place: Place) -> None:
    place.hold(KEPT)
    place.session.client.set(f"{place.path}/records/worker-2", b"{")
    assert place.run("show") == ExitCode.STORE
    assert place.run("import", place.file(KEPT), "--replace") == ExitCode.DONE
    assert place.held() == KEPT


@pytest.mark.zookeeper
def test_a_large_import_that_was_interrupted_is_no_state(place: Place) -> None:
    many = Kept("f", {f"worker-{i}": dataclasses.replace(WORKER, index=i) for i in range(BATCH + 50)})
    place.hold(KEPT)
    assert place.run("import", place.file(many), "--replace") == ExitCode.DONE
    assert place.held() == many
    place.session.client.create(f"{place.path}/{UNFINISHED}", b"")  # what an interrupted one leaves
    place.session.client.delete(f"{place.path}/records/worker-7")
    with pytest.raises(StoreError, match="was not finished; run `alluxio-mesos state import --replace` again"):
        place.held()
    assert place.run("import", place.file(many), "--replace") == ExitCode.DONE
    assert place.held() == many


@pytest.mark.zookeeper
def test_what_is_refused_says_why(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def said(code: ExitCode, *arguments: str) -> str:
        assert place.run(*arguments) == code
        return capsys.readouterr().err

    nothing = f"no state lies at {place.path} in ZooKeeper at {place.server.address}; check --zookeeper and --name"
    for action in (["show"], ["export", str(place.folder / "x")]):
        assert said(ExitCode.UNAVAILABLE, *action) == f"alluxio-mesos state {action[0]}: {nothing}\n"
    assert not (place.folder / "x").exists()
    assert "cannot be read (No such file" in said(ExitCode.UNAVAILABLE, "import", str(place.folder / "x"))
    (place.folder / "x").write_text("{}")
    assert "it is no exported state" in said(ExitCode.CONFIGURATION, "import", str(place.folder / "x"))
    assert "--name: 'A' is not allowed" in said(ExitCode.CONFIGURATION, "show", "--name", "A")
    place.hold(KEPT)
    assert "cannot be written (No such file" in said(ExitCode.UNAVAILABLE, "export", str(place.folder / "no" / "x"))


@pytest.mark.zookeeper
def test_a_removed_framework_is_forgotten_and_nothing_else(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("forget-framework", "framework-1") == ExitCode.UNAVAILABLE
    assert place.session.client.exists(place.path) is None
    place.hold(KEPT)
    capsys.readouterr()
    assert place.run("forget-framework", "framework-2") == ExitCode.CONFLICT
    assert "holds the framework id framework-1, not framework-2; nothing was changed" in capsys.readouterr().err
    with lead_for_a_moment(place.session, place.path):
        assert place.run("forget-framework", "framework-1") == ExitCode.IN_USE
    assert place.held() == KEPT
    capsys.readouterr()
    assert place.run("forget-framework", "framework-1") == ExitCode.DONE
    assert "2 records and 2 entries of the history stay" in capsys.readouterr().out
    assert place.held() == dataclasses.replace(KEPT, framework_id="")
    assert place.run("forget-framework", "framework-1") == ExitCode.CONFLICT
    place.hold(dataclasses.replace(KEPT, uninstalling=True))
    assert place.run("forget-framework", "framework-1") == ExitCode.UNINSTALLING
    assert place.held().framework_id == "framework-1"


@pytest.mark.zookeeper
def test_what_a_newer_release_wrote_is_left_as_it_is(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.hold(KEPT)
    client = place.session.client
    client.set(f"{place.path}/release", b"9.1.0")
    newer = b'{"version":9,"kind":"worker","colour":"red"}'
    client.set(f"{place.path}/records/worker-2", newer)
    before = {name: client.get(f"{place.path}/{name}") for name in ("version", "release", "records/worker-2")}
    for action in (["show"], ["export", "-"], ["forget-framework", "framework-1"]):
        assert place.run(*action) == ExitCode.NEWER
        assert capsys.readouterr().err == (
            f"alluxio-mesos state {action[0]}: the state at {place.path} in ZooKeeper was written by release 9.1.0, "
            f"and this is release {THIS_RELEASE}: a launch record has version 9; this release reads "
            f"versions 1 to {wire.RECORD_VERSION}: "
            "run the release that wrote it, or a newer one; nothing was changed\n"
        )
    with pytest.raises(StoreNewer):
        place.held()
    assert {name: client.get(f"{place.path}/{name}") for name in before} == before


@pytest.mark.zookeeper
def test_with_credentials(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    auth = place.folder / "auth"
    auth.write_text("alluxio:secret")
    with_auth = ("--zookeeper-auth-file", str(auth))
    assert place.run("import", place.file(KEPT), *with_auth) == ExitCode.DONE
    assert place.run("show", *with_auth) == ExitCode.DONE
    assert "framework-1" in capsys.readouterr().out
    assert place.run("show") == ExitCode.STORE_REFUSED
    assert "give the credentials that they were made with" in capsys.readouterr().err


def test_the_place_is_required(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLUXIO_MESOS_ZOOKEEPER", raising=False)
    assert main(["state", "show"]) == ExitCode.CONFIGURATION
    assert "--zookeeper: it is required" in capsys.readouterr().err
