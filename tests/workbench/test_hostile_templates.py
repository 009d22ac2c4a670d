"""What is large, broken or made to do harm is read, or refused by file and reason: never another exception."""

from __future__ import annotations

import json
import os
import random
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workbench.handmade import assembly, lone
from tests.workbench.sides import FOREIGN
from workbench.compare import compare, facts
from workbench.templates import Assembly, Impact, UnreadableTemplateError, predict, read_assembly, resources
from workbench.usage import named

QUEUE = '{"Type": "AWS::SQS::Queue"}'
LOW = named("low")

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)
MERGES = "\n".join(["a0: &a0 {x: 1}"] + [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)])


def unreadable(path: Path, reason: str) -> None:
    started = time.process_time()
    with pytest.raises(UnreadableTemplateError, match=reason) as refused:
        read_assembly(path)
    assert str(path.name) in str(refused.value)
    assert time.process_time() - started < 5


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.json", '{"Resources": {"A": {"Type": "AWS::S', "is not JSON: Unterminated string"),
        ("cut.yaml", "Resources:\n  A: {Type: 'AWS::SQS::Queue", "is not a template"),
        ("bomb.yaml", BOMB, "more than 2,000,000 values"),
        ("merges.yaml", MERGES, "merges too much"),
        ("circle.yaml", "Resources: &a\n  A: *a", "nested more than 80|recursive"),
        ("deep.json", '{"a":' * 100_000, "nested too deeply"),
        ("deeper.json", "[" * 500 + "]" * 500, "nested more than 80 levels"),
        ("deep.yaml", "a: " + "[" * 200_000, "nested more than 80 levels"),
        ("deep.template", '{"Resources": ' + "[" * 5_000 + "]" * 5_000 + "}", "nested"),
        ("nan.json", '{"Resources": {"A": {"Type": "X", "Properties": {"P": NaN}}}}', "NaN is no number"),
        ("infinite.json", '{"Resources": {"A": {"Type": "X", "Properties": {"P": 1e999}}}}', "inf is no number"),
        ("nan.yaml", "Resources: {A: {Type: X, Properties: {P: .nan}}}", "nan is no number"),
        ("digits.json", '{"Resources": ' + "9" * 5_000 + "}", "is not JSON"),
        ("twice.json", '{"Resources": {"A": ' + QUEUE + ', "A": ' + QUEUE + "}}", "the key A stands twice"),
        ("twice.yaml", "Resources:\n  A: {Type: X}\n  A: {Type: Y}", "line 3: the key A stands twice"),
        ("key.yaml", "Resources: {[a, b]: {Type: X}}", "a key is a list or a mapping"),
        ("half.json", '{"Resources": {"\\ud800": ' + QUEUE + "}}", "surrogates not allowed"),
        ("set.yaml", "Resources: {A: {Type: X, Properties: {P: !!set {a, b}}}}", "holds set"),
        ("binary.yaml", "Resources: {A: {Type: X, Properties: {P: !!binary aGk=}}}", "holds bytes"),
        ("date.yaml", "Resources: {A: {Type: X, Properties: {P: !!timestamp never}}}", "is not a template"),
        ("flag.yaml", "Resources: {A: {Type: X, Properties: {P: !!bool never}}}", "is not a template"),
        ("python.yaml", "!!python/object/apply:os.system [ls]", "is not a template"),
        ("two.yaml", "a: 1\n---\nb: 2", "is not a template"),
        ("list.json", '{"Resources": [' + QUEUE + "]}", "Resources is list"),
        ("text.yaml", "Resources: none", "Resources is str"),
        ("outputs.json", '{"Outputs": [1]}', "Outputs is list"),
        ("output.json", '{"Outputs": {"A": 1}}', "A in Outputs is int"),
        ("parameters.json", '{"Parameters": {"A": []}}', "A in Parameters is list"),
        ("conditions.json", '{"Conditions": "x"}', "Conditions is str"),
        ("typeless.json", '{"Resources": {"A": {"Type": ["AWS::SQS::Queue"]}}}', "resource A has no Type"),
        ("null.json", '{"Resources": {"A": null}}', "resource A has no Type"),
        ("properties.json", '{"Resources": {"A": {"Type": "X", "Properties": [1]}}}', "properties of A are no mapping"),
        ("blank.json", "", "is not JSON"),
        ("package.json", '{"name": "shop", "version": "1.0.0"}', "it has no Resources"),
        ("settings.yaml", "on: push", "it has no Resources"),
        ("blank.yaml", "# nothing", "holds NoneType"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_name_and_reason(name: str, content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    unreadable(tmp_path / name, reason)


@pytest.mark.parametrize("name", ["x.json", "x.yaml", "x.template"])
@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02\xff\xfe", b"\x7fELF\x02\x01\x01" + bytes(range(256)), b"\xff\xfe{\x00}\x00"]
)
def test_a_binary_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    unreadable(tmp_path / name, "is not")


def test_a_file_of_more_than_20_megabytes_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(20 * 2**20 + 1)
    unreadable(tmp_path / "large.json", "larger than 20 MB")


def test_a_folder_with_the_name_of_a_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.template.json").mkdir()
    with pytest.raises(UnreadableTemplateError, match=r"x\.template\.json is not a regular file"):
        read_assembly(tmp_path)


def test_a_pipe_with_the_name_of_a_template_does_not_make_the_reader_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.template.json")
    with pytest.raises(UnreadableTemplateError, match="is not a regular file"):
        read_assembly(tmp_path)


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.template.json").symlink_to("b.template.json")
    (tmp_path / "b.template.json").symlink_to("a.template.json")
    unreadable(tmp_path / "a.template.json", "cannot be followed")
    with pytest.raises(UnreadableTemplateError, match=r"a\.template\.json"):
        read_assembly(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(templateFile="a.template.json")))
    with pytest.raises(UnreadableTemplateError):
        read_assembly(tmp_path)


def test_the_reason_cannot_colour_or_turn_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"Resources": {"\x1b[31mred\u202e": 1}}))
    with pytest.raises(UnreadableTemplateError) as refused:
        read_assembly(tmp_path / "x.json")
    assert str(refused.value).isprintable()


# --- manifests -------------------------------------------------------------------------------------------------------


def manifest(**properties: Any) -> dict[str, Any]:
    return {"artifacts": {"S": {"type": "aws:cloudformation:stack", "properties": properties}}}


@pytest.mark.parametrize(
    "name",
    [
        "../secret.json",
        "/etc/passwd",
        "../../../etc/passwd",
        "a/../../secret.json",
        "",
        None,
        7,
        ["x"],
        "\0",
        "link.json",
    ],
)
def test_a_manifest_cannot_name_a_file_outside_its_folder(name: object, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps({"Resources": {}}))
    folder = tmp_path / "cdk.out"
    folder.mkdir()
    (folder / "link.json").symlink_to("../secret.json")
    (folder / "manifest.json").write_text(json.dumps(manifest(templateFile=name)))
    with pytest.raises(UnreadableTemplateError, match=r"manifest\.json: .* does not lead to a file in"):
        read_assembly(folder)
    nested = {"artifacts": {"N": {"type": "cdk:cloud-assembly", "properties": {"directoryName": name}}}}
    (folder / "manifest.json").write_text(json.dumps(nested))
    with pytest.raises(UnreadableTemplateError):
        read_assembly(folder)
    told = {"artifacts": {"S": {**manifest(templateFile="t.json")["artifacts"]["S"], "additionalMetadataFile": name}}}
    (folder / "t.json").write_text("{}")
    (folder / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(UnreadableTemplateError):
        read_assembly(folder)


def test_an_assembly_that_contains_itself_is_refused(tmp_path: Path) -> None:
    nested = {"artifacts": {"N": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(nested))
    with pytest.raises(UnreadableTemplateError, match="contains itself"):
        read_assembly(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"artifacts": []}',
        '{"artifacts": {"S": "stack"}}',
        '{"artifacts": {"S": {"type": "aws:cloudformation:stack", "properties": []}}}',
        '{"artifacts": {"S": {"type": ["aws:cloudformation:stack"]}}}',
        '{"artifacts": {"N": {"type": "cdk:cloud-assembly"}}}',
    ],
)
def test_a_manifest_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UnreadableTemplateError):
        read_assembly(tmp_path)


def test_what_a_manifest_says_besides_may_be_nonsense(tmp_path: Path) -> None:
    artifact = {
        "type": "aws:cloudformation:stack",
        "environment": 7,
        "dependencies": [["S"], None, "Gone", "S"],
        "displayName": {"a": 1},
        "metadata": {"/S/A": "none", "/S/B": [1, {"type": "aws:cdk:logicalId", "data": []}]},
        "properties": {"templateFile": "t.json", "stackName": ["x"], "terminationProtection": "perhaps"},
    }
    (tmp_path / "t.json").write_text('{"Resources": {"A": ' + QUEUE + "}}")
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"S": artifact}}))
    (stack,) = read_assembly(tmp_path).stacks
    assert list(stack.resources) == ["A"]


def test_stacks_of_one_name_in_two_regions_are_both_kept(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"Resources": {"A": ' + QUEUE + "}}")
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "t.json", "stackName": "shop"}}
    artifacts = {f"shop-{n}": {**stack, "environment": f"aws://1/{region}"} for n, region in enumerate(["a", "b", "b"])}
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    assert read_assembly(tmp_path).order == ("shop@a", "shop@b", "shop@b#1")


# --- nested stacks ---------------------------------------------------------------------------------------------------


def nested(url: object, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url, **more}}


def test_a_stack_that_contains_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"Resources": {"Again": nested("x.json")}}))
    unreadable(tmp_path / "x.json", "contains itself")


def test_stacks_inside_each_other_stay_few(tmp_path: Path) -> None:
    for number in range(6):
        inside = {f"N{copy}": nested(f"{number + 1}.json") for copy in range(10)}
        (tmp_path / f"{number}.json").write_text(json.dumps({"Resources": inside}))
    (tmp_path / "6.json").write_text("{}")
    with pytest.raises(UnreadableTemplateError, match="more than 1000 stacks"):
        read_assembly(tmp_path / "0.json")


@pytest.mark.parametrize(
    "url", ["https://example.org/x.yaml", "../x.yaml", "/etc/passwd", "gone.yaml", {"Ref": "A"}, 7, None]
)
def test_a_nested_template_that_is_not_beside_its_parent_stays_one_resource(url: object, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"Resources": {"N": nested(url)}}))
    assert len(read_assembly(tmp_path / "x.json").stacks) == 1


def test_an_asset_outside_the_folder_is_refused(tmp_path: Path) -> None:
    body = {**nested("x"), "Metadata": {"aws:asset:path": "../../etc/passwd"}}
    (tmp_path / "x.json").write_text(json.dumps({"Resources": {"N": body}}))
    with pytest.raises(UnreadableTemplateError, match="does not lead to a file"):
        read_assembly(tmp_path / "x.json")


# --- values ----------------------------------------------------------------------------------------------------------


def compared(before: Assembly, after: Assembly) -> None:
    """All of a comparison, in both directions."""
    sides = facts("before", before, LOW), facts("after", after, LOW)
    compare(*sides)
    compare(*reversed(sides))


@pytest.mark.parametrize(
    "properties",
    [
        {"Ref": "A"},
        {"Fn::GetAtt": ["A", "Arn"]},
        {"Fn::Join": ["", ["a", "b"]]},
        {"Fn::Transform": {"Name": "X"}},
        {"Fn::If": ["C", {}, {}]},
        {"QueueName": {"Fn::GetAtt": [["A"], {"B": 1}]}},
        {"QueueName": {"Fn::Sub": ["${A}${B.C}${", {"A": {"Ref": "A"}, "B.C": 7}]}},
        {"QueueName": {"Fn::FindInMap": ["M", "a", "b", "c", "d"]}},
        {"QueueName": {"Fn::FindInMap": []}},
        {"QueueName": {"Fn::Join": "x"}},
        {"QueueName": {"Fn::If": "C"}},
        {"QueueName": {"Fn::ImportValue": {"Fn::ImportValue": "x"}}},
        {"QueueName": {"Fn::GetStackOutput": []}},
        {"Ref": ["A"], "Fn::GetAtt": 1},
    ],
)
def test_properties_of_any_shape_are_compared(properties: dict[str, Any]) -> None:
    sections = {"Conditions": {"C": {"Condition": "C"}}, "Mappings": {"M": {"a": "b"}}}
    one = lone({"A": {"Type": "AWS::SQS::Queue", "Properties": properties}}, **sections)
    other = lone({"A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "x"}}}, **sections)
    compared(one, other)
    assert predict(one, other)["template", "A"].impact >= Impact.UPDATE


def test_resources_that_refer_to_each_other_are_replaced_once() -> None:
    def ring(name: str) -> Assembly:
        queues = {f"Q{n}": {"QueueName": {"Ref": f"Q{(n + 1) % 50}"}} for n in range(50)}
        queues["Q0"]["FifoQueue"] = {"Ref": name}
        return lone({key: {"Type": "AWS::SQS::Queue", "Properties": value} for key, value in queues.items()})

    compared(ring("a"), ring("b"))
    assert {change.impact for change in predict(ring("a"), ring("b")).values()} == {Impact.REPLACE}


def test_conditions_that_double_with_each_step_do_not_fill_the_memory() -> None:
    conditions: dict[str, Any] = {"C0": {"Fn::Equals": ["a", "a"]}}
    for number in range(1, 60):
        conditions[f"C{number}"] = {"Fn::And": [{"Condition": f"C{number - 1}"}] * 2}
    value = {"Fn::If": ["C25", "a", "b"]}
    read = lone({"A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": value}}}, Conditions=conditions)
    started = time.process_time()
    compared(read, read)
    assert time.process_time() - started < 20


def test_values_that_lead_from_stack_to_stack_without_end_are_refused() -> None:
    templates: dict[str, dict[str, Any]] = {}
    for number in range(300):
        value = {"Fn::Join": ["", [{"Fn::ImportValue": f"e{number + 1}"}]]}
        templates[f"s{number}"] = {
            "Resources": {"A": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {"O": {"Value": value, "Export": {"Name": f"e{number}"}}},
        }
    reader = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::ImportValue": "e0"}}}
    templates["s0"]["Resources"]["B"] = reader
    with pytest.raises(UnreadableTemplateError, match="without end"):
        resources(assembly(templates))


@pytest.mark.slow
def test_two_templates_of_500_resources_are_compared_in_two_seconds(production: dict[int, Path]) -> None:
    def large(stage: int) -> Assembly:
        web = next(stack for stack in read_assembly(production[stage]).stacks if stack.role == "web")
        return lone({f"{name}{n}": body for n in range(12) for name, body in web.resources.items()})

    before, after = large(3), large(4)
    assert len(resources(after)) > 500
    compared(before, before)  # whatever is read only once
    started = time.process_time()
    compare(facts("before", before, LOW), facts("after", after, LOW))
    assert time.process_time() - started < 2


# --- anything --------------------------------------------------------------------------------------------------------

leaf = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["Main", "*", "0.0.0.0/0"])
)
functions = ("GetAtt", "Sub", "If", "Join", "FindInMap", "ImportValue", "Transform")
function = st.sampled_from(["Ref", "Condition", *(f"Fn::{name}" for name in functions)])
junk = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
        st.builds(lambda name, value: {name: value}, function, inner),
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every mapping or list inside, with each key or number that something else could be put at."""
    found = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    return found + [
        place for holder, key in found if isinstance(holder[key], dict | list) for place in places(holder[key])
    ]


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    file=st.sampled_from(FOREIGN),
    chance=st.randoms(use_true_random=False),
    values=st.lists(junk, min_size=1, max_size=4),
)
def test_nothing_that_is_put_anywhere_stops_a_comparison(file: Path, chance: random.Random, values: list[Any]) -> None:
    before = read_assembly(file)
    changed = deepcopy(
        {
            name: dict(section) if isinstance(section, dict) else section
            for name, section in before.stacks[0].template.items()
        }
    )
    for value in values:
        holder, key = chance.choice(places(changed["Resources"]))
        if holder is changed["Resources"] or key == "Type" or key == "Properties":
            continue  # what stands there is refused when the file is read
        holder[key] = value
    compared(before, lone(changed.pop("Resources"), **changed))


@pytest.mark.parametrize("file", FOREIGN, ids=lambda file: file.name)
def test_a_foreign_template_is_compared_with_what_is_left_of_it(file: Path) -> None:
    whole = read_assembly(file)
    compared(whole, lone({}))
    first = whole.stacks[0]
    compared(whole, lone(dict(list(first.resources.items())[::2])))
