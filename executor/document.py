"""The launch document: what the scheduler asks of an executor, as JSON in TaskInfo.data. Pure; docs/executor.md is its
specification.

`read` answers with a document or with every mistake in it, one sentence each. `substitute` fills in the paths that only
the agent knows. Nothing here looks at the file system.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence, Union
from urllib.parse import urlsplit

# A document of version 1 has neither `checks` nor `alive`.
VERSIONS = (1, 2)
VARIABLES = ("SANDBOX", "ALLUXIO_HOME", "CLASS_PATH", "JAVA")

_VARIABLE = re.compile(r"\$\{(" + "|".join(VARIABLES) + r")\}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MODE = re.compile(r"0?[0-7]{3}")
_ADDRESS_KIND = re.compile("http|tcp")
_CHECK_KIND = re.compile("exists|absent|empty-unless")
_HTTP_URL = re.compile(r"http://[^/\s]+(/\S*)?")
# Asked more often than this, a process would be kept busy by being asked.
_LEAST_PERIOD_SECONDS = 0.1


@dataclass(frozen=True)
class Exists:
    """`path` must be there; a link to nothing is not."""

    path: str
    sentence: str


@dataclass(frozen=True)
class Absent:
    """Nothing may be at `path`, not even a link to nothing."""

    path: str
    sentence: str


@dataclass(frozen=True)
class EmptyUnless:
    """The folder `path` must be empty or missing, unless `marker` exists."""

    path: str
    marker: str
    sentence: str


Check = Union[Exists, Absent, EmptyUnless]


@dataclass(frozen=True)
class Folder:
    """A folder that must exist and have room for `bytes` before anything starts; it is never removed."""

    path: str
    bytes: int
    purpose: str


@dataclass(frozen=True)
class File:
    path: str
    content: str
    mode: int


@dataclass(frozen=True)
class Step:
    """A command to run once before the processes; `creates` is written after success, `unless_exists` skips it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    unless_exists: str | None
    creates: str | None


@dataclass(frozen=True)
class HttpAddress:
    """Asked with a GET of `url`."""

    url: str

    def __str__(self) -> str:
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class TcpAddress:
    """Asked with a connection to the port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Address = Union[HttpAddress, TcpAddress]


@dataclass(frozen=True)
class Ready:
    """Ready when a GET answers with a 2xx status, or a connection is accepted, within `seconds` of the start."""

    address: Address
    seconds: float


@dataclass(frozen=True)
class Alive:
    """A ready process that does not answer `failures` times in a row hangs; a GET may answer with any status."""

    address: Address
    every_seconds: float
    failures: int
    timeout_seconds: float


@dataclass(frozen=True)
class Process:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Ready
    after: tuple[str, ...]
    alive: Alive | None = None


@dataclass(frozen=True)
class Restart:
    """Back-off of a crashed process: `initial_seconds` × `factor`^n, at most `maximum_seconds`, `attempts` times.

    The count starts again when the process has been ready for `healthy_seconds`.
    """

    initial_seconds: float
    factor: float
    maximum_seconds: float
    attempts: int
    healthy_seconds: float


@dataclass(frozen=True)
class LaunchDocument:
    slot: str
    role: str
    checks: tuple[Check, ...]
    folders: tuple[Folder, ...]
    files: tuple[File, ...]
    steps: tuple[Step, ...]
    processes: tuple[Process, ...]
    restart: Restart
    stop_seconds: float
    lock: str | None = None


@dataclass(frozen=True)
class Mistakes:
    """Why a launch document cannot be used: one sentence for each mistake."""

    sentences: tuple[str, ...]


def decode(data: str) -> dict[str, Any] | Mistakes:
    """TaskInfo.data (base64 of JSON in UTF-8, as Mesos's JSON carries bytes) -> the JSON object."""
    try:
        value = json.loads(base64.b64decode(data, validate=True).decode("utf-8"))
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        return Mistakes((f"TaskInfo.data is not base64 of JSON in UTF-8: {error}.",))
    if not isinstance(value, dict):
        return Mistakes((f"TaskInfo.data is not a JSON object but {_kind(value)}.",))
    return value


def variables_used(value: object) -> frozenset[str]:
    """Which of VARIABLES any string of a JSON value names."""
    if isinstance(value, str):
        return frozenset(_VARIABLE.findall(value))
    if isinstance(value, dict):
        return frozenset().union(*map(variables_used, value.values()))
    if isinstance(value, list):
        return frozenset().union(*map(variables_used, value))
    return frozenset()


def substitute(value: Any, variables: Mapping[str, str]) -> Any:
    """Replace `${NAME}` in every string of a JSON value for each name in `variables`; every other `${...}` stays as it
    is.
    """
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: variables.get(match.group(1), match.group(0)), value)
    if isinstance(value, dict):
        return {key: substitute(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, variables) for item in value]
    return value


def read(value: Mapping[str, Any]) -> LaunchDocument | Mistakes:
    """A launch document from its JSON object, or all its mistakes."""
    version = value.get("version")
    if isinstance(version, bool) or version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        return Mistakes((f"version is {version!r}; this executor knows launch documents of version {known}.",))
    fields = _Fields(value, "", [])
    fields.integer("version", min(VERSIONS))
    document = LaunchDocument(
        slot=fields.name("slot"),
        role=fields.name("role"),
        checks=tuple(map(_check, fields.objects("checks"))) if version > 1 else (),
        folders=tuple(map(_folder, fields.objects("directories"))),
        files=tuple(map(_file, fields.objects("files"))),
        steps=tuple(map(_step, fields.objects("prepare"))),
        processes=tuple(_process(process, version) for process in fields.objects("processes")),
        restart=_restart(fields.object("restart")),
        stop_seconds=fields.number("stop_seconds", 0),
        lock=fields.optional_path("lock") if version > 1 else None,
    )
    fields.refuse_unknown()
    sentences = fields.errors + _contradictions(document)
    return Mistakes(tuple(sentences)) if sentences else document


def _check(fields: _Fields) -> Check:
    kind = fields.matching("kind", _CHECK_KIND, '"exists", "absent" or "empty-unless"')
    path, sentence = fields.path("path"), fields.text("sentence")
    check: Check = Exists(path, sentence)
    if kind == "absent":
        check = Absent(path, sentence)
    elif kind == "empty-unless":
        check = EmptyUnless(path, fields.path("marker"), sentence)
    if kind:
        fields.refuse_unknown()
    return check


def _folder(fields: _Fields) -> Folder:
    folder = Folder(fields.path("path"), fields.integer("bytes", 0), fields.text("purpose"))
    fields.refuse_unknown()
    return folder


def _file(fields: _Fields) -> File:
    file = File(fields.path("path"), fields.text("content"), fields.mode("mode"))
    fields.refuse_unknown()
    return file


def _step(fields: _Fields) -> Step:
    step = Step(
        name=fields.name("name"),
        command=fields.texts("command", at_least_one=True),
        environment=fields.environment("environment"),
        unless_exists=fields.optional_path("unless_exists"),
        creates=fields.optional_path("creates"),
    )
    fields.refuse_unknown()
    return step


def _process(fields: _Fields, version: int) -> Process:
    process = Process(
        name=fields.name("name"),
        command=fields.texts("command", at_least_one=True),
        environment=fields.environment("environment"),
        ready=_ready(fields.object("ready")),
        after=fields.texts("after"),
        alive=_alive(fields.optional_object("alive")) if version > 1 else None,
    )
    fields.refuse_unknown()
    return process


def _ready(fields: _Fields) -> Ready:
    ready = Ready(seconds=fields.number("seconds", 0), address=_address(fields))
    fields.refuse_unknown()
    return ready


def _alive(fields: _Fields | None) -> Alive | None:
    if fields is None:
        return None
    alive = Alive(
        every_seconds=fields.number("every_seconds", _LEAST_PERIOD_SECONDS),
        failures=fields.integer("failures", 1),
        timeout_seconds=fields.number("timeout_seconds", _LEAST_PERIOD_SECONDS),
        address=_address(fields),
    )
    fields.refuse_unknown()
    return alive


def _address(fields: _Fields) -> Address:
    kind = fields.matching("kind", _ADDRESS_KIND, '"http" or "tcp"')
    if kind == "http":
        return HttpAddress(fields.matching("url", _HTTP_URL, "an http:// address"))
    if kind == "tcp":
        return TcpAddress(fields.text("host"), fields.integer("port", 1, 65535))
    # Which fields belong to it, nobody can say.
    fields.allow("url", "host", "port")
    return TcpAddress("", 0)


def _restart(fields: _Fields) -> Restart:
    restart = Restart(
        initial_seconds=fields.number("initial_seconds", 0),
        factor=fields.number("factor", 1),
        maximum_seconds=fields.number("maximum_seconds", 0),
        attempts=fields.integer("attempts", 0),
        healthy_seconds=fields.number("healthy_seconds", 0),
    )
    fields.refuse_unknown()
    return restart


def _contradictions(document: LaunchDocument) -> list[str]:
    """What each field alone cannot show: no process, a name used twice, an order that cannot be kept."""
    sentences = [] if document.processes else ["processes is empty; a task needs at least one."]
    names = [step.name for step in document.steps] + [process.name for process in document.processes]
    sentences += [
        f"The name {name!r} stands for two of prepare and processes; give each its own."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    before: list[str] = []
    for process in document.processes:
        sentences += [
            f"processes: {process.name} starts after {name!r}, which is not listed before it; "
            "list the processes in the order of their start."
            for name in process.after
            if name not in before
        ]
        before.append(process.name)
    return sentences


class _Fields:
    """One JSON object while it is read: every wrong field adds a sentence to `errors` and reads as an empty value."""

    def __init__(self, value: Mapping[str, Any], where: str, errors: list[str]) -> None:
        self.errors = errors
        self._value = value
        self._where = where
        self._known: set[str] = set()

    def wrong(self, name: str, value: object, what: str) -> None:
        shown = json.dumps(value)
        self.errors.append(f"{self._where}{name} is {shown if len(shown) <= 80 else shown[:77] + '...'}; it {what}.")

    def text(self, name: str) -> str:
        value = self._get(name)
        return value if self._check(name, isinstance(value, str), "must be a text") else ""

    def matching(self, name: str, pattern: re.Pattern[str], what: str) -> str:
        value = self._get(name)
        fits = isinstance(value, str) and pattern.fullmatch(value) is not None
        return value if self._check(name, fits, f"must be {what}") else ""

    def name(self, name: str) -> str:
        return self.matching(name, _NAME, "a name of at most 63 lower-case letters, digits and hyphens")

    def mode(self, name: str) -> int:
        return int(self.matching(name, _MODE, 'an octal file mode such as "0600"') or "0", base=8)

    def path(self, name: str) -> str:
        value = self._get(name)
        fits = isinstance(value, str) and value.startswith(("/", "${SANDBOX}", "${ALLUXIO_HOME}"))
        return (
            value
            if self._check(name, fits, "must be an absolute path, or begin with ${SANDBOX} or ${ALLUXIO_HOME}")
            else ""
        )

    def optional_path(self, name: str) -> str | None:
        self.allow(name)
        return None if self._value.get(name) is None else self.path(name)

    def number(self, name: str, minimum: float) -> float:
        value = self._get(name)
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and minimum <= value < float("inf")
        return float(value) if self._check(name, fits, f"must be a number of at least {minimum:g}") else minimum

    def integer(self, name: str, minimum: int, maximum: int | None = None) -> int:
        value = self._get(name)
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= minimum
        what = f"must be a whole number of at least {minimum}"
        if maximum is not None:
            fits, what = fits and value <= maximum, f"{what} and at most {maximum}"
        return value if self._check(name, fits, what) else minimum

    def texts(self, name: str, at_least_one: bool = False) -> tuple[str, ...]:
        value = self._get(name)
        fits = (
            isinstance(value, list)
            and all(isinstance(item, str) for item in value)
            and (bool(value) or not at_least_one)
        )
        return (
            tuple(value)
            if self._check(name, fits, "must be a list of texts" + (", not empty" if at_least_one else ""))
            else ()
        )

    def environment(self, name: str) -> Mapping[str, str]:
        value = self._get(name)
        fits = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        return value if self._check(name, fits, "must be an object of texts") else {}

    def object(self, name: str) -> _Fields:
        value = self._get(name)
        fits = self._check(name, isinstance(value, dict), "must be an object")
        return _Fields(value if fits else {}, f"{self._where}{name}.", self.errors if fits else [])

    def optional_object(self, name: str) -> _Fields | None:
        self.allow(name)
        return None if self._value.get(name) is None else self.object(name)

    def objects(self, name: str) -> Sequence[_Fields]:
        value = self._get(name)
        fits = isinstance(value, list) and all(isinstance(item, dict) for item in value)
        if not self._check(name, fits, "must be a list of objects"):
            return []
        return [_Fields(item, f"{self._where}{name}[{index}].", self.errors) for index, item in enumerate(value)]

    def allow(self, *names: str) -> None:
        """Fields that may be there."""
        self._known.update(names)

    def refuse_unknown(self) -> None:
        known = ", ".join(sorted(self._known))
        for name in self._value:
            if name not in self._known:
                self.errors.append(f"{self._where}{name} is not known; known here are {known}.")

    def _get(self, name: str) -> Any:
        self._known.add(name)
        return self._value.get(name)

    def _check(self, name: str, fits: bool, what: str) -> bool:
        if not fits and name not in self._value:
            self.errors.append(f"{self._where}{name} is missing; it {what}.")
        elif not fits:
            self.wrong(name, self._value[name], what)
        return fits


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")
