"""The arithmetic of availability, and what the five stages and other people's templates come to."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workbench.handmade import lone, resource
from workbench.compare.aspects.availability import availability, compare, parallel, series
from workbench.compare.model import Availability, Capacity, Facts, Finding, Link, Loss, Risk
from workbench.compare.model import Path as Way
from workbench.cost import Estimate
from workbench.facts.commitments import COMMITMENTS, commitments
from workbench.templates import Assembly, StackTemplate, read_assembly
from workbench.templates.reading import System

REF = {"Ref": "Group"}
SUBNETS = ["subnet-a", "subnet-b", "subnet-c"]


def link(share: float | None, copies: int = 1) -> Link:
    return Link("a part", share, copies, "by hand")


def of(resources: dict[str, Any]) -> Availability:
    return availability(System(lone(resources)))


def path(found: Availability, name: str) -> Way:
    return next(each for each in found.paths if each.name == name)


def loss(found: Availability, of: str) -> Loss:
    return next(each for each in found.losses if each.of == of)


def side(found: Availability, label: str = "a side") -> Facts:
    """Facts with nothing but an availability."""
    assembly = Assembly(())
    return Facts(
        label=label,
        assembly=assembly,
        system=System(assembly),
        grants=frozenset(),
        openings=frozenset(),
        entrances=(),
        guards={},
        cost=Estimate((), (), ()),
        availability=found,
        capacity=Capacity(()),
    )


def changes(before: Availability, after: Availability) -> list[Finding]:
    return compare(side(before), side(after))


@cache
def system(folder: Path) -> System:
    return System(read_assembly(folder))


@cache
def stage(folder: Path) -> Availability:
    return availability(system(folder))


# --- Arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([], 1),
        ([link(0.995)], 0.995),
        ([link(0.995), link(0.9995)], 0.9945025),
        ([link(0.995, copies=2)], 0.999975),
        ([link(0.9), link(0.9, copies=3)], 0.8991),
        ([link(0.999), link(None)], None),
        ([link(None, copies=3)], None),
    ],
)
def test_series_multiply_and_copies_stand_in_for_each_other(links: list[Link], expected: float | None) -> None:
    assert series(links) == (None if expected is None else pytest.approx(expected, abs=1e-12))


shares = st.floats(0, 1)
parts = st.lists(st.builds(link, shares, st.integers(1, 6)), max_size=8)


@given(parts, shares, st.integers(1, 6))
def test_another_part_in_series_never_raises_it(links: list[Link], share: float, copies: int) -> None:
    without, with_it = series(links), series([*links, link(share, copies)])
    assert without is not None
    assert with_it is not None
    assert 0 <= with_it <= without <= 1


@given(shares, st.integers(1, 6))
def test_another_copy_never_lowers_it(share: float, copies: int) -> None:
    fewer, more = parallel(share, copies), parallel(share, copies + 1)
    assert fewer is not None
    assert more is not None
    assert 0 <= fewer <= more <= 1


def test_downtime_is_told_for_a_month_of_thirty_days() -> None:
    assert Way("read", (), 0.999).downtime_minutes == pytest.approx(43.2)
    assert Way("read", (), None).downtime_minutes is None


# --- Our stages -------------------------------------------------------------------------------------------------------

# By hand, from the commitments: host 99.5, RDS Multi-AZ 99.95, WAF 99.95, load balancer and EC2 of a region 99.99,
# CloudFront 99.9; hosts and databases side by side as 1 - 0.005^n.
WAY_IN = 0.9995 * 0.9999 * 0.9999
BACKGROUND = 0.999**2 * 0.9995 * 0.999 * 0.9999 * 0.999 * 0.999 * 0.9995 * (1 - 0.001**3)
STAGES = {
    1: {"read": 0.995, "write": 0.995},
    2: {"read": 0.995 * 0.9995, "write": 0.995 * 0.9995},
    3: {"read": WAY_IN * (1 - 0.005**2) ** 2, "write": WAY_IN * (1 - 0.005**2) * 0.9995},
    4: {
        "read": 0.999 * 0.9995 * WAY_IN * (1 - 0.005**3) ** 2,
        "write": 0.999 * 0.9995 * WAY_IN * (1 - 0.005**3) * 0.9995,
    },
}
STAGES[5] = {**STAGES[4], "background": BACKGROUND}


@pytest.mark.parametrize("number", STAGES)
def test_each_stage_comes_to_what_one_reckons_by_hand(production: dict[int, Path], number: int) -> None:
    found = {each.name: each.availability for each in stage(production[number]).paths}
    assert found == {name: pytest.approx(share, abs=1e-12) for name, share in STAGES[number].items()}


def test_the_read_path_of_the_cached_stage_names_everything_that_a_request_passes(production: dict[int, Path]) -> None:
    assert [(each.name, each.copies) for each in path(stage(production[4]), "read").links] == [
        ("OriginRecord and 1 more", 1),
        ("Cdn/Distribution", 1),
        ("Firewall/Acl", 1),
        ("EdgeFirewall/Acl", 1),
        ("Front/Balancer", 1),
        ("Fleet/Group, all hosts at once", 1),
        ("Fleet/Group", 3),
        ("Database/Primary or one of its replicas (2)", 3),
        ("Cache/Group, which reads can do without", 1),
    ]


def test_work_in_the_background_needs_mail_only_where_mail_is_sent(
    production: dict[int, Path], sandbox: dict[int, Path]
) -> None:
    names = [[each.name for each in path(stage(folder[5]), "background").links] for folder in (production, sandbox)]
    assert "Mail/Identity" in names[0]
    assert set(names[0]) - set(names[1]) == {"Mail/Identity"}
    assert names[1][0] == "Events/Topic"
    assert names[1][-1] == "Network/Nat1"


def test_every_part_cites_a_commitment_and_its_date(production: dict[int, Path], sandbox: dict[int, Path]) -> None:
    for folder in (*production.values(), *sandbox.values()):
        for each in (link for way in stage(folder).paths for link in way.links):
            assert re.search(r"refund below [\d.]+ % \(\S+\.\S+, \d{4}", each.source), each
            assert each.key is not None


SURVIVED = {
    1: {"a host": False, "a zone": False, "the database": False},
    2: {"a host": False, "a zone": False, "the database": True},
    3: {"a host": True, "a zone": True, "the database": True},
    4: {"a host": True, "a zone": True, "the database": True, "a cache shard": True},
    5: {"a host": True, "a zone": True, "the database": True, "a cache shard": True, "a worker": True},
}


@pytest.mark.parametrize("number", SURVIVED)
def test_each_stage_survives_what_it_is_there_for(production: dict[int, Path], number: int) -> None:
    never = {"the data": False, "the region": False}  # nobody buys while a backup is restored
    assert {each.of: each.survived for each in stage(production[number]).losses} == SURVIVED[number] | never


@pytest.mark.parametrize(
    ("number", "of", "told"),
    [
        (1, "a host", "Server/HardwareFailed moves it elsewhere after 2"),
        (1, "the data", "at most 5 minutes of the database; files on DataVolume/Volume: since its last snapshot"),
        (2, "the database", "60 to 120 s"),
        (2, "the data", "files on DataVolume/Volume: since its last snapshot"),
        (3, "a host", "left out after 30 s, a successor within about 5 minutes"),
        (3, "the database", "reads go on from replicas (1)"),
        (4, "the data", "any moment of the last 35 days"),
        (4, "a cache shard", "the database is asked instead"),
        (5, "a worker", "after 5 attempts they wait 14 days"),
        (5, "a worker", "180 to 360 s, the visibility timeout"),
    ],
)
def test_a_loss_is_told_with_the_figures_of_the_template(
    production: dict[int, Path], number: int, of: str, told: str
) -> None:
    found = loss(stage(production[number]), of)
    assert told in f"{found.effect} | {found.rto} | {found.rpo}"


def test_a_single_way_out_of_the_network_is_told(production: dict[int, Path], sandbox: dict[int, Path]) -> None:
    assert "only NAT gateway" in loss(stage(sandbox[3]), "a zone").effect
    assert "NAT gateway" not in loss(stage(production[3]), "a zone").effect


# --- Other people's templates -----------------------------------------------------------------------------------------

FUNCTION = resource("AWS::Lambda::Function", Role={"Fn::GetAtt": ["Role", "Arn"]})
CALLED = resource("AWS::Lambda::Permission", FunctionName={"Ref": "Function"}, Principal="apigateway.amazonaws.com")
API = resource("AWS::ApiGateway::RestApi")
TABLE = resource("AWS::DynamoDB::Table")
MAY_USE_TABLE = resource(
    "AWS::IAM::Role", Policies=[{"PolicyDocument": {"Statement": [{"Resource": {"Fn::GetAtt": ["Table", "Arn"]}}]}}]
)
DATABASE = resource("AWS::RDS::DBInstance", Engine="postgres", MultiAZ=True)
HOST = resource("AWS::EC2::Instance", InstanceType="m7g.large", SubnetId="subnet-a")
OTHER_HOST = resource("AWS::EC2::Instance", SubnetId="subnet-b")
BALANCER = resource("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=SUBNETS)
TARGETS = resource("AWS::ElasticLoadBalancingV2::TargetGroup", Targets=[{"Id": {"Ref": "A"}}, {"Id": {"Ref": "B"}}])
CLUSTER = resource("AWS::RDS::DBCluster", Engine="aurora-postgresql")
MEMBER = resource("AWS::RDS::DBInstance", DBClusterIdentifier={"Ref": "Cluster"})
SERVICE = resource(
    "AWS::ECS::Service", DesiredCount=2, NetworkConfiguration={"AwsvpcConfiguration": {"Subnets": SUBNETS}}
)


def group(**properties: Any) -> dict[str, Any]:
    return resource("AWS::AutoScaling::AutoScalingGroup", VPCZoneIdentifier=SUBNETS, **properties)


@pytest.mark.parametrize(
    ("resources", "write"),
    [
        (
            {"Api": API, "Function": FUNCTION, "Called": CALLED, "Role": MAY_USE_TABLE, "Table": TABLE},
            0.9995**2 * 0.9999,
        ),
        ({"Service": SERVICE, "Database": DATABASE}, 0.9999 * 0.9995),
        ({"Group": group(MinSize="5")}, 0.9999 * (1 - 0.005**3)),  # three zones; two of five hosts are no further help
        ({"Group": group(MinSize="1")}, 0.995),
        ({"Balancer": BALANCER, "Targets": TARGETS, "A": HOST, "B": OTHER_HOST}, 0.9999**2 * (1 - 0.005**2)),
        ({"Cluster": CLUSTER, "A": MEMBER, "B": MEMBER}, 0.9999),
        ({"Cluster": CLUSTER, "A": MEMBER}, 0.999),
        ({"Database": resource("AWS::RDS::DBInstance", Engine="postgres")}, 0.995),
        ({"Cache": resource("AWS::ElastiCache::ReplicationGroup", AutomaticFailoverEnabled=True)}, 0.9999),
    ],
)
def test_the_parts_of_other_people_count_with_their_own_commitments(resources: dict[str, Any], write: float) -> None:
    assert path(of(resources), "write").availability == pytest.approx(write, abs=1e-12)


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"Database": resource("AWS::RDS::DBInstance", MultiAZ={"Fn::If": ["Large", True, False]})}, "standby"),
        ({"A": HOST, "B": OTHER_HOST}, "which of 2 hosts"),
        ({"Group": group(MinSize={"Ref": "Minimum"})}, "how many hosts"),
        ({"Service": resource("AWS::ECS::Service", DesiredCount=1)}, "several tasks"),
        ({"Cluster": resource("AWS::EKS::Cluster")}, "AWS::EKS::Cluster"),
        ({"Balancer": resource("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets={"Ref": "Subnets"})}, "zones"),
    ],
)
def test_what_nobody_can_say_makes_the_path_unknown(resources: dict[str, Any], why: str) -> None:
    unknown = path(of({**resources, "Files": resource("AWS::S3::Bucket")}), "read")
    assert unknown.availability is None
    assert why in "; ".join(each.source for each in unknown.links if each.availability is None)


def test_a_site_of_files_can_be_read_and_not_written() -> None:
    origins = [{"DomainName": {"Fn::GetAtt": ["Pages", "RegionalDomainName"]}}]
    site = resource("AWS::CloudFront::Distribution", DistributionConfig={"Origins": origins})
    found = of({"Site": site, "Pages": resource("AWS::S3::Bucket")})
    [read] = found.paths
    assert read.name == "read"
    assert read.availability == pytest.approx(0.999**2)


def test_a_template_without_anything_that_answers_has_no_path_and_no_loss() -> None:
    assert of({"Role": resource("AWS::IAM::Role"), "Vpc": resource("AWS::EC2::VPC")}) == Availability((), ())


def test_subnets_of_one_zone_are_one_zone() -> None:
    subnets = {name: resource("AWS::EC2::Subnet", AvailabilityZone="eu-west-1a") for name in ("A", "B")}
    inside = resource("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=[{"Ref": "A"}, {"Ref": "B"}])
    assert path(of({**subnets, "Balancer": inside}), "read").availability == pytest.approx(0.999)


def test_a_zone_is_survived_only_with_a_standby_of_the_database() -> None:
    alone = resource("AWS::RDS::DBInstance", Engine="postgres")
    hosts = {"Balancer": BALANCER, "Group": group(MinSize="2", TargetGroupARNs=["targets"])}
    zones = [loss(of({**hosts, "Database": each}), "a zone") for each in (DATABASE, alone)]
    assert [each.survived for each in zones] == [True, False]
    assert "Database has no standby in another zone" in zones[1].effect


def test_a_copy_of_a_backup_in_another_region_is_told() -> None:
    plan = {"BackupPlanRule": [{"CopyActions": [{"DestinationBackupVaultArn": "elsewhere"}]}]}
    found = of({"Database": DATABASE, "Plan": resource("AWS::Backup::BackupPlan", BackupPlan=plan)})
    assert "last copy" in loss(found, "the region").rpo


JUNK: list[Any] = [None, True, -1, "", "x", [], [None], {}, {"Ref": "Nobody"}, {"Fn::Sub": "${X}"}, [[{"Fn::If": []}]]]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_of_any_shape_are_read_without_a_crash(production: dict[int, Path], data: st.DataObject) -> None:
    stacks = []
    for stack in system(production[5]).stacks:
        body = json.loads(json.dumps(stack.template))
        names = sorted(name for name in body.get("Resources", {}) if body["Resources"][name].get("Properties"))
        for name in data.draw(st.lists(st.sampled_from(names), max_size=12, unique=True)) if names else ():
            properties = body["Resources"][name]["Properties"]
            properties[data.draw(st.sampled_from(sorted(properties)))] = data.draw(st.sampled_from(JUNK))
        stacks.append(StackTemplate(stack.name, stack.role, body, region=stack.region))
    for way in availability(System(Assembly(tuple(stacks)))).paths:
        assert way.availability is None or 0 <= way.availability <= 1


# --- Both sides -------------------------------------------------------------------------------------------------------


def test_the_same_twice_is_no_finding(production: dict[int, Path]) -> None:
    for folder in production.values():
        assert changes(stage(folder), stage(folder)) == []


def test_a_part_more_in_series_is_told_and_alarms_nobody(production: dict[int, Path]) -> None:
    found = changes(stage(production[3]), stage(production[4]))
    assert {each.risk for each in found} == {Risk.ROUTINE}
    assert found[0].text == (
        "The read path is committed to 99.780 % (95.0 minutes down a month), instead of 99.925 % "
        "(32.4 minutes down a month). It passes more: Cdn/Distribution, EdgeFirewall/Acl."
    )


def test_going_back_to_one_host_is_noticed(production: dict[int, Path]) -> None:
    found = changes(stage(production[3]), stage(production[2]))
    assert [each.text for each in found if each.risk is Risk.NOTICE and "Losing a" in each.text]
    assert {each.risk for each in found} == {Risk.NOTICE}


def test_giving_up_the_standby_is_noticed() -> None:
    found = changes(of({"Database": DATABASE}), of({"Database": resource("AWS::RDS::DBInstance", Engine="postgres")}))
    assert {each.risk for each in found} == {Risk.NOTICE}
    assert any("Losing the database stops the system" in each.text for each in found)


def test_a_gain_is_routine() -> None:
    found = changes(of({"Database": resource("AWS::RDS::DBInstance", Engine="postgres")}), of({"Database": DATABASE}))
    assert {each.risk for each in found} == {Risk.ROUTINE}


def test_a_path_that_becomes_unknown_names_who_made_it_so() -> None:
    unknown = of({"Database": resource("AWS::RDS::DBInstance", MultiAZ={"Ref": "Standby"})})
    [read, *_] = changes(of({"Database": DATABASE}), unknown)
    assert (read.risk, "Database" in read.text, "no known availability" in read.text) == (Risk.NOTICE, True, True)


# --- The rows ---------------------------------------------------------------------------------------------------------


def test_every_commitment_is_a_share_with_source_and_date() -> None:
    rows = json.loads(COMMITMENTS.read_text(encoding="utf-8"))["rows"]
    assert len(rows) == len(commitments()), "two rows with one name"
    for row in commitments().values():
        assert 0.9 < row.availability <= 1
        assert re.match(r"\S+\.\S+/\S+$", row.source)
        assert re.match(r"20\d\d(-\d\d){0,2}$", row.as_of)
        assert row.service


def test_the_figure_is_cited_in_percent() -> None:
    cited = replace(commitments()["host"], note="").cited
    assert cited == "EC2, one instance: refund below 99.5 % (aws.amazon.com/compute/sla, 2022-05-25)"
    assert math.isclose(commitments()["host"].availability, 0.995)
