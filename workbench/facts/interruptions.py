"""What stops or restarts while it is changed in place, for the types of the five stages. Read on 2026-11.

A property without a row changes while its resource goes on working, or AWS does not say that it stops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.facts.refinements import INSTANCE, RESOURCE_PAGES, Changed

DATABASE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html"
FAILOVER = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.Failover.html"
UPGRADE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.html"
PARAMETERS = RESOURCE_PAGES + "rds-dbinstance.html"
CACHE_SIZE = "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/redis-cluster-vertical-scaling.html"
CACHE_VERSION = "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/VersionManagement-upgrade-considerations.html"


@dataclass(frozen=True)
class Interruption:
    """What clients of a resource notice while one of its properties is changed."""

    type: str
    property: str
    effect: str
    source: str
    when: Callable[[Changed], bool] = lambda _: True


def has_standby(changed: Changed) -> bool:
    properties = changed.before.get("Properties")
    return isinstance(properties, Mapping) and properties.get("MultiAZ") in (True, "true")


def to_or_from(*values: object) -> Callable[[Changed], bool]:
    return lambda changed: (changed.old in values) != (changed.new in values)


INTERRUPTIONS = (
    *(
        Interruption("AWS::EC2::Instance", name, "stops and starts", INSTANCE)
        for name in ("InstanceType", "UserData", "EbsOptimized")
    ),
    Interruption(
        "AWS::RDS::DBInstance",
        "DBInstanceClass",
        "moves to its standby, which usually takes 60 to 120 seconds",
        FAILOVER,
        has_standby,
    ),
    Interruption("AWS::RDS::DBInstance", "DBInstanceClass", "is away for minutes while it changes hardware", DATABASE),
    Interruption(
        "AWS::RDS::DBInstance", "EngineVersion", "is away while it is upgraded, its standby included", UPGRADE
    ),
    Interruption("AWS::RDS::DBInstance", "Port", "restarts", DATABASE),
    Interruption("AWS::RDS::DBInstance", "BackupRetentionPeriod", "restarts", DATABASE, to_or_from(0, "0", None)),
    Interruption("AWS::RDS::DBInstance", "StorageType", "restarts", DATABASE, to_or_from("standard")),
    Interruption("AWS::RDS::DBInstance", "DBParameterGroupName", "may restart", PARAMETERS),
    Interruption("AWS::RDS::DBInstance", "CACertificateIdentifier", "may restart", DATABASE),
    Interruption(
        "AWS::ElastiCache::ReplicationGroup",
        "CacheNodeType",
        "drops connections for seconds while each shard moves to its new nodes",
        CACHE_SIZE,
    ),
    *(
        Interruption(
            "AWS::ElastiCache::ReplicationGroup",
            name,
            "refuses writes for seconds while each shard is upgraded",
            CACHE_VERSION,
        )
        for name in ("Engine", "EngineVersion")
    ),
)


def interruption(resource_type: str, property_: str, changed: Changed) -> Interruption | None:
    """What this very change interrupts, if anything."""
    rows = (row for row in INTERRUPTIONS if (row.type, row.property) == (resource_type, property_))
    return next((row for row in rows if row.when(changed)), None)
