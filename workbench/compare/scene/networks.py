"""Private networks: which zones and tiers there are, and where in them a resource stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.compare.scene.model import TIERS, Fact, Place, Subnet, Vpc
from workbench.compare.scene.reading import Reading, id_of, key_of, keys_of, text
from workbench.templates import Key
from workbench.templates.reading import Resource, dig, items

ELSEWHERE = "vpc"  # the id of a network that the templates use but do not hold
# What people call the subnets of a tier.
NAMES = (
    (Place.PUBLIC, ("public", "dmz", "ingress")),
    (Place.DATA, ("data", "database", "isolat", "persist", "storage", "db", "cache", "rds")),
    (Place.APP, ("app", "web", "compute", "private", "service", "worker")),
)
STORES = ("AWS::RDS::DBSubnetGroup", "AWS::ElastiCache::SubnetGroup", "AWS::Redshift::ClusterSubnetGroup")
PARTS_OF_A_VPC = (
    "AWS::EC2::VPCGatewayAttachment", "AWS::EC2::VPCEndpoint", "AWS::EC2::FlowLog", "AWS::EC2::VPCCidrBlock",
    "AWS::EC2::VPCDHCPOptionsAssociation", "AWS::EC2::NetworkAcl", "AWS::EC2::SecurityGroup",
)  # fmt: skip


@dataclass
class Networks:
    """All networks of one side, and what stands where."""

    vpcs: list[Vpc] = field(default_factory=list)
    subnets: dict[Key, tuple[str, Place, int]] = field(default_factory=dict)  # -> network, tier, zone

    def where(self, reading: Reading, resource: Resource, tier: Place) -> tuple[str, Place, tuple[int, ...]]:
        """The network, tier and zones of a resource; `tier` where its subnets are not told."""
        found = [
            self.subnets[key_of(subnet)]
            for subnet in reading.reached(resource, "AWS::EC2::Subnet", "SubnetGroup", "LaunchTemplate")
            if key_of(subnet) in self.subnets
        ]
        if not found:
            return self._network(reading, resource), tier, ()
        # A resource that names several networks or tiers stands in the first one that it names.
        vpc, its_tier = found[0][:2]
        return vpc, its_tier, tuple(sorted({zone for one, other, zone in found if (one, other) == (vpc, its_tier)}))

    def _network(self, reading: Reading, resource: Resource) -> str:
        groups = reading.reached(resource, "AWS::EC2::SecurityGroup", "LaunchTemplate")
        named = [vpc for group in groups for vpc in reading.reached(group, "AWS::EC2::VPC")]
        return id_of(named[0]) if named else self.vpcs[0].id if self.vpcs else ELSEWHERE

    def zones(self, vpc: str) -> int:
        """How many zones a network has."""
        return next((len(one.zones) for one in self.vpcs if one.id == vpc), 1)


def networks(reading: Reading) -> Networks:
    """What the templates say about networks."""
    found = Networks()
    own: dict[str, list[Resource]] = defaultdict(list)
    for subnet in reading.of("AWS::EC2::Subnet"):
        vpc = reading.first(subnet, "VpcId", "AWS::EC2::VPC")
        own[id_of(vpc) if vpc else ELSEWHERE].append(subnet)
    tables = _tables(reading)
    for vpc in reading.of("AWS::EC2::VPC"):
        parts = reading.users_of(vpc, *PARTS_OF_A_VPC)
        gateways = [each for part in parts for each in reading.reached(part, "AWS::EC2::InternetGateway")]
        title = " ".join(part for part in ("VPC", text(vpc.get("CidrBlock"))) if part)
        facts = tuple(Fact("endpoints", named) for named in [_endpoints(parts)] if named)
        _add(found, reading, id_of(vpc), title, own[id_of(vpc)], tables, keys_of([vpc, *parts, *gateways]), facts)
    if own[ELSEWHERE]:
        _add(found, reading, ELSEWHERE, "VPC of somebody else's", own[ELSEWHERE], tables, (), ())
    return found


def _add(
    found: Networks,
    reading: Reading,
    id: str,
    title: str,
    subnets: list[Resource],
    tables: Mapping[Key, list[Resource]],
    keys: tuple[Key, ...],
    facts: tuple[Fact, ...],
) -> None:
    tiers = {key_of(subnet): _tier(reading, subnet, tables.get(key_of(subnet), [])) for subnet in subnets}
    zones = _zones(subnets, tiers)
    columns = sorted(set(zones.values()))
    drawn = []
    for subnet in subnets:
        tier, zone = tiers[key_of(subnet)], columns.index(zones[key_of(subnet)])
        found.subnets[key_of(subnet)] = (id, tier, zone)
        parts = [subnet, *tables.get(key_of(subnet), [])]
        drawn.append(Subnet(tier, zone, text(subnet.get("CidrBlock")), keys_of(parts)))
    drawn.sort(key=lambda one: (TIERS.index(one.tier), one.zone, one.keys))
    found.vpcs.append(Vpc(id, title, tuple(columns), tuple(drawn), keys, facts))


def _tables(reading: Reading) -> dict[Key, list[Resource]]:
    """Subnet -> what its routes are made of: associations, tables and routes."""
    found: dict[Key, list[Resource]] = defaultdict(list)
    for association in reading.of("AWS::EC2::SubnetRouteTableAssociation"):
        for subnet in reading.reached(association, "AWS::EC2::Subnet"):
            for table in reading.reached(association, "AWS::EC2::RouteTable"):
                found[key_of(subnet)] += [association, table, *reading.users_of(table, "AWS::EC2::Route")]
    return found


def _tier(reading: Reading, subnet: Resource, routing: list[Resource]) -> Place:
    """By its routes if they lead to the internet, otherwise by its name, then by who uses it."""
    routes = [part for part in routing if part.type == "AWS::EC2::Route"]
    if any(reading.first(route, "GatewayId", "AWS::EC2::InternetGateway") for route in routes):
        return Place.PUBLIC
    tags = [text(dig(tag, "Value")) for tag in items(subnet.get("Tags")) if "ame" in text(dig(tag, "Key"))]
    for name in (*tags, subnet.name):
        # The last step of "Network/Vpc/DataSubnet1/Subnet" that tells more than that it is a subnet.
        said = "".join(name.split("/")[-2:]).lower()
        for tier, words in NAMES:
            if any(word in said for word in words):
                return tier
    if reading.users_of(subnet, *STORES):
        return Place.DATA
    return Place.APP


def _zones(subnets: list[Resource], tiers: Mapping[Key, Place]) -> dict[Key, str]:
    """The zone of each subnet; the nth of its tier where the template leaves it to AWS."""
    found = {}
    so_far: dict[Place, int] = defaultdict(int)
    for subnet in subnets:
        so_far[tiers[key_of(subnet)]] += 1
        zone = _zone(subnet.get("AvailabilityZone")) or _zone(subnet.get("AvailabilityZoneId"))
        found[key_of(subnet)] = zone or f"zone {so_far[tiers[key_of(subnet)]]}"
    return found


def _zone(value: Any) -> str:
    match value:
        case {"Fn::Select": [position, _]} if str(position).isdigit():
            return f"zone {int(position) + 1}"
    return text(value)


def _endpoints(parts: list[Resource]) -> str:
    services = sorted({_service(part) for part in parts if part.type == "AWS::EC2::VPCEndpoint"})
    return f"endpoints: {', '.join(services)}" if services else ""


def _service(endpoint: Resource) -> str:
    match endpoint.get("ServiceName"):
        case {"Fn::Join": [_, [*parts]]} if parts:
            name = text(parts[-1])
        case {"Fn::Sub": [str(template), *_]}:
            name = template
        case other:
            name = text(other)
    last = name.rpartition(".")[2]
    return {"s3": "S3", "dynamodb": "DynamoDB"}.get(last, last or "one")
