"""What callers of the local CloudFormation are told, as boto3 understands it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.workbench.sandbox.pretend import Pretend, template
from workbench.sandbox import engine as engine_module
from workbench.sandbox.api import answer

BODY = json.dumps(template(Topic={}))
ROLE = {"Resources": {"Role": {"Type": "AWS::IAM::Role"}}}


@pytest.fixture
def cloud() -> Pretend:
    return Pretend()


def create(cloud: Pretend, name: str = "shop", **more: Any) -> None:
    cloud.api.create_stack(**{"StackName": name, "TemplateBody": BODY, **more})


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda api: api.describe_stacks(StackName="nobody"), "Stack with id nobody does not exist"),
        (lambda api: api.describe_stack_events(StackName="nobody"), "Stack [nobody] does not exist"),
        (lambda api: api.get_template(StackName="nobody"), "Stack with id nobody does not exist"),
        (lambda api: api.update_stack(StackName="nobody", TemplateBody=BODY), "Stack [nobody] does not exist"),
        (lambda api: api.create_stack(StackName="no_name", TemplateBody=BODY), "Stack name 'no_name'"),
        (lambda api: api.create_stack(StackName="shop", TemplateBody=BODY), "Stack [shop] already exists"),
        (lambda api: api.create_stack(StackName="new", TemplateBody="Hello"), "Template format error"),
        (lambda api: api.create_stack(StackName="new", TemplateBody=BODY + " " * 51_200), "more than 51200 bytes"),
        (lambda api: api.create_stack(StackName="new", TemplateBody=json.dumps(ROLE)), "CAPABILITY_IAM"),
        (lambda api: api.update_stack(StackName="shop", TemplateBody=BODY), "No updates are to be performed."),
        (lambda api: api.rollback_stack(StackName="shop"), "rollback is not simulated"),
        (lambda api: api.detect_stack_drift(StackName="shop"), "does not know DetectStackDrift"),
        (
            lambda api: api.create_change_set(
                StackName="shop", ChangeSetName="a", ChangeSetType="CREATE", TemplateBody=BODY
            ),
            "already exists and cannot be created again",
        ),
        (
            lambda api: api.create_change_set(
                StackName="shop", ChangeSetName="a", ChangeSetType="IMPORT", TemplateBody=BODY
            ),
            "does not import",
        ),
        (
            lambda api: api.update_stack(
                StackName="shop", TemplateBody=BODY, Parameters=[{"ParameterKey": "New", "UsePreviousValue": True}]
            ),
            "New has no previous value",
        ),
    ],
)
def test_a_request_that_cannot_be_carried_out_says_why(cloud: Pretend, ask: Callable[[Any], Any], says: str) -> None:
    create(cloud)
    with pytest.raises(ClientError) as problem:
        ask(cloud.api)
    assert says in str(problem.value)


def test_the_exceptions_have_the_names_that_callers_catch(cloud: Pretend) -> None:
    create(cloud)
    with pytest.raises(cloud.api.exceptions.AlreadyExistsException):
        create(cloud)
    with pytest.raises(cloud.api.exceptions.ChangeSetNotFoundException):
        cloud.api.describe_change_set(StackName="shop", ChangeSetName="none")
    with pytest.raises(cloud.api.exceptions.InsufficientCapabilitiesException):
        create(cloud, "rights", TemplateBody=json.dumps(ROLE))


def test_an_unknown_action_is_answered_with_an_error() -> None:
    status, said = answer(Pretend().engine, "us-east-1", "Action=Nonsense")
    assert status == 400
    assert "The local CloudFormation does not know Nonsense" in said


def test_a_stack_under_review_exists_until_it_is_deleted(cloud: Pretend) -> None:
    made = cloud.api.create_change_set(
        StackName="shop", ChangeSetName="a", ChangeSetType="CREATE", TemplateBody=BODY, Description="first"
    )
    assert cloud.stack("shop")["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert cloud.api.describe_change_set(ChangeSetName=made["Id"])["Description"] == "first"
    with pytest.raises(ClientError, match="REVIEW_IN_PROGRESS state and can not be updated"):
        cloud.api.update_stack(StackName="shop", TemplateBody=BODY)
    cloud.api.delete_stack(StackName="shop")
    assert cloud.stacks() == []


def test_a_deleted_stack_is_found_by_its_id_only(cloud: Pretend) -> None:
    create(cloud)
    id_ = cloud.stack("shop")["StackId"]
    cloud.api.delete_stack(StackName="shop")
    assert cloud.stack(id_)["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="Stack with id shop does not exist"):
        cloud.stack("shop")
    create(cloud)
    assert cloud.stack("shop")["StackId"] != id_
    listed = cloud.api.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert [one["StackId"] for one in listed] == [id_]


def test_a_protected_stack_is_not_deleted(cloud: Pretend) -> None:
    create(cloud, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="cannot be deleted while TerminationProtection is enabled"):
        cloud.api.delete_stack(StackName="shop")
    cloud.api.update_termination_protection(StackName="shop", EnableTerminationProtection=False)
    cloud.api.delete_stack(StackName="shop")
    assert cloud.stacks() == []


def test_what_is_hidden_is_never_told(cloud: Pretend) -> None:
    body = template(Topic={"DisplayName": {"Ref": "Secret"}})
    body["Parameters"] = {"Secret": {"Type": "String", "NoEcho": True}}
    given = [{"ParameterKey": "Secret", "ParameterValue": "hush"}]
    create(cloud, TemplateBody=json.dumps(body), Parameters=given)
    assert cloud.stack("shop")["Parameters"][0]["ParameterValue"] == "****"
    assert cloud.things.wanted()["shop/Topic"] == {"DisplayName": "hush"}


def test_the_template_comes_back_as_it_was_given(cloud: Pretend) -> None:
    body = "Resources:\n  Topic: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: !Sub '${AWS::StackName}'}}\n"
    create(cloud, TemplateBody=body)
    assert cloud.api.get_template(StackName="shop")["TemplateBody"] == body
    assert cloud.things.wanted()["shop/Topic"] == {"DisplayName": "shop"}
    summary = cloud.api.get_template_summary(StackName="shop")
    assert summary["ResourceTypes"] == ["AWS::SNS::Topic"]


def test_resources_are_listed_with_their_physical_ids(cloud: Pretend) -> None:
    create(cloud)
    (there,) = cloud.things.there
    assert cloud.api.list_stack_resources(StackName="shop")["StackResourceSummaries"][0]["PhysicalResourceId"] == there
    (told,) = cloud.api.describe_stack_resources(StackName="shop")["StackResources"]
    assert (told["PhysicalResourceId"], told["ResourceStatus"]) == (there, "CREATE_COMPLETE")


def test_a_stack_is_described_and_not_touched_while_it_is_at_work(
    cloud: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SECONDS_UNTIL_ANSWER", 0.05)
    goes_on, create_thing = threading.Event(), cloud.things.create

    def slowly(*arguments: Any) -> Any:
        assert goes_on.wait(10)
        return create_thing(*arguments)

    monkeypatch.setattr(cloud.things, "create", slowly)
    create(cloud)
    assert cloud.stack("shop")["StackStatus"] == "CREATE_IN_PROGRESS"
    assert cloud.events("shop")[-1] == ("Topic", "CREATE_IN_PROGRESS")
    for touch in (cloud.api.update_stack, cloud.api.delete_stack):
        body = {} if touch == cloud.api.delete_stack else {"TemplateBody": BODY}
        with pytest.raises(ClientError, match="CREATE_IN_PROGRESS"):
            touch(StackName="shop", **body)
    goes_on.set()
    cloud.api.get_waiter("stack_create_complete").wait(StackName="shop", WaiterConfig={"Delay": 0, "MaxAttempts": 500})


def test_what_breaks_inside_ends_as_a_failure_and_not_in_waiting(
    cloud: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.things, "create", lambda *_: 1 / 0)
    create(cloud)
    assert cloud.stack("shop")["StackStatus"] == "CREATE_FAILED"
    assert "division by zero" in cloud.stack("shop")["StackStatusReason"]
