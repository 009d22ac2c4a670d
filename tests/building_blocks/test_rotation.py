"""Rotation of the master secret as a resource: who may call what, when, and who hears of a failure."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_rds as rds

from building_blocks.rotation import MasterSecretRotation
from tests.building_blocks.alone import ACCOUNT, CAREFUL, REGION, ForeignApp, Template, only, resources, synth_alone
from workbench.synth import ROOT


def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
    instance = rds.DatabaseInstance.from_database_instance_attributes(
        stack,
        "Database",
        instance_identifier="theirs",
        instance_endpoint_address="theirs.example.com",
        port=5432,
        security_groups=[],
    )
    MasterSecretRotation(
        stack,
        "Rotation",
        secret=rds.DatabaseSecret(stack, "Secret", username="boss", encryption_key=theirs.key),
        instance=instance,
        key=theirs.key,
        protection=CAREFUL,
        alerts=theirs.alerts,
        code=ROOT / "lambdas" / "rotate_master_secret",
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synth_alone(build)


def resource_of(template: Template, action: str) -> Any:
    [found] = [
        one["Resource"]
        for one in only(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
        if action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    ]
    return found


def test_the_password_changes_every_month_but_not_with_a_deployment(template: Template) -> None:
    schedule = only(template, "AWS::SecretsManager::RotationSchedule")
    assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert schedule["RotateImmediatelyOnUpdate"] is False
    assert schedule["SecretId"]["Ref"] in resources(template, "AWS::SecretsManager::Secret")


def test_it_needs_no_macro_and_no_nested_stack(template: Template) -> None:
    assert "Transform" not in template
    assert not resources(template, "AWS::CloudFormation::Stack")
    assert "HostedRotationLambda" not in only(template, "AWS::SecretsManager::RotationSchedule")


def test_only_secrets_manager_may_call_and_only_for_this_secret(template: Template) -> None:
    permission = only(template, "AWS::Lambda::Permission")
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == ACCOUNT
    assert permission["SourceArn"]["Ref"] in resources(template, "AWS::SecretsManager::Secret")


def test_the_schedule_waits_for_the_permission(template: Template) -> None:
    [schedule] = resources(template, "AWS::SecretsManager::RotationSchedule").values()
    assert schedule["DependsOn"] == list(resources(template, "AWS::Lambda::Permission"))


@pytest.mark.parametrize("action", ["rds:ModifyDBInstance", "rds:DescribeDBInstances"])
def test_the_function_reaches_one_instance(template: Template, action: str) -> None:
    assert resource_of(template, action) == f"arn:aws:rds:{REGION}:{ACCOUNT}:db:theirs"
    assert only(template, "AWS::Lambda::Function")["Environment"]["Variables"] == {"INSTANCE": "theirs"}


@pytest.mark.parametrize("action", ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage", "DescribeSecret"])
def test_the_function_reaches_one_secret(template: Template, action: str) -> None:
    assert resource_of(template, f"secretsmanager:{action}")["Ref"] in resources(
        template, "AWS::SecretsManager::Secret"
    )


def test_it_stays_outside_the_vpc_and_runs_one_at_a_time(template: Template) -> None:
    function = only(template, "AWS::Lambda::Function")
    assert "VpcConfig" not in function
    assert function["ReservedConcurrentExecutions"] == 1


def test_somebody_is_told_when_a_step_fails(template: Template) -> None:
    alarm = only(template, "AWS::CloudWatch::Alarm")
    assert (alarm["MetricName"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("Errors", 1, 1)
    assert only(template, "AWS::Lambda::Function")["DeadLetterConfig"]["TargetArn"].endswith(":their-alerts")
