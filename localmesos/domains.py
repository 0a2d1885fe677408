"""Fault domains of masters and agents (Mesos's DomainInfo): a region, and a zone in it. Opens nothing."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def parse_domain(text: str) -> Json:
    """A DomainInfo, in JSON as Mesos's --domain has it; empty for none. Raises ValueError."""
    if not text:
        return {}
    try:
        fault_domain = json.loads(text)["fault_domain"]
        region, zone = fault_domain["region"]["name"], fault_domain["zone"]["name"]
    except (ValueError, TypeError, KeyError):
        region = zone = None
    if not (isinstance(region, str) and isinstance(zone, str)):
        raise ValueError(
            f"domain '{text}': expected JSON with a region and a zone, for example "
            '{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}'
        )
    return {"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}}


def region_of(info: Json) -> str:
    """Of a MasterInfo or an AgentInfo; empty when it has none."""
    domain = info.get("domain")
    return str(domain["fault_domain"]["region"]["name"]) if domain else ""
