"""The Marathon app and the package's files, out of their templates. Jinja's home here.

One template serves both worlds. A dialect says what stands where a value is wanted: for DC/OS a mustache tag, which
Cosmos fills in with the operator's options, and for plain Marathon the value itself. Jinja's own tags are ``<< >>`` and
``<% %>``, so that mustache's stay as they are.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import jinja2

from framework.artefacts.bundle import ALLUXIO_VERSION
from framework.artefacts.maven import JAVA_VERSION
from framework.option_table import BY_NAME, Option
from framework.packaging import deployment
from framework.packaging.deployment import DEPLOYMENT, FILES, PACKAGED, Deployment
from framework.packaging.icons import SIZES

_VERSION: Final = importlib.metadata.version("alluxio-mesos")
# What lies at the address of the assets, by the name that the templates and the options' rows use. Agents keep what
# they fetched by its address, so another content has another name.
ASSETS: Final[Mapping[str, str]] = {
    "scheduler": f"alluxio-mesos-{_VERSION}.pyz",
    "executor": f"alluxio-mesos-executor-{_VERSION}.pyz",
    "alluxio": f"alluxio-{ALLUXIO_VERSION}.tar.gz",
    "java": f"alluxio-mesos-java-{JAVA_VERSION}.tar.gz",
}

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("framework.packaging"),
    undefined=jinja2.StrictUndefined,
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
    comment_start_string="<#",
    comment_end_string="#>",
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
_templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
# Markup for HTML pages is not wanted in JSON.
_templates.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)

_OPTIONS: Final = {option.name: option for option in PACKAGED}


class Dialect(Protocol):
    """What stands in the app where an option's value is wanted."""

    def text(self, name: str) -> str:
        """Between the quotes of a JSON text."""

    def number(self, name: str) -> str:
        """As a JSON number or list."""

    def given(self, name: str, then: str, otherwise: str) -> str:
        """``then`` where the option is not empty."""

    def asset(self, name: str) -> str:
        """The address of an asset, between the quotes of a JSON text."""

    def wants(self, option: Option) -> bool:
        """Whether the option stands in the app's environment."""


class Mustache:
    """For Cosmos, which escapes each text for JSON and writes numbers and lists as JSON."""

    def text(self, name: str) -> str:
        return f"{{{{{_tag(name)}}}}}"

    number = text

    def given(self, name: str, then: str, otherwise: str) -> str:
        tag = _tag(name)
        section = f"{{{{#{tag}}}}}{_lines(then)}{{{{/{tag}}}}}" + ("\n" if then.endswith("\n") else "")
        return section + (f"{{{{^{tag}}}}}{_lines(otherwise)}{{{{/{tag}}}}}" if otherwise else "")

    def asset(self, name: str) -> str:
        return f"{{{{resource.assets.uris.{name}}}}}"

    def wants(self, option: Option) -> bool:
        return True


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """For Marathon itself; ``address`` is where the assets lie, ``assets`` are those that are there."""

    deployment: Deployment
    address: str
    assets: Mapping[str, str] = dataclasses.field(default_factory=lambda: ASSETS)

    def text(self, name: str) -> str:
        return json.dumps(deployment.text_of(self.deployment.value(name)), ensure_ascii=False)[1:-1]

    def number(self, name: str) -> str:
        return json.dumps(self.deployment.value(name))

    def given(self, name: str, then: str, otherwise: str) -> str:
        return then if self.deployment.value(name) else otherwise

    def asset(self, name: str) -> str:
        return f"{self.address}/{self.assets[name]}" if self.address and name in self.assets else ""

    def wants(self, option: Option) -> bool:
        given = self.deployment.given.get(option.name, "") != ""
        return given or bool(self.address and option.asset in self.assets)


def _tag(name: str) -> str:
    return f"{_OPTIONS[name].group}.{name}"


def _lines(text: str) -> str:
    """What stands in a section. Whole lines begin on a line of their own; braces keep away from mustache's."""
    text = f" {text}" if text.startswith("}") else text
    text = f"{text} " if text.endswith("{") else text
    return f"\n{text}" if text.endswith("\n") else text


@dataclasses.dataclass(frozen=True, slots=True)
class _Secret:
    """``before``: the options of the secrets that come before it."""

    option: str
    variable: str
    before: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.option.removesuffix("-secret")


_SECRETS: Final = tuple(
    _Secret(secret, BY_NAME[file].secret_environment, tuple(FILES)[:index])
    for index, (secret, file) in enumerate(FILES.items())
)


def app(dialect: Dialect, *, dcos: bool, instances: int = 1) -> str:
    """The app's JSON, or for DC/OS the mustache template of it."""

    def given(name: str, then: str = "", otherwise: str = "", *, caller: Callable[[], str] | None = None) -> str:
        return dialect.given(name, caller() if caller else then, otherwise)

    def either(names: Sequence[str], some: str, none: str) -> str:
        """``some`` where any of the options is given."""
        result = none
        for name in reversed(names):
            result = dialect.given(name, some, result)
        return result

    def fetched(name: str) -> str:
        return dialect.given(name, dialect.text(name), dialect.asset(_OPTIONS[name].asset))

    own = {option.name for option in DEPLOYMENT}
    constraints = dialect.number("scheduler-constraints")
    return _render(
        "app.json.j2",
        text=dialect.text,
        number=dialect.number,
        given=given,
        either=either,
        fetched=fetched,
        dcos=dcos,
        instances=instances,
        scheme=given("api-certificate", "https", "http"),
        constraints='[["hostname", "UNIQUE"]]' if instances > 1 and constraints == "[]" else constraints,
        secrets=_SECRETS,
        environment=[
            (option.environment, fetched(option.name) if option.asset else dialect.text(option.name))
            for option in PACKAGED
            if option.name not in own and dialect.wants(option)
        ],
    )


def plain_app(read: Deployment, address: str, *, instances: int = 1, assets: Mapping[str, str] = ASSETS) -> str:
    """The app for Marathon itself, as a person reads it."""
    document = json.loads(app(Plain(read, address, assets), dcos=False, instances=instances))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def package(version: str) -> str:
    """package.json."""
    return _render("package.json.j2", version=version)


def resource(address: str, assets: Mapping[str, str] = ASSETS) -> str:
    """resource.json; the assets lie at ``address``."""
    return _render("resource.json.j2", address=address, assets=assets, icons=list(SIZES))


def _render(template: str, **values: Any) -> str:
    return _templates.get_template(template).render(values)
