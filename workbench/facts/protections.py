"""How types say that what they store and send is kept: encrypted, backed up, with versions, for how long.

Source of settings and defaults: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/ (page of each
type). Read on 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CUSTOMER_KEY, AWS_KEY, NOT_ENCRYPTED, NOT_KNOWN = "customer key", "AWS key", "no", "unknown"


@dataclass(frozen=True)
class Encryption:
    """How a type says that it is encrypted."""

    key: str  # the property that names a key
    switch: str = ""  # the property that is on or off
    otherwise: str = NOT_ENCRYPTED  # when the template says nothing
    off: str = NOT_ENCRYPTED  # when the switch is off


# By default a Redis cache is not encrypted and a Valkey cache may be, so silence about a cache means nothing.
ENCRYPTION: Mapping[str, Encryption] = {
    "AWS::Backup::BackupVault": Encryption("EncryptionKeyArn", otherwise=AWS_KEY),
    "AWS::CloudTrail::Trail": Encryption("KMSKeyId", otherwise=AWS_KEY),
    "AWS::DocDB::DBCluster": Encryption("KmsKeyId", "StorageEncrypted"),
    "AWS::DynamoDB::Table": Encryption(
        "SSESpecification.KMSMasterKeyId", "SSESpecification.SSEEnabled", AWS_KEY, AWS_KEY
    ),
    "AWS::EC2::Volume": Encryption("KmsKeyId", "Encrypted"),
    "AWS::ECR::Repository": Encryption(
        "EncryptionConfiguration.KmsKey", "EncryptionConfiguration.EncryptionType", AWS_KEY
    ),
    "AWS::EFS::FileSystem": Encryption("KmsKeyId", "Encrypted"),
    "AWS::ElastiCache::ReplicationGroup": Encryption("KmsKeyId", "AtRestEncryptionEnabled", NOT_KNOWN),
    "AWS::ElastiCache::ServerlessCache": Encryption("KmsKeyId", otherwise=AWS_KEY),
    "AWS::Kinesis::Stream": Encryption("StreamEncryption.KeyId", "StreamEncryption.EncryptionType"),
    "AWS::KinesisFirehose::DeliveryStream": Encryption(
        "DeliveryStreamEncryptionConfigurationInput.KeyARN", "DeliveryStreamEncryptionConfigurationInput.KeyType"
    ),
    "AWS::Logs::LogGroup": Encryption("KmsKeyId", otherwise=AWS_KEY),
    "AWS::Neptune::DBCluster": Encryption("KmsKeyId", "StorageEncrypted"),
    "AWS::OpenSearchService::Domain": Encryption("EncryptionAtRestOptions.KmsKeyId", "EncryptionAtRestOptions.Enabled"),
    "AWS::RDS::DBCluster": Encryption("KmsKeyId", "StorageEncrypted"),
    "AWS::RDS::DBInstance": Encryption("KmsKeyId", "StorageEncrypted"),
    "AWS::Redshift::Cluster": Encryption("KmsKeyId", "Encrypted"),
    "AWS::SNS::Topic": Encryption("KmsMasterKeyId"),
    "AWS::SecretsManager::Secret": Encryption("KmsKeyId", otherwise=AWS_KEY),
}
# Lists of things that are encrypted one by one: the weakest of them counts.
IN_LISTS: Mapping[str, tuple[str, Encryption]] = {
    "AWS::AutoScaling::LaunchConfiguration": ("BlockDeviceMappings", Encryption("", "Ebs.Encrypted", NOT_KNOWN)),
    "AWS::EC2::Instance": ("BlockDeviceMappings", Encryption("Ebs.KmsKeyId", "Ebs.Encrypted", NOT_KNOWN)),
    "AWS::EC2::LaunchTemplate": (
        "LaunchTemplateData.BlockDeviceMappings",
        Encryption("Ebs.KmsKeyId", "Ebs.Encrypted", NOT_KNOWN),
    ),
    "AWS::S3::Bucket": (
        "BucketEncryption.ServerSideEncryptionConfiguration",
        Encryption(
            "ServerSideEncryptionByDefault.KMSMasterKeyID", "ServerSideEncryptionByDefault.SSEAlgorithm", AWS_KEY
        ),
    ),
}
# Besides stores that have it in the table of what is stateful: the property that makes a service refuse to delete.
UNDELETABLE = {
    "AWS::DocDB::DBCluster": "DeletionProtection",
    "AWS::Neptune::DBCluster": "DeletionProtection",
    "AWS::NetworkFirewall::Firewall": "DeleteProtection",
}
# Type -> how long its service keeps backups, and what it does when nothing is said.
BACKUPS = {
    "AWS::DocDB::DBCluster": ("BackupRetentionPeriod", 1),
    "AWS::ElastiCache::ReplicationGroup": ("SnapshotRetentionLimit", 0),
    "AWS::ElastiCache::ServerlessCache": ("SnapshotRetentionLimit", 0),
    "AWS::Neptune::DBCluster": ("BackupRetentionPeriod", 1),
    "AWS::RDS::DBCluster": ("BackupRetentionPeriod", 1),
    "AWS::RDS::DBInstance": ("BackupRetentionPeriod", 1),
    "AWS::Redshift::Cluster": ("AutomatedSnapshotRetentionPeriod", 1),
}


@dataclass(frozen=True)
class Switch:
    """A setting that protects as long as it has one of these values."""

    type: str
    path: tuple[str, ...]
    good: tuple[str, ...]  # an empty text stands for saying nothing
    about: str  # "encryption" or "protection"
    text: str
    at_stake: bool = False  # the data itself, not only a guard around it


SWITCHES = (
    Switch(
        "AWS::CloudFront::Distribution",
        ("DistributionConfig", "DefaultCacheBehavior", "ViewerProtocolPolicy"),
        ("redirect-to-https", "https-only"),
        "encryption",
        "{} serves visitors over plain HTTP too.",
    ),
    Switch(
        "AWS::CloudFront::Distribution",
        ("DistributionConfig", "CacheBehaviors", "ViewerProtocolPolicy"),
        ("redirect-to-https", "https-only", ""),
        "encryption",
        "{} serves some paths over plain HTTP too.",
    ),
    Switch(
        "AWS::EFS::FileSystem",
        ("BackupPolicy", "Status"),
        ("enabled",),
        "protection",
        "{} is no longer backed up by AWS Backup.",
    ),
    Switch(
        "AWS::ElastiCache::ReplicationGroup",
        ("TransitEncryptionEnabled",),
        ("true",),
        "encryption",
        "{} no longer encrypts what travels to it.",
        at_stake=True,
    ),
    Switch(
        "AWS::ElastiCache::ReplicationGroup",
        ("TransitEncryptionMode",),
        ("required", ""),
        "encryption",
        "{} accepts plain connections besides encrypted ones.",
    ),
    Switch(
        "AWS::ElasticLoadBalancingV2::Listener",
        ("Protocol",),
        ("https", "tls"),
        "encryption",
        "{} no longer encrypts what travels to visitors.",
    ),
    Switch(
        "AWS::KMS::Key",
        ("Enabled",),
        ("true", ""),
        "protection",
        "{} is disabled: what is encrypted with it cannot be read.",
        at_stake=True,
    ),
    Switch("AWS::KMS::Key", ("EnableKeyRotation",), ("true",), "protection", "{} is no longer rotated."),
    Switch(
        "AWS::OpenSearchService::Domain",
        ("DomainEndpointOptions", "EnforceHTTPS"),
        ("true",),
        "encryption",
        "{} accepts plain HTTP.",
    ),
    Switch(
        "AWS::OpenSearchService::Domain",
        ("NodeToNodeEncryptionOptions", "Enabled"),
        ("true",),
        "encryption",
        "{} no longer encrypts what travels between its nodes.",
    ),
    Switch(
        "AWS::RDS::DBInstance",
        ("DeleteAutomatedBackups",),
        ("false",),
        "protection",
        "{} takes its automatic backups with it when it is deleted.",
    ),
    Switch(
        "AWS::RDS::DBParameterGroup",
        ("Parameters", "rds.force_ssl"),
        ("1", "on", "true"),
        "encryption",
        "{} lets the database accept plain connections.",
    ),
    Switch("AWS::RDS::DBProxy", ("RequireTLS",), ("true",), "encryption", "{} accepts plain connections."),
    Switch(
        "AWS::S3::Bucket",
        ("VersioningConfiguration", "Status"),
        ("enabled",),
        "protection",
        "{} no longer keeps versions: what is overwritten or deleted is gone.",
    ),
)


@dataclass(frozen=True)
class Term:
    """How long something is kept, or waited for; the shortest of several counts, and nothing said means this much."""

    type: str
    path: tuple[str, ...]
    otherwise: float
    text: str
    unit: str = "day"
    forever: str = "for ever"


FOREVER = float("inf")
TERMS = (
    Term(
        "AWS::Backup::BackupPlan", ("BackupPlan", "BackupPlanRule", "Lifecycle", "DeleteAfterDays"), FOREVER,
        "{} keeps copies for {} instead of {}.",
    ),
    Term("AWS::KMS::Key", ("PendingWindowInDays",), 30, "{} waits {} instead of {} before it is really deleted."),
    Term("AWS::Kinesis::Stream", ("RetentionPeriodHours",), 24, "{} keeps events for {} instead of {}.", "hour"),
    Term("AWS::Logs::LogGroup", ("RetentionInDays",), FOREVER, "{} keeps its records for {} instead of {}."),
    Term(
        "AWS::S3::Bucket", ("LifecycleConfiguration", "Rules", "ExpirationInDays"), FOREVER,
        "{} has objects that go after {} instead of {}.", forever="never",
    ),
    Term(
        "AWS::SQS::Queue", ("MessageRetentionPeriod",), 345_600, "{} keeps messages for {} instead of {}.", "second",
    ),
)  # fmt: skip
