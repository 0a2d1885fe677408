"""Containers without isolation: a sandbox folder, the fetcher, a session of real processes, and their end.

The executor runs under a small shell that writes down its exit status, as Mesos's launcher does, so that the status is
known even if the agent was away when it ended. A container's processes are those of its session, their children, and
whatever carries its sandbox in its environment: a child in a session of its own does not escape.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_LAUNCHER = '"$@"; status=$?; echo $status > "$0"; exit $status'
_FETCHER = str(Path(__file__).with_name("fetcher.py"))
_POLL_SECONDS = 0.02
KEPT_SANDBOXES = 3  # of ended executors, on each agent
RUNS = "slaves/*/frameworks/*/executors/*/runs/*"


class LaunchError(Exception):
    """The sentence for the task's status."""


def process_start(pid: int) -> int | None:
    """The kernel's start time of a process, which tells it from another that got its number; None: no such process,
    or one that has ended and is only waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


class Containerizer:
    def __init__(self, work_dir: Path) -> None:
        self._work_dir = work_dir
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._fetching: dict[str, asyncio.subprocess.Process] = {}

    def sandbox(self, agent_id: str, framework_id: str, executor_id: str, container_id: str) -> Path:
        runs = self._work_dir / "slaves" / agent_id / "frameworks" / framework_id / "executors" / executor_id / "runs"
        return runs / container_id

    def prepare(self, sandbox: Path) -> None:
        sandbox.mkdir(parents=True)
        latest = sandbox.parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(sandbox)
        for name in ("stdout", "stderr"):
            (sandbox / name).touch()

    def tidy(self, live: Collection[Path]) -> None:
        """Removes the sandboxes of ended executors but for the newest, whose logs somebody may want to read.

        A sandbox holds what was fetched and extracted, and a task that fails again and again would fill the disk.
        """
        ended = [run for run in self._work_dir.glob(RUNS) if not run.is_symlink() and run not in live]
        ended.sort(key=lambda run: run.stat().st_mtime)
        for run in ended[:-KEPT_SANDBOXES]:
            shutil.rmtree(run, ignore_errors=True)

    def mount(self, sandbox: Path, volumes: list[Json]) -> None:
        """Persistent volumes appear in the sandbox as links; raises LaunchError."""
        for volume in volumes:
            if "persistence" not in volume:
                continue
            source = self.volume(volume["role"], volume["persistence"]["id"])
            source.mkdir(parents=True, exist_ok=True)
            target = sandbox / volume["volume"]["container_path"]
            if not os.path.normpath(target).startswith(f"{sandbox}/"):
                raise LaunchError(f"Volume path '{volume['volume']['container_path']}' leaves the sandbox")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_symlink():
                target.symlink_to(source)

    def volume(self, role: str, persistence_id: str) -> Path:
        return self._work_dir / "volumes" / "roles" / role / persistence_id

    async def launch(self, container_id: str, sandbox: Path, command: Json, environment: dict[str, str]) -> int:
        """Fetches and starts; the process id of the container. Raises LaunchError."""
        if command.get("uris"):
            await self._fetch(container_id, sandbox, command["uris"])
        status_file = self._status_file(container_id)
        status_file.parent.mkdir(parents=True, exist_ok=True)
        program = _program(command)
        with (sandbox / "stdout").open("ab") as stdout, (sandbox / "stderr").open("ab") as stderr:
            try:
                child = subprocess.Popen(
                    ["/bin/sh", "-c", _LAUNCHER, str(status_file), *program],
                    cwd=sandbox,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                raise LaunchError(f"Failed to launch container: {error}") from error
        self._children[child.pid] = child
        return child.pid

    async def _fetch(self, container_id: str, sandbox: Path, uris: list[Json]) -> None:
        order = json.dumps({"uris": uris, "sandbox": str(sandbox), "cache": str(self._work_dir / "fetch")})
        with (sandbox / "stdout").open("ab") as stdout, (sandbox / "stderr").open("ab") as stderr:
            fetcher = await asyncio.create_subprocess_exec(
                sys.executable, "-I", _FETCHER, stdin=asyncio.subprocess.PIPE, stdout=stdout, stderr=stderr
            )
        self._fetching[container_id] = fetcher
        try:
            await fetcher.communicate(order.encode())
        finally:
            del self._fetching[container_id]
            if fetcher.returncode is None:
                fetcher.kill()
        if fetcher.returncode != 0:
            raise LaunchError(
                f"Failed to launch container: Failed to fetch all URIs for container '{container_id}':"
                f" exited with status {fetcher.returncode}"
            )

    def watch(self, pid: int, ended: Callable[[], None]) -> None:
        """Calls `ended` once on the event loop when the process has ended, child or not."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            loop.call_soon(ended)
            return

        def readable() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            ended()

        loop.add_reader(descriptor, readable)

    def exit_status(self, pid: int, container_id: str) -> int | None:
        """As wait() gives it; None when nobody knows."""
        child = self._children.pop(pid, None)
        if child is not None:
            code = child.wait()
            return -code if code < 0 else code << 8
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            return int(self._status_file(container_id).read_text()) << 8
        except (OSError, ValueError):
            return None

    async def destroy(self, container_id: str, sandbox: Path, pid: int | None) -> None:
        """Kills all of the container's processes; returns when none is left."""
        fetcher = self._fetching.get(container_id)
        if fetcher is not None and fetcher.returncode is None:
            fetcher.kill()
        while processes := container_processes(sandbox, pid):
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            await asyncio.sleep(_POLL_SECONDS)

    def _status_file(self, container_id: str) -> Path:
        return self._work_dir / "meta" / "containers" / container_id


def _program(command: Json) -> list[str]:
    if command.get("shell", True):
        return ["/bin/sh", "-c", command.get("value", "")]
    arguments = command.get("arguments", [])
    return [command.get("value") or arguments[0], *arguments[1:]]


def container_processes(sandbox: Path, pid: int | None) -> list[int]:
    """The living processes of a container."""
    marker = f"MESOS_DIRECTORY={sandbox}".encode()
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        process = int(entry.name)
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] in ("Z", "X"):
                continue
            parents[process] = int(fields[1])
            in_session = pid is not None and pid in (process, int(fields[3]))
            if in_session or marker in (entry / "environ").read_bytes().split(b"\0"):
                found.add(process)
        except OSError:
            continue
    grown = True
    while grown:
        children = {process for process, parent in parents.items() if parent in found} - found
        found |= children
        grown = bool(children)
    return sorted(found)
