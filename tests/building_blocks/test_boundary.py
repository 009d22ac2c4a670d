"""The boundary: a limit on roles, not a right."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from building_blocks.boundary import Boundary
from tests.building_blocks.alone import REGION, ForeignApp, Template, only, resources, synth_alone


def build(stack: cdk.Stack, _: ForeignApp) -> None:
    boundary = Boundary(stack, "Boundary").policy
    iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"), permissions_boundary=boundary)


@pytest.fixture(scope="module")
def template() -> Template:
    return synth_alone(build)


@pytest.fixture(scope="module")
def statements(template: Template) -> dict[str, dict[str, Any]]:
    return {each["Effect"]: each for each in only(template, "AWS::IAM::ManagedPolicy")["PolicyDocument"]["Statement"]}


def test_it_gives_nobody_anything(template: Template) -> None:
    [policy] = resources(template, "AWS::IAM::ManagedPolicy").values()
    assert not {"Roles", "Users", "Groups"} & policy["Properties"].keys()
    [role] = resources(template, "AWS::IAM::Role").values()
    assert "ManagedPolicyArns" not in role["Properties"]
    assert role["Properties"]["PermissionsBoundary"]["Ref"] in template["Resources"]


def test_it_ends_at_the_region_and_what_aws_keeps_in_one_place(statements: dict[str, dict[str, Any]]) -> None:
    assert statements["Allow"]["Condition"] == {"StringEqualsIfExists": {"aws:RequestedRegion": [REGION, "us-east-1"]}}


@pytest.mark.parametrize("service", ["iam", "organizations", "account", "billing"])
def test_no_way_leads_to_more_rights_or_to_the_account_itself(
    statements: dict[str, dict[str, Any]], service: str
) -> None:
    assert f"{service}:*" in statements["Deny"]["Action"]
    assert not [action for action in statements["Allow"]["Action"] if action.startswith((service, "*", "sts"))]


def test_no_role_becomes_another_one(statements: dict[str, dict[str, Any]]) -> None:
    assert "sts:AssumeRole*" in statements["Deny"]["Action"]
    assert "Condition" not in statements["Deny"]
