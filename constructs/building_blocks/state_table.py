"""What the jobs remember between two attempts: which event is done, and which mail may have been sent."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.keeping import keep

KEY = "id"
EXPIRES = "expires_at"  # seconds since 1970; DynamoDB removes the item within days after it


class StateTable(Construct):
    """One item a job and event. On demand: a flash sale must not wait for capacity, and a quiet night costs nothing.

    A table of one region; the newer kind of table resource is for several, and fewer rules and tools read it.
    """

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey, protection: Protection) -> None:
        super().__init__(scope, construct_id)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name=KEY, type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=EXPIRES,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True,
                recovery_period_in_days=min(protection.backup_days, 35),  # 35 is DynamoDB's limit
            ),
            deletion_protection=protection.deletion_protection,
        )
        keep(self.table, protection)
