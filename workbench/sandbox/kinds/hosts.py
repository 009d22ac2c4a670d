"""Hosts of EC2 and their disks, and the fleets of Auto Scaling. Moto keeps what AWS takes away when a host ends."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moto.core.types import Base64EncodedString

from workbench.sandbox.kinds.calls import call, inside, is_true, remove
from workbench.sandbox.kinds.kind import Aws, Kind, Made, NotInPlace, Refused, Wanted
from workbench.sandbox.kinds.network import EC2_TAGS
from workbench.sandbox.kinds.row import Row, Setting

# What a group reports about itself when a template does not choose.
_GROUP_METRICS = [
    *(f"Group{what}" for what in ("MinSize", "MaxSize", "DesiredCapacity")),
    *(
        f"Group{state}{unit}"
        for state in ("InService", "Pending", "Standby", "Terminating", "Total")
        for unit in ("Instances", "Capacity")
    ),
]


_NOT_OF_MOTO = "moto has no such setting"


def _to_run(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A host's properties as RunInstances takes them."""
    made = {"MinCount": 1, "MaxCount": 1, **properties}
    if "IamInstanceProfile" in made:
        made["IamInstanceProfile"] = {"Name": made["IamInstanceProfile"]}
    if "Monitoring" in made:
        made["Monitoring"] = {"Enabled": made["Monitoring"]}
    if "UserData" in made:  # boto3 encodes it once more
        made["UserData"] = base64.b64decode(made["UserData"]).decode()
    if "AvailabilityZone" in made:
        made["Placement"] = {"AvailabilityZone": made.pop("AvailabilityZone")}
    made["BlockDeviceMappings"] = [_with_its_host(disk) for disk in made.get("BlockDeviceMappings", [])]
    return made


def _with_its_host(disk: Mapping[str, Any]) -> dict[str, Any]:
    """AWS deletes the disks of a host with it unless told otherwise; moto keeps them."""
    return {**disk, "Ebs": {"DeleteOnTermination": True, **disk["Ebs"]}} if "Ebs" in disk else dict(disk)


def _release(aws: Aws, host: Any) -> None:
    """What AWS gives back when a host ends, and moto keeps: its interfaces, and its place behind load balancers."""
    for interface in list(host.nics.values()):
        for address in [one for one in inside(aws, "ec2").addresses if one.eni is interface]:
            address.eni = address.instance = address.association_id = None
        inside(aws, "ec2").enis.pop(interface.id, None)
    inside(aws, "elbv2").notify_terminate_instances([host.id])


class Host(Row):
    """AWS::EC2::Instance; deleting it ends it, which it may be protected from."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._switch(aws, made.id, wanted)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = before.properties.get("IamInstanceProfile"), after.properties.get("IamInstanceProfile")
        if old != new:
            filters = [{"Name": "instance-id", "Values": [made.id]}]
            used = call(aws, "ec2", "describe_iam_instance_profile_associations", Filters=filters)
            for one in used["IamInstanceProfileAssociations"]:
                call(aws, "ec2", "disassociate_iam_instance_profile", AssociationId=one["AssociationId"])
            if new:
                profile = {"IamInstanceProfile": {"Name": new}, "InstanceId": made.id}
                call(aws, "ec2", "associate_iam_instance_profile", **profile)
        if before.properties.get("BlockDeviceMappings") != after.properties.get("BlockDeviceMappings"):
            raise NotInPlace("BlockDeviceMappings")
        self._switch(aws, made.id, after)
        return super().update(aws, made, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        for host in inside(aws, "ec2").all_instances():
            if host.id == made.id and host.state != "terminated":
                super().delete(aws, made, wanted)
                _release(aws, host)

    def attributes_of(self, aws: Aws, id_: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"PublicDnsName": "", "PublicIp": "", **super().attributes_of(aws, id_, answer)}

    def _switch(self, aws: Aws, id_: str, wanted: Wanted) -> None:
        """Moto has no MonitorInstances, and takes no termination protection when it starts a host."""
        host = inside(aws, "ec2").get_instance(id_)
        host.monitoring_state = "enabled" if is_true(wanted.properties.get("Monitoring")) else "disabled"
        host.disable_api_termination = is_true(wanted.properties.get("DisableApiTermination"))


class Disk(Row):
    """AWS::EC2::Volume."""

    def snapshot(self, aws: Aws, made: Made, wanted: Wanted) -> str:
        """What DeletionPolicy Snapshot leaves behind."""
        text = f"Of {made.id} when it left the stack {wanted.stack}"
        return str(call(aws, "ec2", "create_snapshot", VolumeId=made.id, Description=text)["SnapshotId"])


class HostTemplate(Row):
    """AWS::EC2::LaunchTemplate; a changed template is its next version."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        return self._finish(aws, made, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        names = ("LaunchTemplateData", "VersionDescription")
        if any(before.properties.get(name) != after.properties.get(name) for name in names):
            values = {name: after.properties[name] for name in names if name in after.properties}
            call(aws, "ec2", "create_launch_template_version", values, LaunchTemplateId=made.id)
        made = super().update(aws, made, before, after)
        return self._finish(aws, made, before, after)

    def attributes_of(self, aws: Aws, id_: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {name: str(value) for name, value in super().attributes_of(aws, id_, answer).items()}

    def _finish(self, aws: Aws, made: Made, before: Wanted | None, after: Wanted) -> Made:
        EC2_TAGS.change(aws, "ec2", made, self._with_tags(before) if before else None, self._with_tags(after))
        template = inside(aws, "ec2").launch_templates[made.id]
        template.tags = template.get_tags()  # moto looks at them once only
        data = template.latest_version().data
        if isinstance(data.get("UserData"), str) and not isinstance(data["UserData"], Base64EncodedString):
            data["UserData"] = Base64EncodedString(data["UserData"])  # as moto does in the first version
        return made

    def _with_tags(self, wanted: Wanted) -> Wanted:
        """With its own tags where other resources have them."""
        groups = wanted.properties.get("TagSpecifications", [])
        own = [tag for group in groups if group["ResourceType"] == "launch-template" for tag in group["Tags"]]
        return replace(wanted, properties={"Tags": own})


class Fleet:
    """AWS::AutoScaling::AutoScalingGroup; its hosts come and go with it."""

    forgets: Mapping[str, str] = {
        "DefaultInstanceWarmup": _NOT_OF_MOTO,
        "InstanceMaintenancePolicy": _NOT_OF_MOTO,
        "NotificationConfigurations": f"{_NOT_OF_MOTO}: nobody is told of hosts that come and go",
    }
    _ELSEWHERE = ("LifecycleHookSpecificationList", "MetricsCollection", "Tags")
    _SIZES = ("DesiredCapacity", "MaxSize", "MinSize")
    _RENAMED: Mapping[str, str] = {"Cooldown": "DefaultCooldown"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("AutoScalingGroupName") or wanted.name(255)
        members = {"AutoScalingGroupName": name, "Tags": self._tags(name, wanted)}
        call(aws, "autoscaling", "create_auto_scaling_group", self._fitting(wanted), self._RENAMED, **members)
        return self._finish(aws, name, {}, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = self._fitting(before), self._fitting(after)
        old_targets, new_targets = old.pop("TargetGroupARNs", []), new.pop("TargetGroupARNs", [])
        for operation, one, other in (("attach", new_targets, old_targets), ("detach", old_targets, new_targets)):
            if arns := [arn for arn in one if arn not in other]:
                members = {"AutoScalingGroupName": made.id, "TargetGroupARNs": arns}
                call(aws, "autoscaling", f"{operation}_load_balancer_target_groups", **members)
        if old != new:
            # The sizes that a policy or a person chose stay, unless the template chooses others.
            kept = {name: value for name, value in new.items() if name not in self._SIZES or old.get(name) != value}
            call(aws, "autoscaling", "update_auto_scaling_group", kept, self._RENAMED, AutoScalingGroupName=made.id)
        tags, gone = self._tags(made.id, after), before.all_tags().keys() - after.all_tags().keys()
        if gone:
            call(aws, "autoscaling", "delete_tags", Tags=[_of_group(made.id, Key=key) for key in sorted(gone)])
        call(aws, "autoscaling", "create_or_update_tags", Tags=tags)
        return self._finish(aws, made.id, before.properties, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        backend = inside(aws, "autoscaling")
        group = backend.autoscaling_groups.get(made.id)
        if group is not None:
            hosts = [state.instance for state in group.instance_states]
            for state in group.instance_states:
                state.protected_from_scale_in = False
            call(aws, "autoscaling", "delete_auto_scaling_group", AutoScalingGroupName=made.id, ForceDelete=True)
            for host in hosts:
                _release(aws, host)
            for hook in call(aws, "autoscaling", "describe_lifecycle_hooks", AutoScalingGroupName=made.id)[
                "LifecycleHooks"
            ]:
                members = {"AutoScalingGroupName": made.id, "LifecycleHookName": hook["LifecycleHookName"]}
                call(aws, "autoscaling", "delete_lifecycle_hook", **members)

    def _fitting(self, wanted: Wanted) -> dict[str, Any]:
        left_out = {*self.forgets, *self._ELSEWHERE, "AutoScalingGroupName"}
        made = {name: value for name, value in wanted.properties.items() if name not in left_out}
        if "VPCZoneIdentifier" in made:
            made["VPCZoneIdentifier"] = ",".join(made["VPCZoneIdentifier"])
        return made

    def _tags(self, name: str, wanted: Wanted) -> list[dict[str, Any]]:
        """CloudFormation hands a stack's tags on to the hosts; the group's own say themselves whether it does."""
        stays = {tag["Key"] for tag in wanted.properties.get("Tags", []) if not is_true(tag["PropagateAtLaunch"])}
        return [
            _of_group(name, Key=key, Value=value, PropagateAtLaunch=key not in stays)
            for key, value in wanted.all_tags().items()
        ]

    def _finish(self, aws: Aws, name: str, old: Mapping[str, Any], wanted: Wanted) -> Made:
        hooks = wanted.properties.get("LifecycleHookSpecificationList", [])
        names = {hook["LifecycleHookName"] for hook in hooks}
        for hook in hooks:
            call(aws, "autoscaling", "put_lifecycle_hook", hook, AutoScalingGroupName=name)
        for hook in old.get("LifecycleHookSpecificationList", []):
            if hook["LifecycleHookName"] not in names:
                members = {"AutoScalingGroupName": name, "LifecycleHookName": hook["LifecycleHookName"]}
                call(aws, "autoscaling", "delete_lifecycle_hook", **members)
        group = inside(aws, "autoscaling").autoscaling_groups[name]
        metrics = [one.get("Metrics", _GROUP_METRICS) for one in wanted.properties.get("MetricsCollection", [])]
        group.metrics = sorted({metric for some in metrics for metric in some})  # moto cannot turn them off again
        self._as_templated(aws, group)
        return Made(name, {"AutoScalingGroupARN": group.arn})

    def _as_templated(self, aws: Aws, group: Any) -> None:
        """Moto starts a group's hosts with little of the template, and keeps their disks when they end."""
        if group.ec2_launch_template is None:
            return
        data = group.ec2_launch_template.get_version(group.launch_template_version).data
        interfaces = data.get("NetworkInterfaces") or [{}]
        ids = data.get("SecurityGroupIds") or interfaces[0].get("Groups") or []
        for state in group.instance_states:
            host = state.instance
            for disk in host.block_device_mapping.values():
                disk.delete_on_termination = True
            if ids:
                call(aws, "ec2", "modify_instance_attribute", InstanceId=host.id, Groups=ids)


def _of_group(name: str, **tag: Any) -> dict[str, Any]:
    return {"ResourceId": name, "ResourceType": "auto-scaling-group", **tag}


class ScalingPolicy:
    """AWS::AutoScaling::ScalingPolicy."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, wanted.name(255), wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties["AutoScalingGroupName"] != after.properties["AutoScalingGroupName"]:
            raise NotInPlace("AutoScalingGroupName")
        return self._put(aws, made.attributes["PolicyName"], after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "autoscaling", "delete_policy", PolicyName=made.attributes["PolicyName"])

    def _put(self, aws: Aws, name: str, wanted: Wanted) -> Made:
        group = wanted.properties["AutoScalingGroupName"]
        if group not in inside(aws, "autoscaling").autoscaling_groups:
            raise Refused(f"Group {group} not found")
        call(aws, "autoscaling", "put_scaling_policy", wanted.properties, PolicyName=name)
        arn = inside(aws, "autoscaling").policies[name].arn  # which moto does not answer
        return Made(arn, {"Arn": arn, "PolicyName": name})


HOSTS: dict[str, Kind] = {
    "AWS::AutoScaling::AutoScalingGroup": Fleet(),
    "AWS::AutoScaling::ScalingPolicy": ScalingPolicy(),
    "AWS::EC2::Instance": Host(
        "ec2",
        "run_instances",
        id="Instances[0].InstanceId",
        delete_with="terminate_instances",
        key="InstanceId",
        delete_list="InstanceIds",
        arguments=_to_run,
        describe_with="describe_instances",
        describe_by="InstanceIds",
        attributes={
            name: f"Reservations[0].Instances[0].{path}"
            for name, path in {
                "AvailabilityZone": "Placement.AvailabilityZone",
                "InstanceId": "InstanceId",
                "PrivateDnsName": "PrivateDnsName",
                "PrivateIp": "PrivateIpAddress",
                "PublicDnsName": "PublicDnsName",
                "PublicIp": "PublicIpAddress",
                "VpcId": "VpcId",
            }.items()
        },
        settings=(
            Setting(
                "modify_instance_attribute",
                ("InstanceType",),
                lambda values: {"InstanceType": {"Value": values["InstanceType"]}},
            ),
            Setting(
                "modify_instance_attribute",
                ("SecurityGroupIds",),
                lambda values: {"Groups": values["SecurityGroupIds"]},
            ),
            Setting(
                "modify_instance_attribute",
                ("SourceDestCheck",),
                lambda values: {"SourceDestCheck": {"Value": values["SourceDestCheck"]}},
            ),
            Setting(
                "modify_instance_attribute",
                ("UserData",),
                lambda values: {"UserData": {"Value": values["UserData"].encode()}},  # moto decodes it once too often
            ),
            Setting("modify_instance_metadata_options", ("MetadataOptions",), lambda values: values["MetadataOptions"]),
        ),
        defaults={"SourceDestCheck": True},
        tagging=EC2_TAGS,
        elsewhere=(
            "AvailabilityZone",
            "BlockDeviceMappings",
            "DisableApiTermination",
            "IamInstanceProfile",
            "Monitoring",
        ),
    ),
    "AWS::EC2::LaunchTemplate": HostTemplate(
        "ec2",
        "create_launch_template",
        id="LaunchTemplate.LaunchTemplateId",
        delete_with="delete_launch_template",
        key="LaunchTemplateId",
        named="LaunchTemplateName",
        longest=128,
        arguments=lambda properties: {name: value for name, value in properties.items() if name != "TagSpecifications"},
        describe_with="describe_launch_templates",
        describe_by="LaunchTemplateIds",
        attributes={
            name: f"LaunchTemplates[0].{name}"
            for name in ("DefaultVersionNumber", "LatestVersionNumber", "LaunchTemplateId")
        },
        elsewhere=("LaunchTemplateData", "TagSpecifications", "VersionDescription"),
    ),
    "AWS::EC2::Volume": Disk(
        "ec2",
        "create_volume",
        id="VolumeId",
        delete_with="delete_volume",
        key="VolumeId",
        attributes={"VolumeId": "VolumeId"},
        settings=(Setting("modify_volume", ("Iops", "MultiAttachEnabled", "Size", "Throughput", "VolumeType")),),
        tagging=EC2_TAGS,
    ),
}
