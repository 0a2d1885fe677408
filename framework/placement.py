"""Where tasks may run: constraints on an agent's attributes, in the words of Marathon's. Pure.

They hold for what is launched from now on; nothing that runs is moved.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from framework.model import Constraint, Offer, Operator

HOSTNAME: Final = "hostname"  # is no attribute, and is looked at like one
LONGEST: Final = 200  # characters of a value
ADVICE: Final = (
    "write attribute:OPERATOR:value with ';' between several, such as rack:IS:r1 or hostname:UNLIKE:db.*; "
    f"the operators are {', '.join(Operator)}"
)


def read(text: str) -> tuple[Constraint, ...]:
    """``rack:IS:r1;disk:LIKE:ssd.*`` as constraints, all of which must hold.

    Raises:
        ValueError: the message says what is wrong.
    """
    return tuple(_constraint(part.strip()) for part in text.split(";") if part.strip())


def _constraint(text: str) -> Constraint:
    attribute, _, rest = text.partition(":")
    operator, colon, value = rest.partition(":")
    if not (re.fullmatch(r"[A-Za-z0-9._-]+", attribute) and colon and value) or operator not in list(Operator):
        raise ValueError(f"{text!r} is no constraint; {ADVICE}")
    if len(value) > LONGEST:
        raise ValueError(f"the value of {attribute}:{operator} is too long; at most {LONGEST} characters are allowed")
    if operator != Operator.IS:
        try:
            re.compile(value)
        except (re.error, RecursionError) as error:
            raise ValueError(f"{value!r} is no regular expression ({error})") from None
    return Constraint(attribute, Operator(operator), value)


def refusal(constraints: Iterable[Constraint], offer: Offer) -> str:
    """Why the offer's agent is none for such tasks, as a sentence's tail; "" when it is one."""
    for constraint in constraints:
        here = offer.hostname if constraint.attribute == HOSTNAME else offer.attributes.get(constraint.attribute)
        if not _holds(constraint, here):
            told = f"{constraint.attribute} {here!r}" if here is not None else f"no attribute {constraint.attribute}"
            return f"has {told}, and {constraint} is asked for"
    return ""


@functools.lru_cache(maxsize=65536)
def _holds(constraint: Constraint, here: str | None) -> bool:
    """Remembered, as a round may have ten thousand offers with the same few values."""
    match constraint.operator:
        case Operator.IS:
            return here == constraint.value
        case Operator.LIKE:
            return here is not None and re.fullmatch(constraint.value, here) is not None
        case Operator.UNLIKE:
            return here is None or re.fullmatch(constraint.value, here) is None
