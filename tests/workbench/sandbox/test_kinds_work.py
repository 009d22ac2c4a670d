"""Functions, queues, topics, rules, mail, budgets: made from the shop's templates, read back as users would."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.workbench.sandbox.shop import STATES, World, in_shop, of, template_of
from workbench.sandbox.kinds import ONLY_KEPT
from workbench.sandbox.kinds.calls import remembered
from workbench.sandbox.kinds.kind import FAILURES

FUNCTION, MAPPING = "InvoiceJobFunction780EF4C6", "InvoiceBatchesF30A983F"
QUEUE, DEAD, TOPIC = "InvoiceQueue885C6B83", "InvoiceQueueDeadLetters0F771CF8", "EventsTopic97220A64"
SUBSCRIPTION, STREAM, RULE = (
    "InvoiceQueueSubscriptionD52846AA",
    "AnalyticsStreamCD64CA05",
    "ConfirmationEmailQueueMailOutcomes3E6FE040",
)
MAIL_RULES, MAIL, BUDGET = "MailRulesA3980166", "MailIdentity4EC7C521", "BudgetED13AE41"
SERVICES = ("Budgets", "Events", "KinesisFirehose", "Lambda", "SES", "SNS", "SQS", "Scheduler")
SHOP = in_shop(*SERVICES)
# What ends a sandbox; no template of production has one.
PASS = {
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "ScheduleExpression": "rate(1 hour)",
    "Target": {
        "Arn": "arn:aws:lambda:us-east-1:123456789012:function:teardown",
        "RoleArn": "arn:aws:iam::123456789012:role/r",
    },
}
CHANGES: dict[str, dict[str, Any]] = {
    FUNCTION: {
        "Architectures": ["x86_64"], "Environment": {"Variables": {"OTHER": "1"}}, "KmsKeyArn": "arn:aws:kms:::key/1",
        "MemorySize": 1024, "ReservedConcurrentExecutions": 3, "Timeout": 20, "TracingConfig": {"Mode": "PassThrough"},
    },
    MAPPING: {"BatchSize": 7, "FunctionResponseTypes": [], "ScalingConfig": {"MaximumConcurrency": 3}},
    QUEUE: {"MessageRetentionPeriod": 60, "VisibilityTimeout": 90},
    TOPIC: {"DisplayName": "Other events"},
    SUBSCRIPTION: {"FilterPolicy": {"type": ["order.paid"]}, "RawMessageDelivery": False},
    RULE: {"EventPattern": {"source": ["aws.other"]}, "State": "DISABLED"},
    MAIL_RULES: {"DeliveryOptions": {"TlsPolicy": "OPTIONAL"}},
    MAIL: {"ConfigurationSetAttributes": {"ConfigurationSetName": "other"}},
    BUDGET: {"Budget": {
        "BudgetLimit": {"Amount": 5, "Unit": "USD"}, "BudgetName": "shop-prod-monthly", "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
    }},
    "MailRulesOutcomes481B0F99": {"EventDestination": {"Enabled": False, "MatchingEventTypes": ["send"]}},
    "Pass": {"ScheduleExpression": "rate(2 hours)"},
}  # fmt: skip


def begin() -> World:
    world = World(of(*SERVICES))
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = world.aws.client("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("handler.py", "def handler(*_): ...")
    for resource in template_of().values():
        if resource["Type"] == "AWS::Lambda::Function":
            bucket, key = world.plain(resource["Properties"]["Code"]).values()
            world.aws.client("s3").create_bucket(Bucket=bucket)
            world.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
    world.values |= {
        "EncryptionKey": f"arn:aws:kms:us-east-1:{world.aws.account}:key/0",
        "AnalyticsStreamPrivateBucket": "arn:aws:s3:::assets",
        "MailRulesName": "rules",
        "Role": role,
        "MasterSecret": f"arn:aws:secretsmanager:us-east-1:{world.aws.account}:secret:master-abcdef",
    }
    return world


@pytest.fixture
def fresh() -> World:
    return begin()


@pytest.fixture(scope="module", params=STATES)
def world(request: pytest.FixtureRequest) -> World:
    """Everything that the templates have, and what only sandboxes have; just made, or changed in place by CHANGES."""
    fresh = begin()
    for id in SHOP:
        fresh.get(id)
    fresh.make(fresh.wants("AWS::Scheduler::Schedule", PASS, "Pass"))
    if request.param == "as changed":
        for id, properties in CHANGES.items():
            before = fresh.get(id)
            assert fresh.change(id, **properties).id == before.id
        destination = dict(fresh.wanted[STREAM].properties["ExtendedS3DestinationConfiguration"])
        destination |= {"Prefix": "other/", "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 64}}
        fresh.change(STREAM, ExtendedS3DestinationConfiguration=destination)
    return fresh


def test_all_is_read_back_as_the_templates_want_it_but_for_what_is_openly_forgotten(world: World) -> None:
    assert world.differences() == []


def test_what_has_no_service_is_remembered(world: World) -> None:
    for id, wanted in world.wanted.items():
        if wanted.type in ONLY_KEPT:
            kept = remembered(world.aws, "sesv2", wanted.type)[world.made[id].id]
            assert kept == {**wanted.properties, "Tags": kept["Tags"]}


def test_all_carries_the_tags_of_its_stack_and_its_own(world: World) -> None:
    for id in (FUNCTION, TOPIC, STREAM):
        assert world.tags_of(id) == world.all_tags_of(id)
    tags = world.aws.client("sqs").list_queue_tags(QueueUrl=world.made[QUEUE].id)
    assert tags["Tags"] == world.all_tags_of(QUEUE)
    tags = world.aws.client("events").list_tags_for_resource(ResourceARN=world.made[RULE].attributes["Arn"])
    assert {tag["Key"]: tag["Value"] for tag in tags["Tags"]} == world.all_tags_of(RULE)
    tags = world.aws.client("lambda").list_tags(Resource=world.made[MAPPING].attributes["EventSourceMappingArn"])
    assert tags["Tags"] == world.all_tags_of(MAPPING)


def messages(world: World, id: str) -> int:
    return int(world.read(id)["ApproximateNumberOfMessages"])


def test_events_reach_the_queues_that_want_them(fresh: World) -> None:
    fresh.get(SUBSCRIPTION)
    for event in ("order.placed", "order.forgotten"):
        fresh.aws.client("sns").publish(TopicArn=fresh.get(TOPIC).id, Message=json.dumps({"type": event}))
    assert messages(fresh, QUEUE) == 1


def test_a_filter_taken_out_lets_everything_through(fresh: World) -> None:
    fresh.change(SUBSCRIPTION, FilterPolicy=None, FilterPolicyScope=None)
    fresh.aws.client("sns").publish(TopicArn=fresh.get(TOPIC).id, Message=json.dumps({"type": "order.forgotten"}))
    assert messages(fresh, QUEUE) == 1


def test_new_code_is_what_the_function_has_then(fresh: World) -> None:
    before = fresh.read(FUNCTION)["CodeSha256"]
    new = {**fresh.wanted[FUNCTION].properties["Code"], "S3Key": "new.zip"}
    fresh.aws.client("s3").put_object(Bucket=new["S3Bucket"], Key=new["S3Key"], Body=b"new")
    fresh.change(FUNCTION, Code=new)
    assert fresh.read(FUNCTION)["CodeSha256"] != before


def test_a_reservation_taken_out_is_given_back(fresh: World) -> None:
    fresh.change(FUNCTION, ReservedConcurrentExecutions=None)
    assert "ReservedConcurrentExecutions" not in fresh.read(FUNCTION)


def test_an_attribute_taken_out_of_a_queue_is_as_if_never_given(fresh: World) -> None:
    fresh.change(QUEUE, VisibilityTimeout=None, ReceiveMessageWaitTimeSeconds=None)
    found = fresh.read(QUEUE)
    assert (found["VisibilityTimeout"], found["ReceiveMessageWaitTimeSeconds"]) == ("30", "0")


def test_targets_taken_out_of_a_rule_get_nothing_more(fresh: World) -> None:
    fresh.get(RULE)
    [target] = fresh.wanted[RULE].properties["Targets"]
    fresh.change(RULE, Targets=[{**target, "Id": "Other"}])
    assert [each["Id"] for each in fresh.read(RULE)["Targets"]] == ["Other"]


def test_a_policy_that_is_deleted_leaves_the_owner_of_the_topic_his_rights(fresh: World) -> None:
    fresh.get("EventsTopicPolicy2267B130")
    fresh.delete("EventsTopicPolicy2267B130")
    assert "__default_statement_ID" in fresh.read(TOPIC)["Policy"]


@pytest.mark.slow
def test_everything_can_be_deleted_and_once_more(fresh: World) -> None:
    for id in SHOP:
        fresh.get(id)
    for _ in range(2):
        for id in reversed(list(fresh.made)):
            fresh.delete(id)
    assert fresh.aws.client("lambda").list_functions()["Functions"] == []
    assert fresh.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    assert fresh.aws.client("sqs").list_queues().get("QueueUrls", []) == []
    assert fresh.aws.client("sns").list_topics()["Topics"] == []
    assert fresh.aws.client("events").list_rules()["Rules"] == []


@pytest.mark.parametrize(
    ("resource_type", "properties", "name"),
    [
        ("AWS::KinesisFirehose::DeliveryStream", {"Nonsense": 1}, "Nonsense"),
        ("AWS::SES::ConfigurationSet", {"Nonsense": 1}, "Nonsense"),
        ("AWS::SES::EmailIdentity", {"EmailIdentity": "example.com", "DkimAttributes": {}}, "DkimAttributes"),
        ("AWS::Events::Rule", {"EventBusName": "another"}, "EventBusName"),
        ("AWS::Scheduler::Schedule", {**PASS, "GroupName": "nightly"}, "GroupName"),
        ("AWS::Budgets::Budget", {"Budget": {}, "ResourceTags": []}, "ResourceTags"),
        ("AWS::SQS::Queue", {"FifoQueue": True}, "FifoQueue"),
        ("AWS::SNS::Topic", {"Subscription": []}, "Subscription"),
        ("AWS::Lambda::Function", {"Code": {"ZipFile": "def handler(*_): ..."}}, "ZipFile"),
        ("AWS::Lambda::Function", {"Code": {}, "SnapStart": {}}, "SnapStart"),
        ("AWS::Lambda::Function", {"Code": {"SourceKMSKeyArn": "key"}}, "SourceKMSKeyArn"),
    ],
)
def test_what_is_not_simulated_is_refused_by_name(
    fresh: World, resource_type: str, properties: dict[str, Any], name: str
) -> None:
    with pytest.raises(FAILURES, match=name):
        fresh.make(fresh.wants(resource_type, properties))


@pytest.mark.parametrize("id", [MAIL_RULES, BUDGET])
def test_what_is_written_again_stays_when_the_new_one_is_refused(fresh: World, id: str) -> None:
    fresh.get(id)
    before = fresh.read(id)
    with pytest.raises(FAILURES):
        fresh.change(id, Nonsense=1)
    after = fresh.read(id)
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
