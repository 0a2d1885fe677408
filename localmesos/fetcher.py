"""The fetcher: a program of its own (standard library only) that fills a sandbox before its executor starts.

Reads {"uris": [CommandInfo.URI…], "sandbox": path, "cache": path} from standard input, says what it does on standard
error, exits with 1 on the first failure. `file://` and plain paths, http and https. With `cache` a URI is fetched once
per agent: the URI is its identity, so a changed file needs a changed name. `extract` (the default) unpacks .tar,
.tar.gz, .tgz, .tar.bz2, .tar.xz and .zip; what would leave the sandbox is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
CHUNK = 1024 * 1024


class FetchError(Exception):
    """One sentence naming the URI."""


def fetch_all(uris: list[dict[str, Any]], sandbox: Path, cache: Path) -> None:
    """Raises FetchError at the first URI that cannot be fetched."""
    for uri in uris:
        fetch(uri, sandbox, cache)


def fetch(uri: dict[str, Any], sandbox: Path, cache: Path) -> None:
    value = uri["value"]
    name = uri.get("output_file") or basename(value)
    target = (sandbox / name).resolve()
    if not target.is_relative_to(sandbox.resolve()) or target == sandbox.resolve():
        raise FetchError(f"URI '{value}': output file '{name}' does not lie in the sandbox")
    archive = not uri.get("executable") and uri.get("extract", True) and is_archive(name)
    try:
        source = _cached(value, cache) if uri.get("cache") else None
        if archive and source is None:
            source = download(value, target)
        if archive and source is not None:
            extract(source, sandbox, value, name)
            say(f"Extracted '{value}' into '{sandbox}'")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            download(value, target)
        else:
            shutil.copyfile(source, target)
        if uri.get("executable"):
            target.chmod(0o755)
    except OSError as error:
        raise FetchError(f"URI '{value}': {error}") from error
    say(f"Fetched '{value}' to '{target}'")


def basename(value: str) -> str:
    """The file name a URI has in the sandbox; raises FetchError."""
    path = unquote(urlsplit(value).path) if "://" in value else value
    name = path.rsplit("/", 1)[-1]
    if not name or name in (".", ".."):
        raise FetchError(f"URI '{value}': no file name at its end")
    return name


def is_archive(name: str) -> bool:
    return name.lower().endswith((*TAR_SUFFIXES, ".zip"))


def download(value: str, target: Path) -> Path:
    """Copies to `target`; raises FetchError, OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scheme = urlsplit(value).scheme if "://" in value else ""
    if scheme in ("http", "https"):
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(value, timeout=60) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file, CHUNK)
        except urllib.error.URLError as error:
            raise FetchError(f"URI '{value}': {error}") from error
    elif scheme in ("", "file"):
        path = Path(unquote(urlsplit(value).path) if scheme else value)
        if not path.is_absolute():
            raise FetchError(f"URI '{value}': a path must be absolute")
        shutil.copyfile(path, target)
        shutil.copymode(path, target)
    else:
        raise FetchError(f"URI '{value}': scheme '{scheme}' is none of file, http, https")
    return target


def extract(source: Path, sandbox: Path, value: str, name: str) -> None:
    """Raises FetchError for what is no archive, or would write outside of the sandbox."""
    try:
        if name.lower().endswith(".zip"):
            _unzip(source, sandbox, value)
        else:
            with tarfile.open(source) as tar:
                _untar(tar, sandbox)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FetchError(f"URI '{value}': {error}") from error


def _untar(tar: tarfile.TarFile, sandbox: Path) -> None:
    """Debian 12's Python, 3.11.2, has no filters: there each entry's place and target are looked at here."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(sandbox, filter="data")
        return
    root = sandbox.resolve()
    for entry in tar:
        entry.name = entry.name.lstrip("/")
        place = root / entry.name
        target = place.parent / entry.linkname if entry.issym() else root / entry.linkname
        if not all(path.resolve().is_relative_to(root) for path in (place, target)):
            raise tarfile.TarError(f"'{entry.name}' would be written outside of the sandbox")
        tar.extract(entry, root)


def _unzip(source: Path, sandbox: Path, value: str) -> None:
    root = sandbox.resolve()
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            target = (root / entry.filename).resolve()
            if not target.is_relative_to(root):
                raise FetchError(f"URI '{value}': '{entry.filename}' would be written outside of the sandbox")
            archive.extract(entry, root)
            mode = entry.external_attr >> 16 & 0o777
            if mode and not entry.is_dir():
                target.chmod(mode & 0o755)


def _cached(value: str, cache: Path) -> Path:
    """The cached copy, fetched now if it is not there; containers that start at once wait for the one that fetches."""
    folder = cache / hashlib.sha256(value.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / basename(value)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if copy.exists():
            say(f"Took '{value}' from the cache")
        else:
            partial = folder / ".partial"
            download(value, partial)
            partial.replace(copy)
    return copy


def say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def main() -> int:
    order = json.load(sys.stdin)
    try:
        fetch_all(order["uris"], Path(order["sandbox"]), Path(order["cache"]))
    except FetchError as error:
        say(f"Failed to fetch: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
