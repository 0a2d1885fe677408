"""config.json: what DC/OS asks of whoever installs the package, as a JSON Schema (Draft 4), made of the options' types.
Pure.

It refuses what the scheduler would refuse, before anything is started; each option's description says what to write, in
the words of the scheduler's refusal.
"""

from __future__ import annotations

import re
from typing import Any, Final

from framework.config import (
    BOUND,
    CERTIFICATE,
    EMBEDDED_FOLDER,
    KEYTAB,
    NO_MEMBERS,
    NO_NETWORK,
    NO_RESERVATIONS,
    NO_TIER,
    ONE_KEYTAB,
    SEVERAL_MASTERS,
)
from framework.model import MEMBER_PORTS, Kind
from framework.option_table import PORT_OPTIONS, Option
from framework.packaging import deployment
from framework.packaging.deployment import FILES, PACKAGED, PRINCIPAL, SECTIONS, TOKEN, one_of, without_flags

Schema = dict[str, Any]


def document() -> Schema:
    """The whole of config.json."""
    sections = {section: _section(section, title) for section, title in SECTIONS.items()}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "description": "An Alluxio cache cluster on Mesos",
        "additionalProperties": False,
        "required": [name for name, section in sections.items() if "required" in section],
        "properties": sections,
        "allOf": [{"description": plain(NO_RESERVATIONS), **_WITHOUT_RESERVATIONS}],
    }


def _section(section: str, title: str) -> Schema:
    options = [option for option in PACKAGED if option.group == section]
    required = [option.name for option in options if deployment.default(option, dcos=True) is None]
    return {
        "type": "object",
        "description": title[0].upper() + title[1:],
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {option.name: _option(option) for option in options},
        **_together(section),
    }


def _option(option: Option) -> Schema:
    schema = dict(option.type.schema)
    default = deployment.default(option, dcos=True)
    if default == "" and not re.search(schema.get("pattern", ""), ""):
        schema["pattern"] = f"^$|{schema['pattern']}"
    described = f"{option.help}; {option.type.advice}; a change: {option.change}"
    return {
        "description": plain(described[0].upper() + described[1:]),
        **schema,
        **({} if default is None else {"default": default}),
    }


def plain(text: str) -> str:
    """In ASCII, which is all that DC/OS allows in a package."""
    return text.replace("…", "...")


def _together(section: str) -> Schema:
    """What each option allows but together cannot work, with what to do about it."""
    rules = [
        (_section_of(secret), one_of(secret, file), _not(_all(_is_given(secret), _is_given(file))))
        for secret, file in FILES.items()
    ]
    found = [
        {"description": plain(without_flags(sentence)), **rule}
        for of, sentence, rule in (*rules, *_RULES)
        if of == section
    ]
    return {"allOf": found} if found else {}


def _is_given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"minLength": 1}}}


def _is(name: str, *values: Any) -> Schema:
    return {"required": [name], "properties": {name: {"enum": list(values)}}}


def _not(rule: Schema) -> Schema:
    return {"not": rule}


def _all(*rules: Schema) -> Schema:
    return {"allOf": list(rules)}


def _any(*rules: Schema) -> Schema:
    return {"anyOf": list(rules)}


def _both_or_none(one: Schema, other: Schema) -> Schema:
    return _any(_all(one, other), _not(_any(one, other)))


_RULES: Final[tuple[tuple[str, str, Schema], ...]] = (
    (
        "mesos",
        PRINCIPAL,
        _both_or_none(_is_given("principal"), _any(_is_given("principal-secret"), _is_given("secret-file"))),
    ),
    ("api", CERTIFICATE, _both_or_none(_is_given("api-certificate"), _is_given("api-key"))),
    ("api", TOKEN, _any(_is_given("api-token-secret"), _is_given("api-token-file"), _is("api-open", "yes"))),
    ("masters", SEVERAL_MASTERS, _any(_is("masters", 1), _is("journal", "EMBEDDED"), _is_given("journal-folder"))),
    ("masters", EMBEDDED_FOLDER, _not(_all(_is("journal", "EMBEDDED"), _is_given("journal-folder")))),
    *(
        ("masters", NO_MEMBERS, _any(_is("journal", "EMBEDDED"), _is(option.name, 0)))
        for option in PORT_OPTIONS[Kind.MASTER]
        if option.port in MEMBER_PORTS
    ),
    (
        "alluxio",
        KEYTAB,
        _both_or_none(_is_given("hdfs-principal"), _any(_is_given("hdfs-keytab"), _is_given("hdfs-keytab-secret"))),
    ),
    ("alluxio", ONE_KEYTAB, _not(_all(_is_given("hdfs-keytab"), _is_given("hdfs-keytab-secret")))),
    ("alluxio", BOUND, _not(_all(_is_given("network"), _is("bind", "agent")))),
    ("alluxio", NO_NETWORK, _any(_is_given("network"), _not(_is_given("network-labels")))),
    (
        "workers",
        NO_TIER,
        _any(_is("persistent-volumes", "no"), _not(_is("worker-ssd", "0")), _not(_is("worker-hdd", "0"))),
    ),
)


# The one rule about options of two sections.
_WITHOUT_RESERVATIONS: Final = _not(
    {
        "required": ["mesos", "workers"],
        "properties": {"mesos": _is("role", "*"), "workers": _is("persistent-volumes", "yes")},
    }
)


def _section_of(name: str) -> str:
    return next(option.group for option in PACKAGED if option.name == name)
