"""kazoo's only home: the session, the store, the election of the scheduler that leads, and the watches on
Mesos's leading master and on Alluxio's.
"""

from framework.zookeeper.alluxio import AlluxioLeader
from framework.zookeeper.election import Candidate
from framework.zookeeper.masters import MesosMasters
from framework.zookeeper.session import Session, connect, read_credentials
from framework.zookeeper.store import ZooKeeperStore

__all__ = ["AlluxioLeader", "Candidate", "MesosMasters", "Session", "ZooKeeperStore", "connect", "read_credentials"]
