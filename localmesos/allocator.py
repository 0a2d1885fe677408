"""Who is offered what: the books of each agent, offers out, filters, shares. Pure: time and offer ids come in.

Holds, at any time, for each agent: free + offered + used = total (unless a returning agent brings more tasks than it
reports resources for).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localmesos.resources import Resources

Json = dict[str, Any]
Holder = tuple[str, str, str]
"""What uses resources: ("task" | "executor", framework id, task or executor id)."""

MINIMUM_CPUS = 10
MINIMUM_MEM = 32_000
"""Thousandths. As in Mesos, less than 0.01 CPU together with less than 32 MB is not offered."""

LONGEST_REFUSAL = 365 * 24 * 3600.0


@dataclass(frozen=True)
class Offer:
    offer_id: str
    framework_id: str
    agent_id: str
    role: str
    resources: Resources


@dataclass(frozen=True)
class Refusal:
    """Until then, nothing is offered that these resources contain."""

    resources: Resources
    until: float


@dataclass
class _Books:
    total: Resources
    used: dict[Holder, tuple[str, Resources]] = field(default_factory=dict)
    active: bool = True


@dataclass
class _Client:
    roles: tuple[str, ...]
    suppressed: set[str]
    minimums: Mapping[str, list[dict[str, int]]]
    active: bool = True


class Allocator:
    def __init__(self) -> None:
        self._agents: dict[str, _Books] = {}
        self._clients: dict[str, _Client] = {}
        self._refusals: dict[tuple[str, str, str], list[Refusal]] = {}
        self.offers: dict[str, Offer] = {}

    # agents

    def add_agent(self, agent_id: str, total: Resources) -> None:
        self._agents.setdefault(agent_id, _Books(total)).total = total
        self._agents[agent_id].active = True

    def set_agent_active(self, agent_id: str, active: bool) -> None:
        if agent_id in self._agents:
            self._agents[agent_id].active = active

    def remove_agent(self, agent_id: str) -> None:
        """Its offers must have been taken back before."""
        self._agents.pop(agent_id, None)
        self._refusals = {key: value for key, value in self._refusals.items() if key[2] != agent_id}

    def total(self, agent_id: str) -> Resources:
        return self._agents[agent_id].total

    def used(self, agent_id: str) -> Resources:
        return sum((part for _, part in self._agents[agent_id].used.values()), Resources())

    def free(self, agent_id: str) -> Resources:
        offered = (offer.resources for offer in self.offers.values() if offer.agent_id == agent_id)
        return self.total(agent_id).without(self.used(agent_id)).without(sum(offered, Resources()))

    def use(self, agent_id: str, holder: Holder, role: str, resources: Resources) -> None:
        self._agents[agent_id].used[holder] = (role, resources)

    def release(self, agent_id: str, holder: Holder) -> None:
        if agent_id in self._agents:
            self._agents[agent_id].used.pop(holder, None)

    def convert(self, agent_id: str, consumed: Resources, converted: Resources) -> None:
        """A reservation or a volume made or undone."""
        books = self._agents[agent_id]
        books.total = (books.total - consumed) + converted

    # frameworks

    def add_framework(
        self, framework_id: str, roles: Iterable[str], suppressed: Iterable[str], minimums: Mapping[str, Any]
    ) -> None:
        """`minimums`: FrameworkInfo's `offer_filters`, by role."""
        self._clients[framework_id] = _Client(tuple(roles), set(suppressed), _minimums(minimums))

    def remove_framework(self, framework_id: str) -> None:
        """Its offers must have been taken back before."""
        self._clients.pop(framework_id, None)
        self._refusals = {key: value for key, value in self._refusals.items() if key[0] != framework_id}

    def set_framework_active(self, framework_id: str, active: bool) -> None:
        if framework_id in self._clients:
            self._clients[framework_id].active = active

    def suppress(self, framework_id: str, roles: Iterable[str]) -> None:
        client = self._clients[framework_id]
        client.suppressed |= set(roles) or set(client.roles)

    def suppressed(self, framework_id: str) -> set[str]:
        client = self._clients.get(framework_id)
        return set(client.suppressed) if client else set()

    def revive(self, framework_id: str, roles: Iterable[str]) -> None:
        """Offers again, and forgets the filters."""
        client = self._clients[framework_id]
        chosen = set(roles) or set(client.roles)
        client.suppressed -= chosen
        for key in [key for key in self._refusals if key[0] == framework_id and key[1] in chosen]:
            del self._refusals[key]

    # offers

    def allocate(
        self,
        now: float,
        new_offer_id: Callable[[], str],
        withheld: Collection[str] = (),
        hidden: Callable[[str, str], bool] = lambda framework_id, agent_id: False,
    ) -> list[Offer]:
        """Offers whatever is free: all that a role may have of one agent goes to the framework with the least share.
        `withheld`: names of resources that are not offered. `hidden`: a framework is not offered that agent."""
        made = []
        for agent_id, books in self._agents.items():
            if not books.active:
                continue
            for framework_id, role in self._by_share():
                if hidden(framework_id, agent_id):
                    continue
                resources = self.free(agent_id).for_role(role).in_offer_order().without_named(withheld)
                if self._worthwhile(framework_id, role, resources) and not self._refused(
                    (framework_id, role, agent_id), resources, now
                ):
                    offer = Offer(new_offer_id(), framework_id, agent_id, role, resources)
                    self.offers[offer.offer_id] = offer
                    made.append(offer)
        return made

    def take(self, offer_id: str) -> Offer | None:
        """The offer is answered, withdrawn or lost: what it held is free again."""
        return self.offers.pop(offer_id, None)

    def refuse(self, offer: Offer, resources: Resources, seconds: float, now: float) -> None:
        """`resources`: what was left of the offer. Nothing to remember for 0 seconds or nothing left."""
        if seconds > 0 and resources:
            key = (offer.framework_id, offer.role, offer.agent_id)
            refusal = Refusal(resources, now + min(seconds, LONGEST_REFUSAL))
            self._refusals.setdefault(key, []).append(refusal)

    def _refused(self, key: tuple[str, str, str], resources: Resources, now: float) -> bool:
        valid = [refusal for refusal in self._refusals.get(key, []) if refusal.until > now]
        if valid:
            self._refusals[key] = valid
        else:
            self._refusals.pop(key, None)
        return any(refusal.resources.contains(resources) for refusal in valid)

    def _worthwhile(self, framework_id: str, role: str, resources: Resources) -> bool:
        minimums = self._clients[framework_id].minimums.get(role)
        if minimums is not None:
            return bool(resources) and any(
                all(resources.quantity(name) >= least for name, least in quantities.items()) for quantities in minimums
            )
        return resources.scalar("cpus") >= MINIMUM_CPUS or resources.scalar("mem") >= MINIMUM_MEM

    def _by_share(self) -> list[tuple[str, str]]:
        """(framework, role) that want offers, the smallest dominant share first."""
        wanting = [
            (framework_id, role)
            for framework_id, client in self._clients.items()
            if client.active
            for role in client.roles
            if role not in client.suppressed
        ]
        if len(wanting) < 2:
            return wanting  # nobody to share with: the sums over all agents would cost most of a round
        whole = sum((books.total for books in self._agents.values()), Resources())
        shares: dict[str, Resources] = {framework_id: Resources() for framework_id in self._clients}
        for books in self._agents.values():
            for (_, framework_id, _), (_, used) in books.used.items():
                shares[framework_id] = shares.get(framework_id, Resources()) + used
        for offer in self.offers.values():
            shares[offer.framework_id] = shares.get(offer.framework_id, Resources()) + offer.resources

        def dominant(framework_id: str) -> float:
            return max(
                (
                    shares[framework_id].scalar(name) / whole.scalar(name)
                    for name in ("cpus", "mem")
                    if whole.scalar(name)
                ),
                default=0.0,
            )

        return sorted(wanting, key=lambda pair: dominant(pair[0]))


def _minimums(offer_filters: Mapping[str, Any]) -> dict[str, list[dict[str, int]]]:
    found = {}
    for role, filters in offer_filters.items():
        sets = filters.get("min_allocatable_resources", {}).get("quantities", [])
        if sets:
            found[role] = [
                {name: round(_quantity(value) * 1000) for name, value in one.get("quantities", {}).items()}
                for one in sets
            ]
    return found


def _quantity(value: Any) -> float:
    return float(value["value"] if isinstance(value, dict) else value)
