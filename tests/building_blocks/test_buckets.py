"""Buckets: closed, encrypted, logged, and with an end for what nobody needs."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from blueprint.parts import Protection
from building_blocks.buckets import LogBucket, PrivateBucket
from tests.building_blocks.alone import ACCOUNT, CAREFUL, CARELESS, Template, only, resources, synth_alone


@pytest.fixture(scope="module")
def private() -> Template:
    return synth_alone(
        lambda stack, theirs: PrivateBucket(stack, "Papers", key=theirs.key, logs=theirs.logs, protection=CAREFUL)
    )


@pytest.fixture(scope="module")
def logs() -> Template:
    return synth_alone(lambda stack, _: LogBucket(stack, "Logs", protection=CAREFUL))


def statements(template: Template) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = only(template, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    return found


def test_a_private_bucket_uses_the_given_key_once_for_many_objects(private: Template) -> None:
    [rule] = only(private, "AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]["Fn::GetAtt"][0].startswith("TheirKey")
    assert rule["BucketKeyEnabled"] is True


@pytest.mark.parametrize("template", ["private", "logs"])
def test_no_bucket_can_be_opened_to_the_public(template: str, request: pytest.FixtureRequest) -> None:
    bucket = only(request.getfixturevalue(template), "AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


@pytest.mark.parametrize("template", ["private", "logs"])
def test_every_bucket_refuses_plain_http(template: str, request: pytest.FixtureRequest) -> None:
    first = statements(request.getfixturevalue(template))[0]
    assert (first["Effect"], first["Action"]) == ("Deny", "s3:*")
    assert first["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_private_bucket_says_who_read_it_without_touching_the_target(private: Template) -> None:
    assert only(private, "AWS::S3::Bucket")["LoggingConfiguration"] == {
        "DestinationBucketName": "their-access-logs",
        "LogFilePrefix": "buckets/Foreign/Papers/",
    }
    assert len(statements(private)) == 1


def test_old_versions_and_unfinished_uploads_end(private: Template) -> None:
    [rule] = only(private, "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert "ExpirationInDays" not in rule


def test_further_rules_come_on_top() -> None:
    template = synth_alone(
        lambda stack, theirs: PrivateBucket(
            stack,
            "Papers",
            key=theirs.key,
            logs=theirs.logs,
            protection=CAREFUL,
            rules=[s3.LifecycleRule(id="More", prefix="x/", expiration=cdk.Duration.days(1))],
        )
    )
    rules = only(template, "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert [rule["Id"] for rule in rules] == ["Housekeeping", "More"]


def test_s3_and_load_balancers_may_deliver_logs_of_this_account_only(logs: Template) -> None:
    s3_logs, balancer_logs = statements(logs)[1:]
    assert s3_logs["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert s3_logs["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert s3_logs["Resource"]["Fn::Join"][1][1] == "/buckets/*"
    assert balancer_logs["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert balancer_logs["Resource"]["Fn::Join"][1][1] == f"/load-balancer/AWSLogs/{ACCOUNT}/*"
    assert s3_logs["Action"] == balancer_logs["Action"] == "s3:PutObject"


def test_a_log_bucket_has_the_only_encryption_that_both_can_deliver_to(logs: Template) -> None:
    [rule] = only(logs, "AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


@pytest.mark.parametrize(("protection", "days", "policy"), [(CAREFUL, 365, "Retain"), (CARELESS, 7, "Delete")])
def test_logs_are_forgotten_after_the_days_of_the_protection(protection: Protection, days: int, policy: str) -> None:
    template = synth_alone(lambda stack, _: LogBucket(stack, "Logs", protection=protection))
    [bucket] = resources(template, "AWS::S3::Bucket").values()
    assert bucket["Properties"]["LifecycleConfiguration"]["Rules"][1]["ExpirationInDays"] == days
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == (policy, "Retain")


@pytest.mark.parametrize(("accepts", "ownership"), [(False, "BucketOwnerEnforced"), (True, "BucketOwnerPreferred")])
def test_access_control_lists_are_accepted_only_where_asked(accepts: bool, ownership: str) -> None:
    template = synth_alone(lambda stack, _: LogBucket(stack, "Logs", protection=CAREFUL, accepts_acls=accepts))
    assert only(template, "AWS::S3::Bucket")["OwnershipControls"] == {"Rules": [{"ObjectOwnership": ownership}]}
