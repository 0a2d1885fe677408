"""The scheduler's process and its API's safety: when it refuses to start, and that no token ever comes out of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests

from eventually import eventually
from framework.model import ExitCode
from framework.zookeeper import ZooKeeperStore, connect
from zookeeper_server import ZooKeeperServer

ADMIN = "admin-token-of-this-test"
READ = "read-token-of-this-test-"
WRONG = "wrong-token-of-this-test"
# Nothing listens at these: a refusal comes before anything is asked of them.
NOWHERE = {
    "mesos": "127.0.0.1:1",
    "zookeeper": "127.0.0.1:1",
    "under-storage": "/data",
    "alluxio-uri": "http://127.0.0.1:1/alluxio.tar.gz",
    "executor-uri": "http://127.0.0.1:1/executor.pyz",
    "api-port": "0",
    "log-level": "DEBUG",
}

Start = Callable[..., "Scheduler"]


class Scheduler:
    def __init__(self, log: Path, environment: Mapping[str, str], options: Mapping[str, str]) -> None:
        flags = [text for name, value in {**NOWHERE, **options}.items() for text in (f"--{name}", value)]
        clean = {name: text for name, text in os.environ.items() if not name.startswith("ALLUXIO_MESOS_")}
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framework", "scheduler", *flags],
                stdout=output,
                stderr=output,
                env={**clean, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        found = eventually(lambda: re.search(r"API at (\S+),", self.said) or self._ended(), "the API has an address")
        return str(found[1])

    def _ended(self) -> None:
        assert self.process.poll() is None, self.said

    def is_(self, role: str, verify: str) -> bool:
        self._ended()
        try:
            answer = requests.get(f"{self.url}/v1/health", timeout=60, verify=verify)
        except requests.ConnectionError:
            return False
        return bool(answer.json()["role"] == role)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Scheduler] = []

    def begin(environment: Mapping[str, str] | None = None, **options: str) -> Scheduler:
        texts = {name.replace("_", "-"): text for name, text in options.items()}
        started.append(Scheduler(tmp_path / f"scheduler-{len(started)}.log", environment or {}, texts))
        return started[-1]

    yield begin
    for scheduler in started:
        scheduler.process.kill()
        scheduler.process.wait()


def test_it_refuses_to_be_open_to_strangers(start: Start) -> None:
    scheduler = start(api_host="0.0.0.0")
    assert scheduler.process.wait(60) == ExitCode.CONFIGURATION
    assert "--api-host: 0.0.0.0 can be reached from other machines, and without a token everybody" in scheduler.said
    assert "API at" not in scheduler.said


def test_it_refuses_tokens_and_certificates_that_do_not_work(start: Start, tmp_path: Path) -> None:
    short = start({"ALLUXIO_MESOS_API_TOKEN": "sh0rt"})
    lost = start(api_token_file=str(tmp_path / "none"))
    insecure = start(api_certificate=str(tmp_path / "c"), api_key=str(tmp_path / "k"))
    for scheduler, sentence in (
        (short, "the environment variable ALLUXIO_MESOS_API_TOKEN holds what is no token"),
        (lost, f"--api-token-file: {tmp_path}/none cannot be read"),
        (insecure, f"--api-certificate: {tmp_path}/c cannot be read"),
    ):
        assert scheduler.process.wait(60) == ExitCode.UNAVAILABLE
        assert sentence in scheduler.said
    assert "sh0rt" not in short.said


@pytest.mark.zookeeper
@pytest.mark.timeout(120)
def test_no_token_comes_out_of_it(start: Start, tmp_path: Path, zookeeper: ZooKeeperServer) -> None:
    path = f"/services/{uuid.uuid4()}"
    certificate, key, token = (str(tmp_path / name) for name in ("api.pem", "api.key", "token"))
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        ["openssl", *make.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    Path(token).write_text(ADMIN)
    Path(token).chmod(0o600)

    def begin() -> Scheduler:
        return start(
            {"ALLUXIO_MESOS_API_READ_TOKEN": READ},
            zookeeper=f"{zookeeper.address}{path}",
            api_prefix="/service/alluxio",
            **{"api-token-file": token, "api-certificate": certificate, "api-key": key},
        )

    leader = begin()
    eventually(lambda: leader.is_("leader", certificate), "the first leads")
    standby = begin()
    eventually(lambda: standby.is_("standby", certificate), "the second stands by")
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+/service/alluxio", leader.url)

    def ask(url: str, bearer: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {bearer}"}
        return requests.get(url, headers=headers, verify=certificate, timeout=60, allow_redirects=False)

    sent = eventually(
        lambda: found if (found := ask(f"{standby.url}/v1/status", READ)).status_code == 307 else None,
        "the standby knows the leader",
    )
    assert sent.headers["location"] == f"{leader.url}/v1/status"
    answers = [sent]
    for scheduler in (leader, standby):
        for place in ("status", "endpoints", "plans", "offers", "health", "openapi.json", "nothing"):
            answers += [ask(f"{scheduler.url}/v1/{place}", bearer) for bearer in (ADMIN, READ, WRONG, "")]
    assert {answer.status_code for answer in answers} == {200, 307, 401, 404, 503}
    assert ask(f"{leader.url}/v1/status", ADMIN).status_code == 200

    session = connect(zookeeper.address)
    try:
        history = ZooKeeperStore(session, path).load().history
    finally:
        session.close()
    assert history
    lines = [Path(f"/proc/{scheduler.process.pid}/cmdline").read_text() for scheduler in (leader, standby)]
    shown = "".join(
        [
            *(answer.text + str(answer.headers) for answer in answers),
            *(str(entry) for entry in history),
            *lines,
            leader.said,
            standby.said,
        ]
    )
    assert "/service/alluxio" in shown
    for secret in (ADMIN, READ, WRONG):
        assert secret not in shown
    assert token not in str(history)  # a scheduler's own affair, as every option of the API is
