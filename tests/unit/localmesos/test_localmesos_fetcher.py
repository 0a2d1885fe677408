"""The fetcher: copies, the cache, archives; nothing is written outside of the sandbox."""

from __future__ import annotations

import functools
import http.server
import io
import json
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localmesos import fetcher
from localmesos.fetcher import FetchError, fetch


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def make_tar(path: Path, mode: Any, *entries: tuple[str, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, *entries: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            archive.writestr(info, content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_file_keeps_its_name_and_mode(tmp_path: Path, sandbox: Path, cache: Path, prefix: str) -> None:
    source = tmp_path / "a file"
    source.write_text("text")
    source.chmod(0o750)
    fetch({"value": f"{prefix}{source}".replace("a file", "a%20file" if prefix else "a file")}, sandbox, cache)
    assert (sandbox / "a file").read_text() == "text"
    assert (sandbox / "a file").stat().st_mode & 0o777 == 0o750


def test_executable_and_another_name(tmp_path: Path, sandbox: Path, cache: Path) -> None:
    (tmp_path / "tool.zip").write_text("no archive: it is executable")
    uri = {"value": str(tmp_path / "tool.zip"), "executable": True, "output_file": "bin/tool"}
    fetch(uri, sandbox, cache)
    assert (sandbox / "bin" / "tool").stat().st_mode & 0o777 == 0o755


@pytest.fixture(params=[True, False], ids=["filters", "no filters"])
def filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tarfile's filters, and without them as in Python 3.11.2."""
    if not request.param:
        monkeypatch.delattr(tarfile, "data_filter")


@pytest.mark.usefixtures("filters")
@pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter:DeprecationWarning")
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar.xz", "w:xz")]
)
def test_a_tar_is_extracted(tmp_path: Path, sandbox: Path, cache: Path, suffix: str, mode: str, cached: bool) -> None:
    archive = make_tar(tmp_path / f"bundle{suffix}", mode, ("bundle/bin/start", b"#!"))
    fetch({"value": str(archive), "cache": cached}, sandbox, cache)
    assert "bundle/bin/start" in names(sandbox)
    assert (sandbox / "bundle/bin/start").stat().st_mode & 0o777 == 0o755


def test_a_zip_is_extracted_unless_told_not_to(tmp_path: Path, sandbox: Path, cache: Path) -> None:
    archive = make_zip(tmp_path / "bundle.zip", ("bin/start", b"#!"))
    fetch({"value": str(archive), "extract": False}, sandbox, cache)
    assert names(sandbox) == ["bundle.zip"]
    fetch({"value": str(archive), "cache": True}, sandbox, cache)
    assert names(sandbox) == ["bin/start", "bundle.zip"]
    assert (sandbox / "bin/start").stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("filters")
@pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter:DeprecationWarning")
@pytest.mark.parametrize("name", ["../escaped", "{outside}/escaped", "inside/../../escaped"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_what_would_leave_the_sandbox_is_refused(
    tmp_path: Path, sandbox: Path, cache: Path, name: str, kind: str
) -> None:
    path, name = tmp_path / f"evil.{kind}", name.format(outside=tmp_path)
    archive = make_tar(path, "w", (name, b"x")) if kind == "tar" else make_zip(path, (name, b"x"))
    if kind == "tar" and name.startswith("/"):
        fetch({"value": str(archive)}, sandbox, cache)  # The leading slash is taken off.
        assert f"{tmp_path}/escaped"[1:] in names(sandbox)
    else:
        with pytest.raises(FetchError, match="outside"):
            fetch({"value": str(archive)}, sandbox, cache)
    assert not (tmp_path / "escaped").exists()


@pytest.mark.usefixtures("filters")
@pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter:DeprecationWarning")
def test_a_link_out_of_the_sandbox_is_refused(tmp_path: Path, sandbox: Path, cache: Path) -> None:
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "../.."
        archive.addfile(info)
    with pytest.raises(FetchError, match="link"):
        fetch({"value": str(tmp_path / "link.tar")}, sandbox, cache)


@pytest.mark.parametrize("output", ["../out", "/out", "."])
def test_an_output_file_out_of_the_sandbox_is_refused(tmp_path: Path, sandbox: Path, cache: Path, output: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="does not lie in the sandbox"):
        fetch({"value": str(tmp_path / "file"), "output_file": output}, sandbox, cache)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("file:///nonexistent/executor.py", "URI 'file:///nonexistent/executor.py': "),
        ("relative/path", "URI 'relative/path': a path must be absolute"),
        ("hdfs://host/file", "URI 'hdfs://host/file': scheme 'hdfs' is none of file, http, https"),
        ("http://127.0.0.1:1/file", "URI 'http://127.0.0.1:1/file': "),
        ("file:///folder/", "URI 'file:///folder/': no file name at its end"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_sentence(sandbox: Path, cache: Path, uri: str, sentence: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch({"value": uri}, sandbox, cache)
    assert str(caught.value).startswith(sentence)


def test_a_broken_archive_is_said_in_one_sentence(tmp_path: Path, sandbox: Path, cache: Path) -> None:
    for name in ("bundle.tar.gz", "bundle.zip"):
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(FetchError, match=name):
            fetch({"value": str(tmp_path / name)}, sandbox, cache)


class _Counting(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def __init__(self, requests: list[str], *arguments: Any, **named: Any) -> None:
        self.requests = requests
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server of tmp_path, and the paths asked of it so far."""
    requests: list[str] = []
    handler = functools.partial(_Counting, requests, directory=str(tmp_path))
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}", requests
    running.shutdown()
    running.server_close()
    thread.join()


def test_with_the_cache_a_uri_is_fetched_once(
    tmp_path: Path, sandbox: Path, cache: Path, server: tuple[str, list[str]]
) -> None:
    url, requests = server
    make_tar(tmp_path / "bundle.tar.gz", "w:gz", ("start", b"#!"))
    threads = [
        threading.Thread(
            target=fetch, args=({"value": f"{url}/bundle.tar.gz?version=1", "cache": True}, sandbox, cache)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(sandbox) == ["start"]
    assert requests == ["/bundle.tar.gz?version=1"]
    fetch({"value": f"{url}/bundle.tar.gz?version=2", "cache": True}, sandbox, cache)
    fetch({"value": f"{url}/bundle.tar.gz?version=2"}, sandbox, cache)
    assert len(requests) == 3


def test_a_failed_download_leaves_nothing_in_the_cache(
    tmp_path: Path, sandbox: Path, cache: Path, server: tuple[str, list[str]]
) -> None:
    url, _ = server
    for _ in range(2):
        with pytest.raises(FetchError, match="404"):
            fetch({"value": f"{url}/missing", "cache": True}, sandbox, cache)
    (tmp_path / "missing").write_text("there now")
    fetch({"value": f"{url}/missing", "cache": True}, sandbox, cache)
    assert (sandbox / "missing").read_text() == "there now"


def test_the_program_says_why_and_exits_with_1(sandbox: Path, cache: Path) -> None:
    order = {"uris": [{"value": "/nonexistent"}], "sandbox": str(sandbox), "cache": str(cache)}
    command = [sys.executable, "-I", fetcher.__file__]
    ended = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Failed to fetch: URI '/nonexistent': ")
