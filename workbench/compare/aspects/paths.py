"""The links of each path through a template: what lets requests in, what computes, what keeps, what works afterwards.

Everything of one kind that a template has is counted as needed, which errs on the side of less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from workbench.compare.aspects.reach import (
    APIS,
    BALANCERS,
    actions,
    key_of,
    primaries,
    reached,
    replicas,
    request_functions,
    serving_groups,
    serving_hosts,
    work_functions,
    zones,
)
from workbench.compare.model import Link
from workbench.cost.part import figure
from workbench.facts.commitments import commitments
from workbench.templates.reading import Resource, System, spelled, yes

CACHES = "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::CacheCluster", "AWS::ElastiCache::ServerlessCache"
TABLES = "AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable", "AWS::Serverless::SimpleTable"
DOMAINS = "AWS::OpenSearchService::Domain", "AWS::Elasticsearch::Domain"
BUCKET, DISTRIBUTION, SERVICE = "AWS::S3::Bucket", "AWS::CloudFront::Distribution", "AWS::ECS::Service"
# What requests may need as well, and nobody has looked up a commitment for.
UNLISTED = (
    "AWS::AppRunner::Service",
    "AWS::AppSync::GraphQLApi",
    "AWS::DocDB::DBCluster",
    "AWS::EKS::Cluster",
    "AWS::ElasticBeanstalk::Environment",
    "AWS::Neptune::DBCluster",
)
# What work in the background may touch, by type, with the name of the commitment.
TOUCHED = {
    BUCKET: "bucket",
    "AWS::DynamoDB::Table": "table",
    "AWS::DynamoDB::GlobalTable": "global table",
    "AWS::KinesisFirehose::DeliveryStream": "delivery stream",
    "AWS::SES::EmailIdentity": "mail",
}
# What brings it there.
BROUGHT = {
    "AWS::SNS::Topic": "messages",
    "AWS::SQS::Queue": "messages",
    "AWS::Kinesis::Stream": "stream",
    "AWS::Events::EventBus": "event bus",
    "AWS::StepFunctions::StateMachine": "state machine",
}


def paths(system: System) -> Iterator[tuple[str, tuple[Link, ...]]]:
    """Each path that there is: its name and what it passes."""
    entrance, computing = list(_entrance(system)), list(_computing(system))
    static = [] if computing else list(_together(_origins(system), "bucket"))
    for name, store in (("read", [*_reads(system), *static]), ("write", list(_writes(system)))):
        # With only files behind the entrance nobody can change anything this way.
        if store or computing or (entrance and name == "read"):
            yield name, (*entrance, *computing, *store)
    background = tuple(_background(system))
    if background:
        yield "background", background


def _link(resource: Resource, commitment: str, *, copies: int = 1) -> Link:
    found = commitments()[commitment]
    return Link(resource.name, found.availability, copies, found.cited, key_of(resource))


def _unknown(resource: Resource, why: str) -> Link:
    return Link(resource.name, None, 1, why, key_of(resource))


def _together(resources: list[Resource], commitment: str) -> Iterator[Link]:
    """One link for all: what AWS runs for a whole region fails for all of them, or for none."""
    if resources:
        more = f" and {len(resources) - 1} more" if len(resources) > 1 else ""
        found = commitments()[commitment]
        yield Link(f"{resources[0].name}{more}", found.availability, 1, found.cited, key_of(resources[0]))


# --- Requests ---------------------------------------------------------------------------------------------------------


def _entrance(system: System) -> Iterator[Link]:
    records = [record for record in system.of_type("AWS::Route53::RecordSet") if record.get("Type") in ("A", "AAAA")]
    yield from _together([*records, *system.of_type("AWS::Route53::RecordSetGroup")], "domain name")
    yield from _together(system.of_type(DISTRIBUTION), "CDN")
    for firewall in system.of_type("AWS::WAFv2::WebACL"):
        yield _link(firewall, "firewall")
    yield from _together(system.of_type(*APIS), "API")
    every = system.of_type(*BALANCERS)
    public = [balancer for balancer in every if spelled(balancer.get("Scheme")) != "internal"]
    for balancer in public or every:
        spread = zones(
            system, balancer.get("Subnets", balancer.get("SubnetMappings", balancer.get("AvailabilityZones")))
        )
        if spread is None:
            yield _unknown(balancer, "only AWS knows in how many zones it is")
        else:
            yield _link(balancer, f"load balancer in {'several zones' if spread > 1 else 'one zone'}")


def _computing(system: System) -> Iterator[Link]:
    for group in serving_groups(system):
        spread = zones(system, group.get("VPCZoneIdentifier", group.get("AvailabilityZones")))
        minimum = figure(group.get("MinSize"))
        if spread is None or not minimum:
            yield _unknown(group, "the template does not say how many hosts there are at least, in how many zones")
        else:
            yield from _hosts(group, min(int(minimum), spread))
    hosts = serving_hosts(system)
    if hosts.balanced:
        yield from _hosts(hosts.all[0], min(len(hosts.all), hosts.zones))
    elif len(hosts.all) == 1:
        yield _link(hosts.all[0], "host")
    elif hosts.all:
        yield _unknown(hosts.all[0], f"which of {len(hosts.all)} hosts a request needs is not in the template")
    for service in system.of_type(SERVICE):
        tasks = figure(service.get("DesiredCount"), 1)
        subnets = service.get("NetworkConfiguration.AwsvpcConfiguration.Subnets")
        spread = None if subnets is None else zones(system, subnets)
        if tasks is not None and tasks > 1 and (spread or 0) > 1:
            yield _link(service, "containers in several zones")
        else:
            yield _unknown(service, "AWS commits only to several tasks in two zones or more")
    yield from _together(request_functions(system), "function")
    for resource in system.of_type(*UNLISTED):
        yield _unknown(resource, f"no commitment is listed here for {resource.type}")


def _hosts(resource: Resource, copies: int) -> Iterator[Link]:
    """Hosts fail one by one, and a region all at once: AWS commits to both."""
    if copies > 1:
        found = commitments()["hosts in several zones"]
        yield Link(f"{resource.name}, all hosts at once", found.availability, 1, found.cited, key_of(resource))
    yield _link(resource, "host", copies=copies)


def _origins(system: System) -> list[Resource]:
    """Buckets that a CDN or the internet reads from."""
    origins = [each.get("DistributionConfig.Origins") for each in system.of_type(DISTRIBUTION)]
    found = [bucket for bucket in system.targets(origins) if bucket.type == BUCKET]
    return found or [bucket for bucket in system.of_type(BUCKET) if bucket.get("WebsiteConfiguration") is not None]


def _writes(system: System) -> Iterator[Link]:
    yield from (_database(primary) for primary in primaries(system))
    yield from _other_stores(system)


def _reads(system: System) -> Iterator[Link]:
    for primary in primaries(system):
        copies = len(replicas(system, primary))
        if copies and _database(primary).availability is not None:
            name = f"{primary.name} or one of its replicas ({copies})"
            found = commitments()["database without standby"]
            source = f"each counted like the weakest of them. {found.cited}"
            yield Link(name, found.availability, 1 + copies, source, key_of(primary))
        else:
            yield _database(primary)
    yield from _other_stores(system)
    if _keeps_elsewhere(system):
        for link in _caches(system):
            source = f"by design: what a cache does not answer is read from the store behind it. {link.source}"
            yield replace(link, name=f"{link.name}, which reads can do without", availability=1.0, source=source)


def _keeps_elsewhere(system: System) -> bool:
    """Whether there is a store behind the caches."""
    return bool([*primaries(system), *system.of_type("AWS::RDS::DBCluster", *TABLES, *DOMAINS)])


def _caches(system: System) -> Iterator[Link]:
    for cache in system.of_type(*CACHES):
        failover = yes(cache.get("AutomaticFailoverEnabled")) or cache.type.endswith("ServerlessCache")
        yield _link(cache, "cache with failover" if failover else "cache in one zone")


def _database(primary: Resource) -> Link:
    multi = primary.get("MultiAZ", False)
    if not isinstance(multi, bool | str):
        return _unknown(primary, "only AWS knows whether it has a standby")
    return _link(primary, "database with standby" if yes(multi) else "database without standby")


def _other_stores(system: System) -> Iterator[Link]:
    for cluster in system.of_type("AWS::RDS::DBCluster"):
        yield _cluster(system, cluster)
    yield from _together(_tables(system), "table")
    for domain in system.of_type(*DOMAINS):
        spread = domain.get(
            "ClusterConfig.ZoneAwarenessEnabled", domain.get("ElasticsearchClusterConfig.ZoneAwarenessEnabled")
        )
        yield _link(domain, "search domain") if yes(spread) else _unknown(domain, "AWS commits only to several zones")
    if not _keeps_elsewhere(system):
        yield from _caches(system)


def _cluster(system: System, cluster: Resource) -> Link:
    if not spelled(cluster.get("Engine")).startswith("aurora"):
        return _link(cluster, "database with standby")
    members = system.users(cluster, "AWS::RDS::DBInstance", "DBClusterIdentifier")
    return _link(cluster, f"database cluster in {'several zones' if len(members) > 1 else 'one zone'}")


def _tables(system: System) -> list[Resource]:
    """Tables that what answers requests has rights on; all of them where nothing else is kept."""
    tables = system.of_type(*TABLES)
    other = primaries(system) or system.of_type("AWS::RDS::DBCluster")
    answering = [*serving_groups(system), *serving_hosts(system).all, *request_functions(system)]
    near = reached(system, [*answering, *system.of_type(SERVICE)])
    wanted = [table for table in tables if table in near]
    return wanted or ([] if other or work_functions(system) else tables)


# --- Work in the background -------------------------------------------------------------------------------------------


def _background(system: System) -> Iterator[Link]:
    """From the message to its effect; before it, there is a write."""
    functions = work_functions(system)
    if not functions:
        return
    sources = _upstream(system, functions)
    for type_, commitment in BROUGHT.items():
        yield from _together([each for each in system.of_type(type_) if each in sources], commitment)
    yield from _together(functions, "function")
    touched = reached(system, functions)
    if any(action.startswith("ses:") for action in actions(touched)):
        touched.update(system.of_type("AWS::SES::EmailIdentity"))
    for type_, commitment in TOUCHED.items():
        yield from _together([each for each in system.of_type(type_) if each in touched], commitment)
    yield from (_database(primary) for primary in primaries(system) if primary in touched)
    if any(function.get("VpcConfig") for function in functions):
        gateways = system.of_type("AWS::EC2::NatGateway")
        if gateways:
            yield _link(gateways[0], "way out", copies=zones(system, [each.get("SubnetId") for each in gateways]) or 1)
        else:
            endpoints = system.of_type("AWS::EC2::VPCEndpoint")
            interfaces = [each for each in endpoints if each.get("VpcEndpointType") == "Interface"]
            yield from _together(interfaces, "private endpoint")


def _upstream(system: System, functions: list[Resource]) -> set[Resource]:
    """Queues, streams and event buses that functions are fed from, and the topics that fill those."""
    mappings = system.of_type("AWS::Lambda::EventSourceMapping")
    fed = [each for each in mappings if system.target(each.get("FunctionName")) in functions]
    found = set(chain.from_iterable(system.targets(each.get("EventSourceArn")) for each in fed))
    for type_, end, start in (
        ("AWS::SNS::Subscription", "Endpoint", "TopicArn"),
        ("AWS::Events::Rule", "Targets", "EventBusName"),
    ):
        for each in system.of_type(type_):
            if {*found, *functions} & set(system.targets(each.get(end))):
                found |= set(system.targets(each.get(start)))
    return found
