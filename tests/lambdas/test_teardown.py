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

from workbench.synth import ROOT

pytestmark = pytest.mark.slow

REGION = "eu-west-1"
TOPIC_OF_MOTO = "arn:aws:sns:eu-west-1:123456789012:alerts"
LIFE = "7 days from the creation of the stack"
LATER = datetime.now(UTC) + timedelta(days=10)
ROLES = ["network", "data", "web", "edge", "workers", "signals"]
LOOKING = ("Describe", "Get", "List")
STACK_ID = "aws:cloudformation:stack-id"


@dataclass
class Calls:
    """Every call to AWS on its way: written down, refused, or answered by a test."""

    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)

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


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    calls = Calls()
    real: Any = BaseClient._make_api_call
    # moto knows no recovery points.
    calls.answers["ListRecoveryPointsByBackupVault"] = lambda _: {"RecoveryPoints": []}

    def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        calls.seen.append((operation, arguments))
        answer = calls.answers.get(operation)
        answered = answer(arguments) if answer else None
        return real(client, operation, arguments) if answered is None else answered

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("ENVIRONMENT", "shop")
    monkeypatch.setenv("TOPIC", TOPIC_OF_MOTO)
    monkeypatch.syspath_prepend(str(ROOT / "lambdas" / "teardown"))
    for module in ("handler", "removers", "sweep"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with mock_aws():
        yield calls
    for module in ("handler", "removers", "sweep"):
        sys.modules.pop(module, None)


@cache
def client(service: str, region: str = REGION) -> Any:
    return boto3.client(service, region_name=region)


def tags_of(environment: str | None, life: str | None, **more: str) -> dict[str, str]:
    given = {"shop:environment": environment, "shop:time-to-live": life, **more}
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


def test_older_stacks_wait_for_a_younger_one_that_is_in_its_time(calls: Calls) -> None:  # noqa: ARG001
    make_stack("shop-network")
    make_stack("shop-data")
    make_stack("shop-web", tags_of("shop", "90 days from the creation of the stack"))
    report = sweep()
    assert existing() == {"shop-network", "shop-data", "shop-web"}
    assert whats(report.waiting) == ["stack shop-web"]


@pytest.mark.parametrize("tags", [{}, tags_of("else", LIFE), tags_of("shop", None), tags_of("shop", "for a while")])
@pytest.mark.parametrize("everything", [False, True])
def test_a_stack_with_our_name_but_not_our_tags_is_never_touched(
    calls: Calls, tags: dict[str, str], everything: bool
) -> None:
    make_stack("shop-network")
    make_stack("shop-web", tags)
    calls.seen.clear()
    report = sweep(everything=everything)
    assert calls.changes() == []
    assert "is not touched" in report.waiting[0].why


def test_a_bucket_is_emptied_of_all_versions_before_its_stack_goes(calls: Calls) -> None:
    make_stack("shop-data", Files={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "shop-data-files"}})
    s3 = client("s3")
    s3.put_bucket_versioning(Bucket="shop-data-files", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket="shop-data-files", Key="a", Body=str(number))
    s3.delete_object(Bucket="shop-data-files", Key="a")
    sweep()
    assert [name for name in calls.changes() if name in ("DeleteObjects", "DeleteStack")] == [
        "DeleteObjects",
        "DeleteStack",
    ]
    assert s3.list_buckets()["Buckets"] == []


def test_a_vault_is_emptied_and_its_stack_waits_until_the_copies_are_gone(calls: Calls) -> None:
    make_stack("shop-data")
    vault = {
        "ResourceType": "AWS::Backup::BackupVault",
        "PhysicalResourceId": "shop-backups-1",
        "ResourceStatus": "CREATE_COMPLETE",
    }
    calls.answers["ListStackResources"] = lambda _: {"StackResourceSummaries": [vault]}
    copies = [{"RecoveryPointArn": "arn:aws:ec2:eu-west-1::snapshot/snap-1", "Status": "COMPLETED"}]
    calls.answers["ListRecoveryPointsByBackupVault"] = lambda _: {"RecoveryPoints": list(copies)}

    def delete(_: dict[str, Any]) -> dict[str, Any]:
        copies[0]["Status"] = "DELETING"
        return {}

    calls.answers["DeleteRecoveryPoint"] = delete
    for _ in range(2):
        report = sweep(time_left=lambda: 0.0)
        assert whats(report.waiting) == ["AWS::Backup::BackupVault shop-backups-1 in stack shop-data"]
    assert calls.of("DeleteRecoveryPoint", "RecoveryPointArn") == ["arn:aws:ec2:eu-west-1::snapshot/snap-1"]
    assert existing() == {"shop-data"}
    copies.clear()
    assert sweep().waiting == []
    assert existing() == set()


def test_protection_is_taken_off_what_is_expired_and_off_nothing_else(calls: Calls) -> None:
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    }
    for name, environment in (("shop-workers", "shop"), ("else-workers", "else")):
        make_stack(name, tags_of(environment, LIFE), State={**table, "Properties": table["Properties"]})
    tables = client("dynamodb").list_tables()["TableNames"]
    for name in tables:
        client("dynamodb").update_table(TableName=name, DeletionProtectionEnabled=True)
    calls.seen.clear()
    sweep()
    [unprotected] = calls.of("UpdateTable", "TableName")
    assert unprotected.startswith("shop-workers")
    assert existing() == {"else-workers"}
    assert len(client("dynamodb").list_tables()["TableNames"]) == 1


def test_termination_protection_is_taken_off_first(calls: Calls) -> None:
    stack = make_stack("shop-network")
    described = client("cloudformation").describe_stacks(StackName="shop-network")
    described["Stacks"][0]["EnableTerminationProtection"] = True
    answers = iter([described])
    calls.answers["DescribeStacks"] = lambda given: (
        next(answers, None) if given["StackName"] == "shop-network" else None
    )
    calls.answers["UpdateTerminationProtection"] = lambda _: {}
    calls.seen.clear()
    sweep()
    assert calls.changes() == ["UpdateTerminationProtection", "DeleteStack"]
    assert calls.of("UpdateTerminationProtection", "StackName") == [stack]


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
    report = sweep()
    assert whats(report.refused) == ["AWS::S3::Bucket shop-data-files in stack shop-data"]
    assert calls.of("DeleteStack", "StackName") == []


def test_the_stack_in_the_other_region_goes_before_the_last_one(calls: Calls) -> None:
    ids = {make_stack("shop-network"): "network", make_stack("shop-global", region="us-east-1"): "global"}
    sweep()
    assert [ids[stack] for stack in calls.of("DeleteStack", "StackName")] == ["global", "network"]


# --- What is left ---

Make = Callable[[str, dict[str, str]], str]


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
    made = client("kms").create_key(Tags=listed(tags, "TagKey", "TagValue"))
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


def populate(seed: int, number: int) -> set[tuple[str, str]]:
    """Things of all kinds with all sorts of tags; those among them that should go."""
    chance, doomed = random.Random(seed), set()
    lasting = make_stack("shop-web-of-somebody", tags_of("shop", "90 days from the creation of the stack"))
    gone = make_stack("shop-signals")
    client("cloudformation").delete_stack(StackName="shop-signals")
    for count in range(number):
        kind = chance.choice(list(WORLD))
        environment = chance.choice(["shop", "shop", "shop", "shop-prod", "shopping", "", None])
        life = chance.choice([LIFE, LIFE, LIFE, "90 days from the creation of the stack", "for ever", None])
        owner = None if kind == "bucket" else chance.choice([None, None, gone, lasting])
        tags = tags_of(environment, life) | ({STACK_ID: owner} if owner else {})
        identity = WORLD[kind][0](f"thing-{seed}-{count}", tags)
        if environment == "shop" and life == LIFE and owner != lasting and kind != "topic":
            doomed.add((kind, identity))
    return doomed


@pytest.mark.parametrize("seed", [20])
def test_of_a_thousand_things_only_the_tagged_and_expired_go_and_again_changes_nothing(calls: Calls, seed: int) -> None:
    network = make_stack("shop-network")
    doomed = populate(seed, 1000)
    before = everything()
    assert 100 < len(doomed) < 400
    report = sweep()
    assert before - everything() == doomed
    assert len(report.removed) == len(doomed)
    # A kind that is not known, and belongs to no stack, is somebody's to look at; it also keeps the last stack.
    assert report.refused
    assert {line.what.split(":")[2] for line in report.refused} == {"sns"}
    calls.seen.clear()
    again = sweep()
    assert calls.changes() == []
    assert (again.removed, again.refused, again.waiting) == ([], report.refused, report.waiting)
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
    for name in ("shop-data-primary-1", "shop-data-replica-2", "shop-prod-data-primary-1"):
        client("logs").create_log_group(logGroupName=f"/aws/rds/instance/{name}/postgresql")
    sweep()
    left = [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]]
    assert left == ["/aws/rds/instance/shop-prod-data-primary-1/postgresql"]


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
    assert whats(report.removed) == [f"ec2:volume {disk}", "ssm:parameter /shop/database/active"]
    assert sweep(everything=True).text().endswith("Nothing to remove, and nothing left.\n")


def test_now_leaves_alone_what_was_made_to_stay(calls: Calls) -> None:  # noqa: ARG001
    kept = volume(tags_of("shop", None))
    report = sweep(everything=True)
    assert (report.removed, report.waiting, report.refused) == ([], [], [])
    assert volumes() == {kept}


def test_what_knows_no_stack_is_as_old_as_the_youngest_stack(calls: Calls) -> None:  # noqa: ARG001
    make_stack("shop-network")
    old = volume(OURS)
    teardown = import_module("sweep").Teardown("shop", REGION, time_left=lambda: 60.0, at=LATER)
    created = {"shop-web": LATER - timedelta(days=1), "shop-network": LATER - timedelta(days=9)}
    real = teardown._find

    def find(name: str, aws: Any) -> Any:
        stack = real("shop-network", aws)
        return replace(stack, name=name, created=created[name]) if name in created else None

    teardown._find = find
    report = teardown.run()
    assert volumes() == {old}
    until = f"lives until {LATER + timedelta(days=6):%Y-%m-%d %H:%M} UTC"
    assert [(line.what, line.why) for line in report.waiting] == [
        ("stack shop-web", until),
        (f"ec2:volume {old}", until),
    ]


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
    client("dynamodb").create_table(
        TableName="shop-workers-state",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=listed(OURS),
    )
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


def pass_on_schedule(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return LATER

    monkeypatch.setattr(import_module("sweep"), "datetime", Later)
    report: dict[str, Any] = import_module("handler").handler({}, Context())
    return report


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


@pytest.mark.parametrize(("refuses", "code"), [(False, 0), (True, 1)])
def test_the_command_reports_as_json_and_by_its_exit_code(
    calls: Calls, capsys: pytest.CaptureFixture[str], refuses: bool, code: int
) -> None:
    disk = volume(OURS)
    if refuses:
        calls.refuse("DeleteVolume", "VolumeId", disk)
    arguments = ["--environment", "shop", "--region", REGION, "--now", "--json"]
    assert import_module("sweep").main(arguments) == code
    report = json.loads(capsys.readouterr().out)
    assert [line["what"] for line in report["refused" if refuses else "removed"]] == [f"ec2:volume {disk}"]


def test_without_an_answer_from_aws_the_command_says_so(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(_: dict[str, Any]) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "you may not"}}, "DescribeStacks")

    calls.answers["DescribeStacks"] = refused
    assert import_module("sweep").main(["--environment", "shop", "--region", REGION]) == 2
    assert "you may not" in capsys.readouterr().err
