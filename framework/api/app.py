"""What the API answers: a handler for each operation, over the last snapshot, and the files that the agents fetch.

A handler speaks for the scheduler that leads. Only what the table of operations marks so is answered by every
scheduler; whatever else comes to one that does not lead is sent on to the one that does, before any handler sees it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from framework import mounts, namespace, plans, scaling, views
from framework.alluxio.figures import Figures
from framework.alluxio.paths import Paths
from framework.api import openapi, problems
from framework.api.changes import Changes, Changing, unchangeable
from framework.api.clients import Clients
from framework.api.configuring import Configurations, Resting, level_shown, set_level
from framework.api.dashboard import Dashboard
from framework.api.events import Events
from framework.api.groups import Groups
from framework.api.guard import Guard, Role, Standing, access_of
from framework.api.kept import Kept, encoded, json_response
from framework.api.metrics import Facts, Metrics
from framework.api.mounts import Mounts
from framework.api.openapi import OPERATIONS, Operation
from framework.api.paths import Namespace, PathRoutes
from framework.api.safety import Safety
from framework.api.tasks import Tasks
from framework.api.tokens import Access
from framework.api.workers import Workers
from framework.chronicle import Chronicle
from framework.config import Configuration, by_ids
from framework.overview import Overview, overview
from framework.planner import State
from framework.series import Series
from framework.state import PLANS
from framework.tally import Tally

__all__ = ["Artefacts", "Role", "Service", "Standing", "application", "assemble"]

# Characters of a file's SHA-256 in its address: another content is another address, for Mesos's fetcher caches by it.
DIGEST: Final = 16

Handler = Callable[[Request], Any]  # Response, or a coroutine of one


@dataclasses.dataclass(frozen=True, slots=True)
class Artefacts:
    """The files that the agents may fetch, by the path below ``/artefacts/``."""

    files: Mapping[str, Path]

    @classmethod
    def of(cls, *paths: Path) -> Artefacts:
        return cls({f"{_digest(path)}/{path.name}": path for path in paths})

    def address(self, api_url: str, name: str) -> str:
        return next(f"{api_url}/artefacts/{key}" for key in self.files if key.endswith(f"/{name}"))


def _digest(path: Path) -> str:
    """The checksum that lies beside a file is believed, as hashing 100 MB costs a noticeable part of a second at each
    start.
    """
    beside = path.with_name(path.name + ".sha256")
    if beside.exists():
        return beside.read_text().split()[0][:DIGEST]
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:DIGEST]


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """What the routes read: the configuration, who leads, the last snapshot, when Mesos was last heard, what was
    counted, Alluxio's own figures, what happened, the last hour, and how something is changed. Snapshot, hearing,
    figures and changes are asked for only while this scheduler leads.
    """

    configuration: Configuration
    api_url: str
    artefacts: Artefacts
    standing: Callable[[], Standing]
    snapshot: Callable[[], State]
    heard_at: Callable[[], float]
    safety: Safety = dataclasses.field(default_factory=Safety)
    tally: Tally = dataclasses.field(default_factory=Tally)
    figures: Callable[[], Figures] = Figures
    chronicle: Chronicle = dataclasses.field(default_factory=Chronicle)
    series: Series = dataclasses.field(default_factory=Series)
    change: Changing = unchangeable
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the options' texts, as they were given
    configurations: dict[str, Configuration] = dataclasses.field(default_factory=dict)  # by id: all that held here
    secret_mistake: Callable[[str], str] = lambda name: ""  # why a secret cannot be had
    paths: Namespace = dataclasses.field(default_factory=lambda: Paths(tuple))
    kept_paths: Callable[[], Mapping[str, str]] = dict  # why wanted paths are not as they are wanted

    def current(self, state: State) -> Configuration:
        return self.configurations.get(state.wanted.configuration, self.configuration)

    def around(self, state: State) -> mounts.Surroundings:
        """What mounts must fit into."""
        current = self.current(state)
        brought = current.alluxio_uri or current.under_storage_jars
        return mounts.Surroundings(current.under_storage, None if brought else namespace.BUNDLED)

    def add(self, configurations: Iterable[Configuration]) -> None:
        for configuration in configurations:
            self.configurations.update(by_ids(configuration))


def all_plans(state: State, now: float) -> tuple[plans.Plan, ...]:
    deploy = plans.uninstallation(state, now) if state.uninstalls else plans.deployment(state, now)
    if state.uninstalls:
        return (deploy, *(plans.Plan(name, ()) for name in PLANS if name != deploy.name))
    return (
        deploy,
        plans.recovery(state, now),
        plans.update(state, now),
        scaling.decommission(state, now),
        mounts.plan(state, now),
    )


def application(service: Service) -> Starlette:
    def answer(view: Callable[..., Any], *reads: Callable[[], Any]) -> Handler:
        """``view`` is given the state, the time, and what each of ``reads`` gives at that moment."""
        kept = Kept[bytes]()

        def handler(request: Request) -> Response:
            state, now, others = service.snapshot(), time.time(), [read() for read in reads]
            current = service.current(state)
            return json_response(kept.of(state, now, lambda: encoded(view(state, now, *others)), current, *others))

        return handler

    def health(request: Request) -> Response:
        details = _health(service, service.standing())
        document = {key: details[key] for key in ("healthy", "role")}
        if access_of(request) is not Access.NONE:
            document |= details
        return JSONResponse(document, 200 if document["healthy"] else 503)

    kept_plans: Kept[dict[str, tuple[plans.Status, bytes]]] = Kept()

    def plans_now() -> dict[str, tuple[plans.Status, bytes]]:
        """The status and the document of each, by its name."""
        state, now = service.snapshot(), time.time()
        return kept_plans.of(
            state,
            now,
            lambda: {plan.name: (plan.status, encoded(plans.as_document(plan))) for plan in all_plans(state, now)},
        )

    def shown(name: str, access: Access) -> Response:
        """202 while there is work left, as DC/OS asks of the deployment when it uninstalls. Who has no token learns the
        status and no more.
        """
        known = plans_now()
        if name not in known:
            raise HTTPException(404, f"there is no plan {name!a}; the plans are {', '.join(PLANS)}")
        status, content = known[name]
        if access is Access.NONE:
            content = encoded({"name": name, "status": status})
        return json_response(content, 200 if status is plans.Status.READY else 202)

    def deployment(request: Request) -> Response:
        return shown("deploy", access_of(request))

    def plan(request: Request) -> Response:
        return shown(request.path_params["name"], access_of(request))

    def framework_id(request: Request) -> Response:
        found = service.snapshot().framework_id
        if not found:
            raise HTTPException(404, "Mesos has given no framework id yet; /v1/health says why")
        return JSONResponse([found])

    def artefact(request: Request) -> Response:
        key = "{digest}/{file}".format(**request.path_params)
        path = service.artefacts.files.get(key)
        if path is None:
            raise HTTPException(404, f"no artefact has the path {key!a}; another one may have taken its place")
        return FileResponse(path)

    def list_of_plans(request: Request) -> Response:
        return json_response(b"[" + b",".join(content for _, content in plans_now().values()) + b"]")

    changes = Changes(service.snapshot, service.change, service.values, service.add)
    workers, resting = Workers(changes), Resting(changes)
    configurations, groups = Configurations(changes), Groups(changes)
    mounted = Mounts(changes, service.around, service.secret_mistake)
    tasks, clients = Tasks(service.snapshot), Clients(service.snapshot, service.current)
    paths = PathRoutes(service.paths, changes, service.kept_paths)
    metrics = Metrics(lambda worker_series: _facts(service, worker_series))
    description = openapi.document()
    overviews: Kept[Overview] = Kept()
    dashboard = Dashboard(service.standing, lambda: _overview(service, overviews))
    return assemble(
        OPERATIONS,
        {
            "health": health,
            "status": answer(
                lambda state, now, reasons: views.status(state, service.current(state), reasons, now),
                lambda: dict(service.kept_paths()),
            ),
            "endpoints": answer(lambda state, now: views.endpoints(state, service.current(state), service.api_url)),
            "client": clients.one,
            "tasks": answer(views.tasks),
            "task": tasks.one,
            "log": tasks.log,
            "restart": workers.restart,
            "replace": workers.replace,
            "config": configurations.shown,
            "configure": configurations.change,
            "roll_back": configurations.roll_back,
            "pause": resting.pause,
            "resume": resting.resume,
            "log_level": level_shown,
            "set_log_level": set_level,
            "groups": groups.all,
            "group": groups.one,
            "change_group": groups.change,
            "remove_group": groups.remove,
            "mounts": mounted.all,
            "mount": mounted.one,
            "change_mount": mounted.change,
            "remove_mount": mounted.remove,
            "path": paths.shown,
            "change_path": paths.change,
            "wanted_paths": paths.wanted,
            "want_path": paths.want,
            "forget_path": paths.forget,
            "operate": paths.operate,
            "load": paths.load,
            "load_shown": paths.load_shown,
            "stop_load": paths.stop_load,
            "workers": workers.shown,
            "scale": workers.scale,
            "metrics": metrics.all,
            "offers": answer(lambda state, now: views.offers(state)),
            "plans": list_of_plans,
            "deployment": deployment,
            "plan": plan,
            "page": dashboard.page,
            "asset": dashboard.asset,
            "view": dashboard.view,
            "events": Events(service.chronicle).all,
            "framework_id": framework_id,
            "description": lambda request: JSONResponse(description),
            "artefact": artefact,
        },
        service.safety,
        service.standing,
    )


def _health(service: Service, standing: Standing) -> dict[str, Any]:
    found: dict[str, Any] = {
        "healthy": True,
        "role": standing.role,
        "leader": standing.leader or None,
        "service": service.configuration.name,
    }
    if standing.role is Role.LEADER:
        found |= views.health(service.snapshot(), service.heard_at(), time.time())
    if standing.reason:
        found |= {"healthy": False, "reason": standing.reason}
    return found


def _overview(service: Service, kept: Kept[Overview]) -> Overview:
    state, now = service.snapshot(), time.time()
    trouble, samples, kept_paths = service.standing().reason, service.series.samples, service.kept_paths()
    pages = service.figures().pages

    def make() -> Overview:
        plans_now = all_plans(state, now)
        return overview(state, service.configuration, trouble, samples, plans_now, kept_paths, now, pages=pages)

    return kept.of(state, now, make, trouble, samples, dict(kept_paths), pages)


def _facts(service: Service, worker_series: int) -> Facts:
    """A scheduler that does not lead speaks of itself alone."""
    standing = service.standing()
    leads = standing.role is Role.LEADER
    return Facts(
        service=service.configuration.name,
        leads=leads,
        healthy=bool(_health(service, standing)["healthy"]),
        state=service.snapshot() if leads else None,
        heard_at=service.heard_at() if leads else 0.0,
        tally=service.tally,
        figures=service.figures() if leads else Figures(),
        now=time.time(),
        worker_series=worker_series,
        kept_paths=dict(service.kept_paths()) if leads else {},
    )


def assemble(
    operations: Sequence[Operation],
    handlers: Mapping[str, Handler],
    safety: Safety,
    standing: Callable[[], Standing],
) -> Starlette:
    """The operations with their handlers, behind the guard.

    Raises:
        ValueError: a handler without an operation, or the other way round.
    """
    names = {operation.name for operation in operations}
    if names != set(handlers):
        raise ValueError(f"operations and handlers differ: {', '.join(sorted(names ^ set(handlers)))}")
    paths = dict.fromkeys(operation.path for operation in operations)
    made = Starlette(
        routes=[
            _route(
                path,
                {operation.method: handlers[operation.name] for operation in operations if operation.path == path},
            )
            for path in paths
        ],
        middleware=[Middleware(Guard, safety=safety, operations=operations, standing=standing)],
        exception_handlers={HTTPException: problems.of_exception, Exception: problems.of_defect},
    )
    made.router.redirect_slashes = False  # the way would be made of the Host header, which no proxy's prefix is part of
    return made


def _route(path: str, by_method: Mapping[str, Handler]) -> Route:
    """One route for all methods of a path, so that Allow names them all."""
    allowed = sorted({*by_method, "OPTIONS"} | ({"HEAD"} if "GET" in by_method else set()))

    async def endpoint(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
        handler = by_method["GET" if request.method == "HEAD" else request.method]
        is_async = inspect.iscoroutinefunction(handler)
        found: Response = await (handler(request) if is_async else run_in_threadpool(handler, request))
        return found

    return Route(path, endpoint, methods=allowed)
