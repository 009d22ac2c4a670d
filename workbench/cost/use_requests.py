"""What visitors add to the bill on their way in: CDN, firewall, load balancer, hosts, and what leaves the network."""

from __future__ import annotations

from workbench.cost.part import Left, Part, Remark, Said, product
from workbench.cost.prices import EDGE, GLOBAL
from workbench.cost.standing import host_settings, hosts
from workbench.cost.traffic import Traffic, elsewhere
from workbench.templates.reading import Resource, spelled
from workbench.usage import KIB_IN_GIB, LOG_KIB, STORE_KIB

# One unit of an Application or Network Load Balancer carries so much; the largest share of the four is billed.
# https://aws.amazon.com/elasticloadbalancing/pricing/, read 2026-10
NEW, ACTIVE, GIB_AN_HOUR, RULES = 25, 3_000, 1.0, 1_000
NETWORK_NEW, NETWORK_ACTIVE = 800, 100_000
FREE_RULES = 10
REQUESTS_A_CONNECTION = 10
CONNECTION_SECONDS = 60

BURSTS = "t2.", "t3.", "t3a.", "t4g."


def lcu(per_second: float, gib_an_hour: float, rules: int) -> float:
    """Units that an Application Load Balancer is billed on average."""
    new = per_second / REQUESTS_A_CONNECTION
    evaluated = per_second * max(0, rules - FREE_RULES)
    return max(new / NEW, new * CONNECTION_SECONDS / ACTIVE, gib_an_hour / GIB_AN_HOUR, evaluated / RULES)


def nlcu(per_second: float, gib_an_hour: float) -> float:
    """Units that a Network Load Balancer is billed on average, for TCP."""
    new = per_second / REQUESTS_A_CONNECTION
    return max(new / NETWORK_NEW, new * CONNECTION_SECONDS / NETWORK_ACTIVE, gib_an_hour / GIB_AN_HOUR)


def distribution(traffic: Traffic, distribution: Resource) -> Said:
    if distribution is not traffic.edge:
        yield Left("requests and traffic: there are several ways in")
        return
    yield Part("requests of visitors", "CloudFront", "HTTPS requests", traffic.visits, EDGE)
    yield Part("traffic to visitors", "CloudFront", "out to the internet", traffic.visits_gib, EDGE)
    yield Left("what visitors send on to the origin, paths that are cleared")


def balancer(traffic: Traffic, balancer: Resource) -> Said:
    if balancer is not traffic.front:
        yield Left("traffic: it is not the only way in")
        return
    an_hour = traffic.front_gib / 730
    if balancer.get("Type", "application") == "network":
        yield Part("capacity units", "ELB", "NLB NLCU", nlcu(traffic.front_per_second, an_hour))
    else:
        listeners = traffic.system.users(balancer, "AWS::ElasticLoadBalancingV2::Listener", "LoadBalancerArn")
        rules = [
            len(traffic.system.users(each, "AWS::ElasticLoadBalancingV2::ListenerRule", "ListenerArn"))
            for each in listeners
        ]
        units = lcu(traffic.front_per_second, an_hour, 1 + max(rules, default=0))
        yield Part("capacity units", "ELB", "ALB LCU", units)
    yield from _out(traffic)


def _out(traffic: Traffic) -> Said:
    if traffic.edge is None:  # what goes to CloudFront is free
        yield Part("traffic to visitors", "Data transfer", "out to the internet", traffic.front_gib)


def group(traffic: Traffic, group: Resource) -> Said:
    settings, wanted = host_settings(traffic.system, group), traffic.group_hosts(group)
    if wanted is None:
        yield Left("hosts above the minimum")
    else:
        extra = wanted.average - wanted.minimum
        for part in hosts(settings, extra) if extra > 0 else ():
            yield Part(f"{part.component}, above the minimum", part.service, part.item, part.amount)
        if not wanted.enough:
            yield Remark(
                f"{group.name} would need {wanted.peak:,.0f} hosts at the peak and may have {wanted.maximum:,.0f}: "
                "it cannot carry this workload, and what carries it costs more"
            )
    if group is traffic.hosts:
        crossing = product(traffic.front_requests * STORE_KIB / KIB_IN_GIB, elsewhere(group))
        yield Part("traffic between zones", "Data transfer", "between zones, each way", crossing)
        if traffic.front is group:
            yield from _out(traffic)
    yield from burst(spelled(settings.get("InstanceType")))


def instance(traffic: Traffic, instance: Resource) -> Said:
    if instance is traffic.front:
        yield from _out(traffic)
    elif traffic.front is None:
        yield Left("traffic: it is not the only way in")
    yield from burst(spelled(host_settings(traffic.system, instance).get("InstanceType")))


def burst(size: str) -> Said:
    if size.removeprefix("db.").startswith(BURSTS):
        yield Left("processor credits beyond those that its size earns")


def firewall(traffic: Traffic, firewall: Resource) -> Said:
    guards = traffic.system.users(firewall, "AWS::WAFv2::WebACLAssociation", "WebACLArn")
    guarded = [traffic.system.target(each.get("ResourceArn")) for each in guards]
    if firewall.get("Scope") == "CLOUDFRONT" and traffic.edge is not None:
        yield Part("requests looked at", "WAF", "requests", traffic.visits)
    elif traffic.balancer is not None and traffic.balancer in guarded:
        yield Part("requests looked at", "WAF", "requests", traffic.front_requests)
    else:
        yield Left("requests looked at")


def gateway(traffic: Traffic, _: Resource) -> Said:
    if traffic.hosts is None:
        yield Left("traffic through it")
        return
    gateways = len(traffic.system.of_type("AWS::EC2::NatGateway"))
    told = sum(traffic.usage.events.values()) if traffic.queued else 0
    gib = (traffic.front_requests + told) * LOG_KIB / KIB_IN_GIB
    yield Part("logs and events through it", "VPC", "NAT gateway data", gib / gateways)
    yield Left("packages and images that hosts fetch")


def endpoint(_: Traffic, endpoint: Resource) -> Said:
    if endpoint.get("VpcEndpointType") == "Interface":
        yield Left("traffic through it")


def record(traffic: Traffic, record: Resource) -> Said:
    if record.get("AliasTarget") is None:  # asking for an alias of something in AWS is free
        if record.get("Type") in ("A", "AAAA") and traffic.front is not None:
            yield Part("questions for the address", "Route 53", "queries", traffic.lookups, GLOBAL)
        else:
            yield Left("queries")
