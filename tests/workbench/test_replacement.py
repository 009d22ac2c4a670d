"""What a deployment does to resources, against the service specification, against laws, against the CDK itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workbench.handmade import Templates, assembly, large, lone, resource, small
from workbench.facts import specification
from workbench.facts.refinements import REFINEMENTS
from workbench.facts.specification import NotSetUp, replacement, specification_path
from workbench.facts.stateful import STATEFUL
from workbench.templates import Change, Impact, Key, impact, predict

GONE = (Impact.KEEP, Impact.SNAPSHOT, Impact.DESTROY)


# --- one property ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource_type", "path", "expected"),
    [
        ("AWS::RDS::DBInstance", ("StorageEncrypted",), Impact.REPLACE),
        ("AWS::RDS::DBInstance", ("DBInstanceClass",), Impact.UPDATE),
        ("AWS::RDS::DBInstance", ("AvailabilityZone",), Impact.MAY_REPLACE),
        ("AWS::EC2::Subnet", ("CidrBlock",), Impact.REPLACE),
        ("AWS::EC2::Instance", ("BlockDeviceMappings", 0, "Ebs", "KmsKeyId"), Impact.REPLACE),
        ("AWS::Route53::HealthCheck", ("HealthCheckConfig", "Type"), Impact.REPLACE),
        ("AWS::Route53::HealthCheck", ("HealthCheckConfig", "FailureThreshold"), Impact.UPDATE),
        ("AWS::S3::Bucket", ("LifecycleConfiguration", "Rules", 0, "Status"), Impact.UPDATE),
        ("AWS::SQS::Queue", ("NotYetInvented",), Impact.MAY_REPLACE),
        ("Custom::Thing", ("ServiceToken",), Impact.MAY_REPLACE),
        ("AWS::SQS::Queue", (), Impact.NONE),
    ],
)
def test_the_specification_says_what_a_change_does(
    resource_type: str, path: tuple[str | int, ...], expected: Impact
) -> None:
    assert impact(resource_type, path) is expected


def test_the_specification_is_read_from_the_pinned_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLUEPRINT_SPECIFICATION", raising=False)
    monkeypatch.setattr(specification, "ROOT", Path("/nowhere"))
    with pytest.raises(NotSetUp, match=r"node_modules/aws-cdk/db\.json\.gz is missing.*make set-up"):
        specification_path()


def test_every_stateful_type_and_its_properties_are_in_the_specification() -> None:
    for row in STATEFUL.values():
        for name in filter(None, (row.name, row.protection)):
            assert replacement(row.type, (name,)) != "unknown", f"{row.type}.{name}"
        assert row.type in specification._resources()


# --- refinements -----------------------------------------------------------------------------------------------------


def test_every_refinement_is_about_a_conditional_property_and_says_its_source() -> None:
    assert len(REFINEMENTS) >= 15
    for row in REFINEMENTS.values():
        assert replacement(row.type, (row.property,)) == "maybe", f"{row.type}.{row.property}"
        assert row.instead
        assert row.source.startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize(
    ("resource_type", "before", "after", "expected"),
    [
        ("AWS::RDS::DBInstance", {"MultiAZ": False}, {"MultiAZ": True}, Impact.UPDATE),
        ("AWS::RDS::DBInstance", {"BackupRetentionPeriod": 1}, {"BackupRetentionPeriod": 35}, Impact.UPDATE),
        ("AWS::RDS::DBInstance", {"SourceDBInstanceIdentifier": "a"}, {}, Impact.UPDATE),
        ("AWS::RDS::DBInstance", {}, {"SourceDBInstanceIdentifier": "a"}, Impact.MAY_REPLACE),
        ("AWS::RDS::DBInstance", {"PerformanceInsightsKMSKeyId": "a"}, {}, Impact.UPDATE),
        (
            "AWS::RDS::DBInstance",
            {"PerformanceInsightsKMSKeyId": "a"},
            {"PerformanceInsightsKMSKeyId": "b"},
            Impact.MAY_REPLACE,
        ),
        (
            "AWS::EC2::Instance",
            {"InstanceType": "a", "ImageId": "x"},
            {"InstanceType": "b", "ImageId": "x"},
            Impact.UPDATE,
        ),
        (
            "AWS::EC2::Instance",
            {"InstanceType": "a", "ImageId": "x"},
            {"InstanceType": "b", "ImageId": "y"},
            Impact.REPLACE,
        ),
        ("AWS::EC2::VPC", {"InstanceTenancy": "dedicated"}, {"InstanceTenancy": "default"}, Impact.UPDATE),
        ("AWS::EC2::VPC", {"InstanceTenancy": "default"}, {"InstanceTenancy": "dedicated"}, Impact.MAY_REPLACE),
        ("AWS::SSM::Document", {"Content": "a"}, {"Content": "b", "UpdateMethod": "NewVersion"}, Impact.UPDATE),
        ("AWS::SSM::Document", {"Content": "a"}, {"Content": "b"}, Impact.MAY_REPLACE),
        ("AWS::ElastiCache::ReplicationGroup", {"NumNodeGroups": 2}, {"NumNodeGroups": 3}, Impact.MAY_REPLACE),
    ],
)
def test_a_conditional_replacement_happens_only_under_its_condition(
    resource_type: str, before: dict[str, Any], after: dict[str, Any], expected: Impact
) -> None:
    changes = predict(lone({"It": resource(resource_type, **before)}), lone({"It": resource(resource_type, **after)}))
    assert changes["template", "It"].impact is expected


def test_shards_move_while_the_cluster_answers_when_the_template_asks_for_it() -> None:
    before, after = (resource("AWS::ElastiCache::ReplicationGroup", NumNodeGroups=shards) for shards in (2, 3))
    after["UpdatePolicy"] = {"UseOnlineResharding": True}
    change = predict(lone({"Cache": before}), lone({"Cache": after}))["template", "Cache"]
    assert change.impact is Impact.UPDATE
    assert "keys move" in change.decisive[0].why


# --- whole templates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "resource_type", "expected"),
    [
        ("Retain", "AWS::SQS::Queue", Impact.KEEP),
        ("RetainExceptOnCreate", "AWS::SQS::Queue", Impact.KEEP),
        ("Snapshot", "AWS::EC2::Volume", Impact.SNAPSHOT),
        ("Delete", "AWS::RDS::DBInstance", Impact.DESTROY),
        (None, "AWS::SQS::Queue", Impact.DESTROY),
        (None, "AWS::RDS::DBInstance", Impact.SNAPSHOT),  # CloudFormation's own default
    ],
)
def test_the_deletion_policy_decides_what_a_removal_is(
    policy: str | None, resource_type: str, expected: Impact
) -> None:
    changes = predict(lone({"It": resource(resource_type, policy), "Other": resource("AWS::SNS::Topic")}), lone({}))
    assert changes["template", "It"].impact is expected


def test_a_replacement_spreads_through_references_of_every_kind() -> None:
    before = {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
        "Subnet": resource("AWS::EC2::Subnet", VpcId={"Ref": "Vpc"}),
        "Host": resource("AWS::EC2::Instance", SubnetId={"Fn::GetAtt": ["Subnet", "SubnetId"]}),
        "Name": resource("AWS::SSM::Parameter", Name={"Fn::Sub": "/hosts/${Host.PrivateIp}"}),
        "Alarm": resource("AWS::CloudWatch::Alarm", Dimensions=[{"Value": {"Ref": "Host"}}]),
        "Bystander": resource("AWS::SQS::Queue"),
    }
    after = deepcopy(before)
    after["Vpc"]["Properties"]["CidrBlock"] = "10.1.0.0/16"
    found = {key[1]: change.impact for key, change in predict(lone(before), lone(after)).items()}
    replaced = dict.fromkeys(("Vpc", "Subnet", "Host", "Name"), Impact.REPLACE)
    assert found == {**replaced, "Alarm": Impact.UPDATE}


def test_a_replacement_spreads_from_stack_to_stack_and_says_why() -> None:
    after = small()
    after["network"]["Resources"]["Key"]["Type"] = "AWS::KMS::ReplicaKey"
    change = predict(assembly(small()), assembly(after))["data", "Database"]
    assert change.impact is Impact.REPLACE
    assert [cause.property for cause in change.decisive] == ["KmsKeyId"]
    assert change.decisive[0].follows == ("network", "Key")
    assert "network.Key is replaced" in change.decisive[0].why


def test_what_may_be_replaced_makes_its_users_no_more_certain() -> None:
    before = {
        "Subnet": resource("AWS::EC2::Subnet", Ipv6CidrBlock="a"),
        "Host": resource("AWS::EC2::Instance", SubnetId={"Ref": "Subnet"}),
        "Alarm": resource("AWS::CloudWatch::Alarm", Dimensions=[{"Value": {"Ref": "Subnet"}}]),
    }
    after = deepcopy(before)
    after["Subnet"]["Properties"]["Ipv6CidrBlock"] = "b"
    found = {key[1]: change.impact for key, change in predict(lone(before), lone(after)).items()}
    assert found == {"Subnet": Impact.MAY_REPLACE, "Host": Impact.MAY_REPLACE}


@pytest.mark.parametrize(("one", "other"), [(5432, "5432"), (True, "true"), (False, "false"), ("5432", 5432), (1.0, 1)])
def test_values_that_cloudformation_reads_alike_are_no_change(one: object, other: object) -> None:
    assert not predict(
        lone({"It": resource("AWS::RDS::DBInstance", Port=one)}),
        lone({"It": resource("AWS::RDS::DBInstance", Port=other)}),
    )


def test_true_is_not_one() -> None:
    before, after = (resource("AWS::SQS::Queue", FifoQueue=value) for value in (True, 1))
    assert predict(lone({"It": before}), lone({"It": after}))


def test_an_absent_and_a_false_value_are_not_alike() -> None:
    before, after = resource("AWS::SQS::Queue"), resource("AWS::SQS::Queue", FifoQueue=False)
    assert predict(lone({"It": before}), lone({"It": after}))["template", "It"].impact is Impact.REPLACE


def test_a_policy_that_changes_is_told_without_touching_the_resource() -> None:
    changes = predict(lone({"It": resource("AWS::SQS::Queue")}), lone({"It": resource("AWS::SQS::Queue", "Retain")}))
    change = changes["template", "It"]
    assert change.impact is Impact.NONE
    assert [cause.property for cause in change.causes] == ["DeletionPolicy", "UpdateReplacePolicy"]


def test_a_block_that_comes_as_a_whole_is_judged_by_what_is_in_it() -> None:
    before = resource("AWS::EC2::VPCEndpoint", ServiceName="s3")
    after = resource("AWS::EC2::VPCEndpoint", ServiceName="s3", DnsOptions={"PrivateDnsPreference": "x"})
    assert impact("AWS::EC2::VPCEndpoint", ("DnsOptions",)) is Impact.UPDATE
    assert predict(lone({"It": before}), lone({"It": after}))["template", "It"].impact is Impact.REPLACE


# --- laws ------------------------------------------------------------------------------------------------------------

# Properties of both kinds, of resources that refer to each other within and between stacks.
PLACES = (
    ("network", "Vpc", "CidrBlock"),
    ("network", "Vpc", "EnableDnsSupport"),
    ("network", "Subnet", "CidrBlock"),
    ("network", "Subnet", "VpcId"),
    ("network", "Subnet", "Ipv6CidrBlock"),
    ("network", "Group", "GroupDescription"),
    ("network", "Key", "EnableKeyRotation"),
    ("data", "Subnets", "DBSubnetGroupName"),
    ("data", "Subnets", "SubnetIds"),
    ("data", "Parameters", "Family"),
    ("data", "Database", "DBInstanceClass"),
    ("data", "Database", "KmsKeyId"),
    ("data", "Database", "AvailabilityZone"),
    ("data", "Volume", "Size"),
    ("web", "Host", "InstanceType"),
    ("web", "Host", "ImageId"),
    ("web", "Host", "UserData"),
    ("web", "Logs", "LogGroupName"),
    ("signals", "Alarm", "AlarmName"),
)
law = settings(deadline=None)  # the first example reads the specification
changed_places = st.sets(st.sampled_from(PLACES), max_size=6)
removed_places = st.sets(st.sampled_from([(role, name) for role, name, _ in PLACES]), max_size=4)


def changed(
    places: AbstractSet[tuple[str, str, str]], removed: AbstractSet[tuple[str, str]] = frozenset()
) -> Templates:
    """The small stage with other values at these places, and without these resources."""
    templates = small()
    for role, name, property_ in places:
        templates[role]["Resources"][name]["Properties"][property_] = f"another {property_}"
    for role, name in removed:
        templates[role]["Resources"].pop(name)
    return templates


def replaced(changes: Mapping[Key, Change]) -> set[Key]:
    return {key for key, change in changes.items() if change.impact is Impact.REPLACE}


@law
@given(places=changed_places, removed=removed_places)
def test_a_template_over_itself_changes_nothing(
    places: set[tuple[str, str, str]], removed: set[tuple[str, str]]
) -> None:
    assert predict(assembly(changed(places, removed)), assembly(changed(places, removed))) == {}


@law
@given(some=changed_places, more=changed_places)
def test_more_changes_never_take_a_replacement_back(
    some: set[tuple[str, str, str]], more: set[tuple[str, str, str]]
) -> None:
    before = assembly(small())
    few, many = (predict(before, assembly(changed(places))) for places in (some, some | more))
    assert replaced(few) <= replaced(many)
    assert set(few) <= set(many)


@law
@given(places=changed_places, removed=removed_places)
def test_the_way_back_creates_what_the_way_there_removed(
    places: set[tuple[str, str, str]], removed: set[tuple[str, str]]
) -> None:
    here, there = assembly(small()), assembly(changed(places, removed))
    out, back = predict(here, there), predict(there, here)
    gone = {key for key, change in out.items() if change.impact in GONE}
    assert gone == removed
    assert gone == {key for key, change in back.items() if change.impact is Impact.CREATE}
    assert not [key for key, change in out.items() if change.impact is Impact.CREATE]


@law
@given(places=changed_places)
def test_every_impact_is_that_of_its_worst_cause(places: set[tuple[str, str, str]]) -> None:
    for change in predict(assembly(small()), assembly(changed(places))).values():
        assert change.impact == max(cause.impact for cause in change.causes)
        assert change.decisive


@law
@given(places=changed_places)
def test_prediction_depends_on_neither_order_nor_names_of_stacks(places: set[tuple[str, str, str]]) -> None:
    after = changed(places)
    turned: Templates = {
        role: {section: dict(reversed(list(content.items()))) for section, content in template.items()}
        for role, template in reversed(list(after.items()))
    }
    assert predict(assembly(small()), assembly(after)) == predict(assembly(small()), assembly(turned))


# --- the CDK as a witness --------------------------------------------------------------------------------------------

WITNESSED = (
    "AWS::RDS::DBInstance", "AWS::ElastiCache::ReplicationGroup", "AWS::S3::Bucket", "AWS::DynamoDB::Table",
    "AWS::EC2::Volume", "AWS::EC2::Instance", "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup", "AWS::KMS::Key",
    "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup",
    "AWS::Backup::BackupVault", "AWS::AutoScaling::AutoScalingGroup", "AWS::EC2::LaunchTemplate",
    "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::ElasticLoadBalancingV2::Listener", "AWS::CloudFront::Distribution", "AWS::WAFv2::WebACL",
    "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::IAM::Role", "AWS::SSM::Parameter",
    "AWS::SSM::Document", "AWS::KinesisFirehose::DeliveryStream", "AWS::Route53::RecordSet",
    "AWS::RDS::DBSubnetGroup", "AWS::RDS::DBParameterGroup",
)  # fmt: skip
LINE = re.compile(r"^\[~\] (\S+) (\S+)(?: (replace|may be replaced))?\s*$", re.MULTILINE)


def every_property(types: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """One resource for each property of these types, which differs in it, and users that follow it."""
    before: dict[str, Any] = {}
    for number, resource_type in enumerate(types):
        for name in sorted(specification._resources()[resource_type]["properties"]):
            before[f"R{number}{name}"] = resource(resource_type, **{name: "before"})
            before[f"U{number}{name}"] = resource("AWS::SQS::Queue", QueueName={"Ref": f"R{number}{name}"})
            before[f"V{number}{name}"] = resource("AWS::SNS::Topic", TopicName={"Ref": f"U{number}{name}"})
    after = deepcopy(before)
    for logical_id, its in after.items():
        if logical_id.startswith("R"):
            (name,) = its["Properties"]
            its["Properties"][name] = "after"
    return before, after


@pytest.mark.slow
def test_the_cdk_foresees_the_same_for_every_property_of_our_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twice as many resources take the CDK four times as long, so it is asked about half of them, twice at a time.
    pairs = [every_property(WITNESSED[half::2]) for half in (0, 1)]
    assert sum(len(before) for before, _ in pairs) > 1_000
    with ThreadPoolExecutor() as pool:
        told = pool.map(cdk_diff, pairs, (tmp_path / "one", tmp_path / "other"))
    monkeypatch.setattr("workbench.templates.replacement.REFINEMENTS", {})
    by_cdk = {"replace": Impact.REPLACE, "may be replaced": Impact.MAY_REPLACE, "": Impact.UPDATE}
    replaced = 0
    for (before, after), said in zip(pairs, told, strict=True):
        ours = {key[1]: change.impact for key, change in predict(lone(before), lone(after)).items()}
        theirs = {name: by_cdk[what] for name, what in said.items()}
        # What may follow from what may be replaced is ours alone: the CDK follows certain replacements only.
        ours = {name: what for name, what in ours.items() if name.startswith("R") or what is Impact.REPLACE}
        assert ours == theirs
        replaced += list(theirs.values()).count(Impact.REPLACE)
    assert replaced > 200


def cdk_diff(pair: tuple[dict[str, Any], dict[str, Any]], folder: Path) -> dict[str, str]:
    """Logical id -> what the CDK command line says that happens to it; no account and no network is needed."""
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/unknown-region",
        "properties": {"templateFile": "Stack.template.json"},
    }
    before, after = pair
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"Stack": stack}}))
    (folder / "Stack.template.json").write_text(json.dumps({"Resources": after}))
    (folder / "before.json").write_text(json.dumps({"Resources": before}))
    done = subprocess.run(
        [
            os.environ["JSII_NODE"], specification_path().parent / "bin" / "cdk", "diff", "Stack", "--app", folder,
            "--template", folder / "before.json", "--no-color", "--no-notices",
        ],
        capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"},
    )  # fmt: skip
    found = {logical_id: what for _, logical_id, what in LINE.findall(done.stdout + done.stderr)}
    assert found, done.stdout + done.stderr
    return found


def test_the_large_stage_is_reached_without_a_replacement() -> None:
    assert not replaced(predict(assembly(small()), assembly(large())))
    assert not replaced(predict(assembly(large()), assembly(small())))
