"""Templates with one thing wrong each: the rule that must see it, at which stage, what stands in which stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Stacks = dict[str, dict[str, Body]]


@dataclass(frozen=True)
class Bad:
    """One wrong template. `finds` is part of what the rule says."""

    rule: str
    finds: str
    stacks: Stacks
    stage: int = 5
    sections: Body | None = None  # of the first stack: outputs, parameters


def made(kind: str, *, policy: str | None = None, replaced: str | None = None, **properties: Any) -> Body:
    """A resource; `__` in a property's name stands for what Python does not allow there."""
    body: Body = {"Type": f"AWS::{kind}", "Properties": properties}
    if policy is not None:
        body["DeletionPolicy"] = policy
    if replaced is not None:
        body["UpdateReplacePolicy"] = replaced
    return body


def ref(name: str) -> Body:
    return {"Ref": name}


def att(name: str, attribute: str = "Arn") -> Body:
    return {"Fn::GetAtt": [name, attribute]}


def allow(*actions: str, **more: Any) -> Body:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def policy_document(*statements: Body) -> Body:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def ingress(**permission: Any) -> Stacks:
    """A group that is not the edge, with one way in."""
    return {"network": {"Group": made("EC2::SecurityGroup", GroupName="shop-app", SecurityGroupIngress=[permission])}}


def edge_ingress(**permission: Any) -> Stacks:
    return {
        "network": {
            "Edge": made("EC2::SecurityGroup", GroupName="shop-edge"),
            "In": made("EC2::SecurityGroupIngress", GroupId=att("Edge", "GroupId"), **permission),
        }
    }


def subnet(tier: str = "Data", zone: str = "us-east-1a", **more: Any) -> Body:
    tags = [{"Key": "aws-cdk:subnet-name", "Value": tier}]
    return made("EC2::Subnet", CidrBlock="10.20.1.0/24", AvailabilityZone=zone, Tags=tags, **more)


def routed(**route: Any) -> dict[str, Body]:
    """A data subnet with a route."""
    return {
        "Subnet": subnet(),
        "Table": made("EC2::RouteTable"),
        "Joined": made("EC2::SubnetRouteTableAssociation", SubnetId=ref("Subnet"), RouteTableId=ref("Table")),
        "Way": made("EC2::Route", RouteTableId=ref("Table"), DestinationCidrBlock="0.0.0.0/0", **route),
    }


def replaced(body: Body, **properties: Any) -> Body:
    """The same resource with other properties; None removes one."""
    changed = {**body["Properties"], **properties}
    return {**body, "Properties": {name: value for name, value in changed.items() if value is not None}}


HOST = made(
    "EC2::Instance",
    ImageId="ami-0123456789abcdef0",
    MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}],
    SecurityGroupIds=["sg-1"],
)
TEMPLATE = made("EC2::LaunchTemplate", LaunchTemplateData=HOST["Properties"])
VOLUME = made("EC2::Volume", policy="Snapshot", replaced="Snapshot", Encrypted=True)
GROUP = {
    **made(
        "AutoScaling::AutoScalingGroup",
        LaunchTemplate={"LaunchTemplateId": ref("Template")},
        HealthCheckType="ELB",
        HealthCheckGracePeriod=300,
        MinSize="2",
        MaxSize="6",
        TargetGroupARNs=["arn"],
        VPCZoneIdentifier=["subnet-1", "subnet-2"],
    ),
    "CreationPolicy": {"ResourceSignal": {"Count": 2}},
    "UpdatePolicy": {
        "AutoScalingInstanceRefresh": {
            "Strategy": "Rolling",
            "Preferences": {
                "MinHealthyPercentage": 100,
                "MaxHealthyPercentage": 120,
                "BakeTime": 300,
                "AlarmSpecification": {"Alarms": [ref("Errors")]},
            },
        }
    },
}
SCALING = made("AutoScaling::ScalingPolicy", AutoScalingGroupName=ref("Group"))
DATABASE = made(
    "RDS::DBInstance",
    policy="Snapshot",
    replaced="Snapshot",
    Engine="postgres",
    EngineVersion="17.9",
    DBInstanceClass="db.m7g.large",
    StorageType="gp3",
    StorageEncrypted=True,
    EnableIAMDatabaseAuthentication=True,
    BackupRetentionPeriod=35,
    DeletionProtection=True,
    MultiAZ=True,
    PubliclyAccessible=False,
    DBSubnetGroupName=ref("Subnets"),
    DBParameterGroupName=ref("Parameters"),
    VPCSecurityGroups=["sg-1"],
)
REPLICA = made(
    "RDS::DBInstance", policy="Delete", SourceDBInstanceIdentifier=ref("Primary"), VPCSecurityGroups=["sg-1"]
)
PARAMETERS = made("RDS::DBParameterGroup", Parameters={"rds.force_ssl": "1"})
CACHE = {
    **made(
        "ElastiCache::ReplicationGroup",
        policy="Snapshot",
        replaced="Snapshot",
        Engine="valkey",
        ClusterMode="enabled",
        NumNodeGroups=3,
        ReplicasPerNodeGroup=1,
        AutomaticFailoverEnabled=True,
        MultiAZEnabled=True,
        AtRestEncryptionEnabled=True,
        TransitEncryptionEnabled=True,
        TransitEncryptionMode="required",
        UserGroupIds=["users"],
        SnapshotRetentionLimit=35,
        CacheSubnetGroupName=ref("Subnets"),
        SecurityGroupIds=["sg-1"],
    ),
    "UpdatePolicy": {"UseOnlineResharding": True},
}
BUCKET = made(
    "S3::Bucket",
    policy="Retain",
    replaced="Retain",
    BucketEncryption={
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
    },
)
QUEUE = made(
    "SQS::Queue",
    policy="Retain",
    replaced="Retain",
    VisibilityTimeout=180,
    MaximumMessageSize=262144,
    RedrivePolicy={"deadLetterTargetArn": att("Dead"), "maxReceiveCount": 5},
    MessageRetentionPeriod=345600,
)
DEAD = made("SQS::Queue", MessageRetentionPeriod=1209600)
FUNCTION = made("Lambda::Function", Timeout=30, ReservedConcurrentExecutions=10, Role=att("Role"))
MAPPING = made(
    "Lambda::EventSourceMapping",
    EventSourceArn=att("Queue"),
    FunctionName=ref("Function"),
    FunctionResponseTypes=["ReportBatchItemFailures"],
    ScalingConfig={"MaximumConcurrency": 10},
)
JOB = {"Queue": QUEUE, "Dead": DEAD, "Function": FUNCTION, "Mapping": MAPPING, "Role": made("IAM::Role")}
LISTENER = made(
    "ElasticLoadBalancingV2::Listener",
    Protocol="HTTPS",
    Certificates=["arn"],
    SslPolicy="ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    DefaultActions=[{"Type": "fixed-response"}],
)
FORWARD = {"Type": "forward", "TargetGroupArn": ref("Targets")}
REDIRECT = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}}
DISTRIBUTION_CONFIG: Body = {
    "Aliases": ["shop.example.com"],
    "DefaultCacheBehavior": {"ViewerProtocolPolicy": "redirect-to-https"},
    "ViewerCertificate": {"MinimumProtocolVersion": "TLSv1.2_2021", "AcmCertificateArn": ref("Certificate")},
    "WebACLId": att("Firewall"),
    "Origins": [
        {
            "CustomOriginConfig": {"OriginProtocolPolicy": "https-only", "OriginSSLProtocols": ["TLSv1.2"]},
            "OriginCustomHeaders": [{"HeaderName": "X-Origin-Verify", "HeaderValue": "x"}],
        }
    ],
}
FIREWALL = made("WAFv2::WebACL", Scope="CLOUDFRONT")
CERTIFICATE = made("CertificateManager::Certificate")


def distribution(**config: Any) -> dict[str, Body]:
    changed = {**DISTRIBUTION_CONFIG, **config}
    return {
        "Edge": made("CloudFront::Distribution", DistributionConfig=changed),
        "Firewall": FIREWALL,
        "Certificate": CERTIFICATE,
    }


def origin(**changes: Any) -> list[Body]:
    return [{**DISTRIBUTION_CONFIG["Origins"][0], **changes}]


def web(**resources: Body) -> Stacks:
    return {"web": resources}


def data(**resources: Body) -> Stacks:
    return {"data": resources}


def preferences(**changes: Any) -> Body:
    refresh = GROUP["UpdatePolicy"]["AutoScalingInstanceRefresh"]
    changed = {**refresh, "Preferences": {**refresh["Preferences"], **changes}}
    return {**GROUP, "UpdatePolicy": {"AutoScalingInstanceRefresh": changed}}


def fleet(group: Body) -> Stacks:
    return web(Group=group, Scaling=SCALING, Template=TEMPLATE)


def job(**changes: Body) -> Stacks:
    return {"workers": {**JOB, **changes}}


ANYWHERE = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080}
DB_SUBNETS = made("RDS::DBSubnetGroup", SubnetIds=["subnet-1"])

BAD: tuple[Bad, ...] = (
    Bad("HA01", "names a key pair", web(Host=replaced(HOST, KeyName="laptop"))),
    Bad("HA01", "names a key pair", web(T=made("EC2::LaunchTemplate", LaunchTemplateData={"KeyName": "laptop"}))),
    Bad("HA01", "is a key pair", web(Key=made("EC2::KeyPair", KeyName="laptop"))),
    Bad("HA02", "opens port 22", ingress(IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8")),
    Bad("HA02", "opens port 3389", ingress(IpProtocol="tcp", FromPort=3389, ToPort=3389, CidrIpv6="2001:db8::/32")),
    Bad("HA02", "opens port 22", ingress(IpProtocol="tcp", FromPort=20, ToPort=30, CidrIp="10.0.0.0/8")),
    Bad("HA02", "22 and 3389", ingress(IpProtocol="-1", SourceSecurityGroupId="sg-1")),
    Bad("HA02", "22 and 3389", edge_ingress(IpProtocol=-1, CidrIpv6="2001:db8::/32")),
    Bad("HA02", "opens port 3389", ingress(IpProtocol="udp", FromPort=3000, ToPort=4000, CidrIp="10.0.0.0/8")),
    Bad(
        "HA02",
        "lets remote login through",
        {"network": {"Entry": made("EC2::NetworkAclEntry", RuleAction="allow", PortRange={"From": 0, "To": 65535})}},
    ),
    Bad("HA03", "does not demand a token", web(Host=replaced(HOST, MetadataOptions=None))),
    Bad(
        "HA03",
        "travel 2 hops",
        web(Host=replaced(HOST, MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2})),
    ),
    Bad(
        "HA03",
        "does not demand a token",
        web(T=made("EC2::LaunchTemplate", LaunchTemplateData={"MetadataOptions": {"HttpTokens": "optional"}})),
    ),
    Bad("HA04", "has no role", web(Host=HOST)),
    Bad(
        "HA04",
        "cannot open a session: its role lacks ssm:UpdateInstanceInformation, ssmmessages:CreateControlChannel",
        web(
            Host=replaced(HOST, IamInstanceProfile=ref("Profile")),
            Profile=made("IAM::InstanceProfile", Roles=[ref("Role")]),
            Role=made("IAM::Role"),
            Policy=made("IAM::Policy", Roles=[ref("Role")], PolicyDocument=policy_document(allow("s3:GetObject"))),
        ),
    ),
    Bad(
        "HA04",
        "can be entered another way",
        web(
            Host=replaced(HOST, IamInstanceProfile=ref("Profile")),
            Profile=made("IAM::InstanceProfile", Roles=[ref("Role")]),
            Role=made(
                "IAM::Role",
                Policies=[{"PolicyDocument": policy_document(allow("ec2-instance-connect:SendSSHPublicKey"))}],
            ),
        ),
    ),
    Bad("HA04", "is another way in", web(Door=made("EC2::InstanceConnectEndpoint"))),
    Bad("HA05", "is not the edge", ingress(**ANYWHERE, CidrIp="0.0.0.0/0")),
    Bad("HA05", "is not the edge", ingress(**ANYWHERE, CidrIpv6="::/0")),
    Bad("HA05", "is not the edge", ingress(**ANYWHERE, CidrIp="0.0.0.0/1")),
    Bad("HA05", "more than 80 or 443", edge_ingress(**ANYWHERE, CidrIp="0.0.0.0/0")),
    Bad("HA05", "more than 80 or 443", edge_ingress(IpProtocol="tcp", FromPort=80, ToPort=443, CidrIp="0.0.0.0/0")),
    Bad("HA05", "another protocol", edge_ingress(IpProtocol="udp", FromPort=443, ToPort=443, CidrIp="0.0.0.0/0")),
    Bad(
        "HA05",
        "is not the edge",
        web(
            Edge=made("EC2::SecurityGroup", GroupName="shop-edge"),
            In=made(
                "EC2::SecurityGroupIngress",
                GroupId=ref("Edge"),
                IpProtocol="tcp",
                FromPort=80,
                ToPort=80,
                CidrIp="0.0.0.0/0",
            ),
        ),
    ),
    Bad(
        "HA06",
        "uses the default group",
        {
            "network": {
                "Vpc": made("EC2::VPC"),
                "Host": replaced(HOST, SecurityGroupIds=[att("Vpc", "DefaultSecurityGroup")]),
            }
        },
    ),
    Bad("HA06", "names no security group", web(Host=replaced(HOST, SecurityGroupIds=None))),
    Bad("HA06", "names no security group", data(Primary=replaced(DATABASE, VPCSecurityGroups=None))),
    Bad("HA06", "names no security group", data(Cache=replaced(CACHE, SecurityGroupIds=[]))),
    Bad("HA06", "names no security group", web(Front=made("ElasticLoadBalancingV2::LoadBalancer"))),
    Bad("HA06", "names no security group", web(F=made("Lambda::Function", VpcConfig={"SubnetIds": ["subnet-1"]}))),
    Bad("HA06", "names no security group", {"network": {"E": made("EC2::VPCEndpoint", VpcEndpointType="Interface")}}),
    Bad("HA07", "main route table", {"network": {"Subnet": subnet()}}),
    Bad(
        "HA07",
        "can reach the internet: Subnet -> Way -> Gateway",
        {"network": {**routed(GatewayId=ref("Gateway")), "Gateway": made("EC2::InternetGateway")}},
    ),
    Bad(
        "HA07",
        "can reach the internet: Subnet -> Way -> Nat",
        {"network": {**routed(NatGatewayId=ref("Nat")), "Nat": made("EC2::NatGateway")}},
    ),
    Bad("HA07", "can reach the internet: Subnet -> Way", {"network": routed(GatewayId="igw-12345678")}),
    Bad(
        "HA07",
        "can reach the internet: Subnet -> Way -> Proxy -> Out -> Gateway",
        {
            "network": {
                **routed(InstanceId=ref("Proxy")),
                "Proxy": replaced(HOST, SubnetId=ref("Public")),
                "Public": subnet("Public"),
                "PublicTable": made("EC2::RouteTable"),
                "J": made("EC2::SubnetRouteTableAssociation", SubnetId=ref("Public"), RouteTableId=ref("PublicTable")),
                "Out": made("EC2::Route", RouteTableId=ref("PublicTable"), GatewayId=ref("Gateway")),
                "Gateway": made("EC2::InternetGateway"),
            }
        },
    ),
    Bad("HA07", "no template of ours describes", data(Subnets=DB_SUBNETS)),
    Bad("HA08", "is not generated", data(Secret=made("SecretsManager::Secret", SecretString="hunter2"))),
    Bad("HA08", "is not generated", data(Secret=made("SecretsManager::Secret"))),
    Bad("HA08", "readable MasterUserPassword", data(Primary=replaced(DATABASE, MasterUserPassword="hunter2"))),
    Bad(
        "HA08",
        "readable DB_PASSWORD",
        {"workers": {"F": made("Lambda::Function", Environment={"Variables": {"DB_PASSWORD": "hunter2"}})}},
    ),
    Bad("HA08", "readable AuthToken", data(Cache=replaced(CACHE, AuthToken="0123456789abcdef"))),
    Bad("HA08", "holds a key", web(Host=replaced(HOST, UserData="export KEY=AKIAIOSFODNN7EXAMPLE"))),
    Bad(
        "HA08",
        "default for the hidden parameter Password",
        data(Primary=DATABASE),
        sections={"Parameters": {"Password": {"Type": "String", "NoEcho": True, "Default": "hunter2"}}},
    ),
    Bad("HA09", "allows *", web(P=made("IAM::Policy", PolicyDocument=policy_document(allow("*"))))),
    Bad("HA09", "allows s3:*", web(P=made("IAM::Policy", PolicyDocument=policy_document(allow("s3:*"))))),
    Bad("HA09", "allows *", web(R=made("IAM::Role", Policies=[{"PolicyDocument": policy_document(allow("*"))}]))),
    Bad(
        "HA09",
        "everything but a list",
        web(P=made("IAM::ManagedPolicy", PolicyDocument=policy_document({"Effect": "Allow", "NotAction": "iam:*"}))),
    ),
    Bad(
        "HA09",
        "takes over AdministratorAccess",
        web(R=made("IAM::Role", ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])),
    ),
    Bad("HA09", "lasting identity", web(U=made("IAM::User"))),
    Bad(
        "HA10",
        "allows everybody",
        data(P=made("S3::BucketPolicy", PolicyDocument=policy_document(allow("s3:GetObject", Principal="*")))),
    ),
    Bad(
        "HA10",
        "allows everybody",
        {
            "workers": {
                "P": made("SQS::QueuePolicy", PolicyDocument=policy_document(allow("sqs:Send", Principal={"AWS": "*"})))
            }
        },
    ),
    Bad("HA10", "may be made public", data(Files=BUCKET)),
    Bad("HA10", "no public address", data(Primary=replaced(DATABASE, PubliclyAccessible=None))),
    Bad("HA10", "allows everybody to call it", {"workers": {"P": made("Lambda::Permission", Principal="*")}}),
    Bad(
        "HA10",
        "gives its hosts public addresses",
        web(
            T=made(
                "EC2::LaunchTemplate",
                LaunchTemplateData={"NetworkInterfaces": [{"AssociatePublicIpAddress": True, "Groups": ["sg-1"]}]},
            )
        ),
    ),
    Bad("HA11", "does not encrypt", web(Host=replaced(HOST, BlockDeviceMappings=None)), stage=1),
    Bad("HA11", "does not encrypt", data(Volume=made("EC2::Volume"))),
    Bad("HA11", "does not encrypt", data(Primary=replaced(DATABASE, StorageEncrypted=None))),
    Bad(
        "HA11",
        "does not encrypt",
        data(Primary=replaced(DATABASE, StorageEncrypted=False), Copy=REPLICA),
    ),
    Bad("HA11", "does not encrypt", data(Cache=replaced(CACHE, AtRestEncryptionEnabled=False))),
    Bad("HA11", "does not encrypt", data(Files=made("S3::Bucket"))),
    Bad("HA11", "does not encrypt", {"workers": {"Queue": QUEUE}}),
    Bad("HA11", "does not encrypt", {"workers": {"Topic": made("SNS::Topic")}}),
    Bad("HA11", "does not encrypt", {"workers": {"Table": made("DynamoDB::Table")}}),
    Bad("HA11", "does not encrypt", {"workers": {"Stream": made("KinesisFirehose::DeliveryStream")}}),
    Bad("HA11", "does not encrypt", web(Log=made("Logs::LogGroup"))),
    Bad("HA11", "does not encrypt", {"network": {"Key": made("KMS::Key")}}),
    Bad("HA11", "does not encrypt", data(Vault=made("Backup::BackupVault"))),
    Bad("HA11", "nobody has judged yet", data(Graph=made("Neptune::DBCluster"))),
    Bad("HA12", "accepts plain HTTP", data(Files=BUCKET)),
    Bad("HA12", "accepts plain HTTP", {"workers": {"Queue": QUEUE}}),
    Bad(
        "HA12",
        "accepts plain HTTP",
        {
            "workers": {
                "Topic": made("SNS::Topic"),
                "P": made(
                    "SNS::TopicPolicy",
                    Topics=[ref("Topic")],
                    PolicyDocument=policy_document(
                        {
                            "Effect": "Deny",
                            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ),
                ),
            }
        },
    ),
    Bad(
        "HA13",
        "serves everything else over HTTP",
        {"edge": distribution(DefaultCacheBehavior={"ViewerProtocolPolicy": "allow-all"})},
    ),
    Bad(
        "HA13",
        "serves /static/* over HTTP",
        {"edge": distribution(CacheBehaviors=[{"PathPattern": "/static/*", "ViewerProtocolPolicy": "allow-all"}])},
    ),
    Bad(
        "HA13",
        "TLS older than 1.2",
        {"edge": distribution(ViewerCertificate={"MinimumProtocolVersion": "TLSv1.1_2016"})},
    ),
    Bad(
        "HA14",
        "answers over HTTP",
        web(Listener=replaced(LISTENER, Protocol="HTTP", DefaultActions=[FORWARD])),
    ),
    Bad(
        "HA14",
        "answers over HTTP",
        web(
            Listener=replaced(LISTENER, Protocol="HTTP", DefaultActions=[REDIRECT]),
            Way=made("ElasticLoadBalancingV2::ListenerRule", ListenerArn=ref("Listener"), Actions=[FORWARD]),
        ),
    ),
    Bad("HA14", "has no certificate", web(Listener=replaced(LISTENER, Certificates=None))),
    Bad("HA14", "TLS older than 1.2", web(Listener=replaced(LISTENER, SslPolicy="ELBSecurityPolicy-2016-08"))),
    Bad(
        "HA14",
        "asks its origin over HTTP",
        {"edge": distribution(Origins=origin(CustomOriginConfig={"OriginProtocolPolicy": "http-only"}))},
    ),
    Bad(
        "HA14",
        "asks its origin with TLS older",
        {
            "edge": distribution(
                Origins=origin(
                    CustomOriginConfig={"OriginProtocolPolicy": "https-only", "OriginSSLProtocols": ["TLSv1"]}
                )
            )
        },
    ),
    Bad("HA15", "never forgets", web(Log=made("Logs::LogGroup"))),
    Bad("HA15", "forgets after 7 days", web(Log=made("Logs::LogGroup", RetentionInDays=7))),
    Bad("HA15", "no end", {"workers": {"Function": FUNCTION}}),
    Bad("HA15", "no end", {"network": {"Flow": made("EC2::FlowLog", LogGroupName="flows")}}),
    Bad("HA16", "without TLS", data(Primary=DATABASE, Parameters=made("RDS::DBParameterGroup"))),
    Bad(
        "HA16",
        "without TLS",
        data(Primary=DATABASE, Parameters=made("RDS::DBParameterGroup", Parameters={"rds.force_ssl": "0"})),
    ),
    Bad("HA16", "talks plainly", data(Cache=replaced(CACHE, TransitEncryptionEnabled=False))),
    Bad("HA16", "still lets clients in", data(Cache=replaced(CACHE, TransitEncryptionMode="preferred"))),
    Bad("TR01-data", "has no data volume", web(Host=HOST), stage=1),
    Bad("TR01-data", "is lost when it is replaced", data(Volume={**VOLUME, "UpdateReplacePolicy": "Delete"}), stage=1),
    Bad("TR01-data", "no longer has it", data(Volume={**VOLUME, "DeletionPolicy": "Delete"}), stage=1),
    Bad("TR01-data", "is in no backup plan", data(Volume=VOLUME), stage=1),
    Bad(
        "TR01-data",
        "disks that die with it",
        web(Host=replaced(HOST, BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {}}])),
        stage=1,
    ),
    Bad("TR01-data", "shares a stack", web(Host=HOST, Volume=VOLUME), stage=1),
    Bad("TR01-data", "attaches the volume itself", web(Host=replaced(HOST, Volumes=[{"VolumeId": "vol-1"}])), stage=1),
    Bad("TR01-data", "a replacement never ends", web(A=made("EC2::VolumeAttachment")), stage=1),
    Bad(
        "TR01-image",
        "whatever image is newest",
        web(Host=replaced(HOST, ImageId=ref("Image"))),
        sections={
            "Parameters": {
                "Image": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": "/aws/service/latest"}
            }
        },
    ),
    Bad(
        "TR01-image",
        "whatever image is newest",
        web(T=made("EC2::LaunchTemplate", LaunchTemplateData={"ImageId": "resolve:ssm:/aws/service/latest"})),
    ),
    Bad("TR03", "in 1 zones, not 3", {"network": {"Vpc": made("EC2::VPC"), "S": subnet("App")}}),
    Bad("TR03", "no fixed range", {"network": {"S": replaced(subnet(), CidrBlock={"Fn::Select": [0, ["a"]]})}}),
    Bad("TR03", "no fixed zone", {"network": {"S": replaced(subnet(), AvailabilityZone=None)}}),
    Bad("TR04", "which no stack has", web(P=made("SSM::Parameter", Value={"Fn::ImportValue": "gone"}))),
    Bad(
        "TR04",
        "holds data back by an export",
        {
            "data": {"Files": BUCKET},
            "web": {"P": made("SSM::Parameter", Value={"Fn::ImportValue": "files"})},
        },
        sections={"Outputs": {"Files": {"Value": ref("Files"), "Export": {"Name": "files"}}}},
    ),
    Bad(
        "TR04",
        "holds web back by an export",
        {
            "web": {"Listener": LISTENER},
            "signals": {"Board": made("CloudWatch::Dashboard", DashboardBody={"Fn::ImportValue": "listener"})},
        },
        sections={"Outputs": {"Listener": {"Value": ref("Listener"), "Export": {"Name": "listener"}}}},
    ),
    Bad(
        "TR04",
        "reads from web, which is not older",
        {
            "web": {"Role": made("IAM::Role")},
            "data": {"P": made("SSM::Parameter", Value={"Fn::ImportValue": "role"})},
        },
        sections={"Outputs": {"Role": {"Value": ref("Role"), "Export": {"Name": "role"}}}},
    ),
    Bad(
        "TR04",
        "reads the output Gone, which no stack has",
        {
            "web": {"Role": made("IAM::Role")},
            "edge": {
                "P": made(
                    "SSM::Parameter",
                    Value={"Fn::GetStackOutput": {"StackName": "shop-web", "OutputName": "Gone"}},
                )
            },
        },
    ),
    Bad("TR05", "does not use gp3", data(Primary=replaced(DATABASE, StorageType="gp2"))),
    Bad("TR05", "is not Graviton", data(Primary=replaced(DATABASE, DBInstanceClass="db.m5.large"))),
    Bad("TR05", "old engine", data(Primary=replaced(DATABASE, EngineVersion="13.4"))),
    Bad("TR05", "less than 35 days", data(Primary=replaced(DATABASE, BackupRetentionPeriod=1))),
    Bad("TR05", "deleted by one click", data(Primary=replaced(DATABASE, DeletionProtection=False))),
    Bad("TR05", "a standby, or none", data(Primary=replaced(DATABASE, MultiAZ=False))),
    Bad("TR05", "knows no IAM tokens", data(Primary=replaced(DATABASE, EnableIAMDatabaseAuthentication=None))),
    Bad("TR05", "fewer than two zones", data(Primary=DATABASE, Subnets=DB_SUBNETS)),
    Bad("TR05-replicas", "its primary decides", data(Primary=DATABASE, Copy=replaced(REPLICA, StorageEncrypted=True))),
    Bad("TR05-replicas", "its stage says 2", data(Primary=DATABASE, Copy=REPLICA)),
    Bad("TR05-replicas", "not ours", data(Copy=replaced(REPLICA, SourceDBInstanceIdentifier="theirs"))),
    Bad("TR06", "lets RDS manage", data(Primary=replaced(DATABASE, ManageMasterUserPassword=True))),
    Bad("TR07", "has no launch template", fleet(replaced(GROUP, LaunchTemplate=None))),
    Bad("TR07", "does not hear", fleet(replaced(GROUP, HealthCheckType="EC2"))),
    Bad("TR07", "less than two minutes", fleet(replaced(GROUP, HealthCheckGracePeriod=0))),
    Bad("TR07", "sets DesiredCapacity", fleet(replaced(GROUP, DesiredCapacity="2"))),
    Bad("TR07", "behind no load balancer", fleet(replaced(GROUP, TargetGroupARNs=None))),
    Bad("TR07", "fewer than two zones", fleet(replaced(GROUP, VPCZoneIdentifier=["subnet-1"]))),
    Bad("TR07", "does not survive a host", fleet(replaced(GROUP, MinSize="1"))),
    Bad("TR07", "cannot grow", fleet(replaced(GROUP, MaxSize="2"))),
    Bad("TR07", "no scaling policy", web(Group=GROUP, Template=TEMPLATE)),
    Bad("TR07", "does not wait", fleet({**GROUP, "CreationPolicy": {}})),
    Bad("TR07", "does not roll", fleet({**GROUP, "UpdatePolicy": {}})),
    Bad("TR07", "lets healthy hosts go", fleet(preferences(MinHealthyPercentage=90))),
    Bad("TR07", "bound the surplus", fleet(preferences(MaxHealthyPercentage=200))),
    Bad("TR07", "does not watch", fleet(preferences(BakeTime=0))),
    Bad("TR07", "without an alarm", fleet(preferences(AlarmSpecification={"Alarms": []}))),
    Bad("TR08-region", "has no firewall", {"edge": distribution(WebACLId=None)}),
    Bad(
        "TR08-region",
        "not made for CloudFront",
        {"edge": {**distribution(), "Firewall": replaced(FIREWALL, Scope="REGIONAL")}},
    ),
    Bad(
        "TR08-region",
        "is in eu-west-1",
        {"edge@eu-west-1": distribution()},
    ),
    Bad(
        "TR08-region",
        "a certificate that no template describes",
        {"edge": distribution(ViewerCertificate={"AcmCertificateArn": "arn:aws:acm:us-east-1:1:certificate/x"})},
    ),
    Bad(
        "TR08-lock",
        "forwards whatever",
        {"edge": distribution(), "web": {"Listener": replaced(LISTENER, DefaultActions=[FORWARD])}},
    ),
    Bad(
        "TR08-lock",
        "without the secret header",
        {
            "edge": distribution(),
            "web": {
                "Way": made(
                    "ElasticLoadBalancingV2::ListenerRule",
                    Actions=[FORWARD],
                    Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example.com"]}}],
                )
            },
        },
    ),
    Bad("TR08-lock", "does not prove", {"edge": distribution(Origins=origin(OriginCustomHeaders=[]))}),
    Bad("TR08-lock", "without origin access control", {"edge": distribution(Origins=[{"S3OriginConfig": {}}])}),
    Bad("TR09", "its stage says 3 x (1 + 1)", data(Cache=replaced(CACHE, NumNodeGroups=1))),
    Bad("TR09", "costs a quarter more", data(Cache=replaced(CACHE, Engine="redis"))),
    Bad("TR09", "not in cluster mode", data(Cache=replaced(CACHE, ClusterMode=None))),
    Bad("TR09", "does not fail over", data(Cache=replaced(CACHE, AutomaticFailoverEnabled=False))),
    Bad("TR09", "copies in one zone", data(Cache=replaced(CACHE, MultiAZEnabled=False))),
    Bad("TR09", "does not know its users", data(Cache=replaced(CACHE, UserGroupIds=None))),
    Bad("TR09", "has no backup", data(Cache=replaced(CACHE, SnapshotRetentionLimit=0))),
    Bad("TR09", "default subnets", data(Cache=replaced(CACHE, CacheSubnetGroupName=None))),
    Bad("TR09", "replaced when its shards change", data(Cache={**CACHE, "UpdatePolicy": {}})),
    Bad(
        "TR09",
        "without an IAM token",
        data(User=made("ElastiCache::User", UserId="app", UserName="app", NoPasswordRequired=True)),
    ),
    Bad(
        "TR09",
        "id other than its name",
        data(User=made("ElastiCache::User", UserId="a", UserName="b", AuthenticationMode={"Type": "iam"})),
    ),
    Bad("TR10", "visible again after 30 s", job(Queue=replaced(QUEUE, VisibilityTimeout=None))),
    Bad("TR10", "may need 190 s", job(Mapping=replaced(MAPPING, MaximumBatchingWindowInSeconds=10))),
    Bad("TR10", "repeats a whole batch", job(Mapping=replaced(MAPPING, FunctionResponseTypes=None))),
    Bad("TR10", "as many at once as Lambda allows", job(Mapping=replaced(MAPPING, ScalingConfig=None))),
    Bad("TR10", "the function may run 5", job(Function=replaced(FUNCTION, ReservedConcurrentExecutions=5))),
    Bad("TR10", "largest message", job(Queue=replaced(QUEUE, MaximumMessageSize=None))),
    Bad("TR10", "no dead-letter queue", job(Queue=replaced(QUEUE, RedrivePolicy=None))),
    Bad("TR10", "go before anybody looks", job(Dead=replaced(DEAD, MessageRetentionPeriod=None))),
    Bad(
        "TR10",
        "does not need the database",
        job(Function=replaced(FUNCTION, VpcConfig={"SecurityGroupIds": ["sg-1"]})),
    ),
    Bad(
        "TR10",
        "outside the VPC",
        job(Policy=made("IAM::Policy", Roles=[ref("Role")], PolicyDocument=policy_document(allow("rds-db:connect")))),
    ),
    Bad("TR10", "not both ours", job(Mapping=replaced(MAPPING, EventSourceArn="arn:aws:sqs:us-east-1:1:theirs"))),
    Bad("TR10", "its stage has 6 jobs", job()),
    Bad("TR12", "a helper that CDK added", {"network": {"C": {"Type": "Custom::VpcRestrictDefaultSG"}}}),
    Bad("TR12", "a helper that CDK added", web(LogRetentionaae0aa3c5b4d4f87b02d85b201efdd8a=made("Lambda::Function"))),
    Bad("TR12", "a helper that CDK added", data(Nested=made("CloudFormation::Stack"))),
    Bad("TR12", "transformed", data(Primary=DATABASE), sections={"Transform": "AWS::SecretsManager-2024-09-16"}),
    Bad(
        "TR13",
        "has 1 NAT gateways, the environment asked for 0",
        {"network": {"Vpc": made("EC2::VPC"), "Nat": made("EC2::NatGateway")}},
        stage=2,
    ),
    Bad("TR13", "has 0 NAT gateways, the environment asked for 1", {"network": {"Vpc": made("EC2::VPC")}}),
    Bad("TR14", "has the fixed name", data(Files=replaced(BUCKET, BucketName="files"))),
    Bad("TR14", "has the fixed name", web(T=made("EC2::LaunchTemplate", LaunchTemplateName="hosts"))),
    Bad("TR14", "does not begin with shop", data(Vault=made("Backup::BackupVault", BackupVaultName="vault"))),
    Bad("TR14", "does not begin with shop", web(P=made("SSM::Parameter", Name="/database/active"))),
    Bad("TR14", "in every environment", web(Log=made("Logs::LogGroup", LogGroupName="aws-waf-logs-front"))),
    Bad("TR15", "no longer has it", {"workers": {"Queue": {**QUEUE, "DeletionPolicy": "Delete"}}}),
    Bad("TR15", "is lost when it is replaced", {"workers": {"Table": made("DynamoDB::Table", policy="Retain")}}),
    Bad("TR15", "cannot be let go", data(Primary=DATABASE, Copy={**REPLICA, "DeletionPolicy": "Snapshot"})),
    Bad("TR15", "cannot be let go", data(Primary=DATABASE, Copy=replaced(REPLICA, DeletionProtection=True))),
)
