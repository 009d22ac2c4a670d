"""Functions, queues, topics, rules, mail, budgets: made from the shop's templates, read back as users would."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.workbench.sandbox.shop import World, surprises, template_of
from workbench.sandbox.kinds.calls import inside, remembered
from workbench.sandbox.kinds.kind import Aws, Made, Refused
from workbench.sandbox.kinds.work import WORK

Found = Mapping[str, Any]

FUNCTION, MAPPING = "InvoiceJobFunction780EF4C6", "InvoiceBatchesF30A983F"
QUEUE, DEAD, TOPIC = "InvoiceQueue885C6B83", "InvoiceQueueDeadLetters0F771CF8", "EventsTopic97220A64"
SUBSCRIPTION, STREAM, RULE = (
    "InvoiceQueueSubscriptionD52846AA",
    "AnalyticsStreamCD64CA05",
    "ConfirmationEmailQueueMailOutcomes3E6FE040",
)
MAIL_RULES, MAIL, BUDGET = "MailRulesA3980166", "MailIdentity4EC7C521", "BudgetED13AE41"
SHOP = [id for id, resource in template_of().items() if resource["Type"] in WORK]
# What no template of production has.
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "Inline": ("AWS::Lambda::Function", {
        "Code": {"ZipFile": "def handler(*_): ..."}, "Runtime": "python3.14", "Handler": "index.handler",
    }),
    "First": ("AWS::Lambda::Version", {"Description": "The first"}),
    "Live": ("AWS::Lambda::Alias", {"FunctionVersion": "1", "Name": "live"}),
    "Group": ("AWS::Scheduler::ScheduleGroup", {"Name": "nightly"}),
    "Pass": ("AWS::Scheduler::Schedule", {
        "FlexibleTimeWindow": {"Mode": "OFF"}, "GroupName": "nightly", "ScheduleExpression": "rate(1 hour)",
    }),
}  # fmt: skip
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
    "Live": {"Description": "What runs"},
}  # fmt: skip


@pytest.fixture
def fresh() -> World:
    world = World(WORK)
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


@pytest.fixture(params=[pytest.param(state, marks=pytest.mark.slow) for state in ("as made", "as changed")])
def world(request: pytest.FixtureRequest, fresh: World) -> World:
    """Everything that the templates have and MORE; just made, or changed in place by CHANGES."""
    for id in SHOP:
        fresh.get(id)
    role = fresh.values["Role"]
    for id, (resource_type, properties) in MORE.items():
        added: dict[str, Any] = {}
        if resource_type == "AWS::Lambda::Function":
            added = {"Role": role}
        elif "Lambda" in resource_type:
            added = {"FunctionName": fresh.made["Inline"].id}
        elif id == "Pass":
            added = {"Target": {"Arn": fresh.made["Inline"].attributes["Arn"], "RoleArn": role}}
        fresh.make(fresh.wants(resource_type, {**properties, **added}, id))
    if request.param == "as changed":
        for id, properties in CHANGES.items():
            before = fresh.get(id)
            assert fresh.change(id, **properties).id == before.id
        destination = dict(fresh.wanted[STREAM].properties["ExtendedS3DestinationConfiguration"])
        destination |= {"Prefix": "other/", "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 64}}
        fresh.change(STREAM, ExtendedS3DestinationConfiguration=destination)
    return fresh


def function(aws: Aws, made: Made) -> Found:
    answer = aws.client("lambda").get_function(FunctionName=made.id)
    return {**answer["Configuration"], **answer.get("Concurrency", {})}


def mapping(aws: Aws, made: Made) -> Found:
    [found] = [
        each
        for each in aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        if each["UUID"] == made.id
    ]
    return {**found, "FunctionName": found["FunctionArn"].rpartition(":")[2]}


def alias(aws: Aws, made: Made) -> Found:
    name = made.id.split(":")[-2]
    return {**aws.client("lambda").get_alias(FunctionName=name, Name="live"), "FunctionName": name}


def version(aws: Aws, made: Made) -> Found:
    return aws.client("lambda").get_function(FunctionName=made.id)["Configuration"]  # type: ignore[no-any-return]


def queue(aws: Aws, made: Made) -> Found:
    return aws.client("sqs").get_queue_attributes(QueueUrl=made.id, AttributeNames=["All"])["Attributes"]  # type: ignore[no-any-return]


def topic(aws: Aws, made: Made) -> Found:
    return aws.client("sns").get_topic_attributes(TopicArn=made.id)["Attributes"]  # type: ignore[no-any-return]


def subscription(aws: Aws, made: Made) -> Found:
    return aws.client("sns").get_subscription_attributes(SubscriptionArn=made.id)["Attributes"]  # type: ignore[no-any-return]


def stream(aws: Aws, made: Made) -> Found:
    found = aws.client("firehose").describe_delivery_stream(DeliveryStreamName=made.id)["DeliveryStreamDescription"]
    return {
        **found,
        "DeliveryStreamEncryptionConfigurationInput": found["DeliveryStreamEncryptionConfiguration"],
        "ExtendedS3DestinationConfiguration": found["Destinations"][0]["ExtendedS3DestinationDescription"],
    }


def rule(aws: Aws, made: Made) -> Found:
    events = aws.client("events")
    return {**events.describe_rule(Name=made.id), "Targets": events.list_targets_by_rule(Rule=made.id)["Targets"]}


def schedule(aws: Aws, made: Made) -> Found:
    return aws.client("scheduler").get_schedule(GroupName="nightly", Name=made.id)  # type: ignore[no-any-return]


def schedule_group(aws: Aws, made: Made) -> Found:
    return aws.client("scheduler").get_schedule_group(Name=made.id)  # type: ignore[no-any-return]


def mail_rules(aws: Aws, made: Made) -> Found:
    return aws.client("sesv2").get_configuration_set(ConfigurationSetName=made.id)  # type: ignore[no-any-return]


def mail(aws: Aws, made: Made) -> Found:
    found = aws.client("sesv2").get_email_identity(EmailIdentity=made.id)
    return {
        "EmailIdentity": made.id,
        "ConfigurationSetAttributes": {"ConfigurationSetName": found["ConfigurationSetName"]},
    }


def budget(aws: Aws, made: Made) -> Found:
    client, name = aws.client("budgets"), {"AccountId": aws.account, "BudgetName": made.id}
    told = client.describe_notifications_for_budget(**name)["Notifications"]
    found = client.describe_budget(**name)["Budget"]
    return {"Budget": found, "NotificationsWithSubscribers": [{"Notification": each} for each in told]}


READERS: dict[str, Callable[[Aws, Made], Found]] = {
    "AWS::Budgets::Budget": budget,
    "AWS::Events::Rule": rule,
    "AWS::KinesisFirehose::DeliveryStream": stream,
    "AWS::Lambda::Alias": alias,
    "AWS::Lambda::EventSourceMapping": mapping,
    "AWS::Lambda::Function": function,
    "AWS::Lambda::Version": version,
    "AWS::SES::ConfigurationSet": mail_rules,
    "AWS::SES::EmailIdentity": mail,
    "AWS::SNS::Subscription": subscription,
    "AWS::SNS::Topic": topic,
    "AWS::SQS::Queue": queue,
    "AWS::Scheduler::Schedule": schedule,
    "AWS::Scheduler::ScheduleGroup": schedule_group,
}
# Read back by tests of their own.
APART = {"AWS::Lambda::Permission", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}
RENAMED: dict[str, str] = {}
UNTOLD = {"Code", "Tags"}


def test_all_is_read_back_as_the_templates_want_it_but_for_what_is_openly_forgotten(world: World) -> None:
    for id, wanted in world.wanted.items():
        if wanted.type in READERS:
            found = READERS[wanted.type](world.aws, world.made[id])
            assert surprises(wanted, found, RENAMED, UNTOLD) == set(), id


def test_what_has_no_service_is_remembered_and_the_list_of_that_is_complete(world: World) -> None:
    only_kept = {type_ for type_ in WORK if hasattr(WORK[type_], "reason")}
    assert only_kept == WORK.keys() - READERS.keys() - APART
    for id, wanted in world.wanted.items():
        if wanted.type in only_kept:
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


def test_policies_are_read_back_whole(world: World) -> None:
    for wanted in list(world.wanted.values()):
        for url in wanted.properties["Queues"] if wanted.type == "AWS::SQS::QueuePolicy" else []:
            assert json.loads(queue(world.aws, Made(url, {}))["Policy"]) == wanted.properties["PolicyDocument"]
        for arn in wanted.properties["Topics"] if wanted.type == "AWS::SNS::TopicPolicy" else []:
            assert json.loads(topic(world.aws, Made(arn, {}))["Policy"]) == wanted.properties["PolicyDocument"]
        if wanted.type == "AWS::Lambda::Permission":
            answer = world.aws.client("lambda").get_policy(FunctionName=wanted.properties["FunctionName"])
            [statement] = json.loads(answer["Policy"])["Statement"]
            assert statement["Principal"] == {"Service": wanted.properties["Principal"]}
            assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": wanted.properties["SourceArn"]}


def messages(world: World, id: str) -> int:
    return int(queue(world.aws, world.made[id])["ApproximateNumberOfMessages"])


@pytest.mark.parametrize("changed", [False, True])
def test_messages_of_a_mapped_queue_wait_for_us(fresh: World, changed: bool) -> None:
    fresh.get(MAPPING)
    if changed:
        fresh.change(MAPPING, BatchSize=7)
    sqs, url = fresh.aws.client("sqs"), fresh.get(QUEUE).id
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    [message] = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_events_reach_the_queues_that_want_them(fresh: World) -> None:
    fresh.get(SUBSCRIPTION)
    for event in ("order.placed", "order.forgotten"):
        fresh.aws.client("sns").publish(TopicArn=fresh.get(TOPIC).id, Message=json.dumps({"type": event}))
    assert messages(fresh, QUEUE) == 1


def test_a_filter_taken_out_lets_everything_through(fresh: World) -> None:
    fresh.change(SUBSCRIPTION, FilterPolicy=None, FilterPolicyScope=None)
    fresh.aws.client("sns").publish(TopicArn=fresh.get(TOPIC).id, Message=json.dumps({"type": "order.forgotten"}))
    assert messages(fresh, QUEUE) == 1


def test_a_function_writes_to_the_log_group_of_its_template(fresh: World) -> None:
    fresh.get(FUNCTION)
    model = inside(fresh.aws, "lambda").get_function(fresh.get(FUNCTION).id)
    assert model.logs_group_name == fresh.wanted[FUNCTION].properties["LoggingConfig"]["LogGroup"]


def test_code_in_the_template_is_a_file_of_the_function(fresh: World) -> None:
    inline = {**MORE["Inline"][1], "Role": fresh.values["Role"]}
    made = fresh.make(fresh.wants("AWS::Lambda::Function", inline))
    code = inside(fresh.aws, "lambda").get_function(made.id).code_bytes
    assert zipfile.ZipFile(io.BytesIO(code)).read("index.py").decode() == inline["Code"]["ZipFile"]


def test_new_code_is_what_the_function_has_then(fresh: World) -> None:
    before = function(fresh.aws, fresh.get(FUNCTION))["CodeSha256"]
    new = {**fresh.wanted[FUNCTION].properties["Code"], "S3Key": "new.zip"}
    fresh.aws.client("s3").put_object(Bucket=new["S3Bucket"], Key=new["S3Key"], Body=b"new")
    fresh.change(FUNCTION, Code=new)
    assert function(fresh.aws, fresh.get(FUNCTION))["CodeSha256"] != before


def test_a_reservation_taken_out_is_given_back(fresh: World) -> None:
    fresh.change(FUNCTION, ReservedConcurrentExecutions=None)
    assert "ReservedConcurrentExecutions" not in function(fresh.aws, fresh.get(FUNCTION))


def test_an_attribute_taken_out_of_a_queue_is_as_if_never_given(fresh: World) -> None:
    fresh.change(QUEUE, VisibilityTimeout=None, ReceiveMessageWaitTimeSeconds=None)
    found = queue(fresh.aws, fresh.get(QUEUE))
    assert (found["VisibilityTimeout"], found["ReceiveMessageWaitTimeSeconds"]) == ("30", "0")


def test_targets_taken_out_of_a_rule_get_nothing_more(fresh: World) -> None:
    fresh.get(RULE)
    [target] = fresh.wanted[RULE].properties["Targets"]
    fresh.change(RULE, Targets=[{**target, "Id": "Other"}])
    assert [each["Id"] for each in rule(fresh.aws, fresh.get(RULE))["Targets"]] == ["Other"]


def test_a_policy_that_is_deleted_leaves_the_owner_of_the_topic_his_rights(fresh: World) -> None:
    fresh.get("EventsTopicPolicy2267B130")
    fresh.delete("EventsTopicPolicy2267B130")
    assert "__default_statement_ID" in topic(fresh.aws, fresh.get(TOPIC))["Policy"]


def test_everything_can_be_deleted_and_once_more(world: World) -> None:
    for _ in range(2):
        for id in reversed(list(world.made)):
            world.delete(id)
    assert world.aws.client("lambda").list_functions()["Functions"] == []
    assert world.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    assert world.aws.client("sqs").list_queues().get("QueueUrls", []) == []
    assert world.aws.client("sns").list_topics()["Topics"] == []
    assert world.aws.client("events").list_rules()["Rules"] == []


def test_a_property_that_nobody_knows_is_refused_by_name(fresh: World) -> None:
    for resource_type in ("AWS::KinesisFirehose::DeliveryStream", "AWS::Events::Rule", "AWS::SES::ConfigurationSet"):
        with pytest.raises(Refused, match="Nonsense"):
            fresh.make(fresh.wants(resource_type, {"Nonsense": 1}))
