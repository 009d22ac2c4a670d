"""The teardown against a simulated AWS: what it may touch, in which order, and what it says of what refuses to go."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from workbench.deploy.leftovers import SHIELDS
from workbench.synth import ROOT

REGION = "eu-west-1"
TOPIC_OF_MOTO = "arn:aws:sns:eu-west-1:123456789012:alerts"
LIFE = "7 days from the creation of the stack"
LATER = datetime.now(UTC) + timedelta(days=10)
ROLES = ["network", "data", "web", "edge", "workers", "signals"]
LOOKING = ("Describe", "Get", "List")
STACK_ID = "aws:cloudformation:stack-id"
SCHEDULE = "AWS::Scheduler::Schedule"
NOBODY = boto3.session.Session("none", "none")
ACCOUNT = "123456789012"  # moto's
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Calls:
    """Every call to AWS on its way: written down, refused, or answered by a test."""

    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    # What moto does not make, by the name of the stack that holds it: type, id, since when.
    held: dict[str, list[tuple[str, str, datetime]]] = field(default_factory=dict)

    def resources(self, stack: str) -> list[dict[str, Any]]:
        return [
            {
                "ResourceType": type_,
                "PhysicalResourceId": identity,
                "ResourceStatus": "CREATE_COMPLETE",
                "LastUpdatedTimestamp": since,
            }
            for type_, identity, since in self.held.get(stack.split("/")[1], [])
        ]

    tagged: Callable[[], list[dict[str, Any]]] = list  # what moto forgets to list

    def of(self, operation: str, parameter: str) -> list[str]:
        return [arguments[parameter] for name, arguments in self.seen if name == operation]

    def refuse(self, operation: str, parameter: str, value: str) -> None:
        """The service says no to this one thing."""

        def answer(arguments: dict[str, Any]) -> None:
            if arguments[parameter] == value:
                raise ClientError({"Error": {"Code": "VolumeInUse", "Message": f"{value} is in use"}}, operation)

        self.answers[operation] = answer

    def changes(self) -> list[str]:
        return [name for name, _ in self.seen if not name.startswith(LOOKING)]


@cache
def client(service: str, region: str = REGION) -> Any:
    return NOBODY.client(service, region_name=region)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    calls = Calls(held={"shop-network": [(SCHEDULE, "shop-schedule", LONG_AGO)]})
    real: Any = BaseClient._make_api_call
    # moto knows no recovery points.
    calls.answers["ListRecoveryPointsByBackupVault"] = lambda _: {"RecoveryPoints": []}

    def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        calls.seen.append((operation, arguments))
        answer = calls.answers.get(operation)
        answered = answer(arguments) if answer else None
        answered = real(client, operation, arguments) if answered is None else answered
        if operation == "ListStackResources":
            answered["StackResourceSummaries"] += calls.resources(arguments["StackName"])
        if operation == "GetResources" and not answered.get("PaginationToken"):
            answered["ResourceTagMappingList"] += calls.tagged()
        return answered

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    # Making a client takes longer than all that a test does with it.
    monkeypatch.setattr(boto3, "client", lambda service, region_name=REGION: client(service, region_name))
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a third of the time of these tests
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("ENVIRONMENT", "shop")
    monkeypatch.setenv("TOPIC", TOPIC_OF_MOTO)
    monkeypatch.syspath_prepend(str(ROOT / "lambdas" / "teardown"))
    for module in ("handler", "removers", "sweep"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with mock_aws():
        yield calls
    for module in ("handler", "removers", "sweep"):
        sys.modules.pop(module, None)


def tags_of(environment: str | None, life: str | None, **more: str) -> dict[str, str]:
    given = {"shop:environment": environment, "shop:region": REGION, "shop:time-to-live": life, **more}
    return {key: value for key, value in given.items() if value is not None}


def listed(tags: dict[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in tags.items()]


OURS = tags_of("shop", LIFE)


def make_stack(name: str, tags: dict[str, str] = OURS, region: str = REGION, **resources: Any) -> str:
    """A stack with what is given, or with a topic."""
    body = {"Resources": resources or {"Topic": {"Type": "AWS::SNS::Topic"}}}
    made = client("cloudformation", region).create_stack(
        StackName=name, TemplateBody=json.dumps(body), Tags=listed(tags)
    )
    stack_id: str = made["StackId"]
    return stack_id


def existing() -> set[str]:
    kept = client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in kept if stack["StackStatus"] != "DELETE_COMPLETE"}


def volume(tags: dict[str, str], region: str = REGION) -> str:
    """A disk that is left over."""
    specifications = [{"ResourceType": "volume", "Tags": listed(tags)}] if tags else []
    made = client("ec2", region).create_volume(AvailabilityZone=f"{region}a", Size=1, TagSpecifications=specifications)
    identity: str = made["VolumeId"]
    return identity


def volumes(region: str = REGION) -> set[str]:
    return {each["VolumeId"] for each in client("ec2", region).describe_volumes()["Volumes"]}


def sweep(**options: Any) -> Any:
    """One pass, ten days after everything was made; the report."""
    options = {"at": LATER, "time_left": lambda: 60.0, "pause": 0.0, **options}
    return import_module("sweep").Teardown("shop", REGION, **options).run()


def whats(lines: list[Any]) -> list[str]:
    return [line.what for line in lines]


# --- Stacks ---


def test_stacks_go_youngest_first_and_the_one_with_the_teardown_last(calls: Calls) -> None:
    ids = {make_stack(f"shop-{role}"): role for role in ROLES}
    report = sweep()
    assert [ids[stack] for stack in calls.of("DeleteStack", "StackName")] == ROLES[::-1]
    assert existing() == set()
    assert (report.waiting, report.refused) == ([], [])


def test_an_environment_in_its_time_is_left_alone(calls: Calls) -> None:
    for role in ROLES:
        make_stack(f"shop-{role}")
    volume(OURS)
    calls.seen.clear()
    report = sweep(at=datetime.now(UTC) + timedelta(days=6))
    assert calls.changes() == []
    assert "lives until" in report.waiting[0].why


def test_all_wait_for_the_one_that_is_in_its_time(calls: Calls) -> None:
    make_stack("shop-network")
    make_stack("shop-data", tags_of("shop", "90 days from the creation of the stack"))
    make_stack("shop-web")
    calls.seen.clear()
    report = sweep()
    assert calls.changes() == []
    assert whats(report.waiting) == ["stack shop-data"]


def test_nothing_is_older_than_its_teardown(calls: Calls) -> None:
    for role in ROLES:
        make_stack(f"shop-{role}")
    volume(OURS)
    calls.held["shop-network"] = [(SCHEDULE, "shop-schedule", LATER - timedelta(days=6))]
    calls.seen.clear()
    report = sweep()
    assert calls.changes() == []
    assert {line.why for line in report.waiting} == {f"lives until {LATER + timedelta(days=1):%Y-%m-%d %H:%M} UTC"}


def test_without_a_scheduled_end_nothing_ends_until_somebody_says_now(calls: Calls) -> None:
    make_stack("shop-network")
    calls.held.clear()
    calls.seen.clear()
    report = sweep()
    assert calls.changes() == []
    assert "no stack shop-network schedules its end" in report.waiting[0].why
    assert whats(sweep(everything=True).removed) == ["stack shop-network"]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        tags_of("else", LIFE),
        tags_of("shop", LIFE) | {"shop:region": "eu-central-1"},
        tags_of("shop", None),
        tags_of("shop", "for a while"),
    ],
)
@pytest.mark.parametrize("everything", [False, True])
def test_a_stack_with_our_name_but_not_our_tags_is_never_touched(
    calls: Calls, tags: dict[str, str], everything: bool
) -> None:
    make_stack("shop-network")
    make_stack("shop-web", tags)
    calls.seen.clear()
    report = sweep(everything=everything)
    assert calls.changes() == []
    ours = tags.items() >= {"shop:environment": "shop", "shop:region": REGION}.items()
    [line] = report.waiting if ours else report.refused
    assert "not touched" in line.why


def test_a_stack_of_somebody_else_is_no_news_before_the_end(calls: Calls) -> None:
    make_stack("shop-network")
    make_stack("shop-web", {})
    calls.seen.clear()
    report = sweep(at=datetime.now(UTC) + timedelta(days=5))
    assert (calls.changes(), report.refused) == ([], [])


def test_a_change_set_that_nobody_executed_holds_nothing_up(calls: Calls) -> None:  # noqa: ARG001
    make_stack("shop-network")
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    cloudformation = client("cloudformation")
    cloudformation.create_change_set(
        StackName="shop-web", ChangeSetName="unread", ChangeSetType="CREATE", TemplateBody=body
    )
    report = sweep()
    assert (whats(report.removed), whats(report.unsure)) == (["stack shop-network"], ["stack shop-web"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"EnableTerminationProtection": True}, "refused"),
        ({"Tags": [{"Key": "shop:time-to-live", "Value": "9000 days from the creation of the stack"}]}, "waiting"),
        ({"StackStatus": "UPDATE_IN_PROGRESS"}, "waiting"),
    ],
    ids=["protected", "living longer", "being updated"],
)
def test_what_somebody_takes_up_while_others_go_keeps_all_that_it_holds(
    calls: Calls, change: dict[str, Any], told: str
) -> None:
    files = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "shop-data-files"}}
    make_stack("shop-network")
    data = make_stack("shop-data", Files=files)
    web = make_stack("shop-web")
    client("s3").put_object(Bucket="shop-data-files", Key="invoice", Body=b"1")
    [there] = client("cloudformation").describe_stacks(StackName="shop-data")["Stacks"]
    tags = {tag["Key"]: tag for tag in [*there["Tags"], *change.get("Tags", [])]}
    taken_up = {"Stacks": [{**there, **change, "Tags": list(tags.values())}]}

    def describe(given: dict[str, Any]) -> Any:
        return taken_up if given.get("StackName") == data and web in calls.of("DeleteStack", "StackName") else None

    calls.answers["DescribeStacks"] = describe
    report = sweep(time_left=lambda: 0.0)
    assert (whats(report.removed), whats(getattr(report, told))) == (["stack shop-web"], ["stack shop-data"])
    assert client("s3").list_objects_v2(Bucket="shop-data-files")["KeyCount"] == 1


def test_a_bucket_is_emptied_of_all_versions_before_its_stack_goes(calls: Calls) -> None:
    make_stack("shop-data", Files={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "shop-data-files"}})
    s3 = client("s3")
    s3.put_bucket_versioning(Bucket="shop-data-files", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket="shop-data-files", Key="a", Body=str(number))
    s3.delete_object(Bucket="shop-data-files", Key="a")
    sweep(everything=True)
    assert [name for name in calls.changes() if name in ("DeleteObjects", "DeleteStack")] == [
        "DeleteObjects",
        "DeleteStack",
    ]
    assert s3.list_buckets()["Buckets"] == []


def test_a_vault_is_emptied_and_its_stack_waits_until_the_copies_are_gone(calls: Calls) -> None:
    make_stack("shop-data")
    calls.held["shop-data"] = [("AWS::Backup::BackupVault", "shop-backups-1", LONG_AGO)]
    copies = [{"RecoveryPointArn": "arn:aws:ec2:eu-west-1::snapshot/snap-1", "Status": "COMPLETED"}]
    calls.answers["ListRecoveryPointsByBackupVault"] = lambda _: {"RecoveryPoints": list(copies)}

    def delete(_: dict[str, Any]) -> dict[str, Any]:
        copies[0]["Status"] = "DELETING"
        return {}

    calls.answers["DeleteRecoveryPoint"] = delete
    for _ in range(2):
        report = sweep(time_left=lambda: 0.0, everything=True)
        assert whats(report.waiting) == ["AWS::Backup::BackupVault shop-backups-1 in stack shop-data"]
    assert calls.of("DeleteRecoveryPoint", "RecoveryPointArn") == ["arn:aws:ec2:eu-west-1::snapshot/snap-1"]
    assert existing() == {"shop-data"}
    copies.clear()
    assert sweep(everything=True).waiting == []
    assert existing() == set()


# What a service answers of a resource that it protects, and what takes that off.
PROTECTED: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "AWS::DynamoDB::Table",
        "DescribeTable",
        {"Table": {"DeletionProtectionEnabled": True}},
        "aws dynamodb update-table --no-deletion-protection-enabled --table-name ",
    ),
    (
        "AWS::EC2::Instance",
        "DescribeInstanceAttribute",
        {"DisableApiTermination": {"Value": True}},
        "aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id ",
    ),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "DescribeLoadBalancerAttributes",
        {"Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]},
        "aws elbv2 modify-load-balancer-attributes --attributes Key=deletion_protection.enabled,Value=false "
        "--load-balancer-arn ",
    ),
    (
        "AWS::RDS::DBInstance",
        "DescribeDBInstances",
        {"DBInstances": [{"DeletionProtection": True}]},
        "aws rds modify-db-instance --no-deletion-protection --apply-immediately --db-instance-identifier ",
    ),
]


@pytest.mark.parametrize(("type_", "operation", "answer", "command"), PROTECTED)
def test_what_its_service_protects_protects_the_environment(
    calls: Calls, type_: str, operation: str, answer: dict[str, Any], command: str
) -> None:
    for role in ("network", "data", "web"):
        make_stack(f"shop-{role}")
    volume(OURS)
    calls.held["shop-data"] = [(type_, "precious", LONG_AGO)]
    calls.answers[operation] = lambda _: answer
    calls.seen.clear()
    [refused] = sweep(everything=True).refused
    assert calls.changes() == []
    assert refused.what == f"{type_} precious in stack shop-data"
    assert refused.by_hand == f"{command}precious --region {REGION}"
    calls.answers[operation] = lambda _: json.loads(json.dumps(answer).replace("true", "false"))
    sweep(everything=True)
    assert (existing(), volumes()) == (set(), set())


@pytest.mark.usefixtures("calls")
def test_what_the_teardown_finds_locked_is_what_a_destroy_by_hand_does() -> None:
    """Two tables, since the function carries nothing but itself to AWS."""
    locks = import_module("removers").LOCKS
    assert {type_: set(lock.by_hand.format(id="shop-1").split()) for type_, lock in locks.items()} == {
        type_: {*shield.command.split(), shield.name, "shop-1"} for type_, shield in SHIELDS.items()
    }


def test_a_stack_that_is_protected_protects_the_environment(calls: Calls) -> None:
    for role in ("network", "data", "web"):
        make_stack(f"shop-{role}")
    real = client("cloudformation").describe_stacks(StackName="shop-data")
    real["Stacks"][0]["EnableTerminationProtection"] = True
    calls.answers["DescribeStacks"] = lambda given: real if given.get("StackName") == "shop-data" else None
    calls.seen.clear()
    [refused] = sweep(everything=True).refused
    assert calls.changes() == []
    assert (refused.what, refused.why) == ("stack shop-data", "is protected against deletion")
    assert refused.by_hand == (
        "aws cloudformation update-termination-protection --no-enable-termination-protection "
        f"--stack-name shop-data --region {REGION}"
    )


@pytest.mark.parametrize("policy", ["Retain", "RetainExceptOnCreate", "Snapshot"])
def test_a_template_that_keeps_data_protects_the_environment(calls: Calls, policy: str) -> None:
    make_stack("shop-network")
    make_stack("shop-web")
    make_stack("shop-data", Files={"Type": "AWS::S3::Bucket", "DeletionPolicy": policy})
    calls.seen.clear()
    [refused] = sweep(everything=True).refused
    assert calls.changes() == []
    assert (refused.what, refused.why) == ("stack shop-data", f"its template keeps data: DeletionPolicy {policy}")


def test_a_stack_that_refuses_is_reported_with_the_reason_and_the_older_ones_wait(calls: Calls) -> None:
    for role in ("network", "data", "web"):
        make_stack(f"shop-{role}")
    volume(OURS)
    failed = False

    def delete(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal failed
        failed = True
        return {}

    def describe(arguments: dict[str, Any]) -> Any:
        if not failed or "shop-web" not in arguments["StackName"]:
            return None
        return {
            "Stacks": [
                {
                    "StackName": "shop-web",
                    "StackId": "shop-web/1",
                    "StackStatus": "DELETE_FAILED",
                    "CreationTime": datetime.now(UTC),
                    "Tags": listed(OURS),
                }
            ]
        }

    def event(kind: str, status: str, reason: str = "") -> dict[str, str]:
        type_ = f"AWS::{kind}"
        return {
            "ResourceType": type_,
            "LogicalResourceId": "Front",
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
        }

    history = [
        event("CloudFormation::Stack", "DELETE_FAILED"),
        event("EC2::SecurityGroup", "DELETE_FAILED", "has a dependent object"),
        event("CloudFormation::Stack", "DELETE_IN_PROGRESS"),
        event("EC2::VPC", "DELETE_FAILED", "an older story"),
    ]
    calls.answers |= {
        "DeleteStack": delete,
        "DescribeStacks": describe,
        "DescribeStackEvents": lambda _: {"StackEvents": history},
    }
    report = sweep()
    [refused] = report.refused
    assert (refused.what, refused.why) == ("stack shop-web", "Front: has a dependent object")
    assert refused.by_hand == "aws cloudformation delete-stack --stack-name shop-web --region eu-west-1"
    assert len(calls.of("DeleteStack", "StackName")) == 1
    assert volumes() == set(), "what is left of others goes all the same"


def test_what_stands_in_the_way_keeps_its_stack_from_being_half_deleted(calls: Calls) -> None:
    make_stack("shop-data", Files={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "shop-data-files"}})
    calls.refuse("ListObjectVersions", "Bucket", "shop-data-files")
    report = sweep(everything=True)
    assert whats(report.refused) == ["AWS::S3::Bucket shop-data-files in stack shop-data"]
    assert calls.of("DeleteStack", "StackName") == []


def test_the_stack_in_the_other_region_goes_before_the_last_one(calls: Calls) -> None:
    ids = {make_stack("shop-network"): "network", make_stack("shop-global", region="us-east-1"): "global"}
    sweep()
    assert [ids[stack] for stack in calls.of("DeleteStack", "StackName")] == ["global", "network"]


# --- What is left ---


def test_while_stacks_stand_nobody_is_called_for_what_they_may_still_use(calls: Calls) -> None:
    make_stack("shop-network")
    make_stack("shop-web")
    disk, topic = volume(OURS), client("sns").create_topic(Name="theirs", Tags=listed(OURS))["TopicArn"]
    client("ssm").put_parameter(Name="/shop/database/active", Value="host", Type="String")
    calls.refuse("DeleteVolume", "VolumeId", disk)
    calls.answers["DeleteStack"] = lambda _: {}
    report = sweep(time_left=lambda: 0.0)
    assert (report.refused, whats(report.waiting)) == ([], ["stack shop-web", f"ec2:volume {disk}", topic])
    assert len(client("ssm").describe_parameters()["Parameters"]) == 1, "hosts may still read it"
    del calls.answers["DeleteStack"]
    assert whats(sweep().refused) == [f"ec2:volume {disk}", topic]


def test_what_belongs_to_a_stack_that_may_not_be_looked_at_is_left_alone_and_holds_nothing_up(calls: Calls) -> None:
    make_stack("shop-network")
    theirs = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/else-web/1"
    kept, gone = volume(OURS | {STACK_ID: theirs}), volume(OURS)

    def describe(arguments: dict[str, Any]) -> None:
        if arguments.get("StackName") == theirs:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "DescribeStacks")

    calls.answers["DescribeStacks"] = describe
    report = sweep()
    assert (volumes(), existing()) == ({kept}, set())
    assert whats(report.removed) == [f"ec2:volume {gone}", "stack shop-network"]
    assert [line.why for line in report.unsure] == [f"left alone, since it belongs to {theirs}"]


@pytest.mark.parametrize(
    ("rest", "tags"),
    [
        ("rds:eu-west-1:1:snapshot:rds:shop-data-databaseprimary-2026-01-01", {}),
        ("rds:eu-west-1:1:snapshot:awsbackup:job-1", {}),
        ("ec2:eu-west-1::snapshot/snap-1", {"aws:backup:source-resource": "arn:aws:ec2:eu-west-1:1:volume/vol-1"}),
        ("backup:eu-west-1:1:recovery-point:1", {}),
        ("elasticache:eu-west-1:1:cluster:shop-001", {}),
    ],
)
def test_what_a_service_removes_itself_is_neither_touched_nor_reported(
    calls: Calls, rest: str, tags: dict[str, str]
) -> None:
    listing = [{"ResourceARN": f"arn:aws:{rest}", "Tags": listed(OURS | tags)}]
    calls.answers["GetResources"] = lambda _: {"ResourceTagMappingList": listing}
    assert sweep(everything=True).text().endswith("Nothing to remove, and nothing left.\n")
    assert calls.changes() == []


Make = Callable[[str, dict[str, str]], str]


SOURCE = "nobodys"  # what snapshots are made of


def _vault(name: str, tags: dict[str, str]) -> str:
    client("backup").create_backup_vault(BackupVaultName=name, BackupVaultTags=tags)
    return name


def _database(name: str, tags: dict[str, str]) -> str:
    login = {"MasterUsername": "shop", "MasterUserPassword": "not-a-secret"}
    client("rds").create_db_instance(
        DBInstanceIdentifier=name, DBInstanceClass="db.t4g.micro", Engine="postgres", Tags=listed(tags), **login
    )
    return name


def _database_snapshot(name: str, tags: dict[str, str]) -> str:
    client("rds").create_db_snapshot(DBInstanceIdentifier=SOURCE, DBSnapshotIdentifier=name, Tags=listed(tags))
    return name


def _cache(name: str, tags: dict[str, str]) -> str:
    client("elasticache").create_replication_group(
        ReplicationGroupId=name, ReplicationGroupDescription="x", Tags=listed(tags)
    )
    return name


def _caches() -> set[str]:
    # moto says for ever that they are being deleted.
    groups = client("elasticache").describe_replication_groups()["ReplicationGroups"]
    return {group["ReplicationGroupId"] for group in groups if group["Status"] != "deleting"}


def _cache_snapshot(name: str, tags: dict[str, str]) -> str:
    client("elasticache").create_snapshot(ReplicationGroupId=SOURCE, SnapshotName=name, Tags=listed(tags))
    return name


def _address(_: str, tags: dict[str, str]) -> str:
    specifications = [{"ResourceType": "elastic-ip", "Tags": listed(tags)}] if tags else []
    identity: str = client("ec2").allocate_address(Domain="vpc", TagSpecifications=specifications)["AllocationId"]
    return identity


def _addresses() -> list[dict[str, Any]]:
    """As the tagging service lists them, which moto forgets."""
    return [
        {
            "ResourceARN": f"arn:aws:ec2:{REGION}:{ACCOUNT}:elastic-ip/{each['AllocationId']}",
            "Tags": each.get("Tags", []),
        }
        for each in client("ec2").describe_addresses()["Addresses"]
        if {"Key": "shop:environment", "Value": "shop"} in each.get("Tags", [])
    ]


def _table(name: str, tags: dict[str, str]) -> str:
    client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=listed(tags),
    )
    return name


def _snapshot(_: str, tags: dict[str, str]) -> str:
    specifications = [{"ResourceType": "snapshot", "Tags": listed(tags)}] if tags else []
    made = client("ec2").create_snapshot(VolumeId=volume({}), TagSpecifications=specifications)
    identity: str = made["SnapshotId"]
    return identity


def _log_group(name: str, tags: dict[str, str]) -> str:
    client("logs").create_log_group(logGroupName=name, **({"tags": tags} if tags else {}))
    return name


def _parameter(name: str, tags: dict[str, str]) -> str:
    name = f"/elsewhere/{name}"
    client("ssm").put_parameter(Name=name, Value="x", Type="String", **({"Tags": listed(tags)} if tags else {}))
    return name


def _key(_: str, tags: dict[str, str]) -> str:
    # Of a kind that moto makes fast.
    kind = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
    made = client("kms").create_key(Tags=listed(tags, "TagKey", "TagValue"), **kind)
    identity: str = made["KeyMetadata"]["KeyId"]
    return identity


def _queue(name: str, tags: dict[str, str]) -> str:
    url: str = client("sqs").create_queue(QueueName=name, tags=tags)["QueueUrl"]
    return url


def _bucket(name: str, tags: dict[str, str]) -> str:
    client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3").put_object(Bucket=name, Key="a", Body="b")
    if tags:
        # The service keeps "aws:" for itself, so the stack of a bucket is left out.
        client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": listed(tags)})
    return name


def _topic(name: str, tags: dict[str, str]) -> str:
    arn: str = client("sns").create_topic(Name=name, Tags=listed(tags))["TopicArn"]
    return arn


def _secret(name: str, tags: dict[str, str]) -> str:
    arn: str = client("secretsmanager").create_secret(Name=name, SecretString="x", Tags=listed(tags))["ARN"]
    return arn


def _in_use_keys() -> set[str]:
    kms = client("kms")
    pages = kms.get_paginator("list_keys").paginate()
    keys = {key["KeyId"] for page in pages for key in page["Keys"]}
    return {key for key in keys if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"}


def _listing(service: str, operation: str, many: str, one: str | None, **arguments: Any) -> Callable[[], set[str]]:
    def names() -> set[str]:
        pages = client(service).get_paginator(operation).paginate(**arguments)
        return {each[one] if one else each for page in pages for each in page.get(many, [])}

    return names


# How each kind is made, and what of it is there. Topics are of a kind that the teardown does not know.
WORLD: dict[str, tuple[Make, Callable[[], set[str]]]] = {
    "vault": (_vault, _listing("backup", "list_backup_vaults", "BackupVaultList", "BackupVaultName")),
    "database": (_database, _listing("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier")),
    "database snapshot": (
        _database_snapshot,
        _listing("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier", SnapshotType="manual"),
    ),
    "cache": (_cache, _caches),
    "cache snapshot": (_cache_snapshot, _listing("elasticache", "describe_snapshots", "Snapshots", "SnapshotName")),
    "address": (
        _address,
        lambda: {each["AllocationId"] for each in client("ec2").describe_addresses()["Addresses"]},
    ),
    "table": (_table, _listing("dynamodb", "list_tables", "TableNames", None)),
    "volume": (lambda _, tags: volume(tags), _listing("ec2", "describe_volumes", "Volumes", "VolumeId")),
    "snapshot": (_snapshot, _listing("ec2", "describe_snapshots", "Snapshots", "SnapshotId", OwnerIds=["self"])),
    "logs": (_log_group, _listing("logs", "describe_log_groups", "logGroups", "logGroupName")),
    "parameter": (_parameter, _listing("ssm", "describe_parameters", "Parameters", "Name")),
    "key": (_key, _in_use_keys),
    "queue": (_queue, _listing("sqs", "list_queues", "QueueUrls", None)),
    "bucket": (_bucket, lambda: {each["Name"] for each in client("s3").list_buckets()["Buckets"]}),
    "secret": (_secret, _listing("secretsmanager", "list_secrets", "SecretList", "ARN")),
    "topic": (_topic, _listing("sns", "list_topics", "Topics", "TopicArn")),
}


def everything() -> set[tuple[str, str]]:
    return {(kind, identity) for kind, (_, there) in WORLD.items() for identity in there()}


# Environments whose names begin with ours, and with what our stacks are called.
NEIGHBOURS = ["shop-data", "shop-data-database", "shop-network-x", "shop-workers", "shopping"]


def populate(seed: int, number: int) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Things of all kinds with all sorts of tags: those that should go, and those that should stay."""
    chance = random.Random(seed)
    doomed, kept = set[tuple[str, str]](), set[tuple[str, str]]()
    lasting = make_stack("shop-web-of-somebody", tags_of("shop", "90 days from the creation of the stack"))
    gone = make_stack("shop-signals")
    client("cloudformation").delete_stack(StackName="shop-signals")
    for make in (_database, _cache):
        make(SOURCE, {})
    for count in range(number):
        kind = chance.choice(list(WORLD))
        environment = chance.choice(["shop"] * 5 + [*NEIGHBOURS, "", None])
        life = chance.choice([LIFE, LIFE, LIFE, "90 days from the creation of the stack", "for ever", None])
        owner = None if kind == "bucket" else chance.choice([None, None, gone, lasting])
        tags = tags_of(environment, life) | ({STACK_ID: owner} if owner else {})
        identity = WORLD[kind][0](f"{environment or 'shop'}-data-{count}", tags)
        goes = environment == "shop" and life == LIFE and owner != lasting and kind != "topic"
        (doomed if goes else kept).add((kind, identity))
    for name in ("shop", *NEIGHBOURS):
        logs = f"/aws/rds/instance/{name}-data-databaseprimary1-a/postgresql"
        client("ssm").put_parameter(Name=f"/{name}/active", Value="x", Type="String")
        client("logs").create_log_group(logGroupName=logs)
        (doomed if name == "shop" else kept).update([("parameter", f"/{name}/active"), ("logs", logs)])
    return doomed, kept


@pytest.mark.slow
def test_of_a_thousand_things_only_the_tagged_and_expired_go_and_again_changes_nothing(calls: Calls) -> None:
    network = make_stack("shop-network")
    assert len(WORLD) == len(import_module("removers").KINDS) + 1, "a topic, and all that it can remove"
    doomed, kept = populate(20, 1000)
    assert 100 < len(doomed) < 400
    assert {kind for kind, _ in doomed} == WORLD.keys() - {"topic"}
    calls.tagged = _addresses
    report = sweep()
    left = everything()
    assert kept - left == set()
    assert doomed & left == set()
    assert len(report.removed) == len(doomed)
    # A kind that is not known, and belongs to no stack, is somebody's to look at; it also keeps the last stack.
    assert report.refused
    assert {line.what.split(":")[2] for line in report.refused} == {"sns"}
    calls.seen.clear()
    again = sweep()
    assert calls.changes() == []
    assert (again.removed, again.refused) == ([], report.refused)
    assert [line for line in again.waiting if line.why != "it is being deleted"] == report.waiting
    assert network not in calls.of("DeleteStack", "StackName")


def test_what_refuses_is_reported_with_the_way_by_hand_and_stops_nothing_else(calls: Calls) -> None:
    make_stack("shop-network")
    disks = sorted(volume(OURS) for _ in range(5))
    calls.refuse("DeleteVolume", "VolumeId", disks[2])
    report = sweep()
    assert volumes() == {disks[2]}
    [refused] = report.refused
    assert refused.what == f"ec2:volume {disks[2]}"
    assert "is in use" in refused.why
    assert refused.by_hand == f"aws ec2 delete-volume --volume-id {disks[2]} --region eu-west-1"
    assert existing() == {"shop-network"}, "the teardown stays as long as something needs it"
    del calls.answers["DeleteVolume"]
    assert sweep().refused == []
    assert (volumes(), existing()) == (set(), set())


def test_parameters_without_an_owner_go_and_those_of_others_stay(calls: Calls) -> None:  # noqa: ARG001
    for role in ("network", "web"):
        stated = {"Type": "String", "Value": "x", "Name": f"/shop/{role}"}
        make_stack(f"shop-{role}", Stated={"Type": "AWS::SSM::Parameter", "Properties": stated})
    for name in ("/shop/database/active", "/shop/files/active", "/shop-prod/database/active", "/shopping/list"):
        client("ssm").put_parameter(Name=name, Value="x", Type="String")
    report = sweep(dry_run=True)
    assert whats(report.removed) == [
        "stack shop-web",
        "ssm:parameter /shop/database/active",
        "ssm:parameter /shop/files/active",
        "stack shop-network",
    ]
    sweep()
    left = {each["Name"] for each in client("ssm").describe_parameters()["Parameters"]}
    assert left == {"/shop-prod/database/active", "/shopping/list"}


def test_parameters_stay_as_long_as_a_stack_may_read_them(calls: Calls) -> None:  # noqa: ARG001
    make_stack("shop-network")
    make_stack("shop-web", tags_of("shop", "90 days from the creation of the stack"))
    client("ssm").put_parameter(Name="/shop/database/active", Value="host", Type="String")
    sweep()
    assert len(client("ssm").describe_parameters()["Parameters"]) == 1


def test_logs_that_databases_left_behind_go(calls: Calls) -> None:  # noqa: ARG001
    make_stack("shop-network")
    ours = ["shop-data-databaseprimaryede0b3d0-1", "shop-data-databasereplica1ed560a1f-1"]
    theirs = [f"{name}-data-databaseprimaryede0b3d0-1" for name in NEIGHBOURS]
    for name in ours + theirs:
        client("logs").create_log_group(logGroupName=f"/aws/rds/instance/{name}/postgresql")
    sweep()
    left = [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]]
    assert left == [f"/aws/rds/instance/{name}/postgresql" for name in theirs]


def test_what_went_with_its_stack_but_is_still_listed_is_no_alarm(calls: Calls) -> None:
    network = make_stack("shop-network")
    gone = make_stack("shop-web")
    client("cloudformation").delete_stack(StackName=gone)
    arn = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
    listing = [{"ResourceARN": arn, "Tags": listed(OURS | {STACK_ID: gone})}]
    calls.answers["GetResources"] = lambda _: {"ResourceTagMappingList": listing}
    report = sweep()
    assert (whats(report.unsure), report.refused) == ([arn], [])
    assert network in calls.of("DeleteStack", "StackName")


def test_with_no_stack_left_the_age_is_unknown_until_somebody_says_now(calls: Calls) -> None:
    disk = volume(OURS)
    client("ssm").put_parameter(Name="/shop/database/active", Value="host", Type="String")
    calls.seen.clear()
    report = sweep()
    assert calls.changes() == []
    assert "--now removes it" in report.waiting[0].why
    report = sweep(everything=True)
    assert whats(report.removed) == [f"ec2:volume {disk}"], "a parameter without a stack may be anybody's"
    assert sweep(everything=True).text().endswith("Nothing to remove, and nothing left.\n")


def test_now_leaves_alone_what_was_made_to_stay(calls: Calls) -> None:  # noqa: ARG001
    kept = volume(tags_of("shop", None))
    report = sweep(everything=True)
    assert (report.removed, report.waiting, report.refused) == ([], [], [])
    assert volumes() == {kept}


def test_stacks_without_an_end_go_only_when_both_are_said_and_nothing_else_goes_with_them(calls: Calls) -> None:  # noqa: ARG001
    for role in ("network", "web"):
        make_stack(f"shop-{role}", tags_of("shop", None))
    kept = volume(tags_of("shop", None))
    for said in ({"endless": True}, {"everything": True}):
        assert not sweep(**said).removed
    report = sweep(everything=True, endless=True)
    assert whats(report.removed) == ["stack shop-web", "stack shop-network"]
    assert volumes() == {kept}


def test_what_knows_no_stack_is_as_old_as_the_youngest_stack(calls: Calls) -> None:  # noqa: ARG001
    make_stack("shop-network")
    disk = volume(tags_of("shop", "9 days from the creation of the stack"))
    teardown = import_module("sweep").Teardown("shop", REGION, time_left=lambda: 60.0, at=LATER, dry_run=True)
    created = {"shop-web": LATER - timedelta(days=8), "shop-network": LATER - timedelta(days=20)}
    real = teardown._find

    def find(name: str, aws: Any) -> Any:
        stack = real("shop-network", aws)
        return replace(stack, name=name, created=created[name]) if name in created else None

    teardown._find = find
    until = f"lives until {LATER + timedelta(days=1):%Y-%m-%d %H:%M} UTC"
    assert [(line.what, line.why) for line in teardown.run().waiting] == [(f"ec2:volume {disk}", until)]


def test_what_aws_still_lists_but_no_longer_has_is_no_news(calls: Calls) -> None:
    arns = {
        "ec2": "volume/vol-0123456789abcdef0",
        "dynamodb": "table/gone",
        "kms": "key/00000000-0000-0000-0000-000000000000",
        "logs": "log-group:gone",
        "rds": "db:gone",
        "secretsmanager": "secret:gone-AbCdEf",
        "sqs": "gone",
        "ssm": "parameter/gone/too",
        "elasticache": "replicationgroup:gone",
    }
    stale = [
        {"ResourceARN": f"arn:aws:{service}:{REGION}:123456789012:{rest}", "Tags": listed(OURS)}
        for service, rest in arns.items()
    ]
    calls.answers["GetResources"] = lambda _: {"ResourceTagMappingList": [*stale, bucket]}
    bucket = {"ResourceARN": "arn:aws:s3:::gone", "Tags": listed(OURS)}
    assert sweep(everything=True).text().endswith("Nothing to remove, and nothing left.\n")


def test_away_from_home_only_what_our_stack_there_made_is_touched(calls: Calls) -> None:  # noqa: ARG001
    name = "aws:cloudformation:stack-name"
    ours, theirs, nobodys = (
        volume(OURS | tags, "us-east-1") for tags in ({name: "shop-global"}, {name: "shop-data"}, {})
    )
    sweep(everything=True)
    assert volumes("us-east-1") == {theirs, nobodys}
    assert ours not in volumes("us-east-1")


def test_what_is_on_its_way_out_is_waited_for(calls: Calls) -> None:
    make_stack("shop-network")
    _table("shop-workers-state", OURS)
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/shop-workers-state"
    calls.answers["GetResources"] = lambda _: {"ResourceTagMappingList": [{"ResourceARN": arn, "Tags": listed(OURS)}]}
    calls.answers["DescribeTable"] = lambda _: {"Table": {"TableStatus": "DELETING"}}
    report = sweep()
    assert (report.removed, report.refused) == ([], [])
    assert [(line.what, line.why) for line in report.waiting] == [
        ("dynamodb:table shop-workers-state", "it is being deleted")
    ]


def test_a_dry_run_says_what_would_go_and_changes_nothing(calls: Calls) -> None:
    for role in ROLES:
        make_stack(f"shop-{role}")
    disk = volume(OURS)
    calls.seen.clear()
    report = sweep(dry_run=True)
    assert calls.changes() == []
    assert whats(report.removed) == [
        *(f"stack shop-{role}" for role in ROLES[:0:-1]),
        f"ec2:volume {disk}",
        "stack shop-network",
    ]
    assert "Would remove: stack shop-signals\n" in report.text()


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:ec2:eu-west-1::snapshot/snap-1", "ec2:snapshot", "snap-1"),
        ("arn:aws:ec2:eu-west-1:1:elastic-ip/eipalloc-1", "ec2:elastic-ip", "eipalloc-1"),
        ("arn:aws:s3:::shop-data-files", "s3", "shop-data-files"),
        ("arn:aws:sqs:eu-west-1:1:shop-jobs", "sqs", "shop-jobs"),
        ("arn:aws:ssm:eu-west-1:1:parameter/shop/a/b", "ssm:parameter", "/shop/a/b"),
        ("arn:aws:ssm:eu-west-1:1:parameter/plain", "ssm:parameter", "plain"),
        ("arn:aws:logs:eu-west-1:1:log-group:/aws/a/b:*", "logs:log-group", "/aws/a/b"),
        ("arn:aws:rds:eu-west-1:1:snapshot:awsbackup:job-1", "rds:snapshot", "awsbackup:job-1"),
        ("arn:aws:backup:eu-west-1:1:backup-vault:shop-1", "backup:backup-vault", "shop-1"),
        ("arn:aws:kms:eu-west-1:1:key/abc", "kms:key", "abc"),
        (
            "arn:aws:secretsmanager:eu-west-1:1:secret:a/b-x1",
            "secretsmanager:secret",
            "arn:aws:secretsmanager:eu-west-1:1:secret:a/b-x1",
        ),
        (
            "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/1",
            "elasticloadbalancing:loadbalancer",
            "app/a/1",
        ),
    ],
)
@pytest.mark.usefixtures("calls")
def test_an_arn_says_what_kind_of_thing_it_is(arn: str, kind: str, name: str) -> None:
    assert import_module("removers").read_arn(arn) == (kind, name)


# --- On the schedule, and from a laptop ---


class Context:
    """The runtime's word on how much time is left."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def pass_on_schedule(monkeypatch: pytest.MonkeyPatch, at: datetime = LATER) -> dict[str, Any]:
    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return at

    monkeypatch.setattr(import_module("sweep"), "datetime", Then)
    report: dict[str, Any] = import_module("handler").handler({}, Context())
    return report


@pytest.mark.parametrize(("hours_left", "mails"), [(25, 0), (23, 1), (19, 0)])
def test_somebody_hears_once_that_the_last_day_has_begun(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, hours_left: int, mails: int
) -> None:
    client("sns").create_topic(Name="alerts")
    make_stack("shop-network")
    pass_on_schedule(monkeypatch, datetime.now(UTC) + timedelta(days=7, hours=-hours_left))
    assert calls.of("Publish", "Subject") == ["Teardown of shop: its last day has begun"] * mails
    assert all("stack shop-network: lives until" in message for message in calls.of("Publish", "Message"))


def test_on_the_schedule_the_last_stack_is_deleted_but_not_waited_for(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_stack("shop-network")
    calls.seen.clear()
    report = pass_on_schedule(monkeypatch)
    assert calls.seen[-1] == ("DeleteStack", {"StackName": network})
    assert report["refused"] == []


def test_somebody_hears_of_what_refuses_and_nobody_of_the_rest(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    client("sns").create_topic(Name="alerts")
    make_stack("shop-network")
    disk = volume(OURS)
    calls.refuse("DeleteVolume", "VolumeId", disk)
    pass_on_schedule(monkeypatch)
    [message] = calls.of("Publish", "Message")
    assert f"Refused: ec2:volume {disk}" in message
    assert f"by hand: aws ec2 delete-volume --volume-id {disk}" in message
    assert calls.of("Publish", "Subject") == ["Teardown of shop: 1 refused to go"]
    assert calls.of("Publish", "TopicArn") == [TOPIC_OF_MOTO]


HERE = ["--account", ACCOUNT, "--environment", "shop", "--region", REGION]


@pytest.mark.parametrize(("refuses", "code"), [(False, 0), (True, 1)])
def test_the_command_reports_as_json_and_by_its_exit_code(
    calls: Calls, capsys: pytest.CaptureFixture[str], refuses: bool, code: int
) -> None:
    disk = volume(OURS)
    if refuses:
        calls.refuse("DeleteVolume", "VolumeId", disk)
    assert import_module("sweep").main([*HERE, "--now", "--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert [line["what"] for line in report["refused" if refuses else "removed"]] == [f"ec2:volume {disk}"]


def test_without_an_answer_from_aws_the_command_says_so(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(_: dict[str, Any]) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "you may not"}}, "DescribeStacks")

    calls.answers["DescribeStacks"] = refused
    assert import_module("sweep").main(HERE) == 2
    assert "you may not" in capsys.readouterr().err


def test_with_the_credentials_of_another_account_the_command_does_nothing(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = volume(OURS)
    calls.seen.clear()
    assert import_module("sweep").main(["--account", "210987654321", *HERE[2:], "--now"]) == 1
    assert [name for name, _ in calls.seen] == ["GetCallerIdentity"]
    assert volumes() == {disk}
    said = "These credentials are of account 123456789012, not 210987654321; nothing was done\n"
    assert capsys.readouterr().err == said


def test_the_command_wants_to_know_the_account(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        import_module("sweep").main([*HERE[2:], "--now"])
    assert (refused.value.code, calls.seen) == (2, [])
    assert "--account" in capsys.readouterr().err
