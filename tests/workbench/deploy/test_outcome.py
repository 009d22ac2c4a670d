"""Where things are, as the environment's own resources say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from blueprint.environment import load
from tests.workbench.deploy.memory import Memory
from workbench.deploy.live import Aws
from workbench.deploy.outcome import outcome
from workbench.templates import Assembly, StackTemplate

FLEET, BALANCER = "AWS::AutoScaling::AutoScalingGroup", "AWS::ElasticLoadBalancingV2::LoadBalancer"
DISTRIBUTION, HOST, ADDRESS = "AWS::CloudFront::Distribution", "AWS::EC2::Instance", "AWS::EC2::EIP"
SANDBOX = load("sandbox")


class Named(Memory):
    """An account whose physical ids a test gives."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        super().__init__()
        self.ids = ids

    def physical_ids(self, stack: str, region: str) -> Mapping[str, str]:
        assert (stack, region) == ("shop-web", "us-east-1")
        return self.ids


def there(**types: str) -> Assembly:
    resources = {name: {"Type": kind} for name, kind in types.items()}
    return Assembly((StackTemplate("shop-web", "web", {"Resources": resources}, region="us-east-1"),))


@pytest.fixture
def balancer(aws: Aws) -> str:
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        aws.client("ec2").create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for number, zone in enumerate("ab")
    ]
    made = aws.client("elbv2").create_load_balancer(
        Name="front", Subnets=[one["Subnet"]["SubnetId"] for one in subnets]
    )
    return str(made["LoadBalancers"][0]["LoadBalancerArn"])


def test_a_single_host_is_reached_by_its_address(aws: Aws) -> None:
    account = Named({"Address": "203.0.113.7", "Host": "i-0abc", "Board": "Shop"})
    assembly = there(Address=ADDRESS, Host=HOST, Board="AWS::CloudWatch::Dashboard")
    found = outcome(SANDBOX, assembly, account, aws)
    assert found.url == "http://203.0.113.7"
    assert found.sessions == ("aws ssm start-session --region us-east-1 --target i-0abc",)
    assert found.dashboard is not None
    assert found.dashboard.endswith("region=us-east-1#dashboards/dashboard/Shop")


def test_a_fleet_is_reached_through_its_load_balancer_whatever_other_addresses_there_are(
    aws: Aws, balancer: str
) -> None:
    account = Named({"Front": balancer, "Nat": "203.0.113.9"})
    found = outcome(SANDBOX, there(Front=BALANCER, Nat=ADDRESS), account, aws).url
    assert found is not None
    assert found.startswith("http://front-")
    assert found.endswith("elb.amazonaws.com")


def test_every_host_of_a_fleet_can_be_reached(aws: Aws) -> None:
    ec2, groups = aws.client("ec2"), aws.client("autoscaling")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    groups.create_launch_configuration(LaunchConfigurationName="lc", ImageId="ami-0", InstanceType="t4g.medium")
    groups.create_auto_scaling_group(
        AutoScalingGroupName="fleet", LaunchConfigurationName="lc", MinSize=2, MaxSize=2, VPCZoneIdentifier=subnet
    )
    found = outcome(SANDBOX, there(Fleet=FLEET), Named({"Fleet": "fleet"}), aws)
    assert len(set(found.sessions)) == 2
    assert found.url is None
    assert found.dashboard is None


def test_the_edge_is_the_address_before_the_load_balancer(aws: Aws, balancer: str) -> None:
    origin = {"Id": "o", "DomainName": "b.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
    behaviour = {"TargetOriginId": "o", "ViewerProtocolPolicy": "https-only"}
    config = {"CallerReference": "once", "Comment": "", "Enabled": True, "DefaultCacheBehavior": behaviour}
    made = aws.client("cloudfront").create_distribution(
        DistributionConfig={**config, "Origins": {"Quantity": 1, "Items": [origin]}}
    )["Distribution"]
    account = Named({"Cdn": made["Id"], "Front": balancer})
    assembly = there(Cdn=DISTRIBUTION, Front=BALANCER)
    assert outcome(SANDBOX, assembly, account, aws).url == f"https://{made['DomainName']}"
    ours = replace(SANDBOX, domain="shop.example.com")
    assert outcome(ours, assembly, account, aws).url == "https://shop.example.com"
