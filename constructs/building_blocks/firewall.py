"""What looks at each request before the shop does, and turns away what no visitor would send."""

from __future__ import annotations

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
# Counted instead of blocked: it stops every body above 8 KiB, and a product's picture is bigger than that.
ONLY_COUNTED = {"Common": ("SizeRestrictions_BODY",)}
# Whoever reads these could go on as the visitor.
SECRET_HEADERS = ("authorization", "cookie")
FIVE_MINUTES = 300


class Firewall(Construct):
    """A web ACL of AWS's managed rules; with a limit, one address sends so many requests in five minutes and no more."""

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
    ) -> None:
        super().__init__(scope, construct_id)
        self._stack = cdk.Stack.of(self)
        self._at_the_edge = scope_name == "CLOUDFRONT"
        self._name = f"{environment_name}-{'edge' if self._at_the_edge else 'front'}"
        rules = [self._managed(name, group) for name, group in RULE_GROUPS.items()]
        if requests_per_five_minutes is not None:
            rules.insert(0, self._limit(requests_per_five_minutes))
        for priority, rule in enumerate(rules):
            rule["priority"] = priority
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            scope=scope_name,
            description="Turns away attacks and floods",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow=waf.CfnWebACL.AllowActionProperty()),
            rules=[waf.CfnWebACL.RuleProperty(**rule) for rule in rules],
            visibility_config=self._watched(self._name),
        )
