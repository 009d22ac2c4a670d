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
# What a job needs to know of an event: names and addresses of people, so only for as long as a failure may be mended.
EVENTS, EVENTS_KEPT = "events/", cdk.Duration.days(30)
# The archive of the database on the single host: of use for as long as there is a snapshot to begin from.
ARCHIVE = "wal/"


class Files(Construct):
    """The bucket for uploads and generated files. It holds originals, so only what is said here is ever removed."""

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
                _for("Events", EVENTS, EVENTS_KEPT),
                _for("Archive", ARCHIVE, cdk.Duration.days(protection.backup_days + 1)),
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


def _for(rule: str, prefix: str, time: cdk.Duration) -> s3.LifecycleRule:
    """Removed after that time, and then not kept as an old version either."""
    return s3.LifecycleRule(id=rule, prefix=prefix, expiration=time, noncurrent_version_expiration=cdk.Duration.days(1))
