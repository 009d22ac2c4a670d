"""Rights: read one by one whatever writes them, compared as sets, and the far-reaching ones told to a reviewer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Assemblies
from tests.workbench.handmade import assembly, imported, lone, resource
from tests.workbench.sides import of, side, templates, values
from workbench.compare.aspects import rights
from workbench.compare.model import Facts, Finding, Grant, Kind, Risk
from workbench.templates import Assembly, StackTemplate, read_assembly
from workbench.templates.names import names
from workbench.templates.reading import System
from workbench.templates.rights import POLICIES, PRINCIPALS, RESOURCE_POLICIES

OURS, THEIRS = "111111111111", "222222222222"


def allow(action: Any, on: Any = "arn:aws:s3:::files", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on, **more}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def role(*statements: Any, **properties: Any) -> dict[str, Any]:
    policies = [{"PolicyName": "p", "PolicyDocument": document(*statements)}] if statements else []
    return resource("AWS::IAM::Role", Policies=policies, **properties)


def trusting(principal: Any, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return resource("AWS::IAM::Role", AssumeRolePolicyDocument=document(statement))


def bucket_policy(*statements: Any) -> dict[str, Any]:
    return resource("AWS::S3::BucketPolicy", Bucket={"Ref": "Files"}, PolicyDocument=document(*statements))


def open_to(principal: Any, action: Any = "s3:GetObject", **more: Any) -> dict[str, Any]:
    on = {"Fn::Join": ["", [{"Fn::GetAtt": ["Files", "Arn"]}, "/*"]]}
    return {"Files": resource("AWS::S3::Bucket"), "P": bucket_policy(allow(action, on, Principal=principal, **more))}


KEY = resource("AWS::KMS::Key", KeyPolicy=document(allow("kms:*", "*", Principal={"AWS": f"arn:aws:iam::{OURS}:root"})))


def mine(resources: dict[str, Any]) -> Facts:
    """A side of which the assembly says to which account it goes."""
    return side(Assembly(tuple(replace(stack, account=OURS) for stack in lone(resources).stacks)))


def grants(resources: dict[str, Any]) -> set[tuple[str, ...]]:
    """Principal, action, resource, and what else is not as usual."""
    return {
        tuple(
            part
            for part in (
                grant.principal,
                grant.effect.replace("Allow", ""),
                grant.action,
                grant.resource,
                grant.condition,
            )
            if part
        )
        for grant in rights.grants(of(resources).system)
    }


def findings(before: dict[str, Any], after: dict[str, Any]) -> list[Finding]:
    return rights.compare(of(before), of(after))[1]


def only(before: dict[str, Any], after: dict[str, Any]) -> tuple[Risk, str]:
    (finding,) = findings(before, after)
    assert finding.kind is Kind.GRANT
    return finding.risk, finding.text


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "resources",
    [
        {"R": role(allow(["s3:GetObject", "s3:PutObject"]))},
        {"R": role(allow("s3:GetObject"), allow("s3:PutObject"))},
        {"R": role(allow("s3:PutObject"), allow(["s3:GetObject", "s3:PutObject"]))},
        {
            "R": role(),
            "P": resource(
                "AWS::IAM::Policy",
                Roles=[{"Ref": "R"}],
                PolicyDocument=document(allow(["s3:PutObject", "s3:GetObject"])),
            ),
        },
        {
            "R": role(ManagedPolicyArns=[{"Ref": "P"}]),
            "P": resource("AWS::IAM::ManagedPolicy", PolicyDocument=document(allow(["s3:PutObject", "s3:GetObject"]))),
        },
        {
            "R": role(),
            "P": resource(
                "AWS::IAM::RolePolicy",
                RoleName={"Ref": "R"},
                PolicyDocument={"Statement": allow(["s3:PutObject", "s3:GetObject"])},
            ),
        },
        {"R": role({"Fn::If": ["Maybe", allow(["s3:PutObject", "s3:GetObject"]), {"Ref": "AWS::NoValue"}]})},
    ],
    ids=["list", "two statements", "twice", "policy", "managed policy", "role policy", "condition of the template"],
)
def test_it_does_not_matter_how_statements_are_cut_and_where_they_stand(resources: dict[str, Any]) -> None:
    expected = {("R", "s3:GetObject", "arn:aws:s3:::files"), ("R", "s3:PutObject", "arn:aws:s3:::files")}
    assert grants(resources) == expected
    delta, found = rights.compare(of({"R": role(allow(["S3:getobject", "s3:PutObject"]))}), of(resources))
    assert (bool(delta), found) == (False, [])


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (open_to("*"), {("everybody", "s3:GetObject", "Files/*")}),
        (open_to({"AWS": THEIRS}), {(f"account {THEIRS}", "s3:GetObject", "Files/*")}),
        (open_to({"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}),
         {("this account", "s3:GetObject", "Files/*")}),
        (open_to({"Service": "sns.amazonaws.com"}, Condition={"ArnLike": {"aws:SourceArn": ["b", "a"]}}),
         {("sns.amazonaws.com", "s3:GetObject", "Files/*", "aws:SourceArn ArnLike a or b")}),
        ({"Files": resource("AWS::S3::Bucket"),
          "P": bucket_policy({"Effect": "Deny", "NotPrincipal": {"AWS": THEIRS}, "Action": "s3:*", "Resource": "*"})},
         {(f"everybody but account {THEIRS}", "Deny", "s3:*", "Files")}),
        ({"R": role({"Effect": "Allow", "NotAction": ["iam:*", "aws-portal:*"], "NotResource": "arn:b"})},
         {("R", "everything but aws-portal:*, iam:*", "everything but arn:b")}),
        ({"R": role({"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": {"Ref": "Param"}})},
         {("R", "Deny", "s3:DeleteObject", "<Param>")}),
        ({"R": role(ManagedPolicyArns=["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"])},
         {("R", "managed policy AWSLambdaBasicExecutionRole", "*")}),
        ({"R": role(PermissionsBoundary="arn:b")}, {("R", "Limit", "more than its boundary allows", "arn:b")}),
        ({"R": trusting({"Service": ["ec2.amazonaws.com", "ecs.amazonaws.com"]})},
         {("ec2.amazonaws.com", "sts:AssumeRole", "R"), ("ecs.amazonaws.com", "sts:AssumeRole", "R")}),
        ({"F": resource("AWS::Lambda::Function"), "T": resource("AWS::SNS::Topic"),
          "P": resource("AWS::Lambda::Permission", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com",
                        FunctionName={"Fn::GetAtt": ["F", "Arn"]}, SourceArn={"Ref": "T"})},
         {("sns.amazonaws.com", "lambda:InvokeFunction", "F", "aws:SourceArn StringLike T")}),
        ({"Q": resource("AWS::SQS::Queue"), "P": resource("AWS::SQS::QueuePolicy", Queues=[{"Ref": "Q"}],
          PolicyDocument=document(allow("sqs:SendMessage", "*", Principal="*")))},
         {("everybody", "sqs:SendMessage", "Q")}),
        ({"K": KEY}, {(f"account {OURS}", "kms:*", "K")}),
        ({"L": resource("AWS::Logs::ResourcePolicy", PolicyDocument='{"Statement": {"Effect": "Allow",'
                        ' "Action": "logs:*", "Principal": {"Service": "es.amazonaws.com"}, "Resource": "arn:l"}}')},
         {("es.amazonaws.com", "logs:*", "arn:l")}),
        ({"V": resource("AWS::Backup::BackupVault", AccessPolicy=document(
            {"Effect": "Deny", "Principal": "*", "Action": "backup:DeleteRecoveryPoint", "Resource": "*"}))},
         {("everybody", "Deny", "backup:DeleteRecoveryPoint", "V")}),
        ({"E": resource("AWS::ECR::Repository", RepositoryPolicyText=document(
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "ecr:BatchGetImage"}))},
         {("everybody", "ecr:BatchGetImage", "E")}),
        ({"P": resource("AWS::IAM::ManagedPolicy", PolicyDocument=document(allow("s3:GetObject")))},
         {("whoever has P", "s3:GetObject", "arn:aws:s3:::files")}),
    ],
)  # fmt: skip
def test_a_right_is_read_from_wherever_it_is_given(resources: dict[str, Any], expected: set[tuple[str, ...]]) -> None:
    assert grants(resources) == expected


def test_roles_and_resources_of_other_stacks_have_their_names() -> None:
    queue = {"Resources": {"Q": resource("AWS::SQS::Queue")}, "Outputs": {"O": {
        "Value": {"Fn::GetAtt": ["Q", "Arn"]}, "Export": {"Name": "shop-data:Q.Arn"}}}}  # fmt: skip
    made = assembly({"data": queue, "web": {"Resources": {"R": role(allow("sqs:*", imported("data", "Q.Arn")))}}})
    assert rights.grants(System(made)) == {Grant("R", "Allow", "sqs:*", "Q")}


def test_two_roles_of_the_same_name_are_kept_apart() -> None:
    def made(*actions: str) -> Facts:
        stacks = (
            StackTemplate(name, name, {"Resources": {"R": role(allow(action))}})
            for name, action in zip("ab", actions, strict=True)
        )
        return side(Assembly(tuple(stacks)))

    delta, _ = rights.compare(made("s3:Get", "s3:Put"), made("s3:Put", "s3:Get"))
    assert {grant.principal for grant in delta.added} == {"R (a)", "R (b)"}


def test_a_name_that_only_one_side_knows_is_no_difference() -> None:
    template = {"Resources": {"RoleA1B2C3D4": role(allow("s3:GetObject"))}}
    bare, named = (
        side(Assembly((StackTemplate("s", "s", template, paths=paths),)))
        for paths in ({}, {"RoleA1B2C3D4": "Hosts/Role/Resource"})
    )
    assert not rights.compare(bare, named)[0]
    assert not rights.compare(named, bare)[0]
    for sides in ((bare, named), (named, bare)):
        assert names(*(one.system for one in sides)) == {("s", "RoleA1B2C3D4"): "Hosts/Role"}


def test_a_statement_of_thousands_of_rights_is_not_multiplied_out() -> None:
    texts = [f"s3:Action{number}" for number in range(400)]
    assert len(rights.grants(of({"R": role(allow(texts, [f"arn:{text}" for text in texts]))}).system)) == 400


# --- judging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("added", "risk", "text"),
    [
        (open_to("*"), Risk.DANGER, "Everybody may now s3:GetObject on Files/*."),
        (open_to({"AWS": "*"}, Condition={"StringEquals": {"aws:SourceAccount": OURS}}), Risk.NOTICE,
         f"Everybody may now s3:GetObject on Files/*, where aws:SourceAccount StringEquals {OURS}."),
        (open_to({"AWS": f"arn:aws:iam::{THEIRS}:role/reader"}, ["s3:GetObject", "s3:PutObject"]), Risk.NOTICE,
         "Another account may now s3:GetObject and s3:PutObject on Files/*: "
         f"arn:aws:iam::{THEIRS}:role/reader."),
        ({"R": trusting({"AWS": THEIRS})}, Risk.NOTICE,
         f"Another account may now sts:AssumeRole on R: account {THEIRS}."),
        ({"R": trusting("*")}, Risk.DANGER, "Everybody may now sts:AssumeRole on R."),
        ({"R": role(allow("*", "*"))}, Risk.DANGER, "R may now do everything: * on any resource."),
        ({"R": role(allow("iam:*", "*"))}, Risk.DANGER, "R may now do everything: iam:* on any resource."),
        ({"R": role({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})}, Risk.DANGER,
         "R may now do everything: everything but iam:* on any resource."),
        ({"R": role(allow("s3:*", ["arn:b", "arn:a"]))}, Risk.NOTICE,
         "R may now use every action there is: s3:* on arn:a and arn:b."),
        ({"R": role(ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])}, Risk.DANGER,
         "R may now do everything: it gets the managed policy AdministratorAccess."),
        ({"R": role(ManagedPolicyArns=["arn:aws:iam::aws:policy/AmazonS3FullAccess"])}, Risk.NOTICE,
         "R gets the managed policy AmazonS3FullAccess."),
        ({"R": role(allow("iam:PassRole", {"Fn::GetAtt": ["R", "Arn"]}))}, Risk.NOTICE,
         "R may now hand over R to a service (iam:PassRole)."),
        ({"R": role(allow("sts:AssumeRole", f"arn:aws:iam::{OURS}:role/x"))}, Risk.NOTICE,
         f"R may now take on arn:aws:iam::{OURS}:role/x (sts:AssumeRole)."),
        ({"R": trusting({"Federated": "tokens"}, Action="sts:AssumeRoleWithWebIdentity")}, Risk.DANGER,
         "Everybody with a token of tokens may now take on R."),
        ({"R": trusting({"Federated": "tokens"}, Action="sts:AssumeRoleWithWebIdentity", Condition={"A": {"b": "c"}})},
         Risk.NOTICE, "tokens may now take on R (sts:AssumeRoleWithWebIdentity), where b A c."),
        ({"R": trusting({"AWS": {"Ref": "AWS::AccountId"}})}, Risk.NOTICE,
         "This account may now take on R (sts:AssumeRole)."),
        ({"R": role(allow(["ec2:TerminateInstances", "ec2:DescribeInstances"], "*"))}, Risk.NOTICE,
         "R may now ec2:TerminateInstances on any resource."),
    ],
)  # fmt: skip
def test_a_far_reaching_right_is_told(added: dict[str, Any], risk: Risk, text: str) -> None:
    _, found = rights.compare(mine({}), mine(added))
    assert [(one.risk, one.text) for one in found] == [(risk, text)]


@pytest.mark.parametrize(
    "added",
    [
        {"R": role(allow(["s3:GetObject", "s3:PutObject"]))},
        {"R": role(allow(["ec2:DescribeInstances", "s3:ListAllMyBuckets"], "*"))},
        {"R": role(allow(["xray:PutTraceSegments", "cloudwatch:PutMetricData", "ssmmessages:OpenDataChannel"], "*"))},
        {"R": trusting({"Service": "lambda.amazonaws.com"})},
        {"R": role(ManagedPolicyArns=["arn:aws:iam::aws:policy/ReadOnlyAccess"])},
        {"R": role({"Effect": "Deny", "Action": "*", "Resource": "*"})},
        {"Other": KEY},
        {
            "R": role(PermissionsBoundary={"Ref": "P"}),
            "P": resource("AWS::IAM::ManagedPolicy", PolicyDocument=document(allow("*", "*"))),
        },
        open_to({"AWS": OURS}),
        open_to({"Service": "logging.s3.amazonaws.com"}),
    ],
)
def test_an_ordinary_right_is_listed_and_not_told(added: dict[str, Any]) -> None:
    delta, found = rights.compare(mine({}), mine(added))
    assert (bool(delta.added), found) == (True, [])


def test_whose_account_it_is_is_not_guessed() -> None:
    risk, text = only({}, open_to({"AWS": THEIRS}))
    assert (risk, text) == (
        Risk.NOTICE,
        f"Account {THEIRS} may now s3:GetObject on Files/*; no template says whose it is.",
    )


def test_a_part_of_a_right_that_was_there_is_not_news() -> None:
    everything, passing = {"R": role(allow("iam:*", "*"))}, {"R": role(allow("iam:PassRole", "arn:aws:iam::1:role/a"))}
    assert findings(everything, passing) == []
    assert len(findings(passing, everything)) == 1
    assert len(findings({"R": role(allow("iam:*", "*", Condition={"Bool": {"a": "b"}}))}, passing)) == 1


DENIED = bucket_policy({"Effect": "Deny", "Principal": "*", "Action": "s3:Delete*", "Resource": "*"})


def test_a_denial_that_goes_is_told() -> None:
    files = {"Files": resource("AWS::S3::Bucket")}
    assert only({**files, "P": DENIED}, files) == (
        Risk.NOTICE,
        "A denial is gone: s3:Delete* on Files for everybody.",
    )


def test_a_denial_that_goes_with_its_resource_or_becomes_wider_is_not_told() -> None:
    files = {"Files": resource("AWS::S3::Bucket")}
    wider = bucket_policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"})
    assert findings({**files, "P": DENIED}, {}) == []
    assert findings({**files, "P": DENIED}, {**files, "P": wider}) == []


def test_a_boundary_that_goes_is_told() -> None:
    bounded = {"R": role(allow("s3:GetObject"), PermissionsBoundary="arn:b")}
    text = "R has no longer arn:b as its permissions boundary."
    assert only(bounded, {"R": role(allow("s3:GetObject"))}) == (Risk.NOTICE, text)


# --- our stages, and anything ----------------------------------------------------------------------------------------


def test_the_workers_of_the_last_stage_get_no_far_reaching_right_but_their_network_interfaces(
    production: dict[int, Path],
) -> None:
    before, after = (side(read_assembly(production[number])) for number in (4, 5))
    delta, found = rights.compare(before, after)
    assert len(delta.added) > 100
    assert delta.removed == ()
    image = "ImageResize/Job/Role"
    assert Grant(image, "Allow", "s3:PutObject", "Files/Private/Bucket/thumbnails/*") in delta.added
    assert Grant("lambda.amazonaws.com", "Allow", "sts:AssumeRole", image) in delta.added
    assert [finding.text for finding in found] == [
        "SearchIndex/Job/Role may now ec2:AssignPrivateIpAddresses, ec2:CreateNetworkInterface, "
        "ec2:DeleteNetworkInterface and ec2:UnassignPrivateIpAddresses on any resource."
    ]


def test_no_stage_gives_a_right_to_everybody_or_another_account(assemblies: Assemblies) -> None:
    for profile in ("production", "sandbox"):
        for path in assemblies(profile).values():
            found = rights.compare(of({}), side(read_assembly(path)))[1]
            assert not [one.text for one in found if one.risk is Risk.DANGER or "ccount" in one.text]


TYPES = [*PRINCIPALS, *POLICIES, *RESOURCE_POLICIES, *rights.ONE_STATEMENT]
NAMES = [
    "Policies", "PolicyDocument", "Statement", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal",
    "NotPrincipal", "AWS", "Service", "Condition", "Roles", "ManagedPolicyArns", "PermissionsBoundary", "Bucket",
    "AssumeRolePolicyDocument", "KeyPolicy", "AccessPolicy", "Queues", "FunctionName", "SourceArn", "RoleName",
]  # fmt: skip


WHERE = ("PolicyDocument", "KeyPolicy", "AccessPolicy", "AssumeRolePolicyDocument", "Policy")


def everywhere(statement: Any) -> dict[str, Any]:
    """The same statement wherever a type may have one."""
    policy = {"Statement": statement}
    return {**dict.fromkeys(WHERE, policy), "Policies": [{"PolicyDocument": policy}], "Roles": [{"Ref": "One"}]}


SHAPES = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny", None, {"Ref": "One"}])},
    optional={
        name: values([*NAMES, "StringEquals"])
        for name in ("Action", "Resource", "Principal", "NotPrincipal", "Condition")
    },
).map(everywhere)
ANYTHING = templates(TYPES, NAMES, SHAPES)


@settings(max_examples=60, deadline=None)
@given(before=ANYTHING, after=ANYTHING)
def test_no_template_is_too_strange_and_nothing_differs_from_itself(before: Facts, after: Facts) -> None:
    delta, _ = rights.compare(before, after)
    assert not set(delta.added) & set(delta.removed)
    assert rights.compare(after, after) == (type(delta)(), [])
    assert all(isinstance(part, str) for grant in rights.grants(after.system) for part in vars(grant).values())
