"""RDS. Moto gives all databases one resource id, loses settings of replicas, and deletes groups in use."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from jmespath import search  # type: ignore[import-untyped]

from workbench.sandbox.kinds.calls import (
    arn,
    call,
    changed,
    inside,
    refuse_change,
    refuse_unknown,
    remove,
    snapshot_name,
    tag,
    text,
    without,
)
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted


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
        name = snapshot_name(wanted, 255)
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


DATABASES: dict[str, Kind] = {
    "AWS::RDS::DBInstance": Database(),
    "AWS::RDS::DBParameterGroup": ParameterGroup(),
    "AWS::RDS::DBSubnetGroup": DatabaseSubnets(),
}
