"""What moto's CloudFormation gets wrong, one test for each gap that `workbench.sandbox` lists.

The ninth is in test_runner.py, where functions run.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.moto_api._internal.models import moto_api_backend

from tests.workbench.sandbox.pretend import REGION, Pretend, exporting, template
from workbench.sandbox import engine
from workbench.sandbox.kinds import KINDS


@pytest.fixture
def cloud() -> Pretend:
    return Pretend()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """With the kinds of resources that the local AWS really has."""
    monkeypatch.setattr(engine, "SECONDS_UNTIL_ANSWER", 60)
    moto_api_backend.reset()
    return Pretend(kinds=KINDS)


def test_gap_1_stacks_of_change_sets_share_values_and_a_change_set_is_found_in_its_stack_only(cloud: Pretend) -> None:
    assert cloud.deploy("net", template(exporting({"Ref": "Topic"}), Topic={})) == "CREATE_COMPLETE"
    assert cloud.deploy("web", template(Reader={"DisplayName": {"Fn::ImportValue": "shared"}})) == "CREATE_COMPLETE"
    made = cloud.stack("net")["Outputs"][0]
    assert made["ExportName"] == "shared"
    assert cloud.things.wanted()["web/Reader"] == {"DisplayName": made["OutputValue"]}
    assert [one["Name"] for one in cloud.api.list_exports()["Exports"]] == ["shared"]

    for stack in ("net", "web"):
        body = json.dumps(template(Topic={"DisplayName": stack}))
        cloud.api.create_change_set(StackName=stack, ChangeSetName="same", TemplateBody=body)
    said = cloud.api.get_template(StackName="web", ChangeSetName="same")["TemplateBody"]
    assert said["Resources"]["Topic"]["Properties"] == {"DisplayName": "web"}
    cloud.api.delete_change_set(StackName="web", ChangeSetName="same")
    assert cloud.api.describe_change_set(StackName="net", ChangeSetName="same")["StackName"] == "net"
    with pytest.raises(cloud.api.exceptions.ChangeSetNotFoundException, match="same"):
        cloud.api.describe_change_set(StackName="web", ChangeSetName="same")


@pytest.mark.parametrize(
    "address",
    [
        "https://templates-s3-here.s3.us-east-1.amazonaws.com/folder/one.json",
        "https://s3.us-east-1.amazonaws.com/templates-s3-here/folder/one.json",
        "http://127.0.0.1:5566/templates-s3-here/folder/one.json",
    ],
)
def test_gap_2_a_template_is_read_from_a_bucket_by_every_form_of_its_address(cloud: Pretend, address: str) -> None:
    s3 = cloud.engine.stacks.aws(REGION).client("s3")
    s3.create_bucket(Bucket="templates-s3-here")
    s3.put_object(Bucket="templates-s3-here", Key="folder/one.json", Body=json.dumps(template(Topic={})).encode())

    cloud.api.create_stack(StackName="shop", TemplateURL=address)

    assert cloud.stack("shop")["StackStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="NoSuchKey"):
        cloud.api.create_stack(StackName="other", TemplateURL=address.replace("one", "two"))


def test_gap_3_a_type_that_is_not_known_is_an_error_that_names_it_before_anything_is_changed(cloud: Pretend) -> None:
    body = template(Topic={})
    body["Resources"]["Odd"] = {"Type": "AWS::Odd::Thing"}

    assert "AWS::Odd::Thing (Odd)" in cloud.deploy("shop", body)
    assert cloud.things.done == []


NETWORK: dict[str, Any] = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
    "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
}


@pytest.mark.slow
def test_gap_4_references_are_such_as_other_resources_can_use_and_names_are_free_again(account: Pretend) -> None:
    image = {"ImageId": "ami-12c6146b", "InstanceType": "t4g.micro"}
    version = {"LaunchTemplateId": {"Ref": "Template"}, "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}}
    cpu = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 50}
    rule = {"RuleName": "Daily", "TargetBackupVault": {"Ref": "Vault"}}
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Parameters": ("RDS::DBParameterGroup", {"Description": "of ours", "Family": "postgres17"}),
        "Targets": ("ElasticLoadBalancingV2::TargetGroup", {"Port": 80, "Protocol": "HTTP", "VpcId": {"Ref": "Vpc"}}),
        "Template": ("EC2::LaunchTemplate", {"LaunchTemplateData": image}),
        "Fleet": (
            "AutoScaling::AutoScalingGroup",
            {"MinSize": "0", "MaxSize": "0", "VPCZoneIdentifier": [{"Ref": "Subnet"}], "LaunchTemplate": version},
        ),
        "Scaling": (
            "AutoScaling::ScalingPolicy",
            {
                "AutoScalingGroupName": {"Ref": "Fleet"},
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingConfiguration": cpu,
            },
        ),
        "Vault": ("Backup::BackupVault", {"BackupVaultName": "vault"}),
        "Plan": ("Backup::BackupPlan", {"BackupPlan": {"BackupPlanName": "daily", "BackupPlanRule": [rule]}}),
    }
    body = {name: {"Type": f"AWS::{kind}", "Properties": properties} for name, (kind, properties) in resources.items()}
    outputs = {
        "Group": {"Value": {"Ref": "Parameters"}},
        "Targets": {"Value": {"Fn::GetAtt": ["Targets", "TargetGroupFullName"]}},
        "Policy": {"Value": {"Ref": "Scaling"}},
    }

    for _ in range(2):  # once more under the same names, when the first is gone
        assert account.deploy("shop", {"Resources": NETWORK | body, "Outputs": outputs}) == "CREATE_COMPLETE"
        found = {one["OutputKey"]: one["OutputValue"] for one in account.stack("shop")["Outputs"]}
        aws = account.engine.stacks.aws(REGION)
        groups = aws.client("rds").describe_db_parameter_groups(DBParameterGroupName=found["Group"])
        assert [one["Description"] for one in groups["DBParameterGroups"]] == ["of ours"]
        [targets] = aws.client("elbv2").describe_target_groups()["TargetGroups"]
        assert targets["TargetGroupArn"].endswith(f":{found['Targets']}")
        [policy] = aws.client("autoscaling").describe_policies()["ScalingPolicies"]
        assert policy["PolicyARN"] == found["Policy"]
        account.api.delete_stack(StackName="shop")
        assert account.stacks() == []


def test_gap_5_the_previous_value_of_a_parameter_is_looked_up_once_and_anew(cloud: Pretend) -> None:
    ssm = cloud.engine.stacks.aws(REGION).client("ssm")
    body = template(Topic={"DisplayName": {"Ref": "Image"}})
    body["Parameters"] = {"Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/nowhere"}}
    previous = [{"ParameterKey": "Image", "UsePreviousValue": True}]
    ssm.put_parameter(Name="/gap-5", Value="first", Type="String", Overwrite=True)
    cloud.deploy("shop", body, Parameters=[{"ParameterKey": "Image", "ParameterValue": "/gap-5"}])
    assert cloud.deploy("shop", body, Parameters=previous) == ""

    ssm.put_parameter(Name="/gap-5", Value="second", Type="String", Overwrite=True)

    assert cloud.deploy("shop", body, Parameters=previous) == "UPDATE_COMPLETE"
    assert cloud.things.wanted()["shop/Topic"] == {"DisplayName": "second"}
    told = cloud.stack("shop")["Parameters"][0]
    assert (told["ParameterValue"], told["ResolvedValue"]) == ("/gap-5", "second")


def test_gap_6_a_replacement_is_made_before_the_old_one_goes_and_after_all_else_is_done(cloud: Pretend) -> None:
    before = template(Old={"TopicName": "a"}, User={"DisplayName": {"Ref": "Old"}}, Gone={})
    cloud.deploy("shop", before)
    cloud.things.done.clear()

    cloud.deploy("shop", template(Old={"TopicName": "b"}, User={"DisplayName": {"Ref": "Old"}}))

    done = cloud.things.done
    assert done[:2] == ["create Old", "update User"]
    assert sorted(done[2:]) == ["delete Gone", "delete Old"]
    assert cloud.things.wanted()["shop/User"] == {"DisplayName": "b"}


def test_gap_7_a_denial_under_a_condition_does_not_refuse_everything_and_one_without_does(account: Pretend) -> None:
    def body(**more: Any) -> dict[str, Any]:
        statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::files/*", **more}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        policy = {"Bucket": {"Ref": "Files"}, "PolicyDocument": document}
        resources = {"Files": ("AWS::S3::Bucket", {"BucketName": "files"}), "Rule": ("AWS::S3::BucketPolicy", policy)}
        return {"Resources": {name: {"Type": kind, "Properties": given} for name, (kind, given) in resources.items()}}

    s3 = account.engine.stacks.aws(REGION).client("s3")
    account.deploy("shop", body(Condition={"Bool": {"aws:SecureTransport": "false"}}))
    s3.put_object(Bucket="files", Key="invoice", Body=b"paid")
    assert s3.get_object(Bucket="files", Key="invoice")["Body"].read() == b"paid"

    account.deploy("shop", body())
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="files", Key="invoice", Body=b"paid")


def test_gap_8_a_network_goes_in_the_reverse_order_of_its_needs_and_a_delete_that_is_refused_is_an_error(
    account: Pretend,
) -> None:
    lets_in = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "SourceSecurityGroupId": {"Ref": "Outer"}}
    told = {"GroupDescription": "of ours", "VpcId": {"Ref": "Vpc"}}
    outer = {"Type": "AWS::EC2::SecurityGroup", "Properties": told}
    inner = {"Type": "AWS::EC2::SecurityGroup", "Properties": {**told, "SecurityGroupIngress": [lets_in]}}
    assert account.deploy("shop", {"Resources": {**NETWORK, "Inner": inner, "Outer": outer}}) == "CREATE_COMPLETE"
    ec2 = account.engine.stacks.aws(REGION).client("ec2")
    [subnet] = [one for one in ec2.describe_subnets()["Subnets"] if one["CidrBlock"] == "10.0.0.0/24"]
    interface = ec2.create_network_interface(SubnetId=subnet["SubnetId"])["NetworkInterface"]["NetworkInterfaceId"]

    account.api.delete_stack(StackName="shop")

    stack = account.stack("shop")
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert "failed to delete: [Subnet]" in stack["StackStatusReason"]
    left = account.api.list_stack_resources(StackName="shop")["StackResourceSummaries"]
    assert {one["LogicalResourceId"] for one in left} == {"Subnet", "Vpc"}
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    account.api.delete_stack(StackName="shop")
    assert account.stacks() == []
    assert subnet["VpcId"] not in {one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]}


def test_gap_10_weak_and_dynamic_references_come_to_values(cloud: Pretend) -> None:
    aws = cloud.engine.stacks.aws(REGION)
    aws.client("ssm").put_parameter(Name="/gap-10", Value="stored", Type="String", Overwrite=True)
    secret = aws.client("secretsmanager").create_secret(Name="gap-10", SecretString='{"password": "hush"}')["ARN"]
    cloud.deploy("net", template({"Vpc": {"Value": {"Ref": "Topic"}}}, Topic={"TopicName": "vpc-1"}))
    weak = {"Fn::GetStackOutput": {"StackName": "net", "OutputName": "Vpc", "Region": REGION}}
    password = {"Fn::Join": ["", ["{{resolve:secretsmanager:", secret, ":SecretString:password::}}"]]}

    cloud.deploy("web", template(A={"DisplayName": weak}, B={"X": "{{resolve:ssm:/gap-10}}", "Y": password}))

    wanted = cloud.things.wanted()
    assert wanted["web/A"] == {"DisplayName": "vpc-1"}
    assert wanted["web/B"] == {"X": "stored", "Y": "hush"}
