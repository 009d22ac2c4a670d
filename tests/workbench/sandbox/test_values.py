"""What templates come to: each function, parameters and conditions, by what AWS documents of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from workbench.sandbox.values import (
    NOTHING,
    TemplateError,
    Values,
    in_order,
    needed_by,
    parameters,
    read,
    with_dynamic_references,
)
from workbench.templates.references import Reference


class World:
    """What is outside of the template."""

    def imported(self, name: str) -> Any:
        return f"export {name}"

    def output(self, stack: str, output: str, region: str) -> Any:
        return f"{region} {stack} {output}"

    def zones(self, region: str) -> list[str]:
        return [f"{region}a", f"{region}b"]

    def parameter(self, name: str) -> str:
        return {"/image": "ami-1", "/several": "one, two", "/image:3": "ami-3"}[name]

    def secret(self, name: str, key: str, stage: str, version: str) -> str:
        return "/".join((name, key, stage, version))


TEMPLATE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Later": {"Type": "AWS::S3::Bucket"}},
    "Conditions": {
        "Yes": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
    },
}
PLAIN = {"AWS::Region": "us-east-1", "AWS::NoValue": NOTHING, "Number": "5", "List": ["a", "b"]}


def known(reference: Reference) -> Any:
    return reference if reference.id == "Later" else f"{reference.attribute or 'ref'} of {reference.id}"


def values(template: Mapping[str, Any] = TEMPLATE) -> Values:
    return Values("shop", template, PLAIN, World(), known)


LATER = {"Ref": "Later"}
PENDING = Reference("shop", "Later")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ({"Ref": "Bucket"}, "ref of Bucket"),
        ({"Ref": "List"}, ["a", "b"]),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "Arn of Bucket"),
        ({"Fn::GetAtt": "Bucket.Endpoint.Address"}, "Endpoint.Address of Bucket"),
        ({"Fn::Join": ["-", ["a", 5, True, {"Ref": "Number"}]]}, "a-5-true-5"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "a,b"),
        ({"Fn::Sub": "${AWS::Region} ${Bucket.Arn} ${!Kept} ${Number}"}, "us-east-1 Arn of Bucket ${Kept} 5"),
        ({"Fn::Sub": ["${Own}/${Bucket}", {"Own": {"Ref": "Number"}}]}, "5/ref of Bucket"),
        ({"Fn::Select": ["1", {"Fn::Split": ["|", "a|b|c"]}]}, "b"),
        ({"Fn::Base64": "text"}, "dGV4dA=="),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b"]),
        ({"Fn::GetAZs": "eu-west-1"}, ["eu-west-1a", "eu-west-1b"]),
        ({"Fn::If": ["Yes", "then", "else"]}, "then"),
        ({"Fn::If": ["No", "then", "else"]}, "else"),
        ({"Fn::ImportValue": {"Fn::Sub": "net-${Number}"}}, "export net-5"),
        ({"Fn::GetStackOutput": {"StackName": "net", "OutputName": "Vpc"}}, "us-east-1 net Vpc"),
        ({"Fn::GetStackOutput": {"StackName": "n", "OutputName": "V", "Region": "eu-west-1"}}, "eu-west-1 n V"),
        ({"Kept": 1, "Gone": {"Ref": "AWS::NoValue"}, "List": [{"Ref": "AWS::NoValue"}, 2]}, {"Kept": 1, "List": [2]}),
        ({"Gone": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}}, {}),
        (LATER, PENDING),
        ({"Fn::Join": ["", ["arn:", LATER]]}, {"Fn::Join": ["", ["arn:", PENDING]]}),
        ({"Fn::Sub": "arn:${Later}"}, {"Fn::Join": ["", ["arn:", PENDING, ""]]}),
        ({"Fn::Select": [0, {"Fn::Split": ["/", LATER]}]}, {"Fn::Select": [0, {"Fn::Split": ["/", PENDING]}]}),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
    ids=lambda value: json.dumps(value, default=str)[:40],
)
def test_a_function_comes_to_what_aws_documents(written: Any, value: Any) -> None:
    assert values().value(written) == value


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"Ref": "Nobody"}, "Unresolved resource dependencies [Nobody]"),
        ({"Fn::GetAtt": ["Nobody", "Arn"]}, "Unresolved resource dependencies [Nobody]"),
        ({"Fn::FindInMap": ["Sizes", "small", "ram"]}, "Fn::FindInMap is not known here"),
        ({"Fn::Select": [7, ["a"]]}, "Fn::Select"),
        ({"Fn::Join": "a"}, "Fn::Join"),
        ({"Fn::If": ["Unheard", 1, 2]}, "Unresolved condition dependency Unheard"),
        ({"Fn::Transform": {"Name": "Macro"}}, "Fn::Transform is not known here"),
    ],
)
def test_a_function_that_cannot_be_carried_out_is_named(written: Any, says: str) -> None:
    with pytest.raises(TemplateError) as problem:
        values().value(written)
    assert says in str(problem.value)


def test_the_exports_that_were_read_are_remembered() -> None:
    found = values()
    found.value([{"Fn::ImportValue": "one"}, {"Fn::ImportValue": "two"}])
    assert found.imports == {"one", "two"}


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]}, False),
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "Yes"}]}, True),
        ({"Fn::Not": [{"Fn::Contains": [["1", "2"], {"Ref": "Number"}]}]}, True),
        ({"Fn::Equals": [True, "true"]}, True),
    ],
)
def test_conditions_are_combined(condition: Any, true: bool) -> None:
    assert values().holds(condition) is true


def test_what_a_condition_excludes_is_not_active() -> None:
    resources = {
        "In": {"Type": "T", "Condition": "Yes"},
        "Out": {"Type": "T", "Condition": "No"},
        "Free": {"Type": "T"},
    }
    assert set(values({**TEMPLATE, "Resources": resources}).active("Resources")) == {"In", "Free"}


def test_a_rule_that_does_not_hold_says_what_it_asserts() -> None:
    assertion = {"Assert": {"Fn::Equals": [{"Ref": "Number"}, "6"]}, "AssertDescription": "six is needed"}
    with pytest.raises(TemplateError, match="Rule Version does not hold: six is needed"):
        values({**TEMPLATE, "Rules": {"Version": {"Assertions": [assertion]}}}).check_rules()


PARAMETERS = {
    "Text": {"Type": "String", "Default": "a"},
    "Many": {"Type": "CommaDelimitedList", "Default": "a, b"},
    "Number": {"Type": "Number", "Default": 5, "MaxValue": 9},
    "Image": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": "/image"},
    "Several": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/several"},
    "Choice": {"Type": "String", "Default": "x", "AllowedValues": ["x", "y"]},
    "Name": {"Type": "String", "Default": "abc", "AllowedPattern": "[a-c]+", "ConstraintDescription": "only a to c"},
    "Secret": {"Type": "String", "Default": "hush", "NoEcho": True, "MinLength": 2},
}


def test_parameters_have_the_form_that_their_type_says() -> None:
    found = parameters({"Parameters": PARAMETERS}, {"Text": "given"}, World())
    assert {name: one.value for name, one in found.items()} == {
        "Text": "given",
        "Many": ["a", "b"],
        "Number": "5",
        "Image": "ami-1",
        "Several": ["one", "two"],
        "Choice": "x",
        "Name": "abc",
        "Secret": "hush",
    }
    assert found["Image"].given == "/image"
    assert [name for name, one in found.items() if one.hidden] == ["Secret"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"Unknown": "1"}, "[Unknown] do not exist in the template"),
        ({"Choice": "z"}, "'Choice' must be one of AllowedValues"),
        ({"Name": "xyz"}, "only a to c"),
        ({"Number": "many"}, "'Number' must be a number"),
        ({"Number": "12"}, "'Number' is 12"),
        ({"Secret": "h"}, "'Secret' has 1 characters"),
    ],
)
def test_a_parameter_that_its_declaration_does_not_allow_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(TemplateError) as problem:
        parameters({"Parameters": PARAMETERS}, given, World())
    assert says in str(problem.value)


def test_a_parameter_without_a_value_is_named() -> None:
    with pytest.raises(TemplateError, match=r"Parameters: \[Needed\] must have values"):
        parameters({"Parameters": {"Needed": {"Type": "String"}}}, {}, World())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a {{resolve:ssm:/image}} b", "a ami-1 b"),
        ("{{resolve:ssm:/image:3}}", "ami-3"),
        ("{{resolve:secretsmanager:db:SecretString:password::}}", "db/password//"),
        ("{{resolve:secretsmanager:arn:aws:secretsmanager:r:1:secret:db-x:SecretString:k:S:V}}", None),
        ("{{resolve:secretsmanager:db}}", "db///"),
    ],
)
def test_a_dynamic_reference_is_replaced_by_what_it_names(text: str, value: str | None) -> None:
    value = value or "arn:aws:secretsmanager:r:1:secret:db-x/k/S/V"
    assert with_dynamic_references({"Key": [text, 5]}, World()) == {"Key": [value, 5]}


def test_everything_that_a_resource_mentions_is_needed() -> None:
    body = {
        "DependsOn": "First",
        "Properties": {"A": {"Fn::Sub": "${B.Arn} ${C}"}, "D": [{"Fn::GetAtt": "E.F"}, {"Fn::GetAtt": ["G", "H"]}]},
        "UpdatePolicy": {"Alarms": [{"Ref": "Alarm"}]},
    }
    assert needed_by(body) == {"First", "B", "C", "E", "G", "Alarm"}


def test_a_circle_of_resources_is_named() -> None:
    assert in_order({"c": ["b"], "b": ["a"], "a": ["elsewhere"]}) == ["a", "b", "c"]
    with pytest.raises(TemplateError, match="Circular dependency between resources"):
        in_order({"a": ["b"], "b": ["a"]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Template format error"),
        ("Resources: {}", "At least one Resources member"),
        ("Resources: {A: {Properties: {}}}", r"\[/Resources/A\] must have a Type"),
        ("{Resources: {A: {Type: T}}, Transform: AWS::Serverless-2016-10-31}", "Transform"),
    ],
)
def test_what_is_no_template_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(TemplateError, match=says):
        read(text)
