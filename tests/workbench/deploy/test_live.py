"""What is deployed, as AWS answers and as an assembly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workbench.deploy.memory import Memory
from workbench.deploy import Refused
from workbench.deploy.live import Account, Aws, Deployed, as_of_now, deployed, stuck
from workbench.templates import read_assembly

TEMPLATE = {
    "Parameters": {"Size": {"Type": "String", "Default": "small"}},
    "Resources": {
        "Work": {"Type": "AWS::SQS::Queue"},
        "Said": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/try/size", "Type": "String", "Value": {"Ref": "Size"}},
        },
    },
}


@pytest.fixture
def account(aws: Aws) -> Account:
    parameters = [{"ParameterKey": "Size", "ParameterValue": "large"}]
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName="try-data",
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=parameters,
        Tags=[{"Key": "shop:environment", "Value": "try"}],
        EnableTerminationProtection=True,
    )
    return Account(aws)


def test_a_stack_is_read_with_all_that_is_said_of_it(account: Account) -> None:
    found = account.stack("try-data", "us-east-1")
    tags = {"shop:environment": "try"}
    assert found == Deployed("try-data", "CREATE_COMPLETE", TEMPLATE, {"Size": "large"}, protected=True, tags=tags)


@pytest.mark.parametrize("protected", [True, False])
def test_protection_and_tags_are_those_of_the_stack_that_is_there(sandbox: dict[int, Path], protected: bool) -> None:
    wanted, memory = read_assembly(sandbox[1]), Memory.of(sandbox[1])
    memory.stacks["shop-web"] = replace(memory.stacks["shop-web"], protected=protected, tags={"owner": "me"})
    web = deployed(wanted, memory).stack("web")
    assert web is not None
    assert (web.termination_protection, web.tags) == (protected, {"owner": "me"})


def test_a_stack_that_is_not_there_is_none(account: Account) -> None:
    assert account.stack("try-web", "us-east-1") is None
    assert account.stack("try-data", "eu-west-1") is None


def test_a_stack_whose_template_we_cannot_have_written_is_said_in_a_sentence(aws: Aws) -> None:
    body = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"
    aws.client("cloudformation").create_stack(StackName="shop-web", TemplateBody=body)
    with pytest.raises(Refused, match="shop-web has a template that is no JSON, so it is none of this environment's"):
        Account(aws).stack("shop-web", "us-east-1")


def test_messages_of_a_queue_are_counted_visible_or_not(account: Account, aws: Aws) -> None:
    queue = account.physical_ids("try-data", "us-east-1")["Work"]
    assert account.messages(queue) == 0
    sqs = aws.client("sqs")
    for text in ("one", "two"):
        sqs.send_message(QueueUrl=queue, MessageBody=text)
    sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1)
    assert account.messages(queue) == 2
    sqs.delete_queue(QueueUrl=queue)
    assert account.messages(queue) == 0


def test_a_parameter_is_its_value_or_none(account: Account, aws: Aws) -> None:
    assert account.parameter("/try/database/active") is None
    aws.client("ssm").put_parameter(Name="/try/database/active", Value="host", Type="String")
    assert account.parameter("/try/database/active") == "host"


def test_what_is_deployed_becomes_an_assembly_of_the_same_roles(sandbox: dict[int, Path]) -> None:
    wanted, memory = read_assembly(sandbox[5]), Memory.of(sandbox[1])
    found = deployed(wanted, memory)
    assert found.order == ("network", "data", "web", "signals")
    assert len(found.stacks[1].resources) == 10


def test_values_behind_parameters_stand_in_both_assemblies(sandbox: dict[int, Path]) -> None:
    wanted = read_assembly(sandbox[1])
    before = wanted.stack("web")
    assert before is not None
    path = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64"
    after = as_of_now(wanted, Memory(parameters={path: "ami-0aaa"})).stack("web")
    assert after is not None
    assert [one["Default"] for one in before.template["Parameters"].values() if one["Default"] == path] == [path]
    assert {"Type": "String", "Default": "ami-0aaa"} in [
        {"Type": one["Type"], "Default": one["Default"]} for one in after.template["Parameters"].values()
    ]


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("CREATE_COMPLETE", ""),
        ("UPDATE_COMPLETE", ""),
        ("UPDATE_ROLLBACK_COMPLETE", ""),
        ("UPDATE_IN_PROGRESS", "describe-stack-events --stack-name shop-web"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "describe-stack-events"),
        ("ROLLBACK_COMPLETE", "delete-stack --stack-name shop-web"),
        ("CREATE_FAILED", "delete-stack"),
        ("ROLLBACK_FAILED", "delete-stack"),
        ("DELETE_FAILED", "put right what the events name, then: aws cloudformation delete-stack"),
        ("UPDATE_FAILED", "cdk rollback shop-web"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name shop-web"),
    ],
)
def test_a_stack_that_takes_no_update_is_said_with_the_way_out(status: str, way_out: str) -> None:
    found = list(stuck([Deployed("shop-web", status, {})]))
    assert len(found) == bool(way_out)
    assert all(one.startswith(f"shop-web is {status}: ") and way_out in one for one in found)
