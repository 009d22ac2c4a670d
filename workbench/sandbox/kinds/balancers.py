"""Elastic Load Balancing. Moto deletes protected load balancers, and never gives certificates back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import call, inside, is_true
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted
from workbench.sandbox.kinds.row import Row, Setting, Tagging


def _attributes(of: str) -> Setting:
    name = {"load_balancer": "LoadBalancerAttributes", "target_group": "TargetGroupAttributes"}[of]
    return Setting(f"modify_{of}_attributes", (name,), lambda values: {"Attributes": values[name]})


class Balancing(Row):
    """A load balancer or target group, which alarms know by the last part of the ARN."""

    def attributes_of(self, aws: Aws, id_: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        name = "LoadBalancerFullName" if ":loadbalancer/" in id_ else "TargetGroupFullName"
        full = id_.split(":", 5)[5].removeprefix("loadbalancer/")
        return super().attributes_of(aws, id_, answer) | {name: full}

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        balancer = inside(aws, "elbv2").load_balancers.get(made.id)
        if balancer is not None and is_true(balancer.attrs.get("deletion_protection.enabled")):
            raise Refused(f"Load balancer '{made.id}' cannot be deleted because deletion protection is enabled")
        super().delete(aws, made, wanted)


class Listener(Row):
    """AWS::ElasticLoadBalancingV2::Listener; its certificates are free again when it does not use them."""

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        made = super().update(aws, made, before, after)
        if before.properties.get("Certificates") != after.properties.get("Certificates"):
            self._leave_certificates(aws, made)
            kept = {one["CertificateArn"] for one in after.properties.get("Certificates", [])}
            for certificate in inside(aws, "acm")._certificates.values():
                if certificate.arn in kept:
                    certificate.in_use_by.append(made.id)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        super().delete(aws, made, wanted)
        self._leave_certificates(aws, made)

    def _leave_certificates(self, aws: Aws, made: Made) -> None:
        for certificate in inside(aws, "acm")._certificates.values():
            certificate.in_use_by = [user for user in certificate.in_use_by if user != made.id]


class Rule(Row):
    """AWS::ElasticLoadBalancingV2::ListenerRule."""

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        made = super().update(aws, made, before, after)
        if before.properties["Priority"] != after.properties["Priority"]:
            priorities = [{"RuleArn": made.id, "Priority": int(after.properties["Priority"])}]
            call(aws, "elbv2", "set_rule_priorities", RulePriorities=priorities)
        return made


_ELB_TAGS = Tagging("add_tags", "remove_tags", "ResourceArns", many=True)


_HEALTH = (
    "HealthCheckEnabled",
    "HealthCheckIntervalSeconds",
    "HealthCheckPath",
    "HealthCheckPort",
    "HealthCheckProtocol",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "Matcher",
    "UnhealthyThresholdCount",
)


BALANCERS: dict[str, Kind] = {
    "AWS::ElasticLoadBalancingV2::Listener": Listener(
        "elbv2",
        "create_listener",
        id="Listeners[0].ListenerArn",
        delete_with="delete_listener",
        key="ListenerArn",
        attributes={"ListenerArn": "Listeners[0].ListenerArn"},
        settings=(Setting("modify_listener", ("Certificates", "DefaultActions", "Port", "Protocol", "SslPolicy")),),
        tagging=_ELB_TAGS,
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": Rule(
        "elbv2",
        "create_rule",
        id="Rules[0].RuleArn",
        delete_with="delete_rule",
        key="RuleArn",
        attributes={"RuleArn": "Rules[0].RuleArn", "IsDefault": "Rules[0].IsDefault"},
        settings=(Setting("modify_rule", ("Actions", "Conditions")),),
        elsewhere=("Priority",),
        tagging=_ELB_TAGS,
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Balancing(
        "elbv2",
        "create_load_balancer",
        id="LoadBalancers[0].LoadBalancerArn",
        delete_with="delete_load_balancer",
        key="LoadBalancerArn",
        named="Name",
        longest=32,
        describe_with="describe_load_balancers",
        describe_by="LoadBalancerArns",
        attributes={
            "CanonicalHostedZoneID": "LoadBalancers[0].CanonicalHostedZoneId",
            "DNSName": "LoadBalancers[0].DNSName",
            "LoadBalancerArn": "LoadBalancers[0].LoadBalancerArn",
            "LoadBalancerName": "LoadBalancers[0].LoadBalancerName",
            "SecurityGroups": "LoadBalancers[0].SecurityGroups",
        },
        settings=(
            _attributes("load_balancer"),
            Setting("set_security_groups", ("SecurityGroups",)),
            Setting("set_subnets", ("Subnets",)),
            Setting("set_ip_address_type", ("IpAddressType",)),
        ),
        defaults={"IpAddressType": "ipv4"},
        tagging=_ELB_TAGS,
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": Balancing(
        "elbv2",
        "create_target_group",
        id="TargetGroups[0].TargetGroupArn",
        delete_with="delete_target_group",
        key="TargetGroupArn",
        named="Name",
        longest=32,
        describe_with="describe_target_groups",
        describe_by="TargetGroupArns",
        attributes={
            name: f"TargetGroups[0].{name}" for name in ("LoadBalancerArns", "TargetGroupArn", "TargetGroupName")
        },
        settings=(_attributes("target_group"), Setting("modify_target_group", _HEALTH)),
        tagging=_ELB_TAGS,
    ),
}
