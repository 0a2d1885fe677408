"""`alluxio-mesos demo`: real Spark on a real cluster, with and without Alluxio, and the figures of it."""
