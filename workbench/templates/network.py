"""What security groups let through, wherever their rules are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from workbench.templates import Reference
from workbench.templates.names import several
from workbench.templates.reading import Resource, System, number

GROUP = "AWS::EC2::SecurityGroup"
PROTOCOLS = {"-1": "all", "6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
SOURCES = ("CidrIp", "CidrIpv6", "SourcePrefixListId", "SourceSecurityGroupId", "SourceSecurityGroupName")
DESTINATIONS = ("CidrIp", "CidrIpv6", "DestinationPrefixListId", "DestinationSecurityGroupId")
# A wider range than this is as good as the whole internet.
WIDEST_V4, WIDEST_V6 = 8, 16
# Addresses that only somebody inside has.
PRIVATE = tuple(
    ip_network(cidr)
    for cidr in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Permission:
    """One rule of a security group: who may open connections to its members, or to whom they may."""

    resource: Resource  # where it is written
    group: Resource | None  # None when no template at hand describes the group
    properties: Mapping[str, Any]

    @property
    def text(self) -> str:
        ports = f"{self.properties.get('FromPort', 'all')}-{self.properties.get('ToPort', 'all')}"
        return f"{self.properties.get('IpProtocol')} {ports} from {self.source}"

    @property
    def source(self) -> Any:
        return next((self.properties[name] for name in SOURCES if name in self.properties), None)

    @property
    def destination(self) -> Any:
        return next((self.properties[name] for name in DESTINATIONS if name in self.properties), None)

    @property
    def protocol(self) -> str:
        """Its name; `unknown` when only AWS could tell."""
        given = self.properties.get("IpProtocol")
        if not isinstance(given, str | int):
            return "unknown"
        return PROTOCOLS.get(str(given), str(given).lower())

    def covers(self, port: int) -> bool:
        """Whether a connection to this port gets through; what cannot be read counts as open."""
        if self.protocol in ("icmp", "icmpv6"):
            return False
        if self.protocol not in ("tcp", "udp"):
            return True
        return number(self.properties.get("FromPort"), 0) <= port <= number(self.properties.get("ToPort"), 65535)

    @property
    def from_everywhere(self) -> bool:
        """From the whole internet, or so much of it that it makes no difference; what cannot be read counts."""
        ranges = [self.properties[name] for name in ("CidrIp", "CidrIpv6") if self.properties.get(name) is not None]
        readable = [written for written in ranges if not isinstance(written, Reference)]
        return any(is_everywhere(network(written)) is not False for written in readable)


def network(cidr: Any) -> IPv4Network | IPv6Network | None:
    """The range of addresses that is written; None when it cannot be read."""
    try:
        return ip_network(cidr, strict=False) if isinstance(cidr, str) else None
    except ValueError:
        return None


def is_everywhere(addresses: IPv4Network | IPv6Network | None) -> bool | None:
    """Whether a range is about the whole internet; None when nobody knows."""
    if addresses is None:
        return None
    return addresses.prefixlen < (WIDEST_V4 if addresses.version == 4 else WIDEST_V6)


def is_private(addresses: IPv4Network | IPv6Network) -> bool:
    """Whether visitors from outside never have such an address."""
    return any(
        int(inside.network_address) <= int(addresses.network_address)
        and int(addresses.broadcast_address) <= int(inside.broadcast_address)
        for inside in PRIVATE
        if inside.version == addresses.version
    )


def ingress(system: System) -> Iterator[Permission]:
    """Who may come in."""
    return _permissions(system, "Ingress")


def egress(system: System) -> Iterator[Permission]:
    """Where members may go."""
    return _permissions(system, "Egress")


def _permissions(system: System, way: str) -> Iterator[Permission]:
    for group in system.of_type(GROUP):
        for properties in several(group.get(f"SecurityGroup{way}")):
            if isinstance(properties, Mapping):
                yield Permission(group, group, properties)
    for alone in system.of_type(f"{GROUP}{way}"):
        yield Permission(alone, system.target(alone.get("GroupId"), GROUP), alone.properties)
