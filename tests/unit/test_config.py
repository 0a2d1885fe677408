"""The options: texts in, a configuration or every mistake out."""

from __future__ import annotations

import dataclasses
import re

import pytest

from framework import option_table, sizing
from framework.cli import main, option_values
from framework.config import (
    GROUPS,
    OPTIONS,
    PROCESS_OPTIONS,
    Configuration,
    Option,
    Problem,
    read,
    recorded,
    without_secrets,
)
from framework.model import ExitCode, Journal, Kind, VolumeNeed
from framework.option_types import at_least

LEAST = {
    "mesos": "127.0.0.1:5050",
    "zookeeper": "127.0.0.1:2181",
    "under-storage": "s3://bucket/folder",
    "artefacts": "/srv/artefacts",
}


def configuration(**values: str) -> Configuration:
    read_ = read(LEAST | {name.replace("_", "-"): value for name, value in values.items()})
    assert isinstance(read_, Configuration), [str(problem) for problem in read_]
    return read_


def problems(**values: str) -> list[str]:
    read_ = read(LEAST | {name.replace("_", "-"): value for name, value in values.items()})
    assert not isinstance(read_, Configuration)
    return [str(problem) for problem in read_]


def test_three_mistakes_are_three_problems() -> None:
    assert read({"mesos": "nowhere", "worker-ram": "much", "colour": "red", "zookeeper": "z:2181"}) == (
        Problem("colour", "there is no such option; see --help"),
        Problem("mesos", "'nowhere' is no Mesos master; write host:port, or zk://host:port,host:port/path"),
        Problem(
            "under-storage",
            "it is required (the storage at the root of the namespace); give it, or set ALLUXIO_MESOS_UNDER_STORAGE",
        ),
        Problem("worker-ram", "'much' is no size; write a number and a unit, such as 512MB or 2GB"),
        Problem(
            "artefacts",
            "the agents need something to fetch; give this folder, or both --alluxio-uri and --executor-uri",
        ),
    )


def test_every_option_has_a_field_a_group_and_a_good_default() -> None:
    assert [option.attribute for option in OPTIONS] == [field.name for field in dataclasses.fields(Configuration)]
    assert {option.group for option in OPTIONS} == set(GROUPS)
    for option in OPTIONS:
        if option.default:
            option.read(option.default)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_by_flag_and_by_environment(option: Option) -> None:
    by_flag = option_values({option.name: "flag"}, {option.environment: "environment"})
    by_environment = option_values({option.name: None}, {option.environment: "environment"})
    assert (by_flag, by_environment) == ({option.name: "flag"}, {option.name: "environment"})
    assert option.environment == "ALLUXIO_MESOS_" + option.name.upper().replace("-", "_")


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("512", 512), ("512MB", 512), ("512MiB", 512), ("2g", 2048), ("0.5 GB", 512), ("1TB", 1048576), ("65536KB", 64)],
)
def test_sizes(text: str, mebibytes: int) -> None:
    assert configuration(master_heap=text).master_heap == mebibytes


@pytest.mark.parametrize("text", ["-1GB", "1.5MB", "GB", "1PB", "0", "512 M B", "1e3"])
def test_what_is_no_size(text: str) -> None:
    [problem] = problems(master_heap=text)
    assert problem.startswith(f"--master-heap: '{text}' is ")


@pytest.mark.parametrize(
    ("text", "amount"), [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("7d", 604800.0)]
)
def test_durations(text: str, amount: float) -> None:
    assert configuration(stickiness=text).stickiness == amount


def test_durations_that_are_too_short() -> None:
    assert problems(launch_timeout="1s", failover_timeout="1m1", stop_timeout="0.5s") == [
        "--failover-timeout: '1m1' is no duration; write a number and a unit, such as 90s, 10m, 1h or 7d",
        "--launch-timeout: '1s' is too short; it must be at least 30s",
        "--stop-timeout: '0.5s' is too short; it must be at least 1s",
    ]


def test_mesos_waits_a_week_for_the_next_scheduler() -> None:  # C2, kafka#32, mr-redis#56
    assert configuration().failover_timeout == configuration(failover_timeout="168h").failover_timeout == 604800.0
    assert problems(failover_timeout="167h") == ["--failover-timeout: '167h' is too short; it must be at least 7d"]


def test_a_mesos_master_that_speaks_tls_is_refused_in_one_sentence() -> None:  # P18
    assert problems(mesos="https://m:5050") == [
        "--mesos: 'https://m:5050' cannot be used, as the connection to Mesos is not encrypted: write host:port or "
        "zk://… of a master that takes plain HTTP, or the address of a proxy that encrypts for this scheduler"
    ]


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        (
            "mesos",
            ["m:5050", "zk://z1:2181,z2:2181/mesos", "zk://user:word@z:2181/mesos"],
            ["m", "m:99999", "m:0", "zk:/"],
        ),
        ("zookeeper", ["z:1", "z1:1,z2:2", "z:1/a/b"], ["z", "z:1,", "zk://z:1", "z:70000"]),
        ("name", ["a", "alluxio-2"], ["Alluxio", "-a", "a" * 64, "a.b"]),
        ("role", ["*", "alluxio", "a/b"], ["a b", "-a", "/a", "a/", ".."]),
        ("under-storage", ["s3://b/f", "/data", "hdfs://h:1/f"], ["data", "s3:b"]),
        ("workers", ["all", "ALL", "0", "100000"], ["some", "-1", "100001"]),
        ("worker-cpus", ["0.001", "1024", "2.5"], ["0", "0.0001", "1025", "x"]),
        ("data-dir", ["/a/", "/a/b"], ["/", "a", ""][:2]),
        ("security", ["SIMPLE", "NOSASL"], ["KERBEROS", "simple"]),
        (
            "worker-groups",
            ['{"a": {"count": 1}}', "{}"],
            ["a", "[]", '{"a": 1}', '{"a": {}}', '{"a": {"count": 1, "x": 1}}'],
        ),
        ("properties", ["a.b=c", "a=b;c=d=e;"], ["a", "=b", "a b=c"]),
        ("api-port", ["0", "65535"], ["65536", "http"]),
        ("api-url", ["http://h:1", "https://h/service/alluxio/"], ["h:1", "ftp://h"]),
        ("api-prefix", ["/service/alluxio", "/a/"], ["service", "/", "/a b", "/a//b", "/ä", "/a?b"]),
        ("api-open", ["yes", "no"], ["true"]),
        ("api-rate", ["0", "100000"], ["-1", "1.5"]),
        ("api-proxies", ["10.0.0.1", "10.0.0.1, 10.1.0.0/16,::1"], ["proxy", "10.0.0.1,", "*", "10.0.0.1/8"]),
        ("java-options", ["-Xss1m -Da=b", "'-Da=b c' -Dd=\\'"], ["a\nb", "-Da='b", '-Da="b', "-Da=b\\"]),
        (
            "environment",
            ["A=b;_C=d=e;", "MESOS=1"],
            ["A", "=b", "1A=b", "a-b=c", "MESOS_SANDBOX=/", "A=b;LIBPROCESS_IP=1"],
        ),
    ],
)
def test_what_an_option_takes(option: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert isinstance(read(LEAST | {option: text}), Configuration), text
    for text in bad:
        found = read(LEAST | {option: text})
        assert not isinstance(found, Configuration), text
        assert [problem.option for problem in found] == [option]


def test_contradictions() -> None:
    assert problems(secret_file="/s") == ["--principal: principal and secret-file go together; give both, or none"]
    assert problems(artefacts="", alluxio_uri="http://h/a.tar.gz") == [
        "--artefacts: the agents need something to fetch; give this folder, or both --alluxio-uri and --executor-uri"
    ]
    assert problems(worker_heap="63MB", worker_direct="1MB") == [
        "--worker-heap: 63 MiB is too little; Alluxio needs at least 64 MiB",
        "--worker-direct: 1 MiB is too little; Alluxio needs at least 32 MiB",
    ]


def test_what_a_change_does_is_said_once() -> None:
    """A process's own option is fixed for the service and launches nothing; what a group has concerns its workers."""
    for option in OPTIONS:
        if option.change.process:
            assert option.change == option_table.PROCESS
        if option.grouped:
            assert option.change in {option_table.WORKERS, option_table.NONE}
        if option.app or option.secret:
            assert option.change.process, option.name
    assert set(option_table.launched_with(Kind.WORKER)) - set(option_table.launched_with(Kind.MASTER)) == {
        option.attribute for option in OPTIONS if option.change.restarts == {Kind.WORKER}
    }


@pytest.mark.parametrize("least", [0, 1, 7, 9, 10, 64, 99, 100, 109, 604800])
def test_numbers_from_one_on_as_a_pattern(least: int) -> None:
    pattern = re.compile(at_least(least))
    for number in {*range(300), *range(max(0, least - 300), least + 300), 10**6, 10**7, 999_999}:
        assert bool(pattern.fullmatch(str(number))) == (number >= least), number
    assert not pattern.fullmatch("")
    assert not pattern.fullmatch("-1")


def test_a_principal_has_a_secret_in_a_file_or_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = configuration(principal="alluxio")
    told = "--secret-file: principal and secret-file go together; give both, or none"
    assert [str(problem) for problem in without_secrets(alone, {})] == [told]
    assert without_secrets(alone, {"ALLUXIO_MESOS_SECRET": "s3cret"}) == ()
    assert (
        without_secrets(configuration(principal="alluxio", secret_file="/s"), {})
        == without_secrets(alone, {"ALLUXIO_MESOS_SECRET": "s"})
        == ()
    )
    assert without_secrets(configuration(), {}) == ()
    flags = [part for name, text in {**LEAST, "principal": "alluxio"}.items() for part in (f"--{name}", text)]
    monkeypatch.delenv("ALLUXIO_MESOS_SECRET", raising=False)
    assert main(["scheduler", *flags]) == ExitCode.CONFIGURATION
    assert capsys.readouterr().err == f"alluxio-mesos scheduler: {told}\n"
    assert {option.secret_environment for option in OPTIONS} == {
        "",
        "ALLUXIO_MESOS_SECRET",
        "ALLUXIO_MESOS_ZOOKEEPER_AUTH",
        "ALLUXIO_MESOS_API_TOKEN",
        "ALLUXIO_MESOS_API_READ_TOKEN",
    }


def test_certificate_and_key_go_together() -> None:
    sentence = "certificate and key go together; give both, or none"
    assert problems(api_certificate="/c") == [f"--api-key: {sentence}"]
    assert problems(api_key="/k") == [f"--api-certificate: {sentence}"]


def test_no_option_takes_a_token() -> None:
    """Everybody on the machine reads command lines."""
    assert not [
        option.name
        for option in OPTIONS
        if re.search("token|secret|password|key", option.name)
        and option.value not in {"FILE", "FOLDER", "SECRET", "SECRETS"}
    ]


def test_tasks_of_one_agent_have_ports_of_their_own() -> None:
    sentence = "both may run on one agent; give each a port of its own, or 0 for any"
    assert problems(master_rpc_port="19998", worker_web_port="19998", proxy_port="39999") == [
        f"--worker-web-port: 19998 is --master-rpc-port too, and {sentence}"
    ]
    assert problems(worker_rpc_port="1", job_worker_rpc_port="1", proxy_port="1") == [
        f"--job-worker-rpc-port: 1 is --worker-rpc-port too, and {sentence}",
        f"--proxy-port: 1 is --worker-rpc-port too, and {sentence}",
    ]
    assert problems(master_journal_port="19200") == [
        "--master-journal-port: only members of an EMBEDDED journal listen there; choose EMBEDDED, or leave this out"
    ]
    fixed = configuration(journal="EMBEDDED", master_journal_port="19200", master_rpc_port="0", proxy_port="0")
    assert (fixed.needs[Kind.MASTER].fixed_ports, fixed.needs[Kind.PROXY].fixed_ports) == ((("journal", 19200),), ())


def test_kerberos_is_for_hdfs_alone() -> None:
    assert problems(security="KERBEROS") == [
        "--security: 'KERBEROS' is not in Alluxio's open-source edition, whose servers refuse it; choose one of "
        "SIMPLE, NOSASL; for HDFS with Kerberos give hdfs-principal and its keytab"
    ]
    together = "hdfs-principal and its keytab go together; give both, or none"
    assert problems(hdfs_principal="alluxio/_HOST@REALM") == [f"--hdfs-keytab: {together}"]
    assert problems(hdfs_keytab="/k") == problems(hdfs_keytab_secret="k") == [f"--hdfs-principal: {together}"]
    assert problems(hdfs_principal="p", hdfs_keytab="/k", hdfs_keytab_secret="k") == [
        "--hdfs-keytab-secret: hdfs-keytab-secret takes the place of hdfs-keytab; give one of them"
    ]


def test_several_masters_need_one_journal() -> None:
    assert problems(masters="3") == [
        "--masters: 3 masters need one journal; give --journal-folder, a folder that every agent reaches (NFS for "
        "example), or choose --journal EMBEDDED"
    ]
    assert problems(masters="3", journal="EMBEDDED", journal_folder="/nfs") == [
        "--journal-folder: an EMBEDDED journal lies on the masters' own agents; leave this out, or choose UFS"
    ]
    assert configuration().journal_kind is Journal.LOCAL
    assert configuration(masters="3", journal_folder="/nfs").wanted.journal is Journal.SHARED
    embedded = configuration(masters="3", journal="EMBEDDED")
    assert embedded.wanted.journal is Journal.EMBEDDED
    assert embedded.needs[Kind.MASTER].ports == ("rpc", "web", "job_rpc", "job_web", "journal", "job_journal")


def test_the_need_of_each_kind_is_the_sum_of_its_parts() -> None:  # C17, alluxio#13976 #17363 #18681
    options = configuration(worker_ram="2GB", worker_heap="300", worker_direct="200", job_worker_heap="100")
    worker = sizing.Jvm(300, 200).memory + sizing.Jvm(100, 64).memory
    assert options.needs[Kind.WORKER].memory == sizing.EXECUTOR_MEMORY + worker + 2048
    assert options.needs[Kind.WORKER].ports == ("rpc", "web", "job_rpc", "job_data", "job_web")
    assert options.needs[Kind.MASTER].cpus == 1000


def test_tiers_are_disk_or_volumes() -> None:
    folders = configuration(worker_ssd="2GB", worker_hdd="512MB", worker_disk="100MB").needs[Kind.WORKER]
    assert (folders.disk, folders.volumes, folders.whole_disk) == (2660, (), 2660)
    volumes = configuration(worker_ssd="2GB", worker_hdd="512MB", worker_disk="100MB", persistent_volumes="yes")
    need = volumes.needs[Kind.WORKER]
    assert need.volumes == (VolumeNeed("ssd", 2048), VolumeNeed("hdd", 512))
    assert (need.disk, need.whole_disk) == (100, 2660)
    assert configuration(worker_hdd="16").lower_tiers == {"hdd": 16}
    assert configuration().lower_tiers == configuration(worker_ssd="0", worker_hdd="0 MB").lower_tiers == {}


def test_what_cannot_be_a_tier_or_a_volume() -> None:
    assert problems(worker_ssd="15MB") == ["--worker-ssd: 15 MiB is too little; Alluxio needs at least 16 MiB"]
    assert problems(persistent_volumes="yes", role="*") == [
        "--persistent-volumes: there is no tier that could lie on one; "
        "give --worker-ssd or --worker-hdd a size, or leave this out",
        "--role: '*' cannot hold reservations; give a role of this service's own, or no persistent volumes",
    ]


LEVEL = "alluxio.worker.tieredstore.level"


@pytest.mark.parametrize(
    "given",
    [
        f"{LEVEL}0.dirs.quota=512MB",
        f"{LEVEL}0.dirs.quota=1GB",
        f"{LEVEL}0.dirs.quota={1 << 30}",
        f"{LEVEL}1.dirs.path=/a,/b;{LEVEL}1.dirs.quota=5GB,5GB",
        f"{LEVEL}0.dirs.quota=much",
        "alluxio.worker.tieredstore.levels=2",
    ],
)
def test_a_property_may_make_a_tier_smaller(given: str) -> None:
    assert configuration(worker_hdd="10GB", properties=given).worker_hdd == 10 * 1024


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            f"{LEVEL}0.dirs.quota=4GB",
            f"{LEVEL}0.dirs.quota=4GB is 4096 MiB, more than the 1024 MiB of --worker-ram, from which the task's "
            "memory is counted; give --worker-ram that size instead",
        ),
        (
            f"{LEVEL}1.dirs.quota=6GB,5GB",
            f"{LEVEL}1.dirs.quota=6GB,5GB is 11264 MiB, more than the 10240 MiB of --worker-hdd, from which the task's "
            "disk is counted; give --worker-hdd that size instead",
        ),
        (
            f"{LEVEL}2.dirs.quota=1GB",
            f"{LEVEL}2.dirs.quota=1GB: there is no such tier; give it a size with one of --worker-ram, --worker-ssd, "
            "--worker-hdd",
        ),
        (
            "alluxio.worker.tieredstore.levels=3",
            "alluxio.worker.tieredstore.levels=3: there are 2 by --worker-ram, --worker-ssd, --worker-hdd; give those "
            "sizes instead",
        ),
    ],
)
def test_a_property_makes_no_tier_larger_than_the_task(given: str, problem: str) -> None:
    assert problems(worker_hdd="10GB", properties=given) == [f"--properties: {problem}"]


def test_the_id_tells_what_is_launched_and_nothing_else() -> None:  # C29
    base = configuration()
    same = configuration(
        workers="7",
        stickiness="1h",
        unreachable_grace="1h",
        log_level="DEBUG",
        mesos="other:5050",
        api_port="1",
        artefacts="/b",
    )
    other = configuration(worker_heap="1GB")
    assert base.id == same.id
    assert base.id != other.id


def test_the_path_in_zookeeper() -> None:  # C35
    assert configuration().zookeeper_path == "/alluxio-mesos/alluxio"
    assert configuration(name="second").zookeeper_path == "/alluxio-mesos/second"
    mine = configuration(zookeeper="z:1,y:2/mine/")
    assert (mine.zookeeper_hosts, mine.zookeeper_path) == ("z:1,y:2", "/mine")


# What the history keeps -----------------------------------------------------------------------------------------------


def test_what_is_recorded_is_what_is_wanted() -> None:
    texts = recorded(LEAST | {"workers": "3", "api-port": "1", "secret-file": "/s", "principal": "p"})
    assert (texts["workers"], texts["worker-heap"], texts["principal"]) == (
        "3",
        "512MB",
        "p",
    )  # defaults are texts, too
    assert not set(texts) & PROCESS_OPTIONS
    assert "java-uri" not in texts  # empty
    assert {option.name for option in OPTIONS} >= PROCESS_OPTIONS
    assert recorded(LEAST | {"artefacts": "/elsewhere", "api-host": "::1"}) == recorded(LEAST)


@pytest.mark.parametrize(
    ("option", "text", "kept"),
    [
        ("properties", "aws.accessKeyId=AK;aws.secretKey = S;a.b=c", "aws.accessKeyId=***;aws.secretKey =***;a.b=c"),
        ("properties", "fs.azure.account.key.x=abc==;p.PassWord=a b", "fs.azure.account.key.x=***;p.PassWord=***"),
        ("properties", "alluxio.user.file.writetype.default=THROUGH", "alluxio.user.file.writetype.default=THROUGH"),
        ("java-options", "-Xss1m -Djavax.net.ssl.trustStorePassword=x -Da=b", None),
        ("java-options", "-Xss1m '-Djavax.net.ssl.trustStorePassword=x y' \"-Da=b\"", None),
        ("java-options", "-Da='b c' -Db=s3://user:word@host", "'-Da=b c' -Db=s3://user:***@host"),
        ("java-options", "-Da='b c'  -Dno=mark", "-Da='b c'  -Dno=mark"),
        ("worker-java-options", "-Da.secret='b", "***"),
        ("environment", "A=b;AWS_SECRET_ACCESS_KEY=x y;C=d", "A=b;AWS_SECRET_ACCESS_KEY=***;C=d"),
        ("under-storage", "hdfs://user:word@host:1/x", "hdfs://user:***@host:1/x"),
        ("under-storage", "s3://bucket/x@y:z", "s3://bucket/x@y:z"),
        ("secret-environment", "AWS_SECRET_ACCESS_KEY=cache/key", "AWS_SECRET_ACCESS_KEY=cache/key"),  # its name alone
        ("secret-files", "key.pem=cache/key", "key.pem=cache/key"),
    ],
)
def test_no_secret_is_recorded(option: str, text: str, kept: str | None) -> None:
    kept = kept or "-Xss1m -Djavax.net.ssl.trustStorePassword=*** -Da=b"
    assert recorded(LEAST | {option: text})[option] == kept


def test_the_session_is_no_shorter_than_zookeeper_allows() -> None:
    assert configuration().zookeeper_session == 6.0
    assert problems(zookeeper_session="1s") == ["--zookeeper-session: '1s' is too short; it must be at least 2s"]
