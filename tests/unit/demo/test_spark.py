"""Spark's configuration: the service's own words first, then this machine's."""

from __future__ import annotations

from pathlib import Path

from framework.demo.spark import configuration

GUIDE = "# spark-defaults.conf for alluxio\nspark.driver.extraClassPath /path/to/client.jar\nspark.hadoop.a b\n"


def test_the_guide_stands_there_word_for_word(tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for name in ("one.jar", "two.jar"):
        (jars / name).touch()
    text = configuration(GUIDE, jars, "http://127.0.0.1:9000", "127.0.0.11", tmp_path)
    assert text.startswith(GUIDE)
    own = dict(line.split(" ", 1) for line in text.removeprefix(GUIDE).splitlines() if line)
    assert own["spark.driver.extraClassPath"] == f"{jars}/one.jar:{jars}/two.jar"
    assert own["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:9000"
    assert own["spark.hadoop.alluxio.user.hostname"] == "127.0.0.11"
