"""Rules about the network: what is open to whom, and where packets can go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from blueprint.parts import Egress
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates import Reference, StackTemplate
from workbench.templates.assembly import ROLES
from workbench.templates.network import ingress
from workbench.templates.reading import Resource, System, items, leaves, number

LOGIN_PORTS = (22, 3389)
EDGE_PORTS = (80, 443)
# Type -> the properties that name its security groups; without any of them AWS takes the VPC's default group.
TAKES_GROUPS = {
    "AWS::EC2::Instance": ("SecurityGroupIds", "NetworkInterfaces"),
    "AWS::EC2::NetworkInterface": ("GroupSet",),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateData.SecurityGroupIds", "LaunchTemplateData.NetworkInterfaces"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("SecurityGroups",),
    "AWS::RDS::DBInstance": ("VPCSecurityGroups",),
    "AWS::RDS::DBCluster": ("VpcSecurityGroupIds",),
    "AWS::RDS::DBProxy": ("VpcSecurityGroupIds",),
    "AWS::ElastiCache::ReplicationGroup": ("SecurityGroupIds",),
    "AWS::ElastiCache::ServerlessCache": ("SecurityGroupIds",),
}
NETWORK_INTERFACE_GROUPS = ("Groups", "GroupSet")
WAYS_OUT = {
    "AWS::EC2::InternetGateway",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::VPNGateway",
    "AWS::EC2::TransitGateway",
    "AWS::EC2::VPCPeeringConnection",
    "AWS::EC2::CarrierGateway",
}
TIERS = ("Public", "App", "Data")
ZONES = 3


@rule(
    "HA02",
    "No port for remote login is open",
    why="Ports 22 and 3389 are what scanners try first; Session Manager needs neither.",
    fix="Open the one port that is meant; never a range or all traffic.",
    source="AWS FSBP EC2.13, EC2.14, EC2.19, EC2.21",
)
def login_ports(system: System, _: Wanted) -> Verdicts:
    for opening in ingress(system):
        covered = [port for port in LOGIN_PORTS if opening.covers(port)]
        yield opening.resource, f"opens port {' and '.join(map(str, covered))}: {opening.text}" if covered else None
    for entry in system.of_type("AWS::EC2::NetworkAclEntry"):
        ports = entry.get("PortRange", {})
        inwards = str(entry.get("Egress", False)).lower() == "false" and entry.get("RuleAction") == "allow"
        ranged = number(ports.get("From"), 0), number(ports.get("To"), 65535)
        hit = inwards and any(ranged[0] <= port <= ranged[1] for port in LOGIN_PORTS)
        yield entry, "lets remote login through" if hit else None


@rule(
    "HA05",
    "Everybody may reach only the edge, on 80 and 443",
    why="What stands behind the edge is not made to be attacked.",
    fix="Let other groups in by their security group; open nothing but Edge to 0.0.0.0/0.",
    source="AWS FSBP EC2.18",
)
def open_to_everybody(system: System, _: Wanted) -> Verdicts:
    for opening in ingress(system):
        if not opening.from_everywhere:
            yield opening.resource, None
            continue
        ports = {str(opening.properties.get(end)) for end in ("FromPort", "ToPort")}
        if opening.group is None or not _is_edge(opening.group):
            yield opening.resource, f"is not the edge, but open to everybody: {opening.text}"
        elif len(ports) > 1 or not ports <= {str(port) for port in EDGE_PORTS}:
            yield opening.resource, f"opens more than 80 or 443 to everybody: {opening.text}"
        else:
            yield (
                opening.resource,
                None
                if str(opening.properties.get("IpProtocol")) in ("tcp", "6")
                else (f"opens another protocol than TCP to everybody: {opening.text}"),
            )


def _is_edge(group: Resource) -> bool:
    stack = group.stack
    name = f"{stack.name.removesuffix(f'-{stack.role}')}-edge"
    return stack.role == "network" and group.get("GroupName") == name


@rule(
    "HA06",
    "Nothing uses the VPC's default security group",
    why="CloudFormation cannot close that group, and everything in it can talk to everything else in it.",
    fix="Name the security groups of everything that has a network interface.",
    source="AWS FSBP EC2.2",
)
def default_group(system: System, _: Wanted) -> Verdicts:
    for resource in system.resources:
        for _path, part in leaves(resource.properties):
            if isinstance(part, Reference) and part.attribute == "DefaultSecurityGroup":
                yield resource, "uses the default group"
        missing = _names_no_group(resource)
        if missing is not None:
            yield resource, "names no security group, so it gets the default one" if missing else None


def _names_no_group(resource: Resource) -> bool | None:
    """None when the resource has no interface of its own, or leaves the group to its launch template."""
    if resource.type == "AWS::Lambda::Function":
        return "VpcConfig" in resource.properties and not resource.get("VpcConfig.SecurityGroupIds")
    if resource.type == "AWS::EC2::VPCEndpoint":
        return resource.get("VpcEndpointType") == "Interface" and not resource.get("SecurityGroupIds")
    if resource.type == "AWS::ElasticLoadBalancingV2::LoadBalancer" and resource.get("Type") == "gateway":
        return None
    paths = TAKES_GROUPS.get(resource.type)
    if paths is None:
        return None
    if resource.type == "AWS::EC2::Instance" and "LaunchTemplate" in resource.properties:
        return None
    for path in paths:
        found = resource.get(path)
        interfaces = [each for each in items(found) if isinstance(each, Mapping) and path.endswith("NetworkInterfaces")]
        if interfaces:
            return not all(any(each.get(name) for name in NETWORK_INTERFACE_GROUPS) for each in interfaces)
        if found:
            return False
    return True


@rule(
    "HA07",
    "No way from a database subnet to the internet",
    why="A store that cannot be reached and cannot call out cannot be robbed through a mistake elsewhere.",
    fix="Keep the route tables of the data tier empty.",
    source="AWS FSBP RDS.46",
)
def data_routes(system: System, _: Wanted) -> Verdicts:
    for subnet in _data_subnets(system):
        tables = system.users(subnet, "AWS::EC2::SubnetRouteTableAssociation", "SubnetId")
        yield subnet, None if tables else "uses the VPC's main route table, which anybody may change"
        way = _way_out(system, subnet)
        yield subnet, f"can reach the internet: {' -> '.join(way)}" if way else None
    for group in system.of_type("AWS::RDS::DBSubnetGroup", "AWS::ElastiCache::SubnetGroup"):
        asked = items(group.get("SubnetIds"))
        known = [system.target(subnet, "AWS::EC2::Subnet") for subnet in asked]
        yield group, None if asked and all(known) else "names a subnet that no template of ours describes"


def _data_subnets(system: System) -> list[Resource]:
    tagged = [subnet for subnet in system.of_type("AWS::EC2::Subnet") if tier_of(subnet) == "Data"]
    used = [
        subnet
        for group in system.of_type("AWS::RDS::DBSubnetGroup", "AWS::ElastiCache::SubnetGroup")
        for subnet in system.targets(group.get("SubnetIds"))
        if subnet.type == "AWS::EC2::Subnet"
    ]
    return list(dict.fromkeys([*tagged, *used]))


def tier_of(subnet: Resource) -> str | None:
    """The tier that CDK wrote on a subnet."""
    return next((tag["Value"] for tag in items(subnet.get("Tags")) if tag["Key"] == "aws-cdk:subnet-name"), None)


def _way_out(system: System, start: Resource) -> list[str]:
    """The first path along routes from a subnet to a gateway; empty when there is none."""
    waiting: list[tuple[Resource, list[str]]] = [(start, [start.id])]
    seen = {start}
    while waiting:
        subnet, path = waiting.pop(0)
        for route in _routes(system, subnet):
            hops = [
                hop
                for name in route.properties
                if name not in ("RouteTableId", "VpcEndpointId")
                for hop in system.targets(route.get(name))
            ]
            if not hops:
                return [*path, route.id]
            for hop in hops:
                # A host or interface that forwards is followed into its own subnet.
                if hop.type in WAYS_OUT:
                    return [*path, route.id, hop.id]
                for next_subnet in system.targets(hop.get("SubnetId")):
                    if next_subnet not in seen:
                        seen.add(next_subnet)
                        waiting.append((next_subnet, [*path, route.id, hop.id]))
    return []


def _routes(system: System, subnet: Resource) -> Iterator[Resource]:
    for association in system.users(subnet, "AWS::EC2::SubnetRouteTableAssociation", "SubnetId"):
        table = system.target(association.get("RouteTableId"), "AWS::EC2::RouteTable")
        if table is not None:
            yield from system.users(table, "AWS::EC2::Route", "RouteTableId")


@rule(
    "TR03",
    "The whole address plan is there from the first stage on",
    why="A subnet cannot be resized or moved; adding a zone or a tier later renumbers all of them.",
    fix="Three tiers in three zones, each subnet with its own fixed range.",
    source="seen with automatic ranges: two zones to three changed six of six subnets",
)
def address_plan(system: System, _: Wanted) -> Verdicts:
    subnets = system.of_type("AWS::EC2::Subnet")
    for subnet in subnets:
        yield subnet, None if isinstance(subnet.get("CidrBlock"), str) else "has no fixed range"
        yield subnet, None if subnet.get("AvailabilityZone") else "has no fixed zone"
    for vpc in system.of_type("AWS::EC2::VPC"):
        plan = [(tier_of(subnet), str(subnet.get("AvailabilityZone"))) for subnet in subnets]
        for tier in TIERS:
            zones = {zone for its, zone in plan if its == tier}
            yield vpc, None if len(zones) == ZONES else f"has its {tier} tier in {len(zones)} zones, not {ZONES}"


@rule(
    "TR04",
    "Young stacks read old ones, and hold back only what never goes",
    why="An export in use can be neither removed nor changed, so a stage could not be left again.",
    fix="Strong references only to the network and the hosts' role; endpoints through parameters, the rest weak.",
    source="AWS CloudFormation exports; aws-cdk issue 38829",
)
def references(system: System, _: Wanted) -> Verdicts:
    outputs = {(stack.name, output): stack for stack in system.stacks for output in stack.outputs}
    for resource in system.resources:
        role = resource.stack.role
        older = ROLES[: ROLES.index(role)] if role in ROLES else ()
        for _path, part in leaves(resource.body):
            match part:
                case {"Fn::ImportValue": name}:
                    owner, output = system.exports.get(str(name), (None, ""))
                    locks = owner is not None and not _may_be_strong(owner, output)
                    yield resource, _wrong_owner(owner, older, f"export {name}", locks=locks)
                case {"Fn::GetStackOutput": {"StackName": stack_name, "OutputName": output}}:
                    yield resource, _wrong_owner(outputs.get((stack_name, output)), older, f"output {output}")


def _may_be_strong(owner: StackTemplate, output: str) -> bool:
    """The network never goes, and the hosts' role is there at every stage."""
    value = owner.outputs[output].get("Value")
    name = str(value.get("Ref")) if isinstance(value, Mapping) else ""
    return owner.role == "network" or owner.resources.get(name, {}).get("Type") == "AWS::IAM::Role"


def _wrong_owner(owner: StackTemplate | None, older: tuple[str, ...], what: str, *, locks: bool = False) -> str | None:
    if owner is None:
        return f"reads the {what}, which no stack has"
    if owner.role not in older:
        return f"reads from {owner.role}, which is not older"
    return f"holds {owner.role} back by an export" if locks else None


@rule(
    "TR13",
    "No NAT gateway without hosts that need it",
    why="Two of them cost 65 USD a month, more than the whole first stage.",
    fix="NAT only from the first private host on, and as many as the environment chose.",
    source="AWS NAT gateway pricing",
)
def nat(system: System, wanted: Wanted) -> Verdicts:
    gateways = system.of_type("AWS::EC2::NatGateway")
    allowed = {Egress.NAT: 1, Egress.NAT_PER_ZONE: ZONES, Egress.ENDPOINTS: 0}[wanted.egress]
    if wanted.stage.fleet is None:
        allowed = 0
    for vpc in system.of_type("AWS::EC2::VPC"):
        wrong = len(gateways) != allowed
        yield vpc, f"has {len(gateways)} NAT gateways, the environment asked for {allowed}" if wrong else None


RULES = (login_ports, open_to_everybody, default_group, data_routes, address_plan, references, nat)
