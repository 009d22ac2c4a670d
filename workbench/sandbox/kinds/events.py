"""EventBridge with its scheduler, and Data Firehose."""

from __future__ import annotations

from workbench.sandbox.kinds.calls import arn, call, changed, refuse_change, refuse_unknown, remove, tag, without
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted


class Stream:
    """AWS::KinesisFirehose::DeliveryStream, to S3."""

    _ENCRYPTION = "DeliveryStreamEncryptionConfigurationInput"
    _DESTINATION = "ExtendedS3DestinationConfiguration"

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("DeliveryStreamName") or wanted.name(64)
        properties = without(wanted.properties, "DeliveryStreamName")
        call(aws, "firehose", "create_delivery_stream", properties, DeliveryStreamName=name)
        return self._made(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after)
        refuse_change(before, after, self._ENCRYPTION, self._DESTINATION)
        if self._DESTINATION in news:
            now = call(aws, "firehose", "describe_delivery_stream", DeliveryStreamName=made.id)
            found = now["DeliveryStreamDescription"]
            members = {
                "DeliveryStreamName": made.id,
                "CurrentDeliveryStreamVersionId": found["VersionId"],
                "DestinationId": found["Destinations"][0]["DestinationId"],
            }
            destination = {"ExtendedS3DestinationUpdate": news[self._DESTINATION]}
            call(aws, "firehose", "update_destination", destination, **members)
        if self._ENCRYPTION in news:
            encryption = {self._ENCRYPTION: news[self._ENCRYPTION]}
            call(aws, "firehose", "start_delivery_stream_encryption", encryption, DeliveryStreamName=made.id)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "firehose", "delete_delivery_stream", DeliveryStreamName=made.id)

    def _made(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        its_arn = arn(aws, "firehose", f"deliverystream/{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn})


class Rule:
    """AWS::Events::Rule of the default bus: a rule, and where it sends what it catches."""

    _KNOWN = ("Description", "EventPattern", "Name", "State", "Targets")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, wanted.properties.get("Name") or wanted.name(64), None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        ids = {target["Id"] for target in after.properties.get("Targets", [])}
        if gone := sorted({target["Id"] for target in before.properties.get("Targets", [])} - ids):
            call(aws, "events", "remove_targets", Rule=made.id, Ids=gone)
        return self._put(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        if ids := [target["Id"] for target in wanted.properties.get("Targets", [])]:
            remove(aws, "events", "remove_targets", Rule=made.id, Ids=ids)
        remove(aws, "events", "delete_rule", Name=made.id)

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        refuse_unknown(after, *self._KNOWN)
        its_arn = call(aws, "events", "put_rule", without(after.properties, "Name", "Targets"), Name=name)["RuleArn"]
        if after.properties.get("Targets"):
            answer = call(aws, "events", "put_targets", {"Targets": after.properties["Targets"]}, Rule=name)
            if answer["FailedEntryCount"]:
                raise Refused("; ".join(entry["ErrorMessage"] for entry in answer["FailedEntries"]))
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn})


class Schedule:
    """AWS::Scheduler::Schedule of the default group; nothing starts it here."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, "create_schedule", wanted.properties.get("Name") or wanted.name(64), wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self._put(aws, "update_schedule", made.id, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "scheduler", "delete_schedule", Name=made.id)

    def _put(self, aws: Aws, operation: str, name: str, wanted: Wanted) -> Made:
        if "GroupName" in wanted.properties:
            raise Refused(f"The local AWS does not know the property GroupName of {wanted.type}")
        call(aws, "scheduler", operation, without(wanted.properties, "Name"), Name=name)
        return Made(name, {"Arn": arn(aws, "scheduler", f"schedule/default/{name}")})


EVENTS: dict[str, Kind] = {
    "AWS::Events::Rule": Rule(),
    "AWS::KinesisFirehose::DeliveryStream": Stream(),
    "AWS::Scheduler::Schedule": Schedule(),
}
