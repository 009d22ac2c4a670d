"""`blueprint stages`: what the stages are."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from workbench.commands import complain, unknown_stage

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    stages = commands.add_parser(
        "stages", help="what the stages are", description="All stages side by side, or one of them in full."
    )
    stages.add_argument("stage", nargs="?", help="number or name of one stage")
    form = stages.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--markdown", action="store_true", help="for documents")
    stages.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from blueprint.stages import STAGES, find
    from workbench.report import stages as report
    from workbench.report.text import terminal_width

    if options.stage is None:
        chosen = list(STAGES)
    else:
        try:
            chosen = [find(options.stage)]
        except KeyError:
            return complain(unknown_stage(options.stage))
    if options.json:
        data = [report.as_data(stage) for stage in chosen]
        print(json.dumps(data if options.stage is None else data[0], indent=2))
    elif options.markdown:
        print(report.markdown(chosen))
    elif options.stage is None:
        print(report.matrix(chosen, width=terminal_width()))
    else:
        before = next((stage for stage in STAGES if stage.number == chosen[0].number - 1), None)
        print(report.detail(chosen[0], before, width=terminal_width()))
    return 0
