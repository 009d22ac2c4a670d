"""Hosts, fleets and what stands before them: made from the shop's templates, read back as users would."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from tests.workbench.sandbox.shop import STATES, World, of, template_of
from workbench.facts import specification
from workbench.sandbox.kinds import KINDS
from workbench.sandbox.kinds.calls import inside
from workbench.sandbox.kinds.kind import NotInPlace, Refused, Snapshots

HOST, DISK, OF_HOST = "ServerHost19B72ACD", "DataVolume772801A0", "ServerAddressOfHostE274D453"
FLEET, TEMPLATE, POLICY = "FleetGroupASGF037160E", "FleetTemplateFD614FF5", "FleetGroupScalingPolicyCpu384BCD1A"
BALANCER, HTTP, HTTPS = "FrontBalancerE84E0706", "FrontBalancerHttpBCF90217", "FrontBalancerHttps5B0E51FF"
INTERNAL, ADMITTED = "FrontBalancerHttpsInternalRule97B8B6B8", "FrontBalancerHttpsAdmittedRule10A3C609"
TARGETS = "FrontTargets8CBA305D"
NETWORK_IDS = (
    *("TiersEdgeDCEAD1E7", "TiersApp987FE612"),
    *(f"NetworkVpcPublicSubnet{zone}" for zone in ("1Subnet36933139", "2SubnetC427CCE0", "3Subnet4BBF7F47")),
    *(f"NetworkVpcAppSubnet{zone}" for zone in ("1SubnetFA2393E9", "2SubnetF926DC8B", "3Subnet047AE581")),
    "NetworkVpc7FB7348F",
)
# What the templates have of these types, at the stage that has it.
OF_STAGE = {1: [DISK, HOST], 5: [TARGETS, BALANCER, HTTP, HTTPS, INTERNAL, ADMITTED, TEMPLATE, FLEET, POLICY]}
TYPES = of("AutoScaling", "EC2", "ElasticLoadBalancingV2", "KMS") | {"AWS::IAM::InstanceProfile", "AWS::IAM::Role"}
MOVED = "#!/bin/bash\necho moved\n"
CHANGES: dict[str, dict[str, Any]] = {
    DISK: {"Size": 100, "Tags": [{"Key": "shop:backup", "Value": "another"}]},
    HOST: {
        "DisableApiTermination": False,
        "InstanceType": "t4g.large",
        "MetadataOptions": {"HttpPutResponseHopLimit": 2, "HttpTokens": "required"},
        "Monitoring": False,
        "UserData": base64.b64encode(MOVED.encode()).decode(),
    },
    TARGETS: {
        "HealthCheckPath": "/readyz",
        "Matcher": {"HttpCode": "200-299"},
        "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}],
    },
    BALANCER: {"LoadBalancerAttributes": [{"Key": "deletion_protection.enabled", "Value": "false"}]},
    HTTPS: {"SslPolicy": "ELBSecurityPolicy-TLS13-1-3-2021-06"},
    INTERNAL: {"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/x"]}}], "Priority": 15},
    FLEET: {
        "HealthCheckGracePeriod": 60,
        "LifecycleHookSpecificationList": [
            {"LifecycleHookName": "leaves", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
        ],
        "MaxSize": "12",
        "MinSize": "4",
    },
    POLICY: {"TargetTrackingConfiguration": {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 40,
    }},
}  # fmt: skip


def begin() -> World:
    """The network is there, and so is what the templates import or resolve."""
    world = World(TYPES)
    acm = world.aws.client("acm")
    world.values = {
        "#!/bin/bash": base64.b64encode(b"#!/bin/bash\necho boot\n").decode(),
        "AccessLogsBucket": "the-logs",
        "Certificate4E7ABB08": acm.request_certificate(DomainName="shop.example.com")["CertificateArn"],
        "OriginKeysGeneration": "the-key",
        "EncryptionKey": world.get("EncryptionKey3A692D6E").attributes["Arn"],
    }
    for id in NETWORK_IDS:
        world.values[id] = world.get(id).id
    return world


def get(world: World, id: str, stage: int | None = None) -> str:
    """Make it if need be, at the stage that has it; the physical id."""
    stage = stage or next((number for number, ids in OF_STAGE.items() if id in ids), 5)
    if id not in world.made:
        body = template_of(stage)[id]
        for other in re.findall(r"'Ref': '(ServerHost\w+)'", str(body)):
            get(world, other, stage)
        world.make(world.wants(body["Type"], world.plain(body["Properties"]), id))
    return world.made[id].id


@pytest.fixture
def fresh() -> World:
    return begin()


@pytest.fixture(scope="module", params=STATES)
def world(request: pytest.FixtureRequest) -> World:
    """All of the templates' hosts; just made, or changed in place by CHANGES."""
    fresh = begin()
    for ids in OF_STAGE.values():
        for id in ids:
            get(fresh, id)
    if request.param == "as changed":
        for id, properties in CHANGES.items():
            assert fresh.change(id, **properties).id == get(fresh, id)
        data = fresh.wanted[TEMPLATE].properties["LaunchTemplateData"]
        fresh.change(TEMPLATE, LaunchTemplateData={**data, "InstanceType": "m7g.xlarge"})
    return fresh


def test_all_is_read_back_as_the_templates_want_it_but_for_what_is_openly_forgotten(world: World) -> None:
    assert world.differences() == []


def tags_found(world: World, id: str) -> dict[str, str]:
    made = get(world, id)
    if world.wanted[id].type.startswith("AWS::ElasticLoadBalancing"):
        tags = world.aws.client("elbv2").describe_tags(ResourceArns=[made])["TagDescriptions"][0]["Tags"]
    elif id == TEMPLATE:
        tags = world.aws.client("ec2").describe_launch_templates(LaunchTemplateIds=[made])["LaunchTemplates"][0]["Tags"]
    elif world.wanted[id].type.startswith("AWS::EC2"):
        filters = [{"Name": "resource-id", "Values": [made]}]
        tags = world.aws.client("ec2").describe_tags(Filters=filters)["Tags"]
    else:
        tags = world.read(id)["Tags"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_all_that_takes_tags_carries_those_of_its_stack_and_its_own(world: World) -> None:
    for id in (DISK, HOST, TARGETS, BALANCER, HTTP, HTTPS, INTERNAL, ADMITTED, FLEET):
        assert tags_found(world, id) == world.all_tags_of(id), id
    assert tags_found(world, TEMPLATE) == {**world.all_tags_of(TEMPLATE), "Name": "shop-prod-web/Fleet/Template"}


@pytest.mark.parametrize("id", [id for ids in OF_STAGE.values() for id in ids])
def test_attributes_are_all_that_the_specification_has_and_stay_the_same_over_an_update(fresh: World, id: str) -> None:
    get(fresh, id)
    before = fresh.made[id].attributes
    known = specification._resources()[fresh.wanted[id].type]["attributes"].keys()
    assert {name for name in known - before.keys() if not name.startswith("State")} == set()
    assert fresh.change(id).attributes == before


@pytest.mark.parametrize(
    ("id", "form"),
    [
        (HOST, r"i-[0-9a-f]{17}"),
        (DISK, r"vol-[0-9a-f]{17}"),
        (TEMPLATE, r"lt-[0-9a-f]{17}"),
        (FLEET, r"shop-FleetGroupASGF037160E-[0-9A-F]{12}"),
        (POLICY, r"arn:aws:autoscaling:us-east-1:\d{12}:scalingPolicy:.*:policyName/shop-.*"),
        (TARGETS, r"arn:aws:elasticloadbalancing:us-east-1:\d{12}:targetgroup/shop-FrontTargets8C\w*-\w{12}/\w{16}"),
        (BALANCER, r"arn:aws:elasticloadbalancing:us-east-1:\d{12}:loadbalancer/app/shop-Front\w*-\w{12}/\w{16}"),
        (HTTPS, r"arn:aws:elasticloadbalancing:us-east-1:\d{12}:listener/app/shop-Front\w*-\w{12}/\w{16}/\w{16}"),
        (ADMITTED, r"arn:.*:listener-rule/app/shop-Front\w*-\w{12}/\w{16}/\w{16}/\w{16}"),
    ],
)
def test_physical_ids_have_the_form_of_aws(fresh: World, id: str, form: str) -> None:
    assert re.fullmatch(form, get(fresh, id))


def test_alarms_know_load_balancers_and_targets_by_the_end_of_their_arns(fresh: World) -> None:
    names = {BALANCER: "LoadBalancerFullName", TARGETS: "TargetGroupFullName"}
    found = {id: (get(fresh, id), fresh.made[id].attributes[name]) for id, name in names.items()}
    assert found[BALANCER][0].endswith(":loadbalancer/" + found[BALANCER][1])
    assert found[BALANCER][1].startswith("app/")
    assert found[TARGETS][0].endswith(":" + found[TARGETS][1])


def test_a_changed_template_is_its_next_version_which_a_fleet_may_name(fresh: World) -> None:
    get(fresh, FLEET)
    data = fresh.wanted[TEMPLATE].properties["LaunchTemplateData"]
    user_data = base64.b64encode(MOVED.encode()).decode()
    made = fresh.change(TEMPLATE, LaunchTemplateData={**data, "UserData": user_data})
    assert (made.attributes["DefaultVersionNumber"], made.attributes["LatestVersionNumber"]) == ("1", "2")
    fresh.change(FLEET, LaunchTemplate={"LaunchTemplateId": made.id, "Version": "2"}, MinSize="5")
    hosts = fresh.read(FLEET)["Instances"]
    assert len(hosts) == 5
    ec2 = fresh.aws.client("ec2")
    newest = ec2.describe_instance_attribute(InstanceId=hosts[-1]["InstanceId"], Attribute="userData")
    assert newest["UserData"]["Value"] == user_data


def test_the_hosts_of_a_fleet_are_in_its_groups_and_behind_its_load_balancer(fresh: World) -> None:
    ids = {one["InstanceId"] for one in fresh.read(FLEET)["Instances"]}
    client = fresh.aws.client("elbv2")
    health = client.describe_target_health(TargetGroupArn=get(fresh, TARGETS))["TargetHealthDescriptions"]
    assert {one["Target"]["Id"] for one in health} == ids
    for reservation in fresh.aws.client("ec2").describe_instances(InstanceIds=sorted(ids))["Reservations"]:
        for one in reservation["Instances"]:
            assert [group["GroupId"] for group in one["SecurityGroups"]] == [fresh.values["TiersApp987FE612"]]


def test_the_size_that_somebody_chose_stays_until_the_template_chooses_another(fresh: World) -> None:
    client, name = fresh.aws.client("autoscaling"), get(fresh, FLEET)
    fresh.change(FLEET, DesiredCapacity="5")
    client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=6)
    fresh.change(FLEET, HealthCheckGracePeriod=60)
    assert fresh.read(FLEET)["DesiredCapacity"] == 6
    fresh.change(FLEET, DesiredCapacity="4")
    assert fresh.read(FLEET)["DesiredCapacity"] == 4


def test_the_hosts_of_a_fleet_go_with_it_and_so_do_their_disks(fresh: World) -> None:
    ec2 = fresh.aws.client("ec2")
    disks, interfaces = (len(answer) for answer in rest(fresh))
    name = get(fresh, FLEET)
    for _ in range(2):
        fresh.delete(FLEET)
    assert tuple(len(answer) for answer in rest(fresh)) == (disks, interfaces)
    states = {one["State"]["Name"] for each in ec2.describe_instances()["Reservations"] for one in each["Instances"]}
    assert states == {"terminated"}
    client = fresh.aws.client("autoscaling")
    assert client.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert client.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"] == []


def rest(world: World) -> tuple[list[Any], list[Any]]:
    ec2 = world.aws.client("ec2")
    return ec2.describe_volumes()["Volumes"], ec2.describe_network_interfaces()["NetworkInterfaces"]


def test_a_protected_host_does_not_end_and_one_that_is_not_leaves_nothing(fresh: World) -> None:
    before = tuple(len(answer) for answer in rest(fresh))
    get(fresh, HOST)
    assert "disableApiTermination" in fresh.refused(HOST)
    fresh.change(HOST, DisableApiTermination=False)
    for _ in range(2):
        fresh.delete(HOST)
    assert tuple(len(answer) for answer in rest(fresh)) == before
    ec2 = fresh.aws.client("ec2")
    [ended] = ec2.describe_instances(InstanceIds=[get(fresh, HOST)])["Reservations"][0]["Instances"]
    assert ended["State"]["Name"] == "terminated"


def test_a_host_takes_another_profile_in_place(fresh: World) -> None:
    get(fresh, HOST)
    roles = fresh.wanted["ServerHostInstanceProfile5D9BF3BE"].properties["Roles"]
    other = fresh.make(fresh.wants("AWS::IAM::InstanceProfile", {"Roles": roles}, "Other"))
    fresh.change(HOST, IamInstanceProfile=other.id)
    assert fresh.read(HOST)["IamInstanceProfile"] == other.id


def test_the_image_that_aws_names_as_its_newest_can_be_run(fresh: World) -> None:
    inside(fresh.aws, "ec2")._load_amis()
    parameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    image = fresh.aws.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    get(fresh, HOST)
    made = fresh.make(
        fresh.wants(
            "AWS::EC2::Instance",
            {**fresh.wanted[HOST].properties, "DisableApiTermination": False, "ImageId": image},
            "Other",
        )
    )
    assert made.id != fresh.get(HOST).id
    assert (fresh.read("Other")["ImageId"], fresh.read("Other")["Architecture"]) == (image, "arm64")


def test_a_disk_in_use_is_not_deleted_and_leaves_a_snapshot_when_asked(fresh: World) -> None:
    ec2, disk = fresh.aws.client("ec2"), get(fresh, DISK)
    ec2.attach_volume(VolumeId=disk, InstanceId=get(fresh, HOST), Device="/dev/sdf")
    assert "VolumeInUse" in fresh.refused(DISK)
    kind = KINDS["AWS::EC2::Volume"]
    assert isinstance(kind, Snapshots)
    snapshot = kind.snapshot(fresh.aws, fresh.made[DISK], fresh.wanted[DISK])
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["VolumeId"] == disk


def test_a_disk_that_a_host_only_mounts_outlives_it(fresh: World) -> None:
    ec2, disk = fresh.aws.client("ec2"), get(fresh, DISK)
    get(fresh, HOST)
    fresh.change(HOST, DisableApiTermination=False)
    ec2.attach_volume(VolumeId=disk, InstanceId=get(fresh, HOST), Device="/dev/sdf")
    fresh.delete(HOST)
    assert fresh.read(DISK)["State"] == "available"


@pytest.mark.parametrize(
    ("id", "user", "why"),
    [
        (TARGETS, ADMITTED, "in use"),
        (BALANCER, BALANCER, "deletion protection is enabled"),
        ("TiersApp987FE612", FLEET, "eni-"),
        ("TiersEdgeDCEAD1E7", BALANCER, "FrontBalanc"),
        ("NetworkVpcPublicSubnet1Subnet36933139", BALANCER, "FrontBalanc"),
    ],
)
def test_what_is_in_use_cannot_be_deleted(fresh: World, id: str, user: str, why: str) -> None:
    get(fresh, id)
    get(fresh, user)
    assert why in fresh.refused(id)


def test_a_certificate_is_free_again_when_no_listener_uses_it(fresh: World) -> None:
    acm = fresh.aws.client("acm")

    def users(certificate: str) -> list[str]:
        return list(acm.describe_certificate(CertificateArn=certificate)["Certificate"]["InUseBy"])

    made, first = get(fresh, HTTPS), fresh.values["Certificate4E7ABB08"]
    second = acm.request_certificate(DomainName="shop.example.com")["CertificateArn"]
    fresh.change(HTTPS, Certificates=[{"CertificateArn": second}])
    assert (users(first), users(second)) == ([], [made])
    fresh.delete(HTTPS)
    assert users(second) == []


@pytest.mark.parametrize(
    ("id", "properties", "fixed"),
    [
        (HOST, {"ImageId": "ami-1"}, "ImageId"),
        (HOST, {"BlockDeviceMappings": []}, "BlockDeviceMappings"),
        (DISK, {"KmsKeyId": "alias/other"}, "KmsKeyId"),
        (TARGETS, {"Port": 9090}, "Port"),
        (BALANCER, {"Scheme": "internal"}, "Scheme"),
        (POLICY, {"AutoScalingGroupName": "another"}, "AutoScalingGroupName"),
    ],
)
def test_what_needs_a_new_resource_is_not_changed_in_place(
    fresh: World, id: str, properties: dict[str, Any], fixed: str
) -> None:
    get(fresh, id)
    with pytest.raises(NotInPlace) as problem:
        fresh.change(id, **properties)
    assert problem.value.property == fixed


def test_a_policy_for_a_fleet_that_is_not_there_is_refused(fresh: World) -> None:
    with pytest.raises(Refused, match="nowhere"):
        fresh.make(fresh.wants("AWS::AutoScaling::ScalingPolicy", {"AutoScalingGroupName": "nowhere"}))


def test_all_goes_in_reverse_order_and_what_is_gone_may_go_again(fresh: World) -> None:
    for ids in OF_STAGE.values():
        for id in ids:
            get(fresh, id)
    fresh.change(BALANCER, **CHANGES[BALANCER])
    fresh.change(HOST, DisableApiTermination=False)
    for id in reversed([*fresh.made]):
        if fresh.wanted[id].type not in of("IAM", "KMS"):
            for _ in range(2):
                fresh.delete(id)
    client = fresh.aws.client("elbv2")
    assert client.describe_load_balancers()["LoadBalancers"] == client.describe_target_groups()["TargetGroups"] == []
