"""Offers: never more than there is, everything answered is free again, filters last as long as they should."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from localmesos.allocator import Allocator, Offer
from localmesos.resources import Resources

TOTAL = Resources.from_text("cpus:4;mem:4096;ports:[1-9]")
TASK = Resources.from_text("cpus:1;mem:512")
ROLES = {"first": ("a", "b"), "second": ("b",)}


def one_framework(*, minimums: dict[str, object] | None = None) -> Allocator:
    allocator = Allocator()
    allocator.add_agent("agent", TOTAL)
    allocator.add_framework("framework", ["role"], [], minimums or {})
    return allocator


def offers(allocator: Allocator, now: float = 0.0) -> list[Offer]:
    counter = itertools.count(len(allocator.offers))
    return allocator.allocate(now, lambda: f"at {now} {next(counter)}")


def test_what_is_offered_is_not_offered_again_until_answered() -> None:
    allocator = one_framework()
    (offer,) = offers(allocator)
    assert offer.resources == TOTAL
    assert offers(allocator) == []
    allocator.take(offer.offer_id)
    assert [again.resources for again in offers(allocator, 1.0)] == [TOTAL]


def test_a_refusal_holds_until_its_time_and_only_for_what_was_refused() -> None:
    allocator = one_framework()
    allocator.use("agent", ("task", "framework", "one"), "role", TASK)
    (offer,) = offers(allocator)
    allocator.take(offer.offer_id)
    allocator.refuse(offer, offer.resources, 5.0, 0.0)
    assert offers(allocator, 4.9) == []
    allocator.release("agent", ("task", "framework", "one"))
    (larger,) = offers(allocator, 4.95)
    assert larger.resources == TOTAL
    allocator.take(larger.offer_id)
    allocator.use("agent", ("task", "framework", "one"), "role", TASK)
    assert len(offers(allocator, 5.0)) == 1


def test_no_seconds_no_refusal() -> None:
    allocator = one_framework()
    (offer,) = offers(allocator)
    allocator.take(offer.offer_id)
    allocator.refuse(offer, offer.resources, 0.0, 0.0)
    assert len(offers(allocator)) == 1


def test_reviving_forgets_refusals_and_suppression() -> None:
    allocator = one_framework()
    (offer,) = offers(allocator)
    allocator.take(offer.offer_id)
    allocator.refuse(offer, offer.resources, 3600.0, 0.0)
    allocator.suppress("framework", [])
    assert offers(allocator, 4000.0) == []
    allocator.revive("framework", [])
    assert len(offers(allocator, 1.0)) == 1


def test_an_inactive_agent_or_framework_gets_no_offers() -> None:
    allocator = one_framework()
    allocator.set_agent_active("agent", False)
    assert offers(allocator) == []
    allocator.set_agent_active("agent", True)
    allocator.set_framework_active("framework", False)
    assert offers(allocator) == []


def test_too_little_is_not_offered() -> None:
    allocator = one_framework()
    allocator.use("agent", ("task", "framework", "one"), "role", Resources.from_text("cpus:3.995;mem:4070"))
    assert offers(allocator) == []


def test_the_frameworks_own_minimum_counts() -> None:
    least = {"min_allocatable_resources": {"quantities": [{"quantities": {"cpus": {"value": 5}}}]}}
    assert offers(one_framework(minimums={"role": least})) == []
    either = {"min_allocatable_resources": {"quantities": [{"quantities": {"cpus": 5}}, {"quantities": {"ports": 9}}]}}
    assert len(offers(one_framework(minimums={"role": either}))) == 1


def test_the_framework_with_less_gets_the_next_agent() -> None:
    allocator = Allocator()
    for name in ("first", "second"):
        allocator.add_framework(name, ["role"], [], {})
        allocator.add_agent(f"agent of {name}", TOTAL)
    assert sorted(offer.framework_id for offer in offers(allocator)) == ["first", "second"]


def test_a_reservation_is_offered_to_its_role_alone() -> None:
    allocator = one_framework()
    allocator.add_framework("other", ["other-role"], [], {})
    mine = Resources.parse(
        [
            {
                "name": "cpus",
                "type": "SCALAR",
                "scalar": {"value": 4},
                "reservations": [{"type": "DYNAMIC", "role": "role"}],
            }
        ]
    )
    allocator.convert("agent", Resources.from_text("cpus:4"), mine)
    by_framework = {offer.framework_id: offer.resources for offer in offers(allocator)}
    assert by_framework["framework"].contains(mine)
    assert all(not kind.reservations for kind, _ in by_framework.get("other", Resources()))


class AllocatorHistories(RuleBasedStateMachine):
    """Whatever happens, each agent's offers and uses fit into what it has."""

    @initialize(agents=st.integers(1, 3))
    def begin(self, agents: int) -> None:
        self.allocator = Allocator()
        self.now = 0.0
        self.counter = itertools.count()
        self.tasks: dict[tuple[str, str, str], str] = {}
        for number in range(agents):
            self.allocator.add_agent(f"agent {number}", TOTAL)
        for name, roles in ROLES.items():
            self.allocator.add_framework(name, roles, [], {})

    @rule(seconds=st.floats(0, 10))
    def allocate(self, seconds: float) -> None:
        self.now += seconds
        self.allocator.allocate(self.now, lambda: f"offer {next(self.counter)}")

    @precondition(lambda self: self.allocator.offers)
    @rule(data=st.data(), tasks=st.integers(0, 3), seconds=st.floats(0, 20))
    def answer(self, data: st.DataObject, tasks: int, seconds: float) -> None:
        offer = self.allocator.offers[data.draw(st.sampled_from(sorted(self.allocator.offers)))]
        self.allocator.take(offer.offer_id)
        left = offer.resources
        for _ in range(tasks):
            if left.contains(TASK):
                left = left - TASK
                holder = ("task", offer.framework_id, f"task {next(self.counter)}")
                self.tasks[holder] = offer.agent_id
                self.allocator.use(offer.agent_id, holder, offer.role, TASK)
        self.allocator.refuse(offer, left, seconds, self.now)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def end_task(self, data: st.DataObject) -> None:
        holder = data.draw(st.sampled_from(sorted(self.tasks)))
        self.allocator.release(self.tasks.pop(holder), holder)

    @rule(name=st.sampled_from(sorted(ROLES)), role=st.sampled_from(["", "b"]))
    def suppress(self, name: str, role: str) -> None:
        self.allocator.suppress(name, [role] if role else [])

    @rule(name=st.sampled_from(sorted(ROLES)))
    def revive(self, name: str) -> None:
        self.allocator.revive(name, [])

    @invariant()
    def nothing_is_given_twice(self) -> None:
        for number in range(3):
            agent_id = f"agent {number}"
            given = [offer.resources for offer in self.allocator.offers.values() if offer.agent_id == agent_id]
            given += [TASK for holder, agent in self.tasks.items() if agent == agent_id]
            for name in ("cpus", "mem", "ports"):
                assert sum(part.quantity(name) for part in given) <= TOTAL.quantity(name)

    @invariant()
    def who_is_suppressed_holds_no_newer_offer(self) -> None:
        before = set(self.allocator.offers)
        self.allocator.allocate(self.now, lambda: f"offer {next(self.counter)}")
        for offer_id in set(self.allocator.offers) - before:
            offer = self.allocator.offers[offer_id]
            assert offer.role not in self.allocator.suppressed(offer.framework_id)


TestAllocatorHistories = AllocatorHistories.TestCase
TestAllocatorHistories.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
