"""A Mesos master and agents for one machine, for development and tests: real sockets, real processes, no isolation.

It speaks the v1 scheduler, executor and (in part) operator HTTP API. Production uses Apache Mesos.
Nothing here is imported by the scheduler or the executor, nor does this package import them.
"""

VERSION = "1.12.0"
"""The Mesos release whose answers are given."""
