"""Plays a trace's calls against localmesos and finds each of its events among those that came.

Events are expected in the trace's order, except where that order is chance: offers, heartbeats and repeated operation
updates; and steps in which several tasks report at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from conformance.mesos_processes import DEADLINE_SECONDS, Stream, until
from conformance.mesos_unify import Difference, Variables, unify

Json = dict[str, Any]
STORY_KINDS = frozenset({"UPDATE", "FAILURE", "RESCIND", "MESSAGE", "ERROR"})
AT_ONCE = frozenset({"REASON_RECONCILIATION", "REASON_INVALID_OFFERS", "REASON_TASK_INVALID"})
"""The master's immediate answers to a call: recorded before the call's own line."""

SIMULTANEOUS = ("16b", "18")
"""Steps whose events come in chance order: two tasks on one executor, all tasks of a lost agent."""


class Story:
    """`actions`: what the recording did besides calling, by the note or call at which it happens; `offer`: makes an
    offer round."""

    def __init__(
        self,
        url: str,
        variables: Variables,
        actions: dict[str, Callable[[Story], Awaitable[None]]],
        offer: Callable[[], None],
    ) -> None:
        self.variables = variables
        self._url = url
        self._actions = actions
        self._offer = offer
        self._streams: list[Stream] = []
        self._taken: set[tuple[int, int]] = set()
        self._offers_taken: set[str] = set()
        self._expected: list[Json] = []
        self._step = ""
        self._told: list[Json] = []
        self._begins: dict[int, int] = {}
        self._beaten: list[Stream] = []

    @property
    def stream(self) -> Stream:
        return self._streams[-1]

    async def play(self, trace: Path) -> None:
        entries = [json.loads(line) for line in trace.read_text().splitlines()]
        async with aiohttp.ClientSession() as session:
            self._session = session
            for entry in entries:
                await self._play(entry["kind"], entry["body"])
            await self._settle()
            for stream in self._streams:
                await stream.close()

    async def _play(self, kind: str, body: Any) -> None:
        match kind:
            case "note":
                await self._note(body)
            case "subscribe":
                await self._subscribe(body)
            case "call":
                await self._call(body)
            case "event":
                self._expected.append(body)
            case "stream-closed":
                self._expected.append({"type": kind})

    async def _note(self, text: str) -> None:
        await self._settle()
        number = text.split(" ", 1)[0]
        if number[0].isdigit():
            self._end_step()
            self._step = number
        if text in self._actions:
            await self._actions[text](self)

    async def _subscribe(self, body: Json) -> None:
        """A subscription's own events come after it; ERROR to the earlier stream was expected before it."""
        before, self._expected = self._expected, []
        answer = await self._session.post(self._url, json=self.variables.translate(body["request"]))
        self._streams.append(Stream(answer))
        assert answer.status == body["status"]
        for name in ("Content-Type", "Transfer-Encoding"):
            assert answer.headers[name] == body["headers"][name]
        self.variables.bind(body["headers"]["Mesos-Stream-Id"], self.stream.stream_id, "Mesos-Stream-Id")
        if len(self._streams) > 1:
            await self._settle_on(self._streams[-2], before)

    async def _settle_on(self, stream: Stream, expected: list[Json]) -> None:
        for event in expected:
            if event["type"] == "stream-closed":
                await until(lambda: stream.closed, "the earlier stream's end")
                continue
            await until(lambda event=event: event in stream.events, f"{event} on the earlier stream")
            self._told.append(event)
            self._taken.update((id(stream), index) for index, one in enumerate(stream.events) if one == event)

    async def _call(self, body: Json) -> None:
        request = body["request"]
        await self._settle(before=request["type"])
        translated = self.variables.translate(request)
        headers = {}
        if body["stream_id_sent"]:
            refused = "didn't match" in body["response"]
            headers["Mesos-Stream-Id"] = (self._streams[0] if refused else self.stream).stream_id
        async with self._session.post(self._url, json=translated, headers=headers) as answer:
            text = await answer.text()
            expected = body["status"], self.variables.text(body["response"])
            where = f"step {self._step}, {request['type']}: {expected} expected, got {answer.status, text}"
            assert (answer.status, text) == expected, where
        if request["type"] in self._actions:
            await self._actions[request["type"]](self)

    async def _settle(self, before: str = "") -> None:
        """Waits for what is expected, in the order of the trace; before a call not for the answers to it."""
        while self._expected and not (before and self._answers(self._expected[0], before)):
            await self._await_event(self._expected.pop(0))

    @staticmethod
    def _answers(event: Json, call: str) -> bool:
        reason = event.get("update", {}).get("status", {}).get("reason")
        return reason in AT_ONCE or (call == "REVIVE" and event["type"] == "OFFERS")

    async def _await_event(self, event: Json) -> None:
        kind = event["type"]
        if kind == "HEARTBEAT" and self.stream in self._beaten:
            return  # Only the first has its place in the story, right after SUBSCRIBED.
        if kind == "stream-closed":
            await until(lambda: self.stream.closed, "the stream's end")
            return
        deadline = time.monotonic() + DEADLINE_SECONDS
        problem: Difference | None = None
        while time.monotonic() < deadline:
            try:
                if kind == "OFFERS":
                    self._match_offers(event)
                else:
                    self._match(event)
                return
            except Difference as difference:
                problem = difference
            if kind == "OFFERS":
                self._offer()
            await asyncio.sleep(0.05)
        seen = [one for index, one in enumerate(self.stream.events) if (id(self.stream), index) not in self._taken]
        raise AssertionError(f"step {self._step}: {problem}\nexpected {event}\nleft over {json.dumps(seen, indent=1)}")

    def _match(self, event: Json) -> None:
        problem = Difference("nothing came")
        for index, here in enumerate(self.stream.events):
            if (id(self.stream), index) in self._taken or here["type"] != event["type"]:
                continue
            trial = self.variables.copy()
            try:
                unify(event, here, trial)
            except Difference as difference:
                problem = difference
                continue
            self.variables = trial
            self._taken.add((id(self.stream), index))
            if event["type"] == "HEARTBEAT":
                assert index == 1
                self._beaten.append(self.stream)
            if event["type"] in STORY_KINDS:
                self._told.append(event)
            return
        raise problem

    def _match_offers(self, event: Json) -> None:
        """Each offer on its own: how they are spread over events is chance."""
        offers = event["offers"]["offers"]
        while offers:
            problem = Difference("no offer came")
            for here in [offer for one in self.stream.of("OFFERS") for offer in one["offers"]]:
                if here["id"]["value"] in self._offers_taken:
                    continue
                trial = self.variables.copy()
                try:
                    unify(offers[0], here, trial)
                except Difference as difference:
                    problem = difference
                    continue
                self.variables = trial
                self._offers_taken.add(here["id"]["value"])
                offers.pop(0)
                break
            else:
                raise problem

    def _end_step(self) -> None:
        """Nothing else came in this step, and all in the trace's order; but an update may come again: it does if the
        agent dies before an acknowledgement has reached it."""
        came = []
        for stream in self._streams:
            begin = self._begins.get(id(stream), 0)
            for index, event in enumerate(stream.events[begin:], begin):
                again = event in stream.events[:index] and (id(stream), index) not in self._taken
                if event["type"] in STORY_KINDS and not again:
                    came.append(event)
            self._begins[id(stream)] = len(stream.events)
        told = [self._label(event) for event in self._told]
        labels = [self._label(event) for event in came]
        if self._step in SIMULTANEOUS:
            told, labels = sorted(told), sorted(labels)
        assert labels == told, f"step {self._step}: {told} expected, {labels} came"
        self._told = []

    @staticmethod
    def _label(event: Json) -> str:
        status = event.get("update", {}).get("status", {})
        detail = [status[name] for name in ("state", "reason") if name in status]
        return " ".join([event["type"], status.get("task_id", {}).get("value", ""), *detail])
