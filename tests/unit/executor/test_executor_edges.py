"""The executor's edges, each alone: environment, sandbox, child processes, readiness, the zipapp's content."""

from __future__ import annotations

import ast
import http.server
import importlib
import io
import os
import pathlib
import queue
import signal
import socket
import stat
import sys
import threading
import time
import zipfile
from collections.abc import Iterator

import pytest

from eventually import eventually
from executor import build, processes, sandbox
from executor.document import (
    Absent,
    Address,
    Alive,
    Check,
    EmptyUnless,
    Exists,
    File,
    Folder,
    HttpAddress,
    Mistakes,
    Process,
    Ready,
    TcpAddress,
)
from executor.environment import Settings, read_settings
from executor.probes import ATTEMPT_SECONDS, Probe, is_alive, is_ready, meets_itself
from executor.processes import Processes
from executor.supervisor import Exited
from ports import held_port

AGENT = {"MESOS_AGENT_ENDPOINT": "127.0.0.11:5051", "MESOS_FRAMEWORK_ID": "f", "MESOS_EXECUTOR_ID": "e"}


# Environment


def test_the_environment_of_a_real_agent() -> None:
    environment = {
        **AGENT,
        "MESOS_CHECKPOINT": "1",
        "MESOS_RECOVERY_TIMEOUT": "15mins",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX": "500ms",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
        "MESOS_SANDBOX": "/mnt/mesos/sandbox",
        "MESOS_DIRECTORY": "/var/lib/mesos/x",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "t",
    }
    assert read_settings(environment, "/folder") == Settings("/mnt/mesos/sandbox", 900.0, 0.5, 5.0, "t")


@pytest.mark.parametrize("checkpoint", ["0", None])
def test_without_checkpointing_there_is_nothing_to_wait_for(checkpoint: str | None) -> None:
    environment = AGENT if checkpoint is None else {**AGENT, "MESOS_CHECKPOINT": checkpoint}
    assert read_settings(environment, "/folder") == Settings("/folder", 0.0, 2.0, 5.0, None)


def test_every_mistake_of_the_environment_is_told() -> None:
    environment = {"MESOS_FRAMEWORK_ID": "f", "MESOS_RECOVERY_TIMEOUT": "15", "MESOS_EXECUTOR_ID": ""}
    assert read_settings(environment, "/") == Mistakes(
        (
            "MESOS_AGENT_ENDPOINT is not set; the executor is started by a Mesos agent, which sets it.",
            "MESOS_EXECUTOR_ID is not set; the executor is started by a Mesos agent, which sets it.",
            "MESOS_RECOVERY_TIMEOUT is '15'; it must be a Mesos duration such as 5secs or 15mins.",
        )
    )


# Sandbox


def java_in(folder: pathlib.Path) -> str:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("")
    java.chmod(0o755)
    return str(java)


def test_java_is_looked_for_in_java_home_then_the_sandbox_then_path(
    tmp_path: pathlib.Path,
) -> None:  # alluxio#5868 #14167
    box = tmp_path / "sandbox"
    box.mkdir()
    environment = {"PATH": str(tmp_path / "path" / "bin")}
    found = []
    for folder in (tmp_path / "path", box / "jdk-17-jre", tmp_path / "home"):
        java_in(folder)
        environment |= {"JAVA_HOME": str(tmp_path / "home")}
        found.append(sandbox.find_variables({"JAVA"}, str(box), environment))
    assert found == [
        {"SANDBOX": str(box), "JAVA": f"{tmp_path}/path/bin/java"},
        {"SANDBOX": str(box), "JAVA": f"{box}/jdk-17-jre/bin/java"},
        {"SANDBOX": str(box), "JAVA": f"{tmp_path}/home/bin/java"},
    ]


def test_what_is_not_there_is_told_in_one_go(tmp_path: pathlib.Path) -> None:  # alluxio#5868 #14167
    assert sandbox.find_variables({"JAVA", "CLASS_PATH"}, str(tmp_path), {"PATH": "/nowhere"}) == Mistakes(
        (
            f"No Alluxio is in the sandbox {tmp_path} (looked for alluxio-*/lib and the variable ALLUXIO_HOME); "
            "let the Mesos fetcher extract the Alluxio bundle, or set ALLUXIO_HOME for this agent.",
            "No Java was found (looked for JAVA_HOME/bin/java, */bin/java in the sandbox and java on PATH); "
            "install Java 17 on this agent or name a JRE to fetch.",
        )
    )


def test_what_nobody_asks_for_need_not_be_there(tmp_path: pathlib.Path) -> None:
    assert sandbox.find_variables({"SANDBOX"}, str(tmp_path), {}) == {"SANDBOX": str(tmp_path)}


def test_a_bundle_and_an_official_tarball(tmp_path: pathlib.Path) -> None:
    (tmp_path / "alluxio-2.9.6" / "lib").mkdir(parents=True)
    home = str(tmp_path / "alluxio-2.9.6")
    assert sandbox.find_variables({"CLASS_PATH"}, str(tmp_path), {}) == {
        "SANDBOX": str(tmp_path),
        "ALLUXIO_HOME": home,
        "CLASS_PATH": f"{tmp_path}/conf:{home}/lib/*",
    }
    (tmp_path / "official" / "assembly").mkdir(parents=True)
    (tmp_path / "official" / "assembly" / "alluxio-server-2.9.6.jar").touch()
    official = str(tmp_path / "official")
    assert sandbox.find_variables({"CLASS_PATH"}, str(tmp_path), {"ALLUXIO_HOME": official}) == {
        "SANDBOX": str(tmp_path),
        "ALLUXIO_HOME": official,
        "CLASS_PATH": f"{tmp_path}/conf:{official}/assembly/alluxio-server-2.9.6.jar:{official}/lib/*",
    }


def free_bytes(path: pathlib.Path) -> int:
    file_system = os.statvfs(path)
    return file_system.f_bavail * file_system.f_frsize


def test_folders_are_made_and_keep_what_they_hold(tmp_path: pathlib.Path) -> None:  # alluxio#3644
    tier = tmp_path / "a" / "mem"
    folder = Folder(str(tier), 1024, "MEM tier")
    assert sandbox.make_folders([folder]) == Mistakes(())
    (tier / "block").write_bytes(b"cached")
    assert sandbox.make_folders([folder]) == Mistakes(())
    assert (tier / "block").read_bytes() == b"cached"


def test_a_folder_goes_with_all_that_is_in_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a" / "mem").mkdir(parents=True)
    (tmp_path / "a" / "mem" / "block").write_bytes(b"cached")
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "a" / "link").symlink_to(kept)
    assert sandbox.remove(str(tmp_path / "a")) == Mistakes(())
    assert sandbox.remove(str(tmp_path / "a")) == Mistakes(())  # it is gone
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]  # what a link leads to is somebody else's
    (tmp_path / "file").touch()
    assert set(sandbox.remove(str(tmp_path / "file")).sentences) == {f"{tmp_path}/file stays: Not a directory."}


def test_folders_on_one_file_system_share_its_room(tmp_path: pathlib.Path) -> None:  # alluxio#9968 #13934 #15279
    share = int(free_bytes(tmp_path) * 0.7)
    one, two = (Folder(str(tmp_path / name), share, name.upper()) for name in ("mem", "ssd"))
    assert sandbox.make_folders([one]) == Mistakes(())
    refused = sandbox.make_folders([one, two]).sentences
    assert len(refused) == 1
    assert refused[0].startswith(f"The file system of {tmp_path}/mem (MEM) and {tmp_path}/ssd (SSD) has ")
    assert refused[0].endswith(" are asked for; make that file system larger or ask for less.")


def test_what_a_folder_holds_counts_as_room(tmp_path: pathlib.Path) -> None:
    held = 64 * 1024 * 1024
    with (tmp_path / "block").open("wb") as block:
        os.posix_fallocate(block.fileno(), 0, held)
    # Others use the disk meanwhile: half of what is held is the margin.
    assert sandbox.make_folders([Folder(str(tmp_path), free_bytes(tmp_path) + held // 2, "MEM")]) == Mistakes(())
    (tmp_path / "block").unlink()
    assert sandbox.make_folders([Folder(str(tmp_path), free_bytes(tmp_path) + held // 2, "MEM")]) != Mistakes(())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "mem")
    assert sandbox.make_folders([Folder(path, 1, "MEM tier")]) == Mistakes(
        (f"The folder {path} for MEM tier cannot be made: Not a directory.",)
    )


def test_checks_tell_all_that_is_wrong_and_leave_everything_as_it_was(tmp_path: pathlib.Path) -> None:
    there, missing, dangling, full = (tmp_path / name for name in ("there", "missing", "dangling", "full"))
    there.mkdir()
    dangling.symlink_to(missing)
    full.mkdir()
    (full / "block").touch()
    wrong: list[Check] = [
        Exists(str(missing), "1"),
        Exists(str(dangling), "2"),
        Exists(f"{full}/block/inside", "3"),
        Absent(str(there), "4"),
        Absent(str(dangling), "5"),
        EmptyUnless(str(full), str(missing), "6"),
        EmptyUnless(str(full), str(dangling), "7"),
    ]
    right: list[Check] = [
        Exists(str(there), "8"),
        Absent(str(missing), "9"),
        EmptyUnless(str(there), str(missing), "10"),
        EmptyUnless(str(missing), f"{missing}/marker", "11"),
        EmptyUnless(str(full), str(there), "12"),
        EmptyUnless(str(full), f"{full}/block", "13"),
    ]
    assert sandbox.run_checks(right + wrong, "master-0") == Mistakes(("1", "2", "3", "4", "5", "6", "7"))
    assert sandbox.run_checks(right, "master-0") == Mistakes(())
    assert not missing.exists()


def test_what_cannot_be_looked_at_fails_with_its_own_sentence(tmp_path: pathlib.Path) -> None:
    """A no must be a sure one: an under storage that is away is neither missing nor empty."""
    loop, file = tmp_path / "loop", tmp_path / "file"
    loop.symlink_to(loop)
    file.touch()
    checks: list[Check] = [
        Exists(f"{loop}/a", "wrong"),
        Absent(f"{loop}/b", "wrong"),
        EmptyUnless(str(tmp_path), f"{loop}/c", "wrong"),
        EmptyUnless(str(file), str(tmp_path / "marker"), "wrong"),
    ]
    assert sandbox.run_checks(checks, "master-0") == Mistakes(
        (
            f"{loop}/a cannot be looked at: Too many levels of symbolic links.",
            f"{loop}/b cannot be looked at: Too many levels of symbolic links.",
            f"{loop}/c cannot be looked at: Too many levels of symbolic links.",
            f"{file} cannot be looked at: Not a directory.",
        )
    )


def test_an_interrupted_step_may_begin_again_in_its_own_slot_only(tmp_path: pathlib.Path) -> None:
    """C30: half a format is no journal, and the format of another master is not ours."""
    journal, kept = tmp_path / "journal", tmp_path / "formatted"
    marker = str(kept)
    journal.mkdir()
    check: list[Check] = [EmptyUnless(str(journal), marker, "not empty")]
    assert sandbox.begin_marker(marker, "master-0") is None
    (journal / "half").touch()
    assert sandbox.run_checks(check, "master-0") == Mistakes(())
    assert sandbox.run_checks(check, "master-1") == Mistakes(("not empty",))
    assert sandbox.begin_marker(marker, "master-1") == "master-0"
    assert sandbox.begin_marker(marker, "master-0") is None
    assert not kept.exists()
    sandbox.write_marker(marker)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["formatted", "journal"]
    assert sandbox.run_checks(check, "master-1") == Mistakes(())
    kept.unlink()
    assert sandbox.run_checks(check, "master-0") == Mistakes(("not empty",))


def test_a_marker_is_written_though_the_step_removed_what_it_had_begun_with(tmp_path: pathlib.Path) -> None:
    marker = tmp_path / "new" / "journal" / "formatted"
    sandbox.begin_marker(str(marker), "master-0")
    for entry in marker.parent.iterdir():
        entry.unlink()
    sandbox.write_marker(str(marker))
    assert [entry.name for entry in marker.parent.iterdir()] == ["formatted"]


def test_a_marker_outlives_the_power_of_the_agent(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, its name in the folder, and the folder's own name above it."""
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(str(pathlib.Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    marker = tmp_path / "kept" / "formatted"
    sandbox.begin_marker(str(marker), "master-0")
    assert synced == [str(tmp_path), f"{marker}.begun", str(marker.parent)]
    synced.clear()
    sandbox.write_marker(str(marker))
    assert synced == [str(marker.parent)]
    marker.unlink()
    synced.clear()
    sandbox.write_marker(str(marker))
    assert synced == [f"{marker}.new", str(marker.parent)]


def test_files_have_their_mode_and_replace_what_was_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "conf" / "site.properties"
    for content in ("old", "key=ü"):
        assert sandbox.write_files([File(str(path), content, 0o600)]) == Mistakes(())
    assert path.read_text(encoding="utf-8") == "key=ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["site.properties"]


def test_a_file_that_cannot_be_written_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "x")
    assert sandbox.write_files([File(path, "", 0o600)]) == Mistakes(
        (f"The file {path} cannot be written: File exists.",)
    )


# Processes


def ended(children: Processes) -> Exited:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for exited in children.reap():
            return exited
        time.sleep(0.01)
    raise AssertionError("no child ended in time")


def test_a_child_is_started_in_the_sandbox_and_its_end_is_told(tmp_path: pathlib.Path) -> None:
    children = Processes(str(tmp_path))
    pid = children.start("job", ["sh", "-c", "pwd; echo $A; echo oops >&2; exit 3"], {"A": "b", "PATH": "/bin"})
    assert ended(children) == Exited("job", pid, False, "exited with code 3", f"{tmp_path}\nb\noops")
    assert list(children.reap()) == []


def test_the_tail_is_of_this_start_only_and_short(tmp_path: pathlib.Path) -> None:
    children = Processes(str(tmp_path))
    children.start("job", ["echo", "first"], dict(os.environ))
    ended(children)
    pid = children.start("job", ["seq", "20"], dict(os.environ))
    assert ended(children) == Exited("job", pid, True, "exited with code 0", "\n".join(map(str, range(11, 21))))
    assert (tmp_path / "logs" / "job.out").read_text().splitlines()[0] == "first"


def test_a_signal_is_named(tmp_path: pathlib.Path) -> None:
    children = Processes(str(tmp_path))
    pid = children.start("job", ["sleep", "60"], dict(os.environ))
    children.send(pid, signal.SIGTERM)
    assert ended(children) == Exited("job", pid, False, "exited with signal 15", "")


def test_a_missing_program_is_an_oserror_and_no_child(tmp_path: pathlib.Path) -> None:
    children = Processes(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        children.start("job", ["/no/such/java"], {})
    assert list(children.reap()) == []


def test_output_is_bounded_and_goes_on_after_the_cut(tmp_path: pathlib.Path) -> None:
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    children = Processes(str(tmp_path))
    script = f"echo begin; head -c {processes.LOG_BYTES} /dev/zero; read line < {go_on}; echo after; exit 1"
    children.start("job", ["sh", "-c", script], dict(os.environ))
    log = tmp_path / "logs" / "job.out"
    # Opening the pipe returns when the child has opened it too, which is after all that it writes.
    with go_on.open("w") as pipe:
        children.cut_logs()
        assert log.read_bytes() == b""
        assert (tmp_path / "logs" / "job.out.1").read_bytes() == bytes(processes.LOG_BYTES)
        pipe.write("\n")
    assert ended(children).tail == "after"
    assert log.read_text() == "after\n"


def test_stop_all_ends_every_child_the_stubborn_too(tmp_path: pathlib.Path) -> None:
    children = Processes(str(tmp_path))
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    stubborn = children.start(
        "a", ["sh", "-c", f"trap '' TERM; echo > {ready}; while :; do sleep 1; done"], dict(os.environ)
    )
    polite = children.start("b", ["sleep", "60"], dict(os.environ))
    ready.read_text()
    children.stop_all(0.3)
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in (stubborn, polite))


# Readiness


@pytest.fixture
def web() -> Iterator[int]:
    """A server that answers /ok with 200, /moved with 302 and everything else with 503; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/ok?a=b": 200, "/moved": 302}.get(self.path, 503))
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_ready_means_an_answer_of_2xx_or_an_open_port(web: int) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert [
            is_ready(Ready(HttpAddress(f"http://127.0.0.1:{web}/ok?a=b"), 1)),
            is_ready(Ready(HttpAddress(f"http://127.0.0.1:{web}/moved"), 1)),
            is_ready(Ready(HttpAddress(f"http://127.0.0.1:{web}"), 1)),
            is_ready(Ready(HttpAddress(f"http://127.0.0.1:{port}/ok"), 1)),
            is_ready(Ready(TcpAddress("127.0.0.1", web), 1)),
            is_ready(Ready(TcpAddress("127.0.0.1", port), 1)),
        ] == [True, False, False, False, True, False]


def test_a_port_that_does_not_speak_http_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert is_ready(Ready(HttpAddress(f"http://127.0.0.1:{server.getsockname()[1]}/"), 1)) is False
        thread.join()


def test_an_answer_is_heard_to_its_end() -> None:
    """A server whose client leaves in the middle complains, and Alluxio does so at length."""
    left: list[bytes | OSError] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200_000)
                connection.shutdown(socket.SHUT_WR)
                try:
                    left.append(connection.recv(1))
                except OSError as error:
                    left.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        assert is_ready(Ready(HttpAddress(f"http://127.0.0.1:{server.getsockname()[1]}/"), 1))
        thread.join()
    assert left == [b""]


def test_alive_means_any_answer_and_within_the_time(web: int) -> None:
    def alive(address: Address, seconds: float = 20.0) -> bool:
        return is_alive(Alive(address, every_seconds=5.0, failures=6, timeout_seconds=seconds))

    def keeps_to(seconds: float) -> bool:
        begin = time.monotonic()
        assert not alive(HttpAddress(f"http://127.0.0.1:{mute}/"), seconds)
        return seconds <= time.monotonic() - begin < ATTEMPT_SECONDS

    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # As a stopped JVM does: the kernel accepts, nobody answers.
        mute, shut = silent.getsockname()[1], closed.getsockname()[1]
        assert [
            alive(HttpAddress(f"http://127.0.0.1:{web}/ok?a=b")),
            alive(HttpAddress(f"http://127.0.0.1:{web}/trouble")),
            alive(HttpAddress(f"http://127.0.0.1:{shut}/")),
            alive(TcpAddress("127.0.0.1", mute)),
            alive(TcpAddress("127.0.0.1", shut)),
        ] == [True, True, False, True, False]
        eventually(lambda: keeps_to(0.3), "an answer is waited for as long as was said, and not as for readiness")


def test_a_connection_that_meets_itself_found_nobody(web: int) -> None:
    """The kernel may give a connection the very port that it asks for, if nobody listens there."""
    with socket.socket() as alone:
        alone.bind(("127.0.0.1", 0))
        alone.connect(alone.getsockname())
        assert meets_itself(alone)
    with socket.create_connection(("127.0.0.1", web)) as connection:
        assert not meets_itself(connection)


def asked_at(port: int, alive: Alive | None = None) -> Process:
    return Process("worker", ("java",), {}, Ready(TcpAddress("127.0.0.1", port), 1), (), alive)


def test_a_probe_answers_once_and_one_that_was_stopped_never(web: int) -> None:
    news: queue.SimpleQueue[str] = queue.SimpleQueue()
    stopped = Probe(asked_at(web), lambda: news.put("stopped"), lambda answered: news.put("never"))
    stopped.stop()
    Probe(asked_at(web), lambda: news.put("ready"), lambda answered: news.put("never"))
    assert news.get(timeout=60) == "ready"
    assert news.empty()


def test_a_probe_goes_on_asking_until_it_is_stopped() -> None:
    news: queue.SimpleQueue[str | bool] = queue.SimpleQueue()
    port = held_port()
    server = socket.create_server(("127.0.0.1", port))
    alive = Alive(TcpAddress("127.0.0.1", port), every_seconds=0.1, failures=6, timeout_seconds=1.0)
    before = set(threading.enumerate())
    probe = Probe(asked_at(port, alive), lambda: news.put("ready"), news.put)
    assert [news.get(timeout=60) for _ in range(3)] == ["ready", True, True]
    server.close()
    while news.get(timeout=60) is True:
        pass
    assert news.get(timeout=60) is False
    probe.stop()
    count = news.qsize()
    # What was under way may still arrive; nothing comes after that.
    eventually(lambda: set(threading.enumerate()) <= before, "nobody asks any more")
    assert news.qsize() <= count + 1


# The lock


def test_a_second_copy_of_a_slot_is_told_who_runs(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "alluxio" / "worker-0.lock")
    held = sandbox.take_lock(path, "worker-0")
    assert isinstance(held, int)
    try:
        # A lock belongs to an open file, so that a second opening is as good as a second process.
        who = f"process {os.getpid()}, which holds {path}"
        refusal = f"Another copy of worker-0 runs on this agent ({who}); it must end first."
        assert sandbox.take_lock(path, "worker-0") == refusal
        assert not os.get_inheritable(held), "a child would keep the lock after the executor's end"
    finally:
        os.close(held)
    again = sandbox.take_lock(path, "worker-0")
    assert isinstance(again, int)
    os.close(again)


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    assert sandbox.take_lock(str(tmp_path / "file" / "x.lock"), "worker-0") == (
        f"The lock {tmp_path}/file/x.lock cannot be made: File exists."
    )


# The zipapp


def test_the_zipapp_carries_what_it_needs_and_nothing_that_python_3_8_cannot_read() -> None:
    content = build.build()
    assert content.startswith(b"#!/usr/bin/env python3\nPK")
    archive = zipfile.ZipFile(io.BytesIO(content))
    names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "__main__.py",
        "addict",
        "executor",
        "h11",
        "http_parser",
        "licenses",
        "pymesos",
        "six.py",
    }
    assert "executor/build.py" not in names
    for name in names:
        if name.endswith(".py"):
            ast.parse(archive.read(name), name, feature_version=(3, 8))


def test_the_same_files_give_the_same_bytes() -> None:
    assert build.build() == build.build()


def test_the_builder_says_what_it_wrote_and_what_it_wants(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out" / "executor.pyz"
    assert build.main([str(target)]) == 0
    assert target.read_bytes() == build.build()
    assert os.access(target, os.X_OK)
    assert [entry.name for entry in target.parent.iterdir()] == ["executor.pyz"]
    assert build.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{target}: {target.stat().st_size // 1024} KiB\n"
    assert captured.err == "Usage: python -m executor.build OUT.pyz\n"


def test_a_module_that_was_imported_and_calls_itself_a_package_is_still_one_file() -> None:
    importlib.import_module("six")
    assert [name for name, _ in build.sources("six")] == ["six.py"]


def test_compiled_code_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "compiled_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "fast.so").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(build.BuildError, match=r"fast\.so is compiled code; the executor carries pure Python only"):
        dict(build.sources("compiled_package"))
    with pytest.raises(build.BuildError, match="The package no_such_package is not installed in "):
        dict(build.sources("no_such_package"))
    assert sys.modules.get("compiled_package") is None
