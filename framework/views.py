"""The state as people and scripts see it: plain JSON values for the API, the dashboard and the command line. Pure; the
readers get what the last decision knew.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from framework import clients, mounting, paths, vips
from framework.config import Configuration
from framework.model import LIFE, CachingWorker, Kind, Life, Record, TaskState, group_of, kind_of
from framework.planner import State, current_report, down_since, gate, launch_after, registered_workers, wanted_slots
from framework.state import in_order, is_asked_for


class Phase(enum.StrEnum):
    """Where a slot stands, as shown to people."""

    WAITING = "waiting"  # for an offer, or for what must come first
    STAGING = "staging"  # launched; the agent fetches and starts the executor
    STARTING = "starting"  # the executor starts Alluxio's processes
    RUNNING = "running"  # they answer
    REGISTERED = "registered"  # and Alluxio's master lists the worker
    READY = "ready"  # a master or a proxy that answers
    STOPPING = "stopping"
    UNREACHABLE = "unreachable"
    DELAYED = "delayed"  # failed; waits before the next launch


def phase(state: State, slot: str, registered: frozenset[tuple[str, int]], now: float) -> Phase:
    record = state.records.get(slot)
    if record is None:
        return Phase.WAITING
    report = current_report(state, record)
    if report is None:
        return Phase.STAGING
    match LIFE[report.state]:
        case Life.LIMBO:
            return Phase.UNREACHABLE
        case Life.TERMINAL:
            return Phase.DELAYED if now < launch_after(state, slot) else Phase.WAITING
        case Life.ACTIVE:
            pass
    if report.state is TaskState.KILLING:
        return Phase.STOPPING
    if report.state is TaskState.STAGING:
        return Phase.STAGING
    if report.state is TaskState.STARTING or not report.healthy:
        return Phase.STARTING
    if record.kind is not Kind.WORKER:
        return Phase.READY
    return Phase.REGISTERED if (record.hostname, record.ports.get("rpc", -1)) in registered else Phase.RUNNING


@dataclasses.dataclass(frozen=True, slots=True)
class _Listed:
    """What Alluxio lists, by host and RPC port, and which of it is live: found once for all tasks."""

    workers: Mapping[tuple[str, int], CachingWorker]
    live: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, state: State) -> _Listed:
        return cls(listed(state), registered_workers(state.cache))


def listed(state: State) -> dict[tuple[str, int], CachingWorker]:
    """What Alluxio lists, by host and RPC port; of two at one address, the first."""
    return {(worker.host, worker.rpc_port): worker for worker in reversed(state.cache.workers)}


def is_timeless(state: State, now: float) -> bool:
    """Whether all that is told of this state stays the same from now on: nothing ends, or begins, by the clock."""
    memory = max(state.policy.longest_backoff, state.policy.stable_after)
    if state.drains or any(call.failed for call in state.mount_calls.values()):
        return False
    if any(failure.at + memory > now for failure in state.failures.values()):
        return False
    reports = (current_report(state, record) for record in state.records.values())
    return all(report is not None and LIFE[report.state] is Life.ACTIVE for report in reports)


def slots(state: State) -> list[str]:
    """Every slot to show, in the order of deployment: what is wanted, and what still runs though it is not. The "one
    more, on the next agent" is not shown.
    """
    shown: list[str] = []
    there = sorted(state.records.values(), key=in_order)
    for group in state.wanted.all_groups:
        wanted = wanted_slots(state, group) if state.wanted.count(group) is not None else []
        shown.extend(dict.fromkeys([*wanted, *(record.slot for record in there if record.group == group)]))
    known = frozenset(state.wanted.all_groups)
    return [*shown, *(record.slot for record in there if record.group not in known)]


def health(state: State, heard_at: float, now: float) -> dict[str, Any]:
    """Whether the scheduler itself does its work (C31); what runs on the agents is the status's business."""
    return {
        "healthy": (state.connected or state.removed or state.erased) and state.stop is None,
        "connected": state.connected,
        "reason": state.trouble,
        "mesos": state.master,
        "framework_id": state.framework_id,
        "seconds_since_heard": round(now - heard_at, 1) if heard_at else None,
    }


def status(state: State, configuration: Configuration, path_reasons: Mapping[str, str], now: float) -> dict[str, Any]:
    """``path_reasons`` says by path why a wanted one is not as it is wanted, "" when it is."""
    known = _Listed.of(state)
    tasks = [_task(state, slot, known, now) for slot in slots(state)]
    return {
        "service": configuration.name,
        "configuration": state.wanted.configuration,
        "wanted": {
            "masters": state.wanted.masters,
            "workers": "all" if state.wanted.workers is None else state.wanted.workers,
            "proxies": state.wanted.proxies,
            "groups": {
                group.partition("-")[2]: "all" if wanted.count is None else wanted.count
                for group, wanted in sorted(state.wanted.groups.items())
            },
        },
        "waiting_for": {
            kind.value: reason for kind in Kind if is_asked_for(state, kind) and (reason := gate(state, kind))
        },
        "tasks": tasks,
        "mounts": mounting.counts(state, now),
        "paths": paths.counts(state.paths, path_reasons),
        "not_as_wanted": _not_as_wanted(state, path_reasons, now),
        "alluxio": {
            "leader": state.cache.primary,
            "reason": state.cache.reason,
            "capacity_bytes": sum(worker.capacity for worker in state.cache.workers if worker.live),
            "used_bytes": sum(worker.used for worker in state.cache.workers if worker.live),
            "live_workers": len(known.live),
        },
    }


def _not_as_wanted(state: State, path_reasons: Mapping[str, str], now: float) -> list[dict[str, str]]:
    """Storages, then paths; of each kind those that fail first."""
    found = [
        {"kind": "mount", "path": mount.path, "wanted": mount.uri, "state": standing.value, "reason": reason}
        for mount, standing, reason in mounting.not_as_wanted(state, now)
    ]
    for one, stands, reason in paths.where(state.paths, path_reasons):
        if stands is not paths.PathStanding.MADE:
            wanted = paths.told(paths.as_document(one.attributes))
            found.append({"kind": "path", "path": one.path, "wanted": wanted, "state": stands.value, "reason": reason})
    return sorted(found, key=lambda one: (one["kind"], one["state"] != "failing"))


def _task(state: State, slot: str, known: _Listed, now: float) -> dict[str, Any]:
    record = state.records.get(slot)
    shown: dict[str, Any] = {"slot": slot, "phase": phase(state, slot, known.live, now)}
    failure = state.failures.get(slot)
    if failure is not None and (record is None or down_since(state, record, now) is not None):
        shown["failure"] = {
            "count": failure.count,
            "reason": failure.reason,
            "next_launch_in_seconds": round(max(0.0, launch_after(state, slot) - now), 1),
        }
    if record is None:
        return shown
    report = current_report(state, record)
    shown |= {
        "task_id": record.task_id,
        "agent_id": record.agent_id,
        "hostname": record.hostname,
        "ports": dict(record.ports),
    }
    if record.volumes:
        shown["volumes"] = [
            {"tier": volume.tier, "persistence_id": volume.persistence_id, "size_mib": volume.size}
            for volume in record.volumes
        ]
    if report is not None:
        shown |= {"state": report.state, "ready": report.healthy, "message": report.message, "since": report.since}
    if record.kind is Kind.WORKER:
        worker = known.workers.get((record.hostname, record.ports.get("rpc", -1)))
        if worker is not None:
            shown |= {"capacity_bytes": worker.capacity, "used_bytes": worker.used}
    return shown


def tasks(state: State, now: float) -> list[dict[str, Any]]:
    """Every slot with all that is known of it."""
    known = _Listed.of(state)
    return [_whole_task(state, slot, known, now) for slot in slots(state)]


def task(state: State, name: str, now: float) -> dict[str, Any] | None:
    """The same of one, by its slot or its current task id; None for what is not there."""
    slot = name.partition(".")[0]
    record = state.records.get(slot)
    if slot not in slots(state) or (slot != name and (record is None or record.task_id != name)):
        return None
    return _whole_task(state, slot, _Listed.of(state), now)


def _whole_task(state: State, slot: str, known: _Listed, now: float) -> dict[str, Any]:
    shown = _task(state, slot, known, now)
    shown["kind"] = kind_of(group_of(slot)).value
    record = state.records.get(slot)
    if record is None:
        return shown
    report = current_report(state, record)
    return shown | {
        "attempt": record.attempt,
        "configuration": record.configuration,
        "launched_at": record.launched_at,
        "deployed": record.deployed,
        "attributes": dict(record.attributes),
        "processes": dict(report.processes) if report is not None else {},
        # Below the agent's work directory, as Mesos lays it out.
        "sandbox": f"slaves/{record.agent_id}/frameworks/{state.framework_id}/executors/{record.task_id}/runs/latest",
    }


def offers(state: State) -> dict[str, Any]:
    """The last refusals, the newest first (C18)."""
    return {
        "waiting": len(state.offers),
        "suppressed": state.suppressed,
        "refused": [
            {"agent_id": refusal.agent_id, "hostname": refusal.hostname, "reason": refusal.reason, "at": refusal.at}
            for refusal in reversed(state.refusals)
        ],
    }


def endpoints(state: State, configuration: Configuration, api_url: str) -> dict[str, Any]:
    def of(kind: Kind) -> list[Record]:
        return sorted((record for record in state.records.values() if record.kind is kind), key=in_order)

    masters = of(Kind.MASTER)
    leader = state.cache.primary
    leading = next((record for record in masters if leader == f"{record.hostname}:{record.ports['rpc']}"), None)
    return {
        "api": api_url,
        "mesos": f"http://{state.master}" if state.master else None,
        "zookeeper": configuration.zookeeper_hosts,
        "alluxio": {
            "uri": clients.uri(state, configuration),
            "leader": leader,
            "leader_path": clients.leader_path(configuration),
            "web": f"http://{leading.hostname}:{leading.ports['web']}" if leading is not None else None,
            "masters": [f"{record.hostname}:{record.ports['rpc']}" for record in masters],
            "workers": [f"{record.hostname}:{record.ports['rpc']}" for record in of(Kind.WORKER)],
            "proxies": [f"http://{record.hostname}:{record.ports['web']}" for record in of(Kind.PROXY)],
            **({"vips": dict(known)} if (known := vips.addresses(configuration)) else {}),
        },
    }
