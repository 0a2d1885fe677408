"""The API's operations, and their description as OpenAPI 3.1. Data only.

``OPERATIONS`` is the one table of what there is: the application makes its routes of it, the guard reads who may do
what off it, and the description is made of it. So nothing can be there without being described.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from framework import __doc__ as framework_sentence
from framework.alluxio.paths import LoadState
from framework.api.tokens import Access
from framework.model import Kind, TaskState
from framework.mounting import MADE, Standing
from framework.paths import MOST_COPIES, TtlAction
from framework.plans import Status
from framework.views import Phase

Schema = Mapping[str, Any]

# What comes and goes -------------------------------------------------------------------------------------------------


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, said: str = "") -> Schema:
    shape = {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}
    return shape | ({"description": said} if said else {})


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(said: str = "", *allowed: str) -> Schema:
    return {"type": "string"} | ({"description": said} if said else {}) | ({"enum": list(allowed)} if allowed else {})


def _text_or_null(said: str) -> Schema:
    return {"type": ["string", "null"], "description": said}


def _count(said: str = "") -> Schema:
    return {"type": "integer", "minimum": 0} | ({"description": said} if said else {})


_OPTIONS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}


def _number(said: str) -> Schema:
    return {"type": "number", "description": said}


_YES_NO: Final[Schema] = {"type": "boolean"}
_BYTES: Final = _count("bytes")
_WORKERS: Final[Schema] = {"oneOf": [_count(), {"const": "all"}], "description": "all: one on each agent"}
_COUNTS: Final[Schema] = {
    "type": "object",
    "additionalProperties": _WORKERS,
    "description": "of workers beside the default group, by name",
}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
_STATUS: Final = _text("the first of these that holds for any part", *Status)

_SUMMARY: Final[Mapping[str, Schema]] = {
    "count": _WORKERS,
    "ready": _count("wanted workers that answer"),
    "missing": _count("wanted workers that do not"),
    "why": _text("why the first of those does not; empty when none is missing"),
}
_GROUP: Final[Mapping[str, Schema]] = {"name": _text(), "options": _TEXTS, **_SUMMARY}
_LEAVING: Final = _list(
    _object(
        {
            "slot": _text(),
            "hostname": _text(),
            "used_bytes": _BYTES,
            "step": _text("", "persisting", "draining", "stopping"),
            "message": _text(),
        }
    )
)
_CHANGE: Final[Mapping[str, Schema]] = {
    "dry_run": _YES_NO,
    "before": _WORKERS,
    "count": _WORKERS,
    "start": _list(_text("a slot that is wanted now and was not")),
    "stop": _list(_object({"slot": _text(), "hostname": _text(), "used_bytes": _BYTES})),
    "missing": _count(),
    "why": _text(),
    "number": _count("the version that holds, as in ETag"),
}
_MOUNT_OPTIONS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["secret"],
                "additionalProperties": False,
                "properties": {"secret": _text("the name of a file in the folder of --secrets-dir")},
            },
        ]
    },
}
_MOUNT: Final[Mapping[str, Schema]] = {
    "uri": _text("such as s3://bucket/folder"),
    "options": _MOUNT_OPTIONS,
    "readonly": _YES_NO,
    "shared": {"type": "boolean", "description": "every user may use it"},
}
_AS_WANTED: Final = _object({"wanted": _count(), "made": _count("as they are wanted"), "failing": _count()})
_CHANGED: Final = _list(_object({"name": _text("an option"), "before": _text(), "after": _text()}))
_PATH: Final[Mapping[str, Schema]] = {
    "path": _text(),
    "folder": _YES_NO,
    "size_bytes": _count("of a folder 0"),
    "in_memory_percent": _count("of its blocks that a worker has in memory; of a folder 0"),
    "cached_percent": _count("of its blocks that a worker has in any tier; of a folder 0"),
    "pinned": _YES_NO,
    "ttl_seconds": {"type": ["number", "null"], "description": "from its last change; null is for ever"},
    "ttl_action": _text("", *TtlAction),
    "replication_min": _count("copies; of a folder 0"),
    "replication_max": {"type": ["integer", "null"], "description": "copies; null is no limit"},
    "persistence": _text("Alluxio's word, such as PERSISTED or NOT_PERSISTED"),
    "mount_point": _YES_NO,
    "under_storage": _text("where it lies, or would lie, in the under-storage"),
    "owner": _text(),
    "group": _text(),
    "modified_at": _number("seconds since 1970"),
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Problem": _object(
        {
            "type": _text(),
            "title": _text("HTTP's name of the status"),
            "status": {"type": "integer"},
            "detail": _text("one sentence: what is wrong, and what to do"),
        },
        {"errors": _list(_text("each mistake of several"))},
        "An error (RFC 9457).",
    ),
    "Health": _object(
        {"healthy": _YES_NO, "role": _text("", "waiting", "standby", "leader")},
        {
            "leader": _text_or_null("the address of the leading scheduler's API"),
            "service": _text(),
            "reason": _text("why it is not healthy; empty when it is"),
            "connected": _YES_NO,
            "mesos": _text("the Mesos master"),
            "framework_id": _text(),
            "seconds_since_heard": {"type": ["number", "null"], "description": "since Mesos's last word"},
        },
        "Whether the scheduler itself does its work. Without a token, where one is required: healthy and role only.",
    ),
    "Status": _object(
        {
            "service": _text(),
            "configuration": _text("the id of the wanted configuration"),
            "wanted": _object(
                {
                    "masters": _count(),
                    "workers": _WORKERS,
                    "proxies": _count(),
                    "groups": _COUNTS,
                }
            ),
            "waiting_for": {
                "type": "object",
                "additionalProperties": _text(),
                "description": "by kind of task: what must come first",
            },
            "tasks": _list(_named("Task")),
            "mounts": _AS_WANTED,
            "paths": _AS_WANTED,
            "not_as_wanted": _list(
                _object(
                    {
                        "kind": _text("", "mount", "path"),
                        "path": _text("in the namespace"),
                        "wanted": _text("the storage, or what is wanted of the path"),
                        "state": _text("", *(standing for standing in Standing if standing not in MADE)),
                        "reason": _text("why it is not as it is wanted"),
                    }
                )
            ),
            "alluxio": _object(
                {
                    "leader": _text_or_null("host:port of the primary master"),
                    "reason": _text("why there is none"),
                    "capacity_bytes": _BYTES,
                    "used_bytes": _BYTES,
                    "live_workers": _count(),
                }
            ),
        }
    ),
    "Task": _object(
        {"slot": _text("such as worker-0"), "phase": _text("", *Phase)},
        {
            "failure": _object(
                {"count": _count(), "reason": _text(), "next_launch_in_seconds": _number("0 when it is due")}
            ),
            "task_id": _text("slot.attempt"),
            "agent_id": _text(),
            "hostname": _text(),
            "ports": {"type": "object", "additionalProperties": {"type": "integer"}},
            "volumes": _list(_object({"tier": _text(), "persistence_id": _text(), "size_mib": _count()})),
            "state": _text("Mesos's", *TaskState),
            "ready": _YES_NO,
            "message": _text(),
            "since": _number("seconds since 1970"),
            "capacity_bytes": _BYTES,
            "used_bytes": _BYTES,
            "kind": _text("", *Kind),
            "attempt": _count("the launches of this slot so far"),
            "configuration": _text("the id of the configuration that it was launched with"),
            "launched_at": _number("seconds since 1970"),
            "deployed": {"type": "boolean", "description": "it was ready once: what follows is recovery"},
            "attributes": _TEXTS,
            "processes": _TEXTS,
            "sandbox": _text("below the agent's work directory"),
        },
        "/v1/status leaves out what begins with kind.",
    ),
    "Workers": _object({**_SUMMARY, "workers": _list(_named("Task")), "leaving": _LEAVING}),
    "Change": _object(_CHANGE),
    "Group": _object({**_GROUP, "workers": _list(_named("Task")), "leaving": _LEAVING}),
    "Groups": _object({"groups": _list(_object(_GROUP))}),
    "GroupChange": _object(
        {
            "name": _text(),
            "options": _TEXTS,
            **_CHANGE,
            "changed": _CHANGED,
            "restarts": _list(_text("a slot, in the order in which they are launched again")),
        }
    ),
    "Mount": _object(
        {
            "path": _text("in the namespace"),
            **_MOUNT,
            "wanted": _YES_NO,
            "own": {"type": "boolean", "description": "this service made it, and may change and unmount it"},
            "mounted": _text_or_null("the storage that Alluxio has there now"),
            "state": _text("", *Standing),
            "reason": _text("why it is not mounted, or by whom it is"),
        }
    ),
    "Mounts": _object({"mounts": _list(_named("Mount"))}),
    "MountChange": _object(
        {
            "dry_run": _YES_NO,
            "path": _text(),
            "does": _text(
                "leave: somebody else mounted what is there",
                "mount",
                "update",
                "replace",
                "unmount",
                "leave",
                "nothing",
            ),
            "before": {"oneOf": [_object(_MOUNT), {"type": "null"}]},
            "after": {"oneOf": [_object(_MOUNT), {"type": "null"}]},
            "number": _count("the version that holds, as in ETag"),
        }
    ),
    "Endpoints": _object(
        {
            "api": _text("this API's address"),
            "mesos": _text_or_null("the Mesos master's page"),
            "zookeeper": _text("host:port,…"),
            "alluxio": _object(
                {
                    "uri": _text_or_null("what clients call the root of the namespace"),
                    "leader": _text_or_null("host:port of the primary master"),
                    "leader_path": _text_or_null("where clients find the primary in ZooKeeper"),
                    "web": _text_or_null("its web port; only Alluxio's own tarball has pages for people there"),
                    "masters": _list(_text("host:port")),
                    "workers": _list(_text("host:port")),
                    "proxies": _list(_text("a web address")),
                },
                {"vips": _TEXTS},
            ),
        }
    ),
    "Client": _object(
        {"uri": _text_or_null("the root of the namespace"), "text": _text("what to paste")},
        {
            "properties": _TEXTS,
            "environment": _TEXTS,
            "client_jar": _text("Maven's coordinates"),
            "endpoints": _list(_text("a web address")),
            "ready": _YES_NO,
        },
    ),
    "Target": _object(
        {"targets": _list(_text("host:port")), "labels": _TEXTS}, said="For Prometheus's HTTP discovery."
    ),
    "Log": _object(
        {
            "task_id": _text(),
            "file": _text(),
            "size_bytes": _BYTES,
            "cut": {"type": "boolean", "description": "there is more before"},
            "text": _text("the end of the file"),
        }
    ),
    "Offers": _object(
        {
            "waiting": _count("offers that are not answered yet"),
            "suppressed": {"type": "boolean", "description": "Mesos was asked for no more"},
            "refused": _list(
                _object(
                    {
                        "agent_id": _text(),
                        "hostname": _text(),
                        "reason": _text(),
                        "at": _number("seconds since 1970"),
                    },
                )
            ),
        },
        said="The last refusals, the newest first.",
    ),
    "Event": _object(
        {
            "number": _count("each is greater than the one before"),
            "at": _number("seconds since 1970"),
            "kind": _text("what it is, such as updated or launch"),
            "text": _text("one sentence"),
        },
        said="Something that happened, or that was decided.",
    ),
    "Resting": _object({"name": _text(), "paused": {"type": "boolean"}}),
    "Configuration": _object(
        {
            "number": _count("its version"),
            "configuration": _text("the id of what tasks are launched with"),
            "options": _OPTIONS,
            "changed": _list(_text("an option that was changed over the API")),
            "history": _list(
                _object(
                    {
                        "number": _count(),
                        "at": _number("seconds since the epoch"),
                        "configuration": _text(),
                        "masters": _count(),
                        "workers": {"oneOf": [_count(), {"const": "all"}]},
                        "proxies": _count(),
                        "groups": _COUNTS,
                        "options": _OPTIONS,
                        "changes": _list(_text("what it changed beside the numbers, as a sentence")),
                    }
                )
            ),
        },
        said="Secrets are shown as ***.",
    ),
    "Reconfiguration": _object(
        {
            "dry_run": {"type": "boolean"},
            "number": _count("the version that holds"),
            "changed": _CHANGED,
            "restarts": _list(_text("a slot, in the order in which they are launched again")),
        }
    ),
    "Path": _object(
        _PATH,
        {
            "entries": _list(_object(_PATH)),
            "next": _text_or_null("give it as after to see what follows; null at the end"),
        },
        said="entries and next come with a folder that is asked for.",
    ),
    "WantedPath": _object(
        {
            "path": _text(),
            "wanted": _object(
                {},
                {
                    "pinned": _YES_NO,
                    "ttl_seconds": {"type": ["number", "null"]},
                    "ttl_action": _text("", *TtlAction),
                    "replication_min": _count(),
                    "replication_max": {"type": ["integer", "null"]},
                },
            ),
            "reason": _text("why it is not so; empty when it is"),
        }
    ),
    "Load": _object(
        {
            "path": _text(),
            "state": _text("", *LoadState),
            "percent": {"type": "integer", "minimum": 0, "maximum": 100},
            "files": _count("found so far that were not cached"),
            "loaded_bytes": _BYTES,
            "total_bytes": {"type": ["integer", "null"], "description": "of those files; null until one was found"},
            "failed_files": _count(),
            "failures": _list(_object({"path": _text(), "reason": _text()})),
            "reason": _text("why it failed; empty when it did not"),
        }
    ),
    "Plan": _object(
        {"name": _text(), "status": _STATUS},
        {
            "paused": {"type": "boolean", "description": "somebody let it rest"},
            "phases": _list(
                _object(
                    {
                        "name": _text(),
                        "status": _STATUS,
                        "steps": _list(_object({"name": _text(), "status": _STATUS}, {"message": _text("why")})),
                    }
                )
            ),
        },
        "Without a token, where one is required: name and status only.",
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a status means. A schema of None with JSON is no content."""

    said: str
    schema: Schema | None
    media_type: str = "application/json"
    json: Schema | None = None  # where the same comes as JSON too


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    said: str
    schema: Schema
    place: str = "path"  # or query
    required: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``name`` is the key of its handler. ``access`` is the least that a caller needs; where it
    is NONE, the leader answers everybody. ``everywhere``: every scheduler answers it, not only the leader; where it
    needs no token either, no rate limit holds.
    """

    method: str
    path: str
    name: str
    said: str
    answers: Mapping[int, Answer]
    access: Access = Access.READ
    everywhere: bool = False
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None

    @property
    def shown_path(self) -> str:
        """As OpenAPI writes it: a parameter's name alone, whatever it takes."""
        return re.sub(r"\{(\w+):\w+\}", r"{\1}", self.path)


def _json(said: str, schema: Schema) -> Mapping[int, Answer]:
    return {200: Answer(said, schema)}


_PLAN: Final[Mapping[int, Answer]] = {
    200: Answer("Nothing is left to do.", _named("Plan")),
    202: Answer("Work is left.", _named("Plan")),
}
_FILE: Final[Schema] = {}
_NAME: Final = Parameter("name", "the slot, such as worker-0, or its current task id", _text())


def _missing(said: str) -> Mapping[int, Answer]:
    return {404: Answer(said, _named("Problem"), "application/problem+json")}


_BODY: Final[Mapping[int, Answer]] = {
    415: Answer("The body is not called JSON.", _named("Problem"), "application/problem+json"),
    422: Answer("Something is not allowed; errors has all of it.", _named("Problem"), "application/problem+json"),
}
_CHANGING: Final[Mapping[int, Answer]] = {
    412: Answer("If-Match names another version.", _named("Problem"), "application/problem+json"),
    **_BODY,
}
_DRY_RUN_AND_VERSION: Final = (
    Parameter(
        "dry_run",
        "true: only say what would happen",
        {"type": "string", "enum": ["true", "false"]},
        "query",
        required=False,
    ),
    Parameter("If-Match", "the version that is to be changed, as ETag gave it", _text(), "header", required=False),
)
_MOUNT_PATH: Final = Parameter("path", "the path in the namespace without its first slash, such as data/s3", _text())
_GROUP_NAME: Final = Parameter("name", "the group's name, such as ssd; or default", _text())
_PLAN_NAME: Final = Parameter("name", "the plan's name, such as recovery", _text())
_IN_ALLUXIO: Final = Parameter(
    "path", "in Alluxio's namespace, such as data/table; slashes may be left as they are", _text()
)
_ATTRIBUTES: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "pinned": _YES_NO,
        "ttl": {"type": ["string", "null"], "pattern": "^[1-9][0-9]{0,6}[smh]$"},
        "ttl_action": {"type": "string", "enum": [*TtlAction]},
        "replication_min": {"type": "integer", "minimum": 0, "maximum": MOST_COPIES},
        "replication_max": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_COPIES},
    },
}
_OF_ALLUXIO: Final[Mapping[int, Answer]] = {
    **_missing("There is no such path."),
    409: Answer("Alluxio refuses it as things are, and why.", _named("Problem"), "application/problem+json"),
    503: Answer(
        "Alluxio has nobody to ask now: no primary master, or no worker. Retry-After says when to ask again.",
        _named("Problem"),
        "application/problem+json",
    ),
}
_LEVEL: Final = _object({"level": {"type": "string", "enum": ["DEBUG", "INFO", "WARNING", "ERROR"]}})


def _body(name: str, schema: Schema) -> Schema:
    """An object with this one field."""
    return {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: schema}}


def _counted(slots: str, optional: Mapping[str, Schema]) -> Schema:
    """An object with a number of workers; those that shall go have names of this pattern."""
    return {
        "type": "object",
        "required": ["count"],
        "additionalProperties": False,
        "properties": {
            "count": {"oneOf": [{"type": "integer", "minimum": 0, "maximum": 10_000}, {"const": "all"}]},
            "remove": {"type": "array", "items": {"type": "string", "pattern": slots}},
            **optional,
        },
    }


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "GET",
        "/v1/health",
        "health",
        "Whether this scheduler does its work",
        {200: Answer("It does.", _named("Health")), 503: Answer("It does not: reason says why.", _named("Health"))},
        Access.NONE,
        everywhere=True,
    ),
    Operation("GET", "/v1/status", "status", "What runs where, and what waits", _json("Now.", _named("Status"))),
    Operation("GET", "/v1/endpoints", "endpoints", "Where everything listens", _json("Now.", _named("Endpoints"))),
    Operation(
        "GET",
        "/v1/endpoints/{name}",
        "client",
        "What a client is configured with: text, or JSON where Accept names it alone; for prometheus its targets",
        {
            200: Answer(
                "The text; or a document.",
                _text(),
                "text/plain",
                {"oneOf": [_named("Client"), _list(_named("Target"))]},
            ),
            **_missing("There is no such client, or no proxy for it."),
        },
        parameters=(Parameter("name", "alluxio, spark, hadoop, s3 or prometheus", _text()),),
    ),
    Operation("GET", "/v1/tasks", "tasks", "All tasks, with all that is known", _json("Now.", _list(_named("Task")))),
    Operation(
        "GET",
        "/v1/tasks/{name}",
        "task",
        "One task",
        {**_json("Now.", _named("Task")), **_missing("There is no such task.")},
        parameters=(_NAME,),
    ),
    Operation(
        "GET",
        "/v1/tasks/{name}/log",
        "log",
        "The end of a task's log, read through its agent: text, or JSON where Accept names it alone",
        {
            200: Answer("The last lines.", _text(), "text/plain", _named("Log")),
            **_missing("There is no such task or file."),
            503: Answer("The agent gives no answer.", _named("Problem"), "application/problem+json"),
        },
        parameters=(
            _NAME,
            Parameter("file", "stdout, stderr or a file below logs/", _text(), "query", required=False),
            Parameter(
                "lines", "how many at most", {"type": "integer", "minimum": 1, "maximum": 1000}, "query", required=False
            ),
        ),
    ),
    Operation(
        "POST",
        "/v1/tasks/{name}/restart",
        "restart",
        "End a task and launch it again where it is; a worker comes back with its cached blocks",
        {
            202: Answer("It is being ended.", _object({"task_id": _text(), "message": _text()})),
            **_missing("There is no such task."),
            409: Answer(
                "It was just launched, or leaves, or the service is being uninstalled.",
                _named("Problem"),
                "application/problem+json",
            ),
        },
        Access.ADMIN,
        parameters=(_NAME,),
    ),
    Operation(
        "POST",
        "/v1/tasks/{name}/replace",
        "replace",
        "Let a worker go as when there are to be fewer, and launch another in its place",
        {
            202: Answer("It leaves.", _object({"task_id": _text(), "message": _text()})),
            **_missing("There is no such task."),
            409: Answer(
                "It is no worker, or leaves, or the service is being uninstalled.",
                _named("Problem"),
                "application/problem+json",
            ),
            422: Answer("It is not wanted by its number.", _named("Problem"), "application/problem+json"),
        },
        Access.ADMIN,
        parameters=(_NAME,),
    ),
    Operation(
        "GET",
        "/v1/mounts",
        "mounts",
        "The storages in the namespace: those that are wanted, and those that Alluxio has; ETag is the version",
        _json("Now.", _named("Mounts")),
    ),
    Operation(
        "GET",
        "/v1/mounts/{path:path}",
        "mount",
        "What is wanted and mounted at one path; without a path: at the root",
        {**_json("Now.", _named("Mount")), **_missing("Nothing is wanted or mounted there.")},
        parameters=(_MOUNT_PATH,),
    ),
    Operation(
        "PUT",
        "/v1/mounts/{path:path}",
        "change_mount",
        "Ask for a storage at a path. It is written down before the answer; Alluxio is asked for it until it is so, "
        "and GET says how far that is. Credentials are given by the names of secrets",
        {200: Answer("It holds, or would hold.", _named("MountChange")), **_CHANGING},
        Access.ADMIN,
        parameters=(_MOUNT_PATH, *_DRY_RUN_AND_VERSION),
        body={"type": "object", "required": ["uri"], "additionalProperties": False, "properties": dict(_MOUNT)},
    ),
    Operation(
        "DELETE",
        "/v1/mounts/{path:path}",
        "remove_mount",
        "Want nothing at a path any more; what this service mounted there is unmounted, and the storage keeps its data",
        {
            200: Answer("It holds, or would hold.", _named("MountChange")),
            **_missing("Nothing is wanted there."),
            422: Answer("It is the root, or somebody else's.", _named("Problem"), "application/problem+json"),
            412: _CHANGING[412],
        },
        Access.ADMIN,
        parameters=(_MOUNT_PATH, *_DRY_RUN_AND_VERSION),
    ),
    Operation(
        "GET",
        "/v1/workers",
        "workers",
        "How many workers are wanted, which there are, and which leave; ETag is the version",
        _json("Now.", _named("Workers")),
    ),
    Operation(
        "PUT",
        "/v1/workers",
        "scale",
        "Ask for another number of workers. It is written down before the answer. Those that cache least go, or those "
        "that are named; what only they cache is written to the under-storage first",
        {
            200: Answer("It holds, or would hold.", _named("Change")),
            **_CHANGING,
        },
        Access.ADMIN,
        parameters=_DRY_RUN_AND_VERSION,
        body=_counted("^worker-[0-9]{1,9}$", {}),
    ),
    Operation(
        "GET",
        "/v1/worker-groups",
        "groups",
        "The groups of workers, the default one first; ETag is the version",
        _json("Now.", _named("Groups")),
    ),
    Operation(
        "GET",
        "/v1/worker-groups/{name}",
        "group",
        "One group with its workers, and those that leave",
        {**_json("Now.", _named("Group")), **_missing("There is no such group.")},
        parameters=(_GROUP_NAME,),
    ),
    Operation(
        "PUT",
        "/v1/worker-groups/{name}",
        "change_group",
        "Ask for so many workers of a group, which is made if there is none. Options are those in which it differs "
        "from the default group; left out, they stay as they are",
        {200: Answer("It holds, or would hold.", _named("GroupChange")), **_CHANGING},
        Access.ADMIN,
        parameters=(_GROUP_NAME, *_DRY_RUN_AND_VERSION),
        body=_counted("^worker(-[a-z0-9-]+)?-[0-9]{1,9}$", {"options": _OPTIONS}),
    ),
    Operation(
        "DELETE",
        "/v1/worker-groups/{name}",
        "remove_group",
        "Let a group go: its workers leave as when there are to be fewer",
        {
            200: Answer("It goes, or would go.", _named("GroupChange")),
            **_missing("There is no such group."),
            412: _CHANGING[412],
        },
        Access.ADMIN,
        parameters=(_GROUP_NAME, *_DRY_RUN_AND_VERSION),
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "What this scheduler counts, in Prometheus's format",
        {200: Answer("Now.", _text(), "text/plain")},
        everywhere=True,
        parameters=(
            Parameter(
                "workers",
                "how many workers have series of their own",
                {"type": "integer", "minimum": 0, "maximum": 100_000},
                "query",
                required=False,
            ),
        ),
    ),
    Operation("GET", "/v1/offers", "offers", "Why offers were refused", _json("The last ones.", _named("Offers"))),
    Operation(
        "GET",
        "/",
        "page",
        "The dashboard's page, which holds nothing of the cluster",
        {
            200: Answer("The page.", _text(), "text/html"),
            307: Answer("Another scheduler leads; Location is its page.", None),
        },
        Access.NONE,
        everywhere=True,
    ),
    Operation(
        "GET",
        "/dashboard/{file}",
        "asset",
        "A file of that page",
        {200: Answer("Its content.", _text(), "text/css"), **_missing("There is no such file.")},
        Access.NONE,
        everywhere=True,
        parameters=(Parameter("file", "its name, such as dashboard.js", _text()),),
    ),
    Operation(
        "GET",
        "/v1/dashboard",
        "view",
        "What the dashboard shows at this moment, as a part of a page",
        {200: Answer("Now.", _text(), "text/html"), 304: Answer("What If-None-Match names is what there is.", None)},
    ),
    Operation("GET", "/v1/plans", "plans", "All plans", _json("All.", _list(_named("Plan")))),
    Operation(
        "GET",
        "/v1/plans/deploy",
        "deployment",
        "The deployment's plan, as DC/OS asks for it when it uninstalls",
        _PLAN,
        Access.NONE,
    ),
    Operation(
        "GET",
        "/v1/plans/{name}",
        "plan",
        "One plan",
        {**_PLAN, 404: Answer("There is no such plan.", _named("Problem"), "application/problem+json")},
        parameters=(_PLAN_NAME,),
    ),
    Operation(
        "POST",
        "/v1/plans/{name}/pause",
        "pause",
        "Let a plan rest: nothing more of it is begun, also after a restart of the scheduler",
        {200: Answer("It rests.", _named("Resting")), **_missing("There is no such plan.")},
        Access.ADMIN,
        parameters=(_PLAN_NAME,),
    ),
    Operation(
        "POST",
        "/v1/plans/{name}/resume",
        "resume",
        "Let a plan go on",
        {200: Answer("It goes on.", _named("Resting")), **_missing("There is no such plan.")},
        Access.ADMIN,
        parameters=(_PLAN_NAME,),
    ),
    Operation(
        "GET",
        "/v1/config",
        "config",
        "The configuration, and what it was before; ETag is the version",
        _json("Now.", _named("Configuration")),
    ),
    Operation(
        "PUT",
        "/v1/config",
        "configure",
        "Change options; null takes back what was changed before. The tasks that they concern are launched again one "
        "by one, the workers as many at once as may be away (/v1/plans/update)",
        {200: Answer("It holds, or would hold.", _named("Reconfiguration")), **_CHANGING},
        Access.ADMIN,
        parameters=_DRY_RUN_AND_VERSION,
        body=_body("options", {"type": "object", "additionalProperties": {"type": ["string", "null"]}}),
    ),
    Operation(
        "POST",
        "/v1/config/rollback",
        "roll_back",
        "Go back to the options of an earlier entry of the history; numbers of workers, groups, mounts and paths stay",
        {200: Answer("It holds, or would hold.", _named("Reconfiguration")), **_CHANGING},
        Access.ADMIN,
        parameters=_DRY_RUN_AND_VERSION,
        body=_body("number", {"type": "integer", "minimum": 1}),
    ),
    Operation(
        "GET",
        "/v1/paths/{path:path}",
        "path",
        "A file or folder in Alluxio's namespace, and a folder's entries by their names",
        {**_json("Now.", _named("Path")), **_OF_ALLUXIO},
        parameters=(
            _IN_ALLUXIO,
            Parameter(
                "limit",
                "entries at most",
                {"type": "integer", "minimum": 1, "maximum": 10_000},
                "query",
                required=False,
            ),
            Parameter("after", "entries behind this name, as next gave it", _text(), "query", required=False),
            Parameter(
                "refresh",
                "true: look for new entries in the under-storage too",
                {"type": "string", "enum": ["true", "false"]},
                "query",
                required=False,
            ),
        ),
    ),
    Operation(
        "PATCH",
        "/v1/paths/{path:path}",
        "change_path",
        "Pin or unpin it, say how long it lives (null: for ever) and what then becomes of it, and how many copies "
        "there are at least and at most; of a folder it is said of all that is in it now. What is left out stays",
        {200: Answer("It is so.", _object(_PATH)), **_OF_ALLUXIO, **_BODY},
        Access.ADMIN,
        parameters=(_IN_ALLUXIO,),
        body=_ATTRIBUTES,
    ),
    Operation(
        "GET",
        "/v1/paths",
        "wanted_paths",
        "The paths of which something is wanted for good, and why they are not so",
        _json("Now.", _object({"paths": _list(_named("WantedPath"))})),
    ),
    Operation(
        "PUT",
        "/v1/paths/{path:path}",
        "want_path",
        "Want this of a path for good, and of all in it: it is written down before the answer, is made so when the "
        "path comes, and again when somebody else says something else. In the place of what was wanted of it",
        {200: Answer("It is wanted.", _named("WantedPath")), **_OF_ALLUXIO, **_BODY},
        Access.ADMIN,
        parameters=(_IN_ALLUXIO,),
        body=_ATTRIBUTES,
    ),
    Operation(
        "DELETE",
        "/v1/paths/{path:path}",
        "forget_path",
        "Want nothing of a path any more; the path itself stays, as it is",
        {200: Answer("It is so.", _object({"path": _text(), "message": _text()})), **_OF_ALLUXIO},
        Access.ADMIN,
        parameters=(_IN_ALLUXIO,),
    ),
    Operation(
        "POST",
        "/v1/paths/{path:path}",
        "operate",
        "Free: what is cached of it goes (force: also where it is pinned). Persist: what the cache alone holds of it "
        "is written to the under-storage",
        {
            200: Answer("It is being freed.", _object({"path": _text(), "message": _text()})),
            202: Answer(
                "It will be persisted; left were not asked for in time.",
                _object({"path": _text(), "files": _count(), "left": _count(), "message": _text()}),
            ),
            **_OF_ALLUXIO,
            **_BODY,
        },
        Access.ADMIN,
        parameters=(_IN_ALLUXIO,),
        body={
            "type": "object",
            "required": ["operation"],
            "additionalProperties": False,
            "properties": {"operation": {"type": "string", "enum": ["free", "persist"]}, "force": _YES_NO},
        },
    ),
    Operation(
        "GET",
        "/v1/loads/{path:path}",
        "load_shown",
        "How far the load of a path is, or how it ended",
        {**_json("Now.", _named("Load")), **_OF_ALLUXIO},
        parameters=(_IN_ALLUXIO,),
    ),
    Operation(
        "POST",
        "/v1/loads/{path:path}",
        "load",
        "Have the workers read into the cache what is not there yet of it; one that runs goes on",
        {202: Answer("It runs.", _named("Load")), **_OF_ALLUXIO, **_BODY},
        Access.ADMIN,
        parameters=(_IN_ALLUXIO,),
        body={
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "refresh": {
                    "type": "boolean",
                    "description": "look for new files in the under-storage first (true)",
                },
                "verify": {"type": "boolean", "description": "look once more at the end whether all of it is there"},
            },
        },
    ),
    Operation(
        "DELETE",
        "/v1/loads/{path:path}",
        "stop_load",
        "Stop the load of a path; what it has loaded stays",
        {200: Answer("It is stopped.", _object({"path": _text(), "message": _text()})), **_OF_ALLUXIO},
        Access.ADMIN,
        parameters=(_IN_ALLUXIO,),
    ),
    Operation("GET", "/v1/log-level", "log_level", "How much this scheduler logs", _json("Now.", _LEVEL)),
    Operation(
        "PUT",
        "/v1/log-level",
        "set_log_level",
        "Log more or less, until the scheduler's process ends",
        {200: Answer("It holds.", _LEVEL), **_BODY},
        Access.ADMIN,
        body=_body("level", {"type": "string", "enum": ["DEBUG", "INFO", "WARNING", "ERROR"]}),
    ),
    Operation(
        "GET",
        "/v1/events",
        "events",
        "What happens, as server-sent events; or JSON where Accept names it alone: what happened last",
        {
            200: Answer(
                "A stream. Each event has its number as id, its kind as event, and an Event as data. The header "
                "Last-Event-ID resumes it.",
                _text(),
                "text/event-stream",
                _list(_named("Event")),
            ),
            503: Answer(
                "Too many streams are open, or no scheduler leads.", _named("Problem"), "application/problem+json"
            ),
        },
        parameters=(
            Parameter(
                "after",
                "the number of the last event that is known already",
                {"type": "integer", "minimum": 0, "maximum": 10**16 - 1},
                "query",
                required=False,
            ),
        ),
    ),
    Operation(
        "GET",
        "/v1/state/frameworkId",
        "framework_id",
        "Mesos's id of this framework, as DC/OS asks for it when it uninstalls",
        {
            200: Answer("A list of one.", {**_list(_text()), "minItems": 1, "maxItems": 1}),
            404: Answer("Mesos has given none yet.", _named("Problem"), "application/problem+json"),
        },
        Access.NONE,
    ),
    Operation(
        "GET",
        "/v1/openapi.json",
        "description",
        "This description",
        _json("OpenAPI 3.1.", {"type": "object"}),
        Access.NONE,
        everywhere=True,
    ),
    Operation(
        "GET",
        "/artefacts/{digest}/{file}",
        "artefact",
        "A file that the agents fetch",
        {
            200: Answer("Its content.", _FILE, "application/octet-stream"),
            206: Answer("The part asked for with Range.", _FILE, "application/octet-stream"),
            404: Answer("There is no such file.", _named("Problem"), "application/problem+json"),
        },
        Access.NONE,
        everywhere=True,
        parameters=(
            Parameter("digest", "the beginning of its SHA-256", _text()),
            Parameter("file", "its name", _text()),
        ),
    ),
)

# What any operation may answer besides. 4xx of the protocol itself (400, 405, 408, 431) is the default.
_ALWAYS: Final[Mapping[str, str]] = {
    "429": "More requests than this client may make; Retry-After says when to go on.",
    "default": "Any other error.",
}
_READING: Final[Mapping[str, str]] = {
    "307": "Another scheduler leads; Location is the way.",
    "401": "A token is required, and none or a wrong one came.",
    "503": "No scheduler leads at this moment; Retry-After says when to ask again.",
}
_ADMIN: Final[Mapping[str, str]] = {
    "403": "The token is for reading only, or a foreign web page asks.",
    "409": "The service is being uninstalled.",
    "413": "The body is too large.",
}


def document(operations: Sequence[Operation] = OPERATIONS) -> dict[str, Any]:
    """OpenAPI 3.1. The server's address is relative to this document's: it holds behind every prefix."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.shown_path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "alluxio-mesos", "version": "1", "description": framework_sentence},
        "servers": [{"url": ".."}],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Where the scheduler has tokens."}
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    errors = dict(_ALWAYS)
    if not operation.everywhere:
        errors |= _READING
    elif operation.access is not Access.NONE:
        errors["401"] = _READING["401"]
    if operation.access is Access.ADMIN:
        errors |= _ADMIN
    responses = {status: _error(status, said) for status, said in errors.items()}
    responses |= {
        str(status): {"description": answer.said}
        | ({} if answer.schema is None else {"content": _content(answer, answer.schema)})
        for status, answer in operation.answers.items()
    }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.said,
        "security": [*([{}] if operation.access is Access.NONE else []), {"token": []}],
        "responses": dict(sorted(responses.items())),
    }
    if operation.parameters:
        described["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.required,
                "description": parameter.said,
                "schema": dict(parameter.schema),
            }
            for parameter in operation.parameters
        ]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(operation.body)}}}
    return described


def _content(answer: Answer, schema: Schema) -> dict[str, Any]:
    found = {answer.media_type: {"schema": dict(schema)}}
    return found | ({"application/json": {"schema": dict(answer.json)}} if answer.json is not None else {})


def _error(status: str, said: str) -> dict[str, Any]:
    if status == "307":
        return {"description": said, "headers": {"Location": {"schema": {"type": "string"}}}}
    return {
        "description": said,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
