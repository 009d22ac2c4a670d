"""The most that any role of an environment may ever do, whatever its own policy says."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from building_blocks.acknowledged import acknowledge

# The services that the application, its hosts and its upkeep talk to.
SERVICES = (
    *("autoscaling", "backup", "cloudformation", "cloudwatch", "dynamodb", "ec2", "ec2messages", "elasticache"),
    *("elasticloadbalancing", "events", "firehose", "kms", "lambda", "logs", "rds", "rds-db", "s3", "secretsmanager"),
    *("ses", "sns", "sqs", "ssm", "ssmmessages", "tag", "xray"),
)
# Ways to more rights, to other accounts, or to the account itself. Denied in so many words: what is merely not
# allowed here could still be given by a policy on the other side, such as another role's trust.
NEVER = ("account:*", "billing:*", "iam:*", "organizations:*", "payments:*", "sts:AssumeRole*", "tax:*")
# What AWS keeps in one place for all regions answers from here.
GLOBAL_REGION = "us-east-1"


class Boundary(Construct):
    """A policy that gives nothing: a role that carries it may do what both this and its own policies allow.

    It names no resources, because each role's own policy does; it holds what a mistake there must not open.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        regions: Sequence[str] = sorted({cdk.Stack.of(self).region, GLOBAL_REGION})
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            description="The most that any role of this environment may do",
            statements=[
                iam.PolicyStatement(
                    actions=[f"{service}:*" for service in SERVICES],
                    resources=["*"],
                    # If it exists: logins to databases and caches do not say for which region they are.
                    conditions={"StringEqualsIfExists": {"aws:RequestedRegion": regions}},
                ),
                iam.PolicyStatement(effect=iam.Effect.DENY, actions=list(NEVER), resources=["*"]),
            ],
        )
        acknowledge(
            self.policy,
            "IAM5[Resource::*]",
            *(f"IAM5[Action::{service}:*]" for service in SERVICES),
            because="A boundary gives no right; every role names its own actions and resources below it.",
        )
