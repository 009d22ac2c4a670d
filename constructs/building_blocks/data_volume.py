"""Where PostgreSQL keeps its files while it runs on a host: a disk that outlives the host."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.keeping import keep

VOLUME_TAG = "shop:data-volume"


class DataVolume(Construct):
    """An encrypted disk that the host's boot script finds by its tag; no attachment here, it would block a new host."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment_name: str,
        gib: int,
        availability_zone: str,
        key: kms.IKey,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        self.volume = ec2.Volume(
            self,
            "Volume",
            availability_zone=availability_zone,
            size=cdk.Size.gibibytes(gib),
            volume_type=ec2.EbsDeviceVolumeType.GP3,
            encrypted=True,
            encryption_key=key,
        )
        cdk.Tags.of(self.volume).add(VOLUME_TAG, environment_name)
        keep(self.volume, protection)  # not as a snapshot: a volume that a host still holds cannot be deleted
