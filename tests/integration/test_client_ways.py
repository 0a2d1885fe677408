"""The three ways of a client into the namespace, on one cluster: what goes in one way comes out the other ways."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from framework.artefacts import Artefacts, default_directory
from framework.artefacts.maven import java
from framework.demo import dataset, spark
from framework.demo.plan import BUCKET
from integration.local_cluster import LocalCluster, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900, method="signal")]

SIZE = 16 << 20


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster with one worker, which has room for blocks of 128 MB as Parquet is written in, and an S3 proxy."""
    options = ("--agents", "1", "--ram", "256MB", "--set", "proxies=1")
    cluster = LocalCluster(tmp_path_factory.mktemp("ways") / "local", *options)
    try:
        outcome = cluster.up()
        assert outcome.code == 0, f"{outcome.out}\n{outcome.error}\n{cluster.told()}"
        yield cluster
    finally:
        assert cluster.run("clean").code == 0


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    dataset.make(folder, SIZE, lambda *news: None)
    return folder


@pytest.fixture(scope="module")
def s3(ways: LocalCluster) -> Iterator[Any]:
    """boto3's client, as /v1/endpoints/s3 says it."""
    told = wait_until(lambda: ways.ask_json("/v1/endpoints/s3"), lambda told: told["ready"], "an S3 proxy")
    environment = told["environment"]
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=getpass.getuser(),  # a user whom the under-storage, a folder, knows
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    yield client
    client.close()


@pytest.fixture(scope="module")
def uploaded(s3: Any, tables: Path) -> Path:
    """The table of sales, brought in through the S3 API."""
    s3.create_bucket(Bucket=BUCKET)
    for path in sorted((tables / "sales").iterdir()):
        s3.put_object(Bucket=BUCKET, Key=f"sales/{path.name}", Body=path.read_bytes())
    return tables / "sales"


def test_the_s3_api_gives_back_what_it_took(s3: Any, uploaded: Path) -> None:
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="sales/")["Contents"]
    sizes = {entry["Key"]: entry["Size"] for entry in listed if not entry["Key"].endswith("/")}
    assert sizes == {f"sales/{path.name}": path.stat().st_size for path in uploaded.iterdir()}
    for path in uploaded.iterdir():
        assert s3.get_object(Bucket=BUCKET, Key=f"sales/{path.name}")["Body"].read() == path.read_bytes()
    part = s3.get_object(Bucket=BUCKET, Key="sales/part-000.parquet", Range="bytes=4-99")["Body"].read()
    assert part == (uploaded / "part-000.parquet").read_bytes()[4:100]


def test_spark_reads_through_the_hadoop_client_with_the_text_of_the_api(
    ways: LocalCluster, uploaded: Path, tables: Path, tmp_path: Path
) -> None:
    artefacts = Artefacts(default_directory())
    artefacts.jars(("spark",))
    told, root = ways.text("/v1/endpoints/spark"), ways.ask_json("/v1/endpoints/spark")["uri"]
    text = spark.configuration(told, artefacts.jar_folder("spark"), "http://127.0.0.1:1", "127.0.0.11", tmp_path)
    assert text.startswith(told)
    (tmp_path / "spark-defaults.conf").write_text(text)
    (tmp_path / "log4j2.properties").write_text(spark.LOGGING)
    with spark.Session(tmp_path, tmp_path / "spark.log") as session:
        for job in ("aggregation", "hours"):
            through = session.ask(do="job", job=job, root=f"{root}{BUCKET}")["result"]
            assert through == session.ask(do="job", job=job, root=f"file://{tables}")["result"]
            assert through


# What a user types: a table written, a partition of it written over, another table written over as a whole. After each
# step stands how many files the storage has at that moment.
WRITES = """
import pathlib, sys
from pyspark.sql import SparkSession
root, stored, session = sys.argv[1], pathlib.Path(sys.argv[2]), SparkSession.builder.getOrCreate()
rows = session.range(600).selectExpr("id", "id % 3 as part").coalesce(1)
stands = lambda name: print(name, len(list((stored / name).rglob("part-*"))))
rows.write.partitionBy("part").parquet(f"{root}/parts")
stands("parts")
again = rows.where("part = 1").write.option("partitionOverwriteMode", "dynamic").mode("overwrite")
again.partitionBy("part").parquet(f"{root}/parts")
stands("parts")
rows.write.option("header", True).csv(f"{root}/rows")
stands("rows")
rows.limit(10).write.mode("overwrite").option("header", True).csv(f"{root}/rows")
stands("rows")
rows.limit(5).write.mode("append").option("header", True).csv(f"{root}/rows")
stands("rows")
print("read", session.read.parquet(f"{root}/parts").count(), session.read.parquet(f"{root}/parts/part=[12]").count())
print("read", session.read.option("header", True).csv(f"{root}/rows").count())
session.stop()
"""


def test_what_spark_wrote_is_in_the_storage_at_once_and_what_it_wrote_over_is_not(
    ways: LocalCluster, uploaded: Path, tmp_path: Path
) -> None:
    artefacts = Artefacts(default_directory())
    artefacts.jars(("spark",))
    told, root = ways.text("/v1/endpoints/spark"), ways.ask_json("/v1/endpoints/spark")["uri"]
    text = spark.configuration(told, artefacts.jar_folder("spark"), "http://127.0.0.1:1", "127.0.0.11", tmp_path)
    (tmp_path / "spark-defaults.conf").write_text(text)
    (tmp_path / "log4j2.properties").write_text(spark.LOGGING)
    stored = ways.directory / "under-storage" / BUCKET / "written"
    ended = subprocess.run(
        [sys.executable, "-c", WRITES, f"{root}{BUCKET}/written", str(stored)],
        env={**os.environ, "SPARK_CONF_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "parts 3",
        "parts 3",
        "rows 1",
        "rows 1",
        "rows 2",
        "read 600 400",
        "read 15",
    ]


@pytest.fixture
def mounted(ways: LocalCluster, tmp_path: Path) -> Iterator[Path | None]:
    """The namespace as a folder, through Alluxio's FUSE process with the text of /v1/endpoints/alluxio; None on a
    machine that has no FUSE, where no more than that text is looked at.
    """
    folder, conf = tmp_path / "mounted", tmp_path / "conf"
    for made in (folder, conf):
        made.mkdir()
    text = ways.text("/v1/endpoints/alluxio")
    host, port = ways.endpoints["alluxio"]["leader"].split(":")
    assert f"alluxio.master.hostname={host}\nalluxio.master.rpc.port={port}\n" in text
    (conf / "alluxio-site.properties").write_text(text)
    if not Path("/dev/fuse").exists():
        print("This machine has no /dev/fuse: only the configuration was looked at.")
        yield None
        return
    artefacts = Artefacts(default_directory())
    artefacts.jars(("fuse",))
    # FUSE's own come first: one of the bundle's is too old for them.
    jars = ":".join(f"{artefacts.jar_folder(name)}/*" for name in ("fuse", "alluxio"))
    command = [
        *(str(java()), "-Xmx128m", "-XX:MaxDirectMemorySize=128m", "-XX:+UseSerialGC", "-cp", f"{conf}:{jars}"),
        *(f"-Dalluxio.home={tmp_path}", f"-Dalluxio.logs.dir={tmp_path}/logs", "alluxio.fuse.AlluxioFuse"),
        *("-m", str(folder)),
    ]
    with (tmp_path / "fuse.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(folder.is_mount, bool, f"a mount at {folder}: {tmp_path / 'fuse.log'}")
        yield folder
    finally:
        subprocess.run(["fusermount", "-u", "-z", str(folder)], check=False)
        process.terminate()
        process.wait(60)


def test_posix_programs_read_the_same_files_through_fuse(mounted: Path | None, uploaded: Path) -> None:
    if mounted is None:
        return
    found = mounted / BUCKET / "sales"
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in uploaded.iterdir())
    for path in uploaded.iterdir():
        assert (found / path.name).read_bytes() == path.read_bytes()
    (mounted / BUCKET / "note").write_text("written through POSIX\n")
    assert (mounted / BUCKET / "note").read_text() == "written through POSIX\n"
