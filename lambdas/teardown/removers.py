"""How each kind of thing goes: what must happen before its stack can delete it, and how a leftover is removed.

A remover raises when the service refuses, and NotYet when the thing is on its way but not gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError


class NotYet(Exception):
    """It goes, but not within this pass: the next one looks again."""


class Gone(Exception):
    """It is gone already, or will be by itself."""


class Refused(Exception):
    """A service took part of a request and said no to the rest."""


@dataclass
class Aws:
    """The account in one region, and how much time is left to work in it."""

    region: str
    time_left: Callable[[], float]
    pause: float = 10.0
    _clients: dict[str, Any] = field(default_factory=dict)

    def __call__(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=self.region)
        return self._clients[service]

    def wait(self, done: Callable[[], bool]) -> bool:
        """Ask until it is done or the time is up."""
        while not done():
            if self.time_left() <= self.pause:
                return False
            time.sleep(self.pause)
        return True


# --- Before a stack is deleted: what CloudFormation itself would stop at ----------------------------------------------


def _database(aws: Aws, name: str) -> Any:
    [instance] = aws("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return instance


def _table(aws: Aws, name: str) -> Any:
    return aws("dynamodb").describe_table(TableName=name)["Table"]


def empty_bucket(aws: Aws, name: str) -> None:
    """Delete all objects, all their versions and all delete markers."""
    while True:
        page = aws("s3").list_object_versions(Bucket=name)
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not found:
            return
        if aws.time_left() <= 0:
            raise NotYet("there are objects left")
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        answer = aws("s3").delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
        for error in answer.get("Errors", []):
            raise Refused(f"{error['Key']}: {error['Code']}: {error['Message']}")


def empty_vault(aws: Aws, name: str) -> None:
    """Delete all recovery points; AWS Backup takes a while for it."""

    def is_empty() -> bool:
        pages = aws("backup").get_paginator("list_recovery_points_by_backup_vault").paginate(BackupVaultName=name)
        points = [point for page in pages for point in page["RecoveryPoints"]]
        for point in points:
            if point.get("Status") != "DELETING":
                aws("backup").delete_recovery_point(BackupVaultName=name, RecoveryPointArn=point["RecoveryPointArn"])
        return not points

    if not aws.wait(is_empty):
        raise NotYet("recovery points are being deleted")


Step = Callable[[Aws, str], None]
# By type of a stack's resource; the step gets its physical id.
EMPTY: Mapping[str, Step] = {"AWS::Backup::BackupVault": empty_vault, "AWS::S3::Bucket": empty_bucket}


@dataclass(frozen=True)
class Lock:
    """A service's own protection of one resource: whether it is on, and what takes it off. Nothing here does."""

    is_on: Callable[[Aws, str], bool]
    by_hand: str


def _balancer_is_locked(aws: Aws, arn: str) -> bool:
    attributes = aws("elbv2").describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    return {"Key": "deletion_protection.enabled", "Value": "true"} in attributes


def _host_is_locked(aws: Aws, host: str) -> bool:
    answer = aws("ec2").describe_instance_attribute(InstanceId=host, Attribute="disableApiTermination")
    return bool(answer["DisableApiTermination"]["Value"])


LOCKS: Mapping[str, Lock] = {
    "AWS::DynamoDB::Table": Lock(
        lambda aws, name: _table(aws, name).get("DeletionProtectionEnabled", False),
        "aws dynamodb update-table --no-deletion-protection-enabled --table-name {id}",
    ),
    "AWS::EC2::Instance": Lock(
        _host_is_locked, "aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id {id}"
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Lock(
        _balancer_is_locked,
        "aws elbv2 modify-load-balancer-attributes --attributes Key=deletion_protection.enabled,Value=false "
        "--load-balancer-arn {id}",
    ),
    "AWS::RDS::DBInstance": Lock(
        lambda aws, name: _database(aws, name).get("DeletionProtection", False),
        "aws rds modify-db-instance --no-deletion-protection --apply-immediately --db-instance-identifier {id}",
    ),
}


# --- Leftovers: what no stack holds any more --------------------------------------------------------------------------


def _delete_vault(aws: Aws, name: str) -> None:
    empty_vault(aws, name)
    aws("backup").delete_backup_vault(BackupVaultName=name)


def _delete_bucket(aws: Aws, name: str) -> None:
    empty_bucket(aws, name)
    aws("s3").delete_bucket(Bucket=name)


def _delete_database(aws: Aws, name: str) -> None:
    if _database(aws, name)["DBInstanceStatus"] == "deleting":
        raise NotYet("it is being deleted")
    aws("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True, DeleteAutomatedBackups=True)


def _delete_cache(aws: Aws, name: str) -> None:
    [group] = aws("elasticache").describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
    if group["Status"] == "deleting":
        raise NotYet("it is being deleted")
    aws("elasticache").delete_replication_group(ReplicationGroupId=name)


def _delete_table(aws: Aws, name: str) -> None:
    if _table(aws, name)["TableStatus"] == "DELETING":
        raise NotYet("it is being deleted")
    aws("dynamodb").delete_table(TableName=name)


def _delete_queue(aws: Aws, name: str) -> None:
    aws("sqs").delete_queue(QueueUrl=aws("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def _delete_key(aws: Aws, key: str) -> None:
    """A key waits at least seven days before it is gone, and costs nothing meanwhile."""
    if aws("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion":
        raise Gone
    aws("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=7)


def _delete_secret(aws: Aws, arn: str) -> None:
    if aws("secretsmanager").describe_secret(SecretId=arn).get("DeletedDate"):
        raise Gone
    aws("secretsmanager").delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


@dataclass(frozen=True)
class Kind:
    """One kind of leftover: how it is removed, here and by hand."""

    remove: Step
    by_hand: str


# By service and type, as they stand in an ARN; in the order in which leftovers go: what others are made of comes last.
KINDS: Mapping[str, Kind] = {
    "backup:backup-vault": Kind(_delete_vault, "aws backup delete-backup-vault --backup-vault-name {name}"),
    "rds:db": Kind(
        _delete_database, "aws rds delete-db-instance --db-instance-identifier {name} --skip-final-snapshot"
    ),
    "rds:snapshot": Kind(
        lambda aws, name: aws("rds").delete_db_snapshot(DBSnapshotIdentifier=name),
        "aws rds delete-db-snapshot --db-snapshot-identifier {name}",
    ),
    "elasticache:replicationgroup": Kind(
        _delete_cache, "aws elasticache delete-replication-group --replication-group-id {name}"
    ),
    "elasticache:snapshot": Kind(
        lambda aws, name: aws("elasticache").delete_snapshot(SnapshotName=name),
        "aws elasticache delete-snapshot --snapshot-name {name}",
    ),
    "ec2:volume": Kind(
        lambda aws, name: aws("ec2").delete_volume(VolumeId=name), "aws ec2 delete-volume --volume-id {name}"
    ),
    "ec2:snapshot": Kind(
        lambda aws, name: aws("ec2").delete_snapshot(SnapshotId=name), "aws ec2 delete-snapshot --snapshot-id {name}"
    ),
    "ec2:elastic-ip": Kind(
        lambda aws, name: aws("ec2").release_address(AllocationId=name),
        "aws ec2 release-address --allocation-id {name}",
    ),
    "dynamodb:table": Kind(_delete_table, "aws dynamodb delete-table --table-name {name}"),
    "sqs": Kind(_delete_queue, "aws sqs delete-queue --queue-url $(aws sqs get-queue-url --queue-name {name})"),
    "s3": Kind(_delete_bucket, "aws s3api delete-bucket --bucket {name}, as soon as all versions in it are deleted"),
    "secretsmanager:secret": Kind(
        _delete_secret,
        "aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery",
    ),
    "ssm:parameter": Kind(
        lambda aws, name: aws("ssm").delete_parameter(Name=name), "aws ssm delete-parameter --name {name}"
    ),
    "logs:log-group": Kind(
        lambda aws, name: aws("logs").delete_log_group(logGroupName=name),
        "aws logs delete-log-group --log-group-name {name}",
    ),
    "kms:key": Kind(_delete_key, "aws kms schedule-key-deletion --key-id {name} --pending-window-in-days 7"),
}


def read_arn(arn: str) -> tuple[str, str]:
    """The kind of an ARN, and the name by which its service knows the thing."""
    _, _, service, _, _, rest = arn.split(":", 5)
    if service in KINDS:  # buckets and queues: there is only a name
        return service, rest
    type_, mark, name = rest.partition("/" if 0 <= rest.find("/") < rest.find(":") or ":" not in rest else ":")
    if service == "secretsmanager":
        name = arn
    elif service == "ssm" and "/" in name:
        name = mark + name
    elif service == "logs":
        name = name.removesuffix(":*")
    return f"{service}:{type_}", name


def goes_by_itself(kind: str, name: str, tags: Mapping[str, str]) -> bool:
    """Whether a service made it as a part of something else, with whose tags, and takes it away with that."""
    return (
        kind in ("backup:recovery-point", "elasticache:cluster")
        or (kind == "rds:snapshot" and name.startswith(("awsbackup:", "rds:")))
        or "aws:backup:source-resource" in tags
    )


def is_gone(problem: ClientError) -> bool:
    """Services say in many words that there is no such thing."""
    code = problem.response["Error"]["Code"]
    return any(word in code for word in ("NotFound", "NonExistent", "DoesNotExist", "NoSuch"))
