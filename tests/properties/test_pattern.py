"""Regular expressions of placements against Python's own, and the time that they take."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from framework.pattern import MOST_PARTS, Pattern

ATOMS = st.sampled_from(
    ["a", "b", "-", "1", ".", r"\.", r"\d", r"\w", r"\s", r"\W", "[ab]", "[^a]", "[a-c1]", "[-a]", "[]a]", r"[\d.-]"]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "*?", "+?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS, st.text("ab-1. c\n", max_size=8))
@example("^a|b$", "b")
@example("", "")
@example("(|a)b", "b")
def test_what_fits_is_what_fits_elsewhere(expression: str, text: str) -> None:
    assert Pattern(expression).fits(text) is (re.fullmatch(expression, text, re.ASCII) is not None)


@given(EXPRESSIONS, st.data())
def test_what_was_made_from_it_fits(expression: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(expression, re.ASCII), fullmatch=True))
    assert Pattern(expression).fits(text)


@pytest.mark.parametrize("expression", ["(a+)+b", "(a*)*b", ".*.*.*.*.*.*=", "(a|a)*b", "(a?){90}a{90}", "(.*a){20}"])
def test_none_takes_long(expression: str) -> None:
    """Each takes others longer than anybody waits for."""
    pattern = Pattern(expression)
    began = time.process_time()
    assert [pattern.fits("a" * 89 + "!" * extra) for extra in (0, 1, 100)] == [expression == "(.*a){20}", False, False]
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("r[1", "a class does not end, or has another in it at character 4; use characters"),
        ("[[a]", "a class does not end, or has another in it at character 2"),
        ("[b-a]", "a range does not end at character 5"),
        ("[a-\\d]", "a range does not end at character 6"),
        ("(a", "a group does not end at character 3"),
        ("a)", "there is no group to end at character 2"),
        ("(?=a)b", "a group that looks ahead or back, or has a name, may not stand at character 2"),
        ("(?i)a", "a group that looks ahead or back"),
        ("(a)\\1", "\\1 may not stand at character 5"),
        ("\\bx", "\\b may not stand at character 2"),
        ("a\\", "\\ may not stand at character 3"),
        ("*a", "* may not stand at character 1"),
        ("a**", "a repetition is repeated at character 3"),
        ("a++", "a repetition is repeated at character 3"),
        ("a{,3}", "{ may not stand at character 2"),
        ("a{3,2}", "the most is below the least at character 2"),
        ("a^b", "^ may not stand at character 2"),
        ("a$b", "$ may not stand at character 2"),
        ("(" * 21 + ")" * 21, "there are more than 20 groups within each other at character 21"),
        ("(a{100}){100}", f"it repeats too much: written out it has more than {MOST_PARTS} parts; repeat less"),
        ("((a{1000}){1000}){1000}", "it repeats too much"),
        ("(((){9999}){9999}){9999}", "it repeats too much"),
    ],
)
def test_what_cannot_be_used_is_told(expression: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Pattern(expression)
