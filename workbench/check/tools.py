"""What other tools say: cdk-nag and CDK's own validation through the report of a synthesis, and cfn-lint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

NAG = "AwsSolutions"
CDK = "CloudFormation Validate"
MOST_ACKNOWLEDGED = 5
# Only where an environment has no domain: the edge shows its default certificate and asks its origin over HTTP.
WITHOUT_DOMAIN = frozenset({"AwsSolutions-CFR4", "AwsSolutions-CFR5"})
# Only where an environment is there to be removed: these two ask for protection against deletion.
WITHOUT_PROTECTION = frozenset({"AwsSolutions-EC29", "AwsSolutions-RDS10"})
# A read replica inherits encryption and is itself the second copy, and its port is not the default one; but these rules
# look at its own properties only, RDS11 also for an engine, which a replica does not name.
FALSE_ON_REPLICAS = frozenset({"AwsSolutions-RDS2", "AwsSolutions-RDS3", "AwsSolutions-RDS10", "AwsSolutions-RDS11"})
SHORTEST_REASON = 20
MOST_RULES_PER_REASON = 2
ACCEPTED_WARNINGS = {
    "W3005": "CDK writes the DependsOn that a Ref already implies.",
    "W3010": "Zones are named on purpose: the address plan is fixed for life.",
}


@dataclass(frozen=True)
class ToolFinding:
    """One thing that a tool found; `acknowledged` is the reason why it may stay, None when there is none."""

    tool: str
    rule: str
    path: str
    message: str
    acknowledged: str | None = None
    on_replica: bool = False

    @property
    def counted(self) -> bool:
        return not (self.on_replica and self.rule in FALSE_ON_REPLICAS)


@dataclass(frozen=True)
class Validation:
    """What a synthesis reported: which tools spoke, and what they found."""

    tools: frozenset[str]
    findings: tuple[ToolFinding, ...]

    @property
    def open(self) -> tuple[ToolFinding, ...]:
        return tuple(finding for finding in self.findings if finding.acknowledged is None)

    @property
    def acknowledged(self) -> tuple[ToolFinding, ...]:
        return tuple(finding for finding in self.findings if finding.acknowledged is not None)


def read_validation(assembly: Path) -> Validation:
    """The report that a synthesis left in its assembly; a synthesis that failed leaves one as well."""
    report = json.loads((assembly / "validation-report.json").read_text(encoding="utf-8"))
    tree = json.loads((assembly / "tree.json").read_text(encoding="utf-8"))["tree"]
    findings = [
        ToolFinding(
            tool=plugin["pluginName"],
            rule=violation["ruleName"].partition("[")[0],
            path=construct.get("constructPath", ""),
            message=violation["description"],
            acknowledged=violation["reason"] if kind == "suppressedViolations" else None,
            on_replica=_is_replica(tree, construct.get("constructPath", "")),
        )
        for plugin in report["pluginReports"]
        for kind in ("violations", "suppressedViolations")
        for violation in plugin.get(kind, [])
        for construct in violation["violatingConstructs"]
    ]
    return Validation(frozenset(plugin["pluginName"] for plugin in report["pluginReports"]), tuple(findings))


def _is_replica(tree: Mapping[str, Any], path: str) -> bool:
    node: Mapping[str, Any] = tree
    for step in path.split("/"):
        node = node.get("children", {}).get(step, {})
    properties = node.get("attributes", {}).get("aws:cdk:cloudformation:props", {})
    return "sourceDbInstanceIdentifier" in properties


def problems(validations: Mapping[int, Validation], *, besides: frozenset[str] = frozenset()) -> list[str]:
    """Why the reports of all stages are not good enough. Rules in `besides` may be acknowledged uncounted.

    The bar on acknowledged rules is for what is deployed together: one environment at one stage.
    """
    found = []
    for stage, validation in validations.items():
        if NAG not in validation.tools:
            found.append(f"stage {stage}: cdk-nag was not there, so its silence says nothing")
        for finding in validation.open:
            found.append(f"stage {stage}: {finding.tool} {finding.rule} at {finding.path}: {finding.message}")
        ids = sorted(counted_ids(validation.acknowledged) - besides)
        if len(ids) > MOST_ACKNOWLEDGED:
            found.append(
                f"stage {stage}: {len(ids)} rules are acknowledged, {MOST_ACKNOWLEDGED} may be: {', '.join(ids)}"
            )
    return found + thin_reasons([each for validation in validations.values() for each in validation.acknowledged])


def counted_ids(findings: Iterable[ToolFinding]) -> frozenset[str]:
    """The different cdk-nag rules that are acknowledged somewhere, without known false alarms."""
    return frozenset(finding.rule for finding in findings if finding.tool == NAG and finding.counted)


def thin_reasons(findings: Iterable[ToolFinding]) -> list[str]:
    """Reasons that would convince nobody: too short, or one text for everything."""
    rules_by_reason: dict[str, set[str]] = {}
    for finding in findings:
        if finding.acknowledged is not None and finding.counted:
            rules_by_reason.setdefault(" ".join(finding.acknowledged.split()), set()).add(finding.rule)
    found = []
    for reason, rules in rules_by_reason.items():
        if len(reason) < SHORTEST_REASON or len(reason.split()) < 4:
            found.append(f"{', '.join(sorted(rules))}: {reason!r} is no reason")
        if len(rules) > MOST_RULES_PER_REASON:
            found.append(f"{', '.join(sorted(rules))} share one reason: {reason!r}")
    return found


def lint(templates: Iterable[tuple[str, Path]]) -> list[ToolFinding]:
    """What cfn-lint finds in templates, given as (region, file): errors, and warnings that nobody accepted."""
    found, seen = [], set()
    for region, path in templates:
        text = path.read_text(encoding="utf-8")
        template = json.loads(text)
        # A stack that its stage does not need has no resources; it is never deployed.
        if not template.get("Resources") or (region, text) in seen:
            continue
        seen.add((region, text))
        for match in lint_text(text, region):
            if re.match(r"[EW]", match.rule.id) and match.rule.id not in ACCEPTED_WARNINGS:
                where = f"{path.name}: {'/'.join(map(str, getattr(match, 'path', None) or ()))}"
                found.append(ToolFinding("cfn-lint", match.rule.id, where, match.message))
    return found


def lint_text(text: str, region: str) -> Iterable[Any]:
    """The matches of cfn-lint's rules in one template."""
    from cfnlint.decode import decode_str

    template, unreadable = decode_str(text)
    matches: Iterable[Any] = unreadable or _linter(region).validate_template(template)
    return matches


@cache
def _linter(region: str) -> Any:
    """cfn-lint with its rules: to load them takes longer than to ask them about a template."""
    from cfnlint import ConfigMixIn
    from cfnlint.runner import Runner

    return Runner(ConfigMixIn(regions=[region]))
