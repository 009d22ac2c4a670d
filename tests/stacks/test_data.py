"""What the data stack promises: nothing is lost, and nobody is pointed at an empty database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stacks.reading import ROLES, of_type, only, parameters, properties, template, text

STAGES = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("stage", STAGES)
def test_no_template_owns_the_active_database_pointer(production: dict[int, Path], stage: int) -> None:
    owned = [path for role in ROLES for path in parameters(template(production[stage], role))]
    assert len(owned) > 3
    assert not [path for path in owned if path.endswith("/database/active")]


def test_going_from_stage_1_to_2_changes_nothing_about_the_database_on_the_host(production: dict[int, Path]) -> None:
    """The same host, script, volume and parameters: PostgreSQL goes on there and `active` still says `host`."""
    one, two = ({role: template(production[stage], role) for role in ("data", "web")} for stage in (1, 2))
    for role, kind in (
        ("web", "AWS::EC2::Instance"),
        ("data", "AWS::EC2::Volume"),
        ("web", "AWS::EC2::EIPAssociation"),
    ):
        assert of_type(one[role], kind)
        assert of_type(one[role], kind) == of_type(two[role], kind)
    assert parameters(one["web"]) == parameters(two["web"])


def test_a_managed_database_publishes_where_it_is(production: dict[int, Path]) -> None:
    published = parameters(template(production[4], "data"))
    under = "/shop-prod/database/managed/"
    assert {path for path in published if path.startswith(under)} == {
        under + name for name in ("endpoint", "port", "secret", "replicas/1", "replicas/2")
    }
    assert {"/shop-prod/cache/endpoint", "/shop-prod/cache/port", "/shop-prod/cache/user"} <= set(published)


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_bucket_is_there_from_the_first_stage(production: dict[int, Path], stage: int) -> None:
    assert "/shop-prod/files/bucket" in parameters(template(production[stage], "data"))


def test_the_data_volume_outlives_its_host(production: dict[int, Path]) -> None:
    volume = only(template(production[1], "data"), "AWS::EC2::Volume")
    assert (volume["DeletionPolicy"], volume["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert volume["Properties"]["Encrypted"] is True
    assert volume["Properties"]["AvailabilityZone"] == "us-east-1a"
    tags = {tag["Key"]: tag["Value"] for tag in volume["Properties"]["Tags"]}
    assert tags["shop:data-volume"] == "shop-prod"
    assert tags["shop:backup"] == "shop-prod"


def test_no_template_attaches_the_volume(production: dict[int, Path]) -> None:
    """An attachment would block the next host: it attaches before the old one lets go."""
    for stage in (1, 2):
        for role in ROLES:
            assert not of_type(template(production[stage], role), "AWS::EC2::VolumeAttachment")


def _primary(assembly: Path) -> dict[str, object]:
    (found,) = (
        database["Properties"]
        for database in of_type(template(assembly, "data"), "AWS::RDS::DBInstance").values()
        if "SourceDBInstanceIdentifier" not in database["Properties"]
    )
    return dict(found)


def test_the_database_is_born_right(production: dict[int, Path]) -> None:
    primary = _primary(production[2])
    expected = {
        "StorageEncrypted": True,
        "StorageType": "gp3",
        "DBInstanceClass": "db.t4g.medium",
        "MultiAZ": True,
        "BackupRetentionPeriod": 35,
        "DeletionProtection": True,
        "EnableIAMDatabaseAuthentication": True,
        "EnablePerformanceInsights": True,
        "CopyTagsToSnapshot": True,
        "MonitoringInterval": 60,
        "Engine": "postgres",
    }
    assert {name: primary[name] for name in expected} == expected
    assert primary["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade", "iam-db-auth-error"]
    assert not primary.get("PubliclyAccessible")
    assert "ManageMasterUserPassword" not in primary
    assert "resolve:secretsmanager" in text(primary["MasterUserPassword"])


def test_the_database_can_replicate_and_speaks_only_tls_from_its_first_template(production: dict[int, Path]) -> None:
    group = properties(template(production[2], "data"), "AWS::RDS::DBParameterGroup")
    assert group["Family"] == "postgres17"
    settings = {"rds.logical_replication": "1", "rds.force_ssl": "1", "rds.iam_auth_for_replication": "1"}
    assert {name: group["Parameters"][name] for name in settings} == settings


def test_no_move_asks_storage_to_shrink(production: dict[int, Path]) -> None:
    sizes = [int(str(_primary(production[stage])["AllocatedStorage"])) for stage in STAGES[1:]]
    assert len(sizes) == 4
    assert len(set(sizes)) == 1


@pytest.mark.parametrize(("stage", "count"), [(2, 0), (3, 1), (4, 2), (5, 2)])
def test_each_stage_has_its_read_replicas(production: dict[int, Path], stage: int, count: int) -> None:
    replicas = [
        database
        for database in of_type(template(production[stage], "data"), "AWS::RDS::DBInstance").values()
        if "SourceDBInstanceIdentifier" in database["Properties"]
    ]
    assert len(replicas) == count
    for replica in replicas:
        assert replica["DeletionPolicy"] == "Delete"
        assert replica["Properties"]["DeletionProtection"] is False
        assert "StorageEncrypted" not in replica["Properties"]


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_backed_up_carries_the_tag_that_the_plan_selects(production: dict[int, Path], stage: int) -> None:
    data = template(production[stage], "data")
    selection = properties(data, "AWS::Backup::BackupSelection")
    assert "shop:backup" in text(selection)
    tagged = {
        found["Type"]
        for found in data["Resources"].values()
        if {"Key": "shop:backup", "Value": "shop-prod"} in (found.get("Properties", {}).get("Tags") or [])
    }
    expected = {"AWS::S3::Bucket"}
    if stage <= 2:
        expected.add("AWS::EC2::Volume")
    if stage >= 2:
        expected.add("AWS::RDS::DBInstance")
    assert tagged == expected


def test_the_master_secret_rotates(production: dict[int, Path]) -> None:
    data = template(production[2], "data")
    schedule = properties(data, "AWS::SecretsManager::RotationSchedule")
    assert schedule["RotationRules"]
    assert "HostedRotationLambda" not in schedule


def test_a_sandbox_keeps_nothing_when_it_is_destroyed_but_never_loses_data_to_a_replacement(
    sandbox: dict[int, Path],
) -> None:
    seen = 0
    for role in ROLES:
        for found in template(sandbox[5], role).get("Resources", {}).values():
            if "DeletionPolicy" in found and found["Type"] not in ("AWS::RDS::DBInstance",):
                seen += 1
                assert found["DeletionPolicy"] == "Delete", found
    assert seen > 10


def test_the_database_is_made_after_the_rights_of_its_monitoring_role(production: dict[int, Path]) -> None:
    """RDS refuses a role without its policy, and CloudFormation makes both at once unless it is told the order."""
    data = template(production[5], "data")
    primary = next(
        found for found in of_type(data, "AWS::RDS::DBInstance").values() if "MasterUsername" in found["Properties"]
    )
    role = primary["Properties"]["MonitoringRoleArn"]["Fn::GetAtt"][0]
    (policy,) = [
        name
        for name, found in of_type(data, "AWS::IAM::Policy").items()
        if {"Ref": role} in found["Properties"]["Roles"]
    ]
    assert policy in primary["DependsOn"]
