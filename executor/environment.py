"""What a Mesos agent tells its executor through the environment (Mesos, executor HTTP API). Pure; every mistake is a
sentence.
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import Mapping

from executor.document import Mistakes

REQUIRED = ("MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID")
# Mesos's duration suffixes (stout/duration.hpp), longest first so that "ms" is not read as "s".
_UNITS = {
    "weeks": 604800.0,
    "days": 86400.0,
    "hrs": 3600.0,
    "mins": 60.0,
    "secs": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}


@dataclass(frozen=True)
class Settings:
    """Seconds throughout. `recovery_seconds` is 0 when the framework does not checkpoint: nothing to wait for without
    an agent.
    """

    sandbox: str
    recovery_seconds: float
    backoff_seconds: float
    grace_seconds: float
    token: str | None


def read_settings(environment: Mapping[str, str], working_folder: str) -> Settings | Mistakes:
    sentences = [
        f"{name} is not set; the executor is started by a Mesos agent, which sets it."
        for name in REQUIRED
        if not environment.get(name)
    ]
    checkpoint = environment.get("MESOS_CHECKPOINT") == "1"
    recovery = _seconds(environment, "MESOS_RECOVERY_TIMEOUT", "15mins", sentences)
    backoff = _seconds(environment, "MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs", sentences)
    grace = _seconds(environment, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs", sentences)
    if sentences:
        return Mistakes(tuple(sentences))
    folder = environment.get("MESOS_SANDBOX") or environment.get("MESOS_DIRECTORY") or working_folder
    token = environment.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
    return Settings(os.path.abspath(folder), recovery if checkpoint else 0.0, backoff, grace, token)


def _seconds(environment: Mapping[str, str], name: str, default: str, sentences: list[str]) -> float:
    text = (environment.get(name) or default).strip()
    for suffix, seconds in _UNITS.items():
        if text.endswith(suffix):
            try:
                return float(text[: -len(suffix)]) * seconds
            except ValueError:
                continue
    sentences.append(f"{name} is {text!r}; it must be a Mesos duration such as 5secs or 15mins.")
    return 0.0
