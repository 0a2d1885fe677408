"""Regular expressions whose time grows with the length of the text alone: no expression of an operator's can hold up
the thread that decides. Pure.

They have what such rules need and Marathon's have too: characters, ``.``, classes, ``\\d \\w \\s``, groups, ``|`` and
repetition. What would need to look back or ahead is refused. An expression becomes a graph of steps (Thompson); the
sets of steps that a text leads to are remembered as they are met.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

MOST_PARTS: Final = 1000
DEEPEST: Final = 20  # groups within groups
_REMEMBERED: Final = 20_000  # moves from a set of steps to the next one
ADVICE: Final = (
    "use characters, . [a-z] [^a-z] \\d \\w \\s ( ) | * + ? {2,3}, with \\ before a character that stands for itself"
)

Spans = tuple[tuple[str, str], ...]
_CLASSES: Final[dict[str, Spans]] = {
    "d": (("0", "9"),),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
    "s": (("\t", "\r"), (" ", " ")),
}
_SPECIAL: Final = frozenset("\\.[]()|*+?{}^$")


@dataclasses.dataclass(frozen=True, slots=True)
class _One:
    """One character, in these spans or, ``but`` them, outside."""

    spans: Spans
    but: bool = False

    def takes(self, character: str) -> bool:
        return any(first <= character <= last for first, last in self.spans) is not self.but


@dataclasses.dataclass(frozen=True, slots=True)
class _All:
    parts: tuple[_Part, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Any:
    parts: tuple[_Part, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Repeat:
    """``most`` None: without end."""

    part: _Part
    least: int
    most: int | None


_Part = _One | _All | _Any | _Repeat


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._depth = 0

    def parse(self) -> _Part:
        self._take("^")  # the whole text is meant anyway
        found = self._any()
        if self._place < len(self._text):
            raise self._wrong("there is no group to end")
        return found

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{what} at character {self._place + 1}; {ADVICE}")

    @property
    def _next(self) -> str:
        return self._text[self._place : self._place + 1]

    def _take(self, expected: str) -> bool:
        if not self._text.startswith(expected, self._place):
            return False
        self._place += len(expected)
        return True

    def _any(self) -> _Part:
        parts = [self._all()]
        while self._take("|"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else _Any(tuple(parts))

    def _all(self) -> _Part:
        parts: list[_Part] = []
        while self._next and self._next not in "|)":
            if self._next == "$" and self._place == len(self._text) - 1 and not self._depth:
                self._place += 1
                break
            parts.append(self._repeated(self._one()))
        return _All(tuple(parts))

    def _repeated(self, part: _Part) -> _Part:
        repetition = re.compile(r"([*+?])|\{(\d{1,4})(,(\d{1,4})?)?\}").match(self._text, self._place)
        if repetition is None:
            return part
        sign, least, comma, most = repetition.groups()
        if least is None:
            bounds: tuple[int, int | None] = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            bounds = int(least), (int(most) if most else None) if comma else int(least)
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self._wrong("the most is below the least")
        self._place = repetition.end()
        self._take("?")  # as few as can be: the whole text is meant, so that this changes nothing
        if self._next and self._next in "*+?{":
            raise self._wrong("a repetition is repeated")
        return _Repeat(part, *bounds)

    def _one(self) -> _Part:
        character = self._next
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escaped()
            case ".":
                self._place += 1
                return _One((("\n", "\n"),), but=True)
        if character in _SPECIAL - {"}", "]"}:
            raise self._wrong(f"{character} may not stand")
        self._place += 1
        return _One(((character, character),))

    def _group(self) -> _Part:
        if self._depth == DEEPEST:
            raise self._wrong(f"there are more than {DEEPEST} groups within each other")
        self._place += 1
        if self._next == "?" and not self._take("?:"):
            raise self._wrong("a group that looks ahead or back, or has a name, may not stand")
        self._depth += 1
        found = self._any()
        self._depth -= 1
        if not self._take(")"):
            raise self._wrong("a group does not end")
        return found

    def _escaped(self) -> _One:
        """Of a class as ``\\d``, or the character itself."""
        self._place += 1
        letter = self._next
        if letter.lower() in _CLASSES and letter:
            self._place += 1
            return _One(_CLASSES[letter.lower()], but=letter.isupper())
        if not letter or letter.isalnum():
            raise self._wrong(f"\\{letter} may not stand")
        self._place += 1
        return _One(((letter, letter),))

    def _class(self) -> _One:
        self._place += 1
        but = self._take("^")
        spans: list[tuple[str, str]] = []
        while not spans or self._next != "]":
            first = self._member()
            if len(first) > 1 or first[0][0] != first[0][1] or not self._range_follows():
                spans.extend(first)
                continue
            self._place += 1
            last = self._member()
            if len(last) > 1 or last[0][0] != last[0][1] or last[0][0] < first[0][0]:
                raise self._wrong("a range does not end")
            spans.append((first[0][0], last[0][0]))
        self._place += 1
        return _One(tuple(spans), but)

    def _range_follows(self) -> bool:
        return self._next == "-" and self._text[self._place + 1 : self._place + 2] != "]"

    def _member(self) -> Spans:
        if self._next == "\\":
            found = self._escaped()
            if found.but:
                raise self._wrong("what is left out may not stand in a class")
            return found.spans
        if not self._next or self._next == "[" or self._text[self._place : self._place + 2] in {"&&", "||", "~~", "--"}:
            raise self._wrong("a class does not end, or has another in it")
        self._place += 1
        character = self._text[self._place - 1]
        return ((character, character),)


Steps = frozenset[int]


class Pattern:
    """A regular expression, read.

    Raises:
        ValueError: it is none, or has what is not allowed; the message says where.
    """

    def __init__(self, text: str) -> None:
        # A step takes a character and goes on to another step, or leads to several without any.
        self._steps: list[tuple[_One | None, tuple[int, ...]]] = [(None, ())]  # the first is the end
        self._parts = 0
        self._start = self._closure([self._add(_Parser(text).parse(), 0)])
        self._moves: dict[tuple[Steps, str], Steps] = {}

    def fits(self, text: str) -> bool:
        """All of the text."""
        here = self._start
        for character in text:
            following = self._moves.get((here, character))
            if following is None:
                following = self._move(here, character)
            if not following:
                return False
            here = following
        return 0 in here

    def _move(self, here: Steps, character: str) -> Steps:
        reached = [
            after[0] for one, after in (self._steps[step] for step in here) if one is not None and one.takes(character)
        ]
        if len(self._moves) >= _REMEMBERED:
            self._moves.clear()
        self._moves[here, character] = following = self._closure(reached)
        return following

    def _closure(self, steps: Iterable[int]) -> Steps:
        """The steps that take a character, and the end, as far as they are reached without one."""
        found: set[int] = set()
        seen: set[int] = set()
        waiting = list(steps)
        while waiting:
            step = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            one, after = self._steps[step]
            if one is not None or step == 0:
                found.add(step)
            else:
                waiting.extend(after)
        return frozenset(found)

    def _step(self, one: _One | None, after: Sequence[int]) -> int:
        self._steps.append((one, tuple(after)))
        return len(self._steps) - 1

    def _add(self, part: _Part, after: int) -> int:
        """The first step of a part behind which ``after`` comes."""
        self._parts += 1  # of which an empty one makes no step
        if self._parts > MOST_PARTS:
            raise ValueError(f"it repeats too much: written out it has more than {MOST_PARTS} parts; repeat less")
        match part:
            case _One():
                return self._step(part, [after])
            case _All():
                for inner in reversed(part.parts):
                    after = self._add(inner, after)
                return after
            case _Any():
                return self._step(None, [self._add(inner, after) for inner in part.parts])
            case _Repeat():
                return self._add_repeat(part, after)
        assert_never(part)

    def _add_repeat(self, part: _Repeat, after: int) -> int:
        end = after
        if part.most is None:
            loop = self._step(None, [])
            self._steps[loop] = (None, (self._add(part.part, loop), after))
            after = loop
        else:
            for _ in range(part.most - part.least):
                after = self._step(None, [self._add(part.part, after), end])
        for _ in range(part.least):
            after = self._add(part.part, after)
        return after
