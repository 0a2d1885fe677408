"""A task's files, read through the agent that it runs on: Mesos's operator API, ``/state`` and ``/files/…``.

Only what a task says of itself can be read: its output, and its logs. Its configuration may hold secrets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import requests

from framework.model import Record

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 10.0
LONGEST: Final = 64 * 1024  # bytes of a tail: an agent gives no more than 16 pages at once (files.cpp)
MOST_LINES: Final = 1000
OUTPUTS: Final = ("stdout", "stderr")
LOGS: Final = "logs"


class NoFile(Exception):
    """There is no such file, or none that may be read; the message says which there are."""


class AgentAway(Exception):
    """The agent, or the Mesos master that knows its address, gives no answer; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file: whole lines, ``size`` bytes in all; ``cut``: there is more before."""

    file: str
    size: int
    text: str
    cut: bool


def allowed(file: str) -> bool:
    """Whether a name below the sandbox is that of an output or a log, and leads nowhere else."""
    parts = file.split("/")
    plain = all(part not in ("", ".", "..") and re.fullmatch(r"[\w.\-]+", part, re.ASCII) for part in parts)
    return plain and (file in OUTPUTS or (parts[0] == LOGS and len(parts) > 1))


class Sandboxes:
    """``tail`` may be called by any thread. Where an agent listens is remembered: a Mesos master tells of all its
    agents at once, which are many.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}  # by agent id

    def tail(self, master: str, framework_id: str, record: Record, file: str, lines: int) -> Tail:
        """The last lines of ``file``, a name that is allowed. ``master`` is Mesos's, "host:port".

        Raises:
            NoFile, AgentAway.
        """
        with requests.Session() as session:
            session.trust_env = False  # no proxy lies between the scheduler and the agents
            known = self._addresses.pop(record.agent_id, None)
            if known is not None:
                # It may listen at another port by now, and another one here.
                with contextlib.suppress(NoFile, AgentAway):
                    found = _Agent(session, known, record).tail(framework_id, file, lines)
                    self._addresses[record.agent_id] = known
                    return found
            address = _address(session, master, record)
            found = _Agent(session, address, record).tail(framework_id, file, lines)
            self._addresses[record.agent_id] = address
            return found


def _address(session: requests.Session, master: str, record: Record) -> str:
    """The agent's "host:port"."""
    known = _json(
        session,
        "POST",
        f"http://{master}/api/v1",
        f"the Mesos master at {master}",
        json={"type": "GET_AGENTS"},
        headers={"Accept": "application/json"},
    )
    for agent in known.get("get_agents", {}).get("agents", ()):
        info = agent.get("agent_info", {})
        if info.get("id", {}).get("value") == record.agent_id:
            # "slave(1)@10.0.0.1:5051": the address that it registered with, where its hostname may not resolve.
            at = str(agent.get("pid", "")).rpartition("@")[2]
            return at or f"{info.get('hostname', record.hostname)}:{info.get('port', 5051)}"
    raise AgentAway(
        f"agent {record.hostname} ({record.agent_id}) of {record.task_id} is not connected to the Mesos master "
        f"{master}; its files can be read when it is back"
    )


class _Agent:
    def __init__(self, session: requests.Session, address: str, record: Record) -> None:
        self._session = session
        self._url = f"http://{address}"
        self._who = f"agent {record.hostname} at {address}"
        self._record = record

    def tail(self, framework_id: str, file: str, lines: int) -> Tail:
        directory = self._sandbox(framework_id)
        path = quote(f"{directory}/{file}")
        size = self._size(path, file, directory)
        begin = max(0, size - LONGEST)
        text = str(self._get(f"/files/read?path={path}&offset={begin}&length={LONGEST}").get("data", ""))
        if begin:
            text = text.partition("\n")[2] or text  # the first line is a part of one
        found = re.findall(r"[^\n]*\n|[^\n]+", text)
        return Tail(file, size, "".join(found[-lines:]), cut=begin > 0 or len(found) > lines)

    def _sandbox(self, framework_id: str) -> str:
        """The newest run's directory on the agent."""
        state = self._get("/state")
        for executor in _executors(state, framework_id):
            if executor.get("id") == self._record.task_id and executor.get("directory"):
                return str(executor["directory"])
        raise NoFile(
            f"{self._who} has no sandbox of {self._record.task_id} any more; Mesos removes those of ended tasks "
            "after a while"
        )

    def _size(self, path: str, file: str, directory: str) -> int:
        """An offset of -1 asks for the size alone."""
        try:
            return int(self._get(f"/files/read?path={path}&offset=-1").get("offset", 0))
        except NoFile:
            there = ", ".join(self._files(directory)) or "none yet"
            raise NoFile(f"{self._record.task_id} has no file {file}; it has: {there}") from None

    def _files(self, directory: str) -> list[str]:
        """The names that may be read."""
        found: list[str] = []
        for folder in ("", f"/{LOGS}"):
            try:
                entries = self._get(f"/files/browse?path={quote(directory + folder)}")
            except NoFile:
                continue
            names = [str(entry["path"]).removeprefix(f"{directory}/") for entry in entries if not _is_folder(entry)]
            found += [name for name in names if allowed(name)]
        return found

    def _get(self, path: str) -> Any:
        return _json(self._session, "GET", self._url + path, self._who)


def _is_folder(entry: Mapping[str, Any]) -> bool:
    """Mesos gives the mode as ``ls`` writes it; localmesos as a number."""
    mode = entry.get("mode", "")
    return mode.startswith("d") if isinstance(mode, str) else bool(mode & 0o040000)


def _executors(state: Mapping[str, Any], framework_id: str) -> Iterator[Mapping[str, Any]]:
    """Those that run first, then those that have ended, the newest first."""
    frameworks = [*state.get("frameworks", ()), *state.get("completed_frameworks", ())]
    ours = [framework for framework in frameworks if framework.get("id") == framework_id]
    for section in ("executors", "completed_executors"):
        for framework in ours:
            yield from reversed(framework.get(section, ()))


def _json(session: requests.Session, method: str, url: str, who: str, **arguments: Any) -> Any:
    try:
        answer = session.request(method, url, timeout=(CONNECT_SECONDS, READ_SECONDS), **arguments)
        if answer.status_code == requests.codes.not_found:
            raise NoFile(f"{who} has no such file")
        if not answer.ok:
            raise AgentAway(f"{who} refuses to show its files ({answer.status_code} {answer.reason})")
        return answer.json()
    except (requests.RequestException, ValueError) as error:
        raise AgentAway(f"{who} does not answer ({type(error).__name__}); ask again when it is back") from error
