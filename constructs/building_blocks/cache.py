"""An in-memory cluster, born in its final shape: port, encryption and subnets can never be changed again."""

from __future__ import annotations

import aws_cdk as cdk
import jsii
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint import parts
from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge
from building_blocks.alerts import alarm
from building_blocks.keeping import keep
from building_blocks.logs import log_group
from building_blocks.tiers import CACHE_PORT

ENGINE = "valkey"
ENGINE_VERSION = "8.2"
PARAMETER_FAMILY = "valkey8"
PARAMETERS = {
    "cluster-enabled": "yes",
    # Every key can be read again from the database, so the least recently used one makes room for the next.
    "maxmemory-policy": "allkeys-lru",
}
# All keys, and all commands but those that empty, stop or reconfigure a cache; cluster clients ask for INFO.
ACCESS = "on ~* &* +@all -@admin -@dangerous +info"
TOGETHER = {"Maximum": "MAX", "Sum": "SUM"}


@jsii.implements(ec2.IConnectable)
class Cache(Construct):
    """A Valkey cluster of shards with replicas. Hosts log in with IAM tokens as its only user; there is no password."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: parts.Cache,
        environment_name: str,
        vpc: ec2.IVpc,
        subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self._spec = spec
        self._connections = ec2.Connections(security_groups=[security_group], default_port=ec2.Port.tcp(CACHE_PORT))
        chosen = vpc.select_subnets(
            subnet_group_name=subnets.subnet_group_name, subnet_type=subnets.subnet_type, subnets=subnets.subnets
        )
        subnet_group = elasticache.CfnSubnetGroup(
            self, "Subnets", description="Isolated subnets", subnet_ids=chosen.subnet_ids
        )
        parameters = elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=PARAMETER_FAMILY,
            description="Valkey for the shop",
            properties=PARAMETERS,
        )
        # AWS demands these names; with IAM a user's id and name must be the same.
        self.user_name = f"{environment_name}-app"
        self.user = elasticache.CfnUser(
            self,
            "User",
            engine=ENGINE,
            user_id=self.user_name,
            user_name=self.user_name,
            access_string=ACCESS,
            authentication_mode={"Type": "iam"},
        )
        # A Valkey group, unlike a Redis one, needs no user called `default`; without one nobody gets in nameless.
        users = elasticache.CfnUserGroup(
            self, "Users", engine=ENGINE, user_group_id=f"{environment_name}-cache", user_ids=[self.user.ref]
        )
        slow_log = log_group(self, "SlowLog", key=key, protection=protection)
        # No notification topic: ElastiCache cannot publish to an encrypted one. The alarms below tell instead.
        self.group = elasticache.CfnReplicationGroup(
            self,
            "Group",
            replication_group_description="What the shop reads often",
            engine=ENGINE,
            engine_version=ENGINE_VERSION,
            cache_node_type=spec.node_type,
            cluster_mode="enabled",
            num_node_groups=spec.shards,
            replicas_per_node_group=spec.replicas_per_shard,
            automatic_failover_enabled=True,
            multi_az_enabled=spec.replicas_per_shard > 0,
            cache_parameter_group_name=parameters.ref,
            cache_subnet_group_name=subnet_group.ref,
            security_group_ids=[security_group.security_group_id],
            port=CACHE_PORT,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=key.key_arn,
            user_group_ids=[users.ref],
            snapshot_retention_limit=protection.backup_days,
            # Both in the quiet hours, and the maintenance an hour after the database's.
            snapshot_window="01:00-02:00",
            preferred_maintenance_window="sun:05:00-sun:06:00",
            auto_minor_version_upgrade=True,
            log_delivery_configurations=[
                elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty(
                    log_type="slow-log",
                    log_format="json",
                    destination_type="cloudwatch-logs",
                    destination_details=elasticache.CfnReplicationGroup.DestinationDetailsProperty(
                        cloud_watch_logs_details=elasticache.CfnReplicationGroup.CloudWatchLogsDestinationDetailsProperty(
                            log_group=slow_log.log_group_name
                        )
                    ),
                )
            ],
        )
        # More or fewer shards move their keys while the cluster answers, instead of a new and empty cluster.
        self.group.cfn_options.update_policy = cdk.CfnUpdatePolicy(use_online_resharding=True)
        keep(self.group, protection, snapshot=True)
        acknowledge(
            self.group,
            "AEC6",
            because="Hosts log in with IAM tokens that last 15 minutes; ElastiCache does not allow a password beside.",
        )
        self._alarms(alerts)

    @property
    def connections(self) -> ec2.Connections:
        """Who may reach the cache."""
        return self._connections

    @property
    def endpoint(self) -> str:
        """The address that tells a cluster client where the shards are."""
        return self.group.attr_configuration_end_point_address

    @property
    def cluster_name(self) -> str:
        """What AWS called the cluster; a login token is signed for this name."""
        return self.group.ref

    @property
    def connect_arns(self) -> list[str]:
        """What a role must be allowed to `elasticache:Connect` to: the cluster, and the user it comes as."""
        return [self._arn("replicationgroup", self.group.ref), self._arn("user", self.user_name)]

    def grant_connect(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` sign login tokens."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["elasticache:Connect"], resource_arns=self.connect_arns
        )

    def metric(self, name: str, statistic: str) -> cloudwatch.IMetric:
        """One line on a graph for the whole cluster: the sum of its nodes, or the worst of them with `Maximum`."""
        # Found by the cluster's name, so that it is there once, however many nodes there are: a stack that reads it
        # weakly looks up each mention, and CloudFormation allows few look-ups a second. An alarm cannot search.
        nodes = f'{{AWS/ElastiCache,CacheClusterId}} MetricName="{name}" AND {self.group.ref}'
        return cloudwatch.MathExpression(
            expression=f"{TOGETHER[statistic]}(SEARCH('{nodes}', '{statistic}', 60))",
            label=name,
            period=cdk.Duration.minutes(1),
        )

    def _metric_of(self, shard: int, name: str, statistic: str) -> cloudwatch.IMetric:
        # ElastiCache reports node by node, and names the nodes of a cluster by shard and number.
        nodes = {
            f"{name[0].lower()}{name[1:]}OfShard{shard}Node{node}": cloudwatch.Metric(
                namespace="AWS/ElastiCache",
                metric_name=name,
                dimensions_map={"CacheClusterId": f"{self.group.ref}-{shard:04}-{node:03}"},
                statistic=statistic,
                period=cdk.Duration.minutes(1),
            )
            for node in range(1, self._spec.replicas_per_shard + 2)
        }
        return cloudwatch.MathExpression(
            expression=f"{TOGETHER[statistic]}([{', '.join(nodes)}])",
            using_metrics=nodes,
            label=name,
            period=cdk.Duration.minutes(1),
        )

    def _alarms(self, alerts: sns.ITopic) -> None:
        # A shard at a time: an alarm takes ten metrics at most, and a hot shard would hide behind idle ones. Memory
        # that is full is normal for a cache; keys that have to go before they are read again are not.
        for shard in range(1, self._spec.shards + 1):
            alarm(
                self,
                f"Shard{shard}Busy",
                metric=self._metric_of(shard, "EngineCPUUtilization", "Maximum"),
                threshold=80,
                minutes=10,
                meaning="The one thread that answers is nearly out of time: a hot key, or too few shards",
                alerts=alerts,
            )
            alarm(
                self,
                f"Shard{shard}Evicting",
                metric=self._metric_of(shard, "Evictions", "Sum"),
                threshold=1_000,
                minutes=15,
                meaning="What is read often no longer fits: the database answers instead. Bigger nodes, or more shards",
                alerts=alerts,
            )

    def _arn(self, resource: str, name: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="elasticache", resource=resource, resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
        )
