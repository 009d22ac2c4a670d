"""What looks at each request before the shop does, and turns away what no visitor would send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.alerts import alarm

# Cheapest first. Together 1,125 of the 1,500 capacity units that come without extra charge.
RULE_GROUPS = {
    "IpReputation": "AWSManagedRulesAmazonIpReputationList",
    "KnownBadInputs": "AWSManagedRulesKnownBadInputsRuleSet",
    "SqlInjection": "AWSManagedRulesSQLiRuleSet",
    "Common": "AWSManagedRulesCommonRuleSet",
}
# Counted instead of blocked: it stops every body above 8 KiB, and the picture of a product is bigger than that.
ONLY_COUNTED = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
# Whoever reads these could go on as the visitor.
SECRET_HEADERS = ("authorization", "cookie")
# At 10,000 requests a second a log of all would cost more than the shop; what a rule noticed is enough to judge it.
LOGGED = {
    "DefaultBehavior": "DROP",
    "Filters": [
        {
            "Behavior": "KEEP",
            "Requirement": "MEETS_ANY",
            "Conditions": [{"ActionCondition": {"Action": action}} for action in ("BLOCK", "COUNT")],
        }
    ],
}
FIVE_MINUTES = 300


class Firewall(Construct):
    """A web ACL of AWS's managed rules; with a limit, one address gets so many requests in five minutes and no more.

    With `only_from`, nobody else gets in: behind an edge no security group sees who comes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scope_name: Literal["REGIONAL", "CLOUDFRONT"],
        environment_name: str,
        requests_per_five_minutes: int | None,
        key: kms.IKey | None,
        protection: Protection,
        alerts: sns.ITopic | None,
        only_from: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self._stack = cdk.Stack.of(self)
        self._regional = scope_name == "REGIONAL"
        self._name = f"{environment_name}-{'front' if self._regional else 'edge'}"
        rules = [_managed(name, group, priority=number) for number, (name, group) in enumerate(RULE_GROUPS.items(), 1)]
        if requests_per_five_minutes is not None:
            rules.insert(0, _limit(requests_per_five_minutes, priority=0))
        if only_from:
            rules.append(_others(self._addresses(scope_name, only_from), priority=len(RULE_GROUPS) + 1))
        protected = waf.CfnWebACL.FieldToProtectProperty(field_type="SINGLE_HEADER", field_keys=list(SECRET_HEADERS))
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            scope=scope_name,
            description="Turns away attacks and floods",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow=waf.CfnWebACL.AllowActionProperty()),
            rules=rules,
            visibility_config=_seen_as(self._name),
            # Here and not among the logging's redacted fields, which leave the sampled requests as they were.
            data_protection_config=waf.CfnWebACL.DataProtectionConfigProperty(
                data_protections=[waf.CfnWebACL.DataProtectProperty(action="SUBSTITUTION", field=protected)]
            ),
        )
        self._log(key, protection)
        if alerts is not None:
            self._alarm(alerts)

    @property
    def arn(self) -> str:
        """What a distribution or an association names."""
        return self.acl.attr_arn

    def _addresses(self, scope_name: str, ranges: Sequence[str]) -> waf.CfnIPSet:
        return waf.CfnIPSet(
            self,
            "Visitors",
            scope=scope_name,
            ip_address_version="IPV4",
            addresses=list(ranges),
            description="Who may visit",
        )

    def _log(self, key: kms.IKey | None, protection: Protection) -> None:
        # AWS demands the name. So the group goes with the firewall: one that stays would block the next of its name.
        group = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=f"aws-waf-logs-{self._name}",
            kms_key_id=key.key_arn if key is not None else None,
            retention_in_days=protection.log_days,
        )
        waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            # Without the `:*` that the group's own ARN ends in, which this service does not take.
            log_destination_configs=[
                self._stack.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=group.ref,
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
            logging_filter=LOGGED,
        )

    def _alarm(self, alerts: sns.ITopic) -> None:
        region = {"Region": self._stack.region} if self._regional else {}
        alarm(
            self,
            "TurnedAway",
            metric=cloudwatch.Metric(
                namespace="AWS/WAFV2",
                metric_name="BlockedRequests",
                dimensions_map={"WebACL": self._name, "Rule": "ALL", **region},
                statistic="Sum",
                period=cdk.Duration.minutes(1),
            ),
            # A scanner passing by makes some hundred requests and is gone.
            threshold=500,
            minutes=10,
            meaning="Many requests are turned away for ten minutes: an attack, or a rule that stops honest visitors",
            alerts=alerts,
        )


def _managed(name: str, group: str, *, priority: int) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    waf.CfnWebACL.RuleActionOverrideProperty(
                        name=counted, action_to_use=waf.CfnWebACL.RuleActionProperty(count={})
                    )
                    for counted in ONLY_COUNTED.get(group, ())
                ],
            )
        ),
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        visibility_config=_seen_as(name),
    )


def _limit(requests: int, *, priority: int) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name="VisitorLimit",
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(
            rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", limit=requests, evaluation_window_sec=FIVE_MINUTES
            )
        ),
        # The same answer as the shop's own limits give, so that a client needs to know one.
        action=waf.CfnWebACL.RuleActionProperty(
            block=waf.CfnWebACL.BlockActionProperty(
                custom_response=waf.CfnWebACL.CustomResponseProperty(
                    response_code=429,
                    response_headers=[
                        waf.CfnWebACL.CustomHTTPHeaderProperty(name="Retry-After", value=str(FIVE_MINUTES))
                    ],
                )
            )
        ),
        visibility_config=_seen_as("VisitorLimit"),
    )


def _others(visitors: waf.CfnIPSet, *, priority: int) -> waf.CfnWebACL.RuleProperty:
    named = waf.CfnWebACL.StatementProperty(
        ip_set_reference_statement=waf.CfnWebACL.IPSetReferenceStatementProperty(arn=visitors.attr_arn)
    )
    return waf.CfnWebACL.RuleProperty(
        name="OnlyVisitors",
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(not_statement=waf.CfnWebACL.NotStatementProperty(statement=named)),
        action=waf.CfnWebACL.RuleActionProperty(block=waf.CfnWebACL.BlockActionProperty()),
        visibility_config=_seen_as("OnlyVisitors"),
    )


def _seen_as(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        metric_name=name, cloud_watch_metrics_enabled=True, sampled_requests_enabled=True
    )
