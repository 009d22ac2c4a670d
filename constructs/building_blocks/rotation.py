"""A new password for the database's master user every month, with nobody logging in and no way into the network."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.alerts import alarm
from building_blocks.function import PythonFunction

DAYS = 30
# Setting a password takes RDS about a minute; the function waits for it in its third step.
TIMEOUT_SECONDS = 300


class MasterSecretRotation(Construct):
    """Secrets Manager calls the function; the function asks RDS. `secret` is JSON with `username` and `password`.

    `code` is the folder of the function (lambdas/rotate_master_secret); its environment names the instance.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        secret: secretsmanager.ISecret,
        instance: rds.IDatabaseInstance,
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
        code: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        python = PythonFunction(
            self,
            "Steps",
            description="Rotates the master password of the database",
            code=code,
            timeout_seconds=TIMEOUT_SECONDS,
            memory_mib=256,
            concurrency=1,  # two rotations at once would set two passwords
            environment={"INSTANCE": instance.instance_identifier},
            key=key,
            protection=protection,
            dead_letter_topic=alerts,
        )
        self.function = python.function
        python.may(
            [
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ],
            [secret.secret_arn],
        )
        python.may(["secretsmanager:GetRandomPassword"], ["*"])
        python.may(["rds:DescribeDBInstances", "rds:ModifyDBInstance"], [instance.instance_arn])
        permission = lambda_.CfnPermission(
            self,
            "SecretsManagerMayCall",
            action="lambda:InvokeFunction",
            function_name=self.function.function_arn,
            principal="secretsmanager.amazonaws.com",
            source_account=cdk.Stack.of(self).account,
            source_arn=secret.secret_arn,
        )
        # The lowest level, because the construct above it can bring a macro of AWS's with a stack inside.
        schedule = secretsmanager.CfnRotationSchedule(
            self,
            "Schedule",
            secret_id=secret.secret_arn,
            rotation_lambda_arn=self.function.function_arn,
            rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(automatically_after_days=DAYS),
            # A deployment must not change the password under a migration; Secrets Manager tries the test step instead.
            rotate_immediately_on_update=False,
        )
        schedule.node.add_dependency(permission)
        alarm(
            self,
            "Failed",
            metric=self.function.metric_errors(statistic="Sum", period=cdk.Duration.minutes(1)),
            threshold=1,
            minutes=1,
            meaning="A step of the master password's rotation failed; Secrets Manager repeats it, look if it goes on",
            alerts=alerts,
        )
