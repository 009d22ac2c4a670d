"""What the gates found, as text and as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workbench.check.rule import Rule
from workbench.check.verdict import Verdict
from workbench.report import text


def summary(verdict: Verdict) -> str:
    """One line while the next stage is being looked at."""
    found = "nothing found" if verdict.count == 0 else f"{verdict.count} found"
    excused = f", {len(verdict.rules.excused)} excused" if verdict.rules.excused else ""
    looks = f"{verdict.looks} looks of {len(verdict.rules.reports)} rules, by cdk-nag, CDK and cfn-lint"
    return f"stage {verdict.stage.number} {verdict.stage.name:<17} {found} in {looks}{excused}"


def findings(verdicts: Iterable[Verdict]) -> str:
    """Stage by stage what was found, and what is excused until when."""
    lines = []
    for verdict in verdicts:
        head = f"Stage {verdict.stage.number}: {verdict.stage.name}"
        lines.append(f"{head}: {'nothing found' if verdict.count == 0 else f'{verdict.count} found'}")
        for each in verdict.rules.findings:
            lines.append(f"  {each.rule} {each.stack} {each.resource} ({each.type}) {each.problem}")
        lines += [f"  {each.rule} ({each.tool}) {each.path}: {each.message}" for each in verdict.tools]
        lines += [
            f"  excused until {excused.by.expires}: {excused.finding.rule} {excused.finding.stack} "
            f"{excused.finding.resource} ({excused.by.id})"
            for excused in verdict.rules.excused
        ]
    return "\n".join(lines)


def as_data(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "stage": verdict.stage.number,
            "findings": [
                {
                    "rule": each.rule,
                    "stack": each.stack,
                    "resource": each.resource,
                    "type": each.type,
                    "problem": each.problem,
                }
                for each in verdict.rules.findings
            ],
            "tools": [
                {"tool": each.tool, "rule": each.rule, "path": each.path, "problem": each.message}
                for each in verdict.tools
            ],
            "examined": {report.rule: report.examined for report in verdict.rules.reports},
            "excused": [
                {"rule": each.finding.rule, "resource": each.finding.resource, "by": each.by.id}
                for each in verdict.rules.excused
            ],
        }
        for verdict in verdicts
    ]


def rules(known: Iterable[Rule], width: int) -> str:
    """Every rule with its reason and its remedy."""
    return "\n\n".join(
        f"{rule.id} {rule.title}\n"
        + text.pairs([("why", rule.why), ("fix", rule.fix), ("source", rule.source)], width=width, indent="  ")
        for rule in known
    )


def rules_as_data(known: Iterable[Rule]) -> list[dict[str, str]]:
    """The rules for machines."""
    return [
        {"id": rule.id, "title": rule.title, "why": rule.why, "fix": rule.fix, "source": rule.source} for rule in known
    ]
