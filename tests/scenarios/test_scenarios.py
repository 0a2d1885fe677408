"""Stories as transcripts: in each ``*.txt`` beside this file, what happens, ``----``, and what the scheduler decides.

``pytest --rewrite-scenarios`` writes the decisions of now into the files; the diff is what is reviewed. The commands:

    wanted masters=1 workers=2 proxies=0     the operator's word, before the first scheduler (workers=all: one on each;
                                             journal=shared or journal=embedded for several masters;
                                             ssd=MIB: each worker with an SSD tier on a persistent volume)
    start / restart [workers=…]              a new scheduler process, which knows what the store holds
    uninstall                                a new one that is told to remove the service for good
    subscribe [ID] [REGION]                  Mesos accepts (its master is in a region); an ID begins with framework-
    disconnect REASON                        the stream ends
    removed                                  Mesos says that the framework has been removed
    forget                                   the operator drops the framework id, and another scheduler starts
    offer ID HOST cpus=4 mem=8192 disk=9000 ports=21000-21009,21020-21029 [volume=SLOT/TIER/MIB/ID …]
                                             [rack=R] [@region=R] [@zone=Z] [maintenance]
    rescind ID                               consecutive offers are one event
    update TASK STATE on HOST [ready] [unasked] [PROCESS=WORD …] [: message]
                                             unasked: the master says it, nothing to acknowledge
    primary HOST:PORT [members HOST:PORT …]  which master Alluxio says is its primary, and who is in its quorum;
                                             HOST:PORT/away: it does not answer
    primary none
    draining TASK [TASK …]                   what only these workers hold is being written to the under-storage
    drained TASK [TASK …]                    Alluxio does without them from now on, and nothing is lost with them
    drained                                  no worker leaves any more
    ask workers=N [remove=SLOT,SLOT]         somebody asks for another number of workers
    group NAME workers=N [size=small|large] [rack=R|CONSTRAINTS]
                                             … of a group's workers (workers=none: the group goes)
    operation ID STATE on HOST               what became of a reservation or a volume
    wait SECONDS
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework import scaling
from framework.messages import (
    CacheSeen,
    Decline,
    Disconnected,
    DrainsSeen,
    Effect,
    Failed,
    Offered,
    OperationUpdated,
    Rescinded,
    Stop,
    Subscribed,
    Updated,
    Wished,
)
from framework.model import (
    CacheReport,
    Drain,
    DrainStep,
    ExitCode,
    Holding,
    Journal,
    Kind,
    Member,
    Offer,
    Range,
    Report,
    Resource,
    TaskState,
    Wanted,
)
from framework.store import MemoryStore
from stage import Stage, group_asked_for, group_gone, wanted

STORIES = sorted(Path(__file__).parent.glob("*.txt"))
ROLE = "alluxio"
_ATTRIBUTES = frozenset({"rack", "@region", "@zone"})


@dataclasses.dataclass
class Step:
    commands: list[str]
    expected: list[str]


def read(text: str) -> list[Step]:
    """Blocks between empty lines; a line that begins with # is a remark and belongs to the commands."""
    steps = []
    for block in text.strip().split("\n\n"):
        commands, _, expected = block.partition("\n----")
        steps.append(Step(commands.splitlines(), expected.strip().splitlines()))
    return steps


def written(steps: list[Step]) -> str:
    return "\n\n".join("\n".join([*step.commands, "----", *step.expected]) for step in steps) + "\n"


class Story:
    def __init__(self) -> None:
        self._numbers = iter(range(1, 1000))
        self._stage: Stage | None = None
        self._want = wanted()

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            self._stage = Stage(self._want)
        return self._stage

    def play(self, commands: list[str]) -> list[str]:
        lines: list[str] = []
        offers: list[Offer] = []
        for command in [*commands, ""]:
            words = shlex.split(command, comments=True)
            if offers and (not words or words[0] != "offer"):
                lines += self._shown(self.stage.play(Offered(tuple(offers), self.stage.now)))
                offers.clear()
            if words and words[0] == "offer":
                offers.append(_offer(words[1:]))
            elif words:
                lines += self._shown(self._do(words[0], words[1:]))
        return lines

    def _do(self, verb: str, words: list[str]) -> list[Effect]:
        stage, now = self.stage, self.stage.now
        match verb:
            case "wanted":
                stage.wanted = _wanted(words)
                stage.start()
                return []
            case "restart":
                if words:
                    stage.wanted = _wanted(words)
                stage.start()
                return []
            case "uninstall":
                stage.start(uninstalls=True)
                return stage.play()
            case "forget":
                stage.store = MemoryStore(dataclasses.replace(stage.store.load(), framework_id=""))
                stage.start()
                return []
            case "subscribe":
                ids = [word for word in words if word.startswith("framework-")] or ["framework-1"]
                regions = [word for word in words if word not in ids]
                return stage.play(Subscribed(ids[0], "127.0.0.1:5050", now, *regions))
            case "disconnect":
                return stage.play(Disconnected(" ".join(words), now))
            case "removed":
                return stage.play(Failed("Framework has been removed", ExitCode.REMOVED, now))
            case "rescind":
                return stage.play(Rescinded(words[0], now))
            case "update":
                return stage.play(self._update(words))
            case "primary":
                return stage.play(CacheSeen(_alluxio(*words)))
            case "draining" | "drained":
                step = DrainStep.DECOMMISSIONED if verb == "drained" else DrainStep.PERSISTING
                drains = {**stage.state.drains, **{task: Drain(task, step, now) for task in words}} if words else {}
                return stage.play(DrainsSeen(tuple(drains.values())))
            case "ask":
                return stage.play(*self._asked(words))
            case "configure":
                ids = {Kind(kind): found for kind, found in (word.split("=") for word in words)}
                want = dataclasses.replace(stage.state.wanted, configurations=ids)
                return stage.play(Wished(scaling.next_entry(stage.state, now), want))
            case "group":
                return stage.play(self._group(*words))
            case "pause" | "resume":
                entry = scaling.next_entry(stage.state, now)
                return stage.play(Wished(scaling.resting(entry, frozenset(words if verb == "pause" else ()))))
            case "operation":
                uuid = f"uuid-{next(self._numbers)}"
                return stage.play(OperationUpdated(words[0], f"OPERATION_{words[1]}", _agent_id(words[3]), uuid))
            case "wait":
                stage.now += float(words[0])
                return stage.play()
        raise ValueError(f"no such command: {verb}")

    def _asked(self, words: list[str]) -> list[Wished]:
        given = dict(word.split("=") for word in words)
        count = None if given["workers"] == "all" else int(given["workers"])
        remove = [slot for slot in given.get("remove", "").split(",") if slot]
        change = scaling.change(self.stage.state, count, remove, self.stage.now)
        assert isinstance(change, scaling.Change), change
        return [Wished(change.entry)] if change.entry is not None else []

    def _group(self, name: str, *words: str) -> Wished:
        given = dict(word.split("=") for word in words)
        count = given.pop("workers")
        if count == "none":
            return group_gone(self.stage.state, name, self.stage.now)
        number = None if count == "all" else int(count)
        return group_asked_for(self.stage.state, name, number, given or None, self.stage.now)

    def _update(self, words: list[str]) -> Updated:
        task_id, state, on, host, *rest = words
        assert on == "on"
        marks, _, message = " ".join(rest).partition(": ")
        now = self.stage.now
        processes = dict(mark.split("=") for mark in marks.split() if "=" in mark)
        report = Report(
            task_id,
            TaskState(f"TASK_{state}"),
            _agent_id(host),
            now,
            now,
            "ready" in marks.split(),
            message.strip(),
            processes=processes,
        )
        return Updated(report, "" if "unasked" in marks else f"uuid-{next(self._numbers)}")

    def _shown(self, effects: list[Effect]) -> list[str]:
        return [_shown(effect) for effect in effects]


def _shown(effect: Effect) -> str:
    match effect:
        case Decline():
            return f"{effect} (for {effect.seconds:g} s)"
        case Stop():
            return f"{effect} (exit code {effect.exit_code:d})"
        case _:
            return str(effect)


def _alluxio(primary: str, *words: str) -> CacheReport:
    if primary == "none":
        return CacheReport(None, "none of the masters is the primary")
    members = [word.partition("/") for word in words[1:]]
    return CacheReport(primary, "", members=tuple(Member(address, available=not away) for address, away, _ in members))


def _wanted(words: list[str]) -> Wanted:
    given = dict(word.split("=") for word in words)
    journal = Journal(given.pop("journal", "local"))
    workers = given.pop("workers", "2")
    counts = {name: int(value) for name, value in given.items()}
    return wanted(workers=None if workers == "all" else int(workers), journal=journal, **counts)


def _agent_id(host: str) -> str:
    return f"agent-{host.rpartition('.')[2]}"


def _offer(words: list[str]) -> Offer:
    offer_id, host, *rest = words
    maintenance = "maintenance" in rest
    pairs = [word.split("=") for word in rest if "=" in word]
    attributes = {name: value for name, value in pairs if name in _ATTRIBUTES}
    resources = tuple(_resource(name, value) for name, value in pairs if name not in {"volume", *_ATTRIBUTES})
    holdings = tuple(_holding(value) for name, value in pairs if name == "volume")
    return Offer(offer_id, _agent_id(host), host, resources, attributes, 5000.0 if maintenance else None, holdings)


def _holding(text: str) -> Holding:
    slot, tier, size, persistence_id = text.split("/")
    return Holding(slot, tier, persistence_id, dataclasses.replace(_resource("disk", size), reservations="its own"))


def _resource(name: str, value: str) -> Resource:
    if name == "ports":
        return Resource(name, ROLE, ranges=tuple(_ranges(value)))
    return Resource(name, ROLE, thousandths=round(float(value) * 1000))


def _ranges(text: str) -> Iterator[Range]:
    for span in text.split(","):
        begin, _, end = span.partition("-")
        yield Range(int(begin), int(end or begin))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, request: pytest.FixtureRequest) -> None:
    steps = read(path.read_text())
    story = Story()
    played = [Step(step.commands, story.play(step.commands)) for step in steps]
    if request.config.getoption("--rewrite-scenarios"):
        path.write_text(written(played))
        return
    assert written(played) == written(steps)
