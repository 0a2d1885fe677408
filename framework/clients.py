"""What clients of the cache are configured with: whole texts to paste, in each journal mode. Pure; nothing in them is a
secret.

Alluxio's client library is found by class path, its properties come from alluxio-site.properties, or from Hadoop's
configuration where Spark or Hadoop is the client (alluxio.hadoop.HadoopConfigurationUtils takes every property of its
own from there).
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from framework.config import Configuration
from framework.model import Journal, Kind, Record
from framework.state import State, answers_now, in_order, master_address, masters, wanted_slots

ALLUXIO_VERSION: Final = "2.9.6"
CLIENT_JAR: Final = f"/path/to/alluxio-{ALLUXIO_VERSION}-client.jar"
# The same jar by its coordinates, which are not those of Alluxio's tarball.
CLIENT_COORDINATES: Final = f"org.alluxio:alluxio-shaded-client:{ALLUXIO_VERSION}"
S3_PATH: Final = "/api/v1/s3"
_SECRET_WORDS: Final = ("secret", "passw", "token", "credential", "key")


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """There is nothing to connect to; ``status`` is HTTP's, the sentence says what to do."""

    status: int
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class Guide:
    """How one client connects: the text to paste, and the same as JSON values."""

    text: str
    document: Mapping[str, Any]


def uri(state: State, configuration: Configuration) -> str | None:
    """The root of the namespace as clients name it; None while nobody knows where the masters will be."""
    match configuration.journal_kind:
        case Journal.SHARED:
            return f"alluxio://zk@{configuration.zookeeper_hosts}/"
        case Journal.EMBEDDED:
            return f"alluxio://{','.join(_addresses(state))}/" if _are_placed(state) else None
        case Journal.LOCAL:
            return f"alluxio://{_addresses(state)[0]}/" if _are_placed(state) else None


def leader_path(configuration: Configuration) -> str | None:
    """Where clients find the primary in ZooKeeper; None where it is not elected there."""
    return f"{configuration.alluxio_path}/leader" if configuration.journal_kind is Journal.SHARED else None


def _addresses(state: State) -> list[str]:
    return [master_address(record) for record in masters(state)]


def _are_placed(state: State) -> bool:
    """Every master has its address: with fewer, a client would miss those that come later."""
    return all(slot in state.records for slot in wanted_slots(state, Kind.MASTER))


def properties(state: State, configuration: Configuration) -> dict[str, str]:
    """Alluxio's properties that a client needs (alluxio.conf.PropertyKey), the operator's own client properties
    included.

    By Alluxio's own default (ASYNC_THROUGH) what was written lies in one worker alone for some seconds, and goes with
    it. Who writes over it meanwhile finds old files beside the new ones in the storage: Alluxio persists a file and
    deletes it in one moment. So clients write through, as Alluxio's S3 API does of its own accord
    (alluxio.proxy.s3.writetype); the operator's own word comes after it.
    """
    found = _where_the_masters_are(state, configuration)
    found["alluxio.security.authentication.type"] = configuration.security
    found["alluxio.user.file.writetype.default"] = "CACHE_THROUGH"
    found |= {
        key: value
        for key, value in configuration.properties
        if key.startswith("alluxio.user.") and not any(word in key for word in _SECRET_WORDS)
    }
    return found


def _where_the_masters_are(state: State, configuration: Configuration) -> dict[str, str]:
    match configuration.journal_kind:
        case Journal.SHARED:
            return {
                "alluxio.zookeeper.enabled": "true",
                "alluxio.zookeeper.address": configuration.zookeeper_hosts,
                "alluxio.zookeeper.leader.path": f"{configuration.alluxio_path}/leader",
                "alluxio.zookeeper.election.path": f"{configuration.alluxio_path}/election",
            }
        case Journal.EMBEDDED:
            # The default of 30 s is what a client waits for a master whose host is cut off.
            return {
                "alluxio.master.rpc.addresses": ",".join(_addresses(state)),
                "alluxio.user.master.polling.timeout": "1sec",
            }
        case Journal.LOCAL:
            host, _, port = _addresses(state)[0].rpartition(":")
            return {"alluxio.master.hostname": host, "alluxio.master.rpc.port": port}


# Texts ----------------------------------------------------------------------------------------------------------------


def java_property(key: str, value: str, separator: str = "=") -> str:
    """A line that java.util.Properties reads back as this pair; Spark reads its defaults with the same class."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    if escaped.startswith((" ", "\t", "\f", "=", ":")):  # they would count as part of the separator
        escaped = f"\\{escaped}"
    return f"{key}{separator}{escaped}"


def _comment(sentences: Iterable[str]) -> list[str]:
    return [f"# {sentence}" if sentence else "#" for sentence in sentences]


def _shell(variables: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def alluxio(state: State, configuration: Configuration) -> Guide | Missing:
    """alluxio-site.properties, and the same for the environment of Alluxio's own shell."""
    root = uri(state, configuration)
    if root is None:
        return _not_placed(state)
    needed = properties(state, configuration)
    # The shell's scripts split it at blanks, whatever the quotes.
    options = " ".join(f"-D{key}={value}" for key, value in needed.items() if not re.search(r"\s", value))
    environment = {"ALLUXIO_JAVA_OPTS": options}
    lines = [
        *_comment(
            (
                f"alluxio-site.properties for clients of {configuration.name}: {root}",
                "Put it on the client's class path, or into conf/ of an Alluxio tarball.",
            )
        ),
        *(java_property(key, value) for key, value in needed.items()),
        *_comment(("", "The same for bin/alluxio, as an environment variable instead of the file:")),
        *_comment(_shell(environment)),
    ]
    return _guide(root, lines, {"properties": needed, "environment": environment})


def spark(state: State, configuration: Configuration) -> Guide | Missing:
    """spark-defaults.conf."""
    root = uri(state, configuration)
    if root is None:
        return _not_placed(state)
    settings = {
        "spark.driver.extraClassPath": CLIENT_JAR,
        "spark.executor.extraClassPath": CLIENT_JAR,
        "spark.hadoop.fs.alluxio.impl": "alluxio.hadoop.FileSystem",
    } | {f"spark.hadoop.{key}": value for key, value in properties(state, configuration).items()}
    lines = [
        *_comment(
            (
                f"spark-defaults.conf for {configuration.name}. Paths begin with {root}",
                f'For example: spark.read.parquet("{root}folder")',
                f"{CLIENT_JAR} stands for Alluxio's client jar, which must lie at one path on the",
                "driver's and on every executor's host. It lies in client/ in Alluxio's tarball; for Maven it is",
                f"{CLIENT_COORDINATES}.",
                "A class path that you have already goes on after a colon.",
            )
        ),
        *(java_property(key, value, " ") for key, value in settings.items()),
    ]
    return _guide(root, lines, {"properties": settings, "client_jar": CLIENT_COORDINATES})


def hadoop(state: State, configuration: Configuration) -> Guide | Missing:
    """core-site.xml."""
    root = uri(state, configuration)
    if root is None:
        return _not_placed(state)
    settings = {
        "fs.alluxio.impl": "alluxio.hadoop.FileSystem",
        "fs.AbstractFileSystem.alluxio.impl": "alluxio.hadoop.AlluxioFileSystem",
    } | properties(state, configuration)
    environment = {"HADOOP_CLASSPATH": f"{CLIENT_JAR}:${{HADOOP_CLASSPATH}}"}
    told = (
        f"core-site.xml for {configuration.name}. Paths begin with {root}",
        "Alluxio's client jar must be on the class path, for example in hadoop-env.sh:",
        f'export HADOOP_CLASSPATH="{environment["HADOOP_CLASSPATH"]}"',
        f"It lies in client/ in Alluxio's tarball; for Maven it is {CLIENT_COORDINATES}.",
    )
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<!--", *(f"  {_in_comment(line)}" for line in told), "-->"]
    lines.append("<configuration>")
    for key, value in settings.items():
        lines += [
            "  <property>",
            f"    <name>{escape(key)}</name>",
            f"    <value>{escape(value)}</value>",
            "  </property>",
        ]
    lines.append("</configuration>")
    return _guide(root, lines, {"properties": settings, "environment": environment, "client_jar": CLIENT_COORDINATES})


def _in_comment(text: str) -> str:
    """Two dashes would end the comment, or be refused in it (XML 1.0, 2.5)."""
    return text.replace("--", "- -")


def s3(state: State, configuration: Configuration) -> Guide | Missing:
    """The S3 proxies' endpoints, for the aws command line and for boto3."""
    proxies = sorted((record for record in state.records.values() if record.kind is Kind.PROXY), key=in_order)
    if not proxies:
        if state.wanted.proxies:
            return Missing(503, "no S3 proxy has an agent yet; /v1/plans/deploy says what it waits for")
        return Missing(404, "this service runs no S3 proxy; start the scheduler with --proxies 1 to get one")
    ready = [record for record in proxies if answers_now(state, record)]
    endpoints = [_s3_endpoint(record) for record in ready or proxies]
    environment = {
        "AWS_ENDPOINT_URL_S3": endpoints[0],
        "AWS_ACCESS_KEY_ID": "alluxio",
        "AWS_SECRET_ACCESS_KEY": "unused",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    lines = [
        *_comment(
            (
                f"S3 endpoint of {configuration.name}. A bucket is a folder at the root of the namespace.",
                "The access key is the user's name in Alluxio; the secret key and the region are asked for by the",
                "clients and not looked at by the proxy.",
                *(["None of the proxies answers at this moment."] if not ready else []),
                *(f"Another endpoint: {endpoint}" for endpoint in endpoints[1:]),
            )
        ),
        *_shell(environment),
        *_comment(("", "aws configure set default.s3.addressing_style path", "aws s3 ls", "", "boto3:")),
        *_comment(_boto3(endpoints[0]).splitlines()),
    ]
    return _guide(
        uri(state, configuration), lines, {"endpoints": endpoints, "ready": bool(ready), "environment": environment}
    )


def _s3_endpoint(record: Record) -> str:
    return f"http://{record.hostname}:{record.ports['web']}{S3_PATH}"


def _boto3(endpoint: str) -> str:
    return (
        "import boto3, botocore.config\n"
        f'boto3.client("s3", endpoint_url={json.dumps(endpoint)}, region_name="us-east-1",\n'
        '             aws_access_key_id="alluxio", aws_secret_access_key="unused",\n'
        '             config=botocore.config.Config(s3={"addressing_style": "path"}))'
    )


def targets(state: State, configuration: Configuration) -> list[dict[str, Any]]:
    """Alluxio's own processes for Prometheus's HTTP service discovery: the workers and the primary master, whose web
    port is the only one of the masters' that is open.
    """
    shown = [
        record
        for record in state.records.values()
        if record.kind is Kind.WORKER or (record.kind is Kind.MASTER and master_address(record) == state.cache.primary)
    ]
    return [
        {
            "targets": [f"{record.hostname}:{record.ports['web']}"],
            "labels": {
                "__metrics_path__": "/metrics/prometheus/",
                "service": configuration.name,
                "slot": record.slot,
                "kind": record.kind.value,
            },
        }
        for record in sorted(shown, key=in_order)
    ]


def _not_placed(state: State) -> Missing:
    placed = len([slot for slot in wanted_slots(state, Kind.MASTER) if slot in state.records])
    wanted = len(wanted_slots(state, Kind.MASTER))
    return Missing(
        503, f"{placed} of {wanted} Alluxio masters have an agent yet; /v1/plans/deploy says what they wait for"
    )


def _guide(root: str | None, lines: Iterable[str], document: Mapping[str, Any]) -> Guide:
    text = "\n".join(lines) + "\n"
    return Guide(text, {"uri": root, **document, "text": text})


GUIDES: Final[Mapping[str, Callable[[State, Configuration], Guide | Missing]]] = {
    "alluxio": alluxio,
    "spark": spark,
    "hadoop": hadoop,
    "s3": s3,
}
