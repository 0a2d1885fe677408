"""The DC/OS package and the Marathon app: what Universe, Cosmos and Marathon ask of them, and that both start the same
scheduler.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import referencing
import referencing.jsonschema

import cosmos
from framework import config
from framework.cli import main, option_values
from framework.config import Configuration
from framework.launch import Sources
from framework.model import ExitCode
from framework.option_table import OPTIONS
from framework.packaging import icons, universe

SCHEMAS: Final = Path(__file__).parents[2] / ".." / "shared" / "schemas"
FILES: Final = sorted((Path(__file__).parent / "options").glob("*.json"))
FOLDER: Final = "repo/packages/A/alluxio-mesos/3"
ASSETS: Final = "https://assets.example/0.1.0"
with_schemas = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the schemas of Universe and Marathon are not here")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def package() -> Mapping[str, bytes]:
    return universe.files("0.1.0-2.9.6", 3, ASSETS)


def of(package: Mapping[str, bytes], name: str) -> Json:
    document: Json = json.loads(package[f"{FOLDER}/{name}"])
    return document


def by_cosmos(package: Mapping[str, bytes], options: Json) -> Json:
    form = of(package, "config.json")
    merged = cosmos.merged(cosmos.defaults(form), options)
    jsonschema.Draft4Validator(form).validate(merged)
    template = package[f"{FOLDER}/marathon.json.mustache"].decode()
    return cosmos.rendered(template, merged, of(package, "resource.json"))


def by_hand(folder: Path, options: Json, *arguments: str) -> Json:
    """What ``render marathon`` writes; there is no default for where Mesos and ZooKeeper are."""
    given = cosmos.merged({"mesos": {"mesos": "m:5050"}, "state": {"zookeeper": "z:2181"}}, options)
    (folder / "options.json").write_text(json.dumps(given))
    out = folder / "app.json"
    assert main(["render", "marathon", "--options", str(folder / "options.json"), "--out", str(out), *arguments]) == 0
    app: Json = json.loads(out.read_text(encoding="utf-8"))
    return app


def validator(file: Path) -> jsonschema.protocols.Validator:
    """With the files beside it at hand."""

    def found(uri: str) -> referencing.Resource[Any]:
        text = (file.parent / uri.rpartition("/")[2]).read_text(encoding="utf-8")
        return referencing.jsonschema.DRAFT4.create_resource(json.loads(text))

    registry: referencing.Registry[Any] = referencing.Registry(retrieve=found)  # type: ignore[call-arg]
    return jsonschema.Draft4Validator(json.loads(file.read_text(encoding="utf-8")), registry=registry)


def started_with(app: Json) -> Configuration:
    """What the scheduler makes of its environment and its command; a secret's place is taken by a text."""
    environment = {name: value if isinstance(value, str) else "held" for name, value in app["env"].items()}
    flags = dict(re.findall(r"--([a-z-]+) (\S+)", app["cmd"].replace("$PORT0", "31000").replace("$HOST", "agent")))
    read = config.read(option_values(flags, environment))
    assert isinstance(read, Configuration), [str(problem) for problem in read]
    assert config.without_secrets(read, environment) == ()
    assert read.api_open == "yes" or read.api_token_file or environment.get("ALLUXIO_MESOS_API_TOKEN")
    return read


# The package ----------------------------------------------------------------------------------------------------------


def test_rendering_again_gives_the_same_bytes(package: Mapping[str, bytes], tmp_path: Path) -> None:
    assert universe.files("0.1.0-2.9.6", 3, ASSETS) == package
    arguments = ["--version", "0.1.0-2.9.6", "--release", "3", "--assets", f"{ASSETS}/", "--out", str(tmp_path)]
    assert main(["render", "universe", *arguments]) == ExitCode.DONE
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == package


def test_texts_are_ascii_without_escapes(package: Mapping[str, bytes]) -> None:
    for path, content in package.items():
        if not path.endswith(".png"):
            assert content.isascii(), path
            assert rb"\u" not in content, path


def test_the_repository_has_the_package_as_it_is(package: Mapping[str, bytes]) -> None:
    [entry] = json.loads(package["repo.json"])["packages"]
    template = base64.b64decode(entry.pop("marathon")["v2AppMustacheTemplate"])
    assert template == package[f"{FOLDER}/marathon.json.mustache"]
    assert entry == {
        **of(package, "package.json"),
        "releaseVersion": 3,
        "config": of(package, "config.json"),
        "resource": of(package, "resource.json"),
    }
    assert entry["version"] == "0.1.0-2.9.6"
    assert entry["preInstallNotes"].startswith("This DC/OS Service is currently in preview.")


@with_schemas
@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("package.json", "package-schema.json"),
        ("config.json", "config-schema.json"),
        ("resource.json", "v3-resource-schema.json"),
    ],
)
def test_universes_schemas_hold(package: Mapping[str, bytes], file: str, schema: str) -> None:
    validator(SCHEMAS / "universe" / schema).validate(of(package, file))


@with_schemas
@pytest.mark.parametrize("schema", ["v4-repo-schema.json", "v5-repo-schema.json"])
def test_the_repositorys_schemas_hold(package: Mapping[str, bytes], schema: str) -> None:
    validator(SCHEMAS / "universe" / schema).validate(json.loads(package["repo.json"]))


def test_what_the_package_fetches_is_below_the_address_of_the_assets(package: Mapping[str, bytes]) -> None:
    resource = of(package, "resource.json")
    addresses = [*resource["assets"]["uris"].values(), *resource["images"].values()]
    assert all(address.startswith(f"{ASSETS}/") for address in addresses)
    drawn = {f"{ASSETS}/{path.removeprefix('assets/')}" for path in package if path.endswith(".png")}
    assert set(resource["images"].values()) == drawn


def web_addresses(text: str) -> set[str]:
    """The hosts of all that could be fetched: not what a schema is called by, nor what help shows as one."""
    names = {"json-schema.org", "host"}
    return {host.partition(":")[0] for host in re.findall(r"https?://([A-Za-z0-9._:-]+)", text)} - names


def test_all_that_is_fetched_comes_from_one_mirror(package: Mapping[str, bytes]) -> None:
    for path, content in package.items():
        if not path.endswith(".png"):
            assert web_addresses(content.decode()) <= {"assets.example"}, path
    app = least(package)
    assert web_addresses(json.dumps(app)) == {"assets.example"}
    assert all(fetched["uri"].startswith(f"{ASSETS}/") for fetched in app["fetch"])
    sources = [app["env"][f"ALLUXIO_MESOS_{name}_URI"] for name in ("EXECUTOR", "ALLUXIO", "JAVA")]
    assert all(source.startswith(f"{ASSETS}/") for source in sources)
    # These three are all that a task of Alluxio's fetches; jars of further under-storages are named by the operator.
    assert [field.name for field in dataclasses.fields(Sources)] == ["executor", "alluxio", "java", "extensions"]
    assert app["env"].get("ALLUXIO_MESOS_UNDER_STORAGE_JARS", "") == ""


@pytest.mark.parametrize("side", icons.SIZES.values())
def test_the_icons_are_pngs_of_their_size(side: int) -> None:
    content = icons.png(side)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (side, side)
    length = struct.unpack(">I", content[33:37])[0]
    pixels = zlib.decompress(content[41 : 41 + length])
    assert len(pixels) == side * (1 + 4 * side)
    middle = (side * 11 // 28) * (1 + 4 * side) + 1 + 4 * (side // 2)
    assert pixels[1:5] == bytes(4)  # nothing in the rounded corner
    assert pixels[middle : middle + 4] == b"\x1d\x4e\xd8\xff"  # blue between the bars


# The app --------------------------------------------------------------------------------------------------------------


def test_there_are_ten_files_of_options() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dcos_and_plain_marathon_start_the_same_scheduler(
    package: Mapping[str, bytes], file: Path, tmp_path: Path
) -> None:
    options = json.loads(file.read_text(encoding="utf-8"))
    by_form = cosmos.defaults(of(package, "config.json"))
    where: Json = {}
    for option in OPTIONS:
        if option.dcos is not None:
            where.setdefault(option.group, {})[option.name] = by_form[option.group][option.name]
    dcos = by_cosmos(package, options)
    plain = by_hand(tmp_path, cosmos.merged(where, options), "--assets", ASSETS)
    assert started_with(dcos) == started_with(plain)
    for name in ("id", "instances", "cpus", "mem", "disk", "cmd", "fetch", "constraints", "healthChecks"):
        assert dcos[name] == plain[name], name
    for name in ("user", "container", "secrets", "upgradeStrategy"):
        assert dcos.get(name) == plain.get(name), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_option_arrives_as_it_was_given(package: Mapping[str, bytes], file: Path) -> None:
    options = json.loads(file.read_text(encoding="utf-8"))
    env = by_cosmos(package, options)["env"]
    for section in options.values():
        for name, value in section.items():
            if name in config.BY_NAME:
                text = value if isinstance(value, str) else json.dumps(value)
                assert env[config.BY_NAME[name].environment] == text


@with_schemas
@pytest.mark.parametrize("version", ["1.4.11", "1.5.8", "1.6.352", "1.7.236"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_marathons_schemas_hold(package: Mapping[str, bytes], file: Path, version: str, tmp_path: Path) -> None:
    schema = validator(SCHEMAS / "marathon" / f"AppDefinition-v{version}.json")
    options = json.loads(file.read_text(encoding="utf-8"))
    for app in (
        by_cosmos(package, options),
        by_hand(tmp_path, options, "--assets", ASSETS),
        by_hand(tmp_path, options, "--assets", ASSETS, "--instances", "3"),
    ):
        schema.validate(app)
        assert all(isinstance(value, str) for value in app["labels"].values())


def least(package: Mapping[str, bytes], **sections: Json) -> Json:
    options = json.loads((Path(__file__).parent / "options" / "least.json").read_text(encoding="utf-8"))
    return by_cosmos(package, cosmos.merged(options, sections))


def test_dcos_finds_the_service_behind_its_router(package: Mapping[str, bytes]) -> None:
    app = least(package, service={"name": "cache"})
    assert app["id"] == "/cache"
    assert app["labels"] == {
        "DCOS_SERVICE_NAME": "cache",
        "DCOS_SERVICE_PORT_INDEX": "0",
        "DCOS_SERVICE_SCHEME": "http",
        "DCOS_PACKAGE_FRAMEWORK_NAME": "cache",
        "DCOS_COMMONS_UNINSTALL": "true",
        "MARATHON_SINGLE_INSTANCE_APP": "true",
        "alluxio-mesos.service": "cache",
    }
    assert app["portDefinitions"] == [
        {"port": 0, "protocol": "tcp", "name": "api", "labels": {"VIP_0": "/api.cache:80"}}
    ]
    assert app["upgradeStrategy"] == {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}


def test_the_health_is_asked_as_the_api_answers(package: Mapping[str, bytes]) -> None:
    [check] = least(package)["healthChecks"]
    assert (check["protocol"], check["path"], check["portIndex"]) == ("MESOS_HTTP", "/v1/health", 0)
    encrypted = least(package, api={"api-certificate": "/c", "api-key": "/k"})
    assert encrypted["healthChecks"][0]["protocol"] == "MESOS_HTTPS"
    assert "--api-url https://$HOST:$PORT0" in encrypted["cmd"]
    assert encrypted["labels"]["DCOS_SERVICE_SCHEME"] == "https"


def test_secrets_are_names_of_secrets_alone(package: Mapping[str, bytes]) -> None:
    app = json.loads((Path(__file__).parent / "options" / "all-secrets.json").read_text(encoding="utf-8"))
    rendered = by_cosmos(package, app)
    assert rendered["secrets"] == {
        "principal": {"source": "alluxio/mesos"},
        "zookeeper-auth": {"source": "alluxio/zookeeper"},
        "api-token": {"source": "alluxio/api-token"},
        "api-read-token": {"source": "alluxio/read-token"},
    }
    held = {name: value["secret"] for name, value in rendered["env"].items() if isinstance(value, dict)}
    assert held == {
        "ALLUXIO_MESOS_SECRET": "principal",
        "ALLUXIO_MESOS_ZOOKEEPER_AUTH": "zookeeper-auth",
        "ALLUXIO_MESOS_API_TOKEN": "api-token",
        "ALLUXIO_MESOS_API_READ_TOKEN": "api-read-token",
    }


@pytest.mark.parametrize("given", range(16))
def test_any_of_the_secrets_may_be_there(package: Mapping[str, bytes], given: int) -> None:
    names = ("principal", "zookeeper-auth", "api-token", "api-read-token")
    chosen = {name for place, name in enumerate(names) if given >> place & 1}
    app = least(
        package,
        mesos={"principal": "p", "principal-secret": "s"} if "principal" in chosen else {},
        state={"zookeeper-auth-secret": "s"} if "zookeeper-auth" in chosen else {},
        api={
            "api-token-secret": "s" if "api-token" in chosen else "",
            "api-read-token-secret": "s" if "api-read-token" in chosen else "",
            "api-open": "yes",
        },
    )
    assert set(app.get("secrets", {})) == chosen


def test_several_schedulers_stand_on_agents_of_their_own(tmp_path: Path) -> None:
    options = {"alluxio": {"under-storage": "/data"}, "api": {"api-token-secret": "t"}}
    one = by_hand(tmp_path, options, "--assets", ASSETS)
    assert (one["instances"], one["constraints"], one["labels"]) == (
        1,
        [],
        {"MARATHON_SINGLE_INSTANCE_APP": "true", "alluxio-mesos.service": "alluxio"},
    )
    three = by_hand(tmp_path, options, "--assets", ASSETS, "--instances", "3")
    assert (three["instances"], three["constraints"]) == (3, [["hostname", "UNIQUE"]])
    assert three["upgradeStrategy"] == {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
    assert three["labels"] == {"alluxio-mesos.service": "alluxio"}
    placed = {**options, "scheduler": {"scheduler-constraints": [["rack", "IS", "r1"]]}}
    assert by_hand(tmp_path, placed, "--assets", ASSETS, "--instances", "3")["constraints"] == [["rack", "IS", "r1"]]


def test_without_assets_the_options_name_all_that_is_fetched(tmp_path: Path) -> None:
    options = json.loads((Path(__file__).parent / "options" / "air-gapped.json").read_text(encoding="utf-8"))
    app = by_hand(tmp_path, options)
    assert [fetched["uri"] for fetched in app["fetch"]] == ["https://mirror.example/alluxio-mesos.pyz"]
    assert "assets" not in json.dumps(app)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_tells_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--version", "1 0", "--release", "one", "--assets", "assets", "--out", str(tmp_path)]
    assert main(["render", "universe", *wrong]) == ExitCode.CONFIGURATION
    assert capsys.readouterr().err.splitlines() == [
        "alluxio-mesos render universe: --version: '1 0' is not allowed; use letters, digits, dots and dashes",
        "alluxio-mesos render universe: --release: 'one' is not allowed; write a whole number, at least 0",
        "alluxio-mesos render universe: --assets: 'assets' is no web address; write http://host/folder",
    ]
    assert list(tmp_path.iterdir()) == []
    assert main(["render", "marathon", "--instances", "0", "--out", "-"]) == ExitCode.CONFIGURATION
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[0] == (
        "alluxio-mesos render marathon: --instances: '0' is not allowed; write a whole number from 1 to 9"
    )
    assert len(told.err.splitlines()) == 7


def test_files_that_cannot_be_read_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "options.json"
    assert main(["render", "marathon", "--options", str(file), "--out", "-"]) == ExitCode.UNAVAILABLE
    file.write_text("{")
    assert main(["render", "marathon", "--options", str(file), "--out", "-"]) == ExitCode.CONFIGURATION
    assert main(["render", "docs", "--out", str(file / "page.md")]) == ExitCode.UNAVAILABLE
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"alluxio-mesos render marathon: --options: {file} cannot be read (No such file or directory)"
    assert told[1].startswith(f"alluxio-mesos render marathon: --options: {file} is no JSON (")
    assert told[2].startswith(f"alluxio-mesos render docs: {file / 'page.md'} cannot be written (")


def test_what_is_asked_for_on_standard_output_is_all_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "docs", "--out", str(tmp_path / "deep" / "page.md")]) == ExitCode.DONE
    assert (tmp_path / "deep" / "page.md").read_text(encoding="utf-8").startswith("# The options\n")
    options = {
        "mesos": {"mesos": "m:5050"},
        "state": {"zookeeper": "z:2181"},
        "alluxio": {"under-storage": "/größe"},
        "api": {"api-open": "yes"},
    }
    (tmp_path / "o.json").write_text(json.dumps(options))
    arguments = ["--options", str(tmp_path / "o.json"), "--assets", ASSETS, "--out", "-"]
    assert main(["render", "marathon", *arguments]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["env"]["ALLUXIO_MESOS_UNDER_STORAGE"] == "/größe"
