"""For each option values that neither the package's form nor the scheduler takes, as they stand in JSON."""

from __future__ import annotations

from typing import Any, Final

from framework.packaging.deployment import PACKAGED

_OF_TYPE: Final[dict[str, list[Any]]] = {
    "SIZE": ["much", "-1GB", "1PB", "15 M B", "3e2", 512, True],
    "CPUS": [0, 0.0009, 1e-7, -1, 1025, "2", True, "many"],
    "DURATION": ["soon", "-1s", "1y", "7 weeks", 90],
    "yes|no": ["true", "YES", "maybe", True],
    "FILE": ["/a\nb", 1, True],
    "CONSTRAINTS": [
        "rack",
        "rack:NEAR:r1",
        "rack:IS:",
        "a b:IS:c",
        "@rack:UNIQUE",
        "rack:UNIQUE:1",
        "rack:CLUSTER:",
        "rack:GROUP_BY:0",
        "rack:GROUP_BY:three",
        "rack:MAX_PER",
        "rack:MAX_PER:0",
        "rack:MAX_PER:-1",
        "rack:MAX_PER:100000",
    ],
    "PROPERTIES": ["a", "=b", "a b=c", "a=b;c", 1],
    "VARIABLES": ["A", "=b", "1A=b", "A=b;C", "MESOS_SANDBOX=/", "A=b;LIBPROCESS_IP=1", True],
    "OPTIONS": ["-Da=b\n-Dc=d", "-Da='b", '-Da="b\\"', "-Da=b\\", 1],
    "PORT": [-1, 65536, 31000.5, "31000", "any"],
    "URI": ["data", "s3:b", "two words", 5],
    "SECRET": ["a\nb", 7],
}
_OF_OPTION: Final[dict[str, list[Any]]] = {
    "name": ["Alluxio", "-a", "a.b", "a" * 64, 5],
    "mesos": ["m", "m:0", "m:70000", "https://m:5050", "zk:/"],
    "role": ["a b", "-a", "/a", "a/", "..", "a//b"],
    "failover-timeout": ["6d", "167h", "604799", "soon"],
    "zookeeper": ["z", "z:1,", "zk://z:1", "z:70000"],
    "zookeeper-session": ["1s", "1", "now"],
    "launch-timeout": ["29s", "1s", "0.1m"],
    "stop-timeout": ["0s", "0"],
    "api-prefix": ["service", "/", "/a b", "/a//b", "/ä", "/a?b"],
    "api-rate": [-1, 100_001, 1.5, "100"],
    "api-proxies": ["proxy", "10.0.0.1,", "*", "10.0.0.1/8", "10.1.0.0/8", "10.0.0.0/33", "10.0.0.256", "::1/129"],
    "masters": [0, 10, 2.5, "3"],
    "journal": ["RAFT", "ufs"],
    "security": ["KERBEROS", "simple"],
    "workers": ["some", "-1", "100001", 3],
    "worker-groups": ["ssd", "[]", "2", {"ssd": {"count": 1}}],
    "bind": ["all"],
    "leftover-volumes": ["yes"],
    "proxies": [-1, 100_001, "1"],
    "unavailable-workers": ["0%", "101%", "10", "10 percent"],
    "log-level": ["TRACE", "info"],
    "data-dir": ["/", "data", "a/b"],
    "ram-dir": ["/", "data"],
    "mounts": ["s3", "/a", "s3://bucket", 5],
    "secrets-dir": ["/", "data"],
    "under-storage-jars": ["gcs", "/a/b.tar", "a.jar", "/a.jar /b.jar", 5],
    "master-heap": ["63MB", "63", "much"],
    "job-master-heap": ["63MB"],
    "worker-heap": ["63MB"],
    "job-worker-heap": ["63MB"],
    "proxy-heap": ["63MB"],
    "worker-direct": ["31MB"],
    "master-direct": ["15MB"],
    "worker-ram": ["15MB", "8"],
    "worker-ssd": ["15MB"],
    "worker-hdd": ["15MB"],
    "master-disk": ["0", "0MB"],
    "worker-disk": ["0"],
    "principal": ["a\nb", 1],
    "user": ["a\nb", 1],
    "python": ["a\nb", 1],
    "scheduler-memory": [255, 262_145, "1024"],
    "scheduler-disk": [-1, "256"],
    "scheduler-user": ["a\nb", 1],
    "scheduler-python": ["python3; reboot", "$(id)", "a b", 3],
    "secret-environment": ["A", "1A=b", "MESOS_SANDBOX=a", 1],
    "secret-files": ["a", "a/b=c", "../a=b", "=b", 1],
    "hdfs-principal": ["a\nb", 1],
    "image": ["two words", "-a", 3],
    "network": ["two words", "-a", "a/b", 3],
    "scheduler-image": ["two words", "-a", 3],
    "scheduler-constraints": [
        "hostname",
        [["hostname"]],
        [["hostname", "NEAR"]],
        [["a", "LIKE", "b", "c"]],
        [[1, "UNIQUE"]],
    ],
}
BAD_VALUES: Final = [
    (option, value)
    for option in PACKAGED
    for value in [
        *([] if option.name == "scheduler-constraints" else _OF_TYPE.get(option.value, [])),
        *_OF_OPTION.get(option.name, []),
    ]
]
