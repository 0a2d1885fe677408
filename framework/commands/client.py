"""The API's client: requests' one home among the commands. A call gives a document, or raises ``Trouble`` with one
sentence that says what to do. A token is sent as a header alone, and stands in no representation and no message.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from framework.model import ExitCode

ADDRESS_VARIABLE: Final = "ALLUXIO_MESOS_API"
TOKEN_VARIABLE: Final = "ALLUXIO_MESOS_API_TOKEN"
DEFAULT_ADDRESS: Final = "http://127.0.0.1:8080"  # where a scheduler listens that is told nothing else

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0  # a log comes through an agent, and a change is written down before its answer
SILENT_SECONDS: Final = 40.0  # a stream of events says something every 15 s
MOST_HOPS: Final = 4  # from a standby to the leader, and once more when the lead changes meanwhile
REDIRECTS: Final = (301, 302, 307, 308)


class Trouble(Exception):
    """What was asked for cannot be had; the message says why and what to do."""

    def __init__(
        self,
        sentence: str,
        exit_code: ExitCode,
        *,
        passes: bool = False,
        absent: bool = False,
        sentences: Sequence[str] = (),
    ) -> None:
        super().__init__(sentence)
        self.sentences = tuple(sentences) or (sentence,)  # of several mistakes each
        self.exit_code = exit_code
        self.passes = passes  # asking again later may help: nobody leads yet, the network is away
        self.absent = absent  # the API knows the question, and there is no such thing


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the API is, and what is needed there. ``address`` has no slash at its end."""

    address: str
    token: str = dataclasses.field(default="", repr=False)
    token_from: str = ""  # for messages: the option or the variable
    ca_file: str = ""

    @classmethod
    def of(cls, address: str, token_file: str, ca_file: str, environment: Mapping[str, str]) -> Place:
        """An option wins over its environment variable.

        Raises:
            Trouble: CONFIGURATION.
        """
        found = _address(address, "--api") if address else ""
        found = found or _address(environment.get(ADDRESS_VARIABLE, ""), ADDRESS_VARIABLE) or DEFAULT_ADDRESS
        if ca_file and not Path(ca_file).is_file():
            raise Trouble(f"--api-ca-file: {ca_file} is no file; name the authority's PEM file", ExitCode.CONFIGURATION)
        token, where = _token(token_file, environment)
        return cls(found, token, where, ca_file)


def _address(text: str, where: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if fine and "@" in parts.netloc:
        # Not shown: it may hold a password.
        raise Trouble(
            f"{where}: a user or a password in the address is not allowed; give a token with --api-token-file",
            ExitCode.CONFIGURATION,
        )
    if not fine or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", text):
        raise Trouble(
            f"{where}: {text!a} is not allowed; write http://HOST:PORT or https://HOST:PORT, with the path of a proxy "
            "where there is one",
            ExitCode.CONFIGURATION,
        )
    return text.rstrip("/")


def _token(file: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The token and where it comes from. Of a file with several, the first: they are added there before the old one
    goes.
    """
    text, where = environment.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    if file:
        where = f"--api-token-file {file}"
        try:
            text = Path(file).read_text(encoding="latin-1")
        except OSError as error:
            raise Trouble(
                f"{where} cannot be read ({error.strerror}); name a file that holds the token", ExitCode.CONFIGURATION
            ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        if file:
            raise Trouble(f"{where} holds no token; write the API's token into it", ExitCode.CONFIGURATION)
        return "", ""
    if not re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", lines[0]):
        raise Trouble(
            f"{where} holds what is no token; a token is letters, digits and any of -._~+/", ExitCode.CONFIGURATION
        )
    return lines[0], where


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """``document`` is what the JSON says; ``tag`` is the version, as ETag has it, or empty."""

    status: int
    document: Any
    tag: str = ""


class _Bearer(AuthBase):
    """Also where there is no token: else requests would send what it finds in ~/.netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """For one thread. Every call raises Trouble."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._session = requests.Session()
        self._session.auth = _Bearer(place.token)
        self._session.headers["User-Agent"] = "alluxio-mesos"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def get(self, *path: str, **query: str | int) -> Answer:
        """``path`` in its parts."""
        return self._document("GET", path, query)

    def health(self) -> dict[str, Any]:
        """Also of a scheduler that is not well: it says why in the same words."""
        answer = self._checked("GET", ("v1", "health"), {}, {"Accept": "application/json"}, None, False, (503,))
        try:
            found = answer.json()
        except ValueError:
            raise (self._refusal if answer.status_code >= 400 else self._foreign)(answer) from None
        if not isinstance(found, dict) or "healthy" not in found:
            raise (self._refusal if answer.status_code >= 400 else self._foreign)(answer)
        return found

    def text(self, *path: str, **query: str | int) -> str:
        answer = self._checked("GET", path, query, {"Accept": "text/plain"}, None, False, ())
        answer.encoding = "utf-8"
        return answer.text

    def put(self, *path: str, body: Mapping[str, Any], tag: str = "", **query: str | int) -> Answer:
        """``tag``: only when this is still the version."""
        return self._document("PUT", path, query, {"If-Match": tag} if tag else {}, body)

    def post(self, *path: str, body: Mapping[str, Any] | None = None, tag: str = "", **query: str | int) -> Answer:
        """``tag`` as for ``put``."""
        return self._document("POST", path, query, {"If-Match": tag} if tag else {}, body)

    def patch(self, *path: str, body: Mapping[str, Any]) -> Answer:
        return self._document("PATCH", path, {}, {}, body)

    def delete(self, *path: str, tag: str = "", **query: str | int) -> Answer:
        """``tag`` as for ``put``."""
        return self._document("DELETE", path, query, {"If-Match": tag} if tag else {})

    def events(self, after: int | None = None) -> Iterator[dict[str, Any]]:
        """What happens, until the server ends it or Trouble comes; ``after`` is the number of the last known one."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after is not None else {})
        with self._checked("GET", ("v1", "events"), {}, headers, None, True, ()) as answer:
            data: list[str] = []
            try:
                # One byte at a time: larger pieces would wait until they are full.
                for line in answer.iter_lines(chunk_size=1):
                    text = line.decode("utf-8", "replace")
                    if text.startswith("data:"):
                        data.append(text.removeprefix("data:").removeprefix(" "))
                    elif not text and data:
                        yield json.loads("\n".join(data))
                        data = []
            except (requests.RequestException, ValueError) as error:
                raise Trouble(
                    f"the stream of events from {self.place.address} broke off ({_why(error)})",
                    ExitCode.UNAVAILABLE,
                    passes=True,
                ) from None

    def _document(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int],
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        accept = {"Accept": "application/json", **(headers or {})}
        answer = self._checked(method, path, query, accept, body, False, ())
        try:
            return Answer(answer.status_code, answer.json(), answer.headers.get("ETag", ""))
        except ValueError:
            raise self._foreign(answer) from None

    def _checked(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int],
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        stream: bool,
        fine: Iterable[int],
    ) -> requests.Response:
        url = "/".join((self.place.address, *(quote(part, safe="") for part in path)))
        for _ in range(MOST_HOPS):
            answer = self._sent(method, url, dict(query), headers, body, stream)
            if answer.status_code not in REDIRECTS or "Location" not in answer.headers:
                break
            answer.close()
            url, query = self._onward(url, answer.headers["Location"]), {}
        else:
            raise Trouble(
                f"{self.place.address} sends from one scheduler to the next and back; ask again soon",
                ExitCode.UNAVAILABLE,
                passes=True,
            )
        if answer.status_code < 400 or answer.status_code in fine:
            return answer
        raise self._refusal(answer)

    def _sent(
        self,
        method: str,
        url: str,
        query: dict[str, str | int],
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        stream: bool,
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                url,
                params=query,
                headers=dict(headers),
                json=body,
                stream=stream,
                timeout=(CONNECT_SECONDS, SILENT_SECONDS if stream else READ_SECONDS),
                # Named here, as else REQUESTS_CA_BUNDLE would win.
                verify=self.place.ca_file or True,
                allow_redirects=False,  # requests would leave the token behind on the way to the leader
            )
        except requests.exceptions.SSLError as error:
            raise Trouble(
                f"{_base(url)} cannot be trusted ({_why(error)}); name the authority that signed its certificate with "
                "--api-ca-file",
                ExitCode.UNAVAILABLE,
            ) from None
        except (requests.RequestException, OSError) as error:
            changes = method != "GET" and query.get("dry_run") != "true" and "dry_run=true" not in url
            is_unsure = changes and not _was_never_sent(error)
            unsure = "; the change may hold all the same: look before asking again" if is_unsure else ""
            named = "name the API with --api or " + ADDRESS_VARIABLE + ", or see whether a scheduler runs there"
            raise Trouble(
                f"{_base(url)} does not answer ({_why(error)}){unsure or '; ' + named}",
                ExitCode.UNAVAILABLE,
                passes=True,
            ) from None

    def _onward(self, url: str, location: str) -> str:
        """Whoever was given the token says who leads, so the token goes there too; but not out of TLS."""
        target = urljoin(url, location)
        if urlsplit(target).scheme not in ("http", "https") or (
            urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
        ):
            raise Trouble(
                f"{_base(url)} sends on to {_base(target)}, which is not encrypted; give all schedulers a certificate",
                ExitCode.UNAVAILABLE,
            )
        return target

    def _refusal(self, answer: requests.Response) -> Trouble:
        try:
            document = answer.json()
            detail = str(document["detail"])
            mistakes = [str(mistake) for mistake in document.get("errors") or ()]
        except (ValueError, KeyError, TypeError, AttributeError):
            detail, mistakes = "", []
        where, status = _base(answer.url), answer.status_code
        match status:
            case 401 if self.place.token:
                return Trouble(
                    f"{where} does not know this token (401): put the API's token into what {self.place.token_from} "
                    "names",
                    ExitCode.REFUSED,
                )
            case 401:
                return Trouble(
                    f"{where} wants a token (401): give a file that holds it with --api-token-file, or set "
                    f"{TOKEN_VARIABLE}",
                    ExitCode.REFUSED,
                )
            case 403:
                return Trouble(
                    f"{where} does not allow this (403): {detail or 'give a token that may change things'}",
                    ExitCode.REFUSED,
                )
            case 404 if detail.startswith("there is nothing at "):
                return Trouble(
                    f"{answer.url.partition('?')[0]} is not known there (404): the scheduler is older than this "
                    "command, or the path of a proxy is missing or wrong in the address",
                    ExitCode.CONFIGURATION,
                )
            case 404 if detail:
                return Trouble(detail, ExitCode.CONFIGURATION, absent=True)
            case 409:
                return Trouble(
                    f"nothing was done (409): {detail or 'something else is going on; ask again when that is over'}",
                    ExitCode.CONFLICT,
                )
            case 412:
                return Trouble(
                    "nothing was done (412): somebody else made a change at the same moment; look at what holds now, "
                    "and ask again",
                    ExitCode.CONFLICT,
                )
            case 429:
                return Trouble(
                    f"{where} was asked too often (429); ask again in {_seconds(answer)} s",
                    ExitCode.UNAVAILABLE,
                    passes=True,
                )
            case 503:
                return Trouble(
                    f"{where} cannot answer now (503): {detail or 'it is not ready; ask again soon'}",
                    ExitCode.UNAVAILABLE,
                    passes=True,
                )
            case _ if detail and status < 500:
                return Trouble(detail, ExitCode.CONFIGURATION, sentences=mistakes)
            case _ if detail or status >= 500:
                return Trouble(
                    f"{where} failed ({status}): {detail or answer.reason}", ExitCode.UNAVAILABLE, passes=True
                )
        return self._foreign(answer)

    def _foreign(self, answer: requests.Response) -> Trouble:
        return Trouble(
            f"{answer.url.partition('?')[0]} is not the API of alluxio-mesos ({answer.status_code}, no document); "
            f"check --api or {ADDRESS_VARIABLE}, with the path of a proxy where there is one",
            ExitCode.UNAVAILABLE,
        )


def _base(url: str) -> str:
    return url.partition("/v1/")[0].partition("?")[0]


def _seconds(answer: requests.Response) -> str:
    given = answer.headers.get("Retry-After", "")
    return given if given.isdecimal() else "1"


def _was_never_sent(error: BaseException) -> bool:
    """Whether there was not even a connection: nobody knows the host, nothing listens there, or it is silent."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)


def _why(error: BaseException) -> str:
    """The cause in few words: requests wraps it several times."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection in {CONNECT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"no word in {READ_SECONDS:.0f} s"
    text = str(error)
    for pattern in (r"certificate verify failed: ([^(]+?) \(", r"\[Errno -?\d+\] ([A-Za-z][A-Za-z ]+)"):
        if found := re.search(pattern, text):
            return found.group(1).lower()
    return type(error).__name__
