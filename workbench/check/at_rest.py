"""Rules about what lies on disks: encrypted, and with an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import Resource, System, dig, items, number, yes

Encrypted = Callable[[System, Resource], bool]


def on(path: str) -> Encrypted:
    """A switch at this path is on."""
    return lambda _, resource: yes(resource.get(path))


def given(path: str) -> Encrypted:
    """A key or a configuration is given at this path."""
    return lambda _, resource: bool(resource.get(path))


def by_service(_: System, __: Resource) -> bool:
    """Encrypted by the service whatever the template says."""
    return True


def disks(path: str) -> Encrypted:
    """Every disk is encrypted, the root disk is among them: the image's own settings are not trusted."""

    def check(_: System, resource: Resource) -> bool:
        found = [dig(disk, "Ebs") for disk in items(resource.get(path)) if "Ebs" in disk]
        return bool(found) and all(yes(disk.get("Encrypted")) for disk in found)

    return check


def instance_disks(system: System, instance: Resource) -> bool:
    template = system.target(instance.get("LaunchTemplate"), "AWS::EC2::LaunchTemplate")
    if "BlockDeviceMappings" not in instance.properties and template is not None:
        return True  # looked at where it stands
    return disks("BlockDeviceMappings")(system, instance)


def database(system: System, instance: Resource) -> bool:
    """Its own setting; a replica takes its primary's."""
    source = system.target(instance.get("SourceDBInstanceIdentifier"), "AWS::RDS::DBInstance")
    return yes((source or instance).get("StorageEncrypted"))


def bucket(_: System, resource: Resource) -> bool:
    rules = items(resource.get("BucketEncryption.ServerSideEncryptionConfiguration"))
    return bool(rules) and all(dig(each, "ServerSideEncryptionByDefault.SSEAlgorithm") for each in rules)


def queue(_: System, resource: Resource) -> bool:
    return bool(resource.get("KmsMasterKeyId")) or yes(resource.get("SqsManagedSseEnabled"))


def stream(_: System, resource: Resource) -> bool:
    at_rest = resource.get("DeliveryStreamEncryptionConfigurationInput.KeyType")
    return bool(at_rest) or "KinesisStreamSourceConfiguration" in resource.properties


# Everything that stores something, with what proves that it is encrypted.
STORES: dict[str, Encrypted] = {
    "AWS::Backup::BackupVault": given("EncryptionKeyArn"),
    "AWS::DynamoDB::GlobalTable": on("SSESpecification.SSEEnabled"),
    "AWS::DynamoDB::Table": on("SSESpecification.SSEEnabled"),
    "AWS::EC2::Instance": instance_disks,
    "AWS::EC2::LaunchTemplate": disks("LaunchTemplateData.BlockDeviceMappings"),
    "AWS::EC2::Volume": on("Encrypted"),
    "AWS::EFS::FileSystem": on("Encrypted"),
    "AWS::ElastiCache::ReplicationGroup": on("AtRestEncryptionEnabled"),
    "AWS::ElastiCache::ServerlessCache": given("KmsKeyId"),
    "AWS::KMS::Key": on("EnableKeyRotation"),
    "AWS::Kinesis::Stream": given("StreamEncryption"),
    "AWS::KinesisFirehose::DeliveryStream": stream,
    "AWS::Lambda::Function": by_service,
    "AWS::Logs::LogGroup": given("KmsKeyId"),
    "AWS::OpenSearchService::Domain": on("EncryptionAtRestOptions.Enabled"),
    "AWS::RDS::DBCluster": on("StorageEncrypted"),
    "AWS::RDS::DBInstance": database,
    "AWS::S3::Bucket": bucket,
    "AWS::SNS::Topic": given("KmsMasterKeyId"),
    "AWS::SQS::Queue": queue,
    "AWS::SSM::Parameter": by_service,  # plain settings; HA08 sees to it that no secret is among them
    "AWS::SecretsManager::Secret": by_service,
}

# What keeps no data of anybody's: settings, rules, addresses, policies.
NO_STORES = {
    *("AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy"),
    *("AWS::AutoScaling::AutoScalingGroup", "AWS::AutoScaling::LifecycleHook", "AWS::AutoScaling::ScalingPolicy"),
    *("AWS::AutoScaling::ScheduledAction", "AWS::AutoScaling::WarmPool"),
    *("AWS::Backup::BackupPlan", "AWS::Backup::BackupSelection", "AWS::Budgets::Budget"),
    *("AWS::CertificateManager::Certificate", "AWS::CloudFront::CachePolicy", "AWS::CloudFront::Distribution"),
    "AWS::CloudFront::MonitoringSubscription",
    *("AWS::CloudFront::Function", "AWS::CloudFront::KeyValueStore", "AWS::CloudFront::OriginAccessControl"),
    *("AWS::CloudFront::OriginRequestPolicy", "AWS::CloudFront::ResponseHeadersPolicy", "AWS::CloudFront::VpcOrigin"),
    *("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Dashboard"),
    *("AWS::EC2::EIP", "AWS::EC2::EIPAssociation", "AWS::EC2::FlowLog", "AWS::EC2::InternetGateway"),
    *("AWS::EC2::NatGateway", "AWS::EC2::NetworkAcl", "AWS::EC2::NetworkAclEntry", "AWS::EC2::Route"),
    *("AWS::EC2::RouteTable", "AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress"),
    *("AWS::EC2::SecurityGroupIngress", "AWS::EC2::Subnet", "AWS::EC2::SubnetNetworkAclAssociation"),
    *("AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCEndpoint"),
    *("AWS::EC2::VPCGatewayAttachment", "AWS::EC2::VPCPeeringConnection"),
    *("AWS::ElastiCache::ParameterGroup", "AWS::ElastiCache::SubnetGroup", "AWS::ElastiCache::User"),
    *("AWS::ElastiCache::UserGroup", "AWS::ElasticLoadBalancingV2::Listener"),
    *("AWS::ElasticLoadBalancingV2::ListenerCertificate", "AWS::ElasticLoadBalancingV2::ListenerRule"),
    *("AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::TargetGroup"),
    *("AWS::Events::Rule", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"),
    *("AWS::IAM::Role", "AWS::KMS::Alias", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig"),
    *("AWS::Lambda::EventSourceMapping", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission"),
    *("AWS::Lambda::Version", "AWS::Logs::LogStream", "AWS::Logs::MetricFilter", "AWS::Logs::QueryDefinition"),
    *("AWS::Logs::ResourcePolicy", "AWS::RDS::DBParameterGroup", "AWS::RDS::DBSubnetGroup"),
    *("AWS::RDS::EventSubscription", "AWS::RDS::OptionGroup", "AWS::Route53::HealthCheck"),
    *("AWS::Route53::RecordSet", "AWS::S3::BucketPolicy", "AWS::SES::ConfigurationSet"),
    *("AWS::SES::ConfigurationSetEventDestination", "AWS::SES::EmailIdentity", "AWS::SES::Template"),
    *("AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::SSM::Association"),
    *("AWS::SSM::Document", "AWS::SSM::MaintenanceWindow", "AWS::SSM::PatchBaseline"),
    *("AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup", "AWS::SecretsManager::ResourcePolicy"),
    *("AWS::SecretsManager::RotationSchedule", "AWS::SecretsManager::SecretTargetAttachment"),
    *("AWS::WAFv2::IPSet", "AWS::WAFv2::LoggingConfiguration", "AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation"),
    *("AWS::Glue::Database", "AWS::Glue::Table", "AWS::XRay::Group", "AWS::XRay::SamplingRule"),
    *("AWS::SQS::QueueInlinePolicy", "AWS::SNS::TopicInlinePolicy", "AWS::CDK::Metadata"),
}


@rule(
    "HA11",
    "Everything that stores something encrypts it",
    why="A copied disk or snapshot is worthless without the key; most of these cannot be encrypted later.",
    fix="Switch encryption on; a new type goes into one of the two tables of workbench/check/at_rest.py.",
    source="AWS FSBP EC2.3, RDS.3, S3.17, ElastiCache.4, SQS.1, SNS.1, KMS.4",
)
def encryption(system: System, _: Wanted) -> Verdicts:
    for resource in system.resources:
        encrypted = STORES.get(resource.type)
        if encrypted is not None:
            yield resource, None if encrypted(system, resource) else "does not encrypt what it stores"
        elif resource.type not in NO_STORES and not resource.type.startswith("Custom::"):
            yield resource, "is of a type that nobody has judged yet: does it store data?"


@rule(
    "HA15",
    "Logs have an end",
    why="A log group without retention is kept, and paid for, for ever; one that a service makes has none.",
    fix="A log group of our own with RetentionInDays, named where the logs are written.",
    source="AWS CloudWatch.16",
)
def retention(system: System, wanted: Wanted) -> Verdicts:
    for group in system.of_type("AWS::Logs::LogGroup"):
        days = number(group.get("RetentionInDays"))
        yield group, None if days else "never forgets"
        if 0 < days < wanted.protection.log_days:
            yield group, f"forgets after {days} days, the environment wants {wanted.protection.log_days}"
    for writer, path in (("AWS::Lambda::Function", "LoggingConfig.LogGroup"), ("AWS::EC2::FlowLog", "LogGroupName")):
        for resource in system.of_type(writer):
            if writer == "AWS::EC2::FlowLog" and resource.get("LogDestinationType") == "s3":
                continue
            destination: Any = resource.get(path) or resource.get("LogDestination")
            group_of_it = system.target(destination, "AWS::Logs::LogGroup")
            yield resource, None if group_of_it else "writes to a log group that has no end"


RULES = (encryption, retention)
