"""Who may do what: bearer tokens (RFC 6750), out of files or the environment, never off a command line.

Only digests are kept, so no representation, traceback or log line can show a token. A file is read again when it
changes; it may hold several tokens, one a line, so that a new one is valid before the old one ends.
"""

from __future__ import annotations

import enum
import hashlib
import logging
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

SHORTEST: Final = 16  # characters
ADMIN_VARIABLE: Final = "ALLUXIO_MESOS_API_TOKEN"
READ_VARIABLE: Final = "ALLUXIO_MESOS_API_READ_TOKEN"


class Access(enum.IntEnum):
    """What a caller may do; each may what the one before may."""

    NONE = 0
    READ = 1
    ADMIN = 2


class TokenProblem(Exception):
    """Tokens that cannot be used; the message says where and what to do, and holds nothing of them."""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("latin-1", "replace")).digest()


def _digests(text: str, where: str) -> tuple[bytes, ...]:
    """The tokens in a text, one a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise TokenProblem(f"{where} holds no token; write one of at least {SHORTEST} characters into it")
    for line in lines:
        if len(line) < SHORTEST or not re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", line):
            raise TokenProblem(
                f"{where} holds what is no token; write at least {SHORTEST} letters, digits and any of -._~+/, "
                "for example what `openssl rand -hex 32` prints"
            )
    return tuple(map(_digest, lines))


class _Given:
    """Tokens that stay as they were given."""

    def __init__(self, digests: tuple[bytes, ...]) -> None:
        self._digests = digests

    def digests(self) -> tuple[bytes, ...]:
        return self._digests


class _InFile:
    """Tokens that a file holds. When it cannot be read any more, or holds none, the last ones stay valid, and the log
    says so once for each change.
    """

    def __init__(self, option: str, path: Path) -> None:
        self._option = option
        self._path = path
        self._seen = self._mark()
        self._digests = self._read()

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> tuple[bytes, ...]:
        where = f"--{self._option}: {self._path}"
        try:
            with self._path.open(encoding="latin-1") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(64 * 1024)
        except OSError as error:
            raise TokenProblem(
                f"{where} cannot be read ({error.strerror}); make it readable for the scheduler's user"
            ) from None
        digests = _digests(text, where)
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            log.warning("%s can be read by others (mode %o); chmod 600 it", where, stat.S_IMODE(mode))
        return digests

    def digests(self) -> tuple[bytes, ...]:
        mark = self._mark()
        if mark != self._seen:
            self._seen = mark
            try:
                self._digests = self._read()
                log.info("--%s: %s was read again", self._option, self._path)
            except TokenProblem as problem:
                log.warning("%s; until then the tokens that it held before are valid", problem)
        return self._digests


class Tokens:
    """The tokens of the API. Without any, everybody may everything."""

    def __init__(self, admin: _Given | _InFile | None = None, read: _Given | _InFile | None = None) -> None:
        self._admin = admin
        self._read = read

    @classmethod
    def of(cls, admin_file: str, read_file: str, environment: Mapping[str, str]) -> Tokens:
        """A file wins over the environment.

        Raises:
            TokenProblem: a file cannot be read or holds no token, or one token is for both.
        """
        made = cls(
            _source("api-token-file", admin_file, ADMIN_VARIABLE, environment),
            _source("api-read-token-file", read_file, READ_VARIABLE, environment),
        )
        if made._admin and made._read and set(made._admin.digests()) & set(made._read.digests()):
            raise TokenProblem(
                "--api-read-token-file: the same token is for reading and for changing; make another one for reading"
            )
        return made

    @property
    def are_required(self) -> bool:
        return self._admin is not None or self._read is not None

    def access(self, authorization: str | None) -> Access:
        """What the header Authorization allows. Every token is compared, in constant time each."""
        if not self.are_required:
            return Access.ADMIN
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return Access.NONE
        given = _digest(token.strip())
        found = Access.NONE
        for source, access in ((self._read, Access.READ), (self._admin, Access.ADMIN)):
            for digest in source.digests() if source else ():
                if secrets.compare_digest(given, digest):
                    found = max(found, access)
        return found


def _source(option: str, file: str, variable: str, environment: Mapping[str, str]) -> _Given | _InFile | None:
    if file:
        return _InFile(option, Path(file))
    if text := environment.get(variable, ""):
        return _Given(_digests(text, f"the environment variable {variable}"))
    return None
