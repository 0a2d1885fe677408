"""The container image of the scheduler: its Dockerfile, and what the build may see of the folder around it. Pure.

No Java is in it: what runs Alluxio runs on the agents.
"""

from collections.abc import Mapping
from typing import Final

BASE: Final = "python:3.13-slim-bookworm"
USER: Final = 10001

DOCKERFILE: Final = """\
# The scheduler of alluxio-mesos; built in this folder: docker build --tag alluxio-mesos .
FROM {base}

# No name is needed for the user, and no home: only the folder into which the one file unpacks itself.
COPY --chmod=0755 {file} /opt/alluxio-mesos/alluxio-mesos.pyz
RUN install --directory --owner={user} --group={user} /var/cache/alluxio-mesos
USER {user}:{user}
ENV PEX_ROOT=/var/cache/alluxio-mesos PYTHONUNBUFFERED=1
WORKDIR /var/cache/alluxio-mesos

# Unpacks it while the image is built, so that no start waits for that; fails where the file does not run.
RUN ["python3", "/opt/alluxio-mesos/alluxio-mesos.pyz", "--version"]

EXPOSE 8080
ENTRYPOINT ["python3", "/opt/alluxio-mesos/alluxio-mesos.pyz"]
CMD ["scheduler", "--help"]
"""


def files(file: str) -> Mapping[str, str]:
    """By name, what stands beside ``file``, the scheduler's one file."""
    return {
        "Dockerfile": DOCKERFILE.format(base=BASE, file=file, user=USER),
        ".dockerignore": f"*\n!{file}\n",
    }
