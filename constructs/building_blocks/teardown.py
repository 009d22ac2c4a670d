"""The end of an environment that has one: a function that, on a schedule, deletes what has outlived its time."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.alerts import alarm
from building_blocks.function import PythonFunction

# A pass waits for the stacks that it deletes; what takes longer is left to the next one.
TIMEOUT_SECONDS = 900
EVERY = "rate(3 hours)"

# Only what carries the environment's tag. Where the account has no place in an ARN, the service leaves it empty.
# Nothing here takes off a protection.
TAGGED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # CloudFormation deletes with the role that the stack was deployed with: it is neither passed nor needed here.
    (("cloudformation:DeleteStack",), ("cloudformation:*:{account}:stack/{name}-*/*",)),
    (("ec2:DeleteSnapshot",), ("ec2:*::snapshot/*",)),
    (("ec2:DeleteVolume",), ("ec2:*:{account}:volume/*",)),
    (("ec2:ReleaseAddress",), ("ec2:*:{account}:elastic-ip/*",)),
    (("rds:DeleteDBInstance",), ("rds:*:{account}:db:*",)),
    (("rds:DeleteDBSnapshot",), ("rds:*:{account}:snapshot:*",)),
    (
        ("elasticache:DeleteReplicationGroup", "elasticache:DeleteSnapshot"),
        ("elasticache:*:{account}:replicationgroup:*", "elasticache:*:{account}:snapshot:*"),
    ),
    (("secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret"), ("secretsmanager:*:{account}:secret:*",)),
    (("kms:DescribeKey", "kms:ScheduleKeyDeletion"), ("kms:*:{account}:key/*",)),
    (("logs:DeleteLogGroup",), ("logs:*:{account}:log-group:*",)),
    (("sqs:DeleteQueue",), ("sqs:*:{account}:{name}-workers-*",)),
    (("backup:DeleteBackupVault",), ("backup:*:{account}:backup-vault:{name}-backups-*",)),
    # A recovery point is named after what it is a copy of, and carries its tags.
    (
        ("backup:DeleteRecoveryPoint",),
        ("backup:*:{account}:recovery-point:*", "ec2:*::snapshot/*", "rds:*:{account}:snapshot:awsbackup:*"),
    ),
)
# Where tags are no condition, or there are none: only what is named as our stacks name it. What is changed is named so
# far that no other environment's name, of 20 characters at most, leads there: `shop-data-*` is also of `shop-data`.
BUCKETS = (
    *("data-filesprivatebucket", "edge-cdnstaticbucket", "edge-edgelogsbucket", "network-accesslogsbucket"),
    "workers-analyticsstream",
)
NAMED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        (
            *("cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks", "cloudformation:GetTemplate"),
            "cloudformation:ListStackResources",
        ),
        ("cloudformation:*:{account}:stack/{name}-*/*",),
    ),
    (
        ("s3:DeleteBucket", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"),
        tuple(f"s3:::{{name}}-{bucket}*" for bucket in BUCKETS),
    ),
    (("backup:ListRecoveryPointsByBackupVault",), ("backup:*:{account}:backup-vault:{name}-backups-*",)),
    (("dynamodb:DeleteTable", "dynamodb:DescribeTable"), ("dynamodb:*:{account}:table/{name}-workers-StateTable*",)),
    (("sqs:GetQueueUrl",), ("sqs:*:{account}:{name}-workers-*",)),
    (
        ("ssm:DeleteParameter", "ssm:GetParametersByPath"),
        ("ssm:*:{account}:parameter/{name}", "ssm:*:{account}:parameter/{name}/*"),
    ),
    (
        ("logs:DeleteLogGroup",),
        tuple(
            f"logs:*:{{account}}:log-group:/aws/rds/instance/{{name}}-data-database{role}*"
            for role in ("primary", "replica")
        ),
    ),
)
# Looking around; these know no resource in a policy, or are asked about what is not known to exist.
LOOKS = (
    "ec2:DescribeInstanceAttribute",
    "elasticache:DescribeReplicationGroups",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "logs:DescribeLogGroups",
    "rds:DescribeDBInstances",
    "tag:GetResources",
)


class Teardown(Construct):
    """Calls lambdas/teardown every few hours; what refuses to go is told to `alerts`, and that the last day has begun.

    Whatever may refuse to go in the teardown's own stack should depend on `schedule`: it is then deleted before it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment_name: str,
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
        code: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = environment_name
        python = PythonFunction(
            self,
            "Pass",
            description="Deletes this environment when its time is over",
            code=code,
            timeout_seconds=TIMEOUT_SECONDS,
            memory_mib=256,
            concurrency=1,
            environment={"ENVIRONMENT": environment_name, "TOPIC": alerts.topic_arn},
            key=key,
            protection=protection,
            dead_letter_topic=alerts,
        )
        self._function = python.function
        self._give(python.role)
        python.may(["sns:Publish"], [alerts.topic_arn])
        self.schedule = self._schedule()
        alarm(
            self,
            "Failed",
            metric=self._function.metric_errors(statistic="Sum", period=cdk.Duration.minutes(1)),
            threshold=1,
            minutes=1,
            meaning="A pass of the teardown broke off: what has outlived its time may still be there, and cost",
            alerts=alerts,
        )

    def _give(self, role: iam.Role) -> None:
        ours = {"StringEquals": {"aws:ResourceTag/shop:environment": self._name}}
        for rights, conditions in ((TAGGED, ours), (NAMED, {})):
            for actions, patterns in rights:
                arns = [self._arn(pattern) for pattern in patterns]
                if "s3:DeleteObject" in actions:
                    arns += [f"{arn}/*" for arn in arns]
                role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=arns, conditions=conditions))
                acknowledge(
                    role,
                    *(wildcard(self, arn) for arn in arns),
                    because="What will be left is not known in the template; the environment's tag or its name in "
                    "front limits each right, and regions are its own and that of CloudFront.",
                )
        role.add_to_policy(iam.PolicyStatement(actions=list(LOOKS), resources=["*"]))

    def _arn(self, pattern: str) -> str:
        stack = cdk.Stack.of(self)
        return f"arn:{stack.partition}:{pattern.format(account=stack.account, name=self._name)}"

    def _schedule(self) -> scheduler.CfnSchedule:
        account = cdk.Stack.of(self).account
        role = iam.Role(
            self,
            "ScheduleRole",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": account}}
            ),
            description="Starts a pass of the teardown",
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self._function.function_arn])
        )
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            description="Looks whether the environment has outlived its time",
            schedule_expression=EVERY,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self._function.function_arn,
                role_arn=role.role_arn,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=1),
            ),
        )
        schedule.node.add_dependency(role)
        return schedule
