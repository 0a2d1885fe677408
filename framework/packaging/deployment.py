"""The options of the Marathon app that runs the scheduler: what that process has, where it runs, which secrets it gets.
They stand beside the scheduler's own options in a package's form and in a file of options. Pure.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from framework import config, grouping, option_types
from framework.option_table import GROUPS, NONE, OPTIONS, Option
from framework.option_types import CPUS, SECRET, URI, Invalid, Type, line, whole

OPERATORS: Final = ("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS")


def _read_constraints(text: str) -> list[list[str]]:
    found = json.loads(text)
    for each in found:
        if not (
            isinstance(each, list)
            and len(each) in {2, 3}
            and all(isinstance(part, str) for part in each)
            and each[1] in OPERATORS
        ):
            raise Invalid(f"{json.dumps(each)} is not allowed; {MARATHON_CONSTRAINTS.advice}")
    return list(found)


MARATHON_CONSTRAINTS: Final = Type(
    _read_constraints,
    "CONSTRAINTS",
    f'write Marathon\'s constraints, such as [["hostname", "UNIQUE"], ["rack", "LIKE", "r[12]"]]; the operators are '
    f"{', '.join(OPERATORS)}",
    {
        "type": "array",
        "items": {
            "type": "array",
            "items": [{"type": "string"}, {"type": "string", "enum": list(OPERATORS)}, {"type": "string"}],
            "minItems": 2,
            "additionalItems": False,
        },
    },
)

DEPLOYMENT: Final[tuple[Option, ...]] = (
    Option("scheduler-cpus", "scheduler", CPUS, "0.5", "CPUs of the scheduler", NONE),
    Option("scheduler-memory", "scheduler", whole(256, 262_144), "1024", "memory of the scheduler, in MiB", NONE),
    Option("scheduler-disk", "scheduler", whole(0, 262_144), "256", "disk of the scheduler, in MiB", NONE),
    Option(
        "scheduler-user",
        "scheduler",
        line("NAME"),
        "",
        "the user that the scheduler runs as; by default Marathon's own choice. The tasks run as the same one unless "
        "mesos.user names another",
        NONE,
    ),
    Option(
        "scheduler-python",
        "scheduler",
        option_types.COMMAND,
        "python3",
        "the Python (3.11 or newer) that runs the scheduler, on the agent or in the image",
        NONE,
    ),
    Option(
        "scheduler-image",
        "scheduler",
        option_types.IMAGE,
        "",
        "a container image with Python 3.11 or newer, for agents that have none; by default the scheduler runs on the "
        "agent itself",
        NONE,
    ),
    Option(
        "scheduler-constraints",
        "scheduler",
        MARATHON_CONSTRAINTS,
        "[]",
        "where the scheduler may run: Marathon's constraints",
        NONE,
    ),
    Option(
        "scheduler-uri",
        "scheduler",
        URI,
        "",
        "the scheduler's file to fetch instead of the one of the assets",
        NONE,
        asset="scheduler",
    ),
    Option(
        "principal-secret",
        "mesos",
        SECRET,
        "",
        "the name of the principal's secret in the secret store, instead of secret-file",
        NONE,
        instead="secret-file",
    ),
    Option(
        "zookeeper-auth-secret",
        "state",
        SECRET,
        "",
        "the name of the secret that holds user:password for ZooKeeper, instead of zookeeper-auth-file",
        NONE,
        instead="zookeeper-auth-file",
    ),
    Option(
        "api-token-secret",
        "api",
        SECRET,
        "",
        "the name of the secret that holds the token to read and change everything, instead of api-token-file",
        NONE,
        instead="api-token-file",
    ),
    Option(
        "api-read-token-secret",
        "api",
        SECRET,
        "",
        "the name of the secret that holds the token to read, instead of api-read-token-file",
        NONE,
        instead="api-read-token-file",
    ),
)
PRINCIPAL: Final = "a principal and its secret go together; give both, or none"
# The option that names a file, for each that names a secret.
FILES: Final[Mapping[str, str]] = {option.name: option.instead for option in DEPLOYMENT if option.instead}
SECTIONS: Final[Mapping[str, str]] = {
    "service": GROUPS["service"],
    "scheduler": "the app that runs the scheduler",
    **{group: title for group, title in GROUPS.items() if group != "service"},
}
# What an operator says of a packaged service, in the order of the sections.
PACKAGED: Final[tuple[Option, ...]] = tuple(
    option for section in SECTIONS for option in (*OPTIONS, *DEPLOYMENT) if option.group == section and not option.app
)
_BY_NAME: Final = {option.name: option for option in PACKAGED}
NOTHING_TO_FETCH: Final = "the agents need something to fetch; give alluxio-uri and executor-uri, or --assets"
TOKEN: Final = (
    "an API that other machines reach needs a token: give api-token-secret or api-token-file, or api-open yes to let "
    "everybody change everything"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Deployment:
    """A file of options, read: what was given, by the options' names, as it stands in JSON."""

    given: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """What was given, else the default."""
        option = _BY_NAME[name]
        return self.given[name] if name in self.given else default(option)


def default(option: Option, *, dcos: bool = False) -> Any:
    """As it stands in JSON; None where the option is required."""
    text = option.dcos if dcos and option.dcos is not None else option.default
    if text is None or option.type.schema["type"] == "string":
        return text
    return json.loads(text)


def text_of(value: Any) -> str:
    """A value out of JSON, as the command line has it."""
    return value if isinstance(value, str) else json.dumps(value)


_JSON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
}
_SPOKEN: Final = {"string": "a text", "integer": "a whole number", "number": "a number", "array": "a list"}


def read(document: Any, assets: Iterable[str] = ()) -> Deployment | list[str]:
    """A file of options (``{"workers": {"worker-ram": "4GB"}, …}``), or every mistake in it. ``assets`` are what is
    there to fetch without being named in it: "scheduler", "alluxio", "executor", "java".
    """
    mistakes: list[str] = []
    given: dict[str, Any] = {}
    for path, value in _entries(document, mistakes):
        section, name = path
        option = _BY_NAME.get(name)
        if name in config.BY_NAME and config.BY_NAME[name].app:
            mistakes.append(f"{section}.{name}: the Marathon app says it itself; leave it out")
        elif option is None or option.group != section:
            mistakes.append(
                f"{section}.{name}: there is no such option; docs/configuration.md lists those that there are"
            )
        elif isinstance(value, bool) or not isinstance(value, _JSON_TYPES[option.type.schema["type"]]):
            spoken = _SPOKEN[option.type.schema["type"]]
            mistakes.append(f"{section}.{name}: {json.dumps(value)} is not {spoken}; {option.type.advice}")
        else:
            given[name] = value
    refused = frozenset(name for (_, name), _ in _entries(document, []) if name not in given)
    mistakes.extend(_mistakes(given, frozenset(assets), refused))
    return mistakes or Deployment(given)


def _entries(document: Any, mistakes: list[str]) -> Iterator[tuple[tuple[str, str], Any]]:
    if not isinstance(document, dict):
        mistakes.append('it must be an object of sections, such as {"workers": {"worker-ram": "4GB"}}')
        return
    for section, values in document.items():
        if section not in SECTIONS:
            mistakes.append(f"{section}: there is no such section; allowed: {', '.join(SECTIONS)}")
        elif not isinstance(values, dict):
            mistakes.append(f"{section}: it must be an object of options")
        else:
            for name, value in values.items():
                yield (section, name), value


def _mistakes(given: Mapping[str, Any], assets: frozenset[str], refused: frozenset[str]) -> Iterator[str]:
    """``refused`` are the options that stand in the file with what is no value of their type."""
    bad = set(refused)
    for option in DEPLOYMENT:
        try:
            option.read(text_of(given.get(option.name, "")))
        except Invalid as invalid:
            bad.add(option.name)
            yield f"{option.group}.{option.name}: {invalid}"
    texts = {name: text_of(value) for name, value in given.items() if name not in _DEPLOYMENT_NAMES}
    assumed = {name: _ASSUMED for name in ("alluxio-uri", "executor-uri") if _BY_NAME[name].asset in assets}
    texts = assumed | texts
    found = config.read(texts)
    for problem in () if isinstance(found, config.Configuration) else found:
        if problem.option == "artefacts":
            if not bad & {"alluxio-uri", "executor-uri"}:
                yield f"artefacts.alluxio-uri: {NOTHING_TO_FETCH}"
        elif problem.option not in bad and problem.sentence != config.PRINCIPAL:  # said below, in other words
            bad.add(problem.option)
            yield f"{_BY_NAME[problem.option].group}.{problem.option}: {without_flags(problem.sentence)}"
    if isinstance(found, config.Configuration) and isinstance(groups := grouping.first(texts, found), list):
        for mistake in groups:
            yield f"{_BY_NAME[grouping.FIRST].group}.{grouping.FIRST}: {mistake}"
    for names, mistake in _together(given, assets):
        if not bad & set(names):
            yield f"{_BY_NAME[names[0]].group}.{names[0]}: {mistake}"


def _together(given: Mapping[str, Any], assets: frozenset[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is missing, and what cannot work together: the options that it is about, and the sentence."""
    if not given.get("scheduler-uri") and "scheduler" not in assets:
        yield ("scheduler-uri",), "it is required; give it, or --assets"
    if bool(given.get("principal")) != bool(given.get("secret-file") or given.get("principal-secret")):
        yield ("principal", "secret-file", "principal-secret"), PRINCIPAL
    for secret, file in FILES.items():
        if given.get(secret) and given.get(file):
            yield (secret, file), one_of(secret, file)
    if given.get("api-open", "no") != "yes" and not (given.get("api-token-secret") or given.get("api-token-file")):
        yield ("api-token-secret", "api-token-file", "api-open"), TOKEN


_DEPLOYMENT_NAMES: Final = frozenset(option.name for option in DEPLOYMENT)
_ASSUMED: Final = "http://assets/file"


def one_of(secret: str, file: str) -> str:
    return f"{secret} takes the place of {file}; give one of them"


def without_flags(sentence: str) -> str:
    """The sentence of a refusal where there are neither flags nor an environment."""
    return re.sub(r"; give it, or set [A-Z_]+$", "; give it", sentence).replace("--", "")
