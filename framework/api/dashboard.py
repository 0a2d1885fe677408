"""The dashboard: one page for people. jinja2's home for pages.

The page itself holds nothing of the cluster, so everybody may have it, from every scheduler: a browser that is sent to
an address brings no token. What it shows it fetches with its token, as every client does, and behind the same guard.
Nothing on it is from elsewhere, no script or style stands in the page, and every address in it is relative.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.resources
from collections.abc import Callable
from typing import Final

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from framework.api.guard import Role, Standing
from framework.overview import Overview, size

FILES: Final = {
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
    "dashboard.svg": "image/svg+xml",
}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Dashboard:
    """The routes."""

    def __init__(self, standing: Callable[[], Standing], overview: Callable[[], Overview]) -> None:
        self._standing = standing
        self._overview = overview
        templates = jinja2.Environment(
            loader=jinja2.PackageLoader("framework"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=True,
        )
        templates.filters |= {"size": size, "moment": _moment}
        self._page = templates.get_template("dashboard.html.j2").render()
        self._view = templates.get_template("dashboard-view.html.j2")
        self._last: tuple[Overview, bytes, str] | None = None
        folder = importlib.resources.files("framework") / "templates"
        self._files = {name: (folder / name).read_bytes() for name in FILES}

    def page(self, request: Request) -> Response:
        """A standby's page is its leader's."""
        standing = self._standing()
        if standing.role is Role.STANDBY and standing.leader:
            return Response(status_code=307, headers={"Location": f"{standing.leader}/"})
        return Response(self._page, media_type="text/html", headers=HEADERS)

    def asset(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in FILES:
            raise HTTPException(404, f"the dashboard has no file {name!a}; it has {', '.join(FILES)}")
        return Response(self._files[name], media_type=FILES[name], headers=HEADERS)

    def view(self, request: Request) -> Response:
        content, tag = self._rendered(self._overview())
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(content, media_type="text/html", headers=HEADERS | {"ETag": tag})

    def _rendered(self, overview: Overview) -> tuple[bytes, str]:
        """The view and its tag. Nothing has changed where the overview is the same object."""
        last = self._last
        if last is None or last[0] is not overview:
            content = self._view.render(overview=overview).encode()
            last = self._last = overview, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return last[1:]


def _moment(seconds: float) -> str:
    """For the attribute ``datetime``."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
