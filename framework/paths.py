"""What may be wanted of a path in Alluxio's namespace, and how it is said. Pure.

Alluxio's own meaning (2.9.6, measured): a file is pinned exactly if it has a least number of copies, so that pinning
sets that number to 1 and a least number of 0 unpins. New files of a pinned folder are pinned too; lives and numbers of
copies are each file's own.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from framework.words import counted

LONGEST: Final = 4096  # characters of a path
LONGEST_TTL: Final = 100 * 365 * 86_400.0  # seconds
MOST_COPIES: Final = 1000
NO_TTL: Final = -1.0
NO_LIMIT: Final = -1  # of copies

Duration = Callable[[str], float]  # reads a text such as 7d as seconds; raises ValueError


class TtlAction(enum.StrEnum):
    """What becomes of a file whose time is over: its cached blocks go, or it goes, from the under-storage too."""

    FREE = "free"
    DELETE = "delete"


@dataclasses.dataclass(frozen=True, slots=True)
class Attributes:
    """None: as it is. ``ttl`` in seconds from the file's last change, NO_TTL for ever; ``replication_max`` may be
    NO_LIMIT.
    """

    pinned: bool | None = None
    ttl: float | None = None
    ttl_action: TtlAction = TtlAction.FREE
    replication_min: int | None = None
    replication_max: int | None = None

    @property
    def says_something(self) -> bool:
        return any(part is not None for part in (self.pinned, self.ttl, self.replication_min, self.replication_max))

    def over(self, others: Attributes) -> Attributes:
        """What holds where these are wanted of something inside of what the others are wanted of. Who says something
        of pins says all of them, as a least number of copies is one.
        """
        pins = self.pinned is not None or self.replication_min is not None
        return Attributes(
            pinned=self.pinned if pins else others.pinned,
            ttl=others.ttl if self.ttl is None else self.ttl,
            ttl_action=others.ttl_action if self.ttl is None else self.ttl_action,
            replication_min=self.replication_min if pins else others.replication_min,
            replication_max=others.replication_max if self.replication_max is None else self.replication_max,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class WantedPath:
    """What is wanted of a path and of all that is in it, also of what comes later."""

    path: str
    attributes: Attributes


def is_below(path: str, folder: str) -> bool:
    """Whether it is the folder itself, or anything in it."""
    return folder in ("/", path) or path.startswith(f"{folder}/")


def wanted_of(wanted: Iterable[WantedPath], path: str) -> Attributes:
    """What is wanted of one path: the nearest word counts."""
    above = sorted((one for one in wanted if is_below(path, one.path)), key=lambda one: len(one.path))
    return functools.reduce(lambda found, one: one.attributes.over(found), above, Attributes())


def outermost(wanted: Iterable[WantedPath]) -> list[str]:
    """The paths that are in no other one."""
    paths = sorted(one.path for one in wanted)
    return [path for path in paths if not any(path != other and is_below(path, other) for other in paths)]


def as_document(attributes: Attributes) -> dict[str, Any]:
    """As ``read`` takes it, with seconds in the place of a time's text."""
    found: dict[str, Any] = {}
    if attributes.pinned is not None:
        found["pinned"] = attributes.pinned
    if attributes.ttl is not None:
        found["ttl_seconds"] = None if attributes.ttl == NO_TTL else attributes.ttl
        found["ttl_action"] = attributes.ttl_action.value
    if attributes.replication_min is not None:
        found["replication_min"] = attributes.replication_min
    if attributes.replication_max is not None:
        found["replication_max"] = None if attributes.replication_max == NO_LIMIT else attributes.replication_max
    return found


def told(wanted: Mapping[str, Any]) -> str:
    """What is wanted, such as "pinned, ttl 7d, free"; ``wanted`` as ``as_document`` gives it."""
    found = []
    if "pinned" in wanted:
        found.append("pinned" if wanted["pinned"] else "not pinned")
    if "ttl_seconds" in wanted:
        found.append("no ttl" if wanted["ttl_seconds"] is None else f"ttl {life(wanted)}")
    if "replication_min" in wanted:
        found.append(f"at least {counted(wanted['replication_min'], 'copy', 'copies')}")
    if "replication_max" in wanted:
        most = wanted["replication_max"]
        found.append("no limit of copies" if most is None else f"at most {counted(most, 'copy', 'copies')}")
    return ", ".join(found)


def life(found: Mapping[str, Any]) -> str:
    """A time in the largest unit of which it is a whole number, and what becomes of the file then."""
    seconds = found["ttl_seconds"]
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}, {found['ttl_action']}"
    return f"{seconds:g}s, {found['ttl_action']}"


# Where a wanted path stands -------------------------------------------------------------------------------------------

ABSENT: Final = "it is not there yet"
NOT_YET: Final = "nobody has looked yet"


class PathStanding(enum.StrEnum):
    MADE = "made"
    WAITING = "waiting"  # it is made so when it comes, or when somebody looks
    FAILING = "failing"  # Alluxio refused it, and is asked again at the next look


def stands(reason: str) -> PathStanding:
    """``reason`` says why it is not as it is wanted, "" when it is."""
    if not reason:
        return PathStanding.MADE
    return PathStanding.WAITING if reason in (ABSENT, NOT_YET) else PathStanding.FAILING


def where(wanted: Iterable[WantedPath], reasons: Mapping[str, str]) -> Iterator[tuple[WantedPath, PathStanding, str]]:
    """Each with where it stands and why. ``reasons`` by path; what is not in it was not looked at."""
    for one in wanted:
        reason = reasons.get(one.path, NOT_YET)
        yield one, stands(reason), reason


def counts(wanted: Iterable[WantedPath], reasons: Mapping[str, str]) -> dict[str, int]:
    """How many are wanted, are so, and fail; as ``where`` has it."""
    found = [standing for _, standing, _ in where(wanted, reasons)]
    return {
        "wanted": len(found),
        "made": found.count(PathStanding.MADE),
        "failing": found.count(PathStanding.FAILING),
    }


FIELDS: Final = ("pinned", "replication_max", "replication_min", "ttl", "ttl_action")


def path_mistake(path: str, longest: int = LONGEST, forbidden: str = "") -> str:
    """What is wrong with a path; empty when nothing is. ``forbidden``: characters that must not stand in it."""
    advice = "write an absolute path, such as /data/table"
    without = f", without {' '.join(forbidden)}" if forbidden else ""
    if len(path) > longest:
        return f"the path has {len(path)} characters; at most {longest} are allowed"
    if not path.startswith("/") or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", path) or set(forbidden) & set(path):
        return f"{path!a:.200} is no path; {advice}{without}"
    if path != "/" and any(part in ("", ".", "..") for part in path[1:].split("/")):
        return f'{path!a:.200} is no path, as a part of it is empty, "." or ".."; {advice}'
    return ""


def read(given: Mapping[str, Any], duration: Duration) -> Attributes | list[str]:
    """The attributes of a JSON object, or every mistake in it."""
    found: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, value in given.items():
        read_one = _READERS.get(name)
        if read_one is None:
            mistakes.append(f"there is no field {name!a:.100}; allowed: {', '.join(FIELDS)}")
            continue
        try:
            found[name] = read_one(value, duration)
        except ValueError as error:
            mistakes.append(f"{name}: {value!a:.100} is not allowed; {error}")
    if "ttl_action" in given and "ttl" not in given:
        mistakes.append('ttl_action goes with ttl; give both, such as "ttl": "7d"')
    asked = Attributes(**found)
    mistakes = mistakes or _contradictions(asked)
    if not mistakes and not asked.says_something:
        mistakes.append(f"nothing is said of the path; give at least one of {', '.join(FIELDS)}")
    return mistakes or asked


def _contradictions(asked: Attributes) -> list[str]:
    found = []
    least, most = asked.replication_min, asked.replication_max
    if least is not None and most is not None and most != NO_LIMIT and least > most:
        found.append(
            f"replication_min: {least} is more than replication_max: {most}; give at most {most}, or a higher maximum"
        )
    if asked.pinned is True and least == 0:
        found.append("pinned: true does not go with replication_min: 0, which unpins in Alluxio; leave one of them out")
    if asked.pinned is False and least:
        found.append(
            f"pinned: false does not go with replication_min: {least}, which pins in Alluxio; leave one of them out"
        )
    return found


def _boolean(value: Any, _: Duration) -> bool:
    if not isinstance(value, bool):
        raise ValueError("give true or false")
    return value


def _ttl(value: Any, duration: Duration) -> float:
    advice = "give a time such as 90s, 10m, 1h or 7d, at least 1s, or null (none on the command line) for ever"
    if value is None:
        return NO_TTL
    if not isinstance(value, str):
        raise ValueError(advice)
    try:
        seconds = float(duration(value))
    except ValueError:
        raise ValueError(advice) from None
    if not 1 <= seconds <= LONGEST_TTL:
        raise ValueError(f"{advice}; the longest is 100 years")
    return seconds


def _action(value: Any, _: Duration) -> TtlAction:
    if value not in tuple(TtlAction):
        raise ValueError(f"choose one of {', '.join(TtlAction)}")
    return TtlAction(value)


def _copies(value: Any, _: Duration) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_COPIES:
        raise ValueError(f"give a whole number from 0 to {MOST_COPIES}")
    return value


def _most_copies(value: Any, _: Duration) -> int:
    if value is None:
        return NO_LIMIT
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_COPIES:
        raise ValueError(f"give a whole number from 1 to {MOST_COPIES}, or null for no limit")
    return value


_READERS: Final[Mapping[str, Callable[[Any, Duration], Any]]] = {
    "pinned": _boolean,
    "replication_max": _most_copies,
    "replication_min": _copies,
    "ttl": _ttl,
    "ttl_action": _action,
}
