"""What counts as stateful: what would be lost with it, how it may be kept, and how the service protects it.

Source for the policies: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
Read on 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DELETE, RETAIN, RETAIN_EXCEPT_ON_CREATE, SNAPSHOT = "Delete", "Retain", "RetainExceptOnCreate", "Snapshot"

# What keeps data when a template no longer has the resource, and when CloudFormation replaces it.
KEEPS_REMOVED = frozenset({RETAIN, RETAIN_EXCEPT_ON_CREATE, SNAPSHOT})
KEEPS_REPLACED = frozenset({RETAIN, SNAPSHOT})

# The types that CloudFormation can snapshot; on any other one the policy `Snapshot` is an error.
SNAPSHOTS = frozenset(
    {
        "AWS::DocDB::DBCluster",
        "AWS::EC2::Volume",
        "AWS::ElastiCache::CacheCluster",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::Neptune::DBCluster",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::Redshift::Cluster",
    }
)


@dataclass(frozen=True)
class Stateful:
    """One type whose resources must stay the same ones."""

    type: str
    holds: str
    name: str | None = None  # the property that fixes the physical name
    protection: str | None = None  # the property that makes the service refuse to delete it
    identity_only: bool = False  # others know it by its address or id; there is nothing in it to keep


_ROWS = (
    Stateful("AWS::Backup::BackupVault", "backups", "BackupVaultName"),
    Stateful("AWS::Cognito::UserPool", "accounts and passwords", "UserPoolName", "DeletionProtection"),
    Stateful("AWS::DynamoDB::GlobalTable", "items", "TableName"),
    Stateful("AWS::DynamoDB::Table", "items", "TableName", "DeletionProtectionEnabled"),
    Stateful("AWS::EC2::EIP", "the address that DNS and partners know", identity_only=True),
    Stateful(
        "AWS::EC2::Instance", "the one host of the small stages", protection="DisableApiTermination", identity_only=True
    ),
    Stateful("AWS::EC2::Subnet", "the addresses of what is in it", identity_only=True),
    Stateful("AWS::EC2::VPC", "the address plan", identity_only=True),
    Stateful("AWS::EC2::Volume", "a file system"),
    Stateful("AWS::EFS::FileSystem", "files"),
    Stateful("AWS::ElastiCache::ReplicationGroup", "sessions and counters besides copies", "ReplicationGroupId"),
    Stateful("AWS::KMS::Key", "the only way to read what it encrypted"),
    # Events wait here until their readers come. A Firehose stream is only their way: it buffers for minutes and
    # delivers what it has accepted, so it is not in this table.
    Stateful("AWS::Kinesis::Stream", "events of the last day or more", "Name"),
    Stateful("AWS::Logs::LogGroup", "the record of what happened", "LogGroupName", "DeletionProtectionEnabled"),
    Stateful("AWS::OpenSearchService::Domain", "an index", "DomainName"),
    Stateful("AWS::RDS::DBCluster", "a database", "DBClusterIdentifier", "DeletionProtection"),
    Stateful("AWS::RDS::DBInstance", "a database", "DBInstanceIdentifier", "DeletionProtection"),
    Stateful("AWS::S3::Bucket", "objects", "BucketName"),
    Stateful("AWS::SQS::Queue", "work that was accepted", "QueueName"),
    Stateful("AWS::SecretsManager::Secret", "a secret that others use", "Name"),
)

STATEFUL: Mapping[str, Stateful] = {row.type: row for row in _ROWS}


def is_replica(resource_type: str, properties: Mapping[str, Any]) -> bool:
    """A second copy of another database: made again at any time, so it is neither kept nor protected."""
    return resource_type == "AWS::RDS::DBInstance" and "SourceDBInstanceIdentifier" in properties


def removal_policy(resource_type: str, properties: Mapping[str, Any], written: object) -> str:
    """What CloudFormation does when a template no longer has the resource, also where it says nothing."""
    if isinstance(written, str):
        return written
    if resource_type == "AWS::RDS::DBCluster":
        return SNAPSHOT
    if resource_type == "AWS::RDS::DBInstance" and "DBClusterIdentifier" not in properties:
        return SNAPSHOT
    return DELETE
