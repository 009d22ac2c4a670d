"""What a workload adds to the bill, worked out by hand, and what is left without a figure because nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workbench.bad_templates import Body, allow, att, made, policy_document, ref
from workbench.cost import Estimate, estimate
from workbench.cost.by_use import BY_USE
from workbench.cost.traffic import Traffic, requests_per_target
from workbench.cost.use_requests import lcu, nlcu
from workbench.templates import Assembly, StackTemplate
from workbench.templates.reading import System
from workbench.usage import USAGES, Usage, named

# 24,000 users a day make 36.5 million requests and 29.2 million files a month, 25 a second together.
ROUND = Usage("round", users_a_day=24_000, uploads_a_day=24, stored_gib=100)
REQUESTS, STATIC, ORDERS, UPLOADS, VIEWS = 36.5e6, 29.2e6, 36_500, 730, 3.65e6
GIB = 2**20  # in KiB
OUT_GIB = (REQUESTS * 12 + STATIC * 20) / GIB
EVENTS = ORDERS * 2 + UPLOADS * 2 + VIEWS


def system(resources: dict[str, Body], region: str = "us-east-1") -> System:
    return System(Assembly((StackTemplate("shop-web", "web", {"Resources": resources}, region=region),)))


def cost(resources: dict[str, Body], region: str = "us-east-1") -> Estimate:
    return estimate(system(resources, region), ROUND)


def added(resources: dict[str, Body], of: str) -> dict[str, float]:
    """Component -> USD, of what the workload adds to one resource."""
    found: dict[str, float] = {}
    for line in cost(resources).lines:
        if line.by_use and line.resource == of:
            found[line.component] = round(found.get(line.component, 0) + line.usd, 2)
    return found


HOST: dict[str, Any] = {
    "InstanceType": "m7g.large",
    "BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3", "VolumeSize": 20}}],
}
BALANCER = made("ElasticLoadBalancingV2::LoadBalancer", Type="application", Subnets=["a", "b"])
FLEET: dict[str, Body] = {
    "Fleet": made(
        "AutoScaling::AutoScalingGroup",
        MinSize="3",
        MaxSize="6",
        LaunchTemplate={"LaunchTemplateId": ref("Template")},
        VPCZoneIdentifier=["a", "b", "c"],
    ),
    "Template": made("EC2::LaunchTemplate", LaunchTemplateData=HOST),
    "Scaling": made(
        "AutoScaling::ScalingPolicy",
        AutoScalingGroupName=ref("Fleet"),
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"},
            "TargetValue": 500,
        },
    ),
}
EDGE = made("CloudFront::Distribution", DistributionConfig={"Origins": [{"DomainName": att("Static", "DomainName")}]})
ROLE = made(
    "IAM::Role", Policies=[{"PolicyDocument": policy_document(allow("dynamodb:PutItem", Resource=att("Table")))}]
)
STREAM_RIGHT = made(
    "IAM::Policy",
    Roles=[ref("Role")],
    PolicyDocument=policy_document({"Effect": "Allow", "Action": "firehose:PutRecord", "Resource": att("Stream")}),
)
JOB: dict[str, Body] = {
    "Topic": made("SNS::Topic", KmsMasterKeyId=att("Key")),
    "Queue": made("SQS::Queue", KmsMasterKeyId=att("Key")),
    "Subscription": made(
        "SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="sqs",
        Endpoint=att("Queue"),
        FilterPolicy={"type": ["order.placed", "product.viewed"]},
    ),
    "Batches": made("Lambda::EventSourceMapping", EventSourceArn=att("Queue"), FunctionName=ref("Job")),
    "Job": made(
        "Lambda::Function",
        MemorySize=512,
        Architectures=["arm64"],
        Role=att("Role"),
        LoggingConfig={"LogGroup": ref("Logs")},
    ),
    "Role": ROLE,
    "Right": STREAM_RIGHT,
    "Logs": made("Logs::LogGroup", RetentionInDays=365),
    "Table": made(
        "DynamoDB::Table",
        BillingMode="PAY_PER_REQUEST",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    ),
    "Stream": made("KinesisFirehose::DeliveryStream"),
    "Key": made("KMS::Key"),
}
HANDLED = ORDERS + VIEWS
DATABASE: dict[str, Any] = {"Engine": "postgres", "DBInstanceClass": "db.m7g.large", "StorageType": "gp3"}
HELD = 1 + ORDERS * 12 * 10 / GIB  # 5.18 GiB

BY_HAND: dict[str, tuple[dict[str, Body], str, dict[str, float]]] = {
    "a load balancer is billed by traffic, and what leaves it after 100 GB": (
        {"Front": BALANCER, **FLEET},
        "Front",
        {
            "capacity units": OUT_GIB * 0.008,  # 1.3 GiB an hour are more than 2.5 new connections
            "traffic to visitors": (OUT_GIB - 100) * 0.09,
        },
    ),
    "a network load balancer": (
        {"Front": made("ElasticLoadBalancingV2::LoadBalancer", Type="network", Subnets=["a"]), **FLEET},
        "Front",
        {"capacity units": OUT_GIB * 0.006, "traffic to visitors": (OUT_GIB - 100) * 0.09},
    ),
    # 1,500 requests a minute on average are 4,500 at the peak and 900 else: 9 and 2 hosts, of which it may have 3 to 6.
    "a fleet grows to its maximum for four hours a day": (
        {"Front": BALANCER, **FLEET},
        "Fleet",
        {
            "host, above the minimum": 0.5 * 730 * 0.0816,
            "disk, above the minimum": 0.5 * 20 * 0.08,
            "traffic between zones": (REQUESTS + STATIC) * 10 / GIB * 2 / 3 * 0.01,
        },
    ),
    "a lone host": (
        {"Host": made("EC2::Instance", **HOST)},
        "Host",
        {"traffic to visitors": (OUT_GIB - 100) * 0.09},
    ),
    "a CDN is billed beyond its allowance, and its origin sends for nothing": (
        {"Edge": EDGE, "Static": made("S3::Bucket"), "Front": BALANCER, **FLEET},
        "Edge",
        {"requests of visitors": (65.7e6 - 10e6) / 10_000 * 0.01, "traffic to visitors": 0},
    ),
    "a load balancer behind a CDN with a bucket sees pages only": (
        {"Edge": EDGE, "Static": made("S3::Bucket"), "Front": BALANCER, **FLEET},
        "Front",
        {"capacity units": REQUESTS * 12 / GIB * 0.008},
    ),
    "the bucket behind a CDN": (
        {"Edge": EDGE, "Static": made("S3::Bucket"), "Front": BALANCER, **FLEET},
        "Static",
        {"files read": STATIC * 0.05 / 1000 * 0.0004},
    ),
    "a firewall before the load balancer": (
        {
            "Front": BALANCER,
            "Wall": made("WAFv2::WebACL", Scope="REGIONAL"),
            "On": made("WAFv2::WebACLAssociation", ResourceArn=ref("Front"), WebACLArn=att("Wall")),
        },
        "Wall",
        {"requests looked at": 65.7 * 0.60},
    ),
    "a firewall before the CDN": (
        {"Edge": EDGE, "Static": made("S3::Bucket"), "Wall": made("WAFv2::WebACL", Scope="CLOUDFRONT")},
        "Wall",
        {"requests looked at": 65.7 * 0.60},
    ),
    "one of two NAT gateways": (
        {"Front": BALANCER, **FLEET, "Nat": made("EC2::NatGateway"), "Other": made("EC2::NatGateway")},
        "Nat",
        {"logs and events through it": 65.7e6 * 1.5 / GIB / 2 * 0.045},
    ),
    "the logs of hosts": (
        {"Host": made("EC2::Instance", **HOST), "Logs": made("Logs::LogGroup", RetentionInDays=73)},
        "Logs",
        {
            "logs taken in": 65.7e6 * 1.5 / GIB * 0.50,
            "logs kept": 65.7e6 * 1.5 / GIB * 0.15 * 2.4 * 0.03,  # 73 days are 2.4 months
        },
    ),
    "an address is asked for once by each visitor": (
        {"Host": made("EC2::Instance", **HOST), "Name": made("Route53::RecordSet", Type="A")},
        "Name",
        {"questions for the address": 0.73 * 0.40},
    ),
    "a database that is large enough": (
        {"Data": made("RDS::DBInstance", **DATABASE, AllocatedStorage=100, BackupRetentionPeriod=35)},
        "Data",
        {},
    ),
    "a database that has to grow, and keeps more backups than are free": (
        {
            "Data": made(
                "RDS::DBInstance", **DATABASE, AllocatedStorage=4, MaxAllocatedStorage=20, BackupRetentionPeriod=35
            )
        },
        "Data",
        {"growth of storage": (HELD - 4) * 0.115, "backups beyond the free size": HELD * 0.35 * 0.095},
    ),
    "the files of users": (
        {"Files": made("S3::Bucket")},
        "Files",
        {
            "stored files": 100 * 0.023,
            "files written": (UPLOADS + ORDERS) / 1000 * 0.005,
            "files read": (UPLOADS + ORDERS) / 1000 * 0.0004,
        },
    ),
    "the access logs of a load balancer, for two months": (
        {
            "Front": made(
                "ElasticLoadBalancingV2::LoadBalancer",
                Subnets=["a"],
                LoadBalancerAttributes=[{"Key": "access_logs.s3.bucket", "Value": ref("Logs")}],
            ),
            "Logs": made("S3::Bucket", LifecycleConfiguration={"Rules": [{"ExpirationInDays": 730 / 24 * 2}]}),
        },
        "Logs",
        {"stored files": 65.7e6 * 0.1 / GIB * 2 * 0.023},
    ),
    "a vault holds a file once, and its changes for ten days": (
        {
            "Vault": made("Backup::BackupVault"),
            "Plan": made(
                "Backup::BackupPlan",
                BackupPlan={
                    "BackupPlanRule": [{"TargetBackupVault": ref("Vault"), "Lifecycle": {"DeleteAfterDays": 10}}]
                },
            ),
            "Selection": made(
                "Backup::BackupSelection",
                BackupPlanId=ref("Plan"),
                BackupSelection={"ListOfTags": [{"ConditionKey": "backup", "ConditionValue": "yes"}]},
            ),
            "Files": made("S3::Bucket", Tags=[{"Key": "backup", "Value": "yes"}]),
            "Disk": made("EC2::Volume", VolumeType="gp3", Size=50, Tags=[{"Key": "backup", "Value": "yes"}]),
            "Other": made("EC2::Volume", VolumeType="gp3", Size=50, Tags=[{"Key": "backup", "Value": "no"}]),
        },
        "Vault",
        {"backups of Files": 100 * 1.1 * 0.05, "backups of Disk": 50 * 1.1 * 0.05},
    ),
    "a topic": (JOB, "Topic", {"events told": EVENTS / 1e6 * 0.50}),
    "a queue gets what its filter lets through, and is asked all day": (
        JOB,
        "Queue",
        {"events passed on": (HANDLED * 3 + 5 * 3 * 60 * 730) / 1e6 * 0.40},
    ),
    "a function works a fifth of a second on each event": (
        JOB,
        "Job",
        {"invocations": HANDLED / 1e6 * 0.20, "time": HANDLED * 0.2 * 0.5 * 0.0000133334},
    ),
    "the logs of a function": (
        JOB,
        "Logs",
        {"logs taken in": HANDLED * 1.5 / GIB * 0.50, "logs kept": HANDLED * 1.5 / GIB * 0.15 * 12 * 0.03},
    ),
    "a table that a function may write to": (
        JOB,
        "Table",
        {
            "writes": HANDLED * 2 / 1e6 * 0.625,
            "reads": HANDLED / 1e6 * 0.125,
            "storage": HANDLED / GIB * 0.25,
            "backups": HANDLED / GIB * 0.20,
        },
    ),
    "a stream counts 5 KiB for each record": (JOB, "Stream", {"data taken in": HANDLED * 5 / GIB * 0.029}),
    "a key serves a queue and a topic": (
        JOB,
        "Key",
        {"requests for queues and topics": 2 * 2 * 12 * 730 / 10_000 * 0.03},
    ),
    "mails": ({"Mail": made("SES::EmailIdentity")}, "Mail", {"confirmations": 36.5 * 0.16}),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_a_workload_costs_what_one_works_out_by_hand(case: str) -> None:
    resources, of, expected = BY_HAND[case]
    found = added(resources, of)
    assert found.keys() == expected.keys()
    for component, usd in expected.items():
        assert found[component] == pytest.approx(usd, abs=0.006), component


def test_every_type_with_a_use_is_worked_out_by_hand_or_has_nothing_to_work_out() -> None:
    seen = {resources[of]["Type"] for resources, of, _ in BY_HAND.values()}
    assert set(BY_USE) - seen == {
        "AWS::EC2::VPCEndpoint",
        "AWS::ElasticLoadBalancing::LoadBalancer",
        "AWS::Kinesis::Stream",
        "AWS::SecretsManager::Secret",
    }


@pytest.mark.parametrize(
    ("per_second", "gib_an_hour", "rules", "units"),
    [
        (1000, 1, 1, 4.0),  # 100 new connections a second of 25
        (10, 7, 1, 7.0),  # 7 GiB an hour of 1
        (1000, 1, 30, 20.0),  # 20 rules beyond the free ones, on 1,000 requests a second
        (0, 0, 100, 0),
    ],
)
def test_the_largest_of_the_four_measures_is_billed(
    per_second: float, gib_an_hour: float, rules: int, units: float
) -> None:
    assert lcu(per_second, gib_an_hour, rules) == pytest.approx(units)


def test_a_network_load_balancer_bears_more_connections_for_a_unit() -> None:
    assert nlcu(80_000, 1) == pytest.approx(10)
    assert nlcu(10, 3) == pytest.approx(3)


def test_a_fleet_that_cannot_carry_the_workload_is_remarked() -> None:
    assert cost({"Front": BALANCER, **FLEET}).remarks == (
        "Fleet would need 9 hosts at the peak and may have 6: it cannot carry this workload, and what carries it "
        "costs more",
    )


def test_a_database_that_may_not_grow_enough_is_remarked() -> None:
    small = made("RDS::DBInstance", **DATABASE, AllocatedStorage=4, MaxAllocatedStorage=5)
    found = cost({"Data": small})
    assert found.remarks == ("Data would hold 5.2 GiB and may grow to 5",)
    assert added({"Data": small}, "Data")["growth of storage"] == pytest.approx(0.115, abs=0.006)


def test_capacity_of_a_host_comes_from_the_scaling_policy_and_is_unknown_without() -> None:
    whole = system({"Front": BALANCER, **FLEET})
    [fleet] = whole.of_type("AWS::AutoScaling::AutoScalingGroup")
    assert requests_per_target(whole, fleet) == 500
    bare = system({name: body for name, body in FLEET.items() if name != "Scaling"})
    [fleet] = bare.of_type("AWS::AutoScaling::AutoScalingGroup")
    assert requests_per_target(bare, fleet) is None
    assert Traffic(bare, ROUND).group_hosts(fleet) is None


@pytest.mark.parametrize(
    ("resources", "what"),
    [
        ({"One": EDGE, "Two": EDGE, "Static": made("S3::Bucket")}, "requests and traffic: there are several ways in"),
        ({"One": BALANCER, "Two": BALANCER}, "traffic: it is not the only way in"),
        (
            {"Fleet": made("AutoScaling::AutoScalingGroup", MinSize=1, MaxSize=4)},
            "hosts above the minimum",
        ),
        ({"Alone": made("Lambda::Function")}, "invocations and time"),
        ({"Alone": made("SQS::Queue")}, "requests"),
        ({"Alone": made("SNS::Topic")}, "messages"),
        ({"Alone": made("DynamoDB::Table", BillingMode="PAY_PER_REQUEST")}, "reads, writes and storage"),
        ({"One": made("S3::Bucket"), "Two": made("S3::Bucket")}, "storage and requests"),
        (
            {"Host": made("EC2::Instance", InstanceType="t4g.small")},
            "processor credits beyond those that its size earns",
        ),
        ({"Name": made("Route53::RecordSet", Type="MX")}, "queries"),
    ],
)
def test_what_nobody_can_tell_is_left_without_a_figure_and_counted(resources: dict[str, Body], what: str) -> None:
    assert what in [gap.what for gap in cost(resources).by_use]


def test_a_filter_that_names_other_events_leaves_its_queue_without_a_figure() -> None:
    other = made("SNS::Subscription", TopicArn=ref("Topic"), Endpoint=att("Queue"), FilterPolicy={"type": ["paid"]})
    left = {gap.resource for gap in cost({**JOB, "Subscription": other}).by_use}
    assert {"Queue", "Job", "Topic", "Logs", "Table", "Stream"} <= left


def test_visitors_of_a_region_whose_edge_has_no_price_leave_the_cdn_unknown() -> None:
    found = cost({"Edge": EDGE, "Static": made("S3::Bucket")}, region="ap-southeast-2")
    assert [gap.what for gap in found.unknown if gap.resource == "Edge"] == [
        "requests of visitors: no price of CloudFront, HTTPS requests in the edge near ap-southeast-2",
        "traffic to visitors: no price of CloudFront, out to the internet in the edge near ap-southeast-2",
    ]


def test_the_edge_of_a_stack_without_a_region_is_near_the_region_that_somebody_says() -> None:
    nowhere = system({"Edge": EDGE, "Static": made("S3::Bucket")}, "")
    gaps = [gap.what for gap in estimate(nowhere, ROUND).unknown if gap.resource == "Edge"]
    assert set(gaps) == {
        "requests of visitors: the template does not say in which region it is",
        "traffic to visitors: the template does not say in which region it is",
    }
    lines = estimate(nowhere, ROUND, region="eu-west-1").lines
    assert {line.price.region for line in lines if line.resource == "Edge"} == {"EU edge"}


def test_behind_a_cdn_a_load_balancer_may_be_an_internal_one() -> None:
    inside = made("ElasticLoadBalancingV2::LoadBalancer", Scheme="internal", Subnets=["a"])
    found = added({"Edge": EDGE, "Static": made("S3::Bucket"), "Front": inside}, "Front")
    assert found.keys() == {"capacity units"}


def test_behind_two_cdns_nobody_knows_what_reaches_the_hosts() -> None:
    found = added({"Edge": EDGE, "Other": EDGE, "Static": made("S3::Bucket"), "Front": BALANCER, **FLEET}, "Fleet")
    assert found == {}


def test_a_host_in_ireland_has_prices_of_its_own() -> None:
    found = estimate(system({"Host": made("EC2::Instance", InstanceType="t4g.medium")}, "eu-west-1"), ROUND)
    assert {line.price.region for line in found.lines} == {"eu-west-1"}
    assert [line.price.usd for line in found.lines if line.component == "host"] == [0.0368]


def test_more_users_never_cost_less() -> None:
    whole = system({"Front": BALANCER, **FLEET, **JOB, "Files": made("S3::Bucket")})
    at_rest, *sums = [estimate(whole, usage).usd for usage in (None, *USAGES)]
    assert at_rest < sums[0] < sums[1] < sums[2]


def test_a_usage_is_found_by_its_name_and_its_peak_is_three_times_its_mean() -> None:
    assert [named(usage.name) for usage in USAGES] == list(USAGES)
    assert ROUND.requests_a_month == pytest.approx(REQUESTS)
    assert ROUND.peak_per_second == pytest.approx(3 * 24_000 * 50 / 86_400)
    with pytest.raises(KeyError):
        named("huge")
