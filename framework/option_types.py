"""What a value of an option may be. A type reads a text, and says what it takes in words and as a JSON Schema, so that
the command line, the package's forms and the documentation refuse the same things with the same words. Pure.

A schema may be stricter than the reader in how a value is written (``512MB``, not ``0.5 GB``), and never in what it is;
what no schema can tell, such as whether a regular expression compiles, the reader alone refuses.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from framework import namespace, placement
from framework.model import Constraint, Mount, Operator

MIB: Final = 1024 * 1024


class Invalid(ValueError):
    """A value that an option does not take; the message ends the sentence "--option: ..."."""


@dataclasses.dataclass(frozen=True, slots=True)
class Type:
    """``value`` is how help shows one, ``advice`` what to write, as refusals say it. ``schema`` is JSON Schema (Draft
    4) of what stands in a package's options, without anything that belongs to a single option. ``empty`` is what an
    option is read as that has no default and is not given.
    """

    read: Callable[[str], Any]
    value: str
    advice: str
    schema: Mapping[str, Any]
    empty: Any = ""

    def shown_as(self, value: str) -> Type:
        return dataclasses.replace(self, value=value)


def _text_schema(pattern: str) -> Mapping[str, Any]:
    return {"type": "string", "pattern": f"^({pattern})$"}


def _matching(pattern: str, value: str, refusal: str, advice: str, result: Callable[[str], Any] = str) -> Type:
    """What a regular expression tells: the same one for the reader and the schema."""

    def read(text: str) -> Any:
        if not re.fullmatch(pattern, text):
            raise Invalid(f"{text!r} {refusal}; {advice}")
        return result(text)

    return Type(read, value, advice, _text_schema(pattern))


def at_least(number: int) -> str:
    """A regular expression of the whole numbers from this one on, in decimal digits."""
    digits = str(number)
    same_length = [
        digits[:place] + (f"[{int(digit) + 1}-9]" if digit < "8" else "9") + "[0-9]" * (len(digits) - place - 1)
        for place, digit in enumerate(digits)
        if digit < "9"
    ]
    longer = f"[1-9][0-9]{{{len(digits)},}}"
    return "(" + "|".join([digits, *same_length, longer]) + ")"


# Sizes, counts and times ----------------------------------------------------------------------------------------------

_UNITS: Final = {"": MIB, "K": 1024, "M": MIB, "G": 1024 * MIB, "T": 1024 * 1024 * MIB}
_NO_SIZE: Final = re.compile(r"0\s*([KMGT]i?B?)?", re.IGNORECASE)


def _mebibytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise Invalid(f"{text!r} is no size; write a number and a unit, such as 512MB or 2GB")
    amount = float(match[1]) * _UNITS[match[2].upper()] / MIB
    if amount < 1 or amount != int(amount):
        raise Invalid(f"{text!r} is {amount:g} MiB; it must be a whole number of MiB, at least 1")
    return int(amount)


def size(least: int = 1, *, none: bool = False) -> Type:
    """``512MB``, ``512MiB``, ``2g`` or a plain number of MiB, as MiB. The units are powers of 1024, as Alluxio reads
    them. ``least`` is in MiB; with ``none`` 0 is allowed too.
    """

    def read(text: str) -> int:
        if none and _NO_SIZE.fullmatch(text.strip()):
            return 0
        amount = _mebibytes(text)
        if amount < least:
            raise Invalid(f"{amount} MiB is too little; Alluxio needs at least {least} MiB")
        return amount

    advice = "write a number and a unit, such as 512MB or 2GB"
    units = f"{at_least(least)}([mM]([iI]?[bB])?)?|{at_least(math.ceil(least / 1024))}[gGtT]([iI]?[bB])?"
    limits = f"; Alluxio needs at least {least} MiB" if least > 1 else "; it must be a whole number of MiB, at least 1"
    limits += ", or 0 for none" if none else ""
    return Type(read, "SIZE", advice + limits, _text_schema(f"0|{units}" if none else units))


def has_tier(text: str) -> bool:
    """Whether this is the size of a tier that is there; a text that is no size says nothing."""
    try:
        return bool(text) and size(none=True).read(text) > 0
    except Invalid:
        return False


def whole(least: int, most: int, value: str = "COUNT") -> Type:
    advice = f"write a whole number from {least} to {most}"

    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text.strip()) or not least <= int(text) <= most:
            raise Invalid(f"{text!r} is not allowed; {advice}")
        return int(text)

    return Type(read, value, advice, {"type": "integer", "minimum": least, "maximum": most})


def _read_workers(text: str) -> int | None:
    if text.strip().lower() == "all":
        return None
    if not re.fullmatch(r"\d+", text.strip()) or int(text) > 100_000:
        raise Invalid(f"{text!r} is not allowed; {WORKER_COUNT.advice}")
    return int(text)


# A count, or ``all`` for one on each agent that fits.
WORKER_COUNT: Final = Type(
    _read_workers,
    "COUNT",
    "write a number of workers from 0 to 100000, or 'all' for one on each agent",
    _text_schema("all|[0-9]{1,5}|100000"),
)


def _read_cpus(text: str) -> int:
    if not re.fullmatch(r"\d+(\.\d{1,3})?", text.strip()) or not 0 < float(text) <= 1024:
        raise Invalid(f"{text!r} is not allowed; {CPUS.advice}")
    return round(float(text) * 1000)


# CPUs as thousandths, the precision that Mesos keeps.
CPUS: Final = Type(
    _read_cpus,
    "CPUS",
    "write a number of CPUs above 0 with at most three decimals, such as 0.5",
    {"type": "number", "minimum": 0.001, "maximum": 1024},
)

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(least: int) -> Type:
    """``90s``, ``10m``, ``1h``, ``7d`` or a plain number of seconds, as seconds."""

    def read(text: str) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
        if match is None:
            raise Invalid(f"{text!r} is no duration; write a number and a unit, such as 90s, 10m, 1h or 7d")
        amount = float(match[1]) * _SECONDS[match[2]]
        if amount < least:
            raise Invalid(f"{text!r} is too short; it must be at least {_spoken(least)}")
        return amount

    units = "|".join(
        at_least(math.ceil(least / seconds)) + (f"{unit}?" if unit == "s" else unit)
        for unit, seconds in _SECONDS.items()
        if unit
    )
    limit = f"; it must be at least {_spoken(least)}" if least else ""
    return Type(read, "DURATION", "write a number and a unit, such as 90s, 10m, 1h or 7d" + limit, _text_schema(units))


def _spoken(seconds: int) -> str:
    """In the largest unit of which it is a whole number."""
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def _read_portion(text: str) -> float:
    """``10%`` as 0.1."""
    match = re.fullmatch(r"(\d{1,3})\s*%", text.strip())
    if match is None or not 1 <= int(match[1]) <= 100:
        raise Invalid(f"{text!r} is no portion; {PORTION.advice}")
    return int(match[1]) / 100


PORTION: Final = Type(_read_portion, "PORTION", "write 1% to 100%", _text_schema("([1-9][0-9]?|100)%"))


# Words and texts ------------------------------------------------------------------------------------------------------


def words(*allowed: str, value: str = "") -> Type:
    advice = f"choose one of {', '.join(allowed)}"

    def read(text: str) -> str:
        if text not in allowed:
            raise Invalid(f"{text!r} is not allowed; {advice}")
        return text

    return Type(read, value or "|".join(allowed), advice, {"type": "string", "enum": list(allowed)})


NO_YES: Final = dataclasses.replace(words("no", "yes"), value="yes|no")


def _read_line(text: str) -> str:
    if "\n" in text or "\0" in text:
        raise Invalid("it must be one line")
    return text


def line(value: str) -> Type:
    return Type(_read_line, value, "it must be one line", _text_schema(r"[^\n\x00]*"))


FILE: Final = line("FILE")
NAME: Final = _matching(
    "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "NAME",
    "is not allowed",
    "use 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
)
# Mesos's rules for role names (roles.md): no blanks, no slash at the ends, not a dot, no leading dash.
ROLE: Final = _matching(
    r"(?!\.{1,2}$)[^\s/-][^\s/]*(/[^\s/]+)*",
    "ROLE",
    "is no Mesos role",
    "use '*' or a name without blanks that starts neither with '-' nor with '/'",
)

# A program, as a shell's word.
COMMAND: Final = _matching(
    "[A-Za-z0-9._/-]+", "COMMAND", "is not allowed", "write the name or the path of a program, without blanks"
)
IMAGE: Final = _matching(
    r"[A-Za-z0-9][A-Za-z0-9._:/@-]*",
    "IMAGE",
    "is no image",
    "write it as docker pull takes it, such as python:3.12-slim",
)

# Addresses ------------------------------------------------------------------------------------------------------------

_PORT: Final = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST_AND_PORT: Final = rf"[^/:\s,@]+:{_PORT}"


def _read_mesos(text: str) -> str:
    if text.lower().startswith("https://"):
        raise Invalid(
            f"{text!r} cannot be used, as the connection to Mesos is not encrypted: write host:port or zk://… of a "
            "master that takes plain HTTP, or the address of a proxy that encrypts for this scheduler"
        )
    if not re.fullmatch(_MESOS, text):
        raise Invalid(f"{text!r} is no Mesos master; {MESOS.advice}")
    return text


_MESOS: Final = rf"{_HOST_AND_PORT}|zk://[^/\s]+(/\S*)?"
MESOS: Final = Type(_read_mesos, "ADDRESS", "write host:port, or zk://host:port,host:port/path", _text_schema(_MESOS))
ZOOKEEPER: Final = _matching(
    rf"{_HOST_AND_PORT}(,{_HOST_AND_PORT})*(/\S*)?",
    "ADDRESS",
    "is no ZooKeeper address",
    "write host:port,host:port/path",
)
URI: Final = _matching(
    r"/\S*|[a-z][a-z0-9+.-]*://\S+",
    "URI",
    "is no address",
    "write a URI such as s3://bucket/folder, hdfs://host:port/folder, or an absolute path",
)


def _unslashed(text: str) -> str:
    return text.rstrip("/")


WEB_ADDRESS: Final = _matching(
    r"https?://[^/\s]+(/\S*)?", "URL", "is no web address", "write http://host:port", _unslashed
)
_SEGMENTS: Final = "(/[A-Za-z0-9._~-]+)+"
# The beginning of a path, as it stands in addresses. In a package it goes on as it is, so there is no slash at its end.
PREFIX: Final = dataclasses.replace(
    _matching(
        f"{_SEGMENTS}/?",
        "PATH",
        "is no path prefix",
        "write it with a slash in front, such as /service/alluxio",
        _unslashed,
    ),
    schema=_text_schema(_SEGMENTS),
)
FOLDER: Final = _matching(
    r"/+[^/\n][^\n]*", "FOLDER", "is not allowed", "write an absolute path of a folder other than /", _unslashed
)


def _read_addresses(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    for part in found:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise Invalid(f"{part!r} is no address; {ADDRESSES.advice}") from None
    return found


# IP addresses or networks between commas.
ADDRESSES: Final = Type(
    _read_addresses,
    "ADDRESSES",
    "write IP addresses or networks with ',' between them, such as 10.0.0.1,10.1.0.0/16",
    _text_schema(r"\s*[0-9a-fA-F:.]+(/[0-9]{1,3})?\s*(,\s*[0-9a-fA-F:.]+(/[0-9]{1,3})?\s*)*"),
    (),
)

# Lists ----------------------------------------------------------------------------------------------------------------


def _read_properties(text: str) -> tuple[tuple[str, str], ...]:
    """``key=value`` pairs between semicolons."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9.\-_]*", key.strip(), re.IGNORECASE):
            raise Invalid(f"{part!r} is no property; {PROPERTIES.advice}")
        pairs.append((key.strip(), value.strip()))
    return tuple(pairs)


_PROPERTY: Final = r"\s*([A-Za-z][A-Za-z0-9._-]*\s*=[^;]*)?"
PROPERTIES: Final = Type(
    _read_properties,
    "PROPERTIES",
    "write key=value pairs with ';' between them",
    _text_schema(f"{_PROPERTY}(;{_PROPERTY})*"),
    (),
)


def _read_constraints(text: str) -> tuple[Constraint, ...]:
    try:
        return placement.read(text)
    except ValueError as error:
        raise Invalid(str(error)) from None


_CONSTRAINT: Final = rf"\s*([A-Za-z0-9._-]+:({'|'.join(Operator)}):[^;]{{1,{placement.LONGEST}}})?"
CONSTRAINTS: Final = Type(
    _read_constraints,
    "CONSTRAINTS",
    placement.ADVICE,
    _text_schema(f"{_CONSTRAINT}(;{_CONSTRAINT})*"),
    (),
)


def _read_jars(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in found:
        if not re.fullmatch(_JAR, part):
            raise Invalid(f"{part!r} is no address of a jar; {JARS.advice}")
    if len(names := {part.rpartition("/")[2] for part in found}) < len(found):
        raise Invalid(f"two jars have one name ({', '.join(sorted(names))}); rename one")
    return found


_JAR: Final = r"(/|[a-z][a-z0-9+.-]*://)[^\s,]*[^\s,/]\.jar"
JARS: Final = Type(
    _read_jars,
    "URIS",
    "write URIs or absolute paths that end in .jar, with ',' between them",
    _text_schema(rf"\s*{_JAR}\s*(,\s*{_JAR}\s*)*"),
    (),
)


def _read_mounts(text: str) -> tuple[Mount, ...]:
    try:
        return namespace.read(text)
    except ValueError as error:
        raise Invalid(str(error)) from None


_MOUNT: Final = r"\s*(/[^;=\s][^;=]*=\s*[^;\s]+\s*)?"
MOUNTS: Final = Type(
    _read_mounts,
    "MOUNTS",
    "write /path=URI with ';' between several, such as /s3=s3://bucket/folder;/nfs=/mnt/nfs",
    _text_schema(f"{_MOUNT}(;{_MOUNT})*"),
    (),
)
