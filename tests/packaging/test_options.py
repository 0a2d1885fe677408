"""One table: each option is in the form, the template, the environment and the documentation, and nothing else is."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

import cosmos
from bad_options import BAD_VALUES
from framework import config, option_types
from framework.option_table import GROUPS, OPTIONS, Option
from framework.packaging import deployment, form, page, rendering
from framework.packaging.deployment import DEPLOYMENT, PACKAGED, SECTIONS

ROOT = Path(__file__).parents[2]
FORM = form.document()
PATHS = {(option.group, option.name) for option in PACKAGED}
LEAST: dict[str, dict[str, Any]] = {
    "mesos": {"mesos": "m:5050"},
    "state": {"zookeeper": "z:2181"},
    "alluxio": {"under-storage": "/data"},
    "api": {"api-token-secret": "token"},
}


# What is well known not to work is refused with a reason of its own; and what is too little says how much it is.
OWN_SENTENCE: Final[tuple[Any, ...]] = ("https://m:5050",)


def with_option(option: Option, value: Any) -> dict[str, dict[str, Any]]:
    document: dict[str, dict[str, Any]] = json.loads(json.dumps(LEAST))
    document.setdefault(option.group, {})[option.name] = value
    return document


def plain(text: str) -> str:
    return form.plain(text).lower()


# Both ways ------------------------------------------------------------------------------------------------------------


def test_each_option_is_packaged_or_said_by_the_app() -> None:
    assert {option.name for option in (*OPTIONS, *DEPLOYMENT)} == {option.name for option in PACKAGED} | {
        "api-host",
        "api-port",
        "api-url",
        "artefacts",
    }
    assert len(PACKAGED) == len({option.name for option in PACKAGED})
    assert set(SECTIONS) == {*GROUPS, "scheduler"}


def test_the_form_has_the_packaged_options_and_no_others() -> None:
    sections = FORM["properties"]
    assert {(section, name) for section, part in sections.items() for name in part["properties"]} == PATHS


def test_the_template_uses_the_packaged_options_and_no_others() -> None:
    template = rendering.app(rendering.Mustache(), dcos=True)
    tags = {tuple(tag.split(".", 1)) for tag in re.findall(r"\{\{[#^/]?([^{}]+)\}\}", template)}
    assets = {("resource", f"assets.uris.{asset}") for asset in rendering.ASSETS}
    assert tags == PATHS | assets


def test_the_environment_has_the_schedulers_options_and_no_others() -> None:
    template = rendering.app(rendering.Mustache(), dcos=True)
    variables = re.findall(r'"(ALLUXIO_MESOS_[A-Z_]+)":', template)
    secrets = {option.secret_environment for option in OPTIONS} - {""}
    assert len(variables) == len(set(variables))
    assert set(variables) == {option.environment for option in OPTIONS if not option.app} | secrets
    flags = set(re.findall(r"--([a-z-]+) ", template))
    assert flags == {option.name for option in OPTIONS if option.app} - {"artefacts"}


def test_the_page_is_what_the_table_says() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page.page(), (
        "the options have changed: alluxio-mesos render docs"
    )
    rows = re.findall(r"^\| `([a-z-]+)` \|", page.page(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(option.name for option in (*OPTIONS, *DEPLOYMENT))
    for option in (*OPTIONS, *DEPLOYMENT):
        assert option.help.replace("|", "\\|") in page.page()


def test_no_packaged_option_is_a_secret_itself() -> None:
    speaking = [option for option in PACKAGED if re.search("token|secret|password|key|auth", option.name)]
    assert {option.value for option in speaking} == {"FILE", "FOLDER", "SECRET", "SECRETS"}


# The form -------------------------------------------------------------------------------------------------------------


def test_the_form_is_a_schema_of_draft_4_and_takes_its_defaults() -> None:
    jsonschema.Draft4Validator.check_schema(FORM)
    for option in PACKAGED:
        schema = FORM["properties"][option.group]["properties"][option.name]
        if "default" in schema:
            jsonschema.Draft4Validator(schema).validate(schema["default"])
            option.read(deployment.text_of(schema["default"]))
            assert (option.default is not None) or option.dcos
        else:
            assert option.name in FORM["properties"][option.group]["required"]


@pytest.mark.parametrize(("option", "value"), BAD_VALUES, ids=lambda part: getattr(part, "name", None) or repr(part))
def test_a_bad_value_is_refused_by_the_form_and_by_the_scheduler_with_the_same_words(
    option: Option, value: Any
) -> None:
    schema = FORM["properties"][option.group]["properties"][option.name]
    assert not jsonschema.Draft4Validator(schema).is_valid(value), "the form takes it"
    found = deployment.read(with_option(option, value), rendering.ASSETS)
    assert isinstance(found, list), "the scheduler takes it"
    [mistake] = found
    assert mistake.startswith(f"{option.group}.{option.name}: ")
    if value not in OWN_SENTENCE:
        advice = mistake.removeprefix(f"{option.group}.{option.name}: ").rpartition("; ")[2]
        assert plain(advice) in plain(schema["description"])


def test_each_option_has_bad_values() -> None:
    assert {option.name for option, _ in BAD_VALUES} == {option.name for option in PACKAGED}


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        ("mesos", {"principal": "p"}, "principal"),
        ("mesos", {"secret-file": "/s"}, "principal"),
        ("mesos", {"principal-secret": "s"}, "principal"),
        ("mesos", {"principal": "p", "principal-secret": "s", "secret-file": "/s"}, "principal-secret"),
        ("state", {"zookeeper-auth-secret": "s", "zookeeper-auth-file": "/s"}, "zookeeper-auth-secret"),
        ("api", {"api-token-secret": ""}, "api-token-secret"),
        ("api", {"api-token-file": "/t"}, "api-token-secret"),
        ("api", {"api-certificate": "/c"}, "api-key"),
        ("api", {"api-key": "/k"}, "api-certificate"),
        ("masters", {"masters": 3}, "masters"),
        ("masters", {"masters": 3, "journal": "EMBEDDED", "journal-folder": "/nfs"}, "journal-folder"),
        ("masters", {"master-journal-port": 31000}, "master-journal-port"),
        ("masters", {"job-master-journal-port": 31000}, "job-master-journal-port"),
        ("alluxio", {"hdfs-principal": "p"}, "hdfs-keytab"),
        ("alluxio", {"hdfs-keytab": "/k"}, "hdfs-principal"),
        ("alluxio", {"hdfs-keytab-secret": "k"}, "hdfs-principal"),
        ("alluxio", {"hdfs-principal": "p", "hdfs-keytab-secret": "k", "hdfs-keytab": "/k"}, "hdfs-keytab-secret"),
        ("alluxio", {"network": "dcos", "bind": "agent"}, "bind"),
        ("alluxio", {"network-labels": "a=b"}, "network-labels"),
        ("workers", {"persistent-volumes": "yes"}, "persistent-volumes"),
    ],
)
def test_what_cannot_work_together_is_refused_by_both(section: str, values: dict[str, Any], named: str) -> None:
    document: dict[str, dict[str, Any]] = json.loads(json.dumps(LEAST))
    document.setdefault(section, {}).update(values)
    schema = FORM["properties"][section]
    complete = {name: part["default"] for name, part in schema["properties"].items() if "default" in part} | document[
        section
    ]
    [refused] = [rule for rule in schema["allOf"] if not jsonschema.Draft4Validator(rule).is_valid(complete)]
    found = deployment.read(document, rendering.ASSETS)
    assert isinstance(found, list)
    [mistake] = found
    assert mistake.startswith(f"{section}.{named}: ")
    assert plain(mistake).endswith(plain(refused["description"]))


def test_a_role_that_holds_no_reservations_goes_without_volumes() -> None:
    with_volumes = {"persistent-volumes": "yes", "worker-ssd": "1GB"}
    document = {**LEAST, "mesos": {"mesos": "m:1", "role": "*"}, "workers": with_volumes}
    complete = cosmos.merged(cosmos.defaults(FORM), document)
    [refused] = jsonschema.Draft4Validator(FORM).iter_errors(complete)
    assert isinstance(refused.schema, dict)
    found = deployment.read(document, rendering.ASSETS)
    assert found == [f"mesos.role: {refused.schema['description']}"]
    own = cosmos.merged(complete, {"mesos": {"role": "data/alluxio"}})
    assert jsonschema.Draft4Validator(FORM).is_valid(own)
    assert isinstance(
        deployment.read(
            cosmos.merged(document, {"mesos": {"role": "data/alluxio"}}), {"alluxio", "executor", "scheduler"}
        ),
        deployment.Deployment,
    )


# What only the reader can tell of a text that fits the pattern: whether a regular expression compiles, whether an IPv6
# address is one, what is in JSON, whether mounts lie in one another, and whether two jars have one name.
ONLY_READ: Final = {"CONSTRAINTS", "ADDRESSES", "GROUPS", "MOUNTS", "URIS"}
PATTERNS: Final = {
    option.type.schema["pattern"]: option.type
    for option in PACKAGED
    if "pattern" in option.type.schema and option.value not in ONLY_READ
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_fits_the_form_is_taken_by_the_scheduler(pattern: str) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True, alphabet=ASCII))
    def holds(text: str) -> None:
        PATTERNS[pattern].read(text)

    holds()


ASCII: Final = st.characters(max_codepoint=126, exclude_characters="\x1c\x1d\x1e\x1f")
WRITTEN: Final = st.text("a=;:/.'\"\\\n\x00 0KMBs%-*", max_size=12)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_the_scheduler_refuses_is_refused_by_the_form(pattern: str) -> None:
    @settings(max_examples=100, deadline=None)
    @given(WRITTEN)
    def holds(text: str) -> None:
        try:
            PATTERNS[pattern].read(text)
        except option_types.Invalid:
            assert not re.fullmatch(pattern, text)

    holds()


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_a_network_of_ipv4_has_nothing_beyond_its_prefix(number: int, bits: int) -> None:
    address = str(ipaddress.ip_address(number))
    network = str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    fits = jsonschema.Draft4Validator(option_types.ADDRESSES.schema).is_valid
    assert fits(network)
    assert fits(address)
    assert fits(f"{address}/{bits}") == (f"{address}/{bits}" == network)


@given(st.floats(0, 2048) | st.decimals(0, 2048, places=4).map(float))
def test_cpus_are_taken_by_both_or_by_none(amount: float) -> None:
    fits = jsonschema.Draft4Validator(option_types.CPUS.schema).is_valid(amount)
    try:
        assert option_types.CPUS.read(json.dumps(amount)) >= 1
    except option_types.Invalid:
        assert not fits
    else:
        assert fits


# A file of options ----------------------------------------------------------------------------------------------------


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    document = {
        "alluxio": {"under-storage": "data"},
        "mesos": {"mesos": "m:5050"},
        "api": {"api-open": "yes", "api-port": 80},
        "workers": {"worker-rum": "1GB", "worker-ram": 512},
        "colour": {},
        "masters": 3,
    }
    assert deployment.read(document) == [
        "api.api-port: the Marathon app says it itself; leave it out",
        "workers.worker-rum: there is no such option; docs/configuration.md lists those that there are",
        "workers.worker-ram: 512 is not a text; write a number and a unit, such as 512MB or 2GB; Alluxio needs at "
        "least 16 MiB",
        f"colour: there is no such section; allowed: {', '.join(SECTIONS)}",
        "masters: it must be an object of options",
        "state.zookeeper: it is required (where the scheduler keeps its state: host:port,…[/path]; the path defaults "
        "to /alluxio-mesos/NAME); give it",
        "alluxio.under-storage: 'data' is no address; write a URI such as s3://bucket/folder, hdfs://host:port/folder, "
        "or an absolute path",
        "artefacts.alluxio-uri: the agents need something to fetch; give alluxio-uri and executor-uri, or --assets",
        "scheduler.scheduler-uri: it is required; give it, or --assets",
    ]
    assert deployment.read([])[0] == 'it must be an object of sections, such as {"workers": {"worker-ram": "4GB"}}'


def test_what_is_read_is_what_stands_there() -> None:
    found = deployment.read(LEAST, rendering.ASSETS)
    assert isinstance(found, deployment.Deployment)
    assert (found.value("mesos"), found.value("worker-ram"), found.value("masters")) == ("m:5050", "1GB", 1)
    assert isinstance(config.read({"mesos": "m:1"}), tuple)
