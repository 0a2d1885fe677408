"""Comparing a trace with what localmesos says: ids, times, process ids and folders are variables, the rest is equal.

The same value in the trace must always stand for the same value here, and the other way round.
"""

from __future__ import annotations

import re
from typing import Any

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
IDENTITY = re.compile(rf"{UUID}(-S\d+|-O\d+|-\d{{4}})?")
BASE64_UUID = re.compile(r"[A-Za-z0-9+/]{22}==")
TIMES = frozenset({"timestamp", "nanoseconds", "Date", "start_time", "elected_time", "build_time", "build_date"})
NUMBERS = frozenset({"executor_pid"})
UNORDERED = frozenset({"executor_ids", "agents"})


class Difference(AssertionError):
    """Where the trace and localmesos part."""


class Variables:
    def __init__(self, known: dict[str, str] | None = None) -> None:
        self._here: dict[Any, Any] = dict(known or {})
        self._back: dict[Any, Any] = {here: trace for trace, here in self._here.items()}

    def copy(self) -> Variables:
        return Variables(self._here)

    def __contains__(self, trace: str) -> bool:
        return trace in self._here

    def here(self, trace: str) -> str:
        return str(self._here[trace])

    def bind(self, trace: Any, here: Any, where: str) -> None:
        if self._here.setdefault(trace, here) != here or self._back.setdefault(here, trace) != trace:
            raise Difference(f"{where}: {trace!r} is {self._here[trace]!r} elsewhere, here {here!r}")

    def translate(self, value: Any) -> Any:
        """A trace's call as it must be sent here; raises KeyError for an id that is not known yet."""
        match value:
            case dict():
                return {key: self.translate(part) for key, part in value.items()}
            case list():
                return [self.translate(part) for part in value]
            case str():
                if (IDENTITY.fullmatch(value) or BASE64_UUID.fullmatch(value)) and value not in self._here:
                    raise KeyError(value)
                return self.text(value)
        return value

    def text(self, value: str) -> str:
        """`value` as it reads here; in one pass, as an id of here may hold a port of the trace among its digits."""
        known = sorted((key for key in self._here if isinstance(key, str)), key=len, reverse=True)
        return re.sub("|".join(map(re.escape, known)), lambda found: str(self._here.get(found[0], "")), value)


def unify(trace: Any, here: Any, variables: Variables, where: str = "", key: str = "") -> None:
    """Binds the variables; raises Difference (the variables are then spoilt: give a copy)."""
    if key in TIMES:
        if type(trace) is not type(here):
            raise Difference(f"{where}: a time expected, got {here!r}")
    elif key in NUMBERS:
        variables.bind(f"{key} {trace}", f"{key} {here}", where)
    elif isinstance(trace, dict) and isinstance(here, dict):
        if trace.keys() != here.keys():
            raise Difference(f"{where}: fields {sorted(trace)} expected, got {sorted(here)}")
        for name in trace:
            unify(trace[name], here[name], variables, f"{where}.{name}", name)
    elif isinstance(trace, list) and isinstance(here, list):
        _unify_lists(trace, here, variables, where, key)
    elif isinstance(trace, str) and isinstance(here, str):
        _unify_texts(trace, here, variables, where)
    elif key == "port":
        if variables.here(str(trace)) != str(here):
            raise Difference(f"{where}: port {variables.here(str(trace))} expected, got {here!r}")
    elif trace != here:
        raise Difference(f"{where}: {trace!r} expected, got {here!r}")


def _unify_lists(trace: list[Any], here: list[Any], variables: Variables, where: str, key: str) -> None:
    if len(trace) != len(here):
        raise Difference(f"{where}: {len(trace)} entries expected, got {len(here)}: {here}")
    if key in UNORDERED:
        trace = sorted(trace, key=lambda part: _sort_key(part, variables))
        here = sorted(here, key=lambda part: _sort_key(part, Variables()))
    for index, (one, other) in enumerate(zip(trace, here, strict=True)):
        unify(one, other, variables, f"{where}[{index}]")


def _sort_key(part: Any, variables: Variables) -> str:
    if "agent_info" in part:
        return str(part["agent_info"]["hostname"])
    return variables.text(part["value"])


def _unify_texts(trace: str, here: str, variables: Variables, where: str) -> None:
    for pattern in (IDENTITY, BASE64_UUID):
        if pattern.fullmatch(trace):
            if not pattern.fullmatch(here):
                raise Difference(f"{where}: an id like {trace!r} expected, got {here!r}")
            variables.bind(trace, here, where)
            return
    expected = re.escape(variables.text(trace))
    for unknown in re.findall(UUID, trace):
        if unknown not in variables:
            expected = expected.replace(re.escape(unknown), UUID)
    if not re.fullmatch(expected, here):
        raise Difference(f"{where}: {variables.text(trace)!r} expected, got {here!r}")
