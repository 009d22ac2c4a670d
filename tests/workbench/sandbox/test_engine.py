"""The local CloudFormation, by AWS's documented behaviour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workbench.sandbox.pretend import Pretend, exporting, template

Template = dict[str, Any]


@pytest.fixture
def cloud() -> Pretend:
    return Pretend()


# --- change sets -----------------------------------------------------------------------------------------------------


def test_a_change_set_without_changes_fails_with_the_words_that_the_command_line_looks_for(cloud: Pretend) -> None:
    cloud.deploy("shop", template(Topic={"DisplayName": 5}))
    said = cloud.changes("shop", template(Topic={"DisplayName": "5"}))
    assert said["Status"] == "FAILED"
    assert said["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_a_changed_output_alone_is_a_change(cloud: Pretend) -> None:
    cloud.deploy("shop", template({"Out": {"Value": "one"}}, Topic={}))
    assert cloud.deploy("shop", template({"Out": {"Value": "two"}}, Topic={})) == "UPDATE_COMPLETE"
    assert cloud.stack("shop")["Outputs"][0]["OutputValue"] == "two"


def test_a_change_set_tells_what_is_added_changed_replaced_and_removed(cloud: Pretend) -> None:
    before = template(Same={}, Changed={"DisplayName": "x"}, Renamed={"TopicName": "a"}, Gone={})
    cloud.deploy("shop", before)
    user = {"TopicName": {"Fn::Sub": "${Renamed}-copy"}}
    kept = {"_": {"DeletionPolicy": "Retain"}}
    after = template(Same={}, Changed={"DisplayName": "y"}, Renamed={"TopicName": "b"}, New=user, Gone=kept)
    told = {one["ResourceChange"]["LogicalResourceId"]: one["ResourceChange"] for one in changes(cloud, after)}

    assert {name: one["Action"] for name, one in told.items()} == {
        "Changed": "Modify",
        "Renamed": "Modify",
        "New": "Add",
        "Gone": "Modify",
    }
    assert (told["Changed"]["Replacement"], told["Renamed"]["Replacement"]) == ("False", "True")
    assert told["Renamed"]["PolicyAction"] == "ReplaceAndDelete"
    assert told["Renamed"]["Details"][0]["Target"] == {
        "Attribute": "Properties",
        "Name": "TopicName",
        "Path": "/Properties/TopicName",
        "RequiresRecreation": "Always",
    }
    assert told["Gone"]["Scope"] == ["DeletionPolicy"]


def test_what_only_another_resource_can_tell_is_conditional_in_a_change_set(cloud: Pretend) -> None:
    user = {"TopicName": {"Fn::Sub": "${Base}-copy"}}
    cloud.deploy("shop", template(Base={"TopicName": "a"}, User=user))
    told = changes(cloud, template(Base={"TopicName": "b"}, User=user))[1]["ResourceChange"]
    assert (told["LogicalResourceId"], told["Replacement"]) == ("User", "Conditional")
    assert told["Details"][0]["Evaluation"] == "Dynamic"
    assert told["Details"][0]["CausingEntity"] == "Base"


def test_a_removal_tells_what_its_policy_leaves(cloud: Pretend) -> None:
    policies = {"A": "Retain", "B": "Snapshot", "C": "Delete"}
    body = {name: {"_": {"DeletionPolicy": policy}} for name, policy in policies.items()}
    cloud.deploy("shop", template(Stays={}, **body))
    told = [one["ResourceChange"] for one in changes(cloud, template(Stays={}))]
    assert {one["LogicalResourceId"]: one["PolicyAction"] for one in told} == policies
    assert {one["Action"] for one in told} == {"Remove"}


def changes(cloud: Pretend, after: Template) -> list[Any]:
    return list(cloud.changes("shop", after)["Changes"])


def test_executing_a_change_set_ends_all_others_of_its_stack(cloud: Pretend) -> None:
    cloud.deploy("shop", template(Topic={}))
    for name in ("a", "b"):
        body = json.dumps(template(Topic={"DisplayName": name}))
        cloud.api.create_change_set(StackName="shop", ChangeSetName=name, TemplateBody=body)
    cloud.api.execute_change_set(StackName="shop", ChangeSetName="a")
    assert cloud.api.list_change_sets(StackName="shop")["Summaries"] == []
    assert cloud.things.wanted()["shop/Topic"] == {"DisplayName": "a"}


# --- updates ---------------------------------------------------------------------------------------------------------


def test_only_what_differs_is_touched(cloud: Pretend) -> None:
    cloud.deploy("shop", template(A={"DisplayName": "x"}, B={"DisplayName": {"Ref": "A"}}))
    cloud.things.done.clear()
    cloud.deploy("shop", template(A={"DisplayName": "y"}, B={"DisplayName": {"Ref": "A"}}))
    assert cloud.things.done == ["update A"]


def test_an_attribute_that_an_update_changed_reaches_those_that_read_it(cloud: Pretend) -> None:
    def body(text: str) -> Template:
        return template(A={"DisplayName": text}, B={"DisplayName": {"Fn::GetAtt": ["A", "VersionId"]}})

    cloud.deploy("shop", body("x"))
    assert [one["ResourceChange"]["LogicalResourceId"] for one in changes(cloud, body("y"))] == ["A", "B"]
    cloud.deploy("shop", body("y"))
    assert cloud.things.done[2:] == ["update A", "update B"]


def test_what_a_kind_cannot_change_in_place_is_replaced(cloud: Pretend) -> None:
    cloud.deploy("shop", template(Topic={"DisplayName": "old"}))
    cloud.things.done.clear()
    assert cloud.deploy("shop", template(Topic={"DisplayName": "new"})) == "UPDATE_COMPLETE"
    assert cloud.things.done == ["create Topic", "delete Topic"]


def test_generated_names_of_replacements_never_meet(cloud: Pretend) -> None:
    names = set()
    for text in ("old", "new", "old", "new"):
        cloud.deploy("shop", template(Topic={"DisplayName": text}))
        names |= {*cloud.things.there}
    assert len(names) == 3
    assert all(name.startswith("shop-Topic-") for name in names)


def test_the_tags_of_the_stack_reach_what_is_there_already(cloud: Pretend) -> None:
    cloud.deploy("shop", template(Topic={}))
    assert cloud.deploy("shop", template(Topic={}), Tags=[{"Key": "owner", "Value": "us"}]) == "UPDATE_COMPLETE"
    (made,) = cloud.things.there.values()
    assert made.tags["owner"] == "us"


@pytest.mark.parametrize(
    ("policy", "left", "done"),
    [("Delete", False, ["delete T"]), ("Retain", True, []), ("Snapshot", False, ["snapshot T", "delete T"])],
)
def test_the_deletion_policy_says_what_a_removal_leaves(
    cloud: Pretend, policy: str, left: bool, done: list[str]
) -> None:
    cloud.deploy("shop", template(Stays={}, T={"_": {"DeletionPolicy": policy}}))
    cloud.things.done.clear()
    cloud.deploy("shop", template(Stays={}))
    assert ("shop/T" in cloud.things.wanted(), cloud.things.done) == (left, done)


@pytest.mark.parametrize(
    ("policy", "done"),
    [
        (None, ["create T", "delete T"]),
        ("Retain", ["create T"]),
        ("Snapshot", ["create T", "snapshot T", "delete T"]),
    ],
)
def test_the_update_replace_policy_says_what_a_replacement_leaves(
    cloud: Pretend, policy: str | None, done: list[str]
) -> None:
    told = {"_": {"UpdateReplacePolicy": policy}} if policy else {}
    cloud.deploy("shop", template(T={"TopicName": "a", **told}))
    cloud.things.done.clear()
    cloud.deploy("shop", template(T={"TopicName": "b", **told}))
    assert cloud.things.done == done


def test_what_is_retained_except_on_create_goes_with_a_stack_that_never_was(cloud: Pretend) -> None:
    kept = {"_": {"DeletionPolicy": "RetainExceptOnCreate"}}
    cloud.deploy("half", template(A=kept, B={"DisplayName": "refuse", "_": {"DependsOn": "A"}}))
    cloud.deploy("whole", template(A=kept))
    for stack in ("half", "whole"):
        cloud.api.delete_stack(StackName=stack)
    assert list(cloud.things.wanted()) == ["whole/A"]


def test_a_type_cannot_take_over_the_name_of_another(cloud: Pretend) -> None:
    cloud = Pretend("AWS::SNS::Topic", "AWS::SQS::Queue")
    cloud.deploy("shop", template(T={}))
    said = cloud.deploy("shop", template(T={"_": {"Type": "AWS::SQS::Queue"}}))
    assert "Update of resource type is not permitted" in said
    assert "[T]" in said


# --- shared values ---------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(cloud: Pretend) -> Pretend:
    """A stack that exports a name, and one that imports it."""
    cloud.deploy("net", template(exporting({"Ref": "T"}), T={"TopicName": "a"}))
    cloud.deploy("web", template(User={"DisplayName": {"Fn::ImportValue": "shared"}}))
    cloud.things.done.clear()
    return cloud


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (template(T={"TopicName": "a"}), "Cannot delete export shared as it is in use by web."),
        (template(exporting("other"), T={"TopicName": "a"}), "Cannot update export shared as it is in use by web."),
        (template(exporting({"Ref": "T"}), T={"TopicName": "b"}), "Cannot update export shared"),
    ],
)
def test_an_export_in_use_can_neither_change_nor_go_and_nothing_has_been_changed(
    shared: Pretend, after: Template, says: str
) -> None:
    assert shared.deploy("net", after) == "UPDATE_ROLLBACK_COMPLETE"
    assert says in shared.stack("net")["StackStatusReason"]
    assert shared.things.done == []


def test_a_stack_whose_export_is_in_use_is_not_deleted_and_stays_as_it_was(shared: Pretend) -> None:
    shared.api.delete_stack(StackName="net")
    stack = shared.stack("net")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["StackStatusReason"] == "Delete canceled. Cannot delete export shared as it is in use by web."

    shared.api.delete_stack(StackName="web")
    shared.api.delete_stack(StackName="net")
    assert shared.stacks() == []


def test_an_export_that_is_no_longer_imported_may_go(shared: Pretend) -> None:
    shared.deploy("web", template(User={}))
    assert shared.deploy("net", template(T={"TopicName": "a"})) == "UPDATE_COMPLETE"
    assert shared.api.list_exports()["Exports"] == []


def test_an_import_counts_although_the_update_that_brought_it_failed(shared: Pretend) -> None:
    shared.deploy("more", template(A={}))
    user = {"DisplayName": {"Fn::ImportValue": "shared"}, "_": {"DependsOn": "A"}}
    bad = template(A={}, B=user, C={"DisplayName": "refuse", "_": {"DependsOn": "B"}})
    assert shared.deploy("more", bad) == "UPDATE_FAILED"
    shared.api.delete_stack(StackName="web")
    shared.api.delete_stack(StackName="net")
    assert "in use by more" in shared.stack("net")["StackStatusReason"]


def test_the_name_of_an_export_is_unique(shared: Pretend) -> None:
    assert shared.deploy("twin", template(exporting("x"), T={})) == "ROLLBACK_COMPLETE"
    assert "Export with name shared is already exported by stack net" in shared.stack("twin")["StackStatusReason"]
    assert shared.things.done == []


def test_an_import_of_nothing_is_refused_before_anything_is_made(cloud: Pretend) -> None:
    said = cloud.deploy("web", template(User={"DisplayName": {"Fn::ImportValue": "nobody"}}))
    assert "No export named nobody found" in said
    assert cloud.things.done == []


# --- what fails ------------------------------------------------------------------------------------------------------


def test_a_creation_that_fails_stops_with_the_reason_and_says_that_rollback_is_not_simulated(cloud: Pretend) -> None:
    body = template(A={}, B={"DisplayName": "refuse", "_": {"DependsOn": "A"}}, C={"_": {"DependsOn": "B"}})
    assert cloud.deploy("shop", body) == "ROLLBACK_FAILED"
    reason = cloud.stack("shop")["StackStatusReason"]
    assert "failed to create: [B] (AWS::SNS::Topic: the service says no)" in reason
    assert "rollback is not simulated" in reason
    assert ("B", "CREATE_FAILED") in cloud.events("shop")
    assert cloud.things.done == ["create A"]


def test_an_update_that_fails_can_be_put_right_by_the_next_one(cloud: Pretend) -> None:
    cloud.deploy("shop", template(A={"DisplayName": "x"}, B={"_": {"DependsOn": "A"}}))
    bad = template(A={"DisplayName": "y"}, B={"DisplayName": "refuse", "_": {"DependsOn": "A"}})
    assert cloud.deploy("shop", bad) == "UPDATE_FAILED"
    assert "rollback is not simulated" in cloud.stack("shop")["StackStatusReason"]

    good = template(A={"DisplayName": "y"}, B={"DisplayName": "z", "_": {"DependsOn": "A"}})
    assert cloud.deploy("shop", good, DisableRollback=True) == "UPDATE_COMPLETE"
    assert cloud.things.wanted() == {"shop/A": {"DisplayName": "y"}, "shop/B": {"DisplayName": "z"}}


def test_what_could_not_be_deleted_after_an_update_is_an_error_and_tried_again(cloud: Pretend) -> None:
    cloud.deploy("shop", template(Stays={}, Sticky={"DisplayName": "clings"}))
    assert cloud.deploy("shop", template(Stays={})) == "UPDATE_FAILED"
    assert "failed to delete: [Sticky]" in cloud.stack("shop")["StackStatusReason"]

    stuck = next(one for one in cloud.things.there.values() if one.id == "Sticky")
    stuck.properties["DisplayName"] = "lets go"  # type: ignore[index]
    assert cloud.deploy("shop", template(Stays={})) == "UPDATE_COMPLETE"
    assert list(cloud.things.wanted()) == ["shop/Stays"]


def test_an_update_is_told_resource_by_resource(cloud: Pretend) -> None:
    cloud.deploy("shop", template(A={"TopicName": "a"}, B={}))
    before = len(cloud.events("shop"))
    cloud.deploy("shop", template(A={"TopicName": "b"}))
    assert [one for one in cloud.events("shop")[before:] if one[0] != "shop"] == [
        ("A", "UPDATE_IN_PROGRESS"),
        ("A", "UPDATE_IN_PROGRESS"),
        ("A", "UPDATE_COMPLETE"),
        ("B", "DELETE_IN_PROGRESS"),
        ("B", "DELETE_COMPLETE"),
        ("A", "DELETE_IN_PROGRESS"),
        ("A", "DELETE_COMPLETE"),
    ]


# --- laws ------------------------------------------------------------------------------------------------------------

TOPICS = st.fixed_dictionaries(
    {},
    optional={
        "A": st.sampled_from(
            [{}, {"DisplayName": "x"}, {"DisplayName": "y"}, {"TopicName": "a1"}, {"TopicName": "a2"}]
        ),
        "B": st.sampled_from([{}, {"DisplayName": {"Ref": "Base"}}, {"TopicName": {"Fn::Sub": "${Base}-b"}}]),
        "C": st.sampled_from([{"DisplayName": "new"}, {"DisplayName": "z", "_": {"DependsOn": "Base"}}]),
    },
)
BASES = st.sampled_from([{"TopicName": "base"}, {"TopicName": "other"}, {"TopicName": "base", "DisplayName": "x"}])
TEMPLATES = st.builds(lambda base, more: template(Base=base, **more), BASES, TOPICS)


@pytest.mark.slow
@given(templates=st.lists(TEMPLATES, min_size=2, max_size=5))
@settings(max_examples=25, deadline=None)
def test_any_way_to_a_template_ends_where_a_fresh_deployment_of_it_does(templates: list[Template]) -> None:
    there, fresh = Pretend(), Pretend()
    for one in templates:
        assert there.deploy("shop", one) in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "")
    fresh.deploy("shop", templates[-1])

    assert state(there) == state(fresh)
    assert there.deploy("shop", templates[-1]) == ""
    there.api.delete_stack(StackName="shop")
    assert there.things.there == {}


def state(cloud: Pretend) -> Mapping[str, Any]:
    """All that is there, without the names that are made up."""
    wanted = {name: dict(properties) for name, properties in cloud.things.wanted().items()}
    listed = cloud.api.list_stack_resources(StackName="shop")["StackResourceSummaries"]
    assert {one["PhysicalResourceId"] for one in listed} == set(cloud.things.there)
    return wanted
