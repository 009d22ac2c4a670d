"""Reading templates of anybody's: formats, manifests, roles, and references that lead to resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workbench.handmade import assembly, exported, imported, large, lone, resource, small, weakly
from workbench.templates import (
    Assembly,
    LockKind,
    Reference,
    UnreadableTemplateError,
    locks,
    read_assembly,
    references,
    resources,
)
from workbench.templates.backups import selected
from workbench.templates.reading import System, number

QUEUE = {"Type": "AWS::SQS::Queue"}

YAML = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Size: {Type: Number, Default: 20}
  Image: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /images/latest}
  Secret: {Type: String, NoEcho: true}
Conditions:
  Large: !Equals [!Ref Size, 20]
  Both: !And [!Condition Large, !Not [!Equals [a, b]]]
Mappings:
  Names: {eu-west-1: {Short: euw1}}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub ${AWS::StackName}-work
      Tags:
        - {Key: size, Value: !Ref Size}
        - {Key: region, Value: !FindInMap [Names, eu-west-1, Short]}
        - {Key: unknown, Value: !Ref Secret}
        - {Key: joined, Value: !Join ['-', [a, b]]}
        - {Key: open, Value: !Join ['-', [a, !Ref 'AWS::Region']]}
        - {Key: when, Value: !If [Both, x, y]}
        - {Key: image, Value: !Ref Image}
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument:
        Resource: [!GetAtt Queue.Arn, !Sub 'arn:${Queue.QueueName}:${!literal}:${Size}']
"""


def tags(of: Assembly) -> dict[str, Any]:
    return {tag["Key"]: tag["Value"] for tag in resources(of)["template", "Queue"].properties["Tags"]}


@pytest.fixture
def yaml_template(tmp_path: Path) -> Assembly:
    file = tmp_path / "mine.yaml"
    file.write_text(YAML, encoding="utf-8")
    return read_assembly(file)


# --- where templates come from ---------------------------------------------------------------------------------------


def test_a_cloud_assembly_is_read_in_an_order_that_can_be_deployed(tmp_path: Path) -> None:
    write_assembly(tmp_path, {"shop-web": ["shop-network", "shop-network.assets"], "shop-network": []})
    read = read_assembly(tmp_path)
    assert read.order == ("network", "web")
    web = read.stacks[1]
    assert (web.name, web.role, web.region) == ("shop-web", "web", "eu-west-1")
    assert web.dependencies == ("shop-network",)
    assert web.termination_protection


def test_an_assembly_inside_an_assembly_is_read_too(tmp_path: Path) -> None:
    write_assembly(tmp_path / "inner", {"Pipeline-Api": []})
    manifest = {"artifacts": {"inner": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "inner"}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert [stack.name for stack in read_assembly(tmp_path).stacks] == ["Pipeline-Api"]


def test_bare_templates_need_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "b.template.json").write_text(json.dumps({"Resources": {"Queue": QUEUE}}))
    (tmp_path / "a.template.yaml").write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")
    assert set(resources(read_assembly(tmp_path))) == {("a", "Topic"), ("b", "Queue")}


def test_two_single_templates_have_the_same_role_whatever_their_files_are_called(tmp_path: Path) -> None:
    for name in ("before.json", "after.json"):
        (tmp_path / name).write_text(json.dumps({"Resources": {"Queue": QUEUE}}))
    before, after = (resources(read_assembly(tmp_path / name)) for name in ("before.json", "after.json"))
    assert set(before) == set(after) == {("template", "Queue")}


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["shop-network", "shop-data"], ("network", "data")),
        (["my-shop-eu-network", "my-shop-eu-global"], ("network", "global")),
        (["Api", "Database"], ("Api", "Database")),
        (["a-data", "b-data"], ("a-data", "b-data")),
        (["network"], ("network",)),
        (["data", "x-data"], ("data", "x-data")),
    ],
)
def test_a_role_is_what_comes_after_the_environment_or_the_whole_name(
    names: list[str], roles: tuple[str, ...], tmp_path: Path
) -> None:
    write_assembly(tmp_path, {name: [] for name in names})
    assert read_assembly(tmp_path).order == roles


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("x.json", "{", "is not JSON"),
        ("x.json", "[]", "holds list, not a template"),
        ("x.json", '{"Resources": []}', "Resources is list"),
        ("x.json", '{"Resources": {"A": {}}}', "resource A has no Type"),
        ("x.yaml", "a: [", "is not a template"),
        ("x.yaml", "just text", "holds str, not a template"),
        ("x.yaml", "!!python/object/apply:os.getcwd []", "is not a template"),
        ("x.template.txt", "", "holds NoneType, not a template"),
    ],
)
def test_what_is_no_template_is_refused_by_name(file: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(UnreadableTemplateError, match=message) as refused:
        read_assembly(tmp_path / file)
    assert file in str(refused.value)


def test_what_a_macro_would_add_is_left_out(tmp_path: Path) -> None:
    loop = {"Fn::ForEach::Topics": ["Name", ["A"], {"Topic${Name}": {"Type": "AWS::SNS::Topic"}}]}
    (tmp_path / "x.json").write_text(json.dumps({"Resources": {"Queue": QUEUE, **loop}}))
    assert set(resources(read_assembly(tmp_path / "x.json"))) == {("template", "Queue")}


def test_a_manifest_that_names_no_template_is_refused(tmp_path: Path) -> None:
    manifest = {"artifacts": {"Stack": {"type": "aws:cloudformation:stack"}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UnreadableTemplateError, match="stack Stack names no template"):
        read_assembly(tmp_path)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTemplateError, match="holds no template"):
        read_assembly(tmp_path)
    with pytest.raises(UnreadableTemplateError, match="does not exist"):
        read_assembly(tmp_path / "nowhere")


def write_assembly(folder: Path, stacks: dict[str, list[str]]) -> None:
    folder.mkdir(exist_ok=True)
    artifacts: dict[str, Any] = {"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}
    for name, dependencies in stacks.items():
        artifacts[f"{name}.assets"] = {"type": "cdk:asset-manifest"}
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://000000000000/eu-west-1",
            "properties": {"templateFile": f"{name}.template.json", "terminationProtection": True},
            "dependencies": dependencies,
        }
        (folder / f"{name}.template.json").write_text(json.dumps({"Resources": {"Queue": QUEUE}}))
    (folder / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": artifacts}))


# --- references ------------------------------------------------------------------------------------------------------


def test_short_forms_become_references(yaml_template: Assembly) -> None:
    policy = resources(yaml_template)["template", "Policy"].properties
    assert policy["Queues"] == [Reference("template", "Queue")]
    first, second = policy["PolicyDocument"]["Resource"]
    assert first == Reference("template", "Queue", "Arn")
    name = Reference("template", "Queue", "QueueName")
    assert second == {"Fn::Sub": ["arn:${Queue.QueueName}:${!literal}:${Size}", {"Queue.QueueName": name, "Size": 20}]}


def test_what_templates_alone_can_tell_is_told(yaml_template: Assembly) -> None:
    assert resources(yaml_template)["template", "Queue"].properties["QueueName"] == "mine-work"
    found = tags(yaml_template)
    assert found["size"] == 20
    assert found["region"] == "euw1"
    assert found["joined"] == "a-b"
    assert found["image"] == "{{resolve:ssm:/images/latest}}"


def test_what_only_aws_can_tell_stays_as_written(yaml_template: Assembly) -> None:
    found = tags(yaml_template)
    assert found["unknown"] == {"Ref": "Secret"}
    assert found["open"] == {"Fn::Join": ["-", ["a", {"Ref": "AWS::Region"}]]}


def test_a_condition_is_replaced_by_what_it_says(yaml_template: Assembly) -> None:
    condition, *branches = tags(yaml_template)["when"]["Fn::If"]
    assert branches == ["x", "y"]
    large = {"Fn::Equals": [20, 20]}
    assert condition == {"Fn::And": [large, {"Fn::Not": [{"Fn::Equals": ["a", "b"]}]}]}


def test_strong_and_weak_references_lead_to_the_resource_behind_them() -> None:
    read = resources(assembly(small()))
    assert read["data", "Volume"].properties["KmsKeyId"] == Reference("network", "Key", "Arn")
    (dimension,) = read["signals", "Alarm"].properties["Dimensions"]
    assert dimension["Value"] == Reference("data", "Database")


def test_an_export_may_have_a_name_that_only_its_stack_completes() -> None:
    owner = {"Resources": {"Queue": QUEUE}, "Outputs": {"Q": {"Value": {"Ref": "Queue"}, "Export": {"Name": NAMED}}}}
    reader = {"Resources": {"Topic": resource("AWS::SNS::Topic", TopicName={"Fn::ImportValue": "shop-one-queue"})}}
    read = resources(assembly({"one": owner, "two": reader}))
    assert read["two", "Topic"].properties["TopicName"] == Reference("one", "Queue")


NAMED = {"Fn::Sub": "${AWS::StackName}-queue"}


def test_what_is_imported_from_elsewhere_stays_as_written() -> None:
    read = resources(lone({"Topic": resource("AWS::SNS::Topic", TopicName={"Fn::ImportValue": "elsewhere"})}))
    assert read["template", "Topic"].properties["TopicName"] == {"Fn::ImportValue": "elsewhere"}


def test_outputs_that_lead_in_a_circle_are_left_alone() -> None:
    templates = {
        here: {
            "Resources": {"Topic": resource("AWS::SNS::Topic", TopicName=weakly(there, "Value"))},
            "Outputs": {"Value": {"Value": weakly(there, "Value")}},
        }
        for here, there in (("one", "two"), ("two", "one"))
    }
    assert "Fn::GetStackOutput" in resources(assembly(templates))["one", "Topic"].properties["TopicName"]


def test_data_that_looks_like_a_function_is_data() -> None:
    read = resources(lone({"Queue": resource("AWS::SQS::Queue", Refresh={"RefName": "Queue"})}))
    assert read["template", "Queue"].properties["Refresh"] == {"RefName": "Queue"}


def test_references_are_told_with_the_property_that_uses_them() -> None:
    value = {"Subnets": [{"Fn::Join": ["", ["a", Reference("network", "Subnet")]]}], "Key": Reference("network", "Key")}
    assert list(references(value)) == [
        (("Subnets", 0, 1, 1), Reference("network", "Subnet")),
        (("Key",), Reference("network", "Key")),
    ]


def test_resources_cannot_be_changed_by_accident() -> None:
    read: Any = resources(assembly(small()))
    with pytest.raises(TypeError):
        read["data", "Other"] = None
    with pytest.raises(TypeError):
        read["data", "Volume"].properties["Size"] = 1


# --- export locks ----------------------------------------------------------------------------------------------------


def test_nothing_is_locked_on_the_way_up_and_down() -> None:
    for before, after, order in (
        (small(), large(), assembly(large()).order),
        (large(), small(), assembly(small()).order[::-1]),
    ):
        assert locks(assembly(before), assembly(after), order) == []


def test_the_order_decides_whether_an_export_may_go() -> None:
    before = {
        "one": {"Resources": {"Queue": QUEUE}, "Outputs": {"Q": exported("one", {"Ref": "Queue"})}},
        "two": {"Resources": {"Topic": resource("AWS::SNS::Topic", TopicName=imported("one", "Queue"))}},
    }
    after = {"one": {"Resources": {"Queue": QUEUE}}, "two": {"Resources": {"Topic": resource("AWS::SNS::Topic")}}}
    (lock,) = locks(assembly(before), assembly(after), ("one", "two"))
    assert (lock.kind, lock.deploying, lock.output, lock.stacks) == (
        LockKind.REMOVED, "one", "shop-one:Queue", ("two",),
    )  # fmt: skip
    assert locks(assembly(before), assembly(after), ("two", "one")) == []


def test_a_stack_that_becomes_empty_takes_its_exports_along() -> None:
    before = small()
    after = small() | {"network": {"Outputs": before["network"]["Outputs"]}}
    found = locks(assembly(before), assembly(after), ("network",))
    assert {lock.kind for lock in found} == {LockKind.REMOVED}
    assert {lock.output for lock in found} == {
        "shop-network:Subnet", "shop-network:Group", "shop-network:Key.Arn",
    }  # fmt: skip


def test_an_export_of_the_same_words_is_locked_when_its_resource_is_replaced() -> None:
    after = small()
    after["network"]["Resources"]["Subnet"]["Properties"]["CidrBlock"] = "10.0.7.0/24"
    found = locks(assembly(small()), assembly(after), assembly(after).order)
    assert (LockKind.CHANGED, "shop-network:Subnet", ("data", "web")) in [
        (lock.kind, lock.output, lock.stacks) for lock in found
    ]


def test_a_value_of_another_app_is_not_missed() -> None:
    after = small()
    after["web"]["Resources"]["Address"]["Properties"] = {"Pool": {"Fn::ImportValue": "elsewhere"}}
    assert locks(assembly(small()), assembly(after), assembly(after).order) == []


@pytest.mark.parametrize(("written", "read"), [(3, 3), ("3", 3), (True, 7), ("x", 7), (float("inf"), 7), ({}, 7)])
def test_a_number_is_read_as_far_as_it_is_one(written: object, read: int) -> None:
    assert number(written, 7) == read


# --- backups ---------------------------------------------------------------------------------------------------------


def test_a_selection_takes_what_it_names_and_what_has_one_of_its_tags() -> None:
    def tagged(value: object) -> dict[str, Any]:
        return resource("AWS::EC2::Volume", Tags=[{"Key": "backup", "Value": value}])

    chosen = {
        "ListOfTags": [
            {"ConditionKey": "backup", "ConditionValue": value} for value in ("yes", {"Ref": "AWS::Region"})
        ],
        "Resources": [{"Fn::GetAtt": ["Named", "Arn"]}],
    }
    system = System(
        lone(
            {
                "Tagged": tagged("yes"),
                "Other": tagged("no"),
                "Unknown": tagged({"Ref": "AWS::Region"}),
                "Named": resource("AWS::DynamoDB::Table"),
                "Selection": resource("AWS::Backup::BackupSelection", BackupSelection=chosen),
            }
        )
    )
    found = selected(system, system.by_key["template", "Selection"])
    assert [each.id for each in found] == ["Tagged", "Named"]
