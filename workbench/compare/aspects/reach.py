"""What answers requests in a template, what works in the background, and what both have rights on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from workbench.cost.standing import source_database
from workbench.cost.traffic import GROUP, INSTANCE
from workbench.templates import Key
from workbench.templates.names import several
from workbench.templates.reading import Resource, System, spelled
from workbench.templates.rights import own_statements

APIS = "AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api", "AWS::Serverless::Api", "AWS::Serverless::HttpApi"
BALANCERS = "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancing::LoadBalancer"
DATABASE, SUBNET = "AWS::RDS::DBInstance", "AWS::EC2::Subnet"
FUNCTIONS = "AWS::Lambda::Function", "AWS::Serverless::Function"
# What stands between a machine or a function and the things that it may use.
_BETWEEN = {
    "AWS::AutoScaling::LaunchConfiguration",
    "AWS::EC2::LaunchTemplate",
    "AWS::ECS::TaskDefinition",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
}
_CALLERS = "apigateway.amazonaws.com", "elasticloadbalancing.amazonaws.com"


def key_of(resource: Resource) -> Key:
    return resource.stack.role, resource.id


def zones(system: System, subnets: object) -> int | None:
    """In how many zones something is; None when only AWS knows."""
    known = [subnet for subnet in system.targets(subnets) if subnet.type == SUBNET]
    if known:
        return len({repr(subnet.get("AvailabilityZone", subnet.id)) for subnet in known})
    return len({repr(subnet) for subnet in subnets}) if isinstance(subnets, list | tuple) else None


def primaries(system: System) -> list[Resource]:
    """Databases that are written to: no replica, and no member of a cluster."""
    return [
        each
        for each in system.of_type(DATABASE)
        if each.get("SourceDBInstanceIdentifier") is None and each.get("DBClusterIdentifier") is None
    ]


def replicas(system: System, primary: Resource) -> list[Resource]:
    return [each for each in system.of_type(DATABASE) if source_database(system, each) is primary]


def serving_groups(system: System) -> list[Resource]:
    """Groups of hosts behind a load balancer; every group where there is none."""
    groups = system.of_type(GROUP)
    if not system.of_type(*BALANCERS):
        return groups
    return [each for each in groups if each.get("TargetGroupARNs") or each.get("LoadBalancerNames")]


@dataclass(frozen=True)
class Hosts:
    """Hosts that belong to no group."""

    all: list[Resource]
    balanced: bool = False  # a load balancer chooses between them
    zones: int = 1


def serving_hosts(system: System) -> Hosts:
    """Hosts that a load balancer chooses between; all of them where it chooses between none."""
    hosts = system.of_type(INSTANCE)
    chosen = [each.get("Targets") for each in system.of_type("AWS::ElasticLoadBalancingV2::TargetGroup")]
    chosen += [each.get("Instances") for each in system.of_type("AWS::ElasticLoadBalancing::LoadBalancer")]
    behind = [each for each in system.targets(chosen) if each.type == INSTANCE]
    if behind:
        places = [each.get("SubnetId", each.get("AvailabilityZone")) for each in behind]
        return Hosts(behind, balanced=True, zones=zones(system, places) or 1)
    return Hosts([] if serving_groups(system) else hosts)


def request_functions(system: System) -> list[Resource]:
    """Functions that an API, a load balancer or a URL of their own calls."""
    permissions = [
        each.get("FunctionName")
        for each in system.of_type("AWS::Lambda::Permission")
        if spelled(each.get("Principal")) in _CALLERS
    ]
    urls = [each.get("TargetFunctionArn") for each in system.of_type("AWS::Lambda::Url")]
    integrations = [each.get("IntegrationUri") for each in system.of_type("AWS::ApiGatewayV2::Integration")]
    called = [each for each in system.targets([permissions, urls, integrations]) if each.type in FUNCTIONS]
    apis = system.of_type("AWS::Serverless::Api", "AWS::Serverless::HttpApi")
    return called or (system.of_type("AWS::Serverless::Function") if apis else [])


def work_functions(system: System) -> list[Resource]:
    """Functions that queues, streams, topics or events feed."""
    feeding = [each.get("FunctionName") for each in system.of_type("AWS::Lambda::EventSourceMapping")]
    feeding += [each.get("Endpoint") for each in system.of_type("AWS::SNS::Subscription")]
    feeding += [each.get("Targets") for each in system.of_type("AWS::Events::Rule") if each.get("EventPattern")]
    return [each for each in system.targets(feeding) if each.type in FUNCTIONS]


def reached(system: System, users: Iterable[Resource]) -> set[Resource]:
    """Everything that these name in their settings, or have rights on through their roles."""
    by_role: dict[Resource, list[Resource]] = {}
    for policy in system.of_type("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for role in system.targets(policy.get("Roles")):
            by_role.setdefault(role, []).append(policy)
    found: set[Resource] = set()
    waiting = list(users)
    while waiting:
        user = waiting.pop()
        for target in (*system.targets(user.properties), *by_role.get(user, ())):
            if target not in found:
                found.add(target)
                if target.type in _BETWEEN:
                    waiting.append(target)
    return found


def actions(resources: Collection[Resource]) -> set[str]:
    """Every action that the policies among these allow, in small letters."""
    allowed = [one for each in resources for one in own_statements(each) if one.get("Effect") == "Allow"]
    return {action.lower() for one in allowed for action in several(one.get("Action")) if isinstance(action, str)}
