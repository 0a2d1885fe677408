"""What protects the API of one scheduler, out of its options: tokens, limits, the prefix; and the refusal to listen
where everybody could steer the cluster.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from framework.api.tokens import ADMIN_VARIABLE, Tokens
from framework.config import Configuration

UNSAFE: Final = (
    "--api-host: {host} can be reached from other machines, and without a token everybody there could change the "
    f"cluster; give --api-token-file or {ADMIN_VARIABLE}, or --api-open yes if that is meant"
)
IN_CLEAR: Final = (
    "the API's tokens travel unencrypted to {host}; give --api-certificate and --api-key, or let a proxy encrypt"
)


class Unsafe(Exception):
    """The API would be open to strangers; the message says what to give."""


@dataclasses.dataclass(frozen=True, slots=True)
class Safety:
    """``rate`` is in requests per second for each client, 0 for any. ``hosts``: the names, besides addresses and
    localhost, that a request may be for; None for all.
    """

    tokens: Tokens = dataclasses.field(default_factory=Tokens)
    prefix: str = ""
    rate: float = 0.0
    hosts: frozenset[str] | None = None


def is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def safety(configuration: Configuration, host: str, environment: Mapping[str, str]) -> Safety:
    """``host`` is the address that the API will listen on.

    Raises:
        TokenProblem: the tokens cannot be used.
        Unsafe: others could reach the API, and nothing protects it.
    """
    tokens = Tokens.of(configuration.api_token_file, configuration.api_read_token_file, environment)
    is_open = not tokens.are_required
    if is_open and not is_loopback(host) and configuration.api_open == "no":
        raise Unsafe(UNSAFE.format(host=host))
    # A web page of any name could have its name point here (DNS rebinding) and speak for a person at this machine.
    own = frozenset({urlsplit(configuration.api_url).hostname or ""})
    return Safety(
        tokens,
        configuration.api_prefix,
        float(configuration.api_rate),
        own if is_open and is_loopback(host) else None,
    )


def is_in_clear(configuration: Configuration, host: str, safe: Safety) -> bool:
    """Tokens travel where others can read them."""
    return safe.tokens.are_required and not configuration.api_certificate and not is_loopback(host)
