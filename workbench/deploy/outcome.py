"""What people want to know of an environment that is there: its address, its dashboard, how to get on a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blueprint.environment import Environment
from workbench.deploy.guard import Clients
from workbench.deploy.live import Live
from workbench.deploy.moves import DISTRIBUTION, FLEET, HOST
from workbench.templates import Assembly, resources

BALANCER, ADDRESS, DASHBOARD = (
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::EC2::EIP",
    "AWS::CloudWatch::Dashboard",
)


@dataclass(frozen=True)
class Outcome:
    """Where things are."""

    url: str | None
    dashboard: str | None
    sessions: tuple[str, ...]  # commands, one a host


def outcome(environment: Environment, assembly: Assembly, live: Live, aws: Clients) -> Outcome:
    """What the environment's own resources say, of an assembly that is deployed."""
    region = environment.region
    ids = dict(_ids(assembly, live))
    dashboard = next((name for kind, name in ids.values() if kind == DASHBOARD), None)
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/"
    hosts = [name for kind, name in ids.values() if kind == HOST]
    for kind, name in ids.values():
        if kind == FLEET:
            groups = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
            hosts += [host["InstanceId"] for group in groups["AutoScalingGroups"] for host in group["Instances"]]
    return Outcome(
        url=_url(environment, dict(ids.values()), aws),
        dashboard=console + dashboard if dashboard else None,
        sessions=tuple(f"aws ssm start-session --region {region} --target {host}" for host in sorted(hosts)),
    )


def _ids(assembly: Assembly, live: Live) -> dict[str, tuple[str, str]]:
    """Logical id -> type and physical id, of everything that says where things are."""
    wanted = (DISTRIBUTION, BALANCER, ADDRESS, DASHBOARD, HOST, FLEET)
    found: dict[str, tuple[str, str]] = {}
    for stack in assembly.stacks:
        ours = {
            one.id: one.type for one in resources(assembly).values() if one.stack == stack.role and one.type in wanted
        }
        there = live.physical_ids(stack.name, stack.region) if ours else {}
        found |= {name: (kind, there[name]) for name, kind in sorted(ours.items()) if there.get(name)}
    return found


def _url(environment: Environment, named: dict[str, str], aws: Clients) -> str | None:
    if environment.domain is not None:
        return f"https://{environment.domain}"
    if DISTRIBUTION in named:
        found: Any = aws.client("cloudfront").get_distribution(Id=named[DISTRIBUTION])
        return f"https://{found['Distribution']['DomainName']}"
    if BALANCER in named:
        found = aws.client("elbv2").describe_load_balancers(LoadBalancerArns=[named[BALANCER]])
        return f"http://{found['LoadBalancers'][0]['DNSName']}"
    return f"http://{named[ADDRESS]}" if ADDRESS in named else None
