"""Where the service specification says that a change *may* replace a resource, and AWS says when it does not.

A row that applies makes the change an update in place. A property without a row keeps the warning. Read on 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RESOURCE_PAGES = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-"
INSTANCE = RESOURCE_PAGES + "ec2-instance.html"
DATABASE = RESOURCE_PAGES + "rds-dbinstance.html"
CACHE = RESOURCE_PAGES + "elasticache-replicationgroup.html"
DOCUMENT = RESOURCE_PAGES + "ssm-document.html"
MODIFY = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.DBInstance.Modifying.html"


@dataclass(frozen=True)
class Changed:
    """One property that differs, with the whole resource on both sides as its template has it."""

    old: Any
    new: Any
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def same(self, name: str) -> bool:
        """Whether another property of the resource is equal on both sides."""
        old, new = (side.get("Properties") or {} for side in (self.before, self.after))
        return bool(old.get(name) == new.get(name))


def always(_: Changed) -> bool:
    return True


def same_image(changed: Changed) -> bool:
    """Every current image has an EBS root, and one image runs on one processor architecture."""
    return changed.same("ImageId")


def online_resharding(changed: Changed) -> bool:
    policy = changed.after.get("UpdatePolicy")
    return isinstance(policy, Mapping) and policy.get("UseOnlineResharding") in (True, "true")


def new_version(changed: Changed) -> bool:
    return bool((changed.after.get("Properties") or {}).get("UpdateMethod") == "NewVersion")


def taken_away(changed: Changed) -> bool:
    return changed.new is None


def switched_on_or_off(changed: Changed) -> bool:
    return changed.old is None or changed.new is None


def from_dedicated(changed: Changed) -> bool:
    return (changed.old, changed.new) == ("dedicated", "default")


@dataclass(frozen=True)
class Refinement:
    """When a conditional replacement does not happen, and what happens instead."""

    type: str
    property: str
    instead: str
    source: str
    when: Callable[[Changed], bool] = always


_ROWS = (
    Refinement("AWS::EC2::Instance", "InstanceType", "stops and starts", INSTANCE, same_image),
    Refinement(
        "AWS::EC2::Instance", "UserData", "stops and starts; the script does not run again", INSTANCE, same_image
    ),
    Refinement("AWS::EC2::Instance", "EbsOptimized", "stops and starts", INSTANCE, same_image),
    Refinement("AWS::EC2::Instance", "SecurityGroupIds", "in a VPC the groups are swapped in place", INSTANCE),
    Refinement(
        "AWS::EC2::VPC",
        "InstanceTenancy",
        "new instances are no longer dedicated",
        RESOURCE_PAGES + "ec2-vpc.html",
        from_dedicated,
    ),
    Refinement("AWS::RDS::DBInstance", "MultiAZ", "a standby is added or removed beside the running database", MODIFY),
    Refinement("AWS::RDS::DBInstance", "BackupRetentionPeriod", "in place; to or from 0 restarts", MODIFY),
    Refinement("AWS::RDS::DBInstance", "AutoMinorVersionUpgrade", "in place", MODIFY),
    Refinement("AWS::RDS::DBInstance", "PreferredMaintenanceWindow", "in place", MODIFY),
    Refinement("AWS::RDS::DBInstance", "StorageType", "in place; to or from magnetic restarts", MODIFY),
    Refinement("AWS::RDS::DBInstance", "DBParameterGroupName", "in place; static parameters need a restart", DATABASE),
    Refinement(
        "AWS::RDS::DBInstance",
        "SourceDBInstanceIdentifier",
        "the replica becomes a database of its own",
        DATABASE,
        taken_away,
    ),
    Refinement(
        "AWS::RDS::DBInstance",
        "PerformanceInsightsKMSKeyId",
        "set when Performance Insights starts or stops",
        MODIFY,
        switched_on_or_off,
    ),
    Refinement(
        "AWS::ElastiCache::ReplicationGroup",
        "NumNodeGroups",
        "keys move while the cluster answers",
        CACHE,
        online_resharding,
    ),
    Refinement(
        "AWS::ElastiCache::ReplicationGroup",
        "NodeGroupConfiguration",
        "keys move while the cluster answers",
        CACHE,
        online_resharding,
    ),
    *(
        Refinement("AWS::SSM::Document", name, "becomes the document's next version", DOCUMENT, new_version)
        for name in ("Content", "Attachments", "DocumentFormat", "Requires", "TargetType", "VersionName")
    ),
)

REFINEMENTS: Mapping[tuple[str, str], Refinement] = {(row.type, row.property): row for row in _ROWS}
