"""What a value of an option may be. A type reads a text, and says what it takes in words and as a JSON Schema, so that
the command line, the package's forms and the documentation refuse the same things with the same words. Pure.

A schema may be stricter than the reader in how a value is written (``512MB``, not ``0.5 GB``), and never in what it is;
what no schema can tell, such as whether a regular expression compiles, the reader alone refuses.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from framework import namespace, placement
from framework.model import Constraint, Mount

MIB: Final = 1024 * 1024


class Invalid(ValueError):
    """A value that an option does not take; the message ends the sentence "--option: ..."."""


# key=value, where the key speaks of a secret; a property ends at a semicolon
_PAIR_SECRET: Final = re.compile(r"([\w.\-]*(?:secret|passw|token|credential|key)[\w.\-]*\s*=)[^;]*", re.IGNORECASE)
_ADDRESS_SECRET: Final = re.compile(r"(://[^/\s:@]*:)[^/\s@]*@")


def masked(text: str) -> str:
    """The text as it may lie about, with ``***`` in the place of each secret that it holds."""
    return _ADDRESS_SECRET.sub(r"\1***@", _PAIR_SECRET.sub(r"\1***", text))


@dataclasses.dataclass(frozen=True, slots=True)
class Type:
    """``value`` is how help shows one, ``advice`` what to write, as refusals say it. ``schema`` is JSON Schema (Draft
    4) of what stands in a package's options, without anything that belongs to a single option. ``empty`` is what an
    option is read as that has no default and is not given. ``masked`` takes the secrets out of a text of it.
    """

    read: Callable[[str], Any]
    value: str
    advice: str
    schema: Mapping[str, Any]
    empty: Any = ""
    masked: Callable[[str], str] = masked

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


def whole(least: int, most: int, value: str = "COUNT", advice: str = "") -> Type:
    advice = advice or f"write a whole number from {least} to {most}"

    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text.strip()) or not least <= int(text) <= most:
            raise Invalid(f"{text!r} is not allowed; {advice}")
        return int(text)

    return Type(read, value, advice, {"type": "integer", "minimum": least, "maximum": most})


# A port that is the same on each agent, or 0 for any that the agent offers.
FIXED_PORT: Final = whole(0, 65535, "PORT", "write a port that the agents offer, up to 65535, or 0 for any of them")


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
    if not re.fullmatch(r"\d+(\.\d+)?", text.strip()) or not 0.001 <= float(text) <= 1024:
        raise Invalid(f"{text!r} is not allowed; {CPUS.advice}")
    return round(float(text) * 1000)


# CPUs as thousandths, the precision that Mesos keeps; more decimals are rounded as Mesos does. A schema cannot count
# them: multipleOf is looked at with floating numbers by many, which take 0.7 for no multiple of 0.001.
CPUS: Final = Type(
    _read_cpus,
    "CPUS",
    "write a number of CPUs from 0.001 to 1024, such as 0.5, of which Mesos keeps three decimals",
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


_SECURITY: Final = words("SIMPLE", "NOSASL", value="TYPE")


def _read_security(text: str) -> str:
    if text == "KERBEROS":
        raise Invalid(f"{text!r} is not in Alluxio's open-source edition, whose servers refuse it; {SECURITY.advice}")
    return str(_SECURITY.read(text))


# alluxio.security.authentication.type; those that need nothing outside.
SECURITY: Final = dataclasses.replace(
    _SECURITY,
    read=_read_security,
    advice=f"{_SECURITY.advice}; for HDFS with Kerberos give hdfs-principal and its keytab",
)
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

NETWORK: Final = _matching(
    "[A-Za-z0-9][A-Za-z0-9._-]*",
    "NETWORK",
    "is no name of a network",
    "use letters, digits, dots, dashes and underscores, with a letter or digit first",
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


def _networks() -> str:
    """A regular expression of the IPv4 networks whose addresses have nothing beyond their prefix, and of addresses."""
    octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    found = [r"(0\.){3}0/0", rf"({octet}\.){{3}}{octet}"]
    for place in range(4):
        for bits in range(1, 9):
            last = octet if bits == 8 else f"({'|'.join(map(str, range(0, 256, 2 ** (8 - bits))))})"
            found.append(rf"({octet}\.){{{place}}}{last}(\.0){{{3 - place}}}/{8 * place + bits}")
    return "|".join(found)


_ADDRESS: Final = rf"\s*({_networks()}|[0-9a-fA-F]*:[0-9a-fA-F:.]*(/([0-9]{{1,2}}|1[01][0-9]|12[0-8]))?)\s*"
# IP addresses or networks between commas. Whether an IPv6 address is one, no regular expression tells.
ADDRESSES: Final = Type(
    _read_addresses,
    "ADDRESSES",
    "write IP addresses or networks with ',' between them, such as 10.0.0.1,10.1.0.0/16",
    _text_schema(f"({_ADDRESS}(,(?!$)|$))+"),  # which is long enough to stand there once
    (),
)

# Lists ----------------------------------------------------------------------------------------------------------------


def _pairs(name: str, refusal: str, value: str, advice: str, masked: Callable[[str], str] = masked) -> Type:
    """``NAME=value`` pairs between semicolons; ``name`` is a regular expression."""

    def read(text: str) -> tuple[tuple[str, str], ...]:
        pairs = []
        for part in filter(None, (part.strip() for part in text.split(";"))):
            key, equals, content = part.partition("=")
            if not equals or not re.fullmatch(name, key.strip()):
                raise Invalid(f"{part!r} is no {refusal}; {advice}")
            pairs.append((key.strip(), content.strip()))
        return tuple(pairs)

    entry = rf"\s*(({name})\s*=[^;]*)?"
    return Type(read, value, advice, _text_schema(f"{entry}(;{entry})*"), (), masked)


PROPERTIES: Final = _pairs(
    "[A-Za-z][A-Za-z0-9._-]*", "property", "PROPERTIES", "write key=value pairs with ';' between them"
)
# Mesos gives an executor variables of these beginnings, and it could not work with others.
_VARIABLE: Final = "(?!MESOS_|LIBPROCESS_)[A-Za-z_][A-Za-z0-9_]*"
_OWN: Final = "names that begin with MESOS_ or LIBPROCESS_ are Mesos's own"
ENVIRONMENT: Final = _pairs(
    _VARIABLE, "variable that may be set", "VARIABLES", f"write NAME=value pairs with ';' between them; {_OWN}"
)
SECRET: Final = line("SECRET")
# What stands in these is the names of secrets, and none itself.
SECRET_VARIABLES: Final = _pairs(
    _VARIABLE,
    "variable that may be set",
    "SECRETS",
    f"write NAME=secret pairs with ';' between them; {_OWN}",
    masked=str,
)
SECRET_FILES: Final = _pairs(
    "[A-Za-z0-9][A-Za-z0-9._-]*",
    "file out of a secret",
    "SECRETS",
    "write file=secret pairs with ';' between them, the file without a folder",
    masked=str,
)


def _read_java_options(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(_read_line(text)))
    except ValueError:  # which does not quote the text: it may hold a secret
        raise Invalid(f"it has several lines, or a mark or a backslash without an end; {JAVA_OPTIONS.advice}") from None


_JAVA_SECRET: Final = re.compile(r"(-D[\w.\-]*(?:secret|passw|token|credential|key)[\w.\-]*=).*", re.IGNORECASE)


def _masked_java(text: str) -> str:
    """Each option for itself, as a shell would part them."""
    try:
        parts = shlex.split(text)
    except ValueError:
        return "***"  # nobody can tell where a secret in it ends
    shown = [_ADDRESS_SECRET.sub(r"\1***@", _JAVA_SECRET.sub(r"\1***", part)) for part in parts]
    return text if shown == parts else " ".join(map(_quoted, shown))


def _quoted(part: str) -> str:
    """As shlex.quote has it, but for the stars, which are none of a shell's here."""
    return "***".join(shlex.quote(piece) if piece else "" for piece in part.split("***")) or "''"


# What a JVM is started with: a tuple of its arguments.
JAVA_OPTIONS: Final = Type(
    _read_java_options,
    "OPTIONS",
    "write one line, as a shell takes it: -Dname=value, or '-Dname=two words' with the marks closed",
    _text_schema(r"([^\\'\"\n\x00]|\\[^\n\x00]|'[^'\n\x00]*'|\"([^\\\"\n\x00]|\\[^\n\x00])*\")*"),
    (),
    _masked_java,
)


def _read_groups(text: str) -> Mapping[str, Mapping[str, Any]]:
    """Groups of workers by their names, as the API's calls have them; what is in them is looked at with its words."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Invalid(f"it is no JSON ({error}); {WORKER_GROUPS.advice}") from None
    if not isinstance(found, dict):
        raise Invalid(f"it is no object of groups; {WORKER_GROUPS.advice}")
    for name, group in found.items():
        if not isinstance(group, dict) or set(group) - {"options"} != {"count"}:
            raise Invalid(f"the group {name!a} has not a count, and at most options beside it; {WORKER_GROUPS.advice}")
    return found


WORKER_GROUPS: Final = Type(
    _read_groups,
    "GROUPS",
    'write JSON: {"NAME": {"count": 2, "options": {}}}, with as many groups as PUT /v1/worker-groups/NAME takes',
    _text_schema(r"\s*\{[\s\S]*\}\s*"),
    {},
)


def _read_constraints(text: str) -> tuple[Constraint, ...]:
    try:
        return placement.read(text)
    except ValueError as error:
        raise Invalid(str(error)) from None


_CONSTRAINT: Final = rf"\s*({placement.PATTERN}\s*)?"
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
