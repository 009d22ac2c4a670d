"""The firewall: which rules look at a request, what its log says, and that visitors' secrets are in none of it."""

from __future__ import annotations

from typing import Any, Literal

import aws_cdk as cdk
import pytest

from building_blocks.firewall import Firewall
from tests.building_blocks.alone import CAREFUL, ForeignApp, Template, only, resources, synth_alone

ACL = "AWS::WAFv2::WebACL"


def synth(
    scope_name: Literal["REGIONAL", "CLOUDFRONT"] = "REGIONAL", *, limit: int | None = 2_000, encrypted: bool = True
) -> Template:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        Firewall(
            stack,
            "Firewall",
            scope_name=scope_name,
            environment_name="trial",
            requests_per_five_minutes=limit,
            key=theirs.key if encrypted else None,
            protection=CAREFUL,
            alerts=theirs.alerts if encrypted else None,
        )

    return synth_alone(build, region="eu-west-1" if scope_name == "REGIONAL" else "us-east-1")


@pytest.fixture(scope="module")
def regional() -> Template:
    return synth()


@pytest.fixture(scope="module")
def edge() -> Template:
    return synth("CLOUDFRONT")


def rules(template: Template) -> dict[str, dict[str, Any]]:
    return {rule["Name"]: rule for rule in only(template, ACL)["Rules"]}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("Common", "AWSManagedRulesCommonRuleSet"),
        ("KnownBadInputs", "AWSManagedRulesKnownBadInputsRuleSet"),
        ("SqlInjection", "AWSManagedRulesSQLiRuleSet"),
        ("IpReputation", "AWSManagedRulesAmazonIpReputationList"),
    ],
)
def test_each_group_of_rules_acts_as_aws_wrote_it(regional: Template, name: str, group: str) -> None:
    rule = rules(regional)[name]
    assert rule["Statement"]["ManagedRuleGroupStatement"]["Name"] == group
    assert rule["OverrideAction"] == {"None": {}}


def test_only_the_size_of_a_body_is_counted_instead_of_blocked(regional: Template) -> None:
    overrides = [
        override
        for rule in rules(regional).values()
        for override in rule["Statement"].get("ManagedRuleGroupStatement", {}).get("RuleActionOverrides", [])
    ]
    assert overrides == [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]


def test_an_address_above_the_limit_is_told_to_come_back(regional: Template) -> None:
    rule = rules(regional)["VisitorLimit"]
    assert rule["Priority"] == 0
    assert rule["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP",
        "Limit": 2_000,
        "EvaluationWindowSec": 300,
    }
    answer = rule["Action"]["Block"]["CustomResponse"]
    assert answer == {"ResponseCode": 429, "ResponseHeaders": [{"Name": "Retry-After", "Value": "300"}]}


def test_without_a_limit_the_other_rules_stay() -> None:
    assert set(rules(synth(limit=None))) == {"IpReputation", "KnownBadInputs", "SqlInjection", "Common"}


def test_every_rule_has_its_own_priority_and_metric(regional: Template) -> None:
    found = rules(regional)
    assert len({rule["Priority"] for rule in found.values()}) == len(found) == 5
    assert all(rule["VisibilityConfig"]["CloudWatchMetricsEnabled"] for rule in found.values())
    assert len({rule["VisibilityConfig"]["MetricName"] for rule in found.values()}) == 5


def test_secret_headers_reach_neither_the_log_nor_the_samples(regional: Template) -> None:
    [protection] = only(regional, ACL)["DataProtectionConfig"]["DataProtections"]
    assert protection == {
        "Action": "SUBSTITUTION",
        "Field": {"FieldType": "SINGLE_HEADER", "FieldKeys": ["authorization", "cookie"]},
    }


def test_the_log_holds_what_a_rule_noticed_and_nothing_else(regional: Template) -> None:
    kept = only(regional, "AWS::WAFv2::LoggingConfiguration")["LoggingFilter"]
    assert kept["DefaultBehavior"] == "DROP"
    [keep] = kept["Filters"]
    assert keep["Behavior"] == "KEEP"
    assert [condition["ActionCondition"]["Action"] for condition in keep["Conditions"]] == ["BLOCK", "COUNT"]


@pytest.mark.parametrize(("scope_name", "name"), [("REGIONAL", "front"), ("CLOUDFRONT", "edge")])
def test_the_log_has_the_name_that_aws_demands(regional: Template, edge: Template, scope_name: str, name: str) -> None:
    template = regional if scope_name == "REGIONAL" else edge
    assert only(template, "AWS::Logs::LogGroup")["LogGroupName"] == f"aws-waf-logs-trial-{name}"


def test_the_log_is_encrypted_ends_and_goes_with_the_firewall(regional: Template) -> None:
    [log] = resources(regional, "AWS::Logs::LogGroup").values()
    assert log["Properties"]["RetentionInDays"] == 365
    assert "KmsKeyId" in log["Properties"]
    assert "DeletionPolicy" not in log  # a group that stays would keep the name that the next firewall needs


def test_logging_names_the_group_and_not_its_streams(regional: Template) -> None:
    [group] = resources(regional, "AWS::Logs::LogGroup")
    [destination] = only(regional, "AWS::WAFv2::LoggingConfiguration")["LogDestinationConfigs"]
    assert destination == {"Fn::Join": ["", ["arn:aws:logs:eu-west-1:111111111111:log-group:", {"Ref": group}]]}


def test_the_metric_of_the_alarm_is_the_one_that_the_firewall_sends(regional: Template, edge: Template) -> None:
    for template, region in ((regional, [{"Name": "Region", "Value": "eu-west-1"}]), (edge, [])):
        watched = only(template, "AWS::CloudWatch::Alarm")["Dimensions"]
        name = only(template, ACL)["VisibilityConfig"]["MetricName"]
        assert watched == sorted(
            [{"Name": "Rule", "Value": "ALL"}, {"Name": "WebACL", "Value": name}, *region], key=lambda it: it["Name"]
        )


def test_it_works_without_a_key_and_a_topic_of_its_region() -> None:
    template = synth("CLOUDFRONT", encrypted=False)
    assert only(template, ACL)["Scope"] == "CLOUDFRONT"
    assert "KmsKeyId" not in only(template, "AWS::Logs::LogGroup")
    assert not resources(template, "AWS::CloudWatch::Alarm")
