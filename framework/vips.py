"""Names that DC/OS gives to what several agents serve (VIPs): a port of a task bears a label, and DC/OS's load balancer
makes an address of it that outlives the task. Elsewhere nobody looks at the label. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from framework.config import Configuration
from framework.model import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Vip:
    """A name, and the port at which it is served whatever the tasks' own ports are."""

    name: str
    port: int

    @property
    def label(self) -> tuple[str, str]:
        return "VIP_0", f"/{self.name}:{self.port}"

    def address(self, service: str) -> str:
        return f"{self.name}.{service}.l4lb.thisdcos.directory:{self.port}"


# By the ports' names; the numbers are those that Alluxio's own documentation has for them.
_VIPS: Final[Mapping[Kind, Mapping[str, Vip]]] = {
    Kind.MASTER: {"rpc": Vip("master", 19998), "web": Vip("web", 19999)},
    Kind.WORKER: {},
    Kind.PROXY: {"web": Vip("s3", 39999)},
}


def addresses(configuration: Configuration) -> Mapping[str, str]:
    """All of a service's, by their names."""
    kinds = (kind for kind in Kind if kind is not Kind.PROXY or configuration.proxies)
    known = (vip for kind in kinds for vip in of(configuration, kind).values())
    return {vip.name: vip.address(configuration.name) for vip in known}


def of(configuration: Configuration, kind: Kind) -> Mapping[str, Vip]:
    """The VIPs of a task of this kind, by the names of its ports. Of several masters only one serves, which no load
    balancer can tell: their clients are told of all of them instead.
    """
    if configuration.vips == "no" or (kind is Kind.MASTER and configuration.masters > 1):
        return {}
    return _VIPS[kind]
