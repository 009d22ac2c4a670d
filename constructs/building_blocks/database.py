"""A managed PostgreSQL, right from its first template: much of it can never be changed again."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Postgres, Protection
from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.alerts import alarm
from building_blocks.keeping import keep
from building_blocks.network import DATA
from building_blocks.tiers import DATABASE_PORT

# The same major version as on the host of stage 1; Amazon Linux 2023 packages 17.
VERSION = rds.PostgresEngineVersion.VER_17_9
PARAMETERS = {
    "rds.logical_replication": "1",  # how rows come from a host, and go back
    "rds.iam_auth_for_replication": "1",
    "rds.force_ssl": "1",
    "log_min_duration_statement": "500",  # milliseconds: what a person notices
    "log_connections": "1",
    "log_disconnections": "1",
}
APP_USER = "shop_app"
DATABASE_NAME = "shop"


class Database(Construct):
    """A primary with its standby, and read replicas. The application logs in with IAM tokens as `shop_app`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: Postgres,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
        subnets: ec2.SubnetSelection = DATA,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alerts = alerts
        engine = rds.DatabaseInstanceEngine.postgres(version=VERSION)
        parameters = rds.ParameterGroup(
            self, "Parameters", engine=engine, description="PostgreSQL for the shop", parameters=PARAMETERS
        )
        monitoring = self._monitoring_role()
        subnet_group = rds.SubnetGroup(self, "Subnets", description="Isolated subnets", vpc=vpc, vpc_subnets=subnets)
        size = ec2.InstanceType(spec.instance_type)
        # Not RDS's own managed password: an instance that has one cannot have read replicas.
        self.secret = rds.DatabaseSecret(self, "MasterSecret", username="shop_admin", encryption_key=key)
        keep(self.secret, protection)
        self.primary = rds.DatabaseInstance(
            self,
            "Primary",
            engine=engine,
            parameter_group=parameters,
            instance_type=size,
            vpc=vpc,
            subnet_group=subnet_group,
            security_groups=[security_group],
            port=DATABASE_PORT,
            publicly_accessible=False,
            multi_az=spec.multi_az,
            database_name=DATABASE_NAME,
            credentials=rds.Credentials.from_secret(self.secret),
            iam_authentication=True,
            storage_encrypted=True,
            storage_encryption_key=key,
            storage_type=rds.StorageType.GP3,
            allocated_storage=spec.storage_gib,
            max_allocated_storage=spec.storage_limit_gib,
            backup_retention=cdk.Duration.days(protection.backup_days),
            delete_automated_backups=not protection.keep_data,
            copy_tags_to_snapshot=True,
            preferred_backup_window="02:00-03:00",
            preferred_maintenance_window="sun:03:30-sun:04:30",
            auto_minor_version_upgrade=True,
            deletion_protection=protection.deletion_protection,
            enable_performance_insights=True,
            performance_insight_encryption_key=key,
            monitoring_interval=cdk.Duration.minutes(1),
            monitoring_role=monitoring,
            cloudwatch_logs_exports=["postgresql", "upgrade", "iam-db-auth-error"],
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
        )
        # RDS refuses a role whose rights are not there yet, and the role alone is made before its policy.
        self.primary.node.add_dependency(monitoring)
        keep(self.primary, protection, snapshot=True)
        # A replica inherits encryption, storage and the master user; it is a copy, so nothing protects or keeps it.
        self.replicas = [
            rds.DatabaseInstanceReadReplica(
                self,
                f"Replica{number}",
                source_database_instance=self.primary,
                instance_type=size,
                vpc=vpc,
                subnet_group=subnet_group,
                security_groups=[security_group],
                port=DATABASE_PORT,
                publicly_accessible=False,
                parameter_group=parameters,
                iam_authentication=True,
                storage_type=rds.StorageType.GP3,
                max_allocated_storage=spec.storage_limit_gib,
                copy_tags_to_snapshot=True,
                auto_minor_version_upgrade=True,
                deletion_protection=False,
                removal_policy=cdk.RemovalPolicy.DESTROY,
                enable_performance_insights=True,
                performance_insight_encryption_key=key,
                monitoring_interval=cdk.Duration.minutes(1),
                monitoring_role=monitoring,
                cloudwatch_logs_exports=["postgresql", "upgrade"],
                ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
            )
            for number in range(1, spec.read_replicas + 1)
        ]
        self.instances = {"Primary": self.primary} | {
            f"Replica{number}": replica for number, replica in enumerate(self.replicas, start=1)
        }
        if not protection.deletion_protection:
            acknowledge(self.primary, "RDS10", because="An environment to try things in must be removable.")
        for replica in self.replicas:
            acknowledge(
                replica,
                "RDS2",
                "RDS3",
                "RDS10",
                "RDS11",
                because="A read replica inherits the primary's encryption, is itself the second copy, must be "
                "removable when a stage no longer has it, and its port is not the default: the rule misses the engine.",
            )
        self.lags = [
            cloudwatch.Metric(
                namespace="AWS/RDS",
                metric_name="ReplicaLag",
                dimensions_map={"DBInstanceIdentifier": replica.instance_identifier},
                statistic="Maximum",
                period=cdk.Duration.minutes(1),
            )
            for replica in self.replicas
        ]
        self._alarms()

    def _monitoring_role(self) -> iam.Role:
        role = iam.Role(
            self,
            "MonitoringRole",
            assumed_by=iam.ServicePrincipal("monitoring.rds.amazonaws.com"),
            description="Writes the operating system metrics of the database",
        )
        group = cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name="RDSOSMetrics",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["logs:CreateLogGroup", "logs:PutRetentionPolicy"], resources=[group])
        )
        streams = f"{group}:log-stream:*"
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"],
                resources=[streams],
            )
        )
        acknowledge(
            role,
            wildcard(role, streams),
            because="RDS names the streams of its operating system metrics itself, one an instance.",
        )
        return role

    def _alarms(self) -> None:
        alarm(
            self,
            "StorageLow",
            metric=self.primary.metric_free_storage_space(statistic="Minimum", period=cdk.Duration.minutes(1)),
            threshold=10 * 1024**3,
            minutes=5,
            below=True,
            meaning="Less than 10 GiB are free although storage grows alone: it has met its limit",
            alerts=self._alerts,
        )
        alarm(
            self,
            "Busy",
            metric=self.primary.metric_cpu_utilization(period=cdk.Duration.minutes(1)),
            threshold=80,
            minutes=15,
            meaning="The database has been busy for a quarter of an hour: add a replica, a cache or a bigger size",
            alerts=self._alerts,
        )
        for number, lag in enumerate(self.lags, start=1):
            alarm(
                self,
                f"Replica{number}Behind",
                metric=lag,
                threshold=30,
                minutes=5,
                meaning="Visitors read data that is half a minute old",
                alerts=self._alerts,
            )
