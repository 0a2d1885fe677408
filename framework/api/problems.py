"""Errors as documents (RFC 9457). ``title`` is HTTP's name of the status, ``detail`` one sentence that says what is
wrong and what to do. No text that a client sent as a credential is ever part of one.
"""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MEDIA_TYPE: Final = "application/problem+json"

# What Starlette raises itself says no more than the status does.
_OWN_WORDS: Final = {
    404: "there is nothing at {path}; /v1/openapi.json lists what there is",
    405: "{path} does not take {method}; the header Allow names what it takes",
}


class Refused(HTTPException):
    """A request with several mistakes: the document lists each."""

    def __init__(self, status: int, mistakes: Sequence[str]) -> None:
        super().__init__(status, "; ".join(mistakes))
        self.mistakes = tuple(mistakes)


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Sequence[str] = ()
) -> JSONResponse:
    return JSONResponse(document(status, detail, errors), status, headers=headers, media_type=MEDIA_TYPE)


def document(status: int, detail: str, errors: Sequence[str] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return found | ({"errors": list(errors)} if errors else {})


def of_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if detail == http.HTTPStatus(error.status_code).phrase and error.status_code in _OWN_WORDS:
        detail = _OWN_WORDS[error.status_code].format(path=request.url.path, method=request.method)
    return problem(error.status_code, detail, error.headers, error.mistakes if isinstance(error, Refused) else ())


def of_defect(request: Request, error: Exception) -> Response:
    """The traceback goes to the log, not to the client."""
    return problem(500, "the scheduler failed to answer, a defect of its own; its log says more")
