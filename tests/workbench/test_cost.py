"""The standing cost: worked out by hand beside what the code says, and honest about what it does not know."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprint.stages import STAGES
from tests.conftest import Assemblies
from tests.workbench.bad_templates import Body, att, made, ref
from workbench.cost import Estimate, estimate, prices, standing_cost
from workbench.cost.by_use import BY_USE
from workbench.cost.prices import facts
from workbench.cost.standing import STANDING
from workbench.templates import Assembly, StackTemplate, read_assembly
from workbench.templates.reading import System
from workbench.usage import USAGES, Usage


def system(resources: dict[str, Body], *, region: str = "us-east-1", **sections: Any) -> System:
    return System(Assembly((StackTemplate("shop-web", "web", {"Resources": resources, **sections}, region=region),)))


def cost(resources: dict[str, Body], *, region: str = "us-east-1") -> Estimate:
    return estimate(system(resources, region=region))


def usd(resources: dict[str, Body]) -> float:
    found = cost(resources)
    assert found.complete, found.unknown
    return found.usd


def database(**properties: Any) -> Body:
    return made("RDS::DBInstance", Engine="postgres", StorageType="gp3", **properties)


HOST: dict[str, Any] = {
    "InstanceType": "t4g.medium",
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp3", "VolumeSize": 20}}],
}

# What is in the template, and what it costs a month by hand: hourly prices times 730.
BY_HAND: dict[str, tuple[dict[str, Body], float]] = {
    "a host with its disk": ({"Host": made("EC2::Instance", **HOST)}, 0.0336 * 730 + 20 * 0.08),
    "a host that is watched closely": (
        {"Host": made("EC2::Instance", **HOST, Monitoring=True)},
        0.0336 * 730 + 20 * 0.08 + 2.10,
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
        3 * (0.0336 * 730 + 20 * 0.08 + 2.10),
    ),
    "a host that runs the shop, which an alarm shows": (
        {
            "Host": made("EC2::Instance", **HOST),
            "Alarm": made("CloudWatch::Alarm", Namespace="Shop", MetricName="Errors"),
        },
        0.0336 * 730 + 20 * 0.08 + 17 * 0.30 + 0.10,
    ),
    "a fleet of mixed sizes": (
        {
            "Group": made(
                "AutoScaling::AutoScalingGroup",
                MinSize=2,
                MixedInstancesPolicy={
                    "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": ref("Template")}}
                },
            ),
            "Template": made("EC2::LaunchTemplate", LaunchTemplateData=HOST),
        },
        2 * (0.0336 * 730 + 20 * 0.08),
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
    "a fast database": (
        {"Primary": database(DBInstanceClass="db.t4g.medium", MultiAZ=False, AllocatedStorage=400, Iops=13_000)},
        0.065 * 730 + 400 * 0.115 + 1_000 * 0.02,
    ),
    "a disk with as many operations as were ordered": (
        {"Disk": made("EC2::Volume", VolumeType="io2", Size=100, Iops=2000)},
        100 * 0.125 + 2000 * 0.065,
    ),
    "a cache without shards, and a single one": (
        {
            "Group": made(
                "ElastiCache::ReplicationGroup",
                Engine="redis",
                CacheNodeType="cache.t4g.micro",
                NumCacheClusters=2,
            ),
            "One": made(
                "ElastiCache::CacheCluster", Engine="redis", CacheNodeType="cache.t4g.micro", NumCacheNodes="1"
            ),
        },
        3 * 0.016 * 730,
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
    "a load balancer inside, and a classic one": (
        {
            "Inside": made("ElasticLoadBalancingV2::LoadBalancer", Type="network", Scheme="internal", Subnets=["a"]),
            "Old": made("ElasticLoadBalancing::LoadBalancer"),
        },
        0.0225 * 730 + 0.025 * 730,
    ),
    "a table with capacity, and one without": (
        {
            "Table": made(
                "DynamoDB::Table", ProvisionedThroughput={"ReadCapacityUnits": 10, "WriteCapacityUnits": "5"}
            ),
            "Other": made("DynamoDB::Table", BillingMode="PAY_PER_REQUEST"),
        },
        10 * 0.00013 * 730 + 5 * 0.00065 * 730,
    ),
    "a stream of two shards, and one on demand": (
        {
            "Two": made("Kinesis::Stream", ShardCount=2),
            "Any": made("Kinesis::Stream", StreamModeDetails={"StreamMode": "ON_DEMAND"}),
        },
        2 * 0.015 * 730 + 0.04 * 730,
    ),
    "a zone of names and a large parameter": (
        {
            "Zone": made("Route53::HostedZone"),
            "Large": made("SSM::Parameter", Tier="Advanced"),
            "Small": made("SSM::Parameter"),
        },
        0.50 + 0.05,
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
    assert usd(resources) == pytest.approx(expected, abs=0.011)  # each line is rounded to cents


def test_every_standing_type_is_worked_out_by_hand_somewhere() -> None:
    seen = {body["Type"] for resources, _ in BY_HAND.values() for body in resources.values()}
    assert set(STANDING) - seen == {"AWS::CloudFront::MonitoringSubscription"}
    assert usd({"Watch": made("CloudFront::MonitoringSubscription")}) == 8 * 0.30


def test_a_type_that_nobody_priced_is_unknown_and_not_free() -> None:
    found = cost({"Graph": made("Neptune::DBCluster")})
    assert not found.complete
    assert [(each.resource, each.what) for each in found.unknown] == [("Graph", "a type that nobody has priced")]


def test_a_size_without_a_price_is_unknown_and_the_rest_still_counts() -> None:
    found = cost({"Host": made("EC2::Instance", **{**HOST, "InstanceType": "u-24tb1.metal"})})
    assert [each.what for each in found.unknown] == [
        "host: no price of EC2, u-24tb1.metal Linux on-demand in us-east-1"
    ]
    assert found.usd == 20 * 0.08


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("EC2::Volume", {"VolumeType": "gp3", "Size": ref("Size")}),
        ("EC2::Volume", {"VolumeType": "gp3", "Size": "a lot"}),
        ("EC2::Volume", {"VolumeType": "gp3"}),
        ("EC2::Instance", {"InstanceType": "t4g.medium"}),  # its disk comes with the image
        ("ElasticLoadBalancingV2::LoadBalancer", {"Subnets": ref("Subnets")}),
        ("EC2::VPCEndpoint", {"VpcEndpointType": "Interface", "SubnetIds": ref("Subnets")}),
        ("WAFv2::WebACL", {"Rules": {"Fn::If": ["Strict", [{}], []]}}),
        ("Kinesis::Stream", {"ShardCount": ref("Shards")}),
        ("DynamoDB::Table", {"ProvisionedThroughput": {"ReadCapacityUnits": ref("Reads"), "WriteCapacityUnits": 1}}),
        (
            "ElastiCache::ReplicationGroup",
            {"Engine": "valkey", "CacheNodeType": "cache.t4g.micro", "NumNodeGroups": ref("Shards")},
        ),
    ],
)
def test_an_amount_that_only_aws_will_know_is_unknown_and_never_nothing(kind: str, properties: dict[str, Any]) -> None:
    [gap] = cost({"Thing": made(kind, **properties)}).unknown
    assert gap.what.endswith("the template does not say how much of it")


def test_prices_of_one_region_are_not_taken_for_another() -> None:
    found = cost({"Key": made("KMS::Key")}, region="ap-south-2")
    assert found.lines == ()
    assert [each.what for each in found.unknown] == ["key: no price of KMS, customer managed key in ap-south-2"]


def test_a_stack_that_does_not_say_where_it_is_has_no_price_until_somebody_says_so() -> None:
    nowhere = system({"Key": made("KMS::Key")}, region="")
    assert [gap.what for gap in estimate(nowhere).unknown] == ["key: the template does not say in which region it is"]
    assert estimate(nowhere, region="us-east-1").usd == 1.00


def test_a_region_that_a_stack_names_is_not_overruled() -> None:
    assert estimate(system({"Key": made("KMS::Key")}, region="eu-west-1"), region="us-east-1").lines == ()


def test_what_is_billed_by_use_is_named_with_what_counts() -> None:
    found = cost({"Files": made("S3::Bucket")})
    assert found.complete
    assert [(each.resource, each.what) for each in found.by_use] == [("Files", "storage and requests")]


def test_each_line_leads_to_its_row_of_the_price_list() -> None:
    [line] = cost({"Nat": made("EC2::NatGateway")}).lines
    assert (line.quantity, line.price.usd, line.price.unit, line.price.region) == (730, 0.045, "hour", "us-east-1")
    assert line.price.source
    assert line.price.as_of


def test_a_type_is_free_or_costs_something_and_never_both() -> None:
    free = Counter(facts()["free"])
    assert [kind for kind, times in free.items() if times > 1] == []
    assert set(free) & {*STANDING, *BY_USE, *facts()["by_use"]} == set()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(ref("Other")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = sorted(
    {name for resources, _ in BY_HAND.values() for body in resources.values() for name in body["Properties"]}
)
RESOURCE = st.builds(
    lambda kind, properties: {"Type": kind, "Properties": properties},
    st.sampled_from(sorted({*STANDING, *BY_USE, "AWS::SNS::Subscription", "AWS::Lambda::EventSourceMapping"})),
    st.dictionaries(
        st.sampled_from([*PROPERTIES, "Tags", "Type", "FilterPolicy", "Endpoint", "Role"]), ANYTHING, max_size=5
    ),
)


@given(
    st.dictionaries(st.sampled_from(["Other", "One", "Two", "Three"]), RESOURCE, max_size=4),
    st.sampled_from([None, *USAGES]),
)
def test_whatever_a_template_says_there_is_an_estimate_and_its_parts_make_the_total(
    resources: dict[str, Body], usage: Any
) -> None:
    found = estimate(system(resources), usage)
    assert found.usd == pytest.approx(sum(line.usd for line in found.lines), abs=0.001)
    assert all(line.usd >= 0 for line in found.lines)


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
@pytest.mark.parametrize("usage", [None, *USAGES], ids=lambda usage: usage.name if usage else "rest")
def test_every_stage_is_priced_to_the_last_resource(assemblies: Assemblies, profile: str, usage: Usage | None) -> None:
    for folder in assemblies(profile).values():
        whole = System(read_assembly(folder))
        found = estimate(whole, usage)
        assert found.unknown == ()
        spoken_of = {line.key for line in found.lines} | {gap.key for gap in found.by_use}
        silent = {each.type for each in whole.resources if (each.stack.role, each.id) not in spoken_of}
        # Of types that cost something, only single resources are free: small parameters, gateways, aliases.
        assert silent - set(facts()["free"]) <= {
            "AWS::EC2::VPCEndpoint",
            "AWS::Route53::RecordSet",
            "AWS::SSM::Parameter",
        }


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_no_stage_is_cheaper_at_rest_than_the_one_before(assemblies: Assemblies, profile: str) -> None:
    sums = [standing_cost(read_assembly(folder)).usd for _, folder in sorted(assemblies(profile).items())]
    assert sums == sorted(sums)
    assert 20 < sums[0] < 100


def test_stage_one_is_what_one_works_out_by_hand(production: dict[int, Path]) -> None:
    by_component: dict[str, float] = defaultdict(float)
    for line in standing_cost(read_assembly(production[1])).lines:
        by_component[line.component] += line.usd
    assert by_component["host"] == pytest.approx(0.0336 * 730, abs=0.01)
    assert by_component["disk"] == pytest.approx((20 + 50) * 0.08)
    assert by_component["address"] == 3.65
