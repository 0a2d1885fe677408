"""The composition root: environment in, exit code out. Every exit code has a name (loop.ExitCode)."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys

# pymesos installs a handler for SIGINT when it is imported, and may do so in the main thread only.
from executor.driver import Driver  # isort: split

from executor.document import Mistakes
from executor.environment import read_settings
from executor.loop import ChildEnded, ExitCode, Loop, LoopEvent, Terminated

_log = logging.getLogger("executor")


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = read_settings(os.environ, os.getcwd())
    if isinstance(settings, Mistakes):
        for sentence in settings.sentences:
            print(sentence, file=sys.stderr)
        return ExitCode.NOT_AN_AGENT
    events: queue.SimpleQueue[LoopEvent] = queue.SimpleQueue()
    signal.signal(signal.SIGCHLD, lambda *_: events.put(ChildEnded()))
    signal.signal(signal.SIGTERM, lambda *_: events.put(Terminated()))
    # pymesos interrupts the main thread when its own thread ends; the driver's events say the same with a reason.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        driver = Driver(settings, events.put)
        driver.start()
        code = Loop(settings, os.environ, events, driver).run()
        driver.stop()
    except Exception:
        _log.exception("A defect of the executor ends it; its processes have been stopped.")
        code = ExitCode.DEFECT
    _log.info("Exit code %d (%s).", code, code.name)
    return code


if __name__ == "__main__":
    sys.exit(main())
