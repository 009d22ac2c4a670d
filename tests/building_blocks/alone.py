"""Somebody else's CDK app: their VPC, key, topic and log bucket, and one of our blocks among them.

A test hands over a function that builds its block there; what comes back is the template, after cdk-nag and cfn-lint
have seen it:

    template = synth_alone(lambda stack, theirs: StateTable(stack, "State", key=theirs.key, protection=CAREFUL))
    assert only(template, "AWS::DynamoDB::Table")["BillingMode"] == "PAY_PER_REQUEST"
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from cdk_nag import AwsSolutionsChecks

from blueprint.profiles import PROFILES
from building_blocks.acknowledged import acknowledge
from workbench.check.tools import lint_text
from workbench.synth import ROOT

Template = dict[str, Any]

ACCOUNT, REGION = "111111111111", "eu-west-1"
CAREFUL, CARELESS = PROFILES["production"], PROFILES["sandbox"]


@dataclass(frozen=True)
class ForeignApp:
    """What the other app already has. Its key is a real one, whose policy a block may extend; nothing has our names."""

    vpc: ec2.IVpc
    security_group: ec2.ISecurityGroup
    key: kms.IKey
    alerts: sns.ITopic
    logs: s3.IBucket


Build = Callable[[cdk.Stack, ForeignApp], object]


def synth_alone(build: Build, *, region: str = REGION) -> Template:
    """The template of a stack that holds what `build` made; raises on a finding of cdk-nag or an error of cfn-lint."""
    with tempfile.TemporaryDirectory() as outdir:
        context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
        app = cdk.App(outdir=outdir, context={**context, "aws:cdk:bundling-stacks": []})
        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
        _canary(app)
        stack = cdk.Stack(
            app, "Foreign", env=cdk.Environment(account=ACCOUNT, region=region), description="Somebody else's stack"
        )
        build(stack, _foreign(stack, region))
        app.synth()
        report = json.loads((Path(outdir) / "validation-report.json").read_text(encoding="utf-8"))
        text = (Path(outdir) / "Foreign.template.json").read_text(encoding="utf-8")
    assert_nag_looked(report)
    errors = [match for match in lint_text(text, region) if match.rule.id.startswith("E")]
    assert not errors, "\n".join(map(str, errors))
    template: Template = json.loads(text)
    return template


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Logical id -> resource, for one type."""
    return {name: found for name, found in template["Resources"].items() if found["Type"] == kind}


def only(template: Template, kind: str) -> dict[str, Any]:
    """The properties of the one resource of this type."""
    [resource] = resources(template, kind).values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


def assert_nag_looked(report: dict[str, Any]) -> None:
    """A plugin that did not run, or ran on nothing, would leave a report as clean as a good stack's."""
    [nag] = [plugin for plugin in report["pluginReports"] if plugin["pluginName"] == "AwsSolutions"]
    seen = {
        construct["constructPath"]
        for finding in nag["suppressedViolations"]
        for construct in finding["violatingConstructs"]
    }
    assert "Canary/Queue/Resource" in seen
    # Nor may any other tool, such as CDK's own annotations, have something to say.
    assert not [violation for plugin in report["pluginReports"] for violation in plugin.get("violations", [])]


def _canary(app: cdk.App) -> None:
    """A finding that must be in every report; cdk-nag leaves itself out of a report without any."""
    acknowledge(sqs.Queue(cdk.Stack(app, "Canary"), "Queue"), "SQS3", "SQS4", because="Shows that cdk-nag looked.")


def _foreign(stack: cdk.Stack, region: str) -> ForeignApp:
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "TheirVpc",
        vpc_id="vpc-0aaaaaaaaaaaaaaaa",
        vpc_cidr_block="10.99.0.0/16",
        availability_zones=[f"{region}{letter}" for letter in "abc"],
        public_subnet_ids=_ids("subnet", "a"),
        public_subnet_route_table_ids=_ids("rtb", "a"),
        private_subnet_ids=_ids("subnet", "b"),
        private_subnet_route_table_ids=_ids("rtb", "b"),
        isolated_subnet_ids=_ids("subnet", "c"),
        isolated_subnet_route_table_ids=_ids("rtb", "c"),
    )
    return ForeignApp(
        vpc=vpc,
        security_group=ec2.SecurityGroup.from_security_group_id(stack, "TheirGroup", "sg-0aaaaaaaaaaaaaaaa"),
        key=kms.Key(stack, "TheirKey", enable_key_rotation=True),
        alerts=sns.Topic.from_topic_arn(stack, "TheirAlerts", f"arn:aws:sns:{region}:{ACCOUNT}:their-alerts"),
        logs=s3.Bucket.from_bucket_name(stack, "TheirLogs", "their-access-logs"),
    )


def _ids(kind: str, tier: str) -> list[str]:
    return [f"{kind}-0{tier}{number:015d}" for number in range(3)]
