"""What a terminal shows of storages and wanted paths beside the tasks: how many are as they are wanted, and which are
not and why. All of it stands in the status. Pure, as ``show`` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from framework.commands.show import Document, plain
from framework.words import as_wanted

MOST: Final = 5  # of a kind that are told in words

# Label, the name in the status, the kind there, and the command that lists all.
_KINDS: Final = (("Mounts", "mounts", "mount", "mounts"), ("Paths", "paths", "path", "wanted"))
_UNSAID: Final = "Alluxio has not said which are so"
_VERBS: Final = {
    "failing": "fails",
    "waiting": "waits",
    "making": "is being made",
    "leaving": "leaves",
}
# A mount's reason says what to do already.
_ADVICE: Final = {
    "failing": "; want something else of it, or let it go with `alluxio-mesos forget {path}`",
    "waiting": "; it is made so when it comes",
}


def rows(status: Document) -> Iterator[tuple[str, Text]]:
    """A label and a line for each kind of which any is wanted, and below it for each that is not as it is wanted, up to
    some. Nothing of an older scheduler, which does not say it.
    """
    for label, name, kind, command in _KINDS:
        counts, them = status.get(name, {}), _of(status, kind)
        if _is_unknown(status, them):
            if counts["wanted"]:
                yield label, plain(f"{counts['wanted']} wanted; {_UNSAID}", "yellow")
            continue
        if not counts.get("wanted") and not them:
            continue
        yield label, plain(as_wanted(counts["made"], counts["wanted"]) or "none is wanted any more")
        for one in them[:MOST]:
            yield f"  {_verb(one)}", plain(_line(one), _style(one))
        if len(them) > MOST:
            yield "", plain(f"and {len(them) - MOST} more; `alluxio-mesos {command}` lists all")


def line(status: Document) -> Text | None:
    """How many are as they are wanted, and the first that is not; None where nothing is wanted."""
    kinds = [(name, status.get(name, {}), _of(status, kind)) for _, name, kind, _ in _KINDS]
    unknown = [them for _, _, them in kinds if _is_unknown(status, them)]
    told = ", ".join(
        f"{name} {'?' if them in unknown else counts['made']} of {counts['wanted']}"
        for name, counts, them in kinds
        if counts.get("wanted")
    )
    amiss = [one for _, _, them in kinds if them not in unknown for one in them]
    if amiss:
        first = min(amiss, key=lambda one: one["state"] != "failing")
        said = f"{first['path']} {_verb(first)}: {first['reason']}"
        return plain(f"{told}; " if told else "").append_text(plain(said, _style(first)))
    if not told:
        return None
    return plain(f"{told}; {_UNSAID}", "yellow") if unknown else plain(f"{told} as wanted", "green")


def _of(status: Document, kind: str) -> Sequence[Document]:
    return [one for one in status.get("not_as_wanted", ()) if one["kind"] == kind]


def _is_unknown(status: Document, them: Sequence[Document]) -> bool:
    """Whether nobody can tell, for one reason that is told of Alluxio itself."""
    return bool(them) and (not status["alluxio"].get("leader") or all(one["state"] == "unknown" for one in them))


def _verb(one: Document) -> str:
    return _VERBS.get(one["state"], f"is {one['state']}")


def _style(one: Document) -> str:
    return "red" if one["state"] == "failing" else "yellow"


def _line(one: Document) -> str:
    advice = _ADVICE.get(one["state"], "").format(path=one["path"]) if one["kind"] == "path" else ""
    return f"{one['path']} ({one['wanted']}): {one['reason']}{advice}"
