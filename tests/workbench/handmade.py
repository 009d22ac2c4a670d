"""Small assemblies made by hand: one environment at a small and at a large stage, which keep the whole contract."""

from __future__ import annotations

from typing import Any

from workbench.templates import Assembly, StackTemplate

Templates = dict[str, dict[str, Any]]
ROLES = ("network", "data", "web", "edge", "workers", "signals")


def resource(type_: str, keep: str | None = None, **properties: Any) -> dict[str, Any]:
    """A resource as a template has it."""
    policies = {"DeletionPolicy": keep, "UpdateReplacePolicy": keep} if keep else {}
    return {"Type": type_, "Properties": properties, **policies}


def assembly(templates: Templates, *, name: str = "shop", guarded: tuple[str, ...] = ()) -> Assembly:
    """Templates by role as the stacks of an environment, each after the one before."""
    return Assembly(
        tuple(
            StackTemplate(f"{name}-{role}", role, template, termination_protection=role in guarded)
            for role, template in templates.items()
        )
    )


def lone(resources: dict[str, Any], **sections: Any) -> Assembly:
    """One stack with these resources."""
    return assembly({"template": {"Resources": resources, **sections}})


def exported(role: str, value: Any) -> dict[str, Any]:
    """An output that other stacks may import."""
    name = value.get("Ref") or ".".join(value["Fn::GetAtt"])
    return {"Value": value, "Export": {"Name": f"shop-{role}:{name}"}}


def imported(role: str, name: str) -> dict[str, str]:
    return {"Fn::ImportValue": f"shop-{role}:{name}"}


def weakly(role: str, output: str) -> dict[str, Any]:
    return {"Fn::GetStackOutput": {"StackName": f"shop-{role}", "OutputName": output}}


def small() -> Templates:
    """A host with its volume, and a managed database."""
    network = {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
        "Subnet": resource("AWS::EC2::Subnet", VpcId={"Ref": "Vpc"}, CidrBlock="10.0.0.0/24", AvailabilityZone="a"),
        "Group": resource("AWS::EC2::SecurityGroup", VpcId={"Ref": "Vpc"}, GroupName="app", GroupDescription="Hosts"),
        "Key": resource("AWS::KMS::Key", "Retain", KeyPolicy={}, EnableKeyRotation=True),
    }
    exports = [{"Ref": "Subnet"}, {"Ref": "Group"}, {"Fn::GetAtt": ["Key", "Arn"]}]
    key = imported("network", "Key.Arn")
    data = {
        "Files": resource("AWS::S3::Bucket", "Retain"),
        "Volume": resource("AWS::EC2::Volume", "Retain", Size=50, AvailabilityZone="a", KmsKeyId=key),
        "Subnets": resource("AWS::RDS::DBSubnetGroup", SubnetIds=[imported("network", "Subnet")]),
        "Parameters": resource("AWS::RDS::DBParameterGroup", Family="postgres17"),
        "Database": resource(
            "AWS::RDS::DBInstance",
            "Snapshot",
            Engine="postgres",
            EngineVersion="17.9",
            DBInstanceClass="db.t4g.medium",
            AllocatedStorage="100",
            StorageEncrypted=True,
            KmsKeyId=key,
            DBSubnetGroupName={"Ref": "Subnets"},
            DBParameterGroupName={"Ref": "Parameters"},
            DeletionProtection=True,
        ),
    }
    web = {
        "Logs": resource("AWS::Logs::LogGroup", "Retain", RetentionInDays=365),
        "Host": resource(
            "AWS::EC2::Instance",
            "Retain",
            InstanceType="t4g.medium",
            SubnetId=imported("network", "Subnet"),
            SecurityGroupIds=[imported("network", "Group")],
            DisableApiTermination=True,
        ),
        "Address": resource("AWS::EC2::EIP", Domain="vpc"),
    }
    return {
        "network": {
            "Resources": network,
            "Outputs": {f"Output{number}": exported("network", value) for number, value in enumerate(exports)},
        },
        "data": {
            "Resources": data,
            "Outputs": {"DatabaseId": {"Value": {"Ref": "Database"}}},
        },
        "web": {"Resources": web},
        "edge": {},
        "workers": {},
        "signals": {
            "Resources": {
                "Alarm": resource("AWS::CloudWatch::Alarm", Dimensions=[{"Value": weakly("data", "DatabaseId")}])
            }
        },
    }


def large() -> Templates:
    """A fleet instead of the host, a replica, a firewall with its log, and a queue."""
    templates = small()
    data, web = templates["data"]["Resources"], templates["web"]["Resources"]
    del data["Volume"], web["Host"], web["Address"]
    data["Replica"] = resource(
        "AWS::RDS::DBInstance",
        "Delete",
        SourceDBInstanceIdentifier={"Ref": "Database"},
        DBParameterGroupName={"Ref": "Parameters"},
        DeletionProtection=False,
    )
    web["Targets"] = resource("AWS::ElasticLoadBalancingV2::TargetGroup", Port=8080, Protocol="HTTP")
    web["Fleet"] = resource(
        "AWS::AutoScaling::AutoScalingGroup",
        VPCZoneIdentifier=[imported("network", "Subnet")],
        TargetGroupARNs=[{"Ref": "Targets"}],
    )
    web["Fleet"]["UpdatePolicy"] = {"AutoScalingInstanceRefresh": {"Preferences": {"MinHealthyPercentage": 100}}}
    web["FirewallLog"] = resource("AWS::Logs::LogGroup", LogGroupName="aws-waf-logs-shop-front")
    templates["workers"] = {
        "Resources": {
            "Queue": resource("AWS::SQS::Queue", "Retain", KmsMasterKeyId=imported("network", "Key.Arn")),
            "State": resource("AWS::DynamoDB::Table", "Retain", DeletionProtectionEnabled=True),
        }
    }
    return templates
