"""A Python function with a role of its own, as worker and rotation need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.logs import log_group
from building_blocks.vendored import LOCK, Bundle


class PythonFunction(Construct):
    """Runs `handler.handler` of a folder. It may write its log and traces; every further right is a `may` sentence.

    `concurrency` is reserved where the profile says so: then it is the limit, and no other function can take it away.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        code: Path,
        timeout_seconds: int,
        memory_mib: int,
        concurrency: int,
        environment: Mapping[str, str],
        key: kms.IKey,
        protection: Protection,
        dead_letter_queue: sqs.IQueue | None = None,
        dead_letter_topic: sns.ITopic | None = None,
        vpc: ec2.IVpc | None = None,
        subnets: ec2.SubnetSelection | None = None,
        security_group: ec2.ISecurityGroup | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        logs = log_group(self, "Logs", key=key, protection=protection)
        self.role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"), description=description
        )
        self.may(["logs:CreateLogStream", "logs:PutLogEvents"], [logs.log_group_arn])
        self.may(["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])
        if vpc is not None:
            self.may(
                [
                    "ec2:CreateNetworkInterface",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSubnets",
                    "ec2:AssignPrivateIpAddresses",
                    "ec2:UnassignPrivateIpAddresses",
                ],
                ["*"],
            )
        acknowledge(
            self.role,
            "IAM5[Resource::*]",
            because="Traces, network interfaces made on demand and random passwords are actions without a resource.",
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            code=self._code(code),
            handler="handler.handler",
            role=self.role,
            timeout=cdk.Duration.seconds(timeout_seconds),
            memory_size=memory_mib,
            reserved_concurrent_executions=concurrency if protection.reserve_concurrency else None,
            environment=dict(environment),
            environment_encryption=key,
            log_group=logs,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            dead_letter_queue=dead_letter_queue,
            dead_letter_topic=dead_letter_topic,
            vpc=vpc,
            vpc_subnets=subnets,
            security_groups=[security_group] if security_group is not None else None,
        )

    def _code(self, folder: Path) -> lambda_.Code:
        """The folder; one that locks packages gets them too, and `jobs`, the package that stands beside it."""
        if not (folder / LOCK).exists():
            return lambda_.Code.from_asset(str(folder), exclude=["__pycache__", "*.pyc"])
        bundle = Bundle({"": folder, "jobs": folder.parent / "jobs"}, packages="")
        return lambda_.Code.from_asset(str(folder), asset_hash=bundle.fingerprint, bundling=bundle.options(self))

    def may(
        self,
        actions: Sequence[str],
        resources: Sequence[str],
        *,
        because: str = "Names below this prefix are made at run time.",
    ) -> None:
        """Allow `actions` on `resources`; `because` says why a resource ends in a wildcard, if one does."""
        if not resources:
            return
        self.role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources)))
        for arn in resources:
            if arn.endswith("/*"):
                acknowledge(self.role, wildcard(self, arn), because=because)
