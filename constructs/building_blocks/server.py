"""One host with a fixed address: the whole application at stage 1, the application without its database at stage 2."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from blueprint.metrics import ARCHIVE_FAILURES, DISK_USED, ERRORS, LATENCY
from blueprint.parts import Protection, SingleServer
from building_blocks.acknowledged import acknowledge
from building_blocks.alerts import alarm, custom_metric


class Server(Construct):
    """A plain instance: replaceable, because what it knows is on the data volume or in a parameter."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: SingleServer,
        environment_name: str,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        security_groups: tuple[ec2.ISecurityGroup, ec2.ISecurityGroup],
        role: iam.IRole,
        image: ec2.IMachineImage,
        boot_script: str,
        release_url: str,
        protection: Protection,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        outer, inner = security_groups
        # No creation signal: a new host waits for the volume that the old one still holds.
        self.instance = ec2.Instance(
            self,
            "Host",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=[subnet]),
            security_group=outer,
            role=role,
            instance_type=ec2.InstanceType(spec.instance_type),
            machine_image=image,
            user_data=ec2.UserData.custom(boot_script),
            block_devices=[root_disk()],
            detailed_monitoring=True,
            disable_api_termination=protection.deletion_protection,
            http_tokens=ec2.HttpTokens.REQUIRED,
            http_put_response_hop_limit=1,
        )
        self.instance.add_security_group(inner)
        # A host that is replaced must go, or it would hold the data volume for ever. One that a later stage no longer
        # has stays, where data is kept, until the runbook of that move has ended it.
        policy = cdk.CfnDeletionPolicy
        self.instance.instance.cfn_options.update_replace_policy = policy.DELETE
        self.instance.instance.cfn_options.deletion_policy = policy.RETAIN if protection.keep_data else policy.DELETE
        if not protection.deletion_protection:
            acknowledge(self.instance, "EC29", because="An environment to try things in must be removable.")
        self.address = ec2.CfnEIP(self, "Address", domain="vpc")
        ec2.CfnEIPAssociation(
            self,
            "AddressOfHost",
            allocation_id=self.address.attr_allocation_id,
            instance_id=self.instance.instance_id,
        )
        self.release_runs = self._follow_releases(release_url)
        self._patch()
        self._alarms(environment_name, alerts)

    def _follow_releases(self, release_url: str) -> ssm.CfnAssociation:
        """A new release reaches the running host: the association runs again when its parameter changes."""
        document = ssm.CfnDocument(
            self,
            "FollowRelease",
            document_type="Command",
            document_format="JSON",
            update_method="NewVersion",
            content={
                "schemaVersion": "2.2",
                "description": "Run the release that the parameter names; go back when it does not answer",
                "parameters": {"Release": {"type": "String", "description": "Only to see it in the history"}},
                "mainSteps": [
                    {
                        "action": "aws:runShellScript",
                        "name": "follow",
                        # It may be called before the first boot has begun, which reads the parameter itself.
                        "inputs": {
                            "timeoutSeconds": "600",
                            "runCommand": ["[ ! -e /opt/shop/boot.sh ] || /opt/shop/boot.sh release"],
                        },
                    }
                ],
            },
        )
        return ssm.CfnAssociation(
            self,
            "RunRelease",
            name=document.ref,
            targets=[self._this_host()],
            parameters={"Release": [release_url]},
        )

    def _patch(self) -> None:
        """Security updates in place, every Sunday at 4 (UTC); the image is changed by hand, with a plan."""
        ssm.CfnAssociation(
            self,
            "Patches",
            name="AWS-RunPatchBaseline",
            targets=[self._this_host()],
            parameters={"Operation": ["Install"], "RebootOption": ["RebootIfNeeded"]},
            schedule_expression="cron(0 4 ? * SUN *)",
            apply_only_at_cron_interval=True,  # not at once: it would restart the host in the middle of its first boot
        )

    def _this_host(self) -> ssm.CfnAssociation.TargetProperty:
        return ssm.CfnAssociation.TargetProperty(key="InstanceIds", values=[self.instance.instance_id])

    def _alarms(self, environment_name: str, alerts: sns.ITopic) -> None:
        def own(name: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="AWS/EC2",
                metric_name=name,
                dimensions_map={"InstanceId": self.instance.instance_id},
                statistic="Maximum",
                period=cdk.Duration.minutes(1),
            )

        broken = alarm(
            self,
            "HardwareFailed",
            metric=own("StatusCheckFailed_System"),
            threshold=1,
            minutes=2,
            meaning="The machine under the host failed; EC2 moves the host to another one",
            alerts=alerts,
        )
        broken.add_alarm_action(actions.Ec2Action(actions.Ec2InstanceAction.RECOVER))
        alarm(
            self,
            "HostFailed",
            metric=own("StatusCheckFailed_Instance"),
            threshold=1,
            minutes=3,
            meaning="The host does not answer the network: everything is down",
            alerts=alerts,
        )
        alarm(
            self,
            "Errors",
            metric=custom_metric(ERRORS, environment=environment_name, statistic="Sum"),
            threshold=5,
            minutes=3,
            meaning="Visitors get errors: five or more a minute",
            alerts=alerts,
        )
        alarm(
            self,
            "Slow",
            metric=custom_metric(LATENCY, environment=environment_name, statistic="p99"),
            threshold=1_000,
            minutes=5,
            meaning="One request in a hundred takes longer than a second",
            alerts=alerts,
        )
        alarm(
            self,
            "DiskFull",
            metric=custom_metric(DISK_USED, environment=environment_name, statistic="Maximum"),
            threshold=80,
            minutes=5,
            meaning="A disk is 80 % full: grow the volume before PostgreSQL stops",
            alerts=alerts,
        )
        # PostgreSQL tries again at least once a minute. A single failure is the network; five are a backup that stands.
        alarm(
            self,
            "NotArchived",
            metric=custom_metric(ARCHIVE_FAILURES, environment=environment_name, statistic="Sum"),
            threshold=1,
            minutes=5,
            meaning="The bucket has taken nothing of the database's archive for five minutes; the volume fills up",
            alerts=alerts,
        )


def root_disk() -> ec2.BlockDevice:
    """A host's own disk: nothing on it is worth keeping.

    It uses AWS's own key: Auto Scaling may not use ours without a grant for a role that not every account has.
    20 GiB hold the system, three releases and a week of logs.
    """
    return ec2.BlockDevice(
        device_name="/dev/xvda",
        volume=ec2.BlockDeviceVolume.ebs(20, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3),
    )
