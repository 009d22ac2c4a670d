"""What services say of deployed resources, beside what their templates want of them.

Nothing here asks CloudFormation: references come to what the other resource's own service lists, imports to what the
exporting template's output comes to. So it is a proof also of how the local CloudFormation resolves them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.sandbox.kinds import FORGOTTEN, ONLY_KEPT

Found = Mapping[str, Any]
Clients = Callable[[str], Any]  # from the name of a service to boto3's client of it


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its template, and the physical id of each of its resources."""

    name: str
    id: str
    template: Mapping[str, Any]
    physical_ids: Mapping[str, str]


def differences(stacks: Sequence[Stack], clients: Clients) -> list[str]:
    """Each property of which a service says something else than its template wants; references may cross the stacks."""
    account = Account(clients)
    templates = Templates(stacks, account)
    return [
        f"{stack.name}/{id}: {difference}"
        for stack in stacks
        for id in stack.template.get("Resources") or {}
        for difference in templates.differences(stack, id)
    ]


# ---- What templates want


class _Anything:
    """What no service lists: nothing can be said against it."""

    def __repr__(self) -> str:
        return "whatever it is"

    __str__ = __repr__


ANYTHING = _Anything()
# Attributes that no service lists.
UNLISTED = {
    ("AWS::SES::EmailIdentity", f"DkimDNSToken{part}{number}"): "moto makes no tokens for signing mail"
    for part in ("Name", "Value")
    for number in (1, 2, 3)
}
_VARIABLE = re.compile(r"\$\{([^}!]+)\}")


class Templates:
    """Values of several stacks, as plain ones."""

    def __init__(self, stacks: Sequence[Stack], account: Account) -> None:
        self._stacks = {stack.name: stack for stack in stacks}
        self._account = account
        self._exports = {
            self.plain(output["Export"]["Name"], stack): (output["Value"], stack)
            for stack in stacks
            for output in (stack.template.get("Outputs") or {}).values()
            if "Export" in output
        }

    def differences(self, stack: Stack, id: str) -> list[str]:
        """What is told otherwise of one resource than its template wants."""
        body = stack.template["Resources"][id]
        try:
            wanted = self.plain(body.get("Properties") or {}, stack)
        except Exception as problem:  # such as a resource that it refers to and that is not there
            return [f"what {body['Type']} wants cannot be told: {problem!r}"]
        return self._account.differences(body["Type"], stack.physical_ids.get(id, ""), wanted)

    def plain(self, value: Any, stack: Stack) -> Any:
        """A value without functions."""
        match value:
            case {"Ref": str(name)} if len(value) == 1:
                return self._ref(name, stack)
            case {"Fn::GetAtt": [str(id), str(attribute)]}:
                return self._attribute(id, attribute, stack)
            case {"Fn::GetAtt": str(text)}:
                return self._attribute(text.partition(".")[0], text.partition(".")[2], stack)
            case {"Fn::ImportValue": name}:
                return self.plain(*self._exports[self.plain(name, stack)])
            case {"Fn::GetStackOutput": {"StackName": name, "OutputName": output}}:
                owner = self._stacks[self.plain(name, stack)]
                return self.plain(owner.template["Outputs"][output]["Value"], owner)
            case {"Fn::Join": [str(glue), [*parts]]}:
                texts = [self.plain(part, stack) for part in parts]
                return ANYTHING if ANYTHING in texts else glue.join(map(_as_text, texts))
            case {"Fn::Select": [index, items]}:
                return self.plain(items, stack)[int(index)]
            case {"Fn::Split": [str(glue), text]}:
                return self.plain(text, stack).split(glue)
            case {"Fn::GetAZs": ""}:
                zones = self._account.ask("ec2", "describe_availability_zones")["AvailabilityZones"]
                return sorted(zone["ZoneName"] for zone in zones)
            case {"Fn::Base64": text}:
                return base64.b64encode(self.plain(text, stack).encode()).decode()
            case {"Fn::Sub": str(text)}:
                return _VARIABLE.sub(lambda found: self._variable(found[1], stack), text)
            case Mapping() if any(key.startswith("Fn::") for key in value):
                raise NotImplementedError(f"reading back knows no {value}")
            case Mapping():
                return {key: self.plain(item, stack) for key, item in value.items()}
            case list():
                return [self.plain(item, stack) for item in value]
            case str() if value.startswith("{{resolve:"):
                return ANYTHING  # a secret, which services do not show
        return value

    def _variable(self, name: str, stack: Stack) -> str:
        id, _, attribute = name.partition(".")
        return _as_text(self._attribute(id, attribute, stack) if attribute else self._ref(name, stack))

    def _ref(self, name: str, stack: Stack) -> Any:
        pseudo = {
            "AWS::AccountId": self._account.id,
            "AWS::Partition": "aws",
            "AWS::Region": self._account.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        if name in stack.physical_ids:
            return stack.physical_ids[name]
        parameter = stack.template["Parameters"][name]
        if parameter["Type"].startswith("AWS::SSM::Parameter::Value<"):
            return self._account.ask("ssm", "get_parameter", Name=parameter["Default"])["Parameter"]["Value"]
        return parameter["Default"]

    def _attribute(self, id: str, attribute: str, stack: Stack) -> Any:
        body = stack.template["Resources"][id]
        if (body["Type"], attribute) in UNLISTED:
            return ANYTHING
        value: Any = self._account.read(body["Type"], stack.physical_ids[id], body["Properties"])
        for step in attribute.split("."):
            value = {key.lower(): item for key, item in value.items()}[step.lower()]
        return value


# ---- What services say


class Account:
    """Services asked as users ask them, each question once."""

    def __init__(self, clients: Clients) -> None:
        self._clients, self._services, self._answers = clients, dict[str, Any](), dict[str, Any]()

    @property
    def id(self) -> str:
        return str(self.ask("sts", "get_caller_identity")["Account"])

    @property
    def region(self) -> str:
        return str(self._client("ec2").meta.region_name)

    def _client(self, service: str) -> Any:
        if service not in self._services:
            self._services[service] = self._clients(service)
        return self._services[service]

    def ask(self, service: str, operation: str, **members: Any) -> Any:
        """All pages of an answer."""
        question = json.dumps([service, operation, members])
        if question not in self._answers:
            client = self._client(service)
            pages = client.get_paginator(operation).paginate(**members) if client.can_paginate(operation) else None
            self._answers[question] = pages.build_full_result() if pages else getattr(client, operation)(**members)
        return self._answers[question]

    def one(self, service: str, operation: str, answer: str, key: str, value: str, **members: Any) -> dict[str, Any]:
        """The one of a list that has this value."""
        found = [each for each in self.ask(service, operation, **members).get(answer, []) if each.get(key) == value]
        assert len(found) == 1, f"{service} lists {len(found)} of {value}"
        return dict(found[0])

    def read(self, resource_type: str, id: str, wanted: Mapping[str, Any]) -> Found:
        """A resource in the words of a template; `wanted` serves only to find what its id alone does not name."""
        return READERS[resource_type](self, id, wanted)

    def differences(self, resource_type: str, id: str, wanted: Mapping[str, Any]) -> list[str]:
        """What is told otherwise than wanted, although its kind does not say that moto forgets it; and what the kind
        says that it forgets, although it is told."""
        if resource_type in ONLY_KEPT:
            return []
        properties = {name: item for name, item in wanted.items() if f"{resource_type}.{name}" not in UNTOLD}
        try:
            found = self.read(resource_type, id, properties)
        except Exception as problem:  # one that is not there differs, and so do others perhaps
            return [f"{resource_type} {id} cannot be read: {problem!r}"]
        unlike = {path: values for path, *values in _unlike(properties, found)}
        forgets = [path for path in FORGOTTEN.get(resource_type, ()) if _has(properties, path.split("."))]
        unsaid = {
            path for path in unlike if not any(path == known or path.startswith(f"{known}.") for known in forgets)
        }
        told = {known for known in forgets if not any(f"{path}.".startswith(f"{known}.") for path in unlike)}
        return [
            *(f"{path} of {resource_type} is {unlike[path][1]!r}, not {unlike[path][0]!r}" for path in sorted(unsaid)),
            *(f"{path} of {resource_type} is told, though its kind says that it is forgotten" for path in sorted(told)),
        ]


def _has(value: Any, path: Sequence[str]) -> bool:
    if isinstance(value, list):
        return any(_has(item, path) for item in value)
    return not path or (isinstance(value, Mapping) and path[0] in value and _has(value[path[0]], path[1:]))


def _unlike(wanted: Any, found: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, wanted, found) of each difference; what services say beyond the template's words is no difference."""
    match wanted:
        case Mapping() if isinstance(found, str) and found.startswith("{"):  # a document, which the service has as text
            yield from _unlike(wanted, json.loads(found), at)
        case Mapping() if isinstance(found, Mapping):
            members = {key.lower(): item for key, item in found.items()}
            for key, item in wanted.items():
                yield from _unlike(item, members.get(str(RENAMED.get(key, key)).lower()), f"{at}.{key}".strip("."))
        case list() if isinstance(found, Mapping) and "Quantity" in found:
            yield from _unlike(wanted, found.get("Items", []), at)
        case [{"Key": str()}, *_] if isinstance(found, list):  # settings or tags, of which services have more
            there = {each.get("Key"): each.get("Value") for each in found}
            yield from _unlike({each["Key"]: each["Value"] for each in wanted}, there, at)
        case list() if isinstance(found, list) and len(found) == len(wanted):
            for item, other in zip(_in_order(wanted), _in_order(found), strict=True):
                yield from _unlike(item, other, at)
        case _ if wanted is not ANYTHING and _as_text(wanted) != _as_text(found):
            yield at, wanted, found


def _in_order(items: list[Any]) -> list[Any]:
    return sorted(items) if all(isinstance(item, str) for item in items) else items


def _as_text(value: Any) -> str:
    """Numbers are text in some places and numbers in others."""
    if isinstance(value, str | int | float) and re.fullmatch(r"\d+(\.\d+)?", str(value)):
        return f"{float(value):.15g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


# What no service ever tells again, each with the reason.
UNTOLD = {
    "AWS::EC2::FlowLog.ResourceType": "the id of the resource says it",
    "AWS::ECR::Repository.EmptyOnDelete": "it matters when the repository is deleted",
    "AWS::KMS::Key.PendingWindowInDays": "it matters when the key is deleted",
    "AWS::Lambda::Function.Code": "only a checksum of it, not where it came from",
    "AWS::RDS::DBInstance.DeleteAutomatedBackups": "it matters when the database is deleted",
    "AWS::RDS::DBInstance.MasterUserPassword": "a secret",
    "AWS::SSM::Document.UpdateMethod": "it matters when the document is changed",
    "AWS::SecretsManager::Secret.GenerateSecretString": "how the secret was made",
}
# Words of templates -> words of services.
RENAMED = {
    "BackupPlanRule": "Rules",
    "DestinationBucketName": "TargetBucket",
    "Family": "DBParameterGroupFamily",
    "IPV6Enabled": "IsIPV6Enabled",
    "LogFilePrefix": "TargetPrefix",
    "OriginCustomHeaders": "CustomHeaders",
    "ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
    "TargetBackupVault": "TargetBackupVaultName",
}

Reader = Callable[[Account, str, Mapping[str, Any]], Found]


def listed(service: str, operation: str, answer: str, key: str, **members: Any) -> Reader:
    """A resource of which a list says all there is to say."""
    return lambda account, id, _: account.one(service, operation, answer, key, id, **members)


def asked(service: str, operation: str, key: str, answer: str = "") -> Reader:
    """A resource of which an operation says all that takes its id."""

    def read(account: Account, id: str, _: Mapping[str, Any]) -> Found:
        found: Found = account.ask(service, operation, **{key: id})
        return found[answer] if answer else found

    return read


# ---- Networks


def vpc(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("ec2", "describe_vpcs", "Vpcs", "VpcId", id)
    for name in ("EnableDnsHostnames", "EnableDnsSupport"):
        attribute = name[0].lower() + name[1:]
        found[name] = account.ask("ec2", "describe_vpc_attribute", VpcId=id, Attribute=attribute)[name]["Value"]
    return found


def rule(account: Account, id: str, _: Mapping[str, Any] | None = None) -> Found:
    """A rule of a security group."""
    found = account.one("ec2", "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId", id)
    group = found.get("ReferencedGroupInfo", {}).get("GroupId")
    found |= {"SourceSecurityGroupId": group, "DestinationSecurityGroupId": group}
    return found | {"CidrIp": found.get("CidrIpv4"), "SourcePrefixListId": found.get("PrefixListId")}


def group(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    """A security group with as many of its rules as are wanted in it; others are resources of their own."""
    found = account.one("ec2", "describe_security_groups", "SecurityGroups", "GroupId", id)
    rules = account.ask("ec2", "describe_security_group_rules")["SecurityGroupRules"]
    own = [rule(account, each["SecurityGroupRuleId"]) for each in rules if each["GroupId"] == id]
    inside: dict[str, Any] = {}
    for name, egress in (("SecurityGroupEgress", True), ("SecurityGroupIngress", False)):
        there = [each for each in own if each["IsEgress"] is egress]
        fits = [next((each for each in there if not [*_unlike(one, each)]), None) for one in wanted.get(name, [])]
        inside[name] = fits if all(fits) else there
    return {**found, "GroupDescription": found["Description"], **inside}


def route(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    table, destination = id.split("|")
    routes = account.one("ec2", "describe_route_tables", "RouteTables", "RouteTableId", table)["Routes"]
    [found] = [each for each in routes if each.get("DestinationCidrBlock") == destination]
    return {**found, "RouteTableId": table}


def table_of_subnet(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    tables = account.ask("ec2", "describe_route_tables")["RouteTables"]
    [found] = [one for table in tables for one in table["Associations"] if one["RouteTableAssociationId"] == id]
    return dict(found)


def attachment(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    gateways = account.ask("ec2", "describe_internet_gateways")["InternetGateways"]
    vpc_id = id.split("|")[1]
    [found] = [one for one in gateways if vpc_id in [each["VpcId"] for each in one["Attachments"]]]
    return {**found, "VpcId": vpc_id}


def nat(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId", id)
    return {**found, "AllocationId": found["NatGatewayAddresses"][0]["AllocationId"]}


NETWORK: dict[str, Reader] = {
    "AWS::EC2::EIP": listed("ec2", "describe_addresses", "Addresses", "PublicIp"),
    "AWS::EC2::EIPAssociation": listed("ec2", "describe_addresses", "Addresses", "AssociationId"),
    "AWS::EC2::FlowLog": listed("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    "AWS::EC2::InternetGateway": listed("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "AWS::EC2::NatGateway": nat,
    "AWS::EC2::Route": route,
    "AWS::EC2::RouteTable": listed("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    "AWS::EC2::SecurityGroup": group,
    "AWS::EC2::SecurityGroupEgress": rule,
    "AWS::EC2::SecurityGroupIngress": rule,
    "AWS::EC2::Subnet": listed("ec2", "describe_subnets", "Subnets", "SubnetId"),
    "AWS::EC2::SubnetRouteTableAssociation": table_of_subnet,
    "AWS::EC2::VPC": vpc,
    "AWS::EC2::VPCEndpoint": listed("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "AWS::EC2::VPCGatewayAttachment": attachment,
}


# ---- Hosts, and what stands before them


def volume(account: Account, id: str, _: Mapping[str, Any] | None = None) -> Found:
    found = account.one("ec2", "describe_volumes", "Volumes", "VolumeId", id)
    return {**found, "VolumeSize": found["Size"]}


def host(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    reservations = account.ask("ec2", "describe_instances")["Reservations"]
    [found] = [each for one in reservations for each in one["Instances"] if each["InstanceId"] == id]
    disks = {disk["DeviceName"]: disk["Ebs"]["VolumeId"] for disk in found["BlockDeviceMappings"]}
    devices = [disk["DeviceName"] for disk in wanted.get("BlockDeviceMappings", [])]

    def attribute(name: str) -> Any:
        told = account.ask("ec2", "describe_instance_attribute", InstanceId=id, Attribute=name)
        return told[name[0].upper() + name[1:]]["Value"]

    return {
        **found,
        "AvailabilityZone": found["Placement"]["AvailabilityZone"],
        "BlockDeviceMappings": [
            {"DeviceName": device, "Ebs": volume(account, disks[device])} for device in devices if device in disks
        ],
        "DisableApiTermination": attribute("disableApiTermination"),
        "IamInstanceProfile": found["IamInstanceProfile"]["Arn"].rpartition("/")[2],
        "Monitoring": found["Monitoring"]["State"] == "enabled",
        "PrivateIp": found["PrivateIpAddress"],
        "SecurityGroupIds": [each["GroupId"] for each in found["SecurityGroups"]],
        "UserData": attribute("userData"),
    }


def host_template(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    which = {"LaunchTemplateId": id, "Versions": ["$Latest"]}
    found = account.ask("ec2", "describe_launch_template_versions", **which)["LaunchTemplateVersions"][0]
    tags = account.one("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", id)["Tags"]
    specifications = [{"ResourceType": "launch-template", "Tags": tags}]
    return {**found, "LatestVersionNumber": str(found["VersionNumber"]), "TagSpecifications": specifications}


def fleet(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    which = ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName", id)
    found = account.one(*which)
    hooks = account.ask("autoscaling", "describe_lifecycle_hooks", AutoScalingGroupName=id)["LifecycleHooks"]
    by_name = {hook["LifecycleHookName"]: hook for hook in hooks}
    ours = [by_name.pop(hook["LifecycleHookName"], {}) for hook in wanted.get("LifecycleHookSpecificationList", [])]
    metrics = found["EnabledMetrics"]
    return {
        **found,
        "LifecycleHookSpecificationList": [*ours, *by_name.values()],
        "MetricsCollection": metrics[:1] if len(metrics) == 13 else metrics,  # all of them, when none are named
        "VPCZoneIdentifier": found["VPCZoneIdentifier"].split(","),
    }


def balancer(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn", id)
    told = account.ask("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=id)
    return {
        **found,
        "LoadBalancerAttributes": told["Attributes"],
        "LoadBalancerFullName": id.partition(":loadbalancer/")[2],
        "Subnets": [zone["SubnetId"] for zone in found["AvailabilityZones"]],
    }


def targets(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn", id)
    told = account.ask("elbv2", "describe_target_group_attributes", TargetGroupArn=id)
    return {**found, "TargetGroupAttributes": told["Attributes"], "TargetGroupFullName": id.rpartition(":")[2]}


def listener(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found: Found = account.ask("elbv2", "describe_listeners", ListenerArns=[id])["Listeners"][0]
    return found


def listener_rule(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("elbv2", "describe_rules", RuleArns=[id])["Rules"][0]
    return {**found, "ListenerArn": id.rpartition("/")[0].replace(":listener-rule/", ":listener/")}


COMPUTE: dict[str, Reader] = {
    "AWS::AutoScaling::AutoScalingGroup": fleet,
    "AWS::AutoScaling::ScalingPolicy": listed("autoscaling", "describe_policies", "ScalingPolicies", "PolicyARN"),
    "AWS::EC2::Instance": host,
    "AWS::EC2::LaunchTemplate": host_template,
    "AWS::EC2::Volume": volume,
    "AWS::ElasticLoadBalancingV2::Listener": listener,
    "AWS::ElasticLoadBalancingV2::ListenerRule": listener_rule,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": balancer,
    "AWS::ElasticLoadBalancingV2::TargetGroup": targets,
}


# ---- Rights, keys, logs, parameters


def role(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    found = account.ask("iam", "get_role", RoleName=id)["Role"]
    names = account.ask("iam", "list_role_policies", RoleName=id)["PolicyNames"]
    attached = account.ask("iam", "list_attached_role_policies", RoleName=id)["AttachedPolicies"]
    inline = [policy["PolicyName"] for policy in wanted.get("Policies", [])]  # others are resources of their own
    return {
        **found,
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in attached],
        "PermissionsBoundary": found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "Policies": [
            account.ask("iam", "get_role_policy", RoleName=id, PolicyName=name) for name in inline if name in names
        ],
    }


def policy(account: Account, _: str, wanted: Mapping[str, Any]) -> Found:
    """Its text in the roles that must have it; of those that must not, other environments have one of its name."""
    name, roles = wanted["PolicyName"], wanted["Roles"]
    texts = [account.ask("iam", "get_role_policy", RoleName=role, PolicyName=name) for role in roles]
    assert all(text["PolicyDocument"] == texts[0]["PolicyDocument"] for text in texts)
    return {**texts[0], "Roles": roles}


def managed_policy(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("iam", "get_policy", PolicyArn=id)["Policy"]
    which = {"PolicyArn": id, "VersionId": found["DefaultVersionId"]}
    document = account.ask("iam", "get_policy_version", **which)["PolicyVersion"]["Document"]
    return {**found, "ManagedPolicyName": found["PolicyName"], "PolicyDocument": document}


def profile(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("iam", "get_instance_profile", InstanceProfileName=id)["InstanceProfile"]
    return {**found, "Roles": [role["RoleName"] for role in found["Roles"]]}


def key(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    return {
        **account.ask("kms", "describe_key", KeyId=id)["KeyMetadata"],
        "EnableKeyRotation": account.ask("kms", "get_key_rotation_status", KeyId=id)["KeyRotationEnabled"],
        "KeyPolicy": account.ask("kms", "get_key_policy", KeyId=id, PolicyName="default")["Policy"],
    }


def log_stream(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    which = {"logGroupName": wanted["LogGroupName"]}
    account.one("logs", "describe_log_streams", "logStreams", "logStreamName", id, **which)
    return wanted


def parameter(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    filters = [{"Key": "Name", "Values": [id]}]
    told = account.ask("ssm", "describe_parameters", ParameterFilters=filters)["Parameters"][0]
    return {**told, **account.ask("ssm", "get_parameter", Name=id)["Parameter"]}


ACCESS: dict[str, Reader] = {
    "AWS::IAM::InstanceProfile": profile,
    "AWS::IAM::ManagedPolicy": managed_policy,
    "AWS::IAM::Policy": policy,
    "AWS::IAM::Role": role,
    "AWS::KMS::Alias": listed("kms", "list_aliases", "Aliases", "AliasName"),
    "AWS::KMS::Key": key,
    "AWS::Logs::LogGroup": listed("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "AWS::Logs::LogStream": log_stream,
    "AWS::SSM::Document": asked("ssm", "get_document", "Name"),
    "AWS::SSM::Parameter": parameter,
}


# ---- Data


def database(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier", id)
    return {
        **found,
        "DBParameterGroupName": found["DBParameterGroups"][0]["DBParameterGroupName"],
        "DBSubnetGroupName": found["DBSubnetGroup"]["DBSubnetGroupName"],
        "EnableCloudwatchLogsExports": found["EnabledCloudwatchLogsExports"],
        "EnablePerformanceInsights": found.get("PerformanceInsightsEnabled"),
        "EnableIAMDatabaseAuthentication": found["IAMDatabaseAuthenticationEnabled"],
        "Port": found["Endpoint"]["Port"],
        "SourceDBInstanceIdentifier": found.get("ReadReplicaSourceDBInstanceIdentifier"),
        "Tags": found["TagList"],
        "VPCSecurityGroups": [group["VpcSecurityGroupId"] for group in found["VpcSecurityGroups"]],
    }


def database_parameters(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    group = account.one("rds", "describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName", id)
    values = account.ask("rds", "describe_db_parameters", DBParameterGroupName=id)["Parameters"]
    return {**group, "Parameters": {each["ParameterName"]: each["ParameterValue"] for each in values}}


def database_subnets(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    group = account.one("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName", id)
    return {**group, "SubnetIds": [subnet["SubnetIdentifier"] for subnet in group["Subnets"]]}


def cache_subnets(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("elasticache", "describe_cache_subnet_groups", "CacheSubnetGroups", "CacheSubnetGroupName", id)
    subnets = [subnet["SubnetIdentifier"] for subnet in found["Subnets"]]
    return {"Description": found["CacheSubnetGroupDescription"], "SubnetIds": subnets}


def cache_user(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    user = account.one("elasticache", "describe_users", "Users", "UserId", id)
    return {**user, "AuthenticationMode": {"Type": user["Authentication"]["Type"]}}


def cache_group(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    which = ("elasticache", "describe_replication_groups", "ReplicationGroups", "ReplicationGroupId", id)
    group = account.one(*which)
    return {
        **group,
        "AutomaticFailoverEnabled": group["AutomaticFailover"] == "enabled",
        "MultiAZEnabled": group["MultiAZ"] == "enabled",
        "NumNodeGroups": len(group["NodeGroups"]),
        "Port": group["ConfigurationEndpoint"]["Port"],
        "ReplicasPerNodeGroup": len(group["NodeGroups"][0]["NodeGroupMembers"]) - 1,
        "ReplicationGroupDescription": group["Description"],
    }


def bucket(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    def ask(operation: str) -> Any:
        return account.ask("s3", f"get_{operation}", Bucket=id)

    settings: dict[str, Callable[[], Any]] = {
        "BucketEncryption": lambda: {
            "ServerSideEncryptionConfiguration": ask("bucket_encryption")["ServerSideEncryptionConfiguration"]["Rules"]
        },
        "LifecycleConfiguration": lambda: {
            "Rules": [_lifecycle_rule(rule) for rule in ask("bucket_lifecycle_configuration")["Rules"]]
        },
        "LoggingConfiguration": lambda: ask("bucket_logging").get("LoggingEnabled"),
        "OwnershipControls": lambda: ask("bucket_ownership_controls")["OwnershipControls"],
        "PublicAccessBlockConfiguration": lambda: ask("public_access_block")["PublicAccessBlockConfiguration"],
        "Tags": lambda: ask("bucket_tagging")["TagSet"],
        "VersioningConfiguration": lambda: ask("bucket_versioning"),
    }
    return {
        "Arn": f"arn:aws:s3:::{id}",
        "BucketName": account.one("s3", "list_buckets", "Buckets", "Name", id)["Name"],
        "RegionalDomainName": f"{id}.s3.{account.region}.amazonaws.com",
        **{name: read() for name, read in settings.items() if name in wanted},
    }


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    expires = {"ExpirationInDays": rule.get("Expiration", {}).get("Days")}
    transitions = [{**step, "TransitionInDays": step["Days"]} for step in rule.get("Transitions", [])]
    return {**rule, **rule.get("Filter", {}), **expires, "Transitions": transitions}


def bucket_policy(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    return {"Bucket": id, "PolicyDocument": account.ask("s3", "get_bucket_policy", Bucket=id)["Policy"]}


def table(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("dynamodb", "describe_table", TableName=id)["Table"]
    backups = account.ask("dynamodb", "describe_continuous_backups", TableName=id)["ContinuousBackupsDescription"]
    lifetime = account.ask("dynamodb", "describe_time_to_live", TableName=id)["TimeToLiveDescription"]
    encryption, recovery = found["SSEDescription"], backups["PointInTimeRecoveryDescription"]
    return {
        **found,
        "Arn": found["TableArn"],
        "BillingMode": found["BillingModeSummary"]["BillingMode"],
        "PointInTimeRecoverySpecification": {
            "PointInTimeRecoveryEnabled": recovery["PointInTimeRecoveryStatus"] == "ENABLED",
            "RecoveryPeriodInDays": recovery.get("RecoveryPeriodInDays"),
        },
        "SSESpecification": {
            "KMSMasterKeyId": encryption["KMSMasterKeyArn"],
            "SSEEnabled": encryption["Status"] == "ENABLED",
            "SSEType": encryption["SSEType"],
        },
        "TimeToLiveSpecification": {**lifetime, "Enabled": lifetime["TimeToLiveStatus"] == "ENABLED"},
    }


def rotation(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    return {"SecretId": id, **account.ask("secretsmanager", "describe_secret", SecretId=id)}


def secret_attachment(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    """How to reach the database, as the secret says it."""
    says = json.loads(account.ask("secretsmanager", "get_secret_value", SecretId=id)["SecretString"])
    name = says["dbInstanceIdentifier"]
    end = account.one("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier", name)["Endpoint"]
    assert says["host"] == end["Address"]
    return {"SecretId": id, "TargetId": name, "TargetType": "AWS::RDS::DBInstance"}


def repository(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    lifecycle = account.ask("ecr", "get_lifecycle_policy", repositoryName=id)["lifecyclePolicyText"]
    return {
        **account.one("ecr", "describe_repositories", "repositories", "repositoryName", id),
        "LifecyclePolicy": {"LifecyclePolicyText": lifecycle},
        "RepositoryPolicyText": account.ask("ecr", "get_repository_policy", repositoryName=id)["policyText"],
    }


DATA: dict[str, Reader] = {
    "AWS::Backup::BackupPlan": asked("backup", "get_backup_plan", "BackupPlanId"),
    "AWS::Backup::BackupVault": asked("backup", "describe_backup_vault", "BackupVaultName"),
    "AWS::DynamoDB::Table": table,
    "AWS::ECR::Repository": repository,
    "AWS::ElastiCache::ReplicationGroup": cache_group,
    "AWS::ElastiCache::SubnetGroup": cache_subnets,
    "AWS::ElastiCache::User": cache_user,
    "AWS::RDS::DBInstance": database,
    "AWS::RDS::DBParameterGroup": database_parameters,
    "AWS::RDS::DBSubnetGroup": database_subnets,
    "AWS::S3::Bucket": bucket,
    "AWS::S3::BucketPolicy": bucket_policy,
    "AWS::SecretsManager::RotationSchedule": rotation,
    "AWS::SecretsManager::Secret": asked("secretsmanager", "describe_secret", "SecretId"),
    "AWS::SecretsManager::SecretTargetAttachment": secret_attachment,
}


# ---- The edge, and what watches


def distribution(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("cloudfront", "get_distribution", Id=id)["Distribution"]
    config = found["DistributionConfig"]

    def behavior(one: Mapping[str, Any]) -> dict[str, Any]:
        return {**one, "AllowedMethods": one["AllowedMethods"]["Items"]}

    told = {
        **config,
        "CacheBehaviors": [behavior(one) for one in config["CacheBehaviors"].get("Items", [])],
        "DefaultCacheBehavior": behavior(config["DefaultCacheBehavior"]),
    }
    return {**found, "DistributionConfig": told}


def firewall(thing: str, member: str) -> Reader:
    def read(account: Account, id: str, _: Mapping[str, Any]) -> Found:
        named = dict(zip(("Name", "Id", "Scope"), id.split("|"), strict=True))
        return {**account.ask("wafv2", f"get_{thing}", **named)[member], "Scope": named["Scope"]}

    return read


def firewall_association(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    resource = id.split("|")[0]
    acl = account.ask("wafv2", "get_web_acl_for_resource", ResourceArn=resource)["WebACL"]
    return {"ResourceArn": resource, "WebACLArn": acl["ARN"]}


def certificate(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("acm", "describe_certificate", CertificateArn=id)["Certificate"]
    name, options = found["DomainName"], found["DomainValidationOptions"]
    return {
        **found,
        "DomainValidationOptions": sorted(options, key=lambda option: option["DomainName"] != name),
        "SubjectAlternativeNames": [other for other in found["SubjectAlternativeNames"] if other != name],
        "Tags": account.ask("acm", "list_tags_for_certificate", CertificateArn=id)["Tags"],
        "ValidationMethod": options[0]["ValidationMethod"],
    }


def record(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    zone = wanted["HostedZoneId"]
    records = account.ask("route53", "list_resource_record_sets", HostedZoneId=zone)["ResourceRecordSets"]
    which = (id.rstrip("."), wanted["Type"])
    [found] = [each for each in records if (each["Name"].rstrip("."), each["Type"]) == which]
    values = [value["Value"] for value in found.get("ResourceRecords", [])]
    return {**found, "HostedZoneId": zone, "Name": id, "ResourceRecords": values}


EDGE: dict[str, Reader] = {
    "AWS::CertificateManager::Certificate": certificate,
    "AWS::CloudFront::Distribution": distribution,
    "AWS::CloudFront::OriginAccessControl": asked(
        "cloudfront", "get_origin_access_control", "Id", "OriginAccessControl"
    ),
    "AWS::CloudWatch::Alarm": listed("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "AWS::CloudWatch::Dashboard": asked("cloudwatch", "get_dashboard", "DashboardName"),
    "AWS::Route53::RecordSet": record,
    "AWS::WAFv2::IPSet": firewall("ip_set", "IPSet"),
    "AWS::WAFv2::LoggingConfiguration": asked(
        "wafv2", "get_logging_configuration", "ResourceArn", "LoggingConfiguration"
    ),
    "AWS::WAFv2::WebACL": firewall("web_acl", "WebACL"),
    "AWS::WAFv2::WebACLAssociation": firewall_association,
}


# ---- Work in the background


def function(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    answer = account.ask("lambda", "get_function", FunctionName=id)
    found = answer["Configuration"]
    return {**found, "Arn": found["FunctionArn"], **answer.get("Concurrency", {})}


def event_source(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.one("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID", id)
    return {**found, "FunctionName": found["FunctionArn"].rpartition(":")[2]}


def permission(account: Account, id: str, wanted: Mapping[str, Any]) -> Found:
    name = wanted["FunctionName"].rpartition(":")[2]
    document = json.loads(account.ask("lambda", "get_policy", FunctionName=name)["Policy"])
    [found] = [statement for statement in document["Statement"] if statement["Sid"] == id]
    conditions = found.get("Condition", {})
    return {
        "Action": found["Action"],
        "FunctionName": wanted["FunctionName"],
        "Principal": found["Principal"]["Service"],
        "SourceAccount": conditions.get("StringEquals", {}).get("AWS:SourceAccount"),
        "SourceArn": conditions.get("ArnLike", {}).get("AWS:SourceArn"),
    }


def queue(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("sqs", "get_queue_attributes", QueueUrl=id, AttributeNames=["All"])["Attributes"]
    return {**found, "Arn": found["QueueArn"], "QueueName": found["QueueArn"].rpartition(":")[2]}


def policy_of(names: str, read: Reader) -> Reader:
    """A document that several resources share, as the first of them tells it that has another one, if any does."""

    def read_all(account: Account, _: str, wanted: Mapping[str, Any]) -> Found:
        texts = [read(account, id, {}).get("Policy") for id in wanted[names]]
        others = [text for text in texts if [*_unlike(wanted["PolicyDocument"], text)]]
        return {names: wanted[names], "PolicyDocument": (others or texts)[0]}

    return read_all


topic = asked("sns", "get_topic_attributes", "TopicArn", "Attributes")


def stream(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("firehose", "describe_delivery_stream", DeliveryStreamName=id)["DeliveryStreamDescription"]
    return {
        **found,
        "Arn": found["DeliveryStreamARN"],
        "DeliveryStreamEncryptionConfigurationInput": found["DeliveryStreamEncryptionConfiguration"],
        "ExtendedS3DestinationConfiguration": found["Destinations"][0]["ExtendedS3DestinationDescription"],
    }


def event_rule(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    targets = account.ask("events", "list_targets_by_rule", Rule=id)["Targets"]
    return {**account.ask("events", "describe_rule", Name=id), "Targets": targets}


def mail(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    found = account.ask("sesv2", "get_email_identity", EmailIdentity=id)
    rules = {"ConfigurationSetName": found.get("ConfigurationSetName")}
    return {"EmailIdentity": id, "ConfigurationSetAttributes": rules}


def budget(account: Account, id: str, _: Mapping[str, Any]) -> Found:
    named = {"AccountId": account.id, "BudgetName": id}
    told = account.ask("budgets", "describe_notifications_for_budget", **named)["Notifications"]
    found = account.ask("budgets", "describe_budget", **named)["Budget"]
    return {"Budget": found, "NotificationsWithSubscribers": [{"Notification": each} for each in told]}


WORK: dict[str, Reader] = {
    "AWS::Budgets::Budget": budget,
    "AWS::Events::Rule": event_rule,
    "AWS::KinesisFirehose::DeliveryStream": stream,
    "AWS::Lambda::EventSourceMapping": event_source,
    "AWS::Lambda::Function": function,
    "AWS::Lambda::Permission": permission,
    "AWS::SES::ConfigurationSet": asked("sesv2", "get_configuration_set", "ConfigurationSetName"),
    "AWS::SES::EmailIdentity": mail,
    "AWS::SNS::Subscription": asked("sns", "get_subscription_attributes", "SubscriptionArn", "Attributes"),
    "AWS::SNS::Topic": topic,
    "AWS::SNS::TopicPolicy": policy_of("Topics", topic),
    "AWS::SQS::Queue": queue,
    "AWS::SQS::QueuePolicy": policy_of("Queues", queue),
    "AWS::Scheduler::Schedule": asked("scheduler", "get_schedule", "Name"),
}

READERS: Mapping[str, Reader] = {**NETWORK, **COMPUTE, **ACCESS, **DATA, **EDGE, **WORK}
