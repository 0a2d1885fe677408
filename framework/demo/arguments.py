"""The command line of `alluxio-mesos demo`. Only argparse is loaded here."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="measure Spark with and without Alluxio on this machine",
        description="Starts a cluster, an S3 server behind a limit, and Spark; runs the same jobs with and without "
        "Alluxio; ends them, and reports. Needs the extra `demo`: pip install 'alluxio-mesos[demo]'.",
    )
    demo.add_argument("--size", default="1GB", metavar="SIZE", help="how large the data set is (1GB)")
    demo.add_argument("--runs", default="3", metavar="N", help="how often each job runs in each way (3)")
    demo.add_argument(
        "--bandwidth", default="64MB", metavar="SIZE", help="how much the store gives a second, to all together (64MB)"
    )
    demo.add_argument(
        "--latency", default="30", metavar="MS", help="how many milliseconds each request takes to the store (30)"
    )
    demo.add_argument(
        "--s3", default="s3proxy", metavar="SERVER", help="the S3 server: s3proxy, or minio where Go is installed"
    )
    demo.add_argument(
        "--dir", type=Path, default=Path(".demo"), metavar="FOLDER", help="where the results are written (.demo)"
    )
    demo.add_argument(
        "--artefacts", type=Path, default=None, metavar="FOLDER", help="where jars, bundle and executor are kept"
    )
    demo.add_argument("--json", action="store_true", help="the results as one JSON document on standard output")
    demo.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from framework.demo import commands

    return commands.demo(options)
