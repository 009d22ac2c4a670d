"""Interchangeable hosts: as many as the load asks for, replaced when sick, rolled when the release changes."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Fleet as FleetSpec
from building_blocks.load_balancer import LoadBalancer
from building_blocks.network import APP
from building_blocks.server import root_disk

# Packages, release and first answer take about three minutes on a t4g.medium; five leave room for a slow mirror.
BOOT = cdk.Duration.minutes(5)
HOOK = "answers"


class Fleet(Construct):
    """An Auto Scaling group in the private subnets, behind a load balancer."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: FleetSpec,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        role: iam.IRole,
        image: ec2.IMachineImage,
        boot_script: str,
        front: LoadBalancer,
        subnets: ec2.SubnetSelection = APP,
    ) -> None:
        super().__init__(scope, construct_id)
        user_data = ec2.UserData.for_linux()
        template = ec2.LaunchTemplate(
            self,
            "Template",
            machine_image=image,
            instance_type=ec2.InstanceType(spec.instance_type),
            role=role,
            security_group=security_group,
            user_data=user_data,
            block_devices=[root_disk()],
            detailed_monitoring=True,
            http_tokens=ec2.LaunchTemplateHttpTokens.REQUIRED,
            http_put_response_hop_limit=1,
            associate_public_ip_address=False,
        )
        self.group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            vpc=vpc,
            vpc_subnets=subnets,
            launch_template=template,
            min_capacity=spec.minimum,
            max_capacity=spec.maximum,  # no desired capacity: a deployment would undo what scaling decided
            health_checks=autoscaling.HealthChecks.with_additional_checks(
                additional_types=[autoscaling.AdditionalHealthCheckType.ELB], grace_period=BOOT
            ),
            signals=autoscaling.Signals.wait_for_min_capacity(timeout=cdk.Duration.minutes(15)),
            # New hosts first, then the old ones go; back to the old template when visitors notice.
            update_policy=autoscaling.UpdatePolicy.instance_refresh(
                strategy=autoscaling.InstanceRefreshStrategy.ROLLING,
                min_healthy_percentage=100,
                max_healthy_percentage=120,
                instance_warmup=BOOT,
                bake_time=cdk.Duration.minutes(5),
                alarms=[front.errors, front.slow],
            ),
            default_instance_warmup=BOOT,
            min_healthy_percentage=100,  # a sick host goes only after its successor answers
            max_healthy_percentage=120,
            group_metrics=[autoscaling.GroupMetrics.all()],
            notifications=[autoscaling.NotificationConfiguration(topic=self._history())],
        )
        self.group.attach_to_application_target_group(front.targets)
        self._admit_only_hosts_that_answer()
        # What the host needs to say that it answers: its stack, its group there, and the hook.
        user_data.add_commands(
            f"export SHOP_STACK={cdk.Stack.of(self).stack_name}",
            f"export SHOP_GROUP={cdk.Stack.of(self).resolve(self._resource.logical_id)}",
            f"export SHOP_HOOK={HOOK}",
            boot_script,
        )
        self.group.scale_on_cpu_utilization("Cpu", target_utilization_percent=spec.cpu_target_percent)
        self.group.scale_on_request_count("Requests", target_requests_per_minute=spec.requests_per_target)

    @property
    def _resource(self) -> autoscaling.CfnAutoScalingGroup:
        resource = self.group.node.default_child
        assert isinstance(resource, autoscaling.CfnAutoScalingGroup)
        return resource

    def _admit_only_hosts_that_answer(self) -> None:
        """A new host waits outside until its boot script says that the application answers, or is given up.

        An instance refresh does not listen to creation signals, so this hook is what holds a bad release back; the
        signals only make the first deployment wait. Part of the group, so that it catches the very first hosts too.
        """
        self._resource.lifecycle_hook_specification_list = [
            autoscaling.CfnAutoScalingGroup.LifecycleHookSpecificationProperty(
                lifecycle_hook_name=HOOK,
                lifecycle_transition="autoscaling:EC2_INSTANCE_LAUNCHING",
                heartbeat_timeout=900,
                default_result="ABANDON",
            )
        ]
        cdk.Validations.of(self.group).acknowledge(
            cdk.Acknowledgment(
                id="Annotation::@aws-cdk/aws-autoscaling:signalsNotUsedByInstanceRefresh",
                reason="The lifecycle hook verifies readiness during a refresh; signals serve the first deployment.",
            )
        )

    def _history(self) -> sns.Topic:
        """Launches and terminations. AWS's own key: the service that sends them may not use ours."""
        return sns.Topic(
            self,
            "History",
            display_name="Hosts come and go",
            enforce_ssl=True,
            master_key=kms.Alias.from_alias_name(self, "SnsKey", "alias/aws/sns"),
        )
