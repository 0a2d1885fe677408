"""Reads what a changing call brings, strictly: what is not known is a mistake, and all mistakes are told at once. And
writes down what it asks for, one call at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from framework import configuring, scaling
from framework.api.problems import Refused
from framework.api.turns import Turns
from framework.config import Configuration
from framework.messages import Event, Wished
from framework.planner import State

# Posts the event and waits until the state is so, as it is written down; false when that takes too long.
Changing = Callable[[Event, Callable[[State], bool]], bool]
Change = TypeVar("Change")


def unchangeable(event: Event, is_done: Callable[[State], bool]) -> bool:
    """Where nothing leads, nothing changes."""
    return False


class Changes:
    """What is wanted changes here and nowhere else: only one scheduler leads, and in it changes take ``turns``.
    ``values`` are the options' texts that this scheduler was started with; ``add`` hears of configurations before
    anything is launched with them.
    """

    def __init__(
        self,
        snapshot: Callable[[], State],
        post: Changing,
        values: Mapping[str, str],
        add: Callable[[Iterable[Configuration]], None],
    ) -> None:
        self.snapshot = snapshot
        self.post = post
        self.values = values
        self.turns = Turns()
        self._add = add

    def decided(
        self, read: Callable[[State, float], Change | list[str]], request: Request | None = None
    ) -> tuple[State, Change]:
        """The state at this moment, and what ``read`` makes of it; ``request`` may say which version that must be.

        Raises:
            HTTPException: 412, it is another one.
            Refused: 422, with every mistake that ``read`` gives in the place of a change.
        """
        state = self.snapshot()
        if request is not None:
            require_version(request, state)
        change = read(state, time.time())
        if isinstance(change, list):
            raise Refused(422, change)
        return state, change

    def write(self, wish: Wished, launching: Iterable[Configuration] = ()) -> State:
        """The state in which it holds; ``launching`` is what tasks are launched with then.

        Raises:
            HTTPException: 503, it was not written in time.
        """
        self._add(launching)
        if not self.post(wish, lambda state: scaling.number(state) >= wish.entry.number):
            raise HTTPException(
                503,
                "the change could not be written down in time, and may yet be: /v1/health says what is amiss, "
                "and GET /v1/workers which version holds",
            )
        return self.snapshot()


def tag(state: State) -> dict[str, str]:
    """The version of what is wanted, as a header."""
    return {"ETag": f'"{scaling.number(state)}"'}


def require_version(request: Request, state: State) -> None:
    """
    Raises:
        HTTPException: 412, If-Match names another version.
    """
    expected, number = request.headers.get("if-match", "*"), scaling.number(state)
    if expected != "*" and f'"{number}"' not in [tag.strip() for tag in expected.split(",")]:
        raise HTTPException(
            412,
            f'If-Match: {expected!a} is not the version that holds, which is "{number}": somebody changed it; '
            "look at GET /v1/workers or /v1/config and ask again",
        )


def is_dry(request: Request) -> bool:
    """Whether the call only asks what would happen; it may have no other parameter.

    Raises:
        Refused: 400.
    """
    return yes_or_no("dry_run", parameters(request, "dry_run"))


def yes_or_no(name: str, given: Mapping[str, str]) -> bool:
    """A parameter of the query; left out it is no.

    Raises:
        Refused: 400.
    """
    text = given.get(name, "false")
    if text not in ("true", "false"):
        raise Refused(400, [f"{name}: {text!a:.100} is not allowed; give true or false"])
    return text == "true"


def flag_mistakes(body: Mapping[str, Any], *names: str) -> Iterator[str]:
    """What is wrong with those fields of a body that are to be true or false; each may be left out."""
    for name in names:
        if not isinstance(body.get(name, False), bool):
            yield f"{name}: {body[name]!a:.100} is not allowed; give true or false"


def parameters(request: Request, *allowed: str) -> dict[str, str]:
    """The query's parameters.

    Raises:
        Refused: 400, one is unknown or comes twice.
    """
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    known = f"allowed: {', '.join(allowed)}" if allowed else "this call takes none"
    mistakes = [
        f"there is no query parameter {name!a}; {known}" for name in dict.fromkeys(names) if name not in allowed
    ]
    mistakes += [
        f"{name} is given {names.count(name)} times; give it once" for name in allowed if names.count(name) > 1
    ]
    if mistakes:
        raise Refused(400, mistakes)
    return dict(given)


async def json_object(request: Request, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, Any]:
    """The body: one JSON object with these fields and no others.

    Raises:
        HTTPException: 415, it is not called JSON (so that no form of a foreign web page is ever taken); 400, it is no
            JSON object.
        Refused: 422, fields are unknown or missing.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "the body must be JSON; send it with Content-Type: application/json")
    body = _parsed(await request.body())
    mistakes = [
        f"there is no field {name!a}; allowed: {', '.join(sorted(allowed))}" for name in body if name not in allowed
    ]
    mistakes += [f"the field {name!r} is missing" for name in sorted(required) if name not in body]
    if mistakes:
        raise Refused(422, mistakes)
    return body


def texts_or_nothing(options: Any) -> dict[str, str | None]:
    """Options by name; null takes one back.

    Raises:
        Refused: 422, with every mistake.
    """
    if mistakes := configuring.text_mistakes(options, or_nothing=True):
        raise Refused(422, mistakes)
    return dict(options)


def texts(options: Any) -> dict[str, str]:
    """Options by name, all of them texts.

    Raises:
        Refused: 422, with every mistake.
    """
    if mistakes := configuring.text_mistakes(options):
        raise Refused(422, mistakes)
    return dict(options)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair could be answered with by nobody
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is no JSON document ({_reason(error)})") from None
    if not isinstance(value, dict):
        raise HTTPException(400, 'the body must be a JSON object, such as {"count": 3}')
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field comes twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
