"""Each rule of the contract: it passes where it should, and it finds what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.workbench.handmade import Templates, assembly, exported, imported, large, resource, small, weakly
from workbench.facts.stateful import SNAPSHOTS, STATEFUL
from workbench.transition.allowances import ALLOWANCES
from workbench.transition.contract import RULES, contract
from workbench.transition.rule import Direction, RuleReport

UP, DOWN, STAY = Direction.UP, Direction.DOWN, Direction.STAY


def judge(
    before: Templates,
    after: Templates,
    direction: Direction,
    *,
    protected: bool = True,
    guarded: tuple[str, ...] = (),
    allowances: Any = ALLOWANCES,
) -> dict[str, RuleReport]:
    reports = contract(
        assembly(before, guarded=guarded),
        assembly(after, guarded=guarded),
        direction=direction,
        protected=protected,
        allowances=allowances,
    )
    return {report.rule: report for report in reports}


def sides(direction: Direction) -> tuple[Templates, Templates]:
    """The good pair in this direction."""
    match direction:
        case Direction.UP:
            return small(), large()
        case Direction.DOWN:
            return large(), small()
        case Direction.STAY:
            return large(), large()


def the(templates: Templates, role: str, logical_id: str) -> dict[str, Any]:
    """A resource of the pair, to be changed."""
    found: dict[str, Any] = templates[role]["Resources"][logical_id]
    return found


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("protected", [True, False])
def test_the_good_pair_keeps_the_contract(direction: Direction, protected: bool) -> None:
    for report in judge(*sides(direction), direction, protected=protected).values():
        assert not report.findings, "\n".join(map(str, report.findings))
        assert report.examined > 0, report.rule


def test_every_rule_of_the_contract_has_its_place() -> None:
    numbers = [*range(1, 13), 15]  # 13 and 14 are asked over all moves
    assert [rule.id for rule in RULES] == [f"EV{number:02}" for number in numbers]
    for rule in RULES:
        assert rule.title
        assert rule.why.endswith(".")
        assert rule.fix


# --- each rule, broken -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """One way to break a rule: what is changed, and where it has to be found."""

    rule: str
    direction: Direction
    change: Callable[[Templates, Templates], object]
    found: str
    guarded: tuple[str, ...] = ()


def rename_database(_: Templates, after: Templates) -> None:
    data = after["data"]["Resources"]
    data["NewDatabase"] = data.pop("Database")
    data["Replica"]["Properties"]["SourceDBInstanceIdentifier"] = {"Ref": "NewDatabase"}
    after["data"]["Outputs"]["DatabaseId"]["Value"] = {"Ref": "NewDatabase"}


def move_bucket(_: Templates, after: Templates) -> None:
    after["web"]["Resources"]["Files"] = after["data"]["Resources"].pop("Files")


def drop_unkept_volume(before: Templates, _: Templates) -> None:
    the(before, "data", "Volume").update(DeletionPolicy="Delete")


def drop_host_without_fleet(_: Templates, after: Templates) -> None:
    del after["web"]["Resources"]["Fleet"]


def replace_subnet_group(_: Templates, after: Templates) -> None:
    the(after, "data", "Subnets")["Properties"]["DBSubnetGroupName"] = "another"


def replace_key(_: Templates, after: Templates) -> None:
    the(after, "network", "Key")["Type"] = "AWS::KMS::ReplicaKey"


def lose_queue(before: Templates, _: Templates) -> None:
    the(before, "workers", "Queue").update(DeletionPolicy="Delete")


def name_queue(before: Templates, _: Templates) -> None:
    the(before, "workers", "Queue")["Properties"]["QueueName"] = "mail"


def drop_export(_: Templates, after: Templates) -> None:
    """The value is no longer exported although everybody still reads it."""
    del after["network"]["Outputs"]["Output1"]


def change_export(before: Templates, after: Templates) -> None:
    for side, value in ((before, "Subnet"), (after, "Group")):
        side["data"]["Outputs"]["Shared"] = {"Value": {"Ref": value}, "Export": {"Name": "shop-data:Shared"}}
        side["web"]["Resources"]["Logs"]["Properties"]["Tags"] = [imported("data", "Shared")]


def import_too_early(_: Templates, after: Templates) -> None:
    """Going down, the younger stack comes first and asks for what the older one does not yet have."""
    after["data"]["Outputs"]["Late"] = exported("data", {"Ref": "Volume"})
    the(after, "web", "Host")["Properties"]["Tags"] = [imported("data", "Volume")]


def read_too_early(_: Templates, after: Templates) -> None:
    after["web"]["Outputs"] = {"Address": {"Value": {"Ref": "Address"}}}
    the(after, "signals", "Alarm")["Properties"]["AlarmActions"] = [weakly("web", "Address")]


def weak_value_flips(_: Templates, after: Templates) -> None:
    after["data"]["Outputs"]["DatabaseId"]["Value"] = {"Ref": "Replica"}


def foundation_output(_: Templates, after: Templates) -> None:
    after["network"]["Outputs"]["Extra"] = {"Value": {"Ref": "Vpc"}}


def both_change(_: Templates, after: Templates) -> None:
    the(after, "data", "Database")["Properties"].update(EngineVersion="18.1", DBInstanceClass="db.m7g.large")


def family_with_replica(_: Templates, after: Templates) -> None:
    the(after, "data", "Parameters")["Properties"]["Family"] = "postgres18"


def new_targets(before: Templates, after: Templates) -> None:
    """A fleet on both sides whose target group is exchanged in one step."""
    for role in ("web", "data"):
        before[role] = large()[role]
    after["web"]["Resources"]["NewTargets"] = after["web"]["Resources"].pop("Targets")
    the(after, "web", "Fleet")["Properties"]["TargetGroupARNs"] = [{"Ref": "NewTargets"}]


def replaced_targets(before: Templates, after: Templates) -> None:
    before["web"] = large()["web"]
    the(after, "web", "Targets")["Properties"]["Port"] = 9090


def unhealthy_refresh(_: Templates, after: Templates) -> None:
    refresh = the(after, "web", "Fleet")["UpdatePolicy"]["AutoScalingInstanceRefresh"]
    refresh["Preferences"]["MinHealthyPercentage"] = 90


def crowd(_: Templates, after: Templates) -> None:
    after["web"]["Resources"] |= {f"Topic{number}": resource("AWS::SNS::Topic") for number in range(450)}


def bloat(_: Templates, after: Templates) -> None:
    the(after, "web", "Logs")["Metadata"] = "x" * 900 * 1024


def put(role: str, logical_id: str, **values: Any) -> Callable[[Templates, Templates], object]:
    """Change properties after the move."""
    return lambda _, after: the(after, role, logical_id)["Properties"].update(values)


def policy(role: str, logical_id: str, **policies: str) -> Callable[[Templates, Templates], object]:
    return lambda _, after: the(after, role, logical_id).update(policies)


def gone(role: str, logical_id: str) -> Callable[[Templates, Templates], object]:
    return lambda _, after: after[role]["Resources"].pop(logical_id)


BROKEN = [
    Broken("EV01", UP, rename_database, "data.Database [AWS::RDS::DBInstance] is no longer there"),
    Broken("EV01", UP, move_bucket, "data.Files.stack [AWS::S3::Bucket] moves to another stack ('data' -> 'web')"),
    Broken("EV01", UP, lambda _, after: the(after, "data", "Files").update(Type="AWS::SNS::Topic"), "another type"),
    Broken("EV01", UP, drop_unkept_volume, "data.Volume [AWS::EC2::Volume] is no longer there"),
    Broken("EV01", UP, drop_host_without_fleet, "web.Host [AWS::EC2::Instance] is no longer there"),
    Broken("EV01", UP, drop_host_without_fleet, "web.Address [AWS::EC2::EIP] is no longer there"),
    Broken("EV02", UP, put("data", "Database", StorageEncrypted=False), "data.Database.StorageEncrypted"),
    Broken("EV02", DOWN, put("data", "Database", Port="5433"), "data.Database.Port [AWS::RDS::DBInstance] has to be"),
    Broken("EV02", UP, put("data", "Database", AvailabilityZone="b"), "data.Database.AvailabilityZone"),
    Broken("EV02", UP, put("data", "Files", BucketName="files"), "data.Files.BucketName"),
    Broken("EV02", UP, put("network", "Subnet", CidrBlock="10.0.9.0/24"), "network.Subnet.CidrBlock"),
    Broken("EV03", UP, replace_subnet_group, "data.Database.DBSubnetGroupName"),
    Broken("EV03", UP, put("network", "Vpc", CidrBlock="10.1.0.0/16"), "network.Subnet.VpcId"),
    Broken("EV03", UP, replace_key, "data.Database.KmsKeyId [AWS::RDS::DBInstance] has to be replaced; network.Key"),
    Broken("EV03", DOWN, lose_queue, "workers.Queue.DeletionPolicy [AWS::SQS::Queue] is destroyed"),
    Broken("EV04", UP, policy("data", "Files", DeletionPolicy="Delete"), "data.Files.DeletionPolicy"),
    Broken("EV04", UP, policy("data", "Files", UpdateReplacePolicy="Delete"), "data.Files.UpdateReplacePolicy"),
    Broken("EV04", UP, policy("data", "Files", DeletionPolicy="Snapshot"), "cannot be snapshotted"),
    Broken("EV04", UP, policy("data", "Replica", DeletionPolicy="Snapshot"), "is a replica and would be kept"),
    Broken("EV04", UP, put("data", "Replica", DeletionProtection=True), "is a replica and is protected"),
    Broken("EV05", DOWN, lose_queue, "workers.Queue.DeletionPolicy [AWS::SQS::Queue] is deleted"),
    Broken("EV05", DOWN, name_queue, "workers.Queue.QueueName [AWS::SQS::Queue] has a fixed name"),
    Broken(
        "EV06",
        UP,
        drop_export,
        "shop-network:Group [output] removed while another stack imports it",
    ),
    Broken("EV06", UP, change_export, "data.shop-data:Shared [output] changed while another stack"),
    Broken("EV06", DOWN, import_too_early, "web.shop-data:Volume [output] not there when"),
    Broken("EV06", DOWN, read_too_early, "signals.shop-web.Address [output] not there when"),
    Broken("EV06", UP, weak_value_flips, "signals.shop-data.DatabaseId [output] changed, and the stack that reads it"),
    Broken("EV06", UP, put("network", "Subnet", CidrBlock="10.0.9.0/24"), "shop-network:Subnet [output] changed"),
    Broken("EV06", UP, foundation_output, "network.Extra.Value [output] is not the same at both stages"),
    Broken("EV07", UP, put("network", "Vpc", CidrBlock="10.1.0.0/16"), "network.Vpc.CidrBlock"),
    Broken("EV07", UP, put("network", "Subnet", AvailabilityZone="b"), "network.Subnet.AvailabilityZone"),
    Broken("EV07", DOWN, put("network", "Group", GroupDescription="Others"), "network.Group.GroupDescription"),
    Broken("EV07", UP, put("network", "Group", GroupName="other"), "network.Group.GroupName"),
    Broken("EV07", DOWN, gone("network", "Group"), "network.Group [AWS::EC2::SecurityGroup] is only at one"),
    Broken("EV08", DOWN, put("data", "Database", DeletionProtection=False), "Database.DeletionProtection"),
    Broken("EV08", UP, gone("data", "Database"), "data.Database [AWS::RDS::DBInstance] is protected"),
    Broken("EV08", DOWN, lambda *_: None, "workers.terminationProtection", guarded=("workers",)),
    Broken("EV09", UP, both_change, "data.Database.EngineVersion"),
    Broken("EV09", UP, family_with_replica, "together with Replica"),
    Broken("EV10", UP, gone("network", "Key"), "network.Key [AWS::KMS::Key] is removed"),
    Broken("EV10", DOWN, replace_key, "network.Key [AWS::KMS::Key] is replaced"),
    Broken("EV11", UP, unhealthy_refresh, "web.Fleet.UpdatePolicy"),
    Broken("EV11", UP, lambda _, after: the(after, "web", "Fleet").pop("UpdatePolicy"), "web.Fleet.UpdatePolicy"),
    Broken("EV11", UP, new_targets, "web.Targets [AWS::ElasticLoadBalancingV2::TargetGroup] goes in the step"),
    Broken("EV11", UP, replaced_targets, "web.Targets [AWS::ElasticLoadBalancingV2::TargetGroup] goes in the step"),
    Broken("EV12", STAY, put("web", "Logs", RetentionInDays="365"), "web.Logs [Resources] differs"),
    Broken("EV12", STAY, lambda _, after: after["web"].update(Description="today"), "web [Description] differs"),
    Broken("EV12", STAY, lambda _, after: after.pop("signals"), "signals.Alarm [Resources] differs"),
    Broken("EV15", UP, crowd, "web.Resources [AWS::CloudFormation::Stack] has 454 resources"),
    Broken("EV15", UP, bloat, "web.template [AWS::CloudFormation::Stack] has a template of"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.rule}-{broken.found[:40]}")
def test_a_rule_finds_what_breaks_it(broken: Broken) -> None:
    before, after = sides(broken.direction)
    broken.change(before, after)
    reports = judge(before, after, broken.direction, guarded=broken.guarded)
    found = [str(finding) for finding in reports[broken.rule].findings]
    assert any(broken.found in line for line in found), "\n".join(found) or "nothing found"


def test_every_rule_is_seen_to_fail() -> None:
    assert {broken.rule for broken in BROKEN} == {rule.id for rule in RULES}


# --- nothing to look at ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", Direction)
def test_having_looked_at_nothing_is_a_failure(direction: Direction) -> None:
    nothing: Templates = {}
    for report in judge(nothing, nothing, direction).values():
        may_be_empty = report.rule in ("EV05", "EV09", "EV11")
        assert bool(report.findings) is not may_be_empty, report


@pytest.mark.parametrize(
    ("rule", "direction", "emptied"),
    [("EV05", DOWN, ("workers",)), ("EV09", UP, ("data",)), ("EV11", UP, ("web",))],
)
def test_a_rule_may_only_be_idle_when_the_move_has_nothing_for_it(
    rule: str, direction: Direction, emptied: tuple[str, ...]
) -> None:
    before, after = sides(direction)
    for role in emptied:
        before[role], after[role] = {}, {}
        before["web"]["Resources"] = after["web"]["Resources"] = {"Logs": resource("AWS::Logs::LogGroup", "Retain")}
    report = judge(before, after, direction)[rule]
    assert report.examined == 0
    assert not report.findings


# --- profiles and allowances -----------------------------------------------------------------------------------------


def test_a_sandbox_may_delete_what_its_template_no_longer_has() -> None:
    before, after = sides(DOWN)
    for templates in (before, after):
        for stack in templates.values():
            for its in stack.get("Resources", {}).values():
                if its.get("DeletionPolicy"):
                    its["DeletionPolicy"] = "Delete"
    reports = judge(before, after, DOWN, protected=False)
    assert not {"EV05", "EV08"} & set(reports)
    assert not [finding for report in reports.values() for finding in report.findings]


def test_a_sandbox_still_keeps_what_is_replaced() -> None:
    before, after = sides(UP)
    the(after, "data", "Files")["UpdateReplacePolicy"] = "Delete"
    assert judge(before, after, UP, protected=False)["EV04"].findings


@pytest.mark.parametrize(
    ("rule", "direction", "logical_id"),
    [
        ("EV01", UP, "Host"),
        ("EV01", UP, "Address"),
        ("EV01", UP, "Volume"),
        ("EV03", DOWN, "FirewallLog"),
        ("EV04", UP, "FirewallLog"),
        ("EV05", DOWN, "FirewallLog"),
    ],
)
def test_what_is_allowed_is_found_and_told(rule: str, direction: Direction, logical_id: str) -> None:
    allowed = judge(*sides(direction), direction)[rule].allowed
    assert logical_id in [finding.id for finding, _ in allowed]
    without = judge(*sides(direction), direction, allowances=())[rule]
    assert logical_id in [finding.id for finding in without.findings]


def test_going_back_to_a_host_may_take_the_protected_database_away_with_a_runbook() -> None:
    before, after = sides(DOWN)
    for logical_id in ("Database", "Subnets", "Parameters"):
        del after["data"]["Resources"][logical_id]
    del after["data"]["Outputs"], after["signals"]["Resources"]
    report = judge(before, after, DOWN)["EV08"]
    assert not report.findings
    assert [row.runbook for _, row in report.allowed] == ["managed-database-to-host"]


def test_every_allowance_gives_its_reason_and_every_dropped_store_its_runbook() -> None:
    assert ALLOWANCES
    for row in ALLOWANCES:
        assert row.reason.endswith(".")
        assert row.rules <= {rule.id for rule in RULES}
        assert row.runbook or not row.rules & {"EV01", "EV08"}
        assert row.type in STATEFUL


def test_only_types_in_the_table_can_be_snapshotted() -> None:
    assert "AWS::S3::Bucket" not in SNAPSHOTS
    assert "AWS::EC2::Volume" in SNAPSHOTS
