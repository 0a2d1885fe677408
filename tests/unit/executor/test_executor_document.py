"""The launch document: read as a whole, refused with every mistake, filled in by name."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from typing import Any

import pytest

from executor.document import (
    Absent,
    Alive,
    EmptyUnless,
    Exists,
    File,
    Folder,
    HttpAddress,
    LaunchDocument,
    Mistakes,
    Process,
    Ready,
    Restart,
    Step,
    TcpAddress,
    decode,
    read,
    substitute,
    variables_used,
)

DOCUMENT: dict[str, Any] = {
    "version": 2,
    "slot": "worker-0",
    "role": "worker",
    "checks": [
        {"kind": "exists", "path": "/journal", "sentence": "The journal is gone."},
        {"kind": "absent", "path": "/journal/retired", "sentence": "The journal is retired."},
        {"kind": "empty-unless", "path": "/journal", "marker": "/journal-formatted", "sentence": "Whose is it?"},
    ],
    "directories": [{"path": "/dev/shm/alluxio/mem", "bytes": 1024, "purpose": "MEM tier"}],
    "files": [{"path": "${SANDBOX}/conf/alluxio-site.properties", "content": "a=${SANDBOX}", "mode": "0600"}],
    "prepare": [
        {"name": "format", "command": ["${JAVA}"], "environment": {}, "unless_exists": "/journal/x", "creates": None}
    ],
    "processes": [
        {
            "name": "worker",
            "command": ["${JAVA}", "-cp", "${CLASS_PATH}", "-Dalluxio.home=${alluxio.home}"],
            "environment": {"A": "b"},
            "ready": {"kind": "http", "url": "http://127.0.0.11:31001/api/v1/worker/info", "seconds": 120},
            "after": [],
        },
        {
            "name": "job-worker",
            "command": ["${JAVA}"],
            "environment": {},
            "ready": {"kind": "tcp", "host": "127.0.0.11", "port": 31002, "seconds": 60.5},
            "after": ["worker"],
            "alive": {
                "kind": "tcp",
                "host": "127.0.0.11",
                "port": 31003,
                "every_seconds": 5,
                "failures": 6,
                "timeout_seconds": 2.5,
            },
        },
    ],
    "restart": {
        "initial_seconds": 1.0,
        "factor": 2,
        "maximum_seconds": 30.0,
        "attempts": 5,
        "healthy_seconds": 60.0,
    },
    "stop_seconds": 15.0,
}


def changed(*path: str | int, value: Any) -> dict[str, Any]:
    """DOCUMENT with one value replaced."""
    document = copy.deepcopy(DOCUMENT)
    target: Any = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return document


def test_a_document_is_read_as_a_whole() -> None:
    assert read(DOCUMENT) == LaunchDocument(
        slot="worker-0",
        role="worker",
        checks=(
            Exists("/journal", "The journal is gone."),
            Absent("/journal/retired", "The journal is retired."),
            EmptyUnless("/journal", "/journal-formatted", "Whose is it?"),
        ),
        folders=(Folder("/dev/shm/alluxio/mem", 1024, "MEM tier"),),
        files=(File("${SANDBOX}/conf/alluxio-site.properties", "a=${SANDBOX}", 0o600),),
        steps=(Step("format", ("${JAVA}",), {}, "/journal/x", None),),
        processes=(
            Process(
                name="worker",
                command=("${JAVA}", "-cp", "${CLASS_PATH}", "-Dalluxio.home=${alluxio.home}"),
                environment={"A": "b"},
                ready=Ready(HttpAddress("http://127.0.0.11:31001/api/v1/worker/info"), 120.0),
                after=(),
            ),
            Process(
                "job-worker",
                ("${JAVA}",),
                {},
                Ready(TcpAddress("127.0.0.11", 31002), 60.5),
                ("worker",),
                Alive(TcpAddress("127.0.0.11", 31003), 5.0, 6, 2.5),
            ),
        ),
        restart=Restart(1.0, 2.0, 30.0, 5, 60.0),
        stop_seconds=15.0,
    )


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            changed("version", value=3),
            "version is 3; this executor knows launch documents of version 1 and 2.",
        ),
        (
            changed("version", value=True),
            "version is True; this executor knows launch documents of version 1 and 2.",
        ),
        (
            changed("checks", 0, "kind", value="there"),
            'checks[0].kind is "there"; it must be "exists", "absent" or "empty-unless".',
        ),
        (
            changed("checks", 0, "marker", value="/x"),
            "checks[0].marker is not known; known here are kind, path, sentence.",
        ),
        (
            changed("checks", 2, "marker", value=None),
            "checks[2].marker is null; it must be an absolute path, or begin with ${SANDBOX} or ${ALLUXIO_HOME}.",
        ),
        (
            {key: value for key, value in DOCUMENT.items() if key != "checks"},
            "checks is missing; it must be a list of objects.",
        ),
        (
            changed("processes", 1, "alive", "every_seconds", value=0),
            "processes[1].alive.every_seconds is 0; it must be a number of at least 0.1.",
        ),
        (
            changed("processes", 1, "alive", "failures", value=0),
            "processes[1].alive.failures is 0; it must be a whole number of at least 1.",
        ),
        (
            changed("processes", 1, "alive", "seconds", value=1),
            "processes[1].alive.seconds is not known; known here are every_seconds, failures, host, kind, port, "
            "timeout_seconds.",
        ),
        (
            changed("processes", 0, "alive", value="http"),
            'processes[0].alive is "http"; it must be an object.',
        ),
        (
            changed("slot", value="worker_0"),
            'slot is "worker_0"; it must be a name of at most 63 lower-case letters, digits and hyphens.',
        ),
        (
            changed("directories", 0, "path", value="mem"),
            'directories[0].path is "mem"; it must be an absolute path, or begin with ${SANDBOX} or ${ALLUXIO_HOME}.',
        ),
        (
            changed("directories", 0, "bytes", value=1.5),
            "directories[0].bytes is 1.5; it must be a whole number of at least 0.",
        ),
        (
            changed("files", 0, "mode", value=600),
            'files[0].mode is 600; it must be an octal file mode such as "0600".',
        ),
        (
            changed("files", value={}),
            "files is {}; it must be a list of objects.",
        ),
        (
            changed("prepare", 0, "command", value=[]),
            "prepare[0].command is []; it must be a list of texts, not empty.",
        ),
        (
            changed("prepare", 0, "unless_exists", value="x"),
            'prepare[0].unless_exists is "x"; it must be an absolute path, '
            "or begin with ${SANDBOX} or ${ALLUXIO_HOME}.",
        ),
        (
            changed("processes", 0, "environment", value={"A": 1}),
            'processes[0].environment is {"A": 1}; it must be an object of texts.',
        ),
        (
            changed("processes", 0, "ready", value={"kind": "https", "seconds": 1}),
            'processes[0].ready.kind is "https"; it must be "http" or "tcp".',
        ),
        (
            changed("processes", 0, "ready", "url", value="https://a/"),
            'processes[0].ready.url is "https://a/"; it must be an http:// address.',
        ),
        (
            changed("processes", 1, "ready", "port", value=65536),
            "processes[1].ready.port is 65536; it must be a whole number of at least 1 and at most 65535.",
        ),
        (
            changed("processes", 1, "name", value="worker"),
            "The name 'worker' stands for two of prepare and processes; give each its own.",
        ),
        (
            changed("processes", 0, "after", value=["job-worker"]),
            "processes: worker starts after 'job-worker', which is not listed before it; "
            "list the processes in the order of their start.",
        ),
        (
            changed("restart", "factor", value=0.5),
            "restart.factor is 0.5; it must be a number of at least 1.",
        ),
        (
            changed("restart", "attempts", value=True),
            "restart.attempts is true; it must be a whole number of at least 0.",
        ),
        (
            changed("stop_seconds", value=float("nan")),
            "stop_seconds is NaN; it must be a number of at least 0.",
        ),
        (
            changed("directories", 0, "size", value=1),
            "directories[0].size is not known; known here are bytes, path, purpose.",
        ),
        (
            {key: value for key, value in DOCUMENT.items() if key != "restart"},
            "restart is missing; it must be an object.",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_its_value_and_what_is_allowed(
    document: dict[str, Any], sentence: str
) -> None:
    assert read(document) == Mistakes((sentence,))


def version_1() -> dict[str, Any]:
    """DOCUMENT as a scheduler of the first release would send it."""
    document = changed("version", value=1)
    del document["checks"]
    del document["processes"][1]["alive"]
    return document


def test_a_document_of_version_1_is_read_and_has_nothing_of_version_2() -> None:
    document = read(DOCUMENT)
    assert isinstance(document, LaunchDocument)
    processes = (document.processes[0], dataclasses.replace(document.processes[1], alive=None))
    assert read(version_1()) == dataclasses.replace(document, checks=(), processes=processes)
    mixed = version_1()
    mixed["checks"] = []
    mixed["processes"][1]["alive"] = None
    assert read(mixed) == Mistakes(
        (
            "processes[1].alive is not known; known here are after, command, environment, name, ready.",
            "checks is not known; known here are directories, files, prepare, processes, restart, role, slot, "
            "stop_seconds, version.",
        )
    )


def test_an_address_is_shown_as_a_host_and_a_port() -> None:
    addresses = [HttpAddress("http://127.0.0.11:31001/api/v1/worker/info"), TcpAddress("host", 1)]
    assert [str(address) for address in addresses] == ["127.0.0.11:31001", "host:1"]


def test_all_mistakes_are_told_at_once() -> None:
    document = changed("processes", value=[])
    document["stop_seconds"] = "15"
    document["files"][0].pop("content")
    assert read(document) == Mistakes(
        (
            "files[0].content is missing; it must be a text.",
            'stop_seconds is "15"; it must be a number of at least 0.',
            "processes is empty; a task needs at least one.",
        )
    )


def test_task_data_is_base64_of_json() -> None:
    encoded = base64.b64encode(json.dumps(DOCUMENT).encode()).decode()
    assert decode(encoded) == DOCUMENT


@pytest.mark.parametrize(
    ("data", "beginning"),
    [
        ("{}", "TaskInfo.data is not base64 of JSON in UTF-8: "),
        ("", "TaskInfo.data is not base64 of JSON in UTF-8: "),
        (base64.b64encode(b"\xff").decode(), "TaskInfo.data is not base64 of JSON in UTF-8: "),
        (base64.b64encode(b"[]").decode(), "TaskInfo.data is not a JSON object but a list."),
        (base64.b64encode(b"null").decode(), "TaskInfo.data is not a JSON object but null."),
    ],
)
def test_task_data_that_is_no_document(data: str, beginning: str) -> None:
    decoded = decode(data)
    assert isinstance(decoded, Mistakes)
    assert decoded.sentences[0].startswith(beginning)


def test_only_the_executors_own_names_are_filled_in() -> None:
    assert variables_used(DOCUMENT) == {"SANDBOX", "JAVA", "CLASS_PATH"}
    text = "${SANDBOX}/x ${alluxio.home} $SANDBOX ${JAVA} $${SANDBOX} ${sandbox} 100%"
    assert substitute({"a": [text, 1, None]}, {"SANDBOX": "/s"}) == {
        "a": ["/s/x ${alluxio.home} $SANDBOX ${JAVA} $/s ${sandbox} 100%", 1, None]
    }
