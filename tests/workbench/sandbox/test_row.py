"""What all kinds share: names, tags, the way to moto, the table of types, and rows."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from tests.workbench.sandbox.read_back import READERS
from tests.workbench.sandbox.shop import start_afresh
from workbench.facts.specification import replacement
from workbench.sandbox.kinds import FORGOTTEN, KINDS, ONLY_KEPT
from workbench.sandbox.kinds.kind import Aws, Made, NotInPlace, Refused, Wanted, absent_is_fine
from workbench.sandbox.kinds.row import Row, Setting, Tagging

NAMES = st.text("ABCabc019-", min_size=1, max_size=80)

GROUP = Row(
    "ec2",
    "create_placement_group",
    id="PlacementGroup.GroupName",
    delete_with="delete_placement_group",
    key="GroupName",
)
# A row that has it all: a made-up name, a renamed property, a setting, a default, tags.
LOG_GROUP = Row(
    "logs",
    "create_log_group",
    id="Properties.Name",
    delete_with="delete_log_group",
    key="logGroupName",
    named="Name",
    longest=40,
    rename={"Name": "logGroupName", "Days": "retentionInDays"},
    settings=(Setting("put_retention_policy", ("Days",)),),
    defaults={"Days": 7},
    tagging=Tagging("tag_log_group", "untag_log_group", "logGroupName", gone=lambda keys: {"tags": keys}),
    forgets={"Colour": "no service has one"},
)


@pytest.fixture
def aws() -> Aws:
    aws = Aws("us-east-1")
    start_afresh(aws)
    return aws


def wanted(generation: str = "1", **properties: Any) -> Wanted:
    return Wanted("shop-web", "Hosts", "AWS::Logs::Something", properties, {"team": "shop"}, generation)


def found(aws: Aws) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = aws.client("logs").describe_log_groups()["logGroups"]
    return groups


# ---- Names and tags


@given(stack=NAMES, id=NAMES, generation=NAMES, most=st.integers(20, 90), lower=st.booleans())
def test_a_name_fits_and_says_whose_it_is(stack: str, id: str, generation: str, most: int, lower: bool) -> None:
    name = Wanted(stack, id, "T", {}, {}, generation).name(most, lower=lower)
    assert len(name) <= most
    assert name.lower().startswith(stack[:2].lower())
    assert name == Wanted(stack, id, "T", {}, {}, generation).name(most, lower=lower)
    assert (name == name.lower()) or not lower


@given(most=st.integers(32, 90))
def test_names_of_what_replaces_and_of_others_never_meet(most: int) -> None:
    names = {
        Wanted(stack, id, "T", {}, {}, generation).name(most)
        for stack in ("shop", "shop-long-" * 9 + "a", "shop-long-" * 9 + "b")
        for id in ("Hosts", "HostsOther" * 9 + "A", "HostsOther" * 9 + "B")
        for generation in ("1", "2")
    }
    assert len(names) == 18


def test_a_name_uses_all_the_room_that_there_is() -> None:
    assert wanted().name() == "shop-web-Hosts-" + wanted().name()[-12:]
    assert len(Wanted("shop", "VeryLong" * 9, "T", {}, {}, "1").name(32)) == 32
    assert Wanted("shop", "VeryLong" * 9, "T", {}, {}, "1").name(32).startswith("shop-VeryLongVeryL")


@pytest.mark.parametrize("own", [[{"Key": "team", "Value": 1}], {"team": 1}], ids=["as a list", "as a map"])
def test_the_own_tags_win_over_those_of_the_stack(own: Any) -> None:
    assert wanted(Tags=own).all_tags() == {
        "team": "1",
        "aws:cloudformation:logical-id": "Hosts",
        "aws:cloudformation:stack-name": "shop-web",
    }


# ---- The way to moto


@pytest.mark.slow
def test_every_request_is_answered_once_inside_of_moto_and_outside(aws: Aws) -> None:
    aws.client("ec2").allocate_address(Domain="vpc")
    assert len(aws.client("ec2").describe_addresses()["Addresses"]) == 1
    with mock_aws():
        inside = Aws("us-east-1").client("ec2")
        inside.allocate_address(Domain="vpc")
        assert len(boto3.client("ec2", region_name="us-east-1").describe_addresses()["Addresses"]) == 1


def test_an_endpoint_in_the_environment_is_for_others(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert Aws("us-east-1").account == aws.account


@pytest.mark.slow
def test_regions_are_apart(aws: Aws) -> None:
    aws.client("ec2").create_vpc(CidrBlock="10.77.0.0/16")
    here, there = (
        [vpc["CidrBlock"] for vpc in one.client("ec2").describe_vpcs()["Vpcs"]] for one in (aws, Aws("eu-west-1"))
    )
    assert ("10.77.0.0/16" in here, "10.77.0.0/16" in there) == (True, False)


@pytest.mark.slow
def test_the_kinds_need_nothing_but_the_account_that_moto_has() -> None:
    code = "from workbench.sandbox.kinds.kind import Aws; print(Aws('us-east-1').account)"
    environment = {"MOTO_ACCOUNT_ID": "000000000000", "AWS_EC2_METADATA_DISABLED": "true"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "000000000000"


@pytest.mark.parametrize(
    ("code", "fine"),
    [
        ("NoSuchEntity", True),
        ("InvalidVpcID.NotFound", True),
        ("ParameterNotFound", True),
        ("AWS.SimpleQueueService.NonExistentQueue", True),
        ("DependencyViolation", False),
        ("ResourceInUse", False),
    ],
)
def test_deleting_what_is_gone_is_fine_and_no_other_failure_is(code: str, fine: bool) -> None:
    try:
        with absent_is_fine():
            raise ClientError({"Error": {"Code": code, "Message": ""}}, "Delete")
    except ClientError:
        assert not fine
    else:
        assert fine


# ---- Rows


def test_a_row_makes_up_a_name_sets_what_creating_does_not_take_and_tags(aws: Aws) -> None:
    made = LOG_GROUP.create(aws, wanted(Days="30", Tags={"own": "1"}))
    assert made.id == wanted().name(40)
    [group] = found(aws)
    assert (group["logGroupName"], group["retentionInDays"]) == (made.id, 30)
    tags = aws.client("logs").list_tags_log_group(logGroupName=made.id)["tags"]
    assert tags == wanted(Tags={"own": "1"}).all_tags()


def test_a_row_changes_only_what_is_different_and_goes_back_to_the_default(aws: Aws) -> None:
    before = wanted(Days=30, Tags={"own": "1"})
    made = LOG_GROUP.create(aws, before)
    aws.client("logs").put_retention_policy(logGroupName=made.id, retentionInDays=90)  # by hand
    assert LOG_GROUP.update(aws, made, before, wanted(Days="30")) == made
    assert found(aws)[0]["retentionInDays"] == 90
    assert "own" not in aws.client("logs").list_tags_log_group(logGroupName=made.id)["tags"]
    LOG_GROUP.update(aws, made, wanted(Days=30), wanted())
    assert found(aws)[0]["retentionInDays"] == 7


def test_a_row_deletes_and_does_not_mind_if_somebody_did(aws: Aws) -> None:
    made = LOG_GROUP.create(aws, wanted())
    for _ in range(2):
        LOG_GROUP.delete(aws, made, wanted())
    assert found(aws) == []


def test_a_row_refuses_what_it_does_not_know_before_anything_is_made(aws: Aws) -> None:
    with pytest.raises(Refused, match="does not know the property Size"):
        LOG_GROUP.create(aws, wanted(Size=1))
    assert found(aws) == []


def test_a_row_forgets_what_it_says_that_it_forgets(aws: Aws) -> None:
    made = LOG_GROUP.create(aws, wanted(Colour="green"))
    assert LOG_GROUP.update(aws, made, wanted(Colour="green"), wanted(Colour="red")) == made


def test_a_row_without_a_setting_for_it_changes_nothing_in_place(aws: Aws) -> None:
    group = {"GroupName": "hosts", "Strategy": "cluster"}
    with pytest.raises(NotInPlace) as problem:
        GROUP.update(aws, Made("hosts", {}), wanted(**group), wanted(**{**group, "Strategy": "spread"}))
    assert problem.value.property == "Strategy"


def test_what_is_in_use_is_not_deleted(aws: Aws) -> None:
    in_use = Row("logs", "create_log_group", "x", "delete_log_group", "logGroupName", in_use=lambda *_: ["b", "a"])
    with pytest.raises(Refused, match="logs has dependencies and cannot be deleted: a, b"):
        in_use.delete(aws, Made("logs", {}), wanted())


# ---- The table


def test_all_that_a_row_changes_in_place_is_what_the_specification_lets_change() -> None:
    """Otherwise the engine would replace what we could change, or the other way round."""
    wrong = {
        f"{type_}.{name}"
        for type_, kind in KINDS.items()
        if isinstance(kind, Row)
        for setting in kind.settings
        for name in setting.properties
        if replacement(type_, (name,)) in ("yes", "unknown")
    }
    assert wrong == set()


def test_reasons_are_given_for_all_that_is_forgotten_or_only_kept() -> None:
    reasons = [*ONLY_KEPT.values(), *(reason for kind in FORGOTTEN.values() for reason in kind.values())]
    assert all(len(reason) > 10 for reason in reasons)
    assert FORGOTTEN.keys() <= KINDS.keys()
    assert ONLY_KEPT.keys() <= KINDS.keys()
    assert "InstanceMaintenancePolicy" in FORGOTTEN["AWS::AutoScaling::AutoScalingGroup"]
    assert "associations" in ONLY_KEPT["AWS::SSM::Association"]


def test_every_type_that_is_not_only_kept_is_read_back() -> None:
    assert READERS.keys() == KINDS.keys() - ONLY_KEPT.keys()


def test_the_tables_are_frozen() -> None:
    for table in (KINDS, FORGOTTEN, ONLY_KEPT):
        with pytest.raises(TypeError):
            table["AWS::X::Y"] = None  # type: ignore[index]
