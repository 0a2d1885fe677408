"""``python -m framework`` is ``alluxio-mesos``."""

import sys

from framework.cli import main

if __name__ == "__main__":
    sys.exit(main())
