"""The life of a framework in the master: subscribed, disconnected, failed over, removed."""

from __future__ import annotations

import asyncio
import uuid

from localmesos.cluster import Cluster, Framework, Json, log
from localmesos.streams import EventStream


def subscribe(
    cluster: Cluster, subscription: Json, heartbeat_seconds: float, principal: str | None
) -> Framework | None:
    """Takes the SUBSCRIBE's content, gives the framework with its new stream; None when the id was removed before.

    An id that this master never gave is believed: its framework subscribed with an earlier master."""
    info = subscription["framework_info"]
    framework_id = info.get("id", {}).get("value") or ""
    if framework_id in cluster.completed:
        return None
    framework = cluster.frameworks.get(framework_id)
    is_new = framework is None
    if framework is None:
        framework_id = framework_id or cluster.new_framework_id()
        framework = Framework(framework_id, info, cluster.faults, registered_at=cluster.now())
        cluster.frameworks[framework.framework_id] = framework
    else:
        framework.reregistered_at = cluster.now()
        _take_over(cluster, framework)
    framework.info = {**info, "id": {"value": framework.framework_id}}
    framework.principal = principal
    framework.stream = EventStream(lambda: cluster.faults.heard("schedulers"))
    framework.stream_id = str(uuid.uuid4())
    suppressed = subscription.get("suppressed_roles", [])
    cluster.allocator.add_framework(framework.framework_id, framework.roles, suppressed, info.get("offer_filters", {}))
    framework.send(
        "SUBSCRIBED",
        {
            "framework_id": {"value": framework.framework_id},
            "heartbeat_interval_seconds": heartbeat_seconds,
            "master_info": cluster.master_info,
        },
    )
    framework.send("HEARTBEAT")
    log.info("Subscribed %s with roles %s.", framework.title, ", ".join(framework.roles) or "none")
    if is_new:
        cluster.allocate()
    return framework


def _take_over(cluster: Cluster, framework: Framework) -> None:
    cluster.withdraw(cluster.offers_of(framework_id=framework.framework_id), rescind=False)
    if framework.failover is not None:
        framework.failover.cancel()
        framework.failover = None
    if framework.stream is not None:
        log.info("Another scheduler subscribes as %s: the earlier one is told so.", framework.title)
        framework.send("ERROR", {"message": "Framework failed over"})
        framework.stream.close()


def disconnected(cluster: Cluster, framework: Framework, stream: EventStream) -> None:
    """The stream ended. Tasks live on until the failover timeout; nothing happens if another stream took its place."""
    if framework.stream is not stream or cluster.frameworks.get(framework.framework_id) is not framework:
        return
    framework.stream = None
    cluster.withdraw(cluster.offers_of(framework_id=framework.framework_id), rescind=False)
    cluster.allocator.set_framework_active(framework.framework_id, False)
    await_failover(cluster, framework)


def await_failover(cluster: Cluster, framework: Framework) -> None:
    seconds = float(framework.info.get("failover_timeout", 0.0))
    log.info("Disconnected %s: removed unless it is back within %g s.", framework.title, seconds)
    loop = asyncio.get_running_loop()
    framework.failover = loop.call_later(seconds, remove, cluster, framework, "its failover timeout has passed")


def recover(cluster: Cluster, info: Json) -> Framework:
    """A framework known only from a returning agent, after this master started."""
    framework = Framework(info["id"]["value"], info, cluster.faults, registered_at=cluster.now())
    cluster.frameworks[framework.framework_id] = framework
    await_failover(cluster, framework)
    return framework


def update(cluster: Cluster, framework: Framework, content: Json) -> None:
    """UPDATE_FRAMEWORK: all of FrameworkInfo but the id."""
    framework.info = {**content["framework_info"], "id": {"value": framework.framework_id}}
    suppressed = content.get("suppressed_roles", [])
    filters = framework.info.get("offer_filters", {})
    stale = [
        offer for offer in cluster.offers_of(framework_id=framework.framework_id) if offer.role not in framework.roles
    ]
    cluster.withdraw(stale, rescind=True)
    cluster.allocator.add_framework(framework.framework_id, framework.roles, suppressed, filters)


def remove(cluster: Cluster, framework: Framework, why: str) -> None:
    """TEARDOWN or failover timeout: every executor is shut down, the id is never accepted again by this master."""
    log.info("Removed %s: %s.", framework.title, why)
    if framework.failover is not None:
        framework.failover.cancel()
    cluster.withdraw(cluster.offers_of(framework_id=framework.framework_id), rescind=False)
    for task in list(framework.tasks.values()):
        cluster.remove_task(task)
    for agent in cluster.agents.values():
        agent.send({"type": "SHUTDOWN_FRAMEWORK", "framework_id": framework.framework_id})
        for owner, executor_id in list(agent.executors):
            if owner == framework.framework_id:
                cluster.remove_executor(agent, owner, executor_id)
    if framework.stream is not None:
        framework.stream.close()
        framework.stream = None
    framework.unregistered_at = cluster.now()
    cluster.allocator.remove_framework(framework.framework_id)
    del cluster.frameworks[framework.framework_id]
    cluster.completed[framework.framework_id] = framework
