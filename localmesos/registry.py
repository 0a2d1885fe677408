"""What a master remembers over its own restart, as Mesos's registry does: agents admitted, unreachable and gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def write_atomically(path: Path, value: Any) -> None:
    """JSON that is there wholly or not at all, whenever this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(value) + "\n")
    temporary.replace(path)


class Registry:
    """`admitted`: AgentInfo by agent id; `unreachable` and `gone`: since when (seconds), by agent id.

    Each change is on disk when the method returns: a line more in the file, so that the thousandth agent costs no more
    than the first. Masters of one cluster share the file, as Mesos's replicate theirs: who takes the lead reads it
    again, and only the leader writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.read()

    def read(self) -> None:
        self.admitted: dict[str, Json] = {}
        self.unreachable: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                change: Json = json.loads(line)
            except ValueError:
                break  # the writer was killed in the middle of its last line
            self._apply(change)

    def lead(self) -> None:
        """Read what the leader before this one knew, and begin the file anew with it."""
        self.read()
        whole = {"admitted": self.admitted, "unreachable": self.unreachable, "gone": self.gone}
        write_atomically(self._path, {"whole": whole})

    def admit(self, agent_id: str, info: Json) -> None:
        if self.admitted.get(agent_id) == info and agent_id not in self.unreachable:
            return
        self._change({"admit": agent_id, "info": info})

    def mark_unreachable(self, agent_id: str, now: float) -> None:
        self._change({"unreachable": agent_id, "since": now})

    def mark_gone(self, agent_id: str, now: float) -> None:
        self._change({"gone": agent_id, "since": now})

    def remove(self, agent_id: str) -> None:
        self._change({"remove": agent_id})

    def _change(self, change: Json) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(change) + "\n")
        self._apply(change)

    def _apply(self, change: Json) -> None:
        match change:
            case {"whole": whole}:
                self.admitted, self.unreachable, self.gone = whole["admitted"], whole["unreachable"], whole["gone"]
            case {"admit": agent_id, "info": info}:
                self.admitted[agent_id] = info
                self.unreachable.pop(agent_id, None)
            case {"unreachable": agent_id, "since": since}:
                self.admitted.pop(agent_id, None)
                self.unreachable[agent_id] = since
            case {"gone": agent_id, "since": since}:
                self.admitted.pop(agent_id, None)
                self.unreachable.pop(agent_id, None)
                self.gone[agent_id] = since
            case {"remove": agent_id}:
                self.admitted.pop(agent_id, None)
                self.unreachable.pop(agent_id, None)
