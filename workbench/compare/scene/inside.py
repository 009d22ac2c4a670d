"""What stands inside private networks: entrances, hosts and stores, with their copies over the zones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from workbench.compare.scene.model import Fact, Node, Place
from workbench.compare.scene.networks import Networks
from workbench.compare.scene.reading import Reading, amount, called, id_of, key_of, keys_of, plural, text
from workbench.templates.reading import Resource, items, yes

ENGINES = {
    "aurora-mysql": "Aurora MySQL", "aurora-postgresql": "Aurora PostgreSQL", "mariadb": "MariaDB",
    "memcached": "Memcached", "mysql": "MySQL", "postgres": "PostgreSQL", "redis": "Redis", "valkey": "Valkey",
}  # fmt: skip
BALANCERS = {"network": "Network load balancer", "gateway": "Gateway load balancer"}
# Stores of which there is nothing more to tell: type -> icon, title, the property that says how big.
OTHER_STORES = {
    "AWS::OpenSearchService::Domain": ("search", "OpenSearch", "ClusterConfig.InstanceType"),
    "AWS::Elasticsearch::Domain": ("search", "Elasticsearch", "ElasticsearchClusterConfig.InstanceType"),
    "AWS::EFS::FileSystem": ("files", "EFS", "PerformanceMode"),
    "AWS::Redshift::Cluster": ("database", "Redshift", "NodeType"),
    "AWS::DocDB::DBCluster": ("database", "DocumentDB", "EngineVersion"),
    "AWS::Neptune::DBCluster": ("database", "Neptune", "EngineVersion"),
    "AWS::MSK::Cluster": ("stream", "Kafka", "BrokerNodeGroupInfo.InstanceType"),
    "AWS::DAX::Cluster": ("cache", "DAX", "NodeType"),
}
CONTAINERS = {"AWS::ECS::Service": "Container service", "AWS::EKS::Cluster": "Kubernetes cluster"}
LISTENING = (
    "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::ElasticLoadBalancingV2::ListenerCertificate",
)  # fmt: skip
MOST_COPIES = 6


def inside(reading: Reading, nets: Networks) -> Iterator[Node]:
    """Everything that stands in a network, in the order of the tiers."""
    yield from _nat(reading, nets)
    yield from _balancers(reading, nets)
    yield from _instances(reading, nets)
    yield from _fleets(reading, nets)
    yield from _containers(reading, nets)
    yield from _caches(reading, nets)
    yield from _databases(reading, nets)
    for kind, (icon, title, size) in OTHER_STORES.items():
        for store in reading.of(kind):
            facts = _facts(name=called(store), size=text(store.get(size)))
            yield _at(nets, reading, Node(id_of(store), (icon,), title, Place.DATA, facts, keys_of([store])), store)


def _facts(**told: str) -> tuple[Fact, ...]:
    return tuple(Fact(about, said) for about, said in told.items() if said)


def _at(nets: Networks, reading: Reading, node: Node, resource: Resource, *, everywhere: bool = False) -> Node:
    """The node where its resource stands: in all the zones that it is given, or in the first of them."""
    vpc, tier, zones = nets.where(reading, resource, node.place)
    if everywhere:
        return replace(node, vpc=vpc, place=tier, zones=zones or tuple(range(nets.zones(vpc))))
    return replace(node, vpc=vpc, place=tier, zones=zones[:1] or (0,))


def _nat(reading: Reading, nets: Networks) -> Iterator[Node]:
    for gateway in reading.of("AWS::EC2::NatGateway"):
        keys = keys_of([gateway, *reading.reached(gateway, "AWS::EC2::EIP")])
        yield _at(nets, reading, Node(id_of(gateway), ("nat",), "NAT gateway", Place.PUBLIC, (), keys), gateway)


def _balancers(reading: Reading, nets: Networks) -> Iterator[Node]:
    for balancer in reading.of("AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancing::LoadBalancer"):
        own = _parts(reading, balancer)
        kind = text(balancer.get("Type")) or "application"
        seen = text(balancer.get("Scheme")) or "internet-facing"
        routes = [part for part in own if part.type == "AWS::ElasticLoadBalancingV2::ListenerRule"]
        node = Node(
            id_of(balancer),
            ("balancer",),
            BALANCERS.get(kind, "Application load balancer" if "V2" in balancer.type else "Classic load balancer"),
            Place.PUBLIC if seen == "internet-facing" else Place.APP,
            _facts(name=called(balancer), seen=seen, rules=plural(len(routes), "rule") if routes else ""),
            keys_of([balancer, *own]),
            guard=_guard(reading, balancer),
        )
        yield _at(nets, reading, node, balancer, everywhere=True)


def _parts(reading: Reading, balancer: Resource) -> list[Resource]:
    """Listeners, their rules and the groups of targets, whoever refers to whom."""
    listeners = reading.users_of(balancer, *LISTENING)
    rules = [rule for listener in listeners for rule in reading.users_of(listener, *LISTENING)]
    groups = [group for each in (*listeners, *rules) for group in reading.reached(each, LISTENING[2])]
    return list(dict.fromkeys([*listeners, *rules, *groups]))


def _guard(reading: Reading, resource: Resource) -> Node | None:
    for link in reading.users_of(resource, "AWS::WAFv2::WebACLAssociation"):
        for acl in reading.reached(link, "AWS::WAFv2::WebACL"):
            return firewall(reading, acl, link)
    return None


def firewall(reading: Reading, acl: Resource, *links: Resource) -> Node:
    """A web ACL, drawn in what it guards."""
    keys = keys_of([acl, *links, *reading.users_of(acl, "AWS::WAFv2::LoggingConfiguration")])
    facts = _facts(rules=plural(len(items(acl.get("Rules"))), "rule"))
    return Node(id_of(acl), ("waf",), "WAF", Place.EDGE, facts, keys)


def _instances(reading: Reading, nets: Networks) -> Iterator[Node]:
    for instance in reading.of("AWS::EC2::Instance"):
        links = reading.users_of(instance, "AWS::EC2::EIPAssociation", "AWS::EC2::EIP", "AWS::EC2::VolumeAttachment")
        parts = [
            each for link in links for each in (link, *reading.reached(link, "AWS::EC2::EIP"), *_volumes(reading, link))
        ]
        loose = _loose_volumes(reading) if len(reading.of("AWS::EC2::Instance")) == 1 else []
        volumes = list(dict.fromkeys([*(each for link in links for each in _volumes(reading, link)), *loose]))
        gib = sum(amount(volume.get("Size")) for volume in volumes)
        facts = _facts(
            size=text(instance.get("InstanceType")) or _template_size(reading, instance),
            storage=f"{gib} GB volume" if gib else "",
        )
        node = Node(id_of(instance), ("host",), called(instance), Place.APP, facts, keys_of([instance, *parts, *loose]))
        yield _at(nets, reading, node, instance)


def _volumes(reading: Reading, link: Resource) -> list[Resource]:
    return reading.reached(link, "AWS::EC2::Volume")


def _loose_volumes(reading: Reading) -> list[Resource]:
    """Volumes that nothing attaches in a template: the only host does it when it boots."""
    return [
        volume
        for volume in reading.of("AWS::EC2::Volume")
        if not reading.users_of(volume, "AWS::EC2::VolumeAttachment", "AWS::EC2::Instance")
    ]


def _template_size(reading: Reading, resource: Resource) -> str:
    sizes = [
        text(template.get("LaunchTemplateData.InstanceType")) or text(template.get("InstanceType"))
        for kind in ("AWS::EC2::LaunchTemplate", "AWS::AutoScaling::LaunchConfiguration")
        for template in reading.reached(resource, kind)
    ]
    return next(filter(None, sizes), "")


def _fleets(reading: Reading, nets: Networks) -> Iterator[Node]:
    for group in reading.of("AWS::AutoScaling::AutoScalingGroup"):
        least, most = text(group.get("MinSize")), text(group.get("MaxSize"))
        templates = reading.reached(group, "AWS::EC2::LaunchTemplate")
        own = [group, *templates, *reading.users_of(group, "AWS::AutoScaling::ScalingPolicy")]
        size = _template_size(reading, group)
        hosts = (
            (plural(amount(most), "host") if least == most else f"{least} to {most} hosts") if least and most else ""
        )
        facts = _facts(name=called(group), hosts=hosts, size=size)
        node = Node(id_of(group), ("fleet",), "Auto Scaling group", Place.APP, facts, keys_of(own))
        node = _at(nets, reading, node, group, everywhere=True)
        first = node.zones[: max(1, amount(least, 1))]
        yield replace(node, members=tuple(_copy(node, "host", "Host", zone) for zone in first))


def _copy(node: Node, icon: str, title: str, zone: int, *facts: Fact) -> Node:
    """One of the copies that AWS makes of a thing: it has no resource of its own."""
    return Node(f"{node.id}/{zone}", (icon,), title, node.place, facts, (), node.vpc, (zone,))


def _containers(reading: Reading, nets: Networks) -> Iterator[Node]:
    for kind, title in CONTAINERS.items():
        for service in reading.of(kind):
            tasks = reading.reached(service, "AWS::ECS::TaskDefinition")
            count = text(service.get("DesiredCount"))
            size = next((f"{text(task.get('Cpu'))} CPU, {text(task.get('Memory'))} MB" for task in tasks), "")
            facts = _facts(
                name=called(service),
                tasks=plural(amount(count), "task") if count else "",
                size="" if size.startswith(" ") else size,
            )
            node = Node(id_of(service), ("container",), title, Place.APP, facts, keys_of([service, *tasks]))
            yield _at(nets, reading, node, service, everywhere=True)


def _caches(reading: Reading, nets: Networks) -> Iterator[Node]:
    kinds = (
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::ElastiCache::CacheCluster",
        "AWS::ElastiCache::ServerlessCache",
    )
    for cache in reading.of(*kinds):
        own = [
            cache,
            *(each for each in reading.targets(cache) if each.type.startswith("AWS::ElastiCache::")),
        ]
        own += [each for part in own for each in reading.reached(part, "AWS::ElastiCache::User")]
        shards = amount(cache.get("NumNodeGroups"), 1)
        nodes = 1 + amount(cache.get("ReplicasPerNodeGroup"))
        if "ReplicationGroup" not in cache.type or "ReplicasPerNodeGroup" not in cache.properties:
            nodes = amount(cache.get("NumCacheClusters") or cache.get("NumCacheNodes"), 1)
        engine = ENGINES.get(text(cache.get("Engine")).lower(), text(cache.get("Engine")) or "Redis")
        count = shards * nodes if "Serverless" not in cache.type else 0
        shape = f"{plural(shards, 'shard')} x {plural(nodes, 'node')}" if shards > 1 else plural(nodes, "node")
        facts = _facts(
            name=called(cache),
            size=text(cache.get("CacheNodeType")).removeprefix("cache."),
            shape=shape if count else "serverless",
        )
        title = f"ElastiCache {engine}"
        node = Node(id_of(cache), ("cache",), title, Place.DATA, facts, keys_of(own))
        if count < 2:
            yield _at(nets, reading, node, cache)
            continue
        node = _at(nets, reading, node, cache, everywhere=True)
        share = {zone: -(-(count - place) // len(node.zones)) for place, zone in enumerate(node.zones)}
        members = (_copy(node, "cache", plural(each, "node"), zone) for zone, each in share.items() if each > 0)
        yield replace(node, members=tuple(members))


def _databases(reading: Reading, nets: Networks) -> Iterator[Node]:
    """Instances that belong together, by replication or as a cluster, are one thing with members."""
    families: dict[str, list[Resource]] = defaultdict(list)
    for instance in reading.of("AWS::RDS::DBInstance"):
        families[id_of(_origin(reading, instance))].append(instance)
    for cluster in reading.of("AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster"):
        if cluster.type.endswith("DBCluster"):
            yield _family(reading, nets, cluster, families.pop(id_of(cluster), []))
    for instances in families.values():
        yield _family(reading, nets, instances[0], instances)


def _origin(reading: Reading, instance: Resource) -> Resource:
    """The cluster, or the first instance of a chain of replicas."""
    seen = {key_of(instance)}
    while True:
        source = reading.first(instance, "DBClusterIdentifier", "AWS::RDS::DBCluster") or reading.first(
            instance, "SourceDBInstanceIdentifier", "AWS::RDS::DBInstance"
        )
        if source is None or key_of(source) in seen:
            return instance
        seen.add(key_of(source))
        instance = source


def _family(reading: Reading, nets: Networks, first: Resource, instances: list[Resource]) -> Node:
    instances = sorted(instances, key=lambda one: (one is not first, one.name))
    engine = ENGINES.get(text(first.get("Engine")), text(first.get("Engine")) or "database")
    version = text(first.get("EngineVersion")).partition(".")[0]
    parts = [
        each
        for instance in (first, *instances)
        for each in reading.targets(instance)
        if each.type in ("AWS::RDS::DBSubnetGroup", "AWS::RDS::DBParameterGroup", "AWS::RDS::DBClusterParameterGroup")
    ]
    standby = yes(first.get("MultiAZ"))
    shell = Node(
        f"{id_of(first)}/family",
        ("database",),
        " ".join(part for part in ("RDS" if "Aurora" not in engine else "", engine, version) if part),
        Place.DATA,
        _facts(name=called(first), zones="Multi-AZ" if standby else ""),
        keys_of([first] if first.type.endswith("Cluster") else []) + keys_of(parts),
    )
    shell = _at(nets, reading, shell, first, everywhere=True)
    members = [_member(reading, shell, instance, first) for instance in instances]
    if standby:
        main = members[0]
        copy = replace(
            main, id=f"{main.id}/standby", title="Standby", facts=_facts(role="synchronous"), keys=main.keys[:1]
        )
        members.insert(1, copy)
    if len(members) < 2:
        alone = members[0] if members else shell
        facts = (*_facts(name=called(first)), *(fact for fact in alone.facts if fact.about != "role"))
        zone = (shell.zones or (0,))[:1]
        return replace(shell, id=alone.id, facts=facts, keys=alone.keys + shell.keys, zones=zone)
    zones = shell.zones
    placed = [replace(member, zones=(zones[place % len(zones)],)) for place, member in enumerate(members)]
    return replace(shell, members=tuple(placed))


def _member(reading: Reading, shell: Node, instance: Resource, first: Resource) -> Node:
    gib = text(instance.get("AllocatedStorage"))
    own = [instance, *reading.users_of(instance, "AWS::SecretsManager::SecretTargetAttachment")]
    facts = _facts(
        size=text(instance.get("DBInstanceClass")).removeprefix("db."),
        storage=f"{gib} GB" if gib else "",
        role="" if instance is first else "read replica" if "SourceDBInstanceIdentifier" in instance.properties else "",
    )
    node = Node(id_of(instance), ("database",), called(instance), Place.DATA, facts, keys_of(own))
    return replace(node, vpc=shell.vpc, place=shell.place)
