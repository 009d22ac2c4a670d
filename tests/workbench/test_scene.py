"""What a picture shows of a system, and of what changes: read from templates alone, also from those of strangers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Assemblies
from tests.workbench.handmade import resource
from tests.workbench.sides import values
from workbench.compare.scene import Mark, Node, Place, Scene, scene
from workbench.compare.scene.reading import in_words
from workbench.templates import Assembly, Impact, Key, StackTemplate, predict, read_assembly
from workbench.templates.reading import System

Scenes = Callable[..., Scene]


@dataclass(frozen=True)
class Change:
    """What a comparison says about one resource."""

    impact: Impact
    summary: str = ""


def system(
    resources: Mapping[str, Any], *, paths: Mapping[str, str] | None = None, region: str = "eu-west-1"
) -> System:
    """One stack with these resources."""
    stack = StackTemplate("stack", "stack", {"Resources": resources}, region=region, paths=paths or {})
    return System(Assembly((stack,)))


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def arn(name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, "Arn"]}


def role(*statements: tuple[Any, Any]) -> dict[str, Any]:
    """A role with inline statements: actions, resources."""
    allowed = [{"Effect": "Allow", "Action": action, "Resource": target} for action, target in statements]
    return resource("AWS::IAM::Role", Policies=[{"PolicyDocument": {"Statement": allowed}}])


def scenes_of(assemblies: Assemblies) -> Scenes:
    """(stage) or (stage before, stage after) -> scene, of production unless `profile` says otherwise."""

    @cache
    def side(profile: str, stage: int) -> tuple[Assembly, System]:
        made = read_assembly(assemblies(profile)[stage])
        return made, System(made)

    @cache
    def of(*stages: int, profile: str = "production") -> Scene:
        *earlier, last = (side(profile, stage) for stage in stages)
        if not earlier:
            return scene(last[1])
        changes = {key: Change(change.impact) for key, change in predict(earlier[0][0], last[0]).items()}
        return scene(last[1], earlier[0][1], changes)

    return of


@pytest.fixture(scope="module")
def scenes(assemblies: Assemblies) -> Scenes:
    """The scene of every stage, and of every pair."""
    return scenes_of(assemblies)


def titled(made: Scene, title: str) -> Node:
    """The thing with this title."""
    return next(node for node in made.all() if node.title == title)


def facts(node: Node) -> list[str]:
    return [str(fact) for fact in node.facts]


def arrows(made: Scene) -> set[tuple[str, str, str]]:
    """(title, title, label) of every arrow."""
    names = {node.id: node.title for node in made.all()}
    return {(names[arrow.source], names[arrow.target], arrow.label) for arrow in made.arrows}


# --- the five stages --------------------------------------------------------------------------------------------------

IN_THE_PICTURE = {
    1: {"Users", "Route 53", "Host", "Files", "SES mail", "KMS", "CloudWatch", "Backup", "Alerts", "Access logs"},
    2: {"RDS PostgreSQL 17", "Secrets"},
    3: {"NAT gateway", "Application load balancer", "Auto Scaling group", "Certificates"},
    4: {"CloudFront", "ElastiCache Valkey", "Static"},
    5: {"Events", "6 queues and workers", "State", "Analytics stream", "Mail outcomes"},
}


@pytest.mark.parametrize("stage", IN_THE_PICTURE)
def test_every_stage_shows_what_it_is_made_of(scenes: Scenes, stage: int) -> None:
    expected = set().union(*(titles for number, titles in IN_THE_PICTURE.items() if number <= stage))
    if stage > 2:
        expected.remove("Host")
    assert {node.title for node in scenes(stage).nodes} == expected
    assert scenes(stage).more == scenes(stage).more_arrows == 0


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_zones_are_columns_and_tiers_are_told_by_routes_and_names(scenes: Scenes, profile: str) -> None:
    (vpc,) = scenes(1, profile=profile).vpcs
    named = ("us-east-1a", "us-east-1b", "us-east-1c")
    assert vpc.zones == (named if profile == "production" else ("zone 1", "zone 2", "zone 3"))
    assert [(subnet.tier, subnet.zone, subnet.title) for subnet in vpc.subnets] == [
        (Place.PUBLIC, 0, "10.20.0.0/24"),
        (Place.PUBLIC, 1, "10.20.1.0/24"),
        (Place.PUBLIC, 2, "10.20.2.0/24"),
        (Place.APP, 0, "10.20.4.0/22"),
        (Place.APP, 1, "10.20.8.0/22"),
        (Place.APP, 2, "10.20.12.0/22"),
        (Place.DATA, 0, "10.20.16.0/24"),
        (Place.DATA, 1, "10.20.17.0/24"),
        (Place.DATA, 2, "10.20.18.0/24"),
    ]


def test_things_stand_in_the_tier_and_the_zones_of_their_subnets(scenes: Scenes) -> None:
    found = {node.title: (node.place, node.zones) for node in scenes(4).nodes}
    assert found["Application load balancer"] == (Place.PUBLIC, (0, 1, 2))
    assert found["Auto Scaling group"] == (Place.APP, (0, 1, 2))
    assert found["ElastiCache Valkey"] == (Place.DATA, (0, 1, 2))
    assert titled(scenes(1), "Host").place is Place.PUBLIC
    assert [node.zones for node in scenes(4).nodes if node.title == "NAT gateway"] == [(0,), (1,), (2,)]


def test_a_fleet_shows_the_hosts_that_it_always_has_and_its_size(scenes: Scenes) -> None:
    fleet = titled(scenes(3), "Auto Scaling group")
    assert [member.zones for member in fleet.members] == [(0,), (1,)]
    assert facts(fleet) == ["2 to 6 hosts", "t4g.medium"]


def test_a_database_shows_its_standby_and_its_replicas_in_zones_of_their_own(scenes: Scenes) -> None:
    database = titled(scenes(4), "RDS PostgreSQL 17")
    found = [(member.title, member.zones) for member in database.members]
    assert found == [("Primary", (0,)), ("Standby", (1,)), ("Replica 1", (2,)), ("Replica 2", (0,))]
    copies = [arrow for arrow in scenes(4).arrows if arrow.copies]
    assert {arrow.source for arrow in copies} == {titled(scenes(4), "Primary").id}
    assert len(copies) == 3


def test_queues_and_their_workers_are_pairs_in_one_group(scenes: Scenes) -> None:
    group = titled(scenes(5), "6 queues and workers")
    assert [member.title for member in group.members] == [
        "Analytics", "Confirmation email", "Image resize", "Invoice", "Notification", "Search index",
    ]  # fmt: skip
    assert all(member.icons == ("queue", "function") for member in group.members)
    # Function, queue, dead letters, what links them, the queue's subscription and policy.
    assert all(len(member.keys) >= 5 for member in group.members)


ARROWS = {
    1: {("Users", "Route 53", ""), ("Route 53", "Host", ":80, :443"), ("Host", "Files", ""), ("Host", "SES mail", "")},
    2: {("Host", "RDS PostgreSQL 17", ":5433")},
    3: {
        ("Route 53", "Application load balancer", ":80, :443"),
        ("Application load balancer", "Auto Scaling group", ":8080"),
        ("Auto Scaling group", "RDS PostgreSQL 17", ":5433"),
    },
    4: {
        ("Route 53", "CloudFront", ":443"),
        ("CloudFront", "Application load balancer", ":443"),
        ("CloudFront", "Static", "origin"),
        ("Auto Scaling group", "ElastiCache Valkey", ":6380"),
    },
    5: {
        ("Auto Scaling group", "Events", ""),
        ("Events", "6 queues and workers", ""),
        ("6 queues and workers", "Files", ""),
        ("Analytics", "Analytics stream", ""),
        ("Analytics stream", "Analytics stream", ""),
        ("Confirmation email", "SES mail", ""),
        ("Search index", "RDS PostgreSQL 17", ":5433"),
    },
}


@pytest.mark.parametrize("stage", ARROWS)
def test_arrows_tell_who_talks_to_whom_and_on_which_port(scenes: Scenes, stage: int) -> None:
    assert ARROWS[stage] <= arrows(scenes(stage))


def test_from_stage_4_on_nobody_but_the_edge_reaches_the_load_balancer(scenes: Scenes) -> None:
    sources = {source for source, target, _ in arrows(scenes(4)) if target == "Application load balancer"}
    assert sources == {"CloudFront"}


def test_a_way_back_that_nothing_uses_is_not_drawn(scenes: Scenes) -> None:
    assert ("RDS PostgreSQL 17", "Auto Scaling group", ":5432") not in arrows(scenes(3))


def test_without_a_domain_users_come_straight_to_what_answers_them(scenes: Scenes) -> None:
    assert ("Users", "Host", ":80") in arrows(scenes(1, profile="sandbox"))
    assert ("Users", "CloudFront", ":443") in arrows(scenes(4, profile="sandbox"))


def test_things_stand_for_all_that_belongs_to_them(scenes: Scenes) -> None:
    balancer = titled(scenes(4), "Application load balancer")
    ids = {key[1] for key in balancer.keys}
    assert len(ids) >= 5  # itself, two listeners, a rule, the group of targets
    assert balancer.guard is not None
    assert balancer.guard.keys
    drawn = [key for node in scenes(5).all() for key in node.keys]
    assert len(set(drawn)) > 150


# --- comparing --------------------------------------------------------------------------------------------------------


def test_from_3_to_4_the_picture_tells_what_is_new_and_what_changes(scenes: Scenes) -> None:
    made = scenes(3, 4)
    marks = {node.title: node.mark for node in made.all()}
    assert marks["CloudFront"] is marks["ElastiCache Valkey"] is marks["Static"] is marks["Replica 2"] is Mark.NEW
    assert marks["Auto Scaling group"] is marks["Primary"] is marks["Replica 1"] is Mark.CHANGED
    assert marks["Files"] is marks["KMS"] is marks["Standby"] is marks["RDS PostgreSQL 17"] is None
    assert facts(titled(made, "Auto Scaling group")) == [
        "2 to 6 hosts → 3 to 12 hosts",
        "t4g.medium → m7g.large",
    ]
    assert "t4g.medium → m7g.large" in facts(titled(made, "Primary"))


def test_what_goes_stays_in_the_picture_as_removed(scenes: Scenes) -> None:
    made = scenes(5, 2)
    marks = {node.title: node.mark for node in made.all()}
    assert marks["6 queues and workers"] is marks["CloudFront"] is marks["Auto Scaling group"] is Mark.REMOVED
    assert marks["Replica 1"] is Mark.REMOVED
    assert marks["Host"] in (Mark.NEW, None)
    gone = {arrow.mark for arrow in made.arrows if arrow.source == titled(made, "Auto Scaling group").id}
    assert gone == {Mark.REMOVED}


def test_arrows_that_come_are_new(scenes: Scenes) -> None:
    made = scenes(3, 4)
    marks = {(arrow.source, arrow.target): arrow.mark for arrow in made.arrows}
    fleet = titled(made, "Auto Scaling group").id
    assert marks[fleet, titled(made, "ElastiCache Valkey").id] is Mark.NEW
    assert marks[fleet, titled(made, "Files").id] is None


def test_when_everything_in_a_group_is_new_only_the_group_says_so(scenes: Scenes) -> None:
    group = titled(scenes(4, 5), "6 queues and workers")
    assert group.mark is Mark.NEW
    assert {member.mark for member in group.members} == {None}


def test_a_comparison_with_itself_marks_nothing(scenes: Scenes) -> None:
    for stage in range(1, 6):
        made = scenes(stage, stage)
        assert not [node.title for node in made.all() if node.mark]
        assert not [arrow for arrow in made.arrows if arrow.mark]
        assert made.nodes == scenes(stage).nodes


DATABASE: Key = ("stack", "Db")


@pytest.mark.parametrize(
    ("impact", "mark"),
    [
        (Impact.REPLACE, Mark.REPLACED),
        (Impact.MAY_REPLACE, Mark.MAYBE),
        (Impact.UPDATE, Mark.CHANGED),
        (Impact.NONE, Mark.CHANGED),
    ],
)
def test_the_impact_is_what_the_badge_says(impact: Impact, mark: Mark) -> None:
    one = system({"Db": resource("AWS::RDS::DBInstance", Engine="mysql")})
    (node,) = scene(one, one, {DATABASE: Change(impact, "Engine mysql -> postgres")}).nodes
    assert node.mark is mark
    assert node.note == "Engine mysql -> postgres"


def test_what_belongs_to_a_thing_changes_it_but_never_replaces_it() -> None:
    one = system({"Q": resource("AWS::SQS::Queue"), "P": resource("AWS::SQS::QueuePolicy", Queues=[ref("Q")])})
    (node,) = scene(one, one, {("stack", "P"): Change(Impact.REPLACE)}).nodes
    assert node.mark is Mark.CHANGED


def test_changes_alone_say_what_is_new() -> None:
    one = system({"Db": resource("AWS::RDS::DBInstance", Engine="mysql")})
    assert scene(one, changes={DATABASE: Change(Impact.CREATE)}).nodes[0].mark is Mark.NEW


# --- templates of others ----------------------------------------------------------------------------------------------


def serverless() -> dict[str, Any]:
    """An interface, two functions, a table, and a queue with its worker: no network."""
    return {
        "Api": resource("AWS::ApiGateway::RestApi", Name="orders"),
        "May": resource("AWS::Lambda::Permission", FunctionName=ref("CreateOrder"), SourceArn={"Fn::Sub": "${Api}/*"}),
        "CreateOrder": resource("AWS::Lambda::Function", MemorySize=512, Role=arn("Writer")),
        "GetOrder": resource("AWS::Lambda::Function", MemorySize=128, Role=arn("Reader")),
        "Mailer": resource("AWS::Lambda::Function", Role=arn("Sender")),
        "Writer": role((["dynamodb:PutItem"], arn("Orders")), ("sqs:SendMessage", arn("Jobs"))),
        "Reader": role(("dynamodb:GetItem", arn("Orders"))),
        "Sender": role(("ses:SendEmail", "*")),
        "Orders": resource("AWS::DynamoDB::Table", BillingMode="PAY_PER_REQUEST"),
        "Jobs": resource("AWS::SQS::Queue"),
        "Link": resource("AWS::Lambda::EventSourceMapping", EventSourceArn=arn("Jobs"), FunctionName=ref("Mailer")),
    }


def test_a_serverless_system_is_drawn_without_a_network() -> None:
    made = scene(system(serverless()))
    assert made.vpcs == ()
    assert facts(titled(made, "Mailer")) == ["from Jobs"]
    assert arrows(made) == {
        ("Users", "API Gateway", ":443"),
        ("API Gateway", "Create order", ""),
        ("Create order", "Orders", "writes"),
        ("Create order", "Mailer", ""),
        ("Get order", "Orders", "reads"),
    }


def test_a_network_that_the_templates_only_use_is_drawn_with_a_word_about_it() -> None:
    opened = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    inner = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "SourceSecurityGroupId": ref("Front")}
    made = scene(
        system(
            {
                "Lb": resource("AWS::ElasticLoadBalancingV2::LoadBalancer", SecurityGroups=[ref("Front")]),
                "Front": resource("AWS::EC2::SecurityGroup", SecurityGroupIngress=opened),
                "Back": resource("AWS::EC2::SecurityGroup", SecurityGroupIngress=[inner]),
                "Web": resource("AWS::EC2::Instance", SecurityGroupIds=[ref("Back")], InstanceType=ref("Size")),
            }
        )
    )
    assert [vpc.title for vpc in made.vpcs] == ["VPC, not in these templates"]
    assert arrows(made) == {
        ("Users", "Application load balancer", ":443"),
        ("Application load balancer", "Web", ":80"),
    }


def test_several_networks_stand_side_by_side_with_their_own_things() -> None:
    parts: dict[str, Any] = {}
    for number in (1, 2):
        parts[f"Vpc{number}"] = resource("AWS::EC2::VPC", CidrBlock=f"10.{number}.0.0/16")
        parts[f"Subnet{number}"] = resource("AWS::EC2::Subnet", VpcId=ref(f"Vpc{number}"))
        parts[f"Host{number}"] = resource("AWS::EC2::Instance", SubnetId=ref(f"Subnet{number}"))
    made = scene(system(parts))
    assert [vpc.title for vpc in made.vpcs] == ["VPC 10.1.0.0/16", "VPC 10.2.0.0/16"]
    assert {node.title: node.vpc for node in made.nodes} == {"Host 1": "stack.Vpc1", "Host 2": "stack.Vpc2"}


def test_instances_of_a_cluster_are_its_members() -> None:
    parts = {
        "Cluster": resource("AWS::RDS::DBCluster", Engine="aurora-postgresql", EngineVersion="16.2"),
        "One": resource("AWS::RDS::DBInstance", DBClusterIdentifier=ref("Cluster"), DBInstanceClass="db.r6g.large"),
        "Two": resource("AWS::RDS::DBInstance", DBClusterIdentifier=ref("Cluster"), DBInstanceClass="db.r6g.large"),
    }
    (node,) = scene(system(parts)).nodes
    assert node.title == "Aurora PostgreSQL 16"
    assert [member.title for member in node.members] == ["One", "Two"]


def test_things_of_one_title_are_told_apart_by_their_names() -> None:
    parts = {
        name: resource("AWS::ElasticLoadBalancingV2::LoadBalancer", Scheme="internal") for name in ("Inner", "Outer")
    }
    assert sorted(facts(node)[0] for node in scene(system(parts)).nodes) == ["Inner", "Outer"]


def test_nothing_to_draw_is_an_empty_scene() -> None:
    assert scene(system({"A": resource("Foo::Bar::Baz"), "R": role()})).empty
    assert scene(System(Assembly(()))).empty


def test_what_finds_no_room_is_counted_and_changes_come_first() -> None:
    few = {f"Bucket{number}": resource("AWS::S3::Bucket") for number in range(70)}
    many = few | {"Table": resource("AWS::DynamoDB::Table")}
    made = scene(system(many), system(few), {})
    assert (len(made.nodes), made.more) == (60, 11)
    assert "Table" in {node.title for node in made.nodes}


def test_arrows_that_find_no_room_are_counted() -> None:
    parts = {f"B{number}": resource("AWS::S3::Bucket") for number in range(20)}
    may = role(("s3:GetObject", [arn(name) for name in parts]))
    parts |= {f"F{number}": resource("AWS::Lambda::Function", Role=arn("R")) for number in range(20)} | {"R": may}
    made = scene(system(parts))
    assert (len(made.arrows), made.more_arrows) == (80, 320)


TYPES = """
    ApiGateway::RestApi AutoScaling::AutoScalingGroup CloudFront::Distribution CloudWatch::Alarm DynamoDB::Table
    EC2::Instance EC2::LaunchTemplate EC2::NatGateway EC2::Route EC2::SecurityGroup EC2::SecurityGroupIngress
    EC2::Subnet EC2::SubnetRouteTableAssociation EC2::VPC EC2::VPCEndpoint EC2::Volume ECS::Service Events::Rule
    ElastiCache::ReplicationGroup ElasticLoadBalancingV2::LoadBalancer ElasticLoadBalancingV2::TargetGroup IAM::Policy
    IAM::Role KMS::Key KinesisFirehose::DeliveryStream Lambda::EventSourceMapping Lambda::Function Lambda::Permission
    RDS::DBCluster RDS::DBInstance Route53::RecordSet S3::Bucket SES::EmailIdentity SNS::Subscription SNS::Topic
    SQS::Queue SecretsManager::RotationSchedule StepFunctions::StateMachine WAFv2::WebACL WAFv2::WebACLAssociation
"""
NAMES = """
    AliasTarget AllocatedStorage AvailabilityZone BillingMode CidrBlock CidrIp DBClusterIdentifier DesiredCount
    DistributionConfig DomainName Endpoint Engine EngineVersion EventSourceArn FromPort FunctionName GroupId
    IpProtocol LaunchTemplateData LoggingConfiguration MaxSize MemorySize MinSize MultiAZ Name NumNodeGroups Origins
    Policies PolicyDocument Protocol RedrivePolicy ReplicasPerNodeGroup ResourceArn Role Roles Rules ScheduleExpression
    SecurityGroupIds SecurityGroupIngress SecurityGroups ServiceName ServiceToken SourceArn
    SourceDBInstanceIdentifier SourceSecurityGroupId Statement SubnetId SubnetIds Tags Targets TopicArn Type
    VPCSecurityGroups VPCZoneIdentifier VpcId WebACLArn WebACLId
"""
IDS = "ABCDEFGH"
REFERENCES = st.sampled_from([ref(name) for name in IDS])
ANYTHING = values(NAMES.split()) | REFERENCES | st.lists(REFERENCES, max_size=3) | st.integers(0, 2**80) | st.floats()
RESOURCES = st.dictionaries(
    st.sampled_from(IDS),
    st.fixed_dictionaries(
        {
            "Type": st.sampled_from([f"AWS::{name}" for name in TYPES.split()]),
            "Properties": st.dictionaries(st.sampled_from(NAMES.split()), ANYTHING, max_size=6),
        }
    ),
    max_size=8,
)


@given(before=RESOURCES, after=RESOURCES)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_templates_of_any_shape_make_a_scene(before: dict[str, Any], after: dict[str, Any]) -> None:
    made = scene(system(after), system(before), {})
    ids = [node.id for node in made.all()]
    assert len(ids) == len(set(ids))
    assert {end for arrow in made.arrows for end in (arrow.source, arrow.target)} <= set(ids)
    assert made == scene(system(after), system(before), {})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ConfirmationEmail", "Confirmation email"),
        ("Replica1", "Replica 1"),
        ("webELBLogs", "web ELB logs"),
        ("webS3Logs", "web S3 logs"),
        ("Queue", "Queue"),
        ("shop-prod", "shop-prod"),
    ],
)
def test_a_name_is_read_in_words(name: str, words: str) -> None:
    assert in_words(name) == words
