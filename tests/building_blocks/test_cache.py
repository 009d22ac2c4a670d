"""The cache: sealed from birth, reachable with an IAM token only, and resharded while it answers."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from blueprint import parts
from blueprint.parts import Protection
from building_blocks.cache import Cache
from building_blocks.tiers import CACHE_PORT
from tests.building_blocks.alone import CAREFUL, CARELESS, ForeignApp, Template, only, resources, synth_alone

SPEC = parts.Cache(node_type="cache.t4g.medium", shards=3, replicas_per_shard=1)
GROUP = "AWS::ElastiCache::ReplicationGroup"


def build(stack: cdk.Stack, theirs: ForeignApp, *, protection: Protection = CAREFUL) -> Cache:
    return Cache(
        stack,
        "Cache",
        spec=SPEC,
        environment_name="trial",
        vpc=theirs.vpc,
        subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        security_group=theirs.security_group,
        key=theirs.key,
        protection=protection,
        alerts=theirs.alerts,
    )


def with_a_host(stack: cdk.Stack, theirs: ForeignApp) -> None:
    """What another app does with the block: let a role log in, let a host reach it, look at a metric."""
    cache = build(stack, theirs)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    cache.grant_connect(role)
    host = ec2.SecurityGroup(stack, "Host", vpc=theirs.vpc, allow_all_outbound=False)
    cache.connections.allow_default_port_from(host, "their host")
    stack.export_value(cache.endpoint, name="Endpoint")


@pytest.fixture(scope="module")
def template() -> Template:
    return synth_alone(with_a_host)


@pytest.fixture(scope="module")
def group(template: Template) -> dict[str, Any]:
    return only(template, GROUP)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Engine", "valkey"),
        ("EngineVersion", "8.2"),
        ("CacheNodeType", SPEC.node_type),
        ("ClusterMode", "enabled"),
        ("NumNodeGroups", SPEC.shards),
        ("ReplicasPerNodeGroup", SPEC.replicas_per_shard),
        ("AutomaticFailoverEnabled", True),
        ("MultiAZEnabled", True),
        ("Port", CACHE_PORT),
        ("TransitEncryptionEnabled", True),
        ("TransitEncryptionMode", "required"),
        ("AtRestEncryptionEnabled", True),
        ("AutoMinorVersionUpgrade", True),
        ("SnapshotRetentionLimit", CAREFUL.backup_days),
    ],
)
def test_the_cluster_has_its_final_shape_from_the_start(group: dict[str, Any], name: str, value: object) -> None:
    assert group[name] == value


def test_it_is_encrypted_with_the_key_it_was_given(template: Template, group: dict[str, Any]) -> None:
    [key] = resources(template, "AWS::KMS::Key")
    assert group["KmsKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert only(template, "AWS::Logs::LogGroup")["KmsKeyId"] == {"Fn::GetAtt": [key, "Arn"]}


def test_it_lives_in_the_chosen_subnets_only(template: Template) -> None:
    subnets = only(template, "AWS::ElastiCache::SubnetGroup")["SubnetIds"]
    assert len(subnets) == 3
    assert all(subnet.startswith("subnet-0c") for subnet in subnets)


def test_one_user_logs_in_with_iam_and_there_is_no_other(template: Template, group: dict[str, Any]) -> None:
    user = only(template, "AWS::ElastiCache::User")
    assert user["UserId"] == user["UserName"] == "trial-app"
    assert user["AuthenticationMode"] == {"Type": "iam"}
    assert not {"Passwords", "NoPasswordRequired"} & user.keys()
    users = only(template, "AWS::ElastiCache::UserGroup")
    assert users["Engine"] == "valkey"
    assert [list(member) for member in users["UserIds"]] == [["Ref"]]
    assert len(group["UserGroupIds"]) == 1
    assert "AuthToken" not in group


def test_the_user_cannot_empty_or_reconfigure_the_cache(template: Template) -> None:
    rules = only(template, "AWS::ElastiCache::User")["AccessString"].split()
    assert rules.index("-@admin") > rules.index("+@all")
    assert rules.index("-@dangerous") > rules.index("+@all")


def test_a_role_may_connect_as_that_user_to_that_cluster_only(template: Template) -> None:
    [statement] = only(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "elasticache:Connect"
    [cluster] = resources(template, GROUP)
    service = "arn:aws:elasticache:eu-west-1:111111111111"
    assert statement["Resource"] == [
        f"{service}:user:trial-app",
        {"Fn::Join": ["", [f"{service}:replicationgroup:", {"Ref": cluster}]]},
    ]


def test_the_least_recently_used_key_makes_room(template: Template) -> None:
    parameters = only(template, "AWS::ElastiCache::ParameterGroup")
    assert parameters["CacheParameterGroupFamily"] == "valkey8"
    assert parameters["Properties"] == {"cluster-enabled": "yes", "maxmemory-policy": "allkeys-lru"}


def test_slow_commands_are_logged(template: Template, group: dict[str, Any]) -> None:
    [delivery] = group["LogDeliveryConfigurations"]
    assert delivery["LogType"] == "slow-log"
    [log] = resources(template, "AWS::Logs::LogGroup")
    assert delivery["DestinationDetails"]["CloudWatchLogsDetails"]["LogGroup"] == {"Ref": log}


def test_events_are_not_sent_to_the_encrypted_topic_where_they_would_be_lost(group: dict[str, Any]) -> None:
    assert "NotificationTopicArn" not in group


def test_shards_change_while_the_cluster_answers(template: Template) -> None:
    [cluster] = resources(template, GROUP).values()
    assert cluster["UpdatePolicy"] == {"UseOnlineResharding": True}


@pytest.mark.parametrize(("protection", "deletion"), [(CAREFUL, "Snapshot"), (CARELESS, "Delete")])
def test_a_snapshot_stays_when_the_cluster_goes(protection: Protection, deletion: str) -> None:
    def careful_or_not(stack: cdk.Stack, theirs: ForeignApp) -> None:
        build(stack, theirs, protection=protection)

    [cluster] = resources(synth_alone(careful_or_not), GROUP).values()
    assert (cluster["DeletionPolicy"], cluster["UpdateReplacePolicy"]) == (deletion, "Snapshot")


def test_nothing_that_is_kept_has_a_name_of_its_own(group: dict[str, Any]) -> None:
    assert "ReplicationGroupId" not in group


def test_hosts_reach_it_through_its_security_group(template: Template) -> None:
    assert only(template, "AWS::EC2::SecurityGroupIngress")["FromPort"] == CACHE_PORT


@pytest.mark.parametrize("metric", ["EngineCPUUtilization", "Evictions"])
def test_each_shard_has_an_alarm_over_all_its_nodes(template: Template, metric: str) -> None:
    nodes = []
    for raised in resources(template, "AWS::CloudWatch::Alarm").values():
        parts_of_it = raised["Properties"]["Metrics"]
        assert len(parts_of_it) <= 10  # the most that an alarm takes
        assert raised["Properties"]["AlarmActions"]
        watched = [part["MetricStat"]["Metric"] for part in parts_of_it if "MetricStat" in part]
        nodes += [node["Dimensions"][0]["Value"] for node in watched if node["MetricName"] == metric]
    [cluster] = resources(template, GROUP)
    assert nodes == [
        {"Fn::Join": ["", [{"Ref": cluster}, f"-{shard:04}-{node:03}"]]} for shard in (1, 2, 3) for node in (1, 2)
    ]


def test_a_graph_finds_all_nodes_by_the_name_of_the_cluster() -> None:
    def with_a_graph(stack: cdk.Stack, theirs: ForeignApp) -> None:
        cache = build(stack, theirs)
        graph = cloudwatch.GraphWidget(
            left=[cache.metric("CacheHits", "Sum"), cache.metric("CPUUtilization", "Maximum")]
        )
        cloudwatch.Dashboard(stack, "Dashboard").add_widgets(graph)

    template = synth_alone(with_a_graph)
    body = str(only(template, "AWS::CloudWatch::Dashboard")["DashboardBody"])
    [cluster] = resources(template, GROUP)
    assert body.count(f"'Ref': '{cluster}'") == 2
    assert "SUM(SEARCH(" in body
    assert "MAX(SEARCH(" in body
