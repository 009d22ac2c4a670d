"""The teardown as a resource: when it runs, what it may touch, who hears of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import aws_cdk as cdk
import pytest

from building_blocks.teardown import Teardown
from tests.building_blocks.alone import ACCOUNT, CARELESS, ForeignApp, Template, only, resources, synth_alone
from workbench.synth import ROOT

CODE = ROOT / "lambdas" / "teardown"
TAGGED = {"StringEquals": {"aws:ResourceTag/shop:environment": "trial"}}
# Where the right is not called what the operation is.
RIGHTS = {
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:DeleteObjects": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    "sns:Publish": ["sns:Publish"],
}
SERVICES = {"elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag"}


def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
    Teardown(
        stack,
        "Teardown",
        environment_name="trial",
        key=theirs.key,
        protection=CARELESS,
        alerts=theirs.alerts,
        code=CODE,
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synth_alone(build)


def statements(template: Template) -> Iterator[tuple[list[str], list[str], dict[str, Any]]]:
    """Actions, resources and condition of everything that the function may do."""
    [policy] = (
        each["Properties"]
        for name, each in resources(template, "AWS::IAM::Policy").items()
        if name.startswith("TeardownPass")
    )
    for each in policy["PolicyDocument"]["Statement"]:
        actions, over = (value if isinstance(value, list) else [value] for value in (each["Action"], each["Resource"]))
        yield actions, [str(one) for one in over], each.get("Condition", {})


def operations() -> Iterator[str]:
    """Every call that the code makes, as `service:Operation`."""
    for source in sorted(CODE.glob("*.py")):
        text = re.sub(r"\s+", "", source.read_text(encoding="utf-8"))
        for service, operation in re.findall(r'\("([a-z0-9]+)"\)\.(get_paginator\("\w+"\)|\w+)', text):
            name = operation.removeprefix('get_paginator("').removesuffix('")')
            yield f"{service}:{''.join(part.capitalize() for part in name.split('_'))}"


def test_it_looks_every_three_hours(template: Template) -> None:
    schedule = only(template, "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "rate(3 hours)"
    assert schedule["Target"]["Arn"]["Fn::GetAtt"][0] in resources(template, "AWS::Lambda::Function")


def test_only_the_scheduler_of_this_account_may_start_it(template: Template) -> None:
    [role] = (
        each["Properties"]
        for name, each in resources(template, "AWS::IAM::Role").items()
        if name.startswith("TeardownSchedule")
    )
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_it_has_a_right_to_every_call_that_it_makes(template: Template) -> None:
    may = {action for actions, _, _ in statements(template) for action in actions}
    made = {operation.replace("Db", "DB") for operation in operations()}
    assert len(made) > 30
    wanted = set()
    for call in made:
        service, _, operation = call.partition(":")
        wanted |= set(RIGHTS.get(call, [f"{SERVICES.get(service, service)}:{operation}"]))
    assert wanted - may == set()


def test_whatever_it_changes_carries_the_tag_or_the_name_of_the_environment(template: Template) -> None:
    looks = re.compile(r"[a-z0-9-]+:(Describe|List|Get)\w+")
    helpers = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "logs:CreateLogStream", "logs:PutLogEvents"}
    helpers |= {"kms:Decrypt", "kms:GenerateDataKey", "sns:Publish"}
    examined = 0
    for actions, over, condition in statements(template):
        changes = [action for action in actions if not looks.fullmatch(action) and action not in helpers]
        examined += len(changes)
        if changes and condition != TAGGED:
            assert not condition
            assert [arn for arn in over if not re.search(r"[:/]trial([-/]|$)", arn)] == [], changes
    assert examined >= 18


def test_it_passes_no_role_changes_no_right_and_takes_off_no_protection(template: Template) -> None:
    may = {action for actions, _, _ in statements(template) for action in actions}
    assert not [action for action in may if action.startswith(("iam:", "sts:")) or action.endswith("*")]
    assert not [action for action in may if action.partition(":")[2].startswith(("Modify", "Update"))]


def test_somebody_hears_when_a_pass_breaks_off(template: Template) -> None:
    alarm = only(template, "AWS::CloudWatch::Alarm")
    assert (alarm["MetricName"], alarm["Threshold"]) == ("Errors", 1)
    assert only(template, "AWS::Lambda::Function")["DeadLetterConfig"]["TargetArn"].endswith(":their-alerts")


def test_the_function_knows_whom_to_delete_and_whom_to_tell(template: Template) -> None:
    function = only(template, "AWS::Lambda::Function")
    variables = function["Environment"]["Variables"]
    assert variables["ENVIRONMENT"] == "trial"
    assert variables["TOPIC"].endswith(":their-alerts")
    assert function["Timeout"] == 900
