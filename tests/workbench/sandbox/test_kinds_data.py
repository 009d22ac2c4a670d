"""Databases, caches, buckets, tables, secrets and backups: made from the shop's templates, read back as users would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workbench.sandbox.shop import STATES, World, in_shop, of
from workbench.sandbox.kinds import KINDS, ONLY_KEPT
from workbench.sandbox.kinds.calls import inside, remembered
from workbench.sandbox.kinds.kind import FAILURES, NotInPlace, Refused

PRIMARY, REPLICA = "DatabasePrimaryEDE0B3D0", "DatabaseReplica1ED560A1F"
GROUP, TABLE, FILES = "CacheGroup065C0BC1", "StateTable962DE04C", "FilesPrivateBucket7A52B61B"
SECRET, VAULT, PLAN = "DatabaseMasterSecretC5C2A01F", "BackupsVault1F11AFCC", "BackupsPlanAF2A6E1B"
LOGS = "AccessLogsBucketCD784A59"
# What the templates of stage 5 have of these types.
SERVICES = ("Backup", "DynamoDB", "ECR", "ElastiCache", "RDS", "S3", "SecretsManager")
SHOP = [id for id in in_shop(*SERVICES) if "Analytics" not in id]


def lifecycle(days: int) -> dict[str, str]:
    """The one rule that `cdk bootstrap` gives its repository."""
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return {
        "LifecyclePolicyText": json.dumps(
            {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}
        )
    }


REPOSITORY = {
    "ImageTagMutability": "IMMUTABLE",
    "LifecyclePolicy": lifecycle(365),
    "RepositoryName": "cdk-hnb659fds-container-assets",
    "RepositoryPolicyText": {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Pull", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}],
    },
}
CHANGES: dict[str, dict[str, Any]] = {
    PRIMARY: {
        "AllocatedStorage": "200",
        "BackupRetentionPeriod": 7,
        "DBInstanceClass": "db.m7g.large",
        "DeletionProtection": False,
        "EnableCloudwatchLogsExports": ["postgresql"],
        "MultiAZ": False,
        "Port": "5434",
    },
    GROUP: {
        "CacheNodeType": "cache.m7g.large",
        "NumNodeGroups": 4,
        "ReplicasPerNodeGroup": 2,
        "SnapshotRetentionLimit": 1,
        "SnapshotWindow": "03:00-04:00",
    },
    FILES: {
        "LifecycleConfiguration": {"Rules": [{"Id": "Short", "ExpirationInDays": 1, "Status": "Enabled"}]},
        "Tags": [{"Key": "other", "Value": "1"}],
    },
    TABLE: {
        "DeletionProtectionEnabled": False,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7},
        "SSESpecification": {"KMSMasterKeyId": "alias/other", "SSEEnabled": True, "SSEType": "KMS"},
    },
    SECRET: {"Description": "Another description"},
    PLAN: {"BackupPlan": {"BackupPlanName": "weekly", "BackupPlanRule": [
        {"RuleName": "Weekly", "ScheduleExpression": "cron(0 5 ? * 1 *)", "TargetBackupVault": "another"},
    ]}},
    "DatabaseParametersB8AC9B07": {"Parameters": {"rds.force_ssl": "1", "log_connections": "0"}},
    "DatabaseSubnets56F17B9A": {"DBSubnetGroupDescription": "Other subnets"},
    "CacheSubnets75A36213": {"Description": "Other subnets"},
    "CacheUser72FA2B22": {"AccessString": "on ~* +@read"},
    "CacheParameters9A38CCC4": {"Properties": {"cluster-enabled": "yes", "maxmemory-policy": "noeviction"}},
    "RotationSchedule724E37F2": {"RotationRules": {"AutomaticallyAfterDays": 7}},
    "Images": {"ImageTagMutability": "MUTABLE", "LifecyclePolicy": lifecycle(30)},
}  # fmt: skip


def begin() -> World:
    world = World(of(*SERVICES))
    ec2 = world.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate("abc", 1):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        world.values[f"DataSubnet{number}"] = subnet["Subnet"]["SubnetId"]
    world.values |= {
        "AccessLogs": "the-logs",
        "EncryptionKey": f"arn:aws:kms:us-east-1:{world.aws.account}:key/0",
        "GroupId": ec2.create_security_group(GroupName="data", Description="Data", VpcId=vpc)["GroupId"],
        "MonitoringRole": f"arn:aws:iam::{world.aws.account}:role/monitoring",
    }
    return world


@pytest.fixture
def fresh() -> World:
    return begin()


@pytest.fixture(scope="module", params=STATES)
def world(request: pytest.FixtureRequest) -> World:
    """Everything that the templates have, and what `cdk bootstrap` adds; just made, or changed in place by CHANGES."""
    fresh = begin()
    for id in SHOP:
        fresh.get(id)
    fresh.make(fresh.wants("AWS::ECR::Repository", REPOSITORY, "Images"))
    if request.param == "as changed":
        for id, properties in CHANGES.items():
            before = fresh.get(id)
            assert fresh.change(id, **properties).id == before.id
    return fresh


def test_all_is_read_back_as_the_templates_want_it_but_for_what_is_openly_forgotten(world: World) -> None:
    assert world.differences() == []


def test_what_has_no_service_is_remembered(world: World) -> None:
    for id, wanted in world.wanted.items():
        if wanted.type in ONLY_KEPT:
            kept = remembered(world.aws, wanted.type.split("::")[1].lower(), wanted.type)[world.made[id].id]
            assert kept == {**wanted.properties, "Tags": kept["Tags"]}


def test_all_carries_the_tags_of_its_stack_and_its_own(world: World) -> None:
    for id in (PRIMARY, REPLICA, GROUP, FILES, TABLE, SECRET, VAULT):
        assert world.tags_of(id) == world.all_tags_of(id)


def test_a_change_that_the_service_refuses_leaves_the_cache_as_it_was(fresh: World) -> None:
    before = fresh.read(GROUP)
    with pytest.raises(FAILURES):
        fresh.change(GROUP, Nonsense=1)
    assert fresh.read(GROUP) == before


def test_databases_have_resource_ids_of_their_own(fresh: World) -> None:
    primary, replica = (fresh.get(id).attributes["DbiResourceId"] for id in (PRIMARY, REPLICA))
    assert primary != replica
    assert fresh.read(REPLICA)["DbiResourceId"] == replica


def test_a_replica_shares_nothing_with_its_source_but_the_data(fresh: World) -> None:
    replica = fresh.read(REPLICA)
    assert (replica["MultiAZ"], replica["BackupRetentionPeriod"]) == (False, 0)
    assert fresh.get(REPLICA).id in fresh.read(PRIMARY)["ReadReplicaDBInstanceIdentifiers"]


def test_a_cache_that_changes_in_place_keeps_its_address(fresh: World) -> None:
    before = fresh.get(GROUP).attributes
    assert fresh.change(GROUP, NumNodeGroups=5).attributes == before


def test_a_secret_is_generated_once_and_told_how_to_reach_its_database(fresh: World) -> None:
    client = fresh.aws.client("secretsmanager")
    fresh.get("DatabaseMasterSecretAttachment67754D68")
    before = json.loads(client.get_secret_value(SecretId=fresh.get(SECRET).id)["SecretString"])
    fresh.change(SECRET, Description="Another description")
    after = json.loads(client.get_secret_value(SecretId=fresh.get(SECRET).id)["SecretString"])
    assert after == before
    assert (len(after["password"]), after["username"]) == (30, "shop_admin")
    assert (after["host"], str(after["port"])) == (
        fresh.get(PRIMARY).attributes["Endpoint.Address"],
        fresh.get(PRIMARY).attributes["Endpoint.Port"],
    )


def test_nothing_rotates_when_rotation_is_set_up(fresh: World) -> None:
    stages = fresh.read(SECRET)["VersionIdsToStages"].values()
    assert "AWSPENDING" not in {stage for version in stages for stage in version}


@pytest.mark.parametrize(
    ("id", "user", "why"),
    [
        (PRIMARY, PRIMARY, "deletion protection"),
        (TABLE, TABLE, "DeletionProtectionEnabled"),
        ("DatabaseParametersB8AC9B07", PRIMARY, "in use by the database"),
        ("DatabaseSubnets56F17B9A", PRIMARY, "in use by the database"),
        ("CacheSubnets75A36213", GROUP, "in use by"),
        (PLAN, "BackupsSelectionC4128A10", "selections must be deleted"),
    ],
)
def test_deleting_is_refused(fresh: World, id: str, user: str, why: str) -> None:
    fresh.get(user)
    assert why in fresh.refused(id)


def test_a_bucket_that_holds_something_is_not_deleted(fresh: World) -> None:
    name = fresh.get(FILES).id
    fresh.aws.client("s3").put_object(Bucket=name, Key="invoice", Body=b"")
    fresh.aws.client("s3").delete_object(Bucket=name, Key="invoice")  # a version of it stays
    assert "BucketNotEmpty" in fresh.refused(FILES)


def test_a_vault_with_recovery_points_is_not_deleted(fresh: World) -> None:
    inside(fresh.aws, "backup").vaults[fresh.get(VAULT).id].num_of_recovery_points = 2
    assert "recovery points" in fresh.refused(VAULT)


@pytest.mark.parametrize(
    ("id", "models"), [("CacheUser72FA2B22", "users"), ("CacheSubnets75A36213", "cache_subnet_groups")]
)
def test_what_is_written_again_stays_when_the_new_one_is_refused(fresh: World, id: str, models: str) -> None:
    made = fresh.get(id)
    with pytest.raises(FAILURES):
        fresh.change(id, Nonsense=1)
    assert made.id in vars(inside(fresh.aws, "elasticache"))[models]


def test_everything_unprotected_can_be_deleted_and_once_more(fresh: World) -> None:
    fresh.change(PRIMARY, DeletionProtection=False)
    fresh.change(TABLE, DeletionProtectionEnabled=False)
    fresh.change(FILES, LoggingConfiguration=None)  # or the log of its own deletion lies in the other bucket
    for _ in range(2):
        for id in reversed(list(fresh.made)):
            if LOGS not in id:
                fresh.delete(id)
    assert fresh.aws.client("rds").describe_db_instances()["DBInstances"] == []
    assert fresh.aws.client("elasticache").describe_replication_groups()["ReplicationGroups"] == []
    assert fresh.aws.client("backup").list_backup_plans()["BackupPlansList"] == []


@pytest.mark.parametrize(
    ("id", "service", "listing", "name"),
    [
        (PRIMARY, "rds", "describe_db_snapshots", "DBSnapshots[].DBSnapshotIdentifier"),
        (GROUP, "elasticache", "describe_snapshots", "Snapshots[].SnapshotName"),
    ],
)
def test_a_snapshot_outlives_what_it_was_taken_of(fresh: World, id: str, service: str, listing: str, name: str) -> None:
    made = fresh.get(id)
    kind: Any = KINDS[fresh.wanted[id].type]
    snapshot = kind.snapshot(fresh.aws, made, fresh.wanted[id])
    if id == PRIMARY:
        fresh.change(PRIMARY, DeletionProtection=False)
    fresh.delete(id)
    found = getattr(fresh.aws.client(service), listing)()
    key, field = name.split("[].")
    assert snapshot in [each[field] for each in found[key]]


def test_a_setting_taken_out_of_a_bucket_is_taken_from_it(fresh: World) -> None:
    fresh.change(FILES, LifecycleConfiguration=None, LoggingConfiguration=None, VersioningConfiguration=None)
    s3, name = fresh.aws.client("s3"), fresh.get(FILES).id
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=name)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=name)
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Suspended"


def test_a_property_that_nobody_knows_is_refused_by_name(fresh: World) -> None:
    for resource_type in ("AWS::S3::Bucket", "AWS::RDS::DBInstance", "AWS::DynamoDB::Table", "AWS::ECR::Repository"):
        with pytest.raises(Refused, match="Nonsense"):
            fresh.make(fresh.wants(resource_type, {"Nonsense": 1}))


@pytest.mark.parametrize(
    ("resource_type", "name", "value"),
    [
        ("AWS::ECR::Repository", "EmptyOnDelete", True),
        ("AWS::S3::Bucket", "AccessControl", "PublicRead"),
        ("AWS::S3::Bucket", "CorsConfiguration", {"CorsRules": []}),
        ("AWS::S3::Bucket", "LifecycleConfiguration", {"Rules": [{"Status": "Enabled", "TagFilters": []}]}),
        ("AWS::SecretsManager::RotationSchedule", "HostedRotationLambda", {}),
    ],
)
def test_a_property_that_is_not_simulated_is_refused_by_name(
    fresh: World, resource_type: str, name: str, value: Any
) -> None:
    with pytest.raises(Refused, match="TagFilters" if name == "LifecycleConfiguration" else name):
        fresh.make(fresh.wants(resource_type, {name: value}))


def test_what_cannot_be_done_in_place_is_refused_and_not_passed_over(fresh: World) -> None:
    for id, property in [
        (VAULT, "EncryptionKeyArn"),
        ("DatabaseParametersB8AC9B07", "Family"),
        (PRIMARY, "MasterUsername"),
    ]:
        with pytest.raises((NotInPlace, Refused), match=property):
            fresh.change(id, **{property: "another"})


def test_a_property_taken_out_of_a_database_is_refused_and_not_passed_over(fresh: World) -> None:
    with pytest.raises(Refused, match="Taking MonitoringInterval out"):
        fresh.change(PRIMARY, MonitoringInterval=None)
