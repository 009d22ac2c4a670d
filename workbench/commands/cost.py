"""`blueprint cost`: what a stage, an environment or a template costs a month, part by part."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from workbench.commands import complain

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    cost = commands.add_parser(
        "cost",
        help="what a month costs, part by part",
        description="What a stage costs a month at list prices: every part with its quantity, its price and the day "
        "on which the price was read. What has no price is counted, never taken for nothing.",
    )
    cost.add_argument("side", help="a stage, an environment, or an assembly or template of anybody's")
    cost.add_argument("--environment", default="production", help="whose stages are meant (default: production)")
    cost.add_argument(
        "--usage", choices=("none", "low", "moderate", "high"), default="moderate", help="none: what is billed at rest"
    )
    cost.add_argument("--region", help="prices of this region for templates that name none")
    form = cost.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--markdown", action="store_true", help="for documents")
    cost.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from workbench import inputs, usage
    from workbench.cost import estimate
    from workbench.report import cost as report
    from workbench.report.text import terminal_width
    from workbench.templates.reading import System

    try:
        with inputs.scratch_folder() as scratch:
            side = inputs.named(options.side, options.environment, scratch)
    except inputs.Unusable as problem:
        return complain(problem)
    workload = None if options.usage == "none" else usage.named(options.usage)
    found = estimate(System(side.assembly), workload, options.region)
    if options.json:
        print(json.dumps(report.as_data(found, side.label), indent=2))
    elif options.markdown:
        print(report.markdown(found, side.label), end="")
    else:
        print(report.text(found, side.label, terminal_width()))
    return 0
