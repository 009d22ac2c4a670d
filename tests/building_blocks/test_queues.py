"""Topic and queues: the right events reach a job, nothing is lost silently, and somebody is told."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from blueprint.parts import Job, Protection
from building_blocks.queues import JobQueue
from building_blocks.topic import EventTopic
from tests.building_blocks.alone import ACCOUNT, CAREFUL, CARELESS, ForeignApp, Template, only, resources, synth_alone

JOB = Job("invoice", ("order.placed", "order.changed"), timeout_seconds=60, memory_mib=512, concurrency=10)


def synth(protection: Protection = CAREFUL, *, key_arn: str | None = None) -> Template:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        key = theirs.key if key_arn is None else kms.Key.from_key_arn(stack, "Borrowed", key_arn)
        topic = EventTopic(stack, "Events", key=key).topic
        JobQueue(stack, "Invoice", spec=JOB, topic=topic, key=key, protection=protection, alerts=theirs.alerts)

    return synth_alone(build)


@pytest.fixture(scope="module")
def template() -> Template:
    return synth()


def queue(template: Template, name: str) -> dict[str, Any]:
    [found] = [one for logical_id, one in resources(template, "AWS::SQS::Queue").items() if logical_id.startswith(name)]
    return found


def policy_of(template: Template, name: str) -> list[dict[str, Any]]:
    [found] = [
        one for logical_id, one in resources(template, "AWS::SQS::QueuePolicy").items() if logical_id.startswith(name)
    ]
    statements: list[dict[str, Any]] = found["Properties"]["PolicyDocument"]["Statement"]
    return statements


def test_the_topic_is_encrypted_and_refuses_plain_http(template: Template) -> None:
    assert only(template, "AWS::SNS::Topic")["KmsMasterKeyId"]["Fn::GetAtt"][0].startswith("TheirKey")
    [statement] = only(template, "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_subscription_hands_over_the_event_itself_filtered_by_its_own_type(template: Template) -> None:
    subscription = only(template, "AWS::SNS::Subscription")
    assert subscription["RawMessageDelivery"] is True
    assert subscription["FilterPolicy"] == {"type": list(JOB.events)}
    assert subscription["FilterPolicyScope"] == "MessageBody"


def test_what_sns_cannot_deliver_is_set_aside_too(template: Template) -> None:
    redrive = only(template, "AWS::SNS::Subscription")["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"]["Fn::GetAtt"][0].startswith("InvoiceDeadLetters")


def test_the_subscription_waits_until_it_may_deliver(template: Template) -> None:
    [subscription] = resources(template, "AWS::SNS::Subscription").values()
    assert any(name.startswith("InvoiceQueuePolicy") for name in subscription["DependsOn"])


def test_a_message_is_hidden_for_six_timeouts(template: Template) -> None:
    assert queue(template, "InvoiceQueue")["Properties"]["VisibilityTimeout"] == 6 * JOB.timeout_seconds


def test_failed_work_is_set_aside_after_five_attempts_and_kept_longer_than_it_could_wait(template: Template) -> None:
    work, aside = (queue(template, name)["Properties"] for name in ("InvoiceQueue", "InvoiceDeadLetters"))
    assert work["RedrivePolicy"]["maxReceiveCount"] == 5
    assert work["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0].startswith("InvoiceDeadLetters")
    assert aside["MessageRetentionPeriod"] == 14 * 86_400 > work["MessageRetentionPeriod"]


def test_nothing_is_set_aside_into_a_queue_of_work(template: Template) -> None:
    assert queue(template, "InvoiceQueue")["Properties"]["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}


@pytest.mark.parametrize("name", ["InvoiceQueue", "InvoiceDeadLetters"])
def test_both_queues_are_encrypted_and_limited_to_what_sns_can_send(template: Template, name: str) -> None:
    properties = queue(template, name)["Properties"]
    assert properties["KmsMasterKeyId"]["Fn::GetAtt"][0].startswith("TheirKey")
    assert properties["MaximumMessageSize"] == 262_144
    assert "QueueName" not in properties


@pytest.mark.parametrize("name", ["InvoiceQueue", "InvoiceDeadLetters"])
def test_only_this_topic_may_put_something_in_and_only_over_tls(template: Template, name: str) -> None:
    tls, send = policy_of(template, name)
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (send["Effect"], send["Action"]) == ("Allow", "sqs:SendMessage")
    assert send["Principal"] == {"Service": "sns.amazonaws.com"}
    assert send["Condition"]["ArnEquals"]["aws:SourceArn"]["Ref"].startswith("EventsTopic")


def test_somebody_elses_key_lets_sns_fill_encrypted_queues(template: Template) -> None:
    statements = only(template, "AWS::KMS::Key")["KeyPolicy"]["Statement"]
    [sns] = [one for one in statements if one["Principal"] == {"Service": "sns.amazonaws.com"}]
    assert sns["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert sns["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_a_borrowed_key_is_used_as_it_is() -> None:
    arn = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
    template = synth(key_arn=arn)
    assert {one["Properties"]["KmsMasterKeyId"] for one in resources(template, "AWS::SQS::Queue").values()} == {arn}
    assert len(only(template, "AWS::KMS::Key")["KeyPolicy"]["Statement"]) == 1


def test_somebody_is_told_of_dead_letters_and_of_work_that_waits_too_long(template: Template) -> None:
    alarms = {
        one["Properties"]["MetricName"]: one["Properties"]
        for one in resources(template, "AWS::CloudWatch::Alarm").values()
    }
    dead, waits = alarms["ApproximateNumberOfMessagesVisible"], alarms["ApproximateAgeOfOldestMessage"]
    assert dead["Dimensions"][0]["Value"]["Fn::GetAtt"][0].startswith("InvoiceDeadLetters")
    assert dead["Threshold"] == 1
    assert waits["Dimensions"][0]["Value"]["Fn::GetAtt"][0].startswith("InvoiceQueue")
    assert waits["Threshold"] == 2 * 6 * JOB.timeout_seconds
    assert all(one["AlarmActions"] == [f"arn:aws:sns:eu-west-1:{ACCOUNT}:their-alerts"] for one in alarms.values())


@pytest.mark.parametrize(("protection", "policy"), [(CAREFUL, "Retain"), (CARELESS, "Delete")])
def test_waiting_work_outlives_its_stack_where_data_is_kept(protection: Protection, policy: str) -> None:
    queues = resources(synth(protection), "AWS::SQS::Queue").values()
    assert len(queues) == 2
    assert {(one["DeletionPolicy"], one["UpdateReplacePolicy"]) for one in queues} == {(policy, "Retain")}


def test_a_queue_can_also_hear_of_mail_and_from_that_rule_only() -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        topic = EventTopic(stack, "Events", key=theirs.key).topic
        made = JobQueue(stack, "Mail", spec=JOB, topic=topic, key=theirs.key, protection=CAREFUL, alerts=theirs.alerts)
        made.hear_of_mail("their-rules")

    template = synth_alone(build)
    rule = only(template, "AWS::Events::Rule")
    assert rule["EventPattern"] == {
        "source": ["aws.ses"],
        "detail": {"mail": {"tags": {"ses:configuration-set": ["their-rules"]}}},
    }
    [target] = rule["Targets"]
    assert target["Arn"]["Fn::GetAtt"][0].startswith("MailQueue")
    for name in ("MailQueue", "MailDeadLetters"):
        [statement] = [
            one for one in policy_of(template, name) if one.get("Principal") == {"Service": "events.amazonaws.com"}
        ]
        assert statement["Action"] == "sqs:SendMessage"
        assert statement["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::GetAtt"][0].startswith("MailMailOutcomes")
