"""The standing cost: worked out by hand beside what the code says, and honest about what it does not know."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from blueprint.stages import STAGES
from tests.conftest import Assemblies
from tests.workbench.bad_templates import Body, att, made, ref
from workbench.cost import PARTS, PRICES, Estimate, prices, standing_cost
from workbench.templates import Assembly, StackTemplate, read_assembly


def cost(resources: dict[str, Body], *, region: str = "us-east-1") -> Estimate:
    return standing_cost(Assembly((StackTemplate("shop-web", "web", {"Resources": resources}, region=region),)))


def usd(resources: dict[str, Body]) -> float:
    found = cost(resources)
    assert found.complete, found.unknown
    return round(found.usd, 4)


def database(**properties: Any) -> Body:
    return made("RDS::DBInstance", Engine="postgres", StorageType="gp3", **properties)


HOST: dict[str, Any] = {
    "InstanceType": "t4g.medium",
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp3", "VolumeSize": 20}}],
}
OWN_METRICS = 17 * 0.30

# What is in the template, and what it costs a month by hand: hourly prices times 730.
BY_HAND: dict[str, tuple[dict[str, Body], float]] = {
    "a host with its disk": ({"Host": made("EC2::Instance", **HOST)}, 0.0336 * 730 + 20 * 0.08 + OWN_METRICS),
    "a host that is watched closely": (
        {"Host": made("EC2::Instance", **HOST, Monitoring=True)},
        0.0336 * 730 + 20 * 0.08 + 2.10 + OWN_METRICS,
    ),
    "a fleet at its minimum": (
        {
            "Group": made(
                "AutoScaling::AutoScalingGroup",
                MinSize="3",
                MaxSize="12",
                LaunchTemplate={"LaunchTemplateId": ref("Template"), "Version": att("Template", "LatestVersionNumber")},
            ),
            "Template": made("EC2::LaunchTemplate", LaunchTemplateData={**HOST, "Monitoring": {"Enabled": True}}),
        },
        3 * (0.0336 * 730 + 20 * 0.08 + 2.10) + OWN_METRICS,
    ),
    "a data volume": ({"Disk": made("EC2::Volume", VolumeType="gp3", Size=50)}, 50 * 0.08),
    "a fast data volume": (
        {"Disk": made("EC2::Volume", VolumeType="gp3", Size=50, Iops=4000, Throughput=225)},
        50 * 0.08 + 1000 * 0.005 + 100 * 0.04,
    ),
    "a database with a standby": (
        {"Primary": database(DBInstanceClass="db.t4g.medium", MultiAZ=True, AllocatedStorage="100")},
        0.129 * 730 + 100 * 0.23,
    ),
    "a database and its replica": (
        {
            "Primary": database(DBInstanceClass="db.t4g.medium", MultiAZ=False, AllocatedStorage="100"),
            "Copy": made(
                "RDS::DBInstance",
                DBInstanceClass="db.t4g.medium",
                StorageType="gp3",
                SourceDBInstanceIdentifier=ref("Primary"),
            ),
        },
        2 * (0.065 * 730 + 100 * 0.115),
    ),
    "a cache of three shards": (
        {
            "Cache": made(
                "ElastiCache::ReplicationGroup",
                Engine="valkey",
                CacheNodeType="cache.t4g.medium",
                NumNodeGroups=3,
                ReplicasPerNodeGroup=1,
            )
        },
        6 * 0.052 * 730,
    ),
    "a load balancer in three zones": (
        {
            "Front": made(
                "ElasticLoadBalancingV2::LoadBalancer",
                Type="application",
                Scheme="internet-facing",
                Subnets=["a", "b", "c"],
            )
        },
        0.0225 * 730 + 3 * 0.005 * 730,
    ),
    "a NAT gateway with its address": (
        {"Nat": made("EC2::NatGateway"), "Address": made("EC2::EIP")},
        0.045 * 730 + 0.005 * 730,
    ),
    "a private endpoint in three zones, a free one beside": (
        {
            "Ssm": made("EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=["a", "b", "c"]),
            "S3": made("EC2::VPCEndpoint", VpcEndpointType="Gateway"),
        },
        3 * 0.01 * 730,
    ),
    "a key and a secret": ({"Key": made("KMS::Key"), "Secret": made("SecretsManager::Secret")}, 1.00 + 0.40),
    "a firewall with four rules": ({"Wall": made("WAFv2::WebACL", Rules=[{}, {}, {}, {}])}, 5.00 + 4 * 1.00),
    "an alarm, one over three metrics, and a fast one": (
        {
            "One": made("CloudWatch::Alarm", MetricName="Errors", Period=60),
            "Three": made("CloudWatch::Alarm", Metrics=[*[{"MetricStat": {"Period": 60}}] * 3, {"Expression": "SUM"}]),
            "Fast": made("CloudWatch::Alarm", MetricName="Errors", Period=10),
        },
        0.10 + 3 * 0.10 + 0.30,
    ),
    "a dashboard and two alarms of target tracking": (
        {
            "Board": made("CloudWatch::Dashboard"),
            "Cpu": made("AutoScaling::ScalingPolicy", PolicyType="TargetTrackingScaling"),
        },
        3.00 + 2 * 0.10,
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_the_sum_is_what_one_works_out_by_hand(case: str) -> None:
    resources, expected = BY_HAND[case]
    assert usd(resources) == pytest.approx(expected, abs=0.01)


def test_every_priced_type_is_worked_out_by_hand_somewhere() -> None:
    seen = {body["Type"] for resources, _ in BY_HAND.values() for body in resources.values()}
    assert set(PARTS) - seen == {"AWS::CloudFront::MonitoringSubscription"}
    assert usd({"Watch": made("CloudFront::MonitoringSubscription")}) == 8 * 0.30


def test_a_type_that_nobody_priced_is_unknown_and_not_free() -> None:
    found = cost({"Graph": made("Neptune::DBCluster")})
    assert not found.complete
    assert [(each.resource, each.what) for each in found.unknown] == [("Graph", "a type that nobody has priced")]


def test_a_size_without_a_price_is_unknown_and_the_rest_still_counts() -> None:
    found = cost({"Host": made("EC2::Instance", **{**HOST, "InstanceType": "u-24tb1.metal"})})
    assert [each.what for each in found.unknown] == ["host: EC2, u-24tb1.metal Linux on-demand"]
    assert found.usd == pytest.approx(20 * 0.08 + OWN_METRICS)


def test_prices_of_one_region_are_not_taken_for_another() -> None:
    found = cost({"Key": made("KMS::Key")}, region="eu-west-1")
    assert found.lines == ()
    assert [each.what for each in found.unknown] == ["key: KMS, customer managed key"]


def test_what_is_billed_by_use_is_named_with_what_counts() -> None:
    found = cost({"Files": made("S3::Bucket")})
    assert found.complete
    assert [(each.resource, each.what) for each in found.by_use] == [("Files", "storage and requests")]


def test_each_line_leads_to_its_row_of_the_price_list() -> None:
    [line] = cost({"Nat": made("EC2::NatGateway")}).lines
    assert (line.price.usd, line.price.unit, line.price.region) == (0.045, "hour", "us-east-1")
    assert line.price.source
    assert line.price.as_of


def test_every_row_says_where_and_when_it_was_read_and_no_two_are_the_same() -> None:
    rows = json.loads(PRICES.read_text(encoding="utf-8"))["rows"]
    assert len(rows) == len(prices())
    for row in rows:
        assert row["usd"] > 0
        assert row["source"]
        assert row["as_of"]
        assert row["confidence"]


def test_a_type_is_priced_billed_by_use_or_free_and_only_one_of_them() -> None:
    facts = json.loads(PRICES.read_text(encoding="utf-8"))
    counted = Counter([*PARTS, *facts["by_use"], *facts["free"]])
    assert [kind for kind, times in counted.items() if times > 1] == []


def test_every_size_that_a_stage_starts_with_has_a_price() -> None:
    wanted = set()
    for stage in STAGES:
        if stage.server is not None:
            wanted.add(("EC2", f"{stage.server.instance_type} Linux on-demand"))
        if stage.fleet is not None:
            wanted.add(("EC2", f"{stage.fleet.instance_type} Linux on-demand"))
        if stage.database is not None:
            for copies in ("Single-AZ", "Multi-AZ (1 standby)"):
                wanted.add(("RDS PostgreSQL", f"db.{stage.database.instance_type} {copies}"))
        if stage.cache is not None:
            wanted.add(("ElastiCache", f"{stage.cache.node_type} node (Valkey)"))
    assert len(wanted) > 5
    assert wanted <= {(service, item) for service, item, region in prices() if region == "us-east-1"}


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_every_stage_is_priced_to_the_last_resource_and_never_gets_cheaper(
    assemblies: Assemblies, profile: str
) -> None:
    costs = [standing_cost(read_assembly(folder)) for _, folder in sorted(assemblies(profile).items())]
    assert [cost.unknown for cost in costs] == [()] * 5
    sums = [cost.usd for cost in costs]
    assert sums == sorted(sums)
    assert 20 < sums[0] < 100


def test_stage_one_is_what_one_works_out_by_hand(production: dict[int, Path]) -> None:
    by_component: dict[str, float] = defaultdict(float)
    for line in standing_cost(read_assembly(production[1])).lines:
        by_component[line.component] += line.usd
    assert by_component["host"] == pytest.approx(0.0336 * 730)
    assert by_component["disk"] == pytest.approx((20 + 50) * 0.08)
    assert by_component["address"] == pytest.approx(3.65)
