"""By which names and addresses visitors come in, and what answers there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.compare.model import Entrance
from workbench.templates import Key, Reference
from workbench.templates.names import several, written
from workbench.templates.network import GROUP, Permission, ingress, is_private, network
from workbench.templates.reading import Resource, System, dig, yes

CDN, BALANCER, ADDRESS, DOMAIN = "CDN", "load balancer", "address", "domain"
DISTRIBUTION = "AWS::CloudFront::Distribution"
BALANCERS = ("AWS::ElasticLoadBalancing::LoadBalancer", "AWS::ElasticLoadBalancingV2::LoadBalancer")
# What answers on the internet by itself, unless the property says that it is private.
ANSWERING = {
    "AWS::ApiGateway::RestApi": ("API", "EndpointConfiguration.Types", "PRIVATE"),
    "AWS::ApiGatewayV2::Api": ("API", "DisableExecuteApiEndpoint", "true"),
    "AWS::AppRunner::Service": ("service", "NetworkConfiguration.IngressConfiguration.IsPubliclyAccessible", "false"),
    "AWS::AppSync::GraphQLApi": ("API", "Visibility", "PRIVATE"),
    DISTRIBUTION: (CDN, "DistributionConfig.Enabled", "false"),
    "AWS::GlobalAccelerator::Accelerator": (ADDRESS, "Enabled", "false"),
    "AWS::Lambda::Url": ("function URL", "AuthType", "AWS_IAM"),
}
OWN_DOMAINS = ("AWS::ApiGateway::DomainName", "AWS::ApiGatewayV2::DomainName", "AWS::Cognito::UserPoolDomain")
MOST_STEPS = 5  # from a record by way of others


@dataclass(frozen=True)
class Way:
    """One way in, and the resources that answer there."""

    entrance: Entrance
    answers: frozenset[Key]


def ways(system: System, called: Mapping[Key, str]) -> list[Way]:
    """Every way in: own domains first, then what has only the name that AWS gave it."""
    answering = dict(_answering(system))
    found = list(_domains(system, called, answering))
    named = {key for way in found for key in way.answers}
    return found + [
        Way(Entrance(kind, called[key], key), frozenset({key}))
        for key, kind in sorted(answering.items(), key=lambda item: (item[1], called[item[0]]))
        if key not in named
    ]


def firewalled(system: System) -> set[Key]:
    """What has a web firewall in front of it."""
    targets = [
        one for use in system.of_type("AWS::WAFv2::WebACLAssociation") for one in system.targets(dict(use.properties))
    ]
    cdns = [cdn for cdn in system.of_type(DISTRIBUTION) if cdn.get("DistributionConfig.WebACLId")]
    return {key_of(resource) for resource in (*targets, *cdns)}


def key_of(resource: Resource) -> Key:
    return resource.stack.role, resource.id


# --- what answers ----------------------------------------------------------------------------------------------------


def _answering(system: System) -> Iterator[tuple[Key, str]]:
    open_groups = _open_to_visitors(system)
    for key, resource in system.by_key.items():
        if resource.type in ANSWERING:
            kind, path, private = ANSWERING[resource.type]
            if private not in [written(one, {}) for one in several(resource.get(path))]:
                yield key, kind
        elif resource.type in BALANCERS and resource.get("Scheme") != "internal" and resource.get("Type") != "gateway":
            if _lets_visitors_in(system, resource, open_groups):
                yield key, BALANCER
        elif resource.type == "AWS::EC2::EIP":
            if any(_lets_visitors_in(system, host, open_groups) for host in _hosts(system, resource)):
                yield key, ADDRESS
        elif resource.type == "AWS::S3::Bucket" and resource.get("WebsiteConfiguration") and _is_open(resource):
            yield key, "website"


def _is_open(bucket: Resource) -> bool:
    """Only where public access is switched on does a website answer anybody."""
    block = bucket.get("PublicAccessBlockConfiguration")
    return isinstance(block, Mapping) and not yes(block.get("RestrictPublicBuckets"))


def _hosts(system: System, address: Resource) -> list[Resource]:
    uses = [
        use for use in system.of_type("AWS::EC2::EIPAssociation") if address in system.targets(dict(use.properties))
    ]
    found = system.targets([address.get("InstanceId"), *(use.get("InstanceId") for use in uses)])
    return [host for host in found if host.type == "AWS::EC2::Instance"]


def _targets(system: System, resource: Resource) -> list[Resource]:
    return system.targets(dict(resource.properties))


def _lets_visitors_in(system: System, resource: Resource, open_groups: Mapping[Key, bool]) -> bool:
    """What is known of its security groups decides; what has none that are known may be reached."""
    used = _targets(system, resource)
    for template in (one for one in used if one.type == "AWS::EC2::LaunchTemplate"):
        used = [*used, *_targets(system, template)]
    groups = [key_of(one) for one in used if one.type == GROUP]
    return not groups or any(open_groups.get(group, False) for group in groups)


def _open_to_visitors(system: System) -> dict[Key, bool]:
    has_cdn = bool(system.of_type(DISTRIBUTION))
    found = dict[Key, bool]()
    for rule in ingress(system):
        if rule.group is not None and not found.get(key_of(rule.group)):
            found[key_of(rule.group)] = _of_visitors(rule, has_cdn=has_cdn)
    return found


def _of_visitors(rule: Permission, *, has_cdn: bool) -> bool:
    """Whether a rule speaks of people outside; with a CDN, a list of addresses is taken for that of the CDN."""
    if any(rule.properties.get(name) for name in ("CidrIp", "CidrIpv6")):
        addresses = network(rule.source)
        return not isinstance(rule.source, Reference) if addresses is None else not is_private(addresses)
    return "SourcePrefixListId" in rule.properties and not has_cdn


# --- what it is called -----------------------------------------------------------------------------------------------


def _domains(system: System, called: Mapping[Key, str], answering: Mapping[Key, str]) -> Iterator[Way]:
    records = _records(system, called)
    pointed_at = {name for values in records.values() for _, value in values for name in _names(value, called)}
    origins = {
        written(dig(origin, "DomainName"), called)
        for cdn in system.of_type(DISTRIBUTION)
        for origin in several(cdn.get("DistributionConfig.Origins"))
    }
    for name, values in sorted(records.items()):
        answers = frozenset(key for key in _led_to(name, records, system, called) if key in answering)
        if answers and name not in pointed_at | origins:
            yield Way(Entrance(DOMAIN, name, values[0][0]), answers)
    for key, resource in system.by_key.items():
        aliases = several(resource.get("DistributionConfig.Aliases")) if resource.type == DISTRIBUTION else []
        if resource.type in OWN_DOMAINS:
            aliases = several(resource.get("DomainName") or resource.get("Domain"))
        for name in dict.fromkeys(written(alias, called) for alias in aliases):
            if name not in records:  # its record is kept elsewhere
                yield Way(Entrance(DOMAIN, name, key), frozenset({key}))


def _records(system: System, called: Mapping[Key, str]) -> dict[str, list[tuple[Key, Any]]]:
    """Name -> the records of this name, and where each leads."""
    found = defaultdict[str, list[tuple[Key, Any]]](list)
    for key, resource in system.by_key.items():
        written_here: list[Any] = []
        if resource.type == "AWS::Route53::RecordSet":
            written_here = [resource.properties]
        elif resource.type == "AWS::Route53::RecordSetGroup":
            written_here = several(resource.get("RecordSets"))
        for record in written_here:
            if isinstance(record, Mapping) and record.get("Type") in ("A", "AAAA", "CNAME"):
                name = written(record.get("Name"), called).rstrip(".").lower()
                found[name].append((key, dig(record, "AliasTarget.DNSName") or record.get("ResourceRecords")))
    return found


def _names(value: Any, called: Mapping[Key, str]) -> list[str]:
    return [written(one, called).rstrip(".").lower() for one in several(value)]


def _led_to(
    name: str, records: Mapping[str, list[tuple[Key, Any]]], system: System, called: Mapping[Key, str]
) -> set[Key]:
    """The resources that a name leads to, also by way of other names."""
    found, names = set[Key](), {name}
    for _ in range(MOST_STEPS):
        values = [value for one in names for _, value in records.get(one, ())]
        found |= {key_of(resource) for resource in system.targets(values)}
        names = {other for value in values for other in _names(value, called)} & records.keys()
    return found
