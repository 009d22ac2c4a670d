"""What the application's hosts may do in the account: the same role for the single host and for the fleet."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.data_volume import VOLUME_TAG


class HostRole(Construct):
    """A role with exact rights; each further right is given by one `may_...` sentence in the stack."""

    def __init__(
        self, scope: Construct, construct_id: str, *, environment_name: str, key: kms.IKey, app_logs: logs.ILogGroup
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description="Hosts that run the application",
        )
        self._environment_name = environment_name
        self._stack = cdk.Stack.of(self)
        # Session Manager and Patch Manager; these actions know no resource.
        self._may(
            [
                "ssm:UpdateInstanceInformation",
                "ssm:UpdateInstanceAssociationStatus",
                "ssm:UpdateAssociationStatus",
                "ssm:ListAssociations",
                "ssm:ListInstanceAssociations",
                "ssm:DescribeAssociation",
                "ssm:DescribeDocument",
                "ssm:GetDocument",
                "ssm:GetDeployablePatchSnapshotForInstance",
                "ssm:PutComplianceItems",
                "ssm:PutInventory",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
                "ec2messages:AcknowledgeMessage",
                "ec2messages:DeleteMessage",
                "ec2messages:FailMessage",
                "ec2messages:GetEndpoint",
                "ec2messages:GetMessages",
                "ec2messages:SendReply",
            ],
            ["*"],
        )
        self._may(["cloudwatch:PutMetricData"], ["*"], {"StringLike": {"cloudwatch:namespace": "Shop*"}})
        self._may(
            ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            [app_logs.log_group_arn],
        )
        self._may(["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"], [self._parameters("*")])
        # Hosts say where rows and files are: the database once and for all, the files when a fleet needs them together.
        self._may(["ssm:PutParameter"], [self._parameters(f"{kind}/active") for kind in ("database", "files")])
        self._may(["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])
        acknowledge(
            self.role,
            "IAM5[Resource::*]",
            because="Session Manager, Patch Manager, PutMetricData (limited to our namespaces) and DescribeVolumes "
            "accept no resource in their policies.",
        )
        acknowledge(
            self.role,
            wildcard(self, self._parameters("*")),
            because="The hosts read this environment's own parameters, and no others, at start.",
        )

    def may_own_its_database(self, *, key: kms.IKey) -> None:
        """Find the data volume and attach it."""
        tagged = {"StringEquals": {f"aws:ResourceTag/{VOLUME_TAG}": self._environment_name}}
        ec2_arn = self._arn("ec2", "volume", "*"), self._arn("ec2", "instance", "*")
        self._may(["ec2:DescribeVolumes", "ec2:DescribeInstances"], ["*"])
        self._may(["ec2:AttachVolume"], [ec2_arn[0]], tagged)
        self._may(
            ["ec2:AttachVolume"],
            [ec2_arn[1]],
            {"ArnLike": {"ec2:SourceInstanceARN": ec2_arn[1]}},
        )
        # EC2 asks for a grant in the host's name when an encrypted volume is attached.
        self._may(["kms:CreateGrant"], [key.key_arn], {"Bool": {"kms:GrantIsForAWSResource": "true"}})
        self._may(["kms:DescribeKey"], [key.key_arn])
        acknowledge(
            self.role,
            *(wildcard(self, arn) for arn in ec2_arn),
            because="A new host does not know the volume's id before it looks; the tag condition limits it to its own.",
        )

    def may_prepare_database(self, secret_arn: str) -> None:
        """Read the master secret, to create the role that the application logs in with, and to migrate."""
        self._may(["secretsmanager:GetSecretValue"], [secret_arn])

    def may_join_its_fleet(self) -> None:
        """Say that it answers, and so leave the waiting room of its Auto Scaling group."""
        groups = self._stack.format_arn(
            service="autoscaling",
            resource="autoScalingGroup",
            resource_name=f"*:autoScalingGroupName/{self._stack.stack_name}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self._may(["autoscaling:DescribeAutoScalingInstances"], ["*"])
        self._may(["autoscaling:CompleteLifecycleAction"], [groups])
        acknowledge(
            self.role,
            wildcard(self, groups),
            because="The group's name is made by CloudFormation after this role; the pattern is this stack's groups.",
        )

    def may_read_objects(self, *arns: str, because: str) -> None:
        """Read objects of a bucket, for instance releases."""
        self._may(["s3:GetObject"], list(arns))
        acknowledge(self.role, *(wildcard(self, arn) for arn in arns), because=because)

    def may_use_files(self, bucket_arn: str) -> None:
        """Read and write the shop's files."""
        self._may(["s3:GetObject", "s3:PutObject"], [f"{bucket_arn}/*"])
        self._may(["s3:ListBucket"], [bucket_arn])
        acknowledge(
            self.role,
            wildcard(self, f"{bucket_arn}/*"),
            because="Uploads and documents are all of this bucket; keys are made at run time.",
        )

    def may_tell_customers(self, sending_arns: Sequence[str]) -> None:
        """Send mail, if anybody may, and notifications."""
        if sending_arns:
            self._may(["ses:SendEmail"], list(sending_arns))
        devices = self._arn("sns", "endpoint", "*")
        self._may(["sns:Publish"], [devices])
        acknowledge(self.role, wildcard(self, devices), because="A customer's device registers at run time.")

    def may_connect(self, *, action: str, arns: Sequence[str]) -> None:
        """Log in to a database or a cache with a token instead of a password."""
        self._may([action], list(arns))

    def _may(
        self, actions: list[str], resources: list[str], conditions: dict[str, dict[str, str]] | None = None
    ) -> None:
        self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions or {}))

    def _parameters(self, path: str) -> str:
        return self._arn("ssm", "parameter", f"{self._environment_name}/{path}")

    def _arn(self, service: str, resource: str, name: str) -> str:
        return self._stack.format_arn(service=service, resource=resource, resource_name=name)
