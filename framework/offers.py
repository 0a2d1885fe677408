"""Does an offer fit, and what exactly is taken of it? Pure arithmetic over frozen values.

An answer is either the resources to take or one sentence that says why not. Amounts are whole thousandths, as Mesos
keeps three decimals: no float is ever compared.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from framework.model import Holding, Need, NewVolume, Range, Resource, Volume, VolumeNeed

Resources = tuple[Resource, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """Where a slot's volumes lie: those that are there already, as they are named in a launch, and those to be made."""

    volumes: tuple[Volume, ...] = ()
    there: Resources = ()
    new: tuple[NewVolume, ...] = ()

    @property
    def disk(self) -> Resources:
        """What the new ones take of the offer."""
        return tuple(new.disk for new in self.new)


@dataclasses.dataclass(frozen=True, slots=True)
class Fit:
    """What a launch takes, its ports by name, and its volumes, which are no part of ``taken``."""

    taken: Resources
    ports: Mapping[str, int]
    placed: Placed = Placed()


def place(
    resources: Resources,
    holdings: Collection[Holding],
    needs: Collection[VolumeNeed],
    slot: str,
    known: Mapping[str, Volume],
    *,
    awaited: bool,
    prefix: str,
) -> Placed | str:
    """A volume for each tier that is needed, or in a sentence's tail why that is impossible.

    ``known`` are the volumes that the slot had on this very agent, by tier. ``awaited``: those that hold cached blocks
    must be there again. A volume that is there is taken whatever its size; a new one gets an id that begins with
    ``prefix``, which must never have been used.
    """
    volumes: list[Volume] = []
    there: list[Resource] = []
    new: list[NewVolume] = []
    for need in needs:
        before = known.get(need.tier)
        held = _held(holdings, slot, need.tier, before)
        if held is not None:
            used = before.used if before is not None and before.persistence_id == held.persistence_id else True
            volumes.append(Volume(need.tier, held.persistence_id, held.size, used))
            there.append(held.resource)
            continue
        if awaited and before is not None and before.used:
            return f"does not hold the {before.size} MiB of its {need.tier} volume {before.persistence_id}"
        disk = _unreserved(resources, need)
        if isinstance(disk, str):
            return disk
        resources = rest(resources, (disk,))
        volume = Volume(need.tier, f"{prefix}.{need.tier}", need.size)
        volumes.append(volume)
        new.append(NewVolume(slot, volume, disk))
    return Placed(tuple(volumes), tuple(there), tuple(new))


def _held(holdings: Collection[Holding], slot: str, tier: str, before: Volume | None) -> Holding | None:
    """The volume that the slot had, else any that was made for it."""
    fitting = [holding for holding in holdings if (holding.slot, holding.tier) == (slot, tier)]
    ids = [holding.persistence_id for holding in fitting]
    if before is not None and before.persistence_id in ids:
        return fitting[ids.index(before.persistence_id)]
    return next((holding for holding in fitting if holding.persistence_id and holding.own), None)


def _unreserved(resources: Resources, need: VolumeNeed) -> Resource | str:
    """Disk that can still be reserved: none that is reserved already."""
    free = [resource for resource in resources if resource.name == "disk" and not resource.reservations]
    offered = sum(resource.thousandths for resource in free)
    if offered < need.size * 1000:
        return f"offers {offered // 1000} MiB of {need.size} MiB unreserved disk for the {need.tier} tier"
    return dataclasses.replace(free[0], thousandths=need.size * 1000)


def fit(
    resources: Resources,
    need: Need,
    preferred: Mapping[str, int] | None = None,
    *,
    same_ports: bool = False,
    others: Collection[int] = (),
) -> Fit | str:
    """Take ``need`` out of ``resources``, or say in a sentence's tail why that is impossible.

    ``preferred`` are the ports that the slot had before: they are taken again where they are offered. With
    ``same_ports`` nothing else will do, because others hold the slot's address (workers know their master by host and
    port), not even a port that is fixed. ``others`` are the ports that other slots had on this agent, or that are fixed
    for any: they are left free for those.
    """
    shortage = _shortage(resources, need)
    if shortage:
        return shortage
    ports = _choose_ports(resources, need, preferred or {}, others, same_ports=same_ports)
    if isinstance(ports, str):
        return ports
    amounts = {"cpus": need.cpus, "mem": need.memory * 1000, "disk": need.disk * 1000}
    return Fit((*_take_ports(resources, ports.values()), *_take(resources, amounts)), ports)


def rest(resources: Resources, taken: Resources) -> Resources:
    """What stays of ``resources`` once ``taken`` is gone; entries that are used up are left out."""
    amounts: dict[tuple[str, str, str], int] = {}
    for resource in taken:
        key = (resource.name, resource.role, resource.reservations)
        amounts[key] = amounts.get(key, 0) + resource.thousandths
    ports = {port for resource in taken for span in resource.ranges for port in range(span.begin, span.end + 1)}
    left: list[Resource] = []
    for resource in resources:
        key = (resource.name, resource.role, resource.reservations)
        gone = min(resource.thousandths, amounts.get(key, 0))
        amounts[key] = amounts.get(key, 0) - gone
        ranges = tuple(itertools.chain.from_iterable(_without(span, ports) for span in resource.ranges))
        if resource.thousandths > gone or ranges:
            left.append(dataclasses.replace(resource, thousandths=resource.thousandths - gone, ranges=ranges))
    return tuple(left)


def take_scalar(resources: Resources, name: str, amount: int) -> tuple[Resources, Resources]:
    """(``amount`` thousandths of ``name``, what is left of ``resources``)."""
    taken = tuple(_take(resources, {name: amount}))
    return taken, rest(resources, taken)


def _shortage(resources: Resources, need: Need) -> str | None:
    """The scalars in one pass, as this runs for each of the offers of a round."""
    cpus = memory = disk = 0
    for resource in resources:
        name = resource.name
        if name == "cpus":
            cpus += resource.thousandths
        elif name == "mem":
            memory += resource.thousandths
        elif name == "disk":
            disk += resource.thousandths
    if cpus < need.cpus:
        return f"offers {cpus / 1000:g} of {need.cpus / 1000:g} CPUs"
    if memory < need.memory * 1000:
        return f"offers {memory // 1000} MiB of {need.memory} MiB memory"
    if disk < need.disk * 1000:
        return f"offers {disk // 1000} MiB of {need.disk} MiB disk"
    return None


def _choose_ports(
    resources: Resources,
    need: Need,
    preferred: Mapping[str, int],
    others: Collection[int],
    *,
    same_ports: bool,
) -> dict[str, int] | str:
    spans = [span for resource in resources if resource.name == "ports" for span in resource.ranges]
    fixed = {name: port for name, port in need.fixed_ports if not (same_ports and name in preferred)}
    kept: dict[str, int] = {}
    for name in need.ports:
        port = fixed.get(name, preferred.get(name))
        if port is None or (name not in fixed and not same_ports and port in others):
            continue
        if any(span.begin <= port <= span.end for span in spans):
            kept[name] = port
        elif name in fixed:
            return f"does not offer port {port}, at which its {name} port is fixed: it offers {_shown(spans)}"
        elif same_ports:
            return f"does not offer port {port}, where others expect its {name} port"
    free = _free_ports(spans, {*kept.values(), *others})
    chosen: dict[str, int] = {}
    for name in need.ports:
        port = kept[name] if name in kept else next(free, None)
        if port is not None:
            chosen[name] = port
    return chosen if len(chosen) == len(need.ports) else f"offers {len(chosen)} of {len(need.ports)} ports"


_MOST_SHOWN: Final = 4  # ranges of ports in a sentence


def _shown(spans: Sequence[Range]) -> str:
    found = [f"{span.begin}-{span.end}" for span in spans[:_MOST_SHOWN]]
    return ", ".join([*found, *(["…"] if len(spans) > _MOST_SHOWN else [])]) or "none"


def _free_ports(spans: Iterable[Range], used: AbstractSet[int]) -> Iterator[int]:
    for span in spans:
        for port in range(span.begin, span.end + 1):
            if port not in used:
                yield port


def _take(resources: Resources, amounts: dict[str, int]) -> list[Resource]:
    """Reserved resources are used before what is anyone's, so that this stays free for others. ``amounts`` becomes what
    is still missing.
    """
    if any(resource.reservations for resource in resources):
        resources = tuple(sorted(resources, key=lambda resource: not resource.reservations))
    taken: list[Resource] = []
    for resource in resources:
        portion = min(amounts.get(resource.name, 0), resource.thousandths)
        if portion:
            taken.append(Resource(resource.name, resource.role, portion, (), resource.reservations))
            amounts[resource.name] -= portion
    return taken


def _take_ports(resources: Resources, ports: Collection[int]) -> list[Resource]:
    taken: list[Resource] = []
    for resource in resources:
        if resource.name != "ports":
            continue
        here = [port for span in resource.ranges for port in ports if span.begin <= port <= span.end]
        if here:
            taken.append(Resource(resource.name, resource.role, 0, _ranges(here), resource.reservations))
    return taken


def _ranges(ports: Iterable[int]) -> tuple[Range, ...]:
    """The fewest closed ranges that hold exactly these ports."""
    spans: list[tuple[int, int]] = []
    for port in sorted(ports):
        if spans and spans[-1][1] == port - 1:
            spans[-1] = (spans[-1][0], port)
        else:
            spans.append((port, port))
    return tuple([Range(begin, end) for begin, end in spans])


def _without(span: Range, ports: Collection[int]) -> Iterator[Range]:
    begin = span.begin
    for port in sorted(port for port in ports if span.begin <= port <= span.end):
        if begin < port:
            yield Range(begin, port - 1)
        begin = port + 1
    if begin <= span.end:
        yield Range(begin, span.end)
