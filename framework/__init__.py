"""The scheduler: takes Mesos's offers, launches Alluxio's masters and workers, and keeps them running."""
