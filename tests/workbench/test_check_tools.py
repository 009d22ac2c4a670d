"""The gates that other tools keep: cdk-nag, CDK's own validation, cfn-lint. Each is shown to fail."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from workbench.check.tools import (
    CDK,
    NAG,
    WITHOUT_DOMAIN,
    WITHOUT_PROTECTION,
    ToolFinding,
    Validation,
    counted_ids,
    lint,
    problems,
    read_validation,
    thin_reasons,
)

REASON = "Requests of the edge are in its own log, in another bucket."


def accepted(rule: str, *, reason: str = REASON, on_replica: bool = False) -> ToolFinding:
    return ToolFinding(NAG, f"AwsSolutions-{rule}", "shop-data/Thing", "is wrong", reason, on_replica)


def validation(*findings: ToolFinding, tools: tuple[str, ...] = (NAG,)) -> dict[int, Validation]:
    return {1: Validation(frozenset(tools), findings)}


def reasoned(*rules: str) -> list[ToolFinding]:
    return [accepted(rule, reason=f"{REASON} ({rule})") for rule in rules]


def test_five_acknowledged_rules_are_accepted_however_often_they_occur() -> None:
    five = reasoned("S1", "EC23", "IAM5", "SMG4", "CFR1")
    assert problems(validation(*five, *five)) == []


def test_a_sixth_acknowledged_rule_is_one_too_many() -> None:
    [problem] = problems(validation(*reasoned("S1", "EC23", "IAM5", "SMG4", "CFR1", "RDS11")))
    assert problem.startswith("stage 1: 6 rules are acknowledged, 5 may be")


def test_an_open_finding_is_named_with_stage_and_place() -> None:
    open_finding = replace(accepted("S1"), acknowledged=None)
    assert problems(validation(open_finding)) == ["stage 1: AwsSolutions AwsSolutions-S1 at shop-data/Thing: is wrong"]


def test_a_report_without_cdk_nag_proves_nothing() -> None:
    [problem] = problems(validation(tools=(CDK,)))
    assert "cdk-nag was not there" in problem


def test_what_a_trial_cannot_have_does_not_count_there_but_counts_elsewhere() -> None:
    findings = validation(*reasoned("S1", "EC23", "IAM5", "SMG4", "CFR1", "CFR4", "CFR5", "EC29", "RDS10"))
    assert problems(findings, besides=WITHOUT_DOMAIN | WITHOUT_PROTECTION) == []
    assert problems(findings)[0].startswith("stage 1: 9 rules are acknowledged")


def test_known_false_alarms_on_read_replicas_do_not_count() -> None:
    findings = [accepted(rule, on_replica=True) for rule in ("RDS2", "RDS3", "RDS10")]
    assert counted_ids(findings) == frozenset()
    assert problems(validation(*findings)) == []


def test_the_same_rules_elsewhere_count_and_so_do_other_rules_on_replicas() -> None:
    assert counted_ids([accepted("RDS2"), accepted("RDS6", on_replica=True)]) == {
        "AwsSolutions-RDS2",
        "AwsSolutions-RDS6",
    }


@pytest.mark.parametrize("reason", ["not needed", "accepted accepted accepted", "     short            "])
def test_a_thin_reason_is_refused(reason: str) -> None:
    [problem] = thin_reasons([accepted("S1", reason=reason)])
    assert "is no reason" in problem


def test_one_reason_for_everything_is_refused() -> None:
    [problem] = thin_reasons([accepted(rule) for rule in ("S1", "EC23", "IAM5")])
    assert "share one reason" in problem


def bad_stack(outdir: Path, *, acknowledged: bool) -> None:
    """A bucket without access log and a policy with a wildcard, judged by cdk-nag."""
    app = cdk.App(outdir=str(outdir))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    stack = cdk.Stack(app, "Bad")
    bucket = s3.Bucket(stack, "Files", enforce_ssl=True)
    resource = bucket.node.default_child
    assert isinstance(resource, cdk.CfnResource)
    resource.override_logical_id("Files")  # part of a finding's id below
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects("*")]))
    if acknowledged:
        for construct, rule in ((bucket, "S1"), (role, "IAM5[Resource::<Files.Arn>/*]")):
            cdk.Validations.of(construct).acknowledge(
                cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=f"{REASON} {rule[:2]}")
            )
    app.synth()


EXPECTED = {
    ("AwsSolutions-S1", "Bad/Files/Resource"),
    ("AwsSolutions-IAM5", "Bad/Role/DefaultPolicy/Resource"),
}


def test_cdk_nag_stops_a_bad_stack_and_its_report_is_read(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        bad_stack(tmp_path, acknowledged=False)
    found = read_validation(tmp_path)
    assert found.tools == {NAG}
    assert {(each.rule, each.path) for each in found.open} == EXPECTED
    assert len(problems({1: found})) == 2


def test_acknowledgements_are_read_with_their_reasons_and_without_brackets(tmp_path: Path) -> None:
    bad_stack(tmp_path, acknowledged=True)
    found = read_validation(tmp_path)
    assert found.open == ()
    assert {(each.rule, each.path) for each in found.acknowledged} == EXPECTED
    assert {each.acknowledged for each in found.acknowledged} == {f"{REASON} S1", f"{REASON} IA"}
    assert problems({1: found}) == []


def violation(rule: str, path: str = "Bad/Files/Resource", **more: Any) -> dict[str, Any]:
    return {
        "ruleName": f"AwsSolutions-{rule}",
        "description": "is wrong",
        "violatingConstructs": [{"constructPath": path}],
        **more,
    }


def written(folder: Path, *plugins: dict[str, Any], tree: dict[str, Any] | None = None) -> Path:
    folder.mkdir()
    (folder / "validation-report.json").write_text(json.dumps({"pluginReports": plugins}), encoding="utf-8")
    (folder / "tree.json").write_text(json.dumps({"tree": tree or {"path": ""}}), encoding="utf-8")
    return folder


def test_a_replica_is_known_by_what_it_copies_not_by_its_name(tmp_path: Path) -> None:
    def node(**properties: str) -> dict[str, Any]:
        return {"attributes": {"aws:cdk:cloudformation:props": properties}}

    children = {"Copy": node(sourceDbInstanceIdentifier="x"), "Replica1": node(engine="postgres")}
    report = {
        "pluginName": NAG,
        "suppressedViolations": [violation("RDS2", f"Bad/{name}", reason=REASON) for name in children],
    }
    folder = written(tmp_path / "out", report, tree={"children": {"Bad": {"children": children}}})
    assert [finding.on_replica for finding in read_validation(folder).acknowledged] == [True, False]


@pytest.mark.slow
def test_cdks_own_validation_stops_a_bad_stack(tmp_path: Path) -> None:
    bad = {"F3002": {"QueueNamme": "jobs"}, "F3034": {"VisibilityTimeout": 99_999}}
    program = f"""
        from workbench.synth import prepare
        prepare(strict=True)
        import aws_cdk as cdk
        for rule, properties in {bad}.items():
            outdir = {str(tmp_path)!r} + "/" + rule
            app = cdk.App(outdir=outdir, context={{"@aws-cdk/core:validateAgainstDefaultRules": True}})
            cdk.CfnResource(cdk.Stack(app, "Bad"), "Jobs", type="AWS::SQS::Queue", properties=properties)
            try:
                app.synth()
            except RuntimeError:
                print("stopped by", rule)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert [line for line in ended.stdout.splitlines() if line.startswith("stopped")] == [
        "stopped by F3002",
        "stopped by F3034",
    ]
    for rule in bad:
        assert {(each.tool, each.rule) for each in read_validation(tmp_path / rule).open} == {(CDK, rule)}


def test_cfn_lint_finds_a_bad_template_and_names_the_place(tmp_path: Path) -> None:
    bad = {"Resources": {"Files": {"Type": "AWS::S3::Bucket", "Properties": {"BucketNamme": "files"}}}}
    path = tmp_path / "bad.template.json"
    path.write_text(json.dumps(bad), encoding="utf-8")
    found = lint([("us-east-1", path)])
    assert [each.rule for each in found] == ["E3002"]
    assert found[0].path.startswith("bad.template.json: Resources/Files/Properties")


def test_cfn_lint_warnings_count_unless_they_are_accepted_with_a_reason(tmp_path: Path) -> None:
    parameter = {"Unused": {"Type": "String"}}
    zone = {"AvailabilityZone": "us-east-1a", "Size": 8}
    volume = {
        "Type": "AWS::EC2::Volume",
        "Properties": zone,
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
    }
    path = tmp_path / "warned.template.json"
    path.write_text(json.dumps({"Parameters": parameter, "Resources": {"Disk": volume}}), encoding="utf-8")
    assert [each.rule for each in lint([("us-east-1", path)])] == ["W2001"]


def test_cfn_lint_leaves_empty_stacks_alone_and_looks_at_equal_ones_once(tmp_path: Path) -> None:
    bad = json.dumps({"Resources": {"Files": {"Type": "AWS::S3::Bucket", "Properties": {"BucketNamme": "files"}}}})
    paths = [tmp_path / f"{name}.template.json" for name in ("empty", "one", "two")]
    for path, text in zip(paths, (json.dumps({"Description": "nothing"}), bad, bad), strict=True):
        path.write_text(text, encoding="utf-8")
    assert len(lint([("us-east-1", path) for path in paths])) == 1
