"""Each line of what a highly available scheduler must do (docs/checklist.md), each gap of pymesos and each complaint of
other frameworks' users is named by a test that answers it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "checklist.md"
LINES = [f"C{number}" for number in (*range(1, 32), 35)]  # 32 to 34 are of the package
GAPS = [*(f"P{number}" for number in range(1, 24)), *(f"E{number}" for number in range(1, 7))]


@functools.cache
def named() -> Mapping[str, Set[str]]:
    """The files that name each line, gap or issue, in a comment; ``marathon#652 #1308`` are two issues of marathon."""
    found: dict[str, set[str]] = {}
    for path in (*TESTS.rglob("test_*.py"), *(TESTS / "scenarios").glob("*.txt")):
        for comment in re.findall(r"# [^\n]*", path.read_text()):
            names = re.findall(r"\b[CPE]\d{1,2}\b", comment)
            for project, numbers in re.findall(r"\b([a-z][a-z-]*)((?: ?#\d+)+)", comment):
                names += [f"{project}{number}" for number in re.findall(r"#\d+", numbers)]
            for name in names:
                found.setdefault(name, set()).add(path.relative_to(TESTS).as_posix())
    return found


def rows(pattern: str) -> list[tuple[list[str], list[str]]]:
    """(names, tests) of each row of the page whose line matches."""
    found = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and re.search(pattern, line)]
    names = r"\bC\d{1,2}\b(?= \|)|\b[a-z-]+#\d+"
    return [(re.findall(names, line), re.findall(r"`tests/([^`]+)`", line)) for line in found]


@pytest.mark.parametrize("name", [*LINES, *GAPS])
def test_a_line_is_named_by_a_test(name: str) -> None:
    assert named().get(name), f"no test names {name}"


def test_the_page_has_every_line_once() -> None:
    assert [name for names, _ in rows(r"^\| C\d") for name in names] == LINES


def test_the_page_has_the_complaints() -> None:
    assert len([name for names, _ in rows(r"[a-z]#\d") for name in names]) == 41


@pytest.mark.parametrize("pattern", [r"^\| C\d", r"[a-z]#\d"], ids=["lines", "complaints"])
def test_what_the_page_tells_of_is_named_where_it_says(pattern: str) -> None:
    for names, tests in rows(pattern):
        assert tests, f"{names} name no test"
        for test in tests:
            for name in names:
                assert test in named().get(name, set()), f"tests/{test} does not name {name}"
