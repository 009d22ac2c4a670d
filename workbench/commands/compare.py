"""`blueprint compare`: what really changes between two of anything that is a template."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.commands import FAILED, complain

if TYPE_CHECKING:
    from workbench.commands import Commands
    from workbench.compare import Comparison

FORMATS = {"text": ".txt", "markdown": ".md", "json": ".json", "html": ".html", "svg": ".svg", "mermaid": ".mmd"}

STAGES_PAGE = Path("build/stages.html")

DESCRIPTION = """\
What changes between two sides, worst first: what is replaced and whether it holds data, cost, capacity, availability,
network, rights, and every resource. A side is

  a stage         blueprint compare 3 4
  an environment  blueprint compare production.toml --stage 4     as it is written, and at stage 4
  a revision      blueprint compare production --base main        as it is there, and as it is here
  templates       blueprint compare old/cdk.out new/cdk.out       assemblies, folders or files, JSON or YAML, of anybody
  all stages      blueprint compare --all                         one page with a picker for both sides
"""
EPILOG = """\
Conditions for --fail-on: replace-stateful, remove-stateful, replace, may-replace, interrupt, export-lock, address,
open-network, grant, encryption, protection, cost, budget, unknown-cost, availability, capacity.

Exit codes: 0 compared, 1 a condition of --fail-on holds, 2 a side cannot be read.
"""


def add(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="what changes between two stages, revisions or templates",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument("sides", nargs="*", metavar="SIDE", help="before, then after")
    compare.add_argument("--stage", help="compare the one side with itself at this stage")
    compare.add_argument("--base", metavar="REVISION", help="compare with the same environment at a git revision")
    compare.add_argument("--all", action="store_true", help="all five stages on one page; to build/stages.html")
    compare.add_argument("--environment", default="production", help="whose stages are meant (default: production)")
    compare.add_argument("--usage", choices=("low", "moderate", "high"), default="moderate", help="(default: moderate)")
    compare.add_argument("--region", help="prices of this region for templates that name none")
    compare.add_argument("--format", choices=FORMATS, help="(default: what --output ends in, otherwise text)")
    compare.add_argument("--output", type=Path, metavar="FILE", help="write here instead of to the terminal")
    compare.add_argument(
        "--longest", type=int, default=60_000, metavar="CHARACTERS", help="of Markdown; rows give way (default: 60000)"
    )
    compare.add_argument("--full", action="store_true", help="no folded lists in text")
    compare.add_argument(
        "--fail-on", type=_conditions, default=[], metavar="CONDITIONS", help="comma-separated; exit 1"
    )
    compare.set_defaults(run=run)


def _conditions(text: str) -> list[str]:
    from workbench.compare.model import Kind

    wanted = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in set(Kind)]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(Kind)}")
    return wanted


def run(options: argparse.Namespace) -> int:
    from workbench.compare import compare, facts, failed
    from workbench.facts.specification import NotSetUp
    from workbench.inputs import Unusable, scratch_folder, sides
    from workbench.report.words import plain
    from workbench.templates import UnreadableTemplateError
    from workbench.usage import named

    usage = named(options.usage)
    try:
        form = _format(options)
        with scratch_folder() as scratch:
            wanted = sides(
                options.sides,
                every_stage=options.all,
                stage=options.stage,
                base=options.base,
                environment=options.environment,
                scratch=scratch,
            )
        known = [facts(side.label, side.assembly, usage, region=options.region) for side in wanted]
        if options.all:
            from workbench.report.page import stages_page

            options.output = options.output or STAGES_PAGE
            return _write(options, stages_page(known))
        comparison = compare(*known)
        status = _write(options, _rendered(form, comparison, options))
    except (Unusable, NotSetUp) as problem:
        return complain(problem)
    except UnreadableTemplateError as problem:
        return complain(plain(problem))
    held = failed(comparison, options.fail_on)
    for finding in held:
        print(f"--fail-on {finding.kind}: {plain(finding.text)}", file=sys.stderr)
    return status or (FAILED if held else 0)


def _format(options: argparse.Namespace) -> str:
    from workbench.inputs import Unusable

    by_ending = {ending: form for form, ending in FORMATS.items()}
    ending = options.output.suffix if options.output else ""
    if options.output and not options.format and ending not in by_ending:
        raise Unusable(f"{options.output} names no known form; end it in {', '.join(by_ending)}, or add --format")
    if options.longest < 2_000:
        raise Unusable(f"--longest {options.longest} could not hold the verdict and its reasons; 2,000 can")
    form: str = options.format or by_ending.get(ending, "html" if options.all else "text")
    if options.all and form != "html":
        raise Unusable(
            f"--all makes one HTML page, not {form}; for two sides in {form}, name them: blueprint compare 3 4"
        )
    return form


def _rendered(form: str, comparison: Comparison, options: argparse.Namespace) -> str:
    from workbench.report import compare as report

    if form == "text":
        from workbench.report.compare.terminal import text

        return text(comparison, full=options.full, coloured=options.output is None and sys.stdout.isatty())
    return report.render(form, comparison, longest=options.longest)


def _write(options: argparse.Namespace, text: str) -> int:
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    except OSError as problem:
        return complain(f"cannot write {options.output}: {problem.strerror}")
    print(f"wrote {options.output}", file=sys.stderr)
    return 0
