"""The routes of paths in Alluxio's namespace: what they are, what is said of them, and loads. Few questions go to
Alluxio at once, so that a slow under-storage holds up nobody who asks for something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from framework import paths
from framework.alluxio.files import AlluxioAway, AlluxioError
from framework.alluxio.paths import Impossible, LoadProgress, LoadState, PathAbsent, PathStatus
from framework.api.changes import Changes, flag_mistakes, json_object, parameters, yes_or_no
from framework.api.problems import Refused
from framework.messages import PathsWished
from framework.option_types import duration
from framework.paths import NOT_YET, Attributes, WantedPath

AT_ONCE: Final = 8  # questions to Alluxio; who comes later waits, and holds no thread
ENTRIES: Final = 1000  # of a folder in one answer, where no other number is asked for
MOST_ENTRIES: Final = 10_000
MOST_WANTED: Final = 1000
MOST_CHARACTERS: Final = 200_000  # of their paths in all: they are one node in ZooKeeper, which takes 1 MB
AWAY_SECONDS: Final = 2  # after so long a client asks again

Given = ParamSpec("Given")
Value = TypeVar("Value")


class Namespace(Protocol):
    """What is asked of Alluxio, see framework.alluxio.paths."""

    def status(self, path: str) -> PathStatus: ...

    def entries(
        self, path: str, limit: int, after: str = "", *, refresh: bool = False
    ) -> tuple[tuple[PathStatus, ...], bool]: ...

    def set(self, path: str, asked: Attributes) -> PathStatus: ...

    def free(self, path: str, *, forced: bool = False) -> None: ...

    def persist(self, path: str) -> tuple[int, int]: ...

    def load(self, path: str, *, verify: bool = False, refresh: bool = True) -> bool: ...

    def load_progress(self, path: str) -> LoadProgress: ...

    def stop_load(self, path: str) -> bool: ...


class PathRoutes:
    """``standing`` says by path why it is not as it is wanted."""

    def __init__(self, namespace: Namespace, changes: Changes, standing: Callable[[], Mapping[str, str]]) -> None:
        self._namespace = namespace
        self._changes = changes
        self._standing = standing
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def shown(self, request: Request) -> Response:
        given = parameters(request, "limit", "after", "refresh")
        path = path_of(request)
        limit = _limit(given.get("limit", str(ENTRIES)))
        refresh = yes_or_no("refresh", given)
        after = given.get("after", "")
        if after and paths.path_mistake(f"/{after}"):
            raise Refused(400, [f"after: {after!a:.100} is not allowed; give the name of an entry"])
        return JSONResponse(await self._asked(self._shown, path, limit, after, refresh=refresh))

    def _shown(self, path: str, limit: int, after: str, *, refresh: bool) -> dict[str, Any]:
        status = self._namespace.status(path)
        found = document(status)
        if status.folder:
            entries, more = self._namespace.entries(path, limit, after, refresh=refresh)
            found |= {
                "entries": [document(entry) for entry in entries],
                "next": entries[-1].name if more and entries else None,
            }
        return found

    async def change(self, request: Request) -> Response:
        parameters(request)
        path, asked = path_of(request), await _attributes(request)
        return JSONResponse(document(await self._asked(self._namespace.set, path, asked)))

    # What is wanted, also of what comes later; Alluxio is not asked here.

    def wanted(self, request: Request) -> Response:
        parameters(request)
        wanted = self._changes.snapshot().paths
        return JSONResponse({"paths": [self._wanted_document(one) for one in wanted]})

    def _wanted_document(self, one: WantedPath) -> dict[str, Any]:
        reason = self._standing().get(one.path, NOT_YET)
        return {"path": one.path, "wanted": paths.as_document(one.attributes), "reason": reason}

    async def want(self, request: Request) -> Response:
        parameters(request)
        path, asked = path_of(request), await _attributes(request)
        await self._changes.turns.take(self._want, path, asked)
        return JSONResponse(self._wanted_document(WantedPath(path, asked)))

    async def forget(self, request: Request) -> Response:
        parameters(request)
        path = path_of(request)
        await self._changes.turns.take(self._want, path, None)
        return JSONResponse({"path": path, "message": f"nothing is wanted of {path} any more; it stays as it is"})

    def _want(self, path: str, asked: Attributes | None) -> None:
        before = self._changes.snapshot().paths
        others = tuple(one for one in before if one.path != path)
        if asked is None and others == before:
            raise HTTPException(404, f"nothing is wanted of {path}; GET /v1/paths lists what something is wanted of")
        after = others if asked is None else tuple(sorted((*others, WantedPath(path, asked)), key=lambda it: it.path))
        if len(after) > MOST_WANTED or sum(len(one.path) for one in after) > MOST_CHARACTERS:
            raise Refused(
                422,
                [
                    f"path: of {MOST_WANTED} paths with {MOST_CHARACTERS} characters in all something may be wanted at "
                    "most; let some go, or say it of a folder above them"
                ],
            )
        if after != before and not self._changes.post(PathsWished(after), lambda state: state.paths == after):
            raise HTTPException(503, "the change could not be written down in time; /v1/health says what is amiss")

    async def operate(self, request: Request) -> Response:
        parameters(request)
        path = path_of(request)
        body = await json_object(request, ("operation", "force"), required=("operation",))
        force = body.get("force", False)
        mistakes = list(flag_mistakes(body, "force"))
        if body["operation"] not in ("free", "persist"):
            mistakes.append(f"operation: {body['operation']!a:.100} is not allowed; choose one of free, persist")
        if force is True and body["operation"] == "persist":
            mistakes.append("force: it goes with free alone; leave it out")
        if mistakes:
            raise Refused(422, mistakes)
        if body["operation"] == "free":
            await self._asked(self._namespace.free, path, forced=force)
            return JSONResponse({"path": path, "message": f"what is cached of {path} is being freed"})
        files, left = await self._asked(self._namespace.persist, path)
        return JSONResponse(
            {"path": path, "files": files, "left": left, "message": _persisting(path, files, left)}, 202
        )

    async def load(self, request: Request) -> Response:
        parameters(request)
        path = path_of(request)
        body = await json_object(request, ("refresh", "verify"))
        told = {"verify": body.get("verify", False), "refresh": body.get("refresh", True)}
        if mistakes := list(flag_mistakes(told, *told)):
            raise Refused(422, mistakes)
        return JSONResponse(await self._asked(self._load, path, **told), 202)

    def _load(self, path: str, *, verify: bool, refresh: bool) -> dict[str, Any]:
        self._namespace.load(path, verify=verify, refresh=refresh)
        return load_document(self._namespace.load_progress(path))

    async def load_shown(self, request: Request) -> Response:
        parameters(request)
        return JSONResponse(load_document(await self._asked(self._namespace.load_progress, path_of(request))))

    async def stop_load(self, request: Request) -> Response:
        parameters(request)
        path = path_of(request)
        if not await self._asked(self._namespace.stop_load, path):
            raise HTTPException(404, f"no load of {path} is running")
        return JSONResponse({"path": path, "message": f"the load of {path} is stopped; what it has loaded stays"})

    async def _asked(self, work: Callable[Given, Value], *given: Given.args, **named: Given.kwargs) -> Value:
        """
        Raises:
            HTTPException: 404, there is no such path; 503, Alluxio has nobody to ask now; 422, it can never be so; 409,
                Alluxio refuses it as things are.
        """
        async with self._turns:
            try:
                return await run_in_threadpool(work, *given, **named)
            except PathAbsent as error:
                raise HTTPException(404, str(error)) from None
            except AlluxioAway as error:
                sentence = f"Alluxio cannot be asked at this moment: {error}; ask again soon"
                raise HTTPException(503, sentence, {"Retry-After": str(AWAY_SECONDS)}) from None
            except Impossible as error:
                raise Refused(422, [str(error)]) from None
            except AlluxioError as error:
                raise HTTPException(409, str(error)) from None


async def _attributes(request: Request) -> Attributes:
    """
    Raises:
        Refused: 422, with every mistake.
    """
    asked = paths.read(await json_object(request, paths.FIELDS), duration(0).read)
    if isinstance(asked, list):
        raise Refused(422, asked)
    return asked


def path_of(request: Request) -> str:
    """The path that the address names, with a slash before it.

    Raises:
        Refused: 400, it is none.
    """
    path = f"/{request.path_params['path']}".removesuffix("/") or "/"
    if mistake := paths.path_mistake(path):
        raise Refused(400, [mistake])
    return path


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MOST_ENTRIES):
        raise Refused(400, [f"limit: {text!a:.100} is not allowed; give a whole number from 1 to {MOST_ENTRIES}"])
    return int(text)


def _persisting(path: str, files: int, left: int) -> str:
    if left:
        return f"{files} files of {path} are being persisted; {left} more were not asked for in time: ask again"
    if not files:
        return f"nothing of {path} is held by the cache alone"
    return f"{files} {'file' if files == 1 else 'files'} of {path} will be written to the under-storage"


def document(status: PathStatus) -> dict[str, Any]:
    return {
        "path": status.path,
        "folder": status.folder,
        "size_bytes": status.size,
        "in_memory_percent": status.in_memory_percent,
        "cached_percent": status.in_alluxio_percent,
        "pinned": status.pinned,
        "ttl_seconds": status.ttl,
        "ttl_action": status.ttl_action,
        "replication_min": status.replication_min,
        "replication_max": status.replication_max,
        "persistence": status.persistence,
        "mount_point": status.mount_point,
        "under_storage": status.under_storage,
        "owner": status.owner,
        "group": status.group,
        "modified_at": status.modified_at,
    }


def load_document(progress: LoadProgress) -> dict[str, Any]:
    return {
        "path": progress.path,
        "state": progress.state,
        "percent": percent(progress),
        "files": progress.files,
        "loaded_bytes": progress.loaded,
        "total_bytes": progress.total,
        "failed_files": progress.failed_files,
        "failures": [{"path": path, "reason": reason} for path, reason in progress.failures],
        "reason": progress.reason,
    }


def percent(progress: LoadProgress) -> int:
    """100 only when it is done."""
    if progress.state is LoadState.DONE:
        return 100
    return min(99, 100 * progress.loaded // progress.total) if progress.total else 0
