"""The reasons why offers are refused, sorted into few classes: sentences are for people, classes for charts and counts.
Pure.

The sentences themselves are made where an offer is weighed (``offers``, ``matching``); the first pattern that matches
decides.
"""

from __future__ import annotations

import enum
import functools
import re
from typing import Final


class Reason(enum.StrEnum):
    """Why an offer was of no use."""

    NOTHING_TO_LAUNCH = "nothing to launch"
    HAS_ONE = "agent has one"  # one of a kind on an agent
    OTHER_AGENTS = "waits for other agents"
    CPUS = "cpus"
    MEMORY = "memory"
    DISK = "disk"
    PORTS = "ports"
    VOLUME = "volume"
    PLACEMENT = "placement"
    MAINTENANCE = "maintenance"
    NOT_YET = "something comes first"
    BACKOFF = "pause after failures"
    OTHER = "other"


_PATTERNS: Final = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"there is nothing to launch|the service is being uninstalled", Reason.NOTHING_TO_LAUNCH),
        (r"it already has ", Reason.HAS_ONE),
        (r"what is left to launch waits for other agents", Reason.OTHER_AGENTS),
        (r"offers \S+ of \S+ CPUs", Reason.CPUS),
        (r"offers \d+ MiB of \d+ MiB memory", Reason.MEMORY),
        (r"offers \d+ MiB of \d+ MiB (unreserved )?disk", Reason.DISK),
        (r"offers \d+ of \d+ ports|does not offer port ", Reason.PORTS),
        (r"does not hold the \d+ MiB of its \S+ volume", Reason.VOLUME),
        (r"has .*, and \S+:.* is asked for", Reason.PLACEMENT),
        (r"is in the region ", Reason.PLACEMENT),
        (r"the agent is in maintenance", Reason.MAINTENANCE),
        (r"\S+ waits \d+ s more after failing", Reason.BACKOFF),
        (r"\S+ waits?: |\S+ has still to end there|Mesos is asked first", Reason.NOT_YET),
    )
)


@functools.lru_cache(maxsize=4096)
def classified(sentence: str) -> Reason:
    """The class of a refusal's sentence, with or without the "worker-2: " that says what the offer was weighed for."""
    told = re.sub(r"^[a-z][a-z0-9-]*-\d+: ", "", sentence)
    return next((reason for pattern, reason in _PATTERNS if pattern.match(told)), Reason.OTHER)
