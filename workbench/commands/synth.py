"""`blueprint synth`: the templates of all stages, and what they cost at rest."""

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
    synth = commands.add_parser(
        "synth",
        help="write the templates of all stages",
        description="Write the templates of an environment at every stage, each stage to an assembly of its own. They "
        "are for reading: what functions and hosts run is only named there; `cdk synth` and `cdk deploy` pack it.",
    )
    synth.add_argument("environment", nargs="?", default="sandbox", help="a file in environments/ (default: sandbox)")
    synth.add_argument("--stage", nargs="+", metavar="STAGE", help="only these stages, by number or name")
    synth.add_argument("--name", help="another name for the environment, so that two can stand side by side")
    synth.add_argument("--out", type=Path, default=Path("build/assemblies"), help="folder (default: build/assemblies)")
    synth.add_argument("--strict", action="store_true", help="let CDK validate the templates as well; slower")
    form = synth.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--markdown", action="store_true", help="for documents")
    synth.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import time

    from blueprint.environment import BadEnvironment, load
    from workbench import synth
    from workbench.cost import Estimate, standing_cost
    from workbench.report import stages as report
    from workbench.report.text import terminal_width
    from workbench.templates import read_assembly

    try:
        chosen = chosen_stages(options.stage)
    except UnknownStage as problem:
        return complain(problem)
    counts: dict[int, dict[str, int]] = {}
    costs: dict[int, Estimate] = {}
    where: dict[int, Path] = {}
    for stage in chosen:
        started = time.monotonic()
        try:
            environment = load(options.environment, stage=str(stage.number), name=options.name)
            outdir = options.out / (options.name or Path(options.environment).stem) / f"stage-{stage.number}"
            where[stage.number] = synth.synth(environment, outdir, strict=options.strict, bundle=False)
        except (BadEnvironment, synth.NotAnAssembly) as problem:
            return complain(problem)
        except synth.Invalid as problem:
            complain(f"stage {stage.number}: {problem}")
            return FAILED
        counts[stage.number] = synth.resources(outdir)
        costs[stage.number] = standing_cost(read_assembly(outdir))
        took = time.monotonic() - started
        print(f"stage {stage.number} {stage.name:<17} {outdir}  {took:.1f} s", file=sys.stderr, flush=True)
    if options.json:
        print(
            json.dumps(
                [
                    {
                        "stage": number,
                        "assembly": str(where[number]),
                        "resources": stacks,
                        "usd_a_month_at_rest": round(costs[number].usd, 2) if costs[number].complete else None,
                    }
                    for number, stacks in counts.items()
                ],
                indent=2,
            )
        )
        return 0
    at_rest = [f"{cost.usd:,.0f} USD" if cost.complete else "unknown" for cost in costs.values()]
    if options.markdown:
        print(report.markdown(chosen, more={"a month at rest": at_rest}))
        return 0
    used = {number: [count for count in stacks.values() if count] for number, stacks in counts.items()}
    sizes = [f"{sum(counted)} in {len(counted)} stacks" for counted in used.values()]
    print(report.matrix(chosen, width=terminal_width(), more={"a month at rest": at_rest, "resources": sizes}))
    return 0
