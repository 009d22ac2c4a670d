"""Roles, keys, logs, parameters and documents: made from the shop's templates, read back as users would."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from moto.iam.models import AWSManagedPolicy

from tests.workbench.sandbox.shop import STATES, World, in_shop, of, template_of
from workbench.facts import specification
from workbench.sandbox.kinds.calls import inside, remembered
from workbench.sandbox.kinds.kind import NotInPlace, Refused

ROLE, POLICY, PROFILE = "HostsRole3D4790D6", "HostsRoleDefaultPolicyEBA51EA1", "FleetTemplateProfileC206A51B"
KEY, LOGS, STREAM = "EncryptionKey3A692D6E", "AppLogsC5DF83A6", "AnalyticsStreamFailuresDeliveries25096EE7"
RELEASE = "ReleaseCurrentE7275CF5"
DOCUMENT, ASSOCIATION = "ServerFollowReleaseE8F56099", "ServerRunRelease4381314B"
SERVICES = ("IAM", "KMS", "Logs", "SSM")
# What the templates have of these types: all of stage 5, and what only stage 1 has.
SHOP = in_shop(*SERVICES)
OF_STAGE_1 = [
    id
    for id, resource in template_of(1).items()
    if resource["Type"] in ("AWS::SSM::Document", "AWS::SSM::Association") and id not in SHOP
]


def trust(service: str) -> dict[str, Any]:
    may = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [may]}


def allow(*actions: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": [*actions], "Resource": "*"}]}


# As `cdk bootstrap` makes them, and with what it can be told.
BOOTSTRAPPED: dict[str, tuple[str, dict[str, Any]]] = {
    "Boundary": (
        "AWS::IAM::ManagedPolicy",
        {"Description": "A boundary", "ManagedPolicyName": "cdk-boundary", "PolicyDocument": allow("*"), "Path": "/"},
    ),
    "Deploy": (
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": trust("ec2.amazonaws.com"),
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AWSCloudFormationReadOnlyAccess"],
            "PermissionsBoundary": "arn:aws:iam::123456789012:policy/cdk-boundary",
            "Policies": [{"PolicyDocument": allow("s3:GetObject"), "PolicyName": "default"}],
            "RoleName": "cdk-hnb659fds-deploy-role",
            "Tags": [{"Key": "aws-cdk:bootstrap-role", "Value": "deploy"}],
        },
    ),
    "Alias": ("AWS::KMS::Alias", {"AliasName": "alias/cdk-hnb659fds-assets-key"}),
}
CHANGES: dict[str, dict[str, Any]] = {
    ROLE: {
        "AssumeRolePolicyDocument": trust("ssm.amazonaws.com"),
        "Description": "Others",
        "Tags": [{"Key": "Name", "Value": "Another"}],
    },
    POLICY: {"PolicyDocument": allow("s3:ListBucket"), "PolicyName": "Another"},
    KEY: {"Description": "Another key", "EnableKeyRotation": False},
    LOGS: {"RetentionInDays": 30},
    RELEASE: {"Value": "s3://elsewhere/release.zip", "Description": "Another release"},
    "Boundary": {"PolicyDocument": allow("s3:*")},
    "Deploy": {
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"],
        "PermissionsBoundary": "arn:aws:iam::123456789012:policy/another",
        "Policies": [{"PolicyDocument": allow("s3:PutObject"), "PolicyName": "another"}],
    },
    DOCUMENT: {"Content": {"schemaVersion": "2.2", "description": "Another", "mainSteps": []}},
}


def begin() -> World:
    world = World(of(*SERVICES))
    account = world.aws.account
    for name in ("AWSCloudFormationReadOnlyAccess", "AdministratorAccess"):  # all of them would take their time
        facts = {"Path": "/", "Document": allow("*"), "CreateDate": "2026-01-01", "UpdateDate": "2026-01-01"}
        theirs = AWSManagedPolicy.from_data(name, account, "aws", {**facts, "DefaultVersionId": "v1"})
        inside(world.aws, "iam").managed_policies[theirs.arn] = theirs
    world.values |= {
        "AWS::Region": world.aws.region,
        "Topic": f"arn:aws:sns:us-east-1:{account}:topic",
        ":ExportsOutputRefHostsRole3D4790D6": world.get(ROLE).id,
        "ServerHost": "i-0123456789abcdef0",
        # Policies name only what has an ARN, or parts of one.
        "FromJson": "part",
        '"Arn"]}': f"arn:aws:s3:::some-{account}",
        "Arn": f"arn:aws:s3:::some-{account}",
        '{"Ref"': f"arn:aws:s3:::some-{account}",
        '{"Fn': f"arn:aws:s3:::some-{account}",
    }
    return world


def get(world: World, id: str) -> str:
    if id in world.made or id in SHOP:
        return world.get(id).id
    type_, properties = BOOTSTRAPPED.get(id) or (template_of(1)[id]["Type"], template_of(1)[id]["Properties"])
    for other in re.findall(rf"'Ref': '({DOCUMENT})'", str(properties)):
        get(world, other)
    if type_ == "AWS::KMS::Alias":
        properties = {**properties, "TargetKeyId": get(world, KEY)}
    return world.make(world.wants(type_, world.plain(properties), id)).id


@pytest.fixture
def fresh() -> World:
    return begin()


@pytest.fixture(scope="module", params=STATES)
def world(request: pytest.FixtureRequest) -> World:
    """All that the templates have, and what `cdk bootstrap` adds; just made, or changed in place by CHANGES."""
    fresh = begin()
    for id in (*SHOP, *OF_STAGE_1, *BOOTSTRAPPED):
        get(fresh, id)
    if request.param == "as changed":
        for id, properties in CHANGES.items():
            assert fresh.change(id, **properties).id == get(fresh, id)
    return fresh


def test_all_is_read_back_as_the_templates_want_it(world: World) -> None:
    assert world.differences() == []


def test_what_has_no_service_is_remembered(world: World) -> None:
    kept = remembered(world.aws, "ssm", "AWS::SSM::Association")[world.made[ASSOCIATION].id]
    assert kept == {**world.wanted[ASSOCIATION].properties, "Tags": kept["Tags"]}


def tags_found(world: World, id: str) -> dict[str, str]:
    made, client = get(world, id), world.aws.client
    match world.wanted[id].type.split("::")[1:]:
        case ["IAM", _]:
            tags = client("iam").list_role_tags(RoleName=made)["Tags"]
        case ["KMS", _]:
            found = client("kms").list_resource_tags(KeyId=made)["Tags"]
            tags = [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in found]
        case ["Logs", _]:
            return client("logs").list_tags_log_group(logGroupName=made)["tags"]  # type: ignore[no-any-return]
        case [_, what]:
            tags = client("ssm").list_tags_for_resource(ResourceType=what, ResourceId=made)["TagList"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_all_that_takes_tags_carries_those_of_its_stack_and_its_own(world: World) -> None:
    for id in (ROLE, "Deploy", KEY, LOGS, RELEASE, DOCUMENT):
        assert tags_found(world, id) == world.all_tags_of(id), id


# What AWS counts, and nobody refers to.
COUNTED = {"AttachmentCount", "CreateDate", "DefaultVersionId", "IsAttachable", "UpdateDate"}


@pytest.mark.parametrize("id", [ROLE, POLICY, PROFILE, KEY, LOGS, RELEASE, DOCUMENT, ASSOCIATION, "Boundary", "Alias"])
def test_attributes_are_all_that_the_specification_has_and_stay_the_same_over_an_update(fresh: World, id: str) -> None:
    get(fresh, id)
    before = fresh.made[id].attributes
    known = specification._resources()[fresh.wanted[id].type]["attributes"].keys() - COUNTED
    assert {name for name in known - before.keys() if name != "PermissionsBoundaryUsageCount"} == set()
    assert fresh.change(id).attributes == before


@pytest.mark.parametrize(
    ("id", "form"),
    [
        (ROLE, r"shop-HostsRole3D4790D6-[0-9A-F]{12}"),
        ("Deploy", "cdk-hnb659fds-deploy-role"),
        ("Boundary", r"arn:aws:iam::\d{12}:policy/cdk-boundary"),
        (KEY, r"[0-9a-f-]{36}"),
        (LOGS, r"shop-AppLogsC5DF83A6-[0-9A-F]{12}"),
        (RELEASE, "/shop-prod/release"),
        ("Alias", "alias/cdk-hnb659fds-assets-key"),
        (ASSOCIATION, r"[0-9a-f-]{36}"),
    ],
)
def test_physical_ids_have_the_form_of_aws(fresh: World, id: str, form: str) -> None:
    assert re.fullmatch(form, get(fresh, id))


@pytest.mark.parametrize(
    ("id", "form"),
    [
        (ROLE, r"arn:aws:iam::\d{12}:role/shop-HostsRole3D4790D6-\w{12}"),
        (PROFILE, r"arn:aws:iam::\d{12}:instance-profile/shop-\w+-\w{12}"),
        (KEY, r"arn:aws:kms:us-east-1:\d{12}:key/[0-9a-f-]{36}"),
        (LOGS, r"arn:aws:logs:us-east-1:\d{12}:log-group:shop-AppLogsC5DF83A6-\w{12}:\*"),
        (RELEASE, r"arn:aws:ssm:us-east-1:\d{12}:parameter/shop-prod/release"),
    ],
)
def test_arns_have_the_form_of_aws(fresh: World, id: str, form: str) -> None:
    get(fresh, id)
    assert re.fullmatch(form, fresh.made[id].attributes["Arn"])


def test_what_a_role_loses_in_the_template_it_loses_in_the_account(fresh: World) -> None:
    get(fresh, "Deploy")
    fresh.change("Deploy", ManagedPolicyArns=None, Policies=None, PermissionsBoundary=None)
    found = fresh.read("Deploy")
    assert (found["ManagedPolicyArns"], found["Policies"], found["PermissionsBoundary"]) == ([], [], None)


def test_a_policy_that_goes_to_another_role_leaves_the_first(fresh: World) -> None:
    get(fresh, POLICY)
    first, other = get(fresh, ROLE), get(fresh, "Deploy")
    fresh.change(POLICY, Roles=[other])
    iam, name = fresh.aws.client("iam"), fresh.wanted[POLICY].properties["PolicyName"]
    assert name not in iam.list_role_policies(RoleName=first)["PolicyNames"]
    assert name in iam.list_role_policies(RoleName=other)["PolicyNames"]


def test_a_managed_policy_can_be_changed_as_often_as_one_likes(fresh: World) -> None:
    arn, iam = get(fresh, "Boundary"), fresh.aws.client("iam")
    for number in range(8):
        fresh.change("Boundary", PolicyDocument=allow(f"s3:Number{number}"))
    assert fresh.read("Boundary")["PolicyDocument"] == allow("s3:Number7")
    assert len(iam.list_policy_versions(PolicyArn=arn)["Versions"]) == 5


@pytest.mark.parametrize(
    ("id", "name", "value"),
    [
        (POLICY, "Users", ["somebody"]),
        ("Boundary", "Roles", ["a-role"]),
        (KEY, "Enabled", False),
        (KEY, "RotationPeriodInDays", 90),
    ],
)
def test_a_property_that_is_not_simulated_is_refused_by_name(fresh: World, id: str, name: str, value: Any) -> None:
    get(fresh, id)
    wanted = fresh.wanted[id]
    with pytest.raises(Refused, match=name):
        fresh.make(fresh.wants(wanted.type, {**wanted.properties, name: value}))


def test_a_deleted_key_can_still_be_saved_for_as_long_as_the_template_says(fresh: World) -> None:
    get(fresh, KEY)
    for _ in range(2):
        fresh.delete(KEY)
    found = fresh.read(KEY)
    assert found["KeyState"] == "PendingDeletion"
    assert round((found["DeletionDate"] - found["CreationDate"]).total_seconds() / 86_400) == 30


def test_a_log_group_may_take_another_key_or_none_and_keep_all_for_good(fresh: World) -> None:
    get(fresh, LOGS)
    fresh.change(LOGS, KmsKeyId=None, RetentionInDays=None)
    assert {"kmsKeyId", "retentionInDays"} & fresh.read(LOGS).keys() == set()
    fresh.change(LOGS, KmsKeyId="arn:aws:kms:us-east-1:123456789012:key/1")
    assert fresh.read(LOGS)["kmsKeyId"].endswith("/1")


def test_a_parameter_that_somebody_else_made_is_not_taken_over(fresh: World) -> None:
    fresh.aws.client("ssm").put_parameter(Name="/shop-prod/release", Value="theirs", Type="String")
    with pytest.raises(Exception, match="ParameterAlreadyExists"):
        get(fresh, RELEASE)
    assert fresh.aws.client("ssm").get_parameter(Name="/shop-prod/release")["Parameter"]["Value"] == "theirs"


def test_a_changed_document_is_in_force_at_once(fresh: World) -> None:
    get(fresh, DOCUMENT)
    fresh.change(DOCUMENT, **CHANGES[DOCUMENT])
    found = fresh.read(DOCUMENT)
    assert (json.loads(found["Content"])["description"], found["DocumentVersion"]) == ("Another", "2")


def test_an_association_with_a_document_that_is_not_there_is_refused(fresh: World) -> None:
    with pytest.raises(Exception, match="InvalidDocument"):
        fresh.make(fresh.wants("AWS::SSM::Association", {"Name": "nowhere"}))


@pytest.mark.parametrize(
    ("id", "properties", "fixed"),
    [
        (ROLE, {"RoleName": "Another"}, "RoleName"),
        (KEY, {"KeySpec": "RSA_2048"}, "KeySpec"),
        (DOCUMENT, {"Content": {"schemaVersion": "2.2"}, "UpdateMethod": "Replace"}, "Content"),
        (RELEASE, {"Name": "/another"}, "Name"),
        (STREAM, {"LogGroupName": "another"}, "LogGroupName"),
    ],
)
def test_what_needs_a_new_resource_is_not_changed_in_place(
    fresh: World, id: str, properties: dict[str, Any], fixed: str
) -> None:
    get(fresh, id)
    with pytest.raises(NotInPlace) as problem:
        fresh.change(id, **properties)
    assert problem.value.property == fixed


@pytest.mark.parametrize(("id", "made", "why"), [(ROLE, PROFILE, "instance profile"), (ROLE, POLICY, "policies")])
def test_a_role_in_use_cannot_be_deleted(fresh: World, id: str, made: str, why: str) -> None:
    get(fresh, made)
    assert why in fresh.refused(id)


def test_a_property_of_no_known_default_cannot_just_be_left_out(fresh: World) -> None:
    get(fresh, RELEASE)
    with pytest.raises(Refused, match="Value"):
        fresh.change(RELEASE, Value=None)


def test_all_goes_in_reverse_order_and_what_is_gone_may_go_again(fresh: World) -> None:
    for id in (*SHOP, *OF_STAGE_1, *BOOTSTRAPPED):
        get(fresh, id)
    for id in reversed([*fresh.made]):
        for _ in range(2):
            fresh.delete(id)
    iam, ssm = fresh.aws.client("iam"), fresh.aws.client("ssm")
    assert iam.list_roles()["Roles"] == iam.list_policies(Scope="Local")["Policies"] == []
    assert fresh.aws.client("logs").describe_log_groups()["logGroups"] == []
    assert ssm.describe_parameters()["Parameters"] == []
    assert remembered(fresh.aws, "ssm", "AWS::SSM::Association") == {}
