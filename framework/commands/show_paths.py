"""What a terminal shows of paths in Alluxio's namespace, and of loads. Pure, as ``show`` is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from framework.commands.show import Document, listing, plain, size
from framework.paths import life, told
from framework.words import counted

# As with `ls -l` the name comes last: it may be long, and is wanted whole.
HEAD = ("SIZE", "MEMORY", "CACHED", "PINNED", "TTL", "COPIES", "PERSISTED", "NAME")


def path(found: Document, after: str = "") -> RenderableType:
    """A file, or a folder's entries; those that come behind ``after``."""
    if not found["folder"]:
        return listing(HEAD, [_row(found, found["path"])], "")
    rows = [_row(entry, entry["path"].rpartition("/")[2]) for entry in found["entries"]]
    shown = listing(HEAD, rows, f"{found['path']} {f'has nothing behind {after!a}' if after else 'is empty'}")
    if found["next"] is None:
        return shown
    return Group(shown, Text(""), plain(f"there are more; --after {found['next']!a} shows them", "yellow"))


def _row(entry: Document, name: str) -> tuple[object, ...]:
    folder = entry["folder"]
    return (
        "-" if folder else size(entry["size_bytes"]),
        "-" if folder else _percent(entry["in_memory_percent"]),
        "-" if folder else _percent(entry["cached_percent"]),
        plain("pinned", "cyan") if entry["pinned"] else "-",
        _life(entry),
        "-" if folder else _copies(entry),
        _persisted(entry),
        plain(f"{name}/" if folder and name != "/" else name, "bold" if folder else ""),
    )


def _percent(share: int) -> Text:
    return plain(f"{share} %", "green" if share == 100 else "")


def _persisted(entry: Document) -> Text:
    word = entry["persistence"]
    return plain(word.lower().replace("_", " "), "" if word == "PERSISTED" else "yellow")


def _life(entry: Document) -> str:
    return "-" if entry["ttl_seconds"] is None else life(entry)


def _copies(entry: Document) -> str:
    least, most = entry["replication_min"], entry["replication_max"]
    return f"{least} to {most}" if most is not None else f"{least} or more" if least else "any"


def said(found: Document) -> Text:
    """What holds of a path after something was said of it."""
    words = [
        "pinned" if found["pinned"] else "not pinned",
        f"ttl {life(found)}" if found["ttl_seconds"] is not None else "no ttl",
    ]
    if not found["folder"]:
        words.append(f"copies: {_copies(found)}")
    return plain(f"{found['path']}: {', '.join(words)}")


def wanted(found: Sequence[Document]) -> RenderableType:
    """The paths of which something is wanted for good."""
    return listing(
        ("PATH", "WANTED", "SO"),
        (
            (
                one["path"],
                told(one["wanted"]),
                plain(one["reason"], "yellow") if one["reason"] else plain("yes", "green"),
            )
            for one in found
        ),
        "nothing is wanted of any path for good",
    )


def progress(found: Document) -> str:
    """How far a load is, in one line."""
    if found["total_bytes"] is None:
        return f"{found['path']}: looking for what is to be loaded"
    failed = f", {counted(found['failed_files'], 'file')} failed" if found["failed_files"] else ""
    return (
        f"{found['path']}: {size(found['loaded_bytes'])} of {size(found['total_bytes'])}, "
        f"{counted(found['files'], 'file')}{failed}"
    )


def load(found: Document) -> Text:
    """How a load is, or has ended."""
    if found["state"] == "done":
        if not found["files"]:
            return plain(f"{found['path']}: nothing was left to load")
        return plain(
            f"{found['path']}: {counted(found['files'], 'file')} with {size(found['loaded_bytes'])} loaded", "green"
        )
    if found["state"] == "running":
        return plain(f"{progress(found)} ({found['percent']} %)")
    return plain(ended_badly(found), "red" if found["state"] == "failed" else "yellow")


def ended_badly(found: Document) -> str:
    if found["state"] == "stopped":
        return f"the load of {found['path']} was stopped; what it had loaded stays"
    if found["failed_files"]:
        several = counted(found["failed_files"], "file")
        return f"{several} of {found['path']} could not be loaded, such as {found['reason']}"
    return f"the load of {found['path']} failed: {found['reason']}"
