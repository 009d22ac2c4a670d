"""The resource types that hold data: databases, caches, buckets, tables, secrets, images and their backups."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from jmespath import search  # type: ignore[import-untyped]

from workbench.sandbox.kinds.calls import (
    Kept,
    arn,
    call,
    changed,
    inside,
    made_up_id,
    refuse_change,
    refuse_unknown,
    remembered,
    remove,
    tag,
    tag_list,
    text,
    without,
)
from workbench.sandbox.kinds.kind import FAILURES, Aws, Kind, Made, Refused, Wanted, absent_is_fine


def _snapshot_name(wanted: Wanted, most: int) -> str:
    """A name that no earlier snapshot has, even of a resource that was made and deleted twice."""
    return replace(wanted, id=f"snapshot-{wanted.id}", generation=str(uuid4())).name(most, lower=True)


# ---- RDS


class ParameterGroup:
    """AWS::RDS::DBParameterGroup: a group, and the parameters in it, which are a second call."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = str(wanted.properties.get("DBParameterGroupName") or wanted.name(255)).lower()
        rename = {"Family": "DBParameterGroupFamily"}
        properties = without(wanted.properties, "Parameters", "DBParameterGroupName")
        call(aws, "rds", "create_db_parameter_group", properties, rename, DBParameterGroupName=name)
        return self._filled(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        refuse_change(before, after, "Parameters")
        # moto has no ResetDBParameterGroup: a parameter that the template gives up is taken out of its model.
        inside(aws, "rds").db_parameter_groups[made.id].parameters.clear()
        return self._filled(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        _refuse_while_used(aws, "DBParameterGroups[].DBParameterGroupName", made.id)
        remove(aws, "rds", "delete_db_parameter_group", DBParameterGroupName=made.id)

    def _filled(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        refuse_unknown(after, "DBParameterGroupName", "Description", "Family", "Parameters")
        parameters = [
            {"ParameterName": key, "ParameterValue": text(value), "ApplyMethod": "pending-reboot"}
            for key, value in after.properties.get("Parameters", {}).items()
        ]
        if parameters:
            call(aws, "rds", "modify_db_parameter_group", DBParameterGroupName=name, Parameters=parameters)
        tag(aws, arn(aws, "rds", f"pg:{name}"), before, after)
        return Made(name, {"DBParameterGroupName": name})


class DatabaseSubnets:
    """AWS::RDS::DBSubnetGroup."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = str(wanted.properties.get("DBSubnetGroupName") or wanted.name(255)).lower()
        properties = without(wanted.properties, "DBSubnetGroupName")
        call(aws, "rds", "create_db_subnet_group", properties, DBSubnetGroupName=name)
        tag(aws, arn(aws, "rds", f"subgrp:{name}"), None, wanted)
        return Made(name, {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if news := changed(before, after):
            group = inside(aws, "rds").subnet_groups[made.id]
            subnets = {"SubnetIds": after.properties["SubnetIds"], **news}
            call(aws, "rds", "modify_db_subnet_group", subnets, DBSubnetGroupName=made.id)
            inside(aws, "rds").subnet_groups[made.id] = group  # moto loses a group that it changes
        tag(aws, arn(aws, "rds", f"subgrp:{made.id}"), before, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        _refuse_while_used(aws, "DBSubnetGroup.DBSubnetGroupName", made.id)
        remove(aws, "rds", "delete_db_subnet_group", DBSubnetGroupName=made.id)


def _refuse_while_used(aws: Aws, path: str, name: str) -> None:
    """Moto deletes groups from under the databases that use them."""
    instances = call(aws, "rds", "describe_db_instances")["DBInstances"]
    users = search(f"[?contains([{path}][], '{name}')].DBInstanceIdentifier", instances)
    if users:
        raise Refused(f"{name} is in use by the database {', '.join(sorted(users))}")


class Database:
    """AWS::RDS::DBInstance: a database of its own, or with SourceDBInstanceIdentifier the replica of one."""

    _RENAMED: Mapping[str, str] = {"VPCSecurityGroups": "VpcSecurityGroupIds"}
    _RENAMED_LATER: Mapping[str, str] = {**_RENAMED, "Port": "DBPortNumber"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = without(wanted.properties, "DBInstanceIdentifier", "DeleteAutomatedBackups")
        name = str(wanted.properties.get("DBInstanceIdentifier") or wanted.name(63)).lower()
        operation = "create_db_instance"
        if "SourceDBInstanceIdentifier" in properties:
            operation = "create_db_instance_read_replica"
        call(aws, "rds", operation, properties, self._RENAMED, DBInstanceIdentifier=name)
        inside(aws, "rds").databases[name].tags = []  # a replica is a copy of its source, with all that nobody said
        self._finish(aws, name, wanted)
        return self._made(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after)
        news.pop("DeleteAutomatedBackups", None)
        logs = news.pop("EnableCloudwatchLogsExports", None)
        if logs is not None:
            had = set(before.properties.get("EnableCloudwatchLogsExports", []))
            news["CloudwatchLogsExportConfiguration"] = {
                "EnableLogTypes": sorted(set(logs) - had),
                "DisableLogTypes": sorted(had - set(logs)),
            }
        if news:
            members = {"DBInstanceIdentifier": made.id, "ApplyImmediately": True}
            call(aws, "rds", "modify_db_instance", news, self._RENAMED_LATER, **members)
            self._finish(aws, made.id, after)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        kept = not wanted.properties.get("DeleteAutomatedBackups", True)
        members = {"SkipFinalSnapshot": True, "DeleteAutomatedBackups": not kept}
        remove(aws, "rds", "delete_db_instance", DBInstanceIdentifier=made.id, **members)

    def snapshot(self, aws: Aws, made: Made, wanted: Wanted) -> str:
        """What DeletionPolicy Snapshot leaves behind."""
        name = _snapshot_name(wanted, 255)
        members = {"DBInstanceIdentifier": made.id, "DBSnapshotIdentifier": name}
        call(aws, "rds", "create_db_snapshot", **members)
        return name

    def _finish(self, aws: Aws, name: str, wanted: Wanted) -> None:
        """What moto gets wrong, put right in its model."""
        database, properties = inside(aws, "rds").databases[name], wanted.properties
        # Every database has the same resource id, on which rights to connect depend.
        proof = hashlib.sha256(f"{database.arn} {wanted.generation}".encode()).digest()
        database.dbi_resource_id = "db-" + base64.b32encode(proof).decode()[:26]
        # What CreateDBInstance is told of Performance Insights is not kept, while DescribeDBInstances would show it.
        database.performance_insights_enabled = properties.get("EnablePerformanceInsights", False)
        database.performance_insights_kms_key_id = properties.get("PerformanceInsightsKMSKeyId")
        database.performance_insights_retention_period = properties.get("PerformanceInsightsRetentionPeriod")
        if "Port" in properties:  # a change of the port is not followed
            database.port = int(properties["Port"])
        if "SourceDBInstanceIdentifier" in properties:  # the same for what it says otherwise
            database.multi_az = properties.get("MultiAZ", False)
            database.backup_retention_period = int(properties.get("BackupRetentionPeriod", 0))
            database.enabled_cloudwatch_logs_exports = list(properties.get("EnableCloudwatchLogsExports", []))

    def _made(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        found = call(aws, "rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"][0]
        tag(aws, found["DBInstanceArn"], before, after)
        return Made(
            name,
            {
                "DBInstanceArn": found["DBInstanceArn"],
                "DbiResourceId": found["DbiResourceId"],
                "Endpoint.Address": found["Endpoint"]["Address"],
                "Endpoint.Port": str(found["Endpoint"]["Port"]),
            },
        )


# ---- ElastiCache


class CacheSubnets:
    """AWS::ElastiCache::SubnetGroup; moto makes and shows them, and has no call that changes or deletes one."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = str(wanted.properties.get("CacheSubnetGroupName") or wanted.name(255)).lower()
        return self._put(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        inside(aws, "elasticache").cache_subnet_groups.pop(made.id)
        return self._put(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        groups = inside(aws, "elasticache").replication_groups.values()
        users = sorted(group.replication_group_id for group in groups if group.cache_subnet_group_name == made.id)
        if users:
            raise Refused(f"Cache subnet group {made.id} is currently in use by {', '.join(users)}")
        inside(aws, "elasticache").cache_subnet_groups.pop(made.id, None)

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        rename = {"Description": "CacheSubnetGroupDescription"}
        properties = without(after.properties, "CacheSubnetGroupName")
        call(aws, "elasticache", "create_cache_subnet_group", properties, rename, CacheSubnetGroupName=name)
        tag(aws, arn(aws, "elasticache", f"subnetgroup:{name}"), before, after)
        return Made(name, {})


class CacheUser:
    """AWS::ElastiCache::User; moto has no ModifyUser, so a changed user is written again under its id."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        inside(aws, "elasticache").users.pop(made.id)
        return self._put(aws, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        inside(aws, "elasticache").users.pop(made.id, None)

    def _put(self, aws: Aws, before: Wanted | None, after: Wanted) -> Made:
        call(aws, "elasticache", "create_user", without(after.properties), {})
        name = after.properties["UserId"]
        its_arn = arn(aws, "elasticache", f"user:{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn, "Status": "active"})


class CacheGroup:
    """AWS::ElastiCache::ReplicationGroup; moto changes seven of its members, so a changed group is built again."""

    # What moto stores and shows nowhere: it belongs to the group's cache clusters, and moto makes none.
    _OF_CLUSTERS = (
        "CacheParameterGroupName",
        "CacheSubnetGroupName",
        "EngineVersion",
        "PreferredMaintenanceWindow",
        "SecurityGroupIds",
    )
    forgets: Mapping[str, str] = dict.fromkeys(_OF_CLUSTERS, "moto's replication groups have no clusters to show it")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = str(wanted.properties.get("ReplicationGroupId") or wanted.name(40)).lower()
        return self._put(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        groups = inside(aws, "elasticache").replication_groups
        old = groups.pop(made.id)
        try:
            self._put(aws, made.id, before, after)
        except FAILURES:
            groups[made.id] = old
            raise
        if hasattr(old, "configuration_endpoint"):  # a group keeps its address for life
            groups[made.id].configuration_endpoint["address"] = old.configuration_endpoint["address"]
        for new_shard, old_shard in zip(groups[made.id].node_groups, old.node_groups, strict=False):
            for endpoint in ("primary_endpoint", "primary_endpoint_address", "reader_endpoint_address"):
                if endpoint in old_shard:
                    new_shard[endpoint] = old_shard[endpoint]
        return self._made(aws, made.id)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        # After moto's DeleteReplicationGroup the group stays for ever, as one that is being deleted.
        inside(aws, "elasticache").replication_groups.pop(made.id, None)

    def snapshot(self, aws: Aws, made: Made, wanted: Wanted) -> str:
        """What DeletionPolicy Snapshot leaves behind."""
        name = _snapshot_name(wanted, 50)
        call(aws, "elasticache", "create_snapshot", ReplicationGroupId=made.id, SnapshotName=name)
        return name

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        properties = without(after.properties, "ReplicationGroupId")
        call(aws, "elasticache", "create_replication_group", properties, {}, ReplicationGroupId=name)
        tag(aws, arn(aws, "elasticache", f"replicationgroup:{name}"), before, after)
        return self._made(aws, name)

    def _made(self, aws: Aws, name: str) -> Made:
        answer = call(aws, "elasticache", "describe_replication_groups", ReplicationGroupId=name)
        group = answer["ReplicationGroups"][0]
        ends = {"ConfigurationEndPoint": group.get("ConfigurationEndpoint", {})}
        ends["PrimaryEndPoint"] = group["NodeGroups"][0].get("PrimaryEndpoint", {})
        ends["ReaderEndPoint"] = group["NodeGroups"][0].get("ReaderEndpoint", {})
        return Made(
            name,
            {
                f"{end}.{part}": str(values[part])
                for end, values in ends.items()
                for part in ("Address", "Port")
                if part in values
            },
        )


def _cache_parameters(aws: Aws, wanted: Wanted) -> Made:  # noqa: ARG001
    name = wanted.name(255, lower=True)
    return Made(name, {"CacheParameterGroupName": name})


def _user_group(aws: Aws, wanted: Wanted) -> Made:
    name = wanted.properties["UserGroupId"]
    return Made(name, {"Arn": arn(aws, "elasticache", f"usergroup:{name}"), "Status": "active"})


# ---- S3


class Bucket:
    """AWS::S3::Bucket: a bucket, and one call for each of its settings."""

    forgets: Mapping[str, str] = dict.fromkeys(
        ("LifecycleConfiguration.Rules.ObjectSizeGreaterThan", "LifecycleConfiguration.Rules.ObjectSizeLessThan"),
        "moto's rules know no sizes",
    )

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = wanted.properties
        name = str(properties.get("BucketName") or wanted.name(63, lower=True))
        members: dict[str, Any] = {"Bucket": name}
        if aws.region != "us-east-1":
            members["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
        if "AccessControl" in properties:
            words = "".join(
                "-" + letter.lower() if letter.isupper() else letter for letter in properties["AccessControl"]
            )
            members["ACL"] = words.lstrip("-")
        if "OwnershipControls" in properties:
            members["ObjectOwnership"] = properties["OwnershipControls"]["Rules"][0]["ObjectOwnership"]
        call(aws, "s3", "create_bucket", **members)
        settings = without(properties, "BucketName", "AccessControl")
        return self._set(aws, name, settings, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        for setting in sorted(before.properties.keys() - after.properties.keys() - {"Tags", "BucketName"}):
            self._unset(aws, made.id, setting)
        return self._set(aws, made.id, changed(before, after, *before.properties), before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "s3", "delete_bucket", Bucket=made.id)

    def _set(self, aws: Aws, name: str, settings: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        for setting, value in settings.items():
            if setting == "LoggingConfiguration":
                # moto accepts no policy for the log service but one form of it; the setting itself it can store.
                target = {"TargetBucket": value.get("DestinationBucketName", name)}
                inside(aws, "s3").buckets[name].logging = {**target, "TargetPrefix": value.get("LogFilePrefix", "")}
            elif setting in _BUCKET_SETTINGS:
                operation, member, form = _BUCKET_SETTINGS[setting]
                call(aws, "s3", f"put_{operation}", Bucket=name, **{member: form(value)})
            else:
                raise Refused(f"The local AWS does not know the property {setting} of a bucket")
        tag(aws, f"arn:aws:s3:::{name}", before, after)
        domain = f"{name}.s3"
        return Made(
            name,
            {
                "Arn": f"arn:aws:s3:::{name}",
                "DomainName": f"{domain}.amazonaws.com",
                "DualStackDomainName": f"{domain}.dualstack.{aws.region}.amazonaws.com",
                "RegionalDomainName": f"{domain}.{aws.region}.amazonaws.com",
                "WebsiteURL": f"http://{name}.s3-website-{aws.region}.amazonaws.com",
            },
        )

    def _unset(self, aws: Aws, name: str, setting: str) -> None:
        if setting == "LoggingConfiguration":
            call(aws, "s3", "put_bucket_logging", Bucket=name, BucketLoggingStatus={})
        elif setting == "VersioningConfiguration":  # versions once kept can only be suspended
            suspended = {"Status": "Suspended"}
            call(aws, "s3", "put_bucket_versioning", Bucket=name, VersioningConfiguration=suspended)
        elif setting in _BUCKET_SETTINGS:
            operation = _BUCKET_SETTINGS[setting][0].removesuffix("_configuration")
            call(aws, "s3", f"delete_{operation}", Bucket=name)


def _encryption(value: Mapping[str, Any]) -> dict[str, Any]:
    rename = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    rules = value["ServerSideEncryptionConfiguration"]
    return {"Rules": [{rename.get(key, key): part for key, part in rule.items()} for rule in rules]}


def _lifecycle(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule in the API's form: what it is about is a filter, and days stand one level deeper."""
    made: dict[str, Any] = {"Status": rule["Status"]}
    about: dict[str, Any] = {}
    for key, value in rule.items():
        match key:
            case "Id":
                made["ID"] = value
            case "Prefix" | "ObjectSizeGreaterThan" | "ObjectSizeLessThan":
                about[key] = value if key == "Prefix" else int(value)
            case "TagFilters":
                about["Tags"] = value
            case "ExpirationInDays":
                made.setdefault("Expiration", {})["Days"] = int(value)
            case "ExpiredObjectDeleteMarker":
                made.setdefault("Expiration", {})["ExpiredObjectDeleteMarker"] = value
            case "Transitions":
                made[key] = [{"Days": int(to["TransitionInDays"]), "StorageClass": to["StorageClass"]} for to in value]
            case "AbortIncompleteMultipartUpload" | "NoncurrentVersionExpiration":
                made[key] = {part: int(days) for part, days in value.items()}
            case "Status":
                pass
            case _:
                raise Refused(f"The local AWS does not know {key} in a rule of LifecycleConfiguration")
    if len(about) == 1 and "Tags" not in about:
        made["Filter"] = about
    else:
        made["Filter"] = {"And": about} if about else {"Prefix": ""}
    return made


def _as_it_is(value: Any) -> Any:
    return value


# Property -> the operation without put_ or delete_, its member, the form that the member has there.
_BUCKET_SETTINGS: Mapping[str, tuple[str, str, Any]] = {
    "BucketEncryption": ("bucket_encryption", "ServerSideEncryptionConfiguration", _encryption),
    "CorsConfiguration": ("bucket_cors", "CORSConfiguration", _as_it_is),
    "LifecycleConfiguration": ("bucket_lifecycle_configuration", "LifecycleConfiguration", _lifecycle),
    "OwnershipControls": ("bucket_ownership_controls", "OwnershipControls", _as_it_is),
    "PublicAccessBlockConfiguration": ("public_access_block", "PublicAccessBlockConfiguration", _as_it_is),
    "VersioningConfiguration": ("bucket_versioning", "VersioningConfiguration", _as_it_is),
}


class BucketPolicy:
    """AWS::S3::BucketPolicy."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        enforce_only_what_has_no_condition()
        bucket = wanted.properties["Bucket"]
        call(aws, "s3", "put_bucket_policy", Bucket=bucket, Policy=json.dumps(wanted.properties["PolicyDocument"]))
        return Made(bucket, {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "s3", "delete_bucket_policy", Bucket=made.id)


def enforce_only_what_has_no_condition() -> None:
    """Moto enforces statements without reading their conditions: a policy that asks for TLS would refuse everything
    that comes over http. So it sees the policy without statements that have conditions; who reads it sees all."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.s3.models import FakeBucket

    def get_permission(bucket: Any, action: str, resource: str) -> Any:
        statements = json.loads(bucket.policy)["Statement"] if bucket.policy else []
        statements = statements if isinstance(statements, list) else [statements]
        unconditional = [statement for statement in statements if "Condition" not in statement]
        if not unconditional:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps({"Statement": unconditional})).is_action_permitted(action, resource)

    FakeBucket.get_permission = get_permission  # type: ignore[assignment,method-assign]


# ---- DynamoDB


class Table:
    """AWS::DynamoDB::Table: the table, its protection against deletion, its time to live and its recovery."""

    _AFTERWARDS = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification")
    _RENAMED: Mapping[str, str] = {"SSEEnabled": "Enabled"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("TableName") or wanted.name(255)
        properties = without(wanted.properties, "TableName", *self._AFTERWARDS)
        if "StreamSpecification" in properties:
            properties["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        call(aws, "dynamodb", "create_table", properties, self._RENAMED, TableName=name)
        return self._finish(aws, name, wanted.properties, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after)
        properties = without(news, *self._AFTERWARDS)
        if "SSESpecification" in properties:  # moto's UpdateTable does not read it
            wish = properties.pop("SSESpecification")
            its_own = {self._RENAMED.get(key, key): value for key, value in wish.items()}
            inside(aws, "dynamodb").get_table(made.id).sse_specification = its_own
        if properties:
            call(aws, "dynamodb", "update_table", properties, self._RENAMED, TableName=made.id)
        return self._finish(aws, made.id, news, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "dynamodb", "delete_table", TableName=made.id)

    def _finish(self, aws: Aws, name: str, news: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        if "TimeToLiveSpecification" in news:
            lifetime = {"TimeToLiveSpecification": news["TimeToLiveSpecification"]}
            call(aws, "dynamodb", "update_time_to_live", lifetime, {}, TableName=name)
        if "PointInTimeRecoverySpecification" in news:
            recovery = {"PointInTimeRecoverySpecification": news["PointInTimeRecoverySpecification"]}
            call(aws, "dynamodb", "update_continuous_backups", recovery, {}, TableName=name)
        table = call(aws, "dynamodb", "describe_table", TableName=name)["Table"]
        tag(aws, table["TableArn"], before, after)
        attributes = {"Arn": table["TableArn"]}
        if "LatestStreamArn" in table:
            attributes["StreamArn"] = table["LatestStreamArn"]
        return Made(name, attributes)


# ---- Backup


class Vault:
    """AWS::Backup::BackupVault."""

    forgets: Mapping[str, str] = {"AccessPolicy": "moto has no policies of vaults"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        refuse_unknown(wanted, "BackupVaultName", "BackupVaultTags", "EncryptionKeyArn", *self.forgets)
        name = wanted.properties["BackupVaultName"]
        members = {"EncryptionKeyArn": wanted.properties.get("EncryptionKeyArn", f"{name}-key")}
        call(aws, "backup", "create_backup_vault", BackupVaultName=name, **members)
        return self.update(aws, Made(name, {}), wanted, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        refuse_change(before, after, *self.forgets)
        its_arn = arn(aws, "backup", f"backup-vault:{made.id}")
        tag(aws, its_arn, before, after)
        return Made(made.id, {"BackupVaultArn": its_arn, "BackupVaultName": made.id})

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        vault = inside(aws, "backup").vaults.get(made.id)
        if vault is not None and vault.num_of_recovery_points:  # moto would delete what it holds with it
            raise Refused(
                f"Backup vault cannot be deleted because it contains recovery points: {made.id} holds"
                f" {vault.num_of_recovery_points}"
            )
        remove(aws, "backup", "delete_backup_vault", BackupVaultName=made.id)


class Plan:
    """AWS::Backup::BackupPlan; moto has no UpdateBackupPlan, so a changed plan is written again under its id."""

    _RENAMED: Mapping[str, str] = {"BackupPlanRule": "Rules", "TargetBackupVault": "TargetBackupVaultName"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = without(wanted.properties, "BackupPlanTags")
        made = call(aws, "backup", "create_backup_plan", properties, self._RENAMED)
        return self._made(aws, made["BackupPlanId"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties != after.properties:
            plans = inside(aws, "backup").plans
            old = plans.pop(made.id)
            try:
                new_id = self.create(aws, after).id
            except FAILURES:
                plans[made.id] = old
                raise
            new = plans[made.id] = plans.pop(new_id)
            new.backup_plan_id, new.backup_plan_arn = old.backup_plan_id, old.backup_plan_arn
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        selections = remembered(aws, "backup", "AWS::Backup::BackupSelection")
        if any(selection["BackupPlanId"] == made.id for selection in selections.values()):
            raise Refused(f"Related backup plan selections must be deleted prior to backup plan deletion: {made.id}")
        inside(aws, "backup").plans.pop(made.id, None)  # moto keeps deleted plans, and their names as taken

    def _made(self, aws: Aws, plan_id: str, before: Wanted | None, after: Wanted) -> Made:
        plan = call(aws, "backup", "get_backup_plan", BackupPlanId=plan_id)
        tag(aws, plan["BackupPlanArn"], before, after)
        return Made(plan_id, {name: plan[name] for name in ("BackupPlanArn", "BackupPlanId", "VersionId")})


def _selection(aws: Aws, wanted: Wanted) -> Made:
    plan_id = wanted.properties["BackupPlanId"]
    call(aws, "backup", "get_backup_plan", BackupPlanId=plan_id)  # refuses where there is no such plan
    selection_id = made_up_id(wanted)
    attributes = {"BackupPlanId": plan_id, "Id": f"{plan_id}|{selection_id}", "SelectionId": selection_id}
    return Made(f"{plan_id}|{selection_id}", attributes)


# ---- Secrets Manager


class Secret:
    """AWS::SecretsManager::Secret: with the value of the template, or with one that is generated once."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("Name") or wanted.name(255)
        members = {"Name": name, **self._value(aws, wanted.properties)}
        properties = without(wanted.properties, "Name", "GenerateSecretString", "SecretString")
        made = call(aws, "secretsmanager", "create_secret", properties, {}, **members)
        return self._made(aws, made["ARN"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after, *before.properties)
        if before.properties != after.properties:
            # moto forgets a key that is not named again.
            properties = without(after.properties, "Name", "GenerateSecretString", "SecretString")
            value = self._value(aws, news)
            call(aws, "secretsmanager", "update_secret", properties, {}, SecretId=made.id, **value)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "secretsmanager", "delete_secret", SecretId=made.id, ForceDeleteWithoutRecovery=True)

    def _value(self, aws: Aws, properties: Mapping[str, Any]) -> dict[str, str]:
        if "GenerateSecretString" not in properties:
            return {"SecretString": properties["SecretString"]} if "SecretString" in properties else {}
        wish = dict(properties["GenerateSecretString"])
        template, key = wish.pop("SecretStringTemplate", None), wish.pop("GenerateStringKey", None)
        password = call(aws, "secretsmanager", "get_random_password", wish)["RandomPassword"]
        if template is None:
            return {"SecretString": password}
        return {"SecretString": json.dumps({**json.loads(template), key: password})}

    def _made(self, aws: Aws, its_arn: str, before: Wanted | None, after: Wanted) -> Made:
        tag(aws, its_arn, before, after)
        return Made(its_arn, {"Id": its_arn})


class SecretAttachment:
    """AWS::SecretsManager::SecretTargetAttachment: writes into the secret how to reach the database it opens."""

    _CONNECTION = ("dbInstanceIdentifier", "dbname", "engine", "host", "port")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        target_type = wanted.properties["TargetType"]
        if target_type != "AWS::RDS::DBInstance":
            raise Refused(f"The local AWS cannot attach a secret to a target of the type {target_type}")
        name = wanted.properties["TargetId"]
        database = call(aws, "rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"][0]
        found = (name, database.get("DBName"), database["Engine"], *database["Endpoint"].values())
        connection = {key: value for key, value in zip(self._CONNECTION, found, strict=True) if value is not None}
        self._write(aws, wanted.properties["SecretId"], connection)
        return Made(wanted.properties["SecretId"], {"Id": wanted.properties["SecretId"]})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        with absent_is_fine():
            self._write(aws, made.id, {})

    def _write(self, aws: Aws, secret: str, connection: Mapping[str, Any]) -> None:
        value = json.loads(call(aws, "secretsmanager", "get_secret_value", SecretId=secret)["SecretString"])
        value = {key: part for key, part in value.items() if key not in self._CONNECTION}
        new = json.dumps({**value, **connection})
        call(aws, "secretsmanager", "put_secret_value", SecretId=secret, SecretString=new)


class Rotation:
    """AWS::SecretsManager::RotationSchedule. Moto would start the function in Docker at once; here it is noted only."""

    forgets: Mapping[str, str] = {
        "HostedRotationLambda": "nothing rotates",
        "RotateImmediatelyOnUpdate": "nothing rotates",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        refuse_unknown(wanted, "RotationLambdaARN", "RotationRules", "SecretId", *self.forgets)
        secret_id, rules = wanted.properties["SecretId"], wanted.properties.get("RotationRules", {})
        call(aws, "secretsmanager", "describe_secret", SecretId=secret_id)  # refuses where there is no such secret
        secret = inside(aws, "secretsmanager").secrets[secret_id]
        secret.rotation_requested = secret.rotation_enabled = True
        secret.rotation_lambda_arn = wanted.properties.get("RotationLambdaARN", "")
        secret.auto_rotate_after_days = int(rules.get("AutomaticallyAfterDays", 0))
        return Made(secret_id, {"Id": secret_id})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "secretsmanager", "cancel_rotate_secret", SecretId=made.id)


# ---- ECR


class Repository:
    """AWS::ECR::Repository: a repository, and one call for each of its settings."""

    _TEXTS = ("LifecyclePolicy", "RepositoryPolicyText")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("RepositoryName") or wanted.name(256, lower=True)
        rename = {"EncryptionConfiguration": "encryptionConfiguration"}
        properties = without(wanted.properties, "RepositoryName", "EmptyOnDelete", *self._TEXTS)
        call(aws, "ecr", "create_repository", properties, rename, repositoryName=name)
        return self._set(aws, name, wanted.properties, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after)
        refuse_change(before, after, "EmptyOnDelete", "ImageScanningConfiguration", "ImageTagMutability", *self._TEXTS)
        if "ImageTagMutability" in news:
            mutability = {"imageTagMutability": news["ImageTagMutability"]}
            call(aws, "ecr", "put_image_tag_mutability", mutability, {}, repositoryName=made.id)
        if "ImageScanningConfiguration" in news:
            scanning = {"imageScanningConfiguration": news["ImageScanningConfiguration"]}
            call(aws, "ecr", "put_image_scanning_configuration", scanning, {}, repositoryName=made.id)
        return self._set(aws, made.id, news, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        force = bool(wanted.properties.get("EmptyOnDelete", False))
        remove(aws, "ecr", "delete_repository", repositoryName=made.id, force=force)

    def _set(self, aws: Aws, name: str, news: Mapping[str, Any], wanted: Wanted) -> Made:
        if "LifecyclePolicy" in news:
            policy = news["LifecyclePolicy"]["LifecyclePolicyText"]
            call(aws, "ecr", "put_lifecycle_policy", repositoryName=name, lifecyclePolicyText=policy)
        if "RepositoryPolicyText" in news:
            policy = text(news["RepositoryPolicyText"])
            call(aws, "ecr", "set_repository_policy", repositoryName=name, policyText=policy)
        found = call(aws, "ecr", "describe_repositories", repositoryNames=[name])["repositories"][0]
        call(aws, "ecr", "tag_resource", resourceArn=found["repositoryArn"], tags=tag_list(wanted.all_tags()))
        return Made(name, {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]})


DATA: dict[str, Kind] = {
    "AWS::Backup::BackupPlan": Plan(),
    "AWS::Backup::BackupSelection": Kept("backup", "moto has no selections of backup plans", _selection),
    "AWS::Backup::BackupVault": Vault(),
    "AWS::DynamoDB::Table": Table(),
    "AWS::ECR::Repository": Repository(),
    "AWS::ElastiCache::ParameterGroup": Kept(
        "elasticache", "moto has no parameter groups of caches", _cache_parameters
    ),
    "AWS::ElastiCache::ReplicationGroup": CacheGroup(),
    "AWS::ElastiCache::SubnetGroup": CacheSubnets(),
    "AWS::ElastiCache::User": CacheUser(),
    "AWS::ElastiCache::UserGroup": Kept("elasticache", "moto has no groups of cache users", _user_group),
    "AWS::RDS::DBInstance": Database(),
    "AWS::RDS::DBParameterGroup": ParameterGroup(),
    "AWS::RDS::DBSubnetGroup": DatabaseSubnets(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::S3::BucketPolicy": BucketPolicy(),
    "AWS::SecretsManager::RotationSchedule": Rotation(),
    "AWS::SecretsManager::Secret": Secret(),
    "AWS::SecretsManager::SecretTargetAttachment": SecretAttachment(),
}
