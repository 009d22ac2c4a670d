"""What is billed by the hour or by the month while nobody visits, type by type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blueprint.metrics import CUSTOM_METRICS
from workbench.cost.part import Part, Parts, Standing, count, figure, product, section
from workbench.cost.prices import GLOBAL
from workbench.templates.reading import Resource, System, dig, items, spelled, yes

FREE_IOPS, FREE_MIBPS = 3_000, 125  # what every gp3 disk has without extra charge
STRIPED_FROM_GIB, STRIPED_IOPS = 400, 12_000  # a database's gp3 disk of this size has more
EDGE_METRICS = 8  # what the monitoring subscription of a distribution adds
SCALING_ALARMS = 2  # one above the target, one below
ADDRESS = "VPC", "Public IPv4 address (in use or idle)"
LAUNCH_TEMPLATE = "AWS::EC2::LaunchTemplate"
HOSTS = "AWS::AutoScaling::AutoScalingGroup", "AWS::EC2::Instance"
_OUR_NAMESPACES = {metric.namespace for metric in CUSTOM_METRICS}
_DISKS = {"io1": "io2/io1", "io2": "io2/io1"}


def host_settings(system: System, resource: Resource) -> Mapping[str, Any]:
    """How a host or each host of a group is started: its own settings over those of its launch template."""
    chosen = (
        resource.get("LaunchTemplate")
        or resource.get("MixedInstancesPolicy.LaunchTemplate")
        or resource.get("LaunchConfigurationName")
    )
    template = system.target(chosen, LAUNCH_TEMPLATE, "AWS::AutoScaling::LaunchConfiguration")
    inherited = {} if template is None else section(template.properties, "LaunchTemplateData") or template.properties
    return {**inherited, **resource.properties}


def hosts(settings: Mapping[str, Any], number: float | None) -> Parts:
    """So many hosts with their disks."""
    yield Part("host", "EC2", f"{spelled(settings.get('InstanceType'))} Linux on-demand", number)
    disks = [section(disk, "Ebs") for disk in items(settings.get("BlockDeviceMappings"))]
    for disk in [disk for disk in disks if disk] or [{"VolumeType": "gp3"}]:  # without one, the image decides
        yield from _disk(disk, "VolumeSize", number)
    if yes(settings.get("Monitoring")) or yes(dig(settings, "Monitoring.Enabled")):
        yield Part("detailed monitoring", "CloudWatch", "EC2 detailed monitoring (7 metrics)", number)


def _disk(disk: Mapping[str, Any], size: str, number: float | None = 1) -> Parts:
    kind = spelled(disk.get("VolumeType", "gp2"))
    yield Part("disk", "EBS", f"{_DISKS.get(kind, kind)} storage", product(number, figure(disk.get(size))))
    if kind in _DISKS:
        amount = product(number, figure(disk.get("Iops")))
        yield Part("disk Iops", "EBS", "io2/io1 provisioned IOPS (first tier)", amount)
    if kind == "gp3":
        for name, item, free in (
            ("Iops", "gp3 provisioned IOPS above 3000", FREE_IOPS),
            ("Throughput", "gp3 provisioned throughput above 125 MiB/s", FREE_MIBPS),
        ):
            yield Part(f"disk {name}", "EBS", item, product(number, _above(figure(disk.get(name), 0), free)))


def _above(amount: float | None, free: float) -> float | None:
    return None if amount is None else max(0, amount - free)


def _instance(system: System, instance: Resource) -> Parts:
    yield from hosts(host_settings(system, instance), 1)
    yield from _own_metrics(system, instance)


def _group(system: System, group: Resource) -> Parts:
    yield from hosts(host_settings(system, group), figure(group.get("MinSize")))
    yield from _own_metrics(system, group)


def _own_metrics(system: System, hosts: Resource) -> Parts:
    """What the shop itself sends, once for all hosts; other people's applications send something else."""
    alarms = system.of_type("AWS::CloudWatch::Alarm")
    named = {spelled(alarm.get("Namespace")) for alarm in alarms} | {
        spelled(dig(metric, "MetricStat.Metric.Namespace"))
        for alarm in alarms
        for metric in items(alarm.get("Metrics"))
    }
    if hosts is system.of_type(*HOSTS)[0] and named & _OUR_NAMESPACES:
        yield Part("metrics of the shop", "CloudWatch", "custom metric first 10k", len(CUSTOM_METRICS))


def source_database(system: System, database: Resource) -> Resource | None:
    """The database that a replica copies."""
    return system.target(database.get("SourceDBInstanceIdentifier"), "AWS::RDS::DBInstance")


def database_service(system: System, database: Resource) -> str:
    engine = spelled((source_database(system, database) or database).get("Engine"))
    return {"postgres": "RDS PostgreSQL", "mysql": "RDS MySQL"}.get(engine, f"RDS {engine}")


def allocated_gib(system: System, database: Resource) -> float | None:
    """A replica has what its source has."""
    primary = source_database(system, database)
    inherited = primary.get("AllocatedStorage") if primary else None
    return figure(database.get("AllocatedStorage", inherited))


def storage_item(database: Resource) -> str:
    copies = "Multi-AZ" if yes(database.get("MultiAZ")) else "Single-AZ"
    return f"{spelled(database.get('StorageType', 'gp2'))} storage {copies}"


def _database(system: System, database: Resource) -> Parts:
    if database.get("DBClusterIdentifier") is not None:
        yield Part("database", "RDS cluster", spelled(database.get("DBInstanceClass")), 1)
        return
    service, gib = database_service(system, database), allocated_gib(system, database)
    what = "read replica" if source_database(system, database) else "database"
    size = "Multi-AZ (1 standby)" if yes(database.get("MultiAZ")) else "Single-AZ"
    yield Part(what, service, f"{spelled(database.get('DBInstanceClass'))} {size}", 1)
    yield Part(f"storage of {what}", service, storage_item(database), gib)
    if database.get("Iops") is not None:
        kind, copies = spelled(database.get("StorageType")), size.partition(" ")[0]
        free = STRIPED_IOPS if (gib or 0) >= STRIPED_FROM_GIB else FREE_IOPS
        item = f"gp3 provisioned IOPS above baseline {copies}" if kind == "gp3" else f"{kind} IOPS {copies}"
        yield Part(f"Iops of {what}", service, item, _above(figure(database.get("Iops")), free if kind == "gp3" else 0))


def _cache(_: System, group: Resource) -> Parts:
    copies = figure(group.get("ReplicasPerNodeGroup"), 0)
    shards = figure(group.get("NumNodeGroups"), 1)
    nodes = product(shards, None if copies is None else 1 + copies)
    if group.get("NumCacheClusters") is not None:  # without shards
        nodes = figure(group.get("NumCacheClusters"))
    if group.get("NumCacheNodes") is not None:  # a single cluster
        nodes = figure(group.get("NumCacheNodes"))
    engine = spelled(group.get("Engine"))
    known = {"valkey": "Valkey", "redis": "Redis OSS"}.get(engine, engine)
    yield Part("cache node", "ElastiCache", f"{spelled(group.get('CacheNodeType'))} node ({known})", nodes)


def _balancer(_: System, balancer: Resource) -> Parts:
    kind = spelled(balancer.get("Type", "application")).title()
    yield Part("load balancer", "ELB", f"{kind} Load Balancer", 1)
    if balancer.get("Scheme", "internet-facing") != "internal":
        yield Part("its addresses", *ADDRESS, count(balancer.get("Subnets", balancer.get("SubnetMappings"))) or None)


def _endpoint(_: System, endpoint: Resource) -> Parts:
    if endpoint.get("VpcEndpointType") == "Interface":
        yield Part("private endpoint", "VPC", "Interface endpoint (per AZ)", count(endpoint.get("SubnetIds")) or None)


def _alarm(_: System, alarm: Resource) -> Parts:
    metrics = [metric for metric in items(alarm.get("Metrics")) if section(metric, "MetricStat")]
    periods = [figure(dig(metric, "MetricStat.Period"), 60) for metric in metrics] or [figure(alarm.get("Period"), 60)]
    fast = any(period is not None and period < 60 for period in periods)
    kind = "high-resolution" if fast else "standard-resolution"
    yield Part("alarm", "CloudWatch", f"{kind} alarm", max(1, len(metrics)))


def _firewall(_: System, firewall: Resource) -> Parts:
    yield Part("firewall", "WAF", "web ACL", 1)
    yield Part("its rules", "WAF", "rule / rule group / managed rule group", count(firewall.get("Rules")))


def _scaling(_: System, policy: Resource) -> Parts:
    if policy.get("PolicyType") == "TargetTrackingScaling":
        yield Part("alarms of scaling", "CloudWatch", "standard-resolution alarm", SCALING_ALARMS)


def on_demand(table: Resource) -> bool:
    return bool(table.get("BillingMode") == "PAY_PER_REQUEST")


def _table(_: System, table: Resource) -> Parts:
    if not on_demand(table):
        for component, item, path in (
            ("capacity to read", "provisioned RCU", "ProvisionedThroughput.ReadCapacityUnits"),
            ("capacity to write", "provisioned WCU", "ProvisionedThroughput.WriteCapacityUnits"),
        ):
            yield Part(component, "DynamoDB", item, figure(table.get(path)))


def _stream(_: System, stream: Resource) -> Parts:
    if stream.get("StreamModeDetails.StreamMode") == "ON_DEMAND":
        yield Part("stream", "Kinesis", "on-demand stream", 1)
    else:
        yield Part("shard", "Kinesis", "provisioned shard", figure(stream.get("ShardCount"), 1))


def _parameter(_: System, parameter: Resource) -> Parts:
    if parameter.get("Tier") == "Advanced":
        yield Part("parameter", "Systems Manager", "advanced parameter", 1)


def _each(component: str, service: str, item: str, amount: int = 1, region: str = "") -> Standing:
    return lambda _, __: iter([Part(component, service, item, amount, region)])


STANDING: dict[str, Standing] = {
    "AWS::AutoScaling::AutoScalingGroup": _group,
    "AWS::AutoScaling::ScalingPolicy": _scaling,
    "AWS::CloudFront::MonitoringSubscription": _each(
        "metrics of the edge", "CloudWatch", "custom metric first 10k", EDGE_METRICS
    ),
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _each("dashboard", "CloudWatch", "dashboard"),
    "AWS::DynamoDB::Table": _table,
    "AWS::EC2::EIP": _each("address", *ADDRESS),
    "AWS::EC2::Instance": _instance,
    "AWS::EC2::NatGateway": _each("NAT gateway", "VPC", "NAT gateway"),
    "AWS::EC2::Volume": lambda _, volume: _disk(volume.properties, "Size"),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ElastiCache::CacheCluster": _cache,
    "AWS::ElastiCache::ReplicationGroup": _cache,
    "AWS::ElasticLoadBalancing::LoadBalancer": _each("load balancer", "ELB", "Classic Load Balancer"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "AWS::KMS::Key": _each("key", "KMS", "customer managed key"),
    "AWS::Kinesis::Stream": _stream,
    "AWS::RDS::DBInstance": _database,
    "AWS::Route53::HostedZone": _each("zone of names", "Route 53", "hosted zone", region=GLOBAL),
    "AWS::SSM::Parameter": _parameter,
    "AWS::SecretsManager::Secret": _each("secret", "Secrets Manager", "secret"),
    "AWS::WAFv2::WebACL": _firewall,
}
