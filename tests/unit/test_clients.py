"""Whole texts of clients' configuration, in each journal mode, and the names in them against Alluxio's own classes."""

from __future__ import annotations

import dataclasses
import re
import shlex
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from framework import clients
from framework.config import Configuration, read
from framework.model import CacheReport, Kind, Record, Report, TaskState
from framework.planner import State

ROOT = Path(__file__).parents[2]
JARS = ROOT / "build" / "jars" / "alluxio"
MODES = {
    "local": {},
    "zookeeper": {"masters": "2", "journal-folder": "/nfs/journal"},
    "embedded": {"masters": "3", "journal": "EMBEDDED"},
}
URIS = {
    "local": "alluxio://h0:21000/",
    "zookeeper": "alluxio://zk@z1:2181,z2:2181/",
    "embedded": "alluxio://h0:21000,h1:21010,h2:21020/",
}


def configuration(**options: str) -> Configuration:
    given = {"mesos": "m:5050", "zookeeper": "z1:2181,z2:2181", "under-storage": "/data", "artefacts": "/srv"}
    found = read(given | {name.replace("_", "-"): value for name, value in options.items()})
    assert isinstance(found, Configuration), found
    return found


def of_mode(mode: str, **options: str) -> Configuration:
    return configuration(**MODES[mode], **options)


def record(kind: Kind, index: int) -> Record:
    ports = {"rpc": 21000 + 10 * index, "web": 21001 + 10 * index}
    return Record(kind, index, 1, f"S{index}", f"h{index}", ports, "c", 1000.0)


def state(configuration: Configuration, *, placed: bool = True, proxies: int = 0) -> State:
    records = [record(Kind.MASTER, index) for index in range(configuration.masters)] if placed else []
    records += [record(Kind.PROXY, index) for index in range(proxies)]
    return State(wanted=configuration.wanted, records={found.slot: found for found in records})


def guide(name: str, known: Configuration, **options: int) -> clients.Guide:
    found = clients.GUIDES[name](state(known, **options), known)  # type: ignore[arg-type]
    assert isinstance(found, clients.Guide), found
    return found


def test_alluxio_with_one_master() -> None:
    assert guide("alluxio", of_mode("local")).text == (
        "# alluxio-site.properties for clients of alluxio: alluxio://h0:21000/\n"
        "# Put it on the client's class path, or into conf/ of an Alluxio tarball.\n"
        "alluxio.master.hostname=h0\n"
        "alluxio.master.rpc.port=21000\n"
        "alluxio.security.authentication.type=SIMPLE\n"
        "alluxio.user.file.writetype.default=CACHE_THROUGH\n"
        "#\n"
        "# The same for bin/alluxio, as an environment variable instead of the file:\n"
        "# export ALLUXIO_JAVA_OPTS='-Dalluxio.master.hostname=h0 -Dalluxio.master.rpc.port=21000 "
        "-Dalluxio.security.authentication.type=SIMPLE -Dalluxio.user.file.writetype.default=CACHE_THROUGH'\n"
    )


def test_spark_with_zookeeper() -> None:
    assert guide("spark", of_mode("zookeeper")).text == (
        "# spark-defaults.conf for alluxio. Paths begin with alluxio://zk@z1:2181,z2:2181/\n"
        '# For example: spark.read.parquet("alluxio://zk@z1:2181,z2:2181/folder")\n'
        "# /path/to/alluxio-2.9.6-client.jar stands for Alluxio's client jar, which must lie at one path on the\n"
        "# driver's and on every executor's host. It lies in client/ in Alluxio's tarball; for Maven it is\n"
        "# org.alluxio:alluxio-shaded-client:2.9.6.\n"
        "# A class path that you have already goes on after a colon.\n"
        "spark.driver.extraClassPath /path/to/alluxio-2.9.6-client.jar\n"
        "spark.executor.extraClassPath /path/to/alluxio-2.9.6-client.jar\n"
        "spark.hadoop.fs.alluxio.impl alluxio.hadoop.FileSystem\n"
        "spark.hadoop.alluxio.zookeeper.enabled true\n"
        "spark.hadoop.alluxio.zookeeper.address z1:2181,z2:2181\n"
        "spark.hadoop.alluxio.zookeeper.leader.path /alluxio-mesos/alluxio/alluxio/leader\n"
        "spark.hadoop.alluxio.zookeeper.election.path /alluxio-mesos/alluxio/alluxio/election\n"
        "spark.hadoop.alluxio.security.authentication.type SIMPLE\n"
        "spark.hadoop.alluxio.user.file.writetype.default CACHE_THROUGH\n"
    )


def test_hadoop_with_an_embedded_journal() -> None:
    known = of_mode("embedded", security="NOSASL")
    assert guide("hadoop", known).text == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!--\n"
        "  core-site.xml for alluxio. Paths begin with alluxio://h0:21000,h1:21010,h2:21020/\n"
        "  Alluxio's client jar must be on the class path, for example in hadoop-env.sh:\n"
        '  export HADOOP_CLASSPATH="/path/to/alluxio-2.9.6-client.jar:${HADOOP_CLASSPATH}"\n'
        "  It lies in client/ in Alluxio's tarball; for Maven it is org.alluxio:alluxio-shaded-client:2.9.6.\n"
        "-->\n"
        "<configuration>\n"
        + "".join(
            f"  <property>\n    <name>{name}</name>\n    <value>{value}</value>\n  </property>\n"
            for name, value in (
                ("fs.alluxio.impl", "alluxio.hadoop.FileSystem"),
                ("fs.AbstractFileSystem.alluxio.impl", "alluxio.hadoop.AlluxioFileSystem"),
                ("alluxio.master.rpc.addresses", "h0:21000,h1:21010,h2:21020"),
                ("alluxio.user.master.polling.timeout", "1sec"),
                ("alluxio.security.authentication.type", "NOSASL"),
                ("alluxio.user.file.writetype.default", "CACHE_THROUGH"),
            )
        )
        + "</configuration>\n"
    )


def test_s3_names_a_proxy_that_answers() -> None:
    known = configuration(proxies="2")
    found = state(known, proxies=2)
    ready = Report("proxy-1.1", TaskState.RUNNING, "S1", 1010.0, 1005.0, healthy=True)
    shown = clients.s3(dataclasses.replace(found, reports={"proxy-1.1": ready}), known)
    assert isinstance(shown, clients.Guide)
    assert shown.document["endpoints"] == ["http://h1:21011/api/v1/s3"]
    assert shown.text == (
        "# S3 endpoint of alluxio. A bucket is a folder at the root of the namespace.\n"
        "# The access key is the user's name in Alluxio; the secret key and the region are asked for by the\n"
        "# clients and not looked at by the proxy.\n"
        "export AWS_ENDPOINT_URL_S3=http://h1:21011/api/v1/s3\n"
        "export AWS_ACCESS_KEY_ID=alluxio\n"
        "export AWS_SECRET_ACCESS_KEY=unused\n"
        "export AWS_DEFAULT_REGION=us-east-1\n"
        "#\n"
        "# aws configure set default.s3.addressing_style path\n"
        "# aws s3 ls\n"
        "#\n"
        "# boto3:\n"
        "# import boto3, botocore.config\n"
        '# boto3.client("s3", endpoint_url="http://h1:21011/api/v1/s3", region_name="us-east-1",\n'
        '#              aws_access_key_id="alluxio", aws_secret_access_key="unused",\n'
        '#              config=botocore.config.Config(s3={"addressing_style": "path"}))\n'
    )


def test_s3_without_an_answer_names_them_all_and_says_so() -> None:
    shown = guide("s3", configuration(proxies="2"), proxies=2)
    assert (shown.document["ready"], len(shown.document["endpoints"])) == (False, 2)
    assert "# None of the proxies answers at this moment.\n" in shown.text
    assert "# Another endpoint: http://h1:21011/api/v1/s3\n" in shown.text


def test_s3_without_a_proxy_says_how_to_get_one() -> None:
    none, coming = configuration(), configuration(proxies="1")
    assert clients.s3(state(none), none) == clients.Missing(
        404, "this service runs no S3 proxy; start the scheduler with --proxies 1 to get one"
    )
    assert clients.s3(state(coming), coming) == clients.Missing(
        503, "no S3 proxy has an agent yet; /v1/plans/deploy says what it waits for"
    )


@pytest.mark.parametrize("name", ["alluxio", "spark", "hadoop"])
@pytest.mark.parametrize("mode", MODES)
def test_every_client_has_the_uri_of_its_mode(mode: str, name: str) -> None:
    shown = guide(name, of_mode(mode))
    assert shown.document["uri"] == URIS[mode]
    assert URIS[mode] in shown.text
    assert shown.document["text"] == shown.text


def test_nothing_is_told_before_the_masters_have_their_addresses() -> None:
    for mode, wanted in (("local", 1), ("embedded", 3)):
        known = of_mode(mode)
        assert clients.uri(state(known, placed=False), known) is None
        assert clients.spark(state(known, placed=False), known) == clients.Missing(
            503, f"0 of {wanted} Alluxio masters have an agent yet; /v1/plans/deploy says what they wait for"
        )
    # Through ZooKeeper a client finds them whenever they come.
    known = of_mode("zookeeper")
    assert clients.uri(state(known, placed=False), known) == URIS["zookeeper"]
    assert clients.leader_path(known) == "/alluxio-mesos/alluxio/alluxio/leader"
    assert clients.leader_path(of_mode("local")) is None


def test_how_hadoops_clients_write_is_the_operators_word_when_he_says_it() -> None:
    known = configuration(properties="alluxio.user.file.writetype.default=MUST_CACHE")
    for name in ("spark", "hadoop"):
        text = guide(name, known).text
        assert "MUST_CACHE" in text
        assert "CACHE_THROUGH" not in text


HARD = r"C:\temp <a> & 'b' \"c\" -- #d"


def test_values_come_through_unharmed() -> None:
    """The operator's own properties for clients, with all that each format takes amiss."""
    known = configuration(properties=f"alluxio.user.app.id={HARD};alluxio.worker.x=1;alluxio.user.some.secret=hidden")
    site, spark, hadoop = (guide(name, known).text for name in ("alluxio", "spark", "hadoop"))
    assert _properties(site)["alluxio.user.app.id"] == HARD
    assert _properties(spark)["spark.hadoop.alluxio.user.app.id"] == HARD
    found = {
        entry.findtext("name"): entry.findtext("value")
        for entry in ElementTree.fromstring(hadoop.encode()).iter("property")
    }
    assert found["alluxio.user.app.id"] == HARD
    # What is a worker's, or a secret, is nothing for clients; what holds blanks cannot stand in a variable of options.
    assert not any(word in text for text in (site, spark, hadoop) for word in ("alluxio.worker.x", "hidden"))
    export = next(line for line in site.splitlines() if line.startswith("# export"))
    name, _, value = shlex.split(export.removeprefix("# export "))[0].partition("=")
    assert (name, value.split()[0]) == ("ALLUXIO_JAVA_OPTS", "-Dalluxio.master.hostname=h0")
    assert "alluxio.user.app.id" not in value


@pytest.mark.parametrize(
    "value", ["plain", " leading blank", "\ttab", "a\\b", "a\nb", "a\\nb", "", "x=y: z", "=x", ": y"]
)
def test_a_property_is_read_back_as_it_was(value: str) -> None:
    assert _properties(clients.java_property("key", value)) == {"key": value}
    assert _properties(clients.java_property("key", value, " ")) == {"key": value}


ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def _properties(text: str) -> dict[str, str]:
    """As java.util.Properties.load reads these: a key up to the first blank, "=" or ":", then the value."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        match = re.fullmatch(r"([^\s=:]+)[ \t]*[=:]?[ \t]*(.*)", line)
        assert match is not None
        found[match[1]] = re.sub(r"\\(.)", lambda escaped: ESCAPES.get(escaped[1], escaped[1]), match[2])
    return found


def test_xml_comments_hold_no_two_dashes() -> None:
    known = configuration(zookeeper="z--1:2181", **MODES["zookeeper"])
    ElementTree.fromstring(guide("hadoop", known).text.encode())


def test_prometheus_finds_the_workers_and_the_primary() -> None:
    known = of_mode("embedded")
    found = state(known)
    worker = record(Kind.WORKER, 4)
    found = dataclasses.replace(
        found, records={**found.records, worker.slot: worker}, cache=CacheReport(primary="h1:21010")
    )
    labels = {"__metrics_path__": "/metrics/prometheus/", "service": "alluxio"}
    assert clients.targets(found, known) == [
        {"targets": ["h1:21011"], "labels": labels | {"slot": "master-1", "kind": "master"}},
        {"targets": ["h4:21041"], "labels": labels | {"slot": "worker-4", "kind": "worker"}},
    ]


@pytest.mark.skipif(not JARS.is_dir(), reason="Alluxio's jars were not fetched; `make bundle` does")
def test_the_names_are_alluxios_own() -> None:
    """Whoever misspells a property gets no error from Alluxio, only its default."""
    known = _strings(JARS / "alluxio-core-common-2.9.6.jar", "alluxio/conf/PropertyKey")
    classes = zipfile.ZipFile(JARS / "alluxio-core-client-hdfs-2.9.6.jar").namelist()
    for mode in MODES:
        configured = of_mode(mode)
        for name in clients.properties(state(configured), configured):
            assert _constant(name) in known, name
        hadoop = guide("hadoop", configured).document["properties"]
        for name in ("fs.alluxio.impl", "fs.AbstractFileSystem.alluxio.impl"):
            assert f"{hadoop[name].replace('.', '/')}.class" in classes
    assert _constant("alluxio.zookeeper.leader.pathx") not in known


def _constant(text: str) -> bytes:
    """As a class file holds it: its length in two bytes, then the text (JVM specification, 4.4.7)."""
    return b"\x01" + len(text).to_bytes(2, "big") + text.encode()


def _strings(jar: Path, prefix: str) -> bytes:
    with zipfile.ZipFile(jar) as archive:
        return b"".join(archive.read(name) for name in archive.namelist() if name.startswith(prefix))
