"""Reservations and volumes: what an operation consumes and what it makes of it. Pure; master and agent both use it."""

from __future__ import annotations

from typing import Any

from localmesos.resources import Resources

Json = dict[str, Any]


class OperationError(ValueError):
    """The operation makes no sense, whatever was offered."""


def plan(operation: Json) -> tuple[Resources, Resources]:
    """(consumed, converted) of RESERVE, UNRESERVE, CREATE, DESTROY; raises OperationError, ResourceError."""
    kind = operation["type"]
    key, part = {
        "RESERVE": ("reserve", "resources"),
        "UNRESERVE": ("unreserve", "resources"),
        "CREATE": ("create", "volumes"),
        "DESTROY": ("destroy", "volumes"),
    }[kind]
    items = operation.get(key, {}).get(part, [])
    if not items:
        raise OperationError(f"'{key}.{part}' is empty")
    plain = [_without_reservation(item) if part == "resources" else _without_volume(item) for item in items]
    with_it, without_it = Resources.parse(items), Resources.parse(plain)
    return (without_it, with_it) if kind in ("RESERVE", "CREATE") else (with_it, without_it)


def carry_over(total: Resources, own: Resources) -> Resources:
    """An agent's `own` resources with the reservations and volumes that `total` has; raises ResourceError where there
    is less than they need."""
    reserved = total.reserved()
    return (own - reserved.unreserved()) + reserved


def _without_reservation(item: Json) -> Json:
    reservations = item.get("reservations", [])
    if not reservations and "reservation" in item:
        return {key: value for key, value in item.items() if key not in ("reservation", "role")}
    if not reservations or reservations[-1].get("type") != "DYNAMIC":
        raise OperationError(f"resource '{item.get('name')}' is not dynamically reserved")
    if "disk" in item:
        raise OperationError("a persistent volume must be destroyed before it is unreserved")
    return {**item, "reservations": reservations[:-1]}


def _without_volume(item: Json) -> Json:
    if "persistence" not in item.get("disk", {}):
        raise OperationError(f"resource '{item.get('name')}' is no persistent volume")
    if not item.get("reservations") and item.get("role", "*") == "*":
        raise OperationError("a persistent volume needs reserved disk")
    source = item["disk"].get("source")
    rest = {key: value for key, value in item.items() if key != "disk"}
    return {**rest, "disk": {"source": source}} if source else rest
