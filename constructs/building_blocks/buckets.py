"""Private storage: nobody from outside, nothing over plain HTTP, every version kept for a while."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge
from building_blocks.keeping import keep

# Where each kind of log begins in a LogBucket; the bucket's policy lets each service write there only.
BUCKET_LOGS = "buckets"
LOAD_BALANCER_LOGS = "load-balancer"

# How long an overwritten or deleted object can be brought back, and an upload that never ended is paid for.
OLD_VERSIONS = cdk.Duration.days(30)
UNFINISHED_UPLOADS = cdk.Duration.days(7)


class PrivateBucket(Construct):
    """A bucket for what is worth keeping, encrypted with `key`. Who may read or write is said with its grants.

    `logs` is a LogBucket, or any bucket that lets S3 deliver access logs under `buckets/`: the target's policy is not
    touched from here. `rules` come on top of the two that every bucket has.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        logs: s3.IBucket,
        protection: Protection,
        rules: Sequence[s3.LifecycleRule] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,  # one call to the key for many objects: what would be the biggest part of the bill
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[_housekeeping(), *rules],
        )
        # On the resource itself, because the construct would warn that it cannot change an imported bucket's policy.
        resource = self.bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=logs.bucket_name, log_file_prefix=f"{BUCKET_LOGS}/{self.node.path}/"
        )
        keep(self.bucket, protection)


class LogBucket(Construct):
    """Where other services leave their access logs; its policy is complete, so nothing has to change it later.

    S3 and load balancers deliver only to a bucket with Amazon's own encryption. `accepts_acls` is for CloudFront's
    standard logs, which are still handed over by an access control list.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, protection: Protection, accepts_acls: bool = False
    ) -> None:
        super().__init__(scope, construct_id)
        ownership = s3.ObjectOwnership
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=ownership.BUCKET_OWNER_PREFERRED if accepts_acls else ownership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[
                _housekeeping(),
                s3.LifecycleRule(id="Forget", expiration=cdk.Duration.days(protection.log_days)),
            ],
        )
        keep(self.bucket, protection)
        acknowledge(
            self.bucket,
            "S1",
            because="A log of deliveries into the log bucket would itself be delivered there, for ever.",
        )
        account = cdk.Stack.of(self).account
        self._let("logging.s3", f"{BUCKET_LOGS}/*", {"StringEquals": {"aws:SourceAccount": account}})
        # The account is in the path instead of a condition: load balancers do not always say whom they deliver for.
        self._let("logdelivery.elasticloadbalancing", f"{LOAD_BALANCER_LOGS}/AWSLogs/{account}/*", {})

    def _let(self, service: str, objects: str, conditions: dict[str, dict[str, str]]) -> None:
        self.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject"],
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                resources=[self.bucket.arn_for_objects(objects)],
                conditions=conditions,
            )
        )


def _housekeeping() -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="Housekeeping",
        abort_incomplete_multipart_upload_after=UNFINISHED_UPLOADS,
        noncurrent_version_expiration=OLD_VERSIONS,
    )
