"""The core of the comparison: what happens to resources, what is at stake, and the one line that says it all."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Assemblies
from tests.workbench.handmade import Templates, assembly, exported, imported, large, lone, resource, small, weakly
from tests.workbench.sides import FOREIGN
from workbench.compare import Comparison, Facts, Finding, Kind, Risk, compare, counted, facts, failed, verdict
from workbench.facts.interruptions import INTERRUPTIONS
from workbench.facts.specification import replacement
from workbench.templates import Assembly, Impact, LockKind, Reference, StackTemplate, read_assembly, resources
from workbench.usage import named

LOW = named("low")
HASH, OTHER_HASH = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def of(made: Assembly, label: str = "side") -> Facts:
    return facts(label, made, LOW)


def between(before: Assembly, after: Assembly) -> Comparison:
    return compare(of(before, "before"), of(after, "after"))


def one(before: dict[str, Any], after: dict[str, Any]) -> Comparison:
    """One resource on both sides."""
    return between(lone({"It": before}), lone({"It": after}))


def about(comparison: Comparison, *kinds: Kind) -> list[Finding]:
    return [finding for finding in comparison.findings if finding.kind in kinds]


def only(comparison: Comparison, *kinds: Kind) -> Finding:
    (finding,) = about(comparison, *kinds)
    return finding


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "block"),
    [
        ("Database/Primary/Resource", "Database/Primary", "Database"),
        ("Fleet/Group/ASG", "Fleet/Group", "Fleet"),
        ("Database/Resource/Default", "Database", "SQS"),
        ("Queue", "Queue", "SQS"),
        ("Api.NestedStack/Api.NestedStackResource", "Api", "SQS"),
        ("Resource", "Resource", "SQS"),
        (None, "It", "SQS"),
    ],
)
def test_a_resource_is_called_by_its_construct_path_without_what_cdk_adds(
    path: str | None, name: str, block: str
) -> None:
    stack = StackTemplate(
        "s", "s", {"Resources": {"It": resource("AWS::SQS::Queue")}}, paths={"It": path} if path else {}
    )
    (change,) = between(lone({}), Assembly((stack,))).resources
    assert (change.name, change.block) == (name, block)


def cdk_assembly(folder: Path, template: dict[str, Any], **artifact: Any) -> Path:
    """One stack as CDK writes it."""
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "S.template.json"}, **artifact}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": {"S": stack}}))
    (folder / "S.template.json").write_text(json.dumps(template))
    return folder


def logical_id(value: str) -> list[dict[str, str]]:
    return [{"type": "aws:cdk:logicalId", "data": value}]


@pytest.mark.parametrize(
    ("told", "artifact", "body"),
    [
        (
            {"/Stage/S/Jobs/Queue/Resource": logical_id("It")},
            {"displayName": "Stage/S", "additionalMetadataFile": "m.json"},
            {},
        ),
        ({"/S/Jobs/Queue/Resource": logical_id("It")}, {"additionalMetadataFile": "m.json"}, {}),
        ({}, {"metadata": {"/S/Jobs/Queue/Resource": logical_id("It")}}, {}),
        ({}, {}, {"Metadata": {"aws:cdk:path": "S/Jobs/Queue/Resource"}}),
    ],
)  # fmt: skip
def test_construct_paths_are_read_wherever_cdk_leaves_them(
    told: dict[str, Any], artifact: dict[str, Any], body: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "m.json").write_text(json.dumps(told))
    folder = cdk_assembly(tmp_path, {"Resources": {"It": {**resource("AWS::SQS::Queue"), **body}}}, **artifact)
    (stack,) = read_assembly(folder).stacks
    assert stack.name_of("It") == "Jobs/Queue"


@pytest.mark.parametrize(
    ("environment", "account", "region"),
    [
        ("aws://123456789012/eu-west-1", "123456789012", "eu-west-1"),
        ("aws://unknown-account/unknown-region", "", ""),
        ("aws://unknown-account/eu-west-1", "", "eu-west-1"),
        (None, "", ""),
    ],
)
def test_an_assembly_says_where_its_stacks_go(
    environment: str | None, account: str, region: str, tmp_path: Path
) -> None:
    told = {"environment": environment} if environment else {}
    (stack,) = read_assembly(cdk_assembly(tmp_path, {"Resources": {}}, **told)).stacks
    assert (stack.account, stack.region) == (account, region)


def test_resources_of_our_stages_have_names_without_hashes(production: dict[int, Path]) -> None:
    names = [resource.name for resource in of(read_assembly(production[5])).system.resources]
    assert "Database/Primary" in names
    assert "Fleet/Group" in names
    assert not [name for name in names if re.search(r"[0-9A-F]{8}$", name)]


# --- nested stacks ---------------------------------------------------------------------------------------------------

INNER: dict[str, Any] = {
    "Parameters": {"Name": {"Type": "String"}, "Size": {"Type": "Number", "Default": 5}},
    "Resources": {"Queue": resource("AWS::SQS::Queue", QueueName={"Ref": "Name"}, VisibilityTimeout={"Ref": "Size"})},
    "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}}, "Echo": {"Value": {"Ref": "Name"}}},
}


def outer(**nested: Any) -> dict[str, Any]:
    inner = resource("AWS::CloudFormation::Stack", Parameters={"Name": {"Fn::GetAtt": ["Topic", "TopicName"]}})
    inner["Properties"] |= nested.pop("Properties", {})
    return {
        "Resources": {
            "Topic": resource("AWS::SNS::Topic", TopicName="told"),
            "Inner": inner | nested,
            "Alarm": resource("AWS::CloudWatch::Alarm", AlarmName={"Fn::GetAtt": ["Inner", "Outputs.Arn"]}),
        }
    }


@pytest.mark.parametrize(
    "nested",
    [
        {"Metadata": {"aws:asset:path": "inner.nested.template.json", "aws:asset:property": "TemplateURL"}},
        {
            "Properties": {
                "TemplateURL": {"Fn::Join": ["", ["https://s3.", {"Ref": "AWS::URLSuffix"}, f"/{HASH}.json"]]}
            }
        },
        {"Properties": {"TemplateURL": "./inner.nested.template.json"}},
    ],
    ids=["asset metadata", "asset hash", "path"],
)
def test_a_nested_stack_is_a_stack_with_the_values_of_its_parent(nested: dict[str, Any], tmp_path: Path) -> None:
    files = {HASH: {"source": {"path": "inner.nested.template.json", "packaging": "file"}}}
    (tmp_path / "S.assets.json").write_text(json.dumps({"files": files}))
    (tmp_path / "inner.nested.template.json").write_text(json.dumps(INNER))
    made = read_assembly(cdk_assembly(tmp_path, outer(**nested)))
    assert made.order == ("S", "S/Inner")
    read = resources(made)
    assert dict(read["S/Inner", "Queue"].properties) == {
        "QueueName": Reference("S", "Topic", "TopicName"),
        "VisibilityTimeout": 5,
    }
    assert read["S", "Alarm"].properties["AlarmName"] == Reference("S/Inner", "Queue", "Arn")


def test_a_replacement_goes_through_nested_stacks_and_back(tmp_path: Path) -> None:
    sides = []
    for name in ("before", "after"):
        folder = tmp_path / name
        folder.mkdir()
        template = outer(Properties={"TemplateURL": "inner.json"})
        template["Resources"]["Topic"]["Properties"]["TopicName"] = name
        (folder / "inner.json").write_text(json.dumps(INNER))
        sides.append(read_assembly(cdk_assembly(folder, template)))
    found = {change.name: change.impact for change in between(*sides).resources}
    assert found == {
        "Topic": Impact.REPLACE, "Inner/Queue": Impact.REPLACE, "Alarm": Impact.REPLACE, "Inner": Impact.UPDATE,
    }  # fmt: skip


def test_constructs_of_a_nested_stack_keep_their_names_apart(tmp_path: Path) -> None:
    told = {
        "/S/Topic/Resource": logical_id("Topic"),
        "/S/Jobs.NestedStack/Jobs.NestedStackResource": logical_id("Inner"),
        "/S/Jobs/Work/Resource": logical_id("Queue"),
    }
    (tmp_path / "inner.json").write_text(json.dumps(INNER))
    folder = cdk_assembly(tmp_path, outer(Properties={"TemplateURL": "inner.json"}), metadata=told)
    parent, inner = read_assembly(folder).stacks
    assert (parent.name_of("Inner"), inner.name_of("Queue")) == ("Jobs", "Jobs/Work")


def test_the_name_of_a_nested_stack_is_made_by_aws(tmp_path: Path) -> None:
    inner = deepcopy(INNER)
    inner["Resources"]["Queue"]["Properties"]["QueueName"] = {"Fn::Sub": "${AWS::StackName}-q"}
    (tmp_path / "inner.json").write_text(json.dumps(inner))
    read = resources(read_assembly(cdk_assembly(tmp_path, outer(Properties={"TemplateURL": "inner.json"}))))
    assert "Fn::Sub" in read["S/Inner", "Queue"].properties["QueueName"]


def test_nested_stacks_that_ask_each_other_in_a_circle_are_left_alone(tmp_path: Path) -> None:
    echo = {"Fn::GetAtt": ["Inner", "Outputs.Echo"]}
    template = outer(Properties={"TemplateURL": "inner.json", "Parameters": {"Name": echo}})
    (tmp_path / "inner.json").write_text(json.dumps(INNER))
    read = resources(read_assembly(cdk_assembly(tmp_path, template)))
    assert read["S/Inner", "Queue"].properties["QueueName"] == {"Ref": "Name"}


# --- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "summary"),
    [
        ({"InstanceType": "t4g.medium"}, {"InstanceType": "m7g.large"}, "t4g.medium -> m7g.large"),
        ({"Tags": [], "InstanceType": "a"}, {"Tags": [1], "InstanceType": "b"}, "a -> b, and 1 more"),
        ({"MaxSize": "2"}, {"MaxSize": 4}, "MaxSize 2 -> 4"),
        ({"MultiAZ": False}, {"MultiAZ": True}, "MultiAZ no -> yes"),
        ({}, {"Description": "x" * 60}, f"Description none -> {'x' * 37}..."),
        ({"Description": "a\n\n b"}, {"Description": "c"}, "Description a b -> c"),
        ({"Value": {"Ref": "Other"}}, {"Value": {"Fn::GetAtt": ["Other", "Arn"]}}, "Value Other -> Other Arn"),
        ({"Login": {"Password": "a"}}, {"Login": {"Password": "b"}}, "Password"),
        ({"Rules": [{"a": 1}]}, {"Rules": [{"a": 1}, {"b": 2}]}, "Rules"),
    ],
)
def test_the_summary_is_the_difference_that_says_most(
    before: dict[str, Any], after: dict[str, Any], summary: str
) -> None:
    other = resource("AWS::SNS::Topic")
    kind = "AWS::EC2::Instance"
    sides = (lone({"It": resource(kind, **its, ImageId="i"), "Other": other}) for its in (before, after))
    (change,) = between(*sides).resources
    assert change.summary == summary


def test_what_comes_is_summed_up_by_its_size() -> None:
    made = lone({"It": resource("AWS::RDS::DBInstance", Engine="postgres", DBInstanceClass="db.m7g.large")})
    (change,) = between(lone({}), made).resources
    assert (change.impact, change.summary, change.stateful) == (Impact.CREATE, "db.m7g.large", "a database")


@pytest.mark.parametrize(
    "properties",
    [
        {"Code": {"S3Bucket": "b", "S3Key": f"{HASH}.zip"}},
        {"Code": {"ImageUri": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr/assets:" + HASH}}},
        {"Environment": {"Variables": {"RELEASE": ["a", {"Fn::Join": ["", [HASH, {"Ref": "AWS::Region"}]]}]}}},
    ],
)
def test_another_hash_is_another_version_of_the_code_and_nothing_else(properties: dict[str, Any]) -> None:
    renamed = json.loads(json.dumps(properties).replace(HASH, OTHER_HASH))
    kind = "AWS::Lambda::Function"
    comparison = one(resource(kind, **properties), resource(kind, **renamed))
    (change,) = comparison.resources
    assert change.code_only
    assert change.summary == "another version of its code"
    assert comparison.findings == ()
    both = one(resource(kind, **properties), resource(kind, **renamed, Timeout=3))
    assert not both.resources[0].code_only


def versioned(code: str, *versions: str, memory: int = 256) -> Assembly:
    """A function with versions as CDK writes them, each named by a hash."""
    function = resource("AWS::Lambda::Function", Code={"S3Bucket": "b", "S3Key": f"{code}.zip"}, MemorySize=memory)
    each = resource("AWS::Lambda::Version", "Retain", FunctionName={"Ref": "Job"})
    return lone({"Job": function, **{f"JobCurrentVersion{version}": each for version in versions}})


@pytest.mark.parametrize(("memory", "code_only"), [(256, True), (512, False)])
def test_the_next_version_of_a_function_is_one_change(memory: int, code_only: bool) -> None:
    comparison = between(versioned(HASH, "A1"), versioned(OTHER_HASH, "B2", memory=memory))
    assert [(change.key[1], change.impact, change.code_only) for change in comparison.resources] == [
        ("Job", Impact.UPDATE, code_only),
        ("JobCurrentVersionB2", Impact.UPDATE, code_only),
    ]


def test_a_version_that_comes_beside_another_one_is_new() -> None:
    comparison = between(versioned(HASH, "A1"), versioned(HASH, "A1", "B2"))
    assert [(change.key[1], change.impact) for change in comparison.resources] == [
        ("JobCurrentVersionB2", Impact.CREATE)
    ]


def test_what_follows_another_version_of_the_code_is_code_as_well() -> None:
    def made(key: str) -> Assembly:
        layer = resource("AWS::Lambda::LayerVersion", Content={"S3Bucket": "b", "S3Key": f"{key}.zip"})
        function = resource("AWS::Lambda::Function", Layers=[{"Ref": "Layer"}])
        return lone({"Layer": layer, "Function": function})

    comparison = between(made(HASH), made(OTHER_HASH))
    assert {(change.name, change.impact, change.code_only) for change in comparison.resources} == {
        ("Layer", Impact.REPLACE, True),
        ("Function", Impact.UPDATE, True),
    }
    assert comparison.risk is Risk.ROUTINE


def test_metadata_and_the_order_of_creation_are_no_change() -> None:
    before = resource("AWS::SQS::Queue")
    after = {**before, "Metadata": {"aws:cdk:path": "S/It"}, "DependsOn": ["Other"]}
    assert not one(before, after).resources


# --- what is at stake ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "policy", "risk", "says"),
    [
        (
            "AWS::S3::Bucket",
            "Retain",
            Risk.NOTICE,
            "It (objects) is no longer in the template: it stays in the account",
        ),
        ("AWS::S3::Bucket", None, Risk.DANGER, "it is deleted, and nothing of it is kept"),
        ("AWS::S3::Bucket", {"Ref": "Policy"}, Risk.DANGER, "it is deleted, and nothing of it is kept"),
        ("AWS::RDS::DBInstance", None, Risk.DANGER, "a last snapshot of it stays"),
        ("AWS::RDS::DBInstance", "Delete", Risk.DANGER, "nothing of it is kept"),
        ("AWS::EC2::EIP", None, Risk.NOTICE, "no way to get it back"),
    ],
)
def test_the_removal_of_what_others_rely_on_says_what_is_left(kind: str, policy: Any, risk: Risk, says: str) -> None:
    finding = only(between(lone({"It": resource(kind, policy)}), lone({})), Kind.REMOVE_STATEFUL)
    assert finding.risk is risk
    assert says in finding.text
    assert finding.key == ("template", "It")


def test_the_removal_of_what_can_be_made_again_is_no_finding() -> None:
    before = lone(
        {"It": resource("AWS::SNS::Topic"), "Copy": resource("AWS::RDS::DBInstance", SourceDBInstanceIdentifier="a")}
    )
    assert not about(between(before, lone({})), Kind.REMOVE_STATEFUL)


@pytest.mark.parametrize(
    ("kind", "policy", "property_", "fate"),
    [
        ("AWS::RDS::DBInstance", None, "DBName", "an empty one takes its place, and the old one is deleted"),
        ("AWS::RDS::DBInstance", "Snapshot", "DBName", "only a snapshot stays of the old one"),
        ("AWS::RDS::DBInstance", "Retain", "DBName", "the old one stays in the account"),
        ("AWS::RDS::DBInstance", {"Ref": "Policy"}, "DBName", "the old one is deleted"),
        ("AWS::S3::Bucket", "Snapshot", "BucketName", "the old one is deleted"),  # there are no snapshots of buckets
        ("AWS::EC2::VPC", None, "CidrBlock", "another one takes its place, and the old one is deleted"),
    ],
)
def test_the_replacement_of_what_others_rely_on_says_why_and_what_is_left(
    kind: str, policy: Any, property_: str, fate: str
) -> None:
    comparison = one(*(resource(kind, policy, **{property_: value}) for value in ("old", "new")))
    finding = only(comparison, Kind.REPLACE_STATEFUL)
    assert finding.risk is Risk.DANGER
    assert f"is replaced: {property_} changes from old to new; " in finding.text
    assert fate in finding.text


def test_what_may_be_replaced_is_a_danger_only_where_data_is() -> None:
    bucket = one(*(resource("AWS::RDS::DBInstance", AvailabilityZone=zone) for zone in "ab"))
    thing = one(*(resource("Custom::Thing", Size=size) for size in (1, 2)))
    assert only(bucket, Kind.MAY_REPLACE).risk is Risk.DANGER
    assert only(thing, Kind.MAY_REPLACE).risk is Risk.NOTICE
    assert "may be replaced: Size changes from 1 to 2" in only(thing, Kind.MAY_REPLACE).text


def test_a_replacement_that_comes_from_another_stack_names_it() -> None:
    after = small()
    after["network"]["Resources"]["Vpc"]["Properties"]["CidrBlock"] = "10.9.0.0/16"
    texts = {
        finding.key: finding.text
        for finding in about(between(assembly(small()), assembly(after)), Kind.REPLACE_STATEFUL)
    }
    assert "CidrBlock changes from 10.0.0.0/16 to 10.9.0.0/16" in texts["network", "Vpc"]
    assert "VpcId refers to Vpc, which is another one afterwards" in texts["network", "Subnet"]
    assert "SubnetId refers to Subnet of the stack network, which is another one" in texts["web", "Host"]


def test_another_type_under_the_same_id_is_a_replacement_of_what_was_there() -> None:
    comparison = one(resource("AWS::S3::Bucket"), resource("AWS::SNS::Topic"))
    finding = only(comparison, Kind.REPLACE_STATEFUL)
    assert "its type changes from AWS::S3::Bucket to AWS::SNS::Topic" in finding.text


@pytest.mark.parametrize(
    ("kind", "before", "after", "says"),
    [
        ("AWS::RDS::DBInstance", {"DBInstanceClass": "a"}, {"DBInstanceClass": "b"}, "It is away for minutes"),
        (
            "AWS::RDS::DBInstance",
            {"DBInstanceClass": "a", "MultiAZ": True},
            {"DBInstanceClass": "b", "MultiAZ": True},
            "It moves to its standby, which usually takes 60 to 120 seconds (DBInstanceClass a -> b)",
        ),
        ("AWS::RDS::DBInstance", {"BackupRetentionPeriod": 0}, {"BackupRetentionPeriod": 7}, "It restarts"),
        ("AWS::RDS::DBInstance", {"StorageType": "standard"}, {"StorageType": "gp3"}, "It restarts"),
        ("AWS::EC2::Instance", {"UserData": "a"}, {"UserData": "b"}, "It stops and starts (UserData a -> b)"),
        ("AWS::ElastiCache::ReplicationGroup", {"CacheNodeType": "a"}, {"CacheNodeType": "b"}, "It drops connections"),
        ("AWS::RDS::DBInstance", {"BackupRetentionPeriod": 1}, {"BackupRetentionPeriod": 7}, None),
        ("AWS::RDS::DBInstance", {"StorageType": "gp2"}, {"StorageType": "gp3"}, None),
        ("AWS::RDS::DBInstance", {"MultiAZ": False}, {"MultiAZ": True}, None),
        ("AWS::SQS::Queue", {"VisibilityTimeout": 1}, {"VisibilityTimeout": 2}, None),
    ],
)
def test_what_stops_while_it_changes_is_told(
    kind: str, before: dict[str, Any], after: dict[str, Any], says: str | None
) -> None:
    found = about(one(resource(kind, **before), resource(kind, **after)), Kind.INTERRUPT)
    assert [finding.risk for finding in found] == ([Risk.NOTICE] if says else [])
    assert not says or says in found[0].text


def test_every_interruption_is_about_a_known_property_and_says_its_source() -> None:
    for row in INTERRUPTIONS:
        assert replacement(row.type, (row.property,)) != "unknown", f"{row.type}.{row.property}"
        assert row.source.startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize(
    ("policy", "risk", "says"),
    [
        (
            {"AutoScalingRollingUpdate": {}},
            Risk.ROUTINE,
            "The hosts of Group are replaced by new ones (Launch: a -> b).",
        ),
        (None, Risk.NOTICE, "The hosts of Group stay as they are until somebody replaces them"),
    ],
)
def test_hosts_change_only_when_their_group_replaces_them(policy: Any, risk: Risk, says: str) -> None:
    def made(size: str) -> Assembly:
        template = resource("AWS::EC2::LaunchTemplate", LaunchTemplateData={"InstanceType": size})
        group = resource("AWS::AutoScaling::AutoScalingGroup", LaunchTemplate={"LaunchTemplateId": {"Ref": "Launch"}})
        return lone({"Launch": template, "Group": {**group, "UpdatePolicy": policy}})

    finding = only(between(made("a"), made("b")), Kind.INTERRUPT)
    assert (finding.risk, says in finding.text) == (risk, True)


# --- values that stacks share ----------------------------------------------------------------------------------------


def test_an_export_that_is_still_imported_stops_the_deployment_unless_the_other_way_round_works() -> None:
    queue, topic = resource("AWS::SQS::Queue"), resource("AWS::SNS::Topic")
    owner = {"Resources": {"Queue": queue}, "Outputs": {"Q": exported("one", {"Ref": "Queue"})}}
    reader = {"Resources": {"Topic": resource("AWS::SNS::Topic", TopicName=imported("one", "Queue"))}}
    before: Templates = {"one": owner, "two": reader}
    after: Templates = {"one": {"Resources": {"Queue": queue}}, "two": {"Resources": {"Topic": topic}}}
    way_out = only(between(assembly(before), assembly(after)), Kind.EXPORT_LOCK)
    assert way_out.risk is Risk.NOTICE
    assert (
        "gives up the export shop-one:Queue while two still imports it; deploying the last stack first" in way_out.text
    )
    stuck = between(assembly(before), assembly(after | {"two": reader}))
    assert {finding.risk for finding in about(stuck, Kind.EXPORT_LOCK)} == {Risk.DANGER}
    assert (LockKind.REMOVED, "shop-one:Queue") in [(lock.kind, lock.output) for lock in stuck.locks]


def test_a_value_that_was_missing_before_is_no_news() -> None:
    reader = {"Resources": {"Topic": resource("AWS::SNS::Topic", TopicName=weakly("one", "Gone"))}}
    made = assembly({"one": {"Resources": {"Queue": resource("AWS::SQS::Queue")}}, "two": reader})
    assert not between(made, made).locks
    assert only(between(lone({}), made), Kind.EXPORT_LOCK).risk is Risk.DANGER


# --- the one line ----------------------------------------------------------------------------------------------------

BUCKET = resource("AWS::S3::Bucket")
GROUP = resource("AWS::AutoScaling::AutoScalingGroup", LaunchTemplate={"LaunchTemplateId": {"Ref": "L"}}) | {
    "UpdatePolicy": {"AutoScalingRollingUpdate": {}}
}
TOPIC = resource("AWS::SNS::Topic", TopicName="a")


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({"A": TOPIC}, {"A": TOPIC}, "Nothing changes."),
        (
            {"B": TOPIC},
            {"A": TOPIC, "B": TOPIC},
            "Safe to deploy: 1 added, 0 changed, 0 replaced, 0 removed; "
            "nothing that holds data is replaced or removed.",
        ),
        (
            {"A": TOPIC},
            {"A": resource("AWS::SNS::Topic", TopicName="b")},
            "Look first: one resource is replaced (0 added, 0 changed, 1 replaced, 0 removed; "
            "nothing that holds data is replaced or removed).",
        ),
        (
            {"A": BUCKET, "B": BUCKET, "C": TOPIC},
            {"C": TOPIC},
            "Do not deploy yet: 2 resources that others rely on leave the template "
            "(0 added, 0 changed, 0 replaced, 2 removed).",
        ),
    ],
)
def test_the_verdict_opens_with_what_to_do(before: dict[str, Any], after: dict[str, Any], line: str) -> None:
    assert verdict(between(lone(before), lone(after))) == line


def test_a_pipeline_fails_on_what_it_asked_for_and_on_nothing_that_is_routine() -> None:
    before = lone({"A": BUCKET, "T": TOPIC})
    comparison = between(before, lone({"T": resource("AWS::SNS::Topic", TopicName="b")}))
    assert [finding.kind for finding in failed(comparison, ["remove-stateful"])] == [Kind.REMOVE_STATEFUL]
    assert [finding.kind for finding in failed(comparison, ["replace", "cost"])] == [Kind.REPLACE]
    assert not failed(comparison, ["export-lock"])
    sizes = (
        lone({"L": resource("AWS::EC2::LaunchTemplate", LaunchTemplateData={"InstanceType": x}), "G": GROUP})
        for x in "ab"
    )
    routine = between(*sizes)
    assert [finding.kind for finding in routine.findings] == [Kind.INTERRUPT]
    assert not failed(routine, ["interrupt"])
    assert not failed(comparison, [])


def test_the_worst_finding_stands_first() -> None:
    comparison = between(assembly(large()), assembly(small()))
    risks = [finding.risk for finding in comparison.findings]
    assert risks == sorted(risks, reverse=True)
    assert comparison.risk is risks[0]


# --- laws ------------------------------------------------------------------------------------------------------------

law = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
names = st.lists(st.tuples(st.sampled_from(("network", "data", "web", "signals")), st.integers(0, 9)), max_size=8)


def without(places: list[tuple[str, int]]) -> Assembly:
    """The large stage without some of its resources."""
    templates = deepcopy(large())
    for role, number in places:
        there = templates[role]["Resources"]
        if len(there) > 1:
            del there[sorted(there)[number % len(there)]]
    return assembly(templates)


@law
@given(places=names)
def test_a_side_compared_with_itself_is_no_difference(places: list[tuple[str, int]]) -> None:
    nothing(between(without(places), without(places)))


def nothing(comparison: Comparison) -> None:
    differences = comparison.resources, comparison.locks, comparison.costs, comparison.findings
    assert differences == ((), (), (), ())
    assert not any((comparison.grants, comparison.openings, comparison.entrances))
    assert comparison.risk is Risk.NONE


@law
@given(some=names, others=names)
def test_what_is_added_one_way_is_removed_the_other(some: list[tuple[str, int]], others: list[tuple[str, int]]) -> None:
    one, other = of(without(some)), of(without(others))
    there, back = compare(one, other), compare(other, one)
    assert counted(there)["added"] == counted(back)["removed"]
    assert counted(there)["removed"] == counted(back)["added"]
    assert there.grants.added == back.grants.removed
    assert there.openings.added == back.openings.removed


@law
@given(places=names, more=names)
def test_the_same_two_sides_are_told_in_the_same_words(
    places: list[tuple[str, int]], more: list[tuple[str, int]]
) -> None:
    first, second = (between(without(places), without(more)) for _ in range(2))
    assert (first.resources, first.findings, verdict(first)) == (second.resources, second.findings, verdict(second))


@pytest.mark.parametrize("file", FOREIGN, ids=lambda file: file.name)
def test_a_foreign_template_compared_with_itself_is_no_difference(file: Path) -> None:
    nothing(between(read_assembly(file), read_assembly(file)))


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_a_stage_compared_with_itself_is_no_difference(profile: str, assemblies: Assemblies) -> None:
    for folder in assemblies(profile).values():
        nothing(between(read_assembly(folder), read_assembly(folder)))


@pytest.mark.slow
def test_new_names_of_all_packaged_files_are_code_and_nothing_else(production: dict[int, Path]) -> None:
    read = read_assembly(production[5])
    renamed = Assembly(
        tuple(
            StackTemplate(
                stack.name,
                stack.role,
                json.loads(re.sub(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", OTHER_HASH, json.dumps(stack.template))),
                stack.dependencies,
                stack.region,
                stack.termination_protection,
                stack.paths,
            )
            for stack in read.stacks
        )
    )
    comparison = between(read, renamed)
    assert len(comparison.resources) >= 7
    assert all(change.code_only for change in comparison.resources)
    assert not [finding for finding in comparison.findings if finding.risk >= Risk.NOTICE]


# --- the stages as they are built ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_step_to_the_cached_stage_keeps_all_data(production: dict[int, Path]) -> None:
    comparison = between(read_assembly(production[3]), read_assembly(production[4]))
    assert not about(comparison, Kind.REPLACE_STATEFUL, Kind.REMOVE_STATEFUL, Kind.EXPORT_LOCK, Kind.MAY_REPLACE)
    assert comparison.risk is Risk.NOTICE
    line = verdict(comparison)
    assert line.startswith("Look first: ")
    assert "0 replaced, 0 removed; nothing that holds data is replaced or removed" in line
    assert "2 interruptions" in line
    changes = {change.name: change for change in comparison.resources}
    assert changes["Database/Primary"].summary == "db.t4g.medium -> db.m7g.large"
    assert changes["Database/Primary"].impact is Impact.UPDATE
    assert changes["Cache/Group"].impact is Impact.CREATE
    assert changes["Fleet/Template"].block == "Fleet"
    assert "Database/Primary moves to its standby" in about(comparison, Kind.INTERRUPT)[0].text


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_no_step_up_replaces_what_holds_data(stage: int, production: dict[int, Path]) -> None:
    comparison = between(read_assembly(production[stage - 1]), read_assembly(production[stage]))
    assert comparison.risk < Risk.DANGER
    assert not about(comparison, Kind.REPLACE_STATEFUL, Kind.EXPORT_LOCK)


@pytest.mark.slow
def test_the_way_back_says_that_the_database_leaves(production: dict[int, Path]) -> None:
    comparison = between(read_assembly(production[2]), read_assembly(production[1]))
    dangers = [finding.text for finding in comparison.findings if finding.risk is Risk.DANGER]
    assert any(text.startswith("Database/Primary (a database) is no longer in the template") for text in dangers)
    assert verdict(comparison).startswith("Do not deploy yet: ")
