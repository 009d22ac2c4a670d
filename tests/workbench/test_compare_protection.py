"""How things are kept: encryption, backups, policies and tags, and every way in which they get weaker."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Assemblies
from tests.workbench.handmade import assembly, lone, resource
from tests.workbench.sides import of, side, templates, values
from workbench.compare.aspects import protection
from workbench.compare.model import Facts, Finding, Guard, Kind, Risk
from workbench.facts.protections import BACKUPS, ENCRYPTION, IN_LISTS, SWITCHES, TERMS
from workbench.templates import read_assembly

Properties = dict[str, Any]
KEY, OTHER_KEY = {"Fn::GetAtt": ["Key", "Arn"]}, {"Fn::GetAtt": ["Other", "Arn"]}
KEYS = {name: resource("AWS::KMS::Key") for name in ("Key", "Other")}
OWN = "arn:aws:kms:eu-west-1:111111111111:alias/aws/sqs"
DATABASE, BUCKET, TABLE, QUEUE = "AWS::RDS::DBInstance", "AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue"


def guard(type_: str, keep: str | None = None, **properties: Any) -> Guard:
    return protection.guards(of({**KEYS, "It": resource(type_, keep, **properties)}).system)["template", "It"]


def findings(before: dict[str, Any], after: dict[str, Any]) -> list[Finding]:
    return protection.compare(of({**KEYS, **before}), of({**KEYS, **after}))


def told(type_: str, before: Properties, after: Properties) -> tuple[Risk, Kind, str]:
    """What is said about a resource whose properties change."""
    (finding,) = findings({"It": resource(type_, **before)}, {"It": resource(type_, **after)})
    assert finding.key == ("template", "It")
    return finding.risk, finding.kind, finding.text


def sse(algorithm: str, **key: Any) -> Properties:
    by_default = {"SSEAlgorithm": algorithm, **key}
    return {"BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": by_default}]}}


def disks(*encrypted: Any) -> Properties:
    return {"LaunchTemplateData": {"BlockDeviceMappings": [{"Ebs": {"Encrypted": value}} for value in encrypted]}}


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "properties", "expected"),
    [
        (DATABASE, {}, "no"),
        (DATABASE, {"StorageEncrypted": True}, "AWS key"),
        (DATABASE, {"StorageEncrypted": "true", "KmsKeyId": KEY}, "customer key"),
        (DATABASE, {"StorageEncrypted": {"Ref": "Param"}}, "unknown"),
        (DATABASE, {"SourceDBInstanceIdentifier": "other"}, "unknown"),
        (BUCKET, {}, "AWS key"),
        (BUCKET, sse("AES256"), "AWS key"),
        (BUCKET, sse("aws:kms"), "AWS key"),
        (BUCKET, sse("aws:kms", KMSMasterKeyID=KEY), "customer key"),
        (QUEUE, {}, "AWS key"),
        (QUEUE, {"SqsManagedSseEnabled": False}, "no"),
        (QUEUE, {"KmsMasterKeyId": "alias/aws/sqs"}, "AWS key"),
        (QUEUE, {"KmsMasterKeyId": OWN}, "AWS key"),
        (QUEUE, {"KmsMasterKeyId": KEY, "SqsManagedSseEnabled": False}, "customer key"),
        ("AWS::SNS::Topic", {}, "no"),
        ("AWS::SNS::Topic", {"KmsMasterKeyId": {"Fn::ImportValue": "elsewhere"}}, "customer key"),
        (TABLE, {}, "AWS key"),
        (TABLE, {"SSESpecification": {"SSEEnabled": False}}, "AWS key"),
        (TABLE, {"SSESpecification": {"SSEEnabled": True, "KMSMasterKeyId": KEY}}, "customer key"),
        ("AWS::Kinesis::Stream", {}, "no"),
        ("AWS::Kinesis::Stream", {"StreamEncryption": {"EncryptionType": "KMS", "KeyId": KEY}}, "customer key"),
        ("AWS::Logs::LogGroup", {"KmsKeyId": KEY}, "customer key"),
        ("AWS::SecretsManager::Secret", {}, "AWS key"),
        ("AWS::EFS::FileSystem", {"Encrypted": False}, "no"),
        ("AWS::Backup::BackupVault", {"EncryptionKeyArn": KEY}, "customer key"),
        ("AWS::OpenSearchService::Domain", {"EncryptionAtRestOptions": {"Enabled": True}}, "AWS key"),
        ("AWS::ElastiCache::ReplicationGroup", {}, "unknown"),
        ("AWS::ElastiCache::ReplicationGroup", {"AtRestEncryptionEnabled": False}, "no"),
        ("AWS::EC2::LaunchTemplate", disks(True, True), "AWS key"),
        ("AWS::EC2::LaunchTemplate", disks(True, False), "no"),
        ("AWS::EC2::Volume", {"Encrypted": True, "KmsKeyId": {"Fn::If": ["Maybe", KEY, OWN]}}, "unknown"),
        ("AWS::EC2::EIP", {}, None),
    ],
)  # fmt: skip
def test_how_something_is_encrypted_is_read_from_its_type(
    type_: str, properties: Properties, expected: str | None
) -> None:
    assert guard(type_, **properties).encrypted == expected


@pytest.mark.parametrize(
    ("type_", "properties", "protected", "days"),
    [
        (DATABASE, {}, False, 1),
        (DATABASE, {"DeletionProtection": True, "BackupRetentionPeriod": "35"}, True, 35),
        (DATABASE, {"DeletionProtection": {"Ref": "Param"}, "BackupRetentionPeriod": {"Ref": "Param"}}, None, None),
        (DATABASE, {"SourceDBInstanceIdentifier": "other"}, False, None),
        (TABLE, {"DeletionProtectionEnabled": "true"}, True, 0),
        (TABLE, {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}, False, 35),
        ("AWS::Cognito::UserPool", {"DeletionProtection": "ACTIVE"}, True, None),
        ("AWS::ElastiCache::ReplicationGroup", {"SnapshotRetentionLimit": 7}, None, 7),
        (BUCKET, {}, None, None),
    ],
)
def test_what_a_service_does_against_loss_is_read(
    type_: str, properties: Properties, protected: bool | None, days: int | None
) -> None:
    found = guard(type_, **properties)
    assert (found.protected, found.backup_days) == (protected, days)


def test_what_happens_without_a_policy_is_said_as_well() -> None:
    assert guard(DATABASE).removal == "Snapshot"
    assert guard(BUCKET).removal == "Delete"
    assert guard(BUCKET, "Retain").removal == "Retain"


# --- weaker ----------------------------------------------------------------------------------------------------------

ENCRYPTED = {"StorageEncrypted": True, "KmsKeyId": KEY}


@pytest.mark.parametrize(
    ("type_", "before", "after", "risk", "text"),
    [
        (DATABASE, ENCRYPTED, {}, Risk.DANGER, "It is no longer encrypted."),
        (DATABASE, ENCRYPTED, {"StorageEncrypted": True}, Risk.NOTICE,
         "It is encrypted with a key of AWS instead of Key."),
        (BUCKET, sse("aws:kms", KMSMasterKeyID=KEY), sse("AES256"), Risk.NOTICE,
         "It is encrypted with a key of AWS instead of Key."),
        (QUEUE, {}, {"SqsManagedSseEnabled": "false"}, Risk.DANGER, "It is no longer encrypted."),
        ("AWS::ElastiCache::ReplicationGroup", {"TransitEncryptionEnabled": True}, {"TransitEncryptionEnabled": False},
         Risk.DANGER, "It no longer encrypts what travels to it."),
        ("AWS::ElastiCache::ReplicationGroup", {}, {"TransitEncryptionMode": "preferred"}, Risk.NOTICE,
         "It accepts plain connections besides encrypted ones."),
        ("AWS::ElasticLoadBalancingV2::Listener", {"Protocol": "HTTPS"}, {"Protocol": "HTTP"}, Risk.NOTICE,
         "It no longer encrypts what travels to visitors."),
        ("AWS::RDS::DBParameterGroup", {"Parameters": {"rds.force_ssl": "1"}}, {"Parameters": {}}, Risk.NOTICE,
         "It lets the database accept plain connections."),
        ("AWS::CloudFront::Distribution",
         {"DistributionConfig": {"CacheBehaviors": [{"ViewerProtocolPolicy": "https-only"}]}},
         {"DistributionConfig": {"CacheBehaviors": [{"ViewerProtocolPolicy": "https-only"},
                                                    {"ViewerProtocolPolicy": "allow-all"}]}},
         Risk.NOTICE, "It serves some paths over plain HTTP too."),
    ],
)  # fmt: skip
def test_weaker_encryption_is_told_and_stronger_is_not(
    type_: str, before: Properties, after: Properties, risk: Risk, text: str
) -> None:
    assert told(type_, before, after) == (risk, Kind.ENCRYPTION, text)
    assert findings({"It": resource(type_, **after)}, {"It": resource(type_, **before)}) == []


def test_another_key_of_the_customer_s_is_told() -> None:
    risk, kind, text = told(QUEUE, {"KmsMasterKeyId": KEY}, {"KmsMasterKeyId": OTHER_KEY})
    assert (risk, kind) == (Risk.NOTICE, Kind.ENCRYPTION)
    assert text == "It is encrypted with Other instead of Key; whatever is there already still needs that one."


def plan(days: Any) -> Properties:
    return {"BackupPlan": {"BackupPlanRule": [{"Lifecycle": {"DeleteAfterDays": days}}, {"Lifecycle": {}}]}}


def expiring(*rules: tuple[str, int]) -> Properties:
    return {
        "LifecycleConfiguration": {"Rules": [{"Status": status, "ExpirationInDays": days} for status, days in rules]}
    }


def versions(status: Any) -> Properties:
    return {"VersioningConfiguration": {"Status": status}}


def recovery(**more: Any) -> Properties:
    return {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, **more}}


@pytest.mark.parametrize(
    ("type_", "before", "after", "risk", "text"),
    [
        (DATABASE, {"DeletionProtection": True}, {}, Risk.NOTICE, "It can be deleted: its deletion protection is off."),
        ("AWS::DocDB::DBCluster", {"DeletionProtection": True}, {}, Risk.NOTICE,
         "It can be deleted: its deletion protection is off."),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer",
         {"LoadBalancerAttributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]},
         {"LoadBalancerAttributes": [{"Key": "other", "Value": "true"}]},
         Risk.NOTICE, "It can be deleted: its deletion protection is off."),
        (DATABASE, {"BackupRetentionPeriod": 35}, {}, Risk.NOTICE,
         "It keeps its backups for 1 day instead of 35 days."),
        (DATABASE, {"BackupRetentionPeriod": 35}, {"BackupRetentionPeriod": 0}, Risk.DANGER,
         "It has no automatic backups any more; before, they were kept for 35 days."),
        (TABLE, recovery(), {}, Risk.DANGER,
         "It has no automatic backups any more; before, they were kept for 35 days."),
        (TABLE, recovery(), recovery(RecoveryPeriodInDays=7), Risk.NOTICE,
         "It keeps its backups for 7 days instead of 35 days."),
        (BUCKET, versions("Enabled"), versions("Suspended"), Risk.NOTICE,
         "It no longer keeps versions: what is overwritten or deleted is gone."),
        (BUCKET, expiring(("Enabled", 90)), expiring(("Enabled", 90), ("Enabled", 30)), Risk.NOTICE,
         "It has objects that go after 30 days instead of 90 days."),
        (BUCKET, {}, expiring(("Enabled", 30)), Risk.NOTICE, "It has objects that go after 30 days instead of never."),
        ("AWS::Logs::LogGroup", {}, {"RetentionInDays": 30}, Risk.NOTICE,
         "It keeps its records for 30 days instead of for ever."),
        ("AWS::Backup::BackupPlan", plan(35), plan(7), Risk.NOTICE, "It keeps copies for 7 days instead of 35 days."),
        ("AWS::KMS::Key", {"EnableKeyRotation": True}, {}, Risk.NOTICE, "It is no longer rotated."),
        (QUEUE, {}, {"MessageRetentionPeriod": 60}, Risk.NOTICE,
         "It keeps messages for 60 seconds instead of 345,600 seconds."),
    ],
)  # fmt: skip
def test_weaker_protection_is_told_and_stronger_is_not(
    type_: str, before: Properties, after: Properties, risk: Risk, text: str
) -> None:
    assert told(type_, before, after) == (risk, Kind.PROTECTION, text)
    assert findings({"It": resource(type_, **after)}, {"It": resource(type_, **before)}) == []


@pytest.mark.parametrize(
    ("type_", "before", "after"),
    [
        (DATABASE, ENCRYPTED, {"StorageEncrypted": {"Ref": "Param"}, "KmsKeyId": {"Fn::If": 1}}),
        (DATABASE, {"DeletionProtection": True}, {"DeletionProtection": {"Ref": "Param"}}),
        (DATABASE, {"BackupRetentionPeriod": 35}, {"BackupRetentionPeriod": {"Ref": "Param"}}),
        (BUCKET, versions("Enabled"), versions({"Ref": "Param"})),
        (BUCKET, expiring(("Enabled", 90)), expiring(("Enabled", 90), ("Disabled", 30))),
        ("AWS::Logs::LogGroup", {}, {"RetentionInDays": {"Ref": "Param"}}),
    ],
)  # fmt: skip
def test_what_only_aws_knows_is_not_called_weaker(type_: str, before: Properties, after: Properties) -> None:
    assert findings({"It": resource(type_, **before)}, {"It": resource(type_, **after)}) == []


@pytest.mark.parametrize(
    ("before", "after", "risk", "text"),
    [
        ("Retain", None, Risk.DANGER,
         "It (objects) is deleted when the template no longer has it or when it is replaced; before, it stayed."),
        ("RetainExceptOnCreate", "Delete", Risk.DANGER,
         "It (objects) is deleted when the template no longer has it or when it is replaced; before, it stayed."),
        ("Retain", "Snapshot", Risk.NOTICE,
         "It (objects) is only kept as a snapshot when the template no longer has it or when it is replaced;"
         " before, it stayed."),
    ],
)  # fmt: skip
def test_a_policy_that_keeps_less_is_told(before: str, after: str | None, risk: Risk, text: str) -> None:
    buckets = ({"It": resource(BUCKET, keep)} for keep in (before, after))
    (finding,) = findings(*buckets)
    assert (finding.risk, finding.kind, finding.text) == (risk, Kind.PROTECTION, text)


def test_a_replaced_one_that_no_longer_stays_is_told() -> None:
    kept = {**resource(BUCKET), "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    (finding,) = findings({"It": kept}, {"It": {**kept, "UpdateReplacePolicy": "Delete"}})
    assert finding.text == "It (objects) is deleted when it is replaced; before, it stayed."


def test_an_identity_that_is_no_longer_kept_is_less_than_data() -> None:
    (finding,) = findings({"It": resource("AWS::EC2::EIP", "Retain")}, {"It": resource("AWS::EC2::EIP")})
    assert finding.risk is Risk.NOTICE


def test_many_of_which_the_same_is_to_be_said_are_one_sentence() -> None:
    buckets = ({f"B{number}": resource(BUCKET, keep) for number in range(10)} for keep in ("Retain", None))
    (finding,) = findings(*buckets)
    assert finding.text.startswith("Each of B0, B1, B2, B3, B4, B5, B6 and 3 more (objects) is deleted when ")


def test_a_stack_that_may_be_deleted_is_told() -> None:
    resources = {"web": {"Resources": {"Q": resource(QUEUE)}}}
    guarded, free = (side(assembly(resources, guarded=guarded)) for guarded in (("web",), ()))
    (finding,) = protection.compare(guarded, free)
    assert finding.text == "The stack shop-web can be deleted: its termination protection is off."
    assert protection.compare(free, guarded) == []


# --- tags and copies -------------------------------------------------------------------------------------------------


def tagged(**tags: Any) -> dict[str, Any]:
    return resource(QUEUE, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def test_all_changes_of_tags_are_one_sentence() -> None:
    before = {"A": tagged(owner="x", old="1"), "B": tagged(owner="x"), "C": tagged(owner="x")}
    after = {"A": tagged(owner="y", ttl="1"), "B": tagged(owner="x", ttl="1"), "D": tagged(ttl="1")}
    (finding,) = findings(before, after)
    assert (finding.risk, finding.kind) == (Risk.ROUTINE, Kind.PROTECTION)
    assert (
        finding.text
        == "Tags: `old` is taken from 1 resource, `owner` changes on 1 resource and `ttl` is added to 2 resources."
    )


def test_the_order_of_tags_and_how_they_are_written_is_no_difference() -> None:
    vault = {"It": resource("AWS::Backup::BackupVault", BackupVaultTags={"b": 2, "a": "1"})}
    same = {"It": resource("AWS::Backup::BackupVault", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])}
    assert findings(vault, same) == []


def selection(*, key: str = "backup", resources: Any = None) -> dict[str, Any]:
    tags = [{"ConditionType": "STRINGEQUALS", "ConditionKey": key, "ConditionValue": "yes"}]
    return resource("AWS::Backup::BackupSelection", BackupSelection={"ListOfTags": tags, "Resources": resources})


def test_what_a_backup_plan_no_longer_finds_is_told() -> None:
    before = {"It": tagged(backup="yes"), "Daily": selection()}
    lost = [one for one in findings(before, {"It": tagged(), "Daily": selection()}) if one.risk > Risk.ROUTINE]
    assert [(one.risk, one.kind, one.text) for one in lost] == [
        (Risk.DANGER, Kind.PROTECTION, "It is no longer copied by Daily.")
    ]
    assert [one.text for one in findings(before, {"It": tagged(backup="yes")})] == ["It is no longer copied by Daily."]
    by_name = selection(key="other", resources=[{"Fn::GetAtt": ["It", "Arn"]}])
    assert findings(before, {"It": tagged(backup="yes"), "Daily": by_name}) == []


# --- our stages, and anything ----------------------------------------------------------------------------------------


def test_growing_never_weakens_protection(assemblies: Assemblies) -> None:
    for profile in ("production", "sandbox"):
        sides = [side(read_assembly(path)) for _, path in sorted(assemblies(profile).items())]
        for before, after in pairwise(sides):
            assert protection.compare(before, after) == []


def test_what_production_keeps_and_a_sandbox_does_not_is_told(assemblies: Assemblies) -> None:
    before, after = (side(read_assembly(assemblies(profile)[5])) for profile in ("production", "sandbox"))
    found = {finding.text: finding.risk for finding in protection.compare(before, after)}
    assert found["Database/Primary can be deleted: its deletion protection is off."] is Risk.NOTICE
    assert found["Database/Primary keeps its backups for 1 day instead of 35 days."] is Risk.NOTICE
    lost = "is deleted when the template no longer has it; before, a snapshot of it stayed."
    assert found[f"Database/Primary (a database) {lost}"] is Risk.DANGER
    assert len(found) < 30


def test_everything_that_holds_data_in_our_stages_is_encrypted_as_far_as_templates_tell(
    production: dict[int, Path],
) -> None:
    found = protection.guards(side(read_assembly(production[5])).system)
    assert found["data", "DatabasePrimaryEDE0B3D0"].encrypted == "customer key"
    assert not [one.name for one in found.values() if one.encrypted == "no"]


def test_a_side_is_never_weaker_than_itself_whatever_its_stacks_are_called() -> None:
    made = lone({"It": resource(BUCKET, "Retain")})
    renamed = replace(made, stacks=tuple(replace(stack, name="other") for stack in made.stacks))
    assert protection.compare(side(made), side(renamed)) == []


TYPES = sorted({*ENCRYPTION, *IN_LISTS, *BACKUPS, *(one.type for one in (*SWITCHES, *TERMS)), QUEUE,
                "AWS::Backup::BackupSelection", "AWS::ElasticLoadBalancingV2::LoadBalancer"})  # fmt: skip
STEPS = sorted({step for one in (*SWITCHES, *TERMS) for step in one.path})
PATHS = sorted(
    {step for one in ENCRYPTION.values() for path in (one.key, one.switch) for step in path.split(".") if step}
)
NAMES = [
    *STEPS, *PATHS, "Tags", "Key", "Value", "BackupVaultTags", "BackupSelection", "ListOfTags", "ConditionKey",
    "LoadBalancerAttributes", "DeletionProtection", "BackupRetentionPeriod", "PointInTimeRecoverySpecification",
    "PointInTimeRecoveryEnabled", "RecoveryPeriodInDays", "BucketEncryption", "BlockDeviceMappings", "Ebs",
]  # fmt: skip
PLACES = [one.path for one in (*SWITCHES, *TERMS)] + [
    tuple(path.split(".")) for one in ENCRYPTION.values() for path in (one.key, one.switch) if path
]


def at(path: tuple[str, ...], value: Any) -> Properties:
    """A value where an aspect looks for it."""
    first, *rest = path
    return {first: at(tuple(rest), value) if rest else value}


SHAPES = st.tuples(st.sampled_from(PLACES), st.sampled_from(PLACES), values(NAMES), values(NAMES)).map(
    lambda drawn: at(drawn[0], drawn[2]) | at(drawn[1], drawn[3])
)
ANYTHING = templates(TYPES, NAMES, SHAPES, SHAPES)


@settings(max_examples=60, deadline=None)
@given(before=ANYTHING, after=ANYTHING)
def test_no_template_is_too_strange_and_nothing_differs_from_itself(before: Facts, after: Facts) -> None:
    assert all(finding.text for finding in protection.compare(before, after))
    assert protection.compare(after, after) == []
    assert all(isinstance(one.removal, str) for one in protection.guards(after.system).values())
