"""`blueprint check`: every gate about the templates."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.commands import FAILED, UnknownStage, chosen_stages, complain

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="ask every gate about the templates",
        description="Write the templates of an environment at every stage and ask all rules, cdk-nag, CDK's own "
        "validation and cfn-lint about them. Exit code 1 when something is found.",
    )
    check.add_argument("environment", nargs="?", default="sandbox", help="a file in environments/ (default: sandbox)")
    check.add_argument("--stage", nargs="+", metavar="STAGE", help="only these stages, by number or name")
    check.add_argument("--list", action="store_true", help="the rules, each with its reason; nothing is checked")
    check.add_argument("--json", action="store_true", help="for machines")
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from datetime import date
    from tempfile import TemporaryDirectory

    from blueprint.environment import BadEnvironment, load
    from workbench.check import RULES
    from workbench.check.verdict import judge
    from workbench.report import check as report
    from workbench.report.text import terminal_width

    if options.list:
        data = json.dumps(report.rules_as_data(RULES), indent=2)
        print(data if options.json else report.rules(RULES, terminal_width()))
        return 0
    verdicts = []
    try:
        for stage in chosen_stages(options.stage):
            environment = load(options.environment, stage=str(stage.number))
            with TemporaryDirectory() as folder:
                verdicts.append(judge(environment, Path(folder) / "assembly", today=date.today()))
            print(report.summary(verdicts[-1]), file=sys.stderr, flush=True)
    except (BadEnvironment, UnknownStage) as problem:
        return complain(problem)
    print(json.dumps(report.as_data(verdicts), indent=2) if options.json else report.findings(verdicts))
    return FAILED if any(verdict.count for verdict in verdicts) else 0
