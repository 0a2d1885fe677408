"""Where tasks may run: rules on an agent's hostname, attributes and fault domain, in the words of Marathon's. Pure.

A rule looks at the agent alone (IS, LIKE, UNLIKE, CLUSTER with a value), or counts where the group's other tasks are
(UNIQUE, CLUSTER, GROUP_BY, MAX_PER). Rules hold for what is launched from now on; nothing that runs is moved.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from framework.model import HOSTNAME, REGION, ZONE, Constraint, Offer, Operator, Record, plural
from framework.pattern import Pattern
from framework.words import counted

LONGEST: Final = 200  # characters of a value
FIELD: Final = rf"({REGION}|{ZONE}|[A-Za-z0-9._-]+)"
_NUMBER: Final = "[1-9][0-9]{0,4}"
_TEXT: Final = rf"[^;]{{1,{LONGEST}}}"
# What stands behind each operator, as a regular expression and in words.
_BEHIND: Final[Mapping[Operator, tuple[str, str]]] = {
    Operator.IS: (f":{_TEXT}", "a value, such as rack:IS:r1"),
    Operator.LIKE: (f":{_TEXT}", "a regular expression, such as rack:LIKE:r[12]"),
    Operator.UNLIKE: (f":{_TEXT}", "a regular expression, such as rack:UNLIKE:r[12]"),
    Operator.CLUSTER: (f"(:{_TEXT})?", "a value or nothing, such as rack:CLUSTER:r1 or rack:CLUSTER"),
    Operator.UNIQUE: ("", "nothing, such as rack:UNIQUE"),
    Operator.GROUP_BY: (f"(:{_NUMBER})?", "the number of values or nothing, such as rack:GROUP_BY:3 or rack:GROUP_BY"),
    Operator.MAX_PER: (f":{_NUMBER}", "a number from 1, such as rack:MAX_PER:2"),
}
PATTERN: Final = f"{FIELD}:({'|'.join(operator + behind for operator, (behind, _) in _BEHIND.items())})"
ADVICE: Final = (
    "write field:OPERATOR or field:OPERATOR:value with ';' between several, such as rack:IS:r1 or @zone:GROUP_BY:3; "
    f"a field is an attribute, {HOSTNAME}, {REGION} or {ZONE}; the operators are {', '.join(Operator)}"
)


def read(text: str) -> tuple[Constraint, ...]:
    """``rack:IS:r1;hostname:UNIQUE`` as constraints, all of which must hold.

    Raises:
        ValueError: the message says what is wrong.
    """
    return tuple(_constraint(part.strip()) for part in text.split(";") if part.strip())


def _constraint(text: str) -> Constraint:
    attribute, _, rest = text.partition(":")
    operator, colon, value = rest.partition(":")
    if not re.fullmatch(FIELD, attribute) or operator not in list(Operator):
        raise ValueError(f"{text!r} is no constraint; {ADVICE}")
    if len(value) > LONGEST:
        raise ValueError(f"the value of {attribute}:{operator} is too long; at most {LONGEST} characters are allowed")
    behind, words = _BEHIND[Operator(operator)]
    if not re.fullmatch(behind, colon + value):
        raise ValueError(f"{text!r} is no constraint, as {operator} takes {words}; {ADVICE}")
    if operator in (Operator.LIKE, Operator.UNLIKE):
        try:
            _pattern(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no regular expression ({error})") from None
    return Constraint(attribute, Operator(operator), value)


def counts(constraint: Constraint) -> bool:
    """Whether it depends on where the group's other tasks are."""
    match constraint.operator:
        case Operator.UNIQUE | Operator.GROUP_BY | Operator.MAX_PER:
            return True
        case Operator.CLUSTER:
            return not constraint.value
        case _:
            return False


def spreads(constraints: Iterable[Constraint]) -> bool:
    """Whether a launch may open agents to others of the group that they were closed to before."""
    return any(constraint.operator is Operator.GROUP_BY for constraint in constraints)


def refusal(constraints: Sequence[Constraint], offer: Offer, census: Census | None = None, slot: str = "") -> str:
    """Why the offer's agent is none for such a task, as a sentence's tail; "" when it is one. ``census`` is needed
    where a constraint counts; what it has of ``slot`` itself is left out.
    """
    for constraint in constraints:
        here = _value(constraint.attribute, offer.hostname, offer.attributes)
        if here is None:
            if constraint.operator is not Operator.UNLIKE:
                return f"has no attribute {constraint.attribute}, and {constraint} is asked for"
        elif not counts(constraint):
            if not _holds(constraint, here):
                return f"has {constraint.attribute} {here!r}, and {constraint} is asked for"
        elif census is not None and (told := census.crowded(constraint, here, slot)):
            return f"has {constraint.attribute} {here!r}, {told}, and {constraint} is asked for"
    return ""


def abroad(constraints: Iterable[Constraint], offer: Offer, home: str) -> str:
    """Why an agent of another region than the Mesos master's (``home``, "" for none) is none, as with Marathon: the way
    there is long. "" where a constraint says which regions may be used.
    """
    there = offer.attributes.get(REGION, home)
    if not home or there == home or any(constraint.attribute == REGION for constraint in constraints):
        return ""
    return f"is in the region {there!r}, the Mesos master in {home!r}, and no rule on {REGION} is given"


def _value(attribute: str, hostname: str, attributes: Mapping[str, str]) -> str | None:
    return hostname if attribute == HOSTNAME else attributes.get(attribute)


@functools.lru_cache(maxsize=65536)
def _holds(constraint: Constraint, here: str) -> bool:
    """Remembered, as a round may have ten thousand offers with the same few values."""
    if constraint.operator in (Operator.IS, Operator.CLUSTER):
        return here == constraint.value
    return _pattern(constraint.value).fits(here) is (constraint.operator is Operator.LIKE)


@functools.lru_cache(maxsize=256)
def _pattern(value: str) -> Pattern:
    return Pattern(value)


class _Tally:
    """How many tasks are at each value of a field (none at a value that is not there), and how many values have so
    many: the smallest number is asked for with each offer.
    """

    def __init__(self) -> None:
        self.at: Counter[str] = Counter()
        self._values_with: Counter[int] = Counter()

    def change(self, value: str, by: int) -> None:
        before = self.at.pop(value, 0)
        for number, change in ((before, -1), (before + by, 1)):
            left = self._values_with.pop(number, 0) + change
            if number and left:
                self._values_with[number] = left
        if before + by:
            self.at[value] = before + by

    @property
    def fewest(self) -> int:
        return min(self._values_with, default=0)

    @property
    def fullest(self) -> str:
        """Of equal ones the first by name."""
        return min(self.at, key=lambda value: (-self.at[value], value), default="")


class Census:
    """Where the tasks of a group are. It lives for one round of offers, and what is launched in it counts at once. A
    task whose agent's value is not known counts nowhere.
    """

    def __init__(self, group: str, constraints: Sequence[Constraint], records: Iterable[Record] = ()) -> None:
        self._group = group
        self._there: dict[str, Record] = {}  # by slot
        self._tallies = {constraint.attribute: _Tally() for constraint in constraints if counts(constraint)}
        self._spread = next((one.attribute for one in constraints if one.operator is Operator.GROUP_BY), None)
        for record in records:
            self.put(record)

    def put(self, record: Record) -> None:
        """It takes the place of the one that its slot had."""
        if record.slot in self._there:
            self._change(self._there[record.slot], -1)
        self._there[record.slot] = record
        self._change(record, 1)

    def _change(self, record: Record, by: int) -> None:
        for attribute, tally in self._tallies.items():
            value = _value(attribute, record.hostname, record.attributes)
            if value is not None:
                tally.change(value, by)

    def in_order(self, offers: Sequence[Offer]) -> Sequence[Offer]:
        """For GROUP_BY: the offers of the emptiest values first, in turn, so that one round fills them evenly."""
        if self._spread is None:
            return offers
        level = Counter(self._tallies[self._spread].at)
        levels: list[int] = []
        for offer in offers:
            value = _value(self._spread, offer.hostname, offer.attributes) or ""
            levels.append(level[value])
            level[value] += 1
        return [offers[place] for place in sorted(range(len(offers)), key=levels.__getitem__)]

    def crowded(self, constraint: Constraint, here: str, slot: str) -> str:
        """Why a task of ``slot`` may not be at this value, as a part of a sentence; "" when it may."""
        own = self._there.get(slot)
        if own is None:
            return self._crowded(constraint, here)
        self._change(own, -1)
        told = self._crowded(constraint, here)
        self._change(own, 1)
        return told

    def _crowded(self, constraint: Constraint, here: str) -> str:
        tally = self._tallies[constraint.attribute]
        there = tally.at.get(here, 0)
        if constraint.operator is Operator.CLUSTER:
            home = tally.fullest if tally.at else here
            return f"while {self._tasks(tally.at[home])} at {home!r}" if home != here else ""
        if not there:
            return ""
        if constraint.operator is Operator.GROUP_BY:
            expected = int(constraint.value or 0)
            if len(tally.at) < expected:
                return f"where {self._tasks(there)} already while {expected - len(tally.at)} of {expected} have none"
            if there > tally.fewest:
                return f"where {self._tasks(there)} already while another has {tally.fewest}"
            return ""
        most = 1 if constraint.operator is Operator.UNIQUE else int(constraint.value)
        return f"where {self._tasks(there)} already" if there >= most else ""

    def _tasks(self, number: int) -> str:
        kind, _, name = self._group.partition("-")
        group = f" of the group {name}" if name else ""
        return f"{counted(number, kind, plural(kind))}{group} {'is' if number == 1 else 'are'}"
