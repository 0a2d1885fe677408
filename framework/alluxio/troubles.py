"""What Alluxio's words mean, as sentences: how they are found, and those of a store's own trouble, which Alluxio
repeats in the store's words. What is said of mounts alone, or of paths alone, stands where those are.

Law: names that people chose stand in what is looked through. A pattern does not match a part of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# A pattern in Alluxio's text, and the sentence without its end; {names} are the caller's, or the pattern's groups.
Row = tuple[str, str]

# {place} is what was asked for: a storage's URI, or a path. As seen of Alluxio 2.9.6 with S3 (Amazon's client 1.12) and
# HDFS (Hadoop's 3.3).
_STORES: Final[tuple[Row, ...]] = (
    (
        r'Permission denied: user=(?P<user>[^,]+), access=(?P<access>\w+), inode="(?P<inode>[^"]+)"',
        "HDFS lets the user {user} not into {inode} ({access}): give that user the right, or have the tasks be another "
        "one there (HADOOP_USER_NAME in --environment)",
    ),
    (
        r"before the request timeout|\btimed out\b|\bSocketTimeoutException\b|timeout exception",
        "the store of {place} does not answer {late}: is it up, and do Alluxio's processes reach it?",
    ),
    (
        r"(?<![/\w-])(?:SignatureDoesNotMatch|InvalidAccessKeyId|AccessDenied|403 Forbidden)\b|[Cc]ode: 403\b",
        "the store refuses these keys for {place}: correct the secrets, or let them read it",
    ),
    (
        r"Connect to (?P<there>\S+) .*refused",
        "nothing listens at {there}, where the store of {place} should: correct the endpoint, or start it",
    ),
    (
        r"Call From \S+ to (?P<there>\S+) failed on connection exception",
        "nothing listens at {there}, where the store of {place} should: correct the address, or start it",
    ),
    (
        r"(?:UnknownHostException: |HTTP request: (?=[\w.-]+(?:: [^:]*(?:not known|resolution|No address)[^:]*)?$))"
        r"(?P<host>[\w.-]+)",
        "nobody knows the host {host}, where the store of {place} should be: correct the address",
    ),
)


def meaning(rows: Iterable[Row], said: str, **names: str) -> str:
    """The sentence of the first row whose pattern is found; "" where none is."""
    found = ((re.search(pattern, said), sentence) for pattern, sentence in rows)
    return next((sentence.format(**names, **match.groupdict()) for match, sentence in found if match), "")


def of_the_store(said: str, place: str, late: str = "in time") -> str:
    """What a store's own words mean that Alluxio repeats; "" where they are none. ``late``: how long it was waited
    for.
    """
    return meaning(_STORES, said, place=place, late=late)
