"""Rules about the machines: how people reach them, what they outlive, how they are replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from blueprint.parts import Stage
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import Resource, System, dig, items, leaves, number
from workbench.templates.rights import statements_of

HOSTS = ("AWS::EC2::Instance", "AWS::EC2::LaunchTemplate", "AWS::AutoScaling::LaunchConfiguration")
ROOT_DISKS = ("/dev/xvda", "/dev/sda1")
SESSION_MANAGER = {
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
OTHER_WAYS_IN = ("AWS::EC2::InstanceConnectEndpoint", "AWS::EC2::ClientVpnEndpoint", "AWS::EC2::KeyPair")
KEPT = ("Retain", "Snapshot")


def has_server(stage: Stage) -> bool:
    return stage.server is not None


def has_fleet(stage: Stage) -> bool:
    return stage.fleet is not None


def settings(host: Resource) -> Mapping[str, Any]:
    """A host's settings, wherever its type keeps them."""
    found: Mapping[str, Any] = host.get("LaunchTemplateData", host.properties)
    return found


def hosts(system: System) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    """Every description of a host, an instance with what its launch template adds."""
    for host in system.of_type(*HOSTS):
        template = system.target(host.get("LaunchTemplate"), "AWS::EC2::LaunchTemplate")
        yield host, {**(settings(template) if template else {}), **settings(host)}


@rule(
    "HA01",
    "No key pairs",
    why="A key that lies on a laptop is access that nobody can see, take back or log.",
    fix="Remove KeyName; use Session Manager.",
    source="AWS FSBP, Systems Manager Session Manager",
)
def key_pairs(system: System, _: Wanted) -> Verdicts:
    for host, its in hosts(system):
        yield host, "names a key pair" if "KeyName" in its else None
    for resource in system.of_type("AWS::EC2::KeyPair"):
        yield resource, "is a key pair"


@rule(
    "HA03",
    "Instance metadata version 2, one hop",
    why="Version 1 hands the host's role to whoever can make the application fetch a URL.",
    fix="MetadataOptions: HttpTokens required, HttpPutResponseHopLimit 1.",
    source="AWS FSBP EC2.8, EC2.170",
)
def metadata(system: System, _: Wanted) -> Verdicts:
    for host, its in hosts(system):
        options = its.get("MetadataOptions", {})
        if options.get("HttpEndpoint") == "disabled":
            yield host, None
            continue
        yield host, None if options.get("HttpTokens") == "required" else "does not demand a token for metadata"
        hops = options.get("HttpPutResponseHopLimit")
        yield host, None if number(hops) == 1 else f"lets metadata travel {hops or 'an unknown number of'} hops"


@rule(
    "HA04",
    "Session Manager is the way in, and the only one",
    why="Sessions are authorised by IAM, logged, and need no open port.",
    fix="Give the host's role the Session Manager actions; remove other ways in.",
    source="AWS FSBP SSM.1",
)
def session_manager(system: System, _: Wanted) -> Verdicts:
    for host, its in hosts(system):
        profile = its.get("IamInstanceProfile")
        profile_resource = system.target(profile, "AWS::IAM::InstanceProfile")
        role = profile_resource and system.target(profile_resource.get("Roles"), "AWS::IAM::Role")
        if role is None:
            yield host, None if "LaunchTemplate" in host.properties and profile is None else "has no role"
            continue
        allowed = {
            action
            for statement in statements_of(system, role)
            if statement.get("Effect") == "Allow"
            for action in items(statement.get("Action"))
        }
        managed = any(
            "AmazonSSMManagedInstanceCore" in str(value) for _, value in leaves(role.get("ManagedPolicyArns"))
        )
        missing = set() if managed else SESSION_MANAGER - allowed
        yield host, f"cannot open a session: its role lacks {', '.join(sorted(missing))}" if missing else None
        other = sorted(action for action in allowed if str(action).startswith("ec2-instance-connect:"))
        if other:
            yield host, f"can be entered another way: {', '.join(other)}"
    for resource in system.of_type(*OTHER_WAYS_IN):
        yield resource, "is another way in"


@rule(
    "TR01-data",
    "Data of the host outlives the host",
    why="A new image replaces the host; with the data on its own disk, the data goes with it.",
    fix="Keep data on a volume of its own, retained and backed up, in an older stack; let the boot script attach it.",
    source="aws-cdk issues 5675, 13925, 15541",
    expected=has_server,
)
def data_volume(system: System, wanted: Wanted) -> Verdicts:
    volumes = system.of_type("AWS::EC2::Volume")
    for volume in volumes:
        replaced, removed = (volume.body.get(policy) for policy in ("UpdateReplacePolicy", "DeletionPolicy"))
        yield volume, None if replaced in KEPT else "is lost when it is replaced"
        if wanted.protection.keep_data:
            yield volume, None if removed in KEPT else "is lost when its template no longer has it"
            yield volume, None if _backed_up(system, volume) else "is in no backup plan"
    for host in system.of_type("AWS::EC2::Instance"):
        disks = [dig(disk, "DeviceName") for disk in items(host.get("BlockDeviceMappings"))]
        own = [disk for disk in disks if disk not in ROOT_DISKS]
        yield host, f"keeps data on disks that die with it: {own}" if own else None
        yield host, None if volumes else "has no data volume"
        if any(volume.stack is host.stack for volume in volumes):
            yield host, "shares a stack with its data volume"
        if host.get("Volumes"):
            yield host, "attaches the volume itself, so a new host waits for the old one for ever"
    for attachment in system.of_type("AWS::EC2::VolumeAttachment"):
        yield attachment, "attaches the volume before the old host lets go of it, and a replacement never ends"


def _backed_up(system: System, volume: Resource) -> bool:
    tags = {(tag.get("Key"), str(tag.get("Value"))) for tag in items(volume.get("Tags"))}
    for selection in system.of_type("AWS::Backup::BackupSelection"):
        chosen = selection.get("BackupSelection", {})
        if volume in system.targets(chosen.get("Resources")):
            return True
        wanted = [(tag.get("ConditionKey"), str(tag.get("ConditionValue"))) for tag in items(chosen.get("ListOfTags"))]
        if any(tag in tags for tag in wanted):
            return True
        # Stack tags reach every resource of the environment without standing in its template.
        equals = dig(chosen, "Conditions.StringEquals")
        if any(arn == "*" or ":volume/*" in str(arn) for arn in items(chosen.get("Resources"))):
            return not equals or any(
                (str(each.get("ConditionKey")).removeprefix("aws:ResourceTag/"), str(each.get("ConditionValue")))
                in tags
                for each in items(equals)
            )
    return False


@rule(
    "TR01-image",
    "A deployment does not pick a new machine image by itself",
    why="`latest` is looked up at each deployment, and a new image replaces the host although nothing changed here.",
    fix="Pin the image in the environment file.",
    source="aws-cdk issues 5675, 13925, 15541",
)
def image(system: System, wanted: Wanted) -> Verdicts:
    for host, its in hosts(system):
        chosen = its.get("ImageId")
        pinned = isinstance(chosen, str) and chosen.startswith("ami-")
        yield host, None if pinned or not wanted.protection.keep_data else "takes whatever image is newest"


@rule(
    "TR07",
    "The fleet rolls and heals by itself",
    why="Without these a group keeps sick hosts, never rolls out a new template, or undoes what scaling decided.",
    fix="Launch template, ELB health check with grace, instance refresh with alarms, signals, no DesiredCapacity.",
    source="AWS FSBP AutoScaling.1, AutoScaling.2, AutoScaling.9; CloudFormation UpdatePolicy",
    expected=has_fleet,
)
def fleet(system: System, _: Wanted) -> Verdicts:
    for group in system.of_type("AWS::AutoScaling::AutoScalingGroup"):
        for problem in _fleet_problems(system, group):
            yield group, problem
        yield group, None


def _fleet_problems(system: System, group: Resource) -> Iterator[str]:
    if "LaunchTemplate" not in group.properties and not group.get("MixedInstancesPolicy.LaunchTemplate"):
        yield "has no launch template"
    if "ELB" not in str(group.get("HealthCheckType", "")):
        yield "does not hear the load balancer's health check"
    if number(group.get("HealthCheckGracePeriod")) < 120:
        yield "gives a booting host less than two minutes"
    if "DesiredCapacity" in group.properties:
        yield "sets DesiredCapacity, which undoes scaling at each deployment"
    if not group.get("TargetGroupARNs"):
        yield "is behind no load balancer"
    if len(items(group.get("VPCZoneIdentifier"))) < 2:
        yield "is in fewer than two zones"
    if number(group.get("MinSize")) < 2:
        yield "does not survive a host: its minimum is below two"
    if number(group.get("MaxSize")) <= number(group.get("MinSize")):
        yield "cannot grow"
    if not system.users(group, "AWS::AutoScaling::ScalingPolicy", "AutoScalingGroupName"):
        yield "has no scaling policy"
    if not dig(group.body, "CreationPolicy.ResourceSignal.Count"):
        yield "does not wait for its first hosts to answer"
    refresh = dig(group.body, "UpdatePolicy.AutoScalingInstanceRefresh")
    if refresh is None:
        yield "does not roll its hosts when the template changes"
        return
    preferences = dig(refresh, "Preferences", {})
    if number(preferences.get("MinHealthyPercentage"), -1) != 100:
        yield "lets healthy hosts go during a refresh"
    if not 100 < number(preferences.get("MaxHealthyPercentage")) <= 120:
        yield "does not bound the surplus of a refresh at 120 %"
    if number(preferences.get("BakeTime")) <= 0:
        yield "does not watch new hosts before it goes on"
    if not dig(refresh, "Preferences.AlarmSpecification.Alarms"):
        yield "refreshes without an alarm that could stop it"


RULES = (key_pairs, metadata, session_manager, data_volume, image, fleet)
