"""The resource types of background work: functions, queues, topics, streams, rules, schedules, mail and budgets."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import (
    Kept,
    arn,
    call,
    changed,
    inside,
    refuse_change,
    remove,
    tag,
    text,
    without,
)
from workbench.sandbox.kinds.kind import FAILURES, Aws, Kind, Made, Refused, Wanted

# ---- Lambda


class Function:
    """AWS::Lambda::Function: code, configuration, and how many may run at once."""

    forgets: Mapping[str, str] = {
        "DeadLetterConfig": "moto has no place for it",
        "FileSystemConfigs": "moto has no place for it",
        "LoggingConfig": "what a function writes goes to its log group; moto shows nothing of it",
        "SnapStart": "every start is a cold one",
    }
    _CODE = ("Architectures", "Code")
    _APART = (*_CODE, "FunctionName", "ReservedConcurrentExecutions")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("FunctionName") or wanted.name(64)
        properties = without(wanted.properties, *self._APART)
        members = {"Architectures": wanted.properties.get("Architectures", ["x86_64"])}
        code = _code(wanted.properties["Code"], wanted.properties.get("Runtime", ""))
        call(aws, "lambda", "create_function", properties, FunctionName=name, Code=code, **members)
        return self._finish(aws, name, wanted.properties, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after, "ReservedConcurrentExecutions")
        if news.keys() & set(self._CODE):
            code = _code(after.properties["Code"], after.properties.get("Runtime", ""))
            call(aws, "lambda", "update_function_code", FunctionName=made.id, **code)
        if configuration := without(news, *self._APART):
            call(aws, "lambda", "update_function_configuration", configuration, FunctionName=made.id)
        if "ReservedConcurrentExecutions" in before.properties.keys() - after.properties.keys():
            call(aws, "lambda", "delete_function_concurrency", FunctionName=made.id)
        return self._finish(aws, made.id, news, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "lambda", "delete_function", FunctionName=made.id)

    def _follow(self, aws: Aws, name: str, news: Mapping[str, Any]) -> None:
        """What moto reads in no request, or in none that changes a function."""
        function = inside(aws, "lambda").get_function(name)
        if "Architectures" in news:
            function.architectures = news["Architectures"]
        if "EphemeralStorage" in news:
            function.ephemeral_storage = int(news["EphemeralStorage"]["Size"])
        if "KmsKeyArn" in news:
            function.kms_key_arn = news["KmsKeyArn"]
        if "TracingConfig" in news:
            function.tracing_config = news["TracingConfig"]
        if "LogGroup" in news.get("LoggingConfig", {}):
            function.logs_group_name = news["LoggingConfig"]["LogGroup"]

    def _finish(self, aws: Aws, name: str, news: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        self._follow(aws, name, news)
        if "ReservedConcurrentExecutions" in news:
            most = {"ReservedConcurrentExecutions": news["ReservedConcurrentExecutions"]}
            call(aws, "lambda", "put_function_concurrency", most, FunctionName=name)
        its_arn = arn(aws, "lambda", f"function:{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn})


def _code(code: Mapping[str, Any], runtime: str) -> dict[str, Any]:
    """Where the code is; text in the template becomes the one file of an archive."""
    if "ZipFile" not in code:
        return {
            key: value for key, value in code.items() if key in ("ImageUri", "S3Bucket", "S3Key", "S3ObjectVersion")
        }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        # With a date of its own, the same text would not be the same code.
        files.writestr(zipfile.ZipInfo("index.py" if runtime.startswith("python") else "index.js"), code["ZipFile"])
    return {"ZipFile": archive.getvalue()}


class EventSource:
    """AWS::Lambda::EventSourceMapping, which the local AWS works off itself."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        answer = call(aws, "lambda", "create_event_source_mapping", without(wanted.properties))
        self._take_from_moto(aws, wanted)
        return self._made(aws, answer["UUID"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if news := changed(before, after):
            call(aws, "lambda", "update_event_source_mapping", news, UUID=made.id)
            mapping = inside(aws, "lambda").get_event_source_mapping(made.id)
            # What moto's UpdateEventSourceMapping leaves as it was.
            mapping.function_response_types = after.properties.get("FunctionResponseTypes", [])
            mapping.scaling_config = after.properties.get("ScalingConfig")
            mapping.max_batch_window = after.properties.get("MaximumBatchingWindowInSeconds")
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "lambda", "delete_event_source_mapping", UUID=made.id)

    def _take_from_moto(self, aws: Aws, wanted: Wanted) -> None:
        """Moto would run the function in Docker on every message that is sent, and delete the messages: a queue that
        knows of no mapping leaves them to us."""
        for queue in inside(aws, "sqs").queues.values():
            if queue.queue_arn == wanted.properties["EventSourceArn"]:
                queue.lambda_event_source_mappings.clear()

    def _made(self, aws: Aws, its_id: str, before: Wanted | None, after: Wanted) -> Made:
        its_arn = arn(aws, "lambda", f"event-source-mapping:{its_id}")
        now = after.all_tags()
        if gone := sorted(before.all_tags().keys() - now.keys() if before else ()):
            call(aws, "lambda", "untag_resource", Resource=its_arn, TagKeys=gone)
        call(aws, "lambda", "tag_resource", Resource=its_arn, Tags=now)
        return Made(its_id, {"Id": its_id, "EventSourceMappingArn": its_arn})


class Permission:
    """AWS::Lambda::Permission: one statement in the policy of a function."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.name(100)
        call(aws, "lambda", "add_permission", wanted.properties, StatementId=name)
        return Made(name, {"Id": name})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return made  # every property is create-only

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        function = wanted.properties["FunctionName"]
        remove(aws, "lambda", "remove_permission", FunctionName=function, StatementId=made.id)


class Version:
    """AWS::Lambda::Version."""

    forgets: Mapping[str, str] = {
        "ProvisionedConcurrencyConfig": "nothing is kept warm",
        "RuntimePolicy": "functions run with this Python",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = without(wanted.properties, *self.forgets)
        answer = call(aws, "lambda", "publish_version", properties)
        number = answer["Version"]
        its_arn = answer["FunctionArn"].removesuffix(f":{number}") + f":{number}"
        return Made(its_arn, {"FunctionArn": its_arn, "Version": number})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return made  # all that is not create-only is forgotten

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        function = wanted.properties["FunctionName"]
        remove(aws, "lambda", "delete_function", FunctionName=function, Qualifier=made.attributes["Version"])


class Alias:
    """AWS::Lambda::Alias."""

    forgets: Mapping[str, str] = {"ProvisionedConcurrencyConfig": "nothing is kept warm"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        answer = call(aws, "lambda", "create_alias", self._properties(wanted))
        return Made(answer["AliasArn"], {"AliasArn": answer["AliasArn"]})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        call(aws, "lambda", "update_alias", {"RoutingConfig": {}, **self._properties(after)})
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        name, function = wanted.properties["Name"], wanted.properties["FunctionName"]
        remove(aws, "lambda", "delete_alias", FunctionName=function, Name=name)

    def _properties(self, wanted: Wanted) -> dict[str, Any]:
        properties = without(wanted.properties, *self.forgets)
        weights = properties.get("RoutingConfig", {}).get("AdditionalVersionWeights", [])
        if weights:
            by_version = {one["FunctionVersion"]: one["FunctionWeight"] for one in weights}
            properties["RoutingConfig"] = {"AdditionalVersionWeights": by_version}
        return properties


# ---- SQS


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
        properties = self._attributes(wanted)
        fifo = ".fifo" if properties.get("FifoQueue") else ""
        name = wanted.properties.get("QueueName") or wanted.name(80 - len(fifo)) + fifo
        attributes = {key: text(value) for key, value in properties.items()}
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
        return without(wanted.properties, "QueueName", *self.forgets)

    def _made(self, aws: Aws, url: str, before: Wanted | None, after: Wanted) -> Made:
        name = url.rpartition("/")[2]
        its_arn, now = arn(aws, "sqs", name), after.all_tags()
        if gone := sorted(before.all_tags().keys() - now.keys() if before else ()):
            call(aws, "sqs", "untag_queue", QueueUrl=url, TagKeys=gone)
        call(aws, "sqs", "tag_queue", QueueUrl=url, Tags=now)
        return Made(url, {"Arn": its_arn, "QueueName": name, "QueueUrl": url})


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


# ---- SNS


class Topic:
    """AWS::SNS::Topic."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        fifo = ".fifo" if wanted.properties.get("FifoTopic") else ""
        name = wanted.properties.get("TopicName") or wanted.name(256 - len(fifo)) + fifo
        attributes = {key: text(value) for key, value in self._attributes(wanted).items()}
        its_arn = call(aws, "sns", "create_topic", Name=name, Attributes=attributes)["TopicArn"]
        for subscription in wanted.properties.get("Subscription", []):
            call(aws, "sns", "subscribe", subscription, TopicArn=its_arn)
        return self._made(aws, its_arn, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties.get("Subscription") != after.properties.get("Subscription"):
            raise Refused("A change of the property Subscription is not simulated: use AWS::SNS::Subscription")
        old, new = self._attributes(before), self._attributes(after)
        for name in sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)):
            value = text(new.get(name, ""))
            call(aws, "sns", "set_topic_attributes", TopicArn=made.id, AttributeName=name, AttributeValue=value)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sns", "delete_topic", TopicArn=made.id)

    def _attributes(self, wanted: Wanted) -> dict[str, Any]:
        return without(wanted.properties, "TopicName", "Subscription")

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

    _CALL = ("Endpoint", "Protocol", "Region", "TopicArn")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = {key: value for key, value in wanted.properties.items() if key in self._CALL and key != "Region"}
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


# ---- Data Firehose


class Stream:
    """AWS::KinesisFirehose::DeliveryStream, to S3."""

    _ENCRYPTION = "DeliveryStreamEncryptionConfigurationInput"
    _DESTINATIONS: Mapping[str, str] = {
        "ExtendedS3DestinationConfiguration": "ExtendedS3DestinationUpdate",
        "S3DestinationConfiguration": "S3DestinationUpdate",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("DeliveryStreamName") or wanted.name(64)
        properties = without(wanted.properties, "DeliveryStreamName")
        call(aws, "firehose", "create_delivery_stream", properties, DeliveryStreamName=name)
        return self._made(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after, self._ENCRYPTION)
        refuse_change(before, after, self._ENCRYPTION, *self._DESTINATIONS)
        for property, update in self._DESTINATIONS.items():
            if property in news:
                now = call(aws, "firehose", "describe_delivery_stream", DeliveryStreamName=made.id)
                found = now["DeliveryStreamDescription"]
                members = {
                    "DeliveryStreamName": made.id,
                    "CurrentDeliveryStreamVersionId": found["VersionId"],
                    "DestinationId": found["Destinations"][0]["DestinationId"],
                }
                call(aws, "firehose", "update_destination", {update: news[property]}, **members)
        if self._ENCRYPTION in news:
            encryption = {self._ENCRYPTION: news[self._ENCRYPTION]}
            call(aws, "firehose", "start_delivery_stream_encryption", encryption, DeliveryStreamName=made.id)
        elif self._ENCRYPTION in before.properties and self._ENCRYPTION not in after.properties:
            call(aws, "firehose", "stop_delivery_stream_encryption", DeliveryStreamName=made.id)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "firehose", "delete_delivery_stream", DeliveryStreamName=made.id)

    def _made(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        its_arn = arn(aws, "firehose", f"deliverystream/{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn})


# ---- EventBridge


class Rule:
    """AWS::Events::Rule: a rule, and where it sends what it catches."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("Name") or wanted.name(64)
        return self._put(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        name = made.id.rpartition("|")[2]
        ids = {target["Id"] for target in after.properties.get("Targets", [])}
        if gone := sorted({target["Id"] for target in before.properties.get("Targets", [])} - ids):
            call(aws, "events", "remove_targets", Rule=name, Ids=gone, **self._bus(after))
        return self._put(aws, name, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        name, bus = made.id.rpartition("|")[2], self._bus(wanted)
        if ids := [target["Id"] for target in wanted.properties.get("Targets", [])]:
            remove(aws, "events", "remove_targets", Rule=name, Ids=ids, **bus)
        remove(aws, "events", "delete_rule", Name=name, **bus)

    def _bus(self, wanted: Wanted) -> dict[str, str]:
        return {"EventBusName": wanted.properties["EventBusName"]} if "EventBusName" in wanted.properties else {}

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        properties = without(after.properties, "Name", "Targets")
        its_arn = call(aws, "events", "put_rule", properties, Name=name)["RuleArn"]
        if after.properties.get("Targets"):
            targets = {"Targets": after.properties["Targets"]}
            answer = call(aws, "events", "put_targets", targets, Rule=name, **self._bus(after))
            if answer["FailedEntryCount"]:
                raise Refused("; ".join(entry["ErrorMessage"] for entry in answer["FailedEntries"]))
        tag(aws, its_arn, before, after)
        bus = after.properties.get("EventBusName", "default").rpartition("/")[2]
        return Made(name if bus == "default" else f"{bus}|{name}", {"Arn": its_arn})


class Schedule:
    """AWS::Scheduler::Schedule."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, "create_schedule", wanted.properties.get("Name") or wanted.name(64), wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self._put(aws, "update_schedule", made.id, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        remove(aws, "scheduler", "delete_schedule", Name=made.id, GroupName=self._group(wanted))

    def _put(self, aws: Aws, operation: str, name: str, wanted: Wanted) -> Made:
        properties = without(wanted.properties, "Name", "GroupName")
        call(aws, "scheduler", operation, properties, Name=name, GroupName=self._group(wanted))
        return Made(name, {"Arn": arn(aws, "scheduler", f"schedule/{self._group(wanted)}/{name}")})

    def _group(self, wanted: Wanted) -> str:
        return str(wanted.properties.get("GroupName", "default"))


class ScheduleGroup:
    """AWS::Scheduler::ScheduleGroup; only tags of it ever change."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("Name") or wanted.name(64)
        its_arn = call(aws, "scheduler", "create_schedule_group", Name=name)["ScheduleGroupArn"]
        return self.update(aws, Made(name, {"Arn": its_arn}), wanted, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        now, which = after.all_tags(), {"ResourceArn": made.attributes["Arn"]}
        if gone := sorted(before.all_tags().keys() - now.keys()):
            call(aws, "scheduler", "untag_resource", **which, TagKeys=gone)
        call(aws, "scheduler", "tag_resource", {"Tags": now}, **which)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "scheduler", "delete_schedule_group", Name=made.id)


# ---- Mail


class MailRules:
    """AWS::SES::ConfigurationSet; moto has no call that changes one, so it is written again under its name."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, wanted.properties.get("Name") or wanted.name(64), None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        sets = inside(aws, "sesv2").core_backend.config_sets
        old = sets.pop(made.id)
        try:
            return self._put(aws, made.id, before, after)
        except FAILURES:
            sets[made.id] = old
            raise

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sesv2", "delete_configuration_set", ConfigurationSetName=made.id)

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        properties = without(after.properties, "Name")
        call(aws, "sesv2", "create_configuration_set", properties, ConfigurationSetName=name)
        tag(aws, arn(aws, "ses", f"configuration-set/{name}"), before, after)
        return Made(name, {})


class MailIdentity:
    """AWS::SES::EmailIdentity; moto has none of the calls that change one, so its model is changed."""

    forgets: Mapping[str, str] = {
        "DkimAttributes": "no mail is signed",
        "FeedbackAttributes": "no mail comes back",
        "MailFromAttributes": "no mail is sent, so none has a sender's domain",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties["EmailIdentity"]
        properties = without(wanted.properties, "ConfigurationSetAttributes", *self.forgets)
        call(aws, "sesv2", "create_email_identity", {**properties, **self._rules(wanted)})
        return self._made(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        refuse_change(before, after, "ConfigurationSetAttributes", *self.forgets)
        identity = inside(aws, "sesv2").core_backend.email_identities[made.id]
        identity.configuration_set_name = self._rules(after).get("ConfigurationSetName")
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sesv2", "delete_email_identity", EmailIdentity=made.id)

    def _rules(self, wanted: Wanted) -> dict[str, str]:
        return dict(wanted.properties.get("ConfigurationSetAttributes", {}))

    def _made(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        tag(aws, arn(aws, "ses", f"identity/{name}"), before, after)
        attributes = {}
        for number in (1, 2, 3):  # the records by which others check signatures
            token = hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:32]
            attributes[f"DkimDNSTokenName{number}"] = f"{token}._domainkey.{name}"
            attributes[f"DkimDNSTokenValue{number}"] = f"{token}.dkim.amazonses.com"
        return Made(name, attributes)


def _mail_outcomes(aws: Aws, wanted: Wanted) -> Made:
    rules = wanted.properties["ConfigurationSetName"]
    call(aws, "sesv2", "get_configuration_set", ConfigurationSetName=rules)  # refuses where there is no such set
    name = wanted.properties["EventDestination"].get("Name") or wanted.name(64)
    return Made(f"{rules}|{name}", {"Id": f"{rules}|{name}"})


# ---- Budgets


class Budget:
    """AWS::Budgets::Budget; moto has no UpdateBudget, so a changed budget is written again under its name."""

    forgets: Mapping[str, str] = {
        "NotificationsWithSubscribers.Subscribers": "moto stores who is told, and shows it nowhere",
        "ResourceTags": "moto's budgets take no tags",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        budget = {"BudgetName": wanted.name(100), **wanted.properties["Budget"]}
        properties = {**without(wanted.properties, "ResourceTags"), "Budget": budget}
        call(aws, "budgets", "create_budget", properties, AccountId=aws.account)
        return Made(budget["BudgetName"], {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties != after.properties:
            budgets = inside(aws, "budgets").budgets[aws.account]
            old = budgets.pop(made.id)
            try:
                self.create(aws, after)
            except FAILURES:
                budgets[made.id] = old
                raise
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "budgets", "delete_budget", AccountId=aws.account, BudgetName=made.id)


WORK: dict[str, Kind] = {
    "AWS::Budgets::Budget": Budget(),
    "AWS::Events::Rule": Rule(),
    "AWS::KinesisFirehose::DeliveryStream": Stream(),
    "AWS::Lambda::Alias": Alias(),
    "AWS::Lambda::EventSourceMapping": EventSource(),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Lambda::Version": Version(),
    "AWS::SES::ConfigurationSet": MailRules(),
    "AWS::SES::ConfigurationSetEventDestination": Kept(
        "sesv2", "moto has no event destinations that send to EventBridge", _mail_outcomes
    ),
    "AWS::SES::EmailIdentity": MailIdentity(),
    "AWS::SNS::Subscription": Subscription(),
    "AWS::SNS::Topic": Topic(),
    "AWS::SNS::TopicPolicy": TopicPolicy(),
    "AWS::SQS::Queue": Queue(),
    "AWS::SQS::QueuePolicy": QueuePolicy(),
    "AWS::Scheduler::Schedule": Schedule(),
    "AWS::Scheduler::ScheduleGroup": ScheduleGroup(),
}
