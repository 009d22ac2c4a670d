"""What people do in the shop, as files that a query engine can read."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.alerts import alarm
from building_blocks.buckets import PrivateBucket
from building_blocks.keeping import keep
from building_blocks.logs import log_group

# Days as query engines name partitions. What could not be delivered lies apart.
EVENTS = "events/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/"
FAILED = "failed/!{firehose:error-output-type}/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/"
# A file every five minutes or every 64 MiB: fresh enough for a report, large enough to read cheaply.
BUFFER_SECONDS = 300
BUFFER_MIB = 64


class Analytics(Construct):
    """A delivery stream that gathers events into compressed files by day. The lowest level, for its exact role."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        logs: s3.IBucket,
        protection: Protection,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        cold = s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=cdk.Duration.days(90))
        self.bucket = PrivateBucket(
            self,
            "Private",
            key=key,
            logs=logs,
            protection=protection,
            rules=[s3.LifecycleRule(id="LastQuarter", prefix="events/", transitions=[cold])],
        ).bucket
        failures = log_group(self, "Failures", key=key, protection=protection)
        stream = failures.add_stream("Deliveries")
        keep(stream, protection)
        role = self._role(key, failures.log_group_arn)
        self.stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=(
                firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
                    key_type="CUSTOMER_MANAGED_CMK", key_arn=key.key_arn
                )
            ),
            extended_s3_destination_configuration=firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty(
                bucket_arn=self.bucket.bucket_arn,
                role_arn=role.role_arn,
                prefix=EVENTS,
                error_output_prefix=FAILED,
                compression_format="GZIP",
                buffering_hints=firehose.CfnDeliveryStream.BufferingHintsProperty(
                    interval_in_seconds=BUFFER_SECONDS, size_in_m_bs=BUFFER_MIB
                ),
                encryption_configuration=firehose.CfnDeliveryStream.EncryptionConfigurationProperty(
                    kms_encryption_config=firehose.CfnDeliveryStream.KMSEncryptionConfigProperty(
                        awskms_key_arn=key.key_arn
                    )
                ),
                cloud_watch_logging_options=firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty(
                    enabled=True, log_group_name=failures.log_group_name, log_stream_name=stream.log_stream_name
                ),
            ),
        )
        # A stream checks at its birth what its role may do.
        self.stream.node.add_dependency(role)
        self.stream_arn, self.stream_name = self.stream.attr_arn, self.stream.ref
        self._alarm(alerts)

    def _role(self, key: kms.IKey, failures_arn: str) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("firehose.amazonaws.com"),
            description="Delivers analytics events to their bucket",
        )
        objects = self.bucket.arn_for_objects("*")
        for actions, resource in (
            (["s3:PutObject", "s3:AbortMultipartUpload"], objects),
            (["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], self.bucket.bucket_arn),
            (["kms:Decrypt", "kms:GenerateDataKey"], key.key_arn),
            (["logs:PutLogEvents"], failures_arn),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
        acknowledge(role, wildcard(self, objects), because="The stream owns this bucket and names its files by time.")
        return role

    def _alarm(self, alerts: sns.ITopic) -> None:
        alarm(
            self,
            "Stale",
            metric=cloudwatch.Metric(
                namespace="AWS/Firehose",
                metric_name="DeliveryToS3.DataFreshness",
                dimensions_map={"DeliveryStreamName": self.stream_name},
                statistic="Maximum",
                period=cdk.Duration.minutes(1),
            ),
            threshold=3 * BUFFER_SECONDS,
            minutes=5,
            meaning="Events wait three times as long as a file takes: deliveries fail, and after a day they are lost",
            alerts=alerts,
        )
