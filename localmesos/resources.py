"""Resource arithmetic: scalars exact to a thousandth, port ranges, sets, with reservations and volumes.

A Resources value never changes. Allocation (which role an offer is for) is no part of it: it is taken off on the way in
and put on again on the way out, so that sums over offers, tasks and executors need not know it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Ranges = tuple[tuple[int, int], ...]
Amount = int | Ranges | frozenset[str]
Json = dict[str, Any]


class ResourceError(ValueError):
    """A resource that cannot be read, or a subtraction of what is not there."""


@dataclass(frozen=True)
class Kind:
    """What may be added together: same name, type, reservations and volume (the last two as canonical JSON)."""

    name: str
    type: str
    reservations: str = ""
    disk: str = ""


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, joined where they touch or overlap."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


def subtract_ranges(whole: Ranges, part: Ranges) -> Ranges:
    """What of `whole` is not in `part`."""
    left = list(whole)
    for begin, end in part:
        next_left: list[tuple[int, int]] = []
        for low, high in left:
            if end < low or high < begin:
                next_left.append((low, high))
                continue
            if low < begin:
                next_left.append((low, begin - 1))
            if end < high:
                next_left.append((end + 1, high))
        left = next_left
    return tuple(left)


def _size(ranges: Ranges) -> int:
    return sum(end - begin + 1 for begin, end in ranges)


def _add(one: Amount, other: Amount) -> Amount:
    match one, other:
        case int(), int():
            return one + other
        case frozenset(), frozenset():
            return one | other
        case tuple(), tuple():
            return merge_ranges(one + other)
    raise ResourceError("amounts of different types cannot be added")


def _subtract(one: Amount, other: Amount) -> Amount:
    match one, other:
        case int(), int():
            return max(0, one - other)
        case frozenset(), frozenset():
            return one - other
        case tuple(), tuple():
            return subtract_ranges(one, other)
    raise ResourceError("amounts of different types cannot be subtracted")


def _holds(one: Amount, other: Amount) -> bool:
    match one, other:
        case int(), int():
            return one >= other
        case frozenset(), frozenset():
            return one >= other
        case tuple(), tuple():
            return not subtract_ranges(other, one)
    return False


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if value else ""


class Resources:
    """An ordered sum of resources; empty amounts are left out. Adding keeps the left side's order."""

    __slots__ = ("_amounts",)

    def __init__(self, amounts: Mapping[Kind, Amount] | None = None) -> None:
        self._amounts: dict[Kind, Amount] = {kind: amount for kind, amount in (amounts or {}).items() if amount}

    @classmethod
    def parse(cls, items: Iterable[Json]) -> Resources:
        """From Mesos's JSON, with `reservations` or with the older `role` and `reservation`; raises ResourceError."""
        total = cls()
        for item in items:
            total = total + cls({_kind(item): _amount(item)})
        return total

    @classmethod
    def from_text(cls, text: str) -> Resources:
        """From `cpus:4;mem:4096;disk:10000;ports:[31000-31100,31200-31300]`; raises ResourceError."""
        total = cls()
        for part in filter(None, (part.strip() for part in text.split(";"))):
            name, colon, value = part.partition(":")
            if not colon or not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
                raise ResourceError(
                    f"resource '{part}': expected name:value, for example cpus:4 or ports:[31000-31100]"
                )
            total = total + cls({Kind(name, _type_of(value)): _amount_of(part, value)})
        return total

    def to_json(self, role: str | None = None, *, refined: bool = True) -> list[Json]:
        """Mesos's JSON; with `role`, allocated to it; not `refined`: `role` and `reservation` instead of `reservations`
        (for frameworks without the capability RESERVATION_REFINEMENT)."""
        return [_item(kind, amount, role, refined) for kind, amount in self._amounts.items()]

    def in_offer_order(self) -> Resources:
        """Ranges, then reservations, then the rest: the order of a real master's offers."""
        rank = {kind: (0 if kind.type == "RANGES" else 1 if kind.reservations else 2) for kind in self._amounts}
        return Resources(dict(sorted(self._amounts.items(), key=lambda entry: rank[entry[0]])))

    def for_role(self, role: str) -> Resources:
        """What may be offered to `role`: the unreserved, and what is reserved to it or to a role above it."""
        return Resources({kind: amount for kind, amount in self._amounts.items() if _visible(kind, role)})

    def reserved(self) -> Resources:
        """The part that is reserved; volumes lie only there."""
        return Resources({kind: amount for kind, amount in self._amounts.items() if kind.reservations})

    def unreserved(self) -> Resources:
        """The same amounts without reservations and volumes."""
        parts = (Resources({Kind(kind.name, kind.type): amount}) for kind, amount in self._amounts.items())
        return sum(parts, Resources())

    def without_named(self, names: Collection[str]) -> Resources:
        return Resources({kind: amount for kind, amount in self._amounts.items() if kind.name not in names})

    def scalar(self, name: str) -> int:
        """Thousandths of a scalar, over all reservations."""
        return sum(amount for kind, amount in self._amounts.items() if kind.name == name and isinstance(amount, int))

    def quantity(self, name: str) -> int:
        """Thousandths of a scalar, ports or set members times a thousand."""
        counts = (_count(amount) for kind, amount in self._amounts.items() if kind.name == name)
        return sum(counts)

    def volumes(self) -> list[Json]:
        """The `disk` parts of the persistent volumes, each with the role it is reserved to as `role`."""
        found = []
        for kind in self._amounts:
            if kind.disk:
                reservations = json.loads(kind.reservations or "[]")
                found.append({**json.loads(kind.disk), "role": reservations[-1]["role"] if reservations else "*"})
        return found

    def describe(self, role: str | None = None) -> str:
        """As a real master prints it in messages: `cpus(allocated: r):1.5; ports(allocated: r):[1-2, 4-4]`."""
        return "; ".join(_describe(kind, amount, role) for kind, amount in self._amounts.items())

    def contains(self, other: Resources) -> bool:
        return all(kind in self._amounts and _holds(self._amounts[kind], part) for kind, part in other)

    def without(self, other: Resources) -> Resources:
        """Subtraction that stops at nothing, for books that a returning agent may have overtaken."""
        left = dict(self._amounts)
        for kind, part in other:
            if kind in left:
                left[kind] = _subtract(left[kind], part)
        return Resources(left)

    def __add__(self, other: Resources) -> Resources:
        total = dict(self._amounts)
        for kind, part in other:
            total[kind] = _add(total[kind], part) if kind in total else part
        return Resources(total)

    def __sub__(self, other: Resources) -> Resources:
        if not self.contains(other):
            raise ResourceError(f"{other.describe()} is more than {self.describe() or 'nothing'}")
        return self.without(other)

    def __iter__(self) -> Iterator[tuple[Kind, Amount]]:
        return iter(self._amounts.items())

    def __bool__(self) -> bool:
        return bool(self._amounts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self._amounts == other._amounts

    def __hash__(self) -> int:
        return hash(frozenset(self._amounts.items()))

    def __repr__(self) -> str:
        return f"Resources({self.describe()!r})"


def _kind(item: Json) -> Kind:
    for unsupported in ("revocable", "shared", "provider_id"):
        if unsupported in item:
            raise ResourceError(f"resource '{item.get('name')}': '{unsupported}' resources do not exist here")
    reservations = item.get("reservations", [])
    older_role = item.get("role", "*")
    if not reservations and older_role != "*":
        kind = "DYNAMIC" if "reservation" in item else "STATIC"
        reservations = [{"type": kind, "role": older_role, **item.get("reservation", {})}]
    return Kind(item["name"], item["type"], _canonical(reservations), _canonical(item.get("disk")))


def _amount(item: Json) -> Amount:
    try:
        match item["type"]:
            case "SCALAR":
                amount = round(float(item["scalar"]["value"]) * 1000)
            case "RANGES":
                pairs = [(int(part["begin"]), int(part["end"])) for part in item["ranges"]["range"]]
                if any(begin > end for begin, end in pairs):
                    raise ResourceError(f"resource '{item['name']}': a range begins after its end")
                return merge_ranges(pairs)
            case "SET":
                return frozenset(item["set"]["item"])
            case other:
                raise ResourceError(f"resource '{item['name']}': type '{other}' is none of SCALAR, RANGES, SET")
    except ResourceError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ResourceError(f"resource '{item.get('name')}': incomplete ({error})") from None
    if amount < 0:
        raise ResourceError(f"resource '{item['name']}': {amount / 1000:g} is less than 0")
    return amount


def _type_of(value: str) -> str:
    return "RANGES" if value.startswith("[") else "SET" if value.startswith("{") else "SCALAR"


def _amount_of(part: str, value: str) -> Amount:
    try:
        if value.startswith("["):
            pairs = [tuple(map(int, pair.split("-"))) for pair in value.strip("[]").split(",")]
            if any(len(pair) != 2 or pair[0] > pair[1] for pair in pairs):
                raise ValueError
            return merge_ranges((pair[0], pair[1]) for pair in pairs)
        if value.startswith("{"):
            return frozenset(member.strip() for member in value.strip("{}").split(","))
        if float(value) < 0:
            raise ValueError
        return round(float(value) * 1000)
    except (ValueError, OverflowError):
        raise ResourceError(f"resource '{part}': expected a number >= 0, [begin-end,...] or {{a,b}}") from None


def _visible(kind: Kind, role: str) -> bool:
    if not kind.reservations:
        return True
    owner = json.loads(kind.reservations)[-1]["role"]
    return role == owner or role.startswith(f"{owner}/")


def _count(amount: Amount) -> int:
    if isinstance(amount, int):
        return amount
    return 1000 * (_size(amount) if isinstance(amount, tuple) else len(amount))


def _item(kind: Kind, amount: Amount, role: str | None, refined: bool) -> Json:
    item: Json = {"name": kind.name, "type": kind.type}
    match amount:
        case int():
            item["scalar"] = {"value": amount / 1000}
        case tuple():
            item["ranges"] = {"range": [{"begin": begin, "end": end} for begin, end in amount]}
        case _:
            item["set"] = {"item": sorted(amount)}
    if role is not None:
        item["allocation_info"] = {"role": role}
    reservations = json.loads(kind.reservations) if kind.reservations else []
    if refined and reservations:
        item["reservations"] = reservations
    if not refined:
        item["role"] = reservations[-1]["role"] if reservations else "*"
        if reservations and reservations[-1]["type"] == "DYNAMIC":
            item["reservation"] = {key: value for key, value in reservations[-1].items() if key not in ("type", "role")}
    if kind.disk:
        item["disk"] = json.loads(kind.disk)
    return item


def _describe(kind: Kind, amount: Amount, role: str | None) -> str:
    text = kind.name + (f"(allocated: {role})" if role else "")
    if kind.reservations:
        owners = ",".join(f"({part['type']},{part['role']})" for part in json.loads(kind.reservations))
        text += f"(reservations: [{owners}])"
    if kind.disk:
        disk = json.loads(kind.disk)
        volume = disk.get("persistence", {}).get("id", "")
        text += f"[{volume}:{disk.get('volume', {}).get('container_path', '')}]"
    match amount:
        case int():
            return f"{text}:{amount / 1000:.10g}"
        case tuple():
            return f"{text}:[{', '.join(f'{begin}-{end}' for begin, end in amount)}]"
        case _:
            return f"{text}:{{{', '.join(sorted(amount))}}}"
