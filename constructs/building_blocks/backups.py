"""A second copy of what must not be lost, in a vault that the owner of the first copy cannot empty."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_backup as backup
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct, IConstruct

from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.alerts import alarm
from building_blocks.keeping import keep

BACKUP_TAG = "shop:backup"

# What AWS Backup does to each kind of resource. AWS's own policy for it also covers a dozen services that we have not.
RIGHTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # Disks. A snapshot has no account in its ARN.
    (("ec2:CreateSnapshot", "ec2:DeleteSnapshot"), ("ec2:{region}:{account}:volume/*", "ec2:{region}::snapshot/*")),
    (("ec2:CreateTags",), ("ec2:{region}::snapshot/*",)),
    # Databases.
    (
        ("rds:CreateDBSnapshot", "rds:AddTagsToResource", "rds:ListTagsForResource"),
        ("rds:{region}:{account}:db:*", "rds:{region}:{account}:snapshot:awsbackup:*"),
    ),
    (("rds:DeleteDBSnapshot", "rds:ModifyDBSnapshotAttribute"), ("rds:{region}:{account}:snapshot:awsbackup:*",)),
    # Tables.
    (
        ("dynamodb:DescribeTable", "dynamodb:ListTagsOfResource", "dynamodb:StartAwsBackupJob"),
        ("dynamodb:{region}:{account}:table/*",),
    ),
    # Files. AWS Backup follows changes by a rule of its own on the bucket's events.
    (
        (
            "s3:GetBucketAcl",
            "s3:GetBucketLocation",
            "s3:GetBucketNotification",
            "s3:GetBucketTagging",
            "s3:GetBucketVersioning",
            "s3:GetInventoryConfiguration",
            "s3:ListBucket",
            "s3:ListBucketVersions",
            "s3:PutBucketNotification",
            "s3:PutInventoryConfiguration",
        ),
        ("s3:::*",),
    ),
    (
        (
            "s3:GetObject",
            "s3:GetObjectAcl",
            "s3:GetObjectTagging",
            "s3:GetObjectVersion",
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionTagging",
        ),
        ("s3:::*/*",),
    ),
    (
        (
            "events:DeleteRule",
            "events:DescribeRule",
            "events:DisableRule",
            "events:EnableRule",
            "events:ListTargetsByRule",
            "events:PutRule",
            "events:PutTargets",
            "events:RemoveTargets",
        ),
        ("events:{region}:{account}:rule/AwsBackupManagedRule*",),
    ),
    # Copies, named after their recovery point.
    (("backup:TagResource",), ("backup:{region}:{account}:recovery-point:*",)),
)
# Looking around; these know no resource in a policy.
LOOKS = (
    "cloudwatch:GetMetricData",
    "ec2:DescribeSnapshots",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
    "events:ListRules",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSnapshots",
    "s3:ListAllMyBuckets",
    "tag:GetResources",
)


class Backups(Construct):
    """A daily backup of everything in the account that carries this environment's tag, in whichever stack it is."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = name
        # AWS demands a name, and a vault that is kept blocks it. The stack's own number makes the next one differ.
        stack_number = cdk.Fn.select(0, cdk.Fn.split("-", cdk.Fn.select(2, cdk.Fn.split("/", cdk.Aws.STACK_ID))))
        self.vault = backup.BackupVault(
            self,
            "Vault",
            backup_vault_name=f"{name}-backups-{stack_number}",
            encryption_key=key,
            block_recovery_point_deletion=protection.deletion_protection,
        )
        keep(self.vault, protection)
        plan = backup.BackupPlan(self, "Plan", backup_plan_name=f"{name}-daily", backup_vault=self.vault)
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name="Daily",
                # More than an hour away from the database's own backup (02:00) and maintenance (03:30): either refuses.
                schedule_expression=events.Schedule.cron(hour="5", minute="0"),
                start_window=cdk.Duration.hours(1),
                completion_window=cdk.Duration.hours(8),
                delete_after=cdk.Duration.days(protection.backup_days),
            )
        )
        backup.BackupSelection(
            self,
            "Selection",
            backup_plan=plan,
            backup_selection_name=f"{name}-tagged",
            resources=[backup.BackupResource.from_tag(BACKUP_TAG, name)],
            role=self._role(key),
            disable_default_backup_policy=True,
        )
        self._alarm(alerts)

    def include(self, resource: IConstruct) -> None:
        """Back `resource` up from the next night on."""
        cdk.Tags.of(resource).add(BACKUP_TAG, self._name)

    def _role(self, key: kms.IKey) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            description="Copies what carries the backup tag into the vault",
        )
        stack = cdk.Stack.of(self)
        for actions, patterns in RIGHTS:
            arns = [
                f"arn:{stack.partition}:{pattern.format(region=stack.region, account=stack.account)}"
                for pattern in patterns
            ]
            role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=arns))
            acknowledge(
                role,
                *(wildcard(self, arn) for arn in arns),
                because="What carries the tag is found at night, not known in the template; each right is for one "
                "kind of resource of this account and region, and all it makes is copies.",
            )
        role.add_to_policy(iam.PolicyStatement(actions=list(LOOKS), resources=["*"]))
        acknowledge(role, "IAM5[Resource::*]", because="These actions only look, and accept no resource in a policy.")
        role.add_to_policy(
            iam.PolicyStatement(actions=["backup:DescribeBackupVault"], resources=[self.vault.backup_vault_arn])
        )
        use_key = [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ]
        role.add_to_policy(iam.PolicyStatement(actions=use_key, resources=[key.key_arn]))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["kms:CreateGrant"],
                resources=[key.key_arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            )
        )
        return role

    def _alarm(self, alerts: sns.ITopic) -> None:
        # A query: AWS Backup splits its metrics by kind of resource, and any kind counts.
        failed = cloudwatch.MathExpression(
            expression='SELECT SUM(NumberOfBackupJobsFailed) FROM "AWS/Backup" '
            f"WHERE BackupVaultName = '{self.vault.backup_vault_name}'",
            using_metrics={},
            label="Failed backups",
            period=cdk.Duration.minutes(5),
        )
        alarm(
            self,
            "Failed",
            metric=failed,
            threshold=1,
            minutes=1,
            meaning="Last night's backup of something is missing",
            alerts=alerts,
        )
