"""A whole cluster on this machine: ZooKeeper, a small Mesos, the scheduler, and what the scheduler launches.

The scheduler is started as production starts it, as a process with options; nothing here reaches into it. What is
true of the cluster afterwards stands in its folder.
"""
