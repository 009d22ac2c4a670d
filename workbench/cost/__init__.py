"""What an assembly costs while nobody visits: everything that is billed by the hour or by the month.

List prices, 730 hours a month. What is billed by use is named, not guessed; what has no price stays unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from blueprint.metrics import CUSTOM_METRICS
from workbench.templates import Assembly
from workbench.templates.reading import Resource, System, dig, items, number, yes

PRICES = Path(__file__).parents[1] / "facts" / "prices.json"
HOURS = 730
FREE_IOPS, FREE_MIBPS = 3_000, 125  # what every gp3 disk has without extra charge
EDGE_METRICS = 8  # what the monitoring subscription of a distribution adds
SCALING_ALARMS = 2  # one above the target, one below

Part = tuple[str, str, str, float]
"""What it is, the service and item that price it, and how many."""


@dataclass(frozen=True)
class Price:
    """One row of the price list."""

    service: str
    item: str
    region: str
    unit: str
    usd: float
    as_of: str
    confidence: str
    source: str
    note: str = ""

    @property
    def a_month(self) -> float:
        return self.usd * HOURS if self.unit == "hour" else self.usd


@dataclass(frozen=True)
class Line:
    """One component of one resource, with its price."""

    stack: str
    resource: str
    component: str
    quantity: float
    price: Price

    @property
    def usd(self) -> float:
        return self.quantity * self.price.a_month


@dataclass(frozen=True)
class Unpriced:
    """Something without a price here: unknown, or billed by use."""

    stack: str
    resource: str
    type: str
    what: str


@dataclass(frozen=True)
class Estimate:
    """The standing cost of an assembly. With anything unknown in it, the total is only a part."""

    lines: tuple[Line, ...]
    unknown: tuple[Unpriced, ...]
    by_use: tuple[Unpriced, ...]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    @property
    def complete(self) -> bool:
        return not self.unknown


@cache
def _facts() -> Mapping[str, Any]:
    facts: Mapping[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return facts


@cache
def prices() -> Mapping[tuple[str, str, str], Price]:
    """(service, item, region) -> price."""
    return {(row["service"], row["item"], row["region"]): Price(**row) for row in _facts()["rows"]}


def standing_cost(assembly: Assembly) -> Estimate:
    """Every always-on component of an assembly."""
    system = System(assembly)
    lines, unknown, by_use = [], [], []
    for resource in system.resources:
        where = resource.stack.role, resource.id
        parts = PARTS.get(resource.type)
        if parts is not None:
            for component, service, item, quantity in parts(system, resource):
                price = prices().get((service, item, resource.stack.region))
                if price is None:
                    unknown.append(Unpriced(*where, resource.type, f"{component}: {service}, {item}"))
                elif quantity:
                    lines.append(Line(*where, component, quantity, price))
        elif resource.type in _facts()["by_use"]:
            by_use.append(Unpriced(*where, resource.type, _facts()["by_use"][resource.type]))
        elif resource.type not in _facts()["free"]:
            unknown.append(Unpriced(*where, resource.type, "a type that nobody has priced"))
    return Estimate(tuple(lines), tuple(unknown), tuple(by_use))


# --- What each type consists of ---------------------------------------------------------------------------------------


def _hosts(settings: Mapping[str, Any], count: int) -> Iterator[Part]:
    yield "host", "EC2", f"{settings.get('InstanceType')} Linux on-demand", count
    for disk in items(settings.get("BlockDeviceMappings")):
        yield from _disk(disk.get("Ebs", {}), "VolumeSize", count)
    if yes(settings.get("Monitoring")) or yes(dig(settings, "Monitoring.Enabled")):
        yield "detailed monitoring", "CloudWatch", "EC2 detailed monitoring (7 metrics)", count
    yield "metrics of our own", "CloudWatch", "custom metric first 10k", len(CUSTOM_METRICS)


def _disk(disk: Mapping[str, Any], size: str, count: int = 1) -> Iterator[Part]:
    kind = disk.get("VolumeType", "gp2")
    yield "disk", "EBS", f"{kind} storage", count * number(disk.get(size))
    for name, item, free in (
        ("Iops", "gp3 provisioned IOPS above 3000", FREE_IOPS),
        ("Throughput", "gp3 provisioned throughput above 125 MiB/s", FREE_MIBPS),
    ):
        if number(disk.get(name)) > free:
            yield f"disk {name}", "EBS", item, count * (number(disk.get(name)) - free)


def _instance(system: System, instance: Resource) -> Iterator[Part]:
    template = system.target(instance.get("LaunchTemplate"), "AWS::EC2::LaunchTemplate")
    inherited = template.get("LaunchTemplateData", {}) if template else {}
    yield from _hosts({**inherited, **instance.properties}, 1)


def _group(system: System, group: Resource) -> Iterator[Part]:
    template = system.target(group.get("LaunchTemplate"), "AWS::EC2::LaunchTemplate")
    yield from _hosts(template.get("LaunchTemplateData", {}) if template else {}, number(group.get("MinSize")))


def _database(system: System, instance: Resource) -> Iterator[Part]:
    primary = system.target(instance.get("SourceDBInstanceIdentifier"), "AWS::RDS::DBInstance")
    engine = str((primary or instance).get("Engine"))
    service = "RDS PostgreSQL" if engine == "postgres" else f"RDS {engine}"
    copies = "Multi-AZ" if yes(instance.get("MultiAZ")) else "Single-AZ"
    size = "Multi-AZ (1 standby)" if copies == "Multi-AZ" else copies
    what = "read replica" if primary else "database"
    yield what, service, f"{instance.get('DBInstanceClass')} {size}", 1
    gib = number(instance.get("AllocatedStorage")) or number(primary.get("AllocatedStorage") if primary else 0)
    yield f"storage of {what}", service, f"{instance.get('StorageType', 'gp2')} storage {copies}", gib


def _cache(_: System, group: Resource) -> Iterator[Part]:
    engine = {"valkey": "Valkey", "redis": "Redis OSS"}.get(str(group.get("Engine")), str(group.get("Engine")))
    nodes = number(group.get("NumNodeGroups"), 1) * (1 + number(group.get("ReplicasPerNodeGroup")))
    yield "cache node", "ElastiCache", f"{group.get('CacheNodeType')} node ({engine})", nodes


def _balancer(_: System, balancer: Resource) -> Iterator[Part]:
    kind = str(balancer.get("Type", "application")).title()
    yield "load balancer", "ELB", f"{kind} Load Balancer", 1
    if balancer.get("Scheme") == "internet-facing":
        yield "its addresses", "VPC", "Public IPv4 address (in use or idle)", len(items(balancer.get("Subnets")))


def _endpoint(_: System, endpoint: Resource) -> Iterator[Part]:
    if endpoint.get("VpcEndpointType") == "Interface":
        yield "private endpoint", "VPC", "Interface endpoint (per AZ)", len(items(endpoint.get("SubnetIds")))


def _alarm(_: System, alarm: Resource) -> Iterator[Part]:
    metrics = [metric for metric in items(alarm.get("Metrics")) if "MetricStat" in metric]
    periods = [number(dig(metric, "MetricStat.Period")) for metric in metrics] or [number(alarm.get("Period"), 60)]
    kind = "high-resolution" if min(periods) < 60 else "standard-resolution"
    yield "alarm", "CloudWatch", f"{kind} alarm", max(1, len(metrics))


def _firewall(_: System, firewall: Resource) -> Iterator[Part]:
    yield "firewall", "WAF", "web ACL", 1
    yield "its rules", "WAF", "rule / rule group / managed rule group", len(items(firewall.get("Rules")))


def _scaling(_: System, policy: Resource) -> Iterator[Part]:
    if policy.get("PolicyType") == "TargetTrackingScaling":
        yield "alarms of scaling", "CloudWatch", "standard-resolution alarm", SCALING_ALARMS


def _each(component: str, service: str, item: str, quantity: int = 1) -> Callable[[System, Resource], Iterator[Part]]:
    return lambda _, __: iter([(component, service, item, quantity)])


PARTS: dict[str, Callable[[System, Resource], Iterator[Part]]] = {
    "AWS::AutoScaling::AutoScalingGroup": _group,
    "AWS::AutoScaling::ScalingPolicy": _scaling,
    "AWS::CloudFront::MonitoringSubscription": _each(
        "metrics of the edge", "CloudWatch", "custom metric first 10k", EDGE_METRICS
    ),
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _each("dashboard", "CloudWatch", "dashboard"),
    "AWS::EC2::EIP": _each("address", "VPC", "Public IPv4 address (in use or idle)"),
    "AWS::EC2::Instance": _instance,
    "AWS::EC2::NatGateway": _each("NAT gateway", "VPC", "NAT gateway"),
    "AWS::EC2::Volume": lambda _, volume: _disk(volume.properties, "Size"),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ElastiCache::ReplicationGroup": _cache,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "AWS::KMS::Key": _each("key", "KMS", "customer managed key"),
    "AWS::RDS::DBInstance": _database,
    "AWS::SecretsManager::Secret": _each("secret", "Secrets Manager", "secret"),
    "AWS::WAFv2::WebACL": _firewall,
}
