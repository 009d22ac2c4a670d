"""Every gate at once, on freshly written templates: our rules, cdk-nag, CDK's own validation, cfn-lint."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from blueprint.environment import Environment
from blueprint.parts import Stage
from workbench import synth
from workbench.check import CheckReport, run
from workbench.check.tools import ToolFinding, lint, read_validation
from workbench.templates import read_assembly


@dataclass(frozen=True)
class Verdict:
    """Everything that was found at one stage."""

    stage: Stage
    rules: CheckReport
    tools: Sequence[ToolFinding]

    @property
    def count(self) -> int:
        return len(self.rules.findings) + len(self.tools)

    @property
    def looks(self) -> int:
        """How often a rule looked at a resource."""
        return sum(report.examined for report in self.rules.reports)


def judge(environment: Environment, folder: Path, *, today: date) -> Verdict:
    """Write the templates of an environment to `folder`, strictly, and ask every gate about them."""
    with contextlib.suppress(synth.Invalid):  # what was found is in the report that is read below
        synth.synth(environment, folder, strict=True, bundle=False)
    templates = [(stack.region, folder / f"{stack.name}.template.json") for stack in read_assembly(folder).stacks]
    return Verdict(
        stage=environment.stage,
        rules=run(folder, environment=environment, today=today),
        tools=(*read_validation(folder).open, *lint(templates)),
    )
