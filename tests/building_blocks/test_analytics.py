"""The analytics stream: files by day, encrypted in flight and at rest, and an alarm when they stop."""

from __future__ import annotations

from typing import Any

import pytest

from building_blocks.analytics import Analytics
from tests.building_blocks.alone import CAREFUL, Template, only, resources, synth_alone


@pytest.fixture(scope="module")
def template() -> Template:
    return synth_alone(
        lambda stack, theirs: Analytics(
            stack, "Analytics", key=theirs.key, logs=theirs.logs, protection=CAREFUL, alerts=theirs.alerts
        )
    )


@pytest.fixture(scope="module")
def destination(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = only(template, "AWS::KinesisFirehose::DeliveryStream")["ExtendedS3DestinationConfiguration"]
    return found


def test_events_become_compressed_files_by_day(destination: dict[str, Any]) -> None:
    assert destination["CompressionFormat"] == "GZIP"
    assert destination["Prefix"].startswith("events/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}")
    assert destination["BufferingHints"] == {"IntervalInSeconds": 300, "SizeInMBs": 64}


def test_what_could_not_be_delivered_lies_apart_and_is_logged(template: Template, destination: dict[str, Any]) -> None:
    assert destination["ErrorOutputPrefix"].startswith("failed/!{firehose:error-output-type}/")
    logging = destination["CloudWatchLoggingOptions"]
    assert logging["Enabled"] is True
    assert logging["LogGroupName"]["Ref"] in resources(template, "AWS::Logs::LogGroup")
    assert logging["LogStreamName"]["Ref"] in resources(template, "AWS::Logs::LogStream")


def test_stream_and_files_are_encrypted_with_the_given_key(template: Template, destination: dict[str, Any]) -> None:
    stream = only(template, "AWS::KinesisFirehose::DeliveryStream")
    encryption = stream["DeliveryStreamEncryptionConfigurationInput"]
    assert encryption["KeyType"] == "CUSTOMER_MANAGED_CMK"
    assert encryption["KeyARN"]["Fn::GetAtt"][0].startswith("TheirKey")
    files = destination["EncryptionConfiguration"]["KMSEncryptionConfig"]["AWSKMSKeyARN"]
    assert files["Fn::GetAtt"][0].startswith("TheirKey")
    assert "DeliveryStreamName" not in stream


def test_the_stream_waits_for_its_rights(template: Template) -> None:
    [stream] = resources(template, "AWS::KinesisFirehose::DeliveryStream").values()
    assert set(resources(template, "AWS::IAM::Policy")) <= set(stream["DependsOn"])


def test_the_role_writes_to_its_own_bucket_and_log_only(template: Template) -> None:
    statements = only(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert {action for one in statements for action in [one["Action"]] if isinstance(action, str)} == {
        "logs:PutLogEvents"
    }
    assert "*" not in [one["Resource"] for one in statements]
    assert all("*" not in action for one in statements for action in one["Action"])


def test_somebody_is_told_when_events_no_longer_arrive(template: Template) -> None:
    alarm = only(template, "AWS::CloudWatch::Alarm")
    assert (alarm["MetricName"], alarm["Threshold"]) == ("DeliveryToS3.DataFreshness", 900)
    assert alarm["Dimensions"][0]["Value"]["Ref"] in resources(template, "AWS::KinesisFirehose::DeliveryStream")
