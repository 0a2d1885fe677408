"""What a terminal shows of the storages in the namespace, and of changes of one. Pure, as ``show`` is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from framework.commands.show import Document, facts, listing, plain
from framework.namespace import how

_STYLES: Final = {"mounted": "green", "foreign": "", "failing": "red"}
_WOULD: Final = {
    "mount": "{path} would be {after}",
    "update": "{path} would be {after} with other options",
    "replace": "{path} would be {after} in place of {before}",
    "unmount": "{path} would be unmounted; {before} keeps its data",
    "leave": "{path} would be left as somebody else mounted it",
    "nothing": "nothing would change: {path} is wanted so already",
}
_DONE: Final = {
    "mount": "{path} is to be {after}",
    "update": "{path} is to be {after} with other options",
    "replace": "{path} is to be {after} in place of {before}",
    "unmount": "{path} is to be unmounted",
    "leave": "{path} is left as somebody else mounted it",
    "nothing": "{path} is wanted so already",
}


def mounts(found: Sequence[Document]) -> RenderableType:
    return listing(
        ("PATH", "STORAGE", "STATE", "HOW", "BY", "WHY"),
        (
            (
                one["path"],
                one["uri"],
                plain(one["state"], _STYLES.get(one["state"], "yellow")),
                _how(one),
                "service" if one["own"] or one["path"] == "/" else "others" if one["mounted"] else "-",
                one["reason"] or "-",
            )
            for one in found
        ),
        "nothing is mounted",
    )


def mount(found: Document) -> RenderableType:
    return facts(
        [
            ("path", found["path"]),
            ("storage", found["uri"]),
            ("state", plain(found["state"], _STYLES.get(found["state"], "yellow"))),
            ("how", _how(found)),
            *([("why", found["reason"])] if found["reason"] else []),
            *((name, _option(value)) for name, value in sorted(found["options"].items())),
        ]
    )


def summary(found: Document) -> Text:
    """One mount in one line."""
    line = plain(f"{found['path']} is {found['state']}: {found['uri']}", "green" if found["state"] == "mounted" else "")
    return line.append(f" ({found['reason']})") if found["reason"] else line


def _how(found: Document) -> str:
    return how(readonly=found["readonly"], shared=found["shared"])


def _option(value: Any) -> str:
    return f"secret {value['secret']}" if isinstance(value, dict) else str(value)


# Changes --------------------------------------------------------------------------------------------------------------


def preview(found: Document) -> RenderableType:
    """What a call for a mount would do."""
    lines: list[Text] = [_told(_WOULD, found)]
    before, after = found["before"] or {}, found["after"] or {}
    if found["does"] in ("mount", "update", "replace"):
        lines.append(plain(_how(after)))
    names = sorted({*before.get("options", {}), *after.get("options", {})}) if after else []
    for name in names:
        old, new = before.get("options", {}).get(name), after["options"].get(name)
        if old != new:
            told = (_option(old) if old is not None else "-", _option(new) if new is not None else "-")
            lines.append(plain(f"  {name}: {told[0]} -> {told[1]}" if before else f"  {name}: {told[1]}"))
    return Group(*lines)


def made(found: Document) -> Text:
    """What a call for a mount did, in one line."""
    line = plain(f"version {found['number']} holds: ").append_text(_told(_DONE, found, ""))
    if found["does"] in ("nothing", "leave"):
        return line
    return line.append("; `alluxio-mesos mounts` shows how far it is")


def unmounted(found: Document) -> Text:
    return plain(f"version {found['number']} holds: {found['path']} is not mounted by this service any more")


def _told(sentences: dict[str, str], found: Document, style: str = "bold") -> Text:
    uris = {name: found[name]["uri"] if found[name] else "" for name in ("before", "after")}
    return plain(sentences[found["does"]].format(path=found["path"], **uris), style)
