"""The blocks that every stage is made of, each alone in somebody else's CDK app."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from blueprint.parts import Egress, Postgres, SingleServer
from blueprint.parts import Fleet as FleetSpec
from building_blocks.acknowledged import acknowledge, wildcard
from building_blocks.alerts import Alerts
from building_blocks.data_volume import DataVolume
from building_blocks.database import Database
from building_blocks.encryption import Encryption
from building_blocks.fleet import Fleet
from building_blocks.host_role import HostRole
from building_blocks.load_balancer import Admission, LoadBalancer
from building_blocks.logs import log_group
from building_blocks.network import Network
from building_blocks.origin_keys import OriginKeys
from building_blocks.release import Release
from building_blocks.server import Server
from building_blocks.tiers import HTTPS, Tiers
from tests.building_blocks.alone import CAREFUL, CARELESS, ForeignApp, Template, only, resources, synth_alone

ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
PRIVATE = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
PUBLIC = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
IMAGE = ec2.MachineImage.generic_linux({"eu-west-1": "ami-0aaaaaaaaaaaaaaaa"})
CERTIFICATE = "arn:aws:acm:eu-west-1:111111111111:certificate/theirs"


def _role(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "TheirRole", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))


def _front(
    stack: cdk.Stack, theirs: ForeignApp, *, certificate: bool = True, admission: Admission | None = None
) -> LoadBalancer:
    return LoadBalancer(
        stack,
        "Front",
        vpc=theirs.vpc,
        security_group=theirs.security_group,
        access_logs=theirs.logs,
        certificate=acm.Certificate.from_certificate_arn(stack, "Theirs", CERTIFICATE) if certificate else None,
        admission=admission or Admission(),
        protection=CAREFUL,
        alerts=theirs.alerts,
        subnets=PUBLIC,
    )


def _database(*, replicas: int = 1) -> Template:
    return synth_alone(
        lambda stack, theirs: _with_rotation_elsewhere(
            Database(
                stack,
                "Database",
                spec=Postgres("t4g.medium", 100, 1000, read_replicas=replicas),
                vpc=theirs.vpc,
                security_group=theirs.security_group,
                key=theirs.key,
                protection=CAREFUL,
                alerts=theirs.alerts,
                subnets=ISOLATED,
            )
        )
    )


def _with_rotation_elsewhere(database: Database) -> None:
    acknowledge(database.secret, "SMG4", because="The rotation is a block of its own, with a test of its own.")


def test_a_network_stands_alone() -> None:
    template = synth_alone(lambda stack, theirs: Network(stack, "Network", key=theirs.key, protection=CAREFUL))
    assert len(resources(template, "AWS::EC2::Subnet")) == 9


@pytest.mark.parametrize(
    ("egress", "kind"), [(Egress.NAT, "AWS::EC2::NatGateway"), (Egress.ENDPOINTS, "AWS::EC2::VPCEndpoint")]
)
def test_a_network_lets_its_private_hosts_out(egress: Egress, kind: str) -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        Network(stack, "Network", key=theirs.key, protection=CAREFUL).let_out(egress, endpoints=theirs.security_group)

    assert resources(synth_alone(build), kind)


def test_tiers_stand_alone_and_admit_the_database_port_only_from_two_tiers() -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        Tiers(stack, "Tiers", environment_name="theirs", vpc=theirs.vpc).open_edge([ec2.Peer.any_ipv4()], ports=[HTTPS])

    template = synth_alone(build)
    to_database = [
        rule["Properties"]
        for rule in resources(template, "AWS::EC2::SecurityGroupIngress").values()
        if rule["Properties"]["FromPort"] == 5433
    ]
    assert len(to_database) == 2
    assert all("SourceSecurityGroupId" in rule for rule in to_database)


def test_a_key_stands_alone() -> None:
    template = synth_alone(lambda stack, _: Encryption(stack, "Encryption", protection=CAREFUL))
    assert [key for name, key in resources(template, "AWS::KMS::Key").items() if name.startswith("Encryption")]


def test_alerts_stand_alone_and_reach_a_person() -> None:
    template = synth_alone(lambda stack, theirs: Alerts(stack, "Alerts", key=theirs.key, email="a@example.com"))
    assert only(template, "AWS::SNS::Subscription")["Endpoint"] == "a@example.com"


def test_a_data_volume_stands_alone() -> None:
    template = synth_alone(
        lambda stack, theirs: DataVolume(
            stack,
            "DataVolume",
            environment_name="theirs",
            gib=50,
            availability_zone="eu-west-1a",
            key=theirs.key,
            protection=CAREFUL,
        )
    )
    assert only(template, "AWS::EC2::Volume")["Size"] == 50


def test_a_server_stands_alone() -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        Server(
            stack,
            "Server",
            spec=SingleServer("t4g.medium", 50),
            environment_name="theirs",
            vpc=theirs.vpc,
            subnet=theirs.vpc.public_subnets[0],
            security_groups=(theirs.security_group, theirs.security_group),
            role=_role(stack),
            image=IMAGE,
            boot_script="#!/bin/bash\n",
            release_url="s3://theirs/release.zip",
            protection=CAREFUL,
            alerts=theirs.alerts,
        )

    host = only(synth_alone(build), "AWS::EC2::Instance")
    assert host["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert host["Monitoring"] is True


def test_a_host_role_stands_alone_and_may_write_only_the_pointer() -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        group = log_group(stack, "Logs", key=theirs.key, protection=CAREFUL)
        role = HostRole(stack, "Hosts", environment_name="theirs", key=theirs.key, app_logs=group)
        role.may_own_its_database(key=theirs.key)
        role.may_join_its_fleet()

    policy = only(synth_alone(build), "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    (put,) = [statement for statement in policy if statement["Action"] == "ssm:PutParameter"]
    assert "parameter/theirs/database/active" in str(put["Resource"])


def test_a_release_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("print('hello')\n")
    template = synth_alone(
        lambda stack, _: Release(stack, "Release", environment_name="theirs", code=tmp_path, pinned=None)
    )
    assert only(template, "AWS::SSM::Parameter")["Value"].endswith(".zip")


def test_a_database_stands_alone_with_a_replica() -> None:
    assert len(resources(_database(), "AWS::RDS::DBInstance")) == 2


def test_a_replica_that_falls_behind_raises_an_alarm() -> None:
    alarms = resources(_database(replicas=2), "AWS::CloudWatch::Alarm").values()
    assert len([alarm for alarm in alarms if alarm["Properties"].get("MetricName") == "ReplicaLag"]) == 2


def test_a_careless_database_can_be_removed() -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        _with_rotation_elsewhere(
            Database(
                stack,
                "Database",
                spec=Postgres("t4g.micro", 20, 100, multi_az=True),
                vpc=theirs.vpc,
                security_group=theirs.security_group,
                key=theirs.key,
                protection=CARELESS,
                alerts=theirs.alerts,
                subnets=ISOLATED,
            )
        )

    (instance,) = resources(synth_alone(build), "AWS::RDS::DBInstance").values()
    assert instance["Properties"]["DeletionProtection"] is False
    assert (instance["DeletionPolicy"], instance["UpdateReplacePolicy"]) == ("Delete", "Snapshot")


def test_a_load_balancer_stands_alone_and_refuses_internal_paths() -> None:
    template = synth_alone(_front)
    (rule,) = resources(template, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    assert "/readyz" in rule["Properties"]["Conditions"][0]["PathPatternConfig"]["Values"]


def test_a_locked_load_balancer_forwards_only_with_the_key() -> None:
    template = synth_alone(lambda stack, theirs: _front(stack, theirs, admission=Admission(origin_keys=("secret",))))
    rules = resources(template, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    forwarding = [rule for rule in rules if rule["Properties"]["Actions"][0]["Type"] == "forward"]
    assert [rule["Properties"]["Conditions"][0]["Field"] for rule in forwarding] == ["http-header"]


def test_a_fleet_stands_alone_behind_a_load_balancer() -> None:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        Fleet(
            stack,
            "Fleet",
            spec=FleetSpec("t4g.medium", 2, 6),
            vpc=theirs.vpc,
            security_group=theirs.security_group,
            role=_role(stack),
            image=IMAGE,
            boot_script="echo boot",
            front=_front(stack, theirs),
            subnets=PRIVATE,
        )

    template = synth_alone(build)
    launch = only(template, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert launch["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert "KeyName" not in launch


def test_origin_keys_stand_alone_and_send_the_newest() -> None:
    sent: list[str] = []

    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        keys = OriginKeys(stack, "OriginKeys", newest=4, key=theirs.key, protection=CAREFUL)
        assert stack.resolve(keys.sent) == stack.resolve(keys.accepted[-1])
        sent.extend(keys.accepted)

    names = resources(synth_alone(build), "AWS::SecretsManager::Secret")
    assert len(names) == len(sent) == 2
    assert [name[:21] for name in sorted(names)] == ["OriginKeysGeneration3", "OriginKeysGeneration4"]


def test_a_wildcard_is_written_as_cdk_nag_writes_it() -> None:
    stack = cdk.Stack(cdk.App(), "S")
    arn = stack.format_arn(service="ssm", resource="parameter", resource_name="shop/*")
    assert wildcard(stack, arn).startswith("IAM5[Resource::arn:<AWS::Partition>:ssm:")
