"""What people upload and what the shop writes for them: kept outside the hosts, so that any host can serve it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.buckets import PrivateBucket

# Half-finished work: chunks of an import, an archive that somebody asked for and has fetched long ago.
TEMPORARY = "tmp/"


class Files(Construct):
    """The bucket for uploads and generated files. It holds originals, so only `tmp/` is ever emptied by itself."""

    def __init__(
        self, scope: Construct, construct_id: str, *, key: kms.IKey, logs: s3.IBucket, protection: Protection
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = PrivateBucket(
            self,
            "Private",
            key=key,
            logs=logs,
            protection=protection,
            rules=[
                s3.LifecycleRule(id="Temporary", prefix=TEMPORARY, expiration=cdk.Duration.days(1)),
                # Last quarter's pictures are rarely opened. Small objects stay: they would cost more there.
                s3.LifecycleRule(
                    id="RarelyRead",
                    object_size_greater_than=128 * 1024,
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=cdk.Duration.days(90)
                        )
                    ],
                ),
            ],
        ).bucket
