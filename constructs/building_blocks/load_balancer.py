"""The front door of a fleet: spreads requests, asks each host for its health, and refuses what is not for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.alerts import alarm
from building_blocks.network import PUBLIC
from building_blocks.tiers import APP_PORT

HEALTH_PATH = "/healthz"
# What hosts tell each other and their operators is nobody else's business.
INTERNAL_PATHS = ("/readyz", "/metrics", "/internal/*")
ORIGIN_HEADER = "X-Origin-Verify"


@dataclass(frozen=True)
class Admission:
    """Which requests the load balancer forwards: all, or only those for its own names, or only the edge's."""

    host_names: tuple[str, ...] = ()
    origin_keys: tuple[str, ...] = ()


class LoadBalancer(Construct):
    """An application load balancer in the public subnets with one target group."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        access_logs: s3.IBucket,
        certificate: acm.ICertificate | None,
        admission: Admission,
        protection: Protection,
        alerts: sns.ITopic,
        subnets: ec2.SubnetSelection = PUBLIC,
    ) -> None:
        super().__init__(scope, construct_id)
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            vpc_subnets=subnets,
            internet_facing=True,
            security_group=security_group,
            deletion_protection=protection.deletion_protection,
            drop_invalid_header_fields=True,
            desync_mitigation_mode=elb.DesyncMitigationMode.DEFENSIVE,
        )
        # Attributes instead of log_access_logs(): that would write into the bucket's policy from here.
        for name, value in {
            "access_logs.s3.enabled": "true",
            "access_logs.s3.bucket": access_logs.bucket_name,
            "access_logs.s3.prefix": "load-balancer",
        }.items():
            self.balancer.set_attribute(name, value)
        # A request is finished before a host leaves: 30 s is more than the slowest takes. The host with the fewest
        # open requests gets the next one, so a slow host gets fewer.
        self.targets = elb.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=vpc,
            port=APP_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.INSTANCE,
            deregistration_delay=cdk.Duration.seconds(30),
            load_balancing_algorithm_type=elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
            health_check=elb.HealthCheck(
                path=HEALTH_PATH,
                interval=cdk.Duration.seconds(10),
                timeout=cdk.Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
                healthy_http_codes="200",
            ),
        )
        self._listen(certificate, admission)
        self._alarms(alerts)

    def _listen(self, certificate: acm.ICertificate | None, admission: Admission) -> None:
        refused = elb.ListenerAction.fixed_response(
            403 if admission.origin_keys else 404, content_type="text/plain", message_body="Nothing here"
        )
        forward = elb.ListenerAction.forward([self.targets])
        conditions = self._conditions(admission)
        if certificate is None:
            self.listener = self.balancer.add_listener(
                "Http", port=80, open=False, default_action=refused if conditions else forward
            )
        else:
            self.balancer.add_listener(
                "Http",
                port=80,
                open=False,
                default_action=elb.ListenerAction.redirect(port="443", protocol="HTTPS", permanent=True),
            )
            self.listener = self.balancer.add_listener(
                "Https",
                port=443,
                open=False,
                certificates=[certificate],
                ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
                default_action=refused if conditions else forward,
            )
        self.listener.add_action(
            "Internal",
            priority=10,
            conditions=[elb.ListenerCondition.path_patterns(list(INTERNAL_PATHS))],
            action=elb.ListenerAction.fixed_response(404, content_type="text/plain", message_body="Nothing here"),
        )
        if conditions:
            self.listener.add_action("Admitted", priority=20, conditions=conditions, action=forward)

    @staticmethod
    def _conditions(admission: Admission) -> Sequence[elb.ListenerCondition]:
        conditions = []
        if admission.host_names:
            conditions.append(elb.ListenerCondition.host_headers(list(admission.host_names)))
        if admission.origin_keys:
            conditions.append(elb.ListenerCondition.http_header(ORIGIN_HEADER, list(admission.origin_keys)))
        return conditions

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """What the load balancer measures, of all its traffic."""
        return self._metric(name, statistic, {"LoadBalancer": self.balancer.load_balancer_full_name})

    def target_metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """What the load balancer measures of the hosts behind it."""
        # Built from both names, because CDK's own metrics split a listener's ARN, which no younger stack can read.
        names = {
            "LoadBalancer": self.balancer.load_balancer_full_name,
            "TargetGroup": self.targets.target_group_full_name,
        }
        return self._metric(name, statistic, names)

    @staticmethod
    def _metric(name: str, statistic: str, dimensions: dict[str, str]) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/ApplicationELB",
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=cdk.Duration.minutes(1),
        )

    def _alarms(self, alerts: sns.ITopic) -> None:
        self.errors = alarm(
            self,
            "Errors",
            metric=self.target_metric("HTTPCode_Target_5XX_Count", "Sum"),
            threshold=10,
            minutes=3,
            meaning="Visitors get errors from the application: ten or more a minute",
            alerts=alerts,
        )
        self.slow = alarm(
            self,
            "Slow",
            metric=self.target_metric("TargetResponseTime", "p99"),
            threshold=1,
            minutes=5,
            meaning="One request in a hundred takes longer than a second",
            alerts=alerts,
        )
        alarm(
            self,
            "NoHostAnswers",
            metric=self.metric("HTTPCode_ELB_503_Count", "Sum"),
            threshold=1,
            minutes=2,
            meaning="The load balancer has no healthy host to send requests to",
            alerts=alerts,
        )
        alarm(
            self,
            "HostsUnhealthy",
            metric=self.target_metric("UnHealthyHostCount", "Minimum"),
            threshold=1,
            minutes=10,
            meaning="A host has failed its health check for ten minutes and was not replaced",
            alerts=alerts,
        )
