"""The one customer-managed key of an environment, and which services may use it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.keeping import keep

# Services that act on their own, without a role of ours, on something encrypted with the key.
USING_SERVICES = (
    "budgets.amazonaws.com",  # publishes to the alert topic
    "cloudwatch.amazonaws.com",  # alarms publish to the alert topic
    "events.amazonaws.com",
    "sns.amazonaws.com",  # fans out to encrypted queues
    "delivery.logs.amazonaws.com",
)


class Encryption(Construct):
    """A rotating key whose policy is complete from the first stage on, so that no later stage changes it."""

    def __init__(self, scope: Construct, construct_id: str, *, protection: Protection) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        self.key = kms.Key(
            self,
            "Key",
            description="Encrypts what this environment stores",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(30 if protection.keep_data else 7),
        )
        keep(self.key, protection)
        use = ["kms:Decrypt", "kms:GenerateDataKey*"]
        for service in USING_SERVICES:
            self._allow(service, use, {"StringEquals": {"aws:SourceAccount": stack.account}})
        self._allow(
            f"logs.{stack.region}.amazonaws.com",
            [*use, "kms:Encrypt", "kms:ReEncrypt*", "kms:Describe*"],
            {
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                        service="logs", resource="*", arn_format=cdk.ArnFormat.NO_RESOURCE_NAME
                    )
                }
            },
        )
        distributions = stack.format_arn(service="cloudfront", region="", resource="distribution", resource_name="*")
        self._allow("cloudfront.amazonaws.com", ["kms:Decrypt"], {"ArnLike": {"aws:SourceArn": distributions}})

    def _allow(self, service: str, actions: list[str], conditions: dict[str, dict[str, str]]) -> None:
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=actions, principals=[iam.ServicePrincipal(service)], resources=["*"], conditions=conditions
            )
        )
