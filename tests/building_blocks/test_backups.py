"""The backups: what carries the tag is copied each night, the copies stay, and a failed night is noticed."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2

from blueprint.parts import Protection
from building_blocks.backups import Backups
from tests.building_blocks.alone import CAREFUL, CARELESS, ForeignApp, Template, only, resources, synth_alone

VAULT = "AWS::Backup::BackupVault"


def synth(protection: Protection) -> Template:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        backups = Backups(stack, "Backups", name="trial", key=theirs.key, protection=protection, alerts=theirs.alerts)
        backups.include(
            ec2.Volume(
                stack,
                "Disk",
                availability_zone="eu-west-1a",
                size=cdk.Size.gibibytes(10),
                encrypted=True,
                encryption_key=theirs.key,
            )
        )

    return synth_alone(build)


@pytest.fixture(scope="module")
def template() -> Template:
    return synth(CAREFUL)


@pytest.fixture(scope="module")
def careless() -> Template:
    return synth(CARELESS)


def rule(template: Template) -> dict[str, Any]:
    [only_rule] = only(template, "AWS::Backup::BackupPlan")["BackupPlan"]["BackupPlanRule"]
    assert isinstance(only_rule, dict)
    return only_rule


def statements(template: Template) -> list[dict[str, Any]]:
    found = only(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert isinstance(found, list)
    return found


def test_a_backup_is_made_every_day_and_kept_as_long_as_the_profile_says(
    template: Template, careless: Template
) -> None:
    assert rule(template)["ScheduleExpression"] == "cron(0 5 * * ? *)"
    assert rule(template)["Lifecycle"] == {"DeleteAfterDays": 35}
    assert rule(careless)["Lifecycle"] == {"DeleteAfterDays": 1}


def test_a_backup_that_cannot_start_or_end_is_given_up_the_same_morning(template: Template) -> None:
    assert (rule(template)["StartWindowMinutes"], rule(template)["CompletionWindowMinutes"]) == (60, 480)


def test_what_carries_the_tag_is_selected_and_nothing_else(template: Template) -> None:
    selection = only(template, "AWS::Backup::BackupSelection")["BackupSelection"]
    assert selection["ListOfTags"] == [
        {"ConditionKey": "shop:backup", "ConditionType": "STRINGEQUALS", "ConditionValue": "trial"}
    ]
    assert not selection.get("Resources")


def test_including_a_resource_gives_it_the_tag(template: Template) -> None:
    assert {"Key": "shop:backup", "Value": "trial"} in only(template, "AWS::EC2::Volume")["Tags"]


def test_the_vault_is_encrypted_with_the_key_it_was_given(template: Template) -> None:
    [key] = resources(template, "AWS::KMS::Key")
    assert only(template, VAULT)["EncryptionKeyArn"] == {"Fn::GetAtt": [key, "Arn"]}


def test_a_new_stack_never_meets_the_name_of_a_vault_that_was_kept(template: Template) -> None:
    prefix, number = only(template, VAULT)["BackupVaultName"]["Fn::Join"][1]
    assert prefix == "trial-backups-"
    assert "AWS::StackId" in str(number)


def test_nobody_deletes_a_copy_before_its_time(template: Template, careless: Template) -> None:
    [statement] = only(template, VAULT)["AccessPolicy"]["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
    assert "backup:DeleteRecoveryPoint" in statement["Action"]
    assert "AccessPolicy" not in only(careless, VAULT)


def test_the_vault_stays_where_data_matters(template: Template, careless: Template) -> None:
    def policies(of: Template) -> tuple[str, str]:
        [vault] = resources(of, VAULT).values()
        return vault["DeletionPolicy"], vault["UpdateReplacePolicy"]

    assert policies(template) == ("Retain", "Retain")
    assert policies(careless) == ("Delete", "Retain")


def test_the_role_has_no_policy_written_by_others(template: Template) -> None:
    [role] = [
        role["Properties"]
        for role in resources(template, "AWS::IAM::Role").values()
        if "backup.amazonaws.com" in str(role["Properties"]["AssumeRolePolicyDocument"])
    ]
    assert "ManagedPolicyArns" not in role


@pytest.mark.parametrize(
    "action",
    ["ec2:CreateSnapshot", "rds:CreateDBSnapshot", "dynamodb:StartAwsBackupJob", "s3:GetObjectVersion"],
)
def test_the_role_can_copy_each_kind_of_thing_that_the_stages_keep(template: Template, action: str) -> None:
    allowed = {each for statement in statements(template) for each in _list(statement["Action"])}
    assert action in allowed


def test_what_the_role_may_do_anywhere_is_looking(template: Template) -> None:
    anywhere = [statement for statement in statements(template) if statement["Resource"] == "*"]
    verbs = {action.partition(":")[2] for statement in anywhere for action in _list(statement["Action"])}
    assert verbs
    assert all(verb.startswith(("Describe", "Get", "List")) for verb in verbs)


def test_the_role_passes_the_key_on_to_aws_services_only(template: Template) -> None:
    [grant] = [statement for statement in statements(template) if statement["Action"] == "kms:CreateGrant"]
    assert grant["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_one_failed_backup_raises_an_alarm(template: Template) -> None:
    raised = only(template, "AWS::CloudWatch::Alarm")
    assert (raised["Threshold"], raised["EvaluationPeriods"]) == (1, 1)
    [query] = raised["Metrics"]
    [vault] = resources(template, VAULT)
    [_, (before, name, after)] = query["Expression"]["Fn::Join"]
    assert before + "…" + after == (
        "SELECT SUM(NumberOfBackupJobsFailed) FROM \"AWS/Backup\" WHERE BackupVaultName = '…'"
    )
    assert name == {"Fn::GetAtt": [vault, "BackupVaultName"]}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
