"""SQS and SNS. Moto forgets the policy of a queue that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import arn, call, inside, refuse_unknown, remove, tag, text, without
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Wanted
from workbench.sandbox.kinds.row import Tagging


class Queue:
    """AWS::SQS::Queue; but for the name and the tags, every property is an attribute of the queue."""

    forgets: Mapping[str, str] = {
        "RedriveAllowPolicy": "who may name the queue as its dead-letter queue is not checked"
    }
    _DEFAULTS: Mapping[str, str] = {
        "DelaySeconds": "0",
        "KmsMasterKeyId": "",
        "MaximumMessageSize": "262144",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "RedrivePolicy": "",
        "VisibilityTimeout": "30",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("QueueName") or wanted.name(80)
        attributes = {key: text(value) for key, value in self._attributes(wanted).items()}
        url = call(aws, "sqs", "create_queue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return self._made(aws, url, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = self._attributes(before), self._attributes(after)
        news = {key: text(value) for key, value in new.items() if old.get(key) != value}
        news |= {key: self._DEFAULTS.get(key, "") for key in old.keys() - new.keys()}
        if news:
            now = call(aws, "sqs", "get_queue_attributes", QueueUrl=made.id, AttributeNames=["All"])["Attributes"]
            if "Policy" in now:  # moto takes a change without a policy to mean that there is none any more
                news["Policy"] = now["Policy"]
            call(aws, "sqs", "set_queue_attributes", QueueUrl=made.id, Attributes=news)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sqs", "delete_queue", QueueUrl=made.id)

    def _attributes(self, wanted: Wanted) -> dict[str, Any]:
        refuse_unknown(wanted, "QueueName", *self._DEFAULTS, *self.forgets)
        return without(wanted.properties, "QueueName", *self.forgets)

    def _made(self, aws: Aws, url: str, before: Wanted | None, after: Wanted) -> Made:
        name = url.rpartition("/")[2]
        made = Made(url, {"Arn": arn(aws, "sqs", name), "QueueName": name, "QueueUrl": url})
        Tagging("tag_queue", "untag_queue", "QueueUrl").change(aws, "sqs", made, before, after)
        return made


class QueuePolicy:
    """AWS::SQS::QueuePolicy: one document for several queues."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        for queue in wanted.properties["Queues"]:
            self._set(aws, queue, text(wanted.properties["PolicyDocument"]))
        return Made(wanted.name(80), {"Id": wanted.name(80)})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        for queue in before.properties["Queues"]:
            if queue not in after.properties["Queues"]:
                self._set(aws, queue, "")
        self.create(aws, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        for queue in wanted.properties["Queues"]:
            remove(aws, "sqs", "set_queue_attributes", QueueUrl=queue, Attributes={"Policy": ""})

    def _set(self, aws: Aws, queue: str, document: str) -> None:
        call(aws, "sqs", "set_queue_attributes", QueueUrl=queue, Attributes={"Policy": document})


class Topic:
    """AWS::SNS::Topic."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("TopicName") or wanted.name(256)
        attributes = {key: text(value) for key, value in self._attributes(wanted).items()}
        its_arn = call(aws, "sns", "create_topic", Name=name, Attributes=attributes)["TopicArn"]
        return self._made(aws, its_arn, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = self._attributes(before), self._attributes(after)
        for name in sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)):
            value = text(new.get(name, ""))
            call(aws, "sns", "set_topic_attributes", TopicArn=made.id, AttributeName=name, AttributeValue=value)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sns", "delete_topic", TopicArn=made.id)

    def _attributes(self, wanted: Wanted) -> dict[str, Any]:
        refuse_unknown(wanted, "DisplayName", "KmsMasterKeyId", "TopicName")
        return without(wanted.properties, "TopicName")

    def _made(self, aws: Aws, its_arn: str, before: Wanted | None, after: Wanted) -> Made:
        tag(aws, its_arn, before, after)
        return Made(its_arn, {"TopicArn": its_arn, "TopicName": its_arn.rpartition(":")[2]})


class TopicPolicy:
    """AWS::SNS::TopicPolicy: one document for several topics; without one, a topic has that of its owner."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        for topic in wanted.properties["Topics"]:
            document = text(wanted.properties["PolicyDocument"])
            call(aws, "sns", "set_topic_attributes", TopicArn=topic, AttributeName="Policy", AttributeValue=document)
        return Made(wanted.name(80), {"Id": wanted.name(80)})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        self._give_up(aws, [topic for topic in before.properties["Topics"] if topic not in after.properties["Topics"]])
        self.create(aws, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        self._give_up(aws, wanted.properties["Topics"])

    def _give_up(self, aws: Aws, topics: list[str]) -> None:
        model = inside(aws, "sns")
        for topic in topics:
            if topic in model.topics:
                own = model.topics[topic]._create_default_topic_policy(
                    aws.region, aws.account, topic.rpartition(":")[2]
                )
                model.topics[topic]._policy_json = own


class Subscription:
    """AWS::SNS::Subscription."""

    _CALL = ("Endpoint", "Protocol", "TopicArn")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = {key: value for key, value in wanted.properties.items() if key in self._CALL}
        its_arn = call(aws, "sns", "subscribe", properties, ReturnSubscriptionArn=True)["SubscriptionArn"]
        self._set(aws, its_arn, self._attributes(wanted))
        return Made(its_arn, {"Arn": its_arn})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = self._attributes(before), self._attributes(after)
        gone = dict.fromkeys(old.keys() - new.keys(), "")
        self._set(aws, made.id, {**gone, **{key: value for key, value in new.items() if old.get(key) != value}})
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sns", "unsubscribe", SubscriptionArn=made.id)

    def _attributes(self, wanted: Wanted) -> dict[str, Any]:
        return without(wanted.properties, *self._CALL)

    def _set(self, aws: Aws, its_arn: str, attributes: Mapping[str, Any]) -> None:
        # What a filter looks at comes before the filter: it decides how the filter is read.
        for name in sorted(attributes, key=lambda name: (name != "FilterPolicyScope", name)):
            members = {"AttributeName": name, "AttributeValue": text(attributes[name])}
            call(aws, "sns", "set_subscription_attributes", SubscriptionArn=its_arn, **members)


MESSAGES: dict[str, Kind] = {
    "AWS::SNS::Subscription": Subscription(),
    "AWS::SNS::Topic": Topic(),
    "AWS::SNS::TopicPolicy": TopicPolicy(),
    "AWS::SQS::Queue": Queue(),
    "AWS::SQS::QueuePolicy": QueuePolicy(),
}
